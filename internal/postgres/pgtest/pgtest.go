// Package pgtest gives each test a database of its own, migrated to this build's schema.
//
// The server is the one of DAYBREAK_TEST_DATABASE_URL, whose role must be allowed to create
// databases; else an embedded one that this test process starts once, of the major version in
// DAYBREAK_TEST_PG (15 or 18), or the newest that the system has.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"daybreak/internal/embedded"
	"daybreak/internal/postgres"
)

// The environment that chooses the server.
const (
	urlVariable   = "DAYBREAK_TEST_DATABASE_URL"
	majorVariable = "DAYBREAK_TEST_PG"
)

// connectionsMax is what the pool of one test may take: many tests run at once.
const connectionsMax = 8

// Schema returns a pool on a database of t's own, migrated, which is dropped when t ends.
func Schema(t testing.TB) *pgxpool.Pool {
	t.Helper()
	return DB(t).Pool()
}

// DB is Schema for tests that want the store.
func DB(t testing.TB) *postgres.DB {
	t.Helper()
	db, err := postgres.Open(t.Context(), DSN(t), connectionsMax)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}

// DSN returns the address of a database of t's own, migrated, which is dropped when t ends.
func DSN(t testing.TB) string {
	t.Helper()
	s, err := sharedServer()
	if err != nil {
		t.Fatal(err)
	}
	dsn, err := s.create(t.Context(), s.template)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.drop(t, dsn) })
	return dsn
}

// Empty returns the address of a database of t's own without any schema, for tests of migrations.
func Empty(t testing.TB) string {
	t.Helper()
	s, err := sharedServer()
	if err != nil {
		t.Fatal(err)
	}
	dsn, err := s.create(t.Context(), "template1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.drop(t, dsn) })
	return dsn
}

// server is where the databases of this test process are.
type server struct {
	dsn      string            // of a database to create others from
	template string            // name of the migrated one that tests get copies of
	prefix   string            // of database names, this process's own
	owned    *embedded.Servers // nil for an external server; held, because its lock goes with it
	serial   atomic.Int64
	mu       sync.Mutex // a template can't be copied by two at once
}

// sharedServer returns the server of this process. It ends with the process.
var sharedServer = sync.OnceValues(func() (*server, error) {
	s := &server{dsn: os.Getenv(urlVariable), prefix: fmt.Sprintf("daybreak_test_%d_", os.Getpid())}
	ctx := context.Background()
	if s.dsn == "" {
		owned, err := startSlot(ctx)
		if err != nil {
			return nil, fmt.Errorf("database for tests: %w", err)
		}
		s.owned, s.dsn = owned, owned.DSN()
	}
	if err := s.sweep(ctx); err != nil {
		return nil, fmt.Errorf("database for tests: %w", err)
	}
	template, err := s.create(ctx, "template1")
	if err != nil {
		return nil, fmt.Errorf("database for tests: %w", err)
	}
	if err := postgres.Migrate(ctx, template); err != nil {
		return nil, err
	}
	s.template, err = databaseOf(template)
	return s, err
})

// slotsMax bounds the embedded servers of test processes that run at the same time.
const slotsMax = 64

// startSlot starts a server in the first directory that no other test process uses. Directories
// are kept, so that the next process starts in a tenth of the time; where its data are broken, one
// beside it takes its place.
func startSlot(ctx context.Context) (*embedded.Servers, error) {
	major, err := wantedMajor()
	if err != nil {
		return nil, err
	}
	base := filepath.Join(os.TempDir(), fmt.Sprintf("daybreak-test-%d", os.Geteuid()))
	if err := os.MkdirAll(base, 0o755); err != nil {
		return nil, err
	}
	for slot := range slotsMax {
		dir := filepath.Join(base, fmt.Sprintf("pg%d-%d", major, slot))
		servers, err := startIn(ctx, dir, major)
		if err != nil && !errors.Is(err, embedded.ErrInUse) {
			servers, err = startIn(ctx, dir+"-anew", major)
		}
		if !errors.Is(err, embedded.ErrInUse) {
			return servers, err
		}
	}
	return nil, fmt.Errorf("all %d directories in %s are in use", slotsMax, base)
}

// startIn starts a server that is fast and forgets on a power cut: a test kills processes, never
// the machine, and what was written survives that without fsync.
func startIn(ctx context.Context, dir string, major int) (*embedded.Servers, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	return embedded.Start(ctx, embedded.Options{
		Dir: dir, Cache: embedded.DefaultCache(cache), Major: major, NoBroker: true, Notes: os.Stderr,
		Settings: map[string]string{
			"fsync": "off", "full_page_writes": "off", "shared_buffers": "128MB", "min_wal_size": "64MB", "max_wal_size": "512MB",
		},
	})
}

func wantedMajor() (int, error) {
	text := os.Getenv(majorVariable)
	if text == "" {
		return 0, nil
	}
	major, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("%s is %q, want a major version such as 15 or 18", majorVariable, text)
	}
	return major, nil
}

// sweep drops the databases of test processes that were killed. Those of an external server may
// belong to another machine's tests, so they are left alone.
func (s *server) sweep(ctx context.Context) error {
	if os.Getenv(urlVariable) != "" {
		return nil
	}
	return s.admin(ctx, func(conn *pgx.Conn) error {
		rows, _ := conn.Query(ctx, "SELECT datname FROM pg_database WHERE datname LIKE 'daybreak\\_test\\_%' ORDER BY datname")
		names, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		for _, name := range names {
			if _, err := conn.Exec(ctx, "DROP DATABASE "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)"); err != nil {
				return err
			}
		}
		return nil
	})
}

// create makes a database as a copy of template and returns its address.
func (s *server) create(ctx context.Context, template string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := s.prefix + strconv.FormatInt(s.serial.Add(1), 10)
	err := s.admin(ctx, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()+" TEMPLATE "+pgx.Identifier{template}.Sanitize())
		return err
	})
	if err != nil {
		return "", fmt.Errorf("create database %s: %w", name, err)
	}
	return withDatabase(s.dsn, name)
}

func (s *server) drop(t testing.TB, dsn string) {
	ctx := context.WithoutCancel(t.Context())
	name, err := databaseOf(dsn)
	if err == nil {
		err = s.admin(ctx, func(conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, "DROP DATABASE "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)")
			return err
		})
	}
	if err != nil {
		t.Errorf("drop the test's database: %v", err)
	}
}

func (s *server) admin(ctx context.Context, do func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, s.dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return do(conn)
}
