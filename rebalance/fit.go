package rebalance

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/rebalance/optimum"
	"daybreak/rebalance/optimum/members"
	"daybreak/region"
	"daybreak/tlh"
)

// fitted is an account as the optimiser sees it.
type fitted struct {
	account  *account
	member   optimum.Member
	lots     []lotRef        // by lot of the member
	bands    []optimum.Group // that must hold; the member has those that were found to bind
	stage    stage           // how much was left out so that a plan is possible
	relaxed  []string
	standIns []market.Symbol
	isSmall  bool // its trades were left out, as they were worth too little
}

// lotRef is where a lot of the optimiser comes from; lot is nil in a sheltered account, and both are
// for what open orders will bring.
type lotRef struct {
	hold *hold
	lot  *lot
}

// stakeKey names a harvest: what one account holds of one security.
type stakeKey struct {
	account portfolio.AccountID
	symbol  market.Symbol
}

// whyRules returns why the rules plan the household, or "" where the optimiser does.
func (h *house) whyRules() string {
	if h.settings.Planner == Rules {
		return PlannerSet
	}
	for _, a := range h.accounts {
		if h.in.Risk.In(a.Currency) == nil {
			return NoRiskModel
		}
	}
	return ""
}

// Why the rules planned a household.
const (
	PlannerSet  = "PLANNER_SET"   // the run asks for them
	NoRiskModel = "NO_RISK_MODEL" // no closes to estimate one from, in the currency of an account
	NotSettled  = "NOT_SETTLED"   // the tax book refused every plan of the optimiser
)

// fit returns the accounts that have a value as members of the optimiser's household. An error is a
// fault that only the optimiser minds: the rules then plan the household.
func (h *house) fit() ([]*fitted, error) {
	list, err := members.Of(h.membersInput())
	if err != nil {
		return nil, err
	}
	var all []*fitted
	for _, m := range list {
		i, _ := slices.BinarySearchFunc(h.accounts, portfolio.AccountID(m.Account.ID), func(a *account, id portfolio.AccountID) int { return cmp.Compare(a.ID, id) })
		f := &fitted{account: h.accounts[i], member: m, bands: m.Account.Groups}
		m.Account.Groups = nil
		h.fitRules(f)
		h.fitCash(f)
		h.fitLots(f)
		f.fitBands()
		if h.in.Household.Location != nil { // those of one name add up over the accounts: none waits for a plan that breaks it
			m.Account.Groups, f.bands = f.bands, nil
		}
		h.fitRisk(f)
		all = append(all, f)
	}
	return all, nil
}

// membersInput is the household with all cash of an account as one amount: orders of the account are
// paid from its own currency, for the book posts every fill there.
func (h *house) membersInput() members.Input {
	in := members.Input{Day: h.in.Day, Rules: h.rules, Book: h.book, Market: h.market, Bars: h.bars, Open: h.in.Open, Risk: map[market.Currency]*members.Model{}}
	in.Holdings = map[portfolio.AccountID][]region.Holding{}
	in.Household = h.in.Household
	in.Household.Accounts = nil
	for _, a := range h.accounts {
		in.Holdings[a.ID] = a.holdings
		c := a.Account
		c.Policy = a.policy
		c.Policy.Mode = h.modeOf(a)
		c.Cash = []portfolio.Cash{{Currency: a.Currency, Amount: a.opening}}
		in.Household.Accounts = append(in.Household.Accounts, c)
		in.Risk[a.Currency] = h.in.Risk.In(a.Currency)
	}
	s := h.settings
	in.Params = members.Params{Options: optimum.DefaultOptions(), HalfSpread: s.HalfSpread, Commission: s.CostRate, FXSpread: s.FXSpread, StaleDays: s.StaleDays, IsNetted: s.Netting}
	in.Location = h.in.Household.Location
	in.Params.Options.NodesMax = nodesMax
	in.Params.Options.RiskAversion, in.Params.Options.IdleCash = s.RiskAversion.Float(), s.IdleCash.Float()
	if s.GainBudget != nil {
		in.Params.HasBudget, in.Params.Budget = true, *s.GainBudget
	}
	return in
}

// nodesMax bounds the branches of one account's search. With four times as many the median gap is the
// same, and a household in a thousand takes a hundred times as long as the others.
const nodesMax = 100

// symbol returns the security of a place in the member's universe.
func (f *fitted) symbol(i int) market.Symbol {
	return market.Symbol(f.member.Universe.Securities[i].ID)
}

// place returns where a security is in the member's universe.
func (f *fitted) place(symbol market.Symbol) (int, bool) {
	return slices.BinarySearchFunc(f.member.Universe.Securities, string(symbol), func(s optimum.Security, id string) int { return cmp.Compare(s.ID, id) })
}

// fitRules bars what the plan of an earlier attempt sold. Bars on losses are a matter of lots.
func (h *house) fitRules(f *fitted) {
	for i := range f.member.Account.Rules {
		r := &f.member.Account.Rules[i]
		if !f.account.sheltered && h.unbought[h.property(f.symbol(i))] {
			r.NoBuy = true
		}
	}
}

// fitCash sets what may be spent: not what open orders have yet to bring, not proceeds that must settle
// first, not cash in other currencies than the account's, and not what the account wants in cash. Where
// there is less than it wants, what there is stays: only a withdrawal forces a sale.
func (h *house) fitCash(f *fitted) {
	a, m := f.account, f.member.Account
	foreign := a.opening
	for _, c := range a.Cash {
		if c.Currency == a.Currency {
			foreign = foreign.Sub(c.Amount)
		}
	}
	kept := a.policy.WithdrawalCash.Add(foreign)
	spare := money.Max(money.Zero, m.Cash.Sub(kept))
	locked := money.Min(a.pending.Add(a.unsettled), spare)
	m.Withdrawal = kept.Add(locked)
	f.member.Options.CashFloor = money.Min(a.policy.CashTarget, spare.Sub(locked).Div(a.total).RoundDown(floorPlaces))
}

// floorPlaces are the decimals of a least weight of cash.
const floorPlaces = 9

// fitLots sets the lots that may be sold, cut to tradable shares and to what open orders leave, with
// the cost that makes a loss worth what it is worth to the household.
func (h *house) fitLots(f *fitted) {
	m := f.member.Account
	left, bought := f.splitOpen()
	m.Lots = m.Lots[:0]
	f.member.Options.HarvestMin = 0 // the optimiser decides; a loss below its threshold is worth nothing
	for _, o := range f.account.holds {
		i, ok := f.place(o.symbol)
		if !ok {
			continue
		}
		first := len(m.Lots)
		if f.account.sheltered {
			h.addLot(f, i, lotRef{hold: o}, o.shares.RoundDown(fractionPlaces))
		}
		for k := range o.lots {
			h.addLot(f, i, lotRef{o, &o.lots[k]}, o.lots[k].left)
		}
		f.cutTo(first, left[i])
		if f.account.policy.WholeShares {
			f.cutToWhole(first)
		}
	}
	for _, l := range bought {
		m.Lots, f.lots = append(m.Lots, l), append(f.lots, lotRef{})
	}
}

// splitOpen returns the shares of each security that are held and that no open order sells, and what
// open orders buy.
func (f *fitted) splitOpen() (left []money.Dec, bought []optimum.Lot) {
	left = make([]money.Dec, len(f.member.Universe.Securities))
	for _, l := range f.member.Account.Lots {
		if l.IsOpen {
			bought = append(bought, l)
			continue
		}
		left[l.Security] = left[l.Security].Add(l.Shares)
	}
	return left, bought
}

// fitBands lets no band ask for a trade: one that the account is outside of bars going further. What
// counts are the shares that may trade.
func (f *fitted) fitBands() {
	m, u := f.member.Account, f.member.Universe
	value := m.Cash
	values := make([]money.Dec, len(u.Securities))
	for _, l := range m.Lots {
		v := l.Shares.Mul(u.Securities[l.Security].Price)
		values[l.Security] = values[l.Security].Add(v)
		value = value.Add(v)
	}
	if value.Sign() <= 0 {
		return
	}
	for i := range f.bands {
		g := &f.bands[i]
		var held money.Dec
		for _, s := range g.Securities {
			held = held.Add(values[s])
		}
		weight := held.Div(value)
		if g.Lower.Sign() > 0 {
			g.Lower = money.Max(money.Zero, money.Min(g.Lower, weight.Sub(weightSlack)))
		}
		g.Upper = money.Max(g.Upper, weight.Add(weightSlack))
	}
}

// weightSlack keeps a band that begins at the present weight from being missed by its rounding.
var weightSlack = money.FromUnits(1, 6)

// addLot adds tradable shares of a lot.
func (h *house) addLot(f *fitted, i int, ref lotRef, shares money.Dec) {
	if shares.Sign() <= 0 {
		return
	}
	o, value := ref.hold, ref.hold.value(shares)
	l := optimum.Lot{Security: int32(i), ID: string(o.symbol), Shares: shares, Cost: value}
	if ref.lot != nil {
		l.ID = cmp.Or(ref.lot.id, l.ID)
		h.taxLot(f, &l, ref, value)
	}
	f.member.Account.Lots = append(f.member.Account.Lots, l)
	f.lots = append(f.lots, ref)
}

// leastLoss is the loss, as a share of value, that marks a lot whose loss is worth nothing as one that
// is sold at a loss.
var leastLoss = money.FromUnits(1, 9)

// taxLot sets the cost and the bars of a lot in an account with gains tax. A lot of unknown cost counts
// as all gain. A lot with a piece at a loss is as barred as the loss.
func (h *house) taxLot(f *fitted, l *optimum.Lot, ref lotRef, value money.Dec) {
	a, o := f.account, ref.hold
	l.Cost = money.Zero
	for i := range 1 + len(ref.lot.more) {
		l.IsShort = l.IsShort || !ref.lot.piece(i).isLong
	}
	if !ref.lot.known {
		return
	}
	r := ref.lot.result(o, l.Shares)
	l.Cost = money.Max(money.Zero, r.cost.Div(a.home))
	if !r.isNear {
		return
	}
	_, l.LossBarred = h.lossBar(o)
	if c, ok := h.stakes[stakeKey{a.ID, o.symbol}]; ok && r.hasLoss {
		l.LossBarred = c.isDenied
	}
	least := value.Add(value.Mul(leastLoss))
	switch {
	case r.gain().Sign() >= 0 && l.LossBarred:
		l.Cost = least
	case r.gain().Sign() < 0 && !f.isNetted():
		loss := r.gain().Neg().Div(a.home)
		l.Cost = money.Max(least, value.Add(loss.Mul(h.worthOf(a, o, ref.lot))))
	}
}

// isNetted reports whether the tax of the year itself says what a loss is worth.
func (f *fitted) isNetted() bool { return f.member.Account.Gains.IsNetted }

// worthOf returns what one unit of a lot's loss is worth, as a share of what a unit of gain costs: 0
// where the account does not harvest it, else what the tax unit can use of its losses, on average over
// all that it could harvest today.
func (h *house) worthOf(a *account, o *hold, l *lot) money.Dec {
	key := stakeKey{a.ID, o.symbol}
	s, ok := h.stakes[key]
	if !ok || s.isDenied || h.unworthy[key].Code != "" {
		return money.Zero
	}
	if !slices.ContainsFunc(s.candidate.offers, func(f offer) bool { return f.lot == l }) {
		return money.Zero
	}
	return h.worth[h.standingKeyOf(a, o)]
}

// cutTo takes shares off the last lots from first on, so that no more than these are left.
func (f *fitted) cutTo(first int, most money.Dec) {
	m := f.member.Account
	var excess money.Dec
	for _, l := range m.Lots[first:] {
		excess = excess.Add(l.Shares)
	}
	excess = excess.Sub(most)
	for k := len(m.Lots) - 1; k >= first && excess.Sign() > 0; k-- {
		l := &m.Lots[k]
		part := money.Min(l.Shares, excess)
		l.Cost = l.Cost.Sub(l.Cost.MulDiv(part, l.Shares))
		l.Shares, excess = l.Shares.Sub(part), excess.Sub(part)
		if l.Shares.IsZero() {
			m.Lots, f.lots = slices.Delete(m.Lots, k, k+1), slices.Delete(f.lots, k, k+1)
		}
	}
}

// cutToWhole takes fractions off, so that all that may be sold of a security comes to whole shares:
// off the lots that may be sold, and off those that may not.
func (f *fitted) cutToWhole(first int) {
	m := f.member.Account
	for _, isBarred := range []bool{false, true} {
		var sum money.Dec
		last := -1
		for k := first; k < len(m.Lots); k++ {
			if m.Lots[k].LossBarred == isBarred {
				sum, last = sum.Add(m.Lots[k].Shares), k
			}
		}
		for rest := sum.Sub(sum.RoundDown(0)); rest.Sign() > 0 && last >= first; last-- {
			if m.Lots[last].LossBarred != isBarred {
				continue
			}
			l := &m.Lots[last]
			part := money.Min(l.Shares, rest)
			l.Cost = l.Cost.Sub(l.Cost.MulDiv(part, l.Shares))
			l.Shares, rest = l.Shares.Sub(part), rest.Sub(part)
		}
	}
	for k := len(m.Lots) - 1; k >= first; k-- {
		if m.Lots[k].Shares.IsZero() {
			m.Lots, f.lots = slices.Delete(m.Lots, k, k+1), slices.Delete(f.lots, k, k+1)
		}
	}
}

// fitRisk lists the securities that matter and whose risk is their class's.
func (h *house) fitRisk(f *fitted) {
	model := h.in.Risk.In(f.account.Currency)
	for i := range f.member.Universe.Securities {
		symbol := f.symbol(i)
		if _, ok := model.Of(symbol); !ok && f.member.Universe.Fault(i) == "" {
			f.standIns = append(f.standIns, symbol)
		}
	}
}

// stage says how far an account's rules are relaxed so that a plan is possible.
type stage int

// The stages, each beside what those before it leave out.
const (
	asAsked      stage = iota
	lessCash           // the cash needed is what can be raised
	withoutBands       // bands and the budget are left out
	idle               // nothing trades
	leftAlone          // not solved at all
)

// relax leaves out what an account could not be planned with, and reports whether there was something
// left to leave out. Fault is why it could not.
func (h *house) relax(f *fitted, fault string) bool {
	m, o := f.member.Account, f.member.Options
	switch {
	case f.stage < lessCash && fault == optimum.NoCash:
		f.stage = lessCash
		o.CashFloor = money.Zero
		m.Withdrawal = money.Min(m.Withdrawal, f.raisable())
		return true
	case len(m.Groups) > 0:
		f.stage = withoutBands
		m.Groups, f.bands = nil, nil
		f.relaxed = append(f.relaxed, "bands")
		return true
	case m.Gains.HasBudget && fault == optimum.BadBands:
		f.stage = withoutBands
		m.Gains.HasBudget = false
		f.relaxed = append(f.relaxed, "gain_budget")
		return true
	case f.stage < idle:
		f.stage = idle
		o.Mode, m.Withdrawal, m.Gains.HasBudget = optimum.Nothing, money.Zero, false
		f.relaxed = append(f.relaxed, "trades")
		return true
	}
	f.stage = leftAlone
	return false
}

// raisable returns nearly all the cash that allowed sales come to, and what is there.
func (f *fitted) raisable() money.Dec {
	m, u := f.member.Account, f.member.Universe
	var sum money.Dec
	for _, l := range m.Lots {
		r, s := m.Rules[l.Security], u.Securities[l.Security]
		value := l.Shares.Mul(s.Price)
		if r.NoSell || l.LossBarred && value.Less(l.Cost) {
			continue
		}
		sum = sum.Add(value.Sub(value.Mul(s.Cost)))
	}
	return money.Max(money.Zero, m.Cash.Add(sum.Mul(raisableShare)))
}

var raisableShare = money.FromUnits(995, 3)

// solve plans the members together; those that cannot be planned as asked are relaxed, and at last
// left out. It returns the plans of those that are left, in their order.
//
// A band is left out until a plan breaks it: few of them bind. The bound of a plan that keeps all
// bands holds without them, and so with them.
func (h *house) solve(all []*fitted) ([]*fitted, *optimum.HouseholdPlan, error) {
	for {
		left, plan, err := h.solveBound(all)
		if err != nil {
			return nil, nil, err
		}
		all = left
		holds := true
		for i, f := range all {
			holds = f.keepsBands(&plan.Plans[i]) && holds
		}
		if holds {
			return all, plan, nil
		}
	}
}

// keepsBands reports whether a plan keeps the account's bands; those that it breaks bind the next one.
func (f *fitted) keepsBands(p *optimum.Plan) bool {
	if len(f.bands) == 0 {
		return true
	}
	u := f.member.Universe
	values := make([]money.Dec, len(u.Securities))
	for _, l := range f.member.Account.Lots {
		values[l.Security] = values[l.Security].Add(l.Shares.Mul(u.Securities[l.Security].Price))
	}
	for _, t := range p.Trades {
		if t.Lot < 0 {
			values[t.Security] = values[t.Security].Add(t.Value)
		} else {
			values[t.Security] = values[t.Security].Sub(t.Value)
		}
	}
	holds := true
	for i := 0; i < len(f.bands); i++ {
		g := f.bands[i]
		var sum money.Dec
		for _, s := range g.Securities {
			sum = sum.Add(values[s])
		}
		isBelow := g.Lower.Sign() > 0 && sum.Less(g.Lower.Sub(bandSlack).Mul(p.Value))
		isAbove := g.Upper.Sign() > 0 && g.Upper.Add(bandSlack).Mul(p.Value).Less(sum)
		if !isBelow && !isAbove {
			continue
		}
		f.member.Account.Groups = append(f.member.Account.Groups, g)
		f.bands = slices.Delete(f.bands, i, i+1)
		i--
		holds = false
	}
	return holds
}

// bandSlack is what the optimiser's sums of weights may be off by.
var bandSlack = money.FromUnits(2, 9)

// solveBound solves under the bands that bind.
func (h *house) solveBound(all []*fitted) ([]*fitted, *optimum.HouseholdPlan, error) {
	for {
		list := make([]optimum.Member, len(all))
		for i, f := range all {
			list[i] = f.member
		}
		plan, err := h.solver.SolveHousehold(list)
		var fault *optimum.MemberFault
		if err == nil || !errors.As(err, &fault) {
			return all, plan, err
		}
		i := slices.IndexFunc(all, func(f *fitted) bool { return string(f.account.ID) == fault.Account })
		if i < 0 {
			return nil, nil, fmt.Errorf("optimiser faults account %q: %w", fault.Account, err)
		}
		if !h.relax(all[i], fault.Fault.Code) {
			h.broken[all[i].account.ID] = fault.Fault.Code
			all = slices.Delete(slices.Clone(all), i, i+1)
		}
	}
}

// stake is a harvest that could be, and whether a purchase denies it.
type stake struct {
	candidate candidate
	isDenied  bool
}

// findStakes notes what every account could harvest and what denies it, and what losses are worth to
// each tax unit.
func (h *house) findStakes() {
	h.stakes, h.worth = map[stakeKey]stake{}, map[standingKey]money.Dec{}
	h.wanted = map[string][]candidate{}
	var all []candidate
	for _, a := range h.accounts {
		for _, c := range h.candidates(a) {
			all = append(all, c)
			h.wanted[c.hold.property] = append(h.wanted[c.hold.property], c)
		}
	}
	sums := map[standingKey]*result{}
	var keys []standingKey
	for _, c := range all {
		s := stake{candidate: c}
		if r := h.unworthy[stakeKey{c.account.ID, c.hold.symbol}]; r.Code != "" {
			c.account.skip(r)
		}
		if bar, denied, ok := h.denied(c); ok {
			s.isDenied = true
			h.noteDenied(c, bar, denied)
		} else {
			_, key := h.standingOf(c)
			if sums[key] == nil {
				sums[key] = &result{}
				keys = append(keys, key)
			}
			sums[key].short, sums[key].long = sums[key].short.Sub(c.short), sums[key].long.Sub(c.loss.Sub(c.short))
		}
		h.stakes[stakeKey{c.account.ID, c.hold.symbol}] = s
	}
	for _, key := range keys {
		h.worth[key] = h.usable(key, *sums[key])
	}
}

// usable returns what losses are worth to a tax unit, as a share of the tax on gains of their kind.
func (h *house) usable(key standingKey, r result) money.Dec {
	rates := h.rules.RatesOf(key.year)
	full := r.short.Mul(rates.Short).Add(r.long.Mul(rates.Long)).Mul(rates.Inclusion).Neg()
	if full.Sign() <= 0 {
		return money.Zero
	}
	v := tlh.ValueOf(h.rules, h.standing[key], tlh.Stake{Short: r.short, Long: r.long}, money.Zero)
	return money.Min(money.One, money.Max(money.Zero, v.Value.Div(full)))
}

func (h *house) standingKeyOf(a *account, o *hold) standingKey {
	return standingKey{h.rules.Unit(a.Owner), h.rules.TaxYear(o.taxDay)}
}
