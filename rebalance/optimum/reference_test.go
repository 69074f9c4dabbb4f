package optimum_test

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"math"
	"os"
	"slices"
	"testing"

	"daybreak/rebalance/optimum"
	"daybreak/rebalance/optimum/workload"
)

const references = "../../testdata/optimum/"

var scenarios = []string{"etf10", "di100", "di500"}

// stored reads a workload of testdata.
func stored(t testing.TB, scenario string) *workload.File {
	t.Helper()
	in, err := os.Open(references + scenario + ".json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	z, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	f, err := workload.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// each solves every account of a file with the given options.
func each(t testing.TB, f *workload.File, o optimum.Options, do func(a *optimum.Account, p *optimum.Plan)) {
	t.Helper()
	u := f.Universe()
	var s optimum.Solver
	for k := range f.Accounts {
		a, err := f.Account(k)
		if err != nil {
			t.Fatal(err)
		}
		p, err := s.Solve(u, a, &o)
		if err != nil {
			t.Fatalf("%s: %v", a.ID, err)
		}
		do(a, p)
	}
}

type reference struct {
	Account       string   `json:"account"`
	Fixed         float64  `json:"fixed"`
	TrackingError float64  `json:"tracking_error"`
	Tax           float64  `json:"tax"`
	Cash          float64  `json:"cash"`
	NoTrade       float64  `json:"no_trade"`
	Mixed         *float64 `json:"mixed"`
}

func readReferences(t *testing.T) map[string]reference {
	t.Helper()
	data, err := os.ReadFile(references + "references.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []reference
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	out := map[string]reference{}
	for _, r := range all {
		out[r.Account] = r
	}
	return out
}

func TestFixedRolesAgainstClarabel(t *testing.T) {
	refs := readReferences(t)
	for _, scenario := range scenarios {
		o := optimum.DefaultOptions()
		o.Roles = optimum.Fixed
		each(t, stored(t, scenario), o, func(a *optimum.Account, p *optimum.Plan) {
			want := refs[a.ID]
			if d := math.Abs(p.Fixed.Objective - want.Fixed); d > 1e-9 {
				t.Errorf("%s: fixed objective = %.12f, want %.12f", a.ID, p.Fixed.Objective, want.Fixed)
			}
			if gap := p.Fixed.Objective - p.Fixed.Bound; gap < 0 || gap > 1e-11 {
				t.Errorf("%s: own gap = %g, want 0 to 1e-11", a.ID, gap)
			}
			if math.Abs(p.NoTrade-want.NoTrade) > 1e-12 {
				t.Errorf("%s: objective of not trading = %.12f, want %.12f", a.ID, p.NoTrade, want.NoTrade)
			}
			if math.Abs(p.TrackingError-want.TrackingError) > 1e-5 || math.Abs(p.Parts.Tax-want.Tax) > 1e-5 {
				t.Errorf("%s: tracking error, tax = %.6f, %.6f, want %.6f, %.6f", a.ID, p.TrackingError, p.Parts.Tax, want.TrackingError, want.Tax)
			}
			if p.RoundingLoss < -1e-9 || p.RoundingLoss > 1e-7 {
				t.Errorf("%s: rounding loss = %g, want at most 1e-7", a.ID, p.RoundingLoss)
			}
		})
	}
}

func TestMixedRolesGap(t *testing.T) {
	refs := readReferences(t)
	for _, scenario := range scenarios {
		each(t, stored(t, scenario), optimum.DefaultOptions(), func(a *optimum.Account, p *optimum.Plan) {
			if p.GapBP < 0 || p.GapBP > 0.1 {
				t.Errorf("%s: gap = %.4f bp, want 0 to 0.1", a.ID, p.GapBP)
			}
			if p.Objective > p.Fixed.Objective+1e-8 || p.Objective > p.NoTrade {
				t.Errorf("%s: objective = %.9f, want at most %.9f (fixed roles) and %.9f (no trade)", a.ID, p.Objective, p.Fixed.Objective, p.NoTrade)
			}
			if want := refs[a.ID].Mixed; want != nil && math.Abs(p.Unrounded.Objective-*want) > 1e-4 {
				t.Errorf("%s: objective = %.9f, want %.9f within 1 bp", a.ID, p.Unrounded.Objective, *want)
			}
		})
	}
}

// TestOtherSeeds holds the figures on accounts that no one has looked at.
func TestOtherSeeds(t *testing.T) {
	for _, s := range workload.Specs {
		var gaps []float64
		for seed := range uint64(5) {
			s.Seed, s.Accounts = 7_000+seed, 4
			each(t, workload.Generate(s), optimum.DefaultOptions(), func(a *optimum.Account, p *optimum.Plan) {
				gaps = append(gaps, p.GapBP)
				if p.GapBP < 0 || p.GapBP > 1 {
					t.Errorf("seed %d, %s: gap = %.4f bp, want 0 to 1", s.Seed, a.ID, p.GapBP)
				}
				if !p.Fixed.IsFeasible { // the lots that fixed roles may sell do not raise the withdrawal
					return
				}
				if gap := p.Fixed.Objective - p.Fixed.Bound; gap < 0 || gap > 1e-10 {
					t.Errorf("seed %d, %s: own gap of fixed roles = %g, want 0 to 1e-10", s.Seed, a.ID, gap)
				}
				if p.Objective > p.Fixed.Objective+1e-8 || p.IsIdleAllowed && p.Objective > p.NoTrade {
					t.Errorf("seed %d, %s: objective = %.9f, want at most %.9f (fixed roles) and %.9f (no trade)", s.Seed, a.ID, p.Objective, p.Fixed.Objective, p.NoTrade)
				}
			})
		}
		slices.Sort(gaps)
		if median := gaps[len(gaps)/2]; median > 0.25 {
			t.Errorf("%s: median gap = %.4f bp, want at most 0.25", s.Scenario, median)
		}
	}
}

func TestExactFindsTheEnumeratedOptimum(t *testing.T) {
	refs := readReferences(t)
	o := optimum.DefaultOptions()
	o.Exact = true
	each(t, stored(t, "etf10"), o, func(a *optimum.Account, p *optimum.Plan) {
		if want := *refs[a.ID].Mixed; math.Abs(p.Unrounded.Objective-want) > 2e-9 || p.Bound > want+1e-9 {
			t.Errorf("%s: objective, bound = %.10f, %.10f, want %.9f", a.ID, p.Unrounded.Objective, p.Bound, want)
		}
	})
}

// Small names must not drift free of charge, nor cash pile up: with a withdrawal a peer kept 20.8 %
// and 26.7 % in cash on two of these accounts, at tracking errors of 3 to 4 %.
func TestNoCashIsLeftIdle(t *testing.T) {
	each(t, stored(t, "di100"), optimum.DefaultOptions(), func(a *optimum.Account, p *optimum.Plan) {
		need := p.Value.Mul(dec("0.005")).Add(a.Withdrawal)
		if over := p.CashAfter.Sub(need).Div(p.Value); dec("0.02").Less(over) {
			t.Errorf("%s: cash over its need = %s of value, want at most 0.02", a.ID, over)
		}
		if p.TrackingError > 0.015 {
			t.Errorf("%s: tracking error = %.4f, want at most 0.015", a.ID, p.TrackingError)
		}
	})
}
