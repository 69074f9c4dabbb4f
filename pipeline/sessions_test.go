package pipeline

import (
	"testing"
	"time"

	"daybreak/market"
	"daybreak/workflow"
)

// TestWaitsOnRealCalendars evaluates waits of definitions on days with clock changes, holidays and
// half days.
func TestWaitsOnRealCalendars(t *testing.T) {
	t.Parallel()
	functions := SessionFunctions(market.Calendar)
	for _, c := range []struct{ name, until, now, want string }{
		{"before the open", "market.nextOpen('XNYS', now)", "2026-03-06T13:00:00Z", "2026-03-06T14:30:00Z"},
		{"at the open: the next one, after the clocks changed", "market.nextOpen('XNYS', now)", "2026-03-06T14:30:00Z", "2026-03-09T13:30:00Z"},
		{"five minutes into it", "market.nextOpen('XTSE', now) + duration('5m')", "2026-03-07T00:00:00Z", "2026-03-09T13:35:00Z"},
		{"a holiday of New York alone", "market.nextOpen('XNYS', now)", "2026-11-25T22:00:00Z", "2026-11-27T14:30:00Z"},
		{"and Toronto's", "market.nextOpen('XTSE', now)", "2026-11-25T22:00:00Z", "2026-11-26T14:30:00Z"},
		{"the close of a half day", "market.nextClose('XNYS', now)", "2026-11-27T15:00:00Z", "2026-11-27T18:00:00Z"},
		{"the close of the day after it", "market.nextClose('XNYS', now)", "2026-11-27T18:00:00Z", "2026-11-30T21:00:00Z"},
		{"a clock time in summer", "at('2026-07-02', '09:30', 'America/Toronto')", "2026-07-01T00:00:00Z", "2026-07-02T13:30:00Z"},
		{"one that the clocks skip", "at('2026-03-08', '02:30', 'America/Toronto')", "2026-03-01T00:00:00Z", "2026-03-08T07:30:00Z"},
		{"one that they show twice: the first", "at('2026-11-01', '01:30', 'America/Toronto')", "2026-10-31T00:00:00Z", "2026-11-01T05:30:00Z"},
		{"by session", "market.open('XTSE', market.nextSession('XTSE', date(now, 'America/Toronto')))", "2026-12-24T15:00:00Z", "2026-12-29T14:30:00Z"},
	} {
		document := `{"name": "w", "start_at": "wait", "context": {"type": "object", "properties": {}}, "nodes": {"done": {"type": "terminal", "status": "succeeded"},
			"wait": {"type": "wait", "until": "` + c.until + `", "past": "fail", "max_seconds": 2592000, "next": "done"}}}`
		d, _ := workflow.Parse([]byte(document), workflow.Builtin())
		if d == nil { // an instant that is never past takes no "past"
			document = `{"name": "w", "start_at": "wait", "context": {"type": "object", "properties": {}}, "nodes": {"done": {"type": "terminal", "status": "succeeded"},
			"wait": {"type": "wait", "until": "` + c.until + `", "next": "done"}}}`
			var problems []workflow.Problem
			if d, problems = workflow.Parse([]byte(document), workflow.Builtin()); d == nil {
				t.Errorf("%s: %v", c.name, problems)
				continue
			}
		}
		now, err := time.Parse(time.RFC3339, c.now)
		if err != nil {
			t.Fatal(err)
		}
		in, err := d.Begin(workflow.Instance{ID: "i", Context: []byte("{}")}, workflow.Env{Now: now, Functions: functions})
		if got := in.Due.UTC().Format(time.RFC3339); err != nil || got != c.want {
			t.Errorf("%s: %s at %s waits until %s (%v %v), want %s", c.name, c.until, c.now, got, in.Failure, err, c.want)
		}
	}
}

func TestSessionFunctionsRefuse(t *testing.T) {
	t.Parallel()
	f := SessionFunctions(market.Calendar)
	if _, err := f.NextOpen("XLON", time.Unix(0, 0)); err == nil {
		t.Error("NextOpen of an exchange without a calendar gave no error")
	}
	if _, err := f.Open("XNYS", "2026-12-25"); err == nil {
		t.Error("Open on a holiday gave no error")
	}
	if _, err := f.IsSession("XNYS", "2026-02-30"); err == nil {
		t.Error("IsSession of no day gave no error")
	}
	for _, name := range []string{"", "Local", "Toronto"} {
		if _, err := f.Zone(name); err == nil {
			t.Errorf("Zone(%q) gave no error", name)
		}
	}
}
