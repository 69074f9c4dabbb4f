-- +goose Up

-- What the pages read: the orders of a run by any of three columns, executions as they came.
CREATE INDEX trade_order_by_notional ON trade_order (run, notional, id);
CREATE INDEX trade_order_by_symbol ON trade_order (run, symbol, id);
CREATE INDEX trade_order_by_account ON trade_order (run, account, id);
CREATE INDEX account_decision_account ON account_decision (account, run);
CREATE INDEX decision_parked ON decision (run, household) WHERE outcome = 'parked';
CREATE INDEX execution_time ON execution (broker_time, key);
CREATE INDEX execution_source ON execution (source_partition, source_offset);
CREATE INDEX execution_account ON execution (account, broker_time);
CREATE INDEX audit_subject ON audit (subject, id);

-- An order as a person sees it: review_state says where it stands on its way to the broker, and
-- what FIX says once it is there.
CREATE VIEW order_review AS
SELECT o.run, o.id, o.household, h.region, o.account, o.symbol, o.side, o.quantity, o.limit_price, o.currency, o.price,
       o.price_day, o.fx, o.notional, o.account_currency, o.value, o.lots, o.waits_for, o.reason, o.numbers, o.book_version,
       o.content_hash, o.order_qty, o.cum_qty, o.leaves_qty, o.exception, o.exception_detail, o.held_by, o.sent, a.approval,
       CASE
           WHEN o.state <> 'Proposed' THEN o.state
           WHEN o.exception <> '' THEN 'Flagged'
           WHEN o.held_by <> '' THEN 'Held'
           WHEN o.released THEN 'Submitted'
           WHEN a.approval IS NOT NULL THEN 'Approved'
           ELSE 'Proposed'
       END AS review_state
FROM trade_order o
JOIN household h ON h.id = o.household
LEFT JOIN approval_order a ON a.run = o.run AND a.order_id = o.id;

-- The orders of a run that match a filter; an empty array matches all. The planner inlines it, so
-- that it costs what the same conditions would cost in the query itself.
-- +goose StatementBegin
CREATE FUNCTION orders_matching(of_run text, sides text[], regions text[], symbols text[], reasons text[],
                                states text[], currencies text[], accounts text[], ids text[], notional_min numeric)
RETURNS SETOF order_review
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT o.*
    FROM order_review o
    WHERE o.run = of_run
      AND (cardinality(sides) = 0 OR o.side = ANY (sides))
      AND (cardinality(regions) = 0 OR o.region = ANY (regions))
      AND (cardinality(symbols) = 0 OR o.symbol = ANY (symbols))
      AND (cardinality(reasons) = 0 OR o.reason = ANY (reasons))
      AND (cardinality(states) = 0 OR o.review_state = ANY (states))
      AND (cardinality(currencies) = 0 OR o.currency = ANY (currencies))
      AND (cardinality(accounts) = 0 OR o.account = ANY (accounts))
      AND (cardinality(ids) = 0 OR o.id = ANY (ids))
      AND o.notional >= notional_min;
END;
-- +goose StatementEnd

-- +goose Down
DROP FUNCTION orders_matching;
DROP VIEW order_review;
DROP INDEX trade_order_by_notional, trade_order_by_symbol, trade_order_by_account, account_decision_account,
    decision_parked, execution_time, execution_source, execution_account, audit_subject;
