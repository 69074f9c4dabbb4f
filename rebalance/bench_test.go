package rebalance_test

import (
	"fmt"
	"testing"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/rebalance"
	"daybreak/region"
)

// largeHousehold returns a household of accounts (taxable and IRA by turns) with a lot a month for
// three years in each name of its model, at a price that all have fallen from, or risen from.
func largeHousehold(b *testing.B, accounts, names, lots int, price int64, kind market.Kind) (rebalance.Input, *market.Snapshot) {
	b.Helper()
	day := market.MustDay("2020-03-16")
	s := market.Snapshot{Day: day}
	in := rebalance.Input{Day: day, Household: portfolio.Household{ID: "H", Region: "US"}}
	class := func(i int) string {
		if kind == market.Stock {
			return "stock"
		}
		return fmt.Sprintf("class%d", i)
	}
	for i := range names {
		for rank := range 2 {
			symbol := market.Symbol(fmt.Sprintf("N%03d%c", i, 'A'+rank))
			if rank == 1 && kind == market.Stock {
				continue
			}
			s.Securities = append(s.Securities, market.Security{
				Symbol: symbol, Exchange: market.XNYS, Currency: market.USD, Kind: kind, AssetClass: class(i), IdenticalGroup: string(symbol)})
			s.Prices = append(s.Prices, market.Price{Symbol: symbol, Day: day - 3, Close: money.FromInt(int64(60 + i%5))})
			w := market.Weight{Model: "m", AssetClass: class(i), Symbol: symbol, Rank: rank}
			if rank == 0 {
				w.Weight = money.One.Div(money.FromInt(int64(names))).RoundDown(4)
			}
			if rank == 0 && i == 0 {
				w.Weight = money.One.Sub(w.Weight.Mul(money.FromInt(int64(names - 1))))
			}
			s.Weights = append(s.Weights, w)
		}
	}
	for k := range accounts {
		in.Household.Accounts = append(in.Household.Accounts, benchAccount(k, names, lots))
	}
	for k := range in.Household.Accounts {
		in.Events = append(in.Events, benchEvents(in.Household.Accounts[k], lots, price, day)...)
	}
	rules, err := region.Load("US")
	if err != nil {
		b.Fatal(err)
	}
	m := market.NewSnapshot(s)
	book, err := region.Fold(rules, region.ScopeOf(in.Household, m.Identical()), region.Checkpoint{}, in.Events)
	if err != nil {
		b.Fatal(err)
	}
	in.Tax, in.Events = book.Checkpoint(day-1), nil
	return in, m
}

func benchAccount(k, names, lots int) portfolio.Account {
	a := portfolio.Account{
		ID: portfolio.AccountID(fmt.Sprintf("A%d", k)), Owner: "P", Type: "taxable", Currency: market.USD, Model: "m",
		Cash: []portfolio.Cash{{Currency: market.USD, Amount: money.FromInt(20000)}},
	}
	if k%2 == 1 {
		a.Type = "ira"
	}
	for i := range names {
		a.Positions = append(a.Positions, portfolio.Position{Symbol: market.Symbol(fmt.Sprintf("N%03dA", i)), Shares: money.FromInt(int64(lots) * 10)})
	}
	return a
}

func benchEvents(a portfolio.Account, lots int, price int64, day market.Day) []region.Event {
	var events []region.Event
	for _, p := range a.Positions {
		for month := range lots {
			d := day - market.Day(40+30*month)
			events = append(events, region.Event{
				ID: fmt.Sprintf("%s-%s-%d", a.ID, p.Symbol, month), Kind: region.Buy, Day: d, Settle: d + 2, Owner: a.Owner,
				Account: a.ID, AccountType: a.Type, Symbol: p.Symbol, Shares: money.RatInt(10), Amount: money.FromInt(10*price - int64(10*(month%7))),
				Currency: market.USD, FX: money.One,
			})
		}
	}
	return events
}

func benchPlan(b *testing.B, accounts, names, lots int, price int64, kind market.Kind) {
	in, m := largeHousehold(b, accounts, names, lots, price, kind)
	benchInput(b, in, m)
}

func benchInput(b *testing.B, in rebalance.Input, m *market.Snapshot) {
	b.Helper()
	plan, err := rebalance.Plan(in, m)
	if err != nil {
		b.Fatal(err)
	}
	trades := 0
	for _, a := range plan.Accounts {
		trades += len(a.Trades)
	}
	b.ReportMetric(float64(trades), "trades")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := rebalance.Plan(in, m); err != nil {
			b.Fatal(err)
		}
	}
}

// Four accounts of six funds, a lot a quarter for three years: nothing but drift to trade, and every
// lot at a loss.
func BenchmarkPlanFunds(b *testing.B)        { benchPlan(b, 4, 6, 12, 40, market.ETF) }
func BenchmarkPlanFundsHarvest(b *testing.B) { benchPlan(b, 4, 6, 12, 90, market.ETF) }

// Two accounts that index a hundred stocks directly, with 1,200 lots each.
func BenchmarkPlanStocks(b *testing.B)        { benchPlan(b, 2, 100, 12, 40, market.Stock) }
func BenchmarkPlanStocksHarvest(b *testing.B) { benchPlan(b, 2, 100, 12, 90, market.Stock) }

// The four accounts of funds by the optimiser.
func BenchmarkOptimiseFunds(b *testing.B)        { benchOptimise(b, 40) }
func BenchmarkOptimiseFundsHarvest(b *testing.B) { benchOptimise(b, 90) }

func benchOptimise(b *testing.B, price int64) {
	in, m := largeHousehold(b, 4, 6, 12, price, market.ETF)
	benchInput(b, withRisk(in, m), m)
}
