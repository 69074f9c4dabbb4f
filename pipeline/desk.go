package pipeline

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"daybreak/market"
	"daybreak/money"
	"daybreak/orders"
	"daybreak/portfolio"
	"daybreak/rebalance"
	"daybreak/region"
	"daybreak/tlh"
)

// DeskOrder is a stored order with what sending it depends on.
type DeskOrder struct {
	orders.Order
	Progress  orders.Progress
	Released  bool
	IsSent    bool
	HeldBy    string
	Exception string
	Approval  orders.Approval
	Overrides []orders.Override // of tax locks
	RunBuild  string
	RunRules  string
	Exchange  string // of the security; "" where the market does not know it
	Property  string // identical group of the security
	Harvests  bool   // a lock depends on it
}

// open reports whether nothing keeps the order from going on, but for what the checks find.
func (o DeskOrder) open() bool {
	return o.Progress.State == orders.Proposed && !o.IsSent && o.Exception == "" && o.HeldBy == ""
}

// over reports whether no more shares are to be expected of the order.
func (o DeskOrder) over() bool { return o.Progress.State.Ended() || o.Exception != "" }

// DeskHousehold is a household as the desk sees it, under its lock: its accounts with cash and
// positions, all orders of the runs at hand, and every order that is at the broker.
type DeskHousehold struct {
	Household portfolio.Household
	Version   int64
	Orders    []DeskOrder // by account, sales first, symbol, id
	Locks     []tlh.Lock
	Exception string           // an open exception of the book; "" for none
	Tax       *rebalance.Input // where a lock or a sale at a loss may stop an order, or the book has moved since its plan and tax is asked for
}

// Reference is the newest price of a security on or before a session.
type Reference struct {
	Price money.Dec
	Day   market.Day
}

// ReferenceKey names a reference price.
type ReferenceKey struct {
	Symbol  market.Symbol
	Session market.Day
}

// RateKey names an exchange rate: units of Quote for one of Base, the last published on or before a
// session and at most ten days old.
type RateKey struct {
	Base, Quote market.Currency
	Session     market.Day
}

// SentKey names what the firm has sent: a session and a currency of accounts.
type SentKey struct {
	Session  market.Day
	Currency market.Currency
}

// DeskLoad is what the desk decides from.
type DeskLoad struct {
	Households []DeskHousehold // by id
	References map[ReferenceKey]Reference
	Sent       map[SentKey]money.Dec // value that the firm has sent
	Identical  map[market.Symbol]string
	Rates      map[RateKey]money.Dec // of households whose tax is loaded
	Halt       string                // why nothing may go out; "" where it may

	rules map[string]*region.Rules
}

// rulesOf returns the rules of a region, read once.
func (l *DeskLoad) rulesOf(name string) (*region.Rules, error) {
	if r, ok := l.rules[name]; ok {
		return r, nil
	}
	r, err := region.Load(name)
	if err != nil {
		return nil, err
	}
	if l.rules == nil {
		l.rules = map[string]*region.Rules{}
	}
	l.rules[name] = r
	return r, nil
}

// DeskRequest asks for households at the desk.
type DeskRequest struct {
	Households []portfolio.HouseholdID
	Runs       []string
	WithTax    bool // load the tax history of households whose book has moved
	Due        bool // what marked the households is dealt with
}

// Move is what the desk does with one order.
type Move string

// The moves. An order without one stays where it is.
const (
	MoveRelease Move = "release" // to the gateway
	MoveSend    Move = "send"    // to the broker
	MoveCancel  Move = "cancel"  // it will not be sent, by rule
	MoveFlag    Move = "flag"    // a check stops it: a person must look
)

// DeskMove is a move with its reason. Quantity is what is sent.
type DeskMove struct {
	Move     Move
	Order    DeskOrder
	Quantity money.Dec
	Code     string
	Detail   string
	Lock     *LockStop // where a lock stops the order
}

// flag returns why a move stops its order.
func (m DeskMove) flag() Flag {
	if m.Lock != nil {
		return m.Lock.Flag()
	}
	return Flag{Order: m.Order.ID, Code: m.Code, Numbers: map[string]string{because: m.Detail}}
}

// The codes of moves, beside those of violations.
const (
	CodeStale         = "STALE"          // the book or the market has moved, and the order no longer holds
	CodeFundingFailed = "FUNDING_FAILED" // every sale that was to fund the purchase ended with nothing sold
	CodeNoTaxDay      = "NO_TAX_DAY"     // no calendar says when the trade counts for tax
	CodeTooSmall      = "TOO_SMALL"      // the cash there is makes a trade below the account's least
)

// deskCounter counts one household's cash, shares and sent values while orders of it are decided.
type deskCounter struct {
	load   *DeskLoad
	h      *DeskHousehold
	limits orders.Limits
	locks  []tlh.Lock // those stored, and those that the tax book adds
	book   *region.Book
	cash   map[portfolio.AccountID]money.Dec // less what live purchases may take
	held   map[heldKey]money.Dec             // less what live sales may take
	sent   map[sentKey]money.Dec             // by account, this session
}

type heldKey struct {
	account portfolio.AccountID
	symbol  market.Symbol
}

type sentKey struct {
	account portfolio.AccountID
	session market.Day
}

func newDeskCounter(load *DeskLoad, h *DeskHousehold, limits orders.Limits) *deskCounter {
	c := &deskCounter{load: load, h: h, limits: limits, cash: map[portfolio.AccountID]money.Dec{},
		held: map[heldKey]money.Dec{}, sent: map[sentKey]money.Dec{}}
	for _, a := range h.Household.Accounts {
		for _, cash := range a.Cash {
			if cash.Currency == a.Currency {
				c.cash[a.ID] = cash.Amount
			}
		}
		for _, p := range a.Positions {
			c.held[heldKey{a.ID, p.Symbol}] = p.Shares
		}
	}
	for _, o := range h.Orders {
		if o.Progress.State.Live() {
			c.take(o, o.Progress.LeavesQty)
		}
		if o.IsSent {
			c.sent[sentKey{o.Account, o.Session}] = c.sent[sentKey{o.Account, o.Session}].Add(o.Value)
		}
	}
	c.locks = slices.Concat(h.Locks, c.lossLocks())
	return c
}

// take counts a quantity of an order as good as traded.
func (c *deskCounter) take(o DeskOrder, quantity money.Dec) {
	if o.Side == portfolio.Sell {
		key := heldKey{o.Account, o.Symbol}
		c.held[key] = c.held[key].Sub(quantity)
		return
	}
	c.cash[o.Account] = c.cash[o.Account].Sub(o.Cost(quantity, c.limits))
}

// send counts an order as sent.
func (c *deskCounter) send(o DeskOrder, quantity money.Dec) {
	c.take(o, quantity)
	account, firm := sentKey{o.Account, o.Session}, SentKey{o.Session, o.AccountCurrency}
	c.sent[account] = c.sent[account].Add(o.Value)
	c.load.Sent[firm] = c.load.Sent[firm].Add(o.Value)
}

// facts returns what an order is checked against before quantity of it is sent.
func (c *deskCounter) facts(o DeskOrder, quantity money.Dec, isOpen func(exchange string, session market.Day) bool) (orders.Facts, error) {
	taxDay, err := c.taxDay(o)
	if err != nil {
		return orders.Facts{}, err
	}
	reference := c.load.References[ReferenceKey{o.Symbol, o.Session}]
	return orders.Facts{
		Halt: c.load.Halt, Exception: c.h.Exception, SessionOpen: isOpen(o.Exchange, o.Session), Approval: o.Approval,
		Build: o.Build, Rules: o.Rules, RunBuild: o.RunBuild, RunRules: o.RunRules,
		AccountDayValue: c.sent[sentKey{o.Account, o.Session}], FirmDayValue: c.load.Sent[SentKey{o.Session, o.AccountCurrency}],
		Reference: reference.Price, ReferenceDay: reference.Day, LiveOrder: c.liveLike(o), Restricted: c.account(o.Account).Policy.Restricted,
		Property: o.Property, TaxDay: taxDay, Locks: c.locks, Overrides: o.Overrides, Quantity: quantity,
		Held: c.held[heldKey{o.Account, o.Symbol}], Cash: c.cash[o.Account],
	}, nil
}

// liveLike returns an order at the broker that does what o would do, or has its id; "" for none.
func (c *deskCounter) liveLike(o DeskOrder) orders.ID {
	for _, other := range c.h.Orders {
		same := other.Account == o.Account && other.Symbol == o.Symbol && other.Side == o.Side
		if other.IsSent && (other.ID == o.ID || same && other.Progress.State.Live()) {
			return other.ID
		}
	}
	return ""
}

func (c *deskCounter) account(id portfolio.AccountID) portfolio.Account {
	for _, a := range c.h.Household.Accounts {
		if a.ID == id {
			return a
		}
	}
	return portfolio.Account{ID: id}
}

// taxDay returns the day on which a trade of the order's session counts for tax.
func (c *deskCounter) taxDay(o DeskOrder) (market.Day, error) {
	rules, err := c.load.rulesOf(c.h.Household.Region)
	if err != nil {
		return market.NoDay, fmt.Errorf("household %s: %w", c.h.Household.ID, err)
	}
	if o.Exchange == "" {
		return rules.TaxDay(o.Session, o.Session), nil // NO_REFERENCE or SESSION_CLOSED stops it
	}
	settle, err := market.SettleDay(o.Exchange, o.Session)
	if err != nil {
		return market.NoDay, fmt.Errorf("order %s: %w", o.ID, err)
	}
	return rules.TaxDay(o.Session, settle), nil
}

// sale returns an order of the household's run by id.
func (c *deskCounter) sale(run string, id orders.ID) (DeskOrder, bool) {
	for _, o := range c.h.Orders {
		if o.Run == run && o.ID == id {
			return o, true
		}
	}
	return DeskOrder{}, false
}

// numbersText writes the numbers of a violation in order of name.
func numbersText(numbers map[string]string) string {
	var parts []string
	for _, k := range sortedKeys(numbers) {
		if numbers[k] != "" {
			parts = append(parts, k+" "+numbers[k])
		}
	}
	return strings.Join(parts, ", ")
}

// SortDesk puts orders in the order in which the desk takes them: by account, sales first, symbol,
// id.
func SortDesk(all []DeskOrder) {
	slices.SortFunc(all, func(a, b DeskOrder) int {
		return cmp.Or(cmp.Compare(a.Account, b.Account), -cmp.Compare(a.Side, b.Side), cmp.Compare(a.Symbol, b.Symbol),
			cmp.Compare(a.ID, b.ID), cmp.Compare(a.Run, b.Run))
	})
}
