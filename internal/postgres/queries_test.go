package postgres

import (
	"maps"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
)

// PrepareAll prepares every query against the schema of a connection; a test outside the package,
// which has a database, calls it.
func PrepareAll(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(queries)) {
		if _, err := conn.Prepare(t.Context(), name, queries[name]); err != nil {
			t.Errorf("query %s: %v", name, err)
		}
	}
}
