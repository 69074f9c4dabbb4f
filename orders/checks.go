package orders

import (
	"slices"
	"strconv"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/tlh"
)

// Limits are what no order may pass. Amounts are in the currency of the account that pays.
type Limits struct {
	Collar             money.Dec `json:"collar"`                // distance of a limit price from its reference price, share of it
	CollarMax          money.Dec `json:"collar_max"`            // distance from the newest reference price that a limit may have when it is sent
	ReferenceAgeMax    int       `json:"reference_age_max"`     // calendar days from the reference price's day to the session
	OrderValueMax      money.Dec `json:"order_value_max"`       // value of one order
	OrderQuantityMax   money.Dec `json:"order_quantity_max"`    // shares of one order
	AccountDayValueMax money.Dec `json:"account_day_value_max"` // value that one account sends a session
	FirmDayValueMax    money.Dec `json:"firm_day_value_max"`    // value that the firm sends a session
	CashBuffer         money.Dec `json:"cash_buffer"`           // share of a resized purchase's cash that stays unspent
	CostRate           money.Dec `json:"cost_rate"`             // commission, share of a trade's value
}

// DefaultLimits hold where a firm has set none. A reference price is at most as old as a price that
// the planner trades on.
var DefaultLimits = Limits{
	Collar:             money.MustParse("0.005"),
	CollarMax:          money.MustParse("0.03"),
	ReferenceAgeMax:    10,
	OrderValueMax:      money.MustParse("5000000"),
	OrderQuantityMax:   money.MustParse("1000000"),
	AccountDayValueMax: money.MustParse("20000000"),
	FirmDayValueMax:    money.MustParse("50000000000"),
	CashBuffer:         money.MustParse("0.001"),
	CostRate:           money.MustParse("0.0002"),
}

// Approval is the signature under an order: absent where Approver is empty.
type Approval struct {
	Maker       string
	Approver    string
	ContentHash string
}

// Facts are the plain values that an order is checked against, as they are when it is checked.
type Facts struct {
	Halt            string // why the kill switch is on, or cannot be read; "" where orders may go out
	Exception       string // an open exception of the household's book; "" for none
	SessionOpen     bool   // the security's exchange trades on the order's session
	Approval        Approval
	Build, Rules    string // of the worker that decided the order
	RunBuild        string // that the run is pinned to
	RunRules        string
	AccountDayValue money.Dec // that the account has sent this session
	FirmDayValue    money.Dec // that the firm has sent this session, same currency
	Reference       money.Dec // newest price of the security on or before the session; 0 where there is none
	ReferenceDay    market.Day
	LiveOrder       ID              // another order of the same account, security and side at the broker, or already done this session
	Restricted      []market.Symbol // that the account never trades
	Property        string          // identical group of the security
	TaxDay          market.Day      // on which a trade of this session counts for tax
	Locks           []tlh.Lock      // of the household
	Overrides       []Override      // of the order
	Destroys        tlh.Loss        // what the order would destroy where a lock stops it; without currency: not known
	Quantity        money.Dec       // that is to be sent; 0: all of the order
	Held            money.Dec       // shares in the account less those that other live orders sell
	Cash            money.Dec       // of the account, less what other live purchases may take
}

// Violation is why an order must not go on: a stable code and the numbers behind it.
type Violation struct {
	Code    string            `json:"code"`
	Numbers map[string]string `json:"numbers,omitempty"`
}

// The codes of violations, in the order in which they are looked for.
const (
	KillSwitch        = "KILL_SWITCH"
	SessionClosed     = "SESSION_CLOSED"
	BookException     = "BOOK_EXCEPTION"
	NotApproved       = "NOT_APPROVED"
	SamePerson        = "SAME_PERSON"
	ContentChanged    = "CONTENT_CHANGED"
	BuildDiffers      = "BUILD_DIFFERS"
	OrderValueLimit   = "ORDER_VALUE_LIMIT"
	QuantityLimit     = "QUANTITY_LIMIT"
	AccountValueLimit = "ACCOUNT_VALUE_LIMIT"
	FirmValueLimit    = "FIRM_VALUE_LIMIT"
	NoReference       = "NO_REFERENCE"
	StaleReference    = "STALE_REFERENCE"
	PriceCollar       = "PRICE_COLLAR"
	DuplicateOrder    = "DUPLICATE_ORDER"
	Restricted        = "RESTRICTED"
	TaxLock           = "TAX_LOCK"
	LongOnly          = "LONG_ONLY"
	CashShort         = "CASH_SHORT"
)

// Stage is the moment at which an order is checked.
type Stage int

// The stages. What only the moment of sending knows is not looked for before.
const (
	BeforeApproval Stage = iota + 1
	BeforeSending
)

// Passing reports whether what stands against an order will pass by itself: it waits and is not
// refused.
func (v Violation) Passing() bool {
	return v.Code == KillSwitch || v.Code == SessionClosed || v.Code == BookException
}

type check struct {
	code string
	from Stage // the first stage that looks for it
	fail func(o Order, f Facts, l Limits) (map[string]string, bool)
}

// checks stand in the order of their codes: the first that fails is the answer.
var checks = []check{
	{KillSwitch, BeforeSending, killSwitch},
	{SessionClosed, BeforeSending, sessionClosed},
	{BookException, BeforeSending, bookException},
	{NotApproved, BeforeSending, notApproved},
	{SamePerson, BeforeSending, samePerson},
	{ContentChanged, BeforeSending, contentChanged},
	{BuildDiffers, BeforeApproval, buildDiffers},
	{OrderValueLimit, BeforeApproval, orderValueLimit},
	{QuantityLimit, BeforeApproval, quantityLimit},
	{AccountValueLimit, BeforeSending, accountValueLimit},
	{FirmValueLimit, BeforeSending, firmValueLimit},
	{NoReference, BeforeSending, noReference},
	{StaleReference, BeforeSending, staleReference},
	{PriceCollar, BeforeSending, priceCollar},
	{DuplicateOrder, BeforeSending, duplicateOrder},
	{Restricted, BeforeSending, restricted},
	{TaxLock, BeforeApproval, taxLock},
	{LongOnly, BeforeSending, longOnly},
	{CashShort, BeforeSending, cashShort},
}

// Check returns the first violation of an order at a stage, in the order of the codes, or nil.
func Check(at Stage, o Order, f Facts, l Limits) *Violation {
	for _, c := range checks {
		if c.from > at {
			continue
		}
		if numbers, failed := c.fail(o, f, l); failed {
			return &Violation{Code: c.code, Numbers: numbers}
		}
	}
	return nil
}

// Codes returns the codes of all violations in the order in which they are looked for.
func Codes() []string {
	codes := make([]string, len(checks))
	for i, c := range checks {
		codes[i] = c.code
	}
	return codes
}

// Cost returns what a purchase of a quantity may take from cash at most, in the currency of the
// account: at the limit price, with costs.
func (o Order) Cost(quantity money.Dec, l Limits) money.Dec {
	worst := quantity.Mul(o.LimitPrice).Mul(o.FX)
	return worst.Add(worst.Mul(l.CostRate))
}

// sending returns the quantity that is to be sent.
func (f Facts) sending(o Order) money.Dec {
	if f.Quantity.IsZero() {
		return o.Quantity
	}
	return f.Quantity
}

func killSwitch(_ Order, f Facts, _ Limits) (map[string]string, bool) {
	return map[string]string{"reason": f.Halt}, f.Halt != ""
}

func sessionClosed(o Order, f Facts, _ Limits) (map[string]string, bool) {
	return map[string]string{"session": o.Session.String()}, !f.SessionOpen
}

func bookException(_ Order, f Facts, _ Limits) (map[string]string, bool) {
	return map[string]string{"exception": f.Exception}, f.Exception != ""
}

func notApproved(_ Order, f Facts, _ Limits) (map[string]string, bool) {
	return nil, f.Approval.Approver == ""
}

func samePerson(_ Order, f Facts, _ Limits) (map[string]string, bool) {
	return map[string]string{"person": f.Approval.Approver}, f.Approval.Approver == f.Approval.Maker
}

func contentChanged(o Order, f Facts, _ Limits) (map[string]string, bool) {
	now := o.Content()
	return map[string]string{"approved": f.Approval.ContentHash, "now": now}, now != f.Approval.ContentHash
}

func buildDiffers(_ Order, f Facts, _ Limits) (map[string]string, bool) {
	numbers := map[string]string{"build": f.Build, "run_build": f.RunBuild, "rules": f.Rules, "run_rules": f.RunRules}
	return numbers, f.Build != f.RunBuild || f.Rules != f.RunRules
}

func above(name string, value, most money.Dec) (map[string]string, bool) {
	return map[string]string{name: value.String(), "max": most.String()}, most.Less(value)
}

func orderValueLimit(o Order, _ Facts, l Limits) (map[string]string, bool) {
	return above("value", o.Value, l.OrderValueMax)
}

func quantityLimit(o Order, _ Facts, l Limits) (map[string]string, bool) {
	return above("quantity", o.Quantity, l.OrderQuantityMax)
}

func accountValueLimit(o Order, f Facts, l Limits) (map[string]string, bool) {
	return above("value", f.AccountDayValue.Add(o.Value), l.AccountDayValueMax)
}

func firmValueLimit(o Order, f Facts, l Limits) (map[string]string, bool) {
	return above("value", f.FirmDayValue.Add(o.Value), l.FirmDayValueMax)
}

func noReference(o Order, f Facts, _ Limits) (map[string]string, bool) {
	return map[string]string{"symbol": string(o.Symbol)}, f.Reference.Sign() <= 0
}

func staleReference(o Order, f Facts, l Limits) (map[string]string, bool) {
	age := int(o.Session - f.ReferenceDay)
	return map[string]string{"days": strconv.Itoa(age), "max": strconv.Itoa(l.ReferenceAgeMax)}, age > l.ReferenceAgeMax
}

func priceCollar(o Order, f Facts, l Limits) (map[string]string, bool) {
	away := o.LimitPrice.Sub(f.Reference).Abs()
	numbers := map[string]string{"limit": o.LimitPrice.String(), "reference": f.Reference.String(), "max": l.CollarMax.String()}
	return numbers, f.Reference.Mul(l.CollarMax).Less(away)
}

func duplicateOrder(_ Order, f Facts, _ Limits) (map[string]string, bool) {
	return map[string]string{"order": string(f.LiveOrder)}, f.LiveOrder != ""
}

func restricted(o Order, f Facts, _ Limits) (map[string]string, bool) {
	return map[string]string{"symbol": string(o.Symbol)}, slices.Contains(f.Restricted, o.Symbol)
}

func longOnly(o Order, f Facts, _ Limits) (map[string]string, bool) {
	quantity := f.sending(o)
	numbers := map[string]string{"quantity": quantity.String(), "held": f.Held.String()}
	return numbers, o.Side == portfolio.Sell && f.Held.Less(quantity)
}

func cashShort(o Order, f Facts, l Limits) (map[string]string, bool) {
	if o.Side != portfolio.Buy {
		return nil, false
	}
	cost := o.Cost(f.sending(o), l)
	return map[string]string{"cost": cost.String(), "cash": f.Cash.String()}, f.Cash.Less(cost)
}
