// Package filter turns the text of --where into a function: a CEL expression over documented fields,
// with decimals that are exact and a bound on what one evaluation may cost.
package filter

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"daybreak/money"
)

// ErrFilter is wrapped where a text is no filter over its fields. Commands exit with 2 on it.
var ErrFilter = errors.New("not a filter")

// costMax bounds one evaluation: a comparison costs about 1, each character that is searched 0.1.
const costMax = 10_000

// textMax bounds the text of a filter.
const textMax = 4_000

// Type is the type of a field.
type Type int

// The types of fields. A Decimal compares with dec("12.50"), not with a number.
const (
	Text Type = iota + 1
	Number
	Decimal
	Bool
)

// Field is one field that a filter may name.
type Field struct {
	Name string
	Type Type
	Doc  string
}

// Filter decides for one row at a time. It is safe for concurrent use.
type Filter struct {
	text    string
	program cel.Program
}

// decimalType is the type of exact numbers in expressions.
var decimalType = cel.ObjectType("decimal", traits.ComparerType)

// Compile returns the filter of a text over fields. A text that does not parse, names an unknown
// field, compares unlike types, or gives anything but true or false is ErrFilter, with the fields.
func Compile(text string, fields []Field) (*Filter, error) {
	if len(text) > textMax {
		return nil, fmt.Errorf("%w: %d characters, at most %d", ErrFilter, len(text), textMax)
	}
	env, err := environment(fields)
	if err != nil {
		return nil, fmt.Errorf("filter: %w", err)
	}
	ast, issues := env.Compile(text)
	if issues.Err() != nil {
		return nil, fmt.Errorf("%w: %s; the fields are %s", ErrFilter, firstIssue(issues), describe(fields))
	}
	if ast.OutputType() != cel.BoolType {
		return nil, fmt.Errorf("%w: %q gives a %s, not true or false; the fields are %s", ErrFilter, text, ast.OutputType(), describe(fields))
	}
	program, err := env.Program(ast, cel.CostLimit(costMax))
	if err != nil {
		return nil, fmt.Errorf("filter: %w", err)
	}
	return &Filter{text: text, program: program}, nil
}

// Match reports whether a row passes. Values are by field: string, int64, money.Dec or bool. An
// expression that fails on a row, or costs too much, is ErrFilter too.
func (f *Filter) Match(row map[string]any) (bool, error) {
	out, _, err := f.program.Eval(row)
	if err != nil {
		return false, fmt.Errorf("%w: %q: %w", ErrFilter, f.text, err)
	}
	passes, ok := out.Value().(bool)
	if !ok {
		return false, fmt.Errorf("%w: %q gave %v", ErrFilter, f.text, out)
	}
	return passes, nil
}

func environment(fields []Field) (*cel.Env, error) {
	options := []cel.EnvOption{
		cel.CustomTypeAdapter(adapter{types.DefaultTypeAdapter}),
		cel.Function("dec", cel.Overload("dec_string", []*cel.Type{cel.StringType}, decimalType, cel.UnaryBinding(parseDecimal))),
	}
	for _, op := range []string{operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals} {
		id := "decimal" + op + "decimal"
		options = append(options, cel.Function(op, cel.Overload(id, []*cel.Type{decimalType, decimalType}, cel.BoolType)))
	}
	for _, f := range fields {
		options = append(options, cel.Variable(f.Name, f.Type.cel()))
	}
	return cel.NewEnv(options...)
}

func (t Type) cel() *cel.Type {
	switch t {
	case Number:
		return cel.IntType
	case Decimal:
		return decimalType
	case Bool:
		return cel.BoolType
	}
	return cel.StringType
}

// String returns what messages call the type.
func (t Type) String() string {
	switch t {
	case Number:
		return "whole number"
	case Decimal:
		return `decimal, as dec("12.50")`
	case Bool:
		return "true or false"
	}
	return "text"
}

// firstIssue returns the first thing that is wrong, in one line without the source excerpt.
func firstIssue(issues *cel.Issues) string {
	all := issues.Errors()
	if len(all) == 0 {
		return strings.ReplaceAll(issues.Err().Error(), "\n", " ")
	}
	e := all[0]
	return fmt.Sprintf("column %d: %s", e.Location.Column()+1, strings.ReplaceAll(e.Message, "\n", " "))
}

// describe lists fields with their types, for people.
func describe(fields []Field) string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = fmt.Sprintf("%s (%s)", f.Name, f.Type)
	}
	return strings.Join(names, ", ")
}

// decimal is money.Dec as CEL sees it.
type decimal money.Dec

var (
	_ ref.Val         = decimal{}
	_ traits.Comparer = decimal{}
)

func parseDecimal(text ref.Val) ref.Val {
	s, ok := text.Value().(string)
	if !ok {
		return types.MaybeNoSuchOverloadErr(text)
	}
	d, err := money.Parse(s)
	if err != nil {
		return types.NewErr("dec: %v", err)
	}
	return decimal(d)
}

// Compare implements traits.Comparer.
func (d decimal) Compare(other ref.Val) ref.Val {
	o, ok := other.(decimal)
	if !ok {
		return types.MaybeNoSuchOverloadErr(other)
	}
	return types.Int(money.Dec(d).Cmp(money.Dec(o)))
}

// ConvertToNative implements ref.Val.
func (d decimal) ConvertToNative(t reflect.Type) (any, error) {
	if t == reflect.TypeFor[money.Dec]() {
		return money.Dec(d), nil
	}
	return nil, fmt.Errorf("decimal is no %v", t)
}

// ConvertToType implements ref.Val.
func (d decimal) ConvertToType(t ref.Type) ref.Val {
	switch t {
	case types.StringType:
		return types.String(money.Dec(d).String())
	case types.TypeType:
		return decimalType
	}
	return types.NewErr("decimal is no %s", t.TypeName())
}

// Equal implements ref.Val.
func (d decimal) Equal(other ref.Val) ref.Val {
	o, ok := other.(decimal)
	return types.Bool(ok && d == o)
}

// Type implements ref.Val.
func (d decimal) Type() ref.Type { return decimalType }

// Value implements ref.Val.
func (d decimal) Value() any { return money.Dec(d) }

// adapter turns values of rows into values of CEL.
type adapter struct{ types.Adapter }

// NativeToValue implements types.Adapter.
func (a adapter) NativeToValue(value any) ref.Val {
	if d, ok := value.(money.Dec); ok {
		return decimal(d)
	}
	return a.Adapter.NativeToValue(value)
}
