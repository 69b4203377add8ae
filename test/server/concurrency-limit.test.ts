// More concurrent calls than a process can hold: the surplus is rejected with a retry delay, and the others continue.
import http2 from 'node:http2';
import { setTimeout as sleep } from 'node:timers/promises';
import { findTrailerError } from '@connectrpc/connect/protocol-grpc';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { ErrorInfoSchema, RetryInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { auth, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { signedIn } from '../support/people.ts';
import { envelope, rawConnection, rawStream, statusOf } from '../support/raw.ts';

let app: TestApp;
beforeAll(async () => {
  // No rate limit rejects a waiting call.
  const limits = { TRUSTED_PROXIES: '127.0.0.1', LIMIT_LOGIN_ACCOUNT: '100000/60', LIMIT_LOGIN_PAIR: '100000/60' };
  app = await startTestApp(limits, { api: true, worker: false });
});
afterAll(() => app.close());

const BODY = '{"email":"a@people.example","password":"a wrong pass phrase"}';
const LOGIN = `POST /latchkey.auth.v1.AuthService/Login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${BODY.length}\r\n\r\n${BODY}`;

test('ten thousand unanswered requests close their HTTP/1.1 connection', async () => {
  const { accessToken } = await signedIn(viaFetch(app.url));
  const linesBefore = app.logs.length;
  const attacks = Array.from({ length: 5 }, () => rawConnection(app.port, LOGIN.repeat(10_000)));
  const startedAt = performance.now();
  const outcome = await viaFetch(app.url)(auth.verify, { accessToken });
  expect(outcome.code).toBe('ok');
  expect(performance.now() - startedAt).toBeLessThan(3_000);
  await Promise.all(attacks.map(({ closed }) => closed));
  expect(app.logs.length - linesBefore).toBeLessThan(200);
});

test('a few pipelined requests are answered in order', async () => {
  const some = rawConnection(app.port, LOGIN.repeat(8));
  await eventually(() => some.received().split('CREDENTIALS_INVALID').length - 1 === 8);
  some.socket.destroy();
});

/** Login calls whose bodies never arrive. */
function stall(count: number, address: (n: number) => string, port = new URL(app.url).port) {
  const sessions = Array.from({ length: Math.ceil(count / 90) }, () => http2.connect(`http://127.0.0.1:${port}`));
  onTestFinished(() => {
    for (const session of sessions) session.destroy();
  });
  for (const session of sessions) session.on('error', () => {});
  return Array.from({ length: count }, (_, n) => {
    const session = sessions[n % sessions.length] as http2.ClientHttp2Session;
    const call = rawStream(session, '/latchkey.auth.v1.AuthService/Login', { 'x-forwarded-for': address(n) });
    call.stream.on('error', () => {});
    call.stream.write(envelope(Buffer.alloc(1), 0, 40));
    return call;
  });
}

const loginFrom = (address: string) =>
  viaFetch(app.url)(
    auth.login,
    { email: 'a@people.example', password: 'a wrong pass phrase' },
    { headers: { 'x-forwarded-for': address } },
  );

test('clients whose bodies never arrive block no other client, even in their own network', async () => {
  const held = stall(1_150, (n) => `203.0.113.${n % 2}`);
  const first = await Promise.race(held.map(({ closed }) => closed));
  expect(statusOf(first)).toBe('14');
  for (let n = 0; n < 20; n += 1) expect((await loginFrom('198.51.100.7')).reason).toBe('CREDENTIALS_INVALID');
  expect((await loginFrom('203.0.113.1')).reason).toBe('CREDENTIALS_INVALID');
}, 30_000);

test('while more than half of the slots are in use, a body has two seconds', async () => {
  const startedAt = performance.now();
  const rejected: string[] = [];
  for (const { closed } of stall(900, (n) => `203.0.113.${n % 200}`)) {
    void closed.then((answer) => rejected.push(statusOf(answer)));
  }
  await eventually(() => rejected.length >= 400, 8_000);
  expect(performance.now() - startedAt).toBeGreaterThan(1_900);
  expect(new Set(rejected)).toEqual(new Set(['14']));
}, 30_000);

test('beyond a thousand concurrent calls each is rejected with a retry delay, over every protocol; Verify continues', async () => {
  const { accessToken } = await signedIn(viaFetch(app.url));
  const holder = await app.owner.connect();
  await holder.query('BEGIN; LOCK TABLE users');
  onTestFinished(async () => {
    await holder.query('ROLLBACK').catch(() => {});
    holder.release();
  });
  const sessions = Array.from({ length: 12 }, () => http2.connect(app.url));
  onTestFinished(() => {
    for (const session of sessions) session.destroy();
  });
  const message = Buffer.from([
    10,
    16,
    ...Buffer.from('a@people.example'),
    18,
    20,
    ...Buffer.from('a wrong pass phrase!'),
  ]);
  const calls = Array.from({ length: 1_150 }, (_, n) => {
    const call = rawStream(sessions[n % 12] as http2.ClientHttp2Session, '/latchkey.auth.v1.AuthService/Login');
    call.stream.end(envelope(message));
    return call.closed;
  });
  const first = await Promise.race(calls);
  const form = new URLSearchParams({ grant_type: 'client_credentials' });
  const token = await fetch(`${app.url}/oauth/token`, { method: 'POST', body: form });
  expect([token.status, token.headers.get('retry-after')]).toEqual([503, '1']);
  expect(await token.json()).toEqual({ error: 'temporarily_unavailable' });
  expect(statusOf(first)).toBe('14');
  const error = findTrailerError(
    new Headers(
      Object.entries({ ...first.headers, ...first.trailers }).filter(([name]) => !name.startsWith(':')) as [
        string,
        string,
      ][],
    ),
  );
  expect(error?.findDetails(ErrorInfoSchema)).toMatchObject([{ reason: 'OVERLOADED' }]);
  expect(error?.findDetails(RetryInfoSchema)).toHaveLength(1);
  const { email, password } = { email: 'a@people.example', password: 'a wrong pass phrase' };
  expect(await viaFetch(app.url)(auth.login, { email, password })).toMatchObject({
    code: 'unavailable',
    reason: 'OVERLOADED',
    retryAfterHeader: 1,
  });
  expect((await viaFetch(app.url)(auth.verify, { accessToken })).code).toBe('ok');
  await holder.query('ROLLBACK');
  const rejected = (await Promise.all(calls)).filter((answer) => statusOf(answer) === '14').length;
  expect(rejected).toBeGreaterThanOrEqual(150);
  expect((await viaFetch(app.url)(auth.login, { email, password })).reason).toBe('CREDENTIALS_INVALID');
}, 60_000);

test('clients that do not read their responses block no other client', async () => {
  const sessions = Array.from({ length: 12 }, () => http2.connect(app.url, { settings: { initialWindowSize: 0 } }));
  onTestFinished(() => {
    for (const session of sessions) session.destroy();
  });
  for (const session of sessions) session.on('error', () => {});
  for (let n = 0; n < 1_100; n += 1) {
    const headers = { 'x-forwarded-for': `203.0.${n % 2}.1`, 'content-type': 'application/json' };
    const session = sessions[n % sessions.length] as http2.ClientHttp2Session;
    rawStream(session, '/latchkey.auth.v1.AuthService/Login', headers).stream.end('{}');
  }
  for (let n = 0; n < 10; n += 1) {
    await sleep(100);
    expect((await loginFrom('198.51.100.7')).reason).toBe('CREDENTIALS_INVALID');
  }
}, 30_000);
