package region_test

import (
	"math/big"
	"sort"

	"daybreak/market"
	"daybreak/region"
)

// This file is a slow, exact reading of the text of the Canadian rules by big.Rat. It shares no
// code with the engine: no pools that are kept up to date, no timelines, no split factors. Every
// question is answered by going through the whole history again.

func num(n int64) *big.Rat         { return new(big.Rat).SetInt64(n) }
func plus(a, b *big.Rat) *big.Rat  { return new(big.Rat).Add(a, b) }
func minus(a, b *big.Rat) *big.Rat { return new(big.Rat).Sub(a, b) }
func times(a, b *big.Rat) *big.Rat { return new(big.Rat).Mul(a, b) }
func over(a, b *big.Rat) *big.Rat  { return new(big.Rat).Quo(a, b) }
func negative(a *big.Rat) *big.Rat { return new(big.Rat).Neg(a) }
func smaller(a, b *big.Rat) *big.Rat {
	if a.Cmp(b) < 0 {
		return a
	}
	return b
}

// bigDec returns a twelve-place number as it is.
func bigDec(d interface{ Big() *big.Int }) *big.Rat {
	return new(big.Rat).SetFrac(d.Big(), big.NewInt(1_000_000_000_000))
}

// refSale is what the reference finds for one sale.
type refSale struct {
	proceeds, cost, gross, denied, lost, gain *big.Rat
	sold, bought, held                        *big.Rat
	to                                        map[string]*big.Rat
}

// refBook is what the reference finds for a history.
type refBook struct {
	sales  map[string]*refSale
	shares map[string]*big.Rat // by pool
	cost   map[string]*big.Rat
	years  map[int]map[string]*big.Rat // gains, losses, denied, lost
	isOver bool                        // sold more than held: not compared
}

type refSettings struct {
	alloc, bScope, orphan, timing, basis string
	window                               int
	outside                              map[string]bool
	alone                                bool
}

// poolReference reads a history of one property.
type poolReference struct {
	refSettings
	events  []region.Event
	book    refBook
	joining map[int]map[string]*big.Rat // event → pool → amount that joins its cost with it
}

var shelteredTypes = map[string]bool{"rrsp": true, "tfsa": true, "ira": true, "roth": true}

func (p *poolReference) day(e *region.Event) market.Day {
	if p.basis == "settle" {
		return e.Settle
	}
	return e.Day
}

// poolOf names the pool of an account: one for all taxable accounts of an owner.
func poolOf(owner, account, accountType string) string {
	if shelteredTypes[accountType] {
		return owner + "|" + account
	}
	return owner + "|"
}

func pool(e *region.Event) string { return poolOf(string(e.Owner), string(e.Account), e.AccountType) }

func isSheltered(pool string) bool { return pool[len(pool)-1] != '|' }

func ownerOf(pool string) string {
	for i := range pool {
		if pool[i] == '|' {
			return pool[:i]
		}
	}
	return pool
}

// affiliated says whether two owners are one for the superficial loss.
func (p *poolReference) affiliated(a, b string) bool {
	return a == b || !p.alone && !p.outside[a] && !p.outside[b]
}

// change is how many shares an event brings a pool, in its own units, and whether it acquires.
func change(e *region.Event, name string) (n *big.Rat, acquires bool) {
	n = num(0)
	switch e.Kind {
	case region.Buy, region.Drip:
		if pool(e) == name {
			return e.Shares.Big(), true
		}
	case region.Sell:
		if pool(e) == name {
			return negative(e.Shares.Big()), false
		}
	case region.Contribute:
		if pool(e) == name {
			return negative(e.Shares.Big()), false
		}
		if poolOf(string(e.Owner), string(e.ToAccount), e.ToAccountType) == name {
			return e.Shares.Big(), true
		}
	}
	return n, false
}

// holding replays a pool up to and with event i.
func (p *poolReference) holding(name string, i int) *big.Rat {
	held := num(0)
	for j := 0; j <= i; j++ {
		if e := &p.events[j]; e.Kind == region.Split {
			held = times(held, e.Ratio.Big())
		} else {
			n, _ := change(e, name)
			held = plus(held, n)
		}
	}
	return held
}

// splits is the product of the splits after event i up to and with event j.
func (p *poolReference) splits(i, j int) *big.Rat {
	by := num(1)
	for k := i + 1; k <= j; k++ {
		if p.events[k].Kind == region.Split {
			by = times(by, p.events[k].Ratio.Big())
		}
	}
	return by
}

// inUnitsOf turns shares as of event i into shares as of event j.
func (p *poolReference) inUnitsOf(n *big.Rat, i, j int) *big.Rat {
	if i <= j {
		return times(n, p.splits(i, j))
	}
	return over(n, p.splits(j, i))
}

func (p *poolReference) pools() []string {
	seen := map[string]bool{}
	for i := range p.events {
		e := &p.events[i]
		if e.Kind == region.Split {
			continue
		}
		seen[pool(e)] = true
		if e.Kind == region.Contribute {
			seen[poolOf(string(e.Owner), string(e.ToAccount), e.ToAccountType)] = true
		}
	}
	var names []string
	for name := range seen {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

func (p *poolReference) year(day market.Day) map[string]*big.Rat {
	y := p.book.years[day.Year()]
	if y == nil {
		y = map[string]*big.Rat{"gains": num(0), "losses": num(0), "denied": num(0), "lost": num(0)}
		p.book.years[day.Year()] = y
	}
	return y
}

func (p *poolReference) gain(day market.Day, amount *big.Rat) {
	key := "gains"
	if amount.Sign() < 0 {
		key = "losses"
	}
	p.year(day)[key] = plus(p.year(day)[key], amount)
}

func home(amount, commission, sign *big.Rat, e *region.Event) *big.Rat {
	fx, fxc := bigDec(e.FX), bigDec(e.CommissionFX)
	if fx.Sign() == 0 {
		fx = num(1)
	}
	if fxc.Sign() == 0 {
		fxc = fx
	}
	return plus(times(amount, fx), times(times(commission, fxc), sign))
}

// read goes through the history; events are in order.
func (p *poolReference) read() refBook {
	p.book = refBook{sales: map[string]*refSale{}, shares: map[string]*big.Rat{}, cost: map[string]*big.Rat{},
		years: map[int]map[string]*big.Rat{}}
	p.joining = map[int]map[string]*big.Rat{}
	for _, name := range p.pools() {
		p.book.cost[name] = num(0)
		for i := range p.events {
			if p.holding(name, i).Sign() < 0 {
				p.book.isOver = true
				return p.book
			}
		}
		p.book.shares[name] = p.holding(name, len(p.events)-1)
	}
	for i := range p.events {
		p.apply(i)
		for name, amount := range p.joining[i] {
			p.book.cost[name] = plus(p.book.cost[name], amount)
		}
	}
	return p.book
}

func (p *poolReference) apply(i int) {
	e := &p.events[i]
	if e.Kind == region.Split {
		return
	}
	name, cost := pool(e), p.book.cost
	amount := bigDec(e.Amount)
	switch e.Kind {
	case region.Buy, region.Drip:
		cost[name] = plus(cost[name], home(amount, bigDec(e.Commission), num(1), e))
	case region.Sell, region.Contribute:
		p.sell(i)
	case region.ROC:
		if isSheltered(name) {
			return
		}
		if cost[name] = minus(cost[name], home(amount, num(0), num(0), e)); cost[name].Sign() < 0 {
			p.gain(p.day(e), negative(cost[name]))
			cost[name] = num(0)
		}
	case region.RICG, region.RIDiv, region.CGDiv:
		if isSheltered(name) {
			return
		}
		if e.Kind != region.CGDiv {
			cost[name] = plus(cost[name], home(amount, num(0), num(0), e))
		}
		if e.Kind != region.RIDiv {
			p.gain(p.day(e), home(amount, num(0), num(0), e))
		}
	}
}

func (p *poolReference) sell(i int) {
	e := &p.events[i]
	name := pool(e)
	if e.Kind == region.Contribute {
		to := poolOf(string(e.Owner), string(e.ToAccount), e.ToAccountType)
		p.book.cost[to] = plus(p.book.cost[to], num(0))
	}
	if isSheltered(name) {
		return
	}
	n, before := e.Shares.Big(), p.holding(name, i-1)
	s := &refSale{sold: n, bought: num(0), held: num(0), denied: num(0), lost: num(0), to: map[string]*big.Rat{}}
	s.proceeds = home(bigDec(e.Amount), bigDec(e.Commission), num(-1), e)
	s.cost = over(times(p.book.cost[name], n), before)
	p.book.cost[name] = minus(p.book.cost[name], s.cost)
	s.gross = minus(s.proceeds, s.cost)
	if s.gross.Sign() < 0 && e.Kind == region.Contribute {
		s.denied, s.lost = negative(s.gross), negative(s.gross)
	} else if s.gross.Sign() < 0 {
		p.deny(i, s)
	}
	s.gain = plus(s.gross, s.denied)
	p.gain(p.day(e), s.gain)
	y := p.year(p.day(e))
	y["denied"], y["lost"] = plus(y["denied"], s.denied), plus(y["lost"], s.lost)
	p.book.sales[e.ID] = s
}

// deny answers: who of the circle acquired in the sixty-one days, how much is held at their end,
// and whose cost takes the denied loss.
func (p *poolReference) deny(i int, s *refSale) {
	e := &p.events[i]
	first, last := p.day(e)-market.Day(p.window), p.day(e)+market.Day(p.window)
	end := i
	for j := range p.events {
		if p.day(&p.events[j]) <= last {
			end = j
		}
	}
	acquired, held := map[string]*big.Rat{}, map[string]*big.Rat{}
	for _, name := range p.pools() {
		if !p.affiliated(string(e.Owner), ownerOf(name)) {
			continue
		}
		acquired[name] = num(0)
		for j := range p.events {
			if d := p.day(&p.events[j]); d < first || d > last {
				continue
			}
			if n, acquires := change(&p.events[j], name); acquires {
				acquired[name] = plus(acquired[name], p.inUnitsOf(n, j, i))
			}
		}
		held[name] = p.inUnitsOf(p.holding(name, end), end, i)
		s.bought = plus(s.bought, acquired[name])
		if p.bScope == "all" || acquired[name].Sign() > 0 {
			s.held = plus(s.held, held[name])
		}
	}
	part := smaller(s.sold, smaller(s.bought, s.held))
	if part.Sign() <= 0 {
		return
	}
	weights, sum := map[string]*big.Rat{}, num(0)
	for name := range acquired {
		if acquired[name].Sign() == 0 {
			continue
		}
		weights[name] = smaller(acquired[name], held[name])
		if p.alloc == "holdings" {
			weights[name] = held[name]
		}
		sum = plus(sum, weights[name])
	}
	if sum.Sign() == 0 && p.orphan == "allow" {
		return
	}
	s.denied = over(times(negative(s.gross), part), s.sold)
	if sum.Sign() == 0 {
		s.lost = s.denied
		return
	}
	p.shareOut(i, end, first, s, weights)
}

// shareOut sends a denied loss to pools by their weights.
func (p *poolReference) shareOut(i, end int, first market.Day, s *refSale, weights map[string]*big.Rat) {
	sum := num(0)
	for _, w := range weights {
		sum = plus(sum, w)
	}
	for name, w := range weights {
		if w.Sign() == 0 {
			continue
		}
		amount := over(times(s.denied, w), sum)
		s.to[name] = amount
		if isSheltered(name) {
			s.lost = plus(s.lost, amount)
			continue
		}
		at := p.joinsWith(i, end, name, first)
		if p.joining[at] == nil {
			p.joining[at] = map[string]*big.Rat{}
		}
		if p.joining[at][name] == nil {
			p.joining[at][name] = num(0)
		}
		p.joining[at][name] = plus(p.joining[at][name], amount)
	}
}

// joinsWith finds the event with which a denied loss joins a pool: the sale where the pool holds
// shares acquired in the window, else the acquisition that begins the holding that lasts.
func (p *poolReference) joinsWith(i, end int, name string, first market.Day) int {
	if p.timing == "sale" {
		return i
	}
	at, boughtBefore := -1, false
	for j := 0; j <= i; j++ {
		if _, acquires := change(&p.events[j], name); acquires && p.day(&p.events[j]) >= first {
			boughtBefore = true
		}
	}
	if boughtBefore && p.holding(name, i).Sign() > 0 {
		at = i
	}
	for j := i + 1; j <= end; j++ {
		if _, acquires := change(&p.events[j], name); acquires && at < 0 {
			at = j
		}
		if p.holding(name, j).Sign() == 0 {
			at = -1
		}
	}
	if at < 0 {
		return i
	}
	return at
}
