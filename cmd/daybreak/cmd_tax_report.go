package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"daybreak/market"
	"daybreak/pipeline"
	"daybreak/portfolio"
	"daybreak/region"
)

// taxReportFlags are the flags of `tax report`.
type taxReportFlags struct {
	year                               int
	household, account, region, format string
	asOf                               string
	totals, schedule                   bool
}

func newTaxReportCmd(a *app) *cobra.Command {
	var f taxReportFlags
	c := &cobra.Command{
		Use:   "report --year YEAR",
		Short: "Show realized gains and losses of a tax year by account",
		Long: "Folds each household's tax events from the beginning and shows what its accounts realized in a tax\n" +
			"year: where a region has lots, lines as on Form 8949 with code W, else a summary by owner and\n" +
			"property; and totals by tax unit with netting and what is carried. The year of a sale is that of its\n" +
			"trade or settlement, as the region counts. A year that was issued (tax issue) shows what its slips say\n" +
			"otherwise than the book does now, and the event behind each difference. docs/tax-rules.md describes the columns; not tax advice.",
		Example: "  daybreak tax report --year 2019 --region US --format csv > f8949.csv\n" +
			"  daybreak tax report --year 2019 --household H000012\n" +
			"  daybreak tax report --year 2019 --region CA --totals --format csv",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := f.check(a.settings.Output); err != nil {
				return err
			}
			return a.withOffice(c.Context(), false, func(d *office) error { return a.reportTax(c.Context(), d, f) })
		},
	}
	flags := c.Flags()
	flags.IntVar(&f.year, "year", 0, "tax year, named by the calendar year in which it begins")
	flags.StringVar(&f.household, "household", "", "only this household")
	flags.StringVar(&f.account, "account", "", "only lines of this account; totals are those of its tax unit")
	flags.StringVar(&f.region, "region", "", "only households of this region: "+strings.Join(region.Names(), ", "))
	flags.StringVar(&f.format, "format", "text", "text or csv; -o json and -o jsonl give all there is, a household each")
	flags.StringVar(&f.asOf, "as-of", "", "day whose evening decides what is final, YYYY-MM-DD; the installation's day if not given")
	flags.BoolVar(&f.totals, "totals", false, "with --format csv: a row for each tax unit instead of each line")
	flags.BoolVar(&f.schedule, "schedule", false, "with --format csv: the lines of Schedule D, or of Schedule 3, for each tax unit")
	_ = c.MarkFlagRequired("year")
	return c
}

// The years that a command takes.
const (
	yearMin = 1900
	yearMax = 2199
)

// check refuses what no report can be made of. A CSV has the columns of one region.
func (f *taxReportFlags) check(output string) error {
	switch {
	case f.year < yearMin || f.year > yearMax:
		return usageError("--year %d: want a year from %d to %d", f.year, yearMin, yearMax)
	case f.region != "" && !slices.Contains(region.Names(), f.region):
		return usageError("--region %q: want one of %s", f.region, strings.Join(region.Names(), ", "))
	case f.format != "text" && f.format != "csv":
		return usageError("--format %q: want text or csv", f.format)
	case f.format == "csv" && output != "" && output != outputText:
		return usageError("--format csv and -o %s exclude each other", output)
	case f.totals && f.format != "csv":
		return usageError("--totals needs --format csv")
	case f.schedule && f.format != "csv":
		return usageError("--schedule needs --format csv")
	case f.totals && f.schedule:
		return usageError("--totals and --schedule exclude each other")
	case f.format == "csv" && f.region == "" && f.household == "" && f.account == "":
		return usageError("--format csv needs --region, --household or --account: regions have other columns")
	}
	return nil
}

// reportTax writes the reports as they are made, household by household.
func (a *app) reportTax(ctx context.Context, d *office, f taxReportFlags) error {
	q := pipeline.TaxQuery{Year: f.year, Region: f.region, Household: portfolio.HouseholdID(f.household), Account: portfolio.AccountID(f.account)}
	var err error
	if q.AsOf, err = a.dayOf(ctx, d, f.asOf); err != nil {
		return err
	}
	w := a.taxReportWriter(f)
	bar := a.newProgress("households")
	total, err := d.db.CountHouseholds(ctx)
	if err != nil {
		return err
	}
	err = pipeline.ReportTax(ctx, d.db, q, w.write, func(done int64) { bar.show(min(done, total), total, "tax year "+strconv.Itoa(f.year)) })
	bar.end()
	if err != nil {
		return err
	}
	return w.end()
}

// dayOf returns the day given, or the one that the installation's clock shows.
func (a *app) dayOf(ctx context.Context, d *office, given string) (market.Day, error) {
	if given != "" {
		day, err := market.ParseDay(given)
		if err != nil {
			return 0, usageError("--as-of: %w", err)
		}
		return day, nil
	}
	clock, err := newClock(ctx, d.db, a.now)
	if err != nil {
		return 0, err
	}
	return market.DayOf(clock.now()), nil
}

// reportWriter writes one report after the other; end writes what closes them.
type reportWriter struct {
	write func(pipeline.TaxReport) error
	end   func() error
}

func (a *app) taxReportWriter(f taxReportFlags) reportWriter {
	nothing := func() error { return nil }
	switch {
	case f.format == "csv":
		w := csv.NewWriter(a.out)
		table := taxTable{out: w, totals: f.totals, schedule: f.schedule, region: f.region}
		return reportWriter{table.write, table.end}
	case a.settings.Output == outputJSON:
		return jsonArray(a.out)
	case a.settings.Output == outputJSONL:
		encoder := json.NewEncoder(a.out)
		encoder.SetEscapeHTML(false)
		return reportWriter{func(r pipeline.TaxReport) error { return encoder.Encode(r) }, nothing}
	}
	return reportWriter{func(r pipeline.TaxReport) error { return writeTaxReport(a.out, r) }, nothing}
}

// jsonArray writes the reports as one array, without holding them all.
func jsonArray(out io.Writer) reportWriter {
	opening := "[\n"
	write := func(r pipeline.TaxReport) error {
		text, err := json.Marshal(r)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out, "%s%s", opening, text)
		opening = ",\n"
		return err
	}
	end := func() error {
		if opening == "[\n" {
			_, err := fmt.Fprintln(out, "[]")
			return err
		}
		_, err := fmt.Fprintln(out, "\n]")
		return err
	}
	return reportWriter{write, end}
}
