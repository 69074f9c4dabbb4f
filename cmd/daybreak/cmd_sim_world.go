package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"daybreak/internal/postgres"
	"daybreak/market"
	"daybreak/money"
	"daybreak/sim"
)

// worldFlags are the flags of sim world as they are written.
type worldFlags struct {
	settings       sim.WorldSettings
	to             string
	faults, direct string
	out            string
	workers        int
}

func newSimWorldCmd(a *app) *cobra.Command {
	var f worldFlags
	c := &cobra.Command{
		Use:   "world --to DATE",
		Short: "Make households that lived through years of the imported prices",
		Long: "Makes clients and couples in Canada and the US who opened accounts, paid in each month, reinvested\n" +
			"dividends, withdrew, rebalanced and sold at a loss over the imported prices, until the evening before DATE.\n" +
			"Some have one fault planted, which the morning run must park them with. Household n depends on the seed and n\n" +
			"alone. With --out they are written as JSON lines for `daybreak import households`, and what they need beyond\n" +
			"the imported market beside them, to be imported first: NAME.securities.csv, NAME.prices.csv (--adjustment raw),\n" +
			"and NAME.models.csv where the market has no direct-indexing model of a country.",
		Example: "  daybreak sim world --households 5000 --to 2020-03-16\n" +
			"  daybreak sim world --households 100 --seed 7 --to 2020-03-16 --out world.jsonl",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := f.parse(); err != nil {
				return err
			}
			return a.simWorld(c.Context(), f)
		},
	}
	flags := c.Flags()
	flags.IntVar(&f.settings.Households, "households", 1000, "how many households to make")
	flags.Uint64Var(&f.settings.Seed, "seed", 1, "the world's seed")
	flags.StringVar(&f.to, "to", "", "day of the morning run that the world is made for (required)")
	flags.IntVar(&f.settings.Years, "years", 3, "how many years they live through")
	flags.StringVar(&f.faults, "faults", "0.01", "share of households with a planted fault, from 0 to 1")
	flags.StringVar(&f.direct, "direct-indexing", "0.05", "share of households with a direct-indexing account, from 0 to 1")
	flags.StringVar(&f.out, "out", "", "write the households to this file instead of the book")
	flags.IntVar(&f.workers, "workers", runtime.GOMAXPROCS(0), "households made at once; the world is the same for any number")
	return c
}

// parse reads the flags that are not plain numbers.
func (f *worldFlags) parse() error {
	day, err := market.ParseDay(f.to)
	if err != nil {
		return usageError("--to: the day of the morning run: %w", err)
	}
	f.settings.To = day
	for _, share := range []struct {
		flag, text string
		ppm        *int
	}{{"--faults", f.faults, &f.settings.FaultsPPM}, {"--direct-indexing", f.direct, &f.settings.DirectPPM}} {
		v, err := money.Parse(share.text)
		if err != nil || v.Sign() < 0 || money.One.Less(v) {
			return usageError("%s: %q is not a share from 0 to 1", share.flag, share.text)
		}
		*share.ppm, _ = strconv.Atoi(v.Mul(money.FromInt(1_000_000)).Fixed(0))
	}
	if f.workers < 1 {
		return usageError("--workers is %d, and must be at least 1", f.workers)
	}
	if err := f.settings.Validate(); err != nil {
		return usageError("%w", err)
	}
	return nil
}

// worldReport is the JSON of sim world.
type worldReport struct {
	To   market.Day `json:"date"`
	AsOf market.Day `json:"as_of"`
	Seed uint64     `json:"seed"`
	sim.WorldSummary
	Seconds         float64  `json:"seconds"`
	EventsPerSecond int      `json:"events_per_second"`
	Files           []string `json:"files,omitempty"`
}

func (a *app) simWorld(ctx context.Context, f worldFlags) error {
	return a.withStore(ctx, func(db *postgres.DB) error {
		history, err := db.MarketHistory(ctx, f.settings.To)
		if err != nil {
			return err
		}
		began := a.now()
		world, err := sim.NewWorld(f.settings, history)
		if errors.Is(err, sim.ErrWorld) {
			return exitWith(exitUsage, err)
		}
		if err != nil {
			return err
		}
		report := worldReport{To: f.settings.To, AsOf: world.AsOf(), Seed: f.settings.Seed}
		if report.WorldSummary, report.Files, err = a.makeWorld(ctx, db, world, f); err != nil {
			return err
		}
		if f.out == "" {
			if err := a.setSampleClock(ctx, db, f.settings.To); err != nil {
				return err
			}
		}
		spent := a.now().Sub(began)
		report.Seconds = spent.Round(time.Millisecond).Seconds()
		report.EventsPerSecond = int(float64(report.Events) / max(spent.Seconds(), 1e-9))
		return emitOne(a, report, writeWorld)
	})
}

// makeWorld stores or writes a world and shows how far it is.
func (a *app) makeWorld(ctx context.Context, db *postgres.DB, world *sim.World, f worldFlags) (sim.WorldSummary, []string, error) {
	progress := a.newProgress("households")
	defer progress.end()
	show := func(done int) { progress.show(int64(done), int64(f.settings.Households), "living through the years") }
	if f.out != "" {
		return writeWorldFiles(ctx, world, f, show)
	}
	evening := world.AsOf().Time().Add(24 * time.Hour)
	summary, err := world.Build(ctx, db, f.workers, evening, show)
	return summary, nil, err
}

// writeWorldFiles writes the households, and what they need beyond the market, to files; a file
// that could not be finished is taken away.
func writeWorldFiles(ctx context.Context, world *sim.World, f worldFlags, show func(int)) (summary sim.WorldSummary, files []string, err error) {
	err = writeFile(f.out, func(w io.Writer) error {
		summary, err = world.Write(ctx, w, f.workers, show)
		return err
	})
	files = []string{f.out}
	if err != nil {
		return summary, files, err
	}
	added := world.Added()
	base := strings.TrimSuffix(f.out, ".jsonl")
	for _, t := range []struct {
		name   string
		header []string
		rows   [][]string
	}{
		{base + ".securities.csv", market.SecurityHeader, securityRows(added.Securities)},
		{base + ".prices.csv", market.PriceHeader, priceRows(added)},
		{base + ".models.csv", market.WeightHeader, weightRows(added.Weights)},
	} {
		if len(t.rows) == 0 {
			continue
		}
		files = append(files, t.name)
		if err := writeFile(t.name, func(w io.Writer) error {
			return csv.NewWriter(w).WriteAll(append([][]string{t.header}, t.rows...))
		}); err != nil {
			return summary, files, err
		}
	}
	return summary, files, nil
}

// writeFile makes a file of what write gives, under another name until it is whole.
func writeFile(name string, write func(w io.Writer) error) error {
	part := name + ".part"
	file, err := os.Create(part)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(file, 1<<20)
	err = errors.Join(write(w), w.Flush(), file.Close())
	if err != nil {
		return errors.Join(err, os.Remove(part))
	}
	return os.Rename(part, name)
}

func securityRows(securities []market.Security) [][]string {
	var rows [][]string
	for _, s := range securities {
		rows = append(rows, []string{string(s.Symbol), s.Name, string(s.Currency), s.Exchange, string(s.Kind), s.AssetClass, s.Index, s.IdenticalGroup})
	}
	return rows
}

func priceRows(added *market.History) [][]string {
	currencies := map[market.Symbol]market.Currency{}
	for _, s := range added.Securities {
		currencies[s.Symbol] = s.Currency
	}
	var rows [][]string
	for _, p := range added.Prices {
		rows = append(rows, []string{p.Day.String(), string(p.Symbol), string(currencies[p.Symbol]), p.Close.String(), p.Dividend.String()})
	}
	return rows
}

func weightRows(weights []market.Weight) [][]string {
	var rows [][]string
	for _, w := range weights {
		rows = append(rows, []string{w.Model, w.Region, w.AssetClass, string(w.Symbol), strconv.Itoa(w.Rank), w.Weight.String()})
	}
	return rows
}

func writeWorld(w io.Writer, r worldReport) error {
	p := &printer{w: w}
	p.line("World for the run of %s, as of the evening of %s, seed %d", r.To, r.AsOf, r.Seed)
	p.line("  %d households, %d accounts, %d people, %d events", r.Households, r.Accounts, r.Owners, r.Events)
	for _, region := range slices.Sorted(maps.Keys(r.Regions)) {
		c := r.Regions[region]
		p.line("  %s: %d households, %d accounts, %d events", region, c.Households, c.Accounts, c.Events)
	}
	for _, fault := range slices.Sorted(maps.Keys(r.Faults)) {
		p.line("  planted: %d × %s", r.Faults[fault], fault)
	}
	if r.Unchanged > 0 {
		p.line("  %d households were in the book already, unchanged", r.Unchanged)
	}
	for _, file := range r.Files {
		p.line("  wrote %s", file)
	}
	p.line("  %.1f s, %d events/s", r.Seconds, r.EventsPerSecond)
	return p.err
}
