package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"daybreak/workflow"
)

func newWorkflowCmd(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "workflow",
		Short: "Check, draw and compare definitions of workflows",
		Long: "A workflow is a definition in JSON: calls of actions, waits and ends, with expressions that choose the\n" +
			"way. docs/workflows.md says how to write one. Where a command takes NAME|FILE, a name stands for a\n" +
			"definition that comes with this build, and - for stdin.",
	}
	c.AddCommand(
		newWorkflowValidateCmd(a),
		newWorkflowListCmd(a),
		newWorkflowShowCmd(a),
		newWorkflowDiffCmd(a),
		newWorkflowGraphCmd(a),
		newWorkflowApplyCmd(a),
		newWorkflowAliasCmd(a),
	)
	return c
}

// readDefinition returns the document of a definition by its name or its file.
func readDefinition(a *app, source string) ([]byte, error) {
	if document, ok := workflow.Document(source); ok {
		return document, nil
	}
	document, err := readAll(a.in, source)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, exitWith(exitNotFound, fmt.Errorf("%s is no file and none of the definitions %s", source, strings.Join(workflow.Definitions(), ", ")))
	}
	return document, err
}

// parseDefinition returns the definition of a name or file; its problems are one error.
func parseDefinition(a *app, source string) (*workflow.Definition, error) {
	document, err := readDefinition(a, source)
	if err != nil {
		return nil, err
	}
	d, problems := workflow.Parse(document, workflow.Builtin())
	if d == nil {
		texts := make([]string, len(problems))
		for i, p := range problems {
			texts[i] = source + ":" + p.String()
		}
		return nil, errors.New(strings.Join(texts, "\n"))
	}
	return d, nil
}

// validated is what validate says about one document.
type validated struct {
	File     string             `json:"file"`
	OK       bool               `json:"ok"`
	Name     string             `json:"name,omitzero"`
	Hash     string             `json:"hash,omitzero"`
	Problems []workflow.Problem `json:"problems"`
}

func newWorkflowValidateCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "validate FILE...",
		Short: "Check definitions: names, types, circles, costs, retries, waits",
		Long: "Runs the checks of docs/workflows.md and names what is wrong with its line, its reason and a remedy. The\n" +
			"exit code is 1 where a document has a fault. Nothing is stored and no database is needed.",
		Example: "  daybreak workflow validate morning.json",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			all := make([]validated, len(args))
			isBad := false
			for i, file := range args {
				document, err := readDefinition(a, file)
				if err != nil {
					return err
				}
				d, problems := workflow.Parse(document, workflow.Builtin())
				all[i] = validated{File: file, OK: d != nil, Problems: slices.Concat([]workflow.Problem{}, problems)}
				if d != nil {
					all[i].Name, all[i].Hash = d.Name, d.Hash
				}
				isBad = isBad || d == nil
			}
			if err := emit(a, all, writeValidated); err != nil {
				return err
			}
			if isBad {
				return exitWith(exitFailed, nil)
			}
			return nil
		},
	}
}

func writeValidated(w io.Writer, all []validated) error {
	p := &printer{w: w}
	for _, v := range all {
		for _, problem := range v.Problems {
			p.line("%s:%s", v.File, problem)
		}
		if v.OK {
			p.line("%s: ok, %s %s", v.File, v.Name, v.Hash[:12])
		}
	}
	return p.err
}

// listedWorkflow is one definition of the build.
type listedWorkflow struct {
	Name    string   `json:"name"`
	Hash    string   `json:"hash"`
	Nodes   int      `json:"nodes"`
	Actions []string `json:"actions"`
	Comment string   `json:"comment"`
}

func newWorkflowListCmd(a *app) *cobra.Command {
	var actions bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List the definitions that come with this build, or the actions that a definition may call",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if actions {
				return emit(a, listActions(), writeActions)
			}
			var all []listedWorkflow
			for _, name := range workflow.Definitions() {
				d, err := parseDefinition(a, name)
				if err != nil {
					return err
				}
				all = append(all, listedWorkflow{d.Name, d.Hash, len(d.Nodes), calledBy(d), d.Comment})
			}
			return emit(a, all, writeWorkflows)
		},
	}
	c.Flags().BoolVar(&actions, "actions", false, "the actions, with what they take and give")
	return c
}

// calledBy returns the actions that a definition calls, sorted.
func calledBy(d *workflow.Definition) []string {
	var names []string
	for _, n := range d.Nodes {
		if n.Type == workflow.Call {
			names = append(names, n.Action.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func writeWorkflows(w io.Writer, all []listedWorkflow) error {
	p := &printer{w: w}
	for _, d := range all {
		p.line("%-12s %s  %2d nodes  %s", d.Name, d.Hash[:12], d.Nodes, d.Comment)
	}
	return p.err
}

// listedAction is one action with its types as JSON Schema.
type listedAction struct {
	Name     string         `json:"name"`
	Effect   string         `json:"effect"`
	Bulk     int            `json:"bulk"`
	Timeout  int            `json:"timeout_seconds"`
	Comment  string         `json:"comment"`
	Request  *workflow.Type `json:"request"`
	Response *workflow.Type `json:"response"`
}

func listActions() []listedAction {
	var all []listedAction
	for _, x := range workflow.Builtin() {
		all = append(all, listedAction{x.Name, x.Effect.String(), x.Bulk, int(x.Timeout.Seconds()), x.Comment, x.Request, x.Response})
	}
	return all
}

func writeActions(w io.Writer, all []listedAction) error {
	p := &printer{w: w}
	for _, x := range all {
		p.line("%-18s %-5s %3d a call  %s", x.Name, x.Effect, x.Bulk, x.Comment)
		p.line("  takes %s", fieldsText(x.Request))
		p.line("  gives %s", fieldsText(x.Response))
	}
	return p.err
}

// fieldsText lists the fields of a type; those that may be absent have a question mark.
func fieldsText(t *workflow.Type) string {
	texts := make([]string, len(t.Fields))
	for i, f := range t.Fields {
		texts[i] = f.Name + " " + f.Type.String()
		if !f.Required {
			texts[i] = f.Name + "? " + f.Type.String()
		}
	}
	return strings.Join(texts, "; ")
}

func newWorkflowShowCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show NAME|FILE",
		Short: "Show a definition: its parameters, its nodes and where they lead",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			d, err := parseDefinition(a, args[0])
			if err != nil {
				return err
			}
			if a.settings.Output == outputText {
				return writeWorkflow(a.out, d)
			}
			return emitOne(a, json.RawMessage(d.Canonical), nil)
		},
	}
}

func writeWorkflow(w io.Writer, d *workflow.Definition) error {
	p := &printer{w: w}
	p.line("%s %s", d.Name, d.Hash)
	if d.Comment != "" {
		p.line("%s", d.Comment)
	}
	for _, param := range d.Params {
		p.line("param    %s = %s  %s", param.Name, param.Default, param.Comment)
	}
	for _, f := range d.Context.Fields {
		given := "assigned"
		if f.Required {
			given = "given"
		}
		p.line("context  %-16s %-10s %s", f.Name, given, f.Type)
	}
	for _, n := range d.Nodes {
		start := " "
		if n.Name == d.Start {
			start = "▸"
		}
		p.line("%s %-18s %s", start, n.Name, strings.TrimSpace(doing(n)+"  "+n.Comment))
		for _, e := range n.Edges() {
			p.line("    → %-16s %s", e.To, wayText(e))
		}
	}
	return p.err
}

// doing returns what a node does in a few words.
func doing(n workflow.Node) string {
	switch n.Type {
	case workflow.Call:
		return fmt.Sprintf("%s (%s)", n.Action.Name, n.Action.Effect)
	case workflow.Wait:
		return "until " + n.Until.Text
	}
	if n.Status == workflow.EndsFailed {
		return "failed: " + n.Error
	}
	return "succeeded"
}

func wayText(e workflow.Edge) string {
	if e.IsCatch {
		return "on " + e.Label
	}
	return e.Label
}

func newWorkflowDiffCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "diff A B",
		Short:   "Show what differs between two definitions; the exit code is then 5",
		Example: "  daybreak workflow diff morning changed.json",
		Args:    cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			from, err := parseDefinition(a, args[0])
			if err != nil {
				return err
			}
			to, err := parseDefinition(a, args[1])
			if err != nil {
				return err
			}
			changes := workflow.Diff(from, to)
			if err := emit(a, changes, writeChanges); err != nil {
				return err
			}
			if len(changes) > 0 {
				return exitWith(exitDifferences, nil)
			}
			return nil
		},
	}
}

func writeChanges(w io.Writer, changes []workflow.Change) error {
	p := &printer{w: w}
	for _, c := range changes {
		p.line("%s", c)
	}
	if len(changes) == 0 {
		p.line("no differences")
	}
	return p.err
}

func newWorkflowGraphCmd(a *app) *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:     "graph NAME|FILE",
		Short:   "Draw a definition as SVG, or as Mermaid text",
		Example: "  daybreak workflow graph morning > morning.svg",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			draw, ok := map[string]func(*workflow.Definition) string{"svg": workflow.SVG, "mermaid": workflow.Mermaid}[format]
			if !ok {
				return usageError("--format is %q, not svg or mermaid", format)
			}
			d, err := parseDefinition(a, args[0])
			if err != nil {
				return err
			}
			_, err = io.WriteString(a.out, draw(d))
			return err
		},
	}
	c.Flags().StringVar(&format, "format", "svg", "svg or mermaid")
	return c
}
