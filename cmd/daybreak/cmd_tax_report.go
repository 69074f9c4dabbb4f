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
	"daybreak/money"
	"daybreak/pipeline"
	"daybreak/portfolio"
	"daybreak/region"
)

// taxReportFlags are the flags of `tax report`.
type taxReportFlags struct {
	year                               int
	household, account, region, format string
	asOf                               string
	totals                             bool
}

func newTaxReportCmd(a *app) *cobra.Command {
	var f taxReportFlags
	c := &cobra.Command{
		Use:   "report --year YEAR",
		Short: "Show realized gains and losses of a tax year by account",
		Long: "Folds each household's tax events from the beginning and shows what its accounts realized in a tax\n" +
			"year: where a region has lots, lines as on Form 8949 with code W, else a summary by owner and\n" +
			"property; and totals by tax unit with netting and what is carried. The year of a sale is that of its\n" +
			"trade or settlement, as the region counts. docs/tax-rules.md describes the columns; not tax advice.",
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
	_ = c.MarkFlagRequired("year")
	return c
}

// check refuses what no report can be made of. A CSV has the columns of one region.
func (f *taxReportFlags) check(output string) error {
	switch {
	case f.year < 1900 || f.year > 2199:
		return usageError("--year %d: want a year from 1900 to 2199", f.year)
	case f.region != "" && !slices.Contains(region.Names(), f.region):
		return usageError("--region %q: want one of %s", f.region, strings.Join(region.Names(), ", "))
	case f.format != "text" && f.format != "csv":
		return usageError("--format %q: want text or csv", f.format)
	case f.format == "csv" && output != "" && output != outputText:
		return usageError("--format csv and -o %s exclude each other", output)
	case f.totals && f.format != "csv":
		return usageError("--totals needs --format csv")
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
		table := taxTable{out: w, totals: f.totals, region: f.region}
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

// taxTable writes reports of one region as CSV.
type taxTable struct {
	out     *csv.Writer
	totals  bool
	region  string
	started bool
}

// The columns of the tables. Those of the first are named as on Form 8949.
var (
	lotColumns = []string{"description", "date_acquired", "date_sold", "proceeds", "cost", "code", "adjustment", "gain", "term",
		"account", "owner", "household", "symbol", "shares", "lost", "replaced_by", "state", "final_after", "event"}
	poolColumns = []string{"owner", "property", "symbols", "sales", "shares", "proceeds", "acb", "outlays", "gain_before_denial",
		"denied", "denied_to", "lost", "gain", "state", "household"}
	unitColumns = []string{"household", "owners", "year", "currency", "gains", "losses_allowed", "denied", "lost", "other",
		"st", "lt", "carry_in_st", "carry_in_lt", "st_net", "lt_net", "net", "deduction", "carry_out_st", "carry_out_lt", "state"}
)

func (t *taxTable) write(r pipeline.TaxReport) error {
	hasLots := hasLots(r.Region)
	if !t.started {
		t.start(hasLots)
	}
	switch {
	case t.totals:
		for _, u := range r.Units {
			t.row(unitRow(r, u))
		}
	case hasLots:
		for _, l := range r.Lines {
			t.row(lotRow(r, l))
		}
	default:
		for _, p := range r.Properties {
			t.row(poolRow(r, p))
		}
	}
	t.out.Flush()
	return t.out.Error()
}

func (t *taxTable) start(hasLots bool) {
	t.started = true
	columns := poolColumns
	if t.totals {
		columns = unitColumns
	} else if hasLots {
		columns = lotColumns
	}
	t.row(columns)
}

func (t *taxTable) row(cells []string) { _ = t.out.Write(cells) } // the writer keeps its first error

// end writes the header where there was nothing to report.
func (t *taxTable) end() error {
	if !t.started {
		t.start(hasLots(t.region))
	}
	t.out.Flush()
	return t.out.Error()
}

func hasLots(name string) bool {
	rules, err := region.Load(name)
	return err == nil && rules.Mechanism == "lots"
}

func lotRow(r pipeline.TaxReport, l pipeline.TaxLine) []string {
	adjustment := ""
	if l.Code != "" {
		adjustment = cents(l.Adjustment)
	}
	return []string{safe(l.Description), l.Acquired.String(), l.Sold.String(), cents(l.Proceeds), cents(l.Cost), l.Code, adjustment,
		cents(l.Gain), string(l.Term), safe(string(l.Account)), safe(string(l.Owner)), safe(string(r.Household)), safe(string(l.Symbol)),
		l.Shares.Dec().String(), cents(l.Lost), safe(l.ReplacedBy), string(l.State), l.FinalAfter.String(), safe(l.Event)}
}

func poolRow(r pipeline.TaxReport, p pipeline.TaxProperty) []string {
	return []string{safe(string(p.Owner)), safe(p.Property), safe(spaced(p.Symbols)), strconv.Itoa(p.Sales), p.Shares.Dec().String(), cents(p.Proceeds), cents(p.Cost),
		cents(p.Outlays), cents(p.Gross), cents(p.Denied), safe(pipeline.DeniedText(p.DeniedTo)), cents(p.Lost), cents(p.Gain),
		string(p.State), safe(string(r.Household))}
}

func unitRow(r pipeline.TaxReport, u pipeline.TaxUnit) []string {
	row := []string{safe(string(r.Household)), safe(spaced(u.Owners)), strconv.Itoa(r.Year), string(r.Currency)}
	for _, d := range []money.Dec{u.Gains, u.Losses, u.Denied, u.Lost, u.Other, u.ST, u.LT, u.CarryIn.ST, u.CarryIn.LT,
		u.STNet, u.LTNet, u.Net, u.Deduction, u.CarryOut.ST, u.CarryOut.LT} {
		row = append(row, cents(d))
	}
	return append(row, string(u.State))
}

func spaced[T ~string](names []T) string {
	var b strings.Builder
	for i, name := range names {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(string(name))
	}
	return b.String()
}

// cents writes money as a report shows it. Each cell is rounded by itself.
func cents(d money.Dec) string { return d.Fixed(2) }

// safe makes a text cell that a spreadsheet does not read as a formula: it puts an apostrophe before
// what begins with = + - @, a tab or a carriage return.
func safe(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		return "'" + text
	}
	return text
}

func writeTaxReport(w io.Writer, r pipeline.TaxReport) error {
	p := &printer{w: w}
	p.line("Household %s (%s), tax year %d, as of %s, in %s", r.Household, r.Region, r.Year, r.AsOf, r.Currency)
	if hasLots(r.Region) {
		for _, l := range r.Lines {
			p.line("  %-18s %-36s %s to %s  %s  proceeds %14s  cost %14s  %1s %12s  gain %14s  %s", l.Account, clipped(l.Description), l.Acquired,
				l.Sold, l.Term, cents(l.Proceeds), cents(l.Cost), l.Code, cents(l.Adjustment), cents(l.Gain), stateText(l.State, l.FinalAfter))
		}
	} else {
		for _, s := range r.Properties {
			p.line("  %-14s %-10s %3d sales  proceeds %14s  ACB %14s  outlays %9s  gain %14s  denied %12s  counts %14s  %s", s.Owner, s.Property,
				s.Sales, cents(s.Proceeds), cents(s.Cost), cents(s.Outlays), cents(s.Gross), cents(s.Denied), cents(s.Gain), s.State)
			if len(s.DeniedTo) > 0 {
				p.line("      denied: %s", clipped(pipeline.DeniedText(s.DeniedTo)))
			}
		}
	}
	if len(r.Units) == 0 {
		p.line("  nothing was realized, and no loss is carried into the year")
	}
	for _, u := range r.Units {
		p.line("  total %v: gains %s, losses allowed %s, denied %s, of it lost %s; net %s after %s carried in; carried out %s ST, %s LT  %s", u.Owners,
			cents(u.Gains), cents(u.Losses), cents(u.Denied), cents(u.Lost), cents(u.Net), cents(u.CarryIn.ST.Add(u.CarryIn.LT)),
			cents(u.CarryOut.ST), cents(u.CarryOut.LT), u.State)
	}
	return p.err
}

// stateText says until when a provisional outcome can change.
func stateText(state region.State, until market.Day) string {
	if state == region.Provisional {
		return string(state) + " until " + until.String()
	}
	return string(state)
}
