-- name: RegistrySchema
SELECT body FROM registry_schema WHERE id = $1;

-- name: RegistryVersions
SELECT v.subject, v.version, v.schema_id AS id, s.body AS schema
FROM registry_version v
JOIN registry_schema s ON s.id = v.schema_id
WHERE v.subject = $1
ORDER BY v.version;

-- name: RegistrySubjects
SELECT DISTINCT subject FROM registry_version ORDER BY subject;

-- name: RegistryLock
-- Versions of a subject are added one after another.
LOCK TABLE registry_version IN SHARE ROW EXCLUSIVE MODE;

-- name: RegistryAddSchema
INSERT INTO registry_schema (hash, body)
SELECT $1, $2
WHERE NOT EXISTS (SELECT FROM registry_schema WHERE hash = $1);

-- name: RegistryAddVersion
INSERT INTO registry_version (subject, version, schema_id)
SELECT $1, $2, id FROM registry_schema WHERE hash = $3
RETURNING schema_id;

-- name: RegistryMode
SELECT mode FROM registry_mode WHERE subject = $1;

-- name: RegistrySetMode
INSERT INTO registry_mode (subject, mode)
VALUES ($1, $2)
ON CONFLICT (subject) DO UPDATE SET mode = excluded.mode;
