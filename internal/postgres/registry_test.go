package postgres_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"daybreak/internal/postgres"
	"daybreak/internal/postgres/pgtest"
	"daybreak/pipeline"
)

func TestSchemaStore(t *testing.T) {
	t.Parallel()
	db := postgres.New(pgtest.Schema(t))
	ctx := t.Context()
	agree := func([]pipeline.SchemaVersion) error { return nil }
	if _, err := db.SchemaByID(ctx, 1); !errors.Is(err, pipeline.ErrNotFound) {
		t.Errorf("SchemaByID(nothing there) = %v, want ErrNotFound", err)
	}
	first, err := db.AddSchema(ctx, "a", "one", agree)
	if want := (pipeline.SchemaVersion{Subject: "a", Version: 1, ID: 1, Schema: "one"}); err != nil || first != want {
		t.Fatalf("AddSchema = %+v, %v, want %+v", first, err, want)
	}
	if again, err := db.AddSchema(ctx, "a", "one", agree); err != nil || again != first {
		t.Errorf("AddSchema(again) = %+v, %v, want %+v", again, err, first)
	}
	refusal := errors.New("no")
	_, err = db.AddSchema(ctx, "a", "two", func(earlier []pipeline.SchemaVersion) error {
		if len(earlier) != 1 || earlier[0] != first {
			t.Errorf("check got %+v, want the first version", earlier)
		}
		return refusal
	})
	if !errors.Is(err, refusal) {
		t.Errorf("AddSchema(refused) = %v, want the refusal", err)
	}
	if shared, err := db.AddSchema(ctx, "b", "one", agree); err != nil || shared.ID != first.ID || shared.Version != 1 {
		t.Errorf("AddSchema(text of another subject) = %+v, %v, want id %d", shared, err, first.ID)
	}
	var group sync.WaitGroup
	for i := range 6 {
		group.Go(func() {
			if _, err := db.AddSchema(ctx, "a", fmt.Sprintf("text %d", i%3), agree); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	versions, err := db.SchemaVersions(ctx, "a")
	if err != nil || len(versions) != 4 || versions[3].Version != 4 {
		t.Errorf("SchemaVersions = %+v, %v, want 4 without a double", versions, err)
	}
	if subjects, err := db.SchemaSubjects(ctx); err != nil || fmt.Sprint(subjects) != "[a b]" {
		t.Errorf("SchemaSubjects = %v, %v, want a and b", subjects, err)
	}
	if err := errors.Join(db.SetSchemaMode(ctx, "a", "FULL"), db.SetSchemaMode(ctx, "a", "NONE")); err != nil {
		t.Fatal(err)
	}
	for subject, want := range map[string]string{"a": "NONE", "b": ""} {
		if mode, err := db.SchemaMode(ctx, subject); err != nil || mode != want {
			t.Errorf("SchemaMode(%s) = %q, %v, want %q", subject, mode, err, want)
		}
	}
}
