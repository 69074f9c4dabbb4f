package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"daybreak/market"
	"daybreak/pipeline"
	"daybreak/pipeline/engine"
)

// ArchivedDays implements engine.ArchiveStore.
func (db *DB) ArchivedDays(ctx context.Context) ([]engine.ArchivedDay, error) {
	rows, err := db.pool.Query(ctx, query("ArchiveDays"))
	if err != nil {
		return nil, fmt.Errorf("archived days: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[engine.ArchivedDay])
}

// StoredDays implements engine.ArchiveStore.
func (db *DB) StoredDays(ctx context.Context, before market.Day) ([]market.Day, error) {
	rows, err := db.pool.Query(ctx, query("ArchiveStored"), before)
	if err != nil {
		return nil, fmt.Errorf("days of the journal: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[market.Day])
}

// NoteArchived implements engine.ArchiveStore.
func (db *DB) NoteArchived(ctx context.Context, d engine.ArchivedDay) error {
	if _, err := db.pool.Exec(ctx, query("ArchiveNote"), archiveArgs(d)...); err != nil {
		return fmt.Errorf("archived day %s: %w", d.Day, err)
	}
	return nil
}

func archiveArgs(d engine.ArchivedDay) []any {
	return []any{d.Day, d.Place, d.State, d.Lines, d.Finished, d.Hash, d.FirstBatch, d.LastBatch, d.Actor, d.Changed}
}

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// dayRows reads the rows of a day one by one.
type dayRows struct{ from querier }

func (r dayRows) EachLine(ctx context.Context, day market.Day, _ []int64, yield func(engine.ArchivedLine) error) error {
	rows, err := r.from.Query(ctx, query("ArchiveLines"), day)
	if err != nil {
		return fmt.Errorf("journal of %s: %w", day, err)
	}
	defer rows.Close()
	for rows.Next() {
		var l engine.ArchivedLine
		if err := rows.Scan(&l.Day, &l.Batch, &l.Line.Line, &l.LastOffset, &l.Definition, &l.Worker, &l.At, &l.Instances, &l.Body, &l.Topic, &l.Partition); err != nil {
			return fmt.Errorf("journal of %s: %w", day, err)
		}
		if err := yield(l); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (r dayRows) EachFinished(ctx context.Context, day market.Day, _ string, yield func(engine.Finished) error) error {
	rows, err := r.from.Query(ctx, query("ArchiveFinished"), day)
	if err != nil {
		return fmt.Errorf("instances of %s: %w", day, err)
	}
	defer rows.Close()
	for rows.Next() {
		f, err := pgx.RowToStructByPos[engine.Finished](rows)
		if err != nil {
			return fmt.Errorf("instances of %s: %w", day, err)
		}
		if err := yield(f); err != nil {
			return err
		}
	}
	return rows.Err()
}

// EachLine implements engine.DayRows; it yields all batches.
func (db *DB) EachLine(ctx context.Context, day market.Day, batches []int64, yield func(engine.ArchivedLine) error) error {
	return dayRows{db.pool}.EachLine(ctx, day, batches, yield)
}

// EachFinished implements engine.DayRows; it yields all instances.
func (db *DB) EachFinished(ctx context.Context, day market.Day, id string, yield func(engine.Finished) error) error {
	return dayRows{db.pool}.EachFinished(ctx, day, id, yield)
}

// DropDay implements engine.ArchiveStore.
func (db *DB) DropDay(ctx context.Context, d engine.ArchivedDay) error {
	return db.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, query("ArchivePatience")); err != nil {
			return err
		}
		var state string
		if err := tx.QueryRow(ctx, query("ArchiveState"), d.Day).Scan(&state); err != nil {
			return notFound("archived day "+d.Day.String(), err)
		}
		if state != engine.ArchiveVerified {
			return fmt.Errorf("archived day %s is %s, not verified: %w", d.Day, state, pipeline.ErrState)
		}
		if _, err := tx.Exec(ctx, query("ArchiveLockDay"), d.Day); err != nil {
			return err
		}
		var needed int
		if err := tx.QueryRow(ctx, query("ArchiveInterrupted"), d.Day).Scan(&needed); err != nil {
			return err
		}
		if needed > 0 {
			return fmt.Errorf("day %s: %d lines are of batches that have not ended: %w", d.Day, needed, pipeline.ErrState)
		}
		if err := sameDay(ctx, tx, d); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, query("ArchiveDropDay"), d.Day); err != nil {
			return err
		}
		d.State = engine.ArchiveDropped
		_, err := tx.Exec(ctx, query("ArchiveNote"), archiveArgs(d)...)
		return err
	})
}

// sameDay compares the rows of a day with what its archive has.
func sameDay(ctx context.Context, tx pgx.Tx, d engine.ArchivedDay) error {
	found, err := engine.DigestOf(ctx, dayRows{tx}, d.Day)
	if err != nil {
		return err
	}
	if found.Hash != d.Hash {
		return fmt.Errorf("day %s has %d lines and %d instances, its archive %d and %d: %w", d.Day, found.Lines, found.Finished, d.Lines, d.Finished, engine.ErrArchiveDiffers)
	}
	return nil
}

// restoreRowsMax are the rows that go to the server in one round trip.
const restoreRowsMax = 64

// RestoreDay implements engine.ArchiveStore.
func (db *DB) RestoreDay(ctx context.Context, d engine.ArchivedDay, from engine.DayRows) error {
	return db.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, query("EngineMakeDay"), d.Day); err != nil {
			return err
		}
		var batch pgx.Batch
		send := func(isLast bool) error {
			if batch.Len() == 0 || !isLast && batch.Len() < restoreRowsMax {
				return nil
			}
			err := tx.SendBatch(ctx, &batch).Close()
			batch = pgx.Batch{}
			return err
		}
		err := from.EachLine(ctx, d.Day, nil, func(l engine.ArchivedLine) error {
			batch.Queue(query("EngineInsertLine"), l.Day, l.Batch, l.Line.Line, l.Topic, l.Partition, l.LastOffset, l.Definition, l.Worker, l.At, l.Instances, l.Body)
			return send(false)
		})
		if err != nil {
			return err
		}
		err = from.EachFinished(ctx, d.Day, "", func(f engine.Finished) error {
			acts := f.Acts
			if len(acts) == 0 {
				acts = nil
			}
			batch.Queue(query("ArchiveRestoreFinished"), f.Day, f.ID, f.Household, f.Definition, f.State, f.Node, f.Batches, acts, f.Started, f.Finished)
			return send(false)
		})
		if err != nil {
			return err
		}
		if err := send(true); err != nil {
			return err
		}
		if err := sameDay(ctx, tx, d); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, query("ArchiveNote"), archiveArgs(d)...)
		return err
	})
}

var (
	_ engine.ArchiveStore  = (*DB)(nil)
	_ engine.ArchiveReader = (*DB)(nil)
)
