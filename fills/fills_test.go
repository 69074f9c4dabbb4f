package fills_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"daybreak/fills"
	"daybreak/ledger"
	"daybreak/market"
	"daybreak/money"
	"daybreak/orders"
	"daybreak/portfolio"
	"daybreak/rebalance"
	"daybreak/region"
)

var (
	dec   = money.MustParse
	day   = market.MustDay("2020-03-16")
	later = market.MustDay("2020-03-18")
)

const (
	sellID orders.ID = "SELL"
	buyID  orders.ID = "BUY"
)

// book returns the state of a household in a region with two sent orders: a sale of 100 AAA from two
// lots, which is a harvest with a lock, and a purchase of 50 BBB.
func book(t testing.TB, name string) *fills.State {
	t.Helper()
	rules, err := region.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	s := fills.NewState("H1", rules)
	s.Version = 7
	s.Accounts["A1"] = fills.Account{ID: "A1", Owner: "O1", Type: "taxable", Currency: rules.Home}
	s.Orders[sellID] = fills.Order{
		Run: "2020-03-16.1", ID: sellID, Account: "A1", Symbol: "AAA", Side: portfolio.Sell, Currency: "USD", Asked: dec("100"),
		LotsLeft: []rebalance.TradeLot{{Lot: "L1", Shares: dec("60")}, {Lot: "L2", Shares: dec("40")}},
		Progress: orders.NewProgress(dec("100")).Sent(dec("100")),
	}
	s.Orders[buyID] = fills.Order{
		Run: "2020-03-16.1", ID: buyID, Account: "A1", Symbol: "BBB", Side: portfolio.Buy, Currency: "USD", Asked: dec("50"),
		Progress: orders.NewProgress(dec("50")).Sent(dec("50")),
	}
	s.Positions[fills.Holding{Account: "A1", Symbol: "AAA"}] = dec("100")
	s.Cash[fills.Purse{Account: "A1", Currency: rules.Home}] = dec("1000")
	s.Locks[sellID] = []fills.Lock{{Run: "2020-03-16.1", Order: sellID, Property: "AAA", Until: market.MustDay("2020-04-17"), State: fills.LockProvisional}}
	s.Rates[fills.Pair{Base: "USD", Quote: rules.Home, Day: rules.TaxDay(day, later)}] = dec("1.4")
	return s
}

// report returns a report of the broker on an order.
func report(id string, kind fills.ExecType, order orders.ID) fills.Execution {
	e := fills.Execution{
		Session: "SIM", ExecID: id, Type: kind, RefTradeDate: market.NoDay, OrderID: order, Account: "A1", Household: "H1",
		Symbol: "AAA", Side: portfolio.Sell, Currency: "USD", FX: money.One, FXDay: day, TradeDate: day, SettleDate: later,
		BrokerTime: time.Date(2020, 3, 16, 14, 30, 0, 0, time.UTC),
	}
	if order == buyID {
		e.Symbol, e.Side = "BBB", portfolio.Buy
	}
	return e
}

func trade(id string, order orders.ID, shares, price string) fills.Execution {
	e := report(id, fills.Trade, order)
	e.Quantity, e.Price = dec(shares), dec(price)
	return e
}

func correct(id, ref string, order orders.ID, shares, price string) fills.Execution {
	e := trade(id, order, shares, price)
	e.Type, e.RefExecID = fills.TradeCorrect, ref
	return e
}

func bust(id, ref string, order orders.ID) fills.Execution {
	e := report(id, fills.TradeCancel, order)
	e.RefExecID = ref
	return e
}

// outcomes posts a sequence and returns how each execution ended.
func outcomes(s *fills.State, sequence ...fills.Execution) string {
	text := ""
	for _, r := range fills.Post(s, sequence) {
		text += fmt.Sprintf("%s=%s ", r.Execution.ExecID, r.Outcome)
	}
	return text
}

func TestPostSequences(t *testing.T) {
	conflict := trade("E1", sellID, "30", "11")
	nan := trade("E1", sellID, "0", "10")
	stranger := trade("E1", sellID, "30", "10")
	stranger.Account = "A9"
	unknown := trade("E1", "NOPE", "30", "10")
	other := trade("E1", sellID, "30", "10")
	other.Symbol = "BBB"
	restated := report("E1", "D", sellID)
	tests := []struct {
		name     string
		sequence []fills.Execution
		want     string
		order    orders.ID
		state    orders.State
		cum      string
		leaves   string
		shares   string // of AAA
		cash     string
		lock     string
	}{
		{"partial fill", []fills.Execution{trade("E1", sellID, "30", "10")}, "E1=APPLIED ",
			sellID, orders.PartiallyFilled, "30", "70", "70", "1300", "fixed 2020-04-15"},
		{"last fill", []fills.Execution{trade("E1", sellID, "30", "10"), trade("E2", sellID, "70", "10")}, "E1=APPLIED E2=APPLIED ",
			sellID, orders.Filled, "100", "0", "0", "2000", "fixed 2020-04-15"},
		{"duplicate", []fills.Execution{trade("E1", sellID, "30", "10"), trade("E1", sellID, "30", "10")}, "E1=APPLIED E1=DUPLICATE ",
			sellID, orders.PartiallyFilled, "30", "70", "70", "1300", "fixed 2020-04-15"},
		{"conflict", []fills.Execution{trade("E1", sellID, "30", "10"), conflict}, "E1=APPLIED E1=CONFLICT ",
			sellID, orders.PartiallyFilled, "30", "70", "70", "1300", "fixed 2020-04-15"},
		{"acknowledged", []fills.Execution{report("E1", fills.New, sellID)}, "E1=APPLIED ",
			sellID, orders.New, "0", "100", "100", "1000", "provisional 2020-04-17"},
		{"acknowledged after a fill", []fills.Execution{trade("E1", sellID, "30", "10"), report("E2", fills.New, sellID)}, "E1=APPLIED E2=APPLIED ",
			sellID, orders.PartiallyFilled, "30", "70", "70", "1300", "fixed 2020-04-15"},
		{"rejected", []fills.Execution{report("E1", fills.Rejected, sellID)}, "E1=APPLIED ",
			sellID, orders.Rejected, "0", "0", "100", "1000", "void 2020-04-17"},
		{"canceled with a part filled", []fills.Execution{trade("E1", sellID, "30", "10"), report("E2", fills.Canceled, sellID)}, "E1=APPLIED E2=APPLIED ",
			sellID, orders.Canceled, "30", "0", "70", "1300", "fixed 2020-04-15"},
		{"fill after the cancel", []fills.Execution{report("E1", fills.Canceled, sellID), trade("E2", sellID, "30", "10")}, "E1=APPLIED E2=APPLIED ",
			sellID, orders.Canceled, "30", "0", "70", "1300", "fixed 2020-04-15"},
		{"corrected", []fills.Execution{trade("E1", sellID, "30", "10"), correct("E2", "E1", sellID, "20", "11")}, "E1=APPLIED E2=APPLIED ",
			sellID, orders.PartiallyFilled, "20", "80", "80", "1220", "fixed 2020-04-15"},
		{"corrected before its trade", []fills.Execution{correct("E2", "E1", sellID, "20", "11"), trade("E1", sellID, "30", "10")}, "E2=HELD E1=APPLIED E2=APPLIED ",
			sellID, orders.PartiallyFilled, "20", "80", "80", "1220", "fixed 2020-04-15"},
		{"held twice", []fills.Execution{bust("E2", "E1", sellID), bust("E2", "E1", sellID)}, "E2=HELD E2=DUPLICATE ",
			sellID, orders.PendingNew, "0", "100", "100", "1000", "provisional 2020-04-17"},
		{"busted", []fills.Execution{trade("E1", sellID, "30", "10"), bust("E2", "E1", sellID)}, "E1=APPLIED E2=APPLIED ",
			sellID, orders.New, "0", "100", "100", "1000", "provisional 2020-04-15"},
		{"busted after it was filled", []fills.Execution{trade("E1", sellID, "100", "10"), bust("E2", "E1", sellID)}, "E1=APPLIED E2=APPLIED ",
			sellID, orders.Canceled, "0", "0", "100", "1000", "void 2020-04-15"},
		{"bust of a corrected trade busts the correction", []fills.Execution{trade("E1", sellID, "30", "10"), correct("E2", "E1", sellID, "20", "11"), bust("E3", "E1", sellID)},
			"E1=APPLIED E2=APPLIED E3=APPLIED ", sellID, orders.New, "0", "100", "100", "1000", "provisional 2020-04-15"},
		{"chain held", []fills.Execution{bust("E3", "E2", sellID), correct("E2", "E1", sellID, "20", "11"), trade("E1", sellID, "30", "10")},
			"E3=HELD E2=HELD E1=APPLIED E2=APPLIED E3=APPLIED ", sellID, orders.New, "0", "100", "100", "1000", "provisional 2020-04-15"},
		{"busted twice", []fills.Execution{trade("E1", sellID, "30", "10"), bust("E2", "E1", sellID), bust("E3", "E1", sellID)},
			"E1=APPLIED E2=APPLIED E3=ALREADY_BUSTED ", sellID, orders.New, "0", "100", "100", "1000", "provisional 2020-04-15"},
		{"bust of an acknowledgement", []fills.Execution{report("E1", fills.New, sellID), bust("E2", "E1", sellID)},
			"E1=APPLIED E2=BAD_REFERENCE ", sellID, orders.New, "0", "100", "100", "1000", "provisional 2020-04-17"},
		{"bad terms", []fills.Execution{nan}, "E1=BAD_TERMS ", sellID, orders.PendingNew, "0", "100", "100", "1000", "provisional 2020-04-17"},
		{"unknown account", []fills.Execution{stranger}, "E1=UNKNOWN_ACCOUNT ", sellID, orders.PendingNew, "0", "100", "100", "1000", "provisional 2020-04-17"},
		{"unknown order", []fills.Execution{unknown}, "E1=UNKNOWN_ORDER ", sellID, orders.PendingNew, "0", "100", "100", "1000", "provisional 2020-04-17"},
		{"another security", []fills.Execution{other}, "E1=ORDER_DIFFERS ", sellID, orders.PendingNew, "0", "100", "100", "1000", "provisional 2020-04-17"},
		{"type that the book does not take", []fills.Execution{restated}, "E1=UNKNOWN_TYPE ", sellID, orders.PendingNew, "0", "100", "100", "1000", "provisional 2020-04-17"},
		{"overfill", []fills.Execution{trade("E1", sellID, "110", "10")}, "E1=APPLIED ",
			sellID, orders.Filled, "110", "0", "-10", "2100", "fixed 2020-04-15"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := book(t, "US")
			if got := outcomes(s, tt.sequence...); got != tt.want {
				t.Errorf("Post = %s, want %s", got, tt.want)
			}
			p := s.Orders[tt.order].Progress
			l := s.Locks[sellID][0]
			got := fmt.Sprintf("%s cum %s leaves %s, %s shares, cash %s, lock %s %s", p.State, p.CumQty, p.LeavesQty,
				s.Positions[fills.Holding{Account: "A1", Symbol: "AAA"}], s.Cash[fills.Purse{Account: "A1", Currency: "USD"}], l.State, l.Until)
			want := fmt.Sprintf("%s cum %s leaves %s, %s shares, cash %s, lock %s", tt.state, tt.cum, tt.leaves, tt.shares, tt.cash, tt.lock)
			if got != want {
				t.Errorf("Post left %s, want %s", got, want)
			}
		})
	}
}

func TestPostOpensAndClosesExceptions(t *testing.T) {
	s := book(t, "US")
	first := fills.Post(s, []fills.Execution{trade("E1", buyID, "60", "20")})[0].Effects
	if len(first.Opened) != 2 || first.Opened[0].Code != fills.OverFill || first.Opened[1].Code != fills.NegativeCash {
		t.Fatalf("Post of an overfill without cash opened %v, want OVERFILL and NEGATIVE_CASH", first.Opened)
	}
	second := fills.Post(s, []fills.Execution{bust("E2", "E1", buyID)})[0].Effects
	if len(second.Closed) != 3 || second.Closed[0].Code != fills.DeniedLoss || len(second.Opened) != 0 {
		t.Errorf("Post of the bust closed %v, want both, and what the purchase denied", second.Closed)
	}
	short := fills.Post(s, []fills.Execution{trade("E3", sellID, "100.5", "1")})[0].Effects
	if len(short.Opened) != 2 || short.Opened[1].Code != fills.ShortPosition {
		t.Errorf("Post of a sale of more than held opened %v, want OVERFILL and SHORT_POSITION", short.Opened)
	}
}

func TestPostTaxEventOfAnotherCurrency(t *testing.T) {
	s := book(t, "CA")
	e := trade("E1", buyID, "3", "20")
	e.Commission, e.Fees, e.FX = dec("1.10"), dec("0.05"), dec("1.3")
	f := fills.Post(s, []fills.Execution{e})[0].Effects
	event, err := json.Marshal(f.Tax)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"id":"2020-03-16|0|SIM|E1","kind":"buy","day":"2020-03-16","settle":"2020-03-18","seq":8,"owner":"O1","account":"A1",` +
		`"account_type":"taxable","symbol":"BBB","shares":"3","amount":"60","commission":"1.15","currency":"USD","fx":"1.4","order":"BUY"`
	if got := string(event); len(got) < len(want) || got[:len(want)] != want {
		t.Errorf("tax event = %s, want %s…", event, want)
	}
	// 60 × 1.3 and 1.15 × 1.3 in cents: the broker's rate moves cash, the published one is for tax.
	if got := s.Cash[fills.Purse{Account: "A1", Currency: "CAD"}]; got != dec("920.5") {
		t.Errorf("cash = %s, want 920.5", got)
	}
}

func TestPostLotsOfASale(t *testing.T) {
	s := book(t, "US")
	results := fills.Post(s, []fills.Execution{
		trade("E1", sellID, "50", "10"), trade("E2", sellID, "20", "10"), bust("E3", "E1", sellID), trade("E4", sellID, "55", "10"),
	})
	var got []string
	for _, r := range results {
		got = append(got, fmt.Sprint(r.Effects.Posted.Lots))
	}
	want := []string{"[{L1 50}]", "[{L1 10} {L2 10}]", "[]", "[{L1 50} {L2 5}]"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("lots = %v, want %v", got, want)
	}
}

// sequence draws executions of both orders: trades, corrections, busts, reports and duplicates, in
// an order that may put a correction before its trade.
func sequence(t *rapid.T) []fills.Execution {
	var all []fills.Execution
	ids := map[orders.ID][]string{}
	for i := range rapid.IntRange(1, 14).Draw(t, "executions") {
		order := rapid.SampledFrom([]orders.ID{sellID, buyID}).Draw(t, "order")
		id := fmt.Sprintf("E%d", i)
		shares := money.FromUnits(rapid.Int64Range(1, 600000).Draw(t, "shares"), 4)
		price := money.FromUnits(rapid.Int64Range(1, 40000).Draw(t, "price"), 2)
		ref := rapid.SampledFrom(append([]string{"E0"}, ids[order]...)).Draw(t, "ref")
		switch rapid.IntRange(0, 7).Draw(t, "kind") {
		case 0:
			all = append(all, correct(id, ref, order, shares.String(), price.String()))
		case 1:
			all = append(all, bust(id, ref, order))
		case 2:
			all = append(all, report(id, rapid.SampledFrom([]fills.ExecType{fills.New, fills.Canceled, fills.Rejected, fills.PendingCancel}).Draw(t, "type"), order))
		default:
			all = append(all, trade(id, order, shares.String(), price.String()))
		}
		ids[order] = append(ids[order], id)
	}
	for range rapid.IntRange(0, 3).Draw(t, "duplicates") {
		all = append(all, rapid.SampledFrom(all).Draw(t, "again"))
	}
	return rapid.Permutation(all).Draw(t, "sequence")
}

// image returns all of a state and of the effects that led to it as bytes.
func image(t rapid.TB, s *fills.State, results []fills.Result) string {
	var effects []fills.Effects
	for _, r := range results {
		if r.Outcome == fills.Applied {
			effects = append(effects, r.Effects)
		}
	}
	body, err := json.Marshal(effects)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s %v %v %v %v %v", body, s.Version, s.Orders, s.Positions, s.Cash, s.Locks)
}

func TestAnyBatchingGivesTheSameBook(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		all := sequence(rt)
		whole := book(t, "US")
		want := image(rt, whole, fills.Post(whole, all))
		cut := rapid.IntRange(0, len(all)).Draw(rt, "cut")
		parts := book(t, "US")
		results := append(fills.Post(parts, all[:cut]), fills.Post(parts, all[cut:])...)
		if got := image(rt, parts, results); got != want {
			rt.Fatalf("Post in two parts, cut at %d = %s, want %s", cut, got, want)
		}
	})
}

func TestTwiceIsOnce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		all := sequence(rt)
		once, twice := book(t, "US"), book(t, "US")
		want := image(rt, once, fills.Post(once, all))
		results := fills.Post(twice, all)
		for _, r := range fills.Post(twice, all) {
			if r.Outcome == fills.Applied {
				rt.Fatalf("Post again of %s = APPLIED, want nothing to change", r.Execution.ExecID)
			}
		}
		if got := image(rt, twice, results); got != want {
			rt.Fatalf("Post twice = %s, want %s", got, want)
		}
	})
}

// TestBookAddsUp checks that the journal explains positions and cash, that orders, positions and
// lots are the sums of effective fills, and that a lot is never used beyond its shares.
func TestBookAddsUp(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := book(t, "US")
		var moves []ledger.Move
		for _, r := range fills.Post(s, sequence(rt)) {
			for _, l := range r.Effects.Journal {
				if err := l.Move.Valid(); err != nil {
					rt.Fatal(err)
				}
				moves = append(moves, l.Move)
			}
		}
		wantShares, wantCum, wantLots := map[orders.ID]money.Dec{}, map[orders.ID]money.Dec{}, dec("100")
		for _, p := range s.Posted {
			if !p.Effective {
				continue
			}
			wantCum[p.OrderID] = wantCum[p.OrderID].Add(p.Quantity)
			for _, l := range p.Lots {
				wantLots = wantLots.Sub(l.Shares)
			}
		}
		wantShares[sellID], wantShares[buyID] = dec("100").Sub(wantCum[sellID]), wantCum[buyID]
		cash := ledger.Account{Owner: "A1", Kind: ledger.Cash}
		if got, want := s.Cash[fills.Purse{Account: "A1", Currency: "USD"}], dec("1000").Add(ledger.Change(moves, cash, "USD")); got != want {
			rt.Errorf("cash = %s, want %s by the journal", got, want)
		}
		for _, id := range []orders.ID{sellID, buyID} {
			o := s.Orders[id]
			if o.Progress.CumQty != wantCum[id] {
				rt.Errorf("CumQty of %s = %s, want %s by its fills", id, o.Progress.CumQty, wantCum[id])
			}
			if sum := o.Progress.CumQty.Add(o.Progress.LeavesQty); sum != o.Progress.OrderQty && o.Progress.CumQty.Cmp(o.Progress.OrderQty) <= 0 {
				rt.Errorf("CumQty + LeavesQty of %s = %s, want OrderQty %s", id, sum, o.Progress.OrderQty)
			}
			if got := s.Positions[fills.Holding{Account: "A1", Symbol: o.Symbol}]; got != wantShares[id] {
				rt.Errorf("position of %s = %s, want %s by fills", o.Symbol, got, wantShares[id])
			}
		}
		left := money.Zero
		for _, l := range s.Orders[sellID].LotsLeft {
			if l.Shares.Sign() < 0 {
				rt.Errorf("lot %s has %s left, want none below zero", l.Lot, l.Shares)
			}
			left = left.Add(l.Shares)
		}
		if left != wantLots {
			rt.Errorf("lots left = %s, want %s by fills", left, wantLots)
		}
	})
}

func ExamplePost() {
	rules, err := region.Load("US")
	if err != nil {
		panic(err)
	}
	s := fills.NewState("H1", rules)
	s.Accounts["A1"] = fills.Account{ID: "A1", Owner: "O1", Type: "taxable", Currency: "USD"}
	s.Cash[fills.Purse{Account: "A1", Currency: "USD"}] = money.FromInt(1000)
	s.Orders["ORDER"] = fills.Order{Run: "2020-03-16.1", ID: "ORDER", Account: "A1", Symbol: "BBB", Side: portfolio.Buy,
		Currency: "USD", Asked: money.FromInt(10), Progress: orders.NewProgress(money.FromInt(10)).Sent(money.FromInt(10))}
	fill := fills.Execution{Session: "SIM", ExecID: "E1", Type: fills.Trade, OrderID: "ORDER", Account: "A1", Household: "H1",
		Symbol: "BBB", Side: portfolio.Buy, Quantity: money.FromInt(4), Price: money.FromInt(25), Currency: "USD", FX: money.One,
		FXDay: day, TradeDate: day, SettleDate: later, RefTradeDate: market.NoDay}
	for _, r := range fills.Post(s, []fills.Execution{fill, fill}) {
		fmt.Println(r.Outcome)
	}
	fmt.Println(s.Orders["ORDER"].Progress.State, s.Cash[fills.Purse{Account: "A1", Currency: "USD"}])
	// Output:
	// APPLIED
	// DUPLICATE
	// PartiallyFilled 900
}
