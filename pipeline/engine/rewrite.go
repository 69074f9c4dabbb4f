package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"daybreak/market"
	"daybreak/workflow"
)

// rewritten is a part of an order that needs contexts, ready to be stored.
type rewritten struct {
	rows   []Rewrite
	pages  []*page // of the journal, by definition
	diffs  []ContextDiff
	faults []string
}

// rewritePageMax bounds the contexts in memory.
const rewritePageMax = 1_000

// rewrite does a part of an order of reset, patch or move. An instance that it would break is left
// alone.
func (o Office) rewrite(ctx context.Context, order Order, act Act, targets []Listed) ([]Ref, error) {
	day := market.DayOf(act.At)
	if err := o.Store.MakeDay(ctx, day); err != nil {
		return nil, err
	}
	var changed []Ref
	for first := 0; first < len(targets); first += rewritePageMax {
		part := targets[first:min(first+rewritePageMax, len(targets))]
		if first > 0 { // each part is an act of its own, with its lines of the journal
			var err error
			if act, err = o.act(ctx, order, len(part), act.Stage); err != nil {
				return changed, err
			}
		}
		act.Matched = len(part)
		done, err := o.rewriteAll(ctx, order, part)
		if err != nil {
			return changed, err
		}
		var lines []Line
		for _, p := range done.pages {
			lines = append(lines, Line{Day: day, Batch: act.ID, Line: len(lines), LastOffset: -1, Definition: p.v.number, Worker: act.Actor,
				At: act.At, Instances: p.instances, Body: p.v.coder.compress(p.body)})
		}
		refs, err := o.Store.Rewrite(ctx, act, done.rows, lines)
		if err != nil {
			return changed, err
		}
		changed = append(changed, refs...)
	}
	return changed, nil
}

// rewriteAll computes what an order makes of instances, and stores nothing.
func (o Office) rewriteAll(ctx context.Context, order Order, targets []Listed) (rewritten, error) {
	var done rewritten
	refs := make([]Ref, len(targets))
	for i, t := range targets {
		refs[i] = Ref{ID: t.ID, Revision: t.Revision}
	}
	rows, err := o.Store.LoadLive(ctx, refs)
	if err != nil {
		return done, err
	}
	e := &Engine{Config: Config{Now: o.Now, Functions: o.Functions}, versions: newVersions(o.Store, o.Registry)}
	for _, row := range rows {
		f, err := e.flightOf(ctx, row)
		if err != nil {
			return done, err
		}
		before := f.in.Context
		f.now = o.Now().UTC().Truncate(time.Microsecond)
		if fault := o.apply(ctx, e, order, f); fault != nil {
			if len(done.faults) < previewMax {
				done.faults = append(done.faults, fmt.Sprintf("%s: %v", row.ID, fault))
			}
			continue
		}
		if order.Act == ActPatch && len(done.diffs) < previewMax {
			done.diffs = append(done.diffs, ContextDiff{ID: row.ID, Before: before, After: f.in.Context})
		}
		done.add(f, row)
	}
	return done, nil
}

// apply does an order to one instance; its error says why it can't be done.
func (o Office) apply(ctx context.Context, e *Engine, order Order, f *flight) error {
	switch order.Act {
	case ActPatch:
		patched, err := mergePatch(f.in.Context, order.Patch)
		if err != nil {
			return err
		}
		f.in, err = f.v.definition.Patch(f.in, patched)
		return err
	case ActMove:
		return o.move(ctx, e, order, f)
	}
	var err error
	f.in, err = f.v.definition.Restart(f.in, order.Node, f.env(e))
	return err
}

// move brings an instance into another version: at its node, or at one that the order names. One
// that waits or has failed stays so.
func (o Office) move(ctx context.Context, e *Engine, order Order, f *flight) error {
	v, err := e.versions.runnable(ctx, order.To)
	if err != nil {
		return err
	}
	if v.definition.Name != f.v.definition.Name {
		return fmt.Errorf("it is of workflow %s, the version of %s", f.v.definition.Name, v.definition.Name)
	}
	moved := f.in
	if order.Node != "" {
		moved.Node, moved.State = order.Node, workflow.Running
	}
	for _, p := range v.definition.CheckMove(moved) {
		if p.Severity == workflow.Fault {
			return fmt.Errorf("%s: %s", p.Reason, p.Remedy)
		}
	}
	if f.parsed, err = v.definition.ParseParams(f.params); err != nil {
		return err
	}
	f.v, f.in.Workflow = v, v.definition.Hash
	if order.Node == "" {
		return nil
	}
	f.in, err = v.definition.Restart(f.in, order.Node, f.env(e))
	return err
}

// add notes a row that was rewritten. A pause stays: it is taken back by a resume alone.
func (r *rewritten) add(f *flight, row Live) {
	after := Rewrite{Ref: Ref{ID: row.ID, Revision: row.Revision}, Definition: f.v.number, Node: f.in.Node, Attempt: f.in.Attempt,
		Packed: f.v.coder.pack(state{params: f.params, context: f.in.Context}), State: stateNames[f.in.State], Due: row.Due}
	switch f.in.State {
	case workflow.Waiting:
		due := f.in.Due
		after.Due = &due
	case workflow.Running:
		due := f.now
		after.Due = &due
	}
	if row.State == StatePaused {
		after.State, after.Resumes = StatePaused, after.State
		if f.in.State == workflow.Paused { // untouched but for its context or version
			after.Resumes = row.Resumes
		}
	}
	r.rows = append(r.rows, after)
	entry := Entry{Kind: EntrySet, Instance: row.ID, Node: f.in.Node, Attempt: f.in.Attempt, At: f.now, Next: f.in.Node, Context: f.in.Context}
	for _, p := range r.pages {
		if p.v == f.v {
			p.body, p.instances = appendEntry(p.body, &entry), p.instances+1
			return
		}
	}
	r.pages = append(r.pages, &page{v: f.v, body: appendEntry(nil, &entry), instances: 1})
}

// mergePatch applies a JSON merge patch (RFC 7396) to an object.
func mergePatch(target, patch []byte) ([]byte, error) {
	var change map[string]json.RawMessage
	if err := json.Unmarshal(patch, &change); err != nil || change == nil {
		return nil, fmt.Errorf("a patch is a JSON object: %w", orSyntax(err))
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(target, &fields); err != nil || fields == nil {
		fields = map[string]json.RawMessage{} // RFC 7396: what is no object counts as an empty one
	}
	for name, value := range change {
		if string(value) == "null" {
			delete(fields, name)
			continue
		}
		var inner map[string]json.RawMessage
		if json.Unmarshal(value, &inner) != nil {
			fields[name] = value
			continue
		}
		merged, err := mergePatch(fields[name], value)
		if err != nil {
			return nil, err
		}
		fields[name] = merged
	}
	return json.Marshal(fields)
}

func orSyntax(err error) error {
	if err == nil {
		return errNoObject
	}
	return err
}

var errNoObject = fmt.Errorf("it is null")
