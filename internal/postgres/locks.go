package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"daybreak/market"
	"daybreak/money"
	"daybreak/orders"
	"daybreak/pipeline"
	"daybreak/portfolio"
	"daybreak/rebalance"
	"daybreak/region"
	"daybreak/tlh"
)

// LockedHouseholds implements pipeline.ReviewBook.
func (db *DB) LockedHouseholds(ctx context.Context, run string, after portfolio.HouseholdID, limit int) ([]portfolio.HouseholdID, error) {
	rows, err := db.pool.Query(ctx, query("LockedHouseholds"), run, after, limit)
	if err != nil {
		return nil, fmt.Errorf("run %s: find locked purchases: %w", run, err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[portfolio.HouseholdID])
	if err != nil {
		return nil, fmt.Errorf("run %s: find locked purchases: %w", run, err)
	}
	return ids, nil
}

// ReadDesk implements pipeline.ReviewBook.
func (db *DB) ReadDesk(ctx context.Context, r pipeline.DeskRequest) (*pipeline.DeskLoad, error) {
	var out *pipeline.DeskLoad
	err := db.inSnapshot(ctx, func(tx pgx.Tx) error {
		ids := slices.Compact(slices.Sorted(slices.Values(r.Households)))
		d := newDeskLoader(r, ids)
		out = d.out
		return d.fill(ctx, tx, d.loadHouseholds, d.loadAccounts, d.loadOrders, d.loadOverrides, d.loadLocks, d.loadRepurchases, d.loadTax)
	})
	if err != nil {
		return nil, fmt.Errorf("load desk: %w", err)
	}
	return out, nil
}

func (d *deskLoader) loadLocks(ctx context.Context, tx pgx.Tx) error {
	var k tlh.Lock
	targets := []any{&k.Property, &k.Symbol, &k.Account, &k.Order, &k.Until, &k.Provisional}
	return d.forEach(ctx, tx, scan{"DeskLocks", nil, targets}, func(i int) {
		d.out.Households[i].Locks = append(d.out.Households[i].Locks, k)
	})
}

// loadRepurchases marks the households that buy what they have sold since the plan.
func (d *deskLoader) loadRepurchases(ctx context.Context, tx pgx.Tx) error {
	return d.forEach(ctx, tx, scan{"DeskRepurchases", []any{d.request.Runs}, nil}, func(i int) { d.repurchases[i] = true })
}

// loadOverrides gives the orders that are loaded the overrides of their locks.
func (d *deskLoader) loadOverrides(ctx context.Context, tx pgx.Tx) error {
	var run string
	var id orders.ID
	var v orders.Override
	targets := []any{&run, &id, &v.ContentHash, &v.Locks, &v.Maker, &v.Approver}
	return d.forEach(ctx, tx, scan{"DeskOverrides", nil, targets}, func(i int) {
		all := d.out.Households[i].Orders
		for k := range all {
			if all[k].Run == run && all[k].ID == id {
				all[k].Overrides = append(all[k].Overrides, v)
			}
		}
		v.Locks = nil
	})
}

// needsTax reports whether the tax history of a household is asked for: a lock, or a sale since the
// plan, may stop an order, or the book has moved since an order was planned and the request is for such.
func (d *deskLoader) needsTax(i int) bool {
	h := d.out.Households[i]
	return d.repurchases[i] || slices.ContainsFunc(h.Orders, func(o pipeline.DeskOrder) bool {
		moved := d.request.WithTax && o.BookVersion != d.households[i].Input.BookVersion
		return moved || o.Side == portfolio.Buy && !o.IsSent && o.Progress.State == orders.Proposed &&
			slices.ContainsFunc(h.Locks, func(l tlh.Lock) bool { return l.Property == o.Property && l.Until >= o.Session })
	})
}

// loadTax loads the tax history, the rates and the identical groups that households need.
func (d *deskLoader) loadTax(ctx context.Context, tx pgx.Tx) error {
	var places []int
	var ids []portfolio.HouseholdID
	for i, id := range d.ids {
		if d.needsTax(i) {
			places, ids = append(places, i), append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	books, identical, err := loadTaxBooks(ctx, tx, ids)
	if err != nil {
		return err
	}
	d.out.Identical = identical
	for n, i := range places {
		in := books[n].Input
		d.out.Households[i].Tax = &rebalance.Input{Tax: in.Tax, Events: in.Events}
		d.households[i].Input.Household.Owners = in.Household.Owners
	}
	return d.loadRates(ctx, tx, places)
}

// loadRates loads the rates that bring the unsent orders of households, and the sales at the broker,
// to the home currency of their regions.
func (d *deskLoader) loadRates(ctx context.Context, tx pgx.Tx, places []int) error {
	needed := map[pipeline.RateKey]bool{}
	var bases, quotes []string
	var days []market.Day
	for _, i := range places {
		rules, err := region.Load(d.households[i].Input.Household.Region)
		if err != nil {
			continue // the desk says so of each order
		}
		for _, o := range d.out.Households[i].Orders {
			key := pipeline.RateKey{Base: o.Currency, Quote: rules.Home, Session: o.Session}
			if o.Currency == rules.Home || o.Progress.State.Ended() || needed[key] {
				continue
			}
			needed[key] = true
			bases, quotes, days = append(bases, string(key.Base)), append(quotes, string(key.Quote)), append(days, key.Session)
		}
	}
	if len(needed) == 0 {
		return nil
	}
	var key pipeline.RateKey
	var direct bool
	var rate money.Dec
	s := scan{"FillRates", []any{bases, quotes, days}, []any{&key.Base, &key.Quote, &key.Session, &direct, &rate}}
	return eachRow(ctx, tx, s, func() {
		if !direct {
			rate = money.One.Div(rate)
		}
		d.out.Rates[key] = rate
	})
}

// basisColumn is what a loss was computed from, and sale by sale.
type basisColumn struct {
	pipeline.LossBasis
	Sales []tlh.Destroyed `json:"sales"`
}

// insertOverrides stores overrides of tax locks. One that is there already, by whomever, is a refusal:
// its person is the one who decided.
func insertOverrides(ctx context.Context, tx pgx.Tx, all []pipeline.LockOverride) error {
	for _, o := range all {
		tag, err := tx.Exec(ctx, query("InsertOverride"), o.Run, o.Order, o.ContentHash, o.Household, o.Locks, o.Loss.Amount, o.Loss.Gone,
			o.Loss.Tax, o.Loss.Currency, basisColumn{o.Basis, o.Loss.Sales}, o.Maker, o.Approver, o.Comment, o.Decided)
		if err != nil {
			return fmt.Errorf("order %s: store override: %w", o.Order, err)
		}
		if tag.RowsAffected() == 0 {
			return fmt.Errorf("order %s: somebody else has just overridden its locks: look again: %w", o.Order, pipeline.ErrState)
		}
	}
	return nil
}

// overridesOf returns the overrides of an order's locks, the latest first.
func (db *DB) overridesOf(ctx context.Context, run string, id orders.ID) ([]pipeline.LockOverride, error) {
	rows, err := db.pool.Query(ctx, query("ViewOrderOverrides"), run, id)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (pipeline.LockOverride, error) {
		o := pipeline.LockOverride{Run: run, Order: id}
		var basis basisColumn
		err := row.Scan(&o.ContentHash, &o.Household, &o.Locks, &o.Loss.Amount, &o.Loss.Gone, &o.Loss.Tax, &o.Loss.Currency, &basis,
			&o.Maker, &o.Approver, &o.Comment, &o.Decided)
		o.Basis, o.Loss.Sales = basis.LossBasis, basis.Sales
		return o, err
	})
}
