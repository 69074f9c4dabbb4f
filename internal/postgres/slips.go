package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"daybreak/market"
	"daybreak/pipeline"
)

// actionIssue is what an audit row says of slips that went out.
const actionIssue = "tax.issue"

// uniqueViolation is PostgreSQL's code for a key that is there already.
const uniqueViolation = "23505"

// SaveSlips implements pipeline.SlipStore.
func (db *DB) SaveSlips(ctx context.Context, slips []pipeline.Slip, by string, now time.Time) error {
	hashes := map[pipeline.SlipKey]string{}
	rows := make([][]any, len(slips))
	for i := range slips {
		s := &slips[i]
		body, hash := s.Pack()
		hashes[s.Key()] = hash
		rows[i] = []any{s.Household, s.Owner, s.Year, s.Number, s.BookVersion, s.AsOf, s.Rules, s.Circle, s.Identical, body, hash, "", by, now}
	}
	root := pipeline.SlipRoot(hashes)
	const rootColumn = 11
	for i := range rows {
		rows[i][rootColumn] = root
	}
	columns := []string{"household", "owner", "year", "number", "book_version", "as_of", "rules", "circle", "identical", "body", "hash", "root", "actor", "issued"}
	err := db.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.CopyFrom(ctx, pgx.Identifier{"tax_slip"}, columns, pgx.CopyFromRows(rows)); err != nil {
			return err
		}
		return writeAudit(ctx, tx, AuditEntry{At: now, Actor: by, Action: actionIssue, Subject: root,
			Detail: map[string]any{"year": slips[0].Year, "slips": len(slips), "first": slips[0].Household, "last": slips[len(slips)-1].Household}})
	})
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && pgErr.Code == uniqueViolation {
		err = fmt.Errorf("a slip of that number was issued meanwhile: %w", pipeline.ErrState)
	}
	if err != nil {
		return fmt.Errorf("store %d slips of %d: %w", len(slips), slips[0].Year, err)
	}
	return nil
}

// verifySlips recomputes the hash of each slip and the root of those that went out together, and wants
// an audit row that names it.
func verifySlips(ctx context.Context, tx pgx.Tx) (pipeline.Check, error) {
	check := pipeline.Check{Invariant: "15a slips: they are what was issued", Broken: []string{}}
	audited, err := collect[string](ctx, tx, "AuditedRoots", actionIssue)
	if err != nil {
		return check, err
	}
	batch := slipBatch{check: &check, audited: audited, found: map[string]bool{}}
	var row slipRow
	for found := -1; found != 0; {
		found = 0
		s := scan{"VerifySlips", []any{row.root, row.key.Household, row.key.Owner, row.key.Year, row.key.Number, verifyPage},
			[]any{&row.root, &row.key.Household, &row.key.Owner, &row.key.Year, &row.key.Number, &row.version, &row.asOf, &row.body, &row.hash}}
		if err := eachRow(ctx, tx, s, func() { found++; batch.add(&row) }); err != nil {
			return check, err
		}
	}
	batch.close()
	for _, root := range audited {
		if !batch.found[root] {
			batch.broken("audit root " + root + ": its slips are missing")
		}
	}
	check.Finish()
	return check, nil
}

// slipRow is a stored slip.
type slipRow struct {
	root    string
	key     pipeline.SlipKey
	version int64
	asOf    market.Day
	body    []byte
	hash    string
}

// slipBatch is the slips that went out together, of which each is added after the other.
type slipBatch struct {
	check   *pipeline.Check
	audited []string // roots that the audit trail names, in order
	found   map[string]bool
	root    string
	hashes  map[pipeline.SlipKey]string
}

func (b *slipBatch) broken(what string) {
	if len(b.check.Broken) <= pipeline.BrokenMax {
		b.check.Broken = append(b.check.Broken, what)
	}
}

// add looks at one slip by itself, and at the batch before where it begins another.
func (b *slipBatch) add(r *slipRow) {
	if b.hashes == nil || b.root != r.root {
		b.close()
		b.root, b.hashes, b.found[r.root] = r.root, map[pipeline.SlipKey]string{}, true
	}
	b.check.Checked++
	b.hashes[r.key] = r.hash
	slip, hash, err := pipeline.UnpackSlip(r.body)
	if err != nil || hash != r.hash || slip.Key() != r.key || slip.BookVersion != r.version || slip.AsOf != r.asOf {
		b.broken(fmt.Sprintf("%s %s %d slip %d: it is not what was issued", r.key.Household, r.key.Owner, r.key.Year, r.key.Number))
	}
}

// close looks at a whole batch: a slip that is missing or was put in shows in its root.
func (b *slipBatch) close() {
	if b.hashes == nil {
		return
	}
	if _, isAudited := slices.BinarySearch(b.audited, b.root); !isAudited || pipeline.SlipRoot(b.hashes) != b.root {
		b.broken("root " + b.root + ": its slips are not those that the audit trail names")
	}
}

var _ pipeline.SlipStore = (*DB)(nil)
