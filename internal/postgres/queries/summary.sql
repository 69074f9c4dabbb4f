-- name: SummaryOutcomes
SELECT outcome, count(*)::integer, coalesce(sum(accounts), 0)::integer FROM decision WHERE run = $1 GROUP BY outcome ORDER BY outcome;

-- name: SummaryAccounts
SELECT d.currency, count(*)::integer, count(*) FILTER (WHERE d.outcome = 'planned')::integer,
       sum(d.cash_before), sum(d.cash_after), sum(d.drift_before), sum(d.drift_after),
       sum(d.harvested), sum(d.denied_avoided), sum(d.tax_value)
FROM account_decision d
WHERE d.run = $1
GROUP BY d.currency
ORDER BY d.currency;

-- name: SummaryGaps
SELECT count(gap_bp)::integer, coalesce(percentile_disc(0.5) WITHIN GROUP (ORDER BY gap_bp), 0), coalesce(max(gap_bp), 0),
       count(*) FILTER (WHERE exception = 'GAP_ABOVE_LIMIT')::integer, count(*) FILTER (WHERE exception = 'RULES_RELAXED')::integer,
       count(*) FILTER (WHERE gap_bp IS NULL)::integer
FROM account_decision
WHERE run = $1;

-- name: SummaryDrift
-- Accounts by drift, before and after, in buckets that begin at the edges given.
SELECT edge, count(*) FILTER (WHERE width_bucket(drift_before, $2::numeric[]) = place)::integer,
       count(*) FILTER (WHERE width_bucket(drift_after, $2::numeric[]) = place)::integer
FROM unnest($2::numeric[]) WITH ORDINALITY AS bucket (edge, place)
CROSS JOIN account_decision d
WHERE d.run = $1
GROUP BY edge, place
ORDER BY place;

-- name: SummarySides
SELECT h.region, o.side, o.currency, count(*)::integer, sum(o.notional)
FROM trade_order o
JOIN household h ON h.id = o.household
WHERE o.run = $1
GROUP BY h.region, o.side, o.currency
ORDER BY h.region, o.side, o.currency;

-- name: SummaryReasons
SELECT h.region, o.reason, count(*)::integer
FROM trade_order o
JOIN household h ON h.id = o.household
WHERE o.run = $1
GROUP BY h.region, o.reason
ORDER BY h.region, count(*) DESC, o.reason;

-- name: SummaryNotTraded
SELECT h.region, d.reason, count(*)::integer
FROM account_decision d
JOIN household h ON h.id = d.household
WHERE d.run = $1 AND d.outcome = 'nothing_to_do'
GROUP BY h.region, d.reason
ORDER BY h.region, count(*) DESC, d.reason;

-- name: SummaryParked
SELECT coalesce(h.region, ''), d.reason, count(*)::integer
FROM decision d
LEFT JOIN household h ON h.id = d.household
WHERE d.run = $1 AND d.outcome = 'parked'
GROUP BY h.region, d.reason
ORDER BY h.region, count(*) DESC, d.reason;

-- name: SummaryRegions
SELECT h.region, count(DISTINCT h.id)::integer, coalesce(sum(a.harvested), 0)
FROM run_household r
JOIN household h ON h.id = r.household
LEFT JOIN account_decision a ON a.run = r.run AND a.household = r.household
WHERE r.run = $1
GROUP BY h.region
ORDER BY h.region;

-- name: SummaryHarvests
SELECT h.region, count(*)::integer
FROM trade_order o
JOIN household h ON h.id = o.household
WHERE o.run = $1 AND o.reason = 'HARVEST'
GROUP BY h.region
ORDER BY h.region;
