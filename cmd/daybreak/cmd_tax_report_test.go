package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"daybreak/internal/postgres/pgtest"
)

// reportedWorld returns a database with the sample market and the two small households of
// testdata/tax/report.
func reportedWorld(t *testing.T) (dsn string) {
	t.Helper()
	dsn = pgtest.DSN(t)
	for _, args := range [][]string{
		{"import", "securities", sampleFile(t, "securities.csv")},
		{"import", "models", sampleFile(t, "models.csv")},
		{"import", "prices", "--adjustment", "splits+dividends", sampleFile(t, "prices.csv.gz")},
		{"import", "fx", sampleFile(t, "fx.csv.gz")},
		{"import", "households", "--strict", filepath.Join("..", "..", "testdata", "tax", "report", "households.jsonl")},
	} {
		if got := commandLine(t.Context(), nil, append(args, "--database-url", dsn)...); got.code != exitOK {
			t.Fatalf("%v = %+v, want exit code 0", args, got)
		}
	}
	return dsn
}

// TestTaxReport compares the reports of two small households with the golden files, and walks the
// exit codes.
func TestTaxReport(t *testing.T) {
	t.Parallel()
	dsn := reportedWorld(t)
	for _, c := range []struct{ golden, args string }{
		{"us-lines.csv", "--year 2019 --region US --format csv"},
		{"us-totals.csv", "--year 2019 --region US --format csv --totals"},
		{"ca-properties.csv", "--year 2019 --region CA --format csv"},
		{"ca-totals.csv", "--year 2019 --household CA1 --format csv --totals"},
		{"ca.txt", "--year 2019 --region CA"},
		{"next-year.txt", "--year 2020"},
	} {
		args := append([]string{"tax", "report", "--as-of", "2020-01-10", "--database-url", dsn}, strings.Fields(c.args)...)
		got := commandLine(t.Context(), nil, args...)
		file := filepath.Join("..", "..", "testdata", "tax", "report", c.golden)
		if *updateGolden {
			if err := os.WriteFile(file, []byte(got.out), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got.code != exitOK || got.out != string(want) {
			t.Errorf("tax report %s = %d\n%s%swant\n%s", c.args, got.code, got.out, got.err, want)
		}
	}
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"--year 2019 --household nobody", exitNotFound, "household nobody"},
		{"--year 2019 --account nobody", exitNotFound, "account nobody"},
		{"--year 2019 --household CA1 --region US", exitNotFound, "CA1"},
		{"--year 2019 --household CA1 --account US1-A", exitNotFound, "US1-A"},
		{"--household CA1", exitUsage, "year"},
		{"--year 19", exitUsage, "--year 19"},
		{"--year 2019 --region FR", exitUsage, "--region"},
		{"--year 2019 --format xml", exitUsage, "--format"},
		{"--year 2019 --format csv", exitUsage, "needs --region"},
		{"--year 2019 --totals", exitUsage, "--format csv"},
		{"--year 2019 --region US --format csv -o json", exitUsage, "exclude"},
		{"--year 2019 --as-of tomorrow", exitUsage, "--as-of"},
		{"--year 2019 --account US1-A -o jsonl", exitOK, `"account":"US1-A"`},
		{"--year 1999 -o json", exitOK, "[]"},
	} {
		got := commandLine(t.Context(), nil, append([]string{"tax", "report", "--database-url", dsn}, strings.Fields(c.args)...)...)
		if got.code != c.code || !strings.Contains(got.out+got.err, c.says) {
			t.Errorf("tax report %s = %+v, want exit code %d and %q", c.args, got, c.code, c.says)
		}
	}
	checkAccountShow(t, dsn)
}

// checkAccountShow reads what a sale today would come to, and what not to buy, off the JSON.
func checkAccountShow(t *testing.T, dsn string) {
	t.Helper()
	for _, c := range []struct{ account, day, want string }{
		{"US1-A", "2020-01-10", `AAPL  1780.2 [LT] denied 0 lost 0 [] 2020-01-10
AAPL u1 1544.1 [LT] denied 0 lost 0 [] 2020-01-10
AAPL u4 236.1 [LT] denied 0 lost 0 [] 2020-01-10
AMD  381.7 [LT] denied 0 lost 0 [] 2020-01-10
WMT  -899.37 [ST] denied 359.748 lost 359.748 [{BARRED_PURCHASE US1-I 2020-02-02}] 2020-02-03
do not buy: [{security:JPM 2020-01-29}]`},
		{"US1-A", "2020-01-30", `AAPL  2011.69 [LT] denied 0 lost 0 [] 2020-01-30
AAPL u1 1742.52 [LT] denied 0 lost 0 [] 2020-01-30
AAPL u4 269.17 [LT] denied 0 lost 0 [] 2020-01-30
AMD  387.8 [LT] denied 0 lost 0 [] 2020-01-30
WMT  -897.48 [ST] denied 358.992 lost 358.992 [{BARRED_PURCHASE US1-I 2020-02-02}] 2020-02-03
do not buy: []`},
		{"US1-I", "2020-01-10", `JPM  0 [] denied 0 lost 0 [] SHELTERED
WMT  0 [] denied 0 lost 0 [] SHELTERED
do not buy: [{security:JPM 2020-01-29}]`},
	} {
		got := commandLine(t.Context(), nil, "account", "show", c.account, "--as-of", c.day, "-o", "json", "--database-url", dsn)
		var page struct {
			IfSold []struct {
				Symbol, Lot, Gain, Denied, Lost, Unknown string
				Terms                                    []string
				FreeFrom                                 string                                  `json:"free_from"`
				DeniedBy                                 []struct{ Kind, Account, Until string } `json:"denied_by"`
			} `json:"if_sold_today"`
			DoNotBuy []struct{ Property, Until string } `json:"do_not_buy"`
		}
		if err := json.Unmarshal([]byte(got.out), &page); err != nil || got.code != exitOK {
			t.Fatalf("account show %s = %+v, %v", c.account, got, err)
		}
		var parts []string
		for _, s := range page.IfSold {
			parts = append(parts, fmt.Sprintf("%s %s %s %v denied %s lost %s %v %s%s", s.Symbol, s.Lot, s.Gain, s.Terms, s.Denied, s.Lost, s.DeniedBy, s.FreeFrom, s.Unknown))
		}
		parts = append(parts, fmt.Sprint("do not buy: ", page.DoNotBuy))
		if text := strings.Join(parts, "\n"); text != c.want {
			t.Errorf("account show %s --as-of %s =\n%s\nwant\n%s", c.account, c.day, text, c.want)
		}
	}
}

// TestCSVIsNoFormula: no text cell of a report begins a formula, and numbers stay numbers.
func TestCSVIsNoFormula(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", ""}, {"AAPL", "AAPL"}, {"=1+1", "'=1+1"}, {"+1", "'+1"}, {"-1", "'-1"}, {"@SUM(A1)", "'@SUM(A1)"},
		{"\tx", "'\tx"}, {"\rx", "'\rx"}, {"a=1", "a=1"}, {"'x", "'x"}, {" =1", " =1"},
	} {
		if got := safe(c.text); got != c.want {
			t.Errorf("safe(%q) = %q, want %q", c.text, got, c.want)
		}
	}
	var b strings.Builder
	w := csv.NewWriter(&b)
	table := taxTable{out: w, region: "US"}
	if err := table.end(); err != nil || !strings.HasPrefix(b.String(), "description,date_acquired,date_sold,proceeds,cost,code,adjustment,gain") {
		t.Errorf("an empty table = %q, %v, want the columns of Form 8949", b.String(), err)
	}
}
