package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"time"

	"daybreak/market"
	"daybreak/money"
	"daybreak/orders"
	"daybreak/portfolio"
)

// Balance is what an account holds, as topic daybreak.balances carries it. Version, Effective and Known
// are those of the fact that changed it last.
type Balance struct {
	Account    portfolio.AccountID
	Household  portfolio.HouseholdID
	RoutingKey string
	Currency   market.Currency
	Version    int64
	Effective  market.Day
	Known      time.Time
	Cash       []portfolio.Cash     // by currency, without what is nothing
	Positions  []portfolio.Position // by symbol, without what is nothing
}

// OrderState is where an order stands, as topic daybreak.orders carries it. Version and Known are those
// of the broker's last report on it.
type OrderState struct {
	ID         orders.ID
	Run        string
	Household  portfolio.HouseholdID
	RoutingKey string
	Account    portfolio.AccountID
	Symbol     market.Symbol
	Side       portfolio.Side
	State      string
	OrderQty   money.Dec
	CumQty     money.Dec
	LeavesQty  money.Dec
	Currency   market.Currency
	Version    int64
	Known      time.Time
}

// BookCodec writes what the book streams on.
type BookCodec interface {
	EncodeBalance(b Balance) ([]byte, error)
	EncodeOrder(o OrderState) ([]byte, error)
}

// Place is how far the relay is in the changes of the book.
type Place struct {
	Xid int64 // of the transaction that made the last change
	ID  int64
}

// TopicEnds are the offsets at which topics end, by partition.
type TopicEnds map[string]map[int32]int64

// Lease is the ownership of the relay.
type Lease struct {
	Epoch int64
	Place Place
	Ends  TopicEnds // from where the topics tell what was sent that a later change may lead to
}

// BookChanges is what changed after a place, as it all stands in one snapshot of the book. Last is the
// place of the last change; what changes after it belongs to transactions before Until, or to none
// that the snapshot saw.
type BookChanges struct {
	Last     Place
	Rows     int
	Until    int64
	Balances []Balance
	Orders   []OrderState
}

// ChangeBook tells what changed in the book, in order.
type ChangeBook interface {
	// TakeRelay makes owner the relay's owner for a time, and raises its epoch. It reports false where
	// another one has it.
	TakeRelay(ctx context.Context, owner string, lease time.Duration) (Lease, bool, error)
	// BookChanges returns what changed after a place, at most about limit rows.
	BookChanges(ctx context.Context, after Place, limit int) (BookChanges, error)
	// AdvanceRelay stores a place with the ends of its lease, and renews it. It returns ErrFenced
	// where another owner has taken over.
	AdvanceRelay(ctx context.Context, epoch int64, at Place, ends TopicEnds, lease time.Duration) error
	// EmptyBookChanges gives back the room of changes that the relay is past.
	EmptyBookChanges(ctx context.Context) error
	Listen(ctx context.Context, channels []string, wake func(channel, payload string)) error
}

// FencedPublisher writes records so that a later owner's Fence keeps an earlier one's from arriving
// any more.
type FencedPublisher interface {
	// Fence refuses all that earlier owners still have under way, and returns what is in topics after
	// their ends.
	Fence(ctx context.Context, after TopicEnds) ([]Record, error)
	// PublishAll writes all records or none, and returns where the topics end.
	PublishAll(ctx context.Context, records []Record) (TopicEnds, error)
	Partitions(ctx context.Context, topic string) (int32, error)
	Close()
}

// HeaderVersion is the header that carries the version of a record's key, in decimal digits.
const HeaderVersion = "version"

// ChannelBook is the channel of NOTIFY that says that books of households changed.
const ChannelBook = "daybreak_book"

// Relay streams committed balances and orders on to their topics, in order: one owner at a time, each
// version of a key once. What it sends is always the state of now, so that a version never goes back.
type Relay struct {
	Book   ChangeBook
	Topics func() (FencedPublisher, error) // opens the topics for one ownership
	Codec  BookCodec
	Owner  string        // a name of this process; the same one again takes over at once
	Lease  time.Duration // how long a silent owner keeps the relay
	Log    *slog.Logger
}

const (
	relayRowsMax  = 16                     // rows of changes that one round takes: each is a batch of fills at most
	relayTick     = 250 * time.Millisecond // how often it looks for changes that waited for an older transaction
	relayEmptying = time.Minute
)

// Run streams until ctx ends. A life that fails, or is fenced, is followed by another one.
func (r *Relay) Run(ctx context.Context) error {
	wake := make(chan struct{}, 1)
	done := make(chan error, 1)
	go func() {
		done <- r.Book.Listen(ctx, []string{ChannelBook}, func(string, string) {
			select {
			case wake <- struct{}{}:
			default: // it is awake already
			}
		})
	}()
	for ctx.Err() == nil {
		if err := r.own(ctx, wake); err != nil && ctx.Err() == nil {
			r.Log.Warn("the stream of balances begins anew", "error", err)
		}
		wait(ctx, nil, r.Lease/8)
	}
	return <-done
}

// own is one ownership: take the relay, fence earlier owners, learn what they sent, go on.
func (r *Relay) own(ctx context.Context, wake <-chan struct{}) error {
	lease, ours, err := r.Book.TakeRelay(ctx, r.Owner, r.Lease)
	if err != nil || !ours {
		return err
	}
	topics, err := r.Topics()
	if err != nil {
		return err
	}
	defer topics.Close()
	o := &relaying{Relay: r, lease: lease, topics: topics, sent: map[string]sentVersion{}, ends: lease.Ends.clone()}
	if err := o.begin(ctx); err != nil {
		return err
	}
	for ctx.Err() == nil {
		more, err := o.round(ctx)
		if err != nil {
			return err
		}
		if !more {
			wait(ctx, wake, relayTick)
		}
	}
	// The next owner need not wait.
	return r.Book.AdvanceRelay(context.WithoutCancel(ctx), o.lease.Epoch, o.lease.Place, o.start(), 0)
}

// sentVersion is the version of a key that was sent. It is forgotten once no change can lead to it
// again: those of transactions before until have all been seen.
type sentVersion struct {
	version int64
	until   int64
}

// relaying is an ownership of the relay.
type relaying struct {
	*Relay
	lease      Lease
	topics     FencedPublisher
	partitions map[string]int32
	sent       map[string]sentVersion // by topic and key
	unsettled  bool                   // whether sent has versions of an earlier owner, of unknown until
	ends       TopicEnds              // where the topics end by what was sent
	rounds     []relayRound           // whose versions are in sent, oldest first
	emptied    time.Time
	renewed    time.Time
}

// relayRound is where the topics ended before a round was sent.
type relayRound struct {
	until int64
	ends  TopicEnds
}

// start returns from where the next owner must read the topics to learn which versions were sent that
// a change may lead to again.
func (o *relaying) start() TopicEnds {
	if len(o.rounds) > 0 {
		return o.rounds[0].ends
	}
	return o.ends
}

// clone returns a copy of ends.
func (e TopicEnds) clone() TopicEnds {
	all := TopicEnds{}
	for topic, ends := range e {
		all[topic] = maps.Clone(ends)
	}
	return all
}

// add moves ends on to those of more.
func (e TopicEnds) add(more TopicEnds) {
	for topic, ends := range more {
		if e[topic] == nil {
			e[topic] = map[int32]int64{}
		}
		for p, end := range ends {
			e[topic][p] = max(e[topic][p], end)
		}
	}
}

// begin fences earlier owners and learns what they sent after the place that was stored.
func (o *relaying) begin(ctx context.Context) error {
	o.partitions = map[string]int32{}
	for _, topic := range []string{TopicBalances, TopicOrders} {
		n, err := o.topics.Partitions(ctx, topic)
		if err != nil {
			return err
		}
		o.partitions[topic] = n
	}
	tail, err := o.topics.Fence(ctx, o.lease.Ends)
	if err != nil {
		return err
	}
	for _, record := range tail {
		version, err := versionOf(record)
		if err != nil {
			return err
		}
		o.sent[record.Topic+"|"+string(record.Key)] = sentVersion{version: version}
		o.ends.add(TopicEnds{record.Topic: {record.Partition: record.Offset + 1}})
	}
	o.unsettled = true
	return nil
}

func versionOf(r Record) (int64, error) {
	for _, h := range r.Headers {
		if h.Key == HeaderVersion {
			return strconv.ParseInt(string(h.Value), 10, 64)
		}
	}
	return 0, fmt.Errorf("topic %s partition %d offset %d: no header %s: the topic has another writer", r.Topic, r.Partition, r.Offset, HeaderVersion)
}

// round sends what changed since the last one. It reports whether there may be more at once.
func (o *relaying) round(ctx context.Context) (more bool, err error) {
	changes, err := o.Book.BookChanges(ctx, o.lease.Place, relayRowsMax)
	if err != nil {
		return false, err
	}
	o.settle(changes.Until)
	if changes.Rows == 0 {
		return false, o.idle(ctx)
	}
	records, err := o.records(changes)
	if err != nil {
		return false, err
	}
	if len(records) > 0 {
		ends, err := o.topics.PublishAll(ctx, records)
		if err != nil {
			return false, err
		}
		o.rounds = append(o.rounds, relayRound{changes.Until, o.ends.clone()})
		o.ends.add(ends)
	}
	o.lease.Place, o.renewed = changes.Last, time.Now()
	o.forget()
	if err := o.Book.AdvanceRelay(ctx, o.lease.Epoch, o.lease.Place, o.start(), o.Relay.Lease); err != nil {
		return false, err
	}
	return changes.Rows == relayRowsMax, nil
}

// settle gives versions of an earlier owner a bound: they were sent before this snapshot.
func (o *relaying) settle(until int64) {
	if !o.unsettled {
		return
	}
	for key, s := range o.sent {
		if s.until == 0 {
			s.until = until
			o.sent[key] = s
		}
	}
	if len(o.sent) > 0 {
		o.rounds = append(o.rounds, relayRound{until, o.lease.Ends})
	}
	o.unsettled = false
}

// idle renews the lease, and gives back room, now and then.
func (o *relaying) idle(ctx context.Context) error {
	now := time.Now()
	if now.Sub(o.emptied) > relayEmptying {
		o.emptied = now
		if err := o.Book.EmptyBookChanges(ctx); err != nil {
			return err
		}
	}
	if now.Sub(o.renewed) < o.Relay.Lease/4 {
		return nil
	}
	o.renewed = now
	return o.Book.AdvanceRelay(ctx, o.lease.Epoch, o.lease.Place, o.start(), o.Relay.Lease)
}

// records returns what has to be sent of changes: versions that were sent are left out.
func (o *relaying) records(c BookChanges) ([]Record, error) {
	var all []Record
	for _, b := range c.Balances {
		if o.take(TopicBalances, string(b.Account), b.Version, c.Until) {
			value, err := o.Codec.EncodeBalance(b)
			if err != nil {
				return nil, err
			}
			all = append(all, o.record(TopicBalances, string(b.Account), b.RoutingKey, b.Version, value))
		}
	}
	for _, s := range c.Orders {
		if o.take(TopicOrders, string(s.ID), s.Version, c.Until) {
			value, err := o.Codec.EncodeOrder(s)
			if err != nil {
				return nil, err
			}
			all = append(all, o.record(TopicOrders, string(s.ID), s.RoutingKey, s.Version, value))
		}
	}
	return all, nil
}

func (o *relaying) take(topic, key string, version, until int64) bool {
	name := topic + "|" + key
	if known, ok := o.sent[name]; ok && known.version >= version {
		return false
	}
	o.sent[name] = sentVersion{version, until}
	return true
}

func (o *relaying) record(topic, key, routingKey string, version int64, value []byte) Record {
	return Record{Topic: topic, Partition: Partition(routingKey, o.partitions[topic]), Key: []byte(key), Value: value, Headers: []Header{
		{Key: HeaderRoutingKey, Value: []byte(routingKey)}, {Key: HeaderVersion, Value: strconv.AppendInt(nil, version, 10)},
	}}
}

// forget drops the versions that no change can lead to again.
func (o *relaying) forget() {
	for key, s := range o.sent {
		if s.until <= o.lease.Place.Xid {
			delete(o.sent, key)
		}
	}
	for len(o.rounds) > 0 && o.rounds[0].until <= o.lease.Place.Xid {
		o.rounds = o.rounds[1:]
	}
}

// wait returns at a wake, after d, or at the end of ctx.
func wait(ctx context.Context, wake <-chan struct{}, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-wake:
	case <-t.C:
	}
}
