package rebalance

import (
	"cmp"
	"slices"

	"daybreak/market"
	"daybreak/rebalance/optimum/members"
)

// Risk is the risk models of a run: one for each currency that accounts count in, by currency. It is
// stored once under the hash of its JSON, and its numbers are the same on every machine that reads it.
type Risk struct {
	Day    market.Day       `json:"day"` // all closes that it rests on are of earlier days
	Models []*members.Model `json:"models"`
}

// EstimateRisk returns the risk models of a day for currencies, from closes, dividends and rates of
// the years before. A currency in which nothing can be estimated has no model.
func EstimateRisk(h *market.History, day market.Day, currencies []market.Currency, s Settings) *Risk {
	s = s.WithDefaults()
	r := &Risk{Day: day, Models: []*members.Model{}}
	currencies = slices.Clone(currencies)
	slices.Sort(currencies)
	for _, c := range slices.Compact(currencies) {
		m, err := members.EstimateModel(h, day, c, members.RiskParams{Years: s.RiskYears, Factors: s.RiskFactors})
		if err == nil { // else accounts that count in it are planned by the rules, and their plans say so
			r.Models = append(r.Models, m)
		}
	}
	return r
}

// In returns the model for accounts that count in a currency; nil where there is none.
func (r *Risk) In(c market.Currency) *members.Model {
	if r == nil {
		return nil
	}
	i, ok := slices.BinarySearchFunc(r.Models, c, func(m *members.Model, c market.Currency) int { return cmp.Compare(m.Currency, c) })
	if !ok {
		return nil
	}
	return r.Models[i]
}
