package region

import (
	"cmp"
	"slices"
	"sort"

	"daybreak/market"
	"daybreak/money"
)

// sellLots sells the shares of an event, or contributes them: it chooses lots, works out each
// part's gain, and lets purchases of the window replace the parts at a loss.
func (f *fold) sellLots(i int) {
	e := f.events[i]
	f.openSeats()
	at := f.seatOf(e, e.Account, e.AccountType)
	f.seats[at].lots.isOpen = true
	n := f.inState(e, e.Shares)
	f.seats[at].Shares = f.seats[at].Shares.Sub(n)
	taken, missing := f.choose(i, at, n)
	if missing.Sign() > 0 {
		f.noteMissing(e.ID)
	}
	if f.seats[at].Sheltered {
		if missing.Sign() > 0 {
			f.seats[at].lots.short = append(f.seats[at].lots.short, shortSale{sale: -1, shares: missing})
		}
		return
	}
	s := f.settle(i, at, n, taken)
	if missing.Sign() > 0 {
		f.seats[at].lots.short = append(f.seats[at].lots.short, shortSale{int32(len(f.sales)), missing, s.proceedsLeft})
		s.Oversold = f.today(f.seats[at].factor, missing)
	}
	f.addSale(i, s.SaleOutcome)
	f.matchLosses(i, taken)
}

func (f *fold) noteMissing(event string) {
	if k := len(f.issues); k == 0 || f.issues[k-1].Event != event {
		f.issues = append(f.issues, Issue{event, Oversold})
	}
}

type settledSale struct {
	SaleOutcome
	proceedsLeft money.Dec // of shares that were not there
}

// settle works out the parts of a sale and books them as if nothing were denied.
func (f *fold) settle(i int, at int32, n money.Rat, taken []int32) settledSale {
	e := f.events[i]
	proceeds, known := f.rules.received(e)
	by := f.factors[f.seats[at].factor].by
	s := settledSale{SaleOutcome: SaleOutcome{Event: e.ID, Kind: e.Kind, Owner: e.Owner, Account: e.Account, Symbol: e.Symbol,
		Property: f.name, Day: f.days[i], Until: f.days[i], Shares: e.Shares, RateUnknown: !known}}
	s.Parts = take(&f.lot.parts, len(taken)+1)[:0]
	for _, index := range taken {
		p := &f.lot.pieces[index]
		part := Part{Lot: p.Lot, Shares: p.Shares.Mul(by), Cost: p.Basis, Acquired: p.Acquired, Start: p.Start}
		part.Proceeds = proceeds.Share(p.Shares, n)
		proceeds, n = proceeds.Sub(part.Proceeds), n.Sub(p.Shares)
		part.Term = f.rules.term(p.Start, s.Day)
		part.Gross = part.Proceeds.Sub(part.Cost)
		part.Gain = part.Gross
		s.RateUnknown = s.RateUnknown || p.Unknown
		s.Proceeds, s.Cost, s.Gross = s.Proceeds.Add(part.Proceeds), s.Cost.Add(part.Cost), s.Gross.Add(part.Gross)
		y := f.year(s.Owner, s.Day)
		y.add(part.Gain, part.Term)
		if part.Gross.Sign() < 0 && e.Kind != Sell && f.rules.ContributionLoss == "nil" {
			part.Denied, part.Lost, part.Gain = part.Gross.Neg(), part.Gross.Neg(), money.Zero
			y.deny(part.Denied, part.Term, true)
			s.Denied, s.Lost = s.Denied.Add(part.Denied), s.Lost.Add(part.Lost)
			s.DeniedShares = s.DeniedShares.Add(part.Shares)
		}
		s.Parts = append(s.Parts, part)
	}
	s.proceedsLeft = proceeds
	s.Gain = s.Gross.Add(s.Denied)
	return s
}

// matchLosses lets fresh lots replace the loss parts of the sale just made, in order of original
// acquisition, and leaves the rest open. Fills of one order wait for the last of the day.
func (f *fold) matchLosses(i int, taken []int32) {
	e := f.events[i]
	sale := int32(len(f.sales) - 1)
	if e.Kind == Sell {
		f.openLosses(sale, taken)
	}
	if !f.isLastFill(i) {
		return
	}
	waiting := f.lot.held
	f.lot.held = f.lot.held[:0]
	if len(waiting) > 1 {
		slices.SortStableFunc(waiting, func(a, b openLoss) int { return cmp.Or(cmp.Compare(a.sale, b.sale), cmp.Compare(a.Seq, b.Seq)) })
	}
	f.dropStale(f.days[i])
	for k := range waiting {
		f.matchFresh(&waiting[k])
		if !waiting[k].Shares.IsZero() {
			f.sales[waiting[k].sale].Until = f.days[i] + f.rules.window
			f.lot.open = append(f.lot.open, waiting[k])
		}
	}
}

// smallestLoss is the loss from which shares are replaced. A basis that took over a denied loss is
// rounded at the twelfth place, so a sale that breaks even may seem to lose a few units of that.
var smallestLoss = money.MustParse("-0.000000001")

// openLosses notes the parts of a sale at a loss.
func (f *fold) openLosses(sale int32, taken []int32) {
	s := &f.sales[sale]
	by := f.factors[f.factorOf(s.Symbol)].by
	for k := range s.Parts {
		part := &s.Parts[k]
		if part.Gross.Cmp(smallestLoss) > 0 {
			continue
		}
		p := &f.lot.pieces[taken[k]]
		f.lot.held = append(f.lot.held, openLoss{Event: s.Event, Owner: s.Owner, Account: s.Account, Symbol: s.Symbol,
			Day: s.Day, Lot: p.Lot, Order: p.Order, Start: p.Start, Acquired: p.Acquired, Seq: p.Seq,
			Shares: p.Shares, Loss: part.Gross.Neg(), Term: part.Term, sale: sale, part: int32(k), factor: by})
	}
}

// dropStale forgets fresh lots from before the window, and those used up.
func (f *fold) dropStale(day market.Day) {
	k := 0
	for k < len(f.lot.fresh) {
		p := &f.lot.pieces[f.lot.fresh[k]]
		if !p.Used && !p.isGone && p.Acquired >= day-f.rules.window {
			break
		}
		k++
	}
	f.lot.fresh = dropFront(f.lot.fresh, k)
}

// dropFront drops k values: by moving the rest to the front once it is the smaller part, so that a
// queue neither grows without end nor is moved at every step.
func dropFront[T any](queue []T, k int) []T {
	if rest := len(queue) - k; rest <= k {
		copy(queue, queue[k:])
		return queue[:rest]
	}
	return queue
}

// matchFresh replaces an open loss by lots bought before it, earliest first.
func (f *fold) matchFresh(o *openLoss) {
	for k := 0; k < len(f.lot.fresh) && !o.Shares.IsZero(); k++ {
		index := f.lot.fresh[k]
		p := &f.lot.pieces[index]
		if p.Used || p.isGone || p.Acquired < o.Day-f.rules.window || !f.canReplace(o, p, o.Day) {
			continue
		}
		matched := f.fit(o, p)
		if matched.Less(p.Shares) {
			adjusted := p.carve(matched)
			index = f.before(index, adjusted)
		}
		f.replace(o, &f.lot.pieces[index])
		f.reprice(index)
	}
}

// canReplace reports whether a lot counts against a loss: bought in its window, by the same circle,
// and not of the lot that was sold.
func (f *fold) canReplace(o *openLoss, p *piece, day market.Day) bool {
	if o.Day+f.rules.window < day {
		return false
	}
	if !f.rules.Settings.SameLotReplaces && sameLot(o, p, &f.seats[p.seat]) {
		return false
	}
	owner := f.seats[p.seat].Owner
	return owner == o.Owner || f.scope.isMember(f.rules, o.Owner, owner, p.Acquired)
}

// sameLot reports whether a piece is of the lot that was sold: one order's purchase in one account.
func sameLot(o *openLoss, p *piece, s *seat) bool {
	if p.Lot == o.Lot {
		return true
	}
	return o.Order != "" && p.Order == o.Order && s.Account == o.Account
}

// fit returns how many shares of a piece replace the rest of a loss: share for share, counted in
// today's units where the symbols differ.
func (f *fold) fit(o *openLoss, p *piece) money.Rat {
	s := &f.seats[p.seat]
	if s.Symbol == o.Symbol {
		return money.MinRat(o.Shares, p.Shares)
	}
	wanted := f.today(f.factorOf(o.Symbol), o.Shares).Div(f.factors[s.factor].by)
	return money.MinRat(wanted, p.Shares)
}

// replace denies the part of a loss that the whole of a piece replaces: the piece takes it over in
// basis and holding period, or in a sheltered account it is gone.
func (f *fold) replace(o *openLoss, p *piece) {
	s := &f.seats[p.seat]
	shares := p.Shares
	if s.Symbol != o.Symbol {
		shares = f.today(s.factor, shares).Div(f.factors[f.factorOf(o.Symbol)].by)
	}
	denied := o.Loss.Share(shares, o.Shares)
	f.deniedPart(o, shares, denied, p.Lot, s.Sheltered)
	f.year(o.Owner, o.Day).deny(denied, o.Term, s.Sheltered)
	o.Shares, o.Loss = o.Shares.Sub(shares), o.Loss.Sub(denied)
	p.Used = true
	if s.Sheltered {
		return
	}
	p.Basis, p.isPriced = p.Basis.Add(denied), false
	switch f.rules.Settings.Tacking {
	case "original_date":
		p.Start = o.Start
	default:
		p.Start -= o.Day - o.Start
	}
}

// deniedPart splits the replaced shares off the part of the sale that they belong to.
func (f *fold) deniedPart(o *openLoss, shares money.Rat, denied money.Dec, lot string, isLost bool) {
	if o.sale < 0 {
		return
	}
	s := &f.sales[o.sale]
	s.Denied, s.Gain = s.Denied.Add(denied), s.Gain.Add(denied)
	s.DeniedShares = s.DeniedShares.Add(shares.Mul(o.factor))
	part := &s.Parts[o.part]
	cut := *part
	if !shares.Equal(o.Shares) {
		cut.order = 2*o.part + 1
		cut.Shares = shares.Mul(o.factor)
		cut.Cost = part.Cost.Share(shares, o.Shares)
		cut.Gross = denied.Neg()
		cut.Proceeds = cut.Cost.Sub(denied)
		part.Shares, part.Cost = part.Shares.Sub(cut.Shares), part.Cost.Sub(cut.Cost)
		part.Proceeds, part.Gross = part.Proceeds.Sub(cut.Proceeds), part.Gross.Sub(cut.Gross)
		part.Gain = part.Gross
	}
	cut.Denied, cut.Gain, cut.ReplacedBy = denied, money.Zero, lot
	if isLost {
		cut.Lost = denied
		s.Lost = s.Lost.Add(denied)
	}
	if shares.Equal(o.Shares) {
		*part = cut
		return
	}
	s.Parts = append(s.Parts, cut)
	f.lot.cut = append(f.lot.cut, o.sale)
}

// orderParts puts what was cut off a part for a replacement in front of the rest of it, the earliest
// replacement first: the order in which a return lists them.
func (f *fold) orderParts() {
	slices.Sort(f.lot.cut)
	for _, i := range slices.Compact(f.lot.cut) {
		parts := f.sales[i].Parts
		for k := range parts {
			if parts[k].order == 0 {
				parts[k].order = 2*int32(k) + 2
			}
		}
		slices.SortStableFunc(parts, func(a, b Part) int { return cmp.Compare(a.order, b.order) })
		for k := range parts {
			parts[k].order = 0
		}
	}
}

// coverLot lets a purchase give an oversold sale its shares; the sale keeps its own day.
func (f *fold) coverLot(i int, s *seat, p *piece) {
	w := &s.lots.short[0]
	covers := p.carve(money.MinRat(w.shares, p.Shares))
	if w.sale >= 0 {
		sale := &f.sales[w.sale]
		part := Part{Lot: p.Lot, Shares: w.coveredOf(sale, covers.Shares), Cost: covers.Basis, Acquired: p.Acquired, Start: p.Start}
		part.Proceeds = w.proceeds.Share(covers.Shares, w.shares)
		w.proceeds = w.proceeds.Sub(part.Proceeds)
		part.Gross = part.Proceeds.Sub(part.Cost)
		part.Gain, part.Term = part.Gross, f.rules.term(f.days[i], f.days[i])
		sale.Parts = append(sale.Parts, part)
		sale.Proceeds, sale.Cost = sale.Proceeds.Add(part.Proceeds), sale.Cost.Add(part.Cost)
		sale.Gross, sale.Gain = sale.Gross.Add(part.Gross), sale.Gain.Add(part.Gain)
		sale.Oversold = sale.Oversold.Sub(part.Shares)
		f.year(sale.Owner, sale.Day).add(part.Gain, part.Term)
	} else if !s.Sheltered {
		f.addFlow(i, covers.Basis, money.Zero) // it left in kind before
	}
	if w.shares = w.shares.Sub(covers.Shares); w.shares.IsZero() {
		f.isCovered(w.sale, i)
		s.lots.short = s.lots.short[1:]
	}
}

// moveLots contributes lots to a sheltered account, or moves them with their basis and dates.
func (f *fold) moveLots(i int) {
	e := f.events[i]
	var to int32 = -1
	if e.ToAccount != "" {
		to = f.seatOf(e, e.ToAccount, e.ToAccountType)
	}
	n := f.inState(e, e.Shares)
	cost, known := f.rules.paid(e)
	p := piece{Lot: e.ID, Order: e.Order, Shares: n, Basis: cost, Acquired: f.days[i], Start: f.days[i], Unknown: !known}
	if e.Account == "" {
		f.fromOutside(i, to, p)
		return
	}
	from := f.seatOf(e, e.Account, e.AccountType)
	if to >= 0 && f.seats[to].Sheltered != f.seats[from].Sheltered {
		f.sellLots(i)
		if !f.seats[to].Sheltered {
			f.addFlow(i, money.Zero, p.Basis)
		}
		f.acquire(i, to, p)
		return
	}
	if from == to {
		return
	}
	f.openSeats()
	f.seats[from].Shares = f.seats[from].Shares.Sub(n)
	taken, missing := f.choose(i, from, n)
	if missing.Sign() > 0 {
		f.noteMissing(e.ID)
		f.seats[from].lots.short = append(f.seats[from].lots.short, shortSale{sale: -1, shares: missing})
	}
	for _, index := range taken {
		if to >= 0 {
			f.seats[to].Shares = f.seats[to].Shares.Add(f.lot.pieces[index].Shares)
			f.insert(to, f.lot.pieces[index])
		} else if !f.seats[from].Sheltered {
			f.addFlow(i, f.lot.pieces[index].Basis, money.Zero)
		}
	}
}

// fromOutside adds a lot that was bought elsewhere. It replaces losses only where it was bought
// within the days of a window.
func (f *fold) fromOutside(i int, to int32, p piece) {
	e := f.events[i]
	p.Unknown = p.Unknown || e.Amount.IsZero()
	if !f.seats[to].Sheltered {
		f.addFlow(i, money.Zero, p.Basis)
	}
	if e.Acquired != 0 {
		p.Acquired, p.Start = e.Acquired, e.Acquired
	}
	if f.isFresh(i) {
		f.acquire(i, to, p)
		return
	}
	f.openSeats()
	f.seats[to].lots.isOpen = true
	f.seats[to].Shares = f.seats[to].Shares.Add(p.Shares)
	f.lot.seq++
	p.Seq, p.Used = f.lot.seq, true
	f.insert(to, p)
}

// insert puts a piece into an account's list, behind those acquired up to its day.
func (f *fold) insert(at int32, p piece) {
	next := int32(-1)
	for index := f.seats[at].lots.last - 1; index >= 0; index = f.lot.pieces[index].prev {
		q := &f.lot.pieces[index]
		if q.Acquired < p.Acquired || q.Acquired == p.Acquired && q.Seq <= p.Seq {
			break
		}
		next = index
	}
	var index int32
	if next < 0 {
		index = f.append(at, p)
	} else {
		index = f.before(next, p)
	}
	if !p.Used {
		k := sort.Search(len(f.lot.fresh), func(k int) bool { return f.compareFresh(f.lot.fresh[k], index) > 0 })
		f.lot.fresh = slices.Insert(f.lot.fresh, k, index)
	}
}

// compareFresh orders pieces by acquisition; parts of one lot in several accounts, by account.
func (f *fold) compareFresh(a, b int32) int {
	p, q := &f.lot.pieces[a], &f.lot.pieces[b]
	return cmp.Or(cmp.Compare(p.Seq, q.Seq), cmp.Compare(f.seats[p.seat].Account, f.seats[q.seat].Account))
}

// distributeLots applies a distribution that changes basis, or is a gain, without shares, to the
// lots of an account by their shares.
func (f *fold) distributeLots(i int) {
	e := f.events[i]
	if e.Account == "" {
		return
	}
	f.openSeats()
	at := f.seatOf(e, e.Account, e.AccountType)
	s := &f.seats[at]
	s.lots.isOpen = true
	if s.Sheltered {
		return
	}
	held := s.Shares
	amount := f.rules.distributed(e, f.today(s.factor, held))
	gain := func(amount money.Dec, term Term) { f.year(e.Owner, f.days[i]).add(amount, term) }
	if e.Kind == CGDiv || e.Kind == RICG {
		gain(amount, Long)
	}
	if e.Kind == CGDiv {
		f.addFlow(i, amount, money.Zero)
		return
	}
	given := amount
	s.lots.prices = nil
	for index := s.lots.first - 1; index >= 0; index = f.lot.pieces[index].next {
		p := &f.lot.pieces[index]
		part := amount.Share(p.Shares, held)
		amount, held, p.isPriced = amount.Sub(part), held.Sub(p.Shares), false
		if e.Kind != ROC {
			p.Basis = p.Basis.Add(part)
		} else if p.Basis = p.Basis.Sub(part); p.Basis.Sign() < 0 {
			gain(p.Basis.Neg(), f.rules.term(p.Start, f.days[i]))
			p.Basis = money.Zero
		}
	}
	switch joined := given.Sub(amount); {
	case e.Kind == RIDiv:
		f.addFlow(i, money.Zero, joined)
	case e.Kind == RICG:
		f.addFlow(i, amount, money.Zero) // a gain without shares to join
	case amount.Sign() > 0: // on shares that are no longer held
		gain(amount, Short)
		f.addFlow(i, given, money.Zero)
	default:
		f.addFlow(i, joined, money.Zero)
	}
}
