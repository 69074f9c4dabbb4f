package postgres_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"daybreak/internal/filter"
	"daybreak/internal/postgres"
	"daybreak/pipeline"
	"daybreak/portfolio"
	"daybreak/rebalance"
)

// published is a Publisher that keeps what it is given.
type published struct{ records []pipeline.Record }

func (p *published) Partitions(context.Context, string) (int32, error) { return 1, nil }

func (p *published) Publish(_ context.Context, records []pipeline.Record) error {
	p.records = append(p.records, records...)
	return nil
}

// morning starts the run of a world with parameters and works it to its end.
func morning(t *testing.T, db *postgres.DB, settings rebalance.Settings) pipeline.Run {
	t.Helper()
	var work published
	run, err := pipeline.StartRun(t.Context(), db, &work, pipeline.RunRequest{
		Session: worldDay, Maker: "test", Build: "b", Rules: "r", Now: time.Now(), Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	positions, err := db.Assign(t.Context(), pipeline.TopicWork, "id", []int32{0})
	if err != nil {
		t.Fatal(err)
	}
	last := time.Now()
	for i := range work.records {
		work.records[i].Offset, work.records[i].Time = int64(i), last
	}
	batch := pipeline.Batch{Topic: pipeline.TopicWork, Records: work.records,
		Spans: []pipeline.Span{{Next: int64(len(work.records)), Epoch: positions[0].Epoch, LastRecord: last}}}
	if err := pipeline.NewWorker(db, slog.New(slog.DiscardHandler)).Handle(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if run, err = db.Run(t.Context(), run.ID); err != nil || run.State != pipeline.RunFinished {
		t.Fatalf("run is %s, %v, want it finished", run.State, err)
	}
	return run
}

// TestCertificatesAreKept works a run whose limit every gap is above: risk models are pinned, orders are
// flagged and can be found by their gap, the summary counts them, every account replays, and a
// certificate that somebody changes is found.
func TestCertificatesAreKept(t *testing.T) {
	t.Parallel()
	db := smallWorld(t, 12)
	var settings rebalance.Settings
	for key, value := range map[string]string{"gap_max": "0.000000001", "gap_cash_min": "0.000000000001"} {
		if err := settings.Set(key, value); err != nil {
			t.Fatal(err)
		}
	}
	run := morning(t, db, settings)
	if run.Risk == "" || run.Settings.GapMax != settings.GapMax {
		t.Errorf("run has risk %q, gap_max %s, want both", run.Risk, run.Settings.GapMax)
	}
	summary, err := db.Summary(t.Context(), run.ID)
	if err != nil {
		t.Fatal(err)
	}
	if g := summary.Gaps; g.Certified == 0 || g.AboveLimit != g.Certified || g.Max.Less(g.Median) {
		t.Errorf("gaps of the run = %+v, want all above the limit", g)
	}
	far, err := filter.Orders(`gap_bp > dec("0") && status == "Flagged" && exception == "GAP_ABOVE_LIMIT"`)
	if err != nil {
		t.Fatal(err)
	}
	accounts := map[portfolio.AccountID]bool{}
	orders := 0
	err = db.ReadReview(t.Context(), run.ID, func(o pipeline.ReviewOrder) error {
		accounts[o.Account] = true
		orders++
		if isFar, err := far(o); err != nil || !isFar {
			t.Errorf("order %s of %s: gap %s, %s, %q, want it flagged", o.ID, o.Account, o.GapBP, o.Review(), o.Exception)
		}
		return err
	})
	if err != nil || orders == 0 || orders != summary.Orders {
		t.Errorf("%d orders, %v, want %d", orders, err, summary.Orders)
	}
	for account := range accounts {
		replayed(t, db, run.ID, account, nil, true)
	}
	for account := range accounts {
		replayed(t, db, run.ID, account, []pipeline.Setting{{Key: "gain_min", Value: "9000"}, {Key: "planner", Value: "rules"}}, false)
		break
	}
	wantCertificates(t, db, true)
	if _, err := db.Pool().Exec(t.Context(), "UPDATE account_decision SET gap_bp = gap_bp / 2 WHERE run = $1", run.ID); err != nil {
		t.Fatal(err)
	}
	wantCertificates(t, db, false)
}

// TestRulesNeedNoRisk works a run that asks for the rules: nothing is estimated and nothing certified.
func TestRulesNeedNoRisk(t *testing.T) {
	t.Parallel()
	db := smallWorld(t, 6)
	run := morning(t, db, rebalance.Settings{Planner: rebalance.Rules})
	summary, err := db.Summary(t.Context(), run.ID)
	if err != nil || run.Risk != "" || summary.Gaps.Certified != 0 || summary.Gaps.ByRules != summary.Accounts || summary.Accounts == 0 {
		t.Errorf("run by the rules has risk %q, gaps %+v of %d accounts, %v, want none", run.Risk, summary.Gaps, summary.Accounts, err)
	}
}

func replayed(t *testing.T, db *postgres.DB, run string, account portfolio.AccountID, settings []pipeline.Setting, want bool) {
	t.Helper()
	r, err := pipeline.Replay(t.Context(), db, pipeline.ReplayRequest{Account: account, Run: run, Build: "b", Settings: settings})
	if err != nil || r.Same != want {
		t.Errorf("Replay(%s, %v) = same %t, %v, want %t; differences %.600v", account, settings, r.Same, err, want, r.Differences)
	}
}

func wantCertificates(t *testing.T, db *postgres.DB, want bool) {
	t.Helper()
	checks, err := db.Verify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range checks {
		if strings.HasPrefix(c.Invariant, "14 ") && (c.OK != want || c.Checked == 0) {
			t.Errorf("%s: ok %t over %d, broken %v, want %t", c.Invariant, c.OK, c.Checked, c.Broken, want)
		}
	}
}
