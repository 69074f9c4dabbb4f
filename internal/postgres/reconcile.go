package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"daybreak/ledger"
	"daybreak/market"
	"daybreak/money"
	"daybreak/pipeline"
)

var _ pipeline.Reconciliations = (*DB)(nil)

// BookBalances implements pipeline.Reconciliations.
func (db *DB) BookBalances(ctx context.Context, q pipeline.BalanceQuery) (pipeline.BookBalances, error) {
	b := pipeline.BookBalances{Balances: map[pipeline.BalanceKey]money.Dec{}, Waiting: map[string]int{}}
	err := db.inSnapshot(ctx, func(tx pgx.Tx) (err error) {
		if b.Accounts, err = collect[string](ctx, tx, "ReconcileAccounts", q.Accounts, q.All); err != nil {
			return err
		}
		var k pipeline.BalanceKey
		var amount money.Dec
		balances := scan{"ReconcileBalances", []any{b.Accounts, q.Day}, []any{&k.Account, &k.Kind, &k.Item, &amount}}
		if err := eachRow(ctx, tx, balances, func() { b.Balances[k] = amount }); err != nil {
			return err
		}
		var m pipeline.BookMovement
		moves := scan{"ReconcileMoves", []any{b.Accounts, q.Day, q.Made},
			[]any{&m.Key.Account, &m.Key.Kind, &m.Key.Item, &m.Amount, &m.Recent, &m.Late, &m.Unsettled}}
		if err := eachRow(ctx, tx, moves, func() { b.Movements = append(b.Movements, m) }); err != nil {
			return err
		}
		var account string
		var waiting int
		return eachRow(ctx, tx, scan{"ReconcileWaiting", []any{b.Accounts}, []any{&account, &waiting}}, func() { b.Waiting[account] = waiting })
	})
	if err != nil {
		return b, fmt.Errorf("balances of %s: %w", q.Day, err)
	}
	return b, nil
}

// SaveReconciliation implements pipeline.Reconciliations.
func (db *DB) SaveReconciliation(ctx context.Context, r *pipeline.Reconciliation, owner string) error {
	err := db.inTx(ctx, func(tx pgx.Tx) error {
		before, err := breaks(ctx, tx, "ReconcileBefore", r.Source, r.Day)
		if err != nil {
			return err
		}
		r.Carry(before, owner)
		if _, err := tx.Exec(ctx, query("ReconcileForget"), r.Source, r.Day); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, query("ReconcileSave"), r.Source, r.Day, r.FileHash, r.Balances, r.Actor, r.At); err != nil {
			return err
		}
		rows := make([][]any, len(r.Breaks))
		for i, b := range r.Breaks {
			rows[i] = []any{r.Source, r.Day, b.Account, b.Kind, b.Item, b.Theirs, b.Ours, b.Since, string(b.Cause), b.Detail, b.Owner}
		}
		columns := []string{"source", "day", "account", "kind", "item", "theirs", "ours", "since", "cause", "detail", "owner"}
		if err := copyTables(ctx, tx, []tableRows{{"reconciliation_break", columns, rows}}); err != nil {
			return err
		}
		return writeAudit(ctx, tx, AuditEntry{At: r.At, Actor: r.Actor, Action: "reconcile.import", Subject: r.Source + " " + r.Day.String(),
			Detail: map[string]any{"file": r.FileHash, "balances": r.Balances, "breaks": len(r.Breaks), "closed": len(r.Closed)}})
	})
	if err != nil {
		return fmt.Errorf("reconciliation of %s, %s: %w", r.Source, r.Day, err)
	}
	return nil
}

func breaks(ctx context.Context, tx pgx.Tx, name, source string, day market.Day) ([]ledger.Break, error) {
	var all []ledger.Break
	var b ledger.Break
	s := scan{name, []any{source, day}, []any{&b.Account, &b.Kind, &b.Item, &b.Theirs, &b.Ours, &b.Since, &b.Cause, &b.Detail, &b.Owner}}
	err := eachRow(ctx, tx, s, func() {
		b.Differs = b.Theirs.Sub(b.Ours)
		all = append(all, b)
	})
	return all, err
}

// Reconciliation returns what was compared with a source's file of a day; the last one for NoDay. One that
// is not there is pipeline.ErrNotFound.
func (db *DB) Reconciliation(ctx context.Context, source string, day market.Day) (pipeline.Reconciliation, error) {
	r := pipeline.Reconciliation{Source: source}
	err := db.inSnapshot(ctx, func(tx pgx.Tx) error {
		var wanted *market.Day
		if day != market.NoDay {
			wanted = &day
		}
		err := tx.QueryRow(ctx, query("ReconcileHead"), source, wanted).Scan(&r.Day, &r.FileHash, &r.Balances, &r.Actor, &r.At)
		if errors.Is(err, pgx.ErrNoRows) {
			return pipeline.ErrNotFound
		}
		if err != nil {
			return err
		}
		if r.Breaks, err = breaks(ctx, tx, "ReconcileOf", source, r.Day); err != nil {
			return err
		}
		before, err := breaks(ctx, tx, "ReconcileBefore", source, r.Day)
		if err != nil {
			return err
		}
		r.Carry(before, "")
		return nil
	})
	if err != nil {
		return r, fmt.Errorf("reconciliation of %s: %w", source, err)
	}
	return r, nil
}

// OwnBreak gives a break an owner, with an audit row. One that is not there is pipeline.ErrNotFound.
func (db *DB) OwnBreak(ctx context.Context, b pipeline.BreakOwner) error {
	k := b.Key
	return db.inTx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, query("ReconcileOwner"), b.Source, k.Account, k.Kind, k.Item, b.Owner)
		if err != nil {
			return fmt.Errorf("owner of a break: %w", err)
		}
		if tag.RowsAffected() == 0 {
			return fmt.Errorf("break of %s in %s %s at %s: %w", k.Account, k.Kind, k.Item, b.Source, pipeline.ErrNotFound)
		}
		return writeAudit(ctx, tx, AuditEntry{At: b.Now, Actor: b.By, Action: "reconcile.own", Subject: b.Source,
			Detail: map[string]any{"account": k.Account, "kind": k.Kind, "item": k.Item, "owner": b.Owner}})
	})
}

// CountBreaks returns the number of breaks of the last day of each source.
func (db *DB) CountBreaks(ctx context.Context) (int64, error) {
	var n int64
	if err := db.pool.QueryRow(ctx, query("ReconcileCount")).Scan(&n); err != nil {
		return 0, fmt.Errorf("breaks: %w", err)
	}
	return n, nil
}
