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
)

// climber maximises the dual by Newton's method in one dimension a factor and a row. It keeps the
// curvature matrix between calls and changes it only for the items whose curvature changed.
type climber struct {
	p           *problem
	now, next   *dualPoint
	curvature   []float64 // dim × dim, lower half, factors and mixed part as of omega and kappa below
	omega       []float64
	kappa       []float64
	factor      []float64 // Cholesky factor of the same shape
	step        []float64
	isHeld      []bool
	memory      [2]dualPoint
	iterations  int
	evaluations int
	highest     struct { // bound seen since the caller reset its value, and where
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
		if c.residual() < until.gradient {
			return true
		}
		c.updateCurvature()
		c.solveStep()
		if !c.advance(mask, eps) {
			return c.residual() < 1e3*until.gradient
		}
		c.iterations++
	}
	return false
}

// residual is the largest entry of the gradient, projected where a multiplier is 0.
func (c *climber) residual() float64 { return residualOf(c.now, c.p.factors) }

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

// solveStep solves curvature · step = gradient. A multiplier that is 0 and would fall is held,
// and the step solved again, so that a short enough step keeps all of them at 0 or above.
func (c *climber) solveStep() {
	p, d := c.p, c.now
	for j := p.factors; j < len(d.dual); j++ {
		c.isHeld[j] = d.dual[j] <= 0 && d.gradient[j] < 0
	}
	for range p.rows {
		c.solveFree()
		falls := false
		for j := p.factors; j < len(d.dual); j++ {
			if d.dual[j] <= 0 && c.step[j] < 0 {
				c.isHeld[j], falls = true, true
			}
		}
		if !falls {
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
// where a line through the two slopes along it crosses zero; multipliers that would fall below 0
// stop there, and where that does not help, the whole step stops at the first of them.
func (c *climber) advance(mask []uint8, eps float64) bool {
	d, e := c.now, c.next
	length := 1.0
	floor := noise * (1 + math.Abs(d.soft))
	longest := c.longest()
	for range cutsMax {
		before, after := 0.0, 0.0
		for j, g := range d.gradient {
			e.dual[j] = d.dual[j] + float64(length*c.step[j])
			if j >= c.p.factors && e.dual[j] < 0 {
				e.dual[j] = 0
			}
			before += float64(g * (e.dual[j] - d.dual[j]))
		}
		c.p.evaluate(e, mask, eps)
		if e.soft >= d.soft+float64(riseMin*before)-floor && before > 0 {
			c.now, c.next = e, d
			return before > floor/8 || c.residual() < residualOf(d, c.p.factors)
		}
		for j, g := range e.gradient {
			after += float64(g * (e.dual[j] - d.dual[j]))
		}
		cut := cutMost
		if before > after {
			cut = min(max(before/(before-after), cutLeast), cutMost)
		}
		if length > longest && length*cut <= longest || length > longest && before <= 0 {
			length = longest
			continue
		}
		length *= cut
	}
	return false
}

// longest is the part of the step, at most 1, that keeps every multiplier at 0 or above.
func (c *climber) longest() float64 {
	most := 1.0
	for j := c.p.factors; j < len(c.step); j++ {
		if c.step[j] < 0 {
			most = min(most, -c.now.dual[j]/c.step[j])
		}
	}
	return most
}

func residualOf(d *dualPoint, factors int) float64 {
	worst := 0.0
	for j, g := range d.gradient {
		if j < factors || d.dual[j] > 0 || g > 0 {
			worst = math.Max(worst, math.Abs(g))
		}
	}
	return worst
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
