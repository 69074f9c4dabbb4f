-- name: EventPosted
-- Events that reversals name.
SELECT household, version, coalesce(reversed, 0) AS reversed, body FROM book_event WHERE key = ANY ($1);

-- name: SoldOrLocked
-- What came to a household of a property that it has locked, or sold within a window of days and a
-- settlement.
SELECT n.household, n.symbol
FROM unnest($1::text[], $2::text[], $3::date[]) AS n (household, symbol, day)
JOIN security s ON s.symbol = n.symbol
JOIN tax_lock l ON l.household = n.household AND l.property = s.identical_group AND l.state = 'fixed' AND l.until >= n.day
UNION
SELECT n.household, n.symbol
FROM unnest($1::text[], $2::text[], $3::date[]) AS n (household, symbol, day)
JOIN security s ON s.symbol = n.symbol
JOIN trade_order o ON o.household = n.household AND o.run >= to_char(n.day - 40, 'YYYY-MM-DD') AND o.side = 'sell' AND o.cum_qty > 0
JOIN security x ON x.symbol = o.symbol AND x.identical_group = s.identical_group;

-- name: SaveReversed
UPDATE book_event e
SET reversed = n.by_version
FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS n (household, version, by_version)
WHERE e.household = n.household
  AND e.version = n.version;

-- name: StartedActions
-- The last ex-date of corporate actions of each security that have reached accounts already, where it
-- is after a day.
SELECT n.symbol, max(a.ex_date) AS ex_date
FROM unnest($1::text[], $2::date[]) AS n (symbol, day)
JOIN corporate_action a ON a.symbol = n.symbol AND a.ex_date > n.day
WHERE a.applied IS NOT NULL OR a.next_household <> ''
GROUP BY n.symbol;

-- name: RecheckActions
-- Shares of before an ex-date came, or went, after the action had reached the household.
INSERT INTO action_recheck (key, household)
SELECT DISTINCT a.key, n.household
FROM unnest($1::text[], $2::text[], $3::date[]) AS n (household, symbol, day)
JOIN corporate_action a ON a.symbol = n.symbol AND a.ex_date > n.day
WHERE a.applied IS NOT NULL OR a.next_household >= n.household
ON CONFLICT DO NOTHING;

-- name: DueActions
SELECT key
FROM corporate_action
WHERE applied IS NULL AND due <= $1
UNION
SELECT r.key
FROM action_recheck r
ORDER BY key;

-- name: LockAction
-- One page of an action after the other, whoever asks. The lock lets rechecks refer to the action
-- meanwhile: their writers hold households that the page may wait for.
SELECT body, next_household, applied IS NOT NULL AS applied, source_partition, source_offset
FROM corporate_action
WHERE key = $1
FOR NO KEY UPDATE;

-- name: ReadAction
SELECT body, next_household, applied IS NOT NULL AS applied, source_partition, source_offset
FROM corporate_action
WHERE key = $1;

-- name: ActionList
SELECT a.key, a.due, a.known, a.holders, a.applied, a.body,
       (SELECT count(*) FROM action_recheck r WHERE r.key = a.key) AS rechecks
FROM corporate_action a
ORDER BY a.due DESC, a.key
LIMIT $1;

-- name: ActionHouseholds
SELECT DISTINCT household
FROM position
WHERE symbol = $1 AND household > $2
ORDER BY household
LIMIT $3;

-- name: ActionRechecks
SELECT household FROM action_recheck WHERE key = $1 ORDER BY household LIMIT $2;

-- name: ActionHoldings
-- What each account that ever held the security had of it when the ex-date began. The journal is read
-- once, whatever the planner takes the page for.
WITH moved AS MATERIALIZED (
    SELECT owner, sum(amount) AS held
    FROM (
        SELECT to_owner AS owner, amount
        FROM journal
        WHERE household = ANY ($2) AND to_kind = 'units' AND commodity = $1 AND effective < $3
        UNION ALL
        SELECT from_owner, -amount
        FROM journal
        WHERE household = ANY ($2) AND from_kind = 'units' AND commodity = $1 AND effective < $3
    ) AS posting
    GROUP BY owner
)
SELECT p.household, p.account, coalesce(m.held, 0) AS held
FROM position p
LEFT JOIN moved m ON m.owner = p.account
WHERE p.symbol = $1
  AND p.household = ANY ($2)
ORDER BY p.household, p.account;

-- name: ActionPosted
SELECT household, version, body
FROM book_event
WHERE action = $1
  AND account = ANY ($2)
ORDER BY household, version;

-- name: SaveActions
INSERT INTO corporate_action (key, symbol, kind, ex_date, due, body, known, source_partition, source_offset)
SELECT key, symbol, kind, ex_date, due, body, $9, partition, "offset"
FROM unnest($1::text[], $2::text[], $3::text[], $4::date[], $5::date[], $6::jsonb[], $7::integer[], $8::bigint[])
    AS n (key, symbol, kind, ex_date, due, body, partition, "offset");

-- name: AdvanceAction
UPDATE corporate_action
SET next_household = $2,
    holders = holders + $3,
    applied = CASE WHEN $4::boolean THEN $5::timestamptz END
WHERE key = $1;

-- name: ClearRechecks
DELETE FROM action_recheck WHERE key = $1 AND household = ANY ($2);

-- name: RoutingKeys
SELECT id, routing_key FROM household WHERE id = ANY ($1);
