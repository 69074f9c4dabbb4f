package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"daybreak/internal/embedded"
	"daybreak/internal/postgres"
	"daybreak/market"
	"daybreak/pipeline"
	"daybreak/sim"
)

// fillsMeasurement is one line of `daybreak bench fills`. Limit is the raw rate of the same machine in
// the same run: a COPY of the rows of the same fills into tables like those they are kept in. CPU and
// WAL are of one fill.
type fillsMeasurement struct {
	Name      string  `json:"name"`
	Unit      string  `json:"unit"`
	N         int     `json:"n"`
	Seconds   float64 `json:"seconds"`
	Rate      float64 `json:"rate"`
	Limit     float64 `json:"limit,omitempty"`
	Ratio     float64 `json:"ratio,omitempty"`
	WAL       float64 `json:"wal_bytes,omitempty"`
	ServerCPU float64 `json:"server_cpu_us,omitempty"`
	OwnCPU    float64 `json:"consumer_cpu_us,omitempty"`
	P50       float64 `json:"p50_ms,omitempty"`
	P99       float64 `json:"p99_ms,omitempty"`
	RSS       float64 `json:"rss_mb,omitempty"` // of the consumer, at most
}

// fillsBench measures the role fills, in a process of its own, on a PostgreSQL of its own.
type fillsBench struct {
	app        *app
	lines      *json.Encoder
	n          int
	preload    int
	parts      int
	perAccount int
	window     int
	latency    time.Duration
	session    market.Day
	server     *embedded.Servers
	services   *services
	stream     *sim.FillStream
	consumer   *exec.Cmd
	before     postgres.StreamCount
	keep       string
	pgSettings []string
}

func newBenchFillsCmd(a *app) *cobra.Command {
	b := fillsBench{app: a, session: syntheticSession}
	c := &cobra.Command{
		Use:   "fills",
		Short: "Measure the fill stream: fills a second with all effects, WAL a fill, latency, memory",
		Long: "Writes ordinary trades of made-up orders to the topic of fills, and has the role fills apply them to a PostgreSQL\n" +
			"of its own with fsync on: order, position, cash, journal, tax event, lock and key of each. Beside it, in the same\n" +
			"run: reading the topic alone, and a COPY of the same rows into the same tables. Then the time from producing to\n" +
			"committed and visible at 18,000 fills a minute. --brokers uses a real Kafka in place of the one in this process.",
		Example:     "  daybreak bench fills --n 3000000 --preload 10000000 --brokers $(scripts/kafka.sh up)",
		Args:        cobra.NoArgs,
		Annotations: map[string]string{ignoresEnvironment: "true"},
		RunE: func(c *cobra.Command, _ []string) error {
			if b.n < 1000 || b.preload < 0 || b.parts < 1 || b.perAccount < 1 || b.window < 1 {
				return usageError("--n %d: want 1000 or more; the other numbers at least 1", b.n)
			}
			return b.run(c.Context(), c.OutOrStdout())
		},
	}
	c.Flags().IntVar(&b.n, "n", 200_000, "fills to apply")
	c.Flags().IntVar(&b.preload, "preload", 0, "executions that the tables hold before")
	c.Flags().IntVar(&b.parts, "parts", 4, "fills of one order, at most")
	c.Flags().IntVar(&b.perAccount, "orders", 16, "orders of one account")
	c.Flags().IntVar(&b.window, "window", 20_000, "orders that are filled at the same time")
	c.Flags().DurationVar(&b.latency, "latency", 20*time.Second, "how long the time to visible is measured; 0 leaves it out")
	c.Flags().StringVar(&b.keep, "dir", "", "directory of the servers, which is kept; default a temporary one")
	c.Flags().StringSliceVar(&b.pgSettings, "setting", []string{"shared_buffers=1GB", "max_wal_size=8GB"}, "settings of PostgreSQL, name=value")
	return c
}

func (b *fillsBench) run(ctx context.Context, out io.Writer) (err error) {
	b.lines = json.NewEncoder(out)
	dir := b.keep
	if dir == "" {
		if dir, err = os.MkdirTemp("", "daybreak-bench-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		if err := os.Chmod(dir, 0o755); err != nil { // PostgreSQL may run as another user
			return err
		}
	}
	place, err := b.start(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, place.Close()) }()
	if b.services, err = b.app.openServices(ctx, place); err != nil {
		return err
	}
	defer b.services.Close()
	if err := b.fillTables(ctx); err != nil {
		return err
	}
	if err := b.measureStream(ctx, place); err != nil {
		return err
	}
	return b.measureLimits(ctx)
}

// start starts the servers and brings them to this build's schema and topics.
func (b *fillsBench) start(ctx context.Context, dir string) (*installation, error) {
	place, err := b.app.startBench(ctx, dir, b.pgSettings)
	if err == nil {
		b.server = place.servers
	}
	return place, err
}

// startBench starts servers for a measurement in dir, PostgreSQL with settings written name=value, and
// brings them to this build's schema and topics. Brokers that the settings name are used as they are.
func (a *app) startBench(ctx context.Context, dir string, pgSettings []string) (*installation, error) {
	brokers := a.settings.Brokers
	settings := map[string]string{}
	for _, s := range pgSettings {
		name, value, ok := strings.Cut(s, "=")
		if !ok {
			return nil, usageError("--setting %q: want name=value", s)
		}
		settings[name] = value
	}
	servers, err := embedded.Start(ctx, embedded.Options{Dir: filepath.Join(dir, "data"), Cache: a.cache, NoBroker: len(brokers) > 0,
		Settings: settings, Notes: a.errOut})
	if err != nil {
		return nil, err
	}
	place := &installation{DSN: servers.DSN(), Brokers: servers.Brokers(), Data: dir, servers: servers, close: servers.Stop}
	if len(brokers) > 0 {
		place.Brokers = brokers
	}
	return place, a.setUp(ctx, place)
}

// households returns how many made-up households n orders belong to: two accounts each.
func (b *fillsBench) households(n int) int { return (n + 2*b.perAccount - 1) / (2 * b.perAccount) }

// fillTables stores orders for the fills to come and executions of days before. What a kept directory
// has of earlier runs stays, and counts as such.
func (b *fillsBench) fillTables(ctx context.Context) error {
	old, err := b.services.db.HouseholdRefs(ctx)
	if err != nil {
		return err
	}
	reserve := 1000 + int(b.latency.Seconds())*fillsASecond
	begin := len(old) * 2 * b.perAccount
	households := b.households((b.n+reserve)*2/(b.parts+1) + b.window + 1)
	each := (b.preload + households - 1) / households
	b.note("storing %d orders of %d households", households*2*b.perAccount, households)
	for first := len(old); first < len(old)+households; first += householdChunk {
		if err := b.storeHouseholds(ctx, first, min(householdChunk, len(old)+households-first), each); err != nil {
			return err
		}
	}
	next, end := begin, begin+households*2*b.perAccount
	settings := sim.FillSettings{Seed: 1, Session: fmt.Sprintf("BENCH%d", len(old)), Trades: b.n + reserve, PartsMax: b.parts, Window: b.window}
	b.stream = sim.NewFillStream(settings, func() (pipeline.BrokerOrder, bool) {
		next++
		return sim.SyntheticOrder(next-1, b.perAccount, b.session), next <= end
	})
	for _, act := range []string{"VACUUM ANALYZE", "CHECKPOINT"} {
		if _, err := b.services.db.Pool().Exec(ctx, act); err != nil {
			return err
		}
	}
	return nil
}

// householdChunk is how many made-up households one transaction stores.
const householdChunk = 200

func (b *fillsBench) storeHouseholds(ctx context.Context, first, n, each int) error {
	var all []pipeline.BrokerOrder
	for i := first * 2 * b.perAccount; i < (first+n)*2*b.perAccount; i++ {
		all = append(all, sim.SyntheticOrder(i, b.perAccount, b.session))
	}
	if err := b.services.db.StoreSynthetic(ctx, all, int64(each)+1); err != nil || each == 0 {
		return err
	}
	return b.services.db.PreloadExecutions(ctx, first, n, each, b.session)
}

func (b *fillsBench) note(format string, args ...any) {
	fmt.Fprintf(b.app.errOut, format+"\n", args...)
}

// produce writes the next n fills of the stream to their topic.
func (b *fillsBench) produce(ctx context.Context, n int) error {
	const chunk = 5_000
	for done := 0; done < n; {
		records, err := b.records(min(chunk, n-done))
		if err != nil {
			return err
		}
		if err := b.services.producer.Publish(ctx, records); err != nil {
			return err
		}
		done += len(records)
	}
	return nil
}

func (b *fillsBench) records(n int) ([]pipeline.Record, error) {
	records := make([]pipeline.Record, 0, n)
	for range n {
		r, ok := b.stream.Next()
		if !ok {
			return nil, errors.New("the stream has ended before its time")
		}
		record, err := fillRecord(b.services.codec, r, fillPartitions)
		if err != nil {
			return nil, err
		}
		records = append(records, record)
	}
	return records, nil
}

// fillPartitions is the partition count of the topic of fills, which setUp has checked.
const fillPartitions = 96

// measureStream writes all fills, then has the consumer apply them.
func (b *fillsBench) measureStream(ctx context.Context, place *installation) error {
	b.note("writing %d fills to the topic", b.n)
	var err error
	if b.before, err = b.services.db.StreamCounts(ctx, pipeline.TopicFills); err != nil {
		return err
	}
	began := time.Now()
	if err := b.produce(ctx, b.n); err != nil {
		return err
	}
	if err := b.emit(fillsMeasurement{Name: "fills_produced", Unit: "records/s", N: b.n, Seconds: time.Since(began).Seconds()}); err != nil {
		return err
	}
	if err := b.startConsumer(ctx, place); err != nil {
		return err
	}
	defer b.stopConsumer()
	m, err := b.measureApplied(ctx)
	if err != nil {
		return err
	}
	if m.Limit, err = b.copyLimit(ctx); err != nil {
		return err
	}
	if err := b.emit(m); err != nil {
		return err
	}
	if b.latency == 0 {
		return nil
	}
	return b.measureLatency(ctx)
}

func (b *fillsBench) emit(m fillsMeasurement) error {
	if m.Rate == 0 {
		m.Rate = float64(m.N) / m.Seconds
	}
	if m.Limit > 0 {
		m.Ratio = m.Rate / m.Limit
	}
	return b.lines.Encode(m)
}

// startConsumer starts this program again in the role fills.
func (b *fillsBench) startConsumer(ctx context.Context, place *installation) (err error) {
	b.consumer, err = b.app.startRole(ctx, place, roleFills)
	return err
}

// startRole starts this program again in a role over the servers of a measurement.
func (a *app) startRole(ctx context.Context, place *installation, role string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := exec.CommandContext(ctx, self, "serve", role, "--database-url", place.DSN, "--brokers", strings.Join(place.Brokers, ","), "--log", "warn")
	c.Env = []string{"HOME=" + os.Getenv("HOME"), "PATH=" + os.Getenv("PATH")}
	c.Stderr = a.errOut
	return c, c.Start()
}

func (b *fillsBench) stopConsumer() {
	_ = b.consumer.Process.Signal(syscall.SIGTERM)
	_ = b.consumer.Wait()
}

// measureApplied waits until all fills are applied, and tells what that took from the first of them on.
func (b *fillsBench) measureApplied(ctx context.Context) (fillsMeasurement, error) {
	m := fillsMeasurement{Name: "fills_applied", Unit: "fills/s"}
	var first, last fillsMark
	var peak float64
	for last.count < int64(b.n) {
		if err := pauseFor(ctx, 100*time.Millisecond); err != nil {
			return m, err
		}
		at, err := b.mark(ctx)
		if err != nil {
			return m, err
		}
		if at.dead > 0 {
			return m, fmt.Errorf("%d of %d fills are dead letters", at.dead, b.n)
		}
		if first.count == 0 {
			first = at
		}
		last, peak = at, max(peak, at.rss)
	}
	m.N = int(last.count - first.count)
	m.Seconds, m.RSS = last.at.Sub(first.at).Seconds(), peak
	m.WAL = float64(last.wal-first.wal) / float64(m.N)
	m.ServerCPU, m.OwnCPU = (last.server-first.server)/float64(m.N)*1e6, (last.own-first.own)/float64(m.N)*1e6
	return m, nil
}

// fillsMark is how far the consumer is, and what it has cost so far.
type fillsMark struct {
	at          time.Time
	count, dead int64
	wal         int64
	server, own float64 // seconds of a processor
	rss         float64
}

func (b *fillsBench) mark(ctx context.Context) (fillsMark, error) {
	var m fillsMark
	count, err := b.services.db.StreamCounts(ctx, pipeline.TopicFills)
	if err != nil {
		return m, err
	}
	m.at, m.count = time.Now(), count.Applied-b.before.Applied
	m.dead = count.All() - b.before.All() - m.count
	var dir string
	if err := b.services.db.Pool().QueryRow(ctx, `SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint, current_setting('data_directory')`).Scan(&m.wal, &dir); err != nil {
		return m, err
	}
	if m.server, err = serverCPU(dir); err != nil {
		return m, err
	}
	m.own, m.rss, err = processCost(b.consumer.Process.Pid)
	return m, err
}

// processCost returns the processor seconds that a process has used and the megabytes that it holds.
func processCost(pid int) (cpu, rss float64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, fmt.Errorf("the consumer has ended: %w", err)
	}
	fields := strings.Fields(string(text)[bytes.LastIndexByte(text, ')')+1:])
	for _, f := range fields[11:13] { // utime and stime
		ticks, err := strconv.ParseFloat(f, 64)
		if err != nil {
			return 0, 0, err
		}
		cpu += ticks / ticksASecond
	}
	pages, err := strconv.ParseFloat(fields[21], 64)
	return cpu, pages * float64(os.Getpagesize()) / (1 << 20), err
}

func pauseFor(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// measureLimits reads the whole topic and does nothing with it.
func (b *fillsBench) measureLimits(ctx context.Context) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(b.services.where.Brokers...), kgo.ConsumeTopics(pipeline.TopicFills),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer client.Close()
	began, n := time.Now(), 0
	for n < b.n {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		n += fetches.NumRecords()
	}
	return b.emit(fillsMeasurement{Name: "consume_alone", Unit: "records/s", N: n, Seconds: time.Since(began).Seconds()})
}

// copyLimit measures a COPY of the rows that fills left into empty tables like theirs, with the same
// indexes, in one transaction.
func (b *fillsBench) copyLimit(ctx context.Context) (float64, error) {
	rows, best := min(b.n, postgres.SampleMax), 0.0
	for range 3 {
		seconds, err := b.copyOnce(ctx)
		if err != nil {
			return 0, err
		}
		best = max(best, float64(rows)/seconds)
	}
	return best, b.emit(fillsMeasurement{Name: "copy_alone", Unit: "fills/s", N: rows, Seconds: float64(rows) / best})
}

func (b *fillsBench) copyOnce(ctx context.Context) (float64, error) {
	tx, err := b.services.db.Pool().Begin(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	tables, err := postgres.CopySample(ctx, tx)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	for _, t := range tables {
		if _, err := tx.Conn().PgConn().CopyFrom(ctx, bytes.NewReader(t.Rows), "COPY "+t.Name+" FROM STDIN BINARY"); err != nil {
			return 0, err
		}
	}
	return time.Since(began).Seconds(), nil
}
