package workflow

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/checker"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// The bounds of expressions. A comparison costs about 1, a character that is searched 0.1; a cost of
// 10,000 takes some milliseconds.
const (
	textMax     = 4_000
	nodesMax    = 1_000 // of the tree of an expression
	nestingMax  = 100
	loopsMax    = 2 // inside each other
	patternMax  = 1_000
	costMax     = 10_000
	nodeCostMax = 50_000 // of all expressions of a node
)

// Expression is a CEL expression over the variables of docs/workflows.md, checked and compiled. It
// is safe for concurrent use.
type Expression struct {
	Text   string
	Cost   uint64 // the most that one evaluation costs
	Output *cel.Type

	line, column int
	tree         ast.Expr
	program      cel.Program
	path         *path // of an expression that is just a field: no program need run
	reads        []string
}

// path is the way from a variable to a field.
type path struct {
	isOut  bool
	fields []int // indexes into the fields of one object type after the other
	names  string
	t      *Type // of the last
}

// variables are what one evaluation sees. It is an activation of CEL.
type variables struct {
	ctx, out object
	in       *Instance
	env      *Env
	def      *Definition
}

// ResolveName returns the value of a variable.
func (v *variables) ResolveName(name string) (any, bool) {
	switch name {
	case "ctx":
		return &v.ctx, true
	case "out":
		return &v.out, true
	case "now":
		return types.Timestamp{Time: v.env.Now}, true
	case "market":
		return sessions{&v.env.Functions}, true
	case "instance.id":
		return types.String(v.in.ID), true
	case "instance.household":
		return types.String(v.in.Household), true
	case "instance.node":
		return types.String(v.in.Node), true
	case "instance.attempt":
		return types.Int(v.in.Attempt), true
	}
	param, isParam := strings.CutPrefix(name, "params.")
	if !isParam {
		return nil, false
	}
	return v.def.param(param, v.env.Params)
}

// Parent implements the activation of CEL.
func (v *variables) Parent() cel.Activation { return nil }

// Variables that each expression sees beside ctx, params and out.
func commonVariables() []cel.EnvOption {
	return []cel.EnvOption{
		cel.Variable("now", cel.TimestampType),
		cel.Variable("instance.id", cel.StringType),
		cel.Variable("instance.household", cel.StringType),
		cel.Variable("instance.node", cel.StringType),
		cel.Variable("instance.attempt", cel.IntType),
	}
}

// baseEnv is what all environments have in common. It is made once, as it takes a millisecond.
var baseEnv = sync.OnceValues(func() (*cel.Env, error) {
	options := append(Decimals(), functionOptions()...)
	options = append(options, commonVariables()...)
	return cel.NewEnv(append(options,
		cel.ParserExpressionSizeLimit(textMax),
		cel.ParserRecursionLimit(nestingMax),
		cel.ParserErrorRecoveryLimit(1),
		cel.ExpressionNodeLimit(nodesMax),
		cel.RegexProgramSizeLimit(patternMax),
		cel.ASTValidators(
			cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals(), cel.ValidateRegexLiterals(),
			cel.ValidateComprehensionNestingLimit(loopsMax)),
	)...)
})

// provider tells the checker the fields of object types.
type provider struct {
	types.Provider
	objects map[string]*Type // by name
}

func newProvider() (*provider, error) {
	base, err := baseEnv()
	if err != nil {
		return nil, err
	}
	return &provider{base.CELTypeProvider(), map[string]*Type{}}, nil
}

// add makes a type known, with those inside it.
func (p *provider) add(t *Type) {
	if t.Items != nil {
		p.add(t.Items)
	}
	if t.Kind == Object {
		p.objects[t.name] = t
	}
	for _, f := range t.Fields {
		p.add(f.Type)
	}
}

// FindStructType implements types.Provider.
func (p *provider) FindStructType(name string) (*types.Type, bool) {
	if t, ok := p.objects[name]; ok {
		return types.NewTypeTypeWithParam(t.cel()), true
	}
	return p.Provider.FindStructType(name)
}

// FindStructFieldNames implements types.Provider.
func (p *provider) FindStructFieldNames(name string) ([]string, bool) {
	t, ok := p.objects[name]
	if !ok {
		return p.Provider.FindStructFieldNames(name)
	}
	var names []string
	for _, f := range t.Fields {
		names = append(names, f.Name)
	}
	return names, true
}

// FindStructFieldType implements types.Provider.
func (p *provider) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	t, ok := p.objects[name]
	if !ok {
		return p.Provider.FindStructFieldType(name, field)
	}
	i := slices.IndexFunc(t.Fields, func(f Field) bool { return f.Name == field })
	if i < 0 {
		return nil, false
	}
	return &types.FieldType{
		Type:  t.Fields[i].Type.cel(),
		IsSet: func(target any) bool { o, ok := target.(*object); return ok && o.has(i) },
		GetFrom: func(target any) (any, error) {
			o, ok := target.(*object)
			if !ok {
				return nil, fmt.Errorf("%s is read of what has no fields", field)
			}
			raw := o.get(i)
			if raw == nil {
				return nil, fmt.Errorf("%s is not set", field)
			}
			return decode(o.t.Fields[i].Type, raw), nil
		},
	}, true
}

// NewValue implements types.Provider: expressions make no objects but maps.
func (p *provider) NewValue(name string, _ map[string]ref.Val) ref.Val {
	return types.NewErr("%s cannot be made in an expression: write a map", name)
}

// scope compiles expressions over the same variables.
type scope struct {
	env      *cel.Env
	ctx, out *Type // out is nil where there is no response
	params   []Param
}

// newScope returns the scope of a definition; response is nil where there is none.
func newScope(d *Definition, response *Type) (*scope, error) {
	p, err := newProvider()
	if err != nil {
		return nil, err
	}
	base, err := baseEnv()
	if err != nil {
		return nil, err
	}
	p.add(d.Context)
	options := []cel.EnvOption{cel.CustomTypeProvider(p), cel.Variable("ctx", d.Context.cel())}
	if response != nil {
		p.add(response)
		options = append(options, cel.Variable("out", response.cel()))
	}
	for _, param := range d.Params {
		options = append(options, cel.Variable("params."+param.Name, param.Type.cel()))
	}
	env, err := base.Extend(options...)
	return &scope{env, d.Context, response, d.Params}, err
}

// expressionFault is why a text is no expression here.
type expressionFault struct {
	check          Check
	column         int // in the text, from 0
	reason, remedy string
}

// Error returns the reason.
func (f *expressionFault) Error() string { return f.reason }

func fault(check Check, reason, remedy string) error {
	return &expressionFault{check: check, reason: reason, remedy: remedy}
}

// compile returns the expression of a text, or an *expressionFault. The library panics on some
// texts, such as a map with bytes as its key: they are no expressions either.
func (s *scope) compile(text string) (e *Expression, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			e, err = nil, fault(CheckTypes, fmt.Sprintf("the expression cannot be planned: %v", cause), "write it more simply")
		}
	}()
	if len(text) > textMax {
		return nil, fault(CheckTypes, fmt.Sprintf("the expression has %d characters", len(text)), fmt.Sprintf("write at most %d", textMax))
	}
	if err := CheckText(text); err != nil {
		return nil, err
	}
	checked, issues := s.env.Compile(text)
	if issues.Err() != nil {
		return nil, firstFault(issues)
	}
	e = &Expression{Text: text, Output: checked.OutputType(), tree: checked.NativeRep().Expr()}
	if err := e.look(); err != nil {
		return nil, err
	}
	estimate, err := s.env.EstimateCost(checked, sizes{s})
	if err != nil {
		return nil, fault(CheckCost, "the cost cannot be estimated: "+err.Error(), "write it more simply")
	}
	if e.Cost = estimate.Max; e.Cost > costMax {
		return nil, fault(CheckCost, "the expression may cost "+costText(e.Cost)+fmt.Sprintf(", at most %d", costMax),
			"give the lists and texts that it goes through a maxItems and a maxLength, or write it with fewer loops")
	}
	e.path = s.pathOf(e.tree)
	e.program, err = s.env.Program(checked, e.options()...)
	if err != nil {
		return nil, fault(CheckTypes, "the expression cannot be planned: "+err.Error(), "write it more simply")
	}
	return e, nil
}

// costText returns a cost for people.
func costText(cost uint64) string {
	if cost > math.MaxInt64 {
		return "any amount"
	}
	return fmt.Sprint(cost)
}

// options returns how the expression is run: one with a loop is metered as well, though its cost was
// estimated; the others cannot take longer than their text.
func (e *Expression) options() []cel.ProgramOption {
	options := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize)}
	hasLoop := false
	e.visit(func(x ast.Expr) { hasLoop = hasLoop || x.Kind() == ast.ComprehensionKind })
	if hasLoop {
		options = append(options, cel.CostLimit(2*costMax))
	}
	return options
}

// visit calls each with every node of the tree.
func (e *Expression) visit(each func(ast.Expr)) {
	ast.PostOrderVisit(e.tree, ast.NewExprVisitor(each))
}

// look notes the fields of ctx that the expression reads without asking whether they are set, and
// refuses what would read the machine's files.
func (e *Expression) look() error {
	var asked []string
	var err error
	e.visit(func(x ast.Expr) {
		switch x.Kind() {
		case ast.SelectKind:
			s := x.AsSelect()
			if s.Operand().Kind() != ast.IdentKind || s.Operand().AsIdent() != "ctx" {
				return
			}
			if s.IsTestOnly() {
				asked = append(asked, s.FieldName())
			} else {
				e.reads = append(e.reads, s.FieldName())
			}
		case ast.CallKind:
			if c := x.AsCall(); c.IsMemberFunction() && len(c.Args()) == 1 && strings.HasPrefix(c.FunctionName(), "get") {
				err = fault(CheckTypes, c.FunctionName()+" with a zone depends on the machine", "use date(t, zone) or clock(t, zone)")
			}
		}
	})
	slices.Sort(e.reads)
	e.reads = slices.DeleteFunc(slices.Compact(e.reads), func(f string) bool { return slices.Contains(asked, f) })
	return err
}

// firstFault returns the first thing that the checker found.
func firstFault(issues *cel.Issues) error {
	all := issues.Errors()
	if len(all) == 0 {
		return fault(CheckTypes, strings.ReplaceAll(issues.Err().Error(), "\n", " "), "correct the expression")
	}
	first := all[0]
	reason := strings.Join(strings.Fields(first.Message), " ")
	return &expressionFault{CheckTypes, max(0, first.Location.Column()), reason, remedyFor(reason)}
}

// remedyFor returns what to do about a message of the checker.
func remedyFor(reason string) string {
	switch {
	case strings.Contains(reason, "undeclared reference"):
		return "the variables are ctx, out (after a call), params, instance, now and market"
	case strings.Contains(reason, "undefined field"):
		return "write a field that the type has"
	case strings.Contains(reason, "no matching overload"):
		return `compare like with like: decimals as dec("12.50"), instants as timestamp("…")`
	case strings.Contains(reason, "Syntax error"):
		return "write one CEL expression"
	}
	return "correct the expression"
}

// pathOf returns the path of a tree that is just a field, or nil.
func (s *scope) pathOf(tree ast.Expr) *path {
	var names []string
	for tree.Kind() == ast.SelectKind && !tree.AsSelect().IsTestOnly() {
		names = append(names, tree.AsSelect().FieldName())
		tree = tree.AsSelect().Operand()
	}
	if tree.Kind() != ast.IdentKind {
		return nil
	}
	p := &path{isOut: tree.AsIdent() == "out", t: s.ctx}
	switch {
	case p.isOut && s.out != nil:
		p.t = s.out
	case tree.AsIdent() != "ctx":
		return nil
	}
	names = append(names, tree.AsIdent())
	slices.Reverse(names)
	for _, name := range names[1:] {
		i := slices.IndexFunc(p.t.Fields, func(f Field) bool { return f.Name == name })
		if i < 0 {
			return nil // a name of a map
		}
		p.fields = append(p.fields, i)
		p.t = p.t.Fields[i].Type
	}
	p.names = strings.Join(names, ".")
	return p
}

// errUnset says that a field that is read is not there.
var errUnset = errors.New("not set")

// read returns the JSON at the path.
func (p *path) read(v *variables) ([]byte, error) {
	o := &v.ctx
	if p.isOut {
		o = &v.out
	}
	raw := o.raw
	for i, f := range p.fields {
		if i > 0 {
			o = &object{t: o.t.Fields[p.fields[i-1]].Type, raw: raw}
		}
		if raw = o.get(f); raw == nil {
			return nil, fmt.Errorf("%s: %w", p.names, errUnset)
		}
	}
	return raw, nil
}

// eval returns the value of the expression.
func (e *Expression) eval(v *variables) (ref.Val, error) {
	if e.path != nil {
		raw, err := e.path.read(v)
		if err != nil {
			return nil, err
		}
		value := decode(e.path.t, raw)
		if err, isErr := value.(*types.Err); isErr {
			return nil, err
		}
		return value, nil
	}
	out, _, err := e.program.Eval(v)
	return out, err
}

// holds returns the value of a condition.
func (e *Expression) holds(v *variables) (bool, error) {
	out, err := e.eval(v)
	if err != nil {
		return false, err
	}
	is, ok := out.(types.Bool)
	if !ok {
		return false, fmt.Errorf("%s is a %s, not true or false", e.Text, out.Type().TypeName())
	}
	return bool(is), nil
}

// json returns the value of the binding as canonical JSON of its field's type. It may be a part of
// the context or of the response, which are not changed.
func (b *Binding) json(v *variables) (raw []byte, err error) {
	if b.Value.path != nil {
		if raw, err = b.Value.path.read(v); err != nil || b.isProven {
			return raw, err
		}
	} else {
		out, err := b.Value.eval(v)
		if err != nil {
			return nil, err
		}
		if raw, err = appendValue(nil, out, 0); err != nil {
			return nil, err
		}
	}
	if err := b.want.check(raw); err != nil {
		return nil, fmt.Errorf("%s: %w", b.Field, err)
	}
	return raw, nil
}

// sizes tells the estimator of costs how large values get.
type sizes struct{ *scope }

// EstimateSize implements checker.CostEstimator.
func (s sizes) EstimateSize(node checker.AstNode) *checker.SizeEstimate {
	if t := s.typeAt(node.Path()); t != nil {
		switch t.Kind {
		case List, Map:
			return &checker.SizeEstimate{Max: uint64(t.MaxItems)}
		case String:
			return &checker.SizeEstimate{Max: uint64(t.MaxLength)}
		}
	}
	switch node.Type().Kind() {
	case types.StringKind, types.StructKind, types.BytesKind:
		return &checker.SizeEstimate{Max: lengthDefault}
	case types.ListKind, types.MapKind, types.DynKind, types.TypeParamKind:
		return nil
	}
	return &checker.SizeEstimate{Max: 1}
}

// EstimateCallCost implements checker.CostEstimator: functions of sessions look into calendars.
func (s sizes) EstimateCallCost(_, overload string, _ *checker.AstNode, _ []checker.AstNode) *checker.CallEstimate {
	const calendarCost = 20
	if strings.HasPrefix(overload, "market_") {
		return &checker.CallEstimate{CostEstimate: checker.CostEstimate{Min: calendarCost, Max: calendarCost}}
	}
	return nil
}

// typeAt returns the type at a path of the estimator, or nil.
func (s sizes) typeAt(path []string) *Type {
	if len(path) == 0 {
		return nil
	}
	var t *Type
	switch path[0] {
	case "ctx":
		t = s.ctx
	case "out":
		t = s.out
	default:
		for _, p := range s.params {
			if path[0] == "params."+p.Name {
				t = p.Type
			}
		}
	}
	for _, name := range path[1:] {
		switch {
		case t == nil:
			return nil
		case name == "@keys":
			return &Type{Kind: String, MaxLength: lengthDefault}
		case name == "@items" || name == "@values" || t.Kind == Map:
			t = t.Items
		default:
			f, _ := t.Field(name)
			t = f.Type
		}
	}
	return t
}
