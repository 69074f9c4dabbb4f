package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"daybreak/pipeline"
)

// headBytes is what is fetched of a partition to see its first record; a larger batch comes whole.
const headBytes = 64 << 10

// TopicEnds returns where the partitions of a topic begin and end, and when the first record at or after
// each next offset was written. It joins no group and moves no offset.
func TopicEnds(ctx context.Context, brokers []string, topic string, next map[int32]int64) (map[int32]pipeline.TopicEnd, error) {
	all := map[int32]pipeline.TopicEnd{}
	lagging := map[int32]kgo.Offset{}
	err := withAdmin(ctx, brokers, func(admin *kadm.Client) error {
		r := reading{topic: topic, at: map[int32]kgo.Offset{}, ends: map[int32]int64{}}
		starts, err := admin.ListStartOffsets(ctx, topic)
		if err != nil {
			return fmt.Errorf("topic %s: %w", topic, err)
		}
		if err := r.bound(ctx, admin, next); err != nil {
			return err
		}
		for p, at := range starts[topic] {
			all[p] = pipeline.TopicEnd{Start: at.Offset, End: max(at.Offset, next[p])}
		}
		for p, end := range r.ends {
			all[p] = pipeline.TopicEnd{Start: all[p].Start, End: end}
			if _, isOurs := next[p]; isOurs {
				lagging[p] = r.at[p]
			}
		}
		return nil
	})
	if err != nil || len(lagging) == 0 {
		return all, err
	}
	heads, err := heads(ctx, brokers, topic, lagging)
	for p, at := range heads {
		end := all[p]
		end.Oldest = &at
		all[p] = end
	}
	return all, err
}

// heads returns when the first record at or after each offset was written.
func heads(ctx context.Context, brokers []string, topic string, at map[int32]kgo.Offset) (map[int32]time.Time, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.FetchMaxPartitionBytes(headBytes),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: at}))
	if err != nil {
		return nil, fmt.Errorf("topic %s: %w", topic, err)
	}
	defer client.Close()
	found := make(map[int32]time.Time, len(at))
	for len(found) < len(at) {
		fetches, err := pollFor(ctx, client, 0)
		if err != nil {
			return nil, fmt.Errorf("topic %s: %w", topic, err)
		}
		if fetches.Empty() {
			break // what is left are marks of transactions
		}
		var seen []int32
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			if _, known := found[p.Partition]; !known && len(p.Records) > 0 {
				found[p.Partition] = p.Records[0].Timestamp
				seen = append(seen, p.Partition)
			}
		})
		client.PauseFetchPartitions(map[string][]int32{topic: seen})
	}
	return found, nil
}

// OffsetsAt returns the first offset of each partition of a topic whose record was written at an instant
// or later; the end where there is none.
func OffsetsAt(ctx context.Context, brokers []string, topic string, at time.Time) (map[int32]int64, error) {
	offsets := map[int32]int64{}
	err := withAdmin(ctx, brokers, func(admin *kadm.Client) error {
		found, err := admin.ListOffsetsAfterMilli(ctx, at.UnixMilli(), topic)
		if err != nil {
			return fmt.Errorf("topic %s: offsets at %s: %w", topic, at.Format(time.RFC3339), err)
		}
		for p, o := range found[topic] {
			if o.Err != nil {
				return fmt.Errorf("topic %s partition %d: offset at %s: %w", topic, p, at.Format(time.RFC3339), o.Err)
			}
			offsets[p] = o.Offset
		}
		return nil
	})
	return offsets, err
}
