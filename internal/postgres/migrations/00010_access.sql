-- +goose Up

-- Who may: people with their roles and books, what machines and browsers prove themselves with, and
-- which rows a person of some books sees.

-- The book that a household belongs to. People may be confined to books.
ALTER TABLE household ADD COLUMN book text NOT NULL DEFAULT 'main' CHECK (book ~ '^[a-z0-9][a-z0-9_-]{0,39}$');
CREATE INDEX household_book ON household (book);

-- People and machines. books empty: all of them. issuer and subject name the person at the sign-on.
CREATE TABLE person (
    name    text PRIMARY KEY CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9._@-]{0,79}$'),
    roles   text[] NOT NULL CHECK (roles <@ ARRAY['viewer', 'pm', 'approver', 'ops', 'admin', 'auditor']),
    books   text[] NOT NULL DEFAULT '{}',
    issuer  text NOT NULL DEFAULT '',
    subject text NOT NULL DEFAULT '',
    active  boolean NOT NULL DEFAULT true,
    changed timestamptz NOT NULL,
    CHECK ((issuer = '') = (subject = '')),
    CHECK (array_to_string(books, ' ') ~ '^([a-z0-9][a-z0-9_-]{0,39}( [a-z0-9][a-z0-9_-]{0,39})*)?$')
);
CREATE UNIQUE INDEX person_subject ON person (issuer, subject) WHERE subject <> '';

-- Tokens of machines: hash is the SHA-256 of the token, which is shown once and kept nowhere.
CREATE TABLE api_token (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hash    text NOT NULL UNIQUE,
    person  text NOT NULL REFERENCES person,
    label   text NOT NULL,
    created timestamptz NOT NULL,
    expires timestamptz NOT NULL,
    revoked timestamptz,
    CHECK (expires > created)
);
CREATE INDEX api_token_person ON api_token (person);

-- Sessions of browsers, by the hash of the cookie.
CREATE TABLE web_session (
    token  text PRIMARY KEY,
    data   bytea NOT NULL,
    expiry timestamptz NOT NULL
);
CREATE INDEX web_session_expiry ON web_session (expiry);

-- Answers to writes that named a key: the same request again gets the same answer. status 0: under way.
CREATE TABLE idempotent_request (
    person  text NOT NULL,
    key     text NOT NULL,
    request text NOT NULL, -- hash over method, path and body
    status  integer NOT NULL DEFAULT 0,
    headers jsonb NOT NULL DEFAULT '{}',
    body    bytea NOT NULL DEFAULT '',
    began   timestamptz NOT NULL,
    PRIMARY KEY (person, key)
);
CREATE INDEX idempotent_request_began ON idempotent_request (began);

-- The audit trail takes rows at its end only. audit_head is where it ends: a row that does not follow
-- it is refused, and a trail that was cut off is shorter than it says.
CREATE TABLE audit_head (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    id     bigint NOT NULL,
    hash   text NOT NULL
);
INSERT INTO audit_head (id, hash)
SELECT coalesce(max(id), 0), coalesce((SELECT hash FROM audit ORDER BY id DESC LIMIT 1), '') FROM audit;

-- +goose StatementBegin
CREATE FUNCTION extend_audit() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
BEGIN
    UPDATE audit_head SET id = NEW.id, hash = NEW.hash WHERE id = NEW.id - 1 AND hash = NEW.previous;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'audit row % does not follow the last one', NEW.id;
    END IF;
    RETURN NULL;
END;
$$;
-- +goose StatementEnd
CREATE TRIGGER audit_extends AFTER INSERT ON audit FOR EACH ROW EXECUTE FUNCTION extend_audit();
CREATE TRIGGER audit_stays
    BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION only_inserted();
CREATE INDEX audit_at ON audit (at, id);
CREATE INDEX audit_actor ON audit (actor, id);

-- The role that a connection takes while it acts for a person of some books: the policies below bind
-- this role and no other. Where the migration may not make it, people of some books cannot act.
-- +goose StatementBegin
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'daybreak_person') THEN
        CREATE ROLE daybreak_person NOLOGIN;
    END IF;
    IF NOT pg_has_role(current_user, 'daybreak_person', 'MEMBER') THEN
        GRANT daybreak_person TO CURRENT_USER;
    END IF;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE NOTICE 'role daybreak_person is not there and may not be made: people of some books cannot act';
    WHEN duplicate_object OR unique_violation THEN
        NULL; -- another database of this cluster was first
END;
$$;
-- +goose StatementEnd

CREATE FUNCTION person_books() RETURNS text[]
LANGUAGE sql STABLE
AS $$ SELECT string_to_array(coalesce(current_setting('daybreak.books', true), ''), ',') $$;

CREATE POLICY of_book ON household USING (current_user <> 'daybreak_person' OR book = ANY (person_books()));
ALTER TABLE household ENABLE ROW LEVEL SECURITY;

-- Whatever names a household goes with it.
-- +goose StatementBegin
DO $$
DECLARE
    t regclass;
BEGIN
    FOR t IN
        SELECT c.oid
        FROM pg_class c
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'household' AND NOT a.attisdropped
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
        ORDER BY c.relname
    LOOP
        EXECUTE format('CREATE POLICY of_household ON %s USING (current_user <> ''daybreak_person'' '
            'OR household IN (SELECT h.id FROM household h))', t);
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', t);
    END LOOP;
END;
$$;
-- +goose StatementEnd

-- A signature is seen by who gave it and by who sees an order of it; an act, by who did it.
CREATE POLICY of_order ON approval_order USING (
    current_user <> 'daybreak_person'
    OR EXISTS (SELECT FROM trade_order o WHERE o.run = approval_order.run AND o.id = approval_order.order_id));
ALTER TABLE approval_order ENABLE ROW LEVEL SECURITY;
CREATE POLICY of_orders ON approval USING (
    current_user <> 'daybreak_person'
    OR approver = current_setting('daybreak.person', true)
    OR EXISTS (SELECT FROM approval_order a WHERE a.run = approval.run AND a.approval = approval.id));
ALTER TABLE approval ENABLE ROW LEVEL SECURITY;
CREATE POLICY of_actor ON audit USING (
    current_user <> 'daybreak_person' OR actor = current_setting('daybreak.person', true));
ALTER TABLE audit ENABLE ROW LEVEL SECURITY;

CREATE POLICY of_account ON live_order USING (
    current_user <> 'daybreak_person' OR account IN (SELECT a.id FROM account a));
ALTER TABLE live_order ENABLE ROW LEVEL SECURITY;

-- Views ask as who looks, not as who made them.
-- +goose StatementBegin
DO $$
DECLARE
    v regclass;
BEGIN
    FOR v IN SELECT oid FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'v' ORDER BY relname LOOP
        EXECUTE format('ALTER VIEW %s SET (security_invoker = true)', v);
    END LOOP;
END;
$$;
-- +goose StatementEnd

-- +goose StatementBegin
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'daybreak_person') THEN
        RETURN;
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO daybreak_person', current_schema());
    EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO daybreak_person', current_schema());
    REVOKE ALL ON person, api_token, web_session, idempotent_request, dead_letter FROM daybreak_person;
    GRANT UPDATE ON household, trade_order, tax_lock, book_exception TO daybreak_person;
    GRANT INSERT, UPDATE, DELETE ON gateway_due, approval_order, live_order TO daybreak_person;
    GRANT INSERT ON approval, lock_override, audit TO daybreak_person;
END;
$$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
DO $$
DECLARE
    p record;
BEGIN
    FOR p IN SELECT tablename, policyname FROM pg_policies WHERE schemaname = current_schema() LOOP
        EXECUTE format('DROP POLICY %I ON %I', p.policyname, p.tablename);
        EXECUTE format('ALTER TABLE %I DISABLE ROW LEVEL SECURITY', p.tablename);
    END LOOP;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'daybreak_person') THEN
        EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM daybreak_person', current_schema());
        EXECUTE format('REVOKE ALL ON SCHEMA %I FROM daybreak_person', current_schema());
    END IF;
END;
$$;
-- +goose StatementEnd
-- +goose StatementBegin
DO $$
DECLARE
    v regclass;
BEGIN
    FOR v IN SELECT oid FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'v' LOOP
        EXECUTE format('ALTER VIEW %s RESET (security_invoker)', v);
    END LOOP;
END;
$$;
-- +goose StatementEnd
DROP FUNCTION person_books;
DROP INDEX audit_at, audit_actor;
DROP TRIGGER audit_stays ON audit;
DROP TRIGGER audit_extends ON audit;
DROP FUNCTION extend_audit;
DROP TABLE audit_head, idempotent_request, web_session, api_token, person;
ALTER TABLE household DROP COLUMN book;
