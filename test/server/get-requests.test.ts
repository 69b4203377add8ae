// Connect serves GET for methods that declare NO_SIDE_EFFECTS, with the message in the URL. URLs end up in logs of proxies, so no
// secret may travel in one: every other method rejects GET.
import http2 from 'node:http2';
import { setTimeout as sleep } from 'node:timers/promises';
import type { DescMethod, DescService } from '@bufbuild/protobuf';
import { MethodOptions_IdempotencyLevel as Idempotency } from '@bufbuild/protobuf/wkt';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Authorization } from '../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import { ServerReflection } from '../../gen/grpc/reflection/v1/reflection_pb.ts';
import { Health } from '../../gen/health/v1/health_pb.ts';
import { AccountService } from '../../gen/latchkey/auth/v1/account_service_pb.ts';
import { AdminService } from '../../gen/latchkey/auth/v1/admin_service_pb.ts';
import { AuthService } from '../../gen/latchkey/auth/v1/auth_service_pb.ts';
import { VerifierService } from '../../gen/latchkey/auth/v1/verifier_service_pb.ts';
import { testApp } from '../support/app.ts';
import { callers } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { type SignedIn, signedInWith } from '../support/people.ts';

const SERVICES: DescService[] = [
  ...[AuthService, AccountService, VerifierService, AdminService],
  ...[Health, ServerReflection, Authorization],
];
const METHODS = SERVICES.flatMap(({ methods }) => methods).map(
  (method) => [`${method.parent.typeName}/${method.name}`, method] as const,
);
const SECRET = 'a-secret-that-must-not-be-logged';
/** Names of text fields that requests have; a decoder ignores those that a method does not have. */
const MESSAGE = JSON.stringify({ accessToken: SECRET, refreshToken: SECRET, password: SECRET, resetToken: SECRET });
const query = (message: string) => `?connect=v1&encoding=json&message=${encodeURIComponent(message)}`;

const app = await testApp({ GRPC_REFLECTION: 'on' }, { api: true, worker: false });
let administrator: SignedIn;
let session: http2.ClientHttp2Session;
beforeAll(async () => {
  session = http2.connect(app.url);
  administrator = await signedInWith(app, callers(app.url)['Connect, JSON, HTTP/1.1'] as never, ['admin']);
});
afterAll(async () => {
  session.close();
});

type Answer = { status: number; allow: string | null; body: string };

async function overHttp1(path: string, headers: Record<string, string>): Promise<Answer> {
  const response = await fetch(app.url + path, { headers });
  return { status: response.status, allow: response.headers.get('allow'), body: await response.text() };
}

async function overHttp2(path: string, headers: Record<string, string>): Promise<Answer> {
  const stream = session.request({ ':path': path, ...headers });
  const [answered] = await new Promise<[http2.IncomingHttpHeaders]>((resolve, reject) => {
    stream.once('response', (received) => resolve([received])).once('error', reject);
  });
  let body = '';
  for await (const chunk of stream.setEncoding('utf8')) body += chunk;
  return { status: Number(answered[':status']), allow: (answered.allow as string) ?? null, body };
}

/** Methods that a GET can call. Connect has no GET for streams. */
const isServed = ({ methodKind, idempotency }: DescMethod) =>
  methodKind === 'unary' && idempotency === Idempotency.NO_SIDE_EFFECTS;

test.each(METHODS.filter(([, method]) => !isServed(method)))('GET %s is rejected', async (name, method) => {
  for (const send of [overHttp1, overHttp2]) {
    const headers = { authorization: `Bearer ${administrator.accessToken}` };
    const { status, allow, body } = await send(`/${name}${query(MESSAGE)}`, headers);
    if (method.methodKind === 'bidi_streaming' && send === overHttp1) {
      expect(status).toBe(400);
    } else if (method.idempotency === Idempotency.NO_SIDE_EFFECTS) {
      expect(status).toBe(415);
    } else {
      expect({ status, allow }).toEqual({ status: 405, allow: 'POST' });
      expect(JSON.parse(body)).toMatchObject({ code: 'unimplemented' });
    }
    expect(body).not.toContain(SECRET);
  }
});

test.each(METHODS.filter(([, method]) => isServed(method)))('GET %s is served to its callers', async (name) => {
  for (const send of [overHttp1, overHttp2]) {
    const headers = { authorization: `Bearer ${administrator.accessToken}` };
    const allowed = await send(`/${name}${query('{}')}`, headers);
    // An id is required there.
    const expected = /\/(ListApiKeys|ListUserFactors)$/.test(name)
      ? { status: 400, code: 'invalid_argument' }
      : { status: 200 };
    expect({ status: allowed.status, ...JSON.parse(allowed.body) }).toMatchObject(expected);
    expect((await send(`/${name}${query('{}')}`, {})).status).toBe(401);
    const inHeaderOnly = await send(
      `/${name}${query(JSON.stringify({ authorization: administrator.accessToken }))}`,
      {},
    );
    expect(inHeaderOnly.status).toBe(401);
  }
});

test('the message of a GET keeps the bounds of a message', async () => {
  const path = '/latchkey.auth.v1.AdminService/ListApiKeys';
  const headers = { authorization: `Bearer ${administrator.accessToken}` };
  const fields = `{${'"":0,'.repeat(1_100)}"":0}`;
  const nested = `{"a":${'['.repeat(40)}${']'.repeat(40)}}`;
  for (const message of [fields, nested]) {
    const encoded = Buffer.from(message).toString('base64url');
    const { status, body } = await overHttp1(`${path}?connect=v1&encoding=json&base64=1&message=${encoded}`, headers);
    expect({ status, body }).toMatchObject({ status: 429, body: expect.stringContaining('resource_exhausted') });
  }
  const base64 = `${path}?connect=v1&encoding=proto&base64=1&message=`;
  expect((await overHttp1(`${base64}CgF4`, headers)).body).toContain('service_account_id');
  expect((await overHttp1(`${base64}${Buffer.from([0x0a, 0x05]).toString('base64url')}`, headers)).status).toBe(400);
});

test('the log holds the method of a GET and nothing of its URL', async () => {
  const path = '/latchkey.auth.v1.AuthService/Verify';
  // Ten rejections a second have a line each, and the tests before have caused more.
  await sleep(1_100);
  await overHttp1(path + query(MESSAGE), { 'x-request-id': 'get-with-a-secret' });
  await eventually(() => app.logs.some((line) => line.includes('get-with-a-secret')));
  const lines = app.logs.join('\n');
  expect(lines).not.toContain(SECRET);
  expect(lines).not.toContain('message=');
});
