package pipeline

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/region"
)

// Arrival is a tax fact that came after the household, with when the book took it and when, if ever,
// another fact took it back. Days are those of the installation's clock.
type Arrival struct {
	Event          region.Event
	Version        int64 // book version at which it came
	Known          market.Day
	Withdrawn      int64 // book version at which it was taken back; 0: it counts
	WithdrawnBy    string
	WithdrawnKnown market.Day
}

// CauseKind says what kind of thing changed the outcome of a sale.
type CauseKind string

// The kinds of a cause. The last three have no event: the versions that a slip was made under differ.
const (
	CauseSale       CauseKind = "sale"       // the sale itself came
	CauseWindow     CauseKind = "window"     // the loss window closed
	CauseEvent      CauseKind = "event"      // another fact came on its day
	CauseLate       CauseKind = "late"       // another fact came after its day
	CauseCorrection CauseKind = "correction" // a fact came in place of another
	CauseBust       CauseKind = "bust"       // a fact was taken back
	CauseRules      CauseKind = "rules"
	CauseCircle     CauseKind = "circle"
	CauseIdentical  CauseKind = "identical"
)

// Cause is what changed the outcome of a sale.
type Cause struct {
	Kind     CauseKind  `json:"kind"`
	Event    string     `json:"event,omitempty"`    // the fact; of a bust the one taken back
	What     string     `json:"what,omitempty"`     // the fact in words
	Day      market.Day `json:"day,omitzero"`       // its tax day
	Known    market.Day `json:"known,omitzero"`     // when the book took it, or took it back
	Version  int64      `json:"version,omitempty"`  // book version of that
	Replaces string     `json:"replaces,omitempty"` // the fact that a correction took back
	By       string     `json:"by,omitempty"`       // what took the fact back
	From     string     `json:"from,omitempty"`     // of rules, circle, identical: the version before
	To       string     `json:"to,omitempty"`
}

// Transition is a step in the life of a sale's outcome: it came, its window closed, or something
// changed it. Amounts are before and after, in home currency.
type Transition struct {
	Day     market.Day          `json:"day"` // of the installation's clock; at its end where the window closed
	Event   string              `json:"event"`
	Owner   portfolio.OwnerID   `json:"owner"`
	Account portfolio.AccountID `json:"account"`
	Symbol  market.Symbol       `json:"symbol"`
	Sold    market.Day          `json:"sold"`           // tax day
	From    region.State        `json:"from,omitempty"` // "" where the sale is new
	To      region.State        `json:"to,omitempty"`   // "" where it was taken back
	Gain    [2]money.Dec        `json:"gain"`
	Denied  [2]money.Dec        `json:"denied"`
	Lost    [2]money.Dec        `json:"lost"`
	Cause   Cause               `json:"cause"`
}

// isLoss reports whether the sale was at a loss before or after, denied or not.
func (t *Transition) isLoss() bool {
	return t.Gain[0].Sign() < 0 || t.Gain[1].Sign() < 0 || t.Denied[0].Sign() > 0 || t.Denied[1].Sign() > 0
}

// moves reports whether the transition changes an amount.
func (t *Transition) moves() bool {
	return t.Gain[0] != t.Gain[1] || t.Denied[0] != t.Denied[1] || t.Lost[0] != t.Lost[1]
}

// bookStep is what one book version did to the tax facts.
type bookStep struct {
	version        int64
	known, day     market.Day // when the book took it; the same, or a trade day in it that is later
	added, removed []*Arrival
}

// stepsOf returns the book versions that changed the tax facts, in order. A day is never before that of
// an earlier step nor before the trade that came with it: a sample installation may trade a session
// before its clock shows it.
func stepsOf(h *TaxHousehold) []bookStep {
	byVersion := map[int64]*bookStep{}
	at := func(version int64, known, traded market.Day) *bookStep {
		if byVersion[version] == nil {
			byVersion[version] = &bookStep{version: version, known: known, day: known}
		}
		s := byVersion[version]
		s.known, s.day = max(s.known, known), max(s.day, known, traded)
		return s
	}
	for i := range h.Arrivals {
		a := &h.Arrivals[i]
		s := at(a.Version, a.Known, a.Event.Day)
		s.added = append(s.added, a)
		if a.Withdrawn > 0 {
			s := at(a.Withdrawn, a.WithdrawnKnown, a.Event.Day)
			s.removed = append(s.removed, a)
		}
	}
	steps := make([]bookStep, 0, len(byVersion))
	for _, version := range slices.Sorted(maps.Keys(byVersion)) {
		s := *byVersion[version]
		if n := len(steps); n > 0 {
			s.day = max(s.day, steps[n-1].day)
		}
		steps = append(steps, s)
	}
	return steps
}

// KnownAt returns the facts that counted at a book version: those that the household came with and
// the arrivals up to it that were not taken back by then.
func (h *TaxHousehold) KnownAt(version int64) []region.Event {
	events := slices.Clone(h.Events[:h.Imported])
	for _, a := range h.Arrivals {
		if a.Version <= version && (a.Withdrawn == 0 || a.Withdrawn > version) {
			events = append(events, a.Event)
		}
	}
	return events
}

// TaxTimeline returns the transitions of all sales of a household up to the evening of a day, in order.
// What the household came with is one arrival: its sales stand as that history leaves them, each
// provisional from its day to the end of its window. Everything is derived from facts and the book
// versions at which they came; nothing of it is stored.
func TaxTimeline(h TaxHousehold, identical map[market.Symbol]string, asOf market.Day) ([]Transition, error) {
	rules, err := region.Load(h.Household.Region)
	if err != nil {
		return nil, err
	}
	t := &taxTimeline{rules: rules, scope: region.ScopeOf(h.Household, identical), lines: map[string]*propertyLine{}}
	for _, e := range h.Events[:h.Imported] {
		p := t.line(e.Symbol)
		p.events = append(p.events, e)
	}
	for _, name := range sortedKeys(t.lines) {
		if err := t.lines[name].begin(); err != nil {
			return nil, err
		}
	}
	for _, s := range stepsOf(&h) {
		if s.known > asOf {
			break
		}
		if err := t.step(s); err != nil {
			return nil, err
		}
	}
	for _, name := range sortedKeys(t.lines) {
		t.lines[name].close(asOf + 1)
	}
	slices.SortStableFunc(t.found, func(a, b Transition) int {
		return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.rank(), b.rank()), cmp.Compare(a.Cause.Version, b.Cause.Version), cmp.Compare(a.Event, b.Event))
	})
	return t.found, nil
}

// rank puts windows, which close in the evening, behind what came on their day.
func (t *Transition) rank() int {
	if t.Cause.Kind == CauseWindow {
		return 1
	}
	return 0
}

type taxTimeline struct {
	rules *region.Rules
	scope region.Scope
	lines map[string]*propertyLine
	found []Transition
}

// propertyLine is the facts of one property as the book came to know them.
type propertyLine struct {
	*taxTimeline
	events []region.Event
	book   *region.Book // of the events when something last mattered to a sale
	sales  []region.SaleOutcome
	states map[string]region.State
}

func (t *taxTimeline) line(symbol market.Symbol) *propertyLine {
	name := t.scope.Property(symbol)
	if t.lines[name] == nil {
		t.lines[name] = &propertyLine{taxTimeline: t, states: map[string]region.State{}}
	}
	return t.lines[name]
}

func (p *propertyLine) fold() (*region.Book, error) {
	return region.Fold(p.rules, p.scope, region.Checkpoint{}, p.events)
}

// begin enters the sales of the history that the household came with.
func (p *propertyLine) begin() (err error) {
	if p.book, err = p.fold(); err != nil {
		return err
	}
	p.sales = p.book.Sales()
	for i := range p.sales {
		s := &p.sales[i]
		t := transition(s, s.Day, Cause{Kind: CauseSale, Event: s.Event, Day: s.Day})
		t.To = s.State(s.Day - 1)
		t.Gain[1], t.Denied[1], t.Lost[1] = s.Gain, s.Denied, s.Lost
		p.enter(t)
	}
	return nil
}

func transition(s *region.SaleOutcome, day market.Day, why Cause) Transition {
	return Transition{Day: day, Event: s.Event, Owner: s.Owner, Account: s.Account, Symbol: s.Symbol, Sold: s.Day, Cause: why}
}

func (p *propertyLine) enter(t Transition) {
	p.states[t.Event] = t.To
	p.found = append(p.found, t)
}

// close enters that the windows which closed before a day are closed, unless something that came
// has entered it.
func (p *propertyLine) close(day market.Day) {
	for i := range p.sales {
		s := &p.sales[i]
		if p.states[s.Event] != region.Provisional || s.State(day-1) != region.Final {
			continue
		}
		t := transition(s, s.Until, Cause{Kind: CauseWindow})
		t.From, t.To = region.Provisional, region.Final
		t.Gain, t.Denied, t.Lost = [2]money.Dec{s.Gain, s.Gain}, [2]money.Dec{s.Denied, s.Denied}, [2]money.Dec{s.Lost, s.Lost}
		p.enter(t)
	}
}

// step takes the facts of a book version to the lines of their properties.
func (t *taxTimeline) step(s bookStep) error {
	parts := map[string]*bookStep{}
	at := func(a *Arrival) *bookStep {
		name := t.scope.Property(a.Event.Symbol)
		if parts[name] == nil {
			parts[name] = &bookStep{version: s.version, day: s.day}
		}
		return parts[name]
	}
	for _, a := range s.added {
		part := at(a)
		part.added = append(part.added, a)
	}
	for _, a := range s.removed {
		part := at(a)
		part.removed = append(part.removed, a)
	}
	for _, name := range sortedKeys(parts) {
		part := parts[name]
		if err := t.line(slices.Concat(part.added, part.removed)[0].Event.Symbol).take(part); err != nil {
			return err
		}
	}
	return nil
}

// take adds and removes facts and enters what that did to the sales.
func (p *propertyLine) take(s *bookStep) error {
	p.close(s.day)
	for _, a := range s.removed {
		p.events = slices.DeleteFunc(p.events, func(e region.Event) bool { return e.ID == a.Event.ID })
	}
	for _, a := range s.added {
		p.events = append(p.events, a.Event)
	}
	if p.book != nil && !p.matters(s) {
		return nil
	}
	before := p.book
	var err error
	if before == nil {
		if before, err = region.Fold(p.rules, p.scope, region.Checkpoint{}, nil); err != nil {
			return err
		}
	}
	if p.book, err = p.fold(); err != nil {
		return err
	}
	p.sales = p.book.Sales()
	for _, c := range region.Compare(before, s.day-1, p.book, s.day-1) {
		t := Transition{Day: s.day, Event: c.Event, Owner: c.Owner, Account: c.Account, Symbol: c.Symbol, Sold: c.Day,
			From: c.From, To: c.To, Gain: c.Gain, Denied: c.Denied, Lost: c.Lost, Cause: p.cause(s, c.Event)}
		if t.From == region.Final && p.states[c.Event] == region.Restated {
			t.From = region.Restated
		}
		p.enter(t)
	}
	return nil
}

// matters reports whether a step can change a sale: purchases after the last day on which an event
// can still change any do not.
func (p *propertyLine) matters(s *bookStep) bool {
	if len(s.removed) > 0 {
		return true
	}
	for _, a := range s.added {
		if a.Event.Kind != region.Buy && a.Event.Kind != region.Drip {
			return true
		}
		day := p.rules.TaxDay(a.Event.Day, a.Event.Settle)
		for i := range p.sales {
			if o := &p.sales[i]; o.Until >= day || o.Oversold.Sign() > 0 {
				return true
			}
		}
	}
	return false
}

// cause names what a step did to a sale.
func (p *propertyLine) cause(s *bookStep, sale string) Cause {
	for _, a := range s.added {
		if a.Event.ID == sale && len(s.removed) == 0 {
			return p.fact(CauseSale, a, s)
		}
	}
	switch {
	case len(s.removed) > 0 && len(s.added) > 0:
		c := p.fact(CauseCorrection, s.added[0], s)
		c.Replaces, c.By = s.removed[0].Event.ID, s.removed[0].WithdrawnBy
		return c
	case len(s.removed) > 0:
		c := p.fact(CauseBust, s.removed[0], s)
		c.By = s.removed[0].WithdrawnBy
		return c
	case s.added[0].Event.Day < s.day:
		return p.fact(CauseLate, s.added[0], s)
	}
	return p.fact(CauseEvent, s.added[0], s)
}

func (p *propertyLine) fact(kind CauseKind, a *Arrival, s *bookStep) Cause {
	e := &a.Event
	return Cause{Kind: kind, Event: e.ID, What: FactText(e), Day: p.rules.TaxDay(e.Day, e.Settle), Known: s.day, Version: s.version}
}

// FactText says in words what a tax fact is.
func FactText(e *region.Event) string {
	where := string(e.Account)
	if where == "" {
		where = string(e.ToAccount)
	}
	if e.Shares.IsZero() {
		return fmt.Sprintf("%s of %s in %s on %s", e.Kind, e.Symbol, where, e.Day)
	}
	return fmt.Sprintf("%s %s %s in %s on %s", e.Kind, e.Shares.Dec(), e.Symbol, where, e.Day)
}

// TaxMark is what an account's timeline says about its taxes: a transition of one of its losses, or a
// fact that was taken back.
type TaxMark struct {
	Day        market.Day  `json:"day"`
	Transition *Transition `json:"transition,omitempty"`
	Withdrawn  *Cause      `json:"withdrawn,omitempty"` // bust or correction
}

// AccountMarks returns what the timeline of an account says about its taxes up to the evening of a day,
// oldest first: each transition of its losses, what changed its other sales after they came, and each
// fact of the account that was taken back.
func AccountMarks(h TaxHousehold, account portfolio.AccountID, identical map[market.Symbol]string, asOf market.Day) ([]TaxMark, error) {
	if h.Fault != nil {
		return nil, h.Fault
	}
	all, err := TaxTimeline(h, identical, asOf)
	if err != nil {
		return nil, fmt.Errorf("account %s: %w", account, err)
	}
	var marks []TaxMark
	for i := range all {
		if t := &all[i]; t.Account == account && (t.isLoss() || t.From != "" && t.moves()) {
			marks = append(marks, TaxMark{Day: t.Day, Transition: t})
		}
	}
	rules, err := region.Load(h.Household.Region)
	if err != nil {
		return nil, err
	}
	for _, s := range stepsOf(&h) {
		if s.known > asOf {
			break
		}
		for _, a := range s.removed {
			if a.Event.Account == account || a.Event.ToAccount == account {
				part := bookStep{version: s.version, day: s.day, removed: []*Arrival{a}}
				p := propertyLine{taxTimeline: &taxTimeline{rules: rules}}
				c := p.fact(CauseBust, a, &part)
				c.By = a.WithdrawnBy
				if len(s.added) > 0 {
					c.Kind = CauseCorrection
				}
				marks = append(marks, TaxMark{Day: s.day, Withdrawn: &c})
			}
		}
	}
	slices.SortStableFunc(marks, func(a, b TaxMark) int { return cmp.Compare(a.Day, b.Day) })
	return marks, nil
}

// Subject returns what a mark is about: the sale, or the fact that was taken back.
func (m *TaxMark) Subject() string {
	if m.Withdrawn != nil {
		return m.Withdrawn.Event
	}
	return m.Transition.Event
}

// State returns what the sale is after the mark: withdrawn where it, or the fact, was taken back.
func (m *TaxMark) State() string {
	if m.Withdrawn != nil || m.Transition.To == "" {
		return "withdrawn"
	}
	return string(m.Transition.To)
}

// Text says a mark in words.
func (m *TaxMark) Text() string {
	if c := m.Withdrawn; c != nil {
		word := "busted"
		if c.Kind == CauseCorrection {
			word = "corrected"
		}
		return fmt.Sprintf("%s: %s, by %s", word, c.What, orUnknown(c.By))
	}
	t := m.Transition
	amount := func(was, now money.Dec) string {
		if was == now || t.From == "" {
			return now.Fixed(2)
		}
		return was.Fixed(2) + " → " + now.Fixed(2)
	}
	state := string(t.To)
	switch {
	case t.To == "":
		state = string(t.From) + ", withdrawn"
	case t.From != "" && t.From != t.To:
		state = string(t.From) + " → " + state
	}
	text := fmt.Sprintf("sale of %s on %s: %s, gain %s, denied %s", t.Symbol, t.Sold, state, amount(t.Gain[0], t.Gain[1]), amount(t.Denied[0], t.Denied[1]))
	if t.Lost[0] != t.Lost[1] || t.Lost[1].Sign() > 0 {
		text += ", lost " + amount(t.Lost[0], t.Lost[1])
	}
	switch t.Cause.Kind {
	case CauseWindow:
		return text + ": its window closed"
	case CauseSale:
		return text
	}
	return text + ": " + t.Cause.Text()
}

// Text says a cause in words.
func (c *Cause) Text() string {
	switch c.Kind {
	case CauseRules, CauseCircle, CauseIdentical:
		return fmt.Sprintf("other %s: %s, was %s", c.Kind, c.To, c.From)
	case CauseWindow:
		return "its window closed"
	case CauseBust:
		return fmt.Sprintf("bust of %s (%s) by %s", c.Event, c.What, orUnknown(c.By))
	case CauseCorrection:
		return fmt.Sprintf("correction %s (%s) in place of %s", c.Event, c.What, c.Replaces)
	case CauseLate:
		return fmt.Sprintf("late %s (%s), known on %s", c.Event, c.What, c.Known)
	}
	return fmt.Sprintf("%s (%s)", c.Event, c.What)
}

func orUnknown(id string) string { return cmp.Or(id, "an unknown fact") }
