package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"daybreak/fills"
	"daybreak/ledger"
	"daybreak/market"
	"daybreak/money"
	"daybreak/pipeline"
	"daybreak/portfolio"
	"daybreak/rebalance"
)

// saveFills writes the changes of a batch: COPY for rows that are new, one statement over arrays for
// each table whose rows change.
func saveFills(ctx context.Context, tx pgx.Tx, c pipeline.FillChanges, known knownBalances) error {
	if err := copyFills(ctx, tx, c); err != nil {
		return err
	}
	w := newFillWriter(c, known)
	b := &pgx.Batch{}
	w.queueVersions(b)
	if err := w.queueOrders(b); err != nil {
		return fmt.Errorf("save book: %w", err)
	}
	w.queueBalances(b)
	w.queueLocks(b)
	w.queueReplaced(b)
	w.queueCheckpoints(b)
	w.queueExceptions(b)
	w.queueHeld(b)
	w.queueNotify(b)
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("save book: %w", err)
	}
	return insertDeadLetters(ctx, tx, c.Batch.Topic, c.Dead)
}

// The statements that store what applied executions add.
const (
	copyKeys       = "COPY execution_key (key, content_hash) FROM STDIN BINARY"
	copyExecutions = "COPY execution (household, version, key, exec_type, refers, order_id, run, account, symbol, side, quantity, price, " +
		"commission, fees, currency, fx, fx_day, trade_date, settle_date, venue, broker_time, note, lots, effective, source_partition, " +
		"source_offset, known, lines, amounts, tax_owner, tax_type, tax_amount, tax_commission, tax_fx) FROM STDIN BINARY"
	executionColumns = 34
)

// copyFills stores the rows that applied executions add. What a trade posts is in the row of its
// execution; a correction and a bust have rows beside it.
func copyFills(ctx context.Context, tx pgx.Tx, c pipeline.FillChanges) error {
	var keys, executions copyBuffer
	var journal, tax [][]any
	for i := range c.Results {
		f := &c.Results[i].Effects
		keys.row(2)
		keys.text(f.Posted.Key)
		keys.text(f.Content)
		if err := executionRow(&executions, f, c.Sources[i], c.Now); err != nil {
			return fmt.Errorf("execution %s: %w", f.Posted.Key, err)
		}
		if isWhole(f) {
			continue
		}
		for n, line := range f.Journal {
			m := line.Move
			journal = append(journal, []any{string(f.Posted.Household), f.Posted.Version, n, f.Posted.Key, line.Kind, line.Effective, c.Now,
				m.From.Owner, string(m.From.Kind), m.To.Owner, string(m.To.Kind), m.Commodity, m.Amount})
		}
		if f.Tax != nil {
			tax = append(tax, []any{string(f.Posted.Household), f.Posted.Version, 0, f.Tax.ID, f.Tax.Day, f.Tax})
		}
	}
	if err := keys.send(ctx, tx, copyKeys); err != nil {
		return err
	}
	if err := executions.send(ctx, tx, copyExecutions); err != nil {
		return err
	}
	return copyTables(ctx, tx, []tableRows{{"journal_line", journalColumns, journal}, {"tax_fact", taxEventColumns, tax}})
}

// isWhole reports whether all that an execution posted goes into its own row: it is a trade.
func isWhole(f *fills.Effects) bool { return f.Posted.Type == fills.Trade && f.Tax != nil }

// executionRow writes the row of an execution.
func executionRow(c *copyBuffer, f *fills.Effects, source pipeline.Record, known time.Time) error {
	p := &f.Posted
	c.row(executionColumns)
	c.text(string(p.Household))
	c.int64(p.Version)
	for _, s := range []string{p.Key, string(p.Type), p.Refers, string(p.OrderID), p.Run, string(p.Account), string(p.Symbol), string(p.Side)} {
		c.text(s)
	}
	for _, d := range []money.Dec{p.Quantity, p.Price, p.Commission, p.Fees} {
		c.dec(d)
	}
	c.text(string(p.Currency))
	c.dec(p.FX)
	c.day(p.FXDay)
	c.day(p.TradeDate)
	c.day(p.SettleDate)
	c.text(p.Venue)
	c.time(p.BrokerTime)
	c.text(p.Text)
	if len(p.Lots) == 0 {
		c.null()
	} else if err := c.jsonb(p.Lots); err != nil {
		return err
	}
	c.bool(p.Effective)
	c.int32(source.Partition)
	c.int64(source.Offset)
	c.time(known)
	tradeColumns(c, f)
	return nil
}

// tradeColumns writes what a trade posted: lines and amounts of the journal, and what its tax event
// says beyond the execution.
func tradeColumns(c *copyBuffer, f *fills.Effects) {
	if !isWhole(f) {
		for range 7 {
			c.null()
		}
		return
	}
	account := string(f.Posted.Account)
	c.array(pgtype.TextOID, len(f.Journal), func(i int) { c.text(journalText(f.Journal[i].Move, account)) })
	c.array(pgtype.NumericOID, len(f.Journal), func(i int) { c.dec(f.Journal[i].Move.Amount) })
	c.text(string(f.Tax.Owner))
	c.text(f.Tax.AccountType)
	c.dec(f.Tax.Amount)
	c.dec(f.Tax.Commission)
	c.dec(f.Tax.FX)
}

// journalText returns a line of the journal as the row of an execution has it; the view journal reads
// it. No id of an execution has a bar.
func journalText(m ledger.Move, account string) string {
	from, to := m.From.Owner, m.To.Owner
	if from == account {
		from = ""
	}
	if to == account {
		to = ""
	}
	return from + "|" + string(m.From.Kind) + "|" + to + "|" + string(m.To.Kind) + "|" + m.Commodity
}

var (
	journalColumns  = []string{"household", "version", "line", "event", "kind", "effective", "known", "from_owner", "from_kind", "to_owner", "to_kind", "commodity", "amount"}
	taxEventColumns = []string{"household", "version", "line", "event", "effective", "body"}
)

// tableRows are new rows of one table.
type tableRows struct {
	name    string
	columns []string
	rows    [][]any
}

func copyTables(ctx context.Context, tx pgx.Tx, tables []tableRows) error {
	for _, t := range tables {
		if len(t.rows) == 0 {
			continue
		}
		if _, err := tx.CopyFrom(ctx, pgx.Identifier{t.name}, t.columns, pgx.CopyFromRows(t.rows)); err != nil {
			return fmt.Errorf("store %s: %w", t.name, err)
		}
	}
	return nil
}

// fillWriter holds the last state of each row that a batch changes, in order of key.
type fillWriter struct {
	changes   pipeline.FillChanges
	versions  map[string]int64
	orders    map[string]fills.Order // by run and id
	positions map[fills.Holding]holdingRow
	cash      map[fills.Purse]holdingRow
	locks     map[string]lockKey
}

type holdingRow struct {
	household portfolio.HouseholdID
	amount    money.Dec
	isKnown   bool // the book had a row of it before the batch
}

type lockKey struct {
	household portfolio.HouseholdID
	lock      fills.Lock
}

func newFillWriter(c pipeline.FillChanges, known knownBalances) *fillWriter {
	w := &fillWriter{changes: c, versions: map[string]int64{}, orders: map[string]fills.Order{},
		positions: map[fills.Holding]holdingRow{}, cash: map[fills.Purse]holdingRow{}, locks: map[string]lockKey{}}
	for i := range c.Results {
		f := &c.Results[i].Effects
		h := f.Posted.Household
		w.versions[string(h)] = f.Posted.Version
		w.orders[f.Order.Run+"|"+string(f.Order.ID)] = f.Order
		if f.Moved() {
			w.positions[f.Holding] = holdingRow{h, f.Shares, known.positions[f.Holding]}
			w.cash[f.Purse] = holdingRow{h, f.Cash, known.cash[f.Purse]}
		}
		for _, l := range f.Locks {
			w.locks[string(h)+"|"+l.Property+"|"+string(l.Order)+"|"+l.Run] = lockKey{h, l}
		}
	}
	return w
}

func (w *fillWriter) queueVersions(b *pgx.Batch) {
	if len(w.versions) == 0 {
		return
	}
	ids := slices.Sorted(maps.Keys(w.versions))
	versions := make([]int64, len(ids))
	for i, id := range ids {
		versions[i] = w.versions[id]
	}
	b.Queue(query("SaveVersions"), ids, versions)
}

func (w *fillWriter) queueOrders(b *pgx.Batch) error {
	if len(w.orders) == 0 {
		return nil
	}
	var runs, ids, states []string
	var asked, cum, leaves []money.Dec
	var lots [][]rebalance.TradeLot
	for _, key := range slices.Sorted(maps.Keys(w.orders)) {
		o := w.orders[key]
		runs, ids, states = append(runs, o.Run), append(ids, string(o.ID)), append(states, string(o.Progress.State))
		asked, cum, leaves = append(asked, o.Progress.OrderQty), append(cum, o.Progress.CumQty), append(leaves, o.Progress.LeavesQty)
		lots = append(lots, o.LotsLeft)
	}
	texts, err := jsonTexts(lots)
	if err != nil {
		return err
	}
	b.Queue(query("SaveOrders"), runs, ids, states, asked, cum, leaves, texts)
	return nil
}

// jsonTexts returns lots as JSON, and NULL for none.
func jsonTexts(lots [][]rebalance.TradeLot) ([]*string, error) {
	texts := make([]*string, len(lots))
	for i, l := range lots {
		if len(l) == 0 {
			continue
		}
		b, err := json.Marshal(l)
		if err != nil {
			return nil, err
		}
		text := string(b)
		texts[i] = &text
	}
	return texts, nil
}

// queueBalances writes positions and cash: rows that were loaded are updated, which is much cheaper
// than an upsert, and the others inserted.
func (w *fillWriter) queueBalances(b *pgx.Batch) {
	var positions, cash balanceRows
	for h, row := range w.positions {
		positions.add(row, string(h.Account), string(h.Symbol))
	}
	for p, row := range w.cash {
		cash.add(row, string(p.Account), string(p.Currency))
	}
	positions.queue(b, "UpdatePositions", "SavePositions")
	cash.queue(b, "UpdateCash", "SaveCash")
}

// balanceRows are positions, or amounts of cash, with those that the book lacks apart.
type balanceRows struct {
	accounts, commodities []string
	amounts               []money.Dec

	newHouseholds, newAccounts, newCommodities []string
	newAmounts                                 []money.Dec
}

func (r *balanceRows) add(row holdingRow, account, commodity string) {
	if row.isKnown {
		r.accounts, r.commodities, r.amounts = append(r.accounts, account), append(r.commodities, commodity), append(r.amounts, row.amount)
		return
	}
	r.newHouseholds, r.newAccounts = append(r.newHouseholds, string(row.household)), append(r.newAccounts, account)
	r.newCommodities, r.newAmounts = append(r.newCommodities, commodity), append(r.newAmounts, row.amount)
}

func (r *balanceRows) queue(b *pgx.Batch, update, insert string) {
	if len(r.accounts) > 0 {
		b.Queue(query(update), r.accounts, r.commodities, r.amounts)
	}
	if len(r.newAccounts) > 0 {
		b.Queue(query(insert), r.newHouseholds, r.newAccounts, r.newCommodities, r.newAmounts)
	}
}

func (w *fillWriter) queueLocks(b *pgx.Batch) {
	if len(w.locks) == 0 {
		return
	}
	var households, properties, ids, runs, states []string
	var until []market.Day
	for _, key := range slices.Sorted(maps.Keys(w.locks)) {
		k := w.locks[key]
		households, properties = append(households, string(k.household)), append(properties, k.lock.Property)
		ids, runs, states = append(ids, string(k.lock.Order)), append(runs, k.lock.Run), append(states, string(k.lock.State))
		until = append(until, k.lock.Until)
	}
	b.Queue(query("SaveLocks"), households, properties, ids, runs, until, states)
}

func (w *fillWriter) queueReplaced(b *pgx.Batch) {
	var households []string
	var versions, by []int64
	for i := range w.changes.Results {
		if f := &w.changes.Results[i].Effects; f.Replaced != "" {
			households = append(households, string(f.Posted.Household))
			versions, by = append(versions, f.ReplacedVersion), append(by, f.Posted.Version)
		}
	}
	if len(households) == 0 {
		return
	}
	b.Queue(query("SaveReplaced"), households, versions, by)
	b.Queue(query("SaveWithdrawn"), households, versions, by)
}

// endOfDays is after every day that a checkpoint has closed.
var endOfDays = market.NewDay(9999, 12, 31)

// queueCheckpoints voids the checkpoints of tax books that the batch's events come too late for, or
// that hold an event which the batch took back.
func (w *fillWriter) queueCheckpoints(b *pgx.Batch) {
	var households []string
	var versions []int64
	var days []market.Day
	for i := range w.changes.Results {
		f := &w.changes.Results[i].Effects
		if f.Replaced != "" {
			households, versions, days = append(households, string(f.Posted.Household)), append(versions, f.ReplacedVersion), append(days, endOfDays)
		}
		if f.Tax != nil {
			households, versions, days = append(households, string(f.Posted.Household)), append(versions, f.Posted.Version), append(days, f.Tax.Day)
		}
	}
	if len(households) > 0 {
		b.Queue(query("VoidCheckpoints"), households, versions, days)
	}
}

// exceptionChange is what one fact opened and closed.
type exceptionChange struct {
	household      portfolio.HouseholdID
	opened, closed []fills.Exception
}

func (w *fillWriter) queueExceptions(b *pgx.Batch) {
	changes := make([]exceptionChange, len(w.changes.Results))
	for i := range w.changes.Results {
		f := &w.changes.Results[i].Effects
		changes[i] = exceptionChange{f.Posted.Household, f.Opened, f.Closed}
	}
	queueExceptions(b, w.changes.Now, changes)
}

// queueExceptions closes what facts of the batch healed and opens what they broke. What was opened
// and healed within the batch is stored closed.
func queueExceptions(b *pgx.Batch, now time.Time, changes []exceptionChange) {
	var closed, opened exceptionRows
	open := map[exceptionKey]int{} // place in opened of what this batch opened
	for _, c := range changes {
		for _, x := range c.closed {
			if i, here := open[keyOf(x)]; here {
				opened.healed[i] = true
				delete(open, keyOf(x))
				continue
			}
			closed.add(c.household, x)
		}
		for _, x := range c.opened {
			open[keyOf(x)] = len(opened.codes)
			opened.add(c.household, x)
		}
	}
	if len(closed.codes) > 0 {
		b.Queue(query("CloseExceptions"), closed.accounts, closed.codes, closed.subjects, now)
	}
	if len(opened.codes) > 0 {
		b.Queue(query("OpenExceptions"), opened.households, opened.accounts, opened.codes, opened.subjects, opened.details, now, opened.healed, opened.parks)
	}
}

type exceptionKey struct {
	account       portfolio.AccountID
	code, subject string
}

func keyOf(x fills.Exception) exceptionKey { return exceptionKey{x.Account, x.Code, x.Subject} }

type exceptionRows struct {
	households, accounts, codes, subjects, details []string
	healed, parks                                  []bool
}

func (r *exceptionRows) add(h portfolio.HouseholdID, x fills.Exception) {
	r.households, r.accounts = append(r.households, string(h)), append(r.accounts, string(x.Account))
	r.codes, r.subjects, r.details = append(r.codes, x.Code), append(r.subjects, x.Subject), append(r.details, x.Detail)
	r.healed, r.parks = append(r.healed, false), append(r.parks, fills.Parks(x.Code))
}

func (w *fillWriter) queueHeld(b *pgx.Batch) {
	var keys, contents, households, ids, waits []string
	var values [][]byte
	var partitions []int32
	var offsets []int64
	for _, h := range w.changes.Held {
		e := h.Waiting.Execution
		keys, contents, waits = append(keys, h.Waiting.Key), append(contents, h.Waiting.Content), append(waits, h.Waiting.WaitsFor)
		households, ids = append(households, string(e.Household)), append(ids, string(e.OrderID))
		values, partitions, offsets = append(values, h.Record.Value), append(partitions, h.Record.Partition), append(offsets, h.Record.Offset)
	}
	if len(keys) > 0 {
		b.Queue(query("HoldExecutions"), keys, contents, households, ids, waits, values, partitions, offsets, w.changes.Now)
	}
	if len(w.changes.Released) > 0 {
		b.Queue(query("ReleaseExecutions"), w.changes.Released, w.changes.Now)
	}
}

// queueNotify wakes the page, and has the gateway look at households where a sale has ended: others
// may have waited for it.
func (w *fillWriter) queueNotify(b *pgx.Batch) {
	if len(w.changes.Results) > 0 {
		b.Queue(query("Notify"), ChannelFills, strconv.Itoa(len(w.changes.Results)))
	}
	var households []string
	for i := range w.changes.Results {
		f := &w.changes.Results[i].Effects
		if f.Order.Side == portfolio.Sell && f.Order.Progress.State.Ended() {
			households = append(households, string(f.Posted.Household))
		}
	}
	if len(households) > 0 {
		b.Queue(query("MarkDue"), households)
		b.Queue(query("Notify"), ChannelOrders, "")
	}
}
