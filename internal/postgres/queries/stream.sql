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

-- name: StreamPlaces
SELECT topic, partition, next_offset AS next, last_record
FROM stream_offset
WHERE $1 = '' OR topic = $1
ORDER BY topic, partition;

-- name: StreamMemberSave
INSERT INTO stream_member (name, topic, build, started, at, buckets, seconds)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (name, topic) DO UPDATE
SET build = excluded.build, started = excluded.started, at = excluded.at, buckets = excluded.buckets, seconds = excluded.seconds;

-- name: StreamMembers
SELECT topic, buckets, seconds FROM stream_member WHERE at > $1 ORDER BY topic, name;

-- name: StreamSeek
-- Moves partitions back and raises their epochs: whoever owns them is fenced, and goes on from here.
UPDATE stream_offset s
SET next_offset = n.next,
    epoch = s.epoch + 1,
    reached = greatest(s.reached, s.next_offset),
    reread = s.reread + s.next_offset - n.next
FROM unnest($2::integer[], $3::bigint[], $4::bigint[]) AS n (partition, was, next)
WHERE s.topic = $1
  AND s.partition = n.partition
  AND s.next_offset >= n.was
  AND n.next >= s.first_offset
  AND n.next <= s.next_offset;

-- name: StreamKnown
-- What the book has of the records of partitions from an offset on.
SELECT n.partition,
       (SELECT count(*) FROM execution e WHERE $1 = 'daybreak.fills' AND e.source_partition = n.partition AND e.source_offset >= n.next)
       + (SELECT count(*) FROM book_event e WHERE $1 = 'daybreak.events' AND e.source_partition = n.partition AND e.source_offset >= n.next) AS applied,
       (SELECT count(*) FROM held_execution h WHERE $1 = 'daybreak.fills' AND h.source_partition = n.partition AND h.source_offset >= n.next
            AND h.released IS NULL) AS held,
       (SELECT count(*) FROM dead_letter d WHERE d.topic = $1 AND d.source_partition = n.partition AND d.source_offset >= n.next) AS dead
FROM unnest($2::integer[], $3::bigint[]) AS n (partition, next)
ORDER BY n.partition;
