package workflow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

func publishedSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile("../docs/workflow.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// bySchema reports whether the published schema takes a document.
func bySchema(t *testing.T, schema *jsonschema.Schema, document []byte) error {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(value)
}

// shapeProblem returns the first problem of check 1.
func shapeProblem(document []byte) *Problem {
	_, problems := Parse(document, testActions)
	for _, p := range problems {
		if p.Check == CheckShape {
			return &p
		}
	}
	return nil
}

func TestSchemaTakesDefinitions(t *testing.T) {
	t.Parallel()
	schema := publishedSchema(t)
	for _, name := range Definitions() {
		data, _ := Document(name)
		if err := bySchema(t, schema, data); err != nil {
			t.Errorf("the schema refuses %s: %v", name, err)
		}
	}
}

// TestSchemaAndParserAgree changes documents at random places, and asks both.
func TestSchemaAndParserAgree(t *testing.T) {
	t.Parallel()
	const documents = 400
	schema := publishedSchema(t)
	sources := [][]byte{[]byte(smallDocument)}
	for _, name := range Definitions() {
		data, _ := Document(name)
		sources = append(sources, data)
	}
	r := rand.New(rand.NewPCG(6, 12))
	refused := 0
	for i := range documents {
		var tree any
		if err := json.Unmarshal(sources[i%len(sources)], &tree); err != nil {
			t.Fatal(err)
		}
		changes := ""
		for range 1 + r.IntN(2) {
			changes += mutate(r, tree) + "; "
		}
		document, err := json.Marshal(tree)
		if err != nil {
			t.Fatal(err)
		}
		bad, p := bySchema(t, schema, document), shapeProblem(document)
		if bad != nil {
			refused++
		}
		if (bad != nil) != (p != nil) {
			t.Fatalf("document %d, %s: the schema says %v, the parser %v\n%s", i, changes, bad, p, document)
		}
	}
	if refused < documents/4 || refused > documents*9/10 {
		t.Errorf("%d of %d documents were refused: the changes are all alike", refused, documents)
	}
}

// mutate changes one value somewhere in a document and says what it did.
func mutate(r *rand.Rand, tree any) string {
	type place struct {
		object map[string]any
		name   string
	}
	var all []place
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, name := range slices.Sorted(maps.Keys(v)) {
				all = append(all, place{v, name})
				walk(v[name])
			}
		case []any:
			for _, item := range v {
				walk(item)
			}
		}
	}
	walk(tree)
	if len(all) == 0 {
		return "nothing"
	}
	at := all[r.IntN(len(all))]
	values := []any{"x", "", "Ünicode", "UPPER", 0, 1, 400, -1, true, nil, []any{}, []any{"UPPER"}, []any{"a", "a"}, map[string]any{}, map[string]any{"type": "integer"}, "2", "continue", "FULL"}
	names := []string{"comment", "next", "default", "retry", "error", "cause", "maxLength", "enum", "format", "items", "additionalProperties", "Upper", "type", "past", "timeout_seconds", "x"}
	switch r.IntN(4) {
	case 0:
		delete(at.object, at.name)
		return "without " + at.name
	case 1:
		name := names[r.IntN(len(names))]
		at.object[name] = values[r.IntN(len(values))]
		return fmt.Sprintf("%s beside %s: %v", name, at.name, at.object[name])
	case 2:
		name := names[r.IntN(len(names))]
		at.object[name] = at.object[at.name]
		delete(at.object, at.name)
		return at.name + " called " + name
	}
	at.object[at.name] = values[r.IntN(len(values))]
	return fmt.Sprintf("%s = %v", at.name, at.object[at.name])
}

// TestDocsExample parses what docs/workflows.md shows.
func TestDocsExample(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/workflows.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```json\n")
	example, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("the page has no example")
	}
	if d, problems := Parse([]byte(example), Builtin()); d == nil {
		t.Errorf("the example of the page has problems: %v", problems)
	}
	if err := bySchema(t, publishedSchema(t), []byte(example)); err != nil {
		t.Errorf("the schema refuses the example of the page: %v", err)
	}
	for c := CheckShape; c <= CheckParked; c++ {
		if !strings.Contains(string(page), fmt.Sprintf("| %d | %s |", int(c), c)) {
			t.Errorf("the page does not list check %d, %s", int(c), c)
		}
	}
}
