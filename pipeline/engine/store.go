package engine

import (
	"context"
	"time"

	"daybreak/market"
	"daybreak/pipeline"
	"daybreak/workflow"
)

// StoredDefinition is a definition as it is kept: immutable, named by the hash of its text.
type StoredDefinition struct {
	Number  int       `json:"number"`
	Name    string    `json:"name"`
	Hash    string    `json:"hash"`
	Body    []byte    `json:"-"`
	Applied time.Time `json:"applied"`
	Actor   string    `json:"actor"`
	Why     string    `json:"why,omitempty"`
}

// Alias says which version of a definition new instances take, and with which parameters.
type Alias struct {
	Name       string    `json:"name"`
	Alias      string    `json:"alias"`
	Definition int       `json:"-"`        // number
	Version    string    `json:"version"`  // hash
	ShareBP    int       `json:"share_bp"` // basis points of the households, of a canary
	Cohort     string    `json:"cohort,omitempty"`
	Params     []byte    `json:"-"` // JSON object
	Changed    time.Time `json:"changed"`
	Actor      string    `json:"actor"`
}

// Live is the row of an instance that does not run: it waits, has failed or is paused, or its call
// outlives its batch.
type Live struct {
	ID         string
	Topic      string
	Partition  int32
	Household  string
	Definition int
	Node       string
	State      string
	Resumes    string // state before a pause
	Packed     []byte // parameters and context, compressed
	Attempt    int
	Steps      int
	Due        *time.Time
	Deadline   *time.Time
	Forced     bool // passes the hold of its node once
	Failure    workflow.Failure
	Batches    []int64
	Acts       []int64
	Revision   int64 // 0 for one that has no row yet
	Started    time.Time
	Since      time.Time
}

// States of a row, and of an instance that has ended.
const (
	StateRunning    = "running"
	StateWaiting    = "waiting"
	StateFailed     = "failed"
	StatePaused     = "paused"
	StateDone       = "done"
	StateTerminated = "terminated"
)

// Ref names a row as its reader saw it.
type Ref struct {
	ID       string
	Revision int64
}

// Finished is how an instance ended.
type Finished struct {
	Day        market.Day
	ID         string
	Household  string
	Definition int
	State      string
	Node       string
	Batches    []int64
	Acts       []int64
	Started    time.Time
	Finished   time.Time
}

// Line is one row of the journal.
type Line struct {
	Day        market.Day
	Batch      int64
	Line       int
	LastOffset int64
	Definition int
	Worker     string
	At         time.Time
	Instances  int
	Body       []byte // compressed entries
}

// Barrier is one transaction of a partition's owner. It is refused with pipeline.ErrFenced where the
// partition has another epoch by now.
type Barrier struct {
	Topic     string
	Partition int32
	Epoch     int64
	Span      *pipeline.Span // moves the offset; nil for a checkpoint inside a batch
	Lines     []Line
	New       []Live // rows of instances that had none
	Changed   []Live // rows that replace those of Revision; none where a person was faster
	Gone      []Ref  // rows of instances that have ended
	Finished  []Finished
	Dead      []pipeline.DeadLetter
	Holds     []Hold
	Applied   []string // instances whose own hold was obeyed
}

// Hold keeps a node of a workflow, or one instance, from running.
type Hold struct {
	Workflow  string    `json:"workflow,omitempty"`
	Node      string    `json:"node,omitempty"`
	Instance  string    `json:"instance,omitempty"`
	Act       string    `json:"act"` // pause or terminate
	Signature string    `json:"signature,omitempty"`
	At        time.Time `json:"at"`
	Actor     string    `json:"actor"`
	Why       string    `json:"why"`
}

// Definitions keeps definitions and their aliases.
type Definitions interface {
	DefinitionByNumber(ctx context.Context, number int) (StoredDefinition, error)
	Aliases(ctx context.Context) ([]Alias, error)
	// Facts returns what cohorts ask of households, by household; none for one that the book lacks.
	Facts(ctx context.Context, households []string) (map[string]workflow.Facts, error)
}

// Store is what the engine reads and writes while it runs.
type Store interface {
	Definitions
	// NextBatch returns a number that no other batch has.
	NextBatch(ctx context.Context) (int64, error)
	// MakeDay makes room for a day's journal.
	MakeDay(ctx context.Context, day market.Day) error
	// Interrupted returns the lines of batches whose offsets were not committed: those whose last
	// offset is next or later, in order of batch and line.
	Interrupted(ctx context.Context, topic string, partition int32, next int64) ([]Line, error)
	// Known returns those of ids that have a row or have ended on day or later.
	Known(ctx context.Context, ids []string, day market.Day) ([]string, error)
	// LoadLive returns the rows that are still as refs say.
	LoadLive(ctx context.Context, refs []Ref) ([]Live, error)
	// Holds returns all holds.
	Holds(ctx context.Context) ([]Hold, error)
	// CommitBarrier writes a barrier. It returns the ids of Changed and Gone whose row a person has
	// changed meanwhile: those were left as they are.
	CommitBarrier(ctx context.Context, b Barrier) (overtaken []string, err error)
}

// Timers is what the waker reads.
type Timers interface {
	// Due returns the rows of the partitions that go on by until, in order of due and id, after the
	// one that after names; at most limit.
	Due(ctx context.Context, q DueQuery) ([]Timer, error)
}

// DueQuery asks for timers of one partition.
type DueQuery struct {
	Topic     string
	Partition int32
	Epoch     int64 // nothing is due under another one
	After     Timer // only those behind it in order of due and id
	Until     time.Time
	Limit     int
}

// Timer is when an instance goes on by itself.
type Timer struct {
	ID        string
	Revision  int64
	Partition int32
	Due       time.Time
}
