package rebalance

import (
	"slices"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
)

// buyable returns the hold through which the account may buy a security today; else false, with
// the reason. What the account sells it does not buy under another name; neither do the accounts
// with gains tax among them, where a purchase could change what the sale costs.
func (h *house) buyable(a *account, symbol market.Symbol) (*hold, Reason, bool) {
	o, held := a.find(symbol)
	if !held {
		o = h.newHold(a, symbol)
	}
	if o.frozen != "" {
		return nil, h.frozenReason(a, o), false
	}
	if bar, ok := h.bars.Purchase(o.property, o.taxDay); ok {
		return nil, barred(symbol, bar), false
	}
	if a.traded[o.property] == portfolio.Sell || !a.sheltered && h.sold[o.property] {
		return nil, Reason{Code: SoldNow, Symbol: symbol, Numbers: map[string]string{"property": o.property}}, false
	}
	return o, Reason{}, true
}

// buy buys up to amount of a sleeve and returns what that costs: the first of its members that may
// be bought, or nothing.
func (h *house) buy(a *account, number int, amount money.Dec, why Reason) money.Dec {
	if o, ok := h.primary(a, number); ok {
		return h.purchase(a, o, amount, why)
	}
	return money.Zero
}

// primary returns the first member of a sleeve that may be bought, and notes why those before it
// may not.
func (h *house) primary(a *account, number int) (*hold, bool) {
	for _, symbol := range a.mix.Sleeves[number].Members {
		o, reason, ok := h.buyable(a, symbol)
		if ok {
			return o, true
		}
		a.block(reason)
	}
	return nil, false
}

// purchase buys up to amount of one security, cut to tradable shares, and returns what that costs.
// Less than the account's minimum is not bought, and noted.
func (h *house) purchase(a *account, o *hold, amount money.Dec, why Reason) money.Dec {
	n := sharesFor(amount, o, a.places(), false)
	v := o.value(o.bought.Add(n))
	if n.IsZero() || v.Less(a.policy.MinTrade) {
		a.skip(Reason{Code: BelowMinTrade, Symbol: o.symbol, Numbers: map[string]string{
			"amount": cents(amount), "minimum": cents(a.policy.MinTrade), "price": o.price.Close.String()}})
		return money.Zero
	}
	o = h.adopt(a, o)
	if o.reason.Code == "" {
		why.Symbol = o.symbol
		o.reason = why
	}
	return h.acquire(a, o, n)
}

// acquire buys shares of one of the account's holds and returns what they cost.
func (h *house) acquire(a *account, o *hold, n money.Dec) money.Dec {
	v := o.value(o.bought.Add(n)).Sub(o.value(o.bought))
	o.bought = o.bought.Add(n)
	a.spent = a.spent.Add(v)
	h.bars.Buy(o.property, o.symbol, a.ID)
	a.traded[o.property] = portfolio.Buy
	if !a.sheltered {
		h.bought[o.property] = true
	}
	a.sleeves[o.sleeve].held = a.sleeves[o.sleeve].held.Add(v)
	a.cash = a.cash.Sub(v).Sub(v.Mul(h.settings.CostRate))
	return v
}

// adopt returns o as one of the account's holds.
func (h *house) adopt(a *account, o *hold) *hold {
	i, found := a.search(o.symbol)
	if !found {
		a.holds = slices.Insert(a.holds, i, o)
	}
	return a.holds[i]
}

// budget returns the money that purchases may spend: what is above floor, and of what is above the
// need and has settled as much as leaves the buffer for price moves and the cost of trading.
func (h *house) budget(a *account, floor money.Dec) money.Dec {
	free := a.cash.Sub(a.reserved).Sub(floor)
	spent := a.spent.Mul(h.settings.CashBuffer)
	margin := money.One.Add(h.settings.CashBuffer).Add(h.settings.CostRate)
	hard := a.cash.Sub(a.need()).Sub(a.unsettled).Sub(spent).Div(margin)
	return money.Max(money.Zero, money.Min(free, hard))
}
