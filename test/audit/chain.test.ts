// The chain of the audit trail: written by several workers at once, and verified after tampering.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startApp } from '../../src/app.ts';
import { readConfig } from '../../src/config/config.ts';
import { createLogger } from '../../src/process/log.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { account, admin, auth, type Caller, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { registered, registeredCrowd, type SignedIn, signedIn, signedInWith } from '../support/people.ts';
import { runMain } from '../support/processes.ts';

let app: TestApp;
let call: Caller;
let folder: string;
let workers: { close(): Promise<void> }[];
let lines: string[];
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'latchkey-audit-'));
  lines = [];
  app = await startTestApp({ AUDIT_ANCHOR_SECONDS: '1', AUDIT_ANCHOR_FILE: join(folder, 'anchors') });
  call = viaFetch(app.url);
  const log = createLogger('info', { write: (line) => void lines.push(line) });
  workers = await Promise.all(
    [1, 2].map(() => startApp(readConfig(app.environment), { api: false, worker: true }, log)),
  );
});
afterAll(async () => {
  await Promise.all(workers.map((worker) => worker.close()));
  await app.close();
  rmSync(folder, { recursive: true });
});

const recorded = () => eventually(async () => (await app.owner.query('SELECT FROM outbox')).rowCount === 0);
const places = async () =>
  (await app.owner.query('SELECT seq::int FROM audit_events ORDER BY seq')).rows.map(({ seq }) => seq as number);

async function latchkey(...args: string[]) {
  const { DATABASE_URL, MIGRATION_DATABASE_URL } = app.environment;
  const running = runMain(['audit', ...args], { DATABASE_URL, MIGRATION_DATABASE_URL });
  return { exit: await running.ended, output: running.output() };
}

test('three workers write one chain: each event once, without a gap', async () => {
  await registeredCrowd(call, 60);
  await recorded();
  const seqs = await places();
  expect(seqs.length).toBeGreaterThanOrEqual(60);
  expect(seqs).toEqual(seqs.map((_, n) => n + 1));
  const { exit, output } = await latchkey('verify');
  expect(output).toMatch(new RegExp(`^events +${seqs.length}\n(.*\n)*the audit trail is whole\n$`));
  expect(exit).toBe(0);
});

test('an event that cannot be recorded does not delay others', async () => {
  await app.owner.query(
    `INSERT INTO outbox (id, topic, payload, created_at)
      VALUES ('00000000-0000-7000-8000-000000000000', 'audit', '{"type": "odd", "userId": "none"}', now())`,
  );
  const person = await registered(call);
  await eventually(async () => {
    const { rowCount } = await app.owner.query('SELECT FROM audit_events WHERE user_id = $1', [person.userId]);
    return rowCount === 1;
  });
  await app.owner.query("DELETE FROM outbox WHERE payload ->> 'type' = 'odd'");
});

test('its end is written to the log and to a file, which reveals a rewritten chain', async () => {
  await registered(call);
  await recorded();
  await eventually(() => lines.some((line) => line.includes('audit anchor')));
  const [seq] = (await places()).slice(-1);
  const anchors = join(folder, 'anchors');
  await eventually(async () => (await latchkey('verify', '--anchors', anchors)).exit === 0);
  writeFileSync(join(folder, 'log'), lines.join(''));
  expect((await latchkey('verify', '--anchors', join(folder, 'log'))).exit).toBe(0);
  writeFileSync(join(folder, 'other'), `{"audit_seq":"${seq}","audit_hash":"${'0'.repeat(64)}"}\n`);
  const other = await latchkey('verify', '--anchors', join(folder, 'other'));
  expect(other.output).toContain(`${seq}`);
  expect(other.output).toContain('differs from its anchor');
  expect(other.exit).toBe(1);
  expect((await latchkey('verify', '--anchors', '/dev/null')).output).toContain('has no anchors');
});

describe('verify finds', () => {
  beforeEach(async () => {
    for (let n = 0; n < 3; n += 1) await registered(call);
    await recorded();
    await app.owner.query('DROP TABLE IF EXISTS before_all; CREATE TABLE before_all AS TABLE audit_events');
  });
  /** Changes the third last event behind the service's back, and restores it afterwards. */
  async function tampering(statement: string, ...more: string[]): Promise<{ at: number; output: string }> {
    const at = (await places()).at(-3) as number;
    for (const one of [statement, ...more]) await app.owner.query(one.replaceAll('$at', String(at)));
    const { exit, output } = await latchkey('verify');
    await app.owner.query('DELETE FROM audit_events; INSERT INTO audit_events TABLE before_all');
    expect(exit).toBe(1);
    expect((await latchkey('verify')).output).toContain('is whole');
    return { at, output };
  }

  test.each([
    ['a changed type', "UPDATE audit_events SET type = 'x' WHERE seq = $at"],
    ['a changed time', "UPDATE audit_events SET occurred_at = occurred_at + interval '1 microsecond' WHERE seq = $at"],
    ['a word that moves to the next field', 'UPDATE audit_events SET account = NULL, detail = account WHERE seq = $at'],
    ['an empty text for none', "UPDATE audit_events SET detail = '' WHERE seq = $at"],
    ['a before that was none', "UPDATE audit_events SET before = '{}' WHERE seq = $at"],
    ['another request', "UPDATE audit_events SET request_id = request_id || 'x' WHERE seq = $at"],
  ])('%s', async (_, statement) => {
    const { at, output } = await tampering(statement);
    expect(output).toMatch(new RegExp(`^${at} +was changed$`, 'm'));
    expect(output).toMatch(/: 1 problem$/m);
  });

  test('another address', async () => {
    const { at, output } = await tampering("UPDATE audit_events SET address = '192.0.2.9' WHERE seq = $at");
    expect(output).toMatch(new RegExp(`^${at} +had its address or user agent changed$`, 'm'));
  });

  test('an address that was erased, although its user exists', async () => {
    const wipe = "UPDATE audit_events SET address = '', user_agent = '', origin_salt = NULL WHERE seq = $at";
    const { at, output } = await tampering(wipe);
    expect(output).toMatch(new RegExp(`^${at} +lacks its address and user agent`, 'm'));
  });

  test('a missing event', async () => {
    const { at, output } = await tampering('DELETE FROM audit_events WHERE seq = $at');
    expect(output).toMatch(new RegExp(`^${at} +${at} is missing$`, 'm'));
  });

  test('two events that changed places', async () => {
    const { at, output } = await tampering(
      'UPDATE audit_events SET seq = -1 WHERE seq = $at',
      'UPDATE audit_events SET seq = $at WHERE seq = $at + 1',
      'UPDATE audit_events SET seq = $at + 1 WHERE seq = -1',
    );
    expect(output).toMatch(new RegExp(`^${at} +does not follow`, 'm'));
  });

  test('a duplicate event', async () => {
    const copy = `INSERT INTO audit_events SELECT (jsonb_populate_record(e, jsonb_build_object(
      'id', gen_random_uuid(), 'recorded_at', recorded_at + interval '1 second'))).* FROM audit_events AS e WHERE seq = $at`;
    const { at, output } = await tampering(copy);
    expect(output).toMatch(new RegExp(`^${at} +is duplicate$`, 'm'));
  });

  test.each(['-5', '1000000'])('an event at an impossible position: %s', async (place) => {
    const copy = `INSERT INTO audit_events SELECT (jsonb_populate_record(e, jsonb_build_object(
      'id', gen_random_uuid(), 'seq', ${place}))).* FROM audit_events AS e WHERE seq = $at`;
    expect((await tampering(copy)).output).toMatch(
      place === '-5' ? /^-5 +is at an impossible position$/m : /are missing/,
    );
  });

  test('a chain that was cut off at its end, or at its beginning', async () => {
    const end = await tampering('DELETE FROM audit_events WHERE seq >= $at');
    expect(end.output).toMatch(new RegExp(`^${end.at} +the chain continues to ${end.at + 2}`, 'm'));
    const begin = await tampering('DELETE FROM audit_events WHERE seq < $at');
    expect(begin.output).toMatch(new RegExp(`^1 +1 to ${begin.at - 1} are missing, and no event records`, 'm'));
  });

  test('an event that was changed with its hash: the next one does not follow it', async () => {
    const { at, output } = await tampering(
      "UPDATE audit_events SET type = 'x', hash = sha256(previous_hash || 'anything') WHERE seq = $at",
    );
    expect(output).toMatch(new RegExp(`^${at + 1} +does not follow`, 'm'));
  });
});

test('erasing the addresses of a deleted user keeps the chain whole', async () => {
  const person = await signedIn(call);
  await call(account.deleteMe, { currentPassword: person.password }, { bearer: person.accessToken });
  await recorded();
  await app.owner.query("UPDATE erasures SET deleted_at = deleted_at - interval '2 minutes'");
  await eventually(async () => {
    const { rows } = await app.owner.query('SELECT address FROM audit_events WHERE user_id = $1', [person.userId]);
    return rows.every(({ address }) => address === '');
  });
  await recorded();
  expect((await latchkey('verify')).output).toContain('is whole');
});

test('dropping old months keeps the rest of the chain whole', async () => {
  await recorded();
  const month = new Date().toISOString().slice(0, 7).replace('-', '_');
  await app.owner.query(`ALTER TABLE audit_events_${month} RENAME TO audit_events_2020_01`);
  await app.owner.query('ALTER TABLE audit_events DETACH PARTITION audit_events_2020_01');
  await app.owner.query(
    "UPDATE audit_events_2020_01 SET recorded_at = '2020-01-05'::timestamptz + seq * interval '1 second'",
  );
  await app.owner.query(
    "ALTER TABLE audit_events ATTACH PARTITION audit_events_2020_01 FOR VALUES FROM ('2020-01-01') TO ('2020-02-01')",
  );
  await app.owner.query('SELECT ensure_audit_partitions()');
  const last = (await places()).at(-1) as number;
  expect((await latchkey('drop', '--before', '2020-01-31')).output).toContain('no whole month');
  const { output } = await latchkey('drop', '--before', '2020-02-01');
  expect(output).toMatch(new RegExp(`^audit_events_2020_01 +${last}$`, 'm'));
  expect(await places()).toEqual([last + 1]);
  await registered(call);
  await recorded();
  expect((await latchkey('verify')).output).toContain('is whole');
  expect((await latchkey('drop')).output).toContain('--before is required');
  const { rows } = await app.owner.query("SELECT actor, before FROM audit_events WHERE type = 'audit_events_dropped'");
  expect(rows).toMatchObject([{ actor: expect.stringMatching(/^operator:/), before: { count: last, lastSeq: last } }]);
});

test('the service cannot write the events of the chain itself, and the current month cannot be dropped', async () => {
  for (const type of ['traces_erased', 'audit_events_dropped']) {
    await app.owner.query(
      `INSERT INTO outbox (id, topic, payload, created_at) VALUES (gen_random_uuid(), 'audit', $1, now())`,
      [JSON.stringify({ type, before: { lastSeq: 'x' } })],
    );
  }
  await eventually(async () => (await app.owner.query('SELECT FROM outbox WHERE dead_at IS NOT NULL')).rowCount === 2);
  await app.owner.query('DELETE FROM outbox');
  expect((await latchkey('drop', '--before', '2100-01-01')).output).toContain(
    'not be later than the first of this month',
  );
  await expect(app.owner.query("SELECT drop_audit_events('2100-01-01')")).rejects.toThrow('not over yet');
  expect((await latchkey('verify')).output).toContain('is whole');
  expect((await latchkey('verify', '--anchors', '/nonexistent')).output).toBe('/nonexistent cannot be read\n');
});

test('an action on a deleted user keeps the address of the administrator', async () => {
  const boss = await signedInWith(app, call, ['admin']);
  const person = await signedIn(call);
  await call(admin.deleteUser, { userId: person.userId, reason: 'a test' }, { bearer: boss.accessToken });
  await recorded();
  await app.owner.query("UPDATE erasures SET deleted_at = deleted_at - interval '2 minutes'");
  await eventually(async () => (await app.owner.query('SELECT FROM erasures')).rowCount === 0);
  const { rows } = await app.owner.query('SELECT type, address FROM audit_events WHERE user_id = $1 ORDER BY seq', [
    person.userId,
  ]);
  expect(rows.filter(({ address }) => address !== '')).toEqual([{ type: 'user_deleted', address: '127.0.0.1' }]);
});

describe('QueryAuditEvents', () => {
  let boss: SignedIn;
  beforeAll(async () => {
    boss = await signedInWith(app, call, ['admin']);
  });
  const query = (input: object) => call(admin.queryAuditEvents, input as never, { bearer: boss.accessToken });
  type Event = { seq: string; type: string; userId: string };

  test('finds the events of a target', async () => {
    const role = { name: 'auditor', description: '', implies: [], granter: 'admin' };
    await call(admin.defineRole, { role, reason: 'a test' }, { bearer: boss.accessToken });
    await recorded();
    const { body } = await query({ target: 'role:auditor' });
    expect(body.events).toMatchObject([{ type: 'role_defined', target: 'role:auditor' }]);
  });

  test.each([
    { email: 'x' },
    { email: `${'x'.repeat(10_000)}@people.example` },
    { network: '10.0.0.0/33' },
    { network: '10.0.0.1/' },
    { network: '10.0.0' },
    { network: 'fe80::1%eth0' },
    { network: "127.0.0.1'::inet; --" },
    { network: '127.0.0.1\0' },
    { target: '\0' },
    { target: 'x'.repeat(10_000) },
    { actor: '\0' },
  ])('rejects %j', async (filter) => {
    expect(await query(filter)).toMatchObject({ reason: 'INVALID_ARGUMENT', fields: Object.keys(filter) });
  });

  test('returns the newest first, by user, email, actor, target, type, network and time, in pages', async () => {
    const person = await signedIn(call);
    await call(auth.login, { email: person.email, password: 'a wrong pass phrase' });
    await call(admin.disableUser, { userId: person.userId, reason: 'a test' }, { bearer: boss.accessToken });
    await recorded();
    const types = async (input: object) => ((await query(input)).body.events as Event[]).map(({ type }) => type);
    const all = ['user_disabled', 'login_failed', 'login_succeeded', 'registered'];
    expect(await types({ userId: person.userId })).toEqual(all);
    expect(await types({ userId: person.userId, type: 'login_failed' })).toEqual(['login_failed']);
    expect(await types({ actor: `user:${boss.userId}`, userId: person.userId })).toEqual(['user_disabled']);
    const now = new Date().toISOString();
    expect(await types({ userId: person.userId, from: now })).toEqual([]);
    expect(await types({ userId: person.userId, until: now })).toEqual(all);
    const first = await query({ userId: person.userId, pageSize: 3 });
    const { nextPageToken } = first.body;
    const second = await query({ userId: person.userId, pageSize: 3, pageToken: nextPageToken });
    expect([...first.body.events, ...second.body.events].map(({ type }: Event) => type)).toEqual(all);
    expect((await query({ pageToken: nextPageToken })).fields).toEqual(['page_token']);
    expect((await query({ userId: 'x', type: 'X' })).fields?.toSorted()).toEqual(['type', 'user_id']);
    expect(await query({ type: 'no_such_type' })).toMatchObject({ reason: 'INVALID_ARGUMENT', fields: ['type'] });
    const onlyPerson = { userId: person.userId };
    expect(await types({ email: person.email.toUpperCase() })).toEqual(all);
    expect(await types({ email: `other-${person.email}` })).toEqual([]);
    expect(await types({ ...onlyPerson, network: '127.0.0.0/8' })).toEqual(all);
    expect(await types({ ...onlyPerson, network: '127.0.0.1' })).toEqual(all);
    for (const network of ['10.0.0.0/8', '::/064', '::1', '2001:db8:1:2:3:4:5::/112'])
      expect(await types({ ...onlyPerson, network })).toEqual([]);
    expect(first.body.events[0]).toMatchObject({
      ...{ actor: `user:${boss.userId}`, detail: 'a test', before: { sessions: 1 }, after: { sessions: 0 } },
    });
    const { output } = await latchkey('list', '--user', person.userId, '--type', 'user_disabled', '--json');
    expect(JSON.parse(output)).toMatchObject([{ type: 'user_disabled', detail: 'a test' }]);
    expect(await latchkey('list', '--type', 'no_such_type')).toMatchObject({
      exit: 1,
      output: expect.stringContaining('--type must be'),
    });
  });
});
