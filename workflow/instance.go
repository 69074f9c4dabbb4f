package workflow

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// layout is where the fields of a context are. It is carried from step to step, so that a context
// is looked through once.
type layout struct {
	of    []byte // the context that it was made of
	spans []span
}

// isOf reports whether the layout was made of these very bytes.
func (l layout) isOf(context []byte) bool {
	return len(l.of) == len(context) && len(context) > 0 && &l.of[0] == &context[0]
}

// layoutOf returns the layout of an instance's context.
func (d *Definition) layoutOf(in *Instance) layout {
	if in.layout.isOf(in.Context) {
		return in.layout
	}
	return layout{in.Context, locate(in.Context, d.Context.Fields)}
}

// ErrNoNode is wrapped where a definition has no node of a name. Commands exit with 10 on it.
var ErrNoNode = errors.New("no such node")

// Error returns the code with the message, so that a failure is an error.
func (f Failure) Error() string { return f.Code + ": " + f.Message }

// newFailure returns a failure with the signature of its message.
func newFailure(node, code, message string) Failure {
	const messageMax = 2_000
	message = clipText(strings.ToValidUTF8(message, "?"), messageMax)
	return Failure{node, code, Signature(message), message}
}

// FailureOf returns an error as a failure of a node, for Result: a Failure inside keeps its code,
// any other error gets the one given.
func FailureOf(err error, node, code string) Failure {
	var f Failure
	if errors.As(err, &f) {
		code = f.Code
		if f.Node != "" {
			node = f.Node
		}
		return newFailure(node, code, f.Message)
	}
	return newFailure(node, code, err.Error())
}

// Signature returns a message without what differs between like failures: words with digits, and
// what is in quotes.
func Signature(message string) string {
	const signatureMax = 160
	var words []string
	isQuoted := false
	for _, word := range strings.Fields(message) {
		quotes := strings.Count(word, `"`)
		switch {
		case isQuoted:
			isQuoted = quotes%2 == 0
			continue
		case quotes > 0:
			isQuoted = quotes%2 == 1
			word = `"…"`
		case strings.ContainsAny(word, "0123456789"):
			word = "#"
		}
		if len(words) == 0 || word != "#" || words[len(words)-1] != "#" {
			words = append(words, word)
		}
	}
	return clipText(strings.Join(words, " "), signatureMax)
}

// Begin returns an instance at the definition's start: id, household and context are taken from in.
// It returns ErrValue, wrapped, where the context lacks what the definition requires. A start that
// is a wait may leave the instance Failed.
func (d *Definition) Begin(in Instance, env Env) (Instance, error) {
	context, err := d.Context.Canonical(in.Context)
	if err != nil {
		return in, fmt.Errorf("context: %w", err)
	}
	if len(context) > ContextMax {
		return in, fmt.Errorf("context: %d bytes, at most %d: %w", len(context), ContextMax, ErrValue)
	}
	begun := Instance{ID: in.ID, Household: in.Household, Workflow: d.Hash, Context: context, Deadline: in.Deadline}
	if begun.Deadline.IsZero() && d.Timeout > 0 {
		begun.Deadline = env.Now.Add(d.Timeout)
	}
	return d.Restart(begun, d.Start, env)
}

// Restart returns the instance at a node as if it had just come there: at its own node to try again
// now, at another one to reset it. It returns ErrNoNode, wrapped, for a node that is not there.
func (d *Definition) Restart(in Instance, node string, env Env) (Instance, error) {
	if d.node(node) == nil {
		return in, fmt.Errorf("%s: %w", node, ErrNoNode)
	}
	in.Failure = Failure{}
	m := &move{d: d, in: in, v: d.variables(&in, &env)}
	m.v.in = &m.in
	if f := m.enter(node, 0); f.Code != "" {
		m.fail(f)
	}
	return m.in, nil
}

// Patch returns the instance with another context, or ErrValue, wrapped, where it is not of the
// definition's type.
func (d *Definition) Patch(in Instance, context []byte) (Instance, error) {
	canonical, err := d.Context.Canonical(context)
	if err != nil {
		return in, fmt.Errorf("context: %w", err)
	}
	if len(canonical) > ContextMax {
		return in, fmt.Errorf("context: %d bytes, at most %d: %w", len(canonical), ContextMax, ErrValue)
	}
	in.Context, in.layout = canonical, layout{}
	return in, nil
}

// CheckMove is CheckParked: what keeps an instance that stands at a node of another version from
// going on in this one. No problem is there where its node is there and is of the same type, its
// context has the new type, and all that can be read from there on is set.
func (d *Definition) CheckMove(in Instance) []Problem {
	report := func(reason, remedy string) []Problem {
		return []Problem{{CheckParked, Fault, 1, 1, in.Node, fmt.Sprintf("instance %s: %s", in.ID, reason), remedy}}
	}
	n := d.node(in.Node)
	if n == nil {
		return report(fmt.Sprintf("the node %s is not there any more", in.Node), "keep the node, or reset the instance to another one")
	}
	if isWaiting := in.State == Waiting && in.Attempt == 0; isWaiting && n.Type != Wait {
		return report(fmt.Sprintf("it waits at %s, which is no wait any more", in.Node), "keep the wait, or reset the instance to another node")
	}
	relaxed := *d.Context
	relaxed.Fields = slices.Clone(d.Context.Fields)
	for i := range relaxed.Fields {
		relaxed.Fields[i].Required = false
	}
	if _, err := relaxed.Canonical(in.Context); err != nil {
		return report(err.Error(), "patch its context, or keep the field's type")
	}
	return d.checkSet(in, n, report)
}

// checkSet reports a field that is read at or after a node, that no node on the way there assigns
// and that the instance's context lacks.
func (d *Definition) checkSet(in Instance, from *Node, report func(reason, remedy string) []Problem) []Problem {
	set := map[string]bool{}
	o := object{t: d.Context, raw: in.Context}
	for i, f := range d.Context.Fields {
		set[f.Name] = o.has(i)
	}
	p := &parser{shape: newShape(nil), d: d, at: map[string]place{}}
	p.checkContextFrom(from.Name, set)
	if len(p.problems) == 0 {
		return nil
	}
	return report(p.problems[0].Reason, "patch its context with the field, or reset the instance to a node before")
}

// variables are what the expressions of an instance see.
func (d *Definition) variables(in *Instance, env *Env) *variables {
	l := d.layoutOf(in)
	in.layout = l
	return &variables{ctx: object{t: d.Context, raw: in.Context, spans: l.spans}, in: in, env: env, def: d}
}

// delay returns how long a retrier waits before an attempt, counted from 1: its interval, times its
// rate for each attempt before, at most its longest.
func (r *Retrier) delay(attempt int) time.Duration {
	most, now := r.MaxDelay, r.Interval
	if r.Rate.IsZero() {
		return min(now, most)
	}
	const perMille = 1_000
	rate := time.Duration(r.Rate.Big().Int64() / (1_000_000_000_000 / perMille))
	for range attempt - 1 {
		if now >= most {
			break
		}
		now = now / perMille * rate
	}
	return min(now, most)
}

// delayFor returns the delay of an instance: with jitter a part of it that its id, node and attempt
// fix, so that a replay waits as long.
func (r *Retrier) delayFor(in *Instance) time.Duration {
	d := r.delay(in.Attempt)
	if !r.Jitter {
		return d
	}
	const parts = 1_000
	share := time.Duration(hashOf(in.ID, in.Node, fmt.Sprint(in.Attempt))%parts + 1)
	return d / parts * share
}

// hashOf returns a number that texts fix: FNV-1a over them with a zero byte after each.
func hashOf(texts ...string) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for _, text := range texts {
		for i := range len(text) {
			h = (h ^ uint64(text[i])) * prime
		}
		h *= prime
	}
	return h
}
