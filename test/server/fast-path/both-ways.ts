// Sends one call twice: to the fast path, and to Connect. A query in the URL makes the difference: Connect ignores it, and the fast
// path hands the call over.
import http from 'node:http';
import http2 from 'node:http2';
import { type DescMethodUnary, fromJson, type JsonValue, toBinary } from '@bufbuild/protobuf';
import { envelope } from '../../support/raw.ts';

type Answer = {
  status: number;
  contentType: string;
  body: string;
  grpc: (string | undefined)[];
  /** Over HTTP/2, the fast path sends no date. Over HTTP/1.1 it is always false. */
  isFast: boolean;
};

export type Way = {
  isHttp2: boolean;
  contentType: string;
  encode: (method: DescMethodUnary, input: JsonValue) => Uint8Array;
};

const toJsonBytes = (_: DescMethodUnary, input: JsonValue) => Buffer.from(JSON.stringify(input));
export const toBinaryBytes = (method: DescMethodUnary, input: JsonValue) =>
  toBinary(method.input, fromJson(method.input, input));
const toGrpc = (method: DescMethodUnary, input: JsonValue) => envelope(toBinaryBytes(method, input));

export const GRPC_WAY: Way = { isHttp2: true, contentType: 'application/grpc', encode: toGrpc };
export const WAYS: [string, Way][] = [
  ['gRPC', GRPC_WAY],
  ['gRPC+proto', { isHttp2: true, contentType: 'application/grpc+proto', encode: toGrpc }],
  ['Connect, binary, HTTP/2', { isHttp2: true, contentType: 'application/proto', encode: toBinaryBytes }],
  ['Connect, JSON, HTTP/2', { isHttp2: true, contentType: 'application/json', encode: toJsonBytes }],
  ['Connect, binary, HTTP/1.1', { isHttp2: false, contentType: 'application/proto', encode: toBinaryBytes }],
  ['Connect, JSON, HTTP/1.1', { isHttp2: false, contentType: 'application/json', encode: toJsonBytes }],
];

export type BothWays = {
  session: http2.ClientHttp2Session;
  send(
    way: Way,
    method: DescMethodUnary,
    body: Uint8Array,
    headers?: Record<string, string>,
  ): Promise<{ fast: Answer; connect: Answer }>;
  close(): void;
};

export function createBothWays(url: string): BothWays {
  const session = http2.connect(url);
  return {
    session,
    async send(way, method, body, headers = {}) {
      const length = way.contentType.startsWith('application/grpc') ? {} : { 'content-length': String(body.length) };
      const all = { 'content-type': way.contentType, 'x-request-id': 'conformance', ...headers, ...length };
      const path = `/${method.parent.typeName}/${method.name}`;
      const request = (target: string) =>
        way.isHttp2 ? overHttp2(session, target, body, all) : overHttp1(`${url}${target}`, body, all);
      return { fast: await request(path), connect: await request(`${path}?`) };
    },
    close: () => void session.close(),
  };
}

function overHttp2(
  session: http2.ClientHttp2Session,
  path: string,
  body: Uint8Array,
  headers: Record<string, string>,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ':method': 'POST', ':path': path, ...headers });
    const all: http2.IncomingHttpHeaders = {};
    const chunks: Buffer[] = [];
    stream.on('response', (received) => Object.assign(all, received));
    stream.on('trailers', (received) => Object.assign(all, received));
    stream.on('data', (chunk) => chunks.push(chunk));
    stream.on('error', reject);
    stream.on('close', () =>
      resolve({
        status: Number(all[':status']),
        contentType: String(all['content-type']),
        body: Buffer.concat(chunks).toString('latin1'),
        grpc: ['grpc-status', 'grpc-message', 'grpc-status-details-bin'].map((name) => all[name] as string | undefined),
        isFast: all.date === undefined,
      }),
    );
    stream.end(body);
  });
}

function overHttp1(url: string, body: Uint8Array, headers: Record<string, string>): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = http.request(url, { method: 'POST', headers });
    request.on('error', reject);
    request.on('response', async (response) => {
      const chunks = await response.toArray();
      resolve({
        status: response.statusCode ?? 0,
        contentType: response.headers['content-type'] ?? '',
        body: Buffer.concat(chunks).toString('latin1'),
        grpc: [],
        isFast: false,
      });
    });
    request.end(body);
  });
}
