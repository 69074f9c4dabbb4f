package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"daybreak/pipeline"
)

var _ pipeline.SchemaStore = (*DB)(nil)

// SchemaByID implements pipeline.SchemaStore.
func (db *DB) SchemaByID(ctx context.Context, id int) (string, error) {
	var text string
	err := db.pool.QueryRow(ctx, query("RegistrySchema"), id).Scan(&text)
	if errors.Is(err, pgx.ErrNoRows) {
		err = pipeline.ErrNotFound
	}
	if err != nil {
		return "", fmt.Errorf("schema %d: %w", id, err)
	}
	return text, nil
}

// SchemaVersions implements pipeline.SchemaStore.
func (db *DB) SchemaVersions(ctx context.Context, subject string) ([]pipeline.SchemaVersion, error) {
	rows, err := db.pool.Query(ctx, query("RegistryVersions"), subject)
	if err != nil {
		return nil, fmt.Errorf("versions of %s: %w", subject, err)
	}
	return collectVersions(rows, subject)
}

func collectVersions(rows pgx.Rows, subject string) ([]pipeline.SchemaVersion, error) {
	all, err := pgx.CollectRows(rows, pgx.RowToStructByName[pipeline.SchemaVersion])
	if err != nil {
		return nil, fmt.Errorf("versions of %s: %w", subject, err)
	}
	return all, nil
}

// SchemaSubjects implements pipeline.SchemaStore.
func (db *DB) SchemaSubjects(ctx context.Context) ([]string, error) {
	rows, err := db.pool.Query(ctx, query("RegistrySubjects"))
	if err != nil {
		return nil, fmt.Errorf("subjects: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// AddSchema implements pipeline.SchemaStore.
func (db *DB) AddSchema(ctx context.Context, subject, text string, check func([]pipeline.SchemaVersion) error) (pipeline.SchemaVersion, error) {
	added := pipeline.SchemaVersion{Subject: subject, Schema: text}
	err := db.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, query("RegistryLock")); err != nil {
			return fmt.Errorf("lock versions: %w", err)
		}
		rows, err := tx.Query(ctx, query("RegistryVersions"), subject)
		if err != nil {
			return fmt.Errorf("versions of %s: %w", subject, err)
		}
		earlier, err := collectVersions(rows, subject)
		if err != nil {
			return err
		}
		for _, v := range earlier {
			if v.Schema == text {
				added = v
				return nil
			}
		}
		if err := check(earlier); err != nil {
			return err
		}
		added.Version = len(earlier) + 1
		return insertSchema(ctx, tx, &added)
	})
	return added, err
}

func insertSchema(ctx context.Context, tx pgx.Tx, v *pipeline.SchemaVersion) error {
	sum := sha256.Sum256([]byte(v.Schema))
	hash := hex.EncodeToString(sum[:])
	if _, err := tx.Exec(ctx, query("RegistryAddSchema"), hash, v.Schema); err != nil {
		return fmt.Errorf("store schema of %s: %w", v.Subject, err)
	}
	if err := tx.QueryRow(ctx, query("RegistryAddVersion"), v.Subject, v.Version, hash).Scan(&v.ID); err != nil {
		return fmt.Errorf("store version %d of %s: %w", v.Version, v.Subject, err)
	}
	return nil
}

// SchemaMode implements pipeline.SchemaStore.
func (db *DB) SchemaMode(ctx context.Context, subject string) (string, error) {
	var mode string
	err := db.pool.QueryRow(ctx, query("RegistryMode"), subject).Scan(&mode)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return "", fmt.Errorf("compatibility of %s: %w", subject, err)
	}
	return mode, nil
}

// SetSchemaMode implements pipeline.SchemaStore.
func (db *DB) SetSchemaMode(ctx context.Context, subject, mode string) error {
	if _, err := db.pool.Exec(ctx, query("RegistrySetMode"), subject, mode); err != nil {
		return fmt.Errorf("compatibility of %s: %w", subject, err)
	}
	return nil
}
