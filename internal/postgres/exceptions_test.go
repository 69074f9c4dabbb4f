package postgres_test

import (
	"errors"
	"testing"
	"time"

	"daybreak/internal/postgres"
	"daybreak/internal/postgres/pgtest"
	"daybreak/pipeline"
)

func TestCloseException(t *testing.T) {
	t.Parallel()
	db := pgtest.DB(t)
	seedBook(t, db.Pool(), 2)
	for _, sql := range []string{
		"UPDATE cash SET amount = -5 WHERE account = 'A00000'",
		`INSERT INTO book_exception (household, account, code, subject, detail, owner, opened)
		 VALUES ('H00000', 'A00000', 'NEGATIVE_CASH', 'USD', '', 'ops', now()), ('H00001', 'A00001', 'OVER_FILL', 'X', '', 'ops', now())`,
	} {
		if _, err := db.Pool().Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	open := exceptions(t, db)
	now := time.Unix(1_000_000, 0)
	if err := db.CloseException(t.Context(), open[0].ID, "ana", "no reason", now); !errors.Is(err, pipeline.ErrState) {
		t.Errorf("closing a negative cash that is still there = %v, want %v", err, pipeline.ErrState)
	}
	if err := db.CloseException(t.Context(), open[1].ID, "ana", "looked at", now); err != nil {
		t.Errorf("closing an overfill = %v", err)
	}
	if err := db.CloseException(t.Context(), open[1].ID, "ana", "again", now); !errors.Is(err, pipeline.ErrNotFound) {
		t.Errorf("closing it again = %v, want %v", err, pipeline.ErrNotFound)
	}
	if left := exceptions(t, db); len(left) != 1 || left[0].ID != open[0].ID {
		t.Errorf("open exceptions %v, want the first alone", left)
	}
}

func exceptions(t *testing.T, db *postgres.DB) []postgres.BookException {
	t.Helper()
	all, err := db.Exceptions(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	return all
}
