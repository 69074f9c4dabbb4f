package main

import (
	"io"

	"github.com/spf13/cobra"

	"daybreak/pipeline"
)

// newRunDiffCmd compares what two runs proposed.
func newRunDiffCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "diff A B",
		Short: "Compare the orders of two runs: exit 5 where they differ",
		Args:  cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			return a.withOffice(c.Context(), false, func(o *office) error {
				differences, err := pipeline.DiffRuns(c.Context(), o.db, args[0], args[1])
				if err != nil {
					return err
				}
				if err := emit(a, differences, writeRunDifferences); err != nil {
					return err
				}
				if len(differences) > 0 {
					return exitWith(exitDifferences, nil)
				}
				return nil
			})
		},
	}
}

func writeRunDifferences(w io.Writer, all []pipeline.RunDifference) error {
	p := &printer{w: w}
	for _, d := range all {
		p.line("%-8s %-24s %-4s %-10s  %s -> %s", d.Change, d.Account, d.Side, d.Security, d.A, d.B)
	}
	if len(all) == 0 {
		p.line("no differences")
	}
	return p.err
}
