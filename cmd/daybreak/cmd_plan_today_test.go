package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"daybreak/pipeline"
	"daybreak/sim"
)

// boughtFirst returns the first account of a plan that buys something, its first purchase and its line.
func boughtFirst(t *testing.T, lines []map[string]any) (account, symbol string, line map[string]any) {
	t.Helper()
	for _, l := range lines {
		for _, tr := range l["trades"].([]any) {
			if trade := tr.(map[string]any); trade["side"] == "buy" {
				return l["account"].(string), trade["security"].(string), l
			}
		}
	}
	t.Fatal("no account buys: the world tests nothing")
	return "", "", nil
}

// lineOf returns the line of an account.
func lineOf(t *testing.T, lines []map[string]any, account string) map[string]any {
	t.Helper()
	for _, l := range lines {
		if l["account"] == account {
			return l
		}
	}
	t.Fatalf("no line of %s", account)
	return nil
}

// why returns the code of a security's reason, and what it names.
func why(t *testing.T, line map[string]any, symbol string) string {
	t.Helper()
	for _, r := range line["reasons"].([]any) {
		if reason := r.(map[string]any); reason["security"] == symbol {
			return strings.TrimSpace(fmt.Sprint(reason["code"], " ", reason["by"]))
		}
	}
	t.Fatalf("no reason of %s", symbol)
	return ""
}

// invested is the money of all purchases less that of all sales of a line.
func invested(line map[string]any) float64 {
	sum := 0.0
	for _, tr := range line["trades"].([]any) {
		trade := tr.(map[string]any)
		if trade["side"] == "buy" {
			sum += trade["value"].(float64)
		} else {
			sum -= trade["value"].(float64)
		}
	}
	return sum
}

// withToday returns the record with what its line says of the day.
func withToday(r pipeline.HouseholdRecord, today string, args ...any) []pipeline.HouseholdRecord {
	r.Today = json.RawMessage(fmt.Sprintf(today, args...))
	return []pipeline.HouseholdRecord{r}
}

func TestPlanHouseholdsOfToday(t *testing.T) {
	t.Parallel()
	record := worldRecords(t, sim.WorldSettings{Households: 1, Seed: 6, Years: 2})[0]
	plan := func(records []pipeline.HouseholdRecord, args ...string) []map[string]any {
		return planned(t, exitOK, append(args, householdFile(t, records), "--date", "2020-03-16", "--gap-max", "1e9")...)
	}
	base := plan([]pipeline.HouseholdRecord{record})
	account, symbol, line := boughtFirst(t, base)

	locked := plan(withToday(record, `{"locks":[{"symbol":%q,"account":"X1","order":"O1","until":"2020-04-01"}]}`, symbol))
	if got := why(t, lineOf(t, locked, account), symbol); !strings.HasPrefix(got, "BUY_BARRED") || !strings.Contains(got, "O1") {
		t.Errorf("with a lock: %s is %s, want BUY_BARRED by the order O1", symbol, got)
	}
	ended := plan(withToday(record, `{"locks":[{"symbol":%q,"account":"X1","order":"O1","until":"2020-03-01"}]}`, symbol))
	if got, want := why(t, lineOf(t, ended, account), symbol), why(t, line, symbol); got != want {
		t.Errorf("with a lock that has ended: %s is %s, want %s", symbol, got, want)
	}
	open := plan(withToday(record, `{"open_orders":[{"id":"B7","account":%q,"symbol":%q,"side":"buy","leaves":"1"}]}`, account, symbol))
	if got := why(t, lineOf(t, open, account), symbol); got != "RESTRICTED open order B7" && !strings.HasPrefix(got, "INSIDE_NO_TRADE") {
		t.Errorf("with an open order: %s is %s, want it left alone for the order B7", symbol, got)
	}
	if less, all := invested(lineOf(t, open, account)), invested(line); less >= all {
		t.Errorf("with an open purchase: %.2f is invested, want less than %.2f", less, all)
	}
	for _, c := range []struct {
		today string
		spent bool
	}{
		{`{"unsettled":[{"account":%q,"amount":"2000","settle":"2020-03-17"}]}`, true},
		{`{"unsettled":[{"account":%q,"amount":"2000","settle":"2020-03-18"}]}`, true}, // T+2, then
		{`{"unsettled":[{"account":%q,"amount":"2000","settle":"2020-03-19"}]}`, false},
		{`{"unsettled":[{"account":%q,"amount":"2000","settle":"2020-03-17"}],"spend_unsettled":"never"}`, false},
		{`{"unsettled":[{"account":%q,"amount":"2000","settle":"2020-03-19"}],"spend_unsettled":"always"}`, true},
	} {
		got := invested(lineOf(t, plan(withToday(record, c.today, account)), account)) - invested(line)
		if c.spent && got < 1500 || !c.spent && got > 100 {
			t.Errorf("%s: %.2f more is invested, want the 2,000 spent = %t", c.today, got, c.spent)
		}
	}
	for _, bad := range []string{
		`{"locks":[{"account":"X1"}]}`, `{"unsettled":[{"account":"nobody","amount":"1","settle":"2020-03-17"}]}`,
		`{"open_orders":[{"id":"B","account":"nobody","symbol":"VTI","side":"buy","leaves":"1"}]}`, `{"spend_unsettled":"later"}`,
		`{"location":{"drags":[{"asset_class":"a","account_type":"b","cost":"-1"}]}}`, `{"lock":[]}`,
	} {
		for _, l := range planned(t, exitExceptions, householdFile(t, withToday(record, "%s", bad)), "--date", "2020-03-16") {
			if e, ok := l["exception"].(map[string]any); !ok || e["code"] != "BAD_FIELDS" {
				t.Errorf("today %s: exception = %v, want BAD_FIELDS", bad, l["exception"])
			}
		}
	}
}

// TestPlanHouseholdsLocates plans households that ask for targets of their own: their accounts are
// planned as one, unless --location turns that off.
func TestPlanHouseholdsLocates(t *testing.T) {
	t.Parallel()
	records := worldRecords(t, sim.WorldSettings{Households: 6, Seed: 9, Years: 1})
	alone := planned(t, exitOK, householdFile(t, records), "--date", "2020-03-16", "--gap-max", "1e9")
	for i := range records {
		records[i].Today = json.RawMessage(`{"location":{}}`)
	}
	name := householdFile(t, records)
	located := planned(t, exitOK, name, "--date", "2020-03-16", "--gap-max", "1e9")
	joint := 0
	for _, l := range located {
		with, _ := l["planned_with"].([]any)
		if len(with) == 0 {
			continue
		}
		joint++
		if !slices.Contains(with, l["account"]) || l["gap_bp"].(float64) < 0 {
			t.Errorf("%v is planned with %v, gap %v", l["account"], with, l["gap_bp"])
		}
	}
	if joint == 0 {
		t.Error("no account is planned with others")
	}
	if off := planned(t, exitOK, name, "--date", "2020-03-16", "--gap-max", "1e9", "--location", "off"); mustJSON(t, off) != mustJSON(t, alone) {
		t.Error("--location off differs from households that do not ask for it")
	}
	if got := commandLine(t.Context(), nil, "plan", name, "--location", "maybe"); got.code != exitUsage {
		t.Errorf("--location maybe = %d, want %d", got.code, exitUsage)
	}
}

// FuzzParseToday checks that whatever a line says of the day is read or refused.
func FuzzParseToday(f *testing.F) {
	f.Add([]byte(`{"locks":[{"symbol":"A","account":"X","until":"2020-04-01"}],"spend_unsettled":"never"}`))
	f.Add([]byte(`{"open_orders":[{"id":"B","account":"X","symbol":"A","side":"buy","leaves":"1"}],"location":{"drags":[]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		record := pipeline.HouseholdRecord{ID: "H", Today: data, Accounts: []pipeline.AccountRecord{{ID: "X"}}}
		today, err := parseToday(record)
		if err == nil && len(data) > 0 && today.validate(record) != nil {
			t.Errorf("parseToday(%s) = nil, want its fault", data)
		}
	})
}
