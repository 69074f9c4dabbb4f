package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"daybreak/pipeline"
	"daybreak/pipeline/engine"
	"daybreak/workflow"
)

// DefinitionByNumber implements engine.Definitions.
func (db *DB) DefinitionByNumber(ctx context.Context, number int) (engine.StoredDefinition, error) {
	return db.oneDefinition(ctx, fmt.Sprintf("definition %d", number), "EngineDefinition", number)
}

// DefinitionByHash returns the definition of a hash.
func (db *DB) DefinitionByHash(ctx context.Context, hash string) (engine.StoredDefinition, error) {
	return db.oneDefinition(ctx, "definition "+hash, "EngineDefinitionByHash", hash)
}

// DefinitionMatching returns the version of a name whose hash begins with prefix, which must be the
// only one.
func (db *DB) DefinitionMatching(ctx context.Context, name, prefix string) (engine.StoredDefinition, error) {
	return db.oneDefinition(ctx, fmt.Sprintf("version %s of workflow %s", prefix, name), "EngineDefinitionMatching", name, prefix)
}

func (db *DB) oneDefinition(ctx context.Context, what, name string, args ...any) (engine.StoredDefinition, error) {
	rows, err := db.pool.Query(ctx, query(name), args...)
	if err != nil {
		return engine.StoredDefinition{}, fmt.Errorf("%s: %w", what, err)
	}
	d, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[engine.StoredDefinition])
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return d, fmt.Errorf("%s: %w", what, pipeline.ErrNotFound)
	case errors.Is(err, pgx.ErrTooManyRows):
		return d, fmt.Errorf("%s: more than one begins so: %w", what, pipeline.ErrState)
	case err != nil:
		return d, fmt.Errorf("%s: %w", what, err)
	}
	return d, nil
}

// DefinitionVersions returns the versions of a name, or of all names where it is empty, by name and
// the newest first.
func (db *DB) DefinitionVersions(ctx context.Context, name string) ([]engine.StoredDefinition, error) {
	rows, err := db.pool.Query(ctx, query("EngineDefinitions"), name)
	if err != nil {
		return nil, fmt.Errorf("list definitions: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[engine.StoredDefinition])
}

// Aliases implements engine.Definitions.
func (db *DB) Aliases(ctx context.Context) ([]engine.Alias, error) {
	rows, err := db.pool.Query(ctx, query("EngineAliases"))
	if err != nil {
		return nil, fmt.Errorf("list aliases: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[engine.Alias])
}

// Facts implements engine.Definitions.
func (db *DB) Facts(ctx context.Context, households []string) (map[string]workflow.Facts, error) {
	rows, err := db.pool.Query(ctx, query("EngineFacts"), households)
	if err != nil {
		return nil, fmt.Errorf("facts of %d households: %w", len(households), err)
	}
	facts := make(map[string]workflow.Facts, len(households))
	var f workflow.Facts
	_, err = pgx.ForEachRow(rows, []any{&f.Household, &f.Region, &f.Accounts, &f.Value}, func() error {
		facts[f.Household] = f
		return nil
	})
	return facts, err
}

// RoutingKey returns the routing key of a household, or ErrNotFound, wrapped.
func (db *DB) RoutingKey(ctx context.Context, household string) (string, error) {
	var key string
	err := db.pool.QueryRow(ctx, query("EngineRoutingKey"), household).Scan(&key)
	return key, notFound("household "+household, err)
}

// ApplyDefinition stores a version, which is there once whoever applies it again, and returns it
// with its number. isNew says whether it was not there before.
func (db *DB) ApplyDefinition(ctx context.Context, d engine.StoredDefinition) (stored engine.StoredDefinition, isNew bool, err error) {
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, query("EngineApply"), d.Hash, d.Name, d.Body, d.Applied, d.Actor, d.Why)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		isNew = true
		return writeAudit(ctx, tx, AuditEntry{At: d.Applied, Actor: d.Actor, Action: "workflow.apply", Subject: d.Name,
			Detail: map[string]any{"hash": d.Hash, "why": d.Why}})
	})
	if err != nil {
		return d, false, fmt.Errorf("apply workflow %s: %w", d.Name, err)
	}
	stored, err = db.DefinitionByHash(ctx, d.Hash)
	return stored, isNew, err
}

// SetAlias makes an alias name a version; why is for the audit trail.
func (db *DB) SetAlias(ctx context.Context, a engine.Alias, why string) error {
	err := db.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, query("EngineSetAlias"), a.Name, a.Alias, a.Definition, a.ShareBP, a.Cohort, a.Params, a.Changed, a.Actor); err != nil {
			return err
		}
		return writeAudit(ctx, tx, AuditEntry{At: a.Changed, Actor: a.Actor, Action: "workflow.alias", Subject: a.Name + "@" + a.Alias,
			Detail: map[string]any{"definition": a.Definition, "share_bp": a.ShareBP, "cohort": a.Cohort, "params": string(a.Params), "why": why}})
	})
	if err != nil {
		return fmt.Errorf("alias %s of workflow %s: %w", a.Alias, a.Name, err)
	}
	return nil
}

// DropAlias takes an alias away; it returns ErrNotFound, wrapped, where there is none.
func (db *DB) DropAlias(ctx context.Context, a engine.Alias, why string) error {
	err := db.inTx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, query("EngineDropAlias"), a.Name, a.Alias)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return pipeline.ErrNotFound
		}
		return writeAudit(ctx, tx, AuditEntry{At: a.Changed, Actor: a.Actor, Action: "workflow.unalias", Subject: a.Name + "@" + a.Alias,
			Detail: map[string]any{"why": why}})
	})
	if err != nil {
		return fmt.Errorf("alias %s of workflow %s: %w", a.Alias, a.Name, err)
	}
	return nil
}
