package postgres_test

import (
	"sync"
	"testing"

	"daybreak/internal/postgres"
	"daybreak/internal/postgres/pgtest"
)

func TestMigrateAtOnce(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Empty(t)
	have, want, err := postgres.SchemaVersions(t.Context(), dsn)
	if err != nil || have != 0 || want < 1 {
		t.Fatalf("SchemaVersions(nothing migrated) = %d, %d, %v, want 0 and this build's", have, want, err)
	}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			if err := postgres.Migrate(t.Context(), dsn); err != nil {
				t.Errorf("Migrate beside others = %v", err)
			}
		})
	}
	group.Wait()
	if have, want, err := postgres.SchemaVersions(t.Context(), dsn); err != nil || have != want {
		t.Errorf("SchemaVersions(migrated) = %d, %d, %v, want equal ones", have, want, err)
	}
}
