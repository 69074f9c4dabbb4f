package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"daybreak/internal/kafka"
	"daybreak/pipeline"
)

// generationLook is how often a process asks for generations of the stream that were opened.
const generationLook = time.Second

// generations reads the stream: each generation by lanes of its own, from when it is opened. Earlier
// ones are read on, for what a producer sent late.
func (s *services) generations(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	tick := time.NewTicker(generationLook)
	defer tick.Stop()
	for started := 0; ctx.Err() == nil; {
		all, err := s.db.Generations(ctx)
		if err != nil && started == 0 {
			return err
		}
		for ; started < len(all) && all[started].Opened; started++ {
			g := all[started]
			for lane := range fillsLanes {
				group.Go(func() error { return s.fillsLane(ctx, g, lane) })
			}
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	return group.Wait()
}

// generationConsumer is a consumer of a topic in a generation.
func (s *services) generationConsumer(g pipeline.Generation, topic, group string, batchMax int, h pipeline.Handler) *kafka.Consumer {
	if g.Number == 1 {
		return s.consumer(topic, group, batchMax, h)
	}
	c := s.consumer(g.Name(topic), g.Name(group), batchMax, g.Handler(topic, h))
	c.Offsets = g.Offsets(topic, s.db)
	return c
}

// migrateTopics cuts the stream over to a number of partitions.
func (s *services) migrateTopics(ctx context.Context, partitions int32, tell func(string)) (pipeline.Generation, error) {
	topics, err := kafka.Topics()
	if err != nil {
		return pipeline.Generation{}, err
	}
	m := pipeline.Migration{
		Book: s.db,
		Create: func(ctx context.Context, g pipeline.Generation) error {
			_, err := kafka.EnsureTopics(ctx, s.where.Brokers, topicsOfGeneration(topics, g))
			return err
		},
		Ends:   s.topicEnds,
		Settle: 2 * time.Second,
		Tell:   tell,
	}
	return m.Run(ctx, partitions)
}

// topicEnds returns the offsets at which the partitions of a topic end now.
func (s *services) topicEnds(ctx context.Context, name string) (map[int32]int64, error) {
	found, err := kafka.TopicEnds(ctx, s.where.Brokers, name, nil)
	ends := make(map[int32]int64, len(found))
	for p, e := range found {
		ends[p] = e.End
	}
	return ends, err
}

// topicsOfGeneration returns the topics of the stream as the file has them, under the generation's
// names and with its partitions.
func topicsOfGeneration(topics []kafka.Topic, g pipeline.Generation) []kafka.Topic {
	var all []kafka.Topic
	for _, name := range pipeline.StreamTopics {
		for _, t := range topics {
			if t.Name == name {
				t.Name, t.Partitions = g.Name(name), g.Partitions
				all = append(all, t)
			}
		}
	}
	return all
}

func generationText(g pipeline.Generation) string {
	return fmt.Sprintf("%s and %s are read, with %d partitions each", g.Name(pipeline.TopicFills), g.Name(pipeline.TopicEvents), g.Partitions)
}
