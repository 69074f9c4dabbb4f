package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"daybreak/money"
	"daybreak/pipeline"
)

// driftEdges are where the buckets of drift begin, as shares of account value.
var driftEdges = []money.Dec{
	money.Zero, money.MustParse("0.005"), money.MustParse("0.01"), money.MustParse("0.02"),
	money.MustParse("0.03"), money.MustParse("0.05"), money.MustParse("0.08"), money.MustParse("0.12"), money.MustParse("0.2"),
}

// Summary implements pipeline.Summaries, in one snapshot of the database.
func (db *DB) Summary(ctx context.Context, run string) (pipeline.Summary, error) {
	r, err := db.Run(ctx, run)
	if err != nil {
		return pipeline.Summary{}, err
	}
	s := pipeline.Summary{
		Run: r.ID, Date: r.Session, State: r.State, Households: r.Households,
		Notional: map[string]money.Dec{}, Harvested: map[string]money.Dec{}, DeniedAvoided: map[string]money.Dec{},
		TaxValue: map[string]money.Dec{}, CashBefore: map[string]money.Dec{}, CashAfter: map[string]money.Dec{},
		ByRegion: map[string]pipeline.RegionTotal{},
	}
	end := time.Now()
	if r.Finished != nil {
		end = *r.Finished
	}
	s.Seconds = end.Sub(r.Started).Seconds()
	err = db.inSnapshot(ctx, func(tx pgx.Tx) error {
		for _, part := range []func(context.Context, pgx.Tx, *pipeline.Summary) error{
			sumOutcomes, sumAccounts, sumDrift, sumSides, sumReasons, sumRegions, sumGaps,
		} {
			if err := part(ctx, tx, &s); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return s, fmt.Errorf("run %s: summary: %w", run, err)
	}
	return s, nil
}

func sumOutcomes(ctx context.Context, tx pgx.Tx, s *pipeline.Summary) error {
	var outcome string
	var households, accounts int
	err := eachRow(ctx, tx, scan{"SummaryOutcomes", []any{s.Run}, []any{&outcome, &households, &accounts}}, func() {
		switch outcome {
		case pipeline.OutcomePlanned:
			s.Planned = households
		case pipeline.OutcomeNothingToDo:
			s.NothingToDo = households
		case pipeline.OutcomeParked:
			s.Parked = households
		}
	})
	s.Undecided = s.Households - s.Planned - s.NothingToDo - s.Parked
	return err
}

func sumAccounts(ctx context.Context, tx pgx.Tx, s *pipeline.Summary) error {
	var currency string
	var accounts, planned int
	var cashBefore, cashAfter, driftBefore, driftAfter, harvested, denied, value money.Dec
	targets := []any{&currency, &accounts, &planned, &cashBefore, &cashAfter, &driftBefore, &driftAfter, &harvested, &denied, &value}
	err := eachRow(ctx, tx, scan{"SummaryAccounts", []any{s.Run}, targets}, func() {
		s.Accounts += accounts
		s.AccountsPlanned += planned
		s.CashBefore[currency], s.CashAfter[currency] = cashBefore, cashAfter
		s.Harvested[currency], s.DeniedAvoided[currency], s.TaxValue[currency] = harvested, denied, value
		s.DriftBefore, s.DriftAfter = s.DriftBefore.Add(driftBefore), s.DriftAfter.Add(driftAfter)
	})
	if s.Accounts > 0 {
		n := money.FromInt(int64(s.Accounts))
		s.DriftBefore, s.DriftAfter = s.DriftBefore.Div(n), s.DriftAfter.Div(n)
	}
	return err
}

func sumGaps(ctx context.Context, tx pgx.Tx, s *pipeline.Summary) error {
	g := &s.Gaps
	targets := []any{&g.Certified, &g.Median, &g.Max, &g.AboveLimit, &g.Relaxed, &g.ByRules}
	return eachRow(ctx, tx, scan{"SummaryGaps", []any{s.Run}, targets}, func() {})
}

func sumDrift(ctx context.Context, tx pgx.Tx, s *pipeline.Summary) error {
	var b pipeline.DriftLevel
	return eachRow(ctx, tx, scan{"SummaryDrift", []any{s.Run, driftEdges}, []any{&b.From, &b.Before, &b.After}}, func() {
		s.DriftLevels = append(s.DriftLevels, b)
	})
}

func sumSides(ctx context.Context, tx pgx.Tx, s *pipeline.Summary) error {
	var t pipeline.SideTotal
	return eachRow(ctx, tx, scan{"SummarySides", []any{s.Run}, []any{&t.Region, &t.Side, &t.Currency, &t.Orders, &t.Notional}}, func() {
		s.BySide = append(s.BySide, t)
		s.Orders += t.Orders
		s.Notional[t.Currency] = s.Notional[t.Currency].Add(t.Notional)
	})
}

func sumReasons(ctx context.Context, tx pgx.Tx, s *pipeline.Summary) error {
	for _, part := range []struct {
		query string
		into  *[]pipeline.ReasonTotal
	}{{"SummaryReasons", &s.ByReason}, {"SummaryNotTraded", &s.NotTraded}, {"SummaryParked", &s.ParkedReasons}} {
		var t pipeline.ReasonTotal
		err := eachRow(ctx, tx, scan{part.query, []any{s.Run}, []any{&t.Region, &t.Reason, &t.Count}}, func() {
			*part.into = append(*part.into, t)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func sumRegions(ctx context.Context, tx pgx.Tx, s *pipeline.Summary) error {
	var region string
	var t pipeline.RegionTotal
	err := eachRow(ctx, tx, scan{"SummaryRegions", []any{s.Run}, []any{&region, &t.Households, &t.Harvested}}, func() {
		s.ByRegion[region] = t
	})
	if err != nil {
		return err
	}
	var harvests int
	return eachRow(ctx, tx, scan{"SummaryHarvests", []any{s.Run}, []any{&region, &harvests}}, func() {
		t := s.ByRegion[region]
		t.Harvests = harvests
		s.ByRegion[region] = t
	})
}

var _ pipeline.Summaries = (*DB)(nil)
