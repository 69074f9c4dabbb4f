package market_test

import (
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"
	_ "time/tzdata"

	"daybreak/market"
)

func calendar(t *testing.T, exchange string) *market.Exchange {
	t.Helper()
	x, err := market.Calendar(exchange)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// sessions.csv lists every weekday on which an exchange is closed or closes early, as another
// project's tables have it; all other weekdays are full sessions.
func TestCalendarAgreesWithExchangeCalendars(t *testing.T) {
	t.Parallel()
	f, err := os.Open("../testdata/market/sessions.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.Comment = '#'
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, row := range rows[1:] {
		want[row[0]+" "+row[1]] = row[2]
	}
	if len(want) != 427 {
		t.Fatalf("%d exceptional days in the golden file, want 427", len(want))
	}
	for _, mic := range market.Exchanges() {
		x := calendar(t, mic)
		for day := market.FirstSession; day <= market.LastSession; day++ {
			if got, want := hours(x, day), wantHours(want, mic, day); got != want {
				t.Errorf("%s %v (%v): session %q, want %q", mic, day, day.Weekday(), got, want)
			}
		}
	}
}

func hours(x *market.Exchange, day market.Day) string {
	if !x.IsSession(day) {
		return "closed"
	}
	open, end := x.Hours(day)
	return open.Format("15:04") + "-" + end.Format("15:04")
}

func wantHours(golden map[string]string, mic string, day market.Day) string {
	if w := day.Weekday(); w == time.Saturday || w == time.Sunday {
		return "closed"
	}
	switch end, ok := golden[mic+" "+day.String()]; {
	case !ok:
		return "09:30-16:00"
	case end == "":
		return "closed"
	default:
		return "09:30-" + end
	}
}

func TestSessionsAround(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		exchange, from string
		n              int
		want           string
	}{
		{market.XNYS, "2020-03-13", 1, "2020-03-16"},
		{market.XNYS, "2020-03-14", 1, "2020-03-16"}, // from a Saturday
		{market.XNYS, "2020-03-16", -1, "2020-03-13"},
		{market.XNYS, "2020-03-16", 0, "2020-03-16"},
		{market.XNYS, "2018-12-04", 1, "2018-12-06"}, // a day of mourning
		{market.XTSE, "2018-12-04", 1, "2018-12-05"},
		{market.XNYS, "2012-10-26", 1, "2012-10-31"}, // a hurricane
		{market.XTSE, "2021-12-24", 1, "2021-12-29"}, // Christmas and Boxing Day on a weekend
		{market.XNYS, "2021-12-23", 1, "2021-12-27"},
		{market.XNYS, "2021-12-31", 1, "2022-01-03"}, // New Year's Day on a Saturday is not kept
		{market.XTSE, "2021-12-31", 1, "2022-01-04"},
		{market.XNYS, "2020-03-16", -10, "2020-03-02"},
		{market.XNYS, "2031-07-03", 1, "2031-07-07"}, // past the covered years: by rule
	} {
		x := calendar(t, c.exchange)
		if got := x.AddSessions(market.MustDay(c.from), c.n).String(); got != c.want {
			t.Errorf("%s AddSessions(%s, %d) = %s, want %s", c.exchange, c.from, c.n, got, c.want)
		}
	}
}

func TestNextPrevSessions(t *testing.T) {
	t.Parallel()
	x := calendar(t, market.XNYS)
	good := market.MustDay("2020-04-10")
	if got, want := x.NextSession(good), market.MustDay("2020-04-13"); got != want {
		t.Errorf("NextSession(%v) = %v, want %v", good, got, want)
	}
	if got, want := x.PrevSession(good), market.MustDay("2020-04-09"); got != want {
		t.Errorf("PrevSession(%v) = %v, want %v", good, got, want)
	}
	if got := x.Sessions(good-1, good+3); len(got) != 2 || got[0] != good-1 || got[1] != good+3 {
		t.Errorf("Sessions(%v, %v) = %v, want its two ends", good-1, good+3, got)
	}
	if e, ok := x.Exception(good); !ok || e.Name != "Good Friday" {
		t.Errorf("Exception(%v) = %v, %v, want Good Friday", good, e, ok)
	}
}

func TestCalendarWithExceptions(t *testing.T) {
	t.Parallel()
	x := calendar(t, market.XNYS)
	tuesday, saturday := market.MustDay("2026-11-24"), market.MustDay("2026-11-28")
	y := x.With([]market.Exception{{Day: tuesday, Name: "a storm"}, {Day: saturday, Close: 13 * 60, Name: "a make-up session"}})
	if y.IsSession(tuesday) || !y.IsSession(saturday) {
		t.Errorf("With: sessions on %v, %v = %v, %v, want false, true", tuesday, saturday, y.IsSession(tuesday), y.IsSession(saturday))
	}
	if !x.IsSession(tuesday) || x.IsSession(saturday) {
		t.Errorf("With changed the calendar that it was called on")
	}
}

func TestUnknownExchange(t *testing.T) {
	t.Parallel()
	if _, err := market.Calendar("XLON"); !errors.Is(err, market.ErrExchange) {
		t.Errorf("Calendar(XLON) = %v, want %v", err, market.ErrExchange)
	}
	if _, err := market.SettleDay("XLON", 0); !errors.Is(err, market.ErrExchange) {
		t.Errorf("SettleDay(XLON) = %v, want %v", err, market.ErrExchange)
	}
}

// TestHoursFollowTheZone compares the computed zone with the tz database, every session's hours
// and every half hour around the changes.
func TestHoursFollowTheZone(t *testing.T) {
	t.Parallel()
	for mic, zone := range map[string]string{market.XNYS: "America/New_York", market.XTSE: "America/Toronto"} {
		x := calendar(t, mic)
		place, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		for _, day := range x.Sessions(market.FirstSession, market.LastSession) {
			y, m, d := day.Date()
			want := time.Date(y, time.Month(m), d, 9, 30, 0, 0, place)
			if open, _ := x.Hours(day); !open.Equal(want) || open.Format("15:04 MST") != want.Format("15:04 MST") {
				t.Fatalf("%s Hours(%v) opens %v, want %v", mic, day, open, want)
			}
		}
		for at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() < 2028; at = at.Add(30 * time.Minute) {
			if got, want := x.DayAt(at), market.DayOf(at.In(place)); got != want {
				t.Fatalf("%s DayAt(%v) = %v, want %v", mic, at, got, want)
			}
		}
	}
}

func TestIsOpen(t *testing.T) {
	t.Parallel()
	x := calendar(t, market.XTSE)
	for _, c := range []struct {
		at   string
		want bool
	}{
		{"2026-03-06T14:29:59Z", false}, {"2026-03-06T14:30:00Z", true}, {"2026-03-06T20:59:59Z", true}, {"2026-03-06T21:00:00Z", false},
		{"2026-03-09T13:29:59Z", false}, {"2026-03-09T13:30:00Z", true}, {"2026-03-09T19:59:59Z", true}, {"2026-03-09T20:00:00Z", false},
		{"2026-12-24T17:59:59Z", true}, {"2026-12-24T18:00:00Z", false}, {"2026-12-28T16:00:00Z", false},
	} {
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		if got := x.IsOpen(at); got != c.want {
			t.Errorf("IsOpen(%s) = %v, want %v", c.at, got, c.want)
		}
	}
}

func ExampleExchange_Hours() {
	x, _ := market.Calendar(market.XNYS)
	open, end := x.Hours(market.MustDay("2026-11-27"))
	fmt.Println(open.Format(time.RFC3339), end.Format(time.RFC3339))
	// Output: 2026-11-27T09:30:00-05:00 2026-11-27T13:00:00-05:00
}
