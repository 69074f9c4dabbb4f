// Package engine advances instances of workflows set at a time. The owner of a partition takes a
// batch of its records, brings every instance of it node by node as far as it goes, calls actions for
// many instances at once, and commits at barriers: one transaction each, refused where the partition
// has another owner by now. What has no row of its own runs through without one.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"daybreak/market"
	"daybreak/pipeline"
	"daybreak/workflow"
)

// Config is what an engine is made of.
type Config struct {
	Store     Store
	Registry  Registry
	Functions workflow.Functions
	Now       func() time.Time
	Worker    string // its name in the journal
	Cores     int    // instances computed at once, partitions worked at once
	Log       *slog.Logger

	// EachStep commits a checkpoint after every step. Without it a barrier stands before and after
	// each write; what is pure or only reads is computed again after a crash.
	EachStep bool
	// Patience is how long a batch waits for a call. One that takes longer goes on by itself, and its
	// instances with it; the batch ends without them.
	Patience time.Duration
	// DetachedMax bounds the calls that go on by themselves; beyond it they fail with TIMEOUT.
	DetachedMax int
	// Fail is asked at each named point of a run, for tests that stop there; nil for none.
	Fail func(point string) error
}

// The defaults of a Config.
const (
	patienceDefault    = 500 * time.Millisecond
	detachedMaxDefault = 256
)

// Engine is the Handler of a topic of instances. It is safe for concurrent use; one engine may serve
// several topics.
type Engine struct {
	Config
	versions *versions
	holds    *holdCache
	breaker  *breaker
	detached *detachedCalls
	limits   *nodeLimits
	waker    *Waker // told of new timers; nil for none

	mu    sync.Mutex
	owned map[place]*ownership
	days  map[market.Day]bool
}

// place is a partition of a topic.
type place struct {
	topic     string
	partition int32
}

// ownership is what an engine knows of a partition that it owns.
type ownership struct {
	epoch    int64
	next     int64 // offset that was committed last in this epoch
	recorded map[string]*recorded
}

// recorded is what an interrupted owner wrote of an instance.
type recorded struct {
	definition int
	entries    []Entry
	batches    []int64 // of each entry
}

// New returns an engine. The zero values of Cores, Patience and DetachedMax stand for defaults.
func New(c Config) *Engine {
	if c.Cores < 1 {
		c.Cores = 1
	}
	if c.Patience <= 0 {
		c.Patience = patienceDefault
	}
	if c.DetachedMax < 1 {
		c.DetachedMax = detachedMaxDefault
	}
	if c.Fail == nil {
		c.Fail = func(string) error { return nil }
	}
	return &Engine{
		Config: c, versions: newVersions(c.Store, c.Registry), holds: &holdCache{store: c.Store}, breaker: newBreaker(),
		detached: newDetachedCalls(c.DetachedMax), limits: newNodeLimits(),
		owned: map[place]*ownership{}, days: map[market.Day]bool{},
	}
}

// Wake makes the engine tell a waker of the timers that it sets.
func (e *Engine) Wake(w *Waker) { e.waker = w }

// Handle implements pipeline.Handler: each partition of the batch is a batch of its own, with its own
// transactions, so that none waits for another.
func (e *Engine) Handle(ctx context.Context, b pipeline.Batch) error {
	group := errgroup.Group{}
	group.SetLimit(max(2, e.Cores))
	for i, first := 0, 0; i < len(b.Spans); i++ {
		span, last := b.Spans[i], first
		for last < len(b.Records) && b.Records[last].Partition == span.Partition {
			last++
		}
		records := b.Records[first:last]
		first = last
		group.Go(func() error { return e.handlePartition(ctx, b.Topic, span, records) })
	}
	return group.Wait()
}

// handlePartition runs the records of one partition. After an error it forgets what it knew of the
// partition, so that the next try begins with what was committed.
func (e *Engine) handlePartition(ctx context.Context, topic string, span pipeline.Span, records []pipeline.Record) error {
	own, err := e.own(ctx, place{topic, span.Partition}, span)
	if err != nil {
		return err
	}
	if own.next >= span.Next {
		return nil // an earlier try of a batch of many partitions has committed this one
	}
	span.Applied, span.Duplicate, span.Held, span.Dead = 0, 0, 0, 0
	b := &batch{engine: e, topic: topic, span: span, own: own, detachable: make(chan struct{})}
	if err := b.run(ctx, records); err != nil {
		close(b.detachable)
		e.disown(place{topic, span.Partition})
		return fmt.Errorf("topic %s partition %d offset %d: %w", topic, span.Partition, span.First, err)
	}
	own.next = span.Next
	b.isCommitted = true
	close(b.detachable)
	return nil
}

// own returns what is known of a partition; under a new epoch it reads what the last owner left
// unfinished.
func (e *Engine) own(ctx context.Context, at place, span pipeline.Span) (*ownership, error) {
	e.mu.Lock()
	own := e.owned[at]
	e.mu.Unlock()
	if own != nil && own.epoch == span.Epoch {
		return own, nil
	}
	lines, err := e.Store.Interrupted(ctx, at.topic, at.partition, span.First)
	if err != nil {
		return nil, err
	}
	own = &ownership{epoch: span.Epoch, recorded: map[string]*recorded{}}
	for _, l := range lines {
		if err := e.remember(ctx, own, l); err != nil {
			return nil, err
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.owned[at] = own
	return own, nil
}

func (e *Engine) disown(at place) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.owned, at)
}

// remember adds the entries of a line of an interrupted batch.
func (e *Engine) remember(ctx context.Context, own *ownership, l Line) error {
	entries, err := e.readLine(ctx, l)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		r := own.recorded[entry.Instance]
		if r == nil {
			r = &recorded{definition: l.Definition}
			own.recorded[entry.Instance] = r
		}
		r.entries, r.batches = append(r.entries, entry), append(r.batches, l.Batch)
	}
	return nil
}

// readLine returns the entries of a line.
func (e *Engine) readLine(ctx context.Context, l Line) ([]Entry, error) {
	v, err := e.versions.byNumber(ctx, l.Definition)
	if err != nil {
		return nil, err
	}
	body, err := v.coder.expand(l.Body)
	if err != nil {
		return nil, fmt.Errorf("journal %s batch %d line %d: %w", l.Day, l.Batch, l.Line, err)
	}
	entries, err := ReadEntries(body)
	if err != nil {
		return nil, fmt.Errorf("journal %s batch %d line %d: %w", l.Day, l.Batch, l.Line, err)
	}
	return entries, nil
}

// makeDay makes room for the journal of a day, once.
func (e *Engine) makeDay(ctx context.Context, day market.Day) error {
	e.mu.Lock()
	isMade := e.days[day]
	e.mu.Unlock()
	if isMade {
		return nil
	}
	if err := e.Store.MakeDay(ctx, day); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.days[day] = true
	return nil
}

// errStopped is what a batch returns where a test stops it.
var errStopped = errors.New("stopped at a failpoint")

func (e *Engine) reach(point string) error {
	if err := e.Fail(point); err != nil {
		return fmt.Errorf("%s: %w: %w", point, errStopped, err)
	}
	return nil
}
