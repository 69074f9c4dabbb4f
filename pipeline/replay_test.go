package pipeline

import (
	"testing"

	"daybreak/market"
	"daybreak/money"
	"daybreak/orders"
	"daybreak/portfolio"
	"daybreak/rebalance"
)

func TestDifferNamesWhatChanged(t *testing.T) {
	t.Parallel()
	recorded := DecidedAccount{Outcome: "planned", Value: money.FromInt(100),
		Skipped: []rebalance.Reason{{Code: "IN_BAND", Symbol: "A"}, {Code: "LOCKED", Symbol: "B"}},
		Orders:  []orders.Export{{ID: "X", Quantity: money.FromInt(3)}, {ID: "Y", Quantity: money.FromInt(4)}},
	}
	now := recorded
	now.Skipped = []rebalance.Reason{{Code: "LOCKED", Symbol: "B"}, {Code: "RESTRICTED", Symbol: "A"}}
	now.Orders = []orders.Export{{ID: "Y", Quantity: money.FromInt(5)}}
	got, err := differ(recorded, now)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"/orders/X", "/orders/Y/quantity", "/skipped/A/code"}
	if len(got) != len(want) {
		t.Fatalf("differ() = %v, want paths %v", got, want)
	}
	for i := range want {
		if got[i].Path != want[i] {
			t.Errorf("difference %d is at %s, want %s", i, got[i].Path, want[i])
		}
	}
	if got, err := differ(recorded, recorded); err != nil || len(got) != 0 {
		t.Errorf("differ(a, a) = %v, %v, want none", got, err)
	}
}

func TestDiffOrders(t *testing.T) {
	t.Parallel()
	order := func(account, symbol string, shares int64) orders.Export {
		return orders.Export{Account: portfolio.AccountID(account), Security: market.Symbol(symbol), Side: "buy", Quantity: money.FromInt(shares), Reason: "R"}
	}
	a := []orders.Export{order("1", "A", 1), order("1", "B", 2), order("2", "A", 3)}
	b := []orders.Export{order("1", "B", 2), order("2", "A", 4), order("3", "A", 5)}
	var got []string
	for _, d := range diffOrders(a, b) {
		got = append(got, d.Change+" "+string(d.Account)+string(d.Security))
	}
	want := []string{"removed 1A", "changed 2A", "added 3A"}
	if len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("diffOrders(a, b) = %v, want %v", got, want)
	}
	if got := diffOrders(a, a); len(got) != 0 {
		t.Errorf("diffOrders(a, a) = %v, want none", got)
	}
}
