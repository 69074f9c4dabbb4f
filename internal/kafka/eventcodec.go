package kafka

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/twmb/avro"

	"daybreak/fills"
	"daybreak/market"
	"daybreak/money"
	"daybreak/pipeline"
	"daybreak/portfolio"
)

// The schemas of topic daybreak.events, by the name of their record.
var eventFiles = map[string]string{
	"CashMovement": "cash_movement.avsc", "SecurityMovement": "security_movement.avsc",
	"FXRate": "fx_rate.avsc", "CorporateAction": "corporate_action.avsc",
}

// EventCodec reads and writes the records of daybreak.events. It is safe for concurrent use.
type EventCodec struct {
	writers map[string]writer // by the record's name
	readers *readers
}

// NewEventCodec returns the codec of events. It registers this build's schemas, whose ids its records
// carry, and reads those of any other version that the registry has.
func NewEventCodec(ctx context.Context, r Registry) (*EventCodec, error) {
	c := &EventCodec{writers: map[string]writer{}}
	var all []*avro.Schema
	for _, name := range slices.Sorted(maps.Keys(eventFiles)) {
		w, err := newWriter(ctx, r, eventFiles[name])
		if err != nil {
			return nil, err
		}
		c.writers[name] = w
		all = append(all, w.schema)
	}
	c.readers = newReaders(r, all...)
	return c, nil
}

// wireEvent has the fields of all records of daybreak.events.
type wireEvent struct {
	Source    string `avro:"source"`
	ID        string `avro:"event_id"`
	Kind      string `avro:"kind"`
	Household string `avro:"household"`
	Account   string `avro:"account"`
	ToAccount string `avro:"to_account"`
	Security  string `avro:"security"`
	Shares    []byte `avro:"shares"`
	Amount    []byte `avro:"amount"`
	Currency  string `avro:"currency"`
	Effective int32  `avro:"effective"`
	Settle    *int32 `avro:"settle_date"`
	Acquired  *int32 `avro:"acquired"`
	Reverses  string `avro:"reverses"`
	Text      string `avro:"text"`

	Base  string `avro:"base"`
	Quote string `avro:"quote"`
	Day   int32  `avro:"day"`
	Rate  []byte `avro:"rate"`

	ExDate    int32  `avro:"ex_date"`
	PayDate   *int32 `avro:"pay_date"`
	NewShares int64  `avro:"new_shares"`
	OldShares int64  `avro:"old_shares"`
	PerShare  []byte `avro:"per_share"`
}

// Decode implements pipeline.EventCodec.
func (c *EventCodec) Decode(value []byte) (pipeline.EventMessage, error) {
	r, body, err := c.readers.open(value)
	if err != nil {
		return pipeline.EventMessage{}, err
	}
	var w wireEvent
	if err := r.decode(body, &w); err != nil {
		return pipeline.EventMessage{}, err
	}
	return w.message(r.name)
}

func (w *wireEvent) message(name string) (pipeline.EventMessage, error) {
	for _, s := range []string{w.Source, w.ID, w.Kind, w.Household, w.Account, w.ToAccount, w.Security, w.Currency, w.Reverses, w.Text, w.Base, w.Quote} {
		if !utf8.ValidString(s) {
			return pipeline.EventMessage{}, bad("BAD_TEXT", "%q is not UTF-8", s)
		}
	}
	var shares, amount, rate, perShare money.Dec
	for _, d := range []struct {
		name string
		raw  []byte
		to   *money.Dec
	}{{"shares", w.Shares, &shares}, {"amount", w.Amount, &amount}, {"rate", w.Rate, &rate}, {"per_share", w.PerShare, &perShare}} {
		var fits bool
		if *d.to, fits = bytesDec(d.raw); !fits {
			return pipeline.EventMessage{}, bad("BAD_NUMBER", "%s has %d bytes, which no numeric(38,12) needs", d.name, len(d.raw))
		}
	}
	for _, d := range []int32{w.Effective, w.Day, w.ExDate, orZero(w.Settle), orZero(w.Acquired), orZero(w.PayDate)} {
		if day := market.Day(d); d != 0 && (day < dayFirst || day > dayLast) {
			return pipeline.EventMessage{}, bad("BAD_DATE", "day %d", d)
		}
	}
	switch name {
	case "FXRate":
		return pipeline.EventMessage{Rate: &pipeline.RateFact{Source: w.Source, ID: w.ID, Base: market.Currency(w.Base),
			Quote: market.Currency(w.Quote), Day: market.Day(w.Day), Rate: rate}}, nil
	case "CorporateAction":
		return pipeline.EventMessage{Action: &fills.Action{Source: w.Source, ID: w.ID, Kind: fills.EventKind(w.Kind), Symbol: market.Symbol(w.Security),
			ExDate: market.Day(w.ExDate), PayDate: market.Day(orZero(w.PayDate)), New: w.NewShares, Old: w.OldShares, PerShare: perShare,
			Currency: market.Currency(w.Currency), Text: w.Text}}, nil
	}
	e := &fills.Event{Source: w.Source, ID: w.ID, Kind: fills.EventKind(w.Kind), Household: portfolio.HouseholdID(w.Household),
		Account: portfolio.AccountID(w.Account), ToAccount: portfolio.AccountID(w.ToAccount), Symbol: market.Symbol(w.Security), Shares: shares,
		Amount: amount, Currency: market.Currency(w.Currency), Effective: market.Day(w.Effective), Settle: market.Day(orZero(w.Settle)),
		Acquired: market.Day(orZero(w.Acquired)), Reverses: w.Reverses, Text: w.Text}
	if fault := schemaFault(name, e.Kind); fault != "" {
		return pipeline.EventMessage{}, bad("BAD_TERMS", "%s", fault)
	}
	return pipeline.EventMessage{Event: e}, nil
}

// schemaFault keeps each producer to its schema's kinds: an ACL on a topic cannot.
func schemaFault(name string, kind fills.EventKind) string {
	isDrip := kind == fills.EventDrip
	isMoney := slices.Contains([]fills.EventKind{fills.EventDeposit, fills.EventWithdrawal, fills.EventFee, fills.EventDividend}, kind)
	if name == "CashMovement" && isDrip || name == "SecurityMovement" && isMoney {
		return fmt.Sprintf("a %s is no %s", kind, name)
	}
	return ""
}

func orZero(day *int32) int32 {
	if day == nil {
		return 0
	}
	return *day
}

// EncodeJSON turns one JSON object into a record: "schema" names its record, the other members are the
// schema's fields. Decimals are strings, days are "2006-01-02". It returns a *pipeline.BadRecord where
// the object is not of the schema: a field is missing that has no default, or is none, or holds what
// it cannot.
func (c *EventCodec) EncodeJSON(line []byte) ([]byte, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(line, &fields); err != nil {
		return nil, bad("BAD_JSON", "%v", err)
	}
	var name string
	_ = json.Unmarshal(fields["schema"], &name) // what is no name is in no map
	w, ok := c.writers[name]
	if !ok {
		return nil, bad("UNKNOWN_SCHEMA", "schema %q, want one of %v", name, slices.Sorted(maps.Keys(c.writers)))
	}
	delete(fields, "schema")
	native, err := nativeRecord(w.schema.Root(), fields)
	if err != nil {
		return nil, err
	}
	b, err := w.appendRecord(native)
	if err != nil {
		return nil, bad("BAD_AVRO", "%v", err)
	}
	return b, nil
}

// nativeRecord turns JSON members into what Avro encodes.
func nativeRecord(record *avro.SchemaNode, fields map[string]json.RawMessage) (map[string]any, error) {
	out := map[string]any{}
	for i := range record.Fields {
		f := &record.Fields[i]
		text, given := fields[f.Name]
		delete(fields, f.Name)
		if !given {
			if !f.HasDefault {
				return nil, bad("BAD_AVRO", "%s is missing", f.Name)
			}
			out[f.Name] = f.Default
			continue
		}
		value, err := nativeValue(&f.Type, text)
		if err != nil {
			return nil, bad("BAD_AVRO", "%s: %v", f.Name, err)
		}
		out[f.Name] = value
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		return nil, bad("BAD_AVRO", "the schema has no field %s", name)
	}
	return out, nil
}

func nativeValue(n *avro.SchemaNode, text json.RawMessage) (any, error) {
	switch {
	case n.Type == "union":
		if bytes.Equal(text, []byte("null")) {
			return nil, nil
		}
		return nativeValue(&n.Branches[len(n.Branches)-1], text)
	case n.LogicalType == "decimal":
		var s string
		if err := json.Unmarshal(text, &s); err != nil {
			return nil, fmt.Errorf("a decimal is a string such as \"12.34\"")
		}
		d, err := money.Parse(s)
		return decBytes(d), err
	case n.LogicalType == "date":
		var d market.Day
		if err := json.Unmarshal(text, &d); err != nil || d == market.NoDay {
			return nil, fmt.Errorf("%s is no day such as \"2020-03-16\"", text)
		}
		return int32(d), nil
	case n.Type == "long":
		var i int64
		err := json.Unmarshal(text, &i)
		return i, err
	}
	var s string
	err := json.Unmarshal(text, &s)
	return s, err
}
