package kafka

import (
	"context"
	"sync"
)

// Signal tells consumers of a process that something has happened. It is safe for concurrent use.
type Signal struct {
	mu sync.Mutex
	ch chan struct{} // closed at the next one
}

// NewSignal returns a signal that nobody has given yet.
func NewSignal() *Signal { return &Signal{ch: make(chan struct{})} }

// Give ends what is within the signal now.
func (s *Signal) Give() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.ch)
	s.ch = make(chan struct{})
}

// within returns a context that ends with ctx or at the next signal. The caller calls stop at its end.
func (s *Signal) within(ctx context.Context) (until context.Context, stop context.CancelFunc) {
	until, stop = context.WithCancel(ctx)
	if s == nil {
		return until, stop
	}
	s.mu.Lock()
	given := s.ch
	s.mu.Unlock()
	go func() {
		select {
		case <-given:
			stop()
		case <-until.Done():
		}
	}()
	return until, stop
}
