package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/region"
)

// slipBooks are tax books in memory that keep slips.
type slipBooks struct {
	heldBooks
	issued []Slip
}

func (b *slipBooks) SaveSlips(_ context.Context, slips []Slip, by string, now time.Time) error {
	b.issued = append(b.issued, slips...)
	for _, s := range slips {
		for i := range b.heldBooks {
			if h := &b.heldBooks[i]; h.Household.ID == s.Household {
				body, hash := s.Pack()
				kept, _, err := UnpackSlip(body)
				if err != nil {
					return err
				}
				h.Slips = append(h.Slips, IssuedSlip{Slip: kept, Issued: now, By: by, Stored: hash})
			}
		}
	}
	return nil
}

func (b *slipBooks) issue(t *testing.T, year int, asOf string) IssueResult {
	t.Helper()
	result, err := IssueSlips(t.Context(), b, IssueRequest{Year: year, AsOf: market.MustDay(asOf), By: "ana"}, func(int64) {})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// report returns the changes of the last slips, one a line, and checks that verification is content.
func (b *slipBooks) report(t *testing.T, year int, asOf string) string {
	t.Helper()
	var text strings.Builder
	q := TaxQuery{Year: year, AsOf: market.MustDay(asOf)}
	err := ReportTax(t.Context(), b, q, func(r TaxReport) error {
		for _, s := range r.Slips {
			for _, c := range s.Changes {
				fmt.Fprintf(&text, "%s %s of slip %d:", c.Kind, c.Event, s.Number)
				for _, l := range []*TaxLine{c.Issued, c.Now} {
					if l == nil {
						text.WriteString(" none")
						continue
					}
					fmt.Fprintf(&text, " %s/%s", l.Gain, l.Adjustment)
				}
				for _, why := range c.Causes {
					fmt.Fprintf(&text, " %s %s", why.Kind, why.Event)
				}
				text.WriteString("\n")
			}
		}
		return checkSums(r)
	}, func(int64) {})
	if err != nil {
		t.Fatal(err)
	}
	checks, err := VerifyTax(t.Context(), b)
	if err != nil || !checks[2].OK {
		t.Errorf("VerifyTax of the slips = %+v, %v, want it sound", checks[2], err)
	}
	return text.String()
}

// checkSums wants today's lines to be the slips' lines and their changes.
func checkSums(r TaxReport) error {
	var now, issued, changed money.Dec
	for _, l := range r.Lines {
		now = now.Add(l.Gain)
		if l.Issued != nil {
			changed = changed.Add(l.Gain).Sub(l.Issued.Gain)
		}
	}
	hasSlip := false
	for _, s := range r.Slips {
		if !s.IsLast {
			continue
		}
		hasSlip = true
		for _, l := range s.Lines {
			issued = issued.Add(l.Gain)
		}
	}
	if hasSlip && issued.Add(changed) != now {
		return fmt.Errorf("issued %s and changes of %s are not the %s of the lines", issued, changed, now)
	}
	for _, p := range r.Properties {
		now = now.Sub(p.Gain)
		if p.Issued != nil {
			changed = changed.Sub(p.Gain).Add(p.Issued.Gain)
		}
		if (p.Issued != nil) != (p.Amendment != "") || hasSlip != (p.Issue > 0) {
			return fmt.Errorf("property %+v is marked by halves", p.OnSlip)
		}
	}
	if len(r.Properties) > 0 && (!now.IsZero() || !changed.IsZero()) {
		return fmt.Errorf("properties leave %s of the lines and %s of their changes", now, changed)
	}
	for _, u := range r.Units {
		if hasSlip && (u.Issued == nil || u.Issued.Net() != issued) {
			return fmt.Errorf("unit %v was issued with %+v, want %s", u.Owners, u.Issued, issued)
		}
	}
	return nil
}

// december is a sale on 2019-12-20 of 10 of 20 shares at a loss of 300: its window closes on 2020-01-19.
var december = []string{"b buy 2018-01-02 20 100", "s sell 2019-12-20 10 70 2019-12-20"}

// TestAmendments: what a fact after the slip is to the slip, on both sides of each bound.
func TestAmendments(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, place, issued, fact, want string }{
		{"nothing came", "US", "2020-02-10", "", ""},
		{"a purchase of the window on the day after a slip that left it open", "US", "2020-01-10", "n buy 2020-01-11 4 72 2020-01-11", "settled s of slip 1: -300/0 none event n\nsettled s of slip 1: none -180/120 event n\n"},
		{"one of the very day of the slip", "US", "2020-01-10", "n buy 2020-01-10 4 72 2020-01-13", "amended s of slip 1: -300/0 none late n\n"},
		{"a late one of before a slip that left it open", "CA", "2020-01-10", "n buy 2020-01-09 4 72 2020-01-12", "amended s of slip 1: -300/0 -180/120 late n\n"},
		{"one of the window by pools", "CA", "2020-01-10", "n buy 2020-01-19 4 72 2020-01-19", "settled s of slip 1: -300/0 -180/120 event n\n"},
		{"one on the day after the window", "CA", "2020-01-10", "n buy 2020-01-20 4 72 2020-01-20", ""},
		{"the same purchase, told late but of after the slip", "CA", "2020-01-10", "n buy 2020-01-19 4 72 2020-03-01", "settled s of slip 1: -300/0 -180/120 late n\n"},
		{"one of the window, told after a slip that was final", "CA", "2020-01-19", "n buy 2020-01-19 4 72 2020-03-01", "amended s of slip 1: -300/0 -180/120 late n\n"},
		{"the sale busted", "CA", "2020-01-10", "-s x 2020-01-11", "amended s of slip 1: -300/0 none bust s\n"},
		{"a late sale", "CA", "2020-02-10", "t sell 2019-12-30 5 150 2020-03-01", "amended t of slip 1: none 250/0 sale t\n"},
		{"a late purchase long ago, which the sale takes instead", "CA", "2020-02-10", "o buy 2017-01-02 20 60 2020-03-01", "amended s of slip 1: -300/0 -100/0 late o\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			books := &slipBooks{heldBooks: heldBooks{taxStory(t, c.place, december...)}}
			if got := books.issue(t, 2019, c.issued); got.Issued != 1 || got.Lines != 1 {
				t.Fatalf("issue = %+v, want one slip of one line", got)
			}
			if c.fact != "" {
				h := taxStory(t, c.place, append(slices.Clone(december), c.fact)...)
				h.Slips = books.heldBooks[0].Slips
				books.heldBooks[0] = h
			}
			got := books.report(t, 2019, "2020-12-31")
			if c.place == "US" && c.want != "" {
				// By lots the loss divides into a denied and an allowed piece of one lot.
				if kind, _, _ := strings.Cut(c.want, " "); !strings.HasPrefix(got, kind+" s of slip 1: -300/0") || strings.Count(got, "\n") != 2 {
					t.Errorf("changes =\n%swant two pieces, %s", got, kind)
				}
				return
			}
			if got != c.want {
				t.Errorf("changes =\n%swant\n%s", got, c.want)
			}
		})
	}
}

// TestIssueAgain: an amended slip has the next number, says what the book says, and leaves the first
// one as it was; without a change there is none.
func TestIssueAgain(t *testing.T) {
	t.Parallel()
	books := &slipBooks{heldBooks: heldBooks{taxStory(t, "CA", december...)}}
	books.issue(t, 2019, "2020-02-10")
	first := books.issued[0].Hash()
	if got := books.issue(t, 2019, "2020-02-11"); got.Issued != 0 || got.Unchanged != 1 {
		t.Errorf("issue of what is issued = %+v, want none and one unchanged", got)
	}
	h := taxStory(t, "CA", append(slices.Clone(december), "n buy 2020-01-09 4 72 2020-03-01")...)
	h.Slips = books.heldBooks[0].Slips
	books.heldBooks[0] = h
	if got := books.issue(t, 2019, "2020-03-02"); got.Issued != 1 || got.Amended != 1 {
		t.Errorf("issue after an amendment = %+v, want one amended slip", got)
	}
	if s := books.issued[1]; s.Number != 2 || s.Totals.Denied != money.FromInt(120) || s.BookVersion != 2 {
		t.Errorf("the amended slip = %+v, want number 2 with 120 denied at version 2", s)
	}
	if got := books.report(t, 2019, "2020-12-31"); got != "" || books.heldBooks[0].Slips[0].Hash() != first {
		t.Errorf("changes after slip 2 = %q, want none, and slip 1 as it was", got)
	}
}

// TestIssueAYearThatIsOver: a year is issued from the first day of the next one.
func TestIssueAYearThatIsOver(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		place, asOf string
		year        int
		isOver      bool
	}{
		{"US", "2019-12-31", 2019, false}, {"US", "2020-01-01", 2019, true},
		{"UK", "2020-04-05", 2019, false}, {"UK", "2020-04-06", 2019, true},
	} {
		books := &slipBooks{heldBooks: heldBooks{taxStory(t, c.place, december...)}}
		all := books.issue(t, c.year, c.asOf)
		if (all.Issued == 1) != c.isOver || (len(all.Skipped) == 0) != c.isOver {
			t.Errorf("issue of %d of %s on %s = %+v, want issued %v", c.year, c.place, c.asOf, all, c.isOver)
		}
		books.issued, books.heldBooks[0].Slips = nil, nil
		_, err := IssueSlips(t.Context(), books, IssueRequest{Year: c.year, AsOf: market.MustDay(c.asOf), Household: "H1"}, func(int64) {})
		if errors.Is(err, ErrState) == c.isOver {
			t.Errorf("issue of H1's %d on %s = %v, want ErrState %v", c.year, c.asOf, err, !c.isOver)
		}
	}
	_, err := IssueSlips(t.Context(), &slipBooks{}, IssueRequest{Year: 2019, AsOf: market.MustDay("2020-02-01"), Household: "H9"}, func(int64) {})
	if !errors.Is(err, ErrNotFound) {
		t.Errorf("issue of an unknown household = %v, want ErrNotFound", err)
	}
}

// TestOtherVersionsAmend: a slip under other rules, another circle or other identical groups is amended
// by those, and the change says so; facts alone explain nothing there.
func TestOtherVersionsAmend(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*Slip)
		want   string
	}{
		{"the rules", func(s *Slip) { s.Rules = "CA/2019.1" }, "amended s of slip 1: -250/0 -300/0 rules \n"},
		{"the circle", func(s *Slip) { s.Circle = "other" }, "amended s of slip 1: -250/0 -300/0 circle \n"},
		{"the groups and the rules", func(s *Slip) { s.Identical, s.Rules = "other", "CA/2019.1" }, "amended s of slip 1: -250/0 -300/0 rules  identical \n"},
	} {
		books := &slipBooks{heldBooks: heldBooks{taxStory(t, "CA", december...)}}
		books.issue(t, 2019, "2020-02-10")
		s := &books.heldBooks[0].Slips[0].Slip
		s.Lines[0].Gain, s.Totals.Losses = money.FromInt(-250), money.FromInt(-250)
		c.change(s)
		if got := books.report(t, 2019, "2020-12-31"); got != c.want {
			t.Errorf("%s: changes = %q, want %q", c.name, got, c.want)
		}
	}
}

// TestVerifySlips: a slip that does not add up, or that differs from the book without a cause, is named.
func TestVerifySlips(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*Slip)
		want   string
	}{
		{"as it was issued", func(*Slip) {}, ""},
		{"lines that are not the totals", func(s *Slip) { s.Totals.Losses = money.FromInt(-299) }, "its lines do not add up to its totals"},
		{"figures that nothing explains", func(s *Slip) { s.Lines[0].Gain, s.Totals.Losses = money.FromInt(-250), money.FromInt(-250) }, "sale s differs and no fact, rule or table explains it"},
	} {
		books := &slipBooks{heldBooks: heldBooks{taxStory(t, "CA", december...)}}
		books.issue(t, 2019, "2020-02-10")
		c.change(&books.heldBooks[0].Slips[0].Slip)
		checks, err := VerifyTax(t.Context(), books)
		if err != nil {
			t.Fatal(err)
		}
		got := checks[2]
		if got.Checked != 1 || got.OK != (c.want == "") || c.want != "" && !strings.Contains(strings.Join(got.Broken, "|"), c.want) {
			t.Errorf("%s: %+v, want %q", c.name, got, c.want)
		}
	}
}

// TestSlipRoot: the root depends on each slip and not on their order.
func TestSlipRoot(t *testing.T) {
	a, b := SlipKey{"H1", "me", 2019, 1}, SlipKey{"H2", "me", 2019, 1}
	root := SlipRoot(map[SlipKey]string{a: "x", b: "y"})
	for range 20 {
		if got := SlipRoot(map[SlipKey]string{b: "y", a: "x"}); got != root {
			t.Fatalf("SlipRoot = %s, want %s", got, root)
		}
	}
	for _, other := range []map[SlipKey]string{{a: "x"}, {a: "x", b: "z"}, {a: "x", {"H2", "me", 2019, 2}: "y"}} {
		if SlipRoot(other) == root {
			t.Errorf("SlipRoot(%v) is that of other slips", other)
		}
	}
}

// TestScheduleOfCarriedLosses: a year of gains 500 short and 800 long with losses carried in, by the
// lines of each form.
func TestScheduleOfCarriedLosses(t *testing.T) {
	t.Parallel()
	facts := []string{"b buy 2017-01-02 10 20", "a buy 2019-02-01 10 50", "s sell 2019-03-01 20 100"}
	for _, c := range []struct {
		place string
		in    region.Carry
		want  string
	}{
		{"US", region.Carry{ST: money.FromInt(600), LT: money.FromInt(4000)},
			"1b-3 500, 1b-3 0, 6 -600, 7 -100, 8b-10 800, 13 0, 14 -4000, 15 -3200, 16 -3300, 21 -3000, carryover ST 0, carryover LT -300"},
		{"CA", region.Carry{ST: money.FromInt(900)},
			"13199 2000, 13200 1300, 17400-17600 0, 19700 1300, 19900 650, 25300 -450, carry back 0, carry forward 0"},
		{"CA", region.Carry{ST: money.FromInt(1500)},
			"13199 2000, 13200 1300, 17400-17600 0, 19700 1300, 19900 650, 25300 -650, carry back 0, carry forward -200"},
	} {
		h := taxStory(t, c.place, facts...)
		h.Brought = []region.Brought{{Owner: portfolio.OwnerID("me"), Year: 2019, Carry: c.in}}
		var got []string
		err := ReportTax(t.Context(), heldBooks{h}, TaxQuery{Year: 2019, AsOf: market.MustDay("2020-02-01")}, func(r TaxReport) error {
			for _, row := range r.Schedule {
				got = append(got, row.Line+" "+row.Amount.String())
			}
			return nil
		}, func(int64) {})
		if text := strings.Join(got, ", "); err != nil || text != c.want {
			t.Errorf("schedule of %s with %v =\n%s, %v, want\n%s", c.place, c.in, text, err, c.want)
		}
	}
}
