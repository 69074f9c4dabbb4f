package pipeline

import (
	"context"

	"daybreak/market"
	"daybreak/money"
)

// Summary is what a run came to, counted from its decisions and orders.
type Summary struct {
	Run             string                 `json:"run"`
	Date            market.Day             `json:"date"`
	State           RunState               `json:"state"`
	Households      int                    `json:"households"`
	Accounts        int                    `json:"accounts"`
	Planned         int                    `json:"planned"`       // households with orders
	NothingToDo     int                    `json:"nothing_to_do"` // households without
	Parked          int                    `json:"parked"`
	Undecided       int                    `json:"undecided"`
	AccountsPlanned int                    `json:"accounts_planned"`
	Orders          int                    `json:"orders"`
	Notional        map[string]money.Dec   `json:"notional"`       // by currency of the security
	Harvested       map[string]money.Dec   `json:"harvested"`      // losses that count, positive, by account currency
	DeniedAvoided   map[string]money.Dec   `json:"denied_avoided"` // losses left alone as they would be denied
	TaxValue        map[string]money.Dec   `json:"tax_value"`      // what Harvested saves
	CashBefore      map[string]money.Dec   `json:"cash_before"`
	CashAfter       map[string]money.Dec   `json:"cash_after"`
	DriftBefore     money.Dec              `json:"drift_before"` // mean over the accounts, share of account value
	DriftAfter      money.Dec              `json:"drift_after"`
	DriftLevels     []DriftLevel           `json:"drift_levels"`
	BySide          []SideTotal            `json:"by_side"`
	ByReason        []ReasonTotal          `json:"by_reason"`  // of orders
	NotTraded       []ReasonTotal          `json:"not_traded"` // of accounts without an order
	ParkedReasons   []ReasonTotal          `json:"parked_reasons"`
	ByRegion        map[string]RegionTotal `json:"by_region"`
	Gaps            GapTotal               `json:"gaps"` // of the certificates
	Seconds         float64                `json:"seconds"`
}

// DriftLevel counts the accounts whose drift is from From up to that of the next level.
type DriftLevel struct {
	From   money.Dec `json:"from"`
	Before int       `json:"before"`
	After  int       `json:"after"`
}

// SideTotal sums the orders of one region, side and currency.
type SideTotal struct {
	Region   string    `json:"region"`
	Side     string    `json:"side"`
	Currency string    `json:"currency"`
	Orders   int       `json:"orders"`
	Notional money.Dec `json:"notional"`
}

// ReasonTotal counts what has one reason in one region.
type ReasonTotal struct {
	Region string `json:"region"`
	Reason string `json:"reason"`
	Count  int    `json:"count"`
}

// RegionTotal is one region's part of a run.
type RegionTotal struct {
	Households int       `json:"households"`
	Harvests   int       `json:"harvests"`  // sales that harvest a loss
	Harvested  money.Dec `json:"harvested"` // in the region's home currency
}

// GapTotal says how near the optimum a run's plans are: over the accounts with a certificate, in basis
// points of account value.
type GapTotal struct {
	Certified  int       `json:"certified"`
	Median     money.Dec `json:"median_bp"`
	Max        money.Dec `json:"max_bp"`
	AboveLimit int       `json:"above_limit"` // accounts flagged for their gap
	Relaxed    int       `json:"relaxed"`     // accounts whose plan does without a rule
	ByRules    int       `json:"by_rules"`    // accounts without a certificate: planned by the rules, or not at all
}

// Summaries counts runs.
type Summaries interface {
	Summary(ctx context.Context, run string) (Summary, error)
}
