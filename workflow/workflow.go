// Package workflow holds definitions of workflows as data and decides how an instance advances. A
// definition is a graph of nodes: calls of named actions, waits for an instant, and ends; CEL
// expressions over the instance's context and the action's response make the requests and choose
// the transitions. Nothing here calls an action, reads a clock or stores anything: the engine does.
package workflow

import (
	"time"

	"cel.dev/cel-go/common/types/ref"

	"daybreak/money"
)

// Definition is one version of a workflow: checked, compiled and immutable. It is safe for
// concurrent use.
type Definition struct {
	Name    string
	Comment string
	Hash    string // content hash of Canonical: SHA-256 in hex
	Start   string // the node that an instance begins at
	Timeout time.Duration
	Context *Type // an object; its required fields are given to Begin, nodes assign the others
	Params  []Param
	Nodes   []Node // by name

	Canonical []byte // the document with sorted keys and without white space

	index map[string]int // of Nodes
}

// Node is one step of a definition. Which fields are set depends on its type.
type Node struct {
	Name    string
	Type    NodeType
	Comment string
	Line    int // in the document, from 1

	// Of a call.
	Action         Action
	Arguments      []Binding     // fields of the request, by name
	Assign         []Binding     // fields of the context that the response changes, by name
	Retry          []Retrier     // the first that covers a failure's code holds
	Timeout        time.Duration // of one attempt
	MaxConcurrency int           // calls at once over all instances; 0: no limit
	MaxPerSecond   int           // instances a second; 0: no limit
	MaxBatch       int           // instances a call, at most Action.Bulk
	IdempotencyKey *Expression   // of a write

	// Of a wait.
	Until   *Expression
	Past    Past
	MaxWait time.Duration // 0 where the expression bounds it

	// Of a call and a wait.
	Choices []Choice // the first whose condition holds is taken
	Default string   // the node where none holds; "" where the choices cover every case
	Catch   []Catcher

	// Of an end.
	Status Status
	Error  string
	Cause  string
}

// NodeType says what a node does.
type NodeType int

// The types of nodes.
const (
	Call NodeType = iota + 1
	Wait
	Terminal
)

// Past says what a wait does whose instant has passed when it begins.
type Past int

// What a wait does with an instant that has passed: it is over at once, or it is a failure.
const (
	PastContinue Past = iota + 1
	PastFail
)

// Status is how an end ends its instance.
type Status int

// The ways to end. A failed end leaves the instance Failed, with the end's Error as its code.
const (
	Succeeded Status = iota + 1
	EndsFailed
)

// Choice is one transition with its condition.
type Choice struct {
	Condition *Expression
	Next      string
}

// Binding gives one field the value of an expression.
type Binding struct {
	Field string
	Value *Expression

	to       int // index of the field in its object type
	want     *Type
	prefix   []byte // the name in quotes, with a colon
	isProven bool   // each value of the expression is of the field's type
}

// Retrier says how failures with certain codes are tried again: after Interval, which grows by
// Rate with each attempt up to MaxDelay.
type Retrier struct {
	Codes       []string // CodeAll stands for every one
	MaxAttempts int      // retries after the first attempt
	Interval    time.Duration
	Rate        money.Dec
	MaxDelay    time.Duration
	Jitter      bool // a share of the delay instead of all of it, fixed by instance, node and attempt
}

// Catcher sends failures with certain codes to a node, once no retrier takes them.
type Catcher struct {
	Codes []string
	Next  string
}

// Param is a number or text of a definition that can be changed without a new version.
type Param struct {
	Name    string
	Comment string
	Type    *Type
	Default []byte // JSON

	value ref.Val // of Default
}

// Effect says what computing an action again would do.
type Effect int

// The effects of actions. Pure and Read may be computed again; Write is done once for each key.
const (
	Pure Effect = iota + 1
	Read
	Write
)

// Action is what a call node calls: its types and its limits. Where it is done is the registry's
// matter, never a definition's.
type Action struct {
	Name     string
	Comment  string
	Effect   Effect
	Request  *Type
	Response *Type
	Bulk     int           // instances that one call takes, at least 1
	Timeout  time.Duration // of one attempt, at most; a node may ask for less
}

// Actions finds an action by its name. Catalogue implements it.
type Actions interface {
	Action(name string) (Action, bool)
}

// State is where an instance stands.
type State int

// The states of an instance. Running stands at a call that can be made now; Waiting until Due, at a
// wait or for the next attempt of a call. Failed and Paused stay until a person or a command acts.
const (
	Running State = iota + 1
	Waiting
	Paused
	Failed
	Done
	Terminated
)

// Instance is one household on its way through a definition. It is a value: Advance returns the
// next one. Context must not be changed in place.
type Instance struct {
	ID        string
	Household string
	Workflow  string // hash of the definition
	Node      string
	State     State
	Context   []byte    // canonical JSON
	Attempt   int       // of the call at Node, from 1
	Steps     int       // taken so far; StepsMax ends an instance that goes in circles
	Due       time.Time // of a Waiting instance
	Deadline  time.Time // zero: none
	Failure   Failure

	layout layout // where the fields of Context are, once they were looked for
}

// Failure says why and where an instance failed. Signature is the message without its numbers and
// names, so that like failures group.
type Failure struct {
	Node      string `json:"node,omitempty"`
	Code      string `json:"code"`
	Signature string `json:"signature,omitempty"`
	Message   string `json:"message"`
}

// Result is what happened at the node where an instance stands: a response, a failure where
// Failure.Code is set, or that its wait is over.
type Result struct {
	Request  []byte // that the call was made with, for the journal
	Response []byte
	Failure  Failure
	Elapsed  bool
}

// Outcome is what one step came to.
type Outcome int

// The outcomes of a step. Moved took a transition; Retried waits for the next attempt; Caught went
// where a catcher says; Failing left the instance Failed; Resumed ended the wait for an attempt;
// Refused changed nothing, as the instance expects no such result.
const (
	Moved Outcome = iota + 1
	Retried
	Caught
	Failing
	Resumed
	Refused
)

// Step is one entry of the journal: what an instance did at a node and where it went.
type Step struct {
	Node     string
	Attempt  int
	At       time.Time
	Request  []byte // of a call
	Response []byte
	Outcome  Outcome
	Failure  Failure // where Outcome is Retried, Caught or Failing
	Next     string  // node after the step
	Due      time.Time
}

// Env is what expressions see beside the instance: the instant, the parameters in force and the
// functions of sessions and zones.
type Env struct {
	Now       time.Time
	Params    map[string]any // over the defaults; ParseParams makes them
	Functions Functions
}

// Functions are what expressions know of exchanges and zones. Days are 2006-01-02, exchanges ISO
// 10383 codes. A function that is nil is a failure of the expression that calls it.
type Functions struct {
	NextOpen    func(exchange string, t time.Time) (time.Time, error) // first opening after t
	NextClose   func(exchange string, t time.Time) (time.Time, error) // first close after t
	IsOpen      func(exchange string, t time.Time) (bool, error)
	IsSession   func(exchange, day string) (bool, error)
	NextSession func(exchange, day string) (string, error)
	PrevSession func(exchange, day string) (string, error)
	Open        func(exchange, day string) (time.Time, error)
	Close       func(exchange, day string) (time.Time, error)
	Zone        func(name string) (*time.Location, error)
}

// The codes of failures that this package gives or that engines are expected to.
const (
	CodeAll           = "ALL" // in a retrier or catcher: every code
	CodeUnavailable   = "UNAVAILABLE"
	CodeTimeout       = "TIMEOUT"
	CodePanic         = "PANIC"
	CodeBadRequest    = "BAD_REQUEST"
	CodeBadResponse   = "BAD_RESPONSE"
	CodeExpression    = "EXPRESSION"
	CodeDeadline      = "DEADLINE"
	CodeStepsMax      = "STEPS_MAX"
	CodeWaitPast      = "WAIT_PAST"
	CodeWaitTooLong   = "WAIT_TOO_LONG"
	CodeContextTooBig = "CONTEXT_TOO_BIG"
	CodeBadContext    = "BAD_CONTEXT"
	CodeBadState      = "BAD_STATE" // a result for an instance that waits for none
)

// StepsMax bounds the steps of an instance, ContextMax the bytes of its context, and ResponseMax
// those of a response.
const (
	StepsMax    = 1_000
	ContextMax  = 1 << 20
	ResponseMax = 1 << 20
)
