package optimum

import (
	"fmt"
	"math"

	"daybreak/money"
)

const (
	conversionCurve = 2e-4 // of a conversion of currency: a tenth of the account costs 1e-6 besides its spread, so that the amount is unique
	conversionMax   = 4    // of one conversion, in account values
	targetSlack     = "0.000000001"
	cashBand        = 5e-4 // what a sale for cash may raise beyond the need, or the least sale where that is more
)

var targetSlackDec = money.MustParse(targetSlack)

// book is the exact side of a problem: what rounding and its checks need.
type book struct {
	u        *Universe
	a        *Account
	o        *Options
	value    money.Dec   // cash and positions
	worth    float64     // value
	held     []money.Dec // shares by security
	sellable []money.Dec // shares by security that may be sold, all lots that are not barred
	need     []money.Dec // least cash after trading, by cash
	cash     []money.Dec // now, by cash
	weight   []float64   // held, by item
	target   []float64   // weight wanted, by security
	worst    []float64   // lowest gain of a lot as a share of its cost, by item; 0 without a loss
	isDenied []bool      // by item: that lot's loss would be denied
	isMixed  []bool      // by item: may be harvested or bought
	harvest  []bool
	count    []int32
	realised [classes]float64 // so far this year, fraction of value
}

func (b *book) prepare(p *problem) *Fault {
	if f := b.checkOptions(); f != nil {
		return f
	}
	if f := b.checkTargets(); f != nil {
		return f
	}
	if f := b.positions(); f != nil {
		return f
	}
	b.needs()
	b.shape(p)
	b.fillLots(p)
	b.fillItems(p)
	b.fillRows(p)
	return b.fillPieces(p)
}

func (b *book) checkOptions() *Fault {
	if !(b.o.RiskAversion > 0) || math.IsInf(b.o.RiskAversion, 0) {
		return &Fault{Code: BadOptions, Detail: fmt.Sprintf("risk aversion %g", b.o.RiskAversion)}
	}
	loss := b.a.Gains.LossRate.Float()
	if b.a.Gains.IsNetted && !(b.o.ShortRate >= b.o.LongRate && b.o.LongRate >= loss && loss >= 0) {
		return &Fault{Code: BadOptions, Detail: fmt.Sprintf("rates %g, %g, %g of short, long and loss", b.o.ShortRate, b.o.LongRate, loss)}
	}
	return nil
}

func (b *book) checkTargets() *Fault {
	n := len(b.u.Securities)
	if len(b.a.Targets) != n {
		return &Fault{Code: BadTargets, Detail: fmt.Sprintf("%d targets for %d securities", len(b.a.Targets), n)}
	}
	b.target = resize(b.target, n)
	sum := b.a.CashTarget
	for i, t := range b.a.Targets {
		if t.Sign() < 0 {
			return &Fault{BadTargets, b.u.Securities[i].ID, "a target below zero"}
		}
		if !t.IsZero() {
			sum, b.target[i] = sum.Add(t), t.Float()
		}
	}
	if targetSlackDec.Less(sum.Sub(money.One).Abs()) || b.a.CashTarget.Sign() < 0 {
		return &Fault{Code: BadTargets, Detail: "targets and the cash target sum to " + sum.String()}
	}
	return nil
}

// positions sums the lots and values the account, exactly.
func (b *book) positions() *Fault {
	n := len(b.u.Securities)
	b.held = resize(b.held, n)
	b.count = resize(b.count, n+1)
	for k := range b.a.Lots {
		l := &b.a.Lots[k]
		if l.Security < 0 || int(l.Security) >= n || l.Shares.Sign() <= 0 || l.Cost.Sign() < 0 {
			return &Fault{Code: BadLot, Detail: l.ID}
		}
		b.held[l.Security] = b.held[l.Security].Add(l.Shares)
		b.count[l.Security+1]++
	}
	b.cash = append(b.cash[:0], b.a.Cash)
	b.value = b.a.Cash
	for _, c := range b.a.Balances {
		b.cash = append(b.cash, c.Cash)
		b.value = b.value.Add(c.Cash)
	}
	for i, shares := range b.held {
		if code := b.u.fault[i]; code != "" && (!shares.IsZero() || !b.a.Targets[i].IsZero()) {
			return &Fault{Code: code, Security: b.u.Securities[i].ID}
		}
		if !shares.IsZero() {
			b.value = b.value.Add(shares.Mul(b.u.Securities[i].Price))
		}
	}
	if b.value.Sign() <= 0 {
		return &Fault{Code: NoValue, Detail: "value " + b.value.String()}
	}
	b.worth = b.value.Float()
	return nil
}

// shape gives every array of p its size.
func (b *book) shape(p *problem) {
	n := len(b.u.Securities)
	p.items, p.factors = n+b.conversions(), b.u.factors
	p.rows = b.rows()
	p.isTied = b.a.isJoint
	p.isClassed = b.hasBudget() || b.a.Gains.IsNetted
	p.rate = [classes]float64{shortTerm: b.o.ShortRate, longTerm: b.o.LongRate}
	p.effective = p.rate
	p.aversion = b.o.RiskAversion
	p.load = b.u.load
	if p.items > n {
		p.wide = resize(p.wide, p.items*p.factors)
		copy(p.wide, b.u.load)
		p.load = p.wide
	}
	for _, s := range []*[]float64{&p.curve, &p.start, &p.buyCost, &p.sellCost, &b.weight, &b.worst} {
		*s = resize(*s, p.items)
	}
	p.buyRow, p.sellRow = resize(p.buyRow, p.items*p.rows), resize(p.sellRow, p.items*p.rows)
	p.cap = resize(p.cap, p.rows)
	p.limit, p.classRow = resize(p.limit, p.rows), resize(p.classRow, p.rows*classes)
	p.piece = resize(p.piece, p.items*piecesMax)
	p.all, p.fixed = resize(p.all, p.items), resize(p.fixed, p.items)
	b.isDenied = resize(b.isDenied, p.items)
	b.isMixed, b.harvest = resize(b.isMixed, p.items), resize(b.harvest, p.items)
	b.sellable = resize(b.sellable, n)
	p.lots.resize(p.items, len(b.a.Lots)+b.conversions())
}

func (t *lotTable) resize(items, lots int) {
	t.first = resize(t.first, items+1)
	t.value, t.gain, t.tax = resize(t.value, lots), resize(t.gain, lots), resize(t.tax, lots)
	t.class, t.source = resize(t.class, lots), resize(t.source, lots)
}

// fillLots sorts the lots that may be sold by item, tax a unit and id.
func (b *book) fillLots(p *problem) {
	n := len(b.u.Securities)
	for i := range n {
		b.count[i+1] += b.count[i]
	}
	// Group by security first: count[i] is where the next lot of i goes.
	order := p.lots.source
	for k := range b.a.Lots {
		s := b.a.Lots[k].Security
		order[b.count[s]] = int32(k)
		b.count[s]++
	}
	next, begin := int32(0), int32(0)
	for i := range n {
		end := b.count[i]
		p.lots.first[i] = next
		r := lotRange{begin, end, next}
		b.harvest[i] = b.mayHarvest(&p.lots, i, r)
		next = b.keep(p, i, r)
		begin = end
	}
	for j := range b.conversions() {
		p.lots.first[n+j] = next
		p.lots.value[next], p.lots.source[next] = conversionMax, -1
		p.lots.gain[next], p.lots.tax[next], p.lots.class[next] = 0, 0, longTerm
		next++
	}
	p.lots.first[p.items] = next
	if p.isClassed {
		b.sortByGain(p)
	}
}

// lotRange is where the lots of a security stand before the sort, and where they go.
type lotRange struct{ begin, end, to int32 }

// mayHarvest sets value and gain of the lots in r, and reports whether security i has one, not
// barred, at a loss past the threshold.
func (b *book) mayHarvest(t *lotTable, i int, r lotRange) bool {
	may := false
	rule := b.rule(i)
	for at := r.begin; at < r.end; at++ {
		l := &b.a.Lots[t.source[at]]
		value, cost := float64(l.Shares.Float()*b.u.price[i]), l.Cost.Float()
		t.value[at], t.gain[at] = value/b.worth, (value-cost)/value
		if b.isSheltered(l) {
			t.gain[at] = 0
		}
		if value >= cost || b.isSheltered(l) {
			continue
		}
		loss := (cost - value) / cost
		may = may || !l.LossBarred && loss >= b.harvestMin(i)
		if -loss < b.worst[i] {
			b.worst[i], b.isDenied[i] = -loss, l.LossBarred
		}
	}
	return may && !rule.LossBarred && !rule.NoSell
}

// conversions is the number of items that convert currency.
func (b *book) conversions() int {
	if b.a.isJoint {
		return 0
	}
	return len(b.a.Balances)
}

func (b *book) isSheltered(l *Lot) bool { return b.a.IsSheltered || l.IsSheltered }

// isWhole reports whether security i trades in whole shares alone.
func (b *book) isWhole(i int) bool { return b.a.WholeShares || b.rule(i).WholeShares }

// minTrade is the least value of a trade of item i.
func (b *book) minTrade(i int) money.Dec {
	if i >= len(b.u.Securities) {
		return money.Zero
	}
	return money.Max(b.a.MinTrade, b.rule(i).MinTrade)
}

func (b *book) harvestMin(i int) float64 {
	if m := b.rule(i).HarvestMin; m > 0 {
		return m
	}
	return b.o.HarvestMin
}

// addDrag adds what holding costs in tax on what is paid out.
func (b *book) addDrag(p *problem) {
	for i, d := range b.a.Drag {
		cost := d.Float()
		p.constant += float64(cost * b.weight[i])
		p.buyCost[i] += cost
		p.sellCost[i] -= cost
	}
}

var noRule Rule

// rule returns what limits security i.
func (b *book) rule(i int) *Rule {
	if len(b.a.Rules) == 0 {
		return &noRule
	}
	return &b.a.Rules[i]
}

// keep writes the lots of security i that may be sold and returns the place after the last. It
// writes at or before the place that it reads.
func (b *book) keep(p *problem, i int, r lotRange) int32 {
	if b.rule(i).NoSell {
		return r.to
	}
	t, first := &p.lots, r.to
	for at := r.begin; at < r.end; at++ {
		k, value, gain := t.source[at], t.value[at], t.gain[at]
		l := &b.a.Lots[k]
		isLoss := gain < 0
		if isLoss && (l.LossBarred || !b.harvest[i]) || !isLoss && b.o.Mode == HarvestOnly {
			continue
		}
		class := uint8(longTerm)
		if l.IsShort {
			class = shortTerm
		}
		tax := p.rate[class] * gain
		j := r.to
		for j > first && (tax < t.tax[j-1] || tax == t.tax[j-1] && l.ID < b.a.Lots[t.source[j-1]].ID) {
			t.value[j], t.gain[j], t.tax[j], t.class[j], t.source[j] = t.value[j-1], t.gain[j-1], t.tax[j-1], t.class[j-1], t.source[j-1]
			j--
		}
		t.value[j], t.gain[j], t.tax[j], t.class[j], t.source[j] = value, gain, tax, class, k
		b.sellable[i] = b.sellable[i].Add(l.Shares)
		r.to++
	}
	return r.to
}

// sortByGain copies the lots by class and ascending gain, the order that merge starts from.
func (b *book) sortByGain(p *problem) {
	p.byGain.resize(p.items, len(p.lots.value))
	for i := range p.items {
		to := p.lots.first[i]
		for class := range uint8(classes) {
			from := to
			for j := p.lots.first[i]; j < p.lots.first[i+1]; j++ {
				if p.lots.class[j] != class {
					continue
				}
				at := to
				for at > from && p.lots.gain[j] < p.byGain.gain[at-1] {
					p.byGain.move(at, at-1, &p.byGain)
					at--
				}
				p.byGain.move(at, j, &p.lots)
				to++
			}
		}
	}
}

// move copies lot from of table o to place to.
func (t *lotTable) move(to, from int32, o *lotTable) {
	t.value[to], t.gain[to], t.class[to], t.source[to] = o.value[from], o.gain[from], o.class[from], o.source[from]
}

// fillItems sets the smooth part and the costs of every item.
func (b *book) fillItems(p *problem) {
	d := b.o.IdleCash
	for i, s := range b.u.Securities {
		if !b.held[i].IsZero() {
			b.weight[i] = b.held[i].Float() * b.u.price[i] / b.worth
		}
		k := b.u.cost[i]
		p.start[i] = b.weight[i] - b.target[i]
		p.curve[i] = 2 * p.aversion * b.u.variance[i]
		p.buyCost[i] = k - float64(d*(1+k))
		p.sellCost[i] = k + float64(d*(1-k))
		p.buyRow[i*p.rows+s.Cash] = 1 + k
		p.sellRow[i*p.rows+s.Cash] = k - 1
	}
	for j := range b.conversions() {
		i, spread := len(b.u.Securities)+j, b.a.Balances[j].Spread.Float()
		p.curve[i] = conversionCurve
		p.buyCost[i] = float64(spread * (1 - d))
		p.sellCost[i] = float64(spread * (1 - d))
		p.buyRow[i*p.rows], p.buyRow[i*p.rows+1+j] = 1+spread, -1
		p.sellRow[i*p.rows], p.sellRow[i*p.rows+1+j] = spread-1, 1
	}
	idle := 0.0
	for _, c := range b.cash {
		idle += c.Float() / b.worth
	}
	p.constant, p.ofVariant = float64(d*idle), 0
	b.addDrag(p)
}

// bounds returns the least and largest trade of item i.
func (b *book) bounds(p *problem, i int) (lo, hi float64) {
	for l := p.lots.first[i]; l < p.lots.first[i+1]; l++ {
		lo -= p.lots.value[l]
	}
	if i >= len(b.u.Securities) {
		return lo, conversionMax
	}
	hi = 1
	if b.u.fault[i] != "" {
		hi = 0
	}
	r := b.rule(i)
	if r.NoBuy || r.BuyBarred {
		hi = 0
	}
	if r.Upper.Sign() > 0 {
		hi = min(hi, r.Upper.Float()-b.weight[i])
	}
	if r.Lower.Sign() > 0 {
		lo = max(lo, r.Lower.Float()-b.weight[i])
	}
	switch b.o.Mode {
	case CashOnly:
		if b.isShortOfCash() {
			hi = min(hi, 0)
		} else {
			lo = max(lo, min(0, hi))
		}
	case Nothing:
		lo, hi = 0, 0
	}
	return lo, hi
}

func (b *book) isShortOfCash() bool { return b.cash[0].Less(b.need[0]) }

// fillPieces sets the intervals of every item and which of them each problem may use.
func (b *book) fillPieces(p *problem) *Fault {
	raise := 0.0
	for i := range p.items {
		lo, hi := b.bounds(p, i)
		if lo > hi {
			return b.badBands(i)
		}
		if i < len(b.u.Securities) {
			raise -= float64(min(lo, 0) * (1 - b.u.cost[i]))
			b.isMixed[i] = b.harvest[i] && lo < 0 && hi > 0
		}
		if !b.cut(p, i, piece{lo, hi}, b.minTrade(i).Float()/b.worth) {
			return b.badBands(i)
		}
	}
	if short := b.need[0].Sub(b.cash[0]).Float() / b.worth; len(b.a.Balances) == 0 && short > raise && b.o.Mode != Nothing {
		return &Fault{Code: NoCash, Detail: fmt.Sprintf("%s is missing, sales can raise %.2f", b.need[0].Sub(b.cash[0]).Fixed(2), raise*b.worth)}
	}
	return nil
}

func (b *book) badBands(i int) *Fault {
	if i >= len(b.u.Securities) {
		return &Fault{Code: BadBands}
	}
	return &Fault{BadBands, b.u.Securities[i].ID, "no allowed trade reaches the band"}
}

// cut splits the range of item i into pieces; it reports false where none is left.
func (b *book) cut(p *problem, i int, in piece, least float64) bool {
	at := p.piece[i*piecesMax : (i+1)*piecesMax]
	at[either] = in
	p.fixed[i] = 1 << either
	if b.isMixed[i] {
		at[either].hi = 0
	}
	isSecurity := i < len(b.u.Securities)
	switch {
	case isSecurity && least > 0:
		p.all[i] = cutAtLeast(at, in, least)
		if b.o.Roles == Fixed {
			p.fixed[i] = p.all[i]
			if b.isMixed[i] {
				p.fixed[i] &^= 1 << purchase
			}
			return p.fixed[i] != 0
		}
	case isSecurity && (b.isMixed[i] || p.isClassed && in.lo < 0 && in.hi > 0):
		at[sale], at[purchase] = piece{in.lo, 0}, piece{0, in.hi}
		p.all[i] = 1<<sale | 1<<purchase
		if p.isClassed {
			p.fixed[i] = p.all[i]
			if b.isMixed[i] {
				p.fixed[i] = 1 << sale
			}
		}
	default:
		p.all[i] = 1 << either
	}
	return p.all[i] != 0
}

// cutAtLeast splits a range into a sale, no trade and a purchase, where neither trade is smaller
// than least, and returns those that the range allows.
func cutAtLeast(at []piece, in piece, least float64) (mask uint8) {
	if in.lo <= -least {
		at[sale] = piece{in.lo, min(in.hi, -least)}
		mask |= 1 << sale
	}
	if in.lo <= 0 && in.hi >= 0 {
		mask |= 1 << none
	}
	if in.hi >= least {
		at[purchase] = piece{max(in.lo, least), in.hi}
		mask |= 1 << purchase
	}
	return mask
}
