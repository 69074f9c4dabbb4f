package tlh

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"daybreak/market"
	"daybreak/money"
	"daybreak/region"
)

// ErrNoGain is wrapped where a sale has no gain or loss for tax: its account is sheltered. Callers
// branch on it to say so.
var ErrNoGain = errors.New("no gains tax in this account")

// Answer says what a sale of today would come to. Money is in home currency.
type Answer struct {
	Outcome  region.SaleOutcome `json:"outcome"`   // gain or loss, what is denied of it, where that goes
	Short    money.Dec          `json:"short"`     // gross gain, or loss below zero, on lots held for the short term
	Long     money.Dec          `json:"long"`      // the same for the long term; both 0 where terms don't matter
	Bars     []Bar              `json:"bars"`      // what denies the loss; none for a gain
	FreeFrom market.Day         `json:"free_from"` // first tax day on which no known purchase denies it; NoDay: an order may still fill
	Until    market.Day         `json:"until"`     // last tax day on which a purchase in the household could still deny it
	Value    Value              `json:"value"`     // what is allowed of it, in tax of the year, and what it costs; below zero for a gain
	Least    region.Threshold   `json:"least"`     // loss and value from which the region's rules would harvest it
	Answers  Answers            `json:"answers"`   // to all questions, in their order
}

// IfSold answers what the sale e would come to if it were done now, on its day: gain or loss by
// term, what of it would be denied, by what, and until when. The tax book and the bars stay as they
// are. Bars are named for a loss even where they deny nothing of it, because nothing would remain.
// An Inquiry that also knows the household and the market answers more.
func IfSold(book *region.Book, bars *Bars, rules *region.Rules, e region.Event) (Answer, error) {
	q := Inquiry{Rules: rules, Book: book, Bars: bars}
	return q.IfSold(e)
}

// IfSold answers what the sale e would come to if it were done now: as the function of that name,
// with what the loss is worth and the replies to all questions.
func (q *Inquiry) IfSold(e region.Event) (Answer, error) {
	outcomes, err := q.Book.Would([]region.Event{e})
	if err != nil {
		return Answer{}, fmt.Errorf("account %s: sale of %s: %w", e.Account, e.Symbol, err)
	}
	i := slices.IndexFunc(outcomes, func(o region.SaleOutcome) bool { return o.Event == e.ID })
	if i < 0 {
		return Answer{}, fmt.Errorf("account %s: sale of %s: %w", e.Account, e.Symbol, ErrNoGain)
	}
	a := Answer{Outcome: outcomes[i]}
	day := q.Rules.TaxDay(e.Day, e.Settle)
	a.FreeFrom, a.Until = day, day+market.Day(q.Rules.WindowDays())
	for _, p := range a.Outcome.Parts {
		switch p.Term {
		case region.Short:
			a.Short = a.Short.Add(p.Gross)
		case region.Long:
			a.Long = a.Long.Add(p.Gross)
		}
	}
	if a.Outcome.Gross.Sign() < 0 || a.Outcome.Denied.Sign() > 0 { // a lot at a loss beside others at a gain
		q.addBar(&a, day)
	}
	q.addValue(&a, e, day)
	return a, nil
}

// addBar names what denies a loss.
func (q *Inquiry) addBar(a *Answer, day market.Day) {
	bar, ok := q.Bars.Loss(a.Outcome.Property, day)
	if !ok {
		return
	}
	a.Bars = append(a.Bars, bar)
	a.FreeFrom = market.NoDay
	if bar.Until != market.NoDay {
		a.FreeFrom = bar.Until + 1
	}
}

// addValue says what the allowed result is worth, and answers the questions.
func (q *Inquiry) addValue(a *Answer, e region.Event, day market.Day) {
	out := &a.Outcome
	k := Stake{Short: out.Gain, Proceeds: out.Proceeds, Replaced: out.Proceeds}
	if q.Rules.LongAfterYears > 0 {
		k.Short = money.Zero
		for _, p := range out.Parts {
			if p.Term == region.Long {
				k.Long = k.Long.Add(p.Gain)
			} else {
				k.Short = k.Short.Add(p.Gain)
			}
		}
	}
	s := q.Book.Standing(out.Owner, q.Rules.TaxYear(day), q.Brought)
	a.Value = ValueOf(q.Rules, s, k, q.CostRate)
	a.Least = q.Rules.LeastLoss(k.Short.Neg(), k.Long.Neg(), day)
	a.Answers = q.Answers(Sale{
		Event: e, Property: out.Property, Gross: out.Gross, Denied: out.Denied, Lost: out.Lost, Value: a.Value, Least: a.Least,
	})
}

// DoNotBuy returns, of the properties given, those that no account of the household may buy on a
// tax day, with what forbids each and until when: by last day, then property.
func DoNotBuy(bars *Bars, properties []string, day market.Day) []Bar {
	var list []Bar
	seen := make(map[string]bool, len(properties))
	for _, p := range properties {
		if seen[p] {
			continue
		}
		seen[p] = true
		if bar, ok := bars.Purchase(p, day); ok {
			list = append(list, bar)
		}
	}
	slices.SortFunc(list, func(a, b Bar) int {
		return cmp.Or(cmp.Compare(a.Until, b.Until), cmp.Compare(a.Property, b.Property))
	})
	return list
}
