-- name: RelayTake
-- Takes the relay where its lease is over, or where its owner comes back under the same name.
UPDATE book_relay
SET owner = $1,
    epoch = epoch + 1,
    leased = clock_timestamp() + $2::interval
WHERE leased < clock_timestamp()
   OR owner = $1
RETURNING epoch, xid, id, ends, xid >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS is_ahead;

-- name: RelayRestate
SELECT restate_book();

-- name: RelayAdvance
UPDATE book_relay
SET xid = $2,
    id = $3,
    ends = $4::jsonb,
    leased = clock_timestamp() + $5::interval
WHERE epoch = $1;

-- name: RelayChanges
-- The next rows that no older transaction can come before any more.
SELECT c.xid::text::bigint AS xid, c.id, c.households, c.bases
FROM book_change c
WHERE (c.xid, c.id) > ($1::bigint::text::xid8, $2::bigint)
  AND c.xid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY c.xid, c.id
LIMIT $3;

-- name: RelaySnapshot
SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint;

-- name: RelayBalances
-- The balances of the accounts that changed since a household's version, each with the fact that
-- changed it last. Of new households all accounts, with their opening.
SELECT c.account, a.household, h.routing_key, a.currency, c.version, c.effective, c.known,
       coalesce(m.currencies, '{}') AS currencies, coalesce(m.amounts, '{}') AS amounts,
       coalesce(p.symbols, '{}') AS symbols, coalesce(p.shares, '{}') AS shares
FROM (
    SELECT DISTINCT ON (f.account) f.account, f.version, f.effective, f.known
    FROM unnest($1::text[], $2::bigint[]) AS n (household, base)
    CROSS JOIN LATERAL (
        SELECT e.account, e.version, e.trade_date AS effective, coalesce(e.known, e.broker_time) AS known
        FROM execution e
        WHERE e.household = n.household AND e.version > n.base AND e.lines IS NOT NULL
        UNION ALL
        SELECT o.owner, j.version, j.effective, j.known
        FROM journal_line j
        CROSS JOIN LATERAL (VALUES (j.from_owner), (j.to_owner)) AS o (owner)
        WHERE j.household = n.household AND j.version > n.base AND o.owner NOT LIKE '~%'
        UNION ALL
        SELECT a.id, 0, a.opened, a.opened::timestamp AT TIME ZONE 'UTC'
        FROM account a
        WHERE a.household = n.household AND n.base < 0
    ) AS f
    ORDER BY f.account, f.version DESC, f.known DESC) AS c
JOIN account a ON a.id = c.account
JOIN household h ON h.id = a.household
LEFT JOIN LATERAL (
    SELECT array_agg(x.currency ORDER BY x.currency) AS currencies, array_agg(x.amount ORDER BY x.currency) AS amounts
    FROM cash x
    WHERE x.account = c.account AND x.amount <> 0) AS m ON true
LEFT JOIN LATERAL (
    SELECT array_agg(x.symbol ORDER BY x.symbol) AS symbols, array_agg(x.shares ORDER BY x.symbol) AS shares
    FROM position x
    WHERE x.account = c.account AND x.shares <> 0) AS p ON true
ORDER BY c.account;

-- name: RelayOrders
-- The orders that the broker reported on since a household's version, each with its last report.
SELECT o.id, o.run, o.household, h.routing_key, o.account, o.symbol, o.side, o.state, o.order_qty, o.cum_qty, o.leaves_qty, o.currency,
       c.version, c.known
FROM (
    SELECT DISTINCT ON (e.run, e.order_id) e.run, e.order_id, e.version, coalesce(e.known, e.broker_time) AS known
    FROM unnest($1::text[], $2::bigint[]) AS n (household, base)
    JOIN execution e ON e.household = n.household AND e.version > n.base
    ORDER BY e.run, e.order_id, e.version DESC) AS c
JOIN trade_order o ON o.run = c.run AND o.id = c.order_id
JOIN household h ON h.id = o.household
ORDER BY o.id;

-- name: RelayEmpty
SELECT empty_book_changes();

