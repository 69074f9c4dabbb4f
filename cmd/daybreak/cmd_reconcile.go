package main

import (
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"daybreak/ledger"
	"daybreak/market"
	"daybreak/pipeline"
)

// reconcileFlags are those of `reconcile`.
type reconcileFlags struct {
	source, date, made, owner, as, format string
	all                                   bool
}

func newReconcileCmd(a *app) *cobra.Command {
	var f reconcileFlags
	c := &cobra.Command{
		Use:   "reconcile [FILE]",
		Short: "Compare a broker's end-of-day positions and cash with the book",
		Long: "Reads a broker's balances (CSV: account,kind,item,amount) and shows where the book differs as that day ended:\n" +
			"since when, whose it is, and the likely cause. Breaks are stored by day, so that ages grow and what has closed\n" +
			"disappears; nothing is corrected. Without FILE it shows what was stored. Ends with 3 where there are breaks.",
		Example: "  daybreak reconcile broker-2026-11-20.csv --source broker --date 2026-11-20 --as ana\n" +
			"  daybreak reconcile --source broker --format csv",
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.withOffice(c.Context(), false, func(o *office) error {
				r, err := a.reconcile(c.Context(), o, f, args)
				if errors.Is(err, pipeline.ErrBalances) {
					return exitWith(exitUsage, err)
				}
				if err != nil {
					return err
				}
				if err := a.writeReconciliation(r, f.format); err != nil {
					return err
				}
				if len(r.Breaks) > 0 {
					return exitWith(exitExceptions, nil)
				}
				return nil
			})
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.source, "source", "broker", "whose file it is; ages are counted by source")
	flags.StringVar(&f.date, "date", "", "day whose end the file is of, YYYY-MM-DD; without FILE the last one if not given")
	flags.StringVar(&f.made, "made", "", "when the file was made, such as 2026-11-21T03:00:00Z; the time of the file if not given")
	flags.StringVar(&f.owner, "owner", "operations", "owner of breaks that are new")
	flags.BoolVar(&f.all, "all-accounts", false, "the file has every account: one that it lacks has nothing at the broker")
	flags.StringVar(&f.as, "as", "", "user who does this")
	flags.StringVar(&f.format, "format", "text", "text or csv; -o json has all there is")
	c.AddCommand(newReconcileOwnCmd(a))
	return c
}

func (a *app) reconcile(ctx context.Context, o *office, f reconcileFlags, args []string) (pipeline.Reconciliation, error) {
	day := market.NoDay
	var err error
	if f.date != "" {
		if day, err = market.ParseDay(f.date); err != nil {
			return pipeline.Reconciliation{}, usageError("--date: %w", err)
		}
	}
	if f.format != "text" && f.format != "csv" {
		return pipeline.Reconciliation{}, usageError("--format %q: text or csv", f.format)
	}
	if len(args) == 0 {
		return o.db.Reconciliation(ctx, f.source, day)
	}
	if day == market.NoDay || f.as == "" {
		return pipeline.Reconciliation{}, usageError("a file needs --date, the day whose end it is of, and --as, who does this")
	}
	file, err := os.Open(args[0])
	if err != nil {
		return pipeline.Reconciliation{}, exitWith(exitUsage, err)
	}
	defer file.Close()
	made, err := madeAt(file, f.made)
	if err != nil {
		return pipeline.Reconciliation{}, err
	}
	return pipeline.Reconcile(ctx, o.db, file, pipeline.ReconcileRequest{Source: f.source, Day: day, Made: made, All: f.all, Owner: f.owner, By: f.as, Now: a.now()})
}

func madeAt(file *os.File, text string) (time.Time, error) {
	if text != "" {
		made, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return made, usageError("--made: %w", err)
		}
		return made, nil
	}
	info, err := file.Stat()
	if err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), nil
}

func (a *app) writeReconciliation(r pipeline.Reconciliation, format string) error {
	if format == "csv" && a.settings.Output == outputText {
		return writeBreaksCSV(a.out, r)
	}
	return emitOne(a, r, writeBreaks)
}

func writeBreaks(w io.Writer, r pipeline.Reconciliation) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "%s %s: %d balances, %d breaks, %d closed since the day before\n", r.Source, r.Day, r.Balances, len(r.Breaks), len(r.Closed))
	for _, b := range r.Breaks {
		fmt.Fprintf(t, "%s\t%s\t%s\ttheirs %s\tours %s\tdiffers %s\t%d days\t%s\t%s\t%s\n", b.Account, b.Kind, b.Item, b.Theirs, b.Ours, b.Differs, b.Age,
			b.Owner, b.Cause, b.Detail)
	}
	for _, b := range r.Closed {
		fmt.Fprintf(t, "%s\t%s\t%s\tclosed, was %s\t\t\tafter %d days\t%s\t%s\t\n", b.Account, b.Kind, b.Item, b.Differs, b.Age, b.Owner, b.Cause)
	}
	return t.Flush()
}

func writeBreaksCSV(w io.Writer, r pipeline.Reconciliation) error {
	c := csv.NewWriter(w)
	rows := [][]string{{"source", "date", "account", "kind", "item", "theirs", "ours", "difference", "since", "age_days", "owner", "cause", "detail", "state"}}
	add := func(b ledger.Break, state string) {
		rows = append(rows, []string{r.Source, r.Day.String(), b.Account, b.Kind, b.Item, b.Theirs.String(), b.Ours.String(), b.Differs.String(),
			b.Since.String(), strconv.Itoa(b.Age), b.Owner, string(b.Cause), b.Detail, state})
	}
	for _, b := range r.Breaks {
		add(b, "open")
	}
	for _, b := range r.Closed {
		add(b, "closed")
	}
	return cmp.Or(c.WriteAll(rows), c.Error())
}

func newReconcileOwnCmd(a *app) *cobra.Command {
	var source, owner, as string
	c := &cobra.Command{
		Use:     "own ACCOUNT KIND ITEM",
		Short:   "Give a break of the last day an owner, whom later days keep",
		Example: "  daybreak reconcile own A00012 cash CAD --owner ben --as ana",
		Args:    cobra.ExactArgs(3),
		RunE: func(c *cobra.Command, args []string) error {
			return a.withOffice(c.Context(), false, func(o *office) error {
				k := pipeline.BalanceKey{Account: args[0], Kind: args[1], Item: args[2]}
				if err := o.db.OwnBreak(c.Context(), pipeline.BreakOwner{Source: source, Key: k, Owner: owner, By: as, Now: a.now()}); err != nil {
					return err
				}
				_, err := fmt.Fprintf(a.out, "%s %s %s is %s's\n", k.Account, k.Kind, k.Item, owner)
				return err
			})
		},
	}
	c.Flags().StringVar(&source, "source", "broker", "whose file the break is of")
	c.Flags().StringVar(&owner, "owner", "", "who looks after it")
	c.Flags().StringVar(&as, "as", "", "user who does this")
	_ = c.MarkFlagRequired("owner")
	_ = c.MarkFlagRequired("as")
	return c
}
