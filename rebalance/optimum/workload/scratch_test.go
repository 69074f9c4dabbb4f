package workload

import (
	"daybreak/rebalance/optimum"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"sort"
	"testing"
	"time"
)

func TestScratch(t *testing.T) {
	for _, sc := range []string{"etf10", "di100", "di500"} {
		data, _ := os.ReadFile("/work/scratch/optimum/wl/" + sc + ".json")
		f, err := Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		u := f.Universe()
		var refs []struct {
			Account string
			F       float64
		}
		d, _ := os.ReadFile("/work/shared/workload/reference-" + sc + ".json")
		json.Unmarshal(d, &refs)
		ref := map[string]float64{}
		for _, r := range refs {
			ref[r.Account] = r.F
		}
		var s optimum.Solver
		worst, gapw := 0.0, 0.0
		var fixed, mixed, gaps, nodes []float64
		for k := range f.Accounts {
			a, err := f.Account(k)
			if err != nil {
				t.Fatal(err)
			}
			o := optimum.DefaultOptions()
			o.Roles = optimum.Fixed
			best := time.Hour
			var p *optimum.Plan
			for range 5 {
				st := time.Now()
				p, err = s.Solve(u, a, &o)
				if e := time.Since(st); e < best {
					best = e
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			fixed = append(fixed, float64(best.Nanoseconds())/1e3)
			if r, ok := ref[a.ID]; ok {
				worst = math.Max(worst, math.Abs(r-p.Fixed.Objective))
			}
			gapw = math.Max(gapw, math.Abs(p.Fixed.Objective-p.Fixed.Bound))
			it := p.Steps
			o.Roles = optimum.Mixed
			best = time.Hour
			for range 3 {
				st := time.Now()
				p, err = s.Solve(u, a, &o)
				if e := time.Since(st); e < best {
					best = e
				}
			}
			mixed = append(mixed, float64(best.Nanoseconds())/1e3)
			gaps = append(gaps, 1e4*(p.Objective-p.Bound))
			nodes = append(nodes, float64(p.Branches))
			if testing.Verbose() {
				fmt.Printf("%s loss %.2e res %v fixed %.1fus it %d f %.9f mixed %.1fus it %d nodes %d f %.9f gap %.4f bp\n", a.ID, p.RoundingLoss, p.Residuals.IsZero(), fixed[k], it, p.Fixed.Objective, mixed[k], p.Steps, p.Branches, p.Objective, gaps[k])
			}
		}
		sort.Float64s(fixed)
		sort.Float64s(mixed)
		sort.Float64s(gaps)
		sort.Float64s(nodes)
		n := len(fixed)
		fmt.Printf("== %s worst ref diff %.2e own gap %.2e fixed med %.1f max %.1f us; mixed med %.1f max %.1f us; gap med %.4f max %.4f; nodes med %.0f max %.0f\n", sc, worst, gapw, fixed[n/2], fixed[n-1], mixed[n/2], mixed[n-1], gaps[n/2], gaps[n-1], nodes[n/2], nodes[n-1])
	}
}
