package main

import "github.com/spf13/cobra"

func newSimCmd(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "sim",
		Short: "Make worlds of simulated households, and streams of fills",
		Long: "Makes what Daybreak can be tried on without a client's data. The same seed over the same imported market\n" +
			"gives the same bytes.",
	}
	c.AddCommand(newSimWorldCmd(a), newSimFillsCmd(a))
	return c
}
