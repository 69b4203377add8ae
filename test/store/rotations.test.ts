// Rotations that share a statement: each behaves as if it were alone.
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { databaseOf } from '../../src/store/postgres/database.ts';
import { isDatabaseOutage } from '../../src/store/postgres/outage.ts';
import { openPrimaryPool } from '../../src/store/postgres/primary-pool.ts';
import { createRotations, type Rotation } from '../../src/store/rotations.ts';
import { createTestDatabase } from '../support/databases.ts';
import { eventually } from '../support/eventually.ts';

const DAY_MS = 86_400_000;
const { ownerUrl, serviceUrl } = await createTestDatabase();
const owner = new pg.Pool({ connectionString: ownerUrl, max: 4 });
afterAll(() => owner.end());
beforeEach(() => owner.query('DELETE FROM outbox'));

/** The store of a process of its own, and the number of its statements. */
function openStore({ poolSize = 10, statementTimeoutMs = 10_000 } = {}) {
  const pool = openPrimaryPool({ url: serviceUrl, poolSize, statementTimeoutMs }, () => {});
  let statements = 0;
  const db = databaseOf(pool, () => {
    statements += 1;
  });
  onTestFinished(() => db.destroy());
  return { db, ...createRotations(db, randomUUID), statements: () => statements };
}

/** New sessions, each of a user of its own. */
async function newSessions(count: number): Promise<string[]> {
  const { rows } = await owner.query(
    `WITH person AS (
       INSERT INTO users (id, email, full_name, created_at)
       SELECT gen_random_uuid(), gen_random_uuid() || '@people.example', 'Grace Hopper', now() FROM generate_series(1, $1)
       RETURNING id
     ), granted AS (INSERT INTO user_roles (user_id, role, granted_at) SELECT id, 'user', now() FROM person)
     INSERT INTO sessions (id, user_id, created_at, expires_at, ends_by)
     SELECT gen_random_uuid(), id, now(), now() + interval '1 day', now() + interval '90 days' FROM person RETURNING id`,
    [count],
  );
  return rows.map(({ id }) => id);
}

async function newSession(): Promise<string> {
  return (await newSessions(1))[0] as string;
}

function rotationOf(sessionId: string, changes: Partial<Rotation> = {}): Rotation {
  const origin = { address: '192.0.2.7', userAgent: `agent of ${sessionId}`, requestId: randomUUID() };
  return {
    ...{
      sessionId,
      counter: 1,
      requestId: `request of ${sessionId}`,
      audiences: null,
      allAudiences: ['latchkey', 'shop'],
    },
    ...{ idleSeconds: 604_800, at: new Date(), event: { type: 'refreshed', sessionId, origin } },
    ...changes,
  };
}

async function counters(ids: string[]): Promise<number[]> {
  const { rows } = await owner.query(
    'SELECT counter FROM unnest($1::uuid[]) WITH ORDINALITY AS wanted (id, n) JOIN sessions USING (id) ORDER BY n',
    [ids],
  );
  return rows.map(({ counter }) => Number(counter));
}

async function eventsOf(sessionId: string) {
  const { rows } = await owner.query("SELECT topic, payload FROM outbox WHERE payload->>'sessionId' = $1", [sessionId]);
  return rows;
}

describe('a thousand rotations at once', () => {
  test('all succeed for as many sessions, each with its own values and its own audit event', async () => {
    const { rotate, statements } = openStore();
    const ids = await newSessions(1_000);
    const at = new Date();
    const grants = await Promise.all(ids.map((id) => rotate(rotationOf(id, { at }))));
    expect(grants.map((grant) => grant?.sessionId)).toEqual(ids);
    const { rows } = await owner.query('SELECT * FROM sessions WHERE id = ANY($1)', [ids]);
    const bySession = new Map(rows.map((row) => [row.id, row]));
    for (const grant of grants) {
      const row = bySession.get(grant?.sessionId);
      expect(row).toMatchObject({
        ...{ counter: '2', rotated_at: at, address: '192.0.2.7', user_agent: `agent of ${row.id}`, audiences: null },
        ...{ rotation_request_id: `request of ${row.id}`, expires_at: new Date(at.getTime() + 7 * DAY_MS) },
      });
      expect(grant).toMatchObject({
        ...{ counter: 2, expiresAt: row.expires_at, audiences: null, claimsEpoch: 1, rolesEpoch: 0, rolesUntil: null },
        user: { id: row.user_id, fullName: 'Grace Hopper', roles: ['user'], emailVerified: false, disabled: false },
      });
    }
    const { rows: events } = await owner.query('SELECT topic, payload, created_at FROM outbox');
    expect(events).toHaveLength(1_000);
    for (const { topic, payload, created_at } of events) {
      const { sessionId, userId, origin } = payload;
      expect({ topic, type: payload.type, created_at }).toEqual({ topic: 'audit', type: 'refreshed', created_at: at });
      expect(userId).toBe(bySession.get(sessionId)?.user_id);
      expect(origin.userAgent).toBe(`agent of ${sessionId}`);
    }
    expect(statements()).toBeLessThan(100);
  });

  test('in two processes with the same tokens: each session is rotated once', async () => {
    const stores = [openStore(), openStore()];
    const ids = await newSessions(100);
    const calls = Array.from({ length: 1_000 }, (_, n) => {
      const id = ids[n % 100] as string;
      return (stores[Math.floor(n / 500)] as (typeof stores)[number]).rotate(rotationOf(id));
    });
    const grants = (await Promise.all(calls)).filter((grant) => grant !== null);
    expect(grants.map(({ sessionId }) => sessionId).toSorted()).toEqual(ids.toSorted());
    expect(new Set(await counters(ids))).toEqual(new Set([2]));
    for (const id of ids) expect(await eventsOf(id)).toHaveLength(1);
  });
});

describe('one statement', () => {
  test('rotates only the live sessions among its tokens', async () => {
    const { rotate, statements } = openStore();
    const sessions = await newSessions(8);
    const [live, ended, expired, disabled, former, ahead, otherAudience, last] = sessions as [string, ...string[]] & {
      length: 8;
    };
    await owner.query('UPDATE sessions SET ended_at = now() WHERE id = $1', [ended]);
    await owner.query("UPDATE sessions SET expires_at = now() - interval '1 s' WHERE id = $1", [expired]);
    await owner.query('UPDATE users SET disabled_at = now() WHERE id = (SELECT user_id FROM sessions WHERE id = $1)', [
      disabled,
    ]);
    await owner.query('UPDATE sessions SET counter = 2 WHERE id = $1', [former]);
    await owner.query("UPDATE sessions SET audiences = '{shop}' WHERE id = $1", [otherAudience]);
    const rotations = [
      ...[live, ended, expired, disabled, former].map((id) => rotationOf(id as string)),
      rotationOf(ahead as string, { counter: 2 }),
      rotationOf(otherAudience as string, { audiences: ['latchkey'] }),
      rotationOf(randomUUID()),
      rotationOf(last as string),
    ];
    const grants = await Promise.all(rotations.map((rotation) => rotate(rotation)));
    const isGranted = [true, false, false, false, false, false, false, false, true];
    expect(grants.map((grant) => grant !== null)).toEqual(isGranted);
    expect(await counters(sessions)).toEqual([2, 1, 1, 1, 2, 1, 1, 2]);
    const { rows } = await owner.query("SELECT payload->>'sessionId' AS id FROM outbox");
    expect(rows.map(({ id }) => id).toSorted()).toEqual([live, last].toSorted());
    expect(statements()).toBe(1);
  });

  test('rotates a session once, also with a hundred requests, and the others beside it', async () => {
    const { rotate, statements } = openStore();
    const [same, ...others] = await newSessions(3);
    const rotations = [...Array.from({ length: 60 }, () => same), ...others].map((id) => rotationOf(id as string));
    const grants = await Promise.all(rotations.map((rotation) => rotate(rotation)));
    expect(grants.filter((grant) => grant?.sessionId === same)).toHaveLength(1);
    expect(grants.slice(60).map((grant) => grant?.sessionId)).toEqual(others);
    expect(await eventsOf(same as string)).toHaveLength(1);
    expect(statements()).toBe(1);
  });

  test('narrows the audiences of each session by its own request', async () => {
    const { rotate } = openStore();
    const [all, narrowed, kept, removed] = (await newSessions(4)) as [string, string, string, string];
    await owner.query("UPDATE sessions SET audiences = '{latchkey,shop}' WHERE id = ANY($1)", [[kept]]);
    await owner.query("UPDATE sessions SET audiences = '{former}' WHERE id = $1", [removed]);
    const grants = await Promise.all([
      rotate(rotationOf(all)),
      rotate(rotationOf(narrowed, { audiences: ['shop'] })),
      rotate(rotationOf(kept)),
      rotate(rotationOf(removed)),
    ]);
    expect(grants.map((grant) => grant?.audiences)).toEqual([null, ['shop'], ['latchkey', 'shop'], undefined]);
  });

  test('does not wait for a session that another transaction holds, whose own call does', async () => {
    const { rotate } = openStore();
    const [held, ending, ...others] = (await newSessions(10)) as [string, string, ...string[]];
    const holder = await owner.connect();
    await holder.query('BEGIN');
    await holder.query('UPDATE sessions SET address = address WHERE id = $1', [held]);
    await holder.query('UPDATE sessions SET ended_at = now() WHERE id = $1', [ending]);
    let isAnswered = false;
    const waiting = Promise.all([rotate(rotationOf(held)), rotate(rotationOf(ending))]).finally(() => {
      isAnswered = true;
    });
    const grants = await Promise.all(others.map((id) => rotate(rotationOf(id))));
    expect(grants.every((grant) => grant?.counter === 2)).toBe(true);
    expect(isAnswered).toBe(false);
    // Nor does it hold other sessions while one waits, which would be a deadlock here.
    await holder.query('UPDATE sessions SET address = address WHERE id = ANY($1)', [others]);
    await holder.query('COMMIT');
    holder.release();
    const [grantOfHeld, grantOfEnding] = await waiting;
    expect(grantOfHeld?.counter).toBe(2);
    expect(grantOfEnding).toBeNull();
  });

  test('fails for the one rotation whose values Postgres rejects', async () => {
    const { rotate } = openStore();
    const [wrong, full, ...others] = (await newSessions(10)) as [string, string, ...string[]];
    const maximum = 4_294_967_295;
    await owner.query('UPDATE sessions SET counter = $2 WHERE id = $1', [full, maximum]);
    const [ofWrong, ofFull, ...rest] = await Promise.allSettled([
      rotate(rotationOf(wrong, { requestId: 'a\u0000b' })),
      rotate(rotationOf(full, { counter: maximum })),
      ...others.map((id) => rotate(rotationOf(id))),
    ]);
    expect(ofWrong).toMatchObject({ status: 'rejected', reason: { code: '22P05' } });
    expect(ofFull).toMatchObject({ status: 'rejected', reason: { constraint: 'sessions_counter_range' } });
    expect(rest.map((outcome) => outcome.status === 'fulfilled' && outcome.value?.counter)).toEqual(
      others.map(() => 2),
    );
    expect(await counters([wrong, full])).toEqual([1, maximum]);
  });
});

describe('while Postgres is stuck', () => {
  /** Keeps every rotation from its audit event. @returns ends that */
  async function holdOutbox(): Promise<() => Promise<void>> {
    const holder = await owner.connect();
    await holder.query('BEGIN');
    await holder.query('LOCK TABLE outbox IN ACCESS EXCLUSIVE MODE');
    return async () => {
      await holder.query('ROLLBACK');
      holder.release();
    };
  }
  const RUNNING =
    "FROM pg_stat_activity WHERE query ~ 'WITH input' AND wait_event_type = 'Lock' AND datname = current_database()";
  const stuckStatements = async () => (await owner.query(`SELECT ${RUNNING}`)).rowCount;

  test('a killed connection fails for all rotations of its statement, and a retry of each succeeds', async () => {
    const { rotate } = openStore();
    const ids = await newSessions(50);
    const release = await holdOutbox();
    const outcomes = Promise.allSettled(ids.map((id) => rotate(rotationOf(id))));
    await eventually(async () => (await stuckStatements()) === 1);
    await owner.query(`SELECT pg_terminate_backend(pid) ${RUNNING}`);
    for (const outcome of await outcomes) {
      expect(outcome.status === 'rejected' && isDatabaseOutage(outcome.reason)).toBe(true);
    }
    await release();
    expect(new Set(await counters(ids))).toEqual(new Set([1]));
    const grants = await Promise.all(ids.map((id) => rotate(rotationOf(id))));
    expect(grants.every((grant) => grant?.counter === 2)).toBe(true);
  });

  test('a statement ends at its timeout, and later rotations do not wait for it', async () => {
    const { rotate } = openStore({ statementTimeoutMs: 500 });
    const [first, second] = (await newSessions(2)) as [string, string];
    const release = await holdOutbox();
    const stuck = rotate(rotationOf(first)).catch((error: unknown) => error);
    await eventually(async () => (await stuckStatements()) === 1);
    const later = rotate(rotationOf(second));
    await eventually(async () => (await stuckStatements()) === 2);
    await release();
    expect((await later)?.counter).toBe(2);
    expect(await stuck).toMatchObject({ counter: 2 });
    const releaseAgain = await holdOutbox();
    const error = await rotate(rotationOf(first, { counter: 2 })).catch((reason: unknown) => reason);
    expect(isDatabaseOutage(error)).toBe(true);
    await releaseAgain();
  });

  test('a rotation whose caller leaves before its statement is not made, and the others are', async () => {
    const { rotate } = openStore();
    const [first, left, stays] = (await newSessions(3)) as [string, string, string];
    const caller = new AbortController();
    const leaving = rotate(rotationOf(left), caller.signal);
    const others = [rotate(rotationOf(first)), rotate(rotationOf(stays), new AbortController().signal)];
    caller.abort(new Error('the client has left'));
    await expect(leaving).rejects.toThrow('the client has left');
    await Promise.all(others);
    expect(await counters([first, left, stays])).toEqual([2, 1, 2]);
  });
});

describe('the prepared statement', () => {
  const names = 'SELECT name FROM pg_prepared_statements';

  test('is parsed once on a connection', async () => {
    const { db, rotate } = openStore({ poolSize: 1 });
    const id = await newSession();
    for (let counter = 1; counter < 4; counter += 1) await rotate(rotationOf(id, { counter }));
    const { rows } = await db.executeQuery<{ name: string }>({ sql: names, parameters: [] } as never);
    expect(rows).toEqual([{ name: expect.stringMatching(/^latchkey_[0-9a-f]{16}$/) }]);
  });

  test('is replaced by its text where the name is lost, and nothing fails', async () => {
    const { db, rotate } = openStore({ poolSize: 1 });
    const id = await newSession();
    await rotate(rotationOf(id));
    await db.executeQuery({ sql: 'DEALLOCATE ALL', parameters: [] } as never);
    expect((await rotate(rotationOf(id, { counter: 2 })))?.counter).toBe(3);
    expect((await rotate(rotationOf(id, { counter: 3 })))?.counter).toBe(4);
    expect((await db.executeQuery({ sql: names, parameters: [] } as never)).rows).toEqual([]);
    expect(await eventsOf(id)).toHaveLength(3);
  });
});
