-- What a morning run reads and writes at the least, for `daybreak bench morning`. The set is fixed: a build
-- that reads or writes more is compared with the same rows.

-- name: PinnedHouseholds
SELECT id, region, routing_key, book_version FROM household WHERE id = ANY ($1);

-- name: PinnedAccounts
SELECT household, id, owner, type, currency, model, policy FROM account WHERE household = ANY ($1);

-- name: PinnedCash
SELECT household, account, currency, amount FROM cash WHERE household = ANY ($1);

-- name: PinnedPositions
SELECT household, account, symbol, shares FROM position WHERE household = ANY ($1) AND shares <> 0;

-- name: PinnedCheckpoints
SELECT DISTINCT ON (household) household, version, body
FROM tax_checkpoint
WHERE household = ANY ($1) AND NOT void
ORDER BY household, version DESC;

-- name: PinnedEvents
SELECT e.household, e.body
FROM tax_event e
WHERE e.household = ANY ($1)
  AND e.withdrawn IS NULL
  AND e.version > (SELECT max(c.version) FROM tax_checkpoint c WHERE c.household = e.household AND NOT c.void);

-- name: PinnedLocks
SELECT household, property, symbol, account, until FROM tax_lock WHERE household = ANY ($1) AND state <> 'void';

-- name: PinnedOutcomes
SELECT household, account, outcome, value FROM account_decision WHERE run = $1 ORDER BY household, account;

-- name: PinnedOrders
SELECT household, account, symbol, side, quantity, limit_price, currency FROM trade_order WHERE run = $1 ORDER BY household, id;

-- name: PinnedOutcomeTable
CREATE TABLE IF NOT EXISTS pinned_outcome (
    household text NOT NULL,
    account   text PRIMARY KEY,
    outcome   text NOT NULL,
    value     numeric NOT NULL
);

-- name: PinnedOrderTable
CREATE TABLE IF NOT EXISTS pinned_order (
    household   text NOT NULL,
    account     text NOT NULL,
    symbol      text NOT NULL,
    side        text NOT NULL,
    quantity    numeric NOT NULL,
    limit_price numeric,
    currency    text NOT NULL,
    PRIMARY KEY (account, symbol, side)
);

-- name: PinnedClear
TRUNCATE pinned_outcome, pinned_order;

-- name: DecisionBytes
-- What runs have stored, with indexes and out-of-line values, and how long the log is.
SELECT sum(pg_total_relation_size(t::regclass))::bigint AS stored, max(pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0'))::bigint AS log
FROM unnest(ARRAY['decision', 'account_decision', 'trade_order', 'tax_lock', 'run_household']) AS t;
