// Package portfolio holds households, their accounts, model portfolios and drift: what is owned
// and what is wanted, without a rule of any tax.
package portfolio

import (
	"daybreak/market"
	"daybreak/money"
)

// HouseholdID, AccountID and OwnerID are names given by the firm; they are ASCII and stable.
type (
	HouseholdID string
	AccountID   string
	OwnerID     string
)

// Household is everything whose tax counts together: a client's accounts, the spouse's, their
// registered plans. Accounts come in order of id.
type Household struct {
	ID         HouseholdID `json:"id"`
	Region     string      `json:"region"`             // name of the rule file: CA, US
	RoutingKey string      `json:"routing_key"`        // fixed when the first account opens; decides the partition
	Owners     []Owner     `json:"owners"`             // by id
	Accounts   []Account   `json:"accounts"`           // by id
	Location   *Location   `json:"location,omitempty"` // nil: each account follows its own targets alone
}

// Owner is a taxpayer of the household. Members of one circle count together for the loss rules
// while From <= day and (To is absent or day < To).
type Owner struct {
	ID   OwnerID    `json:"id"`
	From market.Day `json:"from"`
	To   market.Day `json:"to"` // NoDay: still
}

// Account is one account at the broker with what it holds and how it is to be managed.
type Account struct {
	ID        AccountID       `json:"id"`
	Owner     OwnerID         `json:"owner"`
	Type      string          `json:"type"` // region's account type: taxable, tfsa, rrsp, fhsa, ira, roth
	Currency  market.Currency `json:"currency"`
	Model     string          `json:"model"`
	Policy    Policy          `json:"policy"`
	Cash      []Cash          `json:"cash"`      // by currency
	Positions []Position      `json:"positions"` // by symbol, none of zero shares
}

// Policy is how one account is to be traded. Zero values mean the defaults of DefaultPolicy, but
// for WithdrawalCash and Restricted; those of HarvestMin and HarvestCashMin mean the thresholds of the
// region's rules, by term and season.
type Policy struct {
	Band           money.Dec       `json:"band,omitzero"`             // drift of a class that is left alone, share of account value
	MinTrade       money.Dec       `json:"min_trade,omitzero"`        // least notional of a trade, account currency
	CashTarget     money.Dec       `json:"cash_target,omitzero"`      // cash wanted, share of account value
	WithdrawalCash money.Dec       `json:"withdrawal_cash,omitzero"`  // cash needed on top, account currency
	MonthlyDeposit money.Dec       `json:"monthly_deposit,omitzero"`  // recurring deposit that buys, account currency
	HarvestMin     money.Dec       `json:"harvest_min,omitzero"`      // least loss worth harvesting, share of cost
	HarvestCashMin money.Dec       `json:"harvest_cash_min,omitzero"` // least loss worth harvesting, account currency
	WholeShares    bool            `json:"whole_shares,omitempty"`    // the account cannot hold fractions
	NoHarvest      bool            `json:"no_harvest,omitempty"`
	DRIP           bool            `json:"drip,omitempty"`       // dividends are reinvested by the custodian
	Restricted     []market.Symbol `json:"restricted,omitempty"` // never bought nor sold, by symbol

	// Parameters of the optimiser; what says nothing here is as the run has it.
	Mode         Mode       `json:"mode,omitempty"`         // what a plan may do
	GainBudget   *money.Dec `json:"gain_budget,omitempty"`  // most that the owner may realise in net gains this year, home currency; nil: the run's
	RiskAversion money.Dec  `json:"risk_aversion,omitzero"` // objective for a variance of 1 a year against the model
	IdleCash     money.Dec  `json:"idle_cash,omitzero"`     // objective for all in cash, a year
	GapMax       money.Dec  `json:"gap_max,omitzero"`       // certified gap above which a plan is an exception, basis points of value
	GainMin      money.Dec  `json:"gain_min,omitzero"`      // least fall of the objective for which the account is traded, basis points of value
	GapCashMin   money.Dec  `json:"gap_cash_min,omitzero"`  // gap in the account's currency below which it is none

	SpendUnsettled Spend `json:"spend_unsettled,omitempty"` // which proceeds that have not settled may be spent; "": as the run has it
}

// Mode says what a plan may do. The zero value is the run's.
type Mode string

// The modes.
const (
	ModeFull        Mode = "full"         // everything that lowers the objective
	ModeCashOnly    Mode = "cash_only"    // invests spare cash, or sells for the cash that is missing
	ModeHarvestOnly Mode = "harvest_only" // sells at a loss, buys with the proceeds
	ModeTransition  Mode = "transition"   // full under the gain budget, which is 0 where none is named
	ModeNothing     Mode = "nothing"      // no trades; the reasons say why each would be made
)

// Modes lists the modes.
var Modes = []Mode{ModeFull, ModeCashOnly, ModeHarvestOnly, ModeTransition, ModeNothing}

// DefaultPolicy is what an account gets where it says nothing else.
var DefaultPolicy = Policy{
	Band:       money.MustParse("0.02"),
	MinTrade:   money.MustParse("50"),
	CashTarget: money.MustParse("0.01"),
}

// Cash is an amount of one currency; it may be negative when a fact made it so.
type Cash struct {
	Currency market.Currency `json:"currency"`
	Amount   money.Dec       `json:"amount"`
}

// Position is the shares of one security held by one account; negative where a fact made it so.
type Position struct {
	Symbol market.Symbol `json:"symbol"`
	Shares money.Dec     `json:"shares"`
}

// Side says whether an order or a trade buys or sells.
type Side string

// The sides.
const (
	Buy  Side = "buy"
	Sell Side = "sell"
)

// OpenOrder is an order that is approved or at the broker and not yet done: it may still trade.
type OpenOrder struct {
	ID      string        `json:"id"`
	Account AccountID     `json:"account"`
	Symbol  market.Symbol `json:"symbol"`
	Side    Side          `json:"side"`
	Leaves  money.Dec     `json:"leaves"` // shares that may still trade
}

// WithDefaults returns p with the defaults of DefaultPolicy where p says nothing.
func (p Policy) WithDefaults() Policy {
	for _, f := range []struct{ field, otherwise *money.Dec }{
		{&p.Band, &DefaultPolicy.Band}, {&p.MinTrade, &DefaultPolicy.MinTrade}, {&p.CashTarget, &DefaultPolicy.CashTarget},
	} {
		if f.field.IsZero() {
			*f.field = *f.otherwise
		}
	}
	return p
}
