package kafka

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/avro"
)

// ErrIncompatible is wrapped with the first difference where a schema may not follow earlier ones.
// Commands and the registry's server branch on it.
var ErrIncompatible = errors.New("schema is not compatible")

// ErrBadSchema is wrapped with the reason where a text is no Avro schema.
var ErrBadSchema = errors.New("no Avro schema")

// Compatibility says which readers must be able to read which writers' records, in the words of
// Confluent's registry. A mode without TRANSITIVE looks at the last version alone.
type Compatibility string

// The modes. FULL_TRANSITIVE, which lets producers and consumers change in any order, is what the
// topics of this installation have.
const (
	None               Compatibility = "NONE"
	Backward           Compatibility = "BACKWARD" // the new schema reads old records
	BackwardTransitive Compatibility = "BACKWARD_TRANSITIVE"
	Forward            Compatibility = "FORWARD" // old schemas read new records
	ForwardTransitive  Compatibility = "FORWARD_TRANSITIVE"
	Full               Compatibility = "FULL" // both
	FullTransitive     Compatibility = "FULL_TRANSITIVE"
)

var compatibilities = []Compatibility{None, Backward, BackwardTransitive, Forward, ForwardTransitive, Full, FullTransitive}

// Known reports whether c is one of the modes.
func (c Compatibility) Known() bool { return slices.Contains(compatibilities, c) }

func (c Compatibility) reads(direction Compatibility) bool {
	return strings.HasPrefix(string(c), string(direction)) || strings.HasPrefix(string(c), string(Full))
}

// CheckSchema returns an error that wraps ErrIncompatible where a schema may not follow the earlier
// versions of its subject, which come oldest first. Beside the rules of Avro it refuses every change
// of a logical type, and of a decimal's precision or scale: the bytes would be read as another number.
func CheckSchema(mode Compatibility, text string, earlier []string) error {
	next, err := parseSchema(text)
	if err != nil {
		return err
	}
	if mode == None {
		return nil
	}
	first := 0
	if !strings.HasSuffix(string(mode), "TRANSITIVE") {
		first = max(0, len(earlier)-1)
	}
	for i := first; i < len(earlier); i++ {
		before, err := parseSchema(earlier[i])
		if err != nil {
			return fmt.Errorf("version %d: %w", i+1, err)
		}
		if err := checkPair(mode, before, next); err != nil {
			return fmt.Errorf("%w with version %d under %s: %w", ErrIncompatible, i+1, mode, err)
		}
	}
	return nil
}

func parseSchema(text string) (*avro.Schema, error) {
	s, err := avro.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadSchema, err)
	}
	return s, nil
}

func checkPair(mode Compatibility, before, next *avro.Schema) error {
	if mode.reads(Backward) {
		if err := readable(before, next); err != nil {
			return fmt.Errorf("its records cannot be read: %w", err)
		}
	}
	if mode.reads(Forward) {
		if err := readable(next, before); err != nil {
			return fmt.Errorf("it cannot read new records: %w", err)
		}
	}
	return nil
}

// readable returns why records of writer cannot be read by reader.
func readable(writer, reader *avro.Schema) error {
	if err := avro.CheckCompatibility(writer, reader); err != nil {
		return err
	}
	w, r := writer.Root(), reader.Root()
	m := meaning{writer: definitions(w), reader: definitions(r), seen: map[[2]string]bool{}}
	return m.compare(w, r, r.Name)
}

// meaning compares what Avro's own rules leave out: logical types.
type meaning struct {
	writer, reader map[string]*avro.SchemaNode // named types
	seen           map[[2]string]bool
}

// definitions returns the named types of a schema by full name.
func definitions(n *avro.SchemaNode) map[string]*avro.SchemaNode {
	found := map[string]*avro.SchemaNode{}
	var walk func(n *avro.SchemaNode)
	walk = func(n *avro.SchemaNode) {
		if n == nil {
			return
		}
		if n.Name != "" {
			found[fullName(n)] = n
		}
		for i := range n.Fields {
			walk(&n.Fields[i].Type)
		}
		for i := range n.Branches {
			walk(&n.Branches[i])
		}
		walk(n.Items)
		walk(n.Values)
	}
	walk(n)
	return found
}

func fullName(n *avro.SchemaNode) string {
	if n.Namespace == "" || strings.Contains(n.Name, ".") {
		return n.Name
	}
	return n.Namespace + "." + n.Name
}

func (m meaning) compare(w, r *avro.SchemaNode, path string) error {
	w, r = resolved(w, m.writer), resolved(r, m.reader)
	if w == nil || r == nil {
		return nil
	}
	if w.Name != "" && r.Name != "" {
		pair := [2]string{fullName(w), fullName(r)}
		if m.seen[pair] {
			return nil
		}
		m.seen[pair] = true
	}
	switch {
	case w.Type == "union" || r.Type == "union":
		return m.compareUnions(w, r, path)
	case w.LogicalType != r.LogicalType || w.Precision != r.Precision || w.Scale != r.Scale:
		return fmt.Errorf("%s is %s for the writer and %s for the reader", path, logicalName(w), logicalName(r))
	case w.Type == "record" && r.Type == "record":
		return m.compareFields(w, r, path)
	case w.Items != nil && r.Items != nil:
		return m.compare(w.Items, r.Items, path+".items")
	case w.Values != nil && r.Values != nil:
		return m.compare(w.Values, r.Values, path+".values")
	}
	return nil
}

func resolved(n *avro.SchemaNode, named map[string]*avro.SchemaNode) *avro.SchemaNode {
	if n != nil && n.Name == "" {
		if definition, ok := named[n.Type]; ok {
			return definition
		}
	}
	return n
}

func (m meaning) compareFields(w, r *avro.SchemaNode, path string) error {
	for i := range r.Fields {
		rf := &r.Fields[i]
		for j := range w.Fields {
			wf := &w.Fields[j]
			if wf.Name != rf.Name && !slices.Contains(rf.Aliases, wf.Name) {
				continue
			}
			if err := m.compare(&wf.Type, &rf.Type, path+"."+rf.Name); err != nil {
				return err
			}
			break
		}
	}
	return nil
}

// compareUnions compares each of the writer's branches with the reader's branch of the same kind.
func (m meaning) compareUnions(w, r *avro.SchemaNode, path string) error {
	for _, wb := range branches(w) {
		for _, rb := range branches(r) {
			wb, rb := resolved(wb, m.writer), resolved(rb, m.reader)
			if wb.Type != rb.Type || wb.Name != rb.Name {
				continue
			}
			if err := m.compare(wb, rb, path); err != nil {
				return err
			}
		}
	}
	return nil
}

func branches(n *avro.SchemaNode) []*avro.SchemaNode {
	if n.Type != "union" {
		return []*avro.SchemaNode{n}
	}
	all := make([]*avro.SchemaNode, len(n.Branches))
	for i := range n.Branches {
		all[i] = &n.Branches[i]
	}
	return all
}

func logicalName(n *avro.SchemaNode) string {
	switch n.LogicalType {
	case "":
		return n.Type
	case "decimal":
		return fmt.Sprintf("decimal(%d,%d)", n.Precision, n.Scale)
	}
	return n.LogicalType
}
