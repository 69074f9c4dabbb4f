package kafka

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"go.yaml.in/yaml/v3"

	"daybreak/deploy/kafka/schemas"
)

// Subject is a schema as it must be: the text of this build and the versions before it.
type Subject struct {
	Name          string        `yaml:"subject"`
	File          string        `yaml:"file"`
	Compatibility Compatibility `yaml:"compatibility"`
	Schema        string        `yaml:"-"`
	History       []string      `yaml:"-"` // every version, oldest first; the last one is Schema
}

// Subjects returns the schemas of deploy/kafka/schemas in the order of schemas.yaml.
func Subjects() ([]Subject, error) { return readSubjects(schemas.Files) }

func readSubjects(files fs.FS) ([]Subject, error) {
	text, err := fs.ReadFile(files, "schemas.yaml")
	if err != nil {
		return nil, fmt.Errorf("schemas: %w", err)
	}
	var file struct {
		Kind string    `yaml:"kind"`
		Spec []Subject `yaml:"spec"`
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		return nil, fmt.Errorf("schemas: %w", err)
	}
	if file.Kind != "Schemas" {
		return nil, fmt.Errorf("schemas: kind is %q, want Schemas", file.Kind)
	}
	seen := map[string]bool{}
	for i := range file.Spec {
		s := &file.Spec[i]
		if s.Name == "" || seen[s.Name] {
			return nil, fmt.Errorf("schemas: the subject %q is empty or there twice", s.Name)
		}
		if !s.Compatibility.Known() {
			return nil, fmt.Errorf("schemas: %s has compatibility %q, want one of %v", s.Name, s.Compatibility, compatibilities)
		}
		seen[s.Name] = true
		if err := s.read(files); err != nil {
			return nil, fmt.Errorf("schemas: %s: %w", s.Name, err)
		}
	}
	return file.Spec, nil
}

// read loads the schema's file and its history, whose versions count up from 1 without a gap.
func (s *Subject) read(files fs.FS) error {
	text, err := fs.ReadFile(files, s.File)
	if err != nil {
		return err
	}
	s.Schema = string(text)
	dir := "history/" + strings.TrimSuffix(s.File, ".avsc")
	entries, err := fs.ReadDir(files, dir)
	if err != nil {
		return err
	}
	for version := range len(entries) {
		text, err := fs.ReadFile(files, fmt.Sprintf("%s/%d.avsc", dir, version+1))
		if err != nil {
			return err
		}
		s.History = append(s.History, string(text))
	}
	return nil
}

// Check returns why this build's schema may not be used: it breaks the promise to an earlier version,
// or its history lacks it.
func (s Subject) Check() error {
	if len(s.History) == 0 || s.History[len(s.History)-1] != s.Schema {
		return fmt.Errorf("subject %s: the last version in its history is not %s: copy it there under the next number", s.Name, s.File)
	}
	var faults []error
	for i := range s.History {
		if err := CheckSchema(s.Compatibility, s.History[i], s.History[:i]); err != nil {
			faults = append(faults, fmt.Errorf("subject %s version %d: %w", s.Name, i+1, err))
		}
	}
	return errors.Join(faults...)
}

// subject returns the embedded schema of a file; that it is there is checked by a test.
func mustSubject(file string) Subject {
	all, err := Subjects()
	if err != nil {
		panic(err)
	}
	for _, s := range all {
		if s.File == file {
			return s
		}
	}
	panic("no schema " + file)
}
