package rebalance

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"daybreak/market"
	"daybreak/money"
	"daybreak/region"
	"daybreak/tlh"
)

// candidate is a security of one account whose lots may be sold for their loss.
type candidate struct {
	account  *account
	hold     *hold
	offers   []offer   // what would be sold, whole lots
	proceeds money.Dec // account currency
	cost     money.Dec // home currency
	loss     money.Dec // home currency, positive: losses less the gains of lots sold with them
	short    money.Dec // its part on lots held for the short term; all of it where terms don't matter
}

// replacedMin is the part of what a harvest brings that must find a replacement.
var replacedMin = money.FromUnits(9, 1)

// harvest takes the losses of the household that are worth it: account by account in order of id,
// in each the largest loss first, ties by symbol. Each is bought a replacement at once, so that a
// later one meets its lock and its purchase.
func (h *house) harvest() {
	var all []candidate
	h.wanted = map[string][]candidate{}
	for _, a := range h.accounts {
		for _, c := range h.candidates(a) {
			all = append(all, c)
			h.wanted[c.hold.property] = append(h.wanted[c.hold.property], c)
		}
	}
	for _, c := range all {
		h.take(c)
	}
}

// candidates returns what an account could harvest as far as its own lots and policy say.
func (h *house) candidates(a *account) []candidate {
	var all []candidate
	for _, o := range a.holds {
		c := candidate{account: a, hold: o}
		unknown := h.addLosses(&c)
		switch {
		case len(c.offers) == 0 && unknown:
			a.skip(Reason{Code: CostUnknown, Symbol: o.symbol})
		case len(c.offers) == 0:
		case a.policy.NoHarvest:
			a.skip(Reason{Code: HarvestOff, Symbol: o.symbol, Numbers: c.numbers()})
		case o.frozen != "":
			a.skip(h.frozenReason(a, o))
		case h.isTooSmall(&c):
		default:
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(c, d candidate) int {
		return cmp.Or(d.loss.Cmp(c.loss), cmp.Compare(c.hold.symbol, d.hold.symbol))
	})
	return all
}

// addLosses puts the lots whose loss is large enough into the candidate, and with them those
// bought inside the loss window, which would replace the others if they stayed. It reports whether
// the cost of some lot is not known. Lots at a smaller loss alone are noted.
func (h *house) addLosses(c *candidate) (unknown bool) {
	a, o := c.account, c.hold
	var small, least money.Dec
	for i := range o.lots {
		l := &o.lots[i]
		if !l.known {
			unknown = true
			continue
		}
		if l.left.Sign() <= 0 {
			continue
		}
		r := l.result(o, l.left)
		loss := r.gain().Neg()
		if loss.Sign() <= 0 {
			continue
		}
		if share := h.leastShare(a, o, r); loss.Less(share.Mul(r.cost)) {
			small, least = small.Add(loss), share
			continue
		}
		c.offers = append(c.offers, offer{hold: o, lot: l, left: l.left})
	}
	if len(c.offers) == 0 {
		if small.Sign() > 0 && !a.policy.NoHarvest {
			a.skip(Reason{Code: BelowThreshold, Symbol: o.symbol, Numbers: map[string]string{
				"loss": cents(small), "minimum_share": least.String()}})
		}
		return unknown
	}
	h.addRecent(c)
	for i := range c.offers {
		c.offers[i].take = c.offers[i].left
	}
	a.cutToWhole(c.offers, o, false)
	h.sum(c)
	return unknown
}

// addRecent adds the lots of the security that the account bought inside the loss window.
func (h *house) addRecent(c *candidate) {
	o := c.hold
	from := o.taxDay - market.Day(h.rules.WindowDays())
	for i := range o.lots {
		l := &o.lots[i]
		isIn := slices.ContainsFunc(c.offers, func(f offer) bool { return f.lot == l })
		if l.known && l.id != "" && l.acquired >= from && l.left.Sign() > 0 && !isIn {
			c.offers = append(c.offers, offer{hold: o, lot: l, left: l.left})
		}
	}
}

// sum adds up what the candidate's offers take.
func (h *house) sum(c *candidate) {
	c.offers = slices.DeleteFunc(c.offers, func(f offer) bool { return f.take.IsZero() })
	var shares money.Dec
	for i := range c.offers {
		f := &c.offers[i]
		r := f.lot.result(c.hold, f.take)
		f.class = r.class()
		shares = shares.Add(f.take)
		c.cost = c.cost.Add(r.cost)
		c.loss = c.loss.Sub(r.gain())
		c.short = c.short.Sub(r.short)
	}
	c.proceeds = c.hold.value(shares)
}

// isTooSmall notes a candidate below the account's least loss or trade.
func (h *house) isTooSmall(c *candidate) bool {
	a := c.account
	if least := h.least(c); c.loss.Less(least.Amount) {
		numbers := c.numbers()
		numbers["minimum"] = cents(least.Amount)
		a.skip(Reason{Code: BelowThreshold, Symbol: c.hold.symbol, Numbers: numbers})
		return true
	}
	if c.proceeds.Less(a.policy.MinTrade) || c.proceeds.IsZero() {
		a.skip(Reason{Code: BelowMinTrade, Symbol: c.hold.symbol, Numbers: map[string]string{
			"amount": cents(c.proceeds), "minimum": cents(a.policy.MinTrade)}})
		return true
	}
	return false
}

// numbers are what a harvest, or one not taken, is explained with: home currency.
func (c *candidate) numbers() map[string]string {
	return map[string]string{
		"loss": cents(c.loss), "cost": cents(c.cost), "loss_short": cents(c.short), "loss_long": cents(c.loss.Sub(c.short)),
	}
}

// take harvests a candidate where nothing would deny its loss and something can be held instead.
func (h *house) take(c candidate) {
	a, o := c.account, c.hold
	if bar, denied, ok := h.denied(c); ok {
		h.noteDenied(c, bar, denied)
		return
	}
	amount := h.toReplace(c)
	legs := h.legs(c, amount)
	if legsTotal(legs).Less(amount.Mul(replacedMin)) {
		a.skip(Reason{Code: NoReplacement, Symbol: o.symbol, Numbers: c.numbers()})
		return
	}
	v := h.value(c, legsTotal(legs))
	if h.isWorthless(&c, v) {
		return
	}
	h.note(c, legs, v)
	h.commit(a, o, c.offers, func(*hold) Reason { return h.harvestReason(c, legs, v) })
	o.harvest = o.harvest.Add(c.loss)
	o.worth = o.worth.Add(v.Value)
	for _, l := range legs {
		h.replace(c, l)
	}
}

// noteDenied notes a candidate that is left alone as its loss would be denied.
func (h *house) noteDenied(c candidate, bar tlh.Bar, denied money.Dec) {
	c.account.avoided = c.account.avoided.Add(denied)
	r := barred(c.hold.symbol, bar)
	r.Numbers["loss"], r.Numbers["denied"] = cents(c.loss), cents(denied)
	c.account.skip(r)
}

// denied returns what would deny the candidate's loss, and how much of it. A recent purchase of
// which nothing remains after the sale denies nothing; the tax book is asked where there is one,
// about the candidate alone and then about all candidates of the property in the household. Where
// only all together are clean and one of them finds no replacement, the audit refuses the others.
func (h *house) denied(c candidate) (tlh.Bar, money.Dec, bool) {
	bar, ok := h.lossBar(c.hold)
	if !ok {
		return bar, money.Zero, false
	}
	if bar.Kind != tlh.BarredPurchase {
		return bar, c.loss, true
	}
	if h.together[c.hold.property] {
		return bar, money.Zero, false
	}
	denied := h.deniedOf([]candidate{c})
	group := h.wanted[c.hold.property]
	if denied.Sign() > 0 && len(group) > 1 && h.deniedOf(group).IsZero() {
		h.together[c.hold.property] = true
		return bar, money.Zero, false
	}
	return bar, money.Min(denied, c.loss), denied.Sign() > 0
}

// deniedOf returns what the tax book denies of the losses of candidates of one property, sold
// together with what the plan sells of it so far; all of them where the book cannot say.
func (h *house) deniedOf(group []candidate) money.Dec {
	events := h.eventsOf(group[0].hold.property)
	var loss money.Dec
	for _, c := range group {
		loss = loss.Add(c.loss)
		if c.hold.sold.IsZero() {
			events = append(events, h.event(c.account, c.hold, c.offers))
		}
	}
	outcomes, err := h.book.Would(events)
	if err != nil || len(outcomes) == 0 {
		return loss
	}
	var denied money.Dec
	for _, out := range outcomes {
		denied = denied.Add(harshest(out))
	}
	return denied
}

// harshest returns what of a sale's loss is denied by the harshest reading: in a pool, as many
// shares as were bought in the window and are held at its end by anyone, whoever bought them.
func harshest(out region.SaleOutcome) money.Dec {
	replaced := money.MinRat(out.Shares, money.MinRat(out.Bought, out.Held))
	if out.Gross.Sign() >= 0 || replaced.Sign() <= 0 {
		return out.Denied
	}
	return money.Max(out.Denied, out.Gross.Neg().Share(replaced, out.Shares))
}

// toReplace returns how much of the proceeds is to be held in a replacement: all, less what the
// sleeve is above its target where that is outside its band, and less the cash that is needed.
func (h *house) toReplace(c candidate) money.Dec {
	a := c.account
	s := a.sleeves[c.hold.sleeve]
	amount := c.proceeds
	if excess := s.held.Sub(s.wanted); s.band.Less(excess) {
		amount = amount.Sub(excess)
	}
	before := a.cash
	a.cash = a.cash.Add(c.proceeds).Sub(c.proceeds.Mul(h.settings.CostRate))
	most := h.budget(a, a.policy.WithdrawalCash)
	a.cash = before
	return money.Max(money.Zero, money.Min(amount, most))
}

func (h *house) harvestReason(c candidate, legs []leg, v tlh.Value) Reason {
	numbers := v.Numbers()
	maps.Copy(numbers, c.numbers())
	numbers["proceeds"] = cents(c.proceeds)
	numbers["until"] = (c.hold.taxDay + market.Day(h.rules.WindowDays())).String()
	if noted := c.hold.answers.Remarks(); len(noted) > 0 {
		numbers["noted"] = strings.Trim(fmt.Sprint(noted), "[]")
	}
	if len(legs) > 0 {
		numbers["replacement"] = string(legs[0].hold.symbol)
		numbers["replacements"] = count(len(legs))
	}
	return Reason{Code: Harvest, Symbol: c.hold.symbol, Numbers: numbers}
}
