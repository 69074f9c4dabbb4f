package postgres_test

import (
	"fmt"
	"strings"
	"testing"

	"daybreak/fills"
	"daybreak/internal/postgres"
	"daybreak/internal/postgres/pgtest"
	"daybreak/market"
	"daybreak/money"
	"daybreak/orders"
	"daybreak/pipeline"
	"daybreak/portfolio"
	"daybreak/region"
)

// tell has the book take events of the day's household.
func (d *day) tell(all ...fills.Event) {
	d.t.Helper()
	var values [][]byte
	for _, e := range all {
		e.Source, e.Household, e.Effective = "custodian", "H1", max(e.Effective, session)
		values = append(values, encoded(d.t, pipeline.EventMessage{Event: &e}))
	}
	s := newEventStream(d.t, d.db)
	batch := s.records(values)
	for i := range batch {
		batch[i].Offset += s.at.Next
	}
	if err := s.handler.Handle(d.t.Context(), s.batch(batch)); err != nil {
		d.t.Fatal(err)
	}
}

func drip(id string, symbol market.Symbol, shares, amount string) fills.Event {
	return fills.Event{ID: id, Kind: fills.EventDrip, Account: "A1", Symbol: symbol, Shares: dec(shares), Amount: dec(amount), Currency: "USD"}
}

// exceptions returns the open exceptions as account, code, subject, whether they park, and detail.
func (d *day) exceptions() string {
	d.t.Helper()
	all, err := d.db.Exceptions(d.t.Context(), false)
	if err != nil {
		d.t.Fatal(err)
	}
	var lines []string
	for _, x := range all {
		lines = append(lines, fmt.Sprintf("%s %s %s parks %t: %s", x.Account, x.Code, x.Subject, x.Parks, x.Detail))
	}
	return strings.Join(lines, "\n")
}

// TestAPurchaseOutsideShowsWhatItDenies posts what a custodian bought: never refused, told in money
// where it denies a loss, on the last day of the window and not after it.
func TestAPurchaseOutsideShowsWhatItDenies(t *testing.T) {
	t.Parallel()
	const sale = "denies %s.00 USD of losses (%s.00 of BBB sold by A1 on 2020-03-13), %s.00 USD of it for good, worth %s USD of tax; the window runs through 2020-04-12"
	text := func(denied, gone, tax string) string { return fmt.Sprintf(sale, denied, denied, gone, tax) }
	last := session + lockUntil
	in := func(account portfolio.AccountID, e fills.Event) fills.Event { e.Account = account; return e }
	on := func(day market.Day, e fills.Event) fills.Event { e.Effective = day; return e }
	transfer := drip("T", "BBB", "20", "200")
	transfer.Kind, transfer.Account, transfer.ToAccount = fills.EventTransfer, "", "A1"
	for _, c := range []struct {
		name   string
		event  fills.Event
		change string
		want   string
	}{
		{"a dividend reinvested", drip("D", "BBB", "20", "200"), ``, "drip of 20 BBB on 2020-03-16 (event|custodian|D) " + text("200", "0", "70.00")},
		{"in an IRA", in("A2", drip("D", "BBB", "20", "200")), `INSERT INTO account (id, household, owner, type, currency, model, policy, opened) VALUES ('A2', 'H1', 'O1', 'ira', 'USD', 'M', '{}', '2017-01-02')`, text("200", "200", "70.00")},
		{"from another custodian", transfer, ``, "transfer of 20 BBB on 2020-03-16 (event|custodian|T) " + text("200", "0", "70.00")},
		{"the last day", on(last, drip("D", "BBB", "20", "200")), ``, text("200", "0", "70.00")},
		{"the day after", on(last+1, drip("D", "BBB", "20", "200")), ``, ""},
		{"another security", drip("D", "CCC", "20", "200"), ``, ""},
		{"a lock of nothing sold", drip("D", "BBB", "20", "200"), `DELETE FROM tax_history`, ""},
		{"a book that cannot be read", drip("D", "BBB", "20", "200"), `UPDATE tax_history SET events = 'x'`, "what it denies cannot be told: BAD_INPUT"},
		{"no lock", drip("D", "BBB", "20", "200"), `UPDATE tax_lock SET state = 'void'`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDay(t)
			d.whole(last)
			if c.change != "" {
				d.exec(c.change)
			}
			d.tell(c.event)
			got := d.exceptions()
			if (got == "") != (c.want == "") {
				t.Fatalf("exceptions after a purchase outside = %q, want %q", got, c.want)
			}
			if c.want != "" {
				want(t, "the exception", got, " DENIED_LOSS event|custodian|", "parks false", c.want)
			}
		})
	}
}

// TestADeniedLossInformsAndParksNothing sends the day's orders beside it, takes the purchase back, and
// closes another.
func TestADeniedLossInformsAndParksNothing(t *testing.T) {
	t.Parallel()
	d := newDay(t)
	d.whole(session + lockUntil)
	d.tell(drip("D", "BBB", "20", "200"), drip("E", "BBB", "5", "50"))
	want(t, "the first", d.exceptions(), "denies 200.00 USD", "denies 50.00 USD")
	sale := d.act("ana")
	sale.Chosen = func(o pipeline.ReviewOrder) (bool, error) { return o.Side == "sell", nil }
	if _, err := d.review.Approve(t.Context(), sale); err != nil {
		t.Fatal(err)
	}
	if _, err := d.submit.Submit(t.Context(), sale); err != nil {
		t.Fatal(err)
	}
	d.pass()
	d.wantStates("AAA PendingNew, BBB Proposed, CCC Proposed")

	d.tell(fills.Event{ID: "R", Kind: fills.EventReversal, Account: "A1", Reverses: "D"})
	got := d.exceptions()
	want(t, "after the reversal", got, "event|custodian|E")
	if strings.Contains(got, "event|custodian|D") {
		t.Errorf("exceptions after the purchase was taken back = %s, want it gone", got)
	}
	all, err := d.db.Exceptions(t.Context(), false)
	if err != nil || len(all) != 1 {
		t.Fatalf("Exceptions = %v, %v, want one", all, err)
	}
	if err := d.db.CloseException(t.Context(), all[0].ID, "ana", "the client asked for it", now); err != nil {
		t.Fatal(err)
	}
	if got := d.exceptions(); got != "" {
		t.Errorf("exceptions after closing = %s, want none", got)
	}
}

// TestDenialsAnyBatching has two dividends and a reversal come together and one by one.
func TestDenialsAnyBatching(t *testing.T) {
	t.Parallel()
	var texts []string
	for _, together := range []bool{true, false} {
		d := newDay(t)
		d.whole(session + lockUntil)
		all := []fills.Event{drip("D", "BBB", "20", "200"), drip("E", "BBB", "40", "400"), drip("F", "BBB", "40", "400")}
		if together {
			d.tell(all...)
		} else {
			for _, e := range all {
				d.tell(e)
			}
		}
		texts = append(texts, d.exceptions())
	}
	if texts[0] != texts[1] || strings.Count(texts[0], "DENIED_LOSS") != 2 {
		t.Errorf("together:\n%s\none by one:\n%s\nwant the same two: nothing is left to deny for the third", texts[0], texts[1])
	}
}

// TestAFillOfALockedPurchase fills an order that was at the broker before the lock came; an override
// of the order makes it no news.
func TestAFillOfALockedPurchase(t *testing.T) {
	t.Parallel()
	for _, allowed := range []bool{false, true} {
		d := newDay(t)
		d.exec(`UPDATE trade_order SET sent = now(), state = 'New', released = true, order_qty = quantity, leaves_qty = quantity WHERE symbol = 'BBB'`)
		d.whole(session + lockUntil)
		if allowed {
			d.exec(`INSERT INTO lock_override (run, order_id, content_hash, household, locks, destroyed, gone, tax, currency, basis, maker, approver, comment, decided)
				SELECT run, id, content_hash, household, '[{}]', 0, 0, 0, 'USD', '{}', 'mia', 'ana', 'must be', now() FROM trade_order WHERE symbol = 'BBB'`)
		}
		d.answer(d.execution("1", fills.Trade, "BBB", "30", "10"))
		got := d.exceptions()
		if denied := strings.Contains(got, "DENIED_LOSS"); denied == allowed {
			t.Errorf("exceptions of a fill, override %t = %q, want %t", allowed, got, !allowed)
		}
		if !allowed {
			want(t, "the exception", got, "buy of 30 BBB", "denies 300.00 USD of losses", "parks false")
		}
	}
}

// TestALossWithoutALockStops sells AAA, which was to bring a gain, at a loss, before AAB of the same
// property is bought: no lock was ever asked for, and every stage finds it.
func TestALossWithoutALockStops(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, price string
		states      string
	}{
		{"a loss", "10", "AAA Filled, AAB Proposed TAX_LOCK, CCC PendingNew"},
		{"a gain", "30", "AAA Filled, AAB PendingNew, CCC PendingNew"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDay(t)
			d.whole(session - 1)
			d.exec(`INSERT INTO security (symbol, name, currency, exchange, kind, asset_class, identical_group) VALUES ('AAB', 'AAB', 'USD', 'XNYS', 'etf', 'equity', 'AAA')`)
			d.exec(`INSERT INTO price (symbol, day, currency, close, adjustment) SELECT 'AAB', day, currency, close, adjustment FROM price WHERE symbol = 'BBB'`)
			d.rename("BBB", "AAB")
			d.exec(`DELETE FROM tax_lock`)
			if r, err := d.review.Approve(t.Context(), d.act("ana")); err != nil || r.Orders != 3 {
				t.Fatalf("Approve = %+v, %v, want 3 orders", r, err)
			}
			if _, err := d.submit.Submit(t.Context(), d.act("mia")); err != nil {
				t.Fatal(err)
			}
			d.pass()
			d.answer(d.execution("1", fills.Trade, "AAA", "100", c.price))
			d.pass()
			d.wantStates(c.states)
			if c.price == "10" {
				d.overrideOfALoss()
			}
		})
	}
}

// overrideOfALoss lets AAB through in spite of the loss that no lock row names.
func (d *day) overrideOfALoss() {
	d.t.Helper()
	id := orders.NewID(session, "A1", "BBB", "buy", 1)
	stop, err := d.review.Stop(d.t.Context(), d.run, "H1", id)
	if err != nil || stop == nil || len(stop.Locks) != 1 || !strings.HasSuffix(stop.Locks[0].Order, "|1") {
		d.t.Fatalf("Stop = %+v, %v, want one lock, named by the sale", stop, err)
	}
	want(d.t, "the stop", stop.Text(), "AAA is locked through 2020-04-15", "would destroy 300.00 USD")
	if v, err := d.overrideBy("ben", "must be"); err != nil || v.Orders != 1 {
		d.t.Fatalf("Override = %+v, %v, want one order", v, err)
	}
	d.pass()
	d.wantStates("AAA Filled, AAB PendingNew, CCC PendingNew")
	d.clean()
}

// rename has an order of the run buy another security, with the hash and the approval that go with it.
func (d *day) rename(from, to market.Symbol) {
	d.t.Helper()
	load, err := d.db.ReadDesk(d.t.Context(), pipeline.DeskRequest{Households: []portfolio.HouseholdID{"H1"}, Runs: []string{d.run}})
	if err != nil {
		d.t.Fatal(err)
	}
	for _, o := range load.Households[0].Orders {
		if o.Symbol == from {
			o.Symbol = to
			d.exec(`UPDATE trade_order SET symbol = $1, content_hash = $2 WHERE symbol = $3`, to, o.Content(), from)
		}
	}
}

// TestAnImportedLossIsLocked opens households whose record has a sale at a loss before its day.
func TestAnImportedLossIsLocked(t *testing.T) {
	t.Parallel()
	pool := pgtest.Schema(t)
	db := postgres.New(pool)
	for _, c := range []struct {
		id     string
		sold   int // days from the sale to the day of the record
		amount int64
		locked bool
	}{{"L30", 30, 900, true}, {"L31", 31, 900, false}, {"G1", 1, 1100, false}, {"L1", 1, 900, true}} {
		t.Run(c.id, func(t *testing.T) {
			opener := pipeline.NewOpener([]market.Security{{Symbol: "AAA", Currency: "USD", Exchange: market.XNYS, IdenticalGroup: "AAA"}})
			record := importedLoss(c.id, c.sold, c.amount)
			p, err := opener.Open(record)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := db.AddHouseholds(t.Context(), []pipeline.Opening{p}, now); err != nil {
				t.Fatal(err)
			}
			var n int
			err = pool.QueryRow(t.Context(), `SELECT count(*) FROM tax_lock WHERE household = $1 AND property = 'AAA' AND order_id = 'S1' AND state = 'fixed' AND until = $2`,
				c.id, record.AsOf-market.Day(c.sold)+30).Scan(&n)
			if err != nil || (n == 1) != c.locked {
				t.Errorf("locks of a household opened %d days after a sale = %d, %v, want one: %t", c.sold, n, err, c.locked)
			}
		})
	}
}

func importedLoss(id string, sold int, amount int64) pipeline.HouseholdRecord {
	asOf := market.MustDay("2020-03-13")
	event := func(e string, kind region.Kind, day market.Day, amount int64) region.Event {
		return region.Event{ID: e, Kind: kind, Day: day, Settle: day + 2, Seq: 1, Owner: "O1", Account: portfolio.AccountID("A-" + id), AccountType: "taxable",
			Symbol: "AAA", Shares: money.RatInt(10), Amount: money.FromInt(amount), Currency: "USD", FX: money.One}
	}
	return pipeline.HouseholdRecord{ID: portfolio.HouseholdID(id), Region: "US", AsOf: asOf, Owners: []pipeline.OwnerRecord{{ID: "O1", From: market.MustDay("2017-01-02")}},
		Accounts: []pipeline.AccountRecord{{ID: portfolio.AccountID("A-" + id), Owner: "O1", Type: "taxable", Currency: "USD", Model: "M", Opened: market.MustDay("2017-01-02")}},
		Events:   []region.Event{event("B1", region.Buy, market.MustDay("2018-01-02"), 1000), event("S1", region.Sell, asOf-market.Day(sold), amount)}}
}

// TestAnOrderWithoutATaxDayIsFlaggedAlone has a security of an exchange without a calendar: its order
// waits for a person, and the others of the batch go out.
func TestAnOrderWithoutATaxDayIsFlaggedAlone(t *testing.T) {
	t.Parallel()
	d := newDay(t)
	d.approveAndSubmit()
	d.exec(`UPDATE security SET exchange = 'XLON' WHERE symbol = 'BBB'`)
	d.pass()
	d.answer(d.execution("1", fills.Trade, "AAA", "100", "10"))
	d.pass()
	d.wantStates("AAA Filled, BBB Proposed NO_TAX_DAY, CCC PendingNew")
}
