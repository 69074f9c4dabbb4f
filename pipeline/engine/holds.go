package engine

import (
	"context"
	"sync"
	"time"
)

// holdsFor is how long holds are believed before they are read again: a pause is obeyed so soon.
const holdsFor = 200 * time.Millisecond

// holdCache knows what is kept from running.
type holdCache struct {
	store Store

	mu        sync.Mutex
	read      time.Time
	nodes     map[nodeName]Hold
	instances map[string]Hold
}

// nodeName is a node of a workflow, whatever its version.
type nodeName struct{ workflow, node string }

// current returns the holds, read again where they are old. Its maps must not be changed.
func (h *holdCache) current(ctx context.Context, now time.Time) (map[nodeName]Hold, map[string]Hold, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if age := now.Sub(h.read); h.nodes != nil && age >= 0 && age < holdsFor {
		return h.nodes, h.instances, nil
	}
	all, err := h.store.Holds(ctx)
	if err != nil {
		return nil, nil, err
	}
	h.nodes, h.instances, h.read = map[nodeName]Hold{}, map[string]Hold{}, now
	for _, hold := range all {
		if hold.Instance != "" {
			h.instances[hold.Instance] = hold
		} else {
			h.nodes[nodeName{hold.Workflow, hold.Node}] = hold
		}
	}
	return h.nodes, h.instances, nil
}

// forget makes the next call of current read.
func (h *holdCache) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.nodes = nil
}

// A node pauses itself once alikeMin of its last windowMax instances, and half of them, failed
// alike: bad data of a few households do not stop the others, a broken service does.
const (
	alikeMin  = 20
	windowMax = 200
)

// breaker counts what came of the last instances at each node.
type breaker struct {
	mu      sync.Mutex
	windows map[nodeName]*window
}

// window counts instances; once windowMax are counted it begins anew.
type window struct {
	passed int
	alike  map[string]int // failures by code and signature
}

func newBreaker() *breaker { return &breaker{windows: map[nodeName]*window{}} }

// count notes instances that passed a node or failed for good there, and returns the signature that
// should pause it, "" for none. A window that trips begins anew.
func (b *breaker) count(node nodeName, passed int, failed map[string]int) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	w := b.windows[node]
	if w == nil {
		if len(failed) == 0 {
			return ""
		}
		w = &window{alike: map[string]int{}}
		b.windows[node] = w
	}
	w.passed += passed
	total := w.passed
	for signature, n := range failed {
		w.alike[signature] += n
	}
	worst := ""
	for signature, n := range w.alike {
		total += n
		if n > w.alike[worst] || n == w.alike[worst] && signature < worst {
			worst = signature
		}
	}
	trips := w.alike[worst] >= alikeMin && 2*w.alike[worst] >= total
	if trips || total >= windowMax {
		delete(b.windows, node)
	}
	if !trips {
		return ""
	}
	return worst
}
