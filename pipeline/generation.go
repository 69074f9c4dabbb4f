package pipeline

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Generation is the topics of the stream with one number of partitions. A later one takes over at a
// cut: producers write to it, and it is read once the one before it was read to its end. The book
// counts partitions on, so that a place names one record for ever.
type Generation struct {
	Number     int   `json:"generation"` // from 1
	Partitions int32 `json:"partitions"` // 0 of the first one before there is a second
	Base       int32 `json:"base"`       // partition p is Base + p in the book
	Opened     bool  `json:"opened"`     // it is read
}

// Name returns the name of a topic in the generation.
func (g Generation) Name(topic string) string {
	if g.Number <= 1 {
		return topic
	}
	return fmt.Sprintf("%s.v%d", topic, g.Number)
}

// generationOffsets are the positions of a generation's partitions.
type generationOffsets struct {
	inner      Offsets
	topic      string
	generation Generation
}

// Offsets returns the positions of a topic in the generation, which inner keeps under the topic's own
// name.
func (g Generation) Offsets(topic string, inner Offsets) Offsets {
	return generationOffsets{inner, topic, g}
}

// Assign implements Offsets.
func (o generationOffsets) Assign(ctx context.Context, _, topicID string, partitions []int32) (map[int32]Position, error) {
	base := o.generation.Base
	booked := make([]int32, len(partitions))
	for i, p := range partitions {
		booked[i] = base + p
	}
	at, err := o.inner.Assign(ctx, o.topic, topicID, booked)
	positions := make(map[int32]Position, len(at))
	for p, position := range at {
		positions[p-base] = position
	}
	return positions, err
}

// generationHandler hands batches of a generation on as the book counts them.
type generationHandler struct {
	inner      Handler
	topic      string
	generation Generation
}

// Handler returns the handler of a topic in the generation.
func (g Generation) Handler(topic string, inner Handler) Handler {
	return generationHandler{inner, topic, g}
}

// Handle implements Handler.
func (h generationHandler) Handle(ctx context.Context, b Batch) error {
	b.Topic, b.Spans, b.Records = h.topic, slices.Clone(b.Spans), slices.Clone(b.Records)
	for i := range b.Spans {
		b.Spans[i].Partition += h.generation.Base
	}
	for i := range b.Records {
		b.Records[i].Topic, b.Records[i].Partition = h.topic, b.Records[i].Partition+h.generation.Base
	}
	return h.inner.Handle(ctx, b)
}

// GenerationBook keeps the generations of the stream.
type GenerationBook interface {
	// Generations returns them all, oldest first; there is always one.
	Generations(ctx context.Context) ([]Generation, error)
	// AddGeneration makes the next one, which producers write to from now on, where the last one is
	// open; present is the number of partitions of the last one.
	AddGeneration(ctx context.Context, present, partitions int32) (Generation, error)
	// OpenGeneration has a generation read.
	OpenGeneration(ctx context.Context, number int) error
	// NextOffsets returns the next offset of every partition of a topic that the book has a position of.
	NextOffsets(ctx context.Context, topic string) (map[int32]int64, error)
}

// StreamTopics are the topics that a generation has.
var StreamTopics = []string{TopicFills, TopicEvents}

// Migration cuts the stream over to another number of partitions while it runs. It may be stopped at
// any point and run again.
type Migration struct {
	Book   GenerationBook
	Create func(ctx context.Context, g Generation) error // makes the topics of a generation where they lack
	Ends   func(ctx context.Context, name string) (map[int32]int64, error)
	Settle time.Duration // how long the old topics must have got nothing
	Tell   func(line string)
}

// Run cuts over to a number of partitions and returns the generation that is read in the end. Where the
// last one has that number, it is done.
func (m Migration) Run(ctx context.Context, partitions int32) (Generation, error) {
	all, err := m.Book.Generations(ctx)
	if err != nil {
		return Generation{}, err
	}
	last := all[len(all)-1]
	present, err := m.Ends(ctx, last.Name(TopicFills))
	if err != nil {
		return last, err
	}
	if last.Opened && len(present) == int(partitions) {
		return last, nil
	}
	if last.Opened {
		next := Generation{Number: last.Number + 1, Partitions: partitions, Base: last.Base + int32(len(present))}
		if err := m.Create(ctx, next); err != nil {
			return last, err
		}
		if next, err = m.Book.AddGeneration(ctx, int32(len(present)), partitions); err != nil {
			return last, err
		}
		all = append(all, next)
	} else if last.Partitions != partitions {
		return last, fmt.Errorf("a migration to %d partitions is under way: finish that one first", last.Partitions)
	}
	old, next := all[len(all)-2], all[len(all)-1]
	m.Tell(fmt.Sprintf("producers write to %s and %s; %s and %s are read to their ends", next.Name(TopicFills), next.Name(TopicEvents),
		old.Name(TopicFills), old.Name(TopicEvents)))
	if err := m.drain(ctx, old); err != nil {
		return next, err
	}
	next.Opened = true
	return next, m.Book.OpenGeneration(ctx, next.Number)
}

// drain waits until the topics of a generation were read to their ends, and got nothing for a while.
func (m Migration) drain(ctx context.Context, g Generation) error {
	const look = 200 * time.Millisecond
	var before map[string]map[int32]int64
	for quiet := time.Duration(0); quiet < m.Settle; {
		now := map[string]map[int32]int64{}
		left := int64(0)
		for _, topic := range StreamTopics {
			ends, err := m.Ends(ctx, g.Name(topic))
			if err != nil {
				return err
			}
			next, err := m.Book.NextOffsets(ctx, topic)
			if err != nil {
				return err
			}
			for p, end := range ends {
				left += max(0, end-next[g.Base+p])
			}
			now[topic] = ends
		}
		if left > 0 || before != nil && !maps.EqualFunc(before, now, maps.Equal[map[int32]int64, map[int32]int64]) {
			quiet = 0
			m.Tell(fmt.Sprintf("%d records to go", left))
		} else {
			quiet += look
		}
		before = now
		wait(ctx, nil, look)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}
