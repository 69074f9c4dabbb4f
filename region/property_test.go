package region_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/region"
)

// view is what a book says, as text: holdings, years, purchases and the sales that can still change.
func view(b *region.Book, from market.Day) string {
	var v struct {
		Holdings  map[portfolio.AccountID][]region.Holding
		Years     []region.YearTotals
		Purchases []region.Movement
		Losses    []region.Movement
		Sales     []region.SaleOutcome
	}
	v.Holdings = map[portfolio.AccountID][]region.Holding{}
	for _, a := range slices.Concat(poolAccounts, lotAccounts) {
		v.Holdings[a.id] = b.Holdings(a.id)
		for _, sheltered := range []portfolio.AccountID{a.id + "/tfsa"} {
			v.Holdings[sheltered] = b.Holdings(sheltered)
		}
	}
	for _, y := range b.Years() {
		if y != (region.YearTotals{Owner: y.Owner, Year: y.Year}) {
			v.Years = append(v.Years, y)
		}
	}
	v.Purchases = b.Purchases("XYZ", from, market.NewDay(2100, 1, 1))
	v.Losses = b.LossSales("XYZ", from, market.NewDay(2100, 1, 1))
	for _, s := range b.Sales() {
		if s.Day >= from {
			v.Sales = append(v.Sales, s)
		}
	}
	text, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// cutHistory folds a history through checkpoints on the days of cuts, each written and read as JSON.
func cutHistory(rules *region.Rules, scope region.Scope, events []region.Event, cuts []market.Day) (*region.Book, error) {
	var c region.Checkpoint
	done := market.NoDay
	for _, cut := range append(slices.Clone(cuts), market.NewDay(2200, 1, 1)) {
		var part []region.Event
		for _, e := range events {
			if d := rules.TaxDay(e.Day, e.Settle); d > done && d <= cut {
				part = append(part, e)
			}
		}
		b, err := region.Fold(rules, scope, c, part)
		if err != nil || cut.Year() == 2200 {
			return b, err
		}
		text, err := json.Marshal(b.Checkpoint(cut))
		if err != nil {
			return nil, err
		}
		c = region.Checkpoint{}
		if err := json.Unmarshal(text, &c); err != nil {
			return nil, fmt.Errorf("%s: %w", text, err)
		}
		done = cut
	}
	return nil, errors.New("no last part")
}

func TestFoldFromCheckpointIsFoldFromTheBeginning(t *testing.T) {
	for _, name := range []string{"CA", "US", "UK"} {
		for seed := range uint64(histories(t)) {
			g := newGenerator(seed, name == "US")
			rules, scope, _ := g.setup(t)
			if name == "UK" {
				rules, g.home = load(t, "UK"), "GBP"
			}
			events := g.history()
			if g.isLots {
				g.nameLots(events)
			}
			g.addRareFacts(events)
			var cuts []market.Day
			for range 1 + g.IntN(3) {
				cuts = append(cuts, events[g.IntN(len(events))].Day+market.Day(g.IntN(40)))
			}
			slices.Sort(cuts)
			whole, err := region.Fold(rules, scope, region.Checkpoint{}, events)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			parts, err := cutHistory(rules, scope, events, cuts)
			if err != nil {
				t.Fatalf("%s seed %d: %v", name, seed, err)
			}
			from := cuts[len(cuts)-1] + 1
			if got, want := view(parts, from), view(whole, from); got != want {
				t.Fatalf("%s seed %d, cuts %v, rules %s: %s\n%s", name, seed, cuts, rules.Fingerprint(), firstDifference(got, want), dump(events))
			}
		}
	}
}

// addRareFacts turns some sales into transfers between accounts or to outside, some purchases into
// transfers from outside, and makes some sales fills of one order.
func (g *generator) addRareFacts(events []region.Event) {
	for i := range events {
		e := &events[i]
		switch k := g.IntN(12); {
		case e.Kind == region.Sell && k < 2:
			a := g.accounts[g.IntN(len(g.accounts))]
			e.Kind, e.Order, e.Lots = region.Transfer, "", nil
			if a.owner == e.Owner {
				e.ToAccount, e.ToAccountType = a.id, a.kind
			}
		case e.Kind == region.Sell && k < 6:
			e.Order = "s" + string(e.Account)
		case e.Kind == region.Buy && k < 2:
			e.Kind, e.ToAccount, e.ToAccountType, e.Account = region.Transfer, e.Account, e.AccountType, ""
			e.Acquired = e.Day - market.Day([]int{0, 5, 29, 30, 31, 400}[g.IntN(6)])
		}
	}
}

func firstDifference(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	from := max(0, i-12)
	show := func(s []string) string { return strings.Join(s[min(from, len(s)):min(len(s), i+6)], "\n") }
	return "got …\n" + show(a) + "\nwant …\n" + show(b) + "\n"
}

func load(t testing.TB, name string) *region.Rules {
	t.Helper()
	r, err := region.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestConservation: what was put in, less what came out, is what was gained less what is left; a
// loss that is gone is gone. It holds to the last digit, whatever was oversold, split or denied.
func TestConservation(t *testing.T) {
	for _, name := range []string{"CA", "US", "UK"} {
		for seed := range uint64(histories(t)) {
			g := newGenerator(seed, name == "US")
			rules, scope, _ := g.setup(t)
			if name == "UK" {
				rules, g.home = load(t, "UK"), "GBP"
			}
			events := g.history()
			if g.isLots { // nothing to join where the account holds no lot
				events = slices.DeleteFunc(events, func(e region.Event) bool { return e.Kind == region.RIDiv || e.Kind == region.RICG })
			}
			b, err := region.Fold(rules, scope, region.Checkpoint{}, events)
			if err != nil {
				t.Fatal(err)
			}
			if slices.ContainsFunc(b.Issues(), func(i region.Issue) bool { return i.Code == region.Oversold }) {
				continue // the oversold part waits outside the sum
			}
			if left := conserved(rules, b, events); !left.IsZero() {
				t.Fatalf("%s seed %d: %s is left over\n%s", name, seed, left, dump(events))
			}
			checkSales(t, seed, b)
		}
	}
}

// conserved returns gains − cash out + cash in … of the taxable accounts, which must be zero:
// proceeds − costs paid + cost left = gains − distributions taken from or added to cost.
func conserved(rules *region.Rules, b *region.Book, events []region.Event) money.Dec {
	var sum money.Dec
	for _, s := range b.Sales() {
		sum = sum.Sub(s.Proceeds)
	}
	for i := range events {
		e := &events[i]
		if rules.Shelters(e.AccountType) {
			continue
		}
		fx := e.FX
		if fx.IsZero() {
			fx = money.One
		}
		commissionFX := e.CommissionFX
		if commissionFX.IsZero() {
			commissionFX = fx
		}
		amount := e.Amount.Mul(fx)
		switch e.Kind {
		case region.Buy, region.Drip:
			sum = sum.Add(amount).Add(e.Commission.Mul(commissionFX))
		case region.ROC:
			sum = sum.Sub(amount)
		case region.RIDiv:
			sum = sum.Add(amount)
		case region.CGDiv:
			sum = sum.Sub(amount)
		}
	}
	for _, y := range b.Years() {
		sum = sum.Add(y.Net()).Sub(y.Lost)
	}
	seen := map[portfolio.AccountID]bool{}
	for _, p := range b.Pools() {
		if !p.Sheltered {
			sum = sum.Sub(p.Cost)
		}
	}
	if len(b.Pools()) > 0 {
		return sum
	}
	for _, s := range b.Seats() {
		if seen[s.Account] || s.Sheltered {
			continue
		}
		seen[s.Account] = true
		for _, h := range b.Holdings(s.Account) {
			sum = sum.Sub(h.Cost)
		}
	}
	return sum
}

func checkSales(t *testing.T, seed uint64, b *region.Book) {
	t.Helper()
	for _, s := range b.Sales() {
		var sum money.Dec
		for _, d := range s.To {
			sum = sum.Add(d.Amount)
		}
		if len(s.To) > 0 && sum != s.Denied {
			t.Fatalf("seed %d: sale %s: %s of %s denied went somewhere", seed, s.Event, sum, s.Denied)
		}
		loss := money.Max(s.Gross.Neg(), money.Zero)
		if len(s.Parts) > 0 {
			loss = money.Zero
			for _, p := range s.Parts {
				loss = loss.Add(money.Max(p.Gross.Neg(), money.Zero))
			}
		}
		if s.Denied.Sign() < 0 || loss.Less(s.Denied) || s.Denied.Less(s.Lost) || s.Gain != s.Gross.Add(s.Denied) {
			t.Fatalf("seed %d: sale %s: gross %s denied %s lost %s gain %s", seed, s.Event, s.Gross, s.Denied, s.Lost, s.Gain)
		}
	}
}

// TestOrderOfInputChangesNothing: events come in any order, others' symbols and owners beside them.
func TestOrderOfInputChangesNothing(t *testing.T) {
	for _, name := range []string{"CA", "US", "UK"} {
		for seed := range uint64(300) {
			g := newGenerator(seed, name == "US")
			rules, scope, _ := g.setup(t)
			if name == "UK" {
				rules, g.home = load(t, "UK"), "GBP"
			}
			scope.Outside = []portfolio.OwnerID{"kid", "stranger"}
			events := g.history()
			g.addRareFacts(events)
			b, err := region.Fold(rules, scope, region.Checkpoint{}, events)
			if err != nil {
				t.Fatal(err)
			}
			more := slices.Clone(events)
			for i, e := range events {
				other, stranger := e, e
				other.ID, other.Symbol, other.Owner = e.ID+"-other", "OTHER", "stranger"
				stranger.ID, stranger.Owner = e.ID+"-stranger", "stranger"
				for _, a := range []*portfolio.AccountID{&stranger.Account, &stranger.ToAccount} {
					if *a != "" {
						*a = "stranger/" + *a
					}
				}
				stranger.Seq += int64(i)
				if e.Kind != region.Split {
					more = append(more, other, stranger)
				}
			}
			more = append(more, events[0]) // a second arrival of the same fact
			g.Shuffle(len(more), func(i, j int) { more[i], more[j] = more[j], more[i] })
			c, err := region.Fold(rules, scope, region.Checkpoint{}, more)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := ownView(c), ownView(b); got != want {
				t.Fatalf("%s seed %d: %s\n%s", name, seed, firstDifference(got, want), dump(events))
			}
		}
	}
}

// ownView is what a book says of the household without the stranger.
func ownView(b *region.Book) string {
	var v struct {
		Holdings [][]region.Holding
		Years    []region.YearTotals
		Sales    []region.SaleOutcome
	}
	for _, a := range slices.Concat(poolAccounts, lotAccounts) {
		var own []region.Holding
		for _, h := range b.Holdings(a.id) {
			if h.Symbol != "OTHER" {
				own = append(own, h)
			}
		}
		v.Holdings = append(v.Holdings, own)
	}
	for _, y := range b.Years() {
		if y.Owner != "stranger" && y != (region.YearTotals{Owner: y.Owner, Year: y.Year}) {
			v.Years = append(v.Years, y)
		}
	}
	for _, s := range b.Sales() {
		if s.Owner != "stranger" {
			v.Sales = append(v.Sales, s)
		}
	}
	text, _ := json.MarshalIndent(v, "", " ")
	return string(text)
}

// TestShareReplacesOnce: over a history, no lot replaces more shares than it had.
func TestShareReplacesOnce(t *testing.T) {
	for seed := range uint64(histories(t)) {
		g := newGenerator(seed, true)
		g.splits = false
		rules, scope, _ := g.setup(t)
		events := slices.DeleteFunc(g.history(), func(e region.Event) bool { return e.Kind == region.Split })
		b, err := region.Fold(rules, scope, region.Checkpoint{}, events)
		if err != nil {
			t.Fatal(err)
		}
		left := map[string]*big.Rat{}
		for _, e := range events {
			left[e.ID] = e.Shares.Big()
		}
		for _, s := range b.Sales() {
			for _, p := range s.Parts {
				if p.ReplacedBy == "" {
					continue
				}
				left[p.ReplacedBy] = minus(left[p.ReplacedBy], p.Shares.Big())
				if left[p.ReplacedBy].Sign() < 0 {
					t.Fatalf("seed %d: lot %s replaces more than it had\n%s", seed, p.ReplacedBy, dump(events))
				}
			}
		}
	}
}
