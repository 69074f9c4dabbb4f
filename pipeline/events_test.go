package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"daybreak/fills"
	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/region"
)

// eventShelf is an EventBook in memory: H1 is sound, H2 lacks its rules, which panics.
type eventShelf struct{ saved EventChanges }

func (b *eventShelf) UpdateEvents(_ context.Context, _ []IncomingEvent, decide func(EventLoad) (EventChanges, error)) error {
	rules, err := region.Load("CA")
	if err != nil {
		return err
	}
	load := EventLoad{States: map[portfolio.HouseholdID]*fills.State{}, Seen: map[string]string{}}
	for id, r := range map[portfolio.HouseholdID]*region.Rules{"H1": rules, "H2": nil} {
		s := fills.NewState(id, r)
		s.Accounts["A1"] = fills.Account{ID: "A1", Owner: "O1", Type: "taxable", Currency: "CAD"}
		load.States[id] = s
	}
	b.saved, err = decide(load)
	return err
}

func (b *eventShelf) RehearseEvents(ctx context.Context, in []IncomingEvent, decide func(EventLoad) (EventChanges, error)) error {
	return b.UpdateEvents(ctx, in, decide)
}

// plainEvents reads JSON; "away" stands for a registry that does not answer.
type plainEvents struct{}

func (plainEvents) Decode(value []byte) (EventMessage, error) {
	if string(value) == "away" {
		return EventMessage{}, errors.New("registry is away")
	}
	var m EventMessage
	if err := json.Unmarshal(value, &m); err != nil {
		return m, &BadRecord{Reason: "BAD_AVRO", Detail: err.Error()}
	}
	return m, nil
}

func dripOf(household portfolio.HouseholdID, id string) []byte {
	b, err := json.Marshal(EventMessage{Event: &fills.Event{Source: "test", ID: id, Kind: fills.EventDrip, Household: household, Account: "A1", Symbol: "AAA",
		Shares: money.One, Amount: money.FromInt(10), Currency: "CAD", Effective: market.MustDay("2020-03-16")}})
	if err != nil {
		panic(err)
	}
	return b
}

func eventBatch(values ...[]byte) Batch {
	b := Batch{Topic: TopicEvents, Spans: []Span{{Next: int64(len(values))}}}
	for i, v := range values {
		b.Records = append(b.Records, Record{Topic: TopicEvents, Offset: int64(i), Value: v})
	}
	return b
}

func TestEventsThatPanicLeaveTheOthersAlone(t *testing.T) {
	book := &eventShelf{}
	h := NewEvents(book, plainEvents{}, func() time.Time { return time.Unix(1, 0) }, slog.New(slog.DiscardHandler))
	batch := eventBatch(dripOf("H2", "P1"), dripOf("H1", "P2"), []byte("poison"), dripOf("H1", "P2"), dripOf("H3", "P3"))
	if err := h.Handle(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, d := range book.saved.Dead {
		got += fmt.Sprintf("%d=%s ", d.Record.Offset, d.Reason)
	}
	if want := "2=BAD_AVRO 0=PANIC 4=UNKNOWN_ACCOUNT "; got != want {
		t.Errorf("dead letters are %s, want %s", got, want)
	}
	span := book.saved.Batch.Spans[0]
	if span.Applied != 1 || span.Duplicate != 1 || span.Dead != 3 || len(book.saved.Applied) != 1 {
		t.Errorf("the batch counts %+v with %d applied, want 1 applied, 1 duplicate, 3 dead", span, len(book.saved.Applied))
	}
}

func TestEventsWaitForTheRegistry(t *testing.T) {
	book := &eventShelf{}
	h := NewEvents(book, plainEvents{}, time.Now, slog.New(slog.DiscardHandler))
	if err := h.Handle(t.Context(), eventBatch(dripOf("H1", "P1"), []byte("away"))); err == nil || len(book.saved.Applied) != 0 {
		t.Errorf("Handle without a registry = %v with %d applied, want an error and nothing saved", err, len(book.saved.Applied))
	}
}
