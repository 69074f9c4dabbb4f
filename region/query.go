package region

import (
	"cmp"
	"slices"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
)

// Holdings returns what an account holds after all events, settled or not: its lots in the order
// in which they would be sold first in, first out, or its parts of the owner's pools; by symbol.
func (b *Book) Holdings(a portfolio.AccountID) []Holding {
	var all []Holding
	for _, f := range b.ready() {
		for i := range f.seats {
			if f.seats[i].Account == a {
				all = f.appendHoldings(all, int32(i))
			}
		}
	}
	slices.SortStableFunc(all, func(x, y Holding) int { return cmp.Compare(x.Symbol, y.Symbol) })
	return all
}

func (f *fold) appendHoldings(all []Holding, at int32) []Holding {
	s := &f.seats[at]
	shares := f.today(s.factor, s.Shares)
	if s.unit >= 0 {
		if shares.IsZero() {
			return all
		}
		u := &f.units[s.unit]
		h := Holding{Symbol: s.Symbol, Shares: shares, Acquired: market.NoDay, Start: market.NoDay}
		if !u.Shares.IsZero() {
			h.Acquired, h.Start = u.Since, u.Since
			h.Cost = u.Cost.Share(s.Shares, u.Shares)
			h.CostKnown = !u.Unknown && s.Shares.Sign() > 0
		}
		return append(all, h)
	}
	for _, p := range f.lotsOf(at) {
		all = append(all, Holding{Lot: p.Lot, Symbol: s.Symbol, Shares: p.Shares, Cost: p.Basis, CostKnown: !p.Unknown,
			Acquired: p.Acquired, Start: p.Start, IsReplaced: p.Used})
	}
	if shares.Sign() < 0 {
		all = append(all, Holding{Symbol: s.Symbol, Shares: shares, Acquired: market.NoDay, Start: market.NoDay})
	}
	return all
}

// Pool is one pool of average cost.
type Pool struct {
	Owner     portfolio.OwnerID
	Account   portfolio.AccountID // "" for the pool over all taxable accounts
	Property  string
	Sheltered bool
	Shares    money.Rat
	Cost      money.Dec
}

// Pools returns all pools, by property, owner and account, empty ones of this fold included.
func (b *Book) Pools() []Pool {
	var all []Pool
	for _, f := range b.ready() {
		first := len(all)
		for i := range f.units {
			u := &f.units[i]
			all = append(all, Pool{u.Owner, u.Account, f.name, u.Sheltered, f.today(0, u.Shares), u.Cost})
		}
		slices.SortFunc(all[first:], func(x, y Pool) int {
			return cmp.Or(cmp.Compare(x.Owner, y.Owner), cmp.Compare(x.Account, y.Account))
		})
	}
	return all
}

// Seat names an account that has held a symbol.
type Seat struct {
	Owner     portfolio.OwnerID
	Account   portfolio.AccountID
	Symbol    market.Symbol
	Sheltered bool
}

// Seats returns each account and symbol of the book, by property, account, symbol and owner.
func (b *Book) Seats() []Seat {
	var all []Seat
	for _, f := range b.ready() {
		first := len(all)
		for i := range f.seats {
			s := &f.seats[i]
			all = append(all, Seat{s.Owner, s.Account, s.Symbol, s.Sheltered})
		}
		slices.SortFunc(all[first:], func(x, y Seat) int {
			return cmp.Or(cmp.Compare(x.Account, y.Account), cmp.Compare(x.Symbol, y.Symbol), cmp.Compare(x.Owner, y.Owner))
		})
	}
	return all
}

// Sales returns the outcomes of all sales that the book still knows one by one, by property, in the
// order of the fold. A book from a checkpoint knows those after its states.
func (b *Book) Sales() []SaleOutcome {
	var all []SaleOutcome
	for _, f := range b.folds {
		all = append(all, f.sales...)
	}
	return all
}

// Issues returns the facts that did not fit what was held, by property, in the order of the fold.
func (b *Book) Issues() []Issue {
	var all []Issue
	for _, f := range b.folds {
		all = append(all, f.issues...)
	}
	return all
}

// Purchases returns the acquisitions of a property by all owners with tax days from from to to,
// both included, sheltered accounts included; by day, then order of the fold. A book from a
// checkpoint knows those within WindowDays of the checkpoint's day and later.
func (b *Book) Purchases(property string, from, to market.Day) []Movement {
	f := b.fold(property)
	if f == nil {
		return nil
	}
	all := f.acquisitions(len(f.events), from)
	return slices.DeleteFunc(all, func(m Movement) bool { return m.Day > to })
}

// LossSales returns the sales of a property at a loss, denied or not, by the same days and order as
// Purchases. A book from a checkpoint knows those whose window was open then, and later ones.
func (b *Book) LossSales(property string, from, to market.Day) []Movement {
	f := b.fold(property)
	if f == nil {
		return nil
	}
	var all []Movement
	for i := range f.sales {
		s := &f.sales[i]
		loss := s.grossLoss()
		if s.Day < from || s.Day > to || loss.IsZero() {
			continue
		}
		all = append(all, Movement{Event: s.Event, Owner: s.Owner, Account: s.Account, Symbol: s.Symbol, Day: s.Day, Until: s.Until,
			Shares: s.Shares.Mul(f.since(int(f.saleAt[i]), len(f.events))), Amount: loss})
	}
	return all
}

// grossLoss returns the loss before any denial, of the parts at a loss where there are parts.
func (s *SaleOutcome) grossLoss() money.Dec {
	if len(s.Parts) == 0 {
		return money.Max(s.Gross.Neg(), money.Zero)
	}
	var sum money.Dec
	for i := range s.Parts {
		if g := s.Parts[i].Gross; g.Sign() < 0 {
			sum = sum.Sub(g)
		}
	}
	return sum
}

// fold returns the fold of a property, nil where there is none.
func (b *Book) fold(property string) *fold {
	i, ok := slices.BinarySearchFunc(b.folds, property, func(f *fold, p string) int { return cmp.Compare(f.name, p) })
	if !ok {
		return nil
	}
	return b.folds[i].ready()
}

// acquisition returns event i as a movement where it is one, in units after the splits before stop.
func (f *fold) acquisition(i, stop int) (Movement, bool) {
	e := f.events[i]
	account, accountType := e.Account, e.AccountType
	switch e.Kind {
	case Buy, Drip:
	case Contribute, Transfer:
		if !f.entersByTransfer(i) {
			return Movement{}, false
		}
		account, accountType = e.ToAccount, e.ToAccountType
	default:
		return Movement{}, false
	}
	cost, _ := f.rules.paid(e)
	at := f.findSeat(e, account, func(s *seat) bool { return s.Account == account && s.Symbol == e.Symbol && s.Owner == e.Owner })
	isSheltered := f.rules.Shelters(accountType)
	if at >= 0 {
		isSheltered = f.seats[at].Sheltered
	}
	return Movement{Event: e.ID, Owner: e.Owner, Account: account, Symbol: e.Symbol, Day: f.days[i],
		Sheltered: isSheltered, Shares: f.counted(i).Mul(f.since(i, stop)), Amount: cost}, true
}

// entersByTransfer reports whether a transfer or contribution counts as acquired.
func (f *fold) entersByTransfer(i int) bool {
	e := f.events[i]
	if e.ToAccount == "" {
		return false
	}
	if e.Account == "" {
		return f.isFresh(i)
	}
	return f.rules.Shelters(e.AccountType) != f.rules.Shelters(e.ToAccountType)
}

// counted returns the shares that event i acquired, those that covered an oversold pool left out.
func (f *fold) counted(i int) money.Rat {
	e := f.events[i]
	if len(f.steps) == 0 || f.match.of != nil {
		return e.Shares
	}
	st := &f.steps[i]
	v, k := st.unit, st.move
	if e.Kind == Contribute || e.Kind == Transfer {
		v, k = st.toUnit, st.toMove
	}
	if v < 0 || k < 1 || f.units[v].moves[k].owed.IsZero() && f.units[v].moves[k-1].owed.IsZero() {
		return e.Shares
	}
	m := f.units[v].moves
	return e.Shares.Mul(m[k].acquired.Sub(m[k-1].acquired).Div(st.n))
}

// since returns the product of the splits before stop that shares of event i have been through.
func (f *fold) since(i, stop int) money.Rat {
	by := money.RatInt(1)
	e := f.events[i]
	at := f.factorOf(e.Symbol)
	for k := range f.splits {
		s := &f.splits[k]
		isTradedAfter := !f.trace && (s.Day > e.Day || s.Day == e.Day && s.Seq > e.Seq)
		if (int(s.at) > i || isTradedAfter) && int(s.at) < stop && f.factorOf(s.Symbol) == at {
			by = by.Mul(s.Ratio)
		}
	}
	return by
}

// With returns the book with further events, as if they had happened too; b stays as it is. Only
// the properties of those events are folded again.
func (b *Book) With(events []Event) (*Book, error) {
	c := &Book{rules: b.rules, scope: b.scope, asOf: b.asOf, base: b.base, folds: slices.Clone(b.folds)}
	g := grouping{book: c}
	touched := map[string]*fold{}
	for i := range events {
		e := &events[i]
		if err := g.check(e); err != nil {
			return nil, err
		}
		name := b.scope.Property(e.Symbol)
		f, ok := touched[name]
		if !ok {
			f = c.copyFold(name)
			touched[name] = f
		}
		f.events = append(f.events, e)
	}
	for _, f := range c.folds {
		if touched[f.name] == f {
			f.arrange(make([]market.Day, len(f.events)))
			f.run(len(f.events))
		}
	}
	return c, nil
}

// copyFold puts a fold in place of that of a property, or a new one in its place, and returns it:
// the same events, not folded yet.
func (b *Book) copyFold(name string) *fold {
	i, ok := slices.BinarySearchFunc(b.folds, name, func(f *fold, p string) int { return cmp.Compare(f.name, p) })
	if !ok {
		b.folds = slices.Insert(b.folds, i, b.newFold(name, nil, newRoom(1, 0)))
		return b.folds[i]
	}
	f := b.folds[i]
	b.folds[i] = b.newFold(name, f.base, newRoom(1, 0))
	b.folds[i].events = slices.Clip(f.events)
	return b.folds[i]
}

// Would returns the outcomes of the sales among further events, by property in the order of the
// fold, as if they had happened too; b stays as it is. Purchases among the events count against
// all sales, also those in the book: With and Compare show what they change.
func (b *Book) Would(events []Event) ([]SaleOutcome, error) {
	c, err := b.With(events)
	if err != nil {
		return nil, err
	}
	asked := make(map[string]bool, len(events))
	for i := range events {
		asked[events[i].ID] = true
	}
	return slices.DeleteFunc(c.Sales(), func(s SaleOutcome) bool { return !asked[s.Event] }), nil
}
