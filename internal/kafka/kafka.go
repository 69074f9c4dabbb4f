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

	// Route names the topic that records of a topic go to, and its number of partitions; nil, or another
	// name than the topic's own for none, leaves them as they are. It is set before the first use.
	Route func(ctx context.Context, topic string) (name string, partitions int32, err error)
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
	routes := map[string]route{}
	out := make([]*kgo.Record, len(records))
	for i, r := range records {
		to, err := p.route(ctx, routes, r.Topic)
		if err != nil {
			return fmt.Errorf("publish %d records: %w", len(records), err)
		}
		out[i] = toKafka(to.of(r))
	}
	if err := p.client.ProduceSync(ctx, out...).FirstErr(); err != nil {
		return fmt.Errorf("publish %d records: %w", len(records), err)
	}
	return nil
}

// route is where the records of a topic go.
type route struct {
	name       string
	partitions int32
}

func (p *Producer) route(ctx context.Context, known map[string]route, topic string) (route, error) {
	to, ok := known[topic]
	if ok || p.Route == nil {
		return to, nil
	}
	var err error
	to.name, to.partitions, err = p.Route(ctx, topic)
	known[topic] = to
	return to, err
}

// of returns a record on its way: its partition comes from the routing key anew.
func (to route) of(r pipeline.Record) pipeline.Record {
	if to.name == "" || to.name == r.Topic {
		return r
	}
	key := r.Key
	for _, h := range r.Headers {
		if h.Key == pipeline.HeaderRoutingKey {
			key = h.Value
		}
	}
	r.Topic, r.Partition = to.name, pipeline.Partition(string(key), to.partitions)
	return r
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
