package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"daybreak/market"
	"daybreak/money"
)

// CopyNumbers copies a row with each of numbers, twice, and a day and an instant.
func CopyNumbers(ctx context.Context, pool *pgxpool.Pool, statement string, numbers []money.Dec, day market.Day, at time.Time) error {
	var c copyBuffer
	for i, n := range numbers {
		c.row(5)
		c.int32(int32(i))
		c.dec(n)
		c.dec(n)
		c.day(day)
		c.time(at)
	}
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return c.send(ctx, tx, statement) })
}
