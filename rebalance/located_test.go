package rebalance_test

import (
	"testing"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/rebalance"

	"pgregory.net/rapid"
)

// TestPlanLocates plans a couple of accounts with targets of the household: what bonds pay out is taxed in
// the one and not in the other, which then holds them. Without them, and with location=off, each account
// follows its own targets.
func TestPlanLocates(t *testing.T) {
	const text = `region US
day 2020-03-16
security VTI XNYS us_equity
security AGG XNYS us_bonds
price VTI  100
price AGG  100
model mix us_equity VTI 0.6
model mix us_bonds  AGG 0.4
account A taxable 50000
account B ira     50000
`
	s, err := parseScenario(text)
	if err != nil {
		t.Fatal(err)
	}
	m := market.NewSnapshot(s.market)
	bonds := func(l *portfolio.Location, use rebalance.LocationUse) [2]money.Dec {
		in := withRisk(s.in, m)
		in.Household.Location, in.Settings.Location = l, use
		plan, err := rebalance.Plan(in, m)
		if err != nil || plan.Planner != rebalance.Optimum {
			t.Fatalf("Plan = by %s because %s, %v", plan.Planner, plan.Because, err)
		}
		checkPlan(t, in, m, plan)
		var held [2]money.Dec
		for i, a := range plan.Accounts {
			if tr, ok := tradeIn(a, "AGG"); ok {
				held[i] = tr.Value
			}
			if a.Certificate.Exception != "" {
				t.Errorf("account %s: exception %s, gap %s bp", a.Account, a.Certificate.Exception, a.Certificate.GapBP)
			}
		}
		return held
	}
	drags := &portfolio.Location{Drags: []portfolio.Drag{{AssetClass: "us_bonds", AccountType: "taxable", Cost: money.MustParse("0.01")}}}
	own := bonds(nil, "")
	if own[0].Less(money.FromInt(18000)) || own[1].Less(money.FromInt(18000)) {
		t.Errorf("bonds of %v, want two fifths of each account", own)
	}
	if off := bonds(drags, rebalance.LocationOff); off != own {
		t.Errorf("with location=off: bonds of %v, want %v", off, own)
	}
	if at := bonds(drags, ""); !at[0].IsZero() || at[1].Less(money.FromInt(36000)) {
		t.Errorf("with targets of the household: bonds of %v, want all of them in the second account", at)
	}
	in := withRisk(s.in, m)
	in.Household.Location = &portfolio.Location{Model: "none"}
	if _, err := rebalance.Plan(in, m); err == nil || in.Household.Accounts[0].Model != "mix" {
		t.Errorf("Plan(unknown model of the household) = %v, want a fault, and its input as it was", err)
	}
}

// TestPlanPropertiesLocated checks what holds of every plan on random households with targets of their own.
func TestPlanPropertiesLocated(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawInput(t, rebalance.Optimum)
		if len(w.in.Household.Accounts) > 2 {
			t.Skip("four accounts planned as one take half a second")
		}
		w.in.Household.Location = &portfolio.Location{Drags: []portfolio.Drag{
			{AssetClass: "fund", AccountType: "taxable", Cost: money.FromUnits(rapid.Int64Range(0, 30).Draw(t, "drag"), 3)}}}
		plan, err := rebalance.Plan(w.in, w.market)
		if err != nil {
			t.Fatalf("Plan = %v", err)
		}
		checkPlan(t, w.in, w.market, plan)
	})
}
