package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"daybreak/internal/access"
	"daybreak/internal/api"
	"daybreak/internal/postgres"
	"daybreak/internal/postgres/pgtest"
	"daybreak/internal/web"
	"daybreak/market"
	"daybreak/money"
	"daybreak/orders"
	"daybreak/pipeline"
)

// testRun is the run of the morning that the tests of the pages use too.
const testRun = "2020-03-16.1"

// desk marks approved orders as submitted and leaves out the checks, which need the tax books of a
// real world.
type desk struct {
	pipeline.Review
	db *postgres.DB
}

func (d desk) Submit(ctx context.Context, a pipeline.Act) (pipeline.SubmitResult, error) {
	if _, err := d.db.Run(ctx, a.Run); err != nil {
		return pipeline.SubmitResult{}, err
	}
	tag, err := d.db.Pool().Exec(ctx, `UPDATE trade_order o SET released = true FROM approval_order a
		WHERE o.run = $1 AND a.run = o.run AND a.order_id = o.id AND NOT o.released AND o.held_by = '' AND o.exception = '' AND o.state = 'Proposed'`, a.Run)
	return pipeline.SubmitResult{Run: a.Run, Orders: int(tag.RowsAffected()), Notional: map[string]money.Dec{}}, err
}

// runs steers the runs of a book without a broker.
type runs struct{ db *postgres.DB }

func (runs) Now() time.Time { return time.Date(2020, 3, 16, 10, 0, 0, 0, time.UTC) }

func (r runs) StartRun(ctx context.Context, session market.Day, by string) (pipeline.Run, error) {
	return r.db.CreateRun(ctx, pipeline.Run{Session: session, State: pipeline.RunStarted, Maker: by, Market: "m", Started: r.Now()},
		pipeline.StoredMarket{Hash: "m", Day: session, Body: []byte("m")}, nil)
}

func (r runs) Steer(ctx context.Context, c pipeline.RunChange) (pipeline.Run, error) {
	return r.db.ChangeRun(ctx, c)
}

// site is a running server with its database and a token for each person.
type site struct {
	t      testing.TB
	db     *postgres.DB
	url    string
	tokens map[string]string
	serial int
}

// books are the books of the tenants: even households are of the one, odd ones of the other.
const books = `UPDATE household SET book = CASE right(id, 1)::integer % 2 WHEN 0 THEN 'north' ELSE 'south' END`

func open(t testing.TB) *site {
	t.Helper()
	db := pgtest.DB(t)
	world, err := os.ReadFile("../web/testdata/world.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{string(world), books} {
		if _, err := db.Pool().Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	handler := api.New(api.Config{Book: db, Desk: desk{pipeline.Review{Book: db, Limits: orders.DefaultLimits}, db}, Runs: runs{db},
		Build: "b", Log: log, Now: time.Now})
	server, err := web.New(web.Config{Views: db, Actions: desk{pipeline.Review{Book: db, Limits: orders.DefaultLimits}, db},
		Listen: "127.0.0.1:0", People: db, Sessions: db.Sessions(), API: handler, Log: log, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil after its context ended", err)
		}
	})
	addr := server.Addr(t.Context())
	if addr == nil {
		t.Fatal("the server does not listen")
	}
	s := &site{t: t, db: db, url: "http://" + addr.(*net.TCPAddr).String(), tokens: map[string]string{}}
	for _, r := range access.Roles {
		s.person(string(r), r)
	}
	s.person("nobody", "") // a person without a role
	return s
}

// person adds a person with a role, or none, of some books, with a token.
func (s *site) person(name string, role access.Role, books ...string) {
	s.t.Helper()
	account := access.Account{Person: access.Person{Name: name, Books: books}, Active: true, Changed: time.Now()}
	if role != "" {
		account.Roles = []access.Role{role}
	}
	if err := s.db.SavePerson(s.t.Context(), account, "test"); err != nil {
		s.t.Fatal(err)
	}
	token, hash := access.NewToken()
	t := access.Token{Person: name, Label: "test", Created: time.Now(), Expires: time.Now().Add(time.Hour)}
	if _, err := s.db.CreateToken(s.t.Context(), t, hash, "test"); err != nil {
		s.t.Fatal(err)
	}
	s.tokens[name] = token
}

// reply is an answer that was read.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// field returns a field of an answer's object as text.
func (r reply) field(name string) string {
	var object map[string]any
	_ = json.Unmarshal(r.body, &object)
	return fmt.Sprint(object[name])
}

// call sends a request as a person; header pairs come after the body. A write gets a key of its own
// where the headers name none.
func (s *site) call(who, method, path string, content any, headers ...string) reply {
	s.t.Helper()
	var body io.Reader
	if content != nil {
		text, err := json.Marshal(content)
		if err != nil {
			s.t.Fatal(err)
		}
		body = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	if content != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if token := s.tokens[who]; token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	s.serial++
	request.Header.Set("Idempotency-Key", fmt.Sprintf("test-%d", s.serial))
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
		if headers[i+1] == "" {
			request.Header.Del(headers[i])
		}
	}
	return s.send(request)
}

func (s *site) send(request *http.Request) reply {
	s.t.Helper()
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return reply{answer.StatusCode, answer.Header, text}
}

// want fails the test where an answer has another status or, where one is named, another code.
func (s *site) want(what string, r reply, status int, code string) {
	s.t.Helper()
	if r.status != status || code != "" && r.field("code") != code {
		s.t.Errorf("%s = %d %s, want %d %s\n%s", what, r.status, r.field("code"), status, code, r.body)
	}
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
