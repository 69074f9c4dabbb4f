-- name: ArchiveDays
-- Every day that was ever archived, the newest first.
SELECT day, place, state, lines, finished, hash, first_batch, last_batch, actor, changed
FROM workflow_archive
ORDER BY day DESC;

-- name: ArchiveStored
-- Days before one that have a partition, the oldest first.
SELECT DISTINCT to_date(right(c.relname, 8), 'YYYYMMDD') AS day
FROM pg_inherits i
JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent IN ('workflow_journal'::regclass, 'workflow_finished'::regclass)
  AND c.relname ~ '^workflow_(journal|finished)_[0-9]{8}$'
  AND to_date(right(c.relname, 8), 'YYYYMMDD') < $1
ORDER BY day;

-- name: ArchiveLines
SELECT day, batch, line, last_offset, definition, worker, at, instances, body, topic, partition
FROM workflow_journal
WHERE day = $1
ORDER BY batch, line;

-- name: ArchiveFinished
SELECT day, id, household, definition, state, node, batches, coalesce(acts, '{}'), started, finished
FROM workflow_finished
WHERE day = $1
ORDER BY id COLLATE "C";

-- name: ArchiveNote
INSERT INTO workflow_archive (day, place, state, lines, finished, hash, first_batch, last_batch, actor, changed)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (day) DO UPDATE
SET place = excluded.place,
    state = excluded.state,
    lines = excluded.lines,
    finished = excluded.finished,
    hash = excluded.hash,
    first_batch = excluded.first_batch,
    last_batch = excluded.last_batch,
    actor = excluded.actor,
    changed = excluded.changed;

-- name: ArchiveState
SELECT state FROM workflow_archive WHERE day = $1 FOR UPDATE;

-- name: ArchiveInterrupted
-- Lines of a day that the next owner of their partition would still read.
SELECT count(*)
FROM workflow_journal j
JOIN stream_offset s ON s.topic = j.topic AND s.partition = j.partition
WHERE j.day = $1
  AND j.last_offset >= s.next_offset;

-- name: ArchivePatience
SET LOCAL lock_timeout = '10s';

-- name: ArchiveLockDay
SELECT workflow_lock_day($1);

-- name: ArchiveDropDay
SELECT workflow_drop_day($1);

-- name: ArchiveRestoreFinished
INSERT INTO workflow_finished (day, id, household, definition, state, node, batches, acts, started, finished)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);
