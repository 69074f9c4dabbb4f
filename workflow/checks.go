package workflow

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// sessionLength is how long an exchange trades on a full day: attempts must end within it.
const sessionLength = 390 * time.Minute

// isConstant reports whether the expression names no variable.
func (e *Expression) isConstant() bool {
	is := true
	e.visit(func(x ast.Expr) { is = is && x.Kind() != ast.IdentKind })
	return is
}

// isVolatile reports whether the expression may differ from one attempt to the next.
func (e *Expression) isVolatile() bool {
	is := false
	e.visit(func(x ast.Expr) {
		if x.Kind() == ast.IdentKind {
			is = is || slices.Contains([]string{"now", "instance.attempt"}, x.AsIdent())
		}
	})
	return is
}

// checkTotal checks that some transition holds in every case and that each can.
func (p *parser) checkTotal(v *value, n *Node) {
	cases := map[string]*covered{}
	isDecided := false
	for i, c := range n.Choices {
		if c.Condition == nil {
			return
		}
		at := v.find("choices").items[i].find("condition").at
		if isDecided {
			p.report(CheckTotal, at, "this choice is never taken: the ones before it cover every case", "leave it out, or put it first")
			continue
		}
		if c.Condition.isConstant() {
			holds, err := c.Condition.holds(&variables{def: p.d, in: &Instance{}, env: &Env{}})
			if err == nil && !holds {
				p.report(CheckTotal, at, "the condition never holds", "leave the choice out")
			}
			isDecided = holds
			continue
		}
		isDecided = cover(cases, c.Condition.tree, p.typeOfPath(n))
	}
	switch {
	case !isDecided && n.Default == "":
		p.report(CheckTotal, p.at[n.Name].of("choices"), "no choice may hold, and there is no default", "add default, or cover every value of an enumeration")
	case isDecided && n.Default != "":
		p.report(CheckTotal, p.at[n.Name].of("default"), "the default is never taken: the choices cover every case", "leave it out")
	}
}

// covered are the values of one field that conditions have asked for so far.
type covered struct {
	values []string
	of     []string
}

// typeOfPath returns a function that gives the type of a field that conditions of a node may read.
func (p *parser) typeOfPath(n *Node) func(ast.Expr) (string, *Type) {
	s := &scope{ctx: p.d.Context, out: n.Action.Response}
	return func(x ast.Expr) (string, *Type) {
		if found := s.pathOf(x); found != nil {
			return found.names, found.t
		}
		return "", nil
	}
}

// cover notes the values that a condition asks a field for, and reports whether all values of some
// field that is always set are now asked for.
func cover(cases map[string]*covered, x ast.Expr, typeOf func(ast.Expr) (string, *Type)) bool {
	name, of, values := asked(x, typeOf)
	if x.Kind() == ast.CallKind && x.AsCall().FunctionName() == operators.LogicalOr {
		left, right := x.AsCall().Args()[0], x.AsCall().Args()[1]
		return cover(cases, left, typeOf) || cover(cases, right, typeOf)
	}
	if name == "" {
		return false
	}
	if cases[name] == nil {
		cases[name] = &covered{of: of}
	}
	c := cases[name]
	c.values = append(c.values, values...)
	return !slices.ContainsFunc(c.of, func(v string) bool { return !slices.Contains(c.values, v) })
}

// asked returns the field that a condition is about, all its values and those for which it holds:
// out.status == "x", out.status in ["x", "y"], out.is and !out.is.
func asked(x ast.Expr, typeOf func(ast.Expr) (string, *Type)) (name string, of, values []string) {
	if name, t := typeOf(x); t != nil && t.Kind == Boolean {
		return name, []string{"false", "true"}, []string{"true"}
	}
	if x.Kind() != ast.CallKind {
		return "", nil, nil
	}
	args := x.AsCall().Args()
	switch x.AsCall().FunctionName() {
	case operators.LogicalNot:
		if name, t := typeOf(args[0]); t != nil && t.Kind == Boolean {
			return name, []string{"false", "true"}, []string{"false"}
		}
	case operators.Equals:
		for i, side := range args {
			if name, t := typeOf(side); t != nil && t.Enum != nil {
				return name, t.Enum, constants(args[1-i])
			}
		}
	case operators.In:
		if name, t := typeOf(args[0]); t != nil && t.Enum != nil && args[1].Kind() == ast.ListKind {
			for _, item := range args[1].AsList().Elements() {
				values = append(values, constants(item)...)
			}
			return name, t.Enum, values
		}
	}
	return "", nil, nil
}

// constants returns the text of a literal, none where it is something else.
func constants(x ast.Expr) []string {
	if x.Kind() != ast.LiteralKind {
		return nil
	}
	if s, ok := x.AsLiteral().(types.String); ok {
		return []string{string(s)}
	}
	return nil
}

// checkWait checks that a wait is over at some time and that it is said what holds if that is past.
func (p *parser) checkWait(n *Node) {
	if n.Until == nil {
		return
	}
	w := waitOf(n.Until.tree)
	at := p.at[n.Name].of("until")
	switch {
	case w.isPast:
		p.report(CheckWaits, at, "the instant is always past", "add a duration to now instead of taking one away")
	case !w.isAhead && n.Past == 0:
		p.report(CheckWaits, at, "the instant may be past when the wait begins", `add "past": "continue" or "past": "fail"`)
	case w.isAhead && n.Past != 0:
		p.report(CheckWaits, p.at[n.Name].of("past"), "the instant is never past", "leave past out")
	}
	if !w.isBounded && n.MaxWait == 0 {
		p.report(CheckWaits, at, "the wait may last for ever", "add max_seconds, the longest that it may last")
	}
}

// waiting is what is known of an instant without evaluating it.
type waiting struct {
	isAhead, isPast bool // of now
	isBounded       bool // within days of now
}

// waitOf looks at the ways in which instants are written: now, with durations added, the next opening
// or close after one, and a choice of two.
func waitOf(x ast.Expr) waiting {
	if x.Kind() == ast.IdentKind && x.AsIdent() == "now" {
		return waiting{isAhead: true, isBounded: true}
	}
	if x.Kind() != ast.CallKind {
		return waiting{}
	}
	args := x.AsCall().Args()
	switch x.AsCall().FunctionName() {
	case operators.Add:
		for i, side := range args {
			if d, ok := durationOf(side); ok {
				w := waitOf(args[1-i])
				return waiting{isAhead: w.isAhead && d >= 0, isPast: isNow(args[1-i]) && d < 0, isBounded: w.isBounded}
			}
		}
	case operators.Subtract:
		if d, ok := durationOf(args[1]); ok {
			w := waitOf(args[0])
			return waiting{isAhead: w.isAhead && d <= 0, isPast: isNow(args[0]) && d > 0, isBounded: w.isBounded}
		}
	case "nextOpen", "nextClose":
		w := waitOf(args[1])
		return waiting{isAhead: w.isAhead, isBounded: w.isBounded}
	case operators.Conditional:
		a, b := waitOf(args[1]), waitOf(args[2])
		return waiting{a.isAhead && b.isAhead, a.isPast && b.isPast, a.isBounded && b.isBounded}
	}
	return waiting{}
}

func isNow(x ast.Expr) bool { return x.Kind() == ast.IdentKind && x.AsIdent() == "now" }

// durationOf returns the duration of duration("…") with a literal of at most 31 days.
func durationOf(x ast.Expr) (time.Duration, bool) {
	if x.Kind() != ast.CallKind || x.AsCall().FunctionName() != "duration" {
		return 0, false
	}
	text := constants(x.AsCall().Args()[0])
	if len(text) == 0 {
		return 0, false
	}
	d, err := time.ParseDuration(text[0])
	return d, err == nil && d.Abs() <= 31*24*time.Hour
}

// checkRetries checks that the attempts of a call end before a session does.
func (p *parser) checkRetries(v *value, n *Node) {
	total := n.Timeout
	for _, r := range n.Retry {
		for attempt := 1; attempt <= r.MaxAttempts; attempt++ {
			total += r.delay(attempt) + n.Timeout
		}
	}
	if total > sessionLength {
		p.report(CheckRetries, p.at[n.Name].of("retry"), fmt.Sprintf("all attempts together may take %s, a session %s", total, sessionLength),
			"write fewer attempts, shorter delays or a shorter timeout_seconds")
	}
	for i, r := range n.Retry {
		if slices.Contains(r.Codes, CodeAll) && i < len(n.Retry)-1 {
			p.report(CheckRetries, p.at[n.Name].of("retry"), "a retrier follows one that takes ALL", "put the one with ALL last")
		}
	}
	p.checkCatch(v, n)
}

func (p *parser) checkCatch(v *value, n *Node) {
	for i, c := range n.Catch {
		if slices.Contains(c.Codes, CodeAll) && i < len(n.Catch)-1 {
			p.report(CheckTotal, v.find("catch").items[i+1].at, "a catcher that is never taken follows one that takes ALL", "put the one with ALL last")
		}
	}
}

// Edge is one way from a node to another.
type Edge struct {
	From, To string
	Label    string // condition, "otherwise", or the codes of a catcher
	IsCatch  bool
}

// Edges returns the ways out of a node, in the order in which they are tried.
func (n *Node) Edges() []Edge {
	var all []Edge
	for _, c := range n.Choices {
		text := ""
		if c.Condition != nil {
			text = c.Condition.Text
		}
		all = append(all, Edge{From: n.Name, To: c.Next, Label: text})
	}
	if n.Default != "" {
		label := ""
		if len(n.Choices) > 0 {
			label = "otherwise"
		}
		all = append(all, Edge{From: n.Name, To: n.Default, Label: label})
	}
	for _, c := range n.Catch {
		all = append(all, Edge{From: n.Name, To: c.Next, Label: strings.Join(c.Codes, ", "), IsCatch: true})
	}
	return all
}

// checkGraph checks that each node can be reached and can reach an end, and that nothing goes in
// circles without a wait.
func (p *parser) checkGraph() {
	reached := p.spread([]string{p.d.Start}, func(n *Node) []string { return targets(n) })
	var ends []string
	before := map[string][]string{}
	for i := range p.d.Nodes {
		n := &p.d.Nodes[i]
		if n.Type == Terminal {
			ends = append(ends, n.Name)
		}
		for _, to := range targets(n) {
			before[to] = append(before[to], n.Name)
		}
	}
	ending := p.spread(ends, func(n *Node) []string { return before[n.Name] })
	for i := range p.d.Nodes {
		n := &p.d.Nodes[i]
		p.shape.node = n.Name
		if !reached[n.Name] {
			p.report(CheckReachable, p.at[n.Name].name, "no way leads here from "+p.d.Start, "lead one here, or leave the node out")
		}
		if !ending[n.Name] {
			p.report(CheckEnds, p.at[n.Name].name, "no way leads from here to an end", "lead one to a node of type terminal")
		}
	}
	p.shape.node = ""
	p.checkCycles()
}

func targets(n *Node) []string {
	var all []string
	for _, e := range n.Edges() {
		all = append(all, e.To)
	}
	return all
}

// spread returns the nodes that can be reached from some.
func (p *parser) spread(from []string, next func(*Node) []string) map[string]bool {
	seen := map[string]bool{}
	for len(from) > 0 {
		name := from[len(from)-1]
		from = from[:len(from)-1]
		if n := p.d.node(name); n != nil && !seen[name] {
			seen[name] = true
			from = append(from, next(n)...)
		}
	}
	return seen
}

// checkCycles looks for circles among the calls alone, and for circles at all where nothing bounds
// the time of an instance.
func (p *parser) checkCycles() {
	for i := range p.d.Nodes {
		n := &p.d.Nodes[i]
		p.shape.node = n.Name
		withoutWait := p.spread(targets(n), func(m *Node) []string {
			if m.Type == Wait {
				return nil
			}
			return targets(m)
		})
		switch around := p.spread(targets(n), targets); {
		case n.Type == Call && withoutWait[n.Name]:
			p.report(CheckCycles, p.at[n.Name].name, "a circle leads back here without a wait", "put a node of type wait into it")
		case n.Type == Wait && around[n.Name] && p.d.Timeout == 0:
			p.report(CheckCycles, p.at[n.Name].name, "a circle leads back here, and nothing ends it", "add timeout_seconds to the document")
		}
	}
	p.shape.node = ""
}

// checkContext checks that each field of the context is set on every way to where it is read.
func (p *parser) checkContext() {
	given := map[string]bool{}
	for _, f := range p.d.Context.Fields {
		given[f.Name] = f.Required
	}
	p.checkContextFrom(p.d.Start, given)
}

// checkContextFrom checks the context on the ways from a node at which some fields are set.
func (p *parser) checkContextFrom(start string, given map[string]bool) {
	set := map[string]map[string]bool{start: {}}
	for f, is := range given {
		if is {
			set[start][f] = true
		}
	}
	for work := []string{start}; len(work) > 0; {
		n := p.d.node(work[0])
		work = work[1:]
		if n == nil {
			continue
		}
		for _, e := range n.Edges() {
			if meet(set, e.To, after(set[n.Name], n, e)) {
				work = append(work, e.To)
			}
		}
	}
	for i := range p.d.Nodes {
		if n := &p.d.Nodes[i]; set[n.Name] != nil {
			p.checkReads(n, set[n.Name])
		}
	}
}

// after returns the fields that are set once a way was taken: a failure assigns nothing.
func after(before map[string]bool, n *Node, e Edge) map[string]bool {
	all := map[string]bool{}
	for f := range before {
		all[f] = true
	}
	if !e.IsCatch {
		for _, b := range n.Assign {
			all[b.Field] = true
		}
	}
	return all
}

// meet keeps of what is set at a node what is set on this way too, and reports whether that changed.
func meet(set map[string]map[string]bool, node string, way map[string]bool) bool {
	old := set[node]
	if old == nil {
		set[node] = way
		return true
	}
	before := len(old)
	for f := range old {
		if !way[f] {
			delete(old, f)
		}
	}
	return len(old) < before
}

func (p *parser) checkReads(n *Node, set map[string]bool) {
	p.shape.node = n.Name
	defer func() { p.shape.node = "" }()
	check := func(e *Expression, set map[string]bool) {
		if e == nil {
			return
		}
		for _, f := range e.reads {
			if !set[f] {
				p.problems = append(p.problems, Problem{CheckTypes, Fault, e.line, e.column, n.Name,
					fmt.Sprintf("ctx.%s is read here, and not every way here has set it", f),
					fmt.Sprintf("assign it before, make it required, or ask has(ctx.%s)", f)})
			}
		}
	}
	check(n.Until, set)
	check(n.IdempotencyKey, set)
	for _, b := range n.Arguments {
		check(b.Value, set)
	}
	for _, b := range n.Assign {
		check(b.Value, set)
	}
	then := after(set, n, Edge{})
	for _, c := range n.Choices {
		check(c.Condition, then)
	}
}
