package engine

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"time"

	"daybreak/market"
	"daybreak/pipeline"
)

// States of an archived day: its files are there; they were read back and are what the database has;
// the database has it no longer; it was brought back.
const (
	ArchiveWritten  = "written"
	ArchiveVerified = "verified"
	ArchiveDropped  = "dropped"
	ArchiveRestored = "restored"
)

// ErrArchiveDiffers is returned where the files of a day are not what the database has or had.
var ErrArchiveDiffers = errors.New("the archive differs from the database")

// ArchivedDay is a day of the journal that is kept as files.
type ArchivedDay struct {
	Day        market.Day `json:"day"`
	Place      string     `json:"place"`
	State      string     `json:"state"`
	Lines      int64      `json:"lines"`
	Finished   int64      `json:"finished"`
	Hash       string     `json:"hash"`
	FirstBatch int64      `json:"first_batch"`
	LastBatch  int64      `json:"last_batch"`
	Actor      string     `json:"actor"`
	Changed    time.Time  `json:"changed"`
}

// sameRows reports whether two days have the same rows.
func (d ArchivedDay) sameRows(o ArchivedDay) bool {
	return d.Lines == o.Lines && d.Finished == o.Finished && d.Hash == o.Hash
}

// ArchivedLine is a line of the journal with the partition whose batch made it.
type ArchivedLine struct {
	Line
	Topic     string
	Partition int32
}

// DayRows are the rows of one day: lines in order of batch and line, then how instances ended in
// order of id by byte.
type DayRows interface {
	EachLine(ctx context.Context, day market.Day, batches []int64, yield func(ArchivedLine) error) error
	EachFinished(ctx context.Context, day market.Day, id string, yield func(Finished) error) error
}

// Vault keeps days as files. Of lines it yields those of batches, all where nil; of instances the one
// of id, all where empty.
type Vault interface {
	DayRows
	Place() string
	WriteLines(ctx context.Context, day market.Day, each func(func(ArchivedLine) error) error) error
	WriteFinished(ctx context.Context, day market.Day, each func(func(Finished) error) error) error
}

// ArchiveStore is the database that days are archived from.
type ArchiveStore interface {
	DayRows
	// ArchivedDays returns every day that was ever archived, the newest first.
	ArchivedDays(ctx context.Context) ([]ArchivedDay, error)
	// StoredDays returns the days before one that the database has, the oldest first.
	StoredDays(ctx context.Context, before market.Day) ([]market.Day, error)
	// NoteArchived stores how far a day has come.
	NoteArchived(ctx context.Context, d ArchivedDay) error
	// DropDay drops a verified day in one transaction. ErrState, wrapped, is for one that is not
	// verified or that a crashed batch still needs; ErrArchiveDiffers for one with other rows by now.
	DropDay(ctx context.Context, d ArchivedDay) error
	// RestoreDay inserts the rows of a day in one transaction; ErrArchiveDiffers where the day is then
	// not what d says.
	RestoreDay(ctx context.Context, d ArchivedDay, from DayRows) error
}

// Digest is the content of a day as a hash: equal for equal rows in equal order.
type Digest struct {
	day ArchivedDay
	sum hash.Hash
}

// NewDigest returns the digest of a day without rows.
func NewDigest(day market.Day) *Digest {
	return &Digest{day: ArchivedDay{Day: day, LastBatch: -1}, sum: sha256.New()}
}

func (d *Digest) text(s string) {
	d.number(int64(len(s)))
	d.sum.Write([]byte(s))
}

func (d *Digest) number(n ...int64) {
	for _, v := range n {
		d.sum.Write(binary.BigEndian.AppendUint64(nil, uint64(v)))
	}
}

// Line adds a line.
func (d *Digest) Line(l ArchivedLine) {
	if d.day.Lines == 0 {
		d.day.FirstBatch = l.Batch
	}
	d.day.Lines, d.day.LastBatch = d.day.Lines+1, l.Batch
	d.number('L', int64(l.Day), l.Batch, int64(l.Line.Line), int64(l.Partition), l.LastOffset, int64(l.Definition), l.At.UnixMicro(), int64(l.Instances))
	d.text(l.Topic)
	d.text(l.Worker)
	d.number(int64(len(l.Body)))
	d.sum.Write(l.Body)
}

// Finished adds how an instance ended.
func (d *Digest) Finished(f Finished) {
	d.day.Finished++
	d.number('F', int64(f.Day), int64(f.Definition), f.Started.UnixMicro(), f.Finished.UnixMicro())
	for _, s := range []string{f.ID, f.Household, f.State, f.Node} {
		d.text(s)
	}
	for _, numbers := range [][]int64{f.Batches, f.Acts} {
		d.number(int64(len(numbers)))
		d.number(numbers...)
	}
}

// Sum returns counts and hash of all that was added.
func (d *Digest) Sum() ArchivedDay {
	sum := d.day
	sum.Hash = hex.EncodeToString(d.sum.Sum(nil))
	return sum
}

// DigestOf reads all rows of a day.
func DigestOf(ctx context.Context, rows DayRows, day market.Day) (ArchivedDay, error) {
	d := NewDigest(day)
	err := rows.EachLine(ctx, day, nil, func(l ArchivedLine) error { d.Line(l); return nil })
	if err == nil {
		err = rows.EachFinished(ctx, day, "", func(f Finished) error { d.Finished(f); return nil })
	}
	return d.Sum(), err
}

// Archiver moves ended days of the journal from the database into a vault, and back. Each step leaves
// a state that the next call goes on from.
type Archiver struct {
	Store ArchiveStore
	Open  func(place string) (Vault, error)
	Now   func() time.Time
	Actor string
	Show  func(done, total int64, note string) // progress in days
}

// restoredDays is for how long a day that was brought back stays in the database.
const restoredDays = 7

// Pending returns the days before one that Run would archive, the oldest first.
func (a *Archiver) Pending(ctx context.Context, before market.Day) ([]market.Day, error) {
	stored, err := a.Store.StoredDays(ctx, before)
	if err != nil {
		return nil, err
	}
	known, err := a.byDay(ctx)
	if err != nil {
		return nil, err
	}
	var days []market.Day
	for _, day := range stored {
		if d := known[day]; d.State != ArchiveRestored || a.Now().Sub(d.Changed) >= restoredDays*24*time.Hour {
			days = append(days, day)
		}
	}
	return days, nil
}

func (a *Archiver) byDay(ctx context.Context) (map[market.Day]ArchivedDay, error) {
	all, err := a.Store.ArchivedDays(ctx)
	days := map[market.Day]ArchivedDay{}
	for _, d := range all {
		days[d.Day] = d
	}
	return days, err
}

// Run archives the days before one into the vault at place: written, read back, dropped. It stops at
// the first day that fails and returns those that are done.
func (a *Archiver) Run(ctx context.Context, before market.Day, place string) ([]ArchivedDay, error) {
	pending, err := a.Pending(ctx, before)
	if err != nil || len(pending) == 0 {
		return nil, err
	}
	known, err := a.byDay(ctx)
	if err != nil {
		return nil, err
	}
	var done []ArchivedDay
	for i, day := range pending {
		a.Show(int64(i), int64(len(pending)), day.String())
		d, err := a.move(ctx, day, known[day], place)
		if err != nil {
			return done, fmt.Errorf("archive %s: %w", day, err)
		}
		done = append(done, d)
	}
	a.Show(int64(len(pending)), int64(len(pending)), "archived")
	return done, nil
}

// move brings one day from the state that it has to dropped.
func (a *Archiver) move(ctx context.Context, day market.Day, d ArchivedDay, place string) (ArchivedDay, error) {
	if d.State == ArchiveDropped {
		// Its files are the only copy of what it was: rows that came since must not replace them.
		return d, fmt.Errorf("rows came after it was dropped; restore it first: %w", pipeline.ErrState)
	}
	var err error
	if d.State != ArchiveVerified {
		if d, err = a.write(ctx, day, place); err != nil {
			return d, err
		}
	}
	// Again even for a verified one: between then and now its files may have gone.
	if d, err = a.Verify(ctx, d); err != nil {
		return d, err
	}
	err = a.Store.DropDay(ctx, d)
	if errors.Is(err, ErrArchiveDiffers) {
		return d, errors.Join(err, a.note(ctx, &d, ArchiveWritten)) // the next run writes it anew
	}
	d.State = ArchiveDropped
	return d, err
}

// write stores the files of a day and notes what they should have.
func (a *Archiver) write(ctx context.Context, day market.Day, place string) (ArchivedDay, error) {
	vault, err := a.Open(place)
	if err != nil {
		return ArchivedDay{}, err
	}
	digest := NewDigest(day)
	err = vault.WriteLines(ctx, day, func(put func(ArchivedLine) error) error {
		return a.Store.EachLine(ctx, day, nil, func(l ArchivedLine) error { digest.Line(l); return put(l) })
	})
	if err == nil {
		err = vault.WriteFinished(ctx, day, func(put func(Finished) error) error {
			return a.Store.EachFinished(ctx, day, "", func(f Finished) error { digest.Finished(f); return put(f) })
		})
	}
	if err != nil {
		return ArchivedDay{}, err
	}
	d := digest.Sum()
	d.Place = vault.Place()
	return d, a.note(ctx, &d, ArchiveWritten)
}

func (a *Archiver) note(ctx context.Context, d *ArchivedDay, state string) error {
	d.State, d.Actor, d.Changed = state, a.Actor, a.Now()
	return a.Store.NoteArchived(ctx, *d)
}

// Verify reads the files of a day and compares them with what was recorded when they were written. A
// day that was only written is verified then. It returns ErrArchiveDiffers where they are not equal.
func (a *Archiver) Verify(ctx context.Context, d ArchivedDay) (ArchivedDay, error) {
	vault, err := a.Open(d.Place)
	if err != nil {
		return d, err
	}
	found, err := DigestOf(ctx, vault, d.Day)
	if err != nil {
		return d, err
	}
	if !found.sameRows(d) {
		return d, fmt.Errorf("%s has %d lines, %d instances, hash %.12s, recorded are %d, %d, %.12s: %w", d.Place,
			found.Lines, found.Finished, found.Hash, d.Lines, d.Finished, d.Hash, ErrArchiveDiffers)
	}
	if d.State != ArchiveWritten {
		return d, nil
	}
	return d, a.note(ctx, &d, ArchiveVerified)
}

// Restore brings a dropped day back into the database, for a week at least. Its files stay.
func (a *Archiver) Restore(ctx context.Context, day market.Day) (ArchivedDay, error) {
	known, err := a.byDay(ctx)
	if err != nil {
		return ArchivedDay{}, err
	}
	d, ok := known[day]
	switch {
	case !ok:
		return d, fmt.Errorf("day %s: not in the archive: %w", day, pipeline.ErrNotFound)
	case d.State != ArchiveDropped:
		return d, fmt.Errorf("day %s is in the database: %w", day, pipeline.ErrState)
	}
	vault, err := a.Open(d.Place)
	if err != nil {
		return d, err
	}
	d.State, d.Actor, d.Changed = ArchiveRestored, a.Actor, a.Now()
	if err := a.Store.RestoreDay(ctx, d, vault); err != nil {
		return d, fmt.Errorf("restore %s: %w", day, err)
	}
	return d, nil
}
