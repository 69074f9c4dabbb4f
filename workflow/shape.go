package workflow

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// shape reads values of a document as what they should be, and notes a problem of check 1 where
// they are something else. docs/workflow.schema.json says the same; a test compares them.
type shape struct {
	data     []byte
	lines    []int // offsets of the lines
	problems []Problem
	node     string // that is being read
}

func newShape(data []byte) *shape {
	s := &shape{data: data, lines: []int{0}}
	for i, b := range data {
		if b == '\n' {
			s.lines = append(s.lines, i+1)
		}
	}
	return s
}

// place returns the line and column of an offset, from 1.
func (s *shape) place(at int) (line, column int) {
	i, ok := slices.BinarySearch(s.lines, at)
	if !ok {
		i--
	}
	return i + 1, at - s.lines[i] + 1
}

// report notes a problem at an offset.
func (s *shape) report(check Check, at int, reason, remedy string) {
	line, column := s.place(at)
	s.problems = append(s.problems, Problem{check, Fault, line, column, s.node, reason, remedy})
}

// want reports whether v is of a kind, and notes a problem where it is not; an absent one is none.
func (s *shape) want(v *value, what string, k kind) bool {
	if v == nil {
		return false
	}
	if v.kind != k {
		s.report(CheckShape, v.at, fmt.Sprintf("%s is %s", what, v.kind), "write "+k.String())
		return false
	}
	return true
}

// fields notes the names of an object that are not among known, and those of required that it
// lacks; known and required are lists with blanks between the names.
func (s *shape) fields(v *value, what, known, required string) {
	names := strings.Fields(known)
	for _, m := range v.members {
		if !slices.Contains(names, m.name) {
			s.report(CheckShape, m.at, fmt.Sprintf("%s has no field %q", what, clip([]byte(m.name))), "its fields are "+strings.Join(names, ", "))
		}
	}
	for _, name := range strings.Fields(required) {
		if v.find(name) == nil {
			s.report(CheckShape, v.at, what+" lacks "+name, "add "+name)
		}
	}
}

// text reads a text that a pattern matches; nil takes any.
func (s *shape) text(v *value, what string, pattern *regexp.Regexp) string {
	if !s.want(v, what, kindString) {
		return ""
	}
	if pattern != nil && !pattern.MatchString(v.text) {
		s.report(CheckShape, v.at, fmt.Sprintf("%s is %q", what, clip([]byte(v.text))), "write what matches "+pattern.String())
		return ""
	}
	return v.text
}

// oneOf reads a text that is one of the options.
func (s *shape) oneOf(v *value, what string, options ...string) string {
	if !s.want(v, what, kindString) {
		return ""
	}
	if !slices.Contains(options, v.text) {
		s.report(CheckShape, v.at, fmt.Sprintf("%s is %q", what, clip([]byte(v.text))), "write one of "+strings.Join(options, ", "))
		return ""
	}
	return v.text
}

// integer reads a whole number within bounds, or returns otherwise where it is absent or wrong.
func (s *shape) integer(v *value, what string, least, most, otherwise int) int {
	if !s.want(v, what, kindNumber) {
		return otherwise
	}
	n, err := strconv.Atoi(v.text)
	if err != nil || n < least || n > most {
		s.report(CheckShape, v.at, fmt.Sprintf("%s is %s", what, clip([]byte(v.text))), fmt.Sprintf("write a whole number from %d to %d", least, most))
		return otherwise
	}
	return n
}

// list returns the items of a list with so many.
func (s *shape) list(v *value, what string, least, most int) []*value {
	if !s.want(v, what, kindList) {
		return nil
	}
	if len(v.items) < least || len(v.items) > most {
		s.report(CheckShape, v.at, fmt.Sprintf("%s has %d items", what, len(v.items)), fmt.Sprintf("write from %d to %d", least, most))
		return nil
	}
	return v.items
}

// texts reads a list of different texts.
func (s *shape) texts(v *value, what string, pattern *regexp.Regexp, most int) []string {
	var all []string
	for _, item := range s.list(v, what, 1, most) {
		if text := s.text(item, what, pattern); slices.Contains(all, text) {
			s.report(CheckShape, item.at, fmt.Sprintf("%s has %q twice", what, clip([]byte(text))), "leave one out")
		} else {
			all = append(all, text)
		}
	}
	return all
}

// The patterns of names.
var (
	namePattern   = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,63}$`)
	nodePattern   = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
	actionPattern = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}(\.[a-z][a-z0-9_]{0,31}){1,3}$`)
	codePattern   = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,63}$`)
)

// The most that a type may say, and how deep it may nest.
const (
	fieldsMax    = 200
	enumMax      = 100
	sizeMax      = 100_000
	typeDepthMax = 16
)

// typeOf reads a type; nil where there is a problem.
func (s *shape) typeOf(v *value, what string, depth int) *Type {
	if !s.want(v, what, kindObject) {
		return nil
	}
	if depth > typeDepthMax {
		s.report(CheckShape, v.at, fmt.Sprintf("types are nested deeper than %d levels", typeDepthMax), "flatten it")
		return nil
	}
	count := len(s.problems)
	t := &Type{Comment: s.text(v.find("description"), what+".description", nil), MaxLength: lengthDefault, MaxItems: itemsDefault}
	if v.find("type") == nil {
		s.fields(v, what, "type", "type")
		return nil
	}
	switch s.oneOf(v.find("type"), what+".type", "string", "integer", "boolean", "array", "object") {
	case "string":
		s.stringType(v, what, t)
	case "integer":
		t.Kind = Integer
		s.fields(v, what, "type description", "type")
	case "boolean":
		t.Kind = Boolean
		s.fields(v, what, "type description", "type")
	case "array":
		t.Kind = List
		s.fields(v, what, "type description items maxItems", "type items")
		t.MaxItems = s.integer(v.find("maxItems"), what+".maxItems", 0, sizeMax, itemsDefault)
		t.Items = s.typeOf(v.find("items"), what+".items", depth+1)
	case "object":
		s.objectType(v, what, depth, t)
	}
	if len(s.problems) > count {
		return nil
	}
	return t
}

func (s *shape) stringType(v *value, what string, t *Type) {
	t.Kind = String
	if format := v.find("format"); format != nil {
		s.fields(v, what, "type description format", "type")
		t.Kind = map[string]Kind{"decimal": Decimal, "date": Date, "date-time": Time}[s.oneOf(format, what+".format", "decimal", "date", "date-time")]
		return
	}
	if enum := v.find("enum"); enum != nil {
		s.fields(v, what, "type description enum", "type")
		t.Enum = s.texts(enum, what+".enum", enumPattern, enumMax)
		slices.Sort(t.Enum)
		return
	}
	s.fields(v, what, "type description maxLength", "type")
	t.MaxLength = s.integer(v.find("maxLength"), what+".maxLength", 0, sizeMax, lengthDefault)
}

// enumPattern bounds the values of an enumeration.
var enumPattern = regexp.MustCompile(`^[A-Za-z0-9_.:-]{1,64}$`)

func (s *shape) objectType(v *value, what string, depth int, t *Type) {
	more := v.find("additionalProperties")
	if more != nil && more.kind == kindObject {
		t.Kind = Map
		s.fields(v, what, "type description additionalProperties maxProperties", "type")
		t.MaxItems = s.integer(v.find("maxProperties"), what+".maxProperties", 0, sizeMax, itemsDefault)
		t.Items = s.typeOf(more, what+".additionalProperties", depth+1)
		return
	}
	t.Kind = Object
	s.fields(v, what, "type description properties required additionalProperties", "type properties")
	if s.want(more, what+".additionalProperties", kindBool) {
		t.Closed = more.text == "false"
	}
	properties := v.find("properties")
	if !s.want(properties, what+".properties", kindObject) {
		return
	}
	s.properties(properties, what, depth, t)
	s.required(v.find("required"), what, t)
	t.name = "object:" + shortHash(t)
}

func (s *shape) properties(v *value, what string, depth int, t *Type) {
	if len(v.members) > fieldsMax {
		s.report(CheckShape, v.at, fmt.Sprintf("%s has more than %d properties", what, fieldsMax), "group them")
		return
	}
	for _, m := range v.members {
		if !nodePattern.MatchString(m.name) {
			s.report(CheckShape, m.at, fmt.Sprintf("%s has a property %q", what, clip([]byte(m.name))), "write a name that matches "+nodePattern.String())
			continue
		}
		if inner := s.typeOf(m.value, what+"."+m.name, depth+1); inner != nil {
			t.Fields = append(t.Fields, Field{Name: m.name, Type: inner})
		}
	}
	slices.SortStableFunc(t.Fields, func(a, b Field) int { return strings.Compare(a.Name, b.Name) })
}

func (s *shape) required(v *value, what string, t *Type) {
	if v == nil {
		return
	}
	for _, name := range s.texts(v, what+".required", nodePattern, fieldsMax) {
		i := slices.IndexFunc(t.Fields, func(f Field) bool { return f.Name == name })
		if i < 0 {
			s.report(CheckReferences, v.at, fmt.Sprintf("%s requires %q, which is not among its properties", what, name), "add the property or leave the name out")
			continue
		}
		t.Fields[i].Required = true
	}
}
