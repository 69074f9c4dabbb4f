package main

import "github.com/spf13/cobra"

// newBenchCmd returns the command that groups the measurements.
func newBenchCmd(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure this build on this machine, one line of JSON a measurement",
	}
	c.AddCommand(newBenchPlanCmd(), newBenchTaxCmd(), newBenchEngineCmd(a), newBenchFillsCmd(a), newBenchMorningCmd(a))
	return c
}
