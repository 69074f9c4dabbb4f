-- +goose Up

-- Market: what is true for every household.
CREATE TABLE security (
    symbol          text PRIMARY KEY,
    name            text NOT NULL,
    currency        text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    exchange        text NOT NULL,
    kind            text NOT NULL CHECK (kind IN ('stock', 'etf')),
    asset_class     text NOT NULL,
    index_name      text NOT NULL DEFAULT '',
    identical_group text NOT NULL
);

CREATE TABLE price (
    symbol     text NOT NULL REFERENCES security,
    day        date NOT NULL,
    currency   text NOT NULL,
    close      numeric(38,12) NOT NULL CHECK (close > 0),
    dividend   numeric(38,12) NOT NULL DEFAULT 0 CHECK (dividend >= 0),
    adjustment text NOT NULL CHECK (adjustment IN ('raw', 'splits', 'splits+dividends')),
    PRIMARY KEY (symbol, day)
);
CREATE INDEX price_day ON price (day, symbol);

CREATE TABLE fx_rate (
    base   text NOT NULL,
    quote  text NOT NULL,
    day    date NOT NULL,
    rate   numeric(38,12) NOT NULL CHECK (rate > 0),
    source text NOT NULL,
    PRIMARY KEY (base, quote, day),
    CHECK (base <> quote)
);

CREATE TABLE replacement (
    symbol      text NOT NULL REFERENCES security,
    replacement text NOT NULL REFERENCES security,
    rank        integer NOT NULL CHECK (rank > 0),
    PRIMARY KEY (symbol, replacement),
    CHECK (symbol <> replacement)
);

CREATE TABLE model_weight (
    model       text NOT NULL,
    region      text NOT NULL,
    asset_class text NOT NULL,
    symbol      text NOT NULL REFERENCES security,
    rank        integer NOT NULL CHECK (rank >= 0),
    weight      numeric(38,12) NOT NULL CHECK (weight BETWEEN 0 AND 1),
    PRIMARY KEY (model, asset_class, symbol)
);

-- A market as one run saw it: immutable, named by the hash of its bytes, so that a replay does
-- not depend on prices imported since.
CREATE TABLE market_snapshot (
    hash text PRIMARY KEY,
    day  date NOT NULL,
    body bytea NOT NULL
);

-- Households and their accounts. book_version grows by one with each event applied.
CREATE TABLE household (
    id           text PRIMARY KEY,
    region       text NOT NULL,
    routing_key  text NOT NULL,
    book_version bigint NOT NULL DEFAULT 0 CHECK (book_version >= 0),
    opened       date NOT NULL,
    source_hash  text NOT NULL DEFAULT '' -- SHA-256 of the record that the household came as
) WITH (fillfactor = 80);

CREATE TABLE household_owner (
    household text NOT NULL REFERENCES household,
    id        text NOT NULL,
    since     date NOT NULL,
    until     date,
    PRIMARY KEY (household, id),
    CHECK (until > since)
);

CREATE TABLE account (
    id        text PRIMARY KEY,
    household text NOT NULL REFERENCES household,
    owner     text NOT NULL,
    type      text NOT NULL,
    currency  text NOT NULL,
    model     text NOT NULL,
    policy    jsonb NOT NULL,
    opened    date NOT NULL
);
CREATE INDEX account_household ON account (household);

-- What the simulation broke on purpose, so that a demo can tell a found fault from a new one.
CREATE TABLE planted_fault (
    household text PRIMARY KEY REFERENCES household,
    fault     text NOT NULL
);

-- The clock of a sample installation, whose sessions lie in the past: at the real time it showed
-- the other. Without a row the clock is the machine's.
CREATE TABLE sample_clock (
    single   boolean PRIMARY KEY DEFAULT true CHECK (single),
    real     timestamptz NOT NULL,
    shown    timestamptz NOT NULL
);

-- Cash and positions are caches of the journal; `daybreak verify` recomputes them.
CREATE TABLE cash (
    account   text NOT NULL REFERENCES account,
    currency  text NOT NULL,
    household text NOT NULL,
    amount    numeric(38,12) NOT NULL,
    PRIMARY KEY (account, currency)
) WITH (fillfactor = 80);
CREATE INDEX cash_household ON cash (household);

CREATE TABLE position (
    account   text NOT NULL REFERENCES account,
    symbol    text NOT NULL,
    household text NOT NULL,
    shares    numeric(38,12) NOT NULL,
    PRIMARY KEY (account, symbol)
) WITH (fillfactor = 80);
CREATE INDEX position_household ON position (household);

-- The journal: each row moves an amount of one commodity from one ledger account to another, so
-- it balances by construction. Rows are never updated or deleted; a correction is a reversal.
CREATE TABLE journal (
    household  text NOT NULL,
    version    bigint NOT NULL,
    line       integer NOT NULL,
    event      text NOT NULL,
    kind       text NOT NULL,
    effective  date NOT NULL,
    known      timestamptz NOT NULL,
    from_owner text NOT NULL,
    from_kind  text NOT NULL,
    to_owner   text NOT NULL,
    to_kind    text NOT NULL,
    commodity  text NOT NULL,
    amount     numeric(38,12) NOT NULL CHECK (amount > 0),
    PRIMARY KEY (household, version, line),
    CHECK ((from_owner, from_kind) <> (to_owner, to_kind))
);

-- Tax facts: the history that a household came with, checkpoints of the fold, and each event since.
-- An event that a bust or a correction took back carries the book version that did so; from there
-- on it counts no more.
CREATE TABLE tax_history (
    household text PRIMARY KEY REFERENCES household,
    through   date NOT NULL,
    events    bytea NOT NULL
);

CREATE TABLE tax_checkpoint (
    household text NOT NULL REFERENCES household,
    version   bigint NOT NULL,
    as_of     date NOT NULL,
    rules     text NOT NULL,
    body      bytea NOT NULL,
    void      boolean NOT NULL DEFAULT false, -- an event came for a day that it had closed
    PRIMARY KEY (household, version)
);

CREATE TABLE tax_event (
    household text NOT NULL,
    version   bigint NOT NULL,
    line      integer NOT NULL,
    event     text NOT NULL,
    effective date NOT NULL,
    body      jsonb NOT NULL,
    withdrawn bigint,
    PRIMARY KEY (household, version, line),
    CHECK (withdrawn > version)
);

-- Locks on buying a property back: provisional with a proposal, fixed by a fill, void when the
-- order ended with nothing filled.
CREATE TABLE tax_lock (
    household text NOT NULL REFERENCES household,
    property  text NOT NULL,
    order_id  text NOT NULL,
    run       text NOT NULL,
    account   text NOT NULL,
    symbol    text NOT NULL,
    until     date NOT NULL,
    state     text NOT NULL CHECK (state IN ('provisional', 'fixed', 'void')),
    PRIMARY KEY (household, property, order_id, run)
);
CREATE INDEX tax_lock_order ON tax_lock (order_id);

-- Runs, their households and what was decided for each: exactly one decision a household and run.
CREATE TABLE run (
    id         text PRIMARY KEY,
    session    date NOT NULL,
    number     integer NOT NULL CHECK (number > 0),
    state      text NOT NULL CHECK (state IN ('started', 'paused', 'finished', 'canceled')),
    workflow   text NOT NULL,
    build      text NOT NULL,
    rules      text NOT NULL,
    market     text NOT NULL REFERENCES market_snapshot,
    filter     text NOT NULL DEFAULT '',
    maker      text NOT NULL,
    households integer NOT NULL,
    started    timestamptz NOT NULL,
    finished   timestamptz,
    UNIQUE (session, number)
);
CREATE UNIQUE INDEX run_one_live ON run (session) WHERE state <> 'canceled';

CREATE TABLE run_household (
    run       text NOT NULL REFERENCES run,
    household text NOT NULL,
    relay     bigint GENERATED ALWAYS AS IDENTITY,
    PRIMARY KEY (run, household)
);

-- How far each partition is in a run: counters for progress and for the end of the run, never the
-- truth about a household (that is its decision).
CREATE TABLE run_progress (
    run       text NOT NULL REFERENCES run,
    partition integer NOT NULL,
    decided   bigint NOT NULL,
    parked    bigint NOT NULL,
    orders    bigint NOT NULL,
    PRIMARY KEY (run, partition)
);

CREATE TABLE decision (
    run          text NOT NULL,
    household    text NOT NULL,
    outcome      text NOT NULL CHECK (outcome IN ('planned', 'nothing_to_do', 'parked')),
    reason       text NOT NULL,
    detail       text NOT NULL DEFAULT '',
    book_version bigint NOT NULL,
    accounts     integer NOT NULL,
    orders       integer NOT NULL,
    input        bytea NOT NULL,
    output_hash  text NOT NULL,
    PRIMARY KEY (run, household),
    FOREIGN KEY (run, household) REFERENCES run_household
);

CREATE TABLE account_decision (
    run            text NOT NULL,
    account        text NOT NULL,
    household      text NOT NULL,
    outcome        text NOT NULL CHECK (outcome IN ('planned', 'nothing_to_do')),
    reason         text NOT NULL,
    numbers        jsonb NOT NULL,
    currency       text NOT NULL,
    value          numeric(38,12) NOT NULL,
    cash_before    numeric(38,12) NOT NULL,
    cash_after     numeric(38,12) NOT NULL,
    drift_before   numeric(38,12) NOT NULL,
    drift_after    numeric(38,12) NOT NULL,
    harvested      numeric(38,12) NOT NULL,
    denied_avoided numeric(38,12) NOT NULL,
    tax_value      numeric(38,12) NOT NULL,
    skipped        jsonb NOT NULL,
    PRIMARY KEY (run, account)
);

-- Orders. id is FIX ClOrdID; a rerun of a session gives the same ids, and only one of them can
-- be at the broker. lots_left is what its fills have not used yet of its lots, NULL before the first;
-- exception says why a person must look at it: such an order is not sent. Indexes look at the
-- generated columns and not at state, so that a fill which leaves an order live changes no index.
CREATE TABLE trade_order (
    run              text NOT NULL,
    id               text NOT NULL CHECK (length(id) <= 20),
    household        text NOT NULL,
    account          text NOT NULL,
    symbol           text NOT NULL,
    side             text NOT NULL CHECK (side IN ('buy', 'sell')),
    quantity         numeric(38,12) NOT NULL CHECK (quantity > 0),
    session          date NOT NULL,
    sequence         integer NOT NULL CHECK (sequence > 0),
    type             text NOT NULL,
    limit_price      numeric(38,12) NOT NULL CHECK (limit_price > 0),
    time_in_force    text NOT NULL,
    currency         text NOT NULL,
    price            numeric(38,12) NOT NULL,
    price_day        date NOT NULL,
    fx               numeric(38,12) NOT NULL,
    notional         numeric(38,12) NOT NULL,
    account_currency text NOT NULL,
    value            numeric(38,12) NOT NULL,
    lots             jsonb NOT NULL,
    lots_left        jsonb,
    waits_for        jsonb NOT NULL,
    reason           text NOT NULL,
    numbers          jsonb NOT NULL,
    book_version     bigint NOT NULL,
    build            text NOT NULL DEFAULT '',
    rules            text NOT NULL DEFAULT '',
    content_hash     text NOT NULL,
    state            text NOT NULL,
    released         boolean NOT NULL DEFAULT false,
    order_qty        numeric(38,12) NOT NULL,
    cum_qty          numeric(38,12) NOT NULL DEFAULT 0,
    leaves_qty       numeric(38,12) NOT NULL,
    exception        text NOT NULL DEFAULT '',
    exception_detail text NOT NULL DEFAULT '',
    held_by          text NOT NULL DEFAULT '',
    sent             timestamptz,
    is_live          boolean NOT NULL GENERATED ALWAYS AS (state IN ('PendingNew', 'New', 'PartiallyFilled', 'PendingCancel')) STORED,
    is_waiting       boolean NOT NULL GENERATED ALWAYS AS (released AND sent IS NULL AND state = 'Proposed') STORED,
    PRIMARY KEY (run, id),
    CHECK (state IN ('Proposed', 'PendingNew', 'New', 'PartiallyFilled', 'Filled', 'PendingCancel',
                     'Canceled', 'Rejected', 'DoneForDay', 'Expired'))
) WITH (fillfactor = 45);
CREATE INDEX trade_order_account ON trade_order (account, run);
CREATE UNIQUE INDEX trade_order_at_broker ON trade_order (id) WHERE sent IS NOT NULL;
CREATE UNIQUE INDEX trade_order_live ON trade_order (account, symbol, side) WHERE is_live;
CREATE INDEX trade_order_household ON trade_order (household, run);
CREATE INDEX trade_order_waiting ON trade_order (household, run) WHERE is_waiting;
CREATE INDEX trade_order_unanswered ON trade_order (sent) WHERE is_live;

-- Households whose orders the gateway must look at: something was released, or a sale has ended.
CREATE TABLE gateway_due (
    household text PRIMARY KEY
);

-- What has been sent in a session, which the firm's limit for a day is checked against.
CREATE TABLE sent_total (
    session  date NOT NULL,
    currency text NOT NULL,
    orders   bigint NOT NULL,
    value    numeric(38,12) NOT NULL,
    PRIMARY KEY (session, currency)
);

-- Approvals: a decision of another person than the maker over a frozen set of orders.
CREATE TABLE approval (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run      text NOT NULL REFERENCES run,
    filter   text NOT NULL,
    orders   integer NOT NULL,
    notional jsonb NOT NULL,
    root     text NOT NULL,
    maker    text NOT NULL,
    approver text NOT NULL,
    comment  text NOT NULL DEFAULT '',
    decided  timestamptz NOT NULL,
    CHECK (maker <> approver)
);

CREATE TABLE approval_order (
    run          text NOT NULL,
    order_id     text NOT NULL,
    approval     bigint NOT NULL REFERENCES approval,
    content_hash text NOT NULL,
    PRIMARY KEY (run, order_id)
);

-- Executions: one effect a key. The key has a table of its own, so that pruning executions never
-- lets an old duplicate in.
CREATE TABLE execution_key (
    key          text PRIMARY KEY,
    content_hash text NOT NULL
);

CREATE TABLE execution (
    household        text NOT NULL,
    version          bigint NOT NULL,
    key              text NOT NULL,
    exec_type        text NOT NULL,
    refers           text NOT NULL DEFAULT '',
    order_id         text NOT NULL,
    run              text NOT NULL,
    account          text NOT NULL,
    symbol           text NOT NULL,
    side             text NOT NULL,
    quantity         numeric(38,12) NOT NULL,
    price            numeric(38,12) NOT NULL,
    commission       numeric(38,12) NOT NULL,
    fees             numeric(38,12) NOT NULL,
    currency         text NOT NULL,
    fx               numeric(38,12) NOT NULL,
    fx_day           date NOT NULL,
    trade_date       date NOT NULL,
    settle_date      date NOT NULL,
    venue            text NOT NULL,
    broker_time      timestamptz NOT NULL,
    note             text NOT NULL,
    lots             jsonb,
    effective        boolean NOT NULL,
    source_partition integer NOT NULL,
    source_offset    bigint NOT NULL,
    PRIMARY KEY (household, version)
);
CREATE INDEX execution_order ON execution (order_id);

CREATE TABLE held_execution (
    key              text PRIMARY KEY,
    content_hash     text NOT NULL,
    household        text NOT NULL,
    order_id         text NOT NULL,
    waits_for        text NOT NULL,
    value            bytea NOT NULL,
    source_partition integer NOT NULL,
    source_offset    bigint NOT NULL,
    since            timestamptz NOT NULL,
    released         timestamptz
);
CREATE INDEX held_execution_order ON held_execution (order_id) WHERE released IS NULL;

CREATE TABLE book_exception (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    household text NOT NULL,
    account   text NOT NULL,
    code      text NOT NULL,
    subject   text NOT NULL,
    detail    text NOT NULL,
    owner     text NOT NULL,
    opened    timestamptz NOT NULL,
    closed    timestamptz
);
CREATE UNIQUE INDEX book_exception_open ON book_exception (account, code, subject) WHERE closed IS NULL;

-- The stream: the next offset of each partition, moved only in the transaction of the effects, by
-- compare-and-set under the epoch of the partition's present owner.
CREATE TABLE stream_offset (
    topic        text NOT NULL,
    partition    integer NOT NULL,
    topic_id     text NOT NULL,
    first_offset bigint NOT NULL,
    next_offset  bigint NOT NULL,
    epoch        bigint NOT NULL,
    applied      bigint NOT NULL DEFAULT 0,
    duplicate    bigint NOT NULL DEFAULT 0,
    held         bigint NOT NULL DEFAULT 0,
    dead         bigint NOT NULL DEFAULT 0,
    last_record  timestamptz,
    PRIMARY KEY (topic, partition),
    CHECK (next_offset >= first_offset)
);

CREATE TABLE dead_letter (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic            text NOT NULL,
    source_partition integer NOT NULL,
    source_offset    bigint NOT NULL,
    key              bytea,
    headers          jsonb NOT NULL,
    value            bytea,
    reason           text NOT NULL,
    detail           text NOT NULL,
    attempts         integer NOT NULL DEFAULT 1,
    seen             timestamptz NOT NULL,
    relayed          timestamptz,
    resolved         timestamptz,
    UNIQUE (topic, source_partition, source_offset)
);

-- The kill switch: orders go out only while the row of the book is there and is not active.
CREATE TABLE kill_switch (
    book   text PRIMARY KEY,
    active boolean NOT NULL,
    reason text NOT NULL,
    actor  text NOT NULL,
    since  timestamptz NOT NULL
);
INSERT INTO kill_switch (book, active, reason, actor, since)
VALUES ('firm', false, '', 'installation', now());

-- The audit trail: each row carries the hash of the one before it.
CREATE TABLE audit (
    id       bigint PRIMARY KEY,
    at       timestamptz NOT NULL,
    actor    text NOT NULL,
    action   text NOT NULL,
    subject  text NOT NULL,
    detail   json NOT NULL, -- not jsonb: the hash covers these very bytes
    previous text NOT NULL,
    hash     text NOT NULL UNIQUE
);

-- +goose Down
DROP TABLE audit, kill_switch, sent_total, gateway_due, dead_letter, stream_offset, book_exception, held_execution, execution, execution_key, sample_clock,
    approval_order, approval, trade_order, account_decision, decision, run_progress, run_household, run, tax_lock,
    tax_event, tax_checkpoint, tax_history, journal, position, cash, planted_fault, account,
    household_owner, household, market_snapshot, model_weight, replacement, fx_rate, price, security;
