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

// merge adds the counts of another part of the world.
func (s *WorldSummary) merge(o WorldSummary) {
	s.Households += o.Households
	s.Accounts += o.Accounts
	s.Owners += o.Owners
	s.Events += o.Events
	for fault, n := range o.Faults {
		s.Faults[fault] += n
	}
	for region, n := range o.Regions {
		c := s.Regions[region]
		s.Regions[region] = WorldCount{c.Households + n.Households, c.Accounts + n.Accounts, c.Events + n.Events}
	}
}

// Batches: the households that one goroutine makes at a time, to be stored (enough of them that the
// next transaction is made while one is stored) or to be written (their JSON waits in memory), and
// the bounds of a transaction.
const (
	openMax   = 64
	writeMax  = 4
	storeMax  = 256
	storeSize = 32 << 20 // compressed bytes
)

// batches returns the source of InOrder: ranges of so many household numbers, from the first to
// before the last.
func (w *World) batches(size int) func() ([2]int, bool, error) {
	next := 0
	return func() ([2]int, bool, error) {
		first := next
		next = min(first+size, w.settings.Households)
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
		openings := make([]pipeline.Opening, 0, openMax)
		for i := batch[0]; i < batch[1]; i++ {
			p, err := opener.Open(w.Household(i))
			if err != nil {
				return nil, fmt.Errorf("household %s of the simulation: %w", household(i), err)
			}
			openings = append(openings, p)
		}
		return openings, nil
	}
	if err := pipeline.InOrder(ctx, workers, w.batches(openMax), open, b.take); err != nil {
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
	type part struct {
		text   []byte
		counts WorldSummary
	}
	encode := func(batch [2]int) (part, error) {
		var text bytes.Buffer
		counts := newSummary()
		encoder := json.NewEncoder(&text)
		encoder.SetEscapeHTML(false)
		for i := batch[0]; i < batch[1]; i++ {
			r := w.Household(i)
			counts.add(r.Region, r.PlantedFault, len(r.Owners), len(r.Accounts), len(r.Events))
			if err := encoder.Encode(r); err != nil {
				return part{}, err
			}
		}
		return part{text.Bytes(), counts}, nil
	}
	summary := newSummary()
	save := func(_ context.Context, p part) error {
		summary.merge(p.counts)
		if progress != nil {
			progress(summary.Households)
		}
		_, err := out.Write(p.text)
		return err
	}
	err := pipeline.InOrder(ctx, workers, w.batches(writeMax), encode, save)
	return summary, err
}
