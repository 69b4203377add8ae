// The server under test of connectconformance, which starts it once for each kind of server: `server.ts DESCRIPTORS`. It reads
// a ServerCompatRequest from standard input, and writes a ServerCompatResponse to standard output. Each has its length in front.
import { readFileSync } from 'node:fs';
import { buffer } from 'node:stream/consumers';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { createConnectRouter } from '@connectrpc/connect';
import { compressionGzip } from '@connectrpc/connect-node';
import { addConformanceService } from './conformance-service.ts';
import { readDescriptors } from './descriptors.ts';
import { listen } from './listen.ts';

const LENGTH_BYTES = 4;

const [, , descriptorSet = ''] = process.argv;

const descriptors = readDescriptors(readFileSync(descriptorSet));
const request = fromBinary(descriptors.serverRequest, (await buffer(process.stdin)).subarray(LENGTH_BYTES));

const router = createConnectRouter({
  acceptCompression: [compressionGzip],
  jsonOptions: { registry: descriptors.registry },
  readMaxBytes: request.messageReceiveLimit,
});
addConformanceService(router, descriptors);

const { serverCreds, clientTlsCert } = request;
const port = await listen({
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
