package workflow

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"daybreak/money"
)

// compile turns the texts of all nodes into expressions and checks what is checked of one node alone.
func (p *parser) compile(tree *value) {
	bare, err := newScope(p.d, nil)
	if err != nil {
		p.report(CheckTypes, 0, "the types cannot be declared: "+err.Error(), "rename what clashes")
		return
	}
	for _, m := range tree.find("nodes").members {
		n := p.d.node(m.name)
		p.shape.node = m.name
		switch n.Type {
		case Call:
			p.compileCall(m.value, n, bare)
		case Wait:
			n.Until = p.expression(bare, m.value.find("until"))
			p.expectType(n.Until, m.value.find("until"), cel.TimestampType, "until")
			p.choices(m.value, n, bare)
			p.checkWait(n)
		}
		p.checkCost(n)
	}
	p.shape.node = ""
}

// expression compiles one text and reports what is wrong with it; nil where something is.
func (p *parser) expression(s *scope, v *value) *Expression {
	if v == nil {
		return nil
	}
	e, err := s.compile(v.text)
	var bad *expressionFault
	if errors.As(err, &bad) {
		p.report(bad.check, v.at+p.inside(v, bad.column), fmt.Sprintf("%s: %s", clipText(v.text, 60), bad.reason), bad.remedy)
		return nil
	}
	if err != nil {
		p.report(CheckTypes, v.at, err.Error(), "correct the expression")
		return nil
	}
	e.line, e.column = p.place(v.at)
	return e
}

// inside returns how far a column of a text is from its opening quote; one with escapes is not
// looked into.
func (p *parser) inside(v *value, column int) int {
	at := v.at + 1
	if at+len(v.text) <= len(p.data) && string(p.data[at:at+len(v.text)]) == v.text && column <= len(v.text) {
		return column + 1
	}
	return 0
}

// expectType reports an expression that gives something else.
func (p *parser) expectType(e *Expression, v *value, want *cel.Type, what string) {
	if e != nil && !e.Output.IsExactType(want) {
		p.report(CheckTypes, v.at, fmt.Sprintf("%s gives a %s, not a %s", what, e.Output, want), "write an expression that gives a "+want.String())
	}
}

func (p *parser) compileCall(v *value, n *Node, bare *scope) {
	n.Arguments = p.bindings(v.find("arguments"), bare, n.Action.Request)
	for _, f := range n.Action.Request.Fields {
		if f.Required && !slices.ContainsFunc(n.Arguments, func(b Binding) bool { return b.Field == f.Name }) && v.find("arguments").has(f.Name) == nil {
			p.report(CheckTypes, p.at[n.Name].of("arguments"), fmt.Sprintf("the action %s needs the argument %s", n.Action.Name, f.Name), fmt.Sprintf("give it, a %s", f.Type))
		}
	}
	after, err := newScope(p.d, n.Action.Response)
	if err != nil {
		p.report(CheckTypes, v.at, "the types cannot be declared: "+err.Error(), "rename what clashes")
		return
	}
	n.Assign = p.bindings(v.find("assign"), after, p.d.Context)
	p.choices(v, n, after)
	p.key(v, n, bare)
	p.checkRetries(v, n)
}

// has is find for a value that may be absent itself.
func (v *value) has(name string) *value {
	if v == nil {
		return nil
	}
	return v.find(name)
}

func (p *parser) key(v *value, n *Node, bare *scope) {
	text := v.find("idempotency_key")
	n.IdempotencyKey = p.expression(bare, text)
	p.expectType(n.IdempotencyKey, text, cel.StringType, "idempotency_key")
	switch isWrite := n.Action.Effect == Write; {
	case isWrite && text == nil:
		p.report(CheckKeys, p.at[n.Name].of("action"), fmt.Sprintf("%s writes, and the node has no idempotency_key", n.Action.Name),
			"add one that is the same for the same effect, such as \"instance.id + ':' + instance.node\"")
	case isWrite && n.IdempotencyKey != nil && n.IdempotencyKey.isVolatile():
		p.report(CheckKeys, text.at, "the idempotency_key is another one at each attempt: it reads now or instance.attempt", "leave them out")
	case isWrite && n.IdempotencyKey != nil && n.IdempotencyKey.isConstant():
		p.report(CheckKeys, text.at, "the idempotency_key is the same for every instance", "put instance.id or a key of the context into it")
	}
}

// bindings compiles the expressions of fields of an object type.
func (p *parser) bindings(v *value, s *scope, of *Type) []Binding {
	if v == nil {
		return nil
	}
	var all []Binding
	for _, m := range v.members {
		i := slices.IndexFunc(of.Fields, func(f Field) bool { return f.Name == m.name })
		if i < 0 {
			p.report(CheckTypes, m.at, fmt.Sprintf("there is no field %s to give a value", m.name), "its fields are "+fieldNames(of))
			continue
		}
		e := p.expression(s, m.value)
		if e == nil {
			continue
		}
		b := Binding{Field: m.name, Value: e, to: i, want: of.Fields[i].Type, prefix: append(appendText(nil, m.name), ':')}
		if !p.fits(&b) {
			p.report(CheckTypes, m.value.at, fmt.Sprintf("%s is a %s, and the expression gives a %s", m.name, b.want, e.typeText()), "write an expression of its type")
			continue
		}
		all = append(all, b)
	}
	slices.SortStableFunc(all, func(a, b Binding) int { return strings.Compare(a.Field, b.Field) })
	return all
}

// fits reports whether the values of a binding may be of its field's type, and notes whether they
// always are; what is not proven is checked when it is evaluated.
func (p *parser) fits(b *Binding) bool {
	e := b.Value
	if e.path != nil {
		b.isProven = b.want.takes(e.path.t)
		return b.isProven || mayTake(b.want, e.path.t)
	}
	if e.isConstant() {
		return p.constantFits(b)
	}
	return mayHold(b.want, e.Output)
}

// constantFits evaluates a constant here, so that a word that is none of an enumeration is found.
func (p *parser) constantFits(b *Binding) bool {
	_, err := b.json(&variables{def: p.d, in: &Instance{}, env: &Env{}})
	return err == nil
}

// mayTake reports whether some value of from is a value of t.
func mayTake(t, from *Type) bool {
	isText := func(k Kind) bool { return k == String || k == Date }
	switch {
	case isText(t.Kind) && isText(from.Kind):
		return t.Enum == nil || from.Enum == nil || slices.ContainsFunc(t.Enum, func(v string) bool { return slices.Contains(from.Enum, v) })
	case t.Kind != from.Kind:
		return false
	case t.Kind == List || t.Kind == Map:
		return mayTake(t.Items, from.Items)
	case t.Kind != Object:
		return true
	}
	for _, f := range t.Fields {
		given, ok := from.Field(f.Name)
		if !ok && f.Required || ok && !mayTake(f.Type, given.Type) {
			return false
		}
	}
	return true
}

// mayHold reports whether a type of expressions may give values of t: maps may be objects.
func mayHold(t *Type, from *cel.Type) bool {
	switch {
	case from.Kind() == types.DynKind:
		return true
	case t.Kind == List:
		return from.Kind() == types.ListKind && mayHold(t.Items, from.Parameters()[0])
	case t.Kind == Map:
		return from.Kind() == types.MapKind && mayHold(t.Items, from.Parameters()[1])
	case t.Kind == Object && from.Kind() == types.MapKind:
		return true
	}
	return t.cel().IsExactType(from)
}

// typeText returns what messages call the type that the expression gives.
func (e *Expression) typeText() string {
	if e.path != nil {
		return e.path.t.String()
	}
	if strings.HasPrefix(e.Output.String(), "object:") {
		return "object"
	}
	return e.Output.String()
}

func fieldNames(t *Type) string {
	var names []string
	for _, f := range t.Fields {
		names = append(names, f.Name)
	}
	return clipText(strings.Join(names, ", "), 200)
}

// choices compiles the conditions of a node; they see the context that the node's assignments left.
func (p *parser) choices(v *value, n *Node, s *scope) {
	list := v.find("choices")
	if list == nil {
		return
	}
	for i, c := range list.items {
		condition := c.find("condition")
		n.Choices[i].Condition = p.expression(s, condition)
		p.expectType(n.Choices[i].Condition, condition, cel.BoolType, "condition")
	}
	p.checkTotal(v, n)
}

// checkCost adds up what the expressions of a node may cost.
func (p *parser) checkCost(n *Node) {
	var sum uint64
	for _, e := range n.expressions() {
		sum += min(e.Cost, costMax)
	}
	if sum > nodeCostMax {
		p.report(CheckCost, p.at[n.Name].name, fmt.Sprintf("the expressions of the node may cost %d, at most %d", sum, nodeCostMax), "divide it into two nodes")
	}
}

// expressions returns all expressions of a node that were compiled.
func (n *Node) expressions() []*Expression {
	all := []*Expression{n.Until, n.IdempotencyKey}
	for _, b := range n.Arguments {
		all = append(all, b.Value)
	}
	for _, b := range n.Assign {
		all = append(all, b.Value)
	}
	for _, c := range n.Choices {
		all = append(all, c.Condition)
	}
	return slices.DeleteFunc(all, func(e *Expression) bool { return e == nil })
}

// param returns the value of a parameter: the one in force, or else its default.
func (d *Definition) param(name string, over map[string]any) (any, bool) {
	i, ok := slices.BinarySearchFunc(d.Params, name, func(p Param, name string) int { return strings.Compare(p.Name, name) })
	if !ok {
		return nil, false
	}
	if v, ok := over[name]; ok {
		return v, true
	}
	return d.Params[i].value, true
}

// ParseParams reads values that parameters take instead of their defaults, a JSON object, for Env.
// It returns ErrValue, wrapped with the name, where a name is unknown or a value not of its type.
func (d *Definition) ParseParams(data []byte) (map[string]any, error) {
	of := &Type{Kind: Object, Closed: true}
	for _, p := range d.Params {
		of.Fields = append(of.Fields, Field{Name: p.Name, Type: p.Type})
	}
	canonical, err := of.Canonical(data)
	if err != nil {
		return nil, fmt.Errorf("params: %w", err)
	}
	given := &object{t: of, raw: canonical}
	all := map[string]any{}
	for i, f := range of.Fields {
		if given.has(i) {
			all[f.Name] = goValue(decode(f.Type, given.get(i)))
		}
	}
	return all, nil
}

// goValue returns a value of an expression as money.Dec, time.Time, string, int64 or bool.
func goValue(v ref.Val) any {
	if d, ok := v.(decimal); ok {
		return money.Dec(d)
	}
	return v.Value()
}
