package embedded

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// owner is the user that PostgreSQL runs as: ourselves, but postgres or nobody where we are root,
// because PostgreSQL refuses root.
type owner struct {
	name       string
	credential *syscall.Credential // nil for ourselves
}

func findOwner() (owner, error) {
	if os.Geteuid() != 0 {
		return owner{name: "this user"}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if uidErr != nil || gidErr != nil || uid == 0 {
			continue
		}
		return owner{name: name, credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), Groups: []uint32{}}}, nil
	}
	return owner{}, fmt.Errorf("PostgreSQL does not run as root, and there is no user postgres or nobody to run it: make one, or run daybreak as an ordinary user")
}

// command prepares a program that runs as the owner in dir, with nothing of our environment. It
// gets a process group of its own, so that a Ctrl-C on the terminal reaches it through us alone.
func (o owner) command(ctx context.Context, dir, program string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, program, args...)
	c.Dir = dir
	c.Env = []string{"HOME=" + dir, "PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"}
	c.SysProcAttr = &syscall.SysProcAttr{Credential: o.credential, Setpgid: true}
	return c
}

// give makes path the owner's.
func (o owner) give(path string) error {
	if o.credential == nil {
		return nil
	}
	return os.Chown(path, int(o.credential.Uid), int(o.credential.Gid))
}

// openWay lets the owner pass through dir, and refuses a dir that lies below a directory it can't
// pass, such as root's home.
func (o owner) openWay(dir string) error {
	if o.credential == nil {
		return nil
	}
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if err := os.Chmod(dir, info.Mode().Perm()|0o711); err != nil {
		return err
	}
	for above := filepath.Dir(dir); ; above = filepath.Dir(above) {
		info, err := os.Stat(above)
		if err != nil {
			return err
		}
		if !o.passes(info) {
			return fmt.Errorf("as root, PostgreSQL runs as user %s, which can't enter %s (mode %04o) above %s: choose another --data, such as /var/lib/daybreak, or run daybreak as an ordinary user",
				o.name, above, info.Mode().Perm(), dir)
		}
		if above == filepath.Dir(above) {
			return nil
		}
	}
}

func (o owner) passes(info os.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	mode := info.Mode().Perm()
	return mode&0o001 != 0 || ok && s.Uid == o.credential.Uid && mode&0o100 != 0 || ok && s.Gid == o.credential.Gid && mode&0o010 != 0
}
