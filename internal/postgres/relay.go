package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"daybreak/market"
	"daybreak/money"
	"daybreak/pipeline"
	"daybreak/portfolio"
)

var _ pipeline.ChangeBook = (*DB)(nil)

// TakeRelay implements pipeline.ChangeBook. Where the database was restored from a dump its transaction
// numbers began anew: then every balance is sent again.
func (db *DB) TakeRelay(ctx context.Context, owner string, lease time.Duration) (pipeline.Lease, bool, error) {
	var l pipeline.Lease
	taken := false
	err := db.inTx(ctx, func(tx pgx.Tx) error {
		var isAhead bool
		err := tx.QueryRow(ctx, query("RelayTake"), owner, lease).Scan(&l.Epoch, &l.Place.Xid, &l.Place.ID, &l.Ends, &isAhead)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if taken = err == nil; err != nil || !isAhead {
			return err
		}
		l.Place = pipeline.Place{}
		_, err = tx.Exec(ctx, query("RelayRestate"))
		return err
	})
	if err != nil {
		return l, false, fmt.Errorf("take the relay: %w", err)
	}
	return l, taken, nil
}

// AdvanceRelay implements pipeline.ChangeBook.
func (db *DB) AdvanceRelay(ctx context.Context, epoch int64, at pipeline.Place, ends pipeline.TopicEnds, lease time.Duration) error {
	tag, err := db.pool.Exec(ctx, query("RelayAdvance"), epoch, at.Xid, at.ID, ends, lease)
	if err != nil {
		return fmt.Errorf("store the relay's place: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return fmt.Errorf("store the relay's place: %w", pipeline.ErrFenced)
	}
	return nil
}

// EmptyBookChanges implements pipeline.ChangeBook.
func (db *DB) EmptyBookChanges(ctx context.Context) error {
	if _, err := db.pool.Exec(ctx, query("RelayEmpty")); err != nil {
		return fmt.Errorf("empty the changes of the book: %w", err)
	}
	return nil
}

// BookChanges implements pipeline.ChangeBook.
func (db *DB) BookChanges(ctx context.Context, after pipeline.Place, limit int) (pipeline.BookChanges, error) {
	c := pipeline.BookChanges{Last: after}
	err := db.inSnapshot(ctx, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, query("RelaySnapshot")).Scan(&c.Until); err != nil {
			return err
		}
		var households []string
		var bases []int64
		var page struct {
			households []string
			bases      []int64
		}
		place := map[string]int{}
		s := scan{"RelayChanges", []any{after.Xid, after.ID, limit}, []any{&c.Last.Xid, &c.Last.ID, &page.households, &page.bases}}
		err := eachRow(ctx, tx, s, func() {
			c.Rows++
			for i, h := range page.households {
				if at, seen := place[h]; seen {
					bases[at] = min(bases[at], page.bases[i])
					continue
				}
				place[h] = len(households)
				households, bases = append(households, h), append(bases, page.bases[i])
			}
		})
		if err != nil || c.Rows == 0 {
			return err
		}
		if err := relayBalances(ctx, tx, &c, households, bases); err != nil {
			return err
		}
		return relayOrders(ctx, tx, &c, households, bases)
	})
	if err != nil {
		return c, fmt.Errorf("changes of the book: %w", err)
	}
	return c, nil
}

func relayBalances(ctx context.Context, tx pgx.Tx, c *pipeline.BookChanges, households []string, bases []int64) error {
	var b pipeline.Balance
	var currencies, symbols []string
	var amounts, shares []money.Dec
	targets := []any{&b.Account, &b.Household, &b.RoutingKey, &b.Currency, &b.Version, &b.Effective, &b.Known, &currencies, &amounts, &symbols, &shares}
	return eachRow(ctx, tx, scan{"RelayBalances", []any{households, bases}, targets}, func() {
		b.Cash, b.Positions = make([]portfolio.Cash, len(currencies)), make([]portfolio.Position, len(symbols))
		for i := range currencies {
			b.Cash[i] = portfolio.Cash{Currency: market.Currency(currencies[i]), Amount: amounts[i]}
		}
		for i := range symbols {
			b.Positions[i] = portfolio.Position{Symbol: market.Symbol(symbols[i]), Shares: shares[i]}
		}
		c.Balances = append(c.Balances, b)
	})
}

func relayOrders(ctx context.Context, tx pgx.Tx, c *pipeline.BookChanges, households []string, bases []int64) error {
	var o pipeline.OrderState
	targets := []any{&o.ID, &o.Run, &o.Household, &o.RoutingKey, &o.Account, &o.Symbol, &o.Side, &o.State, &o.OrderQty, &o.CumQty, &o.LeavesQty, &o.Currency,
		&o.Version, &o.Known}
	return eachRow(ctx, tx, scan{"RelayOrders", []any{households, bases}, targets}, func() { c.Orders = append(c.Orders, o) })
}
