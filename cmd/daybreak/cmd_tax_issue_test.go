package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"daybreak/internal/postgres"
)

// TestTaxIssue plays a year's slips and a purchase that the book is told of after them: the report and
// the account's timeline name it, the slip stays, and the amended one is number 2.
func TestTaxIssue(t *testing.T) {
	t.Parallel()
	dsn := reportedWorld(t)
	db, err := postgres.Open(t.Context(), dsn, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	asSample(t, db)
	run := func(wantCode int, says string, args ...string) string {
		t.Helper()
		got := commandLine(t.Context(), nil, append(args, "--database-url", dsn)...)
		if got.code != wantCode || !strings.Contains(got.out+got.err, says) {
			t.Fatalf("%v = %+v, want exit code %d and %q", args, got, wantCode, says)
		}
		return got.out
	}
	for _, c := range []struct {
		args, says string
		code       int
	}{
		{"--year 2019 --as ana", "either --household ID or --all", exitUsage},
		{"--year 2019 --all --household US1 --as ana", "either --household ID or --all", exitUsage},
		{"--year 2019 --all", "as", exitUsage},
		{"--year 19 --all --as ana", "--year 19", exitUsage},
		{"--year 2199 --household US1 --as ana", "is not over", exitConflict},
		{"--year 2199 --all --as ana", "no slip for US1", exitExceptions},
		{"--year 2019 --household US9 --as ana", "US9", exitNotFound},
	} {
		run(c.code, c.says, append([]string{"tax", "issue"}, strings.Fields(c.args)...)...)
	}
	run(exitOK, "slips issued for 2 households, 0 of them amended", "tax", "issue", "--year", "2019", "--all", "--as", "ana")
	run(exitOK, "0 slips issued for 2 households", "tax", "issue", "--year", "2019", "--all", "--as", "ana")

	// A purchase of the day after the sale of 2019-12-30 comes a long time after it.
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for _, sql := range []string{
		"UPDATE household SET book_version = 1 WHERE id = 'US1'",
		"UPDATE tax_checkpoint SET void = true WHERE household = 'US1'",
		`INSERT INTO tax_event (household, version, line, event, effective, body)
		SELECT household, 1, 0, 'late-1', '2019-12-31', jsonb_build_object('id', 'late-1', 'kind', 'buy', 'day', '2019-12-31', 'settle', '2019-12-31', 'seq', 1,
			'owner', owner, 'account', id, 'account_type', type, 'symbol', 'JPM', 'shares', '10', 'amount', '1390', 'currency', 'USD')
		FROM account WHERE id = 'US1-A'`,
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	run(exitOK, "by late-1 (buy 10 JPM in US1-A on 2019-12-31)", "tax", "report", "--year", "2019", "--household", "US1")
	var slips []struct {
		Slips []struct {
			Number  int
			Changes []struct{ Kind string }
		}
	}
	text := run(exitOK, "", "tax", "report", "--year", "2019", "--household", "US1", "-o", "json")
	if err := json.Unmarshal([]byte(text), &slips); err != nil || len(slips[0].Slips) != 1 || len(slips[0].Slips[0].Changes) == 0 {
		t.Fatalf("report as JSON: %+v, %v, want a slip with changes", slips, err)
	}
	rows := run(exitOK, "", "tax", "report", "--year", "2019", "--region", "US", "--format", "csv")
	if !strings.Contains(rows, ",1,amended,") || !strings.Contains(rows, ",1,,,,,") {
		t.Errorf("report as CSV =\n%s\nwant lines of slip 1, changed ones marked", rows)
	}
	schedule := run(exitOK, "", "tax", "report", "--year", "2019", "--household", "US1", "--format", "csv", "--schedule")
	if !strings.Contains(schedule, ",16,line 7 and line 15,") || !strings.Contains(schedule, ",yes\n") {
		t.Errorf("schedule =\n%s\nwant line 16, and amended lines marked", schedule)
	}
	run(exitOK, `"kind":"tax"`, "account", "show", "US1-A", "-o", "jsonl")
	run(exitDifferences, "ok      15b", "verify") // the purchase came without its shares
	run(exitOK, "1 slips issued for 1 households, 1 of them amended", "tax", "issue", "--year", "2019", "--household", "US1", "--as", "ben")
	run(exitOK, "slip 2 of -US1", "tax", "report", "--year", "2019", "--household", "US1")
	run(exitDifferences, "ok      15a", "verify")
}
