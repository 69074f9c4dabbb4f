package tlh_test

import (
	"fmt"
	"slices"
	"testing"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/region"
	"daybreak/tlh"
)

// asking is a household with one fund at a loss, told to differ in one point a case.
type asking struct {
	region  string
	day     market.Day
	events  []region.Event
	market  market.Snapshot
	home    portfolio.Household
	open    []portfolio.OpenOrder
	brought []region.Brought
	bought  bool // this run buys the property
	lots    []region.LotShares
	price   int64
}

func newAsking(name string, day string) *asking {
	q := &asking{region: name, day: market.MustDay(day), price: 80}
	fund := func(s market.Symbol) market.Security {
		return market.Security{Symbol: s, Exchange: market.XNYS, Currency: market.USD, Kind: market.ETF, IdenticalGroup: "p:" + string(s)}
	}
	q.market = market.Snapshot{
		Securities:   []market.Security{fund("X"), fund("Y")},
		Replacements: []market.Replacement{{Symbol: "X", Replacement: "Y", Rank: 1}},
		Weights:      []market.Weight{{Model: "m", Symbol: "X", Weight: money.One}, {Model: "other", Symbol: "Y", Weight: money.One}},
	}
	q.home = portfolio.Household{ID: "H", Region: name, Owners: []portfolio.Owner{{ID: "P", From: market.NoDay, To: market.NoDay}}}
	q.account("A", "taxable")
	q.buy("A", "old", 100, 400)
	return q
}

func (q *asking) account(id portfolio.AccountID, kind string) {
	q.home.Accounts = append(q.home.Accounts, portfolio.Account{ID: id, Owner: "P", Type: kind, Model: "m"})
}

func (q *asking) of(id portfolio.AccountID) *portfolio.Account {
	i := slices.IndexFunc(q.home.Accounts, func(a portfolio.Account) bool { return a.ID == id })
	return &q.home.Accounts[i]
}

// buy buys shares of X at 100 some days ago.
func (q *asking) buy(id portfolio.AccountID, event string, shares int64, back int) {
	a := q.of(id)
	day := q.day - market.Day(back)
	q.events = append(q.events, region.Event{
		ID: event, Kind: region.Buy, Day: day, Settle: day, Owner: "P", Account: id, AccountType: a.Type, Symbol: "X",
		Shares: money.RatInt(shares), Amount: money.FromInt(100 * shares), FX: money.One,
	})
	for i := range a.Positions {
		a.Positions[i].Shares = a.Positions[i].Shares.Add(money.FromInt(shares))
		return
	}
	a.Positions = []portfolio.Position{{Symbol: "X", Shares: money.FromInt(shares)}}
}

// ask asks about a sale of the 100 old shares.
func (q *asking) ask(t *testing.T) tlh.Answer {
	t.Helper()
	rules, err := region.Load(q.region)
	if err != nil {
		t.Fatal(err)
	}
	m := market.NewSnapshot(q.market)
	book, err := region.Fold(rules, region.ScopeOf(q.home, m.Identical()), region.Checkpoint{}, q.events)
	if err != nil {
		t.Fatal(err)
	}
	bars := tlh.NewBars(book, rules.WindowDays(), nil, q.open, func(s market.Symbol) string { return "p:" + string(s) })
	if q.bought {
		bars.Buy("p:X", "X", "B")
	}
	for _, a := range q.home.Accounts {
		bars.Reinvest(&a, m, q.day, func(s market.Symbol) string { return "p:" + string(s) })
	}
	settle, err := market.SettleDay(market.XTSE, q.day)
	if err != nil {
		t.Fatal(err)
	}
	inquiry := tlh.Inquiry{Rules: rules, Book: book, Bars: bars, Household: &q.home, Market: m, Open: q.open, Brought: q.brought,
		CostRate: money.MustParse("0.0003")}
	a, err := inquiry.IfSold(region.Event{
		ID: "ask", Kind: region.Sell, Day: q.day, Settle: settle, Seq: 1 << 40, Owner: "P", Account: "A", AccountType: "taxable", Symbol: "X",
		Shares: money.RatInt(100), Amount: money.FromInt(100 * q.price), FX: money.One, Lots: q.lots,
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// paid has account A reinvest a dividend of so many days before the sale, which has not come yet.
func paid(q *asking, days market.Day) {
	q.of("A").Policy.DRIP = true
	q.market.Dividends = []market.Dividend{{Symbol: "X", ExDay: q.day - days, Amount: money.One}}
}

// declared gives account I 200 old shares that reinvest, at a close of 80, and a dividend of 1 a share
// so many days after the sale.
func declared(q *asking, days market.Day) {
	q.of("I").Policy.DRIP = true
	q.buy("I", "b", 200, 300)
	q.market.Prices = []market.Price{{Symbol: "X", Day: q.day, Close: money.FromInt(80)}}
	q.market.Dividends = []market.Dividend{{Symbol: "X", ExDay: q.day + days, Amount: money.One}}
}

// TestEachQuestionHasBothAnswers asks each question twice: once of the plain household, once with
// what changes its answer.
func TestEachQuestionHasBothAnswers(t *testing.T) {
	ira := func(q *asking) { q.account("I", map[string]string{"US": "ira", "CA": "tfsa"}[q.region]) }
	for _, c := range []struct {
		question    tlh.Question
		region      string
		plain, then tlh.Verdict
		change      func(q *asking)
		numbers     map[string]string // of the second answer
	}{
		{tlh.PurchasesBefore, "US", tlh.Clear, tlh.Against, func(q *asking) { ira(q); q.buy("I", "b", 5, 30) },
			map[string]string{"purchases": "1", "shares": "5", "sheltered": "5", "accounts": "I", "last": "2020-02-15", "until": "2020-03-16"}},
		{tlh.PurchasesBefore, "US", tlh.Clear, tlh.Clear, func(q *asking) { ira(q); q.buy("I", "b", 5, 31) }, nil},
		{tlh.OrdersPending, "US", tlh.Clear, tlh.Against, func(q *asking) {
			q.open = []portfolio.OpenOrder{{ID: "O", Account: "I", Symbol: "X", Side: portfolio.Buy, Leaves: money.FromInt(5)}}
		}, map[string]string{"orders": "O", "accounts": "I", "shares": "5"}},
		{tlh.OrdersPending, "US", tlh.Clear, tlh.Clear, func(q *asking) {
			q.open = []portfolio.OpenOrder{{ID: "O", Account: "I", Symbol: "Y", Side: portfolio.Buy, Leaves: money.FromInt(5)}}
		}, nil},
		{tlh.ThisRun, "US", tlh.Clear, tlh.Against, func(q *asking) { q.bought = true }, map[string]string{"account": "B", "symbol": "X"}},
		{tlh.Deposits, "US", tlh.Clear, tlh.Noted, func(q *asking) { q.of("A").Policy.MonthlyDeposit = money.FromInt(300) },
			map[string]string{"accounts": "A:300", "redirected_by": "lock"}},
		{tlh.Deposits, "US", tlh.Clear, tlh.Clear, func(q *asking) {
			q.of("A").Policy.MonthlyDeposit = money.FromInt(300)
			q.of("A").Model = "other"
		}, nil},
		{tlh.Reinvestment, "US", tlh.Clear, tlh.Noted, func(q *asking) { ira(q); q.of("I").Policy.DRIP = true; q.buy("I", "b", 5, 300) },
			map[string]string{"accounts": "I", "sheltered": "I", "ex_day": ""}},
		{tlh.Reinvestment, "US", tlh.Clear, tlh.Against, func(q *asking) {
			q.of("A").Policy.DRIP = true
			q.market.Dividends = []market.Dividend{{Symbol: "X", ExDay: q.day, Amount: money.One}}
		}, map[string]string{"accounts": "A", "sheltered": "", "ex_day": "2020-03-16", "until": "2020-04-15"}},
		{tlh.Reinvestment, "US", tlh.Clear, tlh.Against, func(q *asking) { paid(q, 30) }, map[string]string{"until": "2020-03-16"}},
		{tlh.Reinvestment, "US", tlh.Clear, tlh.Noted, func(q *asking) { paid(q, 31) }, map[string]string{"until": ""}},
		{tlh.Reinvestment, "CA", tlh.Clear, tlh.Against, func(q *asking) { paid(q, 28) }, map[string]string{"until": "2020-03-18"}}, // 30 from settlement
		{tlh.Reinvestment, "CA", tlh.Clear, tlh.Noted, func(q *asking) { paid(q, 29) }, map[string]string{"until": ""}},
		{tlh.Reinvestment, "US", tlh.Clear, tlh.Noted, func(q *asking) { // an ex-date to come
			q.of("A").Policy.DRIP = true
			q.market.Dividends = []market.Dividend{{Symbol: "X", ExDay: q.day + 30, Amount: money.One}}
		}, map[string]string{"ex_day": "2020-04-15", "until": "", "next_ex_day": ""}}, // the account has nothing left to earn it
		{tlh.Reinvestment, "US", tlh.Clear, tlh.Noted, func(q *asking) { ira(q); declared(q, 30) },
			map[string]string{"next_ex_day": "2020-04-15", "cash_by": "2020-04-14", "would_buy": "2.5", "would_deny": "50", "would_be_gone": "50",
				"not_known": "payment_day price"}},
		{tlh.Reinvestment, "US", tlh.Clear, tlh.Noted, func(q *asking) { ira(q); declared(q, 31) }, map[string]string{"next_ex_day": "", "would_deny": ""}},
		{tlh.Reinvestment, "CA", tlh.Clear, tlh.Noted, func(q *asking) { q.account("B", "taxable"); q.of("B").ID = "I"; declared(q, 32) }, // 30 from settlement
			map[string]string{"next_ex_day": "2020-04-17", "would_deny": "50", "would_be_gone": ""}},
		{tlh.HeldAtEnd, "CA", tlh.Clear, tlh.Noted, func(q *asking) { ira(q); q.buy("I", "b", 5, 300) }, map[string]string{"shares": "5", "day": "2020-04-17"}},
		{tlh.LotsThatStay, "US", tlh.Clear, tlh.Against, func(q *asking) {
			q.buy("A", "young", 40, 10)
			q.lots = []region.LotShares{{Lot: "old", Shares: money.RatInt(100)}}
		}, map[string]string{"lots": "young"}},
		{tlh.LossDenied, "US", tlh.Clear, tlh.Against, func(q *asking) { ira(q); q.buy("I", "b", 25, 3) },
			map[string]string{"loss": "2000", "denied": "500", "gone": "500"}},
		{tlh.LossDenied, "CA", tlh.Clear, tlh.Against, func(q *asking) { ira(q); q.buy("I", "b", 25, 3) },
			map[string]string{"loss": "2000", "denied": "500", "gone": "500"}},
		{tlh.NetValue, "US", tlh.Clear, tlh.Against, func(q *asking) { ira(q); q.buy("I", "b", 100, 3) },
			map[string]string{"tax_value": "0", "costs": "17.6", "net_value": "-17.6"}},
		{tlh.ReplacedBy, "US", tlh.Clear, tlh.Against, func(q *asking) { q.market.Securities[1].IdenticalGroup = "p:X" }, map[string]string{"identical": "Y"}},
		{tlh.ReplacedBy, "US", tlh.Clear, tlh.Against, func(q *asking) { q.market.Replacements = nil }, nil},
		{tlh.InTaxYear, "CA", tlh.Clear, tlh.Noted, func(q *asking) { q.day = market.MustDay("2020-12-30") },
			map[string]string{"tax_day": "2021-01-04", "year": "2021", "trade_year": "2020"}},
		{tlh.InTaxYear, "US", tlh.Clear, tlh.Clear, func(q *asking) { q.day = market.MustDay("2020-12-31") }, map[string]string{"year": "2020"}},
		{tlh.LockedUntil, "US", tlh.Noted, tlh.Clear, func(q *asking) { q.price = 120 }, nil},
		{tlh.ForcedPurchase, "US", tlh.Noted, tlh.Clear, func(q *asking) { q.price = 120 }, nil},
	} {
		plain := newAsking(c.region, "2020-03-16")
		if got := plain.ask(t).Answers.Of(c.question); got.Verdict != c.plain {
			t.Errorf("%s of a plain loss in %s = %+v, want %s", c.question, c.region, got, c.plain)
		}
		changed := newAsking(c.region, "2020-03-16")
		c.change(changed)
		got := changed.ask(t).Answers.Of(c.question)
		if got.Verdict != c.then {
			t.Errorf("%s in %s = %+v, want %s", c.question, c.region, got, c.then)
		}
		for key, want := range c.numbers {
			if got.Numbers[key] != want {
				t.Errorf("%s in %s: %s = %q, want %q", c.question, c.region, key, got.Numbers[key], want)
			}
		}
	}
}

// TestAnswersAreComplete: every question once, in order; a gain has nothing against it.
func TestAnswersAreComplete(t *testing.T) {
	want := []tlh.Question{
		tlh.PurchasesBefore, tlh.OrdersPending, tlh.ThisRun, tlh.Deposits, tlh.Reinvestment, tlh.HeldAtEnd, tlh.LotsThatStay, tlh.LossDenied,
		tlh.NetValue, tlh.ReplacedBy, tlh.WayBack, tlh.InTaxYear, tlh.LockedUntil, tlh.Outside, tlh.ForcedPurchase, tlh.FinalAfter,
	}
	for _, price := range []int64{80, 120} {
		q := newAsking("US", "2020-03-16")
		q.price = price
		answers := q.ask(t).Answers
		var got []tlh.Question
		for _, r := range answers {
			got = append(got, r.Question)
		}
		if !slices.Equal(got, want) {
			t.Errorf("Answers = %v, want %v", got, want)
		}
		if remarks := answers.Remarks(); price == 80 && len(remarks) > 0 {
			t.Errorf("Remarks = %v, want none of a plain loss", remarks)
		}
		if barring := answers.Barring(); len(barring) > 0 {
			t.Errorf("Barring(price %d) = %v, want none", price, barring)
		}
	}
}

// TestIfSoldValue asks what a loss is worth to a person who looks: with what the household brings in.
func TestIfSoldValue(t *testing.T) {
	q := newAsking("US", "2020-03-16")
	a := q.ask(t)
	if got := fmt.Sprint(a.Value.Value, a.Value.Usable, a.Least.Share, a.Least.Amount); got != "700 2000 0.05 150" {
		t.Errorf("IfSold = value, usable, least %s, want 700 2000 0.05 150", got)
	}
	q.brought = []region.Brought{{Owner: "P", Year: 2020, Carry: region.Carry{LT: money.FromInt(3000)}}}
	if a = q.ask(t); a.Value.Value != money.FromInt(150) || a.Value.Waits != money.FromInt(2000) {
		t.Errorf("IfSold with 3,000 brought in = %s of which waits %s, want 150, 2000", a.Value.Value, a.Value.Waits)
	}
}
