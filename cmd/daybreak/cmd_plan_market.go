package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"daybreak/market"
	"daybreak/pipeline"
	sample "daybreak/testdata/market"
)

// marketFlags name the market that households are planned over: a base, and files on top of it.
type marketFlags struct {
	base  string
	files map[pipeline.ImportKind]*[]string
}

// noMarket as a base begins with nothing but the files.
const noMarket = "none"

// marketKinds are the kinds of file on top of the base, in the order in which each finds what it
// refers to.
var marketKinds = []pipeline.ImportKind{
	pipeline.ImportSecurities, pipeline.ImportPrices, pipeline.ImportFX, pipeline.ImportReplacements, pipeline.ImportModels,
}

// planMarket is a market over many days, or as of the one day of a snapshot file.
type planMarket struct {
	history *market.History
	fixed   *market.Snapshot // nil where the history gives the snapshot of any day
}

// load reads the market. A bad line fails the whole, for a plan over half a market is no plan.
func (f marketFlags) load(ctx context.Context) (*planMarket, error) {
	store := &marketStore{}
	m := &planMarket{}
	like := pipeline.MarketFile{Adjustment: sample.Adjustment, Source: sample.Source, Strict: true}
	if err := f.loadBase(ctx, store, m, like); err != nil {
		return nil, err
	}
	for _, kind := range marketKinds {
		for _, name := range *f.files[kind] {
			body, err := os.Open(name)
			if err != nil {
				return nil, err
			}
			file := like
			file.Name, file.Kind, file.Body = name, kind, body
			summary, err := pipeline.Import(ctx, store, file)
			if err := errors.Join(err, body.Close(), refusal(summary)); err != nil {
				return nil, err
			}
		}
	}
	m.history = store.history()
	if m.fixed != nil && len(*f.files[pipeline.ImportPrices]) == 0 {
		return nil, usageError("--market %s is a snapshot, with one close of each security: --prices must name the years before it, for the risk model", f.base)
	}
	return m, nil
}

func (f marketFlags) loadBase(ctx context.Context, store *marketStore, m *planMarket, like pipeline.MarketFile) error {
	files := sampleFS
	switch info, err := os.Stat(cmp.Or(f.base, ".")); {
	case f.base == "":
	case f.base == noMarket:
		return nil
	case err != nil:
		return fmt.Errorf("--market: %w", err)
	case info.IsDir():
		files = os.DirFS(f.base)
	default:
		m.fixed, err = readSnapshot(f.base)
		if err == nil {
			store.add(m.fixed)
		}
		return err
	}
	summaries, err := pipeline.ImportFolder(ctx, store, files, like)
	for _, s := range summaries {
		err = errors.Join(err, refusal(s))
	}
	return err
}

// refusal returns why nothing of a file was taken, with its first bad line; nil where it was.
func refusal(s pipeline.ImportSummary) error {
	if s.Refused == "" {
		return nil
	}
	for _, f := range s.Faults {
		if !f.Warning {
			return fmt.Errorf("%s:%d: %s: %s", f.File, f.Line, f.Code, f.Message)
		}
	}
	return fmt.Errorf("%s: %s", s.File, s.Refused)
}

// readSnapshot reads the JSON of a market.Snapshot, plain or gzipped.
func readSnapshot(name string) (*market.Snapshot, error) {
	data, err := readAll(nil, name)
	if err != nil {
		return nil, err
	}
	var s market.Snapshot
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&s); err != nil {
		return nil, fmt.Errorf("market snapshot %s: %w", name, err)
	}
	return market.NewSnapshot(s), nil
}

// at returns the market as a plan of a day sees it.
func (m *planMarket) at(day market.Day) (*market.Snapshot, error) {
	if m.fixed != nil {
		return m.fixed, nil
	}
	return m.history.Snapshot(day)
}

// marketStore keeps an imported market in memory; it is pipeline's store of a plan without a
// database. The last of several rows of one key stands.
type marketStore struct {
	securities   map[market.Symbol]market.Security
	prices       map[market.Symbol]map[market.Day]market.Price
	rates        map[market.Rate]market.Rate // by base, quote and day
	replacements map[market.Symbol][]market.Replacement
	weights      map[string][]market.Weight
}

// add takes what a snapshot holds.
func (s *marketStore) add(m *market.Snapshot) {
	ctx := context.Background()
	quotes := make([]market.Quote, len(m.Prices))
	for i, p := range m.Prices {
		quotes[i].Price = p
	}
	s.SaveSecurities(ctx, m.Securities)
	s.SavePrices(ctx, quotes, "")
	s.SaveRates(ctx, m.Rates)
	s.SaveReplacements(ctx, m.Replacements)
	s.SaveWeights(ctx, m.Weights)
}

// history returns the rows in the order that a History has.
func (s *marketStore) history() *market.History {
	h := &market.History{}
	for _, symbol := range slices.Sorted(maps.Keys(s.securities)) {
		h.Securities = append(h.Securities, s.securities[symbol])
	}
	for _, symbol := range slices.Sorted(maps.Keys(s.prices)) {
		for _, day := range slices.Sorted(maps.Keys(s.prices[symbol])) {
			h.Prices = append(h.Prices, s.prices[symbol][day])
		}
	}
	h.Rates = slices.SortedFunc(maps.Values(s.rates), func(a, b market.Rate) int {
		return cmp.Or(cmp.Compare(a.Base, b.Base), cmp.Compare(a.Quote, b.Quote), cmp.Compare(a.Day, b.Day))
	})
	for _, symbol := range slices.Sorted(maps.Keys(s.replacements)) {
		h.Replacements = append(h.Replacements, s.replacements[symbol]...)
	}
	for _, name := range slices.Sorted(maps.Keys(s.weights)) {
		h.Weights = append(h.Weights, s.weights[name]...)
	}
	sorted := market.NewSnapshot(market.Snapshot{Replacements: h.Replacements, Weights: h.Weights})
	h.Replacements, h.Weights = sorted.Replacements, sorted.Weights
	return h
}

// Securities implements pipeline.ImportStore.
func (s *marketStore) Securities(context.Context) ([]market.Security, error) {
	return s.history().Securities, nil
}

// Adjustments implements pipeline.ImportStore: series of any adjustment may stand side by side,
// for a plan looks at each alone.
func (s *marketStore) Adjustments(context.Context) (map[market.Symbol]market.Adjustment, error) {
	return nil, nil
}

// ClosesBefore implements pipeline.ImportStore.
func (s *marketStore) ClosesBefore(context.Context, map[market.Symbol]market.Day) (map[market.Symbol]market.Price, error) {
	return nil, nil
}

// SaveSecurities implements pipeline.ImportStore.
func (s *marketStore) SaveSecurities(_ context.Context, rows []market.Security) (pipeline.Saved, error) {
	if s.securities == nil {
		s.securities = map[market.Symbol]market.Security{}
	}
	for _, r := range rows {
		s.securities[r.Symbol] = r
	}
	return pipeline.Saved{Inserted: len(rows)}, nil
}

// SavePrices implements pipeline.ImportStore.
func (s *marketStore) SavePrices(_ context.Context, rows []market.Quote, _ market.Adjustment) (pipeline.Saved, error) {
	if s.prices == nil {
		s.prices = map[market.Symbol]map[market.Day]market.Price{}
	}
	for _, r := range rows {
		if s.prices[r.Symbol] == nil {
			s.prices[r.Symbol] = map[market.Day]market.Price{}
		}
		s.prices[r.Symbol][r.Day] = r.Price
	}
	return pipeline.Saved{Inserted: len(rows)}, nil
}

// SaveRates implements pipeline.ImportStore.
func (s *marketStore) SaveRates(_ context.Context, rows []market.Rate) (pipeline.Saved, error) {
	if s.rates == nil {
		s.rates = map[market.Rate]market.Rate{}
	}
	for _, r := range rows {
		s.rates[market.Rate{Base: r.Base, Quote: r.Quote, Day: r.Day}] = r
	}
	return pipeline.Saved{Inserted: len(rows)}, nil
}

// SaveReplacements implements pipeline.ImportStore.
func (s *marketStore) SaveReplacements(_ context.Context, rows []market.Replacement) (pipeline.Saved, error) {
	s.replacements = replaceLists(s.replacements, rows, func(r market.Replacement) market.Symbol { return r.Symbol })
	return pipeline.Saved{Inserted: len(rows)}, nil
}

// SaveWeights implements pipeline.ImportStore.
func (s *marketStore) SaveWeights(_ context.Context, rows []market.Weight) (pipeline.Saved, error) {
	s.weights = replaceLists(s.weights, rows, func(w market.Weight) string { return w.Model })
	return pipeline.Saved{Inserted: len(rows)}, nil
}

// replaceLists puts the rows into lists by key, instead of the lists of those keys that were there.
func replaceLists[K comparable, T any](lists map[K][]T, rows []T, key func(T) K) map[K][]T {
	fresh := map[K][]T{}
	for _, r := range rows {
		fresh[key(r)] = append(fresh[key(r)], r)
	}
	if lists == nil {
		return fresh
	}
	maps.Copy(lists, fresh)
	return lists
}
