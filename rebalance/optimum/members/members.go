// Package members turns a household, its tax book and the market into the members of an optimum
// household: what each of its accounts holds, wants and may trade, in exact numbers.
package members

import (
	"cmp"
	"slices"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/rebalance/optimum"
	"daybreak/region"
	"daybreak/tlh"
)

// Input is all that the members of a household depend on.
type Input struct {
	Day       market.Day // trade date
	Household portfolio.Household
	Rules     *region.Rules
	Book      *region.Book // tax book as of the evening before Day, or an earlier one
	Market    *market.Snapshot
	Risk      map[market.Currency]*Model // for the currency of each account
	Params    Params
	Locks     []tlh.Lock            // of the household
	Open      []portfolio.OpenOrder // that may still buy
	// Holdings are those of the tax book by account, of a caller that has them and makes its own lots of
	// them: a position is then one lot without a cost, and no loss is barred. nil: of Book.
	Holdings map[portfolio.AccountID][]region.Holding
	Bars     *tlh.Bars           // of the household; nil: made from the tax book, Locks and Open
	Location *portfolio.Location // nil: each account follows its own targets alone
}

// Params are the parameters that neither the household nor its region has.
type Params struct {
	Options    optimum.Options // tax rates, least loss and least cash are the account's own
	HalfSpread money.Dec       // cost of trading one way, share of the value traded
	Commission money.Dec       // the same, on top
	FXSpread   money.Dec       // cost of converting one currency into another, share of the amount
	StaleDays  int             // calendar days after which a close is too old to trade on
	IsNetted   bool            // gains net over the year, in regions with two terms
	HasBudget  bool
	Budget     money.Dec // of each owner's net gains of the year, home currency; an account's policy may name another
}

// DefaultParams are used by `daybreak plan`.
func DefaultParams() Params {
	return Params{Options: optimum.DefaultOptions(), HalfSpread: money.FromUnits(5, 4), FXSpread: money.FromUnits(2, 3), StaleDays: 10}
}

// The codes of faults beside those of package optimum, in the order in which one account is looked
// at. They are those that the morning run parks a household with.
const (
	NoModel         = "NO_MODEL"         // the account's model portfolio is unknown
	BadModel        = "BAD_MODEL"        // its weights are negative, or do not sum to one
	UnknownSecurity = "UNKNOWN_SECURITY" // held or in the model, and not in the market
	NoRate          = "NO_RATE"          // no exchange rate into the account's currency
	NegativeCash    = "NEGATIVE_CASH"    // cash below zero in some currency
	ShortPosition   = "SHORT_POSITION"   // fewer than no shares
	LotsDiffer      = "LOTS_DIFFER"      // a position is not the sum of its tax holdings
	NoPrice         = "NO_PRICE"         // held, or all that a part of the model could buy, without a price
	StalePrice      = "STALE_PRICE"      // held, with a close older than Params.StaleDays
)

// Of returns the members of a household, by account id; accounts without any value are left out.
// It returns an *optimum.MemberFault for the first account that cannot be planned.
//
// Securities of a member are those of its model portfolio with their replacements and those that it
// holds, by symbol. The first security of a part of the model has its weight; the others of it may
// be held instead; what is held outside the model is never bought.
func Of(in Input) ([]optimum.Member, error) {
	b := &builder{in: in, identical: in.Market.Identical()}
	if b.bars = in.Bars; b.bars == nil {
		b.bars = tlh.NewBars(in.Book, in.Rules.WindowDays(), in.Locks, in.Open, b.property)
	}
	accounts := slices.Clone(in.Household.Accounts)
	slices.SortFunc(accounts, func(a, c portfolio.Account) int { return cmp.Compare(a.ID, c.ID) })
	var drafts []*draft
	for _, a := range accounts {
		if in.Location != nil && in.Location.Model != "" {
			a.Model = in.Location.Model
		}
		d, f := b.draft(a)
		if f == nil && d.value.Sign() > 0 {
			f = d.fill()
		}
		if f != nil {
			return nil, &optimum.MemberFault{Account: string(a.ID), Fault: f}
		}
		if d.value.Sign() > 0 {
			drafts = append(drafts, d)
		}
	}
	b.setGains(drafts)
	members := make([]optimum.Member, len(drafts))
	for i, d := range drafts {
		members[i] = optimum.Member{Universe: d.universe, Account: &d.out, Options: &d.options, Rate: d.home,
			Owner: string(d.account.Owner), IsLocated: in.Location != nil}
	}
	return members, nil
}

// builder makes the members of one household.
type builder struct {
	in        Input
	identical map[market.Symbol]string
	bars      *tlh.Bars
}

// property returns what a symbol counts as for the loss rules.
func (b *builder) property(s market.Symbol) string {
	if p, ok := b.identical[s]; ok {
		return p
	}
	return string(s)
}

// setGains sets what the owners of taxable accounts have realised this year, and the budget of what
// they may still realise, shared among an owner's accounts by their value.
func (b *builder) setGains(drafts []*draft) {
	values := map[portfolio.OwnerID]money.Dec{}
	for _, d := range drafts {
		if !d.out.IsSheltered {
			values[d.account.Owner] = values[d.account.Owner].Add(d.value.Mul(d.home))
		}
	}
	for _, d := range drafts {
		if d.out.IsSheltered {
			continue
		}
		year := b.in.Book.Year(d.account.Owner, b.in.Rules.TaxYear(b.in.Day))
		g := &d.out.Gains
		if b.in.Params.IsNetted && b.in.Rules.LongAfterYears > 0 {
			g.IsNetted = true
			g.ShortSoFar, g.LongSoFar = year.ST.Div(d.home), year.LT.Div(d.home)
			g.LossRate = d.longRate
		}
		if budget := d.budget(); budget != nil {
			left := money.Max(budget.Sub(year.Net()), money.Zero)
			g.HasBudget = true
			g.Budget = left.MulDiv(d.value, values[d.account.Owner]).Add(g.ShortSoFar).Add(g.LongSoFar)
		}
	}
}
