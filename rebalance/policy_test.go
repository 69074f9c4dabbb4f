package rebalance_test

import (
	"slices"
	"testing"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/rebalance"
)

const sensitive = `region US
day 2020-03-16
security VTI  XNYS us_equity
security SCHB XNYS us_equity
security AGG  XNYS us_bonds
price VTI  120
price SCHB  58
price AGG  112
model mix us_equity VTI 0.6 SCHB 0
model mix us_bonds  AGG 0.4
account A taxable 1600
account B ira 5000
hold A VTI 100 150 2018-05-01 id=V1
hold A VTI 300 122 2018-06-01 id=V2
hold A AGG 250 108 2018-05-01 id=B1
hold B AGG  30 108 2018-05-01 id=B2
`

// TestEachSettingChangesAPlan changes one parameter at a time: none is read and forgotten.
func TestEachSettingChangesAPlan(t *testing.T) {
	values := map[string]string{
		"band": "0.2", "min_trade": "3000", "cash_target": "0.05", "withdrawal_cash": "4000", "harvest_min": "0.25",
		"harvest_cash_min": "5000", "whole_shares": "true", "no_harvest": "true", "restricted": "VTI",
		"mode": "nothing", "gain_budget": "0", "risk_aversion": "5", "idle_cash": "0.5", "gap_max": "0.000001", "gap_cash_min": "0.01", "gain_min": "9000",
		"spend_unsettled": "never",
	}
	ofOptimiser := []string{"mode", "gain_budget", "risk_aversion", "idle_cash", "gap_max", "gap_cash_min", "gain_min"}
	elsewhere := []string{"drip", "monthly_deposit", "spend_unsettled"} // the deposit and dividend paths read them; TestUnsettledProceeds
	s, err := parseScenario(sensitive)
	if err != nil {
		t.Fatal(err)
	}
	m := market.NewSnapshot(s.market)
	before := bytesOf(t, s.in, m)
	for _, key := range portfolio.PolicyKeys() {
		if slices.Contains(elsewhere, key) || slices.Contains(ofOptimiser, key) {
			continue
		}
		in := s.in
		in.Household.Accounts = slices.Clone(in.Household.Accounts)
		for i := range in.Household.Accounts {
			if err := in.Household.Accounts[i].Policy.Set(key, values[key]); err != nil {
				t.Fatalf("Set(%s) = %v", key, err)
			}
		}
		if after := bytesOf(t, in, m); after == before {
			t.Errorf("Plan(%s=%s) = the plan without it, want another", key, values[key])
		}
	}
	for name, settings := range map[string]rebalance.Settings{
		"stale_days": {StaleDays: 1, CashBuffer: money.MustParse("0.005")}, "cash_buffer": {CashBuffer: money.MustParse("0.2")},
		"cost_rate": {CostRate: money.MustParse("0.01")},
	} {
		in := s.in
		in.Settings = settings
		m := m
		if name == "stale_days" {
			older := s.market
			older.Prices = slices.Clone(older.Prices)
			for i := range older.Prices {
				older.Prices[i].Day--
			}
			m = market.NewSnapshot(older)
		}
		if after := bytesOf(t, in, m); after == before {
			t.Errorf("Plan(%s) = the plan without it, want another", name)
		}
	}
}
