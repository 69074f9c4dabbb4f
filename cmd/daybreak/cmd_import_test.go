package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"daybreak/internal/postgres/pgtest"
	"daybreak/pipeline"
	sample "daybreak/testdata/market"
)

// importRun is what a command line came to.
type importRun struct {
	code     int
	out, err string
}

// runImport runs `daybreak import ARGS` with no environment and the standard input given.
func runImport(t *testing.T, in string, args ...string) importRun {
	t.Helper()
	var out, errOut bytes.Buffer
	code := run(t.Context(), &app{args: append([]string{"import"}, args...), unsetenv: os.Unsetenv, now: time.Now,
		in: strings.NewReader(in), out: &out, errOut: &errOut})
	return importRun{code, out.String(), errOut.String()}
}

// sampleFile writes a file of the sample market to disk and returns its path.
func sampleFile(t *testing.T, name string) string {
	t.Helper()
	body, err := sample.Files.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return textFile(t, name, string(body))
}

func textFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestImportExitCodes(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	const header = "date,symbol,currency,close,dividend\n"
	good, bad := header+"2020-03-16,KO,USD,38.1,0\n", header+"2020-03-16,KO,USD,38.1,0\n2020-03-17,KO,USD,NaN,0\n"
	prices := []string{"prices", "--adjustment", "splits"}
	for _, c := range []struct {
		name string
		in   string
		args []string
		code int
		says string // in what the command printed
	}{
		{"securities", "", []string{"securities", sampleFile(t, "securities.csv")}, exitOK, "25 inserted"},
		{"the standard input", good, append(prices, "-"), exitOK, "1 lines of prices: 1 inserted"},
		{"twice", good, append(prices, "-"), exitOK, "0 inserted, 0 changed, 1 unchanged"},
		{"a bad line left out", bad, append(prices, "-"), exitExceptions, "-:3: BAD_NUMBER: close \"NaN\""},
		{"a bad line, strict", bad, append(prices, "--strict", "-"), exitFailed, "nothing of it was written: 1 bad lines"},
		{"another adjustment", good, []string{"prices", "--adjustment", "raw", "-"}, exitExceptions, "OTHER_ADJUSTMENT"},
		{"no adjustment", good, []string{"prices", "-"}, exitUsage, "want raw, splits or splits+dividends"},
		{"an unknown adjustment", good, []string{"prices", "--adjustment", "none", "-"}, exitUsage, "want raw, splits or splits+dividends"},
		{"an empty file", "", append(prices, "-"), exitFailed, "EMPTY_FILE"},
		{"a wrong header", "date,price\n", append(prices, "-"), exitFailed, `header is "date,price", want date,symbol,currency,close,dividend`},
		{"a file of another kind", good, []string{"fx", "-"}, exitFailed, "`daybreak import prices`"},
		{"a missing file", "", []string{"fx", "no-such-file.csv"}, exitFailed, "no-such-file.csv"},
		{"a folder", "", []string{"fx", t.TempDir()}, exitFailed, "BAD_FILE"},
		{"no publisher", "", []string{"fx", "--source", "", "-"}, exitUsage, "--source"},
		{"no file", "", []string{"fx"}, exitUsage, "requires at least 1 arg"},
		{"no kind", "", nil, exitUsage, "securities"},
	} {
		got := runImport(t, c.in, append(c.args, "--database-url", dsn)...)
		if got.code != c.code || !strings.Contains(got.out+got.err, c.says) {
			t.Errorf("%s: import %v = exit %d, %q, %q, want exit %d and %q", c.name, c.args, got.code, got.out, got.err, c.code, c.says)
		}
	}
}

func TestImportWithoutDatabase(t *testing.T) {
	t.Parallel()
	file := sampleFile(t, "securities.csv")
	if got := runImport(t, "", "securities", file); got.code != exitUsage || !strings.Contains(got.err, "daybreak up") {
		t.Errorf("import without an installation = exit %d, %q, want exit %d and how to start one", got.code, got.err, exitUsage)
	}
	down := runImport(t, "", "securities", file, "--database-url", "postgres://nobody@127.0.0.1:1/none")
	if down.code != exitFailed || !strings.Contains(down.err, "127.0.0.1:1") || down.out != "" {
		t.Errorf("import with a database that is down = exit %d, %q, %q, want exit %d and its address", down.code, down.out, down.err, exitFailed)
	}
}

func TestImportJSON(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	files := []string{sampleFile(t, "securities.csv"), textFile(t, "bad.csv", "symbol,name\n")}
	got := runImport(t, "", append([]string{"securities", "-o", "json", "--database-url", dsn}, files...)...)
	var report struct {
		Files  []pipeline.ImportSummary
		Errors []pipeline.Fault
	}
	if err := json.Unmarshal([]byte(got.out), &report); err != nil {
		t.Fatalf("-o json printed %q: %v", got.out, err)
	}
	if got.code != exitFailed || len(report.Files) != 2 || report.Files[0].Inserted != 25 || report.Files[1].Refused == "" {
		t.Errorf("exit %d, files %+v, want exit %d, 25 inserted and the second refused", got.code, report.Files, exitFailed)
	}
	if len(report.Errors) != 1 || report.Errors[0].Code != "BAD_HEADER" || report.Errors[0].Line != 1 || report.Errors[0].File != files[1] {
		t.Errorf("errors %+v, want one BAD_HEADER of %s", report.Errors, files[1])
	}
	got = runImport(t, "", append([]string{"securities", "-o", "jsonl", "--database-url", dsn}, files...)...)
	if lines := strings.Split(strings.TrimSpace(got.out), "\n"); len(lines) != 3 || !strings.Contains(lines[0], `"code":"BAD_HEADER"`) || !strings.Contains(lines[1], `"unchanged":25`) {
		t.Errorf("-o jsonl printed %q, want the error, then two summaries", got.out)
	}
}

func TestImportProgress(t *testing.T) {
	t.Parallel()
	var errOut bytes.Buffer
	told := (&app{errOut: &errOut}).importProgress("/data/prices.csv.gz")
	for _, lines := range []int{0, importLinesTold - 1, importLinesTold, importLinesTold + 1, 2 * importLinesTold} {
		told(lines, false)
	}
	told(450_000, true)
	want := "prices.csv.gz: 200000 lines read\nprices.csv.gz: 400000 lines read\nprices.csv.gz: 450000 lines read, writing\n"
	if errOut.String() != want {
		t.Errorf("progress = %q, want %q", errOut.String(), want)
	}
	errOut.Reset()
	told = (&app{errOut: &errOut}).importProgress("models.csv")
	told(0, false)
	told(68, true)
	if errOut.Len() != 0 {
		t.Errorf("progress of a short file = %q, want none", errOut.String())
	}
}
