package main

import (
	"cmp"
	"context"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"daybreak/internal/postgres"
	"daybreak/pipeline"
)

func newVerifyCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "verify",
		Short: "Recompute every invariant over the whole database: exit 5 where one is broken",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withOffice(c.Context(), false, func(o *office) error {
				checks, err := verify(c.Context(), o.db)
				if err != nil {
					return err
				}
				if err := emit(a, checks, writeChecks); err != nil {
					return err
				}
				if !sound(checks) {
					return exitWith(exitDifferences, nil)
				}
				return nil
			})
		},
	}
}

// verify runs every check that there is.
func verify(ctx context.Context, db *postgres.DB) ([]pipeline.Check, error) {
	checks, err := db.Verify(ctx)
	if err != nil {
		return nil, err
	}
	tax, err := pipeline.VerifyTax(ctx, db)
	if err != nil {
		return nil, err
	}
	checks = append(checks, tax...)
	slices.SortStableFunc(checks, func(a, b pipeline.Check) int { return cmp.Compare(invariantNumber(a), invariantNumber(b)) })
	return checks, nil
}

// invariantNumber returns the number that an invariant's name begins with.
func invariantNumber(c pipeline.Check) int {
	n := 0
	for _, r := range c.Invariant {
		if r < '0' || r > '9' {
			break
		}
		n = 10*n + int(r-'0')
	}
	return n
}

func sound(checks []pipeline.Check) bool {
	for _, c := range checks {
		if !c.OK {
			return false
		}
	}
	return true
}

func writeChecks(w io.Writer, checks []pipeline.Check) error {
	p := &printer{w: w}
	for _, c := range checks {
		word := "ok    "
		if !c.OK {
			word = "BROKEN"
		}
		p.line("%s  %-62s %10d checked", word, c.Invariant, c.Checked)
		for _, b := range c.Broken {
			p.line("        %s", b)
		}
	}
	return p.err
}
