package region

import (
	"strings"
	"testing"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
)

// TestTamperedBookIsCaught changes one number of a sound book at a time, and wants a violation.
func TestTamperedBookIsCaught(t *testing.T) {
	cent := money.MustParse("0.01")
	tampers := []struct {
		name, region, says string
		change             func(f *fold)
	}{
		{"untouched", "CA", "", func(*fold) {}},
		{"untouched", "US", "", func(*fold) {}},
		{"cost of a pool", "CA", "too much", func(f *fold) { f.units[0].Cost = f.units[0].Cost.Add(cent) }},
		{"cost of a lot", "US", "too much", func(f *fold) { f.lot.pieces[f.seats[0].lots.first-1].Basis = cent }},
		{"gains of a year", "US", "too much", func(f *fold) { f.years[0].Gains = f.years[0].Gains.Add(cent) }},
		{"lost of a year", "CA", "too much", func(f *fold) { f.years[0].Lost = f.years[0].Lost.Add(cent) }},
		{"a purchase's amount", "CA", "too much", func(f *fold) { f.events[0].Amount = f.events[0].Amount.Sub(cent) }},
		{"proceeds", "US", "its event says", func(f *fold) { f.sales[0].Proceeds = f.sales[0].Proceeds.Add(cent) }},
		{"gross", "CA", "not proceeds", func(f *fold) { f.sales[0].Gross = f.sales[0].Gross.Add(cent) }},
		{"gain", "CA", "gain", func(f *fold) { f.sales[0].Gain = f.sales[0].Gain.Add(cent) }},
		{"denied above the loss", "CA", "of a loss of", func(f *fold) {
			f.sales[0].Denied, f.sales[0].Gain = money.FromInt(400), f.sales[0].Gross.Add(money.FromInt(400))
		}},
		{"lost above the denied", "US", "lost", func(f *fold) { f.sales[0].Lost = money.FromInt(400) }},
		{"a part's cost", "US", "its parts", func(f *fold) { f.sales[0].Parts[0].Cost = cent }},
		{"where a denied loss went", "CA", "went somewhere", func(f *fold) { f.sales[0].To[0].Amount = cent }},
		{"shares denied", "CA", "denied 9 shares", func(f *fold) { f.sales[0].DeniedShares = money.RatInt(9) }},
		{"a lot that replaces twice", "US", "replaces 8 shares", func(f *fold) {
			p := f.sales[0].Parts
			p[1].ReplacedBy, p[1].Shares = p[0].ReplacedBy, money.RatInt(5)
		}},
		{"a lot that nobody bought", "US", "never bought", func(f *fold) { f.sales[0].Parts[1].ReplacedBy = "nothing" }},
	}
	for _, c := range tampers {
		b := soundBook(t, c.region)
		c.change(b.folds[0])
		got := strings.Join(b.Violations(), "; ")
		if c.says == "" && got != "" || !strings.Contains(got, c.says) {
			t.Errorf("%s, %s: Violations() = %q, want %q", c.region, c.name, got, c.says)
		}
	}
}

// soundBook holds 20 shares less 10 sold at a loss of 300, of which 3 were bought back.
func soundBook(t *testing.T, name string) *Book {
	t.Helper()
	rules, err := Load(name)
	if err != nil {
		t.Fatal(err)
	}
	day := market.MustDay("2023-01-05")
	event := func(id string, kind Kind, day market.Day, shares, price int64) Event {
		return Event{ID: id, Kind: kind, Day: day, Settle: day, Owner: "me", Account: portfolio.AccountID("me/1"), AccountType: "taxable",
			Symbol: "XYZ", Shares: money.RatInt(shares), Amount: money.FromInt(shares * price)}
	}
	b, err := Fold(rules, Scope{}, Checkpoint{}, []Event{event("b1", Buy, day, 20, 100), event("s", Sell, day+100, 10, 70), event("b2", Buy, day+110, 3, 75)})
	if err != nil {
		t.Fatal(err)
	}
	return b
}
