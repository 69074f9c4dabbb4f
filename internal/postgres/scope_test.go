package postgres_test

import (
	"context"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"daybreak/internal/access"
	"daybreak/internal/postgres/pgtest"
)

// asOf returns a context that acts for a person of some books.
func asOf(ctx context.Context, books ...string) context.Context {
	return access.With(ctx, &access.Person{Name: "north.pm", Roles: []access.Role{access.PM}, Books: books})
}

func TestRowsAreOfTheBooksOfWhoAsks(t *testing.T) {
	t.Parallel()
	pool := pgtest.Schema(t)
	for _, sql := range []string{
		`INSERT INTO household (id, region, routing_key, opened, book) VALUES ('N1', 'US', 'N1', '2017-01-02', 'north'), ('S1', 'US', 'S1', '2017-01-02', 'south')`,
		`INSERT INTO account (id, household, owner, type, currency, model, policy, opened)
		 SELECT id || '-A', id, id || '-a', 'taxable', 'USD', 'm', '{}', opened FROM household`,
	} {
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		name string
		ctx  context.Context
		want []string
	}{
		{"nobody: the workers", t.Context(), []string{"N1-A", "S1-A"}},
		{"a person of all books", asOf(t.Context()), []string{"N1-A", "S1-A"}},
		{"a person of one book", asOf(t.Context(), "north"), []string{"N1-A"}},
		{"a person of the other book", asOf(t.Context(), "south"), []string{"S1-A"}},
		{"a person of both books", asOf(t.Context(), "north", "south"), []string{"N1-A", "S1-A"}},
		{"a person of a book that is empty", asOf(t.Context(), "west"), nil},
		{"a book named to look like two", asOf(t.Context(), "no,rth"), nil},
		{"nobody again, on a connection that was confined", t.Context(), []string{"N1-A", "S1-A"}},
	} {
		rows, err := pool.Query(tc.ctx, "SELECT id FROM account ORDER BY id")
		if err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		got, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil || !slices.Equal(got, tc.want) {
			t.Errorf("%s sees %v, %v, want %v", tc.name, got, err, tc.want)
		}
	}
	for _, sql := range []string{
		"UPDATE household SET book = 'north' WHERE id = 'S1'", "UPDATE household SET book = 'south' WHERE id = 'N1'",
		"SELECT * FROM person", "SELECT * FROM api_token", "SELECT * FROM web_session", "SELECT * FROM idempotent_request",
		"SELECT * FROM dead_letter", "DELETE FROM trade_order", "UPDATE audit_head SET id = 9", "UPDATE position SET shares = 0",
	} {
		tag, err := pool.Exec(asOf(t.Context(), "north"), sql)
		if err == nil && tag.RowsAffected() > 0 {
			t.Errorf("a person of one book may: %s", sql)
		}
	}
}

func TestEveryTableOfHouseholdsIsConfined(t *testing.T) {
	t.Parallel()
	rows, err := pgtest.Schema(t).Query(t.Context(), `
		SELECT c.relname FROM pg_class c
		WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND NOT c.relrowsecurity
		  AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname IN ('household', 'account', 'order_id') AND NOT a.attisdropped)
		ORDER BY c.relname`)
	if err != nil {
		t.Fatal(err)
	}
	open, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(open) > 0 {
		t.Errorf("tables without a policy of rows: %v, %v, want none", open, err)
	}
	rows, err = pgtest.Schema(t).Query(t.Context(), `
		SELECT c.relname FROM pg_class c
		WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'v' AND coalesce(NOT 'security_invoker=true' = ANY (c.reloptions), true)`)
	if err != nil {
		t.Fatal(err)
	}
	if views, err := pgx.CollectRows(rows, pgx.RowTo[string]); err != nil || len(views) > 0 {
		t.Errorf("views that look past the policies: %v, %v, want none", views, err)
	}
}
