package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"daybreak/internal/access"
	"daybreak/pipeline"
)

// personRow is a person as it is stored.
type personRow struct {
	Name    string
	Roles   []access.Role
	Books   []string
	Issuer  string
	Subject string
	Active  bool
	Changed time.Time
}

func (r personRow) account() access.Account {
	return access.Account{Person: access.Person{Name: r.Name, Roles: r.Roles, Books: r.Books},
		Issuer: r.Issuer, Subject: r.Subject, Active: r.Active, Changed: r.Changed}
}

// PersonAccount returns a person by name, active or not. It returns pipeline.ErrNotFound, wrapped.
func (db *DB) PersonAccount(ctx context.Context, name string) (access.Account, error) {
	rows, err := rowsOf[personRow](whole(ctx), db, "PersonByName", name)
	if err != nil {
		return access.Account{}, fmt.Errorf("person %s: %w", name, err)
	}
	if len(rows) == 0 {
		return access.Account{}, fmt.Errorf("person %s: %w", name, pipeline.ErrNotFound)
	}
	return rows[0].account(), nil
}

// Person returns who has a name; access.ErrUnknown where nobody active does.
func (db *DB) Person(ctx context.Context, name string) (*access.Person, error) {
	a, err := db.PersonAccount(ctx, name)
	if errors.Is(err, pipeline.ErrNotFound) || err == nil && !a.Active {
		return nil, access.ErrUnknown
	}
	if err != nil {
		return nil, err
	}
	return &a.Person, nil
}

// PersonOfToken returns whose token has a hash at an instant; access.ErrUnknown where it is nobody's,
// has expired or was revoked.
func (db *DB) PersonOfToken(ctx context.Context, hash string, now time.Time) (*access.Person, error) {
	type tokenRow struct {
		personRow
		Token int64
	}
	rows, err := rowsOf[tokenRow](whole(ctx), db, "PersonByToken", hash, now)
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	if len(rows) == 0 {
		return nil, access.ErrUnknown
	}
	p := rows[0].account().Person
	p.Via = "token " + strconv.FormatInt(rows[0].Token, 10)
	return &p, nil
}

// SignOn returns the person whom a sign-on names, with the roles and books that it gives now. One who
// comes for the first time is stored by name; a name that is another's already is
// pipeline.ErrState, and one who was made inactive is access.ErrDenied.
func (db *DB) SignOn(ctx context.Context, a access.Account) (*access.Person, error) {
	ctx = whole(ctx)
	err := db.inTx(ctx, func(tx pgx.Tx) error {
		known, err := collectRows[personRow](ctx, tx, "PersonBySubject", a.Issuer, a.Subject)
		if err != nil {
			return err
		}
		if len(known) == 0 {
			named, err := collectRows[personRow](ctx, tx, "PersonByName", a.Name)
			if err != nil {
				return err
			}
			if len(named) > 0 {
				return fmt.Errorf("the name is another person's: %w", pipeline.ErrState)
			}
			return savePerson(ctx, tx, a, a.Name)
		}
		was := known[0].account()
		a.Name = was.Name
		if !was.Active {
			return fmt.Errorf("made inactive: %w", access.ErrDenied)
		}
		if slices.Equal(was.Roles, a.Roles) && slices.Equal(was.Books, a.Books) {
			return nil
		}
		return savePerson(ctx, tx, a, a.Name)
	})
	if err != nil {
		return nil, fmt.Errorf("sign on as %s: %w", a.Name, err)
	}
	return &a.Person, nil
}

// SavePerson stores a person in the name of an administrator, with an audit row.
func (db *DB) SavePerson(ctx context.Context, a access.Account, by string) error {
	err := db.inTx(ctx, func(tx pgx.Tx) error { return savePerson(ctx, tx, a, by) })
	if err != nil {
		return fmt.Errorf("person %s: %w", a.Name, err)
	}
	return nil
}

func savePerson(ctx context.Context, tx pgx.Tx, a access.Account, by string) error {
	was, err := collectRows[personRow](ctx, tx, "PersonByName", a.Name)
	if err != nil {
		return err
	}
	if len(was) > 0 && a.Subject == "" { // an administrator's change leaves the sign-on as it is
		a.Issuer, a.Subject = was[0].Issuer, was[0].Subject
	}
	if a.Books == nil {
		a.Books = []string{}
	}
	if a.Roles == nil {
		a.Roles = []access.Role{}
	}
	if _, err := tx.Exec(ctx, query("SavePerson"), a.Name, a.Roles, a.Books, a.Issuer, a.Subject, a.Active, a.Changed); err != nil {
		return err
	}
	detail := map[string]any{"before": nil, "after": a}
	if len(was) > 0 {
		detail["before"] = was[0].account()
	}
	return writeAudit(ctx, tx, AuditEntry{At: a.Changed, Actor: by, Action: "person.save", Subject: a.Name, Detail: detail})
}

// People returns all people by name.
func (db *DB) People(ctx context.Context) ([]access.Account, error) {
	rows, err := rowsOf[personRow](whole(ctx), db, "People")
	if err != nil {
		return nil, fmt.Errorf("people: %w", err)
	}
	all := make([]access.Account, len(rows))
	for i, r := range rows {
		all[i] = r.account()
	}
	return all, nil
}

// CreateToken stores the hash of a person's new token and returns its number.
func (db *DB) CreateToken(ctx context.Context, t access.Token, hash, by string) (id int64, err error) {
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, query("InsertToken"), hash, t.Person, t.Label, t.Created, t.Expires).Scan(&id); err != nil {
			return missingPerson(err)
		}
		return writeAudit(ctx, tx, AuditEntry{At: t.Created, Actor: by, Action: "token.create", Subject: t.Person,
			Detail: map[string]any{"token": id, "label": t.Label, "expires": t.Expires}})
	})
	if err != nil {
		return 0, fmt.Errorf("token of %s: %w", t.Person, err)
	}
	return id, nil
}

// missingPerson is pipeline.ErrNotFound where a row names a person who is not there.
func missingPerson(err error) error {
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == "23503" {
		return fmt.Errorf("the person: %w", pipeline.ErrNotFound)
	}
	return err
}

// RevokeToken ends a token. One that is not there or has ended is pipeline.ErrNotFound.
func (db *DB) RevokeToken(ctx context.Context, id int64, by string, now time.Time) error {
	err := db.inTx(ctx, func(tx pgx.Tx) error {
		var person string
		err := tx.QueryRow(ctx, query("RevokeToken"), id, now).Scan(&person)
		if errors.Is(err, pgx.ErrNoRows) {
			return pipeline.ErrNotFound
		}
		if err != nil {
			return err
		}
		return writeAudit(ctx, tx, AuditEntry{At: now, Actor: by, Action: "token.revoke", Subject: person, Detail: map[string]any{"token": id}})
	})
	if err != nil {
		return fmt.Errorf("token %d: %w", id, err)
	}
	return nil
}

// Tokens returns all tokens by number, without what proves them.
func (db *DB) Tokens(ctx context.Context) ([]access.Token, error) {
	all, err := rowsOf[access.Token](whole(ctx), db, "Tokens")
	if err != nil {
		return nil, fmt.Errorf("tokens: %w", err)
	}
	return all, nil
}

// MoveToBook puts households into a book, with an audit row, and returns how many were in another one.
func (db *DB) MoveToBook(ctx context.Context, households []string, book, by string, now time.Time) (moved int, err error) {
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		ids, err := collect[string](ctx, tx, "MoveToBook", households, book)
		if err != nil || len(ids) == 0 {
			return err
		}
		moved = len(ids)
		return writeAudit(ctx, tx, AuditEntry{At: now, Actor: by, Action: "book.move", Subject: book,
			Detail: map[string]any{"households": moved, "ids": clipped(ids)}})
	})
	if err != nil {
		return 0, fmt.Errorf("book %s: %w", book, err)
	}
	return moved, nil
}

// collectRows runs the statement of a name in tx and reads its rows into structs by column name.
func collectRows[T any](ctx context.Context, tx pgx.Tx, name string, args ...any) ([]T, error) {
	rows, err := tx.Query(ctx, query(name), args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[T])
}
