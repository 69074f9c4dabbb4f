package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"daybreak/market"
	"daybreak/money"
	"daybreak/region"
)

// taxMeasurement is one line of `daybreak bench tax`. Limit is what the same machine does in the
// same run when it only goes through the same rows: it adds up their amounts, or for a whole process
// reads the file and checks that it is JSON.
type taxMeasurement struct {
	Name    string  `json:"name"`
	Unit    string  `json:"unit"`
	N       int     `json:"n"` // rows of one repetition
	Seconds float64 `json:"seconds"`
	Rate    float64 `json:"rate"`
	Limit   float64 `json:"limit"`
	Ratio   float64 `json:"ratio"` // rate ÷ limit
	RSS     float64 `json:"rss_mb"`
}

// newBenchTaxCmd returns the command that measures the tax engine.
func newBenchTaxCmd() *cobra.Command {
	var n int
	c := &cobra.Command{
		Use:   "tax",
		Short: "Measure the tax engine: the fold, a household's morning, the whole process",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if n < 1000 {
				return exitWith(exitUsage, fmt.Errorf("--n %d: want 1000 or more", n))
			}
			return benchTax(c.OutOrStdout(), n)
		},
	}
	c.Flags().IntVar(&n, "n", 200_000, "transactions of the largest history")
	return c
}

func benchTax(out io.Writer, n int) error {
	lines := json.NewEncoder(out)
	for _, name := range []string{"CA", "US"} {
		rules, err := region.Load(name)
		if err != nil {
			return err
		}
		for _, bench := range []func(string, *region.Rules, int) ([]taxMeasurement, error){benchFold, benchHousehold} {
			found, err := bench(name, rules, n)
			if err != nil {
				return err
			}
			for _, m := range found {
				if err := lines.Encode(m); err != nil {
					return err
				}
			}
		}
	}
	for _, size := range []int{n / 100, n / 10, n} {
		m, err := benchProcess(size)
		if err != nil {
			return err
		}
		if err := lines.Encode(m); err != nil {
			return err
		}
	}
	return nil
}

// measure repeats work on rows for about half a second and returns its line, with the rate of limit
// over the same rows.
func measure(name, unit string, rows int, work, limit func()) taxMeasurement {
	m := taxMeasurement{Name: name, Unit: unit, N: rows, Seconds: repeat(work)}
	m.Rate = float64(rows) / m.Seconds
	m.Limit = float64(rows) / repeat(limit)
	m.Ratio, m.RSS = m.Rate/m.Limit, selfRSS()
	return m
}

// repeat returns the least seconds that one of several runs took.
func repeat(work func()) float64 {
	best, start := time.Duration(1<<62), time.Now()
	for runs := 0; runs < 3 || time.Since(start) < 500*time.Millisecond; runs++ {
		before := time.Now()
		work()
		best = min(best, time.Since(before))
	}
	return max(best, time.Nanosecond).Seconds()
}

// walk adds up what the events carry: the least that any fold does.
func walk(events []region.Event) func() {
	return func() {
		var shares money.Rat
		var amount money.Dec
		for i := range events {
			shares, amount = shares.Add(events[i].Shares), amount.Add(events[i].Amount)
		}
		runtime.KeepAlive(shares)
		runtime.KeepAlive(amount)
	}
}

// benchFold folds n events of households of 2,000 events each, on one core.
func benchFold(name string, rules *region.Rules, n int) ([]taxMeasurement, error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const each = 2000
	events := history(each, 20, rules.Home)
	fold := func() {
		for range n / each {
			if _, err := region.Fold(rules, region.Scope{}, region.Checkpoint{}, events); err != nil {
				panic(err) // the history is our own
			}
		}
	}
	limit := walk(events)
	m := measure("tax_fold_"+name, "events/s", n/each*each, fold, func() {
		for range n / each {
			limit()
		}
	})
	return []taxMeasurement{m}, nil
}

// benchHousehold folds ten years of weekly purchases in 20 securities, and the day after them from a
// checkpoint.
func benchHousehold(name string, rules *region.Rules, _ int) ([]taxMeasurement, error) {
	const securities, weeks = 20, 520
	events := make([]region.Event, 0, securities*(weeks+1))
	day := market.NewDay(2015, 1, 5)
	for w := range weeks + 1 {
		for s := range securities {
			e := event(len(events), s, day+market.Day(7*w), rules.Home)
			e.Kind, e.Shares, e.Amount = region.Buy, money.RatOf(int64(1000+w), 100), money.FromUnits(int64(50_000+w*7), 2)
			events = append(events, e)
		}
	}
	before, after := events[:securities*weeks], events[securities*weeks:]
	b, err := region.Fold(rules, region.Scope{}, region.Checkpoint{}, before)
	if err != nil {
		return nil, err
	}
	checkpoint := b.Checkpoint(after[0].Day - 1)
	fold := func(from region.Checkpoint, events []region.Event) func() {
		return func() {
			if _, err := region.Fold(rules, region.Scope{}, from, events); err != nil {
				panic(err)
			}
		}
	}
	return []taxMeasurement{
		measure("tax_ten_years_"+name, "events/s", len(before), fold(region.Checkpoint{}, before), walk(before)),
		measure("tax_next_day_"+name, "events/s", len(after), fold(checkpoint, after), walk(after)),
	}, nil
}

// benchProcess runs this program's `tax` over a Canadian history of n transactions.
func benchProcess(n int) (taxMeasurement, error) {
	m := taxMeasurement{Name: "tax_process", Unit: "transactions/s", N: n}
	self, err := os.Executable()
	if err != nil {
		return m, err
	}
	dir, err := os.MkdirTemp("", "daybreak-bench-")
	if err != nil {
		return m, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "case.json")
	if err := os.WriteFile(file, taxCase(history(n, 20, "CAD")), 0o600); err != nil {
		return m, err
	}
	var runErr error
	m.Seconds = repeat(func() {
		c := exec.Command(self, "tax", file)
		c.Stdout = io.Discard
		if err := c.Run(); err != nil {
			runErr = fmt.Errorf("%s tax: %w", self, err)
			return
		}
		if usage, ok := c.ProcessState.SysUsage().(*syscall.Rusage); ok {
			m.RSS = max(m.RSS, rssMB(usage))
		}
	})
	m.Rate = float64(n) / m.Seconds
	m.Limit = float64(n) / repeat(func() {
		if text, err := os.ReadFile(file); err != nil || !json.Valid(text) {
			runErr = fmt.Errorf("case of %d transactions is no JSON: %w", n, err)
		}
	})
	m.Ratio = m.Rate / m.Limit
	return m, runErr
}

// history makes n purchases and sales over some securities and seven years, half of them sales where
// there is something to sell; always the same.
func history(n, securities int, home market.Currency) []region.Event {
	r := rand.New(rand.NewPCG(uint64(n), 54))
	held, cents := make([]int64, securities), make([]int64, securities)
	for s := range cents {
		cents[s] = 5000
	}
	first := market.NewDay(2015, 1, 5)
	events := make([]region.Event, 0, n)
	for i := range n {
		s := r.IntN(securities)
		cents[s] = max(100, cents[s]*int64(970+r.IntN(62))/1000)
		if cents[s] > 50_000 {
			cents[s] = 5000
		}
		e := event(i, s, first+market.Day(i*2500/n), home)
		shares := int64(1 + r.IntN(40))
		if e.Kind = region.Buy; held[s] >= shares && r.IntN(2) == 0 {
			e.Kind = region.Sell
			shares = -shares
		}
		held[s] += shares
		e.Shares = money.RatInt(shares).Abs()
		e.Amount = money.FromUnits(cents[s], 2).MulRat(e.Shares)
		events = append(events, e)
	}
	return events
}

func event(i, security int, day market.Day, home market.Currency) region.Event {
	return region.Event{ID: fmt.Sprintf("t%06d", i), Day: day, Settle: day + 2, Seq: int64(i), Owner: "me", Account: "me/1",
		AccountType: "taxable", Symbol: market.Symbol(fmt.Sprintf("SEC%02d", security)), Currency: home, FX: money.One}
}

// taxCase writes events as a case.
func taxCase(events []region.Event) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"format":%q,"id":"bench","region":"CA","settings":{},"transactions":[`, region.CaseFormat)
	for i, e := range events {
		if i > 0 {
			b.WriteString(",\n")
		}
		fmt.Fprintf(&b, `{"id":%q,"date":%q,"settle":%q,"action":%q,"owner":%q,"account":%q,"account_type":%q,"symbol":%q,`+
			`"currency":%q,"fx":"1","commission":"0","shares":%q,"amount":%q}`, e.ID, e.Day, e.Settle, e.Kind, e.Owner, e.Account,
			e.AccountType, e.Symbol, e.Currency, e.Shares, e.Amount)
	}
	b.WriteString("]}\n")
	return b.Bytes()
}

func selfRSS() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return rssMB(&usage)
}

// rssMB returns the largest resident memory: Linux counts kilobytes, macOS bytes.
func rssMB(usage *syscall.Rusage) float64 {
	if runtime.GOOS == "darwin" {
		return float64(usage.Maxrss) / (1 << 20)
	}
	return float64(usage.Maxrss) / (1 << 10)
}
