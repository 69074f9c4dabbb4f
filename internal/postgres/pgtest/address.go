package pgtest

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"
)

// withDatabase returns dsn with another database in it; dsn is a URL or a list of key=value.
func withDatabase(dsn, name string) (string, error) {
	if !strings.HasPrefix(dsn, "postgres://") && !strings.HasPrefix(dsn, "postgresql://") {
		return dsn + " dbname=" + name, nil // the last one of a key counts
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return "", fmt.Errorf("address of the test database: %w", err)
	}
	u.Path = "/" + name
	return u.String(), nil
}

func databaseOf(dsn string) (string, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return "", err
	}
	return config.Database, nil
}
