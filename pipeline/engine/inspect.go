package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"daybreak/pipeline"
	"daybreak/workflow"
)

// InspectStore is what inspection reads.
type InspectStore interface {
	Definitions
	LiveByID(ctx context.Context, id string) (Live, error)
	FinishedByID(ctx context.Context, id string) (Finished, error)
	LinesOf(ctx context.Context, batches []int64) ([]Line, error)
	// UnderWay returns the checkpoints of batches that have not ended.
	UnderWay(ctx context.Context) ([]Line, error)
	Acts(ctx context.Context, ids []int64) ([]Act, error)
}

// Trace is where an instance stands and all that it did.
type Trace struct {
	ID        string           `json:"id"`
	Household string           `json:"household"`
	Workflow  string           `json:"workflow"`
	Version   string           `json:"version"`
	State     string           `json:"state"`
	Node      string           `json:"node"`
	Attempt   int              `json:"attempt,omitempty"`
	Due       *time.Time       `json:"due,omitempty"`
	Failure   workflow.Failure `json:"failure,omitzero"`
	Started   time.Time        `json:"started"`
	Ended     *time.Time       `json:"ended,omitempty"`
	Context   json.RawMessage  `json:"context,omitempty"`
	Steps     []TracedStep     `json:"steps"`
	Acts      []Act            `json:"acts,omitempty"`
}

// TracedStep is one step: what was asked, what came back, and the context before it. The request is
// computed again from what was recorded; Recomputed is false where this build makes another one than
// the one that was sent.
type TracedStep struct {
	At         time.Time        `json:"at"`
	Kind       string           `json:"kind"`
	Node       string           `json:"node"`
	Attempt    int              `json:"attempt,omitempty"`
	Worker     string           `json:"worker"`
	Batch      int64            `json:"batch"`
	Duration   float64          `json:"milliseconds"`
	Key        string           `json:"key,omitempty"`
	Request    json.RawMessage  `json:"request,omitempty"`
	Recomputed bool             `json:"recomputed"`
	Response   json.RawMessage  `json:"response,omitempty"`
	Failure    workflow.Failure `json:"failure,omitzero"`
	Next       string           `json:"next,omitempty"`
	Context    json.RawMessage  `json:"context,omitempty"`
}

// Inspector reads what instances do and did.
type Inspector struct {
	store    InspectStore
	versions *versions
	function workflow.Functions
}

// NewInspector returns an inspector. Its registry needs actions for their types alone.
func NewInspector(store InspectStore, registry Registry, functions workflow.Functions) *Inspector {
	return &Inspector{store: store, versions: newVersions(store, registry), function: functions}
}

// Show returns the trace of an instance, wherever it is: waiting, ended, or in a batch under way.
// ErrNotFound is for one that nobody has begun.
func (s *Inspector) Show(ctx context.Context, id string) (Trace, error) {
	var t Trace
	var batches, acts []int64
	live, err := s.store.LiveByID(ctx, id)
	switch {
	case err == nil:
		batches, acts, err = live.Batches, live.Acts, s.fromLive(ctx, live, &t)
	case errors.Is(err, pipeline.ErrNotFound):
		batches, acts, err = s.fromFinished(ctx, id, &t)
	}
	isRunning := errors.Is(err, pipeline.ErrNotFound)
	if err != nil && !isRunning {
		return t, err
	}
	lines, err := s.lines(ctx, batches)
	if err != nil {
		return t, err
	}
	p := &player{inspector: s, trace: &t, id: id}
	for _, l := range lines {
		if err := p.play(ctx, l); err != nil {
			return t, err
		}
	}
	if isRunning && p.v == nil {
		return t, fmt.Errorf("instance %s: %w", id, pipeline.ErrNotFound)
	}
	if isRunning {
		t.ID, t.State, t.Node, t.Household, t.Context = id, StateRunning, p.in.Node, p.in.Household, json.RawMessage(p.in.Context)
	}
	if t.Acts, err = s.store.Acts(ctx, acts); err != nil {
		return t, err
	}
	return t, nil
}

// CheckParked returns how many instances of other versions of a definition's workflow have a row, how
// many of them could not go on in it, and why the first of these could not.
func (s *Inspector) CheckParked(ctx context.Context, rows ControlStore, d *workflow.Definition) (parked, stuck int, fault string, err error) {
	var refs []Ref
	err = rows.EachLive(ctx, nil, func(l Listed) error {
		if l.Workflow == d.Name && l.Version != d.Hash {
			refs = append(refs, Ref{ID: l.ID, Revision: l.Revision})
		}
		return nil
	})
	if err != nil {
		return 0, 0, "", err
	}
	e := &Engine{versions: s.versions}
	for part := range slices.Chunk(refs, rewritePageMax) {
		live, err := rows.LoadLive(ctx, part)
		if err != nil {
			return parked, stuck, fault, err
		}
		for _, row := range live {
			f, err := e.flightOf(ctx, row)
			if err != nil {
				return parked, stuck, fault, err
			}
			parked++
			if problems := d.CheckMove(f.in); workflow.HasFault(problems) {
				if stuck++; stuck == 1 {
					fault = problems[0].Reason
				}
			}
		}
	}
	return parked, stuck, fault, nil
}

// lines returns the lines of batches and of all that is under way, each once, by batch.
func (s *Inspector) lines(ctx context.Context, batches []int64) ([]Line, error) {
	lines, err := s.store.LinesOf(ctx, batches)
	if err != nil {
		return nil, err
	}
	has := map[int64]bool{}
	for _, b := range batches {
		has[b] = true
	}
	under, err := s.store.UnderWay(ctx)
	if err != nil {
		return nil, err
	}
	for _, l := range under {
		if !has[l.Batch] {
			lines = append(lines, l)
		}
	}
	return lines, nil
}

func (s *Inspector) fromLive(ctx context.Context, l Live, t *Trace) error {
	v, err := s.versions.runnable(ctx, l.Definition)
	if err != nil {
		return err
	}
	kept, err := v.coder.unpack(l.Packed)
	if err != nil {
		return fmt.Errorf("instance %s: %w", l.ID, err)
	}
	*t = Trace{ID: l.ID, Household: l.Household, Workflow: v.definition.Name, Version: v.definition.Hash, State: l.State, Node: l.Node,
		Attempt: l.Attempt, Due: l.Due, Failure: l.Failure, Started: l.Started, Context: kept.context}
	return nil
}

func (s *Inspector) fromFinished(ctx context.Context, id string, t *Trace) (batches, acts []int64, err error) {
	f, err := s.store.FinishedByID(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	v, err := s.versions.runnable(ctx, f.Definition)
	if err != nil {
		return nil, nil, err
	}
	*t = Trace{ID: f.ID, Household: f.Household, Workflow: v.definition.Name, Version: v.definition.Hash, State: f.State, Node: f.Node,
		Started: f.Started, Ended: &f.Finished}
	return f.Batches, f.Acts, nil
}

// player takes the steps of one instance again, from its journal.
type player struct {
	inspector *Inspector
	trace     *Trace
	id        string
	v         *version
	in        workflow.Instance
	params    map[string]any
	key       string // of the intent before the step
}

// play takes the steps of a line.
func (p *player) play(ctx context.Context, l Line) error {
	v, err := p.inspector.versions.runnable(ctx, l.Definition)
	if err != nil {
		return err
	}
	body, err := v.coder.expand(l.Body)
	if err != nil {
		return fmt.Errorf("journal batch %d line %d: %w", l.Batch, l.Line, err)
	}
	entries, err := ReadEntries(body)
	if err != nil {
		return fmt.Errorf("journal batch %d line %d: %w", l.Batch, l.Line, err)
	}
	for _, e := range entries {
		if e.Instance != p.id {
			continue
		}
		p.v = v
		p.step(e, l)
	}
	return nil
}

// step takes one entry.
func (p *player) step(e Entry, l Line) {
	at := TracedStep{At: e.At, Kind: kindNames[e.Kind], Node: e.Node, Attempt: e.Attempt, Worker: l.Worker, Batch: l.Batch,
		Duration: float64(e.Duration) / float64(time.Millisecond), Next: e.Next, Recomputed: true}
	env := workflow.Env{Now: e.At, Params: p.params, Functions: p.inspector.function}
	switch e.Kind {
	case EntryIntent:
		p.key = e.Key
		return
	case EntryStarted:
		p.params, _ = p.v.definition.ParseParams(e.Params) // they were read when it began
		env.Params = p.params
		begun, err := p.v.definition.Begin(workflow.Instance{ID: e.Instance, Household: e.Household, Context: e.Context}, env)
		if err != nil {
			begun.Failure = workflow.FailureOf(err, e.Node, workflow.CodeBadContext)
		}
		p.in, at.Failure = begun, begun.Failure
	case EntrySet:
		p.in.Workflow = p.v.definition.Hash
		if e.Context != nil {
			p.in.Context = e.Context
		}
		if again, err := p.v.definition.Restart(p.in, e.Node, env); err == nil {
			p.in = again
		}
	default:
		p.in.Node, p.in.Attempt, p.in.State = e.Node, e.Attempt, workflow.Running
		if e.Kind == EntryElapsed {
			p.in.State = workflow.Waiting
		}
		p.call(&at, e, env)
	}
	at.Context = json.RawMessage(p.in.Context)
	p.trace.Steps = append(p.trace.Steps, at)
}

// call makes the request again and applies what was recorded.
func (p *player) call(at *TracedStep, e Entry, env workflow.Env) {
	result := e.result()
	at.Failure, at.Key, p.key = result.Failure, p.key, ""
	if e.Kind == EntryStep {
		at.Response = e.Response
	}
	if e.RequestHash != 0 {
		request, err := p.v.definition.Request(p.in, env)
		at.Recomputed = err == nil && hashOf(request) == e.RequestHash
		at.Request = request
	}
	p.in, _ = p.v.definition.Advance(p.in, result, env)
}

var kindNames = map[EntryKind]string{
	EntryStarted: "started", EntryIntent: "intent", EntryStep: "step", EntryFault: "fault", EntryElapsed: "elapsed", EntrySet: "set",
}
