package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"daybreak/internal/httpaction"
	"daybreak/market"
	"daybreak/pipeline"
	"daybreak/pipeline/engine"
	"daybreak/workflow"
)

// actions returns the actions of this installation: those of this build by their types, and those of
// registered services with what does them.
func (a *app) actions() (engine.Registry, error) {
	all := engine.Registry{}
	for _, action := range workflow.Builtin() {
		all[action.Name] = engine.Bound{Action: action}
	}
	if a.settings.Services == "" {
		return all, nil
	}
	services, err := httpaction.Load(a.settings.Services, os.Getenv)
	if err != nil {
		return nil, exitWith(exitUsage, err)
	}
	for name, bound := range services {
		all[name] = bound
	}
	return all, nil
}

// applied is what apply prints of one document.
type applied struct {
	Name     string `json:"name"`
	Hash     string `json:"hash"`
	New      bool   `json:"new"`
	Parked   int    `json:"parked"`         // instances of other versions that wait, have failed or are paused
	CantMove int    `json:"cannot_move"`    // those that could not go on in this one
	Fault    string `json:"fault,omitzero"` // of one of them
}

func newWorkflowApplyCmd(a *app) *cobra.Command {
	var as, why string
	c := &cobra.Command{
		Use:   "apply NAME|FILE...",
		Short: "Store definitions as versions, which never change",
		Long: "Checks each definition, against the actions of this build and of --services, and stores it under the hash\n" +
			"of its content; one that is there already changes nothing. Says how many parked instances of other\n" +
			"versions could not go on in it. New instances take it once `workflow alias` says so.",
		Example: "  daybreak workflow apply trade.json --services services.yaml --as ana",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			registry, err := a.actions()
			if err != nil {
				return err
			}
			return a.withOffice(c.Context(), false, func(o *office) error {
				var all []applied
				for _, source := range args {
					one, err := a.applyOne(c.Context(), o, registry, definitionSource{source, as, why})
					if err != nil {
						return err
					}
					all = append(all, one)
				}
				return emit(a, all, writeApplied)
			})
		},
	}
	addActorFlags(c, &as, &why)
	return c
}

// definitionSource is a document to apply, with who does it and why.
type definitionSource struct{ name, as, why string }

// addActorFlags adds --as and --why.
func addActorFlags(c *cobra.Command, as, why *string) {
	c.Flags().StringVar(as, "as", "", "user who does this")
	c.Flags().StringVar(why, "why", "", "reason, for the audit trail")
	_ = c.MarkFlagRequired("as")
}

func (a *app) applyOne(ctx context.Context, o *office, registry engine.Registry, source definitionSource) (applied, error) {
	document, err := readDefinition(a, source.name)
	if err != nil {
		return applied{}, err
	}
	d, problems := workflow.Parse(document, registry)
	if d == nil {
		var texts []string
		for _, p := range problems {
			texts = append(texts, source.name+":"+p.String())
		}
		return applied{}, fmt.Errorf("%s", strings.Join(texts, "\n"))
	}
	one := applied{Name: d.Name, Hash: d.Hash}
	inspector := engine.NewInspector(o.db, registry, pipeline.SessionFunctions(market.Calendar))
	if one.Parked, one.CantMove, one.Fault, err = inspector.CheckParked(ctx, o.db, d); err != nil {
		return one, err
	}
	_, one.New, err = o.db.ApplyDefinition(ctx, engine.StoredDefinition{
		Name: d.Name, Hash: d.Hash, Body: d.Canonical, Applied: a.now(), Actor: source.as, Why: source.why,
	})
	return one, err
}

func writeApplied(w io.Writer, all []applied) error {
	p := &printer{w: w}
	for _, v := range all {
		word := "stored"
		if !v.New {
			word = "was there"
		}
		p.line("%-24s %.12s  %s", v.Name, v.Hash, word)
		if v.Parked > 0 {
			p.line("  %d parked instances of other versions, %d could not go on in this one %s", v.Parked, v.CantMove, v.Fault)
		}
	}
	return p.err
}

// aliasFlags are the flags of `workflow alias`.
type aliasFlags struct {
	shareBP        int
	cohort, params string
	as, why        string
	drop           bool
}

func newWorkflowAliasCmd(a *app) *cobra.Command {
	var f aliasFlags
	c := &cobra.Command{
		Use:   "alias [NAME ALIAS VERSION]",
		Short: "Say which version new instances take: live, canary or test",
		Long: "Without arguments lists the aliases. VERSION is the first digits of a hash. live takes every household that\n" +
			"canary does not take; canary takes a share and a cohort; test takes whoever asks for NAME@test.\n" +
			"A version that calls an action which nothing here does is refused.",
		Example: "  daybreak workflow alias trade live 4be1 --as ana\n" +
			"  daybreak workflow alias trade canary 77ab --share-bp 500 --cohort 'region == \"CA\"' --as ana\n" +
			"  daybreak workflow alias trade canary --drop --as ana",
		Args: cobra.RangeArgs(0, 3),
		RunE: func(c *cobra.Command, args []string) error {
			return a.withOffice(c.Context(), false, func(o *office) error {
				if len(args) == 0 {
					all, err := o.db.Aliases(c.Context())
					if err != nil {
						return err
					}
					return emit(a, all, writeAliases)
				}
				if f.as == "" {
					return usageError("--as: say who does this")
				}
				if f.drop && len(args) == 2 {
					return o.db.DropAlias(c.Context(), engine.Alias{Name: args[0], Alias: args[1], Changed: a.now(), Actor: f.as}, f.why)
				}
				if f.drop || len(args) != 3 {
					return usageError("want NAME ALIAS VERSION, or NAME ALIAS --drop")
				}
				return a.setAlias(c.Context(), o, f, args)
			})
		},
	}
	c.Flags().IntVar(&f.shareBP, "share-bp", 0, "part of the households, in basis points")
	c.Flags().StringVar(&f.cohort, "cohort", "", "CEL expression over household, region, accounts and value")
	c.Flags().StringVar(&f.params, "params", "{}", "parameters of the definition, a JSON object")
	c.Flags().StringVar(&f.as, "as", "", "user who does this")
	c.Flags().StringVar(&f.why, "why", "", "reason, for the audit trail")
	c.Flags().BoolVar(&f.drop, "drop", false, "take the alias away")
	return c
}

// setAlias checks an alias with all others of its workflow and stores it.
func (a *app) setAlias(ctx context.Context, o *office, f aliasFlags, args []string) error {
	registry, err := a.actions()
	if err != nil {
		return err
	}
	stored, err := o.db.DefinitionMatching(ctx, args[0], args[2])
	if err != nil {
		return err
	}
	d, problems := workflow.Parse(stored.Body, registry)
	if d == nil {
		return exitWith(exitConflict, fmt.Errorf("this build refuses %s@%.12s: %v", stored.Name, stored.Hash, problems))
	}
	for _, n := range d.Nodes {
		if n.Type == workflow.Call && registry[n.Action.Name].Do == nil {
			return exitWith(exitConflict, fmt.Errorf("node %s calls %s, which nothing here does: name a file of services that has it by --services", n.Name, n.Action.Name))
		}
	}
	if _, err := d.ParseParams([]byte(f.params)); err != nil {
		return exitWith(exitUsage, fmt.Errorf("--params: %w", err))
	}
	alias := engine.Alias{Name: args[0], Alias: args[1], Definition: stored.Number, Version: stored.Hash, ShareBP: f.shareBP, Cohort: f.cohort,
		Params: json.RawMessage(f.params), Changed: a.now(), Actor: f.as}
	all, err := o.db.Aliases(ctx)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(b engine.Alias) bool { return b.Name == alias.Name && b.Alias == alias.Alias })
	if _, err := engine.Routes(append(all, alias)); err != nil {
		return exitWith(exitUsage, err)
	}
	if err := o.db.SetAlias(ctx, alias, f.why); err != nil {
		return err
	}
	return emit(a, []engine.Alias{alias}, writeAliases)
}

func writeAliases(w io.Writer, all []engine.Alias) error {
	p := &printer{w: w}
	for _, v := range all {
		p.line("%-24s %-7s %.12s  %5d bp  %s  by %s", v.Name, v.Alias, v.Version, v.ShareBP, v.Cohort, v.Actor)
	}
	return p.err
}
