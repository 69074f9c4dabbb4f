package postgres

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"daybreak/market"
	"daybreak/pipeline"
	"daybreak/portfolio"
	"daybreak/region"
)

// rebuildStale gives the households whose checkpoint was made under other rules, another circle or
// other identical groups all their events instead, from the beginning. The worker stores a new
// checkpoint with their decision, so that this is done once.
func (l *loader) rebuildStale(ctx context.Context, tx pgx.Tx) error {
	securities, err := records[market.Security](ctx, tx, "SecurityAll")
	if err != nil {
		return err
	}
	identical := market.IdenticalGroups(securities)
	var places []int
	var ids []portfolio.HouseholdID
	for i := range l.households {
		if l.isStale(i, identical) {
			places, ids = append(places, i), append(ids, l.ids[i])
		}
	}
	if len(ids) == 0 {
		return nil
	}
	whole := newLoader(l.run, ids)
	if err := whole.loadWholeTaxBooks(ctx, tx); err != nil {
		return err
	}
	for n, i := range places {
		in := &l.households[i].Input
		in.Tax, in.Events = region.Checkpoint{}, whole.households[n].Input.Events
		if f := whole.households[n].Fault; f != nil {
			l.park(i, f.Code, f.Detail)
		}
	}
	return nil
}

// isStale reports whether a household's checkpoint cannot be continued. A region that is unknown is
// the planner's to refuse.
func (l *loader) isStale(i int, identical map[market.Symbol]string) bool {
	in := &l.households[i].Input
	rules, err := region.Load(in.Household.Region)
	return err == nil && in.Tax.Check(rules, region.ScopeOf(in.Household, identical)) != nil
}

// loadWholeTaxBooks loads every tax event that the households ever had and that still counts: the
// history they came with, and what the book added.
func (l *loader) loadWholeTaxBooks(ctx context.Context, tx pgx.Tx) error {
	if err := l.loadHistories(ctx, tx); err != nil {
		return err
	}
	return l.loadEventsOf(ctx, tx, "AllTaxEventsOf")
}

func (l *loader) loadHistories(ctx context.Context, tx pgx.Tx) error {
	var body []byte
	return l.forEach(ctx, tx, scan{"TaxHistoriesOf", nil, []any{&body}}, func(i int) {
		if err := appendHistory(&l.households[i].Input.Events, body); err != nil {
			l.park(i, pipeline.ReasonBadInput, fmt.Sprintf("tax history: %v", err))
		}
	})
}

// loadCarried fills the losses that owners brought with them.
func (l *loader) loadCarried(ctx context.Context, tx pgx.Tx) error {
	carried := make([][]pipeline.CarriedLoss, len(l.ids))
	var c pipeline.CarriedLoss
	err := l.forEach(ctx, tx, scan{"CarriedLossesOf", nil, []any{&c.Owner, &c.OfYear, &c.EndOf, &c.ST, &c.LT}}, func(i int) {
		carried[i] = append(carried[i], c)
	})
	for i := range carried {
		l.households[i].Input.Brought = pipeline.Brought(carried[i])
	}
	return err
}

func appendHistory(events *[]region.Event, body []byte) error {
	text, err := pipeline.Decompress(body)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, events)
}

// saveCheckpoints stores the tax books that decisions closed.
func saveCheckpoints(ctx context.Context, tx pgx.Tx, decisions []pipeline.Decision) error {
	var households, rules []string
	var versions []int64
	var days []market.Day
	var bodies [][]byte
	for _, d := range decisions {
		if c := d.Checkpoint; c != nil {
			households, versions, days = append(households, string(d.Household)), append(versions, d.BookVersion), append(days, c.AsOf)
			rules, bodies = append(rules, c.Rules), append(bodies, c.Body)
		}
	}
	if len(households) == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, query("SaveCheckpoints"), households, versions, days, rules, bodies); err != nil {
		return fmt.Errorf("store %d tax checkpoints: %w", len(households), err)
	}
	return nil
}
