-- +goose Up

-- Days of the engine's journal that are kept as files: where, how much, and how far each has come. A
-- day is dropped from the database only when its files were read back and had the same hash.
CREATE TABLE workflow_archive (
    day         date PRIMARY KEY,
    place       text NOT NULL CHECK (place <> ''),
    state       text NOT NULL CHECK (state IN ('written', 'verified', 'dropped', 'restored')),
    lines       bigint NOT NULL CHECK (lines >= 0),
    finished    bigint NOT NULL CHECK (finished >= 0),
    hash        text NOT NULL,
    first_batch bigint NOT NULL, -- of the lines; 0 and -1 where there are none
    last_batch  bigint NOT NULL,
    actor       text NOT NULL,
    changed     timestamptz NOT NULL
);

-- Detaches and drops the partitions of a day.
-- +goose StatementBegin
CREATE FUNCTION workflow_drop_day(of date) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    parent text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('workflow_make_day'));
    FOREACH parent IN ARRAY ARRAY['workflow_journal', 'workflow_finished'] LOOP
        IF to_regclass(format('%s_%s', parent, to_char(of, 'YYYYMMDD'))) IS NOT NULL THEN
            EXECUTE format('ALTER TABLE %I DETACH PARTITION %I', parent, parent || '_' || to_char(of, 'YYYYMMDD'));
            EXECUTE format('DROP TABLE %I', parent || '_' || to_char(of, 'YYYYMMDD'));
        END IF;
    END LOOP;
END;
$$;
-- +goose StatementEnd

-- Keeps others from writing to a day until the transaction ends; readers go on.
-- +goose StatementBegin
CREATE FUNCTION workflow_lock_day(of date) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    parent text;
BEGIN
    FOREACH parent IN ARRAY ARRAY['workflow_journal', 'workflow_finished'] LOOP
        IF to_regclass(format('%s_%s', parent, to_char(of, 'YYYYMMDD'))) IS NOT NULL THEN
            EXECUTE format('LOCK TABLE %I IN SHARE ROW EXCLUSIVE MODE', parent || '_' || to_char(of, 'YYYYMMDD'));
        END IF;
    END LOOP;
END;
$$;
-- +goose StatementEnd

-- +goose Down
DROP FUNCTION workflow_lock_day;
DROP FUNCTION workflow_drop_day;
DROP TABLE workflow_archive;
