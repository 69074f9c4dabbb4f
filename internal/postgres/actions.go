package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"daybreak/fills"
	"daybreak/market"
	"daybreak/pipeline"
	"daybreak/portfolio"
)

var _ pipeline.ActionBook = (*DB)(nil)

// actionPage is the number of households of one transaction of a corporate action.
const actionPage = 500

// DueActions implements pipeline.ActionBook.
func (db *DB) DueActions(ctx context.Context, day market.Day) ([]string, error) {
	rows, err := db.pool.Query(ctx, query("DueActions"), day)
	if err != nil {
		return nil, fmt.Errorf("due actions: %w", err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("due actions: %w", err)
	}
	return keys, nil
}

// storedAction is a corporate action on its way to its holders.
type storedAction struct {
	action    fills.Action
	next      string // households up to this one have it
	isApplied bool
	source    pipeline.Record
}

func readAction(ctx context.Context, tx pgx.Tx, name, key string) (storedAction, error) {
	var a storedAction
	a.source.Topic = pipeline.TopicEvents
	err := tx.QueryRow(ctx, query(name), key).Scan(&a.action, &a.next, &a.isApplied, &a.source.Partition, &a.source.Offset)
	if errors.Is(err, pgx.ErrNoRows) {
		err = pipeline.ErrNotFound
	}
	if err != nil {
		return a, fmt.Errorf("corporate action %s: %w", key, err)
	}
	return a, nil
}

// FanOut implements pipeline.ActionBook.
func (db *DB) FanOut(ctx context.Context, key string, day market.Day, decide func(pipeline.ActionLoad) pipeline.EventChanges) (more bool, err error) {
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		a, err := readAction(ctx, tx, "LockAction", key)
		if err != nil {
			return err
		}
		if a.isApplied {
			more, err = recheckPage(ctx, tx, a, decide)
			return err
		}
		if a.action.Due() > day {
			return nil
		}
		more, err = fanOutPage(ctx, tx, a, decide)
		return err
	})
	return more, err
}

// fanOutPage brings an action to the next households.
func fanOutPage(ctx context.Context, tx pgx.Tx, a storedAction, decide func(pipeline.ActionLoad) pipeline.EventChanges) (bool, error) {
	homes, err := collect[string](ctx, tx, "ActionHouseholds", a.action.Symbol, a.next, actionPage)
	if err != nil {
		return false, err
	}
	c, err := applyAction(ctx, tx, a, homes, decide)
	if err != nil {
		return false, err
	}
	next := a.next
	if len(homes) > 0 {
		next = homes[len(homes)-1]
	}
	isLast := len(homes) < actionPage
	if _, err := tx.Exec(ctx, query("AdvanceAction"), a.action.Key(), next, len(c.Applied), isLast, c.Now); err != nil {
		return false, fmt.Errorf("advance %s: %w", a.action.Key(), err)
	}
	return !isLast, nil
}

// recheckPage has an action look again at households whose shares of before the ex-date changed.
func recheckPage(ctx context.Context, tx pgx.Tx, a storedAction, decide func(pipeline.ActionLoad) pipeline.EventChanges) (bool, error) {
	homes, err := collect[string](ctx, tx, "ActionRechecks", a.action.Key(), actionPage)
	if err != nil || len(homes) == 0 {
		return false, err
	}
	if _, err := applyAction(ctx, tx, a, homes, decide); err != nil {
		return false, err
	}
	if _, err := tx.Exec(ctx, query("ClearRechecks"), a.action.Key(), homes); err != nil {
		return false, fmt.Errorf("rechecks of %s: %w", a.action.Key(), err)
	}
	return len(homes) == actionPage, nil
}

func applyAction(ctx context.Context, tx pgx.Tx, a storedAction, homes []string, decide func(pipeline.ActionLoad) pipeline.EventChanges) (pipeline.EventChanges, error) {
	load, l, err := loadHolders(ctx, tx, a, homes)
	if err != nil {
		return pipeline.EventChanges{}, err
	}
	c := decide(load)
	if err := saveEvents(ctx, tx, c, l.known); err != nil {
		return c, err
	}
	// A later action on the same security has counted these shares already.
	started := map[market.Symbol]market.Day{}
	if len(c.Applied) > 0 {
		b := &pgx.Batch{}
		started = queueStarted(b, map[market.Symbol]market.Day{a.action.Symbol: a.action.Due()})
		if err := tx.SendBatch(ctx, b).Close(); err != nil {
			return c, fmt.Errorf("later actions: %w", err)
		}
	}
	return c, recheckEvents(ctx, tx, c.Applied, started)
}

// loadHolders locks households and loads what an action meets in them.
func loadHolders(ctx context.Context, tx pgx.Tx, a storedAction, homes []string) (pipeline.ActionLoad, *eventLoader, error) {
	l := newEventLoader(nil)
	l.households = homes
	load := pipeline.ActionLoad{Action: a.action, Source: a.source, States: l.out.States}
	if len(homes) == 0 {
		return load, l, nil
	}
	if err := l.lockHouseholds(ctx, tx); err != nil {
		return load, l, err
	}
	places := map[portfolio.AccountID]int{}
	var t fills.Entitlement
	held := scan{"ActionHoldings", []any{a.action.Symbol, homes, a.action.ExDate}, []any{&t.Household, &t.Account, &t.Held}}
	err := eachRow(ctx, tx, held, func() {
		places[t.Account] = len(load.Entitlements)
		load.Entitlements = append(load.Entitlements, t)
		l.add(fills.Event{Household: t.Household, Account: t.Account, Symbol: a.action.Symbol, Currency: a.action.Currency, Effective: a.action.Due()})
	})
	if err != nil {
		return load, l, err
	}
	l.compact()
	if err := l.loadPosted(ctx, tx, a, places, load.Entitlements); err != nil {
		return load, l, err
	}
	b := &pgx.Batch{}
	l.queueAccounts(b)
	l.queueBalances(b)
	l.queueEventRates(b)
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return load, l, fmt.Errorf("load holders: %w", err)
	}
	return load, l, nil
}

// loadPosted loads what an action has posted so far.
func (l *eventLoader) loadPosted(ctx context.Context, tx pgx.Tx, a storedAction, places map[portfolio.AccountID]int, all []fills.Entitlement) error {
	var p fills.PostedEvent
	var home portfolio.HouseholdID
	return eachRow(ctx, tx, scan{"ActionPosted", []any{a.action.Key(), l.purses}, []any{&home, &p.Version, &p.Event}}, func() {
		if i, ok := places[p.Account]; ok {
			all[i].Posted = append(all[i].Posted, p)
		}
		p.Event = fills.Event{}
	})
}

// errRehearsal rolls back what was done to see what it would do.
var errRehearsal = errors.New("rehearsal")

// ReadHolders implements pipeline.ActionBook.
func (db *DB) ReadHolders(ctx context.Context, action fills.Action, each func(pipeline.ActionLoad) error) error {
	a := storedAction{action: action}
	for {
		var homes []string
		err := db.inTx(ctx, func(tx pgx.Tx) (err error) {
			if homes, err = collect[string](ctx, tx, "ActionHouseholds", action.Symbol, a.next, actionPage); err != nil {
				return err
			}
			load, _, err := loadHolders(ctx, tx, a, homes)
			if err != nil {
				return err
			}
			if err := each(load); err != nil {
				return err
			}
			return errRehearsal
		})
		if !errors.Is(err, errRehearsal) {
			return err
		}
		if len(homes) < actionPage {
			return nil
		}
		a.next = homes[len(homes)-1]
	}
}

// Action returns a corporate action by its key, or an error that wraps pipeline.ErrNotFound.
func (db *DB) Action(ctx context.Context, key string) (fills.Action, error) {
	var a storedAction
	err := db.inTx(ctx, func(tx pgx.Tx) (err error) {
		a, err = readAction(ctx, tx, "ReadAction", key)
		return err
	})
	return a.action, err
}

// Actions implements pipeline.ActionBook.
func (db *DB) Actions(ctx context.Context, limit int) ([]pipeline.ActionState, error) {
	rows, err := db.pool.Query(ctx, query("ActionList"), limit)
	if err != nil {
		return nil, fmt.Errorf("corporate actions: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (pipeline.ActionState, error) {
		var s pipeline.ActionState
		var known time.Time
		err := row.Scan(&s.Key, &s.Due, &known, &s.Accounts, &s.Applied, &s.Action, &s.Rechecks)
		s.Known = known.UTC()
		return s, err
	})
	if err != nil {
		return nil, fmt.Errorf("corporate actions: %w", err)
	}
	return all, nil
}
