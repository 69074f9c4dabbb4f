package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"daybreak/fills"
	"daybreak/portfolio"
)

// Reasons of the shell for dead letters of fills, beside those of the codec and of fills.Outcome.
const (
	ReasonRoutingConflict = "CONFLICT" // one key from two households in one batch
	ReasonFillPanic       = "PANIC"    // applying the household's executions panicked: our bug
)

// FillCodec turns executions into bytes and back.
type FillCodec interface {
	Encode(e fills.Execution) ([]byte, error)
	// Decode returns a *BadRecord where the bytes are no execution; any other error says that it
	// cannot be told now, since the registry of schemas does not answer.
	Decode(value []byte) (fills.Execution, error)
}

// BadRecord is why bytes cannot be read: a stable code and a sentence.
type BadRecord struct {
	Reason string
	Detail string
}

// Error returns code and detail.
func (b *BadRecord) Error() string { return b.Reason + ": " + b.Detail }

// Incoming is an execution with the record that brought it.
type Incoming struct {
	Execution fills.Execution
	Record    Record
}

// HeldRow is a held execution as it is stored: the bytes of its record and their place.
type HeldRow struct {
	Waiting fills.Waiting
	Record  Record
}

// FillChanges is what a batch of executions does to the book.
type FillChanges struct {
	Batch    Batch          // with its counts
	Results  []fills.Result // that were applied, by household in the order of the batch
	Sources  []Record       // where each of Results came from
	Held     []HeldRow
	Released []string // keys of held executions whose turn came
	Dead     []DeadLetter
	Now      time.Time
}

// FillLoad is what the executions of a batch meet in the book. Households that the book lacks are
// absent. Held lists stored executions that wait for others of the same orders.
type FillLoad struct {
	States map[portfolio.HouseholdID]*fills.State
	Held   []Record
}

// FillBook keeps the book that executions change.
type FillBook interface {
	// UpdateBook locks the households of incoming executions in order of id, loads what they can
	// meet, calls decide once, and saves what it returns with the batch's offsets, all in one
	// transaction; nothing where decide fails. It returns ErrFenced where another owner has taken
	// over a partition.
	UpdateBook(ctx context.Context, incoming []Incoming, decide func(FillLoad) (FillChanges, error)) error
}

// Fills applies executions to the book: the Handler of TopicFills.
type Fills struct {
	book  FillBook
	codec FillCodec
	now   func() time.Time
	log   *slog.Logger
}

// NewFills returns a handler over a book. now gives the time at which the book learns a fact.
func NewFills(book FillBook, codec FillCodec, now func() time.Time, log *slog.Logger) *Fills {
	return &Fills{book: book, codec: codec, now: now, log: log}
}

// Handle implements Handler: it reads the batch, folds each household's executions in sequence and
// saves all in one transaction. What cannot be read or posted is a dead letter of the same
// transaction.
func (f *Fills) Handle(ctx context.Context, b Batch) error {
	incoming, dead, err := f.read(b)
	if err != nil {
		return fmt.Errorf("read %d records: %w", len(b.Records), err)
	}
	err = f.book.UpdateBook(ctx, incoming, func(l FillLoad) (FillChanges, error) {
		d := &fillDecision{batch: fresh(b), incoming: incoming, codec: f.codec, log: f.log}
		d.changes.Now = f.now()
		d.changes.Results = make([]fills.Result, 0, len(incoming)) // they are large: to grow would copy them
		d.changes.Sources = make([]Record, 0, len(incoming))
		d.deadLetters(dead)
		if err := d.decide(l); err != nil {
			return FillChanges{}, err
		}
		d.changes.Batch = d.batch
		return d.changes, nil
	})
	if err != nil && !errors.Is(err, ErrFenced) {
		return fmt.Errorf("apply %d records: %w", len(b.Records), err)
	}
	return err
}

// read decodes the records of a batch; what cannot be read is a dead letter. A key that comes from
// two households is a conflict: the book would take only one.
func (f *Fills) read(b Batch) ([]Incoming, []DeadLetter, error) {
	incoming := make([]Incoming, 0, len(b.Records))
	var dead []DeadLetter
	owner := make(map[string]portfolio.HouseholdID, len(b.Records))
	for _, r := range b.Records {
		e, err := f.codec.Decode(r.Value)
		var bad *BadRecord
		switch {
		case errors.As(err, &bad):
			dead = append(dead, DeadLetter{Record: r, Reason: bad.Reason, Detail: bad.Detail})
			continue
		case err != nil:
			return nil, nil, err
		}
		key := e.Key().String()
		if first, known := owner[key]; known && first != e.Household {
			dead = append(dead, DeadLetter{Record: r, Reason: ReasonRoutingConflict, Account: string(e.Account), Order: string(e.OrderID),
				Detail: fmt.Sprintf("execution %s came for household %s before", key, first)})
			continue
		}
		owner[key] = e.Household
		incoming = append(incoming, Incoming{Execution: e, Record: r})
	}
	return incoming, dead, nil
}

// fresh returns the batch with spans of its own that count nothing yet: decide may run again.
func fresh(b Batch) Batch {
	b.Spans = append([]Span(nil), b.Spans...)
	for i := range b.Spans {
		s := &b.Spans[i]
		s.Applied, s.Duplicate, s.Held, s.Dead = 0, 0, 0, 0
	}
	return b
}

// fillDecision is one batch on its way from what was loaded to what is saved.
type fillDecision struct {
	batch    Batch
	incoming []Incoming
	codec    FillCodec
	log      *slog.Logger
	changes  FillChanges
	held     map[string]Record // source of each stored held execution, by key
}

func (d *fillDecision) decide(l FillLoad) error {
	if err := d.loadHeld(l); err != nil {
		return err
	}
	sequences := map[portfolio.HouseholdID][]int{}
	var order []portfolio.HouseholdID
	for i, in := range d.incoming {
		id := in.Execution.Household
		if _, seen := sequences[id]; !seen {
			order = append(order, id)
		}
		sequences[id] = append(sequences[id], i)
	}
	for _, id := range order {
		state, known := l.States[id]
		if !known {
			d.refuse(sequences[id], string(fills.UnknownAccount), fmt.Sprintf("the book has no household %s", id))
			continue
		}
		d.household(state, sequences[id])
	}
	return nil
}

// loadHeld enters stored held executions into the states of their households.
func (d *fillDecision) loadHeld(l FillLoad) error {
	d.held = map[string]Record{}
	for _, r := range l.Held {
		e, err := d.codec.Decode(r.Value)
		var bad *BadRecord
		if errors.As(err, &bad) {
			continue // it was read when it was held; verify lists what is held for too long
		}
		if err != nil {
			return err
		}
		if s, known := l.States[e.Household]; known {
			key := e.Key().String()
			d.held[key] = r
			s.Wait(fills.Waiting{Execution: e, Key: key, Content: e.Content(), WaitsFor: e.Refers().String()})
		}
	}
	return nil
}

// household posts the executions of one household. A panic is our bug: what came for the household
// in this batch becomes dead letters, and the others go on.
func (d *fillDecision) household(s *fills.State, sequence []int) {
	executions := make([]fills.Execution, len(sequence))
	for i, at := range sequence {
		executions[i] = d.incoming[at].Execution
	}
	results, panicked := post(s, executions)
	if panicked != "" {
		d.log.Error("executions panicked and are dead letters", "household", s.Household, "stack", panicked)
		d.refuse(sequence, ReasonFillPanic, "applying the executions of household "+string(s.Household)+" panicked")
		return
	}
	for _, r := range results {
		d.result(r, d.incoming[sequence[r.Index]].Record)
	}
}

func post(s *fills.State, executions []fills.Execution) (results []fills.Result, stack string) {
	defer func() {
		if r := recover(); r != nil {
			stack = fmt.Sprintf("%v\n%s", r, debug.Stack())
		}
	}()
	return fills.Post(s, executions), ""
}

func (d *fillDecision) result(r fills.Result, source Record) {
	if r.Released {
		source = d.released(r)
	}
	switch r.Outcome {
	case fills.Applied:
		d.changes.Results = append(d.changes.Results, r)
		d.changes.Sources = append(d.changes.Sources, source)
	case fills.Held:
		d.changes.Held = append(d.changes.Held, HeldRow{Waiting: r.Waiting, Record: source})
	case fills.Duplicate:
	default:
		e := r.Execution
		d.changes.Dead = append(d.changes.Dead, DeadLetter{Record: source, Reason: string(r.Outcome), Detail: fills.Explain(e, r.Outcome),
			Account: string(e.Account), Order: string(e.OrderID), Released: r.Released})
	}
	if !r.Released {
		d.count(source.Partition, r.Outcome)
	}
}

// released returns the record of a held execution whose turn came, and notes it: it is in the store,
// or was held earlier in this batch.
func (d *fillDecision) released(r fills.Result) Record {
	key := r.Execution.Key().String()
	d.changes.Released = append(d.changes.Released, key)
	if source, stored := d.held[key]; stored {
		return source
	}
	for _, h := range d.changes.Held {
		if h.Waiting.Key == key {
			return h.Record
		}
	}
	return Record{}
}

func (d *fillDecision) count(partition int32, o fills.Outcome) {
	span := d.batch.Span(partition)
	switch o {
	case fills.Applied:
		span.Applied++
	case fills.Duplicate:
		span.Duplicate++
	case fills.Held:
		span.Held++
	default:
		span.Dead++
	}
}

func (d *fillDecision) refuse(sequence []int, reason, detail string) {
	for _, at := range sequence {
		in := d.incoming[at]
		d.deadLetters([]DeadLetter{{Record: in.Record, Reason: reason, Detail: detail, Account: string(in.Execution.Account), Order: string(in.Execution.OrderID)}})
	}
}

func (d *fillDecision) deadLetters(dead []DeadLetter) {
	for _, l := range dead {
		d.batch.Span(l.Record.Partition).Dead++
		d.changes.Dead = append(d.changes.Dead, l)
	}
}
