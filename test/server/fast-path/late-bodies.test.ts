// A deadline runs from the headers of a call, also while its body arrives and also when the fast path hands the call to Connect.
import http from 'node:http';
import http2 from 'node:http2';
import { setTimeout as sleep } from 'node:timers/promises';
import { create, toBinary, toJsonString } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { VerifyRequestSchema } from '../../../gen/latchkey/auth/v1/auth_service_pb.ts';
import { testApp } from '../../support/app.ts';
import { signedIn } from '../../support/people.ts';
import { envelope } from '../../support/raw.ts';

const app = await testApp();
const PATH = '/latchkey.auth.v1.AuthService/Verify';
let accessToken: string;
let session: http2.ClientHttp2Session;

beforeAll(async () => {
  accessToken = (await signedIn(app.call)).accessToken;
  session = http2.connect(app.url);
});
afterAll(() => {
  session.close();
});

type Body = () => Buffer;
type Send = (headers: Record<string, string>, body: Buffer, pauseMs: number) => Promise<string>;

const request = () => create(VerifyRequestSchema, { accessToken });
const binary: Body = () => Buffer.from(toBinary(VerifyRequestSchema, request()));
const json: Body = () => Buffer.from(toJsonString(VerifyRequestSchema, request()));

/** The code of a call whose body arrives some time after its headers: `grpc-status`, or the code of Connect. */
const overHttp2: Send = async (headers, body, pauseMs) => {
  const stream = session.request({ ':method': 'POST', ':path': PATH, ...headers });
  const all: http2.IncomingHttpHeaders = {};
  const chunks: Buffer[] = [];
  stream.on('response', (received) => Object.assign(all, received));
  stream.on('trailers', (received) => Object.assign(all, received));
  stream.on('data', (chunk) => chunks.push(chunk));
  stream.on('error', () => {});
  const closed = new Promise((resolve) => stream.once('close', resolve));
  await pause(pauseMs);
  if (!stream.destroyed) stream.end(body);
  await closed;
  return all['grpc-status']?.toString() ?? codeOf(Buffer.concat(chunks));
};

const overHttp1: Send = async (headers, body, pauseMs) => {
  const sent = http.request(`${app.url}${PATH}`, { method: 'POST', headers });
  const answer = new Promise<Buffer[]>((resolve, reject) => {
    sent.on('response', (response) => resolve(response.toArray()));
    sent.on('error', reject);
  });
  sent.flushHeaders();
  await pause(pauseMs);
  sent.end(body);
  return codeOf(Buffer.concat(await answer));
};

/** Many short pauses: the server runs in the same process, and reads the headers in one of the first pauses. */
async function pause(milliseconds: number): Promise<void> {
  for (let n = 0; n < milliseconds / 10; n += 1) await sleep(10);
}

function codeOf(body: Buffer): string {
  return body[0] === '{'.charCodeAt(0) ? (JSON.parse(body.toString()).code ?? 'ok') : 'ok';
}

const WAYS: [string, string, Send, Body][] = [
  ['gRPC', 'application/grpc', overHttp2, () => envelope(binary())],
  ['Connect, binary, HTTP/2', 'application/proto', overHttp2, binary],
  ['Connect, JSON, HTTP/2', 'application/json', overHttp2, json],
  ['Connect, binary, HTTP/1.1', 'application/proto', overHttp1, binary],
  ['Connect, JSON, HTTP/1.1', 'application/json', overHttp1, json],
];

describe.each(WAYS)('%s', (name, contentType, send, body) => {
  const isGrpc = name === 'gRPC';
  const late = isGrpc ? '4' : 'deadline_exceeded';
  const ok = isGrpc ? '0' : 'ok';

  function callAfter(pauseMs: number, deadlineMs: number, bytes = body()): Promise<string> {
    const deadline = isGrpc ? { 'grpc-timeout': `${deadlineMs}m` } : { 'connect-timeout-ms': String(deadlineMs) };
    const length = isGrpc ? {} : { 'content-length': String(bytes.length) };
    return send({ 'content-type': contentType, ...deadline, ...length }, bytes, pauseMs);
  }

  test('the deadline passes before the body arrives', async () => {
    expect(await callAfter(50, 20)).toBe(late);
  });

  test('the deadline passes before a body that only Connect can read arrives', async () => {
    const unusual = isGrpc
      ? envelope(binary(), 1)
      : contentType.endsWith('json')
        ? Buffer.from('{"more":"é"}')
        : binary();
    expect(await callAfter(50, 20, unusual)).toBe(late);
  });

  // Over HTTP/1.1 the headers of an empty body are the whole request.
  test.runIf(send === overHttp2)('the deadline passes before the body ends without a byte', async () => {
    expect(await callAfter(50, 20, Buffer.alloc(0))).toBe(late);
  });

  test('the deadline passes after Connect has taken the call', async () => {
    // Connect takes it after 100 to 150 ms. A deadline that started then would pass after 500 ms.
    expect(await callAfter(460, 400)).toBe(late);
  });

  test('the deadline does not pass', async () => {
    expect(await callAfter(50, 20_000)).toBe(ok);
    expect(await callAfter(300, 20_000)).toBe(ok);
  });
});
