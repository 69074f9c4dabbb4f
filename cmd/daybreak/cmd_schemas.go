package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"daybreak/internal/kafka"
	"daybreak/internal/postgres"
)

func newSchemasCmd(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "schemas",
		Short: "The Avro schemas of the topics: check them, register them",
		Long: "The schemas of this build are in deploy/kafka/schemas and in the binary. A registry gives them the ids\n" +
			"that records carry: the one in the database, or any with the API of Confluent's that --registry names.",
	}
	c.AddCommand(newSchemasCheckCmd(a), newSchemasApplyCmd(a))
	return c
}

func newSchemasCheckCmd(a *app) *cobra.Command {
	var o consumeOptions
	c := &cobra.Command{
		Use:   "check [FILE...]",
		Short: "Check schemas, sample records, or what a topic holds",
		Long: "Without a file it checks every version of this build's schemas against all versions before it; then, where a\n" +
			"registry or an installation is named, that the registry has them and lets them in.\n\n" +
			"With files it checks records of daybreak.events before anybody sends them: a JSON object a line, whose member\n" +
			"\"schema\" names its record. Each must be of the schema and keep the rules of the book.\n\n" +
			"With --consume it reads what a topic of events holds and says what would become of each record, without\n" +
			"applying any: against an installation whether it would be applied, is known, or would be a dead letter and\n" +
			"why; with brokers alone whether it can be read.\n\n" +
			"Ends with 5 where something differs, or a record would not be applied.",
		Example: "  daybreak schemas check\n" +
			"  daybreak schemas check --registry http://registry:8081\n" +
			"  daybreak schemas check deploy/kafka/samples/*.jsonl\n" +
			"  daybreak schemas check --consume daybreak.events --data ./daybreak-data",
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case o.topic != "" && len(args) > 0:
				return usageError("--consume reads a topic, not files")
			case o.topic != "":
				return a.rehearse(c.Context(), o)
			case len(args) > 0:
				return a.checkSamples(c.Context(), args)
			}
			return a.compareSchemas(c.Context())
		},
	}
	c.Flags().StringVar(&o.topic, "consume", "", "topic whose records to look at")
	c.Flags().IntVar(&o.limit, "limit", 10_000, "records to look at, at most")
	c.Flags().BoolVar(&o.all, "from-start", false, "look at records that the book has taken already, too")
	return c
}

func newSchemasApplyCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "apply",
		Short: "Register this build's schemas",
		Long: "Registers each schema that the registry lacks, where it may follow ALL versions that are there; a second\n" +
			"time changes nothing. Ends with 5 where one may not.",
		Example: "  daybreak schemas apply --registry http://registry:8081",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withRegistry(c.Context(), func(r kafka.Registry) error {
				states, err := applySchemas(c.Context(), r)
				return errors.Join(emit(a, states, writeSchemaStates), err)
			})
		},
	}
}

// schemaState is what `schemas` says about one subject.
type schemaState struct {
	Subject  string `json:"subject"`
	State    string `json:"state"`
	ID       int    `json:"id,omitempty"`
	Versions int    `json:"versions"` // in the registry
	Detail   string `json:"detail,omitempty"`
}

// The states of a subject.
const (
	schemaChecked      = "checked"      // keeps its promise; no registry was asked
	schemaRegistered   = "registered"   // the registry has it
	schemaNew          = "new"          // was registered just now
	schemaMissing      = "missing"      // the registry lacks it and would take it
	schemaIncompatible = "incompatible" // it may not follow what is there
)

func (s schemaState) differs() bool { return s.State == schemaMissing || s.State == schemaIncompatible }

// registryOver returns the registry that the settings name, or the one in the database.
func (a *app) registryOver(db *postgres.DB) (kafka.Registry, error) {
	if a.settings.Registry != "" {
		return kafka.NewRemoteRegistry(a.settings.Registry)
	}
	return kafka.NewEmbeddedRegistry(db), nil
}

// withRegistry calls do with the registry of the settings; it connects to a database only where that
// has the registry.
func (a *app) withRegistry(ctx context.Context, do func(kafka.Registry) error) error {
	if a.settings.Registry != "" {
		r, err := kafka.NewRemoteRegistry(a.settings.Registry)
		if err != nil {
			return err
		}
		return do(r)
	}
	where, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = where.Close() }()
	db, err := postgres.Open(ctx, where.DSN, a.settings.Connections)
	if err != nil {
		return err
	}
	defer db.Close()
	return do(kafka.NewEmbeddedRegistry(db))
}

// ensureSchemas registers what the registry lacks. A service refuses to start where that can't be.
func ensureSchemas(ctx context.Context, r kafka.Registry) error {
	states, err := applySchemas(ctx, r)
	if err == nil {
		return nil
	}
	for _, s := range states {
		if s.State == schemaIncompatible {
			return exitWith(exitConflict, fmt.Errorf("%s; `daybreak schemas check` shows all of it", s.Detail))
		}
	}
	return err
}

// applySchemas registers this build's schemas in order. Its error ends with exitDifferences where one
// was refused; the others are registered nevertheless.
func applySchemas(ctx context.Context, r kafka.Registry) ([]schemaState, error) {
	subjects, err := kafka.Subjects()
	if err != nil {
		return nil, err
	}
	var states []schemaState
	var refused error
	for _, s := range subjects {
		state, err := schemaAt(ctx, r, s)
		if err != nil {
			return states, err
		}
		if state.State == schemaMissing {
			if state.ID, err = r.Register(ctx, s); err != nil {
				return states, err
			}
			state.State, state.Versions = schemaNew, state.Versions+1
		}
		if state.differs() {
			refused = exitWith(exitDifferences, nil)
		}
		states = append(states, state)
	}
	return states, refused
}

// schemaAt compares one subject with the registry.
func schemaAt(ctx context.Context, r kafka.Registry, s kafka.Subject) (schemaState, error) {
	versions, err := r.Versions(ctx, s.Name)
	if err != nil {
		return schemaState{}, err
	}
	state := schemaState{Subject: s.Name, State: schemaMissing, Versions: len(versions)}
	if id, there := kafka.IDOf(versions, s.Schema); there {
		state.State, state.ID = schemaRegistered, id
		return state, nil
	}
	err = kafka.Admit(s, versions)
	if errors.Is(err, kafka.ErrIncompatible) {
		state.State, state.Detail = schemaIncompatible, err.Error()
		return state, nil
	}
	return state, err
}

// compareSchemas is `schemas check`.
func (a *app) compareSchemas(ctx context.Context) error {
	subjects, err := kafka.Subjects()
	if err != nil {
		return err
	}
	var states []schemaState
	for _, s := range subjects {
		state := schemaState{Subject: s.Name, State: schemaChecked}
		if err := s.Check(); err != nil {
			state.State, state.Detail = schemaIncompatible, err.Error()
		}
		states = append(states, state)
	}
	if a.namesRegistry() {
		err = a.withRegistry(ctx, func(r kafka.Registry) error { return askRegistry(ctx, r, subjects, states) })
		if err != nil {
			return err
		}
	}
	if err := emit(a, states, writeSchemaStates); err != nil {
		return err
	}
	for _, s := range states {
		if s.differs() {
			return exitWith(exitDifferences, nil)
		}
	}
	return nil
}

func (a *app) namesRegistry() bool {
	s := a.settings
	return s.Registry != "" || s.Data != "" || s.DatabaseURL != "" || s.usePG
}

// askRegistry replaces the states of subjects that keep their promise by what the registry says.
func askRegistry(ctx context.Context, r kafka.Registry, subjects []kafka.Subject, states []schemaState) error {
	for i, s := range subjects {
		if states[i].State != schemaChecked {
			continue
		}
		var err error
		if states[i], err = schemaAt(ctx, r, s); err != nil {
			return err
		}
	}
	return nil
}

func writeSchemaStates(w io.Writer, states []schemaState) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, s := range states {
		id := "-"
		if s.ID > 0 {
			id = fmt.Sprint(s.ID)
		}
		fmt.Fprintf(t, "%s\t%s\tid %s\t%s\n", s.Subject, s.State, id, s.Detail)
	}
	return t.Flush()
}
