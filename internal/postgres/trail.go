package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"daybreak/pipeline"
)

// Audit returns a page of the audit trail, newest first.
func (db *DB) Audit(ctx context.Context, q pipeline.AuditQuery) ([]pipeline.AuditLink, error) {
	rows, err := db.pool.Query(ctx, query("AuditPage"), q.Before, q.Actor, q.Action, q.Subject, q.From, q.To, q.Limit)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	links, err := pgx.CollectRows(rows, scanLink)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return links, nil
}

func scanLink(row pgx.CollectableRow) (pipeline.AuditLink, error) {
	var l pipeline.AuditLink
	var at time.Time
	var detail string
	err := row.Scan(&l.ID, &at, &l.Actor, &l.Action, &l.Subject, &detail, &l.Previous, &l.Hash)
	l.At, l.Detail = at.UTC(), json.RawMessage(detail)
	return l, err
}

// ExportAudit calls each for every row of the trail in order, and returns the last one's number and
// hash: what an auditor keeps elsewhere.
func (db *DB) ExportAudit(ctx context.Context, each func(pipeline.AuditLink) error) (pipeline.AuditRoot, error) {
	var root pipeline.AuditRoot
	err := db.inSnapshot(ctx, func(tx pgx.Tx) error {
		return eachLink(ctx, tx, func(l pipeline.AuditLink) error {
			root = pipeline.AuditRoot{ID: l.ID, Hash: l.Hash}
			return each(l)
		})
	})
	if err != nil {
		return root, fmt.Errorf("audit: export: %w", err)
	}
	return root, nil
}

func eachLink(ctx context.Context, tx pgx.Tx, each func(pipeline.AuditLink) error) error {
	var last int64
	for {
		rows, err := tx.Query(ctx, query("AuditFrom"), last, verifyPage)
		if err != nil {
			return err
		}
		page, err := pgx.CollectRows(rows, scanLink)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, l := range page {
			if err := each(l); err != nil {
				return err
			}
			last = l.ID
		}
	}
}

// VerifyAudit checks the audit trail alone, as Verify does. Roots that an auditor kept must be in it.
func (db *DB) VerifyAudit(ctx context.Context, kept ...pipeline.AuditRoot) (pipeline.Check, error) {
	var check pipeline.Check
	err := db.inSnapshot(ctx, func(tx pgx.Tx) error {
		var err error
		if check, err = verifyAudit(ctx, tx); err != nil {
			return err
		}
		for _, root := range kept {
			var hash string
			err := tx.QueryRow(ctx, query("AuditRow"), root.ID).Scan(&hash)
			if err != nil && !errors.Is(err, pgx.ErrNoRows) {
				return err
			}
			if hash != root.Hash {
				check.Broken = append(check.Broken, fmt.Sprintf("row %d: it does not have the hash that was kept", root.ID))
			}
		}
		check.Finish()
		return nil
	})
	if err != nil {
		return check, fmt.Errorf("audit: verify: %w", err)
	}
	return check, nil
}

// verifyAudit walks the chain: numbers without a gap, each hash over its row and the hash before, and
// the end where the head says it is.
func verifyAudit(ctx context.Context, tx pgx.Tx) (pipeline.Check, error) {
	check := pipeline.Check{Invariant: "12 audit: the chain verifies", Broken: []string{}}
	var last pipeline.AuditRoot
	broken := func(format string, args ...any) {
		if len(check.Broken) <= pipeline.BrokenMax {
			check.Broken = append(check.Broken, fmt.Sprintf(format, args...))
		}
	}
	err := eachLink(ctx, tx, func(l pipeline.AuditLink) error {
		check.Checked++
		if l.ID != last.ID+1 || l.Previous != last.Hash || auditHash(linkOf(l)) != l.Hash {
			broken("row %d: changed, missing before it, or out of order", l.ID)
		}
		last = pipeline.AuditRoot{ID: l.ID, Hash: l.Hash}
		return nil
	})
	if err != nil {
		return check, fmt.Errorf("audit: %w", err)
	}
	var head pipeline.AuditRoot
	if err := tx.QueryRow(ctx, query("LastAudit")).Scan(&head.ID, &head.Hash); err != nil {
		return check, fmt.Errorf("audit: %w", err)
	}
	if head != last {
		broken("row %d: the trail ends here, and its head says %d", last.ID, head.ID)
	}
	check.Finish()
	return check, nil
}

func linkOf(l pipeline.AuditLink) auditLink {
	return auditLink{l.ID, l.At, l.Actor, l.Action, l.Subject, l.Detail, l.Previous}
}
