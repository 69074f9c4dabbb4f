package rebalance_test

import (
	"slices"
	"testing"

	"daybreak/market"
	"daybreak/portfolio"
	"daybreak/rebalance"
	"daybreak/region"

	"pgregory.net/rapid"
)

// done returns the household on the next day, its plan filled at the plan's prices.
func done(t errorer, in rebalance.Input, m *market.Snapshot, plan rebalance.HouseholdPlan) rebalance.Input {
	t.Helper()
	rules, err := region.Load(in.Household.Region)
	if err != nil {
		t.Fatalf("Load = %v", err)
	}
	next := in
	next.Day++
	next.Events = slices.Clone(in.Events)
	next.Locks = slices.Concat(in.Locks, plan.Locks)
	next.Household.Accounts = slices.Clone(in.Household.Accounts)
	for i := range next.Household.Accounts {
		a := &next.Household.Accounts[i]
		a.Positions = slices.Clone(a.Positions)
		p := plan.Accounts[slices.IndexFunc(plan.Accounts, func(p rebalance.AccountPlan) bool { return p.Account == a.ID })]
		a.Cash = []portfolio.Cash{{Currency: a.Currency, Amount: p.CashAfter}}
		for _, tr := range p.Trades {
			e := eventOf(t, in, m, rules, tr)
			shares := tr.Shares
			if tr.Side == portfolio.Sell {
				e.Seq--
				shares = shares.Neg()
			}
			next.Events = append(next.Events, e)
			addPosition(a, tr.Symbol, shares)
		}
	}
	return next
}

// TestPlanIsNotUndone fills a plan of the rules and plans the next day at the same prices: rebalancing
// buys back nothing that was sold and sells nothing that was bought, and all that holds of every plan
// holds of this one. (An account that harvests may: a purchase that barred a loss yesterday may bar it no
// more, and what the harvest leaves over is invested.)
//
// The optimiser may turn back: what stood in for a barred security goes back when the bar ends, and
// whole shares are found by search. All that holds of every plan holds of its next one too.
func TestPlanIsNotUndone(t *testing.T) {
	for _, p := range planners {
		t.Run(string(p), func(t *testing.T) { checkNextDay(t, p) })
	}
}

func checkNextDay(t *testing.T, planner rebalance.Planner) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawInput(t, planner)
		plan, err := rebalance.Plan(w.in, w.market)
		if err != nil {
			t.Fatalf("Plan = %v", err)
		}
		in := done(t, w.in, w.market, plan)
		next, err := rebalance.Plan(in, w.market)
		if err != nil {
			t.Fatalf("Plan(next day) = %v", err)
		}
		checkPlan(t, in, w.market, next)
		if planner == rebalance.Rules {
			checkTurns(t, plan, next)
		}
	})
}

// checkTurns looks for trades that turn those of the day before.
func checkTurns(t errorer, plan, next rebalance.HouseholdPlan) {
	t.Helper()
	for i, p := range next.Accounts {
		if slices.ContainsFunc(p.Trades, func(t rebalance.Trade) bool { return t.Reason.Code == rebalance.Harvest }) {
			continue
		}
		for _, tr := range p.Trades {
			was, ok := tradeIn(plan.Accounts[i], tr.Symbol)
			if ok && was.Side != tr.Side {
				t.Errorf("account %s: %s %s %s (%s), the day after %s %s (%s)", p.Account,
					tr.Side, tr.Shares, tr.Symbol, tr.Reason.Code, was.Side, was.Shares, was.Reason.Code)
			}
		}
	}
}

func tradeIn(p rebalance.AccountPlan, symbol market.Symbol) (rebalance.Trade, bool) {
	i := slices.IndexFunc(p.Trades, func(t rebalance.Trade) bool { return t.Symbol == symbol })
	if i < 0 {
		return rebalance.Trade{}, false
	}
	return p.Trades[i], true
}
