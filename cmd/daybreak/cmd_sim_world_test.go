package main

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"daybreak/internal/postgres/pgtest"
)

// TestSimWorldCommand makes a world in one book, and by a file in another one.
func TestSimWorldCommand(t *testing.T) {
	t.Parallel()
	here, there := pgtest.DSN(t), pgtest.DSN(t)
	file := filepath.Join(t.TempDir(), "world.jsonl")
	beside := strings.TrimSuffix(file, ".jsonl")
	world := []string{"sim", "world", "--households", "40", "--faults", "0.5", "--years", "1", "--to", "2020-03-16"}
	market := func(dsn string) [][]string {
		return [][]string{
			{"import", "securities", sampleFile(t, "securities.csv"), "--database-url", dsn},
			{"import", "models", sampleFile(t, "models.csv"), "--database-url", dsn},
			{"import", "prices", "--adjustment", "splits+dividends", sampleFile(t, "prices.csv.gz"), "--database-url", dsn},
			{"import", "fx", sampleFile(t, "fx.csv.gz"), "--database-url", dsn},
		}
	}
	for _, args := range slices.Concat(market(here), market(there)) {
		if got := commandLine(t.Context(), nil, args...); got.code != exitOK {
			t.Fatalf("%v = %+v, want exit code 0", args, got)
		}
	}
	for _, c := range []struct {
		args []string
		code int
		says string // in what the command printed
	}{
		{append(world, "--database-url", here), exitOK, "40 households"},
		{append(world, "--database-url", here), exitOK, "40 households were in the book already, unchanged"},
		{append(world, "--database-url", here, "--seed", "2"), exitConflict, "is in the book from elsewhere"},
		{append(world, "--database-url", here, "--out", file), exitOK, "wrote " + file},
		{[]string{"import", "households", file, "--strict", "--database-url", there}, exitFailed, "UNKNOWN_SECURITY"},
		{[]string{"import", "securities", beside + ".securities.csv", "--database-url", there}, exitOK, "4 inserted"},
		{[]string{"import", "prices", "--adjustment", "raw", beside + ".prices.csv", "--database-url", there}, exitOK, "0 bad"},
		{[]string{"import", "households", file, "--strict", "--database-url", there}, exitOK, "40 inserted"},
		{[]string{"import", "households", file, "--database-url", there}, exitOK, "0 inserted, 0 changed, 40 unchanged"},
		{append(world, "--database-url", there), exitOK, "40 households were in the book already, unchanged"},
		{[]string{"import", "households", "--strict", "-", "--database-url", there}, exitUsage, "give its name"},
		{[]string{"import", "households", "no-such-file", "--database-url", there}, exitFailed, "no-such-file"},
		{[]string{"sim", "world", "--database-url", here}, exitUsage, "--to"},
		{append(world, "--database-url", here, "--faults", "1.5"), exitUsage, "not a share from 0 to 1"},
		{append(world, "--database-url", here, "--households", "0"), exitUsage, "must be from 1"},
		{append(world, "--database-url", here, "--workers", "0"), exitUsage, "must be at least 1"},
		{append(world, "--database-url", here, "--to", "2011-03-16"), exitUsage, "import securities, prices and models first"},
	} {
		if got := commandLine(t.Context(), nil, c.args...); got.code != c.code || !strings.Contains(got.out+got.err, c.says) {
			t.Errorf("%v = %+v, want exit code %d and %q", c.args, got, c.code, c.says)
		}
	}
	var report struct {
		Households int            `json:"households"`
		Events     int            `json:"events"`
		Faults     map[string]int `json:"faults"`
	}
	got := commandLine(t.Context(), nil, append(world, "--database-url", there, "-o", "json")...)
	if err := json.Unmarshal([]byte(got.out), &report); err != nil || report.Households != 40 || report.Events == 0 || len(report.Faults) == 0 {
		t.Errorf("sim world -o json = %+v, %v, want 40 households with events and faults", got, err)
	}
}
