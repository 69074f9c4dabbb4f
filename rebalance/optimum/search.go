package optimum

import (
	"math"
	"slices"
)

const (
	gradientDone   = 1e-11 // of a problem without choices
	gradientRough  = 1e-4  // of a smoothed problem: the bound holds anywhere, so this costs nothing but tightness
	feasible       = 1e-9  // largest excess over a row of an unrounded solution
	nodesDefault   = 400
	nodesExact     = 20_000
	gapExact       = 1e-9
	unboundedValue = 10 // a dual value that no account's objective reaches
	flipRounds     = 6
)

// smoothing is the sequence of widths at the root; a branch uses the last branchWidths of them.
var smoothing = [...]float64{3e-5, 1e-6}

const branchWidths = 1

// search finds good choices of pieces, and a bound for all choices, by branching.
type search struct {
	climber
	best      incumbent
	mask      []uint8
	pattern   []uint8
	nodes     []node
	duals     []float64 // nodes × dim
	frontier  []int32   // open nodes of the run at hand
	kept      []float64 // a dual point to come back to
	curve     []float64 // that of the items while it is changed
	cuts      []piece   // while nodes narrow pieces: the pieces of the whole problem
	nodesUsed int
	settled   float64 // least bound of the nodes that cannot be split further
}

// incumbent is the best feasible solution found, before rounding.
type incumbent struct {
	value float64
	trade []float64 // by item
	sold  []float64 // by lot of the account
	dual  []float64
	piece []uint8
}

// node is a part of the search tree: the parent's problem with item kept to the pieces in mask and its
// trade to the range from lo to hi. An open node has no children; the open nodes under a root cover all
// that the root allows.
type node struct {
	parent, item, variant int32
	mask                  uint8
	isOpen                bool
	lo, hi                float64
	bound                 float64
}

func (s *search) reset(p *problem, lots int) {
	s.climber.reset(p)
	dim := p.factors + p.rows
	s.best.reset(p, lots)
	s.mask, s.pattern = resize(s.mask, p.items), resize(s.pattern, p.items)
	s.kept = resize(s.kept, dim)
	s.nodesUsed = 0
	s.cuts = s.cuts[:0]
	s.clearTree()
}

func (b *incumbent) reset(p *problem, lots int) {
	b.value = infinite
	b.trade, b.sold = resize(b.trade, p.items), resize(b.sold, lots)
	b.dual, b.piece = resize(b.dual, p.factors+p.rows), resize(b.piece, p.items)
}

func (s *search) clearTree() { s.nodes, s.duals = s.nodes[:0], s.duals[:0] }

// begin sets the dual point that a search starts from cold: prices of factors for a part of the
// exposures at the start, the smaller the less specific risk there is to hold trades back.
func (s *search) begin(idle float64) {
	p, d := s.p, s.now
	clear(d.dual)
	mean := 0.0
	for _, a := range p.curve {
		mean += a
	}
	mean /= float64(len(p.curve))
	part := 0.4 * p.aversion * mean / (1 + mean)
	for i, x := range p.start {
		axpy(part*x, p.load[i*p.factors:(i+1)*p.factors], d.dual[:p.factors])
	}
	d.dual[p.factors] = idle
}

// clamp moves the multipliers of the dual point at hand into their ranges.
func (s *search) clamp() {
	for r, most := range s.p.cap {
		m := &s.now.dual[s.p.factors+r]
		*m = inRange(*m, most)
	}
}

// run solves the problem over the pieces in all, from the dual point at hand, and returns a lower
// bound. The best trades are kept where they beat those known.
func (s *search) run(all []uint8, variant int32, o *Options) float64 {
	copy(s.mask, all)
	s.approach(all)
	s.highest.value = math.Inf(-1)
	if isSingle(all) {
		s.climb(all, 0, stop{gradientDone, unboundedValue, climbStepsMax})
		s.consider(all)
		s.push(node{parent: -1, item: -1, variant: variant, isOpen: true, lo: -infinite, hi: infinite})
		return s.highest.value
	}
	for _, eps := range smoothing {
		s.climb(s.mask, eps, stop{gradientRough, math.Min(unboundedValue, s.best.value), climbStepsMax})
	}
	root := s.push(node{parent: -1, item: -1, variant: variant, isOpen: true, lo: -infinite, hi: infinite})
	s.improve()
	s.frontier = append(s.frontier[:0], root)
	return s.branch(all, o)
}

// flatness is the sequence of curvatures below which no item's lies while a climb begins, where some
// have next to none: from one to the next the top moves little.
var flatness = [...]float64{2e-2, 2e-3}

const approachSteps = 60

// approach moves the dual point to where the top would be if no item were flat. What it finds is no
// bound.
func (s *search) approach(mask []uint8) {
	p := s.p
	if slices.Min(p.curve) >= flatness[len(flatness)-1] || !p.isTied {
		return
	}
	s.curve = append(s.curve[:0], p.curve...)
	for _, least := range flatness {
		for i, a := range s.curve {
			p.curve[i] = max(a, least)
		}
		s.climb(mask, smoothing[0], stop{gradientRough, unboundedValue, approachSteps})
	}
	copy(p.curve, s.curve)
}

func isSingle(mask []uint8) bool {
	for _, m := range mask {
		if m&(m-1) != 0 {
			return false
		}
	}
	return true
}

// push adds a node with the highest bound since the climb began and the dual point that gave it.
func (s *search) push(n node) int32 {
	n.bound = s.highest.value
	s.nodes = append(s.nodes, n)
	s.duals = append(s.duals, s.highest.dual...)
	return int32(len(s.nodes) - 1)
}

// improve solves for the pieces that look best at the dual point at hand, then moves items to the
// pieces that the solution's prices favour, as long as that helps. The dual point is kept.
func (s *search) improve() {
	copy(s.kept, s.now.dual)
	highest := s.highest.value
	for i, j := range s.now.choice {
		s.pattern[i] = 1 << j
	}
	for range flipRounds {
		if equal(s.pattern, s.best.piece) {
			break
		}
		done := s.climb(s.pattern, 0, stop{gradientDone, s.best.value, climbStepsMax})
		if !done || !s.consider(s.pattern) || !s.flip() {
			break
		}
	}
	s.highest.value = highest
	copy(s.now.dual, s.kept)
}

// flip moves every item to its best piece at the dual point at hand and reports whether one moved.
func (s *search) flip() bool {
	copy(s.next.dual, s.now.dual)
	s.p.evaluate(s.next, s.mask, 0)
	moved := false
	for i, j := range s.next.choice {
		if s.next.spread[i] > 0 && s.pattern[i] != 1<<j {
			s.pattern[i] = 1 << j
			moved = true
		}
	}
	return moved
}

func equal(a, b []uint8) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// consider takes the trades at the dual point at hand where they are feasible and the best so far.
func (s *search) consider(pattern []uint8) bool {
	f, ok := s.p.objective(s.now)
	if !ok || f >= s.best.value {
		return false
	}
	s.best.value = f
	copy(s.best.trade, s.now.trade)
	copy(s.best.dual, s.now.dual)
	copy(s.best.piece, pattern)
	s.p.allot(s.now.trade, s.best.sold)
	return true
}

// branch splits the open node of the least bound until the gap is closed or the count is used up.
func (s *search) branch(all []uint8, o *Options) float64 {
	aim, most := o.GapAim, nodesDefault
	if o.Exact {
		aim, most = gapExact, nodesExact
	}
	if o.NodesMax > 0 {
		most = o.NodesMax
	}
	s.settled = infinite
	for used := 0; ; used += 2 {
		at, bound := s.leastOpen()
		if at < 0 || s.best.value-bound <= aim || used >= most {
			s.nodesUsed += used
			return min(bound, s.settled)
		}
		k := s.frontier[at]
		s.frontier[at] = s.frontier[len(s.frontier)-1]
		s.frontier = s.frontier[:len(s.frontier)-1]
		s.expand(k, all, aim)
	}
}

// leastOpen returns the place in the frontier of the node with the least bound, and that bound;
// -1 and infinity where the frontier is empty.
func (s *search) leastOpen() (at int, bound float64) {
	at, bound = -1, infinite
	for j, k := range s.frontier {
		if s.nodes[k].bound < bound {
			at, bound = j, s.nodes[k].bound
		}
	}
	return at, bound
}

// expand replaces node k by two that split the pieces of its most doubtful item.
func (s *search) expand(k int32, all []uint8, aim float64) {
	s.enterNode(k, all)
	i, first := s.doubtful()
	if i < 0 {
		s.close(k)
		return
	}
	s.nodes[k].isOpen = false
	whole := s.mask[i]
	for _, m := range [...]uint8{1 << first, whole &^ (1 << first)} {
		s.mask[i] = m
		copy(s.now.dual, s.nodeDual(k))
		s.highest.value = math.Inf(-1)
		for _, eps := range smoothing[len(smoothing)-branchWidths:] {
			s.climb(s.mask, eps, stop{gradientRough, s.best.value, climbStepsMax})
		}
		child := s.push(node{parent: k, item: int32(i), variant: s.nodes[k].variant, mask: m, isOpen: true, lo: -infinite, hi: infinite})
		if s.nodes[child].bound < s.best.value-aim {
			s.improve()
		}
		s.frontier = append(s.frontier, child)
	}
}

// close solves node k, in which every item has one piece left, as far as rounding allows. It does not
// come back to the frontier.
func (s *search) close(k int32) {
	s.settle(k, 0)
	s.consider(s.mask)
	s.settled = min(s.settled, s.nodes[k].bound)
}

// settle climbs from the dual point of node k, which is entered, as far as rounding allows.
func (s *search) settle(k int32, eps float64) {
	s.highest.value = math.Inf(-1)
	s.climb(s.mask, eps, stop{gradientDone, s.cutoff(), climbStepsMax})
	if s.highest.value > s.nodes[k].bound {
		s.nodes[k].bound = s.highest.value
		copy(s.nodeDual(k), s.highest.dual)
	}
}

// cutoff is the bound from which a node needs no further look.
func (s *search) cutoff() float64 {
	if len(s.cuts) > 0 {
		return unboundedValue
	}
	return s.best.value
}

// enterNode sets mask and dual point to those of node k and evaluates there.
func (s *search) enterNode(k int32, all []uint8) {
	copy(s.mask, all)
	copy(s.p.piece, s.cuts)
	for j := k; s.nodes[j].parent >= 0; j = s.nodes[j].parent {
		n := &s.nodes[j]
		s.mask[n.item] = n.cut(s.p.piece[n.item*piecesMax:(n.item+1)*piecesMax], s.mask[n.item])
	}
	copy(s.now.dual, s.nodeDual(k))
	s.p.evaluate(s.now, s.mask, smoothing[len(smoothing)-1])
}

func (s *search) nodeDual(k int32) []float64 {
	dim := s.p.factors + s.p.rows
	return s.duals[int(k)*dim : (int(k)+1)*dim]
}

// doubtful returns the item whose pieces contribute most to the gap, or else the one whose pieces
// differ least, with its best piece; -1 where every item has one piece left.
func (s *search) doubtful() (item int, piece uint8) {
	item = -1
	for i, d := range s.now.doubt {
		if d > 0 && (item < 0 || d > s.now.doubt[item]) {
			item = i
		}
	}
	if item < 0 {
		for i, d := range s.now.spread {
			if !math.IsInf(d, 1) && (item < 0 || d < s.now.spread[item]) {
				item = i
			}
		}
	}
	if item < 0 {
		return -1, 0
	}
	return item, s.now.choice[item]
}
