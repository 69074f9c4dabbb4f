package workload

import (
	"fmt"
	"math"
	"slices"

	"daybreak/market"
)

// Spec is the size and kind of a workload to generate.
type Spec struct {
	Scenario string
	Seed     uint64
	Accounts int
	Classes  int   // asset classes, each with a target
	PerClass int   // securities a class; the first is the primary one
	Lots     int   // an account
	Factors  int   // of the risk model
	NAVCents int64 // value of an account, about
	IsStock  bool  // specific risk and spreads of single stocks, not of funds
}

// Specs are the sizes that the optimiser is measured on.
var Specs = []Spec{
	{Scenario: "etf10", Seed: 1101, Classes: 10, PerClass: 2, Lots: 40, Factors: 5, NAVCents: 15_000_000},
	{Scenario: "di100", Seed: 1202, Classes: 100, PerClass: 1, Lots: 1000, Factors: 20, NAVCents: 50_000_000, IsStock: true},
	{Scenario: "di500", Seed: 1303, Classes: 500, PerClass: 1, Lots: 1000, Factors: 20, NAVCents: 100_000_000, IsStock: true},
}

// generatedDay is the day of every generated workload.
var generatedDay = market.NewDay(2026, 6, 15)

const cashTargetPPM = 10_000

// Generate returns a workload of the given spec. The same spec gives the same file on every
// machine; account k does not depend on the number of accounts.
func Generate(s Spec) *File {
	r := &source{state: s.Seed}
	f := &File{Schema: Schema, Scenario: s.Scenario, Seed: s.Seed, AsOf: generatedDay, Factors: s.Factors}
	for c := range s.Classes {
		f.Securities = append(f.Securities, securities(r, s, c)...)
	}
	for k := range s.Accounts {
		f.Accounts = append(f.Accounts, account(&source{state: s.Seed*1_000_003 + uint64(k)}, s, f, k))
	}
	return f
}

// securities returns the securities of class c: a common exposure, and a small difference of the
// replacements.
func securities(r *source, s Spec, c int) []Security {
	common := make([]float64, s.Factors)
	for k := range common {
		common[k] = 0.035 * r.normal()
		if k == 0 {
			common[k] = 0.14 + float64(0.04*r.normal())
		}
	}
	out := make([]Security, s.PerClass)
	for rank := range out {
		sec := Security{ID: fmt.Sprintf("G%04d%c", c, 'A'+rank), Class: fmt.Sprintf("K%04d", c), Rank: rank,
			PriceCents: r.between(1_500, 40_000), SpreadBps: r.between(1, 6), SpecVolBps: r.between(80, 250)}
		if s.IsStock {
			sec.SpreadBps, sec.SpecVolBps = r.between(2, 12), r.between(1_200, 3_500)
		}
		for _, l := range common {
			if rank > 0 {
				l += float64(0.004 * r.normal())
			}
			sec.LoadE6 = append(sec.LoadE6, int64(math.Round(l*1e6)))
		}
		out[rank] = sec
	}
	return out
}

func account(r *source, s Spec, f *File, k int) Account {
	a := Account{ID: fmt.Sprintf("%s-g%05d", s.Scenario, k), Household: fmt.Sprintf("G%05d", k/2), CashTargetPPM: cashTargetPPM,
		TargetPPM: make([]int64, len(f.Securities)), Recent: []Trade{}}
	weights := targets(r, s)
	for c, w := range weights {
		a.TargetPPM[c*s.PerClass] = w
	}
	cash := r.unit() / 20
	a.CashCents = int64(cash * float64(s.NAVCents))
	if r.unit() < 0.2 {
		a.WithdrawalCents = s.NAVCents / 50
	}
	held := make([]float64, s.Classes)
	total := 0.0
	for c, w := range weights {
		held[c] = float64(float64(w) * max(0.2, 1+float64(r.normal()/4)))
		total += held[c]
	}
	for c := range held {
		a.Lots = append(a.Lots, lots(r, s, f, class{c, held[c] / total * (1 - cash) * float64(s.NAVCents)})...)
	}
	for j := range a.Lots {
		a.Lots[j].ID = fmt.Sprintf("%s-%05d", a.ID, j)
	}
	a.Recent = recent(r, f, a)
	return a
}

// targets returns weights by class in parts per million that sum to one less cash: even for funds,
// falling like capitalisations for stocks.
func targets(r *source, s Spec) []int64 {
	raw := make([]float64, s.Classes)
	sum := 0.0
	for c := range raw {
		raw[c] = 0.3 + r.unit()
		if s.IsStock {
			raw[c] = (0.7 + float64(0.6*r.unit())) / float64(c+8)
		}
		sum += raw[c]
	}
	out := make([]int64, s.Classes)
	left := int64(1_000_000 - cashTargetPPM)
	for c := range raw {
		out[c] = min(left, int64(raw[c]/sum*(1_000_000-cashTargetPPM)))
		left -= out[c]
	}
	out[0] += left
	return out
}

// class is an asset class with what an account holds of it, in cents.
type class struct {
	index int
	cents float64
}

// lots spreads a class over lots of different ages and costs; the last may be of a replacement.
func lots(r *source, s Spec, f *File, c class) []Lot {
	out := make([]Lot, s.Lots/s.Classes)
	shares := make([]float64, len(out))
	sum := 0.0
	for j := range out {
		shares[j] = 0.2 + r.unit()
		sum += shares[j]
	}
	for j := range out {
		i := c.index * s.PerClass
		if s.PerClass > 1 && j == len(out)-1 && r.unit() < 0.5 {
			i++
		}
		sec := &f.Securities[i]
		age := age(r)
		qty := max(1, int64(c.cents*shares[j]/sum/float64(sec.PriceCents)*1e4))
		cost := max(1, int64(float64(qty)/1e4*float64(sec.PriceCents)*costRatio(r, sec, age)))
		out[j] = Lot{Security: i, QtyE4: qty, CostCents: cost, Acquired: f.AsOf - market.Day(age), AgeDays: age}
	}
	return out
}

func age(r *source) int {
	switch u := r.unit(); {
	case u < 0.02:
		return int(r.between(1, 30))
	case u < 0.35:
		return int(r.between(31, 365))
	}
	return int(r.between(366, 2000))
}

// costRatio is cost over value of a lot: a drift of 5 % a year and the security's volatility.
func costRatio(r *source, sec *Security, age int) float64 {
	variance := float64(sec.SpecVolBps*sec.SpecVolBps) / 1e8
	for _, l := range sec.LoadE6 {
		variance += float64(l*l) / 1e12
	}
	years := float64(age) / 365
	return min(max(1-float64(0.05*years)+float64(math.Sqrt(variance*years)*r.normal()), 0.3), 1.9)
}

// recent returns the household's trades of the last 30 days: some sales at a loss, some purchases
// in a sheltered account.
func recent(r *source, f *File, a Account) []Trade {
	out := []Trade{}
	for i := range f.Securities {
		u, ago, shares := r.unit(), int(r.between(1, 30)), r.between(5, 40)
		if u >= 0.05 {
			continue
		}
		t := Trade{Security: i, Side: "buy", QtyE4: shares * 10_000, CostCents: shares * f.Securities[i].PriceCents,
			Acquired: market.NoDay, Date: f.AsOf - market.Day(ago), DaysAgo: ago, Account: a.Household + "-ira"}
		if u < 0.03 {
			t.Side, t.Account, t.ProceedsCents = "sell", a.ID, t.CostCents
			t.CostCents += t.CostCents / 8
			t.Acquired = t.Date - 200
		}
		out = append(out, t)
	}
	return slices.Clip(out)
}

// source is a splitmix64 sequence.
type source struct{ state uint64 }

func (r *source) next() uint64 {
	r.state += 0x9E3779B97F4A7C15
	z := r.state
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// unit is in [0, 1).
func (r *source) unit() float64 { return float64(float64(r.next()>>11) / (1 << 53)) }

// between is in [lo, hi].
func (r *source) between(lo, hi int64) int64 { return lo + int64(r.next()%uint64(hi-lo+1)) }

// normal is the sum of twelve uniform numbers less six: near enough to a normal one, and the same
// on every machine.
func (r *source) normal() float64 {
	sum := -6.0
	for range 12 {
		sum += r.unit()
	}
	return sum
}
