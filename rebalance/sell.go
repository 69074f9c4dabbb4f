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

// lot is what a sale uses up: a tax lot, or an account's part of a pool, whose id is "". Losses
// denied earlier leave a lot in pieces of different cost and age; a sale takes them in order.
type lot struct {
	id       string
	first    piece
	more     []piece
	known    bool // whether the cost of all pieces is
	acquired market.Day
	left     money.Dec // tradable shares that this plan does not sell
	sold     money.Dec
}

type piece struct {
	shares money.Rat
	cost   money.Dec // home currency
	isLong bool
}

// result is what selling shares of a lot comes to, in home currency.
type result struct {
	cost    money.Dec
	short   money.Dec // gain on short-term pieces, below zero for a loss; on all where terms don't matter
	long    money.Dec
	hasLoss bool // some piece of it is at a loss
	isNear  bool // some piece of it is so near to one that a part of it may round to a loss
}

// nearLoss is the share of its cost that a gain may have and still round to a loss.
var nearLoss = money.FromUnits(1, 9)

func (r result) gain() money.Dec { return r.short.Add(r.long) }

// ratio returns the gain as a share of the proceeds; 0 where there are none.
func (r result) ratio() money.Dec {
	proceeds := r.cost.Add(r.gain())
	if proceeds.IsZero() {
		return money.Zero
	}
	return r.gain().Div(proceeds)
}

// result returns what the next shares of the lot would come to, after those that the plan sells.
func (l *lot) result(o *hold, shares money.Dec) result {
	var r result
	skip, rest := money.RatDec(l.sold), money.RatDec(shares)
	price := o.price.Close.Mul(o.toHome)
	for i := range 1 + len(l.more) {
		p := l.piece(i)
		passed := money.MinRat(skip, p.shares)
		skip = skip.Sub(passed)
		n := money.MinRat(rest, p.shares.Sub(passed))
		if n.Sign() <= 0 {
			continue
		}
		rest = rest.Sub(n)
		cost := p.cost.Share(n, p.shares)
		gain := price.MulRat(n).Sub(cost)
		r.cost = r.cost.Add(cost)
		r.hasLoss = r.hasLoss || gain.Sign() < 0
		r.isNear = r.isNear || gain.Less(cost.Mul(nearLoss))
		if p.isLong {
			r.long = r.long.Add(gain)
		} else {
			r.short = r.short.Add(gain)
		}
	}
	return r
}

// openLots gives the account's holds their tax lots, where it pays tax on gains.
func (h *house) openLots(a *account) {
	if a.sheltered {
		return
	}
	for i, t := range a.holdings {
		if o, ok := a.find(t.Symbol); ok && t.Shares.Sign() > 0 {
			if o.lots == nil {
				o.lots = make([]lot, 0, run(a.holdings[i:]))
			}
			o.addLot(t, h.isLong(t.Start, o.taxDay))
		}
	}
	for _, o := range a.holds {
		for i := range o.lots {
			l := &o.lots[i]
			all := l.first.shares
			for _, p := range l.more {
				all = all.Add(p.shares)
			}
			l.left = all.Dec().RoundDown(fractionPlaces)
		}
		slices.SortFunc(o.lots, func(l, m lot) int { return cmp.Or(cmp.Compare(l.acquired, m.acquired), cmp.Compare(l.id, m.id)) })
	}
}

// run returns how many holdings in a row are of one security.
func run(holdings []region.Holding) int {
	n := 1
	for n < len(holdings) && holdings[n].Symbol == holdings[0].Symbol {
		n++
	}
	return n
}

// addLot adds a holding as a lot, or as a further piece of its lot.
func (o *hold) addLot(t region.Holding, isLong bool) {
	p := piece{t.Shares, t.Cost, isLong}
	i := slices.IndexFunc(o.lots, func(l lot) bool { return l.id == t.Lot })
	if i < 0 {
		o.lots = append(o.lots, lot{id: t.Lot, first: p, known: t.CostKnown, acquired: t.Acquired})
		return
	}
	l := &o.lots[i]
	l.known = l.known && t.CostKnown
	l.more = append(l.more, p)
}

func (l *lot) piece(i int) piece {
	if i == 0 {
		return l.first
	}
	return l.more[i-1]
}

// isLong reports whether shares held from start on are held for the long term on a day: more than
// the region's years, the day of purchase not counted.
func (h *house) isLong(start, day market.Day) bool {
	return h.rules.LongAfterYears > 0 && (start+1).AddYears(h.rules.LongAfterYears) <= day
}

// offer is one thing that a sale could use up: a lot, or all that a sheltered account holds.
type offer struct {
	hold  *hold
	lot   *lot // nil in a sheltered account
	left  money.Dec
	class int       // 0 loss, 1 long gain, 2 short gain, 3 cost unknown
	ratio money.Dec // gain per value
	rank  int       // place in the sleeve, the primary last
	take  money.Dec // shares, set by fill
}

// compareOffers puts what costs least tax first: losses, then long before short gains, each with
// the smaller gain first; what the sleeve would rather not hold comes first in a sheltered account.
// Ties go by the day acquired, the lot and the symbol.
func compareOffers(a, b offer) int {
	c := cmp.Or(cmp.Compare(a.class, b.class), a.ratio.Cmp(b.ratio), -cmp.Compare(a.rank, b.rank))
	if c == 0 && a.lot != nil && b.lot != nil {
		c = cmp.Or(cmp.Compare(a.lot.acquired, b.lot.acquired), cmp.Compare(a.lot.id, b.lot.id))
	}
	return cmp.Or(c, cmp.Compare(a.hold.symbol, b.hold.symbol))
}

// offers returns what a sleeve of the account could sell, in the order in which it should, and
// notes why the rest may not be sold.
func (h *house) offers(a *account, number int) []offer {
	var all []offer
	for _, o := range a.holds {
		if o.sleeve != number || o.shares.Sign() <= 0 || a.traded[o.property] == portfolio.Buy {
			continue
		}
		if !a.sheltered && h.bought[o.property] {
			a.block(Reason{Code: BoughtNow, Symbol: o.symbol, Numbers: map[string]string{"property": o.property}})
			continue
		}
		if o.frozen != "" {
			a.block(h.frozenReason(a, o))
			continue
		}
		if a.sheltered {
			left := o.shares.Sub(o.sold).RoundDown(fractionPlaces)
			all = append(all, offer{hold: o, left: left, rank: a.rank(o)})
			continue
		}
		all = append(all, h.lotOffers(a, o)...)
	}
	slices.SortFunc(all, compareOffers)
	return all
}

// lotOffers returns the lots of a hold that may be sold: those at a loss only where nothing in the
// household would deny it.
func (h *house) lotOffers(a *account, o *hold) []offer {
	var all []offer
	for i := range o.lots {
		l := &o.lots[i]
		if l.left.Sign() <= 0 {
			continue
		}
		f := offer{hold: o, lot: l, left: l.left, class: 3, rank: a.rank(o)}
		if l.known {
			r := l.result(o, l.left)
			f.class = r.class()
			f.ratio = r.ratio()
		}
		if f.class == 0 {
			if bar, ok := h.lossBar(o); ok {
				a.block(barred(o.symbol, bar))
				continue
			}
		}
		all = append(all, f)
	}
	return all
}

// class returns where a sale of that result stands in compareOffers. A loss in any piece makes it
// one, as purchases of the household could deny it.
func (r result) class() int {
	switch {
	case r.hasLoss:
		return 0
	case r.short.IsZero():
		return 1
	}
	return 2
}

// lossBar returns what would deny a loss on the hold's security today.
func (h *house) lossBar(o *hold) (tlh.Bar, bool) {
	if h.lossless || h.refused[o.property] {
		return tlh.Bar{Kind: tlh.BarredAudit, Property: o.property, Until: market.NoDay}, true
	}
	return h.bars.Loss(o.property, o.taxDay)
}

// rank returns the place of a hold's security in its sleeve, 0 for the primary.
func (a *account) rank(o *hold) int {
	if o.sleeve == len(a.mix.Sleeves) {
		return 0
	}
	return slices.Index(a.mix.Sleeves[o.sleeve].Members, o.symbol)
}

// sell sells up to amount of a sleeve, least tax first, and returns what it brings. Sales below
// the account's minimum are left out and noted. With roundUp the last share makes it at least
// amount, where there is enough.
func (h *house) sell(a *account, number int, amount money.Dec, roundUp bool, why func(*hold) Reason) money.Dec {
	offers := h.offers(a, number)
	for {
		small := a.fill(offers, amount, roundUp)
		if small == nil {
			break
		}
		a.skip(Reason{Code: BelowMinTrade, Symbol: small.symbol, Numbers: map[string]string{
			"amount": cents(a.taken(offers, small)), "minimum": cents(a.policy.MinTrade)}})
		offers = slices.DeleteFunc(offers, func(f offer) bool { return f.hold == small })
	}
	var brought money.Dec
	for len(offers) > 0 {
		o := offers[0].hold
		brought = brought.Add(h.commit(a, o, offers, why))
		offers = slices.DeleteFunc(offers, func(f offer) bool { return f.hold == o })
	}
	return brought
}

// fill sets what is taken of each offer so that their value comes to amount, and returns the first
// security whose whole sale would be below the account's minimum, or nil.
func (a *account) fill(offers []offer, amount money.Dec, roundUp bool) *hold {
	rest := amount
	for i := range offers {
		f := &offers[i]
		f.take = money.Zero
		if rest.Sign() <= 0 {
			continue
		}
		f.take = money.Min(f.left, sharesFor(rest, f.hold, fractionPlaces, roundUp))
		rest = rest.Sub(f.hold.value(f.take))
	}
	for i := range offers {
		a.cutToWhole(offers, offers[i].hold, roundUp)
	}
	for i := range offers {
		o := offers[i].hold
		v := a.taken(offers, o)
		if v.Sign() > 0 && o.value(o.sold).Add(v).Less(a.policy.MinTrade) {
			return o
		}
	}
	return nil
}

// taken returns the value of what the offers take of one security.
func (a *account) taken(offers []offer, o *hold) money.Dec {
	var shares money.Dec
	for _, f := range offers {
		if f.hold == o {
			shares = shares.Add(f.take)
		}
	}
	return o.value(shares)
}

// cutToWhole takes the fraction of a share off the last lots of one security, or adds what makes
// it whole, where the account trades whole shares alone.
func (a *account) cutToWhole(offers []offer, o *hold, roundUp bool) {
	if a.places() == fractionPlaces {
		return
	}
	var sum, left money.Dec
	for _, f := range offers {
		if f.hold == o {
			sum, left = sum.Add(f.take), left.Add(f.left)
		}
	}
	goal := o.sold.Add(sum).RoundDown(0).Sub(o.sold)
	if up := goal.Add(money.One); roundUp && goal.Less(sum) && !left.Less(up) {
		goal = up
	}
	for i := range offers {
		f := &offers[i]
		if f.hold != o {
			continue
		}
		f.take = money.Min(f.left, goal)
		goal = goal.Sub(f.take)
	}
}

// sharesFor returns the shares that amount buys or sells at the hold's price, cut, or raised, to
// places.
func sharesFor(amount money.Dec, o *hold, places int, roundUp bool) money.Dec {
	step := money.FromUnits(1, places)
	n := amount.Div(o.fx).Div(o.price.Close).RoundDown(places)
	for n.Sign() > 0 && amount.Less(o.value(n)) {
		n = n.Sub(step)
	}
	if roundUp && o.value(n).Less(amount) {
		n = n.Add(step)
	}
	return n
}

// commit sells what the offers take of one security and returns what that brings.
func (h *house) commit(a *account, o *hold, offers []offer, why func(*hold) Reason) money.Dec {
	before := o.value(o.sold)
	for _, f := range offers {
		if f.hold != o || f.take.IsZero() {
			continue
		}
		if f.lot != nil {
			if f.class == 0 {
				h.bars.SellLoss(o.property, o.symbol, a.ID, o.taxDay)
			}
			f.lot.left, f.lot.sold = f.lot.left.Sub(f.take), f.lot.sold.Add(f.take)
		}
		if o.reason.Code == "" {
			o.reason = why(o)
		}
		o.sold = o.sold.Add(f.take)
	}
	a.traded[o.property] = portfolio.Sell
	if !a.sheltered {
		h.sold[o.property] = true
	}
	v := o.value(o.sold).Sub(before)
	a.sleeves[o.sleeve].held = a.sleeves[o.sleeve].held.Sub(v)
	a.cash = a.cash.Add(v).Sub(v.Mul(h.settings.CostRate))
	return v
}

// frozenReason says why a security is not traded at all.
func (h *house) frozenReason(a *account, o *hold) Reason {
	numbers := map[string]string{}
	switch o.frozen {
	case MarketClosed:
		numbers["exchange"], numbers["day"] = o.security.Exchange, h.in.Day.String()
	case OpenOrderLive:
		for _, order := range h.in.Open {
			if order.Account == a.ID && order.Symbol == o.symbol {
				numbers["order"] = order.ID
			}
		}
	}
	return Reason{Code: o.frozen, Symbol: o.symbol, Numbers: numbers}
}

func sellReason(code string, s sleeve, a *account) func(*hold) Reason {
	return func(o *hold) Reason { return Reason{Code: code, Symbol: o.symbol, Numbers: sleeveNumbers(s, a)} }
}

// sleeveNumbers are what a trade for a sleeve is explained with: weights before it.
func sleeveNumbers(s sleeve, a *account) map[string]string {
	return map[string]string{
		"class": s.name, "held": weight(a.share(s.held)), "wanted": weight(a.share(s.wanted)),
		"band": weight(a.share(s.band)),
	}
}

// share returns an amount as a share of the account's value.
func (a *account) share(d money.Dec) money.Dec {
	if a.total.Sign() <= 0 {
		return money.Zero
	}
	return d.Div(a.total)
}
