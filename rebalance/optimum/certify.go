package optimum

import "daybreak/money"

// measured is what trades do, recomputed from the account and the trades alone.
type measured struct {
	parts     Parts
	variance  float64
	cash      []money.Dec
	residuals Residuals
	gain      [classes]float64
	shares    []money.Dec // after trading, by security
	sold      []money.Dec // shares sold of each lot
	traded    []money.Dec // net value bought by security
}

// measure sets m to what the plan's trades do. It uses the account, the universe and the options,
// never the arrays of the solver.
func (b *book) measure(m *measured, plan *Plan) {
	n := len(b.u.Securities)
	m.parts, m.residuals, m.gain = Parts{}, Residuals{}, [classes]float64{}
	m.cash = append(m.cash[:0], b.cash...)
	m.shares = append(m.shares[:0], b.held...)
	m.traded = resize(m.traded, n)
	m.sold = resize(m.sold, len(b.a.Lots))
	for _, t := range plan.Trades {
		b.apply(m, t)
	}
	for _, c := range plan.Conversions {
		b.convert(m, c)
	}
	b.measureRisk(m)
	if b.a.Gains.IsNetted {
		m.parts.Tax = b.yearTax(b.realised[0]+m.gain[0], b.realised[1]+m.gain[1]) - b.yearTax(b.realised[0], b.realised[1])
	}
	idle := 0.0
	for _, c := range m.cash {
		idle += c.Float() / b.worth
	}
	m.parts.Cash, m.parts.Drag = b.o.IdleCash*idle, 0
	for i, d := range b.a.Drag {
		if w := b.weightAfter(m, i); w != 0 {
			m.parts.Drag += float64(d.Float() * w)
		}
	}
	b.check(m, plan)
}

// apply adds one trade to shares, cash, tax and cost.
func (b *book) apply(m *measured, t Trade) {
	s := &b.u.Securities[t.Security]
	value := t.Shares.Mul(s.Price)
	cost := value.Mul(s.Cost)
	m.parts.Cost += cost.Float() / b.worth
	if t.Lot < 0 {
		m.shares[t.Security] = m.shares[t.Security].Add(t.Shares)
		m.cash[s.Cash] = m.cash[s.Cash].Sub(value).Sub(cost)
		m.traded[t.Security] = m.traded[t.Security].Add(value)
		return
	}
	l := &b.a.Lots[t.Lot]
	m.shares[t.Security] = m.shares[t.Security].Sub(t.Shares)
	m.cash[s.Cash] = m.cash[s.Cash].Add(value).Sub(cost)
	m.sold[t.Lot] = m.sold[t.Lot].Add(t.Shares)
	m.residuals.Lots = money.Max(m.residuals.Lots, m.sold[t.Lot].Sub(l.Shares))
	m.traded[t.Security] = m.traded[t.Security].Sub(value)
	gain := (value.Float() - float64(l.Cost.Float()*(t.Shares.Float()/l.Shares.Float()))) / b.worth
	if b.isSheltered(l) {
		gain = 0
	}
	rate, class := b.o.LongRate, longTerm
	if l.IsShort {
		rate, class = b.o.ShortRate, shortTerm
	}
	m.parts.Tax += float64(rate * gain)
	m.gain[class] += gain
	if gain < 0 && l.LossBarred {
		m.residuals.Bars++
	}
}

func (b *book) convert(m *measured, c Conversion) {
	spread := c.Amount.Abs().Mul(b.a.Balances[c.Balance].Spread)
	m.cash[0] = m.cash[0].Sub(c.Amount).Sub(spread)
	m.cash[1+c.Balance] = m.cash[1+c.Balance].Add(c.Amount)
	e := c.Amount.Float() / b.worth
	m.parts.Cost += spread.Float()/b.worth + float64(0.5*conversionCurve*e*e)
}

// measureRisk sums the risk of the weights after trading, factor by factor.
func (b *book) measureRisk(m *measured) {
	k := b.u.factors
	var exposure [factorsOnStack]float64
	y := exposure[:0]
	for range k {
		y = append(y, 0)
	}
	m.variance = 0
	for i := range b.u.Securities {
		s := &b.u.Securities[i]
		x := -b.target[i]
		if !m.shares[i].IsZero() {
			x += m.shares[i].Float() * s.Price.Float() / b.worth
		}
		if x == 0 {
			continue
		}
		for j, l := range s.Load {
			y[j] += float64(x * l)
		}
		own := s.SpecificVol * x
		m.variance += float64(own * own)
	}
	for _, v := range y {
		m.variance += float64(v * v)
	}
	m.parts.Risk = b.o.RiskAversion * m.variance
}

const factorsOnStack = 64

// check fills the residuals that the trades' sums show.
func (b *book) check(m *measured, plan *Plan) {
	for k, c := range m.cash {
		m.residuals.Cash = money.Max(m.residuals.Cash, b.need[k].Sub(c))
	}
	for i := range m.traded {
		b.checkSecurity(m, i)
	}
	for _, g := range b.groups() {
		sum := 0.0
		for _, i := range g.Securities {
			sum += b.weightAfter(m, int(i))
		}
		m.residuals.Bands = max(m.residuals.Bands, outside(sum, g.Lower, g.Upper))
	}
	if b.hasBudget() {
		net := b.realised[0] + b.realised[1] + m.gain[0] + m.gain[1]
		m.residuals.Gains = max(0, net-b.a.Gains.Budget.Float()/b.worth)
	}
	for _, t := range plan.Trades {
		isWhole := t.Shares.RoundDown(0) == t.Shares
		if t.Lot < 0 && (b.isWhole(t.Security) && !isWhole || t.Shares.RoundDown(sharePlaces) != t.Shares) {
			m.residuals.Ticks++
		}
	}
}

func (b *book) weightAfter(m *measured, i int) float64 {
	if m.shares[i].IsZero() {
		return 0
	}
	return m.shares[i].Float() * b.u.Securities[i].Price.Float() / b.worth
}

// outside returns by how much a weight lies outside a band whose zero ends are open.
func outside(w float64, lower, upper money.Dec) float64 {
	out := 0.0
	if upper.Sign() > 0 {
		out = max(out, w-upper.Float())
	}
	if lower.Sign() > 0 {
		out = max(out, lower.Float()-w)
	}
	return out
}

func (b *book) checkSecurity(m *measured, i int) {
	traded := m.traded[i]
	if !traded.IsZero() && traded.Abs().Less(b.minTrade(i)) {
		m.residuals.Ticks++
	}
	if b.isWhole(i) && traded.Sign() < 0 && !m.shares[i].IsZero() {
		if sold := b.held[i].Sub(m.shares[i]); sold.RoundDown(0) != sold && sold != b.sellable[i] {
			m.residuals.Ticks++
		}
	}
	r := b.rule(i)
	if traded.Sign() > 0 && (r.NoBuy || r.BuyBarred) || traded.Sign() < 0 && r.NoSell {
		m.residuals.Bars++
	}
	if b.o.Mode != Nothing && (r.Lower.Sign() > 0 || r.Upper.Sign() > 0) {
		m.residuals.Bands = max(m.residuals.Bands, outside(b.weightAfter(m, i), r.Lower, r.Upper))
	}
}
