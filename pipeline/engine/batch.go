package engine

import (
	"cmp"
	"context"
	"hash/fnv"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"daybreak/market"
	"daybreak/pipeline"
	"daybreak/workflow"
)

// batch is the records of one partition on their way through the engine.
type batch struct {
	engine  *Engine
	topic   string
	span    pipeline.Span
	own     *ownership
	number  int64
	line    int
	flights []*flight // by id
	pages   []*page   // what no barrier has committed yet, by definition
	urgent  bool      // pages hold intents or outcomes of writes
	holds   []Hold
	obeyed  []string
	dead    []pipeline.DeadLetter

	detachable  chan struct{} // closed once the batch is committed or given up
	isCommitted bool
}

// flight is an instance while a batch moves it.
type flight struct {
	in       workflow.Instance
	v        *version
	node     *workflow.Node // where it stands, once it was looked up
	params   []byte
	parsed   map[string]any
	live     *Live // the row that it comes from, nil for a start
	batches  []int64
	started  time.Time
	day      market.Day
	recorded []Entry // of an interrupted batch, still to come
	intended bool    // its write has an intent already
	forced   bool    // passes a hold once
	isParked bool    // detached or paused: it goes no further in this batch
	seen     int     // line of the journal that counts it, from 1

	// Of the step that it takes.
	now      time.Time
	request  []byte
	key      string
	result   workflow.Result
	isOld    bool // the result was recorded by an interrupted batch
	duration time.Duration
}

// page collects entries of one definition between two barriers.
type page struct {
	v         *version
	instances int
	body      []byte
}

// run brings every instance of the records as far as it goes and commits.
func (b *batch) run(ctx context.Context, records []pipeline.Record) error {
	var err error
	if b.number, err = b.engine.Store.NextBatch(ctx); err != nil {
		return err
	}
	if err := b.load(ctx, records); err != nil {
		return err
	}
	if err := b.engine.reach("loaded"); err != nil {
		return err
	}
	for {
		ready, err := b.prepare(ctx)
		if err != nil {
			return err
		}
		if len(ready) == 0 {
			break
		}
		if b.urgent || b.engine.EachStep && b.stepped() {
			if err := b.checkpoint(ctx); err != nil {
				return err
			}
		}
		if err := b.call(ctx, ready); err != nil {
			return err
		}
		if err := b.engine.reach("called"); err != nil {
			return err
		}
		b.advance(ready)
	}
	return b.finish(ctx)
}

// prepare returns the instances that stand at a call, with their requests; what was recorded before
// and waits that are over need none.
func (b *batch) prepare(ctx context.Context) ([]*flight, error) {
	nodes, instances, err := b.engine.holds.current(ctx, b.engine.Now())
	if err != nil {
		return nil, err
	}
	var ready []*flight
	for _, f := range b.flights {
		if f.isParked || f.in.State != workflow.Running {
			continue
		}
		if hold, ok := instances[f.in.ID]; ok {
			b.obey(f, hold)
			continue
		}
		name := nodeName{f.v.definition.Name, f.in.Node}
		if _, isHeld := nodes[name]; isHeld && !f.forced && len(f.recorded) == 0 {
			f.in.State, f.isParked = workflow.Paused, true
			continue
		}
		ready = append(ready, f)
	}
	b.each(ready, b.prepareOne)
	for _, f := range ready {
		if f.key != "" && !f.intended && !f.isOld {
			b.write(f, &Entry{Kind: EntryIntent, Node: f.in.Node, Attempt: f.in.Attempt, At: f.now, RequestHash: hashOf(f.request), Key: f.key})
			b.urgent = true
		}
	}
	return ready, nil
}

// obey does to one instance what a person asked for while it was running.
func (b *batch) obey(f *flight, hold Hold) {
	f.isParked = true
	f.in.State = workflow.Paused
	if hold.Act == "terminate" {
		f.in.State = workflow.Terminated
	}
	b.obeyed = append(b.obeyed, f.in.ID)
}

// prepareOne makes the request of an instance, or takes the result that was recorded.
func (b *batch) prepareOne(f *flight) {
	f.now, f.request, f.key, f.result, f.isOld, f.intended, f.duration = b.engine.Now().UTC().Truncate(time.Microsecond), nil, "", workflow.Result{}, false, false, 0
	f.node = f.v.nodes[f.in.Node]
	if len(f.recorded) > 0 && f.recorded[0].Kind == EntryIntent {
		f.intended, f.now = true, f.recorded[0].At
		f.recorded = f.recorded[1:]
	}
	if len(f.recorded) > 0 {
		e := f.recorded[0]
		f.recorded = f.recorded[1:]
		f.isOld, f.now, f.result = true, e.At, e.result()
		return
	}
	f.guard(func() error {
		var err error
		if f.request, err = f.v.definition.Request(f.in, f.env(b.engine)); err != nil {
			return err
		}
		if f.node.Action.Effect == workflow.Write {
			f.key, err = f.v.definition.Key(f.in, f.env(b.engine))
		}
		return err
	})
}

// guard runs what belongs to one instance behind a barrier: an error or a panic is its failure alone.
func (f *flight) guard(do func() error) {
	defer func() {
		if r := recover(); r != nil {
			f.result = workflow.Result{Failure: panicked(r)}
		}
	}()
	if err := do(); err != nil {
		f.result = workflow.Result{Failure: workflow.FailureOf(err, f.in.Node, workflow.CodeExpression)}
	}
}

// env returns what the expressions of an instance see.
func (f *flight) env(e *Engine) workflow.Env {
	return workflow.Env{Now: f.now, Params: f.parsed, Functions: e.Functions}
}

// result returns the result that an entry recorded.
func (e *Entry) result() workflow.Result {
	switch e.Kind {
	case EntryElapsed:
		return workflow.Result{Elapsed: true}
	case EntryFault:
		return workflow.Result{Failure: workflow.Failure{Node: e.Node, Code: e.Code, Message: string(e.Response)}}
	}
	return workflow.Result{Response: e.Response}
}

// hasResult reports whether an instance needs no call: its result is known.
func (f *flight) hasResult() bool { return f.isOld || f.result.Failure.Code != "" || f.result.Elapsed }

// advance applies the results of a round and notes them.
func (b *batch) advance(ready []*flight) {
	var moved []*flight
	for _, f := range ready {
		if !f.isParked {
			moved = append(moved, f)
		}
	}
	steps := make([]workflow.Step, len(moved))
	places := make(map[*flight]int, len(moved))
	for i, f := range moved {
		places[f] = i
	}
	b.each(moved, func(f *flight) { steps[places[f]] = f.advance(b.engine) })
	for i, f := range moved {
		b.note(f, steps[i])
	}
	b.judge(moved, steps)
}

// advance applies the result of an instance's step. An instance that panics here is our bug: it
// stays failed where it stood.
func (f *flight) advance(e *Engine) (step workflow.Step) {
	before := f.in
	defer func() {
		if r := recover(); r != nil {
			f.in = before
			f.in.State, f.in.Failure = workflow.Failed, panicked(r)
			f.in.Failure.Node = before.Node
			step = workflow.Step{Node: before.Node, Attempt: before.Attempt, Outcome: workflow.Failing, Failure: f.in.Failure, Next: before.Node}
		}
	}()
	f.in, step = f.v.definition.Advance(f.in, f.result, f.env(e))
	if step.Outcome == workflow.Refused {
		f.in.State, f.in.Failure, step.Outcome = workflow.Failed, step.Failure, workflow.Failing
	}
	return step
}

// note writes a step to the journal, where it is not there already.
func (b *batch) note(f *flight, step workflow.Step) {
	f.forced = f.forced && step.Next == step.Node
	if f.isOld {
		return
	}
	e := Entry{Kind: EntryStep, Node: step.Node, Attempt: step.Attempt, At: f.now, Duration: f.duration, RequestHash: hashOf(f.request),
		Response: f.result.Response, Next: step.Next}
	switch {
	case f.result.Elapsed:
		e.Kind = EntryElapsed
	case f.result.Failure.Code != "":
		e.Kind, e.Code, e.Response = EntryFault, f.result.Failure.Code, []byte(f.result.Failure.Message)
	}
	b.write(f, &e)
	b.urgent = b.urgent || f.key != ""
}

// judge counts what came of a round at each node, and holds a node whose instances fail alike.
func (b *batch) judge(moved []*flight, steps []workflow.Step) {
	type tally struct {
		passed int
		failed map[string]int
	}
	tallies := map[nodeName]*tally{}
	var order []nodeName
	for i, f := range moved {
		name := nodeName{f.v.definition.Name, steps[i].Node}
		t := tallies[name]
		if t == nil {
			t = &tally{failed: map[string]int{}}
			tallies[name] = t
			order = append(order, name)
		}
		if f.in.State == workflow.Failed && steps[i].Outcome == workflow.Failing && !f.isOld {
			t.failed[f.in.Failure.Code+": "+f.in.Failure.Signature]++
		} else {
			t.passed++
		}
	}
	for _, name := range order {
		signature := b.engine.breaker.count(name, tallies[name].passed, tallies[name].failed)
		if signature == "" {
			continue
		}
		b.engine.Log.Error("node pauses itself: its instances fail alike", "workflow", name.workflow, "node", name.node, "error", signature)
		b.holds = append(b.holds, Hold{Workflow: name.workflow, Node: name.node, Act: "pause", Signature: signature,
			At: b.engine.Now(), Actor: actorEngine, Why: "its instances fail alike"})
	}
}

// actorEngine is who pauses a node whose instances fail alike.
const actorEngine = "engine"

// write adds an entry to the page of the instance's definition.
func (b *batch) write(f *flight, e *Entry) {
	i := slices.IndexFunc(b.pages, func(p *page) bool { return p.v == f.v })
	if i < 0 {
		i = len(b.pages)
		b.pages = append(b.pages, &page{v: f.v, body: make([]byte, 0, 64<<10)})
	}
	p := b.pages[i]
	e.Instance = f.in.ID
	p.body = appendEntry(p.body, e)
	if f.seen != b.line+1 {
		f.seen = b.line + 1
		p.instances++
	}
}

// stepped reports whether there is anything to commit but starts, which the records have.
func (b *batch) stepped() bool {
	return slices.ContainsFunc(b.flights, func(f *flight) bool { return f.in.Steps > 0 && f.seen == b.line+1 })
}

// each calls do for every flight, over the cores.
func (b *batch) each(flights []*flight, do func(*flight)) {
	cores := min(b.engine.Cores, len(flights)/eachMin)
	if cores < 2 {
		for _, f := range flights {
			do(f)
		}
		return
	}
	var group errgroup.Group
	for c := range cores {
		group.Go(func() error {
			for _, f := range flights[c*len(flights)/cores : (c+1)*len(flights)/cores] {
				do(f)
			}
			return nil
		})
	}
	_ = group.Wait() // nothing returns an error
}

// eachMin is how many instances are worth a goroutine.
const eachMin = 32

func hashOf(request []byte) uint64 {
	if request == nil {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write(request) // never fails
	return h.Sum64()
}

func byID(a, b *flight) int { return cmp.Compare(a.in.ID, b.in.ID) }
