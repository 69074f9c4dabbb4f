package postgres_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"daybreak/internal/archive"
	"daybreak/market"
	"daybreak/pipeline"
	"daybreak/pipeline/engine"
	"daybreak/workflow"
)

// archiverOf returns an archiver of the rig and the directory that it archives to.
func archiverOf(r *rig) (*engine.Archiver, func(string) (engine.Vault, error), string) {
	open := func(place string) (engine.Vault, error) { return archive.Open(place, archive.Endpoint{}) }
	return &engine.Archiver{Store: r.db, Open: open, Now: r.clock.now, Actor: "ana", Show: func(int64, int64, string) {}}, open, r.t.TempDir()
}

// trace returns the steps of an instance as they are shown, with its archive.
func (r *rig) trace(open func(string) (engine.Vault, error), id string) engine.Trace {
	r.t.Helper()
	t, err := engine.NewInspector(engine.Archived{ArchiveReader: r.db, Open: open}, r.registry, workflow.Functions{}).Show(r.t.Context(), id)
	if err != nil {
		r.t.Fatalf("Show(%s) = %v", id, err)
	}
	return t
}

func TestArchiveAndRestore(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.handle(r.engine(nil), r.starts(0, modes(40)...))
	archiver, open, dir := archiverOf(r)
	day := market.DayOf(r.clock.read())
	before := r.trace(open, "i00000")
	waiting := r.trace(open, "i00002")

	done, err := archiver.Run(t.Context(), day+1, dir)
	if err != nil || len(done) != 1 || done[0].State != engine.ArchiveDropped || done[0].Finished != 30 {
		t.Fatalf("Run = %+v, %v, want one day dropped with 30 instances", done, err)
	}
	if got := r.count("SELECT count(*) FROM pg_inherits WHERE inhparent IN ('workflow_journal'::regclass, 'workflow_finished'::regclass)"); got != 0 {
		t.Errorf("%d partitions after the drop, want 0", got)
	}
	for id, want := range map[string]engine.Trace{"i00000": before, "i00002": waiting} {
		if got := r.trace(open, id); len(got.Steps) == 0 || len(got.Steps) != len(want.Steps) || got.State != want.State || !got.Started.Equal(want.Started) {
			t.Errorf("Show(%s) of an archived day = %+v, want %+v", id, got, want)
		}
	}
	var ended int
	isArchived, err := engine.Archived{ArchiveReader: r.db, Open: open}.EndedOn(t.Context(), day, "", func(engine.Finished) { ended++ })
	if err != nil || !isArchived || ended != 30 {
		t.Errorf("EndedOn(%s) = %v, %v with %d, want 30 of the archive", day, isArchived, err, ended)
	}
	back, err := archiver.Restore(t.Context(), day)
	if err != nil || back.State != engine.ArchiveRestored {
		t.Fatalf("Restore(%s) = %+v, %v", day, back, err)
	}
	if found, err := engine.DigestOf(t.Context(), r.db, day); err != nil || found.Hash != done[0].Hash {
		t.Errorf("the day restored has hash %s, %v, want %s", found.Hash, err, done[0].Hash)
	}
	if pending, err := archiver.Pending(t.Context(), day+1); err != nil || len(pending) != 0 {
		t.Errorf("Pending after a restore = %v, %v, want none for a week", pending, err)
	}
	r.clock.turn(8 * 24 * time.Hour)
	if again, err := archiver.Run(t.Context(), day+1, dir); err != nil || len(again) != 1 || again[0].Hash != done[0].Hash {
		t.Errorf("Run a week later = %+v, %v, want the same day again", again, err)
	}
}

// cutStore fails at its n-th act, as a process that is killed there.
type cutStore struct {
	*archiveCuts
	engine.ArchiveStore
}

type archiveCuts struct{ left int }

var errCut = errors.New("killed")

func (c *archiveCuts) pass() error {
	if c.left--; c.left < 0 {
		return errCut
	}
	return nil
}

func (s cutStore) NoteArchived(ctx context.Context, d engine.ArchivedDay) error {
	if err := s.pass(); err != nil {
		return err
	}
	if err := s.ArchiveStore.NoteArchived(ctx, d); err != nil {
		return err
	}
	return s.pass()
}

func (s cutStore) DropDay(ctx context.Context, d engine.ArchivedDay) error {
	if err := s.pass(); err != nil {
		return err
	}
	if err := s.ArchiveStore.DropDay(ctx, d); err != nil {
		return err
	}
	return s.pass()
}

func TestArchiveKilledBetweenSteps(t *testing.T) {
	t.Parallel()
	for point := range 6 { // before and after each of: written, verified, dropped
		r := newRig(t)
		r.handle(r.engine(nil), r.starts(0, modes(8)...))
		archiver, open, dir := archiverOf(r)
		day := market.DayOf(r.clock.read())
		want, err := engine.DigestOf(t.Context(), r.db, day)
		if err != nil {
			t.Fatal(err)
		}
		cut := *archiver
		cut.Store = cutStore{&archiveCuts{left: point}, r.db}
		if _, err := cut.Run(t.Context(), day+1, dir); !errors.Is(err, errCut) {
			t.Fatalf("Run killed at %d = %v, want %v", point, err, errCut)
		}
		if _, err := archiver.Run(t.Context(), day+1, dir); err != nil {
			t.Fatalf("Run after a kill at %d = %v", point, err)
		}
		vault, err := open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := engine.DigestOf(t.Context(), vault, day); err != nil || got.Hash != want.Hash {
			t.Errorf("killed at %d the archive has hash %s, %v, want %s", point, got.Hash, err, want.Hash)
		}
	}
}

func TestArchiveDropsOnlyWhatIsVerified(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.handle(r.engine(nil), r.starts(0, modes(8)...))
	archiver, _, dir := archiverOf(r)
	day := market.DayOf(r.clock.read())
	cut := *archiver
	cut.Store = cutStore{&archiveCuts{left: 2}, r.db} // written, and no further
	if _, err := cut.Run(t.Context(), day+1, dir); !errors.Is(err, errCut) {
		t.Fatalf("Run killed when written = %v", err)
	}
	days, err := r.db.ArchivedDays(t.Context())
	if err != nil || len(days) != 1 || days[0].State != engine.ArchiveWritten {
		t.Fatalf("ArchivedDays = %+v, %v, want one that is written", days, err)
	}
	if err := r.db.DropDay(t.Context(), days[0]); !errors.Is(err, pipeline.ErrState) {
		t.Errorf("DropDay(written) = %v, want ErrState", err)
	}
	verified, err := archiver.Verify(t.Context(), days[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.db.Pool().Exec(t.Context(), "UPDATE workflow_finished SET node = 'kept' WHERE id = 'i00000'"); err != nil {
		t.Fatal(err)
	}
	if err := r.db.DropDay(t.Context(), verified); !errors.Is(err, engine.ErrArchiveDiffers) {
		t.Errorf("DropDay(a day that changed) = %v, want ErrArchiveDiffers", err)
	}
	name := filepath.Join(dir, day.String(), "finished.parquet")
	if err := os.Truncate(name, 100); err != nil {
		t.Fatal(err)
	}
	if _, err := archiver.Verify(t.Context(), verified); err == nil {
		t.Error("Verify(a file cut short) = nil, want an error")
	}
}
