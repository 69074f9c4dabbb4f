package rebalance

import (
	"math"
	"strconv"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/rebalance/optimum"
)

// Certificate is the proof of how good an account's plan is. Objective, bound and the parts of the
// objective are shares of the account's value over a year; docs/optimiser.md says what they sum up.
// The objective is of the trades as they stand, recomputed from them alone; no trades that the
// account's rules allow have an objective below the bound.
type Certificate struct {
	Objective     money.Dec       `json:"objective"`
	Bound         money.Dec       `json:"bound"`
	GapBP         money.Dec       `json:"gap_bp"`                    // objective less bound, basis points of value
	GapMoney      money.Dec       `json:"gap_money"`                 // the same in the account's currency
	CouplingBP    money.Dec       `json:"coupling_bp,omitzero"`      // part of the gap that keeping the household's accounts apart costs this one
	HouseholdGap  money.Dec       `json:"household_gap_bp,omitzero"` // gap of the household's plan, its decisions counted, basis points of the value of all
	NoTrade       money.Dec       `json:"no_trade"`                  // objective of not trading
	Risk          money.Dec       `json:"risk"`                      // parts of the objective
	Tax           money.Dec       `json:"tax"`
	Cost          money.Dec       `json:"cost"`
	Cash          money.Dec       `json:"cash"`
	Drag          money.Dec       `json:"drag,omitzero"`  // of targets of the household
	TrackingError money.Dec       `json:"tracking_error"` // against the model, a year
	Mode          portfolio.Mode  `json:"mode"`
	Exception     string          `json:"exception,omitempty"` // why a person must look at the plan before it goes out
	Relaxed       []string        `json:"relaxed,omitempty"`   // rules that no tradable plan could meet, and that this one does without
	StandIns      []market.Symbol `json:"stand_ins,omitempty"` // securities whose class lent them its risk, for want of closes
	Inside        []Inside        `json:"inside,omitempty"`    // securities that no trade would improve
}

// Inside says that a security is not traded because its weight lies between the two ends inside which
// trading it costs more than it helps.
type Inside struct {
	Symbol market.Symbol `json:"symbol"`
	Weight money.Dec     `json:"weight"`
	Low    money.Dec     `json:"low"`
	High   money.Dec     `json:"high"`
}

// The exceptions of a certificate.
const (
	GapAboveLimit = "GAP_ABOVE_LIMIT" // the certified gap is above the limits of the account or the run
	RulesRelaxed  = "RULES_RELAXED"   // the plan had to leave a rule out; Relaxed says which
	NotSolved     = "NOT_SOLVED"      // no plan was found: the account is left alone
)

// Exception returns why a person must look at the account's plan before it goes out, or "".
func (p AccountPlan) Exception() string {
	if p.Certificate == nil {
		return ""
	}
	return p.Certificate.Exception
}

// certificatePlaces are the decimals of a certificate.
const certificatePlaces = 12

// fractionMax bounds what a certificate shows: an account of a few cents that owes a withdrawal of
// thousands is off its targets by more.
const fractionMax = 9e6

// fraction is how a share of value is written; what is no number is 0.
func fraction(f float64) money.Dec {
	if math.IsNaN(f) {
		return money.Zero
	}
	return money.MustParse(strconv.FormatFloat(max(-fractionMax, min(f, fractionMax)), 'f', certificatePlaces, 64))
}

// below is a fraction that is not above f: a bound must stay one when it is written.
func below(f float64) money.Dec { return fraction(f).Sub(money.FromUnits(1, certificatePlaces)) }

var basisPoints = money.FromInt(10_000)

// certify returns the certificate of a solved account. What the household's decisions cost the account
// is proven by the household's own gap, and is no exception.
func (h *house) certify(f *fitted, p *optimum.Plan, all *optimum.HouseholdPlan) *Certificate {
	c := &Certificate{
		Objective: fraction(p.Objective), Bound: below(p.Bound), NoTrade: fraction(p.NoTrade), Risk: fraction(p.Parts.Risk),
		Tax: fraction(p.Parts.Tax), Cost: fraction(p.Parts.Cost), Cash: fraction(p.Parts.Cash), Drag: fraction(p.Parts.Drag),
		TrackingError: fraction(p.TrackingError).Round(9), Mode: h.modeOf(f.account), Relaxed: f.relaxed, StandIns: f.standIns,
	}
	c.Bound = money.Min(c.Bound, c.Objective) // of a huge objective the last digits are noise
	gap := c.Objective.Sub(c.Bound)
	c.GapBP, c.GapMoney = gap.Mul(basisPoints), gap.Mul(p.Value)
	coupling := money.Min(gap, fraction(p.Coupling))
	c.CouplingBP, c.HouseholdGap = coupling.Mul(basisPoints), fraction(all.GapBP).Round(6)
	most := ownOr(f.account.policy.GapMax, h.settings.GapMax)
	isFar := most.Less(c.GapBP.Sub(c.CouplingBP)) || most.Less(c.HouseholdGap)
	switch {
	case isFar && !c.GapMoney.Less(ownOr(f.account.policy.GapCashMin, h.settings.GapCashMin)):
		c.Exception = GapAboveLimit
	case len(f.relaxed) > 0:
		c.Exception = RulesRelaxed
	}
	return c
}

func (h *house) modeOf(a *account) portfolio.Mode {
	if a.policy.Mode != "" {
		return a.policy.Mode
	}
	return h.settings.Mode
}

// ownOr returns what an account's policy names, else what the run has.
func ownOr(own, run money.Dec) money.Dec {
	if own.Sign() > 0 {
		return own
	}
	return run
}
