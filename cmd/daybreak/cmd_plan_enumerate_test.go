package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"daybreak/market"
	"daybreak/rebalance/optimum"
	"daybreak/rebalance/optimum/members"
)

// smallNames are the securities of the small market; the last replaces the first.
var smallNames = []string{"AA", "BB", "CC", "DD"}

// smallWeights are what its model portfolio wants of the first three.
var smallWeights = []float64{0.4, 0.35, 0.25}

// smallMarket writes a market of four securities with dear shares and a year of closes, and returns
// the flags that name its files.
func smallMarket(t *testing.T) []string {
	t.Helper()
	var securities, prices, models, replacements strings.Builder
	fmt.Fprintln(&securities, strings.Join(market.SecurityHeader, ","))
	fmt.Fprintln(&prices, strings.Join(market.PriceHeader, ","))
	fmt.Fprintln(&models, strings.Join(market.WeightHeader, ","))
	fmt.Fprintf(&replacements, "%s\nAA,DD,1\n", strings.Join(market.ReplacementHeader, ","))
	for i, name := range smallNames {
		fmt.Fprintf(&securities, "%s,%s Fund,USD,XNYS,etf,class_%s,Index %s,index:%s\n", name, name, name, name, name)
		if i < len(smallWeights) {
			fmt.Fprintf(&models, "small,US,class_%s,%s,0,%g\n", name, name, smallWeights[i])
		}
	}
	calendar, err := market.Calendar(market.XNYS)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(5, 5))
	levels := []float64{310, 240, 420, 180}
	for _, day := range calendar.Sessions(market.MustDay("2019-03-01"), sampleDay-1) {
		common := r.NormFloat64() * 0.008
		for i, name := range smallNames {
			own := 0.006
			if name == "DD" { // close to AA
				own = 0.002
			}
			levels[i] *= 1 + common + own*r.NormFloat64()
			fmt.Fprintf(&prices, "%s,%s,USD,%.2f,0\n", day, name, levels[i])
		}
	}
	return []string{"--market", "none", "--date", sampleDay.String(),
		"--securities", textFile(t, "securities.csv", securities.String()), "--prices", textFile(t, "prices.csv", prices.String()),
		"--models", textFile(t, "models.csv", models.String()), "--replacements", textFile(t, "replacements.csv", replacements.String())}
}

// smallLot is one holding of a small account: whole shares, bought long ago or within the year.
type smallLot struct {
	name    int
	shares  int
	cost    float64 // a share
	isShort bool
}

// smallAccount is what the enumeration knows of an account.
type smallAccount struct {
	id          string
	isSheltered bool
	cash        float64
	lots        []smallLot
}

// smallHousehold draws two accounts whose lots lie on both sides of their prices.
func smallHousehold(seed uint64, prices []float64) []smallAccount {
	r := rand.New(rand.NewPCG(seed, 9))
	accounts := []smallAccount{{id: "T1"}, {id: "X2", isSheltered: seed%2 == 1}}
	for k := range accounts {
		a := &accounts[k]
		a.cash = float64(r.IntN(150_000)) / 100
		for name := range smallNames {
			for range 1 + r.IntN(2) {
				if shares := r.IntN(6); shares > 0 {
					a.lots = append(a.lots, smallLot{name, shares, math.Round(prices[name]*(70+60*r.Float64())) / 100, r.IntN(2) == 0})
				}
			}
		}
	}
	return accounts
}

// smallJSON returns the household as one line of a file.
func smallJSON(t *testing.T, seed uint64, accounts []smallAccount) string {
	t.Helper()
	var list, events []map[string]any
	for _, a := range accounts {
		kind := "taxable"
		if a.isSheltered {
			kind = "ira"
		}
		list = append(list, map[string]any{"id": a.id, "owner": "P", "type": kind, "currency": "USD", "model": "small", "opened": "2018-01-02",
			"policy": map[string]any{"whole_shares": true, "min_trade": "0.01", "harvest_min": "0.000001", "harvest_cash_min": "0.01", "band": "0.15"},
			"cash":   []map[string]any{{"currency": "USD", "amount": fmt.Sprintf("%.2f", a.cash)}}})
		for n, l := range a.lots {
			day := "2018-06-01"
			if l.isShort {
				day = "2019-11-01"
			}
			events = append(events, map[string]any{"id": fmt.Sprintf("%s-%d", a.id, n), "kind": "buy", "day": day, "owner": "P", "account": a.id, "account_type": kind,
				"symbol": smallNames[l.name], "shares": fmt.Sprint(l.shares), "amount": fmt.Sprintf("%.2f", float64(l.shares)*l.cost), "currency": "USD", "fx": "1"})
		}
	}
	text, err := json.Marshal(map[string]any{"id": fmt.Sprintf("S%d", seed), "region": "US", "as_of": "2020-03-13",
		"owners": []map[string]any{{"id": "P", "from": "2018-01-02"}}, "accounts": list, "events": events})
	if err != nil {
		t.Fatal(err)
	}
	return string(text) + "\n"
}

// enumeration tries every number of shares after trading of one account. It knows the objective and
// the rules from docs/optimiser.md, and nothing of the optimiser.
type enumeration struct {
	risk   []optimum.Risk
	prices []float64
	best   map[[2]int]float64 // objective in money by the names harvested and bought, as bits

	a      smallAccount
	value  float64
	held   []int
	target []float64
	after  []int
}

const (
	smallCost  = 0.0005
	smallShort = 0.35
	smallLong  = 0.15
)

func (e *enumeration) run(a smallAccount) {
	e.a, e.best, e.held = a, map[[2]int]float64{}, make([]int, len(e.prices))
	e.value = a.cash
	for _, l := range a.lots {
		e.held[l.name] += l.shares
		e.value += float64(l.shares) * e.prices[l.name]
	}
	e.target = make([]float64, len(e.prices))
	for i, w := range smallWeights {
		e.target[i] = w * 0.99
	}
	e.after = make([]int, len(e.prices))
	e.try(0, e.value)
}

// try sets the shares of name i and those after it to all that left buys.
func (e *enumeration) try(i int, left float64) {
	if i == len(e.prices) {
		e.take()
		return
	}
	for n := 0; float64(n)*e.prices[i] <= left; n++ {
		e.after[i] = n
		e.try(i+1, left-float64(n)*e.prices[i])
	}
}

// take keeps the shares at hand, with each way to leave lots at a loss alone, where they meet every
// rule and are the best of their kind.
func (e *enumeration) take() {
	cash, traded, bought := e.a.cash, 0.0, 0
	for i, n := range e.after {
		by := float64(n-e.held[i]) * e.prices[i]
		cash -= by + math.Abs(by)*smallCost
		traded += math.Abs(by)
		if n > e.held[i] {
			bought |= 1 << i
		}
	}
	if cash < min(0.005*e.value, e.a.cash)-1e-6 || !e.isInBands() {
		return
	}
	rest := 50*e.variance()*e.value + traded*smallCost + 0.01*cash
	for harvested := range 1 << len(e.after) {
		tax, ok := 0.0, harvested&bought == 0
		for i, n := range e.after {
			due, isSold := e.sell(i, e.held[i]-n, harvested>>i&1 == 1)
			tax += due
			ok = ok && isSold
		}
		kind := [2]int{harvested, bought}
		if known, isKnown := e.best[kind]; ok && (!isKnown || rest+tax < known) {
			e.best[kind] = rest + tax
		}
	}
}

// isInBands keeps each part of the model within its band, or from going further out.
func (e *enumeration) isInBands() bool {
	for i := range smallWeights {
		now, after := float64(e.held[i])*e.prices[i], float64(e.after[i])*e.prices[i]
		if i == 0 { // with what replaces it
			now += float64(e.held[3]) * e.prices[3]
			after += float64(e.after[3]) * e.prices[3]
		}
		band := min(0.15, e.target[i]/2)
		now, after = now/e.value, after/e.value
		if after < min(e.target[i]-band, now)-1e-6 || after > max(e.target[i]+band, now)+1e-6 {
			return false
		}
	}
	return true
}

// sell returns the tax of selling shares of a name, the cheapest lots first, either with those that
// have a loss or without them; false where the lots do not reach.
func (e *enumeration) sell(i, shares int, isHarvest bool) (tax float64, ok bool) {
	if shares <= 0 || e.a.isSheltered {
		return 0, !isHarvest
	}
	var lots []smallLot
	for _, l := range e.a.lots {
		if l.name == i && (isHarvest || l.cost <= e.prices[i]) {
			lots = append(lots, l)
		}
	}
	due := func(l smallLot) float64 {
		if l.isShort {
			return smallShort * (e.prices[i] - l.cost)
		}
		return smallLong * (e.prices[i] - l.cost)
	}
	slices.SortFunc(lots, func(a, b smallLot) int { return cmp.Compare(due(a), due(b)) })
	for _, l := range lots {
		n := min(shares, l.shares)
		shares -= n
		tax += float64(n) * due(l)
	}
	return tax, shares == 0
}

func (e *enumeration) variance() float64 {
	sum := 0.0
	exposure := make([]float64, len(e.risk[0].Load))
	for i, n := range e.after {
		x := float64(n)*e.prices[i]/e.value - e.target[i]
		for k, l := range e.risk[i].Load {
			exposure[k] += x * l
		}
		sum += x * x * e.risk[i].SpecificVol * e.risk[i].SpecificVol
	}
	for _, y := range exposure {
		sum += y * y
	}
	return sum
}

// TestPlanHouseholdsAgainstEnumeration compares plans of small households, read as JSON, with the
// best of all whole numbers of shares in both accounts, in which no name is harvested and bought.
func TestPlanHouseholdsAgainstEnumeration(t *testing.T) {
	t.Parallel()
	flags := smallMarket(t)
	m := sampleOf(t, flags)
	model, err := members.EstimateModel(m.history, sampleDay, market.USD, members.DefaultRiskParams)
	if err != nil {
		t.Fatal(err)
	}
	today, err := m.at(sampleDay)
	if err != nil {
		t.Fatal(err)
	}
	e := &enumeration{risk: model.Risks}
	for _, name := range smallNames {
		p, err := today.Price(market.Symbol(name))
		if err != nil {
			t.Fatal(err)
		}
		e.prices = append(e.prices, p.Close.Float())
	}
	coupled := 0
	for seed := range uint64(200) {
		accounts := smallHousehold(seed, e.prices)
		var all []map[[2]int]float64
		worth := 0.0
		for _, a := range accounts {
			e.run(a)
			all = append(all, e.best)
			worth += e.value
		}
		truth, free := bestPair(all)
		if truth > free {
			coupled++
		}
		name := textFile(t, "small.jsonl", smallJSON(t, seed, accounts))
		got := 0.0
		for k, l := range planned(t, exitOK, append(flags, name, "--gap-max", "1e9")...) {
			e.run(accounts[k])
			got += l["objective"].(float64) * e.value
			if bound := l["bound"].(float64) * e.value; bound > least(all[k])+1e-6 {
				t.Errorf("household %d account %d: bound = %.6f, want at most %.6f", seed, k, bound, least(all[k]))
			}
		}
		if over := (got - truth) / worth * 1e4; over > 1 || over < -1e-4 {
			t.Errorf("household %d: objective is %.4f bp above the best of all, want 0 to 1", seed, over)
		}
	}
	if coupled == 0 {
		t.Error("no household's accounts stand in each other's way")
	}
}

// sampleOf returns the market that flags of plan name.
func sampleOf(t *testing.T, flags []string) *planMarket {
	t.Helper()
	var f planFlags
	set := pflag.NewFlagSet("plan", pflag.ContinueOnError)
	f.households.addTo(set)
	if err := set.Parse(flags); err != nil {
		t.Fatal(err)
	}
	m, err := f.households.market.load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// bestPair returns the least sum over both accounts without a name harvested and bought, and with.
func bestPair(all []map[[2]int]float64) (truth, free float64) {
	truth, free = math.Inf(1), least(all[0])+least(all[1])
	for a, x := range all[0] {
		for b, y := range all[1] {
			if (a[0]|b[0])&(a[1]|b[1]) == 0 {
				truth = min(truth, x+y)
			}
		}
	}
	return truth, free
}

func least(best map[[2]int]float64) float64 {
	out := math.Inf(1)
	for _, v := range best {
		out = min(out, v)
	}
	return out
}
