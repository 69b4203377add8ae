// Clients of every RPC protocol, and plain HTTP, behind a real Envoy whose requests Latchkey denies. Envoy's HTTP form
// of ext_authz, with the path of each request after `/forward-auth`.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Code, type ConnectError, createClient, type Transport } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import { expect, onTestFinished, test } from 'vitest';
import { ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { AuthService } from '../../gen/latchkey/auth/v1/auth_service_pb.ts';
import { VerifierService } from '../../gen/latchkey/auth/v1/verifier_service_pb.ts';
import { freePort } from '../../src/dev/free-port.ts';
import { startTestApp } from '../support/app.ts';
import { auth as authMethods, viaGrpcJs } from '../support/clients.ts';
import { socketAddress, startEnvoy } from '../support/envoy.ts';
import { bearer, signedIn } from '../support/people.ts';

const EXTENSIONS = 'type.googleapis.com/envoy.extensions';
const POLICY = `
routes:
  - { path: /public, access: public }
  - { path: /admin, role: admin }
  - { path: /pages, preflight: pass }
`;

function listenerOf(port: number, authorization: object, hasGrpcWeb: boolean): object {
  const filter = (name: string, type: string, config: object = {}) => ({
    name: `envoy.filters.http.${name}`,
    typed_config: { '@type': `${EXTENSIONS}.filters.http.${name}.v3.${type}`, ...config },
  });
  const manager = {
    '@type': `${EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: `port_${port}`,
    route_config: {
      virtual_hosts: [
        { name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, direct_response: { status: 200 } }] },
      ],
    },
    http_filters: [
      ...(hasGrpcWeb ? [filter('grpc_web', 'GrpcWeb')] : []),
      filter('ext_authz', 'ExtAuthz', { transport_api_version: 'V3', ...authorization }),
      filter('router', 'Router'),
    ],
  };
  return {
    address: socketAddress(port),
    filter_chains: [{ filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }] }],
  };
}

function clusterOf(name: string, port: number, isHttp2: boolean): object {
  const protocol = isHttp2 ? { http2_protocol_options: {} } : { http_protocol_options: {} };
  return {
    ...{ name, type: 'STATIC' },
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        '@type': `${EXTENSIONS}.upstreams.http.v3.HttpProtocolOptions`,
        explicit_http_config: protocol,
      },
    },
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: socketAddress(port) } }] }],
    },
  };
}

async function startBehindEnvoy() {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-policy-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const policyFile = join(folder, 'policy.yaml');
  writeFileSync(policyFile, POLICY);
  const app = await startTestApp({ POLICY_FILE: policyFile });
  onTestFinished(() => app.close());
  const [grpc, grpcWeb, httpForm, adminPort] = [await freePort(), await freePort(), await freePort(), await freePort()];
  const byMetadata = {
    grpc_service: {
      envoy_grpc: { cluster_name: 'latchkey' },
      timeout: '5s',
      initial_metadata: [{ key: 'x-latchkey-role', value: 'user' }],
    },
  };
  const byPath = {
    http_service: {
      server_uri: { uri: 'http://latchkey', cluster: 'latchkey-http', timeout: '5s' },
      path_prefix: '/forward-auth',
      authorization_request: {
        allowed_headers: { patterns: [{ exact: 'origin' }, { exact: 'access-control-request-method' }] },
      },
    },
  };
  const configuration = {
    static_resources: {
      listeners: [
        listenerOf(grpc, byMetadata, false),
        listenerOf(grpcWeb, byMetadata, true),
        listenerOf(httpForm, byPath, false),
      ],
      clusters: [clusterOf('latchkey', app.port, true), clusterOf('latchkey-http', app.port, false)],
    },
  };
  await startEnvoy(configuration, adminPort);
  const url = (port: number) => `http://127.0.0.1:${port}`;
  return { app, grpc: url(grpc), grpcWeb: url(grpcWeb), httpForm: url(httpForm) };
}

async function failureOf(work: Promise<unknown>): Promise<string> {
  const error: ConnectError = await work.then(
    () => expect.fail('the call succeeded'),
    (failure) => failure,
  );
  const [info] = error.findDetails(ErrorInfoSchema);
  return `${Code[error.code]} ${info?.domain} ${info?.reason}`;
}

function unary(transport: Transport): Promise<unknown> {
  return createClient(AuthService, transport).verify({});
}

async function stream(transport: Transport): Promise<void> {
  for await (const _ of createClient(VerifierService, transport).watch({})) expect.fail('an event arrived');
}

test('every RPC client reads a denial with its reason', async () => {
  const { app, grpc, grpcWeb } = await startBehindEnvoy();
  const expected = 'Unauthenticated latchkey.dev CREDENTIALS_MISSING';
  const transports: [string, Transport][] = [
    ['grpc', createGrpcTransport({ baseUrl: grpc })],
    ['grpc-web', createGrpcWebTransport({ baseUrl: grpc, httpVersion: '1.1' })],
    ['grpc-web through the filter', createGrpcWebTransport({ baseUrl: grpcWeb, httpVersion: '1.1' })],
    ['connect', createConnectTransport({ baseUrl: grpc, httpVersion: '1.1' })],
    ['connect with JSON', createConnectTransport({ baseUrl: grpc, httpVersion: '1.1', useBinaryFormat: false })],
    ['connect with GET', createConnectTransport({ baseUrl: grpc, httpVersion: '1.1', useHttpGet: true })],
    ['connect over HTTP/2', createConnectTransport({ baseUrl: grpc, httpVersion: '2' })],
  ];
  for (const [name, transport] of transports) {
    expect([name, await failureOf(unary(transport))]).toEqual([name, expected]);
    expect([name, await failureOf(stream(transport))]).toEqual([name, expected]);
  }
  const viaGrpc = await viaGrpcJs(grpc)(authMethods.verify, {});
  expect(viaGrpc).toMatchObject({ code: 'unauthenticated', reason: 'CREDENTIALS_MISSING' });
  const plain = await fetch(`${grpc}/orders`);
  expect([plain.status, await plain.json()]).toMatchObject([401, { reason: 'CREDENTIALS_MISSING' }]);

  const person = await signedIn(app.call);
  expect((await fetch(`${grpc}/orders`, { headers: bearer(person.accessToken) })).status).toBe(200);
  const denied = await fetch(`${grpc}/admin`, {
    method: 'POST',
    headers: { ...bearer(person.accessToken), 'content-type': 'application/grpc+proto' },
  });
  expect(denied.headers.get('content-type')).toBe('application/grpc');
  expect([denied.status, denied.headers.get('grpc-status')]).toEqual([200, '7']);
}, 60_000);

test("Envoy's HTTP form and its path prefix", async () => {
  const { app, httpForm } = await startBehindEnvoy();
  const person = await signedIn(app.call);
  const statusOf = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
    new Promise((resolve, reject) => {
      // fetch would resolve the path.
      const request = http.request(httpForm, { path, headers, method, agent: false }, (response) => {
        response.resume();
        resolve(response.statusCode);
      });
      request.on('error', reject);
      request.end(method === 'PUT' ? 'x'.repeat(100_000) : undefined);
    });
  const user = bearer(person.accessToken);
  expect(await statusOf('/public')).toBe(200);
  expect(await statusOf('/orders')).toBe(401);
  expect(await statusOf('/orders?access=public')).toBe(401);
  expect(await statusOf('/orders', user, 'PUT')).toBe(200);
  expect(await statusOf('/admin?x=/public', user)).toBe(403);
  expect(await statusOf('/public/..;/admin', user)).toBe(403);
  expect(await statusOf('/public/%2e%2e/admin', user)).toBe(403);
  const preflight = { origin: 'https://shop.example', 'access-control-request-method': 'PUT' };
  expect(await statusOf('/pages', preflight, 'OPTIONS')).toBe(200);
  expect(await statusOf('/orders', preflight, 'OPTIONS')).toBe(401);
  expect(await statusOf('/orders', { 'x-forwarded-uri': '/public', 'x-forwarded-method': 'GET' })).toBe(401);
}, 60_000);
