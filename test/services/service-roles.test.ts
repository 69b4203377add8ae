// Services need a role to do more than verify tokens: to read the roles of users by id, and to name the client of a call.
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { createRoleReads } from '../../src/authorization/role-reads.ts';
import { serviceKeyFingerprint } from '../../src/keys/service-keys.ts';
import { openDatabase } from '../../src/store/postgres/database.ts';
import { createStore } from '../../src/store/store.ts';
import { SERVICE_KEY, startTestApp, testApp } from '../support/app.ts';
import { admin, auth, type Caller, verifierService, viaFetch, viaGrpcJs } from '../support/clients.ts';
import { createTestDatabase } from '../support/databases.ts';
import { eventually } from '../support/eventually.ts';
import { newPerson, registered, type SignedIn, signedIn, signedInWith } from '../support/people.ts';

const READ = 'latchkey.roles.read';
const ON_BEHALF = 'latchkey.on-behalf-of';
const reason = 'a test';

const app = await testApp();
const { call } = app;
let boss: SignedIn;
let person: SignedIn;
beforeAll(async () => {
  boss = await signedInWith(app, call, ['admin']);
  person = await signedIn(call);
});

const ask: Caller = (method, input) => call(method, input, { bearer: boss.accessToken });

async function robot(roles: string[] = []) {
  const name = `robot-${randomUUID().slice(0, 8)}`;
  const id: string = (await ask(admin.createServiceAccount, { name, reason })).body.serviceAccountId;
  for (const role of roles) await ask(admin.grantRole, { serviceAccountId: id, role, reason });
  const created = (await ask(admin.createApiKey, { serviceAccountId: id, name: 'a key', reason })).body;
  const { apiKey: key, apiKeyId: keyId }: { apiKey: string; apiKeyId: string } = created;
  const token: string = (await call(auth.issueServiceToken, {}, { bearer: key })).body.accessToken;
  return { id, name, key, keyId, token };
}

const checkById = (bearer: string, way = call) =>
  way(auth.checkRole, { userId: person.userId, role: 'user' }, { bearer });
const batchById = (bearer: string, way = call) =>
  way(
    verifierService.batchCheckRole,
    {
      checks: [
        { accessToken: person.accessToken, role: 'user' },
        { userId: person.userId, role: 'user' },
      ],
    },
    { bearer },
  );

describe('the roles of a user by their id', () => {
  test('can be read by services with latchkey.roles.read, by key and by token, in each protocol', async () => {
    const [plain, reader, speaker] = [await robot(['user']), await robot([READ]), await robot([ON_BEHALF])];
    for (const way of [call, viaGrpcJs(app.url)]) {
      for (const bearer of [plain.key, plain.token, speaker.key]) {
        for (const outcome of [await checkById(bearer, way), await batchById(bearer, way)]) {
          expect(outcome).toMatchObject({ code: 'permission_denied', reason: 'PERMISSION_DENIED' });
          expect(outcome.message).toContain(READ);
        }
      }
      for (const bearer of [reader.key, reader.token, SERVICE_KEY, boss.accessToken]) {
        expect((await checkById(bearer, way)).body.allowed).toBe(true);
        expect((await batchById(bearer, way)).body.answers).toMatchObject([{ allowed: true }, { allowed: true }]);
      }
    }
  });

  test('can be read with a role that implies latchkey.roles.read, until it is revoked', async () => {
    const role = `role-${randomUUID().slice(0, 8)}`;
    await ask(admin.defineRole, { role: { name: role, implies: [READ] }, reason });
    const one = await robot();
    expect((await checkById(one.key)).reason).toBe('PERMISSION_DENIED');
    await ask(admin.grantRole, { serviceAccountId: one.id, role, reason });
    await eventually(async () => (await checkById(one.key)).code === 'ok', 1_000);
    await ask(admin.revokeRole, { serviceAccountId: one.id, role, reason });
    await eventually(async () => (await checkById(one.key)).reason === 'PERMISSION_DENIED', 1_000);
  });

  test('cannot be read by users without the role admin, or by anonymous callers', async () => {
    const holder = await signedInWith(app, call, [READ]);
    expect((await checkById(holder.accessToken)).reason).toBe('PERMISSION_DENIED');
    expect((await checkById(person.accessToken)).reason).toBe('PERMISSION_DENIED');
    expect((await call(auth.checkRole, { userId: person.userId, role: 'user' })).reason).toBe('CREDENTIALS_MISSING');
  });

  test('are not needed by services that check tokens', async () => {
    const { key } = await robot();
    const checks = [{ accessToken: person.accessToken, role: 'user' }];
    const batch = await call(verifierService.batchCheckRole, { checks }, { bearer: key });
    expect(batch.body.answers).toMatchObject([{ allowed: true }]);
    const one = await call(auth.checkRole, { accessToken: person.accessToken, role: 'user' }, { bearer: key });
    expect(one.body.allowed).toBe(true);
  });

  test('are audited when they are denied', async () => {
    const { key, keyId, name } = await robot();
    await batchById(key);
    await eventually(async () => {
      const { rows } = await app.owner.query("SELECT actor, detail FROM audit_events WHERE type = 'permission_denied'");
      return rows.some(
        ({ actor, detail }) =>
          actor === `service:${name}` &&
          detail === `latchkey.auth.v1.RoleCheck.user_id by service ${name} with key ${keyId}`,
      );
    });
  });
});

describe('the client of a call', () => {
  let next = 0;
  /** The address in the audit trail of a sign-up with these headers, or the reason of its failure. */
  async function addressOf(bearer: string | undefined, given?: string): Promise<string> {
    const who = newPerson();
    next += 1;
    const headers = { 'x-client-address': given ?? `203.0.113.${next}`, 'x-client-user-agent': 'a phone' };
    const outcome = await call(auth.register, who, { headers, ...(bearer !== undefined && { bearer }) });
    if (outcome.code !== 'ok') return `${outcome.reason} ${outcome.message}`;
    const events = await eventually(async () => {
      const { rows } = await app.owner.query('SELECT address, user_agent FROM audit_events WHERE user_id = $1', [
        outcome.body.user.id,
      ]);
      return rows.length > 0 ? rows : null;
    });
    return `${events[0].address} ${events[0].user_agent}`;
  }

  test('is the client that a service with latchkey.on-behalf-of names, by key and by token', async () => {
    const speaker = await robot([ON_BEHALF]);
    for (const bearer of [speaker.key, speaker.token, SERVICE_KEY]) {
      expect(await addressOf(bearer)).toBe(`203.0.113.${next} a phone`);
    }
  });

  test('cannot be named by other services, whose error names the missing role', async () => {
    const [plain, reader] = [await robot(), await robot([READ])];
    for (const bearer of [plain.key, plain.token, reader.key]) {
      const rejected = await addressOf(bearer);
      expect(rejected).toMatch(/^PERMISSION_DENIED /);
      expect(rejected).toContain(ON_BEHALF);
    }
    const agent = { 'x-client-user-agent': 'a phone' };
    expect((await call(auth.register, newPerson(), { bearer: plain.key, headers: agent })).reason).toBe(
      'PERMISSION_DENIED',
    );
    expect((await call(auth.register, newPerson(), { bearer: plain.key })).code).toBe('ok');
  });

  test('is the peer of the call for users and anonymous callers', async () => {
    const holder = await signedInWith(app, call, [ON_BEHALF]);
    const unknown = `lka_${'x'.repeat(43)}`;
    for (const bearer of [undefined, 'x', unknown, holder.accessToken, boss.accessToken]) {
      expect(await addressOf(bearer)).toMatch(/^127\.0\.0\.1 /);
    }
  });
});

describe('each granted check of a user by their id is counted', () => {
  type Counted = { answers: number; users: number; roles: string[]; isTruncated: boolean };
  const eventsOf = async (client: pg.Pool | pg.Client, actor: string): Promise<Counted[]> => {
    const { rows } = await client.query(
      "SELECT after FROM audit_events WHERE type = 'roles_read' AND actor = $1 ORDER BY seq",
      [actor],
    );
    return rows.map(({ after }) => after);
  };

  test('in one event for each caller in 15 minutes', async () => {
    const reader = await robot([READ]);
    const people = [person, await registered(call), await registered(call)];
    const checks = people.flatMap(({ userId }) => ['user', 'admin'].map((role) => ({ userId, role })));
    for (let n = 0; n < 10; n += 1) await call(verifierService.batchCheckRole, { checks }, { bearer: reader.key });
    await checkById(reader.key);
    await checkById(boss.accessToken);
    expect(await eventsOf(app.owner, `service:${reader.name}`)).toEqual([]);
    app.advance(15 * 60_000);
    const [event, ...others] = await eventually(async () => {
      const events = await eventsOf(app.owner, `service:${reader.name}`);
      return events.length > 0 ? events : null;
    }, 20_000);
    expect(event).toMatchObject({ answers: 31, users: 3, roles: ['user'], isTruncated: false });
    expect(others).toEqual([]);
    expect(await eventsOf(app.owner, `user:${boss.userId}`)).toMatchObject([{ users: 1, roles: ['user'] }]);
  });

  test('including those of the last minutes before a stop', async () => {
    // No worker takes the event out of the outbox.
    const other = await startTestApp({}, { api: true, worker: false });
    const way = viaFetch(other.url);
    const { userId } = await registered(way);
    for (let n = 0; n < 3; n += 1) await way(auth.checkRole, { userId, role: 'user' }, { bearer: SERVICE_KEY });
    await other.close();
    const client = new pg.Client({ connectionString: other.environment.MIGRATION_DATABASE_URL });
    await client.connect();
    onTestFinished(() => client.end());
    const { rows } = await client.query("SELECT payload FROM outbox WHERE payload ->> 'type' = 'roles_read'");
    expect(rows).toMatchObject([
      {
        payload: { actor: 'service:gateway', after: { answers: 3, users: 1, key: serviceKeyFingerprint(SERVICE_KEY) } },
      },
    ]);
  });

  describe('by a component', () => {
    async function open() {
      const { serviceUrl, ownerUrl } = await createTestDatabase();
      const db = openDatabase({ url: serviceUrl, poolSize: 2, statementTimeoutMs: 5_000 }, () => {});
      const client = new pg.Client({ connectionString: ownerUrl });
      await client.connect();
      onTestFinished(async () => {
        await db.destroy();
        await client.end();
      });
      const store = createStore(db, randomUUID, () => new Date());
      const counted = async (): Promise<{ actor: string; after: Counted }[]> => {
        const { rows } = await client.query('SELECT payload FROM outbox ORDER BY payload');
        return rows.map(({ payload }) => ({ actor: payload.actor, after: payload.after }));
      };
      return { store, counted, client };
    }

    test('that holds a bounded number of users, roles and callers', async () => {
      const { store, counted } = await open();
      const reads = createRoleReads({ store, now: () => new Date() });
      for (let n = 0; n < 5_000; n += 1) {
        reads.record({ reader: { name: 'service:a', key: null }, userId: randomUUID(), role: `role-${n % 50}` });
      }
      for (let n = 0; n < 500; n += 1)
        reads.record({ reader: { name: `service:b-${n}`, key: null }, userId: 'x', role: 'user' });
      await reads.close();
      const events = await counted();
      expect(events).toHaveLength(501);
      const [first] = events.filter(({ actor }) => actor === 'service:a');
      expect(first?.after).toMatchObject({ answers: 5_000, users: 1_000, isTruncated: true });
      expect(first?.after.roles).toHaveLength(20);
    });

    test('that keeps the events that it could not write', async () => {
      const { store, counted, client } = await open();
      let now = Date.now();
      const reads = createRoleReads({ store, now: () => new Date(now) });
      const note = (userId: string) => reads.record({ reader: { name: 'service:a', key: null }, userId, role: 'user' });
      note('one');
      await client.query('REVOKE INSERT ON outbox FROM latchkey_service');
      now += 15 * 60_000;
      note('two');
      await new Promise((resolve) => setTimeout(resolve, 300));
      await client.query('GRANT INSERT ON outbox TO latchkey_service');
      await reads.close();
      expect(await counted()).toMatchObject([{ after: { answers: 2, users: 2 } }]);
    });

    test('that does not count reads of a user’s own roles', async () => {
      const { store, counted } = await open();
      const reads = createRoleReads({ store, now: () => new Date() });
      reads.record({ reader: { name: 'user:one', key: null }, userId: 'one', role: 'user' });
      await reads.close();
      expect(await counted()).toEqual([]);
    });
  });
});
