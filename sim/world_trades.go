package sim

import (
	"daybreak/money"
	"daybreak/region"
)

// The sales of an account's life: rebalances, withdrawals, losses taken, contributions in kind.

// The excess of a sleeve that a rebalance sells, in thousandths of the account's value: of an
// account of few classes, and of one with many names.
const (
	excessClasses = 30
	excessNames   = 4
)

// rebalance sells what sleeves hold far above their targets.
func (l *life) rebalance(a *living, day int) {
	value := l.value(a, day)
	allowed := value * excessClasses / 1000
	if len(a.model.sleeves) >= directNamesMin {
		allowed = value * excessNames / 1000
	}
	for _, s := range a.model.sleeves {
		if excess := l.held(a, s, day) - share(max(value, 0), s.weight, micro); excess > allowed {
			l.raise(a, s, excess, day)
		}
	}
}

// raise sells the worth of amount out of a sleeve, the members that are bought last first.
func (l *life) raise(a *living, s sleeve, amount int64, day int) {
	for i := len(s.members) - 1; i >= 0 && amount > tradeMin; i-- {
		number := s.members[i]
		worth := l.worth(a, number, day)
		if worth == 0 || number == a.employer {
			continue
		}
		part := min(amount, worth)
		l.sell(a, number, share(a.shares[number], part, worth), day)
		amount -= part
	}
}

// withdraw pays amount out, or as much as can be had: from cash, then from the sleeves that lie
// furthest above their targets.
func (l *life) withdraw(a *living, amount int64, day int) {
	if need := amount - a.cash; need > 0 {
		value := l.value(a, day)
		best, most := -1, int64(0)
		for i, s := range a.model.sleeves {
			held := l.held(a, s, day)
			if above := held - share(max(value, 0), s.weight, micro); held > need && (best < 0 || above > most) {
				best, most = i, above
			}
		}
		if best >= 0 {
			l.raise(a, a.model.sleeves[best], need+need/50+tradeMin, day)
		}
	}
	a.cash -= max(0, min(amount, a.cash))
}

// What a review of losses sells: a position or lot below this share of its cost, in hundredths,
// bought more than 30 days ago; at most so many a review.
const (
	harvestBelow    = 92
	harvestAgeDays  = 31
	harvestsAReview = 3
)

// harvest sells losses of a taxable account and buys what can stand in for them.
func (l *life) harvest(a *living, day int) {
	done := 0
	for i, s := range a.model.sleeves {
		number := s.members[a.serves[i]]
		if done == harvestsAReview || number == a.employer || !l.tape.trades[number][day] {
			continue
		}
		shares := l.losing(a, number, day)
		if shares == 0 {
			continue
		}
		before := a.cash
		l.sell(a, number, shares, day)
		if a.cash == before {
			continue
		}
		done++
		l.replace(a, i, a.cash-before, day)
	}
}

// losing returns the shares of a security to sell for their loss: of lots where sales name them,
// of the whole position else.
func (l *life) losing(a *living, number, day int) int64 {
	if a.lots == nil {
		if l.worth(a, number, day) >= a.cost[number]*harvestBelow/100 {
			return 0
		}
		return a.shares[number]
	}
	limit := l.tape.marks[number][day] * 100 / harvestBelow
	var shares int64
	for _, x := range a.lots[number] {
		if x.price > limit && int(l.tape.days[day]-l.tape.days[x.day]) >= harvestAgeDays {
			shares += x.shares
		}
	}
	return shares
}

// replace buys what stands in for the security that served a sleeve and was sold at a loss: the
// next member that trades, or, where there is none, nothing of the sleeve for the loss window.
func (l *life) replace(a *living, sleeve int, proceeds int64, day int) {
	members := a.model.sleeves[sleeve].members
	for step := 1; step < len(members); step++ {
		next := (a.serves[sleeve] + step) % len(members)
		if l.tape.trades[members[next]][day] && members[next] != a.employer {
			a.serves[sleeve] = next
			l.buy(a, members[next], proceeds, day)
			return
		}
	}
	a.barred[sleeve] = l.tape.day(l.tape.days[day] + harvestAgeDays)
}

// contribute moves shares in kind from a taxable account to the owner's registered one of the kind
// that takes new money each year.
func (l *life) contribute(a *living, day int) {
	for _, to := range l.accounts {
		if to.owner != a.owner || to.accountType != "tfsa" || to.opened >= day {
			continue
		}
		number := a.model.sleeves[0].members[a.serves[0]]
		shares := a.shares[number] / 20 / wholeShare * wholeShare
		if shares == 0 || a.lots != nil {
			return
		}
		amount := cents(l.tape.marks[number][day], shares)
		e := l.event(a, region.Contribute, number, day)
		e.Shares, e.Amount = rat(shares), money.FromUnits(amount, 2)
		e.ToAccount, e.ToAccountType = to.id, to.accountType
		a.cost[number] -= share(a.cost[number], shares, a.shares[number])
		a.shares[number] -= shares
		to.shares[number] += shares
		to.cost[number] += convert(amount, l.rate(to, number, day))
		l.events = append(l.events, e)
		return
	}
}
