package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"daybreak/internal/access"
	"daybreak/internal/filter"
	"daybreak/pipeline"
)

// The codes of problems. They are stable: programs may branch on them.
const (
	CodeInvalid    = "invalid"         // the request does not have the form that the document gives it
	CodeFilter     = "invalid_filter"  // the expression of where
	CodeNobody     = "unauthenticated" // no token or session, or not a valid one
	CodeRole       = "role"            // the role does not allow it
	CodeBook       = "book"            // people of some books cannot do what is the firm's
	CodeNotFound   = "not_found"       // or not visible to the person
	CodeState      = "state"           // not possible in the present state; four eyes, too
	CodeRunExists  = "run_exists"      // the session has a live run
	CodeNoSession  = "no_session"      // no exchange is open on the day
	CodeChanged    = "changed"         // If-Match names another version
	CodeNoKey      = "key_missing"     // a write without an Idempotency-Key
	CodeKeyReused  = "key_reused"      // the key stands for another request
	CodeToldOnce   = "told_once"       // a secret is not told again
	CodeInProgress = "in_progress"     // the same request is under way
	CodeTimeout    = "timeout"         // the database took too long
	CodeInternal   = "internal"        // our fault; the reason is in the log
)

// Problem is an error as RFC 9457 has it, with a code.
type Problem struct {
	Type   string              `json:"type" doc:"urn:daybreak:problem: and the code"`
	Title  string              `json:"title"`
	Status int                 `json:"status"`
	Code   string              `json:"code" doc:"Stable; programs may branch on it."`
	Detail string              `json:"detail" doc:"For people; may change."`
	Errors []*huma.ErrorDetail `json:"errors,omitempty"`
}

// Error implements error.
func (p *Problem) Error() string { return p.Detail }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return problemType }

const problemType = "application/problem+json"

func newProblem(status int, code, detail string) *Problem {
	return &Problem{Type: "urn:daybreak:problem:" + code, Title: http.StatusText(status), Status: status, Code: code, Detail: detail}
}

// humaError is how faults of a request's form become problems.
func humaError(status int, message string, errs ...error) huma.StatusError {
	code := CodeInvalid
	if status >= http.StatusInternalServerError {
		code = CodeInternal
	}
	p := newProblem(status, code, message)
	for _, err := range errs {
		var told huma.ErrorDetailer
		switch {
		case err == nil:
		case errors.As(err, &told):
			p.Errors = append(p.Errors, told.ErrorDetail())
		default:
			p.Errors = append(p.Errors, &huma.ErrorDetail{Message: err.Error()})
		}
	}
	return p
}

// problem turns an error of a use case into what the client is told.
func (a *API) problem(ctx context.Context, err error) *Problem {
	var told *Problem
	text := err.Error()
	without := func(known error) string { return strings.TrimSuffix(text, ": "+known.Error()) }
	switch {
	case errors.As(err, &told):
		return told
	case errors.Is(err, pipeline.ErrNotFound):
		return newProblem(http.StatusNotFound, CodeNotFound, text)
	case errors.Is(err, filter.ErrFilter), errors.Is(err, pipeline.ErrSetting):
		return newProblem(http.StatusBadRequest, CodeFilter, text)
	case errors.Is(err, pipeline.ErrChanged):
		return newProblem(http.StatusPreconditionFailed, CodeChanged, text)
	case errors.Is(err, pipeline.ErrNoSession):
		return newProblem(http.StatusConflict, CodeNoSession, text)
	case errors.Is(err, pipeline.ErrRunExists):
		return newProblem(http.StatusConflict, CodeRunExists, text)
	case errors.Is(err, pipeline.ErrBusy):
		return newProblem(http.StatusConflict, CodeInProgress, "The same request is under way: ask again in a moment.")
	case errors.Is(err, pipeline.ErrState):
		return newProblem(http.StatusConflict, CodeState, without(pipeline.ErrState))
	case errors.Is(err, access.ErrDenied):
		return newProblem(http.StatusForbidden, CodeRole, without(access.ErrDenied))
	case errors.Is(err, context.DeadlineExceeded):
		return newProblem(http.StatusServiceUnavailable, CodeTimeout, "The database took too long to answer.")
	}
	if !errors.Is(err, context.Canceled) {
		a.Log.ErrorContext(ctx, "request failed", "error", err)
	}
	return newProblem(http.StatusInternalServerError, CodeInternal, "The request failed. The reason is in the log.")
}

func write(w http.ResponseWriter, p *Problem) {
	w.Header().Set("Content-Type", problemType)
	w.Header().Set("Cache-Control", "no-store")
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // a client that is gone cannot be told
}

func writeTo(ctx huma.Context, p *Problem) {
	ctx.SetHeader("Content-Type", problemType)
	if p.Status == http.StatusUnauthorized {
		ctx.SetHeader("WWW-Authenticate", "Bearer")
	}
	ctx.SetStatus(p.Status)
	_ = json.NewEncoder(ctx.BodyWriter()).Encode(p) // a client that is gone cannot be told
}

// recovering answers a panic, which is our bug, as an internal problem.
func (a *API) recovering(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if v := recover(); v != nil {
				a.Log.Error("request panicked", "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
				write(w, newProblem(http.StatusInternalServerError, CodeInternal, "The request failed. The reason is in the log."))
			}
		}()
		w.Header().Set("Cache-Control", "no-store")
		if query, err := url.QueryUnescape(r.URL.RawQuery); err != nil || !isText(query) || !isText(r.URL.Path) {
			write(w, newProblem(http.StatusBadRequest, CodeInvalid, "The address holds a value that is no text."))
			return
		}
		next.ServeHTTP(w, r)
	})
}
