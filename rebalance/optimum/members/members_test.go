package members_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/rebalance/optimum"
	"daybreak/rebalance/optimum/members"
	"daybreak/region"
)

var today = market.MustDay("2020-03-16")

// bought is a purchase of 10 shares of a symbol for 1,000 dollars, at 1.25 home currency each.
func bought(account, accountType, symbol, day string) region.Event {
	return region.Event{ID: account + symbol + day, Kind: region.Buy, Day: market.MustDay(day), Settle: market.MustDay(day), Owner: "P",
		Account: portfolio.AccountID(account), AccountType: accountType, Symbol: market.Symbol(symbol), Shares: money.RatInt(10),
		Amount: money.FromInt(1000), Currency: market.USD, FX: money.MustParse("1.25")}
}

// couple is a Canadian household with a taxable account and a registered one over three securities in
// US dollars, of which B may be held instead of A; A stands at a loss, and change may turn it to
// whatever a test needs.
func couple(t *testing.T, change func(in *members.Input, events *[]region.Event)) members.Input {
	t.Helper()
	m := market.Snapshot{Day: today - 3, Rates: []market.Rate{{Base: market.USD, Quote: market.CAD, Day: today - 3, Rate: money.MustParse("1.25")}}}
	for _, s := range []string{"A", "B", "C"} {
		m.Securities = append(m.Securities, market.Security{Symbol: market.Symbol(s), Currency: market.USD, Exchange: market.XNYS, Kind: market.ETF, AssetClass: s, IdenticalGroup: "index:" + s})
		m.Prices = append(m.Prices, market.Price{Symbol: market.Symbol(s), Day: today - 3, Close: money.FromInt(80)})
	}
	m.Replacements = []market.Replacement{{Symbol: "A", Replacement: "B", Rank: 1}}
	m.Weights = []market.Weight{{Model: "m", Region: "CA", AssetClass: "A", Symbol: "A", Weight: money.One}}
	risk := &members.Model{Currency: market.CAD, Symbols: []market.Symbol{"A", "B", "C"}}
	for range 3 {
		risk.Risks = append(risk.Risks, optimum.Risk{Load: []float64{0.1}, SpecificVol: 0.05})
	}
	rules, err := region.Load("CA")
	if err != nil {
		t.Fatal(err)
	}
	account := func(id, kind string) portfolio.Account {
		return portfolio.Account{ID: portfolio.AccountID(id), Owner: "P", Type: kind, Currency: market.CAD, Model: "m",
			Cash: []portfolio.Cash{{Currency: market.CAD, Amount: money.FromInt(1000)}}}
	}
	in := members.Input{Day: today, Rules: rules, Market: &m, Risk: map[market.Currency]*members.Model{market.CAD: risk}, Params: members.DefaultParams(),
		Household: portfolio.Household{ID: "H", Region: "CA", Owners: []portfolio.Owner{{ID: "P", From: today - 900, To: market.NoDay}},
			Accounts: []portfolio.Account{account("T", "taxable"), account("R", "rrsp")}}}
	in.Household.Accounts[0].Positions = []portfolio.Position{{Symbol: "A", Shares: money.FromInt(10)}}
	events := []region.Event{bought("T", "taxable", "A", "2018-01-02")}
	change(&in, &events)
	in.Market = market.NewSnapshot(m)
	if in.Book, err = region.Fold(rules, region.ScopeOf(in.Household, in.Market.Identical()), region.Checkpoint{}, events); err != nil {
		t.Fatal(err)
	}
	return in
}

// taxable returns the member of account T, the second by id.
func taxable(t *testing.T, in members.Input) optimum.Member {
	t.Helper()
	list, err := members.Of(in)
	if err != nil || len(list) != 2 || list[1].Account.ID != "T" {
		t.Fatalf("Of = %d members, %v, want R and T", len(list), err)
	}
	return list[1]
}

func TestOfMapsAnAccount(t *testing.T) {
	m := taxable(t, couple(t, func(*members.Input, *[]region.Event) {}))
	if n := len(m.Universe.Securities); n != 2 || m.Universe.Securities[1].ID != "B" {
		t.Fatalf("securities = %d, want A and what may be held instead", n)
	}
	a := m.Universe.Securities[0]
	if a.Price.String() != "100" || a.Property != "index:A" || a.Cost.String() != "0.0025" {
		t.Errorf("A = price %s, property %s, cost %s, want 100 CAD, index:A, half the spread and a conversion 0.0025", a.Price, a.Property, a.Cost)
	}
	l := m.Account.Lots[0]
	if l.ID != "A" || l.Shares.String() != "10" || l.Cost.String() != "1250" || l.IsShort {
		t.Errorf("lot = %+v, want the pool A of 10 shares that cost 1250", l)
	}
	if m.Account.Targets[0].String() != "0.99" || !m.Account.Targets[1].IsZero() || m.Account.CashTarget.String() != "0.01" {
		t.Errorf("targets = %v and cash %s, want 0.99, 0 and 0.01", m.Account.Targets, m.Account.CashTarget)
	}
	if m.Options.LongRate != 0.225 || m.Options.ShortRate != 0.225 || m.Options.CashFloor.String() != "0.005" {
		t.Errorf("rates = %g, %g, floor %s, want 0.225 twice and 0.005", m.Options.ShortRate, m.Options.LongRate, m.Options.CashFloor)
	}
	if r := m.Account.Rules[0]; r != (optimum.Rule{}) {
		t.Errorf("rule of A = %+v, want none", r)
	}
	if g := m.Account.Groups[0]; g.Lower.String() != "0.499999" || g.Upper.String() != "1.010001" {
		t.Errorf("band = %s to %s, want from the present 0.5 to 0.99 + 0.02", g.Lower, g.Upper)
	}
}

// TestOfBars walks the edges of the loss window by settlement, through purchases and losses of the
// other account and of the household.
func TestOfBars(t *testing.T) {
	settle := today + 2
	for _, c := range []struct {
		name          string
		change        func(in *members.Input, events *[]region.Event)
		buy, loss     bool
		by            string
		noBuy, noSell bool
	}{
		{"a purchase of the registered account 30 days ago", func(in *members.Input, events *[]region.Event) {
			*events = append(*events, bought("R", "rrsp", "A", (settle-30).String()))
			in.Household.Accounts[1].Positions = []portfolio.Position{{Symbol: "A", Shares: money.FromInt(10)}}
		}, false, true, "BARRED_PURCHASE R A", false, false},
		{"a purchase 31 days ago", func(in *members.Input, events *[]region.Event) {
			*events = append(*events, bought("R", "rrsp", "A", (settle-31).String()))
			in.Household.Accounts[1].Positions = []portfolio.Position{{Symbol: "A", Shares: money.FromInt(10)}}
		}, false, false, "", false, false},
		{"a loss 30 days ago", func(in *members.Input, events *[]region.Event) {
			sale := bought("T", "taxable", "A", (settle - 30).String())
			sale.Kind, sale.Shares, sale.Amount = region.Sell, money.RatInt(5), money.FromInt(400)
			*events = append(*events, sale)
			in.Household.Accounts[0].Positions[0].Shares = money.FromInt(5)
		}, true, false, "BARRED_LOSS_SALE T A", false, false},
		{"no harvesting", func(in *members.Input, _ *[]region.Event) { in.Household.Accounts[0].Policy.NoHarvest = true }, false, true, "policy no_harvest", false, false},
		{"a loss of 250, at least 250.01", func(in *members.Input, _ *[]region.Event) {
			in.Household.Accounts[0].Policy.HarvestCashMin = money.MustParse("250.01")
		}, false, true, "policy harvest_cash_min", false, false},
		{"a loss of 250, at least 250", func(in *members.Input, _ *[]region.Event) {
			in.Household.Accounts[0].Policy.HarvestCashMin = money.MustParse("250")
		}, false, false, "", false, false},
		{"restricted", func(in *members.Input, _ *[]region.Event) {
			in.Household.Accounts[0].Policy.Restricted = []market.Symbol{"A"}
		}, false, false, "", true, true},
	} {
		r := taxable(t, couple(t, c.change)).Account.Rules[0]
		if r.BuyBarred != c.buy || r.LossBarred != c.loss || r.NoBuy != c.noBuy || r.NoSell != c.noSell || !strings.HasPrefix(r.BuyBar.By+r.LossBar.By, c.by) {
			t.Errorf("Of(%s): rule = %+v, want purchase barred %t, loss barred %t, by %q, restricted %t", c.name, r, c.buy, c.loss, c.by, c.noBuy)
		}
	}
}

func TestOfKeepsCurrenciesApart(t *testing.T) {
	m := taxable(t, couple(t, func(in *members.Input, _ *[]region.Event) {
		in.Household.Accounts[0].Cash = append(in.Household.Accounts[0].Cash, portfolio.Cash{Currency: market.USD, Amount: money.FromInt(80)})
	}))
	b := m.Account.Balances
	if len(b) != 1 || b[0].Currency != market.USD || b[0].Cash.String() != "100" || m.Account.Cash.String() != "1000" {
		t.Errorf("balances = %+v beside %s, want 80 USD as 100 CAD beside 1000", b, m.Account.Cash)
	}
	if a := m.Universe.Securities[0]; a.Cash != 1 || a.Cost.String() != "0.0005" {
		t.Errorf("A settles in cash %d at %s, want 1 at 0.0005", a.Cash, a.Cost)
	}
}

func TestOfNamesFaults(t *testing.T) {
	first := func(in *members.Input) *portfolio.Account { return &in.Household.Accounts[0] }
	for code, change := range map[string]func(in *members.Input){
		members.NoModel:      func(in *members.Input) { first(in).Model = "none" },
		members.NegativeCash: func(in *members.Input) { first(in).Cash[0].Amount = money.FromInt(-1) },
		members.NoRate:       func(in *members.Input) { first(in).Cash[0].Currency = "EUR" },
		members.LotsDiffer:   func(in *members.Input) { first(in).Positions[0].Shares = money.FromInt(9) },
		members.ShortPosition: func(in *members.Input) {
			first(in).Positions[0].Shares = money.FromInt(-1)
		},
		members.StalePrice: func(in *members.Input) { in.Params.StaleDays = 2 },
		optimum.BadRisk:    func(in *members.Input) { in.Risk = nil },
	} {
		in := couple(t, func(in *members.Input, _ *[]region.Event) { change(in) })
		_, err := members.Of(in)
		var fault *optimum.MemberFault
		if !errors.As(err, &fault) || fault.Fault.Code != code || !slices.Contains([]string{"T", "R"}, fault.Account) {
			t.Errorf("Of = %v, want %s", err, code)
		}
	}
}

func TestOfSharesABudget(t *testing.T) {
	in := couple(t, func(in *members.Input, _ *[]region.Event) {
		in.Params.HasBudget, in.Params.Budget = true, money.FromInt(500)
	})
	if g := taxable(t, in).Account.Gains; !g.HasBudget || g.Budget.String() != "500" || g.IsNetted {
		t.Errorf("gains = %+v, want a budget of 500 for the only taxable account", g)
	}
}
