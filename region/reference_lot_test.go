package region_test

import (
	"math/big"
	"slices"
	"sort"
	"time"

	"daybreak/market"
	"daybreak/region"
)

// This file is a slow, exact reading of the text of the wash sale rules by big.Rat. It works the
// other way round than the engine: a sale at a loss looks through all purchases of its window, also
// those still to come, and reserves shares of them; a purchase is made of its reserved parts and
// the rest.

type refPiece struct {
	lot, group, account, owner, kind, symbol string
	shares, basis                            *big.Rat
	acquired, start                          time.Time
	event                                    int
	used                                     bool
}

// reserved is a part of a purchase to come that will replace.
type reserved struct {
	shares, denied *big.Rat // in units of the purchase
	days           int
	start          time.Time
}

type refPart struct {
	lot, term, by                         string
	shares, proceeds, basis, denied, lost *big.Rat
	start                                 time.Time
}

type lotReference struct {
	events               []region.Event
	method, tacking      string
	sameLot, alone       bool
	window               int
	outside              map[string]bool
	pieces               []*refPiece
	reservations         map[int][]reserved
	sales                map[string][]refPart
	st, lt, denied, lost map[int]*big.Rat
	isOver               bool
}

func asTime(d market.Day) time.Time { return d.Time() }

func days(from, to time.Time) int { return int(to.Sub(from).Hours() / 24) }

// heldLong: the day after the purchase counts as the first, and the sale must fall on or after that
// day of the next year.
func heldLong(start, sold time.Time) bool {
	next := start.AddDate(0, 0, 1)
	return !sold.Before(time.Date(next.Year()+1, next.Month(), next.Day(), 0, 0, 0, 0, time.UTC))
}

func bump(m map[int]*big.Rat, year int, amount *big.Rat) {
	if m[year] == nil {
		m[year] = num(0)
	}
	m[year] = plus(m[year], amount)
}

func (l *lotReference) counts(a, b string) bool {
	return a == b || !l.alone && !l.outside[a] && !l.outside[b]
}

func (l *lotReference) read() {
	l.reservations, l.sales = map[int][]reserved{}, map[string][]refPart{}
	l.st, l.lt, l.denied, l.lost = map[int]*big.Rat{}, map[int]*big.Rat{}, map[int]*big.Rat{}, map[int]*big.Rat{}
	for i := range l.events {
		switch e := &l.events[i]; e.Kind {
		case region.Buy, region.Drip:
			l.buy(i)
		case region.Sell:
			l.sell(i)
		case region.Split:
			for _, p := range l.pieces {
				if p.symbol == string(e.Symbol) {
					p.shares = times(p.shares, e.Ratio.Big())
				}
			}
		case region.ROC, region.RIDiv, region.RICG, region.CGDiv:
			l.distribute(e)
		}
		if l.isOver {
			return
		}
	}
}

func groupOf(e *region.Event) string {
	if e.Order != "" {
		return "order " + e.Order + " of " + string(e.Account)
	}
	return "lot " + e.ID
}

func (l *lotReference) buy(i int) {
	e := &l.events[i]
	p := refPiece{lot: e.ID, group: groupOf(e), account: string(e.Account), owner: string(e.Owner), kind: e.AccountType,
		symbol: string(e.Symbol), acquired: asTime(e.Day), start: asTime(e.Day), event: i, shares: e.Shares.Big(),
		basis: home(bigDec(e.Amount), bigDec(e.Commission), num(1), e)}
	for _, r := range l.reservations[i] {
		piece := p
		piece.shares, piece.basis = r.shares, over(times(p.basis, r.shares), p.shares)
		p.basis, p.shares = minus(p.basis, piece.basis), minus(p.shares, r.shares)
		l.adjust(&piece, r)
		l.pieces = append(l.pieces, &piece)
	}
	if p.shares.Sign() > 0 {
		l.pieces = append(l.pieces, &p)
	}
}

func (l *lotReference) adjust(p *refPiece, r reserved) {
	p.used = true
	if shelteredTypes[p.kind] {
		return
	}
	p.basis = plus(p.basis, r.denied)
	if l.tacking == "original_date" {
		p.start = r.start
	} else {
		p.start = p.start.AddDate(0, 0, -r.days)
	}
}

// pick returns the index of the piece that is sold next.
func (l *lotReference) pick(e *region.Event, named string) int {
	best := -1
	for k, p := range l.pieces {
		if p.account != string(e.Account) || p.symbol != string(e.Symbol) || p.shares.Sign() == 0 || named != "" && p.lot != named {
			continue
		}
		if best < 0 {
			best = k
			continue
		}
		b := l.pieces[best]
		switch {
		case named != "":
		case l.method == "hifo" && over(p.basis, p.shares).Cmp(over(b.basis, b.shares)) > 0:
			best = k
		case l.method == "lifo" && p.event > b.event:
			best = k
		}
	}
	return best
}

type soldPart struct {
	refPiece
	proceeds *big.Rat
}

// takeOut removes the shares of a sale from the lots and returns the parts.
func (l *lotReference) takeOut(e *region.Event) []soldPart {
	var parts []soldPart
	left := e.Shares.Big()
	take := func(named string, wanted *big.Rat) {
		for wanted.Sign() > 0 {
			k := l.pick(e, named)
			if k < 0 {
				l.isOver = l.isOver || named == ""
				return
			}
			p := l.pieces[k]
			n := smaller(wanted, p.shares)
			part := soldPart{refPiece: *p}
			part.shares, part.basis = n, over(times(p.basis, n), p.shares)
			p.basis, p.shares = minus(p.basis, part.basis), minus(p.shares, n)
			wanted, left = minus(wanted, n), minus(left, n)
			parts = append(parts, part)
		}
	}
	for _, named := range e.Lots {
		take(named.Lot, smaller(left, named.Shares.Big()))
	}
	take("", left)
	return parts
}

func (l *lotReference) sell(i int) {
	e := &l.events[i]
	parts := l.takeOut(e)
	if l.isOver || shelteredTypes[e.AccountType] {
		return
	}
	proceeds := home(bigDec(e.Amount), bigDec(e.Commission), num(-1), e)
	for k := range parts {
		parts[k].proceeds = over(times(proceeds, parts[k].shares), e.Shares.Big())
	}
	sort.SliceStable(parts, func(a, b int) bool { return parts[a].event < parts[b].event })
	for k := range parts {
		l.settle(i, &parts[k])
	}
}

// settle books one part: what is replaced is denied, the rest counts.
func (l *lotReference) settle(i int, part *soldPart) {
	e := &l.events[i]
	sold := asTime(e.Day)
	term := "ST"
	into := l.st
	if heldLong(part.start, sold) {
		term, into = "LT", l.lt
	}
	left := part.shares
	book := func(n, denied, lost *big.Rat, by string) {
		p := refPart{lot: part.lot, term: term, by: by, shares: n, denied: denied, lost: lost, start: part.start}
		p.proceeds, p.basis = over(times(part.proceeds, n), part.shares), over(times(part.basis, n), part.shares)
		l.sales[e.ID] = append(l.sales[e.ID], p)
		bump(into, e.Day.Year(), plus(minus(p.proceeds, p.basis), denied))
		bump(l.denied, e.Day.Year(), denied)
		bump(l.lost, e.Day.Year(), lost)
	}
	loss := minus(part.basis, part.proceeds)
	if loss.Sign() > 0 {
		for _, r := range l.replacements(i, part) {
			if left.Sign() == 0 {
				break
			}
			n := smaller(left, r.available)
			denied := over(times(loss, n), part.shares)
			lost := num(0)
			if r.sheltered {
				lost = denied
			}
			book(n, denied, lost, r.lot)
			r.use(n, reserved{denied: denied, days: days(part.start, sold), start: part.start})
			left = minus(left, n)
		}
	}
	if left.Sign() > 0 {
		book(left, num(0), num(0), "")
	}
}

type candidate struct {
	event     int
	lot       string
	sheltered bool
	available *big.Rat // in units of the sale
	use       func(n *big.Rat, r reserved)
}

// replacements are the purchases of the window, earliest first: lots still held, and those to come.
func (l *lotReference) replacements(i int, part *soldPart) []candidate {
	e := &l.events[i]
	var all []candidate
	for _, p := range l.pieces {
		if p.shares.Sign() == 0 || p.used || !l.counts(string(e.Owner), p.owner) || p.group == part.group && !l.sameLot {
			continue
		}
		if days(p.acquired, asTime(e.Day)) > l.window {
			continue
		}
		all = append(all, candidate{p.event, p.lot, shelteredTypes[p.kind], p.shares, func(n *big.Rat, r reserved) { l.useHeld(p, n, r) }})
	}
	factor := num(1)
	for j := i + 1; j < len(l.events); j++ {
		b := &l.events[j]
		if b.Kind == region.Split && b.Symbol == e.Symbol {
			factor = times(factor, b.Ratio.Big())
		}
		if b.Kind != region.Buy && b.Kind != region.Drip || days(asTime(e.Day), asTime(b.Day)) > l.window {
			continue
		}
		if !l.counts(string(e.Owner), string(b.Owner)) || groupOf(b) == part.group && !l.sameLot {
			continue
		}
		free := b.Shares.Big()
		for _, r := range l.reservations[j] {
			free = minus(free, r.shares)
		}
		by := factor
		all = append(all, candidate{j, b.ID, shelteredTypes[b.AccountType], over(free, by), func(n *big.Rat, r reserved) {
			if r.shares = times(n, by); r.shares.Sign() > 0 {
				l.reservations[j] = append(l.reservations[j], r)
			}
		}})
	}
	sort.SliceStable(all, func(a, b int) bool { return all[a].event < all[b].event })
	usable := all[:0]
	for _, c := range all {
		if c.available.Sign() > 0 {
			usable = append(usable, c)
		}
	}
	return usable
}

// useHeld splits the replacing part off a lot that is held and puts it in front of the rest.
func (l *lotReference) useHeld(p *refPiece, n *big.Rat, r reserved) {
	k := slices.Index(l.pieces, p)
	adjusted := *p
	adjusted.shares, adjusted.basis = n, over(times(p.basis, n), p.shares)
	p.basis, p.shares = minus(p.basis, adjusted.basis), minus(p.shares, n)
	l.adjust(&adjusted, r)
	// The rest keeps its place behind the adjusted piece: swap contents instead of moving others.
	rest := *p
	*p = adjusted
	if rest.shares.Sign() > 0 {
		after := append([]*refPiece(nil), l.pieces[k+1:]...)
		l.pieces = append(append(l.pieces[:k+1:k+1], &rest), after...)
	}
}

func (l *lotReference) distribute(e *region.Event) {
	if shelteredTypes[e.AccountType] {
		return
	}
	amount := home(bigDec(e.Amount), num(0), num(0), e)
	if e.Kind == region.CGDiv || e.Kind == region.RICG {
		bump(l.lt, e.Day.Year(), amount)
	}
	if e.Kind == region.CGDiv {
		return
	}
	held := num(0)
	for _, p := range l.pieces {
		if p.account == string(e.Account) && p.symbol == string(e.Symbol) {
			held = plus(held, p.shares)
		}
	}
	if held.Sign() == 0 {
		if e.Kind == region.ROC {
			bump(l.st, e.Day.Year(), amount)
		}
		return
	}
	for _, p := range l.pieces {
		if p.account != string(e.Account) || p.symbol != string(e.Symbol) {
			continue
		}
		part := over(times(amount, p.shares), held)
		if e.Kind != region.ROC {
			p.basis = plus(p.basis, part)
			continue
		}
		if p.basis = minus(p.basis, part); p.basis.Sign() < 0 {
			into := l.st
			if heldLong(p.start, asTime(e.Day)) {
				into = l.lt
			}
			bump(into, e.Day.Year(), negative(p.basis))
			p.basis = num(0)
		}
	}
}
