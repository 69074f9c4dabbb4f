package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"daybreak/market"
)

// ImportKind names what an imported file holds.
type ImportKind string

// The kinds of file that hold the market.
const (
	ImportSecurities   ImportKind = "securities"
	ImportPrices       ImportKind = "prices"
	ImportFX           ImportKind = "fx"
	ImportReplacements ImportKind = "replacements"
	ImportModels       ImportKind = "models"
)

// MarketFile is one file to import and how to read it.
type MarketFile struct {
	Name       string // for messages
	Kind       ImportKind
	Body       io.Reader                     // CSV, plain or gzipped
	Adjustment market.Adjustment             // of prices: what the closes are adjusted for
	Source     string                        // of rates: who publishes them
	Strict     bool                          // write nothing where a line is bad
	Progress   func(lines int, writing bool) // called now and then while reading, and before writing; may be nil
}

// Saved counts what a save did to the rows that it was given, and how many rows it took away
// because the file replaces the whole set that they belong to.
type Saved struct {
	Inserted, Changed, Unchanged, Removed int
}

// Plus returns the sums of s and t.
func (s Saved) Plus(t Saved) Saved {
	return Saved{s.Inserted + t.Inserted, s.Changed + t.Changed, s.Unchanged + t.Unchanged, s.Removed + t.Removed}
}

// Fault is one line that was left out or, as a warning, flagged.
type Fault struct {
	File    string      `json:"file"`
	Line    int         `json:"line"` // from 1, the header's
	Code    market.Code `json:"code"`
	Message string      `json:"message"`
	Warning bool        `json:"warning,omitempty"` // the line was kept
}

// ImportSummary is what became of one file. Inserted, Changed and Unchanged add up to the lines
// kept; they are 0 where nothing was written.
type ImportSummary struct {
	File      string     `json:"file"`
	Kind      ImportKind `json:"kind"`
	Lines     int        `json:"lines"` // without the header and empty lines
	Inserted  int        `json:"inserted"`
	Changed   int        `json:"changed"`
	Unchanged int        `json:"unchanged"`
	Removed   int        `json:"removed,omitempty"` // rows of a model or a replacement list that the file no longer has
	Bad       int        `json:"bad"`
	Flagged   int        `json:"flagged"`
	Refused   string     `json:"refused,omitempty"` // why nothing was written; "" where it was
	Faults    []Fault    `json:"-"`                 // by line; the first ImportFaultsMax of them
}

// ImportStore keeps the market. Each save is one transaction: all rows or none, and saving the
// same rows again changes nothing.
type ImportStore interface {
	// Securities returns all securities in order of symbol.
	Securities(ctx context.Context) ([]market.Security, error)
	// Adjustments returns what the stored closes of each security are adjusted for.
	Adjustments(ctx context.Context) (map[market.Symbol]market.Adjustment, error)
	// ClosesBefore returns the last stored close before a day of each symbol, where there is one.
	ClosesBefore(ctx context.Context, days map[market.Symbol]market.Day) (map[market.Symbol]market.Price, error)
	// SaveSecurities, SavePrices and SaveRates insert or change rows by key.
	SaveSecurities(ctx context.Context, rows []market.Security) (Saved, error)
	SavePrices(ctx context.Context, rows []market.Quote, a market.Adjustment) (Saved, error)
	SaveRates(ctx context.Context, rows []market.Rate) (Saved, error)
	// SaveReplacements replaces the list of each symbol, SaveWeights each model that rows name.
	SaveReplacements(ctx context.Context, rows []market.Replacement) (Saved, error)
	SaveWeights(ctx context.Context, rows []market.Weight) (Saved, error)
}

// Import reads one file of the market, leaves out the lines that are wrong, and saves the others
// in one transaction. What is wrong with the file is in the summary; the error is for a store that
// does not answer or a canceled context, and then nothing was written.
func Import(ctx context.Context, store ImportStore, f MarketFile) (ImportSummary, error) {
	im := &importer{store: store, file: f, summary: ImportSummary{File: f.Name, Kind: f.Kind}}
	if err := im.run(ctx); err != nil {
		return im.summary, fmt.Errorf("import %s: %w", f.Name, err)
	}
	slices.SortStableFunc(im.summary.Faults, func(a, b Fault) int { return cmp.Compare(a.Line, b.Line) })
	return im.summary, nil
}

// importer is the import of one file.
type importer struct {
	store   ImportStore
	file    MarketFile
	known   map[market.Symbol]market.Security
	summary ImportSummary
}

// row is a decoded line and its number.
type row[T any] struct {
	value T
	line  int
}

func (im *importer) run(ctx context.Context) error {
	securities, err := im.store.Securities(ctx)
	if err != nil {
		return err
	}
	im.known = make(map[market.Symbol]market.Security, len(securities))
	for _, s := range securities {
		im.known[s.Symbol] = s
	}
	switch im.file.Kind {
	case ImportSecurities:
		return im.securities(ctx)
	case ImportPrices:
		return im.prices(ctx)
	case ImportFX:
		return im.rates(ctx)
	case ImportReplacements:
		return im.replacements(ctx)
	case ImportModels:
		return im.models(ctx)
	}
	return fmt.Errorf("no import of kind %q", im.file.Kind)
}

func (im *importer) securities(ctx context.Context) error {
	decode := func(fields []string) (market.Security, error) {
		s, err := market.DecodeSecurity(fields)
		if err != nil {
			return s, err
		}
		if old, ok := im.known[s.Symbol]; ok && old.Currency != s.Currency {
			return s, &market.LineError{Code: market.CodeOtherCurrency,
				Message: fmt.Sprintf("%s is known in %s; a security keeps its currency, another listing has another symbol", s.Symbol, old.Currency)}
		}
		return s, nil
	}
	rows, err := read(ctx, im, market.SecurityHeader, decode, func(s market.Security) market.Symbol { return s.Symbol })
	if err != nil {
		return err
	}
	return save(ctx, im, rows, im.store.SaveSecurities)
}

func (im *importer) prices(ctx context.Context) error {
	stored, err := im.store.Adjustments(ctx)
	if err != nil {
		return err
	}
	decode := func(fields []string) (market.Quote, error) {
		q, err := market.DecodePrice(fields)
		if err != nil {
			return q, err
		}
		security, err := im.security(q.Symbol)
		if err != nil {
			return q, err
		}
		q.Symbol = security.Symbol // the line's text need not stay in memory
		if err := market.CheckQuote(q, security); err != nil {
			return q, err
		}
		return q, checkAdjustment(q.Symbol, stored[q.Symbol], im.file.Adjustment)
	}
	type key struct {
		symbol market.Symbol
		day    market.Day
	}
	rows, err := read(ctx, im, market.PriceHeader, decode, func(q market.Quote) key { return key{q.Symbol, q.Day} })
	if err != nil {
		return err
	}
	if err := im.flagMoves(ctx, rows); err != nil {
		return err
	}
	return save(ctx, im, rows, func(ctx context.Context, rows []market.Quote) (Saved, error) {
		return im.store.SavePrices(ctx, rows, im.file.Adjustment)
	})
}

func checkAdjustment(symbol market.Symbol, stored, declared market.Adjustment) error {
	if stored == "" || stored == declared {
		return nil
	}
	return &market.LineError{Code: market.CodeOtherAdjustment,
		Message: fmt.Sprintf("stored closes of %s are adjusted for %s, these for %s; one series has one adjustment", symbol, stored, declared)}
}

// flagMoves notes closes that are far from the one before them, in the file or in the store.
func (im *importer) flagMoves(ctx context.Context, rows []row[market.Quote]) error {
	first := map[market.Symbol]market.Day{}
	closes := make([]market.Price, len(rows))
	for i, r := range rows {
		closes[i] = r.value.Price
		if day, ok := first[r.value.Symbol]; !ok || r.value.Day < day {
			first[r.value.Symbol] = r.value.Day
		}
	}
	before, err := im.store.ClosesBefore(ctx, first)
	if err != nil {
		return err
	}
	type key struct {
		symbol market.Symbol
		day    market.Day
	}
	moves := map[key]market.Move{}
	for _, m := range market.Moves(before, closes) {
		moves[key{m.Symbol, m.Day}] = m
	}
	for _, r := range rows {
		if m, ok := moves[key{r.value.Symbol, r.value.Day}]; ok {
			im.flag(r.line, market.CodeMove, m.String())
		}
	}
	return nil
}

func (im *importer) rates(ctx context.Context) error {
	type key struct {
		base, quote market.Currency
		day         market.Day
	}
	decode := func(fields []string) (market.Rate, error) { return market.DecodeRate(fields, im.file.Source) }
	rows, err := read(ctx, im, market.RateHeader, decode, func(r market.Rate) key { return key{r.Base, r.Quote, r.Day} })
	if err != nil {
		return err
	}
	return save(ctx, im, rows, im.store.SaveRates)
}

func (im *importer) replacements(ctx context.Context) error {
	decode := func(fields []string) (market.Replacement, error) {
		r, err := market.DecodeReplacement(fields)
		if err != nil {
			return r, err
		}
		of, err := im.security(r.Symbol)
		if err != nil {
			return r, err
		}
		by, err := im.security(r.Replacement)
		if err != nil {
			return r, err
		}
		return r, market.CheckReplacement(of, by)
	}
	type key struct{ symbol, replacement market.Symbol }
	rows, err := read(ctx, im, market.ReplacementHeader, decode, func(r market.Replacement) key { return key{r.Symbol, r.Replacement} })
	if err != nil {
		return err
	}
	return save(ctx, im, rows, im.store.SaveReplacements)
}

func (im *importer) models(ctx context.Context) error {
	broken := map[string]bool{} // models with a line that could not be read
	decode := func(fields []string) (market.Weight, error) {
		w, err := market.DecodeWeight(fields)
		if err == nil {
			_, err = im.security(w.Symbol)
		}
		if err != nil {
			broken[w.Model] = true
		}
		return w, err
	}
	type key struct {
		model, class string
		symbol       market.Symbol
	}
	rows, err := read(ctx, im, market.WeightHeader, decode, func(w market.Weight) key { return key{w.Model, w.AssetClass, w.Symbol} })
	if err != nil {
		return err
	}
	return save(ctx, im, im.wholeModels(rows, broken), im.store.SaveWeights)
}

// wholeModels leaves out every line of a model that does not hold together or that lacks a line:
// half a model is not a model.
func (im *importer) wholeModels(rows []row[market.Weight], broken map[string]bool) []row[market.Weight] {
	byModel := map[string][]market.Weight{}
	for _, r := range rows {
		byModel[r.value.Model] = append(byModel[r.value.Model], r.value)
	}
	var kept []row[market.Weight]
	for _, r := range rows {
		err := market.CheckModel(byModel[r.value.Model])
		if broken[r.value.Model] {
			err = &market.LineError{Code: market.CodeBadModel, Message: fmt.Sprintf("model %s has another line that is bad", r.value.Model)}
		}
		if err != nil {
			im.leaveOut(r.line, err)
			continue
		}
		kept = append(kept, r)
	}
	return kept
}

// security returns a known security.
func (im *importer) security(symbol market.Symbol) (market.Security, error) {
	s, ok := im.known[symbol]
	if !ok {
		return s, &market.LineError{Code: market.CodeUnknownSecurity,
			Message: fmt.Sprintf("%s is not a known security; import securities first", symbol)}
	}
	return s, nil
}

// save writes the rows that are left, unless the file was refused or --strict forbids it.
func save[T any](ctx context.Context, im *importer, rows []row[T], write func(context.Context, []T) (Saved, error)) error {
	if im.file.Strict && im.summary.Bad > 0 && im.summary.Refused == "" {
		im.summary.Refused = fmt.Sprintf("%d bad lines, and none may be left out", im.summary.Bad)
	}
	if im.summary.Refused != "" || len(rows) == 0 {
		return nil
	}
	im.progress(true)
	values := make([]T, len(rows))
	for i, r := range rows {
		values[i] = r.value
	}
	saved, err := write(ctx, values)
	if err != nil {
		return err
	}
	im.summary.Inserted, im.summary.Changed = saved.Inserted, saved.Changed
	im.summary.Unchanged, im.summary.Removed = saved.Unchanged, saved.Removed
	return nil
}

// marketFiles are the files of a whole market, in the order in which each finds what it refers to.
var marketFiles = []MarketFile{
	{Name: "securities.csv", Kind: ImportSecurities},
	{Name: "prices.csv.gz", Kind: ImportPrices},
	{Name: "fx.csv.gz", Kind: ImportFX},
	{Name: "replacements.csv", Kind: ImportReplacements},
	{Name: "models.csv", Kind: ImportModels},
}

// ImportFolder imports a whole market, such as the sample's: securities.csv, prices.csv.gz,
// fx.csv.gz, replacements.csv and models.csv of files, each in a transaction of its own, with the
// adjustment, source and strictness of like. It stops at the first file of which nothing can be
// written, and says so in its error.
func ImportFolder(ctx context.Context, store ImportStore, files fs.FS, like MarketFile) ([]ImportSummary, error) {
	var results []ImportSummary
	for _, f := range marketFiles {
		body, err := files.Open(f.Name)
		if err != nil {
			return results, fmt.Errorf("import: %w", err)
		}
		file := like
		file.Name, file.Kind, file.Body = f.Name, f.Kind, body
		summary, err := Import(ctx, store, file)
		if err = errors.Join(err, body.Close()); err != nil {
			return results, err
		}
		results = append(results, summary)
		if summary.Refused != "" {
			return results, fmt.Errorf("import %s: %s", f.Name, summary.Refused)
		}
	}
	return results, nil
}
