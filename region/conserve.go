package region

import (
	"fmt"
	"slices"

	"daybreak/money"
)

// flow is what one event moved across the border of the taxed holdings besides the money of its
// trades: a distribution, or shares that moved in kind. In home currency.
type flow struct {
	event    int32
	received money.Dec // came out of the holdings, or is a gain of the year that stayed in none
	paid     money.Dec // joined their cost
}

func (f *fold) addFlow(i int, received, paid money.Dec) {
	if !received.IsZero() || !paid.IsZero() {
		f.flows = append(f.flows, flow{int32(i), received, paid})
	}
}

// Conservation is one property's sums over the taxed holdings of a household, in home currency:
// Gains + Paid = Received + Left, to the last digit.
type Conservation struct {
	Property string
	Gains    money.Dec // of all years: gains less allowed losses, less denied losses that nobody ever gets
	Received money.Dec // proceeds of shares that were there, distributions, cost of shares that left in kind
	Paid     money.Dec // purchases with commission, reinvested income, cost of shares that came in kind
	Left     money.Dec // cost of what is still held
}

// Gap returns what is left over; zero where nothing was made or lost.
func (c Conservation) Gap() money.Dec { return c.Gains.Add(c.Paid).Sub(c.Received).Sub(c.Left) }

// Conserve returns the sums of each property of a book that was folded from the beginning. Purchases
// and proceeds come from the events themselves, gains from the years, what is left from pools or
// lots. Of the events of a taxed account
//
//	buy, drip               pay their amount and commission
//	sell, contribute        receive their amount less commission; what was oversold waits outside
//	roc, cg_div             receive their amount, whether it lowers cost or is a gain
//	ri_div                  pays its amount
//	ri_cg_dist              does neither: it is a gain and joins the cost
//	transfer                pays the cost that comes from outside, receives the cost that leaves
//	split                   does neither
func (b *Book) Conserve() []Conservation {
	all := make([]Conservation, 0, len(b.folds))
	for _, f := range b.ready() {
		c := Conservation{Property: f.name, Left: f.costLeft()}
		for i := range f.years {
			y := &f.years[i]
			c.Gains = c.Gains.Add(y.Net()).Sub(y.Lost)
		}
		for i := range f.sales {
			c.Received = c.Received.Add(f.sales[i].Proceeds)
		}
		for i, e := range f.events {
			if (e.Kind == Buy || e.Kind == Drip) && !e.Shares.IsZero() && !f.isSheltered(i) {
				cost, _ := f.rules.paid(e)
				c.Paid = c.Paid.Add(cost)
			}
		}
		for _, x := range f.flows {
			c.Received, c.Paid = c.Received.Add(x.received), c.Paid.Add(x.paid)
		}
		all = append(all, c)
	}
	return all
}

// costLeft returns the cost of what the taxed accounts hold.
func (f *fold) costLeft() (sum money.Dec) {
	for i := range f.units {
		if u := &f.units[i]; !u.Sheltered {
			sum = sum.Add(u.Cost)
		}
	}
	for i := range f.seats {
		if s := &f.seats[i]; s.unit < 0 && !s.Sheltered {
			for _, p := range f.lotsOf(int32(i)) {
				sum = sum.Add(p.Basis)
			}
		}
	}
	return sum
}

// isSheltered reports whether the account of event i is.
func (f *fold) isSheltered(i int) bool {
	e := f.events[i]
	at := f.findSeat(e, e.Account, func(s *seat) bool { return s.Account == e.Account && s.Symbol == e.Symbol && s.Owner == e.Owner })
	return at >= 0 && f.seats[at].Sheltered
}

// Violations returns where a book that was folded from the beginning breaks what every book keeps, a
// sentence each, by property: money is conserved; a sale's proceeds are its event's; its gross is
// proceeds less cost, and its parts add up to it; the denied part of a loss is not below zero and
// not above the loss, the lost part not above the denied one; no lot replaces more shares than it
// had; and a pool denies no more shares than were bought and held.
func (b *Book) Violations() []string {
	var all []string
	for _, c := range b.Conserve() {
		if gap := c.Gap(); !gap.IsZero() {
			all = append(all, fmt.Sprintf("%s: gains %s + paid %s, but received %s + left %s: %s too much",
				c.Property, c.Gains, c.Paid, c.Received, c.Left, gap))
		}
	}
	for _, f := range b.folds {
		for i := range f.sales {
			if fault := f.saleFault(i); fault != "" {
				all = append(all, f.name+": sale "+f.sales[i].Event+": "+fault)
			}
		}
		all = append(all, f.replacedTwice()...)
	}
	return all
}

// saleFault returns the first thing that is wrong with a sale, "" where nothing is.
func (f *fold) saleFault(at int) string {
	s := &f.sales[at]
	received, _ := f.rules.received(f.events[f.saleAt[at]])
	loss := s.grossLoss()
	switch {
	case s.Oversold.IsZero() && s.Proceeds != received:
		return fmt.Sprintf("proceeds %s, its event says %s", s.Proceeds, received)
	case s.Gross != s.Proceeds.Sub(s.Cost):
		return fmt.Sprintf("gross %s is not proceeds %s less cost %s", s.Gross, s.Proceeds, s.Cost)
	case s.Gain != s.Gross.Add(s.Denied):
		return fmt.Sprintf("gain %s is not gross %s with denied %s", s.Gain, s.Gross, s.Denied)
	case s.Denied.Sign() < 0 || loss.Less(s.Denied) && !f.wasOversold(s):
		return fmt.Sprintf("denied %s of a loss of %s", s.Denied, loss)
	case s.Lost.Sign() < 0 || s.Denied.Less(s.Lost):
		return fmt.Sprintf("lost %s of denied %s", s.Lost, s.Denied)
	case f.rules.Mechanism == "average" && len(s.To) > 0 && (s.Bought.Less(s.DeniedShares) || s.Held.Less(s.DeniedShares)):
		return fmt.Sprintf("denied %s shares of %s bought, %s held", s.DeniedShares, s.Bought, s.Held)
	}
	return s.partsFault(f.wasOversold(s))
}

// wasOversold reports whether a pool's sale had to wait for shares. What was at hand may have been
// denied a loss although the shares that came later make the sale a gain; they are in no part.
func (f *fold) wasOversold(s *SaleOutcome) bool {
	return f.rules.Mechanism != "lots" && slices.Contains(f.issues, Issue{s.Event, Oversold})
}

// partsFault returns what is wrong with the parts of a sale, which are not all of it where isPartial,
// and with where its denied loss went.
func (s *SaleOutcome) partsFault(isPartial bool) string {
	var proceeds, cost, denied, lost, to money.Dec
	for i := range s.Parts {
		p := &s.Parts[i]
		if p.Denied.Sign() < 0 || p.Denied.Sign() > 0 && p.Gross.Neg().Less(p.Denied) {
			return fmt.Sprintf("denied %s of a part with gross %s", p.Denied, p.Gross)
		}
		proceeds, cost = proceeds.Add(p.Proceeds), cost.Add(p.Cost)
		denied, lost = denied.Add(p.Denied), lost.Add(p.Lost)
	}
	for i := range s.To {
		to = to.Add(s.To[i].Amount)
	}
	switch {
	case len(s.Parts) > 0 && !isPartial && (proceeds != s.Proceeds || cost != s.Cost || denied != s.Denied || lost != s.Lost):
		return fmt.Sprintf("its parts come to proceeds %s, cost %s, denied %s, lost %s", proceeds, cost, denied, lost)
	case len(s.To) > 0 && to != s.Denied:
		return fmt.Sprintf("%s of denied %s went somewhere", to, s.Denied)
	}
	return ""
}

// replacedTwice returns the lots that replace more shares than they had. A pool has no lots: there
// the same purchase may count against two sales.
func (f *fold) replacedTwice() []string {
	used := map[string]money.Rat{}
	for k := range f.sales {
		parts := f.sales[k].Parts
		for i := range parts {
			if lot := parts[i].ReplacedBy; lot != "" {
				used[lot] = used[lot].Add(parts[i].Shares.Mul(f.splitsAfter(f.saleAt[k])))
			}
		}
	}
	if len(used) == 0 {
		return nil
	}
	var all []string
	for i, e := range f.events {
		n, ok := used[e.ID]
		if !ok {
			continue
		}
		delete(used, e.ID)
		if had := e.Shares.Mul(f.since(i, len(f.events))); had.Less(n) {
			all = append(all, fmt.Sprintf("%s: lot %s replaces %s shares and had %s", f.name, e.ID, n, had))
		}
	}
	for lot := range used {
		all = append(all, fmt.Sprintf("%s: lot %s replaces and was never bought", f.name, lot))
	}
	slices.Sort(all)
	return all
}

// splitsAfter returns the product of the splits of the symbol of event i that the fold met after it.
func (f *fold) splitsAfter(i int32) money.Rat {
	by := money.RatInt(1)
	at := f.factorOf(f.events[i].Symbol)
	for k := range f.splits {
		if s := &f.splits[k]; s.at > i && f.factorOf(s.Symbol) == at {
			by = by.Mul(s.Ratio)
		}
	}
	return by
}
