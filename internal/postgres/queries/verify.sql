-- Each check has two queries: how much it looked at, and what is broken (subject, detail), at most
-- a few rows. They recompute from rows that were written once; no stored sum is trusted.

-- name: VerifyJournalChecked
SELECT count(*) FROM journal;

-- name: VerifyJournalBroken
-- Every entry comes from an opening or from an execution, and what it moves in units and in cash of
-- the account is what the execution says. A reversal mirrors the entry that it takes back.
SELECT j.household || ' version ' || j.version, 'entry of ' || j.event || ' has no execution and no event'
FROM journal j
WHERE j.kind NOT IN ('opening', 'event', 'event_reversal')
  AND NOT EXISTS (SELECT FROM execution e WHERE e.household = j.household AND e.version = j.version)
   OR j.kind IN ('event', 'event_reversal')
  AND NOT EXISTS (SELECT FROM book_event e WHERE e.household = j.household AND e.version = j.version AND e.key = j.event)
LIMIT $1;

-- name: VerifyZeroBroken
-- Debits less credits over all ledger accounts, for each commodity.
SELECT commodity, 'sum ' || sum(amount)::text
FROM (
    SELECT to_owner AS owner, to_kind AS kind, commodity, amount FROM journal
    UNION ALL
    SELECT from_owner, from_kind, commodity, -amount FROM journal
) AS posting
GROUP BY commodity
HAVING sum(amount) <> 0
LIMIT $1;

-- name: VerifyPositionsChecked
SELECT count(*) FROM position;

-- name: VerifyPositionsBroken
-- The position of the cache against the units of the journal.
SELECT coalesce(p.account, j.owner) || ' ' || coalesce(p.symbol, j.commodity),
       'position ' || coalesce(p.shares, 0)::text || ', journal ' || coalesce(j.shares, 0)::text
FROM (SELECT account, symbol, shares FROM position WHERE shares <> 0) AS p
FULL JOIN (
    SELECT owner, commodity, sum(amount) AS shares
    FROM (
        SELECT to_owner AS owner, commodity, amount FROM journal WHERE to_kind = 'units'
        UNION ALL
        SELECT from_owner, commodity, -amount FROM journal WHERE from_kind = 'units'
    ) AS posting
    GROUP BY owner, commodity
    HAVING sum(amount) <> 0
) AS j ON j.owner = p.account AND j.commodity = p.symbol
WHERE coalesce(p.shares, 0) <> coalesce(j.shares, 0)
LIMIT $1;

-- name: VerifyUnitsBroken
-- The units that the journal moved since the opening against the effective executions.
SELECT coalesce(j.owner, e.account) || ' ' || coalesce(j.commodity, e.symbol),
       'journal ' || coalesce(j.shares, 0)::text || ', executions ' || coalesce(e.shares, 0)::text
FROM (
    SELECT owner, commodity, sum(amount) AS shares
    FROM (
        SELECT to_owner AS owner, commodity, amount FROM journal WHERE to_kind = 'units' AND kind IN ('trade', 'reversal')
        UNION ALL
        SELECT from_owner, commodity, -amount FROM journal WHERE from_kind = 'units' AND kind IN ('trade', 'reversal')
    ) AS posting
    GROUP BY owner, commodity
) AS j
FULL JOIN (
    SELECT account, symbol, sum(CASE side WHEN 'buy' THEN quantity ELSE -quantity END) AS shares
    FROM execution
    WHERE effective AND quantity > 0
    GROUP BY account, symbol
) AS e ON e.account = j.owner AND e.symbol = j.commodity
WHERE coalesce(j.shares, 0) <> coalesce(e.shares, 0)
LIMIT $1;

-- name: VerifyCashChecked
SELECT count(*) FROM cash;

-- name: VerifyCashBroken
-- The cash of the cache against the postings of the journal, opening included.
SELECT coalesce(c.account, j.owner) || ' ' || coalesce(c.currency, j.commodity),
       'cash ' || coalesce(c.amount, 0)::text || ', journal ' || coalesce(j.amount, 0)::text
FROM (SELECT account, currency, amount FROM cash WHERE amount <> 0) AS c
FULL JOIN (
    SELECT owner, commodity, sum(amount) AS amount
    FROM (
        SELECT to_owner AS owner, commodity, amount FROM journal WHERE to_kind = 'cash'
        UNION ALL
        SELECT from_owner, commodity, -amount FROM journal WHERE from_kind = 'cash'
    ) AS posting
    GROUP BY owner, commodity
    HAVING sum(amount) <> 0
) AS j ON j.owner = c.account AND j.commodity = c.currency
WHERE coalesce(c.amount, 0) <> coalesce(j.amount, 0)
LIMIT $1;

-- name: VerifyBelowZeroBroken
-- Cash or shares below zero without an open exception of the household that names the account.
SELECT n.account || ' ' || n.commodity, 'below zero: ' || n.amount::text
FROM (
    SELECT household, account, currency AS commodity, amount FROM cash WHERE amount < 0
    UNION ALL
    SELECT household, account, symbol, shares FROM position WHERE shares < 0
) AS n
WHERE NOT EXISTS (SELECT FROM book_exception x WHERE x.account = n.account AND x.closed IS NULL AND x.parks)
LIMIT $1;

-- name: VerifyKeysChecked
SELECT count(*) FROM execution_key;

-- name: VerifyKeysBroken
-- One effect a key: at most one effective execution, known to the table of keys, in one version; and
-- what a reversal took back is left at nothing.
SELECT e.key, count(*)::text || ' effective executions'
FROM execution e
WHERE e.effective
GROUP BY e.key
HAVING count(*) > 1
UNION ALL
SELECT e.key, 'its key is not in execution_key'
FROM execution e
WHERE NOT EXISTS (SELECT FROM execution_key k WHERE k.key = e.key)
UNION ALL
SELECT e.refers, count(*)::text || ' corrections of one execution are effective'
FROM execution e
WHERE e.effective AND e.refers <> ''
GROUP BY e.refers
HAVING count(*) > 1
UNION ALL
SELECT b.key, 'its key is not in execution_key'
FROM book_event b
WHERE NOT EXISTS (SELECT FROM execution_key k WHERE k.key = b.key)
UNION ALL
SELECT b.key, 'was reversed by version ' || b.reversed || ', which is no reversal of it'
FROM book_event b
WHERE b.reversed IS NOT NULL
  AND NOT EXISTS (SELECT FROM book_event r
                  WHERE r.household = b.household AND r.version = b.reversed AND r.body ->> 'reverses' = b.body ->> 'event_id')
LIMIT $1;

-- name: VerifyOrdersChecked
SELECT count(*) FROM trade_order WHERE sent IS NOT NULL;

-- name: VerifyOrdersBroken
-- CumQty + LeavesQty = OrderQty while the order lives, CumQty is the sum of the effective fills, and
-- no more than OrderQty without an open exception.
SELECT o.run || ' ' || o.id,
       'OrderQty ' || o.order_qty || ', CumQty ' || o.cum_qty || ', LeavesQty ' || o.leaves_qty || ', fills ' || coalesce(e.filled, 0)
FROM trade_order o
LEFT JOIN (
    SELECT run, order_id, sum(quantity) AS filled
    FROM execution
    WHERE effective
    GROUP BY run, order_id
) AS e ON e.run = o.run AND e.order_id = o.id
WHERE o.sent IS NOT NULL
  AND (o.cum_qty <> coalesce(e.filled, 0)
       OR o.state IN ('PendingNew', 'New', 'PartiallyFilled', 'PendingCancel') AND o.cum_qty + o.leaves_qty <> o.order_qty
       OR o.state NOT IN ('PendingNew', 'New', 'PartiallyFilled', 'PendingCancel') AND o.leaves_qty <> 0
       OR o.cum_qty > o.order_qty
          AND NOT EXISTS (SELECT FROM book_exception x WHERE x.account = o.account AND x.closed IS NULL AND x.parks))
LIMIT $1;

-- name: VerifyBrokerOrdersBroken
SELECT id, count(*)::text || ' orders at the broker have this ClOrdID'
FROM trade_order
WHERE sent IS NOT NULL
GROUP BY id
HAVING count(*) > 1
LIMIT $1;

-- name: VerifyApprovalsBroken
-- A sent order is a member of an approval by another person, over the content that it still has.
SELECT o.run || ' ' || o.id,
       CASE WHEN m.order_id IS NULL THEN 'sent without an approval'
            WHEN m.content_hash <> o.content_hash THEN 'sent with another content than was approved'
            ELSE 'approved by its maker' END
FROM trade_order o
LEFT JOIN approval_order m ON m.run = o.run AND m.order_id = o.id
LEFT JOIN approval a ON a.id = m.approval
WHERE o.sent IS NOT NULL
  AND (m.order_id IS NULL OR m.content_hash <> o.content_hash OR a.approver = a.maker)
LIMIT $1;

-- name: VerifyOffsetsChecked
SELECT count(*) FROM stream_offset;

-- name: VerifyLocksChecked
SELECT count(*) FROM tax_lock WHERE state <> 'void';

-- name: VerifyLocksBroken
-- Purchases of a property that the household has locked by another order, without an override that
-- names this lock for the content that they have, signed by another person than the run's maker: those
-- that were sent against a firm lock, and those that a run proposes against its own harvests. Locks
-- end on a tax day, which the caller knows from region, exchange and session.
SELECT o.run || ' ' || o.id, 'buys ' || o.symbol || ' while ' || l.property || ' is locked until ' || l.until,
       h.region, s.exchange, o.session, l.until
FROM trade_order o
JOIN household h ON h.id = o.household
JOIN security s ON s.symbol = o.symbol
JOIN tax_lock l ON l.household = o.household AND l.property = s.identical_group AND l.until >= o.session
LEFT JOIN run lr ON lr.id = l.run
WHERE o.side = 'buy'
  AND (lr.id IS NULL OR lr.session <= o.session) -- an opening's lock has no run
  AND (l.state = 'fixed' AND o.sent IS NOT NULL
       OR l.state <> 'void' AND l.run = o.run AND o.state = 'Proposed' AND o.exception = '')
  AND NOT EXISTS (
      SELECT
      FROM lock_override v
      JOIN run r ON r.id = v.run AND r.maker <> v.approver
      CROSS JOIN jsonb_to_recordset(v.locks) AS named (property text, "order" text, until date)
      WHERE v.run = o.run
        AND v.order_id = o.id
        AND v.content_hash = o.content_hash
        AND named.property = l.property
        AND named."order" = l.order_id
        AND named.until >= l.until)
ORDER BY o.run, o.id;

-- name: VerifyOutcomesChecked
SELECT count(*) FROM run_household;

-- name: VerifyOutcomesBroken
-- Every household of a finished run has its outcome, and orders come from planned households alone.
SELECT r.id || ' ' || h.household, 'has no outcome in a finished run'
FROM run r
JOIN run_household h ON h.run = r.id
WHERE r.state = 'finished'
  AND NOT EXISTS (SELECT FROM decision d WHERE d.run = h.run AND d.household = h.household)
UNION ALL
SELECT d.run || ' ' || d.household, d.outcome || ' with ' || d.orders || ' orders, ' || count(o.id) || ' stored'
FROM decision d
LEFT JOIN trade_order o ON o.run = d.run AND o.household = d.household
GROUP BY d.run, d.household, d.outcome, d.orders
HAVING count(o.id) <> d.orders OR (d.outcome = 'planned') <> (d.orders > 0)
LIMIT $1;

-- name: VerifyHouseholds
SELECT id FROM household WHERE id > $1 ORDER BY id LIMIT $2;

-- name: VerifyExcused
SELECT DISTINCT account FROM book_exception WHERE household = ANY ($1) AND closed IS NULL AND parks;

-- name: VerifyContents
-- Sent orders with all that their content hash covers.
SELECT run, id, session, sequence, household, account, symbol, side, quantity, type, limit_price, time_in_force,
       currency, price, price_day, fx, notional, account_currency, value, lots, waits_for, reason, numbers, content_hash
FROM trade_order
WHERE sent IS NOT NULL AND (run, id) > ($1, $2)
ORDER BY run, id
LIMIT $3;

-- name: VerifyCertificatesChecked
SELECT count(certificate) FROM account_decision;

-- name: VerifyCertificatesBroken
-- Plans whose proof does not prove what is recorded, and orders that go out unlooked at although it says
-- that a person should look.
SELECT run || ' ' || account,
       'objective ' || (certificate ->> 'objective') || ', bound ' || (certificate ->> 'bound') || ', gap ' || trim_scale(gap_bp)::text || ' bp'
FROM account_decision
WHERE certificate IS NOT NULL
  AND ((certificate ->> 'objective')::numeric < (certificate ->> 'bound')::numeric
       OR gap_bp <> ((certificate ->> 'objective')::numeric - (certificate ->> 'bound')::numeric) * 10000
       OR exception <> coalesce(certificate ->> 'exception', ''))
ORDER BY run, account
LIMIT $1;
