package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"daybreak/market"
	"daybreak/pipeline"
	"daybreak/workflow"
)

// load makes a flight of every record that asks for one.
func (b *batch) load(ctx context.Context, records []pipeline.Record) error {
	var starts []pipeline.Record
	var wakes []Ref
	requests := map[string]Start{}
	for _, r := range records {
		q, err := readRecord(r)
		switch {
		case err != nil:
			b.bury(r, "BAD_RECORD", err)
		case q.wake.ID != "":
			wakes = append(wakes, q.wake)
		default:
			if _, twice := requests[q.start.Instance]; twice {
				b.span.Duplicate++
				continue
			}
			requests[q.start.Instance] = q.start
			starts = append(starts, r)
		}
	}
	if err := b.loadStarts(ctx, starts, requests); err != nil {
		return err
	}
	if err := b.loadWakes(ctx, wakes); err != nil {
		return err
	}
	slices.SortFunc(b.flights, byID)
	return nil
}

// bury makes a dead letter of a record.
func (b *batch) bury(r pipeline.Record, reason string, err error) {
	b.span.Dead++
	b.dead = append(b.dead, pipeline.DeadLetter{Record: r, Reason: reason, Detail: err.Error()})
}

// loadStarts begins the instances that are not known yet.
func (b *batch) loadStarts(ctx context.Context, records []pipeline.Record, requests map[string]Start) error {
	if len(records) == 0 {
		return nil
	}
	ids, from := make([]string, 0, len(records)), market.NoDay
	for _, r := range records {
		s := requests[string(r.Key)]
		ids = append(ids, s.Instance)
		if from == market.NoDay || s.Day < from {
			from = s.Day
		}
	}
	known, err := b.engine.Store.Known(ctx, ids, from)
	if err != nil {
		return err
	}
	isKnown := make(map[string]bool, len(known))
	for _, id := range known {
		isKnown[id] = true
	}
	facts, err := b.facts(ctx, requests)
	if err != nil {
		return err
	}
	for _, r := range records {
		s := requests[string(r.Key)]
		if isKnown[s.Instance] {
			b.span.Duplicate++
			continue
		}
		err := b.begin(ctx, s, facts[s.Household])
		if errors.Is(err, errUnknownWorkflow) {
			b.bury(r, "UNKNOWN_WORKFLOW", err)
			continue
		}
		if err != nil {
			return err
		}
		b.span.Applied++
	}
	return nil
}

// facts returns what cohorts ask of the households of starts; nothing where no cohort asks.
func (b *batch) facts(ctx context.Context, starts map[string]Start) (map[string]workflow.Facts, error) {
	asks, err := b.engine.versions.hasCohorts(ctx, b.engine.Now())
	if err != nil || !asks {
		return nil, err
	}
	households := make([]string, 0, len(starts))
	for _, s := range starts {
		households = append(households, s.Household)
	}
	slices.Sort(households)
	return b.engine.Store.Facts(ctx, slices.Compact(households))
}

// begin makes the flight of a start; one that an interrupted batch had begun goes on as it was.
func (b *batch) begin(ctx context.Context, s Start, facts workflow.Facts) error {
	f := &flight{started: b.engine.Now().UTC().Truncate(time.Microsecond), day: s.Day}
	var err error
	if old := b.own.take(s.Instance, nil); old != nil && old.entries[0].Kind == EntryStarted {
		first := old.entries[0]
		f.v, err = b.engine.versions.runnable(ctx, old.definition)
		f.params, s.Context, f.started = first.Params, first.Context, first.At
		f.batches, f.recorded = slices.Compact(old.batches), old.entries[1:]
	} else {
		f.v, f.params, err = b.engine.versions.resolve(ctx, s, facts, f.started)
	}
	if err != nil {
		return err
	}
	b.flights = append(b.flights, f)
	f.now = f.started
	f.begin(b.engine, s)
	if f.batches == nil {
		b.write(f, &Entry{Kind: EntryStarted, Household: s.Household, Node: f.in.Node, At: f.started, Params: f.params, Context: f.in.Context})
	}
	return nil
}

// contextMax bounds a context as it comes, with its white space: a larger one is not looked into.
const contextMax = 2 * workflow.ContextMax

// begin places the instance at its first node. A context or parameters that the definition refuses
// leave it failed there.
func (f *flight) begin(e *Engine, s Start) {
	f.guard(func() error {
		if len(s.Context) > contextMax {
			return workflow.Failure{Code: workflow.CodeContextTooBig, Message: fmt.Sprintf("the context has %d bytes, at most %d", len(s.Context), workflow.ContextMax)}
		}
		var err error
		if f.parsed, err = f.v.definition.ParseParams(f.params); err != nil {
			return err
		}
		begun, err := f.v.definition.Begin(workflow.Instance{ID: s.Instance, Household: s.Household, Context: s.Context}, f.env(e))
		if err != nil {
			return workflow.FailureOf(err, f.v.definition.Start, workflow.CodeBadContext)
		}
		f.in = begun
		return nil
	})
	if f.result.Failure.Code == "" {
		return
	}
	f.in = workflow.Instance{
		ID: s.Instance, Household: s.Household, Workflow: f.v.definition.Hash, Node: f.v.definition.Start,
		State: workflow.Failed, Context: []byte("{}"), Attempt: 1,
	}
	f.in.Failure = workflow.FailureOf(f.result.Failure, f.in.Node, workflow.CodeBadContext)
	f.result = workflow.Result{}
}

// take returns what an interrupted batch did for an instance, once, and forgets it. For one that has a
// row that is what the row does not reflect and no person has overruled since; nil for nothing.
func (o *ownership) take(id string, row *Live) *recorded {
	old := o.recorded[id]
	delete(o.recorded, id)
	if old == nil || row == nil {
		return old
	}
	left := &recorded{definition: old.definition}
	for i, batch := range old.batches {
		isOver := slices.Contains(row.Batches, batch) || slices.ContainsFunc(row.Acts, func(act int64) bool { return act > batch })
		if !isOver {
			left.entries, left.batches = append(left.entries, old.entries[i]), append(left.batches, batch)
		}
	}
	if len(left.entries) == 0 {
		return nil
	}
	return left
}

// loadWakes takes the rows that are still as their wakes say; a wake of another revision has come
// too late and changes nothing.
func (b *batch) loadWakes(ctx context.Context, wakes []Ref) error {
	if len(wakes) == 0 {
		return nil
	}
	seen := make(map[Ref]bool, len(wakes))
	refs := wakes[:0:0]
	for _, w := range wakes {
		if !seen[w] {
			seen[w] = true
			refs = append(refs, w)
		}
	}
	rows, err := b.engine.Store.LoadLive(ctx, refs)
	if err != nil {
		return err
	}
	now := b.engine.Now()
	for _, row := range rows {
		isDue := row.State == StateRunning || row.State == StateWaiting
		if !isDue || row.Due == nil || row.Due.After(now) || row.Topic != b.topic || row.Partition != b.span.Partition {
			continue
		}
		f, err := b.engine.wake(ctx, row, b.own.take(row.ID, &row))
		if errors.Is(err, errUnknownWorkflow) {
			b.engine.Log.Warn("an instance waits for a process that has its actions", "instance", row.ID, "error", err)
			b.span.Held++
			continue
		}
		if err != nil {
			return err
		}
		b.flights = append(b.flights, f)
		b.span.Applied++
		switch {
		case f.in.State == workflow.Waiting || f.result.Failure.Code != "":
			b.endWait(f)
		case f.v.nodes[f.in.Node] == nil || f.v.nodes[f.in.Node].Type != workflow.Call:
			b.restart(f)
		}
	}
	b.span.Duplicate += int64(len(wakes)) - b.woken(rows) - b.span.Held
	return nil
}

// woken returns how many rows of a load became flights.
func (b *batch) woken(rows []Live) int64 {
	is := make(map[string]bool, len(rows))
	for _, row := range rows {
		is[row.ID] = true
	}
	var n int64
	for _, f := range b.flights {
		if f.live != nil && is[f.in.ID] {
			n++
		}
	}
	return n
}

// wake makes the flight of a row.
func (e *Engine) wake(ctx context.Context, row Live, old *recorded) (*flight, error) {
	f, err := e.flightOf(ctx, row)
	if err != nil {
		return nil, err
	}
	if old != nil {
		f.recorded, f.batches = old.entries, append(f.batches, slices.Compact(old.batches)...)
	}
	if f.in.State == workflow.Running && e.detached.has(row.ID) {
		// Its call is still being made here, and its time is over.
		f.result.Failure = workflow.Failure{Code: workflow.CodeTimeout, Message: "the call did not end in time"}
	}
	return f, nil
}

// flightOf makes the flight of a row as it stands.
func (e *Engine) flightOf(ctx context.Context, row Live) (*flight, error) {
	v, err := e.versions.runnable(ctx, row.Definition)
	if err != nil {
		return nil, fmt.Errorf("instance %s: %w", row.ID, err)
	}
	s, err := v.coder.unpack(row.Packed)
	if err != nil {
		return nil, fmt.Errorf("instance %s: %w", row.ID, err)
	}
	params, err := v.definition.ParseParams(s.params)
	if err != nil {
		return nil, fmt.Errorf("instance %s: %w", row.ID, err)
	}
	f := &flight{v: v, params: s.params, parsed: params, live: &row, batches: row.Batches, started: row.Started, forced: row.Forced}
	f.in = workflow.Instance{
		ID: row.ID, Household: row.Household, Workflow: v.definition.Hash, Node: row.Node, State: stateOf(row.State),
		Context: s.context, Attempt: row.Attempt, Steps: row.Steps, Failure: row.Failure,
	}
	if row.Due != nil {
		f.in.Due = row.Due.UTC()
	}
	if row.Deadline != nil {
		f.in.Deadline = row.Deadline.UTC()
	}
	return f, nil
}

// restart brings an instance that is tried again at a wait or an end there anew.
func (b *batch) restart(f *flight) {
	f.now = b.engine.Now().UTC().Truncate(time.Microsecond)
	if len(f.recorded) > 0 && f.recorded[0].Kind == EntrySet {
		f.now, f.recorded = f.recorded[0].At, f.recorded[1:]
	} else {
		b.write(f, &Entry{Kind: EntrySet, Node: f.in.Node, At: f.now, Next: f.in.Node})
	}
	f.guard(func() error {
		var err error
		f.in, err = f.v.definition.Restart(f.in, f.in.Node, f.env(b.engine))
		return err
	})
	if f.result.Failure.Code != "" {
		f.in.State, f.in.Failure = workflow.Failed, f.result.Failure
	}
}

// endWait takes the step of a wait that is over, or of a call whose time is over.
func (b *batch) endWait(f *flight) {
	f.now = b.engine.Now().UTC().Truncate(time.Microsecond)
	f.node = f.v.nodes[f.in.Node]
	switch {
	case len(f.recorded) > 0:
		f.isOld, f.now, f.result = true, f.recorded[0].At, f.recorded[0].result()
		f.recorded = f.recorded[1:]
	case f.result.Failure.Code == "":
		f.result = workflow.Result{Elapsed: true}
	}
	step := f.advance(b.engine)
	b.note(f, step)
	b.judge([]*flight{f}, []workflow.Step{step})
	f.isOld, f.result = false, workflow.Result{}
}

var stateNames = map[workflow.State]string{
	workflow.Running: StateRunning, workflow.Waiting: StateWaiting, workflow.Paused: StatePaused, workflow.Failed: StateFailed,
	workflow.Done: StateDone, workflow.Terminated: StateTerminated,
}

func stateOf(name string) workflow.State {
	for state, n := range stateNames {
		if n == name {
			return state
		}
	}
	return workflow.Failed
}
