-- +goose Up

-- The embedded registry of schemas. Nothing is deleted: a record may be read long after its schema
-- was replaced. Subjects with the same text share its id.
CREATE TABLE registry_schema (
    id   integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hash text NOT NULL UNIQUE, -- SHA-256 of body
    body text NOT NULL
);

CREATE TABLE registry_version (
    subject    text NOT NULL,
    version    integer NOT NULL CHECK (version > 0),
    schema_id  integer NOT NULL REFERENCES registry_schema,
    registered timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (subject, version),
    UNIQUE (subject, schema_id)
);

-- The compatibility that was set for a subject; the empty subject is all others.
CREATE TABLE registry_mode (
    subject text PRIMARY KEY,
    mode    text NOT NULL
);

-- Events that moved the book and are no executions: deposits, withdrawals, fees, dividends, DRIPs,
-- transfers, and what a corporate action did to one account. Their keys are in execution_key, beside
-- those of executions. An event that was reversed carries the book version that did so.
CREATE TABLE book_event (
    household        text NOT NULL,
    version          bigint NOT NULL,
    key              text NOT NULL UNIQUE,
    kind             text NOT NULL,
    account          text NOT NULL,
    symbol           text NOT NULL DEFAULT '',
    action           text NOT NULL DEFAULT '', -- key of the corporate action that it is a part of
    effective        date NOT NULL,
    known            timestamptz NOT NULL,
    body             jsonb NOT NULL,
    reversed         bigint,
    source_partition integer NOT NULL,
    source_offset    bigint NOT NULL,
    PRIMARY KEY (household, version),
    CHECK (reversed > version)
);
CREATE INDEX book_event_action ON book_event (action, account) WHERE action <> '';

-- Corporate actions come by security; they fan out to the holders page by page, in order of
-- household, each page in one transaction that moves next_household.
CREATE TABLE corporate_action (
    key              text PRIMARY KEY,
    symbol           text NOT NULL,
    kind             text NOT NULL,
    ex_date          date NOT NULL,
    due              date NOT NULL, -- with whose beginning it comes to the accounts
    body             jsonb NOT NULL,
    known            timestamptz NOT NULL,
    next_household   text NOT NULL DEFAULT '',
    holders          bigint NOT NULL DEFAULT 0, -- accounts that it reached
    applied          timestamptz,
    source_partition integer NOT NULL,
    source_offset    bigint NOT NULL
);
CREATE INDEX corporate_action_open ON corporate_action (due, key) WHERE applied IS NULL;
CREATE INDEX corporate_action_symbol ON corporate_action (symbol, ex_date);

-- Households that an action must look at again, once it has been applied: shares of before its
-- ex-date came, or went.
CREATE TABLE action_recheck (
    key       text NOT NULL REFERENCES corporate_action,
    household text NOT NULL,
    PRIMARY KEY (key, household)
);

-- Who holds a security, for corporate actions.
CREATE INDEX position_symbol ON position (symbol, household);

-- +goose Down
DROP INDEX position_symbol;
DROP TABLE action_recheck, corporate_action, book_event, registry_mode, registry_version, registry_schema;
