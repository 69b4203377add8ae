// A request with several credentials is rejected: a gateway may have checked one of them, and the service would check
// another. The tests use real servers, because Node drops all `authorization` headers but the first.
import http from 'node:http';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { AccountService } from '../../gen/latchkey/auth/v1/account_service_pb.ts';
import {
  connectInterceptor,
  createLatchkey,
  httpMiddleware,
  type Latchkey,
  principalOf,
} from '../../src/client/client.ts';
import { grpcJsInterceptor } from '../../src/client/grpc-js-interceptor.ts';
import { SERVICE_KEY, testApp } from '../support/app.ts';
import { viaFetch } from '../support/clients.ts';
import { signedIn } from '../support/people.ts';
import { envelope } from '../support/raw.ts';

const app = await testApp();
let latchkey: Latchkey;
let mine: string;
beforeAll(async () => {
  latchkey = createLatchkey({ url: app.url, serviceKey: SERVICE_KEY });
  await latchkey.ready();
  mine = `Bearer ${(await signedIn(viaFetch(app.url))).accessToken}`;
});
afterAll(async () => {
  latchkey.close();
});

const several = (): Record<string, string[]> => ({
  'another one first': ['Bearer x', mine],
  'another one last': [mine, 'Bearer x'],
  'the same one twice': [mine, mine],
  'an empty one last': [mine, ''],
  'another scheme last': [mine, 'Basic eDp5'],
  'two joined by a comma': [`${mine}, ${mine}`],
  'two joined by a comma alone': [`${mine},Bearer x`],
});

type Received = { status: number; body: string; grpcStatus: unknown };
type Send = (url: string, authorization: string[]) => Promise<Received>;

const PATH = '/latchkey.auth.v1.AccountService/GetMe';

const overHttp1: Send = (url, authorization) =>
  new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', authorization };
    const options = { method: 'POST', headers: headers as unknown as http.OutgoingHttpHeaders };
    const request = http.request(`${url}${PATH}`, options, async (response) => {
      const body = Buffer.concat(await response.toArray()).toString();
      resolve({ status: response.statusCode ?? 0, body, grpcStatus: undefined });
    });
    request.on('error', reject);
    request.end('{}');
  });

function overHttp2With(contentType: string, body: Buffer): Send {
  return (url, authorization) =>
    new Promise((resolve, reject) => {
      // Otherwise Node's client does not send them.
      const session = http2.connect(url, { strictSingleValueFields: false } as http2.ClientSessionOptions);
      const headers = { ':path': PATH, ':method': 'POST', 'content-type': contentType, te: 'trailers', authorization };
      const stream = session.request(headers as unknown as http2.OutgoingHttpHeaders);
      const received: http2.IncomingHttpHeaders = {};
      const chunks: Buffer[] = [];
      stream.on('response', (those) => Object.assign(received, those));
      stream.on('trailers', (those) => Object.assign(received, those));
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('error', reject);
      stream.on('close', () => {
        session.close();
        const [status, grpcStatus] = [Number(received[':status']), received['grpc-status']];
        resolve({ status, body: Buffer.concat(chunks).toString(), grpcStatus });
      });
      stream.end(body);
    });
}

const overHttp2 = overHttp2With('application/json', Buffer.from('{}'));
const overGrpc = overHttp2With('application/grpc', envelope(Buffer.of()));

/** Runs until the end of the test. @returns its URL */
async function listening(server: http.Server | http2.Http2Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const connectRoutes = () =>
  connectNodeAdapter({
    interceptors: [connectInterceptor(latchkey)],
    routes: (router) => router.service(AccountService, { getMe: () => ({ user: { id: 'x' } }) }),
  });

test.each<[string, () => http.Server | http2.Http2Server, Send]>([
  [
    'the middleware over HTTP/1.1',
    () => {
      const protect = httpMiddleware(latchkey);
      return http.createServer((request, response) =>
        protect(request, response, () => response.end(principalOf(request).kind)),
      );
    },
    overHttp1,
  ],
  [
    'the middleware over HTTP/2',
    () => {
      const protect = httpMiddleware(latchkey);
      return http2.createServer((request, response) =>
        protect(request, response, () => response.end(principalOf(request).kind)),
      );
    },
    overHttp2,
  ],
  ['the interceptor of Connect over HTTP/1.1', () => http.createServer(connectRoutes()), overHttp1],
  ['the interceptor of Connect over HTTP/2', () => http2.createServer(connectRoutes()), overHttp2],
])('%s rejects a request with several credentials', async (_, create, send) => {
  const url = await listening(create());
  expect((await send(url, [mine])).status).toBe(200);
  for (const [what, authorization] of Object.entries(several())) {
    const { status, body } = await send(url, authorization);
    expect([what, status, body]).toEqual([what, 401, expect.stringMatching(/unauthenticated|TOKEN_INVALID/)]);
  }
  expect((await send(url, [mine])).status).toBe(200);
});

test('the interceptor of grpc-js rejects a call with several credentials', async () => {
  const server = new grpc.Server({ interceptors: [grpcJsInterceptor(latchkey)] });
  const pass = (bytes: Buffer) => bytes;
  const bytes = {
    requestSerialize: pass,
    requestDeserialize: pass,
    responseSerialize: pass,
    responseDeserialize: pass,
  };
  server.addService(
    { getMe: { path: PATH, requestStream: false, responseStream: false, ...bytes } },
    { getMe: (_: unknown, answer: grpc.sendUnaryData<Buffer>) => answer(null, Buffer.of()) },
  );
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  onTestFinished(() => server.forceShutdown());
  const url = `http://127.0.0.1:${port}`;
  expect((await overGrpc(url, [mine])).grpcStatus).toBe('0');
  for (const [what, authorization] of Object.entries(several())) {
    const { grpcStatus } = await overGrpc(url, authorization);
    expect([what, grpcStatus]).toEqual([what, String(grpc.status.UNAUTHENTICATED)]);
  }
});
