package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"daybreak/internal/kafka"
	"daybreak/pipeline"
)

// store is a book in memory: it keeps offsets as Postgres does, by compare-and-set under an epoch,
// and the values applied in order of partition.
type store struct {
	mu      sync.Mutex
	at      map[int32]pipeline.Position
	applied map[int32][]string
	fail    func(calls int) error // asked at each batch, before anything is written
	calls   int
	done    chan struct{} // closed when want values are applied
	want    int
	count   int
}

func newStore(want int) *store {
	return &store{at: map[int32]pipeline.Position{}, applied: map[int32][]string{}, want: want, done: make(chan struct{})}
}

func (s *store) Assign(_ context.Context, _, topicID string, partitions []int32) (map[int32]pipeline.Position, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if topicID == "" {
		return nil, errors.New("no topic id")
	}
	out := map[int32]pipeline.Position{}
	for _, p := range partitions {
		at := s.at[p]
		at.Epoch++
		s.at[p], out[p] = at, at
	}
	return out, nil
}

func (s *store) Handle(_ context.Context, b pipeline.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.fail != nil {
		if err := s.fail(s.calls); err != nil {
			return err
		}
	}
	for _, span := range b.Spans {
		if at := s.at[span.Partition]; at.Next != span.First || at.Epoch != span.Epoch {
			return fmt.Errorf("partition %d at %+v, batch %+v: %w", span.Partition, at, span, pipeline.ErrFenced)
		}
	}
	for _, span := range b.Spans {
		s.at[span.Partition] = pipeline.Position{Next: span.Next, Epoch: span.Epoch}
	}
	for _, r := range b.Records {
		s.applied[r.Partition] = append(s.applied[r.Partition], string(r.Value))
		s.count++
	}
	if s.count == s.want {
		close(s.done)
	}
	return nil
}

const testPartitions = 4

// publish starts a broker in memory and writes n records, whose values count up in each partition.
func publish(t *testing.T, n int) []string {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(testPartitions, pipeline.TopicWork))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	send(t, cluster.ListenAddrs(), 0, n)
	return cluster.ListenAddrs()
}

func send(t *testing.T, brokers []string, from, to int) {
	t.Helper()
	sendTo(t, brokers, pipeline.TopicWork, from, to)
}

func sendTo(t *testing.T, brokers []string, topic string, from, to int) {
	t.Helper()
	producer, err := kafka.NewProducer(brokers)
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	partitions, err := producer.Partitions(t.Context(), topic)
	if err != nil || partitions != testPartitions {
		t.Fatalf("Partitions() = %d, %v, want %d", partitions, err, testPartitions)
	}
	var records []pipeline.Record
	for i := from; i < to; i++ {
		records = append(records, pipeline.Record{
			Topic: topic, Partition: int32(i % testPartitions), Value: fmt.Append(nil, i/testPartitions),
		})
	}
	if err := producer.Publish(t.Context(), records); err != nil {
		t.Fatal(err)
	}
}

// consume runs members until the store has what it wants.
func consume(t *testing.T, brokers []string, s *store, members int) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for range members {
		c := &kafka.Consumer{
			Brokers: brokers, Group: "test", Topic: pipeline.TopicWork, BatchMax: 7, Offsets: s, Handler: s,
			Log: slog.New(slog.DiscardHandler),
		}
		group.Go(func() { _ = c.Run(ctx) })
	}
	select {
	case <-s.done:
	case <-time.After(time.Minute):
		t.Errorf("%d of %d records after a minute", s.count, s.want)
	}
	stop()
	group.Wait()
}

// wantInOrder checks that each partition's values count up from 0 without a gap or a double.
func wantInOrder(t *testing.T, s *store) {
	t.Helper()
	for p, values := range s.applied {
		for i, v := range values {
			if v != fmt.Sprint(i) {
				t.Fatalf("partition %d: value %d is %s, want %d", p, i, v, i)
			}
		}
	}
}

func TestConsumerAppliesEveryRecordOnce(t *testing.T) {
	t.Parallel()
	s := newStore(200)
	consume(t, publish(t, 200), s, 1)
	wantInOrder(t, s)
}

func TestConsumerGoesOnWhereTheStoreIs(t *testing.T) {
	t.Parallel()
	brokers := publish(t, 100)
	s := newStore(100)
	consume(t, brokers, s, 1)
	send(t, brokers, 100, 160)
	// Kafka knows an offset of the first life; only the store's counts.
	s.done, s.want = make(chan struct{}), 160
	consume(t, brokers, s, 1)
	wantInOrder(t, s)
}

func TestConsumerTriesAFailedBatchAgain(t *testing.T) {
	t.Parallel()
	s := newStore(80)
	s.fail = func(calls int) error {
		if calls%3 == 2 {
			return errors.New("database is away")
		}
		return nil
	}
	consume(t, publish(t, 80), s, 1)
	wantInOrder(t, s)
}

func TestFencedConsumerWritesNothingAndRejoins(t *testing.T) {
	t.Parallel()
	s := newStore(80)
	s.fail = func(calls int) error {
		if calls == 2 { // another owner raises every epoch behind this member's back
			for p, at := range s.at {
				at.Epoch++
				s.at[p] = at
			}
		}
		return nil
	}
	consume(t, publish(t, 80), s, 1)
	wantInOrder(t, s)
}

func TestMembersShareThePartitions(t *testing.T) {
	t.Parallel()
	s := newStore(400)
	consume(t, publish(t, 400), s, 3)
	wantInOrder(t, s)
}

// TestFollowersOwnWhatTheirLeadersOwn runs members on two topics, the second of which follows the
// first, has one of them leave, and checks that every record of the second is applied once and in
// order by a process that owns the same partition of the first.
func TestFollowersOwnWhatTheirLeadersOwn(t *testing.T) {
	t.Parallel()
	const leadTopic, followTopic = "test.follow.lead", "test.follow.events"
	brokers := twoTopics(t, leadTopic, followTopic)
	leaders, followers := newStore(1_000), newStore(200)
	sendTo(t, brokers, leadTopic, 0, 80)
	sendTo(t, brokers, followTopic, 0, 200)
	member := func(ctx context.Context) func() {
		owns := kafka.NewOwnership()
		log := slog.New(slog.DiscardHandler)
		lead := &kafka.Consumer{Brokers: brokers, Group: "test.follow.lead", Topic: leadTopic, BatchMax: 7, Offsets: leaders, Handler: leaders, Log: log, Tell: owns}
		follow := &kafka.Consumer{Brokers: brokers, Group: "test.follow.events", Topic: followTopic, BatchMax: 3, Offsets: followers, Handler: followers, Log: log, Follow: owns}
		var group sync.WaitGroup
		ctx, stop := context.WithCancel(ctx)
		group.Go(func() { _ = lead.Run(ctx) })
		group.Go(func() { _ = follow.Run(ctx) })
		return func() { stop(); group.Wait() }
	}
	stopFirst := member(t.Context())
	stopSecond := member(t.Context())
	defer stopSecond()
	waitFor(t, followers)
	stopFirst()
	followers.mu.Lock()
	followers.done, followers.want = make(chan struct{}), 280
	followers.mu.Unlock()
	sendTo(t, brokers, followTopic, 200, 280)
	waitFor(t, followers)
	wantInOrder(t, followers)
	leaders.mu.Lock()
	defer leaders.mu.Unlock()
	for p, at := range leaders.at {
		if f := followers.at[p]; f.Epoch == 0 || at.Epoch == 0 {
			t.Errorf("partition %d: epochs %d and %d, want both owned", p, at.Epoch, f.Epoch)
		}
	}
}

// twoTopics makes topics on the brokers of DAYBREAK_TEST_BROKERS, else on one of this process.
func twoTopics(t *testing.T, names ...string) []string {
	t.Helper()
	brokers := strings.FieldsFunc(os.Getenv("DAYBREAK_TEST_BROKERS"), func(r rune) bool { return r == ',' })
	if len(brokers) == 0 {
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cluster.Close)
		brokers = cluster.ListenAddrs()
	}
	var topics []kafka.Topic
	for _, name := range names {
		topics = append(topics, kafka.Topic{Name: name, Partitions: testPartitions})
	}
	if _, err := kafka.EnsureTopics(t.Context(), brokers, topics); err != nil {
		t.Fatal(err)
	}
	return brokers
}

func waitFor(t *testing.T, s *store) {
	t.Helper()
	s.mu.Lock()
	done := s.done
	s.mu.Unlock()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatalf("%d of %d records after a minute", s.count, s.want)
	}
}
