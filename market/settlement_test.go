package market_test

import (
	"testing"

	"daybreak/market"
)

func TestSettleDay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, exchange, trade, want string }{
		{"T+3, last day", market.XNYS, "2017-09-01", "2017-09-07"}, // over Labor Day
		{"T+2, first day", market.XNYS, "2017-09-05", "2017-09-07"},
		{"T+3, last day", market.XTSE, "2017-09-01", "2017-09-07"},
		{"T+2, first day", market.XTSE, "2017-09-05", "2017-09-07"},
		{"T+3 where no session is, last day", market.XTSE, "2017-09-04", "2017-09-07"},
		{"T+2, last day", market.XTSE, "2024-05-24", "2024-05-28"},
		{"T+1, first day", market.XTSE, "2024-05-27", "2024-05-28"},
		{"T+2, last day", market.XNYS, "2024-05-24", "2024-05-29"}, // over Memorial Day
		{"T+2 where no session is, last day", market.XNYS, "2024-05-27", "2024-05-29"},
		{"T+1, first day", market.XNYS, "2024-05-28", "2024-05-29"},
		{"day of the demo", market.XNYS, "2020-03-16", "2020-03-18"},
		{"year end", market.XTSE, "2020-12-29", "2020-12-31"},
		{"next year", market.XTSE, "2020-12-30", "2021-01-04"},
		{"a closure that no rule foretells", market.XNYS, "2025-01-08", "2025-01-10"},
	} {
		got, err := market.SettleDay(c.exchange, market.MustDay(c.trade))
		if err != nil || got.String() != c.want {
			t.Errorf("%s: SettleDay(%s, %s) = %v, %v, want %s", c.name, c.exchange, c.trade, got, err, c.want)
		}
	}
}
