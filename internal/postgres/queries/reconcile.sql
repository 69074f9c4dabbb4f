-- name: ReconcileAccounts
SELECT id FROM account WHERE $2 OR id = ANY ($1) ORDER BY id;

-- name: ReconcileBalances
-- Balances as a day ended: those of now, less what was effective later.
SELECT b.account, b.kind, b.item, sum(b.amount) AS amount
FROM (
    SELECT account, 'position' AS kind, symbol AS item, shares AS amount FROM position WHERE account = ANY ($1)
    UNION ALL
    SELECT account, 'cash', currency, amount FROM cash WHERE account = ANY ($1)
    UNION ALL
    SELECT to_owner, CASE to_kind WHEN 'units' THEN 'position' ELSE 'cash' END, commodity, -amount
    FROM journal
    WHERE effective > $2 AND to_kind IN ('units', 'cash') AND to_owner = ANY ($1)
    UNION ALL
    SELECT from_owner, CASE from_kind WHEN 'units' THEN 'position' ELSE 'cash' END, commodity, amount
    FROM journal
    WHERE effective > $2 AND from_kind IN ('units', 'cash') AND from_owner = ANY ($1)) AS b
GROUP BY b.account, b.kind, b.item
ORDER BY b.account, b.kind, b.item;

-- name: ReconcileMoves
-- What each fact did to balances: of the last days, what came late, what is not settled.
SELECT m.account, m.kind, m.item, sum(m.amount) AS amount, m.effective > $2::date - 7 AS recent, m.known > $3 AS late,
       coalesce(e.settle_date > $2, false) AS unsettled
FROM (
    SELECT household, version, effective, known, to_owner AS account, CASE to_kind WHEN 'units' THEN 'position' ELSE 'cash' END AS kind,
           commodity AS item, amount
    FROM journal
    WHERE effective <= $2 AND (effective > $2::date - 7 OR known > $3) AND to_kind IN ('units', 'cash') AND to_owner = ANY ($1)
    UNION ALL
    SELECT household, version, effective, known, from_owner, CASE from_kind WHEN 'units' THEN 'position' ELSE 'cash' END, commodity, -amount
    FROM journal
    WHERE effective <= $2 AND (effective > $2::date - 7 OR known > $3) AND from_kind IN ('units', 'cash') AND from_owner = ANY ($1)) AS m
LEFT JOIN execution e ON e.household = m.household AND e.version = m.version
GROUP BY m.household, m.version, m.account, m.kind, m.item, m.effective, m.known, e.settle_date
ORDER BY m.account, m.kind, m.item, m.effective, m.household, m.version;

-- name: ReconcileWaiting
SELECT w.account, count(*)::integer AS waiting
FROM (
    SELECT account FROM dead_letter WHERE state = 'open' AND account = ANY ($1)
    UNION ALL
    SELECT x.account
    FROM (
        SELECT DISTINCT h.key, o.account
        FROM held_execution h
        JOIN trade_order o ON o.id = h.order_id
        WHERE h.released IS NULL) AS x
    WHERE x.account = ANY ($1)) AS w
GROUP BY w.account;

-- name: ReconcileBefore
-- The breaks of the last day before that was compared.
SELECT account, kind, item, theirs, ours, since, cause, detail, owner
FROM reconciliation_break
WHERE source = $1
  AND day = (SELECT max(day) FROM reconciliation WHERE source = $1 AND day < $2)
ORDER BY account, kind, item;

-- name: ReconcileOf
SELECT account, kind, item, theirs, ours, since, cause, detail, owner
FROM reconciliation_break
WHERE source = $1
  AND day = $2
ORDER BY account, kind, item;

-- name: ReconcileHead
SELECT day, file_hash, balances, actor, at
FROM reconciliation
WHERE source = $1
  AND ($2::date IS NULL OR day = $2)
ORDER BY day DESC
LIMIT 1;

-- name: ReconcileForget
-- Another file of the same day takes the place of the one before; the audit trail has both.
DELETE FROM reconciliation_break WHERE source = $1 AND day = $2;

-- name: ReconcileSave
INSERT INTO reconciliation (source, day, file_hash, balances, actor, at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (source, day) DO UPDATE
SET file_hash = excluded.file_hash, balances = excluded.balances, actor = excluded.actor, at = excluded.at;

-- name: ReconcileOwner
UPDATE reconciliation_break b
SET owner = $5
WHERE b.source = $1
  AND b.account = $2
  AND b.kind = $3
  AND b.item = $4
  AND b.day = (SELECT max(day) FROM reconciliation r WHERE r.source = $1);

-- name: ReconcileCount
SELECT count(*)
FROM reconciliation_break b
WHERE b.day = (SELECT max(r.day) FROM reconciliation r WHERE r.source = b.source);
