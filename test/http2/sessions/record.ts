// Writes sessions.json: the bytes that real clients send on one connection. Run it with `npm run vectors:http2`. It
// fetches h2load, Envoy and Chromium where they are missing.
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http2 from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import * as grpc from '@grpc/grpc-js';
import grpcJs from '@grpc/grpc-js/package.json' with { type: 'json' };
import { startOwned, waitUntilReady } from '../../../src/dev/owned-process.ts';
import { openCertificates } from '../../support/certificates.ts';
import { bodyInChromium, findChromium } from '../../support/chromium.ts';
import { findProgram } from '../../support/program.ts';
import { ENVOY, programOfWheel } from '../../support/wheel.ts';
import type { RecordedSession } from './recorded.ts';
import { type Recorder, startRecorder } from './recorder.ts';

const run = promisify(execFile);
/** Longer recordings, such as those of downloads, add nothing to a test. */
const MAX_BYTES = 4_096;
const BODY = 'a body of a few words';

const folder = mkdtempSync(join(tmpdir(), 'latchkey-sessions-'));
const sessions: RecordedSession[] = [];
const recorder = await startRecorder();
try {
  await recordNode();
  await recordGrpcJs();
  await recordCurl();
  await recordH2load();
  await recordEnvoy();
  await recordChromium();
} finally {
  recorder.close();
  rmSync(folder, { recursive: true });
}
writeFileSync(join(import.meta.dirname, 'sessions.json'), `${JSON.stringify(sessions, null, 2)}\n`);

function keep(client: string, name: string, from: Recorder = recorder): void {
  const recorded = from.take().filter(({ length }) => length > 0 && length <= MAX_BYTES);
  const longest = recorded.toSorted((a, b) => b.length - a.length)[0];
  if (!longest) throw new Error(`${client} has sent nothing, or too much: ${name}`);
  sessions.push({ client, name, bytes: longest.toString('base64') });
}

async function recordNode(): Promise<void> {
  const scripts: Record<string, (session: http2.ClientHttp2Session) => http2.ClientHttp2Stream[]> = {
    GET: (session) => [session.request({ ':path': '/one' })],
    'POST with a body': (session) => [post(session, {})],
    'POST with content-length': (session) => [post(session, { 'content-length': BODY.length })],
    'POST with trailers': (session) => [post(session, {}, { checksum: '1234' })],
    'several streams': (session) => [0, 1, 2].flatMap(() => [session.request({ ':path': '/two' }), post(session, {})]),
    'a reset': (session) => {
      const stream = session.request({ ':path': '/three', ':method': 'POST' });
      setTimeout(() => stream.close(http2.constants.NGHTTP2_CANCEL), 50);
      return [stream, session.request({ ':path': '/four' })];
    },
    'a table of no bytes': (session) => {
      session.settings({ headerTableSize: 0, enablePush: false });
      return [session.request({ ':path': '/five' })];
    },
  };
  for (const [name, script] of Object.entries(scripts)) {
    const session = http2.connect(`http://localhost:${recorder.port}`);
    await once(session, 'remoteSettings');
    const closed = script(session).map(async (stream) => {
      stream.resume();
      await once(stream, 'close');
    });
    await Promise.all(closed);
    session.ping(() => session.close());
    await once(session, 'close');
    keep(`node:http2 ${process.versions.node}`, name);
  }
}

function post(session: http2.ClientHttp2Session, headers: object, trailers?: object): http2.ClientHttp2Stream {
  const path = { ':path': '/post', ':method': 'POST' };
  const stream = session.request({ ...path, ...headers }, { waitForTrailers: trailers !== undefined });
  stream.on('wantTrailers', () => stream.sendTrailers({ ...trailers }));
  stream.end(BODY);
  return stream;
}

async function recordGrpcJs(): Promise<void> {
  const asIs = (bytes: Buffer) => bytes;
  const unary = (client: grpc.Client) =>
    new Promise<void>((resolve, reject) =>
      client.makeUnaryRequest('/shop.v1.Orders/Get', asIs, asIs, Buffer.from(BODY), (error) =>
        error ? reject(error) : resolve(),
      ),
    );
  const scripts: Record<string, (client: grpc.Client) => Promise<unknown>> = {
    'a unary call': unary,
    'several calls at once': (client) => Promise.all([unary(client), unary(client), unary(client)]),
    'a stream of messages': (client) => {
      const call = client.makeBidiStreamRequest('/shop.v1.Orders/Chat', asIs, asIs);
      for (const part of BODY.split(' ')) call.write(Buffer.from(part));
      call.end();
      call.resume();
      return once(call, 'status');
    },
    'a call that the client cancels': async (client) => {
      const call = client.makeBidiStreamRequest('/shop.v1.Orders/Chat', asIs, asIs);
      call.on('error', () => {});
      call.write(Buffer.from(BODY));
      setTimeout(() => call.cancel(), 200);
      // Not `once`, which rejects at the error of the cancelled call.
      await new Promise((resolve) => call.on('status', resolve));
      await unary(client);
    },
  };
  for (const [name, script] of Object.entries(scripts)) {
    const client = new grpc.Client(`localhost:${recorder.port}`, grpc.credentials.createInsecure());
    await script(client);
    client.close();
    keep(`@grpc/grpc-js ${grpcJs.version}`, name);
  }
}

async function recordCurl(): Promise<void> {
  const { path } = await findProgram('curl', 'usr/bin/curl');
  const version = /^curl (\S+)/.exec((await run(path, ['--version'])).stdout)?.[1];
  const url = `http://localhost:${recorder.port}`;
  const scripts: Record<string, string[]> = {
    GET: [`${url}/`],
    HEAD: ['--head', `${url}/`],
    'POST with a body': ['--data', BODY, `${url}/post`],
    'POST of unknown length': ['--header', 'content-length:', '--data-binary', BODY, `${url}/post`],
  };
  for (const [name, args] of Object.entries(scripts)) {
    await run(path, ['--silent', '--http2-prior-knowledge', ...args]);
    keep(`curl ${version}`, name);
  }
}

async function recordH2load(): Promise<void> {
  const { path, libraryPath } = await findProgram('nghttp2-client', 'usr/bin/h2load');
  const env = { ...(libraryPath && { LD_LIBRARY_PATH: libraryPath }) };
  const version = /nghttp2\/(\S+)/.exec((await run(path, ['--version'], { env })).stdout)?.[1];
  const body = join(folder, 'body');
  writeFileSync(body, BODY);
  const url = `http://localhost:${recorder.port}/load`;
  const alone = ['-c', '1', '-t', '1'];
  const scripts: Record<string, string[]> = {
    GET: ['-n', '1'],
    'twelve requests, four at once': ['-n', '12', '-m', '4'],
    'POST with a body': ['-n', '3', '-m', '3', '-d', body, '-H', 'content-type: application/grpc'],
  };
  for (const [name, args] of Object.entries(scripts)) {
    await run(path, [...alone, ...args, url], { env });
    keep(`h2load ${version}`, name);
  }
}

/** Envoy as a gateway: it receives HTTP/1.1 and sends HTTP/2. */
async function recordEnvoy(): Promise<void> {
  const { path } = await programOfWheel(ENVOY);
  const [port, adminPort] = [await freePort(), await freePort()];
  const address = (port_value: number) => ({ socket_address: { address: '127.0.0.1', port_value } });
  const ROUTER = 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router';
  const MANAGER =
    'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
  const PROTOCOL = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
  const routes = [{ match: { prefix: '/' }, route: { cluster: 'recorder' } }];
  const manager = {
    '@type': MANAGER,
    stat_prefix: 'in',
    route_config: { virtual_hosts: [{ name: 'all', domains: ['*'], routes }] },
    http_filters: [{ name: 'router', typed_config: { '@type': ROUTER } }],
  };
  const cluster = {
    name: 'recorder',
    load_assignment: {
      cluster_name: 'recorder',
      endpoints: [{ lb_endpoints: [{ endpoint: { address: address(recorder.port) } }] }],
    },
    typed_extension_protocol_options: {
      [PROTOCOL]: {
        '@type': `type.googleapis.com/${PROTOCOL}`,
        explicit_http_config: { http2_protocol_options: {} },
      },
    },
  };
  const configuration = {
    admin: { address: address(adminPort) },
    static_resources: {
      listeners: [
        { address: address(port), filter_chains: [{ filters: [{ name: 'manager', typed_config: manager }] }] },
      ],
      clusters: [cluster],
    },
  };
  const file = join(folder, 'envoy.json');
  writeFileSync(file, JSON.stringify(configuration));
  const args = ['--config-path', file, '--use-dynamic-base-id', '--concurrency', '1', '--log-level', 'warning'];
  const url = `http://127.0.0.1:${port}`;
  const chunked = { method: 'POST', body: new Blob([BODY]).stream(), duplex: 'half' } as RequestInit;
  const scripts: Record<string, () => Promise<unknown>> = {
    GET: () => fetch(`${url}/envoy`),
    'POST with a body': () => fetch(`${url}/envoy`, { method: 'POST', body: BODY }),
    'POST in chunks': () => fetch(`${url}/envoy`, chunked),
    'several requests at once': () => Promise.all([1, 2, 3].map((n) => fetch(`${url}/envoy/${n}`))),
  };
  for (const [name, script] of Object.entries(scripts)) {
    const envoy = startOwned(path, args, { stopSignal: 'SIGTERM' });
    await waitUntilReady(envoy, 'Envoy', async () => {
      if (!(await fetch(`http://127.0.0.1:${adminPort}/ready`)).ok) throw new Error('not ready');
    });
    await script();
    await envoy.stop();
    keep(`Envoy ${ENVOY.version}`, name);
  }
}

async function freePort(): Promise<number> {
  const reserved = await startRecorder();
  reserved.close();
  return reserved.port;
}

async function recordChromium(): Promise<void> {
  const { path, libraryPath } = await findChromium();
  const env = { LD_LIBRARY_PATH: libraryPath };
  const version = /Chromium (\S+)/.exec((await run(path, ['--version', '--no-sandbox'], { env })).stdout)?.[1];
  const certificates = await openCertificates();
  const secure = await startRecorder(certificates.make('localhost', 'DNS:localhost'));
  try {
    await bodyInChromium(`https://localhost:${secure.port}/`, ['--ignore-certificate-errors']);
    keep(`Chromium ${version}`, 'a page that sends a POST', secure);
  } finally {
    secure.close();
    certificates.remove();
  }
}
