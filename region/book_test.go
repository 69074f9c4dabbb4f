package region_test

import (
	"fmt"
	"testing"

	"daybreak/market"
	"daybreak/money"
	"daybreak/region"
)

// trades makes events of one taxable account, in order.
func trades(rows ...any) []region.Event {
	var events []region.Event
	for i := 0; i < len(rows); i += 4 {
		day := market.MustDay(rows[i].(string))
		shares := money.MustRat(rows[i+2].(string))
		events = append(events, region.Event{ID: fmt.Sprintf("%s#%d", rows[i], i/4), Kind: rows[i+1].(region.Kind), Day: day, Settle: day,
			Seq: int64(i), Owner: "me", Account: "me/1", AccountType: "taxable", Symbol: "XYZ", Shares: shares,
			Amount: money.MustParse(rows[i+3].(string)).MulRat(shares)})
	}
	return events
}

func mustFold(t testing.TB, name string, events []region.Event) *region.Book {
	t.Helper()
	b, err := region.Fold(load(t, name), region.Scope{}, region.Checkpoint{}, events)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWouldLeavesTheBookAlone(t *testing.T) {
	for _, name := range []string{"CA", "US"} {
		b := mustFold(t, name, trades("2024-01-10", region.Buy, "10", "20", "2025-02-20", region.Buy, "4", "16"))
		before := view(b, 0)
		sale := trades("2025-03-03", region.Sell, "10", "15")
		sale[0].ID = "sale"
		outcomes, err := b.Would(sale)
		if err != nil || len(outcomes) != 1 {
			t.Fatalf("%s: Would = %v, %v, want one outcome", name, outcomes, err)
		}
		// CA: ten of fourteen at 264/14, 38.57 of loss, four tenths denied. US: lot at 20, four replaced.
		want := map[string]string{"CA": "15.428571", "US": "20"}[name]
		if got := outcomes[0].Denied.Round(6).String(); got != want || outcomes[0].State(sale[0].Day) != region.Provisional {
			t.Errorf("%s: denied %s, want %s", name, got, want)
		}
		if after := view(b, 0); after != before {
			t.Errorf("%s: the book changed: %s", name, firstDifference(after, before))
		}
		later := trades("2025-03-10", region.Buy, "6", "15")
		later[0].ID = "later"
		if outcomes, _ = b.Would(append(sale, later...)); outcomes[0].Gain.Sign() < 0 {
			t.Errorf("%s: with a purchase of the rest: gain %s, want no loss left", name, outcomes[0].Gain)
		}
	}
}

func TestPurchasesAndLossSalesByDay(t *testing.T) {
	events := trades("2025-01-31", region.Buy, "5", "20", "2025-02-01", region.Buy, "6", "20", "2025-03-03", region.Sell, "2", "15",
		"2025-03-03", region.Drip, "1", "15", "2025-03-04", region.Buy, "7", "15")
	b := mustFold(t, "CA", events)
	day := market.MustDay("2025-03-03")
	got := b.Purchases("XYZ", day-30, day)
	if len(got) != 2 || got[0].Event != events[1].ID || got[1].Event != events[3].ID || got[0].Amount != money.FromInt(120) {
		t.Errorf("Purchases = %+v, want those of 2025-02-01 and 2025-03-03", got)
	}
	losses := b.LossSales("XYZ", day, day)
	if len(losses) != 1 || losses[0].Event != events[2].ID || losses[0].Amount != money.FromInt(10) {
		t.Errorf("LossSales = %+v, want the sale of %s at a loss of 10", losses, day)
	}
	if more := b.LossSales("XYZ", day+1, day+9); len(more) != 0 {
		t.Errorf("LossSales of later days = %+v, want none", more)
	}
}

func TestLateEventRestates(t *testing.T) {
	events := trades("2024-01-10", region.Buy, "10", "20", "2025-03-03", region.Sell, "10", "15")
	before := mustFold(t, "CA", events)
	issued := before.Year("me", 2025)
	late := trades("2025-03-20", region.Buy, "10", "15")
	after := mustFold(t, "CA", append(late, events...))
	closed := market.MustDay("2025-06-30")
	changes := region.Compare(before, closed, after, closed)
	if len(changes) != 1 || changes[0].From != region.Final || changes[0].To != region.Restated || changes[0].Denied[1] != money.FromInt(50) {
		t.Errorf("Compare = %+v, want one sale restated with 50 denied", changes)
	}
	amendment, differs := after.Amend(issued, late[0].ID)
	if !differs || amendment.Issued.Losses != money.FromInt(-50) || !amendment.Now.Losses.IsZero() || amendment.Cause != late[0].ID {
		t.Errorf("Amend = %+v, %v, want the loss of 50 gone", amendment, differs)
	}
	if _, differs := before.Amend(issued, ""); differs {
		t.Error("Amend of the same book differs")
	}
}

func TestTimelineOfALoss(t *testing.T) {
	b := mustFold(t, "CA", trades("2024-01-10", region.Buy, "10", "20", "2025-03-03", region.Sell, "10", "15"))
	last := market.MustDay("2025-04-02")
	changes := region.Compare(b, last-1, b, last)
	if len(changes) != 1 || changes[0].From != region.Provisional || changes[0].To != region.Final {
		t.Errorf("Compare = %+v, want provisional to final", changes)
	}
	if changes := region.Compare(b, last, b, last+1); len(changes) != 0 {
		t.Errorf("Compare a day later = %+v, want nothing", changes)
	}
}

func TestHarshestDeniesMore(t *testing.T) {
	events := trades("2025-01-31", region.Buy, "10", "20", "2025-03-03", region.Sell, "10", "15")
	events = append(events, region.Event{ID: "t1", Kind: region.Buy, Day: events[1].Day + 3, Settle: events[1].Day + 3, Owner: "me",
		Account: "me/tfsa", AccountType: "tfsa", Symbol: "XYZ", Shares: money.RatInt(10), Amount: money.FromInt(150)})
	gone := events[2]
	gone.ID, gone.Kind, gone.Day, gone.Settle = "t2", region.Sell, gone.Day+3, gone.Settle+3
	old := events[0]
	old.ID, old.Owner, old.Account = "o", "spouse", "spouse/1"
	events = append(events, gone, old)
	for _, c := range []struct {
		rules *region.Rules
		want  int64
	}{{load(t, "CA"), 0}, {load(t, "CA").Harshest(), 50}} {
		b, err := region.Fold(c.rules, region.Scope{}, region.Checkpoint{}, events)
		if err != nil {
			t.Fatal(err)
		}
		if got := b.Sales()[0].Denied; got != money.FromInt(c.want) {
			t.Errorf("denied %s, want %d", got, c.want)
		}
	}
}

func TestRulesAreWhole(t *testing.T) {
	for _, name := range []string{"CA", "US", "UK"} {
		r := load(t, name)
		if r.Name != name || len(r.Sources) < 5 || r.WindowDays() != 30 || !r.Known("taxable") || r.Shelters("taxable") || r.Known("nonesuch") {
			t.Errorf("rules of %s: %+v", name, r)
		}
		if rates := r.RatesOf(2025); rates.Inclusion.IsZero() || rates.Short.IsZero() {
			t.Errorf("rates of %s in 2025 = %+v", name, rates)
		}
	}
	for _, name := range []string{"", "ca", "FR", "../x"} {
		if _, err := region.Load(name); err == nil {
			t.Errorf("Load(%q) = nil, want an error", name)
		}
	}
}

func TestTaxDay(t *testing.T) {
	trade := market.MustDay("2025-12-31")
	for _, c := range []struct {
		region string
		settle market.Day
		want   string
	}{{"CA", trade + 2, "2026-01-02"}, {"CA", trade, "2025-12-31"}, {"CA", market.NoDay, "2025-12-31"}, {"US", trade + 2, "2025-12-31"}} {
		if got := load(t, c.region).TaxDay(trade, c.settle).String(); got != c.want {
			t.Errorf("%s: TaxDay(%s, %s) = %s, want %s", c.region, trade, c.settle, got, c.want)
		}
	}
}

func TestThresholdByTermAndSeason(t *testing.T) {
	rules := *load(t, "US")
	rules.Thresholds = append(rules.Thresholds[:2:2], region.Threshold{Term: "ST", From: "12-01", Share: money.MustParse("0.01")})
	for _, c := range []struct {
		term region.Term
		day  string
		want string
	}{{region.Short, "2025-11-30", "0.03"}, {region.Short, "2025-12-01", "0.01"}, {region.Long, "2025-12-01", "0.05"}} {
		if got := rules.Threshold(c.term, market.MustDay(c.day)).Share.String(); got != c.want {
			t.Errorf("Threshold(%s, %s) = %s, want %s", c.term, c.day, got, c.want)
		}
	}
}

func TestNet(t *testing.T) {
	us := load(t, "US")
	for _, c := range []struct{ st, lt, inST, inLT, deduction, outST, outLT int64 }{
		{-1000, -4500, 0, 0, 3000, 0, 2500},
		{800, -4500, 0, 0, 3000, 0, 700},
		{-4500, 800, 0, 0, 3000, 700, 0},
		{-5000, -5000, 0, 0, 3000, 2000, 5000},
		{100, 200, 0, 0, 0, 0, 0},
		{100, 200, 500, 0, 200, 0, 0},
		{0, 0, 5000, 1000, 3000, 2000, 1000},
		{-2999, 0, 0, 0, 2999, 0, 0},
	} {
		n := us.Net(2025, money.FromInt(c.st), money.FromInt(c.lt), region.Carry{ST: money.FromInt(c.inST), LT: money.FromInt(c.inLT)})
		want := region.Carry{ST: money.FromInt(c.outST), LT: money.FromInt(c.outLT)}
		if n.Deduction != money.FromInt(c.deduction) || n.CarryOut != want {
			t.Errorf("Net(%d, %d, in %d %d) deducts %s and carries %+v, want %d and %+v", c.st, c.lt, c.inST, c.inLT, n.Deduction, n.CarryOut, c.deduction, want)
		}
	}
}

func ExampleFold() {
	rules, err := region.Load("CA")
	if err != nil {
		panic(err)
	}
	book, err := region.Fold(rules, region.Scope{}, region.Checkpoint{}, trades(
		"2024-06-03", region.Buy, "100", "40", // a hundred at 40
		"2025-03-03", region.Sell, "100", "35", // sold at a loss of 500
		"2025-04-01", region.Buy, "50", "36", // half of them bought back on day 29
	))
	if err != nil {
		panic(err)
	}
	sale := book.Sales()[0]
	fmt.Println("loss", sale.Gross, "denied", sale.Denied, "until", sale.Until)
	for _, h := range book.Holdings("me/1") {
		fmt.Println("holds", h.Shares, "at", h.Cost)
	}
	// Output:
	// loss -500 denied 250 until 2025-04-02
	// holds 50 at 2050
}
