package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/region"
)

// TaxQuery says what a report of realised gains is about.
type TaxQuery struct {
	Year      int // tax year, named by the calendar year in which it begins
	AsOf      market.Day
	Region    string                // "": all
	Household portfolio.HouseholdID // "": all
	Account   portfolio.AccountID   // "": all of the household; else lines of this account, totals of its tax unit
}

// TaxReport is what a household realised in one tax year. Money is in the region's home currency.
type TaxReport struct {
	Household  portfolio.HouseholdID `json:"household"`
	Region     string                `json:"region"`
	Year       int                   `json:"year"`
	AsOf       market.Day            `json:"as_of"` // states are those of this day's evening
	Currency   market.Currency       `json:"currency"`
	Lines      []TaxLine             `json:"lines"`                // of a region with lots: a line for each part of a sale
	Properties []TaxProperty         `json:"properties,omitempty"` // of a region with pools: by owner and property
	Units      []TaxUnit             `json:"units"`
	Slips      []ShownSlip           `json:"slips,omitempty"` // issued for the year, by owner and number
	Schedule   []ScheduleRow         `json:"schedule"`        // the year as the region's form sums it up
}

// TaxLine is one line of a report: a part of a sale, or a whole sale out of a pool.
type TaxLine struct {
	Owner       portfolio.OwnerID   `json:"owner"`
	Account     portfolio.AccountID `json:"account"`
	Symbol      market.Symbol       `json:"symbol"`
	Property    string              `json:"property"`
	Description string              `json:"description"` // shares and name
	Event       string              `json:"event"`
	Lot         string              `json:"lot,omitempty"`
	Shares      money.Rat           `json:"shares"`
	Acquired    market.Day          `json:"acquired,omitzero"` // of the lot; absent for a pool
	Sold        market.Day          `json:"sold"`              // tax day: trade or settlement, as the region counts
	Term        region.Term         `json:"term,omitempty"`
	Proceeds    money.Dec           `json:"proceeds"` // of a lot after commission, of a pool before
	Outlays     money.Dec           `json:"outlays"`  // commission of a sale out of a pool; of a lot it is in the proceeds
	Cost        money.Dec           `json:"cost"`
	Code        string              `json:"code,omitempty"` // W where a loss is disallowed
	Adjustment  money.Dec           `json:"adjustment"`     // what is denied of the loss, positive
	Gain        money.Dec           `json:"gain"`           // proceeds − outlays − cost + adjustment
	Lost        money.Dec           `json:"lost"`           // part of the adjustment that nobody ever gets
	ReplacedBy  string              `json:"replaced_by,omitempty"`
	DeniedTo    []region.Denial     `json:"denied_to,omitempty"`
	State       region.State        `json:"state"`
	FinalAfter  market.Day          `json:"final_after"` // last day on which an event can still change it
	OnSlip

	place int // among the pieces of its lot in the sale
}

// TaxProperty sums the sales of one owner and property.
type TaxProperty struct {
	Owner    portfolio.OwnerID `json:"owner"`
	Property string            `json:"property"`
	Symbols  []market.Symbol   `json:"symbols"`
	Sales    int               `json:"sales"`
	Shares   money.Rat         `json:"shares"` // each sale in units of its own day
	Proceeds money.Dec         `json:"proceeds"`
	Outlays  money.Dec         `json:"outlays"`
	Cost     money.Dec         `json:"cost"`
	Gross    money.Dec         `json:"gross"` // before any denial
	Denied   money.Dec         `json:"denied"`
	Lost     money.Dec         `json:"lost"`
	Gain     money.Dec         `json:"gain"`
	DeniedTo []region.Denial   `json:"denied_to,omitempty"`
	State    region.State      `json:"state"` // provisional where a sale is, else restated where one is
	OnSlip
}

// TaxUnit is a taxpayer, or a household that files together, with its year netted. What is carried
// in is what its owners brought with them and what the book knows of earlier years.
type TaxUnit struct {
	Owners  []portfolio.OwnerID `json:"owners"`
	Gains   money.Dec           `json:"gains"`
	Losses  money.Dec           `json:"losses_allowed"` // negative
	Denied  money.Dec           `json:"denied"`
	Lost    money.Dec           `json:"lost"`
	Other   money.Dec           `json:"other"` // part of gains that is no sale's: distributions, and returns of capital above cost
	ST      money.Dec           `json:"st"`
	LT      money.Dec           `json:"lt"`
	CarryIn region.Carry        `json:"carry_in"`
	region.YearNet
	State region.State `json:"state"`
	// Issued are the totals of the owners' last slips, where every owner has one.
	Issued    *region.YearTotals `json:"issued,omitempty"`
	Amendment ChangeKind         `json:"amendment,omitempty"`
}

// TaxReports reads households for a report.
type TaxReports interface {
	TaxBooks
	// TaxHousehold returns one household, or ErrNotFound, wrapped with its id.
	TaxHousehold(ctx context.Context, id portfolio.HouseholdID) (TaxHousehold, error)
	// HouseholdOf returns the household of an account, or ErrNotFound, wrapped with the account.
	HouseholdOf(ctx context.Context, account portfolio.AccountID) (portfolio.HouseholdID, error)
}

// ReportTax calls use with the report of each household that realised anything in the year, or is
// asked for by name; by id. read, called after each page, says how many households were read.
func ReportTax(ctx context.Context, books TaxReports, q TaxQuery, use func(TaxReport) error, read func(households int64)) error {
	r, err := newTaxReporter(ctx, books, q)
	if err != nil {
		return err
	}
	if q.Account != "" || q.Household != "" {
		return r.one(ctx, books, use)
	}
	return eachTaxPage(ctx, books, func(_ context.Context, page []TaxHousehold) error { return r.page(page, use) }, read)
}

func newTaxReporter(ctx context.Context, books TaxBooks, q TaxQuery) (*taxReporter, error) {
	securities, err := books.Securities(ctx)
	if err != nil {
		return nil, err
	}
	r := &taxReporter{query: q, identical: market.IdenticalGroups(securities), names: map[market.Symbol]string{}}
	for _, s := range securities {
		r.names[s.Symbol] = s.Name
	}
	return r, nil
}

// eachTaxPage calls use with all households, page after page, and read with how many it was so far.
func eachTaxPage(ctx context.Context, books TaxBooks, use func(context.Context, []TaxHousehold) error, read func(int64)) error {
	var after portfolio.HouseholdID
	for done := int64(0); ; {
		page, err := books.TaxHouseholds(ctx, after, taxPage)
		if err != nil || len(page) == 0 {
			return err
		}
		if err := use(ctx, page); err != nil {
			return err
		}
		done += int64(len(page))
		read(done)
		after = page[len(page)-1].Household.ID
	}
}

// taxReporter makes the reports of one query.
type taxReporter struct {
	query     TaxQuery
	identical map[market.Symbol]string
	names     map[market.Symbol]string
}

// page reports the households of a page that have anything to report.
func (r *taxReporter) page(page []TaxHousehold, use func(TaxReport) error) error {
	for _, h := range page {
		if r.query.Region != "" && h.Household.Region != r.query.Region {
			continue
		}
		report, err := r.report(h)
		if err != nil {
			return err
		}
		isAsked := r.query.Household != "" || r.query.Account != ""
		if len(report.Lines)+len(report.Units)+len(report.Slips) == 0 && !isAsked {
			continue
		}
		if err := use(report); err != nil {
			return err
		}
	}
	return nil
}

// one reports the household that the query names, or the one of the account that it names.
func (r *taxReporter) one(ctx context.Context, books TaxReports, use func(TaxReport) error) error {
	id := r.query.Household
	if r.query.Account != "" {
		of, err := books.HouseholdOf(ctx, r.query.Account)
		if err != nil {
			return err
		}
		if id != "" && id != of {
			return fmt.Errorf("account %s of household %s: %w", r.query.Account, id, ErrNotFound)
		}
		id = of
	}
	h, err := books.TaxHousehold(ctx, id)
	if err != nil {
		return err
	}
	if r.query.Region != "" && h.Household.Region != r.query.Region {
		return fmt.Errorf("household %s of region %s: %w", id, r.query.Region, ErrNotFound)
	}
	return r.page([]TaxHousehold{h}, use)
}

// report folds a household and picks what the query asks for.
func (r *taxReporter) report(h TaxHousehold) (TaxReport, error) {
	y, err := r.year(h)
	if err != nil {
		return TaxReport{}, fmt.Errorf("household %s: %w", h.Household.ID, err)
	}
	report := TaxReport{Household: h.Household.ID, Region: h.Household.Region, Year: r.query.Year, AsOf: r.query.AsOf,
		Currency: y.rules.Home, Lines: []TaxLine{}, Units: []TaxUnit{}, Schedule: []ScheduleRow{}}
	if report.Slips, err = y.shownSlips(); err != nil {
		return TaxReport{}, fmt.Errorf("household %s: %w", h.Household.ID, err)
	}
	report.Lines = append(report.Lines, y.lines(report.Slips)...)
	report.Properties = y.properties(report.Slips)
	report.Units = append(report.Units, y.units(h.Household)...)
	for i := range report.Units {
		report.Units[i].compare(report.Slips)
		report.Schedule = append(report.Schedule, y.schedule(&report.Units[i], report.Slips)...)
	}
	return report, nil
}

// year folds a household.
func (r *taxReporter) year(h TaxHousehold) (*taxYear, error) {
	rules, err := region.Load(h.Household.Region)
	if err != nil {
		return nil, err
	}
	y := &taxYear{taxReporter: r, household: &h, rules: rules, restated: map[string]bool{}, events: map[string]*region.Event{}}
	if y.book, err = foldAgain(h, r.identical); err != nil {
		return nil, err
	}
	if len(h.Arrivals) > 0 {
		if y.timeline, err = TaxTimeline(h, r.identical, endOfDays); err != nil {
			return nil, err
		}
	}
	for _, t := range y.timeline {
		y.restated[t.Event] = y.restated[t.Event] || t.To == region.Restated
	}
	for i := range h.Events {
		y.events[h.Events[i].ID] = &h.Events[i]
	}
	for _, s := range y.book.Sales() {
		if rules.TaxYear(s.Day) == r.query.Year {
			y.sales = append(y.sales, s)
		}
	}
	slices.SortStableFunc(y.sales, func(a, b region.SaleOutcome) int {
		return cmp.Or(cmp.Compare(a.Account, b.Account), cmp.Compare(a.Day, b.Day))
	})
	return y, nil
}

// endOfDays is after every day on which anything came.
var endOfDays = market.NewDay(9999, 12, 31)

// taxYear is one household's year.
type taxYear struct {
	*taxReporter
	household *TaxHousehold
	rules     *region.Rules
	book      *region.Book
	timeline  []Transition
	restated  map[string]bool // sales that were final when something changed them
	events    map[string]*region.Event
	sales     []region.SaleOutcome // of the year, by account and day
}

// asks reports whether the query asks for an account.
func (y *taxYear) asks(account portfolio.AccountID) bool {
	return y.query.Account == "" || y.query.Account == account
}

func (y *taxYear) state(s *region.SaleOutcome) region.State {
	if state := s.State(y.query.AsOf); state == region.Provisional || !y.restated[s.Event] {
		return state
	}
	return region.Restated
}

// joinStates returns the state of several sales together.
func joinStates(a, b region.State) region.State {
	for _, s := range []region.State{region.Provisional, region.Restated} {
		if a == s || b == s {
			return s
		}
	}
	return region.Final
}

// lines returns the lines of the accounts that the query asks for, with how they differ from the last
// slips.
func (y *taxYear) lines(slips []ShownSlip) []TaxLine {
	var all []TaxLine
	for i := range y.sales {
		if y.asks(y.sales[i].Account) {
			all = append(all, y.linesOf(&y.sales[i])...)
		}
	}
	return y.mark(all, slips)
}

// linesOf returns the lines of a sale: one for each part of a lot, or one for a whole sale out of a pool.
func (y *taxYear) linesOf(s *region.SaleOutcome) []TaxLine {
	line := TaxLine{Owner: s.Owner, Account: s.Account, Symbol: s.Symbol, Property: s.Property, Event: s.Event, Sold: s.Day,
		State: y.state(s), FinalAfter: s.Until}
	if y.rules.Mechanism != "lots" {
		return []TaxLine{y.wholeSale(line, s)}
	}
	lines := make([]TaxLine, 0, len(s.Parts))
	for k := range s.Parts {
		part := y.partOfSale(line, &s.Parts[k])
		for i := range lines {
			if lines[i].Lot == part.Lot {
				part.place++
			}
		}
		lines = append(lines, part)
	}
	return lines
}

// wholeSale fills the line of a sale out of a pool.
func (y *taxYear) wholeSale(line TaxLine, s *region.SaleOutcome) TaxLine {
	line.Shares, line.Cost, line.Gain = s.Shares, s.Cost, s.Gain
	line.Outlays = y.outlays(s)
	line.Proceeds = s.Proceeds.Add(line.Outlays)
	line.Adjustment, line.Lost, line.DeniedTo = s.Denied, s.Lost, s.To
	line.Description = y.describe(line)
	return line
}

// partOfSale fills the line of a part of a lot.
func (y *taxYear) partOfSale(line TaxLine, p *region.Part) TaxLine {
	line.Lot, line.Shares, line.Acquired, line.Term = p.Lot, p.Shares, p.Acquired, p.Term
	line.Proceeds, line.Cost, line.Gain = p.Proceeds, p.Cost, p.Gain
	line.Adjustment, line.Lost, line.ReplacedBy = p.Denied, p.Lost, p.ReplacedBy
	if p.Denied.Sign() > 0 {
		line.Code = "W"
	}
	line.Description = y.describe(line)
	return line
}

// outlays returns the commission of a sale in home currency, for the shares that were there.
func (y *taxYear) outlays(s *region.SaleOutcome) money.Dec {
	e := y.events[s.Event]
	if e == nil || e.Commission.IsZero() || s.Shares.IsZero() {
		return money.Zero
	}
	return y.rules.Outlays(e).Share(s.Shares.Sub(s.Oversold), s.Shares)
}

func (y *taxYear) describe(line TaxLine) string {
	text := line.Shares.Dec().String() + " sh. " + string(line.Symbol)
	if name := y.names[line.Symbol]; name != "" && name != string(line.Symbol) {
		text += " (" + name + ")"
	}
	return text
}

// properties sums the sales out of pools by owner and property; nil in a region with lots.
func (y *taxYear) properties(slips []ShownSlip) []TaxProperty {
	if y.rules.Mechanism == "lots" {
		return nil
	}
	var all []TaxProperty
	for i := range y.sales {
		s := &y.sales[i]
		if !y.asks(s.Account) {
			continue
		}
		p, outlays := propertyOf(&all, s.Owner, s.Property), y.outlays(s)
		p.Sales++
		if !slices.Contains(p.Symbols, s.Symbol) {
			p.Symbols = append(p.Symbols, s.Symbol)
		}
		p.Shares, p.Outlays, p.Proceeds = p.Shares.Add(s.Shares), p.Outlays.Add(outlays), p.Proceeds.Add(s.Proceeds).Add(outlays)
		p.Cost, p.Gross, p.Denied = p.Cost.Add(s.Cost), p.Gross.Add(s.Gross), p.Denied.Add(s.Denied)
		p.Lost, p.Gain = p.Lost.Add(s.Lost), p.Gain.Add(s.Gain)
		p.DeniedTo = append(p.DeniedTo, s.To...)
		p.State = joinStates(p.State, y.state(s))
	}
	y.markProperties(&all, slips)
	slices.SortFunc(all, func(a, b TaxProperty) int {
		return cmp.Or(cmp.Compare(a.Owner, b.Owner), cmp.Compare(a.Property, b.Property))
	})
	return all
}

// propertyOf returns the sums of an owner and property, made where there are none.
func propertyOf(all *[]TaxProperty, owner portfolio.OwnerID, property string) *TaxProperty {
	at := slices.IndexFunc(*all, func(p TaxProperty) bool { return p.Owner == owner && p.Property == property })
	if at < 0 {
		at = len(*all)
		*all = append(*all, TaxProperty{Owner: owner, Property: property, State: region.Final})
	}
	return &(*all)[at]
}

// units nets the year of each tax unit that has a result in it, or a loss carried into it.
func (y *taxYear) units(h portfolio.Household) []TaxUnit {
	owners := ownersOf(h)
	groups := [][]portfolio.OwnerID{owners}
	if y.rules.Netting.TaxUnit == region.OwnerUnit {
		groups = slices.Collect(slices.Chunk(owners, 1))
	}
	var all []TaxUnit
	for _, group := range groups {
		if u, ok := y.unit(group); ok {
			all = append(all, u)
		}
	}
	return all
}

// unit nets the year of a group of owners.
func (y *taxYear) unit(owners []portfolio.OwnerID) (TaxUnit, bool) {
	u := TaxUnit{Owners: owners, State: region.Final}
	standing := y.book.Standing(owners[0], y.query.Year, y.household.Brought)
	u.CarryIn = standing.In
	u.YearNet = y.rules.Net(y.query.Year, standing.ST, standing.LT, standing.In)
	for _, owner := range owners {
		t := y.book.Year(owner, y.query.Year)
		u.Gains, u.Losses, u.Denied = u.Gains.Add(t.Gains), u.Losses.Add(t.Losses), u.Denied.Add(t.Denied)
		u.Lost, u.ST, u.LT = u.Lost.Add(t.Lost), u.ST.Add(t.ST), u.LT.Add(t.LT)
	}
	u.Other = u.Gains.Add(u.Losses)
	for i := range y.sales {
		if s := &y.sales[i]; slices.Contains(owners, s.Owner) {
			u.Other = u.Other.Sub(s.Gain)
			u.State = joinStates(u.State, y.state(s))
		}
	}
	isEmpty := u.Gains.IsZero() && u.Losses.IsZero() && u.Denied.IsZero() && u.CarryIn == (region.Carry{})
	return u, !isEmpty
}

// DeniedText says where a denied loss went, on one line.
func DeniedText(to []region.Denial) string {
	var parts []string
	for _, d := range to {
		place := string(d.Account)
		if place == "" {
			place = "pool of " + string(d.Owner)
		}
		if d.Lost {
			place += " (lost)"
		}
		parts = append(parts, d.Amount.Fixed(2)+" to "+place)
	}
	return strings.Join(parts, "; ")
}
