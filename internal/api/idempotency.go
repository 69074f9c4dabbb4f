package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"daybreak/internal/access"
	"daybreak/pipeline"
)

// Answers keeps what writes were answered, by the key that the client gave them.
type Answers interface {
	// BeginRequest makes a write the caller's to do: it returns nil. Where it was done already it
	// returns the answer; where it is under way, pipeline.ErrBusy; where the key stands for another
	// request, pipeline.ErrState, both wrapped.
	BeginRequest(ctx context.Context, k pipeline.RequestKey, now time.Time) (*pipeline.StoredAnswer, error)
	AnswerRequest(ctx context.Context, k pipeline.RequestKey, a pipeline.StoredAnswer) error
	ForgetRequest(ctx context.Context, k pipeline.RequestKey) error
}

const (
	keyHeader = "Idempotency-Key"
	keyMax    = 200
	bodyMax   = 1 << 20
)

// idempotent has every write done once for its key: the same request again gets the same answer, and
// what was refused for who asked, or failed on our side, may be tried again.
func (a *API) idempotent(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := access.Of(r.Context())
		if p == nil || r.Method == http.MethodGet || r.Method == http.MethodHead {
			next.ServeHTTP(w, r)
			return
		}
		key, problem := requestKey(r, p.Name)
		if problem != nil {
			write(w, problem)
			return
		}
		a.once(w, r, key, next)
	})
}

// requestKey reads what names a write, and leaves its body to be read again.
func requestKey(r *http.Request, person string) (pipeline.RequestKey, *Problem) {
	k := pipeline.RequestKey{Person: person, Key: r.Header.Get(keyHeader)}
	if k.Key == "" || len(k.Key) > keyMax {
		return k, newProblem(http.StatusBadRequest, CodeNoKey, "A write names an Idempotency-Key of at most 200 characters.")
	}
	content, err := io.ReadAll(io.LimitReader(r.Body, bodyMax+1))
	if err != nil || len(content) > bodyMax {
		return k, newProblem(http.StatusRequestEntityTooLarge, CodeInvalid, "The body cannot be read, or is above 1 MiB.")
	}
	if !isText(string(content)) || bytes.Contains(content, []byte(`\u0000`)) {
		return k, newProblem(http.StatusBadRequest, CodeInvalid, "The body holds a value that is no text.")
	}
	r.Body = io.NopCloser(bytes.NewReader(content))
	text, err := json.Marshal([]string{r.Method, r.URL.RequestURI(), r.Header.Get("If-Match"), string(content)})
	if err != nil {
		return k, newProblem(http.StatusBadRequest, CodeInvalid, "The request cannot be read.")
	}
	sum := sha256.Sum256(text)
	k.Request = hex.EncodeToString(sum[:])
	return k, nil
}

// once does a write, or answers it as it was answered before. A client that goes away does not stop it
// halfway.
func (a *API) once(w http.ResponseWriter, r *http.Request, k pipeline.RequestKey, next http.Handler) {
	ctx := context.WithoutCancel(r.Context())
	done, err := a.Book.BeginRequest(ctx, k, a.Now())
	switch {
	case errors.Is(err, pipeline.ErrState):
		write(w, newProblem(http.StatusConflict, CodeKeyReused, "This Idempotency-Key stands for another request."))
		return
	case err != nil:
		write(w, a.problem(ctx, err))
		return
	case done != nil:
		w.Header().Set("Idempotent-Replayed", "true")
		replay(w, *done)
		return
	}
	held := &heldAnswer{header: http.Header{}, status: http.StatusOK}
	kept := false
	defer func() {
		if !kept { // a panic, too, may be tried again
			if err := a.Book.ForgetRequest(ctx, k); err != nil {
				a.Log.Error("request not forgotten", "error", err)
			}
		}
	}()
	next.ServeHTTP(held, r.WithContext(ctx))
	stored := held.stored()
	if isFinal(stored.Status) {
		kept = true
		if err := a.Book.AnswerRequest(ctx, k, withoutSecret(r, stored)); err != nil {
			a.Log.Error("answer not kept", "error", err)
		}
	}
	replay(w, stored)
}

// isFinal reports whether the same request would be answered the same again.
func isFinal(status int) bool {
	return status < http.StatusInternalServerError && status != http.StatusUnauthorized && status != http.StatusForbidden
}

// withoutSecret returns the answer that is kept: one that held a secret says, the second time, that it
// was told once.
func withoutSecret(r *http.Request, s pipeline.StoredAnswer) pipeline.StoredAnswer {
	if r.URL.Path != tokensPath || s.Status != http.StatusCreated {
		return s
	}
	held := &heldAnswer{header: http.Header{}}
	write(held, newProblem(http.StatusConflict, CodeToldOnce, "The token was made, and its secret was told once: revoke it and make another."))
	return held.stored()
}

// heldAnswer holds an answer until it is kept.
type heldAnswer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (h *heldAnswer) Header() http.Header { return h.header }

// WriteHeader implements http.ResponseWriter.
func (h *heldAnswer) WriteHeader(status int) { h.status = status }

// Write implements http.ResponseWriter.
func (h *heldAnswer) Write(p []byte) (int, error) { return h.body.Write(p) }

func (h *heldAnswer) stored() pipeline.StoredAnswer {
	s := pipeline.StoredAnswer{Status: h.status, Headers: map[string]string{}, Body: h.body.Bytes()}
	for _, name := range []string{"Content-Type", "Etag", "Location", "Www-Authenticate"} {
		if v := h.header.Get(name); v != "" {
			s.Headers[name] = v
		}
	}
	if s.Body == nil {
		s.Body = []byte{}
	}
	return s
}

func replay(w http.ResponseWriter, s pipeline.StoredAnswer) {
	for name, value := range s.Headers {
		w.Header().Set(name, value)
	}
	w.WriteHeader(s.Status)
	_, _ = w.Write(s.Body) // a client that is gone cannot be told
}
