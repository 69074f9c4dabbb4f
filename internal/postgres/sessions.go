package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"daybreak/pipeline"
)

// Sessions keeps browsers' sessions. It is a store of scs, which hands over hashes of cookies, never
// the cookies themselves.
type Sessions struct{ db *DB }

// Sessions returns the store of browsers' sessions.
func (db *DB) Sessions() Sessions { return Sessions{db} }

// FindCtx implements scs.CtxStore.
func (s Sessions) FindCtx(ctx context.Context, token string) (data []byte, found bool, err error) {
	err = s.db.pool.QueryRow(whole(ctx), query("FindSession"), token, time.Now()).Scan(&data)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, false, nil
	}
	return data, err == nil, err
}

// CommitCtx implements scs.CtxStore.
func (s Sessions) CommitCtx(ctx context.Context, token string, data []byte, expiry time.Time) error {
	_, err := s.db.pool.Exec(whole(ctx), query("CommitSession"), token, data, expiry)
	return err
}

// DeleteCtx implements scs.CtxStore.
func (s Sessions) DeleteCtx(ctx context.Context, token string) error {
	_, err := s.db.pool.Exec(whole(ctx), query("DeleteSession"), token)
	return err
}

// Find implements scs.Store.
func (s Sessions) Find(token string) ([]byte, bool, error) {
	return s.FindCtx(context.Background(), token)
}

// Commit implements scs.Store.
func (s Sessions) Commit(token string, data []byte, expiry time.Time) error {
	return s.CommitCtx(context.Background(), token, data, expiry)
}

// Delete implements scs.Store.
func (s Sessions) Delete(token string) error { return s.DeleteCtx(context.Background(), token) }

// inFlightMax is how long a request without an answer counts as under way: its process may have died.
const inFlightMax = 2 * time.Minute

// BeginRequest makes a write the caller's to do: it returns nil. Where it was done already, it returns
// the answer; where it is under way, pipeline.ErrBusy; where the key stands for another request,
// pipeline.ErrState, both wrapped.
func (db *DB) BeginRequest(ctx context.Context, k pipeline.RequestKey, now time.Time) (*pipeline.StoredAnswer, error) {
	ctx = whole(ctx)
	var mine bool
	err := db.pool.QueryRow(ctx, query("BeginRequest"), k.Person, k.Key, k.Request, now, now.Add(-inFlightMax)).Scan(&mine)
	if err == nil {
		return nil, nil
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return nil, fmt.Errorf("request %s: %w", k.Key, err)
	}
	var request string
	var a pipeline.StoredAnswer
	var headers []byte
	if err := db.pool.QueryRow(ctx, query("AnsweredRequest"), k.Person, k.Key).Scan(&request, &a.Status, &headers, &a.Body); err != nil {
		return nil, fmt.Errorf("request %s: %w", k.Key, err)
	}
	switch {
	case request != k.Request:
		return nil, fmt.Errorf("the key %s stands for another request: %w", k.Key, pipeline.ErrState)
	case a.Status == 0:
		return nil, fmt.Errorf("request %s: %w", k.Key, pipeline.ErrBusy)
	}
	return &a, json.Unmarshal(headers, &a.Headers)
}

// AnswerRequest keeps the answer to a write.
func (db *DB) AnswerRequest(ctx context.Context, k pipeline.RequestKey, a pipeline.StoredAnswer) error {
	headers, err := json.Marshal(a.Headers)
	if err == nil {
		_, err = db.pool.Exec(whole(ctx), query("AnswerRequest"), k.Person, k.Key, a.Status, headers, a.Body)
	}
	if err != nil {
		return fmt.Errorf("request %s: %w", k.Key, err)
	}
	return nil
}

// ForgetRequest lets a write that failed be tried again.
func (db *DB) ForgetRequest(ctx context.Context, k pipeline.RequestKey) error {
	if _, err := db.pool.Exec(whole(ctx), query("ForgetRequest"), k.Person, k.Key); err != nil {
		return fmt.Errorf("request %s: %w", k.Key, err)
	}
	return nil
}

// Sweep deletes sessions that have ended and answers that are older than a day.
func (db *DB) Sweep(ctx context.Context, now time.Time) error {
	const answersKept = 24 * time.Hour
	_, err1 := db.pool.Exec(whole(ctx), query("DeleteOldSessions"), now)
	_, err2 := db.pool.Exec(whole(ctx), query("ForgetOldRequests"), now.Add(-answersKept))
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("sweep sessions and answers: %w", err)
	}
	return nil
}
