package tlh_test

import (
	"fmt"
	"testing"

	"daybreak/market"
	"daybreak/money"
	"daybreak/region"
	"daybreak/tlh"
)

// TestDestroys buys back, in a taxable account and in a sheltered one, what was sold at a loss.
func TestDestroys(t *testing.T) {
	for _, c := range []struct {
		name, region, accountType string
		shares                    int64
		after                     int // days from the sale to the purchase
		isPending                 bool
		want                      string // amount, gone, tax
	}{
		{"US: half of it on day 30", "US", "taxable", 50, 30, false, "[{1000 0 150}]"},
		{"US: day 31 is free", "US", "taxable", 50, 31, false, "[]"},
		{"US: all of it, and more, for an IRA", "US", "ira", 200, 10, false, "[{2000 2000 300}]"},
		{"US: the sale is still an order", "US", "taxable", 25, 0, true, "[{500 0 75}]"},
		{"CA: half of it on day 30", "CA", "taxable", 50, 30, false, "[{1000 0 225}]"},
		{"CA: day 31 is free", "CA", "taxable", 50, 31, false, "[]"},
		{"CA: for a TFSA", "CA", "tfsa", 50, 10, false, "[{1000 1000 225}]"},
	} {
		rules, err := region.Load(c.region)
		if err != nil {
			t.Fatal(err)
		}
		day := market.MustDay("2020-03-16")
		event := func(id string, kind region.Kind, day market.Day, shares, amount int64) region.Event {
			return region.Event{ID: id, Kind: kind, Day: day, Settle: day, Owner: "P", Account: "A", AccountType: "taxable", Symbol: "X",
				Shares: money.RatInt(shares), Amount: money.FromInt(amount), FX: money.One}
		}
		sale := event("sale", region.Sell, day, 100, 8000)
		events := []region.Event{event("buy", region.Buy, day-500, 100, 10000)}
		var pending []region.Event
		if c.isPending {
			pending = append(pending, sale)
		} else {
			events = append(events, sale)
		}
		book, err := region.Fold(rules, region.Scope{}, region.Checkpoint{}, events)
		if err != nil {
			t.Fatal(err)
		}
		purchase := event("again", region.Buy, day+market.Day(c.after), c.shares, c.shares*80)
		purchase.Seq, purchase.Account, purchase.AccountType = 1, "B", c.accountType
		all, err := tlh.Destroys(book, rules, purchase, pending...)
		if err != nil {
			t.Fatal(err)
		}
		got := []string{}
		for _, d := range all {
			got = append(got, fmt.Sprintf("{%s %s %s}", d.Amount, d.Gone, d.Tax))
			if d.Sale != "sale" || d.Account != "A" || d.Symbol != "X" || d.Day != day {
				t.Errorf("Destroys(%s) = %+v, want the sale of A", c.name, d)
			}
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("Destroys(%s) = %v, want %s", c.name, got, c.want)
		}
	}
}

// TestDestroysTwoSales buys as much as two sales lost: each is named, the earlier first.
func TestDestroysTwoSales(t *testing.T) {
	rules, err := region.Load("US")
	if err != nil {
		t.Fatal(err)
	}
	day := market.MustDay("2020-03-16")
	e := region.Event{Kind: region.Buy, Owner: "P", Account: "A", AccountType: "taxable", Symbol: "X", FX: money.One}
	var events []region.Event
	for i, back := range []int{5, 3} {
		b, s := e, e
		b.ID, b.Day, b.Settle, b.Shares, b.Amount = fmt.Sprint("b", i), day-500, day-500, money.RatInt(10), money.FromInt(1000)
		s.ID, s.Kind, s.Day, s.Settle, s.Shares, s.Amount = fmt.Sprint("s", i), region.Sell, day-market.Day(back), day-market.Day(back), money.RatInt(10), money.FromInt(800)
		events = append(events, b, s)
	}
	book, err := region.Fold(rules, region.Scope{}, region.Checkpoint{}, events)
	if err != nil {
		t.Fatal(err)
	}
	p := e
	p.ID, p.Day, p.Settle, p.Shares, p.Amount = "p", day, day, money.RatInt(15), money.FromInt(1200)
	all, err := tlh.Destroys(book, rules, p)
	if err != nil || len(all) != 2 || all[0].Sale != "s0" || all[0].Amount != money.FromInt(200) || all[1].Sale != "s1" || all[1].Amount != money.FromInt(100) {
		t.Errorf("Destroys(15 of 20) = %+v, %v, want s0 200, s1 100", all, err)
	}
}
