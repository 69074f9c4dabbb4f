-- Realised gains by account.

-- name: HouseholdBefore
-- The household before one, by id, so that a page that begins after it begins with that one.
SELECT COALESCE(max(id), '') FROM household WHERE id < $1;

-- name: HouseholdCount
SELECT count(*) FROM household;
