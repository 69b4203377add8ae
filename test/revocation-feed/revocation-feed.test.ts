// The feed on a real Postgres: every event reaches every follower, in any order of the commits.
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import {
  type FeedStep,
  followRevocationEvents,
  type RevocationFeed,
} from '../../src/revocation-feed/revocation-feed.ts';
import { type Db, openDatabase } from '../../src/store/postgres/database.ts';
import { type Listening, listenForNotifications } from '../../src/store/postgres/listen.ts';
import { createPrimaryGuard } from '../../src/store/postgres/primary-guard.ts';
import { createRevocationEvents, type RevocationEvents } from '../../src/store/revocation-events.ts';
import { createRevocationView, type RevocationView } from '../../src/verifier/revocation-view.ts';
import { layCable, through } from '../support/cable.ts';
import { createTestDatabase, type TestDatabase } from '../support/databases.ts';
import { eventually } from '../support/eventually.ts';

let database: TestDatabase;
let db: Db;
let owner: pg.Pool;
let revocationEvents: RevocationEvents;

beforeAll(async () => {
  database = await createTestDatabase();
  db = openDatabase({ url: database.serviceUrl, poolSize: 4, statementTimeoutMs: 5_000 }, () => {});
  owner = new pg.Pool({ connectionString: database.ownerUrl, max: 10 });
  revocationEvents = createRevocationEvents(db);
});
afterAll(async () => {
  await db.destroy();
  await owner.end();
});

async function follow(
  overrides: Partial<Parameters<typeof followRevocationEvents>[0]> = {},
): Promise<{ feed: RevocationFeed; view: RevocationView; steps: FeedStep[]; errors: unknown[] }> {
  const view = createRevocationView();
  const errors: unknown[] = [];
  const deps = { revocationEvents, view, reloadKeys: async () => {}, pollMs: 50, now: () => new Date(), ...overrides };
  const feed = await followRevocationEvents(deps, (error) => errors.push(error));
  const steps: FeedStep[] = [];
  feed.subscribe((step) => steps.push(step));
  onTestFinished(() => feed.close());
  return { feed, view, steps, errors };
}

function listen(
  feed: RevocationFeed,
  onError: (error: Error) => void = () => {},
  url = database.serviceUrl,
): Listening {
  return listenForNotifications({
    url,
    guard: createPrimaryGuard(),
    notify: revocationEvents.notify,
    onNotification: feed.wake,
    onError,
    heartbeatMs: 500,
  });
}

/** A user with a session, and the connection that can end it. */
async function person(): Promise<{ userId: string; sessionId: string }> {
  const [userId, sessionId] = [randomUUID(), randomUUID()];
  await owner.query('INSERT INTO users (id, email, full_name, created_at) VALUES ($1, $2, $3, now())', [
    userId,
    `${userId}@people.example`,
    'Grace Hopper',
  ]);
  await owner.query(
    "INSERT INTO sessions (id, user_id, created_at, expires_at, ends_by) VALUES ($1, $2, now(), now() + interval '1 day', now() + interval '1 day')",
    [sessionId, userId],
  );
  return { userId, sessionId };
}

const END = 'UPDATE sessions SET ended_at = now() WHERE id = $1';
const statusOf = (view: RevocationView, { userId, sessionId }: { userId: string; sessionId: string }, epoch = 1) =>
  view.statusOf({ sessionId, userId, epoch, roles: ['user'], rolesEpoch: 1_000 });

test('sessions that ended before the start are in the view at the start', async () => {
  const [one, other] = [await person(), await person()];
  await owner.query(END, [one.sessionId]);
  const { view } = await follow();
  expect(statusOf(view, one)).toBe('revoked');
  expect(statusOf(view, other)).toBe('active');
  expect(view.ageMs()).toBeLessThan(1_000);
});

describe('each change in Postgres', () => {
  test.each<[string, string, (of: { userId: string; sessionId: string }) => string, string]>([
    ['a session that ends', END, (of) => of.sessionId, 'revoked'],
    [
      'a session whose end is moved into the past',
      'UPDATE sessions SET expires_at = now(), ends_by = now() WHERE id = $1',
      (of) => of.sessionId,
      'revoked',
    ],
    ['a session that is removed', 'DELETE FROM sessions WHERE id = $1', (of) => of.sessionId, 'revoked'],
    ['a user who is disabled', 'UPDATE users SET disabled_at = now() WHERE id = $1', (of) => of.userId, 'revoked'],
    ['a user who is deleted', 'DELETE FROM users WHERE id = $1', (of) => of.userId, 'revoked'],
    ['a role that is granted', "INSERT INTO user_roles VALUES ($1, 'admin', now())", (of) => of.userId, 'stale'],
    ['an email that changes', "UPDATE users SET email = 'x' || email WHERE id = $1", (of) => of.userId, 'stale'],
    [
      'an email that is verified',
      'UPDATE users SET email_verified_at = now() WHERE id = $1',
      (of) => of.userId,
      'stale',
    ],
  ])('%s', async (_, statement, id, expected) => {
    const one = await person();
    const { view } = await follow();
    await owner.query(statement, [id(one)]);
    await eventually(() => statusOf(view, one) === expected, 1_000);
  });

  test('an email that becomes unverified', async () => {
    const one = await person();
    await owner.query('UPDATE users SET email_verified_at = now() WHERE id = $1', [one.userId]);
    const { view } = await follow();
    expect(statusOf(view, one, 2)).toBe('active');
    await owner.query('UPDATE users SET email_verified_at = NULL WHERE id = $1', [one.userId]);
    await eventually(() => statusOf(view, one, 2) === 'stale', 1_000);
  });

  test('a role that starts or stops to imply another one; a new role affects no token', async () => {
    const { view, feed, steps } = await follow();
    await owner.query("INSERT INTO roles (name, description) VALUES ('reader', ''), ('writer', '')");
    await feed.catchUp();
    expect(steps.flatMap((step) => step.events)).toEqual([]);
    const of = (roles: string[], rolesEpoch: number) =>
      view.statusOf({ sessionId: '', userId: '', epoch: 1, roles, rolesEpoch });
    const epoch = async () => (await owner.query('SELECT max(epoch) AS epoch FROM roles')).rows[0].epoch;
    await owner.query("INSERT INTO role_implications VALUES ('user', 'reader')");
    await feed.catchUp();
    const first = await epoch();
    // The administrator is a user, too.
    expect([of(['user'], first - 1), of(['admin'], first - 1), of(['writer'], first - 1)]).toEqual([
      'stale',
      'stale',
      'active',
    ]);
    expect(of(['user'], first)).toBe('active');
    await owner.query("DELETE FROM role_implications WHERE implies = 'reader'");
    await feed.catchUp();
    expect([of(['user'], first), of(['user'], await epoch())]).toEqual(['stale', 'active']);
  });

  test('no event for a new account, a new session, another hash or a rotation', async () => {
    const { steps, feed } = await follow();
    const one = await person();
    await owner.query("UPDATE users SET password_hash = 'x', full_name = 'y' WHERE id = $1", [one.userId]);
    await owner.query('UPDATE users SET email_verified_at = now() WHERE email_verified_at IS NOT NULL');
    await owner.query('UPDATE sessions SET counter = counter + 1 WHERE id = $1', [one.sessionId]);
    const made = randomUUID();
    const client = await owner.connect();
    await client.query('BEGIN');
    await client.query("INSERT INTO users (id, email, full_name, created_at) VALUES ($1, $2, 'x', now())", [
      made,
      `${made}@x.example`,
    ]);
    await client.query("INSERT INTO user_roles VALUES ($1, 'user', now())", [made]);
    await client.query('COMMIT');
    client.release();
    await feed.catchUp();
    expect(steps.flatMap((step) => step.events)).toEqual([]);
  });

  test('a role that is revoked after another change of the user in the same transaction', async () => {
    const one = await person();
    await owner.query("INSERT INTO user_roles VALUES ($1, 'admin', now())", [one.userId]);
    const { view, feed } = await follow();
    const client = await owner.connect();
    await client.query('BEGIN');
    await client.query("UPDATE users SET full_name = 'Demoted' WHERE id = $1", [one.userId]);
    await client.query("DELETE FROM user_roles WHERE user_id = $1 AND role = 'admin'", [one.userId]);
    await client.query('COMMIT');
    client.release();
    await feed.catchUp();
    expect(statusOf(view, one, 2)).toBe('stale');
  });

  test.each(['sessions', 'users', 'user_roles', 'roles', 'role_implications', 'signing_keys'])(
    '%s cannot be emptied without a word',
    async (table) => {
      await expect(owner.query(`TRUNCATE ${table} CASCADE`)).rejects.toThrow('would not revoke tokens');
    },
  );

  test('no event for a change that was rolled back', async () => {
    const one = await person();
    const { view, feed } = await follow();
    const client = await owner.connect();
    await client.query('BEGIN');
    await client.query(END, [one.sessionId]);
    await client.query('ROLLBACK');
    client.release();
    await feed.catchUp();
    expect(statusOf(view, one)).toBe('active');
  });
});

describe('the order of commits', () => {
  test('a transaction that began first and commits last is not skipped', async () => {
    const [early, late] = [await person(), await person()];
    const { view, feed } = await follow({ pollMs: 60_000 });
    const slow = await owner.connect();
    await slow.query('BEGIN');
    await slow.query(END, [early.sessionId]);
    await owner.query(END, [late.sessionId]);
    await feed.catchUp();
    expect([statusOf(view, early), statusOf(view, late)]).toEqual(['active', 'revoked']);
    await slow.query('COMMIT');
    slow.release();
    await feed.catchUp();
    expect(statusOf(view, early)).toBe('revoked');
  });

  test('many parallel transactions that commit in any order: each event arrives once and none is skipped', async () => {
    const people = await Promise.all(Array.from({ length: 200 }, person));
    const { steps, view, feed } = await follow({ pollMs: 1 });
    let next = 0;
    await Promise.all(
      Array.from({ length: 9 }, async () => {
        const client = await owner.connect();
        for (let one = people[next++]; one; one = people[next++]) {
          await client.query('BEGIN');
          await client.query(END, [one.sessionId]);
          await sleep(Math.random() * 8);
          await client.query('COMMIT');
        }
        client.release();
      }),
    );
    await feed.catchUp();
    const received = steps.flatMap((step) => step.events.map((event) => ('sessionId' in event ? event.sessionId : '')));
    expect(received.toSorted()).toEqual(people.map(({ sessionId }) => sessionId).toSorted());
    expect(people.every((one) => statusOf(view, one) === 'revoked')).toBe(true);
  });
});

test('NOTIFY wakes the feed long before the poll', async () => {
  const one = await person();
  const { view, feed } = await follow({ pollMs: 60_000 });
  const listening = listen(feed);
  onTestFinished(() => listening.close());
  await sleep(300);
  await owner.query(END, [one.sessionId]);
  await eventually(() => statusOf(view, one) === 'revoked', 1_000);
});

test('a listener reconnects after a cut connection, and misses no event', async () => {
  const one = await person();
  const { view, feed } = await follow({ pollMs: 60_000 });
  const lost: Error[] = [];
  const listening = listen(feed, (error) => lost.push(error));
  onTestFinished(() => listening.close());
  await sleep(300);
  await owner.query(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'latchkey-listen'",
  );
  await owner.query(END, [one.sessionId]);
  await eventually(() => statusOf(view, one) === 'revoked', 5_000);
  expect(lost).not.toEqual([]);
});

test('a listener replaces a silent connection, and receives events again', async () => {
  const one = await person();
  const { view, feed } = await follow({ pollMs: 60_000 });
  const cable = await layCable(Number(new URL(database.serviceUrl).port));
  onTestFinished(() => cable.close());
  const lost: Error[] = [];
  const listening = listen(feed, (error) => lost.push(error), through(database.serviceUrl, cable.port));
  onTestFinished(() => listening.close());
  await sleep(500);
  cable.swallowAll();
  await eventually(() => lost.length > 0, 5_000);
  expect(lost[0]?.message).toBe('a heartbeat NOTIFY did not arrive');
  await sleep(1_500);
  await owner.query(END, [one.sessionId]);
  await eventually(() => statusOf(view, one) === 'revoked', 2_000);
});

test('a listener replaces a connection to another server', async () => {
  const other = await createTestDatabase();
  const { feed } = await follow({ pollMs: 60_000 });
  const lost: Error[] = [];
  const listening = listen(feed, (error) => lost.push(error), other.serviceUrl);
  onTestFinished(() => listening.close());
  await eventually(() => lost.length > 1, 10_000);
  expect(lost[0]?.message).toBe('a heartbeat NOTIFY did not arrive');
});

test('the view becomes stale while Postgres does not respond, and afterwards the feed resumes', async () => {
  const [one, other] = [await person(), await person()];
  await owner.query(END, [one.sessionId]);
  let isAway = false;
  const since = (snapshot: string) => (isAway ? Promise.reject(new Error('away')) : revocationEvents.since(snapshot));
  const { view, errors, steps } = await follow({ revocationEvents: { inForce: revocationEvents.inForce, since } });
  isAway = true;
  await eventually(() => errors.length > 0);
  await owner.query(END, [other.sessionId]);
  await sleep(300);
  expect(view.ageMs()).toBeGreaterThan(250);
  expect(statusOf(view, other)).toBe('active');
  isAway = false;
  await eventually(() => statusOf(view, other) === 'revoked');
  expect(steps.flatMap((step) => step.events)).toEqual([{ kind: 'session_ended', sessionId: other.sessionId }]);
  expect(view.ageMs()).toBeLessThan(250);
});

test('the feed reads everything from a server with another history', async () => {
  const one = await person();
  let isPromoted = false;
  const elsewhere = (snapshot: string) => snapshot.replace('/', '/other/');
  const { view, steps, feed } = await follow({
    revocationEvents: {
      inForce: revocationEvents.inForce,
      since: (snapshot) => revocationEvents.since(isPromoted ? elsewhere(snapshot) : snapshot),
    },
    pollMs: 60_000,
  });
  isPromoted = true;
  await owner.query(END, [one.sessionId]);
  await feed.catchUp();
  expect(statusOf(view, one)).toBe('revoked');
  // Everything, and not only new events.
  expect(steps.at(-1)?.events.length).toBeGreaterThan(1);
});

test('a feed that was interrupted for longer than the retention of events reads everything', async () => {
  let ahead = 0;
  let reloads = 0;
  const { feed } = await follow({
    now: () => new Date(Date.now() + ahead),
    reloadKeys: async () => {
      reloads += 1;
    },
    pollMs: 60_000,
  });
  await feed.catchUp();
  expect(reloads).toBe(1);
  ahead = 3_700_000;
  await feed.catchUp();
  expect(reloads).toBe(2);
});

test('events restored from the dump of another server are in force, and are read once', async () => {
  const one = await person();
  await owner.query("INSERT INTO changes (xid, kind, session_id) VALUES ('999999999999', 'session_ended', $1)", [
    one.sessionId,
  ]);
  const { view, steps, feed } = await follow();
  expect(statusOf(view, one)).toBe('revoked');
  await feed.catchUp();
  await feed.catchUp();
  expect(steps.flatMap((step) => step.events)).toEqual([]);
  await owner.query("UPDATE changes SET changed_at = now() - interval '3 hours' WHERE xid = '999999999999'");
  // The horizon of that server does not apply to the transactions of this one.
  await owner.query(`INSERT INTO changes_horizons VALUES
    (now() - interval '3 hours', '888888888888', (SELECT system_identifier FROM pg_control_system())),
    (now() - interval '4 hours', '1000000', 1)`);
  await owner.query(END, [(await person()).sessionId]);
  expect(await revocationEvents.prune(10)).toBe(1);
});

test('changed keys are reloaded before the view is confirmed', async () => {
  const order: string[] = [];
  const inner = createRevocationView();
  const { feed } = await follow({
    view: {
      reset: inner.reset,
      apply: inner.apply,
      confirm: (at) => {
        order.push('confirmed');
        inner.confirm(at);
      },
    },
    reloadKeys: async () => {
      await sleep(20);
      order.push('reloaded');
    },
    pollMs: 60_000,
  });
  order.length = 0;
  await owner.query(
    "INSERT INTO signing_keys (kid, algorithm, encrypted_private_key, state, created_at, signs_from) VALUES ('k', 'EdDSA', '', 'published', now(), now())",
  );
  await feed.catchUp();
  await owner.query("DELETE FROM signing_keys WHERE kid = 'k'");
  await feed.catchUp();
  expect(order).toEqual(['reloaded', 'confirmed', 'reloaded', 'confirmed']);
});

test('only events that can no longer stop a token are removed, and the service cannot remove others', async () => {
  await owner.query('DELETE FROM changes');
  await owner.query('DELETE FROM changes_horizons');
  const [old, slow, young] = [await person(), await person(), await person()];
  await owner.query(END, [old.sessionId]);
  // Transactions of other databases of this server count as well.
  await eventually(async () => {
    const { rows } = await owner.query('SELECT xid < pg_snapshot_xmin(pg_current_snapshot()) AS settled FROM changes');
    return rows[0].settled;
  }, 20_000);
  // A transaction that began before the horizon, and commits after it.
  const client = await owner.connect();
  await client.query('BEGIN');
  await client.query(END, [slow.sessionId]);
  expect(await revocationEvents.prune(10)).toBe(0);
  await client.query('COMMIT');
  client.release();
  await owner.query(END, [young.sessionId]);
  await owner.query("UPDATE changes_horizons SET seen_at = seen_at - interval '119 minutes'");
  expect(await revocationEvents.prune(10)).toBe(0);
  await owner.query(
    "UPDATE changes_horizons SET seen_at = seen_at - interval '2 minutes' WHERE seen_at < now() - interval '1 hour'",
  );
  expect(await revocationEvents.prune(10)).toBe(1);
  expect(await revocationEvents.prune(10)).toBe(0);
  const { rows } = await owner.query('SELECT session_id FROM changes ORDER BY id');
  expect(rows.map(({ session_id: id }) => id)).toEqual([slow.sessionId, young.sessionId]);
  const service = new pg.Client({ connectionString: database.serviceUrl });
  await service.connect();
  for (const statement of [
    'DELETE FROM changes',
    'UPDATE changes SET kind = kind',
    "INSERT INTO changes (kind) VALUES ('keys_changed')",
  ]) {
    await expect(service.query(statement)).rejects.toThrow('permission denied');
  }
  await service.end();
});
