package sim

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"daybreak/market"
	"daybreak/money"
)

// What marks the securities and models that worlds add to a market: the class and index names of
// the securities behind planted faults, and the beginning of a model's name.
const (
	addedClass    = "simulated"
	addedModel    = "sim-"
	delistedIndex = "simulated: delisted"
	unpricedIndex = "simulated: never priced"
)

// delistedSessions is how many sessions before the world's day the delisted security had its last
// close: too old to trade on, and young enough to be in a snapshot (market.CloseAgeMax).
const delistedSessions = 9

// directNamesMax bounds the names of a direct-indexing model.
const directNamesMax = 100

// withoutAdditions returns the market without what worlds added to it, so that a world is the same
// whichever worlds were made before it.
func withoutAdditions(h *market.History) *market.History {
	m := *h
	added := map[market.Symbol]bool{}
	m.Securities = slices.DeleteFunc(slices.Clone(m.Securities), func(s market.Security) bool {
		added[s.Symbol] = s.AssetClass == addedClass
		return added[s.Symbol]
	})
	m.Prices = slices.DeleteFunc(slices.Clone(m.Prices), func(p market.Price) bool { return added[p.Symbol] })
	m.Weights = slices.DeleteFunc(slices.Clone(m.Weights), func(w market.Weight) bool { return strings.HasPrefix(w.Model, addedModel) })
	return &m
}

// additions returns what a world needs beyond the market: two securities for each exchange that
// faults are made of, and a direct-indexing model for each country that has none.
func additions(m *market.History, to market.Day) *market.History {
	a := &market.History{}
	for _, c := range plans() {
		calendar, err := market.Calendar(c.exchange)
		if err != nil {
			continue // every plan names an exchange with a calendar; a test walks them
		}
		suffix := ""
		if c.exchange == market.XTSE {
			suffix = ".TO"
		}
		last := calendar.AddSessions(to, -delistedSessions)
		delisted := market.Symbol("DELISTED-" + dayMark(to) + suffix)
		a.Securities = append(a.Securities,
			faultSecurity(c, delisted, fmt.Sprintf("Simulated, delisted after %s", last), delistedIndex),
			faultSecurity(c, market.Symbol("UNPRICED-"+dayMark(to)+suffix), "Simulated, without any price", unpricedIndex))
		a.Prices = append(a.Prices, fadingPrices(calendar.Sessions(last-delistedDays, last), delisted)...)
		a.Weights = append(a.Weights, directModel(c, m, to)...)
	}
	return a
}

// dayMark keeps the additions of worlds of different days apart: 200316 for 2020-03-16.
func dayMark(to market.Day) string { return to.Time().Format("060102") }

func faultSecurity(c *country, symbol market.Symbol, name, index string) market.Security {
	return market.Security{
		Symbol: symbol, Name: name, Currency: c.home, Exchange: c.exchange, Kind: market.Stock,
		AssetClass: addedClass, Index: index, IdenticalGroup: "security:" + string(symbol),
	}
}

// delistedDays is how long the delisted security has had closes.
const delistedDays = 60

// fadingPrices returns the last closes of a security that is about to be delisted: from 12.00 down.
func fadingPrices(days []market.Day, symbol market.Symbol) []market.Price {
	prices := make([]market.Price, len(days))
	for i, day := range days {
		prices[i] = market.Price{Symbol: symbol, Day: day, Close: money.FromUnits(int64(1200-5*i), 2)}
	}
	return prices
}

// directModel returns the rows of an equally weighted model of up to a hundred stocks of the
// country's exchange, of any where it has too few, one of each identical group; none where the
// market has a direct-indexing model for the country already, or too few stocks.
func directModel(c *country, m *market.History, to market.Day) []market.Weight {
	if hasDirectModel(c.region, m.Weights) {
		return nil
	}
	names := directNames(m, to, func(s market.Security) bool { return s.Exchange == c.exchange })
	if len(names) < directNamesMin {
		names = directNames(m, to, func(market.Security) bool { return true })
	}
	if len(names) < directNamesMin {
		return nil
	}
	model := fmt.Sprintf("%s%s-direct-%d-%s", addedModel, strings.ToLower(c.region), len(names), dayMark(to))
	each := money.One.Div(money.FromInt(int64(len(names)))).RoundDown(microPlaces)
	rest := money.One
	rows := make([]market.Weight, 0, len(names))
	for i, s := range names {
		weight := each
		if i == len(names)-1 {
			weight = rest
		}
		rest = rest.Sub(weight)
		rows = append(rows, market.Weight{Model: model, Region: c.region, AssetClass: s.AssetClass, Symbol: s.Symbol, Weight: weight})
	}
	return rows
}

// hasDirectModel reports whether a region has a model with ten weighted rows in one class.
func hasDirectModel(region string, weights []market.Weight) bool {
	rows := map[[2]string]int{}
	for _, w := range weights {
		if w.Region == region && w.Weight.Sign() > 0 {
			key := [2]string{w.Model, w.AssetClass}
			if rows[key]++; rows[key] == directNamesMin {
				return true
			}
		}
	}
	return false
}

// directNames returns the stocks that are wanted and had a close in the ten days before to, one of
// each identical group, in order of symbol.
func directNames(m *market.History, to market.Day, wanted func(market.Security) bool) []market.Security {
	recent := map[market.Symbol]bool{}
	for _, p := range m.Prices {
		if p.Day < to && p.Day >= to-10 {
			recent[p.Symbol] = true
		}
	}
	stocks := slices.Clone(m.Securities)
	slices.SortFunc(stocks, func(a, b market.Security) int { return cmp.Compare(a.Symbol, b.Symbol) })
	taken := map[string]bool{}
	var names []market.Security
	for _, s := range stocks {
		if s.Kind == market.Stock && recent[s.Symbol] && wanted(s) && !taken[s.IdenticalGroup] && len(names) < directNamesMax {
			taken[s.IdenticalGroup] = true
			names = append(names, s)
		}
	}
	return names
}
