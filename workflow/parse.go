package workflow

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"daybreak/money"
)

// The bounds of a document.
const (
	documentMax = 1 << 20
	graphMax    = 200 // nodes
	choicesMax  = 20
	retriersMax = 10
	attemptsMax = 100
	secondsMax  = 400 * 24 * 3600
)

// parser reads one document.
type parser struct {
	*shape
	actions Actions
	d       *Definition
	at      map[string]place // of nodes, by name
}

// place is where the parts of a node are in the document.
type place struct {
	name   int // offset of its name
	fields map[string]int
}

// of returns the offset of a field, or of the node's name where it has none.
func (p place) of(field string) int {
	if at, ok := p.fields[field]; ok {
		return at
	}
	return p.name
}

// Parse reads a definition and runs all checks but CheckParked. Problems come in order of their
// place; where any of them is a fault the definition is nil. It never panics.
func Parse(data []byte, actions Actions) (*Definition, []Problem) {
	p := &parser{shape: newShape(data), actions: actions, d: &Definition{index: map[string]int{}}, at: map[string]place{}}
	p.parse(data)
	problems := sortProblems(p.problems)
	if HasFault(problems) {
		return nil, problems
	}
	return p.d, problems
}

func (p *parser) parse(data []byte) {
	if len(data) > documentMax {
		p.report(CheckShape, 0, fmt.Sprintf("the document has %d bytes", len(data)), fmt.Sprintf("write at most %d", documentMax))
		return
	}
	tree, duplicates, err := readTree(data)
	if err != nil {
		var syntax *syntaxError
		errors.As(err, &syntax)
		p.report(CheckShape, min(syntax.at, len(data)), syntax.reason, "write one JSON object")
		return
	}
	for _, m := range duplicates {
		p.report(CheckReferences, m.at, fmt.Sprintf("%q is there twice", clip([]byte(m.name))), "leave one out")
	}
	if !p.want(tree, "the document", kindObject) {
		return
	}
	p.top(tree)
	if len(p.problems) > 0 {
		return // what follows would only repeat them
	}
	p.d.Canonical = appendCanonical(nil, tree)
	sum := sha256.Sum256(p.d.Canonical)
	p.d.Hash = hex.EncodeToString(sum[:])
	p.compile(tree)
	p.checkGraph()
	p.checkContext()
}

// top reads the fields of the document and its nodes, but no expressions.
func (p *parser) top(v *value) {
	d := p.d
	p.fields(v, "the document", "$schema name comment start_at timeout_seconds context params nodes", "name start_at context nodes")
	p.text(v.find("$schema"), "$schema", nil)
	d.Name = p.text(v.find("name"), "name", namePattern)
	d.Comment = p.text(v.find("comment"), "comment", nil)
	d.Start = p.text(v.find("start_at"), "start_at", nodePattern)
	d.Timeout = seconds(p.integer(v.find("timeout_seconds"), "timeout_seconds", 1, secondsMax, 0))
	if d.Context = p.typeOf(v.find("context"), "context", 0); d.Context != nil && d.Context.Kind != Object {
		p.report(CheckShape, v.find("context").at, "context is no object with properties", "make it one")
		d.Context = nil
	}
	if d.Context != nil {
		closed := *d.Context
		closed.Closed = true
		d.Context = &closed
	}
	p.params(v.find("params"))
	if nodes := v.find("nodes"); p.want(nodes, "nodes", kindObject) {
		p.nodes(nodes)
	}
	if v.find("start_at") != nil && d.Start != "" && d.node(d.Start) == nil && len(d.Nodes) > 0 {
		p.report(CheckReferences, v.find("start_at").at, fmt.Sprintf("start_at names %q, which is no node", d.Start), p.nodeNames())
	}
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

// node returns a node by its name, or nil.
func (d *Definition) node(name string) *Node {
	if i, ok := d.index[name]; ok {
		return &d.Nodes[i]
	}
	return nil
}

// Node returns a node by its name.
func (d *Definition) Node(name string) (Node, bool) {
	n := d.node(name)
	if n == nil {
		return Node{}, false
	}
	return *n, true
}

func (p *parser) nodeNames() string {
	var names []string
	for _, n := range p.d.Nodes {
		names = append(names, n.Name)
	}
	return clipText("the nodes are "+strings.Join(names, ", "), 200)
}

// clipText shortens a text for a message.
func clipText(s string, most int) string {
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

func (p *parser) params(v *value) {
	if !p.want(v, "params", kindObject) {
		return
	}
	if len(v.members) > fieldsMax {
		p.report(CheckShape, v.at, fmt.Sprintf("params has more than %d properties", fieldsMax), "group them")
		return
	}
	for _, m := range v.members {
		what := "params." + clip([]byte(m.name))
		if !nodePattern.MatchString(m.name) {
			p.report(CheckShape, m.at, what+" is no name of a parameter", "write a name that matches "+nodePattern.String())
			continue
		}
		if !p.want(m.value, what, kindObject) {
			continue
		}
		p.fields(m.value, what, "type default", "type default")
		t := p.typeOf(m.value.find("type"), what+".type", 0)
		otherwise := m.value.find("default")
		if t == nil || otherwise == nil {
			continue
		}
		p.param(m, t, otherwise)
	}
	slices.SortStableFunc(p.d.Params, func(a, b Param) int { return strings.Compare(a.Name, b.Name) })
}

func (p *parser) param(m member, t *Type, otherwise *value) {
	if t.Kind == List || t.Kind == Object || t.Kind == Map {
		p.report(CheckTypes, m.at, fmt.Sprintf("params.%s is a %s", m.name, t), "write a string, integer, boolean, decimal, date or date-time")
		return
	}
	param := Param{Name: m.name, Comment: t.Comment, Type: t, Default: appendCanonical(nil, otherwise)}
	if err := t.check(param.Default); err != nil {
		p.report(CheckTypes, otherwise.at, fmt.Sprintf("the default of params.%s is no %s", m.name, t), "write a value of its type")
		return
	}
	param.value = decode(t, param.Default)
	p.d.Params = append(p.d.Params, param)
}

func (p *parser) nodes(v *value) {
	if len(v.members) == 0 || len(v.members) > graphMax {
		p.report(CheckShape, v.at, fmt.Sprintf("nodes has %d members", len(v.members)), fmt.Sprintf("write from 1 to %d", graphMax))
		return
	}
	for _, m := range v.members {
		if !nodePattern.MatchString(m.name) {
			p.report(CheckShape, m.at, fmt.Sprintf("%q is no name of a node", clip([]byte(m.name))), "write a name that matches "+nodePattern.String())
			continue
		}
		p.shape.node = m.name
		if !p.want(m.value, "the node", kindObject) {
			continue
		}
		where := place{m.at, map[string]int{}}
		for _, f := range m.value.members {
			where.fields[f.name] = f.value.at
		}
		p.at[m.name] = where
		p.d.Nodes = append(p.d.Nodes, p.readNode(m))
	}
	p.shape.node = ""
	slices.SortStableFunc(p.d.Nodes, func(a, b Node) int { return strings.Compare(a.Name, b.Name) })
	for i := range p.d.Nodes {
		p.d.index[p.d.Nodes[i].Name] = i
	}
	for _, m := range v.members {
		p.shape.node = m.name
		p.references(m.value)
	}
	p.shape.node = ""
}

func (p *parser) readNode(m member) Node {
	v := m.value
	n := Node{Name: m.name, Comment: p.text(v.find("comment"), "comment", nil)}
	n.Line, _ = p.place(m.at)
	if v.find("type") == nil {
		p.fields(v, "a node", "type", "type")
		return n
	}
	switch p.oneOf(v.find("type"), "type", "call", "wait", "terminal") {
	case "call":
		n.Type = Call
		p.call(v, &n)
	case "wait":
		n.Type = Wait
		p.wait(v, &n)
	case "terminal":
		n.Type = Terminal
		p.terminal(v, &n)
	}
	return n
}

func (p *parser) call(v *value, n *Node) {
	p.fields(v, "a call", "type comment action arguments assign idempotency_key next choices default retry catch timeout_seconds max_concurrency max_per_second max_batch", "type action")
	name := p.text(v.find("action"), "action", actionPattern)
	if name != "" {
		action, ok := p.actions.Action(name)
		if !ok {
			p.report(CheckReferences, v.find("action").at, fmt.Sprintf("there is no action %q", name), "write one of the registry: `daybreak workflow list --actions` has them")
		}
		n.Action = action
	}
	p.expressions(v, "arguments")
	p.expressions(v, "assign")
	p.expressionText(v.find("idempotency_key"), "idempotency_key")
	p.transitions(v, n)
	p.retriers(v.find("retry"), n)
	n.Timeout = seconds(p.integer(v.find("timeout_seconds"), "timeout_seconds", 1, timeoutMax, 0))
	n.MaxConcurrency = p.integer(v.find("max_concurrency"), "max_concurrency", 1, 1_000_000, 0)
	n.MaxPerSecond = p.integer(v.find("max_per_second"), "max_per_second", 1, 1_000_000, 0)
	n.MaxBatch = p.integer(v.find("max_batch"), "max_batch", 1, bulkMax, 0)
	p.bounds(v, n)
}

// bounds fills what a call leaves to its action and refuses what goes beyond it.
func (p *parser) bounds(v *value, n *Node) {
	if n.Action.Name == "" {
		return
	}
	if n.Timeout > n.Action.Timeout {
		p.report(CheckReferences, v.find("timeout_seconds").at, fmt.Sprintf("the action %s takes at most %d seconds", n.Action.Name, int(n.Action.Timeout.Seconds())), "write no more")
	}
	if n.Timeout == 0 {
		n.Timeout = n.Action.Timeout
	}
	if n.MaxBatch > n.Action.Bulk {
		p.report(CheckReferences, v.find("max_batch").at, fmt.Sprintf("the action %s takes at most %d instances a call", n.Action.Name, n.Action.Bulk), "write no more")
	}
	if n.MaxBatch == 0 {
		n.MaxBatch = n.Action.Bulk
	}
}

func (p *parser) wait(v *value, n *Node) {
	p.fields(v, "a wait", "type comment until past max_seconds next choices default catch", "type until")
	p.expressionText(v.find("until"), "until")
	n.Past = map[string]Past{"continue": PastContinue, "fail": PastFail}[p.optional(v.find("past"), "past", "continue", "fail")]
	n.MaxWait = seconds(p.integer(v.find("max_seconds"), "max_seconds", 1, secondsMax, 0))
	p.transitions(v, n)
}

// optional is oneOf for a field that may be absent.
func (p *parser) optional(v *value, what string, options ...string) string {
	if v == nil {
		return ""
	}
	return p.oneOf(v, what, options...)
}

func (p *parser) terminal(v *value, n *Node) {
	p.fields(v, "an end", "type comment status error cause", "type status")
	n.Status = map[string]Status{"succeeded": Succeeded, "failed": EndsFailed}[p.oneOf(v.find("status"), "status", "succeeded", "failed")]
	n.Error = p.text(v.find("error"), "error", codePattern)
	n.Cause = p.text(v.find("cause"), "cause", nil)
	if n.Status == Succeeded && (v.find("error") != nil || v.find("cause") != nil) {
		p.report(CheckShape, v.at, "an end that succeeded has an error or a cause", "leave it out")
	}
	if n.Status == EndsFailed && v.find("error") == nil {
		p.report(CheckShape, v.at, "an end that failed lacks error", "add error, a code in capitals")
	}
}

func (p *parser) transitions(v *value, n *Node) {
	next := v.find("next")
	if next != nil && (v.find("choices") != nil || v.find("default") != nil) {
		p.report(CheckShape, next.at, "the node has next beside choices or default", "write next alone, or choices with a default")
	}
	if next == nil && v.find("choices") == nil {
		p.report(CheckShape, v.at, "the node says not where to go on", "add next, or choices with a default")
	}
	if n.Default = p.text(next, "next", nodePattern); next == nil {
		n.Default = p.text(v.find("default"), "default", nodePattern)
	}
	if choices := v.find("choices"); choices != nil {
		for _, c := range p.list(choices, "choices", 1, choicesMax) {
			if p.want(c, "a choice", kindObject) {
				p.fields(c, "a choice", "condition next", "condition next")
				p.expressionText(c.find("condition"), "condition")
				n.Choices = append(n.Choices, Choice{Next: p.text(c.find("next"), "next", nodePattern)})
			}
		}
	}
	if catch := v.find("catch"); catch != nil {
		for _, c := range p.list(catch, "catch", 1, retriersMax) {
			if p.want(c, "a catcher", kindObject) {
				p.fields(c, "a catcher", "error_equals next", "error_equals next")
				n.Catch = append(n.Catch, Catcher{p.codes(c), p.text(c.find("next"), "next", nodePattern)})
			}
		}
	}
}

func (p *parser) codes(v *value) []string {
	if v.find("error_equals") == nil {
		return nil
	}
	return p.texts(v.find("error_equals"), "error_equals", codePattern, choicesMax)
}

// ratePattern is of a backoff rate: from 1 to 10 with two places.
var ratePattern = regexp.MustCompile(`^([1-9](\.[0-9]{1,2})?|10)$`)

func (p *parser) retriers(v *value, n *Node) {
	if v == nil {
		return
	}
	for _, r := range p.list(v, "retry", 1, retriersMax) {
		if !p.want(r, "a retrier", kindObject) {
			continue
		}
		p.fields(r, "a retrier", "error_equals max_attempts interval_seconds backoff_rate max_delay_seconds jitter_strategy", "error_equals")
		retrier := Retrier{
			Codes:       p.codes(r),
			MaxAttempts: p.integer(r.find("max_attempts"), "max_attempts", 0, attemptsMax, 3),
			Interval:    seconds(p.integer(r.find("interval_seconds"), "interval_seconds", 1, secondsMax, 1)),
			Rate:        money.FromInt(2),
			MaxDelay:    seconds(p.integer(r.find("max_delay_seconds"), "max_delay_seconds", 1, secondsMax, 24*3600)),
			Jitter:      p.optional(r.find("jitter_strategy"), "jitter_strategy", "FULL", "NONE") == "FULL",
		}
		if rate := p.text(r.find("backoff_rate"), "backoff_rate", ratePattern); rate != "" {
			retrier.Rate = money.MustParse(rate)
		}
		n.Retry = append(n.Retry, retrier)
	}
}

// expressionText checks that a value is the text of an expression; it is compiled later.
func (p *parser) expressionText(v *value, what string) {
	if v == nil || !p.want(v, what, kindString) {
		return
	}
	if v.text == "" || len(v.text) > textMax {
		p.report(CheckShape, v.at, fmt.Sprintf("%s has %d characters", what, len(v.text)), fmt.Sprintf("write an expression of at most %d", textMax))
	}
}

func (p *parser) expressions(v *value, field string) {
	all := v.find(field)
	if !p.want(all, field, kindObject) {
		return
	}
	if len(all.members) > fieldsMax {
		p.report(CheckShape, all.at, fmt.Sprintf("%s has more than %d properties", field, fieldsMax), "group them")
	}
	for _, m := range all.members {
		if !nodePattern.MatchString(m.name) {
			p.report(CheckShape, m.at, fmt.Sprintf("%s has a field %q", field, clip([]byte(m.name))), "write a name that matches "+nodePattern.String())
		}
		p.expressionText(m.value, field+"."+m.name)
	}
}

// references reports transitions to nodes that are not there.
func (p *parser) references(v *value) {
	to := func(target *value) {
		if target == nil || target.kind != kindString || p.d.node(target.text) != nil || !nodePattern.MatchString(target.text) {
			return
		}
		p.report(CheckReferences, target.at, fmt.Sprintf("there is no node %q", target.text), p.nodeNames())
	}
	to(v.find("next"))
	to(v.find("default"))
	for _, field := range []string{"choices", "catch"} {
		if list := v.find(field); list != nil {
			for _, item := range list.items {
				to(item.find("next"))
			}
		}
	}
}
