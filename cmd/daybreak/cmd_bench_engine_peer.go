package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"daybreak/pipeline"
	"daybreak/pipeline/engine"
)

// rawLimit copies the bytes that n instances left in the journal, and as many rows of endings, into
// tables without anything else, in as many transactions, and returns the instances a core-second.
func (b *engineBench) rawLimit(ctx context.Context, n int) (float64, error) {
	rows, err := b.db.Pool().Query(ctx, "SELECT body FROM workflow_journal ORDER BY batch DESC, line LIMIT $1", n/engineBatch*benchSteps)
	if err != nil {
		return 0, err
	}
	bodies, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		return 0, err
	}
	_, err = b.db.Pool().Exec(ctx, `CREATE TABLE bench_raw (batch bigint, body bytea); ALTER TABLE bench_raw ALTER COLUMN body SET STORAGE EXTERNAL;
		CREATE TABLE bench_end (day date, id text, household text, definition integer)`)
	if err != nil {
		return 0, err
	}
	m, err := b.measure(ctx, "copy", n, func() error {
		for i, body := range bodies {
			if err := pgx.BeginFunc(ctx, b.db.Pool(), func(tx pgx.Tx) error { return b.copyRaw(ctx, tx, i, body) }); err != nil {
				return err
			}
		}
		return nil
	})
	return m.Rate, err
}

// copyRaw copies what one barrier writes; the last one of a batch writes its endings too.
func (b *engineBench) copyRaw(ctx context.Context, tx pgx.Tx, i int, body []byte) error {
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"bench_raw"}, []string{"batch", "body"}, pgx.CopyFromRows([][]any{{int64(i), body}}))
	if err != nil || i%benchSteps > 0 {
		return err
	}
	now := b.app.now()
	_, err = tx.CopyFrom(ctx, pgx.Identifier{"bench_end"}, []string{"day", "id", "household", "definition"},
		pgx.CopyFromSlice(engineBatch, func(k int) ([]any, error) {
			return []any{now, fmt.Sprintf("c/%07d", i*engineBatch+k), fmt.Sprintf("H%07d", k), int32(1)}, nil
		}))
	return err
}

// measureOdd runs instances of which one panics, one has a context beyond the bound and one calls a
// service that never answers: rate is how fast the others end, limit how fast they do without them.
func (b *engineBench) measureOdd(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // the call that hangs
	e, err := b.engine(ctx, false)
	if err != nil {
		return err
	}
	n := min(b.n, stepsMax)
	plain := b.records("o0", n, "plain")
	odd := b.records("o1", n, "plain")
	odd[1].Value = benchContext(rand.New(rand.NewPCG(1, 2)), "panic")
	odd[n/3].Value = append(append([]byte(`{"holdings":[],"mode":"`), bytes.Repeat([]byte("x"), 100<<20)...), `"}`...)
	odd[n/2].Value = benchContext(rand.New(rand.NewPCG(1, 3)), "hang")
	without, err := b.measure(ctx, "plain", n, func() error { return b.feed(ctx, e, plain) })
	if err != nil {
		return err
	}
	m, err := b.measure(ctx, "engine_odd_ones", n, func() error { return b.feed(ctx, e, odd) })
	if err != nil {
		return err
	}
	m.Unit, m.Rate, m.Limit = "instances/s", float64(n)/m.Seconds, float64(n)/without.Seconds
	m.Ratio = m.Rate / m.Limit
	return b.lines.Encode(m)
}

// measureParked lets a tenth of the instances fail, then as many again end well: live state has grown
// with the failed ones alone. Then the failed ones are tried again, and end.
func (b *engineBench) measureParked(ctx context.Context) error {
	e, err := b.engine(ctx, false)
	if err != nil {
		return err
	}
	modes := []string{"fail", "plain", "plain", "plain", "plain", "plain", "plain", "plain", "plain", "plain"}
	for i, c := range []struct {
		name  string
		modes []string
	}{{"engine_tenth_parked", modes}, {"engine_beside_parked", modes[1:]}} {
		// Records are made part by part: a million of them would be most of the memory.
		m, err := b.measure(ctx, c.name, b.n, func() error {
			for first := 0; first < b.n; first += 20 * engineBatch {
				n := min(20*engineBatch, b.n-first)
				if err := b.feed(ctx, e, b.records(fmt.Sprintf("p%d.%d", i, first), n, c.modes...)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if err := b.emit(ctx, m); err != nil {
			return err
		}
	}
	return b.measureRetry(ctx, e)
}

// retryMax are the instances that one act is measured with.
const retryMax = 150_000

// retry does the act of a retry to all instances that have a row, at most retryMax, and returns them
// as they are then.
func (b *engineBench) retry(ctx context.Context) ([]engine.Ref, error) {
	var refs []engine.Ref
	err := b.db.EachLive(ctx, nil, func(l engine.Listed) error {
		if len(refs) < retryMax {
			refs = append(refs, engine.Ref{ID: l.ID, Revision: l.Revision})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	number, err := b.db.NextBatch(ctx)
	if err != nil {
		return nil, err
	}
	act := engine.Act{ID: number, At: b.app.now().UTC(), Actor: "bench", Why: "bench", Act: engine.ActRetry, Detail: []byte("{}"), Matched: len(refs)}
	m, err := b.measure(ctx, "engine_retry_act", len(refs), func() error {
		refs, err = b.db.Change(ctx, act, refs)
		return err
	})
	if err != nil {
		return nil, err
	}
	m.Unit, m.Rate = "instances/s", float64(m.N)/m.Seconds
	return refs, b.lines.Encode(m)
}

// measureRetry tries all failed instances again, until they have run.
func (b *engineBench) measureRetry(ctx context.Context, e *engine.Engine) error {
	refs, err := b.retry(ctx)
	if err != nil {
		return err
	}
	wakes := make([]pipeline.Record, len(refs))
	for i, r := range refs {
		wakes[i] = engine.WakeRecord(engineTopic, engine.Timer{ID: r.ID, Revision: r.Revision, Partition: int32(i / engineBatch % enginePartitions)})
	}
	partitions := map[string]int32{}
	rows, err := b.db.Pool().Query(ctx, "SELECT id, partition FROM workflow_instance")
	if err != nil {
		return err
	}
	var id string
	var partition int32
	if _, err := pgx.ForEachRow(rows, []any{&id, &partition}, func() error { partitions[id] = partition; return nil }); err != nil {
		return err
	}
	for i := range wakes {
		wakes[i].Partition = partitions[string(wakes[i].Key)]
	}
	// They fail again, as before: a run and another row each.
	m, err := b.measure(ctx, "engine_retry_run", len(refs), func() error { return b.feed(ctx, e, wakes) })
	if err != nil {
		return err
	}
	return b.emit(ctx, m)
}

// timersDue are the timers that are waited for, over so many seconds.
const (
	timersDue     = 2_000
	timersSeconds = 4
)

// lateness is a publisher that notes how late each wake is sent.
type lateness struct {
	now   func() time.Time
	due   map[string]time.Time
	worst time.Duration
	seen  int
	done  chan struct{}
}

// Publish implements pipeline.Publisher.
func (l *lateness) Publish(_ context.Context, records []pipeline.Record) error {
	now := l.now()
	for _, r := range records {
		due, ok := l.due[string(r.Key)]
		if !ok {
			return fmt.Errorf("%s is woken, and is not due", r.Key)
		}
		l.worst = max(l.worst, now.Sub(due))
		if l.seen++; l.seen == len(l.due) {
			close(l.done)
		}
	}
	return nil
}

// Partitions implements pipeline.Publisher.
func (l *lateness) Partitions(context.Context, string) (int32, error) { return enginePartitions, nil }

// measureTimers has many instances wait, a few of them for the next seconds, and says how late the
// latest of these is woken.
func (b *engineBench) measureTimers(ctx context.Context) error {
	if b.timers == 0 {
		return nil
	}
	if _, err := b.db.Assign(ctx, "bench.timers", "bench", []int32{0}); err != nil {
		return err
	}
	l := &lateness{now: time.Now, due: map[string]time.Time{}, done: make(chan struct{})}
	start := time.Now().Add(time.Duration(b.timers/50_000+3) * time.Second)
	_, err := b.db.Pool().CopyFrom(ctx, pgx.Identifier{"workflow_instance"},
		[]string{"id", "topic", "partition", "household", "definition", "node", "state", "context", "attempt", "steps", "due", "batches", "revision", "started", "since"},
		pgx.CopyFromSlice(b.timers, func(i int) ([]any, error) {
			id, due := fmt.Sprintf("t/%07d", i), start.Add(time.Hour+time.Duration(i)*time.Millisecond)
			if i < timersDue {
				due = start.Add(time.Duration(i) * timersSeconds * time.Second / timersDue)
				l.due[id] = due
			}
			return []any{id, "bench.timers", 0, "H", 1, "step1", "waiting", []byte{}, 0, 0, due, []int64{1}, 1, start, start}, nil
		}))
	if err != nil {
		return err
	}
	waker := engine.NewWaker(engine.WakerConfig{Offsets: b.db, Timers: b.db, Publisher: l, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	m, err := b.measure(ctx, "engine_timers", b.timers, func() error {
		ctx, cancel := context.WithTimeout(ctx, time.Minute+time.Until(start))
		defer cancel()
		if _, err := waker.Assign(ctx, "bench.timers", "bench", []int32{0}); err != nil {
			return err
		}
		ended := make(chan error, 1)
		go func() { ended <- waker.Run(ctx) }()
		select {
		case <-l.done:
			cancel()
			return <-ended
		case err := <-ended: // at the end of its time
			return errors.Join(err, errors.New("not all timers were sent"))
		}
	})
	if err != nil {
		return err
	}
	// One second is the promise, the latest wake what was reached.
	m.Unit, m.Rate, m.Limit = "seconds late at most", l.worst.Seconds(), 1
	m.Ratio = m.Rate
	if err := b.lines.Encode(m); err != nil {
		return err
	}
	_, err = b.retry(ctx)
	return err
}

// riverStep is a job of River: one step of an instance.
type riverStep struct {
	Instance string `json:"instance"`
	Step     int    `json:"step"`
	Context  []byte `json:"context"`
}

// Kind implements river.JobArgs.
func (riverStep) Kind() string { return "bench_step" }

// riverWorker does a step and inserts the next one in the transaction that completes it.
type riverWorker struct {
	river.WorkerDefaults[riverStep]
	pool *pgxpool.Pool
	left *atomic.Int64
	done chan struct{}
}

// Work implements river.Worker.
func (w *riverWorker) Work(ctx context.Context, job *river.Job[riverStep]) error {
	answer, err := benchAnswer(ctx, engine.Call{Instance: job.Args.Instance})
	if err != nil {
		return err
	}
	next := job.Args
	next.Step++
	next.Context = append(next.Context, answer...)
	err = pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
		if next.Step <= benchSteps {
			if _, err := river.ClientFromContext[pgx.Tx](ctx).InsertTx(ctx, tx, next, nil); err != nil {
				return err
			}
		}
		_, err := river.JobCompleteTx[*riverpgxv5.Driver](ctx, tx, job)
		return err
	})
	if err == nil && next.Step > benchSteps && w.left.Add(-1) == 0 {
		close(w.done)
	}
	return err
}

// measureRiver runs the same steps as chained jobs of River, as it is shipped, in a database beside.
func (b *engineBench) measureRiver(ctx context.Context) error {
	if b.peer == 0 {
		return nil
	}
	pool := b.db.Pool()
	driver := riverpgxv5.New(pool)
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return fmt.Errorf("river: %w", err)
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("river: %w", err)
	}
	worker := &riverWorker{pool: pool, left: &atomic.Int64{}, done: make(chan struct{})}
	worker.left.Store(int64(b.peer))
	workers := river.NewWorkers()
	if err := river.AddWorkerSafely(workers, worker); err != nil {
		return fmt.Errorf("river: %w", err)
	}
	client, err := river.NewClient(driver, &river.Config{
		Logger: slog.New(slog.DiscardHandler), Workers: workers, FetchCooldown: time.Millisecond, FetchPollInterval: 10 * time.Millisecond,
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 6}},
	})
	if err != nil {
		return fmt.Errorf("river: %w", err)
	}
	m, err := b.measure(ctx, "river_job_a_step", b.peer, func() error { return b.runRiver(ctx, client, worker) })
	if err != nil {
		return err
	}
	return b.emit(ctx, m)
}

func (b *engineBench) runRiver(ctx context.Context, client *river.Client[pgx.Tx], worker *riverWorker) error {
	var jobs []river.InsertManyParams
	for _, r := range b.records("r", b.peer, "plain") {
		jobs = append(jobs, river.InsertManyParams{Args: riverStep{Instance: string(r.Key), Step: 1, Context: r.Value}})
	}
	if _, err := client.InsertManyFast(ctx, jobs); err != nil {
		return err
	}
	if err := client.Start(ctx); err != nil {
		return err
	}
	select {
	case <-worker.done:
	case <-time.After(5 * time.Minute):
		return errors.New("river did not end in five minutes")
	}
	return client.Stop(ctx)
}
