-- Realised gains by account.

-- name: HouseholdBefore
-- The household before one, by id, so that a page that begins after it begins with that one.
SELECT COALESCE(max(id), '') FROM household WHERE id < $1;

-- name: HouseholdCount
SELECT count(*) FROM household;

-- name: TaxArrivalsOf
-- What came after the households, in order of arrival, with the days on which the book took it and
-- what took it back. A sample installation's stamps are the machine's: they are moved to its own clock.
SELECT t.household, t.body, t.version,
       coalesce((coalesce(came.known, c.known) + shift.by) AT TIME ZONE 'UTC', t.effective)::date AS known,
       coalesce(t.withdrawn, 0) AS withdrawn,
       coalesce(x.key, w.key, '') AS withdrawn_by,
       coalesce((coalesce(went.known, w.known) + shift.by) AT TIME ZONE 'UTC', t.effective)::date AS withdrawn_known
FROM tax_event t
CROSS JOIN (SELECT coalesce((SELECT shown - real FROM sample_clock), interval '0') AS by) AS shift
LEFT JOIN LATERAL (SELECT min(j.known) AS known FROM journal j WHERE j.household = t.household AND j.version = t.version) AS came ON true
LEFT JOIN LATERAL (SELECT min(j.known) AS known FROM journal j WHERE j.household = t.household AND j.version = t.withdrawn) AS went ON true
LEFT JOIN execution x ON x.household = t.household AND x.version = t.withdrawn
LEFT JOIN book_event c ON c.household = t.household AND c.version = t.version
LEFT JOIN book_event w ON w.household = t.household AND w.version = t.withdrawn
WHERE t.household = ANY ($1)
ORDER BY t.household, t.version, t.line;

-- name: SlipsOf
SELECT household, body, hash, root, actor, issued
FROM tax_slip
WHERE household = ANY ($1)
ORDER BY household, owner, year, number;

-- name: VerifySlips
-- All slips, those that went out together one after the other.
SELECT root, household, owner, year, number, book_version, as_of, body, hash
FROM tax_slip
WHERE (root, household, owner, year, number) > ($1, $2, $3, $4::integer, $5::integer)
ORDER BY root, household, owner, year, number
LIMIT $6;

-- name: AuditedRoots
SELECT subject FROM audit WHERE action = $1 ORDER BY subject COLLATE "C";
