package rebalance_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/rebalance"
)

func TestSettingsSet(t *testing.T) {
	zero := money.Zero
	for _, c := range []struct {
		key, value string
		want       rebalance.Settings
	}{
		{"planner", "rules", rebalance.Settings{Planner: rebalance.Rules}},
		{"mode", "transition", rebalance.Settings{Mode: portfolio.ModeTransition}},
		{"gain_budget", "0", rebalance.Settings{GainBudget: &zero}},
		{"gain_budget", "none", rebalance.Settings{}},
		{"netting", "true", rebalance.Settings{Netting: true}},
		{"spend_unsettled", "never", rebalance.Settings{SpendUnsettled: portfolio.SpendNever}},
		{"location", "off", rebalance.Settings{Location: rebalance.LocationOff}},
		{"cost_rate", "0", rebalance.Settings{}},
		{"half_spread", "0.999999999999", rebalance.Settings{HalfSpread: money.MustParse("0.999999999999")}},
		{"gap_max", "2.5", rebalance.Settings{GapMax: money.MustParse("2.5")}},
		{"stale_days", "366", rebalance.Settings{StaleDays: 366}},
		{"risk_factors", "1", rebalance.Settings{RiskFactors: 1}},
	} {
		var s rebalance.Settings
		if err := s.Set(c.key, c.value); err != nil || !reflect.DeepEqual(s, c.want) {
			t.Errorf("Set(%s, %s) = %v, %+v, want %+v", c.key, c.value, err, s, c.want)
		}
	}
}

func TestSettingsSetRefuses(t *testing.T) {
	for _, c := range [][2]string{
		{"planner", "luck"}, {"spend_unsettled", "later"}, {"location", "on"}, {"mode", "Full"}, {"gain_budget", "-1"}, {"netting", "yes"}, {"half_spread", "1"}, {"half_spread", "0"},
		{"fx_spread", "-0.1"}, {"gap_max", "0"}, {"risk_aversion", "x"}, {"stale_days", "367"}, {"stale_days", "0"}, {"risk_factors", "65"},
		{"risk_years", "31"}, {"band", "0.02"}, {"", "1"},
	} {
		var s rebalance.Settings
		err := s.Set(c[0], c[1])
		if !errors.Is(err, rebalance.ErrSetting) {
			t.Errorf("Set(%s, %s) = %v, want %v", c[0], c[1], err, rebalance.ErrSetting)
		}
		if !slices.Contains(rebalance.SettingKeys(), c[0]) && !strings.Contains(err.Error(), "cash_buffer, cost_rate, fx_spread") {
			t.Errorf("Set(%s, %s) = %v, want the known keys", c[0], c[1], err)
		}
	}
}

// TestSettingKeys compares the keys with the JSON of the settings: a parameter that is recorded can be
// set, and one that can be set is recorded.
func TestSettingKeys(t *testing.T) {
	var names []string
	for i := range reflect.TypeFor[rebalance.Settings]().NumField() {
		name, _, _ := strings.Cut(reflect.TypeFor[rebalance.Settings]().Field(i).Tag.Get("json"), ",")
		names = append(names, name)
	}
	slices.Sort(names)
	if got := rebalance.SettingKeys(); !slices.Equal(got, names) {
		t.Errorf("SettingKeys = %v, want %v", got, names)
	}
}

// TestEachParameterChangesAPlan changes one parameter of the optimiser at a time, of the run and where it
// has one of the account: none is read and forgotten.
func TestEachParameterChangesAPlan(t *testing.T) {
	text := sensitive + "account C taxable 500\nhold C SCHB 2000 50 2018-05-01 id=C1\n"
	s, err := parseScenario(text)
	if err != nil {
		t.Fatal(err)
	}
	m := market.NewSnapshot(s.market)
	before := bytesOf(t, withRisk(s.in, m), m)
	for key, value := range map[string]string{
		"planner": "rules", "mode": "nothing", "gain_budget": "0", "risk_aversion": "3", "idle_cash": "0.2", "gap_max": "0.00000001",
		"gain_min": "9000", "cost_rate": "0.01", "half_spread": "0.02", "netting": "true",
	} {
		in := withRisk(s.in, m)
		if key == "gap_max" {
			in.Settings.GapCashMin = money.FromUnits(1, 12)
		}
		if err := in.Settings.Set(key, value); err != nil {
			t.Fatalf("Set(%s) = %v", key, err)
		}
		if after := bytesOf(t, in, m); after == before {
			t.Errorf("Plan(%s=%s of the run) = the plan without it, want another", key, value)
		}
		if !slices.Contains(portfolio.PolicyKeys(), key) {
			continue
		}
		in = withRisk(s.in, m)
		in.Settings.GapCashMin = money.FromUnits(1, 12)
		in.Household.Accounts = slices.Clone(in.Household.Accounts)
		plain := bytesOf(t, in, m)
		for i := range in.Household.Accounts {
			if err := in.Household.Accounts[i].Policy.Set(key, value); err != nil {
				t.Fatalf("Policy.Set(%s) = %v", key, err)
			}
		}
		if after := bytesOf(t, in, m); after == plain {
			t.Errorf("Plan(%s=%s of the accounts) = the plan without it, want another", key, value)
		}
	}
}
