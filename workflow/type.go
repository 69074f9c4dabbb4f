package workflow

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"daybreak/money"
)

// ErrValue is wrapped where a value is not of its type. Engines branch on it to park an instance.
var ErrValue = errors.New("not a value of this type")

// Kind is the kind of a type.
type Kind int

// The kinds of types. A Decimal is a JSON string, so that nothing rounds it; a Date is 2006-01-02, a
// Time RFC 3339. There are no binary fractions.
const (
	String Kind = iota + 1
	Integer
	Boolean
	Decimal
	Date
	Time
	List
	Object
	Map
)

// The bounds of texts and lists whose type names none.
const (
	lengthDefault = 1_000
	itemsDefault  = 1_000
)

// Type is the type of a value of JSON: a part of JSON Schema that fixes what an expression may do
// with it and how large it gets. It is immutable.
type Type struct {
	Kind      Kind
	Comment   string
	Enum      []string // of a String, sorted: its only values; nil for any
	MaxLength int      // of a String, in bytes
	MaxItems  int      // of a List and a Map
	Items     *Type    // of a List and a Map: what is in it
	Fields    []Field  // of an Object, by name
	Closed    bool     // of an Object: it has no other fields

	name string // of an Object: the same for equal types
}

// Field is one field of an object type.
type Field struct {
	Name     string
	Type     *Type
	Required bool
}

// Field returns a field of an object type by its name.
func (t *Type) Field(name string) (Field, bool) {
	i, ok := slices.BinarySearchFunc(t.Fields, name, func(f Field, name string) int { return strings.Compare(f.Name, name) })
	if !ok {
		return Field{}, false
	}
	return t.Fields[i], true
}

// String returns what messages call the type.
func (t *Type) String() string {
	switch t.Kind {
	case List:
		return "list of " + t.Items.String()
	case Map:
		return "map to " + t.Items.String()
	case String:
		if t.Enum != nil {
			return "one of " + strings.Join(t.Enum, ", ")
		}
	}
	return [...]string{"", "string", "integer", "boolean", "decimal", "date", "date-time", "", "object", ""}[t.Kind]
}

// Canonical returns the canonical JSON of data, or ErrValue, wrapped with the path, where data is
// not of the type: a field that is missing, of another type or too long, or one that a closed
// object lacks.
func (t *Type) Canonical(data []byte) ([]byte, error) {
	if t.check(data) == nil {
		return data, nil
	}
	// What is wrong with it may be the order of its fields alone.
	canonical, err := Canonical(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrValue, err)
	}
	if err := t.check(canonical); err != nil {
		if errors.Is(err, errLoose) {
			return nil, fmt.Errorf("not a %s: %w", t, ErrValue)
		}
		return nil, err
	}
	return canonical, nil
}

// check checks canonical JSON against the type, and returns errLoose where it is not canonical or
// of another kind.
func (t *Type) check(data []byte) error {
	s := &scanner{data: data}
	if err := t.read(s, 0); err != nil {
		return err
	}
	if s.i != len(data) {
		return errLoose
	}
	return nil
}

func mismatch(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrValue)
}

func (t *Type) read(s *scanner, depth int) error {
	if depth > depthMax {
		return errLoose
	}
	if got := kindAt(s.next()); got != t.json() && got != 0 {
		return mismatch("%s where a %s is due", got, t)
	}
	switch t.Kind {
	case Object:
		return t.readObject(s, depth)
	case List, Map:
		return t.readMany(s, depth)
	case Boolean:
		return s.word("true", "false")
	case Integer:
		return t.readInteger(s)
	}
	text, err := s.text()
	if err != nil {
		return err
	}
	return t.checkText(text)
}

// kindAt returns the kind of value that begins with a byte, 0 for none.
func kindAt(b byte) kind {
	switch {
	case b == '"':
		return kindString
	case b == '{':
		return kindObject
	case b == '[':
		return kindList
	case b == 't' || b == 'f':
		return kindBool
	case b == 'n':
		return kindNull
	case b == '-' || b >= '0' && b <= '9':
		return kindNumber
	}
	return 0
}

// json returns the kind of JSON that holds values of the type.
func (t *Type) json() kind {
	switch t.Kind {
	case Integer:
		return kindNumber
	case Boolean:
		return kindBool
	case List:
		return kindList
	case Object, Map:
		return kindObject
	}
	return kindString
}

func (t *Type) readInteger(s *scanner) error {
	text, err := s.integer()
	if err != nil {
		return err
	}
	if c := s.next(); c == '.' || c == 'e' || c == 'E' {
		return mismatch("a fraction where an integer is due")
	}
	if len(text) >= 18 {
		if _, err := strconv.ParseInt(string(text), 10, 64); err != nil {
			return mismatch("%s has more digits than an integer takes", text)
		}
	}
	return nil
}

func (t *Type) checkText(text []byte) error {
	var err error
	switch t.Kind {
	case Decimal:
		if len(text) <= 18 && isPlainDecimal(text) {
			return nil
		}
		_, err = money.Parse(string(text))
	case Date:
		_, err = time.Parse(time.DateOnly, string(text))
	case Time:
		_, err = time.Parse(time.RFC3339Nano, string(text))
	default:
		return t.checkString(text)
	}
	if err != nil {
		return mismatch("%q is no %s", clip(text), t)
	}
	return nil
}

// isPlainDecimal reports whether a text of at most 18 characters is a decimal beyond doubt: money
// judges the others.
func isPlainDecimal(text []byte) bool {
	if len(text) > 0 && text[0] == '-' {
		text = text[1:]
	}
	point := -1
	for i, c := range text {
		switch {
		case c == '.' && point < 0:
			point = i
		case c < '0' || c > '9':
			return false
		}
	}
	return len(text) > 0 && point != 0 && point != len(text)-1 && (point < 0 || len(text)-point-1 <= money.Places)
}

func (t *Type) checkString(text []byte) error {
	if len(text) > t.MaxLength {
		return mismatch("%d characters, at most %d", len(text), t.MaxLength)
	}
	if t.Enum == nil {
		return nil
	}
	for _, v := range t.Enum {
		if v == string(text) {
			return nil
		}
	}
	return mismatch("%q is not %s", clip(text), t)
}

// clip shortens what a message quotes.
func clip(text []byte) string {
	const most = 40
	if len(text) > most {
		return string(text[:most]) + "…"
	}
	return string(text)
}

func (t *Type) readObject(s *scanner, depth int) error {
	f := 0
	err := s.members(func(name []byte) error {
		for f < len(t.Fields) && t.Fields[f].Name < string(name) {
			if t.Fields[f].Required {
				return mismatch("%s is missing", t.Fields[f].Name)
			}
			f++
		}
		if f == len(t.Fields) || t.Fields[f].Name != string(name) {
			if t.Closed {
				return mismatch("%s is unknown", clip(name))
			}
			return s.any(depth + 1)
		}
		f++
		return within(t.Fields[f-1].Name, t.Fields[f-1].Type.read(s, depth+1))
	})
	if err != nil {
		return err
	}
	for ; f < len(t.Fields); f++ {
		if t.Fields[f].Required {
			return mismatch("%s is missing", t.Fields[f].Name)
		}
	}
	return nil
}

// within puts the name of a field before what is wrong inside it.
func within(name string, err error) error {
	if err == nil || err == errLoose { //nolint:errorlint // it is never wrapped
		return err
	}
	return fmt.Errorf("%s: %w", name, err)
}

func (t *Type) readMany(s *scanner, depth int) error {
	n := 0
	one := func() error {
		if n++; n > t.MaxItems {
			return mismatch("more than %d items", t.MaxItems)
		}
		return t.Items.read(s, depth+1)
	}
	if t.Kind == List {
		return s.items(func() error { return within(strconv.Itoa(n), one()) })
	}
	return s.members(func(name []byte) error {
		if len(name) > lengthDefault {
			return mismatch("a name of %d characters, at most %d", len(name), lengthDefault)
		}
		return within(clip(name), one())
	})
}

// takes reports whether each value of from is a value of t, so that nothing need be checked.
func (t *Type) takes(from *Type) bool {
	if t == from {
		return true
	}
	if t.Kind != from.Kind {
		return t.Kind == String && from.Kind == Date && t.Enum == nil && t.MaxLength >= len(time.DateOnly)
	}
	switch t.Kind {
	case String:
		return t.takesString(from)
	case List, Map:
		return from.MaxItems <= t.MaxItems && t.Items.takes(from.Items)
	case Object:
		return t.takesObject(from)
	}
	return true
}

func (t *Type) takesString(from *Type) bool {
	if t.Enum == nil {
		return from.MaxLength <= t.MaxLength
	}
	return from.Enum != nil && !slices.ContainsFunc(from.Enum, func(v string) bool { return !slices.Contains(t.Enum, v) })
}

func (t *Type) takesObject(from *Type) bool {
	if t.Closed && !from.Closed {
		return false
	}
	for _, f := range t.Fields {
		given, ok := from.Field(f.Name)
		if !ok && (f.Required || !from.Closed) || ok && (f.Required && !given.Required || !f.Type.takes(given.Type)) {
			return false
		}
	}
	for _, f := range from.Fields {
		if _, ok := t.Field(f.Name); !ok && t.Closed {
			return false
		}
	}
	return true
}

// MarshalJSON returns the type as JSON Schema.
func (t *Type) MarshalJSON() ([]byte, error) {
	out := map[string]any{"type": [...]string{"", "string", "integer", "boolean", "string", "string", "string", "array", "object", "object"}[t.Kind]}
	if t.Comment != "" {
		out["description"] = t.Comment
	}
	switch t.Kind {
	case String:
		if out["maxLength"] = t.MaxLength; t.Enum != nil {
			out["enum"] = t.Enum
			delete(out, "maxLength")
		}
	case Decimal, Date, Time:
		out["format"] = t.String()
	case List:
		out["items"], out["maxItems"] = t.Items, t.MaxItems
	case Map:
		out["additionalProperties"], out["maxProperties"] = t.Items, t.MaxItems
	case Object:
		t.objectSchema(out)
	}
	return json.Marshal(out)
}

func (t *Type) objectSchema(out map[string]any) {
	properties := map[string]*Type{}
	required := []string{}
	for _, f := range t.Fields {
		properties[f.Name] = f.Type
		if f.Required {
			required = append(required, f.Name)
		}
	}
	out["properties"] = properties
	if len(required) > 0 {
		out["required"] = required
	}
	if t.Closed {
		out["additionalProperties"] = false
	}
}
