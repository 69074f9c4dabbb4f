// Package kafka reads and writes Daybreak's topics over the Kafka protocol, with real brokers and
// with the in-process one alike.
package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"daybreak/pipeline"
)

// sessionTimeout is how long a silent member keeps its partitions; brokers take no less than 6 s.
const sessionTimeout = 6 * time.Second

// rebalanceTimeout is how long a rebalance waits for a member that is busy with a batch. One that
// takes longer loses its partitions, and the fence keeps its batch from being written.
const rebalanceTimeout = 20 * time.Second

// Producer writes records to partitions that their makers chose, and waits for all replicas. It is
// safe for concurrent use.
type Producer struct {
	client *kgo.Client
	admin  *kadm.Client
}

// NewProducer returns a producer for brokers (host:port). The caller closes it.
func NewProducer(brokers []string) (*Producer, error) {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(brokers...),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordDeliveryTimeout(30*time.Second),
	)
	if err != nil {
		return nil, fmt.Errorf("kafka producer: %w", err)
	}
	return &Producer{client: client, admin: kadm.NewClient(client)}, nil
}

// Close gives up the connections.
func (p *Producer) Close() { p.client.Close() }

// Publish implements pipeline.Publisher.
func (p *Producer) Publish(ctx context.Context, records []pipeline.Record) error {
	out := make([]*kgo.Record, len(records))
	for i, r := range records {
		out[i] = toKafka(r)
	}
	if err := p.client.ProduceSync(ctx, out...).FirstErr(); err != nil {
		return fmt.Errorf("publish %d records: %w", len(records), err)
	}
	return nil
}

func toKafka(r pipeline.Record) *kgo.Record {
	out := &kgo.Record{Topic: r.Topic, Partition: r.Partition, Key: r.Key, Value: r.Value, Timestamp: r.Time}
	for _, h := range r.Headers {
		out.Headers = append(out.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	return out
}

// Partitions implements pipeline.Publisher.
func (p *Producer) Partitions(ctx context.Context, topic string) (int32, error) {
	detail, err := topicDetail(ctx, p.admin, topic)
	if err != nil {
		return 0, err
	}
	return int32(len(detail.Partitions)), nil
}

func topicDetail(ctx context.Context, admin *kadm.Client, topic string) (kadm.TopicDetail, error) {
	topics, err := admin.ListTopics(ctx, topic)
	if err != nil {
		return kadm.TopicDetail{}, fmt.Errorf("topic %s: %w", topic, err)
	}
	detail := topics[topic]
	if detail.Err != nil {
		return kadm.TopicDetail{}, fmt.Errorf("topic %s: %w", topic, detail.Err)
	}
	return detail, nil
}
