package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"daybreak/market"
	"daybreak/money"
	"daybreak/orders"
	"daybreak/portfolio"
)

// BrokerOrder is an order as the broker gets it: Quantity is what is asked for.
type BrokerOrder struct {
	orders.Order
	RoutingKey string
	Exchange   string
}

// Broker takes orders. Sending one again, with the same id, has no further effect.
type Broker interface {
	Send(ctx context.Context, all []BrokerOrder) error
}

// GatewayBook keeps orders between their release and the broker.
type GatewayBook interface {
	DeskBook
	// DueHouseholds returns, by id and after a household, at most limit households in which an order
	// was released, or a sale has ended, since the gateway looked, and the runs of their orders.
	DueHouseholds(ctx context.Context, after portfolio.HouseholdID, limit int) ([]portfolio.HouseholdID, []string, error)
	// ReadyHouseholds returns in the same way households with released orders that wait for no sale
	// any more, whatever has marked them.
	ReadyHouseholds(ctx context.Context, after portfolio.HouseholdID, limit int) ([]portfolio.HouseholdID, []string, error)
	// Unanswered returns at most limit orders that were sent at least age ago and that the broker
	// has said nothing about, the oldest first.
	Unanswered(ctx context.Context, age time.Duration, limit int) ([]BrokerOrder, error)
	// Listen calls wake for each notification on the channels until ctx ends.
	Listen(ctx context.Context, channels []string, wake func(channel, payload string)) error
}

// ChannelOrders is the channel that says that orders were released, or ended.
const ChannelOrders = "daybreak_orders"

// Gateway sends released orders to the broker: sales at once, purchases when the sales that fund
// them are over, resized once to the cash there is. Every check is made before every send, in the
// transaction that marks the order as sent; only then does the broker see it.
type Gateway struct {
	Book   GatewayBook
	Broker Broker
	Limits orders.Limits
	Log    *slog.Logger
	// IsOpen reports whether an exchange takes orders of a session now; nil: it does where the
	// session is one of its calendar.
	IsOpen func(exchange string, session market.Day) bool
	// Sweep is how often the gateway looks at everything without being woken; 0: every ten seconds.
	Sweep time.Duration
}

const (
	gatewayMax      = 200              // households of one transaction
	sweepDefault    = 10 * time.Second // net below notifications, which may be lost, and for what waited for an open market
	unansweredAfter = 30 * time.Second
	unansweredMax   = 1_000
	sweepShare      = 10 // a sweep takes a tenth of the time at most, however much there is
	never           = time.Duration(-1)
)

// Run sends orders until ctx ends. At its start it sends again what the broker has not answered: a
// gateway may have died between marking and sending.
func (g *Gateway) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	wake := make(chan struct{}, 1)
	group.Go(func() error {
		return g.Book.Listen(ctx, []string{ChannelOrders}, func(string, string) {
			select {
			case wake <- struct{}{}:
			default: // a pass is due already
			}
		})
	})
	group.Go(func() error { return g.loop(ctx, wake) })
	return group.Wait()
}

func (g *Gateway) loop(ctx context.Context, wake <-chan struct{}) error {
	sweep := g.Sweep
	if sweep == 0 {
		sweep = sweepDefault
	}
	age := time.Duration(0) // of an earlier gateway: all of them
	timer := time.NewTimer(sweep)
	defer timer.Stop()
	for {
		began := time.Now()
		if err := g.pass(ctx, age); err != nil && ctx.Err() == nil {
			g.Log.Error("orders were not sent; trying again", "error", err)
		}
		if age != never {
			timer.Reset(max(sweep, sweepShare*time.Since(began)))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-wake:
			age = never
		case <-timer.C:
			age = unansweredAfter
		}
	}
}

// pass sends what can go now: what is due where the gateway was woken, and in a sweep everything,
// after what the broker has not answered for an age.
func (g *Gateway) pass(ctx context.Context, age time.Duration) error {
	if age == never {
		_, err := g.Due(ctx)
		return err
	}
	again := g.SendAgain(ctx, age)
	_, err := g.Pass(ctx)
	return errors.Join(again, err)
}

// Due sends the orders that can go in households where something has changed, and returns how many
// went.
func (g *Gateway) Due(ctx context.Context) (int, error) {
	return g.sendAll(ctx, g.Book.DueHouseholds, true)
}

// Pass sends every order that can go now and returns how many went.
func (g *Gateway) Pass(ctx context.Context) (int, error) {
	return g.sendAll(ctx, g.Book.ReadyHouseholds, false)
}

type findHouseholds func(ctx context.Context, after portfolio.HouseholdID, limit int) ([]portfolio.HouseholdID, []string, error)

func (g *Gateway) sendAll(ctx context.Context, find findHouseholds, due bool) (int, error) {
	var after portfolio.HouseholdID
	sent := 0
	for {
		households, runs, err := find(ctx, after, gatewayMax)
		if err != nil || len(households) == 0 {
			return sent, err
		}
		n, err := g.send(ctx, DeskRequest{Households: households, Runs: runs, Due: due})
		sent += n
		if err != nil {
			return sent, err
		}
		after = households[len(households)-1]
	}
}

// send decides about the orders of some households, marks those that go, and then sends them. What
// is marked and not sent, because the process dies here, goes out when it is found unanswered.
func (g *Gateway) send(ctx context.Context, r DeskRequest) (int, error) {
	routing := map[portfolio.HouseholdID]string{}
	moves, err := g.Book.UpdateDesk(ctx, r, func(l *DeskLoad) ([]DeskMove, error) {
		for _, h := range l.Households {
			routing[h.Household.ID] = h.Household.RoutingKey
		}
		return g.decide(l), nil
	})
	if err != nil {
		return 0, fmt.Errorf("mark orders as sent: %w", err)
	}
	var out []BrokerOrder
	for _, m := range moves {
		switch m.Move {
		case MoveSend:
			o := BrokerOrder{Order: m.Order.Order, RoutingKey: routing[m.Order.Household], Exchange: m.Order.Exchange}
			o.Quantity = m.Quantity
			out = append(out, o)
		case MoveFlag:
			g.Log.Warn("order is not sent", "order", m.Order.ID, "account", m.Order.Account, "run", m.Order.Run, "code", m.Code, "detail", m.Detail)
		}
	}
	if len(out) == 0 {
		return 0, nil
	}
	if err := g.Broker.Send(ctx, out); err != nil {
		return 0, fmt.Errorf("send %d orders, which are marked and will be sent again: %w", len(out), err)
	}
	return len(out), nil
}

// SendAgain sends the orders that were marked at least age ago and that the broker has not answered;
// it knows those that it has by their ids.
func (g *Gateway) SendAgain(ctx context.Context, age time.Duration) error {
	all, err := g.Book.Unanswered(ctx, age, unansweredMax)
	if err != nil || len(all) == 0 {
		return err
	}
	if err := g.Broker.Send(ctx, all); err != nil {
		return fmt.Errorf("send %d orders again: %w", len(all), err)
	}
	g.Log.Info("sent orders again that the broker had not answered", "orders", len(all))
	return nil
}

func (g *Gateway) decide(l *DeskLoad) []DeskMove {
	var moves []DeskMove
	for i := range l.Households {
		d := &sending{gateway: g, counter: newDeskCounter(l, &l.Households[i], g.Limits)}
		d.household()
		moves = append(moves, d.moves...)
	}
	return moves
}

func (g *Gateway) isOpen(exchange string, session market.Day) bool {
	if g.IsOpen != nil {
		return g.IsOpen(exchange, session)
	}
	calendar, err := market.Calendar(exchange)
	return err == nil && calendar.IsSession(session)
}

// sending decides about one household's released orders.
type sending struct {
	gateway *Gateway
	counter *deskCounter
	moves   []DeskMove
}

// household takes the orders of each account, sales first; the purchases of an account that can go
// now share its cash.
func (d *sending) household() {
	var buys []DeskOrder
	all := d.counter.h.Orders
	for i, o := range all {
		switch {
		case !o.open() || !o.Released:
		case o.Side == portfolio.Sell:
			d.check(o, o.Quantity)
		case d.isFunded(o):
			buys = append(buys, o)
		}
		if last := i+1 == len(all) || all[i+1].Account != o.Account; last {
			d.purchases(buys)
			buys = nil
		}
	}
}

// isFunded reports whether the sales that a purchase waits for are over. Where all of them ended
// with nothing sold the purchase ends too.
func (d *sending) isFunded(o DeskOrder) bool {
	sold := money.Zero
	for _, id := range o.WaitsFor {
		s, known := d.counter.sale(o.Run, id)
		if !known {
			continue
		}
		if !s.over() {
			return false
		}
		sold = sold.Add(s.Progress.CumQty)
	}
	if len(o.WaitsFor) > 0 && sold.IsZero() {
		d.add(DeskMove{Move: MoveCancel, Order: o, Code: CodeFundingFailed, Detail: "no share of the sales that were to fund it was sold"})
		return false
	}
	return true
}

// purchases sends the purchases of one account, each cut by the same share where the cash there is
// does not do for all.
func (d *sending) purchases(buys []DeskOrder) {
	if len(buys) == 0 {
		return
	}
	limits, account := d.gateway.Limits, d.counter.account(buys[0].Account)
	wanted := money.Zero
	for _, o := range buys {
		wanted = wanted.Add(o.Cost(o.Quantity, limits))
	}
	cash := d.counter.cash[account.ID]
	policy := account.Policy.WithDefaults()
	for _, o := range buys {
		quantity := o.Quantity
		if cash.Less(wanted) {
			quantity = resized(o, money.Max(cash, money.Zero), wanted, limits, policy.WholeShares)
		}
		if least := quantity.Mul(o.Price).Mul(o.FX); quantity.IsZero() || quantity != o.Quantity && least.Less(policy.MinTrade) {
			d.add(DeskMove{Move: MoveCancel, Order: o, Code: CodeTooSmall,
				Detail: fmt.Sprintf("the account has %s for purchases of %s; its least trade is %s", cash, wanted, policy.MinTrade)})
			continue
		}
		d.check(o, quantity)
	}
}

// resized returns the quantity of a purchase that its share of the cash pays, less the buffer,
// rounded down to what can be traded.
func resized(o DeskOrder, cash, wanted money.Dec, l orders.Limits, wholeShares bool) money.Dec {
	places := 4
	if wholeShares {
		places = 0
	}
	usable := cash.Mul(money.One.Sub(l.CashBuffer))
	return money.Min(o.Quantity.MulDiv(usable, wanted).RoundDown(places), o.Quantity)
}

// check sends a quantity of an order where no check stops it. One whose tax day cannot be told is
// stopped alone.
func (d *sending) check(o DeskOrder, quantity money.Dec) {
	facts, err := d.counter.facts(o, quantity, d.gateway.isOpen)
	if err != nil {
		d.add(DeskMove{Move: MoveFlag, Order: o, Code: CodeNoTaxDay, Detail: err.Error()})
		return
	}
	v := orders.Check(orders.BeforeSending, o.Order, facts, d.gateway.Limits)
	switch {
	case v == nil:
		d.counter.send(o, quantity)
		d.add(DeskMove{Move: MoveSend, Order: o, Quantity: quantity})
	case v.Code == orders.TaxLock:
		stop := d.counter.lockStop(o)
		d.add(DeskMove{Move: MoveFlag, Order: o, Code: v.Code, Detail: stop.Text(), Lock: stop})
	case !v.Passing():
		d.add(DeskMove{Move: MoveFlag, Order: o, Code: v.Code, Detail: numbersText(v.Numbers)})
	}
}

func (d *sending) add(m DeskMove) { d.moves = append(d.moves, m) }
