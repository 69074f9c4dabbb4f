package web_test

import (
	"context"
	_ "embed"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"daybreak/internal/postgres"
	"daybreak/internal/postgres/pgtest"
	"daybreak/internal/web"
	"daybreak/market"
	"daybreak/orders"
	"daybreak/pipeline"
)

// worldSQL fills an empty database with a morning: 600 households, some parked, and the orders of
// the others in every state. Names hold markup, so that a page that does not escape them shows it.
//
//go:embed testdata/world.sql
var worldSQL string

// testRun is the run of worldSQL, which the scheduler made.
const testRun = "2020-03-16.1"

// markup is what worldSQL puts into names.
const markup = `<script>window.pwned=1</script>`

// desk is what people do with orders, over the real book. Submit marks approved orders as submitted
// and leaves out the checks, which need the tax books of a real world.
type desk struct {
	pipeline.Review
	db *postgres.DB
}

func (d desk) Submit(ctx context.Context, a pipeline.Act) (pipeline.SubmitResult, error) {
	tag, err := d.db.Pool().Exec(ctx, `UPDATE trade_order o SET released = true FROM approval_order a
		WHERE o.run = $1 AND a.run = o.run AND a.order_id = o.id AND o.held_by = '' AND o.exception = '' AND o.state = 'Proposed'`, a.Run)
	return pipeline.SubmitResult{Run: a.Run, Orders: int(tag.RowsAffected())}, err
}

// evening is the schedule on the evening before a session, at 18:00 of the exchanges' time.
type evening struct{ db *postgres.DB }

func (evening) Now() time.Time { return time.Date(2020, 3, 15, 22, 0, 0, 0, time.UTC) }

func (e evening) StartRun(ctx context.Context, session market.Day, by string) (pipeline.Run, error) {
	return e.db.CreateRun(ctx, pipeline.Run{Session: session, State: pipeline.RunStarted, Maker: by, Market: "m"},
		pipeline.StoredMarket{Hash: "m", Day: session, Body: []byte("m")}, nil)
}

// site is a running server with its database.
type site struct {
	t   *testing.T
	db  *postgres.DB
	url string
}

// open starts a server over a database; filled says whether it holds the morning.
func open(t *testing.T, filled bool) *site {
	t.Helper()
	db := pgtest.DB(t)
	if filled {
		if _, err := db.Pool().Exec(t.Context(), worldSQL); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	server, err := web.New(web.Config{
		Views: db, Actions: desk{pipeline.Review{Book: bookOf(db), Limits: orders.DefaultLimits}, db}, Listen: "127.0.0.1:0",
		Schedule: evening{db}, DevLogin: true, Build: strings.Repeat("ab", 32), Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil after its context ended", err)
		}
	})
	limit, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	addr := server.Addr(limit)
	if addr == nil {
		t.Fatal("the server does not listen after 10 s")
	}
	return &site{t: t, db: db, url: "http://" + addr.(*net.TCPAddr).String()}
}

// as returns a client that is signed in as a sample user and follows no redirect.
func (s *site) as(user string) *http.Client {
	s.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	client := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.PostForm(s.url+"/login", url.Values{"user": {user}, "next": {"/runs"}})
	if err != nil {
		s.t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusSeeOther || answer.Header.Get("Location") != "/runs" {
		s.t.Fatalf("sign in as %s = %d to %q, want 303 to /runs", user, answer.StatusCode, answer.Header.Get("Location"))
	}
	return client
}

// scalar returns the one value that a statement gives.
func scalar[T any](s *site, sql string, args ...any) T {
	s.t.Helper()
	var v T
	if err := s.db.Pool().QueryRow(s.t.Context(), sql, args...).Scan(&v); err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// exec runs a statement.
func (s *site) exec(sql string, args ...any) {
	s.t.Helper()
	if _, err := s.db.Pool().Exec(s.t.Context(), sql, args...); err != nil {
		s.t.Fatal(fmt.Errorf("%s: %w", sql, err))
	}
}

func bookOf(db any) pipeline.ReviewBook { b, _ := db.(pipeline.ReviewBook); return b }
