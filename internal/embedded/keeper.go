package embedded

import (
	"errors"
	"os/exec"
	"strconv"
	"syscall"
)

// keeperScript reads from a pipe that this process holds open. Its end comes when we release it,
// with the word that all is well, or when we die, without: then the server gets SIGQUIT.
const keeperScript = `read word; [ "$word" = released ] || kill -QUIT "$1"`

// startKept starts c beside a keeper: a shell of the same user that outlives us for an instant, and
// ends c. ended is closed when c ends.
func startKept(c *exec.Cmd, ended chan<- struct{}) (release func(), err error) {
	if err := c.Start(); err != nil {
		return nil, err
	}
	keeper := exec.Command("/bin/sh", "-c", keeperScript, "keeper", strconv.Itoa(c.Process.Pid))
	keeper.Dir, keeper.Env = c.Dir, c.Env
	keeper.SysProcAttr = &syscall.SysProcAttr{Credential: c.SysProcAttr.Credential, Setpgid: true}
	word, err := keeper.StdinPipe()
	if err == nil {
		err = keeper.Start()
	}
	if err != nil {
		return nil, errors.Join(err, c.Process.Signal(syscall.SIGQUIT), c.Wait())
	}
	go func() {
		c.Wait() // a server that was told to stop, or was killed: stop reports what matters
		close(ended)
	}()
	return func() {
		word.Write([]byte("released\n")) // a keeper that is gone needs no word
		keeper.Wait()
	}, nil
}
