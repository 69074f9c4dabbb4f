package tlh

import (
	"strconv"

	"daybreak/money"
)

func (a *asked) denied() Reply {
	loss := money.Max(money.Zero, a.Gross.Neg())
	numbers := map[string]string{"loss": cents(loss), "denied": cents(a.Denied), "gone": cents(a.Lost)}
	if a.Denied.Sign() > 0 {
		return a.reply(LossDenied, Against, numbers)
	}
	return a.reply(LossDenied, Clear, numbers)
}

// value answers with what the allowed loss is worth and what the household asks for at least.
func (a *asked) value() Reply {
	numbers := a.Value.Numbers()
	numbers["tax_year"] = strconv.Itoa(a.Value.Year)
	numbers["minimum_value"] = cents(a.Least.Value)
	if !a.isLoss {
		return a.reply(NetValue, Noted, numbers)
	}
	if !a.Value.IsWorthIt(a.Least.Value) {
		return a.reply(NetValue, Against, numbers)
	}
	return a.reply(NetValue, Clear, numbers)
}

// replacement answers with what is held instead: never the property itself, and nothing whose own
// purchase is barred.
func (a *asked) replacement() Reply {
	if a.Market == nil && a.Replacements == nil {
		return a.unknown(ReplacedBy)
	}
	candidates := a.Replacements
	if candidates != nil && len(candidates) == 0 {
		return a.reply(ReplacedBy, Clear, map[string]string{"needed": "none"})
	}
	if candidates == nil {
		for _, r := range a.Market.ReplacementsOf(a.Event.Symbol) {
			candidates = append(candidates, r.Replacement)
		}
	}
	var usable, identical, barred []string
	for _, symbol := range candidates {
		p := a.property(symbol)
		switch {
		case p == a.Property:
			identical = append(identical, string(symbol))
		case a.isBarred(p):
			barred = append(barred, string(symbol))
		default:
			usable = append(usable, string(symbol))
		}
	}
	numbers := map[string]string{}
	for key, all := range map[string][]string{"usable": usable, "identical": identical, "barred": barred} {
		if len(all) > 0 {
			numbers[key] = names(all)
		}
	}
	if len(usable) == 0 {
		return a.reply(ReplacedBy, Against, numbers)
	}
	return a.reply(ReplacedBy, Clear, numbers)
}

func (a *asked) isBarred(property string) bool {
	if a.Bars == nil {
		return false
	}
	_, ok := a.Bars.Purchase(property, a.day)
	return ok
}

// wayBack answers when the security may be bought again, and whether the table leads back from what
// is held instead. A loss on the replacement is barred for a window as well, as it is bought now.
func (a *asked) wayBack() Reply {
	numbers := map[string]string{"from": (a.day + a.window + 1).String(), "cost": cents(a.Value.WayBack)}
	if a.Market == nil {
		return a.reply(WayBack, Noted, numbers)
	}
	var back []string
	for _, symbol := range a.Replacements {
		for _, r := range a.Market.ReplacementsOf(symbol) {
			if a.property(r.Replacement) == a.Property {
				back = append(back, string(symbol))
			}
		}
	}
	if len(back) > 0 {
		numbers["table"] = names(back)
	}
	return a.reply(WayBack, Clear, numbers)
}

// taxYear answers in which tax year the sale counts. It is noted where that is not the one of the
// trade: the last trade day of the year is past.
func (a *asked) taxYear() Reply {
	year, traded := a.Rules.TaxYear(a.day), a.Rules.TaxYear(a.Event.Day)
	numbers := map[string]string{"tax_day": a.day.String(), "year": strconv.Itoa(year)}
	if year != traded {
		numbers["trade_year"] = strconv.Itoa(traded)
		return a.reply(InTaxYear, Noted, numbers)
	}
	return a.reply(InTaxYear, Clear, numbers)
}

func (a *asked) lock() Reply {
	if !a.isLoss {
		return a.reply(LockedUntil, Clear, nil)
	}
	return a.reply(LockedUntil, Noted, map[string]string{"property": a.Property, "until": (a.day + a.window).String()})
}

// outside says that accounts elsewhere are not seen: the household attests what they hold.
func (a *asked) outside() Reply {
	numbers := map[string]string{"from": (a.day - a.window).String(), "until": (a.day + a.window).String()}
	if a.Household != nil {
		numbers["owners"], numbers["accounts"] = strconv.Itoa(len(a.Household.Owners)), strconv.Itoa(len(a.Household.Accounts))
	}
	return a.reply(Outside, Noted, numbers)
}

// forced answers what a purchase of as much as is sold would destroy: all of the loss that is left,
// and where it is made in a sheltered account, for good.
func (a *asked) forced() Reply {
	if !a.isLoss {
		return a.reply(ForcedPurchase, Clear, nil)
	}
	allowed := a.Gross.Neg().Sub(a.Denied)
	numbers := map[string]string{"loss": cents(allowed), "tax_value": cents(a.Value.Value)}
	if n := a.Event.Shares; n.Sign() > 0 {
		numbers["per_share"] = cents(allowed.Share(money.RatInt(1), n))
	}
	return a.reply(ForcedPurchase, Noted, numbers)
}

func (a *asked) final() Reply {
	return a.reply(FinalAfter, Noted, map[string]string{"day": (a.day + a.window).String()})
}
