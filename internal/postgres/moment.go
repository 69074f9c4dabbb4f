package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"daybreak/ledger"
	"daybreak/pipeline"
	"daybreak/portfolio"
	"daybreak/region"
)

// HouseholdAsOf implements pipeline.AccountBook. Open orders are of the present, and left out; so are
// locks where the moment has an instant.
func (db *DB) HouseholdAsOf(ctx context.Context, account portfolio.AccountID, m pipeline.Moment) (pipeline.Loaded, []ledger.Entry, error) {
	var facts pipeline.BookFacts
	loaded, err := db.householdOf(ctx, account, m.AsOf, func(l *loader) []loadStep {
		steps := []loadStep{l.loadHouseholds, l.loadOwners, l.loadCarried, l.loadAccounts, l.loadFacts(&facts)}
		if m.KnownAt.IsZero() {
			steps = append(steps, l.loadLocks)
		}
		return steps
	})
	if err != nil {
		return loaded, nil, err
	}
	journal, known := facts.Restore(&loaded, m)
	if !known {
		return loaded, nil, fmt.Errorf("account %s: the book did not know it at %s: %w", account, m.KnownAt.UTC().Format(timeLayout), pipeline.ErrNotFound)
	}
	return loaded, journal, nil
}

// timeLayout is how an instant is told in a message.
const timeLayout = "2006-01-02 15:04:05 MST"

// loadFacts returns the step that loads every fact of a loader's one household.
func (l *loader) loadFacts(f *pipeline.BookFacts) loadStep {
	return func(ctx context.Context, tx pgx.Tx) error {
		if err := l.loadHistories(ctx, tx); err != nil {
			return err
		}
		for i := range l.households {
			for _, e := range l.households[i].Input.Events {
				f.Tax = append(f.Tax, pipeline.TaxFact{Event: e})
			}
		}
		var stamp ledger.Stamp
		err := l.forEach(ctx, tx, scan{"BookStamps", nil, []any{&stamp.Version, &stamp.Known}}, func(int) { f.Stamps = append(f.Stamps, stamp) })
		if err != nil {
			return err
		}
		var e ledger.Entry
		targets := []any{&e.Version, &e.Line, &e.Event, &e.Kind, &e.Effective, &e.Known, &e.From.Owner, &e.From.Kind, &e.To.Owner, &e.To.Kind, &e.Commodity, &e.Amount}
		if err := l.forEach(ctx, tx, scan{"JournalOf", nil, targets}, func(int) { f.Journal = append(f.Journal, e) }); err != nil {
			return err
		}
		var t pipeline.TaxFact
		return l.forEach(ctx, tx, scan{"TaxFactsOf", nil, []any{&t.Version, &t.Withdrawn, &t.Event}}, func(int) {
			f.Tax = append(f.Tax, t)
			t.Event = region.Event{}
		})
	}
}
