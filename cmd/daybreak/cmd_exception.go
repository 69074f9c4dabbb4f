package main

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"daybreak/internal/postgres"
)

func newExceptionCmd(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "exception",
		Short: "Look at facts that broke a rule of the book, and close them",
		Long: "What the broker says has happened is posted, whatever it leaves behind. A short position, an overfill or\n" +
			"negative cash is then an open exception: the household gets no new orders until a person has closed it.",
	}
	c.AddCommand(newExceptionListCmd(a), newExceptionCloseCmd(a))
	return c
}

func newExceptionListCmd(a *app) *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List open exceptions, the oldest first",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withOffice(c.Context(), false, func(o *office) error {
				found, err := o.db.Exceptions(c.Context(), all)
				if err != nil {
					return err
				}
				return emit(a, found, writeExceptions)
			})
		},
	}
	c.Flags().BoolVar(&all, "all", false, "closed ones too")
	return c
}

func writeExceptions(w io.Writer, all []postgres.BookException) error {
	p := &printer{w: w}
	for _, x := range all {
		state := "open"
		if x.Closed != nil {
			state = "closed"
		}
		p.line("%6d  %-6s %s  %-10s %-22s %-14s %s (owner %s)", x.ID, state, x.Opened.UTC().Format(time.DateTime), x.Household, x.Account, x.Code, x.Detail, x.Owner)
	}
	if len(all) == 0 {
		p.line("no exceptions")
	}
	return p.err
}

func newExceptionCloseCmd(a *app) *cobra.Command {
	var as, why string
	c := &cobra.Command{
		Use:     "close ID",
		Short:   "Close an exception: its household takes part in runs again",
		Example: "  daybreak exception close 12 --as ana --why 'cash was paid in'",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			id, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil {
				return usageError("%q is not the number of an exception", args[0])
			}
			return a.withOffice(c.Context(), false, func(o *office) error {
				if err := o.db.CloseException(c.Context(), id, as, why, a.now()); err != nil {
					return err
				}
				_, err := fmt.Fprintf(a.out, "exception %d is closed\n", id)
				return err
			})
		},
	}
	c.Flags().StringVar(&as, "as", "", "user who does this")
	c.Flags().StringVar(&why, "why", "", "reason, for the audit trail")
	_ = c.MarkFlagRequired("as")
	_ = c.MarkFlagRequired("why")
	return c
}
