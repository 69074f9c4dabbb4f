-- +goose Up

-- What the topics of balances and orders are streamed on from: the households that a transaction
-- changed, each with the book version that it had before; -1 for one that is new. One row a statement,
-- written by the transaction of the effects itself. Order is that of xid: a row counts once no older
-- transaction is under way. Rows go by TRUNCATE: each hour fills the next of three slots, and a slot
-- that the relay is past is emptied.
CREATE TABLE book_change (
    slot       integer NOT NULL DEFAULT (extract(epoch FROM clock_timestamp())::bigint / 3600 % 3)::integer,
    xid        xid8 NOT NULL DEFAULT pg_current_xact_id(),
    id         bigint GENERATED ALWAYS AS IDENTITY,
    households text[] NOT NULL,
    bases      bigint[] NOT NULL,
    CHECK (cardinality(households) = cardinality(bases))
) PARTITION BY LIST (slot);
CREATE TABLE book_change_0 PARTITION OF book_change FOR VALUES IN (0);
CREATE TABLE book_change_1 PARTITION OF book_change FOR VALUES IN (1);
CREATE TABLE book_change_2 PARTITION OF book_change FOR VALUES IN (2);
CREATE INDEX book_change_order ON book_change (xid, id);

-- +goose StatementBegin
CREATE FUNCTION note_book_change() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
BEGIN
    INSERT INTO book_change (households, bases)
    SELECT array_agg(c.id), array_agg(CASE TG_OP WHEN 'INSERT' THEN -1 ELSE c.book_version END)
    FROM changed c
    HAVING count(*) > 0;
    IF FOUND THEN
        NOTIFY daybreak_book;
    END IF;
    RETURN NULL;
END;
$$;
-- +goose StatementEnd
CREATE TRIGGER household_begins AFTER INSERT ON household
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION note_book_change();
CREATE TRIGGER household_changes AFTER UPDATE ON household
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION note_book_change();

-- Where the relay is. One process owns it while its lease runs; a new owner raises the epoch, which
-- every commit of the place checks. ends says from where the topics tell what was sent that a change
-- after the place may lead to again, by topic and partition.
CREATE TABLE book_relay (
    single  boolean PRIMARY KEY DEFAULT true CHECK (single),
    owner   text NOT NULL DEFAULT '',
    epoch   bigint NOT NULL DEFAULT 0,
    leased  timestamptz NOT NULL DEFAULT '-infinity',
    xid     bigint NOT NULL DEFAULT 0,
    id      bigint NOT NULL DEFAULT 0,
    ends    jsonb NOT NULL DEFAULT '{}'
);
INSERT INTO book_relay DEFAULT VALUES;

-- Has every balance sent again: at the start, and where transaction numbers began anew because the
-- database was restored from a dump.
-- +goose StatementBegin
CREATE FUNCTION restate_book() RETURNS void
LANGUAGE sql
SET search_path FROM CURRENT
AS $$
    TRUNCATE book_change;
    UPDATE book_relay SET xid = 0, id = 0;
    INSERT INTO book_change (households, bases)
    SELECT array_agg(h.id ORDER BY h.id), array_agg(-1 ORDER BY h.id)
    FROM (SELECT id, (row_number() OVER (ORDER BY id) - 1) / 1000 AS page FROM household) AS h
    GROUP BY h.page
    ORDER BY h.page;
$$;
-- +goose StatementEnd
SELECT restate_book();

-- Empties the slots that the relay is past, but for the one that is being filled. A slot that a
-- transaction is writing to waits for the next time.
-- +goose StatementBegin
CREATE FUNCTION empty_book_changes() RETURNS integer
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET lock_timeout = '50ms'
AS $$
DECLARE
    emptied integer := 0;
    has_rows boolean;
BEGIN
    FOR s IN 0..2 LOOP
        CONTINUE WHEN s = (extract(epoch FROM clock_timestamp())::bigint / 3600 % 3)::integer;
        EXECUTE format('SELECT EXISTS (SELECT FROM book_change_%s)', s) INTO has_rows;
        CONTINUE WHEN NOT has_rows;
        BEGIN
            EXECUTE format('LOCK TABLE book_change_%s IN ACCESS EXCLUSIVE MODE', s);
            EXECUTE format('SELECT EXISTS (SELECT FROM book_change_%s c, book_relay r WHERE (c.xid, c.id) > (r.xid::text::xid8, r.id))', s) INTO has_rows;
            IF NOT has_rows THEN
                EXECUTE format('TRUNCATE book_change_%s', s);
                emptied := emptied + 1;
            END IF;
        EXCEPTION
            WHEN lock_not_available THEN
                NULL;
        END;
    END LOOP;
    RETURN emptied;
END;
$$;
-- +goose StatementEnd

-- Generations of the topics of the stream, each with a number of partitions of its own. Producers write
-- to the newest; one is read once the one before it was read to its end. The book counts on: partition
-- p of a generation is base + p in stream_offset and wherever a place is told. No row: the first alone.
CREATE TABLE stream_generation (
    number     integer PRIMARY KEY CHECK (number > 0),
    partitions integer NOT NULL CHECK (partitions > 0),
    base       integer NOT NULL CHECK (base >= 0),
    made       timestamptz NOT NULL DEFAULT now(),
    opened     timestamptz
);

-- +goose Down
DROP TABLE stream_generation;
DROP TRIGGER household_begins ON household;
DROP TRIGGER household_changes ON household;
DROP FUNCTION empty_book_changes, restate_book, note_book_change;
DROP TABLE book_relay, book_change;
