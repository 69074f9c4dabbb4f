package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"daybreak/internal/postgres"
	"daybreak/market"
	"daybreak/pipeline"
)

// importFaultsShown is how many faults of a file the text output lists; the other formats list all.
const importFaultsShown = 20

// importLinesTold is how many lines of a file lie between two words of progress.
const importLinesTold = 200_000

func newImportCmd(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "import",
		Short: "Read securities, prices, exchange rates, replacements, model portfolios and households",
		Long: "Reads files, plain or gzipped, into the book: CSV for the market, JSON lines for households. Each bad\n" +
			"line is named with its number and reason and left out; with --strict a file with a bad line is not written\n" +
			"at all. A file of the market is written in one transaction. Importing a file again changes nothing. `-`\n" +
			"reads the standard input.\n\n" +
			"Exit codes: 0 all lines written; 3 bad lines left out; 1 a file of which nothing was written.",
	}
	c.AddCommand(
		newImportMarketCmd(a, pipeline.ImportSecurities, "securities", market.SecurityHeader),
		newImportMarketCmd(a, pipeline.ImportPrices, "daily closes and dividends", market.PriceHeader),
		newImportMarketCmd(a, pipeline.ImportFX, "exchange rates", market.RateHeader),
		newImportMarketCmd(a, pipeline.ImportReplacements, "replacements; the list of each symbol in the file is replaced", market.ReplacementHeader),
		newImportMarketCmd(a, pipeline.ImportModels, "model portfolios; each model in the file is replaced", market.WeightHeader),
		newImportHouseholdsCmd(a),
	)
	return c
}

func newImportMarketCmd(a *app, kind pipeline.ImportKind, what string, header []string) *cobra.Command {
	var (
		file       = pipeline.MarketFile{Kind: kind}
		adjustment string
	)
	c := &cobra.Command{
		Use:   string(kind) + " FILE...",
		Short: "Read " + what,
		Long:  fmt.Sprintf("Reads %s from CSV files with the header\n\n    %s", what, strings.Join(header, ",")),
		Args:  cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, names []string) error {
			if kind == pipeline.ImportPrices {
				var err error
				if file.Adjustment, err = market.ParseAdjustment(adjustment); err != nil {
					return usageError("--adjustment says what the closes are adjusted for: %w", err)
				}
			}
			if kind == pipeline.ImportFX && strings.TrimSpace(file.Source) == "" {
				return usageError("--source: say who publishes the rates")
			}
			return a.importMarket(c.Context(), file, names)
		},
	}
	c.Flags().BoolVar(&file.Strict, "strict", false, "write nothing of a file that has a bad line")
	switch kind {
	case pipeline.ImportPrices:
		c.Flags().StringVar(&adjustment, "adjustment", "", "what the closes are adjusted for: raw, splits or splits+dividends (required)")
	case pipeline.ImportFX:
		c.Flags().StringVar(&file.Source, "source", "ECB", "who publishes the rates")
	}
	return c
}

// importMarket imports files one by one, each in a transaction of its own, and says what became of
// them. All of them are opened before the first is read.
func (a *app) importMarket(ctx context.Context, like pipeline.MarketFile, names []string) error {
	bodies, err := a.openAll(names)
	defer closeAll(bodies)
	if err != nil {
		return err
	}
	var results []pipeline.ImportSummary
	err = a.withStore(ctx, func(db *postgres.DB) error {
		for i, name := range names {
			file := like
			file.Name, file.Body, file.Progress = name, bodies[i], a.importProgress(name)
			summary, err := pipeline.Import(ctx, db, file)
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

// withStore runs do with the database of the installation, brought to this build's schema.
func (a *app) withStore(ctx context.Context, do func(db *postgres.DB) error) (err error) {
	place, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, place.Close()) }()
	if err := postgres.Migrate(ctx, place.DSN); err != nil {
		return err
	}
	db, err := postgres.Open(ctx, place.DSN, a.settings.Connections)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := a.admit(ctx, db); err != nil {
		return err
	}
	return do(db)
}

func (a *app) openAll(names []string) ([]io.ReadCloser, error) {
	var bodies []io.ReadCloser
	for _, name := range names {
		if name == "-" {
			bodies = append(bodies, io.NopCloser(a.in))
			continue
		}
		f, err := os.Open(name)
		if err != nil {
			return bodies, fmt.Errorf("nothing was imported: %w", err)
		}
		bodies = append(bodies, f)
	}
	return bodies, nil
}

func closeAll(bodies []io.ReadCloser) {
	for _, b := range bodies {
		b.Close() // read only: nothing can be lost
	}
}

// importProgress returns what tells on stderr how far a long file is.
func (a *app) importProgress(name string) func(lines int, writing bool) {
	told := 0
	return func(lines int, writing bool) {
		switch {
		case writing && told > 0:
			fmt.Fprintf(a.errOut, "%s: %d lines read, writing\n", filepath.Base(name), lines)
		case lines-told >= importLinesTold:
			told = lines
			fmt.Fprintf(a.errOut, "%s: %d lines read\n", filepath.Base(name), lines)
		}
	}
}

// importReport is the JSON of an import.
type importReport struct {
	Files  []pipeline.ImportSummary `json:"files"`
	Errors []pipeline.Fault         `json:"errors"`
}

// emitImports writes the faults and the summary of each file: as text, as one JSON object, or as
// JSON lines, first all faults, then all summaries.
func (a *app) emitImports(results []pipeline.ImportSummary) error {
	report := importReport{Files: results, Errors: []pipeline.Fault{}}
	for _, r := range results {
		report.Errors = append(report.Errors, r.Faults...)
	}
	switch a.settings.Output {
	case outputJSON:
		return emitOne(a, report, nil)
	case outputJSONL:
		return errors.Join(emit(a, report.Errors, nil), emit(a, report.Files, nil))
	}
	return emit(a, results, writeImports)
}

func writeImports(w io.Writer, results []pipeline.ImportSummary) error {
	var err error
	for _, r := range results {
		for _, f := range r.Faults[:min(len(r.Faults), importFaultsShown)] {
			_, failed := fmt.Fprintf(w, "%s:%d: %s: %s\n", f.File, f.Line, f.Code, f.Message)
			err = errors.Join(err, failed)
		}
		if more := r.Bad + r.Flagged - importFaultsShown; more > 0 {
			_, failed := fmt.Fprintf(w, "%s: and %d more; -o jsonl lists up to %d\n", r.File, more, pipeline.ImportFaultsMax)
			err = errors.Join(err, failed)
		}
		_, failed := fmt.Fprintf(w, "%s: %d lines of %s: %d inserted, %d changed, %d unchanged, %d removed; %d bad, %d flagged\n",
			r.File, r.Lines, r.Kind, r.Inserted, r.Changed, r.Unchanged, r.Removed, r.Bad, r.Flagged)
		err = errors.Join(err, failed)
	}
	return err
}

// importOutcome maps what became of the files to the exit code: what stopped the import, then a
// file of which nothing was written, then bad lines that were left out.
func importOutcome(results []pipeline.ImportSummary, stopped error) error {
	if stopped != nil {
		return stopped
	}
	bad := 0
	for _, r := range results {
		if r.Refused != "" {
			return exitWith(exitFailed, fmt.Errorf("%s: nothing of it was written: %s", r.File, r.Refused))
		}
		bad += r.Bad
	}
	if bad > 0 {
		return exitWith(exitExceptions, nil)
	}
	return nil
}
