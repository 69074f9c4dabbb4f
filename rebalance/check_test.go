package rebalance_test

import (
	"errors"
	"testing"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/rebalance"
	"daybreak/region"
)

// faults break a household in one way each, in the order in which they are looked for.
var faults = []struct {
	code string
	with func(in *rebalance.Input)
}{
	{rebalance.NoAccounts, func(in *rebalance.Input) { in.Household.Accounts = nil }},
	{rebalance.UnknownRegion, func(in *rebalance.Input) { in.Household.Region = "XX" }},
	{rebalance.UnknownAccountType, func(in *rebalance.Input) { account(in, 1).Type = "piggy bank" }},
	{rebalance.BadPolicy, func(in *rebalance.Input) { account(in, 1).Policy.Band = money.FromInt(2) }},
	{rebalance.NoModel, func(in *rebalance.Input) { account(in, 1).Model = "none" }},
	{rebalance.BadModel, func(in *rebalance.Input) { account(in, 0).Model = "bad" }},
	{rebalance.UnknownSecurity, func(in *rebalance.Input) { hold(in, 1, "GHOST", "1") }},
	{rebalance.NoPrice, func(in *rebalance.Input) { hold(in, 1, "MUTE", "1") }},
	{rebalance.StalePrice, func(in *rebalance.Input) { hold(in, 0, "STALE", "1") }},
	{rebalance.NoRate, func(in *rebalance.Input) { cash(in, 1, "GBP", "1") }},
	{rebalance.NegativeCash, func(in *rebalance.Input) { cash(in, 1, "USD", "-0.01") }},
	{rebalance.ShortPosition, func(in *rebalance.Input) { hold(in, 1, "VTI", "-1") }},
	{rebalance.BadTaxBook, func(in *rebalance.Input) {
		in.Events = append(in.Events, region.Event{ID: "bad", Kind: "wish", Day: in.Day, Settle: in.Day, Symbol: "VTI", Account: "A"})
	}},
	{rebalance.LotsDiffer, func(in *rebalance.Input) { hold(in, 0, "AGG", "0.000000000001") }},
}

func account(in *rebalance.Input, i int) *portfolio.Account {
	if i >= len(in.Household.Accounts) {
		return &portfolio.Account{} // a household without accounts has no other fault
	}
	return &in.Household.Accounts[i]
}

func hold(in *rebalance.Input, i int, symbol market.Symbol, shares string) {
	a := account(in, i)
	a.Positions = append(a.Positions, portfolio.Position{Symbol: symbol, Shares: money.MustParse(shares)})
}

func cash(in *rebalance.Input, i int, c market.Currency, amount string) {
	a := account(in, i)
	a.Cash = append(a.Cash, portfolio.Cash{Currency: c, Amount: money.MustParse(amount)})
}

func sound() (rebalance.Input, *market.Snapshot) {
	day := market.MustDay("2020-03-16")
	s := market.Snapshot{Day: day}
	for _, symbol := range []market.Symbol{"VTI", "AGG", "MUTE", "STALE"} {
		s.Securities = append(s.Securities, market.Security{Symbol: symbol, Exchange: market.XNYS, Currency: market.USD, Kind: market.ETF})
		p := market.Price{Symbol: symbol, Day: day - 3, Close: money.FromInt(100)}
		if symbol == "STALE" {
			p.Day = day - 11
		}
		if symbol != "MUTE" {
			s.Prices = append(s.Prices, p)
		}
	}
	s.Weights = []market.Weight{
		{Model: "mix", AssetClass: "equity", Symbol: "VTI", Weight: money.One},
		{Model: "bad", AssetClass: "equity", Symbol: "VTI", Weight: money.MustParse("0.9")},
	}
	in := rebalance.Input{Day: day, Household: portfolio.Household{ID: "H", Region: "US"}}
	for _, id := range []portfolio.AccountID{"A", "B"} {
		in.Household.Accounts = append(in.Household.Accounts, portfolio.Account{
			ID: id, Owner: "P", Type: "ira", Currency: market.USD, Model: "mix",
			Cash: []portfolio.Cash{{Currency: market.USD, Amount: money.FromInt(1000)}}})
	}
	return in, market.NewSnapshot(s)
}

// TestFaultsInOrder gives a household each fault together with all later ones: the first is named.
func TestFaultsInOrder(t *testing.T) {
	in, m := sound()
	if _, err := rebalance.Plan(in, m); err != nil {
		t.Fatalf("Plan(sound) = %v, want no fault", err)
	}
	for i, first := range faults {
		in, m := sound()
		for _, f := range faults[i:] {
			f.with(&in)
		}
		_, err := rebalance.Plan(in, m)
		var fault *rebalance.Fault
		if !errors.As(err, &fault) || fault.Code != first.code {
			t.Errorf("Plan(%s and later) = %v, want %s", first.code, err, first.code)
		}
	}
}

// TestFaultsAlone gives a household one fault at a time.
func TestFaultsAlone(t *testing.T) {
	for _, f := range faults {
		in, m := sound()
		f.with(&in)
		_, err := rebalance.Plan(in, m)
		var fault *rebalance.Fault
		if !errors.As(err, &fault) || fault.Code != f.code {
			t.Errorf("Plan(%s) = %v, want it", f.code, err)
		}
	}
}

// TestStaleDays is both sides of the age at which a close is too old.
func TestStaleDays(t *testing.T) {
	for _, c := range []struct {
		days int
		want bool
	}{{10, true}, {11, false}} {
		in, m := sound()
		in.Settings.StaleDays = c.days
		hold(&in, 0, "STALE", "1")
		_, err := rebalance.Plan(in, m)
		var fault *rebalance.Fault
		if got := errors.As(err, &fault) && fault.Code == rebalance.StalePrice; got != c.want {
			t.Errorf("Plan(close of 11 days ago, limit %d) = %v, want stale %t", c.days, err, c.want)
		}
	}
}
