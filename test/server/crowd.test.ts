// More at once than a process can hold: the surplus is told to come back, and the rest goes on.
import http2 from 'node:http2';
import { findTrailerError } from '@connectrpc/connect/protocol-grpc';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { ErrorInfoSchema, RetryInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { auth, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { signedIn } from '../support/people.ts';
import { envelope, rawConnection, rawStream } from '../support/raw.ts';

let app: TestApp;
beforeAll(async () => {
  // None of those that wait is let go by a limit.
  const limits = { TRUSTED_PROXIES: '127.0.0.1', LIMIT_LOGIN_ACCOUNT: '100000/60', LIMIT_LOGIN_PAIR: '100000/60' };
  app = await startTestApp(limits, { api: true, worker: false });
});
afterAll(() => app.close());

const BODY = '{"email":"a@people.example","password":"a wrong pass phrase"}';
const LOGIN = `POST /auth.v1.AuthService/Login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${BODY.length}\r\n\r\n${BODY}`;

test('ten thousand requests on one HTTP/1.1 connection, before any was answered, end it', async () => {
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

test('a few at once are answered in their order', async () => {
  const some = rawConnection(app.port, LOGIN.repeat(8));
  await eventually(() => some.received().split('CREDENTIALS_INVALID').length - 1 === 8);
  some.socket.destroy();
});

test('a stranger who holds as many calls open as they can keeps nobody else out', async () => {
  const sessions = Array.from({ length: 12 }, () => http2.connect(app.url));
  onTestFinished(() => {
    for (const session of sessions) session.destroy();
  });
  for (const session of sessions) session.on('error', () => {});
  const stranger = { 'x-forwarded-for': '203.0.113.1' };
  const held = Array.from({ length: 1_150 }, (_, n) => {
    const session = sessions[n % 12] as http2.ClientHttp2Session;
    const call = rawStream(session, '/auth.v1.AuthService/Login', stranger);
    call.stream.on('error', () => {});
    call.stream.write(envelope(Buffer.alloc(1), 0, 40));
    return call;
  });
  await Promise.race(held.map(({ closed }) => closed));
  const login = (address: string) =>
    viaFetch(app.url)(
      auth.login,
      { email: 'a@people.example', password: 'a wrong pass phrase' },
      { headers: { 'x-forwarded-for': address } },
    );
  for (let n = 0; n < 20; n += 1) expect((await login('198.51.100.7')).reason).toBe('CREDENTIALS_INVALID');
  expect((await login('203.0.113.1')).reason).toBe('OVERLOADED');
}, 30_000);

test('beyond a thousand calls under way each is told to come back, over every protocol; Verify goes on', async () => {
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
    const call = rawStream(sessions[n % 12] as http2.ClientHttp2Session, '/auth.v1.AuthService/Login');
    call.stream.end(envelope(message));
    return call.closed;
  });
  const first = await Promise.race(calls);
  const token = await fetch(`${app.url}/oauth/token`, { method: 'POST', body: 'grant_type=client_credentials' });
  expect([token.status, token.headers.get('retry-after')]).toEqual([503, '1']);
  expect(await token.json()).toEqual({ error: 'temporarily_unavailable' });
  expect(first.headers['grpc-status']).toBe('14');
  const error = findTrailerError(
    new Headers(Object.entries(first.headers).filter(([name]) => !name.startsWith(':')) as [string, string][]),
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
  const refused = (await Promise.all(calls)).filter(({ headers }) => headers['grpc-status'] === '14').length;
  expect(refused).toBeGreaterThanOrEqual(150);
  expect((await viaFetch(app.url)(auth.login, { email, password })).reason).toBe('CREDENTIALS_INVALID');
}, 60_000);
