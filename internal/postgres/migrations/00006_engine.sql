-- +goose Up

-- Workflow definitions: immutable, named by the hash of their text. Other tables name one by number,
-- which is shorter.
CREATE TABLE workflow_definition (
    hash    text PRIMARY KEY,
    number  integer GENERATED ALWAYS AS IDENTITY UNIQUE,
    name    text NOT NULL,
    body    bytea NOT NULL,
    applied timestamptz NOT NULL,
    actor   text NOT NULL,
    why     text NOT NULL DEFAULT ''
);
CREATE INDEX workflow_definition_name ON workflow_definition (name, number);

-- Which version of a definition new instances take. Canary has a share of the households, in basis
-- points, and those that its cohort names; live has all others; test only who asks for it.
CREATE TABLE workflow_alias (
    name       text NOT NULL,
    alias      text NOT NULL CHECK (alias IN ('live', 'canary', 'test')),
    definition integer NOT NULL REFERENCES workflow_definition (number),
    share_bp   integer NOT NULL DEFAULT 0 CHECK (share_bp BETWEEN 0 AND 10000),
    cohort     text NOT NULL DEFAULT '',
    params     json NOT NULL DEFAULT '{}',
    changed    timestamptz NOT NULL,
    actor      text NOT NULL,
    PRIMARY KEY (name, alias)
);

-- Live state: instances that wait, have failed or are paused, or whose call outlives its batch
-- (running). One that runs through has no row here. revision grows with each change and is the fence
-- between a run and a person; batches and acts lead to its journal and to what people did to it.
CREATE TABLE workflow_instance (
    id                text PRIMARY KEY,
    topic             text NOT NULL,
    partition         integer NOT NULL,
    household         text NOT NULL,
    definition        integer NOT NULL,
    node              text NOT NULL,
    state             text NOT NULL CHECK (state IN ('running', 'waiting', 'failed', 'paused')),
    resumes           text NOT NULL DEFAULT '' CHECK ((state = 'paused') = (resumes <> '')),
    context           bytea NOT NULL,
    attempt           integer NOT NULL CHECK (attempt >= 0),
    steps             integer NOT NULL CHECK (steps >= 0),
    due               timestamptz,
    deadline          timestamptz,
    forced            boolean NOT NULL DEFAULT false,
    failure_node      text NOT NULL DEFAULT '',
    failure_code      text NOT NULL DEFAULT '',
    failure_signature text NOT NULL DEFAULT '',
    failure_message   text NOT NULL DEFAULT '',
    batches           bigint[] NOT NULL,
    acts              bigint[] NOT NULL DEFAULT '{}',
    revision          bigint NOT NULL CHECK (revision > 0),
    started           timestamptz NOT NULL,
    since             timestamptz NOT NULL
) WITH (fillfactor = 85);
CREATE INDEX workflow_instance_due ON workflow_instance (topic, partition, due, id) WHERE state IN ('running', 'waiting');
CREATE INDEX workflow_instance_failed ON workflow_instance (definition, failure_node, failure_code, failure_signature) WHERE state = 'failed';
CREATE INDEX workflow_instance_household ON workflow_instance (household);

-- Numbers of batches and of acts, which share them: both lead to lines of the journal.
CREATE SEQUENCE workflow_batch;

-- The journal: what the instances of a batch did up to one barrier, compressed against their
-- definition. Only ever inserted into; a day's partition is detached and dropped when it is archived.
CREATE TABLE workflow_journal (
    day         date NOT NULL,
    batch       bigint NOT NULL,
    line        integer NOT NULL,
    topic       text NOT NULL,
    partition   integer NOT NULL,
    last_offset bigint NOT NULL, -- of the batch's records; -1 where none asked for it
    definition  integer NOT NULL,
    worker      text NOT NULL,
    at          timestamptz NOT NULL,
    instances   integer NOT NULL,
    body        bytea NOT NULL,
    PRIMARY KEY (batch, line, day) -- looked for by batch; the day is what partitions need
) PARTITION BY RANGE (day);
ALTER TABLE workflow_journal ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE INDEX workflow_journal_offset ON workflow_journal (topic, partition, last_offset);

-- How each instance ended, and where its steps are: the key by which a second start is known.
CREATE TABLE workflow_finished (
    day        date NOT NULL,
    id         text NOT NULL,
    household  text NOT NULL,
    definition integer NOT NULL,
    state      text NOT NULL CHECK (state IN ('done', 'terminated')),
    node       text NOT NULL,
    batches    bigint[] NOT NULL,
    acts       bigint[],
    started    timestamptz NOT NULL,
    finished   timestamptz NOT NULL,
    PRIMARY KEY (id, day)
) PARTITION BY RANGE (day);

-- Makes the partitions of a day; a second call changes nothing.
-- +goose StatementBegin
CREATE FUNCTION workflow_make_day(of date) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    parent text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('workflow_make_day'));
    FOREACH parent IN ARRAY ARRAY['workflow_journal', 'workflow_finished'] LOOP
        IF to_regclass(format('%s_%s', parent, to_char(of, 'YYYYMMDD'))) IS NULL THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                parent || '_' || to_char(of, 'YYYYMMDD'), parent, of, of + 1);
        END IF;
    END LOOP;
END;
$$;
-- +goose StatementEnd

-- What is kept from running: a node of a workflow that a person, or many like failures, paused, or
-- one instance that was running when a person asked for it.
CREATE TABLE workflow_hold (
    workflow  text NOT NULL DEFAULT '',
    node      text NOT NULL DEFAULT '',
    instance  text NOT NULL DEFAULT '',
    act       text NOT NULL CHECK (act IN ('pause', 'terminate')),
    signature text NOT NULL DEFAULT '', -- of the failures that paused a node
    at        timestamptz NOT NULL,
    actor     text NOT NULL,
    why       text NOT NULL,
    PRIMARY KEY (workflow, node, instance),
    CHECK ((instance = '') <> (workflow = '')),
    CHECK ((workflow = '') = (node = ''))
);

-- What people did to instances: who, when, why, to which.
CREATE TABLE workflow_act (
    id      bigint PRIMARY KEY,
    at      timestamptz NOT NULL,
    actor   text NOT NULL,
    why     text NOT NULL,
    act     text NOT NULL,
    filter  text NOT NULL,
    detail  json NOT NULL,
    matched integer NOT NULL,
    changed integer NOT NULL,
    stage   text NOT NULL DEFAULT ''
);

-- +goose Down
DROP TABLE workflow_act, workflow_hold, workflow_finished, workflow_journal, workflow_instance, workflow_alias, workflow_definition;
DROP FUNCTION workflow_make_day;
DROP SEQUENCE workflow_batch;
