package portfolio_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
)

func TestPolicySet(t *testing.T) {
	for _, c := range []struct {
		key, value string
		want       portfolio.Policy
	}{
		{"band", "0.05", portfolio.Policy{Band: money.MustParse("0.05")}},
		{"band", "1", portfolio.Policy{Band: money.One}},
		{"min_trade", "10", portfolio.Policy{MinTrade: money.FromInt(10)}},
		{"cash_target", "0.002", portfolio.Policy{CashTarget: money.MustParse("0.002")}},
		{"withdrawal_cash", "0", portfolio.Policy{}},
		{"withdrawal_cash", "2500.50", portfolio.Policy{WithdrawalCash: money.MustParse("2500.50")}},
		{"monthly_deposit", "300", portfolio.Policy{MonthlyDeposit: money.FromInt(300)}},
		{"harvest_min", "0.1", portfolio.Policy{HarvestMin: money.MustParse("0.1")}},
		{"harvest_cash_min", "50", portfolio.Policy{HarvestCashMin: money.FromInt(50)}},
		{"whole_shares", "true", portfolio.Policy{WholeShares: true}},
		{"no_harvest", "true", portfolio.Policy{NoHarvest: true}},
		{"drip", "false", portfolio.Policy{}},
		{"restricted", "VTI, AGG,VTI", portfolio.Policy{Restricted: []market.Symbol{"AGG", "VTI"}}},
		{"restricted", "", portfolio.Policy{}},
		{"mode", "transition", portfolio.Policy{Mode: portfolio.ModeTransition}},
		{"gain_budget", "0", portfolio.Policy{GainBudget: &money.Dec{}}},
		{"gain_budget", "none", portfolio.Policy{}},
		{"risk_aversion", "20", portfolio.Policy{RiskAversion: money.FromInt(20)}},
		{"gap_max", "0.5", portfolio.Policy{GapMax: money.MustParse("0.5")}},
	} {
		var p portfolio.Policy
		err := p.Set(c.key, c.value)
		same := slices.Equal(p.Restricted, c.want.Restricted)
		p.Restricted, c.want.Restricted = nil, nil
		if err != nil || !same || !equalPolicies(p, c.want) {
			t.Errorf("Set(%q, %q) = %v, %+v, want %+v", c.key, c.value, err, p, c.want)
		}
	}
}

func equalPolicies(p, q portfolio.Policy) bool {
	return p.Band == q.Band && p.MinTrade == q.MinTrade && p.CashTarget == q.CashTarget &&
		p.WithdrawalCash == q.WithdrawalCash && p.MonthlyDeposit == q.MonthlyDeposit && p.HarvestMin == q.HarvestMin &&
		p.HarvestCashMin == q.HarvestCashMin && p.WholeShares == q.WholeShares && p.NoHarvest == q.NoHarvest && p.DRIP == q.DRIP &&
		p.Mode == q.Mode && (p.GainBudget == nil) == (q.GainBudget == nil) && (p.GainBudget == nil || *p.GainBudget == *q.GainBudget) &&
		p.RiskAversion == q.RiskAversion && p.IdleCash == q.IdleCash && p.GapMax == q.GapMax
}

func TestPolicySetRefuses(t *testing.T) {
	for _, c := range []struct {
		key, value string
		want       error
	}{
		{"bands", "0.05", portfolio.ErrPolicyKey},
		{"", "1", portfolio.ErrPolicyKey},
		{"Band", "1", portfolio.ErrPolicyKey},
		{"band", "0", portfolio.ErrPolicyValue},
		{"band", "-0.01", portfolio.ErrPolicyValue},
		{"band", "1.000000000001", portfolio.ErrPolicyValue},
		{"band", "2%", portfolio.ErrPolicyValue},
		{"min_trade", "1e400", portfolio.ErrPolicyValue},
		{"withdrawal_cash", "NaN", portfolio.ErrPolicyValue},
		{"withdrawal_cash", "-1", portfolio.ErrPolicyValue},
		{"mode", "Full", portfolio.ErrPolicyValue},
		{"gain_budget", "-0.01", portfolio.ErrPolicyValue},
		{"gain_budget", "", portfolio.ErrPolicyValue},
		{"risk_aversion", "0", portfolio.ErrPolicyValue},
		{"no_harvest", "yes", portfolio.ErrPolicyValue},
	} {
		var p portfolio.Policy
		err := p.Set(c.key, c.value)
		if !errors.Is(err, c.want) {
			t.Errorf("Set(%q, %q) = %v, want %v", c.key, c.value, err, c.want)
		}
		if c.want == portfolio.ErrPolicyKey && !strings.Contains(err.Error(), "band, cash_target, drip, gain_budget, gain_min, gap_cash_min, gap_max, harvest_cash_min") {
			t.Errorf("Set(%q, %q) = %v, want the known keys", c.key, c.value, err)
		}
	}
}

func TestPolicyValidate(t *testing.T) {
	if err := portfolio.DefaultPolicy.Validate(); err != nil {
		t.Errorf("Validate(default) = %v, want nil", err)
	}
	bad := portfolio.Policy{CashTarget: money.MustParse("1.01")}
	if err := bad.Validate(); !errors.Is(err, portfolio.ErrPolicyValue) {
		t.Errorf("Validate(cash target 1.01) = %v, want %v", err, portfolio.ErrPolicyValue)
	}
}
