package workflow

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// bracketsMax is how deep the brackets of an expression nest.
const bracketsMax = 24

// CheckText refuses a text that cannot be an expression: characters that CEL does not have, texts and
// brackets that are not closed. CEL's own parser would say so too, but its recovery from such faults
// can take a second for thirty characters. Whoever compiles what people write asks it first.
func CheckText(text string) error {
	if !utf8.ValidString(text) {
		return lexicalFault(0, "the expression is not UTF-8", "write it as UTF-8")
	}
	var open []byte
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == '"' || c == '\'':
			end := passQuoted(text, i)
			if end < 0 {
				return lexicalFault(i, "a text has no closing quote", "close it")
			}
			i = end
			continue
		case strings.HasPrefix(text[i:], "//"):
			comment, _, _ := strings.Cut(text[i:], "\n")
			i += len(comment)
			continue
		case strings.IndexByte("([{", c) >= 0:
			if open = append(open, c); len(open) > bracketsMax {
				return lexicalFault(i, fmt.Sprintf("brackets are nested deeper than %d levels", bracketsMax), "write it more simply")
			}
		case strings.IndexByte(")]}", c) >= 0:
			if len(open) == 0 || closing(open[len(open)-1]) != c {
				return lexicalFault(i, fmt.Sprintf("%q closes nothing", c), "open it before")
			}
			open = open[:len(open)-1]
		}
		n := token(text[i:])
		if n == 0 {
			r, _ := utf8.DecodeRuneInString(text[i:])
			return lexicalFault(i, fmt.Sprintf("%q has no meaning here", r), "write one CEL expression")
		}
		i += n
	}
	if len(open) > 0 {
		return lexicalFault(len(text), fmt.Sprintf("%q is not closed", open[len(open)-1]), "close it")
	}
	return nil
}

func lexicalFault(column int, reason, remedy string) error {
	return &expressionFault{CheckTypes, column, reason, remedy}
}

func closing(open byte) byte {
	return map[byte]byte{'(': ')', '[': ']', '{': '}'}[open]
}

// token returns how many bytes of a text are one operator, or a character of a name, number or
// blank; 0 where they are nothing in CEL.
func token(text string) int {
	for _, two := range []string{"==", "!=", "<=", ">=", "&&", "||"} {
		if strings.HasPrefix(text, two) {
			return len(two)
		}
	}
	c := text[0]
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("_.,:?+-*/%<>!()[]{} \t\n\r", c) >= 0:
		return 1
	}
	return 0
}

// passQuoted returns the offset after the text whose opening quote is at i, or -1: one quote or
// three, with escapes unless an r is before it.
func passQuoted(text string, i int) int {
	quote := text[i : i+1]
	isRaw := i > 0 && (text[i-1] == 'r' || text[i-1] == 'R')
	if triple := strings.Repeat(quote, 3); strings.HasPrefix(text[i:], triple) {
		quote = triple
	}
	for i += len(quote); i < len(text); i++ {
		switch {
		case strings.HasPrefix(text[i:], quote):
			return i + len(quote)
		case text[i] == '\\' && !isRaw:
			i++
		case len(quote) == 1 && (text[i] == '\n' || text[i] == '\r'):
			return -1
		}
	}
	return -1
}
