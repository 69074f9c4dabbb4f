package workflow

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ChangeKind says how a part of a definition differs from the other version's.
type ChangeKind string

// The kinds of changes.
const (
	Added   ChangeKind = "added"
	Removed ChangeKind = "removed"
	Changed ChangeKind = "changed"
)

// Change is one difference of two versions.
type Change struct {
	Kind ChangeKind `json:"change"`
	Part string     `json:"part"` // definition, param, context, node or transition
	Name string     `json:"name"` // of the part; FIELD, NODE or FROM -> TO
	// Field is what differs inside a part that changed, such as "retry".
	Field string `json:"field,omitzero"`
	From  string `json:"from,omitzero"`
	To    string `json:"to,omitzero"`
}

// String returns the change in one line.
func (c Change) String() string {
	mark := map[ChangeKind]string{Added: "+", Removed: "-", Changed: "~"}[c.Kind]
	line := mark + " " + c.Part + " " + c.Name
	if c.Field != "" {
		line += " " + c.Field
	}
	switch {
	case c.Kind == Changed:
		return line + ": " + c.From + " → " + c.To
	case c.Kind == Added && c.To != "":
		return line + ": " + c.To
	case c.From != "":
		return line + ": " + c.From
	}
	return line
}

// Diff returns what differs from definition a to definition b: its own fields, parameters, fields of
// the context, nodes, then transitions, each by name. Equal hashes have no difference. Comments are
// compared too; the order of choices is part of a transition.
func Diff(a, b *Definition) []Change {
	if a.Hash == b.Hash {
		return nil
	}
	var all []Change
	all = append(all, diffParts("definition", ownFields(a), ownFields(b))...)
	all = append(all, diffParts("param", paramFields(a), paramFields(b))...)
	all = append(all, diffParts("context", contextFields(a), contextFields(b))...)
	all = append(all, diffParts("node", nodeFields(a), nodeFields(b))...)
	return append(all, diffParts("transition", transitionFields(a), transitionFields(b))...)
}

// parts are the parts of one kind by name, each with its fields as text.
type parts map[string]map[string]string

// diffParts compares parts; a definition's own are one part that both have.
func diffParts(part string, a, b parts) []Change {
	names := slices.Sorted(maps.Keys(a))
	for _, name := range slices.Sorted(maps.Keys(b)) {
		if _, ok := a[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var all []Change
	for _, name := range names {
		old, was := a[name]
		now, is := b[name]
		switch {
		case !was:
			all = append(all, Change{Kind: Added, Part: part, Name: name, To: summary(now)})
		case !is:
			all = append(all, Change{Kind: Removed, Part: part, Name: name, From: summary(old)})
		default:
			all = append(all, diffFields(part, name, old, now)...)
		}
	}
	return all
}

func diffFields(part, name string, old, now map[string]string) []Change {
	fields := slices.Sorted(maps.Keys(old))
	for _, f := range slices.Sorted(maps.Keys(now)) {
		if _, ok := old[f]; !ok {
			fields = append(fields, f)
		}
	}
	slices.Sort(fields)
	var all []Change
	for _, f := range fields {
		if old[f] != now[f] {
			all = append(all, Change{Changed, part, name, f, orNone(old[f]), orNone(now[f])})
		}
	}
	return all
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

// summary returns what says most of a part that is only in one version.
func summary(fields map[string]string) string {
	for _, f := range []string{"action", "until", "type", "schema", "conditions"} {
		if fields[f] != "" {
			return fields[f]
		}
	}
	return ""
}

func ownFields(d *Definition) parts {
	return parts{d.Name: {"comment": d.Comment, "start_at": d.Start, "timeout": fmt.Sprint(d.Timeout)}}
}

func paramFields(d *Definition) parts {
	all := parts{}
	for _, p := range d.Params {
		all[p.Name] = map[string]string{"schema": schemaText(p.Type), "default": string(p.Default)}
	}
	return all
}

func contextFields(d *Definition) parts {
	all := parts{}
	for _, f := range d.Context.Fields {
		all[f.Name] = map[string]string{"schema": schemaText(f.Type), "required": fmt.Sprint(f.Required)}
	}
	return all
}

// schemaText returns a type as JSON Schema with sorted names.
func schemaText(t *Type) string {
	text, err := json.Marshal(t)
	if err != nil {
		panic(err) // our types can be marshalled
	}
	return string(text)
}

func nodeFields(d *Definition) parts {
	all := parts{}
	for i := range d.Nodes {
		n := &d.Nodes[i]
		fields := map[string]string{"comment": n.Comment, "type": n.Type.String()}
		switch n.Type {
		case Call:
			fields["action"] = n.Action.Name
			fields["arguments"] = bindingsText(n.Arguments)
			fields["assign"] = bindingsText(n.Assign)
			fields["idempotency_key"] = n.IdempotencyKey.text()
			fields["retry"] = retryText(n.Retry)
			fields["timeout"] = fmt.Sprint(n.Timeout)
			fields["limits"] = fmt.Sprintf("%d at once, %d a second, %d a call", n.MaxConcurrency, n.MaxPerSecond, n.MaxBatch)
		case Wait:
			fields["until"] = n.Until.text()
			fields["past"] = [...]string{"", "continue", "fail"}[n.Past]
			fields["max_wait"] = fmt.Sprint(n.MaxWait)
		case Terminal:
			fields["status"] = [...]string{"", "succeeded", "failed"}[n.Status]
			fields["error"], fields["cause"] = n.Error, n.Cause
		}
		all[n.Name] = fields
	}
	return all
}

// String returns the type as definitions write it.
func (t NodeType) String() string { return [...]string{"", "call", "wait", "terminal"}[t] }

// text returns the text of an expression that may be absent.
func (e *Expression) text() string {
	if e == nil {
		return ""
	}
	return e.Text
}

func bindingsText(all []Binding) string {
	var texts []string
	for _, b := range all {
		texts = append(texts, b.Field+" = "+b.Value.Text)
	}
	return strings.Join(texts, "; ")
}

func retryText(all []Retrier) string {
	var texts []string
	for _, r := range all {
		text := fmt.Sprintf("%s: %d × from %s by %s to %s", strings.Join(r.Codes, ", "), r.MaxAttempts, r.Interval, r.Rate, r.MaxDelay)
		if r.Jitter {
			text += " with jitter"
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, "; ")
}

// transitionFields returns the ways by their ends; several between the same two nodes are one part.
func transitionFields(d *Definition) parts {
	all := parts{}
	for i := range d.Nodes {
		for place, e := range d.Nodes[i].Edges() {
			name := e.From + " -> " + e.To
			if all[name] == nil {
				all[name] = map[string]string{}
			}
			label := orNone(e.Label)
			if e.Label == "" {
				label = "always"
			}
			if e.IsCatch {
				label = "on " + label
			}
			all[name]["conditions"] = strings.TrimPrefix(all[name]["conditions"]+"; "+fmt.Sprintf("%d %s", place+1, label), "; ")
		}
	}
	return all
}
