package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"daybreak/market"
	"daybreak/pipeline"
)

// ArchiveReader is an InspectStore that also knows what was archived.
type ArchiveReader interface {
	InspectStore
	ArchivedDays(ctx context.Context) ([]ArchivedDay, error)
}

// Archived reads days that the database has no longer from their files, as if they were there.
type Archived struct {
	ArchiveReader
	Open func(place string) (Vault, error)
}

// FinishedByID implements InspectStore: of the database, else of the newest archived day that has it.
func (a Archived) FinishedByID(ctx context.Context, id string) (Finished, error) {
	f, err := a.ArchiveReader.FinishedByID(ctx, id)
	if !errors.Is(err, pipeline.ErrNotFound) {
		return f, err
	}
	days, daysErr := a.ArchivedDays(ctx)
	if daysErr != nil {
		return f, daysErr
	}
	for _, d := range days {
		if d.State != ArchiveDropped || d.Finished == 0 {
			continue
		}
		found := false
		if err := a.each(ctx, d, id, func(one Finished) { f, found = one, true }); err != nil || found {
			return f, err
		}
	}
	return f, err
}

func (a Archived) each(ctx context.Context, d ArchivedDay, id string, yield func(Finished)) error {
	vault, err := a.Open(d.Place)
	if err != nil {
		return err
	}
	if err := vault.EachFinished(ctx, d.Day, id, func(f Finished) error { yield(f); return nil }); err != nil {
		return fmt.Errorf("archived day %s: %w", d.Day, err)
	}
	return nil
}

// LinesOf implements InspectStore, with the lines that were archived.
func (a Archived) LinesOf(ctx context.Context, batches []int64) ([]Line, error) {
	lines, err := a.ArchiveReader.LinesOf(ctx, batches)
	if err != nil || len(batches) == 0 {
		return lines, err
	}
	days, err := a.ArchivedDays(ctx)
	if err != nil {
		return nil, err
	}
	for _, d := range days {
		isIn := func(b int64) bool { return d.FirstBatch <= b && b <= d.LastBatch }
		if d.State != ArchiveDropped || !slices.ContainsFunc(batches, isIn) {
			continue
		}
		vault, err := a.Open(d.Place)
		if err != nil {
			return nil, err
		}
		err = vault.EachLine(ctx, d.Day, batches, func(l ArchivedLine) error { lines = append(lines, l.Line); return nil })
		if err != nil {
			return nil, fmt.Errorf("archived day %s: %w", d.Day, err)
		}
	}
	slices.SortFunc(lines, func(x, y Line) int { return cmp.Or(cmp.Compare(x.Batch, y.Batch), cmp.Compare(x.Line, y.Line)) })
	return lines, nil
}

// EndedOn yields how instances of a household, or of all where it is empty, ended on an archived day;
// it reports false for a day that is not dropped from the database.
func (a Archived) EndedOn(ctx context.Context, day market.Day, household string, yield func(Finished)) (bool, error) {
	days, err := a.ArchivedDays(ctx)
	if err != nil {
		return false, err
	}
	at := slices.IndexFunc(days, func(d ArchivedDay) bool { return d.Day == day && d.State == ArchiveDropped })
	if at < 0 {
		return false, nil
	}
	return true, a.each(ctx, days[at], "", func(f Finished) {
		if household == "" || f.Household == household {
			yield(f)
		}
	})
}
