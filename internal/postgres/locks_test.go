package postgres_test

import (
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"daybreak/fills"
	"daybreak/market"
	"daybreak/money"
	"daybreak/orders"
	"daybreak/pipeline"
	"daybreak/portfolio"
	"daybreak/region"
)

// whole gives the day's account a book that verifies: openings in the journal, and a tax history of
// AAA and of BBB, of which 50 were sold on the session before at a loss of 500. The sale, which is
// order X of an earlier run, locks BBB until a day.
func (d *day) whole(until market.Day) {
	d.t.Helper()
	bought, sold := taxEvent("B1", region.Buy, market.MustDay("2020-02-03"), "50", "1000"), taxEvent("S1", region.Sell, session-3, "50", "500")
	bought.Symbol, sold.Symbol = "BBB", "BBB"
	events := []region.Event{
		taxEvent("L1", region.Buy, market.MustDay("2018-01-02"), "60", "1200"), taxEvent("L2", region.Buy, market.MustDay("2018-06-01"), "40", "800"), bought, sold,
	}
	d.exec(`INSERT INTO tax_history (household, through, events) VALUES ('H1', $1, $2)`, session-1, pipeline.Compress(encoded(d.t, events)))
	for i, o := range []struct {
		kind, commodity string
		amount          money.Dec
	}{{"cash", "USD", dec("5")}, {"units", "AAA", dec("100")}} {
		d.exec(`INSERT INTO journal (household, version, line, event, kind, effective, known, from_owner, from_kind, to_owner, to_kind, commodity, amount)
			VALUES ('H1', 0, $1, 'opening', 'opening', '2017-01-02', $2, '~outside', 'external', 'A1', $3, $4, $5)`, i, now, o.kind, o.commodity, o.amount)
	}
	d.exec(`INSERT INTO run (id, session, number, state, workflow, build, rules, market, maker, households, started)
		VALUES ('2020-03-13.1', '2020-03-13', 1, 'finished', 'w', 'b', 'r', 'market', 'mia', 0, $1)`, now)
	d.lock("X", until)
}

// lock keeps BBB locked by an order of the earlier run.
func (d *day) lock(order string, until market.Day) {
	d.t.Helper()
	d.exec(`INSERT INTO tax_lock (household, property, order_id, run, account, symbol, until, state)
		VALUES ('H1', 'BBB', $1, '2020-03-13.1', 'A1', 'BBB', $2, 'fixed')`, order, until)
}

func encoded(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// clean fails the test where an invariant is broken, the tax book's ones included.
func (d *day) clean() {
	d.t.Helper()
	checks, err := d.db.Verify(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	tax, err := pipeline.VerifyTax(d.t.Context(), d.db)
	if err != nil {
		d.t.Fatal(err)
	}
	for _, c := range append(checks, tax...) {
		if !c.OK {
			d.t.Errorf("Verify: %s is broken: %v", c.Invariant, c.Broken)
		}
	}
}

// count returns the number of rows of a table.
func (d *day) count(table string) (n int) {
	d.t.Helper()
	if err := d.pool.QueryRow(d.t.Context(), `SELECT count(*) FROM `+table).Scan(&n); err != nil {
		d.t.Fatal(err)
	}
	return n
}

// want fails the test where a text lacks one of some words.
func want(t *testing.T, what, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%s says %q, want %q in it", what, text, w)
		}
	}
}

func (d *day) overrideBy(who, why string) (pipeline.OverrideResult, error) {
	act := d.act(who)
	act.Comment = why
	return d.review.Override(d.t.Context(), act)
}

const lockUntil = market.Day(27) // days after the session: thirty after the sale

// TestALockedPurchaseThatMustHappen goes the whole way: refused with the loss in money, let through
// by another person, sent, filled; the book verifies, and doing it again changes nothing.
func TestALockedPurchaseThatMustHappen(t *testing.T) {
	t.Parallel()
	d := newDay(t)
	d.whole(session + lockUntil)
	loss := []string{"BBB is locked through 2020-04-12 by the sale X of account A1", "destroy 300.00 USD of losses (300.00 of BBB sold by A1 on 2020-03-13)",
		"0.00 USD of it for good", "worth 105.00 USD of tax", "--override-lock"}

	r, err := d.review.Approve(t.Context(), d.act("ana"))
	if err != nil || r.Orders != 2 || len(r.Flagged) != 1 || r.Flagged[0].Code != orders.TaxLock || r.Flagged[0].Numbers["destroys"] != "300.00" {
		t.Fatalf("Approve = %+v, %v, want BBB flagged with the 300.00 that it destroys", r, err)
	}
	want(t, "Approve", r.Flagged[0].Text(), loss...)
	d.wantStates("AAA Proposed, BBB Proposed TAX_LOCK, CCC Proposed")

	if _, err := d.overrideBy("mia", "pension"); !errors.Is(err, pipeline.ErrState) || !strings.Contains(err.Error(), "made by mia") {
		t.Errorf("Override by the maker = %v, want ErrState that names her", err)
	}
	if _, err := d.overrideBy("ana", "  "); !errors.Is(err, pipeline.ErrState) {
		t.Errorf("Override without a comment = %v, want ErrState", err)
	}
	if n := d.count("lock_override"); n != 0 {
		t.Fatalf("%d overrides after refusals, want none", n)
	}
	v, err := d.overrideBy("ana", "pension due")
	if err != nil || v.Orders != 1 || v.Approval == nil || v.Approval.Orders != 1 {
		t.Fatalf("Override = %+v, %v, want BBB let through and approved", v, err)
	}
	d.wantStates("AAA Proposed, BBB Proposed, CCC Proposed")
	if s, err := d.submit.Submit(t.Context(), d.act("mia")); err != nil || s.Orders != 3 {
		t.Fatalf("Submit = %+v, %v, want 3 orders", s, err)
	}
	d.pass()
	d.answer(d.execution("1", fills.Trade, "AAA", "100", "10"))
	d.pass()
	d.wantSent("buy BBB 30, buy CCC 60, sell AAA 100")
	d.answer(d.execution("2", fills.Trade, "BBB", "30", "10"), d.execution("3", fills.Trade, "CCC", "60", "10"))
	d.wantStates("AAA Filled, BBB Filled, CCC Filled")
	d.clean()

	audits := d.count("audit")
	if v, err := d.overrideBy("ben", "again"); err != nil || v.Orders != 0 {
		t.Errorf("Override, a second time = %+v, %v, want none", v, err)
	}
	if n, a := d.count("lock_override"), d.count("audit"); n != 1 || a != audits {
		t.Errorf("%d overrides and %d audit rows after a second time, want 1 and %d", n, a, audits)
	}
	d.recorded()
}

// recorded looks at what is kept of the override: who, why, the loss, and the audit's before and after.
func (d *day) recorded() {
	d.t.Helper()
	o, err := d.db.Order(d.t.Context(), d.run, orders.NewID(session, "A1", "BBB", "buy", 1))
	if err != nil || len(o.Overrides) != 1 {
		d.t.Fatalf("Order = %+v, %v, want one override", o.Overrides, err)
	}
	v := o.Overrides[0]
	if v.Approver != "ana" || v.Maker != "mia" || v.Comment != "pension due" || v.ContentHash != o.ContentHash || v.Loss.Amount != dec("300") ||
		v.Loss.Currency != "USD" || len(v.Loss.Sales) != 1 || v.Basis.Shares != dec("30") || v.Basis.Price != dec("10") || !v.Decided.Equal(now) {
		d.t.Errorf("override = %+v, want ana's of 300 USD for 30 at 10", v)
	}
	var before, after string
	id := string(o.ID)
	err = d.pool.QueryRow(d.t.Context(), `SELECT detail -> 'before' ->> $1, detail -> 'after' ->> $1 FROM audit WHERE action = 'order.override_lock'`, id).Scan(&before, &after)
	if err != nil || before != "Flagged TAX_LOCK" || after != "Approved" {
		d.t.Errorf("audit says before %q and after %q, %v, want Flagged TAX_LOCK and Approved", before, after, err)
	}
	for _, sql := range []string{`UPDATE lock_override SET destroyed = 0`, `DELETE FROM lock_override`, `TRUNCATE lock_override`} {
		if _, err := d.pool.Exec(d.t.Context(), sql); err == nil {
			d.t.Errorf("the database takes %s", sql)
		}
	}
	_, err = d.pool.Exec(d.t.Context(), `INSERT INTO lock_override (run, order_id, content_hash, household, locks, destroyed, gone, tax, currency, basis, maker, approver, comment, decided)
		SELECT run, order_id, 'other', household, locks, destroyed, gone, tax, currency, basis, maker, maker, comment, decided FROM lock_override`)
	if err == nil {
		d.t.Error("the database takes an override by the run's maker")
	}
}

// TestALockStopsAtEveryStep brings the lock after the approval, and after the submission.
func TestALockStopsAtEveryStep(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		submit bool
		until  market.Day
		states string
	}{
		{"before submission, last day", false, session, "AAA Proposed, BBB Proposed TAX_LOCK, CCC Proposed"},
		{"before submission, over", false, session - 1, "AAA Filled, BBB PendingNew, CCC PendingNew"},
		{"before sending, last day", true, session, "AAA Filled, BBB Proposed TAX_LOCK, CCC PendingNew"},
		{"before sending, over", true, session - 1, "AAA Filled, BBB PendingNew, CCC PendingNew"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDay(t)
			if r, err := d.review.Approve(t.Context(), d.act("ana")); err != nil || r.Orders != 3 {
				t.Fatalf("Approve = %+v, %v, want 3 orders", r, err)
			}
			if !c.submit {
				d.whole(c.until)
			}
			if _, err := d.submit.Submit(t.Context(), d.act("mia")); err != nil {
				t.Fatal(err)
			}
			if c.submit {
				d.whole(c.until)
			}
			if strings.HasPrefix(c.states, "AAA Filled") {
				d.pass()
				d.answer(d.execution("1", fills.Trade, "AAA", "100", "10"))
				d.pass()
			}
			d.wantStates(c.states)
			if strings.Contains(c.states, "TAX_LOCK") {
				d.letThroughAtLast()
			}
		})
	}
}

// letThroughAtLast overrides the lock of BBB where it stands, and sees it sent.
func (d *day) letThroughAtLast() {
	d.t.Helper()
	o, err := d.db.Order(d.t.Context(), d.run, orders.NewID(session, "A1", "BBB", "buy", 1))
	if err != nil {
		d.t.Fatal(err)
	}
	want(d.t, "the order", o.ExceptionDetail, "BBB is locked through 2020-03-16 by the sale X", "destroy 300.00 USD of losses", "--override-lock")
	if v, err := d.overrideBy("ben", "must be"); err != nil || v.Orders != 1 || v.Approval != nil {
		d.t.Errorf("Override = %+v, %v, want one order that was approved before", v, err)
	}
	if _, err := d.submit.Submit(d.t.Context(), d.act("mia")); err != nil {
		d.t.Fatal(err)
	}
	d.pass()
	if !strings.HasPrefix(d.states(), "AAA Filled") {
		d.answer(d.execution("1", fills.Trade, "AAA", "100", "10"))
		d.pass()
	}
	d.wantStates("AAA Filled, BBB PendingNew, CCC PendingNew")
	d.clean()
}

// TestAnOverrideHoldsForWhatItNames changes, after an override, what it was given for.
func TestAnOverrideHoldsForWhatItNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(d *day)
		stops  bool
	}{
		{"nothing", func(*day) {}, false},
		{"a further lock", func(d *day) { d.lock("Y", session) }, true},
		{"a further lock that is over", func(d *day) { d.lock("Y", session-1) }, false},
		{"the lock is longer", func(d *day) { d.exec(`UPDATE tax_lock SET until = until + 1 WHERE order_id = 'X'`) }, true},
		{"the lock is shorter", func(d *day) { d.exec(`UPDATE tax_lock SET until = until - 1 WHERE order_id = 'X'`) }, false},
		{"the order was edited", func(d *day) { d.edit("BBB", 29) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDay(t)
			d.whole(session + lockUntil + 1) // a bust shortens it to what the sale left in the book asks for
			if v, err := d.overrideBy("ana", "must be"); err != nil || v.Orders != 1 {
				t.Fatalf("Override = %+v, %v, want one order", v, err)
			}
			c.change(d)
			stop, err := d.review.Stop(t.Context(), d.run, "H1", orders.NewID(session, "A1", "BBB", "buy", 1))
			if err != nil || (stop != nil) != c.stops {
				t.Fatalf("Stop = %+v, %v, want one: %t", stop, err, c.stops)
			}
			if !c.stops {
				return
			}
			d.exec(`UPDATE trade_order SET sent = now(), state = 'PendingNew' WHERE symbol = 'BBB'`)
			checks, err := d.db.Verify(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, k := range checks {
				if strings.HasPrefix(k.Invariant, "11 ") && k.OK {
					t.Errorf("Verify: %s holds for a purchase sent in spite of it", k.Invariant)
				}
			}
		})
	}
}

// TestAnOverrideLeavesWhatElseIsStopped keeps an order for another reason than its lock.
func TestAnOverrideLeavesWhatElseIsStopped(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change string
		code   string
		says   string
	}{
		{"held", `UPDATE trade_order SET held_by = 'eve' WHERE symbol = 'BBB'`, "HELD", "it is held by eve"},
		{"stale as well", `UPDATE trade_order SET exception = 'STALE' WHERE symbol = 'BBB'`, "STALE", "a lock is not all that stops it"},
		{"of another build", `UPDATE trade_order SET build = 'x' WHERE symbol = 'BBB'`, "BUILD_DIFFERS", "build x"},
		{"its loss cannot be told", `UPDATE trade_order SET currency = 'CAD' WHERE symbol = 'BBB'`, "TAX_LOCK",
			"the loss that buying it would destroy cannot be told: no exchange rate of CAD in USD"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDay(t)
			d.whole(session + lockUntil)
			d.exec(c.change)
			audits := d.count("audit")
			v, err := d.overrideBy("ana", "must be")
			if err != nil || v.Orders != 0 || len(v.Flagged) != 1 || v.Flagged[0].Code != c.code {
				t.Fatalf("Override = %+v, %v, want BBB left as %s", v, err, c.code)
			}
			want(t, "Override", v.Flagged[0].Text(), c.says)
			if n, a := d.count("lock_override"), d.count("audit"); n != 0 || a != audits {
				t.Errorf("%d overrides and %d audit rows, want none and %d", n, a, audits)
			}
		})
	}
}

// TestTwoPeopleOverrideOnce lets two people decide at once: one of them is recorded.
func TestTwoPeopleOverrideOnce(t *testing.T) {
	t.Parallel()
	d := newDay(t)
	d.whole(session + lockUntil)
	audits := d.count("audit")
	var group errgroup.Group
	var did atomic.Int64
	for _, who := range []string{"ana", "ben", "eve", "joe"} {
		group.Go(func() error {
			v, err := d.overrideBy(who, "must be")
			did.Add(int64(v.Orders))
			if errors.Is(err, pipeline.ErrState) {
				return nil
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if n, a := d.count("lock_override"), d.count("audit"); n != 1 || a != audits+1 || did.Load() != 1 {
		t.Errorf("%d overrides, %d new audit rows, %d people told that they did it, want one of each", n, a-audits, did.Load())
	}
}

// edit gives an order another quantity, and the hash that goes with it.
func (d *day) edit(symbol market.Symbol, shares int64) {
	d.t.Helper()
	load, err := d.db.ReadDesk(d.t.Context(), pipeline.DeskRequest{Households: []portfolio.HouseholdID{"H1"}, Runs: []string{d.run}})
	if err != nil {
		d.t.Fatal(err)
	}
	for _, o := range load.Households[0].Orders {
		if o.Symbol == symbol {
			o.Quantity = money.FromInt(shares)
			d.exec(`UPDATE trade_order SET quantity = $1, content_hash = $2 WHERE symbol = $3`, o.Quantity, o.Content(), symbol)
		}
	}
}

// A provisional lock whose sale is at the broker destroys what that sale will realise.
func TestALockOfASaleOnItsWay(t *testing.T) {
	t.Parallel()
	d := newDay(t)
	d.whole(session - 1)
	d.exec(`INSERT INTO security (symbol, name, currency, exchange, kind, asset_class, identical_group) VALUES ('AAB', 'AAB', 'USD', 'XNYS', 'etf', 'equity', 'AAA')`)
	d.exec(`UPDATE trade_order SET symbol = 'AAB', waits_for = '[]' WHERE symbol = 'BBB'`)
	stop := func() *pipeline.LockStop {
		s, err := d.review.Stop(t.Context(), d.run, "H1", orders.NewID(session, "A1", "BBB", "buy", 1))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if s := stop(); s != nil {
		t.Errorf("Stop by a sale that nobody submitted = %+v, want none", s)
	}
	sale := d.act("ana")
	sale.Chosen = func(o pipeline.ReviewOrder) (bool, error) { return o.Symbol == "AAA", nil }
	if _, err := d.review.Approve(t.Context(), sale); err != nil {
		t.Fatal(err)
	}
	if _, err := d.submit.Submit(t.Context(), sale); err != nil {
		t.Fatal(err)
	}
	for _, step := range []string{"submitted", "sent", "a part filled"} {
		switch step {
		case "sent":
			d.pass()
		case "a part filled":
			d.answer(d.execution("1", fills.Trade, "AAA", "70", "10"))
		}
		if s := stop(); s == nil || s.Unknown != "" || s.Loss.Amount != dec("300") {
			t.Errorf("%s: Stop = %+v, want 300 of the loss of 1000", step, s)
		}
	}
}

// In an account of another currency than the region's home the loss is told at the day's rate.
func TestLossesAreToldInHomeCurrency(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, rate string
		old        int // days from the rate to the session
		drip       string
		want       string
	}{
		{"denied", "1.40", 0, "5", "30 CAD of its loss would be denied"},
		{"the rate of ten days ago", "1.40", 10, "5", "30 CAD of its loss would be denied"},
		{"no rate for ten days", "1.40", 11, "5", "what its loss would be denied cannot be told: no exchange rate of USD in CAD at most ten days old on 2020-03-16"},
		{"a gain at this rate", "2.10", 0, "5", ""},
		{"nothing bought", "1.40", 0, "0", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDay(t)
			if _, err := d.review.Approve(t.Context(), d.act("ana")); err != nil {
				t.Fatal(err)
			}
			d.canadian(c.drip)
			d.exec(`INSERT INTO fx_rate (base, quote, day, rate, source) VALUES ('USD', 'CAD', $1, $2, 'test')`, session-market.Day(c.old), dec(c.rate))
			sale := d.act("mia")
			sale.Chosen = func(o pipeline.ReviewOrder) (bool, error) { return o.Side == "sell", nil }
			r, err := d.submit.Submit(t.Context(), sale)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if len(r.Stale) > 0 {
				got = r.Stale[0].Text()
			}
			if got != c.want || r.Orders+len(r.Stale) != 1 {
				t.Errorf("Submit = %+v, want the sale stale because %q", r, c.want)
			}
		})
	}
}

// canadian makes the household one of Canada with a pool of 100 AAA at 20 CAD, and more of them that
// dividends bought on the session before; the account stays one in USD.
func (d *day) canadian(drip string) {
	d.t.Helper()
	d.exec(`UPDATE household SET region = 'CA', book_version = 1`)
	d.exec(`UPDATE account SET type = 'non_registered'`)
	d.exec(`UPDATE trade_order SET lots = '[]'`)
	events := []region.Event{taxEvent("L1", region.Buy, market.MustDay("2018-01-02"), "100", "2000")}
	if drip != "0" {
		events = append(events, taxEvent("D1", region.Drip, session-3, drip, dec(drip).Mul(dec("20")).String()))
	}
	for i := range events {
		events[i].Currency, events[i].AccountType = "CAD", "non_registered"
	}
	d.exec(`INSERT INTO tax_history (household, through, events) VALUES ('H1', $1, $2)`, session-1, pipeline.Compress(encoded(d.t, events)))
}
