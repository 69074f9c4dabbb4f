package optimum

import "math"

// dualPoint is the dual function at one point: its value, and what Newton's method and the search
// need there. The dual vector holds a price for each factor, then a multiplier for each row.
//
// Where an item may trade on several pieces, soft is the smooth lower estimate in which the least
// of the pieces is replaced by a mean with weights that depend on their values (see blend), at most
// ε/3 below it; hard takes the least itself, so it is a lower bound of the problem at every dual
// point with multipliers >= 0.
type dualPoint struct {
	dual       []float64
	soft, hard float64
	gradient   []float64 // of soft
	trade      []float64 // by item, mean over its pieces
	choice     []uint8   // by item, the piece of the least value
	spread     []float64 // by item, what the next best piece costs more; +Inf where there is one piece
	doubt      []float64 // by item, about what its choice of piece adds to the gap
	omega      []float64 // by item, curvature along the loadings
	kappa      []float64 // items × rows, mixed curvature
	rho        []float64 // rows × rows, curvature of the rows
	rowSum     []float64 // by row
}

func (d *dualPoint) resize(p *problem) {
	dim := p.factors + p.rows
	d.dual = resize(d.dual, dim)
	d.gradient = resize(d.gradient, dim)
	d.trade = resize(d.trade, p.items)
	d.choice = resize(d.choice, p.items)
	d.spread = resize(d.spread, p.items)
	d.doubt = resize(d.doubt, p.items)
	d.omega = resize(d.omega, p.items)
	d.kappa = resize(d.kappa, p.items*p.rows)
	d.rho = resize(d.rho, p.rows*p.rows)
	d.rowSum = resize(d.rowSum, p.rows)
}

var infinite = math.Inf(1)

// evaluate fills d at d.dual for the pieces in mask.
func (p *problem) evaluate(d *dualPoint, mask []uint8, eps float64) {
	p.reprice(d.dual[p.factors:])
	clear(d.gradient)
	clear(d.rho)
	clear(d.rowSum)
	total, hard := 0.0, 0.0
	for i := range p.items {
		c := p.pricesAt(i, d.dual)
		var soft, least float64
		if m := mask[i]; m&(m-1) == 0 {
			soft = p.single(d, i, c, m)
			least = soft
		} else {
			soft, least = p.several(d, i, c, choices{m, eps})
		}
		total += soft
		hard += least
		axpy(p.start[i]+d.trade[i], p.load[i*p.factors:(i+1)*p.factors], d.gradient)
	}
	rest := p.constant
	for k, z := range d.dual[:p.factors] {
		rest -= float64(z*z) / (4 * p.aversion)
		d.gradient[k] -= z / (2 * p.aversion)
	}
	for r, mu := range d.dual[p.factors:] {
		rest -= float64(mu * p.limit[r])
		d.gradient[p.factors+r] = d.rowSum[r] - p.limit[r]
	}
	d.soft, d.hard = total+rest, hard+rest
}

// single takes the only piece of an item.
func (p *problem) single(d *dualPoint, i int, c prices, mask uint8) float64 {
	j := lowest(mask)
	q := &p.scratch[0]
	p.minimise(i, c, p.piece[i*piecesMax+j], q)
	d.trade[i], d.choice[i], d.spread[i], d.doubt[i] = q.t, uint8(j), infinite, 0
	p.only(d, i, q)
	return q.value
}

// only takes q as the whole trade of item i.
func (p *problem) only(d *dualPoint, i int, q *point) {
	if p.rows == 1 && !p.isClassed {
		p.onlyCash(d, i, q)
		return
	}
	p.addRows(d, i, q, 1)
	d.omega[i] = 0
	for _, r := range p.rowsOf(i) {
		d.kappa[i*p.rows+int(r)] = 0
	}
	if q.isFree {
		p.addCurve(d, i, q, 1/p.curve[i])
	}
}

// onlyCash is only where cash is the one row: the usual case.
func (p *problem) onlyCash(d *dualPoint, i int, q *point) {
	per := p.buyRow[i]
	if q.t < 0 {
		per = -p.sellRow[i]
	}
	d.rowSum[0] += float64(per * q.t)
	d.omega[i], d.kappa[i] = 0, 0
	if q.isFree {
		w := 1 / p.curve[i]
		slope := float64(w * per)
		d.omega[i], d.kappa[i] = w, slope
		d.rho[0] += float64(slope * per)
	}
}

func (p *problem) addRows(d *dualPoint, i int, q *point, weight float64) {
	if q.t == 0 {
		return
	}
	for _, r := range p.rowsOf(i) {
		d.rowSum[r] += float64(weight * p.row(i, int(r), q))
	}
}

// addCurve adds the curvature of a free point with the given weight.
func (p *problem) addCurve(d *dualPoint, i int, q *point, weight float64) {
	d.omega[i] += weight
	kappa := d.kappa[i*p.rows : (i+1)*p.rows]
	rows := p.rowsOf(i)
	for n, r := range rows {
		slope := float64(weight * p.rowSlope(i, int(r), q))
		kappa[r] += slope
		for _, s := range rows[:n+1] {
			d.rho[int(r)*p.rows+int(s)] += float64(slope * p.rowSlope(i, int(s), q))
		}
	}
}

// choices are the pieces that an item may still take, and the width of the smoothing.
type choices struct {
	mask uint8
	eps  float64
}

// several takes the smoothed least over the pieces of an item; it returns the smooth and the hard
// value.
func (p *problem) several(d *dualPoint, i int, c prices, in choices) (soft, hard float64) {
	q := &p.scratch
	best, next := -1, infinite
	for j := range piecesMax {
		if in.mask>>j&1 == 0 {
			continue
		}
		p.minimise(i, c, p.piece[i*piecesMax+j], &q[j])
		switch {
		case best < 0:
			best = j
		case q[j].value < q[best].value:
			next, best = q[best].value, j
		case q[j].value < next:
			next = q[j].value
		}
	}
	hard = q[best].value
	d.choice[i], d.spread[i], d.doubt[i] = uint8(best), next-hard, 0
	if d.spread[i] >= in.eps {
		d.trade[i] = q[best].t
		p.only(d, i, &q[best])
		return hard, hard
	}
	d.omega[i] = 0
	for _, r := range p.rowsOf(i) {
		d.kappa[i*p.rows+int(r)] = 0
	}
	return p.blend(d, i, q, in), hard
}

// blend weighs the pieces of an item by their values and adds their mean and spread. The weights
// minimise Σ weight·value + ε/2·(Σ weight² − 1) over the simplex, so the result is at most the
// least value and everything stays piecewise quadratic.
func (p *problem) blend(d *dualPoint, i int, q *[piecesMax]point, in choices) float64 {
	weight := weigh(q, in)
	b := blendOf{weight: weight, eps: in.eps}
	best := int(d.choice[i])
	soft, squares, mean := 0.0, -1.0, 0.0
	for j, w := range weight {
		if w == 0 {
			continue
		}
		b.support++
		b.mean += q[j].t
		mean += float64(w * q[j].t)
		soft += float64(w * (q[j].value - q[best].value))
		squares += float64(w * w)
		p.addRows(d, i, &q[j], w)
		if q[j].isFree {
			p.addCurve(d, i, &q[j], w/p.curve[i])
		}
	}
	d.trade[i], d.doubt[i] = mean, p.hollow(i, q, weight, mean)
	if b.support > 1 {
		b.mean /= float64(b.support)
		p.addSpread(d, i, q, b)
	}
	return q[best].value + soft + float64(0.5*in.eps*squares)
}

// hollow returns how far the cost of the mean trade lies above the mean cost, if costs were smooth:
// what the item adds to the gap.
func (p *problem) hollow(i int, q *[piecesMax]point, weight [piecesMax]float64, mean float64) float64 {
	least := infinite
	for j, w := range weight {
		if dt := q[j].t - mean; w > 0 {
			least = min(least, float64(0.5*p.curve[i]*dt)*dt)
		}
	}
	return least
}

// weigh projects the values of the pieces onto the simplex: weight_j = max(0, (level − value_j)/ε)
// with the level at which they sum to one.
func weigh(q *[piecesMax]point, in choices) (weight [piecesMax]float64) {
	isIn := in.mask
	for range piecesMax {
		n, sum := 0, 0.0
		for j := range piecesMax {
			if isIn>>j&1 == 1 {
				n++
				sum += q[j].value
			}
		}
		level := (in.eps + sum) / float64(n)
		worst := -1
		for j := range piecesMax {
			weight[j] = 0
			if isIn>>j&1 == 0 {
				continue
			}
			weight[j] = (level - q[j].value) / in.eps
			if weight[j] <= 0 && (worst < 0 || weight[j] < weight[worst]) {
				worst = j
			}
		}
		if worst < 0 || n == 1 {
			break
		}
		weight[worst] = 0
		isIn &^= 1 << worst
	}
	return weight
}

// blendOf is how the pieces of one item are weighed; support counts those with a weight, mean is
// their plain mean trade.
type blendOf struct {
	weight    [piecesMax]float64
	mean, eps float64
	support   int
}

// addSpread adds the curvature that comes from the weights moving between pieces: the scatter of
// what the weighed pieces add to the gradient, over ε.
func (p *problem) addSpread(d *dualPoint, i int, q *[piecesMax]point, b blendOf) {
	for j, w := range b.weight {
		if dt := q[j].t - b.mean; w > 0 {
			d.omega[i] += float64(dt*dt) / b.eps
		}
	}
	rows := p.rowsOf(i)
	for n, r := range rows {
		mean := 0.0
		for j, w := range b.weight {
			if w > 0 {
				mean += p.row(i, int(r), &q[j]) / float64(b.support)
			}
		}
		for j, w := range b.weight {
			if w == 0 {
				continue
			}
			dr := (p.row(i, int(r), &q[j]) - mean) / b.eps
			d.kappa[i*p.rows+int(r)] += float64(dr * (q[j].t - b.mean))
			for _, s := range rows[:n+1] {
				d.rho[int(r)*p.rows+int(s)] += float64(dr * p.row(i, int(s), &q[j]))
			}
		}
	}
}

// lowest returns the index of the lowest bit of a mask that is not 0.
func lowest(mask uint8) int {
	for j := range piecesMax {
		if mask>>j&1 == 1 {
			return j
		}
	}
	return 0
}

// resize returns a slice of n zeros, with the memory of s where that is enough.
func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	s = s[:n]
	clear(s)
	return s
}
