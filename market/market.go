// Package market holds what is true of the market for every household: days and exchange
// calendars, settlement cycles, securities and their identical groups, prices, exchange rates,
// replacements and model portfolios.
package market

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"daybreak/money"
)

// Symbol is a security's name at its venue, such as "VTI" or "XIC.TO".
type Symbol string

// Currency is an ISO 4217 code, such as "CAD".
type Currency string

// The home currencies of the regions that the sample data covers.
const (
	CAD Currency = "CAD"
	USD Currency = "USD"
)

// Kind says what sort of security it is.
type Kind string

// The kinds of security.
const (
	Stock Kind = "stock"
	ETF   Kind = "etf"
)

// Security is what is traded. Two securities of one IdenticalGroup are the same property for the
// loss rules; the group of a security without a twin is its own.
type Security struct {
	Symbol         Symbol   `json:"symbol"`
	Name           string   `json:"name"`
	Currency       Currency `json:"currency"`
	Exchange       string   `json:"exchange"` // MIC: XNYS or XTSE
	Kind           Kind     `json:"kind"`
	AssetClass     string   `json:"asset_class"`
	Index          string   `json:"index,omitempty"`
	IdenticalGroup string   `json:"identical_group"`
}

// Price is a close in the security's currency. Day is the day of that close, which may lie before
// the day of the snapshot that carries it.
type Price struct {
	Symbol   Symbol    `json:"symbol"`
	Day      Day       `json:"day"`
	Close    money.Dec `json:"close"`
	Dividend money.Dec `json:"dividend,omitzero"` // cash a share with this ex-date
}

// Rate is the value of one Base in Quote, as published on Day by Source.
type Rate struct {
	Base   Currency  `json:"base"`
	Quote  Currency  `json:"quote"`
	Day    Day       `json:"day"`
	Rate   money.Dec `json:"rate"`
	Source string    `json:"source"`
}

// Replacement is a security to hold instead of Symbol after a harvest; low ranks come first.
type Replacement struct {
	Symbol      Symbol `json:"symbol"`
	Replacement Symbol `json:"replacement"`
	Rank        int    `json:"rank"`
}

// Weight is one row of a model portfolio: Symbol serves AssetClass; the weight of the class is the
// sum over its rows. Rank 0 is the primary security, higher ranks are held instead of it.
type Weight struct {
	Model      string    `json:"model"`
	Region     string    `json:"region"`
	AssetClass string    `json:"asset_class"`
	Symbol     Symbol    `json:"symbol"`
	Rank       int       `json:"rank"`
	Weight     money.Dec `json:"weight"`
}

// Dividend is the cash a share that whoever holds the security before ExDay is paid.
type Dividend struct {
	Symbol Symbol    `json:"symbol"`
	ExDay  Day       `json:"ex_day"`
	Amount money.Dec `json:"amount"`
}

// Snapshot is the market as one run sees it: the last close of each security and the last rate of
// each pair on or before Day. It is immutable, its slices are sorted (New sorts them), and its
// JSON is the same bytes for the same market.
type Snapshot struct {
	Day          Day           `json:"day"`
	Securities   []Security    `json:"securities"`          // by symbol
	Prices       []Price       `json:"prices"`              // by symbol, one each
	Rates        []Rate        `json:"rates"`               // by base, quote
	Replacements []Replacement `json:"replacements"`        // by symbol, rank, replacement
	Weights      []Weight      `json:"weights"`             // by model, asset class, rank, symbol
	Dividends    []Dividend    `json:"dividends,omitempty"` // ex-dates of the weeks before Day, and known ones after it: by symbol, ex-date

	identical map[Symbol]string // what Identical returns; nil in a snapshot that New did not make
}

var (
	// ErrNoPrice is wrapped with the symbol where a snapshot lacks a price. The planner parks the
	// household on it.
	ErrNoPrice = errors.New("no price")
	// ErrNoRate is wrapped with the pair where a snapshot lacks an exchange rate.
	ErrNoRate = errors.New("no exchange rate")
	// ErrNoSecurity is wrapped with the symbol where a snapshot does not know the security.
	ErrNoSecurity = errors.New("unknown security")
)

// NewSnapshot returns s with its slices sorted by their keys, and empty where they are nil, so that
// the JSON of one market is one text.
func NewSnapshot(s Snapshot) *Snapshot {
	s.Securities, s.Prices, s.Rates = notNil(s.Securities), notNil(s.Prices), notNil(s.Rates)
	s.Replacements, s.Weights = notNil(s.Replacements), notNil(s.Weights)
	slices.SortFunc(s.Securities, func(a, b Security) int { return cmp.Compare(a.Symbol, b.Symbol) })
	slices.SortFunc(s.Prices, func(a, b Price) int { return cmp.Compare(a.Symbol, b.Symbol) })
	slices.SortFunc(s.Rates, func(a, b Rate) int {
		return cmp.Or(cmp.Compare(a.Base, b.Base), cmp.Compare(a.Quote, b.Quote))
	})
	slices.SortFunc(s.Replacements, func(a, b Replacement) int {
		return cmp.Or(cmp.Compare(a.Symbol, b.Symbol), cmp.Compare(a.Rank, b.Rank), cmp.Compare(a.Replacement, b.Replacement))
	})
	slices.SortFunc(s.Weights, func(a, b Weight) int {
		return cmp.Or(cmp.Compare(a.Model, b.Model), cmp.Compare(a.AssetClass, b.AssetClass),
			cmp.Compare(a.Rank, b.Rank), cmp.Compare(a.Symbol, b.Symbol))
	})
	slices.SortFunc(s.Dividends, func(a, b Dividend) int {
		return cmp.Or(cmp.Compare(a.Symbol, b.Symbol), cmp.Compare(a.ExDay, b.ExDay))
	})
	s.identical = IdenticalGroups(s.Securities)
	return &s
}

// Identical returns the IdenticalGroups of the snapshot's securities: one map for all households of a
// run, which nobody may change.
func (s *Snapshot) Identical() map[Symbol]string {
	if s.identical == nil {
		return IdenticalGroups(s.Securities)
	}
	return s.identical
}

// IdenticalGroups returns the identical group of each security that is not alone under its own symbol,
// for the scope of a tax book. One map serves all households of a market.
func IdenticalGroups(securities []Security) map[Symbol]string {
	groups := make(map[Symbol]string, len(securities))
	for _, e := range securities {
		if e.IdenticalGroup != "" && e.IdenticalGroup != string(e.Symbol) {
			groups[e.Symbol] = e.IdenticalGroup
		}
	}
	return groups
}

func notNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// Security returns the security of a symbol, or ErrNoSecurity, wrapped with the symbol.
func (s *Snapshot) Security(symbol Symbol) (Security, error) {
	i, ok := slices.BinarySearchFunc(s.Securities, symbol, func(e Security, t Symbol) int { return cmp.Compare(e.Symbol, t) })
	if !ok {
		return Security{}, fmt.Errorf("%s: %w", symbol, ErrNoSecurity)
	}
	return s.Securities[i], nil
}

// Price returns the last close on or before the snapshot's day, or ErrNoPrice, wrapped with the symbol.
func (s *Snapshot) Price(symbol Symbol) (Price, error) {
	i, ok := slices.BinarySearchFunc(s.Prices, symbol, func(e Price, t Symbol) int { return cmp.Compare(e.Symbol, t) })
	if !ok {
		return Price{}, fmt.Errorf("%s: %w", symbol, ErrNoPrice)
	}
	return s.Prices[i], nil
}

// Rate returns the value of one base in quote: 1 for a currency and itself, the published pair, or
// the inverse of the opposite pair; else ErrNoRate, wrapped with the pair.
func (s *Snapshot) Rate(base, quote Currency) (Rate, error) {
	if base == quote {
		return Rate{Base: base, Quote: quote, Day: s.Day, Rate: money.One}, nil
	}
	if r, ok := s.published(base, quote); ok {
		return r, nil
	}
	if r, ok := s.published(quote, base); ok {
		return Rate{Base: base, Quote: quote, Day: r.Day, Rate: money.One.Div(r.Rate), Source: r.Source}, nil
	}
	return Rate{}, fmt.Errorf("%s/%s: %w", base, quote, ErrNoRate)
}

func (s *Snapshot) published(base, quote Currency) (Rate, bool) {
	for _, r := range s.Rates {
		if r.Base == base && r.Quote == quote {
			return r, true
		}
	}
	return Rate{}, false
}

// Model returns the rows of a model portfolio, in order of asset class, rank and symbol; nil where
// there is no such model.
func (s *Snapshot) Model(name string) []Weight {
	first, ok := slices.BinarySearchFunc(s.Weights, name, func(e Weight, t string) int { return cmp.Compare(e.Model, t) })
	if !ok {
		return nil
	}
	last := first
	for last < len(s.Weights) && s.Weights[last].Model == name {
		last++
	}
	return s.Weights[first:last]
}

// ReplacementsOf returns the replacements of a symbol, lowest rank first.
func (s *Snapshot) ReplacementsOf(symbol Symbol) []Replacement {
	first, ok := slices.BinarySearchFunc(s.Replacements, symbol, func(e Replacement, t Symbol) int { return cmp.Compare(e.Symbol, t) })
	if !ok {
		return nil
	}
	last := first
	for last < len(s.Replacements) && s.Replacements[last].Symbol == symbol {
		last++
	}
	return s.Replacements[first:last]
}

// DividendsOf returns the dividends of a symbol with an ex-date from from to to, both included, by
// ex-date: the snapshot's, and that of its last close.
func (s *Snapshot) DividendsOf(symbol Symbol, from, to Day) []Dividend {
	var all []Dividend
	first, _ := slices.BinarySearchFunc(s.Dividends, symbol, func(e Dividend, t Symbol) int { return cmp.Compare(e.Symbol, t) })
	for _, d := range s.Dividends[first:] {
		if d.Symbol != symbol {
			break
		}
		if from <= d.ExDay && d.ExDay <= to && d.Amount.Sign() > 0 {
			all = append(all, d)
		}
	}
	p, err := s.Price(symbol)
	if err != nil || p.Dividend.Sign() <= 0 || p.Day < from || p.Day > to {
		return all
	}
	at, isKnown := slices.BinarySearchFunc(all, p.Day, func(e Dividend, t Day) int { return cmp.Compare(e.ExDay, t) })
	if isKnown {
		return all
	}
	return slices.Insert(all, at, Dividend{Symbol: symbol, ExDay: p.Day, Amount: p.Dividend})
}

// LastDividend returns the last of DividendsOf.
func (s *Snapshot) LastDividend(symbol Symbol, from, to Day) (Dividend, bool) {
	all := s.DividendsOf(symbol, from, to)
	if len(all) == 0 {
		return Dividend{}, false
	}
	return all[len(all)-1], true
}
