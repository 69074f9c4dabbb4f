package pipeline

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"time"
)

// ChannelLetters is notified, in the transaction, where dead letters are stored or become due.
const ChannelLetters = "daybreak_letters"

// Letters keeps the dead letters.
type Letters interface {
	// Letters returns the letters of a query, by id, with their bytes.
	Letters(ctx context.Context, q LetterQuery) ([]Letter, error)
	// DueLetters returns at most limit open letters that are due at now, the longest due first.
	DueLetters(ctx context.Context, now time.Time, limit int) ([]Letter, error)
	// NextLetter returns when the next letter is due; nil for none.
	NextLetter(ctx context.Context) (*time.Time, error)
	// WakeLetters makes the open letters that another build of ours has tried, and that a build may
	// heal, due at now. It returns their number.
	WakeLetters(ctx context.Context, build string, now time.Time) (int64, error)
	// SettleLetters stores ends without anything else.
	SettleLetters(ctx context.Context, ends []LetterEnd) error
	// UnsentLetters returns at most limit letters that the topic has not got, by id.
	UnsentLetters(ctx context.Context, limit int) ([]Letter, error)
	// MarkSent notes that the topic has letters.
	MarkSent(ctx context.Context, ids []int64, now time.Time) error
	Listen(ctx context.Context, channels []string, wake func(channel, payload string)) error
}

// Replayer applies dead letters again: by itself those that are due, or those that a person chose. The
// number of attempts of each row is its fence, so that any number of replayers may run.
type Replayer struct {
	Letters Letters
	Fills   *Fills
	Events  *Events
	Build   string
	Now     func() time.Time
	Log     *slog.Logger
}

// replayMax is the number of letters that one transaction replays.
const replayMax = 200

// byItself is the actor of automatic replays.
const byItself = "automatic"

// Run replays letters as they become due, until ctx ends. It sleeps until the next one is due, or
// until it is notified.
func (r *Replayer) Run(ctx context.Context) error {
	if n, err := r.Letters.WakeLetters(ctx, r.Build, r.Now()); err != nil {
		return err
	} else if n > 0 {
		r.Log.Info("dead letters are tried by this build", "letters", n)
	}
	return whenWoken(ctx, r.Letters, func() (time.Duration, error) {
		due, err := r.Letters.DueLetters(ctx, r.Now(), replayMax)
		if err != nil {
			return 0, err
		}
		verdicts, err := r.Replay(ctx, due, byItself, false)
		for _, v := range verdicts {
			r.Log.Info("dead letter replayed", "topic", v.Topic, "partition", v.Partition, "offset", v.Offset, "outcome", v.Outcome)
		}
		if err != nil || len(due) == replayMax {
			return 0, err
		}
		next, err := r.Letters.NextLetter(ctx)
		if err != nil || next == nil {
			return letterIdleMax, err
		}
		return min(max(next.Sub(r.Now()), letterNapMin), letterIdleMax), nil
	}, r.Log)
}

// The longest sleep without a notification, and the shortest one.
const (
	letterIdleMax = time.Minute
	letterNapMin  = 100 * time.Millisecond
)

// whenWoken calls work at once, after the pause that it returned, and at each notification of
// ChannelLetters, until ctx ends. An error is logged and tried again after a second.
func whenWoken(ctx context.Context, letters Letters, work func() (time.Duration, error), log *slog.Logger) error {
	woken := make(chan struct{}, 1)
	listening := make(chan error, 1)
	go func() {
		listening <- letters.Listen(ctx, []string{ChannelLetters}, func(string, string) {
			select {
			case woken <- struct{}{}:
			default:
			}
		})
	}()
	for ctx.Err() == nil {
		pause, err := work()
		if err != nil && ctx.Err() == nil {
			log.Error("dead letters wait", "error", err)
			pause = time.Second
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-woken:
		}
		timer.Stop()
	}
	return <-listening
}

// Replay applies letters anew, in order of their places, and returns what became of each. With dry it
// changes nothing and returns what would. Those that a household's panic may have taken along are tried
// alone. A transaction that fails is divided, so that one letter stops no other.
func (r *Replayer) Replay(ctx context.Context, letters []Letter, actor string, dry bool) ([]LetterVerdict, error) {
	letters = slices.Clone(letters)
	slices.SortFunc(letters, func(a, b Letter) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	var verdicts []LetterVerdict
	for len(letters) > 0 {
		n := 1
		for n < min(len(letters), replayMax) && letters[n].Topic == letters[0].Topic && letters[n].Reason != ReasonFillPanic && letters[0].Reason != ReasonFillPanic {
			n++
		}
		done, err := r.part(ctx, letters[:n], actor, dry)
		verdicts = append(verdicts, done...)
		if err != nil {
			return verdicts, err
		}
		letters = letters[n:]
	}
	return verdicts, nil
}

// part replays letters in one transaction, or in two halves where it fails. One that fails alone is
// put off. Letters that somebody else has tried meanwhile are left out.
func (r *Replayer) part(ctx context.Context, letters []Letter, actor string, dry bool) ([]LetterVerdict, error) {
	verdicts, err := r.once(ctx, letters, actor, dry)
	switch {
	case err == nil || ctx.Err() != nil:
		return verdicts, err
	case len(letters) > 1:
		half := len(letters) / 2
		first, err := r.part(ctx, letters[:half], actor, dry)
		if err != nil {
			return first, err
		}
		second, err := r.part(ctx, letters[half:], actor, dry)
		return append(first, second...), err
	case errors.Is(err, ErrFenced):
		return nil, nil
	case dry:
		return nil, err
	}
	l, now := letters[0], r.Now()
	r.Log.Error("dead letter could not be replayed", "topic", l.Topic, "partition", l.Partition, "offset", l.Offset, "error", err)
	due := now.Add(letterPauseMax)
	end := LetterEnd{ID: l.ID, Attempts: l.Attempts, State: LetterOpen, Reason: l.Reason, Detail: l.Detail, Account: l.Account, Order: l.Order,
		Due: &due, Build: r.Build, Actor: actor, Now: now}
	return nil, errors.Join(err, r.Letters.SettleLetters(ctx, []LetterEnd{end}))
}

func (r *Replayer) once(ctx context.Context, letters []Letter, actor string, dry bool) ([]LetterVerdict, error) {
	var verdicts []LetterVerdict
	settle := func(ends map[place]recordEnd) ([]LetterEnd, error) {
		var stored []LetterEnd
		verdicts = nil
		for _, l := range letters {
			end := ends[place{l.Partition, l.Offset}]
			v := LetterVerdict{ID: l.ID, Topic: l.Topic, Partition: l.Partition, Offset: l.Offset, Reason: l.Reason, Outcome: end.outcome, Detail: end.detail}
			verdicts = append(verdicts, v)
			stored = append(stored, r.end(l, v, end, actor))
		}
		if dry {
			return nil, errRehearsed
		}
		return stored, nil
	}
	var err error
	switch letters[0].Topic {
	case TopicFills:
		err = r.Fills.replay(ctx, letters, settle)
	case TopicEvents:
		err = r.Events.replay(ctx, letters, settle)
	default:
		return nil, fmt.Errorf("letters of %s are not replayed: start what they ask for again: %w", letters[0].Topic, ErrState)
	}
	if errors.Is(err, errRehearsed) {
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("replay %d letters: %w", len(letters), err)
	}
	return verdicts, nil
}

func (r *Replayer) end(l Letter, v LetterVerdict, end recordEnd, actor string) LetterEnd {
	now := r.Now()
	e := LetterEnd{ID: l.ID, Attempts: l.Attempts, Build: r.Build, Actor: actor, Now: now, Account: cmp.Or(end.account, l.Account), Order: cmp.Or(end.order, l.Order)}
	if v.Ends() {
		e.State, e.Outcome, e.Reason, e.Detail = LetterReplayed, v.Outcome, l.Reason, l.Detail
		return e
	}
	e.State, e.Reason, e.Detail, e.Due = LetterOpen, v.Outcome, v.Detail, LetterDue(v.Outcome, l.Attempts+1, now)
	return e
}

// LetterRelay sends dead letters to TopicDeadLetters. A letter may be sent again at any time: who reads
// the topic knows it by its id, in a header.
type LetterRelay struct {
	Letters   Letters
	Publisher Publisher
	Now       func() time.Time
	Log       *slog.Logger
}

// relayMax is the number of letters that are sent at once.
const relayMax = 500

// Run sends letters as they are stored, until ctx ends.
func (r *LetterRelay) Run(ctx context.Context) error {
	return whenWoken(ctx, r.Letters, func() (time.Duration, error) {
		n, err := r.Send(ctx)
		if n == relayMax {
			return 0, err
		}
		return letterIdleMax, err
	}, r.Log)
}

// Send sends the letters that the topic has not got, at most relayMax, and returns their number.
func (r *LetterRelay) Send(ctx context.Context) (int, error) {
	letters, err := r.Letters.UnsentLetters(ctx, relayMax)
	if err != nil || len(letters) == 0 {
		return 0, err
	}
	partitions, err := r.Publisher.Partitions(ctx, TopicDeadLetters)
	if err != nil {
		return 0, err
	}
	records, ids := make([]Record, len(letters)), make([]int64, len(letters))
	for i, l := range letters {
		records[i], ids[i] = l.relayed(partitions), l.ID
	}
	if err := r.Publisher.Publish(ctx, records); err != nil {
		return 0, err
	}
	return len(letters), r.Letters.MarkSent(ctx, ids, r.Now())
}

// Headers that a relayed dead letter carries beside those of its record.
const (
	HeaderLetterID        = "dlq_id"
	HeaderLetterReason    = "dlq_reason"
	HeaderLetterDetail    = "dlq_detail"
	HeaderLetterAttempts  = "dlq_attempts"
	HeaderLetterTopic     = "dlq_topic"
	HeaderLetterPartition = "dlq_partition"
	HeaderLetterOffset    = "dlq_offset"
)

// relayed returns the record of the topic for a letter: its very key and bytes, its headers, and where
// it comes from and why. Letters of one routing key keep their order.
func (l Letter) relayed(partitions int32) Record {
	source := strconv.FormatInt(int64(l.Partition), 10)
	routing := l.Topic + "/" + source
	for _, h := range l.Headers {
		if h.Key == HeaderRoutingKey {
			routing = string(h.Value)
		}
	}
	out := Record{Topic: TopicDeadLetters, Partition: Partition(routing, partitions), Key: l.Key, Value: l.Value, Headers: slices.Clone(l.Headers)}
	for _, h := range [][2]string{
		{HeaderLetterID, strconv.FormatInt(l.ID, 10)}, {HeaderLetterReason, l.Reason}, {HeaderLetterDetail, l.Detail},
		{HeaderLetterAttempts, strconv.Itoa(l.Attempts)}, {HeaderLetterTopic, l.Topic}, {HeaderLetterPartition, source},
		{HeaderLetterOffset, strconv.FormatInt(l.Offset, 10)},
	} {
		out.Headers = append(out.Headers, Header{h[0], []byte(h[1])})
	}
	return out
}

// LetterContent returns what a letter's bytes say as JSON, where this build can read them, or why it
// cannot.
func (r *Replayer) LetterContent(l Letter) (json.RawMessage, error) {
	var value any
	var err error
	switch l.Topic {
	case TopicFills:
		value, err = r.Fills.codec.Decode(l.Value)
	case TopicEvents:
		value, err = r.Events.codec.Decode(l.Value)
	default:
		err = &BadRecord{Reason: "OTHER_TOPIC", Detail: l.Topic}
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(value)
}
