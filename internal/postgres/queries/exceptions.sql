-- name: BookExceptions
SELECT id, household, account, code, subject, detail, owner, opened, closed
FROM book_exception
WHERE closed IS NULL OR $1
ORDER BY opened, id;

-- name: CloseException
UPDATE book_exception
SET closed = $2
WHERE id = $1 AND closed IS NULL
RETURNING household;
