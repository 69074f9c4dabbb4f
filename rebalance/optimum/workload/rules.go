package workload

import (
	"daybreak/money"
	"daybreak/rebalance/optimum"
)

// groupSize is the number of securities in a band of AddRules.
const groupSize = 10

var (
	bandAround = money.MustParse("0.01")
	hundred    = money.FromInt(100)
)

// RuledUniverse returns the universe with every other security in a second currency.
func (f *File) RuledUniverse() *optimum.Universe {
	u := f.Universe()
	for i := range u.Securities {
		u.Securities[i].Cash = i % 2
	}
	return u
}

// AddRules turns on, at once, the rules that the schema leaves out, for measuring: whole shares, a
// minimum trade of 250, a second currency with a spread of 20 basis points, bands of one per cent
// around groups of ten securities, netting of the year's gains, and a budget for them.
func AddRules(a *optimum.Account) {
	a.WholeShares = true
	a.MinTrade = money.FromInt(250)
	a.Balances = []optimum.Balance{{Currency: "USD", Cash: a.Cash.Div(money.FromInt(4)).RoundDown(2), Least: hundred, Spread: money.MustParse("0.002")}}
	a.Cash = a.Cash.Sub(a.Balances[0].Cash)
	a.Groups = nil
	for first := 0; first+groupSize <= len(a.Targets); first += groupSize {
		g := optimum.Group{Name: "group", Lower: bandAround.Neg(), Upper: bandAround}
		for i := first; i < first+groupSize; i++ {
			g.Securities = append(g.Securities, int32(i))
			g.Lower, g.Upper = g.Lower.Add(a.Targets[i]), g.Upper.Add(a.Targets[i])
		}
		a.Groups = append(a.Groups, g)
	}
	a.Gains = optimum.Gains{IsNetted: true, LossRate: money.MustParse("0.15"), ShortSoFar: money.FromInt(1500), LongSoFar: money.FromInt(4000),
		HasBudget: true, Budget: money.FromInt(6000)}
}
