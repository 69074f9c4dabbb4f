package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"daybreak/workflow"
)

// changedMorning writes the morning definition with one text replaced and returns the file's name.
func changedMorning(t *testing.T, old, replacement string) string {
	t.Helper()
	document, _ := workflow.Document("morning")
	if !strings.Contains(string(document), old) {
		t.Fatalf("the morning definition has no %q", old)
	}
	name := filepath.Join(t.TempDir(), "changed.json")
	if err := os.WriteFile(name, []byte(strings.Replace(string(document), old, replacement, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestWorkflowCommands(t *testing.T) {
	t.Parallel()
	slower := changedMorning(t, `"default": "0.05"`, `"default": "0.06"`)
	broken := changedMorning(t, `"ctx.date"`, `"ctx.day"`)
	for _, c := range []struct {
		name string
		args []string
		code int
		out  string // part of stdout
		err  string // part of stderr
	}{
		{"validate", []string{"validate", "morning", slower}, exitOK, "ok, morning", ""},
		{"validate with a fault", []string{"validate", broken}, exitFailed, "undefined field 'day'", ""},
		{"validate as JSON", []string{"validate", broken, "-o", "jsonl"}, exitFailed, `"check":"types","severity":"error","line":3`, ""},
		{"no such file", []string{"validate", "evening"}, exitNotFound, "", "none of the definitions"},
		{"list", []string{"list"}, exitOK, "withdrawal", ""},
		{"list of actions", []string{"list", "--actions"}, exitOK, "orders.propose", ""},
		{"show", []string{"show", "morning"}, exitOK, "▸ load", ""},
		{"show as JSON", []string{"show", "morning", "-o", "json"}, exitOK, `"start_at": "load"`, ""},
		{"show with a fault", []string{"show", broken}, exitFailed, "", "undefined field 'day'"},
		{"diff of the same", []string{"diff", "morning", "morning"}, exitOK, "no differences", ""},
		{"diff", []string{"diff", "morning", slower}, exitDifferences, `~ param harvest_min default: "0.05" → "0.06"`, ""},
		{"graph", []string{"graph", "morning"}, exitOK, `data-node="rebalance"`, ""},
		{"graph as Mermaid", []string{"graph", "morning", "--format", "mermaid"}, exitOK, "n_load -->", ""},
		{"graph as something else", []string{"graph", "morning", "--format", "png"}, exitUsage, "", "not svg or mermaid"},
	} {
		got := commandLine(t.Context(), nil, append([]string{"workflow"}, c.args...)...)
		if got.code != c.code || !strings.Contains(got.out, c.out) || !strings.Contains(got.err, c.err) {
			t.Errorf("%s: exit code %d, %.300q, %.300q, want %d, %q, %q", c.name, got.code, got.out, got.err, c.code, c.out, c.err)
		}
	}
}
