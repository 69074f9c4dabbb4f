package region

import (
	"cmp"
	"slices"
	"sort"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
)

// unit is one pool of average cost: all taxable accounts of an owner, or one sheltered account.
type unit struct {
	Owner     portfolio.OwnerID
	Account   portfolio.AccountID // "" for the pool over all taxable accounts
	Sheltered bool
	Shares    money.Rat
	Short     money.Rat // sold beyond what was held, not covered yet
	Cost      money.Dec
	Since     market.Day // tax day of the first purchase since it was empty
	Unknown   bool       // a cost is missing

	moves   []move // timeline: index 0 is before everything
	short   []shortSale
	nextBuy []int32 // for each move the first acquisition at or after it; see buyFrom
}

// move is one change of a unit's shares.
type move struct {
	at        int32 // index of the event; −1 before the first
	day       market.Day
	acquires  bool
	lastEmpty int32     // index of the last move up to here that left nothing
	shares    money.Rat // after it, never below zero
	acquired  money.Rat // sum of all acquisitions up to here
	owed      money.Rat // shares oversold after it
}

// shortSale waits for purchases to cover what a sale had not.
type shortSale struct {
	sale     int32 // index in sales; −1 in a sheltered account
	shares   money.Rat
	proceeds money.Dec
}

// poolFold is what folding pools needs besides.
type poolFold struct {
	order   []int32     // see byName
	joins   []money.Dec // for each event, what denied losses add to the cost with it
	claims  []claim     // scratch of deny
	pending []pending   // joins at or after the stop
}

// pending is a denied loss that joins the cost at a later event.
type pending struct {
	Event  string
	Amount money.Dec
}

// average folds with one pool of average cost for each owner. Share counts don't depend on money,
// so a first pass lays out every pool's timeline; the second can then look ahead to the end of
// each loss window.
func (f *fold) average(stop int) {
	f.timeline()
	f.pool.joins = take(&f.room.joins, len(f.events))
	if f.base != nil {
		for _, p := range f.base.Pending {
			if i := slices.IndexFunc(f.events, func(e *Event) bool { return e.ID == p.Event }); i >= 0 {
				f.pool.joins[i] = f.pool.joins[i].Add(p.Amount)
			}
		}
	}
	f.resetFactors()
	for i := range stop {
		f.averageStep(i)
	}
	for i := stop; i < len(f.events); i++ {
		if amount := f.pool.joins[i]; !amount.IsZero() {
			f.pool.pending = append(f.pool.pending, pending{f.events[i].ID, amount})
		}
	}
}

// resetFactors starts the second pass at the units of the state again.
func (f *fold) resetFactors() {
	for i := range f.factors {
		f.factors[i].by = money.RatInt(1)
	}
}

// timeline finds the shares of every unit after every event.
func (f *fold) timeline() {
	f.startTimelines()
	f.steps = take(&f.room.steps, len(f.events))
	f.reserve()
	for i, e := range f.events {
		st := &f.steps[i]
		st.seat, st.to, st.unit, st.toUnit = -1, -1, -1, -1
		if e.Kind == Split {
			st.ignored = !f.splitBy(i)
		}
		if e.Account != "" {
			st.seat = f.seatOf(e, e.Account, e.AccountType)
			st.unit = f.seats[st.seat].unit
		}
		if e.ToAccount != "" {
			st.to = f.seatOf(e, e.ToAccount, e.ToAccountType)
			st.toUnit = f.seats[st.to].unit
		}
		if e.Shares.IsZero() {
			continue
		}
		st.n = f.inState(e, e.Shares)
		f.shift(i, st)
	}
}

// reserve makes room for the outcomes.
func (f *fold) reserve() {
	sales := 0
	for _, e := range f.events {
		if e.Kind == Sell || e.Kind == Contribute {
			sales++
		}
	}
	f.sales, f.saleAt = make([]SaleOutcome, 0, sales), make([]int32, 0, sales)
	if f.rules.Mechanism == "lots" { // a purchase makes a piece, and a sale or a replacement may cut one
		f.lot.pieces = make([]piece, 0, len(f.events)+sales/2)
		f.lot.parts = make([]Part, 3*sales)
	}
	if f.trace {
		f.after = make([]left, 0, len(f.events))
	}
}

// shift moves the shares of an event on the timelines.
func (f *fold) shift(i int, st *step) {
	e := f.events[i]
	switch e.Kind {
	case Buy, Drip:
		st.move = f.enter(st.unit, i, st.n, true)
	case Sell:
		st.move = f.leave(st.unit, i, st.n)
	case Contribute, Transfer:
		if st.isMoved = st.unit == st.toUnit; st.isMoved {
			return
		}
		if st.unit >= 0 {
			st.move = f.leave(st.unit, i, st.n)
		}
		if st.toUnit >= 0 {
			st.toMove = f.enter(st.toUnit, i, st.n, f.transferAcquires(i, st))
		}
	}
}

// transferAcquires reports whether shares that enter an account in kind count as acquired: those
// that another taxpayer gave up, a sheltered account or its owner, and those from outside that
// were bought within the days of a window.
func (f *fold) transferAcquires(i int, st *step) bool {
	e := f.events[i]
	if e.Kind == Contribute || st.unit >= 0 {
		return st.unit < 0 || !f.units[st.unit].Sheltered || !f.units[st.toUnit].Sheltered
	}
	return f.isFresh(i)
}

// isFresh reports whether shares from outside were bought within the days of a window.
func (f *fold) isFresh(i int) bool {
	from := f.events[i].Acquired
	return from == 0 || from >= f.days[i]-f.rules.window
}

// startTimelines starts the timelines of the state's units.
func (f *fold) startTimelines() {
	for v := range f.units {
		f.startTimeline(&f.units[v])
	}
}

// startTimeline puts a unit's acquisitions before the state, and what it then held, on its timeline.
func (f *fold) startTimeline(u *unit) {
	room := 2
	if f.base != nil {
		room += len(f.base.Acquired)
	}
	if len(f.units) <= 1 { // most households have one pool
		room += len(f.events)
	}
	u.moves = append(make([]move, 0, room), move{at: -1, day: market.NoDay})
	if f.base == nil {
		return
	}
	for i := range f.base.Acquired {
		m := &f.base.Acquired[i]
		if m.isOf(u) {
			last := u.moves[len(u.moves)-1]
			last.day, last.acquired = m.Day, last.acquired.Add(m.Shares)
			u.moves = append(u.moves, last)
		}
	}
	last := u.moves[len(u.moves)-1]
	last.shares, last.owed, last.lastEmpty = u.Shares, u.Short, -1
	if u.Shares.IsZero() {
		last.lastEmpty = int32(len(u.moves))
	}
	u.moves = append(u.moves, last)
	if !u.Short.IsZero() {
		u.short = []shortSale{{sale: -1, shares: u.Short}}
	}
}

// isOf reports whether an acquisition went to a unit.
func (m *Movement) isOf(u *unit) bool {
	if u.Sheltered != m.Sheltered || u.Owner != m.Owner {
		return false
	}
	return !u.Sheltered || u.Account == m.Account
}

// enter puts an inflow on a unit's timeline and returns its move. What covers an oversold sale is
// not there at the end of the day, so it does not count as acquired.
func (f *fold) enter(v int32, i int, n money.Rat, acquires bool) int32 {
	u := &f.units[v]
	last := &u.moves[len(u.moves)-1]
	m := move{at: int32(i), day: f.days[i], acquires: acquires, lastEmpty: last.lastEmpty, acquired: last.acquired}
	if !last.owed.IsZero() {
		covers := money.MinRat(last.owed, n)
		m.owed, n = last.owed.Sub(covers), n.Sub(covers)
	}
	m.shares = last.shares.Add(n)
	if acquires {
		m.acquired = last.acquired.Add(n)
	}
	u.moves = append(u.moves, m)
	return int32(len(u.moves) - 1)
}

// leave puts an outflow on a unit's timeline and returns its move.
func (f *fold) leave(v int32, i int, n money.Rat) int32 {
	u := &f.units[v]
	last := &u.moves[len(u.moves)-1]
	m := move{at: int32(i), day: f.days[i], lastEmpty: last.lastEmpty, acquired: last.acquired, owed: last.owed}
	m.shares = last.shares.Sub(n)
	if m.shares.Sign() <= 0 {
		m.owed = m.owed.Sub(m.shares)
		m.shares = money.Rat{}
		m.lastEmpty = int32(len(u.moves))
	}
	u.moves = append(u.moves, m)
	return int32(len(u.moves) - 1)
}

// byName returns the units in order of owner and account, found at the first loss.
func (f *fold) byName() []int32 {
	if f.pool.order != nil {
		return f.pool.order
	}
	f.pool.order = make([]int32, len(f.units))
	for v := range f.units {
		f.pool.order[v] = int32(v)
	}
	slices.SortFunc(f.pool.order, func(a, b int32) int {
		x, y := &f.units[a], &f.units[b]
		return cmp.Or(cmp.Compare(x.Owner, y.Owner), cmp.Compare(x.Account, y.Account))
	})
	return f.pool.order
}

// buyFrom returns the first acquisition at or after a move, len(moves) where there is none.
func (u *unit) buyFrom(k int32) int32 {
	if u.nextBuy == nil {
		u.nextBuy = make([]int32, len(u.moves)+1)
		next := int32(len(u.moves))
		u.nextBuy[next] = next
		for k := len(u.moves) - 1; k >= 0; k-- {
			if u.moves[k].acquires {
				next = int32(k)
			}
			u.nextBuy[k] = next
		}
	}
	return u.nextBuy[k]
}

// unitOf returns the unit of a seat, made where there is none; −1 in a region with lots.
func (f *fold) unitOf(s *seat) int32 {
	if f.rules.Mechanism == "lots" {
		return -1
	}
	account := s.Account
	if !s.Sheltered {
		account = ""
	}
	for v := range f.units {
		if u := &f.units[v]; u.Owner == s.Owner && u.Account == account && u.Sheltered == s.Sheltered {
			return int32(v)
		}
	}
	u := unit{Owner: s.Owner, Account: account, Sheltered: s.Sheltered, Since: market.NoDay}
	f.startTimeline(&u)
	f.units = append(f.units, u)
	return int32(len(f.units) - 1)
}

// through returns the index of the last move on or before a day; index 0 is before all days.
func (u *unit) through(day market.Day) int32 {
	return int32(sort.Search(len(u.moves), func(k int) bool { return u.moves[k].day > day })) - 1
}

// upTo returns the index of the last move up to an event.
func (u *unit) upTo(event int) int32 {
	return int32(sort.Search(len(u.moves), func(k int) bool { return u.moves[k].at > int32(event) })) - 1
}

// averageStep applies the money of one event.
func (f *fold) averageStep(i int) {
	e, st := f.events[i], &f.steps[i]
	if e.Shares.IsZero() && e.movesShares() {
		return
	}
	switch e.Kind {
	case Split:
		if !st.ignored {
			at := f.factorOf(e.Symbol)
			f.factors[at].by = f.factors[at].by.Mul(e.Ratio)
		}
	case Buy, Drip:
		cost, known := f.rules.paid(e)
		f.seats[st.seat].Shares = f.seats[st.seat].Shares.Add(st.n)
		f.takeIn(i, st.unit, st.move, cost, known)
	case Sell:
		f.seats[st.seat].Shares = f.seats[st.seat].Shares.Sub(st.n)
		f.dispose(i)
	case Contribute, Transfer:
		f.moveInKind(i)
	default:
		f.distribute(i)
	}
	f.remember(i)
}

// remember notes for After the pool that an event touched.
func (f *fold) remember(i int) {
	if st := &f.steps[i]; f.trace && st.unit >= 0 {
		u := &f.units[st.unit]
		f.after = append(f.after, left{int32(i), st.unit, f.today(0, u.Shares), u.Cost})
	}
}

// takeIn adds shares and their cost to a unit; oversold sales take theirs first.
func (f *fold) takeIn(i int, v, moved int32, cost money.Dec, known bool) {
	u := &f.units[v]
	m := &u.moves[moved]
	n := f.steps[i].n
	for kept := m.shares.Sub(u.Shares); len(u.short) > 0 && kept.Less(n); {
		covers := money.MinRat(n.Sub(kept), u.short[0].shares)
		part := cost.Share(covers, n)
		f.cover(i, u, covers, part)
		n, cost = n.Sub(covers), cost.Sub(part)
	}
	if u.Shares.IsZero() && !m.shares.IsZero() {
		u.Since = f.days[i]
	}
	u.Shares, u.Short = m.shares, m.owed
	u.Cost = u.Cost.Add(cost).Add(f.pool.joins[i])
	u.Unknown = u.Unknown || !known
}

// cover gives the first waiting sale of a unit its shares; the sale keeps its own day. What a transfer
// lacked has no sale: the cost of its shares leaves the unit now.
func (f *fold) cover(i int, u *unit, shares money.Rat, cost money.Dec) {
	w := &u.short[0]
	if w.sale < 0 && !u.Sheltered {
		f.addFlow(i, cost, money.Zero)
	}
	if w.sale >= 0 {
		s := &f.sales[w.sale]
		proceeds := w.proceeds.Share(shares, w.shares)
		gain := proceeds.Sub(cost)
		w.proceeds = w.proceeds.Sub(proceeds)
		s.Proceeds, s.Cost = s.Proceeds.Add(proceeds), s.Cost.Add(cost)
		s.Gross, s.Gain = s.Gross.Add(gain), s.Gain.Add(gain)
		s.Oversold = s.Oversold.Sub(w.coveredOf(s, shares))
		f.year(s.Owner, s.Day).add(gain, "")
	}
	if w.shares = w.shares.Sub(shares); w.shares.IsZero() {
		f.isCovered(w.sale, i)
		u.short = u.short[1:]
	}
}

// coveredOf returns how many of a sale's oversold shares a part of those that wait is. It is in the
// units of the sale's day, whatever was split since.
func (w *shortSale) coveredOf(s *SaleOutcome, shares money.Rat) money.Rat {
	return s.Oversold.Mul(shares).Div(w.shares)
}

// isCovered notes the event that covered the last oversold share of a sale.
func (f *fold) isCovered(sale int32, i int) {
	if sale >= 0 {
		f.covered = append(f.covered, coveredSale{sale, int32(i)})
	}
}

// give removes shares and their average cost from a unit and returns both; less than asked for
// where it holds less.
func (f *fold) give(v, moved int32) (shares money.Rat, cost money.Dec) {
	u := &f.units[v]
	m := &u.moves[moved]
	shares = u.Shares.Sub(m.shares)
	if !shares.IsZero() {
		cost = u.Cost.Share(shares, u.Shares)
	}
	u.Shares, u.Short, u.Cost = m.shares, m.owed, u.Cost.Sub(cost)
	return shares, cost
}

// dispose sells the shares of an event out of its unit.
func (f *fold) dispose(i int) {
	e, st := f.events[i], &f.steps[i]
	proceeds, known := f.rules.received(e)
	v := st.unit
	unknown := !known || f.units[v].Unknown
	shares, cost := f.give(v, st.move)
	u := &f.units[v]
	missing := st.n.Sub(shares)
	if !missing.IsZero() {
		f.issues = append(f.issues, Issue{e.ID, Oversold})
	}
	if u.Sheltered {
		if !missing.IsZero() {
			u.short = append(u.short, shortSale{sale: -1, shares: missing})
		}
		return
	}
	s := SaleOutcome{Event: e.ID, Kind: e.Kind, Owner: e.Owner, Account: e.Account, Symbol: e.Symbol, Property: f.name,
		Day: f.days[i], Until: f.days[i], Shares: e.Shares, RateUnknown: unknown, Proceeds: proceeds, Cost: cost}
	if !missing.IsZero() {
		s.Oversold = f.today(f.seats[st.seat].factor, missing)
		s.Proceeds = proceeds.Share(shares, st.n)
		u.short = append(u.short, shortSale{int32(len(f.sales)), missing, proceeds.Sub(s.Proceeds)})
	}
	s.Gross = s.Proceeds.Sub(cost)
	switch {
	case s.Gross.Sign() >= 0:
	case e.Kind == Sell:
		s.Until = s.Day + f.rules.window
		f.deny(i, &s, shares)
	case f.rules.ContributionLoss == "nil":
		s.Denied, s.Lost, s.DeniedShares = s.Gross.Neg(), s.Gross.Neg(), s.Shares
	}
	s.Gain = s.Gross.Add(s.Denied)
	f.year(s.Owner, s.Day).addSale(&s)
	if u.Shares.IsZero() {
		u.Unknown = false
	}
	f.addSale(i, s)
}

// moveInKind contributes shares to a sheltered account, or moves them with their cost.
func (f *fold) moveInKind(i int) {
	e, st := f.events[i], &f.steps[i]
	if st.seat >= 0 {
		f.seats[st.seat].Shares = f.seats[st.seat].Shares.Sub(st.n)
	}
	if st.to >= 0 {
		f.seats[st.to].Shares = f.seats[st.to].Shares.Add(st.n)
	}
	if st.isMoved {
		return
	}
	cost, known := f.rules.paid(e)
	switch {
	case st.unit < 0:
		known = known && !e.Amount.IsZero()
	case st.toUnit >= 0 && !f.units[st.unit].Sheltered: // a contribution, by whatever name
		f.dispose(i)
	default:
		moved := f.giveInKind(i)
		if e.Amount.IsZero() {
			cost = moved
		}
	}
	if st.toUnit >= 0 {
		if !f.units[st.toUnit].Sheltered {
			f.addFlow(i, money.Zero, cost)
		}
		f.takeIn(i, st.toUnit, st.toMove, cost, known)
		if from := e.Acquired; st.unit < 0 && from != 0 && f.units[st.toUnit].Since == f.days[i] {
			f.units[st.toUnit].Since = from
		}
	}
}

// giveInKind removes the shares of a transfer from their unit and returns their cost. Shares that are
// not there wait for purchases, whose cost then leaves as well.
func (f *fold) giveInKind(i int) money.Dec {
	st := &f.steps[i]
	shares, cost := f.give(st.unit, st.move)
	u := &f.units[st.unit]
	if !u.Sheltered {
		f.addFlow(i, cost, money.Zero)
	}
	if missing := st.n.Sub(shares); !missing.IsZero() {
		f.issues = append(f.issues, Issue{f.events[i].ID, Oversold})
		u.short = append(u.short, shortSale{sale: -1, shares: missing})
	}
	return cost
}

// distribute applies a distribution that changes cost, or is a gain, without shares.
func (f *fold) distribute(i int) {
	e, st := f.events[i], &f.steps[i]
	if st.unit < 0 || f.units[st.unit].Sheltered {
		return
	}
	u := &f.units[st.unit]
	held := f.today(f.seats[st.seat].factor, u.Shares)
	amount := f.rules.distributed(e, held)
	switch e.Kind {
	case ROC:
		f.addFlow(i, amount, money.Zero)
		u.Cost = u.Cost.Sub(amount)
		if u.Cost.Sign() < 0 {
			f.year(e.Owner, f.days[i]).add(u.Cost.Neg(), "")
			u.Cost = money.Zero
		}
	case RICG:
		u.Cost = u.Cost.Add(amount)
		f.year(e.Owner, f.days[i]).add(amount, "")
	case RIDiv:
		f.addFlow(i, money.Zero, amount)
		u.Cost = u.Cost.Add(amount)
	case CGDiv:
		f.addFlow(i, amount, money.Zero)
		f.year(e.Owner, f.days[i]).add(amount, "")
	}
}
