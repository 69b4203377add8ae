// Servers without any logic, which Verify is compared with. `node contenders.ts <kind>` starts one and prints its port.
import http from 'node:http';
import http2 from 'node:http2';
import type { AddressInfo, Server } from 'node:net';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import * as grpc from '@grpc/grpc-js';
import { AuthService } from '../../gen/latchkey/auth/v1/auth_service_pb.ts';

/** The length of a response of Verify, in bytes. */
const ANSWER = Buffer.alloc(160, 0x41);
const ENVELOPE = Buffer.concat([Buffer.from([0, 0, 0, 0, ANSWER.length]), ANSWER]);
const PATH = '/latchkey.auth.v1.AuthService/Verify';

const listening: Record<string, () => Promise<number>> = {
  /** An empty unary handler of grpc-js, which neither reads nor writes a message. */
  async 'grpc-js'() {
    const server = new grpc.Server();
    const bytes = (value: Buffer) => value;
    const method = {
      path: PATH,
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

  /** node:http2 alone: reads the body and responds with a constant as gRPC does. */
  http2() {
    const server = http2.createServer();
    server.on('stream', (stream) => {
      stream.on('error', () => {});
      stream.on('data', () => {});
      stream.on('end', () => {
        stream.respond({ ':status': 200, 'content-type': 'application/grpc+proto' }, { waitForTrailers: true });
        stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
        stream.end(ENVELOPE);
      });
    });
    return portOf(server);
  },

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
};

async function portOf(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

const listen = listening[process.argv[2] ?? ''];
if (!listen) throw new Error(`one of ${Object.keys(listening)}`);
console.log(JSON.stringify({ port: await listen() }));
process.once('SIGTERM', () => process.exit());
