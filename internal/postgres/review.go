package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"daybreak/internal/access"
	"daybreak/orders"
	"daybreak/pipeline"
)

var _ pipeline.ReviewBook = (*DB)(nil)

// ReadReview implements pipeline.ReviewBook.
func (db *DB) ReadReview(ctx context.Context, run string, each func(pipeline.ReviewOrder) error) error {
	return pgx.BeginTxFunc(ctx, db.pool, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		return readReview(ctx, tx, run, each)
	})
}

func readReview(ctx context.Context, tx pgx.Tx, run string, each func(pipeline.ReviewOrder) error) error {
	rows, err := tx.Query(ctx, query("ReviewOrders"), run)
	if err != nil {
		return err
	}
	var o pipeline.ReviewOrder
	_, err = pgx.ForEachRow(rows, []any{&o.Run, &o.ID, &o.Household, &o.Account, &o.Region, &o.Symbol, &o.Side, &o.Quantity, &o.Price,
		&o.Notional, &o.Value, &o.Currency, &o.AccountCurrency, &o.Reason, &o.State, &o.Approved, &o.Released, &o.HeldBy,
		&o.Exception, &o.Waits, &o.ContentHash, &o.Build, &o.Rules, &o.GapBP}, func() error { return each(o) })
	return err
}

// UpdateReview implements pipeline.ReviewBook.
func (db *DB) UpdateReview(ctx context.Context, run string, each func(pipeline.ReviewOrder) error, finish func() (pipeline.ReviewChanges, error)) error {
	return db.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, query("LockReview"), run); err != nil {
			return err
		}
		if err := readReview(ctx, tx, run, each); err != nil {
			return err
		}
		changes, err := finish()
		if err != nil {
			return err
		}
		return saveReview(ctx, tx, run, changes)
	})
}

func saveReview(ctx context.Context, tx pgx.Tx, run string, c pipeline.ReviewChanges) error {
	detail := map[string]any{"where": c.Act.Where, "comment": c.Act.Comment}
	if c.Frozen != nil {
		id, err := insertApproval(ctx, tx, run, c)
		if err != nil {
			return err
		}
		detail["approval"], detail["orders"], detail["root"] = id, c.Frozen.Orders, c.Frozen.Root
	}
	if err := flagOrders(ctx, tx, run, c.Flagged); err != nil {
		return err
	}
	if err := insertOverrides(ctx, tx, c.Overrides); err != nil {
		return err
	}
	moved, err := moveOrders(ctx, tx, run, c, detail)
	if err != nil {
		return err
	}
	if len(c.Overrides) > 0 {
		if err := letThrough(ctx, tx, run, c, detail); err != nil {
			return err
		}
	}
	if c.Frozen == nil && len(c.Flagged)+len(c.Overrides)+moved == 0 {
		return nil // nothing was open for the act: nothing changed
	}
	if len(c.Flagged) > 0 {
		detail["flagged"] = len(c.Flagged)
	}
	entry := AuditEntry{At: c.Act.Now, Actor: c.Act.By, Action: c.Action, Subject: run, Detail: detail}
	if err := writeAudit(ctx, tx, entry); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, query("Notify"), ChannelOrders, run)
	return err
}

// moveOrders rejects, holds and lets go what an act says, notes it in the audit's detail, and returns
// how many orders that changed.
func moveOrders(ctx context.Context, tx pgx.Tx, run string, c pipeline.ReviewChanges, detail map[string]any) (done int, err error) {
	for _, act := range []struct {
		query string
		ids   []orders.ID
		arg   string
	}{
		{"RejectOrders", c.Rejected, rejection(c.Act)}, {"HoldOrders", c.Held, c.Act.By}, {"UnholdOrders", c.Unheld, ""},
	} {
		if len(act.ids) == 0 {
			continue
		}
		changed, err := collect[string](ctx, tx, act.query, run, act.ids, act.arg)
		if err != nil {
			return done, err
		}
		if _, err := tx.Exec(ctx, query("MarkDueOrders"), run, changed); err != nil {
			return done, fmt.Errorf("mark households: %w", err)
		}
		done += len(changed)
		detail["orders"], detail["ids"] = len(changed), clipped(changed)
	}
	if len(c.Rejected) > 0 {
		if _, err := tx.Exec(ctx, query("VoidOrderLocks"), run, c.Rejected); err != nil {
			return done, fmt.Errorf("void locks: %w", err)
		}
	}
	return done, nil
}

// letThrough has the gateway look at orders whose locks were overridden, and says in the audit's
// detail what was decided about each.
func letThrough(ctx context.Context, tx pgx.Tx, run string, c pipeline.ReviewChanges, detail map[string]any) error {
	ids := make([]string, len(c.Overrides))
	for i, o := range c.Overrides {
		ids[i] = string(o.Order)
	}
	if _, err := tx.Exec(ctx, query("MarkDueOrders"), run, ids); err != nil {
		return fmt.Errorf("mark households: %w", err)
	}
	detail["orders"], detail["ids"] = len(ids), clipped(ids)
	detail["before"], detail["after"], detail["overrides"] = c.Before, c.After, c.Overrides
	return nil
}

// idsMax bounds the order ids that an audit row lists: the root names them all.
const idsMax = 100

func clipped(ids []string) []string { return ids[:min(len(ids), idsMax)] }

func rejection(a pipeline.Act) string {
	if a.Comment == "" {
		return "by " + a.By
	}
	return "by " + a.By + ": " + a.Comment
}

func insertApproval(ctx context.Context, tx pgx.Tx, run string, c pipeline.ReviewChanges) (int64, error) {
	notional, err := json.Marshal(c.Frozen.Notional)
	if err != nil {
		return 0, err
	}
	var id int64
	err = tx.QueryRow(ctx, query("InsertApproval"), run, c.Act.Where, c.Frozen.Orders, notional, c.Frozen.Root, c.Maker, c.Act.By,
		c.Act.Comment, c.Act.Now).Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("store approval: %w", err)
	}
	ids := make([]string, len(c.Approved))
	for i, l := range c.Approved {
		ids[i] = string(l.ID)
	}
	if _, err := tx.Exec(ctx, query("DropOldApprovals"), run, ids); err != nil {
		return 0, fmt.Errorf("store approval: %w", err)
	}
	if err := insertApproved(ctx, tx, run, id, c.Approved); err != nil {
		return 0, fmt.Errorf("store approval: %w", err)
	}
	return id, nil
}

// insertApproved stores which orders an approval signed. COPY is the fastest way in; policies of rows
// don't go with it, so that people of some books take the next one.
func insertApproved(ctx context.Context, tx pgx.Tx, run string, approval int64, approved []orders.Leaf) error {
	if len(access.Books(ctx)) > 0 {
		_, err := tx.Exec(ctx, query("InsertApproved"), run, approval,
			column(approved, func(l orders.Leaf) string { return string(l.ID) }), column(approved, func(l orders.Leaf) string { return l.Content }))
		return err
	}
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"approval_order"}, []string{"run", "order_id", "approval", "content_hash"},
		pgx.CopyFromSlice(len(approved), func(i int) ([]any, error) {
			return []any{run, approved[i].ID, approval, approved[i].Content}, nil
		}))
	return err
}

func flagOrders(ctx context.Context, tx pgx.Tx, run string, flagged []pipeline.Flag) error {
	if len(flagged) == 0 {
		return nil
	}
	n := len(flagged)
	ids, codes, details := make([]string, n), make([]string, n), make([]string, n)
	for i, f := range flagged {
		ids[i], codes[i], details[i] = string(f.Order), f.Code, f.Text()
	}
	_, err := collect[string](ctx, tx, "FlagOrders", run, ids, codes, details)
	return err
}

// ExportOrders implements pipeline.Exports.
func (db *DB) ExportOrders(ctx context.Context, run string, each func(orders.Export) error) error {
	if _, err := db.Run(ctx, run); err != nil {
		return err
	}
	rows, err := db.pool.Query(ctx, query("ExportOrders"), run)
	if err != nil {
		return fmt.Errorf("run %s: export: %w", run, err)
	}
	var e orders.Export
	_, err = pgx.ForEachRow(rows, []any{&e.ID, &e.Account, &e.Household, &e.Security, &e.Side, &e.Quantity, &e.Lots, &e.Reason, &e.Numbers},
		func() error {
			err := each(e)
			e.Lots, e.Numbers = nil, nil
			return err
		})
	if err != nil {
		return fmt.Errorf("run %s: export: %w", run, err)
	}
	return nil
}

// RunOfOrder returns the run of an order: the one that sent it, or the last that proposed it. An id
// that no order has is pipeline.ErrNotFound.
func (db *DB) RunOfOrder(ctx context.Context, id orders.ID) (string, error) {
	rows, err := db.pool.Query(ctx, query("OneOrder"), id)
	if err != nil {
		return "", fmt.Errorf("order %s: %w", id, err)
	}
	runs, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return "", fmt.Errorf("order %s: %w", id, err)
	}
	if len(runs) == 0 {
		return "", fmt.Errorf("order %s: %w", id, pipeline.ErrNotFound)
	}
	return runs[0], nil
}

// SetKillSwitch stops every order of the firm from being sent, or lets them go again.
func (db *DB) SetKillSwitch(ctx context.Context, active bool, reason, by string, now time.Time) error {
	err := db.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, query("SetKillSwitch"), active, reason, by, now); err != nil {
			return err
		}
		entry := AuditEntry{At: now, Actor: by, Action: "kill.switch", Subject: "firm", Detail: map[string]any{"active": active, "reason": reason}}
		if err := writeAudit(ctx, tx, entry); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, query("MarkDueWaiting")); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, query("Notify"), ChannelOrders, "")
		return err
	})
	if err != nil {
		return fmt.Errorf("kill switch: %w", err)
	}
	return nil
}
