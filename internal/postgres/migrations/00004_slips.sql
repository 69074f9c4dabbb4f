-- +goose Up

-- Losses that owners brought with them: what they could still use at the end of a tax year before the
-- first one that the book has results of, by the year that made them. Written with the household.
CREATE TABLE carried_loss (
    household text NOT NULL,
    owner     text NOT NULL,
    of_year   integer NOT NULL,
    end_of    integer NOT NULL,
    st        numeric(38,12) NOT NULL CHECK (st >= 0), -- all of it where the region has no terms
    lt        numeric(38,12) NOT NULL CHECK (lt >= 0),
    PRIMARY KEY (household, owner, of_year),
    FOREIGN KEY (household, owner) REFERENCES household_owner,
    CHECK (of_year <= end_of),
    CHECK (st > 0 OR lt > 0)
);

-- Slips as they went out: one row for each owner, tax year and issue. body is the compressed JSON of
-- the slip, hash the SHA-256 of that JSON, root what the audit row of the same transaction names:
-- the hash over the slips that went out together.
CREATE TABLE tax_slip (
    household    text NOT NULL,
    owner        text NOT NULL,
    year         integer NOT NULL,
    number       integer NOT NULL CHECK (number > 0),
    book_version bigint NOT NULL,
    as_of        date NOT NULL,
    rules        text NOT NULL,
    circle       text NOT NULL,
    identical    text NOT NULL,
    body         bytea NOT NULL,
    hash         text NOT NULL,
    root         text NOT NULL,
    actor        text NOT NULL,
    issued       timestamptz NOT NULL,
    PRIMARY KEY (household, owner, year, number),
    FOREIGN KEY (household, owner) REFERENCES household_owner
);

-- What was issued stays as it was issued: a correction is another number.
CREATE TRIGGER tax_slip_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON tax_slip
    FOR EACH STATEMENT EXECUTE FUNCTION only_inserted();

-- +goose Down
DROP TABLE tax_slip, carried_loss;
