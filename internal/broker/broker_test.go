package broker

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"daybreak/fills"
	"daybreak/market"
	"daybreak/money"
	"daybreak/orders"
	"daybreak/pipeline"
	"daybreak/portfolio"
)

// topic is a publisher that keeps what it gets.
type topic struct{ records []pipeline.Record }

func (p *topic) Publish(_ context.Context, records []pipeline.Record) error {
	p.records = append(p.records, records...)
	return nil
}

func (p *topic) Partitions(context.Context, string) (int32, error) { return 96, nil }

type codec struct{}

func (codec) Encode(e fills.Execution) ([]byte, error) { return json.Marshal(e) }
func (codec) Decode([]byte) (fills.Execution, error)   { return fills.Execution{}, nil }

func order(n int) pipeline.BrokerOrder {
	session := market.MustDay("2020-03-16")
	o := pipeline.BrokerOrder{RoutingKey: "H1", Exchange: "XNYS", Order: orders.Order{
		ID: orders.NewID(session, "A1", "VTI", portfolio.Buy, n), Session: session, Household: "H1", Account: "A1", Symbol: "VTI",
		Side: portfolio.Buy, Quantity: money.MustParse("12.3456"), Currency: "USD", Price: money.MustParse("121.07"),
		LimitPrice: money.MustParse("121.67"), FX: money.One, PriceDay: session - 3}}
	return o
}

func TestSendTwicePublishesTheSame(t *testing.T) {
	p := &topic{}
	b := NewSimulated(p, codec{}, Settings{Seed: 1})
	for range 2 {
		if err := b.Send(t.Context(), []pipeline.BrokerOrder{order(1), order(2)}); err != nil {
			t.Fatal(err)
		}
	}
	half := len(p.records) / 2
	if half < 4 || !reflect.DeepEqual(p.records[:half], p.records[half:]) {
		t.Errorf("Send twice published %d records that differ", len(p.records))
	}
	if got, want := p.records[0].Partition, pipeline.Partition("H1", 96); got != want {
		t.Errorf("partition = %d, want %d", got, want)
	}
	if h := p.records[0].Headers; len(h) != 1 || h[0].Key != pipeline.HeaderRoutingKey || string(h[0].Value) != "H1" {
		t.Errorf("headers = %v, want the routing key", h)
	}
}

func TestExecutionsOfManyOrders(t *testing.T) {
	b := NewSimulated(&topic{}, codec{}, Settings{Seed: 7})
	rejects, byParts := 0, map[int]int{}
	for n := range 10_000 {
		all, err := b.Executions(order(n))
		if err != nil {
			t.Fatal(err)
		}
		if all[0].Type == fills.Rejected {
			rejects++
			continue
		}
		byParts[len(all)-1]++
	}
	if rejects < 25 || rejects > 75 {
		t.Errorf("%d of 10,000 orders are rejected, want about 50", rejects)
	}
	for n := 1; n <= 4; n++ {
		if byParts[n] < 2_000 {
			t.Errorf("%d of 10,000 orders fill in %d parts, want about 2,500", byParts[n], n)
		}
	}
}

// TestExecutionsFillTheOrder checks that parts sum to the quantity, that prices keep the limit and
// the spread, and that ids and days are as the book needs them.
func TestExecutionsFillTheOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := order(rapid.IntRange(1, 1e6).Draw(t, "sequence"))
		o.Quantity = money.FromUnits(rapid.Int64Range(1, 1e7).Draw(t, "quantity"), rapid.SampledFrom([]int{0, 4}).Draw(t, "places"))
		o.Price = money.FromUnits(rapid.Int64Range(1, 1e6).Draw(t, "price"), 2)
		o.Side = rapid.SampledFrom([]portfolio.Side{portfolio.Buy, portfolio.Sell}).Draw(t, "side")
		o.LimitPrice = orders.LimitPrice(o.Price, o.Side, orders.DefaultLimits.Collar)
		all, err := NewSimulated(&topic{}, codec{}, Settings{RejectRate: money.FromInt(-1)}).Executions(o)
		if err != nil {
			t.Fatal(err)
		}
		sum, seen := money.Zero, map[string]bool{}
		for i, e := range all {
			if (i == 0) != (e.Type == fills.New) || seen[e.ExecID] {
				t.Fatalf("execution %d is %s %s, want one acknowledgement and then fills of ids of their own", i, e.Type, e.ExecID)
			}
			seen[e.ExecID] = true
			if e.SettleDate != market.MustDay("2020-03-18") || i > 0 && !all[i-1].BrokerTime.Before(e.BrokerTime) {
				t.Fatalf("execution %d settles on %s at %s, want 2020-03-18 and times that rise", i, e.SettleDate, e.BrokerTime)
			}
			if i == 0 {
				continue
			}
			sum = sum.Add(e.Quantity)
			away := e.Price.Sub(o.Price).Abs()
			if e.Quantity.Sign() <= 0 || e.Price.Sign() <= 0 || o.Price.Mul(DefaultSettings.Spread).Add(money.MustParse("0.0001")).Less(away) {
				t.Fatalf("fill of %s at %s, want a price near %s", e.Quantity, e.Price, o.Price)
			}
			if o.Side == portfolio.Buy && o.LimitPrice.Less(e.Price) || o.Side == portfolio.Sell && e.Price.Less(o.LimitPrice) {
				t.Fatalf("fill at %s, past the limit %s", e.Price, o.LimitPrice)
			}
		}
		if sum != o.Quantity {
			t.Fatalf("fills sum to %s, want %s", sum, o.Quantity)
		}
	})
}

func ExampleSimulated_Executions() {
	b := NewSimulated(&topic{}, codec{}, Settings{Seed: 1})
	all, err := b.Executions(order(1))
	if err != nil {
		panic(err)
	}
	fmt.Println(all[0].Type == fills.New, all[1].Type == fills.Trade)
	// Output: true true
}
