package optimum

import "math"

const (
	wholeFew        = 40   // items up to which the search for whole shares takes its time, and rounding may change roles
	wholeMax        = 128  // items up to which whole shares are searched by branching
	wholeAim        = 3e-5 // gap at which that ends, fraction of value
	wholeAimMany    = 9e-5 // above wholeFew items
	wholeNodes      = 600  // branches of one account
	wholeNodesMany  = 120
	wholeNodesExact = 20_000
	onGridNear      = 1e-6 // of a tick, by which a trade may miss a whole share and still be one
)

// whole is the best set of whole shares found by branching.
type whole struct {
	isOn    bool
	value   float64 // objective of the counts; +Inf where there are none
	count   []int64
	tried   []int64   // counts that rounding began from last
	dual    []float64 // at which the lots stood in order
	variant int32
}

func (w *whole) reset(p *problem, isOn bool) {
	w.isOn, w.value = isOn, infinite
	if isOn {
		w.count, w.tried = resize(w.count, p.items), resize(w.tried, p.items)
		w.dual = resize(w.dual, p.factors+p.rows)
		for i := range w.tried {
			w.tried[i] = math.MinInt64
		}
	}
}

// branchWhole splits the open nodes of the tree at hand between whole shares, the least bound first,
// until the best shares found are within the aim of it or the count is used up. Every branch rounds
// its own solution. It returns the certified bound of the tree.
func (s *Solver) branchWhole(all []uint8, k int32) float64 {
	se, o := &s.search, s.book.o
	se.cuts = append(se.cuts[:0], s.p.piece...)
	s.setTicks()
	s.tryRound(se.best.trade, se.best.dual, k)
	se.frontier = se.frontier[:0]
	for n := range se.nodes {
		if v := &se.nodes[n]; v.isOpen && v.variant == k {
			v.bound = s.bounder.node(se, n, all)
			se.frontier = append(se.frontier, int32(n))
		}
	}
	aim, most := max(wholeAim, o.GapAim), wholeNodes
	if s.p.items > wholeFew {
		aim, most = max(wholeAimMany, o.GapAim), wholeNodesMany
	}
	if o.Exact {
		aim, most = gapExact, wholeNodesExact
	}
	if o.NodesMax > 0 {
		most = o.NodesMax
	}
	se.settled = infinite
	var least float64
	for used := 0; ; used += 2 {
		at, bound := se.leastOpen()
		least = min(bound, se.settled)
		if at < 0 || s.whole.value-bound <= aim || used >= most {
			se.nodesUsed += used
			break
		}
		n := se.frontier[at]
		se.frontier[at] = se.frontier[len(se.frontier)-1]
		se.frontier = se.frontier[:len(se.frontier)-1]
		s.expandWhole(n, all, aim)
	}
	copy(s.p.piece, se.cuts)
	se.cuts = se.cuts[:0]
	return least - boundAllowance
}

// expandWhole replaces a node by two between which one item's trade lies, or by two with other pieces.
func (s *Solver) expandWhole(n int32, all []uint8, aim float64) {
	se, p := &s.search, &s.p
	se.enterNode(n, all)
	children, ok := s.splitWhole(n)
	if !ok { // at a rough dual point all trades may lie on whole shares that break a row
		se.settle(n, smoothing[len(smoothing)-1])
		s.tryRound(se.now.trade, se.now.dual, se.nodes[n].variant)
		if children, ok = s.splitWhole(n); !ok {
			se.settled = min(se.settled, s.bounder.node(se, int(n), all))
			return
		}
	}
	se.nodes[n].isOpen = false
	i := children[0].item
	var pieces [piecesMax]piece
	own := p.piece[i*piecesMax : (i+1)*piecesMax]
	copy(pieces[:], own)
	mask := se.mask[i]
	for _, child := range children {
		copy(own, pieces[:])
		if se.mask[i] = child.cut(own, mask); se.mask[i] == 0 {
			continue
		}
		copy(se.now.dual, se.nodeDual(n))
		se.highest.value = math.Inf(-1)
		se.climb(se.mask, smoothing[len(smoothing)-1], stop{gradientRough, min(unboundedValue, s.whole.value), climbStepsMax})
		at := se.push(child)
		bound := s.bounder.node(se, int(at), all)
		se.nodes[at].bound = bound
		if bound < s.whole.value-aim {
			s.tryRound(se.now.trade, se.now.dual, child.variant)
		}
		se.frontier = append(se.frontier, at)
	}
}

// splitWhole returns the two parts of the node at hand, split at the item whose trade, off a whole
// share or a mean of pieces, is likely to cost most; false where there is none.
func (s *Solver) splitWhole(n int32) (children [2]node, ok bool) {
	se, p, r := &s.search, &s.p, &s.rounder
	item, worst, isPiece := -1, 0.0, false
	for i := range s.book.u.Securities {
		if s.grid[i] == 0 && se.now.doubt[i] == 0 {
			continue
		}
		t := se.now.trade[i]
		down := r.value(i, r.below(i, t))
		up := r.value(i, r.below(i, t)+1)
		load := p.load[i*p.factors : (i+1)*p.factors]
		off := float64((float64(p.aversion*dot(load, load)) + float64(0.5*p.curve[i])) * max(0, float64((t-down)*(up-t))))
		if min(t-down, up-t) <= onGridNear*r.tick[i] || s.grid[i] == 0 {
			off = 0
		}
		if off > worst {
			item, worst, isPiece = i, off, false
		}
		if se.now.doubt[i] > worst {
			item, worst, isPiece = i, se.now.doubt[i], off == 0
		}
	}
	if item < 0 {
		return children, false
	}
	one := node{parent: n, item: int32(item), variant: se.nodes[n].variant, mask: se.mask[item], isOpen: true, lo: -infinite, hi: infinite}
	children = [2]node{one, one}
	if isPiece {
		children[0].mask = 1 << se.now.choice[item]
		children[1].mask = one.mask &^ children[0].mask
		return children, true
	}
	count := r.below(item, se.now.trade[item])
	children[0].hi, children[1].lo = r.value(item, count), r.value(item, count+1)
	return children, true
}

// below is the largest count of item i whose value is at most t.
func (r *rounder) below(i int, t float64) int64 {
	return int64(math.Floor(t/r.tick[i] + onGridNear))
}

// cut narrows the pieces of the node's item to its range and returns those of mask that are left.
func (n *node) cut(pieces []piece, mask uint8) uint8 {
	mask &= n.mask
	for j := range pieces {
		in := &pieces[j]
		in.lo, in.hi = max(in.lo, n.lo), min(in.hi, n.hi)
		if in.lo > in.hi {
			mask &^= 1 << j
		}
	}
	return mask
}

// tryRound rounds trades to whole shares and keeps them where they are the best so far.
func (s *Solver) tryRound(trade, dual []float64, variant int32) {
	w, r, p := &s.whole, &s.rounder, &s.p
	p.reprice(dual[p.factors:])
	r.near(trade)
	if isSame(r.count, w.tried) {
		return
	}
	copy(w.tried, r.count)
	r.sum()
	if !r.repair() {
		return
	}
	r.polish(true)
	if f := r.objective(); f < w.value {
		w.value, w.variant = f, variant
		copy(w.count, r.count)
		copy(w.dual, dual)
	}
}

func isSame(a, b []int64) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// objective is that of the counts at hand.
func (r *rounder) objective() float64 {
	p := r.p
	f := p.constant
	for _, y := range r.exposure {
		f += float64(float64(p.aversion*y) * y)
	}
	for k := p.rows - r.soft; k < p.rows; k++ {
		f += p.penalty(k, r.rowSum[k]-p.limit[k])
	}
	for i, t := range r.trade {
		x := p.start[i] + t
		f += float64(float64(0.5*p.curve[i]*x)*x) + p.tradeCost(i, t)
	}
	return f
}
