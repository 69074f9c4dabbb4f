package web_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"daybreak/internal/access"
	"daybreak/internal/postgres"
	"daybreak/internal/postgres/pgtest"
	"daybreak/internal/web"
)

// fakeSignOn lets in whom it is told, for the code "good".
type fakeSignOn struct{ account access.Account }

func (f *fakeSignOn) Begin(_ context.Context, c web.Challenge) (string, error) {
	return "https://id.example/auth?" + url.Values{"state": {c.State}, "nonce": {c.Nonce}}.Encode(), nil
}

func (f *fakeSignOn) Finish(_ context.Context, c web.Challenge, code string) (access.Account, error) {
	if code != "good" || c.Nonce == "" || c.Verifier == "" {
		return access.Account{}, errors.New("not this one")
	}
	return f.account, nil
}

// visitor is a client of a server that keeps cookies and follows no redirect.
func visitor(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// served starts a server that is no sample installation, with a sign-on or without.
func served(t *testing.T, db *postgres.DB, s web.SignOn) *site {
	t.Helper()
	server, err := web.New(web.Config{Views: db, Listen: "127.0.0.1:0", DevLogin: true, IsSample: func() bool { return false },
		People: db, Sessions: db.Sessions(), SignOn: s, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(server.Handler())
	t.Cleanup(h.Close)
	return &site{t: t, db: db, url: h.URL}
}

func TestSignOnOfTheFirm(t *testing.T) {
	t.Parallel()
	db := pgtest.DB(t)
	firm := &fakeSignOn{access.Account{Person: access.Person{Name: "mia", Roles: []access.Role{access.PM}}, Issuer: "https://id.example", Subject: "s-1"}}
	s := served(t, db, firm)
	mia := visitor(t)
	_, _, to := s.start(mia, "/login/start?next=/runs")
	u, err := url.Parse(to)
	if err != nil || u.Host != "id.example" {
		t.Fatalf("the sign-on begins at %q, want id.example", to)
	}
	state := u.Query().Get("state")
	back := "/login/callback?code=good&state=" + url.QueryEscape(state)
	if status, _ := s.get(visitor(t), back); status != http.StatusForbidden {
		t.Errorf("another browser that comes back = %d, want 403", status)
	}
	if status, text := s.get(mia, back); status != http.StatusOK || !strings.Contains(text, `href="/runs"`) {
		t.Fatalf("back from the sign-on = %d, want 200 and the way on\n%s", status, text)
	}
	if status, text := s.get(mia, "/runs"); status != http.StatusOK {
		t.Errorf("GET /runs = %d, want 200", status)
	} else {
		s.mention("/runs", text, "mia portfolio manager")
	}
	if status, _ := s.get(mia, back); status != http.StatusForbidden {
		t.Errorf("the same way back a second time = %d, want 403", status)
	}
	again := served(t, db, firm) // a restart
	for _, c := range mia.Jar.Cookies(must(url.Parse(s.url))) {
		mia.Jar.SetCookies(must(url.Parse(again.url)), []*http.Cookie{c})
	}
	if status, _ := again.get(mia, "/runs"); status != http.StatusOK {
		t.Errorf("GET /runs after a restart = %d, want 200", status)
	}
	s.exec("UPDATE person SET roles = '{viewer}' WHERE name = 'mia'")
	if status, _, _ := s.post(mia, "/runs", url.Values{"session": {"2020-03-16"}}); status != http.StatusForbidden {
		t.Errorf("a start with a role that was taken away = %d, want 403", status)
	}
	s.exec("UPDATE person SET active = false WHERE name = 'mia'")
	if status, _ := s.get(mia, "/runs"); status != http.StatusSeeOther {
		t.Errorf("GET /runs of a person who was made inactive = %d, want 303 to the sign-in", status)
	}
	if status := s.come(firm, "good"); status != http.StatusForbidden {
		t.Errorf("sign-on of a person who was made inactive = %d, want 403", status)
	}
	firm.account.Subject, firm.account.Name = "s-2", "mia"
	if status := s.come(firm, "good"); status != http.StatusConflict {
		t.Errorf("sign-on under another's name = %d, want 409", status)
	}
	firm.account.Name, firm.account.Roles = "zed", nil
	if status := s.come(firm, "good"); status != http.StatusForbidden {
		t.Errorf("sign-on without a group = %d, want 403", status)
	}
	if status := s.come(firm, "bad"); status != http.StatusForbidden {
		t.Errorf("sign-on that the firm refuses = %d, want 403", status)
	}
	if n := scalar[int](s, "SELECT count(*) FROM audit WHERE action = 'person.save' AND subject = 'mia'"); n != 1 {
		t.Errorf("%d changes of mia are in the audit trail, want the first sign-on", n)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// start asks for a page and returns where it leads.
func (s *site) start(client *http.Client, path string) (status int, text, to string) {
	s.t.Helper()
	answer, err := client.Get(s.url + path)
	if err != nil {
		s.t.Fatal(err)
	}
	status, text = s.read(answer)
	return status, text, answer.Header.Get("Location")
}

// come signs a new browser on with a code and returns the last status.
func (s *site) come(_ *fakeSignOn, code string) int {
	s.t.Helper()
	client := visitor(s.t)
	_, _, to := s.start(client, "/login/start")
	status, _ := s.get(client, "/login/callback?code="+code+"&state="+url.QueryEscape(must(url.Parse(to)).Query().Get("state")))
	return status
}

func TestSampleUsersAreOfSamples(t *testing.T) {
	t.Parallel()
	db := pgtest.DB(t)
	s := served(t, db, nil)
	client := visitor(t)
	if status, _, _ := s.post(client, "/login", url.Values{"user": {"ana"}}); status != http.StatusForbidden {
		t.Errorf("a sample user signs in to an installation that is no sample = %d, want 403", status)
	}
	if _, text := s.get(client, "/login"); strings.Contains(text, "Sample sign-in.") || strings.Contains(text, "Choose a sample user") {
		t.Error("the page to sign in offers sample users")
	}
	account := access.Account{Person: access.Person{Name: "mia", Roles: []access.Role{access.Viewer}}, Active: true, Changed: time.Now()}
	if err := db.SavePerson(t.Context(), account, "test"); err != nil {
		t.Fatal(err)
	}
	token, hash := access.NewTokenOf("mia")
	if _, err := db.CreateToken(t.Context(), access.Token{Person: "mia", Created: time.Now(), Expires: time.Now().Add(time.Hour)}, hash, "test"); err != nil {
		t.Fatal(err)
	}
	if status, _, _ := s.post(client, "/login", url.Values{"token": {token + "x"}}); status != http.StatusForbidden {
		t.Errorf("sign in with a wrong token = %d, want 403", status)
	}
	if status, _, to := s.post(client, "/login", url.Values{"token": {token}, "next": {"/runs"}}); status != http.StatusSeeOther || to != "/runs" {
		t.Errorf("sign in with a token = %d to %q, want 303 to /runs", status, to)
	}
	if status, _ := s.get(client, "/runs"); status != http.StatusOK {
		t.Errorf("GET /runs after that = %d, want 200", status)
	}
	if n := scalar[int](s, "SELECT count(*) FROM web_session WHERE position($1 IN token) > 0 OR position($2::bytea IN data) > 0",
		client.Jar.Cookies(must(url.Parse(s.url)))[0].Value, []byte(token)); n != 0 {
		t.Error("the database holds a cookie or a token")
	}
}

func TestPageOfTheAuditTrail(t *testing.T) {
	t.Parallel()
	s := open(t, true)
	for i := range 105 {
		err := s.db.RecordAct(t.Context(), postgres.AuditEntry{At: time.Date(2020, 3, 16, 12, 0, i, 0, time.UTC), Actor: "ana",
			Action: "order.hold", Subject: testRun, Detail: map[string]any{"comment": markup}})
		if err != nil {
			t.Fatal(err)
		}
	}
	if status, _ := s.get(s.as("eve"), "/audit"); status != http.StatusForbidden {
		t.Errorf("GET /audit of a viewer = %d, want 403", status)
	}
	ida := s.as("ida")
	status, text := s.get(ida, "/audit?actor=ana&action=order.&from=2020-03-16&to=2020-03-16")
	if status != http.StatusOK || strings.Contains(text, markup) {
		t.Fatalf("GET /audit = %d, want 200 and no markup of a comment", status)
	}
	s.mention("/audit", text, "order.hold", testRun, "105", "Older")
	if status, text := s.get(ida, "/audit?actor=ana&before=6"); status != http.StatusOK || strings.Contains(text, "Older") {
		t.Errorf("GET /audit before row 6 = %d, want 200 and no further page", status)
	}
	for _, path := range []string{"/audit?before=x", "/audit?from=yesterday", "/audit?to=2020-13-01"} {
		if status, _ := s.get(ida, path); status != http.StatusBadRequest {
			t.Errorf("GET %s = %d, want 400", path, status)
		}
	}
}
