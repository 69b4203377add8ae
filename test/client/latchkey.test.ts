// The client library against real servers: it returns the verdicts of Verify, also during an outage, and accepts no token too long.
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Message } from '@bufbuild/protobuf';
import type { Interceptor } from '@connectrpc/connect';
import { createContextValues } from '@connectrpc/connect';
import { connectNodeAdapter, createGrpcTransport } from '@connectrpc/connect-node';
import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { AccountService } from '../../gen/latchkey/auth/v1/account_service_pb.ts';
import { startApp } from '../../src/app.ts';
import {
  connectInterceptor,
  createLatchkey,
  httpMiddleware,
  type Latchkey,
  type LatchkeyOptions,
  principalOf,
  principalOfContext,
  type TokenPrincipal,
} from '../../src/client/client.ts';
import { grpcJsInterceptor } from '../../src/client/grpc-js-interceptor.ts';
import { readConfig } from '../../src/config/config.ts';
import { createLogger } from '../../src/process/log.ts';
import { SERVICE_KEY, startTestApp, testApp } from '../support/app.ts';
import { account, auth, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { type SignedIn, signedIn } from '../support/people.ts';

/** More than a stop takes on a busy machine. */
const MAX_STALENESS_MS = 6_000;

const app = await testApp({ AUDIENCE: 'shop,warehouse' });
const { call } = app;

function open(options: Partial<LatchkeyOptions> = {}): Latchkey {
  const latchkey = createLatchkey({ url: app.url, serviceKey: SERVICE_KEY, ...options });
  onTestFinished(() => latchkey.close());
  return latchkey;
}

const whoIs = (principal: TokenPrincipal) => (principal.kind === 'user' ? principal.userId : principal.name);
const outcome = (latchkey: Latchkey, token: string) =>
  latchkey.verify(token).then(
    (principal) => whoIs(principal),
    (error) => error.reason as string,
  );

test('rejects the tokens of an ended session within a second', async () => {
  const person = await signedIn(call);
  const latchkey = open({ whenStale: 'reject' });
  await latchkey.ready();
  expect(await outcome(latchkey, person.accessToken)).toBe(person.userId);
  await call(auth.logout, { refreshToken: person.refreshToken });
  await eventually(async () => (await outcome(latchkey, person.accessToken)) === 'TOKEN_REVOKED', 1_000);
});

test('ready() throws when the server rejects the key, and verify() then calls the server', async () => {
  const errors: unknown[] = [];
  const latchkey = open({ serviceKey: 'not-one-of-ours', onError: (error) => errors.push(error) });
  await expect(latchkey.ready()).rejects.toMatchObject({ reason: 'TOKEN_INVALID' });
  expect(errors).not.toEqual([]);
  expect(latchkey.stalenessMs()).toBe(Number.POSITIVE_INFINITY);
  const { accessToken, userId } = await signedIn(call);
  expect(await outcome(latchkey, accessToken)).toBe(userId);
});

test('ready() throws when the server has events that this version cannot receive, and verify() then calls the server', async () => {
  const asVersion0: Interceptor = (next) => (request) =>
    next({ ...request, ...(request.stream && { message: withoutVersion(request.message) }) } as typeof request);
  const latchkey = open({
    transport: (baseUrl) => createGrpcTransport({ baseUrl, interceptors: [asVersion0] }),
  });
  await expect(latchkey.ready()).rejects.toMatchObject({ reason: 'CLIENT_TOO_OLD' });
  const { accessToken, userId } = await signedIn(call);
  expect(await outcome(latchkey, accessToken)).toBe(userId);
  expect(latchkey.stalenessMs()).toBe(Number.POSITIVE_INFINITY);
});

async function* withoutVersion(messages: AsyncIterable<Message>) {
  for await (const message of messages) yield { ...message, version: 0 };
}

test('an event of an unknown kind makes the revocation data too old, and the stream goes on', async () => {
  const mixed = await startTestApp();
  onTestFinished(() => mixed.close());
  const person = await signedIn(mixed.call);
  const errors: unknown[] = [];
  const strict = open({ url: mixed.url, whenStale: 'reject', onError: (error) => errors.push(error) });
  const asking = open({ url: mixed.url });
  await Promise.all([strict.ready(), asking.ready()]);
  expect(await outcome(strict, person.accessToken)).toBe(person.userId);
  await mixed.owner.query('ALTER TABLE changes DROP CONSTRAINT changes_kind');
  await mixed.owner.query("INSERT INTO changes (kind) VALUES ('tenant_suspended')");
  await eventually(async () => (await outcome(strict, person.accessToken)) === 'DEPENDENCY_UNAVAILABLE', 1_000);
  // The messages of the next seconds do not make it fresh.
  await sleep(2_500);
  expect(await outcome(strict, person.accessToken)).toBe('DEPENDENCY_UNAVAILABLE');
  expect(strict.stalenessMs()).toBe(Number.POSITIVE_INFINITY);
  expect(await outcome(asking, person.accessToken)).toBe(person.userId);
  expect(errors).toEqual([]);
});

test.each(['localhost:8080', '', 'ftp://localhost'])('%s is an invalid URL of a server', (url) => {
  expect(() => createLatchkey({ url, serviceKey: SERVICE_KEY })).toThrow('url must begin with http');
});

describe('without the server', () => {
  test('accepts tokens until its revocation view is too old, then rejects them, and resumes afterwards', async () => {
    const environment = { ...app.environment, PORT: '0' };
    const start = () => startApp(readConfig(environment), { api: true, worker: false }, createLogger('silent'));
    const first = await start();
    environment.PORT = String(first.port);
    const latchkey = open({
      url: `http://127.0.0.1:${first.port}`,
      maxStalenessMs: MAX_STALENESS_MS,
      maxStalenessDisconnectedMs: MAX_STALENESS_MS,
    });
    await latchkey.ready();
    const [person, other] = [await signedIn(call), await signedIn(call)];
    expect(await outcome(latchkey, person.accessToken)).toBe(person.userId);

    await first.close();
    expect(await outcome(latchkey, person.accessToken)).toBe(person.userId);
    await eventually(async () => (await outcome(latchkey, person.accessToken)) === 'DEPENDENCY_UNAVAILABLE', 20_000);
    expect(latchkey.stalenessMs()).toBeGreaterThan(MAX_STALENESS_MS - 100);

    await call(auth.logout, { refreshToken: other.refreshToken });
    const second = await start();
    onTestFinished(() => second.close());
    await eventually(async () => (await outcome(latchkey, person.accessToken)) === person.userId, 15_000);
    expect(await outcome(latchkey, other.accessToken)).toBe('TOKEN_REVOKED');
    await eventually(() => latchkey.stalenessMs() < MAX_STALENESS_MS);
  }, 60_000);

  test('rejects without a call to a server when whenStale is reject', async () => {
    const latchkey = open({ url: 'http://127.0.0.1:1', whenStale: 'reject' });
    const { accessToken } = await signedIn(call);
    expect(await outcome(latchkey, accessToken)).toBe('DEPENDENCY_UNAVAILABLE');
  });
});

describe('the three integrations', () => {
  let latchkey: Latchkey;
  let person: SignedIn;
  beforeAll(async () => {
    latchkey = createLatchkey({ url: app.url, serviceKey: SERVICE_KEY });
    await latchkey.ready();
    person = await signedIn(call);
  });
  afterAll(() => latchkey.close());

  async function served(listener: http.RequestListener): Promise<string> {
    const server = http.createServer(listener);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  test('Connect: an interceptor, and the principal in the context', async () => {
    const url = await served(
      connectNodeAdapter({
        interceptors: [connectInterceptor(latchkey)],
        routes: (router) =>
          router.service(AccountService, {
            getMe: (_, context) => ({ user: { id: whoIs(principalOfContext(context)) } }),
          }),
      }),
    );
    const caller = viaFetch(url);
    expect((await caller(account.getMe, {}, { bearer: person.accessToken })).body.user.id).toBe(person.userId);
    expect(await caller(account.getMe, {}, { bearer: 'x' })).toMatchObject({
      code: 'unauthenticated',
      reason: 'TOKEN_INVALID',
    });
    expect((await caller(account.getMe, {})).reason).toBe('CREDENTIALS_MISSING');
    expect(() => principalOfContext({ values: createContextValues() })).toThrow('interceptor');
  });

  test('grpc-js: an interceptor, and the principal by the metadata', async () => {
    const server = new grpc.Server({ interceptors: [grpcJsInterceptor(latchkey)] });
    const identity = { serialize: (bytes: Buffer) => bytes, deserialize: (bytes: Buffer) => bytes };
    const method = (path: string, responseStream: boolean) => ({
      path,
      requestStream: false,
      responseStream,
      requestSerialize: identity.serialize,
      requestDeserialize: identity.deserialize,
      responseSerialize: identity.serialize,
      responseDeserialize: identity.deserialize,
    });
    server.addService(
      { one: method('/x.Y/One', false), many: method('/x.Y/Many', true) },
      {
        one: (unary: grpc.ServerUnaryCall<Buffer, Buffer>, answer: grpc.sendUnaryData<Buffer>) =>
          answer(null, Buffer.from(whoIs(principalOf(unary.metadata)))),
        many: (stream: grpc.ServerWritableStream<Buffer, Buffer>) => {
          stream.write(Buffer.from(whoIs(principalOf(stream.metadata))));
          stream.end();
        },
      },
    );
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      ),
    );
    onTestFinished(() => server.forceShutdown());
    const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
    onTestFinished(() => client.close());
    const metadataOf = (bearer: string | null) => {
      const metadata = new grpc.Metadata();
      if (bearer !== null) metadata.set('authorization', `Bearer ${bearer}`);
      return metadata;
    };
    const one = (bearer: string | null) =>
      new Promise<string>((resolve) =>
        client.makeUnaryRequest(
          '/x.Y/One',
          identity.serialize,
          identity.deserialize,
          Buffer.from('x'),
          metadataOf(bearer),
          (error, bytes) =>
            resolve(error ? `${error.code} ${error.metadata.get('grpc-status-details-bin')[0]}` : String(bytes)),
        ),
      );
    expect(await one(person.accessToken)).toBe(person.userId);
    expect(await one('x')).toMatch(/^16 .*TOKEN_INVALID/s);
    expect(await one(null)).toMatch(/^16 .*CREDENTIALS_MISSING/s);
    const stream = client.makeServerStreamRequest(
      '/x.Y/Many',
      identity.serialize,
      identity.deserialize,
      Buffer.from('x'),
      metadataOf(person.accessToken),
    );
    expect(String((await stream.toArray())[0])).toBe(person.userId);
  });

  test('node:http: a middleware, and the principal by the request', async () => {
    const protect = httpMiddleware(latchkey);
    const url = await served((request, response) =>
      protect(request, response, () => response.end(whoIs(principalOf(request)))),
    );
    const get = (bearer?: string) => fetch(url, { headers: bearer ? { authorization: `Bearer ${bearer}` } : {} });
    expect(await (await get(person.accessToken)).text()).toBe(person.userId);
    const rejected = await get('x');
    expect(rejected.status).toBe(401);
    expect(rejected.headers.get('www-authenticate')).toContain('error="invalid_token"');
    expect(await rejected.json()).toMatchObject({ reason: 'TOKEN_INVALID' });
    expect((await get()).headers.get('www-authenticate')).toBe('Bearer');
    expect(() => principalOf({})).toThrow('httpMiddleware');
  });

  test('node:http: 503 when the token cannot be verified', async () => {
    const lost = createLatchkey({ url: 'http://127.0.0.1:1', serviceKey: 'x' });
    onTestFinished(() => lost.close());
    const protect = httpMiddleware(lost);
    const url = await served((request, response) => protect(request, response, () => response.end()));
    const answer = await fetch(url, { headers: { authorization: 'Bearer x' } });
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '1']);
  });
});

test.each(['audiences', 'Audience', 'max_staleness_ms', '__proto__x'])('the misspelt option %s is rejected', (name) => {
  const options = { url: 'http://127.0.0.1:1', serviceKey: SERVICE_KEY, [name]: 'orders' };
  expect(() => createLatchkey(options)).toThrow(new RegExp(`^${name} is not one of url, `));
});
