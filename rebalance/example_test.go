package rebalance_test

import (
	"fmt"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/rebalance"
	"daybreak/region"
)

// A US household with one fund at a loss and another to hold instead of it.
func ExamplePlan() {
	day := market.MustDay("2020-03-16")
	fund := func(symbol market.Symbol) market.Security {
		return market.Security{Symbol: symbol, Currency: market.USD, Exchange: market.XNYS, Kind: market.ETF, AssetClass: "us_equity"}
	}
	m := market.NewSnapshot(market.Snapshot{
		Day:        day,
		Securities: []market.Security{fund("VTI"), fund("SCHB")},
		Prices: []market.Price{
			{Symbol: "VTI", Day: day - 3, Close: money.FromInt(120)}, {Symbol: "SCHB", Day: day - 3, Close: money.FromInt(60)}},
		Weights: []market.Weight{
			{Model: "stocks", AssetClass: "us_equity", Symbol: "VTI", Weight: money.One},
			{Model: "stocks", AssetClass: "us_equity", Symbol: "SCHB", Rank: 1}},
	})
	plan, err := rebalance.Plan(rebalance.Input{
		Day: day,
		Household: portfolio.Household{ID: "H1", Region: "US", Owners: []portfolio.Owner{{ID: "P1", From: market.NoDay, To: market.NoDay}},
			Accounts: []portfolio.Account{{
				ID: "A1", Owner: "P1", Type: "taxable", Currency: market.USD, Model: "stocks",
				Cash:      []portfolio.Cash{{Currency: market.USD, Amount: money.FromInt(120)}},
				Positions: []portfolio.Position{{Symbol: "VTI", Shares: money.FromInt(100)}},
			}}},
		Events: []region.Event{{
			ID: "L1", Kind: region.Buy, Day: day - 500, Settle: day - 498, Owner: "P1", Account: "A1", AccountType: "taxable",
			Symbol: "VTI", Shares: money.RatInt(100), Amount: money.FromInt(15000), Currency: market.USD, FX: money.One}},
	}, m)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, t := range plan.Accounts[0].Trades {
		fmt.Println(t.Side, t.Shares, t.Symbol, t.Reason.Code)
	}
	for _, l := range plan.Locks {
		fmt.Println("no", l.Property, "through", l.Until)
	}
	// Output:
	// sell 100 VTI HARVEST
	// buy 200 SCHB REPLACE
	// no VTI through 2020-04-15
}
