package tlh_test

import (
	"errors"
	"fmt"
	"testing"

	"daybreak/market"
	"daybreak/money"
	"daybreak/region"
	"daybreak/tlh"
)

func sale(symbol market.Symbol, amount int64) region.Event {
	day := market.MustDay(today)
	return region.Event{
		ID: "ask", Kind: region.Sell, Day: day, Settle: day + 2, Seq: 1, Owner: "P", Account: "A", AccountType: "taxable",
		Symbol: symbol, Shares: money.RatInt(10), Amount: money.FromInt(amount), Currency: market.USD, FX: money.One,
	}
}

func TestIfSold(t *testing.T) {
	rules, err := region.Load("US")
	if err != nil {
		t.Fatal(err)
	}
	day := market.MustDay(today)
	for _, c := range []struct {
		name, bought        string
		amount              int64
		short, long, denied string
		bars                int
		free                market.Day
	}{
		{"a long-term gain", "2018-01-02", 1100, "0", "100", "0", 0, day},
		{"a long-term loss, nothing bought", "2018-01-02", 900, "0", "-100", "0", 0, day},
		{"a short-term loss, nothing bought", "2019-09-03", 900, "-100", "0", "0", 0, day},
		{"the lot of last week, all of it", "2020-03-09", 900, "-100", "0", "0", 1, market.MustDay("2020-04-09")},
	} {
		book := history(t, c.bought, "2019-06-03")
		bars := tlh.NewBars(book, rules.WindowDays(), nil, nil, property)
		a, err := tlh.IfSold(book, bars, rules, sale("BOUGHT", c.amount))
		if err != nil {
			t.Fatalf("IfSold(%s) = %v, want nil", c.name, err)
		}
		got := fmt.Sprint(a.Short, a.Long, a.Outcome.Denied, len(a.Bars), a.FreeFrom, a.Until)
		want := fmt.Sprint(c.short, " ", c.long, " ", c.denied, " ", c.bars, " ", c.free, " ", day+30)
		if got != want {
			t.Errorf("IfSold(%s) = %s, want %s", c.name, got, want)
		}
	}
}

// TestIfSoldDenied asks about an old lot where a newer one of another account stays.
func TestIfSoldDenied(t *testing.T) {
	rules, err := region.Load("US")
	if err != nil {
		t.Fatal(err)
	}
	day := market.MustDay(today)
	old, young := sale("X", 1000), sale("X", 500)
	old.ID, old.Kind, old.Day, old.Settle = "old", region.Buy, day-400, day-398
	young.ID, young.Kind, young.Day, young.Settle, young.Account, young.AccountType = "ira", region.Buy, day-30, day-28, "I", "ira"
	young.Shares = money.RatInt(4)
	book, err := region.Fold(rules, region.Scope{}, region.Checkpoint{}, []region.Event{old, young})
	if err != nil {
		t.Fatal(err)
	}
	bars := tlh.NewBars(book, rules.WindowDays(), nil, nil, property)
	a, err := tlh.IfSold(book, bars, rules, sale("X", 900))
	if err != nil {
		t.Fatalf("IfSold = %v, want nil", err)
	}
	got := fmt.Sprint(a.Outcome.Gross, a.Outcome.Denied, a.Outcome.Lost, len(a.Bars), a.FreeFrom)
	if want := fmt.Sprint("-100 40 40 1 ", day+1); got != want {
		t.Errorf("IfSold = %s, want %s", got, want)
	}
	if a.Bars[0].Account != "I" || a.Bars[0].Until != day {
		t.Errorf("IfSold: bar = %+v, want the purchase of I until %s", a.Bars[0], day)
	}
}

func TestIfSoldSheltered(t *testing.T) {
	rules, err := region.Load("US")
	if err != nil {
		t.Fatal(err)
	}
	book := history(t, "2018-01-02", "2019-06-03")
	e := sale("BOUGHT", 900)
	e.Account, e.AccountType = "I", "ira"
	if _, err := tlh.IfSold(book, tlh.NewBars(book, 30, nil, nil, property), rules, e); !errors.Is(err, tlh.ErrNoGain) {
		t.Errorf("IfSold(IRA) = %v, want %v", err, tlh.ErrNoGain)
	}
}
