package pipeline

import (
	"fmt"
	"strings"
	"testing"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/region"
)

// taxStory is a household of one account whose facts are told as "id kind day shares price known", the
// last only of what came after the household; "-id by known" takes one back, and a fact whose known day
// has an = before it came in the same book version as what is before it.
func taxStory(t *testing.T, place string, facts ...string) TaxHousehold {
	t.Helper()
	h := TaxHousehold{
		Household: portfolio.Household{ID: "H1", Region: place, Accounts: []portfolio.Account{{ID: "H1-A", Owner: "me", Type: "taxable"}}},
		Accounts:  []TaxAccount{{Account: "H1-A", Excused: true}},
	}
	for _, text := range facts {
		f := strings.Fields(text)
		known, isSame := strings.CutPrefix(f[len(f)-1], "=")
		if len(f) != 5 && !isSame {
			h.Version++
		}
		if id, isBust := strings.CutPrefix(f[0], "-"); isBust {
			for i := range h.Arrivals {
				if a := &h.Arrivals[i]; a.Event.ID == id {
					a.Withdrawn, a.WithdrawnBy, a.WithdrawnKnown = h.Version, f[1], market.MustDay(known)
				}
			}
			continue
		}
		shares := money.MustParse(f[3])
		e := region.Event{ID: f[0], Kind: region.Kind(f[1]), Day: market.MustDay(f[2]), Settle: market.MustDay(f[2]), Owner: "me",
			Account: "H1-A", AccountType: "taxable", Symbol: "X", Shares: money.RatDec(shares), Amount: shares.Mul(money.MustParse(f[4])),
			Seq: int64(len(h.Events) + len(h.Arrivals))}
		if len(f) == 5 {
			h.Events, h.Imported = append(h.Events, e), h.Imported+1
			continue
		}
		h.Arrivals = append(h.Arrivals, Arrival{Event: e, Version: h.Version, Known: market.MustDay(known)})
	}
	h.Events = h.KnownAt(h.Version)
	return h
}

// TestAccountMarks: the life of a loss, day by day, on both sides of each bound. The sale of 2019-05-01
// loses 300; its window closes in the evening of 2019-05-31.
func TestAccountMarks(t *testing.T) {
	t.Parallel()
	sold := []string{"b buy 2018-01-02 20 100", "s sell 2019-05-01 10 70"}
	const came = "2019-05-01 sale of X on 2019-05-01: provisional, gain -300.00, denied 0.00\n"
	const closed = "2019-05-31 sale of X on 2019-05-01: provisional → final, gain -300.00, denied 0.00: its window closed\n"
	for _, c := range []struct {
		name, place string
		facts       []string
		asOf, want  string
	}{
		{"the last day of the window, in its morning", "US", sold, "2019-05-30", came},
		{"and in its evening", "US", sold, "2019-05-31", came + closed},
		{"by pools as by lots", "CA", sold, "2019-05-31", came + closed},
		{"a sale that came to the book", "US", []string{"b buy 2018-01-02 20 100", "s sell 2019-05-01 10 70 2019-05-01"}, "2019-05-31", came + closed},
		{"a sale that came after its window", "US", []string{"b buy 2018-01-02 20 100", "s sell 2019-05-01 10 70 2019-06-01"}, "2019-06-01",
			"2019-06-01 sale of X on 2019-05-01: final, gain -300.00, denied 0.00\n"},
		{"a purchase on the last day of the window", "US", append(sold, "n buy 2019-05-31 3 75 2019-05-31"), "2019-06-30", came +
			"2019-05-31 sale of X on 2019-05-01: provisional, gain -300.00 → -210.00, denied 0.00 → 90.00: n (buy 3 X in H1-A on 2019-05-31)\n" +
			"2019-05-31 sale of X on 2019-05-01: provisional → final, gain -210.00, denied 90.00: its window closed\n"},
		{"the same purchase, told a day late", "US", append(sold, "n buy 2019-05-31 3 75 2019-06-01"), "2019-06-30", came + closed +
			"2019-06-01 sale of X on 2019-05-01: final → restated, gain -300.00 → -210.00, denied 0.00 → 90.00: late n (buy 3 X in H1-A on 2019-05-31), known on 2019-06-01\n"},
		{"not yet known", "US", append(sold, "n buy 2019-05-31 3 75 2019-06-01"), "2019-05-31", came + closed},
		{"a purchase behind the window", "US", append(sold, "n buy 2019-06-01 3 75 2019-06-01"), "2019-06-30", came + closed},
		{"by pools, denied and busted", "CA", append(sold, "n buy 2019-05-31 3 75 2019-06-10", "-n x9 2019-07-01"), "2019-07-01", came + closed +
			"2019-06-10 sale of X on 2019-05-01: final → restated, gain -300.00 → -210.00, denied 0.00 → 90.00: late n (buy 3 X in H1-A on 2019-05-31), known on 2019-06-10\n" +
			"2019-07-01 sale of X on 2019-05-01: restated, gain -210.00 → -300.00, denied 90.00 → 0.00: bust of n (buy 3 X in H1-A on 2019-05-31) by x9\n" +
			"2019-07-01 busted: buy 3 X in H1-A on 2019-05-31, by x9\n"},
		{"the sale itself busted", "US", []string{"b buy 2018-01-02 20 100", "s sell 2019-05-01 10 70 2019-05-01", "-s x9 2019-05-02"}, "2019-06-30", came +
			"2019-05-02 sale of X on 2019-05-01: provisional, withdrawn, gain -300.00 → 0.00, denied 0.00: bust of s (sell 10 X in H1-A on 2019-05-01) by x9\n" +
			"2019-05-02 busted: sell 10 X in H1-A on 2019-05-01, by x9\n"},
		{"the sale corrected", "US", []string{"b buy 2018-01-02 20 100", "s sell 2019-05-01 10 70 2019-05-01", "-s x9 2019-05-02", "x9 sell 2019-05-01 10 80 =2019-05-02"}, "2019-05-02", came +
			"2019-05-02 sale of X on 2019-05-01: provisional, withdrawn, gain -300.00 → 0.00, denied 0.00: correction x9 (sell 10 X in H1-A on 2019-05-01) in place of s\n" +
			"2019-05-02 sale of X on 2019-05-01: provisional, gain -200.00, denied 0.00: correction x9 (sell 10 X in H1-A on 2019-05-01) in place of s\n" +
			"2019-05-02 corrected: sell 10 X in H1-A on 2019-05-01, by x9\n"},
		{"a gain says nothing", "US", []string{"b buy 2018-01-02 20 100", "s sell 2019-05-01 10 130"}, "2019-06-30", ""},
		{"a gain that changed", "US", []string{"b buy 2018-01-02 20 100", "s sell 2019-05-01 10 130", "e buy 2017-01-02 10 50 2019-06-02"}, "2019-06-30",
			"2019-06-02 sale of X on 2019-05-01: final → restated, gain 300.00 → 800.00, denied 0.00: late e (buy 10 X in H1-A on 2017-01-02), known on 2019-06-02\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			marks, err := AccountMarks(taxStory(t, c.place, c.facts...), "H1-A", nil, market.MustDay(c.asOf))
			var got strings.Builder
			for i := range marks {
				fmt.Fprintf(&got, "%s %s\n", marks[i].Day, marks[i].Text())
			}
			if err != nil || got.String() != c.want {
				t.Errorf("AccountMarks = %v\n%swant\n%s", err, got.String(), c.want)
			}
		})
	}
}

// TestTimelineFoldsNothingNew: whatever steps are left out because they cannot matter, the last state of
// each sale is that of the book folded at once.
func TestTimelineEndsAtTheBook(t *testing.T) {
	t.Parallel()
	for _, place := range []string{"US", "CA", "UK"} {
		h := taxStory(t, place, "b buy 2018-01-02 50 100", "s1 sell 2019-05-01 10 70 2019-05-01", "n1 buy 2019-05-20 4 72 2019-05-20",
			"n2 buy 2019-08-01 5 60 2019-08-01", "s2 sell 2019-09-02 9 50 2019-09-02", "n3 buy 2019-09-10 2 50 2019-09-10", "-n1 x1 2019-10-01",
			"n4 buy 2019-12-01 5 60 2019-12-01", "l buy 2019-08-25 1 55 2019-12-02", "s3 sell 2019-12-27 5 40 2019-12-27", "n5 buy 2020-01-20 5 41 2020-01-20")
		all, err := TaxTimeline(h, nil, endOfDays)
		if err != nil {
			t.Fatal(err)
		}
		last := map[string]Transition{}
		for _, tr := range all {
			if before, ok := last[tr.Event]; ok && (before.Gain[1] != tr.Gain[0] || before.Denied[1] != tr.Denied[0] || before.To != tr.From) {
				t.Errorf("%s: %s goes on from %s %s %s, was %s %s %s", place, tr.Event, tr.From, tr.Gain[0], tr.Denied[0], before.To, before.Gain[1], before.Denied[1])
			}
			last[tr.Event] = tr
		}
		book, err := foldAgain(h, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range book.Sales() {
			if l := last[s.Event]; l.Gain[1] != s.Gain || l.Denied[1] != s.Denied || l.Lost[1] != s.Lost {
				t.Errorf("%s: the timeline of %s ends at %s, denied %s, want %s, %s", place, s.Event, l.Gain[1], l.Denied[1], s.Gain, s.Denied)
			}
			delete(last, s.Event)
		}
		for event, l := range last {
			if l.To != "" {
				t.Errorf("%s: the timeline keeps %s, which the book does not have", place, event)
			}
		}
	}
}
