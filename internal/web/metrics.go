package web

import (
	"context"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// scrapeTimeout bounds the queries of one scrape.
const scrapeTimeout = 3 * time.Second

// metrics are what a scraper reads: requests as they are answered, and the state of the day from the
// database, read when it asks. Nothing is labelled with an account.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newMetrics(v Views, h *hub, now func() time.Time) *metrics {
	m := &metrics{registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "daybreak_http_requests_total",
			Help: "Requests answered, by route and status."}, []string{"route", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "daybreak_http_request_seconds",
			Help: "Time from request to answer, by route.", Buckets: []float64{.005, .01, .025, .05, .1, .2, .5, 1, 5}}, []string{"route"}),
	}
	m.registry.MustRegister(m.requests, m.seconds, newDay(v, h, now),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) observe(route string, status int, took time.Duration) {
	m.requests.WithLabelValues(route, strconv.Itoa(status)).Inc()
	if route != "GET /events" { // open for as long as the page is
		m.seconds.WithLabelValues(route).Observe(took.Seconds())
	}
}

// day collects the state of the day.
type day struct {
	views                                                     Views
	hub                                                       *hub
	now                                                       func() time.Time
	households, orders, records, age, viewers, dropped, reach *prometheus.Desc
}

func newDay(v Views, h *hub, now func() time.Time) *day {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("daybreak_"+name, help, labels, nil)
	}
	return &day{views: v, hub: h, now: now,
		households: desc("run_households", "Households of the latest run, by outcome so far.", "outcome"),
		orders:     desc("orders", "Orders of the latest run, by state.", "state"),
		records:    desc("stream_records_total", "Records applied from a topic, by how they ended.", "topic", "outcome"),
		age:        desc("stream_last_record_age_seconds", "Age of the newest record applied from a topic.", "topic"),
		viewers:    desc("event_viewers", "Open streams of live updates."),
		dropped:    desc("event_viewers_dropped_total", "Streams closed because their reader was too slow."),
		reach:      desc("database_up", "1 where the database answered this scrape, else 0."),
	}
}

// Describe implements prometheus.Collector.
func (d *day) Describe(out chan<- *prometheus.Desc) {
	for _, what := range []*prometheus.Desc{d.households, d.orders, d.records, d.age, d.viewers, d.dropped, d.reach} {
		out <- what
	}
}

// Collect implements prometheus.Collector. What the database does not answer is left out, and
// daybreak_database_up says so.
func (d *day) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	gauge := func(what *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(what, prometheus.GaugeValue, value, labels...)
	}
	open, dropped := d.hub.counts()
	gauge(d.viewers, float64(open))
	out <- prometheus.MustNewConstMetric(d.dropped, prometheus.CounterValue, float64(dropped))
	up := 1.0
	for _, part := range []func(context.Context, func(*prometheus.Desc, float64, ...string)) error{d.run, d.states, d.streams(out)} {
		if err := part(ctx, gauge); err != nil {
			up = 0
			break
		}
	}
	gauge(d.reach, up)
}

func (d *day) run(ctx context.Context, gauge func(*prometheus.Desc, float64, ...string)) error {
	latest, err := d.views.LatestRuns(ctx, 1)
	if err != nil || len(latest) == 0 {
		return err
	}
	o, err := d.views.RunOverview(ctx, latest[0].ID)
	if err != nil {
		return err
	}
	gauge(d.households, float64(o.Decided-o.Parked), "decided")
	gauge(d.households, float64(o.Parked), "parked")
	gauge(d.households, float64(int64(o.Run.Households)-o.Decided), "waiting")
	return nil
}

func (d *day) states(ctx context.Context, gauge func(*prometheus.Desc, float64, ...string)) error {
	counts, err := d.views.OrderStates(ctx)
	for _, c := range counts {
		gauge(d.orders, float64(c.Count), c.State)
	}
	return err
}

func (d *day) streams(out chan<- prometheus.Metric) func(context.Context, func(*prometheus.Desc, float64, ...string)) error {
	return func(ctx context.Context, gauge func(*prometheus.Desc, float64, ...string)) error {
		rows, err := d.views.Streams(ctx)
		for _, r := range rows {
			for outcome, n := range map[string]int64{"applied": r.Applied, "duplicate": r.Duplicate, "held": r.Held, "dead": r.Dead} {
				out <- prometheus.MustNewConstMetric(d.records, prometheus.CounterValue, float64(n), r.Topic, outcome)
			}
			if r.LastRecord != nil {
				gauge(d.age, d.now().Sub(*r.LastRecord).Seconds(), r.Topic)
			}
		}
		return err
	}
}
