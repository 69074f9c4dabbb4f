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
	"daybreak/orders"
	"daybreak/portfolio"
	"daybreak/region"
)

// errRegistry is a registry of schemas that does not answer.
var errRegistry = errors.New("no answer")

// textCodec writes executions as JSON; what an "unknown" schema wrote cannot be told now.
type textCodec struct{}

func (textCodec) Encode(e fills.Execution) ([]byte, error) { return json.Marshal(e) }

func (textCodec) Decode(value []byte) (fills.Execution, error) {
	e := fills.Execution{RefTradeDate: market.NoDay}
	switch string(value) {
	case "unknown":
		return e, errRegistry
	case "poison":
		return e, &BadRecord{Reason: "BAD_AVRO", Detail: "poison"}
	}
	if err := json.Unmarshal(value, &e); err != nil {
		return e, &BadRecord{Reason: "BAD_RECORD", Detail: err.Error()}
	}
	return e, nil
}

// memory is a FillBook with two households, one of which has no rules: posting to it panics.
type memory struct {
	saved FillChanges
	fail  error
}

func (m *memory) UpdateBook(_ context.Context, _ []Incoming, decide func(FillLoad) (FillChanges, error)) error {
	rules, err := region.Load("US")
	if err != nil {
		return err
	}
	load := FillLoad{States: map[portfolio.HouseholdID]*fills.State{}}
	for id, r := range map[portfolio.HouseholdID]*region.Rules{"H1": rules, "H2": nil} {
		s := fills.NewState(id, r)
		s.Accounts["A1"] = fills.Account{ID: "A1", Owner: "O1", Type: "taxable", Currency: "USD"}
		s.Orders["ORDER"] = fills.Order{Run: "R", ID: "ORDER", Account: "A1", Symbol: "AAA", Side: portfolio.Buy, Currency: "USD",
			Asked: money.FromInt(100), Progress: orders.NewProgress(money.FromInt(100)).Sent(money.FromInt(100))}
		load.States[id] = s
	}
	if m.saved, err = decide(load); err != nil {
		return err
	}
	return m.fail
}

func fillOf(household portfolio.HouseholdID, id string, kind fills.ExecType, ref string) []byte {
	day := market.MustDay("2020-03-16")
	b, err := (textCodec{}).Encode(fills.Execution{Session: "SIM", ExecID: id, Type: kind, RefExecID: ref, RefTradeDate: market.NoDay,
		OrderID: "ORDER", Account: "A1", Household: household, Symbol: "AAA", Side: portfolio.Buy, Quantity: money.FromInt(10), Price: money.FromInt(5),
		Currency: "USD", FX: money.One, FXDay: day, TradeDate: day, SettleDate: day + 2})
	if err != nil {
		panic(err)
	}
	return b
}

// TestFillsEveryRecordEndsOnce feeds one record of each kind and counts how they end.
func TestFillsEveryRecordEndsOnce(t *testing.T) {
	values := [][]byte{
		fillOf("H1", "1", fills.Trade, ""),        // applied
		fillOf("H1", "1", fills.Trade, ""),        // duplicate
		fillOf("H1", "3", fills.TradeCancel, "2"), // held
		[]byte("poison"), []byte("{"), []byte("no json"),
		fillOf("H3", "4", fills.Trade, ""), // no such household
		fillOf("H2", "5", fills.Trade, ""), // panics
		fillOf("H3", "1", fills.Trade, ""), // the key of another household's
		fillOf("H1", "2", fills.Trade, ""), // applied, and releases the bust
	}
	b := Batch{Topic: TopicFills, Spans: []Span{{Partition: 7, First: 10, Next: 20, Applied: 99}}}
	for i, v := range values {
		b.Records = append(b.Records, Record{Topic: TopicFills, Partition: 7, Offset: int64(10 + i), Value: v})
	}
	book := &memory{}
	f := NewFills(book, textCodec{}, func() time.Time { return time.Unix(1, 0) }, slog.New(slog.DiscardHandler))
	if err := f.Handle(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	span := book.saved.Batch.Spans[0]
	if got, want := fmt.Sprint(span.Applied, span.Duplicate, span.Held, span.Dead), "2 1 1 6"; got != want {
		t.Errorf("records applied, duplicate, held, dead = %s, want %s", got, want)
	}
	if b.Spans[0].Applied != 99 {
		t.Errorf("the caller's batch counts %d, want it left alone", b.Spans[0].Applied)
	}
	reasons := map[int64]string{}
	for _, d := range book.saved.Dead {
		reasons[d.Record.Offset] = d.Reason
	}
	want := map[int64]string{13: "BAD_AVRO", 14: "BAD_RECORD", 15: "BAD_RECORD", 16: "UNKNOWN_ACCOUNT", 17: "PANIC", 18: "CONFLICT"}
	if fmt.Sprint(reasons) != fmt.Sprint(want) {
		t.Errorf("dead letters = %v, want %v", reasons, want)
	}
	if got := len(book.saved.Results); got != 3 || len(book.saved.Released) != 1 || len(book.saved.Held) != 1 {
		t.Errorf("%d results, released %v, held %v; want 3 with the bust, which was held and released", got, book.saved.Released, book.saved.Held)
	}
	if at := book.saved.Sources[2].Offset; at != 12 {
		t.Errorf("the released bust came from offset %d, want 12", at)
	}
}

// TestFillsWaitForTheRegistry checks that a record which cannot be told now is no dead letter: nothing
// of its batch is applied, and it comes again.
func TestFillsWaitForTheRegistry(t *testing.T) {
	book := &memory{}
	f := NewFills(book, textCodec{}, time.Now, slog.New(slog.DiscardHandler))
	b := Batch{Topic: TopicFills, Spans: []Span{{Partition: 7, Next: 2}}, Records: []Record{
		{Topic: TopicFills, Partition: 7, Value: fillOf("H1", "1", fills.Trade, "")}, {Topic: TopicFills, Partition: 7, Offset: 1, Value: []byte("unknown")}}}
	if err := f.Handle(t.Context(), b); !errors.Is(err, errRegistry) || book.saved.Results != nil {
		t.Errorf("Handle = %v with %d results, want %v with none", err, len(book.saved.Results), errRegistry)
	}
}

func TestFillsPassOnTheFence(t *testing.T) {
	for _, fail := range []error{ErrFenced, errors.New("down")} {
		f := NewFills(&memory{fail: fail}, textCodec{}, time.Now, slog.New(slog.DiscardHandler))
		if err := f.Handle(t.Context(), Batch{Topic: TopicFills}); !errors.Is(err, fail) {
			t.Errorf("Handle = %v, want %v", err, fail)
		}
	}
}
