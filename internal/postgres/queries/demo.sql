-- name: DayLeft
-- How many submitted orders of a run are still on their way: waiting for sales, to be sent, or at
-- the broker; and how many are over.
SELECT count(*) FILTER (WHERE NOT over) AS left, count(*) FILTER (WHERE over) AS done
FROM (
    SELECT state IN ('Filled', 'Canceled', 'Rejected', 'DoneForDay', 'Expired') OR exception <> '' AS over
    FROM trade_order
    WHERE run = $1 AND released
) AS submitted;

-- name: DayFills
SELECT h.region, o.state, count(*)::integer
FROM trade_order o
JOIN household h ON h.id = o.household
WHERE o.run = $1
GROUP BY h.region, o.state
ORDER BY h.region, o.state;

-- name: DayExecutions
SELECT count(*) FROM execution e WHERE e.run = $1 AND e.quantity > 0 AND e.effective;

-- name: FaultsFound
-- Households that were parked or that have a planted fault, with both: they should agree.
SELECT coalesce(p.household, d.household), coalesce(p.fault, ''), coalesce(d.reason, '')
FROM planted_fault p
FULL JOIN (SELECT household, reason FROM decision WHERE run = $1 AND outcome = 'parked') AS d ON d.household = p.household
ORDER BY 1;

-- name: FirstTraded
-- An account with an order that was filled, for a replay after the fact.
SELECT o.account
FROM trade_order o
WHERE o.run = $1 AND o.state = 'Filled' AND o.reason = 'HARVEST'
ORDER BY o.account
LIMIT 1;
