package optimum

import (
	"math"
	"slices"
)

// bounder recomputes the dual function for the certificate. It shares the arrays of the problem
// with the solver, and no code: it tries every stretch of an item's cost, instead of walking to the
// best.
type bounder struct {
	p     *problem
	tick  []float64 // with whole shares, the value of one; else empty
	mask  []uint8
	piece []piece // of the node at hand
	order []int32
	cuts  []cut
	buy   [1]cut
	mu    []float64
}

// boundAllowance is taken off every bound for the rounding of its sums.
const boundAllowance = 1e-13

// cut is a point of an item's trade where its slope jumps: t, cost there, and what the cost rises by
// for each unit that t falls, down to the next cut.
type cut struct{ t, cost, slope float64 }

// tree returns the least bound over the open nodes.
func (v *bounder) tree(s *search, all []uint8, variant int32) float64 {
	least := math.Inf(1)
	for k := range s.nodes {
		if n := &s.nodes[k]; n.isOpen && n.variant == variant {
			least = min(least, v.node(s, k, all))
		}
	}
	return least - boundAllowance
}

// node returns the dual function at the dual point of node k, over the pieces and ranges that it allows.
func (v *bounder) node(s *search, k int, all []uint8) float64 {
	dim := v.p.factors + v.p.rows
	v.mask = append(v.mask[:0], all...)
	v.piece = append(v.piece[:0], v.p.piece...)
	if len(s.cuts) > 0 {
		copy(v.piece, s.cuts)
	}
	for j := &s.nodes[k]; j.parent >= 0; j = &s.nodes[j.parent] {
		v.mask[j.item] &= j.mask
		for at := j.item * piecesMax; at < (j.item+1)*piecesMax; at++ {
			v.piece[at].lo, v.piece[at].hi = max(v.piece[at].lo, j.lo), min(v.piece[at].hi, j.hi)
		}
	}
	return v.at(s.duals[k*dim:(k+1)*dim], v.mask)
}

// at returns the dual function at one point: a lower bound of every solution within the mask.
// A multiplier out of its range would prove nothing, so it counts as the end it passed.
func (v *bounder) at(dual []float64, mask []uint8) float64 {
	p := v.p
	sum := p.constant
	for _, z := range dual[:p.factors] {
		sum -= float64(z*z) / (4 * p.aversion)
	}
	v.mu = v.mu[:0]
	for r, m := range dual[p.factors:] {
		v.mu = append(v.mu, min(max(m, 0), p.cap[r]))
		sum -= float64(v.mu[r] * p.limit[r])
	}
	for i := range p.items {
		sum += v.item(i, dual[:p.factors], mask[i])
	}
	return sum
}

// item returns the least that item i adds at these prices.
func (v *bounder) item(i int, z []float64, mask uint8) float64 {
	p := v.p
	exposure := 0.0
	for k, price := range z {
		exposure += float64(price * p.load[i*p.factors+k])
	}
	buy, sell := p.buyCost[i], p.sellCost[i]
	for r, m := range v.mu {
		buy += float64(m * p.buyRow[i*p.rows+r])
		sell += float64(m * p.sellRow[i*p.rows+r])
	}
	v.list(i, sell)
	least := math.Inf(1)
	for j := range piecesMax {
		in := v.piece[i*piecesMax+j]
		if mask>>j&1 == 0 || in.lo > in.hi {
			continue
		}
		if in.hi >= 0 {
			v.buy[0] = cut{in.hi, buy * in.hi, -buy}
			least = min(least, v.least(i, exposure, v.buy[:], piece{max(in.lo, 0), in.hi}))
		}
		if in.lo <= 0 {
			least = min(least, v.least(i, exposure, v.cuts, piece{in.lo, min(in.hi, 0)}))
		}
	}
	return least
}

// least returns the least over t in the range of the smooth part of item i plus what the cuts say
// that t costs. With whole shares only they count, and the sale of all; the sum is convex within
// the range, so the best of them lie next to the best t.
func (v *bounder) least(i int, exposure float64, cuts []cut, in piece) float64 {
	if len(cuts) == 0 {
		return v.flat(i, exposure, in)
	}
	best, at := math.Inf(1), 0.0
	for n, c := range cuts {
		lo := in.lo
		if n+1 < len(cuts) {
			lo = max(lo, cuts[n+1].t)
		}
		hi := min(c.t, in.hi)
		if lo > hi {
			continue
		}
		t := min(max((c.slope-exposure)/v.p.curve[i]-v.p.start[i], lo), hi)
		if f := v.value(i, exposure, c, t); f < best {
			best, at = f, t
		}
	}
	if len(v.tick) == 0 || v.tick[i] == 0 {
		return best
	}
	return v.onGrid(i, exposure, cuts, gridAt{at, best, in})
}

// flat is the smooth part at no trade, where that is in the range: an item without lots.
func (v *bounder) flat(i int, exposure float64, in piece) float64 {
	if in.lo > 0 || in.hi < 0 {
		return math.Inf(1)
	}
	return v.value(i, exposure, cut{}, 0)
}

func (v *bounder) value(i int, exposure float64, c cut, t float64) float64 {
	x := v.p.start[i] + t
	return float64(x*(float64(0.5*v.p.curve[i]*x)+exposure)) + (c.cost + float64(c.slope*(c.t-t)))
}

// gridAt is the best t of a range, its value there, and the range.
type gridAt struct {
	t, value float64
	in       piece
}

// onGrid returns the lesser value of the whole shares on both sides of the best t. An end of the
// range that is no multiple counts where it is a sale of all; with no multiple in the range the
// value at the best t stands.
func (v *bounder) onGrid(i int, exposure float64, cuts []cut, g gridAt) float64 {
	tick := v.tick[i]
	down := math.Floor(g.t/tick+gridSlack) * tick
	up := math.Ceil(g.t/tick-gridSlack) * tick
	if g.in.lo < 0 {
		whole := cuts[len(cuts)-1].t - v.p.lots.value[v.order[len(v.order)-1]]
		down = max(down, whole)
	}
	least := math.Inf(1)
	for _, t := range [...]float64{down, up} {
		if slack := gridSlack * tick; t < g.in.lo-float64(slack) || t > g.in.hi+float64(slack) {
			continue
		}
		n := 0
		for n+1 < len(cuts) && cuts[n+1].t > t {
			n++
		}
		least = min(least, v.value(i, exposure, cuts[n], t))
	}
	if math.IsInf(least, 1) {
		return g.value
	}
	return least
}

// gridSlack is the share of a tick by which a multiple may seem off.
const gridSlack = 1e-7

// list sets the cuts of item i's sales, the cheapest lot first.
func (v *bounder) list(i int, sell float64) {
	p := v.p
	first, end := p.lots.first[i], p.lots.first[i+1]
	v.order = v.order[:0]
	for l := first; l < end; l++ {
		v.order = append(v.order, l)
	}
	if p.isClassed {
		slices.SortStableFunc(v.order, func(a, b int32) int {
			return compare(v.slope(a, sell), v.slope(b, sell))
		})
	}
	v.cuts = v.cuts[:0]
	at := cut{}
	for _, l := range v.order {
		at.slope = v.slope(l, sell)
		v.cuts = append(v.cuts, at)
		at.t -= p.lots.value[l]
		at.cost += float64(p.lots.value[l] * at.slope)
	}
}

func compare(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// slope is what a unit sold of lot l costs.
func (v *bounder) slope(l int32, sell float64) float64 {
	p := v.p
	class := int(p.lots.class[l])
	rate := p.rate[class]
	if p.isClassed {
		for r, m := range v.mu {
			rate += float64(m * p.classRow[r*classes+class])
		}
	}
	return float64(rate*p.lots.gain[l]) + sell
}
