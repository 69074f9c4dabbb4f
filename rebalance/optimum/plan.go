package optimum

import (
	"daybreak/money"
)

// Outcome is a solution before rounding: its objective and a lower bound. IsFeasible is false where
// none was found; the objective means nothing then.
type Outcome struct {
	Objective, Bound float64
	IsFeasible       bool
}

// Trade is a purchase, or a sale from one lot.
type Trade struct {
	Security int
	Lot      int // index in the account's lots; -1 for a purchase
	Shares   money.Dec
	Value    money.Dec // shares × price
}

// Conversion buys a further currency with the account's own; a negative amount sells it.
type Conversion struct {
	Balance int
	Amount  money.Dec
}

// Parts are the terms of the objective, fractions of the account's value.
type Parts struct{ Risk, Tax, Cost, Cash, Drag float64 }

// Total is the objective.
func (p Parts) Total() float64 { return p.Risk + p.Tax + p.Cost + p.Cash + p.Drag }

// Residuals say by how much the rounded trades break a rule; all are 0 in a plan without a Fault.
type Residuals struct {
	Cash  money.Dec // cash missing, the worst of all currencies
	Lots  money.Dec // shares sold past a lot
	Bars  int       // trades that a bar or restriction forbids
	Bands float64   // weight outside a band of a security or group
	Gains float64   // net gain over the budget, fraction of value
	Ticks int       // trades below the minimum or not of tradable shares
}

// IsZero reports whether every rule holds.
func (r Residuals) IsZero() bool {
	return r.Cash.Sign() <= 0 && r.Lots.Sign() <= 0 && r.Bars == 0 && r.Bands <= rowsTolerance && r.Gains <= rowsTolerance && r.Ticks == 0
}

// rowsTolerance is what float64 sums of weights may differ by.
const rowsTolerance = 1e-9

// Plan is the trades of one account with their certificate. Its slices belong to the Solver and
// hold until its next Solve.
type Plan struct {
	Account        string
	With           string    // accounts that were planned as one with it, by +; "" where it was planned alone
	Value          money.Dec // of the account before trading
	Trades         []Trade   // by security, sales in the order in which lots are used up
	Conversions    []Conversion
	Objective      float64 // of the rounded trades alone
	Bound          float64 // no allowed trades have a lower objective
	GapBP          float64 // objective less bound, in basis points of value
	GapMoney       money.Dec
	Coupling       float64 // of a household: part of the gap that keeping its accounts apart costs this one
	Parts          Parts
	TrackingError  float64 // annual
	CashAfter      money.Dec
	Residuals      Residuals
	Fixed          Outcome // fixed roles, minimum trade and whole shares left out
	Unrounded      Outcome
	RoundingLoss   float64
	NoTrade        float64 // objective of not trading
	IsIdleAllowed  bool    // not trading breaks no rule
	AreBandsLifted bool    // bands of groups left no way to raise the cash that is missing
	Reasons        []Reason
	Steps          int // of Newton's method
	Branches       int
}

// Reason says why a security trades or does not. Which numbers it has depends on its code.
type Reason struct {
	Security int
	Code     string
	Numbers  [reasonNumbers]Number
	Bar      Bar // where a bar is the reason
}

const reasonNumbers = 6

// Number is one named number of a reason: weights and money of the objective are fractions of value.
type Number struct {
	Name  string
	Value float64
}
