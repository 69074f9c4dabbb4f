package main

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"daybreak/internal/archive"
	"daybreak/market"
	"daybreak/pipeline/engine"
)

func newArchiveCmd(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "archive",
		Short: "Move ended days of the engine's journal into Parquet files, and back",
		Long: "A day is written, read back and compared, then its partitions are dropped. Commands read archived days as if they\n" +
			"were there. An object store is found by AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
		Args: noSubcommand,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newArchiveRunCmd(a), newArchiveVerifyCmd(a), newArchiveRestoreCmd(a), newArchiveListCmd(a))
	return c
}

// archiveKeepDays are the days that stay in the database where nobody says otherwise.
const archiveKeepDays = 21

// openVault opens the archive at a place, with the object store that the environment names.
func (a *app) openVault(place string) (engine.Vault, error) {
	e := archive.Endpoint{}
	for name, value := range map[string]*string{"AWS_ENDPOINT_URL": &e.URL, "AWS_REGION": &e.Region, "AWS_ACCESS_KEY_ID": &e.Key, "AWS_SECRET_ACCESS_KEY": &e.Secret} {
		for _, variable := range a.environ {
			if v, ok := strings.CutPrefix(variable, name+"="); ok {
				*value = v
			}
		}
	}
	return archive.Open(place, e)
}

// archived reads instances of the database and of its archived days.
func (a *app) archived(o *office) engine.Archived {
	return engine.Archived{ArchiveReader: o.db, Open: a.openVault}
}

func (a *app) archiver(o *office, as string, p *progress) *engine.Archiver {
	return &engine.Archiver{Store: o.db, Open: a.openVault, Now: a.now, Actor: as, Show: p.show}
}

func newArchiveRunCmd(a *app) *cobra.Command {
	var to, before, as string
	var dryRun bool
	c := &cobra.Command{
		Use:   "run",
		Short: "Archive ended days: write, read back, drop",
		Example: "  daybreak archive run --to /backup/daybreak --as ana --dry-run\n" +
			"  daybreak archive run --to s3://firm-archive/daybreak --before 2026-11-01 --as ana",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withOffice(c.Context(), false, func(o *office) error {
				day, err := a.archiveBefore(before)
				if err != nil {
					return err
				}
				p := a.newProgress("days")
				defer p.end()
				archiver := a.archiver(o, as, p)
				if dryRun {
					pending, err := archiver.Pending(c.Context(), day)
					if err != nil {
						return err
					}
					return emit(a, pending, writeDays)
				}
				place, err := a.archivePlace(c.Context(), o, to)
				if err != nil {
					return err
				}
				done, err := archiver.Run(c.Context(), day, place)
				return errors.Join(emit(a, done, writeArchived), err)
			})
		},
	}
	c.Flags().StringVar(&to, "to", "", "directory or s3://BUCKET/PREFIX; where the last day went if not given")
	c.Flags().StringVar(&before, "before", "", "days (UTC) before this one; all that ended more than 21 days ago if not given")
	c.Flags().StringVar(&as, "as", "", "user who does this")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "list the days that would be archived, and change nothing")
	_ = c.MarkFlagRequired("as")
	return c
}

// archiveBefore returns the first day that stays: yesterday at the latest, for batches that began
// before midnight.
func (a *app) archiveBefore(text string) (market.Day, error) {
	today := market.DayOf(a.now().UTC())
	if text == "" {
		return today - archiveKeepDays, nil
	}
	day, err := market.ParseDay(text)
	if err != nil {
		return day, usageError("--before: %w", err)
	}
	if day >= today {
		return day, usageError("--before %s: want a day before today, %s (UTC)", day, today)
	}
	return day, nil
}

// archivePlace returns where days go: as the user says, else where the last one went.
func (a *app) archivePlace(ctx context.Context, o *office, to string) (string, error) {
	if to != "" && !strings.HasPrefix(to, "s3://") {
		return filepath.Abs(to)
	}
	if to != "" {
		return to, nil
	}
	days, err := o.db.ArchivedDays(ctx)
	if err != nil {
		return "", err
	}
	if len(days) == 0 {
		return "", usageError("--to says where the archive is: a directory or s3://BUCKET/PREFIX")
	}
	return days[0].Place, nil
}

func newArchiveVerifyCmd(a *app) *cobra.Command {
	var as string
	c := &cobra.Command{
		Use:   "verify [DAY...]",
		Short: "Read archived days and compare them with what was recorded",
		Long:  "Without DAY all of them. Ends with 5 where the files of one are not what was written.",
		RunE: func(c *cobra.Command, args []string) error {
			return a.withOffice(c.Context(), false, func(o *office) error {
				p := a.newProgress("days")
				defer p.end()
				done, err := a.verifyDays(c.Context(), o, a.archiver(o, as, p), args)
				if errors.Is(err, engine.ErrArchiveDiffers) {
					err = exitWith(exitDifferences, err)
				}
				return errors.Join(emit(a, done, writeArchived), err)
			})
		},
	}
	c.Flags().StringVar(&as, "as", "", "user who does this")
	_ = c.MarkFlagRequired("as")
	return c
}

func (a *app) verifyDays(ctx context.Context, o *office, archiver *engine.Archiver, names []string) ([]engine.ArchivedDay, error) {
	wanted := map[market.Day]bool{}
	for _, name := range names {
		day, err := market.ParseDay(name)
		if err != nil {
			return nil, usageError("%w", err)
		}
		wanted[day] = true
	}
	days, err := o.db.ArchivedDays(ctx)
	if err != nil {
		return nil, err
	}
	var done []engine.ArchivedDay
	var faults error
	for i, d := range days {
		if len(wanted) > 0 && !wanted[d.Day] {
			continue
		}
		archiver.Show(int64(i), int64(len(days)), d.Day.String())
		verified, err := archiver.Verify(ctx, d)
		faults = errors.Join(faults, err)
		if err == nil {
			done = append(done, verified)
		}
	}
	return done, faults
}

func newArchiveRestoreCmd(a *app) *cobra.Command {
	var as string
	c := &cobra.Command{
		Use:     "restore DAY",
		Short:   "Bring an archived day back into the database, for a week at least",
		Example: "  daybreak archive restore 2026-10-01 --as ana",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			day, err := market.ParseDay(args[0])
			if err != nil {
				return usageError("%w", err)
			}
			return a.withOffice(c.Context(), false, func(o *office) error {
				d, err := a.archiver(o, as, a.newProgress("days")).Restore(c.Context(), day)
				if err != nil {
					return err
				}
				return emitOne(a, d, func(w io.Writer, d engine.ArchivedDay) error { return writeArchived(w, []engine.ArchivedDay{d}) })
			})
		},
	}
	c.Flags().StringVar(&as, "as", "", "user who does this")
	_ = c.MarkFlagRequired("as")
	return c
}

func newArchiveListCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List archived days",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withOffice(c.Context(), false, func(o *office) error {
				days, err := o.db.ArchivedDays(c.Context())
				if err != nil {
					return err
				}
				return emit(a, days, writeArchived)
			})
		},
	}
}

func writeDays(w io.Writer, days []market.Day) error {
	p := &printer{w: w}
	for _, d := range days {
		p.line("%s", d)
	}
	return p.err
}

func writeArchived(w io.Writer, days []engine.ArchivedDay) error {
	p := &printer{w: w}
	for _, d := range days {
		p.line("%s  %-9s %8d lines %10d instances  %.12s  %s", d.Day, d.State, d.Lines, d.Finished, d.Hash, d.Place)
	}
	return p.err
}
