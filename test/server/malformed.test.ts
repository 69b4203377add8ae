// Random input to every method in every protocol is an error of the caller, never INTERNAL.
import http2 from 'node:http2';
import type { DescMethod, DescService } from '@bufbuild/protobuf';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { Authorization } from '../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import { ServerReflection } from '../../gen/grpc/reflection/v1/reflection_pb.ts';
import { ServerReflection as ServerReflectionAlpha } from '../../gen/grpc/reflection/v1alpha/reflection_pb.ts';
import { Health } from '../../gen/health/v1/health_pb.ts';
import { AccountService } from '../../gen/latchkey/auth/v1/account_service_pb.ts';
import { AdminService } from '../../gen/latchkey/auth/v1/admin_service_pb.ts';
import { AuthService } from '../../gen/latchkey/auth/v1/auth_service_pb.ts';
import { VerifierService } from '../../gen/latchkey/auth/v1/verifier_service_pb.ts';
import { testApp } from '../support/app.ts';
import { viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import * as frames from '../support/frames.ts';
import { signedInWith } from '../support/people.ts';
import {
  envelope,
  HTTP2_PREFACE,
  http2Frame,
  type RawAnswer,
  rawConnection,
  rawStream,
  statusOf,
} from '../support/raw.ts';

const SERVICES: DescService[] = [
  AuthService,
  AccountService,
  VerifierService,
  AdminService,
  Health,
  ServerReflection,
  ServerReflectionAlpha,
  Authorization,
];
const METHODS = SERVICES.flatMap(({ methods }) => methods);

const app = await testApp({}, { api: true, worker: false });
let admin: string;
beforeAll(async () => {
  admin = (await signedInWith(app, viaFetch(app.url), ['admin'])).accessToken;
});

const EMPTY = Buffer.alloc(0);
const garbage = Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f, 1]);
const BODIES: [name: string, body: Buffer][] = [
  ['nothing', EMPTY],
  ['half of the head of an envelope', Buffer.from([0, 0])],
  ['half a message', envelope(Buffer.alloc(3), 0, 30)],
  ['two messages', Buffer.concat([envelope(EMPTY), envelope(EMPTY)])],
  ['a message and half of the next', Buffer.concat([envelope(EMPTY), Buffer.from([0, 0, 0])])],
  ['a message that is marked as compressed', envelope(Buffer.from([1, 2, 3]), 1)],
  ['the flag of the end of a stream', envelope(Buffer.from('{}'), 2)],
  ['the flag of trailers', envelope(Buffer.from('grpc-status: 0'), 0x80)],
  ['an unknown flag', envelope(EMPTY, 0x40)],
  ['garbage in an envelope', envelope(garbage)],
  ['garbage without one', garbage],
  ['text that is no UTF-8', envelope(Buffer.from([0x0a, 2, 0xff, 0xfe]))],
  ['a text that is a number', envelope(Buffer.from([0x08, 1]))],
  ['a group', envelope(Buffer.from([0x0b, 0x0c]))],
  ['brackets', envelope(Buffer.alloc(100, '['))],
  ['JSON of another type', envelope(Buffer.from('[]'))],
  ['JSON null', envelope(Buffer.from('null'))],
  ['JSON null without an envelope', Buffer.from('null')],
  ['a length of 4 GiB', envelope(EMPTY, 0, 0xffff_ffff)],
];
const CONTENT_TYPES = [
  'application/grpc',
  'application/grpc+json',
  'application/grpc-web+proto',
  'application/grpc-web+json',
  'application/proto',
  'application/json',
  'application/connect+proto',
  'application/connect+json',
  'application/grpc-web-text',
  'text/plain',
];

describe.each(METHODS.map((method) => [`${method.parent.typeName}/${method.name}`, method] as const))(
  '%s',
  (path, method) => {
    test.each(CONTENT_TYPES)('%s', async (contentType) => {
      const session = http2.connect(app.url);
      onTestFinished(() => session.destroy());
      const linesBefore = app.logs.length;
      await Promise.all(
        BODIES.map(async ([name, body]) => {
          const headers = { 'content-type': contentType, authorization: `Bearer ${admin}` };
          const { stream, closed } = rawStream(session, `/${path}`, headers);
          // Streams without an end.
          if (mayLast(method)) stream.once('data', () => stream.close());
          stream.end(body);
          expect(codeOf(await closed), name).not.toMatch(/^(2|13|internal|unknown|5\d\d)$/);
        }),
      );
      const errors = app.logs.slice(linesBefore).filter((line) => /"level":(50|"error")|"internal"/i.test(line));
      expect(errors).toEqual([]);
    });
  },
);

function mayLast({ methodKind }: DescMethod): boolean {
  return methodKind !== 'unary';
}

/** The status of gRPC, of Connect, or of HTTP. */
function codeOf(answer: RawAnswer): string {
  const text = answer.body.toString();
  const [, web] = /grpc-status: (\d+)/.exec(text) ?? [];
  const [, connect] = /"code":"(\w+)"/.exec(text) ?? [];
  const http = String(answer.headers[':status'] ?? '');
  return web ?? connect ?? (statusOf(answer) === 'undefined' ? http : statusOf(answer));
}

describe('several authorization headers', () => {
  const twice: [name: string, headers: [string, string][]][] = [
    [
      'twice',
      [
        ['authorization', 'Bearer a'],
        ['authorization', 'Bearer b'],
      ],
    ],
    [
      'twice the same',
      [
        ['authorization', 'Bearer a'],
        ['authorization', 'Bearer a'],
      ],
    ],
    [
      'in two spellings',
      [
        ['Authorization', 'Bearer a'],
        ['AUTHORIZATION', 'Basic YTpi'],
      ],
    ],
    [
      'an empty one first',
      [
        ['authorization', ''],
        ['authorization', 'Bearer a'],
      ],
    ],
    ['joined by a comma', [['authorization', 'Bearer a, Bearer b']]],
  ];

  test.each(twice)('%s: no method answers, over HTTP/1.1', async (_, headers) => {
    // A stream of requests takes HTTP/2.
    for (const method of METHODS.filter(({ methodKind }) => methodKind !== 'bidi_streaming')) {
      const isUnary = method.methodKind === 'unary';
      const answer = await overHttp1(
        `/${method.parent.typeName}/${method.name}`,
        [['content-type', isUnary ? 'application/json' : 'application/connect+json'], ...headers],
        isUnary ? Buffer.from('{}') : envelope(Buffer.from('{}')),
      );
      expect(answer, method.name).toMatch(/"unauthenticated"/);
      expect(answer, method.name).toMatch(/CREDENTIALS_AMBIGUOUS|details/);
    }
  });

  test.each(twice)('%s: no method answers, over HTTP/2', async (_, headers) => {
    for (const method of METHODS) {
      const path = `/${method.parent.typeName}/${method.name}`;
      expect(await overHttp2(path, 'application/grpc-web+proto', headers, envelope(EMPTY)), path).toMatch(
        /grpc-status: 16/,
      );
      if (method.methodKind !== 'unary') continue;
      const body = Buffer.from('{"accessToken":"x"}');
      expect(await overHttp2(path, 'application/json', headers, body), path).toMatch(/unauthenticated/);
    }
  });

  test.each(twice)('%s: neither do the endpoints of plain HTTP', async (_, headers) => {
    const form: [string, string] = ['content-type', 'application/x-www-form-urlencoded'];
    const body = Buffer.from('grant_type=client_credentials');
    expect(await overHttp1('/oauth/token', [form, ...headers], body)).toMatch(
      /^HTTP\/1.1 401 (.|\r|\n)*invalid_client/,
    );
    expect(await overHttp1('/forward-auth', headers, EMPTY)).toMatch(/^HTTP\/1.1 401 /);
  });
});

async function overHttp1(path: string, headers: [string, string][], body: Buffer): Promise<string> {
  const lines = [['host', 'x'], ['connection', 'close'], ['content-length', String(body.length)], ...headers];
  const head = `POST ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`;
  const connection = rawConnection(Number(new URL(app.url).port), Buffer.concat([Buffer.from(head), body]));
  await connection.closed;
  return connection.received();
}

/** Written by hand, because few clients can send a header twice. @returns the body of the response */
async function overHttp2(path: string, type: string, more: [string, string][], body: Buffer): Promise<string> {
  const all = frames.request(path).filter(([name]) => name !== 'content-type' && name !== 'te');
  const length = String(body.length);
  all.push(['content-type', type], ['content-length', length], ...more.map(lowerCase));
  const data = http2Frame(frames.DATA, frames.END_STREAM, 1, body);
  const connection = rawConnection(
    Number(new URL(app.url).port),
    Buffer.concat([HTTP2_PREFACE, frames.headers(1, all), data]),
  );
  const received = () => frames.parseFrames(Buffer.from(connection.received(), 'latin1'));
  await eventually(() => received().some(({ flags, streamId }) => streamId === 1 && flags & frames.END_STREAM));
  connection.socket.destroy();
  return received()
    .flatMap(({ type: kind, payload }) => (kind === frames.DATA ? [payload.toString()] : []))
    .join('');
}

function lowerCase([name, value]: [string, string]): frames.Field {
  return [name.toLowerCase(), value];
}
