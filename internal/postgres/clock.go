package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Clock returns the clock of the installation: the machine's, or in a sample installation one that
// stands in the sample's year and goes on with the machine's. isSample says which.
func (db *DB) Clock(ctx context.Context, machine func() time.Time) (clock func() time.Time, isSample bool, err error) {
	var real, shown time.Time
	err = db.pool.QueryRow(ctx, query("SampleClock")).Scan(&real, &shown)
	if errors.Is(err, pgx.ErrNoRows) {
		return machine, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("clock of the installation: %w", err)
	}
	return func() time.Time { return shown.Add(machine().Sub(real)) }, true, nil
}

// SetSampleClock makes the installation's clock show an instant at a real one. The first call counts:
// a clock is never set back.
func (db *DB) SetSampleClock(ctx context.Context, real, shown time.Time) error {
	if _, err := db.pool.Exec(ctx, query("SetSampleClock"), real, shown); err != nil {
		return fmt.Errorf("set the sample clock: %w", err)
	}
	return nil
}

// IsEmptyBook reports whether nothing was imported yet.
func (db *DB) IsEmptyBook(ctx context.Context) (bool, error) {
	var isEmpty bool
	if err := db.pool.QueryRow(ctx, query("IsEmptyBook")).Scan(&isEmpty); err != nil {
		return false, fmt.Errorf("look for imported data: %w", err)
	}
	return isEmpty, nil
}
