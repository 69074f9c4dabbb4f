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
-- What happened to an account, newest first: decisions, orders sent, executions, and events, which
-- stand at the beginning of their day.
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
    UNION ALL
    SELECT b.effective::timestamp AT TIME ZONE 'UTC', 'event', b.key,
           concat_ws(' ', b.kind, b.body ->> 'shares', nullif(b.symbol, ''), coalesce(b.body ->> 'amount', b.body ->> 'total'), b.body ->> 'currency',
                     'to ' || nullif(b.body ->> 'to_account', ''), 'of ' || nullif(b.body ->> 'reverses', ''), nullif(b.body ->> 'text', ''),
                     CASE WHEN b.reversed IS NOT NULL THEN '(taken back)' END)
    FROM book_event b
    WHERE b.household = (SELECT a.household FROM account a WHERE a.id = $1) AND (b.account = $1 OR b.body ->> 'to_account' = $1)
) AS t
ORDER BY at DESC, kind, subject
LIMIT $2;

-- name: BookStamps
-- When a household's book came to each of its versions.
SELECT household, version, known FROM execution WHERE household = ANY ($1) AND known IS NOT NULL
UNION
SELECT household, version, known FROM journal_line WHERE household = ANY ($1)
UNION
SELECT household, version, known FROM book_event WHERE household = ANY ($1);

-- name: JournalOf
SELECT household, version, line, event, kind, effective, known, from_owner, from_kind, to_owner, to_kind, commodity, amount
FROM journal
WHERE household = ANY ($1);

-- name: TaxFactsOf
-- Every tax event that came after a household, with those that were taken back.
SELECT household, version, coalesce(withdrawn, 0) AS withdrawn, body
FROM tax_event
WHERE household = ANY ($1)
ORDER BY household, version, line;
