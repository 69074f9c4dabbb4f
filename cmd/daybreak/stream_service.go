package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"time"

	"golang.org/x/sync/errgroup"

	"daybreak/internal/metrics"
	"daybreak/internal/postgres"
	"daybreak/pipeline"
)

// replayer applies dead letters again, with the codecs and the book of this process.
func (s *services) replayer() *pipeline.Replayer {
	return &pipeline.Replayer{
		Letters: s.db, Build: s.build, Now: s.app.now, Log: s.app.log,
		Fills:  pipeline.NewFills(s.db, s.codec, s.app.now, s.app.log),
		Events: pipeline.NewEvents(s.db, s.events, s.app.now, s.app.log),
	}
}

// besideFills are what each process that applies fills does beside: it replays and relays dead letters,
// heeds those who move partitions, and tells how the stream is.
func (s *services) besideFills(ctx context.Context) error {
	relay := &pipeline.LetterRelay{Letters: s.db, Publisher: s.producer, Now: s.app.now, Log: s.app.log}
	group, ctx := errgroup.WithContext(ctx)
	for _, run := range []func(context.Context) error{s.replayer().Run, relay.Run, s.heedSeeks, s.tellLatency, s.serveMetrics} {
		group.Go(func() error { return run(ctx) })
	}
	return group.Wait()
}

// heedSeeks has the consumers look at their places again when a person has moved one. A place that was
// moved while nobody listened is found by the fence, at the next commit.
func (s *services) heedSeeks(ctx context.Context) error {
	isFirst := true
	return s.db.Listen(ctx, []string{pipeline.ChannelSeek}, func(channel, _ string) {
		if channel != "" || !isFirst {
			s.moved.Give()
		}
		isFirst = false
	})
}

// How often a member stores its latencies, and how long they count after the last time.
const (
	latencyEvery = 5 * time.Second
	latencyAlive = time.Minute
)

// tellLatency stores what this process has counted, for `stream lag`.
func (s *services) tellLatency(ctx context.Context) error {
	m := postgres.StreamMember{Name: cmp.Or(s.instance, rand.Text()), Build: s.build, Started: s.app.now()}
	tick := time.NewTicker(latencyEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		m.At = s.app.now()
		if err := s.db.SaveLatency(ctx, m, s.meter.Counted()); err != nil && ctx.Err() == nil {
			s.app.log.Warn("latencies are not stored", "error", err)
		}
	}
}

// streamMetrics is what a scraper is told of the stream.
func (s *services) streamMetrics() metrics.Stream {
	return metrics.Stream{
		Lags: func(ctx context.Context) ([]pipeline.Lag, error) {
			return lagOf(ctx, s.db, s.where.Brokers, "", s.app.now())
		},
		Letters: s.db.LetterTotals, Breaks: s.db.CountBreaks, Meter: s.meter, Build: s.build, Now: s.app.now,
	}
}

// serveMetrics answers scrapers where the settings name an address.
func (s *services) serveMetrics(ctx context.Context) error {
	at, listen := s.app.settings.MetricsAt, &net.ListenConfig{}
	if at == "" {
		return nil
	}
	l, err := listen.Listen(ctx, "tcp", at)
	if err != nil {
		return exitWith(exitUsage, fmt.Errorf("--metrics-at: %w", err))
	}
	return metrics.Serve(ctx, l, metrics.NewRegistry(s.streamMetrics()))
}
