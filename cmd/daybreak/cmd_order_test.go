package main

import (
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
)

// proposedRun returns a database with a run, made by mia, that proposes one sale.
func proposedRun(t *testing.T) (dsn string) {
	t.Helper()
	dsn = pgtest.DSN(t)
	db, err := postgres.Open(t.Context(), dsn, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	session := market.MustDay("2020-03-16")
	if _, err := db.Pool().Exec(t.Context(), `INSERT INTO household (id, region, routing_key, opened) VALUES ('H1', 'US', 'H1', '2017-01-02')`); err != nil {
		t.Fatal(err)
	}
	asSample(t, db)
	run, err := db.CreateRun(t.Context(), pipeline.Run{Session: session, State: pipeline.RunStarted, Workflow: pipeline.Workflow, Build: "b",
		Rules: "r", Market: "m", Maker: "mia", Households: 1, Started: time.Unix(0, 0)},
		pipeline.StoredMarket{Hash: "m", Day: session, Body: []byte("{}")}, []portfolio.HouseholdID{"H1"})
	if err != nil {
		t.Fatal(err)
	}
	plan := rebalance.HouseholdPlan{Household: "H1", Accounts: []rebalance.AccountPlan{{Account: "A1", Currency: "USD", Outcome: rebalance.Planned,
		Trades: []rebalance.Trade{{Account: "A1", Symbol: "AAA", Side: portfolio.Sell, Shares: money.FromInt(3), Price: money.FromInt(10), PriceDay: session,
			Currency: "USD", FX: money.One, Notional: money.FromInt(30), Value: money.FromInt(30), Reason: rebalance.Reason{Code: "HARVEST"},
			Lots: []rebalance.TradeLot{{Lot: "L1", Shares: money.FromInt(3)}}}}}}}
	at, err := db.Assign(t.Context(), pipeline.TopicWork, "work", []int32{0})
	if err != nil {
		t.Fatal(err)
	}
	err = db.SaveDecisions(t.Context(),
		pipeline.Batch{Topic: pipeline.TopicWork, Spans: []pipeline.Span{{Next: 1, Epoch: at[0].Epoch, LastRecord: time.Unix(0, 0)}}},
		[]pipeline.Decision{{Run: run.ID, Household: "H1", Outcome: pipeline.OutcomePlanned, Input: []byte{}, Plan: plan,
			Orders: orders.FromPlan(orders.Source{Run: run.ID, Build: "b", Rules: "r", Session: session}, plan)}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return dsn
}

func TestOrderCommands(t *testing.T) {
	t.Parallel()
	dsn := proposedRun(t)
	const id = "--run 2020-03-16.1 "
	for _, c := range []struct {
		name string
		args string
		code int
		says string
	}{
		{"no run", "approve --as ana", exitUsage, `"run" not set`},
		{"nobody", "approve " + id, exitUsage, `"as" not set`},
		{"another run", "approve --run 2020-03-17.1 --as ana", exitNotFound, "run 2020-03-17.1: not found"},
		{"maker", "approve " + id + "--as mia", exitConflict, "made by mia"},
		{"unknown field", "approve " + id + "--as ana --where symbol==1", exitUsage, "the fields are"},
		{"bad number", `approve ` + id + `--as ana --where notional<dec("1e400")`, exitUsage, "not a decimal number"},
		{"none matches", `approve ` + id + `--as ana --where side=="buy"`, exitNotFound, "no order matches"},
		{"list", "list -o jsonl", exitOK, `"security":"AAA","side":"sell","quantity":"3"`},
		{"held", "hold " + id + "--as ana", exitOK, "held 1 orders"},
		{"held ones are not approved", "approve " + id + "--as ana", exitOK, "approved 0 orders"},
		{"let go", "hold --release " + id + "--as ana", exitOK, "released 1 orders"},
		{"not approved yet", "submit " + id + "--as mia", exitOK, "submitted 0 orders"},
		{"approved", `approve ` + id + `--as ana --where notional>=dec("30")`, exitOK, "approved 1 orders of run 2020-03-16.1: 30.00 USD"},
		{"approved twice", "approve " + id + "--as ana", exitOK, "approved 0 orders"},
		{"rejected", "reject " + id + "--as ana --comment no", exitOK, "rejected 1 orders"},
		{"submitted", "submit " + id + "--as mia", exitOK, "submitted 0 orders"},
		{"status", `list --where status=="Canceled"`, exitOK, "REVIEW_REJECTED"},
		{"export", "export " + id + "-o jsonl", exitOK, `"household":"H1","security":"AAA","side":"sell","quantity":"3","lots":[{"lot":"L1","shares":"3"}],"reason":"HARVEST","numbers":{}}`},
		{"export of another run", "export --run 2020-03-17.1", exitNotFound, "not found"},
		{"show nothing", "show NOPE", exitNotFound, "order NOPE: not found"},
	} {
		got := commandLine(t.Context(), nil, append([]string{"order", "--database-url", dsn}, strings.Fields(c.args)...)...)
		if got.code != c.code || !strings.Contains(got.out+got.err, c.says) {
			t.Errorf("%s: order %s = %d, %q, %q, want %d, %q", c.name, c.args, got.code, got.out, got.err, c.code, c.says)
		}
		if strings.Contains(got.err, "goroutine") {
			t.Errorf("%s: order %s prints a stack trace", c.name, c.args)
		}
	}
}
