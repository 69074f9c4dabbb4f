package region_test

import (
	"fmt"
	"strings"
	"testing"
)

// tx returns a transaction of me in a taxable account, in XYZ; fields come later and win.
func tx(id, day, action, fields string) string {
	return fmt.Sprintf(`{"id":%q,"date":%q,"action":%q,"owner":"me","account":"me/1","account_type":"taxable","symbol":"XYZ",%s}`, id, day, action, fields)
}

// TestCaseReadings has what a line of JSON shows and a scenario does not: orders, and what a case
// means where a book's event means another thing.
func TestCaseReadings(t *testing.T) {
	for _, c := range []struct {
		name, region string
		transactions []string
		want         []string // in this order
	}{
		{"replaced before the rest, the earliest replacement first", "US", []string{
			tx("a", "2024-01-10", "buy", `"shares":"20","price":"20"`),
			tx("b", "2025-02-20", "buy", `"shares":"5","price":"17"`),
			tx("s", "2025-03-03", "sell", `"shares":"20","price":"17"`),
			tx("c", "2025-03-10", "buy", `"shares":"5","price":"17"`),
		}, []string{`"replaced_by":"b"`, `"replaced_by":"c"`, `"shares":"10"`, `"disallowed":"0"`, `"lots":`}},
		{"two lots, each before its rest", "US", []string{
			tx("a", "2024-01-10", "buy", `"shares":"4","price":"20"`),
			tx("b", "2024-01-11", "buy", `"shares":"4","price":"21"`),
			tx("s", "2025-03-03", "sell", `"shares":"8","price":"17"`),
			tx("c", "2025-03-10", "buy", `"shares":"1","price":"17"`),
			tx("d", "2025-03-11", "buy", `"shares":"5","price":"17"`),
		}, []string{`"replaced_by":"c"`, `"lot":"a","shares":"3"`, `"replaced_by":"d"`, `"lot":"b","shares":"2"`, `"replaced_by":"d"`,
			`"lot":"b","shares":"2"`, `"disallowed":"0"`, `"lots":`}},
		{"what a rounding loses is no loss", "US", []string{
			tx("a", "2025-01-06", "buy", `"shares":"1/3","price":"8"`),
			tx("s", "2025-01-07", "sell", `"shares":"1/3","price":"4","commission":"1"`),
			tx("b", "2025-01-08", "buy", `"shares":"1","price":"6"`),
			tx("t", "2025-01-09", "sell", `"shares":"1","amount":"33","commission":"20"`),
			tx("c", "2025-01-10", "buy", `"shares":"1","price":"3"`),
		}, []string{`"tx":"t"`, `"disallowed":"0"`, `"lots":`, `"lot":"c"`, `"shares":"1"`}},
		{"shares are those of the settlement day", "CA", []string{
			tx("b", "2025-03-03", "buy", `"shares":"10","price":"30"`),
			tx("s", "2025-03-06", "sell", `"settle":"2025-03-10","shares":"10","price":"20"`),
			tx("x", "2025-03-07", "split", `"ratio":"2"`),
		}, []string{`"tx":"s"`, `"acb_sold":"150"`, `"shares":"10","acb":"150"`}},
		{"what settles first is oversold first", "CA", []string{
			tx("b", "2025-03-03", "buy", `"shares":"5","price":"30"`),
			tx("s", "2025-03-06", "sell", `"settle":"2025-03-10","shares":"10","price":"20"`),
			tx("t", "2025-03-07", "sell", `"settle":"2025-03-08","shares":"10","price":"20"`),
		}, []string{`"transaction":"t","code":"OVERSOLD"`}},
		{"carried in to the first year with a result", "US", []string{
			tx("b", "2023-03-03", "buy", `"shares":"5","price":"30"`),
			tx("r", "2024-03-06", "roc", `"price":"1"`),
			tx("d", "2024-04-06", "ri_div", `"price":"1"`),
			tx("s", "2025-03-07", "sell", `"shares":"5","price":"30"`),
		}, []string{`"years":{"2025":`}},
		{"losses are carried through a year without sales", "US", []string{
			tx("b", "2019-03-03", "buy", `"shares":"100","price":"100"`),
			tx("s", "2020-03-07", "sell", `"shares":"90","price":"10"`),
			tx("t", "2022-03-07", "sell", `"shares":"10","price":"100"`),
		}, []string{`"2020":`, `"carry_lt":"5100"`, `"2021":`, `"carry_lt":"2100"`, `"2022":`, `"deduction":"2100"`, `"carry_lt":"0"`}},
	} {
		line, _ := outcome(caseOf(c.region, c.transactions...))
		rest := line
		for _, want := range c.want {
			_, after, found := strings.Cut(rest, want)
			if !found {
				t.Errorf("%s: %s\nhas no %s after those before it in %q", c.name, line, want, c.want)
				break
			}
			rest = after
		}
	}
}
