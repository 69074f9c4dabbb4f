package region

import (
	"errors"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
)

var (
	// ErrLate is wrapped with the event where an event belongs before what a checkpoint has folded
	// into sums. The caller folds again from an earlier checkpoint.
	ErrLate = errors.New("event before the checkpoint")
	// ErrVoid is wrapped with the difference where a checkpoint was made under other rules, settings,
	// circle or identical groups. The caller folds again from the beginning.
	ErrVoid = errors.New("checkpoint of another version")
	// ErrEvent is wrapped with the event where a fact cannot be read at all: an unknown kind, a
	// transfer between nowhere and nowhere.
	ErrEvent = errors.New("unusable event")
)

// Scope says which symbols and which owners count together.
type Scope struct {
	// Identical gives the property of a symbol; a symbol that it lacks is its own property. Fold
	// never changes it, so that one map serves all households.
	Identical map[market.Symbol]string
	// Circle lists the affiliated owners with their days, one entry each; empty: all owners, always.
	// An owner who is not in it, or not on the day of a purchase or at a window's end, stands alone.
	Circle []portfolio.Owner
	// Outside lists owners who stand alone although Circle is empty.
	Outside []portfolio.OwnerID
}

// Property returns the identical group of a symbol.
func (s Scope) Property(symbol market.Symbol) string {
	if p, ok := s.Identical[symbol]; ok {
		return p
	}
	return string(symbol)
}

// Holding is one lot, or where the region has pools an account's part of one. A sheltered account
// has holdings too; their cost is the sum of what was paid and means nothing for tax.
type Holding struct {
	Lot        string        `json:"lot,omitempty"` // id of the event that bought it; "" for a pool
	Symbol     market.Symbol `json:"symbol"`
	Shares     money.Rat     `json:"shares"` // today's units; below zero where an account sold more than it held
	Cost       money.Dec     `json:"cost"`   // home currency
	CostKnown  bool          `json:"cost_known"`
	Acquired   market.Day    `json:"acquired"`          // tax day of the purchase; of a pool, of the first one since it was empty
	Start      market.Day    `json:"start"`             // first day of the holding period, after tacking
	IsReplaced bool          `json:"is_used,omitempty"` // its shares already replaced others in a denied loss
}

// Movement is an acquisition, or a sale at a loss.
type Movement struct {
	Event     string              `json:"event"`
	Owner     portfolio.OwnerID   `json:"owner"`
	Account   portfolio.AccountID `json:"account"`
	Symbol    market.Symbol       `json:"symbol"`
	Day       market.Day          `json:"day"`                 // tax day
	Until     market.Day          `json:"until,omitzero"`      // of a sale: last day on which an event can still change its outcome
	Sheltered bool                `json:"sheltered,omitempty"` // of the account
	Shares    money.Rat           `json:"shares"`              // today's units
	Amount    money.Dec           `json:"amount"`              // home currency: cost of a purchase, or the loss before any denial, positive
}

// State says how sure a sale's outcome is.
type State string

// The states of a sale. A final one that a late event changes is restated: see Compare.
const (
	Provisional State = "provisional" // its window is open, shares are missing, or a rate is not known
	Final       State = "final"
	Restated    State = "restated"
)

// SaleOutcome is what one disposition came to. All money is in home currency; Gross and Gain are
// negative for a loss, Denied and Lost are never negative, and Gain = Gross + Denied.
type SaleOutcome struct {
	Event        string              `json:"event"`
	Kind         Kind                `json:"kind"` // sell or contribute
	Owner        portfolio.OwnerID   `json:"owner"`
	Account      portfolio.AccountID `json:"account"`
	Symbol       market.Symbol       `json:"symbol"`
	Property     string              `json:"property"`
	Day          market.Day          `json:"day"`   // tax day
	Until        market.Day          `json:"until"` // last day on which an event can still change it
	Shares       money.Rat           `json:"shares"`
	Proceeds     money.Dec           `json:"proceeds"` // after commission
	Cost         money.Dec           `json:"cost"`
	Gross        money.Dec           `json:"gross"`
	Denied       money.Dec           `json:"denied"`
	Lost         money.Dec           `json:"lost"` // part of Denied that nobody ever gets
	Gain         money.Dec           `json:"gain"`
	Bought       money.Rat           `json:"bought,omitzero"` // pools: acquired in the window, in units of the sale
	Held         money.Rat           `json:"held,omitzero"`   // pools: held at the end of the window, in units of the sale
	DeniedShares money.Rat           `json:"denied_shares,omitzero"`
	To           []Denial            `json:"to,omitempty"`      // where Denied went, by owner, account, event
	Parts        []Part              `json:"parts,omitempty"`   // lots and matches that were used up
	Oversold     money.Rat           `json:"oversold,omitzero"` // shares that were not there; they wait without cost or gain
	RateUnknown  bool                `json:"rate_unknown,omitempty"`
}

// State returns whether the outcome can still change after the end of a day.
func (s *SaleOutcome) State(asOf market.Day) State {
	if s.Oversold.Sign() > 0 || s.RateUnknown || asOf < s.Until {
		return Provisional
	}
	return Final
}

// Denial is a part of a denied loss and where it went.
type Denial struct {
	Owner   portfolio.OwnerID   `json:"owner"`
	Account portfolio.AccountID `json:"account,omitempty"` // "" for the owner's pool over all taxable accounts
	Event   string              `json:"event,omitempty"`   // the purchase that replaces, or at which the amount joins the cost
	Shares  money.Rat           `json:"shares"`
	Amount  money.Dec           `json:"amount"`
	Lost    bool                `json:"lost,omitempty"` // a sheltered account's, or nobody's
}

// Part is a piece of one lot that a sale used up.
type Part struct {
	Lot        string     `json:"lot"`
	Shares     money.Rat  `json:"shares"`
	Proceeds   money.Dec  `json:"proceeds"`
	Cost       money.Dec  `json:"cost"`
	Acquired   market.Day `json:"acquired"`
	Start      market.Day `json:"start"`
	Term       Term       `json:"term,omitempty"`
	Gross      money.Dec  `json:"gross"`
	Denied     money.Dec  `json:"denied"`
	Gain       money.Dec  `json:"gain"`
	ReplacedBy string     `json:"replaced_by,omitempty"` // lot that replaces it
	Lost       money.Dec  `json:"lost,omitzero"`

	order int32 // of a part cut off part k: 2k + 1; see orderParts
}

// Term says whether a gain is short- or long-term; "" where the region makes no difference.
type Term string

// The terms.
const (
	Short Term = "ST"
	Long  Term = "LT"
)

// YearTotals are the realised results of one owner in one tax year, in home currency. Without terms
// ST and LT are zero.
type YearTotals struct {
	Owner  portfolio.OwnerID `json:"owner"`
	Year   int               `json:"year"`
	Gains  money.Dec         `json:"gains"`          // sales at a gain, and distributions of gains
	Losses money.Dec         `json:"losses_allowed"` // not denied; negative
	Denied money.Dec         `json:"denied"`
	Lost   money.Dec         `json:"lost"`
	ST     money.Dec         `json:"st,omitzero"` // short-term gains less allowed losses
	LT     money.Dec         `json:"lt,omitzero"`
}

// Net returns gains less allowed losses.
func (y YearTotals) Net() money.Dec { return y.Gains.Add(y.Losses) }
