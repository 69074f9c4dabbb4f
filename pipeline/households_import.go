package pipeline

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"

	"daybreak/market"
	"daybreak/portfolio"
)

// ImportHouseholds is the kind of file that holds households.
const ImportHouseholds ImportKind = "households"

// Standing says what the book knew of an opening before it came.
type Standing int

// The standings of an opening.
const (
	StandingNew      Standing = iota + 1 // the book lacks the household and its accounts
	StandingSame                         // the book has the household from the same record
	StandingConflict                     // the book has the household, or one of its accounts, from another record
)

// HouseholdStore keeps households as they were opened.
type HouseholdStore interface {
	// Securities returns all securities in order of symbol.
	Securities(ctx context.Context) ([]market.Security, error)
	// AddHouseholds stores the openings that are new in one transaction, as known since an instant,
	// and returns the standing of each by its place.
	AddHouseholds(ctx context.Context, openings []Opening, known time.Time) ([]Standing, error)
	// HouseholdStandings returns what AddHouseholds would, and stores nothing.
	HouseholdStandings(ctx context.Context, openings []Opening) ([]Standing, error)
}

// HouseholdFile is one file of households to import.
type HouseholdFile struct {
	Name     string                        // for messages
	Open     func() (io.ReadCloser, error) // JSON lines, plain or gzipped; opened twice where Strict
	Strict   bool                          // write nothing where a line is bad
	Now      time.Time                     // since when the book knows them
	Progress func(lines int, writing bool) // called now and then; may be nil
}

// Bounds of a file of households, and of what is worked on at once.
const (
	recordMax   = 16 << 20 // bytes of a line: about 50,000 events
	chunkMax    = 32       // lines that one goroutine decodes and folds
	chunkBytes  = 2 << 20  // bytes of them, one line more
	storeMax    = 256      // households of a transaction
	storeBytes  = 32 << 20 // compressed bytes of them
	recordsMax  = 2_000_000
	progressRow = 100 // lines between two calls of Progress
)

// ImportHouseholdFile reads one file of households, leaves out the lines that are wrong, and stores
// the others in transactions of some hundreds. A household that is in the book already from the
// same record changes nothing; one from another record is a bad line. What is wrong with the file is
// in the summary; the error is for a store that does not answer or a canceled context. Where an
// import stopped halfway, the same import completes it.
func ImportHouseholdFile(ctx context.Context, store HouseholdStore, f HouseholdFile) (ImportSummary, error) {
	securities, err := store.Securities(ctx)
	if err != nil {
		return ImportSummary{}, fmt.Errorf("import %s: %w", f.Name, err)
	}
	opener := NewOpener(securities)
	if f.Strict {
		rehearsal := newHouseholdImport(store, f, opener)
		rehearsal.isRehearsal = true
		err := rehearsal.run(ctx)
		if bad := rehearsal.summary.Bad; bad > 0 && rehearsal.summary.Refused == "" {
			rehearsal.summary.Refused = fmt.Sprintf("%d bad lines, and none may be left out", bad)
		}
		if err != nil || rehearsal.summary.Refused != "" {
			rehearsal.summary.Inserted, rehearsal.summary.Unchanged = 0, 0
			return rehearsal.finish(err)
		}
	}
	im := newHouseholdImport(store, f, opener)
	return im.finish(im.run(ctx))
}

// householdImport is the import of one file.
type householdImport struct {
	importer
	households  HouseholdStore
	open        func() (io.ReadCloser, error)
	now         time.Time
	opener      *Opener
	isRehearsal bool

	seen     map[string]int // household and account ids to their lines
	batch    []openedLine
	batchLen int // compressed bytes of it
}

// textLine is a line of the file; openedLine is what became of it.
type textLine struct {
	number int
	text   []byte
	err    error
}

type openedLine struct {
	number  int
	opening Opening
	err     error
}

func newHouseholdImport(store HouseholdStore, f HouseholdFile, opener *Opener) *householdImport {
	return &householdImport{
		importer: importer{
			file:    MarketFile{Name: f.Name, Kind: ImportHouseholds, Strict: f.Strict, Progress: f.Progress},
			summary: ImportSummary{File: f.Name, Kind: ImportHouseholds},
		},
		households: store, open: f.Open, now: f.Now, opener: opener, seen: map[string]int{},
	}
}

func (im *householdImport) finish(err error) (ImportSummary, error) {
	slices.SortStableFunc(im.summary.Faults, func(a, b Fault) int { return cmp.Compare(a.Line, b.Line) })
	if err != nil {
		return im.summary, fmt.Errorf("import %s: %w", im.file.Name, err)
	}
	return im.summary, nil
}

func (im *householdImport) run(ctx context.Context) error {
	body, err := im.open()
	if err != nil {
		return err
	}
	defer body.Close()
	lines, err := newLineReader(body, recordMax)
	if err != nil {
		im.refuse(1, codeBadFile, "cannot be read: %v", err)
		return nil
	}
	reader := &chunkReader{lines: lines}
	err = InOrder(ctx, runtime.GOMAXPROCS(0), reader.next, im.openChunk, im.takeChunk)
	if err != nil {
		return err
	}
	if err := im.flush(ctx); err != nil {
		return err
	}
	if im.summary.Lines == 0 && im.summary.Refused == "" {
		im.refuse(1, codeEmptyFile, "the file is empty; want one household a line, see docs/household.schema.json")
	}
	im.progress(false)
	return nil
}

// chunkReader gives the lines of a file in chunks. A file that cannot be read on ends with a line
// that has the error.
type chunkReader struct {
	lines *lineReader
	count int
	ended bool
}

func (c *chunkReader) next() ([]textLine, bool, error) {
	var chunk []textLine
	for size := 0; !c.ended && len(chunk) < chunkMax && size < chunkBytes; {
		text, err := c.lines.line()
		var bad *market.LineError
		switch {
		case errors.Is(err, io.EOF):
			c.ended = true
			continue
		case err != nil && !errors.As(err, &bad):
			c.ended = true
			err = badRecord(codeBadFile, "cannot be read on: %v", err)
		case c.count == recordsMax:
			c.ended = true
			err = badRecord(codeBadFile, "more than %d lines: import it in parts", recordsMax)
		}
		c.count++
		size += len(text)
		chunk = append(chunk, textLine{number: c.lines.number, text: bytes.Clone(text), err: err})
	}
	return chunk, len(chunk) > 0, nil
}

// openChunk decodes and folds lines; it runs on several goroutines.
func (im *householdImport) openChunk(chunk []textLine) ([]openedLine, error) {
	opened := make([]openedLine, len(chunk))
	for i, l := range chunk {
		opened[i] = openedLine{number: l.number, err: l.err}
		if l.err != nil {
			continue
		}
		record, err := DecodeHousehold(l.text)
		if err == nil {
			opened[i].opening, err = im.opener.Open(record)
		}
		var bad *market.LineError
		if err != nil && !errors.As(err, &bad) {
			return nil, fmt.Errorf("line %d: %w", l.number, err)
		}
		opened[i].err = err
	}
	return opened, nil
}

// DecodeHousehold reads one line of a file of households. It takes the fields of the schema and no
// others; what is wrong is a *market.LineError.
func DecodeHousehold(line []byte) (HouseholdRecord, error) {
	var h HouseholdRecord
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&h); err != nil {
		return h, jsonError(err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return h, badRecord(codeBadJSON, "more than one JSON value on the line")
	}
	return h, nil
}

// takeChunk records bad lines and puts the others into the batch.
func (im *householdImport) takeChunk(ctx context.Context, chunk []openedLine) error {
	for _, l := range chunk {
		im.summary.Lines++
		if im.summary.Lines%progressRow == 0 {
			im.progress(false)
		}
		if l.err == nil {
			l.err = im.firstOf(l)
		}
		if l.err != nil {
			im.leaveOut(l.number, l.err)
			continue
		}
		im.batch = append(im.batch, l)
		im.batchLen += len(l.opening.Events) + len(l.opening.Checkpoint)
		if len(im.batch) == storeMax || im.batchLen >= storeBytes {
			if err := im.flush(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// firstOf refuses a line whose household or account an earlier line has.
func (im *householdImport) firstOf(l openedLine) error {
	keys := []string{"household " + string(l.opening.Household.ID)}
	for _, a := range l.opening.Household.Accounts {
		keys = append(keys, "account "+string(a.ID))
	}
	for _, key := range keys {
		if first, twice := im.seen[key]; twice {
			return badRecord(market.CodeDuplicate, "%s is on line %d already", key, first)
		}
	}
	for _, key := range keys {
		im.seen[key] = l.number
	}
	return nil
}

// flush stores the batch, or only looks at how it stands where this is a rehearsal.
func (im *householdImport) flush(ctx context.Context) error {
	openings := make([]Opening, len(im.batch))
	for i, l := range im.batch {
		openings[i] = l.opening
	}
	if len(openings) == 0 {
		return nil
	}
	standings, err := im.standings(ctx, openings)
	if err != nil {
		return err
	}
	for i, l := range im.batch {
		switch standings[i] {
		case StandingNew:
			im.summary.Inserted++
		case StandingSame:
			im.summary.Unchanged++
		case StandingConflict:
			im.leaveOut(l.number, badRecord(codeConflict, "household %s or one of its accounts is in the book with other content; what happened since goes in as events, not by another import", l.opening.Household.ID))
		}
	}
	im.batch, im.batchLen = im.batch[:0], 0
	return nil
}

func (im *householdImport) standings(ctx context.Context, openings []Opening) ([]Standing, error) {
	if !im.isRehearsal {
		return im.households.AddHouseholds(ctx, openings, im.now)
	}
	return im.households.HouseholdStandings(ctx, openings)
}

// StandingOf returns how an opening stands to a book that has households of these hashes, and these
// accounts in these households.
func StandingOf(p Opening, hashes map[portfolio.HouseholdID]string, accounts map[portfolio.AccountID]portfolio.HouseholdID) Standing {
	for _, a := range p.Household.Accounts {
		if of, taken := accounts[a.ID]; taken && of != p.Household.ID {
			return StandingConflict
		}
	}
	hash, known := hashes[p.Household.ID]
	switch {
	case !known:
		return StandingNew
	case hash == p.SourceHash:
		return StandingSame
	}
	return StandingConflict
}
