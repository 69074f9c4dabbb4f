package optimum

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"daybreak/money"
)

// Member is one account of a household with what it is planned by. Universes may differ, for
// accounts in different currencies; properties tie their securities together.
type Member struct {
	Universe *Universe
	Account  *Account
	Options  *Options
	Rate     money.Dec // household's currency for one unit of the account's; 0 for 1
	// Owner is whose year the gains count in. Taxable accounts of one owner whose gains are netted or
	// have a budget are planned as one; with "" every account has a year of its own.
	Owner string
	// IsLocated says that risk counts at the level of the household: all such members are planned as
	// one, their targets are of the household's weight, and the risk of a security counts once for all
	// of them, wherever it is held.
	IsLocated bool
}

// HouseholdPlan is the plans of a household's accounts. No property is sold at a loss in one of them
// and bought in one of them. The bound of each plan, from which its gap counts, is that of its
// account alone: what the accounts cost each other is part of the gaps, and each plan's Coupling says
// how much. The household's own bound counts every way to decide.
type HouseholdPlan struct {
	Plans     []Plan   // by member
	Decisions []Choice // properties that the members would have traded both ways, by name
	Objective money.Dec
	Bound     money.Dec // no trades that keep the accounts apart have a lower objective
	Alone     money.Dec // least objective if the accounts did not bar each other
	GapBP     float64   // objective less bound, in basis points of the value of all
}

// Choice says what was decided about a property that some member would sell at a loss and some
// would buy.
type Choice struct {
	Property    string
	IsHarvested bool      // nobody buys it; else nobody sells it at a loss
	Cost        money.Dec // what the decision adds to the objective, in money
}

// MemberFault is a fault of one account, which keeps its household from being planned.
type MemberFault struct {
	Account string
	Fault   *Fault
}

// Error returns the account and its fault.
func (f *MemberFault) Error() string { return fmt.Sprintf("account %s: %v", f.Account, f.Fault) }

// Unwrap returns the fault.
func (f *MemberFault) Unwrap() error { return f.Fault }

// What one household tries at most: decisions, and Newton steps times securities.
const (
	decisionsMax = 200
	workMax      = 12_000_000
)

// household is the state of SolveHousehold.
type household struct {
	s       *Solver
	members []Member // with accounts and rules of their own; one for accounts planned as one
	joints  []*joint // by member, nil for an account of its own
	path    []Choice // decisions taken so far
	tried   int
	work    int
	best    struct {
		plans     []Plan // nil where none is known
		decisions []Choice
		objective money.Dec
	}
}

// SolveHousehold plans accounts whose tax counts together. Each is planned alone first, or with those
// that must be planned as one; the bounds of these plans are the household's. Where some member sells a
// property at a loss and some member buys it, the household either buys it nowhere or sells it at a
// loss nowhere: both are tried, largest loss first, the cheaper first, and left where their bound says
// that they cannot win; after decisionsMax of them, or workMax, the best so far stands. Rules of the members are left
// as they are. It returns a *MemberFault where an account cannot be planned.
func (s *Solver) SolveHousehold(members []Member) (*HouseholdPlan, error) {
	parts := units(members)
	for {
		out, err := s.solveUnits(members, parts)
		var fault *unitFault
		if !errors.As(err, &fault) {
			return out, err
		}
		// Together they cannot be planned: one of them cannot, or they are planned apart.
		for _, k := range parts[fault.unit] {
			if _, err := s.Solve(members[k].Universe, members[k].Account, members[k].Options); err != nil {
				return nil, memberFault(members[k].Account.ID, err)
			}
		}
		var apart [][]int
		for n, unit := range parts {
			if n != fault.unit {
				apart = append(apart, unit)
				continue
			}
			for _, k := range unit {
				apart = append(apart, []int{k})
			}
		}
		parts = apart
	}
}

// unitFault is a fault of accounts that were planned as one.
type unitFault struct {
	unit int
	err  error
}

// Error returns the fault's text.
func (f *unitFault) Error() string { return f.err.Error() }

// solveUnits plans a household whose members are planned in these parts.
func (s *Solver) solveUnits(members []Member, parts [][]int) (*HouseholdPlan, error) {
	h := &household{s: s, joints: make([]*joint, len(parts))}
	plans := make([]Plan, len(parts))
	out := &HouseholdPlan{}
	bounds := make([]float64, len(parts))
	worth := money.Zero
	for n, unit := range parts {
		h.members = append(h.members, h.unit(n, members, parts))
		m := &h.members[n]
		p, err := s.Solve(m.Universe, m.Account, m.Options)
		if err != nil && len(unit) > 1 {
			return nil, &unitFault{n, err}
		}
		if err != nil {
			return nil, memberFault(m.Account.ID, err)
		}
		plans[n] = clonePlan(p)
		bounds[n] = p.Bound
		out.Alone = out.Alone.Add(m.inMoney(p.Bound, p.Value))
		worth = worth.Add(m.converted(p.Value))
	}
	bound, err := h.explore(plans)
	if h.best.plans == nil {
		return nil, err
	}
	out.Decisions, out.Objective = h.best.decisions, h.best.objective
	out.Bound = money.Min(bound, out.Objective)
	if worth.Sign() > 0 {
		out.GapBP = out.Objective.Sub(out.Bound).Float() / worth.Float() * 1e4
	}
	out.Plans = make([]Plan, len(members))
	for n, unit := range parts {
		p := &h.best.plans[n]
		p.Coupling = max(0, p.Bound-bounds[n])
		p.Bound = bounds[n]
		p.GapBP, p.GapMoney = (p.Objective-p.Bound)*1e4, gapMoney(p.Objective-p.Bound, p.Value)
		own := []Plan{*p}
		if h.joints[n] != nil {
			own = h.joints[n].split(p, pick(members, unit))
		}
		for at, k := range unit {
			out.Plans[k] = own[at]
		}
	}
	slices.SortFunc(out.Decisions, func(a, b Choice) int { return cmp.Compare(a.Property, b.Property) })
	return out, nil
}

// unit returns the member that stands for part n of a household, with rules of its own. Gains of an
// owner that several parts have are not netted.
func (h *household) unit(n int, members []Member, parts [][]int) Member {
	list := pick(members, parts[n])
	for at := range list {
		own := *list[at].Account
		own.Rules = make([]Rule, len(list[at].Universe.Securities))
		copy(own.Rules, list[at].Account.Rules)
		if g := &own.Gains; g.IsNetted && isSpread(list[at].Owner, members, parts) {
			g.Budget = g.Budget.Sub(g.ShortSoFar).Sub(g.LongSoFar)
			g.IsNetted, g.ShortSoFar, g.LongSoFar = false, money.Zero, money.Zero
		}
		list[at].Account = &own
	}
	if len(list) == 1 {
		return list[0]
	}
	h.joints[n] = join(list, list[0].IsLocated && list[1].IsLocated)
	return h.joints[n].Member
}

// isSpread reports whether taxable accounts of an owner are in several parts.
func isSpread(owner string, members []Member, parts [][]int) bool {
	count := 0
	for _, unit := range parts {
		if slices.ContainsFunc(unit, func(k int) bool { return members[k].Owner == owner && !members[k].Account.IsSheltered }) {
			count++
		}
	}
	return count > 1 && owner != ""
}

// explore looks for the best plans that follow from these by decisions about properties. It returns a
// bound of all of them, and why there are none where there are none.
func (h *household) explore(plans []Plan) (money.Dec, error) {
	objective, bound := h.totals(plans)
	if h.best.plans != nil && !bound.Less(h.best.objective) {
		return bound, nil
	}
	property, found := h.conflict(plans)
	if !found {
		if h.best.plans == nil || objective.Less(h.best.objective) {
			h.best.plans, h.best.decisions, h.best.objective = plans, slices.Clone(h.path), objective
		}
		return bound, nil
	}
	harvested, errHarvested := h.try(plans, property, true)
	bought, errBought := h.try(plans, property, false)
	isHarvested := errHarvested == nil && (errBought != nil || harvested.cost.Less(bought.cost))
	order := [...]side{bought, harvested}
	if isHarvested {
		order = [...]side{harvested, bought}
	}
	err := errBought
	var least *money.Dec
	for n, way := range order {
		below, why := bound, error(nil)
		switch {
		case way.plans == nil && way.isImpossible:
			continue
		case way.plans == nil:
		case n > 0 && h.best.plans != nil && (h.tried >= decisionsMax || h.work >= workMax):
			_, below = h.totals(way.plans)
		default:
			below, why = h.decide(way, property)
		}
		if why != nil {
			err = why
		}
		if least == nil || below.Less(*least) {
			least = &below
		}
	}
	if least == nil {
		return bound, err
	}
	return money.Max(bound, *least), err
}

// decide explores the plans of one way to decide about a property.
func (h *household) decide(way side, property string) (money.Dec, error) {
	was := h.bar(property, way.isHarvested)
	h.path = append(h.path, Choice{property, way.isHarvested, way.cost})
	bound, err := h.explore(way.plans)
	h.path = h.path[:len(h.path)-1]
	h.restore(was)
	return bound, err
}

// totals sums objectives and bounds in the household's currency.
func (h *household) totals(plans []Plan) (objective, bound money.Dec) {
	for k := range plans {
		m := &h.members[k]
		objective = objective.Add(m.inMoney(plans[k].Objective, plans[k].Value))
		bound = bound.Add(m.inMoney(plans[k].Bound, plans[k].Value))
	}
	return objective, bound
}

func memberFault(id string, err error) error {
	if f, ok := err.(*Fault); ok {
		return &MemberFault{id, f}
	}
	return fmt.Errorf("account %s: %w", id, err)
}

// clonePlan returns a plan that does not belong to the solver.
func clonePlan(p *Plan) Plan {
	out := *p
	out.Trades, out.Conversions, out.Reasons = slices.Clone(p.Trades), slices.Clone(p.Conversions), slices.Clone(p.Reasons)
	return out
}

// inMoney turns a fraction of a member's value into money of the household's currency.
func (m *Member) inMoney(f float64, value money.Dec) money.Dec {
	return m.converted(gapMoney(f, value))
}

func (m *Member) converted(amount money.Dec) money.Dec {
	if m.Rate.IsZero() {
		return amount
	}
	return amount.Mul(m.Rate)
}

// conflict returns the property with the largest loss that is also bought, ties by name; false
// where there is none.
func (h *household) conflict(plans []Plan) (property string, found bool) {
	losses, isBought := map[string]money.Dec{}, map[string]bool{}
	for k := range plans {
		m := &h.members[k]
		for _, t := range plans[k].Trades {
			name := m.Universe.property(t.Security)
			if t.Lot < 0 {
				isBought[name] = true
			} else if loss := m.lossOf(t); loss.Sign() > 0 {
				losses[name] = losses[name].Add(loss)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(losses)) {
		if isBought[name] && (!found || losses[property].Less(losses[name])) {
			property, found = name, true
		}
	}
	return property, found
}

// property names what a security counts as for the loss rules.
func (u *Universe) property(i int) string {
	if p := u.Securities[i].Property; p != "" {
		return p
	}
	return u.Securities[i].ID
}

// lossOf returns the loss, in the household's currency, that a sale realises for tax; 0 for a gain or in a sheltered account.
func (m *Member) lossOf(t Trade) money.Dec {
	l := &m.Account.Lots[t.Lot]
	if m.Account.IsSheltered || l.IsSheltered {
		return money.Zero
	}
	return m.converted(money.Max(l.Cost.MulDiv(t.Shares, l.Shares).Sub(t.Value), money.Zero))
}

// side is one way to decide about a property: the plans that follow, nil where there are none, and
// what they add to the objective.
type side struct {
	isHarvested  bool
	isImpossible bool // some account cannot be planned, for sure
	plans        []Plan
	cost         money.Dec
}

// try plans again the members that trade the property on the side that is given up.
func (h *household) try(plans []Plan, property string, isHarvested bool) (side, error) {
	h.tried++
	defer h.restore(h.bar(property, isHarvested))
	out := side{isHarvested: isHarvested}
	next := slices.Clone(plans)
	for k := range h.members {
		m := &h.members[k]
		if !m.trades(&plans[k], property, isHarvested) {
			continue
		}
		p, err := h.s.Solve(m.Universe, m.Account, m.Options)
		if err != nil {
			var f *Fault
			out.isImpossible = errors.As(err, &f) && f.Code != NoRounding
			return out, memberFault(m.Account.ID, err)
		}
		h.work += p.Steps * len(m.Universe.Securities)
		out.cost = out.cost.Add(m.inMoney(p.Objective, p.Value)).Sub(m.inMoney(plans[k].Objective, plans[k].Value))
		next[k] = clonePlan(p)
	}
	out.plans = next
	return out, nil
}

// trades reports whether a plan of m buys the property, or else sells it at a loss.
func (m *Member) trades(p *Plan, property string, isBought bool) bool {
	for _, t := range p.Trades {
		if m.Universe.property(t.Security) == property && (isBought && t.Lot < 0 || !isBought && t.Lot >= 0 && m.lossOf(t).Sign() > 0) {
			return true
		}
	}
	return false
}

// byHousehold is what a bar names that this run's own decisions made.
const byHousehold = "household"

// bar sets the bar of a property in every member and returns the rules as they were.
func (h *household) bar(property string, isHarvested bool) [][]Rule {
	was := make([][]Rule, len(h.members))
	for k := range h.members {
		m := &h.members[k]
		was[k] = slices.Clone(m.Account.Rules)
		for i := range m.Account.Rules {
			if m.Universe.property(i) != property {
				continue
			}
			r := &m.Account.Rules[i]
			if isHarvested && !r.BuyBarred {
				r.BuyBarred, r.BuyBar.By = true, byHousehold
			} else if !isHarvested && !r.LossBarred {
				r.LossBarred, r.LossBar.By = true, byHousehold
			}
		}
	}
	return was
}

func (h *household) restore(was [][]Rule) {
	for k := range h.members {
		h.members[k].Account.Rules = was[k]
	}
}
