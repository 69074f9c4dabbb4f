package rebalance

import (
	"fmt"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/region"
	"daybreak/tlh"
)

// Input is all that a household's plan depends on, besides the market. Its JSON is recorded with
// the plan, so that the plan can be made again.
type Input struct {
	Day         market.Day            `json:"day"` // trade date
	Household   portfolio.Household   `json:"household"`
	BookVersion int64                 `json:"book_version"`
	Tax         region.Checkpoint     `json:"tax"`              // tax book that Events continue
	Events      []region.Event        `json:"events,omitempty"` // facts since the checkpoint
	Locks       []tlh.Lock            `json:"locks,omitempty"`
	Open        []portfolio.OpenOrder `json:"open,omitempty"`
	Unsettled   []portfolio.Unsettled `json:"unsettled,omitempty"` // proceeds, part of the cash of their accounts
	Brought     []region.Brought      `json:"brought,omitempty"`   // losses carried in from before the tax book
	Settings    Settings              `json:"settings,omitzero"`
	RiskHash    string                `json:"risk,omitempty"` // names Risk, where it is stored once for many plans
	Risk        *Risk                 `json:"-"`              // nil: no model; then the rules plan
}

// HouseholdPlan is the plan of one household: one AccountPlan for each account, by account id, and
// the locks that its harvests need, in the order of tlh.CompareLocks.
type HouseholdPlan struct {
	Household portfolio.HouseholdID `json:"household"`
	Planner   Planner               `json:"planner"`           // that made it
	Because   string                `json:"because,omitempty"` // why the rules planned where the optimiser was asked for
	Accounts  []AccountPlan         `json:"accounts"`
	Locks     []tlh.Lock            `json:"locks,omitempty"`
}

// Outcome says what a plan decided for an account.
type Outcome string

// The outcomes. A household with a Fault has neither: it is parked.
const (
	Planned     Outcome = "planned"
	NothingToDo Outcome = "nothing_to_do"
)

// AccountPlan is what one account should trade and why. Money is in the account's currency, drift
// and weights are shares of the account's value. Trades come sales first, each side by symbol.
type AccountPlan struct {
	Account       portfolio.AccountID `json:"account"`
	Outcome       Outcome             `json:"outcome"`
	Reason        Reason              `json:"reason"` // why it trades, or why it does not
	Value         money.Dec           `json:"value"`
	Currency      market.Currency     `json:"currency"`
	CashBefore    money.Dec           `json:"cash_before"`
	CashAfter     money.Dec           `json:"cash_after"`
	DriftBefore   money.Dec           `json:"drift_before"`
	DriftAfter    money.Dec           `json:"drift_after"`
	Trades        []Trade             `json:"trades,omitempty"`
	Skipped       []Reason            `json:"skipped,omitempty"`       // candidates not traded, by code and symbol
	Harvested     money.Dec           `json:"harvested,omitzero"`      // loss that the plan's sales realise and keep, positive, home currency
	DeniedAvoided money.Dec           `json:"denied_avoided,omitzero"` // loss that was left alone as it would be denied, positive, home currency
	TaxValue      money.Dec           `json:"tax_value,omitzero"`      // tax that Harvested is worth, home currency
	Certificate   *Certificate        `json:"certificate,omitempty"`   // of the optimiser; nil where the rules planned
}

// Reason is a stable code, listed in docs/reason-codes.md, with the numbers behind it.
type Reason struct {
	Code    string            `json:"code"`
	Symbol  market.Symbol     `json:"symbol,omitempty"`
	Numbers map[string]string `json:"numbers,omitempty"`
}

// Trade is one wish to buy or sell, before it is an order.
type Trade struct {
	Account  portfolio.AccountID `json:"account"`
	Symbol   market.Symbol       `json:"symbol"`
	Side     portfolio.Side      `json:"side"`
	Shares   money.Dec           `json:"shares"`
	Lots     []TradeLot          `json:"lots,omitempty"` // what a sale uses up, where the region names lots
	Reason   Reason              `json:"reason"`
	Answers  tlh.Answers         `json:"answers,omitempty"` // of a harvest: to the questions of docs/harvest.md
	Price    money.Dec           `json:"price"`             // security's currency
	PriceDay market.Day          `json:"price_day"`
	Currency market.Currency     `json:"currency"`            // of the security
	FX       money.Dec           `json:"fx"`                  // account currency for one unit of Currency
	Notional money.Dec           `json:"notional"`            // shares × price, in Currency
	Value    money.Dec           `json:"value"`               // notional × FX, account currency
	WaitsFor []market.Symbol     `json:"waits_for,omitempty"` // sales of the same account that fund this purchase
}

// TradeLot is the part of one tax lot that a sale uses up.
type TradeLot struct {
	Lot    string    `json:"lot"`
	Shares money.Dec `json:"shares"`
}

// Fault says why a household cannot be planned: the first one in the order of the codes below. The
// household is parked with it and the others go on.
type Fault struct {
	Code    string              `json:"code"`
	Account portfolio.AccountID `json:"account,omitempty"`
	Detail  string              `json:"detail"`
}

// Error returns the account, code and detail.
func (f *Fault) Error() string {
	if f.Account == "" {
		return fmt.Sprintf("%s: %s", f.Code, f.Detail)
	}
	return fmt.Sprintf("account %s: %s: %s", f.Account, f.Code, f.Detail)
}

// The codes of a Fault, in the order in which they are looked for.
const (
	NoAccounts         = "NO_ACCOUNTS"          // the household has no account
	UnknownRegion      = "UNKNOWN_REGION"       // no rule file of that name
	UnknownAccountType = "UNKNOWN_ACCOUNT_TYPE" // the region does not know the account's type
	BadPolicy          = "BAD_POLICY"           // a share outside 0 to 1, a negative amount, an unknown currency
	NoModel            = "NO_MODEL"             // the account's model portfolio is unknown
	BadModel           = "BAD_MODEL"            // its weights are negative, or do not sum to one
	UnknownSecurity    = "UNKNOWN_SECURITY"     // held or in the model, and not in the snapshot
	NoPrice            = "NO_PRICE"             // held or in the model, and without a price
	StalePrice         = "STALE_PRICE"          // its last close is older than Settings.StaleDays
	NoRate             = "NO_RATE"              // no exchange rate into the account's or the region's currency
	NegativeCash       = "NEGATIVE_CASH"        // cash below zero in some currency
	ShortPosition      = "SHORT_POSITION"       // fewer than no shares
	BadTaxBook         = "BAD_TAX_BOOK"         // the tax events cannot be folded
	LotsDiffer         = "LOTS_DIFFER"          // a position is not the sum of its tax holdings
)
