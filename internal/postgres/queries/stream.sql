-- name: StreamAssign
-- Takes ownership of partitions: makes a row where there is none, raises the epoch, and returns
-- where to go on.
INSERT INTO stream_offset AS s (topic, partition, topic_id, first_offset, next_offset, epoch)
SELECT $1, p, $3, 0, 0, 1
FROM unnest($2::integer[]) AS p
ORDER BY p
ON CONFLICT (topic, partition) DO UPDATE SET epoch = s.epoch + 1
RETURNING s.partition, s.topic_id, s.next_offset, s.epoch;

-- name: StreamCommit
-- Moves offsets by compare-and-set: a partition whose offset or epoch is not what its owner
-- believes is not moved, and the caller, who counts the rows, rolls everything back.
UPDATE stream_offset s
SET next_offset = n.next,
    applied = s.applied + n.applied,
    duplicate = s.duplicate + n.duplicate,
    held = s.held + n.held,
    dead = s.dead + n.dead,
    last_record = n.last_record
FROM unnest($2::integer[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
            $8::bigint[], $9::bigint[], $10::timestamptz[])
    AS n (partition, first, next, epoch, applied, duplicate, held, dead, last_record)
WHERE s.topic = $1
  AND s.partition = n.partition
  AND s.next_offset = n.first
  AND s.epoch = n.epoch;

-- name: StreamNext
SELECT partition, next_offset FROM stream_offset WHERE topic = $1;

-- name: VerifyAppliedBroken
-- Nothing was applied beyond the furthest that a partition has come: a rewind goes back from there.
SELECT s.topic || ' partition ' || s.partition,
       'read up to ' || greatest(s.next_offset, s.reached) || ' but an execution was applied from ' || max(e.source_offset)
FROM stream_offset s
JOIN execution e ON e.source_partition = s.partition
WHERE s.topic = $2
GROUP BY s.topic, s.partition, s.next_offset, s.reached
HAVING max(e.source_offset) >= greatest(s.next_offset, s.reached)
UNION ALL
SELECT s.topic || ' partition ' || s.partition,
       'read up to ' || greatest(s.next_offset, s.reached) || ' but an event was applied from ' || max(e.source_offset)
FROM stream_offset s
JOIN book_event e ON e.source_partition = s.partition
WHERE s.topic = 'daybreak.events'
GROUP BY s.topic, s.partition, s.next_offset, s.reached
HAVING max(e.source_offset) >= greatest(s.next_offset, s.reached)
LIMIT $1;

-- name: VerifyEndsBroken
-- Every record that was read, again after a rewind too, ended as applied, duplicate, held or
-- dead-lettered.
SELECT topic || ' partition ' || partition,
       (next_offset - first_offset + reread) || ' records read: applied ' || applied || ', duplicate ' || duplicate || ', held ' || held || ', dead ' || dead
FROM stream_offset
WHERE applied + duplicate + held + dead <> next_offset - first_offset + reread
LIMIT $1;
