package embedded

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	roleName     = "daybreak"
	databaseName = "daybreak"

	readyMax = 60 * time.Second // that a server takes to start, with the recovery of its log
	stopMax  = 60 * time.Second // that a fast stop takes before the server is ended without a checkpoint
	logMax   = 16 << 20         // bytes of the server's log that are kept past a start
	triesMax = 3                // of ports: between choosing a free one and its use another may take it
)

// defaultSettings are those of a server that is fast on one machine and loses nothing that it has
// committed: fsync and synchronous_commit stay on.
var defaultSettings = map[string]string{
	"listen_addresses":          "127.0.0.1",
	"unix_socket_directories":   "",
	"max_connections":           "200",
	"shared_buffers":            "256MB",
	"effective_cache_size":      "2GB",
	"work_mem":                  "16MB",
	"maintenance_work_mem":      "128MB",
	"wal_buffers":               "16MB",
	"min_wal_size":              "512MB",
	"max_wal_size":              "4GB",
	"checkpoint_timeout":        "15min",
	"random_page_cost":          "1.1",
	"jit":                       "off",
	"timezone":                  "UTC",
	"log_timezone":              "UTC",
	"password_encryption":       "scram-sha-256",
	"log_line_prefix":           "%m [%p] ",
	"log_min_error_statement":   "panic",
	"log_checkpoints":           "off",
	"max_prepared_transactions": "0",
}

// postgres is a running server. Its data are in dir/data, its log in dir/log, and the password of
// its only role in dir/password.
type postgres struct {
	dir      string
	binaries binaries
	owner    owner
	settings map[string]string
	password string
	port     int

	process *os.Process
	bind    func(c *exec.Cmd, ended chan<- struct{}) (release func(), err error)
	release func() // ends what watches over our death
	ended   chan struct{}
}

func startPostgres(ctx context.Context, o Options) (*postgres, error) {
	user, err := findOwner()
	if err != nil {
		return nil, err
	}
	if err := user.openWay(o.Dir); err != nil {
		return nil, err
	}
	p := &postgres{dir: filepath.Join(o.Dir, "postgres"), owner: user, settings: maps.Clone(defaultSettings), bind: startBound}
	if o.kept {
		p.bind = startKept
	}
	maps.Copy(p.settings, o.Settings)
	if err := p.prepare(ctx, o); err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		err := p.start(ctx)
		if err == nil {
			break
		}
		if try == triesMax || !errors.Is(err, errPortTaken) {
			return nil, err
		}
	}
	if err := p.createDatabase(ctx); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

// prepare finds the binaries that fit the data, and makes the data where there are none.
func (p *postgres) prepare(ctx context.Context, o Options) error {
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return err
	}
	if err := p.owner.give(p.dir); err != nil {
		return err
	}
	want, err := p.dataMajor()
	if err != nil {
		return err
	}
	if want != 0 && o.Major != 0 && want != o.Major {
		return fmt.Errorf("the data in %s are of PostgreSQL %d, not %d: choose another directory", p.data(), want, o.Major)
	}
	isNew := want == 0
	if isNew {
		want = o.Major
	}
	if p.binaries, err = findBinaries(ctx, o, want, p.owner); err != nil {
		return err
	}
	if isNew {
		return p.initialize(ctx)
	}
	text, err := os.ReadFile(p.passwordFile())
	p.password = strings.TrimSpace(string(text))
	return err
}

func (p *postgres) data() string         { return filepath.Join(p.dir, "data") }
func (p *postgres) passwordFile() string { return filepath.Join(p.dir, "password") }

// dataMajor returns the version that made the data; 0 where there are none.
func (p *postgres) dataMajor() (int, error) {
	text, err := os.ReadFile(filepath.Join(p.data(), "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("%s: not a major version: %w", filepath.Join(p.data(), "PG_VERSION"), err)
	}
	return major, nil
}

// initialize makes new data beside their place and moves them there in one step, so that a start
// that was killed halfway leaves nothing that looks whole.
func (p *postgres) initialize(ctx context.Context) error {
	fresh := filepath.Join(p.dir, "data.new")
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	p.password = rand.Text()
	if err := writePrivate(p.passwordFile(), []byte(p.password+"\n")); err != nil {
		return err
	}
	if err := p.owner.give(p.passwordFile()); err != nil {
		return err
	}
	arguments := []string{"-D", fresh, "-U", roleName, "--encoding=UTF8", "--locale=C", "--auth=scram-sha-256",
		"--pwfile=" + p.passwordFile(), "--data-checksums"}
	if p.settings["fsync"] == "off" {
		arguments = append(arguments, "--no-sync")
	}
	if err := p.run(ctx, "initdb", arguments...); err != nil {
		return err
	}
	return os.Rename(fresh, p.data())
}

// run runs one of the server's programs to its end.
func (p *postgres) run(ctx context.Context, program string, args ...string) error {
	out, err := p.owner.command(ctx, p.dir, p.binaries.program(program), args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", program, err, bytes.TrimSpace(out))
	}
	return nil
}

// errPortTaken is returned where another process took the port; startPostgres tries another one.
var errPortTaken = errors.New("port taken")

// start starts the server on a free port and waits until it answers.
func (p *postgres) start(ctx context.Context) error {
	if err := p.stopOrphan(ctx); err != nil {
		return err
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	p.port = port
	logFile, logFrom, err := p.openLog()
	if err != nil {
		return err
	}
	defer logFile.Close()
	c := p.owner.command(context.WithoutCancel(ctx), p.dir, p.binaries.program("postgres"), p.arguments()...)
	c.Stdout, c.Stderr = logFile, logFile
	if err := p.launch(c); err != nil {
		return err
	}
	if err := p.awaitReady(ctx); err != nil {
		return errors.Join(p.explain(err, logFrom), p.stop())
	}
	return nil
}

// stopOrphan ends a server that outlived its killed owner: we hold the owner's lock, so it is
// nobody's.
func (p *postgres) stopOrphan(ctx context.Context) error {
	text, err := os.ReadFile(filepath.Join(p.data(), "postmaster.pid"))
	if err != nil {
		return nil // stopped well
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || !isAlive(pid) {
		return nil // the server itself clears such a file away
	}
	if p.run(ctx, "pg_ctl", "status", "-D", p.data()) != nil {
		return nil // the id belongs to another program by now
	}
	return p.run(ctx, "pg_ctl", "stop", "-D", p.data(), "-m", "fast", "-w", "-t", "60")
}

func (p *postgres) arguments() []string {
	arguments := []string{"-D", p.data(), "-c", "port=" + strconv.Itoa(p.port)}
	for _, name := range slices.Sorted(maps.Keys(p.settings)) {
		arguments = append(arguments, "-c", name+"="+p.settings[name])
	}
	return arguments
}

// launch starts the server so that it ends when we do, and watches for its end.
func (p *postgres) launch(c *exec.Cmd) error {
	p.ended = make(chan struct{})
	release, err := p.bind(c, p.ended)
	if err != nil {
		return fmt.Errorf("start %s: %w", c.Path, err)
	}
	p.process, p.release = c.Process, release
	return nil
}

// awaitReady waits until the server takes connections.
func (p *postgres) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyMax, fmt.Errorf("it was not ready after %s", readyMax))
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, p.address("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-p.ended:
			return errors.New("it ended at once")
		default:
		}
		if err := pause(ctx, pollWait); err != nil {
			return err
		}
	}
}

// openLog opens the server's log, cut where it has grown large, and returns where its end is.
func (p *postgres) openLog() (*os.File, int64, error) {
	f, err := os.OpenFile(filepath.Join(p.dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	if info.Size() <= logMax {
		return f, info.Size(), nil
	}
	return f, 0, f.Truncate(0)
}

// explain adds to err what the server logged since logFrom.
func (p *postgres) explain(err error, logFrom int64) error {
	f, openErr := os.Open(filepath.Join(p.dir, "log"))
	if openErr != nil {
		return err
	}
	defer f.Close()
	text, _ := io.ReadAll(io.NewSectionReader(f, logFrom, 4096))
	if bytes.Contains(text, []byte("could not create any TCP/IP sockets")) {
		return errPortTaken
	}
	return fmt.Errorf("%w; its log %s says: %s", err, f.Name(), bytes.TrimSpace(text))
}

// createDatabase makes our database where it is missing.
func (p *postgres) createDatabase(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, p.address("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var isThere bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", databaseName).Scan(&isThere); err != nil {
		return err
	}
	if isThere {
		return nil
	}
	_, err = conn.Exec(ctx, "CREATE DATABASE "+databaseName)
	return err
}

func (p *postgres) dsn() string { return p.address(databaseName) }

// address names every part, so that no variable of libpq in the environment fills one in.
func (p *postgres) address(database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(roleName, p.password),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port)),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// stop ends the server: a fast stop with a checkpoint, and without one where that takes too long.
func (p *postgres) stop() error {
	if p.process == nil {
		return nil
	}
	defer func() { p.process = nil }()
	var err error
	for _, step := range []struct {
		signal syscall.Signal
		wait   time.Duration
	}{{syscall.SIGINT, stopMax}, {syscall.SIGQUIT, 10 * time.Second}, {syscall.SIGKILL, 10 * time.Second}} {
		if isEnded(p.ended) {
			break
		}
		if err = p.process.Signal(step.signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
			break
		}
		err = awaitEnd(p.ended, step.wait)
		if err == nil {
			break
		}
	}
	p.release()
	return err
}

func isEnded(ended <-chan struct{}) bool {
	select {
	case <-ended:
		return true
	default:
		return false
	}
}

func awaitEnd(ended <-chan struct{}, wait time.Duration) error {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ended:
		return nil
	case <-t.C:
		return fmt.Errorf("PostgreSQL did not stop in %s", wait)
	}
}

// freePort returns a TCP port of 127.0.0.1 that nobody listens on.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}
