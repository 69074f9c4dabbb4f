package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/jackc/pgx/v5"

	"daybreak/internal/access"
)

// AuditEntry is one act of a person or of the scheduler that changed what will be traded.
type AuditEntry struct {
	At      time.Time
	Actor   string
	Action  string // area.verb, such as order.approve
	Subject string // what it was done to: a run, an order, an approval
	Detail  map[string]any
}

// auditLock is the key of the advisory lock under which the chain grows, one link at a time.
const auditLock = 0x6461796272656b // "daybrek"

// writeAudit appends an entry to the chain in tx: its hash covers the one before it. Writers take
// turns until their transaction ends, so the audit is written last.
func writeAudit(ctx context.Context, tx pgx.Tx, e AuditEntry) error {
	if _, err := tx.Exec(ctx, query("LockAudit"), int64(auditLock)); err != nil {
		return fmt.Errorf("audit %s: %w", e.Action, err)
	}
	var id int64
	var previous string
	if err := tx.QueryRow(ctx, query("LastAudit")).Scan(&id, &previous); err != nil {
		return fmt.Errorf("audit %s: %w", e.Action, err)
	}
	detail, err := json.Marshal(e.proven(ctx))
	if err != nil {
		return fmt.Errorf("audit %s: %w", e.Action, err)
	}
	at := e.At.UTC().Truncate(time.Microsecond)
	hash := auditHash(auditLink{id + 1, at, e.Actor, e.Action, e.Subject, detail, previous})
	if _, err := tx.Exec(ctx, query("InsertAudit"), id+1, at, e.Actor, e.Action, e.Subject, detail, previous, hash); err != nil {
		return fmt.Errorf("audit %s: %w", e.Action, err)
	}
	return nil
}

// proven returns the entry's detail with how its actor proved who that is, and with the person in whose
// context it was done where that is another one.
func (e AuditEntry) proven(ctx context.Context) map[string]any {
	p := access.Of(ctx)
	if p == nil {
		return e.Detail
	}
	detail := map[string]any{}
	maps.Copy(detail, e.Detail)
	if p.Via != "" {
		detail["via"] = p.Via
	}
	if p.Name != e.Actor {
		detail["by"] = p.Name
	}
	return detail
}

// RecordAct appends an entry to the audit trail that no other change comes with.
func (db *DB) RecordAct(ctx context.Context, e AuditEntry) error {
	return db.inTx(ctx, func(tx pgx.Tx) error { return writeAudit(ctx, tx, e) })
}

// auditLink is what the hash of an audit row covers, in this order.
type auditLink struct {
	ID       int64           `json:"id"`
	At       time.Time       `json:"at"`
	Actor    string          `json:"actor"`
	Action   string          `json:"action"`
	Subject  string          `json:"subject"`
	Detail   json.RawMessage `json:"detail"`
	Previous string          `json:"previous"`
}

func auditHash(l auditLink) string {
	text, err := json.Marshal(l)
	if err != nil {
		panic(fmt.Errorf("audit %d: %w", l.ID, err)) // Detail is JSON that we wrote or that Postgres checked
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
