// Rules by method and route, in real servers of Connect, grpc-js and node:http, with real tokens.
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { create } from '@bufbuild/protobuf';
import { createClient, type Interceptor, type ServiceImpl } from '@connectrpc/connect';
import { connectNodeAdapter, createConnectTransport, createGrpcTransport } from '@connectrpc/connect-node';
import * as grpc from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { Health, HealthCheckResponseSchema } from '../../gen/health/v1/health_pb.ts';
import { VerifierService } from '../../gen/latchkey/auth/v1/verifier_service_pb.ts';
import {
  type AccessRules,
  connectInterceptor,
  createLatchkey,
  httpMiddleware,
  type Latchkey,
  optionalPrincipalOf,
  optionalPrincipalOfContext,
  principalOf,
  principalOfContext,
  reasonOf,
  requireRole,
  sendRejection,
} from '../../src/client/client.ts';
import { grpcJsInterceptor, serviceErrorOf } from '../../src/client/grpc-js-interceptor.ts';
import { SERVICE_KEY, testApp } from '../support/app.ts';
import { admin, auth } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { type SignedIn, signedIn, signedInWith } from '../support/people.ts';

const app = await testApp({ AUDIENCE: 'orders,stock' });
const { call } = app;
let latchkey: Latchkey;
let person: SignedIn;
let clerk: SignedIn;
beforeAll(async () => {
  latchkey = createLatchkey({ url: app.url, serviceKey: SERVICE_KEY });
  await latchkey.ready();
  person = await signedIn(call);
  const boss = await signedInWith(app, call, ['admin']);
  await call(admin.defineRole, { role: { name: 'clerk' }, reason: 'a test' }, { bearer: boss.accessToken });
  clerk = await signedInWith(app, call, ['clerk']);
});
afterAll(() => latchkey.close());

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const VERIFIER = VerifierService.typeName;
const RULES: AccessRules = {
  [`${VERIFIER}/BatchVerify`]: 'optional',
  [`${VERIFIER}/BatchCheckRole`]: { role: 'clerk' },
  [VERIFIER]: { kind: 'user', audience: 'orders' },
};

/** Stands for the service of a product. Watch streams until its caller leaves. */
const implementation: Partial<ServiceImpl<typeof VerifierService>> = {
  batchVerify: (_, context) => ({
    verdicts: [{ principal: { userId: whoIs(optionalPrincipalOfContext(context)) } }],
  }),
  batchCheckRole(_, context) {
    requireRole(principalOfContext(context), 'admin');
    return {};
  },
  async *watch({ cursor }, context) {
    if (cursor === 'as an administrator') requireRole(principalOfContext(context), 'admin');
    yield { cursor: whoIs(principalOfContext(context)) };
    await sleep(60_000, undefined, { signal: context.signal });
  },
};

const whoIs = (principal: ReturnType<typeof optionalPrincipalOf>) =>
  principal === null ? 'anonymous' : principal.kind === 'user' ? principal.userId : principal.name;

async function listening(listener: http.RequestListener): Promise<string> {
  const server = http.createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function connectServer(interceptor: Interceptor): Promise<string> {
  return listening(
    connectNodeAdapter({
      interceptors: [interceptor],
      routes: (router) =>
        router
          .service(VerifierService, implementation)
          .service(Health, { check: () => create(HealthCheckResponseSchema, { status: 1 }) }),
    }),
  );
}

const outcome = (promise: Promise<unknown>) =>
  promise.then(
    () => 'ok',
    (error) => `${error.code} ${reasonOf(error)}`,
  );

test('API keys are accepted where a rule does so, until they are revoked', async () => {
  const boss = await signedInWith(app, call, ['admin']);
  const ask: typeof call = (method, input) => call(method, input, { bearer: boss.accessToken });
  const { serviceAccountId } = (await ask(admin.createServiceAccount, { name: 'robot', reason: 'a test' })).body;
  const { apiKey, apiKeyId } = (await ask(admin.createApiKey, { serviceAccountId, name: 'one', reason: 'a test' }))
    .body;
  const rules: AccessRules = { [VERIFIER]: { kind: 'service', acceptApiKeys: true } };
  const url = await connectServer(connectInterceptor(latchkey, { services: [VerifierService], rules }));
  const strict = await connectServer(connectInterceptor(latchkey));
  const verdictAt = (baseUrl: string) => {
    const client = createClient(VerifierService, createConnectTransport({ baseUrl, httpVersion: '1.1' }));
    return outcome(client.batchVerify({}, { headers: bearer(apiKey) }));
  };
  expect(await verdictAt(url)).toBe('ok');
  expect(await verdictAt(strict)).toBe('16 API_KEY_NOT_ACCEPTED');
  await ask(admin.revokeApiKey, { apiKeyId, reason: 'a test' });
  await eventually(async () => (await verdictAt(url)) === '16 TOKEN_INVALID', 1_000);
});

describe('Connect', () => {
  test('each method has the access of its rule, and health is public', async () => {
    const url = await connectServer(connectInterceptor(latchkey, { services: [VerifierService], rules: RULES }));
    const client = createClient(VerifierService, createConnectTransport({ baseUrl: url, httpVersion: '1.1' }));
    const health = createClient(Health, createConnectTransport({ baseUrl: url, httpVersion: '1.1' }));
    expect((await health.check({})).status).toBe(1);
    const who = async (headers = {}) => (await client.batchVerify({}, { headers })).verdicts[0]?.principal?.userId;
    expect(await who()).toBe('anonymous');
    expect(await who(bearer(person.accessToken))).toBe(person.userId);
    expect(await outcome(client.batchVerify({}, { headers: bearer('x') }))).toBe('16 TOKEN_INVALID');
    expect(await outcome(client.batchCheckRole({}))).toBe('16 CREDENTIALS_MISSING');
    for (const { accessToken } of [person, clerk]) {
      expect(await outcome(client.batchCheckRole({}, { headers: bearer(accessToken) }))).toBe('7 ROLE_NOT_GRANTED');
    }
    const denied = client.batchCheckRole({}, { headers: bearer(clerk.accessToken) });
    await expect(denied).rejects.toThrow('the caller does not hold the role admin');
  });

  test('a stream has the rule of its method and ends within two seconds of a sign-out', async () => {
    const url = await connectServer(connectInterceptor(latchkey, { services: [VerifierService], rules: RULES }));
    const client = createClient(VerifierService, createConnectTransport({ baseUrl: url, httpVersion: '1.1' }));
    const leaving = await signedIn(call);
    const read = async (cursor: string, token: string) => {
      for await (const { cursor: who } of client.watch({ cursor }, { headers: bearer(token) })) seen.push(who);
    };
    const seen: string[] = [];
    expect(await outcome(read('', 'x'))).toBe('16 TOKEN_INVALID');
    expect(await outcome(read('as an administrator', leaving.accessToken))).toBe('7 ROLE_NOT_GRANTED');
    const { email, password } = leaving;
    const other = (await call(auth.login, { email, password, audiences: ['stock'] })).body.tokens.accessToken;
    expect(await outcome(read('', other))).toBe('16 AUDIENCE_MISMATCH');
    const ended = outcome(read('', leaving.accessToken));
    await eventually(() => seen.includes(leaving.userId));
    await call(auth.logout, { refreshToken: leaving.refreshToken });
    const loggedOutAt = performance.now();
    expect(await ended).toBe('16 TOKEN_REVOKED');
    expect(performance.now() - loggedOutAt).toBeLessThan(3_000);
  });
});

describe('grpc-js', () => {
  const bytes = {
    requestSerialize: (message: Buffer) => message,
    requestDeserialize: (message: Buffer) => message,
    responseSerialize: (message: Buffer) => message,
    responseDeserialize: (message: Buffer) => message,
  };
  const method = (name: string, requestStream: boolean, responseStream: boolean) => ({
    path: `/shop.v1.Orders/${name}`,
    requestStream,
    responseStream,
    ...bytes,
  });
  const orders = {
    list: method('List', false, false),
    create: method('Create', false, false),
    follow: method('Follow', false, true),
    talk: method('Talk', true, true),
  };
  const rules: AccessRules = { 'shop.v1.Orders/List': 'optional', 'shop.v1.Orders/Create': { role: 'clerk' } };

  let server: grpc.Server;
  let client: grpc.Client;
  let port: number;
  let handlerEnded = 0;
  beforeAll(async () => {
    const health = new HealthImplementation({ '': 'SERVING' });
    server = new grpc.Server({ interceptors: [grpcJsInterceptor(latchkey, { services: [orders], rules })] });
    health.addToServer(server);
    server.addService(orders, {
      list: ({ metadata }: grpc.ServerUnaryCall<Buffer, Buffer>, answer: grpc.sendUnaryData<Buffer>) =>
        answer(null, Buffer.from(whoIs(optionalPrincipalOf(metadata)))),
      create({ metadata }: grpc.ServerUnaryCall<Buffer, Buffer>, answer: grpc.sendUnaryData<Buffer>) {
        try {
          requireRole(principalOf(metadata), 'admin');
          answer(null, Buffer.of());
        } catch (error) {
          answer(serviceErrorOf(error));
        }
      },
      follow(stream: grpc.ServerWritableStream<Buffer, Buffer>) {
        // Writes on after its end, as a careless handler does.
        const timer = setInterval(() => stream.write(Buffer.from(whoIs(principalOf(stream.metadata)))), 50);
        stream.on('cancelled', () => {
          handlerEnded += 1;
          setTimeout(() => clearInterval(timer), 500);
        });
      },
      talk(stream: grpc.ServerDuplexStream<Buffer, Buffer>) {
        stream.on('data', () => {
          try {
            requireRole(principalOf(stream.metadata), 'admin');
          } catch (error) {
            stream.emit('error', serviceErrorOf(error));
          }
        });
      },
    });
    port = await new Promise<number>((resolve, reject) =>
      server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      ),
    );
    client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  });
  afterAll(() => {
    client.close();
    server.forceShutdown();
  });

  function metadataOf(token?: string): grpc.Metadata {
    const metadata = new grpc.Metadata();
    if (token) metadata.set('authorization', `Bearer ${token}`);
    return metadata;
  }
  const unary = (name: string, token?: string) =>
    new Promise<string>((resolve, reject) => {
      const { requestSerialize, responseDeserialize } = bytes;
      const path = `/shop.v1.Orders/${name}`;
      client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        Buffer.of(),
        metadataOf(token),
        (error, answer) => (error ? reject(error) : resolve(String(answer))),
      );
    });

  test('a Kubernetes probe needs no token', async () => {
    const health = createClient(Health, createGrpcTransport({ baseUrl: `http://127.0.0.1:${port}` }));
    expect((await health.check({})).status).toBe(1);
  });

  test('each method has the access of its rule', async () => {
    expect(await unary('List')).toBe('anonymous');
    expect(await unary('List', person.accessToken)).toBe(person.userId);
    expect(await outcome(unary('List', 'x'))).toBe('16 TOKEN_INVALID');
    expect(await outcome(unary('Create'))).toBe('16 CREDENTIALS_MISSING');
    expect(await outcome(unary('Create', person.accessToken))).toBe('7 ROLE_NOT_GRANTED');
    await expect(unary('Create', person.accessToken)).rejects.toThrow('the role clerk');
    await expect(unary('Create', clerk.accessToken)).rejects.toThrow('the role admin');
    expect(await outcome(unary('Create', clerk.accessToken))).toBe('7 ROLE_NOT_GRANTED');
    // An unknown method reveals nothing to a caller without a token.
    expect(await outcome(unary('Nothing'))).toMatch(/^(12|16)/);
  });

  test('a stream ends within two seconds of a sign-out, also while its handler writes on', async () => {
    const leaving = await signedIn(call);
    const { requestSerialize, responseDeserialize } = bytes;
    const path = orders.follow.path;
    const stream = client.makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      Buffer.of(),
      metadataOf(leaving.accessToken),
    );
    const seen: string[] = [];
    stream.on('data', (one: Buffer) => seen.push(String(one)));
    const ended = outcome(new Promise((resolve, reject) => stream.on('error', reject).on('end', resolve)));
    await eventually(() => seen.includes(leaving.userId));
    await call(auth.logout, { refreshToken: leaving.refreshToken });
    const loggedOutAt = performance.now();
    expect(await ended).toBe('16 TOKEN_REVOKED');
    expect(performance.now() - loggedOutAt).toBeLessThan(3_000);
    await eventually(() => handlerEnded === 1);
    await sleep(600);
    expect(await unary('List')).toBe('anonymous');
  });

  test('the handler of a stream denies with a reason', async () => {
    const { requestSerialize, responseDeserialize } = bytes;
    const stream = client.makeBidiStreamRequest(
      orders.talk.path,
      requestSerialize,
      responseDeserialize,
      metadataOf(person.accessToken),
    );
    const ended = outcome(new Promise((resolve, reject) => stream.on('error', reject).on('end', resolve)));
    stream.resume().write(Buffer.of());
    expect(await ended).toBe('7 ROLE_NOT_GRANTED');
  });

  test('an error of another kind keeps its form', () => {
    const error = new TypeError('x');
    expect(serviceErrorOf(error)).toBe(error);
    expect(serviceErrorOf('x')).toBeInstanceOf(Error);
  });
});

describe('node:http', () => {
  test('each route has the access of its rule, and 403 names the missing role', async () => {
    const protect = httpMiddleware(latchkey, {
      rules: {
        '/healthz': 'public',
        '/catalog': 'optional',
        '/stock': { role: 'clerk' },
        '/stock/audience': { audience: 'stock' },
      },
    });
    const url = await listening((request, response) =>
      protect(request, response, async () => {
        if (request.url?.startsWith('/orders/delete')) {
          await sleep(1);
          requireRole(principalOf(request), 'admin');
        }
        response.end(whoIs(optionalPrincipalOf(request)));
      }),
    );
    const get = async (path: string, token?: string) => {
      const response = await fetch(url + path, { headers: token ? bearer(token) : {} });
      return [response.status, await response.text(), response.headers.get('www-authenticate')] as const;
    };
    expect((await get('/healthz', 'x')).slice(0, 2)).toEqual([200, 'anonymous']);
    expect((await get('/catalog')).slice(0, 2)).toEqual([200, 'anonymous']);
    expect((await get('/catalog', person.accessToken)).slice(0, 2)).toEqual([200, person.userId]);
    expect((await get('/catalog', 'x'))[0]).toBe(401);
    expect((await get('/orders'))[0]).toBe(401);
    expect((await get('/stock', clerk.accessToken)).slice(0, 2)).toEqual([200, clerk.userId]);
    for (const path of ['/stock', '/STOCK/', '/orders/delete']) {
      const [status, body, challenge] = await get(path, person.accessToken);
      expect([status, reasonOf(JSON.parse(body))]).toEqual([403, 'ROLE_NOT_GRANTED']);
      expect(challenge).toContain('insufficient_scope');
    }
    const [status, body] = await get('/catalog/..%2fstock');
    expect([status, JSON.parse(body)]).toMatchObject([
      400,
      { reason: 'INVALID_ARGUMENT', violations: [{ field: 'path' }] },
    ]);
    const { email, password } = person;
    const forOrders = (await call(auth.login, { email, password, audiences: ['orders'] })).body.tokens.accessToken;
    expect(reasonOf(JSON.parse((await get('/stock/audience', forOrders))[1]))).toBe('AUDIENCE_MISMATCH');
  });

  test('an error handler of a framework answers with sendRejection', async () => {
    const protect = httpMiddleware(latchkey);
    const url = await listening((request, response) =>
      protect(request, response, () => {
        // Express catches what a handler throws, and calls its error handler.
        try {
          requireRole(principalOf(request), request.url === '/' ? 'admin' : '');
        } catch (error) {
          if (!sendRejection(response, error)) response.writeHead(500).end((error as Error).message);
        }
      }),
    );
    const get = (path: string) => fetch(url + path, { headers: bearer(person.accessToken) });
    expect((await get('/')).status).toBe(403);
    expect((await get('/x')).status).toBe(500);
  });
});

test('Connect over gRPC: a denied stream carries the reason in its trailers', async () => {
  const { createServer } = await import('node:http2');
  const http2 = createServer(
    connectNodeAdapter({
      interceptors: [connectInterceptor(latchkey, { services: [VerifierService], rules: RULES })],
      routes: (router) => router.service(VerifierService, implementation),
    }),
  );
  await new Promise<void>((resolve) => http2.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void http2.close());
  const baseUrl = `http://127.0.0.1:${(http2.address() as AddressInfo).port}`;
  const client = createClient(VerifierService, createGrpcTransport({ baseUrl }));
  const read = async () => {
    for await (const _ of client.watch({ cursor: 'as an administrator' }, { headers: bearer(person.accessToken) }));
  };
  expect(await outcome(read())).toBe('7 ROLE_NOT_GRANTED');
});
