package optimum

import "math"

const (
	rowRidge       = 1e-6   // curvature given to a row's multiplier, so that the matrix is positive definite
	riseMin        = 0.5e-4 // share of the linear gain that a step must reach
	cutsMax        = 40
	cutLeast       = 0.02 // a step that is too long is cut to between these shares
	cutMost        = 0.7
	noise          = 1e-15 // relative size of rounding in the dual value
	climbStepsMax  = 200
	stallSteps     = 12 // that must raise the dual by stallRise
	stallRise      = 1e-9
	multiplierStep = 1    // longest change of a multiplier in one step, at first
	lengthLeast    = 1e-3 // a shorter step has met a kink
	kinksMax       = 4
	kinkLeast      = 1e-9 // jump of a gradient that counts as a kink
	probeStep      = 1e-10
	kinkWidth      = 1e-9  // over which the gradient is taken to jump
	snap           = 1e-14 // of a multiplier to an end of its range
)

// climber maximises the dual by Newton's method in one dimension a factor and a row. It keeps the
// curvature matrix between calls and changes it only for the items whose curvature changed.
type climber struct {
	p          *problem
	now, next  *dualPoint
	curvature  []float64 // dim × dim, lower half, factors and mixed part as of omega and kappa below
	omega      []float64
	kappa      []float64
	factor     []float64 // Cholesky factor, of what is not held
	right      []float64 // right side of the same system
	normal     []float64
	step       []float64
	isHeld     []bool
	free       []int     // rows that are not held
	length     float64   // last one tried by advance, a share of the first
	reach      float64   // longest change of a multiplier in the next step: doubled where one that long was right
	kinks      []float64 // normals of the surfaces on which the gradient jumps, one after another
	memory     [2]dualPoint
	iterations int
	highest    struct { // bound seen since the caller reset its value, and where
		value float64
		dual  []float64
	}
}

// stop says when a climb ends.
type stop struct {
	gradient float64 // largest entry of the projected gradient
	cutoff   float64 // the hard value is high enough
	steps    int
}

func (c *climber) reset(p *problem) {
	c.p = p
	c.now, c.next = &c.memory[0], &c.memory[1]
	c.now.resize(p)
	c.next.resize(p)
	dim := p.factors + p.rows
	c.curvature = resize(c.curvature, dim*dim)
	c.factor = resize(c.factor, dim*dim)
	c.step, c.right, c.normal = resize(c.step, dim), resize(c.right, dim), resize(c.normal, dim)
	c.isHeld = resize(c.isHeld, dim)
	c.omega = resize(c.omega, p.items)
	c.kappa = resize(c.kappa, p.items*p.rows)
	c.highest.dual = resize(c.highest.dual, dim)
	c.iterations = 0
}

// note keeps the dual point at hand where its bound is the highest.
func (c *climber) note() {
	if c.now.hard > c.highest.value {
		c.highest.value = c.now.hard
		copy(c.highest.dual, c.now.dual)
	}
}

// climb raises the dual from c.now.dual over the pieces in mask, smoothed by eps. At the end c.now
// is evaluated. It reports whether the gradient is as small as asked for.
func (c *climber) climb(mask []uint8, eps float64, until stop) bool {
	p := c.p
	p.evaluate(c.now, mask, eps)
	c.reach = multiplierStep
	mark := c.now.soft
	for step := range until.steps {
		c.note()
		if p.isClassed && step%stallSteps == stallSteps-1 {
			if c.now.soft-mark < stallRise { // on an edge that two lots that tie make
				return false
			}
			mark = c.now.soft
		}
		if c.now.hard >= until.cutoff {
			return false
		}
		if p.residual(c.now) < until.gradient {
			return true
		}
		c.updateCurvature()
		c.solveStep()
		hasMoved := c.advance(mask, eps)
		if p.isClassed && c.length < lengthLeast {
			hasMoved = c.followKinks(mask, eps) || hasMoved
		}
		if !hasMoved {
			return p.residual(c.now) < 1e3*until.gradient
		}
		c.iterations++
	}
	return false
}

// updateCurvature brings the curvature matrix to the items' omega and kappa at c.now.
func (c *climber) updateCurvature() {
	p, d := c.p, c.now
	k, dim := p.factors, p.factors+p.rows
	for i := range p.items {
		load := p.load[i*k : (i+1)*k]
		if w := d.omega[i] - c.omega[i]; w != 0 {
			c.omega[i] = d.omega[i]
			for a, b := range load {
				axpy(float64(w*b), load[:a+1], c.curvature[a*dim:a*dim+a+1])
			}
		}
		for _, row := range p.rowsOf(i) {
			r := int(row)
			if w := d.kappa[i*p.rows+r] - c.kappa[i*p.rows+r]; w != 0 {
				c.kappa[i*p.rows+r] = d.kappa[i*p.rows+r]
				axpy(w, load, c.curvature[(k+r)*dim:(k+r)*dim+k])
			}
		}
	}
}

// solveStep solves curvature · step = gradient. A multiplier at an end of its range that would
// leave it is held, and the step solved again, so that a short enough step keeps all in range.
func (c *climber) solveStep() {
	p, d := c.p, c.now
	for j := p.factors; j < len(d.dual); j++ {
		c.isHeld[j] = p.leaves(j, d.dual[j], d.gradient[j])
	}
	for range p.rows {
		c.solveFree()
		isOut := false
		for j := p.factors; j < len(d.dual); j++ {
			if p.leaves(j, d.dual[j], c.step[j]) {
				c.isHeld[j], isOut = true, true
			}
		}
		if !isOut {
			return
		}
	}
	c.solveFree()
}

// solveFree solves for the step with the held multipliers left as they are: their rows and columns
// are left out.
func (c *climber) solveFree() {
	p, d := c.p, c.now
	k, dim := p.factors, p.factors+p.rows
	c.free = c.free[:0]
	for r := range p.rows {
		if !c.isHeld[k+r] {
			c.free = append(c.free, r)
		}
	}
	n := k + len(c.free)
	right := c.right[:n]
	copy(right, d.gradient[:k])
	for a := range k {
		copy(c.factor[a*n:a*n+a+1], c.curvature[a*dim:a*dim+a+1])
		c.factor[a*n+a] += 1 / (2 * p.aversion)
	}
	for a, r := range c.free {
		row := c.factor[(k+a)*n : (k+a)*n+n]
		copy(row[:k], c.curvature[(k+r)*dim:(k+r)*dim+k])
		for b, s := range c.free[:a+1] {
			row[k+b] = d.rho[r*p.rows+s]
		}
		row[k+a] += rowRidge
		right[k+a] = d.gradient[k+r]
	}
	c.addKinks(n)
	cholesky(c.factor, n)
	substitute(c.factor, n, right)
	clear(c.step[k:])
	copy(c.step, right[:k])
	for a, r := range c.free {
		c.step[k+r] = right[k+a]
	}
}

// advance moves along the step until the dual has risen enough. A step that is too long is cut
// where its slopes or its fall say that the top was; multipliers that would leave their
// range stop at its end, and where that does not help, the whole step stops at the first of them.
func (c *climber) advance(mask []uint8, eps float64) bool {
	d, e := c.now, c.next
	length, first := c.start(), c.start()
	floor := noise * (1 + math.Abs(d.soft))
	longest := c.longest()
	for range cutsMax {
		before, after := 0.0, 0.0
		for j, g := range d.gradient {
			e.dual[j] = d.dual[j] + float64(length*c.step[j])
			if j >= c.p.factors {
				e.dual[j] = inRange(e.dual[j], c.p.cap[j-c.p.factors])
			}
			before += float64(g * (e.dual[j] - d.dual[j]))
		}
		c.p.evaluate(e, mask, eps)
		c.length = length / first
		if e.soft >= d.soft+float64(riseMin*before)-float64(floor) && before > 0 {
			c.now, c.next = e, d
			if length == first && first < 1 {
				c.reach *= 2
			}
			return before > floor/8 || c.p.residual(e) < c.p.residual(d)
		}
		for j, g := range e.gradient {
			after += float64(g * (e.dual[j] - d.dual[j]))
		}
		switch {
		case length > longest:
			length = longest
		default:
			// Where the slopes, or the slope and the fall, say that the top was.
			bySlope := before / max(before-after, before)
			byValue := 0.5 * before / max(before-(e.soft-d.soft), before)
			length *= min(max(min(bySlope, byValue), cutLeast), cutMost)
		}
	}
	return false
}

// start is the part of the step, at most 1, that moves no multiplier by more than the reach: where a
// row meets no curvature, the ridge alone would send it far away.
func (c *climber) start() float64 {
	most := 0.0
	for _, by := range c.step[c.p.factors:] {
		most = max(most, math.Abs(by))
	}
	return c.reach / max(most, c.reach)
}

// inRange moves a multiplier that is out of its range, or all but at an end of it, to that end.
func inRange(m, most float64) float64 {
	switch {
	case m < snap:
		return 0
	case m > most-snap:
		return most
	}
	return m
}

// followKinks looks for a step along the surfaces where the order of lots changes, on which the
// gradient jumps: the top may lie on one. Where a step has failed, such a surface is right ahead, and
// the difference of the gradients before and behind it is its normal; it counts as a steep curvature.
// Only rows that count gains make such surfaces.
func (c *climber) followKinks(mask []uint8, eps float64) bool {
	c.kinks = c.kinks[:0]
	found := false
	for range kinksMax {
		if !c.addNormal() {
			c.probe(mask, eps)
			if !c.addNormal() {
				break
			}
		}
		c.solveStep()
		if found = c.advance(mask, eps); found {
			break
		}
	}
	c.kinks = c.kinks[:0]
	return found
}

// addNormal adds the jump of the gradient between the two points at hand, if there is one.
func (c *climber) addNormal() bool {
	size := 0.0
	for j, g := range c.now.gradient {
		size = max(size, math.Abs(g-c.next.gradient[j]))
	}
	if size < kinkLeast {
		return false
	}
	for j, g := range c.now.gradient {
		c.kinks = append(c.kinks, g-c.next.gradient[j])
	}
	return true
}

// probe evaluates c.next a very short step ahead.
func (c *climber) probe(mask []uint8, eps float64) {
	most := 0.0
	for _, by := range c.step {
		most = max(most, math.Abs(by))
	}
	for j, by := range c.step {
		c.next.dual[j] = c.now.dual[j] + float64(probeStep/most*by)
		if j >= c.p.factors {
			c.next.dual[j] = inRange(c.next.dual[j], c.p.cap[j-c.p.factors])
		}
	}
	c.p.evaluate(c.next, mask, eps)
}

// addKinks adds the curvature of the surfaces that the climb has met to the system of n unknowns that
// leaves the held multipliers out.
func (c *climber) addKinks(n int) {
	k, dim := c.p.factors, len(c.step)
	for at := 0; at < len(c.kinks); at += dim {
		normal := append(c.normal[:0], c.kinks[at:at+k]...)
		for _, r := range c.free {
			normal = append(normal, c.kinks[at+k+r])
		}
		for a, b := range normal {
			axpy(b/kinkWidth, normal[:a+1], c.factor[a*n:a*n+a+1])
		}
	}
}

// longest is the part of the step, at most 1, that keeps every multiplier in its range.
func (c *climber) longest() float64 {
	most := 1.0
	for j := c.p.factors; j < len(c.step); j++ {
		switch by := c.step[j]; {
		case by < 0:
			most = min(most, -c.now.dual[j]/by)
		case by > 0:
			most = min(most, (c.p.cap[j-c.p.factors]-c.now.dual[j])/by)
		}
	}
	return most
}

// residual is the largest entry of the gradient, but for multipliers at an end of their range that
// would leave it.
func (p *problem) residual(d *dualPoint) float64 {
	worst := 0.0
	for j, g := range d.gradient {
		if !p.leaves(j, d.dual[j], g) {
			worst = max(worst, math.Abs(g))
		}
	}
	return worst
}

// leaves reports whether entry j of a dual vector is a multiplier at an end of its range that a
// change by the sign of by would take out of it.
func (p *problem) leaves(j int, at, by float64) bool {
	return j >= p.factors && (at <= 0 && by < 0 || at >= p.cap[j-p.factors] && by > 0)
}

// cholesky replaces the lower half of the symmetric matrix a, rows of length n, by its factor.
// A pivot that rounding made too small is lifted; the step is then shorter than it could be.
func cholesky(a []float64, n int) {
	for i := range n {
		row := a[i*n : i*n+i+1]
		for j := range i {
			other := a[j*n : j*n+j+1]
			row[j] = (row[j] - dot(row[:j], other[:j])) / other[j]
		}
		pivot := row[i] - dot(row[:i], row[:i])
		row[i] = math.Sqrt(math.Max(pivot, 1e-14))
	}
}

// substitute solves L·Lᵀ·x = b in place of b.
func substitute(l []float64, n int, b []float64) {
	for i := range n {
		b[i] = (b[i] - dot(l[i*n:i*n+i], b[:i])) / l[i*n+i]
	}
	for i := n - 1; i >= 0; i-- {
		b[i] /= l[i*n+i]
		axpy(-b[i], l[i*n:i*n+i], b[:i])
	}
}
