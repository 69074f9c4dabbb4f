// Package rebalance makes the trades of a household: losses harvested where nothing in the household
// denies them, and every account brought back inside the bands of its model portfolio, with a
// reason and its numbers for each trade made and each not made.
package rebalance

import (
	"errors"
	"fmt"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/rebalance/optimum"
	"daybreak/region"
	"daybreak/tlh"
)

// attemptsMax bounds how often a plan is made again because the tax book refused a loss in it. The
// last attempt takes no loss at all, so that nothing is left to refuse.
const attemptsMax = 6

// Plan returns what every account of a household should trade on a day, at the closes of m. It is a
// pure function: the same input gives the same bytes, whatever the order of accounts, positions,
// lots and orders in it. Its error is always a *Fault, the first in the order of the codes, and
// then nothing of the household is planned.
//
// The optimiser plans all accounts together, and each plan has its certificate; where there is no risk
// model, where the run asks for it, or where nothing that the optimiser finds stands before the tax
// book, the rules plan: losses are harvested first, over all accounts in order of id, so that each
// meets the locks and the purchases of the ones before; then each account is rebalanced under them. No
// sale of a plan has a loss that a known purchase of the household denies, no purchase denies a known
// loss.
func Plan(in Input, m *market.Snapshot) (HouseholdPlan, error) {
	h := newHouse(in, m)
	if f := h.check(); f != nil {
		return HouseholdPlan{}, f
	}
	h.planner = Optimum
	if why := h.whyRules(); why != "" {
		h.planner = Rules
		if why != PlannerSet {
			h.because = why
		}
	}
	for attempt := 1; ; attempt++ {
		h.lossless = h.lossless || attempt == attemptsMax
		isSettled := h.attempt()
		isSettled = h.audit() && isSettled
		switch {
		case !isSettled && attempt == attemptsMax && h.planner == Optimum:
			return h.byRules(NotSettled)
		case isSettled || attempt == attemptsMax:
			return h.plan(), nil
		}
	}
}

// byRules plans by the rules where the optimiser found nothing that holds.
func (h *house) byRules(because string) (HouseholdPlan, error) {
	in := h.in
	in.Settings.Planner = Rules
	p, err := Plan(in, h.market)
	p.Because = because
	return p, err
}

// attempt plans the household from the beginning, without the losses that were refused before.
func (h *house) attempt() (isSettled bool) {
	h.bars = tlh.NewBars(h.book, h.rules.WindowDays(), h.in.Locks, h.in.Open, h.property)
	for i, a := range h.accounts {
		fresh := &account{Account: a.Account, policy: a.policy, mix: a.mix, sheltered: a.sheltered, holdings: a.holdings}
		fresh.traded = map[string]portfolio.Side{}
		h.open(fresh)
		h.openLots(fresh)
		h.bars.Reinvest(&fresh.Account, h.market, h.in.Day, h.property)
		h.accounts[i] = fresh
	}
	h.taken = nil
	h.together, h.sold, h.bought = map[string]bool{}, map[string]bool{}, map[string]bool{}
	if h.planner == Optimum {
		isSettled, err := h.optimise()
		if err == nil {
			return isSettled
		}
		h.planner, h.because = Rules, whyNot(err)
		return h.attempt()
	}
	h.harvest()
	h.rebalance()
	return true
}

// whyNot returns the code of what the optimiser could not plan.
func whyNot(err error) string {
	var fault *optimum.MemberFault
	if errors.As(err, &fault) {
		return fault.Fault.Code
	}
	return err.Error()
}

// checkBook folds the household's tax events.
func (h *house) checkBook() *Fault {
	book, err := region.Fold(h.rules, region.ScopeOf(h.in.Household, h.market.Identical()), h.in.Tax, h.in.Events)
	if err != nil {
		return &Fault{Code: BadTaxBook, Detail: err.Error()}
	}
	h.book = book
	return nil
}

// checkLots returns a fault where a position is not what the tax book says the account holds.
func (h *house) checkLots() *Fault {
	for _, a := range h.accounts {
		a.holdings = h.book.Holdings(a.ID)
		held := map[market.Symbol]money.Rat{}
		for _, t := range a.holdings {
			held[t.Symbol] = held[t.Symbol].Add(t.Shares)
		}
		for _, p := range a.Positions {
			if lots := held[p.Symbol].Dec(); lots != p.Shares {
				return lotsDiffer(a, p.Symbol, p.Shares, lots)
			}
			delete(held, p.Symbol)
		}
		for _, t := range a.holdings { // what is left is held by the tax book alone
			if lots := held[t.Symbol].Dec(); !lots.IsZero() {
				return lotsDiffer(a, t.Symbol, money.Zero, lots)
			}
		}
	}
	return nil
}

func lotsDiffer(a *account, symbol market.Symbol, position, lots money.Dec) *Fault {
	return &Fault{Code: LotsDiffer, Account: a.ID, Detail: fmt.Sprintf("%s: position %s, tax holdings %s", symbol, position, lots)}
}
