package workflow

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// depthMax bounds how deep documents and values nest.
const depthMax = 64

// errSyntax is wrapped where a text is not JSON of the kind that is read here: one value, no name
// twice in an object, at most depthMax levels, UTF-8.
var errSyntax = errors.New("not JSON")

// kind is the kind of a JSON value.
type kind byte

const (
	kindNull kind = iota + 1
	kindBool
	kindNumber
	kindString
	kindList
	kindObject
)

// String returns what messages call the kind.
func (k kind) String() string {
	return [...]string{"nothing", "null", "true or false", "a number", "a text", "a list", "an object"}[k]
}

// value is a JSON value with its place in the document.
type value struct {
	kind    kind
	at      int    // offset of its first byte
	text    string // of a text: unquoted; of a number, true and false: as written
	items   []*value
	members []member // of an object, as written
}

// member is a name of an object with its value.
type member struct {
	name  string
	at    int
	value *value
}

// find returns the value of a name, or nil.
func (v *value) find(name string) *value {
	for _, m := range v.members {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

// treeReader reads a document into values.
type treeReader struct {
	data       []byte
	i          int
	duplicates []member // names that an object has already
}

// syntaxError is a fault of a document's text at an offset.
type syntaxError struct {
	at     int
	reason string
}

// Error returns the reason with the offset.
func (e *syntaxError) Error() string { return fmt.Sprintf("byte %d: %s", e.at, e.reason) }

// Unwrap returns errSyntax.
func (e *syntaxError) Unwrap() error { return errSyntax }

func (r *treeReader) fail(format string, args ...any) error {
	return &syntaxError{r.i, fmt.Sprintf(format, args...)}
}

// readTree reads one JSON value. Names that occur twice in an object are returned beside it.
func readTree(data []byte) (*value, []member, error) {
	if !utf8.Valid(data) {
		return nil, nil, &syntaxError{0, "the text is not UTF-8"}
	}
	r := &treeReader{data: data}
	v, err := r.value(0)
	if err != nil {
		return nil, nil, err
	}
	if r.space(); r.i < len(data) {
		return nil, nil, r.fail("something follows the value")
	}
	return v, r.duplicates, nil
}

func (r *treeReader) space() {
	for r.i < len(r.data) && isSpace(r.data[r.i]) {
		r.i++
	}
}

func isSpace(b byte) bool { return b == ' ' || b == '\n' || b == '\t' || b == '\r' }

// peek returns the next byte that is no white space, 0 at the end.
func (r *treeReader) peek() byte {
	if r.space(); r.i < len(r.data) {
		return r.data[r.i]
	}
	return 0
}

func (r *treeReader) value(depth int) (*value, error) {
	if depth > depthMax {
		return nil, r.fail("nested deeper than %d levels", depthMax)
	}
	b := r.peek()
	v := &value{at: r.i}
	switch {
	case b == '{':
		return v, r.object(v, depth)
	case b == '[':
		return v, r.list(v, depth)
	case b == '"':
		v.kind = kindString
		var err error
		v.text, err = r.text()
		return v, err
	case b == '-' || b >= '0' && b <= '9':
		v.kind = kindNumber
		return v, r.number(v)
	}
	for _, word := range []string{"true", "false", "null"} {
		if bytes.HasPrefix(r.data[r.i:], []byte(word)) {
			v.kind, v.text = kindBool, word
			if word == "null" {
				v.kind = kindNull
			}
			r.i += len(word)
			return v, nil
		}
	}
	if b == 0 {
		return nil, r.fail("the document ends here, where a value is due")
	}
	return nil, r.fail("%q begins no value", rune(b))
}

func (r *treeReader) object(v *value, depth int) error {
	v.kind = kindObject
	seen := map[string]bool{}
	for r.i++; r.peek() != '}'; {
		if len(v.members) > 0 {
			if r.peek() != ',' {
				return r.fail("a comma or } is due")
			}
			r.i++
		}
		if r.peek() != '"' {
			return r.fail("a name in double quotes is due")
		}
		at := r.i
		name, err := r.text()
		if err != nil {
			return err
		}
		if r.peek() != ':' {
			return r.fail("a colon is due")
		}
		r.i++
		inner, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		m := member{name, at, inner}
		if seen[name] {
			r.duplicates = append(r.duplicates, m)
		}
		seen[name] = true
		v.members = append(v.members, m)
	}
	r.i++
	return nil
}

func (r *treeReader) list(v *value, depth int) error {
	v.kind = kindList
	for r.i++; r.peek() != ']'; {
		if len(v.items) > 0 {
			if r.peek() != ',' {
				return r.fail("a comma or ] is due")
			}
			r.i++
		}
		inner, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		v.items = append(v.items, inner)
	}
	r.i++
	return nil
}

// text reads a string; r stands at its opening quote.
func (r *treeReader) text() (string, error) {
	end := r.i + 1
	for end < len(r.data) && r.data[end] != '"' {
		if r.data[end] == '\\' {
			end++
		}
		end++
	}
	if end >= len(r.data) {
		return "", r.fail("the text has no closing quote")
	}
	var s string
	if err := json.Unmarshal(r.data[r.i:end+1], &s); err != nil {
		return "", r.fail("the text cannot be read: %v", err)
	}
	r.i = end + 1
	return s, nil
}

func (r *treeReader) number(v *value) error {
	end := r.i
	for end < len(r.data) && strings.IndexByte("+-.0123456789eE", r.data[end]) >= 0 {
		end++
	}
	v.text = string(r.data[r.i:end])
	if !json.Valid(r.data[r.i:end]) {
		return r.fail("%q is not a number", v.text)
	}
	r.i = end
	return nil
}

// appendCanonical appends the value with sorted names and without white space. Numbers stay as they
// were written.
func appendCanonical(b []byte, v *value) []byte {
	switch v.kind {
	case kindNull, kindBool, kindNumber:
		return append(b, v.text...)
	case kindString:
		return appendText(b, v.text)
	case kindList:
		b = append(b, '[')
		for i, item := range v.items {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendCanonical(b, item)
		}
		return append(b, ']')
	}
	sorted := slices.SortedStableFunc(slices.Values(v.members), func(a, b member) int { return strings.Compare(a.name, b.name) })
	b = append(b, '{')
	for i, m := range sorted {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendText(b, m.name), ':')
		b = appendCanonical(b, m.value)
	}
	return append(b, '}')
}

// appendText appends s as a JSON string, escaping no more than JSON asks for.
func appendText(b []byte, s string) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c == '\t':
			b = append(b, '\\', 't')
		case c < ' ':
			b = append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// Canonical returns JSON with sorted names and without white space, or an error where data is not
// one JSON value without a name twice.
func Canonical(data []byte) ([]byte, error) {
	v, duplicates, err := readTree(data)
	if err != nil {
		return nil, err
	}
	if len(duplicates) > 0 {
		return nil, fmt.Errorf("the name %q is there twice: %w", duplicates[0].name, errSyntax)
	}
	return appendCanonical(make([]byte, 0, len(data)), v), nil
}
