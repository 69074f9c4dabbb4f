package fills

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"daybreak/ledger"
	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/region"
)

// Outcomes of events beside those of executions; all are reasons of dead letters.
const (
	UnknownEvent    Outcome = "UNKNOWN_EVENT"    // reverses an event that the book does not have
	AlreadyReversed Outcome = "ALREADY_REVERSED" // reverses an event that was reversed
	BadTransfer     Outcome = "BAD_TRANSFER"     // moves shares between accounts as no tax rule knows it
)

// The kinds of journal lines that events make.
const (
	KindEvent         = "event"
	KindEventReversal = "event_reversal"
)

// PostedEvent is an event that the book holds.
type PostedEvent struct {
	Event
	Version  int64 `json:"version"`
	Reversed int64 `json:"reversed,omitempty"` // book version that took it back, 0 for none
}

// Balance is a position or an amount of cash after an event.
type Balance[K comparable] struct {
	Key    K
	Amount money.Dec
}

// EventEffects is all that one applied event changes. Positions and cash are as they are afterwards.
type EventEffects struct {
	Event     Event
	Key       string
	Content   string
	Version   int64
	Positions []Balance[Holding]
	Cash      []Balance[Purse]
	Journal   []Line
	Tax       []region.Event
	Withdrawn []int64 // versions whose tax events count no more
	Reversed  int64   // version of the event that this one takes back, 0 for none
	Opened    []Exception
	Closed    []Exception
}

// eventApplication is one event on its way into the book.
type eventApplication struct {
	state   *State
	event   Event
	effects EventEffects
}

// ApplyEvent returns what an event does to the book of a household, and how it ends; the effects count
// only where it was Applied. It changes nothing: TakeEvent does.
func ApplyEvent(s *State, e Event) (EventEffects, Outcome) {
	key, content := e.Key(), e.Content()
	if known, ok := s.Seen[key]; ok {
		return EventEffects{}, sameOrConflict(known, content)
	}
	if e.Action == "" && e.Fault() != "" {
		return EventEffects{}, BadTerms
	}
	for _, id := range []portfolio.AccountID{e.Account, e.ToAccount} {
		if _, known := s.Accounts[id]; id != "" && !known {
			return EventEffects{}, UnknownAccount
		}
	}
	a := &eventApplication{state: s, event: e, effects: EventEffects{Event: e, Key: key, Content: content, Version: s.Version + 1}}
	if outcome := a.run(); outcome != Applied {
		return EventEffects{}, outcome
	}
	a.except()
	return a.effects, Applied
}

func (a *eventApplication) run() Outcome {
	e := a.event
	account, to := string(e.Account), string(e.ToAccount)
	switch e.Kind {
	case EventDeposit:
		a.move(ledger.Deposit(account, e.Currency, e.Amount))
	case EventWithdrawal:
		a.move(ledger.Deposit(account, e.Currency, e.Amount.Neg()))
	case EventFee:
		a.move(ledger.Charge(account, e.Currency, e.Amount))
	case EventDividend:
		a.move(ledger.Dividend(account, e.Currency, e.Amount))
	case EventDrip:
		a.move(ledger.Reinvest(account, e.Symbol, e.Shares, e.Currency, e.Amount))
		a.tax(region.Drip)
	case EventTransfer:
		if e.Symbol == "" {
			a.move(ledger.TransferCash(account, to, e.Currency, e.Amount))
			return Applied
		}
		a.move(ledger.TransferUnits(account, to, e.Symbol, e.Shares))
		return a.transferTax()
	case EventReversal:
		return a.reverse()
	default:
		a.action()
	}
	return Applied
}

// action enters one account's part of a corporate action.
func (a *eventApplication) action() {
	e := a.event
	a.effects.Withdrawn = e.Replaces
	switch e.Kind {
	case EventSplit:
		a.move(ledger.TransferUnits("", string(e.Account), e.Symbol, e.Shares))
	case EventDividend, EventROC, EventCGDiv:
		a.move(ledger.Dividend(string(e.Account), e.Currency, e.Amount))
	}
	switch {
	case !e.Entitled || e.Kind == EventDividend:
		return
	case e.Kind != EventSplit:
		if e.Total.Sign() > 0 {
			t := a.tax(region.Kind(e.Kind))
			t.Shares, t.Amount = money.Rat{}, e.Total
		}
		return
	}
	t := a.tax(region.Split)
	t.Seq, t.Shares, t.Ratio, t.FX, t.Currency = beforeTrades, money.Rat{}, e.Ratio, money.Zero, ""
	if e.Residue.Sign() > 0 {
		out := a.tax(region.Transfer)
		out.ID, out.Seq, out.Shares, out.Amount, out.FX, out.Currency = out.ID+"|residue", beforeTrades, e.Residue, money.Zero, money.Zero, ""
	}
}

// beforeTrades is the place in its day of what happens before the market opens.
const beforeTrades = -1

// tax adds a fact to the tax history and returns it. Its rate is the published one of its tax day;
// where that is not known yet it is 0, and what follows from it is provisional.
func (a *eventApplication) tax(kind region.Kind) *region.Event {
	e, rules := a.event, a.state.Rules
	account := a.state.Accounts[e.target()]
	rate := money.Zero
	if e.Currency != "" && e.Currency != rules.Home {
		rate = a.state.Rates[Pair{e.Currency, rules.Home, rules.TaxDay(e.Effective, e.settles())}]
	}
	a.effects.Tax = append(a.effects.Tax, region.Event{
		ID: a.effects.Key, Kind: kind, Day: e.Effective, Settle: e.settles(), Seq: a.effects.Version,
		Owner: account.Owner, Account: account.ID, AccountType: account.Type, Symbol: e.Symbol,
		Shares: money.RatDec(e.Shares), Amount: e.Amount, Currency: e.Currency, FX: rate,
	})
	return &a.effects.Tax[len(a.effects.Tax)-1]
}

// transferTax enters shares that change accounts: with their cost and dates where the tax of both is
// alike, as a contribution where they enter a sheltered account of the same owner.
func (a *eventApplication) transferTax() Outcome {
	e, rules := a.event, a.state.Rules
	from, to := a.state.Accounts[e.Account], a.state.Accounts[e.ToAccount]
	kind := region.Transfer
	if e.Account != "" && e.ToAccount != "" {
		switch {
		case from.Owner != to.Owner:
			return BadTransfer
		case rules.Shelters(from.Type) == rules.Shelters(to.Type):
		case rules.Shelters(to.Type) && e.Amount.Sign() > 0:
			kind = region.Contribute
		default:
			return BadTransfer
		}
	}
	t := a.tax(kind)
	t.Account, t.AccountType = e.Account, from.Type
	t.ToAccount, t.ToAccountType = e.ToAccount, to.Type
	t.Acquired = e.Acquired
	if e.Account != "" && kind == region.Transfer {
		t.Amount, t.FX, t.Currency = money.Zero, money.Zero, "" // cost goes with the shares
	}
	return Applied
}

// reverse takes an earlier event back by its own moves, the other way.
func (a *eventApplication) reverse() Outcome {
	e := a.event
	earlier, known := a.state.Events[EventKey(e.Source, e.Reverses)]
	switch {
	case !known:
		return UnknownEvent
	case earlier.Reversed != 0:
		return AlreadyReversed
	case earlier.Kind == EventReversal || earlier.target() != e.Account || earlier.Action != "":
		return BadReference
	}
	first := &eventApplication{state: a.state, event: earlier.Event, effects: EventEffects{Key: earlier.Key(), Version: earlier.Version}}
	if outcome := first.run(); outcome != Applied {
		return outcome
	}
	var moves []ledger.Move
	for _, l := range first.effects.Journal {
		moves = append(moves, l.Move)
	}
	a.enter(KindEventReversal, earlier.Effective, ledger.Reverse(moves))
	a.effects.Reversed, a.effects.Withdrawn = earlier.Version, []int64{earlier.Version}
	if earlier.Kind == EventDrip || earlier.Kind == EventTransfer {
		a.effects.Closed = append(a.effects.Closed, Exception{Account: earlier.arrivesAt(), Code: DeniedLoss, Subject: earlier.Key()})
	}
	return Applied
}

func (a *eventApplication) move(moves []ledger.Move) { a.enter(KindEvent, a.event.Effective, moves) }

// enter adds moves to the journal and to the balances of the household's accounts.
func (a *eventApplication) enter(kind string, effective market.Day, moves []ledger.Move) {
	for _, m := range moves {
		a.effects.Journal = append(a.effects.Journal, Line{Kind: kind, Effective: effective, Move: m})
		a.change(m.From, m.Commodity, m.Amount.Neg())
		a.change(m.To, m.Commodity, m.Amount)
	}
}

func (a *eventApplication) change(of ledger.Account, commodity string, by money.Dec) {
	account := portfolio.AccountID(of.Owner)
	if _, ours := a.state.Accounts[account]; !ours {
		return
	}
	switch of.Kind {
	case ledger.Units:
		a.effects.Positions = changed(a.effects.Positions, Holding{account, market.Symbol(commodity)}, a.state.Positions, by)
	case ledger.Cash:
		a.effects.Cash = changed(a.effects.Cash, Purse{account, market.Currency(commodity)}, a.state.Cash, by)
	}
}

// changed returns balances with one of them moved; one that is not among them begins at what it was.
func changed[K comparable](all []Balance[K], key K, was map[K]money.Dec, by money.Dec) []Balance[K] {
	i := slices.IndexFunc(all, func(b Balance[K]) bool { return b.Key == key })
	if i < 0 {
		all, i = append(all, Balance[K]{key, was[key]}), len(all)
	}
	all[i].Amount = all[i].Amount.Add(by)
	return all
}

// except opens an exception for each balance that is below zero now and was not, and closes those of
// balances that have healed.
func (a *eventApplication) except() {
	f := &a.effects
	for _, b := range f.Positions {
		f.belowZero(ShortPosition, b.Key.Account, string(b.Key.Symbol), a.state.Positions[b.Key], b.Amount)
	}
	for _, b := range f.Cash {
		f.belowZero(NegativeCash, b.Key.Account, string(b.Key.Currency), a.state.Cash[b.Key], b.Amount)
	}
}

func (f *EventEffects) belowZero(code string, account portfolio.AccountID, subject string, was, is money.Dec) {
	if (was.Sign() < 0) == (is.Sign() < 0) {
		return
	}
	x := Exception{Account: account, Code: code, Subject: subject, Detail: fmt.Sprintf("%s %s", is, subject)}
	if is.Sign() < 0 {
		f.Opened = append(f.Opened, x)
		return
	}
	f.Closed = append(f.Closed, x)
}

// TakeEvent brings the state to where an applied event leaves the book.
func (s *State) TakeEvent(f EventEffects) {
	s.Version = f.Version
	for _, b := range f.Positions {
		s.Positions[b.Key] = b.Amount
	}
	for _, b := range f.Cash {
		s.Cash[b.Key] = b.Amount
	}
	s.Seen[f.Key] = f.Content
	s.Events[f.Key] = PostedEvent{Event: f.Event, Version: f.Version}
	for _, key := range sortedKeys(s.Events) {
		if p := s.Events[key]; f.Reversed != 0 && p.Version == f.Reversed {
			p.Reversed = f.Version
			s.Events[key] = p
		}
	}
}

// ExplainEvent returns a sentence on why an event ended as a dead letter.
func ExplainEvent(e Event, o Outcome) string {
	switch o {
	case BadTerms:
		return e.Fault()
	case Conflict:
		return e.Key() + " is in the book with other content"
	case UnknownAccount:
		return fmt.Sprintf("household %s has no account %s", e.Household, cmp.Or(string(e.Account), "-")+" or "+cmp.Or(string(e.ToAccount), "-"))
	case UnknownEvent, AlreadyReversed, BadReference:
		return "reverses " + EventKey(e.Source, e.Reverses)
	case BadTransfer:
		return "shares change between owners, out of a sheltered account, or into one without their value in amount"
	}
	return ""
}

// EventTaxDays returns the pairs of currencies and tax days whose rates events need under rules,
// sorted and each once.
func EventTaxDays(rules *region.Rules, events []Event) []Pair {
	needed := map[Pair]bool{}
	for _, e := range events {
		if e.Symbol != "" && e.Currency != "" && e.Currency != rules.Home {
			needed[Pair{e.Currency, rules.Home, rules.TaxDay(e.Effective, e.settles())}] = true
		}
	}
	return slices.SortedFunc(maps.Keys(needed), comparePairs)
}
