package members

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"

	"daybreak/market"
	"daybreak/rebalance/optimum"
)

// Model is the risk of the market's securities for an owner who counts in one currency.
type Model struct {
	Currency market.Currency `json:"currency"`
	From     market.Day      `json:"from"` // first close that it may rest on
	Day      market.Day      `json:"day"`  // all closes are of earlier days
	Symbols  []market.Symbol `json:"symbols"`
	StandIns []StandIn       `json:"stand_ins,omitempty"` // by class; that of "" is for any other class
	optimum.RiskModel
}

// StandIn is the risk that a security of an asset class has for want of closes of its own: the mean
// loadings of those of its class that have them, and the specific risk of the one that lies furthest
// from that mean, so that nothing is taken to be nearer to its class than the least typical of it.
type StandIn struct {
	Class string `json:"class"`
	optimum.Risk
}

// RiskParams say how a Model is estimated.
type RiskParams struct {
	Years   int // of closes
	Factors int
}

// DefaultRiskParams are used by `daybreak plan`.
var DefaultRiskParams = RiskParams{Years: 3, Factors: 5}

// A security is in a model when it has at least coveredMin of 10 of the days' closes, the first of
// them at most startMax days after the first day of all.
const (
	coveredMin = 9
	startMax   = 14
)

// EstimateModel returns the risk model of the years before a day, in a currency: daily total returns
// (close and dividend, at the day's exchange rate) through optimum.EstimateRisk. A day on which a
// security has no close counts as one on which it stood still. Securities with too few closes, or
// without an exchange rate, are left out. It returns optimum.ErrReturns, wrapped, where too little
// is left.
func EstimateModel(h *market.History, day market.Day, currency market.Currency, p RiskParams) (*Model, error) {
	m := &Model{Currency: currency, From: day.AddYears(-p.Years), Day: day}
	days := sessions(h.Prices, m.From, day)
	var columns [][]float64
	for _, s := range h.Securities {
		if column, ok := returnsOf(h, s, days, currency); ok {
			columns = append(columns, column)
			m.Symbols = append(m.Symbols, s.Symbol)
		}
	}
	if len(columns) == 0 {
		return nil, fmt.Errorf("no closes from %s until before %s: %w", m.From, day, optimum.ErrReturns)
	}
	rows := make([][]float64, len(days)-1)
	for d := range rows {
		rows[d] = make([]float64, len(columns))
		for i, column := range columns {
			rows[d][i] = column[d]
		}
	}
	risk, err := optimum.EstimateRisk(rows, p.Factors)
	if err != nil {
		return nil, fmt.Errorf("closes from %s until before %s: %w", m.From, day, err)
	}
	m.RiskModel = *risk
	m.addStandIns(h.Securities)
	return m, nil
}

// addStandIns makes the stand-ins of every class that the model covers, and of all of it.
func (m *Model) addStandIns(securities []market.Security) {
	classes := map[string][]optimum.Risk{}
	for _, s := range securities {
		if risk, ok := m.Of(s.Symbol); ok {
			classes[""] = append(classes[""], risk)
			if s.AssetClass != "" {
				classes[s.AssetClass] = append(classes[s.AssetClass], risk)
			}
		}
	}
	for _, class := range slices.Sorted(maps.Keys(classes)) {
		m.StandIns = append(m.StandIns, StandIn{class, standInOf(classes[class])})
	}
}

func standInOf(risks []optimum.Risk) optimum.Risk {
	mean := make([]float64, len(risks[0].Load))
	for _, r := range risks {
		for k, l := range r.Load {
			mean[k] += l / float64(len(risks))
		}
	}
	furthest := 0.0
	for _, r := range risks {
		own := float64(r.SpecificVol * r.SpecificVol)
		for k, l := range r.Load {
			own += float64((l - mean[k]) * (l - mean[k]))
		}
		furthest = max(furthest, own)
	}
	return optimum.Risk{Load: mean, SpecificVol: math.Sqrt(furthest)}
}

// For returns the risk of a security, and whether it is its own: else its class stands in, or all
// securities where the class has none.
func (m *Model) For(s market.Security) (risk optimum.Risk, isOwn bool) {
	if risk, ok := m.Of(s.Symbol); ok {
		return risk, true
	}
	for _, class := range []string{s.AssetClass, ""} {
		i, ok := slices.BinarySearchFunc(m.StandIns, class, func(e StandIn, c string) int { return cmp.Compare(e.Class, c) })
		if ok {
			return m.StandIns[i].Risk, false
		}
	}
	return optimum.Risk{}, false
}

// Of returns the risk of a symbol; false where the model lacks it.
func (m *Model) Of(s market.Symbol) (optimum.Risk, bool) {
	i, ok := slices.BinarySearch(m.Symbols, s)
	if !ok {
		return optimum.Risk{}, false
	}
	return m.Risks[i], true
}

// sessions returns the days from from until before to on which some security has a close.
func sessions(prices []market.Price, from, to market.Day) []market.Day {
	var days []market.Day
	for _, p := range prices {
		if p.Day >= from && p.Day < to {
			days = append(days, p.Day)
		}
	}
	slices.Sort(days)
	return slices.Compact(days)
}

// returnsOf returns the returns from each of the days to the next; false where the closes are too
// few.
func returnsOf(h *market.History, s market.Security, days []market.Day, currency market.Currency) ([]float64, bool) {
	if len(days) < 2 {
		return nil, false
	}
	closes := h.Closes(s.Symbol)
	byDay := func(p market.Price, d market.Day) int { return cmp.Compare(p.Day, d) }
	first, _ := slices.BinarySearchFunc(closes, days[0], byDay)
	end, _ := slices.BinarySearchFunc(closes, days[len(days)-1]+1, byDay)
	closes = closes[first:end]
	if 10*len(closes) < coveredMin*len(days) || closes[0].Day > days[0]+startMax {
		return nil, false
	}
	rates := ratesOf(h.Rates, s.Currency, currency)
	out := make([]float64, len(days)-1)
	price, before, fx, at := 0.0, 0.0, 0.0, 0
	for d, day := range days {
		if fx, rates = rateOn(rates, day); fx == 0 {
			return nil, false
		}
		dividend := 0.0
		if at < len(closes) && closes[at].Day == day {
			if closes[at].Close.Sign() <= 0 {
				return nil, false
			}
			price, dividend = closes[at].Close.Float(), closes[at].Dividend.Float()
			at++
		}
		if d > 0 && before > 0 {
			out[d-1] = float64((price+dividend)*fx)/before - 1
		}
		before = float64(price * fx)
	}
	return out, true
}

// dayRate is an exchange rate and the day since which it holds.
type dayRate struct {
	day  market.Day
	rate float64
}

// ratesOf returns the value of one base in quote by day: as published, else the inverse of the
// opposite pair.
func ratesOf(rates []market.Rate, base, quote market.Currency) []dayRate {
	if base == quote {
		return []dayRate{{market.NoDay, 1}}
	}
	var direct, inverse []dayRate
	for _, r := range rates {
		switch {
		case r.Rate.Sign() <= 0:
		case r.Base == base && r.Quote == quote:
			direct = append(direct, dayRate{r.Day, r.Rate.Float()})
		case r.Base == quote && r.Quote == base:
			inverse = append(inverse, dayRate{r.Day, 1 / r.Rate.Float()})
		}
	}
	if len(direct) > 0 {
		return direct
	}
	return inverse
}

// rateOn returns the last rate on or before a day, and the rates from it on; 0 where there is none.
func rateOn(rates []dayRate, day market.Day) (float64, []dayRate) {
	for len(rates) > 1 && rates[1].day <= day {
		rates = rates[1:]
	}
	if len(rates) == 0 || rates[0].day > day {
		return 0, rates
	}
	return rates[0].rate, rates
}
