-- name: DueHouseholds
-- Households that were marked, with the runs of their released orders; none where nothing waits.
SELECT d.household, ARRAY(
    SELECT DISTINCT o.run
    FROM trade_order o
    WHERE o.household = d.household AND o.is_waiting AND o.exception = '' AND o.held_by = '') AS runs
FROM gateway_due d
WHERE d.household > $1
ORDER BY d.household
LIMIT $2;

-- name: ReadyHouseholds
-- Households with released orders that wait for no sale any more: the sales are over, or a person
-- must look at them. Each order is looked at by itself: this is the net below gateway_due.
SELECT o.household, array_agg(DISTINCT o.run) AS runs
FROM trade_order o
WHERE o.is_waiting
  AND o.exception = ''
  AND o.held_by = ''
  AND o.household > $1
  AND (SELECT count(*)
       FROM trade_order s
       WHERE s.run = o.run
         AND s.id = ANY (ARRAY(SELECT jsonb_array_elements_text(o.waits_for)))
         AND (s.is_live OR s.state = 'Proposed')
         AND s.exception = '') = 0
GROUP BY o.household
ORDER BY o.household
LIMIT $2;

-- name: MarkDue
INSERT INTO gateway_due (household)
SELECT DISTINCT h FROM unnest($1::text[]) AS h ORDER BY h
ON CONFLICT (household) DO NOTHING;

-- name: MarkDueOrders
INSERT INTO gateway_due (household)
SELECT DISTINCT household FROM trade_order WHERE run = $1 AND id = ANY ($2) ORDER BY household
ON CONFLICT (household) DO NOTHING;

-- name: MarkDueWaiting
INSERT INTO gateway_due (household)
SELECT DISTINCT household FROM trade_order WHERE is_waiting ORDER BY household
ON CONFLICT (household) DO NOTHING;

-- name: TakeDue
-- Under the locks of the households: what marks them later waits, and marks them again.
DELETE FROM gateway_due WHERE household = ANY ($1);

-- name: AnalyzeOrders
-- The orders of a run came in bulk since the last statistics.
ANALYZE trade_order;

-- name: Unanswered
SELECT o.id, o.run, o.session, o.sequence, o.household, o.account, o.symbol, o.side, o.order_qty AS quantity, o.type, o.limit_price,
       o.time_in_force, o.currency, o.price, o.price_day, o.fx, o.notional, o.account_currency, o.value, h.routing_key,
       coalesce(x.exchange, '') AS exchange
FROM live_order l
JOIN trade_order o ON o.run = l.run AND o.id = l.order_id
JOIN household h ON h.id = o.household
LEFT JOIN security x ON x.symbol = o.symbol
WHERE l.sent <= now() - $1::interval
  AND o.state = 'PendingNew'
ORDER BY l.sent, l.order_id
LIMIT $2;

-- name: LockHouseholds
SELECT id FROM household WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE;

-- name: DeskOrders
-- All orders of the runs at hand, every one that is at the broker, and those that their sessions
-- have sent.
SELECT o.household, o.run, o.id, o.session, o.sequence, o.account, o.symbol, o.side, o.quantity, o.type, o.limit_price,
       o.time_in_force, o.currency, o.price, o.price_day, o.fx, o.notional, o.account_currency, o.value, o.lots, o.waits_for,
       o.reason, o.numbers, o.book_version, o.build, o.rules, o.content_hash, o.state, o.order_qty, o.cum_qty, o.leaves_qty,
       o.released, o.sent IS NOT NULL AS is_sent, o.held_by, o.exception, coalesce(p.maker, '') AS maker,
       coalesce(p.approver, '') AS approver, coalesce(a.content_hash, '') AS approved_content, r.build AS run_build,
       r.rules AS run_rules, coalesce(x.exchange, '') AS exchange, coalesce(x.identical_group, '') AS property,
       EXISTS (SELECT FROM tax_lock l WHERE l.order_id = o.id AND l.run = o.run AND l.state <> 'void') AS harvests
FROM trade_order o
JOIN run r ON r.id = o.run
LEFT JOIN approval_order a ON a.run = o.run AND a.order_id = o.id
LEFT JOIN approval p ON p.id = a.approval
LEFT JOIN security x ON x.symbol = o.symbol
WHERE o.household = ANY ($1)
  AND (o.run = ANY ($2)
       OR o.is_live
       OR o.sent IS NOT NULL AND o.session IN (SELECT s.session FROM run s WHERE s.id = ANY ($2)));

-- name: DeskLocks
SELECT household, property, symbol, account, order_id, until, provisional
FROM binding_lock
WHERE household = ANY ($1)
ORDER BY household, property, until, account, symbol, order_id;

-- name: DeskRepurchases
SELECT DISTINCT household FROM repurchase WHERE household = ANY ($1) AND run = ANY ($2);

-- name: DeskOverrides
SELECT household, run, order_id, content_hash, locks, maker, approver
FROM lock_override
WHERE household = ANY ($1)
ORDER BY household, id;

-- name: LockedHouseholds
-- Households with a purchase of a run that was not sent and whose property is locked, or was sold since
-- it was planned. A lock ends on a tax day, which is the session or later: what remains is for the desk
-- to tell.
SELECT o.household
FROM trade_order o
JOIN security s ON s.symbol = o.symbol
JOIN binding_lock l ON l.household = o.household AND l.property = s.identical_group AND l.until >= o.session
WHERE o.run = $1
  AND o.household > $2
  AND o.side = 'buy'
  AND o.sent IS NULL
  AND o.state = 'Proposed'
UNION
SELECT household FROM repurchase WHERE run = $1 AND household > $2
ORDER BY household
LIMIT $3;

-- name: DeskReferences
SELECT n.symbol, n.session, p.close, p.day
FROM unnest($1::text[], $2::date[]) AS n (symbol, session)
CROSS JOIN LATERAL (
    SELECT c.close, c.day FROM price c WHERE c.symbol = n.symbol AND c.day <= n.session ORDER BY c.day DESC LIMIT 1) AS p;

-- name: IdenticalGroups
SELECT symbol, identical_group FROM security;

-- name: SentTotals
SELECT t.session, t.currency, t.value
FROM sent_total t
WHERE t.session IN (SELECT r.session FROM run r WHERE r.id = ANY ($1))
ORDER BY t.session, t.currency
FOR UPDATE;

-- name: AddSent
INSERT INTO sent_total AS t (session, currency, orders, value)
SELECT session, currency, orders, value
FROM unnest($1::date[], $2::text[], $3::bigint[], $4::numeric[]) AS n (session, currency, orders, value)
ORDER BY session, currency
ON CONFLICT (session, currency) DO UPDATE SET orders = t.orders + excluded.orders, value = t.value + excluded.value;

-- name: ReleaseOrders
UPDATE trade_order o
SET released = true
FROM unnest($1::text[], $2::text[]) AS n (run, id)
WHERE o.run = n.run
  AND o.id = n.id
  AND o.sent IS NULL
  AND o.state = 'Proposed'
  AND o.exception = ''
  AND o.held_by = ''
RETURNING o.run, o.id;

-- name: SendOrders
UPDATE trade_order o
SET sent = now(),
    state = 'PendingNew',
    order_qty = n.quantity,
    leaves_qty = n.quantity
FROM unnest($1::text[], $2::text[], $3::numeric[]) AS n (run, id, quantity)
WHERE o.run = n.run
  AND o.id = n.id
  AND o.released
  AND o.sent IS NULL
  AND o.state = 'Proposed'
  AND o.exception = ''
  AND o.held_by = ''
RETURNING o.run, o.id;

-- name: StopOrders
-- Orders that will not be sent: ended by a rule, or stopped by a check until a person has looked.
UPDATE trade_order o
SET exception = n.code,
    exception_detail = n.detail,
    state = CASE WHEN n.ends THEN 'Canceled' ELSE o.state END,
    order_qty = CASE WHEN n.ends THEN 0 ELSE o.order_qty END,
    leaves_qty = CASE WHEN n.ends THEN 0 ELSE o.leaves_qty END
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::boolean[]) AS n (run, id, code, detail, ends)
WHERE o.run = n.run
  AND o.id = n.id
  AND o.sent IS NULL
  AND o.state = 'Proposed'
  AND o.exception = ''
RETURNING o.run, o.id;
