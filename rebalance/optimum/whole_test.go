package optimum_test

import (
	"math"
	"slices"
	"testing"

	"daybreak/money"
	"daybreak/rebalance/optimum"
	"daybreak/rebalance/optimum/workload"
)

// shares tries every combination of whole shares of an account with a few securities.
type shares struct {
	*enumeration
	lots  [][]optimum.Lot // by security, ascending tax, those that may be sold
	least float64         // best objective so far
}

func newShares(u *optimum.Universe, a *optimum.Account, o optimum.Options) *shares {
	s := &shares{enumeration: newEnumeration(u, a, o), lots: make([][]optimum.Lot, len(u.Securities)), least: math.Inf(1)}
	for _, l := range a.Lots {
		i := int(l.Security)
		if isLoss := s.gain(l) < 0; !isLoss || !l.LossBarred && s.harvests(i) {
			s.lots[i] = append(s.lots[i], l)
		}
	}
	for i := range s.lots {
		slices.SortFunc(s.lots[i], func(a, b optimum.Lot) int {
			if s.tax(a) < s.tax(b) {
				return -1
			}
			return 1
		})
	}
	return s
}

func (s *shares) tax(l optimum.Lot) float64 {
	if l.IsShort {
		return s.o.ShortRate * s.gain(l)
	}
	return s.o.LongRate * s.gain(l)
}

// try sets the trades of security i and those after it in every way.
func (s *shares) try(i int, trade []float64) {
	if i == len(s.u.Securities) {
		if f, ok := s.objective(trade); ok {
			s.least = min(s.least, f)
		}
		return
	}
	price := s.u.Securities[i].Price.Float() / s.value
	hold := 0.0
	for _, l := range s.lots[i] {
		hold += s.lotValue(l)
	}
	for n := 0.0; n*price < hold; n++ {
		trade[i] = -n * price
		s.try(i+1, trade)
	}
	trade[i] = -hold
	s.try(i+1, trade)
	if s.rule(i).BuyBarred {
		return
	}
	for n := 1.0; n*price < 0.5; n++ {
		trade[i] = n * price
		s.try(i+1, trade)
	}
}

func (s *shares) objective(trade []float64) (float64, bool) {
	cash := s.a.Cash.Float() / s.value
	f := 0.0
	exposure := make([]float64, len(s.u.Securities[0].Load))
	for i, t := range trade {
		sec := s.u.Securities[i]
		k := sec.Cost.Float()
		cash -= t + k*math.Abs(t)
		f += k * math.Abs(t)
		left := -t
		for _, l := range s.lots[i] {
			u := min(max(left, 0), s.lotValue(l))
			left -= u
			f += s.tax(l) * u
		}
		x := s.held[i] - s.a.Targets[i].Float() + t
		for j, b := range sec.Load {
			exposure[j] += b * x
		}
		f += s.o.RiskAversion * sec.SpecificVol * sec.SpecificVol * x * x
	}
	for _, y := range exposure {
		f += s.o.RiskAversion * y * y
	}
	return f + s.o.IdleCash*cash, cash >= s.o.CashFloor.Float()+s.a.Withdrawal.Float()/s.value
}

func TestWholeSharesAgainstEnumeration(t *testing.T) {
	var s optimum.Solver
	worst := 0.0
	for seed := range uint64(8) {
		f := workload.Generate(workload.Spec{Scenario: "whole", Seed: 500 + seed, Accounts: 1, Classes: 3, PerClass: 1, Lots: 6,
			Factors: 2, NAVCents: 1_800_000, IsStock: seed%2 == 0})
		for k := range f.Accounts[0].Lots { // whole shares, at the price for each
			l := &f.Accounts[0].Lots[k]
			whole := max(l.QtyE4/10_000, 1) * 10_000
			l.CostCents = l.CostCents * whole / l.QtyE4
			l.QtyE4 = whole
		}
		a, err := f.Account(0)
		if err != nil {
			t.Fatal(err)
		}
		a.WholeShares = true
		u, o := f.Universe(), optimum.DefaultOptions()
		truth := newShares(u, a, o)
		truth.try(0, make([]float64, 3))
		p, err := s.Solve(u, a, &o)
		if err != nil {
			if !math.IsInf(truth.least, 1) {
				t.Errorf("seed %d: Solve = %v, want %.9f", seed, err, truth.least)
			}
			continue
		}
		if p.Objective < truth.least-1e-10 || p.Objective > truth.least+1e-4 {
			t.Errorf("seed %d: objective = %.9f, want %.9f or at most 1e-4 more", seed, p.Objective, truth.least)
		}
		if p.Bound > truth.least+1e-10 {
			t.Errorf("seed %d: bound = %.9f, want at most %.9f", seed, p.Bound, truth.least)
		}
		worst = max(worst, p.Objective-truth.least)
		for _, tr := range p.Trades {
			if tr.Shares.RoundDown(0) != tr.Shares {
				t.Errorf("seed %d: trade of %s shares, want whole ones", seed, tr.Shares)
			}
		}
	}
	t.Logf("whole shares: at most %.4f bp above the best combination", worst*1e4)
}

func TestWholeSharesMaySellOutAFraction(t *testing.T) {
	u, a := small(t, 7, 3)
	a.WholeShares = true
	a.Targets = []money.Dec{dec("0"), dec("0.49"), dec("0.5")}
	a.CashTarget = dec("0.01")
	o := optimum.DefaultOptions()
	o.HarvestMin = 0
	var s optimum.Solver
	p, err := s.Solve(u, a, &o)
	if err != nil {
		t.Fatal(err)
	}
	if !p.Residuals.IsZero() {
		t.Errorf("residuals = %+v, want none", p.Residuals)
	}
}
