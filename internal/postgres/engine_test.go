package postgres_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"daybreak/pipeline"
	"daybreak/pipeline/engine"
)

// modes returns modes of so many instances: most buy, some keep, some wait.
func modes(n int) []string {
	var all []string
	for i := range n {
		all = append(all, []string{"buy", "buy", "keep", "later"}[i%4])
	}
	return all
}

func TestEngineRunsThrough(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	records := r.starts(0, modes(40)...)
	r.handle(r.engine(nil), records)
	if got := r.count("SELECT count(*) FROM workflow_finished"); got != 30 {
		t.Errorf("%d instances ended, want 30", got)
	}
	if got := r.count("SELECT count(*) FROM workflow_instance WHERE state = 'waiting' AND node = 'rest'"); got != 10 {
		t.Errorf("%d instances wait, want 10", got)
	}
	want := `i00000 done bought 
  started price 0   null   →  true
  step price 1  {"security":"SEC0"} {"price":"19.25"}  → decide true
  step decide 1  {"mode":"buy","price":"19.25"} {"verdict":"buy"}  → order true
  step order 1 i00000:order {"price":"19.25","security":"SEC0"} {"order":"O-i00000:order"}  → confirm true
  step confirm 1  {"security":"SEC0"} {"price":"19.25"}  → bought true
`
	if got := strings.ReplaceAll(r.outcomes("i00000"), "started price 0     →", "started price 0   null   →"); got != want {
		t.Errorf("trace of i00000:\n%s\nwant\n%s", got, want)
	}
	// Once more, all of it: nothing changes.
	for i := range records {
		records[i].Offset += 40
	}
	r.handle(r.engine(nil), records)
	if got := r.count("SELECT duplicate FROM stream_offset"); got != 40 {
		t.Errorf("%d duplicates after the same records again, want 40", got)
	}
	if got := len(r.effects.asked); got != 20 {
		t.Errorf("%d orders asked for, want 20", got)
	}
}

// stopAt returns a failpoint that stops a run at its n-th point, and the names of those passed.
func stopAt(n int, passed *[]string) func(string) error {
	return func(point string) error {
		*passed = append(*passed, point)
		if len(*passed) == n {
			return errors.New("killed")
		}
		return nil
	}
}

// TestEngineKilledAtEveryPoint stops a run at each point that there is, lets another owner take the
// partition over in batches of another size, and compares with a run that nobody disturbed.
func TestEngineKilledAtEveryPoint(t *testing.T) {
	t.Parallel()
	for _, eachStep := range []bool{true, false} {
		t.Run(fmt.Sprintf("each_step=%v", eachStep), func(t *testing.T) {
			t.Parallel()
			calm := newRig(t)
			calm.handle(calm.engine(func(c *engine.Config) { c.EachStep = eachStep }), calm.starts(0, modes(12)...))
			want := calm.outcomes(ids(calm.starts(0, modes(12)...))...)
			db := calm.db
			var points []string
			for n := 1; ; n++ {
				r := rigOn(t, db, fmt.Sprintf("killed.%d", n))
				if _, err := db.Pool().Exec(t.Context(), "TRUNCATE workflow_finished, workflow_instance, workflow_journal"); err != nil {
					t.Fatal(err)
				}
				var passed []string
				records := r.starts(0, modes(12)...)
				first := r.engine(func(c *engine.Config) { c.EachStep, c.Fail, c.Worker = eachStep, stopAt(n, &passed), "w0" })
				err := first.Handle(t.Context(), r.batch(r.own(0), records))
				r.takeOver(eachStep, records)
				if got := r.outcomes(ids(records)...); got != want {
					t.Fatalf("killed at point %d (%s): outcome\n%s\nwant\n%s", n, passed[len(passed)-1], got, want)
				}
				r.wantEffectsOnce(6)
				if err == nil {
					points = passed
					break
				}
			}
			if len(points) < 8 {
				t.Errorf("only %d points: %v", len(points), points)
			}
		})
	}
}

// takeOver becomes the owner and handles what is left, five records at a time.
func (r *rig) takeOver(eachStep bool, records []pipeline.Record) {
	r.t.Helper()
	at := r.own(0)
	e := r.engine(func(c *engine.Config) { c.EachStep, c.Worker = eachStep, "w2" })
	for part := range slices.Chunk(records[at.Next:], 5) {
		if err := e.Handle(r.t.Context(), r.batch(at, part)); err != nil {
			r.t.Fatalf("next owner from offset %d: %v", at.Next, err)
		}
		at.Next = part[len(part)-1].Offset + 1
	}
}

// wantEffectsOnce checks that each order was placed once, and that none was asked for more often than
// its outcome could be lost.
func (r *rig) wantEffectsOnce(orders int) {
	r.t.Helper()
	if len(r.effects.done) != orders {
		r.t.Errorf("%d orders placed, want %d", len(r.effects.done), orders)
	}
	for key, n := range r.effects.asked {
		if n > 2 {
			r.t.Errorf("order %s was asked for %d times", key, n)
		}
	}
}

func TestEngineZombieWritesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	records := r.starts(0, modes(12)...)
	var passed []string
	isTaken := false
	zombie := r.engine(func(c *engine.Config) {
		c.Worker = "zombie"
		c.Fail = func(point string) error {
			passed = append(passed, point)
			if point == "called" && !isTaken { // it sleeps here, while another owner does it all
				isTaken = true
				r.takeOver(true, records)
			}
			return nil
		}
	})
	err := zombie.Handle(t.Context(), r.batch(r.own(0), records))
	if !errors.Is(err, pipeline.ErrFenced) {
		t.Errorf("Handle(zombie) = %v, want ErrFenced", err)
	}
	if got := r.count("SELECT count(*) FROM workflow_journal WHERE worker = 'zombie'"); got != 0 {
		t.Errorf("the zombie wrote %d lines, want none", got)
	}
	if got := r.count("SELECT count(*) FROM workflow_finished"); got != 9 {
		t.Errorf("%d instances ended, want 9", got)
	}
	for key, n := range r.effects.asked {
		if n != 1 {
			t.Errorf("order %s was asked for %d times, want once", key, n)
		}
	}
}
