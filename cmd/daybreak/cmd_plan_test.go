package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"daybreak/rebalance/optimum/workload"
)

// writeWorkload writes a generated workload, changed by the test, and returns its name.
func writeWorkload(t *testing.T, change func(f *workload.File)) string {
	t.Helper()
	spec := workload.Specs[0]
	spec.Accounts = 6
	f := workload.Generate(spec)
	change(f)
	data, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "workload.json")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func planLines(t *testing.T, out string) []map[string]any {
	t.Helper()
	var lines []map[string]any
	for text := range strings.Lines(out) {
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		lines = append(lines, line)
	}
	return lines
}

func TestPlanWritesTheFieldsOfTheContract(t *testing.T) {
	t.Parallel()
	name := writeWorkload(t, func(*workload.File) {})
	for _, roles := range []string{"mixed", "fixed"} {
		got := commandLine(t.Context(), nil, "plan", name, "--roles", roles)
		lines := planLines(t, got.out)
		if got.code != exitOK || len(lines) != 6 {
			t.Fatalf("plan --roles %s = %d, %d lines, %s, want 0 and 6 lines", roles, got.code, len(lines), got.err)
		}
		want := []string{"account", "bound", "cash", "fixed_bound", "fixed_objective", "gap_bp", "gap_money", "micros", "no_trade",
			"objective", "reasons", "tax", "tracking_error", "trades"}
		for _, line := range lines {
			var fields []string
			for field := range line {
				fields = append(fields, field)
			}
			if slices.Sort(fields); !slices.Equal(fields, want) {
				t.Errorf("fields = %v, want %v", fields, want)
			}
			for _, tr := range line["trades"].([]any) {
				trade := tr.(map[string]any)
				_, sharesAreText := trade["shares"].(string)
				_, valueIsNumber := trade["value"].(float64)
				if (trade["side"] == "buy") != (trade["lot"] == nil) || !sharesAreText || !valueIsNumber {
					t.Errorf("trade = %v, want a lot on sales alone, shares as text, value as a number", trade)
				}
			}
		}
	}
}

func TestPlanNamesBadAccountsAndGoesOn(t *testing.T) {
	t.Parallel()
	name := writeWorkload(t, func(f *workload.File) {
		f.Accounts[1].TargetPPM[0]++
		f.Accounts[2].WithdrawalCents = 1 << 40
		f.Accounts[3].Lots[0].QtyE4 = 0
		f.Securities[1].SpecVolBps = 0 // a replacement: only those who hold it fail
		for k := range f.Accounts[5].Lots {
			if l := &f.Accounts[5].Lots[k]; l.Security == 1 {
				l.Security = 0
			}
		}
	})
	got := commandLine(t.Context(), nil, "plan", name)
	lines := planLines(t, got.out)
	if got.code != exitExceptions || len(lines) != 6 {
		t.Fatalf("plan = %d, %d lines, %s, want 3 and 6 lines", got.code, len(lines), got.err)
	}
	codes := make([]string, len(lines))
	for k, line := range lines {
		if e, ok := line["exception"].(map[string]any); ok {
			codes[k] = fmt.Sprint(e["code"])
		}
		if _, planned := line["objective"]; planned == (codes[k] != "") {
			t.Errorf("line %d is planned = %t with exception %q", k, planned, codes[k])
		}
	}
	if codes[1] != "BAD_TARGETS" || codes[3] != "BAD_LOT" || codes[5] != "" {
		t.Errorf("exceptions = %q, want BAD_TARGETS second, BAD_LOT fourth, none sixth", codes)
	}
	if codes[2] != "CANNOT_RAISE_CASH" && codes[2] != "BAD_RISK_MODEL" {
		t.Errorf("exceptions = %q, want CANNOT_RAISE_CASH or BAD_RISK_MODEL third", codes)
	}
}

func TestPlanFlagsGapsAboveTheLimit(t *testing.T) {
	t.Parallel()
	got := commandLine(t.Context(), nil, "plan", writeWorkload(t, func(*workload.File) {}), "--gap-max", "-1")
	lines := planLines(t, got.out)
	if got.code != exitExceptions || lines[0]["exception"] == nil || lines[0]["objective"] == nil {
		t.Errorf("plan --gap-max -1 = %d, %v, want 3 with an exception beside the plan", got.code, lines[0]["exception"])
	}
}

func TestPlanUsage(t *testing.T) {
	t.Parallel()
	household := filepath.Join(t.TempDir(), "household.json")
	if err := os.WriteFile(household, []byte(`{"schema":"other/1"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"plan"}, exitUsage, "1 arg"},
		{[]string{"plan", household, "--roles", "both"}, exitUsage, "not mixed or fixed"},
		{[]string{"plan", household, "--mode", "idle"}, exitUsage, "not full"},
		{[]string{"plan", household}, exitFailed, `"other/1"`},
		{[]string{"plan", "no such file"}, exitFailed, "no such file"},
	} {
		if got := commandLine(t.Context(), nil, c.args...); got.code != c.code || !strings.Contains(got.err, c.says) {
			t.Errorf("daybreak %v = %d, %q, want %d, %q", c.args, got.code, got.err, c.code, c.says)
		}
	}
}
