package optimum

import "math"

// Rows come in this order: the account's cash, each further balance, the ceiling of cash, each
// group's upper and lower bound, the budget of gains, two rows of the net gains.

func (b *book) rows() int {
	n := 1 + len(b.a.Balances)
	if b.hasCeiling() {
		n++
	}
	for _, g := range b.groups() {
		n += boundsOf(g)
	}
	if b.hasBudget() {
		n++
	}
	if b.a.Gains.IsNetted {
		n += netRows
	}
	return n
}

// groups are the bands that trades must keep: none where there are no trades.
func (b *book) groups() []Group {
	if b.o.Mode == Nothing {
		return nil
	}
	return b.a.Groups
}

// hasBudget reports whether trades must keep a budget of gains.
func (b *book) hasBudget() bool { return b.a.Gains.HasBudget && b.o.Mode != Nothing }

// budgetRow is the place of the budget of gains.
func (b *book) budgetRow() int {
	k := b.rows() - 1
	if b.a.Gains.IsNetted {
		k -= netRows
	}
	return k
}

func boundsOf(g Group) int {
	n := 0
	if g.Upper.Sign() > 0 {
		n++
	}
	if g.Lower.Sign() > 0 {
		n++
	}
	return n
}

// hasCeiling reports whether sales must not raise more cash than is needed.
func (b *book) hasCeiling() bool {
	return b.o.Mode == CashOnly && len(b.a.Balances) == 0 && b.isShortOfCash()
}

// needs sets the least cash after trading: floor and withdrawal, or, where only harvests are
// wanted, the cash there is.
func (b *book) needs() {
	least := b.value.Mul(b.o.CashFloor).Add(b.a.Withdrawal)
	if b.o.Mode == HarvestOnly || b.o.Mode == Nothing {
		least = b.a.Cash
	}
	b.need = append(b.need[:0], least)
	for _, c := range b.a.Balances {
		b.need = append(b.need, c.Least)
	}
}

func (b *book) fillRows(p *problem) {
	for r := range p.cap {
		p.cap[r] = infinite
	}
	for r, cash := range b.cash {
		p.limit[r] = cash.Sub(b.need[r]).Float() / b.worth
	}
	r := len(b.cash)
	if b.hasCeiling() {
		p.limit[r] = max(cashBand, b.grain(p)) - p.limit[0]
		for i := range b.u.Securities {
			p.buyRow[i*p.rows+r], p.sellRow[i*p.rows+r] = -p.buyRow[i*p.rows], -p.sellRow[i*p.rows]
		}
		r++
	}
	for _, g := range b.groups() {
		r = b.fillGroup(p, r, g)
	}
	gains := &b.a.Gains
	b.realised = [classes]float64{gains.ShortSoFar.Float() / b.worth, gains.LongSoFar.Float() / b.worth}
	if b.hasBudget() {
		p.limit[r] = gains.Budget.Float()/b.worth - b.realised[shortTerm] - b.realised[longTerm]
		p.classRow[r*classes], p.classRow[r*classes+1] = 1, 1
	}
	b.listRows(p)
}

// listRows lists by item the rows that it takes part in.
func (b *book) listRows(p *problem) {
	gains := p.rows
	if b.hasBudget() {
		gains = b.budgetRow()
	} else if b.a.Gains.IsNetted {
		gains -= netRows
	}
	p.touched = p.touched[:0]
	p.touchedFrom = resize(p.touchedFrom, p.items+1)
	for i := range p.items {
		hasLots := i < len(b.u.Securities) && p.lots.first[i] < p.lots.first[i+1]
		for r := range p.rows {
			if p.buyRow[i*p.rows+r] != 0 || p.sellRow[i*p.rows+r] != 0 || r >= gains && hasLots {
				p.touched = append(p.touched, int32(r))
			}
		}
		p.touchedFrom[i+1] = int32(len(p.touched))
	}
}

// grain is the largest of the least sales of the securities that may be sold: what a sale for cash may
// have to raise beyond the need.
func (b *book) grain(p *problem) float64 {
	most := 0.0
	for i := range b.u.Securities {
		if p.lots.first[i] == p.lots.first[i+1] {
			continue
		}
		least := b.minTrade(i).Float() / b.worth
		if tick := b.step(i) * b.priceOf(i) / b.worth; b.isWhole(i) {
			least = math.Ceil(max(least/tick, 1)) * tick
		}
		most = max(most, least)
	}
	return most
}

func (b *book) fillGroup(p *problem, r int, g Group) int {
	held := 0.0
	for _, i := range g.Securities {
		held += b.weight[i]
	}
	if g.Upper.Sign() > 0 {
		p.limit[r] = g.Upper.Float() - held
		for _, i := range g.Securities {
			p.buyRow[int(i)*p.rows+r], p.sellRow[int(i)*p.rows+r] = 1, -1
		}
		r++
	}
	if g.Lower.Sign() > 0 {
		p.limit[r] = held - g.Lower.Float()
		for _, i := range g.Securities {
			p.buyRow[int(i)*p.rows+r], p.sellRow[int(i)*p.rows+r] = -1, 1
		}
		r++
	}
	return r
}

// variant is a convex tax of the year that is nowhere below the true one; the true one is the
// least of the variants. Tax is rate·net gain + Σ cap·max(0, row of the net gains).
type variant struct {
	rate float64
	cap  [netRows]float64
}

// netRows are the rows of a variant: all net gains, short-term net gains.
const netRows = 2

var netRow = [netRows][classes]float64{{1, 1}, {1, 0}}

// variants returns the convex taxes whose least is the tax of the year. With N = short + long net
// gain and rates short >= long >= loss, tax is
//
//	loss·N + (long − loss)·max(0, N) + (short − long)·max(0, min(short, N))
//
// and the last term is the lesser of max(0, short) and max(0, N), each convex.
func (b *book) variants(p *problem) (list [2]variant, n int) {
	short, long, loss := b.o.ShortRate, b.o.LongRate, b.a.Gains.LossRate.Float()
	if b.realised[shortTerm] == 0 && !hasClass(p, shortTerm) {
		list[0] = variant{loss, [netRows]float64{long - loss, 0}}
		return list, 1
	}
	list[0] = variant{loss, [netRows]float64{long - loss, short - long}}
	list[1] = variant{loss, [netRows]float64{short - loss, 0}}
	return list, 2
}

func hasClass(p *problem, class uint8) bool {
	for l := range p.lots.first[p.items] {
		if p.lots.class[l] == class && p.lots.source[l] >= 0 {
			return true
		}
	}
	return false
}

// enter makes p the problem of one variant; spent is the tax on what is realised already.
func (b *book) enter(p *problem, v variant, spent float64) {
	p.rate = [classes]float64{v.rate, v.rate}
	first := p.rows - netRows
	for r, row := range netRow {
		p.limit[first+r] = 0
		p.cap[first+r] = v.cap[r]
		for c, s := range row {
			p.classRow[(first+r)*classes+c] = s
			p.limit[first+r] -= float64(s * b.realised[c])
		}
	}
	p.effective = [classes]float64{math.NaN(), math.NaN()} // so that the lots are put in order again
	p.constant -= p.ofVariant
	p.ofVariant = float64(v.rate*(b.realised[0]+b.realised[1])) - spent
	p.constant += p.ofVariant
}

// yearTax returns the tax of a year with these net gains.
func (b *book) yearTax(short, long float64) float64 {
	rs, rl, loss := b.o.ShortRate, b.o.LongRate, b.a.Gains.LossRate.Float()
	switch {
	case short+long < 0:
		return loss * (short + long)
	case short < 0:
		return rl * (short + long)
	case long < 0:
		return rs * (short + long)
	}
	return float64(rs*short) + float64(rl*long)
}
