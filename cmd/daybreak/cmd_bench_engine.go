package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"daybreak/internal/embedded"
	"daybreak/internal/postgres"
	"daybreak/market"
	"daybreak/pipeline"
	"daybreak/pipeline/engine"
	"daybreak/workflow"
)

// engineMeasurement is one line of `daybreak bench engine`. Rate and Limit are a second of one core:
// all processors that this process and PostgreSQL used are counted. Limit is what a COPY of the same
// bytes in as many transactions reaches.
type engineMeasurement struct {
	Name    string  `json:"name"`
	Unit    string  `json:"unit"`
	N       int     `json:"n"`
	Seconds float64 `json:"seconds"`
	CPU     float64 `json:"cpu_seconds"`
	Rate    float64 `json:"rate"`
	Limit   float64 `json:"limit"`
	Ratio   float64 `json:"ratio"`
	WAL     float64 `json:"wal_bytes"`   // an instance
	Dead    float64 `json:"dead_tuples"` // an instance: rows updated or deleted
	Live    int64   `json:"live_bytes"`  // of the tables of live state with their indexes, at the end
	RSS     float64 `json:"rss_mb"`
}

// engineBench measures the engine on a PostgreSQL of its own.
type engineBench struct {
	app     *app
	lines   *json.Encoder
	n       int
	peer    int
	timers  int
	dsn     string
	db      *postgres.DB
	limit   float64
	offsets map[int32]pipeline.Position
}

func newBenchEngineCmd(a *app) *cobra.Command {
	b := engineBench{app: a}
	c := &cobra.Command{
		Use:   "engine",
		Short: "Measure the workflow engine: instances a core-second, WAL and dead tuples an instance",
		Long: "Runs instances of five steps with 4 KB of context through a PostgreSQL of its own (fsync on): with a checkpoint\n" +
			"after every step, with barriers at writes alone, with a tenth that fails, those tried again, timers, and the same\n" +
			"steps as chained jobs of River. Rates count the processor time of this process and of PostgreSQL.",
		Args:        cobra.NoArgs,
		Annotations: map[string]string{ignoresEnvironment: "yes"},
		RunE: func(c *cobra.Command, _ []string) error {
			if b.n < engineBatch {
				return usageError("--n %d: want %d or more", b.n, engineBatch)
			}
			return b.run(c.Context(), c.OutOrStdout())
		},
	}
	c.Flags().IntVar(&b.n, "n", 20_000, "instances of a measurement")
	c.Flags().IntVar(&b.peer, "river", 500, "instances of River, one job a step; 0 leaves it out")
	c.Flags().IntVar(&b.timers, "timers", 100_000, "instances that wait while timers are measured; 0 leaves them out")
	return c
}

// engineBatch is how many records of a partition a batch has; two partitions are worked at once.
const (
	engineBatch      = 500
	enginePartitions = 2
	engineTopic      = "bench.instances"
)

func (b *engineBench) run(ctx context.Context, out io.Writer) error {
	dir, err := os.MkdirTemp("", "daybreak-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // PostgreSQL may run as another user
		return err
	}
	servers, err := embedded.Start(ctx, embedded.Options{Dir: filepath.Join(dir, "data"), Cache: b.app.cache, NoBroker: true, Notes: b.app.errOut})
	if err != nil {
		return err
	}
	defer func() { _ = servers.Stop() }()
	b.dsn, b.lines = servers.DSN(), json.NewEncoder(out)
	if err := postgres.Migrate(ctx, b.dsn); err != nil {
		return err
	}
	if b.db, err = postgres.Open(ctx, b.dsn, 8); err != nil {
		return err
	}
	defer func() { b.db.Close() }()
	for _, measure := range []func(context.Context) error{b.measureSteps, b.measureOdd, b.measureParked, b.measureTimers, b.measureRiver} {
		if err := measure(ctx); err != nil {
			return err
		}
	}
	return nil
}

// benchActions and benchWorkflow are five calls whose answers of 340 bytes stay in the context.
func benchActions() string {
	const one = `{"name": "bench.step%d", "effect": "read",
 "request": {"type": "object", "properties": {"household": {"type": "string"}, "mode": {"type": "string"}}, "required": ["household", "mode"]},
 "response": {"type": "object", "properties": {"status": {"type": "string", "enum": ["ok", "odd"]}, "detail": {"type": "string"}, "numbers": {"type": "array", "items": {"type": "string", "format": "decimal"}}}, "required": ["status", "detail", "numbers"]}}`
	var all []string
	for i := range benchSteps {
		all = append(all, fmt.Sprintf(one, i+1))
	}
	return "[" + strings.Join(all, ",\n") + "]"
}

const benchSteps = 5

func benchWorkflow() string {
	var nodes, fields []string
	for i := 1; i <= benchSteps; i++ {
		next := fmt.Sprintf("step%d", i+1)
		if i == benchSteps {
			next = "done"
		}
		nodes = append(nodes, fmt.Sprintf(`"step%d": {"type": "call", "action": "bench.step%d", "arguments": {"household": "instance.household", "mode": "ctx.mode"},
 "assign": {"detail%d": "out.detail", "numbers%d": "out.numbers"}, "choices": [{"condition": "out.status == 'ok'", "next": %q}], "default": "odd"}`, i, i, i, i, next))
		fields = append(fields, fmt.Sprintf(`"detail%d": {"type": "string"}, "numbers%d": {"type": "array", "items": {"type": "string", "format": "decimal"}}`, i, i))
	}
	return `{"name": "bench", "start_at": "step1", "context": {"type": "object", "properties": {"mode": {"type": "string"}, "holdings": {"type": "array", "items": {"type": "object", "properties": {
 "acquired": {"type": "string", "format": "date"}, "cost": {"type": "string", "format": "decimal"}, "id": {"type": "string"}, "price": {"type": "string", "format": "decimal"}, "shares": {"type": "string", "format": "decimal"}, "symbol": {"type": "string"}}}},` +
		strings.Join(fields, ",") + `}, "required": ["mode", "holdings"]}, "nodes": {` + strings.Join(nodes, ",\n") +
		`, "done": {"type": "terminal", "status": "succeeded"}, "odd": {"type": "terminal", "status": "failed", "error": "ODD", "cause": "the answer is odd"}}}`
}

// benchContext returns 2.3 KB of JSON with random ids and prices, which compress badly; with the answers
// it grows to 4 KB.
func benchContext(r *rand.Rand, mode string) []byte {
	text := []byte(`{"holdings":[`)
	for i := range 18 {
		if i > 0 {
			text = append(text, ',')
		}
		text = fmt.Appendf(text, `{"acquired":"20%02d-%02d-%02d","cost":"%d.%02d","id":"%016x","price":"%d.%04d","shares":"%d.%06d","symbol":"S%05d"}`,
			r.IntN(25), r.IntN(12)+1, r.IntN(28)+1, r.IntN(9_000), r.IntN(100), r.Uint64(), r.IntN(900)+1, r.IntN(10_000), r.IntN(9_000), r.IntN(1_000_000), r.IntN(100_000))
	}
	return fmt.Appendf(text, `],"mode":%q}`, mode)
}

// benchAnswer returns 340 bytes of JSON.
func benchAnswer(ctx context.Context, c engine.Call) ([]byte, error) {
	if !strings.Contains(string(c.Request), `"mode":"plain"`) && c.Node == "step3" {
		switch {
		case strings.Contains(string(c.Request), `"mode":"panic"`):
			panic("this one panics at step 3")
		case strings.Contains(string(c.Request), `"mode":"hang"`):
			<-ctx.Done() // as long as it may
			return nil, ctx.Err()
		}
		return nil, &engine.CodeError{Code: "BENCH", Message: "this one fails at step 3"}
	}
	r := rand.New(rand.NewPCG(uint64(len(c.Instance)), uint64(time.Now().UnixNano())))
	text := fmt.Appendf(make([]byte, 0, 400), `{"detail":"%016x%016x%016x%016x","numbers":[`, r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64())
	for i := range 17 {
		if i > 0 {
			text = append(text, ',')
		}
		text = fmt.Appendf(text, `"%d.%06d"`, r.IntN(9_000)+1_000, r.IntN(1_000_000))
	}
	return append(text, `],"status":"ok"}`...), nil
}

// registry returns the bench's actions.
func benchRegistry() (engine.Registry, error) {
	catalogue, err := workflow.ParseActions([]byte(benchActions()))
	if err != nil {
		return nil, err
	}
	registry := engine.Registry{}
	for _, a := range catalogue {
		registry[a.Name] = engine.Bound{Action: a, Do: engine.Func(benchAnswer)}
	}
	return registry, nil
}

// engine returns an engine over the bench's workflow, of which it is the owner.
func (b *engineBench) engine(ctx context.Context, eachStep bool) (*engine.Engine, error) {
	registry, err := benchRegistry()
	if err != nil {
		return nil, err
	}
	d, problems := workflow.Parse([]byte(benchWorkflow()), registry)
	if d == nil {
		return nil, fmt.Errorf("definition of the bench: %v", problems)
	}
	now := b.app.now()
	stored, _, err := b.db.ApplyDefinition(ctx, engine.StoredDefinition{Name: d.Name, Hash: d.Hash, Body: d.Canonical, Applied: now, Actor: "bench"})
	if err != nil {
		return nil, err
	}
	if err := b.db.SetAlias(ctx, engine.Alias{Name: d.Name, Alias: workflow.Live, Definition: stored.Number, Params: []byte("{}"), Changed: now, Actor: "bench"}, ""); err != nil {
		return nil, err
	}
	if b.offsets, err = b.db.Assign(ctx, engineTopic, "bench", []int32{0, 1}); err != nil {
		return nil, err
	}
	return engine.New(engine.Config{Store: b.db, Registry: registry, Now: b.app.now, Worker: "bench", Cores: runtime.GOMAXPROCS(0),
		EachStep: eachStep, Log: slog.New(slog.DiscardHandler)}), nil
}

// records returns the starts of n instances, whose modes repeat.
func (b *engineBench) records(prefix string, n int, modes ...string) []pipeline.Record {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	day := market.DayOf(b.app.now().UTC())
	records := make([]pipeline.Record, n)
	for i := range records {
		records[i] = engine.Start{
			Instance: fmt.Sprintf("%s/%07d", prefix, i), Household: fmt.Sprintf("H%07d", i), RoutingKey: strconv.Itoa(i), Workflow: "bench", Day: day,
			Context: benchContext(r, modes[i%len(modes)]),
		}.Record(engineTopic, enginePartitions)
		records[i].Partition = int32(i / engineBatch % enginePartitions)
	}
	return records
}

// feed hands records to the engine, a batch of two partitions at a time.
func (b *engineBench) feed(ctx context.Context, e *engine.Engine, records []pipeline.Record) error {
	for part := range slices.Chunk(records, engineBatch*enginePartitions) {
		batch := pipeline.Batch{Topic: engineTopic}
		slices.SortStableFunc(part, func(x, y pipeline.Record) int { return int(x.Partition) - int(y.Partition) })
		for i := range part {
			p := part[i].Partition
			at := b.offsets[p]
			if s := batch.Span(p); s == nil {
				batch.Spans = append(batch.Spans, pipeline.Span{Partition: p, First: at.Next, Epoch: at.Epoch})
			}
			part[i].Offset = at.Next
			at.Next++
			b.offsets[p] = at
			s := batch.Span(p)
			s.Next, s.LastRecord = at.Next, b.app.now()
		}
		batch.Records = part
		if err := e.Handle(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

// stepsMax bounds the records that are made before a measurement: they are in memory.
const stepsMax = 100_000

// measureSteps runs instances through, with a checkpoint after every step and without.
func (b *engineBench) measureSteps(ctx context.Context) error {
	for i, c := range []struct {
		name     string
		eachStep bool
	}{{"engine_each_step", true}, {"engine_barriers", false}} {
		e, err := b.engine(ctx, c.eachStep)
		if err != nil {
			return err
		}
		warm := b.records(fmt.Sprintf("w%d", i), 2*engineBatch, "plain")
		n := min(b.n, stepsMax) // all records are made before, and not counted
		records := b.records(fmt.Sprintf("e%d", i), n, "plain")
		if err := b.feed(ctx, e, warm); err != nil {
			return err
		}
		m, err := b.measure(ctx, c.name, n, func() error { return b.feed(ctx, e, records) })
		if err != nil {
			return err
		}
		if err := b.emit(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// emit completes a line with the limit, which is measured once, and writes it.
func (b *engineBench) emit(ctx context.Context, m engineMeasurement) error {
	if b.limit == 0 {
		raw, err := b.rawLimit(ctx, m.N)
		if err != nil {
			return err
		}
		b.limit = raw
	}
	m.Limit, m.Ratio = b.limit, m.Rate/b.limit
	return b.lines.Encode(m)
}

// measure counts what work on n instances costs.
func (b *engineBench) measure(ctx context.Context, name string, n int, work func() error) (engineMeasurement, error) {
	m := engineMeasurement{Name: name, Unit: "instances/core-s", N: n}
	before, err := b.counters(ctx)
	if err != nil {
		return m, err
	}
	start := time.Now()
	if err := work(); err != nil {
		return m, fmt.Errorf("%s: %w", name, err)
	}
	m.Seconds = time.Since(start).Seconds()
	after, err := b.counters(ctx)
	if err != nil {
		return m, err
	}
	m.CPU = after.cpu - before.cpu
	m.Rate = float64(n) / m.CPU
	m.WAL, m.Dead = float64(after.wal-before.wal)/float64(n), float64(after.dead-before.dead)/float64(n)
	m.Live, m.RSS = after.live, selfRSS()
	return m, nil
}

// counters are what is read before and after a measurement.
type counters struct {
	cpu             float64
	wal, dead, live int64
}

func (b *engineBench) counters(ctx context.Context) (counters, error) {
	var c counters
	// Sessions report what they did when they end: all but one are ended.
	b.db.Pool().Reset()
	conn, err := pgx.Connect(ctx, b.dsn)
	if err != nil {
		return c, err
	}
	defer conn.Close(ctx)
	var dir string
	err = conn.QueryRow(ctx, `SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint,
		(SELECT coalesce(sum(n_tup_upd + n_tup_del), 0)::bigint FROM pg_stat_user_tables),
		pg_total_relation_size('workflow_instance') + pg_total_relation_size('workflow_hold') + pg_total_relation_size('stream_offset'),
		current_setting('data_directory')`).Scan(&c.wal, &c.dead, &c.live, &dir)
	if err != nil {
		return c, err
	}
	server, err := serverCPU(dir)
	if err != nil {
		return c, err
	}
	var own syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err != nil {
		return c, err
	}
	c.cpu = server + seconds(own.Utime) + seconds(own.Stime)
	return c, nil
}

func seconds(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }

// ticksASecond is the unit of processor times in /proc, the same on every Linux that Go runs on.
const ticksASecond = 100

// serverCPU returns the processor seconds that a PostgreSQL and its processes have used so far,
// ended ones included.
func serverCPU(dataDir string) (float64, error) {
	text, err := os.ReadFile(filepath.Join(dataDir, "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(text), "\n")
	processes, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	var ticks int64
	for _, p := range processes {
		text, err := os.ReadFile(p)
		if err != nil {
			continue // it has ended
		}
		fields := strings.Fields(string(text)[strings.LastIndexByte(string(text), ')')+1:])
		isServer := filepath.Base(filepath.Dir(p)) == first
		if len(fields) < 15 || !isServer && fields[1] != first {
			continue
		}
		last := 12 // utime and stime
		if isServer {
			last = 14 // and those of its children that have ended
		}
		for _, f := range fields[11 : last+1] {
			n, err := strconv.ParseInt(f, 10, 64)
			if err != nil {
				return 0, fmt.Errorf("%s: %w", p, err)
			}
			ticks += n
		}
	}
	return float64(ticks) / ticksASecond, nil
}
