-- name: BookExceptions
SELECT id, household, account, code, subject, detail, parks, owner, opened, closed
FROM book_exception
WHERE closed IS NULL OR $1
ORDER BY opened, id;

-- name: CloseException
UPDATE book_exception
SET closed = $2
WHERE id = $1 AND closed IS NULL
RETURNING household, account;

-- name: StillBelowZero
-- What an account holds below zero, where no open exception names the account any more.
SELECT n.commodity || ' ' || trim_scale(n.amount)::text
FROM (
    SELECT account, currency AS commodity, amount FROM cash WHERE amount < 0
    UNION ALL
    SELECT account, symbol, shares FROM position WHERE shares < 0
) AS n
WHERE n.account = $1
  AND NOT EXISTS (SELECT FROM book_exception x WHERE x.account = $1 AND x.closed IS NULL AND x.parks)
ORDER BY n.commodity;
