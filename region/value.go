package region

import (
	"daybreak/market"
	"daybreak/money"
)

// The tax units: whose results of a year meet.
const (
	HouseholdUnit = "household" // all owners of the household file together
	OwnerUnit     = "owner"     // each owner files alone
)

// Brought is a loss that an owner carries into a tax year from a time that the book does not know.
type Brought struct {
	Owner ownerID `json:"owner"`
	Year  int     `json:"year"`
	Carry
}

// PastGain is the net gain of an earlier tax year that no loss has met yet.
type PastGain struct {
	Year int       `json:"year"`
	Gain money.Dec `json:"gain"`
}

// Standing is where a tax unit stands in a tax year: what it has realised so far, the losses that it
// carries in, and the gains of earlier years that a net loss may still go back to, oldest first.
type Standing struct {
	Year int        `json:"year"`
	ST   money.Dec  `json:"st"` // all of the result where the region has no terms
	LT   money.Dec  `json:"lt,omitzero"`
	In   Carry      `json:"carry_in"`
	Back []PastGain `json:"back,omitempty"`
}

// Add returns the standing with further results.
func (s Standing) Add(short, long money.Dec) Standing {
	s.ST, s.LT = s.ST.Add(short), s.LT.Add(long)
	return s
}

// Unit returns the name of the tax unit of an owner: the owner's, or "" for the whole household.
func (r *Rules) Unit(owner ownerID) ownerID {
	if r.Netting.TaxUnit == HouseholdUnit {
		return ""
	}
	return owner
}

// Standing returns where the tax unit of an owner stands in a tax year. Earlier years are netted one
// after the other from the first that the book knows or that brings a loss in; a net loss goes back
// to the oldest gain that the region lets it meet, as soon as it is made, and the rest is carried.
func (b *Book) Standing(owner ownerID, year int, brought []Brought) Standing {
	r, unit := b.rules, b.rules.Unit(owner)
	counts := func(o ownerID) bool { return r.Unit(o) == unit }
	byYear := map[int]*Standing{}
	at := func(y int) *Standing {
		if byYear[y] == nil {
			byYear[y] = &Standing{Year: y}
		}
		return byYear[y]
	}
	first := year
	for _, y := range b.Years() {
		if counts(y.Owner) && y.Year <= year {
			first = min(first, y.Year)
			s := at(y.Year)
			if r.LongAfterYears == 0 {
				y.ST, y.LT = y.Net(), money.Zero
			}
			*s = s.Add(y.ST, y.LT)
		}
	}
	for _, c := range brought {
		if counts(c.Owner) && c.Year <= year {
			first = min(first, c.Year)
			s := at(c.Year)
			s.In.ST, s.In.LT = s.In.ST.Add(c.ST.Abs()), s.In.LT.Add(c.LT.Abs())
		}
	}
	s := *at(first)
	for y := first + 1; y <= year; y++ {
		s = r.next(s, at(y))
	}
	return s
}

// next returns the standing of the year after s, of which now holds the results and what comes in
// from outside. What comes in was not used by earlier gains, so that none is left to go back to.
func (r *Rules) next(s Standing, now *Standing) Standing {
	n := r.Net(s.Year, s.ST, s.LT, s.In)
	carry, _, past := r.carryBack(s, n.CarryOut)
	if n.Net.Sign() > 0 {
		past = append(past, PastGain{s.Year, n.Net})
	}
	next := *now
	if next.In != (Carry{}) {
		past = nil
	}
	next.In.ST, next.In.LT = next.In.ST.Add(carry.ST), next.In.LT.Add(carry.LT)
	for _, p := range past {
		if p.Year >= next.Year-r.Netting.CarryBackYears {
			next.Back = append(next.Back, p)
		}
	}
	return next
}

// carryBack sets a loss against the gains of earlier years, oldest first, and returns what is left of
// it, the tax that comes back, and the gains that are left.
func (r *Rules) carryBack(s Standing, loss Carry) (left Carry, refund money.Dec, past []PastGain) {
	left = loss
	for _, p := range s.Back {
		if p.Year < s.Year-r.Netting.CarryBackYears {
			continue
		}
		rates := r.RatesOf(p.Year)
		short := money.Min(left.ST, p.Gain)
		long := money.Min(left.LT, p.Gain.Sub(short))
		left.ST, left.LT = left.ST.Sub(short), left.LT.Sub(long)
		refund = refund.Add(short.Mul(rates.Short).Add(long.Mul(rates.Long)).Mul(rates.Inclusion))
		if p.Gain = p.Gain.Sub(short).Sub(long); p.Gain.Sign() > 0 {
			past = append(past, p)
		}
	}
	return left, refund, past
}

// YearTax is the tax on the gains of a tax year.
type YearTax struct {
	Tax     money.Dec `json:"tax"`     // below zero where losses save tax on other income or on gains of earlier years
	Carry   Carry     `json:"carry"`   // losses that wait
	Waiting money.Dec `json:"waiting"` // tax that Carry would save if gains of its kind met it now
}

// TaxOf returns the tax of a standing: net short- and long-term gains at their rates, the deduction
// from other income at the short-term rate, which is the ordinary one, losses that go back at the
// rates of those years.
func (r *Rules) TaxOf(s Standing) YearTax {
	n := r.Net(s.Year, s.ST, s.LT, s.In)
	rates := r.RatesOf(s.Year)
	short, long := money.Max(n.STNet, money.Zero), money.Max(n.LTNet, money.Zero)
	switch {
	case n.Net.Sign() <= 0:
		short, long = n.Deduction.Neg(), money.Zero
	case n.STNet.Sign() < 0:
		long = n.Net
	case n.LTNet.Sign() < 0:
		short = n.Net
	}
	carry, refund, _ := r.carryBack(s, n.CarryOut)
	worth := func(short, long money.Dec) money.Dec {
		return short.Mul(rates.Short).Add(long.Mul(rates.Long)).Mul(rates.Inclusion)
	}
	return YearTax{Tax: worth(short, long).Sub(refund), Carry: carry, Waiting: worth(carry.ST, carry.LT)}
}

// LossValue is what a loss does to the tax of its year, in home currency.
type LossValue struct {
	Year    int       `json:"year"`
	Without money.Dec `json:"tax_without"` // tax of the year without the sale
	With    money.Dec `json:"tax_with"`    // and with it
	Usable  money.Dec `json:"usable"`      // loss that meets gains, or other income, of this or an earlier year
	Waits   money.Dec `json:"waits"`       // loss that is carried on
	Later   money.Dec `json:"later"`       // what the loss that waits is taken to be worth
	Value   money.Dec `json:"value"`       // Without − With + Later
}

// ValueOf returns what further results, losses below zero, are worth on top of a standing.
func (r *Rules) ValueOf(s Standing, short, long money.Dec) LossValue {
	before, after := r.TaxOf(s), r.TaxOf(s.Add(short, long))
	waits := after.Carry.ST.Add(after.Carry.LT).Sub(before.Carry.ST).Sub(before.Carry.LT)
	v := LossValue{
		Year: s.Year, Without: before.Tax, With: after.Tax, Waits: waits,
		Usable: short.Add(long).Neg().Sub(waits),
		Later:  after.Waiting.Sub(before.Waiting).Mul(r.Harvest.Waits),
	}
	v.Value = v.Without.Sub(v.With).Add(v.Later)
	return v
}

// LeastLoss returns the threshold of a loss by the term of its larger part, short-term where they
// are equal. Short and long are losses as positive amounts.
func (r *Rules) LeastLoss(short, long money.Dec, day market.Day) Threshold {
	if r.LongAfterYears == 0 {
		return r.Threshold("", day)
	}
	if short.Less(long) {
		return r.Threshold(Long, day)
	}
	return r.Threshold(Short, day)
}
