package pipeline

import "context"

// SchemaVersion is one version of a subject in a registry of schemas.
type SchemaVersion struct {
	Subject string `json:"subject"`
	Version int    `json:"version"` // from 1
	ID      int    `json:"id"`      // of the schema, which several subjects may share; records carry it
	Schema  string `json:"schema"`
}

// SchemaStore keeps the schemas of the embedded registry. Nothing is ever deleted: a record may be
// read long after its schema was replaced.
type SchemaStore interface {
	// SchemaByID returns the text of a schema, or an error that wraps ErrNotFound.
	SchemaByID(ctx context.Context, id int) (string, error)
	// SchemaVersions returns all versions of a subject, oldest first; none where it is unknown.
	SchemaVersions(ctx context.Context, subject string) ([]SchemaVersion, error)
	// SchemaSubjects returns all subjects, sorted.
	SchemaSubjects(ctx context.Context) ([]string, error)
	// AddSchema makes text the newest version of a subject, in a transaction in which nobody else
	// adds one: check gets the versions there are and refuses with an error. A text that the subject
	// has already is returned as it is there.
	AddSchema(ctx context.Context, subject, text string, check func(earlier []SchemaVersion) error) (SchemaVersion, error)
	// SchemaMode returns the compatibility that is set for a subject, "" for none.
	SchemaMode(ctx context.Context, subject string) (string, error)
	// SetSchemaMode sets it.
	SetSchemaMode(ctx context.Context, subject, mode string) error
}
