-- Effects of committed changes that the worker has still to carry out; a row goes when its effect is done.
CREATE TABLE outbox (
  id uuid CONSTRAINT outbox_pkey PRIMARY KEY,
  topic text NOT NULL CONSTRAINT outbox_topic CHECK (topic IN ('audit', 'mail')),
  payload jsonb NOT NULL,
  created_at timestamptz NOT NULL,
  -- when it was last handed to the queue
  relayed_at timestamptz,
  attempts integer NOT NULL DEFAULT 0,
  last_error text,
  -- given up for good: the dead letter, kept for an operator
  dead_at timestamptz
) WITH (fillfactor = 80);
CREATE INDEX outbox_due_idx ON outbox (relayed_at NULLS FIRST, id) WHERE dead_at IS NULL;
CREATE INDEX outbox_dead_idx ON outbox (dead_at) WHERE dead_at IS NOT NULL;
