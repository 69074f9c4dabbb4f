package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"daybreak/fills"
	"daybreak/market"
	"daybreak/orders"
	"daybreak/pipeline"
	"daybreak/portfolio"
	"daybreak/region"
)

// wantedProperty names what a household has acquired of a security.
type wantedProperty struct {
	household portfolio.HouseholdID
	symbol    market.Symbol
}

// acquired are the acquisitions of a batch, with those among them that meet a lock or a sale: only
// for these is the tax book asked what they deny.
type acquired struct {
	first map[wantedProperty]market.Day // first day of each
	meets map[wantedProperty]bool
}

func newAcquired() acquired {
	return acquired{map[wantedProperty]market.Day{}, map[wantedProperty]bool{}}
}

func (a acquired) add(h portfolio.HouseholdID, symbol market.Symbol, day market.Day) {
	key := wantedProperty{h, symbol}
	if first, ok := a.first[key]; !ok || day < first {
		a.first[key] = day
	}
}

// queue looks for what the acquisitions meet, by a query over households, securities and days.
func (a acquired) queue(b *pgx.Batch, name string) {
	if len(a.first) == 0 {
		return
	}
	var households, symbols []string
	var days []market.Day
	for key, day := range a.first {
		households, symbols, days = append(households, string(key.household)), append(symbols, string(key.symbol)), append(days, day)
	}
	b.Queue(query(name), households, symbols, days).Query(func(rows pgx.Rows) error {
		var key wantedProperty
		_, err := pgx.ForEachRow(rows, []any{&key.household, &key.symbol}, func() error {
			a.meets[key] = true
			return nil
		})
		return err
	})
}

// posting is a fact of a batch with what it adds to the tax history.
type posting struct {
	household portfolio.HouseholdID
	run       string
	order     orders.ID // "" for an event that is no fill
	tax       []region.Event
}

// postings are those of a batch in order, and the ids of the tax events that it took back.
type postings struct {
	all  []posting
	gone map[string]bool
}

// denials finds the postings of a batch that acquired what a household must not, and stores an
// exception for each that denies a loss. They are in the book by now.
func (a acquired) denials(ctx context.Context, tx pgx.Tx, p postings, now time.Time) error {
	asked, ids := a.suspects(p)
	if len(asked) == 0 {
		return nil
	}
	allowed, err := overridden(ctx, tx, ids)
	if err != nil {
		return err
	}
	books, identical, err := loadTaxBooks(ctx, tx, ids)
	if err != nil {
		return err
	}
	changes := make([]exceptionChange, 0, len(asked))
	for _, i := range asked {
		p, from := p.all[i], p.all[i:]
		if allowed[overriddenOrder{p.run, p.order}] {
			continue
		}
		place, _ := slices.BinarySearch(ids, p.household)
		if x, denies := denied(books[place], identical, from); denies {
			changes = append(changes, exceptionChange{household: p.household, opened: []fills.Exception{x}})
		}
	}
	b := &pgx.Batch{}
	queueExceptions(b, now, changes)
	return tx.SendBatch(ctx, b).Close()
}

// suspects returns the places of postings that acquired what meets a lock or a sale, without those that
// the batch itself has taken back, and their households in order.
func (a acquired) suspects(p postings) (asked []int, ids []portfolio.HouseholdID) {
	if len(a.meets) == 0 {
		return nil, nil
	}
	for i, one := range p.all {
		if len(one.tax) == 1 && acquires(one.tax[0]) && !p.gone[one.tax[0].ID] && a.meets[wantedProperty{one.household, one.tax[0].Symbol}] {
			asked, ids = append(asked, i), append(ids, one.household)
		}
	}
	slices.Sort(ids)
	return asked, slices.Compact(ids)
}

// denied returns what the first of some postings denies, by the book without the others.
func denied(book pipeline.Loaded, identical map[market.Symbol]string, from []posting) (fills.Exception, bool) {
	p := pipeline.Purchase{Event: from[0].tax[0], Later: map[string]bool{}}
	for _, later := range from[1:] {
		for _, e := range later.tax {
			p.Later[e.ID] = true
		}
	}
	if book.Fault != nil {
		return pipeline.DeniedUnknown(p, book.Fault), true
	}
	return pipeline.Denied(book.Input, identical, p)
}

// acquires reports whether a tax event brings shares to the household.
func acquires(e region.Event) bool {
	return e.Kind == region.Buy || e.Kind == region.Drip || e.Kind == region.Transfer && e.Account == "" && e.ToAccount != ""
}

// overriddenOrder names an order that a person let buy in spite of locks.
type overriddenOrder struct {
	run string
	id  orders.ID
}

func overridden(ctx context.Context, tx pgx.Tx, ids []portfolio.HouseholdID) (map[overriddenOrder]bool, error) {
	found := map[overriddenOrder]bool{}
	var o overriddenOrder
	err := eachRow(ctx, tx, scan{"OverriddenOrders", []any{ids}, []any{&o.run, &o.id}}, func() { found[o] = true })
	return found, err
}

// loadTaxBooks loads the tax books of households, in order of id, and the identical groups.
func loadTaxBooks(ctx context.Context, tx pgx.Tx, ids []portfolio.HouseholdID) ([]pipeline.Loaded, map[market.Symbol]string, error) {
	l := newLoader(pipeline.Run{}, ids)
	for _, step := range []loadStep{l.loadHouseholds, l.loadOwners, l.loadAccounts, l.loadCheckpoints, l.loadEvents, l.rebuildStale} {
		if err := step(ctx, tx); err != nil {
			return nil, nil, fmt.Errorf("load tax books: %w", err)
		}
	}
	identical, err := pairs[market.Symbol, string](ctx, tx, "IdenticalGroups")
	return l.households, identical, err
}

// postingsOf returns what executions added to tax histories.
func postingsOf(results []fills.Result) postings {
	all, gone := make([]posting, 0, len(results)), map[string]bool{}
	for _, r := range results {
		f := r.Effects
		if f.Withdrawn != "" {
			gone[f.Withdrawn] = true
		}
		if f.Tax != nil {
			all = append(all, posting{f.Posted.Household, f.Posted.Run, f.Posted.OrderID, []region.Event{*f.Tax}})
		}
	}
	return postings{all, gone}
}

// postingsOfEvents is postingsOf for events.
func postingsOfEvents(applied []pipeline.AppliedEvent) postings {
	all, gone := make([]posting, 0, len(applied)), map[string]bool{}
	for _, a := range applied {
		e := a.Effects.Event
		if e.Reverses != "" {
			gone[fills.EventKey(e.Source, e.Reverses)] = true
		}
		all = append(all, posting{household: e.Household, tax: a.Effects.Tax})
	}
	return postings{all, gone}
}
