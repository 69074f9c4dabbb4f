package kafka

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/avro"

	"daybreak/fills"
	"daybreak/market"
	"daybreak/money"
	"daybreak/pipeline"
)

func testEventCodec(t testing.TB) *EventCodec {
	t.Helper()
	c, err := NewEventCodec(t.Context(), &OfflineRegistry{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const transferLine = `{"schema":"SecurityMovement","source":"custody","event_id":"IN-1","kind":"transfer","household":"H1","account":"","to_account":"A1",` +
	`"security":"VTI","shares":"40.5","amount":"1000.25","currency":"USD","effective":"2020-03-16","acquired":"2014-06-02","text":"é"}`

func TestEventCodecReadsWhatWasWritten(t *testing.T) {
	c := testEventCodec(t)
	day := market.MustDay("2020-03-16")
	tests := []struct {
		line string
		want pipeline.EventMessage
	}{
		{transferLine, pipeline.EventMessage{Event: &fills.Event{Source: "custody", ID: "IN-1", Kind: fills.EventTransfer, Household: "H1", ToAccount: "A1",
			Symbol: "VTI", Shares: money.MustParse("40.5"), Amount: money.MustParse("1000.25"), Currency: "USD", Effective: day, Acquired: market.MustDay("2014-06-02"), Text: "é"}}},
		{`{"schema":"CashMovement","source":"treasury","event_id":"D1","kind":"deposit","household":"H1","account":"A1","amount":"-5","currency":"CAD","effective":"2020-03-16","settle_date":null}`,
			pipeline.EventMessage{Event: &fills.Event{Source: "treasury", ID: "D1", Kind: fills.EventDeposit, Household: "H1", Account: "A1", Amount: money.FromInt(-5), Currency: "CAD", Effective: day}}},
		{`{"schema":"FXRate","source":"rates","event_id":"F1","base":"USD","quote":"CAD","day":"2020-03-16","rate":"1.3961"}`,
			pipeline.EventMessage{Rate: &pipeline.RateFact{Source: "rates", ID: "F1", Base: "USD", Quote: "CAD", Day: day, Rate: money.MustParse("1.3961")}}},
		{`{"schema":"CorporateAction","source":"issuers","event_id":"S1","kind":"split","security":"VTI","ex_date":"2020-03-16","new_shares":3,"old_shares":2}`,
			pipeline.EventMessage{Action: &fills.Action{Source: "issuers", ID: "S1", Kind: fills.EventSplit, Symbol: "VTI", ExDate: day, New: 3, Old: 2}}},
	}
	for _, tt := range tests {
		value, err := c.EncodeJSON([]byte(tt.line))
		if err != nil {
			t.Fatalf("EncodeJSON(%s) = %v", tt.line, err)
		}
		got, err := c.Decode(value)
		if err != nil || got.Key() != tt.want.Key() || messageText(got) != messageText(tt.want) {
			t.Errorf("Decode(EncodeJSON(%s)) = %s, %v, want %s", tt.line, messageText(got), err, messageText(tt.want))
		}
	}
}

// messageText returns the content of a message, which covers all of it.
func messageText(m pipeline.EventMessage) string {
	switch {
	case m.Event != nil:
		return m.Event.Content()
	case m.Action != nil:
		return m.Action.Content()
	case m.Rate != nil:
		return m.Rate.Content()
	}
	return ""
}

func TestEventCodecRefuses(t *testing.T) {
	c := testEventCodec(t)
	good, err := c.EncodeJSON([]byte(transferLine))
	if err != nil {
		t.Fatal(err)
	}
	change := func(edit func(b []byte) []byte) []byte { return edit(bytes.Clone(good)) }
	line := func(old, new string) []byte {
		value, err := c.EncodeJSON([]byte(strings.Replace(transferLine, old, new, 1)))
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	tests := []struct {
		name  string
		value []byte
		want  string
	}{
		{"nothing", nil, "TOO_SHORT"},
		{"no wire format", []byte(transferLine), "BAD_MAGIC"},
		{"an id that nobody gave", change(func(b []byte) []byte { binary.BigEndian.PutUint32(b[1:], 99); return b }), "UNKNOWN_SCHEMA"},
		{"another schema's id", change(func(b []byte) []byte { binary.BigEndian.PutUint32(b[1:], 3); return b }), "BAD_AVRO"},
		{"cut off", good[:len(good)-2], "BAD_AVRO"},
		{"bytes after it", append(bytes.Clone(good), 1), "BAD_AVRO"},
		{"first day that is believed", line("2014-06-02", "1900-01-01"), ""},
		{"the day before", line("2014-06-02", "1899-12-31"), "BAD_DATE"},
		{"money in a record of shares", line(`"transfer"`, `"deposit"`), "BAD_TERMS"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := c.Decode(tt.value)
			var bad *pipeline.BadRecord
			if tt.want == "" && err != nil || tt.want != "" && (!errors.As(err, &bad) || bad.Reason != tt.want) {
				t.Errorf("Decode = %v, want %q", err, tt.want)
			}
		})
	}
}

// TestFillsAreNoEvents: a record of one topic that strays into the other is a dead letter there.
func TestFillsAreNoEvents(t *testing.T) {
	registry := NewEmbeddedRegistry(newShelf())
	executions, err := NewFillCodec(t.Context(), registry)
	if err != nil {
		t.Fatal(err)
	}
	events, err := NewEventCodec(t.Context(), registry)
	if err != nil {
		t.Fatal(err)
	}
	value, err := executions.Encode(sampleFill())
	if err != nil {
		t.Fatal(err)
	}
	var bad *pipeline.BadRecord
	if _, err := events.Decode(value); !errors.As(err, &bad) || bad.Reason != "UNKNOWN_SCHEMA" {
		t.Errorf("Decode(an execution) = %v, want UNKNOWN_SCHEMA", err)
	}
}

// TestOlderEventsAreRead has a producer of an earlier build, whose schema lacks a field and has
// another one.
func TestOlderEventsAreRead(t *testing.T) {
	registry := NewEmbeddedRegistry(newShelf())
	older := mustSubject("cash_movement.avsc")
	older.Schema = strings.Replace(older.Schema, `{"name": "reverses"`, `{"name": "branch", "type": "string", "default": ""}, {"name": "reverses"`, 1)
	older.Schema = strings.Replace(older.Schema, `    {"name": "to_account", "type": "string", "default": "", "doc": "of a transfer: where it goes, empty for outside"},`+"\n", "", 1)
	id, err := registry.Register(t.Context(), older)
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewEventCodec(t.Context(), registry)
	if err != nil {
		t.Fatal(err)
	}
	schema := avro.MustParse(older.Schema, rawDecimals)
	value, err := writer{schema, id}.appendRecord(map[string]any{
		"source": "treasury", "event_id": "D1", "kind": "deposit", "household": "H1", "account": "A1", "security": "", "amount": decBytes(money.FromInt(7)),
		"currency": "CAD", "effective": int32(market.MustDay("2020-03-16")), "settle_date": nil, "branch": "north", "reverses": "", "text": ""})
	if err != nil {
		t.Fatal(err)
	}
	m, err := c.Decode(value)
	if err != nil || m.Event == nil || m.Event.Amount != money.FromInt(7) || m.Event.ToAccount != "" {
		t.Errorf("Decode(record of an older build) = %+v, %v, want its deposit", m.Event, err)
	}
}

// FuzzEventCodec checks that no bytes panic the decoder, nor what judges an event.
func FuzzEventCodec(f *testing.F) {
	c := testEventCodec(f)
	samples, err := filepath.Glob("../../deploy/kafka/samples/*.jsonl")
	if err != nil || len(samples) == 0 {
		f.Fatalf("samples: %v, %v", samples, err)
	}
	for _, name := range samples {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
			if value, err := c.EncodeJSON(lines.Bytes()); err == nil {
				f.Add(value)
			}
		}
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		m, err := c.Decode(value)
		var bad *pipeline.BadRecord
		if err != nil {
			if !errors.As(err, &bad) {
				t.Fatalf("Decode(%x) = %v, want a BadRecord", value, err)
			}
			return
		}
		_, _ = m.Fault(), messageText(m)
	})
}
