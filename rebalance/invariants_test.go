package rebalance_test

import (
	"encoding/json"
	"slices"
	"testing"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/rebalance"
	"daybreak/region"
)

// errorer is what checkPlan needs of a test.
type errorer interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

var _ errorer = (*testing.T)(nil)

// checkPlan checks what holds of every plan, from its trades alone.
func checkPlan(t errorer, in rebalance.Input, m *market.Snapshot, plan rebalance.HouseholdPlan) {
	t.Helper()
	if len(plan.Accounts) != len(in.Household.Accounts) {
		t.Errorf("plan has %d accounts, want %d", len(plan.Accounts), len(in.Household.Accounts))
	}
	for _, p := range plan.Accounts {
		i := slices.IndexFunc(in.Household.Accounts, func(a portfolio.Account) bool { return a.ID == p.Account })
		checkAccount(t, in.Household.Accounts[i], p, in.Settings.CostRate)
	}
	checkTax(t, in, m, plan)
	if plan.Planner == rebalance.Optimum {
		checkCertificates(t, plan, in.Household.Location != nil)
	}
}

// checkCertificates checks what the optimiser proves of each account. Of accounts planned as one, trades
// of the others change the risk of each.
func checkCertificates(t errorer, plan rebalance.HouseholdPlan, isLocated bool) {
	t.Helper()
	for _, p := range plan.Accounts {
		c := p.Certificate
		if c == nil {
			if p.Value.Sign() > 0 && p.Reason.Numbers["because"] == "" {
				t.Errorf("account %s: no certificate with a value of %s, reason %s", p.Account, p.Value, p.Reason.Code)
			}
			if money.FromInt(1000).Less(p.Value) {
				t.Errorf("account %s: %s with a value of %s: %v", p.Account, p.Reason.Code, p.Value, p.Reason.Numbers)
			}
			continue
		}
		if c.Objective.Less(c.Bound) || c.GapBP != c.Objective.Sub(c.Bound).Mul(money.FromInt(10_000)) {
			t.Errorf("account %s: objective %s, bound %s, gap %s bp", p.Account, c.Objective, c.Bound, c.GapBP)
		}
		sum := c.Risk.Add(c.Tax).Add(c.Cost).Add(c.Cash).Add(c.Drag)
		if tolerance := money.MustParse("0.00000000001").Add(c.Objective.Abs().Mul(money.MustParse("0.000000000001"))); tolerance.Less(sum.Sub(c.Objective).Abs()) && c.Objective.Less(money.FromInt(1000)) {
			t.Errorf("account %s: objective %s, its parts sum to %s", p.Account, c.Objective, sum)
		}
		if !isLocated && len(p.Trades) == 0 && len(c.Relaxed) == 0 && money.MustParse("0.00000000001").Less(c.NoTrade.Sub(c.Objective).Abs()) {
			t.Errorf("account %s: objective %s of no trades, want %s", p.Account, c.Objective, c.NoTrade)
		}
	}
}

func checkAccount(t errorer, a portfolio.Account, p rebalance.AccountPlan, costRate money.Dec) {
	t.Helper()
	policy := a.Policy.WithDefaults()
	cash := p.CashBefore
	seen := map[market.Symbol]bool{}
	for _, tr := range p.Trades {
		if seen[tr.Symbol] {
			t.Errorf("account %s: two trades in %s, want one", a.ID, tr.Symbol)
		}
		seen[tr.Symbol] = true
		if tr.Value.Less(policy.MinTrade) {
			t.Errorf("account %s: %s %s for %s, want at least %s", a.ID, tr.Side, tr.Symbol, tr.Value, policy.MinTrade)
		}
		if slices.Contains(a.Policy.Restricted, tr.Symbol) {
			t.Errorf("account %s: %s restricted %s", a.ID, tr.Side, tr.Symbol)
		}
		places := 4
		if policy.WholeShares {
			places = 0
		}
		if tr.Shares.Sign() <= 0 || tr.Shares != tr.Shares.RoundDown(places) {
			t.Errorf("account %s: %s %s shares of %s, want tradable", a.ID, tr.Side, tr.Shares, tr.Symbol)
		}
		if tr.Reason.Code == "" || len(tr.Reason.Numbers) == 0 {
			t.Errorf("account %s: %s %s has reason %+v, want a code with numbers", a.ID, tr.Side, tr.Symbol, tr.Reason)
		}
		cash = cash.Sub(tr.Value.Mul(costRate))
		if tr.Reason.Code == rebalance.Harvest {
			checkHarvest(t, tr)
		}
		if tr.Side == portfolio.Sell {
			cash = cash.Add(tr.Value)
			checkSale(t, a, tr)
			continue
		}
		cash = cash.Sub(tr.Value)
	}
	if cash != p.CashAfter {
		t.Errorf("account %s: cash after = %s, want %s", a.ID, p.CashAfter, cash)
	}
	isShort := p.Reason.Code == rebalance.CashShort
	if !isShort && p.CashAfter.Less(policy.WithdrawalCash) || p.CashAfter.Sign() < 0 {
		t.Errorf("account %s: cash after = %s, want at least %s", a.ID, p.CashAfter, policy.WithdrawalCash)
	}
	mayRise := isShort || p.Reason.Code == rebalance.DriftRisesHarvest || p.Reason.Code == rebalance.DriftRisesWithdrawal ||
		p.Reason.Code == rebalance.DriftRisesTracking
	if p.DriftBefore.Less(p.DriftAfter) && !mayRise {
		t.Errorf("account %s: drift %s becomes %s with reason %s, want no rise", a.ID, p.DriftBefore, p.DriftAfter, p.Reason.Code)
	}
	if (p.Outcome == rebalance.Planned) != (len(p.Trades) > 0) || p.Reason.Code == "" {
		t.Errorf("account %s: outcome %s, reason %q with %d trades", a.ID, p.Outcome, p.Reason.Code, len(p.Trades))
	}
}

// checkHarvest checks that a harvest is worth more than it costs, and that every question about it
// has an answer that does not stand against it.
func checkHarvest(t errorer, tr rebalance.Trade) {
	t.Helper()
	number := func(key string) money.Dec { return money.MustParse(tr.Reason.Numbers[key]) }
	if number("tax_value").Sign() < 0 || number("net_value").Sign() < 0 || number("loss").Sign() <= 0 {
		t.Errorf("account %s: harvest of %s with %v, want a loss and a value", tr.Account, tr.Symbol, tr.Reason.Numbers)
	}
	if saved := number("tax_without").Sub(number("tax_with")).Add(number("later")); money.MustParse("0.02").Less(saved.Sub(number("tax_value")).Abs()) {
		t.Errorf("account %s: harvest of %s is worth %s, want %s", tr.Account, tr.Symbol, number("tax_value"), saved)
	}
	if barring := tr.Answers.Barring(); len(tr.Answers) != 16 || len(barring) > 0 {
		t.Errorf("account %s: harvest of %s has %d answers, against it %v, want 16, none", tr.Account, tr.Symbol, len(tr.Answers), barring)
	}
}

func checkSale(t errorer, a portfolio.Account, tr rebalance.Trade) {
	t.Helper()
	var held money.Dec
	for _, p := range a.Positions {
		if p.Symbol == tr.Symbol {
			held = held.Add(p.Shares)
		}
	}
	if held.Less(tr.Shares) {
		t.Errorf("account %s: sells %s of %s %s", a.ID, tr.Shares, held, tr.Symbol)
	}
	var lots money.Dec
	for _, l := range tr.Lots {
		lots = lots.Add(l.Shares)
	}
	if len(tr.Lots) > 0 && lots != tr.Shares {
		t.Errorf("account %s: lots of %s sum to %s, want %s", a.ID, tr.Symbol, lots, tr.Shares)
	}
}

// checkTax checks against the tax book that the plan denies no loss: none of its own, and none of
// an earlier sale.
func checkTax(t errorer, in rebalance.Input, m *market.Snapshot, plan rebalance.HouseholdPlan) {
	t.Helper()
	rules, err := region.Load(in.Household.Region)
	if err != nil {
		t.Fatalf("Load = %v", err)
	}
	scope := region.ScopeOf(in.Household, m.Identical())
	book, err := region.Fold(rules, scope, in.Tax, in.Events)
	if err != nil {
		t.Fatalf("Fold = %v", err)
	}
	var events []region.Event
	bought := map[string]market.Day{}
	for _, p := range plan.Accounts {
		for _, tr := range p.Trades {
			e := eventOf(t, in, m, rules, tr)
			events = append(events, e)
			if tr.Side == portfolio.Buy {
				bought[scope.Property(tr.Symbol)] = rules.TaxDay(e.Day, e.Settle)
			}
		}
	}
	outcomes, err := book.Would(events)
	if err != nil {
		t.Fatalf("Would = %v", err)
	}
	for _, out := range outcomes {
		if out.Denied.Sign() > 0 {
			t.Errorf("account %s: sale of %s loses %s, %s of it denied, want none", out.Account, out.Symbol, out.Gross, out.Denied)
		}
		if _, ok := bought[out.Property]; ok && out.Gross.Sign() < 0 {
			t.Errorf("household sells %s at a loss and buys it", out.Property)
		}
	}
	checkEarlier(t, book, events)
	for property, day := range bought {
		for _, l := range in.Locks {
			if l.Property == property && day <= l.Until {
				t.Errorf("household buys %s on tax day %s, locked until %s", property, day, l.Until)
			}
		}
		for _, l := range plan.Locks {
			if l.Property == property {
				t.Errorf("household buys %s, which the plan locks", property)
			}
		}
	}
}

// checkEarlier checks that the plan's purchases raise the denied loss of no earlier sale. (Its sales
// may: they move what a circle holds, and with it an earlier denied loss, from pool to pool.)
func checkEarlier(t errorer, book *region.Book, events []region.Event) {
	t.Helper()
	purchases := slices.DeleteFunc(slices.Clone(events), func(e region.Event) bool { return e.Kind != region.Buy })
	after, err := book.With(purchases)
	if err != nil {
		t.Fatalf("With = %v", err)
	}
	denied := map[string]money.Dec{}
	for _, s := range book.Sales() {
		denied[s.Event] = s.Denied
	}
	for _, s := range after.Sales() {
		if was, ok := denied[s.Event]; ok && was.Less(s.Denied) {
			t.Errorf("account %s: sale of %s on %s: %s denied, by the plan %s", s.Account, s.Symbol, s.Day, was, s.Denied)
		}
	}
}

func eventOf(t errorer, in rebalance.Input, m *market.Snapshot, rules *region.Rules, tr rebalance.Trade) region.Event {
	t.Helper()
	i := slices.IndexFunc(in.Household.Accounts, func(a portfolio.Account) bool { return a.ID == tr.Account })
	a := in.Household.Accounts[i]
	sec, err := m.Security(tr.Symbol)
	if err != nil {
		t.Fatalf("Security = %v", err)
	}
	settle, err := market.SettleDay(sec.Exchange, in.Day)
	if err != nil {
		t.Fatalf("SettleDay = %v", err)
	}
	fx, err := m.Rate(tr.Currency, rules.Home)
	if err != nil {
		t.Fatalf("Rate = %v", err)
	}
	e := region.Event{
		ID: "test/" + string(tr.Account) + string(tr.Symbol), Kind: region.Kind(tr.Side), Day: in.Day, Settle: settle, Seq: 1 << 50,
		Owner: a.Owner, Account: a.ID, AccountType: a.Type, Symbol: tr.Symbol, Shares: money.RatDec(tr.Shares),
		Amount: tr.Notional, Currency: tr.Currency, FX: fx.Rate,
	}
	for _, l := range tr.Lots {
		e.Lots = append(e.Lots, region.LotShares{Lot: l.Lot, Shares: money.RatDec(l.Shares)})
	}
	return e
}

// bytesOf returns the JSON of a plan, or of its fault.
func bytesOf(t errorer, in rebalance.Input, m *market.Snapshot) string {
	t.Helper()
	plan, err := rebalance.Plan(in, m)
	if err != nil {
		return err.Error()
	}
	text, err := json.Marshal(plan)
	if err != nil {
		t.Fatalf("Marshal = %v", err)
	}
	return string(text)
}
