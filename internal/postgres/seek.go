package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"daybreak/pipeline"
)

// StreamPlaces returns how far the book has the partitions of a topic, or of all where topic is empty, by
// topic and partition.
func (db *DB) StreamPlaces(ctx context.Context, topic string) ([]pipeline.StreamPlace, error) {
	all, err := rowsOf[pipeline.StreamPlace](ctx, db, "StreamPlaces", topic)
	if err != nil {
		return nil, fmt.Errorf("places in the stream: %w", err)
	}
	return all, nil
}

// SaveLatency stores what a member of this build has counted since it started, by topic.
func (db *DB) SaveLatency(ctx context.Context, m StreamMember, counted map[string]pipeline.Latency) error {
	b := &pgx.Batch{}
	for topic, l := range counted {
		b.Queue(query("StreamMemberSave"), m.Name, topic, m.Build, m.Started, m.At, l.Buckets, l.Seconds)
	}
	if err := db.pool.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("latency of %s: %w", m.Name, err)
	}
	return nil
}

// StreamMember is a process that consumes.
type StreamMember struct {
	Name    string
	Build   string
	Started time.Time
	At      time.Time
}

// Latencies returns what the members that were alive after an instant have counted, by topic.
func (db *DB) Latencies(ctx context.Context, since time.Time) (map[string]pipeline.Latency, error) {
	all := map[string]pipeline.Latency{}
	err := db.inTx(ctx, func(tx pgx.Tx) error {
		var topic string
		var l pipeline.Latency
		return eachRow(ctx, tx, scan{"StreamMembers", []any{since}, []any{&topic, &l.Buckets, &l.Seconds}}, func() {
			all[topic] = all[topic].Add(l)
		})
	})
	return all, err
}

// PreviewSeek enters into moves what the book has of the records that they read again.
func (db *DB) PreviewSeek(ctx context.Context, moves []pipeline.SeekMove) error {
	if len(moves) == 0 {
		return nil
	}
	partitions, to := make([]int32, len(moves)), make([]int64, len(moves))
	byPartition := map[int32]*pipeline.SeekMove{}
	for i := range moves {
		partitions[i], to[i] = moves[i].Partition, moves[i].To
		byPartition[moves[i].Partition] = &moves[i]
	}
	rows, err := db.pool.Query(ctx, query("StreamKnown"), moves[0].Topic, partitions, to)
	if err != nil {
		return fmt.Errorf("preview of a seek: %w", err)
	}
	var partition int32
	var applied, held, dead int64
	_, err = pgx.ForEachRow(rows, []any{&partition, &applied, &held, &dead}, func() error {
		m := byPartition[partition]
		m.Applied, m.Held, m.Dead = applied, held, dead
		m.New = max(m.Records-applied-held-dead, 0)
		return nil
	})
	if err != nil {
		return fmt.Errorf("preview of a seek: %w", err)
	}
	return nil
}

// Seek moves partitions back, fences their owners, and wakes them, in one transaction with its audit row.
// It returns pipeline.ErrState where a partition cannot go where it should: nothing has moved then.
func (db *DB) Seek(ctx context.Context, action string, s pipeline.Seek) error {
	n := len(s.Moves)
	partitions, from, to := make([]int32, n), make([]int64, n), make([]int64, n)
	detail := map[string]any{"why": s.Why, "moves": s.Moves}
	for i, m := range s.Moves {
		partitions[i], from[i], to[i] = m.Partition, m.From, m.To
	}
	return db.inTx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, query("StreamSeek"), s.Topic, partitions, from, to)
		if err != nil {
			return fmt.Errorf("topic %s: seek: %w", s.Topic, err)
		}
		if tag.RowsAffected() != int64(n) {
			return fmt.Errorf("topic %s: %d of %d partitions can go there: %w", s.Topic, tag.RowsAffected(), n, pipeline.ErrState)
		}
		if _, err := tx.Exec(ctx, query("Notify"), pipeline.ChannelSeek, s.Topic); err != nil {
			return fmt.Errorf("topic %s: seek: %w", s.Topic, err)
		}
		return writeAudit(ctx, tx, AuditEntry{At: s.Now, Actor: s.By, Action: action, Subject: s.Topic, Detail: detail})
	})
}
