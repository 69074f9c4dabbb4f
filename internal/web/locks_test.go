package web_test

import (
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"testing"

	"daybreak/market"
	"daybreak/money"
	"daybreak/orders"
	"daybreak/pipeline"
	"daybreak/portfolio"
	"daybreak/region"
)

// lockedPurchase locks what an order buys: the household sold 10 shares of it on the session before at
// a loss of 900. It returns the order's id.
func (s *site) lockedPurchase() string {
	s.t.Helper()
	id := scalar[string](s, `SELECT min(o.id) FROM trade_order o JOIN account a ON a.id = o.account
		WHERE o.side = 'buy' AND a.type = 'taxable' AND o.quantity > 10 AND o.held_by = '' AND o.exception = ''`)
	household := scalar[portfolio.HouseholdID](s, `SELECT household FROM trade_order WHERE id = $1`, id)
	load, err := s.db.ReadDesk(s.t.Context(), pipeline.DeskRequest{Households: []portfolio.HouseholdID{household}, Runs: []string{testRun}})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, o := range load.Households[0].Orders {
		if string(o.ID) != id {
			continue
		}
		s.exec(`UPDATE trade_order SET content_hash = $2 WHERE id = $1`, id, o.Content())
		event := func(id string, kind region.Kind, day market.Day, amount int64) region.Event {
			return region.Event{ID: id, Kind: kind, Day: day, Settle: day, Owner: portfolio.OwnerID(household) + "-a", Account: o.Account, AccountType: "taxable",
				Symbol: o.Symbol, Shares: money.RatInt(10), Amount: money.FromInt(amount), Currency: "USD"}
		}
		text, err := json.Marshal([]region.Event{event("B", region.Buy, o.Session-200, 1000), event("S", region.Sell, o.Session-3, 100)})
		if err != nil {
			s.t.Fatal(err)
		}
		s.exec(`INSERT INTO tax_history (household, through, events) VALUES ($1, '2020-03-14', $2)`, household, pipeline.Compress(text))
		s.exec(`INSERT INTO tax_lock (household, property, order_id, run, account, symbol, until, state)
			VALUES ($1, $2, 'SALE', '2020-03-13.1', $3, $2, '2020-04-12', 'fixed')`, household, o.Symbol, o.Account)
	}
	return id
}

// TestOverrideOfATaxLock looks at a purchase that a lock stops, and lets it through.
func TestOverrideOfATaxLock(t *testing.T) {
	t.Parallel()
	s := open(t, true)
	id := s.lockedPurchase()
	ana, ben, eve := s.as("ana"), s.as("ben"), s.as("eve")
	page, ask := "/runs/"+testRun+"/orders/"+id, "/runs/"+testRun+"/approve?id="+id
	stop := []string{"is locked through 2020-04-12", "SALE", "900.00 USD", "0.00 USD", "315.00 USD"}

	_, text := s.get(eve, page)
	s.mention(page, text, append(stop, "Tax lock", "Losses destroyed", "Reject the order")...)
	if regexp.MustCompile("Approve|Buy all the same").MatchString(words(text)) {
		t.Errorf("a viewer is offered to approve: %s", words(text))
	}
	_, text = s.get(ben, ask)
	s.mention(ask, text, "Left out: a check stops them", "Locked for tax", "locked through 2020-04-12", "destroy 900.00 USD of losses")
	_, text = s.get(ben, page)
	s.mention(page, text, "Buy all the same…", "You sign that this order destroys 900.00 USD of losses")
	root := html.UnescapeString(regexp.MustCompile(`name="root" value="([0-9a-f]+)"`).FindStringSubmatch(text)[1])
	signed := url.Values{"root": {root}, "comment": {"pension due"}}

	for _, c := range []struct {
		name   string
		client *http.Client
		form   url.Values
		status int
	}{
		{"a viewer", eve, signed, http.StatusForbidden},
		{"no comment", ben, url.Values{"root": {root}, "comment": {" "}}, http.StatusBadRequest},
		{"nothing shown", ben, url.Values{"comment": {"x"}}, http.StatusBadRequest},
		{"another loss was shown", ben, url.Values{"root": {"aa"}, "comment": {"x"}}, http.StatusConflict},
	} {
		if status, text, _ := s.post(c.client, page+"/override", c.form); status != c.status {
			t.Errorf("override by %s = %d, want %d\n%s", c.name, status, c.status, words(text))
		}
	}
	s.exec("UPDATE run SET maker = 'ana'")
	if status, text, _ := s.post(ana, page+"/override", signed); status != http.StatusConflict {
		t.Errorf("override by the run's maker = %d, want 409\n%s", status, words(text))
	}
	_, text = s.get(ana, page)
	s.mention(page, text, "You started this run: another person must override the lock.")
	if n := scalar[int](s, "SELECT count(*) FROM lock_override"); n != 0 {
		t.Fatalf("%d overrides after refusals, want none", n)
	}
	if status, text, to := s.post(ben, page+"/override", signed); status != http.StatusSeeOther || to != page {
		t.Fatalf("override = %d to %q, want 303 to the order\n%s", status, to, words(text))
	}
	_, text = s.get(ben, page)
	s.mention(page, text, "is approved and may buy in spite of the tax lock", "Tax lock overridden by ben", "pension due", "destroys 900.00 USD of losses", "Approved")
	if status, _, _ := s.post(ben, page+"/override", signed); status != http.StatusConflict {
		t.Errorf("a second override = %d, want 409: nothing stops the order", status)
	}
	got := scalar[string](s, `SELECT approver || ' ' || maker || ' ' || destroyed::numeric(38, 2) || ' ' || currency || ' ' || comment FROM lock_override WHERE order_id = $1`, id)
	if got != "ben ana 900.00 USD pension due" {
		t.Errorf("the override says %q", got)
	}
	if stop, err := (pipeline.Review{Book: s.db, Limits: orders.DefaultLimits}).Stop(t.Context(), testRun,
		scalar[portfolio.HouseholdID](s, `SELECT household FROM trade_order WHERE id = $1`, id), orders.ID(id)); err != nil || stop != nil {
		t.Errorf("Stop = %+v, %v, want none", stop, err)
	}
}
