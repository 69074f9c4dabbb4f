// Package tlh decides which losses are worth harvesting, what their sale would be denied, and what
// must not be bought afterwards.
package tlh

import (
	"cmp"

	"daybreak/market"
	"daybreak/portfolio"
)

// Lock forbids every account of a household to buy a property through Until, that day included, by
// whatever path: rebalancing, deposits, reinvested dividends, manual edits, retries, replays. A
// provisional one comes with a proposal and is void when its order ends with nothing filled; a
// firm one runs through the last day of the loss window of the order's last fill.
type Lock struct {
	Property    string              `json:"property"` // identical group
	Symbol      market.Symbol       `json:"symbol"`   // what was sold
	Account     portfolio.AccountID `json:"account"`  // who sold it
	Order       string              `json:"order,omitempty"`
	Until       market.Day          `json:"until"` // last day of the lock, in the region's date basis
	Provisional bool                `json:"provisional,omitempty"`
}

// CompareLocks orders locks by property, last day, account, symbol, order, and provisional ones last.
func CompareLocks(a, b Lock) int {
	return cmp.Or(
		cmp.Compare(a.Property, b.Property), cmp.Compare(a.Until, b.Until), cmp.Compare(a.Account, b.Account),
		cmp.Compare(a.Symbol, b.Symbol), cmp.Compare(a.Order, b.Order), compareBool(a.Provisional, b.Provisional),
	)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
