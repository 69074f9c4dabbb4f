package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"daybreak/pipeline"
	"daybreak/workflow"
)

// version is a definition as the engine uses it: parsed once, with its dictionary.
type version struct {
	number     int
	definition *workflow.Definition
	nodes      map[string]*workflow.Node
	coder      *coder
}

// aliasesFor is how long aliases are believed before they are read again.
const aliasesFor = time.Second

// versionsMax bounds the definitions in memory: instances of a few versions run at a time.
const versionsMax = 256

// versions finds definitions by number and by what a start names.
type versions struct {
	store    Definitions
	registry Registry
	cohort   func(text string) (func(household string) (bool, error), error)

	mu       sync.Mutex
	numbered map[int]*version
	aliases  []Alias
	read     time.Time
	cohorts  map[string]func(household string) (bool, error)
}

func newVersions(store Definitions, registry Registry) *versions {
	return &versions{store: store, registry: registry, numbered: map[int]*version{}, cohorts: map[string]func(string) (bool, error){}}
}

// byNumber returns a definition, from memory where it was used before.
func (s *versions) byNumber(ctx context.Context, number int) (*version, error) {
	s.mu.Lock()
	v := s.numbered[number]
	s.mu.Unlock()
	if v != nil {
		return v, nil
	}
	stored, err := s.store.DefinitionByNumber(ctx, number)
	if err != nil {
		return nil, err
	}
	if v, err = compile(stored, s.registry); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.numbered) == versionsMax {
		clear(s.numbered)
	}
	s.numbered[number] = v
	return v, nil
}

func compile(stored StoredDefinition, registry Registry) (*version, error) {
	definition, problems := workflow.Parse(stored.Body, registry)
	for _, p := range problems {
		if p.Severity == workflow.Fault {
			return nil, fmt.Errorf("workflow %s@%.12s: this build refuses it, line %d: %s", stored.Name, stored.Hash, p.Line, p.Reason)
		}
	}
	coder, err := newCoder(stored.Body)
	if err != nil {
		return nil, fmt.Errorf("workflow %s@%.12s: %w", stored.Name, stored.Hash, err)
	}
	v := &version{number: stored.Number, definition: definition, nodes: map[string]*workflow.Node{}, coder: coder}
	for i := range definition.Nodes {
		v.nodes[definition.Nodes[i].Name] = &definition.Nodes[i]
	}
	return v, nil
}

// errUnknownWorkflow is returned where a start names no version: its record is a dead letter.
var errUnknownWorkflow = errors.New("no such workflow")

// resolve returns the version that a start takes and its parameters.
func (s *versions) resolve(ctx context.Context, start Start, now time.Time) (*version, []byte, error) {
	aliases, err := s.currentAliases(ctx, now)
	if err != nil {
		return nil, nil, err
	}
	name, wanted, isNamed := strings.Cut(start.Workflow, "@")
	of := func(alias string) *Alias {
		i := slices.IndexFunc(aliases, func(a Alias) bool { return a.Name == name && a.Alias == alias })
		if i < 0 {
			return nil
		}
		return &aliases[i]
	}
	if !isNamed {
		wanted = AliasLive
		if canary := of(AliasCanary); canary != nil {
			takes, err := s.takes(*canary, start.Household)
			if err != nil {
				return nil, nil, err
			}
			if takes {
				wanted = AliasCanary
			}
		}
	}
	if a := of(wanted); a != nil {
		v, err := s.byNumber(ctx, a.Definition)
		return v, a.Params, err
	}
	return s.byHash(ctx, name, wanted)
}

// byHash finds a version by the first digits of its hash; it runs with the definition's defaults.
func (s *versions) byHash(ctx context.Context, name, prefix string) (*version, []byte, error) {
	finder, ok := s.store.(interface {
		DefinitionMatching(ctx context.Context, name, prefix string) (StoredDefinition, error)
	})
	if !ok || prefix == "" || slices.Contains([]string{AliasLive, AliasCanary, AliasTest}, prefix) {
		return nil, nil, fmt.Errorf("%w: %s has no alias %q", errUnknownWorkflow, name, prefix)
	}
	stored, err := finder.DefinitionMatching(ctx, name, prefix)
	if errors.Is(err, pipeline.ErrNotFound) || errors.Is(err, pipeline.ErrState) {
		return nil, nil, fmt.Errorf("%w: %w", errUnknownWorkflow, err)
	}
	if err != nil {
		return nil, nil, err
	}
	v, err := s.byNumber(ctx, stored.Number)
	return v, nil, err
}

func (s *versions) currentAliases(ctx context.Context, now time.Time) ([]Alias, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.aliases != nil && now.Sub(s.read) < aliasesFor && now.Sub(s.read) >= 0 {
		return s.aliases, nil
	}
	aliases, err := s.store.Aliases(ctx)
	if err != nil {
		return nil, err
	}
	s.aliases, s.read = aliases, now
	return aliases, nil
}

// takes reports whether a canary takes a household: one of its share, which is fixed by the
// workflow and the household, or one that its cohort names.
func (s *versions) takes(a Alias, household string) (bool, error) {
	if pipeline.Partition(a.Name+"/"+household, 100) < int32(a.Share) {
		return true, nil
	}
	if a.Cohort == "" || s.cohort == nil {
		return false, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	matches, ok := s.cohorts[a.Cohort]
	if !ok {
		var err error
		if matches, err = s.cohort(a.Cohort); err != nil {
			return false, fmt.Errorf("cohort of %s@%s: %w", a.Name, a.Alias, err)
		}
		s.cohorts[a.Cohort] = matches
	}
	return matches(household)
}
