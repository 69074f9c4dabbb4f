package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"daybreak/market"
	"daybreak/money"
	"daybreak/orders"
	"daybreak/pipeline"
	"daybreak/portfolio"
)

var _ pipeline.GatewayBook = (*DB)(nil)

// DueHouseholds implements pipeline.GatewayBook.
func (db *DB) DueHouseholds(ctx context.Context, after portfolio.HouseholdID, limit int) ([]portfolio.HouseholdID, []string, error) {
	return db.gatewayHouseholds(ctx, "DueHouseholds", after, limit)
}

// ReadyHouseholds implements pipeline.GatewayBook.
func (db *DB) ReadyHouseholds(ctx context.Context, after portfolio.HouseholdID, limit int) ([]portfolio.HouseholdID, []string, error) {
	return db.gatewayHouseholds(ctx, "ReadyHouseholds", after, limit)
}

func (db *DB) gatewayHouseholds(ctx context.Context, name string, after portfolio.HouseholdID, limit int) ([]portfolio.HouseholdID, []string, error) {
	rows, err := db.pool.Query(ctx, query(name), after, limit)
	if err != nil {
		return nil, nil, fmt.Errorf("find orders to send: %w", err)
	}
	var ids []portfolio.HouseholdID
	var id portfolio.HouseholdID
	var runs, all []string
	_, err = pgx.ForEachRow(rows, []any{&id, &runs}, func() error {
		ids = append(ids, id)
		all = append(all, runs...)
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("find orders to send: %w", err)
	}
	slices.Sort(all)
	return ids, slices.Compact(all), nil
}

// Unanswered implements pipeline.GatewayBook.
func (db *DB) Unanswered(ctx context.Context, age time.Duration, limit int) ([]pipeline.BrokerOrder, error) {
	rows, err := db.pool.Query(ctx, query("Unanswered"), age, limit)
	if err != nil {
		return nil, fmt.Errorf("find unanswered orders: %w", err)
	}
	all, err := pgx.CollectRows(rows, scanBrokerOrder)
	if err != nil {
		return nil, fmt.Errorf("find unanswered orders: %w", err)
	}
	return all, nil
}

func scanBrokerOrder(r pgx.CollectableRow) (pipeline.BrokerOrder, error) {
	var o pipeline.BrokerOrder
	err := r.Scan(&o.ID, &o.Run, &o.Session, &o.Sequence, &o.Household, &o.Account, &o.Symbol, &o.Side, &o.Quantity, &o.Type,
		&o.LimitPrice, &o.TimeInForce, &o.Currency, &o.Price, &o.PriceDay, &o.FX, &o.Notional, &o.AccountCurrency, &o.Value,
		&o.RoutingKey, &o.Exchange)
	return o, err
}

// StartSubmit implements pipeline.DeskBook.
func (db *DB) StartSubmit(ctx context.Context, a pipeline.Act, f pipeline.Frozen) error {
	err := db.inTx(ctx, func(tx pgx.Tx) error {
		return writeAudit(ctx, tx, AuditEntry{At: a.Now, Actor: a.By, Action: "order.submit", Subject: a.Run,
			Detail: map[string]any{"where": a.Where, "comment": a.Comment, "orders": f.Orders, "notional": f.Notional, "root": f.Root}})
	})
	if err != nil {
		return err
	}
	_, err = db.pool.Exec(ctx, query("AnalyzeOrders"))
	return err
}

// UpdateDesk implements pipeline.DeskBook.
func (db *DB) UpdateDesk(ctx context.Context, r pipeline.DeskRequest, decide func(*pipeline.DeskLoad) ([]pipeline.DeskMove, error)) ([]pipeline.DeskMove, error) {
	var done []pipeline.DeskMove
	err := db.inTx(ctx, func(tx pgx.Tx) error {
		load, err := loadDesk(ctx, tx, r)
		if err != nil {
			return fmt.Errorf("load desk: %w", err)
		}
		moves, err := decide(load)
		if err != nil || len(moves) == 0 {
			return err
		}
		done, err = saveDesk(ctx, tx, moves)
		return err
	})
	return done, err
}

func loadDesk(ctx context.Context, tx pgx.Tx, r pipeline.DeskRequest) (*pipeline.DeskLoad, error) {
	ids, err := collect[portfolio.HouseholdID](ctx, tx, "LockHouseholds", r.Households)
	if err != nil {
		return nil, err
	}
	if r.Due {
		if _, err := tx.Exec(ctx, query("TakeDue"), ids); err != nil {
			return nil, fmt.Errorf("take what is due: %w", err)
		}
	}
	d := newDeskLoader(r, ids)
	err = d.fill(ctx, tx, d.loadHouseholds, d.loadAccounts, d.loadCash, d.loadPositions, d.loadExceptions,
		d.loadOrders, d.loadOverrides, d.loadLocks, d.loadRepurchases, d.loadReferences, d.loadSent, d.loadHalt, d.loadTax)
	return d.out, err
}

// deskLoader fills what the desk sees, over the loader of households.
type deskLoader struct {
	*loader
	request     pipeline.DeskRequest
	out         *pipeline.DeskLoad
	repurchases map[int]bool // places of households that buy what they have sold since the plan
}

func newDeskLoader(r pipeline.DeskRequest, ids []portfolio.HouseholdID) *deskLoader {
	l := newLoader(pipeline.Run{}, ids)
	return &deskLoader{loader: &l, request: r, repurchases: map[int]bool{}, out: &pipeline.DeskLoad{
		Households: make([]pipeline.DeskHousehold, len(ids)), References: map[pipeline.ReferenceKey]pipeline.Reference{},
		Sent: map[pipeline.SentKey]money.Dec{}, Identical: map[market.Symbol]string{}, Rates: map[pipeline.RateKey]money.Dec{},
	}}
}

// fill runs steps, each after what it needs, and brings what they read to where the desk looks for
// it.
func (d *deskLoader) fill(ctx context.Context, tx pgx.Tx, steps ...loadStep) error {
	for _, step := range steps {
		if err := step(ctx, tx); err != nil {
			return err
		}
	}
	d.finish()
	return nil
}

func (d *deskLoader) loadOrders(ctx context.Context, tx pgx.Tx) error {
	var o pipeline.DeskOrder
	p, a := &o.Progress, &o.Approval
	targets := []any{&o.Run, &o.ID, &o.Session, &o.Sequence, &o.Account, &o.Symbol, &o.Side, &o.Quantity, &o.Type, &o.LimitPrice,
		&o.TimeInForce, &o.Currency, &o.Price, &o.PriceDay, &o.FX, &o.Notional, &o.AccountCurrency, &o.Value, &o.Lots, &o.WaitsFor,
		&o.Reason, &o.Numbers, &o.BookVersion, &o.Build, &o.Rules, &o.ContentHash, &p.State, &p.OrderQty, &p.CumQty, &p.LeavesQty,
		&o.Released, &o.IsSent, &o.HeldBy, &o.Exception, &a.Maker, &a.Approver, &a.ContentHash, &o.RunBuild, &o.RunRules,
		&o.Exchange, &o.Property, &o.Harvests}
	return d.forEach(ctx, tx, scan{"DeskOrders", []any{d.request.Runs}, targets}, func(i int) {
		o.Household = d.ids[i]
		d.out.Households[i].Orders = append(d.out.Households[i].Orders, o)
		o.Lots, o.WaitsFor, o.Numbers = nil, nil, nil
	})
}

func (d *deskLoader) loadReferences(ctx context.Context, tx pgx.Tx) error {
	wanted := map[pipeline.ReferenceKey]bool{}
	var symbols []string
	var sessions []market.Day
	for _, h := range d.out.Households {
		for _, o := range h.Orders {
			key := pipeline.ReferenceKey{Symbol: o.Symbol, Session: o.Session}
			if o.IsSent || wanted[key] {
				continue
			}
			wanted[key] = true
			symbols, sessions = append(symbols, string(o.Symbol)), append(sessions, o.Session)
		}
	}
	rows, err := tx.Query(ctx, query("DeskReferences"), symbols, sessions)
	if err != nil {
		return err
	}
	var key pipeline.ReferenceKey
	var r pipeline.Reference
	_, err = pgx.ForEachRow(rows, []any{&key.Symbol, &key.Session, &r.Price, &r.Day}, func() error {
		d.out.References[key] = r
		return nil
	})
	return err
}

func (d *deskLoader) loadSent(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, query("SentTotals"), d.request.Runs)
	if err != nil {
		return err
	}
	var key pipeline.SentKey
	var value money.Dec
	_, err = pgx.ForEachRow(rows, []any{&key.Session, &key.Currency, &value}, func() error {
		d.out.Sent[key] = value
		return nil
	})
	return err
}

// loadHalt reads the kill switch. No row is as good as an active one: it fails closed.
func (d *deskLoader) loadHalt(ctx context.Context, tx pgx.Tx) error {
	var active bool
	var reason string
	err := tx.QueryRow(ctx, query("KillSwitch")).Scan(&active, &reason)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		d.out.Halt = "the kill switch has no row"
		return nil
	case err != nil:
		return err
	case active && reason == "":
		reason = "no reason given"
	}
	if active {
		d.out.Halt = reason
	}
	return nil
}

// finish brings what the loader of households read to where the desk looks for it.
func (d *deskLoader) finish() {
	for i := range d.out.Households {
		h := &d.out.Households[i]
		h.Household, h.Version = d.households[i].Input.Household, d.households[i].Input.BookVersion
		if f := d.households[i].Fault; f != nil {
			h.Exception = f.Detail
		}
		pipeline.SortDesk(h.Orders)
	}
}

// saveDesk writes moves and returns those that took effect.
func saveDesk(ctx context.Context, tx pgx.Tx, moves []pipeline.DeskMove) ([]pipeline.DeskMove, error) {
	done := map[deskKey]bool{}
	for _, save := range []func(context.Context, pgx.Tx, []pipeline.DeskMove, map[deskKey]bool) error{releaseOrders, sendOrders, stopOrders} {
		if err := save(ctx, tx, moves, done); err != nil {
			return nil, err
		}
	}
	took := slices.DeleteFunc(moves, func(m pipeline.DeskMove) bool { return !done[deskKey{m.Order.Run, m.Order.ID}] })
	if err := addSent(ctx, tx, took); err != nil {
		return nil, err
	}
	return took, markDue(ctx, tx, took)
}

// markDue has the gateway look at households whose orders were released or stopped: what waits for a
// stopped sale ends. What was sent is looked at again when it is over.
func markDue(ctx context.Context, tx pgx.Tx, took []pipeline.DeskMove) error {
	var households []string
	for _, m := range took {
		if m.Move != pipeline.MoveSend {
			households = append(households, string(m.Order.Household))
		}
	}
	if len(households) > 0 {
		if _, err := tx.Exec(ctx, query("MarkDue"), households); err != nil {
			return fmt.Errorf("mark households: %w", err)
		}
	}
	if len(took) > 0 {
		if _, err := tx.Exec(ctx, query("Notify"), ChannelOrders, ""); err != nil {
			return fmt.Errorf("notify: %w", err)
		}
	}
	return nil
}

type deskKey struct {
	run string
	id  orders.ID
}

// mark runs a statement that returns the orders it changed.
func mark(ctx context.Context, tx pgx.Tx, done map[deskKey]bool, name string, args ...any) error {
	rows, err := tx.Query(ctx, query(name), args...)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	var k deskKey
	_, err = pgx.ForEachRow(rows, []any{&k.run, &k.id}, func() error {
		done[k] = true
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func releaseOrders(ctx context.Context, tx pgx.Tx, moves []pipeline.DeskMove, done map[deskKey]bool) error {
	var runs, ids []string
	for _, m := range moves {
		if m.Move == pipeline.MoveRelease {
			runs, ids = append(runs, m.Order.Run), append(ids, string(m.Order.ID))
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return mark(ctx, tx, done, "ReleaseOrders", runs, ids)
}

func sendOrders(ctx context.Context, tx pgx.Tx, moves []pipeline.DeskMove, done map[deskKey]bool) error {
	var runs, ids []string
	var quantities []money.Dec
	for _, m := range moves {
		if m.Move == pipeline.MoveSend {
			runs, ids, quantities = append(runs, m.Order.Run), append(ids, string(m.Order.ID)), append(quantities, m.Quantity)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return mark(ctx, tx, done, "SendOrders", runs, ids, quantities)
}

func stopOrders(ctx context.Context, tx pgx.Tx, moves []pipeline.DeskMove, done map[deskKey]bool) error {
	var runs, ids, codes, details []string
	var ends []bool
	for _, m := range moves {
		if m.Move != pipeline.MoveFlag && m.Move != pipeline.MoveCancel {
			continue
		}
		runs, ids = append(runs, m.Order.Run), append(ids, string(m.Order.ID))
		codes, details, ends = append(codes, m.Code), append(details, m.Detail), append(ends, m.Move == pipeline.MoveCancel)
	}
	if len(ids) == 0 {
		return nil
	}
	return mark(ctx, tx, done, "StopOrders", runs, ids, codes, details, ends)
}

// addSent counts what was sent towards the firm's limit for the day.
func addSent(ctx context.Context, tx pgx.Tx, took []pipeline.DeskMove) error {
	type total struct {
		orders int64
		value  money.Dec
	}
	totals := map[pipeline.SentKey]total{}
	for _, m := range took {
		if m.Move == pipeline.MoveSend {
			key := pipeline.SentKey{Session: m.Order.Session, Currency: m.Order.AccountCurrency}
			totals[key] = total{totals[key].orders + 1, totals[key].value.Add(m.Order.Value)}
		}
	}
	if len(totals) == 0 {
		return nil
	}
	var sessions []market.Day
	var currencies []string
	var counts []int64
	var values []money.Dec
	for key, t := range totals {
		sessions, currencies = append(sessions, key.Session), append(currencies, string(key.Currency))
		counts, values = append(counts, t.orders), append(values, t.value)
	}
	if _, err := tx.Exec(ctx, query("AddSent"), sessions, currencies, counts, values); err != nil {
		return fmt.Errorf("count what was sent: %w", err)
	}
	return nil
}
