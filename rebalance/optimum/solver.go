package optimum

import (
	"math"

	"daybreak/money"
)

// Solver plans accounts one after another; it owns all memory that a plan needs and uses it again.
// A Solver is for one goroutine. The zero value is ready.
type Solver struct {
	book    book
	p       problem
	search  search
	whole   whole
	grid    []float64 // by item, the value of one share where only whole ones trade
	spare   incumbent // what is known while the fixed roles are solved
	rounder rounder
	bounder bounder
	now     measured
	plan    Plan
	loose   Account // the account without the bands that keep it from raising cash
}

// Solve plans one account. It returns a *Fault, and no plan, for an account that cannot be planned.
// The plan's slices hold until the next call. Ties between lots go by id, between securities by
// their place in the universe. Where bands of groups leave no way to raise the cash that is missing,
// they give way, and the plan says so.
func (s *Solver) Solve(u *Universe, a *Account, o *Options) (*Plan, error) {
	p, f := s.solve(u, a, o)
	if f != nil && len(a.Groups) > 0 && (f.Code == BadBands || f.Code == NoCash) && s.book.isShortOfCash() {
		groups := s.loose.Groups[:0]
		for _, g := range a.Groups {
			groups = append(groups, Group{Name: g.Name, Securities: g.Securities})
		}
		s.loose = *a
		s.loose.Groups = groups
		if p, loose := s.solve(u, &s.loose, o); loose == nil {
			p.AreBandsLifted = true
			return p, nil
		}
	}
	if f != nil {
		return nil, f
	}
	return p, nil
}

// solve plans an account as it is.
func (s *Solver) solve(u *Universe, a *Account, o *Options) (*Plan, *Fault) {
	b, p := &s.book, &s.p
	b.u, b.a, b.o = u, a, o
	if f := b.prepare(p); f != nil {
		return nil, f
	}
	s.plan = Plan{Account: a.ID, Value: b.value, Trades: s.plan.Trades[:0], Conversions: s.plan.Conversions[:0], Reasons: s.plan.Reasons[:0]}
	s.bounder.p = p
	s.setGrid()
	s.search.reset(p, len(a.Lots))
	s.whole.reset(p, b.hasWhole() && p.items <= wholeMax)
	s.search.begin(o.IdleCash)
	bound := s.solveVariants()
	if s.whole.value < infinite {
		p.reprice(s.whole.dual[p.factors:])
	} else {
		p.reprice(s.search.best.dual[p.factors:])
	}
	if math.IsInf(s.search.best.value, 1) {
		return nil, s.infeasible()
	}
	s.finish(bound)
	if !s.plan.Residuals.IsZero() {
		return nil, &Fault{Code: NoRounding, Detail: "no tradable quantities near the solution keep every rule"}
	}
	return &s.plan, nil
}

// solveVariants solves the fixed and, where asked for, the mixed problem for every variant of the
// tax and returns the certified bound of the problem that is planned.
func (s *Solver) solveVariants() float64 {
	if !s.book.a.Gains.IsNetted {
		return s.solveVariant(0)
	}
	spent := s.book.yearTax(s.book.realised[0], s.book.realised[1])
	least := infinite
	var winner variant
	list, n := s.book.variants(&s.p)
	for k, v := range list[:n] {
		before := s.known()
		s.book.enter(&s.p, v, spent)
		if k > 0 {
			s.search.clamp()
		}
		least = min(least, s.solveVariant(int32(k)))
		if s.known() < before {
			winner = v
		}
	}
	s.book.enter(&s.p, winner, spent)
	return least
}

// known is the objective of the best trades so far: of whole shares where they are searched.
func (s *Solver) known() float64 {
	if s.whole.isOn {
		return s.whole.value
	}
	return s.search.best.value
}

// solveVariant adds the solutions of the problem at hand to those of the plan and returns the
// certified bound of the problem that is planned.
func (s *Solver) solveVariant(k int32) float64 {
	search, p, o := &s.search, &s.p, s.book.o
	search.best, s.spare = s.spare, search.best // keeps what earlier variants found
	search.best.reset(p, len(s.book.a.Lots))
	search.clearTree()
	search.run(p.fixed, k, o)
	fixed := Outcome{search.best.value, s.bounder.tree(search, p.fixed, k), !math.IsInf(search.best.value, 1)}
	if k > 0 {
		s.plan.Fixed = leastOf(s.plan.Fixed, fixed)
	} else {
		s.plan.Fixed = fixed
	}
	isAllowed := !s.book.hasLeast() || o.Roles == Fixed
	if !isAllowed || search.best.value >= s.spare.value {
		search.best, s.spare = s.spare, search.best
	}
	all := p.all
	if o.Roles == Fixed {
		if all = p.fixed; !s.book.hasWhole() {
			return fixed.Bound
		}
	} else {
		if !fixed.IsFeasible { // the dual has gone far away
			search.begin(o.IdleCash)
		}
		search.clearTree()
		search.run(all, k, o)
	}
	return s.certified(all, k)
}

// leastOf joins the outcomes of two parts of a problem.
func leastOf(a, b Outcome) Outcome {
	return Outcome{min(a.Objective, b.Objective), min(a.Bound, b.Bound), a.IsFeasible || b.IsFeasible}
}

// certified returns the bound of the tree at hand, counting whole shares.
func (s *Solver) certified(all []uint8, k int32) float64 {
	v := &s.bounder
	v.tick = v.tick[:0]
	if s.book.hasWhole() {
		v.tick = s.grid
	}
	bound := 0.0
	if s.whole.isOn && !math.IsInf(s.search.best.value, 1) {
		bound = s.branchWhole(all, k)
	} else {
		bound = v.tree(&s.search, all, k)
	}
	v.tick = v.tick[:0]
	return bound
}

// setGrid sets the value of one share by item, 0 where fractions trade.
func (s *Solver) setGrid() {
	b := &s.book
	s.grid = resize(s.grid, s.p.items)
	for i := range b.u.Securities {
		if b.isWhole(i) {
			s.grid[i] = b.priceOf(i) / b.worth
		}
	}
}

// infeasible names why there is no solution: the cash row has the usual fault.
func (s *Solver) infeasible() *Fault {
	if s.search.now.dual[s.p.factors] > 1 || len(s.book.a.Groups) == 0 && !s.p.isClassed {
		return &Fault{Code: NoCash, Detail: "no allowed trades raise the cash needed"}
	}
	return &Fault{Code: BadBands, Detail: "no allowed trades meet all bands and budgets"}
}

// finish rounds the solution, certifies it and says why.
func (s *Solver) finish(bound float64) {
	plan, b := &s.plan, &s.book
	plan.Unrounded = Outcome{s.search.best.value, bound, true}
	b.measure(&s.now, plan)
	plan.NoTrade, plan.IsIdleAllowed = s.now.parts.Total(), s.now.residuals.IsZero()
	isRounded := s.round()
	if plan.IsIdleAllowed && (!isRounded || s.now.parts.Total() >= plan.NoTrade) {
		plan.Trades, plan.Conversions = plan.Trades[:0], plan.Conversions[:0]
		b.measure(&s.now, plan)
	}
	m := &s.now
	plan.Parts, plan.Objective, plan.Residuals = m.parts, m.parts.Total(), m.residuals
	plan.TrackingError = math.Sqrt(m.variance)
	plan.CashAfter = money.Zero
	for _, c := range m.cash {
		plan.CashAfter = plan.CashAfter.Add(c)
	}
	plan.Bound = bound
	plan.RoundingLoss = plan.Objective - plan.Unrounded.Objective
	plan.GapBP = (plan.Objective - bound) * 1e4
	plan.GapMoney = gapMoney(plan.Objective-bound, b.value)
	plan.Steps, plan.Branches = s.search.iterations, s.search.nodesUsed
	s.explain()
}

// gapMoney turns a gap into money of the account's value, at 1e-12 of it.
func gapMoney(gap float64, value money.Dec) money.Dec {
	return money.FromUnits(int64(math.Round(gap*1e12)), money.Places).Mul(value)
}
