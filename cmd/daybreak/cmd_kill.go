package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newKillCmd(a *app) *cobra.Command {
	var by, reason string
	var release bool
	c := &cobra.Command{
		Use:   "kill --as USER",
		Short: "Stop every order from being sent, or with --release let them go again",
		Long: "The gateway reads the switch in the transaction that marks an order as sent: no order goes out after it is\n" +
			"on, and none where it cannot be read. Orders that are at the broker stay there.",
		Example: "  daybreak kill --as ana --reason 'prices look wrong'\n  daybreak kill --as ana --release",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o, err := a.openOffice(c.Context(), false)
			if err != nil {
				return err
			}
			defer o.close()
			if err := o.db.SetKillSwitch(c.Context(), !release, reason, by, a.now()); err != nil {
				return err
			}
			state := "on: nothing is sent"
			if release {
				state = "off: orders are sent again"
			}
			_, err = fmt.Fprintf(a.out, "the kill switch is %s\n", state)
			return err
		},
	}
	c.Flags().StringVar(&by, "as", "", "user who acts")
	c.Flags().StringVar(&reason, "reason", "", "why, for those who find their orders waiting")
	c.Flags().BoolVar(&release, "release", false, "let orders go again")
	_ = c.MarkFlagRequired("as")
	return c
}
