// Abilities of Envoy's example beyond HTTP/1.1: gRPC services, bursts, replicas that restart, and ext_authz over HTTP.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type http from 'node:http';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { startTestApp, testApp } from '../support/app.ts';
import { viaFetch } from '../support/clients.ts';
import { portOf, type Received, startEchoService } from '../support/echo-service.ts';
import { ENVOY_GATEWAY, type Gateway, startGateway } from '../support/gateway.ts';
import { bearer, gatewayCallers, type SignedIn, signedIn } from '../support/people.ts';
import { findProgram } from '../support/program.ts';
import { envelope } from '../support/raw.ts';

const run = promisify(execFile);
/** More at once than Latchkey accepts on one connection. */
const BURST = { requests: 3_000, connections: 20, streams: 8 };

const app = await testApp();
let person: SignedIn;
let service: http.Server;
beforeAll(async () => {
  ({ person } = await gatewayCallers(app, app.call));
  service = await startEchoService();
});
afterAll(() => {
  service.closeAllConnections();
  service.close();
});

const METHOD = '/shop.v1.Orders/Chat';
const asIs = (bytes: Buffer) => bytes;

/** A real gRPC server. It answers each message with the identity headers of the call. */
async function startGrpcService(): Promise<{ port: number; stop(): void }> {
  const server = new grpc.Server();
  const types = {
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  };
  const chat: grpc.handleBidiStreamingCall<Buffer, Buffer> = (call) => {
    call.on('data', () => call.write(Buffer.from(JSON.stringify(call.metadata.getMap()))));
    call.on('end', () => call.end());
  };
  server.addService({ chat: { path: METHOD, requestStream: true, responseStream: true, ...types } }, { chat });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  return { port, stop: () => server.forceShutdown() };
}

test('forwards streams of gRPC with the identity, and rejects them with a status of gRPC', async () => {
  const orders = await startGrpcService();
  const running = await startGateway(ENVOY_GATEWAY, {
    latchkey: app.port,
    service: portOf(service),
    grpc: orders.port,
  });
  const client = new grpc.Client(`127.0.0.1:${running.port}`, grpc.credentials.createInsecure());
  onTestFinished(async () => {
    client.close();
    await running.stop();
    orders.stop();
  });
  const chat = (headers: Record<string, string>) => {
    const metadata = new grpc.Metadata();
    for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
    const call = client.makeBidiStreamRequest(METHOD, asIs, asIs, metadata);
    const answers: Record<string, string>[] = [];
    call.on('data', (bytes: Buffer) => {
      answers.push(JSON.parse(bytes.toString()));
      if (answers.length < 3) call.write(Buffer.from('again'));
      else call.end();
    });
    call.write(Buffer.from('hello'));
    return new Promise<{ code: number; answers: typeof answers; metadata: grpc.Metadata }>((resolve) => {
      call.on('error', () => {});
      call.on('status', ({ code, metadata: trailers }) => resolve({ code, answers, metadata: trailers }));
    });
  };
  const allowed = await chat({ ...bearer(person.accessToken), 'x-auth-roles': 'admin', x_auth_user_id: 'root' });
  expect(allowed.code).toBe(grpc.status.OK);
  expect(allowed.answers).toHaveLength(3);
  expect(allowed.answers[2]).toMatchObject({ 'x-auth-user-id': person.userId, 'x-auth-roles': 'user' });
  expect(allowed.answers[2]).not.toHaveProperty('x_auth_user_id');

  const rejected = await chat({ authorization: 'Bearer x' });
  expect([rejected.code, rejected.answers]).toEqual([grpc.status.UNAUTHENTICATED, []]);
  expect(String(rejected.metadata.get('grpc-status-details-bin')[0])).toContain('TOKEN_INVALID');
});

test('removes identity headers from the trailers of a gRPC call', async () => {
  let trailers: http2.IncomingHttpHeaders | null = null;
  const orders = http2.createServer();
  orders.on('stream', (stream) => {
    stream.on('trailers', (received) => {
      trailers = received;
    });
    stream.resume().on('end', () => {
      stream.respond({ 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.end();
    });
  });
  await new Promise<void>((resolve) => orders.listen(0, '127.0.0.1', resolve));
  const { port } = orders.address() as AddressInfo;
  const running = await startGateway(ENVOY_GATEWAY, { latchkey: app.port, service: portOf(service), grpc: port });
  const session = http2.connect(running.url);
  onTestFinished(async () => {
    session.destroy();
    await running.stop();
    orders.close();
  });
  const headers = { ':method': 'POST', ':path': METHOD, 'content-type': 'application/grpc', te: 'trailers' };
  const stream = session.request({ ...headers, ...bearer(person.accessToken) }, { waitForTrailers: true });
  stream.on('wantTrailers', () =>
    stream.sendTrailers({ 'x-auth-roles': 'admin', x_auth_user_id: 'root', kept: 'yes' }),
  );
  stream.end(envelope(Buffer.from('hello')));
  await new Promise((resolve) => stream.resume().on('close', resolve));
  expect(JSON.stringify(trailers)).toBe('{"kept":"yes"}');
});

test('loses no request of a burst over cold connections', async () => {
  const running = await startGateway(ENVOY_GATEWAY, { latchkey: app.port, service: portOf(service) });
  onTestFinished(() => running.stop());
  const h2load = await findProgram('nghttp2-client', 'usr/bin/h2load');
  const { requests, connections, streams } = BURST;
  const load = ['-n', String(requests), '-c', String(connections), '-m', String(streams)];
  const args = [...load, '-H', `authorization: Bearer ${person.accessToken}`];
  const env = { LD_LIBRARY_PATH: h2load.libraryPath };
  const { stdout } = await run(h2load.path, [...args, `${running.url}/orders`], { env });
  expect(stdout).toContain(`status codes: ${requests} 2xx, 0 3xx, 0 4xx, 0 5xx`);
  expect(stdout).toContain(`${requests} succeeded, 0 failed, 0 errored, 0 timeout`);
}, 120_000);

const HTTP_SERVICE = {
  server_uri: { uri: 'http://latchkey', cluster: 'latchkey', timeout: '2s' },
  path_prefix: '/forward-auth',
  authorization_response: { allowed_upstream_headers: { patterns: [{ prefix: 'x-auth-' }] } },
};

/** The example with ext_authz over HTTP: Latchkey receives the path of the request, and reads the requirements of its policy file. */
function httpForm(text: string): string {
  const configuration = parse(text);
  const { http_filters: filters, route_config: routes } =
    configuration.static_resources.listeners[0].filter_chains[0].filters[0].typed_config;
  const { grpc_service: _, transport_api_version: __, ...authorization } = filters[0].typed_config;
  filters[0].typed_config = { ...authorization, transport_api_version: 'V3', http_service: HTTP_SERVICE };
  for (const route of routes.virtual_hosts[0].routes) {
    const perRoute = route.typed_per_filter_config?.['envoy.filters.http.ext_authz'];
    if (perRoute?.check_settings) delete route.typed_per_filter_config;
  }
  return stringify(configuration, { aliasDuplicateObjects: false });
}

test('checks requests over HTTP with the requirements of the policy file', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-policy-'));
  const file = join(folder, 'policy.yaml');
  writeFileSync(
    file,
    'routes: [{ path: /, access: required }, { path: /admin, role: admin }, { path: /public, access: public }]',
  );
  const own = await startTestApp({ POLICY_FILE: file }, { api: true, worker: false });
  const caller = await signedIn(viaFetch(own.url));
  const gateway: Gateway = { ...ENVOY_GATEWAY, adapt: (text, place) => httpForm(ENVOY_GATEWAY.adapt(text, place)) };
  const running = await startGateway(gateway, { latchkey: own.port, service: portOf(service) });
  onTestFinished(async () => {
    await running.stop();
    await own.close();
    rmSync(folder, { recursive: true });
  });
  const get = async (path: string, headers: Record<string, string> = {}) => {
    const response = await fetch(running.url + path, { headers: { 'x-auth-roles': 'admin', ...headers } });
    const seen = response.ok ? ((await response.json()) as Received).headers : [];
    return { status: response.status, seen: Object.fromEntries(seen) as Record<string, string> };
  };
  expect(await get('/orders', bearer(caller.accessToken))).toMatchObject({
    status: 200,
    seen: { 'x-auth-user-id': caller.userId, 'x-auth-roles': 'user' },
  });
  expect((await get('/orders')).status).toBe(401);
  expect((await get('/admin/', bearer(caller.accessToken))).status).toBe(403);
  expect((await get('/public/../admin/', bearer(caller.accessToken))).status).toBe(403);
  const open = await get('/public/');
  expect([open.status, open.seen['x-auth-roles'] ?? '']).toEqual([200, '']);
}, 120_000);
