package kafka

import (
	"maps"
	"slices"
	"sync"
)

// Ownership are the partitions that a member of a group has. A consumer of another topic follows it,
// so that one process owns the same partitions of both.
type Ownership struct {
	mu         sync.Mutex
	partitions map[int32]bool
	changed    chan struct{} // closed at the next change
}

// NewOwnership returns the ownership of nothing.
func NewOwnership() *Ownership {
	return &Ownership{partitions: map[int32]bool{}, changed: make(chan struct{})}
}

// now returns the partitions, sorted, and a channel that is closed when they are others.
func (o *Ownership) now() ([]int32, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Sorted(maps.Keys(o.partitions)), o.changed
}

func (o *Ownership) change(gained, lost []int32) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, p := range gained {
		o.partitions[p] = true
	}
	for _, p := range lost {
		delete(o.partitions, p)
	}
	o.signal()
}

// clear is the end of a membership: nothing is owned.
func (o *Ownership) clear() {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.partitions)
	o.signal()
}

func (o *Ownership) signal() {
	close(o.changed)
	o.changed = make(chan struct{})
}
