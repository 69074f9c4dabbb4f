package pipeline

import (
	"fmt"
	"sync"
	"time"
	_ "time/tzdata" // zones are those of the build, not of the machine

	"daybreak/market"
	"daybreak/workflow"
)

// Calendars finds the calendar of an exchange: market.Calendar, or one with closures of a day's
// notice.
type Calendars func(exchange string) (*market.Exchange, error)

// SessionFunctions returns what expressions of workflows know of exchanges and zones. They are safe
// for concurrent use.
func SessionFunctions(calendars Calendars) workflow.Functions {
	return workflow.Functions{
		NextOpen:    calendars.nextBell(func(open, _ time.Time) time.Time { return open }),
		NextClose:   calendars.nextBell(func(_, end time.Time) time.Time { return end }),
		IsOpen:      calendars.isOpen,
		IsSession:   calendars.isSession,
		NextSession: calendars.session((*market.Exchange).NextSession),
		PrevSession: calendars.session((*market.Exchange).PrevSession),
		Open:        calendars.bell(func(open, _ time.Time) time.Time { return open }),
		Close:       calendars.bell(func(_, end time.Time) time.Time { return end }),
		Zone:        zoneByName,
	}
}

// nextBell returns the first opening or close after an instant.
func (c Calendars) nextBell(which func(open, end time.Time) time.Time) func(string, time.Time) (time.Time, error) {
	return func(exchange string, t time.Time) (time.Time, error) {
		x, err := c(exchange)
		if err != nil {
			return time.Time{}, err
		}
		for day := x.DayAt(t); ; day = x.NextSession(day) {
			if bell := which(x.Hours(day)); bell.After(t) {
				return bell, nil
			}
		}
	}
}

func (c Calendars) isOpen(exchange string, t time.Time) (bool, error) {
	x, err := c(exchange)
	if err != nil {
		return false, err
	}
	return x.IsOpen(t), nil
}

// on returns the calendar of an exchange and the day of a text.
func (c Calendars) on(exchange, text string) (*market.Exchange, market.Day, error) {
	x, err := c(exchange)
	if err != nil {
		return nil, market.NoDay, err
	}
	day, err := market.ParseDay(text)
	return x, day, err
}

func (c Calendars) isSession(exchange, text string) (bool, error) {
	x, day, err := c.on(exchange, text)
	return err == nil && x.IsSession(day), err
}

func (c Calendars) session(which func(*market.Exchange, market.Day) market.Day) func(string, string) (string, error) {
	return func(exchange, text string) (string, error) {
		x, day, err := c.on(exchange, text)
		if err != nil {
			return "", err
		}
		return which(x, day).String(), nil
	}
}

// bell returns when the session of a day opens or closes.
func (c Calendars) bell(which func(open, end time.Time) time.Time) func(string, string) (time.Time, error) {
	return func(exchange, text string) (time.Time, error) {
		x, day, err := c.on(exchange, text)
		if err != nil {
			return time.Time{}, err
		}
		if !x.IsSession(day) {
			return time.Time{}, fmt.Errorf("%s has no session on %s: %w", exchange, day, ErrNoSession)
		}
		return which(x.Hours(day)), nil
	}
}

// zones keeps what was loaded: a load reads and parses a file.
var zones sync.Map

// zoneByName returns a zone of the IANA database. The machine's own is none: it differs.
func zoneByName(name string) (*time.Location, error) {
	if known, ok := zones.Load(name); ok {
		return known.(*time.Location), nil
	}
	if name == "" || name == "Local" {
		return nil, fmt.Errorf("%q is no zone, such as America/Toronto", name)
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, err
	}
	zones.Store(name, zone)
	return zone, nil
}
