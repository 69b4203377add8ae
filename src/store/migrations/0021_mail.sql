-- The schedule of attempts lives here and not in Redis, which may lose everything.
DROP INDEX outbox_due_idx;
ALTER TABLE outbox DROP COLUMN relayed_at;
ALTER TABLE outbox
  -- when the row is handed to the queue (again): a claim, and a row that is in the queue, push it ahead
  ADD COLUMN next_attempt_at timestamptz NOT NULL DEFAULT now(),
  -- a mail's retries are counted from here
  ADD COLUMN first_attempt_at timestamptz,
  -- while a worker sends the mail, no other one does
  ADD COLUMN claimed_until timestamptz;
-- By topic, so that a backlog of events is not in the way of mails; `outbox list` reads it too.
CREATE INDEX outbox_due_idx ON outbox (topic, next_attempt_at, id) WHERE dead_at IS NULL;
DROP INDEX outbox_dead_idx;
CREATE INDEX outbox_dead_idx ON outbox (dead_at, id) WHERE dead_at IS NOT NULL;
