package optimum_test

import (
	"errors"
	"math"
	"slices"
	"testing"

	"daybreak/money"
	"daybreak/rebalance/optimum"
	"daybreak/rebalance/optimum/workload"
)

// couple returns the accounts of a household over a few securities that two accounts share; the
// third is sheltered. Two securities are one property.
func couple(t *testing.T, seed uint64) []optimum.Member {
	t.Helper()
	f := workload.Generate(workload.Spec{Scenario: "couple", Seed: seed, Accounts: 3, Classes: 5, PerClass: 1, Lots: 10, Factors: 2,
		NAVCents: 10_000_000, IsStock: seed%2 == 0})
	u := f.Universe()
	u.Securities[3].Property, u.Securities[4].Property = "TWINS", "TWINS"
	o := optimum.DefaultOptions()
	members := make([]optimum.Member, len(f.Accounts))
	for k := range f.Accounts {
		a, err := f.Account(k)
		if err != nil {
			t.Fatal(err)
		}
		a.Withdrawal = money.Zero
		a.IsSheltered = k == 2
		members[k] = optimum.Member{Universe: u, Account: a, Options: &o}
	}
	return members
}

// bestOfAll plans the members exactly under every way to give up one side of each property.
func bestOfAll(t *testing.T, members []optimum.Member) float64 {
	t.Helper()
	properties := []string{"", "", "", "TWINS"}
	best := math.Inf(1)
	var s optimum.Solver
	for sides := range 1 << len(properties) {
		total := 0.0
		for _, m := range members {
			a := *m.Account
			a.Rules = slices.Clone(a.Rules)
			for i := range a.Rules {
				if sides>>min(i, 3)&1 == 1 {
					a.Rules[i].BuyBarred = true
				} else {
					a.Rules[i].LossBarred = true
				}
			}
			o := *m.Options
			o.Exact = true
			p, err := s.Solve(m.Universe, &a, &o)
			if err != nil {
				total = math.Inf(1)
				break
			}
			total += p.Unrounded.Objective * p.Value.Float()
		}
		best = min(best, total)
	}
	return best
}

func TestHouseholdAgainstEnumeration(t *testing.T) {
	var s optimum.Solver
	decided := 0
	for seed := range uint64(20) {
		members := couple(t, 900+seed)
		h, err := s.SolveHousehold(members)
		if err != nil {
			t.Errorf("seed %d: %v", seed, err)
			continue
		}
		decided += len(h.Decisions)
		worth := 0.0
		for _, p := range h.Plans {
			worth += p.Value.Float()
		}
		truth := bestOfAll(t, members)
		if over := (h.Objective.Float() - truth) / worth; over > 1e-4 || over < -1e-8 {
			t.Errorf("seed %d: objective %.4f bp above the best of all decisions, want 0 to 1", seed, over*1e4)
		}
		if h.Bound.Float() > truth+1e-6 {
			t.Errorf("seed %d: bound = %s, want at most %.6f", seed, h.Bound, truth)
		}
		noWash(t, members, h)
	}
	if decided == 0 {
		t.Error("no household had a conflict to decide")
	}
}

// noWash checks that no property is sold at a loss in one account and bought in one: a peer sold
// 1,000 at a loss by one strategy, bought 1,237.5 by the next, and netted them to a purchase.
func noWash(t *testing.T, members []optimum.Member, h *optimum.HouseholdPlan) {
	t.Helper()
	loss, bought := map[string]bool{}, map[string]bool{}
	for k, p := range h.Plans {
		u, a := members[k].Universe, members[k].Account
		for _, tr := range p.Trades {
			name := u.Securities[tr.Security].Property
			if name == "" {
				name = u.Securities[tr.Security].ID
			}
			if tr.Lot < 0 {
				bought[name] = true
			} else if l := a.Lots[tr.Lot]; !a.IsSheltered && l.Shares.Mul(u.Securities[tr.Security].Price).Less(l.Cost) {
				loss[name] = true
			}
		}
	}
	for name := range loss {
		if bought[name] {
			t.Errorf("%s is sold at a loss and bought in one household", name)
		}
	}
}

func TestHouseholdLeavesItsInputAlone(t *testing.T) {
	members := couple(t, 901)
	var before [][]optimum.Rule
	for _, m := range members {
		before = append(before, slices.Clone(m.Account.Rules))
	}
	var s optimum.Solver
	if _, err := s.SolveHousehold(members); err != nil {
		t.Fatal(err)
	}
	for k, m := range members {
		if !slices.Equal(m.Account.Rules, before[k]) {
			t.Errorf("rules of member %d changed", k)
		}
	}
}

func TestHouseholdNamesTheAccountAtFault(t *testing.T) {
	members := couple(t, 902)
	members[1].Account.Withdrawal = money.FromInt(10_000_000)
	var s optimum.Solver
	_, err := s.SolveHousehold(members)
	var fault *optimum.MemberFault
	if !errors.As(err, &fault) || fault.Account != members[1].Account.ID || fault.Fault.Code != optimum.NoCash {
		t.Errorf("SolveHousehold = %v, want %s of %s", err, optimum.NoCash, members[1].Account.ID)
	}
}
