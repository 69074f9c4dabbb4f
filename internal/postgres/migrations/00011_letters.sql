-- +goose Up

-- A dead letter is open until a replay has given it an end, or a person has dropped it with a reason.
-- heals says what can make it succeed: time (what it needs may come), another build of ours, or a hand
-- alone. due is when it is tried next, build the one that tried it last.
ALTER TABLE dead_letter
    ADD COLUMN state    text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'replayed', 'dropped')),
    ADD COLUMN outcome  text NOT NULL DEFAULT '', -- of the replay that ended it
    ADD COLUMN actor    text NOT NULL DEFAULT '', -- who replayed or dropped it
    ADD COLUMN why      text NOT NULL DEFAULT '', -- it was dropped
    ADD COLUMN heals    text NOT NULL DEFAULT 'hand' CHECK (heals IN ('time', 'build', 'hand')),
    ADD COLUMN due      timestamptz,
    ADD COLUMN build    text NOT NULL DEFAULT '',
    ADD COLUMN sent     timestamptz, -- time of the record
    ADD COLUMN counted  boolean NOT NULL DEFAULT true, -- as dead; else it was held first, and counted so
    ADD COLUMN account  text NOT NULL DEFAULT '',
    ADD COLUMN order_id text NOT NULL DEFAULT '',
    ADD CHECK ((state = 'open') = (resolved IS NULL)),
    ADD CONSTRAINT dead_letter_dropped_by CHECK (state <> 'dropped' OR actor <> '' AND why <> '');

UPDATE dead_letter
SET heals = CASE
        WHEN reason IN ('UNKNOWN_ACCOUNT', 'UNKNOWN_ORDER', 'UNKNOWN_SCHEMA', 'UNKNOWN_EVENT') THEN 'time'
        WHEN reason IN ('CONFLICT', 'ORDER_DIFFERS', 'ALREADY_BUSTED', 'ALREADY_REVERSED', 'BAD_REFERENCE') THEN 'hand'
        ELSE 'build'
    END,
    due = CASE WHEN reason LIKE 'UNKNOWN_%' AND reason <> 'UNKNOWN_TYPE' THEN seen END
WHERE topic IN ('daybreak.fills', 'daybreak.events');

-- Each index holds only what still has to be done: no wake reads what has ended.
CREATE INDEX dead_letter_open ON dead_letter (topic, reason) WHERE state = 'open';
CREATE INDEX dead_letter_due ON dead_letter (due, id) WHERE state = 'open' AND due IS NOT NULL;
CREATE INDEX dead_letter_build ON dead_letter (build) WHERE state = 'open' AND heals = 'build';
CREATE INDEX dead_letter_account ON dead_letter (account) WHERE state = 'open' AND account <> '';
CREATE INDEX dead_letter_dropped ON dead_letter (topic, source_partition, source_offset) WHERE state = 'dropped';
CREATE INDEX dead_letter_unsent ON dead_letter (id) WHERE relayed IS NULL;

-- Accounts that arrive make the letters that name them due.
-- +goose StatementBegin
CREATE FUNCTION wake_letters() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    UPDATE dead_letter d
    SET due = d.seen
    FROM added a
    WHERE d.state = 'open'
      AND d.heals = 'time'
      AND d.account <> ''
      AND d.account = a.id;
    IF FOUND THEN
        PERFORM pg_notify('daybreak_letters', 'account');
    END IF;
    RETURN NULL;
END;
$$;
-- +goose StatementEnd
CREATE TRIGGER account_wakes_letters AFTER INSERT ON account
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION wake_letters();

-- A rewind reads records again: reread counts them, reached is how far the partition had come.
ALTER TABLE stream_offset
    ADD COLUMN reread  bigint NOT NULL DEFAULT 0 CHECK (reread >= 0),
    ADD COLUMN reached bigint NOT NULL DEFAULT 0;

-- How long records took from the broker to the commit, as each consumer has counted since it started:
-- buckets[i] records took at most the i-th bound, the last one has the others.
CREATE TABLE stream_member (
    name    text NOT NULL,
    topic   text NOT NULL,
    build   text NOT NULL,
    started timestamptz NOT NULL,
    at      timestamptz NOT NULL,
    buckets bigint[] NOT NULL,
    seconds double precision NOT NULL, -- of all records together
    PRIMARY KEY (name, topic)
);

-- Comparisons of a broker's end-of-day file with the book, and what differed.
CREATE TABLE reconciliation (
    source    text NOT NULL,
    day       date NOT NULL,
    file_hash text NOT NULL,
    balances  integer NOT NULL,
    actor     text NOT NULL,
    at        timestamptz NOT NULL,
    PRIMARY KEY (source, day)
);
CREATE TABLE reconciliation_break (
    source  text NOT NULL,
    day     date NOT NULL,
    account text NOT NULL,
    kind    text NOT NULL CHECK (kind IN ('position', 'cash')),
    item    text NOT NULL,
    theirs  numeric(38,12) NOT NULL,
    ours    numeric(38,12) NOT NULL CHECK (ours <> theirs),
    since   date NOT NULL CHECK (since <= day),
    cause   text NOT NULL,
    detail  text NOT NULL,
    owner   text NOT NULL,
    PRIMARY KEY (source, day, account, kind, item),
    FOREIGN KEY (source, day) REFERENCES reconciliation
);

-- People of some books see no letters, and the breaks of their accounts.
CREATE POLICY of_nobody ON dead_letter USING (current_user <> 'daybreak_person');
ALTER TABLE dead_letter ENABLE ROW LEVEL SECURITY;
CREATE POLICY of_account ON reconciliation_break USING (
    current_user <> 'daybreak_person' OR account IN (SELECT a.id FROM account a));
ALTER TABLE reconciliation_break ENABLE ROW LEVEL SECURITY;

-- +goose Down
DROP TABLE reconciliation_break, reconciliation, stream_member;
ALTER TABLE stream_offset DROP COLUMN reread, DROP COLUMN reached;
DROP TRIGGER account_wakes_letters ON account;
DROP FUNCTION wake_letters;
DROP POLICY IF EXISTS of_nobody ON dead_letter;
ALTER TABLE dead_letter DISABLE ROW LEVEL SECURITY;
DROP INDEX dead_letter_open, dead_letter_due, dead_letter_build, dead_letter_account, dead_letter_dropped, dead_letter_unsent;
ALTER TABLE dead_letter
    DROP COLUMN state, DROP COLUMN outcome, DROP COLUMN actor, DROP COLUMN why, DROP COLUMN heals, DROP COLUMN due,
    DROP COLUMN build, DROP COLUMN sent, DROP COLUMN counted, DROP COLUMN account, DROP COLUMN order_id;
