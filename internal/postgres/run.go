package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"daybreak/market"
	"daybreak/pipeline"
	"daybreak/portfolio"
)

// The channels of NOTIFY that wake whoever shows or continues the day.
const (
	ChannelRun    = "daybreak_run"         // payload: the run's id
	ChannelFills  = "daybreak_fills"       // executions were applied
	ChannelOrders = pipeline.ChannelOrders // orders were released, or ended
)

// HouseholdRefs implements pipeline.Runs.
func (db *DB) HouseholdRefs(ctx context.Context) ([]pipeline.HouseholdRef, error) {
	rows, err := db.pool.Query(ctx, query("HouseholdRefs"))
	if err != nil {
		return nil, fmt.Errorf("list households: %w", err)
	}
	refs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[pipeline.HouseholdRef])
	if err != nil {
		return nil, fmt.Errorf("list households: %w", err)
	}
	return refs, nil
}

// CreateRun implements pipeline.Runs. An advisory lock on the session makes two callers at once
// take turns, so that one of them gets ErrRunExists.
func (db *DB) CreateRun(ctx context.Context, r pipeline.Run, m pipeline.StoredMarket, households []portfolio.HouseholdID) (pipeline.Run, error) {
	err := db.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, query("LockSession"), r.Session); err != nil {
			return err
		}
		var live string
		err := tx.QueryRow(ctx, query("LiveRunOf"), r.Session).Scan(&live)
		if err == nil {
			return fmt.Errorf("%w: %s; `daybreak run watch %s` follows it, `daybreak run cancel %s` makes room for another", pipeline.ErrRunExists, live, live, live)
		}
		if !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if err := tx.QueryRow(ctx, query("NextRunNumber"), r.Session).Scan(&r.Number); err != nil {
			return err
		}
		r.ID = fmt.Sprintf("%s.%d", r.Session, r.Number)
		return insertRun(ctx, tx, r, m, households)
	})
	if err != nil {
		return pipeline.Run{}, fmt.Errorf("start run of %s: %w", r.Session, err)
	}
	return r, nil
}

func insertRun(ctx context.Context, tx pgx.Tx, r pipeline.Run, m pipeline.StoredMarket, households []portfolio.HouseholdID) error {
	if _, err := tx.Exec(ctx, query("StoreMarket"), m.Hash, m.Day, m.Body); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, query("InsertRun"), r.ID, r.Session, r.Number, r.State, r.Workflow, r.Build, r.Rules,
		r.Market, r.Where, r.Maker, r.Households, r.Started, r.Risk, r.Settings); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, query("VoidStaleLocks"), r.Session); err != nil {
		return err
	}
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"run_household"}, []string{"run", "household"},
		pgx.CopyFromSlice(len(households), func(i int) ([]any, error) { return []any{r.ID, households[i]}, nil }))
	if err != nil {
		return err
	}
	return writeAudit(ctx, tx, AuditEntry{At: r.Started, Actor: r.Maker, Action: "run.start", Subject: r.ID,
		Detail: map[string]any{"households": len(households), "build": r.Build, "rules": r.Rules, "market": r.Market, "risk": r.Risk, "settings": r.Settings, "where": r.Where}})
}

// Run implements pipeline.Runs and pipeline.Decisions.
func (db *DB) Run(ctx context.Context, id string) (pipeline.Run, error) {
	rows, err := db.pool.Query(ctx, query("RunByID"), id)
	if err != nil {
		return pipeline.Run{}, fmt.Errorf("run %s: %w", id, err)
	}
	return oneRun(id, rows)
}

// LatestRuns returns the newest runs first, at most limit.
func (db *DB) LatestRuns(ctx context.Context, limit int) ([]pipeline.Run, error) {
	rows, err := db.pool.Query(ctx, query("Runs"), limit)
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[pipeline.Run])
}

func oneRun(id string, rows pgx.Rows) (pipeline.Run, error) {
	r, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[pipeline.Run])
	if errors.Is(err, pgx.ErrNoRows) {
		return r, fmt.Errorf("run %s: %w", id, pipeline.ErrNotFound)
	}
	if err != nil {
		return r, fmt.Errorf("run %s: %w", id, err)
	}
	return r, nil
}

// Undecided implements pipeline.Runs.
func (db *DB) Undecided(ctx context.Context, run string) ([]pipeline.HouseholdRef, error) {
	rows, err := db.pool.Query(ctx, query("Undecided"), run)
	if err != nil {
		return nil, fmt.Errorf("run %s: list undecided households: %w", run, err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[pipeline.HouseholdRef])
}

// ChangeRun implements pipeline.Runs. Canceling voids the provisional locks of the run's proposals
// and is refused once an order of the run has gone to the broker.
func (db *DB) ChangeRun(ctx context.Context, c pipeline.RunChange) (pipeline.Run, error) {
	var changed pipeline.Run
	err := db.inTx(ctx, func(tx pgx.Tx) error {
		if c.To == pipeline.RunCanceled {
			if err := voidProposals(ctx, tx, c.Run); err != nil {
				return err
			}
		}
		rows, err := tx.Query(ctx, query("ChangeRun"), c.Run, c.From, c.To)
		if err != nil {
			return err
		}
		changed, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[pipeline.Run])
		if errors.Is(err, pgx.ErrNoRows) {
			return db.whyNot(ctx, c)
		}
		if err != nil {
			return err
		}
		return writeAudit(ctx, tx, AuditEntry{At: c.Now, Actor: c.By, Action: "run." + string(c.To), Subject: c.Run,
			Detail: map[string]any{"why": c.Why}})
	})
	if err != nil {
		return pipeline.Run{}, fmt.Errorf("run %s: %w", c.Run, err)
	}
	return changed, db.notify(ctx, ChannelRun, c.Run)
}

func voidProposals(ctx context.Context, tx pgx.Tx, run string) error {
	var sent int
	if err := tx.QueryRow(ctx, query("CanceledOrdersSent"), run).Scan(&sent); err != nil {
		return err
	}
	if sent > 0 {
		return fmt.Errorf("%d of its orders are at the broker; cancel those first: %w", sent, pipeline.ErrState)
	}
	_, err := tx.Exec(ctx, query("VoidRunLocks"), run)
	return err
}

// whyNot says why a run could not change: it is not there, or not in one of the states.
func (db *DB) whyNot(ctx context.Context, c pipeline.RunChange) error {
	r, err := db.Run(ctx, c.Run)
	if err != nil {
		return pipeline.ErrNotFound
	}
	return fmt.Errorf("it is %s: %w", r.State, pipeline.ErrState)
}

// StoredMarket implements pipeline.Decisions.
func (db *DB) StoredMarket(ctx context.Context, hash string) (pipeline.StoredMarket, error) {
	var m pipeline.StoredMarket
	err := db.pool.QueryRow(ctx, query("StoredMarket"), hash).Scan(&m.Hash, &m.Day, &m.Body)
	if errors.Is(err, pgx.ErrNoRows) {
		return m, fmt.Errorf("market %s: %w", hash, pipeline.ErrNotFound)
	}
	if err != nil {
		return m, fmt.Errorf("market %s: %w", hash, err)
	}
	return m, nil
}

// StoreRisk implements pipeline.Runs.
func (db *DB) StoreRisk(ctx context.Context, r pipeline.StoredMarket) error {
	if _, err := db.pool.Exec(ctx, query("StoreRisk"), r.Hash, r.Day, r.Body); err != nil {
		return fmt.Errorf("risk model of %s: %w", r.Day, err)
	}
	return nil
}

// StoredRisk implements pipeline.Decisions.
func (db *DB) StoredRisk(ctx context.Context, hash string) (pipeline.StoredMarket, error) {
	var r pipeline.StoredMarket
	err := db.pool.QueryRow(ctx, query("StoredRisk"), hash).Scan(&r.Hash, &r.Day, &r.Body)
	if errors.Is(err, pgx.ErrNoRows) {
		return r, fmt.Errorf("risk model %s: %w", hash, pipeline.ErrNotFound)
	}
	if err != nil {
		return r, fmt.Errorf("risk model %s: %w", hash, err)
	}
	return r, nil
}

// AccountCurrencies implements pipeline.Runs.
func (db *DB) AccountCurrencies(ctx context.Context) ([]market.Currency, error) {
	rows, err := db.pool.Query(ctx, query("AccountCurrencies"))
	if err != nil {
		return nil, fmt.Errorf("currencies of accounts: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[market.Currency])
}

// Progress is how far a run is, by the counters of its partitions.
type Progress struct {
	Decided int64
	Parked  int64
	Orders  int64
}

// RunProgress returns how far a run is.
func (db *DB) RunProgress(ctx context.Context, run string) (Progress, error) {
	var p Progress
	if err := db.pool.QueryRow(ctx, query("RunProgress"), run).Scan(&p.Decided, &p.Parked, &p.Orders); err != nil {
		return p, fmt.Errorf("run %s: progress: %w", run, err)
	}
	return p, nil
}

func (db *DB) notify(ctx context.Context, channel, payload string) error {
	if _, err := db.pool.Exec(ctx, query("Notify"), channel, payload); err != nil {
		return fmt.Errorf("notify %s: %w", channel, err)
	}
	return nil
}

// Listen calls wake for each notification on the channels until ctx ends. It holds one connection
// of the pool, and takes another one where that is lost, after a second. Each time that it begins to
// listen it calls wake with an empty channel, since what was notified before may have been missed.
func (db *DB) Listen(ctx context.Context, channels []string, wake func(channel, payload string)) error {
	for ctx.Err() == nil {
		err := db.listenOnce(ctx, channels, wake)
		if ctx.Err() != nil {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
		_ = err // the connection was lost: the next round makes a new one, or the reader of the pool reports
	}
	return nil
}

func (db *DB) listenOnce(ctx context.Context, channels []string, wake func(channel, payload string)) error {
	conn, err := db.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer func() {
		// The connection keeps its LISTENs: it is closed, not given back.
		_ = conn.Hijack().Close(context.WithoutCancel(ctx))
	}()
	for _, c := range channels {
		if _, err := conn.Exec(ctx, "LISTEN "+pgx.Identifier{c}.Sanitize()); err != nil {
			return err
		}
	}
	wake("", "")
	for {
		n, err := conn.Conn().WaitForNotification(ctx)
		if err != nil {
			return err
		}
		wake(n.Channel, n.Payload)
	}
}

var _ pipeline.Runs = (*DB)(nil)
