package tlh

import (
	"slices"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/region"
)

// Question is one that must be answered before a sale at a loss. docs/harvest.md lists them.
type Question string

// The questions, in the order of their answers.
const (
	PurchasesBefore Question = "PURCHASES_BEFORE" // did the household acquire the property in the window before?
	OrdersPending   Question = "ORDERS_PENDING"   // may an open order of the household buy it?
	ThisRun         Question = "THIS_RUN"         // does this run buy it for any account?
	Deposits        Question = "DEPOSITS"         // is a recurring deposit due that would buy it?
	Reinvestment    Question = "DRIP"             // will a dividend be reinvested in it?
	HeldAtEnd       Question = "HELD_AT_END"      // what will the household own at the end of the window?
	LotsThatStay    Question = "LOTS_THAT_STAY"   // do lots of the account stay that could replace what is sold?
	LossDenied      Question = "LOSS_DENIED"      // what would be denied now, and what of it gone for good?
	NetValue        Question = "NET_VALUE"        // what is the rest worth, after all costs?
	ReplacedBy      Question = "REPLACED_BY"      // what is held instead, and is it never identical?
	WayBack         Question = "WAY_BACK"         // when and how does one go back?
	InTaxYear       Question = "TAX_YEAR"         // does the sale settle in the tax year of its trade?
	LockedUntil     Question = "LOCK"             // which purchases are forbidden, and until when?
	Outside         Question = "OUTSIDE"          // which accounts are not seen?
	ForcedPurchase  Question = "FORCED_PURCHASE"  // what would a purchase that must happen destroy?
	FinalAfter      Question = "FINAL_AFTER"      // until when can late facts change the outcome?
)

// Verdict is what an answer means for the sale.
type Verdict string

// The verdicts.
const (
	Clear   Verdict = "clear" // nothing stands against it
	Noted   Verdict = "noted" // a person should know
	Against Verdict = "bars"  // the sale should not be made, or not wholly
)

// Reply is the answer to one question, with its numbers: home currency, shares and days.
type Reply struct {
	Question Question          `json:"question"`
	Verdict  Verdict           `json:"verdict"`
	Numbers  map[string]string `json:"numbers,omitempty"`
}

// Answers are the replies to all questions, in their order.
type Answers []Reply

// Of returns the reply to a question.
func (a Answers) Of(q Question) Reply {
	i := slices.IndexFunc(a, func(r Reply) bool { return r.Question == q })
	if i < 0 {
		return Reply{}
	}
	return a[i]
}

// Barring returns the questions whose answers stand against the sale.
func (a Answers) Barring() []Question {
	var all []Question
	for _, r := range a {
		if r.Verdict == Against {
			all = append(all, r.Question)
		}
	}
	return all
}

// Remarks returns the questions whose answers a person should look at: those noted, but for the ones
// that are noted of every loss.
func (a Answers) Remarks() []Question {
	var all []Question
	for _, r := range a {
		switch r.Question {
		case LockedUntil, Outside, ForcedPurchase, FinalAfter:
			continue
		}
		if r.Verdict == Noted {
			all = append(all, r.Question)
		}
	}
	return all
}

// Inquiry is what the answers rest on. Household and Market may be nil: then
// what they would say is not known, and the answer is noted.
type Inquiry struct {
	Rules     *region.Rules
	Book      *region.Book
	Bars      *Bars
	Household *portfolio.Household
	Market    *market.Snapshot
	Open      []portfolio.OpenOrder
	Brought   []region.Brought
	CostRate  money.Dec // of one trade, share of its value: commission and half the spread
}

// Sale is a sale as the questions see it.
type Sale struct {
	Event        region.Event
	Property     string
	Gross        money.Dec       // gain, or loss below zero, before any denial
	Denied, Lost money.Dec       // of the loss; Lost is the part of Denied that nobody gets
	Replacements []market.Symbol // what is bought instead; nil: those of the market's table, empty: none is needed
	AlsoSold     money.Dec       // of the property, by other sales of the run
	Value        Value
	Least        region.Threshold
}

// Answers returns the replies to all questions about a sale.
func (q *Inquiry) Answers(s Sale) Answers {
	a := asked{Inquiry: q, Sale: s, day: q.Rules.TaxDay(s.Event.Day, s.Event.Settle)}
	a.window = market.Day(q.Rules.WindowDays())
	a.isLoss = s.Gross.Sign() < 0
	return Answers{
		a.purchases(), a.orders(), a.run(), a.deposits(), a.reinvestment(), a.heldAtEnd(), a.lotsThatStay(), a.denied(),
		a.value(), a.replacement(), a.wayBack(), a.taxYear(), a.lock(), a.outside(), a.forced(), a.final(),
	}
}
