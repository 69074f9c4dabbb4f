package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"daybreak/market"
	"daybreak/orders"
	"daybreak/pipeline"
	"daybreak/region"
)

// sqlCheck is an invariant that SQL can decide: a query that counts what was looked at and queries
// that return what is broken.
type sqlCheck struct {
	invariant string
	checked   string
	broken    []string
}

var sqlChecks = []sqlCheck{
	{"1 journal: sums to zero, every entry has its execution", "VerifyJournalChecked", []string{"VerifyZeroBroken", "VerifyJournalBroken"}},
	{"2a positions: cache = journal = effective executions", "VerifyPositionsChecked", []string{"VerifyPositionsBroken", "VerifyUnitsBroken"}},
	{"3 cash: cache = journal, nothing below zero unexplained", "VerifyCashChecked", []string{"VerifyCashBroken", "VerifyBelowZeroBroken"}},
	{"4 executions: one effect a key, corrections are a path", "VerifyKeysChecked", []string{"VerifyKeysBroken"}},
	{"5 orders: CumQty + LeavesQty = OrderQty, CumQty = fills", "VerifyOrdersChecked", []string{"VerifyOrdersBroken"}},
	{"6 orders: one at the broker for each ClOrdID", "VerifyOrdersChecked", []string{"VerifyBrokerOrdersBroken"}},
	{"7a approvals: by another person, over the content sent", "VerifyOrdersChecked", []string{"VerifyApprovalsBroken"}},
	{"8 offsets: nothing applied beyond them", "VerifyOffsetsChecked", []string{"VerifyAppliedBroken"}},
	{"9 records: each one applied, duplicate, held or dead-lettered", "VerifyOffsetsChecked", []string{"VerifyEndsBroken", "VerifyLettersBroken", "VerifyReplaysBroken"}},
	{"13 runs: one outcome a household", "VerifyOutcomesChecked", []string{"VerifyOutcomesBroken"}},
	{"14 certificates: no objective below its bound", "VerifyCertificatesChecked", []string{"VerifyCertificatesBroken"}},
}

// Verify checks every invariant that SQL can decide and the audit chain, in one snapshot of the
// database, in order of their numbers.
func (db *DB) Verify(ctx context.Context) ([]pipeline.Check, error) {
	var checks []pipeline.Check
	err := db.inSnapshot(ctx, func(tx pgx.Tx) error {
		for _, c := range sqlChecks {
			done, err := c.run(ctx, tx)
			if err != nil {
				return fmt.Errorf("invariant %s: %w", c.invariant, err)
			}
			checks = append(checks, done)
		}
		for _, check := range []func(context.Context, pgx.Tx) (pipeline.Check, error){verifyContents, verifyLocks, verifyAudit, verifySlips} {
			done, err := check(ctx, tx)
			if err != nil {
				return err
			}
			checks = append(checks, done)
		}
		return nil
	})
	return checks, err
}

func (c sqlCheck) run(ctx context.Context, tx pgx.Tx) (pipeline.Check, error) {
	check := pipeline.Check{Invariant: c.invariant, Broken: []string{}}
	if err := tx.QueryRow(ctx, query(c.checked)).Scan(&check.Checked); err != nil {
		return check, fmt.Errorf("%s: %w", c.checked, err)
	}
	for _, name := range c.broken {
		args := []any{pipeline.BrokenMax + 1} // one more tells that there are more
		if name == "VerifyAppliedBroken" {
			args = append(args, pipeline.TopicFills)
		}
		rows, err := tx.Query(ctx, query(name), args...)
		if err != nil {
			return check, fmt.Errorf("%s: %w", name, err)
		}
		var subject, detail string
		_, err = pgx.ForEachRow(rows, []any{&subject, &detail}, func() error {
			check.Broken = append(check.Broken, subject+": "+detail)
			return nil
		})
		if err != nil {
			return check, fmt.Errorf("%s: %w", name, err)
		}
	}
	check.Finish()
	return check, nil
}

// verifyPage is the number of rows that a check in Go has in memory at once.
const verifyPage = 5_000

// verifyContents recomputes the content hash of every sent order from its columns: invariant 7's
// other half, that what was sent is what was hashed.
func verifyContents(ctx context.Context, tx pgx.Tx) (pipeline.Check, error) {
	check := pipeline.Check{Invariant: "7b approvals: content hashes recomputed", Broken: []string{}}
	var run, id string
	for {
		rows, err := tx.Query(ctx, query("VerifyContents"), run, id, verifyPage)
		if err != nil {
			return check, fmt.Errorf("content hashes: %w", err)
		}
		page, err := pgx.CollectRows(rows, scanOrder)
		if err != nil {
			return check, fmt.Errorf("content hashes: %w", err)
		}
		for _, o := range page {
			check.Checked++
			if o.Content() != o.ContentHash && len(check.Broken) < pipeline.BrokenMax {
				check.Broken = append(check.Broken, fmt.Sprintf("%s %s: its content does not have the hash that was stored", o.Run, o.ID))
			}
		}
		if len(page) == 0 {
			check.OK = len(check.Broken) == 0
			return check, nil
		}
		last := page[len(page)-1]
		run, id = last.Run, string(last.ID)
	}
}

// scanOrder reads what the content hash of an order covers, and the hash.
func scanOrder(row pgx.CollectableRow) (orders.Order, error) {
	var o orders.Order
	var lots, waits, numbers []byte
	err := row.Scan(&o.Run, &o.ID, &o.Session, &o.Sequence, &o.Household, &o.Account, &o.Symbol, &o.Side, &o.Quantity, &o.Type,
		&o.LimitPrice, &o.TimeInForce, &o.Currency, &o.Price, &o.PriceDay, &o.FX, &o.Notional, &o.AccountCurrency, &o.Value,
		&lots, &waits, &o.Reason, &numbers, &o.ContentHash)
	if err != nil {
		return o, err
	}
	err = errors.Join(json.Unmarshal(lots, &o.Lots), json.Unmarshal(waits, &o.WaitsFor), json.Unmarshal(numbers, &o.Numbers))
	return o, err
}

// verifyLocks looks for purchases whose tax day lies within a lock of their property and that nobody
// has let through.
func verifyLocks(ctx context.Context, tx pgx.Tx) (pipeline.Check, error) {
	check := pipeline.Check{Invariant: "11 locks: no purchase of a locked property but by override", Broken: []string{}}
	if err := tx.QueryRow(ctx, query("VerifyLocksChecked")).Scan(&check.Checked); err != nil {
		return check, fmt.Errorf("locks: %w", err)
	}
	var subject, detail, place, exchange string
	var session, until market.Day
	var bad error
	s := scan{"VerifyLocksBroken", nil, []any{&subject, &detail, &place, &exchange, &session, &until}}
	err := eachRow(ctx, tx, s, func() {
		taxDay, err := taxDayOf(place, exchange, session)
		if err != nil {
			bad = errors.Join(bad, err)
		}
		if taxDay <= until && len(check.Broken) <= pipeline.BrokenMax {
			check.Broken = append(check.Broken, subject+": "+detail)
		}
	})
	check.Finish()
	return check, errors.Join(err, bad)
}

// taxDayOf returns the tax day of a trade on a session of an exchange, as a region counts.
func taxDayOf(place, exchange string, session market.Day) (market.Day, error) {
	rules, err := region.Load(place)
	if err != nil {
		return session, err
	}
	settles, err := market.SettleDay(exchange, session)
	return rules.TaxDay(session, settles), err
}
