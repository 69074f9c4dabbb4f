package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"daybreak/pipeline"
)

// BookException is a fact that broke a rule of the book.
type BookException = pipeline.BookException

// Exceptions returns the open exceptions of the book, the oldest first; with all the closed ones too.
func (db *DB) Exceptions(ctx context.Context, all bool) ([]BookException, error) {
	return loadRecords[BookException](ctx, db, "BookExceptions", all)
}

// CloseException closes an exception in the name of a person, with an audit row. One that is not
// there, or is closed, is pipeline.ErrNotFound; one whose account would be below zero without an
// explanation is pipeline.ErrState.
func (db *DB) CloseException(ctx context.Context, id int64, by, why string, now time.Time) error {
	err := db.inTx(ctx, func(tx pgx.Tx) error {
		var household, account string
		err := tx.QueryRow(ctx, query("CloseException"), id, now).Scan(&household, &account)
		if errors.Is(err, pgx.ErrNoRows) {
			return fmt.Errorf("open exception: %w", pipeline.ErrNotFound)
		}
		if err != nil {
			return err
		}
		below, err := collect[string](ctx, tx, "StillBelowZero", account)
		if err != nil {
			return err
		}
		if len(below) > 0 {
			return fmt.Errorf("account %s still holds %s: %w", account, strings.Join(below, ", "), pipeline.ErrState)
		}
		return writeAudit(ctx, tx, AuditEntry{At: now, Actor: by, Action: "exception.close", Subject: fmt.Sprint(id),
			Detail: map[string]any{"household": household, "why": why}})
	})
	if err != nil {
		return fmt.Errorf("exception %d: %w", id, err)
	}
	return nil
}

// KillSwitch returns whether orders of the firm are sent.
func (db *DB) KillSwitch(ctx context.Context) (pipeline.KillSwitch, error) {
	rows, err := rowsOf[pipeline.KillSwitch](ctx, db, "ShowKillSwitch")
	if err == nil && len(rows) == 0 {
		err = pipeline.ErrNotFound
	}
	if err != nil {
		return pipeline.KillSwitch{}, fmt.Errorf("kill switch: %w", err)
	}
	return rows[0], nil
}
