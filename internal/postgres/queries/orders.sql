-- name: LockReview
-- Acts of review on one run take turns.
SELECT pg_advisory_xact_lock(hashtextextended('daybreak review ' || $1::text, 0));

-- name: ReviewOrders
SELECT o.run, o.id, o.household, o.account, h.region, o.symbol, o.side, o.quantity, o.price, o.notional, o.value, o.currency,
       o.account_currency, o.reason, o.state, coalesce(a.content_hash = o.content_hash, false) AS approved, o.released,
       o.held_by, o.exception, o.waits_for <> '[]' AS waits, o.content_hash, o.build, o.rules, coalesce(d.gap_bp, 0) AS gap_bp
FROM trade_order o
JOIN household h ON h.id = o.household
LEFT JOIN approval_order a ON a.run = o.run AND a.order_id = o.id
LEFT JOIN account_decision d ON d.run = o.run AND d.account = o.account
WHERE o.run = $1
ORDER BY o.id;

-- name: InsertApproval
INSERT INTO approval (run, filter, orders, notional, root, maker, approver, comment, decided)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
RETURNING id;

-- name: InsertOverride
INSERT INTO lock_override (run, order_id, content_hash, household, locks, destroyed, gone, tax, currency, basis, maker, approver, comment, decided)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
ON CONFLICT (run, order_id, content_hash, locks) DO NOTHING;

-- name: DropOldApprovals
-- An order whose content changed since it was approved gets its new signature in place of the old one.
DELETE FROM approval_order WHERE run = $1 AND order_id = ANY ($2);

-- name: FlagOrders
UPDATE trade_order o
SET exception = n.code,
    exception_detail = n.detail
FROM unnest($2::text[], $3::text[], $4::text[]) AS n (id, code, detail)
WHERE o.run = $1
  AND o.id = n.id
  AND o.sent IS NULL
  AND o.state = 'Proposed'
RETURNING o.id;

-- name: RejectOrders
UPDATE trade_order
SET state = 'Canceled',
    order_qty = 0,
    leaves_qty = 0,
    exception = 'REVIEW_REJECTED',
    exception_detail = $3
WHERE run = $1
  AND id = ANY ($2)
  AND sent IS NULL
  AND state = 'Proposed'
RETURNING id;

-- name: VoidOrderLocks
UPDATE tax_lock SET state = 'void' WHERE run = $1 AND order_id = ANY ($2) AND state = 'provisional';

-- name: HoldOrders
UPDATE trade_order
SET held_by = $3
WHERE run = $1
  AND id = ANY ($2)
  AND sent IS NULL
  AND state = 'Proposed'
RETURNING id;

-- name: UnholdOrders
-- Lets orders go that a person holds or a check has flagged; $3 is who holds them from now on: nobody.
UPDATE trade_order
SET held_by = $3, exception = '', exception_detail = ''
WHERE run = $1
  AND id = ANY ($2)
  AND sent IS NULL
  AND state = 'Proposed'
RETURNING id;

-- name: KillSwitch
SELECT active, reason FROM kill_switch WHERE book = 'firm';

-- name: SetKillSwitch
INSERT INTO kill_switch (book, active, reason, actor, since)
VALUES ('firm', $1, $2, $3, $4)
ON CONFLICT (book) DO UPDATE SET active = excluded.active, reason = excluded.reason, actor = excluded.actor, since = excluded.since;

-- name: ExportOrders
SELECT id, account, household, symbol, side, quantity, lots, reason, numbers
FROM trade_order
WHERE run = $1
ORDER BY id;

-- name: OneOrder
-- The order of a run, or the one that was sent or proposed last under that id.
SELECT run FROM trade_order WHERE id = $1 ORDER BY sent IS NULL, run DESC LIMIT 1;
