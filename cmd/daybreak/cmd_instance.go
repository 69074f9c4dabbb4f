package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"daybreak/internal/filter"
	"daybreak/market"
	"daybreak/pipeline"
	"daybreak/pipeline/engine"
)

func newInstanceCmd(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "instance",
		Short: "Look at instances of workflows, and steer them",
		Long: "Instances that wait, have failed or are paused are listed and can be changed, one by its id or all that match\n" +
			"--where. Acts that run on begin with ten, then a tenth, then all, and stop where one fails as before.",
	}
	c.AddCommand(newInstanceListCmd(a), newInstanceShowCmd(a), newInstanceStartCmd(a))
	for _, act := range instanceActs {
		c.AddCommand(newInstanceActCmd(a, act))
	}
	return c
}

// instanceAct is one command that changes instances.
type instanceAct struct {
	act, short, example string
}

var instanceActs = []instanceAct{
	{engine.ActPause, "Keep instances from going on", "daybreak instance pause 2020-03-16.1/H000003 --as ana --why 'call from the client'"},
	{engine.ActResume, "Let paused instances go on, or a node that is held", "daybreak instance resume --release trade/decide --as ana --why 'service mended'"},
	{engine.ActTerminate, "End instances where they stand", "daybreak instance terminate --where 'node == \"rest\"' --as ana --why 'no longer wanted'"},
	{engine.ActRetry, "Try failed instances again now, and calls that wait for another attempt", "daybreak instance retry --where 'code == \"UNAVAILABLE\"' --as ana --why 'service is back'"},
	{engine.ActReset, "Bring instances to a node anew", "daybreak instance reset ID --to price --as ana --why 'price was wrong'"},
	{engine.ActPatch, "Change the context of instances, checked against its type", "daybreak instance patch ID --patch '{\"mode\":\"keep\"}' --as ana --why 'wrong mode' --dry-run"},
	{engine.ActMove, "Bring instances into another version", "daybreak instance move --where 'workflow == \"trade\"' --version 77ab --as ana --why 'mended'"},
}

// actFlags are the flags of the commands that change instances.
type actFlags struct {
	where, as, why string
	to, version    string
	patch, release string
	dryRun         bool
	settle         time.Duration
}

func newInstanceActCmd(a *app, act instanceAct) *cobra.Command {
	var f actFlags
	c := &cobra.Command{
		Use:     act.act + " [ID...]",
		Short:   act.short,
		Example: "  " + act.example,
		RunE:    func(c *cobra.Command, args []string) error { return a.actOnInstances(c.Context(), act.act, f, args) },
	}
	c.Flags().StringVar(&f.where, "where", "", "CEL expression over an instance: only those that match; 'true' for all")
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "say what would be changed, and change nothing")
	c.Flags().DurationVar(&f.settle, "settle", time.Minute, "how long canaries may take to show what comes of them")
	addActorFlags(c, &f.as, &f.why)
	switch act.act {
	case engine.ActReset:
		c.Flags().StringVar(&f.to, "to", "", "node")
		_ = c.MarkFlagRequired("to")
	case engine.ActPatch:
		c.Flags().StringVar(&f.patch, "patch", "", "JSON merge patch (RFC 7396)")
		_ = c.MarkFlagRequired("patch")
	case engine.ActMove:
		c.Flags().StringVar(&f.version, "version", "", "first digits of the hash of the version")
		c.Flags().StringVar(&f.to, "to", "", "node; without it the one where each stands")
		_ = c.MarkFlagRequired("version")
	case engine.ActResume:
		c.Flags().StringVar(&f.release, "release", "", "node that is held, as WORKFLOW/NODE, with what waits before it")
	}
	return c
}

// instances returns where people act on instances.
func (a *app) instances(o *office) (engine.Office, error) {
	registry, err := a.actions()
	return engine.Office{Store: o.db, Registry: registry, Functions: pipeline.SessionFunctions(market.Calendar), Now: a.now, SettleEvery: 200 * time.Millisecond}, err
}

// order returns what flags and arguments ask for.
func (f actFlags) order(act string, ids []string) (engine.Order, error) {
	order := engine.Order{Act: act, Where: f.where, IDs: ids, Node: f.to, Patch: []byte(f.patch), Actor: f.as, Why: f.why}
	if (f.where == "") == (len(ids) == 0) {
		return order, usageError("name instances, or say which by --where; --where true is all of them")
	}
	var err error
	if order.Match, err = filter.Instances(f.where); err != nil {
		return order, exitWith(exitUsage, fmt.Errorf("--where: %w", err))
	}
	return order, nil
}

func (a *app) actOnInstances(ctx context.Context, act string, f actFlags, ids []string) error {
	return a.withOffice(ctx, false, func(o *office) error {
		acts, err := a.instances(o)
		if err != nil {
			return err
		}
		acts.Settle = f.settle
		if f.release != "" {
			workflow, node, ok := strings.Cut(f.release, "/")
			if !ok {
				return usageError("--release %q: want WORKFLOW/NODE", f.release)
			}
			return acts.Release(ctx, engine.Hold{Workflow: workflow, Node: node}, f.as, f.why)
		}
		order, err := f.order(act, ids)
		if err != nil {
			return err
		}
		if order.To, err = a.versionFor(ctx, o, acts, f.version, order); err != nil {
			return err
		}
		if f.dryRun {
			preview, err := acts.Preview(ctx, order)
			if err != nil {
				return err
			}
			return emitOne(a, preview, writeActPreview)
		}
		report, err := acts.Do(ctx, order)
		if err != nil {
			return err
		}
		if err := emitOne(a, report, writeActReport); err != nil {
			return err
		}
		if report.Stopped != "" || report.Changed < report.Fits {
			return exitWith(exitExceptions, nil)
		}
		return nil
	})
}

// versionFor returns the number of the version that a move goes to, of the workflow that its
// instances have; 0 for other acts.
func (a *app) versionFor(ctx context.Context, o *office, acts engine.Office, version string, order engine.Order) (int, error) {
	if order.Act != engine.ActMove {
		return 0, nil
	}
	order.Act = engine.ActPause // a preview that needs no version
	rows, err := acts.Matching(ctx, order)
	if err != nil {
		return 0, err
	}
	var names []string
	for _, l := range rows {
		names = append(names, l.Workflow)
	}
	slices.Sort(names)
	if names = slices.Compact(names); len(names) != 1 {
		return 0, usageError("instances of one workflow can be moved at a time, these are of %d", len(names))
	}
	stored, err := o.db.DefinitionMatching(ctx, names[0], version)
	return stored.Number, err
}

func writeActPreview(w io.Writer, v engine.Preview) error {
	p := &printer{w: w}
	p.line("%s: %d match, %d are in a state that it can change", v.Act, v.Matched, v.Fits)
	for _, counts := range []map[string]int{v.ByState, v.ByNode} {
		var keys []string
		for k := range counts {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			p.line("  %-32s %8d", k, counts[k])
		}
	}
	for _, d := range v.Changes {
		p.line("%s\n  - %s\n  + %s", d.ID, d.Before, d.After)
	}
	for _, f := range v.Faults {
		p.line("can't: %s", f)
	}
	return p.err
}

func writeActReport(w io.Writer, r engine.Report) error {
	if err := writeActPreview(w, r.Preview); err != nil {
		return err
	}
	p := &printer{w: w}
	for _, s := range r.Stages {
		p.line("%-24s %8d changed, %d failed again", s.Name, s.Changed, s.Again)
	}
	if r.Stopped != "" {
		p.line("stopped: %s", r.Stopped)
	}
	return p.err
}

func newInstanceStartCmd(a *app) *cobra.Command {
	var workflow, household, file string
	var urgent bool
	c := &cobra.Command{
		Use:     "start ID",
		Short:   "Start an instance of a workflow for a household",
		Long:    "Sends a record to the engine. A second start under an id that is known today changes nothing.",
		Example: "  daybreak instance start W-2207 --workflow withdrawal --household H000003 --context w.json --urgent",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			text, err := readAll(a.in, file)
			if err != nil {
				return err
			}
			return a.withOffice(c.Context(), true, func(o *office) error {
				key, err := o.db.RoutingKey(c.Context(), household)
				if err != nil {
					return err
				}
				topic := engine.TopicInstances
				if urgent {
					topic = engine.TopicUrgent
				}
				return engine.Send(c.Context(), o.producer, topic, []engine.Start{{
					Instance: args[0], Household: household, RoutingKey: key, Workflow: workflow, Day: market.DayOf(a.now().UTC()), Context: text,
				}})
			})
		},
	}
	c.Flags().StringVar(&workflow, "workflow", "", "NAME, NAME@ALIAS or NAME@HASH")
	c.Flags().StringVar(&household, "household", "", "id of the household")
	c.Flags().StringVar(&file, "context", "-", "file of the context in JSON; - is stdin")
	c.Flags().BoolVar(&urgent, "urgent", false, "by the lane that does not wait behind a run")
	_ = c.MarkFlagRequired("workflow")
	_ = c.MarkFlagRequired("household")
	return c
}
