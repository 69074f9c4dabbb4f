package optimum

// piecesMax is the number of intervals that one security's trade may be split into: a sale, no
// trade, a purchase, or either side in one convex piece.
const piecesMax = 4

// The pieces by index.
const (
	sale = iota
	none
	purchase
	either
)

// piece is an interval of a trade on which the cost of one security is convex.
type piece struct{ lo, hi float64 }

// problem is one account's optimisation as plain arrays; every amount is a fraction of the
// account's value. An item is a security or a conversion of currency; t is its trade, bought less
// sold; x = start + t.
//
//	minimise  G·|load'x|² + Σ curve/2·x² + Σ buyCost·t⁺ + Σ (tax + sellCost)·u + constant
//	subject   Σ buyRow·t⁺ + Σ sellRow·s + Σ classRow·gain·u ≤ limit, t within one piece an item
//
// where a row with a finite cap may be passed at that price a unit; u is what is sold of a lot and s the sum of u over the lots of an item. The lots of an
// item come in ascending tax a unit, so the cheapest is sold first.
type problem struct {
	items, factors, rows int
	aversion             float64   // G
	constant             float64   // part of the objective that no trade changes
	ofVariant            float64   // part of constant that belongs to a variant of the tax
	load                 []float64 // items × factors
	wide                 []float64 // memory of load where items are more than the universe has
	curve                []float64 // 2·G·specific variance, > 0
	start                []float64 // weight held less weight wanted
	buyCost, sellCost    []float64 // a unit of trade, tax left out
	buyRow, sellRow      []float64 // items × rows, a unit of trade
	limit                []float64 // by row
	cap                  []float64 // by row, the price of a unit over the limit; +Inf where the limit is hard
	touched              []int32   // rows that items take part in, item after item
	touchedFrom          []int32   // items + 1
	classRow             []float64 // rows × classes, a unit of realised gain
	rate                 [classes]float64
	isTied               bool // accounts planned as one hold a security with little to say which of them should
	isClassed            bool // a row counts gains, so the order of lots depends on its multiplier
	lots                 lotTable
	byGain               lotTable // of a classed problem: by class, ascending gain
	piece                []piece  // items × piecesMax
	all                  []uint8  // by item, the pieces of the whole problem, one bit each
	fixed                []uint8  // by item, the pieces left by the fixed roles
	effective            [classes]float64
	scratch              [piecesMax]point
}

// lotTable holds the lots of all items, item after item.
type lotTable struct {
	first  []int32 // items + 1
	value  []float64
	gain   []float64 // (value − cost) ÷ value
	tax    []float64 // a unit sold; in a classed problem with the multipliers of the gain rows
	class  []uint8
	source []int32 // index in the account's lots
}

// classes of a gain: short and long term.
const (
	shortTerm = 0
	longTerm  = 1
	classes   = 2
)

// point is the best trade of one item on one piece at one dual point.
type point struct {
	t, value float64
	gain     [classes]float64
	lot      int32 // lot at the margin where free and sold
	isFree   bool  // t lies inside a smooth part
}

// prices are what one unit costs at one dual point: the exposure's price, the purchase's and the
// sale's, multipliers included.
type prices struct{ exposure, buy, sell float64 }

// rowsOf returns the rows that item i takes part in, ascending.
func (p *problem) rowsOf(i int) []int32 { return p.touched[p.touchedFrom[i]:p.touchedFrom[i+1]] }

func (p *problem) pricesAt(i int, dual []float64) prices {
	c := prices{buy: p.buyCost[i], sell: p.sellCost[i]}
	c.exposure = dot(p.load[i*p.factors:(i+1)*p.factors], dual[:p.factors])
	mu := dual[p.factors:]
	if p.rows == 1 { // the usual case
		c.buy += float64(mu[0] * p.buyRow[i])
		c.sell += float64(mu[0] * p.sellRow[i])
		return c
	}
	up := p.buyRow[i*p.rows : (i+1)*p.rows]
	down := p.sellRow[i*p.rows : (i+1)*p.rows]
	for _, r := range p.rowsOf(i) {
		c.buy += float64(mu[r] * up[r])
		c.sell += float64(mu[r] * down[r])
	}
	return c
}

// minimise sets q to the least of curve/2·x² + exposure·x + cost(t) over t in [lo, hi]; it walks
// the sorted lots downwards from t = 0. Where the cost is not convex at 0 the better side wins, a
// sale in a tie.
func (p *problem) minimise(i int, c prices, in piece, q *point) {
	slope := float64(p.curve[i]*p.start[i]) + c.exposure // of the smooth part at t = 0
	switch {
	case in.hi > 0 && (in.lo > 0 || slope+c.buy < 0):
		p.minimiseBuy(i, c, in, q)
		if l := p.lots.first[i]; in.lo < 0 && l < p.lots.first[i+1] && slope > p.lots.tax[l]+c.sell {
			b := *q
			if p.minimiseSell(i, c, piece{in.lo, 0}, q); b.value < q.value {
				*q = b
			}
		}
	case in.lo >= 0:
		p.at(i, c, in.lo, q)
	default:
		p.minimiseSell(i, c, piece{in.lo, min(in.hi, 0)}, q)
	}
}

func (p *problem) minimiseBuy(i int, c prices, in piece, q *point) {
	a := p.curve[i]
	t := -(float64(a*p.start[i]) + c.exposure + c.buy) / a
	isFree := true
	if t >= in.hi {
		t, isFree = in.hi, false
	}
	if t <= in.lo {
		t, isFree = in.lo, false
	}
	p.at(i, c, t, q)
	q.isFree = isFree
}

// at sets q to a trade t >= 0, whatever it costs.
func (p *problem) at(i int, c prices, t float64, q *point) {
	x := p.start[i] + t
	q.t, q.lot, q.isFree = t, -1, false
	q.value = float64(x*(float64(0.5*p.curve[i]*x)+c.exposure)) + float64(c.buy*t)
	if p.isClassed {
		q.gain = [classes]float64{}
	}
}

func (p *problem) minimiseSell(i int, c prices, in piece, q *point) {
	a := p.curve[i]
	base := float64(a*p.start[i]) + c.exposure - c.sell
	q.isFree, q.lot = false, -1
	if p.isClassed {
		q.gain = [classes]float64{}
	}
	top, cost := 0.0, 0.0
	l := int(p.lots.first[i])
	for end := int(p.lots.first[i+1]); l < end && top > in.lo; l++ {
		tax := p.lots.tax[l]
		bottom := max(top-p.lots.value[l], in.lo)
		most := min(top, in.hi)
		t := -(base - tax) / a
		if t >= most && bottom <= in.hi {
			t = most
		} else if t <= bottom || bottom > in.hi {
			t = bottom
		} else {
			q.isFree, q.lot = true, int32(l)
		}
		if u := top - t; u > 0 {
			cost += float64(u * (tax + c.sell))
			if p.isClassed {
				q.gain[p.lots.class[l]] += float64(u * p.lots.gain[l])
			}
		}
		top = t
		if t > bottom {
			break
		}
	}
	x := p.start[i] + top
	q.t = top
	q.value = float64(x*(float64(0.5*a*x)+c.exposure)) + cost
}

// row returns what the trade adds to row r.
func (p *problem) row(i, r int, q *point) float64 {
	v := 0.0
	if q.t > 0 {
		v = float64(p.buyRow[i*p.rows+r] * q.t)
	} else if q.t < 0 {
		v = float64(-p.sellRow[i*p.rows+r] * q.t)
	}
	if p.isClassed {
		v += float64(p.classRow[r*classes]*q.gain[0]) + float64(p.classRow[r*classes+1]*q.gain[1])
	}
	return v
}

// rowSlope returns the change of row r with the trade at a free point.
func (p *problem) rowSlope(i, r int, q *point) float64 {
	if q.lot < 0 {
		return p.buyRow[i*p.rows+r]
	}
	v := -p.sellRow[i*p.rows+r]
	if p.isClassed {
		v -= float64(p.classRow[r*classes+int(p.lots.class[q.lot])] * p.lots.gain[q.lot])
	}
	return v
}

// dot returns the inner product, summed in four lanes in a fixed order. The conversions keep a
// compiler from fusing multiply and add, so that every processor gives the same bits.
func dot(a, b []float64) float64 {
	b = b[:len(a)]
	var s0, s1, s2, s3 float64
	for len(a) >= 4 && len(b) >= 4 {
		s0 += float64(a[0] * b[0])
		s1 += float64(a[1] * b[1])
		s2 += float64(a[2] * b[2])
		s3 += float64(a[3] * b[3])
		a, b = a[4:], b[4:]
	}
	for j := range a {
		s0 += float64(a[j] * b[j])
	}
	return (s0 + s1) + (s2 + s3)
}

// axpy adds w·a to y.
func axpy(w float64, a, y []float64) {
	y = y[:len(a)]
	for len(a) >= 4 && len(y) >= 4 {
		y[0] += float64(w * a[0])
		y[1] += float64(w * a[1])
		y[2] += float64(w * a[2])
		y[3] += float64(w * a[3])
		a, y = a[4:], y[4:]
	}
	for j := range a {
		y[j] += float64(w * a[j])
	}
}
