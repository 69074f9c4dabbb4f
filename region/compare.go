package region

import (
	"slices"
	"strings"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
)

// Change is a sale whose outcome differs between two books of a household.
type Change struct {
	Event   string              `json:"event"`
	Owner   portfolio.OwnerID   `json:"owner"`
	Account portfolio.AccountID `json:"account"`
	Symbol  market.Symbol       `json:"symbol"`
	Day     market.Day          `json:"day"`
	From    State               `json:"from,omitempty"` // "" for a sale that the earlier book did not have
	To      State               `json:"to,omitempty"`   // "" for a sale that the later book has not
	Gain    [2]money.Dec        `json:"gain"`           // before and after
	Denied  [2]money.Dec        `json:"denied"`
	Lost    [2]money.Dec        `json:"lost"`
}

// Compare returns what the timeline of a household shows when its tax book goes from one fold to the
// next: sales that are new, gone, final now, or restated, by property in the order of the fold. A
// sale that was final on the day beforeAsOf and comes to another gain or denial is restated. Sales
// behind a checkpoint of either book are not looked at.
func Compare(before *Book, beforeAsOf market.Day, after *Book, asOf market.Day) []Change {
	was := map[string]*SaleOutcome{}
	for _, f := range before.ready() {
		for i := range f.sales {
			was[f.sales[i].Event] = &f.sales[i]
		}
	}
	var changes []Change
	for _, f := range after.ready() {
		for i := range f.sales {
			s := &f.sales[i]
			old, known := was[s.Event]
			delete(was, s.Event)
			c := change(s)
			c.To = s.State(asOf)
			if known {
				c.From = old.State(beforeAsOf)
				c.Gain[0], c.Denied[0], c.Lost[0] = old.Gain, old.Denied, old.Lost
			}
			isSame := c.Gain[0] == c.Gain[1] && c.Denied[0] == c.Denied[1] && c.Lost[0] == c.Lost[1]
			if known && c.From == Final && !isSame {
				c.To = Restated
			}
			if !known && s.Day <= after.asOf || known && isSame && c.From == c.To {
				continue
			}
			changes = append(changes, c)
		}
	}
	return append(changes, gone(was, beforeAsOf, after)...)
}

func change(s *SaleOutcome) Change {
	c := Change{Event: s.Event, Owner: s.Owner, Account: s.Account, Symbol: s.Symbol, Day: s.Day}
	c.Gain[1], c.Denied[1], c.Lost[1] = s.Gain, s.Denied, s.Lost
	return c
}

// gone returns the sales that the later book lost to a bust or a correction.
func gone(was map[string]*SaleOutcome, asOf market.Day, after *Book) []Change {
	var changes []Change
	for _, s := range was {
		if s.Day <= after.asOf {
			continue
		}
		c := change(s)
		c.From = s.State(asOf)
		c.Gain[0], c.Denied[0], c.Lost[0] = s.Gain, s.Denied, s.Lost
		c.Gain[1], c.Denied[1], c.Lost[1] = money.Zero, money.Zero, money.Zero
		changes = append(changes, c)
	}
	slices.SortFunc(changes, func(a, b Change) int { return strings.Compare(a.Event, b.Event) })
	return changes
}

// Amendment is a change of a tax year whose slips were issued: the frozen totals stay as they are.
type Amendment struct {
	Issued YearTotals `json:"issued"`
	Now    YearTotals `json:"now"`
	Cause  string     `json:"cause"` // event that caused it
}

// Amend returns what a book says differently about a frozen year, and false where nothing.
func (b *Book) Amend(issued YearTotals, cause string) (Amendment, bool) {
	now := b.Year(issued.Owner, issued.Year)
	return Amendment{Issued: issued, Now: now, Cause: cause}, now != issued
}
