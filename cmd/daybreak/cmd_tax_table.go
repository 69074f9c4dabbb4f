package main

import (
	"encoding/csv"
	"strconv"
	"strings"

	"daybreak/money"
	"daybreak/pipeline"
	"daybreak/region"
)

// taxTable writes reports of one region as CSV.
type taxTable struct {
	out      *csv.Writer
	totals   bool // a row for each tax unit
	schedule bool // the rows of each tax unit's form
	region   string
	started  bool
}

// The columns of the tables. Those of the first are named as on Form 8949.
var (
	lotColumns = []string{"description", "date_acquired", "date_sold", "proceeds", "cost", "code", "adjustment", "gain", "term",
		"account", "owner", "household", "symbol", "shares", "lost", "replaced_by", "state", "final_after", "event",
		"issue", "amendment", "issued_proceeds", "issued_cost", "issued_adjustment", "issued_gain", "amended_by"}
	poolColumns = []string{"owner", "property", "symbols", "sales", "shares", "proceeds", "acb", "outlays", "gain_before_denial",
		"denied", "denied_to", "lost", "gain", "state", "household",
		"issue", "amendment", "issued_proceeds", "issued_acb", "issued_denied", "issued_gain", "amended_by"}
	unitColumns = []string{"household", "owners", "year", "currency", "gains", "losses_allowed", "denied", "lost", "other",
		"st", "lt", "carry_in_st", "carry_in_lt", "st_net", "lt_net", "net", "deduction", "carry_out_st", "carry_out_lt", "state",
		"issued_gains", "issued_losses_allowed", "issued_denied", "amendment"}
	scheduleColumns = []string{"household", "owners", "year", "currency", "line", "what", "proceeds", "cost", "outlays", "adjustment", "amount", "issued_amount",
		"amended"}
)

func (t *taxTable) write(r pipeline.TaxReport) error {
	hasLots := hasLots(r.Region)
	if !t.started {
		t.start(hasLots)
	}
	switch {
	case t.schedule:
		for _, row := range r.Schedule {
			t.row(scheduleRow(r, row))
		}
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
	switch {
	case t.schedule:
		columns = scheduleColumns
	case t.totals:
		columns = unitColumns
	case hasLots:
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
	row := []string{safe(l.Description), l.Acquired.String(), l.Sold.String(), cents(l.Proceeds), cents(l.Cost), l.Code, adjustment,
		cents(l.Gain), string(l.Term), safe(string(l.Account)), safe(string(l.Owner)), safe(string(r.Household)), safe(string(l.Symbol)),
		l.Shares.Dec().String(), cents(l.Lost), safe(l.ReplacedBy), string(l.State), l.FinalAfter.String(), safe(l.Event)}
	return append(row, onSlipCells(l.OnSlip)...)
}

// onSlipCells are the cells of how a row differs from the last slip: empty where the year was not
// issued, and but for the slip's number where nothing differs.
func onSlipCells(d pipeline.OnSlip) []string {
	cells := make([]string, 7)
	if d.Issue > 0 {
		cells[0] = strconv.Itoa(d.Issue)
	}
	if f := d.Issued; f != nil {
		cells = []string{cells[0], string(d.Amendment), cents(f.Proceeds), cents(f.Cost), cents(f.Adjustment), cents(f.Gain),
			safe(strings.Join(d.AmendedBy, "; "))}
	}
	return cells
}

func poolRow(r pipeline.TaxReport, p pipeline.TaxProperty) []string {
	row := []string{safe(string(p.Owner)), safe(p.Property), safe(spaced(p.Symbols)), strconv.Itoa(p.Sales), p.Shares.Dec().String(), cents(p.Proceeds), cents(p.Cost),
		cents(p.Outlays), cents(p.Gross), cents(p.Denied), safe(pipeline.DeniedText(p.DeniedTo)), cents(p.Lost), cents(p.Gain),
		string(p.State), safe(string(r.Household))}
	return append(row, onSlipCells(p.OnSlip)...)
}

func unitRow(r pipeline.TaxReport, u pipeline.TaxUnit) []string {
	row := []string{safe(string(r.Household)), safe(spaced(u.Owners)), strconv.Itoa(r.Year), string(r.Currency)}
	for _, d := range []money.Dec{u.Gains, u.Losses, u.Denied, u.Lost, u.Other, u.ST, u.LT, u.CarryIn.ST, u.CarryIn.LT,
		u.STNet, u.LTNet, u.Net, u.Deduction, u.CarryOut.ST, u.CarryOut.LT} {
		row = append(row, cents(d))
	}
	row = append(row, string(u.State))
	if u.Issued == nil {
		return append(row, "", "", "", "")
	}
	return append(row, cents(u.Issued.Gains), cents(u.Issued.Losses), cents(u.Issued.Denied), string(u.Amendment))
}

func scheduleRow(r pipeline.TaxReport, s pipeline.ScheduleRow) []string {
	row := []string{safe(string(r.Household)), safe(spaced(s.Owners)), strconv.Itoa(r.Year), string(r.Currency), s.Line, s.What}
	for _, d := range []money.Dec{s.Proceeds, s.Cost, s.Outlays, s.Adjustment} {
		cell := ""
		if !d.IsZero() {
			cell = cents(d)
		}
		row = append(row, cell)
	}
	row = append(row, cents(s.Amount))
	switch {
	case s.Issued == nil:
		return append(row, "", "")
	case s.IsAmended:
		return append(row, cents(*s.Issued), "yes")
	}
	return append(row, cents(*s.Issued), "no")
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
