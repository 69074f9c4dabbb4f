-- name: HouseholdRefs
SELECT h.id, h.region, h.routing_key, count(a.id)::integer AS accounts
FROM household h
LEFT JOIN account a ON a.household = h.id
GROUP BY h.id
ORDER BY h.id;

-- name: StoreMarket
INSERT INTO market_snapshot (hash, day, body)
VALUES ($1, $2, $3)
ON CONFLICT (hash) DO NOTHING;

-- name: StoredMarket
SELECT hash, day, body FROM market_snapshot WHERE hash = $1;

-- name: StoreRisk
INSERT INTO risk_model (hash, day, body)
VALUES ($1, $2, $3)
ON CONFLICT (hash) DO NOTHING;

-- name: StoredRisk
SELECT hash, day, body FROM risk_model WHERE hash = $1;

-- name: AccountCurrencies
SELECT DISTINCT currency FROM account ORDER BY currency;

-- name: LockSession
-- Two schedulers at once start a run once: the second waits here and then sees the first one's run.
SELECT pg_advisory_xact_lock(hashtextextended('run ' || $1::date::text, 0));

-- name: LiveRunOf
SELECT id FROM run WHERE session = $1 AND state <> 'canceled';

-- name: NextRunNumber
SELECT coalesce(max(number), 0) + 1 FROM run WHERE session = $1;

-- name: InsertRun
INSERT INTO run (id, session, number, state, workflow, build, rules, market, filter, maker, households, started, risk, settings)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, nullif($13, ''), $14);

-- name: RunByID
SELECT id, session, number, state, workflow, build, rules, market, filter, maker, households, started, finished, coalesce(risk, '') AS risk, settings
FROM run
WHERE id = $1;

-- name: Runs
SELECT id, session, number, state, workflow, build, rules, market, filter, maker, households, started, finished, coalesce(risk, '') AS risk, settings
FROM run
ORDER BY session DESC, number DESC
LIMIT $1;

-- name: Undecided
SELECT r.household AS id, coalesce(h.region, '') AS region, coalesce(h.routing_key, r.household) AS routing_key, 0 AS accounts
FROM run_household r
LEFT JOIN household h ON h.id = r.household
WHERE r.run = $1
  AND NOT EXISTS (SELECT FROM decision d WHERE d.run = r.run AND d.household = r.household)
ORDER BY r.household;

-- name: ChangeRun
UPDATE run
SET state = $3
WHERE id = $1 AND state = ANY ($2)
RETURNING id, session, number, state, workflow, build, rules, market, filter, maker, households, started, finished, coalesce(risk, '') AS risk, settings;

-- name: VoidRunLocks
-- Proposals of a canceled run are void, and so are the locks that came with them.
UPDATE tax_lock SET state = 'void' WHERE run = $1 AND state = 'provisional';

-- name: VoidStaleLocks
-- Proposals of an earlier session that never went to the broker no longer keep anything locked.
UPDATE tax_lock l
SET state = 'void'
FROM run r
WHERE r.id = l.run
  AND r.session < $1
  AND l.state = 'provisional'
  AND NOT EXISTS (SELECT FROM trade_order o WHERE o.run = l.run AND o.id = l.order_id AND o.sent IS NOT NULL);

-- name: RunProgress
SELECT coalesce(sum(decided), 0)::bigint AS decided, coalesce(sum(parked), 0)::bigint AS parked,
       coalesce(sum(orders), 0)::bigint AS orders
FROM run_progress
WHERE run = $1;

-- name: CanceledOrdersSent
SELECT count(*) FROM trade_order WHERE run = $1 AND sent IS NOT NULL;
