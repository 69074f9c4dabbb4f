-- name: LockAudit
SELECT pg_advisory_xact_lock($1);

-- name: LastAudit
SELECT id, hash FROM audit_head;

-- name: InsertAudit
INSERT INTO audit (id, at, actor, action, subject, detail, previous, hash)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: AuditFrom
SELECT id, at, actor, action, subject, detail::text, previous, hash FROM audit WHERE id > $1 ORDER BY id LIMIT $2;

-- name: AuditPage
-- Newest first, before a row; empty arguments match all.
SELECT id, at, actor, action, subject, detail::text AS detail, previous, hash
FROM audit
WHERE ($1::bigint = 0 OR id < $1)
  AND ($2 = '' OR actor = $2)
  AND ($3 = '' OR action LIKE replace(replace($3, '_', '\_'), '%', '\%') || '%')
  AND ($4 = '' OR subject = $4)
  AND ($5::timestamptz IS NULL OR at >= $5)
  AND ($6::timestamptz IS NULL OR at < $6)
ORDER BY id DESC
LIMIT $7;

-- name: AuditRow
SELECT hash FROM audit WHERE id = $1;
