package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"daybreak/pipeline"
)

// Consumer is one member of a consumer group on one topic. Kafka assigns the partitions, or another
// consumer's ownership does; where they go on, and whether this member may still write, is decided by
// Postgres.
type Consumer struct {
	Brokers  []string
	Group    string // of a follower: the name under which its offsets are mirrored
	Instance string // fixed name of this member: started again, it has its partitions back at once; "" for none
	Topic    string
	BatchMax int // records that one transaction takes at most
	Offsets  pipeline.Offsets
	Handler  pipeline.Handler
	Log      *slog.Logger
	Tell     *Ownership      // is told this member's partitions, nil for none
	Follow   *Ownership      // consume these partitions, and join no group; nil: join the group
	Moved    *Signal         // has this member go back to where the book is, nil for never
	Meter    *pipeline.Meter // counts how long records took to their commit, nil for none
}

// fetchMax bounds the bytes of one fetch, compressed: the thousands of fills in it are several batches, and
// more of them would only lie in memory.
const fetchMax = 1 << 20

const (
	retryFirst = 100 * time.Millisecond
	retryMax   = 10 * time.Second
)

// errRejoin asks Run to leave the group and join it anew; errMoved says that a person moved partitions.
var (
	errRejoin = errors.New("rejoin the group")
	errMoved  = fmt.Errorf("partitions were moved: %w", errRejoin)
)

// Run consumes until ctx ends, and then returns nil. A batch that fails is tried again with a
// growing pause, which is the back pressure on the poll: nothing is skipped. A member that was
// fenced joins the group anew.
func (c *Consumer) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		err := c.member(ctx)
		if err == nil || ctx.Err() != nil {
			return nil
		}
		level := slog.LevelWarn
		if errors.Is(err, errMoved) {
			level = slog.LevelInfo
		}
		c.Log.Log(ctx, level, "consumer joins its group anew", "topic", c.Topic, "error", err)
		pause(ctx, retryFirst)
		if !errors.Is(err, errRejoin) {
			pause(ctx, time.Second)
		}
	}
	return nil
}

// member is one life in the group: join, consume until fenced or told to stop, leave.
func (c *Consumer) member(ctx context.Context) error {
	m := &membership{consumer: c, ready: make(chan struct{}), positions: map[int32]pipeline.Position{}}
	options := append(c.options(), kgo.SeedBrokers(c.Brokers...), kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.FetchMaxBytes(fetchMax))
	if c.Follow == nil {
		options = append(options, kgo.AdjustFetchOffsetsFn(m.startOffsets), kgo.OnPartitionsRevoked(m.forget), kgo.OnPartitionsLost(m.forget))
	}
	until, stop := c.Moved.within(ctx)
	defer stop()
	client, err := kgo.NewClient(options...)
	if err != nil {
		return fmt.Errorf("topic %s: join group %s: %w", c.Topic, c.Group, err)
	}
	defer c.Tell.clear()
	defer client.CloseAllowingRebalance()
	m.client, m.admin = client, kadm.NewClient(client)
	close(m.ready)
	if c.Follow != nil {
		err = m.follow(ctx, until)
	} else {
		err = m.consume(ctx, until)
	}
	if err == nil && until.Err() != nil && ctx.Err() == nil {
		return errMoved
	}
	return err
}

// options are those of a member of a group; a follower has none.
func (c *Consumer) options() []kgo.Opt {
	if c.Follow != nil {
		return nil
	}
	options := []kgo.Opt{
		kgo.ConsumerGroup(c.Group),
		kgo.DisableAutoCommit(),
		kgo.ConsumeTopics(c.Topic),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.SessionTimeout(sessionTimeout),
		kgo.HeartbeatInterval(sessionTimeout / 6),
		kgo.BlockRebalanceOnPoll(),
		kgo.RebalanceTimeout(rebalanceTimeout),
	}
	if c.Instance != "" {
		options = append(options, kgo.InstanceID(c.Instance))
	}
	return options
}

// membership is what one member knows of its partitions.
type membership struct {
	consumer *Consumer
	client   *kgo.Client
	admin    *kadm.Client
	ready    chan struct{} // closed once client and admin are there: the group may assign before NewClient returns

	mu        sync.Mutex
	positions map[int32]pipeline.Position
}

// startOffsets replaces the offsets that Kafka committed by those of Postgres: Kafka's are a
// mirror for lag tools.
func (m *membership) startOffsets(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	select {
	case <-m.ready:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	topic := m.consumer.Topic
	assigned := make([]int32, 0, len(offsets[topic]))
	for p := range offsets[topic] {
		assigned = append(assigned, p)
	}
	if len(assigned) == 0 {
		return offsets, nil
	}
	slices.Sort(assigned)
	starts, err := m.assign(ctx, assigned)
	if err != nil {
		return nil, err
	}
	for p, at := range starts {
		offsets[topic][p] = at
	}
	m.consumer.Tell.change(assigned, nil)
	return offsets, nil
}

// assign makes this member the owner of partitions, and returns where they go on.
func (m *membership) assign(ctx context.Context, partitions []int32) (map[int32]kgo.Offset, error) {
	topic := m.consumer.Topic
	detail, err := topicDetail(ctx, m.admin, topic)
	if err != nil {
		return nil, err
	}
	positions, err := m.consumer.Offsets.Assign(ctx, topic, detail.ID.String(), partitions)
	if err != nil {
		return nil, err
	}
	starts := make(map[int32]kgo.Offset, len(partitions))
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range partitions {
		m.positions[p] = positions[p]
		starts[p] = kgo.NewOffset().At(positions[p].Next)
	}
	return starts, nil
}

// follow consumes the partitions that another consumer of this process owns, as they change, until the
// end of end.
func (m *membership) follow(ctx, end context.Context) error {
	topic := m.consumer.Topic
	for end.Err() == nil {
		owned, changed := m.consumer.Follow.now()
		gained, lost := m.compare(owned)
		if len(lost) > 0 {
			m.drop(lost)
			m.client.RemoveConsumePartitions(map[string][]int32{topic: lost})
		}
		if len(gained) > 0 {
			starts, err := m.assign(ctx, gained)
			if err != nil {
				return err
			}
			m.client.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: starts})
		}
		until, stop := context.WithCancel(end)
		go func() {
			defer stop()
			select {
			case <-changed:
			case <-until.Done():
			}
		}()
		err := m.consume(ctx, until)
		stop()
		if err != nil {
			return err
		}
	}
	return nil
}

// compare returns which of the owned partitions this member does not consume yet, and which others it
// does.
func (m *membership) compare(owned []int32) (gained, lost []int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range owned {
		if _, ok := m.positions[p]; !ok {
			gained = append(gained, p)
		}
	}
	for p := range m.positions {
		if !slices.Contains(owned, p) {
			lost = append(lost, p)
		}
	}
	slices.Sort(lost)
	return gained, lost
}

func (m *membership) drop(partitions []int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range partitions {
		delete(m.positions, p)
	}
}

func (m *membership) forget(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
	m.drop(lost[m.consumer.Topic])
	m.consumer.Tell.change(nil, lost[m.consumer.Topic])
}

// consume handles batches until the end of ctx, or of until: then what was polled is still handled,
// since the client has moved past it.
func (m *membership) consume(ctx, until context.Context) error {
	for until.Err() == nil {
		fetches := m.client.PollRecords(until, m.consumer.BatchMax)
		if ctx.Err() != nil || fetches.IsClientClosed() {
			return nil
		}
		if err := m.fetchError(fetches); err != nil && until.Err() == nil {
			return err
		}
		if b := m.batch(fetches); len(b.Records) > 0 {
			if err := m.handle(ctx, b); err != nil {
				return err
			}
		}
		m.client.AllowRebalance()
	}
	return nil
}

// fetchError returns the first error of a poll that the client does not get over by itself.
func (m *membership) fetchError(fetches kgo.Fetches) error {
	for _, e := range fetches.Errors() {
		return fmt.Errorf("topic %s partition %d: fetch: %w", e.Topic, e.Partition, e.Err)
	}
	return nil
}

// batch orders the records of a poll by partition and offset and drops those of partitions that
// this member does not own (any more).
func (m *membership) batch(fetches kgo.Fetches) pipeline.Batch {
	b := pipeline.Batch{Topic: m.consumer.Topic}
	m.mu.Lock()
	defer m.mu.Unlock()
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		at, owned := m.positions[p.Partition]
		if !owned || len(p.Records) == 0 {
			return
		}
		span := pipeline.Span{Partition: p.Partition, First: at.Next, Epoch: at.Epoch, Next: at.Next}
		for _, r := range p.Records {
			if r.Offset < span.Next {
				continue
			}
			b.Records = append(b.Records, fromKafka(r))
			span.Next, span.LastRecord = r.Offset+1, r.Timestamp
		}
		if span.Next > span.First {
			b.Spans = append(b.Spans, span)
		}
	})
	slices.SortFunc(b.Spans, func(x, y pipeline.Span) int { return cmp.Compare(x.Partition, y.Partition) })
	slices.SortStableFunc(b.Records, comparePlaces)
	return b
}

func comparePlaces(x, y pipeline.Record) int {
	return cmp.Or(cmp.Compare(x.Partition, y.Partition), cmp.Compare(x.Offset, y.Offset))
}

// handle gives a batch to the handler until it is done; only a fence or the end of ctx stops it.
func (m *membership) handle(ctx context.Context, b pipeline.Batch) error {
	wait := retryFirst
	for {
		err := m.consumer.Handler.Handle(ctx, b)
		if err == nil {
			if m.consumer.Meter != nil {
				m.consumer.Meter.Committed(b, time.Now())
			}
			m.advance(ctx, b)
			return nil
		}
		if errors.Is(err, pipeline.ErrFenced) {
			return fmt.Errorf("%w: %w", errRejoin, err)
		}
		if ctx.Err() != nil {
			return nil
		}
		s := b.Spans[0]
		m.consumer.Log.Error("batch is tried again", "topic", b.Topic, "partition", s.Partition, "offset", s.First,
			"records", len(b.Records), "error", err)
		pause(ctx, wait)
		wait = min(2*wait, retryMax)
	}
}

// advance moves this member's view past a committed batch and mirrors it to Kafka.
func (m *membership) advance(ctx context.Context, b pipeline.Batch) {
	mirror := map[int32]kgo.EpochOffset{}
	m.mu.Lock()
	for _, s := range b.Spans {
		if at, owned := m.positions[s.Partition]; owned {
			at.Next = s.Next
			m.positions[s.Partition] = at
			mirror[s.Partition] = kgo.EpochOffset{Epoch: -1, Offset: s.Next}
		}
	}
	m.mu.Unlock()
	if m.consumer.Follow != nil {
		m.mirror(ctx, b.Topic, mirror)
		return
	}
	m.client.CommitOffsets(ctx, map[string]map[int32]kgo.EpochOffset{b.Topic: mirror}, nil)
}

// mirror tells Kafka the offsets of a consumer that is in no group; that it fails harms lag tools alone.
func (m *membership) mirror(ctx context.Context, topic string, at map[int32]kgo.EpochOffset) {
	offsets := kadm.Offsets{}
	for p, o := range at {
		offsets.AddOffset(topic, p, o.Offset, -1)
	}
	if err := m.admin.CommitAllOffsets(ctx, m.consumer.Group, offsets); err != nil && ctx.Err() == nil {
		m.consumer.Log.Debug("offsets are not mirrored", "topic", topic, "error", err)
	}
}

func fromKafka(r *kgo.Record) pipeline.Record {
	out := pipeline.Record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: r.Key, Value: r.Value, Time: r.Timestamp}
	for _, h := range r.Headers {
		out.Headers = append(out.Headers, pipeline.Header{Key: h.Key, Value: h.Value})
	}
	return out
}

// pause waits for d or for the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
