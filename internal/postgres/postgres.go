// Package postgres keeps Daybreak's state in PostgreSQL 15 or later: the truth that every worker,
// consumer and page reads and writes.
package postgres

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

// DB is a pool of connections to one Daybreak database. It is safe for concurrent use.
type DB struct {
	pool *pgxpool.Pool
}

// Open connects to the database of dsn, which is in any form that libpq takes, with at most
// connectionsMax connections. The caller closes it.
func Open(ctx context.Context, dsn string, connectionsMax int) (*DB, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("database address: %w", err)
	}
	config.MaxConns = int32(connectionsMax)
	config.AfterConnect = func(_ context.Context, c *pgx.Conn) error {
		registerTypes(c.TypeMap())
		return nil
	}
	config.PrepareConn = actFor
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, unreachable(err)
	}
	return &DB{pool: pool}, nil
}

// unreachable says what to look at where a database does not answer.
func unreachable(err error) error {
	return fmt.Errorf("the database can't be reached; is it running, and does --database-url (or PG*) name it? %w", err)
}

// New returns a DB over the pool of one that Open made.
func New(pool *pgxpool.Pool) *DB { return &DB{pool: pool} }

// Close closes all connections.
func (db *DB) Close() { db.pool.Close() }

// Pool returns the pool underneath, for tests and measurements.
func (db *DB) Pool() *pgxpool.Pool { return db.pool }

// Migrate brings the schema of dsn's database to the version of this build; a second call changes
// nothing, and calls of several processes at once wait for each other.
func Migrate(ctx context.Context, dsn string) error {
	return withMigrations(dsn, func(p *goose.Provider) error {
		if _, err := p.Up(ctx); err != nil {
			return fmt.Errorf("migrate: %w", err)
		}
		return nil
	})
}

// SchemaVersions returns the version of the schema that dsn's database has and the one that this
// build wants; have is 0 where nothing was migrated.
func SchemaVersions(ctx context.Context, dsn string) (have, want int64, err error) {
	err = withMigrations(dsn, func(p *goose.Provider) error {
		have, want, err = p.GetVersions(ctx)
		return err
	})
	return have, want, err
}

// migrateWaitMax is how many seconds a migration waits for one of another process, asking every
// second.
const migrateWaitMax = 300

func withMigrations(dsn string, do func(*goose.Provider) error) error {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return fmt.Errorf("database address: %w", err)
	}
	conn := stdlib.OpenDB(*config)
	defer conn.Close()
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, migrateWaitMax))
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, conn, files, goose.WithSessionLocker(locker))
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	if err := conn.Ping(); err != nil {
		return unreachable(err)
	}
	return do(provider)
}

// inTx runs do in one transaction and commits it where do returns nil.
func (db *DB) inTx(ctx context.Context, do func(tx pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, db.pool, do)
}
