import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { expect, onTestFinished, test } from 'vitest';
import { AuthService } from '../../gen/latchkey/auth/v1/auth_service_pb.ts';
import { INSTRUMENTS } from '../../src/telemetry/instruments.ts';
import { openTestMailbox, testApp, testEnvironment } from '../support/app.ts';
import { auth, viaFetch, viaGrpcJs } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { scrape, sumOf } from '../support/metrics.ts';
import { newPerson, signedIn } from '../support/people.ts';
import { runMain } from '../support/processes.ts';
import { rawConnection } from '../support/raw.ts';

const app = await testApp({
  METRICS_PORT: '0',
  LIMIT_LOGIN_ACCOUNT: '2/900',
  LIMIT_GLOBAL_MAIL_DOMAIN: '2/900',
  REVOCATION_POLL_MS: '200',
});
const { call } = app;

const look = async (name: string, labels: Record<string, string> = {}) =>
  sumOf(await scrape(app.metricsPort), name, labels);
const callsOf = (method: string, labels: Record<string, string> = {}) =>
  look('rpc_server_call_duration_seconds_count', { rpc_method: method, ...labels });

/** Runs until the end of the test. */
async function locked(table: string): Promise<void> {
  const connection = await app.owner.connect();
  await connection.query(`BEGIN; LOCK TABLE ${table}`);
  onTestFinished(async () => {
    await connection.query('ROLLBACK');
    connection.release();
  });
}

test('calls are counted by method, system and status, on the fast path and in Connect', async () => {
  const { accessToken } = await signedIn(call);
  await call(auth.verify, { accessToken });
  await viaGrpcJs(app.url)(auth.verify, { accessToken });
  await call(auth.verify, { accessToken: 'x' });
  await fetch(`${app.url}/forward-auth`, { headers: { authorization: `Bearer ${accessToken}` } });
  const verify = 'latchkey.auth.v1.AuthService/Verify';
  expect(
    await callsOf('latchkey.auth.v1.AuthService/Login', { rpc_system_name: 'connectrpc', rpc_status_code: 'ok' }),
  ).toBe(1);
  expect(await callsOf(verify, { rpc_system_name: 'connectrpc', rpc_status_code: 'ok' })).toBe(1);
  expect(await callsOf(verify, { rpc_system_name: 'grpc', rpc_status_code: 'OK' })).toBe(1);
  expect(await callsOf(verify, { rpc_status_code: 'unauthenticated' })).toBe(1);
  expect(await look('latchkey_call_rejections_total', { rpc_method: verify, reason: 'TOKEN_INVALID' })).toBe(1);
  expect(await callsOf('forward-auth', { rpc_system_name: 'http' })).toBe(1);
});

test('a rejection does not count as a server error, and an unknown method does not add a label value', async () => {
  await call(auth.login, { email: 'nobody@people.example', password: 'a wrong pass phrase' });
  expect(
    await callsOf('latchkey.auth.v1.AuthService/Login', { rpc_status_code: 'unauthenticated', error_type: '' }),
  ).toBe(undefined);
  const { code } = await viaGrpcJs(app.url)(
    { ...auth.verify, name: 'Unheard', parent: auth.verify.parent } as typeof auth.verify,
    {},
  );
  expect(code).toBe('unimplemented');
  const other = { rpc_system_name: 'grpc', rpc_status_code: 'UNIMPLEMENTED', error_type: 'UNIMPLEMENTED' };
  expect(await callsOf('_OTHER', other)).toBe(1);
});

test('paths, headers and tokens of strangers add no label values', async () => {
  const seriesOf = async () =>
    new Set((await scrape(app.metricsPort)).map(({ name, labels }) => name + JSON.stringify(labels)));
  const attack = async (n: number) => {
    const odd = `x${n}-${randomUUID()}`;
    const headers = {
      'user-agent': odd,
      'x-request-id': odd,
      'x-client-address': '192.0.2.1',
      authorization: `Bearer ${odd}`,
    };
    await fetch(`${app.url}/${odd}`, { headers });
    await fetch(`${app.url}/latchkey.auth.v1.AuthService/${odd}`, { method: 'POST', headers });
    await fetch(`${app.url}/forward-auth?${odd}`, { headers: { ...headers, 'x-forwarded-uri': `/${odd}` } });
    await call(auth.verify, { accessToken: odd }, { headers });
  };
  await attack(0);
  await sleep(100);
  const before = await seriesOf();
  for (let n = 1; n < 30; n += 1) await attack(n);
  const added = [...(await seriesOf())].filter((one) => !before.has(one) && /latchkey_call|rpc_server/.test(one));
  expect(added).toEqual([]);
});

test('a caller that disconnects is counted as such', async () => {
  await locked('users');
  const away = new AbortController();
  const client = createClient(AuthService, createGrpcTransport({ baseUrl: app.url }));
  const gone = client.login({ email: 'a@people.example', password: 'a wrong pass phrase' }, { signal: away.signal });
  setTimeout(() => away.abort(), 500);
  await gone.catch(() => {});
  await eventually(() => callsOf('latchkey.auth.v1.AuthService/Login', { rpc_status_code: 'CANCELLED' }));
  await eventually(() => app.logs.some((line) => line.includes('AuthService/Login","code":"canceled"')));
});

test('attempts are counted by limit and outcome, and hashes by their duration and their wait', async () => {
  const before = (await look('latchkey_hash_duration_seconds_count')) ?? 0;
  const email = newPerson().email;
  for (let n = 0; n < 4; n += 1) await call(auth.login, { email, password: 'a wrong pass phrase' });
  const of = (outcome: string) =>
    look('latchkey_limit_decisions_total', { limit: 'LOGIN_ACCOUNT', outcome, store: 'redis' });
  expect(await of('rejected')).toBe(2);
  expect(await of('allowed')).toBeGreaterThanOrEqual(2);
  expect(await look('latchkey_hash_duration_seconds_count')).toBe(before + 2);
  expect(await look('latchkey_hash_wait_duration_seconds_count')).toBe(before + 2);
  expect(await look('latchkey_hash_tasks')).toBe(0);
});

test('the outbox is counted by sent, waiting and dead effects', async () => {
  const person = await signedIn(call);
  await call(auth.requestReset, { email: person.email });
  await eventually(async () => (await app.owner.query('SELECT FROM outbox')).rowCount === 0);
  expect(await look('latchkey_jobs_total', { topic: 'mail', outcome: 'done' })).toBeGreaterThan(0);
  expect(await look('latchkey_jobs_total', { topic: 'audit', outcome: 'done' })).toBeGreaterThan(0);
  await app.owner.query(`INSERT INTO outbox (id, topic, payload, created_at, next_attempt_at, dead_at) VALUES
    (gen_random_uuid(), 'mail', '{}', now() - interval '5 minutes', now() + interval '1 hour', NULL),
    (gen_random_uuid(), 'mail', '{}', now() - interval '1 day', now(), now())`);
  expect(await look('latchkey_outbox_entries', { topic: 'mail', state: 'waiting' })).toBe(1);
  expect(await look('latchkey_outbox_entries', { topic: 'mail', state: 'dead' })).toBe(1);
  expect(await look('latchkey_outbox_oldest_age_seconds', { topic: 'mail' })).toBeCloseTo(300, -1);
  await app.owner.query('DELETE FROM outbox');
});

test('an exceeded budget is visible from the first attempt beyond it', async () => {
  const budget = { limit: 'GLOBAL_MAIL_DOMAIN', store: 'redis' };
  const ask = () => call(auth.requestReset, { email: `${randomUUID()}@metrics.example` });
  for (let n = 0; n < 2; n += 1) await ask();
  expect(await look('latchkey_limit_decisions_total', { ...budget, outcome: 'exceeded' })).toBe(undefined);
  expect((await ask()).code).toBe('ok');
  expect(await look('latchkey_limit_decisions_total', { ...budget, outcome: 'exceeded' })).toBe(1);
  await eventually(async () => (await app.owner.query('SELECT FROM outbox')).rowCount === 0);
});

test('the page has metrics of the process', async () => {
  const samples = await scrape(app.metricsPort);
  expect(sumOf(samples, 'latchkey_revocation_view_age_seconds')).toBeLessThan(1);
  expect(sumOf(samples, 'latchkey_revocation_view_entries')).toBeGreaterThanOrEqual(0);
  expect(sumOf(samples, 'latchkey_token_cache_size_bytes')).toBeGreaterThan(0);
  expect(sumOf(samples, 'latchkey_connections')).toBeGreaterThan(0);
  expect(sumOf(samples, 'db_client_connection_max', { db_client_connection_pool_name: 'calls' })).toBe(10);
  expect(sumOf(samples, 'db_client_connection_count')).toBeGreaterThan(0);
  expect(sumOf(samples, 'db_client_connection_pending_requests')).toBe(0);
  expect(sumOf(samples, 'process_memory_usage_bytes')).toBeGreaterThan(50e6);
  expect(sumOf(samples, 'nodejs_eventloop_delay_p99_seconds')).toBeGreaterThanOrEqual(0);
});

test('the page has no personal data and no secret', async () => {
  const person = await signedIn(call);
  const page = await (await fetch(`http://127.0.0.1:${app.metricsPort}/metrics`)).text();
  for (const secret of [...Object.values(person), '127.0.0.1']) {
    expect(page).not.toContain(secret);
  }
});

test('the metrics port serves only the page, and the public port does not serve it', async () => {
  const page = `http://127.0.0.1:${app.metricsPort}`;
  expect((await fetch(`${page}/`)).status).toBe(404);
  expect((await fetch(`${page}/metrics`, { method: 'POST' })).status).toBe(405);
  expect((await fetch(`${app.url}/metrics`)).status).toBe(404);
});

test('a client that sends requests without reading responses is disconnected', async () => {
  const greedy = rawConnection(app.metricsPort, 'GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(2_000));
  await greedy.closed;
  expect(greedy.received().split('target_info').length - 1).toBeLessThanOrEqual(2 * 3);
});

test('while Postgres hangs, the page is still served, without the values that come from Postgres', async () => {
  await locked('outbox');
  const samples = await scrape(app.metricsPort);
  expect(sumOf(samples, 'latchkey_outbox_entries')).toBeNaN();
  expect(sumOf(samples, 'process_memory_usage_bytes')).toBeGreaterThan(0);
});

test('a metrics port in use prevents the start, with one sentence', async () => {
  const mailbox = await openTestMailbox();
  onTestFinished(() => mailbox.close());
  const environment = await testEnvironment(mailbox, {
    METRICS_PORT: String(app.metricsPort),
    METRICS_HOST: '127.0.0.1',
  });
  const server = runMain(['serve'], environment);
  expect(await server.ended).toBe(1);
  expect(server.output()).toContain('METRICS_PORT');
});

test('without Redis the process counts the attempts, and a metric shows it', async () => {
  const mailbox = await openTestMailbox();
  const server = runMain(['serve'], {
    ...(await testEnvironment(mailbox, { METRICS_PORT: '0' })),
    REDIS_URL: 'redis://127.0.0.1:1',
  });
  onTestFinished(async () => {
    server.child.kill('SIGKILL');
    await mailbox.close();
  });
  const find = (name: string) => eventually(() => new RegExp(`"${name}":(\\d+)`).exec(server.output())?.[1], 20_000);
  const [port, metricsPort] = [await find('port'), await find('metrics_port')];
  await viaFetch(`http://127.0.0.1:${port}`)(auth.register, newPerson());
  const decisions = await scrape(Number(metricsPort));
  const byNetwork = { limit: 'REGISTER_NETWORK', store: 'process' };
  expect(sumOf(decisions, 'latchkey_limit_decisions_total', byNetwork)).toBe(1);
  expect(sumOf(decisions, 'latchkey_limit_decisions_total', { store: 'redis' })).toBe(undefined);
  expect(sumOf(decisions, 'latchkey_dependency_up', { dependency: 'redis' })).toBe(0);
  expect(sumOf(decisions, 'latchkey_dependency_up', { dependency: 'postgres' })).toBe(1);
});

test('the table of instruments has every metric and attribute of this service', async () => {
  const page = await (await fetch(`http://127.0.0.1:${app.metricsPort}/metrics`)).text();
  const samples = [...page.matchAll(/^((?:latchkey|rpc|db|process_memory)_\w+)(?:\{(.*)\})? /gm)];
  const known = new Map(
    Object.values(INSTRUMENTS).map(({ name, attributes }) => [prometheusName(name), Object.keys(attributes)]),
  );
  expect(new Set(samples.map(([, name]) => name)).size).toBeGreaterThan(12);
  for (const [, name = '', labels = ''] of samples) {
    const match = [...known].find(([start]) => name === start || name.startsWith(`${start}_`));
    expect(match, name).toBeDefined();
    const given = [...labels.matchAll(/(\w+)="/g)]
      .map(([, label]) => label)
      .filter((label) => !/^(le|otel_)/.test(label ?? ''));
    const attributes = match?.[1].map(prometheusName) ?? [];
    expect(
      given.filter((label) => !attributes.includes(label as string)),
      name,
    ).toEqual([]);
  }
});

function prometheusName(name: string): string {
  return name.replaceAll('.', '_');
}
