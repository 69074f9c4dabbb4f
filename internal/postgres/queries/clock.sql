-- name: SampleClock
SELECT real, shown FROM sample_clock;

-- name: SetSampleClock
INSERT INTO sample_clock (real, shown) VALUES ($1, $2) ON CONFLICT (single) DO NOTHING;

-- name: IsEmptyBook
SELECT NOT EXISTS (SELECT FROM household) AND NOT EXISTS (SELECT FROM security);
