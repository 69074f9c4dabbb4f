// Package filter turns the text of --where into a function: a CEL expression over documented fields,
// with decimals that are exact and a bound on what one evaluation may cost.
package filter

import (
	"errors"
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"

	"daybreak/workflow"
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

// Compile returns the filter of a text over fields. A text that does not parse, names an unknown
// field, compares unlike types, or gives anything but true or false is ErrFilter, with the fields.
func Compile(text string, fields []Field) (*Filter, error) {
	if len(text) > textMax {
		return nil, fmt.Errorf("%w: %d characters, at most %d", ErrFilter, len(text), textMax)
	}
	if err := workflow.CheckText(text); err != nil {
		return nil, fmt.Errorf("%w: %w; the fields are %s", ErrFilter, err, describe(fields))
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
	options := workflow.Decimals()
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
		return workflow.DecimalType
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
