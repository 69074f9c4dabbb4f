package rebalance_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/rebalance"
	"daybreak/region"
	"daybreak/tlh"

	"pgregory.net/rapid"
)

// world draws households over a small market with every kind of trouble in it: identical funds,
// replacements in a circle, stocks to index directly, purchases and sales of the last weeks.
type world struct {
	t      *rapid.T
	region string
	home   market.Currency
	day    market.Day
	market *market.Snapshot
	in     rebalance.Input
}

var etfs = []string{"AAA", "BBB", "CCC", "DDD", "EEE"}
var stocks = []string{"S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8"}

func drawWorld(t *rapid.T) *world {
	w := &world{t: t, region: rapid.SampledFrom([]string{"CA", "US"}).Draw(t, "region"), day: market.MustDay("2020-03-16")}
	w.home = market.USD
	if w.region == "CA" {
		w.home = market.CAD
	}
	w.drawMarket()
	w.in = rebalance.Input{Day: w.day, Household: portfolio.Household{ID: "H", Region: w.region, RoutingKey: "H"}}
	w.in.Household.Owners = []portfolio.Owner{{ID: "P1", From: market.NoDay, To: market.NoDay}, {ID: "P2", From: market.NoDay, To: market.NoDay}}
	for i := range rapid.IntRange(1, 4).Draw(t, "accounts") {
		w.drawAccount(i)
	}
	w.drawOpen()
	return w
}

func (w *world) drawMarket() {
	s := market.Snapshot{Day: w.day}
	s.Rates = []market.Rate{{Base: market.USD, Quote: market.CAD, Day: w.day, Rate: money.MustParse("1.3841")}}
	for i, name := range slices.Concat(etfs, stocks) {
		e := market.Security{
			Symbol: market.Symbol(name), Exchange: market.XNYS, Currency: market.USD, Kind: market.ETF,
			AssetClass: "fund", IdenticalGroup: "security:" + name,
		}
		if i >= len(etfs) {
			e.Kind, e.AssetClass = market.Stock, "stock"
		} else if i%2 == 1 && w.region == "CA" {
			e.Exchange, e.Currency = market.XTSE, market.CAD
		}
		if name == "DDD" || name == "EEE" { // two funds that are one property
			e.IdenticalGroup = "index:D"
		}
		s.Securities = append(s.Securities, e)
		close := money.FromUnits(rapid.Int64Range(500, 40000).Draw(w.t, "close"), 2)
		s.Prices = append(s.Prices, market.Price{Symbol: e.Symbol, Day: w.day - 3, Close: close})
		if rapid.IntRange(0, 5).Draw(w.t, "pays") == 0 {
			back := market.Day(rapid.IntRange(1, 40).Draw(w.t, "ex-date"))
			s.Dividends = append(s.Dividends, market.Dividend{Symbol: e.Symbol, ExDay: w.day - back, Amount: money.One})
		}
	}
	for _, r := range [][2]market.Symbol{{"AAA", "BBB"}, {"BBB", "AAA"}, {"CCC", "DDD"}, {"DDD", "CCC"}, {"DDD", "EEE"}} {
		s.Replacements = append(s.Replacements, market.Replacement{Symbol: r[0], Replacement: r[1], Rank: 1})
	}
	row := func(model, class, symbol string, rank int, weight string) {
		s.Weights = append(s.Weights, market.Weight{Model: model, AssetClass: class, Symbol: market.Symbol(symbol), Rank: rank, Weight: money.MustParse(weight)})
	}
	row("funds", "equity", "AAA", 0, "0.6")
	row("funds", "equity", "BBB", 1, "0")
	row("funds", "bonds", "CCC", 0, "0.3")
	row("funds", "gold", "DDD", 0, "0.1")
	row("funds", "gold", "EEE", 1, "0")
	for _, name := range stocks {
		row("direct", "stock", name, 0, "0.125")
	}
	w.market = market.NewSnapshot(s)
}

func (w *world) drawAccount(i int) {
	types := map[string][]string{"CA": {"taxable", "taxable", "tfsa", "rrsp"}, "US": {"taxable", "taxable", "ira", "roth"}}[w.region]
	a := portfolio.Account{
		ID: portfolio.AccountID(fmt.Sprintf("A%d", i)), Currency: w.home,
		Owner: rapid.SampledFrom([]portfolio.OwnerID{"P1", "P2"}).Draw(w.t, "owner"),
		Type:  rapid.SampledFrom(types).Draw(w.t, "type"),
		Model: rapid.SampledFrom([]string{"funds", "funds", "direct"}).Draw(w.t, "model"),
	}
	a.Policy.WholeShares = rapid.Bool().Draw(w.t, "whole")
	if rapid.IntRange(0, 3).Draw(w.t, "withdraws") == 0 {
		a.Policy.WithdrawalCash = money.FromInt(rapid.Int64Range(1, 20000).Draw(w.t, "withdrawal"))
	}
	a.Policy.DRIP = rapid.IntRange(0, 3).Draw(w.t, "drip") == 0
	if rapid.IntRange(0, 4).Draw(w.t, "restricts") == 0 {
		a.Policy.Restricted = []market.Symbol{"AAA", "S1"}
	}
	a.Cash = []portfolio.Cash{{Currency: w.home, Amount: money.FromUnits(rapid.Int64Range(0, 2_000_000).Draw(w.t, "cash"), 2)}}
	w.drawHistory(&a)
	w.in.Household.Accounts = append(w.in.Household.Accounts, a)
}

// drawHistory buys and sells over two years, half of it in the last six weeks.
func (w *world) drawHistory(a *portfolio.Account) {
	names := etfs
	if a.Model == "direct" {
		names = slices.Concat(stocks, etfs[:1])
	}
	held := map[market.Symbol]money.Dec{}
	for range rapid.IntRange(0, 14).Draw(w.t, "trades") {
		back := rapid.IntRange(1, 40).Draw(w.t, "back")
		if rapid.Bool().Draw(w.t, "old") {
			back = rapid.IntRange(40, 800).Draw(w.t, "long back")
		}
		symbol := market.Symbol(rapid.SampledFrom(names).Draw(w.t, "symbol"))
		shares := money.FromUnits(rapid.Int64Range(1, 2_000_000).Draw(w.t, "shares"), 4)
		w.trade(a, symbol, region.Buy, shares, w.day-market.Day(back))
		held[symbol] = held[symbol].Add(shares)
	}
	for _, name := range names {
		symbol := market.Symbol(name)
		if held[symbol].Sign() > 0 && rapid.IntRange(0, 3).Draw(w.t, "sells") == 0 {
			part := held[symbol].Mul(money.FromUnits(rapid.Int64Range(1, 100).Draw(w.t, "part"), 2)).RoundDown(4)
			if part.Sign() > 0 {
				w.trade(a, symbol, region.Sell, part, w.day-1)
				held[symbol] = held[symbol].Sub(part)
			}
		}
		if held[symbol].Sign() > 0 {
			a.Positions = append(a.Positions, portfolio.Position{Symbol: symbol, Shares: held[symbol]})
		}
	}
}

func (w *world) trade(a *portfolio.Account, symbol market.Symbol, kind region.Kind, shares money.Dec, day market.Day) {
	sec, err := w.market.Security(symbol)
	if err != nil {
		w.t.Fatalf("Security = %v", err)
	}
	settle, err := market.SettleDay(sec.Exchange, day)
	if err != nil {
		w.t.Fatalf("SettleDay = %v", err)
	}
	price := money.FromUnits(rapid.Int64Range(500, 40000).Draw(w.t, "price"), 2)
	fx := money.One
	if sec.Currency != w.home {
		fx = money.MustParse("1.31")
	}
	n := len(w.in.Events)
	w.in.Events = append(w.in.Events, region.Event{
		ID: fmt.Sprintf("E%03d", n), Kind: kind, Day: day, Settle: settle, Seq: int64(n), Owner: a.Owner, Account: a.ID,
		AccountType: a.Type, Symbol: symbol, Shares: money.RatDec(shares), Amount: shares.Mul(price), Currency: sec.Currency, FX: fx,
	})
}

func (w *world) drawOpen() {
	for i, a := range w.in.Household.Accounts {
		if rapid.IntRange(0, 5).Draw(w.t, "open order") == 0 {
			w.in.Open = append(w.in.Open, portfolio.OpenOrder{
				ID: fmt.Sprintf("O%d", i), Account: a.ID, Symbol: market.Symbol(rapid.SampledFrom(etfs).Draw(w.t, "open symbol")),
				Side: portfolio.Buy, Leaves: money.One})
		}
	}
	if rapid.IntRange(0, 3).Draw(w.t, "locks") == 0 {
		until := w.day + market.Day(rapid.IntRange(-2, 5).Draw(w.t, "until"))
		w.in.Locks = append(w.in.Locks, tlh.Lock{Property: "security:AAA", Symbol: "AAA", Until: until})
	}
}

// TestPlanProperties checks what holds of every plan on random households.
func TestPlanProperties(t *testing.T) {
	for _, p := range planners {
		t.Run(string(p), func(t *testing.T) { checkProperties(t, p) })
	}
}

// planners are all planners.
var planners = []rebalance.Planner{rebalance.Rules, rebalance.Optimum}

// drawInput draws a household whose accounts a planner can plan.
func drawInput(t *rapid.T, p rebalance.Planner) *world {
	w := drawWorld(t)
	w.in.Settings.Planner = p
	if p == rebalance.Optimum {
		var skip []market.Symbol
		if rapid.IntRange(0, 3).Draw(t, "no history") == 0 {
			skip = append(skip, "BBB", "S2")
		}
		w.in = withRisk(w.in, w.market, skip...)
	}
	return w
}

func checkProperties(t *testing.T, planner rebalance.Planner) {
	var planned, harvested, parked int
	rapid.Check(t, func(t *rapid.T) {
		w := drawInput(t, planner)
		plan, err := rebalance.Plan(w.in, w.market)
		if err != nil {
			parked++
			return
		}
		if plan.Planner != planner {
			t.Errorf("Plan = by %s because %s, want by %s", plan.Planner, plan.Because, planner)
		}
		checkPlan(t, w.in, w.market, plan)
		for _, a := range plan.Accounts {
			if a.Outcome == rebalance.Planned {
				planned++
			}
			if a.Harvested.Sign() > 0 {
				harvested++
			}
		}
	})
	if planned == 0 || harvested == 0 || parked > 0 {
		t.Errorf("random households: %d accounts planned, %d harvest, %d households parked; want some, some, none", planned, harvested, parked)
	}
}

// TestPlanIgnoresOrder shuffles accounts, positions, events, orders and the market's rows: the plan
// is the same bytes.
func TestPlanIgnoresOrder(t *testing.T) {
	for _, p := range planners {
		t.Run(string(p), func(t *testing.T) { checkOrder(t, p) })
	}
}

func checkOrder(t *testing.T, planner rebalance.Planner) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawInput(t, planner)
		want := bytesOf(t, w.in, w.market)
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		in := w.in
		in.Household.Accounts = shuffled(r, in.Household.Accounts)
		for i := range in.Household.Accounts {
			a := &in.Household.Accounts[i]
			a.Positions, a.Cash = shuffled(r, a.Positions), shuffled(r, a.Cash)
			a.Policy.Restricted = shuffled(r, a.Policy.Restricted)
		}
		in.Household.Owners = shuffled(r, in.Household.Owners)
		in.Events, in.Open, in.Locks = shuffled(r, in.Events), shuffled(r, in.Open), shuffled(r, in.Locks)
		s := *w.market
		s.Securities, s.Prices, s.Weights = shuffled(r, s.Securities), shuffled(r, s.Prices), shuffled(r, s.Weights)
		if got := bytesOf(t, in, market.NewSnapshot(s)); got != want {
			t.Errorf("Plan(shuffled) = %s, want %s", got, want)
		}
	})
}

func shuffled[T any](r *rand.Rand, all []T) []T {
	all = slices.Clone(all)
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// TestPlanReplays plans from inputs that were written as JSON, and from a checkpoint of the tax
// book in place of its events: the plan is the same bytes.
func TestPlanReplays(t *testing.T) {
	for _, p := range planners {
		t.Run(string(p), func(t *testing.T) { checkReplays(t, p) })
	}
}

func checkReplays(t *testing.T, planner rebalance.Planner) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawInput(t, planner)
		want := bytesOf(t, w.in, w.market)
		rules, err := region.Load(w.region)
		if err != nil {
			t.Fatalf("Load = %v", err)
		}
		book, err := region.Fold(rules, region.ScopeOf(w.in.Household, w.market.Identical()), region.Checkpoint{}, w.in.Events)
		if err != nil {
			t.Fatalf("Fold = %v", err)
		}
		folded := w.in
		folded.Tax, folded.Events = book.Checkpoint(w.day-1), nil
		for _, in := range []rebalance.Input{w.in, folded} {
			var again rebalance.Input
			var m market.Snapshot
			roundTrip(t, in, &again)
			roundTrip(t, w.market, &m)
			again.Risk = in.Risk // is stored by its hash
			if got := bytesOf(t, again, &m); got != want {
				t.Errorf("Plan(read again) = %s, want %s", got, want)
			}
		}
	})
}

func roundTrip(t *rapid.T, from, to any) {
	text, err := json.Marshal(from)
	if err != nil {
		t.Fatalf("Marshal = %v", err)
	}
	if err := json.Unmarshal(text, to); err != nil {
		t.Fatalf("Unmarshal = %v", err)
	}
}
