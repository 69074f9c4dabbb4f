package workflow

import (
	"bytes"
	"errors"
)

// errLoose says that a text may be JSON, but is not the canonical one; it is then read the slow way.
var errLoose = errors.New("not canonical JSON")

// scanner reads canonical JSON in place. It allocates nothing and refuses all else with errLoose.
type scanner struct {
	data []byte
	i    int
}

// next returns the byte at the scanner, 0 at the end.
func (s *scanner) next() byte {
	if s.i < len(s.data) {
		return s.data[s.i]
	}
	return 0
}

// text passes a string without escapes and returns what is between its quotes.
func (s *scanner) text() ([]byte, error) {
	if s.next() != '"' {
		return nil, errLoose
	}
	start := s.i + 1
	for i := start; i < len(s.data); i++ {
		switch c := s.data[i]; {
		case c == '"':
			s.i = i + 1
			return s.data[start:i], nil
		case c == '\\' || c < ' ' || c >= 0x7f:
			return s.escaped(start)
		}
	}
	return nil, errLoose
}

// escaped passes a string with escapes or characters beyond ASCII: it is canonical where writing it
// again gives the same bytes.
func (s *scanner) escaped(start int) ([]byte, error) {
	r := &treeReader{data: s.data, i: start - 1}
	text, err := r.text()
	if err != nil {
		return nil, errLoose
	}
	if again := appendText(nil, text); !bytes.Equal(again, s.data[start-1:r.i]) {
		return nil, errLoose
	}
	s.i = r.i
	return []byte(text), nil
}

// integer passes a whole number in its shortest form and returns its text.
func (s *scanner) integer() ([]byte, error) {
	start := s.i
	if s.next() == '-' {
		s.i++
	}
	first := s.next()
	for s.i < len(s.data) && s.data[s.i] >= '0' && s.data[s.i] <= '9' {
		s.i++
	}
	text := s.data[start:s.i]
	if digits := bytes.TrimPrefix(text, []byte("-")); len(digits) == 0 || first == '0' && len(text) > 1 {
		return nil, errLoose
	}
	return text, nil
}

// any passes a value of any kind. A number that is not whole is passed as it is written.
func (s *scanner) any(depth int) error {
	if depth > depthMax {
		return errLoose
	}
	switch c := s.next(); {
	case c == '"':
		_, err := s.text()
		return err
	case c == '{':
		return s.members(func([]byte) error { return s.any(depth + 1) })
	case c == '[':
		return s.items(func() error { return s.any(depth + 1) })
	case c == '-' || c >= '0' && c <= '9':
		r := &treeReader{data: s.data, i: s.i}
		err := r.number(&value{})
		s.i = r.i
		return err
	}
	return s.word("true", "false", "null")
}

// word passes one of the words.
func (s *scanner) word(words ...string) error {
	for _, w := range words {
		if len(s.data)-s.i >= len(w) && string(s.data[s.i:s.i+len(w)]) == w {
			s.i += len(w)
			return nil
		}
	}
	return errLoose
}

// members passes an object whose names ascend; each is called at the value of a name.
func (s *scanner) members(each func(name []byte) error) error {
	if s.next() != '{' {
		return errLoose
	}
	s.i++
	var last []byte
	for n := 0; s.next() != '}'; n++ {
		if n > 0 {
			if s.next() != ',' {
				return errLoose
			}
			s.i++
		}
		name, err := s.text()
		if err != nil || s.next() != ':' || n > 0 && bytes.Compare(name, last) <= 0 {
			return errLoose
		}
		last = name
		s.i++
		if err := each(name); err != nil {
			return err
		}
	}
	s.i++
	return nil
}

// items passes a list; each is called at an item.
func (s *scanner) items(each func() error) error {
	if s.next() != '[' {
		return errLoose
	}
	s.i++
	for n := 0; s.next() != ']'; n++ {
		if n > 0 {
			if s.next() != ',' {
				return errLoose
			}
			s.i++
		}
		if err := each(); err != nil {
			return err
		}
	}
	s.i++
	return nil
}

// span is where a value stands in a text; the zero span is of a value that is absent.
type span struct{ from, to int32 }

func (s span) of(data []byte) []byte { return data[s.from:s.to:s.to] }

func (s span) isSet() bool { return s.to > 0 }

// locate returns where the fields of an object type are in canonical JSON that was checked before:
// one span for each of fields, which ascend by name.
func locate(data []byte, fields []Field) []span {
	spans := make([]span, len(fields))
	f := 0
	for i := 1; i < len(data) && data[i] == '"'; i++ {
		from := i + 1
		i = passText(data, i)
		name := data[from : i-1]
		from = i + 1
		i = passValue(data, from)
		for f < len(fields) && fields[f].Name < string(name) {
			f++
		}
		if f < len(fields) && fields[f].Name == string(name) {
			spans[f] = span{int32(from), int32(i)}
			f++
		}
	}
	return spans
}

// passText returns the offset after the string that begins at i.
func passText(data []byte, i int) int {
	for i++; i < len(data); i++ {
		switch data[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
	return len(data)
}

// passValue returns the offset after the value that begins at i, in JSON that was checked before.
func passValue(data []byte, i int) int {
	if i >= len(data) {
		return len(data)
	}
	switch data[i] {
	case '"':
		return passText(data, i)
	case '{', '[':
		depth := 0
		for i < len(data) {
			switch data[i] {
			case '"':
				i = passText(data, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
			i++
		}
		return len(data)
	}
	for i < len(data) && data[i] != ',' && data[i] != '}' && data[i] != ']' {
		i++
	}
	return i
}
