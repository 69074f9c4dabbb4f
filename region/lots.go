package region

import (
	"slices"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
)

// piece is a tax lot, or a part of one that a wash sale gave another basis. Pieces of an account
// stand in order of acquisition; of one lot, those with an adjusted basis first.
type piece struct {
	Lot      string
	Order    string    // of the purchase; fills of one order are one lot
	Shares   money.Rat // in units of the state
	Basis    money.Dec
	Acquired market.Day
	Start    market.Day // of the holding period
	Seq      int64      // order of acquisition in the property
	Used     bool       // its shares have replaced others
	Unknown  bool       // its basis is missing

	seat       int32
	prev, next int32     // neighbours in the account; −1: none
	isGone     bool      // sold or moved
	isPriced   bool      // each is known
	each       money.Dec // basis a share; see dearest
}

// seatLots is the list of an account's pieces in lotFold.pieces.
type seatLots struct {
	first, last int32 // index + 1; 0: none
	isOpen      bool  // the state's pieces are in the list
	short       []shortSale
	prices      *priceHeap // nil until a sale asks for it
}

// lotFold is what folding lots needs besides.
type lotFold struct {
	pieces  []piece
	fresh   []int32    // acquired within a window and unused, in order of acquisition
	open    []openLoss // parts of losses not replaced yet whose window may still be open, in order of sale
	held    []openLoss // losses of an order that goes on later the same day
	taken   []int32    // scratch: pieces of one sale
	parts   []Part     // room for the parts of sales
	seq     int64
	lastOf  []int32 // for each sale the last fill of its order on that day
	firstOf []int32
	carried []openLoss // open at the stop
	cut     []int32    // sales with parts that wait for orderParts
}

// openLoss is what a purchase can still deny: the shares of a loss part that nothing has replaced.
type openLoss struct {
	Event    string
	Owner    portfolio.OwnerID
	Account  portfolio.AccountID
	Symbol   market.Symbol
	Day      market.Day
	Lot      string
	Order    string
	Start    market.Day
	Acquired market.Day
	Seq      int64
	Shares   money.Rat // in units of the state
	Loss     money.Dec // positive
	Term     Term

	sale, part int32     // in sales; −1: the sale is behind the state
	factor     money.Rat // units of the sale day for one of the state
}

// lots folds with one lot for each purchase and share-for-share replacement of losses.
func (f *fold) lots(stop int) {
	f.openState()
	f.linkOrders()
	f.reserve()
	for i := range stop {
		f.lotStep(i)
	}
	f.lot.carried = slices.Concat(f.lot.open, f.lot.held)
	f.orderParts()
}

func (f *fold) openState() {
	for i := range f.seats {
		s := &f.seats[i]
		s.lots = seatLots{}
		if s.Shares.Sign() < 0 {
			s.lots.short = []shortSale{{sale: -1, shares: s.Shares.Neg()}}
		}
		for k := range f.seats[i].Lots {
			f.lot.seq = max(f.lot.seq, f.seats[i].Lots[k].Seq)
		}
	}
	if f.base == nil {
		return
	}
	f.lot.open = slices.Clone(f.base.Open)
	for i := range f.lot.open {
		f.lot.open[i].sale = -1
	}
}

// linkOrders finds the sales that are fills of one order on one day: they are one sale, so none of
// their lots replaces another of them.
func (f *fold) linkOrders() {
	type key struct {
		order   string
		account portfolio.AccountID
		day     market.Day
	}
	var first map[key]int32
	for i, e := range f.events {
		if e.Kind != Sell || e.Order == "" {
			continue
		}
		if first == nil {
			first = make(map[key]int32)
			f.lot.firstOf, f.lot.lastOf = make([]int32, len(f.events)), make([]int32, len(f.events))
		}
		k := key{e.Order, e.Account, f.days[i]}
		if _, ok := first[k]; !ok {
			first[k] = int32(i)
		}
		f.lot.firstOf[i] = first[k]
		f.lot.lastOf[first[k]] = int32(i)
	}
}

// isLastFill reports whether no later fill of the sale's order follows that day.
func (f *fold) isLastFill(i int) bool {
	return f.lot.lastOf == nil || f.events[i].Order == "" || f.lot.lastOf[f.lot.firstOf[i]] == int32(i)
}

func (f *fold) lotStep(i int) {
	e := f.events[i]
	if e.Shares.IsZero() && e.movesShares() {
		return
	}
	switch e.Kind {
	case Split:
		f.splitBy(i)
	case Buy, Drip:
		at := f.seatOf(e, e.Account, e.AccountType)
		cost, known := f.rules.paid(e)
		f.acquire(i, at, piece{Lot: e.ID, Order: e.Order, Shares: f.inState(e, e.Shares), Basis: cost,
			Acquired: f.days[i], Start: f.days[i], Unknown: !known})
	case Sell:
		f.sellLots(i)
	case Contribute, Transfer:
		f.moveLots(i)
	default:
		f.distributeLots(i)
	}
}

// acquire adds a purchase to an account: it covers what the account oversold, then replaces open
// losses, and what is left is a new lot.
func (f *fold) acquire(i int, at int32, p piece) {
	s := &f.seats[at]
	s.Shares = s.Shares.Add(p.Shares)
	for len(s.lots.short) > 0 && p.Shares.Sign() > 0 {
		f.coverLot(i, s, &p)
	}
	if p.Shares.IsZero() {
		return
	}
	f.lot.seq++
	p.seat, p.Seq = at, f.lot.seq
	for k := 0; k < len(f.lot.open) && !p.Used; k++ {
		o := &f.lot.open[k]
		if o.Shares.IsZero() || !f.canReplace(o, &p, f.days[i]) {
			continue
		}
		if matched := f.fit(o, &p); matched.Less(p.Shares) {
			adjusted := p.carve(matched)
			f.replace(o, &adjusted)
			f.append(at, adjusted)
		} else {
			f.replace(o, &p)
		}
	}
	f.dropClosed(f.days[i])
	index := f.append(at, p)
	if !p.Used {
		f.lot.fresh = append(f.lot.fresh, index)
	}
}

// dropClosed forgets the losses at the head whose window is over or which are replaced.
func (f *fold) dropClosed(day market.Day) {
	k := 0
	for k < len(f.lot.open) && (f.lot.open[k].Shares.IsZero() || f.lot.open[k].Day+f.rules.window < day) {
		k++
	}
	f.lot.open = dropFront(f.lot.open, k)
}

// carve splits shares off a piece, with their part of its basis.
func (p *piece) carve(shares money.Rat) piece {
	c := *p
	c.Shares, c.Basis = shares, p.Basis.Share(shares, p.Shares)
	p.Shares, p.Basis = p.Shares.Sub(shares), p.Basis.Sub(c.Basis)
	return c
}

// append puts a piece at the end of its account's list.
func (f *fold) append(at int32, p piece) int32 {
	s := &f.seats[at]
	index := int32(len(f.lot.pieces))
	p.seat, p.prev, p.next, p.isGone = at, s.lots.last-1, -1, false
	if s.lots.last > 0 {
		f.lot.pieces[s.lots.last-1].next = index
	} else {
		s.lots.first = index + 1
	}
	s.lots.last = index + 1
	f.lot.pieces = append(f.lot.pieces, p)
	f.reprice(index)
	return index
}

// before puts a piece in front of another one of the same account.
func (f *fold) before(next int32, p piece) int32 {
	index := int32(len(f.lot.pieces))
	prev := f.lot.pieces[next].prev
	p.seat, p.prev, p.next, p.isGone = f.lot.pieces[next].seat, prev, next, false
	f.lot.pieces[next].prev = index
	if prev >= 0 {
		f.lot.pieces[prev].next = index
	} else {
		f.seats[p.seat].lots.first = index + 1
	}
	f.lot.pieces = append(f.lot.pieces, p)
	f.reprice(index)
	return index
}

// remove takes a piece out of its account's list.
func (f *fold) remove(index int32) {
	p := &f.lot.pieces[index]
	l := &f.seats[p.seat].lots
	if p.prev >= 0 {
		f.lot.pieces[p.prev].next = p.next
	} else {
		l.first = p.next + 1
	}
	if p.next >= 0 {
		f.lot.pieces[p.next].prev = p.prev
	} else {
		l.last = p.prev + 1
	}
	p.isGone = true
}

// openSeats puts the state's pieces in front of the lists of all accounts. A day of purchases
// alone never needs them.
func (f *fold) openSeats() {
	known := len(f.lot.fresh)
	for at := range f.seats {
		if s := &f.seats[at]; !s.lots.isOpen {
			s.lots.isOpen = true
			f.openSeat(int32(at))
		}
	}
	if known < len(f.lot.fresh) {
		slices.SortStableFunc(f.lot.fresh, f.compareFresh)
	}
}

func (f *fold) openSeat(at int32) {
	later := f.seats[at].lots
	f.seats[at].lots.first, f.seats[at].lots.last = 0, 0
	oldest := f.days[0] - f.rules.window
	for k := range f.seats[at].Lots {
		p := &f.seats[at].Lots[k]
		index := f.append(at, *p)
		if !p.Used && p.Acquired >= oldest {
			f.lot.fresh = append(f.lot.fresh, index)
		}
	}
	l := &f.seats[at].lots
	switch {
	case later.first == 0:
	case l.last == 0:
		l.first, l.last = later.first, later.last
	default:
		f.lot.pieces[l.last-1].next = later.first - 1
		f.lot.pieces[later.first-1].prev = l.last - 1
		l.last = later.last
	}
}

// choose returns the pieces that a sale of so many shares uses up, the named lots first, the last
// one cut to size; fewer where the account holds less.
func (f *fold) choose(i int, at int32, shares money.Rat) (chosen []int32, missing money.Rat) {
	f.lot.taken = f.lot.taken[:0]
	e := f.events[i]
	left := shares
	for _, name := range e.Lots {
		want := money.MinRat(left, f.inState(e, name.Shares))
		left = left.Sub(want.Sub(f.chooseNamed(i, at, name.Lot, want)))
	}
	for left.Sign() > 0 {
		index := f.nextByMethod(at)
		if index < 0 {
			break
		}
		left = f.takePiece(index, left)
	}
	return f.lot.taken, left
}

// takePiece takes up to so many shares of a piece and returns how many are still wanted. The piece
// leaves the list; what a sale leaves of it stays.
func (f *fold) takePiece(index int32, wanted money.Rat) money.Rat {
	p := &f.lot.pieces[index]
	if wanted.Less(p.Shares) {
		cut := p.carve(wanted)
		cut.prev, cut.next, cut.isGone = -1, -1, true
		f.lot.pieces = append(f.lot.pieces, cut)
		f.lot.taken = append(f.lot.taken, int32(len(f.lot.pieces)-1))
		return money.Rat{}
	}
	f.remove(index)
	f.lot.taken = append(f.lot.taken, index)
	return wanted.Sub(p.Shares)
}

// chooseNamed takes shares of a lot, or of the lots of an order, and returns how many it lacked.
func (f *fold) chooseNamed(i int, at int32, name string, wanted money.Rat) money.Rat {
	found := false
	for _, is := range []func(p *piece) bool{
		func(p *piece) bool { return p.Lot == name }, func(p *piece) bool { return p.Order == name },
	} {
		for index := f.seats[at].lots.first - 1; index >= 0 && wanted.Sign() > 0; {
			p := &f.lot.pieces[index]
			next := p.next
			if is(p) {
				found = true
				wanted = f.takePiece(index, wanted)
			}
			index = next
		}
		if found {
			break
		}
	}
	if wanted.Sign() > 0 {
		code := Oversold
		if !found && !f.wasBought(i, at, name) {
			code = UnknownLot
		}
		f.issues = append(f.issues, Issue{f.events[i].ID, code})
	}
	return wanted
}

// wasBought reports whether an earlier event bought a lot of that name for the account.
func (f *fold) wasBought(i int, at int32, name string) bool {
	s := &f.seats[at]
	return slices.ContainsFunc(f.events[:i], func(e *Event) bool {
		into := e.Account == s.Account && (e.Kind == Buy || e.Kind == Drip) || e.ToAccount == s.Account
		return into && e.Symbol == s.Symbol && (e.ID == name || e.Order != "" && e.Order == name)
	})
}

// nextByMethod returns the piece that the lot method sells next, −1 where there is none.
func (f *fold) nextByMethod(at int32) int32 {
	l := &f.seats[at].lots
	switch f.rules.Settings.LotMethod {
	case "hifo":
		return f.dearest(at)
	case "lifo":
		return f.firstOfLot(l.last - 1)
	}
	return l.first - 1
}

// firstOfLot returns the first piece of the lot that a piece belongs to.
func (f *fold) firstOfLot(index int32) int32 {
	for index >= 0 {
		prev := f.lot.pieces[index].prev
		if prev < 0 || f.lot.pieces[prev].Lot != f.lot.pieces[index].Lot {
			break
		}
		index = prev
	}
	return index
}
