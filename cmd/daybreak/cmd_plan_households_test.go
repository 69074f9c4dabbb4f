package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"daybreak/market"
	"daybreak/money"
	"daybreak/pipeline"
	"daybreak/portfolio"
	"daybreak/sim"
)

var updateGolden = flag.Bool("update", false, "write the golden files of plan anew")

const goldenDir = "../../testdata/optimum/"

// sampleMarket is the market in the binary, as plan reads it.
func sampleMarket(t *testing.T) *planMarket {
	t.Helper()
	f := marketFlags{files: map[pipeline.ImportKind]*[]string{}}
	for _, kind := range marketKinds {
		f.files[kind] = new([]string)
	}
	m, err := f.load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// worldRecords returns the households that `daybreak sim world --out` writes over the sample market.
func worldRecords(t *testing.T, s sim.WorldSettings) []pipeline.HouseholdRecord {
	t.Helper()
	s.To = sampleDay
	w, err := sim.NewWorld(s, sampleMarket(t).history)
	if err != nil {
		t.Fatal(err)
	}
	records := make([]pipeline.HouseholdRecord, s.Households)
	for i := range records {
		records[i] = w.Household(i)
	}
	return records
}

// householdFile writes records as JSON lines and returns the file's name.
func householdFile(t *testing.T, records []pipeline.HouseholdRecord) string {
	t.Helper()
	return textFile(t, "households.jsonl", string(jsonLines(t, records)))
}

func jsonLines(t *testing.T, records []pipeline.HouseholdRecord) []byte {
	t.Helper()
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	for _, r := range records {
		if err := encoder.Encode(r); err != nil {
			t.Fatal(err)
		}
	}
	return text.Bytes()
}

// planned runs plan over a file and returns its lines without their times.
func planned(t *testing.T, code int, args ...string) []map[string]any {
	t.Helper()
	got := commandLine(t.Context(), nil, append([]string{"plan"}, args...)...)
	if got.code != code {
		t.Fatalf("plan %v = %d, %s, want %d", args, got.code, got.err, code)
	}
	lines := planLines(t, got.out)
	for _, l := range lines {
		delete(l, "micros")
	}
	return lines
}

// TestPlanHouseholdsGolden plans three households of a sample world. Their file is what `daybreak sim
// world --households 3 --seed 6 --years 1 --faults 0 --direct-indexing 0.4 --to 2020-03-16 --out` writes.
func TestPlanHouseholdsGolden(t *testing.T) {
	t.Parallel()
	file, want := goldenDir+"households.jsonl.gz", goldenDir+"households.want.jsonl"
	if *updateGolden {
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		w.Write(jsonLines(t, worldRecords(t, sim.WorldSettings{Households: 3, Seed: 6, Years: 1, DirectPPM: 400_000})))
		w.Close()
		writeGolden(t, file, packed.Bytes())
		var text bytes.Buffer
		for _, l := range planned(t, exitOK, file, "--date", "2020-03-16") {
			line, _ := json.Marshal(l)
			text.Write(append(line, '\n'))
		}
		writeGolden(t, want, text.Bytes())
	}
	golden, err := os.ReadFile(want)
	if err != nil {
		t.Fatal(err)
	}
	lines, wanted := planned(t, exitOK, file), planLines(t, string(golden))
	if len(lines) != len(wanted) {
		t.Fatalf("plan wrote %d lines, want %d", len(lines), len(wanted))
	}
	for i := range lines {
		if path := differs(lines[i], wanted[i]); path != "" {
			t.Errorf("account %v differs from %s at %s", lines[i]["account"], want, path)
		}
	}
}

func writeGolden(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestGoldenHouseholdsAreAWorld makes the golden households again.
func TestGoldenHouseholdsAreAWorld(t *testing.T) {
	t.Parallel()
	packed, err := os.Open(goldenDir + "households.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	r, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if want := jsonLines(t, worldRecords(t, sim.WorldSettings{Households: 3, Seed: 6, Years: 1, DirectPPM: 400_000})); !bytes.Equal(got, want) {
		t.Errorf("households.jsonl.gz has %d bytes that are not the world's %d: run the test with -update", len(got), len(want))
	}
}

// differs returns where two JSON values first differ, "" for nowhere. Numbers may differ by 1e-9 of the
// larger or of 1: the risk model's last digits are a processor's own.
func differs(a, b any) string {
	switch x := a.(type) {
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok || len(x) != len(y) {
			return "."
		}
		for key, v := range x {
			if path := differs(v, y[key]); path != "" {
				return "." + key + path
			}
		}
		return ""
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			return "[]"
		}
		for i := range x {
			if path := differs(x[i], y[i]); path != "" {
				return fmt.Sprintf("[%d]%s", i, path)
			}
		}
		return ""
	case float64:
		if y, ok := b.(float64); ok && math.Abs(x-y) <= 1e-9*max(1, math.Abs(x), math.Abs(y)) {
			return ""
		}
		return fmt.Sprintf(": %v, want %v", a, b)
	}
	if a != b {
		return fmt.Sprintf(": %v, want %v", a, b)
	}
	return ""
}

// TestPlanHouseholdsInAnyOrder turns households, owners, accounts, cash, positions and events round.
func TestPlanHouseholdsInAnyOrder(t *testing.T) {
	t.Parallel()
	records := worldRecords(t, sim.WorldSettings{Households: 12, Seed: 11, Years: 2, DirectPPM: 300_000})
	args := []string{"--date", "2020-03-16"}
	want := map[any]string{}
	for _, l := range planned(t, exitExceptions, append(args, householdFile(t, records))...) {
		want[l["account"]] = mustJSON(t, l)
	}
	for i := range records {
		r := &records[i]
		slices.Reverse(r.Owners)
		slices.Reverse(r.Accounts)
		slices.Reverse(r.Events)
		for k := range r.Accounts {
			slices.Reverse(r.Accounts[k].Cash)
			slices.Reverse(r.Accounts[k].Positions)
		}
	}
	slices.Reverse(records)
	for range 2 {
		lines := planned(t, exitExceptions, append(args, householdFile(t, records))...)
		if len(lines) != len(want) {
			t.Fatalf("plan wrote %d lines, want %d", len(lines), len(want))
		}
		for _, l := range lines {
			if got := mustJSON(t, l); got != want[l["account"]] {
				t.Errorf("account %v in another order = %s, want %s", l["account"], got, want[l["account"]])
			}
		}
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// washed returns the symbols that a household harvests and buys. Every security of the sample market
// is a property of its own.
func washed(lines []map[string]any) []string {
	harvested, bought := map[string]bool{}, map[string]bool{}
	for _, l := range lines {
		for _, r := range l["reasons"].([]any) {
			if reason := r.(map[string]any); reason["code"] == "HARVESTED" {
				harvested[reason["security"].(string)] = true
			}
		}
		for _, tr := range l["trades"].([]any) {
			if trade := tr.(map[string]any); trade["side"] == "buy" {
				bought[trade["security"].(string)] = true
			}
		}
	}
	var both []string
	for symbol := range harvested {
		if bought[symbol] {
			both = append(both, symbol)
		}
	}
	return both
}

// TestPlanHouseholdsDoNotWash plans a world twice: by household, and with every account a household
// of its own. Only the second harvests in one account what it buys in another.
func TestPlanHouseholdsDoNotWash(t *testing.T) {
	t.Parallel()
	records := worldRecords(t, sim.WorldSettings{Households: 60, Seed: 4, Years: 2, DirectPPM: 300_000})
	of := map[any]int{}
	var alone []pipeline.HouseholdRecord
	for i, r := range records {
		for _, a := range r.Accounts {
			of[string(a.ID)] = i
			alone = append(alone, accountAlone(r, a))
		}
	}
	args := []string{"--date", "2020-03-16"}
	counts := [2]int{}
	codes := [...]int{exitOK, exitExceptions} // a transfer between two accounts needs both
	for k, list := range [][]pipeline.HouseholdRecord{records, alone} {
		byHousehold := map[int][]map[string]any{}
		for _, l := range planned(t, codes[k], append(args, householdFile(t, list))...) {
			if l["objective"] == nil {
				continue // an account that cannot be planned does not trade
			}
			byHousehold[of[l["account"]]] = append(byHousehold[of[l["account"]]], l)
		}
		for i, lines := range byHousehold {
			both := washed(lines)
			if counts[k] += len(both); k == 0 && len(both) > 0 {
				t.Errorf("household %s harvests and buys %v", records[i].ID, both)
			}
		}
	}
	if counts[1] == 0 {
		t.Error("planned apart, no household harvests and buys one security: the world tests nothing")
	}
}

// accountAlone returns a household of one account, with its part of the events.
func accountAlone(r pipeline.HouseholdRecord, a pipeline.AccountRecord) pipeline.HouseholdRecord {
	out := r
	out.ID = portfolio.HouseholdID("only-" + string(a.ID))
	out.RoutingKey = ""
	out.Accounts = []pipeline.AccountRecord{a}
	out.Events = nil
	for _, e := range r.Events {
		if e.Account == a.ID || e.ToAccount == a.ID {
			out.Events = append(out.Events, e)
		}
	}
	out.Accounts[0].Positions = nil
	return out
}

// TestPlanHouseholdsInEveryMode plans a world in each mode that trades: every account is planned, the
// small ones with whole shares too, within the limit of the gap.
func TestPlanHouseholdsInEveryMode(t *testing.T) {
	t.Parallel()
	name := householdFile(t, worldRecords(t, sim.WorldSettings{Households: 60, Seed: 3, Years: 3, DirectPPM: 50_000}))
	for _, mode := range []string{"full", "cash_only", "harvest_only"} {
		raised, coupled := 0, 0
		for _, l := range planned(t, exitOK, name, "--date", "2020-03-16", "--mode", mode) {
			gap, coupling := l["gap_bp"].(float64), l["coupling_bp"].(float64)
			if gap-coupling > 1 || l["household_gap_bp"].(float64) > 1 {
				t.Errorf("mode %s: %v: gap %.4f bp of which coupling %.4f, household's %.4f, want at most 1", mode, l["account"], gap, coupling, l["household_gap_bp"])
			}
			if coupling > 0 {
				coupled++
			}
			for _, tr := range l["trades"].([]any) {
				if tr.(map[string]any)["side"] == "sell" {
					raised++
					break
				}
			}
		}
		if raised == 0 || mode != "cash_only" && coupled == 0 {
			t.Errorf("mode %s: %d accounts sell, %d bear a decision of their household: the world tests nothing", mode, raised, coupled)
		}
	}
}

func TestPlanHouseholdsNamesFaultsAndGoesOn(t *testing.T) {
	t.Parallel()
	records := worldRecords(t, sim.WorldSettings{Households: 6, Seed: 2, Years: 1})
	records[1].Accounts[0].Cash = []portfolio.Cash{{Currency: records[1].Accounts[0].Currency, Amount: money.MustParse("-1")}}
	records[2].Accounts[0].Model = "nothing"
	records[3].AsOf = sampleDay
	records[4].Accounts[0].Policy.WithdrawalCash = money.MustParse("900000000")
	lines := string(jsonLines(t, records)) + "{\"id\":\n" + string(jsonLines(t, records[:1]))
	name := textFile(t, "households.jsonl", lines)
	wanted := []string{"", "NEGATIVE_CASH", "NO_MODEL", "BAD_DATE", "CANNOT_RAISE_CASH", "", "BAD_JSON", "DUPLICATE"}
	var want []string
	for i, code := range wanted {
		accounts := 1
		if i < len(records) {
			accounts = len(records[i].Accounts)
		} else if code == "DUPLICATE" {
			accounts = len(records[0].Accounts)
		}
		want = append(want, slices.Repeat([]string{code}, accounts)...)
		if code == "CANNOT_RAISE_CASH" { // only the account that cannot
			for k := range records[i].Accounts[1:] {
				want[len(want)-1-k] = ""
			}
		}
	}
	var got []string
	for _, l := range planned(t, exitExceptions, name, "--date", "2020-03-16", "--gap-max", "1e9") {
		code := ""
		if e, ok := l["exception"].(map[string]any); ok {
			code = fmt.Sprint(e["code"])
		}
		if _, isPlanned := l["objective"]; isPlanned != (code == "") {
			t.Errorf("account %v is planned = %t with exception %q", l["account"], isPlanned, code)
		}
		got = append(got, code)
	}
	if !slices.Equal(got, want) {
		t.Errorf("exceptions = %q, want %q", got, want)
	}
}

func TestPlanHouseholdsUsage(t *testing.T) {
	t.Parallel()
	file := householdFile(t, worldRecords(t, sim.WorldSettings{Households: 1, Seed: 2, Years: 1}))
	today, err := sampleMarket(t).at(sampleDay)
	if err != nil {
		t.Fatal(err)
	}
	snapshot := textFile(t, "market.json", mustJSON(t, today))
	folder := t.TempDir()
	for _, name := range []string{"securities.csv", "prices.csv.gz", "fx.csv.gz", "replacements.csv", "models.csv"} {
		body, err := os.ReadFile(sampleFile(t, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, name), body, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	want := mustJSON(t, planned(t, exitOK, file, "--gap-max", "1e9"))
	for _, args := range [][]string{{"--market", folder}, {"--date", "2020-03-16"}, {"--market", snapshot, "--prices", sampleFile(t, "prices.csv.gz"), "--fx", sampleFile(t, "fx.csv.gz")}} {
		if got := mustJSON(t, planned(t, exitOK, append(args, file, "--gap-max", "1e9")...)); got != want {
			t.Errorf("plan %v = %s, want %s", args, got, want)
		}
	}
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--date", "2020-03-15"}, exitUsage, "not a day with a session"},
		{[]string{"--date", "soon"}, exitUsage, "not a day with a session"},
		{[]string{"--market", "no such market"}, exitFailed, "no such market"},
		{[]string{"--market", snapshot}, exitUsage, "for the risk model"},
		{[]string{"--half-spread", "1"}, exitUsage, "not a share"},
		{[]string{"--gain-budget", "-1"}, exitUsage, "not an amount"},
		{[]string{"--risk-factors", "0"}, exitUsage, "--risk-factors from 1"},
		{[]string{"--models", textFile(t, "models.csv", strings.Join(market.WeightHeader, ",")+"\nm,US,c,NONE,0,1\n")}, exitFailed, "models.csv:2: UNKNOWN_SECURITY"},
	} {
		got := commandLine(t.Context(), nil, append([]string{"plan", file}, c.args...)...)
		if got.code != c.code || !strings.Contains(got.err, c.says) {
			t.Errorf("plan %v = %d, %q, want %d, %q", c.args, got.code, got.err, c.code, c.says)
		}
	}
}
