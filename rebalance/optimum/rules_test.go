package optimum_test

import (
	"errors"
	"testing"

	"daybreak/money"
	"daybreak/rebalance/optimum"
	"daybreak/rebalance/optimum/workload"
)

// small returns a generated account with few securities, and its universe.
func small(t *testing.T, seed uint64, classes int) (*optimum.Universe, *optimum.Account) {
	t.Helper()
	f := workload.Generate(workload.Spec{Scenario: "small", Seed: seed, Accounts: 1, Classes: classes, PerClass: 1,
		Lots: 3 * classes, Factors: 2, NAVCents: 10_000_000, IsStock: seed%2 == 0})
	a, err := f.Account(0)
	if err != nil {
		t.Fatal(err)
	}
	return f.Universe(), a
}

func dec(s string) money.Dec { return money.MustParse(s) }

// rules are the rules that the workload leaves out, each as a change of an account.
var rules = []struct {
	name    string
	classes int
	set     func(u *optimum.Universe, a *optimum.Account)
}{
	{"roles alone", 8, func(*optimum.Universe, *optimum.Account) {}},
	{"minimum trade", 5, func(_ *optimum.Universe, a *optimum.Account) { a.MinTrade = dec("1500") }},
	{"band of a security", 7, func(_ *optimum.Universe, a *optimum.Account) {
		a.Rules[0].Upper, a.Rules[1].Lower = a.Targets[0].Add(dec("0.002")), a.Targets[1].Sub(dec("0.002"))
	}},
	{"band of a group", 7, func(_ *optimum.Universe, a *optimum.Account) {
		sum := a.Targets[0].Add(a.Targets[1])
		a.Groups = []optimum.Group{{Name: "core", Securities: []int32{0, 1}, Lower: sum.Sub(dec("0.001")), Upper: sum.Add(dec("0.001"))},
			{Name: "rest", Securities: []int32{2, 3}, Upper: a.Targets[2].Add(a.Targets[3])}}
	}},
	{"gain budget", 6, func(_ *optimum.Universe, a *optimum.Account) {
		a.Gains = optimum.Gains{HasBudget: true, Budget: dec("-900"), LongSoFar: dec("250")}
	}},
	{"netting of short and long", 5, func(_ *optimum.Universe, a *optimum.Account) {
		a.Gains = optimum.Gains{IsNetted: true, LossRate: dec("0.1"), ShortSoFar: dec("700"), LongSoFar: dec("-300")}
	}},
	{"netting after a loss", 5, func(_ *optimum.Universe, a *optimum.Account) {
		a.Gains = optimum.Gains{IsNetted: true, LossRate: dec("0.05"), ShortSoFar: dec("-1500"), LongSoFar: dec("2500")}
	}},
	{"one class of gains", 6, func(_ *optimum.Universe, a *optimum.Account) {
		a.Gains = optimum.Gains{IsNetted: true, LossRate: dec("0.2"), LongSoFar: dec("800")}
		for k := range a.Lots {
			a.Lots[k].IsShort = false
		}
	}},
	{"two currencies", 7, func(u *optimum.Universe, a *optimum.Account) {
		for i := range u.Securities {
			u.Securities[i].Cash = i % 2
		}
		a.Balances = []optimum.Balance{{Currency: "USD", Cash: dec("4000"), Least: dec("100"), Spread: dec("0.002")}}
	}},
	{"all of them", 4, func(u *optimum.Universe, a *optimum.Account) {
		for i := range u.Securities {
			u.Securities[i].Cash = i % 2
		}
		a.Balances = []optimum.Balance{{Currency: "USD", Cash: dec("1000"), Least: dec("0"), Spread: dec("0.002")}}
		a.MinTrade = dec("900")
		a.Rules[0].Upper = a.Targets[0].Add(dec("0.01"))
		a.Groups = []optimum.Group{{Name: "core", Securities: []int32{0, 1}, Upper: a.Targets[0].Add(a.Targets[1]).Add(dec("0.01"))}}
		a.Gains = optimum.Gains{IsNetted: true, HasBudget: true, Budget: dec("3000"), LossRate: dec("0.1"), ShortSoFar: dec("200"), LongSoFar: dec("500")}
	}},
}

func TestEveryRuleAgainstEnumeration(t *testing.T) {
	for _, rule := range rules {
		t.Run(rule.name, func(t *testing.T) {
			t.Parallel()
			var s optimum.Solver
			solved := 0
			for seed := range uint64(6) {
				u, a := small(t, 100+seed, rule.classes)
				rule.set(u, a)
				o := optimum.DefaultOptions()
				o.Exact = true
				truth := newEnumeration(u, a, o).optimum(t)
				p, err := s.Solve(u, a, &o)
				var fault *optimum.Fault
				if errors.As(err, &fault) {
					if truth < 10 {
						t.Errorf("seed %d: Solve = %v, want %.9f", seed, err, truth)
					}
					continue
				}
				solved++
				if p.Unrounded.Objective > truth+2e-8 || p.Unrounded.Objective < truth-2e-8 {
					t.Errorf("seed %d: objective before rounding = %.9f, want %.9f", seed, p.Unrounded.Objective, truth)
				}
				if p.Bound > truth+1e-8 || p.Bound < truth-1e-4 {
					t.Errorf("seed %d: bound = %.9f, want at most %.9f and near it", seed, p.Bound, truth)
				}
				if p.Objective > truth+1e-6 || !p.Residuals.IsZero() {
					t.Errorf("seed %d: rounded objective = %.9f, residuals %+v, want %.9f and none", seed, p.Objective, p.Residuals, truth)
				}
			}
			if solved < 3 {
				t.Errorf("solved = %d of 6 accounts, want 3 or more", solved)
			}
		})
	}
}
