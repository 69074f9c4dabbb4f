-- A morning for the tests of the pages: 600 households, 1,200 accounts, orders in every state.
INSERT INTO security (symbol, name, currency, exchange, kind, asset_class, index_name, identical_group)
SELECT s, 'Fund ' || s || CASE WHEN s = 'VTI' THEN ' <script>window.pwned=1</script>' ELSE '' END,
       CASE WHEN s LIKE '%.TO' THEN 'CAD' ELSE 'USD' END, CASE WHEN s LIKE '%.TO' THEN 'XTSE' ELSE 'XNYS' END,
       'etf', 'class ' || i % 5, '', s
FROM unnest(ARRAY['VTI','SCHB','VXUS','IXUS','BND','AGG','VNQ','SCHH','GLD','IAU','XIC.TO','VCN.TO','XEF.TO','VIU.TO','XBB.TO','VAB.TO','ZRE.TO','VFV.TO','ZSP.TO','XSP.TO'])
    WITH ORDINALITY AS u (s, i);
INSERT INTO price (symbol, day, currency, close, adjustment)
SELECT symbol, '2020-03-13', currency, 20 + (ascii(symbol) * 7 + length(symbol) * 13) % 150 + 0.25, 'splits' FROM security;
INSERT INTO market_snapshot (hash, day, body) VALUES ('market', '2020-03-16', '\x00');

INSERT INTO household (id, region, routing_key, book_version, opened)
SELECT 'H' || lpad(i::text, 5, '0'), CASE WHEN i % 2 = 0 THEN 'CA' ELSE 'US' END, 'H' || lpad(i::text, 5, '0'), 3, '2017-01-03'
FROM generate_series(1, 600) AS i;
INSERT INTO household_owner (household, id, since) SELECT id, id || '-a', opened FROM household;
INSERT INTO account (id, household, owner, type, currency, model, policy, opened)
SELECT h.id || '-' || n, h.id, h.id || '-a',
       CASE WHEN h.region = 'CA' THEN (ARRAY['non_registered', 'tfsa'])[n] ELSE (ARRAY['taxable', 'ira'])[n] END,
       CASE WHEN h.region = 'CA' THEN 'CAD' ELSE 'USD' END, 'balanced', '{}', h.opened
FROM household h CROSS JOIN generate_series(1, 2) AS n;
INSERT INTO cash (account, currency, household, amount)
SELECT id, currency, household, 1500 + (hashtext(id) & 65535) / 7.0::numeric(38, 12) FROM account;
INSERT INTO position (account, symbol, household, shares)
SELECT a.id, s.symbol, a.household, 10 + (hashtext(a.id || s.symbol) & 255)
FROM account a
JOIN security s ON s.currency = a.currency AND (hashtext(a.id || s.symbol) & 7) < 4;

INSERT INTO run (id, session, number, state, workflow, build, rules, market, maker, households, started, finished)
VALUES ('2020-03-16.1', '2020-03-16', 1, 'finished', 'morning-run@1', repeat('ab', 32), repeat('cd', 32), 'market', 'scheduler', 600,
        '2020-03-16 11:00:00+00', '2020-03-16 11:00:09.5+00');
INSERT INTO run_household (run, household) SELECT '2020-03-16.1', id FROM household;
INSERT INTO decision (run, household, outcome, reason, detail, book_version, accounts, orders, input, output_hash)
SELECT '2020-03-16.1', id,
       CASE WHEN i % 50 = 0 THEN 'parked' WHEN i % 7 = 0 THEN 'nothing_to_do' ELSE 'planned' END,
       CASE WHEN i % 50 = 0 THEN (ARRAY['STALE_PRICE', 'UNKNOWN_SECURITY', 'NEGATIVE_CASH'])[1 + i / 50 % 3]
            WHEN i % 7 = 0 THEN 'nothing_to_do' ELSE 'planned' END,
       CASE WHEN i % 50 = 0 THEN 'account ' || id || '-1: the last close of GLD is 17 days old, at most 10 are allowed' ELSE '' END,
       3, 2, 0, '\x00', md5(id)
FROM (SELECT id, substr(id, 2)::integer AS i FROM household) h;
INSERT INTO planted_fault (household, fault) SELECT household, 'stale_price' FROM decision WHERE outcome = 'parked' AND reason = 'STALE_PRICE';
INSERT INTO run_progress (run, partition, decided, parked, orders)
SELECT '2020-03-16.1', hashtext(household) & 7, count(*), count(*) FILTER (WHERE outcome = 'parked'), 0
FROM decision GROUP BY 2;

INSERT INTO account_decision (run, account, household, outcome, reason, numbers, currency, value, cash_before, cash_after, drift_before,
                              drift_after, harvested, denied_avoided, tax_value, skipped)
SELECT '2020-03-16.1', a.id, a.household,
       CASE WHEN trades THEN 'planned' ELSE 'nothing_to_do' END,
       CASE WHEN trades AND a.id LIKE '%-1' THEN 'HARVESTED' WHEN trades THEN 'REBALANCED'
            ELSE (ARRAY['IN_BAND', 'BELOW_MINIMUM', 'BLOCKED'])[1 + (r & 1) + (r >> 9 & 1)] END,
       jsonb_build_object('value', '150000.00', 'drift_before', '0.083000', 'drift_after', '0.004000', 'cash_wanted', '1500.00',
                          'class', 'us_equity', 'drift', '0.013000', 'band', '0.020000'),
       a.currency, 40000 + r * 3, 1500 + r / 7.0, 900 + r / 90.0,
       CASE WHEN trades THEN 0.025 + (r & 1023) / 12000.0 ELSE (r & 1023) / 60000.0 END,
       CASE WHEN trades THEN (r & 1023) / 90000.0 ELSE (r & 1023) / 60000.0 END,
       CASE WHEN trades AND a.id LIKE '%-1' THEN 1000 + r / 5.0 ELSE 0 END,
       CASE WHEN r & 15 = 0 THEN 420.5 ELSE 0 END,
       CASE WHEN trades AND a.id LIKE '%-1' THEN 220 + r / 25.0 ELSE 0 END,
       CASE WHEN r & 3 = 0
            THEN '[{"code": "BELOW_THRESHOLD", "symbol": "BND", "numbers": {"loss": "12.30", "minimum": "100.00"}},
                   {"code": "BARRED_PURCHASE", "symbol": "GLD", "numbers": {"property": "GLD", "purchase": "GLD", "by": "H00002-2", "until": "2020-04-10"}}]'::jsonb
            ELSE '[]'::jsonb END
FROM (SELECT a.*, d.outcome = 'planned' AND (hashtext(a.id) & 7) > 0 AS trades, hashtext(a.id) & 65535 AS r
      FROM account a
      JOIN decision d ON d.household = a.household
      WHERE d.outcome <> 'parked') a;

INSERT INTO trade_order (run, id, household, account, symbol, side, quantity, session, sequence, type, limit_price, time_in_force, currency,
                         price, price_day, fx, notional, account_currency, value, lots, waits_for, reason, numbers, book_version, build,
                         rules, content_hash, state, order_qty, leaves_qty)
SELECT '2020-03-16.1', id, household, account, symbol, side, shares, '2020-03-16', 1, 'limit', round(close * 1.05, 4), 'day', currency,
       close, '2020-03-13', 1, shares * close, account_currency, shares * close,
       CASE WHEN side = 'sell' AND region = 'US'
            THEN jsonb_build_array(jsonb_build_object('lot', '2018-05-04:' || symbol, 'shares', shares::integer::text)) ELSE '[]' END,
       '[]',
       CASE WHEN side = 'sell' THEN (ARRAY['HARVEST', 'REBALANCE_SELL'])[1 + r % 2] ELSE (ARRAY['REPLACE', 'REBALANCE_BUY', 'INVEST_CASH'])[1 + r % 3] END,
       CASE WHEN side = 'sell' AND r % 2 = 0
            THEN '{"loss": "1234.56", "cost": "9876.50", "loss_short": "234.56", "loss_long": "1000.00", "proceeds": "8641.94", "tax_value": "330.12", "replacement": "SCHB", "until": "2020-04-15"}'::jsonb
            WHEN side = 'buy' AND r % 3 = 0 THEN '{"instead_of": "VTI", "amount": "8641.94"}'::jsonb
            ELSE '{"class": "us_equity", "held": "0.231000", "wanted": "0.300000", "band": "0.020000"}'::jsonb END,
       3, repeat('ab', 32), repeat('cd', 32), md5(id), 'Proposed', shares, shares
FROM (
    SELECT upper(substr(md5(a.id || s.symbol), 1, 20)) AS id, a.household, a.id AS account, h.region, a.currency AS account_currency,
           s.symbol, s.currency, p.close, hashtext(s.symbol || a.id) & 1023 AS r,
           CASE WHEN hashtext(a.id || s.symbol) & 1 = 0 THEN 'buy' ELSE 'sell' END AS side,
           (5 + (hashtext(a.id || s.symbol || 'n') & 511))::numeric(38, 12) AS shares
    FROM account_decision d
    JOIN account a ON a.id = d.account
    JOIN household h ON h.id = a.household
    JOIN security s ON s.currency = a.currency AND (hashtext(a.id || s.symbol) & 3) = 0 OR s.currency = a.currency AND (hashtext(a.id || s.symbol) & 15) = 5
    JOIN price p ON p.symbol = s.symbol
    WHERE d.outcome = 'planned'
) o;
UPDATE decision d SET orders = (SELECT count(*) FROM trade_order o WHERE o.household = d.household);
UPDATE trade_order SET held_by = 'ana' WHERE hashtext(id) & 127 = 0;
UPDATE trade_order SET exception = 'STALE' WHERE hashtext(id) & 127 = 1;
INSERT INTO stream_offset (topic, partition, topic_id, first_offset, next_offset, epoch, applied, last_record)
SELECT topic, p, 't', 0, 0, 1, 0, NULL FROM unnest(ARRAY['daybreak.fills', 'daybreak.work']) AS topic CROSS JOIN generate_series(0, 3) AS p;
