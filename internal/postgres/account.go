package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"daybreak/market"
	"daybreak/orders"
	"daybreak/pipeline"
	"daybreak/portfolio"
)

// Recorded implements pipeline.Records.
func (db *DB) Recorded(ctx context.Context, account portfolio.AccountID, run string) (pipeline.Recorded, error) {
	r := pipeline.Recorded{Account: account}
	var err error
	if r.Run, err = db.Run(ctx, run); err != nil {
		return r, err
	}
	rec := &r.Record
	err = db.pool.QueryRow(ctx, query("RecordedDecision"), run, account).
		Scan(&r.Household, &rec.Outcome, &rec.Reason, &rec.Detail, &r.Input)
	if errors.Is(err, pgx.ErrNoRows) {
		return r, fmt.Errorf("account %s in run %s: %w", account, run, pipeline.ErrNotFound)
	}
	if err != nil {
		return r, fmt.Errorf("account %s in run %s: %w", account, run, err)
	}
	if err := db.recordedAccount(ctx, account, run, rec); err != nil {
		return r, fmt.Errorf("account %s in run %s: %w", account, run, err)
	}
	if r.Market, err = db.StoredMarket(ctx, r.Run.Market); err != nil || r.Run.Risk == "" {
		return r, err
	}
	r.Risk, err = db.StoredRisk(ctx, r.Run.Risk)
	return r, err
}

func (db *DB) recordedAccount(ctx context.Context, account portfolio.AccountID, run string, rec *pipeline.DecidedAccount) error {
	var numbers, skipped []byte
	err := db.pool.QueryRow(ctx, query("RecordedAccount"), run, account).Scan(&rec.Outcome, &rec.Reason, &numbers, &rec.Currency,
		&rec.Value, &rec.CashBefore, &rec.CashAfter, &rec.DriftBefore, &rec.DriftAfter, &rec.Harvested, &rec.DeniedAvoided,
		&rec.TaxValue, &skipped, &rec.Certificate)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil // the household was parked: it has no decision by account
	}
	if err != nil {
		return err
	}
	if err := errors.Join(json.Unmarshal(numbers, &rec.Numbers), json.Unmarshal(skipped, &rec.Skipped)); err != nil {
		return err
	}
	rows, err := db.pool.Query(ctx, query("RecordedOrders"), run, account)
	if err != nil {
		return err
	}
	rec.Orders, err = pgx.CollectRows(rows, scanExport)
	return err
}

// scanExport reads an order as `order export` writes it.
func scanExport(row pgx.CollectableRow) (orders.Export, error) {
	var e orders.Export
	var lots, numbers []byte
	if err := row.Scan(&e.ID, &e.Account, &e.Household, &e.Security, &e.Side, &e.Quantity, &lots, &e.Reason, &numbers); err != nil {
		return e, err
	}
	return e, errors.Join(json.Unmarshal(lots, &e.Lots), json.Unmarshal(numbers, &e.Numbers))
}

// TimelineEntry is one thing that happened to an account.
type TimelineEntry = pipeline.TimelineEntry

// Timeline returns what happened to an account, newest first, at most limit entries.
func (db *DB) Timeline(ctx context.Context, account portfolio.AccountID, limit int) ([]TimelineEntry, error) {
	rows, err := db.pool.Query(ctx, query("AccountTimeline"), account, limit)
	if err != nil {
		return nil, fmt.Errorf("account %s: timeline: %w", account, err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[TimelineEntry])
}

// TimelineWithTaxes is Timeline with what happened to the outcomes of the account's sales up to the
// evening of a day: at most limit entries of these besides. A transition stands at the end of its day.
func (db *DB) TimelineWithTaxes(ctx context.Context, account portfolio.AccountID, asOf market.Day, limit int) ([]TimelineEntry, error) {
	entries, err := db.Timeline(ctx, account, limit)
	if err != nil {
		return nil, err
	}
	marks, err := db.TaxMarks(ctx, account, asOf)
	if err != nil {
		return nil, err
	}
	slices.Reverse(marks)
	for i := range marks[:min(limit, len(marks))] {
		m := &marks[i]
		entries = append(entries, TimelineEntry{At: (m.Day + 1).Time().Add(-time.Second), Kind: "tax", Subject: m.Subject(), Detail: m.Text(), Tax: m})
	}
	slices.SortStableFunc(entries, func(a, b TimelineEntry) int { return b.At.Compare(a.At) })
	return entries, nil
}

// HouseholdAt returns the household of an account as a run on day would load it now, with its tax
// book's checkpoint and events, locks and open orders. It returns ErrNotFound, wrapped with the account.
func (db *DB) HouseholdAt(ctx context.Context, account portfolio.AccountID, day market.Day) (pipeline.Loaded, error) {
	return db.householdOf(ctx, account, day, func(l *loader) []loadStep { return l.steps() })
}

func (db *DB) householdOf(ctx context.Context, account portfolio.AccountID, day market.Day, steps func(*loader) []loadStep) (pipeline.Loaded, error) {
	var household portfolio.HouseholdID
	err := db.pool.QueryRow(ctx, query("AccountHousehold"), account).Scan(&household)
	if errors.Is(err, pgx.ErrNoRows) {
		return pipeline.Loaded{}, fmt.Errorf("account %s: %w", account, pipeline.ErrNotFound)
	}
	if err != nil {
		return pipeline.Loaded{}, fmt.Errorf("account %s: %w", account, err)
	}
	l := newLoader(pipeline.Run{Session: day}, []portfolio.HouseholdID{household})
	if err := db.inSnapshot(ctx, func(tx pgx.Tx) error { return l.load(ctx, tx, steps(&l)) }); err != nil {
		return pipeline.Loaded{}, fmt.Errorf("account %s: %w", account, err)
	}
	return l.households[0], nil
}

var _ pipeline.Records = (*DB)(nil)
