// Signing keys in the running service, changed by administrators, operators and the schedule, and used by verifiers.

import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLocalJWKSet, decodeProtectedHeader, type JSONWebKeySet, jwtVerify } from 'jose';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createLatchkey } from '../../src/client/latchkey.ts';
import { readConfig } from '../../src/config/config.ts';
import { createKeyRotation } from '../../src/keys/key-rotation.ts';
import { derivePurposeKeys } from '../../src/keys/purpose-keys.ts';
import { databaseOf } from '../../src/store/postgres/database.ts';
import { createSigningKeyRows } from '../../src/store/signing-key-rows.ts';
import { SERVICE_KEY, startTestApp, type TestApp } from '../support/app.ts';
import { admin, auth, type Caller, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { isAccepted, refreshed, type SignedIn, signedIn, signedInWith } from '../support/people.ts';
import { runMain } from '../support/processes.ts';

const DAY_MS = 86_400_000;
const WHY = { reason: 'a test' };

let app: TestApp;
let call: Caller;
let boss: SignedIn;
const as = ({ accessToken }: SignedIn) => ({ bearer: accessToken });
type Key = { kid: string; algorithm: string; state: string };
const keysOf = async (by = boss): Promise<Key[]> =>
  (await call(admin.listSigningKeys, {}, as(by))).body.signingKeys.map(({ kid, algorithm, state }: Key) => ({
    kid,
    algorithm,
    state: state.replace('STATE_', '').toLowerCase(),
  }));
const states = async (by = boss) => (await keysOf(by)).map(({ state }) => state);
const kidOf = (token: string) => decodeProtectedHeader(token).kid;
const jwks = async () => {
  const response = await fetch(`${app.url}/.well-known/jwks.json`);
  return { set: (await response.json()) as JSONWebKeySet, cacheControl: response.headers.get('cache-control') };
};

async function begin(environment: Record<string, string> = {}) {
  app = await startTestApp(environment);
  call = viaFetch(app.url);
  boss = await signedInWith(app, call, ['admin']);
}

describe('rotation', () => {
  beforeEach(() => begin());
  afterEach(() => app.close());

  test('the published key signs, and tokens of the former key stay valid', async () => {
    const [active, next] = await keysOf();
    expect([active?.state, next?.state]).toEqual(['active', 'published']);
    expect((await jwks()).set.keys.map(({ kid }) => kid)).toEqual([active?.kid, next?.kid]);
    expect((await call(admin.rotateSigningKeys, WHY, as(boss))).body).toEqual({});
    expect((await states()).slice(0, 2)).toEqual(['retiring', 'active']);
    await eventually(async () => (await states())[2] === 'published', 10_000);
    const person = await signedIn(call);
    expect(kidOf(person.accessToken)).toBe(next?.kid);
    expect(kidOf(boss.accessToken)).toBe(active?.kid);
    // The process receives the key that a worker has published a moment later.
    const set = await eventually(async () => {
      const { set: shown } = await jwks();
      return shown.keys.length === 3 ? shown : null;
    });
    for (const { accessToken } of [boss, person]) {
      expect(await isAccepted(call, accessToken)).toBe(true);
      const options = { issuer: 'https://product.example', audience: 'latchkey' };
      await jwtVerify(accessToken, createLocalJWKSet(set), options);
    }
  });

  test('waits until every verifier can have the next key', async () => {
    await call(admin.rotateSigningKeys, WHY, as(boss));
    const rejected = await eventually(async () => {
      const outcome = await call(admin.rotateSigningKeys, WHY, as(boss));
      expect(outcome).toMatchObject({ code: 'failed_precondition', reason: 'SIGNING_KEY_NOT_READY' });
      // The retry delay is unknown until a worker has published the next key.
      return outcome.retryAfterSeconds === undefined ? null : outcome;
    }, 10_000);
    expect(rejected.retryAfterSeconds).toBeGreaterThan(3_590);
    expect(rejected.retryAfterSeconds).toBeLessThanOrEqual(3_600);
    app.advance(3_601_000);
    boss = await refreshed(call, boss);
    expect((await call(admin.rotateSigningKeys, WHY, as(boss))).code).toBe('ok');
    expect((await states()).slice(0, 3)).toEqual(['retiring', 'retiring', 'active']);
  });

  test('happens automatically after thirty days; an hour after its last token a key is retired and its private key erased', async () => {
    const [active, next] = await keysOf();
    app.advance(30 * DAY_MS + 1_000);
    const person = await eventually(async () => {
      const other = await signedIn(call);
      return kidOf(other.accessToken) === next?.kid ? other : null;
    }, 15_000);
    app.advance(3_600_000 + 200_000);
    boss = await signedInWith(app, call, ['admin']);
    await eventually(async () => (await states())[0] === 'retired', 15_000);
    const { rows } = await app.owner.query('SELECT encrypted_private_key FROM signing_keys WHERE kid = $1', [
      active?.kid,
    ]);
    expect(rows).toEqual([{ encrypted_private_key: null }]);
    // Each process reads the change a moment later.
    await eventually(async () => (await jwks()).set.keys.every(({ kid }) => kid !== active?.kid));
    expect(kidOf(person.accessToken)).toBe(next?.kid);
    const events = await eventually(async () => {
      const { rows: all } = await app.owner.query(
        "SELECT type, actor, target, before, after FROM audit_events WHERE type LIKE 'signing_key%' ORDER BY seq",
      );
      return all.length > 5 ? all : null;
    });
    expect(events).toEqual([
      {
        type: 'signing_key_activated',
        actor: null,
        target: `signing_key:${active?.kid}`,
        before: null,
        after: { state: 'active' },
      },
      {
        type: 'signing_key_published',
        actor: null,
        target: `signing_key:${next?.kid}`,
        before: null,
        after: { state: 'published' },
      },
      {
        type: 'signing_key_retiring',
        actor: null,
        target: `signing_key:${active?.kid}`,
        before: { state: 'active' },
        after: { state: 'retiring' },
      },
      {
        type: 'signing_key_activated',
        actor: null,
        target: `signing_key:${next?.kid}`,
        before: { state: 'published' },
        after: { state: 'active' },
      },
      expect.objectContaining({ type: 'signing_key_published' }),
      expect.objectContaining({ type: 'signing_key_retired', target: `signing_key:${active?.kid}` }),
    ]);
  });

  test('requires an administrator and a reason, and is audited', async () => {
    const person = await signedIn(call);
    for (const [method, input] of [
      [admin.listSigningKeys, {}],
      [admin.rotateSigningKeys, WHY],
      [admin.retireSigningKey, { kid: (await keysOf())[0]?.kid as string, ...WHY }],
    ] as const) {
      expect((await call(method, input, as(person))).reason).toBe('PERMISSION_DENIED');
      expect((await call(method, input, { bearer: SERVICE_KEY })).reason).toBe('PERMISSION_DENIED');
      expect((await call(method, input)).reason).toBe('CREDENTIALS_MISSING');
    }
    expect((await call(admin.rotateSigningKeys, {}, as(boss))).fields).toEqual(['reason']);
    expect((await call(admin.retireSigningKey, { kid: '../x' }, as(boss))).fields).toEqual(['kid', 'reason']);
    await call(admin.rotateSigningKeys, { reason: 'a laptop was lost' }, as(boss));
    const event = await eventually(async () => {
      const { rows } = await app.owner.query(
        "SELECT actor, detail FROM audit_events WHERE type = 'signing_key_activated' AND actor IS NOT NULL",
      );
      return rows[0];
    });
    expect(event).toEqual({ actor: `user:${boss.userId}`, detail: 'a laptop was lost' });
  });

  test('parallel calls rotate once: the next key is not ready for the others', async () => {
    const outcomes = await Promise.all(Array.from({ length: 10 }, () => call(admin.rotateSigningKeys, WHY, as(boss))));
    expect(outcomes.filter(({ code }) => code === 'ok')).toHaveLength(1);
    expect(new Set(outcomes.map(({ reason }) => reason))).toEqual(new Set([undefined, 'SIGNING_KEY_NOT_READY']));
    expect((await states()).slice(0, 2)).toEqual(['retiring', 'active']);
  });
});

describe('a stolen key', () => {
  beforeEach(() => begin());
  afterEach(() => app.close());

  test('is rejected within a second by every verifier; refresh tokens stay valid', async () => {
    const person = await signedIn(call);
    const latchkey = createLatchkey({ url: app.url, serviceKey: SERVICE_KEY });
    try {
      await latchkey.ready();
      await latchkey.verify(person.accessToken);
      expect(await isAccepted(call, person.accessToken)).toBe(true);
      const [active, next] = await keysOf();
      const at = performance.now();
      expect((await call(admin.retireSigningKey, { kid: active?.kid as string, ...WHY }, as(boss))).code).toBe('ok');
      expect((await call(auth.verify, { accessToken: person.accessToken })).reason).toBe('TOKEN_INVALID');
      await eventually(() =>
        latchkey.verify(person.accessToken).then(
          () => false,
          (error) => error.reason === 'TOKEN_INVALID',
        ),
      );
      expect(performance.now() - at).toBeLessThan(1_000);
      const again = await refreshed(call, person);
      expect(kidOf(again.accessToken)).toBe(next?.kid);
      expect(await isAccepted(call, again.accessToken)).toBe(true);
      expect((await latchkey.verify(again.accessToken)).roles).toEqual(['user']);
      boss = await refreshed(call, boss);
      expect((await states()).slice(0, 2)).toEqual(['retired', 'active']);
      expect((await call(admin.retireSigningKey, { kid: active?.kid as string, ...WHY }, as(boss))).reason).toBe(
        'SIGNING_KEY_NOT_FOUND',
      );
    } finally {
      latchkey.close();
    }
  });

  test('can be the published key, a retiring key, or every key', async () => {
    await call(admin.rotateSigningKeys, WHY, as(boss));
    const all = await eventually(async () => {
      const keys = await keysOf();
      return keys.length === 3 ? keys : null;
    }, 10_000);
    for (const { kid } of all.toReversed()) {
      expect((await call(admin.retireSigningKey, { kid, ...WHY }, as(boss))).code).toBe('ok');
      boss = await refreshed(call, boss);
      expect((await states()).filter((state) => state === 'active')).toHaveLength(1);
    }
    const { rows } = await app.owner.query(
      'SELECT count(encrypted_private_key)::int AS secrets FROM signing_keys WHERE kid = ANY($1)',
      [all.map(({ kid }) => kid)],
    );
    expect(rows).toEqual([{ secrets: 0 }]);
  });
});

describe('a process that receives events late', () => {
  // It receives no notification, and its data is out of date at almost any moment.
  beforeAll(() =>
    begin({
      DATABASE_LISTEN_URL: 'none',
      REVOCATION_POLL_MS: '5000',
      REVOCATION_MAX_AGE_MS: '100',
      KEY_PUBLISH_SECONDS: '2',
    }),
  );
  afterAll(() => app.close());

  test('signs with the current key, accepts its tokens, and rejects tokens of a retired key', async () => {
    const rotation = createKeyRotation({
      store: createSigningKeyRows(databaseOf(app.owner), randomUUID),
      encryptionKeys: derivePurposeKeys(readConfig(app.environment).keys.masterKeys).signingKeyEncryption,
      now: () => new Date(),
    });
    // Another process rotates. This one receives no notification.
    const actor = { kind: 'operator', name: 'test' } as const;
    const why = { actor, detail: 'a test', origin: { address: '', userAgent: '', requestId: '' } };
    const [active, next] = await keysOf();
    const before = await signedIn(call);
    expect(kidOf(before.accessToken)).toBe(active?.kid);
    await sleep(200);
    await rotation.rotate(why);
    const after = await signedIn(call);
    expect(kidOf(after.accessToken)).toBe(next?.kid);
    expect([await isAccepted(call, before.accessToken), await isAccepted(call, after.accessToken)]).toEqual([
      true,
      true,
    ]);
    await sleep(200);
    await rotation.remove(active?.kid as string, why);
    expect((await jwks()).set.keys.map(({ kid }) => kid)).not.toContain(active?.kid);
    expect((await call(auth.verify, { accessToken: before.accessToken })).reason).toBe('TOKEN_INVALID');
    expect(await isAccepted(call, after.accessToken)).toBe(true);
    await sleep(200);
    await rotation.remove(next?.kid as string, why);
    const { body } = await call(auth.refresh, { refreshToken: after.refreshToken });
    expect([active?.kid, next?.kid]).not.toContain(kidOf(body.tokens.accessToken));
    expect(await isAccepted(call, body.tokens.accessToken)).toBe(true);
  });
});

describe.each([
  ['EdDSA', 'EdDSA', ['alg', 'crv', 'kid', 'kty', 'use', 'x']],
  ['Ed25519', 'EdDSA', ['alg', 'crv', 'kid', 'kty', 'use', 'x']],
  ['ES256', 'ES256', ['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y']],
  ['RS256', 'RS256', ['alg', 'e', 'kid', 'kty', 'n', 'use']],
])('SIGNING_ALGORITHM=%s', (name, alg, members) => {
  beforeAll(() => begin({ SIGNING_ALGORITHM: name }));
  afterAll(() => app.close());

  test('signs tokens that every verifier accepts', async () => {
    const person = await signedIn(call);
    expect(decodeProtectedHeader(person.accessToken)).toMatchObject({ alg, typ: 'at+jwt' });
    expect(await isAccepted(call, person.accessToken)).toBe(true);
    const { set, cacheControl } = await jwks();
    expect(cacheControl).toBe('public, max-age=300');
    expect(set.keys.map((key) => Object.keys(key).toSorted())).toEqual([members, members]);
    expect(set.keys.map((key) => key.alg)).toEqual([alg, alg]);
    await jwtVerify(person.accessToken, createLocalJWKSet(set), { algorithms: [alg], typ: 'at+jwt' });
    const latchkey = createLatchkey({ url: app.url, serviceKey: SERVICE_KEY });
    await latchkey.ready();
    expect(await latchkey.verify(person.accessToken)).toMatchObject({ userId: person.userId });
    latchkey.close();
  });
});

describe('in the database', () => {
  beforeAll(() => begin());
  afterAll(() => app.close());

  test.each([
    [
      "UPDATE signing_keys SET state = 'published', activated_at = NULL WHERE state = 'active'",
      /is active, and cannot become published/,
    ],
    ["UPDATE signing_keys SET state = 'retired', retired_at = now() WHERE state = 'active'", /signing_keys_secret/],
    ["UPDATE signing_keys SET encrypted_private_key = NULL WHERE state = 'active'", /signing_keys_secret/],
    [
      "UPDATE signing_keys SET state = 'active', activated_at = now() WHERE state = 'published'",
      /signing_keys_one_active_idx/,
    ],
    ["UPDATE signing_keys SET retiring_at = now() WHERE state = 'active'", /signing_keys_times/],
    ["UPDATE signing_keys SET activated_at = now() WHERE state = 'active'", /times of past changes/],
  ])('%s is rejected', async (statement, why) => {
    await expect(app.owner.query(statement)).rejects.toThrow(why);
  });

  test('a retired key cannot be deleted and inserted again', async () => {
    const service = new pg.Client({ connectionString: app.environment.DATABASE_URL });
    await service.connect();
    const standby = await eventually(async () => (await keysOf()).find(({ state }) => state === 'published'), 10_000);
    const gone = [standby.kid];
    await service.query(
      "UPDATE signing_keys SET state = 'retired', retired_at = '2000-01-01', encrypted_private_key = NULL WHERE kid = ANY($1)",
      [gone],
    );
    expect((await service.query('SELECT remove_retired_keys() AS removed')).rows).toEqual([{ removed: 0 }]);
    await expect(service.query('UPDATE signing_keys SET blanked_at = now()')).rejects.toThrow(/permission denied/);
    await expect(
      service.query("UPDATE signing_keys SET retired_at = '1999-01-01' WHERE kid = ANY($1)", [gone]),
    ).rejects.toThrow(/times of past changes/);
    await service.end();
    await app.owner.query("UPDATE signing_keys SET blanked_at = now() - interval '91 days' WHERE kid = ANY($1)", [
      gone,
    ]);
    await eventually(async () => !(await keysOf()).some(({ kid }) => kid === standby.kid), 15_000);
  });

  test('a retired key stays retired', async () => {
    const next = await eventually(async () => (await keysOf()).find(({ state }) => state === 'published'), 10_000);
    await call(admin.retireSigningKey, { kid: next.kid, ...WHY }, as(boss));
    await expect(
      app.owner.query(
        "UPDATE signing_keys SET state = 'published', retired_at = NULL, encrypted_private_key = '' WHERE kid = $1",
        [next.kid],
      ),
    ).rejects.toThrow(/is retired, and cannot become published/);
  });
});

describe('at the command line', () => {
  beforeAll(() => begin());
  afterAll(() => app.close());

  async function latchkey(...args: string[]) {
    const { DATABASE_URL, MASTER_KEY } = app.environment;
    const running = runMain(args, { DATABASE_URL, MASTER_KEY });
    return { exit: await running.ended, output: running.output() };
  }

  test('keys are listed, rotated and retired', async () => {
    const [active] = await keysOf();
    expect((await latchkey('keys', 'list')).output).toMatch(
      /^KID +ALGORITHM +STATE .*\n\S{43} +ES256 +active .*\n\S{43} +ES256 +published /,
    );
    expect(await latchkey('keys', 'rotate', '--reason', 'spring')).toEqual({
      exit: 0,
      output: 'The published key signs now. Tokens of the previous key stay valid.\n',
    });
    expect(await latchkey('keys', 'rotate', '--reason', 'spring')).toMatchObject({
      exit: 1,
      output: expect.stringMatching(/SIGNING_KEY_NOT_READY\)(; try again in 3\d\d\d seconds)?\n$/),
    });
    await eventually(async () => (await states())[0] === 'retiring');
    expect(await isAccepted(call, boss.accessToken)).toBe(true);
    expect(await latchkey('keys', 'retire', active?.kid as string, '--reason', 'lost')).toMatchObject({ exit: 0 });
    await eventually(async () => !(await isAccepted(call, boss.accessToken)));
    expect((await latchkey('keys', 'rotate')).output).toMatch(/^reason /);
    expect((await latchkey('keys', 'rotate', 'x', '--reason', 'y')).exit).toBe(2);
    expect((await latchkey('keys', 'retire', '--reason', 'y')).exit).toBe(2);
    const without = runMain(['keys', 'rotate', '--reason', 'x'], { DATABASE_URL: app.environment.DATABASE_URL });
    expect(await without.ended).toBe(1);
    expect(without.output()).toContain('MASTER_KEY is missing');
  });
});
