package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"daybreak/market"
	"daybreak/orders"
	"daybreak/pipeline"
	"daybreak/portfolio"
)

// The bounds of the lists that pages show.
const (
	executionsMax = 200
	historyMax    = 100
	ordersMax     = 200
	decisionsMax  = 30
	taxesMax      = 100
)

// RunOverview returns a run and how far it has come. It returns ErrNotFound, wrapped with the id.
func (db *DB) RunOverview(ctx context.Context, id string) (pipeline.RunOverview, error) {
	run, err := db.Run(ctx, id)
	if err != nil {
		return pipeline.RunOverview{}, err
	}
	v := pipeline.RunOverview{Run: run}
	err = db.pool.QueryRow(ctx, query("ViewRun"), id).Scan(&v.Decided, &v.Parked, &v.Accounts, &v.Planned, &v.Orders,
		&v.Flagged, &v.Held, &v.Ready, &v.Waiting, &v.Approved, &v.Sent, &v.Filled, &v.Rejected)
	if err != nil {
		return v, fmt.Errorf("run %s: overview: %w", id, err)
	}
	return v, nil
}

// RunDetails returns the figures of a run beside its progress.
func (db *DB) RunDetails(ctx context.Context, run string) (pipeline.RunDetails, error) {
	var d pipeline.RunDetails
	var errs [5]error
	d.Summary, errs[0] = db.Summary(ctx, run)
	d.Regions, errs[1] = rowsOf[pipeline.RunRegion](ctx, db, "ViewRunRegions", run)
	d.Skipped, errs[2] = rowsOf[pipeline.ReasonTotal](ctx, db, "ViewRunSkipped", run)
	d.Drift, errs[3] = rowsOf[pipeline.DriftCount](ctx, db, "ViewRunDrift", run, pipeline.DriftStep)
	d.Parked, errs[4] = rowsOf[pipeline.ParkedHousehold](ctx, db, "ViewRunParked", run, pipeline.ParkedMax)
	if err := errors.Join(errs[:]...); err != nil {
		return d, fmt.Errorf("run %s: details: %w", run, err)
	}
	return d, nil
}

// Orders returns one page of a run's orders. Pages that follow each other by cursor give every
// order once, as long as none changes its value in the sorted column.
func (db *DB) Orders(ctx context.Context, p pipeline.OrderPage) ([]pipeline.OrderRow, error) {
	name, cursor, down := p.Sort, p.After, p.Down
	if p.Before != nil { // read backwards from the cursor, then turn the rows around
		cursor, down = p.Before, !p.Down
	}
	first := cursor == nil
	if first {
		cursor = &pipeline.OrderCursor{Value: "0"}
	}
	args := append(filterArgs(p.Run, p.Filter), first, cursor.Value, cursor.ID, p.Limit)
	rows, err := rowsOf[pipeline.OrderRow](ctx, db, orderQuery(name, down), args...)
	if err != nil {
		return nil, fmt.Errorf("run %s: orders: %w", p.Run, err)
	}
	if p.Before != nil {
		slices.Reverse(rows)
	}
	return rows, nil
}

// orderQuery names the statement that reads orders by a column.
func orderQuery(by pipeline.OrderSort, down bool) string {
	names := map[pipeline.OrderSort][2]string{
		pipeline.ByNotional: {"ViewOrdersByNotionalUp", "ViewOrdersByNotionalDown"},
		pipeline.BySymbol:   {"ViewOrdersBySymbolUp", "ViewOrdersBySymbolDown"},
		pipeline.ByAccount:  {"ViewOrdersByAccountUp", "ViewOrdersByAccountDown"},
	}
	if down {
		return names[by][1]
	}
	return names[by][0]
}

// OrderTotals returns the count and notional of a run's orders that match, by side and currency.
func (db *DB) OrderTotals(ctx context.Context, run string, f pipeline.OrderFilter) ([]pipeline.OrderTotal, error) {
	totals, err := rowsOf[pipeline.OrderTotal](ctx, db, "ViewOrderTotals", filterArgs(run, f)...)
	if err != nil {
		return nil, fmt.Errorf("run %s: totals: %w", run, err)
	}
	return totals, nil
}

// OrderFacets returns how many of a run's matching orders have each value of each facet, in order of
// facet and count. A facet that the filter names is counted as if it did not, so that a second
// value of it can be chosen.
func (db *DB) OrderFacets(ctx context.Context, run string, f pipeline.OrderFilter) ([]pipeline.FacetCount, error) {
	all, err := db.facets(ctx, run, f)
	if err != nil {
		return nil, err
	}
	for _, own := range []struct {
		facet string
		set   *[]string
	}{{"side", &f.Sides}, {"region", &f.Regions}, {"symbol", &f.Symbols}, {"reason", &f.Reasons}, {"state", &f.States}, {"currency", &f.Currencies}} {
		if len(*own.set) == 0 {
			continue
		}
		chosen := *own.set
		*own.set = nil
		without, err := db.facets(ctx, run, f)
		*own.set = chosen
		if err != nil {
			return nil, err
		}
		other := func(c pipeline.FacetCount) bool { return c.Facet != own.facet }
		mine := func(c pipeline.FacetCount) bool { return c.Facet == own.facet }
		all = append(slices.DeleteFunc(all, mine), slices.DeleteFunc(without, other)...)
	}
	return all, nil
}

func (db *DB) facets(ctx context.Context, run string, f pipeline.OrderFilter) ([]pipeline.FacetCount, error) {
	counts, err := rowsOf[pipeline.FacetCount](ctx, db, "ViewOrderFacets", append(filterArgs(run, f), pipeline.FacetMax)...)
	if err != nil {
		return nil, fmt.Errorf("run %s: facets: %w", run, err)
	}
	return counts, nil
}

// filterArgs are the first ten arguments of every query over orders_matching.
func filterArgs(run string, f pipeline.OrderFilter) []any {
	args := []any{run}
	for _, values := range [][]string{f.Sides, f.Regions, f.Symbols, f.Reasons, f.States, f.Currencies, f.Accounts, f.IDs} {
		if values == nil {
			values = []string{}
		}
		args = append(args, values)
	}
	return append(args, f.NotionalMin)
}

// Order returns one order with all that explains it. It returns ErrNotFound, wrapped with the id.
func (db *DB) Order(ctx context.Context, run string, id orders.ID) (pipeline.OrderDetail, error) {
	found, err := rowsOf[pipeline.OrderDetail](ctx, db, "ViewOrder", run, id)
	if err != nil {
		return pipeline.OrderDetail{}, fmt.Errorf("order %s: %w", id, err)
	}
	if len(found) == 0 {
		return pipeline.OrderDetail{}, fmt.Errorf("order %s of run %s: %w", id, run, pipeline.ErrNotFound)
	}
	o := found[0]
	approvals, err1 := rowsOf[pipeline.Approved](ctx, db, "ViewOrderApproval", run, id)
	decisions, err2 := rowsOf[pipeline.AccountDecision](ctx, db, "ViewAccountDecisions", o.Account, run, 1)
	var err3, err4, err5 error
	o.Executions, err3 = rowsOf[pipeline.ExecutionRow](ctx, db, "ViewOrderExecutions", id, executionsMax)
	o.History, err4 = rowsOf[pipeline.AuditRow](ctx, db, "ViewHistory", run, id, historyMax)
	o.Overrides, err5 = db.overridesOf(ctx, run, id)
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return o, fmt.Errorf("order %s: %w", id, err)
	}
	if len(approvals) > 0 {
		o.Approval = &approvals[0]
	}
	if len(decisions) > 0 {
		o.Decision = &decisions[0]
	}
	return o, nil
}

// Account returns an account as its page shows it. It returns ErrNotFound, wrapped with the id.
func (db *DB) Account(ctx context.Context, id portfolio.AccountID) (pipeline.AccountView, error) {
	found, err := rowsOf[pipeline.AccountView](ctx, db, "ViewAccount", id)
	if err != nil {
		return pipeline.AccountView{}, fmt.Errorf("account %s: %w", id, err)
	}
	if len(found) == 0 {
		return pipeline.AccountView{}, fmt.Errorf("account %s: %w", id, pipeline.ErrNotFound)
	}
	a := found[0]
	var errs [8]error
	a.Positions, errs[0] = rowsOf[pipeline.PositionRow](ctx, db, "ViewPositions", id, a.PriceDay)
	a.Cash, errs[1] = rowsOf[portfolio.Cash](ctx, db, "ViewCash", id)
	a.Decisions, errs[2] = rowsOf[pipeline.AccountDecision](ctx, db, "ViewAccountDecisions", id, "", decisionsMax)
	a.Orders, errs[3] = rowsOf[pipeline.OrderRow](ctx, db, "ViewAccountOrders", id, ordersMax)
	a.Executions, errs[4] = rowsOf[pipeline.ExecutionRow](ctx, db, "ViewAccountExecutions", id, executionsMax)
	a.Locks, errs[5] = rowsOf[pipeline.LockRow](ctx, db, "ViewLocks", a.Household, a.PriceDay)
	a.Exceptions, errs[6] = rowsOf[pipeline.ExceptionRow](ctx, db, "ViewExceptions", a.Household)
	a.Siblings, errs[7] = db.siblings(ctx, a.Household, id)
	if err := errors.Join(errs[:]...); err != nil {
		return a, fmt.Errorf("account %s: %w", id, err)
	}
	return a, db.addTaxes(ctx, &a)
}

// addTaxes adds what happened to the outcomes of an account's sales up to today. Facts that cannot be
// folded leave the rest of the page as it is.
func (db *DB) addTaxes(ctx context.Context, a *pipeline.AccountView) error {
	clock, _, err := db.Clock(ctx, time.Now)
	if err != nil {
		return err
	}
	marks, err := db.TaxMarks(ctx, a.ID, market.DayOf(clock()))
	if err != nil {
		a.TaxFault = err.Error()
		return nil
	}
	slices.Reverse(marks)
	a.Taxes = marks[:min(taxesMax, len(marks))]
	return nil
}

// LastDecision returns what the latest run that decided an account decided for it; nil where none has.
func (db *DB) LastDecision(ctx context.Context, id portfolio.AccountID) (*pipeline.AccountDecision, error) {
	found, err := rowsOf[pipeline.AccountDecision](ctx, db, "ViewAccountDecisions", id, "", 1)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

func (db *DB) siblings(ctx context.Context, household portfolio.HouseholdID, but portfolio.AccountID) ([]portfolio.AccountID, error) {
	rows, err := db.pool.Query(ctx, query("ViewSiblings"), household, but)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[portfolio.AccountID])
}

// Fills returns the latest executions by the broker's time, newest first, at most limit.
func (db *DB) Fills(ctx context.Context, limit int) ([]pipeline.ExecutionRow, error) {
	fills, err := rowsOf[pipeline.ExecutionRow](ctx, db, "ViewFills", limit)
	if err != nil {
		return nil, fmt.Errorf("latest fills: %w", err)
	}
	return fills, nil
}

// FillMarks returns where a reader starts who wants only the executions that come from now on.
func (db *DB) FillMarks(ctx context.Context) ([]pipeline.FillMark, error) {
	marks, err := rowsOf[pipeline.FillMark](ctx, db, "ViewFillMarks", pipeline.TopicFills)
	if err != nil {
		return nil, fmt.Errorf("marks of fills: %w", err)
	}
	return marks, nil
}

// FillsSince returns the executions past marks, and all of a partition without a mark, in the order
// of the stream; at most limit of each partition.
func (db *DB) FillsSince(ctx context.Context, marks []pipeline.FillMark, limit int) ([]pipeline.ExecutionRow, error) {
	partitions, next := make([]int32, len(marks)), make([]int64, len(marks))
	for i, m := range marks {
		partitions[i], next[i] = m.Partition, m.Next
	}
	fills, err := rowsOf[pipeline.ExecutionRow](ctx, db, "ViewFillsSince", partitions, next, limit, pipeline.TopicFills)
	if err != nil {
		return nil, fmt.Errorf("fills since %d marks: %w", len(marks), err)
	}
	return fills, nil
}

// Streams returns how far each topic was applied.
func (db *DB) Streams(ctx context.Context) ([]pipeline.StreamRow, error) {
	streams, err := rowsOf[pipeline.StreamRow](ctx, db, "ViewStreams")
	if err != nil {
		return nil, fmt.Errorf("streams: %w", err)
	}
	return streams, nil
}

// OrderStates returns the number of orders of the latest run by state.
func (db *DB) OrderStates(ctx context.Context) ([]pipeline.StateCount, error) {
	counts, err := rowsOf[pipeline.StateCount](ctx, db, "ViewOrderStates")
	if err != nil {
		return nil, fmt.Errorf("order states: %w", err)
	}
	return counts, nil
}

// Find returns what a text is the id of. It returns ErrNotFound, wrapped with the text.
func (db *DB) Find(ctx context.Context, text string) (pipeline.Found, error) {
	found, err := rowsOf[pipeline.Found](ctx, db, "ViewFind", text)
	if err != nil {
		return pipeline.Found{}, fmt.Errorf("find %q: %w", text, err)
	}
	if len(found) == 0 {
		return pipeline.Found{}, fmt.Errorf("%q: %w", text, pipeline.ErrNotFound)
	}
	return found[0], nil
}

// Ready reports whether the database answers.
func (db *DB) Ready(ctx context.Context) error { return db.pool.Ping(ctx) }

// rowsOf runs the statement of a name and reads its rows into structs by column name. The statement
// is planned anew for its arguments, so that a filter that is empty costs nothing and a cursor is a
// place in an index.
func rowsOf[T any](ctx context.Context, db *DB, name string, args ...any) ([]T, error) {
	rows, err := db.pool.Query(ctx, query(name), append([]any{pgx.QueryExecModeCacheDescribe}, args...)...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[T])
}
