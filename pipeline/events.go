package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"daybreak/fills"
	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
)

// RateFact is a published exchange rate as a producer tells it.
type RateFact struct {
	Source string          `json:"source"`
	ID     string          `json:"event_id"`
	Base   market.Currency `json:"base"`
	Quote  market.Currency `json:"quote"`
	Day    market.Day      `json:"day"`
	Rate   money.Dec       `json:"rate"` // Quote for one Base
}

// Key returns the fact's own key.
func (r RateFact) Key() string { return "rate|" + r.Source + "|" + r.ID }

// Content returns all that two facts with one key must agree on.
func (r RateFact) Content() string {
	return fmt.Sprintf("%s/%s %s %s", r.Base, r.Quote, r.Day, r.Rate)
}

// rateMax is the largest rate that is believed.
var rateMax = money.FromInt(100_000)

// Fault returns why the fact cannot be believed, or "".
func (r RateFact) Fault() string {
	switch {
	case r.Source == "" || r.ID == "" || len(r.Source)+len(r.ID) > 128:
		return fmt.Sprintf("source %q and event_id %q: empty, or too long", r.Source, r.ID)
	case !r.Base.Known() || !r.Quote.Known() || r.Base == r.Quote:
		return fmt.Sprintf("base %q, quote %q", r.Base, r.Quote)
	case r.Rate.Sign() <= 0 || rateMax.Less(r.Rate):
		return fmt.Sprintf("rate %s", r.Rate)
	}
	return ""
}

// EventMessage is one record of TopicEvents: one of its parts is set.
type EventMessage struct {
	Event  *fills.Event  `json:"event,omitempty"`
	Rate   *RateFact     `json:"rate,omitempty"`
	Action *fills.Action `json:"action,omitempty"`
}

// Key returns the key of the fact inside.
func (m EventMessage) Key() string {
	switch {
	case m.Event != nil:
		return m.Event.Key()
	case m.Action != nil:
		return m.Action.Key()
	}
	return m.Rate.Key()
}

// Place returns the key of the fact's record and what its routing key is where nobody knows another:
// the household, the security, the pair of currencies.
func (m EventMessage) Place() (key, routing string) {
	switch {
	case m.Event != nil:
		return string(m.Event.Target()), string(m.Event.Household)
	case m.Action != nil:
		return string(m.Action.Symbol), string(m.Action.Symbol)
	}
	pair := string(m.Rate.Base) + "/" + string(m.Rate.Quote)
	return pair, pair
}

// Fault returns why the fact inside cannot be believed, or "".
func (m EventMessage) Fault() string {
	switch {
	case m.Event != nil:
		return m.Event.Fault()
	case m.Action != nil:
		return m.Action.Fault()
	}
	return m.Rate.Fault()
}

// account returns the account that the fact inside is about, or "".
func (m EventMessage) account() string {
	if m.Event == nil {
		return ""
	}
	return string(m.Event.Target())
}

// content returns what two facts with one key must agree on.
func (m EventMessage) content() string {
	switch {
	case m.Event != nil:
		return m.Event.Content()
	case m.Action != nil:
		return m.Action.Content()
	}
	return m.Rate.Content()
}

// EventCodec reads the records of TopicEvents.
type EventCodec interface {
	// Decode returns a *BadRecord where the bytes are no event; any other error says that it cannot be
	// told now, since the registry of schemas does not answer.
	Decode(value []byte) (EventMessage, error)
}

// IncomingEvent is an event with the record that brought it.
type IncomingEvent struct {
	Message EventMessage
	Record  Record
}

// EventLoad is what the events of a batch meet in the book. Households that the book lacks are absent.
type EventLoad struct {
	States map[portfolio.HouseholdID]*fills.State
	Seen   map[string]string // key → content, of rates and corporate actions in the book
}

// AppliedEvent is an applied event with the record that brought it.
type AppliedEvent struct {
	Effects fills.EventEffects
	Source  Record
}

// KnownAction is a corporate action that the book takes in, with the record that brought it.
type KnownAction struct {
	Action fills.Action
	Source Record
}

// EventChanges is what a batch of events does to the book.
type EventChanges struct {
	Batch   Batch // with its counts
	Applied []AppliedEvent
	Rates   []RateFact
	Actions []KnownAction
	Dead    []DeadLetter
	Now     time.Time
}

// EventBook keeps the book that events change.
type EventBook interface {
	// UpdateEvents locks the households of incoming events in order of id, loads what they can meet,
	// calls decide once, and saves what it returns with the batch's offsets, all in one transaction;
	// nothing where decide fails. It returns ErrFenced where another owner has taken over a partition.
	UpdateEvents(ctx context.Context, incoming []IncomingEvent, decide func(EventLoad) (EventChanges, error)) error
	// RehearseEvents is UpdateEvents without offsets, rolled back at its end: nothing stays.
	RehearseEvents(ctx context.Context, incoming []IncomingEvent, decide func(EventLoad) (EventChanges, error)) error
}

// Events applies events to the book: the Handler of TopicEvents.
type Events struct {
	book  EventBook
	codec EventCodec
	now   func() time.Time
	log   *slog.Logger
}

// NewEvents returns a handler over a book. now gives the time at which the book learns a fact.
func NewEvents(book EventBook, codec EventCodec, now func() time.Time, log *slog.Logger) *Events {
	return &Events{book: book, codec: codec, now: now, log: log}
}

// Handle implements Handler: it reads the batch, applies its events in order and saves all in one
// transaction. What cannot be read or applied is a dead letter of the same transaction.
func (h *Events) Handle(ctx context.Context, b Batch) error {
	incoming, dead, err := h.read(b)
	if err != nil {
		return fmt.Errorf("read %d records: %w", len(b.Records), err)
	}
	err = h.book.UpdateEvents(ctx, incoming, func(l EventLoad) (EventChanges, error) {
		d := &eventDecision{batch: fresh(b), load: l, log: h.log}
		d.changes.Now = h.now()
		for _, letter := range dead {
			d.refuse(letter)
		}
		for _, in := range incoming {
			d.decide(in)
		}
		d.changes.Batch = d.batch
		return d.changes, nil
	})
	if err != nil && !errors.Is(err, ErrFenced) {
		return fmt.Errorf("apply %d events: %w", len(b.Records), err)
	}
	return err
}

// EventVerdict is what would become of one record.
type EventVerdict struct {
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Key       string `json:"key,omitempty"` // of the fact, where it can be read
	Outcome   string `json:"outcome"`       // APPLIED, DUPLICATE, or the reason of a dead letter
	Detail    string `json:"detail,omitempty"`
}

// Rehearse returns what would become of records if they came now, in order, and changes nothing.
func (h *Events) Rehearse(ctx context.Context, records []Record) ([]EventVerdict, error) {
	incoming, dead, err := h.read(Batch{Records: records})
	if err != nil {
		return nil, err
	}
	place := make(map[[2]int64]int, len(records))
	verdicts := make([]EventVerdict, len(records))
	for i, r := range records {
		place[[2]int64{int64(r.Partition), r.Offset}] = i
		verdicts[i] = EventVerdict{Partition: r.Partition, Offset: r.Offset}
	}
	for _, l := range dead {
		v := &verdicts[place[[2]int64{int64(l.Record.Partition), l.Record.Offset}]]
		v.Outcome, v.Detail = l.Reason, l.Detail
	}
	err = h.book.RehearseEvents(ctx, incoming, func(l EventLoad) (EventChanges, error) {
		d := &eventDecision{load: l, log: h.log}
		d.changes.Now = h.now()
		for _, in := range incoming {
			outcome, detail := d.apply(in)
			v := &verdicts[place[[2]int64{int64(in.Record.Partition), in.Record.Offset}]]
			v.Key, v.Outcome, v.Detail = in.Message.Key(), string(outcome), detail
		}
		return d.changes, nil
	})
	return verdicts, err
}

func (h *Events) read(b Batch) ([]IncomingEvent, []DeadLetter, error) {
	incoming := make([]IncomingEvent, 0, len(b.Records))
	var dead []DeadLetter
	for _, r := range b.Records {
		m, err := h.codec.Decode(r.Value)
		var bad *BadRecord
		switch {
		case errors.As(err, &bad):
			dead = append(dead, DeadLetter{Record: r, Reason: bad.Reason, Detail: bad.Detail})
		case err != nil:
			return nil, nil, err
		default:
			incoming = append(incoming, IncomingEvent{Message: m, Record: r})
		}
	}
	return incoming, dead, nil
}

// eventDecision is one batch on its way from what was loaded to what is saved.
type eventDecision struct {
	batch   Batch
	load    EventLoad
	log     *slog.Logger
	changes EventChanges
}

func (d *eventDecision) decide(in IncomingEvent) {
	outcome, detail := d.apply(in)
	span := d.batch.Span(in.Record.Partition)
	switch outcome {
	case fills.Applied:
		span.Applied++
	case fills.Duplicate:
		span.Duplicate++
	default:
		d.refuse(DeadLetter{Record: in.Record, Reason: string(outcome), Detail: detail, Account: in.Message.account()})
	}
}

func (d *eventDecision) refuse(l DeadLetter) {
	d.batch.Span(l.Record.Partition).Dead++
	d.changes.Dead = append(d.changes.Dead, l)
}

func (d *eventDecision) apply(in IncomingEvent) (fills.Outcome, string) {
	m := in.Message
	if m.Event != nil {
		return d.event(*m.Event, in.Record)
	}
	key, content := m.Key(), m.content()
	if known, ok := d.load.Seen[key]; ok {
		if known == content {
			return fills.Duplicate, ""
		}
		return fills.Conflict, key + " is in the book with other content"
	}
	if fault := m.Fault(); fault != "" {
		return fills.BadTerms, fault
	}
	d.load.Seen[key] = content
	if m.Action != nil {
		d.changes.Actions = append(d.changes.Actions, KnownAction{*m.Action, in.Record})
	} else {
		d.changes.Rates = append(d.changes.Rates, *m.Rate)
	}
	return fills.Applied, ""
}

// event posts one event. A panic is our bug: the record becomes a dead letter, and the others go on.
func (d *eventDecision) event(e fills.Event, source Record) (outcome fills.Outcome, detail string) {
	s, known := d.load.States[e.Household]
	if !known {
		return fills.UnknownAccount, fmt.Sprintf("the book has no household %s", e.Household)
	}
	defer func() {
		if r := recover(); r != nil {
			d.log.Error("an event panicked and is a dead letter", "partition", source.Partition, "offset", source.Offset,
				"stack", fmt.Sprintf("%v\n%s", r, debug.Stack()))
			outcome, detail = ReasonFillPanic, "applying the event panicked"
		}
	}()
	f, outcome := fills.ApplyEvent(s, e)
	if outcome == fills.Applied {
		s.TakeEvent(f)
		d.changes.Applied = append(d.changes.Applied, AppliedEvent{f, source})
	}
	return outcome, fills.ExplainEvent(e, outcome)
}
