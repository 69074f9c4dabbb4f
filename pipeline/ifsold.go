package pipeline

import (
	"errors"
	"fmt"
	"slices"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/rebalance"
	"daybreak/region"
	"daybreak/tlh"
)

// SoldToday answers what the sale of a holding would come to at the last close of a day. Money is
// in the region's home currency but for the price.
type SoldToday struct {
	Symbol   market.Symbol   `json:"symbol"`
	Lot      string          `json:"lot,omitempty"` // "": all of the account's shares of the symbol
	Shares   money.Rat       `json:"shares"`
	Price    money.Dec       `json:"price"`
	PriceDay market.Day      `json:"price_day"`
	Currency market.Currency `json:"currency"` // of the price
	Gain     money.Dec       `json:"gain"`     // before any denial; below zero for a loss
	Terms    []region.Term   `json:"terms,omitempty"`
	Denied   money.Dec       `json:"denied"` // of the loss, as things stand
	Lost     money.Dec       `json:"lost"`   // part of it that nobody ever gets
	// DeniedBy names what denies a loss, or may: nothing where it is free. FreeFrom is the first tax
	// day on which no known purchase denies it, absent where an order may still fill; Until, the last
	// one on which a purchase in the household could still deny it after a sale today.
	DeniedBy []tlh.Bar   `json:"denied_by"`
	FreeFrom market.Day  `json:"free_from,omitzero"`
	Until    market.Day  `json:"until,omitzero"`
	Answers  tlh.Answers `json:"answers,omitempty"` // to all questions before a harvest, for all shares of a symbol
	// Unknown says why there is no answer: NO_PRICE, NO_RATE, SHELTERED, SHORT.
	Unknown string `json:"unknown,omitempty"`
}

// The reasons for which a holding has no answer.
const (
	UnknownPrice     = "NO_PRICE"
	UnknownRate      = "NO_RATE"
	UnknownSheltered = "SHELTERED" // gains of the account are not taxed
	UnknownShort     = "SHORT"     // more was sold than held
)

// AskAccount answers for each holding of an account, and for each of its lots where there are several,
// what its sale on the market's day would come to; and it lists what no account of the household may
// buy on that day, by last day.
func AskAccount(l Loaded, id portfolio.AccountID, m *market.Snapshot) ([]SoldToday, []tlh.Bar, error) {
	h := l.Input.Household
	at := slices.IndexFunc(h.Accounts, func(a portfolio.Account) bool { return a.ID == id })
	if at < 0 {
		return nil, nil, fmt.Errorf("account %s: %w", id, ErrNotFound)
	}
	rules, err := region.Load(h.Region)
	if err != nil {
		return nil, nil, fmt.Errorf("account %s: %w", id, err)
	}
	book, err := bookOf(l, m.Identical())
	if err != nil {
		return nil, nil, fmt.Errorf("account %s: %w", id, err)
	}
	scope := region.ScopeOf(h, m.Identical())
	bars := tlh.NewBars(book, rules.WindowDays(), l.Input.Locks, l.Input.Open, scope.Property)
	a := asking{account: h.Accounts[at], market: m, rules: rules, inquiry: tlh.Inquiry{Rules: rules, Book: book, Bars: bars,
		Household: &h, Market: m, Open: l.Input.Open, Brought: l.Input.Brought, CostRate: costRate(l.Input.Settings)}}
	sold, err := a.holdings(book.Holdings(id))
	if err != nil {
		return nil, nil, err
	}
	properties := make([]string, 0, len(m.Securities)+len(l.Input.Locks))
	for _, s := range m.Securities {
		properties = append(properties, scope.Property(s.Symbol))
	}
	for _, lock := range l.Input.Locks {
		properties = append(properties, lock.Property)
	}
	return sold, tlh.DoNotBuy(bars, properties, m.Day), nil
}

// costRate is what one trade costs, as a share of its value.
func costRate(s rebalance.Settings) money.Dec {
	if s.HalfSpread.IsZero() {
		s.HalfSpread = rebalance.DefaultSettings.HalfSpread
	}
	return s.CostRate.Add(s.HalfSpread)
}

type asking struct {
	account portfolio.Account
	market  *market.Snapshot
	rules   *region.Rules
	inquiry tlh.Inquiry
}

// holdings asks about all shares of each symbol, and then about its lots where there are several.
func (a *asking) holdings(held []region.Holding) ([]SoldToday, error) {
	all := []SoldToday{}
	for len(held) > 0 {
		n := 1
		shares := held[0].Shares
		for n < len(held) && held[n].Symbol == held[0].Symbol {
			shares = shares.Add(held[n].Shares)
			n++
		}
		whole, err := a.ask(held[0].Symbol, "", shares)
		if err != nil {
			return nil, err
		}
		all = append(all, whole)
		for i := 0; n > 1 && whole.Unknown == "" && i < n; i++ {
			part, err := a.ask(held[i].Symbol, held[i].Lot, held[i].Shares)
			if err != nil {
				return nil, err
			}
			part.Answers = nil
			all = append(all, part)
		}
		held = held[n:]
	}
	return all, nil
}

// ask answers for shares of a symbol, of one lot where it is named.
func (a *asking) ask(symbol market.Symbol, lot string, shares money.Rat) (SoldToday, error) {
	s := SoldToday{Symbol: symbol, Lot: lot, Shares: shares, DeniedBy: []tlh.Bar{}}
	price, err := a.market.Price(symbol)
	security, unknown := a.market.Security(symbol)
	s.Price, s.PriceDay, s.Currency = price.Close, price.Day, security.Currency
	switch {
	case a.rules.Shelters(a.account.Type):
		s.Unknown = UnknownSheltered
	case shares.Sign() <= 0:
		s.Unknown = UnknownShort
	case err != nil || unknown != nil:
		s.Unknown = UnknownPrice
	}
	if s.Unknown != "" {
		return s, nil
	}
	rate, err := a.market.Rate(security.Currency, a.rules.Home)
	if err != nil {
		s.Unknown = UnknownRate
		return s, nil
	}
	settle, err := market.SettleDay(security.Exchange, a.market.Day)
	if err != nil {
		return s, fmt.Errorf("%s: %w", symbol, err)
	}
	e := region.Event{ID: "if-sold", Kind: region.Sell, Day: a.market.Day, Settle: settle, Seq: askSeq, Owner: a.account.Owner,
		Account: a.account.ID, AccountType: a.account.Type, Symbol: symbol, Shares: shares, Amount: price.Close.MulRat(shares),
		Currency: security.Currency, FX: rate.Rate}
	if lot != "" {
		e.Lots = []region.LotShares{{Lot: lot, Shares: shares}}
	}
	return a.answer(s, e)
}

// askSeq puts the sale behind all that happened on its day.
const askSeq = 1 << 60

func (a *asking) answer(s SoldToday, e region.Event) (SoldToday, error) {
	got, err := a.inquiry.IfSold(e)
	if errors.Is(err, tlh.ErrNoGain) {
		s.Unknown = UnknownSheltered
		return s, nil
	}
	if err != nil {
		return s, err
	}
	s.Gain, s.Denied, s.Lost = got.Outcome.Gross, got.Outcome.Denied, got.Outcome.Lost
	for _, p := range got.Outcome.Parts {
		if p.Term != "" && !slices.Contains(s.Terms, p.Term) {
			s.Terms = append(s.Terms, p.Term)
		}
	}
	slices.Sort(s.Terms)
	s.DeniedBy = append(s.DeniedBy, got.Bars...)
	s.FreeFrom, s.Until, s.Answers = got.FreeFrom, got.Until, got.Answers
	return s, nil
}
