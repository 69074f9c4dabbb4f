package region_test

import (
	"fmt"
	"math/big"
	"slices"
	"testing"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/region"
)

// This file is a slow, exact reading of the British rules by big.Rat, from TCGA 1992 s. 104 to 106A.
// What a person acquires on one day is one acquisition, what he disposes of on one day is one
// disposal. It works by days: disposals first take what was acquired on their day, then, the
// earliest disposal first, what was acquired in the window after it, the earliest first. The rest
// comes out of a pool that never saw what was matched.

// matchDay is a day of one owner, in units of the first day.
type matchDay struct {
	day                  market.Day
	bought, sold         *big.Rat // not matched yet
	cost                 *big.Rat // of bought
	proceeds, gain, from *big.Rat // of all sold; from: their cost
	first                int      // its first purchase
}

type matchReference struct {
	events  []region.Event
	owner   string
	window  market.Day
	days    []*matchDay
	held    *big.Rat // of the pool
	cost    *big.Rat
	other   map[int]*big.Rat // gains that no disposal made, by tax year
	isShort bool             // sold more than there was at a time: not compared
}

// units is the product of the splits up to an event.
func (r *matchReference) units(upTo int) *big.Rat {
	by := num(1)
	for i := range r.events[:upTo] {
		if r.events[i].Kind == region.Split {
			by = times(by, r.events[i].Ratio.Big())
		}
	}
	return by
}

func (r *matchReference) on(day market.Day) *matchDay {
	if k := slices.IndexFunc(r.days, func(d *matchDay) bool { return d.day == day }); k >= 0 {
		return r.days[k]
	}
	d := &matchDay{day: day, bought: num(0), sold: num(0), cost: num(0), proceeds: num(0), from: num(0), first: -1}
	r.days = append(r.days, d)
	return d
}

// isMine reports whether an event moves shares of the owner's taxable accounts, and whether in.
func (r *matchReference) isMine(e *region.Event) (in, out bool) {
	if string(e.Owner) != r.owner || e.AccountType != "taxable" {
		return false, false
	}
	return e.Kind == region.Buy || e.Kind == region.Drip, e.Kind == region.Sell || e.Kind == region.Contribute
}

// taxYear of a day begins on April 6.
func taxYear(day market.Day) int {
	t := day.Time()
	if t.Month() < 4 || t.Month() == 4 && t.Day() < 6 {
		return t.Year() - 1
	}
	return t.Year()
}

func (r *matchReference) read() {
	r.held, r.cost, r.other = num(0), num(0), map[int]*big.Rat{}
	left := num(0)
	for i := range r.events {
		e := &r.events[i]
		in, out := r.isMine(e)
		n := e.Shares.Big()
		if in || out {
			n = over(n, r.units(i))
		}
		switch d := r.on(e.Day); {
		case in:
			if d.first < 0 {
				d.first = i
			}
			d.bought, d.cost, left = plus(d.bought, n), plus(d.cost, home(bigDec(e.Amount), bigDec(e.Commission), num(1), e)), plus(left, n)
		case out:
			d.sold, d.proceeds, left = plus(d.sold, n), plus(d.proceeds, home(bigDec(e.Amount), bigDec(e.Commission), num(-1), e)), minus(left, n)
		}
		r.isShort = r.isShort || left.Sign() < 0
	}
	slices.SortFunc(r.days, func(a, b *matchDay) int { return int(a.day - b.day) })
	for _, d := range r.days {
		match(d, d)
	}
	for k, d := range r.days {
		for _, later := range r.days[k+1:] {
			if later.day <= d.day+r.window {
				match(d, later)
			}
		}
	}
	r.walk()
}

// match gives a disposal what it can have of an acquisition.
func match(sale, purchase *matchDay) {
	n := smaller(sale.sold, purchase.bought)
	if n.Sign() == 0 {
		return
	}
	cost := over(times(purchase.cost, n), purchase.bought)
	purchase.bought, purchase.cost = minus(purchase.bought, n), minus(purchase.cost, cost)
	sale.sold, sale.from = minus(sale.sold, n), plus(sale.from, cost)
}

// walk runs the pool through the history.
func (r *matchReference) walk() {
	for i := range r.events {
		e := &r.events[i]
		d := r.on(e.Day)
		if in, out := r.isMine(e); in && d.first == i {
			r.held, r.cost = plus(r.held, d.bought), plus(r.cost, d.cost)
		} else if out && d.sold.Sign() > 0 && r.isLastSale(i) {
			part := over(times(r.cost, d.sold), r.held)
			r.held, r.cost = minus(r.held, d.sold), minus(r.cost, part)
			d.from, d.sold = plus(d.from, part), num(0)
		}
		r.distribute(e)
	}
	for _, d := range r.days {
		d.gain = minus(d.proceeds, d.from)
	}
}

func (r *matchReference) isLastSale(i int) bool {
	for j := i + 1; j < len(r.events) && r.events[j].Day == r.events[i].Day; j++ {
		if _, out := r.isMine(&r.events[j]); out {
			return false
		}
	}
	return true
}

func (r *matchReference) distribute(e *region.Event) {
	if string(e.Owner) != r.owner || e.AccountType != "taxable" {
		return
	}
	amount := home(bigDec(e.Amount), num(0), num(0), e)
	switch e.Kind {
	case region.ROC:
		if r.cost = minus(r.cost, amount); r.cost.Sign() < 0 {
			bump(r.other, taxYear(e.Day), negative(r.cost))
			r.cost = num(0)
		}
	case region.RIDiv, region.RICG:
		r.cost = plus(r.cost, amount)
	}
	if e.Kind == region.RICG || e.Kind == region.CGDiv {
		bump(r.other, taxYear(e.Day), amount)
	}
}

// asBritish puts events of the Canadian generator into British accounts, and drops what would make
// the day's order matter: a distribution on a day with a disposal.
func asBritish(events []region.Event) []region.Event {
	sold := map[market.Day]bool{}
	for i := range events {
		e := &events[i]
		if e.AccountType != "taxable" {
			e.AccountType = "isa"
		}
		if e.Kind == region.Contribute {
			e.ToAccountType = "isa"
		}
		if e.Settle = e.Day; e.FX.IsZero() {
			e.Currency = "GBP"
		}
		sold[e.Day] = sold[e.Day] || e.Kind == region.Sell || e.Kind == region.Contribute
	}
	return slices.DeleteFunc(events, func(e region.Event) bool {
		return sold[e.Day] && (e.Kind == region.ROC || e.Kind == region.RICG || e.Kind == region.RIDiv)
	})
}

func TestMatchingAgreesWithReference(t *testing.T) {
	compared := 0
	n := histories(t)
	for seed := range uint64(n) {
		g := newGenerator(seed, false)
		rules, err := region.Load("UK")
		if err != nil {
			t.Fatal(err)
		}
		window := []int{30, 30, 10}[g.IntN(3)]
		if rules, err = rules.With(region.Settings{WindowDays: &window}); err != nil {
			t.Fatal(err)
		}
		events := inOrder(asBritish(g.history()), "trade")
		scope := region.Scope{Identical: map[market.Symbol]string{"XYZ": "XYZ", "XYZ.U": "XYZ"}}
		b, err := region.Trace(rules, scope, events)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for _, owner := range []string{"me", "spouse", "kid"} {
			ref := matchReference{events: events, owner: owner, window: market.Day(window)}
			if ref.read(); ref.isShort {
				continue
			}
			compared++
			if diff := compareMatched(b, &ref); diff != "" {
				t.Fatalf("seed %d, window %d, %s: %s\n%s", seed, window, owner, diff, dump(events))
			}
		}
	}
	if compared < n {
		t.Errorf("compared %d owners of %d histories, want at least one of each", compared, n)
	}
}

// compareMatched compares by days, since a day's disposals are one, and by tax years.
func compareMatched(b *region.Book, ref *matchReference) string {
	type sums struct{ proceeds, cost, gain money.Dec }
	got := map[market.Day]sums{}
	for _, s := range b.Sales() {
		if string(s.Owner) == ref.owner {
			d := got[s.Day]
			got[s.Day] = sums{d.proceeds.Add(s.Proceeds), d.cost.Add(s.Cost), d.gain.Add(s.Gain)}
		}
	}
	years := map[int]*big.Rat{}
	for year, amount := range ref.other {
		bump(years, year, amount)
	}
	for _, d := range ref.days {
		s := got[d.day]
		if !close9(s.proceeds, d.proceeds) || !close9(s.cost, d.from) || !close9(s.gain, d.gain) {
			return fmt.Sprintf("%s: proceeds %s cost %s gain %s, want %s %s %s", d.day, s.proceeds, s.cost, s.gain,
				d.proceeds.FloatString(9), d.from.FloatString(9), d.gain.FloatString(9))
		}
		bump(years, taxYear(d.day), d.gain)
	}
	for year, want := range years {
		if y := b.Year(portfolio.OwnerID(ref.owner), year); !close9(y.Net(), want) {
			return fmt.Sprintf("year %d: net %s, want %s", year, y.Net(), want.FloatString(9))
		}
	}
	held := times(ref.held, ref.units(len(ref.events)))
	for _, p := range b.Pools() {
		if string(p.Owner) == ref.owner && !p.Sheltered && (p.Shares.Big().Cmp(held) != 0 || !close9(p.Cost, ref.cost)) {
			return fmt.Sprintf("pool: %s shares, cost %s, want %s, %s", p.Shares, p.Cost, held.RatString(), ref.cost.FloatString(9))
		}
	}
	return ""
}
