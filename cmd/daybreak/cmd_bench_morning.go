package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"daybreak/internal/postgres"
	"daybreak/pipeline"
	"daybreak/sim"
)

// morningMeasurement is one line of `daybreak bench morning`. Rate is from the start of the run until its
// last decision is stored. Limit is the rate of merely reading and writing the pinned rows of the same
// run. CPU, stored bytes and log are of one account.
type morningMeasurement struct {
	Name      string  `json:"name"`
	Unit      string  `json:"unit"`
	Accounts  int     `json:"accounts"`
	Workers   int     `json:"workers"`
	Orders    int64   `json:"orders"`
	Seconds   float64 `json:"seconds"`
	Rate      float64 `json:"rate"`
	Limit     float64 `json:"limit,omitempty"`
	Ratio     float64 `json:"ratio,omitempty"`
	WorkerCPU float64 `json:"worker_cpu_us"`
	ServerCPU float64 `json:"server_cpu_us"`
	Stored    float64 `json:"stored_bytes"`
	Log       float64 `json:"wal_bytes"`
	RSS       float64 `json:"rss_mb"` // of the largest worker, at most
}

// morningBench measures the morning run, its workers in processes of their own, on a PostgreSQL of its
// own.
type morningBench struct {
	app        *app
	lines      *json.Encoder
	n          int
	workers    []int
	pgSettings []string
	place      *installation
	services   *services
	accounts   int
	limit      float64
}

func newBenchMorningCmd(a *app) *cobra.Command {
	b := morningBench{app: a}
	c := &cobra.Command{
		Use:   "morning",
		Short: "Measure the morning run: accounts a second, bytes stored and memory, beside reading and writing alone",
		Long: "Makes a world of ETF accounts in a PostgreSQL of its own (fsync on) and runs its morning with workers in\n" +
			"processes of their own, once for each number of --workers. Beside it, in the same run: a fixed set of rows\n" +
			"(queries/pinned.sql) that is read and written in the same batches without deciding anything.",
		Example:     "  daybreak bench morning --n 30000 --workers 1,4",
		Args:        cobra.NoArgs,
		Annotations: map[string]string{ignoresEnvironment: "true"},
		RunE: func(c *cobra.Command, _ []string) error {
			for _, w := range b.workers {
				if w < 1 || w > workersMax {
					return usageError("--workers %d: want 1 to %d", w, workersMax)
				}
			}
			if b.n < accountsMin {
				return usageError("--n %d: want %d or more", b.n, accountsMin)
			}
			return b.run(c.Context(), c.OutOrStdout())
		},
	}
	c.Flags().IntVar(&b.n, "n", 30_000, "accounts, about")
	c.Flags().IntSliceVar(&b.workers, "workers", []int{1, 4}, "worker processes, a run for each number")
	c.Flags().StringSliceVar(&b.pgSettings, "setting", []string{"shared_buffers=1GB", "max_wal_size=8GB"}, "settings of PostgreSQL, name=value")
	return c
}

// The bounds of the flags: workers each take memory, and fewer accounts measure the start alone.
const (
	workersMax  = 16
	accountsMin = 1_000
)

// worldHouseholds returns how many households have about n accounts: 3.56 each.
func worldHouseholds(n int) int { return n * 100 / 356 }

func (b *morningBench) run(ctx context.Context, out io.Writer) (err error) {
	b.lines = json.NewEncoder(out)
	dir, err := os.MkdirTemp("", "daybreak-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // PostgreSQL may run as another user
		return err
	}
	if b.place, err = b.app.startBench(ctx, dir, b.pgSettings); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.place.Close()) }()
	if b.services, err = b.app.openServices(ctx, b.place); err != nil {
		return err
	}
	defer b.services.Close()
	if err := b.fillBook(ctx); err != nil {
		return err
	}
	for _, w := range b.workers {
		if err := b.measure(ctx, w); err != nil {
			return fmt.Errorf("%d workers: %w", w, err)
		}
	}
	return nil
}

// fillBook makes the world: the sample's prices, no planted faults, no stocks held directly.
func (b *morningBench) fillBook(ctx context.Context) error {
	db := b.services.db
	if err := importSample(ctx, db); err != nil {
		return err
	}
	history, err := db.MarketHistory(ctx, sampleDay)
	if err != nil {
		return err
	}
	world, err := sim.NewWorld(sim.WorldSettings{Households: worldHouseholds(b.n), Seed: sampleSeed, To: sampleDay, Years: sampleYears}, history)
	if err != nil {
		return err
	}
	summary, err := world.Build(ctx, db, runtime.GOMAXPROCS(0), world.AsOf().Time().Add(24*time.Hour), func(int) {})
	b.accounts = summary.Accounts
	return err
}

// measure runs the morning with so many workers, then the pinned rows of that run. A small run before
// it has the workers connected and their market loaded.
func (b *morningBench) measure(ctx context.Context, workers int) (err error) {
	crew, err := b.hire(ctx, workers)
	defer func() { err = errors.Join(err, dismiss(crew)) }()
	if err != nil {
		return err
	}
	if err := b.warm(ctx, crew); err != nil {
		return err
	}
	m := morningMeasurement{Name: "morning", Unit: "accounts/s", Accounts: b.accounts, Workers: workers}
	run, err := b.measureRun(ctx, crew, &m)
	if err != nil {
		return err
	}
	if b.limit == 0 {
		if b.limit, err = b.measureLimit(ctx, run.ID); err != nil {
			return err
		}
	}
	m.Limit, m.Ratio = b.limit, m.Rate/b.limit
	if err := b.lines.Encode(m); err != nil {
		return err
	}
	return b.cancel(ctx, run)
}

// hire starts workers; those that run are returned beside an error too.
func (b *morningBench) hire(ctx context.Context, workers int) ([]*exec.Cmd, error) {
	var crew []*exec.Cmd
	for range workers {
		c, err := b.app.startRole(ctx, b.place, roleWorker)
		if err != nil {
			return crew, err
		}
		crew = append(crew, c)
	}
	return crew, nil
}

// dismiss ends workers and waits for them.
func dismiss(crew []*exec.Cmd) (err error) {
	for _, c := range crew {
		err = errors.Join(err, c.Process.Signal(syscall.SIGTERM))
	}
	for _, c := range crew {
		err = errors.Join(err, c.Wait())
	}
	return err
}

// warmHouseholds is how many households the small run before a measurement has: some for each
// partition.
const warmHouseholds = 500

func (b *morningBench) warm(ctx context.Context, crew []*exec.Cmd) error {
	if _, err := b.services.db.Pool().Exec(ctx, "VACUUM ANALYZE"); err != nil {
		return err
	}
	n := 0
	run, err := b.start(ctx, func(pipeline.HouseholdRef) (bool, error) {
		n++
		return n <= warmHouseholds, nil
	})
	if err != nil {
		return err
	}
	if _, err := b.await(ctx, run, crew); err != nil {
		return err
	}
	if err := b.cancel(ctx, run); err != nil {
		return err
	}
	_, err = b.services.db.Pool().Exec(ctx, "CHECKPOINT")
	return err
}

func (b *morningBench) start(ctx context.Context, chosen func(pipeline.HouseholdRef) (bool, error)) (pipeline.Run, error) {
	s := b.services
	return pipeline.StartRun(ctx, s.db, s.producer, pipeline.RunRequest{
		Session: sampleDay, Chosen: chosen, Maker: makerScheduler, Build: s.build, Rules: s.rules, Now: time.Now(),
	})
}

// cancel makes room for the next run of the session.
func (b *morningBench) cancel(ctx context.Context, run pipeline.Run) error {
	_, err := b.services.db.ChangeRun(ctx, pipeline.RunChange{
		Run: run.ID, From: []pipeline.RunState{pipeline.RunFinished}, To: pipeline.RunCanceled, By: makerScheduler, Why: "measured", Now: time.Now(),
	})
	return err
}

// await waits until a run is finished, and returns the megabytes that its largest worker held.
func (b *morningBench) await(ctx context.Context, run pipeline.Run, crew []*exec.Cmd) (peak float64, err error) {
	for {
		if err := pauseFor(ctx, 20*time.Millisecond); err != nil {
			return peak, err
		}
		_, rss, err := crewCost(crew)
		if err != nil {
			return peak, err
		}
		peak = max(peak, rss)
		now, err := b.services.db.Run(ctx, run.ID)
		if err != nil || now.State == pipeline.RunFinished {
			return peak, err
		}
	}
}

// crewCost returns the processor seconds that all workers have used, and the megabytes of the largest.
func crewCost(crew []*exec.Cmd) (cpu, rss float64, err error) {
	for _, c := range crew {
		used, holds, err := processCost(c.Process.Pid)
		if err != nil {
			return cpu, rss, err
		}
		cpu, rss = cpu+used, max(rss, holds)
	}
	return cpu, rss, nil
}

// morningMark is what a run has cost so far.
type morningMark struct {
	stored, log    int64
	server, worker float64 // seconds of a processor
}

func (b *morningBench) mark(ctx context.Context, crew []*exec.Cmd) (m morningMark, err error) {
	if m.stored, m.log, err = b.services.db.RunBytes(ctx); err != nil {
		return m, err
	}
	var dir string
	if err := b.services.db.Pool().QueryRow(ctx, "SELECT current_setting('data_directory')").Scan(&dir); err != nil {
		return m, err
	}
	if m.server, err = serverCPU(dir); err != nil {
		return m, err
	}
	m.worker, _, err = crewCost(crew)
	return m, err
}

// measureRun runs the morning of all households.
func (b *morningBench) measureRun(ctx context.Context, crew []*exec.Cmd, m *morningMeasurement) (pipeline.Run, error) {
	before, err := b.mark(ctx, crew)
	if err != nil {
		return pipeline.Run{}, err
	}
	began := time.Now()
	run, err := b.start(ctx, nil)
	if err != nil {
		return run, err
	}
	if m.RSS, err = b.await(ctx, run, crew); err != nil {
		return run, err
	}
	m.Seconds = time.Since(began).Seconds()
	after, err := b.mark(ctx, crew)
	if err != nil {
		return run, err
	}
	progress, err := b.services.db.RunProgress(ctx, run.ID)
	if err != nil {
		return run, err
	}
	n := float64(m.Accounts)
	m.Orders, m.Rate = progress.Orders, n/m.Seconds
	m.Stored, m.Log = float64(after.stored-before.stored)/n, float64(after.log-before.log)/n
	m.WorkerCPU, m.ServerCPU = (after.worker-before.worker)/n*1e6, (after.server-before.server)/n*1e6
	return run, nil
}

// measureLimit reads and writes the pinned rows of a run in batches like the worker's, as many at once
// as there are cores, three times, and returns the best rate.
func (b *morningBench) measureLimit(ctx context.Context, run string) (float64, error) {
	best := 0.0
	for range 3 {
		batches, err := b.services.db.PinnedBatches(ctx, run, workBatchMax)
		if err != nil {
			return 0, err
		}
		began := time.Now()
		if err := readAndWrite(ctx, b.services.db, batches); err != nil {
			return 0, err
		}
		best = max(best, float64(b.accounts)/time.Since(began).Seconds())
	}
	return best, nil
}

func readAndWrite(ctx context.Context, db *postgres.DB, batches []*postgres.PinnedBatch) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for _, batch := range batches {
		group.Go(func() error { return db.ReadAndWrite(ctx, batch) })
	}
	return group.Wait()
}
