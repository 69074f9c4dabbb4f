package pipeline

import (
	"fmt"
	"strings"
	"testing"

	"daybreak/market"
)

// TestImportCarriedLosses imports losses of owners on both sides of each bound. The household's first
// result is of 2019, its evening is of 2020.
func TestImportCarriedLosses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, region, carried string
		code                  market.Code
		want                  string // what is brought, or a part of the message
	}{
		{"both terms", "US", `{"end_of":2018,"st":"500","lt":"4000.5"}`, "", "[{A 2019 {500 4000.5}}]"},
		{"one term", "US", `{"end_of":2018,"lt":"1"}`, "", "[{A 2019 {0 1}}]"},
		{"nothing", "US", `{"end_of":2018}`, "", "[]"},
		{"by year", "CA", `{"end_of":2018,"by_year":[{"year":2018,"amount":"7"},{"year":2015,"amount":"300"}]}`, "", "[{A 2019 {307 0}}]"},
		{"a year of results", "US", `{"end_of":2019,"st":"500"}`, codeBadCarried, "owner A: carried_losses stand at the end of 2019, but the events realize gains or losses in 2019"},
		{"a year that is not over", "US", `{"end_of":2020,"st":"500"}`, codeBadCarried, "owner A: carried_losses: end_of 2020"},
		{"no year", "US", `{"st":"500"}`, codeBadCarried, "end_of 0"},
		{"before all years", "US", `{"end_of":1899,"st":"500"}`, codeBadCarried, "end_of 1899"},
		{"the first year", "US", `{"end_of":1900,"st":"500"}`, "", "[{A 1901 {500 0}}]"},
		{"by year where terms count", "US", `{"end_of":2018,"by_year":[{"year":2018,"amount":"7"}]}`, codeBadCarried, "region US carries st and lt"},
		{"terms where none count", "CA", `{"end_of":2018,"st":"7"}`, codeBadCarried, "region CA carries losses by_year"},
		{"a year after the last", "CA", `{"end_of":2017,"by_year":[{"year":2018,"amount":"7"}]}`, codeBadCarried, "year 2018 is not from 1900 to end_of 2017"},
		{"a year twice", "CA", `{"end_of":2018,"by_year":[{"year":2018,"amount":"7"},{"year":2018,"amount":"7"}]}`, market.CodeDuplicate, "year 2018"},
		{"a loss below zero", "US", `{"end_of":2018,"st":"-500"}`, market.CodeNegative, "owner A: carried_losses: -500: give losses as positive amounts"},
		{"a loss of a year below zero", "CA", `{"end_of":2018,"by_year":[{"year":2018,"amount":"-7"}]}`, market.CodeNegative, "positive"},
		{"too large", "US", `{"end_of":2018,"lt":"1000000000000000"}`, market.CodeBadNumber, "1000000000000000 is not below"},
		{"as large as it may be", "US", `{"end_of":2018,"lt":"999999999999999"}`, "", "[{A 2019 {0 999999999999999}}]"},
		{"no number", "US", `{"end_of":2018,"lt":"many"}`, market.CodeBadNumber, ""},
		{"an unknown field", "US", `{"end_of":2018,"long":"1"}`, codeBadJSON, "long"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			book := newMemoryBook()
			summary := importText(t, book, lineOf(t, "H1", `"region":"US"`, `"region":"`+c.region+`"`,
				`"from":"2010-01-01"`, `"from":"2010-01-01","carried_losses":`+c.carried), false)
			var code market.Code
			got := fmt.Sprint(Brought(book.openings["H1"].Carried))
			if len(summary.Faults) > 0 {
				code, got = summary.Faults[0].Code, summary.Faults[0].Message
			}
			if code != c.code || !strings.Contains(got, c.want) {
				t.Errorf("import of %s = %q %s, want %q %s", c.carried, code, got, c.code, c.want)
			}
		})
	}
}

// TestCarriedLossesOfPeopleWhoFileTogether: a result of the one leaves no room for losses of the other
// where both file one return, and does where each files alone.
func TestCarriedLossesOfPeopleWhoFileTogether(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		region, carried string
		want            market.Code
	}{
		{"US", `{"end_of":2019,"st":"5"}`, codeBadCarried},
		{"US", `{"end_of":2018,"st":"5"}`, ""},
		{"CA", `{"end_of":2019,"by_year":[{"year":2019,"amount":"5"}]}`, ""},
	} {
		summary := importText(t, newMemoryBook(), lineOf(t, "H1", `"region":"US"`, `"region":"`+c.region+`"`,
			`{"id":"A","from":"2010-01-01"}`, `{"id":"A","from":"2010-01-01"},{"id":"B","from":"2010-01-01","carried_losses":`+c.carried+`}`), false)
		var code market.Code
		if len(summary.Faults) > 0 {
			code = summary.Faults[0].Code
		}
		if code != c.want {
			t.Errorf("import of %s's %s = %q, want %q", c.region, c.carried, code, c.want)
		}
	}
}

// TestCarriedLossesAreOfTheRecord: the same losses in another order are the same record, others are not.
func TestCarriedLossesAreOfTheRecord(t *testing.T) {
	t.Parallel()
	line := func(carried string) string {
		return lineOf(t, "H1", `"region":"US"`, `"region":"CA"`, `"from":"2010-01-01"`, `"from":"2010-01-01","carried_losses":`+carried)
	}
	book := newMemoryBook()
	first := `{"end_of":2018,"by_year":[{"year":2018,"amount":"7"},{"year":2015,"amount":"300"}]}`
	importText(t, book, line(first), false)
	for _, c := range []struct {
		carried   string
		unchanged int
	}{
		{first, 1},
		{`{"end_of":2018,"by_year":[{"year":2015,"amount":"300.00"},{"year":2018,"amount":"7"}]}`, 1},
		{`{"end_of":2018,"by_year":[{"year":2015,"amount":"300"},{"year":2018,"amount":"8"}]}`, 0},
	} {
		if got := importText(t, book, line(c.carried), false); got.Unchanged != c.unchanged {
			t.Errorf("import again with %s = %+v, want %d unchanged", c.carried, got, c.unchanged)
		}
	}
}
