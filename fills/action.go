package fills

import (
	"fmt"

	"daybreak/ledger"
	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
)

// Action is a corporate action: one fact about a security, which comes to every account that holds it
// when the ex-date begins.
type Action struct {
	Source   string          `json:"source"`
	ID       string          `json:"event_id"`
	Kind     EventKind       `json:"kind"` // split, roc, dividend, cg_div, ri_cg_dist or ri_div
	Symbol   market.Symbol   `json:"security"`
	ExDate   market.Day      `json:"ex_date"`
	PayDate  market.Day      `json:"pay_date,omitzero"`  // of all but splits; 0: ExDate
	New      int64           `json:"new,omitempty"`      // of a split: new shares …
	Old      int64           `json:"old,omitempty"`      // … for so many old ones
	PerShare money.Dec       `json:"per_share,omitzero"` // of all others, in Currency
	Currency market.Currency `json:"currency,omitempty"`
	Text     string          `json:"text,omitempty"`
}

// Key returns the action's own key.
func (a Action) Key() string { return "action|" + a.Source + "|" + a.ID }

// Due returns the day with whose beginning the action comes to the accounts: that of a split is its
// ex-date, all others come when they are paid, for what was held on the ex-date.
func (a Action) Due() market.Day {
	if a.Kind == EventSplit {
		return a.ExDate
	}
	return max(a.ExDate, a.PayDate)
}

// Content returns a hash of everything in a, as Execution.Content does.
func (a Action) Content() string {
	return contentOf(a.Source, a.ID, string(a.Kind), string(a.Symbol), a.ExDate.String(), a.PayDate.String(), fmt.Sprint(a.New, a.Old),
		a.PerShare.String(), string(a.Currency), a.Text)
}

// splitMax bounds both sides of a split's ratio.
const splitMax = 1_000_000

// actionIDMax bounds the id of an action: with an account and a number it is the id of events.
const actionIDMax = 40

// Fault returns why the terms of an action cannot be believed, or "".
func (a Action) Fault() string {
	switch fault := firstOf(idFault("source", a.Source), idFault("event_id", a.ID), idFault("security", string(a.Symbol))); {
	case fault != "":
		return fault
	case len(a.ID) > actionIDMax:
		return fmt.Sprintf("event_id has %d bytes, at most %d", len(a.ID), actionIDMax)
	case a.PayDate != 0 && a.PayDate < a.ExDate:
		return fmt.Sprintf("pays on %s, before it is ex on %s", a.PayDate, a.ExDate)
	case len(a.Text) > noteMax:
		return "the text is too long"
	}
	switch a.Kind {
	case EventSplit:
		if a.New < 1 || a.Old < 1 || a.New > splitMax || a.Old > splitMax || a.New == a.Old {
			return fmt.Sprintf("a split of %d for %d", a.New, a.Old)
		}
		return ""
	case EventROC, EventDividend, EventCGDiv, EventRICG, EventRIDiv:
		if a.PerShare.Sign() <= 0 || priceMax.Less(a.PerShare) {
			return fmt.Sprintf("per_share %s", a.PerShare)
		}
		if !a.Currency.Known() {
			return fmt.Sprintf("currency %q", a.Currency)
		}
		return ""
	}
	return fmt.Sprintf("kind %q", a.Kind)
}

// Entitlement is what one account had of an action's security when the ex-date began, and what the
// book has posted for it so far, oldest first.
type Entitlement struct {
	Household portfolio.HouseholdID
	Account   portfolio.AccountID
	Held      money.Dec
	Posted    []PostedEvent
}

// Event returns what an action still has to post for an account: the whole of it, or the difference
// where shares of before the ex-date came, or went, after it was posted. It reports false where
// nothing is to be done. So it may be asked again at will.
func (a Action) Event(t Entitlement) (Event, bool) {
	shares, total, residue := a.entitled(t.Held)
	e := Event{
		Source: a.Source, ID: fmt.Sprintf("%s/%s/%d", a.ID, t.Account, len(t.Posted)+1), Kind: a.Kind, Household: t.Household, Account: t.Account,
		Symbol: a.Symbol, Shares: shares, Currency: a.Currency, Effective: a.Due(), Text: a.Text,
		Action: a.Key(), Total: total, Residue: residue, Entitled: !t.Held.IsZero(),
	}
	switch a.Kind {
	case EventSplit:
		e.Ratio = money.RatOf(a.New, a.Old)
	case EventDividend, EventROC, EventCGDiv:
		e.Amount = total
	}
	var last Event
	for _, p := range t.Posted {
		e.Shares, e.Amount = e.Shares.Sub(p.Shares), e.Amount.Sub(p.Amount)
		e.Replaces = append(e.Replaces, p.Version)
		last = p.Event
	}
	same := e.Shares.IsZero() && e.Amount.IsZero() && e.Total == last.Total && e.Residue.Equal(last.Residue) && e.Entitled == last.Entitled
	return e, !same
}

// entitled returns what shares that were held come to: shares more, the total of money, and what no
// decimal holds of the new shares.
func (a Action) entitled(held money.Dec) (shares, total money.Dec, residue money.Rat) {
	if a.Kind != EventSplit {
		return money.Zero, ledger.Cents(held.Mul(a.PerShare)), money.Rat{}
	}
	exact := money.RatDec(held).Mul(money.RatOf(a.New, a.Old))
	now := exact.Dec()
	if exact.Less(money.RatDec(now)) {
		now = now.Sub(money.FromUnits(1, money.Places))
	}
	return now.Sub(held), money.Zero, exact.Sub(money.RatDec(now))
}
