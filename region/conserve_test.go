package region_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/region"
)

// TestBooksKeepTheirSums: over random histories with transfers, oversold sales, splits, orders and
// distributions, nothing is made or lost, no denial is above its loss, and a share replaces once.
func TestBooksKeepTheirSums(t *testing.T) {
	for _, name := range []string{"CA", "US", "UK"} {
		for seed := range uint64(histories(t)) {
			g := newGenerator(seed, name == "US")
			rules, scope, _ := g.setup(t)
			if name == "UK" {
				rules, g.home = load(t, "UK"), "GBP"
			}
			events := g.history()
			if seed%2 == 1 {
				g.addRareFacts(events)
			}
			b, err := region.Fold(rules, scope, region.Checkpoint{}, events)
			if err != nil {
				t.Fatal(err)
			}
			if broken := b.Violations(); len(broken) > 0 {
				t.Fatalf("%s seed %d: Violations() = %q, want none\n%s", name, seed, broken, dump(events))
			}
		}
	}
}

// TestConserve reads the sums of a history with every kind of money.
func TestConserve(t *testing.T) {
	events := trades(
		"2023-01-05", region.Buy, "10", "100",
		"2023-03-06", region.Sell, "4", "75",
	)
	ri, roc, out := events[0], events[0], events[0]
	ri.ID, ri.Kind, ri.Day, ri.Settle, ri.Shares, ri.Amount = "ri", region.RIDiv, events[0].Day+1, 0, money.Rat{}, money.FromInt(50)
	roc.ID, roc.Kind, roc.Day, roc.Settle, roc.Shares, roc.Amount = "roc", region.ROC, events[0].Day+2, 0, money.Rat{}, money.FromInt(150)
	out.ID, out.Kind, out.Day, out.Settle, out.Shares, out.Amount = "out", region.Transfer, events[1].Day+60, 0, money.RatInt(2), money.Zero
	b := mustFold(t, "CA", slices.Concat(events, []region.Event{ri, roc, out}))
	got := b.Conserve()
	want := region.Conservation{Property: string(events[0].Symbol), Gains: money.FromInt(-60), Paid: money.FromInt(1050),
		Received: money.FromInt(300 + 150 + 180), Left: money.FromInt(360)}
	if len(got) != 1 || got[0] != want || !got[0].Gap().IsZero() {
		t.Errorf("Conserve() = %+v, want %+v", got, want)
	}
	want.Left = money.FromInt(361)
	if gap := want.Gap(); gap != money.FromInt(-1) {
		t.Errorf("Gap() = %s, want -1", gap)
	}
	if broken := b.Violations(); len(broken) != 0 {
		t.Errorf("Violations() = %s, want none", strings.Join(broken, "; "))
	}
}

// TestTransferOfMoreThanIsHeld: shares that a transfer lacked take their part, and its cost, of the next
// purchase, whether the book is folded from the beginning or from a checkpoint between the two.
func TestTransferOfMoreThanIsHeld(t *testing.T) {
	for _, c := range []struct{ region, sheltered string }{{"CA", "rrsp"}, {"US", "ira"}, {"UK", "isa"}} {
		rules := load(t, c.region)
		for _, kind := range []string{"taxable", c.sheltered} {
			cost := "300"
			if kind == "isa" { // whose shares have no cost for tax
				cost = "0"
			}
			event := func(k region.Kind, day string, shares, amount int64) region.Event {
				d := market.MustDay(day)
				return region.Event{ID: string(k) + day, Kind: k, Day: d, Settle: d, Owner: "me", Account: "me/1", AccountType: kind,
					Symbol: "XYZ", Shares: money.RatInt(shares), Amount: money.FromInt(amount), Currency: rules.Home}
			}
			out := event(region.Transfer, "2024-02-01", 15, 0)
			events := []region.Event{event(region.Buy, "2024-01-03", 10, 100), out, event(region.Buy, "2024-03-04", 20, 400)}
			whole, err := region.Fold(rules, region.Scope{}, region.Checkpoint{}, events)
			if err != nil {
				t.Fatal(err)
			}
			parts, err := cutHistory(rules, region.Scope{}, events, []market.Day{market.MustDay("2024-02-15")})
			if err != nil {
				t.Fatal(err)
			}
			for name, b := range map[string]*region.Book{"whole": whole, "from a checkpoint": parts} {
				h := b.Holdings("me/1")
				if len(h) != 1 || !h[0].Shares.Equal(money.RatInt(15)) || h[0].Cost.String() != cost {
					t.Errorf("%s %s, %s: holdings = %+v, want 15 shares that cost %s", c.region, kind, name, h, cost)
				}
			}
			if all := whole.Violations(); len(all) > 0 {
				t.Errorf("%s %s: violations = %v, want none", c.region, kind, all)
			}
			if got, want := fmt.Sprint(whole.Issues()), fmt.Sprint([]region.Issue{{Event: out.ID, Code: region.Oversold}}); got != want {
				t.Errorf("%s %s: issues = %s, want %s", c.region, kind, got, want)
			}
		}
	}
}

// TestSplitWhileSalesWait: a split between an oversold sale and the purchase that covers it changes
// neither what waits nor what is covered.
func TestSplitWhileSalesWait(t *testing.T) {
	for _, name := range []string{"CA", "US", "UK"} {
		rules := load(t, name)
		event := func(k region.Kind, day string, shares, amount int64) region.Event {
			d := market.MustDay(day)
			return region.Event{ID: string(k) + day, Kind: k, Day: d, Settle: d, Owner: "me", Account: "me/1", AccountType: "taxable",
				Symbol: "XYZ", Shares: money.RatInt(shares), Amount: money.FromInt(amount), Currency: rules.Home}
		}
		split := event(region.Split, "2024-01-10", 0, 0)
		split.Ratio = money.RatInt(2)
		events := []region.Event{event(region.Buy, "2023-06-01", 10, 100), event(region.Sell, "2024-01-05", 20, 400), split,
			event(region.Buy, "2024-04-01", 12, 120), event(region.Buy, "2024-06-03", 12, 120)}
		for cover, want := range []string{"10", "4", "0"} {
			b, err := region.Fold(rules, region.Scope{}, region.Checkpoint{}, events[:3+cover])
			if err != nil {
				t.Fatal(err)
			}
			if s := b.Sales()[0]; s.Oversold.String() != want {
				t.Errorf("%s: oversold after %d purchases = %s, want %s of 20", name, cover, s.Oversold, want)
			}
		}
		whole, err := region.Fold(rules, region.Scope{}, region.Checkpoint{}, events)
		if err != nil {
			t.Fatal(err)
		}
		if s := whole.Sales()[0]; s.Cost.String() != "300" || s.Gain.String() != "100" {
			t.Errorf("%s: covered sale costs %s, gains %s, want 100 + 20 shares at 10, and 100", name, s.Cost, s.Gain)
		}
		parts, err := cutHistory(rules, region.Scope{}, events, []market.Day{market.MustDay("2024-05-01")})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := fmt.Sprint(parts.Years()), fmt.Sprint(whole.Years()); got != want {
			t.Errorf("%s: years from a checkpoint = %s, want %s", name, got, want)
		}
	}
}

// TestCheckpointKeepsALoneSplit: a trade from before a split may count only after it, when the split is
// all that a checkpoint knows of the property.
func TestCheckpointKeepsALoneSplit(t *testing.T) {
	rules := load(t, "CA")
	event := func(k region.Kind, seq int64, settle string) region.Event {
		return region.Event{ID: string(k), Kind: k, Day: market.MustDay("2023-02-15"), Settle: market.MustDay(settle), Seq: seq, Owner: "me", Account: "me/1",
			AccountType: "taxable", Symbol: "XYZ", Currency: rules.Home}
	}
	bought, split := event(region.Buy, 0, "2023-02-17"), event(region.Split, 1, "2023-02-16")
	bought.Shares, bought.Amount, split.Ratio = money.RatInt(6), money.FromInt(60), money.RatInt(2)
	b, err := cutHistory(rules, region.Scope{}, []region.Event{bought, split}, []market.Day{market.MustDay("2023-02-16")})
	if err != nil {
		t.Fatal(err)
	}
	if h := b.Holdings("me/1"); len(h) != 1 || !h[0].Shares.Equal(money.RatInt(12)) {
		t.Errorf("holdings = %+v, want 12 shares of 6 bought before the split", h)
	}
}

// TestCheckpointKeepsAnOrderTogether: the losses of an order's fills find their replacements at its last
// fill, so no checkpoint parts them, whatever happened in between.
func TestCheckpointKeepsAnOrderTogether(t *testing.T) {
	rules := load(t, "US")
	event := func(k region.Kind, day string, seq int64, a account) region.Event {
		d := market.MustDay(day)
		return region.Event{ID: fmt.Sprint(k, seq), Kind: k, Day: d, Settle: d, Seq: seq, Owner: a.owner, Account: a.id, AccountType: a.kind, Symbol: "XYZ",
			Currency: rules.Home}
	}
	trade := func(e region.Event, shares, amount int64, order string) region.Event {
		e.Shares, e.Amount, e.Order = money.RatInt(shares), money.FromInt(amount), order
		return e
	}
	me, kid := account{"me", "me/1", "taxable"}, account{"kid", "kid/1", "taxable"}
	events := []region.Event{
		trade(event(region.Buy, "2023-06-05", 0, kid), 5, 100, ""), trade(event(region.Buy, "2023-06-20", 1, me), 30, 600, ""),
		trade(event(region.Buy, "2023-07-03", 2, account{"me", "me/2", "taxable"}), 40, 400, ""), trade(event(region.Sell, "2023-07-13", 3, me), 20, 300, "o"),
		trade(event(region.Sell, "2023-07-13", 4, kid), 5, 60, ""), trade(event(region.Sell, "2023-07-13", 5, me), 10, 120, "o"),
	}
	scope := region.Scope{Circle: []portfolio.Owner{{ID: "me", From: market.MustDay("2000-01-01"), To: market.NoDay}}}
	whole, err := region.Fold(rules, scope, region.Checkpoint{}, events)
	if err != nil {
		t.Fatal(err)
	}
	parts, err := cutHistory(rules, scope, events, []market.Day{market.MustDay("2023-07-13")})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(parts.Holdings("me/2")), fmt.Sprint(whole.Holdings("me/2")); got != want {
		t.Errorf("replacement shares from a checkpoint = %s, want %s", got, want)
	}
}
