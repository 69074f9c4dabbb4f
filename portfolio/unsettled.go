package portfolio

import (
	"slices"

	"daybreak/market"
	"daybreak/money"
)

// Unsettled is proceeds of an earlier sale that have yet to settle, in the account's currency.
type Unsettled struct {
	Account AccountID  `json:"account"`
	Amount  money.Dec  `json:"amount"`
	Settle  market.Day `json:"settle"`
}

// Spend says which unsettled proceeds may be spent. The zero value is the run's.
type Spend string

// The ways to spend them.
const (
	SpendInTime Spend = "in_time" // those that settle no later than a purchase of today
	SpendNever  Spend = "never"
	SpendAlways Spend = "always"
)

// Spends lists the ways to spend unsettled proceeds.
var Spends = []Spend{SpendInTime, SpendNever, SpendAlways}

// IsKnown reports whether s is one of Spends, or says nothing.
func (s Spend) IsKnown() bool { return s == "" || slices.Contains(Spends, s) }

// Allows reports whether proceeds of a currency that settle on a day may pay for a purchase made today
// on the exchange of that currency. The zero value counts as SpendInTime.
func (s Spend) Allows(c market.Currency, settle, today market.Day) bool {
	switch s {
	case SpendNever:
		return false
	case SpendAlways:
		return true
	}
	exchange := market.XNYS
	if c == market.CAD {
		exchange = market.XTSE
	}
	calendar, err := market.Calendar(exchange)
	return err == nil && settle <= calendar.SettleDay(today)
}
