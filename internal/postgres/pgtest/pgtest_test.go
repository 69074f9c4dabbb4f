package pgtest

import (
	"os"
	"strings"
	"testing"
)

func TestEachTestHasItsOwnTables(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"one", "other"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := Schema(t)
			if _, err := pool.Exec(t.Context(), "CREATE TABLE mine (v text)"); err != nil {
				t.Error(err)
			}
			var migrated bool
			if err := pool.QueryRow(t.Context(), "SELECT to_regclass('goose_db_version') IS NOT NULL").Scan(&migrated); err != nil || !migrated {
				t.Errorf("migrated = %v, %v, want true", migrated, err)
			}
		})
	}
}

func TestDatabaseIsDropped(t *testing.T) {
	t.Parallel()
	var name string
	t.Run("inner", func(t *testing.T) {
		if err := Schema(t).QueryRow(t.Context(), "SELECT current_database()").Scan(&name); err != nil {
			t.Fatal(err)
		}
	})
	var isThere bool
	if err := Schema(t).QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&isThere); err != nil || isThere {
		t.Errorf("database %s is there after its test: %v, %v", name, isThere, err)
	}
}

func TestChosenMajor(t *testing.T) {
	t.Parallel()
	want := os.Getenv(majorVariable)
	var got string
	if err := Schema(t).QueryRow(t.Context(), "SHOW server_version").Scan(&got); err != nil {
		t.Fatal(err)
	}
	if os.Getenv(urlVariable) == "" && !strings.HasPrefix(got, want) {
		t.Errorf("server is %s, want %s", got, want)
	}
}

func TestWithDatabase(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ dsn, want string }{
		{"postgres://u:p@h:5/a?sslmode=disable", "postgres://u:p@h:5/b?sslmode=disable"},
		{"postgresql://h/a", "postgresql://h/b"},
		{"host=h dbname=a", "host=h dbname=a dbname=b"},
	} {
		got, err := withDatabase(c.dsn, "b")
		if err != nil || got != c.want {
			t.Errorf("withDatabase(%s) = %s, %v, want %s", c.dsn, got, err, c.want)
		}
		if name, err := databaseOf(got); err != nil || name != "b" {
			t.Errorf("databaseOf(%s) = %s, %v, want b", got, name, err)
		}
	}
}
