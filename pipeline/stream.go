package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"time"

	"daybreak/portfolio"
)

// Topics of the day. Their partition counts are in deploy/kafka/topics.yaml.
const (
	TopicWork        = "daybreak.work"
	TopicFills       = "daybreak.fills"
	TopicDeadLetters = "daybreak.fills.dlq"
	TopicEvents      = "daybreak.events"
	TopicBalances    = "daybreak.balances"
	TopicOrders      = "daybreak.orders"
)

// HeaderRoutingKey is the header that carries the routing key a record's partition comes from.
const HeaderRoutingKey = "routing_key"

// ErrFenced is returned by a Handler where another owner has taken over a partition of the batch:
// nothing was written, and the caller must give the partition up.
var ErrFenced = errors.New("partition has another owner")

// Header is one header of a record.
type Header struct {
	Key   string
	Value []byte
}

// Record is one record of a topic, as it was read or is to be written. For a record to be written
// Offset is ignored.
type Record struct {
	Topic     string
	Partition int32
	Offset    int64
	Key       []byte
	Value     []byte
	Headers   []Header
	Time      time.Time
}

// Span is what one transaction does to one partition: it moves the next offset from First to Next
// and counts how each record in between ended.
type Span struct {
	Partition  int32
	First      int64 // the next offset as the owner believes it to be
	Next       int64 // last offset of the batch + 1; transactions and compaction leave gaps
	Epoch      int64
	Applied    int64
	Duplicate  int64
	Held       int64
	Dead       int64
	LastRecord time.Time
}

// Batch is what a consumer hands to its handler: records of one topic in order of partition and
// offset, and a span for each partition that they touch. A replay of dead letters has their ends
// in place of spans.
type Batch struct {
	Topic   string
	Spans   []Span // by partition
	Records []Record
	Letters []LetterEnd
}

// Span returns the span of a partition; nil where the batch has none.
func (b *Batch) Span(partition int32) *Span {
	for i := range b.Spans {
		if b.Spans[i].Partition == partition {
			return &b.Spans[i]
		}
	}
	return nil
}

// Handler applies a batch: all effects and the new offsets in one transaction. It returns
// ErrFenced where an offset or epoch was not what the batch says. Handle may be called again with
// the same records after an error.
type Handler interface {
	Handle(ctx context.Context, b Batch) error
}

// Position is where the owner of a partition goes on, and under which epoch.
type Position struct {
	Next  int64
	Epoch int64
}

// Offsets keeps the position of every partition beside the effects.
type Offsets interface {
	// Assign makes the caller the owner of partitions: it raises their epochs, so that every
	// earlier owner is fenced. It refuses a topic of another id than the one it knows, which has
	// been deleted and made anew.
	Assign(ctx context.Context, topic, topicID string, partitions []int32) (map[int32]Position, error)
}

// Publisher writes records to their topics and returns when all are acknowledged by the brokers.
type Publisher interface {
	Publish(ctx context.Context, records []Record) error
	// Partitions returns the partition count of a topic.
	Partitions(ctx context.Context, topic string) (int32, error)
}

// Partition returns the partition of a routing key among n: the first eight bytes of its SHA-256,
// big endian, modulo n. It never changes, so that an account's records stay in order for ever.
func Partition(routingKey string, n int32) int32 {
	sum := sha256.Sum256([]byte(routingKey))
	return int32(binary.BigEndian.Uint64(sum[:8]) % uint64(n))
}

// Work asks for one household to be planned in one run; it is a record of TopicWork in JSON.
type Work struct {
	Run       string                `json:"run"`
	Household portfolio.HouseholdID `json:"household"`
}
