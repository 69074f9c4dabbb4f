package pipeline

import (
	"sync"
	"time"
)

// Lag is how far one partition is behind. Seconds is the age of the oldest record that is not applied, 0
// where there is none; LastSeconds that of the last one that is.
type Lag struct {
	Topic       string   `json:"topic"`
	Partition   int32    `json:"partition"`
	Records     int64    `json:"records"`
	Seconds     float64  `json:"seconds"`
	Next        int64    `json:"next_offset"`
	End         int64    `json:"end_offset"`
	LastSeconds *float64 `json:"last_record_seconds,omitempty"`
}

// StreamPlace is how far the book has a partition.
type StreamPlace struct {
	Topic      string
	Partition  int32
	Next       int64
	LastRecord *time.Time
}

// TopicEnd is where a partition ends at the brokers, and when its first record that is not applied was
// written.
type TopicEnd struct {
	Start  int64
	End    int64
	Oldest *time.Time
}

// LagOf returns the lag of each place, in their order, at an instant. A partition whose records before
// its first one are gone lags by those that are there.
func LagOf(places []StreamPlace, ends map[int32]TopicEnd, now time.Time) []Lag {
	all := make([]Lag, 0, len(places))
	for _, p := range places {
		end := ends[p.Partition]
		l := Lag{Topic: p.Topic, Partition: p.Partition, Next: p.Next, End: end.End, Records: max(end.End-max(p.Next, end.Start), 0)}
		if end.Oldest != nil && l.Records > 0 {
			l.Seconds = max(now.Sub(*end.Oldest).Seconds(), 0)
		}
		if p.LastRecord != nil {
			age := now.Sub(*p.LastRecord).Seconds()
			l.LastSeconds = &age
		}
		all = append(all, l)
	}
	return all
}

// LatencyBounds are the upper bounds, in seconds, of the buckets that the time from the broker to the
// commit is counted in; one more bucket has the rest.
var LatencyBounds = []float64{.01, .025, .05, .075, .1, .15, .2, .25, .35, .5, .75, 1, 2.5, 5, 10, 30, 60, 300}

// Latency counts records by how long they took from the broker to the commit.
type Latency struct {
	Buckets []int64 // one more than LatencyBounds
	Seconds float64 // of all records together
}

// Records returns the number of records counted.
func (l Latency) Records() int64 {
	var n int64
	for _, b := range l.Buckets {
		n += b
	}
	return n
}

// Add returns the counts of both.
func (l Latency) Add(more Latency) Latency {
	sum := Latency{Buckets: make([]int64, len(LatencyBounds)+1), Seconds: l.Seconds + more.Seconds}
	for i := range sum.Buckets {
		for _, part := range []Latency{l, more} {
			if i < len(part.Buckets) {
				sum.Buckets[i] += part.Buckets[i]
			}
		}
	}
	return sum
}

// Quantile returns the bound below which the share q of the records lies, in seconds: the upper one of
// its bucket, so that it is never better than what was. It reports false where nothing was counted, or
// where only the last bound is below.
func (l Latency) Quantile(q float64) (float64, bool) {
	wanted := q * float64(l.Records())
	seen := int64(0)
	for i, n := range l.Buckets {
		seen += n
		if n > 0 && float64(seen) >= wanted && i < len(LatencyBounds) {
			return LatencyBounds[i], true
		}
	}
	return 0, false
}

// Meter counts the latencies of the records that one process has committed, by topic. It is safe for
// concurrent use.
type Meter struct {
	mu     sync.Mutex
	topics map[string]*Latency
}

// NewMeter returns a meter that has counted nothing.
func NewMeter() *Meter { return &Meter{topics: map[string]*Latency{}} }

// Committed counts the records of a batch that was committed at an instant.
func (m *Meter) Committed(b Batch, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.topics[b.Topic]
	if l == nil {
		l = &Latency{Buckets: make([]int64, len(LatencyBounds)+1)}
		m.topics[b.Topic] = l
	}
	for _, r := range b.Records {
		took := max(at.Sub(r.Time).Seconds(), 0)
		i := 0
		for i < len(LatencyBounds) && took > LatencyBounds[i] {
			i++
		}
		l.Buckets[i]++
		l.Seconds += took
	}
}

// Counted returns what was counted so far, by topic.
func (m *Meter) Counted() map[string]Latency {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make(map[string]Latency, len(m.topics))
	for topic, l := range m.topics {
		all[topic] = Latency{}.Add(*l)
	}
	return all
}
