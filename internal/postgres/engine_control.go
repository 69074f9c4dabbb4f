package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"daybreak/market"
	"daybreak/pipeline"
	"daybreak/pipeline/engine"
)

// ChannelEngine is the channel of NOTIFY by which people's acts wake the owners of instances.
const ChannelEngine = "daybreak_engine"

// EachLive implements engine.ControlStore.
func (db *DB) EachLive(ctx context.Context, ids []string, each func(engine.Listed) error) error {
	if ids == nil {
		ids = []string{}
	}
	rows, err := db.pool.Query(ctx, query("EngineListLive"), ids)
	if err != nil {
		return fmt.Errorf("list instances: %w", err)
	}
	var l engine.Listed
	_, err = pgx.ForEachRow(rows, []any{
		&l.ID, &l.Household, &l.Workflow, &l.Version, &l.Definition, &l.Node, &l.State, &l.Attempt, &l.Due, &l.Failure.Node,
		&l.Failure.Code, &l.Failure.Signature, &l.Failure.Message, &l.Revision, &l.Started, &l.Since,
	}, func() error { return each(l) })
	return err
}

// Failures returns failed instances grouped by node and error signature, the largest group first.
func (db *DB) Failures(ctx context.Context) ([]engine.FailureGroup, error) {
	rows, err := db.pool.Query(ctx, query("EngineFailures"))
	if err != nil {
		return nil, fmt.Errorf("group failures: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[engine.FailureGroup])
}

// actQueries are the statements of acts that need no context.
var actQueries = map[string]string{
	engine.ActPause: "EnginePause", engine.ActResume: "EngineResume", engine.ActRetry: "EngineRetry", engine.ActTerminate: "EngineTerminate",
}

// Change implements engine.ControlStore.
func (db *DB) Change(ctx context.Context, act engine.Act, refs []engine.Ref) ([]engine.Ref, error) {
	ids, revisions := splitRefs(refs)
	return db.act(ctx, act, func(tx pgx.Tx) (pgx.Rows, error) {
		return tx.Query(ctx, query(actQueries[act.Act]), ids, revisions, act.ID, act.At)
	})
}

// Rewrite implements engine.ControlStore.
func (db *DB) Rewrite(ctx context.Context, act engine.Act, rows []engine.Rewrite, lines []engine.Line) ([]engine.Ref, error) {
	n := len(rows)
	ids, revisions, definitions := make([]string, n), make([]int64, n), make([]int32, n)
	nodes, states, resumes := make([]string, n), make([]string, n), make([]string, n)
	packed, attempts, due := make([][]byte, n), make([]int32, n), make([]any, n)
	for i, r := range rows {
		ids[i], revisions[i], definitions[i] = r.ID, r.Revision, int32(r.Definition)
		nodes[i], states[i], resumes[i] = r.Node, r.State, r.Resumes
		packed[i], attempts[i], due[i] = r.Packed, int32(r.Attempt), r.Due
	}
	return db.act(ctx, act, func(tx pgx.Tx) (pgx.Rows, error) {
		for _, l := range lines {
			if _, err := tx.Exec(ctx, query("EngineInsertLine"), l.Day, l.Batch, l.Line, "", int32(-1), int64(-1), l.Definition, l.Worker, l.At, l.Instances, l.Body); err != nil {
				return nil, err
			}
		}
		return tx.Query(ctx, query("EngineRewrite"), ids, revisions, definitions, nodes, states, resumes, packed, attempts, act.ID, act.At, due)
	})
}

// act runs a statement that returns the rows it changed, records the act and wakes the owners.
func (db *DB) act(ctx context.Context, act engine.Act, do func(tx pgx.Tx) (pgx.Rows, error)) (changed []engine.Ref, err error) {
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		rows, err := do(tx)
		if err != nil {
			return err
		}
		if changed, err = pgx.CollectRows(rows, pgx.RowToStructByPos[engine.Ref]); err != nil {
			return err
		}
		act.Changed = len(changed)
		return recordAct(ctx, tx, act)
	})
	if err != nil {
		return nil, fmt.Errorf("%s of %d instances: %w", act.Act, act.Matched, err)
	}
	return changed, nil
}

// recordAct writes who did what and why, and wakes whoever must go on.
func recordAct(ctx context.Context, tx pgx.Tx, a engine.Act) error {
	if _, err := tx.Exec(ctx, query("EngineInsertAct"), a.ID, a.At, a.Actor, a.Why, a.Act, a.Filter, a.Detail, a.Matched, a.Changed, a.Stage); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, query("Notify"), ChannelEngine, a.Act); err != nil {
		return err
	}
	return writeAudit(ctx, tx, AuditEntry{At: a.At, Actor: a.Actor, Action: "instance." + a.Act, Subject: fmt.Sprint(a.ID),
		Detail: map[string]any{"why": a.Why, "filter": a.Filter, "matched": a.Matched, "changed": a.Changed, "stage": a.Stage}})
}

// Hold implements engine.ControlStore.
func (db *DB) Hold(ctx context.Context, act engine.Act, h engine.Hold) error {
	err := db.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, query("EngineHold"), holdArgs([]engine.Hold{h})...); err != nil {
			return err
		}
		return recordAct(ctx, tx, act)
	})
	if err != nil {
		return fmt.Errorf("hold: %w", err)
	}
	return nil
}

// Release implements engine.ControlStore; it returns ErrNotFound, wrapped, for a node that is not held.
func (db *DB) Release(ctx context.Context, act engine.Act, node engine.Hold) error {
	err := db.inTx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, query("EngineReleaseNode"), node.Workflow, node.Node)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return pipeline.ErrNotFound
		}
		return recordAct(ctx, tx, act)
	})
	if err != nil {
		return fmt.Errorf("node %s of workflow %s: release: %w", node.Node, node.Workflow, err)
	}
	return nil
}

// LiveByID implements engine.InspectStore.
func (db *DB) LiveByID(ctx context.Context, id string) (engine.Live, error) {
	rows, err := db.pool.Query(ctx, query("EngineLiveByID"), id)
	if err != nil {
		return engine.Live{}, fmt.Errorf("instance %s: %w", id, err)
	}
	l, err := pgx.CollectExactlyOneRow(rows, scanLive)
	return l, notFound("instance "+id, err)
}

// notFound wraps an error of a query for one row: none is ErrNotFound.
func notFound(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pgx.ErrNoRows):
		return fmt.Errorf("%s: %w", what, pipeline.ErrNotFound)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// FinishedByID implements engine.InspectStore and engine.ControlStore.
func (db *DB) FinishedByID(ctx context.Context, id string) (engine.Finished, error) {
	rows, err := db.pool.Query(ctx, query("EngineFinishedByID"), id)
	if err != nil {
		return engine.Finished{}, fmt.Errorf("instance %s: %w", id, err)
	}
	f, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[engine.Finished])
	return f, notFound("instance "+id, err)
}

// FinishedOn returns instances that ended on a day, by id after one, at most limit; of a household
// where it is not empty.
func (db *DB) FinishedOn(ctx context.Context, day market.Day, household, after string, limit int) ([]engine.Finished, error) {
	rows, err := db.pool.Query(ctx, query("EngineFinishedList"), day, household, after, limit)
	if err != nil {
		return nil, fmt.Errorf("instances of %s: %w", day, err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[engine.Finished])
}

// LinesOf implements engine.InspectStore.
func (db *DB) LinesOf(ctx context.Context, batches []int64) ([]engine.Line, error) {
	if len(batches) == 0 {
		return nil, nil
	}
	rows, err := db.pool.Query(ctx, query("EngineLinesOf"), batches)
	if err != nil {
		return nil, fmt.Errorf("journal of %d batches: %w", len(batches), err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[engine.Line])
}

// UnderWay implements engine.InspectStore.
func (db *DB) UnderWay(ctx context.Context) ([]engine.Line, error) {
	rows, err := db.pool.Query(ctx, query("EngineUnderWay"))
	if err != nil {
		return nil, fmt.Errorf("batches under way: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[engine.Line])
}

// Acts implements engine.InspectStore.
func (db *DB) Acts(ctx context.Context, ids []int64) ([]engine.Act, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	rows, err := db.pool.Query(ctx, query("EngineActs"), ids)
	if err != nil {
		return nil, fmt.Errorf("acts: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[engine.Act])
}

var (
	_ engine.ControlStore = (*DB)(nil)
	_ engine.InspectStore = (*DB)(nil)
)
