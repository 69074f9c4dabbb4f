package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"daybreak/money"
	"daybreak/portfolio"
)

// pinnedReads are the queries over a batch's households of a run that decides nothing.
var pinnedReads = []string{
	"PinnedHouseholds", "PinnedAccounts", "PinnedCash", "PinnedPositions", "PinnedCheckpoints", "PinnedEvents", "PinnedLocks",
}

// PinnedBatch is a batch of a run that decides nothing: the households that it reads and the rows that
// it writes, an outcome for each account and the orders, as queries/pinned.sql fixes them.
type PinnedBatch struct {
	Households []portfolio.HouseholdID
	outcomes   copyBuffer
	orders     copyBuffer
}

// pinnedOutcome and pinnedOrder are the rows that a batch writes.
type pinnedOutcome struct {
	Household portfolio.HouseholdID
	Account   string
	Outcome   string
	Value     money.Dec
}

type pinnedOrder struct {
	Household  portfolio.HouseholdID
	Account    string
	Symbol     string
	Side       string
	Quantity   money.Dec
	LimitPrice money.Dec
	Currency   string
}

// PinnedBatches returns what a run has decided as batches of so many households, in order of
// household, and makes empty tables for them. A household without an account's decision is left out.
func (db *DB) PinnedBatches(ctx context.Context, run string, size int) ([]*PinnedBatch, error) {
	for _, name := range []string{"PinnedOutcomeTable", "PinnedOrderTable", "PinnedClear"} {
		if _, err := db.pool.Exec(ctx, query(name)); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	outcomes, err := loadRecords[pinnedOutcome](ctx, db, "PinnedOutcomes", run)
	if err != nil {
		return nil, err
	}
	orders, err := loadRecords[pinnedOrder](ctx, db, "PinnedOrders", run)
	if err != nil {
		return nil, err
	}
	var all []*PinnedBatch
	of := map[portfolio.HouseholdID]*PinnedBatch{}
	for _, o := range outcomes {
		b := of[o.Household]
		if b == nil {
			if len(all) == 0 || len(all[len(all)-1].Households) == size {
				all = append(all, &PinnedBatch{})
			}
			b = all[len(all)-1]
			b.Households = append(b.Households, o.Household)
			of[o.Household] = b
		}
		b.addOutcome(o)
	}
	for _, o := range orders {
		of[o.Household].addOrder(o)
	}
	return all, nil
}

func (b *PinnedBatch) addOutcome(o pinnedOutcome) {
	c := &b.outcomes
	c.row(4)
	c.text(string(o.Household))
	c.text(o.Account)
	c.text(o.Outcome)
	c.dec(o.Value)
}

func (b *PinnedBatch) addOrder(o pinnedOrder) {
	c := &b.orders
	c.row(7)
	c.text(string(o.Household))
	c.text(o.Account)
	c.text(o.Symbol)
	c.text(o.Side)
	c.dec(o.Quantity)
	c.dec(o.LimitPrice)
	c.text(o.Currency)
}

// ReadAndWrite reads the rows of a batch, looks at none of them, and writes those that it has, all in
// one transaction.
func (db *DB) ReadAndWrite(ctx context.Context, b *PinnedBatch) error {
	return db.inTx(ctx, func(tx pgx.Tx) error {
		for _, name := range pinnedReads {
			rows, err := tx.Query(ctx, query(name), b.Households)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			for rows.Next() {
				_ = rows.RawValues()
			}
			if err := rows.Err(); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		if err := b.outcomes.send(ctx, tx, "COPY pinned_outcome FROM STDIN BINARY"); err != nil {
			return err
		}
		return b.orders.send(ctx, tx, "COPY pinned_order FROM STDIN BINARY")
	})
}

// RunBytes returns the bytes that all runs so far have stored, with indexes, and the bytes of the log
// so far.
func (db *DB) RunBytes(ctx context.Context) (stored, log int64, err error) {
	if err := db.pool.QueryRow(ctx, query("DecisionBytes")).Scan(&stored, &log); err != nil {
		return 0, 0, fmt.Errorf("bytes of runs: %w", err)
	}
	return stored, log, nil
}
