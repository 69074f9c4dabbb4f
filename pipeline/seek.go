package pipeline

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// ChannelSeek is notified where partitions were moved or their owners fenced; the payload is the topic.
const ChannelSeek = "daybreak_seek"

// SeekMove is what a seek does to one partition: it goes back from From to To, and its records between are
// read again. Applied, Held and Dead say what the book has of them already, which changes nothing again;
// New is what is left, and would be applied for the first time where it can be.
type SeekMove struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	From      int64  `json:"from_offset"`
	To        int64  `json:"to_offset"`
	Records   int64  `json:"records"`
	Applied   int64  `json:"applied"`
	Held      int64  `json:"held"`
	Dead      int64  `json:"dead"`
	New       int64  `json:"others"` // duplicates, and what an earlier book lost
}

// Seek is a rewind of partitions of one topic, in the name of a person.
type Seek struct {
	Topic string
	Moves []SeekMove
	By    string
	Why   string
	Now   time.Time
}

// SeekMoves returns the moves of the places of one topic to offsets, by partition. Those that targets
// lack stay; with exact a target beyond what was read, or before the first record, is ErrState: a seek
// skips nothing. Else such a target is cut to what can be read.
func SeekMoves(places []StreamPlace, targets map[int32]int64, ends map[int32]TopicEnd, exact bool) ([]SeekMove, error) {
	var moves []SeekMove
	for _, p := range places {
		to, wanted := targets[p.Partition]
		if !wanted {
			continue
		}
		start := ends[p.Partition].Start
		switch {
		case exact && to > p.Next:
			return nil, fmt.Errorf("%s partition %d: offset %d is beyond %d, the next to be read: a seek skips nothing: %w", p.Topic, p.Partition, to, p.Next, ErrState)
		case exact && to < start:
			return nil, fmt.Errorf("%s partition %d: offset %d is gone, the first is %d: %w", p.Topic, p.Partition, to, start, ErrState)
		}
		to = min(max(to, start), p.Next)
		if to < p.Next || exact {
			moves = append(moves, SeekMove{Topic: p.Topic, Partition: p.Partition, From: p.Next, To: to, Records: p.Next - to})
		}
	}
	for _, partition := range slices.Sorted(maps.Keys(targets)) {
		if exact && !slices.ContainsFunc(places, func(p StreamPlace) bool { return p.Partition == partition }) {
			return nil, fmt.Errorf("partition %d was never read: %w", partition, ErrNotFound)
		}
	}
	return moves, nil
}
