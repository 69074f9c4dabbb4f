package main

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"daybreak/internal/postgres"
	"daybreak/market"
	"daybreak/pipeline"
	"daybreak/sim"
	sample "daybreak/testdata/market"
)

// The sample's day and the users of its world. The day is the session after which the sample's
// prices fell most.
const (
	sampleSeed    = 1
	sampleYears   = 3
	userManager   = "ana" // approves
	userSubmitter = "ben" // sends
	faultsPPM     = 20_000
	directPPM     = 100_000
	sampleSource  = "ECB reference rates"
)

var sampleDay = market.NewDay(2020, 3, 16)

// importSample writes the sample market that the binary carries; a second time it changes nothing.
func importSample(ctx context.Context, db *postgres.DB) error {
	like := pipeline.MarketFile{Adjustment: sample.Adjustment, Source: sample.Source, Strict: true}
	_, err := pipeline.ImportFolder(ctx, db, sample.Files, like)
	return err
}

// sampleHouseholds is the size of the sample world where nobody says another.
const sampleHouseholds = 300

// sampleLead is how long before its run the clock of a new sample installation starts: on the evening
// before, so that people may start the run themselves.
const sampleLead = 15 * time.Hour

// fillEmptyBook gives a book with nothing in it the sample market, a sample world and its clock.
func (a *app) fillEmptyBook(ctx context.Context, place *installation, households int) error {
	db, err := postgres.Open(ctx, place.DSN, a.settings.Connections)
	if err != nil {
		return err
	}
	defer db.Close()
	if isEmpty, err := db.IsEmptyBook(ctx); err != nil || !isEmpty {
		return err
	}
	fmt.Fprintf(a.errOut, "making a sample world of %d households\n", households)
	if err := importSample(ctx, db); err != nil {
		return err
	}
	if _, err := a.buildSampleWorld(ctx, db, households); err != nil {
		return err
	}
	return a.setSampleClock(ctx, db, sampleDay)
}

// setSampleClock makes the clock of an installation show the evening before a session, unless it has
// such a clock already.
func (a *app) setSampleClock(ctx context.Context, db *postgres.DB, session market.Day) error {
	const earlyMorning = 6 * time.Hour // in UTC: before any exchange opens
	first, err := pipeline.NextRun(session.Time().Add(earlyMorning))
	if err != nil {
		return err
	}
	return db.SetSampleClock(ctx, a.now(), first.Starts.Add(-sampleLead))
}

// buildSampleWorld makes the sample's households in the book and returns what they are.
func (a *app) buildSampleWorld(ctx context.Context, db *postgres.DB, households int) (sim.WorldSummary, error) {
	history, err := db.MarketHistory(ctx, sampleDay)
	if err != nil {
		return sim.WorldSummary{}, err
	}
	world, err := sim.NewWorld(sim.WorldSettings{
		Households: households, Seed: sampleSeed, To: sampleDay, Years: sampleYears, FaultsPPM: faultsPPM, DirectPPM: directPPM,
	}, history)
	if err != nil {
		return sim.WorldSummary{}, err
	}
	progress := a.newProgress("households")
	defer progress.end()
	return world.Build(ctx, db, runtime.GOMAXPROCS(0), world.AsOf().Time().Add(24*time.Hour), func(done int) {
		progress.show(int64(done), int64(households), "living through the years")
	})
}
