package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"daybreak/internal/postgres"
	"daybreak/pipeline"
	"daybreak/portfolio"
	"daybreak/sim"
)

// demoReport is what a demo prints.
type demoReport struct {
	Summary  pipeline.Summary         `json:"summary"`
	Approved pipeline.ApprovalResult  `json:"approved"`
	Sent     pipeline.SubmitResult    `json:"submitted"`
	Day      postgres.DayResult       `json:"day"`
	Checks   []pipeline.Check         `json:"verify"`
	Replayed []pipeline.Replayed      `json:"replayed"`
	Account  portfolio.AccountID      `json:"account"`
	Timeline []postgres.TimelineEntry `json:"timeline"`
	Seconds  float64                  `json:"seconds"`
}

func newDemoCmd(a *app) *cobra.Command {
	var households int
	c := &cobra.Command{
		Use:   "demo",
		Short: "Run one whole day on the sample market in a temporary directory, and end",
		Long: "Makes a world of households that lived through years of real prices, runs the morning of 2020-03-16,\n" +
			"has a second user approve the orders, sends them to a simulated brokerage, books the fills, verifies\n" +
			"every invariant, and replays one account. It ends with 0 where the parked households are just those with\n" +
			"planted faults and no invariant is broken. Nothing of it stays.",
		Example:     "  daybreak demo\n  daybreak demo --households 2000 -o json",
		Args:        cobra.NoArgs,
		Annotations: map[string]string{ignoresEnvironment: "true"},
		RunE: func(c *cobra.Command, _ []string) error {
			if err := (sim.WorldSettings{Households: households, Years: sampleYears}).Validate(); err != nil {
				return usageError("--%w", err)
			}
			return a.demo(c.Context(), households)
		},
	}
	c.Flags().IntVar(&households, "households", sampleHouseholds, "households of the world")
	return c
}

// demo plays a day and takes away what it made.
func (a *app) demo(ctx context.Context, households int) (err error) {
	a.settings = a.settings.withoutInstallation()
	dir, err := os.MkdirTemp("", "daybreak-demo-")
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o755); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	fmt.Fprintf(a.errOut, "starting PostgreSQL and a broker in %s\n", dir)
	place, err := a.startEmbedded(ctx, dir)
	if err != nil {
		return err
	}
	if err := a.setUp(ctx, place); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, place.Close()) }()
	began := a.now()
	if err := a.fillEmptyBook(ctx, place, households); err != nil {
		return err
	}
	s, err := a.openServices(ctx, place)
	if err != nil {
		return err
	}
	defer s.Close()
	report, err := a.playDay(ctx, s)
	if err != nil {
		return err
	}
	report.Seconds = a.now().Sub(began).Seconds()
	if err := emitOne(a, report, func(w io.Writer, r demoReport) error { return writeDemo(w, r, a.plain()) }); err != nil {
		return err
	}
	return report.verdict()
}

// playDay has the roles of the day in the background while it does what people do.
func (a *app) playDay(ctx context.Context, s *services) (demoReport, error) {
	var report demoReport
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.run(ctx, []string{roleWorker, roleFills, roleGateway}) })
	group.Go(func() error {
		defer stop() // the day is over: the roles end
		day := &demoDay{app: a, services: s, report: &report}
		for _, step := range []func(context.Context) error{day.run, day.approve, day.submit, day.fill, day.check, day.replay} {
			if err := step(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	err := group.Wait()
	return report, err
}

// demoDay is a day in steps, each of which adds to the report.
type demoDay struct {
	app      *app
	services *services
	report   *demoReport
	id       string // of the run
}

func (d *demoDay) run(ctx context.Context) error {
	s := d.services
	run, err := pipeline.StartRun(ctx, s.db, s.producer, pipeline.RunRequest{
		Session: sampleDay, Maker: makerScheduler, Build: s.build, Rules: s.rules, Now: d.app.now(),
	})
	if err != nil {
		return err
	}
	d.id = run.ID
	if err := watchRun(ctx, s.db, run.ID, d.app.newProgress("households")); err != nil {
		return err
	}
	d.report.Summary, err = s.db.Summary(ctx, run.ID)
	return err
}

func (d *demoDay) approve(ctx context.Context) (err error) {
	act := pipeline.Act{Run: d.id, By: userManager, Comment: "demo", Now: d.app.now()}
	d.report.Approved, err = desk(d.services.db).Approve(ctx, act)
	return err
}

func (d *demoDay) submit(ctx context.Context) (err error) {
	act := pipeline.Act{Run: d.id, By: userSubmitter, Comment: "demo", Now: d.app.now()}
	d.report.Sent, err = desk(d.services.db).Submit(ctx, act)
	return err
}

// fill waits until nothing that was submitted is on its way any more.
func (d *demoDay) fill(ctx context.Context) error {
	p := d.app.newProgress("orders")
	defer p.end()
	tick := time.NewTicker(lookEvery / 5)
	defer tick.Stop()
	for {
		left, done, err := d.services.db.DayLeft(ctx, d.id)
		if err != nil {
			return err
		}
		p.show(done, left+done, "filled, rejected or canceled")
		if left == 0 {
			d.report.Day, err = d.services.db.DayResult(ctx, d.id)
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func (d *demoDay) check(ctx context.Context) (err error) {
	d.report.Checks, err = verify(ctx, d.services.db)
	return err
}

// replay decides one account again that has been traded since: as it was, and with another band.
func (d *demoDay) replay(ctx context.Context) error {
	s := d.services
	account, err := s.db.FirstHarvest(ctx, d.id)
	if errors.Is(err, pipeline.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	d.report.Account = account
	for _, settings := range [][]pipeline.Setting{nil, {{Key: "harvest_min", Value: "0.9"}}} {
		r, err := pipeline.Replay(ctx, s.db, pipeline.ReplayRequest{Account: account, Run: d.id, Build: s.build, Settings: settings})
		if err != nil {
			return err
		}
		d.report.Replayed = append(d.report.Replayed, r)
	}
	d.report.Timeline, err = s.db.Timeline(ctx, account, 12)
	return err
}

// verdict returns why the day was not what it should be, or nil.
func (r demoReport) verdict() error {
	for _, f := range r.Day.Faults {
		if f.Planted != f.Parked {
			return exitWith(exitExceptions, fmt.Errorf("household %s was parked with %q, planted was %q", f.Household, f.Parked, f.Planted))
		}
	}
	if !sound(r.Checks) {
		return exitWith(exitDifferences, errors.New("an invariant is broken"))
	}
	if len(r.Replayed) > 0 && !r.Replayed[0].Same {
		return exitWith(exitDifferences, fmt.Errorf("account %s: the replay differs", r.Account))
	}
	return nil
}

func writeDemo(w io.Writer, r demoReport, plain bool) error {
	if err := writeSummary(w, r.Summary, plain); err != nil {
		return err
	}
	p := &printer{w: w}
	p.line("")
	p.line("Approved by %s: %d orders, root %.16s…; flagged %d", userManager, r.Approved.Orders, r.Approved.Root, len(r.Approved.Flagged))
	p.line("Submitted by %s: %d orders, %s; stale %d", userSubmitter, r.Sent.Orders, amounts(r.Sent.Notional), len(r.Sent.Stale))
	p.line("Fills applied: %d", r.Day.Executions)
	p.reasons("Orders at the end of the day", r.Day.States)
	p.line("")
	if err := writeChecks(w, r.Checks); err != nil {
		return err
	}
	p.line("")
	for i, replayed := range r.Replayed {
		if i == 1 {
			p.line("With harvest_min=0.9 it would have differed in %d places.", len(replayed.Differences))
			continue
		}
		if err := writeReplayed(w, replayed); err != nil {
			return err
		}
	}
	for _, e := range r.Timeline {
		p.line("  %s  %-9s %-22s %s", e.At.UTC().Format(time.DateTime), e.Kind, e.Subject, e.Detail)
	}
	p.line("")
	p.line("%d parked households are the %d with planted faults. The day took %.1f s.", r.Summary.Parked, len(r.Day.Faults), r.Seconds)
	return p.err
}
