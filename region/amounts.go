package region

import (
	"daybreak/market"
	"daybreak/money"
)

// acquires reports whether the event brings shares that were nobody's of the household before.
func (e *Event) acquires() bool { return e.Kind == Buy || e.Kind == Drip || e.Kind == Contribute }

// movesShares reports whether the event needs shares; without any it does nothing.
func (e *Event) movesShares() bool { return e.acquires() || e.Kind == Sell || e.Kind == Transfer }

// hasAccounts reports whether the event names the accounts that its kind needs.
func (e *Event) hasAccounts() bool {
	switch e.Kind {
	case Buy, Drip, Sell:
		return e.Account != ""
	case Contribute:
		return e.Account != "" && e.ToAccount != ""
	case Transfer:
		return e.Account != "" || e.ToAccount != ""
	}
	return true
}

// rates returns home currency for one unit of the amount and of the commission, and whether both
// are known.
func (r *Rules) rates(e *Event) (amount, commission money.Dec, known bool) {
	amount, commission = e.FX, e.CommissionFX
	if amount.IsZero() {
		if e.Currency != "" && e.Currency != r.Home {
			return money.Zero, commission, false
		}
		amount = money.One
	}
	if commission.IsZero() {
		commission = amount
	}
	return amount, commission, true
}

// paid returns the cost of a purchase in home currency: amount and commission, each at its own rate.
func (r *Rules) paid(e *Event) (money.Dec, bool) {
	fx, commissionFX, known := r.rates(e)
	return inHome(e.Amount, fx).Add(inHome(e.Commission, commissionFX)), known
}

// received returns the proceeds of a sale in home currency, less commission.
func (r *Rules) received(e *Event) (money.Dec, bool) {
	fx, commissionFX, known := r.rates(e)
	return inHome(e.Amount, fx).Sub(inHome(e.Commission, commissionFX)), known
}

// Outlays returns the commission of an event in home currency, at its own rate.
func (r *Rules) Outlays(e *Event) money.Dec {
	_, fx, _ := r.rates(e)
	return inHome(e.Commission, fx)
}

// distributed returns the amount of a distribution in home currency for the shares held.
func (r *Rules) distributed(e *Event, held money.Rat) money.Dec {
	fx, _, _ := r.rates(e)
	if !e.PerShare.IsZero() {
		return inHome(e.PerShare.MulRat(held), fx)
	}
	return inHome(e.Amount, fx)
}

func inHome(amount, fx money.Dec) money.Dec {
	if fx == money.One || amount.IsZero() {
		return amount
	}
	return amount.Mul(fx)
}

// isLong reports whether a gain of shares whose holding period began on start is long-term on day:
// the first day is not counted, the day of the sale is.
func (r *Rules) isLong(start, day market.Day) bool {
	if r.LongAfterYears == 0 || day-start < 365 {
		return false
	}
	return day >= (start + 1).AddYears(r.LongAfterYears)
}

// term returns the term of a sale, "" where the region makes no difference.
func (r *Rules) term(start, day market.Day) Term {
	switch {
	case r.LongAfterYears == 0:
		return ""
	case r.isLong(start, day):
		return Long
	}
	return Short
}
