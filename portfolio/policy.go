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
	}
}

type policyFlag struct {
	key   string
	field *bool
}

func (p *Policy) flags() []policyFlag {
	return []policyFlag{{"whole_shares", &p.WholeShares}, {"no_harvest", &p.NoHarvest}, {"drip", &p.DRIP}}
}

const restrictedKey = "restricted"

// PolicyKeys returns the names of a policy's parameters, sorted: those of its JSON.
func PolicyKeys() []string {
	var p Policy
	keys := []string{restrictedKey}
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
// false, or symbols with commas between them for "restricted" (none clears it). It returns
// ErrPolicyKey, wrapped with the known keys, or ErrPolicyValue. A 0 is refused where it would stand
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
	if key == restrictedKey {
		p.Restricted = symbolList(value)
		return nil
	}
	return fmt.Errorf("%q: %w; known are %s", key, ErrPolicyKey, strings.Join(PolicyKeys(), ", "))
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
