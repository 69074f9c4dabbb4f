package pipeline

import (
	"slices"

	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/region"
)

// ScheduleRow is one line of the form that sums up the year of a tax unit: Schedule D where gains have
// terms, else Schedule 3. Columns that a line of the form does not have are zero.
type ScheduleRow struct {
	Owners     []portfolio.OwnerID `json:"owners"`
	Line       string              `json:"line"`
	What       string              `json:"what"`
	Proceeds   money.Dec           `json:"proceeds,omitzero"`
	Cost       money.Dec           `json:"cost,omitzero"`
	Outlays    money.Dec           `json:"outlays,omitzero"`
	Adjustment money.Dec           `json:"adjustment,omitzero"`
	Amount     money.Dec           `json:"amount"`
	// Issued is Amount by the last slips, where every owner has one; IsAmended says that it differs.
	Issued    *money.Dec `json:"issued,omitempty"`
	IsAmended bool       `json:"is_amended,omitempty"`
}

// yearSums are what a schedule is made of.
type yearSums struct {
	short, long, all lineSums // lines by term; all where there are none
	otherST, otherLT money.Dec
	in               region.Carry
	standing         region.Standing
}

// lineSums are the columns of several lines.
type lineSums struct{ proceeds, cost, outlays, adjustment, gain money.Dec }

func (s *lineSums) add(l *TaxLine) {
	s.proceeds, s.cost, s.outlays = s.proceeds.Add(l.Proceeds), s.cost.Add(l.Cost), s.outlays.Add(l.Outlays)
	s.adjustment, s.gain = s.adjustment.Add(l.Adjustment), s.gain.Add(l.Gain)
}

// schedule returns the form of a tax unit by today's figures, with the amounts of the last slips beside
// them.
func (y *taxYear) schedule(u *TaxUnit, slips []ShownSlip) []ScheduleRow {
	standing := y.book.Standing(u.Owners[0], y.query.Year, y.household.Brought)
	var lines []TaxLine
	for i := range y.sales {
		if slices.Contains(u.Owners, y.sales[i].Owner) {
			lines = append(lines, y.linesOf(&y.sales[i])...)
		}
	}
	st, lt := u.ST, u.LT
	if y.rules.LongAfterYears == 0 {
		st = u.Gains.Add(u.Losses)
	}
	rows := y.rows(u.Owners, sumsOf(lines, st, lt, standing))
	issued, ok := y.issuedSums(u.Owners, slips, standing)
	if !ok {
		return rows
	}
	for i, was := range y.rows(u.Owners, issued) {
		rows[i].Issued, rows[i].IsAmended = &was.Amount, was.Amount != rows[i].Amount
	}
	return rows
}

// sumsOf sums lines up; st and lt are the results of the year with what no sale made.
func sumsOf(lines []TaxLine, st, lt money.Dec, standing region.Standing) yearSums {
	s := yearSums{in: standing.In, standing: standing}
	for i := range lines {
		l := &lines[i]
		switch l.Term {
		case region.Short:
			s.short.add(l)
		case region.Long:
			s.long.add(l)
		default:
			s.all.add(l)
		}
	}
	s.otherST = st.Sub(s.short.gain).Sub(s.all.gain)
	s.otherLT = lt.Sub(s.long.gain)
	s.standing.ST, s.standing.LT = st, lt
	return s
}

// issuedSums are the sums by the last slips of the owners, and false where one has none. What is carried
// in is today's: a slip does not say it.
func (y *taxYear) issuedSums(owners []portfolio.OwnerID, slips []ShownSlip, standing region.Standing) (yearSums, bool) {
	var lines []TaxLine
	var st, lt money.Dec
	found := 0
	for _, s := range slips {
		if !s.IsLast || !slices.Contains(owners, s.Owner) {
			continue
		}
		found++
		lines = append(lines, s.Lines...)
		if y.rules.LongAfterYears > 0 {
			st, lt = st.Add(s.Totals.ST), lt.Add(s.Totals.LT)
		} else {
			st = st.Add(s.Totals.Net())
		}
	}
	return sumsOf(lines, st, lt, standing), found == len(owners)
}

// rows returns the lines of the form that the region's gains go on.
func (y *taxYear) rows(owners []portfolio.OwnerID, s yearSums) []ScheduleRow {
	rows := s.poolRows(y.rules, y.query.Year)
	if y.rules.LongAfterYears > 0 {
		rows = s.termRows(y.rules, y.query.Year)
	}
	for i := range rows {
		rows[i].Owners = owners
	}
	return rows
}

func (s *lineSums) row(line, what string) ScheduleRow {
	return ScheduleRow{Line: line, What: what, Proceeds: s.proceeds, Cost: s.cost, Outlays: s.outlays, Adjustment: s.adjustment, Amount: s.gain}
}

// termRows are the lines of Schedule D (Form 1040). Which box of Form 8949 a sale belongs to depends on
// what was reported to the IRS, so the totals of all boxes are one row.
func (s *yearSums) termRows(rules *region.Rules, year int) []ScheduleRow {
	n := rules.Net(year, s.standing.ST, s.standing.LT, s.in)
	return []ScheduleRow{
		s.short.row("1b-3", "short-term totals of Form 8949, Part I, all boxes"),
		{Line: "1b-3", What: "short-term returns of capital above basis", Amount: s.otherST},
		{Line: "6", What: "short-term capital loss carryover", Amount: s.in.ST.Neg()},
		{Line: "7", What: "net short-term capital gain or loss", Amount: n.STNet},
		s.long.row("8b-10", "long-term totals of Form 8949, Part II, all boxes"),
		{Line: "13", What: "capital gain distributions, and long-term returns of capital above basis", Amount: s.otherLT},
		{Line: "14", What: "long-term capital loss carryover", Amount: s.in.LT.Neg()},
		{Line: "15", What: "net long-term capital gain or loss", Amount: n.LTNet},
		{Line: "16", What: "line 7 and line 15", Amount: n.Net},
		{Line: "21", What: "loss allowed against other income", Amount: n.Deduction.Neg()},
		{Line: "carryover ST", What: "short-term loss for the next year", Amount: n.CarryOut.ST.Neg()},
		{Line: "carryover LT", What: "long-term loss for the next year", Amount: n.CarryOut.LT.Neg()},
	}
}

// poolRows are the lines of Schedule 3 (T1), and what losses of other years do to them. All losses are
// whole ones but in the lines that the form states at the inclusion rate.
func (s *yearSums) poolRows(rules *region.Rules, year int) []ScheduleRow {
	rate := rules.RatesOf(year).Inclusion
	total := s.standing.ST
	used := money.Min(s.in.ST, money.Max(total, money.Zero))
	sales := s.all.row("13200", "gain or loss on publicly traded shares and fund units, after superficial losses")
	return []ScheduleRow{
		{Line: "13199", What: "proceeds of publicly traded shares and fund units", Amount: s.all.proceeds},
		sales,
		{Line: "17400-17600", What: "capital gains distributed, and returns of capital above cost", Amount: s.otherST},
		{Line: "19700", What: "total capital gains or losses", Amount: total},
		{Line: "19900", What: "taxable capital gains, or net capital loss, at the inclusion rate", Amount: total.Mul(rate)},
		{Line: "25300", What: "net capital losses of other years that this year's gains use up, at the inclusion rate", Amount: used.Mul(rate).Neg()},
		{Line: "carry back", What: "loss that gains of the three years before take, whole", Amount: s.carriedBack(rules).Neg()},
		{Line: "carry forward", What: "loss for later years, whole", Amount: rules.TaxOf(s.standing).Carry.ST.Neg()},
	}
}

// carriedBack returns the part of the year's loss that gains of earlier years take.
func (s *yearSums) carriedBack(rules *region.Rules) money.Dec {
	n := rules.Net(s.standing.Year, s.standing.ST, s.standing.LT, s.in)
	return n.CarryOut.ST.Sub(rules.TaxOf(s.standing).Carry.ST)
}
