-- +goose Up

-- Targets of the household with where its classes belong, as it was imported; NULL: each account
-- follows its own.
ALTER TABLE household ADD COLUMN location jsonb CHECK (jsonb_typeof(location) = 'object');

-- +goose Down
ALTER TABLE household DROP COLUMN location;
