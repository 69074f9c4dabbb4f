package kafka

import (
	"context"
	"fmt"

	"daybreak/pipeline"
)

// OfflineRegistry knows this build's schemas alone and is nowhere but in this process: for checks of
// records that nobody has sent yet.
type OfflineRegistry struct{ texts []string }

// SchemaByID implements Registry.
func (r *OfflineRegistry) SchemaByID(_ context.Context, id int) (string, error) {
	if id < 1 || id > len(r.texts) {
		return "", fmt.Errorf("schema %d: %w", id, pipeline.ErrNotFound)
	}
	return r.texts[id-1], nil
}

// Versions implements Registry.
func (r *OfflineRegistry) Versions(context.Context, string) ([]pipeline.SchemaVersion, error) {
	return nil, nil
}

// Register implements Registry. It is not safe for concurrent use.
func (r *OfflineRegistry) Register(_ context.Context, s Subject) (int, error) {
	r.texts = append(r.texts, s.Schema)
	return len(r.texts), s.Check()
}
