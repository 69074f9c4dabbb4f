-- name: LockAudit
SELECT pg_advisory_xact_lock($1);

-- name: LastAudit
SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1;

-- name: InsertAudit
INSERT INTO audit (id, at, actor, action, subject, detail, previous, hash)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: AuditFrom
SELECT id, at, actor, action, subject, detail::text, previous, hash FROM audit WHERE id > $1 ORDER BY id LIMIT $2;
