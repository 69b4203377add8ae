// The strength of an authentication in services that use the client library: the table of verdicts at a server of
// Connect, of grpc-js and of node:http, and by a library that must ask the server.
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { createClient, createRouterTransport, type ServiceImpl } from '@connectrpc/connect';
import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { VerifierService } from '../../gen/latchkey/auth/v1/verifier_service_pb.ts';
import {
  type AccessRule,
  connectInterceptor,
  createLatchkey,
  httpMiddleware,
  type Latchkey,
  reasonOf,
} from '../../src/client/client.ts';
import { findDetails } from '../../src/client/failure-details.ts';
import { grpcJsInterceptor } from '../../src/client/grpc-js-interceptor.ts';
import { SERVICE_KEY, testApp } from '../support/app.ts';
import { bearer } from '../support/people.ts';
import {
  type CallerName,
  createCallers,
  expectTable,
  REQUIREMENTS,
  type Requirement,
  type StrengthCallers,
} from '../support/strength-table.ts';

const YOUNG: CallerName = 'a password, 10 s ago';
const STRICT: AccessRule = { acr: 'mfa', maxAgeSeconds: 600 };
const app = await testApp();
const closers: (() => unknown)[] = [];
let local: Latchkey;
let asking: Latchkey;
let tokens: StrengthCallers['tokens'];

beforeAll(async () => {
  ({ tokens } = await createCallers(app));
  local = createLatchkey({ url: app.url, serviceKey: SERVICE_KEY });
  // Its revocation data is always too old.
  asking = createLatchkey({ url: app.url, serviceKey: SERVICE_KEY, maxStalenessMs: 0, maxStalenessDisconnectedMs: 0 });
  closers.push(local.close, asking.close);
  await local.ready();
});
afterAll(async () => {
  for (const close of closers.reverse()) await close();
});

const ruleOf = ({ acr, maxAge, role }: Requirement): AccessRule => ({
  acceptApiKeys: true,
  ...(acr && { acr }),
  ...(maxAge && { maxAgeSeconds: maxAge }),
  ...(role && { role }),
});
const wordOf = (answer: Promise<unknown>) =>
  answer.then(
    () => 'ok',
    (error: unknown) => reasonOf(error) ?? String(error),
  );

const implementation: Partial<ServiceImpl<typeof VerifierService>> = { batchVerify: () => ({}) };

function callConnect(latchkey: Latchkey, rule: AccessRule, token: string) {
  const services = [VerifierService];
  const interceptor = connectInterceptor(latchkey, { services, rules: { [VerifierService.typeName]: rule } });
  const transport = createRouterTransport((router) => router.service(VerifierService, implementation), {
    router: { interceptors: [interceptor] },
  });
  return createClient(VerifierService, transport).batchVerify({}, { headers: bearer(token) });
}

test.each([
  ['decides from memory', () => local],
  ['asks a server', () => asking],
])('Connect, with a library that %s', async (_, latchkey) => {
  await expectTable((name, requirement) => wordOf(callConnect(latchkey(), ruleOf(requirement), tokens[name])));
});

describe('grpc-js', () => {
  const same = (message: Buffer) => message;
  const bytes = {
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
  const rules = [...REQUIREMENTS.map(ruleOf), STRICT];
  const methods = rules.map((_, n) => ({
    path: `/shop.v1.Orders/M${n}`,
    requestStream: false,
    responseStream: false,
    ...bytes,
  }));
  const service = Object.fromEntries(methods.map((method, n) => [`m${n}`, method]));
  let client: grpc.Client;
  beforeAll(async () => {
    const byMethod = Object.fromEntries(rules.map((rule, n) => [`shop.v1.Orders/M${n}`, rule]));
    const server = new grpc.Server({
      interceptors: [grpcJsInterceptor(local, { services: [service], rules: byMethod })],
    });
    const answer = (_: unknown, callback: grpc.sendUnaryData<Buffer>) => callback(null, Buffer.of());
    server.addService(service, Object.fromEntries(methods.map((_, n) => [`m${n}`, answer])));
    const port = await new Promise<number>((resolve, reject) => {
      const credentials = grpc.ServerCredentials.createInsecure();
      server.bindAsync('127.0.0.1:0', credentials, (error, bound) => (error ? reject(error) : resolve(bound)));
    });
    client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
    closers.push(
      () => server.forceShutdown(),
      () => client.close(),
    );
  });
  const ask = (n: number, token: string) =>
    new Promise<void>((resolve, reject) => {
      const metadata = grpc.Metadata.fromHttp2Headers(bearer(token));
      client.makeUnaryRequest(`/shop.v1.Orders/M${n}`, same, same, Buffer.of(), metadata, (error) =>
        error ? reject(error) : resolve(),
      );
    });

  test('by method', async () => {
    await expectTable((name, _, n) => wordOf(ask(n, tokens[name])));
  });

  test('the error names what is required', async () => {
    const failure = await ask(rules.length - 1, tokens[YOUNG]).catch((error: unknown) => error);
    expect((failure as grpc.ServiceError).code).toBe(grpc.status.UNAUTHENTICATED);
    expect(findDetails(failure, ErrorInfoSchema)[0]).toMatchObject({
      reason: 'STEP_UP_REQUIRED',
      domain: 'latchkey.dev',
      metadata: { acr_values: 'mfa', max_age: '600' },
    });
  });
});

describe('node:http', () => {
  let url: string;
  beforeAll(async () => {
    const rules = Object.fromEntries(REQUIREMENTS.map((requirement, n) => [`/route-${n}`, ruleOf(requirement)]));
    const protect = httpMiddleware(local, { rules: { ...rules, '/strict': STRICT } });
    const server = http.createServer((request, response) => {
      protect(request, response, () => response.end('{}'));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closers.push(() => server.close());
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });

  test('by route', async () => {
    await expectTable(async (name, _, n) => {
      const response = await fetch(`${url}/route-${n}`, { headers: bearer(tokens[name]) });
      const { reason = 'ok' } = (await response.json()) as { reason?: string };
      return reason;
    });
  });

  test('the answer has the challenge of RFC 9470', async () => {
    const response = await fetch(`${url}/strict`, { headers: bearer(tokens[YOUNG]) });
    expect(response.status).toBe(401);
    expect(response.headers.get('www-authenticate')).toMatch(
      /^Bearer error="insufficient_user_authentication", error_description="[^"\\]+", acr_values="mfa", max_age="600"$/,
    );
    const denied = await fetch(`${url}/strict`, { headers: bearer(tokens['a token of a service']) });
    expect([denied.status, denied.headers.get('www-authenticate')]).toEqual([
      403,
      expect.stringContaining('error="insufficient_scope"'),
    ]);
  });
});

test('a principal has the strength, from memory and from a server', async () => {
  for (const latchkey of [local, asking]) {
    const principal = await latchkey.verify(tokens['two factors, 700 s ago']);
    expect(principal).toMatchObject({ kind: 'user', acr: 'mfa', amr: ['pwd'], authTime: expect.any(Date) });
    const before = await latchkey.verify(tokens['a token of the release before']);
    expect(before).toMatchObject({ kind: 'user', acr: 'pwd', amr: [], authTime: null });
  }
  const sources = asking.metrics().flatMap(({ points }) => points.flatMap(({ attributes }) => attributes.source ?? []));
  expect(new Set(sources)).toEqual(new Set(['server']));
});

test('a misspelt strength lets no caller pass, also without types', async () => {
  const token = tokens['a passkey, 10 s ago'];
  const misspelt = [{ ACR: 'phr' }, { max_age: 600 }, { acrValues: ['phr'] }];
  for (const options of [{ acr: 'MFA' }, { acr: '' }, { maxAgeSeconds: 0 }, { maxAgeSeconds: Number.NaN }, ...misspelt])
    await expect(local.verify(token, options as never)).rejects.toThrow(TypeError);
});

test('metrics count the reasons', async () => {
  await local.verify(tokens[YOUNG], { acr: 'mfa' }).catch(() => {});
  const counts = local.metrics().filter((metric) => JSON.stringify(metric).includes('STEP_UP_REQUIRED'));
  expect(counts).not.toEqual([]);
});
