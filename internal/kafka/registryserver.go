package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"daybreak/pipeline"
)

// The error codes of Confluent's API, whose first three digits are the HTTP status.
const (
	codeNoSubject    = 40401
	codeNoVersion    = 40402
	codeNoSchema     = 40403
	codeIncompatible = 409
	codeBadRequest   = 42200
	codeBadSchema    = 42201
	codeBadVersion   = 42202
	codeBadMode      = 42203
	codeInternal     = 50001
)

// registryBodyMax bounds a request to the registry.
const registryBodyMax = 1 << 20

// apiError is an answer that says what was wrong.
type apiError struct {
	Code    int    `json:"error_code"`
	Message string `json:"message"`
}

// Error returns the message.
func (e *apiError) Error() string { return e.Message }

func refuse(code int, format string, args ...any) error {
	return &apiError{Code: code, Message: fmt.Sprintf(format, args...)}
}

// registryServer answers the API of Confluent's registry. Nothing can be deleted, references between
// schemas and other formats than Avro are refused.
type registryServer struct {
	registry *EmbeddedRegistry
	log      *slog.Logger
}

// Handler returns the HTTP API of the registry: that of Confluent's, as far as producers, consumers
// and their tools use it. The gate stands before every registration.
func (r *EmbeddedRegistry) Handler(log *slog.Logger) http.Handler {
	s := &registryServer{r, log}
	mux := http.NewServeMux()
	for pattern, answer := range map[string]func(*http.Request) (any, error){
		"GET /subjects":                                             s.subjects,
		"GET /subjects/{subject}/versions":                          s.versions,
		"GET /subjects/{subject}/versions/{version}":                s.version,
		"GET /subjects/{subject}/versions/{version}/schema":         s.versionText,
		"POST /subjects/{subject}/versions":                         s.register,
		"POST /subjects/{subject}":                                  s.lookup,
		"GET /schemas/types":                                        func(*http.Request) (any, error) { return []string{"AVRO"}, nil },
		"GET /schemas/ids/{id}":                                     s.byID,
		"GET /schemas/ids/{id}/schema":                              s.byIDText,
		"GET /schemas/ids/{id}/versions":                            s.usages,
		"POST /compatibility/subjects/{subject}/versions":           s.compatible,
		"POST /compatibility/subjects/{subject}/versions/{version}": s.compatible,
		"GET /config":                                               s.readMode,
		"GET /config/{subject}":                                     s.readMode,
		"PUT /config":                                               s.setMode,
		"PUT /config/{subject}":                                     s.setMode,
		"GET /mode":                                                 func(*http.Request) (any, error) { return map[string]string{"mode": "READWRITE"}, nil },
	} {
		mux.Handle(pattern, s.respond(answer))
	}
	return mux
}

// Serve answers on a listener until ctx ends.
func (r *EmbeddedRegistry) Serve(ctx context.Context, l net.Listener, log *slog.Logger) error {
	server := &http.Server{Handler: r.Handler(log), ReadTimeout: registryTimeout, WriteTimeout: registryTimeout, IdleTimeout: time.Minute}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	select {
	case err := <-done:
		return fmt.Errorf("schema registry: %w", err)
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = server.Shutdown(end) // the process ends: what is still open is cut
	<-done
	return nil
}

func (s *registryServer) respond(answer func(*http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, registryBodyMax)
		body, err := answer(r)
		status := http.StatusOK
		if err != nil {
			failure := s.failure(r, err)
			body, status = failure, failure.Code
			for status > 999 {
				status /= 10
			}
		}
		w.Header().Set("Content-Type", "application/vnd.schemaregistry.v1+json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body) // the client has gone
	})
}

// failure turns an error into what the API says.
func (s *registryServer) failure(r *http.Request, err error) *apiError {
	var known *apiError
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, ErrIncompatible):
		return &apiError{codeIncompatible, err.Error()}
	case errors.Is(err, ErrBadSchema):
		return &apiError{codeBadSchema, err.Error()}
	case errors.Is(err, pipeline.ErrNotFound):
		return &apiError{codeNoSchema, err.Error()}
	}
	s.log.Error("schema registry", "path", r.URL.Path, "error", err)
	return &apiError{codeInternal, "the registry's store failed"}
}

func (s *registryServer) subjects(r *http.Request) (any, error) {
	all, err := s.registry.store.SchemaSubjects(r.Context())
	if all == nil {
		all = []string{}
	}
	return all, err
}

// of returns the versions of a request's subject; 40401 where it has none.
func (s *registryServer) of(r *http.Request) ([]pipeline.SchemaVersion, error) {
	subject := r.PathValue("subject")
	all, err := s.registry.Versions(r.Context(), subject)
	if err == nil && len(all) == 0 {
		return nil, refuse(codeNoSubject, "subject %q not found", subject)
	}
	return all, err
}

func (s *registryServer) versions(r *http.Request) (any, error) {
	all, err := s.of(r)
	numbers := make([]int, len(all))
	for i, v := range all {
		numbers[i] = v.Version
	}
	return numbers, err
}

func (s *registryServer) version(r *http.Request) (any, error) {
	all, err := s.of(r)
	if err != nil {
		return nil, err
	}
	wanted := r.PathValue("version")
	if wanted == "latest" || wanted == "-1" {
		return all[len(all)-1], nil
	}
	n, err := strconv.Atoi(wanted)
	if err != nil || n < 1 {
		return nil, refuse(codeBadVersion, "version %q is no number above zero, and not latest", wanted)
	}
	if i := slices.IndexFunc(all, func(v pipeline.SchemaVersion) bool { return v.Version == n }); i >= 0 {
		return all[i], nil
	}
	return nil, refuse(codeNoVersion, "version %d not found", n)
}

func (s *registryServer) versionText(r *http.Request) (any, error) {
	v, err := s.version(r)
	if err != nil {
		return nil, err
	}
	return json.RawMessage(v.(pipeline.SchemaVersion).Schema), nil
}

// posted reads the schema of a request.
func posted(r *http.Request) (string, error) {
	var body struct {
		Schema     string            `json:"schema"`
		Type       string            `json:"schemaType"`
		References []json.RawMessage `json:"references"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		return "", refuse(codeBadRequest, "body: %v", err)
	}
	if body.Type != "" && body.Type != "AVRO" || len(body.References) > 0 {
		return "", refuse(codeBadSchema, "only Avro without references is kept here")
	}
	if _, err := parseSchema(body.Schema); err != nil {
		return "", err
	}
	return body.Schema, nil
}

func (s *registryServer) register(r *http.Request) (any, error) {
	text, err := posted(r)
	if err != nil {
		return nil, err
	}
	v, err := s.registry.add(r.Context(), r.PathValue("subject"), text, "")
	return map[string]int{"id": v.ID}, err
}

func (s *registryServer) lookup(r *http.Request) (any, error) {
	text, err := posted(r)
	if err != nil {
		return nil, err
	}
	all, err := s.of(r)
	if err != nil {
		return nil, err
	}
	for _, v := range all {
		if sameSchema(v.Schema, text) {
			return v, nil
		}
	}
	return nil, refuse(codeNoSchema, "schema not found")
}

func (s *registryServer) id(r *http.Request) (int, string, error) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil || id < 1 {
		return 0, "", refuse(codeNoSchema, "schema %q not found", r.PathValue("id"))
	}
	text, err := s.registry.SchemaByID(r.Context(), id)
	return id, text, err
}

func (s *registryServer) byID(r *http.Request) (any, error) {
	_, text, err := s.id(r)
	return map[string]string{"schema": text}, err
}

func (s *registryServer) byIDText(r *http.Request) (any, error) {
	_, text, err := s.id(r)
	return json.RawMessage(text), err
}

// usages lists the subjects and versions that have a schema.
func (s *registryServer) usages(r *http.Request) (any, error) {
	id, _, err := s.id(r)
	if err != nil {
		return nil, err
	}
	subjects, err := s.registry.store.SchemaSubjects(r.Context())
	if err != nil {
		return nil, err
	}
	type usage struct {
		Subject string `json:"subject"`
		Version int    `json:"version"`
	}
	found := []usage{}
	for _, subject := range subjects {
		all, err := s.registry.Versions(r.Context(), subject)
		if err != nil {
			return nil, err
		}
		for _, v := range all {
			if v.ID == id {
				found = append(found, usage{subject, v.Version})
			}
		}
	}
	return found, nil
}

// compatible says whether a schema could be registered: against all versions that its mode names,
// whichever the request asks for.
func (s *registryServer) compatible(r *http.Request) (any, error) {
	text, err := posted(r)
	if err != nil {
		return nil, err
	}
	mode, err := s.registry.mode(r.Context(), r.PathValue("subject"))
	if err != nil {
		return nil, err
	}
	all, err := s.registry.Versions(r.Context(), r.PathValue("subject"))
	if err != nil {
		return nil, err
	}
	answer := map[string]any{"is_compatible": true}
	if err := admit(mode, r.PathValue("subject"), text, all); err != nil {
		answer = map[string]any{"is_compatible": false, "messages": []string{err.Error()}}
	}
	return answer, nil
}

func (s *registryServer) readMode(r *http.Request) (any, error) {
	mode, err := s.registry.mode(r.Context(), r.PathValue("subject"))
	return map[string]Compatibility{"compatibilityLevel": mode}, err
}

func (s *registryServer) setMode(r *http.Request) (any, error) {
	var body struct {
		Compatibility Compatibility `json:"compatibility"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || !body.Compatibility.Known() {
		return nil, refuse(codeBadMode, "compatibility %q, want one of %v", body.Compatibility, compatibilities)
	}
	return body, s.registry.store.SetSchemaMode(r.Context(), r.PathValue("subject"), string(body.Compatibility))
}
