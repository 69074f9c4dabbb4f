package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"daybreak/market"
	"daybreak/pipeline"
	"daybreak/workflow"
)

// The acts of people on instances.
const (
	ActPause     = "pause"
	ActResume    = "resume"
	ActTerminate = "terminate"
	ActRetry     = "retry"
	ActReset     = "reset"
	ActPatch     = "patch"
	ActMove      = "move"
)

// Listed is one instance as lists show it.
type Listed struct {
	ID         string           `json:"id"`
	Household  string           `json:"household"`
	Workflow   string           `json:"workflow"`
	Version    string           `json:"version"` // hash of the definition
	Definition int              `json:"-"`
	Node       string           `json:"node"`
	State      string           `json:"state"`
	Attempt    int              `json:"attempt"`
	Due        *time.Time       `json:"due,omitempty"`
	Failure    workflow.Failure `json:"failure,omitzero"`
	Revision   int64            `json:"revision"`
	Started    time.Time        `json:"started"`
	Since      time.Time        `json:"since"`
}

// FailureGroup is instances that failed alike.
type FailureGroup struct {
	Workflow  string    `json:"workflow"`
	Node      string    `json:"node"`
	Code      string    `json:"code"`
	Signature string    `json:"signature"`
	Instances int       `json:"instances"`
	First     time.Time `json:"first"`
	Last      time.Time `json:"last"`
	Message   string    `json:"message"` // of one of them
}

// Order asks for an act on all instances that match.
type Order struct {
	Act   string
	Where string                     // the filter's text, for the record
	IDs   []string                   // of one or a few instances; none for all
	Match func(Listed) (bool, error) // nil: all
	Node  string                     // where reset goes; of a move, "" keeps the node
	To    int                        // number of the definition that a move goes to
	Patch []byte                     // JSON merge patch of the context
	Actor string
	Why   string
}

// Act is the record of an act, or of one stage of it.
type Act struct {
	ID      int64     `json:"id"`
	At      time.Time `json:"at"`
	Actor   string    `json:"actor"`
	Why     string    `json:"why"`
	Act     string    `json:"act"`
	Filter  string    `json:"filter,omitempty"`
	Detail  []byte    `json:"-"` // JSON object
	Matched int       `json:"matched"`
	Changed int       `json:"changed"`
	Stage   string    `json:"stage,omitempty"`
}

// Rewrite is a row as a person wants it: another node, context or definition.
type Rewrite struct {
	Ref
	Definition int
	Node       string
	State      string
	Resumes    string
	Packed     []byte
	Attempt    int
	Due        *time.Time
}

// ControlStore is what acts read and write.
type ControlStore interface {
	Definitions
	NextBatch(ctx context.Context) (int64, error)
	MakeDay(ctx context.Context, day market.Day) error
	// EachLive calls each for the rows of ids, or of all instances where there are none, by id; its
	// error ends the reading.
	EachLive(ctx context.Context, ids []string, each func(Listed) error) error
	LoadLive(ctx context.Context, refs []Ref) ([]Live, error)
	// Change does pause, resume, retry or terminate to the rows that are still as refs say, records
	// the act and wakes whoever must go on. It returns the rows as they are now.
	Change(ctx context.Context, act Act, refs []Ref) ([]Ref, error)
	// Rewrite does the same for reset, patch and move, with the lines of the journal that say what
	// was changed.
	Rewrite(ctx context.Context, act Act, rows []Rewrite, lines []Line) ([]Ref, error)
	// Hold keeps one instance from running on, where it has no row.
	Hold(ctx context.Context, act Act, h Hold) error
	// Release takes the hold of a node away.
	Release(ctx context.Context, act Act, node Hold) error
	FinishedByID(ctx context.Context, id string) (Finished, error)
}

// Office does the acts of people.
type Office struct {
	Store     ControlStore
	Registry  Registry
	Functions workflow.Functions
	Now       func() time.Time
	// Settle is how long a stage may take to show what comes of it; SettleEvery how often it looks.
	Settle      time.Duration
	SettleEvery time.Duration
}

// Preview is what an order would do.
type Preview struct {
	Act     string         `json:"act"`
	Matched int            `json:"matched"` // instances that the filter names
	Fits    int            `json:"fits"`    // those in a state that the act can change
	ByNode  map[string]int `json:"by_node"`
	ByState map[string]int `json:"by_state"`
	Changes []ContextDiff  `json:"changes,omitempty"` // of a patch, the first ones
	Faults  []string       `json:"faults,omitempty"`  // why the first ones can't be changed
	targets []Listed
}

// ContextDiff is the context of an instance before and after a patch.
type ContextDiff struct {
	ID     string          `json:"id"`
	Before json.RawMessage `json:"before"`
	After  json.RawMessage `json:"after"`
}

// Report is what came of an order.
type Report struct {
	Preview
	Changed int     `json:"changed"`
	Stages  []Stage `json:"stages"`
	Stopped string  `json:"stopped,omitempty"` // why the rest was left alone
}

// Stage is one part of an order: canaries first.
type Stage struct {
	Name    string `json:"name"`
	Changed int    `json:"changed"`
	Again   int    `json:"failed_again"` // with the error that they had
}

// previewMax bounds the changes and faults that a preview shows.
const previewMax = 5

// fits are the states that an act can change.
var fits = map[string][]string{
	ActPause:     {StateRunning, StateWaiting},
	ActResume:    {StatePaused},
	ActTerminate: {StateRunning, StateWaiting, StatePaused, StateFailed},
	ActRetry:     {StateFailed, StateWaiting},
	ActReset:     {StateRunning, StateWaiting, StatePaused, StateFailed},
	ActPatch:     {StateRunning, StateWaiting, StatePaused, StateFailed},
	ActMove:      {StateRunning, StateWaiting, StatePaused, StateFailed},
}

// Preview returns what an order would do, and changes nothing.
func (o Office) Preview(ctx context.Context, order Order) (Preview, error) {
	p := Preview{Act: order.Act, ByNode: map[string]int{}, ByState: map[string]int{}}
	if fits[order.Act] == nil {
		return p, fmt.Errorf("no act is called %q", order.Act)
	}
	rows, err := o.Matching(ctx, order)
	if err != nil {
		return p, err
	}
	for _, row := range rows {
		p.Matched++
		p.ByNode[row.Node]++
		p.ByState[row.State]++
		if slices.Contains(fits[order.Act], row.State) {
			p.targets = append(p.targets, row)
		}
	}
	p.Fits = len(p.targets)
	if !order.rewrites() || p.Fits == 0 {
		return p, nil
	}
	return p, o.previewRewrites(ctx, order, &p)
}

// Matching returns the instances that an order names, by id.
func (o Office) Matching(ctx context.Context, order Order) ([]Listed, error) {
	var matching []Listed
	err := o.Store.EachLive(ctx, order.IDs, func(row Listed) error {
		matches := true
		if order.Match != nil {
			var err error
			if matches, err = order.Match(row); err != nil {
				return fmt.Errorf("instance %s: %w", row.ID, err)
			}
		}
		if matches {
			matching = append(matching, row)
		}
		return nil
	})
	return matching, err
}

// rewrites reports whether an act needs the instances' contexts.
func (o Order) rewrites() bool { return o.Act == ActReset || o.Act == ActPatch || o.Act == ActMove }

// previewRewrites tries an order on the first instances.
func (o Office) previewRewrites(ctx context.Context, order Order, p *Preview) error {
	done, err := o.rewriteAll(ctx, order, p.targets[:min(len(p.targets), previewMax)])
	if err != nil {
		return err
	}
	p.Changes, p.Faults = done.diffs, done.faults
	return nil
}

// stages returns the parts of an order, canaries first: 10, a tenth, the rest. What nobody would see
// going wrong again is one part.
func stages(act string, n int) []struct {
	name string
	end  int
} {
	type part = struct {
		name string
		end  int
	}
	runsOn := act == ActRetry || act == ActResume || act == ActReset || act == ActMove
	if !runsOn || n <= canaries {
		return []part{{"all", n}}
	}
	parts := []part{{"canaries", canaries}}
	if tenth := n / 10; tenth > canaries {
		parts = append(parts, part{"tenth", tenth})
	}
	return append(parts, part{"all", n})
}

// canaries are the instances of the first stage.
const canaries = 10

// Do does an order stage by stage, and stops where an instance fails again with the error that it
// had. One instance that runs at this moment is paused or terminated at its next barrier.
func (o Office) Do(ctx context.Context, order Order) (Report, error) {
	p, err := o.Preview(ctx, order)
	r := Report{Preview: p}
	if err != nil {
		return r, err
	}
	if p.Fits == 0 {
		return r, o.hold(ctx, order, &r)
	}
	first := 0
	for _, part := range stages(order.Act, p.Fits) {
		targets := p.targets[first:part.end]
		first = part.end
		refs, err := o.change(ctx, order, targets, part.name)
		if err != nil {
			return r, err
		}
		r.Changed += len(refs)
		stage := Stage{Name: part.name, Changed: len(refs)}
		if part.end < p.Fits {
			if stage.Again, err = o.watch(ctx, targets, refs); err != nil {
				return r, err
			}
		}
		r.Stages = append(r.Stages, stage)
		if stage.Again > 0 {
			r.Stopped = fmt.Sprintf("%d of %d failed again as before", stage.Again, len(refs))
			return r, nil
		}
	}
	return r, nil
}

// hold asks the owner of an instance that has no row to stop it.
func (o Office) hold(ctx context.Context, order Order, r *Report) error {
	canHold := len(order.IDs) == 1 && r.Matched == 0 && (order.Act == ActPause || order.Act == ActTerminate)
	if !canHold {
		return nil
	}
	id := order.IDs[0]
	if _, err := o.Store.FinishedByID(ctx, id); !errors.Is(err, pipeline.ErrNotFound) {
		if err == nil {
			err = fmt.Errorf("instance %s has ended: %w", id, pipeline.ErrState)
		}
		return err
	}
	act, err := o.act(ctx, order, 1, "at its next barrier")
	if err != nil {
		return err
	}
	r.Stages = append(r.Stages, Stage{Name: act.Stage, Changed: 1})
	return o.Store.Hold(ctx, act, Hold{Instance: id, Act: order.Act, At: act.At, Actor: order.Actor, Why: order.Why})
}

// Release lets a node that was held run again, and what was paused before it.
func (o Office) Release(ctx context.Context, node Hold, actor, why string) error {
	order := Order{Act: ActResume, Where: node.Workflow + "/" + node.Node, Actor: actor, Why: why, Match: func(l Listed) (bool, error) {
		return l.Workflow == node.Workflow && l.Node == node.Node && l.State == StatePaused, nil
	}}
	act, err := o.act(ctx, order, 1, "node")
	if err != nil {
		return err
	}
	if err := o.Store.Release(ctx, act, node); err != nil {
		return err
	}
	p, err := o.Preview(ctx, order)
	if err != nil || p.Fits == 0 {
		return err
	}
	_, err = o.change(ctx, order, p.targets, "held before it")
	return err
}

// act returns the record of a part of an order.
func (o Office) act(ctx context.Context, order Order, matched int, stage string) (Act, error) {
	id, err := o.Store.NextBatch(ctx)
	if err != nil {
		return Act{}, err
	}
	detail, err := json.Marshal(map[string]any{"node": order.Node, "to": order.To, "patch": json.RawMessage(orNull(order.Patch)), "ids": order.IDs})
	if err != nil {
		return Act{}, fmt.Errorf("patch: %w", err)
	}
	return Act{ID: id, At: o.Now().UTC().Truncate(time.Microsecond), Actor: order.Actor, Why: order.Why, Act: order.Act, Filter: order.Where,
		Detail: detail, Matched: matched, Stage: stage}, nil
}

func orNull(text []byte) []byte {
	if len(text) == 0 {
		return []byte("null")
	}
	return text
}

// change does one part of an order.
func (o Office) change(ctx context.Context, order Order, targets []Listed, stage string) ([]Ref, error) {
	act, err := o.act(ctx, order, len(targets), stage)
	if err != nil {
		return nil, err
	}
	if order.rewrites() {
		return o.rewrite(ctx, order, act, targets)
	}
	refs := make([]Ref, len(targets))
	for i, t := range targets {
		refs[i] = Ref{ID: t.ID, Revision: t.Revision}
	}
	return o.Store.Change(ctx, act, refs)
}

// watch waits until the instances of a stage have moved on, and returns how many failed as before.
func (o Office) watch(ctx context.Context, before []Listed, changed []Ref) (again int, err error) {
	had := make(map[string]workflow.Failure, len(before))
	for _, l := range before {
		had[l.ID] = l.Failure
	}
	revisions, ids := make(map[string]int64, len(changed)), make([]string, len(changed))
	for i, r := range changed {
		revisions[r.ID], ids[i] = r.Revision, r.ID
	}
	end := o.Now().Add(o.Settle)
	for {
		again, waiting := 0, 0
		err := o.Store.EachLive(ctx, ids, func(row Listed) error {
			if row.Revision <= revisions[row.ID] {
				waiting++
			}
			f, b := row.Failure, had[row.ID]
			if row.State == StateFailed && b.Code != "" && f.Node == b.Node && f.Code == b.Code && f.Signature == b.Signature {
				again++
			}
			return nil
		})
		if err != nil {
			return 0, err
		}
		if waiting == 0 || again > 0 {
			return again, nil
		}
		if !o.Now().Before(end) {
			return 0, fmt.Errorf("%d canaries have not moved on after %s: is an engine running? The rest is left alone", waiting, o.Settle)
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(o.SettleEvery):
		}
	}
}
