package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"daybreak/orders"
	"daybreak/pipeline"
)

// orderColumns are what copyOrders writes; the other columns have defaults.
var orderColumns = []string{
	"run", "id", "household", "account", "symbol", "side", "session", "sequence", "quantity", "type", "limit_price",
	"time_in_force", "currency", "price", "price_day", "fx", "notional", "account_currency", "value", "lots", "waits_for",
	"reason", "numbers", "book_version", "build", "rules", "content_hash", "state", "order_qty", "leaves_qty",
	"exception", "exception_detail",
}

// proposal is an order as a run proposes it, and why a person must look at it first, if so.
type proposal struct {
	orders.Order
	flag pipeline.AccountFlag
}

// copyOrders stores proposed orders inside the transaction of their decisions.
func copyOrders(ctx context.Context, tx pgx.Tx, all []proposal) error {
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"trade_order"}, orderColumns,
		pgx.CopyFromSlice(len(all), func(i int) ([]any, error) {
			o, e := all[i], all[i].Export()
			waits := o.WaitsFor
			if waits == nil {
				waits = []orders.ID{}
			}
			return []any{
				o.Run, o.ID, o.Household, o.Account, o.Symbol, o.Side, o.Session, o.Sequence, o.Quantity, o.Type, o.LimitPrice,
				o.TimeInForce, o.Currency, o.Price, o.PriceDay, o.FX, o.Notional, o.AccountCurrency, o.Value, e.Lots, waits,
				o.Reason, e.Numbers, o.BookVersion, o.Build, o.Rules, o.ContentHash, orders.Proposed, o.Quantity, o.Quantity,
				o.flag.Code, o.flag.Detail,
			}, nil
		}))
	if err != nil {
		return fmt.Errorf("store %d orders: %w", len(all), err)
	}
	return nil
}
