package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"daybreak/pipeline"
)

// Assign implements pipeline.Offsets.
func (db *DB) Assign(ctx context.Context, topic, topicID string, partitions []int32) (map[int32]pipeline.Position, error) {
	positions := make(map[int32]pipeline.Position, len(partitions))
	err := db.inTx(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, query("StreamAssign"), topic, partitions, topicID)
		if err != nil {
			return fmt.Errorf("topic %s: assign partitions: %w", topic, err)
		}
		var (
			partition int32
			known     string
			at        pipeline.Position
		)
		_, err = pgx.ForEachRow(rows, []any{&partition, &known, &at.Next, &at.Epoch}, func() error {
			if known != topicID {
				return fmt.Errorf("topic %s was deleted and made anew (id %s, the book knows %s): "+
					"its offsets start again; restore the topic, or clear its rows of stream_offset on purpose", topic, topicID, known)
			}
			positions[partition] = at
			return nil
		})
		return err
	})
	return positions, err
}

// commitOffsets moves the offsets of a batch, or gives dead letters their ends, inside the transaction of
// the effects. It returns
// pipeline.ErrFenced where a partition was not as the batch believes; the caller rolls back.
func commitOffsets(ctx context.Context, tx pgx.Tx, b pipeline.Batch) error {
	if len(b.Letters) > 0 {
		return settleLetters(ctx, tx, b.Letters)
	}
	n := len(b.Spans)
	partitions, first, next, epochs := make([]int32, n), make([]int64, n), make([]int64, n), make([]int64, n)
	applied, duplicate, held, dead := make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n)
	last := make([]time.Time, n)
	for i, s := range b.Spans {
		partitions[i], first[i], next[i], epochs[i] = s.Partition, s.First, s.Next, s.Epoch
		applied[i], duplicate[i], held[i], dead[i], last[i] = s.Applied, s.Duplicate, s.Held, s.Dead, s.LastRecord
	}
	tag, err := tx.Exec(ctx, query("StreamCommit"), b.Topic, partitions, first, next, epochs, applied, duplicate, held, dead, last)
	if err != nil {
		return fmt.Errorf("topic %s: commit offsets: %w", b.Topic, err)
	}
	if tag.RowsAffected() != int64(n) {
		return fmt.Errorf("topic %s: %d of %d offsets moved: %w", b.Topic, tag.RowsAffected(), n, pipeline.ErrFenced)
	}
	return nil
}

// NextOffsets returns the next offset of every partition of a topic that the book has a position of.
func (db *DB) NextOffsets(ctx context.Context, topic string) (map[int32]int64, error) {
	rows, err := db.pool.Query(ctx, query("StreamNext"), topic)
	if err != nil {
		return nil, fmt.Errorf("topic %s: offsets: %w", topic, err)
	}
	all := map[int32]int64{}
	var partition int32
	var next int64
	_, err = pgx.ForEachRow(rows, []any{&partition, &next}, func() error {
		all[partition] = next
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("topic %s: offsets: %w", topic, err)
	}
	return all, nil
}
