package workflow

import (
	"slices"
	"strings"
	"testing"
)

func TestDiff(t *testing.T) {
	t.Parallel()
	a, problems := Parse([]byte(smallDocument), testActions)
	if a == nil {
		t.Fatal(problems)
	}
	for _, c := range []struct {
		name     string
		old, new string
		want     []string
	}{
		{"white space", `"name": "small"`, `"name":   "small"`, nil},
		{"a parameter's default", `"default": "0.5"`, `"default": "0.6"`, []string{`~ param rate default: "0.5" → "0.6"`}},
		{"the time of all", `"timeout_seconds": 3600`, `"timeout_seconds": 1800`, []string{"~ definition small timeout: 1h0m0s → 30m0s"}},
		{"a retry", `"max_attempts": 2`, `"max_attempts": 1`, []string{"~ node work retry: UNAVAILABLE: 2 × from 10s by 3 to 20s → UNAVAILABLE: 1 × from 10s by 3 to 20s"}},
		{"a transition", `"condition": "out.status == 'late'", "next": "later"`, `"condition": "out.status == 'late' && out.ok", "next": "later"`,
			[]string{"~ transition work -> later conditions: 2 out.status == 'late' → 2 out.status == 'late' && out.ok"}},
		{"a way elsewhere", `"error_equals": ["TIMEOUT"], "next": "failed"`, `"error_equals": ["TIMEOUT"], "next": "later"`, []string{
			"~ transition work -> failed conditions: 3 otherwise; 4 on TIMEOUT → 3 otherwise",
			"~ transition work -> later conditions: 2 out.status == 'late' → 2 out.status == 'late'; 4 on TIMEOUT",
		}},
		{"a node between", `"default": "failed"},`, `"default": "pause"}, "pause": {"type": "wait", "until": "now + duration('1m')", "next": "failed"},`, []string{
			"+ node pause: now + duration('1m')",
			"+ transition pause -> failed: 1 always",
			"~ transition work -> failed conditions: 3 otherwise; 4 on TIMEOUT → 4 on TIMEOUT",
			"+ transition work -> pause: 3 otherwise",
		}},
		{"a field of the context", `"more": {"type": "boolean"}, `, ``, []string{`- context more: {"type":"boolean"}`}},
	} {
		b, problems := Parse([]byte(strings.Replace(smallDocument, c.old, c.new, 1)), testActions)
		if b == nil {
			t.Errorf("%s: %v", c.name, problems)
			continue
		}
		var got []string
		for _, change := range Diff(a, b) {
			got = append(got, change.String())
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: Diff = %q, want %q", c.name, got, c.want)
		}
	}
}
