package kafka

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/twmb/franz-go/pkg/sr"

	"daybreak/pipeline"
)

// Registry gives schemas ids, and texts to ids. An id means one text for ever.
type Registry interface {
	// SchemaByID returns the text of a schema, or an error that wraps pipeline.ErrNotFound.
	SchemaByID(ctx context.Context, id int) (string, error)
	// Versions returns all versions of a subject, oldest first; none where it is unknown.
	Versions(ctx context.Context, subject string) ([]pipeline.SchemaVersion, error)
	// Register makes a schema the newest version of its subject and returns its id; one that the
	// subject has already keeps its own. It returns ErrIncompatible where the gate refuses it.
	Register(ctx context.Context, s Subject) (int, error)
}

// registryTimeout bounds one question to a registry.
const registryTimeout = 10 * time.Second

// RemoteRegistry is any registry that speaks the API of Confluent's. Our own gate stands in front of
// it: not every registry looks at all earlier versions, or at the scale of a decimal.
type RemoteRegistry struct {
	client *sr.Client
	url    string
}

// NewRemoteRegistry returns the registry at a URL.
func NewRemoteRegistry(url string) (*RemoteRegistry, error) {
	client, err := sr.NewClient(sr.URLs(url), sr.HTTPClient(&http.Client{Timeout: registryTimeout}), sr.UserAgent("daybreak"))
	if err != nil {
		return nil, fmt.Errorf("schema registry %s: %w", url, err)
	}
	return &RemoteRegistry{client: client, url: url}, nil
}

// SchemaByID implements Registry.
func (r *RemoteRegistry) SchemaByID(ctx context.Context, id int) (string, error) {
	s, err := r.client.SchemaByID(ctx, id)
	if isMissing(err) {
		return "", fmt.Errorf("schema %d: %w", id, pipeline.ErrNotFound)
	}
	if err != nil {
		return "", r.failed(fmt.Sprintf("schema %d", id), err)
	}
	return s.Schema, nil
}

// Versions implements Registry.
func (r *RemoteRegistry) Versions(ctx context.Context, subject string) ([]pipeline.SchemaVersion, error) {
	numbers, err := r.client.SubjectVersions(ctx, subject)
	if isMissing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, r.failed("versions of "+subject, err)
	}
	versions := make([]pipeline.SchemaVersion, len(numbers))
	for i, n := range numbers {
		s, err := r.client.SchemaByVersion(ctx, subject, n)
		if err != nil {
			return nil, r.failed(fmt.Sprintf("version %d of %s", n, subject), err)
		}
		versions[i] = pipeline.SchemaVersion{Subject: subject, Version: n, ID: s.ID, Schema: s.Schema.Schema}
	}
	return versions, nil
}

// Register implements Registry.
func (r *RemoteRegistry) Register(ctx context.Context, s Subject) (int, error) {
	earlier, err := r.Versions(ctx, s.Name)
	if err != nil {
		return 0, err
	}
	if id, there := IDOf(earlier, s.Schema); there {
		return id, nil
	}
	if err := admit(s.Compatibility, s.Name, s.Schema, earlier); err != nil {
		return 0, err
	}
	id, err := r.client.RegisterSchema(ctx, s.Name, sr.Schema{Schema: s.Schema}, 0, 0)
	if err != nil {
		return 0, r.failed("register "+s.Name, err)
	}
	return id, nil
}

func (r *RemoteRegistry) failed(what string, err error) error {
	return fmt.Errorf("schema registry %s: %s: %w", r.url, what, err)
}

func isMissing(err error) bool {
	var refused *sr.ResponseError
	return errors.As(err, &refused) && refused.StatusCode == http.StatusNotFound
}

// EmbeddedRegistry is the registry of this installation: its schemas are rows of the book's own
// database. It serves the same API over HTTP by Handler.
type EmbeddedRegistry struct {
	store pipeline.SchemaStore
}

// NewEmbeddedRegistry returns the registry over a store.
func NewEmbeddedRegistry(store pipeline.SchemaStore) *EmbeddedRegistry {
	return &EmbeddedRegistry{store: store}
}

// SchemaByID implements Registry.
func (r *EmbeddedRegistry) SchemaByID(ctx context.Context, id int) (string, error) {
	return r.store.SchemaByID(ctx, id)
}

// Versions implements Registry.
func (r *EmbeddedRegistry) Versions(ctx context.Context, subject string) ([]pipeline.SchemaVersion, error) {
	return r.store.SchemaVersions(ctx, subject)
}

// Register implements Registry.
func (r *EmbeddedRegistry) Register(ctx context.Context, s Subject) (int, error) {
	v, err := r.add(ctx, s.Name, s.Schema, s.Compatibility)
	return v.ID, err
}

// add registers a text; mode "" is that of the subject.
func (r *EmbeddedRegistry) add(ctx context.Context, subject, text string, mode Compatibility) (pipeline.SchemaVersion, error) {
	if mode == "" {
		var err error
		if mode, err = r.mode(ctx, subject); err != nil {
			return pipeline.SchemaVersion{}, err
		}
	}
	versions, err := r.store.SchemaVersions(ctx, subject)
	if err != nil {
		return pipeline.SchemaVersion{}, err
	}
	for _, v := range versions {
		if sameSchema(v.Schema, text) {
			return v, nil
		}
	}
	return r.store.AddSchema(ctx, subject, text, func(earlier []pipeline.SchemaVersion) error {
		return admit(mode, subject, text, earlier)
	})
}

// mode returns the compatibility that holds for a subject.
func (r *EmbeddedRegistry) mode(ctx context.Context, subject string) (Compatibility, error) {
	for _, s := range []string{subject, ""} {
		mode, err := r.store.SchemaMode(ctx, s)
		if err != nil || mode != "" {
			return Compatibility(mode), err
		}
	}
	return FullTransitive, nil
}

// Admit returns ErrIncompatible where a schema may not follow the versions that its subject has.
func Admit(s Subject, earlier []pipeline.SchemaVersion) error {
	return admit(s.Compatibility, s.Name, s.Schema, earlier)
}

// admit is the gate before every registration.
func admit(mode Compatibility, subject, text string, earlier []pipeline.SchemaVersion) error {
	texts := make([]string, len(earlier))
	for i, v := range earlier {
		texts[i] = v.Schema
	}
	if err := CheckSchema(mode, text, texts); err != nil {
		return fmt.Errorf("subject %s: %w", subject, err)
	}
	return nil
}

// IDOf returns the id of a text among versions.
func IDOf(versions []pipeline.SchemaVersion, text string) (int, bool) {
	for _, v := range versions {
		if sameSchema(v.Schema, text) {
			return v.ID, true
		}
	}
	return 0, false
}

// sameSchema reports whether two texts are the same JSON but for blanks.
func sameSchema(a, b string) bool { return a == b || bytes.Equal(compact(a), compact(b)) }

func compact(text string) []byte {
	var b bytes.Buffer
	if json.Compact(&b, []byte(text)) != nil {
		return []byte(text)
	}
	return b.Bytes()
}
