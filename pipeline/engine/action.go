package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"daybreak/workflow"
)

// Call asks for an action for one instance.
type Call struct {
	Instance  string
	Household string
	Node      string
	Attempt   int
	Request   []byte    // JSON
	Key       string    // idempotency key of a write, "" else
	Epoch     int64     // of the partition's owner: a service may refuse an older one than it has seen
	Deadline  time.Time // after which nobody waits for the answer
}

// Reply is the answer to a call: a response, or a failure where Failure.Code is set.
type Reply struct {
	Response []byte // JSON
	Failure  workflow.Failure
}

// Doer does an action for several instances. It returns a reply for each call, in their order, and
// gives up when ctx ends.
type Doer interface {
	Do(ctx context.Context, calls []Call) []Reply
}

// Bound is an action with what does it.
type Bound struct {
	Action      workflow.Action
	Do          Doer
	Concurrency int // calls at once from one batch; 0: as many as there are cores
}

// Registry holds the actions of an installation by name.
type Registry map[string]Bound

// Action implements workflow.Actions.
func (r Registry) Action(name string) (workflow.Action, bool) {
	b, ok := r[name]
	return b.Action, ok
}

// Func makes a function of this process an action. Its error is a failure with the error's Code
// where it is a *CodeError, else UNAVAILABLE, which retries cover.
type Func func(ctx context.Context, c Call) ([]byte, error)

// CodeError is an error of an action that has a code of its own.
type CodeError struct {
	Code    string
	Message string
}

// Error returns the code and the message.
func (e *CodeError) Error() string { return e.Code + ": " + e.Message }

// Do implements Doer: each call is made on its own, behind a barrier for panics.
func (f Func) Do(ctx context.Context, calls []Call) []Reply {
	replies := make([]Reply, len(calls))
	for i, c := range calls {
		replies[i] = f.one(ctx, c)
	}
	return replies
}

func (f Func) one(ctx context.Context, c Call) (reply Reply) {
	defer func() {
		if r := recover(); r != nil {
			reply = Reply{Failure: panicked(r)}
		}
	}()
	response, err := f(ctx, c)
	if err != nil {
		return Reply{Failure: failureOf(err)}
	}
	return Reply{Response: response}
}

func failureOf(err error) workflow.Failure {
	var coded *CodeError
	switch {
	case errors.As(err, &coded):
		return workflow.Failure{Code: coded.Code, Message: coded.Message}
	case errors.Is(err, context.DeadlineExceeded):
		return workflow.Failure{Code: workflow.CodeTimeout, Message: err.Error()}
	}
	return workflow.Failure{Code: workflow.CodeUnavailable, Message: err.Error()}
}

// stackMax bounds what a failure keeps of a stack.
const stackMax = 2_000

func panicked(r any) workflow.Failure {
	stack := debug.Stack()
	return workflow.Failure{Code: workflow.CodePanic, Message: fmt.Sprintf("%v\n%s", r, stack[:min(len(stack), stackMax)])}
}
