// Package metrics tells a Prometheus scraper about the stream: how far behind it is, how long records
// took to their commit, and which dead letters are open. Nothing is labelled with an account.
package metrics

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"daybreak/pipeline"
)

// Stream is what is told of the stream; each part is asked for at each scrape.
type Stream struct {
	Lags    func(ctx context.Context) ([]pipeline.Lag, error)
	Letters func(ctx context.Context) ([]pipeline.LetterTotal, error)
	Breaks  func(ctx context.Context) (int64, error) // of the last reconciliation of each source
	Meter   *pipeline.Meter                          // of this process
	Build   string
	Now     func() time.Time
}

// scrapeTimeout bounds what one scrape asks brokers and database.
const scrapeTimeout = 8 * time.Second

// collector tells the state of the stream.
type collector struct {
	stream                                                         Stream
	records, seconds, age, apply, letters, oldest, breaks, up, who *prometheus.Desc
}

// NewRegistry returns a registry that tells the stream, and the process that it is asked in.
func NewRegistry(s Stream) *prometheus.Registry {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	c := &collector{stream: s,
		records: desc("daybreak_stream_lag_records", "Records of a partition that the book has not applied.", "topic", "partition"),
		seconds: desc("daybreak_stream_lag_seconds", "Age of the oldest record of a partition that the book has not applied; 0 for none.", "topic", "partition"),
		age:     desc("daybreak_stream_partition_last_record_age_seconds", "Age of the last record of a partition that the book has applied.", "topic", "partition"),
		apply:   desc("daybreak_fill_apply_duration_seconds", "Time of records from the broker to the commit, in this process.", "topic"),
		letters: desc("daybreak_dlq_messages", "Open dead letters.", "topic", "reason"),
		oldest:  desc("daybreak_dlq_oldest_age_seconds", "Age of the oldest open dead letter.", "topic", "reason"),
		breaks:  desc("daybreak_reconciliation_breaks", "Breaks of the last reconciliation of each source."),
		up:      desc("daybreak_stream_up", "1 where brokers and database answered this scrape, else 0."),
		who:     desc("daybreak_build_info", "1, with the build of this process.", "build"),
	}
	r := prometheus.NewRegistry()
	r.MustRegister(c, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.records, c.seconds, c.age, c.apply, c.letters, c.oldest, c.breaks, c.up, c.who} {
		out <- d
	}
}

// Collect implements prometheus.Collector. What does not answer is left out, and daybreak_stream_up says
// so.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	gauge := func(what *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(what, prometheus.GaugeValue, value, labels...)
	}
	for topic, l := range c.stream.Meter.Counted() {
		out <- prometheus.MustNewConstHistogram(c.apply, uint64(l.Records()), l.Seconds, cumulative(l), topic)
	}
	up := 1.0
	for _, part := range []func(context.Context, func(*prometheus.Desc, float64, ...string)) error{c.lag, c.dead, c.broken} {
		if err := part(ctx, gauge); err != nil {
			up = 0
		}
	}
	gauge(c.up, up)
	gauge(c.who, 1, c.stream.Build)
}

func cumulative(l pipeline.Latency) map[float64]uint64 {
	buckets := make(map[float64]uint64, len(pipeline.LatencyBounds))
	var below uint64
	for i, bound := range pipeline.LatencyBounds {
		below += uint64(l.Buckets[i])
		buckets[bound] = below
	}
	return buckets
}

func (c *collector) lag(ctx context.Context, gauge func(*prometheus.Desc, float64, ...string)) error {
	lags, err := c.stream.Lags(ctx)
	for _, l := range lags {
		partition := strconv.FormatInt(int64(l.Partition), 10)
		gauge(c.records, float64(l.Records), l.Topic, partition)
		gauge(c.seconds, l.Seconds, l.Topic, partition)
		if l.LastSeconds != nil {
			gauge(c.age, *l.LastSeconds, l.Topic, partition)
		}
	}
	return err
}

func (c *collector) dead(ctx context.Context, gauge func(*prometheus.Desc, float64, ...string)) error {
	totals, err := c.stream.Letters(ctx)
	for _, t := range totals {
		gauge(c.letters, float64(t.Letters), t.Topic, t.Reason)
		gauge(c.oldest, c.stream.Now().Sub(t.Oldest).Seconds(), t.Topic, t.Reason)
	}
	return err
}

func (c *collector) broken(ctx context.Context, gauge func(*prometheus.Desc, float64, ...string)) error {
	n, err := c.stream.Breaks(ctx)
	if err == nil {
		gauge(c.breaks, float64(n))
	}
	return err
}

// Time limits of the server.
const (
	headerTimeout   = 5 * time.Second
	shutdownTimeout = 2 * time.Second
)

// Serve answers /metrics and /healthz on an address until ctx ends. It closes the listener.
func Serve(ctx context.Context, l net.Listener, r *prometheus.Registry) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(r, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	server := &http.Server{Handler: mux, ReadHeaderTimeout: headerTimeout, ReadTimeout: headerTimeout}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve metrics on %s: %w", l.Addr(), err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		if server.Shutdown(limit) != nil {
			return server.Close()
		}
		return nil
	})
	return group.Wait()
}
