package engine

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// detachedCalls are calls that outlive their batch.
type detachedCalls struct {
	slots chan struct{} // DetachedMax: what a hanging service may hold of this process

	mu        sync.Mutex
	instances map[string]bool
	waiting   sync.WaitGroup
}

func newDetachedCalls(callsMax int) *detachedCalls {
	return &detachedCalls{slots: make(chan struct{}, callsMax), instances: map[string]bool{}}
}

// begin takes a slot for a call of some instances; it reports false where there is none.
func (d *detachedCalls) begin(ids []string) bool {
	select {
	case d.slots <- struct{}{}:
	default:
		return false
	}
	d.waiting.Add(1)
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range ids {
		d.instances[id] = true
	}
	return true
}

func (d *detachedCalls) end(ids []string) {
	d.mu.Lock()
	for _, id := range ids {
		delete(d.instances, id)
	}
	d.mu.Unlock()
	<-d.slots
	d.waiting.Done()
}

// has reports whether a call of an instance is still going on in this process.
func (d *detachedCalls) has(id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.instances[id]
}

// Drain waits until no call outlives its batch, or ctx ends.
func (e *Engine) Drain(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		e.detached.waiting.Wait()
		close(done)
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-done:
		return nil
	}
}

// nodeLimits are the bounds that definitions give their nodes, over all batches of this process.
type nodeLimits struct {
	mu    sync.Mutex
	nodes map[nodeLimit]*limiter
}

// nodeLimit names a node's limit with its numbers: versions with others have another one.
type nodeLimit struct {
	workflow, node         string
	concurrency, perSecond int
}

// limiter bounds the calls at once and the instances a second of a node.
type limiter struct {
	slots chan struct{}
	rate  *rate.Limiter
}

func newNodeLimits() *nodeLimits { return &nodeLimits{nodes: map[nodeLimit]*limiter{}} }

// of returns the limiter of a node; nil where it has no limit.
func (l *nodeLimits) of(n nodeLimit) *limiter {
	if n.concurrency == 0 && n.perSecond == 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	limit := l.nodes[n]
	if limit == nil {
		limit = &limiter{}
		if n.concurrency > 0 {
			limit.slots = make(chan struct{}, n.concurrency)
		}
		if n.perSecond > 0 {
			limit.rate = rate.NewLimiter(rate.Limit(n.perSecond), n.perSecond)
		}
		l.nodes[n] = limit
	}
	return limit
}

// delay returns how long an instance must wait for its turn at a rate; 0 takes the turn.
func (l *limiter) delay() time.Duration {
	if l == nil || l.rate == nil {
		return 0
	}
	turn := l.rate.Reserve()
	delay := turn.Delay()
	if delay > 0 {
		turn.Cancel()
	}
	return delay
}

// enter waits for room for one call; it reports false where the round is over first. The caller calls
// what it returns.
func (l *limiter) enter(ctx context.Context, done <-chan struct{}) (release func(), ok bool) {
	if l == nil || l.slots == nil {
		return func() {}, true
	}
	select {
	case l.slots <- struct{}{}:
		return func() { <-l.slots }, true
	case <-done:
	case <-ctx.Done():
	}
	return nil, false
}
