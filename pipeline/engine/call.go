package engine

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"daybreak/workflow"
)

// unit is one call of an action, for one instance or for many.
type unit struct {
	flights []*flight
	calls   []Call
	replies []Reply
	phase   atomic.Int32
	began   atomic.Int64 // nanoseconds since the epoch
	took    time.Duration
}

// The phases of a unit. A unit is taken out of running once: by its worker, or by the batch, which
// has no more patience.
const (
	unitQueued int32 = iota
	unitRunning
	unitDone
	unitAbandoned
	unitPutOff
)

// group is the units of one node in one round.
type group struct {
	bound Bound
	limit *limiter
	units []*unit
	next  atomic.Int64
}

// round makes the calls of one round and waits for them as long as it has patience.
type round struct {
	batch  *batch
	groups []*group
	left   atomic.Int64 // units that are neither done nor abandoned
	total  int
	done   chan struct{}

	patience     time.Duration
	isNearlyDone bool

	mu       sync.Mutex
	detached map[*unit]bool // abandoned ones that go on
}

// call makes the calls of all instances that need one.
func (b *batch) call(ctx context.Context, ready []*flight) error {
	r := &round{batch: b, done: make(chan struct{}), detached: map[*unit]bool{}}
	var total int
	for _, g := range b.groups(ready) {
		r.groups = append(r.groups, g)
		total += len(g.units)
	}
	if total == 0 {
		return ctx.Err()
	}
	r.total = total
	r.left.Store(int64(total))
	for _, g := range r.groups {
		for range min(g.workers(b.engine.Cores), len(g.units)) {
			go r.work(ctx, g) // waited for by done, or by the engine's detached calls
		}
	}
	return r.wait(ctx)
}

// groups sorts instances by node and cuts them into calls of the size that the action takes.
func (b *batch) groups(ready []*flight) []*group {
	places := map[*workflow.Node]*group{}
	var all []*group
	for _, f := range ready {
		if f.hasResult() {
			continue
		}
		g := places[f.node]
		if g == nil {
			g = &group{bound: b.engine.Registry[f.node.Action.Name]}
			g.limit = b.engine.limits.of(nodeLimit{f.v.definition.Name, f.node.Name, f.node.MaxConcurrency, f.node.MaxPerSecond})
			places[f.node] = g
			all = append(all, g)
		}
		if delay := g.limit.delay(); delay > 0 {
			f.putOff(b.engine.Now().Add(delay))
			continue
		}
		size := max(1, f.node.Action.Bulk)
		if f.node.MaxBatch > 0 {
			size = min(size, f.node.MaxBatch)
		}
		if n := len(g.units); n == 0 || len(g.units[n-1].flights) >= size {
			g.units = append(g.units, &unit{})
		}
		u := g.units[len(g.units)-1]
		u.flights = append(u.flights, f)
		u.calls = append(u.calls, Call{
			Instance: f.in.ID, Household: f.in.Household, Node: f.in.Node, Attempt: f.in.Attempt, Request: f.request, Key: f.key, Epoch: b.span.Epoch,
		})
	}
	return all
}

func (g *group) workers(cores int) int {
	if g.bound.Concurrency > 0 {
		return g.bound.Concurrency
	}
	return cores
}

// putOff leaves an instance where it stands until a time: its node has no room before.
func (f *flight) putOff(until time.Time) {
	f.isParked, f.in.Due = true, until.UTC().Truncate(time.Microsecond)
}

// work makes the calls of a group, one after the other, until there are none or the batch has given
// the one that it makes up: another worker has taken its place by then.
func (r *round) work(ctx context.Context, g *group) {
	for {
		release, ok := g.limit.enter(ctx, r.done)
		if !ok {
			return
		}
		isMine := r.workOne(ctx, g)
		release()
		if !isMine {
			return
		}
	}
}

// workOne makes the next call of a group; it reports false where there is none, or where the batch
// has given this one up.
func (r *round) workOne(ctx context.Context, g *group) bool {
	for {
		i := g.next.Add(1) - 1
		if i >= int64(len(g.units)) {
			return false
		}
		u := g.units[i]
		u.began.Store(time.Now().UnixNano())
		if !u.phase.CompareAndSwap(unitQueued, unitRunning) {
			continue
		}
		u.do(ctx, g, r.batch.engine)
		if !u.phase.CompareAndSwap(unitRunning, unitDone) {
			r.land(ctx, u)
			return false
		}
		r.finished()
		return true
	}
}

func (r *round) finished() {
	if r.left.Add(-1) == 0 {
		close(r.done)
	}
}

// do makes one call, behind a barrier for panics, within the time of its node.
func (u *unit) do(ctx context.Context, g *group, e *Engine) {
	defer func() {
		if p := recover(); p != nil {
			u.replies = u.fail(panicked(p))
		}
	}()
	began := time.Now()
	ctx, cancel := context.WithDeadline(ctx, u.deadline(began))
	defer cancel()
	defer func() { u.took = time.Since(began) }()
	if g.bound.Do == nil {
		u.replies = u.fail(workflow.Failure{Code: workflow.CodeUnavailable, Message: "this process has no such action"})
		return
	}
	u.replies = g.bound.Do.Do(ctx, u.calls)
	if len(u.replies) != len(u.calls) {
		u.replies = u.fail(workflow.Failure{Code: workflow.CodeBadResponse, Message: fmt.Sprintf("%d replies to %d calls", len(u.replies), len(u.calls))})
	}
}

// fail answers every call with the same failure.
func (u *unit) fail(f workflow.Failure) []Reply {
	replies := make([]Reply, len(u.calls))
	for i := range replies {
		replies[i].Failure = f
	}
	return replies
}

// callMax bounds a call whose node and action name no time.
const callMax = time.Minute

// deadline returns when the call of a unit has had its time, and writes it into its calls: the
// node's, but an instance that ends sooner ends the call of all, since they are one.
func (u *unit) deadline(began time.Time) time.Time {
	node := u.flights[0].node
	limit := callMax
	for _, d := range []time.Duration{node.Action.Timeout, node.Timeout} {
		if d > 0 {
			limit = min(limit, d)
		}
	}
	if node.Timeout == 0 && node.Action.Timeout > callMax {
		limit = node.Action.Timeout
	}
	at := began.Add(limit)
	for i, f := range u.flights {
		if d := f.in.Deadline; !d.IsZero() && len(u.flights) == 1 && d.Before(at) {
			at = d
		}
		u.calls[i].Deadline = at
	}
	return at
}

// wait waits until every unit is done or abandoned.
func (r *round) wait(ctx context.Context) error {
	began := time.Now()
	r.patience = r.batch.engine.Patience
	tick := time.NewTicker(min(max(r.patience/4, time.Millisecond), tickMax))
	defer tick.Stop()
	for {
		select {
		case <-r.done:
			r.collect()
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case now := <-tick.C:
			r.lose(now.Sub(began))
			r.hurry(ctx, now, now.Sub(began) > r.patience)
		}
	}
}

// tickMax is how often at least a round looks at its calls.
const tickMax = 10 * time.Millisecond

// A round of at least fewMin calls that has a tenth of them left waits for these patienceTimes as long as
// the others took, but patienceMin at least: a few that hang do not hold up hundreds.
const (
	fewMin        = 20
	patienceTimes = 4
	patienceMin   = 50 * time.Millisecond
)

// lose shortens the patience of a round once nearly all of its calls are done.
func (r *round) lose(elapsed time.Duration) {
	if r.isNearlyDone || r.total < fewMin || int(r.left.Load())*10 > r.total {
		return
	}
	r.isNearlyDone = true
	r.patience = min(r.patience, max(patienceTimes*elapsed, patienceMin))
}

// hurry gives up calls that take longer than the batch has patience, and puts those off that found no
// room at their node.
func (r *round) hurry(ctx context.Context, now time.Time, isLate bool) {
	for _, g := range r.groups {
		for _, u := range g.units {
			switch u.phase.Load() {
			case unitRunning:
				if now.UnixNano()-u.began.Load() > int64(r.patience) {
					r.abandon(ctx, g, u)
				}
			case unitQueued:
				if isLate && g.limit != nil && u.phase.CompareAndSwap(unitQueued, unitPutOff) {
					for _, f := range u.flights {
						f.putOff(r.batch.engine.Now().Add(putOffTime))
					}
					r.finished()
				}
			}
		}
	}
}

// putOffTime is when an instance that found no room at its node tries again.
const putOffTime = time.Second

// abandon lets a call go on without its batch, and puts another worker in its place.
func (r *round) abandon(ctx context.Context, g *group, u *unit) {
	// The lock is taken before the phase changes, so that land sees what was decided here.
	r.mu.Lock()
	if !u.phase.CompareAndSwap(unitRunning, unitAbandoned) {
		r.mu.Unlock()
		return
	}
	ids := u.ids()
	if r.batch.engine.detached.begin(ids) {
		r.detached[u] = true
		for _, f := range u.flights {
			f.isParked = true
			f.in.Due = u.calls[0].Deadline.Add(landingTime)
		}
	} else {
		for _, f := range u.flights {
			f.result.Failure = workflow.Failure{Code: workflow.CodeTimeout, Message: "too many calls outlive their batches"}
		}
	}
	r.mu.Unlock()
	go r.work(ctx, g)
	r.finished()
}

// landingTime is how long after its deadline a call that outlived its batch is taken for lost.
const landingTime = 5 * time.Second

func (u *unit) ids() []string {
	ids := make([]string, len(u.flights))
	for i, f := range u.flights {
		ids[i] = f.in.ID
	}
	return ids
}

// collect hands the replies to their instances.
func (r *round) collect() {
	for _, g := range r.groups {
		for _, u := range g.units {
			if u.phase.Load() == unitDone {
				u.deliver(u.flights)
			}
		}
	}
}

// deliver gives each flight its reply.
func (u *unit) deliver(flights []*flight) {
	for i, f := range flights {
		f.result = workflow.Result{Response: u.replies[i].Response, Failure: u.replies[i].Failure}
		f.duration = u.took
		if len(f.result.Response) > workflow.ResponseMax {
			f.result = workflow.Result{Failure: workflow.Failure{Code: workflow.CodeBadResponse,
				Message: fmt.Sprintf("a response of %d bytes, at most %d", len(u.replies[i].Response), workflow.ResponseMax)}}
		}
	}
}
