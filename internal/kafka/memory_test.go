package kafka

import (
	"context"
	"slices"
	"sync"
	"testing"

	"daybreak/pipeline"
)

// shelf is a SchemaStore in memory.
type shelf struct {
	mu       sync.Mutex
	texts    []string // id − 1 → text
	subjects map[string][]pipeline.SchemaVersion
	modes    map[string]string
	asked    int   // calls of SchemaByID
	fail     error // of SchemaByID
}

func newShelf() *shelf {
	return &shelf{subjects: map[string][]pipeline.SchemaVersion{}, modes: map[string]string{}}
}

func (s *shelf) SchemaByID(_ context.Context, id int) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if s.fail != nil {
		return "", s.fail
	}
	if id < 1 || id > len(s.texts) {
		return "", pipeline.ErrNotFound
	}
	return s.texts[id-1], nil
}

func (s *shelf) SchemaVersions(_ context.Context, subject string) ([]pipeline.SchemaVersion, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.subjects[subject]), nil
}

func (s *shelf) SchemaSubjects(context.Context) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for name := range s.subjects {
		all = append(all, name)
	}
	slices.Sort(all)
	return all, nil
}

func (s *shelf) AddSchema(_ context.Context, subject, text string, check func([]pipeline.SchemaVersion) error) (pipeline.SchemaVersion, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := check(s.subjects[subject]); err != nil {
		return pipeline.SchemaVersion{}, err
	}
	id := slices.Index(s.texts, text) + 1
	if id == 0 {
		s.texts = append(s.texts, text)
		id = len(s.texts)
	}
	v := pipeline.SchemaVersion{Subject: subject, Version: len(s.subjects[subject]) + 1, ID: id, Schema: text}
	s.subjects[subject] = append(s.subjects[subject], v)
	return v, nil
}

func (s *shelf) SchemaMode(_ context.Context, subject string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.modes[subject], nil
}

func (s *shelf) SetSchemaMode(_ context.Context, subject, mode string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.modes[subject] = mode
	return nil
}

// testCodec returns a codec of executions over a registry in memory.
func testCodec(t testing.TB) pipeline.FillCodec {
	t.Helper()
	c, err := NewFillCodec(context.Background(), NewEmbeddedRegistry(newShelf()))
	if err != nil {
		t.Fatal(err)
	}
	return c
}
