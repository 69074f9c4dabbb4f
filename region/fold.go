package region

import (
	"daybreak/market"
	"daybreak/portfolio"
)

// Checkpoint is a tax book at the end of a day, as compact JSON. The zero Checkpoint is the
// beginning of time.
type Checkpoint struct {
	AsOf market.Day `json:"as_of,omitzero"`
}

// Book is the tax book of one household: the result of Fold. It is never changed.
type Book struct{}

// Fold returns the tax book of a household: the events of the checkpoint and then events, whatever
// order they come in; the zero Checkpoint is the beginning. Facts are never refused: an oversold
// sale waits without cost or gain until a purchase covers it. It keeps events, which the caller
// must not change. It returns ErrVoid where from was made under other rules, circle or identical
// groups, ErrLate where an event belongs before what from has summed up, and ErrEvent.
func Fold(r *Rules, s Scope, from Checkpoint, events []Event) (*Book, error) { return &Book{}, nil }

// Checkpoint returns the book at the end of a tax day: sums for all that no later event can change,
// and the events since the oldest open window of each property. Events after asOf that were folded
// are in it too.
func (b *Book) Checkpoint(asOf market.Day) Checkpoint { return Checkpoint{} }

// Holdings returns what an account holds after all events, settled or not: its lots in the order
// in which they would be sold first in, first out, or its parts of the owner's pools; by symbol.
func (b *Book) Holdings(a portfolio.AccountID) []Holding { return nil }

// Purchases returns the acquisitions of a property by all owners with tax days from from to to,
// both included, sheltered accounts included; by day, then order of the fold. A book from a
// checkpoint knows those within WindowDays of the checkpoint's day and later.
func (b *Book) Purchases(property string, from, to market.Day) []Movement { return nil }

// LossSales returns the sales of a property at a loss, denied or not, by the same days and order as
// Purchases. A book from a checkpoint knows those whose window was open then, and later ones.
func (b *Book) LossSales(property string, from, to market.Day) []Movement { return nil }

// Would returns the outcomes of the sales among further events, in the order of the fold, as if
// they had happened too; b stays as it is. Purchases among the events count against all sales.
func (b *Book) Would(events []Event) ([]SaleOutcome, error) { return nil, nil }

// Year returns what an owner has realised in a tax year so far; zero totals where nothing.
func (b *Book) Year(owner portfolio.OwnerID, year int) YearTotals {
	return YearTotals{Owner: owner, Year: year}
}
