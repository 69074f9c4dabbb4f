package web

import (
	"encoding/json"
	"sync"
	"time"
)

// The bounds of live updates.
const (
	ringMax         = 512              // events kept for viewers that reconnect: minutes of a busy morning
	viewerBufferMax = 64               // events that a viewer may be behind before it is dropped
	viewersMax      = 500              // open event streams
	heartbeat       = 15 * time.Second // proxies and browsers close what is silent
	eventTimeout    = 10 * time.Second // one write to one viewer
)

// event is one update. IDs increase, over restarts too: they begin at the clock's microseconds.
type event struct {
	ID   int64
	Kind string // run, orders, fills or reload
	Data []byte // JSON in one line
}

// hub hands every event to every viewer. A viewer that falls behind is dropped: its browser
// reconnects with the last id that it saw, and gets what it missed, or is told to reload.
type hub struct {
	mu      sync.Mutex
	ring    []event // the newest, at most ringMax, by id
	next    int64
	viewers map[*viewer]bool
	dropped int64
	arrived chan struct{} // holds a token when a viewer came
}

// viewer is one open stream; events is closed when the viewer is dropped.
type viewer struct{ events chan event }

func newHub(now func() time.Time) *hub {
	return &hub{next: now().UnixMicro(), viewers: map[*viewer]bool{}, arrived: make(chan struct{}, 1)}
}

// publish gives an event its id and hands it out. It never waits.
func (h *hub) publish(kind string, data any) error {
	body, err := json.Marshal(data)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	e := event{h.next, kind, body}
	h.next++
	if len(h.ring) == ringMax {
		h.ring = append(h.ring[:0:0], h.ring[1:]...)
	}
	h.ring = append(h.ring, e)
	for v := range h.viewers {
		select {
		case v.events <- e:
		default:
			h.dropped++
			h.remove(v)
		}
	}
	return nil
}

// join adds a viewer that saw the events up to last; 0 for one that just loaded its page. It returns
// what the viewer missed, and reports false where that is no longer known.
func (h *hub) join(last int64) (v *viewer, missed []event, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.viewers) >= viewersMax {
		return nil, nil, false
	}
	v = &viewer{events: make(chan event, viewerBufferMax)}
	h.viewers[v] = true
	select {
	case h.arrived <- struct{}{}:
	default:
	}
	if last == 0 {
		return v, nil, true
	}
	oldest := h.next
	if len(h.ring) > 0 {
		oldest = h.ring[0].ID
	}
	if last < oldest-1 || last >= h.next {
		return v, nil, false
	}
	for _, e := range h.ring {
		if e.ID > last {
			missed = append(missed, e)
		}
	}
	return v, missed, true
}

// leave removes a viewer; one that was dropped already is gone.
func (h *hub) leave(v *viewer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.remove(v)
}

func (h *hub) remove(v *viewer) {
	if h.viewers[v] {
		delete(h.viewers, v)
		close(v.events)
	}
}

// counts returns the open streams and those dropped so far.
func (h *hub) counts() (open int, dropped int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.viewers), h.dropped
}

// lastID returns the id of the newest event.
func (h *hub) lastID() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.next - 1
}
