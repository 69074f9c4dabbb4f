package pipeline_test

import (
	"testing"
	"time"

	"daybreak/pipeline"
)

func TestNextRun(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, now, session, starts string }{
		{"before the open", "2020-03-16T12:59:59Z", "2020-03-16", "2020-03-16T13:00:00Z"},
		{"late, exchange still open", "2020-03-16T19:59:59Z", "2020-03-16", "2020-03-16T13:00:00Z"},
		{"after the close", "2020-03-16T20:00:00Z", "2020-03-17", "2020-03-17T13:00:00Z"},
		{"over a weekend and the clock change", "2020-03-06T21:00:01Z", "2020-03-09", "2020-03-09T13:00:00Z"},
		{"before the clock change", "2020-03-05T22:00:00Z", "2020-03-06", "2020-03-06T14:00:00Z"},
		{"holiday of New York alone", "2020-01-20T12:00:00Z", "2020-01-20", "2020-01-20T14:00:00Z"},
		{"holiday of both", "2020-12-25T12:00:00Z", "2020-12-28", "2020-12-28T14:00:00Z"},
	} {
		now, err := time.Parse(time.RFC3339, c.now)
		if err != nil {
			t.Fatal(err)
		}
		got, err := pipeline.NextRun(now)
		if err != nil {
			t.Errorf("%s: NextRun(%s): %v", c.name, c.now, err)
			continue
		}
		if got.Session.String() != c.session || got.Starts.UTC().Format(time.RFC3339) != c.starts {
			t.Errorf("%s: NextRun(%s) = %s at %s, want %s at %s", c.name, c.now, got.Session, got.Starts.UTC(), c.session, c.starts)
		}
	}
}
