package web

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"daybreak/internal/access"
	"daybreak/pipeline"
)

// Channels of the database that tell of changes.
const (
	channelRun    = "daybreak_run"
	channelFills  = "daybreak_fills"
	channelOrders = "daybreak_orders"
)

// feedPause is the least time between two rounds of updates: people don't read faster, and a busy
// stream notifies hundreds of times a second. A round that took long is followed by feedRest times as
// long a pause, so that updates never take more than a fifth of a connection.
const (
	feedPause = 300 * time.Millisecond
	feedRest  = 4
)

// fillsMax bounds the executions of one event, and of the page of fills when it opens.
const (
	fillsMax     = 100
	fillsPageMax = 200
)

// changes collects what was notified since the last round.
type changes struct {
	mu     sync.Mutex
	runs   map[string]bool
	orders bool
	fills  bool
	lost   bool // notifications may have been missed
	wake   chan struct{}
}

func newChanges() *changes { return &changes{runs: map[string]bool{}, wake: make(chan struct{}, 1)} }

// note is called for each notification and never waits.
func (c *changes) note(channel, payload string) {
	c.mu.Lock()
	switch channel {
	case channelRun:
		c.runs[payload] = true
	case channelOrders:
		if payload == "" {
			c.orders = true
		} else {
			c.runs[payload] = true
		}
	case channelFills:
		c.fills = true
	default:
		c.lost = true
	}
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// take returns what was noted and forgets it.
func (c *changes) take() (runs map[string]bool, orders, fills, lost bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	runs, orders, fills, lost = c.runs, c.orders, c.fills, c.lost
	c.runs, c.orders, c.fills, c.lost = map[string]bool{}, false, false, false
	return
}

// feed turns notifications of the database into events until ctx ends: one listener for all viewers.
// Nothing is read while nobody looks.
func (s *Server) feed(ctx context.Context) error {
	noted := newChanges()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return s.views.Listen(ctx, []string{channelRun, channelFills, channelOrders}, noted.note)
	})
	group.Go(func() error { return s.rounds(ctx, noted) })
	err := group.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// rounds publishes what changed, one round at a time.
func (s *Server) rounds(ctx context.Context, noted *changes) error {
	var f follower
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-noted.wake:
		case <-s.hub.arrived:
		}
		began := time.Now()
		if open, _ := s.hub.counts(); open > 0 {
			if err := s.round(ctx, noted, &f); err != nil && ctx.Err() == nil {
				s.log.Warn("live update failed", "error", err)
			}
		} else {
			f.known = false
		}
		pause.Reset(max(feedPause, feedRest*time.Since(began)))
		select {
		case <-ctx.Done():
			return nil
		case <-pause.C:
		}
	}
}

// follower remembers which executions viewers have seen.
type follower struct {
	known bool
	marks []pipeline.FillMark
}

// runEvent is the data of an event of kind run: the live part of the run's page.
type runEvent struct {
	Run  string `json:"run"`
	HTML string `json:"html"`
}

// fillsEvent is the data of an event of kind fills: rows, newest first. More says that there were
// others, so that the page must be loaded again to be whole.
type fillsEvent struct {
	Count int    `json:"count"`
	HTML  string `json:"html"`
	More  bool   `json:"more"`
}

func (s *Server) round(ctx context.Context, noted *changes, f *follower) error {
	runs, orders, fills, lost := noted.take()
	if lost {
		f.known = false
		if err := s.hub.publish("reload", struct{}{}); err != nil {
			return err
		}
	}
	if orders || fills {
		latest, err := s.views.LatestRuns(ctx, 1)
		if err != nil {
			return err
		}
		for _, r := range latest {
			runs[r.ID] = true
		}
	}
	for run := range runs {
		if err := s.publishRun(ctx, run); err != nil {
			return err
		}
	}
	return s.publishFills(ctx, f, fills)
}

func (s *Server) publishRun(ctx context.Context, id string) error {
	overview, err := s.views.RunOverview(ctx, id)
	if err != nil {
		return err
	}
	html, err := s.fragment("run-live", s.liveOf(overview))
	if err != nil {
		return err
	}
	return s.hub.publish("run", runEvent{id, html})
}

// publishFills publishes the executions since the last round. In its first round it only notes where
// the stream stands: the page that just opened shows what came before.
func (s *Server) publishFills(ctx context.Context, f *follower, fills bool) error {
	if f.known && !fills {
		return nil
	}
	marks, err := s.views.FillMarks(ctx)
	if err != nil {
		return err
	}
	before, first := f.marks, !f.known
	f.marks, f.known = marks, true
	if first {
		if fills {
			return s.hub.publish("fills", fillsEvent{More: true})
		}
		return nil
	}
	since, err := s.views.FillsSince(ctx, before, fillsMax)
	if err != nil {
		return err
	}
	since = slices.DeleteFunc(since, func(e pipeline.ExecutionRow) bool { return !isBefore(e, marks) })
	if len(since) == 0 {
		return nil
	}
	newest := newestFirst(since)
	html, err := s.fragment("fill-rows", newest[:min(len(newest), fillsMax)])
	if err != nil {
		return err
	}
	return s.hub.publish("fills", fillsEvent{Count: len(since), HTML: html, More: len(since) >= fillsMax})
}

// isBefore reports whether an execution lies before the marks: what came after they were read belongs
// to the next round.
func isBefore(e pipeline.ExecutionRow, marks []pipeline.FillMark) bool {
	for _, m := range marks {
		if m.Partition == e.SourcePartition {
			return e.SourceOffset < m.Next
		}
	}
	return false
}

// newestFirst returns executions by the broker's time, the latest first.
func newestFirst(rows []pipeline.ExecutionRow) []pipeline.ExecutionRow {
	return slices.SortedStableFunc(slices.Values(rows), func(a, b pipeline.ExecutionRow) int {
		return cmp.Or(b.BrokerTime.Compare(a.BrokerTime), cmp.Compare(b.Key, a.Key))
	})
}

// events is the stream of a page: every event has an id, and a browser that comes back with
// Last-Event-ID goes on from there, as does a page that says what it has seen.
func (s *Server) events(w http.ResponseWriter, r *http.Request) error {
	seen := cmp.Or(r.Header.Get("Last-Event-ID"), r.FormValue("since"))
	last, _ := strconv.ParseInt(seen, 10, 64) // absent, or not ours: from now on
	return s.stream(w, r, last, whatPagesSee(r))
}

// apiEvents is the same stream for machines: what changed, without the parts of pages.
func (s *Server) apiEvents(w http.ResponseWriter, r *http.Request) {
	if verdict := access.Judge(userOf(r), access.Read, ""); verdict != access.Allowed {
		s.config.API.ServeHTTP(w, r) // which says why
		return
	}
	last, _ := strconv.ParseInt(r.Header.Get("Last-Event-ID"), 10, 64)
	if err := s.stream(w, r, last, withoutParts); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	}
}

// whatPagesSee returns how a viewer's events look. One who sees some books is told to load the page
// again: its parts were made of all books.
func whatPagesSee(r *http.Request) func(event) event {
	if len(access.Books(r.Context())) == 0 {
		return func(e event) event { return e }
	}
	return func(e event) event { return event{e.ID, "reload", []byte("{}")} }
}

// withoutParts leaves of an event what changed: the run, or that there are fills.
func withoutParts(e event) event {
	var run struct {
		Run string `json:"run,omitempty"`
	}
	if json.Unmarshal(e.Data, &run) != nil {
		return event{e.ID, "reload", []byte("{}")}
	}
	data, err := json.Marshal(run)
	if err != nil {
		return event{e.ID, "reload", []byte("{}")}
	}
	return event{e.ID, e.Kind, data}
}

// stream sends a viewer the events after last, each as it is to look.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, last int64, look func(event) event) error {
	v, missed, known := s.hub.join(last)
	if v == nil {
		return refused{http.StatusServiceUnavailable, "Too many pages are open."}
	}
	defer s.hub.leave(v)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	out := &stream{w: w, control: http.NewResponseController(w), now: time.Now, look: look}
	fmt.Fprint(w, "retry: 2000\n\n")
	if !known {
		missed = []event{{s.hub.lastID(), "reload", []byte("{}")}}
	}
	return out.follow(r.Context(), v, missed)
}

// stream writes events to one viewer.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	now     func() time.Time
	look    func(event) event
}

func (o *stream) follow(ctx context.Context, v *viewer, missed []event) error {
	for _, e := range missed {
		if !o.send(e) {
			return nil
		}
	}
	if o.flush() != nil {
		return nil
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, open := <-v.events:
			if !open || !o.send(e) {
				return nil
			}
		case <-beat.C:
			fmt.Fprint(o.w, ": still here\n\n")
		}
		if o.flush() != nil {
			return nil
		}
	}
}

// send writes one event and reports false where the viewer is gone.
func (o *stream) send(e event) bool {
	e = o.look(e)
	_ = o.control.SetWriteDeadline(o.now().Add(eventTimeout)) // a writer without deadlines is a test's
	_, err := fmt.Fprintf(o.w, "id: %d\nevent: %s\ndata: %s\n\n", e.ID, e.Kind, e.Data)
	return err == nil
}

func (o *stream) flush() error {
	_ = o.control.SetWriteDeadline(o.now().Add(eventTimeout))
	return o.control.Flush()
}
