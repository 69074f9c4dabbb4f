package region

import (
	"slices"
	"sort"

	"daybreak/market"
	"daybreak/money"
)

// matchFold is what folding by matching needs besides: acquisitions and disposals of a day count as
// one, disposals take first the acquisitions of their day, then those of the window after it, and
// the rest comes from the pool.
type matchFold struct {
	days     []acquiredDay // by unit, then day
	disposed []disposal    // in order of the fold
	dayOf    []int32       // for each event the acquiredDay it belongs to; −1: none
	of       []int32       // for each event the disposal that it is; −1: none
}

// acquiredDay is all that a unit acquired on one day.
type acquiredDay struct {
	unit    int32
	day     market.Day
	lot     string // first event of the day
	at      int32
	shares  money.Rat // not matched yet
	cost    money.Dec
	unknown bool
}

// disposal is one sale with what it was matched to before the pool.
type disposal struct {
	at      int32
	left    money.Rat // comes from the pool
	matches []matchedLot
}

type matchedLot struct {
	lot    string
	day    market.Day
	shares money.Rat
	cost   money.Dec
}

// matched folds with the order same day, days after, pool.
func (f *fold) matched(stop int) {
	f.timeline()
	f.pool.joins = take(&f.room.joins, len(f.events))
	f.collect()
	for _, rule := range []func(d *disposal){f.matchSameDay, f.matchDaysAfter} {
		for k := range f.match.disposed {
			rule(&f.match.disposed[k])
		}
	}
	f.resetFactors()
	for i := range stop {
		f.matchedStep(i)
	}
}

// collect gathers acquisitions by unit and day, and disposals.
func (f *fold) collect() {
	m := &f.match
	m.dayOf, m.of = make([]int32, len(f.events)), make([]int32, len(f.events))
	type key struct {
		unit int32
		day  market.Day
	}
	index := map[key]int32{}
	for i, e := range f.events {
		m.dayOf[i], m.of[i] = -1, -1
		st := &f.steps[i]
		if st.n.IsZero() || st.isMoved {
			continue
		}
		if e.Kind != Buy && e.Kind != Drip && st.unit >= 0 && !f.units[st.unit].Sheltered {
			m.of[i] = int32(len(m.disposed))
			m.disposed = append(m.disposed, disposal{at: int32(i), left: st.n})
		}
		v := st.toUnit
		if e.Kind == Buy || e.Kind == Drip {
			v = st.unit
		}
		if v < 0 || f.units[v].Sheltered {
			continue
		}
		k := key{v, f.days[i]}
		if _, ok := index[k]; !ok {
			index[k] = int32(len(m.days))
			m.days = append(m.days, acquiredDay{unit: v, day: k.day, lot: e.ID, at: int32(i)})
		}
		cost, known := f.rules.paid(e)
		if v == st.toUnit {
			f.addFlow(i, money.Zero, cost)
		}
		a := &m.days[index[k]]
		a.shares, a.cost, a.unknown = a.shares.Add(st.n), a.cost.Add(cost), a.unknown || !known
		m.dayOf[i] = index[k]
	}
}

func (f *fold) matchSameDay(d *disposal) { f.matchWithin(d, f.days[d.at], f.days[d.at]) }

func (f *fold) matchDaysAfter(d *disposal) {
	f.matchWithin(d, f.days[d.at]+1, f.days[d.at]+f.rules.window)
}

// matchWithin matches a disposal with acquisitions of its unit by day, the earliest first. Days are
// collected in order, so they are sorted.
func (f *fold) matchWithin(d *disposal, from, to market.Day) {
	all := f.match.days
	unit := f.steps[d.at].unit
	for k := sort.Search(len(all), func(k int) bool { return all[k].day >= from }); k < len(all) && all[k].day <= to; k++ {
		a := &all[k]
		if d.left.IsZero() {
			return
		}
		if a.unit != unit || a.shares.IsZero() {
			continue
		}
		n := money.MinRat(d.left, a.shares)
		cost := a.cost.Share(n, a.shares)
		a.shares, a.cost, d.left = a.shares.Sub(n), a.cost.Sub(cost), d.left.Sub(n)
		d.matches = append(d.matches, matchedLot{a.lot, a.day, n, cost})
	}
}

func (f *fold) matchedStep(i int) {
	e, st := f.events[i], &f.steps[i]
	if e.Shares.IsZero() && e.movesShares() {
		return
	}
	f.moveSeats(e, st)
	switch e.Kind {
	case Split:
		if !st.ignored {
			at := f.factorOf(e.Symbol)
			f.factors[at].by = f.factors[at].by.Mul(e.Ratio)
		}
	case ROC, RICG, RIDiv, CGDiv:
		f.distribute(i)
	}
	if d := f.match.of[i]; d >= 0 {
		f.disposeMatched(i, &f.match.disposed[d])
	}
	if k := f.match.dayOf[i]; k >= 0 && f.match.days[k].at == int32(i) {
		f.enterPool(&f.match.days[k])
	}
	f.remember(i)
}

// moveSeats books the shares of an event, and the pools of sheltered accounts.
func (f *fold) moveSeats(e *Event, st *step) {
	shift := func(at, v int32, n money.Rat) {
		if at < 0 {
			return
		}
		f.seats[at].Shares = f.seats[at].Shares.Add(n)
		if u := &f.units[v]; u.Sheltered && !st.isMoved {
			u.Shares = u.Shares.Add(n)
			if u.Shares.Sign() < 0 {
				f.issues = append(f.issues, Issue{e.ID, Oversold})
			}
		}
	}
	switch e.Kind {
	case Buy, Drip:
		shift(st.seat, st.unit, st.n)
	case Sell:
		shift(st.seat, st.unit, st.n.Neg())
	case Contribute, Transfer:
		shift(st.seat, st.unit, st.n.Neg())
		shift(st.to, st.toUnit, st.n)
	}
}

// enterPool adds what no disposal took of a day's acquisitions to the pool, oversold sales first.
func (f *fold) enterPool(a *acquiredDay) {
	u := &f.units[a.unit]
	for len(u.short) > 0 && !a.shares.IsZero() {
		n := money.MinRat(u.short[0].shares, a.shares)
		cost := a.cost.Share(n, a.shares)
		f.cover(int(a.at), u, n, cost)
		a.shares, a.cost = a.shares.Sub(n), a.cost.Sub(cost)
	}
	if u.Shares.IsZero() && !a.shares.IsZero() {
		u.Since = a.day
	}
	u.Shares, u.Cost = u.Shares.Add(a.shares), u.Cost.Add(a.cost)
	u.Unknown = u.Unknown || a.unknown
}

// disposeMatched settles a disposal: its matches, then the pool.
func (f *fold) disposeMatched(i int, d *disposal) {
	e, st := f.events[i], &f.steps[i]
	u := &f.units[st.unit]
	at := f.seats[st.seat].factor
	proceeds, known := f.rules.received(e)
	s := SaleOutcome{Event: e.ID, Kind: e.Kind, Owner: e.Owner, Account: e.Account, Symbol: e.Symbol, Property: f.name,
		Day: f.days[i], Until: f.days[i] + f.rules.window, Shares: e.Shares, RateUnknown: !known || u.Unknown}
	n := st.n
	add := func(lot string, day market.Day, shares money.Rat, cost money.Dec) {
		p := Part{Lot: lot, Shares: f.today(at, shares), Cost: cost, Acquired: day, Start: day, Proceeds: proceeds.Share(shares, n)}
		n, proceeds = n.Sub(shares), proceeds.Sub(p.Proceeds)
		p.Gross = p.Proceeds.Sub(cost)
		p.Gain = p.Gross
		s.Proceeds, s.Cost, s.Gross = s.Proceeds.Add(p.Proceeds), s.Cost.Add(cost), s.Gross.Add(p.Gross)
		s.Parts = append(s.Parts, p)
	}
	for _, m := range d.matches {
		add(m.lot, m.day, m.shares, m.cost)
	}
	if held := money.MinRat(d.left, u.Shares); held.Sign() > 0 {
		cost := u.Cost.Share(held, u.Shares)
		u.Shares, u.Cost = u.Shares.Sub(held), u.Cost.Sub(cost)
		add("", u.Since, held, cost)
	}
	if !n.IsZero() {
		f.issues = append(f.issues, Issue{e.ID, Oversold})
		s.Oversold = f.today(at, n)
		u.short = append(u.short, shortSale{int32(len(f.sales)), n, proceeds})
	}
	s.Gain = s.Gross
	f.year(s.Owner, s.Day).addSale(&s)
	f.addSale(i, s)
}

// matchedBoundary moves a boundary back to the start of a day, until no disposal before it was
// matched with an acquisition behind it.
func (f *fold) matchedBoundary(k int) int {
	for k < len(f.events) {
		day := f.days[k]
		first := sort.Search(k, func(i int) bool { return f.days[i] >= day })
		for j := range f.match.disposed {
			d := &f.match.disposed[j]
			reaches := slices.ContainsFunc(d.matches, func(m matchedLot) bool { return m.day >= day })
			if int(d.at) < first && reaches {
				first = int(d.at)
			}
		}
		if first == k {
			return k
		}
		k = first
	}
	return k
}
