package market

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"daybreak/money"
)

// ErrAdjustment is returned where a text names no Adjustment. The import command branches on it to
// report wrong usage.
var ErrAdjustment = errors.New("want raw, splits or splits+dividends")

// Adjustment says what a series of closes has been adjusted for. Series of different adjustments
// cannot be joined.
type Adjustment string

// The adjustments: none, for splits, and for splits and dividends (a total-return series, whose
// dividends are 0).
const (
	Raw              Adjustment = "raw"
	SplitAdjusted    Adjustment = "splits"
	DividendAdjusted Adjustment = "splits+dividends"
)

// ParseAdjustment reads the text of an Adjustment, or returns ErrAdjustment, wrapped with it.
func ParseAdjustment(s string) (Adjustment, error) {
	switch a := Adjustment(s); a {
	case Raw, SplitAdjusted, DividendAdjusted:
		return a, nil
	}
	return "", fmt.Errorf("%s: %w", show(s), ErrAdjustment)
}

// CheckQuote returns what is wrong with a close of a security: another currency than the
// security's, or a day without a session at its exchange. Its error is a *LineError.
func CheckQuote(q Quote, s Security) error {
	if q.Currency != s.Currency {
		return fault(CodeOtherCurrency, "currency %s, but %s trades in %s", q.Currency, s.Symbol, s.Currency)
	}
	x, err := Calendar(s.Exchange)
	if err != nil {
		return fault(CodeUnknownExchange, "%s is listed on %s, which has no calendar", s.Symbol, show(s.Exchange))
	}
	if !x.IsSession(q.Day) {
		return fault(CodeNoSession, "%s was closed on %s (%s)", s.Exchange, q.Day, x.whyClosed(q.Day))
	}
	return nil
}

// whyClosed returns the holiday's name, or the weekday.
func (x *Exchange) whyClosed(day Day) string {
	if e, ok := x.Exception(day); ok {
		return e.Name
	}
	return day.Weekday().String()
}

// CheckReplacement returns what is wrong with replacing one security by another: they are the same
// or identical property, so a purchase would deny the loss. Its error is a *LineError.
func CheckReplacement(of, by Security) error {
	if of.Symbol == by.Symbol {
		return fault(CodeIdentical, "%s cannot replace itself", of.Symbol)
	}
	if of.IdenticalGroup == by.IdenticalGroup {
		return fault(CodeIdentical, "%s and %s are identical property (%s): buying one denies the other's loss", of.Symbol, by.Symbol, of.IdenticalGroup)
	}
	return nil
}

// CheckModel returns what is wrong with the rows of one model portfolio: they name two regions,
// weights do not sum to 1, a class lacks a row of rank 0, a row of rank 0 has no weight, or one of
// a higher rank has some. Its error is a *LineError with CodeBadModel.
func CheckModel(rows []Weight) error {
	var sum money.Dec
	primaries := map[string]int{}
	for _, r := range rows {
		if r.Region != rows[0].Region {
			return fault(CodeBadModel, "model %s names regions %s and %s", r.Model, rows[0].Region, r.Region)
		}
		if r.Rank == 0 && r.Weight.IsZero() {
			return fault(CodeBadModel, "model %s: %s has rank 0 in class %s but no weight", r.Model, r.Symbol, r.AssetClass)
		}
		if r.Rank > 0 && !r.Weight.IsZero() {
			return fault(CodeBadModel, "model %s: %s has rank %d in class %s and weight %s; only rank 0 has a weight", r.Model, r.Symbol, r.Rank, r.AssetClass, r.Weight)
		}
		if r.Rank == 0 {
			primaries[r.AssetClass]++
		}
		sum = sum.Add(r.Weight)
	}
	for _, r := range rows {
		if primaries[r.AssetClass] == 0 {
			return fault(CodeBadModel, "model %s: class %s has no security of rank 0", r.Model, r.AssetClass)
		}
	}
	if sum != money.One {
		return fault(CodeBadModel, "model %s: weights sum to %s, want 1", rows[0].Model, sum)
	}
	return nil
}

// moveMax is the largest change from one close to the next that needs no event to explain it.
var moveMax = money.MustParse("0.4")

// Move is a change from one close to the next that no dividend of the day explains.
type Move struct {
	Symbol   Symbol
	Day      Day
	From, To money.Dec
	FromDay  Day
}

// String says what moved, for people.
func (m Move) String() string {
	percent := m.To.Sub(m.From).MulDiv(money.FromInt(100), m.From)
	return fmt.Sprintf("%s moved %s %% from %s on %s to %s on %s without an event", m.Symbol, percent.Fixed(1), m.From, m.FromDay, m.To, m.Day)
}

// Moves returns the changes of more than 40 % between consecutive closes of a security, in order
// of symbol and day. A dividend counts as part of the close of its day. before holds the last
// close ahead of a symbol's first in closes, where there is one; closes are in any order.
func Moves(before map[Symbol]Price, closes []Price) []Move {
	sorted := slices.SortedFunc(slices.Values(closes), func(a, b Price) int {
		return cmp.Or(cmp.Compare(a.Symbol, b.Symbol), cmp.Compare(a.Day, b.Day))
	})
	var moves []Move
	for i, p := range sorted {
		previous, ok := before[p.Symbol]
		if i > 0 && sorted[i-1].Symbol == p.Symbol {
			previous, ok = sorted[i-1], true
		}
		if !ok {
			continue
		}
		change := p.Close.Add(p.Dividend).Sub(previous.Close).Abs()
		if previous.Close.Mul(moveMax).Less(change) {
			moves = append(moves, Move{p.Symbol, p.Day, previous.Close, p.Close, previous.Day})
		}
	}
	return moves
}
