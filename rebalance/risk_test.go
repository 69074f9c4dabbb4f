package rebalance_test

import (
	"encoding/json"
	"testing"

	"daybreak/market"
	"daybreak/money"
	"daybreak/rebalance"
)

// history is a market of two funds in US dollars and one in Canadian ones, with closes of 300 days that
// move by turns.
func history(day market.Day) *market.History {
	h := &market.History{}
	for i, s := range []market.Symbol{"AAA", "BBB", "CCC"} {
		e := market.Security{Symbol: s, Exchange: market.XNYS, Currency: market.USD, Kind: market.ETF, AssetClass: "fund"}
		if s == "CCC" {
			e.Exchange, e.Currency = market.XTSE, market.CAD
		}
		h.Securities = append(h.Securities, e)
		for d := range 300 {
			h.Prices = append(h.Prices, market.Price{Symbol: s, Day: day - 300 + market.Day(d), Close: money.FromInt(int64(100 + (d*(i+3))%(7+i)))})
		}
	}
	for d := range 300 {
		h.Rates = append(h.Rates, market.Rate{Base: market.USD, Quote: market.CAD, Day: day - 300 + market.Day(d), Rate: money.MustParse("1.3")})
	}
	return h
}

func TestEstimateRisk(t *testing.T) {
	day := market.MustDay("2020-03-16")
	r := rebalance.EstimateRisk(history(day), day, []market.Currency{market.USD, market.CAD, market.USD, "EUR"}, rebalance.Settings{RiskYears: 1, RiskFactors: 2})
	if len(r.Models) != 2 || r.In(market.CAD) == nil || r.In(market.USD) == nil || r.In("EUR") != nil {
		t.Fatalf("EstimateRisk has %d models, CAD %v, USD %v, EUR %v, want those of CAD and USD", len(r.Models), r.In(market.CAD), r.In(market.USD), r.In("EUR"))
	}
	if n := len(r.In(market.CAD).Symbols); n != 3 {
		t.Errorf("model in CAD covers %d securities, want 3", n)
	}
	if n := len(r.In(market.USD).Risks[0].Load); n != 2 {
		t.Errorf("model in USD has %d factors, want 2", n)
	}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var again rebalance.Risk
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	if twice, err := json.Marshal(&again); err != nil || string(twice) != string(text) {
		t.Errorf("Marshal(Unmarshal(risk)) = %s, %v, want the same bytes", twice, err)
	}
}

func TestEstimateRiskWithoutCloses(t *testing.T) {
	day := market.MustDay("2020-03-16")
	r := rebalance.EstimateRisk(&market.History{}, day, []market.Currency{market.USD}, rebalance.Settings{})
	if len(r.Models) != 0 || r.In(market.USD) != nil {
		t.Errorf("EstimateRisk without closes = %v, want no model", r.Models)
	}
	if (*rebalance.Risk)(nil).In(market.USD) != nil {
		t.Error("In of no risk models = a model, want none")
	}
}
