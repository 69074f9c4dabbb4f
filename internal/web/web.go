// Package web serves Daybreak's pages: the run with its progress, its orders with their reasons,
// approvals, accounts, and fills as they come. Pages are made on the server and work without
// JavaScript, except for live updates.
package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"daybreak/internal/access"
	"daybreak/orders"
	"daybreak/pipeline"
	"daybreak/portfolio"
)

// Views is what pages read.
type Views interface {
	Run(ctx context.Context, id string) (pipeline.Run, error)
	LatestRuns(ctx context.Context, limit int) ([]pipeline.Run, error)
	RunOverview(ctx context.Context, id string) (pipeline.RunOverview, error)
	RunDetails(ctx context.Context, run string) (pipeline.RunDetails, error)
	Orders(ctx context.Context, p pipeline.OrderPage) ([]pipeline.OrderRow, error)
	OrderTotals(ctx context.Context, run string, f pipeline.OrderFilter) ([]pipeline.OrderTotal, error)
	OrderFacets(ctx context.Context, run string, f pipeline.OrderFilter) ([]pipeline.FacetCount, error)
	// Audit returns a page of the audit trail, newest first.
	Audit(ctx context.Context, q pipeline.AuditQuery) ([]pipeline.AuditLink, error)
	Order(ctx context.Context, run string, id orders.ID) (pipeline.OrderDetail, error)
	Account(ctx context.Context, id portfolio.AccountID) (pipeline.AccountView, error)
	Fills(ctx context.Context, limit int) ([]pipeline.ExecutionRow, error)
	FillMarks(ctx context.Context) ([]pipeline.FillMark, error)
	FillsSince(ctx context.Context, marks []pipeline.FillMark, limit int) ([]pipeline.ExecutionRow, error)
	Streams(ctx context.Context) ([]pipeline.StreamRow, error)
	OrderStates(ctx context.Context) ([]pipeline.StateCount, error)
	Find(ctx context.Context, text string) (pipeline.Found, error)
	Ready(ctx context.Context) error
	// Listen calls wake for each notification on the channels until ctx ends, and with an empty
	// channel where notifications may have been missed.
	Listen(ctx context.Context, channels []string, wake func(channel, payload string)) error
}

// Config is what a Server needs.
type Config struct {
	Views    Views
	Actions  Actions
	Schedule Schedule     // nil: the pages say nothing of runs to come
	Listen   string       // host:port; port 0 takes any
	DevLogin bool         // sign in by choosing a sample user; refused where Listen is not loopback
	IsSample func() bool  // of the installation: sample users sign in to no other one; nil: it is
	People   People       // nil: there are sample users only
	Sessions scs.Store    // nil: in memory, so that a restart signs everybody out
	SignOn   SignOn       // nil: there is none
	API      http.Handler // under /api/; nil for none
	Build    string       // id of the running build
	Log      *slog.Logger
	Now      func() time.Time
}

// ErrExposed is wrapped where sample users could be chosen from another machine. Commands report it
// as a fault of usage.
var ErrExposed = errors.New("sample users may sign in on a loopback address only")

// Server serves the pages. Make it with New.
type Server struct {
	views    Views
	actions  Actions
	config   Config
	log      *slog.Logger
	now      func() time.Time
	pages    *pages
	sessions *scs.SessionManager
	hub      *hub
	metrics  *metrics
	handler  http.Handler
	addr     chan net.Addr // holds the address once it is bound
}

// Time limits of the HTTP server. Answers have no limit as a whole, since events are one long
// answer; each write of an event has its own.
const (
	headerTimeout   = 5 * time.Second
	readTimeout     = 30 * time.Second
	idleTimeout     = 2 * time.Minute
	shutdownTimeout = 5 * time.Second
	bodyMax         = 1 << 20
	headerMax       = 64 << 10
)

// New returns a server that does not listen yet.
func New(c Config) (*Server, error) {
	if c.DevLogin && !isLoopback(c.Listen) {
		return nil, fmt.Errorf("listen on %s: %w", c.Listen, ErrExposed)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	p, err := loadPages()
	if err != nil {
		return nil, err
	}
	s := &Server{views: c.Views, actions: c.Actions, config: c, log: c.Log, now: c.Now, pages: p,
		sessions: newSessions(c), hub: newHub(c.Now), addr: make(chan net.Addr, 1)}
	s.metrics = newMetrics(c.Views, s.hub, c.Now)
	s.handler = s.guard(s.routes())
	return s, nil
}

// Handler returns the pages as a handler. Events come only while Run or Serve is running.
func (s *Server) Handler() http.Handler { return s.handler }

// Run listens on the configured address and serves until ctx ends; it then lets requests that are
// under way finish for a few seconds.
func (s *Server) Run(ctx context.Context) error {
	l, err := net.Listen("tcp", s.config.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", s.config.Listen, err)
	}
	return s.Serve(ctx, l)
}

// Addr waits until the server listens and returns its address; nil where ctx ends before.
func (s *Server) Addr(ctx context.Context) net.Addr {
	select {
	case a := <-s.addr:
		s.addr <- a
		return a
	case <-ctx.Done():
		return nil
	}
}

// Serve is Run on a listener that is bound already; it closes it.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	if s.config.DevLogin && !isLoopback(l.Addr().String()) {
		l.Close()
		return fmt.Errorf("listen on %s: %w", l.Addr(), ErrExposed)
	}
	group, ctx := errgroup.WithContext(ctx)
	server := &http.Server{
		Handler: s.handler, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: headerMax, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	s.addr <- l.Addr()
	group.Go(func() error {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve pages on %s: %w", l.Addr(), err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		if err := server.Shutdown(limit); err != nil {
			return server.Close()
		}
		return nil
	})
	group.Go(func() error { return s.feed(ctx) })
	return group.Wait()
}

// known runs the API for whoever sends a request: it says itself what needs whom.
func (s *Server) known(next http.Handler) http.Handler {
	return s.sessions.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began, rec := s.now(), &recorder{ResponseWriter: w, status: http.StatusOK}
		r, err := s.identify(r)
		if err != nil {
			s.log.Error("request failed", "path", r.URL.Path, "error", err)
			http.Error(rec, "the database does not answer", http.StatusServiceUnavailable)
			return
		}
		next.ServeHTTP(rec, r)
		s.metrics.observe("/api/", rec.status, s.now().Sub(began))
	}))
}

// page is a handler that may fail; serve turns the error into a page.
type page func(w http.ResponseWriter, r *http.Request) error

func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	handle := func(pattern string, a access.Action, p page) { mux.Handle(pattern, s.serve(pattern, a, p)) }
	handle("GET /{$}", access.Read, s.home)
	handle("GET /runs", access.Read, s.runs)
	handle("POST /runs", access.StartRun, s.start)
	handle("GET /runs/{run}", access.Read, s.run)
	handle("GET /runs/{run}/orders", access.Read, s.orders)
	handle("GET /runs/{run}/orders/{order}", access.Read, s.order)
	handle("GET /runs/{run}/approve", access.Approve, s.askApprove)
	handle("POST /runs/{run}/approve", access.Approve, s.approve)
	handle("GET /runs/{run}/submit", access.Submit, s.askSubmit)
	handle("POST /runs/{run}/submit", access.Submit, s.submit)
	handle("POST /runs/{run}/orders/{order}/hold", access.Hold, s.hold)
	handle("POST /runs/{run}/orders/{order}/release", access.Release, s.release)
	handle("POST /runs/{run}/orders/{order}/reject", access.Reject, s.reject)
	handle("POST /runs/{run}/orders/{order}/override", access.Override, s.override)
	handle("GET /accounts/{account}", access.Read, s.account)
	handle("GET /fills", access.Read, s.fills)
	handle("GET /audit", access.ReadAudit, s.audit)
	handle("GET /search", access.Read, s.search)
	handle("GET /events", access.Read, s.events)
	handle("GET /login", anyone, s.askLogin)
	handle("POST /login", anyone, s.login)
	handle("GET /login/start", anyone, s.beginSignOn)
	handle("GET /login/callback", anyone, s.finishSignOn)
	handle("POST /logout", anyone, s.logout)
	handle("/", access.Read, func(http.ResponseWriter, *http.Request) error { return pipeline.ErrNotFound })
	if s.config.API != nil {
		mux.Handle("/api/", s.known(s.config.API))
		mux.Handle("GET /api/v1/events", s.known(http.HandlerFunc(s.apiEvents)))
	}
	mux.Handle("GET /assets/{hash}/{name}", assets())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", s.ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{}))
	return mux
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if err := s.views.Ready(ctx); err != nil {
		http.Error(w, "the database does not answer", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}
