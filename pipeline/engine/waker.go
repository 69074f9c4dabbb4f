package engine

import (
	"container/heap"
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	"daybreak/pipeline"
)

// The waker's times. It knows the timers of the next horizon from memory, which it reads again each
// horizonEvery by one range of an index; a timer that was sent and is still there after againAfter is
// sent again.
const (
	horizon      = time.Minute
	horizonEvery = 30 * time.Second
	againAfter   = 30 * time.Second
	duePageMax   = 20_000 // timers that one query returns at most
	wakeMax      = 5_000  // records of one call of the publisher
)

// Waker sends a record for each instance of its partitions that is due. It is one of the Offsets of a
// consumer: what it is assigned are its partitions, for as long as their epoch is its own. Waking an
// instance twice does no harm: the owner looks at the row.
type Waker struct {
	WakerConfig

	mu      sync.Mutex
	places  map[place]int64 // epoch
	wheel   wheel
	sent    map[Ref]time.Time // woken and not seen gone yet
	queued  map[Ref]bool      // in the wheel
	until   time.Time         // the wheel has all timers up to here
	changed chan struct{}     // holds 1: something is earlier than was thought
}

// WakerConfig is what a waker is made of.
type WakerConfig struct {
	Offsets   pipeline.Offsets
	Timers    Timers
	Publisher pipeline.Publisher
	Now       func() time.Time
	Log       *slog.Logger
}

// timed is a timer of a topic.
type timed struct {
	Timer
	topic string
}

// wheel is a heap of timers by due.
type wheel []timed

// Len implements heap.Interface.
func (w wheel) Len() int { return len(w) }

// Less implements heap.Interface.
func (w wheel) Less(i, j int) bool { return w[i].Due.Before(w[j].Due) }

// Swap implements heap.Interface.
func (w wheel) Swap(i, j int) { w[i], w[j] = w[j], w[i] }

// Push implements heap.Interface.
func (w *wheel) Push(t any) { *w = append(*w, t.(timed)) }

// Pop implements heap.Interface.
func (w *wheel) Pop() any {
	last := (*w)[len(*w)-1]
	*w = (*w)[:len(*w)-1]
	return last
}

// NewWaker returns a waker, which has no partition yet.
func NewWaker(c WakerConfig) *Waker {
	return &Waker{WakerConfig: c, places: map[place]int64{}, sent: map[Ref]time.Time{}, queued: map[Ref]bool{}, changed: make(chan struct{}, 1)}
}

// Assign implements pipeline.Offsets.
func (w *Waker) Assign(ctx context.Context, topic, topicID string, partitions []int32) (map[int32]pipeline.Position, error) {
	positions, err := w.Offsets.Assign(ctx, topic, topicID, partitions)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	for _, p := range partitions {
		w.places[place{topic, p}] = positions[p].Epoch
	}
	w.mu.Unlock()
	w.Rescan()
	return positions, nil
}

// Rescan makes the waker read its timers again: somebody else has changed rows.
func (w *Waker) Rescan() {
	w.mu.Lock()
	w.until = time.Time{}
	w.mu.Unlock()
	w.nudge()
}

func (w *Waker) nudge() {
	select {
	case w.changed <- struct{}{}:
	default: // one is enough
	}
}

// set notes the timer of a row that was just written.
func (w *Waker) set(topic string, l Live, revision int64) {
	isTimer := l.Due != nil && (l.State == StateRunning || l.State == StateWaiting)
	if !isTimer {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if l.Due.After(w.until) {
		return // the next reading finds it
	}
	w.add(timed{Timer{ID: l.ID, Revision: revision, Partition: l.Partition, Due: *l.Due}, topic})
	if w.wheel[0].Revision == revision && w.wheel[0].ID == l.ID {
		w.nudge()
	}
}

// add puts a timer on the wheel, once.
func (w *Waker) add(t timed) {
	ref := Ref{ID: t.ID, Revision: t.Revision}
	if w.queued[ref] {
		return
	}
	if at, ok := w.sent[ref]; ok && w.Now().Sub(at) < againAfter {
		return
	}
	w.queued[ref] = true
	heap.Push(&w.wheel, t)
}

// Run sends wakes until ctx ends.
func (w *Waker) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := w.turn(ctx); err != nil && ctx.Err() == nil {
			w.Log.Warn("timers wait", "error", err)
			w.Rescan()
			w.rest(ctx, time.Second)
			continue
		}
		w.rest(ctx, w.pause())
	}
	return nil
}

// turn reads what is due soon, where it is time to, and sends what is due.
func (w *Waker) turn(ctx context.Context) error {
	now := w.Now()
	w.mu.Lock()
	isStale := w.until.Sub(now) <= horizon-horizonEvery
	w.mu.Unlock()
	if isStale {
		if err := w.read(ctx, now.Add(horizon)); err != nil {
			return err
		}
	}
	for {
		records := w.take(w.Now())
		if len(records) == 0 {
			return nil
		}
		if err := w.Publisher.Publish(ctx, records); err != nil {
			w.mu.Lock()
			clear(w.sent) // some of them twice rather than one too late
			w.mu.Unlock()
			return err
		}
	}
}

// pause returns how long nothing is due.
func (w *Waker) pause() time.Duration {
	now := w.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	d := max(0, w.until.Sub(now)-(horizon-horizonEvery))
	if len(w.wheel) > 0 {
		d = min(d, w.wheel[0].Due.Sub(now))
	}
	return max(d, 0)
}

func (w *Waker) rest(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-w.changed:
	}
}

// read puts all timers up to until on the wheel, page by page. What is set meanwhile by this process
// comes by set.
func (w *Waker) read(ctx context.Context, until time.Time) error {
	w.mu.Lock()
	w.until = until
	all := maps.Clone(w.places)
	now := w.Now()
	maps.DeleteFunc(w.sent, func(_ Ref, at time.Time) bool { return now.Sub(at) >= againAfter })
	w.mu.Unlock()
	for at, epoch := range all {
		q := DueQuery{Topic: at.topic, Partition: at.partition, Epoch: epoch, Until: until, Limit: duePageMax}
		for {
			timers, err := w.Timers.Due(ctx, q)
			if err != nil {
				return err
			}
			w.mu.Lock()
			for _, t := range timers {
				w.add(timed{t, at.topic})
			}
			w.mu.Unlock()
			if len(timers) < q.Limit {
				break
			}
			q.After = timers[len(timers)-1]
		}
	}
	return nil
}

// take returns the records of what is due, at most wakeMax.
func (w *Waker) take(now time.Time) []pipeline.Record {
	w.mu.Lock()
	defer w.mu.Unlock()
	var records []pipeline.Record
	for len(w.wheel) > 0 && !w.wheel[0].Due.After(now) && len(records) < wakeMax {
		t := heap.Pop(&w.wheel).(timed)
		ref := Ref{ID: t.ID, Revision: t.Revision}
		delete(w.queued, ref)
		w.sent[ref] = now
		records = append(records, WakeRecord(t.topic, t.Timer))
	}
	return records
}
