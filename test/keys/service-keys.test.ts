// A service changes from one key of SERVICE_KEYS to the next while both are accepted, as docs/guides/key-rotation.md
// describes. The log, the metric and the audit trail name which key a call has used.
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestApp, type TestApp } from '../support/app.ts';
import { auth, callers, verifierService } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { scrape, sumOf } from '../support/metrics.ts';
import { type SignedIn, signedIn } from '../support/people.ts';

const newKey = () => randomBytes(32).toString('base64');
const [OLD, NEXT, FOREIGN] = [newKey(), newKey(), newKey()];
const KEYS = [
  { name: 'the old key', key: OLD },
  { name: 'the new key', key: NEXT },
];
const CLIENTS = ['grpc-js', 'Connect, JSON, HTTP/1.1'];

let app: TestApp;
let person: SignedIn;
beforeAll(async () => {
  app = await startTestApp({ SERVICE_KEYS: `gateway=${OLD},gateway=${NEXT}`, METRICS_PORT: '0' });
  person = await signedIn(app.call);
});
afterAll(() => app.close());

/** The command of the guide: `printf %s "$KEY" | sha256sum | cut -c 1-8`. */
const fingerprint = (key: string) => createHash('sha256').update(key).digest('hex').slice(0, 8);

const checkRole = (client: string, headers: Record<string, string>) =>
  callers(app.url)[client]?.(
    verifierService.batchCheckRole,
    { checks: [{ userId: person.userId, role: 'user' }] },
    { headers },
  );

async function introspect(authorization: string) {
  const form = new URLSearchParams({ token: person.accessToken });
  const response = await fetch(`${app.url}/oauth/introspect`, {
    method: 'POST',
    headers: { authorization },
    body: form,
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}
const basic = (key: string) => `Basic ${Buffer.from(`gateway:${encodeURIComponent(key)}`).toString('base64')}`;

/** The line of the log about the call with this request id. */
const lineOf = async (id: string) =>
  JSON.parse(await eventually(() => app.logs.find((line) => line.includes(id) && line.includes('"msg":"call"'))));

const lastUses = async () => {
  const samples = await scrape(app.metricsPort);
  return [OLD, NEXT].map((key) =>
    sumOf(samples, 'latchkey_service_key_last_used_seconds', { service: 'gateway', key: fingerprint(key) }),
  );
};

/** As an operator does after a change of SERVICE_KEYS. Databases and the master key stay. */
async function restart(serviceKeys: string): Promise<void> {
  const { environment } = app;
  await app.close();
  app = await startTestApp({ ...environment, SERVICE_KEYS: serviceKeys });
}

test('the metric of a key is 0 until its first use, and only the key in use advances', async () => {
  expect(await lastUses()).toEqual([0, 0]);
  const before = Math.floor(Date.now() / 1000);
  await introspect(`Bearer ${NEXT}`);
  const [old, next] = await lastUses();
  expect(old).toBe(0);
  expect(next).toBeGreaterThanOrEqual(before);
});

describe.each(KEYS)('with two keys under a name, $name', ({ key }) => {
  test.each(CLIENTS)('is accepted over %s, and the log line has its fingerprint', async (client) => {
    const id = randomUUID();
    const outcome = await checkRole(client, { authorization: `Bearer ${key}`, 'x-request-id': id });
    expect(outcome).toMatchObject({ code: 'ok', body: { answers: [{ allowed: true }] } });
    expect(await lineOf(id)).toMatchObject({ service: 'gateway', service_key: fingerprint(key) });
  });

  test('is accepted in x-service-key', async () => {
    const { accessToken } = person;
    const verified = await app.call(auth.verify, { accessToken }, { headers: { 'x-service-key': key } });
    expect(verified.code).toBe('ok');
  });

  test('is accepted at /oauth/introspect, as a bearer and as a password', async () => {
    for (const authorization of [`Bearer ${key}`, basic(key)])
      expect(await introspect(authorization)).toMatchObject({
        status: 200,
        body: { active: true, sub: person.userId },
      });
  });
});

test('a key of neither is rejected, and has no name in the log', async () => {
  const id = randomUUID();
  const rejected = await checkRole('grpc-js', { authorization: `Bearer ${FOREIGN}`, 'x-request-id': id });
  expect(rejected).toMatchObject({ code: 'unauthenticated', reason: 'TOKEN_INVALID' });
  expect(await lineOf(id)).not.toHaveProperty('service_key');
  expect((await introspect(basic(FOREIGN))).status).toBe(401);
});

test('after a restart without the old key only the new one is accepted', async () => {
  const linesBefore = app.logs;
  await restart(`gateway=${NEXT}`);
  for (const client of CLIENTS) {
    expect(await checkRole(client, { authorization: `Bearer ${OLD}` })).toMatchObject({ reason: 'TOKEN_INVALID' });
    expect(await checkRole(client, { authorization: `Bearer ${NEXT}` })).toMatchObject({ code: 'ok' });
  }
  for (const authorization of [`Bearer ${OLD}`, basic(OLD)]) expect((await introspect(authorization)).status).toBe(401);
  expect((await introspect(basic(NEXT))).body).toMatchObject({ active: true });
  const { accessToken } = person;
  const withOld = await app.call(auth.verify, { accessToken }, { headers: { 'x-service-key': OLD } });
  expect(withOld.reason).toBe('SERVICE_KEY_INVALID');
  const lines = [...linesBefore, ...app.logs].join('');
  for (const key of [OLD, NEXT, FOREIGN]) expect(lines).not.toContain(key);
});

test('the audit trail has the roles that each key has read', async () => {
  const recorded = async () => {
    const { rows } = await app.owner.query("SELECT after FROM audit_events WHERE type = 'roles_read'");
    return rows.length >= 2 && rows.map(({ after }) => after.key).toSorted();
  };
  expect(await eventually(recorded)).toEqual([OLD, NEXT].map(fingerprint).toSorted());
});
