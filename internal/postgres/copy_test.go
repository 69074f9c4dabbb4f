package postgres_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"daybreak/fills"
	"daybreak/internal/postgres"
	"daybreak/internal/postgres/pgtest"
	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/region"
)

// TestCopiedNumbersAreTheSame writes numbers in the binary format of COPY and has PostgreSQL say them.
func TestCopiedNumbersAreTheSame(t *testing.T) {
	t.Parallel()
	pool := pgtest.Schema(t)
	if _, err := pool.Exec(t.Context(), `CREATE TABLE copied (place integer, number numeric(38,12), free numeric, day date, at timestamptz)`); err != nil {
		t.Fatal(err)
	}
	numbers := []money.Dec{money.Zero, money.One, money.One.Neg(), dec("0.000000000001"), dec("-0.000000000001"), dec("9999"), dec("10000"),
		dec("10000.0001"), dec("0.0001"), dec("0.00009999"), dec("99999999999999999999999999.999999999999"),
		dec("-99999999999999999999999999.999999999999"), dec("18446744.073709551615"), dec("18446744.073709551616")}
	rapid.Check(t, func(r *rapid.T) {
		numbers = append(numbers, money.FromUnits(rapid.Int64().Draw(r, "units"), rapid.IntRange(0, 12).Draw(r, "places")))
	})
	at := time.Date(1999, 12, 31, 23, 59, 59, 999_999_000, time.UTC)
	if err := postgres.CopyNumbers(t.Context(), pool, "COPY copied FROM STDIN BINARY", numbers, market.MustDay("1999-12-31"), at); err != nil {
		t.Fatal(err)
	}
	rows, err := pool.Query(t.Context(), `SELECT number, free, number::text = free::numeric(38,12)::text, day, at FROM copied ORDER BY place`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for i := 0; rows.Next(); i++ {
		var number, free money.Dec
		var isSame bool
		var day market.Day
		var gotAt time.Time
		if err := rows.Scan(&number, &free, &isSame, &day, &gotAt); err != nil {
			t.Fatal(err)
		}
		if number != numbers[i] || free != numbers[i] || !isSame || day != market.MustDay("1999-12-31") || !gotAt.Equal(at) {
			t.Errorf("%s was copied as %s and %s, on %s at %s", numbers[i], number, free, day, gotAt)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}

// TestTradeRowsAreJournalAndTaxEvent compares what the views make of an execution's row with what the
// core said of the trade.
func TestTradeRowsAreJournalAndTaxEvent(t *testing.T) {
	t.Parallel()
	pool := pgtest.Schema(t)
	seedBook(t, pool, 2)
	s := newStream(t, postgres.New(pool))
	trades := []fills.Execution{filled(0, portfolio.Sell, "1", "70.5", "10.0125"), filled(1, portfolio.Sell, "1", "30", "9.99"), filled(1, portfolio.Buy, "1", "50", "11")}
	s.feed(records(encode(t, trades...)), 10)
	for _, e := range trades {
		var body []byte
		if err := pool.QueryRow(t.Context(), `SELECT body FROM tax_event WHERE event = $1`, e.Key().String()).Scan(&body); err != nil {
			t.Fatal(err)
		}
		var got region.Event
		if err := json.Unmarshal(body, &got); err != nil {
			t.Fatal(err)
		}
		want := region.Event{
			ID: e.Key().String(), Kind: region.Kind(e.Side), Day: session, Settle: settles, Seq: got.Seq, Owner: portfolio.OwnerID("O" + string(e.Household)),
			Account: e.Account, AccountType: "taxable", Symbol: e.Symbol, Shares: money.RatDec(e.Quantity), Amount: e.Quantity.Mul(e.Price).Round(2),
			Commission: dec("0.35"), Currency: "USD", Order: string(e.OrderID), Lots: got.Lots,
		}
		if e.Household == "H00001" {
			want.FX = dec("1.38")
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("tax event of %s = %+v, want %+v", e.ExecID, got, want)
		}
		if e.Side == portfolio.Sell && (len(got.Lots) == 0 || got.Lots[0].Lot != "L1") {
			t.Errorf("the sale %s names lots %v, want those of its order", e.ExecID, got.Lots)
		}
		var lines int
		var sum money.Dec
		err := pool.QueryRow(t.Context(), `SELECT count(*), sum(CASE WHEN to_owner = $2 AND to_kind = 'cash' THEN amount WHEN from_owner = $2 AND from_kind = 'cash' THEN -amount ELSE 0 END)
			FROM journal WHERE event = $1 AND kind = 'trade' AND effective = $3 AND known IS NOT NULL`, e.Key().String(), string(e.Account), session).Scan(&lines, &sum)
		if err != nil {
			t.Fatal(err)
		}
		gross, charge := e.Quantity.Mul(e.Price).Round(2).Mul(e.FX).Round(2), dec("0.35").Mul(e.FX).Round(2)
		cash := gross.Neg().Sub(charge)
		if e.Side == portfolio.Sell {
			cash = gross.Sub(charge)
		}
		if lines < 3 || sum != cash {
			t.Errorf("the journal of %s has %d lines and moves cash by %s, want %s", e.ExecID, lines, sum, cash)
		}
	}
}
