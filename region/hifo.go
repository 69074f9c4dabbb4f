package region

import (
	"cmp"

	"daybreak/market"
	"daybreak/money"
)

// priceHeap finds an account's piece with the highest basis a share. Pieces that are sold, or whose
// basis changes, leave a stale entry behind that is dropped once it is on top.
type priceHeap struct {
	all     []priced // a heap: no entry comes before its parent
	waiting []int32  // pieces to enter
}

// priced is a piece with the basis a share that it had when it was entered.
type priced struct {
	each     money.Dec
	acquired market.Day
	seq      int64
	index    int32
}

// compare orders entries: the highest basis first, of equals the first acquired.
func (p *priced) compare(q *priced) int {
	return cmp.Or(q.each.Cmp(p.each), cmp.Compare(p.acquired, q.acquired), cmp.Compare(p.seq, q.seq))
}

func (h *priceHeap) push(p priced) {
	h.all = append(h.all, p)
	for k := len(h.all) - 1; k > 0; {
		parent := (k - 1) / 2
		if h.all[parent].compare(&h.all[k]) <= 0 {
			return
		}
		h.all[parent], h.all[k] = h.all[k], h.all[parent]
		k = parent
	}
}

func (h *priceHeap) pop() {
	last := len(h.all) - 1
	h.all[0] = h.all[last]
	h.all = h.all[:last]
	for k := 0; ; {
		least := k
		for child := 2*k + 1; child <= 2*k+2 && child < last; child++ {
			if h.all[child].compare(&h.all[least]) < 0 {
				least = child
			}
		}
		if least == k {
			return
		}
		h.all[least], h.all[k] = h.all[k], h.all[least]
		k = least
	}
}

// reprice notes that a piece came to an account, or that its basis changed, where the account's pieces
// are sold by price.
func (f *fold) reprice(index int32) {
	if h := f.seats[f.lot.pieces[index].seat].lots.prices; h != nil {
		h.waiting = append(h.waiting, index)
	}
}

// dearest returns the piece of an account with the highest basis a share, adjustments and commission
// included; of equals the first, −1 where there is none. Pieces of one lot carry roundings at the
// twelfth place, so what is equal is decided at the eighth.
func (f *fold) dearest(at int32) int32 {
	l := &f.seats[at].lots
	if l.prices == nil {
		l.prices = &priceHeap{}
		for index := l.first - 1; index >= 0; index = f.lot.pieces[index].next {
			l.prices.waiting = append(l.prices.waiting, index)
		}
	}
	h := l.prices
	for _, index := range h.waiting {
		p := &f.lot.pieces[index]
		if p.isGone {
			continue
		}
		if !p.isPriced {
			p.each, p.isPriced = p.Basis.Share(money.RatInt(1), p.Shares).Round(8), true
		}
		h.push(priced{p.each, p.Acquired, p.Seq, index})
	}
	h.waiting = h.waiting[:0]
	for len(h.all) > 0 {
		top := &h.all[0]
		if p := &f.lot.pieces[top.index]; !p.isGone && p.each == top.each {
			return f.firstAlike(top.index)
		}
		h.pop()
	}
	return -1
}

// firstAlike returns the first piece of the lot of a piece that has the same basis a share.
func (f *fold) firstAlike(index int32) int32 {
	first, p := index, &f.lot.pieces[index]
	for prev := p.prev; prev >= 0 && f.lot.pieces[prev].Seq == p.Seq; prev = f.lot.pieces[prev].prev {
		if f.lot.pieces[prev].each == p.each {
			first = prev
		}
	}
	return first
}
