package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"daybreak/market"
	"daybreak/pipeline"
)

// Store is where a world goes: what it adds to the market, and its households.
type Store interface {
	pipeline.HouseholdStore
	SaveSecurities(ctx context.Context, rows []market.Security) (pipeline.Saved, error)
	SavePrices(ctx context.Context, rows []market.Quote, a market.Adjustment) (pipeline.Saved, error)
	SaveWeights(ctx context.Context, rows []market.Weight) (pipeline.Saved, error)
}

// WorldSummary counts what a world holds. Unchanged counts the households that were in the book
// from the same world already.
type WorldSummary struct {
	Households int                   `json:"households"`
	Accounts   int                   `json:"accounts"`
	Owners     int                   `json:"owners"`
	Events     int                   `json:"events"`
	Unchanged  int                   `json:"unchanged,omitempty"`
	Faults     map[string]int        `json:"faults"`  // by the code that the morning run parks with
	Regions    map[string]WorldCount `json:"regions"` // by region
}

// WorldCount is one region's part of a WorldSummary.
type WorldCount struct {
	Households int `json:"households"`
	Accounts   int `json:"accounts"`
	Events     int `json:"events"`
}

func newSummary() WorldSummary {
	return WorldSummary{Faults: map[string]int{}, Regions: map[string]WorldCount{}}
}

func (s *WorldSummary) add(region, fault string, owners, accounts, events int) {
	s.Households++
	s.Accounts += accounts
	s.Owners += owners
	s.Events += events
	if fault != "" {
		s.Faults[fault]++
	}
	c := s.Regions[region]
	c.Households++
	c.Accounts += accounts
	c.Events += events
	s.Regions[region] = c
}

// Batches: the households that one goroutine makes at a time, enough of them that the next
// transaction is made while one is stored, and the bounds of a transaction.
const (
	makeMax   = 64
	storeMax  = 256
	storeSize = 32 << 20 // compressed bytes
)

// batches returns the source of InOrder: ranges of household numbers from first to before last.
func (w *World) batches() func() ([2]int, bool, error) {
	next := 0
	return func() ([2]int, bool, error) {
		first := next
		next = min(first+makeMax, w.settings.Households)
		return [2]int{first, next}, first < next, nil
	}
}

// Build makes the world on so many workers and stores it, as known since an instant. Progress, which
// may be nil, is told how many households are stored. Building the same world again changes nothing;
// a household of another world in the way is an error that wraps pipeline.ErrState.
func (w *World) Build(ctx context.Context, store Store, workers int, known time.Time, progress func(households int)) (WorldSummary, error) {
	if err := w.saveAdded(ctx, store); err != nil {
		return WorldSummary{}, err
	}
	securities, err := store.Securities(ctx)
	if err != nil {
		return WorldSummary{}, err
	}
	opener := pipeline.NewOpener(securities)
	b := &builder{store: store, known: known, progress: progress, summary: newSummary()}
	open := func(batch [2]int) ([]pipeline.Opening, error) {
		openings := make([]pipeline.Opening, 0, makeMax)
		for i := batch[0]; i < batch[1]; i++ {
			p, err := opener.Open(w.Household(i))
			if err != nil {
				return nil, fmt.Errorf("household %s of the simulation: %w", household(i), err)
			}
			openings = append(openings, p)
		}
		return openings, nil
	}
	if err := pipeline.InOrder(ctx, workers, w.batches(), open, b.take); err != nil {
		return b.summary, err
	}
	return b.summary, b.flush(ctx)
}

// saveAdded stores what the world needs beyond the market.
func (w *World) saveAdded(ctx context.Context, store Store) error {
	if _, err := store.SaveSecurities(ctx, w.added.Securities); err != nil {
		return err
	}
	quotes := make([]market.Quote, len(w.added.Prices))
	for i, p := range w.added.Prices {
		quotes[i] = market.Quote{Price: p, Currency: w.tape.securities[w.tape.number[p.Symbol]].Currency}
	}
	if _, err := store.SavePrices(ctx, quotes, market.Raw); err != nil {
		return err
	}
	if len(w.added.Weights) == 0 {
		return nil
	}
	_, err := store.SaveWeights(ctx, w.added.Weights)
	return err
}

// builder gathers openings into transactions.
type builder struct {
	store    Store
	known    time.Time
	progress func(households int)
	summary  WorldSummary
	batch    []pipeline.Opening
	size     int
}

func (b *builder) take(ctx context.Context, openings []pipeline.Opening) error {
	for _, p := range openings {
		b.batch = append(b.batch, p)
		b.size += len(p.Events) + len(p.Checkpoint)
		if len(b.batch) < storeMax && b.size < storeSize {
			continue
		}
		if err := b.flush(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) flush(ctx context.Context) error {
	if len(b.batch) == 0 {
		return nil
	}
	// A look before: nothing of a transaction is stored where a household is in the way.
	standings, err := b.store.HouseholdStandings(ctx, b.batch)
	if err != nil {
		return err
	}
	if i := slices.Index(standings, pipeline.StandingConflict); i >= 0 {
		return fmt.Errorf("household %s or one of its accounts is in the book from elsewhere; make the world in a database of its own: %w",
			b.batch[i].Household.ID, pipeline.ErrState)
	}
	if standings, err = b.store.AddHouseholds(ctx, b.batch, b.known); err != nil {
		return err
	}
	for i, p := range b.batch {
		if standings[i] == pipeline.StandingSame {
			b.summary.Unchanged++
		}
		b.summary.add(p.Household.Region, p.PlantedFault, len(p.Household.Owners), len(p.Household.Accounts), p.EventCount)
	}
	b.batch, b.size = b.batch[:0], 0
	if b.progress != nil {
		b.progress(b.summary.Households)
	}
	return nil
}

// Write makes the world on so many workers and writes it as JSON lines for `daybreak import
// households`: the same bytes for any number of workers.
func (w *World) Write(ctx context.Context, out io.Writer, workers int, progress func(households int)) (WorldSummary, error) {
	type written struct {
		text    []byte
		records []pipeline.HouseholdRecord
	}
	summary := newSummary()
	encode := func(batch [2]int) (written, error) {
		var text bytes.Buffer
		encoder := json.NewEncoder(&text)
		encoder.SetEscapeHTML(false)
		var records []pipeline.HouseholdRecord
		for i := batch[0]; i < batch[1]; i++ {
			record := w.Household(i)
			if err := encoder.Encode(record); err != nil {
				return written{}, err
			}
			records = append(records, record)
		}
		return written{text.Bytes(), records}, nil
	}
	save := func(_ context.Context, batch written) error {
		for _, r := range batch.records {
			summary.add(r.Region, r.PlantedFault, len(r.Owners), len(r.Accounts), len(r.Events))
		}
		if progress != nil {
			progress(summary.Households)
		}
		_, err := out.Write(batch.text)
		return err
	}
	err := pipeline.InOrder(ctx, workers, w.batches(), encode, save)
	return summary, err
}
