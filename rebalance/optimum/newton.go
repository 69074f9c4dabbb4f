package optimum

import "math"

const (
	rowRidge      = 1e-6   // curvature given to a row's multiplier, so that the matrix is positive definite
	riseMin       = 0.5e-4 // share of the linear gain that a step must reach
	cutsMax       = 40
	cutLeast      = 0.02 // a step that is too long is cut to between these shares
	cutMost       = 0.7
	noise         = 1e-15 // relative size of rounding in the dual value
	climbStepsMax = 200
	snap          = 1e-14 // of a multiplier to an end of its range
)

// climber maximises the dual by Newton's method in one dimension a factor and a row. It keeps the
// curvature matrix between calls and changes it only for the items whose curvature changed.
type climber struct {
	p          *problem
	now, next  *dualPoint
	curvature  []float64 // dim × dim, lower half, factors and mixed part as of omega and kappa below
	omega      []float64
	kappa      []float64
	factor     []float64 // Cholesky factor of the same shape
	step       []float64
	isHeld     []bool
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
	c.step = resize(c.step, dim)
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
	for range until.steps {
		c.note()
		if c.now.hard >= until.cutoff {
			return false
		}
		if p.residual(c.now) < until.gradient {
			return true
		}
		c.updateCurvature()
		c.solveStep()
		if !c.advance(mask, eps) {
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
		for r := range p.rows {
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

// solveFree solves for the step with the held multipliers left as they are.
func (c *climber) solveFree() {
	p, d := c.p, c.now
	k, dim := p.factors, p.factors+p.rows
	copy(c.factor, c.curvature)
	copy(c.step, d.gradient)
	for a := range k {
		c.factor[a*dim+a] += 1 / (2 * p.aversion)
	}
	for r := range p.rows {
		row := c.factor[(k+r)*dim : (k+r)*dim+dim]
		for s := range r + 1 {
			row[k+s] = d.rho[r*p.rows+s]
		}
		row[k+r] += rowRidge
	}
	for r := range p.rows {
		if c.isHeld[k+r] {
			c.hold(k + r)
		}
	}
	cholesky(c.factor, dim)
	substitute(c.factor, dim, c.step)
}

// hold makes row and column j of the system those of the unit matrix, with a right side of 0.
func (c *climber) hold(j int) {
	dim := c.p.factors + c.p.rows
	clear(c.factor[j*dim : j*dim+j])
	c.factor[j*dim+j] = 1
	for a := j + 1; a < dim; a++ {
		c.factor[a*dim+j] = 0
	}
	c.step[j] = 0
}

// advance moves along the step until the dual has risen enough. A step that is too long is cut
// where a line through the two slopes along it crosses zero; multipliers that would leave their
// range stop at its end, and where that does not help, the whole step stops at the first of them.
func (c *climber) advance(mask []uint8, eps float64) bool {
	d, e := c.now, c.next
	length := 1.0
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
		if e.soft >= d.soft+float64(riseMin*before)-floor && before > 0 {
			c.now, c.next = e, d
			return before > floor/8 || c.p.residual(e) < c.p.residual(d)
		}
		for j, g := range e.gradient {
			after += float64(g * (e.dual[j] - d.dual[j]))
		}
		switch {
		case length > longest:
			length = longest
		case before > after:
			length *= min(max(before/(before-after), cutLeast), cutMost)
		default:
			length *= cutMost
		}
	}
	return false
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
