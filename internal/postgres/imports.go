package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"daybreak/market"
	"daybreak/money"
	"daybreak/pipeline"
)

// importRows is how many rows one statement of an import carries; their arrays take a few
// megabytes, and more of them are no faster.
const importRows = 20_000

// Securities implements pipeline.ImportStore.
func (db *DB) Securities(ctx context.Context) ([]market.Security, error) {
	return loadRecords[market.Security](ctx, db, "SecurityAll")
}

// Adjustments implements pipeline.ImportStore.
func (db *DB) Adjustments(ctx context.Context) (map[market.Symbol]market.Adjustment, error) {
	type adjusted struct {
		Symbol     market.Symbol
		Adjustment market.Adjustment
	}
	rows, err := loadRecords[adjusted](ctx, db, "PriceAdjustments")
	if err != nil {
		return nil, err
	}
	all := make(map[market.Symbol]market.Adjustment, len(rows))
	for _, r := range rows {
		all[r.Symbol] = r.Adjustment
	}
	return all, nil
}

// ClosesBefore implements pipeline.ImportStore.
func (db *DB) ClosesBefore(ctx context.Context, days map[market.Symbol]market.Day) (map[market.Symbol]market.Price, error) {
	symbols, before := make([]string, 0, len(days)), make([]market.Day, 0, len(days))
	for s, d := range days {
		symbols, before = append(symbols, string(s)), append(before, d)
	}
	rows, err := loadRecords[market.Price](ctx, db, "PriceBefore", symbols, before)
	if err != nil {
		return nil, err
	}
	closes := make(map[market.Symbol]market.Price, len(rows))
	for _, p := range rows {
		closes[p.Symbol] = p
	}
	return closes, nil
}

// SaveSecurities implements pipeline.ImportStore.
func (db *DB) SaveSecurities(ctx context.Context, rows []market.Security) (pipeline.Saved, error) {
	return saveRows(ctx, db, rows, func(ctx context.Context, tx pgx.Tx, part []market.Security) (pipeline.Saved, error) {
		return saved(ctx, tx, len(part), "SecuritySave",
			column(part, func(s market.Security) string { return string(s.Symbol) }),
			column(part, func(s market.Security) string { return s.Name }),
			column(part, func(s market.Security) string { return string(s.Currency) }),
			column(part, func(s market.Security) string { return s.Exchange }),
			column(part, func(s market.Security) string { return string(s.Kind) }),
			column(part, func(s market.Security) string { return s.AssetClass }),
			column(part, func(s market.Security) string { return s.Index }),
			column(part, func(s market.Security) string { return s.IdenticalGroup }))
	})
}

// SavePrices implements pipeline.ImportStore. It fails, and saves nothing, where the closes of a
// security would be of two adjustments: another import came between.
func (db *DB) SavePrices(ctx context.Context, rows []market.Quote, a market.Adjustment) (pipeline.Saved, error) {
	var total pipeline.Saved
	err := db.importTx(ctx, func(tx pgx.Tx) error {
		for part := range slices.Chunk(rows, importRows) {
			n, err := savePrices(ctx, tx, part, a)
			if err != nil {
				return err
			}
			total = total.Plus(n)
		}
		return refuseMixed(ctx, tx, rows)
	})
	return total, err
}

func savePrices(ctx context.Context, tx pgx.Tx, part []market.Quote, a market.Adjustment) (pipeline.Saved, error) {
	return saved(ctx, tx, len(part), "PriceSave",
		column(part, func(q market.Quote) string { return string(q.Symbol) }),
		column(part, func(q market.Quote) market.Day { return q.Day }),
		column(part, func(q market.Quote) string { return string(q.Currency) }),
		column(part, func(q market.Quote) money.Dec { return q.Close }),
		column(part, func(q market.Quote) money.Dec { return q.Dividend }),
		string(a))
}

func refuseMixed(ctx context.Context, tx pgx.Tx, rows []market.Quote) error {
	symbols := column(rows, func(q market.Quote) string { return string(q.Symbol) })
	slices.Sort(symbols)
	var symbol string
	switch err := tx.QueryRow(ctx, query("PriceMixed"), slices.Compact(symbols)).Scan(&symbol); err {
	case pgx.ErrNoRows:
		return nil
	case nil:
		return fmt.Errorf("closes of %s would be of two adjustments: another import ran at the same time", symbol)
	default:
		return fmt.Errorf("PriceMixed: %w", err)
	}
}

// SaveRates implements pipeline.ImportStore.
func (db *DB) SaveRates(ctx context.Context, rows []market.Rate) (pipeline.Saved, error) {
	return saveRows(ctx, db, rows, func(ctx context.Context, tx pgx.Tx, part []market.Rate) (pipeline.Saved, error) {
		return saved(ctx, tx, len(part), "RateSave",
			column(part, func(r market.Rate) string { return string(r.Base) }),
			column(part, func(r market.Rate) string { return string(r.Quote) }),
			column(part, func(r market.Rate) market.Day { return r.Day }),
			column(part, func(r market.Rate) money.Dec { return r.Rate }),
			column(part, func(r market.Rate) string { return r.Source }))
	})
}

// SaveReplacements implements pipeline.ImportStore. A list is replaced as a whole, so all rows go
// into one statement.
func (db *DB) SaveReplacements(ctx context.Context, rows []market.Replacement) (n pipeline.Saved, err error) {
	err = db.importTx(ctx, func(tx pgx.Tx) error {
		n, err = saved(ctx, tx, len(rows), "ReplacementSave",
			column(rows, func(r market.Replacement) string { return string(r.Symbol) }),
			column(rows, func(r market.Replacement) string { return string(r.Replacement) }),
			column(rows, func(r market.Replacement) int { return r.Rank }))
		return err
	})
	return n, err
}

// SaveWeights implements pipeline.ImportStore. A model is replaced as a whole, so all rows go into
// one statement.
func (db *DB) SaveWeights(ctx context.Context, rows []market.Weight) (n pipeline.Saved, err error) {
	err = db.importTx(ctx, func(tx pgx.Tx) error {
		n, err = saved(ctx, tx, len(rows), "WeightSave",
			column(rows, func(w market.Weight) string { return w.Model }),
			column(rows, func(w market.Weight) string { return w.Region }),
			column(rows, func(w market.Weight) string { return w.AssetClass }),
			column(rows, func(w market.Weight) string { return string(w.Symbol) }),
			column(rows, func(w market.Weight) int { return w.Rank }),
			column(rows, func(w market.Weight) money.Dec { return w.Weight }))
		return err
	})
	return n, err
}

// saveRows saves rows in one transaction, importRows at a time.
func saveRows[T any](ctx context.Context, db *DB, rows []T, save func(context.Context, pgx.Tx, []T) (pipeline.Saved, error)) (pipeline.Saved, error) {
	var total pipeline.Saved
	err := db.importTx(ctx, func(tx pgx.Tx) error {
		for part := range slices.Chunk(rows, importRows) {
			n, err := save(ctx, tx, part)
			if err != nil {
				return err
			}
			total = total.Plus(n)
		}
		return nil
	})
	return total, err
}

// importTx runs do in one transaction, one import at a time.
func (db *DB) importTx(ctx context.Context, do func(tx pgx.Tx) error) error {
	return db.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, query("ImportLock")); err != nil {
			return fmt.Errorf("ImportLock: %w", err)
		}
		return do(tx)
	})
}

// saved runs a statement that saves n rows and returns its counts.
func saved(ctx context.Context, tx pgx.Tx, n int, name string, args ...any) (pipeline.Saved, error) {
	var s pipeline.Saved
	if err := tx.QueryRow(ctx, query(name), args...).Scan(&s.Inserted, &s.Changed, &s.Removed); err != nil {
		return s, fmt.Errorf("%s: %w", name, err)
	}
	s.Unchanged = n - s.Inserted - s.Changed
	return s, nil
}

// column returns one field of every row.
func column[T, F any](rows []T, field func(T) F) []F {
	values := make([]F, len(rows))
	for i, r := range rows {
		values[i] = field(r)
	}
	return values
}
