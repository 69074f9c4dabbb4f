package postgres

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"daybreak/ledger"
	"daybreak/market"
	"daybreak/money"
	"daybreak/pipeline"
	"daybreak/portfolio"
	"daybreak/rebalance"
)

// BookFigure is one figure of the book that fills move, such as the position of an account in a
// symbol.
type BookFigure struct {
	What   string
	Of     string
	Name   string
	Amount string
}

// BookFigures returns every figure of the book that fills move, for a comparison with an oracle.
func (db *DB) BookFigures(ctx context.Context) ([]BookFigure, error) {
	return loadRecords[BookFigure](ctx, db, "BookRows")
}

// LiveOrders returns orders at the broker that nothing has been filled of, in order of household,
// account and id, after one of them; at most limit.
func (db *DB) LiveOrders(ctx context.Context, after pipeline.BrokerOrder, limit int) ([]pipeline.BrokerOrder, error) {
	rows, err := db.pool.Query(ctx, query("LiveOrders"), string(after.Household), string(after.Account), string(after.ID), limit)
	if err != nil {
		return nil, fmt.Errorf("find live orders: %w", err)
	}
	all, err := pgx.CollectRows(rows, scanBrokerOrder)
	if err != nil {
		return nil, fmt.Errorf("find live orders: %w", err)
	}
	return all, nil
}

// StreamCount says how the records of a topic have ended.
type StreamCount struct {
	Applied   int64
	Duplicate int64
	Held      int64
	Dead      int64
}

// All returns the count of records that have ended.
func (c StreamCount) All() int64 { return c.Applied + c.Duplicate + c.Held + c.Dead }

// StreamCounts returns how the records of a topic have ended so far.
func (db *DB) StreamCounts(ctx context.Context, topic string) (StreamCount, error) {
	all, err := loadRecords[StreamCount](ctx, db, "StreamCounts", topic)
	if err != nil || len(all) == 0 {
		return StreamCount{}, err
	}
	return all[0], nil
}

// StoreSynthetic stores orders as sent, with the households, accounts, cash, positions, locks and
// opening entries that they need: a sale finds what it sells, in two lots, and has a lock. Orders of
// one household come in one call.
func (db *DB) StoreSynthetic(ctx context.Context, orders []pipeline.BrokerOrder, version int64) error {
	s := &syntheticRows{version: version, known: time.Unix(1_500_000_000, 0).UTC(), lines: map[portfolio.HouseholdID]int{}}
	for _, o := range orders {
		if err := s.add(o); err != nil {
			return err
		}
	}
	return db.inTx(ctx, func(tx pgx.Tx) error { return copyTables(ctx, tx, s.tables()) })
}

// syntheticRows are the rows of made-up orders.
type syntheticRows struct {
	version int64
	known   time.Time
	last    pipeline.BrokerOrder
	lines   map[portfolio.HouseholdID]int // of the opening

	households, accounts, cash, positions, orders, locks, journal [][]any
}

// syntheticCash is what a made-up account begins with: enough for all that it buys.
var syntheticCash = money.FromInt(50_000_000)

func (s *syntheticRows) add(o pipeline.BrokerOrder) error {
	household, account := string(o.Household), string(o.Account)
	if o.Household != s.last.Household {
		region := "US"
		if o.AccountCurrency == "CAD" {
			region = "CA"
		}
		s.households = append(s.households, []any{household, region, o.RoutingKey, s.version, o.Session})
	}
	if o.Account != s.last.Account {
		s.accounts = append(s.accounts, []any{account, household, "O" + household, "taxable", string(o.AccountCurrency), "SYNTHETIC", []byte("{}"), o.Session})
		s.cash = append(s.cash, []any{account, string(o.AccountCurrency), household, syntheticCash})
		s.open(o, ledger.Cash, string(o.AccountCurrency), syntheticCash)
	}
	s.last = o
	lots := []rebalance.TradeLot{}
	if o.Side == portfolio.Sell {
		first := o.Quantity.Mul(money.FromUnits(6, 1)).RoundDown(0)
		lots = append(lots, rebalance.TradeLot{Lot: "L1-" + string(o.ID), Shares: first}, rebalance.TradeLot{Lot: "L2-" + string(o.ID), Shares: o.Quantity.Sub(first)})
		s.positions = append(s.positions, []any{account, string(o.Symbol), household, o.Quantity})
		s.open(o, ledger.Units, string(o.Symbol), o.Quantity)
		s.locks = append(s.locks, []any{household, string(o.Symbol), string(o.ID), syntheticRun, account, string(o.Symbol), o.Session + 32, "provisional"})
	}
	s.orders = append(s.orders, []any{syntheticRun, string(o.ID), household, account, string(o.Symbol), string(o.Side), o.Session, 1, o.Quantity,
		string(o.Type), o.LimitPrice, string(o.TimeInForce), string(o.Currency), o.Price, o.PriceDay, o.FX, o.Notional,
		string(o.AccountCurrency), o.Value, lots, []string{}, "SYNTHETIC", map[string]string{"drift": "0.0123", "weight": "0.05", "tax": "12.34"}, s.version,
		"0000000000000000000000000000000000000000000000000000000000000000", "PendingNew", o.Quantity, o.Quantity, s.known})
	return nil
}

// syntheticRun is the run of made-up orders.
const syntheticRun = "2020-03-16.1"

func (s *syntheticRows) open(o pipeline.BrokerOrder, kind ledger.Kind, commodity string, amount money.Dec) {
	s.lines[o.Household]++
	s.journal = append(s.journal, []any{string(o.Household), int64(0), s.lines[o.Household], kindOpening + ":" + string(o.Household), kindOpening,
		o.Session, s.known, ledger.Outside, string(ledger.External), string(o.Account), string(kind), commodity, amount})
}

func (s *syntheticRows) tables() []tableRows {
	return []tableRows{
		{"household", []string{"id", "region", "routing_key", "book_version", "opened"}, s.households},
		{"account", []string{"id", "household", "owner", "type", "currency", "model", "policy", "opened"}, s.accounts},
		{"cash", []string{"account", "currency", "household", "amount"}, s.cash},
		{"position", []string{"account", "symbol", "household", "shares"}, s.positions},
		{"trade_order", []string{"run", "id", "household", "account", "symbol", "side", "session", "sequence", "quantity", "type", "limit_price",
			"time_in_force", "currency", "price", "price_day", "fx", "notional", "account_currency", "value", "lots", "waits_for", "reason",
			"numbers", "book_version", "content_hash", "state", "order_qty", "leaves_qty", "sent"}, s.orders},
		{"tax_lock", []string{"household", "property", "order_id", "run", "account", "symbol", "until", "state"}, s.locks},
		{"journal_line", journalColumns, s.journal},
	}
}

// PreloadExecutions stores executions of days before, as many of each of so many made-up households,
// from version 1 on: what a table of some months holds.
func (db *DB) PreloadExecutions(ctx context.Context, first, households, each int, session market.Day) error {
	for _, name := range []string{"PreloadExecutions", "PreloadKeys"} {
		if _, err := db.pool.Exec(ctx, query(name), first, households, each, session); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// StreamOffsets returns the next offset of each partition of a topic.
func (db *DB) StreamOffsets(ctx context.Context, topic string) (map[int32]int64, error) {
	rows, err := db.pool.Query(ctx, query("StreamOffsets"), topic)
	if err != nil {
		return nil, err
	}
	all, next := map[int32]int64{}, int64(0)
	var partition int32
	_, err = pgx.ForEachRow(rows, []any{&partition, &next}, func() error {
		all[partition] = next
		return nil
	})
	return all, err
}

// SampleTable are rows of a table in the binary format of COPY, for an empty table that is like it.
type SampleTable struct {
	Name string // of the empty table
	Rows []byte
}

// SampleMax is how many fills a sample has at most.
const SampleMax = 200_000

// CopySample returns the rows that the first SampleMax applied trades left, in order of arrival, and
// makes an empty table with the same columns and indexes beside each of their tables: what a bare COPY
// is measured with. The caller rolls tx back.
func CopySample(ctx context.Context, tx pgx.Tx) ([]SampleTable, error) {
	var all []SampleTable
	for _, t := range []struct{ table, rows string }{
		{"execution_key", "SampleKeys"}, {"execution", "SampleExecutions"}, {"journal_line", "SampleJournal"}, {"tax_fact", "SampleTax"},
	} {
		s := SampleTable{Name: "sample_" + t.table}
		if _, err := tx.Exec(ctx, "CREATE TABLE "+s.Name+" (LIKE "+t.table+" INCLUDING ALL)"); err != nil {
			return nil, fmt.Errorf("sample of %s: %w", t.table, err)
		}
		var rows bytes.Buffer
		if _, err := tx.Conn().PgConn().CopyTo(ctx, &rows, "COPY ("+strings.TrimSuffix(query(t.rows), ";")+") TO STDOUT BINARY"); err != nil {
			return nil, fmt.Errorf("sample of %s: %w", t.table, err)
		}
		s.Rows = rows.Bytes()
		all = append(all, s)
	}
	return all, nil
}
