package pipeline

import (
	"cmp"
	"slices"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/region"
)

// CarriedLosses are the losses that an owner could still use at the end of a tax year, from times
// that the record's events don't tell of. They are whole losses: an inclusion rate is not applied.
type CarriedLosses struct {
	EndOf int `json:"end_of"` // tax year, named by the calendar year in which it begins
	// ST and LT are what a region with terms carries.
	ST money.Dec `json:"st,omitzero"`
	LT money.Dec `json:"lt,omitzero"`
	// ByYear is what a region without terms carries, by the tax year that made it.
	ByYear []YearLoss `json:"by_year,omitempty"`
}

// YearLoss is what is left of the net loss of one tax year.
type YearLoss struct {
	Year   int       `json:"year"`
	Amount money.Dec `json:"amount"`
}

// CarriedLoss is a loss of one tax year that an owner brought with him, as the book keeps it.
type CarriedLoss struct {
	Owner  portfolio.OwnerID `json:"owner"`
	OfYear int               `json:"of_year"`
	EndOf  int               `json:"end_of"`
	region.Carry
}

// canonical returns a copy with its list in order; nil for nil.
func (c *CarriedLosses) canonical() *CarriedLosses {
	if c == nil {
		return nil
	}
	copied := *c
	copied.ByYear = slices.Clone(c.ByYear)
	slices.SortFunc(copied.ByYear, func(a, b YearLoss) int { return cmp.Compare(a.Year, b.Year) })
	return &copied
}

// carriedLosses returns what the owners of a checked record bring with them, without zeros.
func carriedLosses(h HouseholdRecord) []CarriedLoss {
	var all []CarriedLoss
	for _, o := range h.Owners {
		c := o.Carried
		if c == nil {
			continue
		}
		if !c.ST.IsZero() || !c.LT.IsZero() {
			all = append(all, CarriedLoss{o.ID, c.EndOf, c.EndOf, region.Carry{ST: c.ST, LT: c.LT}})
		}
		for _, y := range c.ByYear {
			if !y.Amount.IsZero() {
				all = append(all, CarriedLoss{o.ID, y.Year, c.EndOf, region.Carry{ST: y.Amount}})
			}
		}
	}
	return all
}

// Brought returns carried losses as the tax book takes them: into the year after the one at whose end
// they stood, one entry for each owner and year.
func Brought(all []CarriedLoss) []region.Brought {
	var brought []region.Brought
	for _, c := range all {
		n := len(brought)
		if n == 0 || brought[n-1].Owner != c.Owner || brought[n-1].Year != c.EndOf+1 {
			brought = append(brought, region.Brought{Owner: c.Owner, Year: c.EndOf + 1})
			n++
		}
		b := &brought[n-1]
		b.ST, b.LT = b.ST.Add(c.ST), b.LT.Add(c.LT)
	}
	return brought
}

// carriedYearMin is the first tax year that a carried loss may be of.
const carriedYearMin = 1900

// checkCarried looks at the losses that each owner brings with him.
func checkCarried(rules *region.Rules, h *HouseholdRecord) error {
	for _, o := range h.Owners {
		c := o.Carried
		if c == nil {
			continue
		}
		bad := func(code market.Code, format string, args ...any) error {
			return badRecord(code, "owner %s: carried_losses: "+format, append([]any{o.ID}, args...)...)
		}
		hasTerms := rules.LongAfterYears > 0
		switch now := rules.TaxYear(h.AsOf); {
		case c.EndOf < carriedYearMin || c.EndOf >= now:
			return bad(codeBadCarried, "end_of %d is not a tax year from %d to %d, the last one that was over on %s", c.EndOf, carriedYearMin, now-1, h.AsOf)
		case hasTerms && len(c.ByYear) > 0:
			return bad(codeBadCarried, "region %s carries st and lt, not by_year", h.Region)
		case !hasTerms && (!c.ST.IsZero() || !c.LT.IsZero()):
			return bad(codeBadCarried, "region %s carries losses by_year, not st and lt", h.Region)
		}
		for _, amount := range []money.Dec{c.ST, c.LT} {
			if err := checkCarriedAmount(bad, amount); err != nil {
				return err
			}
		}
		for i, y := range c.ByYear {
			if i > 0 && y.Year == c.ByYear[i-1].Year {
				return bad(market.CodeDuplicate, "year %d is given twice", y.Year)
			}
			if y.Year < carriedYearMin || y.Year > c.EndOf {
				return bad(codeBadCarried, "year %d is not from %d to end_of %d", y.Year, carriedYearMin, c.EndOf)
			}
			if err := checkCarriedAmount(bad, y.Amount); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkCarriedAmount(bad func(market.Code, string, ...any) error, amount money.Dec) error {
	if amount.Sign() < 0 {
		return bad(market.CodeNegative, "%s: give losses as positive amounts", amount)
	}
	if !amount.Less(amountMax) {
		return bad(market.CodeBadNumber, "%s is not below %s", amount, amountMax)
	}
	return nil
}

// checkOverlap refuses losses carried out of a year that the events have results of already, or out of
// a later one: the book carries those itself, and they would count twice. Owners who file together
// are one.
func checkOverlap(rules *region.Rules, h *HouseholdRecord, book *region.Book) error {
	for _, y := range book.Years() {
		if y == (region.YearTotals{Owner: y.Owner, Year: y.Year}) {
			continue
		}
		for _, o := range h.Owners {
			if o.Carried != nil && o.Carried.EndOf >= y.Year && rules.Unit(o.ID) == rules.Unit(y.Owner) {
				return badRecord(codeBadCarried, "owner %s: carried_losses stand at the end of %d, but the events realize gains or losses in %d: give those of the end of %d, or no event before %d but the purchases of open lots",
					o.ID, o.Carried.EndOf, y.Year, y.Year-1, o.Carried.EndOf+1)
			}
		}
	}
	return nil
}
