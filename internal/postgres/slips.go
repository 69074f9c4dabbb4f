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
	batches := slipBatches{check: &check, ctx: ctx, tx: tx}
	var key pipeline.SlipKey
	var body []byte
	var stored, root string
	var version int64
	var asOf market.Day
	for at := ""; ; {
		found := 0
		s := scan{"VerifySlips", []any{at, key.Household, key.Owner, key.Year, key.Number, verifyPage},
			[]any{&root, &key.Household, &key.Owner, &key.Year, &key.Number, &version, &asOf, &body, &stored}}
		err := eachRow(ctx, tx, s, func() {
			found++
			check.Checked++
			batches.add(root, key, stored)
			slip, hash, err := pipeline.UnpackSlip(body)
			if err != nil || hash != stored || slip.Key() != key || slip.BookVersion != version || slip.AsOf != asOf {
				batches.broken(key, "it is not what was issued")
			}
		})
		if err != nil {
			return check, err
		}
		if found == 0 {
			break
		}
		at = root
	}
	err := batches.verify()
	check.Finish()
	return check, err
}

// slipBatches are the hashes of slips by the root that they were issued under.
type slipBatches struct {
	check  *pipeline.Check
	ctx    context.Context
	tx     pgx.Tx
	hashes map[string]map[pipeline.SlipKey]string
	roots  []string
}

func (b *slipBatches) add(root string, key pipeline.SlipKey, hash string) {
	if b.hashes == nil {
		b.hashes = map[string]map[pipeline.SlipKey]string{}
	}
	if b.hashes[root] == nil {
		b.hashes[root] = map[pipeline.SlipKey]string{}
		b.roots = append(b.roots, root)
	}
	b.hashes[root][key] = hash
}

func (b *slipBatches) broken(key pipeline.SlipKey, what string) {
	if len(b.check.Broken) <= pipeline.BrokenMax {
		b.check.Broken = append(b.check.Broken, fmt.Sprintf("%s %s %d slip %d: %s", key.Household, key.Owner, key.Year, key.Number, what))
	}
}

// verify looks at whole batches: a slip that is missing or was put in shows in their root, and so does
// a batch that no audit row names.
func (b *slipBatches) verify() error {
	audited, err := collect[string](b.ctx, b.tx, "AuditedRoots", actionIssue)
	if err != nil {
		return err
	}
	for _, root := range b.roots {
		var key pipeline.SlipKey
		for k := range b.hashes[root] {
			if key == (pipeline.SlipKey{}) || string(k.Household)+string(k.Owner) < string(key.Household)+string(key.Owner) {
				key = k
			}
		}
		if pipeline.SlipRoot(b.hashes[root]) != root || !slices.Contains(audited, root) {
			b.broken(key, "the slips that went out with it are not those that the audit trail names")
		}
	}
	for _, root := range audited {
		if b.hashes[root] == nil {
			b.check.Broken = append(b.check.Broken, "slips of audit root "+root+" are missing")
		}
	}
	return nil
}

var _ pipeline.SlipStore = (*DB)(nil)
