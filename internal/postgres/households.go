package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"daybreak/fills"
	"daybreak/pipeline"
	"daybreak/portfolio"
)

// HouseholdStandings implements pipeline.HouseholdStore.
func (db *DB) HouseholdStandings(ctx context.Context, openings []pipeline.Opening) (standings []pipeline.Standing, err error) {
	err = db.inSnapshot(ctx, func(tx pgx.Tx) error {
		standings, err = standingsOf(ctx, tx, openings)
		return err
	})
	return standings, err
}

// AddHouseholds implements pipeline.HouseholdStore: one COPY for each table.
func (db *DB) AddHouseholds(ctx context.Context, openings []pipeline.Opening, known time.Time) (standings []pipeline.Standing, err error) {
	err = db.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, query("HouseholdLock")); err != nil {
			return fmt.Errorf("open households: %w", err)
		}
		if standings, err = standingsOf(ctx, tx, openings); err != nil {
			return err
		}
		rows := openingRows{known: known}
		for i := range openings {
			if standings[i] == pipeline.StandingNew {
				if err := rows.add(&openings[i]); err != nil {
					return err
				}
			}
		}
		return rows.copy(ctx, tx)
	})
	return standings, err
}

// standingsOf compares openings with the households and accounts that the book has.
func standingsOf(ctx context.Context, tx pgx.Tx, openings []pipeline.Opening) ([]pipeline.Standing, error) {
	var ids []portfolio.HouseholdID
	var accounts []portfolio.AccountID
	for _, p := range openings {
		ids = append(ids, p.Household.ID)
		for _, a := range p.Household.Accounts {
			accounts = append(accounts, a.ID)
		}
	}
	hashes, err := pairs[portfolio.HouseholdID, string](ctx, tx, "HouseholdHashes", ids)
	if err != nil {
		return nil, err
	}
	owners, err := pairs[portfolio.AccountID, portfolio.HouseholdID](ctx, tx, "AccountHouseholds", accounts)
	if err != nil {
		return nil, err
	}
	standings := make([]pipeline.Standing, len(openings))
	for i, p := range openings {
		standings[i] = pipeline.StandingOf(p, hashes, owners)
	}
	return standings, nil
}

// pairs returns the rows of a query of two columns, by the first.
func pairs[K comparable, V any](ctx context.Context, tx pgx.Tx, name string, args ...any) (map[K]V, error) {
	rows, err := tx.Query(ctx, query(name), args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	found := map[K]V{}
	var key K
	var value V
	_, err = pgx.ForEachRow(rows, []any{&key, &value}, func() error {
		found[key] = value
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return found, nil
}

// openingRows are the rows of a batch of openings, by table, in the order of the columns of
// openingTables.
type openingRows struct {
	known                                                                                          time.Time
	households, owners, carried, accounts, faults, cash, positions, journal, history, books, locks [][]any
	exceptions                                                                                     [5][]string
}

// kindOpening is the kind of the journal rows that a household begins with.
const kindOpening = "opening"

func (r *openingRows) add(p *pipeline.Opening) error {
	h := &p.Household
	r.households = append(r.households, []any{h.ID, h.Region, h.RoutingKey, int64(0), p.Opened, p.SourceHash, h.Location})
	for _, o := range h.Owners {
		r.owners = append(r.owners, []any{h.ID, o.ID, o.From, o.To})
	}
	for _, c := range p.Carried {
		r.carried = append(r.carried, []any{h.ID, c.Owner, c.OfYear, c.EndOf, c.ST, c.LT})
	}
	for i := range h.Accounts {
		if err := r.addAccount(p, i); err != nil {
			return err
		}
	}
	if p.PlantedFault != "" {
		r.faults = append(r.faults, []any{h.ID, p.PlantedFault})
	}
	for line, m := range p.Moves {
		r.journal = append(r.journal, []any{h.ID, int64(0), line + 1, kindOpening + ":" + string(h.ID), kindOpening, p.AsOf, r.known,
			m.From.Owner, string(m.From.Kind), m.To.Owner, string(m.To.Kind), m.Commodity, m.Amount})
	}
	for _, x := range p.Exceptions {
		for i, text := range []string{string(h.ID), string(x.Account), x.Code, x.Subject, x.Detail} {
			r.exceptions[i] = append(r.exceptions[i], text)
		}
	}
	for _, l := range p.Locks {
		r.locks = append(r.locks, []any{string(h.ID), l.Property, l.Order, kindOpening, string(l.Account), string(l.Symbol), l.Until, string(fills.LockFixed)})
	}
	r.history = append(r.history, []any{h.ID, p.AsOf, p.Events})
	r.books = append(r.books, []any{h.ID, int64(0), p.AsOf, p.Rules, p.Checkpoint})
	return nil
}

func (r *openingRows) addAccount(p *pipeline.Opening, i int) error {
	h, a := &p.Household, &p.Household.Accounts[i]
	policy, err := json.Marshal(a.Policy)
	if err != nil {
		return fmt.Errorf("account %s: write its policy: %w", a.ID, err)
	}
	r.accounts = append(r.accounts, []any{a.ID, h.ID, a.Owner, a.Type, a.Currency, a.Model, policy, p.AccountOpened[i]})
	for _, c := range a.Cash {
		r.cash = append(r.cash, []any{a.ID, c.Currency, h.ID, c.Amount})
	}
	for _, s := range a.Positions {
		r.positions = append(r.positions, []any{a.ID, s.Symbol, h.ID, s.Shares})
	}
	return nil
}

// copy writes the rows, referenced tables first.
func (r *openingRows) copy(ctx context.Context, tx pgx.Tx) error {
	for _, t := range []struct {
		table   string
		columns []string
		rows    [][]any
	}{
		{"household", []string{"id", "region", "routing_key", "book_version", "opened", "source_hash", "location"}, r.households},
		{"household_owner", []string{"household", "id", "since", "until"}, r.owners},
		{"carried_loss", []string{"household", "owner", "of_year", "end_of", "st", "lt"}, r.carried},
		{"account", []string{"id", "household", "owner", "type", "currency", "model", "policy", "opened"}, r.accounts},
		{"planted_fault", []string{"household", "fault"}, r.faults},
		{"cash", []string{"account", "currency", "household", "amount"}, r.cash},
		{"position", []string{"account", "symbol", "household", "shares"}, r.positions},
		{"journal_line", []string{"household", "version", "line", "event", "kind", "effective", "known",
			"from_owner", "from_kind", "to_owner", "to_kind", "commodity", "amount"}, r.journal},
		{"tax_history", []string{"household", "through", "events"}, r.history},
		{"tax_checkpoint", []string{"household", "version", "as_of", "rules", "body"}, r.books},
		{"tax_lock", lockColumns, r.locks},
	} {
		if len(t.rows) == 0 {
			continue
		}
		if _, err := tx.CopyFrom(ctx, pgx.Identifier{t.table}, t.columns, pgx.CopyFromRows(t.rows)); err != nil {
			return fmt.Errorf("open households: write %s: %w", t.table, err)
		}
	}
	if len(r.exceptions[0]) == 0 {
		return nil
	}
	x := r.exceptions
	if _, err := tx.Exec(ctx, query("InsertOpeningExceptions"), x[0], x[1], x[2], x[3], x[4], r.known); err != nil {
		return fmt.Errorf("open households: write exceptions: %w", err)
	}
	return nil
}

var _ pipeline.HouseholdStore = (*DB)(nil)
