package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// ErrInUse is wrapped with the directory and its owner where another live process owns an
// installation. Commands branch on it to attach to that owner instead.
var ErrInUse = errors.New("the installation has another owner")

const (
	lockName  = "lock"       // held by the owner as long as it lives
	usersName = "users.lock" // shared by every process that is attached
	runName   = "run.json"
)

// Run is what an owner tells other processes about itself, in DIR/run.json.
type Run struct {
	PID      int      `json:"pid"`
	Database string   `json:"database"`
	Brokers  []string `json:"brokers"`
	HTTP     string   `json:"http"`
}

// write replaces run.json in one step; only its owner may read it, because it holds a password.
func (r Run) write(dir string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return writePrivate(filepath.Join(dir, runName), append(text, '\n'))
}

// writePrivate replaces a file that only this user may read.
func writePrivate(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

func removeRun(dir string) error {
	if err := os.Remove(filepath.Join(dir, runName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func readRun(dir string) (Run, error) {
	var r Run
	text, err := os.ReadFile(filepath.Join(dir, runName))
	if err != nil {
		return Run{}, err
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return Run{}, fmt.Errorf("%s: %w", filepath.Join(dir, runName), err)
	}
	return r, nil
}

// Attachment is a process's use of the servers of another one, which stay up until it is released.
type Attachment struct {
	Run   Run
	users *lock
}

// Release ends the use.
func (a *Attachment) Release() error { return a.users.release() }

// Attach finds the live owner of the installation in dir. It returns nil where there is none, also
// where a killed one left its run.json; it waits for one that is just starting.
func Attach(ctx context.Context, dir string) (*Attachment, error) {
	if _, err := os.Stat(filepath.Join(dir, lockName)); errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, nil // Start says what is wrong with a file
	}
	users, err := lockFile(ctx, filepath.Join(dir, usersName), shared)
	if err != nil {
		return nil, err
	}
	run, err := awaitRun(ctx, dir)
	if err != nil || run == nil {
		return nil, errors.Join(err, users.release())
	}
	return &Attachment{Run: *run, users: users}, nil
}

const (
	startMax = 2 * time.Minute // that an owner takes to start, with a download
	pollWait = 20 * time.Millisecond
)

// awaitRun returns what the owner of dir tells of itself once it has started; nil for no owner.
func awaitRun(ctx context.Context, dir string) (*Run, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startMax, fmt.Errorf("the owner of %s did not finish its start in %s", dir, startMax))
	defer cancel()
	for {
		probe, err := tryLock(filepath.Join(dir, lockName), shared)
		if err == nil {
			return nil, probe.release()
		}
		if !errors.Is(err, errLocked) {
			return nil, err
		}
		run, err := readRun(dir)
		if err == nil && isAlive(run.PID) {
			return &run, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if err := pause(ctx, pollWait); err != nil {
			return nil, err
		}
	}
}

// own takes the owner's lock. A probe by Attach holds it for an instant, so it is tried again a
// few times.
func own(ctx context.Context, dir string) (*lock, error) {
	for try := 0; ; try++ {
		l, err := tryLock(filepath.Join(dir, lockName), exclusive)
		if err == nil {
			return l, removeRun(dir)
		}
		if !errors.Is(err, errLocked) {
			return nil, err
		}
		if try == 10 {
			return nil, inUse(dir)
		}
		if err := pause(ctx, pollWait); err != nil {
			return nil, err
		}
	}
}

func inUse(dir string) error {
	run, err := readRun(dir)
	if err != nil {
		return fmt.Errorf("%s: %w, which is just starting or stopping", dir, ErrInUse)
	}
	return fmt.Errorf("%s: %w, process %d", dir, ErrInUse, run.PID)
}

// lock is an advisory lock on a file; the system drops it when the process ends.
type lock struct{ file *os.File }

type lockKind int

const (
	shared    lockKind = syscall.LOCK_SH
	exclusive lockKind = syscall.LOCK_EX
)

// errLocked is returned where another process holds a lock that excludes the one asked for.
var errLocked = errors.New("locked by another process")

func tryLock(path string, kind lockKind) (*lock, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), int(kind)|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = errLocked
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	return &lock{file: f}, nil
}

// lockFile waits for the lock until ctx ends.
func lockFile(ctx context.Context, path string, kind lockKind) (*lock, error) {
	for {
		l, err := tryLock(path, kind)
		if !errors.Is(err, errLocked) {
			return l, err
		}
		if err := pause(ctx, pollWait); err != nil {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
	}
}

func (l *lock) release() error { return l.file.Close() }

// isAlive reports whether a process of that id exists.
func isAlive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

// pause waits for d, or returns the cause of ctx's end.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
