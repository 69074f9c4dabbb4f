package market

import (
	"cmp"
	"slices"
)

// CloseAgeMax is how many sessions of its exchange a close may be old and still be in a snapshot.
// Callers that trade ask for a fresher one themselves: the price carries its day.
const CloseAgeMax = 10

// RateAgeMax is how many days an exchange rate may be old and still be in a snapshot.
const RateAgeMax Day = 14

// DividendAgeMax is how many days an ex-date may be past and still be in a snapshot: a loss window
// and the days that a trade takes to settle.
const DividendAgeMax Day = 40

// History is the market over many days. Its slices are sorted: securities by symbol, prices by
// symbol and day, rates by base, quote and day; replacements and weights, which have no dates, as
// in a Snapshot.
type History struct {
	Securities   []Security
	Prices       []Price
	Rates        []Rate
	Replacements []Replacement
	Weights      []Weight
}

// Closes returns the closes of a symbol, oldest first.
func (h *History) Closes(symbol Symbol) []Price {
	bySymbol := func(p Price, s Symbol) int { return cmp.Compare(p.Symbol, s) }
	first, ok := slices.BinarySearchFunc(h.Prices, symbol, bySymbol)
	if !ok {
		return nil
	}
	after, _ := slices.BinarySearchFunc(h.Prices, symbol, func(p Price, s Symbol) int { return cmp.Or(bySymbol(p, s), -1) })
	return h.Prices[first:after]
}

// Snapshot returns the market as of a day: of each security the last close on or before the day
// that is at most CloseAgeMax sessions old, of each pair the last rate that is at most RateAgeMax
// days old, of each security the ex-dates of at most DividendAgeMax days. It returns ErrExchange, wrapped, where a security's exchange has no calendar.
func (h *History) Snapshot(day Day) (*Snapshot, error) {
	s := Snapshot{Day: day, Securities: slices.Clone(h.Securities), Replacements: slices.Clone(h.Replacements), Weights: slices.Clone(h.Weights)}
	for _, security := range h.Securities {
		oldest, err := OldestClose(security.Exchange, day)
		if err != nil {
			return nil, err
		}
		closes := h.Closes(security.Symbol)
		next, _ := slices.BinarySearchFunc(closes, day+1, func(p Price, d Day) int { return cmp.Compare(p.Day, d) })
		if next > 0 && closes[next-1].Day >= oldest {
			s.Prices = append(s.Prices, closes[next-1])
		}
		for i := next - 1; i >= 0 && closes[i].Day >= day-DividendAgeMax; i-- {
			if p := closes[i]; p.Dividend.Sign() > 0 {
				s.Dividends = append(s.Dividends, Dividend{Symbol: p.Symbol, ExDay: p.Day, Amount: p.Dividend})
			}
		}
	}
	for i, r := range h.Rates {
		last := i+1 == len(h.Rates) || h.Rates[i+1].Base != r.Base || h.Rates[i+1].Quote != r.Quote || h.Rates[i+1].Day > day
		if last && r.Day <= day && r.Day >= day-RateAgeMax {
			s.Rates = append(s.Rates, r)
		}
	}
	return NewSnapshot(s), nil
}

// OldestClose returns the oldest day whose close may be in a snapshot of the day: CloseAgeMax
// sessions of the exchange before it. It returns ErrExchange, wrapped with the name.
func OldestClose(exchange string, day Day) (Day, error) {
	x, err := Calendar(exchange)
	if err != nil {
		return NoDay, err
	}
	return x.AddSessions(day, -CloseAgeMax), nil
}
