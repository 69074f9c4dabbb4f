package pipeline

import (
	"fmt"

	"daybreak/market"
	"daybreak/portfolio"
	"daybreak/region"
	"daybreak/tlh"
)

// AccountShown is an account as it stands: what it holds, its part of the tax book, and what may
// not be bought.
type AccountShown struct {
	Account     portfolio.AccountID   `json:"account"`
	Household   portfolio.HouseholdID `json:"household"`
	Region      string                `json:"region"`
	Owner       portfolio.OwnerID     `json:"owner"`
	Type        string                `json:"type"`
	Currency    market.Currency       `json:"currency"`
	Model       string                `json:"model"`
	BookVersion int64                 `json:"book_version"`
	AsOf        market.Day            `json:"as_of"`
	Cash        []portfolio.Cash      `json:"cash"`
	Positions   []portfolio.Position  `json:"positions"`
	Lots        []region.Holding      `json:"lots"` // lots, or this account's part of the owner's pools
	Realized    region.YearTotals     `json:"realized"`
	Locks       []tlh.Lock            `json:"locks"`
	Open        []portfolio.OpenOrder `json:"open_orders"`
	Fault       string                `json:"fault,omitempty"` // why the household would be parked
}

// ShowAccount returns an account's part of a loaded household as of a day.
func ShowAccount(l Loaded, id portfolio.AccountID, identical map[market.Symbol]string, day market.Day) (AccountShown, error) {
	h := l.Input.Household
	shown := AccountShown{Account: id, Household: h.ID, Region: h.Region, BookVersion: l.Input.BookVersion, AsOf: day, Locks: l.Input.Locks}
	for _, a := range h.Accounts {
		if a.ID == id {
			shown.Owner, shown.Type, shown.Currency, shown.Model = a.Owner, a.Type, a.Currency, a.Model
			shown.Cash, shown.Positions = a.Cash, a.Positions
		}
	}
	for _, o := range l.Input.Open {
		if o.Account == id {
			shown.Open = append(shown.Open, o)
		}
	}
	if l.Fault != nil {
		shown.Fault = l.Fault.Error()
	}
	book, err := bookOf(l, identical)
	if err != nil {
		return shown, fmt.Errorf("account %s: %w", id, err)
	}
	shown.Lots = book.Holdings(id)
	rules, err := region.Load(h.Region)
	if err != nil {
		return shown, fmt.Errorf("account %s: %w", id, err)
	}
	shown.Realized = book.Year(shown.Owner, rules.TaxYear(day))
	return shown, nil
}

// bookOf folds a loaded household's tax book on from its checkpoint.
func bookOf(l Loaded, identical map[market.Symbol]string) (*region.Book, error) {
	rules, err := region.Load(l.Input.Household.Region)
	if err != nil {
		return nil, err
	}
	return region.Fold(rules, region.ScopeOf(l.Input.Household, identical), l.Input.Tax, l.Input.Events)
}
