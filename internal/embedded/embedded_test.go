package embedded

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// childVariable makes a test process an owner, for tests that kill it: its value is a child's JSON.
const childVariable = "DAYBREAK_EMBEDDED_CHILD"

// child is what a re-executed test process does: it starts the servers in Dir, says so on stdout,
// and stops them when its stdin ends.
type child struct {
	Dir  string
	Kept bool
}

func TestMain(m *testing.M) {
	if text := os.Getenv(childVariable); text != "" {
		if err := beChild(text); err != nil {
			fmt.Println("fault:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func beChild(text string) error {
	var c child
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return err
	}
	s, err := Start(context.Background(), Options{Dir: c.Dir, NoBroker: true, kept: c.Kept})
	if err != nil {
		return err
	}
	if err := s.Publish(""); err != nil {
		return err
	}
	fmt.Println("postmaster", s.postgres.process.Pid)
	io.Copy(io.Discard, os.Stdin)
	return s.Stop()
}

// startChild re-executes the test binary as c, as another user where credential is given, and
// returns it with the process id of its PostgreSQL.
func startChild(t *testing.T, c child, credential *syscall.Credential) (command *exec.Cmd, stdin io.Closer, postmaster int) {
	t.Helper()
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	path := "/proc/self/exe" // a path below root's home can't be run by another user
	if _, err := os.Stat(path); err != nil {
		path = os.Args[0]
	}
	command = exec.Command(path)
	command.Dir = c.Dir
	command.Env = []string{"PATH=" + os.Getenv("PATH"), childVariable + "=" + string(text)}
	command.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { command.Process.Kill(); command.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	number, isReady := strings.CutPrefix(strings.TrimSpace(line), "postmaster ")
	if err != nil || !isReady {
		t.Fatalf("child said %q, %v; want its postmaster", line, err)
	}
	postmaster, err = strconv.Atoi(number)
	if err != nil {
		t.Fatal(err)
	}
	return command, in, postmaster
}

// tempDir returns a directory that another user can reach, which t.TempDir is not.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "daybreak-embedded-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func start(t *testing.T, o Options) *Servers {
	t.Helper()
	s, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func query(t *testing.T, dsn, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	rows, _ := conn.Query(t.Context(), sql)
	values, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return strings.Join(values, " ")
}

// awaitDeath waits until no process has that id; the test's own deadline bounds it.
func awaitDeath(t *testing.T, pid int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for isAlive(pid) {
		if err := pause(ctx, pollWait); err != nil {
			t.Fatalf("process %d still runs", pid)
		}
	}
}

func TestDataAreKept(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	s := start(t, Options{Dir: dir})
	query(t, s.DSN(), "CREATE TABLE kept (v text)")
	query(t, s.DSN(), "INSERT INTO kept VALUES ('42')")
	admin := adminOf(t, s.Brokers())
	if _, err := admin.CreateTopic(t.Context(), 3, 1, nil, "kept"); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, runName)); err == nil {
		t.Error("run.json is left after a stop")
	}
	s = start(t, Options{Dir: dir})
	if got := query(t, s.DSN(), "SELECT v FROM kept"); got != "42" {
		t.Errorf("after a restart the table has %q, want 42", got)
	}
	topics, err := adminOf(t, s.Brokers()).ListTopics(t.Context(), "kept")
	if err != nil || len(topics["kept"].Partitions) != 3 {
		t.Errorf("after a restart the topic is %v, %v; want 3 partitions", topics["kept"], err)
	}
}

func adminOf(t *testing.T, brokers []string) *kadm.Client {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return kadm.NewClient(client)
}

func TestServerIsDurable(t *testing.T) {
	t.Parallel()
	s := start(t, Options{Dir: tempDir(t), NoBroker: true})
	for setting, want := range map[string]string{
		"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "data_checksums": "on",
		"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "server_encoding": "UTF8", "TimeZone": "UTC",
	} {
		if got := query(t, s.DSN(), "SHOW "+setting); got != want {
			t.Errorf("%s is %q, want %q", setting, got, want)
		}
	}
}

func TestWrongPasswordIsRefused(t *testing.T) {
	t.Parallel()
	s := start(t, Options{Dir: tempDir(t), NoBroker: true})
	dsn := strings.Replace(s.DSN(), s.postgres.password, "wrong", 1)
	if conn, err := pgx.Connect(t.Context(), dsn); err == nil {
		conn.Close(t.Context())
		t.Error("a wrong password was taken")
	}
}

func TestOneOwner(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	if a, err := Attach(t.Context(), dir); a != nil || err != nil {
		t.Fatalf("Attach(empty directory) = %v, %v; want no owner", a, err)
	}
	s := start(t, Options{Dir: dir, NoBroker: true})
	if _, err := Start(t.Context(), Options{Dir: dir}); !errors.Is(err, ErrInUse) {
		t.Errorf("second Start = %v, want ErrInUse", err)
	}
	soon, cancel := context.WithTimeout(t.Context(), 5*pollWait)
	defer cancel()
	if a, err := Attach(soon, dir); a != nil || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Attach before Publish = %v, %v, want to wait", a, err)
	}
	if err := s.Publish("127.0.0.1:8080"); err != nil {
		t.Fatal(err)
	}
	a, err := Attach(t.Context(), dir)
	if err != nil || a == nil {
		t.Fatalf("Attach = %v, %v; want the owner", a, err)
	}
	if a.Run.HTTP != "127.0.0.1:8080" || a.Run.Database != s.DSN() || a.Run.PID != os.Getpid() {
		t.Errorf("Attach = %+v, want what the owner published", a.Run)
	}
	info, err := os.Stat(filepath.Join(dir, runName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("run.json has mode %v, %v; want 0600", info.Mode(), err)
	}
	stopped := make(chan error)
	go func() { stopped <- s.StopWhenUnused(t.Context()) }()
	select {
	case <-stopped:
		t.Error("the servers stopped while another process was attached")
	default:
		if got := query(t, a.Run.Database, "SELECT 'up'"); got != "up" {
			t.Errorf("attached query gives %q", got)
		}
	}
	if err := a.Release(); err != nil {
		t.Fatal(err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// TestNothingOutlivesAKill ends an owner with kill -9, with the kernel's watch and with a keeper.
func TestNothingOutlivesAKill(t *testing.T) {
	t.Parallel()
	for _, kept := range []bool{false, true} {
		t.Run(fmt.Sprintf("kept=%v", kept), func(t *testing.T) {
			t.Parallel()
			dir := tempDir(t)
			command, _, postmaster := startChild(t, child{Dir: dir, Kept: kept}, nil)
			run, err := readRun(dir)
			if err != nil {
				t.Fatal(err)
			}
			query(t, run.Database, "CREATE TABLE kept (v text)")
			if err := command.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			command.Wait()
			awaitDeath(t, postmaster)
			if a, err := Attach(t.Context(), dir); a != nil || err != nil {
				t.Errorf("Attach after a kill = %v, %v; want no owner", a, err)
			}
			s := start(t, Options{Dir: dir, NoBroker: true})
			if got := query(t, s.DSN(), "SELECT count(*)::text FROM kept"); got != "0" {
				t.Errorf("after a kill the table has %q rows, want it to be there", got)
			}
		})
	}
}

// TestOrphanIsStopped starts where a server survived its owner, because both it and its keeper were
// cut off.
func TestOrphanIsStopped(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	s := start(t, Options{Dir: dir, NoBroker: true})
	orphan := s.postgres.process.Pid
	if err := s.lock.release(); err != nil { // as if we were gone
		t.Fatal(err)
	}
	s.lock = nil
	again := start(t, Options{Dir: dir, NoBroker: true})
	if isEnded(s.Failed()) != true || again.postgres.process.Pid == orphan {
		t.Errorf("the server of a lost owner, process %d, still runs", orphan)
	}
}

// TestOrdinaryUser runs the servers as nobody; only root can do that to itself.
func TestOrdinaryUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Log("we are an ordinary user: every other test of this package shows it")
		return
	}
	dir := tempDir(t)
	const nobody = 65534
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	command, stdin, postmaster := startChild(t, child{Dir: dir}, &syscall.Credential{Uid: nobody, Gid: nobody})
	stdin.Close()
	if err := command.Wait(); err != nil {
		t.Errorf("owner as nobody: %v", err)
	}
	awaitDeath(t, postmaster)
}

func TestOtherMajorIsRefused(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	s := start(t, Options{Dir: dir, NoBroker: true})
	major := s.postgres.binaries.major
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), Options{Dir: dir, NoBroker: true, Major: major + 1})
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("are of PostgreSQL %d, not %d", major, major+1)) {
		t.Errorf("Start with another major = %v, want a refusal", err)
	}
	version := filepath.Join(dir, "postgres", "data", "PG_VERSION")
	if err := os.WriteFile(version, []byte("99\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), Options{Dir: dir, NoBroker: true}); err == nil || !strings.Contains(err.Error(), "PostgreSQL 99 is needed") {
		t.Errorf("Start on data of 99 = %v, want a refusal", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "postgres", "data", "base")); err != nil {
		t.Errorf("the data are gone: %v", err)
	}
}

func TestHalfMadeDataAreMadeAnew(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	half := filepath.Join(dir, "postgres", "data.new")
	if err := os.MkdirAll(half, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(half, "PG_VERSION"), []byte("15\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, Options{Dir: dir, NoBroker: true})
	if got := query(t, s.DSN(), "SELECT current_database()::text"); got != databaseName {
		t.Errorf("database is %q, want %s", got, databaseName)
	}
}

// TestFetchedPostgres runs the version that is fetched where the system has none.
func TestFetchedPostgres(t *testing.T) {
	t.Parallel()
	userCache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	user, err := findOwner()
	if err != nil {
		t.Fatal(err)
	}
	fetched, err := fetch(t.Context(), Options{Cache: DefaultCache(userCache), Notes: io.Discard}, majorFetched, user)
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, Options{Dir: tempDir(t), NoBroker: true, Bin: fetched.dir})
	if got := query(t, s.DSN(), "SHOW server_version"); !strings.HasPrefix(got, strconv.Itoa(majorFetched)+".") {
		t.Errorf("version is %s, want %d", got, majorFetched)
	}
}

func TestWayOfAnotherUser(t *testing.T) {
	t.Parallel()
	user := owner{name: "nobody", credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	open := tempDir(t)
	closed := filepath.Join(tempDir(t), "closed")
	inner := filepath.Join(closed, "inner")
	for _, dir := range []string{closed, inner} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := user.openWay(open); err != nil {
		t.Errorf("openWay(%s) = %v, want nil", open, err)
	}
	if err := user.openWay(inner); err == nil || !strings.Contains(err.Error(), "can't enter "+closed) {
		t.Errorf("openWay(%s) = %v, want a refusal that names %s", inner, err, closed)
	}
}
