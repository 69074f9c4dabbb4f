package tlh

import (
	"slices"
	"strconv"
	"strings"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/region"
)

// asked is one sale while the questions about it are answered.
type asked struct {
	*Inquiry
	Sale
	day    market.Day // tax day of the sale
	window market.Day
	isLoss bool
}

// reply returns an answer; only a loss has anything against it.
func (a *asked) reply(q Question, v Verdict, numbers map[string]string) Reply {
	if v == Against && !a.isLoss {
		v = Noted
	}
	return Reply{Question: q, Verdict: v, Numbers: numbers}
}

// unknown is the answer where the inquiry lacks what it would rest on.
func (a *asked) unknown(q Question) Reply {
	return a.reply(q, Noted, map[string]string{"known": "false"})
}

func (a *asked) property(symbol market.Symbol) string {
	if a.Market == nil {
		return string(symbol)
	}
	if group, ok := a.Market.Identical()[symbol]; ok {
		return group
	}
	return string(symbol)
}

// purchases answers with what the household acquired in the window before. It stands against the
// sale where the tax book denies part of the loss; what is sold along denies nothing.
func (a *asked) purchases() Reply {
	all := a.Book.Purchases(a.Property, a.day-a.window, a.day)
	if len(all) == 0 {
		return a.reply(PurchasesBefore, Clear, nil)
	}
	var shares, sheltered money.Rat
	var accounts []string
	for _, m := range all {
		shares = shares.Add(m.Shares)
		if m.Sheltered {
			sheltered = sheltered.Add(m.Shares)
		}
		accounts = append(accounts, string(m.Account))
	}
	last := slices.MaxFunc(all, compareMovements)
	numbers := map[string]string{
		"purchases": strconv.Itoa(len(all)), "shares": shares.Dec().Round(4).String(), "sheltered": sheltered.Dec().Round(4).String(),
		"last": last.Day.String(), "until": (last.Day + a.window).String(), "accounts": names(accounts),
	}
	if a.Denied.Sign() > 0 {
		return a.reply(PurchasesBefore, Against, numbers)
	}
	return a.reply(PurchasesBefore, Noted, numbers)
}

func (a *asked) orders() Reply {
	var ids, accounts []string
	var leaves money.Dec
	for _, o := range a.Open {
		if o.Side == portfolio.Buy && o.Leaves.Sign() > 0 && a.property(o.Symbol) == a.Property {
			ids, accounts = append(ids, o.ID), append(accounts, string(o.Account))
			leaves = leaves.Add(o.Leaves)
		}
	}
	if len(ids) == 0 {
		return a.reply(OrdersPending, Clear, nil)
	}
	return a.reply(OrdersPending, Against, map[string]string{"orders": names(ids), "accounts": names(accounts), "shares": leaves.String()})
}

func (a *asked) run() Reply {
	if a.Bars != nil {
		if bar, ok := a.Bars.bought[a.Property]; ok {
			return a.reply(ThisRun, Against, map[string]string{"account": string(bar.Account), "symbol": string(bar.Symbol)})
		}
	}
	return a.reply(ThisRun, Clear, nil)
}

// deposits answers with the recurring deposits whose model would buy the property: each comes at
// least once in a window of thirty days. The lock turns them to another security, so none of them
// stands against the sale.
func (a *asked) deposits() Reply {
	if a.Household == nil || a.Market == nil {
		return a.unknown(Deposits)
	}
	var accounts []string
	for _, c := range a.Household.Accounts {
		if c.Policy.MonthlyDeposit.Sign() > 0 && a.wants(c.Model) {
			accounts = append(accounts, string(c.ID)+":"+c.Policy.MonthlyDeposit.String())
		}
	}
	if len(accounts) == 0 {
		return a.reply(Deposits, Clear, nil)
	}
	return a.reply(Deposits, Noted, map[string]string{"accounts": names(accounts), "redirected_by": "lock"})
}

// wants reports whether a model portfolio counts a security of the property.
func (a *asked) wants(model string) bool {
	return slices.ContainsFunc(a.Market.Model(model), func(w market.Weight) bool { return a.property(w.Symbol) == a.Property })
}

// reinvestment answers with the accounts whose dividends of the property are reinvested. An ex-date
// in the window that is past stands against the sale. One to come is noted with what it would deny,
// and so is every such account: the lock asks for cash instead.
func (a *asked) reinvestment() Reply {
	if a.Household == nil || a.Market == nil {
		return a.unknown(Reinvestment)
	}
	var accounts, sheltered []string
	var next coming
	numbers := map[string]string{}
	verdict := Clear
	for _, c := range a.Household.Accounts {
		for _, p := range c.Positions {
			if !c.Policy.DRIP || p.Shares.Sign() <= 0 || a.property(p.Symbol) != a.Property {
				continue
			}
			accounts = append(accounts, string(c.ID))
			if a.Rules.Shelters(c.Type) {
				sheltered = append(sheltered, string(c.ID))
			}
			if verdict == Clear {
				verdict = Noted
			}
			if a.Bars != nil {
				if d, ok := a.Bars.dueDividend(c.ID, p, a.Property, a.Market, a.Event.Day); ok && a.day <= d.ExDay+a.window {
					verdict = Against
					if until := (d.ExDay + a.window).String(); numbers["until"] < until {
						numbers["until"] = until
					}
				}
			}
			if d, ok := a.Market.LastDividend(p.Symbol, a.day-a.window, a.day+a.window); ok {
				if now := d.ExDay.String(); numbers["ex_day"] < now {
					numbers["ex_day"] = now
				}
			}
			next.add(a, &c, p)
		}
	}
	if verdict == Clear {
		return a.reply(Reinvestment, Clear, nil)
	}
	next.describe(a, numbers)
	numbers["accounts"] = names(accounts)
	if len(sheltered) > 0 {
		numbers["sheltered"] = names(sheltered)
	}
	return a.reply(Reinvestment, verdict, numbers)
}

// heldAtEnd answers with what the household would own at the end of the window if nobody traded in
// it any more: where that is nothing, nothing is denied under a rule that asks for it.
func (a *asked) heldAtEnd() Reply {
	if a.Household == nil {
		return a.unknown(HeldAtEnd)
	}
	held := a.Event.Shares.Dec().Neg().Sub(a.AlsoSold)
	for _, c := range a.Household.Accounts {
		for _, p := range c.Positions {
			if a.property(p.Symbol) == a.Property {
				held = held.Add(p.Shares)
			}
		}
	}
	numbers := map[string]string{"day": (a.day + a.window).String(), "shares": held.String()}
	if held.Sign() > 0 {
		return a.reply(HeldAtEnd, Noted, numbers)
	}
	return a.reply(HeldAtEnd, Clear, numbers)
}

// lotsThatStay answers with the lots of the same security and account that were bought in the window
// and are not sold along. Where the region has no lots, the pool answers for them.
func (a *asked) lotsThatStay() Reply {
	sold := map[string]money.Rat{}
	for _, l := range a.Event.Lots {
		sold[l.Lot] = sold[l.Lot].Add(l.Shares)
	}
	isHere := func(m region.Movement) bool { return m.Account == a.Event.Account && m.Symbol == a.Event.Symbol }
	if !slices.ContainsFunc(a.Book.Purchases(a.Property, a.day-a.window, a.day), isHere) {
		return a.reply(LotsThatStay, Clear, nil)
	}
	var lots []string
	for _, h := range a.Book.Holdings(a.Event.Account) {
		isRecent := h.Symbol == a.Event.Symbol && h.Lot != "" && h.Acquired >= a.day-a.window && h.Acquired <= a.day
		if _, isSold := sold[h.Lot]; isRecent && !isSold && len(a.Event.Lots) > 0 {
			lots = append(lots, h.Lot)
		}
	}
	if len(lots) == 0 {
		return a.reply(LotsThatStay, Clear, nil)
	}
	numbers := map[string]string{"lots": names(lots)}
	if a.Denied.Sign() > 0 {
		return a.reply(LotsThatStay, Against, numbers)
	}
	return a.reply(LotsThatStay, Noted, numbers)
}

// names joins names in order, each once.
func names(all []string) string {
	all = slices.Clone(all)
	slices.Sort(all)
	return strings.Join(slices.Compact(all), " ")
}
