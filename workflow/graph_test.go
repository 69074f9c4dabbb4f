package workflow

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"testing"
)

// wideDefinition returns a definition with 30 nodes: six steps with three ways each, waits that lead
// back, and ends that many ways share.
func wideDefinition(t *testing.T) *Definition {
	t.Helper()
	nodes := map[string]any{
		"done":   map[string]any{"type": "terminal", "status": "succeeded"},
		"failed": map[string]any{"type": "terminal", "status": "failed", "error": "BAD"},
	}
	call := func(next any) map[string]any {
		n := map[string]any{"type": "call", "action": "test.work", "catch": []any{map[string]any{"error_equals": []string{"ALL"}, "next": "failed"}}}
		if to, ok := next.(string); ok {
			n["next"] = to
		} else {
			n["choices"], n["default"] = next, "failed"
		}
		return n
	}
	for i := range 7 {
		next := fmt.Sprintf("step%d", i+1)
		if i == 6 {
			next = "done"
		}
		nodes[fmt.Sprintf("step%d", i)] = call([]any{
			map[string]any{"condition": "out.status == 'ok'", "next": fmt.Sprintf("check%d", i)},
			map[string]any{"condition": "out.status == 'late'", "next": fmt.Sprintf("wait%d", i)},
			map[string]any{"condition": "dec('1000000') < out.total", "next": fmt.Sprintf("large%d", i)},
		})
		nodes[fmt.Sprintf("check%d", i)] = call(next)
		nodes[fmt.Sprintf("large%d", i)] = call(next)
		nodes[fmt.Sprintf("wait%d", i)] = map[string]any{"type": "wait", "until": "now + duration('5m')", "next": fmt.Sprintf("step%d", i)}
	}
	document, err := json.Marshal(map[string]any{"name": "wide", "start_at": "step0", "timeout_seconds": 3600, "context": map[string]any{"type": "object", "properties": map[string]any{}}, "nodes": nodes})
	if err != nil {
		t.Fatal(err)
	}
	d, problems := Parse(document, testActions)
	if d == nil {
		t.Fatal(problems)
	}
	return d
}

func TestGraph(t *testing.T) {
	t.Parallel()
	all := []*Definition{wideDefinition(t)}
	for _, name := range Definitions() {
		document, _ := Document(name)
		d, _ := Parse(document, Builtin())
		all = append(all, d)
	}
	for _, d := range all {
		g := layOut(d)
		for _, row := range g.rows {
			for i := 1; i < len(row); i++ {
				if a, b := row[i-1], row[i]; b.x-a.x < (a.w+b.w)/2 {
					t.Errorf("%s: two spots of a row overlap at %d and %d", d.Name, a.x, b.x)
				}
			}
			if first := row[0]; first.x-first.w/2 < marginSize {
				t.Errorf("%s: a spot begins at %d, want at least %d", d.Name, first.x-first.w/2, marginSize)
			}
		}
		for _, l := range g.lines {
			for i := 1; i < len(l.spots); i++ {
				if l.spots[i].row != l.spots[i-1].row+1 {
					t.Errorf("%s: the way %s -> %s leaves out a row", d.Name, l.edge.From, l.edge.To)
				}
			}
		}
		picture, text := SVG(d), Mermaid(d)
		if again, _ := Parse(d.Canonical, testActions); SVG(again) != picture || Mermaid(again) != text {
			t.Errorf("%s: drawn twice, two pictures", d.Name)
		}
		for _, n := range d.Nodes {
			if !strings.Contains(picture, fmt.Sprintf("data-node=%q", n.Name)) || !strings.Contains(text, mermaidID(n.Name)) {
				t.Errorf("%s: the node %s is missing in a picture", d.Name, n.Name)
			}
		}
		checkXML(t, d.Name, picture)
	}
}

func checkXML(t *testing.T, name, text string) {
	t.Helper()
	for decoder := xml.NewDecoder(strings.NewReader(text)); ; {
		if _, err := decoder.Token(); err == io.EOF {
			return
		} else if err != nil {
			t.Errorf("%s: the picture is no XML: %v", name, err)
			return
		}
	}
}

func ExampleMermaid() {
	d, _ := Parse([]byte(`{"name": "tick", "start_at": "pause", "context": {"type": "object", "properties": {}}, "nodes": {
		"pause": {"type": "wait", "until": "now + duration('1h')", "next": "end"},
		"end": {"type": "terminal", "status": "succeeded"}}}`), Builtin())
	fmt.Print(Mermaid(d))
	// Output:
	// flowchart TD
	//   n_end(["end<br>succeeded"])
	//   n_pause{{"pause<br>until now + duration('1h')"}}
	//   n_pause --> n_end
}
