package tlh_test

import (
	"slices"
	"testing"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/region"
	"daybreak/tlh"
)

const today = "2020-03-16"

// history is a household with one purchase and one sale at a loss on days of one's choice.
func history(t *testing.T, bought, soldAtLoss string) *region.Book {
	t.Helper()
	rules, err := region.Load("US")
	if err != nil {
		t.Fatal(err)
	}
	event := func(id string, kind region.Kind, symbol market.Symbol, day string, amount int64) region.Event {
		return region.Event{
			ID: id, Kind: kind, Day: market.MustDay(day), Settle: market.MustDay(day), Owner: "P", Account: "A", AccountType: "taxable",
			Symbol: symbol, Shares: money.RatInt(10), Amount: money.FromInt(amount), Currency: market.USD, FX: money.One,
		}
	}
	events := []region.Event{
		event("b1", region.Buy, "BOUGHT", bought, 1000),
		event("b2", region.Buy, "SOLD", "2018-01-02", 1000),
		event("s2", region.Sell, "SOLD", soldAtLoss, 900),
	}
	book, err := region.Fold(rules, region.Scope{}, region.Checkpoint{}, events)
	if err != nil {
		t.Fatal(err)
	}
	return book
}

func property(s market.Symbol) string { return string(s) }

// TestBarsWindow walks the last days of both windows: 29 and 30 days are inside, 31 is not.
func TestBarsWindow(t *testing.T) {
	day := market.MustDay(today)
	for _, c := range []struct {
		back int
		want bool
	}{{1, true}, {29, true}, {30, true}, {31, false}} {
		past := (day - market.Day(c.back)).String()
		bars := tlh.NewBars(history(t, past, past), 30, nil, nil, property)
		bar, got := bars.Loss("BOUGHT", day)
		if got != c.want {
			t.Errorf("Loss(bought %d days ago) = %+v, %t, want %t", c.back, bar, got, c.want)
		}
		if got && (bar.Kind != tlh.BarredPurchase || bar.Until != day-market.Day(c.back)+30 || bar.Account != "A") {
			t.Errorf("Loss(bought %d days ago) = %+v, want a purchase of A until %s", c.back, bar, day-market.Day(c.back)+30)
		}
		bar, got = bars.Purchase("SOLD", day)
		if got != c.want {
			t.Errorf("Purchase(sold at a loss %d days ago) = %+v, %t, want %t", c.back, bar, got, c.want)
		}
		if got && (bar.Kind != tlh.BarredLossSale || bar.Until != day-market.Day(c.back)+30) {
			t.Errorf("Purchase(sold at a loss %d days ago) = %+v, want a loss sale until %s", c.back, bar, day-market.Day(c.back)+30)
		}
	}
}

func TestBarsOfLocksAndOrders(t *testing.T) {
	day := market.MustDay(today)
	book := history(t, "2019-01-02", "2019-06-03")
	locks := []tlh.Lock{
		{Property: "L", Symbol: "L", Account: "A", Until: day - 1},
		{Property: "L", Symbol: "L", Account: "B", Until: day},
		{Property: "OLD", Symbol: "OLD", Account: "A", Until: day - 1},
	}
	open := []portfolio.OpenOrder{
		{ID: "2", Account: "B", Symbol: "O", Side: portfolio.Buy, Leaves: money.One},
		{ID: "1", Account: "A", Symbol: "O", Side: portfolio.Buy, Leaves: money.One},
		{ID: "3", Account: "A", Symbol: "DONE", Side: portfolio.Buy},
		{ID: "4", Account: "A", Symbol: "S", Side: portfolio.Sell, Leaves: money.One},
	}
	bars := tlh.NewBars(book, 30, locks, open, property)
	if bar, ok := bars.Purchase("L", day); !ok || bar.Kind != tlh.Locked || bar.Account != "B" || bar.Until != day {
		t.Errorf("Purchase(locked through today) = %+v, %t, want the lock of B", bar, ok)
	}
	for _, free := range []string{"OLD", "S", "O"} {
		if bar, ok := bars.Purchase(free, day); ok {
			t.Errorf("Purchase(%s) = %+v, want no bar", free, bar)
		}
	}
	if bar, ok := bars.Loss("O", day); !ok || bar.Kind != tlh.BarredOpenOrder || bar.Order != "1" || bar.Until != market.NoDay {
		t.Errorf("Loss(open order) = %+v, %t, want order 1 without an end", bar, ok)
	}
	for _, free := range []string{"DONE", "S", "L"} {
		if bar, ok := bars.Loss(free, day); ok {
			t.Errorf("Loss(%s) = %+v, want no bar", free, bar)
		}
	}
}

func TestBarsOfTheRun(t *testing.T) {
	day := market.MustDay(today)
	bars := tlh.NewBars(history(t, "2019-01-02", "2019-06-03"), 30, nil, nil, property)
	bars.Buy("X", "X1", "A")
	bars.Buy("X", "X2", "B")
	if bar, ok := bars.Loss("X", day); !ok || bar.Kind != tlh.BarredRun || bar.Account != "A" || bar.Symbol != "X1" {
		t.Errorf("Loss(bought in this run) = %+v, %t, want the first purchase", bar, ok)
	}
	bars.SellLoss("Y", "Y1", "B", day)
	bars.SellLoss("Y", "Y1", "A", day)
	bars.SellLoss("Y", "Y1", "A", day)
	if bar, ok := bars.Purchase("Y", day); !ok || bar.Kind != tlh.Locked || bar.Until != day+30 {
		t.Errorf("Purchase(sold in this run) = %+v, %t, want locked until %s", bar, ok, day+30)
	}
	want := []tlh.Lock{
		{Property: "Y", Symbol: "Y1", Account: "A", Until: day + 30, Provisional: true},
		{Property: "Y", Symbol: "Y1", Account: "B", Until: day + 30, Provisional: true},
	}
	if got := bars.Locks(); !slices.Equal(got, want) {
		t.Errorf("Locks = %+v, want %+v", got, want)
	}
}

func TestDoNotBuy(t *testing.T) {
	day := market.MustDay(today)
	locks := []tlh.Lock{{Property: "L", Symbol: "L", Until: day + 3}, {Property: "K", Symbol: "K", Until: day + 3}}
	bars := tlh.NewBars(history(t, "2020-03-01", "2020-02-20"), 30, locks, nil, property)
	var got []string
	for _, bar := range tlh.DoNotBuy(bars, []string{"SOLD", "L", "BOUGHT", "L", "K"}, day) {
		got = append(got, bar.Property+" "+bar.Until.String())
	}
	want := []string{"K 2020-03-19", "L 2020-03-19", "SOLD 2020-03-21"}
	if !slices.Equal(got, want) {
		t.Errorf("DoNotBuy = %q, want %q", got, want)
	}
}
