package region

import (
	"fmt"
	"hash/fnv"
	"slices"
	"sort"
	"strconv"

	"daybreak/market"
	"daybreak/money"
)

// Checkpoint is a tax book at the end of a tax day, as compact JSON: sums for what no later event
// can change, and for each property the events since its oldest open window. The zero Checkpoint
// is the beginning of time. Events of tax days after AsOf continue it.
type Checkpoint struct {
	Rules  string // fingerprint of the rules and settings
	Circle string // fingerprint of the scope's owners
	AsOf   market.Day
	Years  []YearTotals // realised before the states
	States []state
}

// state is one property before its open events. Shares are in the units of that moment.
type state struct {
	Property string
	Units    []unit
	Seats    []seat
	Acquired []Movement // acquisitions of the window before, in order
	Pending  []pending
	Open     []openLoss
	Splits   []split // of the window before
	Events   []Event
}

// fits returns ErrVoid where the checkpoint was made under other rules, circle or identical groups.
func (c *Checkpoint) fits(r *Rules, s Scope) error {
	if c.Rules != r.fingerprint {
		return fmt.Errorf("rules %s, now %s: %w", c.Rules, r.fingerprint, ErrVoid)
	}
	if now := s.fingerprint(); c.Circle != now {
		return fmt.Errorf("circle %s, now %s: %w", c.Circle, now, ErrVoid)
	}
	for i := range c.States {
		st := &c.States[i]
		for j := range st.Seats {
			if p := s.Property(st.Seats[j].Symbol); p != st.Property {
				return fmt.Errorf("%s was %s, now %s: %w", st.Seats[j].Symbol, st.Property, p, ErrVoid)
			}
		}
	}
	return nil
}

// fingerprint names the owners of the scope.
func (s *Scope) fingerprint() string {
	if len(s.Circle) == 0 && len(s.Outside) == 0 {
		return "all"
	}
	h := fnv.New64a()
	for _, o := range s.Circle {
		fmt.Fprintf(h, "%q %d %d,", o.ID, o.From, o.To)
	}
	for _, o := range s.Outside {
		fmt.Fprintf(h, "%q;", o)
	}
	return strconv.FormatUint(h.Sum64(), 36)
}

// Checkpoint returns the book at the end of a tax day. Events after asOf that were folded are in it
// too; a day before the checkpoint that the book continues counts as that day.
func (b *Book) Checkpoint(asOf market.Day) Checkpoint {
	asOf = max(asOf, b.asOf)
	c := Checkpoint{Rules: b.rules.fingerprint, Circle: b.scope.fingerprint(), AsOf: asOf, Years: slices.Clone(b.base)}
	for _, f := range b.ready() {
		stop := f.boundary(asOf)
		g := f
		if stop < len(f.events) {
			g = b.newFold(f.name, f.base, newRoom(1, 0))
			g.events, g.days = f.events, f.days
			g.run(stop)
		}
		for i := range g.years {
			yearOf(&c.Years, g.years[i].Owner, g.years[i].Year).join(&g.years[i])
		}
		if st := g.state(stop, asOf); len(st.Units)+len(st.Seats)+len(st.Acquired)+len(st.Events)+len(st.Open)+len(st.Splits) > 0 {
			c.States = append(c.States, st)
		}
	}
	return c
}

// boundary returns the index of the first event that must stay an event: the oldest sale that a
// later event can still change, or the first event after asOf.
func (f *fold) boundary(asOf market.Day) int {
	k := sort.Search(len(f.days), func(i int) bool { return f.days[i] > asOf })
	for i := range f.sales {
		s := &f.sales[i]
		if at := int(f.saleAt[i]); at < k && (s.Until > asOf || s.Oversold.Sign() > 0) {
			k = at
			break
		}
	}
	for i := len(f.covered) - 1; i >= 0; i-- { // a sale covered behind the boundary is before it
		if c := f.covered[i]; int(f.saleAt[c.sale]) < k && int(c.event) >= k {
			k, i = int(f.saleAt[c.sale]), len(f.covered)
		}
	}
	if f.lot.lastOf != nil { // no order has fills on both sides: its losses wait for its last one
		for i := len(f.events) - 1; i >= k; i-- {
			if f.events[i].Kind == Sell && f.events[i].Order != "" {
				k = min(k, int(f.lot.firstOf[i]))
			}
		}
	}
	if f.match.of != nil {
		k = f.matchedBoundary(k)
	}
	return k
}

// state returns the fold, run up to stop, as a state followed by the events from stop on.
func (f *fold) state(stop int, asOf market.Day) state {
	first := asOf + 1
	if stop < len(f.days) {
		first = min(first, f.days[stop])
	}
	s := state{Property: f.name, Pending: f.pool.pending, Acquired: f.acquisitions(stop, first-f.rules.window)}
	for i := range f.units {
		u := f.units[i]
		hasAcquired := slices.ContainsFunc(s.Acquired, func(m Movement) bool { return m.isOf(&u) })
		if hasAcquired || !u.Shares.IsZero() || !u.Short.IsZero() || !u.Cost.IsZero() {
			u.Shares, u.Short = f.today(0, u.Shares), f.today(0, u.Short)
			u.moves, u.short, u.nextBuy = nil, nil, nil
			s.Units = append(s.Units, u)
		}
	}
	for i := range f.seats {
		lots := f.lotsOf(int32(i))
		if c := f.seats[i]; !c.Shares.IsZero() || len(lots) > 0 {
			c.Shares, c.Lots, c.lots = f.today(c.factor, c.Shares), lots, seatLots{}
			s.Seats = append(s.Seats, c)
		}
	}
	for _, o := range f.lot.carried {
		if !o.Shares.IsZero() && o.Day+f.rules.window >= first {
			o.Shares = f.today(f.factorOf(o.Symbol), o.Shares)
			s.Open = append(s.Open, o)
		}
	}
	for _, x := range f.splits {
		if x.TaxDay >= first-f.rules.window && int(x.at) < stop {
			s.Splits = append(s.Splits, x)
		}
	}
	for _, e := range f.events[stop:] {
		s.Events = append(s.Events, *e)
	}
	return s
}

// lotsOf returns the pieces of an account in order, in today's units; the state's own slice where
// nothing changed it.
func (f *fold) lotsOf(at int32) []piece {
	s := &f.seats[at]
	by := f.factors[s.factor].by
	untouched := by.Equal(money.RatInt(1))
	if !s.lots.isOpen && s.lots.first == 0 && untouched {
		return s.Lots
	}
	var all []piece
	if !s.lots.isOpen {
		all = slices.Clone(s.Lots)
	}
	for index := s.lots.first - 1; index >= 0; index = f.lot.pieces[index].next {
		all = append(all, f.lot.pieces[index])
	}
	for i := range all {
		if !untouched {
			all[i].Shares = all[i].Shares.Mul(by)
		}
		all[i].seat, all[i].prev, all[i].next, all[i].isPriced = 0, 0, 0, false
	}
	return all
}

// acquisitions returns those of the events before stop from a tax day on, and the state's own, in
// today's units.
func (f *fold) acquisitions(stop int, from market.Day) []Movement {
	var all []Movement
	if f.base != nil {
		for _, m := range f.base.Acquired {
			if m.Day >= from {
				m.Shares = f.today(f.factorOf(m.Symbol), m.Shares)
				all = append(all, m)
			}
		}
	}
	start := sort.Search(stop, func(i int) bool { return f.days[i] >= from })
	for i := start; i < stop; i++ {
		if m, ok := f.acquisition(i, stop); ok {
			all = append(all, m)
		}
	}
	return all
}
