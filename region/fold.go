package region

import (
	"cmp"
	"fmt"
	"slices"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
)

// Book is the tax book of one household: the result of Fold. It is never changed, but it is not
// safe for use by several goroutines at once.
type Book struct {
	rules *Rules
	scope Scope
	asOf  market.Day   // day of the checkpoint that it continues; NoDay from the beginning
	base  []YearTotals // realised before the states that the folds continue
	folds []*fold      // by property
}

// mechanisms are the ways to find what a sale uses up; a rule file names one.
var mechanisms = map[string]func(f *fold, stop int){
	"average": (*fold).average,
	"lots":    (*fold).lots,
	"matched": (*fold).matched,
}

// fold is the folding of one property: a state that is never changed, the events after it, and
// what they lead to. Shares inside are in the units of the state: splits change a factor only.
type fold struct {
	rules  *Rules
	scope  *Scope
	name   string
	base   *state // nil: from the beginning
	events []*Event
	days   []market.Day // tax days of events
	room   *room        // shared by the folds of a book
	trace  bool         // record After
	isRun  bool

	units      []unit
	seats      []seat
	bySeat     map[seatKey]int32
	recent     int32 // seat of the last lookup
	factors    []factor
	oneFactor  [1]factor // most properties need no more
	splits     []split   // applied so far, the state's recent ones first
	steps      []step
	sales      []SaleOutcome
	saleAt     []int32 // event of each sale
	covered    []coveredSale
	years      []YearTotals
	flows      []flow // for Conserve
	taxYear    int    // of taxYearDay, the day asked for last
	taxYearDay market.Day
	issues     []Issue
	after      []left
	pool       poolFold
	lot        lotFold
	match      matchFold
}

// room is memory for all folds of a book, made once: a morning folds a few events of many
// properties, and would else allocate more than it computes.
type room struct {
	folds []fold
	steps []step
	joins []money.Dec
}

// take cuts n zeroed values off shared memory, and makes them where it has no more.
func take[T any](shared *[]T, n int) []T {
	if len(*shared) < n {
		return make([]T, n)
	}
	cut := (*shared)[:n:n]
	*shared = (*shared)[n:]
	return cut
}

func newRoom(folds, events int) *room {
	return &room{folds: make([]fold, folds), steps: make([]step, events), joins: make([]money.Dec, events)}
}

// newFold returns a fold of a property that has no events yet.
func (b *Book) newFold(name string, base *state, r *room) *fold {
	f := &take(&r.folds, 1)[0]
	f.rules, f.scope, f.name, f.base, f.room = b.rules, &b.scope, name, base, r
	return f
}

// step is what the timeline found out about one event.
type step struct {
	seat, to         int32 // of Account and ToAccount; −1: none
	unit, toUnit     int32
	move, toMove     int32
	n                money.Rat // shares, in units of the state
	ignored, isMoved bool      // a split seen before; a change of accounts within one pool
}

// seat is one account's holding of one symbol.
type seat struct {
	Owner     portfolio.OwnerID
	Account   portfolio.AccountID
	Symbol    market.Symbol
	Sheltered bool
	Shares    money.Rat // below zero where it sold more than it held
	Lots      []piece   // region with lots, as of the state; shared, never changed

	unit   int32
	factor int32
	lots   seatLots
}

// coveredSale is a sale that was oversold, and the event with which a purchase covered all of it.
type coveredSale struct{ sale, event int32 }

type seatKey struct {
	owner   portfolio.OwnerID
	account portfolio.AccountID
	symbol  market.Symbol
}

// factor is the product of the splits of a symbol, or of the property, since the state.
type factor struct {
	symbol market.Symbol
	by     money.Rat
}

// split is one that was applied.
type split struct {
	Symbol  market.Symbol
	Account portfolio.AccountID
	TaxDay  market.Day
	Day     market.Day
	Seq     int64
	Ratio   money.Rat

	at int32 // index of the event; −1: behind the state
}

// Issue is a fact that does not fit what was held. The book goes on; a strict reader refuses it.
type Issue struct {
	Event string `json:"event"`
	Code  string `json:"code"` // OVERSOLD, UNKNOWN_LOT
}

// The codes of an Issue.
const (
	Oversold   = "OVERSOLD"    // more was sold than held
	UnknownLot = "UNKNOWN_LOT" // a sale names a lot that the account never had
)

// After is a pool as one event left it.
type After struct {
	Event     string
	Owner     portfolio.OwnerID
	Account   portfolio.AccountID // "" for the pool over all taxable accounts
	Sheltered bool
	Shares    money.Rat
	Cost      money.Dec
}

// left is an After in the numbers of its fold.
type left struct {
	event, unit int32
	shares      money.Rat
	cost        money.Dec
}

// Fold returns the tax book of a household: the events of the checkpoint and then events, whatever
// order they come in; the zero Checkpoint is the beginning. Facts are never refused: an oversold
// sale waits without cost or gain until a purchase covers it. It keeps events, which the caller
// must not change. It returns ErrVoid where from was made under other rules, circle or identical
// groups, ErrLate where an event has a tax day on or before from.AsOf, and ErrEvent.
func Fold(r *Rules, s Scope, from Checkpoint, events []Event) (*Book, error) {
	return foldBook(r, s, from, events, false)
}

// Trace is Fold from the beginning, of a case: it remembers for After the pool that each event
// touched. Here every split counts, since an event that tells of one again is not a fact of a case,
// and shares are in units of the day on which they count, not of the trade day.
func Trace(r *Rules, s Scope, events []Event) (*Book, error) {
	return foldBook(r, s, Checkpoint{}, events, true)
}

// After returns the pools that the events of a Trace touched, each as the event left it, by property
// in the order of the fold.
func (b *Book) After() []After {
	var all []After
	for _, f := range b.folds {
		for i := range f.after {
			all = append(all, f.afterAt(i))
		}
	}
	return all
}

func (f *fold) afterAt(i int) After {
	a := &f.after[i]
	u := &f.units[a.unit]
	return After{f.events[a.event].ID, u.Owner, u.Account, u.Sheltered, a.shares, a.cost}
}

func foldBook(r *Rules, s Scope, from Checkpoint, events []Event, trace bool) (*Book, error) {
	b := &Book{rules: r, scope: s, asOf: market.NoDay, base: from.Years}
	if from.Rules != "" {
		if err := from.fits(r, s); err != nil {
			return nil, err
		}
		b.asOf = from.AsOf
	}
	folds, err := b.group(from.States, events)
	if err != nil {
		return nil, err
	}
	for _, f := range folds {
		f.trace = trace
		if len(f.events) > 0 {
			f.run(len(f.events))
		}
	}
	b.folds = folds
	return b, nil
}

// ready returns the folds, those without events run too: they wait until they are asked for.
func (b *Book) ready() []*fold {
	for _, f := range b.folds {
		f.ready()
	}
	return b.folds
}

func (f *fold) ready() *fold {
	if !f.isRun {
		f.run(len(f.events))
	}
	return f
}

// group deals the events out to one fold for each property, in order, with the states before them.
func (b *Book) group(states []state, events []Event) ([]*fold, error) {
	waiting := len(events)
	for i := range states {
		waiting += len(states[i].Events)
	}
	g := grouping{book: b, index: make(map[string]int32, len(states)), of: make([]int32, len(events))}
	if b.rules.Mechanism == "lots" {
		waiting = 0 // no timelines
	}
	g.room = newRoom(len(states), waiting)
	for i := range states {
		s := &states[i]
		g.index[s.Property] = int32(len(g.folds))
		g.folds = append(g.folds, b.newFold(s.Property, s, g.room))
		g.counts = append(g.counts, len(s.Events))
	}
	if err := g.count(events); err != nil {
		return nil, err
	}
	g.deal(events)
	slices.SortFunc(g.folds, func(x, y *fold) int { return cmp.Compare(x.name, y.name) })
	return g.folds, nil
}

type grouping struct {
	book   *Book
	folds  []*fold
	index  map[string]int32 // fold of a property
	counts []int
	of     []int32 // fold of each event
	room   *room
}

// count finds the fold of each event and how many each gets.
func (g *grouping) count(events []Event) error {
	symbols := make(map[market.Symbol]int32, 32)
	for i := range events {
		e := &events[i]
		if err := g.check(e); err != nil {
			return err
		}
		at, ok := symbols[e.Symbol]
		if !ok {
			at = g.foldOf(g.book.scope.Property(e.Symbol))
			symbols[e.Symbol] = at
		}
		g.of[i] = at
		g.counts[at]++
	}
	return nil
}

func (g *grouping) check(e *Event) error {
	switch e.Kind {
	case Buy, Drip, Sell, Contribute, Transfer, ROC, RICG, RIDiv, CGDiv:
	case Split:
		if e.Ratio.Sign() <= 0 {
			return fmt.Errorf("event %s: split by %s: %w", e.ID, e.Ratio, ErrEvent)
		}
	default:
		return fmt.Errorf("event %s: kind %q: %w", e.ID, e.Kind, ErrEvent)
	}
	if !e.hasAccounts() {
		return fmt.Errorf("event %s: %s without its accounts: %w", e.ID, e.Kind, ErrEvent)
	}
	if e.Shares.Sign() < 0 {
		return fmt.Errorf("event %s: %s shares: %w", e.ID, e.Shares, ErrEvent)
	}
	if day := g.book.rules.TaxDay(e.Day, e.Settle); day <= g.book.asOf {
		return fmt.Errorf("event %s of %s, checkpoint of %s: %w", e.ID, day, g.book.asOf, ErrLate)
	}
	return nil
}

func (g *grouping) foldOf(property string) int32 {
	at, ok := g.index[property]
	if !ok {
		at = int32(len(g.folds))
		g.index[property] = at
		g.folds = append(g.folds, g.book.newFold(property, nil, g.room))
		g.counts = append(g.counts, 0)
	}
	return at
}

// deal hands out the events over one shared array and puts each fold's in order.
func (g *grouping) deal(events []Event) {
	total := len(events)
	for _, f := range g.folds {
		if f.base != nil {
			total += len(f.base.Events)
		}
	}
	shared := make([]*Event, total)
	next := 0
	for i, f := range g.folds {
		f.events = shared[next : next : next+g.counts[i]]
		next += g.counts[i]
		if f.base != nil {
			for j := range f.base.Events {
				f.events = append(f.events, &f.base.Events[j])
			}
		}
	}
	for i := range events {
		f := g.folds[g.of[i]]
		f.events = append(f.events, &events[i])
	}
	days := make([]market.Day, total)
	next = 0
	for i, f := range g.folds {
		f.arrange(days[next : next+len(f.events)])
		next += g.counts[i]
	}
}

// arrange puts the events in order, drops those seen twice, and notes their tax days.
func (f *fold) arrange(days []market.Day) {
	inOrder := func(a, b *Event) int { return f.rules.compareEvents(a, b) }
	if !slices.IsSortedFunc(f.events, inOrder) {
		slices.SortStableFunc(f.events, inOrder)
	}
	f.events = slices.CompactFunc(f.events, func(a, b *Event) bool { return a.ID == b.ID && inOrder(a, b) == 0 })
	f.days = days[:len(f.events)]
	for i, e := range f.events {
		f.days[i] = f.rules.TaxDay(e.Day, e.Settle)
	}
}

// run folds the events before stop; the outcomes of sales take the later ones into account.
func (f *fold) run(stop int) {
	f.isRun, f.bySeat, f.recent = true, nil, 0
	f.factors, f.splits = f.oneFactor[:0], nil
	f.units, f.seats = nil, nil
	f.covered, f.flows = nil, nil
	f.sales, f.saleAt, f.years, f.issues, f.after = nil, nil, nil, nil, nil
	f.pool, f.lot, f.match = poolFold{}, lotFold{}, matchFold{}
	if f.rules.SplitScope == "property" {
		f.factorOf("") // pools count in the property's own factor, index 0
	}
	if f.base != nil {
		f.splits = slices.Clone(f.base.Splits)
		for i := range f.splits {
			f.splits[i].at = -1
		}
		f.units = slices.Clone(f.base.Units)
		f.seats = slices.Clone(f.base.Seats)
		for i := range f.seats {
			f.seats[i].factor = f.factorOf(f.seats[i].Symbol)
			f.seats[i].unit = f.unitOf(&f.seats[i])
		}
	}
	mechanisms[f.rules.Mechanism](f, stop)
}

// seatOf returns the seat of an account and symbol, made where there is none.
func (f *fold) seatOf(e *Event, account portfolio.AccountID, accountType string) int32 {
	is := func(s *seat) bool { return s.Account == account && s.Symbol == e.Symbol && s.Owner == e.Owner }
	if int(f.recent) < len(f.seats) && is(&f.seats[f.recent]) {
		return f.recent
	}
	f.recent = f.findSeat(e, account, is)
	if f.recent < 0 {
		f.recent = int32(len(f.seats))
		s := seat{Owner: e.Owner, Account: account, Symbol: e.Symbol, Sheltered: f.rules.Shelters(accountType)}
		s.factor, s.unit = f.factorOf(e.Symbol), f.unitOf(&s)
		f.seats = append(f.seats, s)
		if f.bySeat != nil {
			f.bySeat[seatKey{s.Owner, s.Account, s.Symbol}] = f.recent
		}
	}
	return f.recent
}

// seatsLinearMax is the number of seats up to which a search beats a map.
const seatsLinearMax = 12

func (f *fold) findSeat(e *Event, account portfolio.AccountID, is func(*seat) bool) int32 {
	if len(f.seats) <= seatsLinearMax {
		for i := range f.seats {
			if is(&f.seats[i]) {
				return int32(i)
			}
		}
		return -1
	}
	if f.bySeat == nil {
		f.bySeat = make(map[seatKey]int32, 2*len(f.seats))
		for i := range f.seats {
			s := &f.seats[i]
			f.bySeat[seatKey{s.Owner, s.Account, s.Symbol}] = int32(i)
		}
	}
	if i, ok := f.bySeat[seatKey{e.Owner, account, e.Symbol}]; ok {
		return i
	}
	return -1
}

// factorOf returns the index of the split factor that a symbol follows.
func (f *fold) factorOf(symbol market.Symbol) int32 {
	if f.rules.SplitScope == "property" {
		symbol = ""
	}
	for i := range f.factors {
		if f.factors[i].symbol == symbol {
			return int32(i)
		}
	}
	f.factors = append(f.factors, factor{symbol: symbol, by: money.RatInt(1)})
	return int32(len(f.factors) - 1)
}

// splitBy multiplies the factor of a split; it returns false where another account or listing of
// the property has told of the same split.
func (f *fold) splitBy(i int) bool {
	e := f.events[i]
	at := f.factorOf(e.Symbol)
	for k := len(f.splits) - 1; !f.trace && k >= 0 && f.splits[k].TaxDay == f.days[i]; k-- {
		s := &f.splits[k]
		isOther := s.Account != e.Account || s.Symbol != e.Symbol
		if isOther && f.factorOf(s.Symbol) == at && s.Ratio.Equal(e.Ratio) {
			return false
		}
	}
	f.splits = append(f.splits, split{e.Symbol, e.Account, f.days[i], e.Day, e.Seq, e.Ratio, int32(i)})
	f.factors[at].by = f.factors[at].by.Mul(e.Ratio)
	return true
}

// inState returns the shares of an event in units of the state. A trade from before a split that
// counts only after it is scaled: its shares are in units of the trade day. A case writes shares as
// of the day on which they count, so there nothing is.
func (f *fold) inState(e *Event, shares money.Rat) money.Rat {
	if len(f.splits) == 0 {
		return shares
	}
	at := f.factorOf(e.Symbol)
	for i := len(f.splits) - 1; !f.trace && i >= 0; i-- {
		s := &f.splits[i]
		if s.Day < e.Day {
			break
		}
		if (s.Day > e.Day || s.Seq > e.Seq) && f.factorOf(s.Symbol) == at {
			shares = shares.Mul(s.Ratio)
		}
	}
	return shares.Div(f.factors[at].by)
}

func (f *fold) addSale(i int, s SaleOutcome) {
	f.sales, f.saleAt = append(f.sales, s), append(f.saleAt, int32(i))
}

// today returns shares of a symbol in the units after the splits applied so far.
func (f *fold) today(at int32, shares money.Rat) money.Rat { return shares.Mul(f.factors[at].by) }

// year returns the totals of an owner in the tax year of a day.
func (f *fold) year(owner portfolio.OwnerID, day market.Day) *YearTotals {
	if f.taxYear == 0 || f.taxYearDay != day {
		f.taxYear, f.taxYearDay = f.rules.TaxYear(day), day
	}
	return yearOf(&f.years, owner, f.taxYear)
}

func yearOf(years *[]YearTotals, owner portfolio.OwnerID, year int) *YearTotals {
	for i := len(*years) - 1; i >= 0; i-- {
		if y := &(*years)[i]; y.Year == year && y.Owner == owner {
			return y
		}
	}
	*years = append(*years, YearTotals{Owner: owner, Year: year})
	return &(*years)[len(*years)-1]
}

type ownerID = portfolio.OwnerID

// isMember reports whether two owners count together on a day.
func (s *Scope) isMember(r *Rules, a, b ownerID, day market.Day) bool {
	first, last := s.together(r, a, b)
	return first <= day && day <= last
}

func (s *Scope) isOutside(owner ownerID) bool { return slices.Contains(s.Outside, owner) }

// membership returns the first and last day of an owner in the circle, last before first where he
// is not in it.
func (s *Scope) membership(owner ownerID) (first, last market.Day) {
	for _, o := range s.Circle {
		if o.ID != owner {
			continue
		}
		if o.To == market.NoDay {
			return o.From, 1<<31 - 2
		}
		return o.From, o.To - 1
	}
	return 1<<31 - 2, market.NoDay + 1
}
