package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"daybreak/market"
	"daybreak/pipeline"
	"daybreak/portfolio"
)

// TaxHouseholds implements pipeline.TaxBooks.
func (db *DB) TaxHouseholds(ctx context.Context, after portfolio.HouseholdID, limit int) ([]pipeline.TaxHousehold, error) {
	var page []pipeline.TaxHousehold
	err := db.inSnapshot(ctx, func(tx pgx.Tx) error {
		ids, err := collect[portfolio.HouseholdID](ctx, tx, "VerifyHouseholds", after, limit)
		if err != nil || len(ids) == 0 {
			return err
		}
		page, err = taxHouseholds(ctx, tx, ids)
		return err
	})
	return page, err
}

// taxHouseholds returns households, whose ids come in order, as of now.
func taxHouseholds(ctx context.Context, tx pgx.Tx, ids []portfolio.HouseholdID) ([]pipeline.TaxHousehold, error) {
	t := taxLoader{loader: newLoader(pipeline.Run{}, ids), page: make([]pipeline.TaxHousehold, len(ids))}
	for _, step := range []loadStep{
		t.loadHouseholds, t.loadOwners, t.loadCarried, t.loadAccounts, t.loadPositions, t.loadHistories, t.loadArrivals, t.loadSlips,
	} {
		if err := step(ctx, tx); err != nil {
			return nil, err
		}
	}
	excused, err := collect[portfolio.AccountID](ctx, tx, "VerifyExcused", ids)
	if err != nil {
		return nil, err
	}
	for i, l := range t.households {
		h := &t.page[i]
		h.Household, h.Version, h.Brought = l.Input.Household, l.Input.BookVersion, l.Input.Brought
		h.Events, h.Fault = l.Input.Events, l.Fault
		for _, a := range l.Input.Household.Accounts {
			h.Accounts = append(h.Accounts, pipeline.TaxAccount{
				Account: a.ID, Positions: a.Positions, Excused: slices.Contains(excused, a.ID),
			})
		}
	}
	return t.page, nil
}

// taxLoader fills the households of a page with what is known of their taxes.
type taxLoader struct {
	loader
	page []pipeline.TaxHousehold
}

// loadArrivals adds the facts that came after the households, and notes when the book took each.
func (t *taxLoader) loadArrivals(ctx context.Context, tx pgx.Tx) error {
	for i := range t.page {
		t.page[i].Imported = len(t.households[i].Input.Events)
	}
	var body []byte
	var a pipeline.Arrival
	targets := []any{&body, &a.Version, &a.Known, &a.Withdrawn, &a.WithdrawnBy, &a.WithdrawnKnown}
	return t.forEach(ctx, tx, scan{"TaxArrivalsOf", nil, targets}, func(i int) {
		one := a
		if err := json.Unmarshal(body, &one.Event); err != nil {
			t.park(i, pipeline.ReasonBadInput, fmt.Sprintf("tax event: %v", err))
			return
		}
		t.page[i].Arrivals = append(t.page[i].Arrivals, one)
		if one.Withdrawn == 0 {
			in := &t.households[i].Input
			in.Events = append(in.Events, one.Event)
		}
	})
}

// loadSlips adds the slips that were issued.
func (t *taxLoader) loadSlips(ctx context.Context, tx pgx.Tx) error {
	var body []byte
	var row pipeline.IssuedSlip
	return t.forEach(ctx, tx, scan{"SlipsOf", nil, []any{&body, &row.Stored, &row.Root, &row.By, &row.Issued}}, func(i int) {
		slip := row
		var err error
		if slip.Slip, _, err = pipeline.UnpackSlip(body); err != nil {
			t.park(i, pipeline.ReasonBadInput, fmt.Sprintf("slip: %v", err))
			return
		}
		t.page[i].Slips = append(t.page[i].Slips, slip)
	})
}

// TaxHouseholdOf returns the household of an account with what is known of its taxes, or ErrNotFound,
// wrapped with the account.
func (db *DB) TaxHouseholdOf(ctx context.Context, account portfolio.AccountID) (pipeline.TaxHousehold, error) {
	id, err := db.HouseholdOf(ctx, account)
	if err != nil {
		return pipeline.TaxHousehold{}, err
	}
	return db.TaxHousehold(ctx, id)
}

// TaxMarks returns what an account's timeline says about its taxes up to the evening of a day, oldest
// first.
func (db *DB) TaxMarks(ctx context.Context, account portfolio.AccountID, asOf market.Day) ([]pipeline.TaxMark, error) {
	h, err := db.TaxHouseholdOf(ctx, account)
	if err != nil {
		return nil, err
	}
	securities, err := db.Securities(ctx)
	if err != nil {
		return nil, err
	}
	return pipeline.AccountMarks(h, account, market.IdenticalGroups(securities), asOf)
}
