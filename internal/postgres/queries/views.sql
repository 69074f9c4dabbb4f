-- name: ViewRun
-- How far a run is. Each number is one scan of an index, or of the run's own rows.
SELECT coalesce(p.decided, 0)::bigint AS decided, coalesce(p.parked, 0)::bigint AS parked,
       coalesce(d.accounts, 0)::bigint AS accounts, a.planned, o.orders, o.flagged, o.held, o.ready, o.waiting, o.approved, o.sent, o.filled, o.rejected
FROM (SELECT sum(decided) AS decided, sum(parked) AS parked FROM run_progress WHERE run = $1) p
CROSS JOIN (SELECT sum(accounts) AS accounts FROM decision WHERE run = $1) d
CROSS JOIN (SELECT count(*) AS planned FROM account_decision WHERE run = $1 AND outcome = 'planned') a
CROSS JOIN (
    SELECT count(*) AS orders,
           count(*) FILTER (WHERE review_state = 'Flagged') AS flagged,
           count(*) FILTER (WHERE review_state = 'Held') AS held,
           count(*) FILTER (WHERE review_state = 'Approved') AS ready,
           count(*) FILTER (WHERE review_state = 'Submitted') AS waiting,
           count(*) FILTER (WHERE approval IS NOT NULL) AS approved,
           count(*) FILTER (WHERE sent IS NOT NULL) AS sent,
           count(*) FILTER (WHERE review_state = 'Filled') AS filled,
           count(*) FILTER (WHERE review_state = 'Rejected') AS rejected
    FROM order_review
    WHERE run = $1
) o;

-- name: ViewRunRegions
SELECT h.region, a.currency, count(*) AS accounts, sum(a.harvested) AS harvested, sum(a.denied_avoided) AS denied_avoided,
       sum(a.tax_value) AS tax_value, sum(a.cash_before) AS cash_before, sum(a.cash_after) AS cash_after
FROM account_decision a
JOIN household h ON h.id = a.household
WHERE a.run = $1
GROUP BY h.region, a.currency
ORDER BY h.region, a.currency;

-- name: ViewRunSkipped
SELECT h.region, s ->> 'code' AS reason, count(*) AS count
FROM account_decision a
JOIN household h ON h.id = a.household
CROSS JOIN LATERAL jsonb_array_elements(a.skipped) AS s
WHERE a.run = $1
GROUP BY h.region, s ->> 'code'
ORDER BY h.region, count(*) DESC, 2;

-- name: ViewRunDrift
-- Accounts by drift, before and after, in steps of width $2; every step that has one.
SELECT step, count(*) FILTER (WHERE is_before) AS before, count(*) FILTER (WHERE NOT is_before) AS after
FROM account_decision a
CROSS JOIN LATERAL (
    VALUES (true, floor(a.drift_before / $2)::integer), (false, floor(a.drift_after / $2)::integer)
) AS b (is_before, step)
WHERE a.run = $1
GROUP BY step
ORDER BY step;

-- name: ViewRunParked
SELECT d.household, coalesce(h.region, '') AS region, d.reason, d.detail,
       ARRAY(SELECT a.id FROM account a WHERE a.household = d.household ORDER BY a.id) AS accounts,
       coalesce(f.fault, '') AS planted
FROM decision d
LEFT JOIN household h ON h.id = d.household
LEFT JOIN planted_fault f ON f.household = d.household
WHERE d.run = $1 AND d.outcome = 'parked'
ORDER BY d.household
LIMIT $2;

-- name: ViewOrdersByNotionalUp
SELECT o.run, o.id, o.household, o.region, o.account, o.symbol, coalesce(s.name, '') AS name, o.side, o.quantity, o.currency,
       o.price, o.price_day, o.notional, o.account_currency, o.value, o.reason, o.numbers, o.review_state AS state, o.exception,
       o.held_by, o.order_qty, o.cum_qty, o.leaves_qty
FROM orders_matching($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) o
LEFT JOIN security s ON s.symbol = o.symbol
WHERE $11::boolean OR (o.notional, o.id) > ($12::text::numeric, $13::text)
ORDER BY o.notional, o.id
LIMIT $14;

-- name: ViewOrdersByNotionalDown
SELECT o.run, o.id, o.household, o.region, o.account, o.symbol, coalesce(s.name, '') AS name, o.side, o.quantity, o.currency,
       o.price, o.price_day, o.notional, o.account_currency, o.value, o.reason, o.numbers, o.review_state AS state, o.exception,
       o.held_by, o.order_qty, o.cum_qty, o.leaves_qty
FROM orders_matching($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) o
LEFT JOIN security s ON s.symbol = o.symbol
WHERE $11::boolean OR (o.notional, o.id) < ($12::text::numeric, $13::text)
ORDER BY o.notional DESC, o.id DESC
LIMIT $14;

-- name: ViewOrdersBySymbolUp
SELECT o.run, o.id, o.household, o.region, o.account, o.symbol, coalesce(s.name, '') AS name, o.side, o.quantity, o.currency,
       o.price, o.price_day, o.notional, o.account_currency, o.value, o.reason, o.numbers, o.review_state AS state, o.exception,
       o.held_by, o.order_qty, o.cum_qty, o.leaves_qty
FROM orders_matching($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) o
LEFT JOIN security s ON s.symbol = o.symbol
WHERE $11::boolean OR (o.symbol, o.id) > ($12::text, $13::text)
ORDER BY o.symbol, o.id
LIMIT $14;

-- name: ViewOrdersBySymbolDown
SELECT o.run, o.id, o.household, o.region, o.account, o.symbol, coalesce(s.name, '') AS name, o.side, o.quantity, o.currency,
       o.price, o.price_day, o.notional, o.account_currency, o.value, o.reason, o.numbers, o.review_state AS state, o.exception,
       o.held_by, o.order_qty, o.cum_qty, o.leaves_qty
FROM orders_matching($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) o
LEFT JOIN security s ON s.symbol = o.symbol
WHERE $11::boolean OR (o.symbol, o.id) < ($12::text, $13::text)
ORDER BY o.symbol DESC, o.id DESC
LIMIT $14;

-- name: ViewOrdersByAccountUp
SELECT o.run, o.id, o.household, o.region, o.account, o.symbol, coalesce(s.name, '') AS name, o.side, o.quantity, o.currency,
       o.price, o.price_day, o.notional, o.account_currency, o.value, o.reason, o.numbers, o.review_state AS state, o.exception,
       o.held_by, o.order_qty, o.cum_qty, o.leaves_qty
FROM orders_matching($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) o
LEFT JOIN security s ON s.symbol = o.symbol
WHERE $11::boolean OR (o.account, o.id) > ($12::text, $13::text)
ORDER BY o.account, o.id
LIMIT $14;

-- name: ViewOrdersByAccountDown
SELECT o.run, o.id, o.household, o.region, o.account, o.symbol, coalesce(s.name, '') AS name, o.side, o.quantity, o.currency,
       o.price, o.price_day, o.notional, o.account_currency, o.value, o.reason, o.numbers, o.review_state AS state, o.exception,
       o.held_by, o.order_qty, o.cum_qty, o.leaves_qty
FROM orders_matching($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) o
LEFT JOIN security s ON s.symbol = o.symbol
WHERE $11::boolean OR (o.account, o.id) < ($12::text, $13::text)
ORDER BY o.account DESC, o.id DESC
LIMIT $14;

-- name: ViewOrderTotals
SELECT side, currency, count(*) AS orders, sum(notional) AS notional
FROM orders_matching($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
GROUP BY side, currency
ORDER BY side DESC, currency;

-- name: ViewOrderFacets
-- One scan for all facets; the most frequent values of each, at most $11.
SELECT facet, value, count
FROM (
    SELECT CASE
               WHEN grouping(side) = 0 THEN 'side'
               WHEN grouping(region) = 0 THEN 'region'
               WHEN grouping(review_state) = 0 THEN 'state'
               WHEN grouping(reason) = 0 THEN 'reason'
               WHEN grouping(currency) = 0 THEN 'currency'
               ELSE 'symbol'
           END AS facet,
           coalesce(side, region, review_state, reason, currency, symbol) AS value,
           count(*) AS count,
           row_number() OVER (
               PARTITION BY grouping(side, region, review_state, reason, currency, symbol)
               ORDER BY count(*) DESC, coalesce(side, region, review_state, reason, currency, symbol)
           ) AS place
    FROM orders_matching($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    GROUP BY GROUPING SETS ((side), (region), (review_state), (reason), (currency), (symbol))
) f
WHERE place <= $11
ORDER BY facet, place;

-- name: ViewOrder
SELECT o.run, o.id, o.household, o.region, o.account, o.symbol, coalesce(s.name, '') AS name, o.side, o.quantity, o.currency,
       o.price, o.price_day, o.notional, o.account_currency, o.value, o.reason, o.numbers, o.review_state AS state, o.exception,
       o.held_by, o.order_qty, o.cum_qty, o.leaves_qty, o.lots, o.waits_for, o.book_version, o.content_hash, o.fx,
       o.limit_price, o.exception_detail, o.sent
FROM order_review o
LEFT JOIN security s ON s.symbol = o.symbol
WHERE o.run = $1 AND o.id = $2;

-- name: ViewOrderApproval
SELECT a.id, a.filter, a.orders, a.root, a.maker, a.approver, a.comment, a.decided
FROM approval_order ao
JOIN approval a ON a.id = ao.approval
WHERE ao.run = $1 AND ao.order_id = $2;

-- name: ViewOrderOverrides
SELECT content_hash, household, locks, destroyed, gone, tax, currency, basis, maker, approver, comment, decided
FROM lock_override
WHERE run = $1 AND order_id = $2
ORDER BY id DESC;

-- name: ViewOrderExecutions
SELECT household, version, key, exec_type, order_id, run, account, symbol, side, quantity, price, commission, fees, currency,
       trade_date, settle_date, broker_time, effective, source_partition, source_offset
FROM (SELECT household AS home, book_version AS planned_at FROM trade_order WHERE id = $1 AND sent IS NOT NULL) AS o
JOIN execution ON household = o.home AND version > o.planned_at AND order_id = $1
ORDER BY broker_time DESC, key DESC
LIMIT $2;

-- name: ViewHistory
-- Acts on an order: each names its run and, as long as there are few, its orders.
SELECT at, actor, action, coalesce(detail ->> 'comment', '') AS comment
FROM audit
WHERE subject = $1 AND (detail::jsonb -> 'ids') ? $2
ORDER BY id DESC
LIMIT $3;

-- name: ViewAccountDecisions
SELECT run, household, outcome, reason, numbers, currency, value, cash_before, cash_after, drift_before, drift_after,
       harvested, denied_avoided, tax_value, skipped, certificate, exception
FROM account_decision
WHERE account = $1 AND ($2 = '' OR run = $2)
ORDER BY run DESC
LIMIT $3;

-- name: ViewAccount
SELECT a.id, a.household, h.region, a.owner, a.type, a.currency, a.model, a.opened,
       coalesce((SELECT max(r.session) FROM run r), (SELECT max(p.day) FROM price p), a.opened) AS price_day
FROM account a
JOIN household h ON h.id = a.household
WHERE a.id = $1;

-- name: ViewSiblings
SELECT id FROM account WHERE household = $1 AND id <> $2 ORDER BY id;

-- name: ViewPositions
SELECT p.symbol, coalesce(s.name, '') AS name, p.shares, coalesce(c.currency, s.currency, '') AS currency,
       coalesce(c.close, 0) AS price, c.day AS price_day
FROM position p
LEFT JOIN security s ON s.symbol = p.symbol
LEFT JOIN LATERAL (
    SELECT currency, close, day FROM price WHERE price.symbol = p.symbol AND day <= $2 ORDER BY day DESC LIMIT 1
) c ON true
WHERE p.account = $1 AND p.shares <> 0
ORDER BY p.symbol;

-- name: ViewCash
SELECT currency, amount FROM cash WHERE account = $1 ORDER BY currency;

-- name: ViewAccountOrders
SELECT o.run, o.id, o.household, o.region, o.account, o.symbol, coalesce(s.name, '') AS name, o.side, o.quantity, o.currency,
       o.price, o.price_day, o.notional, o.account_currency, o.value, o.reason, o.numbers, o.review_state AS state, o.exception,
       o.held_by, o.order_qty, o.cum_qty, o.leaves_qty
FROM order_review o
LEFT JOIN security s ON s.symbol = o.symbol
WHERE o.account = $1
ORDER BY o.run DESC, o.side DESC, o.symbol
LIMIT $2;

-- name: ViewAccountExecutions
SELECT household, version, key, exec_type, order_id, run, account, symbol, side, quantity, price, commission, fees, currency,
       trade_date, settle_date, broker_time, effective, source_partition, source_offset
FROM execution
WHERE household = (SELECT a.household FROM account a WHERE a.id = $1)
  AND account = $1
ORDER BY version DESC
LIMIT $2;

-- name: ViewLocks
SELECT property, symbol, account, until, state
FROM tax_lock
WHERE household = $1 AND state <> 'void' AND until >= $2
ORDER BY until, property, account;

-- name: ViewExceptions
SELECT account, code, subject, detail, owner, opened
FROM book_exception
WHERE household = $1 AND closed IS NULL
ORDER BY opened, id;

-- name: ViewFills
-- Reports that move shares, FIX's trade, trade correct and trade cancel: the latest by their time of
-- those that came last in each partition.
SELECT e.household, e.version, e.key, e.exec_type, e.order_id, e.run, e.account, e.symbol, e.side, e.quantity, e.price,
       e.commission, e.fees, e.currency, e.trade_date, e.settle_date, e.broker_time, e.effective, e.source_partition, e.source_offset
FROM (SELECT partition FROM stream_offset WHERE topic = 'daybreak.fills') AS o
CROSS JOIN LATERAL (
    SELECT household, version, key, exec_type, order_id, run, account, symbol, side, quantity, price, commission, fees, currency,
           trade_date, settle_date, broker_time, effective, source_partition, source_offset
    FROM execution
    WHERE source_partition = o.partition
      AND exec_type IN ('F', 'G', 'H')
    ORDER BY source_offset DESC
    LIMIT $1
) e
ORDER BY e.broker_time DESC, e.key DESC
LIMIT $1;

-- name: ViewFillMarks
-- Where a reader who wants only what comes from now on starts, by partition.
SELECT partition, next_offset AS next FROM stream_offset WHERE topic = $1 ORDER BY partition;

-- name: ViewFillsSince
-- Executions past a reader's marks, and of partitions that it has no mark of, in the order of the
-- stream; at most $3 of each partition.
SELECT e.household, e.version, e.key, e.exec_type, e.order_id, e.run, e.account, e.symbol, e.side, e.quantity, e.price,
       e.commission, e.fees, e.currency, e.trade_date, e.settle_date, e.broker_time, e.effective, e.source_partition, e.source_offset
FROM stream_offset o
LEFT JOIN unnest($1::integer[], $2::bigint[]) AS m (partition, next) ON m.partition = o.partition
CROSS JOIN LATERAL (
    SELECT household, version, key, exec_type, order_id, run, account, symbol, side, quantity, price, commission, fees, currency,
           trade_date, settle_date, broker_time, effective, source_partition, source_offset
    FROM execution
    WHERE source_partition = o.partition
      AND source_offset >= coalesce(m.next, 0)
      AND exec_type IN ('F', 'G', 'H')
    ORDER BY source_offset
    LIMIT $3
) e
WHERE o.topic = $4
ORDER BY e.source_partition, e.source_offset, e.version;

-- name: ViewStreams
SELECT topic, count(*) AS partitions, sum(applied)::bigint AS applied, sum(duplicate)::bigint AS duplicate,
       sum(held)::bigint AS held, sum(dead)::bigint AS dead, max(last_record) AS last_record
FROM stream_offset
GROUP BY topic
ORDER BY topic;

-- name: ViewOrderStates
-- Of the latest run only: what came before can no longer move.
SELECT review_state AS state, count(*) AS count
FROM order_review
WHERE run = (SELECT id FROM run ORDER BY session DESC, number DESC LIMIT 1)
GROUP BY review_state
ORDER BY review_state;

-- name: ViewFind
-- What a text is the id of; the first of these wins.
SELECT kind, id, run
FROM (
    SELECT 1 AS place, 'run' AS kind, id, id AS run FROM run WHERE id = $1
    UNION ALL
    (SELECT 2, 'order', id, run FROM trade_order WHERE id = upper($1) ORDER BY run DESC LIMIT 1)
    UNION ALL
    SELECT 3, 'account', id, '' FROM account WHERE id = $1
    UNION ALL
    (SELECT 4, 'household', id, '' FROM account WHERE household = $1 ORDER BY id LIMIT 1)
    UNION ALL
    SELECT 5, 'symbol', s.symbol, coalesce((SELECT id FROM run ORDER BY session DESC, number DESC LIMIT 1), '')
    FROM security s
    WHERE s.symbol = upper($1)
) f
ORDER BY place
LIMIT 1;
