-- name: UndecidedOf
SELECT r.household
FROM run_household r
WHERE r.run = $1
  AND r.household = ANY ($2)
  AND NOT EXISTS (SELECT FROM decision d WHERE d.run = r.run AND d.household = r.household)
ORDER BY r.household;

-- name: HouseholdsOf
SELECT id, region, routing_key, book_version, location FROM household WHERE id = ANY ($1) ORDER BY id;

-- name: OwnersOf
SELECT household, id, since, until FROM household_owner WHERE household = ANY ($1) ORDER BY household, id;

-- name: CarriedLossesOf
SELECT household, owner, of_year, end_of, st, lt
FROM carried_loss
WHERE household = ANY ($1)
ORDER BY household, owner, of_year;

-- name: AccountsOf
SELECT household, id, owner, type, currency, model, policy FROM account WHERE household = ANY ($1) ORDER BY household, id;

-- name: CashOf
SELECT household, account, currency, amount FROM cash WHERE household = ANY ($1) ORDER BY account, currency;

-- name: PositionsOf
SELECT household, account, symbol, shares
FROM position
WHERE household = ANY ($1) AND shares <> 0
ORDER BY account, symbol;

-- name: UnsettledOf
-- Proceeds of sales that settle after a day, as they were posted to cash: in the account's currency, the
-- costs off.
SELECT e.household, e.account, e.settle_date,
       sum(round(CASE WHEN e.currency = a.currency THEN p.net ELSE p.net * e.fx END, 2)) AS amount
FROM execution e
JOIN account a ON a.id = e.account
CROSS JOIN LATERAL (SELECT round(e.quantity * e.price, 2) - e.commission - e.fees AS net) p
WHERE e.household = ANY ($1)
  AND e.settle_date > $2
  AND e.side = 'sell'
  AND e.effective
GROUP BY e.household, e.account, e.settle_date
HAVING sum(p.net) > 0
ORDER BY e.household, e.account, e.settle_date;

-- name: CheckpointsOf
SELECT DISTINCT ON (household) household, version, body
FROM tax_checkpoint
WHERE household = ANY ($1) AND NOT void
ORDER BY household, version DESC;

-- name: TaxEventsOf
-- The events that a household's last checkpoint does not reflect yet.
SELECT e.household, e.body
FROM tax_event e
WHERE e.household = ANY ($1)
  AND e.withdrawn IS NULL
  AND e.version > (SELECT max(c.version) FROM tax_checkpoint c WHERE c.household = e.household AND NOT c.void)
ORDER BY e.household, e.version, e.line;

-- name: TaxHistoriesOf
SELECT household, events FROM tax_history WHERE household = ANY ($1) ORDER BY household;

-- name: AllTaxEventsOf
SELECT household, body
FROM tax_event
WHERE household = ANY ($1) AND withdrawn IS NULL
ORDER BY household, version, line;

-- name: SaveCheckpoints
INSERT INTO tax_checkpoint (household, version, as_of, rules, body)
SELECT household, version, as_of, rules, body
FROM unnest($1::text[], $2::bigint[], $3::date[], $4::text[], $5::bytea[]) AS n (household, version, as_of, rules, body)
ON CONFLICT (household, version) DO UPDATE
SET as_of = excluded.as_of, rules = excluded.rules, body = excluded.body, void = false;

-- name: LocksOf
SELECT household, property, symbol, account, order_id, until, state = 'provisional' AS provisional
FROM tax_lock
WHERE household = ANY ($1)
  AND state <> 'void'
  AND run <> $2
  AND until >= $3
ORDER BY household, property, until, account, symbol, order_id;

-- name: OpenOrdersOf
-- Orders at the broker, and those released that still wait to be sent.
SELECT household, id, account, symbol, side, leaves_qty
FROM trade_order
WHERE household = ANY ($1)
  AND (state IN ('PendingNew', 'New', 'PartiallyFilled', 'PendingCancel') OR released AND sent IS NULL AND state = 'Proposed')
ORDER BY household, id;

-- name: OpenExceptionsOf
-- A fact that broke a rule stops the household's new orders until somebody has looked at it; those
-- that only inform do not.
SELECT DISTINCT ON (household) household, account, code, detail
FROM book_exception
WHERE household = ANY ($1) AND closed IS NULL AND parks
ORDER BY household, id;

-- name: AdvanceRun
INSERT INTO run_progress AS p (run, partition, decided, parked, orders)
SELECT run, partition, decided, parked, orders
FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::bigint[], $5::bigint[]) AS n (run, partition, decided, parked, orders)
ORDER BY run, partition
ON CONFLICT (run, partition) DO UPDATE
SET decided = p.decided + excluded.decided, parked = p.parked + excluded.parked, orders = p.orders + excluded.orders;

-- name: FinishRuns
-- Runs after a batch has been committed, so that the last of several workers sees all of them.
UPDATE run r
SET state = 'finished', finished = $2
WHERE r.id = ANY ($1)
  AND r.state = 'started'
  AND r.households = (SELECT sum(p.decided) FROM run_progress p WHERE p.run = r.id);

-- name: Notify
SELECT pg_notify($1, $2);
