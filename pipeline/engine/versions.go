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

// version is a definition as the engine uses it: parsed once, with its dictionary. One that this
// process refuses, mostly since it lacks an action, has a fault; its journal can be read all the same.
type version struct {
	number     int
	definition *workflow.Definition
	fault      error
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

	mu       sync.Mutex
	numbered map[int]*version
	aliases  []Alias
	routes   map[string]*workflow.Routes
	read     time.Time
}

func newVersions(store Definitions, registry Registry) *versions {
	return &versions{store: store, registry: registry, numbered: map[int]*version{}}
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
	coder, err := newCoder(stored.Body)
	if err != nil {
		return nil, fmt.Errorf("workflow %s@%.12s: %w", stored.Name, stored.Hash, err)
	}
	v := &version{number: stored.Number, nodes: map[string]*workflow.Node{}, coder: coder}
	definition, problems := workflow.Parse(stored.Body, registry)
	if definition == nil {
		v.fault = fmt.Errorf("%w: this process can't run %s@%.12s: %s", errUnknownWorkflow, stored.Name, stored.Hash, problems[0])
		return v, nil
	}
	v.definition = definition
	for i := range definition.Nodes {
		v.nodes[definition.Nodes[i].Name] = &definition.Nodes[i]
	}
	return v, nil
}

// runnable returns a definition that this process can run.
func (s *versions) runnable(ctx context.Context, number int) (*version, error) {
	v, err := s.byNumber(ctx, number)
	if err == nil && v.fault != nil {
		return nil, v.fault
	}
	return v, err
}

// errUnknownWorkflow is returned where a start names no version, or one that this process can't run: its
// record is a dead letter. An instance that has a row stays as it is until another process wakes it.
var errUnknownWorkflow = errors.New("no such workflow")

// resolve returns the version that a start takes and its parameters. Facts are those of its
// household; where the book lacks it they name it alone.
func (s *versions) resolve(ctx context.Context, start Start, facts workflow.Facts, now time.Time) (*version, []byte, error) {
	aliases, routes, err := s.current(ctx, now)
	if err != nil {
		return nil, nil, err
	}
	name, wanted, isNamed := strings.Cut(start.Workflow, "@")
	if !isNamed {
		route := routes[name]
		if route == nil {
			return nil, nil, fmt.Errorf("%w: %s has no live version", errUnknownWorkflow, name)
		}
		facts.Household = start.Household
		chosen, _, ok := route.Pick(facts)
		if !ok {
			return nil, nil, fmt.Errorf("%w: %s has no live version", errUnknownWorkflow, name)
		}
		wanted = chosen.Name
	}
	i := slices.IndexFunc(aliases, func(a Alias) bool { return a.Name == name && a.Alias == wanted })
	if i < 0 {
		return s.byHash(ctx, name, wanted)
	}
	v, err := s.runnable(ctx, aliases[i].Definition)
	return v, aliases[i].Params, err
}

// byHash finds a version by the first digits of its hash; it runs with the definition's defaults.
func (s *versions) byHash(ctx context.Context, name, prefix string) (*version, []byte, error) {
	finder, ok := s.store.(interface {
		DefinitionMatching(ctx context.Context, name, prefix string) (StoredDefinition, error)
	})
	if !ok || prefix == "" {
		return nil, nil, fmt.Errorf("%w: %s has no alias %q", errUnknownWorkflow, name, prefix)
	}
	stored, err := finder.DefinitionMatching(ctx, name, prefix)
	if errors.Is(err, pipeline.ErrNotFound) || errors.Is(err, pipeline.ErrState) {
		return nil, nil, fmt.Errorf("%w: %w", errUnknownWorkflow, err)
	}
	if err != nil {
		return nil, nil, err
	}
	v, err := s.runnable(ctx, stored.Number)
	return v, []byte("{}"), err
}

// current returns the aliases and their routes by workflow, read again where they are old.
func (s *versions) current(ctx context.Context, now time.Time) ([]Alias, map[string]*workflow.Routes, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if age := now.Sub(s.read); s.routes != nil && age >= 0 && age < aliasesFor {
		return s.aliases, s.routes, nil
	}
	aliases, err := s.store.Aliases(ctx)
	if err != nil {
		return nil, nil, err
	}
	routes, err := Routes(aliases)
	if err != nil {
		return nil, nil, err
	}
	s.aliases, s.routes, s.read = aliases, routes, now
	return aliases, routes, nil
}

// Routes returns the routes of all workflows by name.
func Routes(aliases []Alias) (map[string]*workflow.Routes, error) {
	byName := map[string][]workflow.Alias{}
	for _, a := range aliases {
		byName[a.Name] = append(byName[a.Name], workflow.Alias{Name: a.Alias, Version: a.Version, ShareBP: a.ShareBP, Cohort: a.Cohort, Params: a.Params})
	}
	routes := make(map[string]*workflow.Routes, len(byName))
	for name, all := range byName {
		r, err := workflow.NewRoutes(name, all)
		if err != nil {
			return nil, err
		}
		routes[name] = r
	}
	return routes, nil
}

// hasCohorts reports whether any alias asks for more than the id of a household.
func (s *versions) hasCohorts(ctx context.Context, now time.Time) (bool, error) {
	aliases, _, err := s.current(ctx, now)
	return slices.ContainsFunc(aliases, func(a Alias) bool { return a.Cohort != "" }), err
}
