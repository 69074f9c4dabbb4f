package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"daybreak/internal/postgres"
	"daybreak/internal/postgres/pgtest"
	"daybreak/market"
	"daybreak/money"
	"daybreak/orders"
	"daybreak/pipeline"
	"daybreak/portfolio"
	"daybreak/rebalance"
	"daybreak/region"
)

// lockedRun returns a database with a run, made by mia, that proposes to buy 40 AAA for a Canadian
// household that sold 100 of them on the session before, at a loss of 1,000 CAD, and has them locked.
func lockedRun(t *testing.T) (dsn string, id orders.ID) {
	t.Helper()
	dsn = pgtest.DSN(t)
	db, err := postgres.Open(t.Context(), dsn, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	session := market.MustDay("2020-03-16")
	run := pipeline.Run{Session: session, State: pipeline.RunStarted, Workflow: pipeline.Workflow, Build: "b", Rules: "r", Market: "m", Maker: "mia",
		Households: 1, Started: time.Unix(0, 0)}
	seed := func(sql string, args ...any) {
		t.Helper()
		if _, err := db.Pool().Exec(t.Context(), sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	asSample(t, db)
	seed(`INSERT INTO security (symbol, name, currency, exchange, kind, asset_class, identical_group) VALUES ('AAA', 'A', 'CAD', 'XTSE', 'etf', 'equity', 'AAA')`)
	seed(`INSERT INTO household (id, region, routing_key, opened) VALUES ('H1', 'CA', 'H1', '2017-01-02')`)
	seed(`INSERT INTO household_owner (household, id, since) VALUES ('H1', 'O1', '2017-01-02')`)
	seed(`INSERT INTO account (id, household, owner, type, currency, model, policy, opened) VALUES ('A1', 'H1', 'O1', 'tfsa', 'CAD', 'M', '{}', '2017-01-02')`)
	event := func(id string, kind region.Kind, day market.Day, amount int64) region.Event {
		return region.Event{ID: id, Kind: kind, Day: day, Settle: day, Owner: "O1", Account: "A2", AccountType: "non_registered", Symbol: "AAA",
			Shares: money.RatInt(100), Amount: money.FromInt(amount), Currency: "CAD"}
	}
	history, err := json.Marshal([]region.Event{event("B", region.Buy, session-300, 3000), event("S", region.Sell, session-3, 2000)})
	if err != nil {
		t.Fatal(err)
	}
	seed(`INSERT INTO tax_history (household, through, events) VALUES ('H1', $1, $2)`, session-1, pipeline.Compress(history))
	run, err = db.CreateRun(t.Context(), run, pipeline.StoredMarket{Hash: "m", Day: session, Body: []byte("{}")}, []portfolio.HouseholdID{"H1"})
	if err != nil {
		t.Fatal(err)
	}
	seed(`INSERT INTO tax_lock (household, property, order_id, run, account, symbol, until, state) VALUES ('H1', 'AAA', 'SALE', $1, 'A2', 'AAA', '2020-04-14', 'fixed')`, run.ID)
	plan := rebalance.HouseholdPlan{Household: "H1", Accounts: []rebalance.AccountPlan{{Account: "A1", Currency: "CAD", Outcome: rebalance.Planned,
		Trades: []rebalance.Trade{{Account: "A1", Symbol: "AAA", Side: portfolio.Buy, Shares: money.FromInt(40), Price: money.FromInt(20), PriceDay: session,
			Currency: "CAD", FX: money.One, Notional: money.FromInt(800), Value: money.FromInt(800), Reason: rebalance.Reason{Code: "INVEST_CASH"}}}}}}
	all := orders.FromPlan(orders.Source{Run: run.ID, Build: "b", Rules: "r", Session: session}, plan)
	at, err := db.Assign(t.Context(), pipeline.TopicWork, "work", []int32{0})
	if err != nil {
		t.Fatal(err)
	}
	batch := pipeline.Batch{Topic: pipeline.TopicWork, Spans: []pipeline.Span{{Next: 1, Epoch: at[0].Epoch, Applied: 1, LastRecord: time.Unix(0, 0)}}}
	decision := pipeline.Decision{Run: run.ID, Household: "H1", Outcome: pipeline.OutcomePlanned, Input: []byte{}, Plan: plan, Orders: all}
	if err := db.SaveDecisions(t.Context(), batch, []pipeline.Decision{decision}, nil); err != nil {
		t.Fatal(err)
	}
	return dsn, all[0].ID
}

// TestOrderOverrideLock goes the way of a manager: the approval is refused and says what the purchase
// destroys, here for good since a TFSA buys; the maker, and who gives no reason, cannot override; then
// it goes on, and a second time nothing happens.
func TestOrderOverrideLock(t *testing.T) {
	t.Parallel()
	dsn, id := lockedRun(t)
	const run, override = "--run 2020-03-16.1 ", " --override-lock --comment pension"
	loss := []string{"AAA is locked through 2020-04-14 by the sale SALE of account A2", "destroy 400.00 CAD of losses", "400.00 CAD of it for good", "worth 90.00 CAD of tax"}
	for _, c := range []struct {
		name string
		args string
		code int
		says []string
	}{
		{"shown before", "show " + string(id), exitOK, append([]string{"locked  AAA"}, loss...)},
		{"approval", "approve " + run + "--as ana", exitExceptions, append([]string{"approved 0 orders", "TAX_LOCK"}, loss...)},
		{"listed", `list --where exception=="TAX_LOCK"`, exitOK, []string{string(id), "Flagged TAX_LOCK"}},
		{"no reason", "approve " + run + "--as ana --override-lock", exitUsage, []string{"--override-lock needs --comment"}},
		{"the maker", "approve " + run + "--as mia" + override, exitConflict, []string{"made by mia"}},
		{"none matches", `approve ` + run + `--as ana --where side=="sell"` + override, exitNotFound, []string{"no order matches"}},
		{"another person", `approve ` + run + `--as ana --where exception=="TAX_LOCK"` + override, exitOK,
			[]string{"overrode the tax locks of 1 orders", "AAA until 2020-04-14 (sale SALE): destroys 400.00 CAD of losses, 400.00 CAD of it for good", "ana: pension", "approved 1 of them: 800.00 CAD"}},
		{"a second time", "approve " + run + "--as ben" + override, exitOK, []string{"overrode the tax locks of 0 orders"}},
		{"shown after", "show " + string(id), exitOK, []string{"status  Approved", "let go  buys AAA until 2020-04-14", "ana: pension"}},
		{"shown as JSON", "show " + string(id) + " -o json", exitOK, []string{`"approver":"ana"`, `"amount":"400"`, `"comment":"pension"`}},
		{"submitted", "submit " + run + "--as mia", exitOK, []string{"submitted 1 orders"}},
	} {
		got := commandLine(t.Context(), nil, append([]string{"order", "--database-url", dsn}, strings.Fields(c.args)...)...)
		if got.code != c.code {
			t.Errorf("%s: order %s = %d, %q, %q, want %d", c.name, c.args, got.code, got.out, got.err, c.code)
		}
		for _, want := range c.says {
			if text := strings.ReplaceAll(got.out+got.err, `": `, `":`); !strings.Contains(text, want) {
				t.Errorf("%s: order %s says %q, want %q in it", c.name, c.args, text, want)
			}
		}
	}
}
