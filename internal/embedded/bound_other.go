//go:build !linux

package embedded

import "os/exec"

// startBound starts c so that it ends when this process dies, however it dies; ended is closed when
// c ends. Where the kernel offers nothing for it, a keeper does it.
func startBound(c *exec.Cmd, ended chan<- struct{}) (release func(), err error) {
	return startKept(c, ended)
}
