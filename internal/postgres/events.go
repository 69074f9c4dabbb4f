package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"daybreak/fills"
	"daybreak/market"
	"daybreak/pipeline"
	"daybreak/portfolio"
)

var _ pipeline.EventBook = (*DB)(nil)

// UpdateEvents implements pipeline.EventBook.
func (db *DB) UpdateEvents(ctx context.Context, incoming []pipeline.IncomingEvent, decide func(pipeline.EventLoad) (pipeline.EventChanges, error)) error {
	return db.inTx(ctx, func(tx pgx.Tx) error {
		l := newEventLoader(incoming)
		if err := l.load(ctx, tx); err != nil {
			return err
		}
		changes, err := decide(l.events)
		if err != nil {
			return err
		}
		if err := commitOffsets(ctx, tx, changes.Batch); err != nil {
			return err
		}
		if err := saveEvents(ctx, tx, changes, l.known); err != nil {
			return err
		}
		if err := saveMarketFacts(ctx, tx, changes); err != nil {
			return err
		}
		if err := recheckEvents(ctx, tx, changes.Applied, l.started); err != nil {
			return err
		}
		if err := l.acquired.denials(ctx, tx, postingsOfEvents(changes.Applied), changes.Now); err != nil {
			return err
		}
		return insertDeadLetters(ctx, tx, changes.Batch.Topic, changes.Dead)
	})
}

// RehearseEvents implements pipeline.EventBook.
func (db *DB) RehearseEvents(ctx context.Context, incoming []pipeline.IncomingEvent, decide func(pipeline.EventLoad) (pipeline.EventChanges, error)) error {
	err := db.inTx(ctx, func(tx pgx.Tx) error {
		l := newEventLoader(incoming)
		if err := l.load(ctx, tx); err != nil {
			return err
		}
		changes, err := decide(l.events)
		if err != nil {
			return err
		}
		if err := saveEvents(ctx, tx, changes, l.known); err != nil {
			return err
		}
		if err := saveMarketFacts(ctx, tx, changes); err != nil {
			return err
		}
		return errRehearsal
	})
	if errors.Is(err, errRehearsal) {
		return nil
	}
	return err
}

// RoutingKeys returns the routing keys of households; those that the book lacks are absent.
func (db *DB) RoutingKeys(ctx context.Context, ids []string) (map[string]string, error) {
	rows, err := db.pool.Query(ctx, query("RoutingKeys"), ids)
	if err != nil {
		return nil, fmt.Errorf("routing keys: %w", err)
	}
	keys := map[string]string{}
	var id, key string
	_, err = pgx.ForEachRow(rows, []any{&id, &key}, func() error {
		keys[id] = key
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("routing keys: %w", err)
	}
	return keys, nil
}

// eventLoader loads what events meet. It shares the queries on households and balances with fills.
type eventLoader struct {
	fillLoader
	events   pipeline.EventLoad
	byHome   map[portfolio.HouseholdID][]fills.Event
	reversed []string // keys that reversals name
}

func newEventLoader(incoming []pipeline.IncomingEvent) *eventLoader {
	l := &eventLoader{fillLoader: *newFillLoader(nil), byHome: map[portfolio.HouseholdID][]fills.Event{}}
	l.events = pipeline.EventLoad{States: l.out.States, Seen: map[string]string{}}
	for _, in := range incoming {
		m := in.Message
		l.keys = append(l.keys, m.Key())
		if m.Event != nil {
			l.add(*m.Event)
		}
	}
	l.compact()
	return l
}

func (l *eventLoader) add(e fills.Event) {
	l.byHome[e.Household] = append(l.byHome[e.Household], e)
	l.households = append(l.households, string(e.Household))
	for _, account := range []portfolio.AccountID{e.Account, e.ToAccount} {
		if account == "" {
			continue
		}
		l.purses = append(l.purses, string(account))
		if e.Symbol != "" {
			l.accounts, l.symbols = append(l.accounts, string(account)), append(l.symbols, string(e.Symbol))
		}
	}
	if e.Kind == fills.EventDrip || e.Kind == fills.EventTransfer && e.Account == "" && e.Symbol != "" {
		l.acquired.add(e.Household, e.Symbol, e.Effective)
	}
	if e.Reverses != "" {
		l.reversed = append(l.reversed, fills.EventKey(e.Source, e.Reverses))
	}
}

func (l *eventLoader) compact() {
	for _, list := range []*[]string{&l.households, &l.keys, &l.purses, &l.reversed} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
}

// load locks the households first; what it reads after that nobody else can change.
func (l *eventLoader) load(ctx context.Context, tx pgx.Tx) error {
	if err := l.lockHouseholds(ctx, tx); err != nil {
		return err
	}
	if err := l.loadReversed(ctx, tx); err != nil {
		return err
	}
	b := &pgx.Batch{}
	l.queueAccounts(b)
	l.queueBalances(b)
	l.queueSeen(b)
	l.acquired.queue(b, "SoldOrLocked")
	l.queueEventRates(b)
	l.started = queueStarted(b, firstDays(l.byHome))
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("load book: %w", err)
	}
	return nil
}

// loadReversed loads the events that reversals name; then their securities are met too.
func (l *eventLoader) loadReversed(ctx context.Context, tx pgx.Tx) error {
	if len(l.reversed) == 0 {
		return nil
	}
	var p fills.PostedEvent
	var home portfolio.HouseholdID
	err := eachRow(ctx, tx, scan{"EventPosted", []any{l.reversed}, []any{&home, &p.Version, &p.Reversed, &p.Event}}, func() {
		if s, ok := l.out.States[home]; ok {
			s.Events[p.Key()] = p
			l.add(p.Event)
		}
		p.Event = fills.Event{}
	})
	l.compact()
	return err
}

func (l *eventLoader) queueSeen(b *pgx.Batch) {
	b.Queue(query("FillSeen"), l.keys).Query(func(rows pgx.Rows) error {
		var key, content string
		_, err := pgx.ForEachRow(rows, []any{&key, &content}, func() error {
			l.events.Seen[key] = content
			return nil
		})
		for home, events := range l.byHome {
			s, ok := l.out.States[home]
			if !ok {
				continue
			}
			for _, e := range events {
				if known, there := l.events.Seen[e.Key()]; there {
					s.Seen[e.Key()] = known
				}
			}
		}
		return err
	})
}

func (l *eventLoader) queueEventRates(b *pgx.Batch) {
	needed := map[fills.Pair][]*fills.State{}
	for home, s := range l.out.States {
		for _, p := range fills.EventTaxDays(s.Rules, l.byHome[home]) {
			needed[p] = append(needed[p], s)
		}
	}
	queuePairs(b, needed)
}

// firstDays returns the first day of events by security.
func firstDays(byHome map[portfolio.HouseholdID][]fills.Event) map[market.Symbol]market.Day {
	first := map[market.Symbol]market.Day{}
	for _, events := range byHome {
		for _, e := range events {
			if day, ok := first[e.Symbol]; e.Symbol != "" && (!ok || e.Effective < day) {
				first[e.Symbol] = e.Effective
			}
		}
	}
	return first
}

// queueStarted loads the last ex-date of corporate actions that have reached accounts, by security,
// where it is after the day that comes with it.
func queueStarted(b *pgx.Batch, first map[market.Symbol]market.Day) map[market.Symbol]market.Day {
	started := map[market.Symbol]market.Day{}
	if len(first) == 0 {
		return started
	}
	symbols := make([]string, 0, len(first))
	days := make([]market.Day, 0, len(first))
	for symbol, day := range first {
		symbols, days = append(symbols, string(symbol)), append(days, day)
	}
	b.Queue(query("StartedActions"), symbols, days).Query(func(rows pgx.Rows) error {
		var symbol market.Symbol
		var day market.Day
		_, err := pgx.ForEachRow(rows, []any{&symbol, &day}, func() error {
			started[symbol] = day
			return nil
		})
		return err
	})
	return started
}

// rechecks are households whose shares of a security changed as of a day.
type rechecks struct {
	households, symbols []string
	days                []market.Day
}

func (r *rechecks) add(h portfolio.HouseholdID, symbol market.Symbol, day market.Day) {
	r.households, r.symbols, r.days = append(r.households, string(h)), append(r.symbols, string(symbol)), append(r.days, day)
}

func (r *rechecks) save(ctx context.Context, tx pgx.Tx) error {
	if len(r.households) == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, query("RecheckActions"), r.households, r.symbols, r.days); err != nil {
		return fmt.Errorf("corporate actions that came too early: %w", err)
	}
	return nil
}

// recheckFills has corporate actions look again at households whose trades came after them.
func recheckFills(ctx context.Context, tx pgx.Tx, results []fills.Result, started map[market.Symbol]market.Day) error {
	var r rechecks
	for _, result := range results {
		f := result.Effects
		for _, line := range f.Journal {
			if ex, ok := started[f.Holding.Symbol]; ok && line.Effective < ex {
				r.add(f.Posted.Household, f.Holding.Symbol, line.Effective)
			}
		}
	}
	return r.save(ctx, tx)
}

// recheckEvents is recheckFills for events.
func recheckEvents(ctx context.Context, tx pgx.Tx, applied []pipeline.AppliedEvent, started map[market.Symbol]market.Day) error {
	var r rechecks
	for _, a := range applied {
		for _, line := range a.Effects.Journal {
			symbol := market.Symbol(line.Move.Commodity)
			if ex, ok := started[symbol]; ok && line.Effective < ex {
				r.add(a.Effects.Event.Household, symbol, line.Effective)
			}
		}
	}
	return r.save(ctx, tx)
}
