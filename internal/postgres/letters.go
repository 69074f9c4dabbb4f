package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"daybreak/pipeline"
)

var _ pipeline.Letters = (*DB)(nil)

// insertDeadLetters stores the dead letters of a batch, whose counts are committed already, and wakes
// who relays and replays them.
func insertDeadLetters(ctx context.Context, tx pgx.Tx, topic string, dead []pipeline.DeadLetter) error {
	if len(dead) == 0 {
		return nil
	}
	n, now := len(dead), time.Now()
	partitions, offsets := make([]int32, n), make([]int64, n)
	keys, headers, values := make([][]byte, n), make([]string, n), make([][]byte, n)
	reasons, details, heals := make([]string, n), make([]string, n), make([]string, n)
	due, sent := make([]*time.Time, n), make([]*time.Time, n)
	accounts, ids, counted := make([]string, n), make([]string, n), make([]bool, n)
	for i, d := range dead {
		partitions[i], offsets[i] = d.Record.Partition, d.Record.Offset
		keys[i], values[i] = d.Record.Key, d.Record.Value
		reasons[i], details[i], heals[i] = d.Reason, d.Detail, string(pipeline.HealingOf(d.Reason))
		accounts[i], ids[i], counted[i] = d.Account, d.Order, !d.Released
		if isReplayed(topic) {
			due[i] = pipeline.LetterDue(d.Reason, 1, now)
		} else {
			heals[i] = string(pipeline.HealsByHand)
		}
		if !d.Record.Time.IsZero() {
			sent[i] = &d.Record.Time
		}
		text, err := json.Marshal(d.Record.Headers)
		if err != nil {
			return fmt.Errorf("dead letter %d/%d: %w", d.Record.Partition, d.Record.Offset, err)
		}
		headers[i] = string(text)
	}
	_, err := tx.Exec(ctx, query("StoreDeadLetters"), topic, partitions, offsets, keys, headers, values, reasons, details, heals, due, sent,
		accounts, ids, counted, now)
	if err == nil {
		_, err = tx.Exec(ctx, query("Notify"), pipeline.ChannelLetters, "")
	}
	if err != nil {
		return fmt.Errorf("store dead letters: %w", err)
	}
	return nil
}

// isReplayed reports whether the letters of a topic can be applied again.
func isReplayed(topic string) bool {
	return topic == pipeline.TopicFills || topic == pipeline.TopicEvents
}

// settleLetters stores the ends of letters. It returns pipeline.ErrFenced where one was tried by
// somebody else meanwhile; the caller rolls back.
func settleLetters(ctx context.Context, tx pgx.Tx, ends []pipeline.LetterEnd) error {
	if len(ends) == 0 {
		return nil
	}
	n := len(ends)
	ids, attempts, states := make([]int64, n), make([]int32, n), make([]string, n)
	outcomes, reasons, details, heals := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	due, accounts, orderIDs := make([]*time.Time, n), make([]string, n), make([]string, n)
	for i, e := range ends {
		ids[i], attempts[i], states[i], outcomes[i] = e.ID, int32(e.Attempts), string(e.State), e.Outcome
		reasons[i], details[i], heals[i] = e.Reason, e.Detail, string(pipeline.HealingOf(e.Reason))
		due[i], accounts[i], orderIDs[i] = e.Due, e.Account, e.Order
	}
	tag, err := tx.Exec(ctx, query("SettleLetters"), ids, attempts, states, outcomes, reasons, details, heals, due, accounts,
		ends[0].Build, ends[0].Actor, ends[0].Now, orderIDs)
	if err != nil {
		return fmt.Errorf("store ends of dead letters: %w", err)
	}
	if tag.RowsAffected() != int64(n) {
		return fmt.Errorf("%d of %d dead letters as they were: %w", tag.RowsAffected(), n, pipeline.ErrFenced)
	}
	return nil
}

// SettleLetters implements pipeline.Letters.
func (db *DB) SettleLetters(ctx context.Context, ends []pipeline.LetterEnd) error {
	return db.inTx(ctx, func(tx pgx.Tx) error { return settleLetters(ctx, tx, ends) })
}

// Letters implements pipeline.Letters.
func (db *DB) Letters(ctx context.Context, q pipeline.LetterQuery) ([]pipeline.Letter, error) {
	ids := q.IDs
	if ids == nil {
		ids = []int64{}
	}
	return db.letters(ctx, "LettersPage", q.After, string(q.State), q.Topic, ids, q.Limit)
}

// DueLetters implements pipeline.Letters.
func (db *DB) DueLetters(ctx context.Context, now time.Time, limit int) ([]pipeline.Letter, error) {
	return db.letters(ctx, "LettersDue", now, limit)
}

// UnsentLetters implements pipeline.Letters.
func (db *DB) UnsentLetters(ctx context.Context, limit int) ([]pipeline.Letter, error) {
	return db.letters(ctx, "LettersUnsent", limit)
}

func (db *DB) letters(ctx context.Context, name string, args ...any) ([]pipeline.Letter, error) {
	rows, err := db.pool.Query(ctx, query(name), args...)
	if err != nil {
		return nil, fmt.Errorf("dead letters: %w", err)
	}
	all, err := pgx.CollectRows(rows, scanLetter)
	if err != nil {
		return nil, fmt.Errorf("dead letters: %w", err)
	}
	return all, nil
}

func scanLetter(row pgx.CollectableRow) (pipeline.Letter, error) {
	var l pipeline.Letter
	var headers string
	err := row.Scan(&l.ID, &l.Topic, &l.Partition, &l.Offset, &l.Key, &headers, &l.Value, &l.Reason, &l.Detail, &l.Attempts, &l.State,
		&l.Outcome, &l.Heals, &l.Account, &l.Order, &l.Seen, &l.Sent, &l.Due, &l.Relayed, &l.Resolved, &l.Actor, &l.Why, &l.Build)
	if err != nil {
		return l, err
	}
	return l, json.Unmarshal([]byte(headers), &l.Headers)
}

// NextLetter implements pipeline.Letters.
func (db *DB) NextLetter(ctx context.Context) (*time.Time, error) {
	var due *time.Time
	if err := db.pool.QueryRow(ctx, query("LetterNext")).Scan(&due); err != nil {
		return nil, fmt.Errorf("next dead letter: %w", err)
	}
	return due, nil
}

// WakeLetters implements pipeline.Letters.
func (db *DB) WakeLetters(ctx context.Context, build string, now time.Time) (int64, error) {
	return db.changeLetters(ctx, "LettersWake", build, now)
}

// MarkSent implements pipeline.Letters.
func (db *DB) MarkSent(ctx context.Context, ids []int64, now time.Time) error {
	_, err := db.changeLetters(ctx, "LettersSent", ids, now)
	return err
}

// ResendLetters has letters sent to their topic again.
func (db *DB) ResendLetters(ctx context.Context, ids []int64) (int64, error) {
	n, err := db.changeLetters(ctx, "LettersResend", ids)
	if err != nil {
		return n, err
	}
	_, err = db.pool.Exec(ctx, query("Notify"), pipeline.ChannelLetters, "")
	return n, err
}

func (db *DB) changeLetters(ctx context.Context, name string, args ...any) (int64, error) {
	tag, err := db.pool.Exec(ctx, query(name), args...)
	if err != nil {
		return 0, fmt.Errorf("dead letters: %w", err)
	}
	return tag.RowsAffected(), nil
}

// DropLetters ends open letters in the name of a person, with an audit row. Where one of them is not
// open any more it drops none: pipeline.ErrState.
func (db *DB) DropLetters(ctx context.Context, ids []int64, by, why string, now time.Time) error {
	return db.inTx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, query("LettersDrop"), ids, by, why, now)
		if err != nil {
			return fmt.Errorf("drop dead letters: %w", err)
		}
		if tag.RowsAffected() != int64(len(ids)) {
			return fmt.Errorf("%d of %d dead letters are open: %w", tag.RowsAffected(), len(ids), pipeline.ErrState)
		}
		return writeAudit(ctx, tx, AuditEntry{At: now, Actor: by, Action: "letter.drop", Subject: fmt.Sprintf("%d letters", len(ids)),
			Detail: map[string]any{"letters": ids, "why": why}})
	})
}

// LetterTotals returns the open letters by topic and reason, whoever asks: they are nobody's rows.
func (db *DB) LetterTotals(ctx context.Context) ([]pipeline.LetterTotal, error) {
	all, err := rowsOf[pipeline.LetterTotal](whole(ctx), db, "LetterTotals")
	if err != nil {
		return nil, fmt.Errorf("dead letters: %w", err)
	}
	return all, nil
}
