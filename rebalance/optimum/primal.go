package optimum

// objective returns the objective of the trades of d, which belong to one piece an item, and
// reports whether they keep all hard rows.
func (p *problem) objective(d *dualPoint) (float64, bool) {
	f := p.constant
	for r, sum := range d.rowSum {
		over := sum - p.limit[r]
		if over > feasible && p.cap[r] == infinite {
			return 0, false
		}
		f += p.penalty(r, over)
	}
	for k, z := range d.dual[:p.factors] {
		y := d.gradient[k] + z/(2*p.aversion)
		f += float64(float64(p.aversion*y) * y)
	}
	for i, t := range d.trade {
		x := p.start[i] + t
		f += float64(float64(0.5*p.curve[i]*x)*x) + p.tradeCost(i, t)
	}
	return f, true
}

// penalty is what passing the limit of row r by over costs; 0 for a hard row.
func (p *problem) penalty(r int, over float64) float64 {
	if over <= 0 || p.cap[r] == infinite {
		return 0
	}
	return p.cap[r] * over
}

// tradeCost returns cost and tax of trade t of item i, lots sold in the order at hand.
func (p *problem) tradeCost(i int, t float64) float64 {
	if t >= 0 {
		return p.buyCost[i] * t
	}
	cost, left := 0.0, -t
	for l := p.lots.first[i]; l < p.lots.first[i+1] && left > 0; l++ {
		u := min(left, p.lots.value[l])
		left -= u
		cost += float64(u * (float64(p.rate[p.lots.class[l]]*p.lots.gain[l]) + p.sellCost[i]))
	}
	return cost
}

// allot writes what the trades sell of each lot of the account.
func (p *problem) allot(trade, sold []float64) {
	clear(sold)
	for i, t := range trade {
		left := -t
		for l := p.lots.first[i]; l < p.lots.first[i+1] && left > 0; l++ {
			u := min(left, p.lots.value[l])
			left -= u
			if k := p.lots.source[l]; k >= 0 {
				sold[k] = u
			}
		}
	}
}
