-- name: FillHouseholds
-- The lock of everything that changes a household's book, in key order.
SELECT id, region, book_version
FROM household
WHERE id = ANY ($1)
ORDER BY id
FOR NO KEY UPDATE;

-- name: FillAccounts
SELECT household, id, owner, type, currency FROM account WHERE household = ANY ($1);

-- name: FillOrders
SELECT household, run, id, account, symbol, side, currency, quantity, coalesce(lots_left, lots) AS lots_left,
       state, order_qty, cum_qty, leaves_qty
FROM trade_order
WHERE id = ANY ($1)
  AND sent IS NOT NULL;

-- name: FillPositions
SELECT p.household, p.account, p.symbol, p.shares
FROM position p
JOIN unnest($1::text[], $2::text[]) AS n (account, symbol) ON p.account = n.account AND p.symbol = n.symbol;

-- name: FillCash
SELECT household, account, currency, amount FROM cash WHERE account = ANY ($1);

-- name: FillLocks
SELECT household, run, order_id, property, until, state
FROM tax_lock
WHERE order_id = ANY ($1)
ORDER BY household, property;

-- name: LockedPurchases
-- What a household bought of a property that a harvest has locked on the day or later.
SELECT DISTINCT n.household, n.symbol
FROM unnest($1::text[], $2::text[], $3::date[]) AS n (household, symbol, day)
JOIN security s ON s.symbol = n.symbol
JOIN tax_lock l ON l.household = n.household AND l.property = s.identical_group AND l.state = 'fixed' AND l.until >= n.day;

-- name: OverriddenOrders
SELECT DISTINCT run, order_id FROM lock_override WHERE household = ANY ($1);

-- name: FillSeen
SELECT key, content_hash FROM execution_key WHERE key = ANY ($1);

-- name: FillHeld
SELECT value, source_partition, source_offset
FROM held_execution
WHERE order_id = ANY ($1)
  AND released IS NULL
ORDER BY source_partition, source_offset;

-- name: FillPosted
-- All trades, corrections and busts of orders that a correction or a bust is about, whether it came
-- with the batch or was held. What an order did came after the book version that it was planned at.
SELECT e.household, e.version, e.key, k.content_hash, e.exec_type, e.refers, e.order_id, e.run, e.account, e.symbol, e.side,
       e.quantity, e.price, e.commission, e.fees, e.currency, e.fx, e.fx_day, e.trade_date, e.settle_date, e.venue,
       e.broker_time, e.note, e.lots, e.effective
FROM trade_order o
JOIN execution e ON e.household = o.household AND e.version > o.book_version AND e.order_id = o.id
JOIN execution_key k ON k.key = e.key
WHERE o.sent IS NOT NULL
  AND o.id = ANY (ARRAY(
    SELECT unnest($1::text[])
    UNION
    SELECT h.order_id FROM held_execution h WHERE h.order_id = ANY ($2) AND h.released IS NULL))
ORDER BY e.household, e.version;

-- name: FillRates
-- The last rate of each pair on or before a day, not older than ten days; direct says which way.
SELECT n.base, n.quote, n.day, r.base = n.base AS direct, r.rate
FROM unnest($1::text[], $2::text[], $3::date[]) AS n (base, quote, day)
CROSS JOIN LATERAL (
    SELECT f.base, f.rate
    FROM fx_rate f
    WHERE (f.base = n.base AND f.quote = n.quote OR f.base = n.quote AND f.quote = n.base)
      AND f.day BETWEEN n.day - 10 AND n.day
    ORDER BY f.day DESC, f.base = n.base DESC
    LIMIT 1) AS r;

-- name: SaveVersions
UPDATE household h
SET book_version = n.version
FROM unnest($1::text[], $2::bigint[]) AS n (id, version)
WHERE h.id = n.id;

-- name: SaveOrders
-- An order that the broker refused is an exception for people: what it belongs to stands alone.
UPDATE trade_order o
SET state = n.state,
    order_qty = n.order_qty,
    cum_qty = n.cum_qty,
    leaves_qty = n.leaves_qty,
    lots_left = coalesce(n.lots_left, o.lots_left),
    exception = CASE WHEN n.state = 'Rejected' AND o.exception = '' THEN 'BROKER_REJECTED' ELSE o.exception END,
    exception_detail = CASE
        WHEN n.state = 'Rejected' AND o.exception = '' AND o.waits_for <> '[]' THEN 'the sales that funded it stand without their purchase'
        ELSE o.exception_detail
    END
FROM unnest($1::text[], $2::text[], $3::text[], $4::numeric[], $5::numeric[], $6::numeric[], $7::jsonb[])
    AS n (run, id, state, order_qty, cum_qty, leaves_qty, lots_left)
WHERE o.run = n.run
  AND o.id = n.id;

-- name: UpdatePositions
UPDATE position p
SET shares = n.shares
FROM unnest($1::text[], $2::text[], $3::numeric[]) AS n (account, symbol, shares)
WHERE p.account = n.account
  AND p.symbol = n.symbol;

-- name: UpdateCash
UPDATE cash c
SET amount = n.amount
FROM unnest($1::text[], $2::text[], $3::numeric[]) AS n (account, currency, amount)
WHERE c.account = n.account
  AND c.currency = n.currency;

-- name: SavePositions
INSERT INTO position (household, account, symbol, shares)
SELECT household, account, symbol, shares
FROM unnest($1::text[], $2::text[], $3::text[], $4::numeric[]) AS n (household, account, symbol, shares)
ORDER BY account, symbol
ON CONFLICT (account, symbol) DO UPDATE SET shares = excluded.shares;

-- name: SaveCash
INSERT INTO cash (household, account, currency, amount)
SELECT household, account, currency, amount
FROM unnest($1::text[], $2::text[], $3::text[], $4::numeric[]) AS n (household, account, currency, amount)
ORDER BY account, currency
ON CONFLICT (account, currency) DO UPDATE SET amount = excluded.amount;

-- name: SaveLocks
UPDATE tax_lock l
SET until = n.until,
    state = n.state
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::date[], $6::text[])
    AS n (household, property, order_id, run, until, state)
WHERE l.household = n.household
  AND l.property = n.property
  AND l.order_id = n.order_id
  AND l.run = n.run;

-- name: SaveReplaced
-- Executions that a correction or a bust took back: they stay, and count no more.
UPDATE execution e
SET effective = false,
    withdrawn = n.by_version
FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS n (household, version, by_version)
WHERE e.household = n.household
  AND e.version = n.version;

-- name: SaveWithdrawn
UPDATE tax_fact t
SET withdrawn = n.by_version
FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS n (household, version, by_version)
WHERE t.household = n.household
  AND t.version = n.version;

-- name: VoidCheckpoints
-- A checkpoint that had closed the day of an event, or that holds an event which was taken back,
-- counts no more: the one before it does, or else all events from the beginning.
UPDATE tax_checkpoint c
SET void = true
FROM unnest($1::text[], $2::bigint[], $3::date[]) AS n (household, version, day)
WHERE c.household = n.household
  AND NOT c.void
  AND (c.as_of >= n.day OR c.version >= n.version);

-- name: CloseExceptions
UPDATE book_exception x
SET closed = $4
FROM unnest($1::text[], $2::text[], $3::text[]) AS n (account, code, subject)
WHERE x.account = n.account
  AND x.code = n.code
  AND x.subject = n.subject
  AND x.closed IS NULL;

-- name: OpenExceptions
INSERT INTO book_exception (household, account, code, subject, detail, owner, opened, closed, parks)
SELECT household, account, code, subject, detail, 'operations', $6::timestamptz, CASE WHEN healed THEN $6::timestamptz END, parks
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $7::boolean[], $8::boolean[])
    WITH ORDINALITY AS n (household, account, code, subject, detail, healed, parks, place)
ORDER BY place
ON CONFLICT (account, code, subject) WHERE closed IS NULL DO NOTHING;

-- name: HoldExecutions
INSERT INTO held_execution (key, content_hash, household, order_id, waits_for, value, source_partition, source_offset, since)
SELECT key, content_hash, household, order_id, waits_for, value, partition, "offset", $9
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::integer[], $8::bigint[])
    AS n (key, content_hash, household, order_id, waits_for, value, partition, "offset");

-- name: ReleaseExecutions
UPDATE held_execution SET released = $2 WHERE key = ANY ($1);
