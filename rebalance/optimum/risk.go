package optimum

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

// Risk is the risk model of one security: annual volatility by factor, and what no factor explains.
type Risk struct {
	Load        []float64 `json:"load"`
	SpecificVol float64   `json:"specific_vol"`
}

// RiskModel is estimated once for a market and stored with the runs that use it.
type RiskModel struct {
	Risks     []Risk  `json:"risks"`     // in the order of the returns
	Shrinkage float64 `json:"shrinkage"` // of the correlations towards zero, from 0 to 1
	Days      int     `json:"days"`      // returns used
}

// ErrReturns is wrapped where returns cannot give a risk model. Callers park what needs the model.
var ErrReturns = errors.New("no risk model from these returns")

const (
	tradingDays = 252
	volLeast    = 0.001 // annual; a security whose price never moved gets it
	ownLeast    = 0.02  // least share of a variance that stays specific
)

// EstimateRisk returns a model with the given number of factors from daily returns: one row a day,
// one column a security, no gaps. Correlations are shrunk towards zero by the intensity of Schäfer
// and Strimmer (2005), which minimises the expected squared error; the factors are the first
// principal components of the shrunk correlations, scaled back by the volatilities, each with the
// sign that makes its largest loading positive. What they leave of a variance, at least ownLeast of
// it, is specific. It returns ErrReturns, wrapped, for fewer than three days or ragged rows.
func EstimateRisk(returns [][]float64, factors int) (*RiskModel, error) {
	if len(returns) < 3 || len(returns[0]) == 0 {
		return nil, fmt.Errorf("%d days: %w", len(returns), ErrReturns)
	}
	days, n := len(returns), len(returns[0])
	z := mat.NewDense(days, n, nil)
	for d, row := range returns {
		if len(row) != n {
			return nil, fmt.Errorf("day %d has %d of %d returns: %w", d, len(row), n, ErrReturns)
		}
		for i, r := range row {
			if math.IsNaN(r) || math.IsInf(r, 0) {
				return nil, fmt.Errorf("day %d, security %d: %w", d, i, ErrReturns)
			}
			z.Set(d, i, r)
		}
	}
	vol := standardise(z)
	corr, shrinkage := shrunk(z)
	var eigen mat.EigenSym
	if !eigen.Factorize(corr, true) {
		return nil, fmt.Errorf("principal components: %w", ErrReturns)
	}
	model := &RiskModel{Risks: make([]Risk, n), Shrinkage: shrinkage, Days: days}
	for i := range model.Risks {
		model.Risks[i] = Risk{Load: make([]float64, factors)}
	}
	model.fill(&eigen, vol)
	return model, nil
}

// standardise turns the columns of z to mean 0 and variance 1 and returns their annual volatility. A
// column that never moves becomes zeros.
func standardise(z *mat.Dense) []float64 {
	days, n := z.Dims()
	vol := make([]float64, n)
	for i := range n {
		mean, sum := 0.0, 0.0
		for d := range days {
			mean += z.At(d, i) / float64(days)
		}
		for d := range days {
			x := z.At(d, i) - mean
			sum += float64(x * x)
		}
		sd := math.Sqrt(sum / float64(days-1))
		vol[i] = max(sd*math.Sqrt(tradingDays), volLeast)
		for d := range days {
			x := 0.0
			if sd > 0 {
				x = (z.At(d, i) - mean) / sd
			}
			z.Set(d, i, x)
		}
	}
	return vol
}

// shrunk returns the correlations of standardised returns, shrunk towards zero, and by how much:
// the estimated variance of all correlations over the sum of their squares.
func shrunk(z *mat.Dense) (*mat.SymDense, float64) {
	days, n := z.Dims()
	t := float64(days)
	corr := mat.NewSymDense(n, nil)
	corr.SymOuterK(1/(t-1), z.T())
	variance, squares := 0.0, 0.0
	for i := range n {
		for j := range i {
			mean := corr.At(i, j) * (t - 1) / t
			sum := 0.0
			for d := range days {
				e := float64(z.At(d, i)*z.At(d, j)) - mean
				sum += float64(e * e)
			}
			variance += sum * t / ((t - 1) * (t - 1) * (t - 1))
			squares += float64(corr.At(i, j) * corr.At(i, j))
		}
	}
	shrinkage := 1.0
	if squares > 0 {
		shrinkage = min(variance/squares, 1)
	}
	for i := range n {
		for j := range i {
			corr.SetSym(i, j, corr.At(i, j)*(1-shrinkage))
		}
		corr.SetSym(i, i, 1)
	}
	return corr, shrinkage
}

// fill sets loadings and specific volatilities from the largest components.
func (m *RiskModel) fill(eigen *mat.EigenSym, vol []float64) {
	n := len(m.Risks)
	values := eigen.Values(nil) // ascending
	var vectors mat.Dense
	eigen.VectorsTo(&vectors)
	own := make([]float64, n)
	for i := range own {
		own[i] = 1
	}
	for k := range min(len(m.Risks[0].Load), n) {
		c := n - 1 - k
		scale := math.Sqrt(max(values[c], 0))
		largest := 0.0
		for i := range n {
			if v := vectors.At(i, c); math.Abs(v) > math.Abs(largest) {
				largest = v
			}
		}
		scale = math.Copysign(scale, largest)
		for i := range n {
			load := scale * vectors.At(i, c)
			m.Risks[i].Load[k] = vol[i] * load
			own[i] -= float64(load * load)
		}
	}
	for i := range n {
		m.Risks[i].SpecificVol = vol[i] * math.Sqrt(max(own[i], ownLeast))
	}
}
