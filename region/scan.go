package region

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// scanner reads JSON from a text without copying it: strings without escapes share its memory.
// Cases of 200,000 transactions are 50 MB of JSON, which encoding/json takes seconds for. After the
// first fault every read returns zero values and err tells where.
type scanner struct {
	text string
	at   int
	err  error
}

// depthMax bounds the nesting that a text may have.
const depthMax = 100

func (s *scanner) fail(what string) {
	if s.err == nil {
		s.err = fmt.Errorf("byte %d: want %s", s.at, what)
		s.at = len(s.text)
	}
}

// peek skips blanks and returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	for s.at < len(s.text) {
		switch c := s.text[s.at]; c {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return c
		}
	}
	return 0
}

// more reports whether anything but blanks is left.
func (s *scanner) more() bool {
	s.peek()
	return s.at < len(s.text)
}

// resume forgets a fault and goes to the next line after start that begins an object; it reports
// whether there is one.
func (s *scanner) resume(start int) bool {
	k := strings.Index(s.text[start:], "\n{")
	if k < 0 {
		return false
	}
	s.at, s.err = start+k+1, nil
	return true
}

// quoted quotes a text for a message, cut where it is long.
func quoted(text string) string {
	const most = 60
	if len(text) > most {
		return strconv.Quote(text[:most]) + "…"
	}
	return strconv.Quote(text)
}

// take consumes the next byte if it is c.
func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.at++
	return true
}

// object calls field with each key of an object; field must read the value.
func (s *scanner) object(field func(key string)) {
	if !s.take('{') {
		s.fail("an object")
		return
	}
	if s.take('}') {
		return
	}
	for s.err == nil {
		key := s.str()
		if !s.take(':') {
			s.fail("a colon")
			return
		}
		field(key)
		if s.take('}') {
			return
		}
		if !s.take(',') {
			s.fail("a comma or the end of the object")
		}
	}
}

// array calls item before each item of an array; item must read it.
func (s *scanner) array(item func()) {
	if !s.take('[') {
		s.fail("an array")
		return
	}
	if s.take(']') {
		return
	}
	for s.err == nil {
		item()
		if s.take(']') {
			return
		}
		if !s.take(',') {
			s.fail("a comma or the end of the array")
		}
	}
}

// str reads a string.
func (s *scanner) str() string {
	if !s.take('"') {
		s.fail("a string")
		return ""
	}
	rest := s.text[s.at:]
	for i := 0; i < len(rest); i++ {
		switch c := rest[i]; {
		case c == '"':
			s.at += i + 1
			return rest[:i]
		case c == '\\':
			return s.escaped(i)
		case c < ' ':
			s.at += i
			s.fail("no control character in a string")
			return ""
		}
	}
	s.fail("the end of the string")
	return ""
}

// escaped reads the rest of a string whose first escape is i bytes on.
func (s *scanner) escaped(i int) string {
	var b strings.Builder
	for s.err == nil {
		b.WriteString(s.text[s.at : s.at+i])
		s.at += i
		if s.text[s.at] == '"' {
			s.at++
			return b.String()
		}
		s.at++
		b.WriteRune(s.escape())
		rest := s.text[s.at:]
		i = strings.IndexAny(rest, "\"\\")
		if i < 0 {
			s.fail("the end of the string")
			return ""
		}
		if k := strings.IndexFunc(rest[:i], func(r rune) bool { return r < ' ' }); k >= 0 {
			s.fail("no control character in a string")
		}
	}
	return ""
}

// escape reads what follows a backslash.
func (s *scanner) escape() rune {
	if s.at >= len(s.text) {
		s.fail("an escape")
		return utf8.RuneError
	}
	c := s.text[s.at]
	s.at++
	if c == 'u' {
		r := s.hex()
		if utf16.IsSurrogate(r) && strings.HasPrefix(s.text[s.at:], `\u`) {
			before := s.at
			s.at += 2
			if pair := utf16.DecodeRune(r, s.hex()); pair != utf8.RuneError {
				return pair
			}
			s.at = before
		}
		return r
	}
	k := strings.IndexByte(`"\/bfnrt`, c)
	if k < 0 {
		s.fail("an escape")
		return utf8.RuneError
	}
	return rune("\"\\/\b\f\n\r\t"[k])
}

func (s *scanner) hex() rune {
	if s.at+4 <= len(s.text) {
		if n, err := strconv.ParseUint(s.text[s.at:s.at+4], 16, 32); err == nil {
			s.at += 4
			return rune(n)
		}
	}
	s.fail("four hexadecimal digits")
	return utf8.RuneError
}

// scalar reads a string, or a number or word as it is written. A null is "", and so is an object or
// an array, with isScalar false. NaN and Infinity, which some programs write, are words too: the
// number that they should be is found wanting where it stands.
func (s *scanner) scalar() (text string, isScalar bool) {
	switch c := s.peek(); {
	case c == '"':
		return s.str(), true
	case c == '{' || c == '[':
		s.skip(0)
		return "", false
	}
	start := s.at
	for s.at < len(s.text) && strings.IndexByte(" \t\r\n,]}:\"", s.text[s.at]) < 0 {
		s.at++
	}
	word := s.text[start:s.at]
	switch {
	case word == "null":
		return "", true
	case word == "true", word == "false", word == "NaN", word == "Infinity":
	case word == "" || word[0] != '-' && (word[0] < '0' || word[0] > '9'):
		s.at = start
		s.fail("a value")
		return "", false
	}
	return word, true
}

// skip reads a value of any kind.
func (s *scanner) skip(depth int) {
	if depth > depthMax {
		s.fail("less nesting")
		return
	}
	switch s.peek() {
	case '{':
		s.object(func(string) { s.skip(depth + 1) })
	case '[':
		s.array(func() { s.skip(depth + 1) })
	default:
		s.scalar()
	}
}
