package region_test

import (
	"strings"
	"testing"
)

// TestHostileFiles: each unusable case gives one line that says why, and the others go on.
func TestHostileFiles(t *testing.T) {
	buy := func(id, shares string) string {
		return `{"id":"` + id + `","date":"2024-01-02","action":"buy","account":"a","symbol":"X","shares":` + shares + `,"price":"5"}`
	}
	text := func(id string, transactions ...string) string {
		return `{"format":"taxcase/1","id":"` + id + `","region":"CA","transactions":[` + strings.Join(transactions, ",") + "]}"
	}
	good := text("good", buy("b", `"1"`))
	for _, c := range []struct {
		name, text string
		says       string // in the first line
		lines      int
	}{
		{"nothing", "", `"code":"BAD_CASE","message":"no case in the file"`, 1},
		{"blanks", " \n\t\n", "no case in the file", 1},
		{"no cases", "[]", "", 0},
		{"zero bytes", "\x00\x00", "want an object", 1},
		{"a zero byte behind a case", good + "\n\x00", `"outcome"`, 2},
		{"a byte order mark", "\ufeff" + good, `"outcome"`, 1},
		{"a word", "hello\n" + good, "want an object", 2},
		{"cut off", good[:60] + "\n" + good, `"id":"good","error"`, 2},
		{"an array cut off", "[" + good + ",\n{", `"outcome"`, 2},
		{"a number that is none", text("n", buy("b", "NaN")) + "\n" + good, `"transaction":"b","code":"BAD_NUMBER"`, 2},
		{"in an array too", "[" + text("n", buy("b", "-Infinity")) + "," + good + "]", `"transaction":"b","code":"BAD_NUMBER"`, 2},
		{"a word for a number", text("n", buy("b", "ten")) + "\n" + good, `"transaction":"b","code":"BAD_CASE"`, 2},
		{"cut off in a transaction", text("n", buy("a", `"1"`), buy("b", `"1"`))[:200] + "\n" + good, `"id":"n","error":{"transaction":"b","code":"BAD_CASE"`, 2},
		{"cut off before its id", text("n", buy("a", `"1"`)+`,{"date":"2024-`) + "\n" + good, `"transaction":"#2","code":"BAD_CASE"`, 2},
		{"arrays without end", strings.Repeat("[", 100000) + "\n" + good, "want an object", 1},
		{"objects without end", strings.Repeat(`{"a":`, 100000) + "\n" + good, "less nesting", 2},
		{"an id twice", text("d", buy("b", `"1"`), buy("b", `"2"`)) + good, `"transaction":"b","code":"BAD_CASE"`, 2},
		{"an id twice, not beside", text("d", buy("b", `"1"`), buy("a", `"1"`), buy("c", `"1"`), buy("b", `"2"`)), `"transaction":"b","code":"BAD_CASE"`, 1},
		{"ids that fall", text("d", buy("c", `"1"`), buy("b", `"1"`), buy("a", `"1"`)), `"outcome"`, 1},
		{"ids that get longer", text("d", buy("t9", `"1"`), buy("t10", `"1"`)), `"outcome"`, 1},
		{"many digits", text("d", buy("b", `"`+strings.Repeat("9", 5000)+`"`)), `"code":"BAD_NUMBER"`, 1},
		{"too large at its rate", text("d", `{"id":"b","date":"2024-01-02","action":"buy","symbol":"X","shares":"1000000000000","price":"1000000000000","currency":"USD","fx":"2"}`), `"transaction":"b","code":"BAD_NUMBER"`, 1},
		{"1e400", text("d", buy("b", `1e400`)), `"transaction":"b","code":"BAD_NUMBER"`, 1},
	} {
		lines, _ := outcome(c.text)
		got := strings.Split(strings.TrimSuffix(lines, "\n"), "\n")
		if lines == "" {
			got = nil
		}
		if len(got) != c.lines || c.lines > 0 && !strings.Contains(got[0], c.says) {
			t.Errorf("%s: %d lines, first %.200q, want %d and %q", c.name, len(got), strings.Join(got, "")+"", c.lines, c.says)
		}
		for _, line := range got {
			if len(line) > 1000 {
				t.Errorf("%s: a line of %d bytes", c.name, len(line))
			}
		}
	}
}
