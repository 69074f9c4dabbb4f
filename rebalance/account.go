package rebalance

import (
	"cmp"
	"slices"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/region"
	"daybreak/tlh"
)

// account is one account while it is planned. Money is in its currency. Purchases and sales are
// collected on its holds and become trades at the end, one for each security.
type account struct {
	portfolio.Account
	policy      portfolio.Policy
	mix         *portfolio.Mix
	sheltered   bool
	home        money.Dec                 // home currency for one unit of the account's
	holds       []*hold                   // by symbol
	sleeves     []sleeve                  // as in the mix, then other
	total       money.Dec                 // cash and positions
	cash        money.Dec                 // what is there, after the plan's trades
	reserved    money.Dec                 // of cash, for open orders to buy
	pending     money.Dec                 // what open orders to sell will bring
	unsettled   money.Dec                 // of cash, proceeds that may not be spent yet
	wanted      money.Dec                 // cash that is wanted
	traded      map[string]portfolio.Side // what the plan does in each property
	spent       money.Dec                 // money of the plan's purchases
	before      money.Dec                 // drift
	short       money.Dec                 // cash that is needed and cannot be raised
	opening     money.Dec                 // cash before the plan
	avoided     money.Dec                 // loss left alone as it would be denied, home currency
	skipped     []Reason
	isActive    bool         // out of band, or its cash asks for trades
	purchases   []wish       // of sleeves below their bands
	isBlocked   bool         // a trade that the model asks for is barred
	opened      []sleeve     // before the plan
	certificate *Certificate // of the optimiser
	unsolved    string       // why the optimiser has no plan for the account
	holdings    []region.Holding
}

// sleeve is what an account holds and wants of one sleeve of its mix, its trades included.
type sleeve struct {
	name   string
	held   money.Dec
	wanted money.Dec
	band   money.Dec // |held − wanted| that is left alone
}

// hold is what an account holds, or will buy, of one security.
type hold struct {
	*quote
	symbol   market.Symbol
	fx       money.Dec // account currency for one unit of the security's
	toHome   money.Dec // home currency for one unit of the security's
	shares   money.Dec // before the plan
	sleeve   int
	frozen   string // the code of why it is not traded at all, or ""
	lots     []lot  // where the account pays gains tax: in the order in which sales use them up
	sold     money.Dec
	bought   money.Dec
	reason   Reason          // of its first sale or purchase
	harvest  money.Dec       // loss harvested, home currency
	worth    money.Dec       // tax that it saves
	answers  tlh.Answers     // of the harvest
	funds    []market.Symbol // harvests that it replaces
	replaced money.Dec       // money of bought that replaces them
}

func newAccount(a portfolio.Account) *account {
	a.Positions = slices.Clone(a.Positions)
	slices.SortFunc(a.Positions, func(p, q portfolio.Position) int { return cmp.Compare(p.Symbol, q.Symbol) })
	a.Cash = slices.Clone(a.Cash)
	slices.SortFunc(a.Cash, func(c, d portfolio.Cash) int { return cmp.Compare(c.Currency, d.Currency) })
	return &account{Account: a, policy: a.Policy.WithDefaults()}
}

// open values the account as it stands, with its open orders as if they were done.
func (h *house) open(a *account) {
	a.home, _ = h.rate(a.Currency, h.rules.Home)
	for _, c := range a.Cash {
		fx, _ := h.rate(c.Currency, a.Currency)
		a.cash = a.cash.Add(c.Amount.Mul(fx))
	}
	a.opening, a.total = a.cash, a.cash
	for _, p := range a.Positions {
		if o, ok := a.find(p.Symbol); ok { // two rows of one security
			o.shares = o.shares.Add(p.Shares)
			continue
		}
		o := h.newHold(a, p.Symbol)
		o.shares = p.Shares
		a.holds = append(a.holds, o)
	}
	a.sleeves = make([]sleeve, len(a.mix.Sleeves)+1)
	for _, o := range a.holds {
		v := o.value(o.shares)
		a.total = a.total.Add(v)
		a.sleeves[o.sleeve].held = a.sleeves[o.sleeve].held.Add(v)
	}
	h.openOrders(a)
	h.holdBack(a)
	a.setTargets()
	a.opened = slices.Clone(a.sleeves)
	a.before = a.drift()
}

// newHold returns the hold of a security in an account, of no shares.
func (h *house) newHold(a *account, symbol market.Symbol) *hold {
	o := &hold{quote: h.quote(symbol), symbol: symbol, sleeve: len(a.mix.Sleeves)}
	if i, ok := a.mix.Sleeve(symbol); ok {
		o.sleeve = i
	}
	var known, knownHome bool
	o.fx, known = h.rate(o.security.Currency, a.Currency)
	o.toHome, knownHome = h.rate(o.security.Currency, h.rules.Home)
	switch {
	case slices.Contains(a.policy.Restricted, symbol):
		o.frozen = Restricted
	case o.fault != "" || !known || !knownHome:
		o.frozen = NotPriced
	case !o.isOpen:
		o.frozen = MarketClosed
	}
	return o
}

// openOrders moves the money of open orders from cash to the sleeve that they buy, or back, and
// freezes their securities: one live order an account and security is enough.
func (h *house) openOrders(a *account) {
	for _, order := range h.in.Open {
		if order.Account != a.ID || order.Leaves.Sign() <= 0 {
			continue
		}
		o := h.holdOf(a, order.Symbol)
		if o.frozen == NotPriced {
			continue
		}
		o.frozen = OpenOrderLive
		v := o.value(order.Leaves)
		s := &a.sleeves[o.sleeve]
		if order.Side == portfolio.Buy {
			a.reserved = a.reserved.Add(v)
			s.held = s.held.Add(v)
			continue
		}
		a.pending = a.pending.Add(v)
		s.held = s.held.Sub(v)
	}
}

// holdBack notes how much of the cash at hand is proceeds that the account must let settle first. What it
// needs is taken from them: no sale of today would settle sooner.
func (h *house) holdBack(a *account) {
	spend := cmp.Or(a.policy.SpendUnsettled, h.settings.SpendUnsettled)
	for _, u := range h.in.Unsettled {
		if u.Account == a.ID && !spend.Allows(a.Currency, u.Settle, h.in.Day) {
			a.unsettled = a.unsettled.Add(u.Amount)
		}
	}
	a.unsettled = money.Max(money.Zero, money.Min(a.unsettled, a.cash.Sub(a.need())))
}

// setTargets sets what is wanted of cash and of each sleeve, and its band: that of the policy, or
// half of what is wanted where that is less, so that a small sleeve is neither left empty nor let
// grow to several times its size.
func (a *account) setTargets() {
	a.wanted = money.Min(a.total, a.policy.CashTarget.Mul(a.total).Add(a.policy.WithdrawalCash))
	invested := a.total.Sub(a.wanted)
	band := a.policy.Band.Mul(a.total)
	for i, s := range a.mix.Sleeves {
		t := &a.sleeves[i]
		t.name = s.Name()
		t.wanted = invested.Mul(s.Weight)
		t.band = money.Min(band, t.wanted.Mul(half))
	}
	legacy := &a.sleeves[len(a.mix.Sleeves)]
	legacy.name, legacy.band = portfolio.OtherClass, band
}

var half = money.FromUnits(5, 1)

// drift returns the account's drift, its trades and open orders included.
func (a *account) drift() money.Dec {
	classes := make([]portfolio.Weighed, 0, len(a.sleeves)+1)
	for _, s := range a.sleeves {
		classes = append(classes, portfolio.Weighed{Class: s.name, Held: s.held, Wanted: s.wanted})
	}
	classes = append(classes, portfolio.Weighed{Class: portfolio.CashClass, Held: a.projected(), Wanted: a.wanted})
	return portfolio.Drift(classes, a.total)
}

// projected returns the cash once open orders are done.
func (a *account) projected() money.Dec { return a.cash.Sub(a.reserved).Add(a.pending) }

// need returns the cash that must be left: the withdrawal, and what open orders to buy will take
// beyond what open orders to sell will bring.
func (a *account) need() money.Dec {
	return a.policy.WithdrawalCash.Add(money.Max(money.Zero, a.reserved.Sub(a.pending)))
}

// find returns the hold of a symbol.
func (a *account) find(symbol market.Symbol) (*hold, bool) {
	i, ok := a.search(symbol)
	if !ok {
		return nil, false
	}
	return a.holds[i], true
}

// search returns where the hold of a symbol is, or would be.
func (a *account) search(symbol market.Symbol) (int, bool) {
	return slices.BinarySearchFunc(a.holds, symbol, func(o *hold, s market.Symbol) int { return cmp.Compare(o.symbol, s) })
}

// holdOf returns the hold of a symbol, and adds one of no shares where there is none.
func (h *house) holdOf(a *account, symbol market.Symbol) *hold {
	if o, ok := a.find(symbol); ok {
		return o
	}
	return h.adopt(a, h.newHold(a, symbol))
}

// value returns what shares of the security are worth in the account's currency.
func (o *hold) value(shares money.Dec) money.Dec { return shares.Mul(o.price.Close).Mul(o.fx) }

// places returns how many decimals a tradable number of shares has.
func (a *account) places() int {
	if a.policy.WholeShares {
		return 0
	}
	return fractionPlaces
}

// fractionPlaces is how finely the broker trades fractions of a share.
const fractionPlaces = 4

// skip notes why a candidate is not traded, once for each code and symbol.
func (a *account) skip(r Reason) {
	for _, s := range a.skipped {
		if s.Code == r.Code && s.Symbol == r.Symbol {
			return
		}
	}
	a.skipped = append(a.skipped, r)
}

// block notes why something that the model asks for is not traded.
func (a *account) block(r Reason) {
	a.isBlocked = true
	a.skip(r)
}
