package web

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Role says what a user may do; a greater one may do all that a smaller one may.
type Role int

// The roles. Anyone is no user at all.
const (
	anyone   Role = iota
	Viewer        // reads
	PM            // holds, rejects and approves orders
	Approver      // as PM, and is the second person
)

// String returns the role in words.
func (r Role) String() string {
	return [...]string{"anyone", "viewer", "portfolio manager", "approver"}[r]
}

// User is who is signed in.
type User struct {
	Name string
	Role Role
}

// sampleUsers can be chosen by anyone who reaches the loopback address.
var sampleUsers = []User{{"ana", PM}, {"ben", Approver}, {"eve", Viewer}}

const (
	sessionCookie = "daybreak_session"
	sessionLength = 12 * time.Hour
	sessionsMax   = 1_000 // sample users on one machine need a few; more is somebody's loop
)

// sessions keeps who is signed in, in memory: a restart signs everybody out.
type sessions struct {
	now func() time.Time
	mu  sync.Mutex
	by  map[string]*session
}

// session is one browser's. flash is what its next page says, once.
type session struct {
	user  User
	until time.Time
	flash string
}

func newSessions(now func() time.Time) *sessions {
	return &sessions{now: now, by: map[string]*session{}}
}

func (s *sessions) find(r *http.Request) *session {
	c, err := r.Cookie(sessionCookie)
	if err != nil {
		return nil
	}
	found := s.by[c.Value]
	if found == nil || s.now().After(found.until) {
		return nil
	}
	return found
}

// user returns who sent a request; nil where nobody is signed in.
func (s *sessions) user(r *http.Request) *User {
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.find(r); found != nil {
		u := found.user
		return &u
	}
	return nil
}

// tell keeps a sentence for the next page of the sender of r.
func (s *sessions) tell(r *http.Request, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.find(r); found != nil {
		found.flash = text
	}
}

// told returns and forgets the sentence for the sender of r.
func (s *sessions) told(r *http.Request) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.find(r)
	if found == nil {
		return ""
	}
	text := found.flash
	found.flash = ""
	return text
}

// open starts a session and returns its token, 256 random bits.
func (s *sessions) open(u User) string {
	var raw [32]byte
	rand.Read(raw[:])
	token := base64.RawURLEncoding.EncodeToString(raw[:])
	s.mu.Lock()
	defer s.mu.Unlock()
	for old, v := range s.by {
		if s.now().After(v.until) || len(s.by) >= sessionsMax {
			delete(s.by, old)
		}
	}
	s.by[token] = &session{user: u, until: s.now().Add(sessionLength)}
	return token
}

func (s *sessions) close(r *http.Request) {
	if c, err := r.Cookie(sessionCookie); err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.by, c.Value)
	}
}

// loginBody is what the page to sign in shows.
type loginBody struct {
	Users []User
	Next  string
}

func (s *Server) askLogin(w http.ResponseWriter, r *http.Request) error {
	body := loginBody{Next: localPath(r.FormValue("next"))}
	if s.config.DevLogin {
		body.Users = sampleUsers
	}
	return s.show(w, r, view{Name: "login", Title: "Sign in", Body: body})
}

func (s *Server) login(w http.ResponseWriter, r *http.Request) error {
	if !s.config.DevLogin {
		return refused{http.StatusForbidden, "Sample users are switched off on this server."}
	}
	for _, u := range sampleUsers {
		if u.Name == r.PostFormValue("user") {
			s.sessions.close(r)
			http.SetCookie(w, &http.Cookie{Name: sessionCookie, Value: s.sessions.open(u), Path: "/", HttpOnly: true,
				SameSite: http.SameSiteStrictMode, MaxAge: int(sessionLength.Seconds())})
			http.Redirect(w, r, localPath(r.PostFormValue("next")), http.StatusSeeOther)
			return nil
		}
	}
	return refused{http.StatusBadRequest, "There is no such sample user."}
}

func (s *Server) logout(w http.ResponseWriter, r *http.Request) error {
	s.sessions.close(r)
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode, MaxAge: -1})
	http.Redirect(w, r, "/login", http.StatusSeeOther)
	return nil
}

// localPath returns path where it is a place on this server, and "/" where it could lead elsewhere.
func localPath(path string) string {
	u, err := url.Parse(path)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.Contains(path, `\`) {
		return "/"
	}
	return path
}
