package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"daybreak/fills"
	"daybreak/market"
	"daybreak/money"
	"daybreak/orders"
	"daybreak/pipeline"
	"daybreak/portfolio"
)

// TestMigrateUnderLoad cuts the stream over to other partitions while deposits come, each with its
// reversal, which is a dead letter where it is applied first, and while a fill is corrected on the
// other side of the cut.
func TestMigrateUnderLoad(t *testing.T) {
	t.Parallel()
	a, s := eventWorldOn(t, testBrokers(t))
	h := findHolder(t, s)
	cash := cashTotal(t, s)
	order := brokerOrder(t, s, h)
	ctx, stop := context.WithCancel(t.Context())
	applied := make(chan error, 1)
	go func() { applied <- s.fills(ctx) }()
	sendExecution(t, s, order, "E1", fills.Trade, "")

	load, endLoad := context.WithCancel(t.Context())
	sent := make(chan int, 1)
	go func() { sent <- depositAndReverse(t, load, s, h) }()
	args := []string{"topics", "migrate", "--partitions", "24", "--database-url", a.settings.DatabaseURL, "--brokers", strings.Join(a.settings.Brokers, ",")}
	expect(t, exitOK, []string{"daybreak.fills.v2 and daybreak.events.v2 are read, with 24 partitions each"}, args...)
	sendExecution(t, s, order, "E2", fills.TradeCorrect, "E1")
	expect(t, exitOK, []string{"are read, with 24 partitions each"}, args...)
	pace := time.NewTicker(50 * time.Millisecond)
	defer pace.Stop()
	for range 10 { // some load on the new topics too
		<-pace.C
	}
	endLoad()
	pairs := <-sent
	for begun := time.Now(); appliedAll(t, s) < int64(2*pairs+2); <-pace.C {
		if time.Since(begun) > patience {
			t.Fatalf("%d records are applied, want %d", appliedAll(t, s), 2*pairs+2)
		}
	}
	stop()
	if err := <-applied; err != nil {
		t.Fatal(err)
	}
	var dead, old, young int
	err := s.db.Pool().QueryRow(t.Context(), `SELECT (SELECT count(*) FROM dead_letter), (SELECT count(*) FROM book_event WHERE source_partition < 96),
		(SELECT count(*) FROM book_event WHERE source_partition >= 96)`).Scan(&dead, &old, &young)
	if err != nil || dead != 0 || old == 0 || young == 0 {
		t.Errorf("%d dead letters, %d events before the cut, %d after it, %v, want 0, some, some", dead, old, young, err)
	}
	if got, want := cashTotal(t, s), sum(t, cash, "-24"); got != want { // 3 shares at 8, corrected from 2 at 10
		t.Errorf("cash is %s, want %s", got, want)
	}
	checks, err := verify(t.Context(), s.db)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range checks {
		if !c.OK && !strings.HasPrefix(c.Invariant, "7") { // nobody signed the order
			t.Errorf("invariant %s is broken: %v", c.Invariant, c.Broken)
		}
	}
}

// depositAndReverse sends deposits and their reversals one by one until ctx ends, and returns how many.
func depositAndReverse(t *testing.T, ctx context.Context, s *services, h holder) int {
	for n := 0; ; n++ {
		id := fmt.Sprintf("M%d", n)
		both := [2]map[string]any{
			h.record("CashMovement", id, "deposit", map[string]any{"amount": "1.00"}),
			{"schema": "CashMovement", "source": "test", "event_id": "R" + id, "kind": "reversal", "household": h.household, "account": h.account,
				"effective": sampleDay.String(), "reverses": id},
		}
		for _, record := range both {
			if _, err := s.publishEvents(t.Context(), []string{writeLines(t, id+".jsonl", record)}); err != nil {
				t.Error(err)
				return n
			}
		}
		if ctx.Err() != nil {
			return n + 1
		}
	}
}

func cashTotal(t *testing.T, s *services) string {
	t.Helper()
	var total string
	if err := s.db.Pool().QueryRow(t.Context(), "SELECT trim_scale(sum(amount))::text FROM cash").Scan(&total); err != nil {
		t.Fatal(err)
	}
	return total
}

func appliedAll(t *testing.T, s *services) int64 {
	t.Helper()
	var n int64
	if err := s.db.Pool().QueryRow(t.Context(), "SELECT coalesce(sum(applied + dead), 0)::bigint FROM stream_offset").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// brokerOrder stores a purchase at the broker in the account of a holder.
func brokerOrder(t *testing.T, s *services, h holder) fills.Execution {
	t.Helper()
	_, err := s.db.Pool().Exec(t.Context(), `INSERT INTO trade_order (run, id, household, account, symbol, side, session, sequence, quantity, type, limit_price,
		time_in_force, currency, price, price_day, fx, notional, account_currency, value, lots, waits_for, reason, numbers, book_version, content_hash, state,
		order_qty, leaves_qty, sent)
		SELECT 'TEST', 'CUT1', $1, $2, $3, 'buy', $4::date, 1, 5, 'limit', 10, 'day', s.currency, 10, $4::date, 1, 50, $5, 50, '[]', '[]', 'TEST', '{}', 0, 'hash',
		'PendingNew', 5, 5, now() FROM security s WHERE s.symbol = $3`, h.household, h.account, h.symbol, sampleDay, h.currency)
	if err != nil {
		t.Fatal(err)
	}
	e := fills.Execution{Session: "SIM", RefTradeDate: market.NoDay, OrderID: orders.ID("CUT1"), Account: portfolio.AccountID(h.account),
		Household: portfolio.HouseholdID(h.household), Symbol: market.Symbol(h.symbol), Side: portfolio.Buy, FX: money.One, FXDay: sampleDay,
		TradeDate: sampleDay, SettleDate: sampleDay + 2, Venue: "TEST", BrokerTime: sampleDay.Time()}
	if err := s.db.Pool().QueryRow(t.Context(), "SELECT currency FROM trade_order WHERE id = 'CUT1'").Scan(&e.Currency); err != nil {
		t.Fatal(err)
	}
	return e
}

// sendExecution sends a trade of 2 shares at 10, or its correction to 3 at 8.
func sendExecution(t *testing.T, s *services, e fills.Execution, id string, kind fills.ExecType, refers string) {
	t.Helper()
	e.ExecID, e.Type, e.RefExecID = id, kind, refers
	e.Quantity, e.Price = money.FromInt(2), money.FromInt(10)
	if kind == fills.TradeCorrect {
		e.Quantity, e.Price = money.FromInt(3), money.FromInt(8)
	}
	value, err := s.codec.Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	partitions, err := s.producer.Partitions(t.Context(), pipeline.TopicFills)
	if err != nil {
		t.Fatal(err)
	}
	err = s.producer.Publish(t.Context(), []pipeline.Record{{Topic: pipeline.TopicFills, Partition: pipeline.Partition(string(e.Household), partitions),
		Key: []byte(e.Key().String()), Value: value, Headers: []pipeline.Header{{Key: pipeline.HeaderRoutingKey, Value: []byte(e.Household)}}}})
	if err != nil {
		t.Fatal(err)
	}
}
