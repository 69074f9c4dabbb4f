package optimum_test

import (
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// quadratic is a small convex problem for tests: minimise ½·v'Qv + c'v + constant subject to
// A·v <= b. It is solved by an interior point method that shares nothing with the package.
type quadratic struct {
	q        *mat.SymDense
	c        []float64
	constant float64
	rows     [][]float64
	b        []float64
}

func (q *quadratic) add(row []float64, b float64) {
	q.rows = append(q.rows, row)
	q.b = append(q.b, b)
}

// bound adds lo <= v[j] <= hi. A variable that may only be 0 gets a steep cost instead: an interior
// point method needs an interior.
func (q *quadratic) bound(j int, lo, hi float64) {
	if hi == 0 && lo == 0 {
		q.q.SetSym(j, j, q.q.At(j, j)+1e9)
		return
	}
	up, down := make([]float64, len(q.c)), make([]float64, len(q.c))
	up[j], down[j] = 1, -1
	q.add(up, hi)
	q.add(down, -lo)
}

// solve returns the least value, and false where no point keeps all rows.
func (q *quadratic) solve(t *testing.T) (float64, []float64, bool) {
	t.Helper()
	n, m := len(q.c), len(q.rows)
	v, s, l := make([]float64, n), make([]float64, m), make([]float64, m)
	for r := range m {
		s[r] = math.Max(1, q.b[r])
		l[r] = 1
	}
	for range 200 {
		dual, primal, mu := q.residuals(v, s, l)
		if norm(dual) < 1e-11 && norm(primal) < 1e-11 && mu < 1e-13 {
			return q.value(v), v, true
		}
		dv, ds, dl, ok := q.direction(v, s, l, 0.1*mu)
		if !ok {
			return q.value(v), v, norm(primal) < 1e-9 && mu < 1e-9
		}
		step := 1.0
		for r := range m {
			if ds[r] < 0 {
				step = math.Min(step, -0.995*s[r]/ds[r])
			}
			if dl[r] < 0 {
				step = math.Min(step, -0.995*l[r]/dl[r])
			}
		}
		for j := range v {
			v[j] += step * dv[j]
		}
		for r := range m {
			s[r] += step * ds[r]
			l[r] += step * dl[r]
		}
	}
	_, primal, mu := q.residuals(v, s, l)
	return q.value(v), v, norm(primal) < 1e-9 && mu < 1e-9
}

func (q *quadratic) value(v []float64) float64 {
	f := q.constant
	for j := range v {
		f += q.c[j] * v[j]
		for k := range v {
			f += 0.5 * v[j] * q.q.At(j, k) * v[k]
		}
	}
	return f
}

func (q *quadratic) residuals(v, s, l []float64) (dual, primal []float64, mu float64) {
	dual = make([]float64, len(v))
	for j := range v {
		dual[j] = q.c[j]
		for k := range v {
			dual[j] += q.q.At(j, k) * v[k]
		}
		for r := range s {
			dual[j] += q.rows[r][j] * l[r]
		}
	}
	primal = make([]float64, len(s))
	for r := range s {
		primal[r] = s[r] - q.b[r]
		for j := range v {
			primal[r] += q.rows[r][j] * v[j]
		}
		mu += s[r] * l[r] / float64(len(s))
	}
	return dual, primal, mu
}

// direction solves the Newton system of the barrier problem with parameter mu.
func (q *quadratic) direction(v, s, l []float64, mu float64) (dv, ds, dl []float64, ok bool) {
	n, m := len(v), len(s)
	dual, primal, _ := q.residuals(v, s, l)
	h := mat.NewSymDense(n, nil)
	right := mat.NewVecDense(n, nil)
	for j := range n {
		right.SetVec(j, -dual[j])
		for k := j; k < n; k++ {
			sum := q.q.At(j, k)
			for r := range m {
				sum += q.rows[r][j] * q.rows[r][k] * l[r] / s[r]
			}
			h.SetSym(j, k, sum)
		}
		h.SetSym(j, j, h.At(j, j)+1e-13)
		for r := range m {
			right.SetVec(j, right.AtVec(j)-q.rows[r][j]*(mu/s[r]-l[r]+l[r]/s[r]*primal[r]))
		}
	}
	var chol mat.Cholesky
	if !chol.Factorize(h) {
		return nil, nil, nil, false
	}
	var x mat.VecDense
	if err := chol.SolveVecTo(&x, right); err != nil {
		return nil, nil, nil, false
	}
	dv, ds, dl = x.RawVector().Data, make([]float64, m), make([]float64, m)
	for r := range m {
		move := primal[r]
		for j := range n {
			move += q.rows[r][j] * dv[j]
		}
		ds[r] = -move
		dl[r] = mu/s[r] - l[r] - l[r]/s[r]*ds[r]
	}
	return dv, ds, dl, true
}

func norm(v []float64) float64 {
	worst := 0.0
	for _, x := range v {
		worst = math.Max(worst, math.Abs(x))
	}
	return worst
}
