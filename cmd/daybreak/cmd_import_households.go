package main

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/spf13/cobra"

	"daybreak/internal/postgres"
	"daybreak/pipeline"
)

func newImportHouseholdsCmd(a *app) *cobra.Command {
	var strict bool
	c := &cobra.Command{
		Use:   "households FILE...",
		Short: "Read households with their accounts and tax history",
		Long: "Reads households as JSON lines, one household a line, as docs/household.schema.json describes them. Their\n" +
			"events are folded to lots, pools and positions, with which the book begins. A household that is in the book\n" +
			"from the same record stays as it is; one with other content is a bad line. Files are stored some hundred\n" +
			"households at a time: where an import stopped halfway, the same import completes it.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, names []string) error { return a.importHouseholds(c.Context(), names, strict) },
	}
	c.Flags().BoolVar(&strict, "strict", false, "write nothing of a file that has a bad line")
	return c
}

// importHouseholds imports files one by one and says what became of them. All of them are opened
// before the first is read.
func (a *app) importHouseholds(ctx context.Context, names []string, strict bool) error {
	if strict {
		for _, name := range names {
			if name == "-" {
				return usageError("--strict reads a file twice, and the standard input cannot be: give its name")
			}
		}
	}
	bodies, err := a.openAll(names)
	closeAll(bodies)
	if err != nil {
		return err
	}
	var results []pipeline.ImportSummary
	err = a.withStore(ctx, func(db *postgres.DB) error {
		for _, name := range names {
			summary, err := pipeline.ImportHouseholdFile(ctx, db, pipeline.HouseholdFile{
				Name: name, Open: func() (io.ReadCloser, error) { return a.openOne(name) },
				Strict: strict, Now: a.now(), Progress: a.importProgress(name),
			})
			if err != nil {
				return err
			}
			results = append(results, summary)
			if err := a.recordImport(ctx, db, summary); err != nil {
				return err
			}
		}
		return nil
	})
	if len(results) == 0 {
		return err
	}
	return errors.Join(a.emitImports(results), importOutcome(results, err))
}

func (a *app) openOne(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(a.in), nil
	}
	return os.Open(name)
}
