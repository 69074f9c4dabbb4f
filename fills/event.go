package fills

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
)

// EventKind says what an event does to an account.
type EventKind string

// The kinds of event that move the book and are no executions. Those after EventReversal are parts of
// corporate actions, which Entitle makes.
const (
	EventDeposit    EventKind = "deposit"    // money from the client's bank
	EventWithdrawal EventKind = "withdrawal" // money to the client's bank
	EventFee        EventKind = "fee"        // the broker takes money
	EventDividend   EventKind = "dividend"   // an issuer pays money
	EventDrip       EventKind = "drip"       // a distribution that buys shares at once
	EventTransfer   EventKind = "transfer"   // money or shares between two accounts, or from or to outside
	EventReversal   EventKind = "reversal"   // takes back an event of the same source

	EventSplit EventKind = "split"
	EventROC   EventKind = "roc"        // return of capital
	EventCGDiv EventKind = "cg_div"     // gains distribution in cash
	EventRICG  EventKind = "ri_cg_dist" // reinvested gains without new shares
	EventRIDiv EventKind = "ri_div"     // reinvested income without new shares
)

// Event is a fact about one account that is no execution: what happened, not what was asked for.
type Event struct {
	Source    string                `json:"source"`   // the producer; with ID the key
	ID        string                `json:"event_id"` // unique for its source, for ever
	Kind      EventKind             `json:"kind"`
	Household portfolio.HouseholdID `json:"household"`
	Account   portfolio.AccountID   `json:"account,omitempty"`    // of a transfer: where it comes from; "" for outside
	ToAccount portfolio.AccountID   `json:"to_account,omitempty"` // of a transfer: where it goes; "" for outside
	Symbol    market.Symbol         `json:"security,omitempty"`
	Shares    money.Dec             `json:"shares,omitzero"`
	Amount    money.Dec             `json:"amount,omitzero"` // in Currency; of shares that come from outside their cost, 0 where it is unknown
	Currency  market.Currency       `json:"currency,omitempty"`
	Effective market.Day            `json:"effective"`
	Settle    market.Day            `json:"settle_date,omitzero"` // 0: Effective
	Acquired  market.Day            `json:"acquired,omitzero"`    // of shares that come from outside; 0: Effective
	Reverses  string                `json:"reverses,omitempty"`   // ID of the event that a reversal takes back
	Text      string                `json:"text,omitempty"`       // for people

	Action   string    `json:"action,omitempty"`   // key of the corporate action that this is a part of
	Ratio    money.Rat `json:"ratio,omitzero"`     // of a split: new shares for one old
	Total    money.Dec `json:"total,omitzero"`     // of an action that is no split: all that it comes to, in Currency
	Residue  money.Rat `json:"residue,omitzero"`   // of a split: what no decimal holds of the new shares
	Entitled bool      `json:"entitled,omitempty"` // of an action: the account held shares on the ex-date
	Replaces []int64   `json:"replaces,omitzero"`  // book versions of earlier parts whose tax events this one's replace
}

// EventKey returns the key of an event as the book stores it. It begins with a letter, which the key
// of an execution never does.
func EventKey(source, id string) string { return "event|" + source + "|" + id }

// Key returns the event's own key.
func (e Event) Key() string { return EventKey(e.Source, e.ID) }

// Content returns a hash of everything in e, as Execution.Content does.
func (e Event) Content() string {
	return contentOf(e.Source, e.ID, string(e.Kind), string(e.Household), string(e.Account), string(e.ToAccount), string(e.Symbol),
		e.Shares.String(), e.Amount.String(), string(e.Currency), e.Effective.String(), e.Settle.String(), e.Acquired.String(),
		e.Reverses, e.Text, e.Action, e.Ratio.String(), e.Total.String(), e.Residue.String(), fmt.Sprint(e.Entitled, e.Replaces))
}

// contentOf returns the first 128 bits of a SHA-256 over texts, in hexadecimal.
func contentOf(texts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(texts, "\x00")))
	return hex.EncodeToString(sum[:16])
}

// settles returns the day on which the event counts for those who count by settlement.
func (e Event) settles() market.Day { return max(e.Effective, e.Settle) }

// target returns the account whose money or shares the event is about, for exceptions and searches.
func (e Event) target() portfolio.AccountID {
	if e.Account == "" {
		return e.ToAccount
	}
	return e.Account
}

// arrivesAt returns the account whose shares an event adds to.
func (e Event) arrivesAt() portfolio.AccountID {
	if e.ToAccount == "" {
		return e.Account
	}
	return e.ToAccount
}

// Target returns the account that the event is listed under.
func (e Event) Target() portfolio.AccountID { return e.target() }

// Fault returns why the terms of an event cannot be believed, or "". Producers check their records by
// it before they send them.
func (e Event) Fault() string {
	for _, t := range []struct{ name, value string }{
		{"source", e.Source}, {"event_id", e.ID}, {"household", string(e.Household)}, {"account", string(e.target())},
	} {
		if fault := idFault(t.name, t.value); fault != "" {
			return fault
		}
	}
	if len(e.Text) > noteMax || len(e.Symbol) > textMax || len(e.ToAccount) > textMax {
		return fmt.Sprintf("text has %d bytes, security %d, to_account %d: too long", len(e.Text), len(e.Symbol), len(e.ToAccount))
	}
	if e.Settle != 0 && e.Settle < e.Effective {
		return fmt.Sprintf("settles on %s, before %s", e.Settle, e.Effective)
	}
	if e.Reverses != "" && e.Kind != EventReversal {
		return fmt.Sprintf("a %s reverses nothing", e.Kind)
	}
	if e.ToAccount != "" && e.Kind != EventTransfer {
		return fmt.Sprintf("a %s has no to_account", e.Kind)
	}
	return e.kindFault()
}

// noteMax bounds the text of an event.
const noteMax = 1_000

func idFault(name, value string) string {
	if value == "" || len(value) > textMax || strings.ContainsAny(value, "|\x00") {
		return fmt.Sprintf("%s %q is empty, too long, or holds a character that no id has", name, value)
	}
	return ""
}

func (e Event) kindFault() string {
	switch e.Kind {
	case EventDeposit, EventWithdrawal, EventFee:
		if e.Symbol != "" || !e.Shares.IsZero() {
			return fmt.Sprintf("a %s is money: no security, no shares", e.Kind)
		}
		return e.amountFault()
	case EventDividend:
		if e.Symbol == "" || !e.Shares.IsZero() {
			return "a dividend names its security, and no shares"
		}
		return e.amountFault()
	case EventDrip:
		return firstOf(e.sharesFault(), e.amountFault())
	case EventTransfer:
		return e.transferFault()
	case EventReversal:
		return idFault("reverses", e.Reverses)
	case EventSplit, EventROC, EventCGDiv, EventRICG, EventRIDiv:
		if e.Action == "" {
			return fmt.Sprintf("a %s comes by security, as a corporate action", e.Kind)
		}
		return ""
	}
	return fmt.Sprintf("kind %q", e.Kind)
}

func firstOf(faults ...string) string {
	for _, f := range faults {
		if f != "" {
			return f
		}
	}
	return ""
}

func (e Event) amountFault() string {
	switch {
	case !e.Currency.Known():
		return fmt.Sprintf("currency %q", e.Currency)
	case e.Amount.Sign() <= 0 && e.Action == "" || amountMax.Less(e.Amount.Abs()):
		return fmt.Sprintf("amount %s", e.Amount)
	case e.Amount.Round(2) != e.Amount:
		return fmt.Sprintf("amount %s has parts of a cent", e.Amount)
	}
	return ""
}

// amountMax is the largest amount of money that is believed.
var amountMax = money.FromInt(1_000_000_000_000)

func (e Event) sharesFault() string {
	if e.Symbol == "" {
		return "no security"
	}
	if e.Shares.Sign() <= 0 || quantityMax.Less(e.Shares) {
		return fmt.Sprintf("shares %s", e.Shares)
	}
	return ""
}

func (e Event) transferFault() string {
	if e.Account == e.ToAccount {
		return fmt.Sprintf("a transfer from %q to itself", e.Account)
	}
	if e.Symbol == "" {
		return e.amountFault()
	}
	if fault := e.sharesFault(); fault != "" {
		return fault
	}
	if e.Amount.IsZero() {
		return ""
	}
	return e.amountFault()
}
