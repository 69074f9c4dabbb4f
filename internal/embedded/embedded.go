// Package embedded runs the servers of an installation on one machine: a private PostgreSQL and a
// Kafka broker inside this process. Both keep their data in one directory, listen on 127.0.0.1 at
// free ports, and end with this process, also where it is killed.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Options say where the servers keep their data and which binaries they use.
type Options struct {
	Dir      string            // of the installation; made where it is missing
	Cache    string            // of fetched binaries; "" is a part of Dir
	Bin      string            // with postgres and initdb; "" is what the system has, else what can be fetched
	Major    int               // of PostgreSQL; 0 is the data's own, for new data the newest found
	Settings map[string]string // of PostgreSQL, over the defaults
	NoBroker bool              // leaves the Kafka broker out
	Notes    io.Writer         // gets a line about what takes long, such as a download; nil for none

	kept bool // has a keeper watch over our death where the kernel could
}

// Servers are the running servers of one installation, which this process owns.
type Servers struct {
	dir      string
	notes    io.Writer
	lock     *lock
	postgres *postgres
	broker   *broker
	run      Run
}

// Start takes ownership of the installation in o.Dir and starts its servers; what it keeps is made
// where it is missing. It returns ErrInUse, wrapped with the owner, where another live process owns
// the directory. The caller calls Publish once others may use the servers, and Stop; where it is
// killed first, the servers end all the same.
func Start(ctx context.Context, o Options) (*Servers, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("installation %s: %w", o.Dir, err)
	}
	o.Dir = dir
	if o.Notes == nil {
		o.Notes = io.Discard
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("installation: %w", err)
	}
	owned, err := own(ctx, dir)
	if err != nil {
		return nil, err
	}
	s := &Servers{dir: dir, notes: o.Notes, lock: owned}
	if err := s.start(ctx, o); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func (s *Servers) start(ctx context.Context, o Options) error {
	p, err := startPostgres(ctx, o)
	if err != nil {
		return fmt.Errorf("embedded PostgreSQL: %w", err)
	}
	s.postgres = p
	s.run = Run{PID: os.Getpid(), Database: p.dsn()}
	if !o.NoBroker {
		if s.broker, err = startBroker(filepath.Join(o.Dir, "kafka")); err != nil {
			return fmt.Errorf("embedded broker: %w", err)
		}
		s.run.Brokers = s.broker.addresses()
	}
	return nil
}

// DSN returns the address of the database, complete: nothing of it comes from the environment.
func (s *Servers) DSN() string { return s.run.Database }

// Brokers returns the broker's address, host:port; none where Options left it out.
func (s *Servers) Brokers() []string { return s.run.Brokers }

// Publish lets other processes attach, who wait for it, and tells them where this one serves its
// pages; "" for nowhere. It may be called again.
func (s *Servers) Publish(http string) error {
	s.run.HTTP = http
	return s.run.write(s.dir)
}

// Failed returns a channel that is closed when PostgreSQL ends without having been stopped.
func (s *Servers) Failed() <-chan struct{} { return s.postgres.ended }

// Stop ends the servers, waits for them and gives up the directory. A second call does nothing.
func (s *Servers) Stop() error {
	if s.lock == nil {
		return nil
	}
	if s.broker != nil {
		s.broker.stop()
	}
	var err error
	if s.postgres != nil {
		err = s.postgres.stop()
	}
	err = errors.Join(err, removeRun(s.dir), s.lock.release())
	s.lock = nil
	return err
}

// StopWhenUnused waits until no other process is attached to the installation, or ctx ends, and
// then stops the servers.
func (s *Servers) StopWhenUnused(ctx context.Context) error {
	path := filepath.Join(s.dir, usersName)
	users, err := tryLock(path, exclusive)
	if errors.Is(err, errLocked) {
		fmt.Fprintf(s.notes, "other commands still use %s: its servers stop when they are done\n", s.dir)
		users, err = lockFile(ctx, path, exclusive)
	}
	if ctx.Err() != nil {
		return s.Stop()
	}
	if err != nil {
		return errors.Join(err, s.Stop())
	}
	return errors.Join(s.Stop(), users.release())
}
