// Package orders turns the trades of a plan into orders, checks them before they are approved and
// before they are sent, and derives their state from quantities.
package orders

import (
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/rebalance"
	"daybreak/tlh"
)

// ID is FIX ClOrdID: the same wish on the same session always has the same one.
type ID string

// idLength is the most that FIX counterparts take as ClOrdID.
const idLength = 20

// NewID returns the id of an order: the first 100 bits of a SHA-256 of what makes it unique, in 20
// characters of base32. A run started twice, a retry and a replay give the same id; a replacement of
// an order takes the next sequence.
func NewID(session market.Day, account portfolio.AccountID, symbol market.Symbol, side portfolio.Side, sequence int) ID {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s\x00%s\x00%d", session, account, symbol, side, sequence))
	return ID(base32.StdEncoding.EncodeToString(sum[:])[:idLength])
}

// Type is FIX OrdType as far as it is used.
type Type string

// Limit is the only type of order so far: a limit at the price collar.
const Limit Type = "limit"

// TimeInForce is FIX TimeInForce as far as it is used.
type TimeInForce string

// ForDay ends an order at the session's close.
const ForDay TimeInForce = "day"

// Order is a request to the broker for one account. Everything in it but Run, BookVersion, Build,
// Rules and ContentHash is what an approver signs.
type Order struct {
	Run             string                `json:"run"`
	ID              ID                    `json:"id"`
	Session         market.Day            `json:"session"`
	Sequence        int                   `json:"sequence"` // 1, and one more for each replacement
	Household       portfolio.HouseholdID `json:"household"`
	Account         portfolio.AccountID   `json:"account"`
	Symbol          market.Symbol         `json:"symbol"`
	Side            portfolio.Side        `json:"side"`
	Quantity        money.Dec             `json:"quantity"`
	Type            Type                  `json:"type"`
	LimitPrice      money.Dec             `json:"limit_price"` // security's currency
	TimeInForce     TimeInForce           `json:"time_in_force"`
	Currency        market.Currency       `json:"currency"`         // of the security
	Price           money.Dec             `json:"price"`            // reference price, security's currency
	PriceDay        market.Day            `json:"price_day"`        // day of that close
	FX              money.Dec             `json:"fx"`               // account currency for one unit of Currency
	Notional        money.Dec             `json:"notional"`         // quantity × price, in Currency
	AccountCurrency market.Currency       `json:"account_currency"` // currency of the cash that pays
	Value           money.Dec             `json:"value"`            // notional × FX
	Lots            []rebalance.TradeLot  `json:"lots,omitempty"`
	WaitsFor        []ID                  `json:"waits_for,omitempty"` // sales of the same account that fund it, by id
	Reason          string                `json:"reason"`
	Numbers         map[string]string     `json:"numbers,omitempty"`
	BookVersion     int64                 `json:"book_version"`
	Build           string                `json:"build"` // SHA-256 of the executable that decided
	Rules           string                `json:"rules"` // hash of the region rules it decided by
	ContentHash     string                `json:"content_hash"`
}

// Source is what all orders of one household's plan have in common.
type Source struct {
	Run         string
	Build       string // SHA-256 of the executable that decided
	Rules       string // hash of the region rules it decided by
	Session     market.Day
	BookVersion int64
	Collar      money.Dec // how far a limit may be from the reference price, a share of it; zero means DefaultLimits
}

// FromPlan returns the orders of a household's plan in order of account, sales first, and symbol:
// one for each trade, none for accounts without. An order waits for the sales of its own account
// that its trade names; a name without a sale in the plan is left out.
func FromPlan(s Source, p rebalance.HouseholdPlan) []Order {
	if s.Collar.IsZero() {
		s.Collar = DefaultLimits.Collar
	}
	var all []Order
	for _, a := range p.Accounts {
		for _, t := range a.Trades {
			o := s.order(p.Household, a.Currency, t)
			o.WaitsFor = s.fundedBy(a.Trades, t)
			o.ContentHash = o.Content()
			all = append(all, o)
		}
	}
	slices.SortFunc(all, func(a, b Order) int {
		return cmp.Or(cmp.Compare(a.Account, b.Account), -cmp.Compare(a.Side, b.Side), cmp.Compare(a.Symbol, b.Symbol))
	})
	return all
}

func (s Source) order(h portfolio.HouseholdID, cash market.Currency, t rebalance.Trade) Order {
	return Order{
		Run: s.Run, ID: NewID(s.Session, t.Account, t.Symbol, t.Side, 1), Session: s.Session, Sequence: 1,
		Household: h, Account: t.Account, Symbol: t.Symbol, Side: t.Side, Quantity: t.Shares,
		Type: Limit, LimitPrice: LimitPrice(t.Price, t.Side, s.Collar), TimeInForce: ForDay,
		Currency: t.Currency, Price: t.Price, PriceDay: t.PriceDay, FX: t.FX, Notional: t.Notional,
		AccountCurrency: cash, Value: t.Value, Lots: t.Lots,
		Reason: t.Reason.Code, Numbers: t.Reason.Numbers,
		BookVersion: s.BookVersion, Build: s.Build, Rules: s.Rules,
	}
}

func (s Source) fundedBy(trades []rebalance.Trade, t rebalance.Trade) []ID {
	var ids []ID
	for _, other := range trades {
		if other.Side == portfolio.Sell && slices.Contains(t.WaitsFor, other.Symbol) {
			ids = append(ids, NewID(s.Session, other.Account, other.Symbol, portfolio.Sell, 1))
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// LimitPrice returns the worst price that an order may trade at: the reference price and collar
// shares of it more for a purchase, less for a sale; rounded towards the reference to four places.
func LimitPrice(reference money.Dec, side portfolio.Side, collar money.Dec) money.Dec {
	room := reference.Mul(collar).RoundDown(4)
	if side == portfolio.Sell {
		return reference.Sub(room)
	}
	return reference.Add(room)
}

// NameLocks returns the locks of a plan with the order that each comes from: the sale of the lock's
// symbol in its account. A lock without such a sale keeps its empty order.
func NameLocks(locks []tlh.Lock, all []Order) []tlh.Lock {
	named := slices.Clone(locks)
	for i, l := range named {
		for _, o := range all {
			if o.Side == portfolio.Sell && o.Account == l.Account && o.Symbol == l.Symbol {
				named[i].Order = string(o.ID)
			}
		}
	}
	return named
}

// Content returns the hash over everything that an approver signs: SHA-256, in hexadecimal, of the
// order's JSON without Run, BookVersion, Build, Rules and ContentHash. Keys of Numbers come sorted.
func (o Order) Content() string {
	o.Run, o.BookVersion, o.Build, o.Rules, o.ContentHash = "", 0, "", "", ""
	if len(o.Numbers) == 0 {
		o.Numbers = nil
	}
	body, err := json.Marshal(o)
	if err != nil {
		panic(fmt.Errorf("order %s: content: %w", o.ID, err)) // an Order holds nothing that JSON lacks
	}
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// Export is an order as `order export` writes it: the decision alone, nothing of the time it was
// made or the worker that made it.
type Export struct {
	ID        ID                    `json:"id"`
	Account   portfolio.AccountID   `json:"account"`
	Household portfolio.HouseholdID `json:"household"`
	Security  market.Symbol         `json:"security"`
	Side      portfolio.Side        `json:"side"`
	Quantity  money.Dec             `json:"quantity"`
	Lots      []rebalance.TradeLot  `json:"lots"`
	Reason    string                `json:"reason"`
	Numbers   map[string]string     `json:"numbers"`
}

// Export returns o as `order export` writes it; absent lots and numbers are empty, not null.
func (o Order) Export() Export {
	e := Export{ID: o.ID, Account: o.Account, Household: o.Household, Security: o.Symbol, Side: o.Side,
		Quantity: o.Quantity, Lots: o.Lots, Reason: o.Reason, Numbers: o.Numbers}
	if e.Lots == nil {
		e.Lots = []rebalance.TradeLot{}
	}
	if e.Numbers == nil {
		e.Numbers = map[string]string{}
	}
	return e
}
