package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"daybreak/market"
	"daybreak/pipeline"
	"daybreak/pipeline/engine"
)

// NextBatch implements engine.Store.
func (db *DB) NextBatch(ctx context.Context) (int64, error) {
	var number int64
	if err := db.pool.QueryRow(ctx, query("EngineNextBatch")).Scan(&number); err != nil {
		return 0, fmt.Errorf("number of a batch: %w", err)
	}
	return number, nil
}

// MakeDay implements engine.Store.
func (db *DB) MakeDay(ctx context.Context, day market.Day) error {
	if _, err := db.pool.Exec(ctx, query("EngineMakeDay"), day); err != nil {
		return fmt.Errorf("journal of %s: %w", day, err)
	}
	return nil
}

// Interrupted implements engine.Store.
func (db *DB) Interrupted(ctx context.Context, topic string, partition int32, next int64) ([]engine.Line, error) {
	rows, err := db.pool.Query(ctx, query("EngineInterrupted"), topic, partition, next)
	if err != nil {
		return nil, fmt.Errorf("topic %s partition %d: interrupted batches: %w", topic, partition, err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[engine.Line])
}

// Known implements engine.Store.
func (db *DB) Known(ctx context.Context, ids []string, day market.Day) ([]string, error) {
	rows, err := db.pool.Query(ctx, query("EngineKnown"), ids, day)
	if err != nil {
		return nil, fmt.Errorf("instances that are known: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// liveTargets returns where the columns of a row of a live instance go.
func liveTargets(l *engine.Live) []any {
	return []any{&l.ID, &l.Topic, &l.Partition, &l.Household, &l.Definition, &l.Node, &l.State, &l.Resumes, &l.Packed, &l.Attempt, &l.Steps,
		&l.Due, &l.Deadline, &l.Forced, &l.Failure.Node, &l.Failure.Code, &l.Failure.Signature, &l.Failure.Message, &l.Batches, &l.Acts,
		&l.Revision, &l.Started, &l.Since}
}

func scanLive(row pgx.CollectableRow) (engine.Live, error) {
	var l engine.Live
	err := row.Scan(liveTargets(&l)...)
	return l, err
}

// LoadLive implements engine.Store.
func (db *DB) LoadLive(ctx context.Context, refs []engine.Ref) ([]engine.Live, error) {
	ids, revisions := splitRefs(refs)
	rows, err := db.pool.Query(ctx, query("EngineLoadLive"), ids, revisions)
	if err != nil {
		return nil, fmt.Errorf("load %d instances: %w", len(refs), err)
	}
	return pgx.CollectRows(rows, scanLive)
}

func splitRefs(refs []engine.Ref) (ids []string, revisions []int64) {
	ids, revisions = make([]string, len(refs)), make([]int64, len(refs))
	for i, r := range refs {
		ids[i], revisions[i] = r.ID, r.Revision
	}
	return ids, revisions
}

// Holds implements engine.Store.
func (db *DB) Holds(ctx context.Context) ([]engine.Hold, error) {
	rows, err := db.pool.Query(ctx, query("EngineHolds"))
	if err != nil {
		return nil, fmt.Errorf("holds: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[engine.Hold])
}

// Due implements engine.Timers.
func (db *DB) Due(ctx context.Context, q engine.DueQuery) ([]engine.Timer, error) {
	rows, err := db.pool.Query(ctx, query("EngineDue"), q.Topic, q.Partition, q.Until, q.After.Due, q.After.ID, q.Limit, q.Epoch)
	if err != nil {
		return nil, fmt.Errorf("topic %s partition %d: timers: %w", q.Topic, q.Partition, err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[engine.Timer])
}

// CommitBarrier implements engine.Store.
func (db *DB) CommitBarrier(ctx context.Context, b engine.Barrier) (overtaken []string, err error) {
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		// The fence first: an owner that has lost its partition writes nothing.
		if err := fence(ctx, tx, b); err != nil {
			return err
		}
		if overtaken, err = overtake(ctx, tx, &b); err != nil {
			return err
		}
		if err := insertDeadLetters(ctx, tx, b.Topic, b.Dead); err != nil {
			return err
		}
		return sendBarrier(ctx, tx, b, overtaken)
	})
	if err != nil {
		return nil, fmt.Errorf("topic %s partition %d: barrier: %w", b.Topic, b.Partition, err)
	}
	return overtaken, nil
}

func fence(ctx context.Context, tx pgx.Tx, b engine.Barrier) error {
	if b.Span != nil {
		return commitOffsets(ctx, tx, pipeline.Batch{Topic: b.Topic, Spans: []pipeline.Span{*b.Span}})
	}
	var epoch int64
	err := tx.QueryRow(ctx, query("EngineFence"), b.Topic, b.Partition).Scan(&epoch)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && epoch != b.Epoch {
		return fmt.Errorf("epoch %d, this owner has %d: %w", epoch, b.Epoch, pipeline.ErrFenced)
	}
	return err
}

// overtake locks the rows that a barrier changes and takes those out of it that a person has changed
// since they were read; it returns their ids.
func overtake(ctx context.Context, tx pgx.Tx, b *engine.Barrier) ([]string, error) {
	refs := append([]engine.Ref{}, b.Gone...)
	for _, l := range b.Changed {
		refs = append(refs, engine.Ref{ID: l.ID, Revision: l.Revision})
	}
	if len(refs) == 0 {
		return nil, nil
	}
	ids, revisions := splitRefs(refs)
	held, err := collect[string](ctx, tx, "EngineLockLive", ids, revisions)
	if err != nil || len(held) == len(refs) {
		return nil, err
	}
	isHeld := map[string]bool{}
	for _, id := range held {
		isHeld[id] = true
	}
	lost := map[string]bool{}
	var overtaken []string
	for _, id := range ids {
		if !isHeld[id] {
			lost[id] = true
			overtaken = append(overtaken, id)
		}
	}
	b.Gone = without(b.Gone, lost, func(r engine.Ref) string { return r.ID })
	b.Changed = without(b.Changed, lost, func(l engine.Live) string { return l.ID })
	b.Finished = without(b.Finished, lost, func(f engine.Finished) string { return f.ID })
	return overtaken, nil
}

func without[T any](all []T, lost map[string]bool, id func(T) string) []T {
	var left []T
	for _, v := range all {
		if !lost[id(v)] {
			left = append(left, v)
		}
	}
	return left
}

// sendBarrier writes all parts of a barrier in one round trip.
func sendBarrier(ctx context.Context, tx pgx.Tx, b engine.Barrier, overtaken []string) error {
	var batch pgx.Batch
	for _, l := range b.Lines {
		batch.Queue(query("EngineInsertLine"), l.Day, l.Batch, l.Line, b.Topic, b.Partition, l.LastOffset, l.Definition, l.Worker, l.At, l.Instances, l.Body)
	}
	if len(b.New) > 0 {
		batch.Queue(query("EngineInsertLive"), insertLiveArgs(b)...)
	}
	if len(b.Changed) > 0 {
		batch.Queue(query("EngineUpdateLive"), updateLiveArgs(b.Changed)...)
	}
	if len(b.Gone) > 0 {
		ids, _ := splitRefs(b.Gone)
		batch.Queue(query("EngineDeleteLive"), ids)
	}
	if len(overtaken) > 0 && len(b.Lines) > 0 {
		batch.Queue(query("EngineNoteBatch"), overtaken, b.Lines[0].Batch)
	}
	for day, finished := range byDay(b.Finished) {
		batch.Queue(query("EngineFinish"), finishArgs(day, finished)...)
	}
	if len(b.Holds) > 0 {
		batch.Queue(query("EngineHold"), holdArgs(b.Holds)...)
	}
	if len(b.Applied) > 0 {
		batch.Queue(query("EngineObeyed"), b.Applied)
	}
	if batch.Len() == 0 {
		return nil
	}
	return tx.SendBatch(ctx, &batch).Close()
}

// byDay sorts what has ended by the day that it is kept under. A barrier has one, at midnight two.
func byDay(all []engine.Finished) map[market.Day][]engine.Finished {
	days := map[market.Day][]engine.Finished{}
	for _, f := range all {
		days[f.Day] = append(days[f.Day], f)
	}
	return days
}

// liveColumns are the columns of live rows, for unnest.
type liveColumns struct {
	ids, households, nodes, states, resumes []string
	definitions, attempts, steps            []int32
	packed                                  [][]byte
	due, deadlines                          []*time.Time
	forced                                  []bool
	failNodes, codes, signatures, messages  []string
	batches, acts                           []string
	started, since                          []time.Time
}

func columnsOf(all []engine.Live) liveColumns {
	var c liveColumns
	for _, l := range all {
		c.ids, c.households = append(c.ids, l.ID), append(c.households, l.Household)
		c.definitions = append(c.definitions, int32(l.Definition))
		c.nodes, c.states, c.resumes = append(c.nodes, l.Node), append(c.states, l.State), append(c.resumes, l.Resumes)
		c.packed = append(c.packed, l.Packed)
		c.attempts, c.steps = append(c.attempts, int32(l.Attempt)), append(c.steps, int32(l.Steps))
		c.due, c.deadlines = append(c.due, l.Due), append(c.deadlines, l.Deadline)
		c.forced = append(c.forced, l.Forced)
		c.failNodes, c.codes = append(c.failNodes, l.Failure.Node), append(c.codes, l.Failure.Code)
		c.signatures, c.messages = append(c.signatures, l.Failure.Signature), append(c.messages, l.Failure.Message)
		c.batches, c.acts = append(c.batches, arrayText(l.Batches)), append(c.acts, arrayText(l.Acts))
		c.started, c.since = append(c.started, l.Started), append(c.since, l.Since)
	}
	return c
}

func insertLiveArgs(b engine.Barrier) []any {
	c := columnsOf(b.New)
	return []any{b.Topic, b.Partition, c.ids, c.households, c.definitions, c.nodes, c.states, c.resumes, c.packed, c.attempts, c.steps,
		c.due, c.deadlines, c.forced, c.failNodes, c.codes, c.signatures, c.messages, c.batches, c.acts, c.started, c.since}
}

func updateLiveArgs(all []engine.Live) []any {
	c := columnsOf(all)
	return []any{c.ids, c.definitions, c.nodes, c.states, c.resumes, c.packed, c.attempts, c.steps,
		c.due, c.deadlines, c.forced, c.failNodes, c.codes, c.signatures, c.messages, c.batches, c.since}
}

func finishArgs(day market.Day, all []engine.Finished) []any {
	n := len(all)
	ids, households, states, nodes := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	definitions, batches, acts := make([]int32, n), make([]string, n), make([]*string, n)
	started, finished := make([]time.Time, n), make([]time.Time, n)
	for i, f := range all {
		ids[i], households[i], states[i], nodes[i] = f.ID, f.Household, f.State, f.Node
		definitions[i], batches[i] = int32(f.Definition), arrayText(f.Batches)
		if len(f.Acts) > 0 {
			text := arrayText(f.Acts)
			acts[i] = &text
		}
		started[i], finished[i] = f.Started, f.Finished
	}
	return []any{day, ids, households, definitions, states, nodes, batches, acts, started, finished}
}

func holdArgs(all []engine.Hold) []any {
	n := len(all)
	workflows, nodes, instances, acts := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	signatures, actors, whys, ats := make([]string, n), make([]string, n), make([]string, n), make([]time.Time, n)
	for i, h := range all {
		workflows[i], nodes[i], instances[i], acts[i] = h.Workflow, h.Node, h.Instance, h.Act
		signatures[i], actors[i], whys[i], ats[i] = h.Signature, h.Actor, h.Why, h.At
	}
	return []any{workflows, nodes, instances, acts, signatures, ats, actors, whys}
}

// arrayText returns numbers as Postgres writes an array of them.
func arrayText(numbers []int64) string {
	var b strings.Builder
	b.WriteByte('{')
	for i, n := range numbers {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatInt(n, 10))
	}
	b.WriteByte('}')
	return b.String()
}

var (
	_ engine.Store  = (*DB)(nil)
	_ engine.Timers = (*DB)(nil)
)
