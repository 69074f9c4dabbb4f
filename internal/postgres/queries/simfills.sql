-- name: LiveOrders
-- Orders that were sent and that nothing has come for yet, in order of household, account and id.
SELECT o.id, o.run, o.session, o.sequence, o.household, o.account, o.symbol, o.side, o.order_qty AS quantity, o.type, o.limit_price,
       o.time_in_force, o.currency, o.price, o.price_day, o.fx, o.notional, o.account_currency, o.value, h.routing_key,
       coalesce(x.exchange, '') AS exchange
FROM live_order l
JOIN trade_order o ON o.run = l.run AND o.id = l.order_id
JOIN household h ON h.id = o.household
LEFT JOIN security x ON x.symbol = o.symbol
WHERE o.cum_qty = 0
  AND (o.household, o.account, o.id) > ($1, $2, $3)
ORDER BY o.household, o.account, o.id
LIMIT $4;

-- name: BookRows
-- Every figure that fills move, for a comparison with an oracle.
SELECT 'position' AS what, account AS of, symbol AS name, shares::text AS amount FROM position
UNION ALL
SELECT 'cash', account, currency, amount::text FROM cash
UNION ALL
SELECT 'currency', id, currency, '0' FROM account
UNION ALL
SELECT 'order_qty', id, '', quantity::text FROM trade_order WHERE sent IS NOT NULL
UNION ALL
SELECT 'cum_qty', id, state, cum_qty::text FROM trade_order WHERE sent IS NOT NULL
UNION ALL
SELECT 'leaves', id, '', leaves_qty::text FROM trade_order WHERE sent IS NOT NULL
UNION ALL
SELECT 'tax', household, '', count(*)::text FROM tax_event WHERE withdrawn IS NULL GROUP BY household
UNION ALL
SELECT 'tax_lots', household, '', count(DISTINCT body ->> 'order')::text
FROM tax_event
WHERE withdrawn IS NULL AND body ->> 'kind' = 'buy' AND body ->> 'order' <> ''
GROUP BY household;

-- name: StreamCounts
-- How the records of a topic ended, and what its consumers have still to do before an offset of each
-- partition.
SELECT coalesce(sum(applied), 0)::bigint AS applied, coalesce(sum(duplicate), 0)::bigint AS duplicate,
       coalesce(sum(held), 0)::bigint AS held, coalesce(sum(dead), 0)::bigint AS dead
FROM stream_offset
WHERE topic = $1;

-- name: StreamOffsets
SELECT partition, next_offset FROM stream_offset WHERE topic = $1 ORDER BY partition;

-- name: PreloadExecutions
-- Made-up executions of earlier days: $3 of each of $2 households from $1 on.
INSERT INTO execution (household, version, key, exec_type, refers, order_id, run, account, symbol, side, quantity, price, commission,
                       fees, currency, fx, fx_day, trade_date, settle_date, venue, broker_time, note, lots, effective,
                       source_partition, source_offset, known, lines, amounts, tax_owner, tax_type, tax_amount, tax_commission, tax_fx)
SELECT 'SH' || lpad(h::text, 8, '0'), v, '2019-09-02|0|OLD|' || lpad((h * $3::bigint + v)::text, 10, '0'), 'F', '', 'P' || lpad((h * 100 + v / 3)::text, 10, '0'),
       '2019-09-02.1', 'SA' || lpad((h * 2)::text, 8, '0'), 'OLD' || lpad((v % 500)::text, 3, '0'), 'buy', 1 + v % 100, 10.5 + v % 90, 0.35,
       0, 'USD', 1, $4::date - 196, $4::date - 196, $4::date - 194, 'XNYS', $4::date - 196 + interval '15 hours', '', NULL, true,
       h % 96, (h / 96) * $3::bigint + v - 1000000000, $4::date - 195,
       ARRAY['|cash|~broker|clearing|USD', '~broker|clearing||units|OLD' || lpad((v % 500)::text, 3, '0'), '|cash|~broker|fees|USD'],
       ARRAY[(1 + v % 100) * (10.5 + v % 90), 1 + v % 100, 0.35], 'OSH' || lpad(h::text, 8, '0'), 'taxable', (1 + v % 100) * (10.5 + v % 90), 0.35, 0
FROM generate_series($1::integer, $1::integer + $2::integer - 1) AS h
CROSS JOIN generate_series(1, $3::integer) AS v;

-- name: PreloadKeys
INSERT INTO execution_key (key, content_hash)
SELECT '2019-09-02|0|OLD|' || lpad((h * $3::bigint + v)::text, 10, '0'), md5((h * $3::bigint + v)::text)
FROM generate_series($1::integer, $1::integer + $2::integer - 1) AS h
CROSS JOIN generate_series(1, $3::integer) AS v
WHERE $4::date IS NOT NULL;

-- name: SampleKeys
-- Rows that fills left, in order of arrival.
SELECT k.key, k.content_hash
FROM (SELECT key, source_offset FROM execution WHERE source_offset >= 0 ORDER BY source_offset LIMIT 200000) AS e
JOIN execution_key k ON k.key = e.key
ORDER BY e.source_offset;

-- name: SampleExecutions
SELECT e.* FROM execution e WHERE e.source_offset >= 0 ORDER BY e.source_offset LIMIT 200000;

-- name: SampleJournal
SELECT j.*
FROM (SELECT household, version, source_offset FROM execution WHERE source_offset >= 0 ORDER BY source_offset LIMIT 200000) AS e
JOIN journal_line j ON j.household = e.household AND j.version = e.version
ORDER BY e.source_offset, j.line;

-- name: SampleTax
SELECT t.*
FROM (SELECT household, version, source_offset FROM execution WHERE source_offset >= 0 ORDER BY source_offset LIMIT 200000) AS e
JOIN tax_fact t ON t.household = e.household AND t.version = e.version
ORDER BY e.source_offset;
