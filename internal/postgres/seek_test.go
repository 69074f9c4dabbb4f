package postgres_test

import (
	"errors"
	"testing"
	"time"

	"daybreak/internal/postgres"
	"daybreak/internal/postgres/pgtest"
	"daybreak/pipeline"
)

func placesOf(t testing.TB, db *postgres.DB) []pipeline.StreamPlace {
	t.Helper()
	places, err := db.StreamPlaces(t.Context(), pipeline.TopicFills)
	if err != nil {
		t.Fatal(err)
	}
	return places
}

// TestRewindChangesNothing reads a day again: the owner is fenced, the book stays as it was, and every
// record that was applied, held or dead is counted as a duplicate.
func TestRewindChangesNothing(t *testing.T) {
	t.Parallel()
	pool := pgtest.Schema(t)
	seedBook(t, pool, 4)
	db := postgres.New(pool)
	s := newStream(t, db)
	all := records(eventful(t))
	s.feed(all, 7)
	before := bookText(t, pool)
	book := bookAlone(t, pool)
	for round, to := range []int64{0, 5} {
		moves, err := pipeline.SeekMoves(placesOf(t, db), map[int32]int64{0: to}, nil, true)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.PreviewSeek(t.Context(), moves); err != nil {
			t.Fatal(err)
		}
		if m := moves[0]; m.Records != int64(len(all))-to || m.Applied+m.Held+m.Dead+m.New != m.Records || to == 0 && m.New != 1 {
			t.Errorf("PreviewSeek(%d) = %+v, want every record, and one that is neither applied, held nor dead", to, m)
		}
		if text := bookText(t, pool); round == 0 && text != before {
			t.Errorf("a preview left\n%s\nwant\n%s", text, before)
		}
		if err := db.Seek(t.Context(), "stream.seek", pipeline.Seek{Topic: pipeline.TopicFills, Moves: moves, By: "ana", Why: "test", Now: time.Unix(1, 0)}); err != nil {
			t.Fatal(err)
		}
		wantEnds(t, db)
		late := s.batch(all[:1])
		if err := s.handler.Handle(t.Context(), late); !errors.Is(err, pipeline.ErrFenced) {
			t.Errorf("Handle by the owner before the seek = %v, want ErrFenced", err)
		}
		s.assign()
		if s.at.Next != to {
			t.Fatalf("the next owner goes on from %d, want %d", s.at.Next, to)
		}
		s.feed(all, 3)
		if got := bookAlone(t, pool); got != book {
			t.Errorf("records again from %d left\n%s\nwant\n%s", to, got, book)
		}
		wantEnds(t, db)
	}
	var applied, duplicate, dead, letters int64
	err := pool.QueryRow(t.Context(), `SELECT applied, duplicate, dead, (SELECT count(*) FROM dead_letter) FROM stream_offset`).Scan(&applied, &duplicate, &dead, &letters)
	if err != nil || duplicate != int64(2*len(all)-5)+1 || dead != letters {
		t.Errorf("after two rewinds: %d applied, %d duplicate, %d dead, %d letters, %v, want all that was read again as duplicates", applied, duplicate, dead, letters, err)
	}
	if checks, err := db.Verify(t.Context()); err != nil {
		t.Error(err)
	} else {
		for _, c := range checks {
			if c.Invariant[:2] == "12" && !c.OK {
				t.Errorf("audit: %v", c.Broken)
			}
		}
	}
}

func TestSeekSkipsNothing(t *testing.T) {
	t.Parallel()
	places := []pipeline.StreamPlace{{Topic: "t", Partition: 1, Next: 10}, {Topic: "t", Partition: 2, Next: 10}}
	ends := map[int32]pipeline.TopicEnd{1: {Start: 3, End: 12}, 2: {Start: 0, End: 10}}
	for _, c := range []struct {
		name    string
		targets map[int32]int64
		exact   bool
		want    []int64 // targets of the moves; nil for an error
	}{
		{"back", map[int32]int64{1: 5}, true, []int64{5}},
		{"the first that is there", map[int32]int64{1: 3}, true, []int64{3}},
		{"what is gone", map[int32]int64{1: 2}, true, nil},
		{"the next", map[int32]int64{1: 10}, true, []int64{10}},
		{"beyond", map[int32]int64{1: 11}, true, nil},
		{"never read", map[int32]int64{3: 0}, true, nil},
		{"a time, some behind it", map[int32]int64{1: 1, 2: 10}, false, []int64{3}},
		{"a time to come", map[int32]int64{1: 12, 2: 12}, false, []int64{}},
	} {
		moves, err := pipeline.SeekMoves(places, c.targets, ends, c.exact)
		if (err != nil) != (c.want == nil) || len(moves) != len(c.want) {
			t.Errorf("SeekMoves(%s) = %v, %v, want %v", c.name, moves, err, c.want)
			continue
		}
		for i, m := range moves {
			if m.To != c.want[i] {
				t.Errorf("SeekMoves(%s) = %v, want %v", c.name, moves, c.want)
			}
		}
	}
}
