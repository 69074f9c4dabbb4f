-- name: EngineDefinition
SELECT number, name, hash, body, applied, actor, why
FROM workflow_definition
WHERE number = $1;

-- name: EngineDefinitions
-- Versions of a name, or of all names where it is empty, the newest first.
SELECT number, name, hash, body, applied, actor, why
FROM workflow_definition
WHERE $1 = '' OR name = $1
ORDER BY name, number DESC;

-- name: EngineDefinitionMatching
-- Versions of a name whose hash begins with a prefix.
SELECT number, name, hash, body, applied, actor, why
FROM workflow_definition
WHERE name = $1
  AND hash LIKE $2 || '%'
ORDER BY number DESC
LIMIT 2;

-- name: EngineApply
INSERT INTO workflow_definition (hash, name, body, applied, actor, why)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (hash) DO NOTHING;

-- name: EngineDefinitionByHash
SELECT number, name, hash, body, applied, actor, why
FROM workflow_definition
WHERE hash = $1;

-- name: EngineAliases
SELECT a.name, a.alias, a.definition, d.hash, a.share_bp, a.cohort, a.params::text::bytea, a.changed, a.actor
FROM workflow_alias a
JOIN workflow_definition d ON d.number = a.definition
ORDER BY a.name, a.alias;

-- name: EngineFacts
-- What cohorts ask of households; their value is that of the last decision of each account.
SELECT h.id, h.region, count(a.id)::integer, coalesce(sum(v.value), 0)
FROM household h
LEFT JOIN account a ON a.household = h.id
LEFT JOIN LATERAL (SELECT d.value FROM account_decision d WHERE d.account = a.id ORDER BY d.run DESC LIMIT 1) v ON true
WHERE h.id = ANY ($1::text[])
GROUP BY h.id, h.region
ORDER BY h.id;

-- name: EngineRoutingKey
SELECT routing_key FROM household WHERE id = $1;

-- name: EngineSetAlias
INSERT INTO workflow_alias (name, alias, definition, share_bp, cohort, params, changed, actor)
VALUES ($1, $2, $3, $4, $5, convert_from($6::bytea, 'UTF8')::json, $7, $8)
ON CONFLICT (name, alias) DO UPDATE
SET definition = excluded.definition,
    share_bp = excluded.share_bp,
    cohort = excluded.cohort,
    params = excluded.params,
    changed = excluded.changed,
    actor = excluded.actor;

-- name: EngineDropAlias
DELETE FROM workflow_alias WHERE name = $1 AND alias = $2;

-- name: EngineNextBatch
SELECT nextval('workflow_batch');

-- name: EngineMakeDay
SELECT workflow_make_day($1);

-- name: EngineInterrupted
SELECT day, batch, line, last_offset, definition, worker, at, instances, body
FROM workflow_journal
WHERE topic = $1
  AND partition = $2
  AND last_offset >= $3
ORDER BY batch, line;

-- name: EngineKnown
-- Subqueries in the list of columns are one probe of an index each; as conditions they would be read
-- whole into a hash.
SELECT k.id
FROM (SELECT w.id,
             (SELECT true FROM workflow_instance i WHERE i.id = w.id) AS is_live,
             (SELECT true FROM workflow_finished f WHERE f.day >= $2 AND f.id = w.id LIMIT 1) AS has_ended
      FROM unnest($1::text[]) AS w (id)) k
WHERE k.is_live OR k.has_ended;

-- name: EngineLoadLive
SELECT i.id, i.topic, i.partition, i.household, i.definition, i.node, i.state, i.resumes, i.context, i.attempt, i.steps, i.due, i.deadline,
       i.forced, i.failure_node, i.failure_code, i.failure_signature, i.failure_message, i.batches, i.acts, i.revision, i.started, i.since
FROM workflow_instance i
JOIN unnest($1::text[], $2::bigint[]) AS w (id, revision) ON w.id = i.id AND w.revision = i.revision
ORDER BY i.id;

-- name: EngineHolds
SELECT workflow, node, instance, act, signature, at, actor, why
FROM workflow_hold
WHERE instance = ''
   OR at > now() - interval '1 day' -- one for an instance that had ended already
ORDER BY workflow, node, instance;

-- name: EngineFence
-- Holds the partition's epoch until the transaction ends, so that nobody is assigned it meanwhile.
SELECT epoch
FROM stream_offset
WHERE topic = $1
  AND partition = $2
FOR SHARE;

-- name: EngineLockLive
SELECT i.id
FROM workflow_instance i
JOIN unnest($1::text[], $2::bigint[]) AS w (id, revision) ON w.id = i.id AND w.revision = i.revision
ORDER BY i.id
FOR UPDATE OF i;

-- name: EngineInsertLine
INSERT INTO workflow_journal (day, batch, line, topic, partition, last_offset, definition, worker, at, instances, body)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);

-- name: EngineInsertLive
INSERT INTO workflow_instance (id, topic, partition, household, definition, node, state, resumes, context, attempt, steps, due, deadline, forced,
                               failure_node, failure_code, failure_signature, failure_message, batches, acts, revision, started, since)
SELECT n.id, $1, $2, n.household, n.definition, n.node, n.state, n.resumes, n.context, n.attempt, n.steps, n.due, n.deadline, n.forced,
       n.failure_node, n.failure_code, n.failure_signature, n.failure_message, n.batches::bigint[], n.acts::bigint[], 1, n.started, n.since
FROM unnest($3::text[], $4::text[], $5::integer[], $6::text[], $7::text[], $8::text[], $9::bytea[], $10::integer[], $11::integer[],
            $12::timestamptz[], $13::timestamptz[], $14::boolean[], $15::text[], $16::text[], $17::text[], $18::text[], $19::text[],
            $20::text[], $21::timestamptz[], $22::timestamptz[])
    AS n (id, household, definition, node, state, resumes, context, attempt, steps, due, deadline, forced,
          failure_node, failure_code, failure_signature, failure_message, batches, acts, started, since)
ON CONFLICT (id) DO NOTHING;

-- name: EngineUpdateLive
UPDATE workflow_instance i
SET definition = n.definition,
    node = n.node,
    state = n.state,
    resumes = n.resumes,
    context = n.context,
    attempt = n.attempt,
    steps = n.steps,
    due = n.due,
    deadline = n.deadline,
    forced = n.forced,
    failure_node = n.failure_node,
    failure_code = n.failure_code,
    failure_signature = n.failure_signature,
    failure_message = n.failure_message,
    batches = n.batches::bigint[],
    revision = i.revision + 1,
    since = n.since
FROM unnest($1::text[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::integer[], $8::integer[],
            $9::timestamptz[], $10::timestamptz[], $11::boolean[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[],
            $17::timestamptz[])
    AS n (id, definition, node, state, resumes, context, attempt, steps, due, deadline, forced,
          failure_node, failure_code, failure_signature, failure_message, batches, since)
WHERE i.id = n.id;

-- name: EngineNoteBatch
-- A batch that a person was faster than still made steps: its number leads to them.
UPDATE workflow_instance
SET batches = batches || $2::bigint
WHERE id = ANY ($1::text[]);

-- name: EngineDeleteLive
DELETE FROM workflow_instance WHERE id = ANY ($1::text[]);

-- name: EngineFinish
INSERT INTO workflow_finished (day, id, household, definition, state, node, batches, acts, started, finished)
SELECT $1, n.id, n.household, n.definition, n.state, n.node, n.batches::bigint[], n.acts::bigint[], n.started, n.finished
FROM unnest($2::text[], $3::text[], $4::integer[], $5::text[], $6::text[], $7::text[], $8::text[], $9::timestamptz[], $10::timestamptz[])
    AS n (id, household, definition, state, node, batches, acts, started, finished)
ON CONFLICT (id, day) DO NOTHING;

-- name: EngineHold
INSERT INTO workflow_hold (workflow, node, instance, act, signature, at, actor, why)
SELECT n.workflow, n.node, n.instance, n.act, n.signature, n.at, n.actor, n.why
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::text[], $8::text[])
    AS n (workflow, node, instance, act, signature, at, actor, why)
ON CONFLICT (workflow, node, instance) DO NOTHING;

-- name: EngineObeyed
DELETE FROM workflow_hold WHERE instance = ANY ($1::text[]) AND workflow = '';

-- name: EngineDue
SELECT id, revision, partition, due
FROM workflow_instance
WHERE topic = $1
  AND partition = $2
  AND state IN ('running', 'waiting')
  AND due <= $3
  AND (due, id) > ($4, $5)
  AND EXISTS (SELECT FROM stream_offset s WHERE s.topic = $1 AND s.partition = $2 AND s.epoch = $7)
ORDER BY due, id
LIMIT $6;

-- name: EngineListLive
SELECT i.id, i.household, d.name, d.hash, i.definition, i.node, i.state, i.attempt, i.due, i.failure_node, i.failure_code,
       i.failure_signature, i.failure_message, i.revision, i.started, i.since
FROM workflow_instance i
JOIN workflow_definition d ON d.number = i.definition
WHERE cardinality($1::text[]) = 0 OR i.id = ANY ($1)
ORDER BY i.id;

-- name: EngineFailures
-- Failed instances, grouped by where and how.
SELECT d.name, i.failure_node, i.failure_code, i.failure_signature, count(*), min(i.since), max(i.since), min(i.failure_message)
FROM workflow_instance i
JOIN workflow_definition d ON d.number = i.definition
WHERE i.state = 'failed'
GROUP BY d.name, i.failure_node, i.failure_code, i.failure_signature
ORDER BY count(*) DESC, d.name, i.failure_node, i.failure_code, i.failure_signature;

-- name: EnginePause
UPDATE workflow_instance i
SET resumes = i.state,
    state = 'paused',
    revision = i.revision + 1,
    acts = i.acts || $3::bigint,
    since = $4
FROM unnest($1::text[], $2::bigint[]) AS w (id, revision)
WHERE i.id = w.id
  AND i.revision = w.revision
  AND i.state IN ('running', 'waiting')
RETURNING i.id, i.revision;

-- name: EngineResume
UPDATE workflow_instance i
SET state = i.resumes,
    resumes = '',
    due = CASE WHEN i.resumes = 'running' THEN $4 ELSE i.due END,
    revision = i.revision + 1,
    acts = i.acts || $3::bigint,
    since = $4
FROM unnest($1::text[], $2::bigint[]) AS w (id, revision)
WHERE i.id = w.id
  AND i.revision = w.revision
  AND i.state = 'paused'
RETURNING i.id, i.revision;

-- name: EngineRetry
-- A failed instance starts its node anew, even where the node is held; one that waits goes on now.
UPDATE workflow_instance i
SET state = CASE WHEN i.state = 'failed' THEN 'running' ELSE i.state END,
    attempt = CASE WHEN i.state = 'failed' THEN 1 ELSE i.attempt END,
    due = $4,
    forced = true,
    revision = i.revision + 1,
    acts = i.acts || $3::bigint,
    since = $4
FROM unnest($1::text[], $2::bigint[]) AS w (id, revision)
WHERE i.id = w.id
  AND i.revision = w.revision
  AND i.state IN ('failed', 'waiting')
RETURNING i.id, i.revision;

-- name: EngineTerminate
WITH gone AS (
    DELETE FROM workflow_instance i
    USING unnest($1::text[], $2::bigint[]) AS w (id, revision)
    WHERE i.id = w.id
      AND i.revision = w.revision
    RETURNING i.id, i.household, i.definition, i.node, i.batches, i.acts, i.started, i.revision
), ended AS (
    INSERT INTO workflow_finished (day, id, household, definition, state, node, batches, acts, started, finished)
    SELECT ($4::timestamptz AT TIME ZONE 'UTC')::date, id, household, definition, 'terminated', node, batches, acts || $3::bigint, started, $4
    FROM gone
)
SELECT id, revision + 1 FROM gone;

-- name: EngineRewrite
UPDATE workflow_instance i
SET definition = n.definition,
    node = n.node,
    state = n.state,
    resumes = n.resumes,
    context = n.context,
    attempt = n.attempt,
    due = n.due,
    failure_node = CASE WHEN n.state = 'failed' THEN i.failure_node ELSE '' END,
    failure_code = CASE WHEN n.state = 'failed' THEN i.failure_code ELSE '' END,
    failure_signature = CASE WHEN n.state = 'failed' THEN i.failure_signature ELSE '' END,
    failure_message = CASE WHEN n.state = 'failed' THEN i.failure_message ELSE '' END,
    batches = i.batches || $9::bigint,
    acts = i.acts || $9::bigint,
    forced = true,
    revision = i.revision + 1,
    since = $10
FROM unnest($1::text[], $2::bigint[], $3::integer[], $4::text[], $5::text[], $6::text[], $7::bytea[], $8::integer[], $11::timestamptz[])
    AS n (id, revision, definition, node, state, resumes, context, attempt, due)
WHERE i.id = n.id
  AND i.revision = n.revision
RETURNING i.id, i.revision;

-- name: EngineInsertAct
INSERT INTO workflow_act (id, at, actor, why, act, filter, detail, matched, changed, stage)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);

-- name: EngineActs
SELECT id, at, actor, why, act, filter, detail::text::bytea, matched, changed, stage
FROM workflow_act
WHERE id = ANY ($1::bigint[])
ORDER BY id;

-- name: EngineReleaseNode
DELETE FROM workflow_hold WHERE workflow = $1 AND node = $2;

-- name: EngineLiveByID
SELECT i.id, i.topic, i.partition, i.household, i.definition, i.node, i.state, i.resumes, i.context, i.attempt, i.steps, i.due, i.deadline,
       i.forced, i.failure_node, i.failure_code, i.failure_signature, i.failure_message, i.batches, i.acts, i.revision, i.started, i.since
FROM workflow_instance i
WHERE i.id = $1;

-- name: EngineFinishedByID
SELECT day, id, household, definition, state, node, batches, coalesce(acts, '{}'), started, finished
FROM workflow_finished
WHERE id = $1
ORDER BY day DESC
LIMIT 1;

-- name: EngineFinishedList
-- What ended on a day, by id.
SELECT f.day, f.id, f.household, f.definition, f.state, f.node, f.batches, coalesce(f.acts, '{}'), f.started, f.finished
FROM workflow_finished f
WHERE f.day = $1
  AND ($2 = '' OR f.household = $2)
  AND f.id > $3
ORDER BY f.id
LIMIT $4;

-- name: EngineLinesOf
SELECT day, batch, line, last_offset, definition, worker, at, instances, body
FROM workflow_journal
WHERE batch = ANY ($1::bigint[])
ORDER BY batch, line;

-- name: EngineUnderWay
-- Checkpoints of batches that have not ended.
SELECT j.day, j.batch, j.line, j.last_offset, j.definition, j.worker, j.at, j.instances, j.body
FROM stream_offset s
JOIN workflow_journal j ON j.topic = s.topic AND j.partition = s.partition AND j.last_offset >= s.next_offset
ORDER BY j.batch, j.line;
