// Command daybreak plans, reviews, sends and books the trades of a trading day: one binary, one
// subcommand for each part.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"daybreak/internal/embedded"
)

func main() {
	ctx, stop := interruptible(context.Background())
	code := run(ctx, &app{
		args:     os.Args[1:],
		environ:  os.Environ(),
		unsetenv: os.Unsetenv,
		now:      time.Now,
		cache:    cache(),
		data:     data(),
		in:       os.Stdin,
		out:      os.Stdout,
		errOut:   os.Stderr,
	})
	stop()
	os.Exit(code)
}

// cache returns the directory of binaries that this user fetched; "" where the user has no place
// for it.
func cache() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return embedded.DefaultCache(dir)
}

// data returns where `up` keeps an installation that nobody named a directory for.
func data() string {
	home, err := os.UserHomeDir()
	if os.Geteuid() == 0 || err != nil {
		return "/var/lib/daybreak"
	}
	return filepath.Join(home, ".local", "share", "daybreak")
}

// interruption is the cause that a signal gives to the context of a command.
type interruption struct{ signal os.Signal }

// Error says which signal it was.
func (i interruption) Error() string { return fmt.Sprintf("interrupted (%s)", i.signal) }

// interruptible returns a context that the first SIGINT or SIGTERM cancels. The second one ends
// the process at once, as if nobody caught it.
func interruptible(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		select {
		case s := <-signals:
			signal.Stop(signals)
			cancel(interruption{signal: s})
		case <-ctx.Done():
		}
	}()
	return ctx, func() { signal.Stop(signals); cancel(nil) }
}
