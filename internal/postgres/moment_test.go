package postgres_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"daybreak/fills"
	"daybreak/market"
	"daybreak/pipeline"
	"daybreak/portfolio"
)

// TestAMomentOfTheBookAsItWasKnown corrects a sale that is a quarter old, busts the correction, and
// looks at the account at moments between: each shows what the book knew then.
func TestAMomentOfTheBookAsItWasKnown(t *testing.T) {
	t.Parallel()
	b := newSoldBook(t)
	b.exec("UPDATE cash SET amount = 600 - 0.35")
	b.exec("UPDATE position SET shares = 40 WHERE symbol = 'AAA'")
	b.exec(`INSERT INTO journal_line (household, version, line, event, kind, effective, known, from_owner, from_kind, to_owner, to_kind, commodity, amount)
		VALUES ('H00000', 0, 1, 'opening', 'opening', '2020-03-13', '2020-03-14', '~outside', 'external', 'A00000', 'units', 'AAA', 100)`)
	correction := report(0, portfolio.Sell, "2", fills.TradeCorrect)
	correction.RefExecID, correction.Quantity, correction.Price, correction.Commission = "sell00000-1", dec("50"), dec("11"), dec("0.35")
	bust := report(0, portfolio.Sell, "3", fills.TradeCancel)
	bust.RefExecID = "sell00000-2"
	b.say(correction)
	b.say(bust)
	// The sale was known in the session's evening, the correction a quarter later, the bust a month after.
	b.exec("UPDATE execution SET known = CASE WHEN key LIKE '%sell00000-1%' THEN timestamptz '2020-03-16 20:00Z' WHEN key LIKE '%sell00000-2%' THEN '2020-06-15 20:00Z' ELSE '2020-07-15 20:00Z' END")
	b.exec("UPDATE journal_line j SET known = e.known FROM execution e WHERE e.household = j.household AND e.version = j.version")

	at := func(text string) time.Time {
		when, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	tests := []struct {
		name, asOf, known string
		want              string
	}{
		{"before the sale", "2020-03-15", "2020-12-31T00:00:00Z", "[{AAA 100}] [] 2 lots, 0 realized, 1 entries"},
		{"before the book knew the sale", "2020-12-31", "2020-03-16T19:59:59Z", "[{AAA 100}] [] 2 lots, 0 realized, 1 entries"},
		{"as it was first told", "2020-03-16", "2020-03-16T20:00:00Z", "[{AAA 40}] [{USD 599.65}] 1 lots, -300.35 realized, 4 entries"},
		{"a quarter later", "2020-12-31", "2020-06-15T19:59:59Z", "[{AAA 40}] [{USD 599.65}] 1 lots, -300.35 realized, 4 entries"},
		{"corrected", "2020-03-16", "2020-06-15T20:00:00Z", "[{AAA 50}] [{USD 549.65}] 2 lots, -200.35 realized, 10 entries"},
		{"busted", "2020-03-16", "2020-07-15T20:00:00Z", "[{AAA 100}] [] 2 lots, 0 realized, 13 entries"},
		{"all that is known", "2020-03-16", "", "[{AAA 100}] [] 2 lots, 0 realized, 13 entries"},
	}
	for _, tt := range tests {
		q := pipeline.AccountRequest{Account: "A00000", AsOf: market.MustDay(tt.asOf), Today: market.MustDay("2020-12-31"), Limit: 100}
		if tt.known != "" {
			q.KnownAt = at(tt.known)
		}
		page, err := pipeline.LookAtAccount(t.Context(), b.db, q)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		got := fmt.Sprintf("%v %v %d lots, %s realized, %d entries", page.Positions, page.Cash, len(page.Lots), page.Realized.Losses, len(page.Journal))
		if got != tt.want {
			t.Errorf("%s: the account is %s, want %s", tt.name, got, tt.want)
		}
	}
	_, err := pipeline.LookAtAccount(t.Context(), b.db, pipeline.AccountRequest{Account: "A00000", Today: session, KnownAt: at("2020-03-13T23:59:59Z")})
	if !errors.Is(err, pipeline.ErrNotFound) {
		t.Errorf("before the book knew the account: %v, want ErrNotFound", err)
	}
}
