package orders_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"daybreak/market"
	"daybreak/money"
	"daybreak/orders"
	"daybreak/portfolio"
	"daybreak/rebalance"
	"daybreak/tlh"
)

var (
	dec     = money.MustParse
	session = market.MustDay("2020-03-16")
)

func trade(symbol market.Symbol, side portfolio.Side, shares string, waits ...market.Symbol) rebalance.Trade {
	notional := dec(shares).Mul(dec("20"))
	return rebalance.Trade{Account: "A1", Symbol: symbol, Side: side, Shares: dec(shares), Price: dec("20"), PriceDay: session,
		Currency: "USD", FX: dec("1.4"), Notional: notional, Value: notional.Mul(dec("1.4")), WaitsFor: waits,
		Reason: rebalance.Reason{Code: "DRIFT", Numbers: map[string]string{"b": "2", "a": "1"}}}
}

func plan() rebalance.HouseholdPlan {
	sale := trade("VTI", portfolio.Sell, "10")
	sale.Lots = []rebalance.TradeLot{{Lot: "L1", Shares: dec("10")}}
	return rebalance.HouseholdPlan{
		Household: "H1",
		Accounts: []rebalance.AccountPlan{
			{Account: "A1", Currency: "CAD", Trades: []rebalance.Trade{trade("ITOT", portfolio.Buy, "9", "VTI", "NONE"), sale}},
			{Account: "A2", Currency: "CAD"},
		},
		Locks: []tlh.Lock{{Property: "VTI", Symbol: "VTI", Account: "A1", Provisional: true}, {Property: "X", Symbol: "X", Account: "A1"}},
	}
}

func TestFromPlan(t *testing.T) {
	s := orders.Source{Run: "2020-03-16.1", Build: "b", Rules: "r", Session: session, BookVersion: 7}
	all := orders.FromPlan(s, plan())
	if len(all) != 2 || all[0].Side != portfolio.Sell || all[1].Side != portfolio.Buy {
		t.Fatalf("FromPlan = %+v, want the sale and then the purchase", all)
	}
	sell, buy := all[0], all[1]
	if want := []orders.ID{sell.ID}; !slices.Equal(buy.WaitsFor, want) {
		t.Errorf("purchase waits for %v, want %v", buy.WaitsFor, want)
	}
	if sell.LimitPrice != dec("19.9") || buy.LimitPrice != dec("20.1") {
		t.Errorf("limits = %s, %s, want 19.9, 20.1", sell.LimitPrice, buy.LimitPrice)
	}
	if sell.BookVersion != 7 || sell.AccountCurrency != "CAD" || sell.Build != "b" || sell.ContentHash != sell.Content() {
		t.Errorf("FromPlan = %+v, want version 7, CAD, the build and its content's hash", sell)
	}
	named := orders.NameLocks(plan().Locks, all)
	if named[0].Order != string(sell.ID) || named[1].Order != "" {
		t.Errorf("NameLocks = %+v, want the sale's id for VTI alone", named)
	}
}

func TestIDIsTheSameForTheSameWish(t *testing.T) {
	first := orders.FromPlan(orders.Source{Run: "2020-03-16.1", Session: session, Build: "one"}, plan())
	again := orders.FromPlan(orders.Source{Run: "2020-03-16.2", Session: session, Build: "two", BookVersion: 9}, plan())
	for i := range first {
		if first[i].ID != again[i].ID || first[i].ContentHash != again[i].ContentHash {
			t.Errorf("order %d = %s %s in another run, want %s %s", i, again[i].ID, again[i].ContentHash, first[i].ID, first[i].ContentHash)
		}
	}
	base := orders.NewID(session, "A1", "VTI", portfolio.Buy, 1)
	if len(base) != 20 || strings.Trim(string(base), "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != "" {
		t.Errorf("NewID = %q, want 20 characters of base32", base)
	}
	for name, other := range map[string]orders.ID{
		"session": orders.NewID(session+1, "A1", "VTI", portfolio.Buy, 1), "account": orders.NewID(session, "A2", "VTI", portfolio.Buy, 1),
		"security": orders.NewID(session, "A1", "VTV", portfolio.Buy, 1), "side": orders.NewID(session, "A1", "VTI", portfolio.Sell, 1),
		"sequence": orders.NewID(session, "A1", "VTI", portfolio.Buy, 2),
	} {
		if other == base {
			t.Errorf("NewID with another %s = %s, the same", name, other)
		}
	}
}

func TestContentCoversWhatIsSigned(t *testing.T) {
	o := orders.FromPlan(orders.Source{Run: "2020-03-16.1", Session: session}, plan())[0]
	for name, change := range map[string]func(*orders.Order){
		"account": func(o *orders.Order) { o.Account = "A9" }, "symbol": func(o *orders.Order) { o.Symbol = "X" },
		"side": func(o *orders.Order) { o.Side = portfolio.Buy }, "quantity": func(o *orders.Order) { o.Quantity = dec("11") },
		"limit": func(o *orders.Order) { o.LimitPrice = dec("1") }, "lots": func(o *orders.Order) { o.Lots = nil },
		"waits": func(o *orders.Order) { o.WaitsFor = []orders.ID{"X"} }, "reason": func(o *orders.Order) { o.Reason = "X" },
		"numbers": func(o *orders.Order) { o.Numbers = map[string]string{"a": "1"} }, "fx": func(o *orders.Order) { o.FX = money.One },
	} {
		changed := o
		change(&changed)
		if changed.Content() == o.Content() {
			t.Errorf("Content with another %s is the same", name)
		}
	}
}

// passing returns an order and facts that no check refuses.
func passing(side portfolio.Side) (orders.Order, orders.Facts) {
	o := orders.Order{ID: "ID", Session: session, Account: "A1", Symbol: "VTI", Side: side, Quantity: dec("10"), LimitPrice: dec("20.1"),
		FX: money.One, Price: dec("20"), Value: dec("200")}
	return o, orders.Facts{SessionOpen: true, Approval: orders.Approval{Maker: "mia", Approver: "ana", ContentHash: o.Content()},
		Build: "b", RunBuild: "b", Rules: "r", RunRules: "r", Reference: dec("20"), ReferenceDay: session, Property: "VTI",
		TaxDay: session + 2, Held: dec("10"), Cash: dec("201.0402")}
}

// edges gives for each code the last facts that pass and the first that do not.
func edges() map[string][2]func(*orders.Order, *orders.Facts) {
	type change = func(*orders.Order, *orders.Facts)
	sign := func(o *orders.Order, f *orders.Facts) { f.Approval.ContentHash = o.Content() }
	signed := func(do change) change { return func(o *orders.Order, f *orders.Facts) { do(o, f); sign(o, f) } }
	none := func(*orders.Order, *orders.Facts) {}
	lock := func(until market.Day) change {
		return func(_ *orders.Order, f *orders.Facts) {
			f.Locks = []tlh.Lock{{Property: "VTI", Until: until, Order: "S"}}
		}
	}
	value := func(v string) change {
		return signed(func(o *orders.Order, _ *orders.Facts) { o.Value = dec(v) })
	}
	return map[string][2]change{
		orders.KillSwitch:      {none, func(_ *orders.Order, f *orders.Facts) { f.Halt = "drill" }},
		orders.SessionClosed:   {none, func(_ *orders.Order, f *orders.Facts) { f.SessionOpen = false }},
		orders.BookException:   {none, func(_ *orders.Order, f *orders.Facts) { f.Exception = "NEGATIVE_CASH" }},
		orders.NotApproved:     {none, func(_ *orders.Order, f *orders.Facts) { f.Approval = orders.Approval{} }},
		orders.SamePerson:      {none, func(_ *orders.Order, f *orders.Facts) { f.Approval.Approver = "mia" }},
		orders.ContentChanged:  {none, func(o *orders.Order, _ *orders.Facts) { o.Reason = "X" }},
		orders.BuildDiffers:    {none, func(_ *orders.Order, f *orders.Facts) { f.Rules = "x" }},
		orders.OrderValueLimit: {value("5000000"), value("5000000.01")},
		orders.QuantityLimit: {
			signed(func(o *orders.Order, f *orders.Facts) {
				o.Quantity, f.Held, f.Cash = dec("1000000"), dec("1000000"), dec("20104020")
			}),
			signed(func(o *orders.Order, f *orders.Facts) {
				o.Quantity, f.Held, f.Cash = dec("1000000.0001"), dec("2000000"), dec("30000000")
			})},
		orders.AccountValueLimit: {
			func(_ *orders.Order, f *orders.Facts) { f.AccountDayValue = dec("19999800") },
			func(_ *orders.Order, f *orders.Facts) { f.AccountDayValue = dec("19999800.01") }},
		orders.FirmValueLimit: {
			func(_ *orders.Order, f *orders.Facts) { f.FirmDayValue = dec("49999999800") },
			func(_ *orders.Order, f *orders.Facts) { f.FirmDayValue = dec("49999999800.01") }},
		orders.NoReference: {none, func(_ *orders.Order, f *orders.Facts) { f.Reference = money.Zero }},
		orders.StaleReference: {
			func(_ *orders.Order, f *orders.Facts) { f.ReferenceDay = session - 10 },
			func(_ *orders.Order, f *orders.Facts) { f.ReferenceDay = session - 11 }},
		orders.PriceCollar: {
			signed(func(o *orders.Order, _ *orders.Facts) { o.LimitPrice, o.Quantity = dec("20.6"), dec("9") }),
			signed(func(o *orders.Order, _ *orders.Facts) { o.LimitPrice, o.Quantity = dec("20.6001"), dec("9") })},
		orders.DuplicateOrder: {none, func(_ *orders.Order, f *orders.Facts) { f.LiveOrder = "OTHER" }},
		orders.Restricted: {
			func(_ *orders.Order, f *orders.Facts) { f.Restricted = []market.Symbol{"VTV"} },
			func(_ *orders.Order, f *orders.Facts) { f.Restricted = []market.Symbol{"VTI"} }},
		orders.TaxLock:   {lock(session + 1), lock(session + 2)},
		orders.LongOnly:  {none, func(_ *orders.Order, f *orders.Facts) { f.Held = dec("9.9999") }},
		orders.CashShort: {none, func(_ *orders.Order, f *orders.Facts) { f.Cash = dec("201.0401") }},
	}
}

func sideOf(code string) portfolio.Side {
	if code == orders.LongOnly {
		return portfolio.Sell
	}
	return portfolio.Buy
}

func TestCheckBothSidesOfEveryBound(t *testing.T) {
	for code, edge := range edges() {
		o, f := passing(sideOf(code))
		edge[0](&o, &f)
		if v := orders.Check(orders.BeforeSending, o, f, orders.DefaultLimits); v != nil {
			t.Errorf("Check at the bound of %s = %+v, want none", code, v)
		}
		o, f = passing(sideOf(code))
		edge[1](&o, &f)
		if v := orders.Check(orders.BeforeSending, o, f, orders.DefaultLimits); v == nil || v.Code != code {
			t.Errorf("Check past the bound of %s = %+v, want it", code, v)
		}
	}
}

// TestCheckFirstInDeclaredOrderWins breaks every rule from each code on: that code is the answer.
func TestCheckFirstInDeclaredOrderWins(t *testing.T) {
	all, codes := edges(), orders.Codes()
	if got, want := len(codes), len(all); got != want {
		t.Fatalf("Codes has %d, the table of edges %d", got, want)
	}
	for i, code := range codes {
		o, f := passing(sideOf(code))
		for _, later := range slices.Backward(codes[i:]) {
			all[later][1](&o, &f)
		}
		if i > slices.Index(codes, orders.ContentChanged) {
			f.Approval.ContentHash = o.Content()
		}
		if v := orders.Check(orders.BeforeSending, o, f, orders.DefaultLimits); v == nil || v.Code != code {
			t.Errorf("Check with every rule from %s on broken = %+v, want %s", code, v, code)
		}
	}
}

func TestSalesAreNotLockedAndNeedNoCash(t *testing.T) {
	o, f := passing(portfolio.Sell)
	f.Cash = money.Zero
	f.Locks = []tlh.Lock{{Property: "VTI", Until: session + 40}}
	if v := orders.Check(orders.BeforeSending, o, f, orders.DefaultLimits); v != nil {
		t.Errorf("Check of a sale = %+v, want none", v)
	}
}

func TestProgress(t *testing.T) {
	sent := orders.NewProgress(dec("10")).Sent(dec("8"))
	tests := []struct {
		name string
		got  orders.Progress
		want string
	}{
		{"proposed", orders.NewProgress(dec("10")), "Proposed 10 0 10"},
		{"sent with less", sent, "PendingNew 8 0 8"},
		{"acknowledged", sent.Acknowledged(), "New 8 0 8"},
		{"fill before the acknowledgement", sent.Filled(dec("3"), dec("10")).Acknowledged(), "PartiallyFilled 8 3 5"},
		{"filled", sent.Filled(dec("8"), dec("10")), "Filled 8 8 0"},
		{"overfilled", sent.Filled(dec("9"), dec("10")), "Filled 8 9 0"},
		{"overfill busted", sent.Filled(dec("9"), dec("10")).Filled(dec("-1"), dec("10")), "Filled 8 8 0"},
		{"busted after it was filled", sent.Filled(dec("8"), dec("10")).Filled(dec("-3"), dec("10")), "Canceled 5 5 0"},
		{"busted while it lives", sent.Filled(dec("3"), dec("10")).Filled(dec("-3"), dec("10")), "New 8 0 8"},
		{"canceled", sent.Filled(dec("3"), dec("10")).Closed(orders.Canceled), "Canceled 3 3 0"},
		{"canceled when filled", sent.Filled(dec("8"), dec("10")).Closed(orders.Canceled), "Filled 8 8 0"},
		{"fill after the cancel", sent.Closed(orders.Canceled).Filled(dec("3"), dec("10")), "Canceled 3 3 0"},
		{"all filled after the cancel", sent.Closed(orders.Canceled).Filled(dec("10"), dec("10")), "Filled 10 10 0"},
		{"rejected", sent.Closed(orders.Rejected), "Rejected 0 0 0"},
		{"rejected with a fill", sent.Filled(dec("3"), dec("10")).Closed(orders.Rejected), "Canceled 3 3 0"},
		{"expired", sent.Closed(orders.Expired), "Expired 0 0 0"},
	}
	for _, tt := range tests {
		if got := fmt.Sprint(tt.got.State, " ", tt.got.OrderQty, " ", tt.got.CumQty, " ", tt.got.LeavesQty); got != tt.want {
			t.Errorf("%s = %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestRootIsOfTheSet(t *testing.T) {
	if got := orders.Root(nil); got != "" {
		t.Errorf("Root of no orders = %q, want nothing", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SliceOfNDistinct(rapid.StringMatching(`[A-Z]{3}`), 1, 20, rapid.ID[string]).Draw(t, "ids")
		var set []orders.Leaf
		for _, id := range ids {
			set = append(set, orders.Leaf{ID: orders.ID(id), Content: rapid.StringMatching(`[0-9a-f]{4}`).Draw(t, "content")})
		}
		root := orders.Root(set)
		if again := orders.Root(rapid.Permutation(set).Draw(t, "order")); again != root {
			t.Fatalf("Root of the same set in another order = %s, want %s", again, root)
		}
		at := rapid.IntRange(0, len(set)-1).Draw(t, "at")
		changed := slices.Clone(set)
		changed[at].Content += "0"
		if orders.Root(changed) == root || orders.Root(append(slices.Clone(set), set[0])) == root || orders.Root(slices.Delete(slices.Clone(set), at, at+1)) == root {
			t.Fatalf("Root of another set = %s, the same", root)
		}
	})
}

func ExampleCheck() {
	o := orders.Order{ID: "ID", Session: session, Side: portfolio.Buy, Quantity: money.FromInt(10), LimitPrice: money.FromInt(20), FX: money.One}
	f := orders.Facts{SessionOpen: true, Approval: orders.Approval{Maker: "mia", Approver: "mia", ContentHash: o.Content()}}
	fmt.Println(orders.Check(orders.BeforeSending, o, f, orders.DefaultLimits).Code)
	// Output: SAME_PERSON
}
