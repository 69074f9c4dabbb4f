package optimum

// The codes of a Reason, each with its numbers. Weights are shares of the account's value; worth is
// what the next unit of value traded would lower the objective by.
const (
	Bought        = "BOUGHT"          // weight, after, target, cost, worth: of the first unit
	BoughtToLimit = "BOUGHT_TO_LIMIT" // as Bought; worth is what one unit more would bring
	Sold          = "SOLD"            // weight, after, target, cost, tax, worth: of the first unit
	SoldForCash   = "SOLD_FOR_CASH"   // as Sold, for a security that only the need for cash sells
	SoldOut       = "SOLD_OUT"        // as Sold; all that may be sold is sold
	Harvested     = "HARVESTED"       // weight, after, target, cost, tax, loss: realised, a share of value; tax is below zero
	InsideBand    = "INSIDE_NO_TRADE" // weight, low, high: between which no trade lowers the objective
	BuyBarred     = "BUY_BARRED"      // weight, worth; until and by say of what
	LossBarred    = "LOSS_BARRED"     // weight, loss; until and by say of what
	BelowHarvest  = "BELOW_THRESHOLD" // weight, loss: largest as a share of cost, threshold
	BelowMinimum  = "BELOW_MINIMUM"   // weight, wanted: the trade without a minimum, minimum
	OtherRole     = "OTHER_ROLE"      // weight, flip: what the other role costs
	Restricted    = "RESTRICTED"      // weight, worth; by says of what, where it is an order
	AtLimit       = "AT_LIMIT"        // weight, worth: a band, a mode or the lots leave no trade
	RoundedAway   = "ROUNDED_AWAY"    // weight, wanted: less than one tradable share
	NotTradable   = "NOT_TRADABLE"    // no price or risk; neither held nor wanted
)

// explain writes a reason for every security, in order of the universe.
func (s *Solver) explain() {
	b := &s.book
	k := 0
	for i := range b.u.Securities {
		first := k
		for k < len(s.plan.Trades) && s.plan.Trades[k].Security == i {
			k++
		}
		if first < k {
			s.plan.Reasons = append(s.plan.Reasons, s.whyTraded(i, s.plan.Trades[first:k]))
		} else {
			s.plan.Reasons = append(s.plan.Reasons, s.whyNot(i))
		}
		s.plan.Reasons[i].Security = i
	}
}

// margins are the slopes of the objective at no trade: what the first unit bought or sold adds.
type margins struct {
	buy, sell float64
	prices    prices
	hasLots   bool
}

func (s *Solver) marginsOf(i int) margins {
	p := &s.p
	m := margins{prices: p.pricesAt(i, s.search.best.dual)}
	slope := float64(p.curve[i]*p.start[i]) + m.prices.exposure
	m.buy, m.sell = slope+m.prices.buy, m.prices.sell-slope
	if l := p.lots.first[i]; l < p.lots.first[i+1] {
		m.sell += p.lots.tax[l]
		m.hasLots = true
	}
	return m
}

func (s *Solver) whyTraded(i int, trades []Trade) Reason {
	b := &s.book
	m := s.marginsOf(i)
	after := b.weightAfter(&s.now, i)
	numbers := [reasonNumbers]Number{{"weight", b.weight[i]}, {"after", after}, {"target", b.target[i]}}
	value, tax, loss := 0.0, 0.0, 0.0
	for _, t := range trades {
		value += t.Value.Float() / b.worth
		if t.Lot >= 0 {
			gain := s.gainOf(t)
			tax += float64(b.rateOf(t.Lot) * gain)
			loss += min(gain, 0)
		}
	}
	numbers[3] = Number{"cost", b.u.cost[i] * value}
	if trades[0].Lot < 0 {
		numbers[4] = Number{"worth", -m.buy}
		if s.rounder.count[i] == s.rounder.high[i] {
			return Reason{Code: BoughtToLimit, Numbers: numbers}
		}
		return Reason{Code: Bought, Numbers: numbers}
	}
	numbers[4] = Number{"tax", tax}
	if loss < 0 {
		numbers[5] = Number{"loss", loss}
		return Reason{Code: Harvested, Numbers: numbers}
	}
	numbers[5] = Number{"worth", -m.sell}
	code := Sold
	cash := s.search.best.dual[s.p.factors+b.u.Securities[i].Cash]
	switch {
	case s.rounder.count[i] == s.rounder.low[i]:
		code = SoldOut
	case m.sell+float64(cash*(1-b.u.cost[i])) >= 0 && m.sell < 0:
		code = SoldForCash
	}
	return Reason{Code: code, Numbers: numbers}
}

// gainOf is the gain that a sale realises, a share of the account's value.
func (s *Solver) gainOf(t Trade) float64 {
	l := &s.book.a.Lots[t.Lot]
	if s.book.isSheltered(l) {
		return 0
	}
	return (t.Value.Float() - float64(l.Cost.Float()*(t.Shares.Float()/l.Shares.Float()))) / s.book.worth
}

func (b *book) rateOf(lot int) float64 {
	if b.a.Lots[lot].IsShort {
		return b.o.ShortRate
	}
	return b.o.LongRate
}

// whyNot says why security i does not trade; the first that holds, in this order: not tradable,
// restricted, purchase barred, loss barred, below the threshold, other role, minimum, rounding,
// limit, no gain.
func (s *Solver) whyNot(i int) Reason {
	b := &s.book
	weight := Number{"weight", b.weight[i]}
	if b.u.fault[i] != "" {
		return Reason{Code: NotTradable}
	}
	m := s.marginsOf(i)
	worth := Number{"worth", max(-m.buy, -m.sell)}
	r := b.rule(i)
	if r.NoBuy && m.buy < 0 || r.NoSell && m.sell < 0 && b.weight[i] > 0 {
		return Reason{Code: Restricted, Bar: r.BuyBar, Numbers: [reasonNumbers]Number{weight, worth}}
	}
	if r.BuyBarred && m.buy < 0 {
		return Reason{Code: BuyBarred, Bar: r.BuyBar, Numbers: [reasonNumbers]Number{weight, {"worth", -m.buy}}}
	}
	if r, ok := s.lossKept(i, weight); ok {
		return r
	}
	wanted := s.search.best.trade[i]
	j := lowest(s.search.best.piece[i])
	least := b.minTrade(i).Float() / b.worth
	switch {
	case least > 0 && j == none && (m.buy < 0 || m.sell < 0 && m.hasLots):
		return Reason{Code: BelowMinimum, Numbers: [reasonNumbers]Number{weight, {"wanted", s.without(i, m)}, {"minimum", least}}}
	case wanted != 0:
		return Reason{Code: RoundedAway, Numbers: [reasonNumbers]Number{weight, {"wanted", wanted}}}
	case b.isMixed[i] && (j == purchase && m.sell < 0 || j == sale && m.buy < 0):
		return Reason{Code: OtherRole, Numbers: [reasonNumbers]Number{weight, {"flip", s.flipCost(i, j, m)}}}
	case m.buy < 0 || m.sell < 0 && m.hasLots:
		return Reason{Code: AtLimit, Numbers: [reasonNumbers]Number{weight, worth}}
	}
	return Reason{Code: InsideBand, Numbers: s.noTrade(i, m, weight)}
}

// noTrade gives the weights between which no trade lowers the objective at the plan's prices.
func (s *Solver) noTrade(i int, m margins, weight Number) [reasonNumbers]Number {
	a := s.p.curve[i]
	low, high := max(s.book.weight[i]-m.buy/a, 0), 1.0
	if m.hasLots {
		high = s.book.weight[i] + m.sell/a
	}
	return [reasonNumbers]Number{weight, {"low", low}, {"high", high}}
}

// without is the trade of item i at the plan's prices if there were no minimum.
func (s *Solver) without(i int, m margins) float64 {
	if m.buy < 0 {
		return -m.buy / s.p.curve[i]
	}
	return m.sell / s.p.curve[i]
}

// flipCost is what item i adds to the dual in the other of its two roles.
func (s *Solver) flipCost(i, j int, m margins) float64 {
	var here, there point
	other := sale
	if j == sale {
		other = purchase
	}
	s.p.minimise(i, m.prices, s.p.piece[i*piecesMax+j], &here)
	s.p.minimise(i, m.prices, s.p.piece[i*piecesMax+other], &there)
	return there.value - here.value
}

// lossKept says why a loss of security i is not harvested, where it has one that is not.
func (s *Solver) lossKept(i int, weight Number) (Reason, bool) {
	b := &s.book
	if b.held[i].IsZero() || b.harvest[i] {
		return Reason{}, false
	}
	worst, rule := b.worst[i], b.rule(i)
	if worst >= 0 {
		return Reason{}, false
	}
	if b.isDenied[i] || rule.LossBarred {
		return Reason{Code: LossBarred, Bar: rule.LossBar, Numbers: [reasonNumbers]Number{weight, {"loss", worst}}}, true
	}
	if least := b.harvestMin(i); -worst < least {
		return Reason{Code: BelowHarvest, Numbers: [reasonNumbers]Number{weight, {"loss", worst}, {"threshold", least}}}, true
	}
	return Reason{}, false
}
