package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"daybreak/pipeline"
	"daybreak/portfolio"
)

var _ pipeline.TaxReports = (*DB)(nil)

// TaxHousehold implements pipeline.TaxReports.
func (db *DB) TaxHousehold(ctx context.Context, id portfolio.HouseholdID) (pipeline.TaxHousehold, error) {
	var before portfolio.HouseholdID
	if err := db.pool.QueryRow(ctx, query("HouseholdBefore"), id).Scan(&before); err != nil {
		return pipeline.TaxHousehold{}, fmt.Errorf("household %s: %w", id, err)
	}
	page, err := db.TaxHouseholds(ctx, before, 1)
	if err != nil {
		return pipeline.TaxHousehold{}, err
	}
	if len(page) == 0 || page[0].Household.ID != id {
		return pipeline.TaxHousehold{}, fmt.Errorf("household %s: %w", id, pipeline.ErrNotFound)
	}
	return page[0], nil
}

// HouseholdOf implements pipeline.TaxReports.
func (db *DB) HouseholdOf(ctx context.Context, account portfolio.AccountID) (portfolio.HouseholdID, error) {
	var household portfolio.HouseholdID
	err := db.pool.QueryRow(ctx, query("AccountHousehold"), account).Scan(&household)
	if errors.Is(err, pgx.ErrNoRows) {
		err = pipeline.ErrNotFound
	}
	if err != nil {
		return "", fmt.Errorf("account %s: %w", account, err)
	}
	return household, nil
}

// CountHouseholds returns how many households there are.
func (db *DB) CountHouseholds(ctx context.Context) (n int64, err error) {
	if err := db.pool.QueryRow(ctx, query("HouseholdCount")).Scan(&n); err != nil {
		return 0, fmt.Errorf("count households: %w", err)
	}
	return n, nil
}
