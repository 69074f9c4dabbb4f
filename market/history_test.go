package market_test

import (
	"errors"
	"testing"

	"daybreak/market"
	"daybreak/money"
)

func TestHistorySnapshot(t *testing.T) {
	t.Parallel()
	rate := func(base market.Currency, day string, value string) market.Rate {
		return market.Rate{Base: base, Quote: market.CAD, Day: market.MustDay(day), Rate: money.MustParse(value), Source: "ECB"}
	}
	h := market.History{
		Securities: []market.Security{{Symbol: "A", Exchange: market.XNYS}, {Symbol: "B", Exchange: market.XNYS}, {Symbol: "C", Exchange: market.XTSE}},
		Prices: []market.Price{
			{Symbol: "A", Day: market.MustDay("2020-03-02"), Close: money.FromInt(1)},
			{Symbol: "A", Day: market.MustDay("2020-03-13"), Close: money.FromInt(2)},
			{Symbol: "A", Day: market.MustDay("2020-03-16"), Close: money.FromInt(3)},
			{Symbol: "C", Day: market.MustDay("2020-03-02"), Close: money.FromInt(4)},
		},
		Rates: []market.Rate{rate("GBP", "2020-03-02", "1.7"), rate("USD", "2020-03-13", "1.38"), rate("USD", "2020-03-16", "1.39")},
	}
	for _, c := range []struct {
		day, symbol, want string // want: the close, "" where there is none
	}{
		{"2020-03-01", "A", ""},
		{"2020-03-02", "A", "1"},
		{"2020-03-12", "A", "1"},
		{"2020-03-15", "A", "2"},
		{"2020-03-16", "A", "3"},
		{"2020-03-16", "B", ""},
		{"2020-03-16", "C", "4"}, // ten sessions old
		{"2020-03-17", "C", ""},  // eleven
		{"2020-03-30", "A", "3"},
		{"2020-03-31", "A", ""},
	} {
		s, err := h.Snapshot(market.MustDay(c.day))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if p, err := s.Price(market.Symbol(c.symbol)); err == nil {
			got = p.Close.String()
		}
		if got != c.want {
			t.Errorf("Snapshot(%s).Price(%s) = %q, want %q", c.day, c.symbol, got, c.want)
		}
	}
	for _, c := range []struct {
		day  string
		base market.Currency
		want string
	}{
		{"2020-03-12", "USD", ""}, {"2020-03-15", "USD", "1.38"}, {"2020-03-16", "USD", "1.39"}, {"2020-03-30", "USD", "1.39"}, {"2020-03-31", "USD", ""},
		{"2020-03-16", "GBP", "1.7"}, {"2020-03-17", "GBP", ""}, // 14 and 15 days old
	} {
		s, err := h.Snapshot(market.MustDay(c.day))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if r, err := s.Rate(c.base, market.CAD); err == nil {
			got = r.Rate.String()
		}
		if got != c.want {
			t.Errorf("Snapshot(%s).Rate(%s, CAD) = %q, want %q", c.day, c.base, got, c.want)
		}
	}
	if got := len(h.Closes("A")); got != 3 {
		t.Errorf("Closes(A) has %d closes, want 3", got)
	}
	if got := len(h.Closes("B")); got != 0 {
		t.Errorf("Closes(B) has %d closes, want 0", got)
	}
}

func TestHistoryWithoutCalendar(t *testing.T) {
	t.Parallel()
	h := market.History{Securities: []market.Security{{Symbol: "A", Exchange: "XLON"}}}
	if _, err := h.Snapshot(market.MustDay("2020-03-16")); !errors.Is(err, market.ErrExchange) {
		t.Errorf("Snapshot = %v, want %v", err, market.ErrExchange)
	}
}
