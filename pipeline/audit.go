package pipeline

import (
	"encoding/json"
	"time"
)

// AuditLink is one row of the audit trail. Hash covers the other fields, Previous among them.
type AuditLink struct {
	ID       int64           `json:"id"`
	At       time.Time       `json:"at"`
	Actor    string          `json:"actor"`
	Action   string          `json:"action"`
	Subject  string          `json:"subject"`
	Detail   json.RawMessage `json:"detail"` // via, by, before, after, why, comment and what else the act says
	Previous string          `json:"previous"`
	Hash     string          `json:"hash"`
}

// AuditRoot names the audit trail up to a row: the hash of that row covers all before it.
type AuditRoot struct {
	ID   int64  `json:"id"`
	Hash string `json:"hash"`
}

// AuditQuery asks for at most Limit rows of the audit trail before a row, newest first; 0 begins at
// the end. Empty fields match all; Action matches by its beginning.
type AuditQuery struct {
	Before  int64
	Actor   string
	Action  string
	Subject string
	From    *time.Time
	To      *time.Time // not included
	Limit   int
}
