-- name: SecurityAll
SELECT symbol, name, currency, exchange, kind, asset_class, index_name, identical_group
FROM security
ORDER BY symbol

-- name: PriceAdjustments
SELECT s.symbol, p.adjustment
FROM security s
CROSS JOIN LATERAL (SELECT adjustment FROM price WHERE symbol = s.symbol ORDER BY day DESC LIMIT 1) p

-- name: PriceBefore
SELECT p.symbol, p.day, p.close, p.dividend
FROM unnest($1::text[], $2::date[]) AS w (symbol, day)
CROSS JOIN LATERAL (
    SELECT symbol, day, close, dividend
    FROM price
    WHERE symbol = w.symbol AND day < w.day
    ORDER BY day DESC
    LIMIT 1
) p

-- name: ImportLock
SELECT pg_advisory_xact_lock(hashtext('daybreak import'))

-- name: SecuritySave
WITH written AS (
    INSERT INTO security AS old (symbol, name, currency, exchange, kind, asset_class, index_name, identical_group)
    SELECT symbol, name, currency, exchange, kind, asset_class, index_name, identical_group
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
        AS i (symbol, name, currency, exchange, kind, asset_class, index_name, identical_group)
    ORDER BY symbol
    ON CONFLICT (symbol) DO UPDATE
    SET name = EXCLUDED.name, currency = EXCLUDED.currency, exchange = EXCLUDED.exchange, kind = EXCLUDED.kind,
        asset_class = EXCLUDED.asset_class, index_name = EXCLUDED.index_name, identical_group = EXCLUDED.identical_group
    WHERE (old.name, old.currency, old.exchange, old.kind, old.asset_class, old.index_name, old.identical_group)
        IS DISTINCT FROM (EXCLUDED.name, EXCLUDED.currency, EXCLUDED.exchange, EXCLUDED.kind, EXCLUDED.asset_class,
            EXCLUDED.index_name, EXCLUDED.identical_group)
    RETURNING xmax = 0 AS is_new
)
SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new), 0 FROM written

-- name: PriceSave
WITH written AS (
    INSERT INTO price AS old (symbol, day, currency, close, dividend, adjustment)
    SELECT symbol, day, currency, close, dividend, $6
    FROM unnest($1::text[], $2::date[], $3::text[], $4::numeric[], $5::numeric[]) AS i (symbol, day, currency, close, dividend)
    WHERE NOT EXISTS (
        SELECT FROM price p
        WHERE (p.symbol, p.day, p.currency, p.close, p.dividend, p.adjustment) = (i.symbol, i.day, i.currency, i.close, i.dividend, $6)
    )
    ORDER BY symbol, day
    ON CONFLICT (symbol, day) DO UPDATE
    SET currency = EXCLUDED.currency, close = EXCLUDED.close, dividend = EXCLUDED.dividend, adjustment = EXCLUDED.adjustment
    RETURNING xmax = 0 AS is_new
)
SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new), 0 FROM written

-- name: PriceMixed
SELECT symbol
FROM price
WHERE symbol = ANY($1::text[])
GROUP BY symbol
HAVING min(adjustment) <> max(adjustment)
ORDER BY symbol
LIMIT 1

-- name: RateSave
WITH written AS (
    INSERT INTO fx_rate AS old (base, quote, day, rate, source)
    SELECT base, quote, day, rate, source
    FROM unnest($1::text[], $2::text[], $3::date[], $4::numeric[], $5::text[]) AS i (base, quote, day, rate, source)
    ORDER BY base, quote, day
    ON CONFLICT (base, quote, day) DO UPDATE
    SET rate = EXCLUDED.rate, source = EXCLUDED.source
    WHERE (old.rate, old.source) IS DISTINCT FROM (EXCLUDED.rate, EXCLUDED.source)
    RETURNING xmax = 0 AS is_new
)
SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new), 0 FROM written

-- name: ReplacementSave
WITH given AS (
    SELECT symbol, replacement, rank
    FROM unnest($1::text[], $2::text[], $3::integer[]) AS i (symbol, replacement, rank)
), removed AS (
    DELETE FROM replacement r
    WHERE r.symbol IN (SELECT symbol FROM given)
        AND NOT EXISTS (SELECT FROM given g WHERE (g.symbol, g.replacement) = (r.symbol, r.replacement))
    RETURNING 1
), written AS (
    INSERT INTO replacement AS old (symbol, replacement, rank)
    SELECT symbol, replacement, rank
    FROM given
    ORDER BY symbol, replacement
    ON CONFLICT (symbol, replacement) DO UPDATE
    SET rank = EXCLUDED.rank
    WHERE old.rank <> EXCLUDED.rank
    RETURNING xmax = 0 AS is_new
)
SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new), (SELECT count(*) FROM removed) FROM written

-- name: WeightSave
WITH given AS (
    SELECT model, region, asset_class, symbol, rank, weight
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::integer[], $6::numeric[])
        AS i (model, region, asset_class, symbol, rank, weight)
), removed AS (
    DELETE FROM model_weight w
    WHERE w.model IN (SELECT model FROM given)
        AND NOT EXISTS (SELECT FROM given g WHERE (g.model, g.asset_class, g.symbol) = (w.model, w.asset_class, w.symbol))
    RETURNING 1
), written AS (
    INSERT INTO model_weight AS old (model, region, asset_class, symbol, rank, weight)
    SELECT model, region, asset_class, symbol, rank, weight
    FROM given
    ORDER BY model, asset_class, symbol
    ON CONFLICT (model, asset_class, symbol) DO UPDATE
    SET region = EXCLUDED.region, rank = EXCLUDED.rank, weight = EXCLUDED.weight
    WHERE (old.region, old.rank, old.weight) IS DISTINCT FROM (EXCLUDED.region, EXCLUDED.rank, EXCLUDED.weight)
    RETURNING xmax = 0 AS is_new
)
SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new), (SELECT count(*) FROM removed) FROM written

-- name: MarketPrices
SELECT p.symbol, p.day, p.close, p.dividend
FROM unnest($1::text[], $2::date[]) AS w (symbol, oldest)
CROSS JOIN LATERAL (
    SELECT symbol, day, close, dividend
    FROM price
    WHERE symbol = w.symbol AND day BETWEEN w.oldest AND $3
    ORDER BY day DESC
    LIMIT 1
) p

-- name: MarketDividends
SELECT symbol, day, dividend
FROM price
WHERE symbol = ANY ($1::text[]) AND day BETWEEN $2 AND $3 AND dividend > 0
ORDER BY symbol, day

-- name: MarketRates
SELECT DISTINCT ON (base, quote) base, quote, day, rate, source
FROM fx_rate
WHERE day BETWEEN $1 AND $2
ORDER BY base, quote, day DESC

-- name: MarketReplacements
SELECT symbol, replacement, rank
FROM replacement

-- name: MarketWeights
SELECT model, region, asset_class, symbol, rank, weight
FROM model_weight

-- name: MarketHistoryPrices
SELECT symbol, day, close, dividend
FROM price
WHERE day <= $1 AND ($2::date IS NULL OR day >= $2)
ORDER BY symbol, day

-- name: MarketHistoryRates
SELECT base, quote, day, rate, source
FROM fx_rate
WHERE day <= $1
ORDER BY base, quote, day
