-- +goose Up

-- Risk models as one run saw them: immutable, named by the hash of their bytes, like the market.
CREATE TABLE risk_model (
    hash text PRIMARY KEY,
    day  date NOT NULL,
    body bytea NOT NULL
);

-- What a run was started with beside its market: NULL where it had no risk model.
ALTER TABLE run
    ADD COLUMN risk text REFERENCES risk_model,
    ADD COLUMN settings jsonb NOT NULL DEFAULT '{}';

-- The proof of an account's plan. gap_bp is objective less bound in basis points of value; all three are
-- NULL where the rules planned. exception says why a person must look at the plan.
ALTER TABLE account_decision
    ADD COLUMN certificate jsonb,
    ADD COLUMN gap_bp numeric(38,12),
    ADD COLUMN exception text NOT NULL DEFAULT '';
CREATE INDEX account_decision_exception ON account_decision (run, account) WHERE exception <> '';

-- +goose Down
ALTER TABLE account_decision DROP COLUMN certificate, DROP COLUMN gap_bp, DROP COLUMN exception;
ALTER TABLE run DROP COLUMN risk, DROP COLUMN settings;
DROP TABLE risk_model;
