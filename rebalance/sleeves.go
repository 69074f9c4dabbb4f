package rebalance

import (
	"cmp"
	"slices"

	"daybreak/money"
)

// wish is a sleeve that is to be brought towards its target, by at most amount.
type wish struct {
	sleeve int
	amount money.Dec
	code   string
}

// compareWishes puts the larger amount first; ties go by the sleeve's place in the mix.
func compareWishes(a, b wish) int {
	return cmp.Or(b.amount.Cmp(a.amount), cmp.Compare(a.sleeve, b.sleeve))
}

// rebalance trades the sleeves that are outside their bands, and what the cash asks for. Every
// trade moves its sleeve towards its target and none past it, so drift cannot rise, but where cash
// is needed and no sleeve above its target gives it. Sales of all accounts come first, as one at a
// loss bars purchases in all of them, which have other securities to turn to.
func (h *house) rebalance() {
	for _, a := range h.accounts {
		h.rebalanceSales(a)
	}
	for _, a := range h.accounts {
		if a.isActive {
			h.rebalancePurchases(a)
		}
	}
}

func (h *house) rebalanceSales(a *account) {
	sales, purchases := a.outside()
	raise := a.cash.Less(a.need())
	invest := a.cashBand().Less(a.projected().Sub(a.wanted))
	if len(sales)+len(purchases) == 0 && !raise && !invest {
		return
	}
	a.isActive, a.purchases = true, purchases
	rename(sales, RebalanceSell, RaiseCash, raise)
	rename(purchases, RebalanceBuy, InvestCash, invest)
	for _, w := range sales {
		h.sellWish(a, w)
	}
	h.fund(a, purchases, a.floor())
	if a.cash.Less(a.need()) {
		h.raise(a)
	}
}

func (h *house) rebalancePurchases(a *account) {
	floor := a.floor()
	for _, w := range a.purchases {
		h.buyWish(a, w, floor)
	}
	h.invest(a)
}

// outside returns the sleeves above and below their bands, largest drift first.
func (a *account) outside() (sales, purchases []wish) {
	legacy := len(a.sleeves) - 1
	for i, s := range a.sleeves {
		d := s.held.Sub(s.wanted)
		switch {
		case !s.band.Less(d.Abs()):
		case i == legacy:
			sales = append(sales, wish{i, d, SellLegacy})
		case d.Sign() > 0:
			sales = append(sales, wish{i, d, RebalanceSell})
		default:
			purchases = append(purchases, wish{i, d.Neg(), RebalanceBuy})
		}
	}
	slices.SortFunc(sales, compareWishes)
	slices.SortFunc(purchases, compareWishes)
	return sales, purchases
}

// rename gives wishes that the cash asks for its own code.
func rename(all []wish, from, to string, isForCash bool) {
	for i := range all {
		if isForCash && all[i].code == from {
			all[i].code = to
		}
	}
}

// above and below return the sleeves above and below their targets, largest first, whatever their
// bands.
func (a *account) above(code string) []wish {
	var all []wish
	for i, s := range a.sleeves {
		if d := s.held.Sub(s.wanted); d.Sign() > 0 {
			all = append(all, wish{i, d, code})
		}
	}
	slices.SortFunc(all, compareWishes)
	return all
}

func (a *account) below(code string) []wish {
	var all []wish
	for i, s := range a.sleeves {
		if d := s.wanted.Sub(s.held); d.Sign() > 0 {
			all = append(all, wish{i, d, code})
		}
	}
	slices.SortFunc(all, compareWishes)
	return all
}

// cashBand returns how far cash may be above what is wanted before it is invested.
func (a *account) cashBand() money.Dec { return a.policy.Band.Mul(a.total) }

// floor returns the cash that purchases leave: what is wanted, or what there is where that is
// less, and never below the need.
func (a *account) floor() money.Dec {
	return money.Max(a.policy.WithdrawalCash, money.Min(a.wanted, a.projected()))
}

func (h *house) sellWish(a *account, w wish) money.Dec {
	return h.sell(a, w.sleeve, w.amount, false, sellReason(w.code, a.sleeves[w.sleeve], a))
}

func (h *house) buyWish(a *account, w wish, floor money.Dec) {
	amount := money.Min(w.amount, h.budget(a, floor))
	s := a.sleeves[w.sleeve]
	if amount.Sign() <= 0 {
		symbol := a.mix.Sleeves[w.sleeve].Members[0]
		a.skip(Reason{Code: NotFunded, Symbol: symbol, Numbers: sleeveNumbers(s, a)})
		return
	}
	h.buy(a, w.sleeve, amount, Reason{Code: w.code, Numbers: sleeveNumbers(s, a)})
}

// fund sells sleeves above their targets, inside their bands, for what those purchases that nothing
// bars cost beyond the cash at hand.
func (h *house) fund(a *account, purchases []wish, floor money.Dec) {
	var cost money.Dec
	for _, w := range purchases {
		if _, ok := h.primary(a, w.sleeve); ok {
			cost = cost.Add(w.amount)
		}
	}
	missing := cost.Sub(h.budget(a, floor))
	for _, w := range a.above(FundPurchases) {
		if missing.Sign() <= 0 {
			return
		}
		w.amount = money.Min(w.amount, missing)
		missing = missing.Sub(h.sellWish(a, w))
	}
}

// raise sells until the cash that is needed is there: sleeves above their targets first, then any,
// the largest first. What cannot be raised is noted.
func (h *house) raise(a *account) {
	for _, w := range a.above(RaiseCash) {
		h.raiseFrom(a, w.sleeve, w.amount)
	}
	for _, w := range a.largest() {
		h.raiseFrom(a, w.sleeve, w.amount)
	}
	a.short = money.Max(money.Zero, a.need().Sub(a.cash))
}

func (h *house) raiseFrom(a *account, number int, most money.Dec) {
	missing := a.need().Sub(a.cash)
	if missing.Sign() <= 0 {
		return
	}
	amount := money.Max(missing, a.policy.MinTrade)
	roundUp := !most.Less(amount)
	h.sell(a, number, money.Min(most, amount), roundUp, sellReason(RaiseCash, a.sleeves[number], a))
}

// largest returns the sleeves that hold something, the largest first.
func (a *account) largest() []wish {
	var all []wish
	for i, s := range a.sleeves {
		if s.held.Sign() > 0 {
			all = append(all, wish{i, s.held, RaiseCash})
		}
	}
	slices.SortFunc(all, compareWishes)
	return all
}

// invest buys sleeves below their targets, inside their bands, with cash above what is wanted.
func (h *house) invest(a *account) {
	for _, w := range a.below(InvestCash) {
		w.amount = money.Min(w.amount, h.budget(a, a.wanted))
		if w.amount.Less(a.policy.MinTrade) {
			continue
		}
		s := a.sleeves[w.sleeve]
		h.buy(a, w.sleeve, w.amount, Reason{Code: InvestCash, Numbers: sleeveNumbers(s, a)})
	}
}
