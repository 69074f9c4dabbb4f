package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"daybreak/market"
	"daybreak/orders"
	"daybreak/portfolio"
	"daybreak/rebalance"
	"daybreak/region"
)

// Outcomes of a household in a run.
const (
	OutcomePlanned     = "planned"
	OutcomeNothingToDo = "nothing_to_do"
	OutcomeParked      = "parked"
)

// Reasons of the shell for parking a household, beside those of rebalance.Fault.
const (
	ReasonPanic            = "PANIC"             // the plan panicked: our bug, with the inputs to find it
	ReasonUnknownHousehold = "UNKNOWN_HOUSEHOLD" // the run lists a household that the book lacks
	ReasonBadInput         = "BAD_INPUT"         // stored facts of the household cannot be read
)

// Loaded is one household of a batch as the book had it. Fault is set where its facts cannot be
// used; the household is then parked with what there is. Its JSON is recorded with the decision.
type Loaded struct {
	Household portfolio.HouseholdID `json:"household"`
	Input     rebalance.Input       `json:"input"`
	Fault     *rebalance.Fault      `json:"fault,omitempty"`
}

// Decision is the outcome of one household in one run, with all that a replay needs.
type Decision struct {
	Run         string
	Household   portfolio.HouseholdID
	Outcome     string
	Reason      string
	Detail      string
	BookVersion int64
	Input       []byte // zstd of the JSON of Loaded
	OutputHash  string // of the JSON of Plan
	Plan        rebalance.HouseholdPlan
	Orders      []orders.Order
	Checkpoint  *StoredCheckpoint // of the tax book, where it is time for one
	Stack       string            // of a panic, for the log; not stored
}

// AccountFlag is why a person must look at an account's plan before its orders go out.
type AccountFlag struct{ Code, Detail string }

// Flags returns why a person must look at the plans of a household, by account.
func (d Decision) Flags() map[portfolio.AccountID]AccountFlag {
	flags := map[portfolio.AccountID]AccountFlag{}
	for _, a := range d.Plan.Accounts {
		c := a.Certificate
		if code := a.Exception(); code != "" && len(a.Trades) > 0 {
			detail := fmt.Sprintf("up to %s basis points of its value, %s %s, from the optimum", c.GapBP.Fixed(2), c.GapMoney.Fixed(2), a.Currency)
			if len(c.Relaxed) > 0 {
				detail = fmt.Sprintf("planned without %s", strings.Join(c.Relaxed, ", "))
			}
			flags[a.Account] = AccountFlag{code, detail}
		}
	}
	return flags
}

// StoredCheckpoint is a tax book closed at the end of a tax day, as it is kept.
type StoredCheckpoint struct {
	AsOf  market.Day
	Rules string // fingerprint of the rules that folded it
	Body  []byte // zstd of the JSON of the region.Checkpoint
}

// Decisions is what the worker reads and writes.
type Decisions interface {
	Run(ctx context.Context, id string) (Run, error)
	StoredMarket(ctx context.Context, hash string) (StoredMarket, error)
	StoredRisk(ctx context.Context, hash string) (StoredMarket, error)
	// LoadHouseholds returns the households of ids that have no decision in run yet, by id.
	LoadHouseholds(ctx context.Context, run Run, ids []portfolio.HouseholdID) ([]Loaded, error)
	// SaveDecisions stores a batch's decisions and dead letters and moves its offsets in one
	// transaction. It returns ErrFenced where another owner has taken over.
	SaveDecisions(ctx context.Context, b Batch, decisions []Decision, dead []DeadLetter) error
}

// DeadLetter is a record that cannot be applied, with its place in the batch and why.
type DeadLetter struct {
	Record   Record
	Reason   string // a stable code
	Detail   string
	Account  string // that it is about, where the record could be read
	Order    string
	Released bool // was held before: the record is counted already
}

// Worker plans the households whose records it is given: the Handler of TopicWork.
type Worker struct {
	decisions Decisions
	cores     int
	log       *slog.Logger

	markets pinned[market.Snapshot]
	risks   pinned[rebalance.Risk]
}

// NewWorker returns a worker that plans on all cores.
func NewWorker(d Decisions, log *slog.Logger) *Worker {
	return &Worker{decisions: d, cores: runtime.GOMAXPROCS(0), log: log}
}

// Handle implements Handler: it loads the batch's households with a few queries, plans each one on
// its own, and saves all in one transaction. Households of a paused or canceled run are passed
// over; resuming the run sends them again.
func (w *Worker) Handle(ctx context.Context, b Batch) error {
	b = fresh(b)
	wanted, dead := readWork(&b)
	var all []Decision
	for _, id := range sortedKeys(wanted) {
		run, err := w.decisions.Run(ctx, id)
		if errors.Is(err, ErrNotFound) {
			dead = append(dead, unknownRun(&b, wanted[id])...)
			continue
		}
		if err != nil {
			return err
		}
		if run.State != RunStarted {
			continue
		}
		decided, err := w.decide(ctx, run, wanted[id])
		if err != nil {
			return err
		}
		all = append(all, decided...)
	}
	return w.decisions.SaveDecisions(ctx, b, all, dead)
}

// request is one good record of a batch.
type request struct {
	household portfolio.HouseholdID
	record    Record
}

// readWork sorts the records of a batch by run; what cannot be read is a dead letter.
func readWork(b *Batch) (map[string][]request, []DeadLetter) {
	wanted := map[string][]request{}
	var dead []DeadLetter
	for _, r := range b.Records {
		var work Work
		if err := json.Unmarshal(r.Value, &work); err != nil || work.Run == "" || work.Household == "" {
			b.Span(r.Partition).Dead++
			dead = append(dead, DeadLetter{Record: r, Reason: "BAD_RECORD", Detail: fmt.Sprintf("not a work record: %v", err)})
			continue
		}
		b.Span(r.Partition).Applied++
		wanted[work.Run] = append(wanted[work.Run], request{work.Household, r})
	}
	return wanted, dead
}

func unknownRun(b *Batch, requests []request) []DeadLetter {
	var dead []DeadLetter
	for _, q := range requests {
		span := b.Span(q.record.Partition)
		span.Applied--
		span.Dead++
		dead = append(dead, DeadLetter{Record: q.record, Reason: "UNKNOWN_RUN", Detail: "the run is not in the book"})
	}
	return dead
}

func (w *Worker) decide(ctx context.Context, run Run, requests []request) ([]Decision, error) {
	ids := make([]portfolio.HouseholdID, len(requests))
	for i, q := range requests {
		ids[i] = q.household
	}
	slices.Sort(ids)
	loaded, err := w.decisions.LoadHouseholds(ctx, run, slices.Compact(ids))
	if err != nil {
		return nil, fmt.Errorf("run %s: load %d households: %w", run.ID, len(ids), err)
	}
	snapshot, risk, err := w.pins(ctx, run)
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", run.ID, err)
	}
	decided := make([]Decision, len(loaded))
	group := errgroup.Group{}
	group.SetLimit(w.cores)
	for i, l := range loaded {
		l.Input.Risk = risk
		group.Go(func() error {
			d, err := Decide(run, l, snapshot)
			decided[i] = d
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for _, d := range decided {
		if d.Reason == ReasonPanic {
			w.log.Error("household panicked and is parked", "run", run.ID, "household", d.Household, "error", d.Detail, "stack", d.Stack)
		}
	}
	return decided, nil
}

// pins returns the market and the risk models that a run pinned; nil for those it has none of.
func (w *Worker) pins(ctx context.Context, run Run) (*market.Snapshot, *rebalance.Risk, error) {
	m, err := w.markets.get(run.Market, func() (*market.Snapshot, error) {
		stored, err := w.decisions.StoredMarket(ctx, run.Market)
		if err != nil {
			return nil, err
		}
		return LoadMarket(stored)
	})
	if err != nil || run.Risk == "" {
		return m, nil, err
	}
	r, err := w.risks.get(run.Risk, func() (*rebalance.Risk, error) {
		stored, err := w.decisions.StoredRisk(ctx, run.Risk)
		if err != nil {
			return nil, err
		}
		return LoadRisk(stored)
	})
	return m, r, err
}

// pinned keeps what runs pinned, by hash.
type pinned[T any] struct {
	mu  sync.Mutex
	all map[string]*T
}

// pinnedMax bounds what is in memory: a worker rarely serves more than one run at a time.
const pinnedMax = 4

// get returns what has a hash, loaded where it was not used before.
func (p *pinned[T]) get(hash string, load func() (*T, error)) (*T, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if v, ok := p.all[hash]; ok {
		return v, nil
	}
	v, err := load()
	if err != nil {
		return nil, err
	}
	if p.all == nil || len(p.all) == pinnedMax {
		p.all = map[string]*T{}
	}
	p.all[hash] = v
	return v, nil
}

// Decide plans one household of a run. A household that cannot be planned, or whose plan panics,
// is parked with its reason and its inputs; the error is only for inputs that cannot be written.
func Decide(run Run, l Loaded, m *market.Snapshot) (Decision, error) {
	d := Decision{Run: run.ID, Household: l.Household, BookVersion: l.Input.BookVersion}
	input, err := json.Marshal(l)
	if err != nil {
		return d, fmt.Errorf("household %s: record its inputs: %w", l.Household, err)
	}
	d.Input = Compress(input)
	fault := l.Fault
	if fault == nil {
		d.Plan, fault, d.Stack = planOf(l.Input, m)
	}
	if fault != nil {
		d.Plan = rebalance.HouseholdPlan{Household: l.Household}
		d.Outcome, d.Reason, d.Detail = OutcomeParked, fault.Code, fault.Error()
		return d, nil
	}
	if d.Plan.Because != "" {
		d.Detail = "planned by the rules: " + d.Plan.Because
	}
	if d.Checkpoint, err = closeBook(l.Input, m); err != nil {
		return d, fmt.Errorf("household %s: close its tax book: %w", l.Household, err)
	}
	output, err := json.Marshal(d.Plan)
	if err != nil {
		return d, fmt.Errorf("household %s: record its plan: %w", l.Household, err)
	}
	d.OutputHash = hashOf(output)
	d.Orders = orders.FromPlan(orders.Source{
		Run: run.ID, Build: run.Build, Rules: run.Rules, Session: run.Session, BookVersion: d.BookVersion,
	}, d.Plan)
	d.Outcome, d.Reason = OutcomeNothingToDo, string(rebalance.NothingToDo)
	if len(d.Orders) > 0 {
		d.Outcome, d.Reason = OutcomePlanned, string(rebalance.Planned)
	}
	return d, nil
}

// A tax book is closed anew when so many events have come since, or when there was no checkpoint that
// fits the rules. It is closed some days back, so that what comes late but soon needs no other one.
const (
	closeAfterEvents = 100
	closeDaysBack    = 65 // a loss window on both sides, and settlement
)

// closeBook returns the checkpoint that the household's next days continue; nil where the present one
// still does.
func closeBook(in rebalance.Input, m *market.Snapshot) (*StoredCheckpoint, error) {
	if in.Tax.Rules != "" && len(in.Events) < closeAfterEvents {
		return nil, nil
	}
	rules, err := region.Load(in.Household.Region)
	if err != nil {
		return nil, err
	}
	book, err := region.Fold(rules, region.ScopeOf(in.Household, m.Identical()), in.Tax, in.Events)
	if err != nil {
		return nil, err
	}
	c := book.Checkpoint(in.Day - closeDaysBack)
	body, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	return &StoredCheckpoint{AsOf: c.AsOf, Rules: c.Rules, Body: Compress(body)}, nil
}

// planOf calls the core behind a barrier: a panic is our bug, and it is this household's alone.
func planOf(in rebalance.Input, m *market.Snapshot) (plan rebalance.HouseholdPlan, fault *rebalance.Fault, stack string) {
	defer func() {
		if r := recover(); r != nil {
			fault = &rebalance.Fault{Code: ReasonPanic, Detail: fmt.Sprint(r)}
			stack = string(debug.Stack())
		}
	}()
	plan, err := rebalance.Plan(in, m)
	if err == nil {
		return plan, nil, ""
	}
	if !errors.As(err, &fault) {
		fault = &rebalance.Fault{Code: ReasonBadInput, Detail: err.Error()}
	}
	return plan, fault, ""
}

func sortedKeys[K ~string, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
