package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"daybreak/pipeline"
	"daybreak/portfolio"
	"daybreak/rebalance"
	"daybreak/region"
	"daybreak/tlh"
)

// LoadHouseholds implements pipeline.Decisions: a fixed number of queries whatever the batch, all
// in one snapshot of the database.
func (db *DB) LoadHouseholds(ctx context.Context, run pipeline.Run, ids []portfolio.HouseholdID) ([]pipeline.Loaded, error) {
	var l loader
	err := db.inSnapshot(ctx, func(tx pgx.Tx) error {
		undecided, err := collect[portfolio.HouseholdID](ctx, tx, "UndecidedOf", run.ID, ids)
		if err != nil {
			return err
		}
		l = newLoader(run, undecided)
		return l.load(ctx, tx, l.steps())
	})
	return l.households, err
}

// collect returns the rows of a query that has one column.
func collect[T any](ctx context.Context, tx pgx.Tx, name string, args ...any) ([]T, error) {
	rows, err := tx.Query(ctx, query(name), args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	values, err := pgx.CollectRows(rows, pgx.RowTo[T])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return values, nil
}

// loader fills the households of a batch query by query.
type loader struct {
	run        pipeline.Run
	ids        []portfolio.HouseholdID
	households []pipeline.Loaded // by id
	known      []bool            // whether the book has the household
}

func newLoader(run pipeline.Run, ids []portfolio.HouseholdID) loader {
	l := loader{run: run, ids: ids, households: make([]pipeline.Loaded, len(ids)), known: make([]bool, len(ids))}
	for i, id := range ids {
		l.households[i] = pipeline.Loaded{Household: id, Input: rebalance.Input{Day: run.Session, Settings: run.Settings, RiskHash: run.Risk}}
	}
	return l
}

// loadStep fills one part of a batch's households.
type loadStep = func(context.Context, pgx.Tx) error

// steps are all that a plan depends on, each after what it needs.
func (l *loader) steps() []loadStep {
	return []loadStep{
		l.loadHouseholds, l.loadOwners, l.loadCarried, l.loadAccounts, l.loadCash, l.loadUnsettled, l.loadPositions,
		l.loadCheckpoints, l.loadEvents, l.rebuildStale, l.loadLocks, l.loadOpenOrders, l.loadExceptions,
	}
}

func (l *loader) load(ctx context.Context, tx pgx.Tx, steps []loadStep) error {
	for _, step := range steps {
		if err := step(ctx, tx); err != nil {
			return err
		}
	}
	for i, known := range l.known {
		if !known {
			l.park(i, pipeline.ReasonUnknownHousehold, "the run lists it and the book does not have it")
		}
	}
	return nil
}

// scan is a query by name, what it asks for, and where its columns go.
type scan struct {
	query   string
	args    []any
	targets []any
}

// eachRow calls each after every row of a query was scanned into its targets.
func eachRow(ctx context.Context, tx pgx.Tx, s scan, each func()) error {
	rows, err := tx.Query(ctx, query(s.query), s.args...)
	if err != nil {
		return fmt.Errorf("%s: %w", s.query, err)
	}
	if _, err := pgx.ForEachRow(rows, s.targets, func() error { each(); return nil }); err != nil {
		return fmt.Errorf("%s: %w", s.query, err)
	}
	return nil
}

// forEach runs a query over the batch's households, whose ids come first in its arguments and in its
// columns; each is called with the household's place for every row.
func (l *loader) forEach(ctx context.Context, tx pgx.Tx, s scan, each func(i int)) error {
	var id portfolio.HouseholdID
	s.args, s.targets = append([]any{l.ids}, s.args...), append([]any{&id}, s.targets...)
	return eachRow(ctx, tx, s, func() {
		if i, ok := slices.BinarySearch(l.ids, id); ok {
			each(i)
		}
	})
}

// park marks a household whose facts cannot be used; the first reason stays.
func (l *loader) park(i int, code, detail string) {
	if l.households[i].Fault == nil {
		l.households[i].Fault = &rebalance.Fault{Code: code, Detail: detail}
	}
}

func (l *loader) loadHouseholds(ctx context.Context, tx pgx.Tx) error {
	var h portfolio.Household
	var version int64
	var location []byte
	return l.forEach(ctx, tx, scan{"HouseholdsOf", nil, []any{&h.Region, &h.RoutingKey, &version, &location}}, func(i int) {
		in := &l.households[i].Input
		in.Household = portfolio.Household{ID: l.ids[i], Region: h.Region, RoutingKey: h.RoutingKey}
		if location != nil {
			if err := json.Unmarshal(location, &in.Household.Location); err != nil {
				l.park(i, pipeline.ReasonBadInput, fmt.Sprintf("targets of the household: %v", err))
			}
		}
		in.BookVersion = version
		l.known[i] = true
	})
}

func (l *loader) loadOwners(ctx context.Context, tx pgx.Tx) error {
	var o portfolio.Owner
	return l.forEach(ctx, tx, scan{"OwnersOf", nil, []any{&o.ID, &o.From, &o.To}}, func(i int) {
		h := &l.households[i].Input.Household
		h.Owners = append(h.Owners, o)
	})
}

func (l *loader) loadAccounts(ctx context.Context, tx pgx.Tx) error {
	var a portfolio.Account
	var policy []byte
	return l.forEach(ctx, tx, scan{"AccountsOf", nil, []any{&a.ID, &a.Owner, &a.Type, &a.Currency, &a.Model, &policy}}, func(i int) {
		a.Policy = portfolio.Policy{}
		if err := json.Unmarshal(policy, &a.Policy); err != nil {
			l.park(i, pipeline.ReasonBadInput, fmt.Sprintf("account %s: policy: %v", a.ID, err))
		}
		h := &l.households[i].Input.Household
		h.Accounts = append(h.Accounts, a)
	})
}

// account returns the account of a household that was loaded before, nil where it has none.
func (l *loader) account(i int, id portfolio.AccountID) *portfolio.Account {
	accounts := l.households[i].Input.Household.Accounts
	for k := range accounts {
		if accounts[k].ID == id {
			return &accounts[k]
		}
	}
	return nil
}

func (l *loader) loadCash(ctx context.Context, tx pgx.Tx) error {
	var id portfolio.AccountID
	var c portfolio.Cash
	return l.forEach(ctx, tx, scan{"CashOf", nil, []any{&id, &c.Currency, &c.Amount}}, func(i int) {
		if a := l.account(i, id); a != nil {
			a.Cash = append(a.Cash, c)
		}
	})
}

// loadUnsettled fills the proceeds in cash that settle after the run's day.
func (l *loader) loadUnsettled(ctx context.Context, tx pgx.Tx) error {
	var u portfolio.Unsettled
	return l.forEach(ctx, tx, scan{"UnsettledOf", []any{l.run.Session}, []any{&u.Account, &u.Settle, &u.Amount}}, func(i int) {
		in := &l.households[i].Input
		in.Unsettled = append(in.Unsettled, u)
	})
}

func (l *loader) loadPositions(ctx context.Context, tx pgx.Tx) error {
	var id portfolio.AccountID
	var p portfolio.Position
	return l.forEach(ctx, tx, scan{"PositionsOf", nil, []any{&id, &p.Symbol, &p.Shares}}, func(i int) {
		if a := l.account(i, id); a != nil {
			a.Positions = append(a.Positions, p)
		}
	})
}

func (l *loader) loadCheckpoints(ctx context.Context, tx pgx.Tx) error {
	var version int64
	var body []byte
	return l.forEach(ctx, tx, scan{"CheckpointsOf", nil, []any{&version, &body}}, func(i int) {
		checkpoint, err := readCheckpoint(body)
		if err != nil {
			l.park(i, pipeline.ReasonBadInput, fmt.Sprintf("tax checkpoint of version %d: %v", version, err))
		}
		l.households[i].Input.Tax = checkpoint
	})
}

func readCheckpoint(body []byte) (region.Checkpoint, error) {
	var c region.Checkpoint
	text, err := pipeline.Decompress(body)
	if err != nil {
		return c, err
	}
	return c, json.Unmarshal(text, &c)
}

func (l *loader) loadEvents(ctx context.Context, tx pgx.Tx) error {
	return l.loadEventsOf(ctx, tx, "TaxEventsOf")
}

// loadEventsOf adds the tax events that a query returns.
func (l *loader) loadEventsOf(ctx context.Context, tx pgx.Tx, name string) error {
	var body []byte
	return l.forEach(ctx, tx, scan{name, nil, []any{&body}}, func(i int) {
		var e region.Event
		if err := json.Unmarshal(body, &e); err != nil {
			l.park(i, pipeline.ReasonBadInput, fmt.Sprintf("tax event: %v", err))
		}
		in := &l.households[i].Input
		in.Events = append(in.Events, e)
	})
}

func (l *loader) loadLocks(ctx context.Context, tx pgx.Tx) error {
	var k tlh.Lock
	targets := []any{&k.Property, &k.Symbol, &k.Account, &k.Order, &k.Until, &k.Provisional}
	return l.forEach(ctx, tx, scan{"LocksOf", []any{l.run.ID, l.run.Session}, targets}, func(i int) {
		in := &l.households[i].Input
		in.Locks = append(in.Locks, k)
	})
}

func (l *loader) loadOpenOrders(ctx context.Context, tx pgx.Tx) error {
	var o portfolio.OpenOrder
	targets := []any{&o.ID, &o.Account, &o.Symbol, &o.Side, &o.Leaves}
	return l.forEach(ctx, tx, scan{"OpenOrdersOf", nil, targets}, func(i int) {
		in := &l.households[i].Input
		in.Open = append(in.Open, o)
	})
}

func (l *loader) loadExceptions(ctx context.Context, tx pgx.Tx) error {
	var account, code, detail string
	return l.forEach(ctx, tx, scan{"OpenExceptionsOf", nil, []any{&account, &code, &detail}}, func(i int) {
		l.park(i, code, fmt.Sprintf("account %s: open exception %s: %s", account, code, detail))
	})
}

// SaveDecisions implements pipeline.Decisions.
func (db *DB) SaveDecisions(ctx context.Context, b pipeline.Batch, decisions []pipeline.Decision, dead []pipeline.DeadLetter) error {
	runs := runsOf(decisions)
	err := db.inTx(ctx, func(tx pgx.Tx) error {
		// The fence first: a batch whose partition has another owner writes nothing.
		if err := commitOffsets(ctx, tx, b); err != nil {
			return err
		}
		if err := copyDecisions(ctx, tx, decisions); err != nil {
			return err
		}
		if err := saveCheckpoints(ctx, tx, decisions); err != nil {
			return err
		}
		if err := insertDeadLetters(ctx, tx, b.Topic, dead); err != nil {
			return err
		}
		if err := advanceRuns(ctx, tx, b, decisions); err != nil {
			return err
		}
		for _, run := range runs {
			if _, err := tx.Exec(ctx, query("Notify"), ChannelRun, run); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || len(runs) == 0 {
		return err
	}
	tag, err := db.pool.Exec(ctx, query("FinishRuns"), runs, time.Now())
	if err != nil {
		return fmt.Errorf("finish runs: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return nil
	}
	return db.notify(ctx, ChannelRun, runs[0])
}

func runsOf(decisions []pipeline.Decision) []string {
	var runs []string
	for _, d := range decisions {
		runs = append(runs, d.Run)
	}
	slices.Sort(runs)
	return slices.Compact(runs)
}

// advanceRuns counts the batch's decisions on the run's first partition of the batch: one row of
// progress is as good as another, and its owner alone writes it.
func advanceRuns(ctx context.Context, tx pgx.Tx, b pipeline.Batch, decisions []pipeline.Decision) error {
	runs := runsOf(decisions)
	if len(runs) == 0 {
		return nil
	}
	partitions, decided := make([]int32, len(runs)), make([]int64, len(runs))
	parked, orders := make([]int64, len(runs)), make([]int64, len(runs))
	for _, d := range decisions {
		i, _ := slices.BinarySearch(runs, d.Run)
		partitions[i] = b.Spans[0].Partition
		decided[i]++
		orders[i] += int64(len(d.Orders))
		if d.Outcome == pipeline.OutcomeParked {
			parked[i]++
		}
	}
	if _, err := tx.Exec(ctx, query("AdvanceRun"), runs, partitions, decided, parked, orders); err != nil {
		return fmt.Errorf("advance runs: %w", err)
	}
	return nil
}

var _ pipeline.Decisions = (*DB)(nil)
