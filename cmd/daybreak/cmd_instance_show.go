package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"daybreak/internal/filter"
	"daybreak/internal/kafka"
	"daybreak/internal/postgres"
	"daybreak/market"
	"daybreak/pipeline"
	"daybreak/pipeline/engine"
)

func newInstanceListCmd(a *app) *cobra.Command {
	var where, ended, household string
	var failures bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List instances that wait, have failed or are paused, or that ended on a day",
		Example: "  daybreak instance list --where 'state == \"failed\" && node == \"decide\"'\n  daybreak instance list --failures\n" +
			"  daybreak instance list --ended 2020-03-16 --household H000003",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			match, err := filter.Instances(where)
			if err != nil {
				return exitWith(exitUsage, fmt.Errorf("--where: %w", err))
			}
			return a.withOffice(c.Context(), false, func(o *office) error {
				if ended != "" {
					return a.listEnded(c.Context(), o, ended, household)
				}
				if failures {
					groups, err := o.db.Failures(c.Context())
					if err != nil {
						return err
					}
					return emit(a, groups, writeFailures)
				}
				rows, err := engine.Office{Store: o.db}.Matching(c.Context(), engine.Order{Match: match})
				if err != nil {
					return err
				}
				return emit(a, rows, writeInstances)
			})
		},
	}
	c.Flags().StringVar(&where, "where", "", "CEL expression over an instance: only those that match")
	c.Flags().StringVar(&ended, "ended", "", "day (UTC) whose ended instances are listed instead")
	c.Flags().StringVar(&household, "household", "", "with --ended: only those of this household")
	c.Flags().BoolVar(&failures, "failures", false, "group the failed ones by node and error instead")
	return c
}

// endedMax are the rows of one page of ended instances.
const endedMax = 10_000

// endedInstance is an instance that has ended, as lists show it.
type endedInstance struct {
	ID        string    `json:"id"`
	Household string    `json:"household"`
	State     string    `json:"state"`
	Node      string    `json:"node"`
	Started   time.Time `json:"started"`
	Finished  time.Time `json:"finished"`
}

func (a *app) listEnded(ctx context.Context, o *office, on, household string) error {
	day, err := market.ParseDay(on)
	if err != nil {
		return usageError("--ended: %w", err)
	}
	var all []endedInstance
	add := func(f engine.Finished) {
		all = append(all, endedInstance{f.ID, f.Household, f.State, f.Node, f.Started, f.Finished})
	}
	if isArchived, err := a.archived(o).EndedOn(ctx, day, household, add); err != nil || isArchived {
		if err != nil {
			return err
		}
		return emit(a, all, writeEnded)
	}
	for after := ""; ; after = all[len(all)-1].ID {
		page, err := o.db.FinishedOn(ctx, day, household, after, endedMax)
		if err != nil {
			return err
		}
		for _, f := range page {
			add(f)
		}
		if len(page) < endedMax {
			return emit(a, all, writeEnded)
		}
	}
}

func writeEnded(w io.Writer, all []endedInstance) error {
	p := &printer{w: w}
	for _, e := range all {
		p.line("%-32s %-12s %-10s %-16s %s %s", e.ID, e.Household, e.State, e.Node, e.Started.UTC().Format(time.DateTime), e.Finished.Sub(e.Started).Round(time.Millisecond))
	}
	return p.err
}

func writeInstances(w io.Writer, all []engine.Listed) error {
	p := &printer{w: w}
	for _, l := range all {
		until := ""
		if l.Due != nil {
			until = "until " + l.Due.UTC().Format(time.DateTime)
		}
		p.line("%-32s %-12s %-16s %-8s %-16s %s%s", l.ID, l.Household, l.Workflow, l.State, l.Node, until, l.Failure.Code)
	}
	return p.err
}

func writeFailures(w io.Writer, all []engine.FailureGroup) error {
	p := &printer{w: w}
	for _, g := range all {
		p.line("%8d  %-16s %-16s %-16s %s", g.Instances, g.Workflow, g.Node, g.Code, g.Signature)
	}
	return p.err
}

func newInstanceShowCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show where an instance is and every step that it took",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			registry, err := a.actions()
			if err != nil {
				return err
			}
			return a.withOffice(c.Context(), false, func(o *office) error {
				trace, err := engine.NewInspector(a.archived(o), registry, pipeline.SessionFunctions(market.Calendar)).Show(c.Context(), args[0])
				if err != nil {
					return err
				}
				return emitOne(a, trace, writeTrace)
			})
		},
	}
}

func writeTrace(w io.Writer, t engine.Trace) error {
	p := &printer{w: w}
	p.line("%s  household %s  %s@%.12s  %s at %s", t.ID, t.Household, t.Workflow, t.Version, t.State, t.Node)
	if t.Failure.Code != "" {
		p.line("  %s: %s", t.Failure.Code, t.Failure.Message)
	}
	for _, s := range t.Steps {
		p.line("%s  %-8s %-16s attempt %d  %8.2f ms  → %-16s %s %s", s.At.Format(time.DateTime), s.Kind, s.Node, s.Attempt, s.Duration, s.Next, s.Worker, s.Failure.Code)
		if len(s.Request) > 0 {
			p.line("    request  %s", s.Request)
		}
		if len(s.Response) > 0 {
			p.line("    response %s", s.Response)
		}
	}
	for _, act := range t.Acts {
		p.line("%s  %s by %s: %s", act.At.UTC().Format(time.DateTime), act.Act, act.Actor, act.Why)
	}
	return p.err
}

// The consumer groups of the engine: one for each lane.
const (
	groupEngine       = "daybreak.engine"
	groupEngineUrgent = "daybreak.engine.urgent"
)

// instancesBatchMax are the instances that one poll takes at most, of one partition or several.
const instancesBatchMax = 1_000

// engine runs instances of workflows, in two lanes, and wakes those that are due.
func (s *services) engine(ctx context.Context) error {
	registry, err := s.app.actions()
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	var wakers []*engine.Waker
	for topic, name := range map[string]string{engine.TopicInstances: groupEngine, engine.TopicUrgent: groupEngineUrgent} {
		waker := engine.NewWaker(engine.WakerConfig{Offsets: s.db, Timers: s.db, Publisher: s.producer, Now: s.app.now, Log: s.app.log})
		e := engine.New(engine.Config{
			Store: s.db, Registry: registry, Functions: pipeline.SessionFunctions(market.Calendar), Now: s.app.now, Worker: workerName(s.instance),
			Cores: runtime.GOMAXPROCS(0), Log: s.app.log,
		})
		e.Wake(waker)
		consumer := &kafka.Consumer{Brokers: s.where.Brokers, Group: name, Instance: s.instance, Topic: topic, BatchMax: instancesBatchMax,
			Offsets: waker, Handler: e, Log: s.app.log}
		group.Go(func() error { return consumer.Run(ctx) })
		group.Go(func() error { return waker.Run(ctx) })
		wakers = append(wakers, waker)
	}
	group.Go(func() error {
		return s.db.Listen(ctx, []string{postgres.ChannelEngine}, func(string, string) {
			for _, w := range wakers {
				w.Rescan()
			}
		})
	})
	return group.Wait()
}

// workerName is what the journal calls this process.
func workerName(instance string) string {
	if instance == "" {
		return "engine"
	}
	return instance
}
