package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"daybreak/internal/access"
)

// personRole is the role of the database that the policies of rows bind.
const personRole = "daybreak_person"

// scopeKey is where a connection remembers for whom it acts.
const scopeKey = "daybreak_scope"

// scope is for whom a connection acts; the zero one is the whole book.
type scope struct{ role, books, person string }

func scopeOf(ctx context.Context) scope {
	books := access.Books(ctx)
	if len(books) == 0 {
		return scope{}
	}
	valid := slices.DeleteFunc(slices.Clone(books), func(b string) bool { return !access.IsBook(b) })
	return scope{personRole, strings.Join(valid, ","), access.Of(ctx).Name}
}

// actFor makes a connection that leaves the pool act for the person of ctx: one of some books takes a
// role that sees the rows of those books alone, whatever is asked. The next one who gets the
// connection is looked at anew, so that nobody inherits another's sight.
func actFor(ctx context.Context, c *pgx.Conn) (bool, error) {
	wanted := scopeOf(ctx)
	known := c.PgConn().CustomData()
	if have, _ := known[scopeKey].(scope); have == wanted {
		return true, nil
	}
	role := wanted.role
	if role == "" {
		role = "none"
	}
	known[scopeKey] = scope{role: "unknown"}
	if _, err := c.Exec(ctx, query("ActFor"), role, wanted.books, wanted.person); err != nil {
		return false, confined(err)
	}
	known[scopeKey] = wanted
	return true, nil
}

// confined says what to do where the role of people of some books is not there.
func confined(err error) error {
	var refused *pgconn.PgError
	if errors.As(err, &refused) && (refused.Code == "22023" || refused.Code == "42501") {
		return fmt.Errorf("people of some books cannot act on this database: an administrator of it runs "+
			"CREATE ROLE %s NOLOGIN, grants it to the role of Daybreak, and migrates anew: %w", personRole, err)
	}
	return fmt.Errorf("act for a person: %w", err)
}

// whole returns a context that sees all of the book, for what is nobody's row.
func whole(ctx context.Context) context.Context { return access.With(ctx, nil) }
