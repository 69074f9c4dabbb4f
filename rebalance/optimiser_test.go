package rebalance_test

import (
	"math"
	"slices"

	"daybreak/market"
	"daybreak/rebalance"
	"daybreak/rebalance/optimum"
	"daybreak/rebalance/optimum/members"
)

// testRisk returns a risk model in a currency that is made up but sound: one factor that all share,
// one for each asset class, and a specific risk; securities in skip have none of their own.
func testRisk(m *market.Snapshot, currency market.Currency, skip ...market.Symbol) *members.Model {
	model := &members.Model{Currency: currency, Day: m.Day}
	classes := map[string]int{}
	for _, s := range m.Securities {
		if _, ok := classes[s.AssetClass]; !ok {
			classes[s.AssetClass] = len(classes)
		}
	}
	securities := slices.Clone(m.Securities)
	slices.SortFunc(securities, func(a, b market.Security) int {
		if a.Symbol < b.Symbol {
			return -1
		}
		return 1
	})
	for _, s := range securities {
		if slices.Contains(skip, s.Symbol) {
			continue
		}
		load := make([]float64, 1+len(classes))
		load[0], load[1+classes[s.AssetClass]] = 0.15, 0.06
		own := 0.02
		if s.Kind == market.Stock {
			own = 0.2
		}
		model.Symbols = append(model.Symbols, s.Symbol)
		model.Risks = append(model.Risks, optimum.Risk{Load: load, SpecificVol: own})
	}
	all := optimum.Risk{Load: make([]float64, 1+len(classes)), SpecificVol: math.Sqrt(0.1)}
	all.Load[0] = 0.15
	model.StandIns = []members.StandIn{{Class: "", Risk: all}}
	return model
}

// withRisk returns an input whose accounts can be planned by the optimiser.
func withRisk(in rebalance.Input, m *market.Snapshot, skip ...market.Symbol) rebalance.Input {
	r := &rebalance.Risk{Day: in.Day}
	var currencies []market.Currency
	for _, a := range in.Household.Accounts {
		currencies = append(currencies, a.Currency)
	}
	slices.Sort(currencies)
	for _, c := range slices.Compact(currencies) {
		r.Models = append(r.Models, testRisk(m, c, skip...))
	}
	in.Risk, in.RiskHash = r, "test"
	return in
}
