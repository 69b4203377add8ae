// Audit events in the outbox, as the service writes them, in the number that an outage causes.
import type pg from 'pg';

/** In the order of their ids; `detail` is the position of each, from 1. */
export async function writeAuditEvents(owner: pg.Pool, count: number): Promise<string[]> {
  const { rows } = await owner.query<{ id: string }>(
    `INSERT INTO outbox (id, topic, payload, created_at)
      SELECT uuidv7(), 'audit', jsonb_build_object('type', 'login_succeeded', 'userId', gen_random_uuid(), 'detail', n::text,
        'origin', jsonb_build_object('address', '192.0.2.7', 'userAgent', 'a browser', 'requestId', 'r')), now()
      FROM generate_series(1, $1::int) AS n RETURNING id`,
    [count],
  );
  return rows.map(({ id }) => id);
}
