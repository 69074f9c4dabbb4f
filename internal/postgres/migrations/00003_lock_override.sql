-- +goose Up

-- Overrides of tax locks: a decision of another person than the maker that an order may buy what
-- locks forbid, in spite of the loss that this destroys. It holds for one content of the order and
-- for the locks that it names. Amounts are in the region's home currency; basis says what they were
-- computed from, sale by sale. Rows are only ever inserted.
CREATE TABLE lock_override (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run          text NOT NULL,
    order_id     text NOT NULL,
    content_hash text NOT NULL,
    household    text NOT NULL REFERENCES household,
    locks        jsonb NOT NULL CHECK (jsonb_array_length(locks) > 0), -- property, order of the sale, until
    destroyed    numeric(38,12) NOT NULL CHECK (destroyed >= 0),
    gone         numeric(38,12) NOT NULL CHECK (gone >= 0),
    tax          numeric(38,12) NOT NULL,
    currency     text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    basis        jsonb NOT NULL,
    maker        text NOT NULL,
    approver     text NOT NULL CHECK (btrim(approver) <> ''),
    comment      text NOT NULL CHECK (btrim(comment) <> ''),
    decided      timestamptz NOT NULL,
    UNIQUE (run, order_id, content_hash, locks),
    CHECK (maker <> approver)
);
CREATE INDEX lock_override_household ON lock_override (household);

-- +goose StatementBegin
CREATE FUNCTION only_inserted() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION '% takes no %: its rows stay as they are', TG_TABLE_NAME, TG_OP;
END;
$$;
-- +goose StatementEnd
CREATE TRIGGER lock_override_stays
    BEFORE UPDATE OR DELETE OR TRUNCATE ON lock_override
    FOR EACH STATEMENT EXECUTE FUNCTION only_inserted();

-- The locks that bind what is sent: a provisional one as soon as its own order was submitted. A
-- proposal that nobody has approved must not strand the purchases of another run; submitting it
-- looks at those first.
CREATE VIEW binding_lock AS
SELECT l.household, l.property, l.symbol, l.account, l.order_id, l.until, l.state = 'provisional' AS provisional
FROM tax_lock l
WHERE l.state = 'fixed'
   OR l.state = 'provisional'
      AND EXISTS (SELECT FROM trade_order o WHERE o.run = l.run AND o.id = l.order_id AND o.released);

-- +goose Down
DROP VIEW binding_lock;
DROP TABLE lock_override;
DROP FUNCTION only_inserted;
