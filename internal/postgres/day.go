package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"daybreak/pipeline"
	"daybreak/portfolio"
)

// DayLeft returns how many submitted orders of a run are still on their way, and how many are over.
func (db *DB) DayLeft(ctx context.Context, run string) (left, done int64, err error) {
	if err := db.pool.QueryRow(ctx, query("DayLeft"), run).Scan(&left, &done); err != nil {
		return 0, 0, fmt.Errorf("run %s: orders on their way: %w", run, err)
	}
	return left, done, nil
}

// DayResult is what the fills of a run came to.
type DayResult struct {
	States     []pipeline.ReasonTotal `json:"order_states"` // orders by region and state
	Executions int64                  `json:"fills"`
	Faults     []FaultFound           `json:"faults"`
}

// FaultFound is a household that was parked, or that should have been: in a sample world both are
// the same households with the same codes.
type FaultFound struct {
	Household portfolio.HouseholdID `json:"household"`
	Planted   string                `json:"planted"`
	Parked    string                `json:"parked"`
}

// DayResult returns what the fills of a run came to so far.
func (db *DB) DayResult(ctx context.Context, run string) (DayResult, error) {
	var r DayResult
	err := db.inSnapshot(ctx, func(tx pgx.Tx) error {
		var err error
		if r.States, err = records[pipeline.ReasonTotal](ctx, tx, "DayFills", run); err != nil {
			return err
		}
		if r.Faults, err = records[FaultFound](ctx, tx, "FaultsFound", run); err != nil {
			return err
		}
		return tx.QueryRow(ctx, query("DayExecutions"), run).Scan(&r.Executions)
	})
	if err != nil {
		return r, fmt.Errorf("run %s: result: %w", run, err)
	}
	return r, nil
}

// FirstHarvest returns the first account, by id, of which a harvest sale was filled in a run, or
// ErrNotFound.
func (db *DB) FirstHarvest(ctx context.Context, run string) (portfolio.AccountID, error) {
	var id portfolio.AccountID
	err := db.pool.QueryRow(ctx, query("FirstTraded"), run).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", fmt.Errorf("run %s: a filled harvest: %w", run, pipeline.ErrNotFound)
	}
	if err != nil {
		return "", fmt.Errorf("run %s: a filled harvest: %w", run, err)
	}
	return id, nil
}
