package region_test

import (
	"slices"
	"strings"
	"testing"

	"daybreak/money"
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
