package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"daybreak/internal/postgres/pgtest"
	"daybreak/market"
	"daybreak/money"
	"daybreak/pipeline"
)

func TestSamplesAreGoodAndTheOthersRefused(t *testing.T) {
	t.Parallel()
	const dir = "../../deploy/kafka/samples/"
	good := commandLine(t.Context(), nil, "schemas", "check", dir+"cash_movement.jsonl", dir+"security_movement.jsonl", dir+"fx_rate.jsonl", dir+"corporate_action.jsonl")
	if good.code != exitOK || good.out != "" || !strings.Contains(good.err, "13 records are good, 0 are not") {
		t.Errorf("schemas check of the samples = %d %s%s, want 13 good ones", good.code, good.out, good.err)
	}
	bad := commandLine(t.Context(), nil, "schemas", "check", dir+"refused.jsonl")
	want := []string{"1: BAD_TERMS: amount 10.005 has parts of a cent", "2: BAD_TERMS: a drip is no CashMovement", "3: BAD_AVRO: household is missing",
		"4: BAD_AVRO: amount: a decimal is a string", "5: BAD_AVRO: effective: \"16.3.2020\" is no day", "6: BAD_TERMS: a split of 1 for 1", "7: UNKNOWN_SCHEMA: schema \"Deposit\""}
	lines := strings.Split(strings.TrimSpace(bad.out), "\n")
	if bad.code != exitDifferences || len(lines) != len(want) {
		t.Fatalf("schemas check of bad records = %d\n%s, want %d lines and %d", bad.code, bad.out, len(want), exitDifferences)
	}
	for i, w := range want {
		if !strings.Contains(lines[i], "refused.jsonl:"+w) {
			t.Errorf("line %d is %s, want %s", i, lines[i], w)
		}
	}
}

// eventWorld is an installation with a sample world, on a broker of this process.
func eventWorld(t *testing.T) (*app, *services) {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return eventWorldOn(t, cluster.ListenAddrs())
}

// eventWorldOn is eventWorld on brokers.
func eventWorldOn(t *testing.T, brokers []string) (*app, *services) {
	t.Helper()
	a := &app{now: time.Now, unsetenv: func(string) error { return nil }, in: strings.NewReader(""), out: io.Discard, errOut: io.Discard,
		settings: defaultSettings(), log: slog.New(slog.DiscardHandler)}
	a.settings.DatabaseURL, a.settings.Brokers = pgtest.DSN(t), brokers
	place, err := a.bringUp(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := a.fillEmptyBook(t.Context(), place, 40); err != nil {
		t.Fatal(err)
	}
	s, err := a.openServices(t.Context(), place)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return a, s
}

// holder is an account of the world and a security that it holds.
type holder struct{ household, account, symbol, currency, shares string }

func findHolder(t *testing.T, s *services) holder {
	t.Helper()
	var h holder
	err := s.db.Pool().QueryRow(t.Context(), `SELECT p.household, p.account, p.symbol, a.currency, trim_scale(p.shares)::text FROM position p
		JOIN account a ON a.id = p.account WHERE p.shares > 10 AND a.type = 'taxable' ORDER BY p.household, p.account, p.symbol LIMIT 1`).
		Scan(&h.household, &h.account, &h.symbol, &h.currency, &h.shares)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// lines writes records, each a JSON object by fmt, to a file.
func writeLines(t *testing.T, name string, records ...map[string]any) string {
	t.Helper()
	var b bytes.Buffer
	for _, r := range records {
		if err := json.NewEncoder(&b).Encode(r); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// consumed runs the role fills until the book has taken n records of daybreak.events.
func consumed(t *testing.T, s *services, n int64) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- s.fills(ctx) }()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		var taken int64
		err := s.db.Pool().QueryRow(ctx, `SELECT coalesce(sum(next_offset - first_offset), 0)::bigint FROM stream_offset WHERE topic = $1`, pipeline.TopicEvents).Scan(&taken)
		if err != nil {
			t.Fatal(err)
		}
		if taken >= n {
			break
		}
		<-tick.C
	}
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func (h holder) record(schema, id, kind string, more map[string]any) map[string]any {
	r := map[string]any{"schema": schema, "source": "test", "event_id": id, "kind": kind, "household": h.household, "account": h.account,
		"currency": h.currency, "effective": sampleDay.String()}
	for name, value := range more {
		r[name] = value
	}
	return r
}

func wantVerified(t *testing.T, s *services) {
	t.Helper()
	checks, err := verify(t.Context(), s.db)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range checks {
		if !c.OK {
			t.Errorf("invariant %s is broken: %v", c.Invariant, c.Broken)
		}
	}
}

func TestEventsEndToEnd(t *testing.T) {
	t.Parallel()
	a, s := eventWorld(t)
	h := findHolder(t, s)
	cashOf := func() string {
		var amount string
		if err := s.db.Pool().QueryRow(t.Context(), `SELECT trim_scale(amount)::text FROM cash WHERE account = $1 AND currency = $2`, h.account, h.currency).Scan(&amount); err != nil {
			t.Fatal(err)
		}
		return amount
	}
	sharesOf := func() string {
		var shares string
		if err := s.db.Pool().QueryRow(t.Context(), `SELECT trim_scale(shares)::text FROM position WHERE account = $1 AND symbol = $2`, h.account, h.symbol).Scan(&shares); err != nil {
			t.Fatal(err)
		}
		return shares
	}
	cash := cashOf()
	wantVerified(t, s)
	file := writeLines(t, "events.jsonl",
		h.record("CashMovement", "D1", "deposit", map[string]any{"amount": "1000.00"}),
		h.record("CashMovement", "W1", "withdrawal", map[string]any{"amount": "200.00"}),
		h.record("CashMovement", "F1", "fee", map[string]any{"amount": "9.50"}),
		h.record("CashMovement", "V1", "dividend", map[string]any{"amount": "12.34", "security": h.symbol}),
		h.record("SecurityMovement", "P1", "drip", map[string]any{"amount": "30.00", "security": h.symbol, "shares": "1.5"}),
		h.record("CashMovement", "D1", "deposit", map[string]any{"amount": "1000.00"}),
		h.record("CashMovement", "W1", "withdrawal", map[string]any{"amount": "200.01"}),
		h.record("CashMovement", "X1", "deposit", map[string]any{"amount": "5.00", "account": "NOBODY"}),
		h.record("CashMovement", "D2", "deposit", map[string]any{"amount": "77.00"}),
		map[string]any{"schema": "CashMovement", "source": "test", "event_id": "R2", "kind": "reversal", "household": h.household, "account": h.account,
			"effective": sampleDay.String(), "reverses": "D2"},
		map[string]any{"schema": "FXRate", "source": "test", "event_id": "FX1", "base": "USD", "quote": "CAD", "day": "2021-01-04", "rate": "1.2753"},
	)
	n, err := s.publishEvents(t.Context(), []string{file})
	if err != nil || n != 11 {
		t.Fatalf("publishEvents = %d, %v, want 11", n, err)
	}
	preview := commandLine(t.Context(), nil, "schemas", "check", "--consume", pipeline.TopicEvents, "--database-url", a.settings.DatabaseURL,
		"--brokers", strings.Join(a.settings.Brokers, ","))
	if preview.code != exitDifferences || strings.Count(preview.out, "APPLIED") != 8 || strings.Count(preview.out, "DUPLICATE") != 1 ||
		!strings.Contains(preview.out, "CONFLICT") || !strings.Contains(preview.out, "UNKNOWN_ACCOUNT") {
		t.Errorf("schemas check --consume = %d\n%s%s, want 8 applied, a duplicate, a conflict and an unknown account", preview.code, preview.out, preview.err)
	}
	if got := cashOf(); got != cash {
		t.Errorf("the dry run left %s cash, want %s", got, cash)
	}
	shares := sharesOf()
	consumed(t, s, 11)
	if got, want := cashOf(), sum(t, cash, "802.84"); got != want {
		t.Errorf("cash is %s, want %s", got, want)
	}
	if got, want := sharesOf(), sum(t, shares, "1.5"); got != want {
		t.Errorf("shares of %s are %s, want %s", h.symbol, got, want)
	}
	var counts string
	if err := s.db.Pool().QueryRow(t.Context(), `SELECT sum(applied) || ' ' || sum(duplicate) || ' ' || sum(dead) FROM stream_offset WHERE topic = $1`, pipeline.TopicEvents).Scan(&counts); err != nil || counts != "8 1 2" {
		t.Errorf("records ended as %s, %v, want 8 applied, 1 duplicate, 2 dead", counts, err)
	}
	var rate string
	if err := s.db.Pool().QueryRow(t.Context(), `SELECT trim_scale(rate)::text FROM fx_rate WHERE day = '2021-01-04' AND base = 'USD' AND quote = 'CAD'`).Scan(&rate); err != nil || rate != "1.2753" {
		t.Errorf("the rate is %s, %v, want 1.2753", rate, err)
	}
	wantVerified(t, s)
}

func sum(t *testing.T, a, b string) string {
	t.Helper()
	return money.MustParse(a).Add(money.MustParse(b)).String()
}

func TestCorporateActionEndToEnd(t *testing.T) {
	t.Parallel()
	a, s := eventWorld(t)
	h := findHolder(t, s)
	ex := sampleDay - 1
	split := map[string]any{"schema": "CorporateAction", "source": "test", "event_id": "S1", "kind": "split", "security": h.symbol,
		"ex_date": ex.String(), "new_shares": 4, "old_shares": 3}
	roc := map[string]any{"schema": "CorporateAction", "source": "test", "event_id": "C1", "kind": "roc", "security": h.symbol,
		"ex_date": ex.String(), "pay_date": ex.String(), "per_share": "0.05", "currency": "CAD"}
	later := map[string]any{"schema": "CorporateAction", "source": "test", "event_id": "S2", "kind": "split", "security": h.symbol,
		"ex_date": market.NewDay(2030, 1, 2).String(), "new_shares": 2, "old_shares": 1}
	file := writeLines(t, "split.jsonl", split)
	command := func(args ...string) ran {
		return commandLine(t.Context(), nil, append(args, "--database-url", a.settings.DatabaseURL, "--brokers", strings.Join(a.settings.Brokers, ","), "-o", "jsonl")...)
	}
	var holders int
	if err := s.db.Pool().QueryRow(t.Context(), `SELECT count(*) FROM position WHERE symbol = $1 AND shares <> 0`, h.symbol).Scan(&holders); err != nil {
		t.Fatal(err)
	}
	preview := command("action", "preview", "--file", file)
	if preview.code != exitOK || strings.Count(preview.out, "\n") != holders {
		t.Errorf("action preview = %d with %d lines, want %d holders: %s", preview.code, strings.Count(preview.out, "\n"), holders, preview.err)
	}
	if _, err := s.publishEvents(t.Context(), []string{writeLines(t, "actions.jsonl", split, roc, later, split)}); err != nil {
		t.Fatal(err)
	}
	before := book(t, s, h.symbol)
	consumed(t, s, 4)
	for range 2 { // the second time changes nothing
		if err := s.fanout().Due(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	wantVerified(t, s)
	after := book(t, s, h.symbol)
	for account, shares := range before {
		exact := money.MustParse(shares).Mul(money.MustParse("4")).Div(money.MustParse("3"))
		if off := money.MustParse(after[account]).Sub(exact).Abs(); money.MustParse("0.000000000001").Less(off) {
			t.Errorf("account %s has %s after the split, had %s", account, after[account], shares)
		}
	}
	// A DRIP of before the ex-date arrives late: the split and the return of capital come to it too.
	late := h.record("SecurityMovement", "LATE", "drip", map[string]any{"amount": "60.00", "security": h.symbol, "shares": "3", "effective": (ex - 5).String()})
	if _, err := s.publishEvents(t.Context(), []string{writeLines(t, "late.jsonl", late)}); err != nil {
		t.Fatal(err)
	}
	consumed(t, s, 5)
	if err := s.fanout().Due(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantVerified(t, s)
	want := money.MustParse(before[h.account]).Add(money.MustParse("3")).Mul(money.MustParse("4")).Div(money.MustParse("3"))
	if got := money.MustParse(book(t, s, h.symbol)[h.account]); money.MustParse("0.000000000001").Less(got.Sub(want).Abs()) {
		t.Errorf("account %s has %s after the late DRIP, want %s", h.account, got, want)
	}
	states := command("action", "list")
	if strings.Count(states.out, `"applied":"`) != 2 || strings.Count(states.out, `"applied":null`) != 1 {
		t.Errorf("action list says\n%s, want two applied and one waiting", states.out)
	}
	var split1, roc1 int
	err := s.db.Pool().QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE kind = 'split'), count(*) FILTER (WHERE kind = 'roc') FROM book_event WHERE account = $1`, h.account).Scan(&split1, &roc1)
	if err != nil || split1 != 2 || roc1 != 2 {
		t.Errorf("account %s has %d parts of the split and %d of the return of capital, %v, want 2 of each", h.account, split1, roc1, err)
	}
}

// book returns the shares of a security by account.
func book(t *testing.T, s *services, symbol string) map[string]string {
	t.Helper()
	rows, err := s.db.Pool().Query(t.Context(), `SELECT account, trim_scale(shares)::text FROM position WHERE symbol = $1 AND shares <> 0`, symbol)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	held := map[string]string{}
	for rows.Next() {
		var account, shares string
		if err := rows.Scan(&account, &shares); err != nil {
			t.Fatal(err)
		}
		held[account] = shares
	}
	if len(held) == 0 {
		t.Fatal(fmt.Errorf("nobody holds %s", symbol))
	}
	return held
}
