-- name: RecordedDecision
SELECT d.household, d.outcome, d.reason, d.detail, d.input
FROM decision d
WHERE d.run = $1
  AND d.household = coalesce((SELECT a.household FROM account_decision a WHERE a.run = $1 AND a.account = $2),
                             (SELECT a.household FROM account a WHERE a.id = $2));

-- name: RecordedAccount
SELECT outcome, reason, numbers, currency, value, cash_before, cash_after, drift_before, drift_after, harvested,
       denied_avoided, tax_value, skipped, certificate
FROM account_decision
WHERE run = $1 AND account = $2;

-- name: RecordedOrders
SELECT id, account, household, symbol, side, quantity, lots, reason, numbers
FROM trade_order
WHERE run = $1 AND account = $2
ORDER BY id;

-- name: AccountHousehold
SELECT household FROM account WHERE id = $1;

-- name: AccountTimeline
-- What happened to an account, newest first: decisions, orders sent, executions, journal entries.
SELECT at, kind, subject, detail
FROM (
    SELECT r.started AS at, 'decision' AS kind, d.run AS subject, d.outcome || ' ' || d.reason AS detail
    FROM account_decision d
    JOIN run r ON r.id = d.run
    WHERE d.account = $1
    UNION ALL
    SELECT o.sent, 'order', o.id, o.side || ' ' || trim_scale(o.order_qty)::text || ' ' || o.symbol || ' ' || o.state
    FROM trade_order o
    WHERE o.account = $1 AND o.sent IS NOT NULL
    UNION ALL
    SELECT e.broker_time, 'execution', e.key,
           e.exec_type || ' ' || e.side || ' ' || trim_scale(e.quantity)::text || ' ' || e.symbol || ' @ ' || trim_scale(e.price)::text || ' ' || e.currency
    FROM execution e
    WHERE e.household = (SELECT a.household FROM account a WHERE a.id = $1) AND e.account = $1
) AS t
ORDER BY at DESC, kind, subject
LIMIT $2;

-- name: BalancesAsOf
-- What the journal had moved into a household's accounts with effect up to a day.
SELECT household, owner AS account, kind, commodity, sum(amount) AS amount, max(version) AS version
FROM (
    SELECT household, to_owner AS owner, to_kind AS kind, commodity, amount, version
    FROM journal
    WHERE household = ANY ($1) AND effective <= $2
    UNION ALL
    SELECT household, from_owner, from_kind, commodity, -amount, version
    FROM journal
    WHERE household = ANY ($1) AND effective <= $2
) AS posting
WHERE kind IN ('cash', 'units')
GROUP BY household, owner, kind, commodity
HAVING sum(amount) <> 0
ORDER BY owner, kind, commodity;
