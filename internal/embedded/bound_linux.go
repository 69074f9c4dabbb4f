package embedded

import (
	"os/exec"
	"runtime"
	"syscall"
)

// startBound starts c so that the kernel sends it SIGQUIT (for PostgreSQL: end at once) when this
// process dies, however it dies; ended is closed when c ends. The kernel watches the thread that
// starts c, so that one goroutine keeps its thread until c has ended.
func startBound(c *exec.Cmd, ended chan<- struct{}) (release func(), err error) {
	c.SysProcAttr.Pdeathsig = syscall.SIGQUIT
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := c.Start(); err != nil {
			started <- err
			return
		}
		started <- nil
		c.Wait() // a server that was told to stop, or was killed: stop reports what matters
		close(ended)
	}()
	return func() {}, <-started
}
