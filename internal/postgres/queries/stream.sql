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
