package region_test

import (
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/region"
)

// histories is how many random histories each comparison reads: 2,000, or DAYBREAK_HISTORIES.
func histories(t *testing.T) int {
	n, err := strconv.Atoi(os.Getenv("DAYBREAK_HISTORIES"))
	if err != nil {
		return 2000
	}
	t.Logf("%d histories", n)
	return n
}

// generator makes random histories: few owners and accounts, days that often meet the bounds of a
// window, prices that make losses common, and sales that mostly fit what is held.
type generator struct {
	*rand.Rand
	isLots   bool
	home     market.Currency
	accounts []account
	symbols  []market.Symbol
	lag      int // days to settlement, −1: any
	held     map[string]float64
	day      market.Day
	price    float64
	splits   bool
}

type account struct {
	owner portfolio.OwnerID
	id    portfolio.AccountID
	kind  string
}

var poolAccounts = []account{{"me", "me/1", "taxable"}, {"me", "me/2", "taxable"}, {"me", "me/rrsp", "rrsp"},
	{"spouse", "spouse/1", "taxable"}, {"spouse", "spouse/tfsa", "tfsa"}, {"kid", "kid/1", "taxable"}}

var lotAccounts = []account{{"me", "me/1", "taxable"}, {"me", "me/2", "taxable"}, {"me", "me/ira", "ira"},
	{"spouse", "spouse/1", "taxable"}, {"spouse", "spouse/roth", "roth"}, {"kid", "kid/1", "taxable"}}

func newGenerator(seed uint64, isLots bool) *generator {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 1091)), isLots: isLots, home: "CAD", held: map[string]float64{}}
	g.accounts = poolAccounts
	if isLots {
		g.accounts, g.home = lotAccounts, "USD"
	}
	g.accounts = g.accounts[:1+g.IntN(len(g.accounts))]
	g.symbols = []market.Symbol{"XYZ"}
	g.splits = true
	if g.IntN(5) == 0 { // two symbols of one property; how splits of one count is not for a random test
		g.symbols, g.splits = []market.Symbol{"XYZ", "XYZ.U"}, !isLots
	}
	g.lag = g.IntN(4) - 1
	g.day, g.price = market.NewDay(2023, 1+g.IntN(12), 1+g.IntN(28)), 20
	return g
}

func (g *generator) history() []region.Event {
	var events []region.Event
	for n := 3 + g.IntN(22); len(events) < n; {
		g.day += market.Day([]int{0, 0, 1, 2, 3, 5, 10, 15, 29, 30, 31, 60, 200}[g.IntN(13)])
		g.price *= 0.7 + g.Float64()*0.55
		events = append(events, g.event(len(events)))
	}
	return events
}

func (g *generator) event(i int) region.Event {
	a := g.accounts[g.IntN(len(g.accounts))]
	e := region.Event{ID: fmt.Sprintf("t%02d", i), Seq: int64(i), Day: g.day, Settle: g.day, Owner: a.owner, Account: a.id,
		AccountType: a.kind, Symbol: g.symbols[g.IntN(len(g.symbols))], Currency: g.home}
	switch lag := g.lag; {
	case lag > 0:
		e.Settle += market.Day(lag)
	case lag < 0:
		e.Settle += market.Day(g.IntN(3))
	}
	key := string(a.owner) + a.kind
	if g.isLots {
		key = string(a.id) + string(e.Symbol)
	}
	switch k := g.IntN(20); {
	case k < 8 || g.held[key] < 1e-9:
		e.Kind = region.Buy
		if g.IntN(5) == 0 {
			e.Kind = region.Drip
		}
		n := float64(1 + g.IntN(40))
		if g.IntN(4) == 0 {
			n = float64(1+g.IntN(4000)) / 1000
		}
		g.held[key] += n
		g.trade(&e, n)
		if g.isLots && g.IntN(6) == 0 {
			e.Order = "o" + strconv.Itoa(g.IntN(3))
		}
	case k < 16:
		e.Kind = region.Sell
		n := g.held[key]
		if g.IntN(3) > 0 {
			n = float64(1+g.IntN(int(n*1000)+1)) / 1000
		}
		n = min(n, g.held[key])
		g.held[key] -= n
		g.trade(&e, n)
	case k < 17 && g.splits:
		g.split(&e)
	case k < 18 && !g.isLots && a.kind == "taxable":
		e.Kind, e.ToAccount, e.ToAccountType = region.Contribute, a.id+"/tfsa", "tfsa"
		n := min(float64(1+g.IntN(5)), g.held[key])
		g.held[key] -= n
		g.trade(&e, n)
	default:
		e.Kind = []region.Kind{region.ROC, region.RICG, region.RIDiv, region.CGDiv}[g.IntN(4)]
		e.Amount = money.FromUnits(int64(g.IntN(20000)), 2)
	}
	return e
}

func (g *generator) split(e *region.Event) {
	e.Kind = region.Split
	e.Ratio = []money.Rat{money.RatInt(2), money.RatInt(3), money.RatOf(1, 3), money.RatOf(3, 2), money.RatOf(1, 7)}[g.IntN(5)]
	for key := range g.held { // multiplied alike, so the order does not matter
		if !g.isLots || strings.HasSuffix(key, string(e.Symbol)) {
			g.held[key] *= e.Ratio.Float()
		}
	}
}

// trade sets shares as a number of three decimals, and money.
func (g *generator) trade(e *region.Event, n float64) {
	thousandths := int64(n*1000 + 1e-6)
	if thousandths == 0 {
		thousandths = 1
	}
	e.Shares = money.RatOf(thousandths, 1000)
	e.Amount = money.FromUnits(int64(g.price*100), 2).MulRat(e.Shares)
	if g.IntN(3) == 0 {
		e.Commission = money.FromUnits(int64(g.IntN(1000)), 2)
	}
	if g.IntN(4) == 0 {
		e.Currency, e.FX = "EUR", money.FromUnits(int64(12000+g.IntN(4000)), 4)
		if g.IntN(2) == 0 {
			e.CommissionFX = money.FromUnits(int64(12000+g.IntN(4000)), 4)
		}
	}
}

// nameLots makes some sales name lots of their account that were bought before.
func (g *generator) nameLots(events []region.Event) {
	for i := range events {
		e := &events[i]
		if e.Kind != region.Sell || g.IntN(3) > 0 {
			continue
		}
		for j := range events[:i] {
			b := &events[j]
			if (b.Kind == region.Buy || b.Kind == region.Drip) && b.Account == e.Account && b.Symbol == e.Symbol && g.IntN(2) == 0 {
				e.Lots = []region.LotShares{{Lot: b.ID, Shares: money.MinRat(e.Shares, b.Shares)}}
			}
		}
	}
}

func pick(g *generator, values ...string) string { return values[g.IntN(len(values))] }

// setup draws settings and a scope.
func (g *generator) setup(t *testing.T) (*region.Rules, region.Scope, region.Settings) {
	name, o := "CA", region.Settings{}
	if g.isLots {
		name = "US"
		o.LotMethod, o.Tacking = pick(g, "fifo", "fifo", "named", "hifo", "lifo"), pick(g, "add_days", "add_days", "original_date")
		o.SameLotReplaces = g.IntN(4) == 0
	} else {
		o.Alloc, o.BScope = pick(g, "substituted", "substituted", "holdings"), pick(g, "all", "all", "acquirers")
		o.Orphan, o.ACBTiming = pick(g, "allow", "deny"), pick(g, "acquisition", "acquisition", "sale")
		o.DateBasis = pick(g, "settle", "settle", "trade")
	}
	o.IgnoreHousehold = g.IntN(6) == 0
	window := []int{30, 30, 30, 10, 61}[g.IntN(5)]
	o.WindowDays = &window
	rules, err := region.Load(name)
	if err == nil {
		rules, err = rules.With(o)
	}
	if err != nil {
		t.Fatal(err)
	}
	s := region.Scope{Identical: map[market.Symbol]string{"XYZ": "XYZ", "XYZ.U": "XYZ"}}
	if g.IntN(2) == 0 {
		s.Outside = []portfolio.OwnerID{"kid"}
	}
	return rules, s, o
}

// inOrder sorts events as the rules of the country count them.
func inOrder(events []region.Event, basis string) []region.Event {
	sorted := slices.Clone(events)
	slices.SortStableFunc(sorted, func(a, b region.Event) int {
		if basis == "settle" && a.Settle != b.Settle {
			return int(a.Settle - b.Settle)
		}
		return int(a.Day-b.Day) + int(a.Seq-b.Seq)*btoi(a.Day == b.Day)
	})
	return sorted
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func close9(got money.Dec, want *big.Rat) bool {
	d := new(big.Rat).Sub(bigDec(got), want)
	return d.Abs(d).Cmp(big.NewRat(1, 1e8)) <= 0
}

func dump(events []region.Event) string {
	var b strings.Builder
	for _, e := range events {
		text, _ := json.Marshal(e)
		b.Write(text)
		b.WriteByte('\n')
	}
	return b.String()
}

func orZero(r *big.Rat) *big.Rat {
	if r == nil {
		return num(0)
	}
	return r
}

func TestPoolsAgreeWithReference(t *testing.T) {
	compared := 0
	n := histories(t)
	for seed := range uint64(n) {
		g := newGenerator(seed, false)
		rules, scope, o := g.setup(t)
		events := g.history()
		if g.lag < 0 { // splits settle on their day
			for i := range events {
				if events[i].Kind == region.Split {
					events[i].Settle = events[i].Day
				}
			}
		}
		ref := poolReference{events: inOrder(events, o.DateBasis), refSettings: refSettings{alloc: o.Alloc, bScope: o.BScope,
			orphan: o.Orphan, timing: o.ACBTiming, basis: o.DateBasis, window: *o.WindowDays, alone: o.IgnoreHousehold,
			outside: map[string]bool{}}}
		for _, owner := range scope.Outside {
			ref.outside[string(owner)] = true
		}
		want := ref.read()
		b, err := region.Trace(rules, scope, events)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if want.isOver {
			continue
		}
		compared++
		if diff := comparePools(b, &want); diff != "" {
			t.Fatalf("seed %d, settings %+v, outside %v: %s\n%s", seed, o, scope.Outside, diff, dump(ref.events))
		}
	}
	if compared < n/2 {
		t.Errorf("compared %d of %d histories, want at least half", compared, n)
	}
}

func comparePools(b *region.Book, want *refBook) string {
	sales := b.Sales()
	if len(sales) != len(want.sales) {
		return fmt.Sprintf("%d sales, want %d", len(sales), len(want.sales))
	}
	for _, s := range sales {
		w := want.sales[s.Event]
		if w == nil {
			return "sale " + s.Event + " is not in the reference"
		}
		for _, f := range []struct {
			name string
			got  money.Dec
			want *big.Rat
		}{{"proceeds", s.Proceeds, w.proceeds}, {"cost", s.Cost, w.cost}, {"gross", s.Gross, w.gross},
			{"denied", s.Denied, w.denied}, {"lost", s.Lost, w.lost}, {"gain", s.Gain, w.gain}} {
			if !close9(f.got, f.want) {
				return fmt.Sprintf("sale %s: %s = %s, want %s", s.Event, f.name, f.got, f.want.FloatString(9))
			}
		}
		if s.Kind == region.Sell && w.gross.Sign() < 0 && (s.Bought.Big().Cmp(w.bought) != 0 || s.Held.Big().Cmp(w.held) != 0) {
			return fmt.Sprintf("sale %s: P %s B %s, want %s %s", s.Event, s.Bought, s.Held, w.bought.RatString(), w.held.RatString())
		}
		if diff := compareTo(&s, w); diff != "" {
			return diff
		}
	}
	for _, p := range b.Pools() {
		name := string(p.Owner) + "|" + string(p.Account)
		if p.Shares.Big().Cmp(want.shares[name]) != 0 || !p.Sheltered && !close9(p.Cost, want.cost[name]) {
			return fmt.Sprintf("pool %s: %s shares, cost %s, want %s, %s", name, p.Shares, p.Cost,
				want.shares[name].RatString(), want.cost[name].FloatString(9))
		}
	}
	return compareYears(b, want)
}

func compareTo(s *region.SaleOutcome, w *refSale) string {
	if len(s.To) != len(w.to) {
		return fmt.Sprintf("sale %s: denied to %v, want %v", s.Event, s.To, w.to)
	}
	for _, d := range s.To {
		if amount := w.to[string(d.Owner)+"|"+string(d.Account)]; amount == nil || !close9(d.Amount, amount) {
			return fmt.Sprintf("sale %s: %s to %s|%s, want %v", s.Event, d.Amount, d.Owner, d.Account, amount)
		}
	}
	return ""
}

func compareYears(b *region.Book, want *refBook) string {
	got := map[int]region.YearTotals{}
	for _, y := range b.Years() {
		sum := got[y.Year]
		sum.Gains, sum.Losses = sum.Gains.Add(y.Gains), sum.Losses.Add(y.Losses)
		sum.Denied, sum.Lost = sum.Denied.Add(y.Denied), sum.Lost.Add(y.Lost)
		got[y.Year] = sum
	}
	for year, w := range want.years {
		y := got[year]
		if !close9(y.Gains, w["gains"]) || !close9(y.Losses, w["losses"]) || !close9(y.Denied, w["denied"]) || !close9(y.Lost, w["lost"]) {
			return fmt.Sprintf("year %d: %+v, want %v", year, y, w)
		}
	}
	return ""
}

func TestLotsAgreeWithReference(t *testing.T) {
	compared := 0
	n := histories(t)
	for seed := range uint64(n) {
		g := newGenerator(seed, true)
		rules, scope, o := g.setup(t)
		events := g.history()
		g.nameLots(events)
		ref := lotReference{events: inOrder(events, "trade"), method: o.LotMethod, tacking: o.Tacking, sameLot: o.SameLotReplaces,
			window: *o.WindowDays, alone: o.IgnoreHousehold, outside: map[string]bool{}}
		for _, owner := range scope.Outside {
			ref.outside[string(owner)] = true
		}
		ref.read()
		b, err := region.Trace(rules, scope, events)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if ref.isOver {
			continue
		}
		compared++
		if diff := compareLots(b, &ref); diff != "" {
			t.Fatalf("seed %d, settings %+v, outside %v: %s\n%s", seed, o, scope.Outside, diff, dump(ref.events))
		}
	}
	if compared < n/2 {
		t.Errorf("compared %d of %d histories, want at least half", compared, n)
	}
}

// line is a part or a lot for a comparison without order.
type line struct {
	key    string
	values []*big.Rat
}

func newLine(values []*big.Rat, key ...string) line { return line{strings.Join(key, " "), values} }

func (l line) String() string {
	text := l.key
	for _, v := range l.values {
		text += " " + v.FloatString(9)
	}
	return text
}

// compare orders lines; values within the tolerance are equal.
func (l line) compare(m line) int {
	if l.key != m.key {
		return strings.Compare(l.key, m.key)
	}
	for i := range l.values {
		d := new(big.Rat).Sub(l.values[i], m.values[i])
		if new(big.Rat).Abs(d).Cmp(big.NewRat(1, 1e8)) > 0 {
			return d.Sign()
		}
	}
	return 0
}

// sameLines sorts both and says how they differ.
func sameLines(what string, got, want []line) string {
	slices.SortFunc(got, line.compare)
	slices.SortFunc(want, line.compare)
	if slices.EqualFunc(got, want, func(a, b line) bool { return a.compare(b) == 0 }) {
		return ""
	}
	return fmt.Sprintf("%s:\n got %v\nwant %v", what, got, want)
}

func compareLots(b *region.Book, ref *lotReference) string {
	for _, s := range b.Sales() {
		var got, want []line
		for _, p := range s.Parts {
			values := []*big.Rat{p.Shares.Big(), bigDec(p.Proceeds), bigDec(p.Cost), bigDec(p.Denied), bigDec(p.Lost)}
			got = append(got, newLine(values, p.Lot, string(p.Term), p.ReplacedBy, p.Start.String()))
		}
		for _, p := range ref.sales[s.Event] {
			values := []*big.Rat{p.shares, p.proceeds, p.basis, p.denied, p.lost}
			want = append(want, newLine(values, p.lot, p.term, p.by, p.start.Format("2006-01-02")))
		}
		if diff := sameLines("sale "+s.Event, got, want); diff != "" {
			return diff
		}
	}
	if diff := compareHeld(b, ref); diff != "" {
		return diff
	}
	st, lt := map[int]money.Dec{}, map[int]money.Dec{}
	for _, y := range b.Years() {
		st[y.Year], lt[y.Year] = st[y.Year].Add(y.ST), lt[y.Year].Add(y.LT)
	}
	for year := 2023; year < 2040; year++ {
		if !close9(st[year], orZero(ref.st[year])) || !close9(lt[year], orZero(ref.lt[year])) {
			return fmt.Sprintf("year %d: ST %s LT %s, want %v %v", year, st[year], lt[year], ref.st[year], ref.lt[year])
		}
	}
	return ""
}

func compareHeld(b *region.Book, ref *lotReference) string {
	var got, want []line
	seen := map[portfolio.AccountID]bool{}
	for _, s := range b.Seats() {
		if seen[s.Account] {
			continue
		}
		seen[s.Account] = true
		for _, h := range b.Holdings(s.Account) {
			got = append(got, newLine([]*big.Rat{h.Shares.Big(), bigDec(h.Cost)}, h.Lot, string(s.Account), h.Acquired.String(), h.Start.String()))
		}
	}
	for _, p := range ref.pieces {
		if p.shares.Sign() > 0 {
			want = append(want, newLine([]*big.Rat{p.shares, p.basis}, p.lot, p.account, p.acquired.Format("2006-01-02"), p.start.Format("2006-01-02")))
		}
	}
	return sameLines("lots", got, want)
}
