package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"daybreak/pipeline"
)

// FencedProducer writes records in transactions under one id: a later producer of the same id keeps
// what an earlier one still has under way from arriving. It is what a relay needs that may be killed,
// or stopped and woken, at any point. One goroutine uses it at a time.
type FencedProducer struct {
	client  *kgo.Client
	admin   *kadm.Client
	brokers []string
}

// bookTransactions is the transactional id of what the book streams on.
const bookTransactions = "daybreak.book"

// transactionMax is how long the brokers wait for the end of a transaction whose producer is gone.
const transactionMax = 20 * time.Second

// NewFencedProducer returns a producer for brokers (host:port). The caller closes it.
func NewFencedProducer(brokers []string) (*FencedProducer, error) {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(brokers...),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordDeliveryTimeout(30*time.Second),
		kgo.TransactionalID(bookTransactions),
		kgo.TransactionTimeout(transactionMax),
	)
	if err != nil {
		return nil, fmt.Errorf("kafka producer: %w", err)
	}
	return &FencedProducer{client: client, admin: kadm.NewClient(client), brokers: brokers}, nil
}

// Close gives up the connections.
func (p *FencedProducer) Close() { p.client.Close() }

// Partitions implements pipeline.FencedPublisher.
func (p *FencedProducer) Partitions(ctx context.Context, topic string) (int32, error) {
	detail, err := topicDetail(ctx, p.admin, topic)
	return int32(len(detail.Partitions)), err
}

// fenceTopics are the topics that a fence looks into.
var fenceTopics = []string{pipeline.TopicBalances, pipeline.TopicOrders}

// Fence implements pipeline.FencedPublisher.
func (p *FencedProducer) Fence(ctx context.Context, after pipeline.TopicEnds) ([]pipeline.Record, error) {
	if _, _, err := p.client.ProducerID(ctx); err != nil {
		return nil, fmt.Errorf("fence earlier owners: %w", err)
	}
	var all []pipeline.Record
	for _, topic := range fenceTopics {
		records, err := ReadTopic(ctx, p.brokers, topic, after[topic], tailMax)
		if err != nil {
			return nil, err
		}
		if len(records) == tailMax && after[topic] != nil {
			return nil, fmt.Errorf("topic %s has %d records or more beyond the relay's place: it has another writer", topic, tailMax)
		}
		all = append(all, records...)
	}
	return all, nil
}

// tailMax bounds what an owner may have sent beyond its last stored place: one round.
const tailMax = 1_000_000

// PublishAll implements pipeline.FencedPublisher.
func (p *FencedProducer) PublishAll(ctx context.Context, records []pipeline.Record) (pipeline.TopicEnds, error) {
	if err := p.client.BeginTransaction(); err != nil {
		return nil, fmt.Errorf("publish %d records: %w", len(records), err)
	}
	out := make([]*kgo.Record, len(records))
	for i, r := range records {
		out[i] = toKafka(r)
	}
	err := p.client.ProduceSync(ctx, out...).FirstErr()
	if end := p.client.EndTransaction(ctx, kgo.TransactionEndTry(err == nil)); err == nil {
		err = end
	}
	if err != nil {
		return nil, fmt.Errorf("publish %d records: %w", len(records), err)
	}
	ends := pipeline.TopicEnds{}
	for _, r := range out {
		if ends[r.Topic] == nil {
			ends[r.Topic] = map[int32]int64{}
		}
		ends[r.Topic][r.Partition] = max(ends[r.Topic][r.Partition], r.Offset+1)
	}
	return ends, nil
}
