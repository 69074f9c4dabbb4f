package main

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"daybreak/pipeline"
	"daybreak/portfolio"
)

// taxIssueFlags are the flags of `tax issue`.
type taxIssueFlags struct {
	year      int
	household string
	all       bool
	as        string
}

func newTaxIssueCmd(a *app) *cobra.Command {
	var f taxIssueFlags
	c := &cobra.Command{
		Use:   "issue --year YEAR (--household ID | --all) --as NAME",
		Short: "Mark a tax year as issued: its slips stay as they are, later changes are amendments",
		Long: "Stores for each owner the lines and totals of a tax year that is over, as the book has them, under the next\n" +
			"number: 1 for the first slip, 2 for the first amended one. They are never changed. `tax report` shows from\n" +
			"then on what the book says otherwise, line by line, with the event that caused it. An owner whose last slip\n" +
			"still has today's figures gets no new one. Exit code 3: some households could not be issued.",
		Example: "  daybreak tax issue --year 2019 --all --as ana\n" +
			"  daybreak tax report --year 2019 --household H000012          # after a correction: what changed, and why\n" +
			"  daybreak tax issue --year 2019 --household H000012 --as ana   # the amended slip",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case f.year < yearMin || f.year > yearMax:
				return usageError("--year %d: want a year from %d to %d", f.year, yearMin, yearMax)
			case f.all == (f.household != ""):
				return usageError("give either --household ID or --all")
			case f.as == "":
				return usageError("--as: name the user who does this")
			}
			return a.withOffice(c.Context(), false, func(o *office) error { return a.issueSlips(c.Context(), o, f) })
		},
	}
	flags := c.Flags()
	flags.IntVar(&f.year, "year", 0, "tax year, named by the calendar year in which it begins")
	flags.StringVar(&f.household, "household", "", "only this household")
	flags.BoolVar(&f.all, "all", false, "all households")
	flags.StringVar(&f.as, "as", "", "user who does this")
	_ = c.MarkFlagRequired("year")
	_ = c.MarkFlagRequired("as")
	return c
}

func (a *app) issueSlips(ctx context.Context, o *office, f taxIssueFlags) error {
	day, err := a.dayOf(ctx, o, "")
	if err != nil {
		return err
	}
	total, err := o.db.CountHouseholds(ctx)
	if err != nil {
		return err
	}
	bar := a.newProgress("households")
	request := pipeline.IssueRequest{Year: f.year, AsOf: day, Household: portfolio.HouseholdID(f.household), By: f.as, Now: a.now()}
	result, err := pipeline.IssueSlips(ctx, o.db, request, func(done int64) { bar.show(min(done, total), total, "slips of "+strconv.Itoa(f.year)) })
	bar.end()
	if err != nil {
		return err
	}
	if err := emitOne(a, result, writeIssueResult); err != nil {
		return err
	}
	if n := len(result.Skipped); n > 0 {
		return exitWith(exitExceptions, fmt.Errorf("%d households got no slips", n))
	}
	return nil
}

func writeIssueResult(w io.Writer, r pipeline.IssueResult) error {
	p := &printer{w: w}
	p.line("Tax year %d: %d slips issued for %d households, %d of them amended, with %d lines; %d owners unchanged", r.Year, r.Issued, r.Households,
		r.Amended, r.Lines, r.Unchanged)
	if r.Provisional > 0 {
		p.line("  %d lines are provisional: a purchase until %s can still deny them", r.Provisional, r.LastWindow)
	}
	for i, s := range r.Skipped {
		if i == skippedShown {
			p.line("  … and %d more: -o json lists all", len(r.Skipped)-i)
			break
		}
		p.line("  no slip for %s: %s", s.Household, s.Reason)
	}
	return p.err
}

// skippedShown bounds the households without slips in text.
const skippedShown = 20
