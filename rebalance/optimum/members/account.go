package members

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/rebalance/optimum"
	"daybreak/region"
)

// draft is one account on its way to a member. Money is in the account's currency.
type draft struct {
	*builder
	account  portfolio.Account
	policy   portfolio.Policy
	mix      *portfolio.Mix
	holdings []region.Holding
	shares   map[market.Symbol]money.Dec // held
	symbols  []market.Symbol             // of the universe, sorted
	quotes   []quote                     // by symbol
	value    money.Dec
	home     money.Dec // home currency for one unit of the account's
	longRate money.Dec
	universe *optimum.Universe
	out      optimum.Account
	options  optimum.Options
	open     map[market.Symbol]portfolio.OpenOrder // the first by id of each security
	added    []optimum.Lot                         // what they buy
}

// quote is what the market says of one security, to one account.
type quote struct {
	price  money.Dec // 0 where it cannot be planned with
	fault  string    // why
	fx     money.Dec
	taxDay market.Day // of a trade today
	isOpen bool
	sec    market.Security
}

// draft values an account and checks what it holds.
func (b *builder) draft(a portfolio.Account) (*draft, *optimum.Fault) {
	d := &draft{builder: b, account: a, policy: a.Policy.WithDefaults(), shares: map[market.Symbol]money.Dec{}}
	if d.holdings = b.in.Holdings[a.ID]; b.in.Holdings == nil {
		d.holdings = b.in.Book.Holdings(a.ID)
	}
	var err error
	if d.mix, err = portfolio.NewMix(b.in.Market, a.Model); err != nil {
		code := BadModel
		if errors.Is(err, portfolio.ErrNoModel) {
			code = NoModel
		}
		return nil, &optimum.Fault{Code: code, Detail: err.Error()}
	}
	for _, step := range []func() *optimum.Fault{d.takeCash, d.takePositions, d.takeQuotes} {
		if f := step(); f != nil {
			return nil, f
		}
	}
	d.takeOpen()
	return d, nil
}

// takeCash puts cash in the account's currency apart from that in further ones.
func (d *draft) takeCash() *optimum.Fault {
	d.home, _ = d.rate(d.account.Currency, d.in.Rules.Home)
	if d.home.Sign() <= 0 {
		return &optimum.Fault{Code: NoRate, Detail: fmt.Sprintf("%s/%s", d.account.Currency, d.in.Rules.Home)}
	}
	cash := slices.Clone(d.account.Cash)
	slices.SortFunc(cash, func(a, b portfolio.Cash) int { return cmp.Compare(a.Currency, b.Currency) })
	for _, c := range cash {
		fx, ok := d.rate(c.Currency, d.account.Currency)
		amount := c.Amount.Mul(fx)
		switch {
		case !ok:
			return &optimum.Fault{Code: NoRate, Detail: fmt.Sprintf("%s/%s", c.Currency, d.account.Currency)}
		case c.Amount.Sign() < 0:
			return &optimum.Fault{Code: NegativeCash, Detail: fmt.Sprintf("%s %s", c.Amount, c.Currency)}
		case c.Currency == d.account.Currency:
			d.out.Cash = d.out.Cash.Add(amount)
		case amount.Sign() > 0:
			d.out.Balances = append(d.out.Balances, optimum.Balance{Currency: c.Currency, Cash: amount, Spread: d.in.Params.FXSpread})
		}
		d.value = d.value.Add(amount)
	}
	return nil
}

// rate returns the value of one unit of a currency in another, and false where there is no rate.
func (b *builder) rate(from, to market.Currency) (money.Dec, bool) {
	r, err := b.in.Market.Rate(from, to)
	return r.Rate, err == nil && r.Rate.Sign() > 0
}

// takePositions checks the positions against the tax book and lists the securities that the
// account may trade.
func (d *draft) takePositions() *optimum.Fault {
	booked := map[market.Symbol]money.Rat{}
	for _, t := range d.holdings {
		booked[t.Symbol] = booked[t.Symbol].Add(t.Shares)
	}
	for _, p := range d.account.Positions {
		d.shares[p.Symbol] = d.shares[p.Symbol].Add(p.Shares)
		d.symbols = append(d.symbols, p.Symbol)
	}
	for symbol := range booked {
		d.symbols = append(d.symbols, symbol)
	}
	slices.Sort(d.symbols)
	d.symbols = slices.Compact(d.symbols)
	for _, s := range d.symbols {
		switch lots := booked[s].Dec(); {
		case d.shares[s].Sign() < 0:
			return &optimum.Fault{Code: ShortPosition, Security: string(s), Detail: d.shares[s].String()}
		case d.shares[s] != lots:
			return &optimum.Fault{Code: LotsDiffer, Security: string(s), Detail: fmt.Sprintf("position %s, tax holdings %s", d.shares[s], lots)}
		}
	}
	for _, s := range d.mix.Sleeves {
		d.symbols = append(d.symbols, s.Members...)
	}
	for _, o := range d.in.Open {
		if o.Account == d.account.ID {
			d.symbols = append(d.symbols, o.Symbol)
		}
	}
	slices.Sort(d.symbols)
	d.symbols = slices.Compact(d.symbols)
	return nil
}

// takeQuotes looks up the securities and values what is held.
func (d *draft) takeQuotes() *optimum.Fault {
	d.quotes = make([]quote, len(d.symbols))
	for i, s := range d.symbols {
		q := &d.quotes[i]
		*q = d.quote(s)
		held := d.shares[s]
		if held.IsZero() {
			continue
		}
		if q.fault != "" {
			return &optimum.Fault{Code: q.fault, Security: string(s), Detail: "held by the account"}
		}
		d.value = d.value.Add(held.Mul(q.price))
	}
	return nil
}

func (d *draft) quote(s market.Symbol) quote {
	q := quote{taxDay: d.in.Day}
	var err error
	if q.sec, err = d.in.Market.Security(s); err != nil {
		q.fault = UnknownSecurity
		return q
	}
	if exchange, err := market.Calendar(q.sec.Exchange); err == nil {
		q.isOpen = exchange.IsSession(d.in.Day)
		q.taxDay = d.in.Rules.TaxDay(d.in.Day, exchange.SettleDay(d.in.Day))
	}
	price, err := d.in.Market.Price(s)
	fx, ok := d.rate(q.sec.Currency, d.account.Currency)
	switch {
	case err != nil || price.Close.Sign() <= 0:
		q.fault = NoPrice
	case d.in.Day-price.Day > market.Day(d.in.Params.StaleDays):
		q.fault = StalePrice
	case !ok:
		q.fault = NoRate
	default:
		q.fx, q.price = fx, price.Close.Mul(fx)
	}
	return q
}

// fill makes the account of the optimiser.
func (d *draft) fill() *optimum.Fault {
	d.out.ID = string(d.account.ID)
	d.out.IsSheltered = d.in.Rules.Shelters(d.account.Type)
	d.out.MinTrade, d.out.WholeShares = d.policy.MinTrade, d.policy.WholeShares
	d.out.Withdrawal = d.policy.WithdrawalCash
	d.setOptions()
	d.setUniverse()
	if f := d.setTargets(); f != nil {
		return f
	}
	if d.in.Holdings == nil {
		d.setLots()
	} else {
		d.setWhole()
	}
	d.addOpen()
	d.setRules()
	d.setDrag()
	if d.options.Mode == optimum.Full { // the others trade too little to steer by them
		d.setBands()
	}
	return nil
}

// setOptions sets the options that are the account's own. Half of the cash that it wants is the least
// that must be left, or less where there is less: only a withdrawal forces a sale.
func (d *draft) setOptions() {
	rates := d.in.Rules.RatesOf(d.in.Rules.TaxYear(d.in.Day))
	d.longRate = rates.Long.Mul(rates.Inclusion)
	d.options = d.in.Params.Options
	d.options.ShortRate = rates.Short.Mul(rates.Inclusion).Float()
	d.options.LongRate = d.longRate.Float()
	d.options.HarvestMin = d.policy.HarvestMin.Float()
	if mode := d.policy.Mode; mode != "" {
		d.options.Mode = modes[mode]
	}
	if v := d.policy.RiskAversion; v.Sign() > 0 {
		d.options.RiskAversion = v.Float()
	}
	if v := d.policy.IdleCash; v.Sign() > 0 {
		d.options.IdleCash = v.Float()
	}
	spare := money.Max(d.out.Cash.Sub(d.policy.WithdrawalCash), money.Zero).MulDiv(money.One, d.value).RoundDown(floorPlaces)
	d.options.CashFloor = money.Min(d.policy.CashTarget.Mul(half), spare)
}

// modes are what the optimiser makes of a policy's mode; a transition is full under a budget.
var modes = map[portfolio.Mode]optimum.Mode{
	portfolio.ModeFull: optimum.Full, portfolio.ModeCashOnly: optimum.CashOnly, portfolio.ModeHarvestOnly: optimum.HarvestOnly,
	portfolio.ModeTransition: optimum.Full, portfolio.ModeNothing: optimum.Nothing,
}

// budget returns the most that the owner may realise in net gains this year, home currency; nil for
// no limit.
func (d *draft) budget() *money.Dec {
	switch {
	case d.policy.GainBudget != nil:
		return d.policy.GainBudget
	case d.in.Params.HasBudget:
		return &d.in.Params.Budget
	case d.policy.Mode == portfolio.ModeTransition:
		return &money.Dec{}
	}
	return nil
}

var half = money.FromUnits(5, 1)

// floorPlaces are the decimals of a least weight of cash that is less than the policy's.
const floorPlaces = 9

// setUniverse sets securities with price, risk and cost. One whose currency the account keeps no
// cash in is paid for through a conversion, which its cost has in it.
func (d *draft) setUniverse() {
	model := d.in.Risk[d.account.Currency]
	factors := 0
	if model != nil && len(model.Risks) > 0 {
		factors = len(model.Risks[0].Load)
	}
	securities := make([]optimum.Security, len(d.symbols))
	for i, s := range d.symbols {
		q := &d.quotes[i]
		e := optimum.Security{ID: string(s), Property: d.property(s), Price: q.price, Cost: d.in.Params.HalfSpread.Add(d.in.Params.Commission)}
		if model != nil && q.fault == "" {
			risk, _ := model.For(q.sec)
			e.Load, e.SpecificVol = risk.Load, risk.SpecificVol
		}
		if q.sec.Currency != d.account.Currency {
			k := slices.IndexFunc(d.out.Balances, func(b optimum.Balance) bool { return b.Currency == q.sec.Currency })
			if e.Cash = k + 1; k < 0 {
				e.Cost = e.Cost.Add(d.in.Params.FXSpread)
			}
		}
		securities[i] = e
	}
	d.universe = optimum.NewUniverse(factors, securities)
}

// setTargets gives the weight of each part of the model to the first of its securities that can be
// planned with.
func (d *draft) setTargets() *optimum.Fault {
	d.out.CashTarget = money.Min(money.One, d.policy.CashTarget.Add(d.policy.WithdrawalCash.Div(d.value)))
	d.out.Targets = make([]money.Dec, len(d.symbols))
	invested := money.One.Sub(d.out.CashTarget)
	left := invested
	last := -1
	for _, s := range d.mix.Sleeves {
		at := d.first(s, func(i int) bool { return d.universe.Fault(i) == "" })
		if at < 0 {
			at, _ = slices.BinarySearch(d.symbols, s.Members[0])
			return &optimum.Fault{Code: cmp.Or(d.quotes[at].fault, d.universe.Fault(at)), Security: string(s.Members[0]), Detail: "and whatever may be held instead"}
		}
		weight := money.Min(left, s.Weight.Mul(invested))
		d.out.Targets[at] = d.out.Targets[at].Add(weight)
		left = left.Sub(weight)
		last = at
	}
	d.out.Targets[last] = d.out.Targets[last].Add(left) // what rounding left over
	return nil
}

// setDrag sets what holding each security costs in tax on what it pays out.
func (d *draft) setDrag() {
	if d.in.Location == nil || len(d.in.Location.Drags) == 0 {
		return
	}
	d.out.Drag = make([]money.Dec, len(d.symbols))
	for i := range d.symbols {
		d.out.Drag[i] = d.in.Location.DragOf(d.quotes[i].sec.AssetClass, d.account.Type)
	}
}

// first returns the place of the first security of a part of the model that is as asked; -1 for none.
func (d *draft) first(s portfolio.Sleeve, is func(i int) bool) int {
	for _, symbol := range s.Members {
		if i, ok := slices.BinarySearch(d.symbols, symbol); ok && is(i) {
			return i
		}
	}
	return -1
}

// setLots sets the lots, or the account's part of each pool, whose name is then the symbol. Shares
// are cut to what a Dec holds; the last lot of a security has what that leaves of the position. A
// lot of unknown cost counts as all gain.
func (d *draft) setLots() {
	left := map[market.Symbol]money.Dec{}
	final := map[market.Symbol]int{}
	for i, t := range d.holdings {
		left[t.Symbol] = d.shares[t.Symbol]
		final[t.Symbol] = i
	}
	for i, t := range d.holdings {
		shares := money.Min(t.Shares.Dec(), left[t.Symbol])
		if final[t.Symbol] == i {
			shares = left[t.Symbol]
		}
		left[t.Symbol] = left[t.Symbol].Sub(shares)
		if shares.Sign() <= 0 {
			continue
		}
		at, _ := slices.BinarySearch(d.symbols, t.Symbol)
		l := optimum.Lot{Security: int32(at), ID: cmp.Or(t.Lot, string(t.Symbol)), Shares: shares}
		l.IsShort = d.in.Rules.TermOf(t.Start, d.quotes[at].taxDay) == region.Short
		switch {
		case d.out.IsSheltered:
			l.Cost = shares.Mul(d.quotes[at].price)
		case t.CostKnown:
			l.Cost = money.Max(t.Cost.Div(d.home), money.Zero)
			if all := t.Shares.Dec(); shares.Less(all) { // an open order sells the rest
				l.Cost = l.Cost.MulDiv(shares, all)
			}
		}
		d.out.Lots = append(d.out.Lots, l)
	}
}

// setWhole sets one lot a position.
func (d *draft) setWhole() {
	for i, s := range d.symbols {
		if shares := d.shares[s]; shares.Sign() > 0 {
			d.out.Lots = append(d.out.Lots, optimum.Lot{Security: int32(i), ID: string(s), Shares: shares})
		}
	}
}

// setBands keeps the weight of each part of the model, parts that can stand in for each other
// together, inside the account's band around what is wanted: or where it is outside already, from
// going further.
func (d *draft) setBands() {
	type sum struct {
		securities     []int32
		wanted, weight money.Dec
	}
	sums := map[string]*sum{}
	var names []string
	for _, s := range d.mix.Sleeves {
		name := cmp.Or(s.Group, s.Name())
		g, ok := sums[name]
		if !ok {
			g = &sum{}
			sums[name] = g
			names = append(names, name)
		}
		for _, symbol := range s.Members {
			i, _ := slices.BinarySearch(d.symbols, symbol)
			g.securities = append(g.securities, int32(i))
			g.wanted = g.wanted.Add(d.out.Targets[i])
			g.weight = g.weight.Add(d.shares[symbol].MulDiv(d.quotes[i].price, d.value))
		}
	}
	slices.Sort(names)
	for _, name := range names {
		g := sums[name]
		slices.Sort(g.securities)
		band := money.Min(d.policy.Band, g.wanted.Mul(half))
		lower, upper := money.Min(g.wanted.Sub(band), g.weight), money.Max(g.wanted.Add(band), g.weight)
		d.out.Groups = append(d.out.Groups, optimum.Group{Name: name, Securities: g.securities,
			Lower: money.Max(lower.Sub(weightSlack), money.Zero), Upper: upper.Add(weightSlack)})
	}
}

// weightSlack keeps a band that begins at the present weight from being missed by its rounding.
var weightSlack = money.FromUnits(1, 6)
