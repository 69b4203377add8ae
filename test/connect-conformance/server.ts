// The server under test of connectconformance, which starts it once for each kind of server: `server.ts DESCRIPTORS --engine node`. It reads
// a ServerCompatRequest from standard input, and writes a ServerCompatResponse to standard output. Each has its length in front.
import { readFileSync } from 'node:fs';
import { buffer } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { createConnectRouter } from '@connectrpc/connect';
import { compressionGzip } from '@connectrpc/connect-node';
import { addConformanceService } from './conformance-service.ts';
import { readDescriptors } from './descriptors.ts';
import { ENGINES } from './engine.ts';

const LENGTH_BYTES = 4;

const { values, positionals } = parseArgs({ options: { engine: { type: 'string' } }, allowPositionals: true });
const [descriptorSet = ''] = positionals;
const engine = ENGINES[values.engine ?? ''];
if (!engine) throw new Error(`--engine must be one of ${Object.keys(ENGINES).join(', ')}`);

const descriptors = readDescriptors(readFileSync(descriptorSet));
const request = fromBinary(descriptors.serverRequest, (await buffer(process.stdin)).subarray(LENGTH_BYTES));

const router = createConnectRouter({
  acceptCompression: [compressionGzip],
  jsonOptions: { registry: descriptors.registry },
  readMaxBytes: request.messageReceiveLimit,
});
addConformanceService(router, descriptors);

const { serverCreds, clientTlsCert } = request;
const port = await engine({
  handlers: new Map(router.handlers.map((handler) => [handler.requestPath, handler])),
  isHttp2: request.httpVersion === 2,
  tls: serverCreds
    ? {
        cert: Buffer.from(serverCreds.cert).toString(),
        key: Buffer.from(serverCreds.key).toString(),
        clientAuthority: Buffer.from(clientTlsCert).toString() || null,
      }
    : null,
});
const response = create(descriptors.serverResponse, {
  host: '127.0.0.1',
  port,
  pemCert: serverCreds?.cert ?? new Uint8Array(),
});
const message = toBinary(descriptors.serverResponse, response);
const length = Buffer.alloc(LENGTH_BYTES);
length.writeUInt32BE(message.length);
process.stdout.write(Buffer.concat([length, message]));
