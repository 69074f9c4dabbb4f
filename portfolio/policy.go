package portfolio

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"daybreak/market"
	"daybreak/money"
)

// ErrPolicyKey is wrapped with the key, and the known ones, where a policy has no such parameter.
// Commands branch on it to report a fault of usage.
var ErrPolicyKey = errors.New("unknown policy parameter")

// ErrPolicyValue is wrapped with the key and value where a parameter cannot take that value.
// Commands branch on it to report a fault of usage.
var ErrPolicyValue = errors.New("bad policy value")

// policyDec describes one decimal parameter: its JSON name, where it stands, whether 0 stands for
// the default, and whether it is a share from 0 to 1.
type policyDec struct {
	key       string
	field     *money.Dec
	defaulted bool
	share     bool
}

func (p *Policy) decimals() []policyDec {
	return []policyDec{
		{"band", &p.Band, true, true},
		{"min_trade", &p.MinTrade, true, false},
		{"cash_target", &p.CashTarget, true, true},
		{"withdrawal_cash", &p.WithdrawalCash, false, false},
		{"monthly_deposit", &p.MonthlyDeposit, false, false},
		{"harvest_min", &p.HarvestMin, true, true},
		{"harvest_cash_min", &p.HarvestCashMin, true, false},
		{"risk_aversion", &p.RiskAversion, true, false},
		{"idle_cash", &p.IdleCash, true, false},
		{"gap_max", &p.GapMax, true, false},
		{"gap_cash_min", &p.GapCashMin, true, false},
		{"gain_min", &p.GainMin, true, false},
	}
}

type policyFlag struct {
	key   string
	field *bool
}

func (p *Policy) flags() []policyFlag {
	return []policyFlag{{"whole_shares", &p.WholeShares}, {"no_harvest", &p.NoHarvest}, {"drip", &p.DRIP}}
}

// Parameters of other kinds.
const (
	restrictedKey = "restricted"
	modeKey       = "mode"
	gainBudgetKey = "gain_budget"
	spendKey      = "spend_unsettled"
)

// noBudget is how a gain budget is cleared.
const noBudget = "none"

// PolicyKeys returns the names of a policy's parameters, sorted: those of its JSON.
func PolicyKeys() []string {
	var p Policy
	keys := []string{restrictedKey, modeKey, gainBudgetKey, spendKey}
	for _, d := range p.decimals() {
		keys = append(keys, d.key)
	}
	for _, f := range p.flags() {
		keys = append(keys, f.key)
	}
	slices.Sort(keys)
	return keys
}

// Set gives the parameter key, named as in JSON, the value written as text: a decimal, true or
// false, symbols with commas between them for "restricted" (none clears it), one of Modes for "mode",
// one of Spends for "spend_unsettled",
// "none" for no "gain_budget". It returns ErrPolicyKey, wrapped with the known keys, or ErrPolicyValue. A 0 is refused where it would stand
// for the default, so that what is asked is what is done.
func (p *Policy) Set(key, value string) error {
	for _, d := range p.decimals() {
		if d.key == key {
			return d.set(value)
		}
	}
	for _, f := range p.flags() {
		if f.key == key {
			return f.set(value)
		}
	}
	switch key {
	case restrictedKey:
		p.Restricted = symbolList(value)
		return nil
	case modeKey:
		return p.setMode(value)
	case gainBudgetKey:
		return p.setBudget(value)
	case spendKey:
		return p.setSpend(value)
	}
	return fmt.Errorf("%q: %w; known are %s", key, ErrPolicyKey, strings.Join(PolicyKeys(), ", "))
}

func (p *Policy) setMode(value string) error {
	if !slices.Contains(Modes, Mode(value)) {
		return fmt.Errorf("%s: %w: %q is none of %v", modeKey, ErrPolicyValue, value, Modes)
	}
	p.Mode = Mode(value)
	return nil
}

func (p *Policy) setSpend(value string) error {
	if !slices.Contains(Spends, Spend(value)) {
		return fmt.Errorf("%s: %w: %q is none of %v", spendKey, ErrPolicyValue, value, Spends)
	}
	p.SpendUnsettled = Spend(value)
	return nil
}

func (p *Policy) setBudget(value string) error {
	if value == noBudget {
		p.GainBudget = nil
		return nil
	}
	v, err := money.Parse(value)
	if err != nil || v.Sign() < 0 {
		return fmt.Errorf("%s: %w: %q is neither an amount of at least 0 nor %s", gainBudgetKey, ErrPolicyValue, value, noBudget)
	}
	p.GainBudget = &v
	return nil
}

func (d policyDec) set(value string) error {
	v, err := money.Parse(value)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w: %w", d.key, ErrPolicyValue, err)
	case v.Sign() < 0:
		return fmt.Errorf("%s: %w: %s is below 0", d.key, ErrPolicyValue, value)
	case d.share && money.One.Less(v):
		return fmt.Errorf("%s: %w: %s is a share above 1", d.key, ErrPolicyValue, value)
	case d.defaulted && v.IsZero():
		return fmt.Errorf("%s: %w: 0 stands for the default; give a number above 0", d.key, ErrPolicyValue)
	}
	*d.field = v
	return nil
}

func (f policyFlag) set(value string) error {
	v, err := strconv.ParseBool(value)
	if err != nil {
		return fmt.Errorf("%s: %w: %q is neither true nor false", f.key, ErrPolicyValue, value)
	}
	*f.field = v
	return nil
}

// Validate returns the first parameter of p that is out of its range, as Set would refuse it, or
// nil; zeros, which stand for defaults, are in range.
func (p Policy) Validate() error {
	for _, d := range p.decimals() {
		if d.field.Sign() < 0 || d.share && money.One.Less(*d.field) {
			return fmt.Errorf("%s: %w: %s", d.key, ErrPolicyValue, *d.field)
		}
	}
	if p.Mode != "" && !slices.Contains(Modes, p.Mode) {
		return fmt.Errorf("%s: %w: %q", modeKey, ErrPolicyValue, p.Mode)
	}
	if !p.SpendUnsettled.IsKnown() {
		return fmt.Errorf("%s: %w: %q", spendKey, ErrPolicyValue, p.SpendUnsettled)
	}
	if p.GainBudget != nil && p.GainBudget.Sign() < 0 {
		return fmt.Errorf("%s: %w: %s", gainBudgetKey, ErrPolicyValue, *p.GainBudget)
	}
	return nil
}

func symbolList(value string) []market.Symbol {
	var symbols []market.Symbol
	for _, s := range strings.Split(value, ",") {
		if s = strings.TrimSpace(s); s != "" {
			symbols = append(symbols, market.Symbol(s))
		}
	}
	slices.Sort(symbols)
	return slices.Compact(symbols)
}
