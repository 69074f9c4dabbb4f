package workflow

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Request returns the request of the call that an instance stands at, as canonical JSON. Its error
// is a Failure, to be given to Advance.
func (d *Definition) Request(in Instance, env Env) (request []byte, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			request, err = nil, newFailure(in.Node, CodePanic, fmt.Sprint(cause))
		}
	}()
	n := d.node(in.Node)
	if n == nil || n.Type != Call {
		return nil, newFailure(in.Node, CodeBadState, "the instance stands at no call")
	}
	v := d.variables(&in, &env)
	b := make([]byte, 0, 256)
	b = append(b, '{')
	for i := range n.Arguments {
		a := &n.Arguments[i]
		raw, err := a.json(v)
		if errors.Is(err, errUnset) && !n.Action.Request.Fields[a.to].Required {
			continue
		}
		if err != nil {
			return nil, newFailure(in.Node, CodeExpression, fmt.Sprintf("argument %s: %v", a.Field, err))
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(append(b, a.prefix...), raw...)
	}
	return append(b, '}'), nil
}

// Key returns the idempotency key of the write that an instance stands at, "" at a call that needs
// none. Its error is a Failure.
func (d *Definition) Key(in Instance, env Env) (key string, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			key, err = "", newFailure(in.Node, CodePanic, fmt.Sprint(cause))
		}
	}()
	n := d.node(in.Node)
	if n == nil || n.IdempotencyKey == nil {
		return "", nil
	}
	out, err := n.IdempotencyKey.eval(d.variables(&in, &env))
	if err != nil {
		return "", newFailure(in.Node, CodeExpression, fmt.Sprintf("idempotency_key: %v", err))
	}
	key, ok := out.Value().(string)
	if !ok || key == "" {
		return "", newFailure(in.Node, CodeExpression, "idempotency_key: it is empty")
	}
	return key, nil
}

// Advance applies what happened at the instance's node: the response changes the context and takes
// a transition, a failure is tried again, caught, or leaves the instance Failed, a wait that is over
// goes on. It decides from its arguments alone and never panics: what goes wrong here is a failure
// of the instance. The step is what the journal keeps.
func (d *Definition) Advance(in Instance, r Result, env Env) (next Instance, step Step) {
	step = Step{Node: in.Node, Attempt: in.Attempt, At: env.Now, Request: r.Request, Response: r.Response}
	defer func() {
		if cause := recover(); cause != nil {
			m := &move{d: d, in: in}
			m.fail(newFailure(in.Node, CodePanic, fmt.Sprint(cause)))
			next, step.Outcome, step.Failure, step.Next, step.Due = m.in, Failing, m.in.Failure, in.Node, time.Time{}
		}
	}()
	m := &move{d: d, in: in}
	m.in.Steps++
	m.v = d.variables(&m.in, &env)
	step.Outcome, step.Failure = m.apply(r)
	if step.Outcome == Refused {
		step.Next = in.Node
		return in, step
	}
	if step.Outcome == Failing {
		m.fail(step.Failure)
	}
	step.Next, step.Due = m.in.Node, m.in.Due
	return m.in, step
}

// move is one advance of an instance.
type move struct {
	d  *Definition
	in Instance
	v  *variables
}

// fail leaves the instance Failed where it stands.
func (m *move) fail(f Failure) {
	m.in.State, m.in.Failure, m.in.Due = Failed, f, time.Time{}
}

func (m *move) failure(code, format string, args ...any) Failure {
	return newFailure(m.in.Node, code, fmt.Sprintf(format, args...))
}

// apply returns what a result came to.
func (m *move) apply(r Result) (Outcome, Failure) {
	n := m.d.node(m.in.Node)
	if n == nil || n.Type == Terminal || m.in.State != Running && m.in.State != Waiting {
		return Refused, m.failure(CodeBadState, "no result is due")
	}
	if m.in.Steps > StepsMax {
		return Failing, m.failure(CodeStepsMax, "more than %d steps", StepsMax)
	}
	isAtWait, isElapsed := n.Type == Wait, r.Elapsed && r.Failure.Code == ""
	switch {
	case isAtWait != isElapsed && r.Failure.Code == "" && !(m.in.State == Waiting && isElapsed):
		return Refused, m.failure(CodeBadState, "another kind of result is due")
	case isElapsed && !isAtWait:
		m.in.State, m.in.Due = Running, time.Time{}
		return Resumed, m.overdue()
	case r.Failure.Code != "":
		return m.failed(n, newFailure(n.Name, r.Failure.Code, r.Failure.Message))
	case !isAtWait:
		if f := m.respond(n, r.Response); f.Code != "" {
			return m.failed(n, f)
		}
	}
	return m.follow(n)
}

// respond applies a response to the context.
func (m *move) respond(n *Node, response []byte) Failure {
	if len(response) > ResponseMax {
		return m.failure(CodeBadResponse, "the response has %d bytes, at most %d", len(response), ResponseMax)
	}
	canonical, err := n.Action.Response.Canonical(response)
	if err != nil {
		return m.failure(CodeBadResponse, "%v", err)
	}
	m.v.out = object{t: n.Action.Response, raw: canonical}
	if len(n.Assign) == 0 {
		return Failure{}
	}
	values := make([][]byte, len(m.d.Context.Fields))
	for i := range n.Assign {
		a := &n.Assign[i]
		if values[a.to], err = a.json(m.v); err != nil {
			return m.failure(CodeExpression, "assign %s: %v", a.Field, err)
		}
	}
	return m.assign(values)
}

// assign makes the context anew, with the values that are given and those that it had.
func (m *move) assign(values [][]byte) Failure {
	fields := m.d.Context.Fields
	size := len(m.in.Context) + 2
	for i, raw := range values {
		size += len(raw) + len(fields[i].Name) + 4
	}
	if size > ContextMax {
		return m.failure(CodeContextTooBig, "the context would have %d bytes, at most %d", size, ContextMax)
	}
	old := m.v.ctx.spans
	b := append(make([]byte, 0, size), '{')
	spans := make([]span, len(fields))
	for i, raw := range values {
		if raw == nil && old[i].isSet() {
			raw = old[i].of(m.in.Context)
		}
		if raw == nil {
			continue
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(append(append(b, '"'), fields[i].Name...), '"', ':')
		spans[i].from = int32(len(b))
		b = append(b, raw...)
		spans[i].to = int32(len(b))
	}
	m.in.Context = append(b, '}')
	m.in.layout = layout{m.in.Context, spans}
	m.v.ctx = object{t: m.d.Context, raw: m.in.Context, spans: spans}
	return Failure{}
}

// follow takes the first transition of a node that holds.
func (m *move) follow(n *Node) (Outcome, Failure) {
	to := n.Default
	for i := range n.Choices {
		holds, err := n.Choices[i].Condition.holds(m.v)
		if err != nil {
			return m.failed(n, m.failure(CodeExpression, "condition %s: %v", n.Choices[i].Condition.Text, err))
		}
		if holds {
			to = n.Choices[i].Next
			break
		}
	}
	if to == "" {
		return m.failed(n, m.failure(CodeExpression, "no choice holds"))
	}
	if f := m.enter(to, 0); f.Code != "" {
		return Failing, f
	}
	return Moved, Failure{}
}

// isOwn reports whether a code is of a failure that trying again would repeat.
func isOwn(code string) bool {
	return slices.Contains([]string{
		CodeExpression, CodeContextTooBig, CodeBadContext, CodeStepsMax, CodeDeadline, CodeWaitPast, CodeWaitTooLong,
	}, code)
}

// failed tries a failure again, catches it, or leaves it.
func (m *move) failed(n *Node, f Failure) (Outcome, Failure) {
	for i := range n.Retry {
		r := &n.Retry[i]
		if isOwn(f.Code) || !covers(r.Codes, f.Code) {
			continue
		}
		due := m.v.env.Now.Add(r.delayFor(&m.in))
		if m.in.Attempt > r.MaxAttempts || !m.in.Deadline.IsZero() && !due.Before(m.in.Deadline) {
			break
		}
		m.in.State, m.in.Due, m.in.Failure = Waiting, due, f
		m.in.Attempt++
		return Retried, f
	}
	if to := caughtBy(n, f.Code); to != "" {
		if g := m.enter(to, 0); g.Code != "" {
			return Failing, g
		}
		return Caught, f
	}
	return Failing, f
}

// covers reports whether codes name a code.
func covers(codes []string, code string) bool {
	return slices.Contains(codes, code) || slices.Contains(codes, CodeAll)
}

// caughtBy returns where a node sends failures with a code, "" for nowhere.
func caughtBy(n *Node, code string) string {
	for _, c := range n.Catch {
		if covers(c.Codes, code) {
			return c.Next
		}
	}
	return ""
}

// enter brings the instance to a node. It returns the failure that leaves it there: a deadline that
// has passed, a wait that cannot be, or an end that fails.
func (m *move) enter(to string, depth int) Failure {
	n := m.d.node(to)
	m.in.Node, m.in.Attempt, m.in.Due, m.in.Failure = to, 0, time.Time{}, Failure{}
	switch {
	case n.Type == Terminal && n.Status == Succeeded:
		m.in.State = Done
		return Failure{}
	case n.Type == Terminal:
		return m.failure(n.Error, "%s", n.Cause)
	}
	m.in.State = Running
	if n.Type == Call {
		m.in.Attempt = 1
		return m.overdue()
	}
	f := m.wait(n)
	if to := caughtBy(n, f.Code); f.Code != "" && to != "" && depth < graphMax {
		return m.enter(to, depth+1)
	}
	return f
}

// overdue returns the failure of an instance whose deadline has passed.
func (m *move) overdue() Failure {
	if m.in.Deadline.IsZero() || m.v.env.Now.Before(m.in.Deadline) {
		return Failure{}
	}
	return m.failure(CodeDeadline, "the deadline %s has passed", m.in.Deadline.UTC().Format(time.RFC3339))
}

// wait begins a wait.
func (m *move) wait(n *Node) Failure {
	if f := m.overdue(); f.Code != "" {
		return f
	}
	now := m.v.env.Now
	out, err := n.Until.eval(m.v)
	if err != nil {
		return m.failure(CodeExpression, "until: %v", err)
	}
	due, ok := out.Value().(time.Time)
	switch {
	case !ok:
		return m.failure(CodeExpression, "until: no instant")
	case due.Before(now) && n.Past == PastFail:
		return m.failure(CodeWaitPast, "%s has passed", due.UTC().Format(time.RFC3339))
	case n.MaxWait > 0 && due.Sub(now) > n.MaxWait:
		return m.failure(CodeWaitTooLong, "until %s, longer than %s", due.UTC().Format(time.RFC3339), n.MaxWait)
	case !m.in.Deadline.IsZero() && due.After(m.in.Deadline):
		return m.failure(CodeDeadline, "the wait until %s ends after the deadline", due.UTC().Format(time.RFC3339))
	case due.Before(now):
		due = now
	}
	m.in.State, m.in.Due = Waiting, due
	return Failure{}
}
