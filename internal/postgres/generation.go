package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"daybreak/pipeline"
)

var _ pipeline.GenerationBook = (*DB)(nil)

// Generations implements pipeline.GenerationBook.
func (db *DB) Generations(ctx context.Context) ([]pipeline.Generation, error) {
	all, err := loadRecords[pipeline.Generation](ctx, db, "Generations")
	if err != nil {
		return nil, fmt.Errorf("generations of the stream: %w", err)
	}
	if len(all) == 0 {
		all = []pipeline.Generation{{Number: 1, Opened: true}}
	}
	return all, nil
}

// AddGeneration implements pipeline.GenerationBook.
func (db *DB) AddGeneration(ctx context.Context, present, partitions int32) (pipeline.Generation, error) {
	var g pipeline.Generation
	err := db.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, query("FirstGeneration"), present); err != nil {
			return err
		}
		return tx.QueryRow(ctx, query("AddGeneration"), partitions).Scan(&g.Number, &g.Partitions, &g.Base, &g.Opened)
	})
	if err != nil {
		return g, fmt.Errorf("next generation of the stream: %w", err)
	}
	return g, nil
}

// OpenGeneration implements pipeline.GenerationBook.
func (db *DB) OpenGeneration(ctx context.Context, number int) error {
	if _, err := db.pool.Exec(ctx, query("OpenGeneration"), number); err != nil {
		return fmt.Errorf("open generation %d of the stream: %w", number, err)
	}
	return nil
}

// TopicRoute returns the name of the topic that records of a topic go to now, and its partitions.
func (db *DB) TopicRoute(ctx context.Context, topic string) (string, int32, error) {
	if !slices.Contains(pipeline.StreamTopics, topic) {
		return topic, 0, nil
	}
	all, err := db.Generations(ctx)
	if err != nil {
		return "", 0, err
	}
	newest := all[len(all)-1]
	return newest.Name(topic), newest.Partitions, nil
}
