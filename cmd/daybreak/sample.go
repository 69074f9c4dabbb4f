package main

import (
	"context"
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

// buildSampleWorld makes the sample's households in the book and returns how many they are.
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
