// Package archive keeps ended days of the engine's journal as Parquet, in a directory or in a bucket
// of an object store. It implements engine.Vault.
package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"daybreak/market"
	"daybreak/pipeline/engine"
)

// Vault keeps two files for each day: its lines in order of batch, and how instances ended in order
// of id. Both are read and written a group of rows at a time.
type Vault struct {
	place string
	in    bucket
}

// Open returns the vault at a place: a directory, or s3://BUCKET/PREFIX.
func Open(place string, e Endpoint) (*Vault, error) {
	if !strings.HasPrefix(place, "s3://") {
		return &Vault{place: place, in: directory(place)}, nil
	}
	at, err := url.Parse(place)
	if err != nil || at.Host == "" {
		return nil, fmt.Errorf("archive is %q, want a directory or s3://BUCKET/PREFIX", place)
	}
	in, err := openS3(at, e)
	return &Vault{place: place, in: in}, err
}

// Place returns where the vault is, as Open takes it.
func (v *Vault) Place() string { return v.place }

// lineRow is a line of the journal in its file.
type lineRow struct {
	Day        string `parquet:"day,dict"`
	Batch      int64  `parquet:"batch,delta"`
	Line       int32  `parquet:"line"`
	Topic      string `parquet:"topic,dict"`
	Partition  int32  `parquet:"partition"`
	LastOffset int64  `parquet:"last_offset"`
	Definition int32  `parquet:"definition"`
	Worker     string `parquet:"worker,dict"`
	At         int64  `parquet:"at,timestamp(microsecond)"`
	Instances  int32  `parquet:"instances"`
	Body       []byte `parquet:"body,uncompressed"` // zstd already
}

// finishedRow is how an instance ended, in its file.
type finishedRow struct {
	Day        string  `parquet:"day,dict,zstd"`
	ID         string  `parquet:"id,delta,zstd"`
	Household  string  `parquet:"household,zstd"`
	Definition int32   `parquet:"definition,zstd"`
	State      string  `parquet:"state,dict,zstd"`
	Node       string  `parquet:"node,dict,zstd"`
	Batches    []int64 `parquet:"batches,list"`
	Acts       []int64 `parquet:"acts,list"`
	Started    int64   `parquet:"started,timestamp(microsecond)"`
	Finished   int64   `parquet:"finished,timestamp(microsecond)"`
}

func rowOfLine(l engine.ArchivedLine) (lineRow, int) {
	return lineRow{Day: l.Day.String(), Batch: l.Batch, Line: int32(l.Line.Line), Topic: l.Topic, Partition: l.Partition, LastOffset: l.LastOffset,
		Definition: int32(l.Definition), Worker: l.Worker, At: l.At.UnixMicro(), Instances: int32(l.Instances), Body: l.Body}, len(l.Body)
}

func (r lineRow) line() (engine.ArchivedLine, error) {
	day, err := market.ParseDay(r.Day)
	return engine.ArchivedLine{Topic: r.Topic, Partition: r.Partition, Line: engine.Line{Day: day, Batch: r.Batch, Line: int(r.Line), LastOffset: r.LastOffset,
		Definition: int(r.Definition), Worker: r.Worker, At: time.UnixMicro(r.At).UTC(), Instances: int(r.Instances), Body: slices.Clone(r.Body)}}, err
}

func rowOfFinished(f engine.Finished) (finishedRow, int) {
	return finishedRow{Day: f.Day.String(), ID: f.ID, Household: f.Household, Definition: int32(f.Definition), State: f.State, Node: f.Node,
		Batches: f.Batches, Acts: f.Acts, Started: f.Started.UnixMicro(), Finished: f.Finished.UnixMicro()}, 0
}

func (r finishedRow) finished() (engine.Finished, error) {
	day, err := market.ParseDay(r.Day)
	f := engine.Finished{Day: day, ID: strings.Clone(r.ID), Household: strings.Clone(r.Household), Definition: int(r.Definition),
		State: strings.Clone(r.State), Node: strings.Clone(r.Node), Batches: slices.Clone(r.Batches),
		Started: time.UnixMicro(r.Started).UTC(), Finished: time.UnixMicro(r.Finished).UTC()}
	if len(r.Acts) > 0 {
		f.Acts = slices.Clone(r.Acts)
	}
	return f, err
}

// What one group of rows holds at most: it is in memory while it is written or read.
const (
	groupRowsMax  = 8_192
	groupBytesMax = 8 << 20
)

// object is a file of a day, in its bucket.
type object struct {
	in   bucket
	name string
}

func (v *Vault) object(day market.Day, part string) object {
	return object{v.in, day.String() + "/" + part + ".parquet"}
}

// WriteLines implements engine.Vault.
func (v *Vault) WriteLines(ctx context.Context, day market.Day, each func(func(engine.ArchivedLine) error) error) error {
	return write(ctx, v.object(day, "journal"), each, rowOfLine)
}

// WriteFinished implements engine.Vault.
func (v *Vault) WriteFinished(ctx context.Context, day market.Day, each func(func(engine.Finished) error) error) error {
	return write(ctx, v.object(day, "finished"), each, rowOfFinished,
		parquet.BloomFilters(parquet.SplitBlockFilter(10, "id")))
}

// write stores rows as they come; rowOf returns the row of one and how many bytes of it are large.
func write[T, R any](ctx context.Context, o object, each func(func(T) error) error, rowOf func(T) (R, int), options ...parquet.WriterOption) error {
	err := o.in.put(ctx, o.name, func(out io.Writer) error {
		w := parquet.NewGenericWriter[R](out, append(options, parquet.Compression(&zstd.Codec{}))...)
		rows, bytes := 0, 0
		err := each(func(t T) error {
			row, size := rowOf(t)
			if _, err := w.Write([]R{row}); err != nil {
				return err
			}
			if rows, bytes = rows+1, bytes+size; rows < groupRowsMax && bytes < groupBytesMax {
				return nil
			}
			rows, bytes = 0, 0
			return w.Flush()
		})
		if err != nil {
			return err
		}
		return w.Close()
	})
	if err != nil {
		return fmt.Errorf("archive %s: %w", o.name, err)
	}
	return nil
}

// EachLine implements engine.Vault.
func (v *Vault) EachLine(ctx context.Context, day market.Day, batches []int64, yield func(engine.ArchivedLine) error) error {
	wanted := map[int64]bool{}
	for _, b := range batches {
		wanted[b] = true
	}
	skip := func(g parquet.RowGroup) (bool, error) {
		low, high, ok := bounds(g, "batch")
		return batches != nil && ok && !slices.ContainsFunc(batches, func(b int64) bool { return low.Int64() <= b && b <= high.Int64() }), nil
	}
	return read(ctx, v.object(day, "journal"), skip, func(r lineRow) error {
		if batches != nil && !wanted[r.Batch] {
			return nil
		}
		l, err := r.line()
		if err != nil {
			return err
		}
		return yield(l)
	})
}

// EachFinished implements engine.Vault.
func (v *Vault) EachFinished(ctx context.Context, day market.Day, id string, yield func(engine.Finished) error) error {
	skip := func(g parquet.RowGroup) (bool, error) {
		if id == "" {
			return false, nil
		}
		column, ok := g.Schema().Lookup("id")
		if !ok {
			return false, nil
		}
		if filter := g.ColumnChunks()[column.ColumnIndex].BloomFilter(); filter != nil {
			has, err := filter.Check(parquet.ValueOf(id))
			return !has, err
		}
		return false, nil
	}
	return read(ctx, v.object(day, "finished"), skip, func(r finishedRow) error {
		if id != "" && r.ID != id {
			return nil
		}
		f, err := r.finished()
		if err != nil {
			return err
		}
		return yield(f)
	})
}

// bounds returns the least and the greatest value of a column in a group of rows, where its index
// has them.
func bounds(g parquet.RowGroup, name string) (low, high parquet.Value, ok bool) {
	column, ok := g.Schema().Lookup(name)
	if !ok {
		return low, high, false
	}
	index, err := g.ColumnChunks()[column.ColumnIndex].ColumnIndex()
	if err != nil || index.NumPages() == 0 {
		return low, high, false
	}
	// Rows come in order of this column, so that the first and the last page bound the group.
	return index.MinValue(0), index.MaxValue(index.NumPages() - 1), true
}

// readRowsMax are the rows that are in memory at a time: bodies are large.
const readRowsMax = 64

// read yields the rows of all groups that skip does not leave out.
func read[R any](ctx context.Context, o object, skip func(parquet.RowGroup) (bool, error), yield func(R) error) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("archive %s: %w", o.name, err)
		}
	}()
	f, size, err := o.in.open(ctx, o.name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	p, err := parquet.OpenFile(f, size)
	if err != nil {
		return err
	}
	for _, g := range p.RowGroups() {
		if isOut, err := skip(g); err != nil || isOut {
			if err != nil {
				return err
			}
			continue
		}
		if err := readGroup(ctx, g, yield); err != nil {
			return err
		}
	}
	return nil
}

func readGroup[R any](ctx context.Context, g parquet.RowGroup, yield func(R) error) (err error) {
	r := parquet.NewGenericRowGroupReader[R](g)
	defer func() { err = errors.Join(err, r.Close()) }()
	for {
		rows := make([]R, readRowsMax)
		n, err := r.Read(rows)
		for _, row := range rows[:n] {
			if err := yield(row); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}

var _ engine.Vault = (*Vault)(nil)
