package tlh

import (
	"cmp"
	"slices"

	"daybreak/market"
	"daybreak/portfolio"
	"daybreak/region"
)

// BarKind says what forbids a purchase, or the sale of a loss. Its values are reason codes.
type BarKind string

// The kinds of bar: the first five deny a loss, the last two forbid a purchase.
const (
	BarredPurchase  BarKind = "BARRED_PURCHASE"   // bought in the household less than a window ago
	BarredOpenOrder BarKind = "BARRED_OPEN_ORDER" // an open order of the household may buy it
	BarredRun       BarKind = "BARRED_RUN"        // this run buys it in the household
	BarredDRIP      BarKind = "BARRED_DRIP"       // a dividend of it that is already due will be reinvested in the household
	BarredAudit     BarKind = "BARRED_AUDIT"      // the tax book denies the loss for another reason
	BarredLossSale  BarKind = "BARRED_LOSS_SALE"  // sold at a loss in the household less than a window ago
	Locked          BarKind = "LOCKED"            // a harvest, of this run or an earlier one, forbids it
)

// Bar is one fact that forbids a trade in a property.
type Bar struct {
	Kind     BarKind             `json:"kind"`
	Property string              `json:"property"`
	Until    market.Day          `json:"until"`             // last tax day that it forbids; NoDay where it ends with an order
	Account  portfolio.AccountID `json:"account,omitempty"` // whose trade it is
	Symbol   market.Symbol       `json:"symbol,omitempty"`  // what that trade was in
	Order    string              `json:"order,omitempty"`   // the order that has yet to trade
}

// Bars answer, for one household and one day, what may not be bought and which losses may not be
// taken. They know the tax book, the locks, the open orders, and what the run itself has decided.
// All days are tax days: trade or settlement days, as the region counts.
type Bars struct {
	book       *region.Book
	windowDays market.Day
	locks      map[string]Lock
	open       map[string]portfolio.OpenOrder
	bought     map[string]Bar
	reinvested map[string]Bar
	sold       map[string]Lock
	locked     []Lock // of this run, one for each property, account and symbol
}

// NewBars returns the bars of a household. Of several locks of a property the longest counts, of
// several open orders to buy it the first by id.
func NewBars(book *region.Book, windowDays int, locks []Lock, open []portfolio.OpenOrder, property func(market.Symbol) string) *Bars {
	b := &Bars{
		book: book, windowDays: market.Day(windowDays),
		locks: map[string]Lock{}, open: map[string]portfolio.OpenOrder{},
		bought: map[string]Bar{}, sold: map[string]Lock{},
	}
	for _, l := range locks {
		held, ok := b.locks[l.Property]
		if !ok || held.Until < l.Until || held.Until == l.Until && CompareLocks(l, held) < 0 {
			b.locks[l.Property] = l
		}
	}
	for _, o := range open {
		if o.Side != portfolio.Buy || o.Leaves.Sign() <= 0 {
			continue
		}
		p := property(o.Symbol)
		if held, ok := b.open[p]; !ok || o.ID < held.ID {
			b.open[p] = o
		}
	}
	return b
}

// Purchase returns what forbids any account of the household to buy the property on a tax day: a
// loss that this run takes, a lock, or a loss realised at most a window of days ago of which
// something is left to deny. The last day of a lock and of a window is forbidden, the day after is
// not.
func (b *Bars) Purchase(property string, day market.Day) (Bar, bool) {
	if l, ok := b.sold[property]; ok {
		return lockBar(l), true
	}
	if l, ok := b.locks[property]; ok && day <= l.Until {
		return lockBar(l), true
	}
	sales := b.book.LossSales(property, day-b.windowDays, day+b.windowDays)
	sales = slices.DeleteFunc(sales, func(m region.Movement) bool { return m.Until < day })
	if len(sales) == 0 {
		return Bar{}, false
	}
	last := slices.MaxFunc(sales, compareMovements)
	return Bar{
		Kind: BarredLossSale, Property: property, Until: last.Day + b.windowDays,
		Account: last.Account, Symbol: last.Symbol,
	}, true
}

// Reinvest records the dividends that an account of the household will reinvest: on tax days within a
// window of their ex-date, losses on what they buy are barred. Day is the trade day.
func (b *Bars) Reinvest(a *portfolio.Account, m *market.Snapshot, day market.Day, property func(market.Symbol) string) {
	if !a.Policy.DRIP {
		return
	}
	for _, p := range a.Positions {
		d, ok := b.dueDividend(a.ID, p, property(p.Symbol), m, day)
		if !ok {
			continue
		}
		bar := Bar{Kind: BarredDRIP, Property: property(p.Symbol), Until: d.ExDay + b.windowDays, Account: a.ID, Symbol: d.Symbol}
		held, ok := b.reinvested[bar.Property]
		if ok && (bar.Until < held.Until || bar.Until == held.Until && held.Account <= a.ID) {
			continue
		}
		if b.reinvested == nil {
			b.reinvested = map[string]Bar{}
		}
		b.reinvested[bar.Property] = bar
	}
}

// dueDividend returns the last dividend of a position whose ex-date is at most a window of days
// before a trade day, and which the tax book does not show as reinvested by the account yet.
func (b *Bars) dueDividend(a portfolio.AccountID, p portfolio.Position, property string, m *market.Snapshot, day market.Day) (market.Dividend, bool) {
	d, ok := m.LastDividend(p.Symbol, day-b.windowDays, day)
	if !ok || p.Shares.Sign() <= 0 {
		return d, false
	}
	hasCome := slices.ContainsFunc(b.book.Purchases(property, d.ExDay, day+b.windowDays), func(m region.Movement) bool {
		return m.Account == a && m.Symbol == p.Symbol
	})
	return d, !hasCome
}

// Loss returns what would deny a loss on the property, wholly or in part, if it were sold on a tax
// day: a purchase of this run, an open order to buy, a dividend that will be reinvested, or a
// purchase at most a window of days away.
// Some of what it returns denies nothing when nothing of that purchase remains; the tax book knows.
func (b *Bars) Loss(property string, day market.Day) (Bar, bool) {
	if bar, ok := b.bought[property]; ok {
		return bar, true
	}
	if o, ok := b.open[property]; ok {
		return Bar{
			Kind: BarredOpenOrder, Property: property, Until: market.NoDay,
			Account: o.Account, Symbol: o.Symbol, Order: o.ID,
		}, true
	}
	if bar, ok := b.reinvested[property]; ok && day <= bar.Until {
		return bar, true
	}
	purchases := b.book.Purchases(property, day-b.windowDays, day+b.windowDays)
	if len(purchases) == 0 {
		return Bar{}, false
	}
	last := slices.MaxFunc(purchases, compareMovements)
	return Bar{
		Kind: BarredPurchase, Property: property, Until: last.Day + b.windowDays,
		Account: last.Account, Symbol: last.Symbol,
	}, true
}

// Buy records that the run buys the property in an account; from now on its losses are barred.
func (b *Bars) Buy(property string, symbol market.Symbol, account portfolio.AccountID) {
	if _, ok := b.bought[property]; !ok {
		b.bought[property] = Bar{Kind: BarredRun, Property: property, Until: market.NoDay, Account: account, Symbol: symbol}
	}
}

// SellLoss records that the run sells the property at a loss in an account on a tax day; from now
// on no account of the household may buy it.
func (b *Bars) SellLoss(property string, symbol market.Symbol, account portfolio.AccountID, day market.Day) {
	l := Lock{Property: property, Symbol: symbol, Account: account, Until: day + b.windowDays, Provisional: true}
	if slices.Contains(b.locked, l) {
		return
	}
	b.locked = append(b.locked, l)
	if held, ok := b.sold[property]; !ok || held.Until < l.Until {
		b.sold[property] = l
	}
}

// Locks returns the locks of what the run sells at a loss, one for each order to sell, in the order
// of CompareLocks.
func (b *Bars) Locks() []Lock {
	locks := slices.Clone(b.locked)
	slices.SortFunc(locks, CompareLocks)
	return locks
}

func lockBar(l Lock) Bar {
	return Bar{Kind: Locked, Property: l.Property, Until: l.Until, Account: l.Account, Symbol: l.Symbol, Order: l.Order}
}

// compareMovements orders movements by day, account, symbol and event.
func compareMovements(a, b region.Movement) int {
	return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.Account, b.Account),
		cmp.Compare(a.Symbol, b.Symbol), cmp.Compare(a.Event, b.Event))
}
