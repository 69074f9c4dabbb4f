package optimum

import (
	"math"
	"slices"
)

// bounder recomputes the dual function for the certificate. It shares the arrays of the problem
// with the solver, and no code: it lists the points at which each item's cost can have its least,
// instead of walking to it.
type bounder struct {
	p     *problem
	tick  []float64 // with whole shares, the value of one; else empty
	mask  []uint8
	order []int32
	cuts  []cut
	mu    []float64
}

// boundAllowance is taken off every bound for the rounding of its sums.
const boundAllowance = 1e-13

// cut is a point of an item's trade where its slope jumps: t <= 0, cost there, and slope of the cost
// below it for a unit sold.
type cut struct{ t, cost, slope float64 }

// tree returns the least bound over the open nodes: for each the dual function at the node's dual
// point over the pieces that the node allows.
func (v *bounder) tree(s *search, all []uint8, variant int32) float64 {
	least := math.Inf(1)
	dim := v.p.factors + v.p.rows
	for k := range s.nodes {
		n := &s.nodes[k]
		if !n.isOpen || n.variant != variant {
			continue
		}
		v.mask = append(v.mask[:0], all...)
		for j := n; j.parent >= 0; j = &s.nodes[j.parent] {
			v.mask[j.item] &= j.mask
		}
		least = min(least, v.at(s.duals[k*dim:(k+1)*dim], v.mask))
	}
	return least - boundAllowance
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
		if mask>>j&1 == 0 {
			continue
		}
		in := p.piece[i*piecesMax+j]
		if in.hi >= 0 {
			least = min(least, v.side(i, exposure, cut{0, 0, -buy}, piece{max(in.lo, 0), in.hi}))
		}
		if in.lo > 0 {
			continue
		}
		for n, c := range v.cuts {
			lo := in.lo
			if n+1 < len(v.cuts) {
				lo = max(lo, v.cuts[n+1].t)
			}
			if hi := min(c.t, in.hi); lo <= hi {
				least = min(least, v.side(i, exposure, c, piece{lo, hi}))
			}
		}
	}
	return least
}

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

// side returns the least over t in [lo, hi] of the smooth part plus c.cost + c.slope·(c.t − t). With
// whole shares only their multiples, and the ends of the range, are looked at.
func (v *bounder) side(i int, exposure float64, c cut, in piece) float64 {
	a, x0 := v.p.curve[i], v.p.start[i]
	best := (c.slope-exposure)/a - x0
	value := func(t float64) float64 {
		x := x0 + t
		return float64(x*(float64(0.5*a*x)+exposure)) + (c.cost + float64(c.slope*(c.t-t)))
	}
	if len(v.tick) == 0 || v.tick[i] == 0 || best <= in.lo || best >= in.hi {
		return value(min(max(best, in.lo), in.hi))
	}
	down := math.Floor(best/v.tick[i]) * v.tick[i]
	return min(value(max(down, in.lo)), value(min(down+v.tick[i], in.hi)))
}
