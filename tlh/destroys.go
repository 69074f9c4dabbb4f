package tlh

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/region"
)

// Destroyed is the loss of one sale that a purchase would deny, in home currency.
type Destroyed struct {
	Sale    string              `json:"sale"` // event
	Account portfolio.AccountID `json:"account"`
	Symbol  market.Symbol       `json:"symbol"`
	Day     market.Day          `json:"day"`    // tax day of the sale
	Amount  money.Dec           `json:"amount"` // further loss denied
	Gone    money.Dec           `json:"gone"`   // part of it that nobody ever gets; the rest joins the cost of what is bought
	Tax     money.Dec           `json:"tax"`    // tax that Amount would have saved at the rates of its year, gains enough to meet it
}

// Destroys returns what a purchase would destroy of losses that the household has realised, by tax
// day and event of the sale: those of the book, and those of pending sales, which come first.
// Nothing is returned for a purchase that denies no loss. The book stays as it is.
func Destroys(book *region.Book, rules *region.Rules, purchase region.Event, pending ...region.Event) ([]Destroyed, error) {
	before, err := book.With(pending)
	if err != nil {
		return nil, fmt.Errorf("account %s: pending sales: %w", purchase.Account, err)
	}
	after, err := before.With([]region.Event{purchase})
	if err != nil {
		return nil, fmt.Errorf("account %s: purchase of %s: %w", purchase.Account, purchase.Symbol, err)
	}
	was := map[string]region.SaleOutcome{}
	for _, s := range before.Sales() {
		was[s.Event] = s
	}
	var all []Destroyed
	for _, s := range after.Sales() {
		amount := s.Denied.Sub(was[s.Event].Denied)
		if amount.Sign() <= 0 {
			continue
		}
		all = append(all, Destroyed{
			Sale: s.Event, Account: s.Account, Symbol: s.Symbol, Day: s.Day, Amount: amount,
			Gone: money.Max(money.Zero, s.Lost.Sub(was[s.Event].Lost)), Tax: taxOf(rules, was[s.Event], s),
		})
	}
	slices.SortFunc(all, func(x, y Destroyed) int { return cmp.Or(cmp.Compare(x.Day, y.Day), cmp.Compare(x.Sale, y.Sale)) })
	return all, nil
}

// taxOf returns the tax, at the rates of the sale's year and by term, on what is denied more of it.
func taxOf(rules *region.Rules, was, is region.SaleOutcome) money.Dec {
	rates := rules.RatesOf(rules.TaxYear(is.Day))
	short, long := is.Denied.Sub(was.Denied), money.Zero
	if rules.LongAfterYears > 0 {
		long = longDenied(is).Sub(longDenied(was))
		short = short.Sub(long)
	}
	return short.Mul(rates.Short).Add(long.Mul(rates.Long)).Mul(rates.Inclusion)
}

func longDenied(s region.SaleOutcome) money.Dec {
	var sum money.Dec
	for _, p := range s.Parts {
		if p.Term == region.Long {
			sum = sum.Add(p.Denied)
		}
	}
	return sum
}

// Loss is all that a purchase would destroy, in home currency.
type Loss struct {
	Currency market.Currency `json:"currency"`
	Amount   money.Dec       `json:"amount"` // losses denied
	Gone     money.Dec       `json:"gone"`   // part of it that nobody ever gets
	Tax      money.Dec       `json:"tax"`    // that Amount would have saved
	Sales    []Destroyed     `json:"sales"`  // by tax day and event
}

// salesMax bounds the sales that a sentence lists.
const salesMax = 4

// BySale lists the sales behind the loss in words, the first few of them, with the part of each.
func (l Loss) BySale() string {
	var parts []string
	for _, d := range l.Sales[:min(len(l.Sales), salesMax)] {
		parts = append(parts, fmt.Sprintf("%s of %s sold by %s on %s", d.Amount.Fixed(2), d.Symbol, d.Account, d.Day))
	}
	if more := len(l.Sales) - salesMax; more > 0 {
		parts = append(parts, fmt.Sprintf("%d more sales", more))
	}
	return strings.Join(parts, ", ")
}

// LossLocks returns what the tax book forbids to buy of a property around a tax day: a lock for each
// sale at a loss whose window is open on that day or later, named by its event, in the order of
// LossSales. Nobody needs to have asked for them.
func LossLocks(book *region.Book, rules *region.Rules, property string, day market.Day) []Lock {
	var all []Lock
	window := market.Day(rules.WindowDays())
	for _, m := range book.LossSales(property, day-window, day+window) {
		if m.Until >= day {
			all = append(all, Lock{Property: property, Symbol: m.Symbol, Account: m.Account, Order: m.Event, Until: m.Day + window})
		}
	}
	return all
}

// LossOf sums what Destroys returned.
func LossOf(home market.Currency, all []Destroyed) Loss {
	sum := Loss{Currency: home, Sales: all}
	for _, d := range all {
		sum.Amount, sum.Gone, sum.Tax = sum.Amount.Add(d.Amount), sum.Gone.Add(d.Gone), sum.Tax.Add(d.Tax)
	}
	return sum
}
