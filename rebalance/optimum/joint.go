package optimum

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"daybreak/money"
)

// tieVol is the specific volatility left to a security that several accounts planned as one may hold:
// its risk counts once for all of them, and this little keeps the accounts alike where nothing else
// says which of them should hold it. A tenth of the household in another place than its target costs
// 1e-6.
const tieVol = 1.5e-3

// jointAim is the gap at which the search for accounts planned as one ends: what the household decides
// is worth more of its time.
const jointAim = 3e-5

// joint is several members planned as one: one cash each, one value, one problem. With one risk the
// weights are those of the household and the accounts' targets add up; else each account has its own.
type joint struct {
	first []int // of each member's securities and lots in the joint ones; one more at the end
	lot   []int
	share []float64 // of the value, by member
	part  []money.Dec
	isOne bool // one risk for all
	Member
}

// joinable reports whether members can be planned as one: in one currency, none of them with cash in
// a further one, with the same options but for least losses and least cash.
func joinable(list []Member) bool {
	for _, m := range list {
		if m.Rate != list[0].Rate || len(m.Account.Balances) > 0 || m.Options.Mode == CashOnly || !alike(m.Options, list[0].Options) {
			return false
		}
		for _, s := range m.Universe.Securities {
			if s.Cash != 0 {
				return false
			}
		}
	}
	return true
}

// alike compares what options of members planned as one must share.
func alike(a, b *Options) bool {
	x, y := *a, *b
	for _, o := range []*Options{&x, &y} {
		o.HarvestMin, o.CashFloor, o.RiskAversion = 0, money.Zero, 1
	}
	return x == y && a.RiskAversion > 0 && b.RiskAversion > 0
}

// valueOf is cash and positions of a member; 0 where they are not all positions of known securities.
func valueOf(m Member) money.Dec {
	v := m.Account.Cash
	for _, l := range m.Account.Lots {
		if l.Security < 0 || int(l.Security) >= len(m.Universe.Securities) {
			return money.Zero
		}
		v = v.Add(l.Shares.Mul(m.Universe.Securities[l.Security].Price))
	}
	return v
}

// join returns members, all of them with a value, as one.
func join(list []Member, isOne bool) *joint {
	j := &joint{isOne: isOne}
	values := make([]money.Dec, len(list))
	total := money.Zero
	for k, m := range list {
		values[k] = valueOf(m)
		total = total.Add(values[k])
	}
	options := *list[0].Options
	options.CashFloor, options.GapAim = money.Zero, max(options.GapAim, jointAim)
	a := &Account{isJoint: true}
	j.Member = Member{Account: a, Options: &options, Rate: list[0].Rate}
	var ids []string
	for k, m := range list {
		j.share = append(j.share, values[k].Float()/total.Float())
		j.part = append(j.part, values[k].Div(total))
		ids = append(ids, m.Account.ID)
	}
	a.ID = strings.Join(ids, "+")
	j.joinSecurities(list)
	for k, m := range list {
		j.joinAccount(a, k, m, values[k])
	}
	j.first = append(j.first, len(a.Targets))
	j.lot = append(j.lot, len(a.Lots))
	j.joinGains(list)
	return j
}

// joinSecurities makes the universe: every account's securities one after another.
func (j *joint) joinSecurities(list []Member) {
	factors, offsets := 0, make([]int, len(list))
	for k, m := range list {
		if offsets[k] = factors; !j.isOne {
			factors += m.Universe.factors
		}
	}
	own := map[string]int{} // factor of a security that several accounts may hold
	if j.isOne {
		factors = list[0].Universe.factors
		factors = shared(list, factors, own)
	}
	var securities []Security
	for k, m := range list {
		j.first = append(j.first, len(securities))
		scale := 1.0
		if !j.isOne {
			scale = math.Sqrt(m.Options.RiskAversion / list[0].Options.RiskAversion / j.share[k])
		}
		for i, s := range m.Universe.Securities {
			load := make([]float64, factors)
			for f, l := range s.Load {
				load[offsets[k]*boolInt(!j.isOne)+f] = l * scale
			}
			s.Property, s.Cash = m.Universe.property(i), k
			if f, ok := own[s.ID]; ok && j.isOne && m.Universe.fault[i] == "" {
				load[f], s.SpecificVol = s.SpecificVol, tieVol
			} else {
				s.SpecificVol *= scale
			}
			if m.Universe.fault[i] == BadRisk {
				s.SpecificVol = 0
			}
			s.Load = load
			securities = append(securities, s)
		}
	}
	j.Universe = NewUniverse(factors, securities)
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// shared gives each security of more than one account a factor of its own, by first appearance, and
// returns the number of factors.
func shared(list []Member, factors int, own map[string]int) int {
	seen := map[string]bool{}
	for _, m := range list {
		for i, s := range m.Universe.Securities {
			if m.Universe.fault[i] != "" {
				continue
			}
			if _, ok := own[s.ID]; seen[s.ID] && !ok {
				own[s.ID] = factors
				factors++
			}
			seen[s.ID] = true
		}
	}
	return factors
}

// joinAccount adds member k to the account.
func (j *joint) joinAccount(a *Account, k int, m Member, value money.Dec) {
	own, part := m.Account, j.part[k]
	need := value.Mul(m.Options.CashFloor).Add(own.Withdrawal)
	if m.Options.Mode == HarvestOnly || m.Options.Mode == Nothing {
		need = own.Cash
	}
	if k == 0 {
		a.Cash, a.Withdrawal = own.Cash, need
	} else {
		a.Balances = append(a.Balances, Balance{Cash: own.Cash, Least: need})
	}
	a.CashTarget = a.CashTarget.Add(own.CashTarget.Mul(part))
	for _, t := range own.Targets {
		a.Targets = append(a.Targets, t.Mul(part))
	}
	for i := range m.Universe.Securities {
		drag := money.Zero
		if len(own.Drag) > 0 {
			drag = own.Drag[i]
		}
		a.Drag = append(a.Drag, drag)
		r := noRule
		if len(own.Rules) > 0 {
			r = own.Rules[i]
		}
		r.Lower, r.Upper = r.Lower.Mul(part), r.Upper.Mul(part)
		r.MinTrade, r.WholeShares = money.Max(r.MinTrade, own.MinTrade), r.WholeShares || own.WholeShares
		if r.HarvestMin == 0 {
			r.HarvestMin = max(m.Options.HarvestMin, leastHarvest)
		}
		a.Rules = append(a.Rules, r)
	}
	j.lot = append(j.lot, len(a.Lots))
	for _, l := range own.Lots {
		l.Security += int32(j.first[k])
		l.IsSheltered = l.IsSheltered || own.IsSheltered
		a.Lots = append(a.Lots, l)
	}
	for _, g := range own.Groups {
		j.joinGroup(a, g, k)
	}
}

// leastHarvest stands for no least loss, where 0 would mean that of the options.
const leastHarvest = 1e-12

// joinGroup adds a band of member k; with one risk those of one name add up.
func (j *joint) joinGroup(a *Account, g Group, k int) {
	g.Securities = slices.Clone(g.Securities)
	for n := range g.Securities {
		g.Securities[n] += int32(j.first[k])
	}
	g.Lower, g.Upper = g.Lower.Mul(j.part[k]), g.Upper.Mul(j.part[k])
	at := slices.IndexFunc(a.Groups, func(o Group) bool { return j.isOne && o.Name == g.Name })
	if at < 0 {
		a.Groups = append(a.Groups, g)
		return
	}
	o := &a.Groups[at]
	o.Securities = append(o.Securities, g.Securities...)
	o.Lower = o.Lower.Add(g.Lower)
	if o.Upper.IsZero() || g.Upper.IsZero() {
		o.Upper = money.Zero
	} else {
		o.Upper = o.Upper.Add(g.Upper)
	}
}

// joinGains makes one year of the members' gains: what is realised is the same owner's in each, and
// what each may still realise adds up.
func (j *joint) joinGains(list []Member) {
	g := &j.Account.Gains
	left := money.Zero
	for _, m := range list {
		o := &m.Account.Gains
		if m.Account.IsSheltered {
			continue
		}
		if o.IsNetted {
			g.IsNetted, g.ShortSoFar, g.LongSoFar, g.LossRate = true, o.ShortSoFar, o.LongSoFar, o.LossRate
		}
		if o.HasBudget {
			g.HasBudget = true
			left = left.Add(o.Budget.Sub(o.ShortSoFar).Sub(o.LongSoFar))
		}
	}
	if g.HasBudget {
		g.Budget = left.Add(g.ShortSoFar).Add(g.LongSoFar)
	}
}

// split returns the plans of the members. Each has its own trades, tax, cost and cash; with one risk
// each has the risk of all. Tax that the year nets counts at the rates of the year's last unit, and the
// gap, in basis points, is that of all. So values times objectives add up to the joint objective.
func (j *joint) split(p *Plan, list []Member) []Plan {
	out := make([]Plan, len(list))
	all := make([]measured, len(list)*2)
	worth := 0.0
	for k := range list {
		out[k] = j.own(p, k)
		out[k].Account = list[k].Account.ID
		b := book{u: list[k].Universe, a: list[k].Account, o: list[k].Options}
		b.checkTargets()
		b.positions()
		b.needs()
		b.realised = [classes]float64{}
		b.measure(&all[k], &out[k])
		b.measure(&all[len(list)+k], &Plan{})
		out[k].Value = b.value
		worth += b.worth
	}
	after, before := all[:len(list)], all[len(list):]
	if j.Account.Gains.IsNetted {
		j.shareTax(p, after, worth)
		for k := range before {
			before[k].parts.Tax = 0
		}
	}
	if j.isOne {
		j.shareRisk(p, after, before)
	}
	gap := p.Objective - p.Bound
	for k := range out {
		o := &out[k]
		o.Parts, o.Objective, o.NoTrade = after[k].parts, after[k].parts.Total(), before[k].parts.Total()
		by := o.Objective - p.Objective
		o.Bound, o.GapBP, o.GapMoney = o.Objective-gap, p.GapBP, gapMoney(gap, o.Value)
		o.Fixed.Objective, o.Fixed.Bound = p.Fixed.Objective+by, p.Fixed.Bound+by
		o.Unrounded.Objective, o.Unrounded.Bound = p.Unrounded.Objective+by, p.Unrounded.Bound+by
		if o.TrackingError = math.Sqrt(after[k].variance); j.isOne {
			o.TrackingError = p.TrackingError
		}
		o.CashAfter = after[k].cash[0]
		o.With = p.Account
	}
	return out
}

// own returns what of a joint plan concerns member k.
func (j *joint) own(p *Plan, k int) Plan {
	o := *p
	o.Trades, o.Conversions, o.Reasons = nil, nil, nil
	for _, t := range p.Trades {
		if t.Security < j.first[k] || t.Security >= j.first[k+1] {
			continue
		}
		t.Security -= j.first[k]
		if t.Lot >= 0 {
			t.Lot -= j.lot[k]
		}
		o.Trades = append(o.Trades, t)
	}
	for _, r := range p.Reasons[j.first[k]:j.first[k+1]] {
		r.Security -= j.first[k]
		for n := range r.Numbers {
			if v := &r.Numbers[n]; v.Name != "worth" && v.Name != "threshold" && !(v.Name == "loss" && r.Code != Harvested) {
				v.Value /= j.share[k]
			}
			if v := &r.Numbers[n]; v.Name == "high" {
				v.Value = min(v.Value, 1)
			}
		}
		o.Reasons = append(o.Reasons, r)
	}
	return o
}

// shareTax gives each member the tax of its gains at the rates of the year's last unit, and its part
// by value of what that leaves.
func (j *joint) shareTax(p *Plan, all []measured, worth float64) {
	var sum [classes]float64
	for k := range all {
		for c := range classes {
			sum[c] += float64(j.share[k] * all[k].gain[c])
		}
	}
	b := book{a: j.Account, o: j.Options}
	s, l := j.Account.Gains.ShortSoFar.Float()/worth+sum[shortTerm], j.Account.Gains.LongSoFar.Float()/worth+sum[longTerm]
	rate := [classes]float64{b.yearTax(s, l) - b.yearTax(s-unitStep, l), b.yearTax(s, l) - b.yearTax(s, l-unitStep)}
	left := p.Parts.Tax
	for k := range all {
		all[k].parts.Tax = 0
		for c := range classes {
			all[k].parts.Tax += float64(rate[c] / unitStep * all[k].gain[c])
		}
		left -= float64(j.share[k] * all[k].parts.Tax)
	}
	for k := range all {
		all[k].parts.Tax += left
	}
}

// unitStep is the step, as a fraction of value, at which rates of the year are read.
const unitStep = 1.0 / (1 << 24)

// shareRisk gives each member the risk of all, after trading and before.
func (j *joint) shareRisk(p *Plan, after, before []measured) {
	rest := p.NoTrade
	for k := range before {
		before[k].parts.Risk = 0
		rest -= float64(j.share[k] * before[k].parts.Total())
	}
	for k := range after {
		after[k].parts.Risk, before[k].parts.Risk = p.Parts.Risk, rest
	}
}

// units returns the members to plan as one: those whose risk counts at the household's level, and the
// taxable accounts of an owner whose gains the year nets or a budget bounds. Where they cannot be
// planned as one, each is planned alone, and then nothing is netted.
func units(members []Member) [][]int {
	var out [][]int
	located := slices.DeleteFunc(places(members), func(k int) bool { return !members[k].IsLocated })
	taken := map[int]bool{}
	take := func(unit []int) {
		out = append(out, unit)
		for _, k := range unit {
			taken[k] = true
		}
	}
	if len(located) > 1 && canLocate(pick(members, located)) {
		take(located)
	}
	for k, m := range members {
		if taken[k] {
			continue
		}
		unit := []int{k}
		for o := k + 1; o < len(members); o++ {
			if !taken[o] && m.sharesYear(members[o]) {
				unit = append(unit, o)
			}
		}
		if !joinable(pick(members, unit)) {
			for _, o := range unit {
				take([]int{o})
			}
			continue
		}
		take(unit)
	}
	slices.SortFunc(out, func(a, b []int) int { return cmp.Compare(a[0], b[0]) })
	return out
}

// sharesYear reports whether the gains of both members count in one year of one owner.
func (m Member) sharesYear(o Member) bool {
	counts := func(m Member) bool {
		return !m.Account.IsSheltered && m.Owner != "" && (m.Account.Gains.IsNetted || m.Account.Gains.HasBudget) && valueOf(m).Sign() > 0
	}
	return m.Owner == o.Owner && counts(m) && counts(o)
}

// canLocate reports whether members can be planned with one risk: in one model of it, with at most
// one owner whose gains are netted or bounded.
func canLocate(list []Member) bool {
	owner := ""
	for _, m := range list {
		g := &m.Account.Gains
		if !m.Account.IsSheltered && (g.IsNetted || g.HasBudget) {
			if owner != "" && owner != m.Owner {
				return false
			}
			owner = m.Owner
		}
		if m.Universe.factors != list[0].Universe.factors || m.Options.Mode != Full || m.Options.RiskAversion != list[0].Options.RiskAversion || valueOf(m).Sign() <= 0 {
			return false
		}
	}
	return joinable(list)
}

func places(members []Member) []int {
	out := make([]int, len(members))
	for k := range out {
		out[k] = k
	}
	return out
}

func pick(members []Member, at []int) []Member {
	out := make([]Member, len(at))
	for n, k := range at {
		out[n] = members[k]
	}
	return out
}
