package portfolio

import (
	"errors"
	"fmt"
	"slices"

	"daybreak/market"
	"daybreak/money"
)

var (
	// ErrNoModel is wrapped with the name where a snapshot has no such model portfolio. The planner
	// parks the household on it.
	ErrNoModel = errors.New("unknown model portfolio")
	// ErrBadModel is wrapped with the name where the weights of a model portfolio are negative or
	// do not sum to one. The planner parks the household on it.
	ErrBadModel = errors.New("bad model portfolio")
)

// OtherClass and CashClass name what a mix has no row for: securities outside it, and cash.
const (
	OtherClass = "other"
	CashClass  = "cash"
)

// Sleeve is the part of a mix that one target weight governs: an asset class, or one security of
// an asset class that has several weighted rows, as in direct indexing.
type Sleeve struct {
	Class  string        // asset class
	Symbol market.Symbol // its security, where the class has several weighted rows; else ""
	Weight money.Dec     // share of what is invested; the sleeves of a mix sum to one

	// Members count to the sleeve: the model's rows by rank, then symbol, then their replacements
	// from the market's table that serve no other sleeve. The first is bought unless barred.
	Members []market.Symbol
	// Group is shared by sleeves that can stand in for each other: weighted rows of one class, and
	// single stocks of one asset class. It is "" for a sleeve that stands alone.
	Group string
}

// Name returns the class, or class/symbol where the class has several sleeves.
func (s Sleeve) Name() string {
	if s.Symbol == "" {
		return s.Class
	}
	return s.Class + "/" + string(s.Symbol)
}

// Mix is a model portfolio as sleeves, in order of class, rank and symbol of their first rows.
type Mix struct {
	Name    string
	Sleeves []Sleeve
	index   map[market.Symbol]int
}

// NewMix returns the mix of a model portfolio. It returns ErrNoModel or ErrBadModel, wrapped with
// the name.
func NewMix(m *market.Snapshot, model string) (*Mix, error) {
	rows := m.Model(model)
	if len(rows) == 0 {
		return nil, fmt.Errorf("%q: %w", model, ErrNoModel)
	}
	if err := checkWeights(model, rows); err != nil {
		return nil, err
	}
	x := &Mix{Name: model, index: make(map[market.Symbol]int, 2*len(rows))}
	for first := 0; first < len(rows); {
		last := first
		for last < len(rows) && rows[last].AssetClass == rows[first].AssetClass {
			last++
		}
		x.addClass(rows[first:last])
		first = last
	}
	for _, s := range x.Sleeves {
		if len(s.Members) == 0 {
			return nil, fmt.Errorf("%q: %w: no security of %s is its own", model, ErrBadModel, s.Class)
		}
	}
	x.addReplacements(m)
	x.nameGroups(m)
	return x, nil
}

func checkWeights(model string, rows []market.Weight) error {
	var sum money.Dec
	for _, r := range rows {
		if r.Weight.Sign() < 0 {
			return fmt.Errorf("%q: %w: weight %s of %s", model, ErrBadModel, r.Weight, r.Symbol)
		}
		sum = sum.Add(r.Weight)
	}
	if sum != money.One {
		return fmt.Errorf("%q: %w: weights sum to %s", model, ErrBadModel, sum)
	}
	return nil
}

// addClass adds the sleeves of one asset class. A row without weight, in a class of several
// weighted rows, counts to the first of them.
func (x *Mix) addClass(rows []market.Weight) {
	weighted := 0
	for _, r := range rows {
		if r.Weight.Sign() > 0 {
			weighted++
		}
	}
	class := rows[0].AssetClass
	if weighted <= 1 {
		s := Sleeve{Class: class}
		for _, r := range rows {
			s.Weight = s.Weight.Add(r.Weight)
		}
		x.Sleeves = append(x.Sleeves, s)
		for _, r := range rows {
			x.addMember(len(x.Sleeves)-1, r.Symbol)
		}
		return
	}
	first := len(x.Sleeves)
	for _, r := range rows {
		if r.Weight.Sign() > 0 {
			x.Sleeves = append(x.Sleeves, Sleeve{Class: class, Symbol: r.Symbol, Weight: r.Weight, Group: class})
			x.addMember(len(x.Sleeves)-1, r.Symbol)
		}
	}
	for _, r := range rows {
		if r.Weight.IsZero() {
			x.addMember(first, r.Symbol)
		}
	}
}

// addMember adds a symbol to a sleeve unless another has it already.
func (x *Mix) addMember(sleeve int, symbol market.Symbol) {
	if _, taken := x.index[symbol]; taken {
		return
	}
	x.index[symbol] = sleeve
	x.Sleeves[sleeve].Members = append(x.Sleeves[sleeve].Members, symbol)
}

// addReplacements makes the market's replacements of a sleeve's securities its members, after the
// model's own rows: what is held instead of a security serves the same class.
func (x *Mix) addReplacements(m *market.Snapshot) {
	for i := range x.Sleeves {
		for _, symbol := range slices.Clip(x.Sleeves[i].Members) {
			for _, r := range m.ReplacementsOf(symbol) {
				x.addMember(i, r.Replacement)
			}
		}
	}
}

// nameGroups puts single stocks of one asset class into one group, whatever classes the model
// gives them.
func (x *Mix) nameGroups(m *market.Snapshot) {
	for i := range x.Sleeves {
		s := &x.Sleeves[i]
		if sec, err := m.Security(s.Members[0]); err == nil && sec.Kind == market.Stock {
			s.Group = sec.AssetClass
		}
	}
}

// Sleeve returns the number of the sleeve that a symbol counts to; false where it is in none.
func (x *Mix) Sleeve(symbol market.Symbol) (int, bool) {
	i, ok := x.index[symbol]
	return i, ok
}

// Weighed is what is held and what is wanted of one class, as money of one currency.
type Weighed struct {
	Class  string
	Held   money.Dec
	Wanted money.Dec
}

// Drift returns half the sum of |held − wanted| over the classes, as a share of value: 0 where
// all is as wanted, 1 where nothing is, also where open orders take more cash than there is. It is 0
// where value is not positive.
func Drift(classes []Weighed, value money.Dec) money.Dec {
	if value.Sign() <= 0 {
		return money.Zero
	}
	var sum money.Dec
	for _, c := range classes {
		sum = sum.Add(c.Held.Sub(c.Wanted).Abs())
	}
	return money.Min(money.One, sum.MulDiv(half, value))
}

var half = money.FromUnits(5, 1)
