// Servers without any logic, which Verify is compared with. `node start-contender.ts <kind>` starts one.
import { readFileSync } from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { type ConnectRouter, createConnectRouter } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import * as grpc from '@grpc/grpc-js';
import { AuthService } from '../../gen/latchkey/auth/v1/auth_service_pb.ts';
import { connectOnEngine } from '../support/connect-on-engine.ts';
import {
  DATA,
  END_HEADERS,
  END_STREAM,
  fields,
  HEADERS,
  SETTINGS,
  settings,
  uint32,
  WINDOW_UPDATE,
} from '../support/frames.ts';
import { envelope, http2Frame } from '../support/raw.ts';

/** The length of a response of Verify, in bytes. */
export const ANSWER_BYTES = 160;
const ANSWER = Buffer.alloc(ANSWER_BYTES, 0x41);
const ENVELOPE = envelope(ANSWER);
export const VERIFY_PATH = '/latchkey.auth.v1.AuthService/Verify';

/** Each returns its port. `args` are those of the command line after the kind. */
export const CONTENDERS: Record<string, (...args: string[]) => Promise<number>> = {
  /** An empty unary handler of grpc-js, which neither reads nor writes a message. */
  async 'grpc-js'() {
    const server = new grpc.Server();
    const bytes = (value: Buffer) => value;
    const method = {
      path: VERIFY_PATH,
      requestStream: false,
      responseStream: false,
      requestSerialize: bytes,
      requestDeserialize: bytes,
      responseSerialize: bytes,
      responseDeserialize: bytes,
    } as const;
    const verify: grpc.handleUnaryCall<Buffer, Buffer> = (_, answer) => answer(null, ANSWER);
    server.addService({ verify: method }, { verify });
    return new Promise((resolve, reject) =>
      server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) =>
        error ? reject(error) : resolve(port),
      ),
    );
  },

  /** An empty handler of Connect for Node, on its own HTTP/2 server. */
  'connect-node': () =>
    portOf(
      http2.createServer(
        connectNodeAdapter({ routes: (router) => router.service(AuthService, { verify: () => ({}) }) }),
      ),
    ),

  /** The same handler on the engine of the service. */
  'connect-on-engine': () =>
    portOf(
      createServer(connectOnEngine(handlersOf(createConnectRouter().service(AuthService, { verify: () => ({}) })))),
    ),

  /** node:http2 alone: reads the body and responds with a constant as gRPC does. */
  http2() {
    const server = http2.createServer();
    server.on('stream', answerConstant);
    return portOf(server);
  },

  'http2-tls'(certFile, keyFile) {
    const server = http2.createSecureServer({ cert: readFileSync(certFile ?? ''), key: readFileSync(keyFile ?? '') });
    server.on('stream', answerConstant);
    return portOf(server);
  },

  /** Reads no more than the heads of frames, and responds with prepared bytes: the rate that the load can reach at most. */
  socket: () => portOf(createServer({ noDelay: true }, answerPrepared)),

  /** node:http alone: parses JSON, and responds with JSON as long as Verify's. */
  http: () =>
    portOf(
      http.createServer((request, response) => {
        const chunks: Buffer[] = [];
        request.on('data', (chunk) => chunks.push(chunk));
        request.on('end', () => {
          const { accessToken } = JSON.parse(Buffer.concat(chunks).toString());
          const principal = {
            kind: 'PRINCIPAL_KIND_USER',
            userId: '01a207ad-4c5e-76c7-b6b3-0b3311038b74',
            sessionId: '01a207ad-4ca5-74ed-a451-48f5356e56d0',
            email: 'grace@people.example',
            roles: [accessToken ? 'user' : 'none'],
            issuedAt: '2026-11-23T09:12:07Z',
            expiresAt: '2026-11-23T09:27:07Z',
          };
          const body = JSON.stringify({ principal, revalidateAt: new Date().toISOString() });
          response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length });
          response.end(body);
        });
      }),
    ),

  /** node:http alone: an empty answer with the headers of forward auth. */
  'http-forward-auth': () =>
    portOf(
      http.createServer((request, response) => {
        request.resume();
        response.writeHead(200, {
          'x-request-id': '01a207ad-4c5e-76c7-b6b3-0b3311038b74',
          'cache-control': 'no-store',
          'x-auth-user-id': '01a207ad-4c5e-76c7-b6b3-0b3311038b74',
          'x-auth-session-id': '01a207ad-4ca5-74ed-a451-48f5356e56d0',
          'x-auth-email': 'grace@people.example',
          'x-auth-email-verified': 'true',
          'x-auth-service': '',
          'x-auth-roles': 'user',
          'content-length': 0,
        });
        response.end();
      }),
    ),
};

function answerConstant(stream: http2.ServerHttp2Stream): void {
  stream.on('error', () => {});
  stream.on('data', () => {});
  stream.on('end', () => {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc+proto' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    stream.end(ENVELOPE);
  });
}

const PREFACE_BYTES = 24;
const FRAME_HEAD = 9;
/** More than a measurement sends. */
const WIDE_WINDOW = 2 ** 30;
/** RFC 7541: field 8 of the static table is `:status: 200`. */
const PREPARED = [
  http2Frame(
    HEADERS,
    END_HEADERS,
    0,
    Buffer.concat([Buffer.from([0x88]), fields(['content-type', 'application/grpc'])]),
  ),
  http2Frame(DATA, 0, 0, ENVELOPE),
  http2Frame(HEADERS, END_HEADERS | END_STREAM, 0, fields(['grpc-status', '0'])),
];

function answerPrepared(socket: Socket): void {
  let unread = Buffer.alloc(0);
  let toSkip = PREFACE_BYTES;
  socket.on('error', () => {});
  socket.write(Buffer.concat([settings(), http2Frame(WINDOW_UPDATE, 0, 0, uint32(WIDE_WINDOW))]));
  socket.on('data', (chunk: Buffer) => {
    const bytes = Buffer.concat([unread, chunk]);
    const answers: Buffer[] = [];
    let at = toSkip;
    for (; at + FRAME_HEAD <= bytes.length; at += FRAME_HEAD + bytes.readUIntBE(at, 3)) {
      const [type, flags] = [bytes[at + 3], bytes[at + 4] as number];
      if (type === SETTINGS && !(flags & 1)) answers.push(http2Frame(SETTINGS, 1, 0));
      if (type === DATA && flags & END_STREAM) answers.push(preparedFor(bytes.readUInt32BE(at + 5)));
    }
    // The rest of a frame whose head has been read does not matter.
    toSkip = Math.max(0, at - bytes.length);
    unread = bytes.subarray(at);
    if (answers.length > 0) socket.write(Buffer.concat(answers));
  });
}

function preparedFor(streamId: number): Buffer {
  const frames = Buffer.concat(PREPARED);
  let at = 0;
  for (const { length } of PREPARED) {
    frames.writeUInt32BE(streamId, at + 5);
    at += length;
  }
  return frames;
}

async function portOf(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

function handlersOf({ handlers }: ConnectRouter) {
  return new Map(handlers.map((handler) => [handler.requestPath, handler]));
}
