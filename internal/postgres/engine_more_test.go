package postgres_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"daybreak/internal/kafka"
	"daybreak/pipeline"
	"daybreak/pipeline/engine"
	"daybreak/workflow"
)

// TestEngineOddOnesStopNoOther runs one instance that panics, one whose call hangs and one with a
// context of 100 MB beside others: these all end while the call still hangs.
func TestEngineOddOnesStopNoOther(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	hang := make(chan struct{})
	r.effects.decide = func(ctx context.Context, c engine.Call) ([]byte, error) {
		switch {
		case strings.Contains(string(c.Request), "odd-panic"):
			panic("our bug")
		case strings.Contains(string(c.Request), "odd-hang"):
			select {
			case <-hang:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			return []byte(`{"verdict":"buy"}`), nil
		}
		return []byte(`{"verdict":"sell"}`), nil // not one of its values
	}
	records := r.starts(0, "odd-panic", "odd-hang", "odd-answer", "buy", "keep", "buy", "huge", "buy")
	records[6].Value = fmt.Appendf(nil, `{"mode":"buy","security":%q}`, strings.Repeat("x", 100<<20))
	e := r.engine(func(c *engine.Config) { c.Patience = 50 * time.Millisecond })
	r.handle(e, records)
	for id, want := range map[string]string{
		"i00000": "failed decide PANIC", "i00001": "running decide ", "i00002": "failed decide BAD_RESPONSE", "i00003": "done bought ", "i00004": "done kept ",
		"i00005": "done bought ", "i00006": "failed price CONTEXT_TOO_BIG", "i00007": "done bought ",
	} {
		if got := r.stands(id); got != want {
			t.Errorf("%s is %q while a call hangs, want %q", id, got, want)
		}
	}
	// The call answers after all: its instance goes on at the next wake.
	close(hang)
	if err := e.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := r.stands("i00001"); got != "running order " {
		t.Fatalf("i00001 is %q after its call has answered, want it at order", got)
	}
	r.wakeAll(e)
	if got := r.stands("i00001"); got != "done bought " {
		t.Errorf("i00001 is %q after its wake, want done", got)
	}
}

// stands returns the state, node and failure of an instance.
func (r *rig) stands(id string) string {
	r.t.Helper()
	trace, err := engine.NewInspector(r.db, r.registry, workflow.Functions{}).Show(r.t.Context(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	return fmt.Sprintf("%s %s %s", trace.State, trace.Node, trace.Failure.Code)
}

// wakeAll wakes all instances that are due, as the waker does, in the epoch that the partition has.
func (r *rig) wakeAll(e *engine.Engine) {
	r.t.Helper()
	at := r.own(0)
	timers, err := r.db.Due(r.t.Context(), engine.DueQuery{Topic: r.topic, Partition: 0, Epoch: at.Epoch, Until: r.clock.now(), Limit: 1000})
	if err != nil {
		r.t.Fatal(err)
	}
	var records []pipeline.Record
	for i, timer := range timers {
		record := engine.WakeRecord(r.topic, timer)
		record.Offset = at.Next + int64(i)
		records = append(records, record)
	}
	if len(records) == 0 {
		return
	}
	if err := e.Handle(r.t.Context(), r.batch(at, records)); err != nil {
		r.t.Fatal(err)
	}
}

// TestEngineCallThatNeverEnds is one whose process ignores its deadline: it is a TIMEOUT once its
// time is over, and its late answer is dropped.
func TestEngineCallThatNeverEnds(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	hang := make(chan struct{})
	r.effects.decide = func(context.Context, engine.Call) ([]byte, error) {
		<-hang
		return []byte(`{"verdict":"buy"}`), nil
	}
	e := r.engine(func(c *engine.Config) { c.Patience = 20 * time.Millisecond })
	r.handle(e, r.starts(0, "odd", "keep"))
	if got := r.stands("i00001"); got != "done kept " {
		t.Errorf("the other one is %q, want done", got)
	}
	r.clock.turn(24 * time.Hour * 365) // the deadline is of the machine's clock
	r.wakeAll(e)
	if got := r.stands("i00000"); got != "failed decide TIMEOUT" {
		t.Errorf("it is %q after its time, want TIMEOUT", got)
	}
	close(hang)
	if err := e.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := r.stands("i00000"); got != "failed decide TIMEOUT" {
		t.Errorf("it is %q after its late answer, want it dropped", got)
	}
}

func TestEngineNodePausesItself(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	isBroken := true
	r.effects.decide = func(context.Context, engine.Call) ([]byte, error) {
		if isBroken {
			return nil, &engine.CodeError{Code: "BROKEN", Message: "the service answers nonsense 17"}
		}
		return []byte(`{"verdict":"keep"}`), nil
	}
	odd := func(n int) []string { return strings.Split(strings.TrimSuffix(strings.Repeat("odd,", n), ","), ",") }
	r.handle(r.engine(nil), r.starts(0, odd(30)...))
	if got := r.count("SELECT count(*) FROM workflow_hold WHERE workflow = 'trade' AND node = 'decide' AND actor = 'engine'"); got != 1 {
		t.Fatalf("%d holds after 30 like failures, want one", got)
	}
	r.handle(r.engine(nil), r.starts(30, odd(10)...))
	if got := r.count("SELECT count(*) FROM workflow_instance WHERE state = 'paused' AND node = 'decide'"); got != 10 {
		t.Fatalf("%d instances paused before the node, want 10", got)
	}
	groups, err := r.db.Failures(t.Context())
	if err != nil || len(groups) != 1 || groups[0].Instances != 30 || groups[0].Code != "BROKEN" {
		t.Errorf("Failures() = %+v, %v, want one group of 30", groups, err)
	}
	office := r.office()
	// The cause is not mended: canaries fail as before, and the rest is left alone.
	r.settle(office, engine.Order{Act: engine.ActRetry, Match: inState(engine.StateFailed), Actor: "ana", Why: "try"}, func(report engine.Report) {
		if report.Changed != 10 || report.Stopped == "" || len(report.Stages) != 1 || report.Stages[0].Again == 0 {
			t.Errorf("retry without a cure = %+v, want 10 canaries and a stop", report)
		}
	})
	isBroken = false
	release := engine.Hold{Workflow: "trade", Node: "decide"}
	if err := office.Release(t.Context(), release, "ana", "mended"); err != nil {
		t.Fatal(err)
	}
	r.settle(office, engine.Order{Act: engine.ActRetry, Match: inState(engine.StateFailed), Actor: "ana", Why: "mended"}, func(report engine.Report) {
		if report.Changed != 30 || report.Stopped != "" || len(report.Stages) != 2 {
			t.Errorf("retry = %+v, want all 30 in two stages", report)
		}
	})
	if got := r.count("SELECT count(*) FROM workflow_finished"); got != 40 {
		t.Errorf("%d instances ended, want 40: 30 that were tried again, 10 that were held", got)
	}
	if got := r.count("SELECT count(*) FROM audit WHERE actor = 'ana' AND action = 'instance.retry'"); got != 3 {
		t.Errorf("%d retries in the audit trail, want 3: a stage each", got)
	}
}

func inState(state string) func(engine.Listed) (bool, error) {
	return func(l engine.Listed) (bool, error) { return l.State == state, nil }
}

func (r *rig) office() engine.Office {
	return engine.Office{Store: r.db, Registry: r.registry, Now: r.clock.now, Settle: time.Hour, SettleEvery: time.Millisecond}
}

// settle does an order while an engine wakes what it moves.
func (r *rig) settle(office engine.Office, order engine.Order, check func(engine.Report)) {
	r.t.Helper()
	e := r.engine(nil)
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			r.wakeAll(e)
			select {
			case <-done:
				r.wakeAll(e)
				return
			default:
			}
		}
	}()
	report, err := office.Do(r.t.Context(), order)
	close(done)
	<-stopped
	if err != nil {
		r.t.Errorf("%s = %v", order.Act, err)
	}
	check(report)
}

func TestOfficeActs(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first := r.db
	r.effects.decide = func(context.Context, engine.Call) ([]byte, error) {
		return nil, &engine.CodeError{Code: "ODD", Message: "odd"}
	}
	r.handle(r.engine(nil), r.starts(0, "later", "odd", "later", "odd", "later", "odd"))
	office, e := r.office(), r.engine(nil)
	do := func(order engine.Order) engine.Report {
		t.Helper()
		order.Actor, order.Why = "ana", "test"
		report, err := office.Do(t.Context(), order)
		if err != nil {
			t.Fatalf("%s %v = %v", order.Act, order.IDs, err)
		}
		return report
	}
	want := func(id, want string) {
		t.Helper()
		if got := r.stands(id); got != want {
			t.Errorf("%s is %q, want %q", id, got, want)
		}
	}
	do(engine.Order{Act: engine.ActPause, IDs: []string{"i00000"}})
	want("i00000", "paused rest ")
	r.clock.turn(2 * time.Hour)
	r.wakeAll(e)
	want("i00000", "paused rest ") // its hour has passed, but it is paused
	want("i00002", "done bought ")
	do(engine.Order{Act: engine.ActResume, IDs: []string{"i00000"}})
	r.wakeAll(e)
	want("i00000", "done bought ")
	do(engine.Order{Act: engine.ActTerminate, IDs: []string{"i00001"}})
	want("i00001", "terminated decide ")
	// A patch is checked against the context's type, and shown.
	preview, err := office.Preview(t.Context(), engine.Order{Act: engine.ActPatch, IDs: []string{"i00003"}, Patch: []byte(`{"mode":1}`)})
	if err != nil || len(preview.Faults) != 1 {
		t.Errorf("preview of a bad patch = %+v, %v, want a fault", preview, err)
	}
	report := do(engine.Order{Act: engine.ActPatch, IDs: []string{"i00003"}, Patch: []byte(`{"mode":"keep"}`)})
	if len(report.Changes) != 1 || !strings.Contains(string(report.Changes[0].After), `"mode":"keep"`) {
		t.Errorf("patch shows %s, want the new mode", report.Changes)
	}
	want("i00003", "failed decide ODD")
	do(engine.Order{Act: engine.ActReset, IDs: []string{"i00003"}, Node: "price"})
	r.wakeAll(e)
	want("i00003", "done kept ")
	// Another version, in which the failed node answers otherwise.
	next := r.apply(strings.Replace(testWorkflow, `"default": "kept"}`, `"catch": [{"error_equals": ["ALL"], "next": "kept"}], "default": "kept"}`, 1))
	do(engine.Order{Act: engine.ActMove, IDs: []string{"i00005"}, To: next.Number, Node: "decide"})
	r.wakeAll(e)
	want("i00005", "done kept ")
	trace, err := engine.NewInspector(first, r.registry, workflow.Functions{}).Show(t.Context(), "i00005")
	if err != nil || len(trace.Acts) != 1 || trace.Acts[0].Act != engine.ActMove || trace.Acts[0].Why != "test" {
		t.Errorf("acts of i00005 = %+v, %v, want the move", trace.Acts, err)
	}
}

// TestPersonIsFasterThanABatch terminates an instance while a batch runs it: the person's word holds.
func TestPersonIsFasterThanABatch(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.handle(r.engine(nil), r.starts(0, "later", "later"))
	r.clock.turn(2 * time.Hour)
	office := r.office()
	e := r.engine(func(c *engine.Config) {
		c.Fail = func(point string) error {
			if point == "before finish" {
				_, err := office.Do(t.Context(), engine.Order{Act: engine.ActTerminate, IDs: []string{"i00000"}, Actor: "ana", Why: "stop"})
				return err
			}
			return nil
		}
	})
	r.wakeAll(e)
	if got := r.stands("i00000"); got != "terminated rest " {
		t.Errorf("i00000 is %q, want terminated", got)
	}
	if got := r.stands("i00001"); got != "done bought " {
		t.Errorf("i00001 is %q, want done", got)
	}
	if got := r.count("SELECT count(*) FROM workflow_finished"); got != 2 {
		t.Errorf("%d endings, want 2", got)
	}
}

// TestEngineOverKafka runs everything together: records of a topic, several members, wakes.
func TestEngineOverKafka(t *testing.T) {
	t.Parallel()
	const partitions, n = 4, 120
	r := newRig(t)
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, r.topic))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	producer, err := kafka.NewProducer(cluster.ListenAddrs())
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	records := r.starts(0, modes(n)...)
	for i := range records {
		records[i].Partition = int32(i % partitions)
	}
	if err := producer.Publish(t.Context(), append(records, records[:10]...)); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan struct{}, 1_000)
	var group sync.WaitGroup
	var wakers []*engine.Waker
	for m := range 2 {
		waker := engine.NewWaker(engine.WakerConfig{Offsets: r.db, Timers: r.db, Publisher: producer, Now: r.clock.now, Log: slog.New(slog.DiscardHandler)})
		e := r.engine(func(c *engine.Config) {
			c.Worker = fmt.Sprint("w", m)
			c.Fail = func(point string) error {
				if point == "after finish" {
					ended <- struct{}{}
				}
				return nil
			}
		})
		e.Wake(waker)
		c := &kafka.Consumer{Brokers: cluster.ListenAddrs(), Group: "engine", Topic: r.topic, BatchMax: 25, Offsets: waker, Handler: e, Log: slog.New(slog.DiscardHandler)}
		group.Go(func() { _ = c.Run(ctx) })
		group.Go(func() { _ = waker.Run(ctx) })
		wakers = append(wakers, waker)
	}
	r.await(ended, "SELECT count(*) FROM workflow_instance WHERE state = 'waiting'", n/4)
	r.await(ended, "SELECT count(*) FROM workflow_finished", n*3/4)
	r.clock.turn(2 * time.Hour)
	for _, w := range wakers {
		w.Rescan()
	}
	r.await(ended, "SELECT count(*) FROM workflow_finished", n)
	stop()
	group.Wait()
	if got := r.count("SELECT count(*) FROM workflow_instance"); got != 0 {
		t.Errorf("%d rows of live state are left, want none", got)
	}
	r.wantEffectsOnce(n * 3 / 4)
	if got := r.count("SELECT count(*) FROM stream_offset WHERE applied + duplicate + held + dead <> next_offset - first_offset"); got != 0 {
		t.Errorf("%d partitions whose records are not all accounted for", got)
	}
}

// await waits until a query gives a number, looking whenever a batch has ended.
func (r *rig) await(ended <-chan struct{}, sql string, want int) {
	r.t.Helper()
	limit := time.After(time.Minute)
	for {
		if r.count(sql) == want {
			return
		}
		select {
		case <-ended:
		case <-limit:
			r.t.Fatalf("%s = %d after a minute, want %d", sql, r.count(sql), want)
		}
	}
}
