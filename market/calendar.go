package market

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// ErrExchange is wrapped where no calendar of that name exists. Importers branch on it to report
// UNKNOWN_EXCHANGE.
var ErrExchange = errors.New("no calendar for this exchange")

// The exchanges with a calendar, by their ISO 10383 codes.
const (
	XNYS = "XNYS"
	XTSE = "XTSE"
)

// Clock is a time of day in minutes after midnight, in the exchange's zone. As the end of a
// session, 0 says that the exchange is closed all day.
type Clock int

// The hours of both exchanges: a full session, and the end of a short one.
const (
	closedAllDay Clock = 0
	opensAt      Clock = 9*60 + 30
	closesShort  Clock = 13 * 60
	closesFull   Clock = 16 * 60
)

// FirstSession and LastSession bound the days for which closures outside the rules (a storm, a
// day of mourning) are known and the rules are checked. Outside them the rules alone are applied.
var (
	FirstSession = NewDay(2012, 1, 3)
	LastSession  = NewDay(2030, 12, 31)
)

// Exception is a day on which an exchange keeps other hours than its weekday says.
type Exception struct {
	Day   Day    `json:"day"`
	Close Clock  `json:"close"` // 0: closed all day
	Name  string `json:"name"`
}

// Exchange is the calendar of sessions of one trading venue and the settlement cycle of its
// trades. It is immutable.
type Exchange struct {
	mic        string
	rules      []rule
	exceptions map[Day]Exception // of the covered years, and what With added
	cycles     []cycle
}

// exchanges are built once from the tables of holidays.go and settlement.go.
var exchanges = map[string]*Exchange{
	XNYS: newExchange(XNYS, newYorkRules, newYorkClosures),
	XTSE: newExchange(XTSE, torontoRules, nil),
}

func newExchange(mic string, rules []rule, closures []Exception) *Exchange {
	x := &Exchange{mic: mic, rules: rules, exceptions: map[Day]Exception{}, cycles: cyclesOf[mic]}
	for year := FirstSession.Year(); year <= LastSession.Year(); year++ {
		for _, r := range rules {
			if e, ok := r.in(year); ok {
				x.exceptions[e.Day] = e
			}
		}
	}
	for _, e := range closures {
		x.exceptions[e.Day] = e
	}
	return x
}

// Calendar returns the calendar of an exchange, XNYS or XTSE, or ErrExchange, wrapped with the name.
func Calendar(exchange string) (*Exchange, error) {
	x, ok := exchanges[exchange]
	if !ok {
		return nil, fmt.Errorf("%q: %w", exchange, ErrExchange)
	}
	return x, nil
}

// Exchanges returns the names of the exchanges with a calendar, in order.
func Exchanges() []string { return slices.Sorted(maps.Keys(exchanges)) }

// With returns the calendar with further exceptions, such as a closure announced yesterday; each
// replaces what was known of its day, and one with a Close makes a session of any day.
func (x *Exchange) With(exceptions []Exception) *Exchange {
	copied := *x
	copied.exceptions = maps.Clone(x.exceptions)
	for _, e := range exceptions {
		copied.exceptions[e.Day] = e
	}
	return &copied
}

// MIC returns the exchange's code, such as "XNYS".
func (x *Exchange) MIC() string { return x.mic }

// Covers reports whether closures outside the rules are known for the day.
func (x *Exchange) Covers(day Day) bool { return FirstSession <= day && day <= LastSession }

// IsSession reports whether the exchange trades on the day, a short session included.
func (x *Exchange) IsSession(day Day) bool { return x.closes(day) != closedAllDay }

// Exception returns why the exchange is closed or closes early on a weekday, such as "Good
// Friday"; it reports false on an ordinary weekday and on a weekend.
func (x *Exchange) Exception(day Day) (Exception, bool) {
	if e, ok := x.exceptions[day]; ok {
		return e, true
	}
	if x.Covers(day) {
		return Exception{}, false
	}
	for _, r := range x.rules {
		if e, ok := r.in(day.Year()); ok && e.Day == day {
			return e, true
		}
	}
	return Exception{}, false
}

// closes returns when the day's session ends, 0 where there is none.
func (x *Exchange) closes(day Day) Clock {
	if e, ok := x.Exception(day); ok {
		return e.Close
	}
	if isWeekend(day) {
		return closedAllDay
	}
	return closesFull
}

// NextSession returns the first session after the day.
func (x *Exchange) NextSession(day Day) Day { return x.AddSessions(day, 1) }

// PrevSession returns the last session before the day.
func (x *Exchange) PrevSession(day Day) Day { return x.AddSessions(day, -1) }

// AddSessions returns the n-th session after the day, or the n-th before it where n is negative;
// the day itself does not count and need not be a session. With n = 0 it returns the day.
func (x *Exchange) AddSessions(day Day, n int) Day {
	step := Day(cmp.Compare(n, 0))
	for left := max(n, -n); left > 0; {
		day += step
		if x.IsSession(day) {
			left--
		}
	}
	return day
}

// Sessions returns the sessions from one day to another, both included, in order.
func (x *Exchange) Sessions(from, to Day) []Day {
	var days []Day
	for day := from; day <= to; day++ {
		if x.IsSession(day) {
			days = append(days, day)
		}
	}
	return days
}

// Hours returns when the day's session opens and closes, in the exchange's zone; both are the zero
// time where the day has no session.
func (x *Exchange) Hours(day Day) (open, end time.Time) {
	last := x.closes(day)
	if last == closedAllDay {
		return time.Time{}, time.Time{}
	}
	return eastern(day, opensAt), eastern(day, last)
}

// DayAt returns the calendar day at the exchange at an instant.
func (x *Exchange) DayAt(t time.Time) Day { return DayOf(t.In(easternZone(t))) }

// Local returns the instant as the exchange's clocks show it.
func (x *Exchange) Local(t time.Time) time.Time { return t.In(easternZone(t)) }

// IsOpen reports whether the exchange trades at an instant; it does at the opening bell, not at
// the closing one.
func (x *Exchange) IsOpen(t time.Time) bool {
	open, end := x.Hours(x.DayAt(t))
	return !t.Before(open) && t.Before(end)
}

func isWeekend(day Day) bool {
	w := day.Weekday()
	return w == time.Saturday || w == time.Sunday
}

// Both exchanges keep Eastern time. Its rule since 2007 is computed here, so that the hours do not
// depend on the time zone files of the machine.
var (
	easternStandard = time.FixedZone("EST", -5*3600)
	easternDaylight = time.FixedZone("EDT", -4*3600)
)

// eastern returns the instant of a clock time after 02:00 on a day.
func eastern(day Day, c Clock) time.Time {
	y, m, d := day.Date()
	noon := time.Date(y, time.Month(m), d, 17, 0, 0, 0, time.UTC)
	return time.Date(y, time.Month(m), d, 0, int(c), 0, 0, easternZone(noon))
}

// easternZone returns the zone in force at an instant: daylight time from 02:00 standard time on
// the second Sunday of March to 02:00 daylight time on the first Sunday of November.
func easternZone(t time.Time) *time.Location {
	year := t.In(easternStandard).Year()
	begins := nth(year, time.March, time.Sunday, 2).Time().Add(7 * time.Hour)
	ends := nth(year, time.November, time.Sunday, 1).Time().Add(6 * time.Hour)
	if t.Before(begins) || !t.Before(ends) {
		return easternStandard
	}
	return easternDaylight
}
