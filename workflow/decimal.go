package workflow

import (
	"fmt"
	"reflect"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"daybreak/money"
)

// decimal is money.Dec as expressions see it.
type decimal money.Dec

var (
	_ ref.Val           = decimal{}
	_ traits.Comparer   = decimal{}
	_ traits.Adder      = decimal{}
	_ traits.Subtractor = decimal{}
	_ traits.Multiplier = decimal{}
	_ traits.Divider    = decimal{}
	_ traits.Negater    = decimal{}
)

// DecimalType is the type of exact numbers in expressions, money.Dec.
var DecimalType = cel.ObjectType("decimal",
	traits.ComparerType|traits.AdderType|traits.SubtractorType|traits.MultiplierType|traits.DividerType|traits.NegatorType)

// Decimals declares dec, string, money.round and the operators of decimals, which dispatch by what
// their left side can do, and reads money.Dec as a decimal. Filters of orders share it.
func Decimals() []cel.EnvOption {
	options := []cel.EnvOption{
		cel.CustomTypeAdapter(valueAdapter),
		cel.Function("dec",
			cel.Overload("dec_string", []*cel.Type{cel.StringType}, DecimalType, cel.UnaryBinding(parseDecimal)),
			cel.Overload("dec_int", []*cel.Type{cel.IntType}, DecimalType, cel.UnaryBinding(parseDecimal))),
		cel.Function("string", cel.Overload("decimal_to_string", []*cel.Type{DecimalType}, cel.StringType,
			cel.UnaryBinding(func(v ref.Val) ref.Val { return v.ConvertToType(types.StringType) }))),
		cel.Function("money.round", cel.Overload("money_round", []*cel.Type{DecimalType, cel.IntType}, DecimalType, cel.BinaryBinding(roundDecimal))),
		cel.Function(operators.Negate, cel.Overload("negate_decimal", []*cel.Type{DecimalType}, DecimalType)),
	}
	for _, op := range []string{operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals} {
		options = append(options, cel.Function(op, cel.Overload("decimal"+op+"decimal", []*cel.Type{DecimalType, DecimalType}, cel.BoolType)))
	}
	for _, op := range []string{operators.Add, operators.Subtract, operators.Multiply, operators.Divide} {
		options = append(options, cel.Function(op, cel.Overload("decimal"+op+"decimal", []*cel.Type{DecimalType, DecimalType}, DecimalType)))
	}
	return options
}

func parseDecimal(v ref.Val) ref.Val {
	switch v := v.(type) {
	case types.Int:
		return decimal(money.FromInt(int64(v)))
	case types.String:
		d, err := money.Parse(string(v))
		if err != nil {
			return types.NewErr("dec: %v", err)
		}
		return decimal(d)
	}
	return types.MaybeNoSuchOverloadErr(v)
}

func roundDecimal(v, places ref.Val) ref.Val {
	d, isDecimal := v.(decimal)
	n, isInt := places.(types.Int)
	switch {
	case !isDecimal || !isInt:
		return types.MaybeNoSuchOverloadErr(v)
	case n < 0 || n > money.Places:
		return types.NewErr("money.round: %d places, from 0 to %d", n, money.Places)
	}
	return decimal(money.Dec(d).Round(int(n)))
}

// with computes with another decimal; a result out of range, or a division by zero, is an error.
func (d decimal) with(other ref.Val, compute func(a, b money.Dec) money.Dec) (result ref.Val) {
	o, ok := other.(decimal)
	if !ok {
		return types.MaybeNoSuchOverloadErr(other)
	}
	defer func() {
		if cause := recover(); cause != nil {
			result = types.NewErr("decimal: %v", cause)
		}
	}()
	return decimal(compute(money.Dec(d), money.Dec(o)))
}

// Add implements traits.Adder.
func (d decimal) Add(other ref.Val) ref.Val { return d.with(other, money.Dec.Add) }

// Subtract implements traits.Subtractor.
func (d decimal) Subtract(other ref.Val) ref.Val { return d.with(other, money.Dec.Sub) }

// Multiply implements traits.Multiplier.
func (d decimal) Multiply(other ref.Val) ref.Val { return d.with(other, money.Dec.Mul) }

// Divide implements traits.Divider.
func (d decimal) Divide(other ref.Val) ref.Val { return d.with(other, money.Dec.Div) }

// Negate implements traits.Negater.
func (d decimal) Negate() ref.Val { return decimal(money.Dec(d).Neg()) }

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
		return DecimalType
	}
	return types.NewErr("decimal is no %s", t.TypeName())
}

// Equal implements ref.Val.
func (d decimal) Equal(other ref.Val) ref.Val {
	o, ok := other.(decimal)
	return types.Bool(ok && d == o)
}

// Type implements ref.Val.
func (d decimal) Type() ref.Type { return DecimalType }

// Value implements ref.Val.
func (d decimal) Value() any { return money.Dec(d) }
