package rebalance_test

import (
	"slices"
	"testing"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/rebalance"
)

// netBought returns the money of an account's purchases less that of its sales.
func netBought(p rebalance.AccountPlan) money.Dec {
	var sum money.Dec
	for _, t := range p.Trades {
		if t.Side == portfolio.Buy {
			sum = sum.Add(t.Value)
		} else {
			sum = sum.Sub(t.Value)
		}
	}
	return sum
}

// TestUnsettledProceeds walks the policies over 9,000 of proceeds in 10,000 of cash, by both planners: on
// 2020-03-16 a purchase settles on the 18th.
func TestUnsettledProceeds(t *testing.T) {
	const text = `region US
day 2020-03-16
security VTI XNYS us_equity
security AGG XNYS us_bonds
price VTI  100
price AGG  100
model mix us_equity VTI 0.6
model mix us_bonds  AGG 0.4
account A taxable 10000
hold A VTI 60 90 2018-05-01 id=V1
hold A AGG 40 90 2018-05-01 id=B1
`
	s, err := parseScenario(text)
	if err != nil {
		t.Fatal(err)
	}
	m := market.NewSnapshot(s.market)
	plan := func(t *testing.T, p rebalance.Planner, settle string, change func(*rebalance.Input)) rebalance.AccountPlan {
		t.Helper()
		in := withRisk(s.in, m)
		in.Settings.Planner = p
		in.Household.Accounts = slices.Clone(in.Household.Accounts)
		in.Unsettled = []portfolio.Unsettled{{Account: "A", Amount: money.FromInt(9000), Settle: market.MustDay(settle)}}
		change(&in)
		plan, err := rebalance.Plan(in, m)
		if err != nil || plan.Planner != p {
			t.Fatalf("Plan = by %s, %v", plan.Planner, err)
		}
		return plan.Accounts[0]
	}
	own := func(s portfolio.Spend) func(*rebalance.Input) {
		return func(in *rebalance.Input) { in.Household.Accounts[0].Policy.SpendUnsettled = s }
	}
	of := func(s portfolio.Spend) func(*rebalance.Input) {
		return func(in *rebalance.Input) { in.Settings.SpendUnsettled = s }
	}
	for _, p := range planners {
		for _, c := range []struct {
			name, settle string
			change       func(*rebalance.Input)
			isSpent      bool
		}{
			{"in time by default", "2020-03-18", own(""), true},
			{"too late by default", "2020-03-19", own(""), false},
			{"in time", "2020-03-18", own(portfolio.SpendInTime), true},
			{"never", "2020-03-17", own(portfolio.SpendNever), false},
			{"always", "2020-03-19", own(portfolio.SpendAlways), true},
			{"never in the run", "2020-03-17", of(portfolio.SpendNever), false},
			{"the account before the run", "2020-03-19", func(in *rebalance.Input) { of(portfolio.SpendNever)(in); own(portfolio.SpendAlways)(in) }, true},
		} {
			got := netBought(plan(t, p, c.settle, c.change))
			if isSpent := money.FromInt(1000).Less(got); isSpent != c.isSpent {
				t.Errorf("%s, %s: Plan invests %s of 10,000, 9,000 of them unsettled; want these spent = %t", p, c.name, got, c.isSpent)
			}
		}
		for _, need := range []int64{1500, 12000} { // what settles pays a withdrawal; only what is missing is sold
			a := plan(t, p, "2020-03-19", func(in *rebalance.Input) { in.Household.Accounts[0].Policy.WithdrawalCash = money.FromInt(need) })
			sold := netBought(a).Neg()
			if least := money.FromInt(need - 10000); sold.Less(least) || least.Sign() > 0 && least.Add(money.FromInt(200)).Less(sold) || least.Sign() < 0 && sold.Sign() > 0 {
				t.Errorf("%s: Plan(withdrawal of %d) sells %s for cash beyond the 10,000", p, need, sold)
			}
		}
	}
}
