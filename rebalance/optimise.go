package rebalance

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"daybreak/market"
	"daybreak/money"
	"daybreak/rebalance/optimum"
	"daybreak/tlh"
)

// optimise plans all accounts together by the optimiser and enters its trades. It reports false where
// the plan must be made again: a harvest turned out to be worth too little, or an account's plan
// breaks a rule in exact numbers.
func (h *house) optimise() (isSettled bool, err error) {
	h.findStakes()
	all, err := h.fit()
	if err != nil {
		return false, err
	}
	all = slices.DeleteFunc(all, func(f *fitted) bool { return h.broken[f.account.ID] != "" })
	all, plan, err := h.solve(all)
	if err != nil {
		return false, err
	}
	for i, f := range all {
		h.leaveSmall(f, &plan.Plans[i])
		h.enterSales(f, &plan.Plans[i])
	}
	for _, a := range h.accounts {
		a.short = money.Max(money.Zero, a.need().Sub(a.cash))
	}
	for i, f := range all {
		h.enterPurchases(f, &plan.Plans[i])
	}
	isSettled = h.nameHarvests()
	for i, f := range all {
		if code := h.recheck(f); code != "" {
			h.broken[f.account.ID] = code
			isSettled = false
		}
		isSettled = h.recheckBars(f.account) && isSettled
		h.nameTrades(f, &plan.Plans[i])
		f.account.certificate = h.certify(f, &plan.Plans[i], plan)
		h.explainIdle(f, &plan.Plans[i])
	}
	return isSettled, nil
}

// leaveSmall takes the trades out of a plan that lowers the objective by less than is asked for, where
// not trading breaks no rule. Its bound stays. Accounts that are planned as one, or taxed by the sum of
// their year, are not looked at one by one.
func (h *house) leaveSmall(f *fitted, p *optimum.Plan) {
	fall := (p.NoTrade - p.Objective) * 1e4
	if len(p.Trades) == 0 || !p.IsIdleAllowed || f.isNetted() || p.With != "" || h.in.Household.Location != nil || fall >= ownOr(f.account.policy.GainMin, h.settings.GainMin).Float() {
		return
	}
	f.isSmall = true
	idle := float64(f.member.Options.IdleCash * (f.member.Account.Cash.Float() / p.Value.Float()))
	p.Trades, p.Objective, p.CashAfter = nil, p.NoTrade, f.member.Account.Cash
	p.Parts = optimum.Parts{Risk: p.NoTrade - idle, Cash: idle}
	p.TrackingError = math.Sqrt(max(0, p.Parts.Risk) / f.member.Options.RiskAversion)
}

// enterSales sells what the optimiser sells, lot by lot.
func (h *house) enterSales(f *fitted, p *optimum.Plan) {
	a := f.account
	var offers []offer
	for _, t := range p.Trades {
		if t.Lot < 0 {
			continue
		}
		ref := f.lots[t.Lot]
		o := offer{hold: ref.hold, lot: ref.lot, take: t.Shares}
		if ref.lot != nil {
			o.class = ref.lot.result(ref.hold, t.Shares).class()
			if !ref.lot.known {
				o.class = 3
			}
		}
		offers = append(offers, o)
	}
	for len(offers) > 0 {
		o := offers[0].hold
		h.commit(a, o, offers, func(*hold) Reason { return Reason{} })
		offers = slices.DeleteFunc(offers, func(f offer) bool { return f.hold == o })
	}
}

// enterPurchases buys what the optimiser buys.
func (h *house) enterPurchases(f *fitted, p *optimum.Plan) {
	for _, t := range p.Trades {
		if t.Lot < 0 {
			h.acquire(f.account, h.holdOf(f.account, f.symbol(t.Security)), t.Shares)
		}
	}
}

// nameHarvests gives the sales that harvest a loss their reason, value and answers, over all accounts
// by id, the largest loss first. It reports false where one is worth too little; it is not harvested
// in the next attempt.
func (h *house) nameHarvests() bool {
	isSettled := true
	for _, a := range h.accounts {
		var all []candidate
		for _, o := range a.holds {
			if c, ok := h.harvestOf(a, o); ok {
				all = append(all, c)
			}
		}
		slices.SortFunc(all, func(c, d candidate) int {
			return cmp.Or(d.loss.Cmp(c.loss), cmp.Compare(c.hold.symbol, d.hold.symbol))
		})
		for _, c := range all {
			isSettled = h.nameHarvest(c) && isSettled
		}
	}
	return isSettled
}

// harvestOf returns what the plan sells of a hold as a harvest; false where it has no loss, or where
// the account does not harvest it.
func (h *house) harvestOf(a *account, o *hold) (candidate, bool) {
	key := stakeKey{a.ID, o.symbol}
	s, ok := h.stakes[key]
	if !ok || s.isDenied || h.unworthy[key].Code != "" || o.sold.IsZero() {
		return candidate{}, false
	}
	c := candidate{account: a, hold: o}
	for i := range o.lots {
		l := &o.lots[i]
		if l.sold.IsZero() {
			continue
		}
		fresh := *l // results count what comes after what is sold
		fresh.left, fresh.sold = l.left.Add(l.sold), money.Zero
		c.offers = append(c.offers, offer{hold: o, lot: &fresh, take: l.sold})
	}
	h.sum(&c)
	return c, c.loss.Sign() > 0
}

func (h *house) nameHarvest(c candidate) bool {
	legs := h.legsOf(c)
	v := h.value(c, legsTotal(legs))
	o := c.hold
	key := stakeKey{c.account.ID, o.symbol}
	if r, isWorthless := h.worthless(&c, v); isWorthless {
		h.unworthy[key] = r
		return false
	}
	c.offers = soldOf(o)
	h.note(c, legs, v)
	if against := o.answers.Barring(); len(against) > 0 {
		h.unworthy[key] = Reason{Code: string(tlh.BarredAudit), Symbol: o.symbol, Numbers: map[string]string{
			"property": o.property, "questions": strings.Trim(fmt.Sprint(against), "[]")}}
		return false
	}
	o.reason = h.harvestReason(c, legs, v)
	o.harvest, o.worth = o.harvest.Add(c.loss), o.worth.Add(v.Value)
	for _, l := range legs {
		l.hold.reason = Reason{Code: Replace, Symbol: l.hold.symbol, Numbers: map[string]string{
			"instead_of": string(o.symbol), "amount": cents(l.amount)}}
		l.hold.funds, l.hold.replaced = []market.Symbol{o.symbol}, l.amount
	}
	return true
}

// legsOf returns the account's purchases that are held instead of a harvest: of its sleeve, of one
// that may stand in for it, or from the market's table; each counts for one harvest.
func (h *house) legsOf(c candidate) []leg {
	var legs []leg
	for _, o := range c.account.holds {
		if o.bought.IsZero() || o.reason.Code == Replace || o.property == c.hold.property {
			continue
		}
		isMember := o.sleeve == c.hold.sleeve && o.sleeve < len(c.account.mix.Sleeves)
		inTable := slices.ContainsFunc(h.market.ReplacementsOf(c.hold.symbol), func(r market.Replacement) bool { return r.Replacement == o.symbol })
		inGroup := o.sleeve < len(c.account.mix.Sleeves) && h.isSibling(c, c.account.mix.Sleeves[o.sleeve].Group, o.sleeve)
		if isMember || inTable || inGroup {
			legs = append(legs, leg{o, o.value(o.bought)})
		}
	}
	return legs
}

// recheck checks an account's trades in exact numbers, and returns what they break: the optimiser has
// counted in float64.
func (h *house) recheck(f *fitted) string {
	a := f.account
	trades := 0
	for _, o := range a.holds {
		places := a.places()
		for _, shares := range []money.Dec{o.sold, o.bought} {
			switch {
			case shares.IsZero():
				continue
			case shares != shares.RoundDown(places):
				return "TICKS"
			case o.value(shares).Less(a.policy.MinTrade):
				return "MINIMUM"
			case o.frozen != "":
				return "FROZEN"
			}
			trades++
		}
		if o.shares.Less(o.sold) || o.sold.Sign() > 0 && o.bought.Sign() > 0 {
			return "SHORT"
		}
	}
	if trades > 0 && (a.cash.Sign() < 0 || a.cash.Less(money.Min(a.need().Add(a.unsettled), a.opening)) && f.stage != lessCash) {
		return "CASH"
	}
	return ""
}

// recheckBars reports whether an account buys nothing that is barred by now, and sells nothing at a
// loss that an order or this run buys. Losses of what does not hold are refused in the next attempt.
func (h *house) recheckBars(a *account) bool {
	holds := true
	for _, o := range a.holds {
		_, isLocked := h.bars.Purchase(o.property, o.taxDay)
		bar, isDenied := h.bars.Loss(o.property, o.taxDay)
		isDenied = isDenied && bar.Kind != tlh.BarredPurchase // the tax book is asked about those
		if isLocked && o.bought.Sign() > 0 || isDenied && h.sellsLoss(o) {
			h.refused[o.property], holds = true, false
		}
	}
	return holds
}

// sellsLoss reports whether the plan sells some piece of a hold at a loss.
func (h *house) sellsLoss(o *hold) bool {
	for i := range o.lots {
		l := o.lots[i]
		sold := l.sold
		l.sold = money.Zero
		if sold.Sign() > 0 && l.known && l.result(o, sold).hasLoss {
			return true
		}
	}
	return false
}
