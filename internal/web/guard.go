package web

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"daybreak/internal/access"
	"daybreak/pipeline"
)

// contentPolicy lets a page load from this server alone: no inline script or style, no frame.
const contentPolicy = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"

// guard wraps every route: headers, the Host of the request, requests of other sites, size of bodies.
func (s *Server) guard(next http.Handler) http.Handler {
	sameOrigin := http.NewCrossOriginProtection()
	sameOrigin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "This request came from another site and was refused.", http.StatusForbidden)
	}))
	checked := sameOrigin.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		if isLoopback(s.config.Listen) && !isLoopback(r.Host) {
			http.Error(w, "This server answers to its loopback address only.", http.StatusMisdirectedRequest)
			return
		}
		if query, err := url.QueryUnescape(r.URL.RawQuery); err != nil || strings.ContainsRune(r.URL.Path+query, 0) || !utf8.ValidString(r.URL.Path+query) {
			http.Error(w, "The address holds a value that is no text.", http.StatusBadRequest)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, bodyMax)
		checked.ServeHTTP(w, r)
	})
}

// isLoopback reports whether host:port, or a host alone, names this machine's loopback. A name
// other than localhost does not, even where it resolves there: a page of another site could use it.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = strings.Trim(address, "[]")
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// refused is an error that a person may see as it stands, with its HTTP status.
type refused struct {
	status int
	text   string
}

func (e refused) Error() string { return e.text }

// recorder remembers the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// serve runs a page for people who may do its action; others are sent to sign in, or refused. An
// error, or a panic, becomes a page that says what happened.
func (s *Server) serve(pattern string, action access.Action, p page) http.Handler {
	return s.sessions.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := &recorder{ResponseWriter: w, status: http.StatusOK}
		began := s.now()
		defer func() {
			if v := recover(); v != nil {
				s.log.Error("page panicked", "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
				s.fail(rec, r, refused{http.StatusInternalServerError, "This page failed. The failure is in the log."})
			}
			s.metrics.observe(pattern, rec.status, s.now().Sub(began))
		}()
		r, err := s.identify(r)
		if err != nil {
			s.fail(rec, r, err)
			return
		}
		user := userOf(r)
		verdict := access.Judge(user, action, "")
		switch {
		case action == anyone || verdict == access.Allowed:
			err = p(rec, r)
		case user == nil && r.Method == http.MethodGet && r.Header.Get(fragmentHeader) == "":
			http.Redirect(rec, r, "/login?next="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
		case user == nil:
			err = refused{http.StatusUnauthorized, "Sign in first."}
		case verdict == access.NotBook:
			err = refused{http.StatusForbidden, "This is about the whole firm, and you see some of its books."}
		default:
			err = refused{http.StatusForbidden, "Your role, " + user.Title() + ", does not allow this."}
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			s.fail(rec, r, err)
		}
	}))
}

// anyone is the action of pages that need nobody to be signed in.
const anyone access.Action = ""

// userOf returns the person who is signed in; nil on the pages that anyone may see.
func userOf(r *http.Request) *access.Person { return access.Of(r.Context()) }

// fail writes an error as a page, with the status that it deserves.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	status, text := http.StatusInternalServerError, "This page could not be made. The reason is in the log; the book is as it was."
	var told refused
	switch {
	case errors.As(err, &told):
		status, text = told.status, told.text
	case errors.Is(err, pipeline.ErrNotFound):
		status, text = http.StatusNotFound, "There is nothing under this address."
		if err != pipeline.ErrNotFound {
			text = "Not found: " + strings.TrimSuffix(err.Error(), ": "+pipeline.ErrNotFound.Error()) + "."
		}
	case errors.Is(err, pipeline.ErrState), errors.Is(err, pipeline.ErrRunExists), errors.Is(err, pipeline.ErrNoSession):
		status, text = http.StatusConflict, strings.TrimSuffix(err.Error(), ": "+pipeline.ErrState.Error())+"."
	case errors.Is(err, context.DeadlineExceeded):
		status, text = http.StatusGatewayTimeout, "The database took too long to answer. Try again."
	}
	if status >= http.StatusInternalServerError {
		s.log.Error("page failed", "path", r.URL.Path, "error", err)
	}
	w.Header().Set("Cache-Control", "no-store")
	failed := s.show(w, r, view{Status: status, Name: "error", Title: strconv.Itoa(status) + " " + http.StatusText(status),
		Body: errorBody{Status: status, Text: text}})
	if failed != nil {
		http.Error(w, text, status)
	}
}

// errorBody is what the error page shows.
type errorBody struct {
	Status int
	Text   string
}

// pageTimeout bounds the queries of one page.
const pageTimeout = 20 * time.Second
