// Package fills says what an execution does to the book: to its order, to position and cash, to the
// journal, to the tax history and to the locks. A fact is never refused: what it breaks is an
// exception beside it.
package fills

import (
	"daybreak/ledger"
	"daybreak/market"
	"daybreak/money"
	"daybreak/orders"
	"daybreak/portfolio"
	"daybreak/rebalance"
	"daybreak/region"
)

// Outcome is how an execution ends.
type Outcome string

// The outcomes. Only Applied changes the book; Held waits for the execution that it refers to. All
// after Held are reasons of dead letters, for people.
const (
	Applied        Outcome = "APPLIED"
	Duplicate      Outcome = "DUPLICATE"
	Held           Outcome = "HELD"
	Conflict       Outcome = "CONFLICT"        // the key is known with other content
	BadTerms       Outcome = "BAD_TERMS"       // a quantity, price or id that cannot be
	UnknownType    Outcome = "UNKNOWN_TYPE"    // an ExecType that the book does not take
	UnknownAccount Outcome = "UNKNOWN_ACCOUNT" // the book has no such household, or no such account in it
	UnknownOrder   Outcome = "UNKNOWN_ORDER"   // no order of that id was sent
	OrderDiffers   Outcome = "ORDER_DIFFERS"   // account, security, side or currency are not the order's
	AlreadyBusted  Outcome = "ALREADY_BUSTED"  // refers to an execution that was busted
	BadReference   Outcome = "BAD_REFERENCE"   // refers to an execution that is no trade, or of another order
)

// Dead reports whether the record is a dead letter.
func (o Outcome) Dead() bool { return o != Applied && o != Duplicate && o != Held }

// Account is what the book knows of an account.
type Account struct {
	ID       portfolio.AccountID `json:"id"`
	Owner    portfolio.OwnerID   `json:"owner"`
	Type     string              `json:"type"`
	Currency market.Currency     `json:"currency"` // of the cash that pays
}

// Order is a sent order as the book has it.
type Order struct {
	Run      string               `json:"run"`
	ID       orders.ID            `json:"id"`
	Account  portfolio.AccountID  `json:"account"`
	Symbol   market.Symbol        `json:"symbol"`
	Side     portfolio.Side       `json:"side"`
	Currency market.Currency      `json:"currency"`
	Asked    money.Dec            `json:"asked"` // quantity as approved
	LotsLeft []rebalance.TradeLot `json:"lots_left,omitempty"`
	Progress orders.Progress      `json:"progress"`
}

// LockState says how firm a lock is.
type LockState string

// The states of a lock.
const (
	LockProvisional LockState = "provisional"
	LockFixed       LockState = "fixed"
	LockVoid        LockState = "void"
)

// Lock keeps a harvested property from being bought back, as far as one order is its cause.
type Lock struct {
	Run      string     `json:"run"`
	Order    orders.ID  `json:"order"`
	Property string     `json:"property"`
	Until    market.Day `json:"until"`
	State    LockState  `json:"state"`
}

// Posted is an execution that the book holds.
type Posted struct {
	Execution
	Run       string               `json:"run"`
	Key       string               `json:"key"`
	Version   int64                `json:"version"`          // book version that it made
	Refers    string               `json:"refers,omitempty"` // key of the execution that it replaces or busts
	Lots      []rebalance.TradeLot `json:"lots,omitempty"`   // what a sale used of the order's lots
	Effective bool                 `json:"effective"`        // counts: a trade or a correction that nothing has replaced or busted
}

// Waiting is a held execution: it comes again once WaitsFor is in the book.
type Waiting struct {
	Execution Execution `json:"execution"`
	Key       string    `json:"key"`
	Content   string    `json:"content"`
	WaitsFor  string    `json:"waits_for"`
}

// Holding names a position, Purse an amount of cash, Pair an exchange rate of a day.
type (
	Holding struct {
		Account portfolio.AccountID
		Symbol  market.Symbol
	}
	Purse struct {
		Account  portfolio.AccountID
		Currency market.Currency
	}
	Pair struct {
		Base, Quote market.Currency
		Day         market.Day
	}
)

// State is what executions of one household are applied to. Seen, Posted and Held need only hold
// what the executions at hand can meet: their own keys, all executions of orders that a correction
// or a bust names, and what waits for them.
type State struct {
	Household portfolio.HouseholdID
	Rules     *region.Rules
	Version   int64
	Accounts  map[portfolio.AccountID]Account
	Orders    map[orders.ID]Order
	Positions map[Holding]money.Dec
	Cash      map[Purse]money.Dec
	Locks     map[orders.ID][]Lock
	Seen      map[string]string    // key → content hash, of executions in the book
	Posted    map[string]Posted    // by key
	Next      map[string]string    // key → key of the execution that replaced or busted it
	Held      map[string][]Waiting // by key that they wait for, in order of arrival
	Rates     map[Pair]money.Dec   // published rates by tax day; absent: not known yet

	Events map[string]PostedEvent // that are no executions, which the events at hand can meet
}

// Line is a move of the journal with its kind: trade, or reversal where it takes an earlier one back.
type Line struct {
	Kind      string      `json:"kind"`
	Effective market.Day  `json:"effective"`
	Move      ledger.Move `json:"move"`
}

// The kinds of journal lines.
const (
	KindTrade    = "trade"
	KindReversal = "reversal"
)

// Exception is a fact that broke a rule of the book. It stops the household's new orders until it
// is closed, by a later fact that heals it or by its owner.
type Exception struct {
	Account portfolio.AccountID `json:"account"`
	Code    string              `json:"code"`
	Subject string              `json:"subject"` // order, security or currency
	Detail  string              `json:"detail"`
}

// The codes of exceptions.
const (
	OverFill      = "OVERFILL"
	ShortPosition = "SHORT_POSITION"
	NegativeCash  = "NEGATIVE_CASH"
)

// Effects is all that one applied execution changes. Order, position, cash and locks are as they
// are afterwards.
type Effects struct {
	Posted          Posted        `json:"posted"`
	Content         string        `json:"content"`
	Replaced        string        `json:"replaced,omitempty"`         // key of an execution that counts no more
	ReplacedVersion int64         `json:"replaced_version,omitempty"` // book version that the replaced execution made
	Order           Order         `json:"order"`
	Holding         Holding       `json:"holding"`
	Shares          money.Dec     `json:"shares"`
	Purse           Purse         `json:"purse"`
	Cash            money.Dec     `json:"cash"`
	Journal         []Line        `json:"journal,omitempty"`
	Tax             *region.Event `json:"tax,omitempty"`
	Withdrawn       string        `json:"withdrawn,omitempty"` // id of a tax event that counts no more
	Locks           []Lock        `json:"locks,omitempty"`
	Opened          []Exception   `json:"opened,omitempty"`
	Closed          []Exception   `json:"closed,omitempty"`
	moved           bool
}

// Moved reports whether position and cash may have changed; a report on an order leaves them alone.
func (e Effects) Moved() bool { return e.moved }

// Apply returns what an execution does to the book of a household, and how it ends; the effects
// count only where it was Applied. It changes nothing: Take does.
func Apply(s *State, e Execution) (Effects, Outcome) {
	key, content := e.Key().String(), e.Content()
	if known, ok := s.Seen[key]; ok {
		return Effects{}, sameOrConflict(known, content)
	}
	if outcome := s.refuse(e); outcome != "" {
		return Effects{}, outcome
	}
	order := s.Orders[e.OrderID]
	a := &application{state: s, execution: e, effects: Effects{
		Posted:  Posted{Execution: e, Run: order.Run, Key: key, Version: s.Version + 1},
		Content: content,
		Order:   order,
		Holding: Holding{order.Account, order.Symbol},
		Purse:   Purse{order.Account, s.Accounts[order.Account].Currency},
	}}
	a.effects.Shares, a.effects.Cash = s.Positions[a.effects.Holding], s.Cash[a.effects.Purse]
	return a.run()
}

func sameOrConflict(known, content string) Outcome {
	if known == content {
		return Duplicate
	}
	return Conflict
}

// refuse returns why an execution cannot be posted at all, or "".
func (s *State) refuse(e Execution) Outcome {
	if e.fault() != "" {
		return BadTerms
	}
	if _, known := s.Accounts[e.Account]; !known {
		return UnknownAccount
	}
	o, known := s.Orders[e.OrderID]
	switch {
	case !known:
		return UnknownOrder
	case o.Account != e.Account || o.Symbol != e.Symbol || o.Side != e.Side || e.Moves() && o.Currency != e.Currency:
		return OrderDiffers
	}
	return ""
}

// Explain returns a sentence on why an execution ended as a dead letter.
func Explain(e Execution, o Outcome) string {
	switch o {
	case BadTerms:
		return e.fault()
	case Conflict:
		return "execution " + e.Key().String() + " is in the book with other content"
	case UnknownAccount:
		return "household " + string(e.Household) + " has no account " + string(e.Account)
	case UnknownOrder:
		return "no order " + string(e.OrderID) + " was sent"
	case OrderDiffers:
		return "order " + string(e.OrderID) + " is for another account, security, side or currency"
	case UnknownType:
		return "ExecType " + string(e.Type)
	}
	return "refers to execution " + e.Refers().String()
}
