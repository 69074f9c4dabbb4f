package postgres_test

import (
	"testing"

	"daybreak/internal/postgres"
	"daybreak/internal/postgres/pgtest"
)

func TestEveryQueryFitsTheSchema(t *testing.T) {
	t.Parallel()
	conn, err := pgtest.Schema(t).Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	postgres.PrepareAll(t, conn.Conn())
}
