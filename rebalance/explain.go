package rebalance

import (
	"cmp"
	"slices"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
)

// plan returns what was decided, as trades with reasons.
func (h *house) plan() HouseholdPlan {
	p := HouseholdPlan{Household: h.in.Household.ID, Planner: h.planner, Because: h.because, Accounts: make([]AccountPlan, 0, len(h.accounts)), Locks: h.bars.Locks()}
	for _, a := range h.accounts {
		p.Accounts = append(p.Accounts, h.accountPlan(a))
	}
	return p
}

func (h *house) accountPlan(a *account) AccountPlan {
	p := AccountPlan{
		Account: a.ID, Outcome: NothingToDo, Value: a.total, Currency: a.Currency,
		CashBefore: a.opening, CashAfter: a.cash, DriftBefore: a.before, DriftAfter: a.drift(),
		Trades: h.trades(a), DeniedAvoided: a.avoided, Certificate: a.certificate,
	}
	a.unsolved = h.broken[a.ID]
	for _, o := range a.holds {
		p.Harvested = p.Harvested.Add(o.harvest)
		p.TaxValue = p.TaxValue.Add(o.worth)
	}
	if len(p.Trades) > 0 {
		p.Outcome = Planned
	}
	p.Skipped = slices.Clone(a.skipped)
	slices.SortFunc(p.Skipped, func(r, s Reason) int {
		return cmp.Or(cmp.Compare(r.Code, s.Code), cmp.Compare(r.Symbol, s.Symbol))
	})
	p.Reason = a.why(&p)
	return p
}

// trades returns the account's trades: sales first, each side by symbol.
func (h *house) trades(a *account) []Trade {
	var trades []Trade
	var sales []market.Symbol
	for _, o := range a.holds {
		if o.sold.Sign() > 0 {
			t := a.trade(o, portfolio.Sell, o.sold)
			t.Answers = o.answers
			for _, f := range soldOf(o) {
				if f.lot != nil && f.lot.id != "" {
					t.Lots = append(t.Lots, TradeLot{Lot: f.lot.id, Shares: f.take})
				}
			}
			trades = append(trades, t)
			sales = append(sales, o.symbol)
		}
	}
	atHand := a.opening.Sub(a.need()).Sub(a.unsettled)
	for _, o := range a.holds {
		if o.bought.Sign() > 0 {
			t := a.trade(o, portfolio.Buy, o.bought)
			t.WaitsFor = h.waits(o, sales, &atHand)
			trades = append(trades, t)
		}
	}
	return trades
}

// waits returns the sales that a purchase waits for: those it replaces, else none where the cash at
// hand, less what purchases before it take, pays for it with the buffer, else all of the account.
func (h *house) waits(o *hold, sales []market.Symbol, atHand *money.Dec) []market.Symbol {
	cost := o.value(o.bought)
	if o.replaced == cost {
		slices.Sort(o.funds)
		return slices.Compact(o.funds)
	}
	margin := money.One.Add(h.settings.CashBuffer).Add(h.settings.CostRate)
	if left := atHand.Sub(cost.Mul(margin)); left.Sign() >= 0 && len(o.funds) == 0 {
		*atHand = left
		return nil
	}
	return sales
}

func (a *account) trade(o *hold, side portfolio.Side, shares money.Dec) Trade {
	notional := shares.Mul(o.price.Close)
	return Trade{
		Account: a.ID, Symbol: o.symbol, Side: side, Shares: shares, Reason: o.reason,
		Price: o.price.Close, PriceDay: o.price.Day, Currency: o.security.Currency, FX: o.fx,
		Notional: notional, Value: notional.Mul(o.fx),
	}
}

// why returns the account's reason: for its trades, or for having none.
func (a *account) why(p *AccountPlan) Reason {
	numbers := map[string]string{
		"value": cents(p.Value), "drift_before": weight(p.DriftBefore), "drift_after": weight(p.DriftAfter),
		"cash_wanted": cents(a.wanted),
	}
	if a.unsolved != "" {
		numbers["because"] = a.unsolved
	}
	if a.short.Sign() > 0 {
		numbers["cash_needed"], numbers["short"] = cents(a.need()), cents(a.short)
		return Reason{Code: CashShort, Numbers: numbers}
	}
	if len(p.Trades) > 0 {
		return Reason{Code: a.plannedCode(p), Numbers: numbers}
	}
	if a.total.Sign() <= 0 {
		return Reason{Code: NoValue, Numbers: numbers}
	}
	a.addWidest(numbers)
	return Reason{Code: a.idleCode(), Numbers: numbers}
}

func (a *account) plannedCode(p *AccountPlan) string {
	isHarvest := slices.ContainsFunc(p.Trades, func(t Trade) bool { return t.Reason.Code == Harvest })
	rises := p.DriftBefore.Less(p.DriftAfter)
	switch {
	case rises && isHarvest:
		return DriftRisesHarvest
	case rises && a.certificate != nil && !a.opening.Less(a.need()):
		return DriftRisesTracking
	case rises:
		return DriftRisesWithdrawal
	case isHarvest:
		return Harvested
	}
	return Rebalanced
}

// idleCode says why an account trades nothing: the first that holds of being inside its bands, a
// trade barred, no money to buy with, trades too small.
func (a *account) idleCode() string {
	sales, purchases := a.outside()
	if len(sales)+len(purchases) == 0 && a.unsolved == "" && !a.cashBand().Less(a.projected().Sub(a.wanted)) {
		return InBand
	}
	if a.unsolved != "" {
		return Unsolved
	}
	if a.certificate != nil && a.certificate.Mode == portfolio.ModeNothing {
		return ModeIdle
	}
	if slices.ContainsFunc(a.skipped, func(r Reason) bool { return r.Code == GainTooSmall }) {
		return NoGain
	}
	if a.isBlocked {
		return Blocked
	}
	if a.certificate != nil && !slices.ContainsFunc(a.skipped, func(r Reason) bool { return r.Code == BelowMinTrade }) {
		return NoGain
	}
	if slices.ContainsFunc(a.skipped, func(r Reason) bool { return r.Code == NotFunded }) {
		return NoCash
	}
	return BelowMinimum
}

// addWidest adds the class that is furthest from its target, as measured by its band.
func (a *account) addWidest(numbers map[string]string) {
	cash := sleeve{name: portfolio.CashClass, held: a.projected(), wanted: a.wanted, band: a.cashBand()}
	widest := cash
	for _, s := range a.sleeves {
		if widest.excess().Less(s.excess()) {
			widest = s
		}
	}
	numbers["class"], numbers["band"] = widest.name, weight(a.share(widest.band))
	numbers["drift"] = weight(a.share(widest.held.Sub(widest.wanted)))
}

// excess returns how far a sleeve is outside its band; below zero inside it.
func (s sleeve) excess() money.Dec { return s.held.Sub(s.wanted).Abs().Sub(s.band) }
