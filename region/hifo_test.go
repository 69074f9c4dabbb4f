package region_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"daybreak/market"
	"daybreak/money"
	"daybreak/region"
)

// boughtAndSold is a history of n purchases at prices that wander, then a sale of one share of each.
func boughtAndSold(n int) []region.Event {
	g := rand.New(rand.NewPCG(1012, 1))
	var events []region.Event
	for i := range 2 * n {
		e := region.Event{ID: fmt.Sprintf("t%06d", i), Seq: int64(i), Kind: region.Buy, Day: market.NewDay(2015, 1, 1) + market.Day(i/50),
			Owner: "me", Account: "me/1", AccountType: "taxable", Symbol: "XYZ", Shares: money.RatInt(1), Amount: money.FromUnits(1000+int64(g.IntN(5000)), 2)}
		if i >= n {
			e.Kind, e.Day, e.Amount = region.Sell, e.Day+100, money.FromInt(100)
		}
		e.Settle = e.Day
		events = append(events, e)
	}
	return events
}

func withMethod(t testing.TB, method string) *region.Rules {
	t.Helper()
	rules, err := region.Load("US")
	if err == nil {
		rules, err = rules.With(region.Settings{LotMethod: method})
	}
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func TestHighestFirst(t *testing.T) {
	b, err := region.Fold(withMethod(t, "hifo"), region.Scope{}, region.Checkpoint{}, boughtAndSold(3000))
	if err != nil {
		t.Fatal(err)
	}
	sales := b.Sales()
	for i := range sales[1:] {
		if before, now := sales[i].Cost, sales[i+1].Cost; before.Less(now) {
			t.Fatalf("sale %d takes a lot of %s after one of %s, want the highest first", i+1, now, before)
		}
	}
	if len(sales) != 3000 || len(b.Holdings("me/1")) != 0 {
		t.Errorf("%d sales, %d lots left, want 3000 and none", len(sales), len(b.Holdings("me/1")))
	}
}

// BenchmarkLotMethods reports the time of one purchase and its sale, which hardly grows with the lots.
func BenchmarkLotMethods(b *testing.B) {
	for _, method := range []string{"fifo", "hifo"} {
		for _, n := range []int{1000, 10000, 100000} {
			b.Run(fmt.Sprintf("%s/%d", method, n), func(b *testing.B) {
				rules, events := withMethod(b, method), boughtAndSold(n)
				for b.Loop() {
					if _, err := region.Fold(rules, region.Scope{}, region.Checkpoint{}, events); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/lot")
			})
		}
	}
}
