package fills

import (
	"fmt"

	"daybreak/market"
	"daybreak/region"
	"daybreak/tlh"
)

// DeniedLoss is the code of the exception where a purchase that nobody here decided, or that no
// override allowed, denies a loss that the household has realised. It informs, and parks nothing.
const DeniedLoss = "DENIED_LOSS"

// Parks reports whether an open exception of a code keeps its household out of runs and stops its
// orders.
func Parks(code string) bool { return code != DeniedLoss }

// DenialOf returns the exception that a purchase in the book opens by the loss that it denies: which
// purchase, the sales, how much of their loss, how much of it for good, and the last day on which
// what happens can still change that. Its subject is the purchase's event.
func DenialOf(purchase region.Event, rules *region.Rules, loss tlh.Loss) Exception {
	until := market.NoDay
	for _, d := range loss.Sales {
		until = max(until, d.Day+market.Day(rules.WindowDays()))
	}
	x := denial(purchase)
	x.Detail += fmt.Sprintf("denies %s %s of losses (%s), %s %s of it for good, worth %s %s of tax; the window runs through %s",
		loss.Amount.Fixed(2), loss.Currency, loss.BySale(), loss.Gone.Fixed(2), loss.Currency, loss.Tax.Fixed(2), loss.Currency, until)
	return x
}

// UnknownDenialOf is DenialOf where the tax book cannot say what the purchase denies.
func UnknownDenialOf(purchase region.Event, why error) Exception {
	x := denial(purchase)
	x.Detail += "meets a lock or a sale of the same property, and what it denies cannot be told: " + why.Error()
	return x
}

func denial(purchase region.Event) Exception {
	account := purchase.Account
	if account == "" {
		account = purchase.ToAccount
	}
	return Exception{Account: account, Code: DeniedLoss, Subject: purchase.ID,
		Detail: fmt.Sprintf("%s of %s %s on %s (%s) ", purchase.Kind, purchase.Shares, purchase.Symbol, purchase.Day, purchase.ID)}
}
