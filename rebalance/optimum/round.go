package optimum

import (
	"math"

	"daybreak/money"
)

const (
	sharePlaces = 4 // decimals of a tradable share
	centPlaces  = 2 // decimals of a conversion
	repairsMax  = 400
	polishMax   = 3    // times that spare cash is spent
	sweepsMax   = 8    // with whole shares, over all items
	threeMax    = 24   // items up to which three at a time are tried, and changes of role
	exchangeMax = 1024 // items up to which pairs are tried: their number grows with the square
	gainLeast   = 1e-13
	spareLeast  = 1e-7  // of value; what less cash could earn is nothing
	rowSlack    = 1e-12 // of a row that is checked in float64; cash is checked exactly
)

// rounder turns the trades of a solution into whole ticks: the least shares that trade, or cents of
// a conversion. It keeps the objective's parts at hand, so that a move of one item costs as much as
// it has factors.
type rounder struct {
	p         *problem
	tick      []float64 // value of a tick, by item
	low, high []int64   // ticks allowed, by item; a sale counts down
	mayRest   []bool    // by item: no trade is allowed too, where low and high leave it out
	least     []int64   // by item: ticks that a trade has at least, 1 for no other bound
	count     []int64   // ticks traded
	whole     []float64 // value of all that may be sold; the last tick of a sale may be a part of one
	trade     []float64 // value traded
	exposure  []float64 // load'x
	rowSum    []float64
	weight    []float64 // by row, in an excess
	cashes    int       // rows of cash, the first ones
	soft      int       // rows at the end that may be passed at a price
	short     []float64 // what cash must exceed its need by, in value: grows where rounding was too tight
	pairs     pairing
}

// round sets the rounded trades nearest to the solution, then repairs rows that they break, then
// uses what is left over. Cash is checked exactly; what is missing tightens the row, at most a few
// times. At the end the plan's trades are measured; it reports whether they meet all cash needs.
func (s *Solver) round() bool {
	r := &s.rounder
	s.setTicks()
	if r.near(s.search.best.trade); s.whole.value < infinite {
		copy(r.count, s.whole.count)
	}
	r.sum()
	for range 4 {
		if !r.repair() {
			return false
		}
		r.polish(s.book.hasWhole())
		s.book.tradesOf(r, s.search.best.sold, &s.plan)
		s.book.measure(&s.now, &s.plan)
		missing := s.now.residuals.Cash
		if missing.Sign() <= 0 {
			return true
		}
		for k := range s.book.cash {
			r.short[k] += missing.Float()/s.book.worth + rowSlack
		}
	}
	return false
}

// near sets the counts nearest to trades that are allowed.
func (r *rounder) near(trade []float64) {
	for i, t := range trade {
		n := int64(math.Round(t / r.tick[i]))
		if -t >= r.whole[i]-float64(0.5e-6*r.tick[i]) && t < 0 {
			n = r.low[i]
		}
		r.count[i] = min(max(n, r.low[i]), r.high[i])
		if n = r.count[i]; !r.isAllowed(i, n) {
			r.count[i] = r.next(i, n, sign(t))
		}
	}
}

func sign(t float64) int64 {
	if t < 0 {
		return -1
	}
	return 1
}

// setTicks sets the size of a tick and the range of every item's trade.
func (s *Solver) setTicks() {
	r, p, b := &s.rounder, &s.p, &s.book
	r.p = p
	for _, f := range []*[]float64{&r.tick, &r.whole, &r.trade} {
		*f = resize(*f, p.items)
	}
	for _, c := range []*[]int64{&r.low, &r.high, &r.count} {
		*c = resize(*c, p.items)
	}
	r.mayRest, r.least = resize(r.mayRest, p.items), resize(r.least, p.items)
	r.exposure, r.rowSum, r.short = resize(r.exposure, p.factors), resize(r.rowSum, p.rows), resize(r.short, p.rows)
	r.cashes = len(b.cash)
	if r.soft = 0; b.a.Gains.IsNetted {
		r.soft = netRows
	}
	r.weight = resize(r.weight, p.rows)
	for k := range r.weight {
		r.weight[k] = b.weightOfRow(k)
	}
	all := p.all
	if b.o.Roles == Fixed {
		all = p.fixed
	}
	for i := range p.items {
		r.tick[i] = b.step(i) * b.priceOf(i) / b.worth
		for l := p.lots.first[i]; l < p.lots.first[i+1]; l++ {
			r.whole[i] += p.lots.value[l]
		}
		r.mayRest[i], r.least[i] = p.mayRest(i, all[i]), 1
		in := p.touching(i, lowest(s.search.best.piece[i]), all[i])
		if i < len(b.u.Securities) && b.isWhole(i) && p.items <= wholeFew {
			in = p.span(i, all[i])
			r.least[i] = max(1, int64(math.Ceil(b.minTrade(i).Float()/b.worth/r.tick[i]-1e-6)))
		}
		r.low[i] = int64(math.Ceil(in.lo/r.tick[i] - 1e-6))
		r.high[i] = int64(math.Floor(in.hi/r.tick[i] + 1e-6))
		if in.lo <= -r.whole[i] && in.lo < 0 { // the whole position, however many ticks it has
			r.low[i] = -int64(math.Ceil(r.whole[i]/r.tick[i] - 1e-6))
		}
		r.high[i] = max(r.high[i], r.low[i])
	}
}

// mayRest reports whether some piece of item i in mask has no trade in it.
func (p *problem) mayRest(i int, mask uint8) bool {
	for k := range piecesMax {
		if in := p.piece[i*piecesMax+k]; mask>>k&1 == 1 && in.lo <= 0 && in.hi >= 0 {
			return true
		}
	}
	return false
}

// span returns all from the least to the largest trade that the pieces of item i in mask allow: with
// whole shares, which are few, rounding may change roles.
func (p *problem) span(i int, mask uint8) piece {
	in := piece{infinite, -infinite}
	for k := range piecesMax {
		if next := p.piece[i*piecesMax+k]; mask>>k&1 == 1 {
			in = piece{min(in.lo, next.lo), max(in.hi, next.hi)}
		}
	}
	return in
}

// isAllowed reports whether item i may trade n ticks.
func (r *rounder) isAllowed(i int, n int64) bool {
	switch {
	case n == 0 && r.mayRest[i]:
		return true
	case n < r.low[i] || n > r.high[i]:
		return false
	}
	return n != 0 && (n >= r.least[i] || -n >= r.least[i] || n == r.low[i] || n == r.high[i]) || r.least[i] == 1
}

// next returns the count of item i next to n upwards (by 1) or downwards (by -1) that is allowed;
// n where there is none. Between a least trade and none lies nothing.
func (r *rounder) next(i int, n, by int64) int64 {
	low, high := r.low[i], r.high[i]
	steps := [...]int64{n + by, 0, by * r.least[i], low, high}
	to, isFound := n, false
	for _, m := range steps {
		isOnTheWay := (m-n)*by > 0 && (!isFound || (to-m)*by > 0)
		if isOnTheWay && r.isAllowed(i, m) {
			to, isFound = m, true
		}
	}
	return to
}

// touching returns piece j of item i with the pieces of mask that touch it: rounding may change
// sides.
func (p *problem) touching(i, j int, mask uint8) piece {
	in := p.piece[i*piecesMax+j]
	for range piecesMax {
		for k := range piecesMax {
			if next := p.piece[i*piecesMax+k]; mask>>k&1 == 1 && next.lo <= in.hi && next.hi >= in.lo {
				in = piece{min(in.lo, next.lo), max(in.hi, next.hi)}
			}
		}
	}
	return in
}

// weightOfRow is what a unit over row k counts: rows of cash, of weights, of gains.
func (b *book) weightOfRow(k int) float64 {
	switch {
	case k < len(b.cash):
		return 1
	case b.hasBudget() && k == b.budgetRow():
		return 50
	}
	return 4
}

// hasWhole reports whether some security trades in whole shares alone.
func (b *book) hasWhole() bool {
	if b.a.WholeShares {
		return true
	}
	for i := range b.a.Rules {
		if b.a.Rules[i].WholeShares {
			return true
		}
	}
	return false
}

// hasLeast reports whether some security has a least trade.
func (b *book) hasLeast() bool {
	if b.a.MinTrade.Sign() > 0 {
		return true
	}
	for i := range b.a.Rules {
		if b.a.Rules[i].MinTrade.Sign() > 0 {
			return true
		}
	}
	return false
}

// step is the least tradable amount of an item: shares, or money for a conversion.
func (b *book) step(i int) float64 {
	switch {
	case i >= len(b.u.Securities):
		return 1e-2
	case b.isWhole(i):
		return 1
	}
	return 1e-4
}

func (b *book) priceOf(i int) float64 {
	if i >= len(b.u.Securities) || b.u.fault[i] != "" {
		return 1
	}
	return b.u.price[i]
}

// value returns the value of n ticks of item i.
func (r *rounder) value(i int, n int64) float64 {
	return max(float64(n)*r.tick[i], -r.whole[i])
}

// sum sets trades, exposures and rows from the counts.
func (r *rounder) sum() {
	p := r.p
	clear(r.exposure)
	clear(r.rowSum)
	for i := range p.items {
		r.trade[i] = r.value(i, r.count[i])
		axpy(p.start[i]+r.trade[i], p.load[i*p.factors:(i+1)*p.factors], r.exposure)
		for _, k := range p.rowsOf(i) {
			r.rowSum[k] += p.rowOf(i, int(k), r.trade[i])
		}
	}
}

// rowOf returns what trade t of item i adds to row k, lots sold in the order at hand.
func (p *problem) rowOf(i, k int, t float64) float64 {
	if t >= 0 {
		return p.buyRow[i*p.rows+k] * t
	}
	v := -p.sellRow[i*p.rows+k] * t
	if p.isClassed {
		left := -t
		for l := p.lots.first[i]; l < p.lots.first[i+1] && left > 0; l++ {
			u := min(left, p.lots.value[l])
			left -= u
			v += float64(float64(p.classRow[k*classes+int(p.lots.class[l])]*p.lots.gain[l]) * u)
		}
	}
	return v
}

// loss returns what the objective grows by when item i trades n ticks instead.
func (r *rounder) loss(i int, n int64) float64 {
	p := r.p
	t := r.value(i, n)
	by, x := t-r.trade[i], p.start[i]+r.trade[i]
	load := p.load[i*p.factors : (i+1)*p.factors]
	risk := float64(float64(p.aversion*by) * (2*dot(load, r.exposure) + float64(by*dot(load, load))))
	cost := p.tradeCost(i, t) - p.tradeCost(i, r.trade[i])
	for k := p.rows - r.soft; k < p.rows; k++ {
		v := r.rowSum[k]
		after := v + p.rowOf(i, k, t) - p.rowOf(i, k, r.trade[i])
		cost += p.penalty(k, after-p.limit[k]) - p.penalty(k, v-p.limit[k])
	}
	return risk + float64(0.5*p.curve[i]*by*(float64(2*x)+by)) + cost
}

// move trades n ticks of item i instead.
func (r *rounder) move(i int, n int64) {
	p := r.p
	t := r.value(i, n)
	axpy(t-r.trade[i], p.load[i*p.factors:(i+1)*p.factors], r.exposure)
	for _, k := range p.rowsOf(i) {
		r.rowSum[k] += p.rowOf(i, int(k), t) - p.rowOf(i, int(k), r.trade[i])
	}
	r.count[i], r.trade[i] = n, t
}

// excess is how far the trades are over the rows in all, if item i traded n ticks; i < 0 for as
// they are. A row counts for more where a trade moves it by less, and cash for least, so that cash
// gives way to the other rows and is mended last, by trades that leave them alone.
func (r *rounder) excess(i int, n int64) float64 {
	p := r.p
	sum := 0.0
	for k, v := range r.rowSum[:p.rows-r.soft] {
		if over := v + r.short[k] - p.limit[k]; over > rowSlack {
			sum += float64(r.weight[k] * over)
		}
	}
	if i < 0 {
		return sum
	}
	for _, row := range p.rowsOf(i) {
		k := int(row)
		if k >= p.rows-r.soft {
			break
		}
		before := r.rowSum[k] + r.short[k] - p.limit[k]
		after := before + p.rowOf(i, k, r.value(i, n)) - p.rowOf(i, k, r.trade[i])
		if before > rowSlack {
			sum -= float64(r.weight[k] * before)
		}
		if after > rowSlack {
			sum += float64(r.weight[k] * after)
		}
	}
	return sum
}

// repair moves items until every row holds: each time the move that costs least for what it
// mends. It reports false where no move helps.
func (r *rounder) repair() bool {
	for range repairsMax {
		over := r.excess(-1, 0)
		if over == 0 {
			return true
		}
		best, to, price := -1, int64(0), infinite
		for i := range r.p.items {
			for _, n := range r.mends(i, over) {
				if n == r.count[i] {
					continue
				}
				mended := over - r.excess(i, n)
				if mended <= over*1e-9 {
					continue
				}
				if c := r.loss(i, n) / mended; c < price {
					best, to, price = i, n, c
				}
			}
		}
		if best >= 0 {
			r.move(best, to)
		} else if !r.repairPair(over) {
			return false
		}
	}
	return false
}

// pairsMax bounds the items among which repairPair looks.
const pairsMax = 600

// repairPair moves two items by one tick each where that mends more than it costs elsewhere: where
// rows leave no single item free, cash comes from one that buys a little less than another sells.
func (r *rounder) repairPair(over float64) bool {
	best, price := pair{i: -1}, infinite
	n := min(r.p.items, pairsMax)
	for i := range n {
		r.around(i, func(ni int64) {
			first := r.loss(i, ni)
			from := r.count[i]
			r.move(i, ni)
			for j := range i {
				r.around(j, func(nj int64) {
					mended := over - r.excess(j, nj)
					if mended <= over*1e-9 {
						return
					}
					if c := (first + r.loss(j, nj)) / mended; c < price {
						best, price = pair{i, j, ni, nj}, c
					}
				})
			}
			r.move(i, from)
		})
	}
	return r.movePair(best)
}

// pair is a move of two items; i < 0 for none.
type pair struct {
	i, j   int
	ni, nj int64
}

func (r *rounder) movePair(m pair) bool {
	if m.i < 0 {
		return false
	}
	r.move(m.i, m.ni)
	r.move(m.j, m.nj)
	return true
}

// around calls do with the counts next to item i's that are allowed.
func (r *rounder) around(i int, do func(n int64)) {
	down, up := r.next(i, r.count[i], -1), r.next(i, r.count[i], 1)
	for _, n := range [...]int64{down, up} {
		if n != r.count[i] {
			do(n)
		}
	}
}

// mends returns the counts of item i, one on each side, that would take an excess away if each tick
// mended as much as the first; the count at hand where it mends nothing.
func (r *rounder) mends(i int, over float64) [2]int64 {
	n := r.count[i]
	out := [2]int64{n, n}
	for side, next := range [...]int64{r.next(i, n, -1), r.next(i, n, 1)} {
		if next == n {
			continue
		}
		if first := over - r.excess(i, next); first > over*1e-9 {
			ticks := int64(math.Ceil(min(over/first, 1e12)))
			out[side] = min(max(n+(next-n)*ticks, r.low[i]), r.high[i])
			if (next-n)*(next-n) > 1 || !r.isAllowed(i, out[side]) { // to a least trade, or from it
				out[side] = next
			}
		}
	}
	return out
}

// polish makes moves that lower the objective and keep every row: the spare cash to the item that
// gains most by it, and with whole shares one or two items by one share, in sweeps until none helps.
func (r *rounder) polish(isWhole bool) {
	for range polishMax {
		if !isWhole && !r.hasSpare() {
			break
		}
		best, to, least := -1, int64(0), -gainLeast
		for i := range r.p.items {
			if n := r.spend(i); n != r.count[i] && r.isAllowed(i, n) {
				if c := r.loss(i, n); c < least && r.excess(i, n) == 0 {
					best, to, least = i, n, c
				}
			}
		}
		if best < 0 {
			break
		}
		r.move(best, to)
	}
	for range sweepsMax {
		if !isWhole || !r.sweep() && !r.exchange() {
			return
		}
	}
}

// hasSpare reports whether some cash beyond its need is worth a look.
func (r *rounder) hasSpare() bool {
	for k := range r.cashes {
		if r.p.limit[k]-r.rowSum[k]-r.short[k] > spareLeast {
			return true
		}
	}
	return false
}

// sweep moves each item by a tick where that lowers the objective and reports whether any moved.
func (r *rounder) sweep() bool {
	moved := false
	for i := range r.p.items {
		r.around(i, func(n int64) {
			if r.loss(i, n) < -gainLeast && r.excess(i, n) == 0 {
				r.move(i, n)
				moved = true
			}
		})
	}
	return moved
}

// spend returns the count of item i that uses the spare cash of its currency.
func (r *rounder) spend(i int) int64 {
	p, k := r.p, r.cashRow(i)
	per := p.buyRow[i*p.rows+k]
	if r.count[i] < 0 {
		per = -p.sellRow[i*p.rows+k]
	}
	spare := p.limit[k] - r.rowSum[k] - r.short[k]
	if per <= 0 || spare <= 0 {
		return r.count[i]
	}
	n := r.count[i] + int64(spare/(per*r.tick[i]))
	if r.count[i] < 0 {
		return min(n, 0)
	}
	return min(n, r.high[i])
}

// tradesOf writes the counts as exact trades. Sales take lots in the order of the solution.
func (b *book) tradesOf(r *rounder, sold []float64, plan *Plan) {
	p := r.p
	plan.Trades, plan.Conversions = plan.Trades[:0], plan.Conversions[:0]
	for i, n := range r.count {
		switch {
		case n == 0:
		case i >= len(b.u.Securities):
			plan.Conversions = append(plan.Conversions, Conversion{Balance: i - len(b.u.Securities), Amount: money.FromUnits(n, centPlaces)})
		case n > 0:
			plan.Trades = append(plan.Trades, b.trade(i, -1, b.shares(i, n)))
		default:
			left := money.Min(b.shares(i, -n), b.sellable[i])
			for l := p.lots.first[i]; l < p.lots.first[i+1] && left.Sign() > 0; l++ {
				k := p.lots.source[l]
				part := money.Min(left, b.a.Lots[k].Shares)
				left = left.Sub(part)
				plan.Trades = append(plan.Trades, b.trade(i, int(k), part))
			}
		}
	}
}

func (b *book) shares(i int, ticks int64) money.Dec {
	if b.isWhole(i) {
		return money.FromInt(ticks)
	}
	return money.FromUnits(ticks, sharePlaces)
}

func (b *book) trade(i, lot int, shares money.Dec) Trade {
	return Trade{Security: i, Lot: lot, Shares: shares, Value: shares.Mul(b.u.Securities[i].Price)}
}
