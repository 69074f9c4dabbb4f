-- name: Generations
SELECT number, partitions, base, opened IS NOT NULL AS opened FROM stream_generation ORDER BY number;

-- name: FirstGeneration
INSERT INTO stream_generation (number, partitions, base, opened) VALUES (1, $1, 0, now()) ON CONFLICT DO NOTHING;

-- name: AddGeneration
-- The next generation, where the last one is open: else two processes cut over at once, and this one
-- fails.
INSERT INTO stream_generation (number, partitions, base)
SELECT g.number + 1, $1, g.base + g.partitions
FROM stream_generation g
WHERE g.number = (SELECT max(number) FROM stream_generation)
  AND g.opened IS NOT NULL
RETURNING number, partitions, base, opened IS NOT NULL AS opened;

-- name: OpenGeneration
UPDATE stream_generation SET opened = now() WHERE number = $1 AND opened IS NULL;
