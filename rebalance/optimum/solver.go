package optimum

import "math"

// Solver plans accounts one after another; it owns all memory that a plan needs and uses it again.
// A Solver is for one goroutine. The zero value is ready.
type Solver struct {
	book   book
	p      problem
	search search
	fixed  incumbent
	plan   Plan
}

// Outcome is a solution before rounding: its objective and a lower bound. IsFeasible is false where
// none was found; the numbers mean nothing then.
type Outcome struct {
	Objective, Bound float64
	IsFeasible       bool
}

// Plan is TODO.
type Plan struct {
	Fixed                          Outcome
	Best                           Outcome
	Iterations, Nodes, Evaluations int
}

// Solve TODO.
func (s *Solver) Solve(u *Universe, a *Account, o *Options) (*Plan, error) {
	b, p := &s.book, &s.p
	b.u, b.a, b.o = u, a, o
	if f := b.prepare(p); f != nil {
		return nil, f
	}
	s.search.reset(p, len(a.Lots))
	s.search.begin(o.IdleCash)
	bound := s.search.run(p.fixed, 0, o)
	s.plan.Fixed = Outcome{s.search.best.value, bound, !math.IsInf(s.search.best.value, 1)}
	s.plan.Best = s.plan.Fixed
	if o.Roles == Mixed {
		s.search.clearTree()
		bound = s.search.run(p.all, 0, o)
		s.plan.Best = Outcome{s.search.best.value, bound, !math.IsInf(s.search.best.value, 1)}
	}
	s.plan.Iterations, s.plan.Nodes = s.search.iterations, s.search.nodesUsed
	s.plan.Evaluations = s.search.evaluations
	return &s.plan, nil
}
