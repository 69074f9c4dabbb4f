package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"daybreak/market"
)

// records returns the rows of a query whose columns are T's fields, in order.
func records[T any](ctx context.Context, tx pgx.Tx, name string, args ...any) ([]T, error) {
	rows, err := tx.Query(ctx, query(name), args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	values, err := pgx.CollectRows(rows, pgx.RowToStructByPos[T])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return values, nil
}

// MarketSnapshot returns the market as of a day; market.History.Snapshot says which closes and
// rates are in it. It returns market.ErrExchange, wrapped, where a security's exchange has no
// calendar.
func (db *DB) MarketSnapshot(ctx context.Context, day market.Day) (*market.Snapshot, error) {
	s := market.Snapshot{Day: day}
	err := db.inSnapshot(ctx, func(tx pgx.Tx) (err error) {
		if s.Securities, err = records[market.Security](ctx, tx, "SecurityAll"); err != nil {
			return err
		}
		if s.Prices, err = lastCloses(ctx, tx, s.Securities, day); err != nil {
			return err
		}
		if s.Dividends, err = dividends(ctx, tx, s.Securities, day); err != nil {
			return err
		}
		if s.Rates, err = records[market.Rate](ctx, tx, "MarketRates", day-market.RateAgeMax, day); err != nil {
			return err
		}
		if s.Replacements, err = records[market.Replacement](ctx, tx, "MarketReplacements"); err != nil {
			return err
		}
		s.Weights, err = records[market.Weight](ctx, tx, "MarketWeights")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("market of %s: %w", day, err)
	}
	return market.NewSnapshot(s), nil
}

// lastCloses returns the last close of each security that is young enough for a snapshot.
func lastCloses(ctx context.Context, tx pgx.Tx, securities []market.Security, day market.Day) ([]market.Price, error) {
	symbols, oldest := make([]string, len(securities)), make([]market.Day, len(securities))
	for i, s := range securities {
		var err error
		if oldest[i], err = market.OldestClose(s.Exchange, day); err != nil {
			return nil, fmt.Errorf("%s: %w", s.Symbol, err)
		}
		symbols[i] = string(s.Symbol)
	}
	return records[market.Price](ctx, tx, "MarketPrices", symbols, oldest, day)
}

// dividends returns the ex-dates that are young enough for a snapshot; nil where there are none.
func dividends(ctx context.Context, tx pgx.Tx, securities []market.Security, day market.Day) ([]market.Dividend, error) {
	symbols := make([]string, len(securities))
	for i, s := range securities {
		symbols[i] = string(s.Symbol)
	}
	all, err := records[market.Dividend](ctx, tx, "MarketDividends", symbols, day-market.DividendAgeMax, day)
	if len(all) == 0 {
		return nil, err
	}
	return all, err
}

// MarketHistory returns the market of all days up to one, that day included.
func (db *DB) MarketHistory(ctx context.Context, to market.Day) (*market.History, error) {
	return db.MarketYears(ctx, market.NoDay, to)
}

// MarketYears returns the market with the closes of the days from one to another, both included.
func (db *DB) MarketYears(ctx context.Context, from, to market.Day) (*market.History, error) {
	var h market.History
	err := db.inSnapshot(ctx, func(tx pgx.Tx) (err error) {
		if h.Securities, err = records[market.Security](ctx, tx, "SecurityAll"); err != nil {
			return err
		}
		if h.Prices, err = historyPrices(ctx, tx, from, to); err != nil {
			return err
		}
		if h.Rates, err = records[market.Rate](ctx, tx, "MarketHistoryRates", to); err != nil {
			return err
		}
		if h.Replacements, err = records[market.Replacement](ctx, tx, "MarketReplacements"); err != nil {
			return err
		}
		h.Weights, err = records[market.Weight](ctx, tx, "MarketWeights")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("market until %s: %w", to, err)
	}
	return &h, nil
}

// historyPrices reads row by row: all rows of a symbol share one text of it.
func historyPrices(ctx context.Context, tx pgx.Tx, from, to market.Day) ([]market.Price, error) {
	rows, err := tx.Query(ctx, query("MarketHistoryPrices"), to, from)
	if err != nil {
		return nil, fmt.Errorf("MarketHistoryPrices: %w", err)
	}
	var (
		all []market.Price
		p   market.Price
	)
	_, err = pgx.ForEachRow(rows, []any{&p.Symbol, &p.Day, &p.Close, &p.Dividend}, func() error {
		if n := len(all); n > 0 && all[n-1].Symbol == p.Symbol {
			p.Symbol = all[n-1].Symbol
		}
		all = append(all, p)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("MarketHistoryPrices: %w", err)
	}
	return all, nil
}

// inSnapshot runs do in one read-only transaction that sees one state of the database, so that an
// import which commits meanwhile is seen wholly or not at all.
func (db *DB) inSnapshot(ctx context.Context, do func(tx pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, db.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, do)
}

// loadRecords returns the rows of one query, in a transaction of its own.
func loadRecords[T any](ctx context.Context, db *DB, name string, args ...any) (values []T, err error) {
	err = db.inSnapshot(ctx, func(tx pgx.Tx) error {
		values, err = records[T](ctx, tx, name, args...)
		return err
	})
	return values, err
}
