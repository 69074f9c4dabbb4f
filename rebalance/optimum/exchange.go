package optimum

// shift is a move of one item to the next count that is allowed on one side, at the trades at hand.
type shift struct {
	n    int64
	by   float64          // change of the trade
	loss float64          // of the objective, rows that are passed at a price left out
	cash float64          // change of the item's row of cash
	soft [netRows]float64 // change of the rows that may be passed at a price
}

// pairing is what exchange knows of all items at the trades at hand, so that two of them can be looked
// at together for a few operations.
type pairing struct {
	cross  []float64 // items × items, load·load
	shifts []shift   // items × 2, down and up; by is 0 where there is none
	slope  []float64 // by item, of the objective for a purchase
	bend   []float64 // by item, of by² for a purchase
	cashOf []int32   // by item, the row of cash that pays for it
}

// prepare sets what no trade changes.
func (g *pairing) prepare(r *rounder) {
	p := r.p
	n, k := p.items, p.factors
	g.cross = resize(g.cross, n*n)
	g.shifts = resize(g.shifts, 2*n)
	g.slope, g.bend = resize(g.slope, n), resize(g.bend, n)
	g.cashOf = resize(g.cashOf, n)
	for i := range n {
		load := p.load[i*k : (i+1)*k]
		for j := range i + 1 {
			c := dot(load, p.load[j*k:(j+1)*k])
			g.cross[i*n+j], g.cross[j*n+i] = c, c
		}
		g.cashOf[i] = int32(r.cashRow(i))
		g.bend[i] = float64(p.aversion*g.cross[i*n+i]) + float64(0.5*p.curve[i])
	}
}

// cashRow is the row of cash that pays for purchases of item i.
func (r *rounder) cashRow(i int) int {
	p, k := r.p, 0
	for k+1 < p.rows && p.buyRow[i*p.rows+k] <= 0 {
		k++
	}
	return k
}

// look sets what the trades at hand decide of item i.
func (g *pairing) look(r *rounder, i int) {
	p := r.p
	t := r.trade[i]
	pull := float64(2 * p.aversion * dot(p.load[i*p.factors:(i+1)*p.factors], r.exposure))
	own := float64(p.curve[i]*(p.start[i]+t)) + pull
	g.slope[i] = own + p.buyCost[i]
	before := p.tradeCost(i, t)
	for side, by := range [...]int64{-1, 1} {
		s := &g.shifts[2*i+side]
		*s = shift{n: r.next(i, r.count[i], by)}
		if s.n == r.count[i] {
			continue
		}
		to := r.value(i, s.n)
		s.by = to - t
		s.loss = float64(s.by*own) + float64(float64(s.by*s.by)*g.bend[i]) + p.tradeCost(i, to) - before
		k := int(g.cashOf[i])
		s.cash = p.rowOf(i, k, to) - p.rowOf(i, k, t)
		for k := range r.soft {
			row := p.rows - r.soft + k
			s.soft[k] = p.rowOf(i, row, to) - p.rowOf(i, row, t)
		}
	}
}

// nudge sets what all items lose for a change of item i's trade.
func (g *pairing) nudge(r *rounder, i int, by float64) {
	cross := g.cross[i*r.p.items : (i+1)*r.p.items]
	pull := 2 * r.p.aversion * by
	for j, c := range cross {
		d := float64(pull * c)
		g.slope[j] += d
		g.shifts[2*j].loss += float64(d * g.shifts[2*j].by)
		g.shifts[2*j+1].loss += float64(d * g.shifts[2*j+1].by)
	}
}

// exchange moves each item by a tick together with the item that goes best with it, by a tick or by
// all that the first leaves in cash, where that lowers the objective. It reports whether any did.
func (r *rounder) exchange() bool {
	if r.p.items > exchangeMax {
		return false
	}
	g := &r.pairs
	g.prepare(r)
	for i := range r.p.items {
		g.look(r, i)
	}
	moved := false
	for i := range r.p.items {
		for side := range 2 {
			m := r.bestPair(i, side)
			if m.i < 0 {
				continue
			}
			byI, byJ := r.trade[m.i], r.trade[m.j]
			r.movePair(m)
			g.nudge(r, m.i, r.trade[m.i]-byI)
			g.nudge(r, m.j, r.trade[m.j]-byJ)
			g.look(r, m.i)
			g.look(r, m.j)
			moved = true
		}
	}
	return moved
}

// bestPair returns the move of item i to one side together with the one of another item whose loss is
// least and below none; i < 0 where there is none.
func (r *rounder) bestPair(i, side int) pair {
	g, p := &r.pairs, r.p
	s := g.shifts[2*i+side]
	best := pair{i: -1}
	if s.by == 0 {
		return best
	}
	least := -gainLeast
	pull := 2 * p.aversion * s.by
	take := func(j int, o shift) {
		loss := s.loss + o.loss + float64(float64(pull*o.by)*g.cross[i*p.items+j])
		for k := range r.soft {
			row := p.rows - r.soft + k
			over := r.rowSum[row] - p.limit[row]
			loss += p.penalty(row, over+s.soft[k]+o.soft[k]) - p.penalty(row, over)
		}
		if loss < least && r.keepsRows(i, j, s.n, o.n) {
			best, least = pair{i, j, s.n, o.n}, loss
		}
	}
	for j := range p.items {
		if j == i {
			continue
		}
		spare := r.spare(g.cashOf[j])
		if g.cashOf[j] == g.cashOf[i] {
			spare -= s.cash
		}
		for side := range 2 {
			if o := g.shifts[2*j+side]; o.by != 0 && o.cash <= spare {
				take(j, o)
			}
		}
		if o, ok := r.spendAll(j, spare); ok {
			take(j, o)
		}
	}
	return best
}

// spare is the cash of row k beyond its need.
func (r *rounder) spare(k int32) float64 {
	return r.p.limit[k] - r.rowSum[k] - r.short[k] + rowSlack
}

// spendAll is a purchase of item j for all of an amount, where that is more than a tick.
func (r *rounder) spendAll(j int, spare float64) (shift, bool) {
	g, p := &r.pairs, r.p
	per := float64(p.buyRow[j*p.rows+int(g.cashOf[j])] * r.tick[j])
	if r.count[j] < 0 || per <= 0 || spare < per+per {
		return shift{}, false
	}
	n := min(r.count[j]+int64(spare/per), r.high[j])
	if n <= r.count[j]+1 || !r.isAllowed(j, n) {
		return shift{}, false
	}
	by := r.value(j, n) - r.trade[j]
	return shift{n: n, by: by, loss: float64(by*g.slope[j]) + float64(float64(by*by)*g.bend[j])}, true
}

// keepsRows reports whether no row is passed where item i trades ni ticks and item j nj.
func (r *rounder) keepsRows(i, j int, ni, nj int64) bool {
	from := r.count[i]
	r.move(i, ni)
	keeps := r.excess(j, nj) == 0
	r.move(i, from)
	return keeps
}
