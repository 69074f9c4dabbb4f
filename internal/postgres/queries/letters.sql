-- name: StoreDeadLetters
-- A record that is a dead letter already, and is read again after a rewind, is a duplicate and counted
-- as one. A letter that a replay had held comes back as open.
WITH n AS (
    SELECT partition, "offset", key, headers, value, reason, detail, heals, due, sent, account, order_id, counted
    FROM unnest($2::integer[], $3::bigint[], $4::bytea[], $5::jsonb[], $6::bytea[], $7::text[], $8::text[], $9::text[],
                $10::timestamptz[], $11::timestamptz[], $12::text[], $13::text[], $14::boolean[])
        AS d (partition, "offset", key, headers, value, reason, detail, heals, due, sent, account, order_id, counted)
), stored AS (
    INSERT INTO dead_letter AS l (topic, source_partition, source_offset, key, headers, value, reason, detail, heals, due, sent,
                                  account, order_id, counted, seen)
    SELECT $1, partition, "offset", key, headers, value, reason, detail, heals, due, sent, account, order_id, counted, $15
    FROM n
    ORDER BY partition, "offset"
    ON CONFLICT (topic, source_partition, source_offset) DO UPDATE
    SET state = 'open', outcome = '', resolved = NULL, reason = excluded.reason, detail = excluded.detail, heals = excluded.heals,
        due = excluded.due
    WHERE l.state = 'replayed' AND l.outcome = 'HELD'
    RETURNING source_partition, source_offset
)
UPDATE stream_offset s
SET dead = s.dead - k.known,
    duplicate = s.duplicate + k.known
FROM (
    SELECT n.partition, count(*) AS known
    FROM n
    LEFT JOIN stored ON stored.source_partition = n.partition AND stored.source_offset = n."offset"
    WHERE n.counted AND stored.source_offset IS NULL
    GROUP BY n.partition) AS k
WHERE s.topic = $1
  AND s.partition = k.partition;

-- name: SettleLetters
-- The number of attempts is the fence: the caller, who counts the rows, rolls everything back where one
-- was tried by somebody else, or is not open any more.
UPDATE dead_letter l
SET state = n.state,
    outcome = n.outcome,
    reason = n.reason,
    detail = n.detail,
    heals = n.heals,
    due = n.due,
    attempts = l.attempts + 1,
    account = n.account,
    order_id = n.order_id,
    build = $10,
    actor = $11,
    resolved = CASE WHEN n.state = 'open' THEN NULL ELSE $12::timestamptz END
FROM unnest($1::bigint[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[], $9::text[], $13::text[])
    AS n (id, attempts, state, outcome, reason, detail, heals, due, account, order_id)
WHERE l.id = n.id
  AND l.state = 'open'
  AND l.attempts = n.attempts;

-- name: LettersPage
SELECT id, topic, source_partition, source_offset, key, headers::text, value, reason, detail, attempts, state, outcome, heals, account,
       order_id, seen, sent, due, relayed, resolved, actor, why, build
FROM dead_letter
WHERE id > $1
  AND ($2 = '' OR state = $2)
  AND ($3 = '' OR topic = $3)
  AND (cardinality($4::bigint[]) = 0 OR id = ANY ($4))
ORDER BY id
LIMIT $5;

-- name: LettersDue
SELECT id, topic, source_partition, source_offset, key, headers::text, value, reason, detail, attempts, state, outcome, heals, account,
       order_id, seen, sent, due, relayed, resolved, actor, why, build
FROM dead_letter
WHERE state = 'open'
  AND due <= $1
ORDER BY due, id
LIMIT $2;

-- name: LettersUnsent
SELECT id, topic, source_partition, source_offset, key, headers::text, value, reason, detail, attempts, state, outcome, heals, account,
       order_id, seen, sent, due, relayed, resolved, actor, why, build
FROM dead_letter
WHERE relayed IS NULL
ORDER BY id
LIMIT $1;

-- name: LetterNext
SELECT min(due) FROM dead_letter WHERE state = 'open' AND due IS NOT NULL;

-- name: LettersWake
UPDATE dead_letter
SET due = $2
WHERE state = 'open'
  AND heals = 'build'
  AND build <> $1;

-- name: LettersSent
UPDATE dead_letter SET relayed = $2 WHERE id = ANY ($1);

-- name: LettersResend
UPDATE dead_letter SET relayed = NULL WHERE id = ANY ($1);

-- name: LettersDrop
UPDATE dead_letter
SET state = 'dropped', actor = $2, why = $3, resolved = $4, due = NULL
WHERE id = ANY ($1)
  AND state = 'open';

-- name: LetterTotals
SELECT topic, reason, count(*) AS letters, min(seen) AS oldest
FROM dead_letter
WHERE state = 'open'
GROUP BY topic, reason
ORDER BY topic, reason;

-- name: VerifyLettersBroken
-- The dead letters counted are there as rows; those of records that were held first are counted there.
SELECT s.topic || ' partition ' || s.partition, 'counted ' || s.dead || ', stored ' || count(d.id)
FROM stream_offset s
LEFT JOIN dead_letter d ON d.topic = s.topic AND d.source_partition = s.partition AND d.counted
GROUP BY s.topic, s.partition, s.dead
HAVING count(d.id) <> s.dead
LIMIT $1;

-- name: VerifyReplaysBroken
-- A replayed letter left its end: an execution, an event, or a held execution of its place, unless what
-- it says was in the book already.
SELECT 'dead letter ' || d.id, 'replayed as ' || d.outcome || ', but nothing of ' || d.topic || '/' || d.source_partition || '/' || d.source_offset || ' is in the book'
FROM dead_letter d
WHERE d.state = 'replayed'
  AND d.topic = 'daybreak.fills'
  AND d.outcome IN ('APPLIED', 'HELD')
  AND NOT EXISTS (SELECT FROM execution e WHERE e.source_partition = d.source_partition AND e.source_offset = d.source_offset)
  AND NOT EXISTS (SELECT FROM held_execution h WHERE h.source_partition = d.source_partition AND h.source_offset = d.source_offset)
LIMIT $1;
