// A role can require a strength of the session. Weaker sessions lack it, and the roles that only it implies.
import { randomUUID } from 'node:crypto';
import { beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { startApp } from '../../src/app.ts';
import { readConfig } from '../../src/config/config.ts';
import { createLogger } from '../../src/process/log.ts';
import { SERVICE_KEY, testApp } from '../support/app.ts';
import { admin, auth, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { bearer, refreshed, type SignedIn, signedIn, signedInWith, tokenOfService } from '../support/people.ts';

const app = await testApp();
const { call } = app;
let boss: SignedIn;
beforeAll(async () => {
  boss = await withStrength(await signedInWith(app, call, ['admin']), 'phr');
});

type Definition = { implies?: string[]; requiredAcr?: string };
const reason = 'a test';
const define = (name: string, { implies = [], requiredAcr = '' }: Definition = {}, bearer = boss.accessToken) =>
  call(admin.defineRole, { role: { name, implies, requiredAcr }, reason }, { bearer });
const grant = (userId: string, role: string) =>
  call(admin.grantRole, { userId, role, reason }, { bearer: boss.accessToken });
const rolesIn = async ({ accessToken }: SignedIn) =>
  (await call(auth.verify, { accessToken })).body?.principal.roles as string[];
const definition = async (name: string) =>
  (await call(admin.listRoles, {}, { bearer: boss.accessToken })).body.roles.find(
    (role: { name: string }) => role.name === name,
  );

/** The person with tokens of the session after a step-up. */
async function withStrength(person: SignedIn, acr: string): Promise<SignedIn> {
  await app.owner.query('UPDATE sessions SET acr = $2 WHERE user_id = $1', [person.userId, acr]);
  return refreshed(call, person);
}

let names: Record<'reader' | 'payer' | 'chief', string>;
beforeEach(() => {
  const tag = randomUUID().slice(0, 8);
  names = { reader: `reader-${tag}`, payer: `payer-${tag}`, chief: `chief-${tag}` };
});

describe('the strength of a role', () => {
  test('is pwd for a new role, stays when it is left out, and is audited', async () => {
    const { payer } = names;
    await define(payer);
    expect((await definition(payer)).requiredAcr).toBe('pwd');
    await define(payer, { requiredAcr: 'mfa' });
    await define(payer);
    expect((await definition(payer)).requiredAcr).toBe('mfa');
    const { rows } = await eventually(async () => {
      const found = await app.owner.query(
        "SELECT before->>'requiredAcr' AS before, after->>'requiredAcr' AS after FROM audit_events WHERE target = $1 ORDER BY occurred_at, id",
        [`role:${payer}`],
      );
      return found.rows.length === 3 ? found : null;
    });
    expect(rows).toEqual([
      { before: null, after: 'pwd' },
      { before: 'pwd', after: 'mfa' },
      { before: 'mfa', after: 'mfa' },
    ]);
  });

  test('that does not exist is rejected', async () => {
    expect((await define(names.payer, { requiredAcr: 'MFA' })).fields).toEqual(['required_acr']);
  });

  test('keeps the role, and the roles that only it implies, out of weaker sessions', async () => {
    const { reader, payer, chief } = names;
    await define(reader);
    await define(payer, { implies: [reader], requiredAcr: 'mfa' });
    await define(chief, { implies: [payer] });
    const person = await signedIn(call);
    await grant(person.userId, chief);
    const weak = await refreshed(call, person);
    expect(await rolesIn(weak)).toEqual([chief, 'user']);
    const strong = await withStrength(weak, 'mfa');
    expect(await rolesIn(strong)).toEqual([chief, payer, reader, 'user']);
    expect(await rolesIn(await signedIn(call, person))).toEqual([chief, 'user']);
  });

  test('does not concern a path through another role', async () => {
    const { reader, payer, chief } = names;
    await define(reader);
    await define(payer, { implies: [reader], requiredAcr: 'phr' });
    await define(chief, { implies: [reader] });
    const person = await signedIn(call);
    await grant(person.userId, payer);
    await grant(person.userId, chief);
    expect(await rolesIn(await refreshed(call, person))).toEqual([chief, reader, 'user']);
  });

  test('does not concern the roles that a user holds, and services', async () => {
    const { payer } = names;
    await define(payer, { requiredAcr: 'mfa' });
    const person = await signedIn(call);
    await grant(person.userId, payer);
    const found = await call(admin.getUser, { userId: person.userId }, { bearer: boss.accessToken });
    expect(found.body.user.user.roles).toEqual([payer, 'user']);
    const search = await call(admin.searchUsers, { role: payer }, { bearer: boss.accessToken });
    expect(search.body.users).toMatchObject([{ user: { id: person.userId, roles: [payer, 'user'] } }]);
    const check = await call(auth.checkRole, { userId: person.userId, role: payer }, { bearer: SERVICE_KEY });
    expect(check.body.allowed).toBe(true);
    const accessToken = await tokenOfService(app, call, `robot-${payer}`, [payer]);
    expect((await call(auth.verify, { accessToken })).body.principal.roles).toEqual([payer]);
  });
});

test('a change makes older tokens stale within a second on every server, also those with a role that implies it', async () => {
  const { reader, payer, chief } = names;
  await define(reader);
  await define(payer, { implies: [reader] });
  await define(chief, { implies: [payer] });
  const other = await startApp(readConfig(app.environment), { api: true, worker: false }, createLogger('silent'));
  onTestFinished(() => other.close());
  const callOther = viaFetch(`http://127.0.0.1:${other.port}`);
  const people = [await signedIn(call), await signedIn(call), await signedIn(call)] as const;
  for (const [n, role] of [payer, chief, reader].entries()) await grant(people[n]?.userId ?? '', role);
  const [payers, chiefs, readers] = await Promise.all(people.map((person) => refreshed(call, person)));
  const reasonAt = async (of?: SignedIn) =>
    (await callOther(auth.verify, { accessToken: of?.accessToken ?? '' })).reason;
  for (const one of [payers, chiefs, readers]) expect(await reasonAt(one)).toBeUndefined();
  await define(payer, { implies: [reader], requiredAcr: 'mfa' });
  await eventually(async () => (await reasonAt(payers)) === 'TOKEN_STALE', 1_000);
  await eventually(async () => (await reasonAt(chiefs)) === 'TOKEN_STALE', 1_000);
  expect(await reasonAt(readers)).toBeUndefined();
  expect(await rolesIn(await refreshed(call, payers as SignedIn))).toEqual(['user']);
});

describe('an administrator', () => {
  test('can change only a strength that the own session reaches', async () => {
    const { payer } = names;
    const weak = await signedInWith(app, call, ['admin']);
    expect(await define(payer, { requiredAcr: 'mfa' }, weak.accessToken)).toMatchObject({
      code: 'unauthenticated',
      reason: 'STEP_UP_REQUIRED',
    });
    const strong = await withStrength(weak, 'mfa');
    expect((await define(payer, { requiredAcr: 'phr' }, strong.accessToken)).reason).toBe('STEP_UP_REQUIRED');
    expect((await define(payer, { requiredAcr: 'mfa' }, strong.accessToken)).code).toBe('ok');
    const again = await signedIn(call, weak);
    expect((await define(payer, { requiredAcr: 'pwd' }, again.accessToken)).reason).toBe('REAUTHENTICATION_REQUIRED');
    const lowering = await signedInWith(app, call, ['admin']);
    expect((await define(payer, { requiredAcr: 'pwd' }, lowering.accessToken)).reason).toBe('STEP_UP_REQUIRED');
    expect((await define(payer, {}, lowering.accessToken)).code).toBe('ok');
  });

  test('can change every strength as a service: its roles do not depend on one', async () => {
    const token = await tokenOfService(app, call, `robot-${names.payer}`, ['admin']);
    expect((await define(names.payer, { requiredAcr: 'phr' }, token)).code).toBe('ok');
  });

  test('acts with the roles of the session, not with all that the account holds', async () => {
    const { payer } = names;
    const person = await signedInWith(app, call, ['admin']);
    await define(payer);
    await app.owner.query("UPDATE roles SET granter = name, required_acr = 'mfa' WHERE name = $1", [payer]);
    await app.owner.query('INSERT INTO user_roles VALUES ($1, $2, now())', [person.userId, payer]);
    const weak = await refreshed(call, person);
    const { userId } = await signedIn(call);
    const granting = (bearer: string) => call(admin.grantRole, { userId, role: payer, reason }, { bearer });
    expect((await granting(weak.accessToken)).reason).toBe('GRANT_NOT_ALLOWED');
    expect((await granting((await withStrength(weak, 'mfa')).accessToken)).code).toBe('ok');
  });

  test('with a session too weak for `admin` is no administrator, and with a stronger one is', async () => {
    await strengthenAdmin('mfa');
    const weak = await signedInWith(app, call, ['admin']);
    const list = async ({ accessToken: bearer }: SignedIn) => (await call(admin.listRoles, {}, { bearer })).reason;
    expect(await list(weak)).toBe('STEP_UP_REQUIRED');
    expect(await list(await withStrength(weak, 'mfa'))).toBeUndefined();
  });
});

/** For one test. The earlier tokens of administrators become stale. */
async function strengthenAdmin(acr: string): Promise<void> {
  const change = async (to: string) => {
    await app.owner.query("UPDATE roles SET required_acr = $1 WHERE name = 'admin'", [to]);
    boss = await refreshed(call, boss);
  };
  await change(acr);
  onTestFinished(() => change('pwd'));
}

describe('a call that needs a stronger session', () => {
  const STEP_UP = { code: 'unauthenticated', reason: 'STEP_UP_REQUIRED' };
  const DENIED = { code: 'permission_denied', reason: 'PERMISSION_DENIED' };
  const list = ({ accessToken: bearer }: SignedIn) => call(admin.listRoles, {}, { bearer });
  const post = (path: string, headers: Record<string, string>, body: string) =>
    fetch(`${app.url}${path}`, { method: 'POST', headers, body });

  test('names the strength, at each access that `admin` gives', async () => {
    await strengthenAdmin('mfa');
    const { accessToken, userId } = await signedInWith(app, call, ['admin']);
    const json = { ...bearer(accessToken), 'content-type': 'application/json' };
    for (const [path, input] of [
      ['AdminService/ListRoles', {}],
      ['VerifierService/BatchVerify', { accessTokens: ['x'] }],
      ['AuthService/CheckRole', { userId, role: 'user' }],
    ] as const) {
      const response = await post(`/latchkey.auth.v1.${path}`, json, JSON.stringify(input));
      const { code, details } = (await response.json()) as { code: string; details: { debug: object }[] };
      expect([path, response.status, { code, ...details[0]?.debug }]).toMatchObject([
        path,
        401,
        { ...STEP_UP, metadata: { request_id: expect.any(String), acr_values: 'mfa' } },
      ]);
    }
  });

  test('has the challenge of RFC 9470 over plain HTTP', async () => {
    await strengthenAdmin('phr');
    const { accessToken } = await signedInWith(app, call, ['admin']);
    const form = { 'content-type': 'application/x-www-form-urlencoded' };
    const challenge =
      /^Bearer realm="latchkey", error="insufficient_user_authentication", error_description="[^"]+", acr_values="phr"$/;
    const answers = [
      await fetch(`${app.url}/descriptors`, { headers: bearer(accessToken) }),
      await post('/oauth/introspect', { ...form, ...bearer(accessToken) }, 'token=x'),
    ];
    for (const { status, headers } of answers) {
      expect([status, headers.get('www-authenticate')]).toEqual([401, expect.stringMatching(challenge)]);
    }
    expect(await answers[0]?.json()).toMatchObject({ reason: 'STEP_UP_REQUIRED' });
    expect(await answers[1]?.json()).toMatchObject({ error: 'insufficient_user_authentication' });
    const basic = { authorization: `Basic ${btoa(`:${accessToken}`)}` };
    const byBasic = await post('/oauth/introspect', { ...form, ...basic }, 'token=x');
    expect([byBasic.status, byBasic.headers.get('www-authenticate')]).toEqual([401, 'Basic realm="latchkey"']);
    expect(await byBasic.json()).toMatchObject({ error: 'invalid_client' });
  });

  test('names the weakest strength of all the roles that imply `admin`', async () => {
    const { payer, chief } = names;
    await strengthenAdmin('mfa');
    for (const [name, requiredAcr] of Object.entries({ [payer]: 'phr', [chief]: 'pwd' })) {
      expect((await define(name, { implies: ['admin'], requiredAcr })).code).toBe('ok');
    }
    const acrOf = async (person: SignedIn) => {
      const headers = { ...bearer(person.accessToken), 'content-type': 'application/json' };
      const response = await post('/latchkey.auth.v1.AdminService/ListRoles', headers, '{}');
      const { details } = (await response.json()) as { details: { debug: { metadata: Record<string, string> } }[] };
      return details[0]?.debug.metadata.acr_values;
    };
    expect(await acrOf(await signedInWith(app, call, [payer]))).toBe('phr');
    expect(await acrOf(await signedInWith(app, call, [payer, chief]))).toBe('mfa');
    expect(await acrOf(await signedInWith(app, call, []))).toBeUndefined();
  });

  test('is denied without a hint where no step-up helps', async () => {
    await strengthenAdmin('mfa');
    expect(await list(await signedIn(call))).toMatchObject(DENIED);
    const former = await signedInWith(app, call, ['admin']);
    await app.owner.query("UPDATE user_roles SET expires_at = now() WHERE user_id = $1 AND role = 'admin'", [
      former.userId,
    ]);
    expect(await list(await refreshed(call, former))).toMatchObject(DENIED);
    const token = await tokenOfService(app, call, `robot-${names.payer}`, []);
    expect(await call(admin.listRoles, {}, { bearer: token })).toMatchObject(DENIED);
  });

  test('is denied without a hint once the caller has reached the limit of audited denials', async () => {
    await strengthenAdmin('mfa');
    const weak = await signedInWith(app, call, ['admin']);
    const reasons: (string | undefined)[] = [];
    while (reasons.length < 22) reasons.push((await list(weak)).reason);
    expect(reasons).toEqual([...Array(20).fill('STEP_UP_REQUIRED'), 'PERMISSION_DENIED', 'PERMISSION_DENIED']);
  });
});
