package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/alexedwards/scs/v2/memstore"

	"daybreak/internal/access"
	"daybreak/pipeline"
)

// People are who may come.
type People interface {
	// Person returns who has a name; access.ErrUnknown where nobody active does.
	Person(ctx context.Context, name string) (*access.Person, error)
	// PersonOfToken returns whose token has a hash; access.ErrUnknown where it is nobody's.
	PersonOfToken(ctx context.Context, hash string, now time.Time) (*access.Person, error)
	// SignOn returns the person whom a sign-on names, with the roles and books that it gives now.
	SignOn(ctx context.Context, a access.Account) (*access.Person, error)
}

// Challenge is what a sign-on was begun with, and what its end is compared with.
type Challenge struct {
	State    string `json:"state"`
	Nonce    string `json:"nonce"`
	Verifier string `json:"verifier"`
	Next     string `json:"next"`
}

// SignOn is where people prove who they are.
type SignOn interface {
	// Begin returns the address that a browser is sent to.
	Begin(ctx context.Context, c Challenge) (string, error)
	// Finish returns who came back with a code.
	Finish(ctx context.Context, c Challenge, code string) (access.Account, error)
}

const (
	sessionCookie = "daybreak_session"
	signOnCookie  = "daybreak_signon"
	sessionLength = 8 * time.Hour // a working day
	signOnLength  = 10 * time.Minute
)

// The keys of a session.
const (
	sessionPerson = "person"
	sessionSample = "sample" // signed in by choosing a sample user
	sessionFlash  = "flash"  // what the next page says, once
)

// newSessions returns the sessions of browsers. The store gets hashes of cookies only.
func newSessions(c Config) *scs.SessionManager {
	m := scs.New()
	m.Store = c.Sessions
	if c.Sessions == nil {
		m.Store = memstore.New()
	}
	m.Lifetime, m.HashTokenInStore = sessionLength, true
	m.Cookie = scs.SessionCookie{Name: sessionCookie, Path: "/", HttpOnly: true, Persist: true, SameSite: http.SameSiteStrictMode}
	if !isLoopback(c.Listen) {
		m.Cookie.Name, m.Cookie.Secure = "__Host-"+sessionCookie, true
	}
	return m
}

// devLogin reports whether sample users may sign in: where it is switched on, in a sample installation.
func (s *Server) devLogin() bool {
	return s.config.DevLogin && (s.config.IsSample == nil || s.config.IsSample())
}

// identify returns a request in whose context is who sent it, by a bearer token or by a session; nobody
// where neither proves anything.
func (s *Server) identify(r *http.Request) (*http.Request, error) {
	p, err := s.personOf(r)
	if errors.Is(err, access.ErrUnknown) {
		p, err = nil, nil
	}
	if p == nil || err != nil {
		return r, err
	}
	return r.WithContext(access.With(r.Context(), p)), nil
}

func (s *Server) personOf(r *http.Request) (*access.Person, error) {
	if scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " "); strings.EqualFold(scheme, "Bearer") {
		if s.config.People == nil {
			return nil, access.ErrUnknown
		}
		return s.config.People.PersonOfToken(r.Context(), access.HashToken(strings.TrimSpace(token)), s.now())
	}
	ctx := r.Context()
	name := s.sessions.GetString(ctx, sessionPerson)
	if name == "" {
		return nil, access.ErrUnknown
	}
	if s.sessions.GetBool(ctx, sessionSample) {
		if p := access.Sample(name); p != nil && s.devLogin() {
			p.Via = "sample sign-in"
			return p, nil
		}
		return nil, access.ErrUnknown
	}
	if s.config.People == nil {
		return nil, access.ErrUnknown
	}
	p, err := s.config.People.Person(ctx, name)
	if p != nil {
		p.Via = "session"
	}
	return p, err
}

// tell keeps a sentence for the next page of the sender of r.
func (s *Server) tell(r *http.Request, text string) { s.sessions.Put(r.Context(), sessionFlash, text) }

// enter makes the session of r a person's, under a new cookie.
func (s *Server) enter(r *http.Request, name string, isSample bool) error {
	if err := s.sessions.RenewToken(r.Context()); err != nil {
		return err
	}
	s.sessions.Put(r.Context(), sessionPerson, name)
	s.sessions.Put(r.Context(), sessionSample, isSample)
	return nil
}

// loginBody is what the page to sign in shows.
type loginBody struct {
	Users  []access.Person
	SignOn bool
	Tokens bool
	Next   string
}

func (s *Server) askLogin(w http.ResponseWriter, r *http.Request) error {
	body := loginBody{Next: localPath(r.FormValue("next")), SignOn: s.config.SignOn != nil, Tokens: s.config.People != nil}
	if s.devLogin() {
		body.Users = access.Samples
	}
	return s.show(w, r, view{Name: "login", Title: "Sign in", Body: body})
}

// login signs in a sample user, or the owner of a token.
func (s *Server) login(w http.ResponseWriter, r *http.Request) error {
	if token := strings.TrimSpace(r.PostFormValue("token")); token != "" && s.config.People != nil {
		p, err := s.config.People.PersonOfToken(r.Context(), access.HashToken(token), s.now())
		if errors.Is(err, access.ErrUnknown) {
			return refused{http.StatusForbidden, "This token is nobody's: it may have expired or been revoked."}
		}
		if err != nil {
			return err
		}
		return s.welcome(w, r, p.Name, false)
	}
	if !s.devLogin() {
		return refused{http.StatusForbidden, "Sample users are switched off on this server."}
	}
	if access.Sample(r.PostFormValue("user")) == nil {
		return refused{http.StatusBadRequest, "There is no such sample user."}
	}
	return s.welcome(w, r, r.PostFormValue("user"), true)
}

func (s *Server) welcome(w http.ResponseWriter, r *http.Request, name string, isSample bool) error {
	if err := s.enter(r, name, isSample); err != nil {
		return err
	}
	http.Redirect(w, r, localPath(r.PostFormValue("next")), http.StatusSeeOther)
	return nil
}

func (s *Server) logout(w http.ResponseWriter, r *http.Request) error {
	if err := s.sessions.Destroy(r.Context()); err != nil {
		return err
	}
	http.Redirect(w, r, "/login", http.StatusSeeOther)
	return nil
}

// beginSignOn sends a browser to the sign-on. What it must bring back is kept under a cookie of its
// own, which, unlike the session's, comes with the way back from another site.
func (s *Server) beginSignOn(w http.ResponseWriter, r *http.Request) error {
	if s.config.SignOn == nil {
		return pipeline.ErrNotFound
	}
	random := func() string { token, _ := access.NewToken(); return token }
	c := Challenge{State: random(), Nonce: random(), Verifier: random(), Next: localPath(r.FormValue("next"))}
	to, err := s.config.SignOn.Begin(r.Context(), c)
	if err != nil {
		return err
	}
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	key, hash := access.NewToken()
	if err := s.sessions.Store.Commit("signon."+hash, data, s.now().Add(signOnLength)); err != nil {
		return err
	}
	http.SetCookie(w, s.signOnCookie(key, int(signOnLength.Seconds())))
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

func (s *Server) signOnCookie(value string, age int) *http.Cookie {
	return &http.Cookie{Name: signOnCookie, Value: value, Path: "/login", HttpOnly: true, Secure: s.sessions.Cookie.Secure,
		SameSite: http.SameSiteLaxMode, MaxAge: age}
}

// finishSignOn takes a browser that comes back from the sign-on. The page that it gets goes on by
// itself: only then does the browser send the session's cookie, which never comes with the way from
// another site.
func (s *Server) finishSignOn(w http.ResponseWriter, r *http.Request) error {
	if s.config.SignOn == nil {
		return pipeline.ErrNotFound
	}
	c, err := s.challenge(r)
	http.SetCookie(w, s.signOnCookie("", -1))
	if err != nil {
		return err
	}
	account, err := s.config.SignOn.Finish(r.Context(), c, r.FormValue("code"))
	if err != nil {
		s.log.Warn("sign-on failed", "error", err)
		return refused{http.StatusForbidden, "The sign-on did not say who you are. Sign in again."}
	}
	if len(account.Roles) == 0 {
		return refused{http.StatusForbidden, "None of your groups has a role here. An administrator of the sign-on can change that."}
	}
	account.Active, account.Changed = true, s.now()
	p, err := s.config.People.SignOn(r.Context(), account)
	if errors.Is(err, access.ErrDenied) {
		return refused{http.StatusForbidden, "An administrator has made this person inactive."}
	}
	if err != nil {
		return err
	}
	if err := s.enter(r, p.Name, false); err != nil {
		return err
	}
	w.Header().Set("Refresh", "0; url="+c.Next)
	return s.show(w, r, view{Name: "signed", Title: "Signed in", Body: c.Next})
}

// challenge returns what a sign-on was begun with, once.
func (s *Server) challenge(r *http.Request) (Challenge, error) {
	var c Challenge
	again := refused{http.StatusForbidden, "This sign-on was not begun in this browser, or took too long. Sign in again."}
	cookie, err := r.Cookie(signOnCookie)
	if err != nil {
		return c, again
	}
	key := "signon." + access.HashToken(cookie.Value)
	data, found, err := s.sessions.Store.Find(key)
	if err == nil {
		err = s.sessions.Store.Delete(key)
	}
	if err != nil {
		return c, err
	}
	if !found || json.Unmarshal(data, &c) != nil || r.FormValue("state") != c.State || r.FormValue("code") == "" {
		return c, again
	}
	return c, nil
}

// localPath returns path where it is a place on this server, and "/" where it could lead elsewhere.
func localPath(path string) string {
	u, err := url.Parse(path)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.Contains(path, `\`) {
		return "/"
	}
	return path
}
