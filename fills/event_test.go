package fills_test

import (
	"fmt"
	"strings"
	"testing"

	"daybreak/fills"
	"daybreak/ledger"
	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/region"
)

// household returns the state of a household with two taxable accounts, a sheltered one and one of
// another owner; A1 holds 100 AAA and 1,000 in home currency.
func household(t testing.TB, name, sheltered string) *fills.State {
	t.Helper()
	s := book(t, name)
	home := s.Rules.Home
	s.Accounts["A2"] = fills.Account{ID: "A2", Owner: "O1", Type: "taxable", Currency: home}
	s.Accounts["R1"] = fills.Account{ID: "R1", Owner: "O1", Type: sheltered, Currency: home}
	s.Accounts["B1"] = fills.Account{ID: "B1", Owner: "O2", Type: "taxable", Currency: home}
	return s
}

func event(id string, kind fills.EventKind, edit func(e *fills.Event)) fills.Event {
	e := fills.Event{Source: "treasury", ID: id, Kind: kind, Household: "H1", Account: "A1", Currency: "CAD", Effective: day}
	edit(&e)
	return e
}

func money2(amount string) func(e *fills.Event) {
	return func(e *fills.Event) { e.Amount = dec(amount) }
}

// apply applies events in sequence and returns how they ended, and the last effects.
func apply(s *fills.State, all ...fills.Event) (string, fills.EventEffects) {
	var last fills.EventEffects
	text := ""
	for _, e := range all {
		f, outcome := fills.ApplyEvent(s, e)
		if outcome == fills.Applied {
			s.TakeEvent(f)
			last = f
		}
		text += fmt.Sprintf("%s=%s ", e.ID, outcome)
	}
	return text, last
}

func TestApplyEvent(t *testing.T) {
	symbol := func(symbol, shares, amount string) func(e *fills.Event) {
		return func(e *fills.Event) {
			e.Symbol, e.Amount = market.Symbol(symbol), dec(amount)
			if shares != "" {
				e.Shares = dec(shares)
			}
		}
	}
	to := func(account string, edit func(e *fills.Event)) func(e *fills.Event) {
		return func(e *fills.Event) {
			edit(e)
			e.ToAccount = portfolio.AccountID(account)
		}
	}
	tests := []struct {
		name   string
		events []fills.Event
		want   string
		cash   string // of A1
		shares string // of AAA in A1
		tax    string
		opened string
	}{
		{"deposit", []fills.Event{event("E1", fills.EventDeposit, money2("250.50"))}, "E1=APPLIED ", "1250.5", "100", "", ""},
		{"twice", []fills.Event{event("E1", fills.EventDeposit, money2("250.50")), event("E1", fills.EventDeposit, money2("250.50"))},
			"E1=APPLIED E1=DUPLICATE ", "1250.5", "100", "", ""},
		{"conflict", []fills.Event{event("E1", fills.EventDeposit, money2("250.50")), event("E1", fills.EventDeposit, money2("250.51"))},
			"E1=APPLIED E1=CONFLICT ", "1250.5", "100", "", ""},
		{"withdrawal below zero", []fills.Event{event("E1", fills.EventWithdrawal, money2("1000.01"))}, "E1=APPLIED ", "-0.01", "100", "", "NEGATIVE_CASH"},
		{"fee", []fills.Event{event("E1", fills.EventFee, money2("9.99"))}, "E1=APPLIED ", "990.01", "100", "", ""},
		{"dividend", []fills.Event{event("E1", fills.EventDividend, symbol("AAA", "", "12"))}, "E1=APPLIED ", "1012", "100", "", ""},
		{"drip", []fills.Event{event("E1", fills.EventDrip, symbol("AAA", "1.5", "15"))}, "E1=APPLIED ", "1000", "101.5", "drip A1> 1.5 shares 15 ", ""},
		{"cash to the other account", []fills.Event{event("E1", fills.EventTransfer, to("A2", money2("300")))}, "E1=APPLIED ", "700", "100", "", ""},
		{"shares to the other account", []fills.Event{event("E1", fills.EventTransfer, to("A2", symbol("AAA", "40", "0")))}, "E1=APPLIED ", "1000", "60", "transfer A1>A2 40 shares 0 ", ""},
		{"shares to outside", []fills.Event{event("E1", fills.EventTransfer, to("", symbol("AAA", "40", "0")))}, "E1=APPLIED ", "1000", "60", "transfer A1> 40 shares 0 ", ""},
		{"more shares than held", []fills.Event{event("E1", fills.EventTransfer, to("", symbol("AAA", "100.5", "0")))}, "E1=APPLIED ", "1000", "-0.5", "transfer A1> 100.5 shares 0 ", "SHORT_POSITION"},
		{"contribution", []fills.Event{event("E1", fills.EventTransfer, to("R1", symbol("AAA", "40", "500")))}, "E1=APPLIED ", "1000", "60", "contribute A1>R1 40 shares 500 ", ""},
		{"contribution without a value", []fills.Event{event("E1", fills.EventTransfer, to("R1", symbol("AAA", "40", "0")))}, "E1=BAD_TRANSFER ", "1000", "100", "", ""},
		{"to another owner", []fills.Event{event("E1", fills.EventTransfer, to("B1", symbol("AAA", "40", "0")))}, "E1=BAD_TRANSFER ", "1000", "100", "", ""},
		{"to itself", []fills.Event{event("E1", fills.EventTransfer, to("A1", money2("1")))}, "E1=BAD_TERMS ", "1000", "100", "", ""},
		{"unknown account", []fills.Event{event("E1", fills.EventDeposit, func(e *fills.Event) { e.Account, e.Amount = "A9", dec("1") })}, "E1=UNKNOWN_ACCOUNT ", "1000", "100", "", ""},
		{"parts of a cent", []fills.Event{event("E1", fills.EventDeposit, money2("1.001"))}, "E1=BAD_TERMS ", "1000", "100", "", ""},
		{"nothing", []fills.Event{event("E1", fills.EventDeposit, money2("0"))}, "E1=BAD_TERMS ", "1000", "100", "", ""},
		{"kind that comes by security", []fills.Event{event("E1", fills.EventSplit, symbol("AAA", "1", "0"))}, "E1=BAD_TERMS ", "1000", "100", "", ""},
		{"reversed", []fills.Event{event("E1", fills.EventDrip, symbol("AAA", "1.5", "15")),
			event("E2", fills.EventReversal, func(e *fills.Event) { e.Reverses = "E1" })}, "E1=APPLIED E2=APPLIED ", "1000", "100", "", ""},
		{"reversed twice", []fills.Event{event("E1", fills.EventDeposit, money2("5")),
			event("E2", fills.EventReversal, func(e *fills.Event) { e.Reverses = "E1" }),
			event("E3", fills.EventReversal, func(e *fills.Event) { e.Reverses = "E1" })}, "E1=APPLIED E2=APPLIED E3=ALREADY_REVERSED ", "1000", "100", "", ""},
		{"reversal of nothing", []fills.Event{event("E2", fills.EventReversal, func(e *fills.Event) { e.Reverses = "E1" })}, "E2=UNKNOWN_EVENT ", "1000", "100", "", ""},
		{"reversal of another account's", []fills.Event{event("E1", fills.EventDeposit, money2("5")),
			event("E2", fills.EventReversal, func(e *fills.Event) { e.Reverses, e.Account = "E1", "A2" })}, "E1=APPLIED E2=BAD_REFERENCE ", "1005", "100", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := household(t, "CA", "rrsp")
			got, last := apply(s, tt.events...)
			if got != tt.want {
				t.Errorf("ApplyEvent = %s, want %s", got, tt.want)
			}
			cash, shares := s.Cash[fills.Purse{Account: "A1", Currency: "CAD"}], s.Positions[fills.Holding{Account: "A1", Symbol: "AAA"}]
			if cash != dec(tt.cash) || shares != dec(tt.shares) {
				t.Errorf("ApplyEvent left %s CAD and %s AAA, want %s and %s", cash, shares, tt.cash, tt.shares)
			}
			if got := taxText(last.Tax); got != tt.tax {
				t.Errorf("ApplyEvent tells the tax history %q, want %q", got, tt.tax)
			}
			opened := ""
			for _, x := range last.Opened {
				opened += x.Code
			}
			if opened != tt.opened {
				t.Errorf("ApplyEvent opened %q, want %q", opened, tt.opened)
			}
		})
	}
}

func taxText(all []region.Event) string {
	var b strings.Builder
	for _, e := range all {
		fmt.Fprintf(&b, "%s %s>%s %s shares %s ", e.Kind, e.Account, e.ToAccount, e.Shares, e.Amount)
	}
	return b.String()
}

func TestReversalLeavesNothing(t *testing.T) {
	s := household(t, "CA", "rrsp")
	drip := event("E1", fills.EventDrip, func(e *fills.Event) { e.Symbol, e.Shares, e.Amount = "AAA", dec("2"), dec("30") })
	_, first := apply(s, drip)
	_, last := apply(s, event("E2", fills.EventReversal, func(e *fills.Event) { e.Reverses = "E1" }))
	var moves []ledger.Move
	for _, l := range append(first.Journal, last.Journal...) {
		moves = append(moves, l.Move)
	}
	if left := ledger.Balances(moves); len(left) != 0 {
		t.Errorf("an event and its reversal leave %v, want nothing", left)
	}
	if len(last.Withdrawn) != 1 || last.Withdrawn[0] != first.Version || last.Reversed != first.Version {
		t.Errorf("the reversal withdraws %v and takes back %d, want version %d", last.Withdrawn, last.Reversed, first.Version)
	}
}

func TestSplitComesOnceAndIsMended(t *testing.T) {
	split := fills.Action{Source: "actions", ID: "S1", Kind: fills.EventSplit, Symbol: "AAA", ExDate: day, New: 4, Old: 3}
	s := household(t, "CA", "rrsp")
	var posted []fills.PostedEvent
	post := func(held string) (fills.EventEffects, bool) {
		e, due := split.Event(fills.Entitlement{Household: "H1", Account: "A1", Held: dec(held), Posted: posted})
		if !due {
			return fills.EventEffects{}, false
		}
		f, outcome := fills.ApplyEvent(s, e)
		if outcome != fills.Applied {
			t.Fatalf("ApplyEvent(%+v) = %s", e, outcome)
		}
		s.TakeEvent(f)
		posted = append(posted, s.Events[f.Key])
		return f, true
	}
	of := fills.Holding{Account: "A1", Symbol: "AAA"}
	f, _ := post("100")
	if got, want := s.Positions[of], dec("133.333333333333"); got != want {
		t.Errorf("100 shares split 4 for 3 are %s, want %s", got, want)
	}
	third := money.MustRat("1/3")
	if len(f.Tax) != 2 || !f.Tax[0].Ratio.Equal(money.RatOf(4, 3)) || f.Tax[0].Seq != -1 ||
		!f.Tax[1].Shares.Add(money.RatDec(dec("0.333333333333"))).Equal(third) {
		t.Errorf("the split tells the tax history %+v, want the ratio and what no decimal holds", f.Tax)
	}
	if _, again := post("100"); again {
		t.Error("the split came twice")
	}
	// 20 shares of before the ex-date arrive late.
	s.Positions[of] = s.Positions[of].Add(dec("20"))
	f, mended := post("120")
	if got, want := s.Positions[of], dec("160"); !mended || got != want {
		t.Errorf("120 shares split 4 for 3 are %s, want %s", got, want)
	}
	if len(f.Withdrawn) != 1 || len(f.Tax) != 1 {
		t.Errorf("the difference withdraws %v and tells %v, want the first part replaced", f.Withdrawn, f.Tax)
	}
	if _, again := post("120"); again {
		t.Error("the mended split came twice")
	}
}

func TestMoneyOfAnAction(t *testing.T) {
	tests := []struct {
		kind            fills.EventKind
		cash, tax       string
		again, againTax string
	}{
		{fills.EventDividend, "1012.35", "", "1014.82", ""},
		{fills.EventROC, "1012.35", "roc A1> 0 shares 12.35 ", "1014.82", "roc A1> 0 shares 14.82 "},
		{fills.EventCGDiv, "1012.35", "cg_div A1> 0 shares 12.35 ", "1014.82", "cg_div A1> 0 shares 14.82 "},
		{fills.EventRICG, "1000", "ri_cg_dist A1> 0 shares 12.35 ", "1000", "ri_cg_dist A1> 0 shares 14.82 "},
	}
	for _, tt := range tests {
		t.Run(string(tt.kind), func(t *testing.T) {
			a := fills.Action{Source: "actions", ID: "D1", Kind: tt.kind, Symbol: "AAA", ExDate: day, PayDate: later, PerShare: dec("0.1235"), Currency: "CAD"}
			s := household(t, "CA", "rrsp")
			e, due := a.Event(fills.Entitlement{Household: "H1", Account: "A1", Held: dec("100")})
			_, f := apply(s, e)
			purse := fills.Purse{Account: "A1", Currency: "CAD"}
			if !due || s.Cash[purse] != dec(tt.cash) || taxText(f.Tax) != tt.tax || e.Effective != later {
				t.Errorf("100 shares: cash %s, tax %q on %s, want %s, %q on %s", s.Cash[purse], taxText(f.Tax), e.Effective, tt.cash, tt.tax, later)
			}
			e, due = a.Event(fills.Entitlement{Household: "H1", Account: "A1", Held: dec("120"), Posted: []fills.PostedEvent{s.Events[f.Key]}})
			_, f = apply(s, e)
			if !due || s.Cash[purse] != dec(tt.again) || taxText(f.Tax) != tt.againTax {
				t.Errorf("120 shares: cash %s, tax %q, want %s, %q", s.Cash[purse], taxText(f.Tax), tt.again, tt.againTax)
			}
			if _, due := a.Event(fills.Entitlement{Household: "H1", Account: "A2"}); due {
				t.Error("an account without shares is entitled")
			}
		})
	}
}

func TestActionFaults(t *testing.T) {
	good := fills.Action{Source: "actions", ID: "S1", Kind: fills.EventSplit, Symbol: "AAA", ExDate: day, New: 2, Old: 1}
	tests := []struct {
		name string
		edit func(a *fills.Action)
		ok   bool
	}{
		{"good", func(*fills.Action) {}, true},
		{"no ratio", func(a *fills.Action) { a.New = 0 }, false},
		{"one for one", func(a *fills.Action) { a.New = 1 }, false},
		{"largest ratio", func(a *fills.Action) { a.New = 1_000_000 }, true},
		{"too large", func(a *fills.Action) { a.New = 1_000_001 }, false},
		{"longest id", func(a *fills.Action) { a.ID = strings.Repeat("x", 40) }, true},
		{"id too long", func(a *fills.Action) { a.ID = strings.Repeat("x", 41) }, false},
		{"no security", func(a *fills.Action) { a.Symbol = "" }, false},
		{"deposit", func(a *fills.Action) { a.Kind = fills.EventDeposit }, false},
		{"dividend without money", func(a *fills.Action) { a.Kind = fills.EventDividend }, false},
		{"dividend", func(a *fills.Action) { a.Kind, a.PerShare, a.Currency = fills.EventDividend, dec("0.1"), "CAD" }, true},
		{"paid before the ex-date", func(a *fills.Action) { a.PayDate = day - 1 }, false},
	}
	for _, tt := range tests {
		a := good
		tt.edit(&a)
		if fault := a.Fault(); (fault == "") != tt.ok {
			t.Errorf("%s: Fault() = %q, want a fault: %v", tt.name, fault, !tt.ok)
		}
	}
}
