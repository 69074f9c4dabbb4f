package optimum_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"daybreak/rebalance/optimum"
)

// planted returns daily returns of a market with one factor: volatility 0.16 a year, betas from 0.5
// to 1.5, specific volatility 0.2.
func planted(days, n int) [][]float64 {
	r := rand.New(rand.NewPCG(7, 11))
	out := make([][]float64, days)
	for d := range out {
		market := 0.16 / math.Sqrt(252) * r.NormFloat64()
		out[d] = make([]float64, n)
		for i := range out[d] {
			beta := 0.5 + float64(i)/float64(n-1)
			out[d][i] = beta*market + 0.2/math.Sqrt(252)*r.NormFloat64()
		}
	}
	return out
}

func TestEstimateRiskFindsThePlantedFactor(t *testing.T) {
	const n = 40
	m, err := optimum.EstimateRisk(planted(1000, n), 1)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range m.Risks {
		beta := 0.5 + float64(i)/float64(n-1)
		if want := 0.16 * beta; math.Abs(r.Load[0]-want) > 0.03 {
			t.Errorf("loading of %d = %.3f, want %.3f", i, r.Load[0], want)
		}
		if math.Abs(r.SpecificVol-0.2) > 0.03 {
			t.Errorf("specific volatility of %d = %.3f, want 0.2", i, r.SpecificVol)
		}
	}
	if m.Shrinkage <= 0 || m.Shrinkage > 0.2 {
		t.Errorf("shrinkage = %.3f, want above 0 and small with 1000 days", m.Shrinkage)
	}
	few, err := optimum.EstimateRisk(planted(20, n), 1)
	if err != nil {
		t.Fatal(err)
	}
	if few.Shrinkage <= m.Shrinkage {
		t.Errorf("shrinkage with 20 days = %.3f, want more than %.3f", few.Shrinkage, m.Shrinkage)
	}
}

// A security keeps its variance, whatever the number of factors and days.
func TestEstimateRiskKeepsVariances(t *testing.T) {
	for _, c := range []struct{ days, n, factors int }{{3, 10, 2}, {30, 50, 10}, {300, 5, 5}, {300, 5, 9}} {
		returns := planted(c.days, c.n)
		m, err := optimum.EstimateRisk(returns, c.factors)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range m.Risks {
			mean, want := 0.0, 0.0
			for _, row := range returns {
				mean += row[i] / float64(c.days)
			}
			for _, row := range returns {
				want += (row[i] - mean) * (row[i] - mean) / float64(c.days-1) * 252
			}
			got := r.SpecificVol * r.SpecificVol
			for _, l := range r.Load {
				got += l * l
			}
			if got < want*0.999 || got > want*1.021 || len(r.Load) != c.factors || r.SpecificVol <= 0 {
				t.Errorf("%+v: variance of %d = %.5f, want %.5f or up to 2 %% more", c, i, got, want)
			}
		}
	}
}

func TestEstimateRiskRefuses(t *testing.T) {
	for name, returns := range map[string][][]float64{
		"no days":    nil,
		"two days":   {{0.1}, {0.2}},
		"no columns": {{}, {}, {}},
		"ragged":     {{0.1, 0.2}, {0.1}, {0.1, 0.2}},
		"NaN":        {{0.1}, {math.NaN()}, {0.2}},
	} {
		if _, err := optimum.EstimateRisk(returns, 1); !errors.Is(err, optimum.ErrReturns) {
			t.Errorf("%s: EstimateRisk = %v, want %v", name, err, optimum.ErrReturns)
		}
	}
	flat, err := optimum.EstimateRisk([][]float64{{0, 0.1}, {0, -0.1}, {0, 0.05}}, 1)
	if err != nil || flat.Risks[0].SpecificVol <= 0 {
		t.Errorf("a price that never moves: %v, %+v, want a small specific volatility", err, flat)
	}
}
