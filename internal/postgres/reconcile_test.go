package postgres_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"daybreak/internal/postgres"
	"daybreak/internal/postgres/pgtest"
	"daybreak/market"
	"daybreak/pipeline"
	"daybreak/portfolio"
)

// broken returns the breaks of a reconciliation as text, a line each, then what has closed.
func broken(r pipeline.Reconciliation) string {
	var lines []string
	for _, b := range r.Breaks {
		lines = append(lines, fmt.Sprintf("%s %s %s %s %dd %s %s", b.Account, b.Kind, b.Item, b.Differs, b.Age, b.Owner, b.Cause))
	}
	for _, b := range r.Closed {
		lines = append(lines, fmt.Sprintf("closed %s %s %s", b.Account, b.Item, b.Differs))
	}
	return strings.Join(lines, "\n")
}

func TestReconcile(t *testing.T) {
	t.Parallel()
	pool := pgtest.Schema(t)
	seedBook(t, pool, 2)
	db := postgres.New(pool)
	s := newStream(t, db)
	dead := filled(1, portfolio.Buy, "1", "5", "10")
	dead.OrderID = "NOBODY"
	s.feed(records(encode(t, filled(0, portfolio.Sell, "1", "30", "10"), dead)), 5)
	later := filled(0, portfolio.Sell, "2", "10", "10")
	later.TradeDate, later.SettleDate = session+1, settles+1
	s.feed(records(encode(t, filled(0, portfolio.Sell, "1", "30", "10"), dead, later)), 5)
	made := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC) // after the clock of the stream
	compare := func(day market.Day, made time.Time, lines ...string) string {
		t.Helper()
		file := "account,kind,item,amount\n" + strings.Join(lines, "\n") + "\n"
		r, err := pipeline.Reconcile(t.Context(), db, strings.NewReader(file), pipeline.ReconcileRequest{Source: "broker", Day: day, Made: made, Owner: "ops", By: "ana", Now: made})
		if err != nil {
			t.Fatal(err)
		}
		stored, err := db.Reconciliation(t.Context(), "broker", day)
		if err != nil || broken(stored) != broken(r) {
			t.Errorf("Reconciliation = %s, %v, want what was compared: %s", broken(stored), err, broken(r))
		}
		return broken(r)
	}
	same := []string{"A00000,position,AAA,70", "A00000,cash,USD,100299.65"}
	if got := compare(session, made, same...); got != "" {
		t.Errorf("Reconcile(equal balances, before the next day's trade) = %s, want no breaks", got)
	}
	other := []string{"A00000,position,AAA,100", "A00000,cash,USD,100000", "A00001,cash,CAD,100001", "A00009,position,AAA,1"}
	want := "A00000 cash USD -299.65 0d ops unsettled\nA00000 position AAA 30 0d ops unsettled\nA00001 cash CAD 1 0d ops missing_fill\nA00001 position AAA -100 0d ops missing_fill\nA00009 position AAA 1 0d ops missing_fill"
	if got := compare(session, made, other...); got != want {
		t.Errorf("Reconcile(before settlement) = %s, want %s", got, want)
	}
	if got := compare(session, made, other...); got != want {
		t.Errorf("Reconcile again = %s, want %s", got, want)
	}
	key := pipeline.BalanceKey{Account: "A00001", Kind: "cash", Item: "CAD"}
	if err := db.OwnBreak(t.Context(), pipeline.BreakOwner{Source: "broker", Key: key, Owner: "ben", By: "ana", Now: made}); err != nil {
		t.Error(err)
	}
	next := []string{"A00000,position,AAA,60", "A00000,cash,USD,100399.30", "A00001,cash,CAD,100001", "A00001,position,AAA,100"}
	if got, want := compare(session+1, made, next...), "A00001 cash CAD 1 1d ben missing_fill\nclosed A00000 USD -299.65\nclosed A00000 AAA 30\nclosed A00001 AAA -100\nclosed A00009 AAA 1"; got != want {
		t.Errorf("Reconcile(next day) = %s, want %s", got, want)
	}
	early := made.AddDate(-1, 0, 0)
	if got, want := compare(session+10, early, "A00000,position,AAA,100", "A00000,cash,USD,100399.30"), "A00000 position AAA 40 0d ops late_correction\nclosed A00001 CAD 1"; got != want {
		t.Errorf("Reconcile(file made before the book knew) = %s, want %s", got, want)
	}
	if n, err := db.CountBreaks(t.Context()); err != nil || n != 1 {
		t.Errorf("CountBreaks = %d, %v, want 1", n, err)
	}
}

func TestReadBalancesRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"nothing":          "",
		"another header":   "account,item,amount\nA,AAA,1\n",
		"another kind":     "account,kind,item,amount\nA,bond,AAA,1\n",
		"no number":        "account,kind,item,amount\nA,cash,CAD,1e\n",
		"no currency":      "account,kind,item,amount\nA,cash,AAA,1\n",
		"a line twice":     "account,kind,item,amount\nA,cash,CAD,1\nA,cash,CAD,1\n",
		"a short line":     "account,kind,item,amount\nA,cash\n",
		"an empty account": "account,kind,item,amount\n,cash,CAD,1\n",
	} {
		if got, _, err := pipeline.ReadBalances(strings.NewReader(text)); !errors.Is(err, pipeline.ErrBalances) {
			t.Errorf("ReadBalances(%s) = %v, %v, want ErrBalances", name, got, err)
		}
	}
}
