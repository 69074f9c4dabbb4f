-- +goose Up

-- An exception that parks keeps its household out of runs and stops its orders; the others inform.
ALTER TABLE book_exception ADD COLUMN parks boolean NOT NULL DEFAULT true;

-- Unsent purchases of what the household has sold within a window of days and a settlement, where the
-- book has moved since the plan, which asked the tax book itself: whether the sale was at a loss that
-- the purchase would deny, the tax book says. Runs are named by their day.
CREATE VIEW repurchase AS
SELECT o.run, o.id, o.household
FROM trade_order o
JOIN household h ON h.id = o.household
JOIN security b ON b.symbol = o.symbol
CROSS JOIN LATERAL (
    SELECT
    FROM trade_order s
    JOIN security x ON x.symbol = s.symbol AND x.identical_group = b.identical_group
    WHERE h.book_version <> o.book_version
      AND s.household = o.household
      AND s.run >= to_char(o.session - 40, 'YYYY-MM-DD')
      AND s.side = 'sell'
      AND s.cum_qty > 0
    LIMIT 1) AS sold
WHERE o.side = 'buy'
  AND o.sent IS NULL
  AND o.state = 'Proposed';

-- +goose Down
DROP VIEW repurchase;
ALTER TABLE book_exception DROP COLUMN parks;
