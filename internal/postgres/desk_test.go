package postgres_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"daybreak/fills"
	"daybreak/internal/postgres"
	"daybreak/internal/postgres/pgtest"
	"daybreak/market"
	"daybreak/money"
	"daybreak/orders"
	"daybreak/pipeline"
	"daybreak/portfolio"
	"daybreak/rebalance"
	"daybreak/region"
	"daybreak/tlh"
)

var now = time.Date(2020, 3, 16, 13, 0, 0, 0, time.UTC)

// listener is a broker that keeps what it gets.
type listener struct {
	mu  sync.Mutex
	got []pipeline.BrokerOrder
}

func (l *listener) Send(_ context.Context, all []pipeline.BrokerOrder) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.got = append(l.got, all...)
	return nil
}

// sent returns what the broker got as "side symbol quantity", sorted.
func (l *listener) sent() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []string
	for _, o := range l.got {
		all = append(all, fmt.Sprintf("%s %s %s", o.Side, o.Symbol, o.Quantity))
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// day is a run with one household: a sale of 100 AAA that funds purchases of 30 BBB and 60 CCC.
type day struct {
	t      *testing.T
	pool   *pgxpool.Pool
	db     *postgres.DB
	run    string
	broker *listener
	review pipeline.Review
	submit pipeline.Submit
	gate   *pipeline.Gateway
	fills  *stream
}

func newDay(t *testing.T) *day {
	t.Helper()
	pool := pgtest.Schema(t)
	db := postgres.New(pool)
	d := &day{t: t, pool: pool, db: db, run: "2020-03-16.1", broker: &listener{}}
	d.review = pipeline.Review{Book: db, Limits: orders.DefaultLimits}
	d.submit = pipeline.Submit{Book: db, Limits: orders.DefaultLimits}
	d.gate = &pipeline.Gateway{Book: db, Broker: d.broker, Limits: orders.DefaultLimits, Log: slog.New(slog.DiscardHandler)}
	d.exec(`INSERT INTO security (symbol, name, currency, exchange, kind, asset_class, identical_group)
		SELECT s, s, 'USD', 'XNYS', 'etf', 'equity', s FROM unnest(ARRAY['AAA', 'BBB', 'CCC']) s`)
	d.exec(`INSERT INTO price (symbol, day, currency, close, adjustment)
		SELECT symbol, '2020-03-13', 'USD', 10, 'raw' FROM security`)
	d.exec(`INSERT INTO household (id, region, routing_key, opened) VALUES ('H1', 'US', 'H1', '2017-01-02')`)
	d.exec(`INSERT INTO household_owner (household, id, since) VALUES ('H1', 'O1', '2017-01-02')`)
	d.exec(`INSERT INTO account (id, household, owner, type, currency, model, policy, opened)
		VALUES ('A1', 'H1', 'O1', 'taxable', 'USD', 'M', '{}', '2017-01-02')`)
	d.exec(`INSERT INTO cash (account, currency, household, amount) VALUES ('A1', 'USD', 'H1', 5)`)
	d.exec(`INSERT INTO position (account, symbol, household, shares) VALUES ('A1', 'AAA', 'H1', 100)`)
	d.propose()
	d.fills = newStream(t, db)
	return d
}

func (d *day) exec(sql string, args ...any) {
	d.t.Helper()
	if _, err := d.pool.Exec(d.t.Context(), sql, args...); err != nil {
		d.t.Fatal(err)
	}
}

// propose stores the run and its one decision as a worker does.
func (d *day) propose() {
	d.t.Helper()
	run, err := d.db.CreateRun(d.t.Context(), pipeline.Run{Session: session, State: pipeline.RunStarted, Workflow: pipeline.Workflow,
		Build: "build", Rules: "rules", Market: "market", Maker: "mia", Households: 1, Started: now},
		pipeline.StoredMarket{Hash: "market", Day: session, Body: []byte("{}")}, []portfolio.HouseholdID{"H1"})
	if err != nil {
		d.t.Fatal(err)
	}
	trade := func(symbol market.Symbol, side portfolio.Side, shares string, waits ...market.Symbol) rebalance.Trade {
		notional := dec(shares).Mul(dec("10"))
		return rebalance.Trade{Account: "A1", Symbol: symbol, Side: side, Shares: dec(shares), Reason: rebalance.Reason{Code: "TEST"},
			Price: dec("10"), PriceDay: session - 3, Currency: "USD", FX: money.One, Notional: notional, Value: notional, WaitsFor: waits}
	}
	sale := trade("AAA", portfolio.Sell, "100")
	sale.Lots = []rebalance.TradeLot{{Lot: "L1", Shares: dec("60")}, {Lot: "L2", Shares: dec("40")}}
	plan := rebalance.HouseholdPlan{Household: "H1",
		Locks: []tlh.Lock{{Property: "AAA", Symbol: "AAA", Account: "A1", Until: session + 32, Provisional: true}},
		Accounts: []rebalance.AccountPlan{{Account: "A1", Currency: "USD", Outcome: rebalance.Planned, Trades: []rebalance.Trade{
			sale, trade("BBB", portfolio.Buy, "30", "AAA"), trade("CCC", portfolio.Buy, "60", "AAA")}}}}
	decision := pipeline.Decision{Run: run.ID, Household: "H1", Outcome: pipeline.OutcomePlanned, Input: []byte{}, Plan: plan,
		Orders: orders.FromPlan(orders.Source{Run: run.ID, Build: run.Build, Rules: run.Rules, Session: session}, plan)}
	at, err := d.db.Assign(d.t.Context(), pipeline.TopicWork, "work", []int32{0})
	if err != nil {
		d.t.Fatal(err)
	}
	batch := pipeline.Batch{Topic: pipeline.TopicWork, Spans: []pipeline.Span{{First: 0, Next: 1, Epoch: at[0].Epoch, Applied: 1, LastRecord: now}}}
	if err := d.db.SaveDecisions(d.t.Context(), batch, []pipeline.Decision{decision}, nil); err != nil {
		d.t.Fatal(err)
	}
}

func (d *day) act(by string) pipeline.Act { return pipeline.Act{Run: d.run, By: by, Now: now} }

// approveAndSubmit brings all orders to the gateway.
func (d *day) approveAndSubmit() {
	d.t.Helper()
	if r, err := d.review.Approve(d.t.Context(), d.act("ana")); err != nil || r.Orders != 3 {
		d.t.Fatalf("Approve = %+v, %v, want 3 orders", r, err)
	}
	if r, err := d.submit.Submit(d.t.Context(), d.act("mia")); err != nil || r.Orders != 3 {
		d.t.Fatalf("Submit = %+v, %v, want 3 orders", r, err)
	}
}

// pass lets the gateway send what is due, as often as that makes more due.
func (d *day) pass() {
	d.t.Helper()
	for range 3 {
		if _, err := d.gate.Due(d.t.Context()); err != nil {
			d.t.Fatal(err)
		}
	}
}

// sweep lets the gateway look at everything.
func (d *day) sweep() {
	d.t.Helper()
	if _, err := d.gate.Pass(d.t.Context()); err != nil {
		d.t.Fatal(err)
	}
}

// answer feeds executions to the book.
func (d *day) answer(all ...fills.Execution) {
	d.t.Helper()
	first := d.fills.at.Next
	batch := records(encode(d.t, all...))
	for i := range batch {
		batch[i].Offset += first
	}
	if err := d.fills.handler.Handle(d.t.Context(), d.fills.batch(batch)); err != nil {
		d.t.Fatal(err)
	}
	d.fills.at.Next += int64(len(all))
}

// execution returns a report on the day's order for a symbol.
func (d *day) execution(id string, kind fills.ExecType, symbol market.Symbol, shares, price string) fills.Execution {
	side := portfolio.Buy
	if symbol == "AAA" {
		side = portfolio.Sell
	}
	return fills.Execution{Session: "SIM", ExecID: id, Type: kind, RefTradeDate: market.NoDay, OrderID: orders.NewID(session, "A1", symbol, side, 1),
		Account: "A1", Household: "H1", Symbol: symbol, Side: side, Quantity: dec(shares), Price: dec(price), Currency: "USD", FX: money.One,
		FXDay: session, TradeDate: session, SettleDate: settles, BrokerTime: now}
}

// states returns symbol, state and exception of each order, by symbol.
func (d *day) states() string {
	d.t.Helper()
	var text string
	err := d.pool.QueryRow(d.t.Context(), `SELECT string_agg(trim(symbol || ' ' || state || ' ' || exception), ', ' ORDER BY symbol) FROM trade_order`).Scan(&text)
	if err != nil {
		d.t.Fatal(err)
	}
	return text
}

func (d *day) wantStates(want string) {
	d.t.Helper()
	if got := d.states(); got != want {
		d.t.Errorf("orders are %s, want %s", got, want)
	}
}

func (d *day) wantSent(want string) {
	d.t.Helper()
	if got := d.broker.sent(); got != want {
		d.t.Errorf("the broker got %q, want %q", got, want)
	}
}

func TestApproveByAnotherPersonOnce(t *testing.T) {
	t.Parallel()
	d := newDay(t)
	if _, err := d.review.Approve(t.Context(), d.act("mia")); !errors.Is(err, pipeline.ErrState) {
		t.Errorf("Approve by the maker = %v, want ErrState", err)
	}
	shown, err := d.review.Preview(t.Context(), d.act("ana"))
	if err != nil || shown.Orders != 3 || shown.Notional["USD"] != dec("1900") {
		t.Errorf("Preview = %+v, %v, want 3 orders of 1900 USD", shown, err)
	}
	other := d.act("ana")
	other.Root = "another"
	if _, err := d.review.Approve(t.Context(), other); !errors.Is(err, pipeline.ErrState) {
		t.Errorf("Approve of a set that was not shown = %v, want ErrState", err)
	}
	none := d.act("ana")
	none.Chosen = func(pipeline.ReviewOrder) (bool, error) { return false, nil }
	if _, err := d.review.Approve(t.Context(), none); !errors.Is(err, pipeline.ErrNotFound) {
		t.Errorf("Approve where none matches = %v, want ErrNotFound", err)
	}
	same := d.act("ana")
	same.Root = shown.Root
	for i, want := range []int{3, 0} {
		if i == 1 {
			same.Root = ""
		}
		if r, err := d.review.Approve(t.Context(), same); err != nil || r.Orders != want {
			t.Errorf("Approve, time %d = %+v, %v, want %d orders", i+1, r, err, want)
		}
	}
	if _, err := d.pool.Exec(t.Context(), `UPDATE approval SET approver = maker`); err == nil {
		t.Error("the database takes an approval by the run's maker")
	}
}

func TestNothingIsSentWithoutApproval(t *testing.T) {
	t.Parallel()
	d := newDay(t)
	if r, err := d.submit.Submit(t.Context(), d.act("mia")); err != nil || r.Orders != 0 {
		t.Errorf("Submit of proposed orders = %+v, %v, want none", r, err)
	}
	d.exec(`UPDATE trade_order SET released = true WHERE side = 'sell'`)
	d.sweep()
	d.wantSent("")
	d.wantStates("AAA Proposed NOT_APPROVED, BBB Proposed, CCC Proposed")
}

func TestAChangedOrderIsNotSent(t *testing.T) {
	t.Parallel()
	d := newDay(t)
	d.approveAndSubmit()
	d.exec(`UPDATE trade_order SET quantity = 99 WHERE symbol = 'AAA'`)
	d.pass()
	d.wantSent("")
	if got := d.states(); !strings.HasPrefix(got, "AAA Proposed CONTENT_CHANGED") {
		t.Errorf("orders are %s, want CONTENT_CHANGED for AAA", got)
	}
}

func TestPurchasesWaitForTheirSalesAndFitTheCash(t *testing.T) {
	t.Parallel()
	d := newDay(t)
	d.approveAndSubmit()
	d.pass()
	d.pass()
	d.wantSent("sell AAA 100")
	d.answer(d.execution("0", fills.New, "AAA", "0", "0"), d.execution("1", fills.Trade, "AAA", "40", "9.5"))
	d.pass()
	d.wantSent("sell AAA 100")
	// 40 at 9.5 and 45 at 9 with 5 before are 790, less the buffer 789.21, for purchases that may cost 904.6809.
	d.answer(d.execution("2", fills.Trade, "AAA", "45", "9"), d.execution("3", fills.Canceled, "AAA", "0", "0"))
	d.pass()
	d.wantSent("buy BBB 26.1708, buy CCC 52.3417, sell AAA 100")
	d.wantStates("AAA Canceled, BBB PendingNew, CCC PendingNew")
	if err := d.gate.SendAgain(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	d.wantSent("buy BBB 26.1708, buy BBB 26.1708, buy CCC 52.3417, buy CCC 52.3417, sell AAA 100")
	d.answer(d.execution("4", fills.Trade, "BBB", "26.1708", "10.05"), d.execution("5", fills.Trade, "CCC", "52.3417", "10.05"))
	d.wantStates("AAA Canceled, BBB Filled, CCC Filled")
	var cash money.Dec
	if err := d.pool.QueryRow(t.Context(), `SELECT amount FROM cash`).Scan(&cash); err != nil || cash.Sign() < 0 {
		t.Errorf("cash = %s, %v, want none below zero", cash, err)
	}
}

func TestPurchasesEndWithTheSaleThatWasToFundThem(t *testing.T) {
	t.Parallel()
	d := newDay(t)
	d.approveAndSubmit()
	d.pass()
	d.answer(d.execution("0", fills.Rejected, "AAA", "0", "0"))
	d.pass()
	d.wantSent("sell AAA 100")
	d.wantStates("AAA Rejected BROKER_REJECTED, BBB Canceled FUNDING_FAILED, CCC Canceled FUNDING_FAILED")
	var state string
	if err := d.pool.QueryRow(t.Context(), `SELECT state FROM tax_lock`).Scan(&state); err != nil || state != "void" {
		t.Errorf("lock = %s, %v, want void", state, err)
	}
}

func TestPurchasesTooSmallForTheCashEnd(t *testing.T) {
	t.Parallel()
	d := newDay(t)
	d.approveAndSubmit()
	d.pass()
	d.answer(d.execution("0", fills.Trade, "AAA", "5", "10"), d.execution("1", fills.Canceled, "AAA", "0", "0"))
	d.pass()
	d.wantStates("AAA Canceled, BBB Canceled TOO_SMALL, CCC Canceled TOO_SMALL")
}

func TestHeldAndRejectedOrdersStay(t *testing.T) {
	t.Parallel()
	d := newDay(t)
	act := d.act("ana")
	act.Chosen = func(o pipeline.ReviewOrder) (bool, error) { return o.Symbol == "BBB", nil }
	if n, err := d.review.Hold(t.Context(), act); n != 1 || err != nil {
		t.Errorf("Hold = %d, %v, want 1", n, err)
	}
	if r, err := d.review.Approve(t.Context(), d.act("ana")); err != nil || r.Orders != 2 {
		t.Errorf("Approve = %+v, %v, want 2 orders", r, err)
	}
	if n, err := d.review.Release(t.Context(), act); n != 1 || err != nil {
		t.Errorf("Release = %d, %v, want 1", n, err)
	}
	act.Chosen = func(o pipeline.ReviewOrder) (bool, error) { return o.Side == portfolio.Sell, nil }
	for _, want := range []int{1, 0} {
		if n, err := d.review.Reject(t.Context(), act); n != want || err != nil {
			t.Errorf("Reject = %d, %v, want %d", n, err, want)
		}
	}
	if r, err := d.submit.Submit(t.Context(), d.act("ben")); err != nil || r.Orders != 1 {
		t.Errorf("Submit = %+v, %v, want 1 order", r, err)
	}
	d.pass()
	d.wantSent("")
	d.wantStates("AAA Canceled REVIEW_REJECTED, BBB Proposed, CCC Canceled FUNDING_FAILED")
}

func TestTheKillSwitchStopsAndLetsGo(t *testing.T) {
	t.Parallel()
	d := newDay(t)
	d.approveAndSubmit()
	if err := d.db.SetKillSwitch(t.Context(), true, "drill", "ana", now); err != nil {
		t.Fatal(err)
	}
	d.pass()
	d.wantSent("")
	d.exec(`DELETE FROM kill_switch`)
	d.pass()
	d.wantSent("")
	if err := d.db.SetKillSwitch(t.Context(), false, "", "ana", now); err != nil {
		t.Fatal(err)
	}
	d.pass()
	d.wantSent("sell AAA 100")
}

func TestOrdersThatNoLongerHoldAreStale(t *testing.T) {
	t.Parallel()
	d := newDay(t)
	if _, err := d.review.Approve(t.Context(), d.act("ana")); err != nil {
		t.Fatal(err)
	}
	d.exec(`UPDATE household SET book_version = 1`)
	d.exec(`UPDATE position SET shares = 99.9999`)
	d.exec(`INSERT INTO price (symbol, day, currency, close, adjustment) VALUES ('BBB', '2020-03-16', 'USD', 10.37, 'raw'), ('CCC', '2020-03-16', 'USD', 10.36, 'raw')`)
	r, err := d.submit.Submit(t.Context(), d.act("mia"))
	if err != nil || r.Orders != 1 || len(r.Stale) != 2 {
		t.Errorf("Submit = %+v, %v, want 1 order and 2 stale ones", r, err)
	}
	d.wantStates("AAA Proposed STALE, BBB Proposed STALE, CCC Proposed")
}

// taxEvent returns a fact of the day's account in AAA.
func taxEvent(id string, kind region.Kind, on market.Day, shares, amount string) region.Event {
	return region.Event{ID: id, Kind: kind, Day: on, Settle: on, Owner: "O1", Account: "A1", AccountType: "taxable", Symbol: "AAA",
		Shares: money.RatDec(dec(shares)), Amount: dec(amount), Currency: "USD"}
}

// moveBook stores a tax book of two lots and further events that came after the plan.
func (d *day) moveBook(events ...region.Event) {
	d.t.Helper()
	rules, err := region.Load("US")
	if err != nil {
		d.t.Fatal(err)
	}
	scope := region.ScopeOf(portfolio.Household{ID: "H1", Owners: []portfolio.Owner{{ID: "O1", From: market.MustDay("2017-01-02"), To: market.NoDay}}},
		map[market.Symbol]string{"AAA": "AAA", "BBB": "BBB", "CCC": "CCC"})
	book, err := region.Fold(rules, scope, region.Checkpoint{}, []region.Event{
		taxEvent("L1", region.Buy, market.MustDay("2018-01-02"), "60", "1200"), taxEvent("L2", region.Buy, market.MustDay("2018-06-01"), "40", "800"),
	})
	if err != nil {
		d.t.Fatal(err)
	}
	checkpoint, err := json.Marshal(book.Checkpoint(market.MustDay("2020-01-31")))
	if err != nil {
		d.t.Fatal(err)
	}
	d.exec(`INSERT INTO tax_checkpoint (household, version, as_of, rules, body) VALUES ('H1', 0, '2020-01-31', $1, $2)`,
		rules.Fingerprint(), pipeline.Compress(checkpoint))
	for i, e := range events {
		d.exec(`INSERT INTO tax_event (household, version, line, event, effective, body) VALUES ('H1', 1, $1, $2, $3, $4)`, i, e.ID, e.Day, e)
	}
	d.exec(`UPDATE household SET book_version = 1`)
}

func TestSalesAreCheckedAgainWhereTheTaxBookMoved(t *testing.T) {
	t.Parallel()
	sold := taxEvent("S1", region.Sell, session-3, "10", "100")
	sold.Lots = []region.LotShares{{Lot: "L1", Shares: money.RatInt(10)}}
	other := taxEvent("D1", region.Drip, session-3, "5", "50")
	other.Symbol = "BBB"
	tests := []struct {
		name  string
		event region.Event
		want  string
	}{
		{"lot used up elsewhere", sold, "it sells 60 of lot L1 and the lot has 50"},
		{"reinvested dividend in the window", taxEvent("D1", region.Drip, session-3, "5", "50"), "50 USD of its loss would be denied"},
		{"reinvested dividend before the window", taxEvent("D1", region.Drip, session-31, "5", "50"), ""},
		{"another security", other, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := newDay(t)
			if _, err := d.review.Approve(t.Context(), d.act("ana")); err != nil {
				t.Fatal(err)
			}
			d.moveBook(tt.event)
			sale := d.act("mia")
			sale.Chosen = func(o pipeline.ReviewOrder) (bool, error) { return o.Side == portfolio.Sell, nil }
			r, err := d.submit.Submit(t.Context(), sale)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if len(r.Stale) > 0 {
				got = r.Stale[0].Numbers["because"]
			}
			if got != tt.want || r.Orders+len(r.Stale) != 1 {
				t.Errorf("Submit = %+v, want the sale stale because %q", r, tt.want)
			}
		})
	}
}

// A purchase of what another harvest has locked is not sent, and says what it would destroy.
func TestALockedPurchaseSaysWhatItDestroys(t *testing.T) {
	t.Parallel()
	bought, sold := taxEvent("B1", region.Buy, market.MustDay("2020-02-03"), "50", "1000"), taxEvent("S1", region.Sell, session-3, "50", "500")
	bought.Symbol, sold.Symbol = "BBB", "BBB"
	for _, c := range []struct {
		name   string
		until  market.Day
		events []region.Event
		want   string
	}{
		{"a loss of the book", session + 27, []region.Event{bought, sold},
			"BBB is locked through 2020-04-12 by the sale X of account A1; buying it would destroy 300.00 USD of losses" +
				" (300.00 of BBB sold by A1 on 2020-03-13), 0.00 USD of it for good, worth 105.00 USD of tax. "},
		{"nothing filled yet", session + 27, []region.Event{bought},
			"BBB is locked through 2020-04-12 by the sale X of account A1; buying it would destroy no loss of the book as it stands. "},
		{"the lock is over", session - 1, []region.Event{bought}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDay(t)
			if _, err := d.review.Approve(t.Context(), d.act("ana")); err != nil {
				t.Fatal(err)
			}
			d.moveBook(c.events...)
			d.exec(`INSERT INTO tax_lock (household, property, order_id, run, account, symbol, until, state) VALUES ('H1', 'BBB', 'X', '2020-03-13.1', 'A1', 'BBB', $1, 'fixed')`, c.until)
			purchase := d.act("mia")
			purchase.Chosen = func(o pipeline.ReviewOrder) (bool, error) { return o.Symbol == "BBB", nil }
			r, err := d.submit.Submit(t.Context(), purchase)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if len(r.Stale) > 0 {
				got, _, _ = strings.Cut(r.Stale[0].Text(), "Reject it")
			}
			if got != c.want || r.Orders+len(r.Stale) != 1 {
				t.Errorf("Submit = %+v, want the purchase stale because %q", r, c.want)
			}
		})
	}
}

func TestTwoGatewaysSendAnOrderOnce(t *testing.T) {
	t.Parallel()
	d := newDay(t)
	d.approveAndSubmit()
	var group errgroup.Group
	for range 4 {
		group.Go(func() error {
			_, err := d.gate.Pass(t.Context())
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	d.wantSent("sell AAA 100")
}
