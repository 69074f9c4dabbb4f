package rebalance

import (
	"cmp"
	"slices"

	"daybreak/market"
	"daybreak/money"
)

// leg is one purchase of what is held instead of a harvested security.
type leg struct {
	hold   *hold
	amount money.Dec
}

func legsTotal(legs []leg) money.Dec {
	var sum money.Dec
	for _, l := range legs {
		sum = sum.Add(l.amount)
	}
	return sum
}

// legs returns what to buy for amount instead of the candidate: another security of its sleeve, or
// one from the market's table; where single stocks stand alone, the stocks of its group that have
// room inside half of their bands. What the household could harvest itself comes last.
func (h *house) legs(c candidate, amount money.Dec) []leg {
	if amount.Less(c.account.policy.MinTrade) {
		return nil
	}
	for _, harvestable := range []bool{false, true} {
		for _, symbol := range h.stands(c) {
			o, _, ok := h.buyable(c.account, symbol)
			if ok && o.property != c.hold.property && h.isWanted(o) == harvestable && c.account.fits(o, amount) {
				return []leg{{o, amount}}
			}
		}
	}
	return h.spread(c, amount)
}

// stands returns the securities that serve the same sleeve, by rank, and the replacements of the
// table that no sleeve of the model counts.
func (h *house) stands(c candidate) []market.Symbol {
	var all []market.Symbol
	a := c.account
	if c.hold.sleeve < len(a.mix.Sleeves) {
		all = append(all, a.mix.Sleeves[c.hold.sleeve].Members...)
	}
	for _, r := range h.market.ReplacementsOf(c.hold.symbol) {
		if _, ok := a.mix.Sleeve(r.Replacement); !ok {
			all = append(all, r.Replacement)
		}
	}
	return all
}

// fits reports whether amount buys a tradable number of shares that is not below the minimum, with
// nearly all of the amount used.
func (a *account) fits(o *hold, amount money.Dec) bool {
	v := o.value(sharesFor(amount, o, a.places(), false))
	return v.Sign() > 0 && !v.Less(a.policy.MinTrade) && !v.Less(amount.Mul(replacedMin))
}

// spread returns purchases of other stocks of the candidate's group, those with the most room
// first, ties by symbol.
func (h *house) spread(c candidate, amount money.Dec) []leg {
	a := c.account
	var legs []leg
	rest := amount
	for _, r := range h.rooms(c) {
		part := money.Min(r.amount, rest)
		n := sharesFor(part, r.hold, a.places(), false)
		v := r.hold.value(n)
		if n.IsZero() || v.Less(a.policy.MinTrade) {
			continue
		}
		legs = append(legs, leg{r.hold, part})
		rest = rest.Sub(v)
		if rest.Less(a.policy.MinTrade) {
			break
		}
	}
	return legs
}

// isWanted reports whether the household could harvest the hold's property itself.
func (h *house) isWanted(o *hold) bool { return len(h.wanted[o.property]) > 0 }

type room struct {
	leg
	harvestable bool
}

// rooms returns how much the other sleeves of the candidate's group, and those of its replacements
// in the table, may take.
func (h *house) rooms(c candidate) []room {
	a := c.account
	var rooms []room
	for i, s := range a.mix.Sleeves {
		if i == c.hold.sleeve || !h.isSibling(c, s.Group, i) {
			continue
		}
		t := a.sleeves[i]
		free := t.wanted.Add(t.band.Mul(half)).Sub(t.held)
		if free.Less(a.policy.MinTrade) {
			continue
		}
		o, _, ok := h.buyable(a, s.Members[0])
		if ok && o.property != c.hold.property {
			rooms = append(rooms, room{leg{o, free}, h.isWanted(o)})
		}
	}
	slices.SortFunc(rooms, func(r, q room) int {
		if r.harvestable != q.harvestable {
			if q.harvestable {
				return -1
			}
			return 1
		}
		return cmp.Or(q.amount.Cmp(r.amount), cmp.Compare(r.hold.symbol, q.hold.symbol))
	})
	return rooms
}

// isSibling reports whether a sleeve may stand in for the candidate's.
func (h *house) isSibling(c candidate, group string, number int) bool {
	a := c.account
	if c.hold.sleeve < len(a.mix.Sleeves) && group != "" && a.mix.Sleeves[c.hold.sleeve].Group == group {
		return true
	}
	return slices.ContainsFunc(h.market.ReplacementsOf(c.hold.symbol), func(r market.Replacement) bool {
		i, ok := a.mix.Sleeve(r.Replacement)
		return ok && i == number
	})
}

// replace buys one leg.
func (h *house) replace(c candidate, l leg) {
	v := h.purchase(c.account, l.hold, l.amount, Reason{Code: Replace, Numbers: map[string]string{
		"instead_of": string(c.hold.symbol), "amount": cents(l.amount)}})
	if v.Sign() > 0 {
		o, _ := c.account.find(l.hold.symbol)
		o.funds = append(o.funds, c.hold.symbol)
		o.replaced = o.replaced.Add(v)
	}
}
