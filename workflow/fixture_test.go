package workflow

import (
	"fmt"
	"strings"
	"time"
)

// testActions are small actions, beside those of the build.
var testActions = Builtin().With(mustActions(`[
 {"name": "test.work", "effect": "read", "bulk": 10, "timeout_seconds": 60,
  "request": {"type": "object", "properties": {"text": {"type": "string"}, "count": {"type": "integer"}}},
  "response": {"type": "object", "required": ["status", "total", "ok"], "properties": {
    "status": {"type": "string", "enum": ["ok", "bad", "late"]}, "ok": {"type": "boolean"}, "total": {"type": "string", "format": "decimal"},
    "items": {"type": "array", "maxItems": 5000, "items": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 20}}}}}}},
 {"name": "test.write", "effect": "write",
  "request": {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}},
  "response": {"type": "object", "properties": {}}}
]`)...)

func mustActions(text string) Catalogue {
	c, err := ParseActions([]byte(text))
	if err != nil {
		panic(err)
	}
	return c
}

// smallDocument is a definition with one node of each type and a context with each kind of value.
const smallDocument = `{
 "name": "small", "start_at": "work", "timeout_seconds": 3600,
 "params": {"rate": {"type": {"type": "string", "format": "decimal"}, "default": "0.5"}},
 "context": {"type": "object", "required": ["text", "day", "list"], "properties": {
   "text": {"type": "string", "maxLength": 100}, "day": {"type": "string", "format": "date"}, "total": {"type": "string", "format": "decimal"},
   "list": {"type": "array", "maxItems": 20, "items": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 20}, "count": {"type": "integer"}}}},
   "more": {"type": "boolean"}, "since": {"type": "string", "format": "date-time"}, "byname": {"type": "object", "additionalProperties": {"type": "integer"}}}},
 "nodes": {
  "work": {"type": "call", "action": "test.work", "arguments": {"text": "ctx.text", "count": "size(ctx.list)"}, "assign": {"total": "out.total"},
    "retry": [{"error_equals": ["UNAVAILABLE"], "max_attempts": 2, "interval_seconds": 10, "backoff_rate": "3", "max_delay_seconds": 20}],
    "catch": [{"error_equals": ["TIMEOUT"], "next": "failed"}],
    "choices": [{"condition": "out.status == 'ok'", "next": "done"}, {"condition": "out.status == 'late'", "next": "later"}], "default": "failed"},
  "later": {"type": "wait", "until": "now + duration('5m')", "next": "work"},
  "done": {"type": "terminal", "status": "succeeded"},
  "failed": {"type": "terminal", "status": "failed", "error": "BAD", "cause": "It was bad."}}}`

const (
	smallContext  = `{"byname":{"a":1,"b":2},"day":"2026-03-08","list":[{"count":1,"name":"a"},{"count":2,"name":"b"}],"since":"2026-01-02T03:04:05Z","text":"aaaaaaaaaaaaaaaaaaaaaaaaaaaab","total":"12.5"}`
	smallResponse = `{"items":[{"name":"x"}],"ok":true,"status":"ok","total":"100.25"}`
)

// testFunctions know an exchange that opens at 14:30 UTC on each day.
var testFunctions = Functions{
	NextOpen: func(_ string, t time.Time) (time.Time, error) {
		open := t.UTC().Truncate(24 * time.Hour).Add(14*time.Hour + 30*time.Minute)
		if !open.After(t) {
			open = open.Add(24 * time.Hour)
		}
		return open, nil
	},
	IsOpen:    func(exchange string, _ time.Time) (bool, error) { return exchange == "XTSE", nil },
	IsSession: func(_, day string) (bool, error) { return !strings.HasSuffix(day, "-25"), nil },
	Zone: func(name string) (*time.Location, error) {
		if name != "America/Toronto" {
			return nil, fmt.Errorf("unknown zone %q", name)
		}
		return time.FixedZone("EST", -5*3600), nil
	},
}
