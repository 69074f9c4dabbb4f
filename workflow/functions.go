package workflow

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// sessions is the variable market of expressions: the functions that Env brings.
type sessions struct{ *Functions }

var _ ref.Val = sessions{}

// marketType is the type of the variable market.
var marketType = cel.ObjectType("market")

// errNoFunction says that Env lacks a function.
var errNoFunction = errors.New("the function is not available here")

// functionOptions declare the functions of sessions and zones. They are members of the variable
// market, so that their code comes with each evaluation; at, date and clock are short for theirs.
func functionOptions() []cel.EnvOption {
	text, instant := cel.StringType, cel.TimestampType
	member := func(name string, result *cel.Type, call func(f *Functions, args []ref.Val) (ref.Val, error), args ...*cel.Type) cel.EnvOption {
		binding := cel.FunctionBinding(func(all ...ref.Val) ref.Val {
			m, ok := all[0].(sessions)
			if !ok {
				return types.MaybeNoSuchOverloadErr(all[0])
			}
			v, err := call(m.Functions, all[1:])
			if err != nil {
				return types.NewErr("%s: %v", name, err)
			}
			return v
		})
		return cel.Function(name, cel.MemberOverload("market_"+name, append([]*cel.Type{marketType}, args...), result, binding))
	}
	return []cel.EnvOption{
		cel.Variable("market", marketType),
		member("nextOpen", instant, func(f *Functions, a []ref.Val) (ref.Val, error) { return instantOf(f.NextOpen, a) }, text, instant),
		member("nextClose", instant, func(f *Functions, a []ref.Val) (ref.Val, error) { return instantOf(f.NextClose, a) }, text, instant),
		member("isOpen", cel.BoolType, isOpen, text, instant),
		member("isSession", cel.BoolType, isSession, text, text),
		member("nextSession", text, func(f *Functions, a []ref.Val) (ref.Val, error) { return sessionOf(f.NextSession, a) }, text, text),
		member("prevSession", text, func(f *Functions, a []ref.Val) (ref.Val, error) { return sessionOf(f.PrevSession, a) }, text, text),
		member("open", instant, func(f *Functions, a []ref.Val) (ref.Val, error) { return bellOf(f.Open, a) }, text, text),
		member("close", instant, func(f *Functions, a []ref.Val) (ref.Val, error) { return bellOf(f.Close, a) }, text, text),
		member("at", instant, clockTime, text, text, text),
		member("date", text, func(f *Functions, a []ref.Val) (ref.Val, error) { return shown(f, a, time.DateOnly) }, instant, text),
		member("clock", text, func(f *Functions, a []ref.Val) (ref.Val, error) { return shown(f, a, "15:04") }, instant, text),
		cel.Macros(memberOfMarket("at", 3), memberOfMarket("date", 2), memberOfMarket("clock", 2)),
	}
}

// memberOfMarket makes name(…) short for market.name(…).
func memberOfMarket(name string, args int) cel.Macro {
	return cel.GlobalMacro(name, args, func(f cel.MacroExprFactory, _ ast.Expr, args []ast.Expr) (ast.Expr, *cel.Error) {
		return f.NewMemberCall(name, f.NewIdent("market"), args...), nil
	})
}

func text(v ref.Val) string {
	s, _ := v.(types.String)
	return string(s)
}

func instant(v ref.Val) time.Time {
	t, _ := v.(types.Timestamp)
	return t.Time
}

func instantOf(f func(string, time.Time) (time.Time, error), a []ref.Val) (ref.Val, error) {
	if f == nil {
		return nil, errNoFunction
	}
	t, err := f(text(a[0]), instant(a[1]))
	return types.Timestamp{Time: t}, err
}

func isOpen(f *Functions, a []ref.Val) (ref.Val, error) {
	if f.IsOpen == nil {
		return nil, errNoFunction
	}
	is, err := f.IsOpen(text(a[0]), instant(a[1]))
	return types.Bool(is), err
}

func isSession(f *Functions, a []ref.Val) (ref.Val, error) {
	if f.IsSession == nil {
		return nil, errNoFunction
	}
	is, err := f.IsSession(text(a[0]), text(a[1]))
	return types.Bool(is), err
}

func sessionOf(f func(exchange, day string) (string, error), a []ref.Val) (ref.Val, error) {
	if f == nil {
		return nil, errNoFunction
	}
	day, err := f(text(a[0]), text(a[1]))
	return types.String(day), err
}

func bellOf(f func(exchange, day string) (time.Time, error), a []ref.Val) (ref.Val, error) {
	if f == nil {
		return nil, errNoFunction
	}
	t, err := f(text(a[0]), text(a[1]))
	return types.Timestamp{Time: t}, err
}

// clockTime returns the instant at which clocks of a zone show a day and time. Of a time that they
// show twice it is the first; one that they skip counts on from before, so that 02:30 is 03:30.
func clockTime(f *Functions, a []ref.Val) (ref.Val, error) {
	zone, err := zoneOf(f, text(a[2]))
	if err != nil {
		return nil, err
	}
	shown, err := time.Parse("2006-01-02 15:04", text(a[0])+" "+text(a[1]))
	if err != nil {
		return nil, fmt.Errorf("want a day and a time such as \"2026-03-09\" and \"09:30\": %w", err)
	}
	const day = 24 * time.Hour
	first, second := atOffset(shown, shown.Add(-day), zone), atOffset(shown, shown.Add(day), zone)
	if showing(first, zone) != showing(shown, time.UTC) && showing(second, zone) == showing(shown, time.UTC) {
		first = second
	}
	return types.Timestamp{Time: first}, nil
}

// atOffset returns the instant of a clock time with the offset that a zone has at another instant.
func atOffset(shown, at time.Time, zone *time.Location) time.Time {
	_, seconds := at.In(zone).Zone()
	return shown.Add(-time.Duration(seconds) * time.Second)
}

// showing returns what clocks of a zone show.
func showing(t time.Time, zone *time.Location) string { return t.In(zone).Format(time.DateTime) }

func shown(f *Functions, a []ref.Val, layout string) (ref.Val, error) {
	zone, err := zoneOf(f, text(a[1]))
	if err != nil {
		return nil, err
	}
	return types.String(instant(a[0]).In(zone).Format(layout)), nil
}

func zoneOf(f *Functions, name string) (*time.Location, error) {
	if f.Zone == nil {
		return nil, errNoFunction
	}
	return f.Zone(name)
}

// ConvertToNative implements ref.Val.
func (s sessions) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("market is no %v", t)
}

// ConvertToType implements ref.Val.
func (s sessions) ConvertToType(t ref.Type) ref.Val {
	if t == types.TypeType {
		return marketType
	}
	return types.NewErr("market is no %s", t.TypeName())
}

// Equal implements ref.Val.
func (s sessions) Equal(other ref.Val) ref.Val {
	_, ok := other.(sessions)
	return types.Bool(ok)
}

// Type implements ref.Val.
func (s sessions) Type() ref.Type { return marketType }

// Value implements ref.Val.
func (s sessions) Value() any { return s }
