package region

import (
	"cmp"
	"slices"

	"daybreak/money"
)

// add adds a gain of a term, or an allowed loss where it is negative.
func (y *YearTotals) add(gain money.Dec, term Term) {
	if gain.Sign() < 0 {
		y.Losses = y.Losses.Add(gain)
	} else {
		y.Gains = y.Gains.Add(gain)
	}
	switch term {
	case Short:
		y.ST = y.ST.Add(gain)
	case Long:
		y.LT = y.LT.Add(gain)
	}
}

// addSale adds a sale that has no term.
func (y *YearTotals) addSale(s *SaleOutcome) {
	y.add(s.Gain, "")
	y.Denied, y.Lost = y.Denied.Add(s.Denied), y.Lost.Add(s.Lost)
}

// deny takes back an allowed loss: amount of it is denied, and gone where isLost.
func (y *YearTotals) deny(amount money.Dec, term Term, isLost bool) {
	y.Denied, y.Losses = y.Denied.Add(amount), y.Losses.Add(amount)
	if isLost {
		y.Lost = y.Lost.Add(amount)
	}
	switch term {
	case Short:
		y.ST = y.ST.Add(amount)
	case Long:
		y.LT = y.LT.Add(amount)
	}
}

// join adds the totals of another part of the same year.
func (y *YearTotals) join(z *YearTotals) {
	y.Gains, y.Losses = y.Gains.Add(z.Gains), y.Losses.Add(z.Losses)
	y.Denied, y.Lost = y.Denied.Add(z.Denied), y.Lost.Add(z.Lost)
	y.ST, y.LT = y.ST.Add(z.ST), y.LT.Add(z.LT)
}

// Year returns what an owner has realised in a tax year so far; zero totals where nothing.
func (b *Book) Year(owner ownerID, year int) YearTotals {
	sum := YearTotals{Owner: owner, Year: year}
	add := func(all []YearTotals) {
		for i := range all {
			if all[i].Owner == owner && all[i].Year == year {
				sum.join(&all[i])
			}
		}
	}
	add(b.base)
	for _, f := range b.folds {
		add(f.years)
	}
	return sum
}

// Years returns the totals of all owners and tax years with a result, by year, then owner.
func (b *Book) Years() []YearTotals {
	all := slices.Clone(b.base)
	for _, f := range b.folds {
		for i := range f.years {
			yearOf(&all, f.years[i].Owner, f.years[i].Year).join(&f.years[i])
		}
	}
	slices.SortFunc(all, func(x, y YearTotals) int {
		return cmp.Or(cmp.Compare(x.Year, y.Year), cmp.Compare(x.Owner, y.Owner))
	})
	return all
}

// YearNet is a tax year of all owners together, netted as the region nets.
type YearNet struct {
	Year      int       `json:"year"`
	STNet     money.Dec `json:"st_net"` // short-term result less the loss carried in
	LTNet     money.Dec `json:"lt_net"`
	Net       money.Dec `json:"net"`
	Deduction money.Dec `json:"deduction"` // net loss set against other income
	CarryOut  Carry     `json:"carry_out"`
}

// Net nets a year: the results of each term meet their carried losses, then each other; a net loss
// counts against other income up to the limit, and what is left is carried with its term, the
// deduction used up by short-term losses first (IRC 1211(b), 1212(b)).
func (r *Rules) Net(year int, st, lt money.Dec, in Carry) YearNet {
	n := YearNet{Year: year, STNet: st.Sub(in.ST.Abs()), LTNet: lt.Sub(in.LT.Abs())}
	n.Net = n.STNet.Add(n.LTNet)
	if n.Net.Sign() >= 0 {
		return n
	}
	n.Deduction = money.Min(r.Netting.LossLimit, n.Net.Neg())
	short := n.STNet.Add(n.Deduction)
	zero := money.Zero
	n.CarryOut.ST = money.Max(zero, short.Neg().Sub(money.Max(n.LTNet, zero)))
	n.CarryOut.LT = money.Max(zero, n.LTNet.Neg().Sub(money.Max(short, zero)))
	return n
}
