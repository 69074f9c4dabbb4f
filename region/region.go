// Package region holds tax rules as data and the functions that read them: which shares a sale
// uses up, what they cost, which part of a loss is denied and where it goes. A region is a rule
// file under rules/; nothing here names a country.
//
// The tax book of a household is a fold over its events and is never edited: Fold gives a Book, a
// Checkpoint of it is where a later fold goes on. What the engine computes is not tax advice;
// docs/tax-rules.md lists its rules, sources and open readings.
package region

import (
	"cmp"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
)

// Kind says what an event did.
type Kind string

// The kinds of event. Amount means the total in Currency.
const (
	Buy  Kind = "buy"  // Shares for Amount, plus Commission
	Drip Kind = "drip" // a buy paid by a distribution
	Sell Kind = "sell" // Shares for Amount, less Commission
	// Split turns each share of Symbol held by the household into Ratio shares, whatever Account
	// says; one event for each account, or one for all, is the same split.
	Split Kind = "split"
	ROC   Kind = "roc"        // return of capital: Amount leaves the cost of the shares of Account
	RICG  Kind = "ri_cg_dist" // reinvested gains without new shares: Amount joins the cost and is a gain of the year
	RIDiv Kind = "ri_div"     // reinvested income without new shares: Amount joins the cost
	CGDiv Kind = "cg_div"     // gains distribution in cash: Amount is a gain of the year
	// Contribute moves Shares worth Amount in kind from Account to the sheltered ToAccount: a
	// disposition whose loss nobody ever gets, and an acquisition.
	Contribute Kind = "contribute"
	// Transfer moves Shares from Account to ToAccount of the same owner with cost and dates, and is
	// neither a sale nor an acquisition. An empty Account means from outside the household, with
	// Amount as cost (none: unknown) and Acquired as date; an empty ToAccount, to outside.
	Transfer Kind = "transfer"
)

// Event is one fact of a household's tax history. Its JSON is stable. Shares, Amount, Commission
// and Ratio are never negative. FX and CommissionFX are home currency for one unit of Currency on
// the event's own tax day; 0 means 1 in the home currency, and "not known yet" in another one: the
// event counts at 0 and what follows from it is provisional.
type Event struct {
	ID            string              `json:"id"` // unique in the household; a second one with equal days and Seq is ignored
	Kind          Kind                `json:"kind"`
	Day           market.Day          `json:"day"`    // trade day
	Settle        market.Day          `json:"settle"` // settlement day; NoDay or earlier than Day: Day
	Seq           int64               `json:"seq"`    // order within a day
	Owner         portfolio.OwnerID   `json:"owner"`
	Account       portfolio.AccountID `json:"account"`
	AccountType   string              `json:"account_type"`
	Symbol        market.Symbol       `json:"symbol"`
	Shares        money.Rat           `json:"shares,omitzero"`    // in units of the trade day
	Amount        money.Dec           `json:"amount,omitzero"`    // gross: shares × price, before commission
	PerShare      money.Dec           `json:"per_share,omitzero"` // roc, ri_*, cg_div: for each share held, in place of Amount
	Commission    money.Dec           `json:"commission,omitzero"`
	Currency      market.Currency     `json:"currency,omitempty"` // empty: home
	FX            money.Dec           `json:"fx,omitzero"`
	CommissionFX  money.Dec           `json:"commission_fx,omitzero"` // 0: FX
	Ratio         money.Rat           `json:"ratio,omitzero"`         // new shares for one old
	Lots          []LotShares         `json:"lots,omitempty"`         // lots that a sale names; what they leave open goes by the lot method
	Order         string              `json:"order,omitempty"`        // fills of one order are one lot, and one sale
	ToAccount     portfolio.AccountID `json:"to_account,omitempty"`
	ToAccountType string              `json:"to_account_type,omitempty"`
	Acquired      market.Day          `json:"acquired,omitzero"` // of a transfer from outside; 1970-01-01: Day
}

// LotShares names shares of one lot. A lot has the id of the event that bought it; the order's id
// names all lots of its fills.
type LotShares struct {
	Lot    string    `json:"lot"`
	Shares money.Rat `json:"shares"`
}

// compareEvents is the order of the fold: tax day, trade day, Seq, then id.
func (r *Rules) compareEvents(a, b *Event) int {
	if c := cmp.Compare(r.TaxDay(a.Day, a.Settle), r.TaxDay(b.Day, b.Settle)); c != 0 {
		return c
	}
	if c := cmp.Compare(a.Day, b.Day); c != 0 {
		return c
	}
	if c := cmp.Compare(a.Seq, b.Seq); c != 0 {
		return c
	}
	return cmp.Compare(a.ID, b.ID)
}
