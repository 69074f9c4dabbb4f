package sim

import (
	"fmt"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
)

// newLife draws who a household is and which accounts it opens when; nothing has happened yet.
func newLife(w *World, r *random, id portfolio.HouseholdID) *life {
	l := &life{world: w, tape: w.tape, random: r, id: id, country: w.regions[r.below(len(w.regions))]}
	days := len(l.tape.days)
	opened := r.below(min(20, days))
	if !r.chance(550) {
		opened = r.below(days)
	}
	isDirect := r.chancePPM(w.settings.DirectPPM) && len(l.country.direct) > 0
	wealth := r.wealth()
	if isDirect {
		wealth = 3*wealth + 200_000
	}
	owners := 1
	if r.chance(550) {
		owners = 2
	}
	l.addOwners(owners, opened)
	l.addAccounts(opened, wealth, isDirect)
	return l
}

// addOwners draws a client, or a couple; some couples become one while the world lives.
func (l *life) addOwners(n, opened int) {
	since := l.tape.days[opened].AddYears(-l.random.between(1, 20))
	for i := range n {
		from := since
		if i == 1 && l.random.chance(80) {
			from = l.tape.days[l.random.between(opened, len(l.tape.days)-1)]
		}
		owner := portfolio.OwnerID(fmt.Sprintf("%s-%c", l.id, 'A'+i))
		l.owners = append(l.owners, portfolio.Owner{ID: owner, From: from, To: market.NoDay})
	}
}

// opening is an account that somebody will have.
type opening struct {
	plan  accountPlan
	owner int
	label string
	model *model
}

// addAccounts draws the accounts of a household, by id, and shares its wealth out among them.
func (l *life) addAccounts(opened, wealth int, isDirect bool) {
	model := l.country.models[l.random.below(len(l.country.models))]
	var openings []opening
	weights := 0
	for owner := range l.owners {
		for i, plan := range l.country.accounts {
			if has := l.random.chance(plan.perMille); !has && (i > 0 || owner > 0) || plan.since > l.world.asOf {
				continue
			}
			o := opening{plan: plan, owner: owner, label: plan.label, model: model}
			if l.random.chance(200) {
				o.model = l.country.models[l.random.below(len(l.country.models))]
			}
			weights += plan.weight
			openings = append(openings, o)
		}
	}
	if isDirect {
		direct := l.country.direct[l.random.below(len(l.country.direct))]
		openings = append(openings, opening{plan: l.country.accounts[0], label: "DIRECT", model: direct})
		weights += l.country.accounts[0].weight
	}
	for _, o := range openings {
		start := opened
		if l.random.chance(200) {
			start = l.random.between(opened, len(l.tape.days)-1)
		}
		start = max(start, l.tape.day(o.plan.since), l.tape.day(l.owners[o.owner].From))
		if start < len(l.tape.days) {
			l.addAccount(o, start, wealth*o.plan.weight/weights)
		}
	}
	sortAccounts(l.accounts)
}

// addAccount draws how an account is managed and how money comes and goes.
func (l *life) addAccount(o opening, start, wealth int) {
	r := l.random
	owner := l.owners[o.owner].ID
	a := &living{
		id:    portfolio.AccountID(fmt.Sprintf("%s-%s-%c", l.id, o.label, 'A'+o.owner)),
		owner: owner, accountType: o.plan.accountType, isTaxable: !l.country.rules.Shelters(o.plan.accountType),
		model: o.model, opened: start, initial: int64(wealth) * int64(r.between(60, 90)),
		deposit:     int64(wealth*r.between(2, 9)/1000/25*25) * 100,
		rebalances:  []int{3, 6, 12}[r.below(3)],
		commission:  []int64{0, 0, 0, 1_00, 4_95}[r.below(5)],
		employer:    -1,
		nextDeposit: market.NoDay,
		shares:      make([]int64, len(l.tape.securities)), cost: make([]int64, len(l.tape.securities)),
		serves: make([]int, len(o.model.sleeves)), barred: make([]int, len(o.model.sleeves)),
	}
	a.harvests = a.isTaxable && r.chance(400)
	if l.country.namesLots && a.isTaxable {
		a.lots = map[int][]lot{}
	}
	if r.chance(100) {
		a.withdrawal, a.deposit = a.deposit*2, 0
	}
	a.policy = l.policy(a, wealth)
	l.restrict(a)
	l.accounts = append(l.accounts, a)
}

// policy draws an account's policy; most of it is left to the defaults.
func (l *life) policy(a *living, wealth int) portfolio.Policy {
	r := l.random
	p := portfolio.Policy{WholeShares: r.chance(450) && len(a.model.sleeves) < directNamesMin, NoHarvest: a.isTaxable && r.chance(50)}
	p.DRIP = !p.WholeShares && r.chance(300)
	if len(a.model.sleeves) >= directNamesMin {
		p.Band = money.MustParse("0.005")
	} else if r.chance(200) {
		p.Band = []money.Dec{money.MustParse("0.01"), money.MustParse("0.03"), money.MustParse("0.05")}[r.below(3)]
	}
	if a.deposit > 0 && r.chance(600) {
		p.MonthlyDeposit = money.FromUnits(a.deposit, 2)
	}
	if r.chance(80) {
		p.WithdrawalCash = money.FromUnits(int64(wealth*r.between(1, 4)/100/50*50), 0)
	}
	return p
}

// restrict gives some taxable accounts shares of an employer that may not be traded, and some an
// issuer that the client does not want.
func (l *life) restrict(a *living) {
	r := l.random
	if len(l.country.stocks) == 0 || !r.chance(80) {
		return
	}
	stock := l.country.stocks[r.below(len(l.country.stocks))]
	a.policy.Restricted = []market.Symbol{l.tape.securities[stock].Symbol}
	if a.isTaxable && r.chance(600) {
		a.employer = stock
	}
	for i, s := range a.model.sleeves {
		if s.members[0] == stock {
			a.barred[i] = len(l.tape.days)
		}
	}
}
