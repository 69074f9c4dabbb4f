package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"daybreak/rebalance/optimum"
	"daybreak/rebalance/optimum/workload"
)

// planMeasurement is one line of a bench: what was reached, what the machine could reach for the same
// rows in the same run, and the ratio of the two.
type planMeasurement struct {
	Name  string  `json:"name"`
	Unit  string  `json:"unit"`
	Rate  float64 `json:"rate"`
	Limit float64 `json:"limit"`
	Ratio float64 `json:"ratio"`
	RSSMB float64 `json:"rss_mb"`
	planSpread
}

// planSpread is what the accounts of a measurement took and how good their plans are.
type planSpread struct {
	Accounts     int     `json:"accounts"`
	MedianMicros float64 `json:"median_us"`
	MaxMicros    float64 `json:"max_us"`
	MedianGapBP  float64 `json:"median_gap_bp"`
	MaxGapBP     float64 `json:"max_gap_bp"`
}

// planBench is one bench of the optimiser: where its output goes and what it measures.
type planBench struct {
	encoder  *json.Encoder
	n        int
	workload string // directory of files to use instead of generated accounts
	now      func() time.Time
}

// newBenchPlanCmd returns the command that measures the optimiser on one core.
func newBenchPlanCmd() *cobra.Command {
	b := planBench{now: time.Now}
	c := &cobra.Command{
		Use:   "plan",
		Short: "Measure the optimiser: accounts a second on one core, and the gaps that it proves",
		Long: "Plans generated accounts of three sizes (etf10: 20 funds, 40 lots; di100 and di500: stocks,\n" +
			"1,000 lots), with fixed and with mixed roles, and with every rule on, then accounts of 500 and of\n" +
			"5,000 names with ten lots each to show that time grows with their number. One line of JSON each:\n" +
			"rate is accounts a second at the median account, limit what one pass over the account's numbers\n" +
			"would allow (each lot valued once, each loading multiplied once), ratio the one over the other.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			out := bufio.NewWriter(c.OutOrStdout())
			b.encoder = json.NewEncoder(out)
			err := b.run()
			return errors.Join(err, out.Flush())
		},
	}
	c.Flags().IntVar(&b.n, "n", 20, "accounts of each size")
	c.Flags().StringVar(&b.workload, "workload", "", "directory with etf10.json, di100.json and di500.json to plan instead of generated accounts")
	return c
}

func (b *planBench) run() error {
	for _, spec := range workload.Specs {
		f, err := b.file(spec)
		if err != nil {
			return err
		}
		for _, roles := range []optimum.Roles{optimum.Fixed, optimum.Mixed} {
			if _, err := b.measure("plan/"+spec.Scenario+"/"+string(roles), planCase{file: f, roles: roles}); err != nil {
				return err
			}
		}
		if _, err := b.measure("plan/"+spec.Scenario+"/all_rules", planCase{file: f, roles: optimum.Mixed, isRuled: true}); err != nil {
			return err
		}
	}
	return b.growth()
}

// file returns the workload of a size: the file of that name in the directory given, or a
// generated one.
func (b *planBench) file(spec workload.Spec) (*workload.File, error) {
	if b.workload == "" {
		spec.Accounts = b.n
		return workload.Generate(spec), nil
	}
	data, err := os.ReadFile(filepath.Join(b.workload, spec.Scenario+".json"))
	if err != nil {
		return nil, err
	}
	f, err := workload.Decode(data)
	if err == nil && len(f.Accounts) > b.n {
		f.Accounts = f.Accounts[:b.n]
	}
	return f, err
}

// growth measures accounts of 500 and of 5,000 names; its last line says how many times longer the
// tenfold account takes, against the limit of ten.
func (b *planBench) growth() error {
	spec := workload.Spec{Scenario: "names500", Seed: 77, Accounts: 3, Classes: 500, PerClass: 1, Lots: 5_000, Factors: 20,
		NAVCents: 1_000_000_000, IsStock: true}
	small, err := b.measure("plan/500_names_5000_lots", planCase{file: workload.Generate(spec), roles: optimum.Mixed})
	if err != nil {
		return err
	}
	spec.Scenario, spec.Classes, spec.Lots, spec.NAVCents = "names5000", 5_000, 50_000, 10_000_000_000
	large, err := b.measure("plan/5000_names_50000_lots", planCase{file: workload.Generate(spec), roles: optimum.Mixed})
	if err != nil {
		return err
	}
	times := large.MedianMicros / small.MedianMicros
	return b.encoder.Encode(planMeasurement{Name: "plan/growth", Unit: "times longer for ten times the lots and names", Rate: times, Limit: 10,
		Ratio: times / 10, RSSMB: selfRSS(), planSpread: planSpread{Accounts: 3}})
}

// planCase is what one line measures.
type planCase struct {
	file    *workload.File
	roles   optimum.Roles
	isRuled bool // with the rules that the schema leaves out
}

// measure plans every account a few times and takes the best time of each: the machine has other
// work.
func (b *planBench) measure(name string, of planCase) (planSpread, error) {
	o := optimum.DefaultOptions()
	o.Roles = of.roles
	u := of.file.Universe()
	if of.isRuled {
		u = of.file.RuledUniverse()
	}
	var solver optimum.Solver
	var took, limits, gaps []float64
	for k := range of.file.Accounts {
		a, err := of.file.Account(k)
		if err != nil {
			return planSpread{}, fmt.Errorf("%s: %w", of.file.Accounts[k].ID, err)
		}
		if of.isRuled {
			workload.AddRules(a)
		}
		var plan *optimum.Plan
		took = append(took, b.best(func() { plan, err = solver.Solve(u, a, &o) }))
		if err != nil {
			return planSpread{}, fmt.Errorf("%s: %w", a.ID, err)
		}
		gaps = append(gaps, plan.GapBP)
		limits = append(limits, b.best(func() { runtime.KeepAlive(onePass(u, a)) }))
	}
	slices.Sort(took)
	slices.Sort(limits)
	slices.Sort(gaps)
	mid := len(took) / 2
	s := planSpread{Accounts: len(took), MedianMicros: took[mid], MaxMicros: took[len(took)-1], MedianGapBP: gaps[mid], MaxGapBP: gaps[len(gaps)-1]}
	return s, b.encoder.Encode(planMeasurement{Name: name, Unit: "accounts/s", Rate: 1e6 / took[mid], Limit: 1e6 / limits[mid],
		Ratio: limits[mid] / took[mid], RSSMB: selfRSS(), planSpread: s})
}

// best returns the least of a few times of do, in microseconds.
func (b *planBench) best(do func()) float64 {
	least := 0.0
	for try := range 3 {
		start := b.now()
		do()
		if took := float64(b.now().Sub(start)) / float64(time.Microsecond); try == 0 || took < least {
			least = took
		}
	}
	return max(least, 1e-3)
}

// onePass values each lot once and multiplies each loading once.
func onePass(u *optimum.Universe, a *optimum.Account) float64 {
	sum := 0.0
	for k := range a.Lots {
		l := &a.Lots[k]
		sum += l.Shares.Float()*u.Securities[l.Security].Price.Float() - l.Cost.Float()
	}
	for i := range u.Securities {
		for _, load := range u.Securities[i].Load {
			sum += load * load
		}
	}
	return sum
}
