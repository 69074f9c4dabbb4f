// Package broker brings orders to a counterpart. The simulated brokerage stands in for one: it
// answers by the market's closes, the same way for the same seed.
package broker

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"daybreak/fills"
	"daybreak/ledger"
	"daybreak/market"
	"daybreak/money"
	"daybreak/pipeline"
	"daybreak/portfolio"
)

// Simulated is a brokerage that answers every order with executions on the topic of fills: an
// acknowledgement and one to four fills at prices around the close, or a reject. What it answers
// depends on the seed and the order's id alone, so that an order sent again gets the same
// executions again, which the book takes once.
type Simulated struct {
	publisher pipeline.Publisher
	codec     pipeline.FillCodec
	settings  Settings
}

var _ pipeline.Broker = (*Simulated)(nil)

// Settings say how the simulated brokerage behaves. Zero values mean DefaultSettings.
type Settings struct {
	Seed           uint64
	Session        string    // name of the broker session
	RejectRate     money.Dec // share of orders that it refuses; below zero: none
	Spread         money.Dec // farthest price from the reference price, share of it
	CommissionRate money.Dec // share of a fill's value; below zero: none
}

// DefaultSettings are those of the sample: one order in 200 is refused, prices stay well inside the
// collar of limits, and the commission inside the costs that purchases set aside.
var DefaultSettings = Settings{
	Session:        "SIM",
	RejectRate:     money.MustParse("0.005"),
	Spread:         money.MustParse("0.003"),
	CommissionRate: money.MustParse("0.0001"),
}

// NewSimulated returns a brokerage that publishes its executions.
func NewSimulated(p pipeline.Publisher, c pipeline.FillCodec, s Settings) *Simulated {
	if s.Session == "" {
		s.Session = DefaultSettings.Session
	}
	for _, f := range []struct{ field, otherwise *money.Dec }{
		{&s.RejectRate, &DefaultSettings.RejectRate}, {&s.Spread, &DefaultSettings.Spread}, {&s.CommissionRate, &DefaultSettings.CommissionRate},
	} {
		if f.field.IsZero() {
			*f.field = *f.otherwise
		}
	}
	return &Simulated{publisher: p, codec: c, settings: s}
}

// Send implements pipeline.Broker: it publishes the executions of all orders and returns when the
// topic has them.
func (b *Simulated) Send(ctx context.Context, all []pipeline.BrokerOrder) error {
	partitions, err := b.publisher.Partitions(ctx, pipeline.TopicFills)
	if err != nil {
		return fmt.Errorf("partitions of %s: %w", pipeline.TopicFills, err)
	}
	var records []pipeline.Record
	for _, o := range all {
		executions, err := b.Executions(o)
		if err != nil {
			return fmt.Errorf("order %s: %w", o.ID, err)
		}
		for _, e := range executions {
			value, err := b.codec.Encode(e)
			if err != nil {
				return fmt.Errorf("order %s: %w", o.ID, err)
			}
			records = append(records, pipeline.Record{
				Topic: pipeline.TopicFills, Partition: pipeline.Partition(o.RoutingKey, partitions), Key: []byte(e.Key().String()), Value: value,
				Headers: []pipeline.Header{{Key: pipeline.HeaderRoutingKey, Value: []byte(o.RoutingKey)}},
			})
		}
	}
	return b.publisher.Publish(ctx, records)
}

// Executions returns what the brokerage says about an order, in the order in which it says it.
func (b *Simulated) Executions(o pipeline.BrokerOrder) ([]fills.Execution, error) {
	exchange, err := market.Calendar(o.Exchange)
	if err != nil {
		return nil, err
	}
	source := b.source(o)
	at, _ := exchange.Hours(o.Session)
	next := func(kind fills.ExecType, n int) fills.Execution {
		at = at.Add(time.Duration(1+source.IntN(600)) * time.Second)
		return fills.Execution{
			Session: b.settings.Session, ExecID: fmt.Sprintf("%s-%d", o.ID, n), Type: kind, RefTradeDate: market.NoDay,
			OrderID: o.ID, Account: o.Account, Household: o.Household, Symbol: o.Symbol, Side: o.Side, Currency: o.Currency, FX: o.FX,
			FXDay: o.PriceDay, TradeDate: o.Session, SettleDate: exchange.SettleDay(o.Session), Venue: o.Exchange, BrokerTime: at.UTC(),
		}
	}
	if below(source, b.settings.RejectRate) {
		rejected := next(fills.Rejected, 0)
		rejected.Text = "no liquidity"
		return []fills.Execution{rejected}, nil
	}
	executions := []fills.Execution{next(fills.New, 0)}
	for i, shares := range parts(o.Quantity, source) {
		e := next(fills.Trade, i+1)
		e.Quantity, e.Price = shares, b.price(o, source)
		e.Commission = ledger.Cents(shares.Mul(e.Price).Mul(money.Max(b.settings.CommissionRate, money.Zero)))
		executions = append(executions, e)
	}
	return executions, nil
}

// source returns random numbers that depend on the seed and the order's id alone.
func (b *Simulated) source(o pipeline.BrokerOrder) *rand.Rand {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d\x00%s", b.settings.Seed, o.ID))
	return rand.New(rand.NewPCG(binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:16])))
}

// millionths is the grain of random shares.
const millionths = 1_000_000

func below(source *rand.Rand, rate money.Dec) bool {
	return money.FromUnits(source.Int64N(millionths), 6).Less(rate)
}

// parts splits a quantity into one to four parts, in whole shares where it is whole, else in
// ten-thousandths.
func parts(quantity money.Dec, source *rand.Rand) []money.Dec {
	places := 4
	if quantity == quantity.RoundDown(0) {
		places = 0
	}
	n := 1 + source.IntN(4)
	var all []money.Dec
	left := quantity
	for i := n; i > 1; i-- {
		share := money.FromUnits(1+source.Int64N(millionths), 6).Div(money.FromInt(int64(i)))
		part := left.Mul(share).RoundDown(places)
		if part.Sign() > 0 && part.Less(left) {
			all = append(all, part)
			left = left.Sub(part)
		}
	}
	return append(all, left)
}

// price returns a price within the spread around the reference price, to four places, and never
// past the order's limit.
func (b *Simulated) price(o pipeline.BrokerOrder, source *rand.Rand) money.Dec {
	away := money.FromUnits(source.Int64N(2*millionths+1)-millionths, 6).Mul(b.settings.Spread)
	price := o.Price.Add(o.Price.Mul(away)).Round(4)
	if o.Side == portfolio.Buy {
		price = money.Min(price, o.LimitPrice)
	} else {
		price = money.Max(price, o.LimitPrice)
	}
	if price.Sign() <= 0 {
		return o.Price
	}
	return price
}
