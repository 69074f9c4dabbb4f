package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"daybreak/internal/postgres"
	"daybreak/orders"
	"daybreak/pipeline"
)

// silent is a brokerage that takes orders and reports nothing.
type silent struct{}

func (silent) Send(context.Context, []pipeline.BrokerOrder) error { return nil }

// atTheBroker has the orders of a run approved, submitted and sent to a brokerage that reports
// nothing, and returns the book.
func atTheBroker(t *testing.T, data, run string) *postgres.DB {
	t.Helper()
	daybreak(t, data, exitOK, "order", "approve", "--run", run, "--as", "ana")
	daybreak(t, data, exitOK, "order", "submit", "--run", run, "--as", "ben")
	dsn, _ := where(t, data)
	db, err := postgres.Open(t.Context(), dsn, 8)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	gateway := pipeline.Gateway{Book: db, Broker: silent{}, Limits: orders.DefaultLimits, Log: slog.New(slog.DiscardHandler)}
	go func() { defer close(ended); _ = gateway.Run(ctx) }()
	for due := 1; due > 0; {
		if err := db.Pool().QueryRow(t.Context(), `SELECT count(*) FROM gateway_due`).Scan(&due); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	<-ended
	return db
}

// TestFillsLeaveTheOraclesBook kills consumers at random points of a stream with everything in it:
// duplicates, late records, corrections before and after their trades, busts, poison, unknown
// accounts. The book is the oracle's, every invariant holds, and the dead letters are what nobody
// can apply.
func TestFillsLeaveTheOraclesBook(t *testing.T) {
	t.Parallel()
	data := sampleWorld(t, 80)
	worker := start(t, data, "serve", "worker")
	daybreak(t, data, exitExceptions, "run", "start", "--date", "2020-03-16", "--wait")
	_ = worker.Process.Signal(syscall.SIGTERM)
	db := atTheBroker(t, data, "2020-03-16.1")

	stream := start(t, data, "sim", "fills", "--seed", "7", "--check", "--rate", "800", "--duplicates", "0.05", "--late", "0.05",
		"--corrections", "0.05", "--early", "0.03", "--busts", "0.03", "--poison", "0.02", "--unknown", "0.01", "--window", "300", "-o", "json")
	kills := 0
	consumer := start(t, data, "serve", "fills", "--instance", "one")
	for at := int64(0); kills < 5; kills++ {
		at += 50 + rand.Int64N(150)
		waitFor(t, consumer, func() bool {
			count, err := db.StreamCounts(t.Context(), pipeline.TopicFills)
			return err == nil && count.All() >= at || isOver(stream)
		})
		if isOver(stream) {
			break
		}
		_ = consumer.Process.Signal(syscall.SIGKILL)
		<-consumer.ended
		consumer = start(t, data, "serve", "fills", "--instance", "one")
	}
	waitFor(t, consumer, func() bool { return isOver(stream) })
	if code := stream.ProcessState.ExitCode(); code != exitOK {
		t.Errorf("sim fills --check = %d, want %d\n%s%s", code, exitOK, &stream.out, &stream.errOut)
	}
	var report simFillsReport
	if err := json.Unmarshal(stream.out.Bytes(), &report); err != nil {
		t.Fatalf("%v in %s", err, &stream.out)
	}
	if !report.Checked || report.Duplicates == 0 || report.Poison == 0 || report.Dead <= report.Poison || kills == 0 {
		t.Errorf("%d kills, a stream of %+v: want some of everything", kills, report)
	}
	checks, _ := daybreak(t, data, exitOK, "verify")
	if strings.Contains(checks, "BROKEN") {
		t.Errorf("verify says\n%s", checks)
	}
}

func isOver(p *process) bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}
