-- +goose Up

-- What a trade posted is kept in the row of its execution: one row and two index entries a fill in
-- place of seven rows and ten. A line is from_owner|from_kind|to_owner|to_kind|commodity, where an
-- empty owner is the execution's account; amounts has its amount at the same place. tax_* is what the
-- tax event adds to the execution; withdrawn is the book version that took it back. Corrections,
-- busts and events that are no executions keep their lines in journal_line and tax_fact.
ALTER TABLE execution
    ADD COLUMN known          timestamptz,
    ADD COLUMN lines          text[],
    ADD COLUMN amounts        numeric[],
    ADD COLUMN tax_owner      text,
    ADD COLUMN tax_type       text, -- of the account, then
    ADD COLUMN tax_amount     numeric(38,12),
    ADD COLUMN tax_commission numeric(38,12),
    ADD COLUMN tax_fx         numeric(38,12),
    ADD COLUMN withdrawn      bigint,
    ADD CHECK (cardinality(lines) = cardinality(amounts)),
    ADD CHECK (withdrawn > version);

-- Pages find the executions of an order or an account by household, and the latest by the stream.
DROP INDEX execution_time, execution_account, execution_order;

ALTER TABLE journal RENAME TO journal_line;
CREATE VIEW journal AS
SELECT household, version, line, event, kind, effective, known, from_owner, from_kind, to_owner, to_kind, commodity, amount
FROM journal_line
UNION ALL
SELECT e.household, e.version, l.place::integer - 1, e.key, 'trade', e.trade_date, e.known,
       coalesce(nullif(split_part(l.line, '|', 1), ''), e.account), split_part(l.line, '|', 2),
       coalesce(nullif(split_part(l.line, '|', 3), ''), e.account), split_part(l.line, '|', 4), split_part(l.line, '|', 5), l.amount
FROM execution e
CROSS JOIN LATERAL unnest(e.lines, e.amounts) WITH ORDINALITY AS l (line, amount, place);

ALTER TABLE tax_event RENAME TO tax_fact;
CREATE VIEW tax_event AS
SELECT household, version, line, event, effective, body, withdrawn
FROM tax_fact
UNION ALL
SELECT household, version, 0, key, trade_date,
       jsonb_strip_nulls(jsonb_build_object('id', key, 'kind', side, 'day', trade_date, 'settle', settle_date, 'seq', version, 'owner', tax_owner,
           'account', account, 'account_type', tax_type, 'symbol', symbol, 'shares', trim_scale(quantity)::text,
           'amount', trim_scale(tax_amount)::text, 'commission', trim_scale(tax_commission)::text, 'currency', currency,
           'fx', trim_scale(tax_fx)::text, 'order', order_id, 'lots', lots)), withdrawn
FROM execution
WHERE tax_amount IS NOT NULL;

-- The version before this one writes to both by their old names.
-- +goose StatementBegin
CREATE FUNCTION journal_insert() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO journal_line (household, version, line, event, kind, effective, known, from_owner, from_kind, to_owner, to_kind, commodity, amount)
    VALUES (NEW.household, NEW.version, NEW.line, NEW.event, NEW.kind, NEW.effective, NEW.known, NEW.from_owner, NEW.from_kind,
            NEW.to_owner, NEW.to_kind, NEW.commodity, NEW.amount);
    RETURN NEW;
END;
$$;
-- +goose StatementEnd
CREATE TRIGGER journal_insert INSTEAD OF INSERT ON journal FOR EACH ROW EXECUTE FUNCTION journal_insert();

-- +goose StatementBegin
CREATE FUNCTION tax_event_write() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO tax_fact (household, version, line, event, effective, body, withdrawn)
        VALUES (NEW.household, NEW.version, NEW.line, NEW.event, NEW.effective, NEW.body, NEW.withdrawn);
        RETURN NEW;
    END IF;
    UPDATE tax_fact SET withdrawn = NEW.withdrawn WHERE household = OLD.household AND version = OLD.version AND line = OLD.line;
    IF NOT FOUND THEN
        UPDATE execution SET withdrawn = NEW.withdrawn WHERE household = OLD.household AND version = OLD.version;
    END IF;
    RETURN NEW;
END;
$$;
-- +goose StatementEnd
CREATE TRIGGER tax_event_write INSTEAD OF INSERT OR UPDATE ON tax_event FOR EACH ROW EXECUTE FUNCTION tax_event_write();

-- The orders at the broker, one for each account, security and side. They are rows of their own so
-- that the fill which ends an order changes no index of trade_order: it deletes one row here.
CREATE TABLE live_order (
    account  text NOT NULL,
    symbol   text NOT NULL,
    side     text NOT NULL,
    run      text NOT NULL,
    order_id text NOT NULL,
    sent     timestamptz,
    PRIMARY KEY (account, symbol, side)
);
CREATE INDEX live_order_sent ON live_order (sent);
INSERT INTO live_order (account, symbol, side, run, order_id, sent)
SELECT account, symbol, side, run, id, sent FROM trade_order WHERE is_live;

-- +goose StatementBegin
CREATE FUNCTION order_lives() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    IF NEW.is_live THEN
        INSERT INTO live_order (account, symbol, side, run, order_id, sent)
        VALUES (NEW.account, NEW.symbol, NEW.side, NEW.run, NEW.id, NEW.sent);
    ELSE
        DELETE FROM live_order
        WHERE account = NEW.account AND symbol = NEW.symbol AND side = NEW.side AND run = NEW.run AND order_id = NEW.id;
    END IF;
    RETURN NULL;
END;
$$;
-- +goose StatementEnd
CREATE TRIGGER order_begins AFTER INSERT ON trade_order
    FOR EACH ROW WHEN (NEW.is_live) EXECUTE FUNCTION order_lives();
CREATE TRIGGER order_lives AFTER UPDATE OF state ON trade_order
    FOR EACH ROW WHEN (OLD.is_live IS DISTINCT FROM NEW.is_live) EXECUTE FUNCTION order_lives();
DROP INDEX trade_order_live, trade_order_unanswered;

-- Updates that change no index need room beside the row.
ALTER TABLE tax_lock SET (fillfactor = 70);

-- +goose Down
CREATE UNIQUE INDEX trade_order_live ON trade_order (account, symbol, side) WHERE is_live;
CREATE INDEX trade_order_unanswered ON trade_order (sent) WHERE is_live;
DROP TRIGGER order_begins ON trade_order;
DROP TRIGGER order_lives ON trade_order;
DROP FUNCTION order_lives;
DROP TABLE live_order;
INSERT INTO tax_fact SELECT e.* FROM tax_event e LEFT JOIN tax_fact f USING (household, version) WHERE f.version IS NULL;
DROP VIEW tax_event;
ALTER TABLE tax_fact RENAME TO tax_event;
INSERT INTO journal_line SELECT j.* FROM journal j LEFT JOIN journal_line l USING (household, version, line) WHERE l.version IS NULL;
DROP VIEW journal;
ALTER TABLE journal_line RENAME TO journal;
DROP FUNCTION journal_insert, tax_event_write;
ALTER TABLE execution DROP COLUMN known, DROP COLUMN lines, DROP COLUMN amounts, DROP COLUMN tax_owner, DROP COLUMN tax_type,
    DROP COLUMN tax_amount, DROP COLUMN tax_commission, DROP COLUMN tax_fx, DROP COLUMN withdrawn;
CREATE INDEX execution_order ON execution (order_id);
CREATE INDEX execution_time ON execution (broker_time, key);
CREATE INDEX execution_account ON execution (account, broker_time);
