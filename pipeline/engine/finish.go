package engine

import (
	"context"
	"fmt"
	"slices"
	"time"

	"daybreak/market"
	"daybreak/pipeline"
	"daybreak/workflow"
)

// checkpoint commits what has happened since the last barrier, while the batch goes on.
func (b *batch) checkpoint(ctx context.Context) error {
	if err := b.engine.reach("before checkpoint"); err != nil {
		return err
	}
	barrier, err := b.barrier(ctx, b.span.Next-1)
	if err != nil {
		return err
	}
	if _, err := b.engine.Store.CommitBarrier(ctx, barrier); err != nil {
		return err
	}
	b.urgent = false
	return b.engine.reach("after checkpoint")
}

// barrier returns a barrier with the lines of all pages, which it empties.
func (b *batch) barrier(ctx context.Context, lastOffset int64) (Barrier, error) {
	barrier := Barrier{Topic: b.topic, Partition: b.span.Partition, Epoch: b.span.Epoch}
	now := b.engine.Now()
	day := market.DayOf(now.UTC())
	if err := b.engine.makeDay(ctx, day); err != nil {
		return barrier, err
	}
	for _, p := range b.pages {
		if len(p.body) == 0 {
			continue
		}
		barrier.Lines = append(barrier.Lines, Line{
			Day: day, Batch: b.number, Line: b.line, LastOffset: lastOffset, Definition: p.v.number, Worker: b.engine.Worker, At: now,
			Instances: p.instances, Body: p.v.coder.compress(p.body),
		})
		p.body, p.instances = p.body[:0], 0
		b.line++
	}
	// Pages have lines of their own, so that an instance counts again behind the barrier.
	return barrier, nil
}

// finish commits the end of the batch: how each instance stands, and the offset.
func (b *batch) finish(ctx context.Context) error {
	if err := b.engine.reach("before finish"); err != nil {
		return err
	}
	barrier, err := b.barrier(ctx, b.span.Next-1)
	if err != nil {
		return err
	}
	for _, f := range b.flights {
		b.engine.settle(&barrier, f, b.number)
	}
	barrier.Span, barrier.Dead, barrier.Holds, barrier.Applied = &b.span, b.dead, b.holds, b.obeyed
	if _, err := b.engine.Store.CommitBarrier(ctx, barrier); err != nil {
		return err
	}
	if len(b.holds)+len(b.obeyed) > 0 {
		b.engine.holds.forget()
	}
	b.engine.announce(barrier)
	return b.engine.reach("after finish")
}

// settle adds what a barrier must write about one instance: a row where it waits for something, its
// end else.
func (e *Engine) settle(barrier *Barrier, f *flight, batch int64) {
	now := e.Now().UTC().Truncate(time.Microsecond)
	if f.seen > 0 && !slices.Contains(f.batches, batch) {
		f.batches = append(f.batches, batch)
	}
	if f.in.State == workflow.Done || f.in.State == workflow.Terminated {
		end := Finished{
			Day: market.DayOf(now), ID: f.in.ID, Household: f.in.Household, Definition: f.v.number, State: stateNames[f.in.State],
			Node: f.in.Node, Batches: f.batches, Started: f.started, Finished: now,
		}
		if f.live != nil {
			end.Acts = f.live.Acts
			barrier.Gone = append(barrier.Gone, Ref{ID: f.in.ID, Revision: f.live.Revision})
		}
		barrier.Finished = append(barrier.Finished, end)
		return
	}
	row := f.row(barrier, now)
	if f.live == nil {
		barrier.New = append(barrier.New, row)
		row.Revision = 1
	} else {
		barrier.Changed = append(barrier.Changed, row)
		row.Revision++
	}
	f.live = &row
}

// row returns how an instance that goes no further now is kept.
func (f *flight) row(barrier *Barrier, now time.Time) Live {
	row := Live{
		ID: f.in.ID, Topic: barrier.Topic, Partition: barrier.Partition, Household: f.in.Household, Definition: f.v.number, Node: f.in.Node,
		State: stateNames[f.in.State], Packed: f.v.coder.pack(state{params: f.params, context: f.in.Context}), Attempt: f.in.Attempt,
		Steps: f.in.Steps, Forced: f.forced, Failure: f.in.Failure, Batches: f.batches, Started: f.started, Since: now,
	}
	if f.live != nil {
		row.Revision, row.Acts = f.live.Revision, f.live.Acts
	}
	switch f.in.State {
	case workflow.Paused:
		row.Resumes = StateRunning
	case workflow.Running:
		due := now
		if f.isParked { // its call goes on, and is taken for lost then
			due = f.in.Due
		}
		row.Due = &due
	case workflow.Waiting:
		due := f.in.Due
		row.Due = &due
	}
	if !f.in.Deadline.IsZero() {
		deadline := f.in.Deadline
		row.Deadline = &deadline
	}
	return row
}

// announce tells the waker of the timers that a barrier has set.
func (e *Engine) announce(b Barrier) {
	if e.waker == nil {
		return
	}
	for _, l := range b.New {
		e.waker.set(b.Topic, l, 1)
	}
	for _, l := range b.Changed {
		e.waker.set(b.Topic, l, l.Revision+1)
	}
}

// land commits the answer to a call that has outlived its batch. Where the batch was not committed,
// or a person has changed the instance since, the answer is dropped.
func (r *round) land(ctx context.Context, u *unit) {
	r.mu.Lock()
	isDetached := r.detached[u]
	r.mu.Unlock()
	if !isDetached {
		return
	}
	e := r.batch.engine
	defer e.detached.end(u.ids())
	select {
	case <-r.batch.detachable:
	case <-ctx.Done():
		return
	}
	if !r.batch.isCommitted {
		return
	}
	if err := r.batch.commitLanded(ctx, u); err != nil {
		e.Log.Warn("answer of a slow call is not used: its instances are woken later", "partition", r.batch.span.Partition, "error", err)
	}
}

// commitLanded applies a unit's replies to its rows in a transaction of their own. What goes on from
// there is woken.
func (b *batch) commitLanded(ctx context.Context, u *unit) error {
	e := b.engine
	number, err := e.Store.NextBatch(ctx)
	if err != nil {
		return err
	}
	after := &batch{engine: e, topic: b.topic, span: pipeline.Span{Partition: b.span.Partition, Epoch: b.span.Epoch}, number: number}
	u.deliver(u.flights)
	for _, f := range u.flights {
		f.isParked, f.seen = false, 0
		after.note(f, f.advance(e))
	}
	barrier, err := after.barrier(ctx, -1)
	if err != nil {
		return err
	}
	for _, f := range u.flights {
		e.settle(&barrier, f, number)
	}
	if err := e.reach("before landing"); err != nil {
		return err
	}
	if _, err := e.Store.CommitBarrier(ctx, barrier); err != nil {
		return fmt.Errorf("%d instances: %w", len(u.flights), err)
	}
	e.announce(barrier)
	return nil
}
