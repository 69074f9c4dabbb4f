package optimum_test

import (
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"

	"daybreak/money"
	"daybreak/rebalance/optimum"
)

// enumeration is one account's problem written out again from its definition, for all choices of
// role: bought, sold, left alone. It is for at most a dozen securities.
type enumeration struct {
	u     *optimum.Universe
	a     *optimum.Account
	o     optimum.Options
	value float64
	held  []float64
}

type role int

const (
	convex role = iota // buys and sells at will
	seller
	idle
	buyer
)

func newEnumeration(u *optimum.Universe, a *optimum.Account, o optimum.Options) *enumeration {
	e := &enumeration{u: u, a: a, o: o, held: make([]float64, len(u.Securities))}
	e.value = a.Cash.Float()
	for _, b := range a.Balances {
		e.value += b.Cash.Float()
	}
	for _, l := range a.Lots {
		e.value += l.Shares.Float() * u.Securities[l.Security].Price.Float()
	}
	for _, l := range a.Lots {
		e.held[l.Security] += e.lotValue(l)
	}
	return e
}

func (e *enumeration) lotValue(l optimum.Lot) float64 {
	return l.Shares.Float() * e.u.Securities[l.Security].Price.Float() / e.value
}

func (e *enumeration) gain(l optimum.Lot) float64 {
	v := e.lotValue(l) * e.value
	return (v - l.Cost.Float()) / v
}

// harvests reports whether a security may be sold at a loss.
func (e *enumeration) harvests(i int) bool {
	for _, l := range e.a.Lots {
		g := e.gain(l)
		if int(l.Security) == i && !l.LossBarred && g < 0 && -g/(1-g) >= e.o.HarvestMin && !e.rule(i).LossBarred && !e.rule(i).NoSell {
			return true
		}
	}
	return false
}

func (e *enumeration) rule(i int) optimum.Rule {
	if len(e.a.Rules) == 0 {
		return optimum.Rule{}
	}
	return e.a.Rules[i]
}

// roles lists the roles that security i may take.
func (e *enumeration) roles(i int) []role {
	buys := !e.rule(i).NoBuy && !e.rule(i).BuyBarred
	sells := !e.rule(i).NoSell && e.held[i] > 0
	out := []role{}
	switch {
	case e.a.MinTrade.Sign() > 0:
		out = append(out, idle)
	case e.a.Gains.IsNetted || e.a.Gains.HasBudget || e.harvests(i):
	default:
		return []role{convex}
	}
	if sells {
		out = append(out, seller)
	}
	if buys {
		out = append(out, buyer)
	}
	if len(out) == 0 {
		out = append(out, idle)
	}
	return out
}

// optimum returns the least objective over all roles and, with netted gains, all regions.
func (e *enumeration) optimum(t *testing.T) float64 {
	regions := []taxRegion{{rate: [2]float64{e.o.ShortRate, e.o.LongRate}}}
	if e.a.Gains.IsNetted {
		regions = e.regions()
	}
	best := math.Inf(1)
	pattern := make([]role, len(e.u.Securities))
	for _, g := range regions {
		e.each(pattern, 0, func() {
			if f, _, ok := e.problem(pattern, g).solve(t); ok && f < best {
				best = f
			}
		})
	}
	return best
}

func (e *enumeration) each(pattern []role, i int, do func()) {
	if i == len(pattern) {
		do()
		return
	}
	for _, r := range e.roles(i) {
		pattern[i] = r
		e.each(pattern, i+1, do)
	}
}

// taxRegion is where tax is rate·(short, long) + constant, and each sign·(short, long) <= 0.
type taxRegion struct {
	rate     [2]float64
	sign     [][2]float64
	constant float64
}

func (e *enumeration) soFar() (s, l float64) {
	return e.a.Gains.ShortSoFar.Float() / e.value, e.a.Gains.LongSoFar.Float() / e.value
}

func (e *enumeration) regions() []taxRegion {
	rs, rl, rn := e.o.ShortRate, e.o.LongRate, e.a.Gains.LossRate.Float()
	out := []taxRegion{
		{rate: [2]float64{rs, rl}, sign: [][2]float64{{-1, 0}, {0, -1}}},
		{rate: [2]float64{rl, rl}, sign: [][2]float64{{1, 0}, {-1, -1}}},
		{rate: [2]float64{rs, rs}, sign: [][2]float64{{0, 1}, {-1, -1}}},
		{rate: [2]float64{rn, rn}, sign: [][2]float64{{1, 1}}},
	}
	s, l := e.soFar()
	spent := 0.0
	for _, g := range out {
		inside := true
		for _, n := range g.sign {
			inside = inside && n[0]*s+n[1]*l <= 0
		}
		if inside {
			spent = g.rate[0]*s + g.rate[1]*l
		}
	}
	for k := range out {
		out[k].constant = out[k].rate[0]*s + out[k].rate[1]*l - spent
	}
	return out
}

// problem writes the quadratic problem of one choice of roles. Variables: purchases by security,
// sales by lot, conversions bought, conversions sold.
func (e *enumeration) problem(pattern []role, g taxRegion) *quadratic {
	n, lots, fx := len(e.u.Securities), len(e.a.Lots), len(e.a.Balances)
	size := n + lots + 2*fx
	q := &quadratic{q: mat.NewSymDense(size, nil), c: make([]float64, size)}
	q.constant = g.constant
	e.addRisk(q)
	cash := make([][]float64, 1+fx) // what each variable spends
	for k := range cash {
		cash[k] = make([]float64, size)
	}
	for i, s := range e.u.Securities {
		k := s.Cost.Float()
		q.c[i] += k
		cash[s.Cash][i] = 1 + k
	}
	gains := [2][]float64{make([]float64, size), make([]float64, size)}
	for j, l := range e.a.Lots {
		s := e.u.Securities[l.Security]
		class := 1
		if l.IsShort {
			class = 0
		}
		q.c[n+j] += g.rate[class]*e.gain(l) + s.Cost.Float()
		gains[class][n+j] = e.gain(l)
		cash[s.Cash][n+j] = s.Cost.Float() - 1
	}
	for k, b := range e.a.Balances {
		up, down := n+lots+2*k, n+lots+2*k+1
		spread := b.Spread.Float()
		for _, v := range []int{up, down} {
			q.c[v] += spread
			q.q.SetSym(v, v, 2e-4)
			q.bound(v, 0, 4)
		}
		cash[0][up], cash[1+k][up] = 1+spread, -1
		cash[0][down], cash[1+k][down] = spread-1, 1
	}
	e.addCash(q, cash)
	e.addGains(q, gains, g)
	e.addLimits(q, pattern)
	return q
}

// addRisk adds G·(|B'x|² + Σ d·x²) for x = held − target + bought − sold.
func (e *enumeration) addRisk(q *quadratic) {
	n := len(e.u.Securities)
	covariance := func(i, j int) float64 {
		a, b := e.u.Securities[i], e.u.Securities[j]
		sum := 0.0
		for k := range a.Load {
			sum += a.Load[k] * b.Load[k]
		}
		if i == j {
			sum += a.SpecificVol * a.SpecificVol
		}
		return e.o.RiskAversion * sum
	}
	owner := make([]int, len(q.c))
	sign := make([]float64, len(q.c))
	for i := range n {
		owner[i], sign[i] = i, 1
	}
	for j, l := range e.a.Lots {
		owner[n+j], sign[n+j] = int(l.Security), -1
	}
	x0 := make([]float64, n)
	for i := range n {
		x0[i] = e.held[i] - e.a.Targets[i].Float()
	}
	for i := range n {
		for j := range n {
			q.constant += covariance(i, j) * x0[i] * x0[j]
		}
	}
	for a := range q.c {
		for j := range n {
			q.c[a] += 2 * sign[a] * covariance(owner[a], j) * x0[j]
		}
		for b := a; b < len(q.c); b++ {
			q.q.SetSym(a, b, q.q.At(a, b)+2*sign[a]*sign[b]*covariance(owner[a], owner[b]))
		}
	}
}

func (e *enumeration) addCash(q *quadratic, cash [][]float64) {
	amount := []float64{e.a.Cash.Float() / e.value}
	least := []float64{e.o.CashFloor.Float() + e.a.Withdrawal.Float()/e.value}
	for _, b := range e.a.Balances {
		amount = append(amount, b.Cash.Float()/e.value)
		least = append(least, b.Least.Float()/e.value)
	}
	for k, row := range cash {
		q.add(row, amount[k]-least[k])
		q.constant += e.o.IdleCash * amount[k]
		for v := range row {
			q.c[v] -= e.o.IdleCash * row[v]
		}
	}
}

func (e *enumeration) addGains(q *quadratic, gains [2][]float64, g taxRegion) {
	s, l := e.soFar()
	sum := func(a, b float64) []float64 {
		row := make([]float64, len(q.c))
		for v := range row {
			row[v] = a*gains[0][v] + b*gains[1][v]
		}
		return row
	}
	for _, n := range g.sign {
		q.add(sum(n[0], n[1]), -n[0]*s-n[1]*l)
	}
	if e.a.Gains.HasBudget {
		q.add(sum(1, 1), e.a.Gains.Budget.Float()/e.value-s-l)
	}
}

func (e *enumeration) addLimits(q *quadratic, pattern []role) {
	n := len(e.u.Securities)
	net := func(members map[int]bool, sign float64) []float64 {
		row := make([]float64, len(q.c))
		for i := range n {
			if members[i] {
				row[i] = sign
			}
		}
		for j, l := range e.a.Lots {
			if members[int(l.Security)] {
				row[n+j] = -sign
			}
		}
		return row
	}
	band := func(members map[int]bool, lower, upper money.Dec) {
		held := 0.0
		for i := range members {
			held += e.held[i]
		}
		if upper.Sign() > 0 {
			q.add(net(members, 1), upper.Float()-held)
		}
		if lower.Sign() > 0 {
			q.add(net(members, -1), held-lower.Float())
		}
	}
	least := e.a.MinTrade.Float() / e.value
	for i, r := range pattern {
		hi := 1.0
		if r == seller || r == idle || e.rule(i).NoBuy || e.rule(i).BuyBarred {
			hi = 0
		}
		q.bound(i, 0, hi)
		switch {
		case r == buyer && least > 0:
			q.add(net(map[int]bool{i: true}, -1), -least)
		case r == seller && least > 0:
			q.add(net(map[int]bool{i: true}, 1), -least)
		}
		band(map[int]bool{i: true}, e.rule(i).Lower, e.rule(i).Upper)
	}
	for _, g := range e.a.Groups {
		members := map[int]bool{}
		for _, i := range g.Securities {
			members[int(i)] = true
		}
		band(members, g.Lower, g.Upper)
	}
	for j, l := range e.a.Lots {
		i := int(l.Security)
		hi := e.lotValue(l)
		isLoss := e.gain(l) < 0
		if r := pattern[i]; r == buyer || r == idle || e.rule(i).NoSell || isLoss && (l.LossBarred || !e.harvests(i)) {
			hi = 0
		}
		q.bound(n+j, 0, hi)
	}
}
