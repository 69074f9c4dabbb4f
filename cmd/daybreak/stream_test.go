package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.yaml.in/yaml/v3"

	"daybreak/internal/kafka"
	"daybreak/internal/metrics"
	"daybreak/internal/web"
	"daybreak/pipeline"
)

// playing runs the role fills until the test ends.
func playing(t *testing.T, s *services) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.fills(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// until waits for a query to give true.
func until(t *testing.T, s *services, query string, args ...any) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(time.Minute)
	for {
		var is bool
		if err := s.db.Pool().QueryRow(t.Context(), query, args...).Scan(&is); err != nil {
			t.Fatal(query, err)
		}
		if is {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("after a minute not: %s", query)
		}
	}
}

// sendEvents publishes records of events.
func sendEvents(t *testing.T, s *services, records ...map[string]any) {
	t.Helper()
	if n, err := s.publishEvents(t.Context(), []string{writeLines(t, "records.jsonl", records...)}); err != nil || n != len(records) {
		t.Fatalf("publishEvents = %d, %v, want %d", n, err, len(records))
	}
}

func (s *services) office() *office { return &office{where: s.where, db: s.db, producer: s.producer} }

// TestStreamByHand has a letter for an account that comes later replayed by itself, lag shown, a letter
// dropped, and the topic read again while the consumers stand at its end.
func TestStreamByHand(t *testing.T) {
	t.Parallel()
	a, s := eventWorld(t)
	h := findHolder(t, s)
	stranger := h
	stranger.household, stranger.account = "HNEW", "ANEW"
	deposit := map[string]any{"amount": "12.34"}
	nobody := h
	nobody.household, nobody.account = "HNONE", "ANONE"
	assigned(t, s)
	sendEvents(t, s, h.record("CashMovement", "S1", "deposit", deposit), stranger.record("CashMovement", "S2", "deposit", deposit),
		nobody.record("CashMovement", "S3", "deposit", deposit))

	lags, err := lagOf(t.Context(), s.db, s.where.Brokers, pipeline.TopicEvents, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var records int64
	for _, l := range lags {
		records += l.Records
		if l.Records > 0 && l.Seconds <= 0 {
			t.Errorf("lag of a partition with %d records is %g s, want the age of the oldest", l.Records, l.Seconds)
		}
	}
	if records != 3 || len(lags) != 96 {
		t.Errorf("lag is %d records in %d partitions, want 3 in 96", records, len(lags))
	}
	playing(t, s)
	until(t, s, `SELECT count(*) = 2 AND count(relayed) = 2 FROM dead_letter`)
	sent, err := kafka.ReadTopic(t.Context(), s.where.Brokers, pipeline.TopicDeadLetters, nil, 10)
	if err != nil || len(sent) != 2 {
		t.Errorf("the topic of dead letters has %d records, %v, want 2", len(sent), err)
	}
	for _, q := range []string{
		`INSERT INTO household (id, region, routing_key, book_version, opened) SELECT 'HNEW', region, 'HNEW', 1, opened FROM household WHERE id = $1`,
		`INSERT INTO account (id, household, owner, type, currency, model, policy, opened) SELECT 'ANEW', 'HNEW', 'ONEW', type, currency, model, policy, opened FROM account WHERE household = $1 LIMIT 1`,
	} {
		if _, err := s.db.Pool().Exec(t.Context(), q, h.household); err != nil {
			t.Fatal(err)
		}
	}
	until(t, s, `SELECT coalesce((SELECT state = 'replayed' AND outcome = 'APPLIED' AND actor = 'automatic' FROM dead_letter WHERE account = 'ANEW'), false)`)
	until(t, s, `SELECT coalesce((SELECT amount = 12.34 FROM cash WHERE account = 'ANEW' AND currency = $1), false)`, h.currency)

	lags, err = lagOf(t.Context(), s.db, s.where.Brokers, pipeline.TopicEvents, time.Now())
	if err != nil || slices.ContainsFunc(lags, func(l pipeline.Lag) bool { return l.Records != 0 || l.Seconds != 0 }) {
		t.Errorf("lag after all was applied is %v, %v, want none", lags, err)
	}
	out := &bytes.Buffer{}
	a.out = out
	f := seekFlags{to: "all=0", topic: pipeline.TopicEvents, as: "ana", why: "a test", dry: true}
	if err := a.seek(t.Context(), s.office(), f); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "3 records  2 applied  0 held  2 dead  0 others") {
		t.Errorf("seek --dry-run = %s, want 3 records, of which the book has all", out)
	}
	f.dry = false
	if err := a.seek(t.Context(), s.office(), f); err != nil {
		t.Fatal(err)
	}
	until(t, s, `SELECT sum(reread) = 3 AND sum(applied + duplicate + dead) = 6 AND sum(duplicate) = 3 FROM stream_offset WHERE topic = 'daybreak.events'`)
	until(t, s, `SELECT amount = 12.34 FROM cash WHERE account = 'ANEW' AND currency = $1`, h.currency)
	letters := letterChoice{state: pipeline.LetterOpen, where: `account == "ANONE"`}
	open, err := letters.all(t.Context(), s.db)
	if err != nil || len(open) != 1 {
		t.Fatalf("open letters are %v, %v, want that of ANONE", open, err)
	}
	a.out = out
	if err := a.replayLetters(t.Context(), s, letters, "ana", true); err == nil || !strings.Contains(out.String(), "→ UNKNOWN_ACCOUNT") {
		t.Errorf("dlq replay --dry-run = %v %s, want UNKNOWN_ACCOUNT and exit code 3", err, out)
	}
	if err := s.db.DropLetters(t.Context(), []int64{open[0].ID}, "ana", "no client of ours", time.Now()); err != nil {
		t.Fatal(err)
	}
	wantVerified(t, s)
}

// assigned has a consumer take every partition of events, and go again.
func assigned(t *testing.T, s *services) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.fills(ctx) }()
	until(t, s, `SELECT count(*) = 96 FROM stream_offset WHERE topic = 'daybreak.events'`)
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// metricName is a name as expressions of alerts and dashboards have it.
var metricName = regexp.MustCompile(`\bdaybreak_[a-z_]+\b`)

// TestAlertsNameWhatIsExported holds alerts and dashboard to metrics that the code exports and to runbooks
// that are there.
func TestAlertsNameWhatIsExported(t *testing.T) {
	t.Parallel()
	_, s := eventWorld(t)
	h := findHolder(t, s)
	nobody := h
	nobody.household, nobody.account = "HNONE", "ANONE"
	deposit := map[string]any{"amount": "1.00"}
	sendEvents(t, s, h.record("CashMovement", "S1", "deposit", deposit), nobody.record("CashMovement", "S2", "deposit", deposit))
	consumed(t, s, 2)
	exported := map[string]bool{}
	server, err := web.New(web.Config{Views: s.db, Actions: desk(s.db), Listen: "127.0.0.1:0", DevLogin: true, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	page := httptest.NewRecorder()
	server.Handler().ServeHTTP(page, httptest.NewRequest("GET", "http://127.0.0.1/metrics", nil))
	own := httptest.NewRecorder()
	promhttp.HandlerFor(metrics.NewRegistry(s.streamMetrics()), promhttp.HandlerOpts{}).ServeHTTP(own, httptest.NewRequest("GET", "/metrics", nil))
	for _, text := range []string{page.Body.String(), own.Body.String()} {
		for _, name := range metricName.FindAllString(text, -1) {
			exported[name] = true
		}
	}
	if !strings.Contains(own.Body.String(), `daybreak_fill_apply_duration_seconds_count{topic="daybreak.events"} 2`) || !strings.Contains(own.Body.String(), "daybreak_stream_up 1") {
		t.Errorf("metrics are\n%s\nwant two events timed, and all up", own.Body)
	}
	for _, file := range []string{"alerts.yaml", "stream.json"} {
		text, err := os.ReadFile("../../deploy/observability/" + file)
		if err != nil {
			t.Fatal(err)
		}
		var named []string
		for _, name := range metricName.FindAllString(string(text), -1) {
			if !exported[name] {
				t.Errorf("%s names %s, which nothing exports", file, name)
			}
			named = append(named, name)
		}
		if len(named) < 5 {
			t.Errorf("%s names %d metrics, want more", file, len(named))
		}
	}
	wantAlerts(t)
}

// wantAlerts holds every alert to a severity, a summary and a runbook that is there.
func wantAlerts(t *testing.T) {
	t.Helper()
	var alerts struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr         string
				Labels, Annotations map[string]string
			}
		}
	}
	text, err := os.ReadFile("../../deploy/observability/alerts.yaml")
	if err == nil {
		err = yaml.Unmarshal(text, &alerts)
	}
	runbooks, readErr := os.ReadFile("../../docs/operations.md")
	if err != nil || readErr != nil {
		t.Fatal(err, readErr)
	}
	anchors := map[string]bool{}
	for line := range strings.Lines(string(runbooks)) {
		if title, ok := strings.CutPrefix(strings.TrimSpace(line), "### "); ok {
			anchor := strings.NewReplacer(" ", "-", "`", "", "'", "", "’", "", ",", "").Replace(strings.ToLower(title))
			anchors["docs/operations.md#"+anchor] = true
		}
	}
	for _, r := range alerts.Groups[0].Rules {
		if r.Expr == "" || r.Labels["severity"] == "" || r.Annotations["summary"] == "" || !anchors[r.Annotations["runbook_url"]] {
			t.Errorf("alert %s has severity %q, summary %q, runbook %q, want all, and a heading of operations.md", r.Alert, r.Labels["severity"], r.Annotations["summary"], r.Annotations["runbook_url"])
		}
	}
	var dashboard struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	text, err = os.ReadFile("../../deploy/observability/stream.json")
	if err == nil {
		err = json.Unmarshal(text, &dashboard)
	}
	if err != nil || len(dashboard.Panels) < 5 {
		t.Errorf("the dashboard has %d panels, %v, want some", len(dashboard.Panels), err)
	}
	for i, p := range dashboard.Panels {
		if len(p.Targets) == 0 || p.Targets[0].Expr == "" {
			t.Errorf("panel %d asks for nothing: %s", i, fmt.Sprint(p))
		}
	}
}
