package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"

	"daybreak/fills"
	"daybreak/market"
	"daybreak/money"
	"daybreak/pipeline"
)

// saveEvents writes what applied events do to the book.
func saveEvents(ctx context.Context, tx pgx.Tx, c pipeline.EventChanges, known knownBalances) error {
	if len(c.Applied) == 0 {
		return nil
	}
	if err := copyEvents(ctx, tx, c); err != nil {
		return err
	}
	w := newFillWriter(pipeline.FillChanges{}, known)
	exceptions := make([]exceptionChange, len(c.Applied))
	for i, a := range c.Applied {
		f := a.Effects
		home := f.Event.Household
		w.versions[string(home)] = f.Version
		for _, p := range f.Positions {
			w.positions[p.Key] = holdingRow{home, p.Amount, known.positions[p.Key]}
		}
		for _, p := range f.Cash {
			w.cash[p.Key] = holdingRow{home, p.Amount, known.cash[p.Key]}
		}
		exceptions[i] = exceptionChange{home, f.Opened, f.Closed}
	}
	b := &pgx.Batch{}
	w.queueVersions(b)
	w.queueBalances(b)
	queueEventTax(b, c.Applied)
	queueExceptions(b, c.Now, exceptions)
	b.Queue(query("Notify"), ChannelFills, strconv.Itoa(len(c.Applied)))
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("save book: %w", err)
	}
	return nil
}

var bookEventColumns = []string{
	"household", "version", "key", "kind", "account", "symbol", "action", "effective", "known", "body", "source_partition", "source_offset",
}

// copyEvents stores the rows that applied events add.
func copyEvents(ctx context.Context, tx pgx.Tx, c pipeline.EventChanges) error {
	var keys, events, journal, tax [][]any
	for _, a := range c.Applied {
		f, e := a.Effects, a.Effects.Event
		body, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("event %s: %w", f.Key, err)
		}
		keys = append(keys, []any{f.Key, f.Content})
		events = append(events, []any{string(e.Household), f.Version, f.Key, string(e.Kind), string(e.Target()), string(e.Symbol), e.Action,
			e.Effective, c.Now, body, a.Source.Partition, a.Source.Offset})
		for n, line := range f.Journal {
			m := line.Move
			journal = append(journal, []any{string(e.Household), f.Version, n, f.Key, line.Kind, line.Effective, c.Now,
				m.From.Owner, string(m.From.Kind), m.To.Owner, string(m.To.Kind), m.Commodity, m.Amount})
		}
		for n, t := range f.Tax {
			tax = append(tax, []any{string(e.Household), f.Version, n, t.ID, t.Day, t})
		}
	}
	return copyTables(ctx, tx, []tableRows{
		{"execution_key", []string{"key", "content_hash"}, keys},
		{"book_event", bookEventColumns, events},
		{"journal_line", journalColumns, journal},
		{"tax_fact", taxEventColumns, tax},
	})
}

// queueEventTax withdraws tax events that were taken back or replaced, and voids the checkpoints of
// tax books that events come too late for.
func queueEventTax(b *pgx.Batch, applied []pipeline.AppliedEvent) {
	var gone, voided, reversed struct {
		households []string
		versions   []int64
		by         []int64
		days       []market.Day
	}
	for _, a := range applied {
		f, home := a.Effects, string(a.Effects.Event.Household)
		for _, version := range f.Withdrawn {
			gone.households, gone.versions, gone.by = append(gone.households, home), append(gone.versions, version), append(gone.by, f.Version)
			voided.households, voided.versions, voided.days = append(voided.households, home), append(voided.versions, version), append(voided.days, endOfDays)
		}
		for _, t := range f.Tax {
			voided.households, voided.versions, voided.days = append(voided.households, home), append(voided.versions, f.Version), append(voided.days, t.Day)
		}
		if f.Reversed != 0 {
			reversed.households, reversed.versions, reversed.by = append(reversed.households, home), append(reversed.versions, f.Reversed), append(reversed.by, f.Version)
		}
	}
	if len(gone.households) > 0 {
		b.Queue(query("SaveWithdrawn"), gone.households, gone.versions, gone.by)
	}
	if len(voided.households) > 0 {
		b.Queue(query("VoidCheckpoints"), voided.households, voided.versions, voided.days)
	}
	if len(reversed.households) > 0 {
		b.Queue(query("SaveReversed"), reversed.households, reversed.versions, reversed.by)
	}
}

// saveMarketFacts stores the rates and corporate actions of a batch, with their keys.
func saveMarketFacts(ctx context.Context, tx pgx.Tx, c pipeline.EventChanges) error {
	var keys [][]any
	for _, r := range c.Rates {
		keys = append(keys, []any{r.Key(), r.Content()})
	}
	for _, a := range c.Actions {
		keys = append(keys, []any{a.Action.Key(), a.Action.Content()})
	}
	if err := copyTables(ctx, tx, []tableRows{{"execution_key", []string{"key", "content_hash"}, keys}}); err != nil {
		return err
	}
	if err := saveRates(ctx, tx, c.Rates); err != nil {
		return err
	}
	return saveActions(ctx, tx, c)
}

// saveRates stores rates; of several for one day the last one counts.
func saveRates(ctx context.Context, tx pgx.Tx, rates []pipeline.RateFact) error {
	last := map[fills.Pair]int{}
	for i, r := range rates {
		last[fills.Pair{Base: r.Base, Quote: r.Quote, Day: r.Day}] = i
	}
	var bases, quotes, sources []string
	var days []market.Day
	var values []money.Dec
	for i, r := range rates {
		if last[fills.Pair{Base: r.Base, Quote: r.Quote, Day: r.Day}] == i {
			bases, quotes, sources = append(bases, string(r.Base)), append(quotes, string(r.Quote)), append(sources, r.Source)
			days, values = append(days, r.Day), append(values, r.Rate)
		}
	}
	if len(bases) == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, query("RateSave"), bases, quotes, days, values, sources); err != nil {
		return fmt.Errorf("store %d rates: %w", len(bases), err)
	}
	return nil
}

func saveActions(ctx context.Context, tx pgx.Tx, c pipeline.EventChanges) error {
	if len(c.Actions) == 0 {
		return nil
	}
	var keys, symbols, kinds, bodies []string
	var ex, due []market.Day
	var partitions []int32
	var offsets []int64
	for _, known := range c.Actions {
		a := known.Action
		body, err := json.Marshal(a)
		if err != nil {
			return fmt.Errorf("action %s: %w", a.Key(), err)
		}
		keys, symbols, kinds, bodies = append(keys, a.Key()), append(symbols, string(a.Symbol)), append(kinds, string(a.Kind)), append(bodies, string(body))
		ex, due = append(ex, a.ExDate), append(due, a.Due())
		partitions, offsets = append(partitions, known.Source.Partition), append(offsets, known.Source.Offset)
	}
	if _, err := tx.Exec(ctx, query("SaveActions"), keys, symbols, kinds, ex, due, bodies, partitions, offsets, c.Now); err != nil {
		return fmt.Errorf("store %d corporate actions: %w", len(keys), err)
	}
	return nil
}
