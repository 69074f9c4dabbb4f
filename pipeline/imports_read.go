package pipeline

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"daybreak/market"
)

// Codes of a whole file, beside those of its lines in market.
const (
	codeEmptyFile market.Code = "EMPTY_FILE" // nothing, or nothing but the header
	codeBadHeader market.Code = "BAD_HEADER" // other columns than a file of its kind has
	codeBadFile   market.Code = "BAD_FILE"   // cannot be read to its end, or has too many lines
)

// Bounds of a file: what it may make us hold in memory.
const (
	lineMax  = 64 << 10  // bytes of a line
	linesMax = 3_000_000 // lines of a file; a line of prices takes up to 600 bytes on its way
)

// ImportFaultsMax is how many faults a summary lists; it counts all of them.
const ImportFaultsMax = 10_000

// progressEvery is how many lines lie between two calls of Progress.
const progressEvery = 20_000

var gzipMagic = []byte{0x1f, 0x8b}

// leaveOut records a bad line.
func (im *importer) leaveOut(line int, err error) {
	im.summary.Bad++
	bad := &market.LineError{Code: codeBadFile, Message: err.Error()}
	errors.As(err, &bad)
	im.note(Fault{File: im.file.Name, Line: line, Code: bad.Code, Message: bad.Message})
}

// flag records a line that is kept although something is odd.
func (im *importer) flag(line int, code market.Code, message string) {
	im.summary.Flagged++
	im.note(Fault{File: im.file.Name, Line: line, Code: code, Message: message, Warning: true})
}

// refuse records that nothing of the file can be written.
func (im *importer) refuse(line int, code market.Code, format string, args ...any) {
	im.summary.Refused = fmt.Sprintf(format, args...)
	im.note(Fault{File: im.file.Name, Line: line, Code: code, Message: im.summary.Refused})
}

func (im *importer) note(f Fault) {
	if len(im.summary.Faults) < ImportFaultsMax {
		im.summary.Faults = append(im.summary.Faults, f)
	}
}

// read returns the lines that decode, the first of each key, in the file's order; the others are
// recorded. A file that is refused gives none.
func read[T any, K comparable](ctx context.Context, im *importer, header []string, decode func([]string) (T, error), key func(T) K) ([]row[T], error) {
	lines := im.open(header)
	if lines == nil {
		return nil, nil
	}
	var rows []row[T]
	seen := map[K]int{}
	for {
		fields, err := lines.next()
		if im.ended(lines, err) {
			return rowsOf(im, rows), ctx.Err()
		}
		if im.summary.Lines%progressEvery == 0 {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			im.progress(false)
		}
		im.summary.Lines++
		var value T
		if err == nil {
			value, err = decode(fields)
		}
		if err != nil {
			im.leaveOut(lines.number, err)
			continue
		}
		k := key(value)
		if first, twice := seen[k]; twice {
			im.leaveOut(lines.number, &market.LineError{Code: market.CodeDuplicate, Message: fmt.Sprintf("same key as line %d", first)})
			continue
		}
		seen[k] = lines.number
		rows = append(rows, row[T]{value, lines.number})
	}
}

// rowsOf returns rows unless the file was refused on the way.
func rowsOf[T any](im *importer, rows []row[T]) []row[T] {
	if im.summary.Refused != "" {
		return nil
	}
	return rows
}

func (im *importer) progress(writing bool) {
	if im.file.Progress != nil {
		im.file.Progress(im.summary.Lines, writing)
	}
}

// ended reports whether the file ends here, and refuses it where it ends badly.
func (im *importer) ended(lines *lineReader, err error) bool {
	var bad *market.LineError
	switch {
	case errors.Is(err, io.EOF):
		if im.summary.Lines == 0 {
			im.refuse(1, codeEmptyFile, "no lines after the header")
		}
		return true
	case err != nil && !errors.As(err, &bad):
		im.refuse(lines.number, codeBadFile, "cannot be read on: %v", err)
		return true
	case im.summary.Lines == linesMax:
		im.refuse(lines.number, codeBadFile, "more than %d lines: import it in parts", linesMax)
		return true
	}
	return false
}

// open reads the header and returns the lines after it; nil where the file is refused.
func (im *importer) open(header []string) *lineReader {
	lines, err := newLineReader(im.file.Body, lineMax)
	if err != nil {
		im.refuse(1, codeBadFile, "cannot be read: %v", err)
		return nil
	}
	got, err := lines.next()
	var bad *market.LineError
	switch {
	case errors.Is(err, io.EOF):
		im.refuse(1, codeEmptyFile, "the file is empty; want the header %s", strings.Join(header, ","))
		return nil
	case err != nil && !errors.As(err, &bad):
		im.refuse(1, codeBadFile, "cannot be read: %v", err)
		return nil
	case err != nil || !slices.Equal(got, header):
		im.refuse(1, codeBadHeader, "header is %s, want %s%s", clip(strings.Join(got, ",")), strings.Join(header, ","), otherKind(got))
		return nil
	}
	return lines
}

// otherKind says which import takes a file with this header.
func otherKind(header []string) string {
	for _, k := range []struct {
		kind   ImportKind
		header []string
	}{
		{ImportSecurities, market.SecurityHeader}, {ImportPrices, market.PriceHeader}, {ImportFX, market.RateHeader},
		{ImportReplacements, market.ReplacementHeader}, {ImportModels, market.WeightHeader},
	} {
		if slices.Equal(header, k.header) {
			return fmt.Sprintf("; this is a file for `daybreak import %s`", k.kind)
		}
	}
	return ""
}

// clip quotes a text for a message and shortens a hostile one.
func clip(s string) string {
	const most = 120
	if len(s) > most {
		return strconv.QuoteToASCII(s[:most]) + "…"
	}
	return strconv.QuoteToASCII(s)
}

// lineReader splits a CSV file, plain or gzipped, into lines of fields. A record is one line, so a
// quote that is left open spoils its own line only.
type lineReader struct {
	r      *bufio.Reader
	number int // of the line last read, from 1
	fields []string
}

// newLineReader returns the lines of a file, plain or gzipped, of at most bytesMax each.
func newLineReader(body io.Reader, bytesMax int) (*lineReader, error) {
	r := bufio.NewReaderSize(body, bytesMax)
	if head, _ := r.Peek(len(gzipMagic)); bytes.Equal(head, gzipMagic) {
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, err
		}
		r = bufio.NewReaderSize(z, bytesMax)
	}
	const mark = "\ufeff"
	if head, _ := r.Peek(len(mark)); string(head) == mark {
		if _, err := r.Discard(len(mark)); err != nil {
			return nil, err
		}
	}
	return &lineReader{r: r}, nil
}

// next returns the fields of the next line that is not empty; they are valid until the next call.
// It returns the errors of line, and a *market.LineError for a line that cannot be split.
func (l *lineReader) next() ([]string, error) {
	line, err := l.line()
	if err != nil {
		return nil, err
	}
	return l.split(string(line))
}

// line returns the next line that is not empty, without its end; it is valid until the next call.
// It returns io.EOF at the end, a *market.LineError for a line that is too long, and any other
// error where the file cannot be read on.
func (l *lineReader) line() ([]byte, error) {
	for {
		l.number++
		line, err := l.r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return nil, l.skip()
		}
		if err != nil && !(errors.Is(err, io.EOF) && len(line) > 0) {
			return nil, err
		}
		line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		if len(line) > 0 {
			return line, nil
		}
	}
}

// skip reads to the end of a line that is too long.
func (l *lineReader) skip() error {
	for {
		_, err := l.r.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case err == nil || errors.Is(err, io.EOF):
			return &market.LineError{Code: market.CodeLongLine, Message: fmt.Sprintf("longer than %d bytes", l.r.Size())}
		default:
			return err
		}
	}
}

func (l *lineReader) split(line string) ([]string, error) {
	if strings.Contains(line, `"`) {
		fields, err := csv.NewReader(strings.NewReader(line)).Read()
		if err != nil {
			return nil, &market.LineError{Code: market.CodeBadQuotes, Message: "quotes do not close, or stand inside a field: " + clip(line)}
		}
		return fields, nil
	}
	l.fields = l.fields[:0]
	for more := true; more; {
		var field string
		field, line, more = strings.Cut(line, ",")
		l.fields = append(l.fields, field)
	}
	return l.fields, nil
}
