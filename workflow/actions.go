package workflow

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

//go:embed actions.json
var builtin []byte

// String returns the effect as the catalogue writes it.
func (e Effect) String() string { return [...]string{"", "pure", "read", "write"}[e] }

// Catalogue is a list of actions by name.
type Catalogue []Action

// Action returns an action by its name.
func (c Catalogue) Action(name string) (Action, bool) {
	i, ok := slices.BinarySearchFunc(c, name, func(a Action, name string) int { return strings.Compare(a.Name, name) })
	if !ok {
		return Action{}, false
	}
	return c[i], true
}

// With returns the catalogue with further actions, such as those of registered services; one with
// the name of an earlier action replaces it.
func (c Catalogue) With(more ...Action) Catalogue {
	all := slices.Clone(c)
	for _, a := range more {
		all = slices.DeleteFunc(all, func(b Action) bool { return b.Name == a.Name })
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b Action) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Builtin returns the actions of this build: those that the definitions of Definitions call.
func Builtin() Catalogue {
	c, err := ParseActions(builtin)
	if err != nil {
		panic(err) // our file; a test reads it
	}
	return c
}

// The bounds of actions and of nodes that call them.
const (
	bulkMax    = 500
	timeoutMax = 3_600
)

// ParseActions reads a list of actions with their types: the file actions.json of this package is
// one. It returns every fault, joined.
func ParseActions(data []byte) (Catalogue, error) {
	tree, duplicates, err := readTree(data)
	if err != nil {
		return nil, fmt.Errorf("actions: %w", err)
	}
	s := newShape(data)
	for _, m := range duplicates {
		s.report(CheckReferences, m.at, fmt.Sprintf("%q is there twice", m.name), "leave one out")
	}
	var all Catalogue
	for _, v := range s.list(tree, "the catalogue", 0, 1_000) {
		if s.want(v, "an action", kindObject) {
			a := s.action(v)
			if _, exists := all.With().Action(a.Name); exists {
				s.report(CheckReferences, v.at, fmt.Sprintf("the action %q is there twice", a.Name), "leave one out")
			}
			all = append(all, a)
		}
	}
	var faults []error
	for _, p := range s.problems {
		faults = append(faults, fmt.Errorf("actions: line %d: %s: %s", p.Line, p.Reason, p.Remedy))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return all.With(), nil
}

func (s *shape) action(v *value) Action {
	s.node = s.text(v.find("name"), "name", actionPattern)
	s.fields(v, "an action", "name comment effect bulk timeout_seconds request response", "name effect request response")
	effects := map[string]Effect{"pure": Pure, "read": Read, "write": Write}
	a := Action{
		Name:     s.node,
		Comment:  s.text(v.find("comment"), "comment", nil),
		Effect:   effects[s.oneOf(v.find("effect"), "effect", "pure", "read", "write")],
		Request:  s.typeOf(v.find("request"), "request", 0),
		Response: s.typeOf(v.find("response"), "response", 0),
		Bulk:     s.integer(v.find("bulk"), "bulk", 1, bulkMax, 1),
		Timeout:  time.Duration(s.integer(v.find("timeout_seconds"), "timeout_seconds", 1, timeoutMax, 30)) * time.Second,
	}
	for _, t := range []*Type{a.Request, a.Response} {
		if t != nil && t.Kind != Object {
			s.report(CheckShape, v.at, "the request or the response is no object with properties", "make it one")
		}
	}
	s.node = ""
	return a
}

// shortHash returns a name for a type that equal types share.
func shortHash(t *Type) string {
	text, err := json.Marshal(t)
	if err != nil {
		panic(err) // our types can be marshalled
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}
