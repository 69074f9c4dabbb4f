package postgres_test

import (
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"daybreak/internal/postgres"
	"daybreak/internal/postgres/pgtest"
	"daybreak/market"
	"daybreak/pipeline"
	"daybreak/portfolio"
	"daybreak/sim"
	sample "daybreak/testdata/market"
)

// smallWorld opens a few households of the sample market in a database of its own.
func smallWorld(t *testing.T, households int) *postgres.DB {
	t.Helper()
	db := pgtest.DB(t)
	like := pipeline.MarketFile{Adjustment: sample.Adjustment, Source: sample.Source, Strict: true}
	if _, err := pipeline.ImportFolder(t.Context(), db, sample.Files, like); err != nil {
		t.Fatal(err)
	}
	history, err := db.MarketHistory(t.Context(), worldDay)
	if err != nil {
		t.Fatal(err)
	}
	world, err := sim.NewWorld(sim.WorldSettings{Households: households, Seed: 3, To: worldDay, Years: 3}, history)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := world.Build(t.Context(), db, 2, world.AsOf().Time().Add(24*time.Hour), func(int) {}); err != nil {
		t.Fatal(err)
	}
	return db
}

var worldDay = market.NewDay(2020, 3, 16)

// decided plans every household of a world in a new run, saves that, and returns the plans' hashes.
func decided(t *testing.T, db *postgres.DB) map[portfolio.HouseholdID]string {
	t.Helper()
	snapshot, err := db.MarketSnapshot(t.Context(), worldDay)
	if err != nil {
		t.Fatal(err)
	}
	refs, err := db.HouseholdRefs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var ids []portfolio.HouseholdID
	for _, r := range refs {
		ids = append(ids, r.ID)
	}
	run, err := db.CreateRun(t.Context(), pipeline.Run{Session: worldDay, State: pipeline.RunStarted, Maker: "test", Market: "m", Households: len(ids), Started: time.Now()},
		pipeline.StoredMarket{Hash: "m", Day: worldDay, Body: []byte("m")}, ids)
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := db.LoadHouseholds(t.Context(), run, ids)
	if err != nil {
		t.Fatal(err)
	}
	hashes := map[portfolio.HouseholdID]string{}
	var all []pipeline.Decision
	for _, l := range loaded {
		d, err := pipeline.Decide(run, l, snapshot)
		if err != nil {
			t.Fatal(err)
		}
		if d.Outcome == pipeline.OutcomeParked {
			t.Errorf("household %s is parked: %s", d.Household, d.Detail)
		}
		all, hashes[d.Household] = append(all, d), d.OutputHash
	}
	positions, err := db.Assign(t.Context(), run.ID, "id", []int32{0})
	if err != nil {
		t.Fatal(err)
	}
	batch := pipeline.Batch{Topic: run.ID, Spans: []pipeline.Span{{Next: 1, Epoch: positions[0].Epoch, Applied: 1, LastRecord: time.Now()}}}
	if err := db.SaveDecisions(t.Context(), batch, all, nil); err != nil {
		t.Fatal(err)
	}
	change := pipeline.RunChange{Run: run.ID, From: []pipeline.RunState{pipeline.RunFinished}, To: pipeline.RunCanceled, By: "test", Now: time.Now()}
	if _, err := db.ChangeRun(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	return hashes
}

// TestCheckpointsOfOtherRulesAreRebuilt voids every checkpoint as an upgrade of the rules does: the
// same plans come out, from the beginning, and the next run has checkpoints again.
func TestCheckpointsOfOtherRulesAreRebuilt(t *testing.T) {
	t.Parallel()
	db := smallWorld(t, 12)
	want := decided(t, db)
	if _, err := db.Pool().Exec(t.Context(), "UPDATE tax_checkpoint SET void = true"); err != nil {
		t.Fatal(err)
	}
	for _, when := range []string{"rebuilt", "from the new checkpoints"} {
		got := decided(t, db)
		for id, hash := range want {
			if got[id] != hash {
				t.Errorf("%s: household %s has plan %.8s, want %.8s", when, id, got[id], hash)
			}
		}
		var left int
		if err := db.Pool().QueryRow(t.Context(), "SELECT count(*) FROM tax_checkpoint WHERE NOT void").Scan(&left); err != nil || left != len(want) {
			t.Errorf("%s: %d checkpoints, %v, want %d", when, left, err, len(want))
		}
	}
}

// TestLateEventsVoidCheckpoints closes tax books before, on and after the day of a fill: only those
// that had closed its day are void.
func TestLateEventsVoidCheckpoints(t *testing.T) {
	t.Parallel()
	db := pgtest.DB(t)
	seedBook(t, db.Pool(), 2)
	for version, day := range map[int]market.Day{0: session - 1, 1: session} {
		for _, household := range []string{"H00000", "H00001"} {
			_, err := db.Pool().Exec(t.Context(),
				"INSERT INTO tax_checkpoint (household, version, as_of, rules, body) VALUES ($1, $2, $3, '', '')", household, version, day)
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	s := newStream(t, db)
	s.feed(records(encode(t, filled(0, portfolio.Sell, "1", "10", "9"))), 10)
	rows, err := db.Pool().Query(t.Context(), "SELECT household || version FROM tax_checkpoint WHERE void ORDER BY 1")
	if err != nil {
		t.Fatal(err)
	}
	void, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if want := []string{"H000001"}; err != nil || !slices.Equal(void, want) {
		t.Errorf("a fill of %s voids %v, %v, want %v", session, void, err, want)
	}
}
