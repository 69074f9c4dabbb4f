package optimum_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"daybreak/money"
	"daybreak/rebalance/optimum"
)

// tiny is an account of three securities with one lot each and whole shares, in plain numbers.
type tiny struct {
	cash, value float64
	held        [3]int
	cost        [3]float64 // a share
	isShort     [3]bool
	isSheltered bool
	target      [3]float64
	drag        [3]float64
}

// tinyHousehold is two accounts of one owner over the same three securities.
type tinyHousehold struct {
	price     [3]float64
	load      [3][2]float64
	own       [3]float64
	accounts  [2]tiny
	short     float64 // realised this year
	long      float64
	budget    float64 // below zero for none
	isNetted  bool
	isLocated bool
}

const (
	tinySpread = 0.001
	tinyCash   = 0.02
)

func drawTiny(seed uint64) *tinyHousehold {
	r := rand.New(rand.NewPCG(seed, 77))
	h := &tinyHousehold{budget: -1}
	for i := range h.price {
		h.price[i] = float64(40 + r.IntN(200))
		h.own[i] = 0.03 + 0.1*r.Float64()
		h.load[i] = [2]float64{0.1 + 0.1*r.Float64(), 0.1 * r.NormFloat64()}
	}
	for k := range h.accounts {
		a := &h.accounts[k]
		a.cash = float64(r.IntN(400)) + 20
		a.value = a.cash
		left := 1 - tinyCash
		for i := range a.held {
			a.held[i] = r.IntN(6)
			a.cost[i] = math.Round(h.price[i] * (0.6 + 0.8*r.Float64()))
			a.isShort[i] = r.IntN(2) == 0
			a.value += float64(a.held[i]) * h.price[i]
			if a.target[i] = math.Round(left*r.Float64()*1000) / 1000; i == 2 {
				a.target[i] = left
			}
			left -= a.target[i]
		}
	}
	return h
}

// state is one way to trade an account: shares after, and what follows from them, fractions of its value.
type state struct {
	x            [3]float64
	rest         float64 // cost, idle cash and drag
	gain         [2]float64
	sold, bought int // names harvested and bought, as bits
}

func (h *tinyHousehold) states(k int) []state {
	a := &h.accounts[k]
	var out []state
	var after [3]int
	var try func(i int, left float64)
	try = func(i int, left float64) {
		if i < 3 {
			for after[i] = 0; float64(after[i])*h.price[i] <= left; after[i]++ {
				try(i+1, left-float64(after[i])*h.price[i])
			}
			return
		}
		var s state
		cash := a.cash
		for i, n := range after {
			by := float64(n-a.held[i]) * h.price[i]
			cash -= by + math.Abs(by)*tinySpread
			s.rest += math.Abs(by) * tinySpread / a.value
			s.x[i] = float64(n)*h.price[i]/a.value - a.target[i]
			s.rest += a.drag[i] * float64(n) * h.price[i] / a.value
			gain := float64(a.held[i]-n) * (h.price[i] - a.cost[i]) / a.value
			switch {
			case n > a.held[i]:
				s.bought |= 1 << i
			case n < a.held[i] && !a.isSheltered:
				if gain < 0 {
					s.sold |= 1 << i
				}
				if a.isShort[i] {
					s.gain[0] += gain
				} else {
					s.gain[1] += gain
				}
			}
		}
		if s.rest += 0.01 * cash / a.value; cash >= 0.005*a.value-1e-9 {
			out = append(out, s)
		}
	}
	try(0, a.value)
	return out
}

func (h *tinyHousehold) risk(x [3]float64) float64 {
	sum := 0.0
	for f := range 2 {
		y := 0.0
		for i := range x {
			y += h.load[i][f] * x[i]
		}
		sum += y * y
	}
	for i := range x {
		sum += h.own[i] * h.own[i] * x[i] * x[i]
	}
	return 50 * sum
}

// tax of a year in which short- and long-term gains net, written from its four cases.
func tinyTax(short, long float64) float64 {
	switch {
	case short >= 0 && long >= 0:
		return 0.41*short + 0.26*long
	case short+long < 0:
		return 0.15 * (short + long)
	case short < 0:
		return 0.26 * (short + long)
	}
	return 0.41 * (short + long)
}

// truth is the least objective in money of all whole shares in both accounts.
func (h *tinyHousehold) truth() float64 {
	a, b := h.states(0), h.states(1)
	va, vb := h.accounts[0].value, h.accounts[1].value
	riskOf := func(list []state) []float64 {
		out := make([]float64, len(list))
		for n, s := range list {
			out[n] = h.risk(s.x)
		}
		return out
	}
	ra, rb := riskOf(a), riskOf(b)
	best := math.Inf(1)
	for n, s := range a {
		for m, o := range b {
			if (s.sold|o.sold)&(s.bought|o.bought) != 0 {
				continue
			}
			short, long := s.gain[0]*va+o.gain[0]*vb, s.gain[1]*va+o.gain[1]*vb
			if h.budget >= 0 && h.short+h.long+short+long > h.budget+1e-7 {
				continue
			}
			f := s.rest*va + o.rest*vb
			if h.isLocated {
				var x [3]float64
				for i := range x {
					x[i] = (s.x[i]*va + o.x[i]*vb) / (va + vb)
				}
				f += h.risk(x) * (va + vb)
			} else {
				f += ra[n]*va + rb[m]*vb
			}
			if h.isNetted {
				f += tinyTax(h.short+short, h.long+long) - tinyTax(h.short, h.long)
			} else {
				f += 0.41*short + 0.26*long
			}
			best = min(best, f)
		}
	}
	return best
}

// members are the accounts as the optimiser sees them.
func (h *tinyHousehold) members() []optimum.Member {
	d := func(v float64) money.Dec { return money.MustParse(fmt.Sprintf("%.6f", v)) }
	var securities []optimum.Security
	for i, p := range h.price {
		securities = append(securities, optimum.Security{ID: fmt.Sprint(i), Price: d(p), Cost: d(tinySpread), SpecificVol: h.own[i], Load: h.load[i][:]})
	}
	u := optimum.NewUniverse(2, securities)
	o := optimum.DefaultOptions()
	o.HarvestMin = 1e-9
	var list []optimum.Member
	for k, t := range h.accounts {
		a := &optimum.Account{ID: fmt.Sprint("A", k), Cash: d(t.cash), CashTarget: d(tinyCash), WholeShares: true, IsSheltered: t.isSheltered}
		for i := range t.held {
			a.Targets = append(a.Targets, d(t.target[i]))
			a.Drag = append(a.Drag, d(t.drag[i]))
			if t.held[i] > 0 {
				a.Lots = append(a.Lots, optimum.Lot{Security: int32(i), ID: fmt.Sprint("L", i), Shares: money.FromInt(int64(t.held[i])),
					Cost: d(t.cost[i] * float64(t.held[i])), IsShort: t.isShort[i]})
			}
		}
		if !t.isSheltered && (h.isNetted || h.budget >= 0) {
			a.Gains = optimum.Gains{IsNetted: h.isNetted, LossRate: d(0.15), ShortSoFar: d(h.short), LongSoFar: d(h.long)}
			if h.budget >= 0 {
				a.Gains.HasBudget = true
				left := d(h.budget).Sub(d(h.short)).Sub(d(h.long))
				a.Gains.Budget = left.Div(money.FromInt(2)).Add(d(h.short)).Add(d(h.long))
			}
		}
		list = append(list, optimum.Member{Universe: u, Account: a, Options: &o, Owner: "P", IsLocated: h.isLocated})
	}
	return list
}

// TestJointAgainstEnumeration compares accounts that are planned as one (the netting of an owner's year
// over two accounts, a budget for both, targets of the household) with the best of all whole shares.
func TestJointAgainstEnumeration(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(h *tinyHousehold, seed uint64)
	}{
		{"apart", func(*tinyHousehold, uint64) {}},
		{"netted", func(h *tinyHousehold, seed uint64) {
			h.isNetted, h.short, h.long = true, float64(seed%3)*100-100, float64(seed%5)*100-200
		}},
		{"budget", func(h *tinyHousehold, seed uint64) { h.budget = float64(seed%4) * 30 }},
		{"netted under a budget", func(h *tinyHousehold, seed uint64) {
			h.isNetted, h.short, h.long = true, float64(seed%3)*100-100, float64(seed%5)*100-200
			h.budget = max(0, h.short+h.long) + float64(seed%4)*30
		}},
		{"located", func(h *tinyHousehold, seed uint64) {
			h.isLocated = true
			h.accounts[1].isSheltered = seed%2 == 0
			h.accounts[0].drag = [3]float64{0.02, 0, 0.005}
		}},
		{"located and netted", func(h *tinyHousehold, seed uint64) {
			h.isLocated, h.isNetted, h.short, h.long = true, true, float64(seed%3)*100-100, float64(seed%5)*100-200
			h.accounts[0].drag = [3]float64{0.02, 0, 0.005}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s optimum.Solver
			worst := 0.0
			for seed := range uint64(25) {
				h := drawTiny(seed)
				c.set(h, seed)
				list := h.members()
				plan, err := s.SolveHousehold(list)
				if err != nil {
					t.Errorf("seed %d: %v", seed, err)
					continue
				}
				worth := h.accounts[0].value + h.accounts[1].value
				truth := h.truth()
				over := (plan.Objective.Float() - truth) / worth * 1e4
				worst = max(worst, over)
				if over > 1 || over < -1e-4 {
					t.Errorf("seed %d: objective is %.4f bp above the best of all, want 0 to 1", seed, over)
				}
				if low := plan.Bound.Float(); low > truth+tieMoney(h, worth) {
					t.Errorf("seed %d: bound = %.6f, want at most %.6f", seed, low, truth)
				}
				sum := 0.0
				for k, p := range plan.Plans {
					sum += p.Objective * p.Value.Float()
					if p.Account != list[k].Account.ID || len(p.Reasons) != 3 || p.Bound > p.Objective {
						t.Errorf("seed %d: plan %d = account %s, %d reasons, bound %g, objective %g", seed, k, p.Account, len(p.Reasons), p.Bound, p.Objective)
					}
				}
				if math.Abs(sum-plan.Objective.Float()) > 1e-6 {
					t.Errorf("seed %d: the accounts' objectives sum to %.8f, want %.8f", seed, sum, plan.Objective.Float())
				}
				noWash(t, list, plan)
			}
			t.Logf("at most %.4f bp above the truth", worst)
		})
	}
}

// tieMoney is what the joint problem may count for keeping accounts alike, in money: nothing where the
// risk is each account's own.
func tieMoney(h *tinyHousehold, worth float64) float64 {
	if h.isLocated {
		return 1.2e-4 * worth
	}
	return 1e-6
}
