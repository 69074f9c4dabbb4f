package pipeline

import (
	"cmp"
	"slices"
	"strconv"

	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/region"
)

// ChangeKind says what a difference between a slip and the book is.
type ChangeKind string

// The kinds of a change. A loss is settled where the slip called it provisional and what settled it
// happened after the slip's day: the law looks at the days after the sale (IRC 1091(a), ITA 54), so the
// slip was right and said that it was not the last word. Everything else amends the slip: a fact of
// before its day that came late, a correction, a bust, other rules.
const (
	Amended ChangeKind = "amended"
	Settled ChangeKind = "settled"
)

// SlipChange is one line of a slip that the book now says otherwise. Issued is absent for a line that the
// slip did not have, Now for one that is gone.
type SlipChange struct {
	Kind   ChangeKind        `json:"kind"`
	Owner  portfolio.OwnerID `json:"owner"`
	Event  string            `json:"event,omitempty"` // the sale; absent for what no sale made
	Issued *TaxLine          `json:"issued,omitempty"`
	Now    *TaxLine          `json:"now,omitempty"`
	Causes []Cause           `json:"causes"` // in order of book version
}

// ShownSlip is a slip as a report shows it. The last issue of an owner's year has the differences to
// today's figures: totals and lines.
type ShownSlip struct {
	IssuedSlip
	IsLast    bool              `json:"is_last"`
	Amendment *region.Amendment `json:"amendment,omitempty"` // where the totals differ
	OtherNow  money.Dec         `json:"other_now"`           // of the last issue
	Changes   []SlipChange      `json:"changes,omitempty"`
}

// OnSlip is how a line or a sum of lines differs from the last slip of its owner's year.
type OnSlip struct {
	Issue     int         `json:"issue,omitempty"` // number of that slip; 0: the year was not issued
	Amendment ChangeKind  `json:"amendment,omitempty"`
	Issued    *TaxFigures `json:"issued,omitempty"` // what the slip says, where it differs
	AmendedBy []string    `json:"amended_by,omitempty"`
}

// TaxFigures are the figures of a line on a slip.
type TaxFigures struct {
	Proceeds   money.Dec `json:"proceeds"`
	Cost       money.Dec `json:"cost"`
	Adjustment money.Dec `json:"adjustment"`
	Gain       money.Dec `json:"gain"`
}

func (f *TaxFigures) add(l *TaxLine) {
	f.Proceeds, f.Cost = f.Proceeds.Add(l.Proceeds), f.Cost.Add(l.Cost)
	f.Adjustment, f.Gain = f.Adjustment.Add(l.Adjustment), f.Gain.Add(l.Gain)
}

// change enters one changed line.
func (d *OnSlip) change(c *SlipChange) {
	if d.Issued == nil {
		d.Issued = &TaxFigures{}
	}
	if c.Issued != nil {
		d.Issued.add(c.Issued)
	}
	if d.Amendment != Amended {
		d.Amendment = c.Kind
	}
	for i := range c.Causes {
		if text := c.Causes[i].Text(); !slices.Contains(d.AmendedBy, text) {
			d.AmendedBy = append(d.AmendedBy, text)
		}
	}
}

// lineKey names a line of a sale: the how-manieth piece it is of which lot.
type lineKey struct {
	event, lot string
	place      int
}

// keyed returns lines by their keys, and the keys in order of the lines.
func keyed(lines []TaxLine) (map[lineKey]*TaxLine, []lineKey) {
	byKey, keys := make(map[lineKey]*TaxLine, len(lines)), make([]lineKey, 0, len(lines))
	for i := range lines {
		l := &lines[i]
		k := lineKey{event: l.Event, lot: l.Lot}
		for byKey[k] != nil {
			k.place++
		}
		l.place = k.place
		byKey[k] = l
		keys = append(keys, k)
	}
	return byKey, keys
}

// sameFigures reports whether two lines would be the same on a return.
func sameFigures(a, b *TaxLine) bool {
	return a.Owner == b.Owner && a.Account == b.Account && a.Symbol == b.Symbol && a.Shares.Equal(b.Shares) && a.Acquired == b.Acquired &&
		a.Sold == b.Sold && a.Term == b.Term && a.Proceeds == b.Proceeds && a.Outlays == b.Outlays && a.Cost == b.Cost &&
		a.Code == b.Code && a.Adjustment == b.Adjustment && a.Gain == b.Gain && a.Lost == b.Lost
}

// changesOf returns where a slip differs from what it would say now, without causes: changed and gone
// lines in the order of the slip, new ones behind them, and last what no sale made.
func changesOf(issued, now *Slip) []SlipChange {
	old, oldKeys := keyed(issued.Lines)
	current, keys := keyed(now.Lines)
	var changes []SlipChange
	for _, k := range oldKeys {
		if l := current[k]; l == nil || !sameFigures(old[k], l) {
			changes = append(changes, SlipChange{Owner: issued.Owner, Event: k.event, Issued: old[k], Now: l})
		}
	}
	for _, k := range keys {
		if old[k] == nil {
			changes = append(changes, SlipChange{Owner: issued.Owner, Event: k.event, Now: current[k]})
		}
	}
	if issued.Other != now.Other {
		changes = append(changes, SlipChange{Owner: issued.Owner, Issued: otherLine(issued), Now: otherLine(now)})
	}
	return changes
}

// otherLine is what no sale made, as a line.
func otherLine(s *Slip) *TaxLine {
	return &TaxLine{Owner: s.Owner, Description: "distributions, and returns of capital above cost", Gain: s.Other, State: region.Final}
}

// shownSlips returns the slips of the report's year, the last issue of each owner with its changes.
func (y *taxYear) shownSlips() ([]ShownSlip, error) {
	var shown []ShownSlip
	for _, s := range y.household.Slips {
		if s.Year != y.query.Year || y.query.Account != "" && !y.owns(s.Owner) {
			continue
		}
		one := ShownSlip{IssuedSlip: s}
		if last := latestSlip(y.household.Slips, s.Owner, s.Year); last.Number == s.Number {
			one.IsLast = true
			if err := y.compare(&one); err != nil {
				return nil, err
			}
		}
		shown = append(shown, one)
	}
	return shown, nil
}

// mark enters how today's lines differ from the last slips, and adds a line of zeros for each that is
// gone.
func (y *taxYear) mark(lines []TaxLine, slips []ShownSlip) []TaxLine {
	for i := range slips {
		s := &slips[i]
		if !s.IsLast {
			continue
		}
		for k := range lines {
			if lines[k].Owner == s.Owner {
				lines[k].Issue = s.Number
			}
		}
		for k := range s.Changes {
			lines = y.markChange(lines, s, &s.Changes[k])
		}
	}
	return lines
}

// markChange enters one change of a slip.
func (y *taxYear) markChange(lines []TaxLine, s *ShownSlip, c *SlipChange) []TaxLine {
	switch {
	case c.Event == "":
	case c.Now == nil && y.asks(c.Issued.Account):
		gone := c.Issued.gone()
		gone.Issue = s.Number
		gone.change(c)
		lines = append(lines, gone)
	case c.Now != nil:
		for i := range lines {
			if l := &lines[i]; l.Owner == s.Owner && l.Event == c.Event && l.Lot == c.Now.Lot && l.place == c.Now.place {
				l.change(c)
			}
		}
	}
	return lines
}

// gone returns the line of a sale that was taken back: its names without figures.
func (l *TaxLine) gone() TaxLine {
	return TaxLine{Owner: l.Owner, Account: l.Account, Symbol: l.Symbol, Property: l.Property, Description: l.Description, Event: l.Event,
		Lot: l.Lot, Acquired: l.Acquired, Sold: l.Sold, Term: l.Term, State: region.Restated, FinalAfter: l.FinalAfter}
}

// markProperties enters how today's sums differ from the last slips, where a line of them does.
func (y *taxYear) markProperties(all *[]TaxProperty, slips []ShownSlip) {
	for i := range slips {
		s := &slips[i]
		if !s.IsLast {
			continue
		}
		was := map[string]*TaxFigures{}
		for k := range s.Lines {
			if l := &s.Lines[k]; y.asks(l.Account) {
				if was[l.Property] == nil {
					was[l.Property] = &TaxFigures{}
				}
				was[l.Property].add(l)
				propertyOf(all, s.Owner, l.Property)
			}
		}
		for k := range *all {
			if p := &(*all)[k]; p.Owner == s.Owner {
				p.Issue = s.Number
			}
		}
		for k := range s.Changes {
			c := &s.Changes[k]
			l := cmp.Or(c.Now, c.Issued)
			if c.Event == "" || !y.asks(l.Account) {
				continue
			}
			p := propertyOf(all, s.Owner, l.Property)
			p.change(c)
			p.Issued = cmp.Or(was[l.Property], &TaxFigures{})
		}
	}
}

// compare enters the totals of the last slips of a unit's owners.
func (u *TaxUnit) compare(slips []ShownSlip) {
	var sum region.YearTotals
	found := 0
	for _, s := range slips {
		if !s.IsLast || !slices.Contains(u.Owners, s.Owner) {
			continue
		}
		found++
		t := s.Totals
		sum.Gains, sum.Losses, sum.Denied, sum.Lost = sum.Gains.Add(t.Gains), sum.Losses.Add(t.Losses), sum.Denied.Add(t.Denied), sum.Lost.Add(t.Lost)
		sum.ST, sum.LT, sum.Year = sum.ST.Add(t.ST), sum.LT.Add(t.LT), t.Year
		for _, c := range s.Changes {
			if u.Amendment != Amended {
				u.Amendment = c.Kind
			}
		}
	}
	if found == len(u.Owners) {
		u.Issued = &sum
	}
}

// owns reports whether the account that the query names is an owner's.
func (y *taxYear) owns(owner portfolio.OwnerID) bool {
	return slices.ContainsFunc(y.household.Household.Accounts, func(a portfolio.Account) bool {
		return a.ID == y.query.Account && a.Owner == owner
	})
}

// compare fills how a slip differs from today's figures, and why.
func (y *taxYear) compare(s *ShownSlip) error {
	now := y.slip(s.Owner)
	s.OtherNow = now.Other
	s.Changes = changesOf(&s.Slip, &now)
	if len(s.Changes) == 0 {
		return nil
	}
	then, err := y.knownAt(s.BookVersion)
	if err != nil {
		return err
	}
	inquest := inquest{slip: &s.Slip, taxYear: y, versions: then.differences(&s.Slip), then: then.slip(s.Owner)}
	for i := range s.Changes {
		inquest.explain(&s.Changes[i])
	}
	s.classify()
	if a, differs := y.book.Amend(s.Totals, s.Changes[0].lead()); differs {
		s.Amendment = &a
	}
	return nil
}

// lead names the first cause of a change.
func (c *SlipChange) lead() string {
	if len(c.Causes) == 0 {
		return ""
	}
	return cmp.Or(c.Causes[0].Event, string(c.Causes[0].Kind))
}

// knownAt returns the year by the facts that counted at a book version and today's rules.
func (y *taxYear) knownAt(version int64) (*taxYear, error) {
	h := *y.household
	h.Events, h.Arrivals, h.Slips = h.KnownAt(version), nil, nil
	h.Imported = len(h.Events)
	return y.year(h)
}

// differences returns the versions that a slip was made under and that differ today, as causes.
func (y *taxYear) differences(s *Slip) []Cause {
	var causes []Cause
	rules, circle, identical := y.versions()
	for _, v := range []Cause{{Kind: CauseRules, From: s.Rules, To: rules}, {Kind: CauseCircle, From: s.Circle, To: circle},
		{Kind: CauseIdentical, From: s.Identical, To: identical}} {
		if v.From != v.To {
			causes = append(causes, v)
		}
	}
	return causes
}

// inquest finds out what changed the lines of one slip.
type inquest struct {
	*taxYear
	slip     *Slip
	versions []Cause // that differ from those of the slip
	then     Slip    // what today's rules make of the facts of the slip's book version
}

// explain names the causes of a change: other versions where they alone make a difference, and each
// fact since the slip that changed the outcome of the sale. Where no outcome changed, only what a line
// says of it, every fact of the property since then is named.
func (q *inquest) explain(c *SlipChange) {
	c.Causes = []Cause{}
	if q.differed(c) {
		c.Causes = append(c.Causes, q.versions...)
	}
	found := len(c.Causes)
	property := q.property(c)
	var others []Cause
	for _, t := range q.timeline {
		if t.Cause.Version <= q.slip.BookVersion || t.Cause.Kind == CauseWindow {
			continue
		}
		if t.Event == c.Event && (t.moves() || t.From == "" || t.To == "") {
			c.Causes = append(c.Causes, t.Cause)
		}
	}
	if len(c.Causes) == found && !q.differed(c) {
		for _, s := range stepsOf(q.household) {
			if s.version > q.slip.BookVersion {
				others = append(others, q.arrivals(&s, property)...)
			}
		}
		c.Causes = append(c.Causes, others...)
	}
}

// differed reports whether today's rules make another line of the slip's own facts.
func (q *inquest) differed(c *SlipChange) bool {
	return slices.ContainsFunc(changesOf(q.slip, &q.then), func(d SlipChange) bool { return d.Event == c.Event })
}

// property returns the property of a change, "" for what no sale made.
func (q *inquest) property(c *SlipChange) string {
	for _, l := range []*TaxLine{c.Issued, c.Now} {
		if l != nil && l.Property != "" {
			return l.Property
		}
	}
	return ""
}

// arrivals returns what a book version brought or took of a property; "" is any.
func (q *inquest) arrivals(s *bookStep, property string) []Cause {
	part := bookStep{version: s.version, day: s.day}
	isOf := func(a *Arrival) bool {
		return property == "" || region.ScopeOf(q.household.Household, q.identical).Property(a.Event.Symbol) == property
	}
	for _, a := range s.added {
		if isOf(a) {
			part.added = append(part.added, a)
		}
	}
	for _, a := range s.removed {
		if isOf(a) {
			part.removed = append(part.removed, a)
		}
	}
	if len(part.added)+len(part.removed) == 0 {
		return nil
	}
	p := propertyLine{taxTimeline: &taxTimeline{rules: q.rules}}
	return []Cause{p.cause(&part, "")}
}

// classify says of each sale's changes whether they settle what the slip left open or amend it.
func (s *ShownSlip) classify() {
	open := map[string]bool{}
	for _, l := range s.Lines {
		open[l.Event] = open[l.Event] || l.State == region.Provisional
	}
	for i := range s.Changes {
		c := &s.Changes[i]
		c.Kind = Amended
		isAfter := func(why Cause) bool {
			return (why.Kind == CauseEvent || why.Kind == CauseLate) && why.Day > s.AsOf
		}
		if open[c.Event] && len(c.Causes) > 0 && !slices.ContainsFunc(c.Causes, func(why Cause) bool { return !isAfter(why) }) {
			c.Kind = Settled
		}
	}
}

// brokenSlip returns what of a slip does not add up: its lines to its totals, its totals and changes to
// today's, and a change that nothing explains.
func brokenSlip(s *ShownSlip, now region.YearTotals) []string {
	var broken []string
	name := string(s.Household) + " " + string(s.Owner) + " " + strconv.Itoa(s.Year) + " slip " + strconv.Itoa(s.Number)
	add := func(what string) { broken = append(broken, name+": "+what) }
	net, denied, lost := s.Other, money.Zero, money.Zero
	for i := range s.Lines {
		l := &s.Lines[i]
		net, denied, lost = net.Add(l.Gain), denied.Add(l.Adjustment), lost.Add(l.Lost)
	}
	if net != s.Totals.Net() || denied != s.Totals.Denied || lost != s.Totals.Lost {
		add("its lines do not add up to its totals")
	}
	for i := range s.Changes {
		c := &s.Changes[i]
		if c.Issued != nil {
			net, denied, lost = net.Sub(c.Issued.Gain), denied.Sub(c.Issued.Adjustment), lost.Sub(c.Issued.Lost)
		}
		if c.Now != nil {
			net, denied, lost = net.Add(c.Now.Gain), denied.Add(c.Now.Adjustment), lost.Add(c.Now.Lost)
		}
		if len(c.Causes) == 0 {
			add("sale " + c.Event + " differs and no fact, rule or table explains it")
		}
	}
	if net != now.Net() || denied != now.Denied || lost != now.Lost {
		add("what was issued and its amendments do not add up to today's totals")
	}
	return broken
}
