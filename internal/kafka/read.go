package kafka

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"daybreak/pipeline"
)

// ReadTopic returns the first records of a topic from offsets on, by partition and offset, at most
// limit: those that are there now. Partitions that from lacks are read from their beginning. It joins
// no group and moves no offset.
func ReadTopic(ctx context.Context, brokers []string, topic string, from map[int32]int64, limit int) ([]pipeline.Record, error) {
	r := reading{topic: topic, at: map[int32]kgo.Offset{}, ends: map[int32]int64{}}
	err := withAdmin(ctx, brokers, func(admin *kadm.Client) error { return r.bound(ctx, admin, from) })
	if err != nil || len(r.at) == 0 {
		return nil, err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: r.at}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords()) // marks of transactions may be the last
	if err != nil {
		return nil, fmt.Errorf("topic %s: %w", topic, err)
	}
	defer client.Close()
	return r.read(ctx, client, limit)
}

// reading is what there is to read of a topic.
type reading struct {
	topic string
	at    map[int32]kgo.Offset
	ends  map[int32]int64 // of partitions that are not read to their end yet
}

// bound finds out where each partition begins and ends now.
func (r *reading) bound(ctx context.Context, admin *kadm.Client, from map[int32]int64) error {
	starts, err := admin.ListStartOffsets(ctx, r.topic)
	if err != nil {
		return fmt.Errorf("topic %s: %w", r.topic, err)
	}
	ends, err := admin.ListEndOffsets(ctx, r.topic)
	if err != nil {
		return fmt.Errorf("topic %s: %w", r.topic, err)
	}
	for p, end := range ends[r.topic] {
		if end.Err != nil {
			return fmt.Errorf("topic %s partition %d: %w", r.topic, p, end.Err)
		}
		if first := max(starts[r.topic][p].Offset, from[p]); first < end.Offset {
			r.at[p], r.ends[p] = kgo.NewOffset().At(first), end.Offset
		}
	}
	return nil
}

func (r *reading) read(ctx context.Context, client *kgo.Client, limit int) ([]pipeline.Record, error) {
	var records []pipeline.Record
	for len(r.ends) > 0 && len(records) < limit {
		fetches, err := pollFor(ctx, client, limit-len(records))
		if err != nil {
			return nil, fmt.Errorf("topic %s: %w", r.topic, err)
		}
		if fetches.Empty() {
			break // the last records were aborted, or compacted away
		}
		fetches.EachRecord(func(k *kgo.Record) {
			end, wanted := r.ends[k.Partition]
			if wanted && k.Offset < end && !k.Attrs.IsControl() {
				records = append(records, fromKafka(k))
			}
			if k.Offset+1 >= end {
				delete(r.ends, k.Partition)
			}
		})
	}
	slices.SortStableFunc(records, comparePlaces)
	return records, nil
}

// quietMax is how long a topic that should have more records may give none.
const quietMax = 3 * time.Second

func pollFor(ctx context.Context, client *kgo.Client, limit int) (kgo.Fetches, error) {
	until, cancel := context.WithTimeout(ctx, quietMax)
	defer cancel()
	fetches := client.PollRecords(until, limit)
	if until.Err() != nil && ctx.Err() == nil {
		return nil, nil
	}
	return fetches, fetches.Err()
}
