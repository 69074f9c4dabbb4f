package sim

import (
	"cmp"
	"fmt"
	"slices"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/region"
)

// life is one household as it lives through the tape.
type life struct {
	world    *World
	tape     *tape
	country  *country
	random   *random
	id       portfolio.HouseholdID
	owners   []portfolio.Owner
	accounts []*living
	events   []region.Event
}

// living is one account as it lives through the tape; money is in cents of its currency.
type living struct {
	id          portfolio.AccountID
	owner       portfolio.OwnerID
	accountType string
	isTaxable   bool
	model       *model
	policy      portfolio.Policy

	opened      int   // day of the tape
	initial     int64 // paid in on that day
	deposit     int64 // a month
	withdrawal  int64 // a month
	commission  int64 // a trade, in the security's currency
	rebalances  int   // every so many months
	harvests    bool  // sells losses now and then
	employer    int   // a stock given at the opening and restricted; -1: none
	months      int
	nextDeposit market.Day
	nextReview  market.Day

	cash   int64
	shares []int64       // by security, in ten-thousandths
	cost   []int64       // by security
	lots   map[int][]lot // by security, in order of purchase, where sales name them
	serves []int         // by sleeve, the member bought now
	barred []int         // by sleeve, the day of the tape until which it is not bought
}

// lot is what is left of one purchase.
type lot struct {
	id     string
	day    int
	price  int64
	shares int64
}

// live goes through the days in order, and through the accounts in order on each.
func (l *life) live() {
	for day := range l.tape.days {
		for _, a := range l.accounts {
			if day < a.opened {
				continue
			}
			l.collect(a, day)
			if l.tape.sessions[l.country.exchange][day] {
				l.manage(a, day)
			}
		}
	}
}

// manage does what is due in an account on a session of its country.
func (l *life) manage(a *living, day int) {
	today := l.tape.days[day]
	if a.nextDeposit == market.NoDay {
		l.open(a, day)
		return
	}
	if today >= a.nextDeposit {
		a.nextDeposit = nextMonth(a.nextDeposit)
		l.month(a, day)
	}
	if today >= a.nextReview {
		a.nextReview = nextMonth(a.nextReview)
		if a.harvests && l.random.chance(350) {
			l.harvest(a, day)
		}
	}
}

// open pays the first money in and invests it.
func (l *life) open(a *living, day int) {
	today := l.tape.days[day]
	a.nextDeposit = nextMonth(monthDay(today, l.random.between(1, 28)))
	a.nextReview = nextMonth(monthDay(today, l.random.between(1, 28)))
	a.cash += a.initial
	if a.employer >= 0 {
		l.buy(a, a.employer, a.initial*int64(l.random.between(3, 12))/100, day)
	}
	l.invest(a, day, len(a.model.sleeves))
}

// investMax bounds the purchases of a monthly deposit in an account of few classes; accounts of
// many names buy more of them.
const investMax = 3

// month pays in or out, rebalances where that is due, and invests what lies idle.
func (l *life) month(a *living, day int) {
	a.months++
	if l.random.chance(950) {
		a.cash += a.deposit
	}
	if a.withdrawal > 0 {
		l.withdraw(a, a.withdrawal, day)
	}
	if l.random.chance(8) {
		l.withdraw(a, l.value(a, day)*int64(l.random.between(2, 15))/100, day)
	}
	if a.months%a.rebalances == 0 {
		l.rebalance(a, day)
		l.invest(a, day, len(a.model.sleeves))
		return
	}
	l.invest(a, day, max(investMax, len(a.model.sleeves)/8))
	if l.country.inKind && a.isTaxable && l.random.chance(6) {
		l.contribute(a, day)
	}
}

// collect pays the day's dividends: in shares where the account reinvests, else in cash.
func (l *life) collect(a *living, day int) {
	for _, p := range l.tape.payouts[day] {
		held := a.shares[p.security]
		if held == 0 {
			continue
		}
		amount := cents(p.amount, held)
		price := l.tape.marks[p.security][day]
		shares := amount * centsScale / price
		if a.policy.DRIP && shares > 0 {
			spent := min(cents(price, shares), amount)
			l.acquire(a, region.Drip, trade{p.security, day, shares, spent})
			amount -= spent
		}
		a.cash += convert(amount, l.rate(a, p.security, day))
	}
}

// rate returns the account's currency for one unit of the security's, in millionths.
func (l *life) rate(a *living, security, day int) int64 {
	return l.tape.rate(l.tape.securities[security].Currency, l.country.home, day)
}

// worth returns what an account holds of a security, in cents of the account's currency.
func (l *life) worth(a *living, security, day int) int64 {
	if a.shares[security] == 0 {
		return 0
	}
	return convert(cents(l.tape.marks[security][day], a.shares[security]), l.rate(a, security, day))
}

// held returns the worth of a sleeve.
func (l *life) held(a *living, s sleeve, day int) int64 {
	var sum int64
	for _, number := range s.members {
		sum += l.worth(a, number, day)
	}
	return sum
}

// value returns the cash and the worth of the sleeves; an employer's stock is left out.
func (l *life) value(a *living, day int) int64 {
	sum := a.cash
	for _, s := range a.model.sleeves {
		sum += l.held(a, s, day)
	}
	return sum
}

// tradeMin is the least purchase, in cents.
const tradeMin = 40_00

// gap is what a sleeve lacks of its target.
type gap struct {
	sleeve int
	lacks  int64
}

// invest spends the cash above the target on the sleeves that lack most, at most so many, in
// proportion to what they lack.
func (l *life) invest(a *living, day, most int) {
	value := l.value(a, day)
	spend := a.cash - value/100
	if spend < tradeMin {
		return
	}
	gaps := l.gaps(a, day, value-value/100)
	if len(gaps) > most {
		gaps = gaps[:most]
	}
	var all int64
	for _, g := range gaps {
		all += g.lacks
	}
	for _, g := range gaps {
		if number := l.tradable(a, g.sleeve, day); number >= 0 {
			l.buy(a, number, share(spend, g.lacks, all), day)
		}
	}
}

// gaps returns the sleeves below their share of invested that may be bought, greatest lack first.
func (l *life) gaps(a *living, day int, invested int64) []gap {
	var gaps []gap
	for i, s := range a.model.sleeves {
		if a.barred[i] > day {
			continue
		}
		if lacks := share(invested, s.weight, micro) - l.held(a, s, day); lacks > 0 {
			gaps = append(gaps, gap{sleeve: i, lacks: lacks})
		}
	}
	slices.SortStableFunc(gaps, func(x, y gap) int { return cmp.Compare(y.lacks, x.lacks) })
	return gaps
}

// tradable returns the security to buy for a sleeve today: the one that serves it, else the first
// member that trades; -1 where none does or the account may not buy it.
func (l *life) tradable(a *living, sleeve, day int) int {
	members := a.model.sleeves[sleeve].members
	if number := members[a.serves[sleeve]]; l.tape.trades[number][day] {
		return number
	} else if l.tape.marks[number][day] > 0 {
		return -1 // closed today: it is bought next month
	}
	for _, number := range members {
		if l.tape.trades[number][day] && number != a.employer {
			return number
		}
	}
	return -1
}

// buy spends up to budget on a security; nothing where it does not trade today or too little comes
// of it.
func (l *life) buy(a *living, security int, budget int64, day int) {
	rate := l.rate(a, security, day)
	if budget < tradeMin || rate == 0 || !l.tape.trades[security][day] {
		return
	}
	price := l.tape.marks[security][day]
	local := share(budget, micro, rate) - a.commission
	if local <= 0 {
		return
	}
	shares := share(local, centsScale, price)
	if a.policy.WholeShares {
		shares -= shares % wholeShare
	}
	if shares == 0 {
		return
	}
	amount := cents(price, shares)
	a.cash -= convert(amount+a.commission, rate)
	l.acquire(a, region.Buy, trade{security, day, shares, amount})
}

// trade is what a purchase comes to: shares in ten-thousandths, the amount in cents of the
// security's currency.
type trade struct {
	security, day  int
	shares, amount int64
}

// acquire books a purchase or a reinvestment; the money is the caller's matter.
func (l *life) acquire(a *living, kind region.Kind, t trade) {
	e := l.event(a, kind, t.security, t.day)
	e.Shares, e.Amount = rat(t.shares), money.FromUnits(t.amount, 2)
	paid := t.amount
	if kind == region.Buy {
		e.Commission = money.FromUnits(a.commission, 2)
		paid += a.commission
	}
	a.shares[t.security] += t.shares
	a.cost[t.security] += convert(paid, l.rate(a, t.security, t.day))
	if a.lots != nil {
		a.lots[t.security] = append(a.lots[t.security], lot{id: e.ID, day: t.day, price: share(t.amount, centsScale, t.shares), shares: t.shares})
	}
	l.events = append(l.events, e)
}

// sell books a sale of shares of a security; of the lots that are wanted first where they are named.
func (l *life) sell(a *living, security int, shares int64, day int) {
	if a.policy.WholeShares {
		shares -= shares % wholeShare
	}
	rate := l.rate(a, security, day)
	if shares <= 0 || rate == 0 || !l.tape.trades[security][day] {
		return
	}
	amount := cents(l.tape.marks[security][day], shares)
	if amount <= a.commission {
		return
	}
	e := l.event(a, region.Sell, security, day)
	e.Shares, e.Amount, e.Commission = rat(shares), money.FromUnits(amount, 2), money.FromUnits(a.commission, 2)
	if a.lots != nil {
		e.Lots = a.takeLots(security, shares)
	}
	a.cost[security] -= share(a.cost[security], shares, a.shares[security])
	a.shares[security] -= shares
	a.cash += convert(amount-a.commission, rate)
	l.events = append(l.events, e)
}

// takeLots uses up lots, dearest first, and returns what was taken of each.
func (a *living) takeLots(security int, shares int64) []region.LotShares {
	lots := a.lots[security]
	order := make([]int, len(lots))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(x, y int) int { return cmp.Compare(lots[y].price, lots[x].price) })
	var taken []region.LotShares
	for _, i := range order {
		if shares == 0 {
			break
		}
		part := min(shares, lots[i].shares)
		lots[i].shares -= part
		shares -= part
		taken = append(taken, region.LotShares{Lot: lots[i].id, Shares: rat(part)})
	}
	a.lots[security] = slices.DeleteFunc(lots, func(x lot) bool { return x.shares == 0 })
	return taken
}

// event returns an event of the day with what all kinds have in common. Its rate for tax is that of
// the tax day where it is known by the end of the world, else the last one known.
func (l *life) event(a *living, kind region.Kind, security, day int) region.Event {
	s := l.tape.securities[security]
	settle := l.tape.settle[s.Exchange][day]
	taxDay := min(l.tape.day(l.country.rules.TaxDay(l.tape.days[day], settle)), len(l.tape.days)-1)
	n := len(l.events) + 1
	e := region.Event{
		ID: fmt.Sprintf("%s-%d", l.id, n), Kind: kind, Day: l.tape.days[day], Settle: settle, Seq: int64(n),
		Owner: a.owner, Account: a.id, AccountType: a.accountType, Symbol: s.Symbol, Currency: s.Currency,
	}
	if s.Currency != l.country.home {
		e.FX = money.FromUnits(l.tape.rate(s.Currency, l.country.home, taxDay), microPlaces)
	}
	return e
}

// rat returns shares in ten-thousandths as an exact number.
func rat(shares int64) money.Rat { return money.RatOf(shares, wholeShare) }

// monthDay returns a day of the month of d.
func monthDay(d market.Day, day int) market.Day {
	year, month, _ := d.Date()
	return market.NewDay(year, month, day)
}

// nextMonth returns the same day of the next month; d is on the 28th or before.
func nextMonth(d market.Day) market.Day {
	year, month, day := d.Date()
	return market.NewDay(year, month+1, day)
}
