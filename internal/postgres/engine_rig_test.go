package postgres_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"daybreak/internal/postgres"
	"daybreak/internal/postgres/pgtest"
	"daybreak/market"
	"daybreak/pipeline"
	"daybreak/pipeline/engine"
	"daybreak/workflow"
)

// testActions are the types of the actions of the tests' workflow.
const testActions = `[
 {"name": "test.price", "effect": "read", "bulk": 50,
  "request": {"type": "object", "properties": {"security": {"type": "string"}}, "required": ["security"]},
  "response": {"type": "object", "properties": {"price": {"type": "string", "format": "decimal"}}, "required": ["price"]}},
 {"name": "test.decide", "effect": "pure",
  "request": {"type": "object", "properties": {"price": {"type": "string", "format": "decimal"}, "mode": {"type": "string"}}, "required": ["price", "mode"]},
  "response": {"type": "object", "properties": {"verdict": {"type": "string", "enum": ["buy", "keep", "later"]}}, "required": ["verdict"]}},
 {"name": "test.order", "effect": "write",
  "request": {"type": "object", "properties": {"security": {"type": "string"}, "price": {"type": "string", "format": "decimal"}}, "required": ["security", "price"]},
  "response": {"type": "object", "properties": {"order": {"type": "string"}}, "required": ["order"]}}
]`

// testWorkflow prices, decides, perhaps waits an hour, orders and ends.
const testWorkflow = `{
 "name": "trade", "start_at": "price",
 "context": {"type": "object", "properties": {
   "security": {"type": "string"}, "mode": {"type": "string"}, "note": {"type": "string"},
   "price": {"type": "string", "format": "decimal"}, "order": {"type": "string"}}, "required": ["security", "mode"]},
 "nodes": {
  "price": {"type": "call", "action": "test.price", "arguments": {"security": "ctx.security"}, "assign": {"price": "out.price"},
    "next": "decide"},
  "decide": {"type": "call", "action": "test.decide", "arguments": {"price": "ctx.price", "mode": "ctx.mode"},
    "choices": [{"condition": "out.verdict == 'buy'", "next": "order"}, {"condition": "out.verdict == 'later'", "next": "rest"}], "default": "kept"},
  "rest": {"type": "wait", "until": "now + duration('1h')", "next": "order"},
  "order": {"type": "call", "action": "test.order", "arguments": {"security": "ctx.security", "price": "ctx.price"}, "assign": {"order": "out.order"},
    "idempotency_key": "instance.id + ':order'", "next": "confirm"},
  "confirm": {"type": "call", "action": "test.price", "arguments": {"security": "ctx.security"}, "next": "bought"},
  "bought": {"type": "terminal", "status": "succeeded"},
  "kept": {"type": "terminal", "status": "succeeded"}
 }
}`

// rig is an engine with all that it needs but Kafka: the test hands it batches.
type rig struct {
	t        *testing.T
	db       *postgres.DB
	registry engine.Registry
	clock    *testClock
	effects  *effects
	topic    string
}

// testClock is a clock that tests turn.
type testClock struct {
	mu sync.Mutex
	at time.Time
}

func (c *testClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(time.Microsecond)
	return c.at
}

// read returns the time and lets it stand.
func (c *testClock) read() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *testClock) turn(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// effects is a service that honours keys: what it did, by key, and how often it was asked.
type effects struct {
	mu     sync.Mutex
	done   map[string]string // key to request
	asked  map[string]int
	decide func(ctx context.Context, c engine.Call) ([]byte, error) // what else the mode "odd…" does
}

func (e *effects) order(_ context.Context, c engine.Call) ([]byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked[c.Key]++
	if was, ok := e.done[c.Key]; ok && was != string(c.Request) {
		return nil, &engine.CodeError{Code: "KEY_REUSED", Message: c.Key}
	}
	e.done[c.Key] = string(c.Request)
	return fmt.Appendf(nil, `{"order":"O-%s"}`, c.Key), nil
}

func (e *effects) verdict(ctx context.Context, c engine.Call) ([]byte, error) {
	var request struct{ Mode string }
	if err := json.Unmarshal(c.Request, &request); err != nil {
		return nil, err
	}
	if strings.HasPrefix(request.Mode, "odd") {
		return e.decide(ctx, c)
	}
	return fmt.Appendf(nil, `{"verdict":%q}`, request.Mode), nil
}

func newRig(t *testing.T) *rig {
	t.Helper()
	return rigOn(t, pgtest.DB(t), "test.instances")
}

// rigOn is newRig on a database that is there, with a topic of its own.
func rigOn(t *testing.T, db *postgres.DB, topic string) *rig {
	t.Helper()
	r := &rig{
		t: t, db: db, topic: topic, clock: &testClock{at: time.Date(2026, 3, 16, 13, 0, 0, 0, time.UTC)},
		effects: &effects{done: map[string]string{}, asked: map[string]int{}},
	}
	r.registry = registryOf(t, testActions, map[string]engine.Doer{
		"test.price": engine.Func(func(_ context.Context, c engine.Call) ([]byte, error) {
			return fmt.Appendf(nil, `{"price":"%d.25"}`, len(c.Request)), nil
		}),
		"test.decide": engine.Func(r.effects.verdict),
		"test.order":  engine.Func(r.effects.order),
	})
	r.apply(testWorkflow)
	return r
}

// registryOf binds actions to what does them.
func registryOf(t testing.TB, actions string, doers map[string]engine.Doer) engine.Registry {
	t.Helper()
	catalogue, err := workflow.ParseActions([]byte(actions))
	if err != nil {
		t.Fatal(err)
	}
	registry := engine.Registry{}
	for _, a := range catalogue {
		registry[a.Name] = engine.Bound{Action: a, Do: doers[a.Name]}
	}
	return registry
}

// apply stores a definition and makes it the live one.
func (r *rig) apply(text string) engine.StoredDefinition {
	r.t.Helper()
	d, problems := workflow.Parse([]byte(text), r.registry)
	if d == nil {
		r.t.Fatalf("definition refused: %v", problems)
	}
	stored, _, err := r.db.ApplyDefinition(r.t.Context(), engine.StoredDefinition{Name: d.Name, Hash: d.Hash, Body: d.Canonical, Applied: r.clock.now(), Actor: "ana"})
	if err != nil {
		r.t.Fatal(err)
	}
	err = r.db.SetAlias(r.t.Context(), engine.Alias{Name: d.Name, Alias: workflow.Live, Definition: stored.Number, Params: []byte("{}"),
		Changed: r.clock.now(), Actor: "ana"}, "test")
	if err != nil {
		r.t.Fatal(err)
	}
	return stored
}

// engine returns an engine of the rig, with settings that a test changes.
func (r *rig) engine(change func(*engine.Config)) *engine.Engine {
	c := engine.Config{
		Store: r.db, Registry: r.registry, Now: r.clock.now, Worker: "w1", Cores: 2, EachStep: true,
		Patience: time.Minute, Log: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&c)
	}
	return engine.New(c)
}

// own makes the caller the owner of a partition.
func (r *rig) own(partition int32) pipeline.Position {
	r.t.Helper()
	positions, err := r.db.Assign(r.t.Context(), r.topic, "topic-1", []int32{partition})
	if err != nil {
		r.t.Fatal(err)
	}
	return positions[partition]
}

// starts returns records that start instances, one for each mode, from an offset on.
func (r *rig) starts(first int64, modes ...string) []pipeline.Record {
	var records []pipeline.Record
	for i, mode := range modes {
		id := fmt.Sprintf("i%05d", first+int64(i))
		s := engine.Start{Instance: id, Household: "H" + id, RoutingKey: "k", Workflow: "trade", Day: market.DayOf(r.clock.read()),
			Context: fmt.Appendf(nil, `{"security":"SEC%d","mode":%q}`, i%7, mode)}
		record := s.Record(r.topic, 1)
		record.Partition, record.Offset = 0, first+int64(i)
		records = append(records, record)
	}
	return records
}

// batch puts records of partition 0 into a batch under a position.
func (r *rig) batch(at pipeline.Position, records []pipeline.Record) pipeline.Batch {
	last := records[len(records)-1]
	return pipeline.Batch{Topic: r.topic, Records: records, Spans: []pipeline.Span{{
		Partition: last.Partition, First: at.Next, Next: last.Offset + 1, Epoch: at.Epoch, LastRecord: r.clock.read(),
	}}}
}

// handle runs records as a new owner does.
func (r *rig) handle(e *engine.Engine, records []pipeline.Record) {
	r.t.Helper()
	at := r.own(0)
	if err := e.Handle(r.t.Context(), r.batch(at, records)); err != nil {
		r.t.Fatalf("Handle(%d records) = %v", len(records), err)
	}
}

// outcomes returns how each instance stands and what its steps answered, without what differs
// between two runs of the same: times, workers and batches.
func (r *rig) outcomes(ids ...string) string {
	r.t.Helper()
	inspector := engine.NewInspector(r.db, r.registry, workflow.Functions{})
	var b strings.Builder
	for _, id := range ids {
		trace, err := inspector.Show(r.t.Context(), id)
		if errors.Is(err, pipeline.ErrNotFound) {
			fmt.Fprintf(&b, "%s nothing\n", id)
			continue
		}
		if err != nil {
			r.t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %s %s %s\n", trace.ID, trace.State, trace.Node, trace.Failure.Message)
		for _, s := range trace.Steps {
			fmt.Fprintf(&b, "  %s %s %d %s %s %s %s → %s %v\n", s.Kind, s.Node, s.Attempt, s.Key, s.Request, s.Response, s.Failure.Code, s.Next, s.Recomputed)
		}
	}
	return b.String()
}

// count returns a number that a query gives.
func (r *rig) count(sql string) int {
	r.t.Helper()
	var n int
	if err := r.db.Pool().QueryRow(r.t.Context(), sql).Scan(&n); err != nil {
		r.t.Fatal(err)
	}
	return n
}

func ids(records []pipeline.Record) []string {
	var all []string
	for _, r := range records {
		all = append(all, string(r.Key))
	}
	slices.SortFunc(all, cmp.Compare[string])
	return all
}
