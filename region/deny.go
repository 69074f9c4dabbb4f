package region

import (
	"daybreak/market"
	"daybreak/money"
)

// claim is a unit that acquired in the window of a loss, or held at its end; in state units.
type claim struct {
	unit     int32
	acquired money.Rat
	held     money.Rat
	weight   money.Rat
}

// deny finds which part of a loss of event i is superficial and sends it where it goes: of the
// shares sold, as many as the circle both acquired in the window and still holds at its end.
func (f *fold) deny(i int, s *SaleOutcome, sold money.Rat) {
	bought, held := f.claim(i)
	at := f.factorOf(s.Symbol)
	s.Bought, s.Held = f.today(at, bought), f.today(at, held)
	denied := money.MinRat(sold, money.MinRat(bought, held))
	if denied.Sign() <= 0 {
		return
	}
	weights := f.weigh()
	if weights.IsZero() && f.rules.Settings.Orphan != "deny" {
		return
	}
	s.DeniedShares = f.today(at, denied)
	s.Denied = s.Gross.Neg().Share(denied, sold)
	if weights.IsZero() {
		s.Lost = s.Denied
		return
	}
	f.shareOut(i, s, weights)
}

// claim fills f.pool.claims for the window of event i, in order of owner and account, and returns
// how many shares the circle acquired in it and holds at its end.
func (f *fold) claim(i int) (bought, held money.Rat) {
	f.pool.claims = f.pool.claims[:0]
	seller := f.units[f.steps[i].unit].Owner
	first, last := f.days[i]-f.rules.window, f.days[i]+f.rules.window
	for _, v := range f.byName() {
		u := &f.units[v]
		from, to := f.scope.together(f.rules, seller, u.Owner)
		from, to = max(from, first), min(to, last)
		if from > to {
			continue
		}
		c := claim{unit: v}
		c.acquired = u.moves[u.through(to)].acquired.Sub(u.moves[u.through(from-1)].acquired)
		if to == last {
			c.held = u.moves[u.through(last)].shares
		}
		if c.acquired.IsZero() && c.held.IsZero() {
			continue
		}
		bought = bought.Add(c.acquired)
		if f.rules.Settings.BScope != "acquirers" || !c.acquired.IsZero() {
			held = held.Add(c.held)
		}
		f.pool.claims = append(f.pool.claims, c)
	}
	return bought, held
}

// weigh sets the weight of each claim and returns their sum.
func (f *fold) weigh() (sum money.Rat) {
	for k := range f.pool.claims {
		c := &f.pool.claims[k]
		switch {
		case c.acquired.IsZero():
			c.weight = money.Rat{}
		case f.rules.Settings.Alloc == "holdings":
			c.weight = c.held
		default:
			c.weight = money.MinRat(c.acquired, c.held)
		}
		sum = sum.Add(c.weight)
	}
	return sum
}

// shareOut sends the denied amount of a sale to the claims by weight; what is left after rounding
// goes to the last.
func (f *fold) shareOut(i int, s *SaleOutcome, weights money.Rat) {
	amount, shares := s.Denied, s.DeniedShares
	for k := range f.pool.claims {
		c := &f.pool.claims[k]
		if c.weight.IsZero() {
			continue
		}
		u := &f.units[c.unit]
		d := Denial{Owner: u.Owner, Account: u.Account, Lost: u.Sheltered}
		d.Amount, d.Shares = amount.Share(c.weight, weights), shares.Mul(c.weight.Div(weights))
		amount, shares, weights = amount.Sub(d.Amount), shares.Sub(d.Shares), weights.Sub(c.weight)
		if u.Sheltered {
			s.Lost = s.Lost.Add(d.Amount)
		} else if j := f.joinsAt(i, u); j > i {
			d.Event = f.events[j].ID
			f.pool.joins[j] = f.pool.joins[j].Add(d.Amount)
		} else {
			u.Cost = u.Cost.Add(d.Amount)
		}
		s.To = append(s.To, d)
	}
}

// joinsAt returns the event at which a denied loss of event i joins the cost of a unit: the sale
// itself where the unit then holds shares acquired in the window, else the acquisition that begins
// the holding that lasts to the window's end. A unit that was emptied in between starts anew.
func (f *fold) joinsAt(i int, u *unit) int {
	if f.rules.Settings.ACBTiming == "sale" {
		return i
	}
	day := f.days[i]
	now, end := u.upTo(i), u.through(day+f.rules.window)
	before := u.moves[u.through(day-f.rules.window-1)].acquired
	emptied := u.moves[end].lastEmpty
	holdsNew := before.Less(u.moves[now].acquired) && !u.moves[now].shares.IsZero()
	if holdsNew && emptied <= now {
		return i
	}
	if k := u.buyFrom(max(now, emptied) + 1); k <= end {
		return int(u.moves[k].at)
	}
	return i
}

// together returns the first and last day on which two owners count together; always for an owner
// and himself, and last before first where never.
func (s *Scope) together(r *Rules, a, b ownerID) (first, last market.Day) {
	const always, never = market.NoDay + 1, market.Day(1<<31 - 2)
	if a == b {
		return always, never
	}
	if r.Settings.IgnoreHousehold || s.isOutside(a) || s.isOutside(b) {
		return never, always
	}
	if len(s.Circle) == 0 {
		return always, never
	}
	first, last = always, never
	for _, owner := range []ownerID{a, b} {
		from, to := s.membership(owner)
		first, last = max(first, from), min(last, to)
	}
	return first, last
}
