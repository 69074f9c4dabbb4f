package members_test

import (
	"math"
	"testing"

	"daybreak/market"
	"daybreak/money"
	"daybreak/rebalance/optimum/members"
)

// TestStandIns estimates a model of three funds in two classes and asks for the risk of funds that have
// no closes: the mean of their class, or of all, with the specific risk of the one furthest from it.
func TestStandIns(t *testing.T) {
	h := &market.History{}
	for i, s := range []market.Symbol{"A1", "A2", "B1"} {
		h.Securities = append(h.Securities, market.Security{Symbol: s, Exchange: market.XNYS, Currency: market.USD, AssetClass: string(s[:1])})
		for d := range 200 {
			h.Prices = append(h.Prices, market.Price{Symbol: s, Day: today - 200 + market.Day(d), Close: money.FromInt(int64(50 + (d*(2*i+3))%(9+i)))})
		}
	}
	m, err := members.EstimateModel(h, today, market.USD, members.RiskParams{Years: 1, Factors: 2})
	if err != nil {
		t.Fatal(err)
	}
	of := func(class string) market.Security { return market.Security{Symbol: "NEW", AssetClass: class} }
	first, second := m.Risks[0], m.Risks[1]
	risk, isOwn := m.For(of("A"))
	if isOwn || len(risk.Load) != 2 {
		t.Fatalf("For(a new fund of A) = %v, %t, want a stand-in with 2 factors", risk, isOwn)
	}
	furthest := 0.0
	for _, r := range []struct{ load, own float64 }{{first.Load[0], first.SpecificVol}, {second.Load[0], second.SpecificVol}} {
		furthest = max(furthest, r.own)
		if want := (first.Load[0] + second.Load[0]) / 2; math.Abs(risk.Load[0]-want) > 1e-12 {
			t.Errorf("For(a new fund of A) loads %g on the first factor, want %g", risk.Load[0], want)
		}
	}
	if risk.SpecificVol < furthest {
		t.Errorf("For(a new fund of A) has specific risk %g, want at least %g", risk.SpecificVol, furthest)
	}
	all, isOwn := m.For(of("C"))
	if isOwn || all.SpecificVol < m.Risks[2].SpecificVol {
		t.Errorf("For(a new fund of no class) = %v, %t, want the stand-in of all", all, isOwn)
	}
	if own, isOwn := m.For(h.Securities[2]); !isOwn || own.SpecificVol != m.Risks[2].SpecificVol {
		t.Errorf("For(B1) = %v, %t, want its own risk", own, isOwn)
	}
}
