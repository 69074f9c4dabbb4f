package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"daybreak/internal/filter"
	"daybreak/internal/kafka"
	"daybreak/internal/postgres"
	"daybreak/market"
	"daybreak/pipeline"
	"daybreak/rebalance"
)

func newRunCmd(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "run",
		Short: "Start, watch and steer morning runs",
		Long: "A morning run plans every household of a session once. Its id is DATE.N: the session and the\n" +
			"number of the run in it. Both countries are one run; orders of a closed market are skipped.",
	}
	c.AddCommand(newRunStartCmd(a), newRunListCmd(a), newRunShowCmd(a), newRunWatchCmd(a),
		newRunStateCmd(a, runPause), newRunStateCmd(a, runResume), newRunStateCmd(a, runCancel), newRunDiffCmd(a))
	return c
}

// office is what commands about runs and orders work with: the database, and a producer where they
// send something.
type office struct {
	where    *installation
	db       *postgres.DB
	producer *kafka.Producer
	close    func()
}

// openOffice connects to the installation that the settings name. With sends it also connects to its
// brokers.
func (a *app) openOffice(ctx context.Context, sends bool) (*office, error) {
	where, err := a.connect(ctx)
	if err != nil {
		return nil, err
	}
	db, err := postgres.Open(ctx, where.DSN, a.settings.Connections)
	if err != nil {
		_ = where.Close()
		return nil, err
	}
	d := &office{where: where, db: db, close: func() { db.Close(); _ = where.Close() }}
	if err := a.admit(ctx, db); err != nil {
		d.close()
		return nil, err
	}
	if !sends {
		return d, nil
	}
	if len(where.Brokers) == 0 {
		d.close()
		return nil, usageError("no brokers named: give --brokers or KAFKA_BROKERS beside the database")
	}
	if d.producer, err = kafka.NewProducer(where.Brokers); err != nil {
		d.close()
		return nil, err
	}
	d.close = func() { d.producer.Close(); db.Close(); _ = where.Close() }
	return d, nil
}

// withOffice runs do with the office of the installation that the settings name.
func (a *app) withOffice(ctx context.Context, sends bool, do func(o *office) error) error {
	o, err := a.openOffice(ctx, sends)
	if err != nil {
		return err
	}
	defer o.close()
	return do(o)
}

func newRunStartCmd(a *app) *cobra.Command {
	var date, where, as string
	var wait bool
	var set []string
	c := &cobra.Command{
		Use:   "start --date DATE",
		Short: "Start the run of a session: one record for each household",
		Example: "  daybreak run start --date 2020-03-16 --wait\n" +
			"  daybreak run start --date 2020-03-16 --where 'region == \"CA\"'\n" +
			"  daybreak run start --date 2020-03-16 --set mode=harvest_only --set gap_max=2",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			day, err := market.ParseDay(date)
			if err != nil {
				return usageError("--date: %w", err)
			}
			chosen, err := filter.Households(where)
			if err != nil {
				return exitWith(exitUsage, fmt.Errorf("--where: %w", err))
			}
			settings, err := runSettings(set)
			if err != nil {
				return err
			}
			return a.withOffice(c.Context(), true, func(o *office) error {
				run, err := a.startRun(c.Context(), o, pipeline.RunRequest{Session: day, Where: where, Chosen: chosen, Maker: as, Settings: settings})
				if err != nil {
					return err
				}
				if !wait {
					return emitOne(a, run, writeRunLine)
				}
				return a.awaitRun(c.Context(), o, run.ID)
			})
		},
	}
	c.Flags().StringVar(&date, "date", "", "session to run, YYYY-MM-DD")
	c.Flags().StringVar(&where, "where", "", "CEL expression over a household's id, region and accounts: only those that match")
	c.Flags().StringVar(&as, "as", "scheduler", "user who starts the run; nobody else may be its maker")
	c.Flags().BoolVar(&wait, "wait", false, "wait for the run's end and print its summary")
	c.Flags().StringArrayVar(&set, "set", nil, "change a parameter of the run, key=value; may be given again. Keys: "+strings.Join(rebalance.SettingKeys(), " "))
	_ = c.MarkFlagRequired("date")
	return c
}

// runSettings reads parameters of a run.
func runSettings(set []string) (rebalance.Settings, error) {
	var s rebalance.Settings
	pairs, err := readSettings(set)
	if err != nil {
		return s, err
	}
	for _, p := range pairs {
		if err := s.Set(p.Key, p.Value); err != nil {
			return s, exitWith(exitUsage, err)
		}
	}
	return s, nil
}

// startRun starts a run with this build's id and rules.
func (a *app) startRun(ctx context.Context, d *office, request pipeline.RunRequest) (pipeline.Run, error) {
	var err error
	if request.Build, err = build(); err != nil {
		return pipeline.Run{}, err
	}
	if request.Rules, err = rulesHash(); err != nil {
		return pipeline.Run{}, err
	}
	request.Now = a.now()
	return pipeline.StartRun(ctx, d.db, d.producer, request)
}

// awaitRun shows the progress of a run until it ends and prints its summary. Parked households make
// it end with 3.
func (a *app) awaitRun(ctx context.Context, o *office, id string) error {
	stop, err := a.workAlone(ctx, o.where)
	if err != nil {
		return err
	}
	defer stop()
	if err := watchRun(ctx, o.db, id, a.newProgress("households")); err != nil {
		if ctx.Err() != nil {
			return exitWith(exitInterrupted, fmt.Errorf("run %s goes on without being watched; `daybreak run watch %s` looks again", id, id))
		}
		return err
	}
	return a.printSummary(ctx, o, id)
}

// workAlone plays the worker while this command owns the servers of its installation: nobody else
// runs there who could. The caller calls what it returns.
func (a *app) workAlone(ctx context.Context, where *installation) (stop func(), err error) {
	if where.servers == nil {
		return func() {}, nil
	}
	s, err := a.openServices(ctx, where)
	if err != nil {
		return nil, err
	}
	fmt.Fprintln(a.errOut, "no `daybreak up` is running on this data: this command works the run itself")
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.run(ctx, []string{roleWorker}) }()
	return func() { cancel(); <-ended; s.Close() }, nil
}

func (a *app) printSummary(ctx context.Context, o *office, id string) error {
	s, err := o.db.Summary(ctx, id)
	if err != nil {
		return err
	}
	if err := emitOne(a, s, func(w io.Writer, s pipeline.Summary) error { return writeSummary(w, s, a.plain()) }); err != nil {
		return err
	}
	if s.Parked > 0 {
		return exitWith(exitExceptions, nil)
	}
	return nil
}

// watchRun follows a run by its notifications until it is finished or canceled. A look every
// lookEvery is the net under a lost connection.
func watchRun(ctx context.Context, db *postgres.DB, id string, p *progress) error {
	defer p.end()
	ctx, stop := context.WithCancel(ctx)
	wake := make(chan struct{}, 1)
	listening := make(chan error, 1)
	go func() {
		listening <- db.Listen(ctx, []string{postgres.ChannelRun}, func(string, string) {
			select {
			case wake <- struct{}{}:
			default: // somebody is being woken already
			}
		})
	}()
	defer func() { stop(); <-listening }()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		run, err := db.Run(ctx, id)
		if err != nil {
			return err
		}
		at, err := db.RunProgress(ctx, id)
		if err != nil {
			return err
		}
		p.show(at.Decided, int64(run.Households), fmt.Sprintf("%d orders, %d parked", at.Orders, at.Parked))
		if run.State == pipeline.RunFinished || run.State == pipeline.RunCanceled {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-wake:
		case <-tick.C:
		}
	}
}

const lookEvery = time.Second

func newRunListCmd(a *app) *cobra.Command {
	var limit int
	c := &cobra.Command{
		Use:   "list",
		Short: "List runs, the newest first",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withOffice(c.Context(), false, func(o *office) error {
				runs, err := o.db.LatestRuns(c.Context(), limit)
				if err != nil {
					return err
				}
				return emit(a, runs, writeRunLines)
			})
		},
	}
	c.Flags().IntVar(&limit, "limit", 20, "runs to list at most")
	return c
}

func writeRunLines(w io.Writer, runs []pipeline.Run) error {
	for _, r := range runs {
		if err := writeRunLine(w, r); err != nil {
			return err
		}
	}
	return nil
}

func writeRunLine(w io.Writer, r pipeline.Run) error {
	_, err := fmt.Fprintf(w, "%-14s %-9s %7d households  by %s at %s  build %.12s\n",
		r.ID, r.State, r.Households, r.Maker, r.Started.UTC().Format(time.DateTime), r.Build)
	return err
}

func newRunShowCmd(a *app) *cobra.Command {
	return newRunLookCmd(a, "show RUN", "Show the summary of a run", a.printSummary)
}

func newRunWatchCmd(a *app) *cobra.Command {
	return newRunLookCmd(a, "watch RUN", "Follow a run until its end and print its summary", a.awaitRun)
}

func newRunLookCmd(a *app, use, short string, look func(context.Context, *office, string) error) *cobra.Command {
	return &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.withOffice(c.Context(), false, func(o *office) error { return look(c.Context(), o, args[0]) })
		},
	}
}

// runSteer is one of the commands that change a run's state.
type runSteer struct {
	verb  string
	short string
	from  []pipeline.RunState
	to    pipeline.RunState
}

var (
	runPause  = runSteer{"pause", "Let workers leave a run alone until it is resumed", []pipeline.RunState{pipeline.RunStarted}, pipeline.RunPaused}
	runResume = runSteer{"resume", "Go on with a run: send every household that has no decision yet", nil, pipeline.RunStarted}
	runCancel = runSteer{"cancel", "End a run of which nothing was sent; its proposals and locks are void",
		[]pipeline.RunState{pipeline.RunStarted, pipeline.RunPaused, pipeline.RunFinished}, pipeline.RunCanceled}
)

func newRunStateCmd(a *app, s runSteer) *cobra.Command {
	var as, why string
	c := &cobra.Command{
		Use:   s.verb + " RUN",
		Short: s.short,
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			change := pipeline.RunChange{Run: args[0], From: s.from, To: s.to, By: as, Why: why, Now: a.now()}
			return a.withOffice(c.Context(), s.to == pipeline.RunStarted, func(o *office) error {
				run, err := steer(c.Context(), o, change)
				if err != nil {
					return err
				}
				return emitOne(a, run, writeRunLine)
			})
		},
	}
	c.Flags().StringVar(&as, "as", "", "user who does this")
	c.Flags().StringVar(&why, "why", "", "reason, for the audit trail")
	_ = c.MarkFlagRequired("as")
	return c
}

func steer(ctx context.Context, o *office, change pipeline.RunChange) (pipeline.Run, error) {
	if change.To == pipeline.RunStarted {
		return pipeline.ResumeRun(ctx, o.db, o.producer, change)
	}
	return o.db.ChangeRun(ctx, change)
}
