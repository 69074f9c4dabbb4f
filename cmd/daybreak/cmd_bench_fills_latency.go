package main

import (
	"context"
	"slices"
	"time"

	"daybreak/internal/postgres"
	"daybreak/pipeline"
)

// fillsASecond is the rate at which the time to visible is measured: 18,000 a minute.
const fillsASecond = 300

// measureLatency produces fills at an even rate and notes for each how long it takes from producing
// until another connection sees it.
func (b *fillsBench) measureLatency(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l := &visibility{db: b.services.db, sent: make(chan sentFill, 4*fillsASecond), wake: make(chan struct{}, 1), done: make(chan error, 1)}
	if err := l.begin(ctx); err != nil {
		return err
	}
	go func() {
		_ = b.services.db.Listen(ctx, []string{postgres.ChannelFills}, func(string, string) {
			select {
			case l.wake <- struct{}{}:
			default:
			}
		})
	}()
	go func() { l.done <- l.watch(ctx) }()
	n := int(b.latency.Seconds() * fillsASecond)
	if err := b.produceEvenly(ctx, l, n); err != nil {
		return err
	}
	close(l.sent)
	if err := <-l.done; err != nil {
		return err
	}
	slices.Sort(l.took)
	at := func(share float64) float64 { return l.took[int(share*float64(len(l.took)-1))].Seconds() * 1000 }
	_, rss, err := processCost(b.consumer.Process.Pid)
	if err != nil {
		return err
	}
	return b.emit(fillsMeasurement{Name: "fills_latency", Unit: "fills/s", N: n, Seconds: l.last.Sub(l.first).Seconds(), P50: at(0.5), P99: at(0.99), RSS: rss})
}

// produceEvenly writes n fills, each when its time comes.
func (b *fillsBench) produceEvenly(ctx context.Context, l *visibility, n int) error {
	began := time.Now()
	const gap = time.Second / fillsASecond
	for i := 0; i < n; {
		if err := pauseFor(ctx, time.Until(began.Add(time.Duration(i)*gap))); err != nil {
			return err
		}
		due := min(n, int(time.Since(began)/gap)+1) - i
		records, err := b.records(due)
		if err != nil {
			return err
		}
		for k, r := range records {
			l.sent <- sentFill{r.Partition, began.Add(time.Duration(i+k) * gap)}
		}
		if err := b.services.producer.Publish(ctx, records); err != nil {
			return err
		}
		i += due
	}
	return nil
}

// sentFill is a record that was due at a time.
type sentFill struct {
	partition int32
	at        time.Time
}

// visibility finds out when records become visible: the offsets of a partition move in the
// transaction of their effects.
type visibility struct {
	db          *postgres.DB
	sent        chan sentFill
	wake        chan struct{}
	done        chan error
	next        map[int32]int64       // offset of the first record in open
	open        map[int32][]time.Time // by partition, in order of offset
	took        []time.Duration
	first, last time.Time
}

func (v *visibility) begin(ctx context.Context) (err error) {
	v.open = map[int32][]time.Time{}
	v.next, err = v.db.StreamOffsets(ctx, pipeline.TopicFills)
	v.first = time.Now()
	return err
}

func (v *visibility) watch(ctx context.Context) error {
	isOpen, waiting := true, 0
	for isOpen || waiting > 0 {
		select {
		case <-v.wake:
		case <-time.After(time.Second):
		case <-ctx.Done():
			return ctx.Err()
		}
		isOpen = v.take()
		if err := v.look(ctx); err != nil {
			return err
		}
		waiting = 0
		for _, open := range v.open {
			waiting += len(open)
		}
	}
	return nil
}

// take enters what was sent since; it reports false once nothing more will be.
func (v *visibility) take() bool {
	for {
		select {
		case s, ok := <-v.sent:
			if !ok {
				return false
			}
			v.open[s.partition] = append(v.open[s.partition], s.at)
		default:
			return true
		}
	}
}

// look notes the records that have become visible.
func (v *visibility) look(ctx context.Context) error {
	offsets, err := v.db.StreamOffsets(ctx, pipeline.TopicFills)
	if err != nil {
		return err
	}
	v.last = time.Now()
	for p, next := range offsets {
		n := min(int(next-v.next[p]), len(v.open[p]))
		for _, at := range v.open[p][:n] {
			v.took = append(v.took, v.last.Sub(at))
		}
		v.open[p], v.next[p] = v.open[p][n:], v.next[p]+int64(n)
	}
	return nil
}
