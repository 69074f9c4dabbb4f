package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"daybreak/fills"
)

// LetterState says whether a dead letter still waits for its end.
type LetterState string

// The states of a dead letter.
const (
	LetterOpen     LetterState = "open"
	LetterReplayed LetterState = "replayed" // a replay was Applied, Duplicate or Held
	LetterDropped  LetterState = "dropped"  // by a person, with a reason
)

// Healing says what can make a dead letter succeed.
type Healing string

// What can heal a dead letter.
const (
	HealsByTime  Healing = "time"  // what it needs may come: an account, an order, a schema, an event
	HealsByBuild Healing = "build" // our code must change
	HealsByHand  Healing = "hand"  // people must look
)

// HealingOf returns what can heal a letter of a reason. What nobody named heals by a build: the reason
// is then one of bytes or terms that this build does not take.
func HealingOf(reason string) Healing {
	switch reason {
	case string(fills.UnknownAccount), string(fills.UnknownOrder), string(fills.UnknownEvent), "UNKNOWN_SCHEMA":
		return HealsByTime
	case string(fills.Conflict), string(fills.OrderDiffers), string(fills.AlreadyBusted), string(fills.AlreadyReversed), string(fills.BadReference):
		return HealsByHand
	}
	return HealsByBuild
}

// The pauses between automatic replays of a letter grow from letterPauseFirst, doubled at each, to
// letterPauseMax; after letterAttemptsMax replays only an arrival or a person has it tried again.
const (
	letterPauseFirst  = 5 * time.Second
	letterPauseMax    = time.Hour
	letterAttemptsMax = 24
)

// LetterDue returns when a letter of a reason, tried so many times, is tried again by itself; nil for
// never. Executions of a household that panicked together are tried one by one, at once.
func LetterDue(reason string, attempts int, now time.Time) *time.Time {
	isFirstPanic := reason == ReasonFillPanic && attempts == 1
	if HealingOf(reason) != HealsByTime && !isFirstPanic || attempts >= letterAttemptsMax {
		return nil
	}
	pause := letterPauseFirst
	for n := 1; n < attempts && pause < letterPauseMax; n++ {
		pause *= 2
	}
	due := now.Add(min(pause, letterPauseMax))
	return &due
}

// Letter is a stored dead letter: the record, why it could not be applied, and what became of it.
type Letter struct {
	ID        int64       `json:"id"`
	Topic     string      `json:"topic"`
	Partition int32       `json:"partition"`
	Offset    int64       `json:"offset"`
	Reason    string      `json:"reason"` // of the last attempt
	Detail    string      `json:"detail"`
	Attempts  int         `json:"attempts"`
	State     LetterState `json:"state"`
	Outcome   string      `json:"outcome,omitempty"` // of the replay that ended it
	Heals     Healing     `json:"heals"`
	Account   string      `json:"account,omitempty"`
	Order     string      `json:"order,omitempty"`
	Seen      time.Time   `json:"seen"`
	Sent      *time.Time  `json:"sent,omitempty"` // time of the record
	Due       *time.Time  `json:"due,omitempty"`  // next automatic replay
	Relayed   *time.Time  `json:"relayed,omitempty"`
	Resolved  *time.Time  `json:"resolved,omitempty"`
	Actor     string      `json:"actor,omitempty"` // who replayed or dropped it
	Why       string      `json:"why,omitempty"`
	Build     string      `json:"build,omitempty"` // that tried it last
	Key       []byte      `json:"key,omitempty"`
	Value     []byte      `json:"value,omitempty"`
	Headers   []Header    `json:"headers,omitempty"`
}

// Record returns the record as it was read.
func (l Letter) Record() Record {
	r := Record{Topic: l.Topic, Partition: l.Partition, Offset: l.Offset, Key: l.Key, Value: l.Value, Headers: l.Headers}
	if l.Sent != nil {
		r.Time = *l.Sent
	}
	return r
}

// LetterQuery asks for letters after an id, by id. Empty fields match all.
type LetterQuery struct {
	State LetterState
	Topic string
	IDs   []int64
	After int64
	Limit int
}

// LetterEnd is what an attempt makes of a letter. Attempts is their number before it: where the row has
// another one, somebody else has tried meanwhile, and nothing of the transaction counts.
type LetterEnd struct {
	ID       int64
	Attempts int
	State    LetterState
	Outcome  string // of a replayed one
	Reason   string // of one that stays open
	Detail   string
	Account  string
	Order    string
	Due      *time.Time
	Build    string
	Actor    string
	Now      time.Time
}

// LetterVerdict is what became of a letter in a replay, or would become of it in a rehearsal.
type LetterVerdict struct {
	ID        int64  `json:"id"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Reason    string `json:"reason"`  // that it had
	Outcome   string `json:"outcome"` // APPLIED, DUPLICATE, HELD, or the reason that it stays open for
	Detail    string `json:"detail,omitempty"`
}

// Ends reports whether the letter's record has found its end.
func (v LetterVerdict) Ends() bool {
	return v.Outcome == string(fills.Applied) || v.Outcome == string(fills.Duplicate) || v.Outcome == string(fills.Held)
}

// LetterTotal counts the open letters of a topic and a reason.
type LetterTotal struct {
	Topic   string    `json:"topic"`
	Reason  string    `json:"reason"`
	Letters int64     `json:"letters"`
	Oldest  time.Time `json:"oldest"`
}

// recordEnd is how a record of a replay ended.
type recordEnd struct {
	outcome        string
	detail         string
	account, order string
}

// place names a record within its topic.
type place struct {
	partition int32
	offset    int64
}

func placeOf(r Record) place { return place{r.Partition, r.Offset} }

// errRehearsed ends the transaction of a rehearsal.
var errRehearsed = errors.New("rehearsed")

// letterBatch is a batch of the letters' records, with spans that only count.
func letterBatch(letters []Letter) Batch {
	b := Batch{Topic: letters[0].Topic}
	for _, l := range letters {
		if b.Span(l.Partition) == nil {
			b.Spans = append(b.Spans, Span{Partition: l.Partition})
		}
		b.Records = append(b.Records, l.Record())
	}
	return b
}

// settle is told how the records of a replay ended, by place, and returns what to store of it.
type settle func(ends map[place]recordEnd) ([]LetterEnd, error)

// replay applies dead letters anew, as one transaction without offsets.
func (f *Fills) replay(ctx context.Context, letters []Letter, settle settle) error {
	b := letterBatch(letters)
	incoming, dead, err := f.read(b)
	if err != nil {
		return fmt.Errorf("read %d letters: %w", len(letters), err)
	}
	return f.book.UpdateBook(ctx, incoming, func(l FillLoad) (FillChanges, error) {
		d := &fillDecision{batch: fresh(b), incoming: incoming, codec: f.codec, log: f.log}
		d.changes.Now = f.now()
		d.deadLetters(dead)
		if err := d.decide(l); err != nil {
			return FillChanges{}, err
		}
		ends := map[place]recordEnd{}
		for _, r := range b.Records {
			ends[placeOf(r)] = recordEnd{outcome: string(fills.Duplicate)}
		}
		stillDead := d.ends(ends)
		d.changes.Dead = stillDead
		var err error
		d.changes.Batch = Batch{Topic: b.Topic}
		d.changes.Batch.Letters, err = settle(ends)
		return d.changes, err
	})
}

// ends enters how the records of a replay ended, and returns the dead letters of others: of executions
// that were held and whose turn came now.
func (d *fillDecision) ends(ends map[place]recordEnd) (others []DeadLetter) {
	enter := func(r Record, e recordEnd) bool {
		_, ours := ends[placeOf(r)]
		if ours {
			ends[placeOf(r)] = e
		}
		return ours
	}
	for _, h := range d.changes.Held {
		enter(h.Record, recordEnd{outcome: string(fills.Held), detail: "waits for execution " + h.Waiting.WaitsFor})
	}
	for _, r := range d.changes.Sources {
		enter(r, recordEnd{outcome: string(fills.Applied)})
	}
	for _, l := range d.changes.Dead {
		if !enter(l.Record, recordEnd{l.Reason, l.Detail, l.Account, l.Order}) {
			others = append(others, l)
		}
	}
	return others
}

// replay applies dead letters anew, as one transaction without offsets.
func (h *Events) replay(ctx context.Context, letters []Letter, settle settle) error {
	b := letterBatch(letters)
	incoming, dead, err := h.read(b)
	if err != nil {
		return fmt.Errorf("read %d letters: %w", len(letters), err)
	}
	return h.book.UpdateEvents(ctx, incoming, func(l EventLoad) (EventChanges, error) {
		d := &eventDecision{batch: fresh(b), load: l, log: h.log}
		d.changes.Now = h.now()
		ends := map[place]recordEnd{}
		for _, l := range dead {
			ends[placeOf(l.Record)] = recordEnd{outcome: l.Reason, detail: l.Detail}
		}
		for _, in := range incoming {
			outcome, detail := d.apply(in)
			ends[placeOf(in.Record)] = recordEnd{outcome: string(outcome), detail: detail, account: in.Message.account()}
		}
		var err error
		d.changes.Batch = Batch{Topic: b.Topic}
		d.changes.Batch.Letters, err = settle(ends)
		return d.changes, err
	})
}
