package optimum

import "math"

// Rows come in this order: the account's cash, each further balance, the ceiling of cash, each
// group's upper and lower bound, the budget of gains, two rows of the sign region.

const regionRows = 2

func (b *book) rows() int {
	n := 1 + len(b.a.Balances)
	if b.hasCeiling() {
		n++
	}
	for _, g := range b.a.Groups {
		n += boundsOf(g)
	}
	if b.a.Gains.HasBudget {
		n++
	}
	if b.a.Gains.IsNetted {
		n += regionRows
	}
	return n
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
	for r, cash := range b.cash {
		p.limit[r] = cash.Sub(b.need[r]).Float() / b.worth
	}
	r := len(b.cash)
	if b.hasCeiling() {
		p.limit[r] = cashBand - p.limit[0]
		for i := range b.u.Securities {
			p.buyRow[i*p.rows+r], p.sellRow[i*p.rows+r] = -p.buyRow[i*p.rows], -p.sellRow[i*p.rows]
		}
		r++
	}
	for _, g := range b.a.Groups {
		r = b.fillGroup(p, r, g)
	}
	gains := &b.a.Gains
	b.realised = [classes]float64{gains.ShortSoFar.Float() / b.worth, gains.LongSoFar.Float() / b.worth}
	if gains.HasBudget {
		p.limit[r] = gains.Budget.Float()/b.worth - b.realised[shortTerm] - b.realised[longTerm]
		p.classRow[r*classes], p.classRow[r*classes+1] = 1, 1
	}
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

// region is a part of the plane of net gains, short and long, in which tax is linear.
type region struct {
	rate [classes]float64
	sign [regionRows][classes]float64 // sign · (short, long) <= 0
}

// regions returns where tax is linear. With short and long both net gains each has its rate; a net
// loss of one is set against the other; a net loss of both together is worth the loss rate.
func (b *book) regions(p *problem) []region {
	short, long, loss := p.rate[shortTerm], p.rate[longTerm], b.a.Gains.LossRate.Float()
	bothGain := region{[classes]float64{short, long}, [regionRows][classes]float64{{-1, 0}, {0, -1}}}
	netLoss := region{[classes]float64{loss, loss}, [regionRows][classes]float64{{1, 1}, {0, 0}}}
	if b.realised[shortTerm] == 0 && !hasClass(p, shortTerm) {
		return []region{bothGain, netLoss}
	}
	return []region{
		bothGain,
		{[classes]float64{long, long}, [regionRows][classes]float64{{1, 0}, {-1, -1}}},
		{[classes]float64{short, short}, [regionRows][classes]float64{{0, 1}, {-1, -1}}},
		netLoss,
	}
}

func hasClass(p *problem, class uint8) bool {
	for l := range p.lots.first[p.items] {
		if p.lots.class[l] == class && p.lots.source[l] >= 0 {
			return true
		}
	}
	return false
}

// enter makes p the problem of one region; spent is the tax on what is realised already.
func (b *book) enter(p *problem, g region, spent float64) {
	p.rate = g.rate
	first := p.rows - regionRows
	for r, sign := range g.sign {
		p.limit[first+r] = 0
		for c, s := range sign {
			p.classRow[(first+r)*classes+c] = s
			p.limit[first+r] -= float64(s * b.realised[c])
		}
		if sign == [classes]float64{} {
			p.limit[first+r] = 1
		}
	}
	p.effective = [classes]float64{math.NaN(), math.NaN()} // so that the lots are put in order again
	p.constant -= p.regional
	p.regional = float64(g.rate[0]*b.realised[0]) + float64(g.rate[1]*b.realised[1]) - spent
	p.constant += p.regional
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
