package postgres

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"daybreak/orders"
	"daybreak/pipeline"
	"daybreak/portfolio"
	"daybreak/rebalance"
	"daybreak/tlh"
)

// copyDecisions writes the decisions of a batch with their accounts, orders and locks: one COPY for
// each table, rows in the order of the batch's households.
func copyDecisions(ctx context.Context, tx pgx.Tx, decisions []pipeline.Decision) error {
	var accounts, locks [][]any
	var proposals []proposal
	rows := make([][]any, len(decisions))
	for i, d := range decisions {
		rows[i] = decisionRow(d)
		for _, a := range d.Plan.Accounts {
			row, err := accountDecisionRow(d, a)
			if err != nil {
				return fmt.Errorf("account %s: %w", a.Account, err)
			}
			accounts = append(accounts, row)
		}
		flagged := d.Flags()
		for _, o := range d.Orders {
			proposals = append(proposals, proposal{o, flagged[o.Account]})
		}
		for _, l := range orders.NameLocks(d.Plan.Locks, d.Orders) {
			locks = append(locks, lockRow(d.Run, d.Household, l))
		}
	}
	for _, t := range []struct {
		name    string
		columns []string
		rows    [][]any
	}{
		{"decision", decisionColumns, rows},
		{"account_decision", accountDecisionColumns, accounts},
		{"tax_lock", lockColumns, locks},
	} {
		if _, err := tx.CopyFrom(ctx, pgx.Identifier{t.name}, t.columns, pgx.CopyFromRows(t.rows)); err != nil {
			return fmt.Errorf("store %s: %w", t.name, err)
		}
	}
	return copyOrders(ctx, tx, proposals)
}

var decisionColumns = []string{"run", "household", "outcome", "reason", "detail", "book_version", "accounts", "orders", "input", "output_hash"}

func decisionRow(d pipeline.Decision) []any {
	return []any{d.Run, d.Household, d.Outcome, d.Reason, d.Detail, d.BookVersion, len(d.Plan.Accounts), len(d.Orders), d.Input, d.OutputHash}
}

var accountDecisionColumns = []string{"run", "account", "household", "outcome", "reason", "numbers", "currency", "value",
	"cash_before", "cash_after", "drift_before", "drift_after", "harvested", "denied_avoided", "tax_value", "skipped",
	"certificate", "gap_bp", "exception"}

func accountDecisionRow(d pipeline.Decision, a rebalance.AccountPlan) ([]any, error) {
	numbers, err := jsonOr(a.Reason.Numbers, len(a.Reason.Numbers) == 0, "{}")
	if err != nil {
		return nil, err
	}
	skipped, err := jsonOr(a.Skipped, len(a.Skipped) == 0, "[]")
	if err != nil {
		return nil, err
	}
	var certificate, gap any
	if c := a.Certificate; c != nil {
		certificate, gap = c, c.GapBP
	}
	return []any{d.Run, a.Account, d.Household, a.Outcome, a.Reason.Code, numbers, a.Currency, a.Value, a.CashBefore, a.CashAfter,
		a.DriftBefore, a.DriftAfter, a.Harvested, a.DeniedAvoided, a.TaxValue, skipped, certificate, gap, a.Exception()}, nil
}

var lockColumns = []string{"household", "property", "order_id", "run", "account", "symbol", "until", "state"}

func lockRow(run string, h portfolio.HouseholdID, l tlh.Lock) []any {
	return []any{h, l.Property, l.Order, run, l.Account, l.Symbol, l.Until, "provisional"}
}

// jsonOr returns the JSON of v, or empty where v has nothing in it.
func jsonOr(v any, isEmpty bool, empty string) (string, error) {
	if isEmpty {
		return empty, nil
	}
	text, err := json.Marshal(v)
	return string(text), err
}
