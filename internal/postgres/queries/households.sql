-- name: HouseholdLock
-- One opening of households at a time: a second import waits for the first.
SELECT pg_advisory_xact_lock(hashtext('daybreak households'));

-- name: HouseholdHashes
SELECT id, source_hash FROM household WHERE id = ANY ($1);

-- name: AccountHouseholds
SELECT id, household FROM account WHERE id = ANY ($1);

-- name: InsertOpeningExceptions
INSERT INTO book_exception (household, account, code, subject, detail, owner, opened)
SELECT household, account, code, subject, detail, 'operations', $6
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) AS x (household, account, code, subject, detail)
ORDER BY account, code, subject;
