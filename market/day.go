package market

import (
	"errors"
	"fmt"
	"time"
)

// ErrDay is wrapped where a text is not a day of the form 2006-01-02. Importers branch on it to
// report BAD_DATE.
var ErrDay = errors.New("not a day of the form YYYY-MM-DD")

// Day is a calendar day without a zone: days since 1970-01-01. The zero value is that day; NoDay
// stands for "none". Days subtract to a number of days and compare with < and >.
type Day int32

// NoDay stands for a day that is absent; it is before every real one.
const NoDay Day = -1 << 31

const secondsPerDay = 86_400

// NewDay returns the day of a year, month (1 to 12) and day of the month; values outside their
// range carry over as in time.Date.
func NewDay(year, month, day int) Day {
	return Day(time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC).Unix() / secondsPerDay)
}

// DayOf returns the calendar day that t shows in its own zone.
func DayOf(t time.Time) Day { return NewDay(t.Year(), int(t.Month()), t.Day()) }

// ParseDay reads YYYY-MM-DD; it refuses days that the calendar lacks. It returns ErrDay, wrapped
// with the text.
func ParseDay(s string) (Day, error) {
	if d, ok := parsePlain(s); ok {
		return d, nil
	}
	return NoDay, fmt.Errorf("%q: %w", s, ErrDay)
}

// parsePlain reads ten characters by arithmetic: tax cases have hundreds of thousands of days.
func parsePlain(s string) (Day, bool) {
	if len(s) != 10 || s[4] != '-' || s[7] != '-' {
		return NoDay, false
	}
	for _, i := range [...]int{0, 1, 2, 3, 5, 6, 8, 9} {
		if s[i] < '0' || s[i] > '9' {
			return NoDay, false
		}
	}
	digit := func(i int) int { return int(s[i] - '0') }
	year := digit(0)*1000 + digit(1)*100 + digit(2)*10 + digit(3)
	month, day := digit(5)*10+digit(6), digit(8)*10+digit(9)
	if month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return NoDay, false
	}
	// Years that begin in March: a leap day is the last one.
	y, m := year, month-3
	if m < 0 {
		y, m = y-1, m+12
	}
	era := y / 400
	if y < 0 {
		era = -1
	}
	ofEra := y - era*400
	ofYear := (153*m+2)/5 + day - 1
	const toEpoch = 719_468 // days from 0000-03-01 to 1970-01-01
	return Day(era*146_097 + ofEra*365 + ofEra/4 - ofEra/100 + ofYear - toEpoch), true
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// MustDay is ParseDay for constants and tests; it panics on an error.
func MustDay(s string) Day {
	d, err := ParseDay(s)
	if err != nil {
		panic(err)
	}
	return d
}

// Time returns the day's midnight in UTC.
func (d Day) Time() time.Time { return time.Unix(int64(d)*secondsPerDay, 0).UTC() }

// Date returns the year, the month from 1 and the day of the month from 1.
func (d Day) Date() (year, month, day int) {
	y, m, dd := d.Time().Date()
	return y, int(m), dd
}

// Year returns the calendar year.
func (d Day) Year() int { return d.Time().Year() }

// Weekday returns the day of the week.
func (d Day) Weekday() time.Weekday { return d.Time().Weekday() }

// AddYears returns the same month and day n years later; 29 February becomes 1 March in a year
// without one.
func (d Day) AddYears(n int) Day {
	y, m, dd := d.Date()
	return NewDay(y+n, m, dd)
}

// String returns YYYY-MM-DD, and "" for NoDay.
func (d Day) String() string {
	if d == NoDay {
		return ""
	}
	return d.Time().Format(time.DateOnly)
}

// MarshalText returns the text of String.
func (d Day) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what ParseDay reads, and "" as NoDay.
func (d *Day) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*d = NoDay
		return nil
	}
	v, err := ParseDay(string(text))
	if err != nil {
		return err
	}
	*d = v
	return nil
}
