-- name: PersonByName
SELECT name, roles, books, issuer, subject, active, changed FROM person WHERE name = $1;

-- name: PersonBySubject
SELECT name, roles, books, issuer, subject, active, changed FROM person WHERE issuer = $1 AND subject = $2;

-- name: PersonByToken
SELECT p.name, p.roles, p.books, p.issuer, p.subject, p.active, p.changed, t.id AS token
FROM api_token t
JOIN person p ON p.name = t.person
WHERE t.hash = $1 AND t.revoked IS NULL AND t.expires > $2 AND p.active;

-- name: People
SELECT name, roles, books, issuer, subject, active, changed FROM person ORDER BY name;

-- name: SavePerson
INSERT INTO person (name, roles, books, issuer, subject, active, changed)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (name) DO UPDATE
SET roles = excluded.roles, books = excluded.books, issuer = excluded.issuer, subject = excluded.subject,
    active = excluded.active, changed = excluded.changed;

-- name: InsertToken
INSERT INTO api_token (hash, person, label, created, expires)
VALUES ($1, $2, $3, $4, $5)
RETURNING id;

-- name: RevokeToken
UPDATE api_token SET revoked = $2 WHERE id = $1 AND revoked IS NULL RETURNING person;

-- name: Tokens
SELECT id, person, label, created, expires, revoked FROM api_token ORDER BY id;

-- name: FindSession
SELECT data FROM web_session WHERE token = $1 AND expiry > $2;

-- name: CommitSession
INSERT INTO web_session (token, data, expiry)
VALUES ($1, $2, $3)
ON CONFLICT (token) DO UPDATE SET data = excluded.data, expiry = excluded.expiry;

-- name: DeleteSession
DELETE FROM web_session WHERE token = $1;

-- name: DeleteOldSessions
DELETE FROM web_session WHERE expiry <= $1;

-- name: BeginRequest
-- A request that was begun and never answered is somebody else's to begin again after a while.
INSERT INTO idempotent_request (person, key, request, began)
VALUES ($1, $2, $3, $4)
ON CONFLICT (person, key) DO UPDATE SET began = excluded.began
WHERE idempotent_request.status = 0 AND idempotent_request.request = excluded.request AND idempotent_request.began < $5
RETURNING true;

-- name: AnsweredRequest
SELECT request, status, headers, body FROM idempotent_request WHERE person = $1 AND key = $2;

-- name: AnswerRequest
UPDATE idempotent_request SET status = $3, headers = $4, body = $5 WHERE person = $1 AND key = $2;

-- name: ForgetRequest
DELETE FROM idempotent_request WHERE person = $1 AND key = $2 AND status = 0;

-- name: ForgetOldRequests
DELETE FROM idempotent_request WHERE began < $1;

-- name: ActFor
-- Makes this connection act for a person of some books, or for the whole book again.
SELECT set_config('role', $1, false), set_config('daybreak.books', $2, false), set_config('daybreak.person', $3, false);

-- name: MoveToBook
UPDATE household SET book = $2 WHERE id = ANY ($1::text[]) AND book <> $2 RETURNING id;

-- name: ShowKillSwitch
SELECT active, reason, actor AS by, since FROM kill_switch WHERE book = 'firm';

-- name: InsertApproved
INSERT INTO approval_order (run, order_id, approval, content_hash)
SELECT $1, a.id, $2, a.content
FROM unnest($3::text[], $4::text[]) AS a (id, content);
