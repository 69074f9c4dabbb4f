package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"daybreak/fills"
	"daybreak/internal/kafka"
	"daybreak/internal/postgres"
	"daybreak/pipeline"
)

func newActionCmd(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "action",
		Short: "Corporate actions: list them, see what one would do, bring due ones to the accounts",
		Long: "Corporate actions come by security, as records of daybreak.events. When the day comes on which one is due,\n" +
			"the role fills brings it to every account that held the security as the ex-date began.",
	}
	c.AddCommand(newActionListCmd(a), newActionPreviewCmd(a), newActionApplyCmd(a))
	return c
}

// actionsMax bounds what `action list` prints.
const actionsMax = 1_000

func newActionListCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List corporate actions, the last due ones first",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withOffice(c.Context(), false, func(o *office) error {
				all, err := o.db.Actions(c.Context(), actionsMax)
				if err != nil {
					return err
				}
				return emit(a, all, writeActionStates)
			})
		},
	}
}

func writeActionStates(w io.Writer, all []pipeline.ActionState) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, s := range all {
		state := "waits"
		if s.Applied != nil {
			state = "applied"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\tex %s\tdue %s\t%s\t%d accounts\n", s.Key, s.Action.Kind, s.Action.Symbol, s.Action.ExDate, s.Due, state, s.Accounts)
	}
	return t.Flush()
}

func newActionPreviewCmd(a *app) *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "preview [KEY]",
		Short: "Show what a corporate action would do to every account, and change nothing",
		Long: "Shows what is left to do of an action that the book has, or all of one that is in a file of records and\n" +
			"that nobody has sent yet.",
		Example: "  daybreak action preview 'action|issuers|SPLIT-1'\n" +
			"  daybreak action preview --file split.jsonl",
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if (len(args) == 0) == (file == "") {
				return usageError("name the key of an action, or a --file")
			}
			return a.withOffice(c.Context(), false, func(o *office) error {
				action, err := actionOf(c.Context(), o.db, strings.Join(args, ""), file)
				if err != nil {
					return err
				}
				var rows []pipeline.ActionPreview
				err = pipeline.PreviewAction(c.Context(), o.db, action, func(p pipeline.ActionPreview) error {
					rows = append(rows, p)
					return nil
				})
				return errors.Join(err, emit(a, rows, writePreview))
			})
		},
	}
	c.Flags().StringVar(&file, "file", "", "file of records; its first corporate action is shown")
	return c
}

// actionOf returns the action of a key, or the first one in a file.
func actionOf(ctx context.Context, db *postgres.DB, key, file string) (fills.Action, error) {
	if file == "" {
		return db.Action(ctx, key)
	}
	if _, err := os.Stat(file); err != nil {
		return fills.Action{}, exitWith(exitUsage, err)
	}
	codec, err := kafka.NewEventCodec(ctx, &kafka.OfflineRegistry{})
	if err != nil {
		return fills.Action{}, err
	}
	var found *fills.Action
	err = eachSample([]string{file}, func(_ string, line int, text []byte) error {
		_, m, err := readSample(codec, text)
		if err != nil {
			return exitWith(exitUsage, fmt.Errorf("%s line %d: %w", file, line, err))
		}
		if found == nil {
			found = m.Action
		}
		return nil
	})
	if err == nil && found == nil {
		err = usageError("%s holds no corporate action", file)
	}
	if err != nil {
		return fills.Action{}, err
	}
	return *found, nil
}

func writePreview(w io.Writer, rows []pipeline.ActionPreview) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, p := range rows {
		fmt.Fprintf(t, "%s\t%s\theld %s\tshares %s\tmoney %s %s\t%s\t%s\n", p.Household, p.Account, p.Held, p.Shares, p.Amount, p.Currency,
			strings.Join(p.Tax, ","), strings.Join(p.Opens, ","))
	}
	fmt.Fprintf(t, "%d accounts\n", len(rows))
	return t.Flush()
}

func newActionApplyCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "apply",
		Short: "Bring every corporate action that is due to the accounts now",
		Long:  "What the role fills does by itself every two seconds; a second time it changes nothing.",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withServices(c.Context(), func(s *services) error {
				if err := s.fanout().Due(c.Context()); err != nil {
					return err
				}
				all, err := s.db.Actions(c.Context(), actionsMax)
				if err != nil {
					return err
				}
				return emit(a, all, writeActionStates)
			})
		},
	}
}
