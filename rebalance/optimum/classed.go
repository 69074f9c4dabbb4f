package optimum

// reprice sets the lots' tax a unit, and their order, for the multipliers of rows that count
// gains. Elsewhere tax and order stay as they were prepared.
//
// Within one class tax a unit is (rate + multipliers)·gain, so a class keeps its order by gain, or
// takes the opposite one where the bracket is negative; the two classes are merged.
func (p *problem) reprice(mu []float64) {
	if !p.isClassed {
		return
	}
	changed := false
	for c := range classes {
		rate := p.rate[c]
		for r, m := range mu {
			rate += float64(m * p.classRow[r*classes+c])
		}
		changed = changed || rate != p.effective[c]
		p.effective[c] = rate
	}
	if !changed {
		return
	}
	for i := range p.items {
		p.merge(int(p.lots.first[i]), int(p.lots.first[i+1]))
	}
}

// merge orders the lots [first, end) of one item by effective tax, then short before long, then
// as prepared; byGain holds them by class and ascending gain.
func (p *problem) merge(first, end int) {
	mid := first
	for mid < end && p.byGain.class[mid] == shortTerm {
		mid++
	}
	short := walk{first, mid, 1}
	long := walk{mid, end, 1}
	if p.effective[shortTerm] < 0 {
		short = walk{mid - 1, first - 1, -1}
	}
	if p.effective[longTerm] < 0 {
		long = walk{end - 1, mid - 1, -1}
	}
	for l := first; l < end; l++ {
		from := &short
		if short.next == short.end || long.next != long.end && p.taxAt(long.next) < p.taxAt(short.next) {
			from = &long
		}
		j := from.next
		from.next += from.by
		p.lots.value[l] = p.byGain.value[j]
		p.lots.gain[l] = p.byGain.gain[j]
		p.lots.class[l] = p.byGain.class[j]
		p.lots.source[l] = p.byGain.source[j]
		p.lots.tax[l] = p.taxAt(j)
	}
}

// walk is a range of lots that is passed in either direction.
type walk struct{ next, end, by int }

func (p *problem) taxAt(j int) float64 {
	return float64(p.effective[p.byGain.class[j]] * p.byGain.gain[j])
}
