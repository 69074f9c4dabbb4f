package ledger

import (
	"cmp"
	"slices"
	"time"

	"daybreak/market"
)

// Entry is a row of a household's journal: a move with its two times, when it has effect and when the
// book knew of it. Version is the book version of the fact that posted it.
type Entry struct {
	Version   int64      `json:"version"`
	Line      int        `json:"line"`
	Event     string     `json:"event"`
	Kind      string     `json:"kind"`
	Effective market.Day `json:"effective"`
	Known     time.Time  `json:"known"`
	Move
}

// Stamp is when a household's book came to a version.
type Stamp struct {
	Version int64
	Known   time.Time
}

// VersionAt returns the last version that a book had come to by an instant, that one included; false
// where the book was not there yet. What the book was then is what its versions up to that one say, so
// that a clock of another machine that was late never shows half a book.
func VersionAt(stamps []Stamp, instant time.Time) (int64, bool) {
	last, any := int64(0), false
	for _, s := range stamps {
		if !s.Known.After(instant) && (!any || s.Version > last) {
			last, any = s.Version, true
		}
	}
	return last, any
}

// At returns the entries with effect up to a day, that one included, as the book had them at a
// version, by version and line. A fact that was taken back later stands; its reversal is no entry yet.
func At(entries []Entry, day market.Day, version int64) []Entry {
	var all []Entry
	for _, e := range entries {
		if e.Effective <= day && e.Version <= version {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b Entry) int { return cmp.Or(cmp.Compare(a.Version, b.Version), cmp.Compare(a.Line, b.Line)) })
	return all
}

// Moves returns the moves of entries.
func Moves(entries []Entry) []Move {
	moves := make([]Move, len(entries))
	for i, e := range entries {
		moves[i] = e.Move
	}
	return moves
}
