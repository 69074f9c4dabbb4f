package market

import "time"

// rule is one yearly exception of an exchange: a holiday, or a session that ends early.
type rule struct {
	name  string
	since int                // first year in force; 0: all
	close Clock              // 0: closed all day
	day   func(year int) Day // NoDay where the year has none
}

// in returns the exception of a year; false where the rule is not in force or falls on a weekend.
func (r rule) in(year int) (Exception, bool) {
	if year < r.since {
		return Exception{}, false
	}
	day := r.day(year)
	if day == NoDay || isWeekend(day) {
		return Exception{}, false
	}
	return Exception{Day: day, Close: r.close, Name: r.name}, true
}

// newYorkRules are NYSE Rule 7.2: a holiday on a Saturday is kept on the Friday before, one on a
// Sunday on the Monday after; New Year's Day on a Saturday is not kept, as its Friday ends a year.
var newYorkRules = []rule{
	{name: "New Year's Day", day: func(y int) Day { return sundayToMonday(NewDay(y, 1, 1)) }},
	{name: "Martin Luther King, Jr. Day", day: func(y int) Day { return nth(y, time.January, time.Monday, 3) }},
	{name: "Washington's Birthday", day: func(y int) Day { return nth(y, time.February, time.Monday, 3) }},
	{name: "Good Friday", day: goodFriday},
	{name: "Memorial Day", day: func(y int) Day { return lastMonday(NewDay(y, 5, 31)) }},
	{name: "Juneteenth", since: 2022, day: func(y int) Day { return nearestWeekday(NewDay(y, 6, 19)) }},
	{name: "Independence Day", day: func(y int) Day { return nearestWeekday(NewDay(y, 7, 4)) }},
	{name: "day before Independence Day", close: closesShort, day: eveOfIndependenceDay},
	{name: "Labor Day", day: func(y int) Day { return nth(y, time.September, time.Monday, 1) }},
	{name: "Thanksgiving Day", day: func(y int) Day { return nth(y, time.November, time.Thursday, 4) }},
	{name: "day after Thanksgiving", close: closesShort, day: func(y int) Day { return nth(y, time.November, time.Thursday, 4) + 1 }},
	{name: "Christmas Eve", close: closesShort, day: newYorkChristmasEve},
	{name: "Christmas Day", day: func(y int) Day { return nearestWeekday(NewDay(y, 12, 25)) }},
}

// newYorkClosures are what no rule foretells.
var newYorkClosures = []Exception{
	{Day: NewDay(2012, 10, 29), Name: "Hurricane Sandy"},
	{Day: NewDay(2012, 10, 30), Name: "Hurricane Sandy"},
	{Day: NewDay(2018, 12, 5), Name: "day of mourning for George H. W. Bush"},
	{Day: NewDay(2025, 1, 9), Name: "day of mourning for Jimmy Carter"},
}

// torontoRules are the TSX's: a holiday on a weekend is kept on the next weekday that is free.
var torontoRules = []rule{
	{name: "New Year's Day", day: func(y int) Day { return weekendToMonday(NewDay(y, 1, 1)) }},
	{name: "Family Day", since: 2008, day: func(y int) Day { return nth(y, time.February, time.Monday, 3) }},
	{name: "Good Friday", day: goodFriday},
	{name: "Victoria Day", day: func(y int) Day { return lastMonday(NewDay(y, 5, 24)) }},
	{name: "Canada Day", day: func(y int) Day { return weekendToMonday(NewDay(y, 7, 1)) }},
	{name: "Civic Holiday", day: func(y int) Day { return nth(y, time.August, time.Monday, 1) }},
	{name: "Labour Day", day: func(y int) Day { return nth(y, time.September, time.Monday, 1) }},
	{name: "Thanksgiving Day", day: func(y int) Day { return nth(y, time.October, time.Monday, 2) }},
	{name: "Christmas Eve", close: closesShort, day: func(y int) Day { return NewDay(y, 12, 24) }},
	{name: "Christmas Day", day: func(y int) Day { return weekendToMonday(NewDay(y, 12, 25)) }},
	{name: "Boxing Day", day: boxingDay},
}

// nth returns the n-th such weekday of a month, counted from 1.
func nth(year int, month time.Month, weekday time.Weekday, n int) Day {
	first := NewDay(year, int(month), 1)
	return first + Day((int(weekday)-int(first.Weekday())+7)%7+7*(n-1))
}

// lastMonday returns the last Monday on or before a day.
func lastMonday(day Day) Day { return day - Day((int(day.Weekday())+6)%7) }

// easter returns Easter Sunday of a Gregorian year, by the algorithm of Meeus, Jones and Butcher.
func easter(year int) Day {
	a, b, c := year%19, year/100, year%100
	d, e := b/4, b%4
	g := (8*b + 13) / 25
	h := (19*a + b - d - g + 15) % 30
	i, k := c/4, c%4
	l := (32 + 2*e + 2*i - h - k) % 7
	m := (a + 11*h + 19*l) / 433
	month := (h + l - 7*m + 90) / 25
	return NewDay(year, month, (h+l-7*m+33*month+19)%32)
}

func goodFriday(year int) Day { return easter(year) - 2 }

func nearestWeekday(day Day) Day {
	if day.Weekday() == time.Saturday {
		return day - 1
	}
	return sundayToMonday(day)
}

func sundayToMonday(day Day) Day {
	if day.Weekday() == time.Sunday {
		return day + 1
	}
	return day
}

func weekendToMonday(day Day) Day {
	if day.Weekday() == time.Saturday {
		return day + 2
	}
	return sundayToMonday(day)
}

// boxingDay returns 26 December, or the first weekday after it that Christmas Day does not take.
func boxingDay(year int) Day {
	day := NewDay(year, 12, 26)
	switch day.Weekday() {
	case time.Saturday, time.Sunday:
		return day + 2
	case time.Monday: // Christmas was a Sunday, kept on this Monday
		return day + 1
	}
	return day
}

// eveOfIndependenceDay returns 3 July where the 4th is a trading weekday's holiday and the 3rd is
// not a weekend or the holiday itself.
func eveOfIndependenceDay(year int) Day {
	fourth := NewDay(year, 7, 4)
	if fourth.Weekday() == time.Saturday {
		return NoDay
	}
	return fourth - 1
}

// newYorkChristmasEve returns 24 December, unless it is a Friday and so Christmas Day's holiday.
func newYorkChristmasEve(year int) Day {
	eve := NewDay(year, 12, 24)
	if eve.Weekday() == time.Friday {
		return NoDay
	}
	return eve
}
