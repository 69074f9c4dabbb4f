package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// switched is what `kill` prints.
type switched struct {
	Book   string `json:"book"`
	Active bool   `json:"active"` // no order is sent
	Reason string `json:"reason"`
	By     string `json:"by"`
}

// bookFirm is the book of the whole firm, the only one so far.
const bookFirm = "firm"

func newKillCmd(a *app) *cobra.Command {
	var book, as, why string
	var off bool
	c := &cobra.Command{
		Use:   "kill",
		Short: "Set the kill switch: no order is sent until it is taken back",
		Long: "Sets the kill switch of the firm. The gateway reads it in the transaction that marks an order as sent, so that\n" +
			"no order goes out after this command has ended; one that cannot read it sends nothing. It survives restarts.\n" +
			"Orders that wait stay as they are, and go on with --off.",
		Example: "  daybreak kill --as ana --why 'prices look wrong'\n  daybreak kill --off --as ana --why 'prices checked'",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if book != bookFirm {
				return usageError("--book %q: only %q has a kill switch so far", book, bookFirm)
			}
			return a.withOffice(c.Context(), false, func(o *office) error {
				if err := o.db.SetKillSwitch(c.Context(), !off, why, as, a.now()); err != nil {
					return err
				}
				return emitOne(a, switched{Book: book, Active: !off, Reason: why, By: as}, writeSwitched)
			})
		},
	}
	c.Flags().StringVar(&book, "book", bookFirm, "book whose orders stop")
	c.Flags().BoolVar(&off, "off", false, "take the switch back")
	c.Flags().StringVar(&as, "as", "", "user who does this")
	c.Flags().StringVar(&why, "why", "", "reason, for the audit trail")
	_ = c.MarkFlagRequired("as")
	_ = c.MarkFlagRequired("why")
	return c
}

func writeSwitched(w io.Writer, s switched) error {
	word := "is set: no order is sent"
	if !s.Active {
		word = "is off: orders are sent"
	}
	_, err := fmt.Fprintf(w, "the kill switch of %s %s (%s: %s)\n", s.Book, word, s.By, s.Reason)
	return err
}
