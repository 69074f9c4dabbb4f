package workflow

import (
	"cmp"
	"fmt"
	"slices"
)

// Check is one of the twelve things that are checked of a definition before it is stored.
type Check int

// The checks, in the order of docs/workflows.md. CheckParked needs instances: CheckMove does it.
const (
	CheckShape      Check = iota + 1 // the document is what docs/workflow.schema.json says
	CheckReferences                  // every node, action and field that is named is there, once
	CheckReachable                   // each node can be reached
	CheckEnds                        // from each node an end can be reached
	CheckTotal                       // in every case some transition holds, and each can
	CheckCycles                      // nothing goes in circles without a wait
	CheckTypes                       // expressions fit the types, and read what was set before
	CheckCost                        // no evaluation can take long
	CheckKeys                        // a write has an idempotency key
	CheckWaits                       // a wait is over at some time, and says what holds if that is past
	CheckRetries                     // attempts end before the session does
	CheckParked                      // instances that stand somewhere fit the new version
)

// String returns the check's name.
func (c Check) String() string {
	return [...]string{
		"", "shape", "references", "reachable", "ends", "total", "cycles", "types", "cost", "keys", "waits", "retries", "parked",
	}[c]
}

// MarshalText returns the check's name.
func (c Check) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// Problem is one fault of a document, with its place and what to do about it. Lines and columns
// count from 1, columns in bytes.
type Problem struct {
	Check    Check    `json:"check"`
	Severity Severity `json:"severity"`
	Line     int      `json:"line"`
	Column   int      `json:"column"`
	Node     string   `json:"node,omitempty"`
	Reason   string   `json:"reason"`
	Remedy   string   `json:"remedy"`
}

// Severity tells faults that refuse a document from those that don't.
type Severity string

// The severities.
const (
	Fault   Severity = "error"
	Warning Severity = "warning"
)

// String returns the problem in one line.
func (p Problem) String() string {
	node := ""
	if p.Node != "" {
		node = " node " + p.Node + ":"
	}
	return fmt.Sprintf("%d:%d: %s (check %d, %s):%s %s; %s", p.Line, p.Column, p.Severity, int(p.Check), p.Check, node, p.Reason, p.Remedy)
}

// HasFault reports whether any of the problems refuses the document.
func HasFault(problems []Problem) bool {
	return slices.ContainsFunc(problems, func(p Problem) bool { return p.Severity == Fault })
}

// sortProblems puts problems in order of their place, then of their check, each once.
func sortProblems(problems []Problem) []Problem {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Check, b.Check))
	})
	return slices.Compact(problems)
}
