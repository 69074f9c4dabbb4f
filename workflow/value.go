package workflow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"daybreak/money"
)

// object is a value of an object type that is read from its JSON field by field, as an expression
// asks for them.
type object struct {
	t     *Type
	raw   []byte
	spans []span // nil until the first field is read
}

var _ ref.Val = (*object)(nil)

// has reports whether the field at an index of the type is there.
func (o *object) has(field int) bool {
	if o.spans == nil {
		o.spans = locate(o.raw, o.t.Fields)
	}
	return o.spans[field].isSet()
}

// get returns the JSON of the field at an index of the type, or nil.
func (o *object) get(field int) []byte {
	if !o.has(field) {
		return nil
	}
	return o.spans[field].of(o.raw)
}

// decode returns JSON of a type as an expression sees it. The JSON was checked against the type.
func decode(t *Type, raw []byte) ref.Val {
	switch t.Kind {
	case Integer:
		n, err := strconv.ParseInt(string(raw), 10, 64)
		if err != nil {
			return types.WrapErr(err)
		}
		return types.Int(n)
	case Boolean:
		return types.Bool(raw[0] == 't')
	case Object:
		return &object{t: t, raw: raw}
	case List:
		return decodeList(t, raw)
	case Map:
		return decodeMap(t, raw)
	}
	text := decodeText(raw)
	switch t.Kind {
	case Decimal:
		d, err := money.Parse(text)
		if err != nil {
			return types.WrapErr(err)
		}
		return decimal(d)
	case Time:
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return types.WrapErr(err)
		}
		return types.Timestamp{Time: at}
	}
	return types.String(text)
}

// decodeText returns the text of a JSON string.
func decodeText(raw []byte) string {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1])
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return ""
	}
	return s
}

func decodeList(t *Type, raw []byte) ref.Val {
	var all []ref.Val
	for i := 1; i < len(raw) && raw[i] != ']'; {
		end := passValue(raw, i)
		all = append(all, decode(t.Items, raw[i:end]))
		if i = end; i < len(raw) && raw[i] == ',' {
			i++
		}
	}
	return types.NewRefValList(valueAdapter, all)
}

func decodeMap(t *Type, raw []byte) ref.Val {
	all := map[ref.Val]ref.Val{}
	for i := 1; i < len(raw) && raw[i] == '"'; {
		colon := passText(raw, i)
		end := passValue(raw, colon+1)
		all[types.String(decodeText(raw[i:colon]))] = decode(t.Items, raw[colon+1:end])
		if i = end; i < len(raw) && raw[i] == ',' {
			i++
		}
	}
	return types.NewRefValMap(valueAdapter, all)
}

// appendValue appends what an expression gave as canonical JSON.
func appendValue(b []byte, v ref.Val, depth int) ([]byte, error) {
	if depth > depthMax {
		return nil, fmt.Errorf("nested deeper than %d levels", depthMax)
	}
	switch v := v.(type) {
	case types.String:
		return appendText(b, string(v)), nil
	case types.Int:
		return strconv.AppendInt(b, int64(v), 10), nil
	case types.Bool:
		return strconv.AppendBool(b, bool(v)), nil
	case decimal:
		return append(append(append(b, '"'), money.Dec(v).String()...), '"'), nil
	case types.Timestamp:
		return append(v.UTC().AppendFormat(append(b, '"'), time.RFC3339Nano), '"'), nil
	case *object:
		return append(b, v.raw...), nil
	case traits.Mapper:
		return appendMap(b, v, depth)
	case traits.Lister:
		return appendList(b, v, depth)
	}
	return nil, fmt.Errorf("a %s has no JSON here", v.Type().TypeName())
}

func appendList(b []byte, list traits.Lister, depth int) ([]byte, error) {
	var err error
	b = append(b, '[')
	for it, first := list.Iterator(), true; it.HasNext() == types.True; first = false {
		if !first {
			b = append(b, ',')
		}
		if b, err = appendValue(b, it.Next(), depth+1); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

// appendMap writes the members as they come and has them sorted afterwards.
func appendMap(b []byte, m traits.Mapper, depth int) ([]byte, error) {
	text := []byte{'{'}
	for it := m.Iterator(); it.HasNext() == types.True; {
		key := it.Next()
		name, ok := key.(types.String)
		if !ok {
			return nil, fmt.Errorf("a map with a %s as its key has no JSON", key.Type().TypeName())
		}
		if len(text) > 1 {
			text = append(text, ',')
		}
		var err error
		text = append(appendText(text, string(name)), ':')
		if text, err = appendValue(text, m.Get(key), depth+1); err != nil {
			return nil, err
		}
	}
	canonical, err := Canonical(append(text, '}'))
	return append(b, canonical...), err
}

// ConvertToNative implements ref.Val.
func (o *object) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("object is no %v", t)
}

// ConvertToType implements ref.Val.
func (o *object) ConvertToType(t ref.Type) ref.Val {
	if t == types.TypeType {
		return o.t.cel()
	}
	return types.NewErr("object is no %s", t.TypeName())
}

// Equal implements ref.Val: canonical JSON is equal where the values are.
func (o *object) Equal(other ref.Val) ref.Val {
	p, ok := other.(*object)
	return types.Bool(ok && bytes.Equal(o.raw, p.raw))
}

// Type implements ref.Val.
func (o *object) Type() ref.Type { return o.t.cel() }

// Value implements ref.Val.
func (o *object) Value() any { return o }

// adapter turns Go values into values of expressions.
type adapter struct{ types.Adapter }

var valueAdapter = adapter{types.DefaultTypeAdapter}

// NativeToValue implements types.Adapter.
func (a adapter) NativeToValue(v any) ref.Val {
	switch v := v.(type) {
	case ref.Val:
		return v
	case money.Dec:
		return decimal(v)
	}
	return a.Adapter.NativeToValue(v)
}

// cel returns the type as the checker of expressions knows it.
func (t *Type) cel() *cel.Type {
	switch t.Kind {
	case Integer:
		return cel.IntType
	case Boolean:
		return cel.BoolType
	case Decimal:
		return DecimalType
	case Time:
		return cel.TimestampType
	case List:
		return cel.ListType(t.Items.cel())
	case Map:
		return cel.MapType(cel.StringType, t.Items.cel())
	case Object:
		return cel.ObjectType(t.name)
	}
	return cel.StringType
}
