package rebalance

import (
	"maps"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/region"
	"daybreak/tlh"
)

// standingKey names a tax unit in a tax year.
type standingKey struct {
	unit portfolio.OwnerID
	year int
}

// leastShare returns the least loss worth harvesting of a lot, as a share of its cost: the policy's,
// else the region's by term and season.
func (h *house) leastShare(a *account, o *hold, r result) money.Dec {
	if a.policy.HarvestMin.Sign() > 0 {
		return a.policy.HarvestMin
	}
	return h.rules.LeastLoss(r.short.Neg(), r.long.Neg(), o.taxDay).Share
}

// least returns the least loss and value worth harvesting of a candidate, in home currency: the
// region's by term and season. A least loss that the account's policy names stands in place of both,
// so that only the costs must be made good.
func (h *house) least(c *candidate) region.Threshold {
	least := h.rules.LeastLoss(c.short, c.loss.Sub(c.short), c.hold.taxDay)
	if own := c.account.policy.HarvestCashMin; own.Sign() > 0 {
		least.Amount, least.Value = own.Mul(c.account.home), money.Zero
	}
	return least
}

// standingOf returns where the tax unit of a candidate stands, the harvests of the plan so far
// included; open sales and what the plan sells for other reasons are not.
func (h *house) standingOf(c candidate) (region.Standing, standingKey) {
	key := standingKey{h.rules.Unit(c.account.Owner), h.rules.TaxYear(c.hold.taxDay)}
	s, ok := h.standing[key]
	if !ok {
		s = h.book.Standing(c.account.Owner, key.year, h.in.Brought)
		h.standing[key] = s
	}
	taken := h.taken[key]
	return s.Add(taken.short, taken.long), key
}

// value returns what a candidate is worth after the harvests before it, with replaced of its
// proceeds, in the account's currency, held in a replacement.
func (h *house) value(c candidate, replaced money.Dec) tlh.Value {
	s, _ := h.standingOf(c)
	k := tlh.Stake{
		Short: c.short.Neg(), Long: c.short.Sub(c.loss),
		Proceeds: c.proceeds.Mul(c.account.home), Replaced: replaced.Mul(c.account.home),
	}
	return tlh.ValueOf(h.rules, s, k, h.settings.CostRate.Add(h.settings.HalfSpread))
}

// isWorthless notes a candidate that costs more than it saves, or saves less than is asked for.
func (h *house) isWorthless(c *candidate, v tlh.Value) bool {
	r, isWorthless := h.worthless(c, v)
	if isWorthless {
		c.account.skip(r)
	}
	return isWorthless
}

// worthless says why a candidate costs more than it saves, or saves less than is asked for; false where
// it does neither.
func (h *house) worthless(c *candidate, v tlh.Value) (Reason, bool) {
	least := h.least(c).Value
	if v.IsWorthIt(least) {
		return Reason{}, false
	}
	code := BelowThreshold
	if v.Net.Sign() <= 0 {
		code = NotWorthIt
	}
	numbers := v.Numbers()
	maps.Copy(numbers, c.numbers())
	numbers["minimum_value"] = cents(least)
	return Reason{Code: code, Symbol: c.hold.symbol, Numbers: numbers}, true
}

// note counts a candidate that is taken among the results of its tax unit and writes down the
// answers to the questions about it.
func (h *house) note(c candidate, legs []leg, v tlh.Value) {
	_, key := h.standingOf(c)
	if h.taken == nil {
		h.taken = map[standingKey]result{}
	}
	taken := h.taken[key]
	taken.short, taken.long = taken.short.Sub(c.short), taken.long.Sub(c.loss.Sub(c.short))
	h.taken[key] = taken
	sale := tlh.Sale{
		Event: h.event(c.account, c.hold, c.offers), Property: c.hold.property, Gross: c.loss.Neg(), Value: v, Least: h.least(&c),
		AlsoSold: h.soldOfProperty(c.hold.property), Replacements: make([]market.Symbol, 0, len(legs)),
	}
	for _, l := range legs {
		sale.Replacements = append(sale.Replacements, l.hold.symbol)
	}
	q := tlh.Inquiry{
		Rules: h.rules, Book: h.book, Bars: h.bars, Household: &h.in.Household, Market: h.market, Open: h.in.Open,
		Brought: h.in.Brought, CostRate: h.settings.CostRate.Add(h.settings.HalfSpread),
	}
	c.hold.answers = q.Answers(sale)
}

func (h *house) soldOfProperty(property string) money.Dec {
	var sum money.Dec
	for _, a := range h.accounts {
		for _, o := range a.holds {
			if o.property == property {
				sum = sum.Add(o.sold)
			}
		}
	}
	return sum
}
