package tlh

import (
	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
)

// coming gathers what declared dividends of a loss window would buy if they were reinvested.
type coming struct {
	first             market.Day // the first ex-date; 0: none
	shares, sheltered money.Rat  // all, and those of sheltered accounts
	isPriced          bool
}

// add adds the dividends of a position with an ex-date after the day of the sale and in its window.
// What is sold before an ex-date earns none. Neither the day of payment nor its price is known: the
// shares are those that the last close would buy, and are taken to come within the window.
func (n *coming) add(a *asked, c *portfolio.Account, p portfolio.Position) {
	stays := p.Shares
	if c.ID == a.Event.Account && p.Symbol == a.Event.Symbol {
		stays = stays.Sub(a.Event.Shares.Dec())
	}
	if stays.Sign() <= 0 {
		return
	}
	price, err := a.Market.Price(p.Symbol)
	for _, d := range a.Market.DividendsOf(p.Symbol, a.Event.Day+1, a.day+a.window) {
		if n.first == 0 || d.ExDay < n.first {
			n.first = d.ExDay
		}
		if err != nil || price.Close.Sign() <= 0 {
			continue
		}
		n.isPriced = true
		bought := money.RatDec(stays).Mul(money.RatDec(d.Amount)).Div(money.RatDec(price.Close))
		n.shares = n.shares.Add(bought)
		if a.Rules.Shelters(c.Type) {
			n.sheltered = n.sheltered.Add(bought)
		}
	}
}

// describe adds the numbers of the dividends to come: their first ex-date, the last day to ask for
// cash instead, and what they would buy and deny at the last close.
func (n *coming) describe(a *asked, numbers map[string]string) {
	if n.first == 0 {
		return
	}
	numbers["next_ex_day"], numbers["cash_by"] = n.first.String(), (n.first - 1).String()
	numbers["not_known"] = "payment_day price"
	sold := a.Event.Shares
	if !n.isPriced || sold.Sign() <= 0 {
		return
	}
	numbers["would_buy"] = n.shares.Dec().Round(4).String()
	allowed := money.Max(money.Zero, a.Gross.Neg().Sub(a.Denied))
	numbers["would_deny"] = cents(allowed.Share(money.MinRat(n.shares, sold), sold))
	if n.sheltered.Sign() > 0 {
		numbers["would_be_gone"] = cents(allowed.Share(money.MinRat(n.sheltered, sold), sold))
	}
}
