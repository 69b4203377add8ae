// reasonOf, violationsOf and retryAfterOf read the errors of every protocol, and survive hostile ones.
import { create, type DescMessage, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError } from '@connectrpc/connect';
import * as grpc from '@grpc/grpc-js';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { StatusSchema } from '../../gen/google/rpc/status_pb.ts';
import { AuthError, reasonOf, retryAfterOf, violationsOf } from '../../src/client/client.ts';

const VIOLATION = { field: 'email', description: 'must be an email address' };
const info = (domain = 'latchkey.dev') => [ErrorInfoSchema, { reason: 'RATE_LIMITED', domain }] as const;
const DETAILS = [
  info(),
  [BadRequestSchema, { fieldViolations: [VIOLATION] }],
  [RetryInfoSchema, { retryDelay: { seconds: 2n, nanos: 500_000_000 } }],
] as const;
const ALL = { reason: 'RATE_LIMITED', violations: [VIOLATION], retryAfterMs: 2_500 };
const NOTHING = { reason: null, violations: [], retryAfterMs: null };

const read = (failure: unknown) => ({
  reason: reasonOf(failure),
  violations: violationsOf(failure),
  retryAfterMs: retryAfterOf(failure),
});

type Details = readonly (readonly [DescMessage, MessageInitShape<DescMessage>])[];

const bytesOf = ([desc, value]: Details[number]) => toBinary(desc, create(desc, value));

function ofConnect(details: Details = DETAILS): ConnectError {
  const error = new ConnectError('x', Code.ResourceExhausted);
  error.details.push(...details.map((detail) => ({ type: detail[0].typeName, value: bytesOf(detail) })));
  return error;
}

function ofGrpcJs(bytes: Uint8Array): Partial<grpc.ServiceError> {
  const metadata = new grpc.Metadata();
  metadata.set('grpc-status-details-bin', Buffer.from(bytes));
  return Object.assign(new Error('8 RESOURCE_EXHAUSTED: x'), { code: 8, details: 'x', metadata });
}

function status(details: Details = DETAILS): Uint8Array {
  const packed = details.map(([desc, value]) => anyPack(desc, create(desc, value)));
  return toBinary(StatusSchema, create(StatusSchema, { code: 8, details: packed }));
}

function ofJson(details: Details = DETAILS) {
  return {
    code: 'resource_exhausted',
    message: 'x',
    details: details.map((detail) => ({
      type: detail[0].typeName,
      value: Buffer.from(bytesOf(detail)).toString('base64').replace(/=+$/, ''),
    })),
  };
}

test.each([
  ['Connect', ofConnect()],
  ['grpc-js', ofGrpcJs(status())],
  ['the JSON of Connect', ofJson()],
  ['verify()', new AuthError('RATE_LIMITED', { violations: [VIOLATION], retryAfterMs: 2_500 })],
])('reads an error of %s', (_, failure) => {
  expect(read(failure)).toEqual(ALL);
});

test('reads the JSON of HTTP endpoints, and the header of a Response', () => {
  const body = { reason: 'TOKEN_INVALID', message: 'x', violations: [VIOLATION] };
  expect(read(body)).toEqual({ reason: 'TOKEN_INVALID', violations: [VIOLATION], retryAfterMs: null });
  expect(retryAfterOf(new Response('', { status: 503, headers: { 'retry-after': '3' } }))).toBe(3_000);
  expect(retryAfterOf(new ConnectError('x', Code.Unavailable, { 'retry-after': '4' }))).toBe(4_000);
  for (const header of ['-1', 'x', '', '9'.repeat(400), 'Wed, 21 Oct 2026 07:28:00 GMT']) {
    expect(retryAfterOf(new ConnectError('x', Code.Unavailable, { 'retry-after': header }))).toBe(null);
  }
});

test('a reason of another domain is not ours', () => {
  for (const failure of [ofConnect([info('example.com')]), ofGrpcJs(status([info('example.com')]))]) {
    expect(read(failure)).toEqual(NOTHING);
  }
});

test('a negative delay is none', () => {
  expect(retryAfterOf(ofConnect([[RetryInfoSchema, { retryDelay: { seconds: -5n } }]]))).toBe(0);
});

describe('hostile failures', () => {
  test.each([
    null,
    undefined,
    0,
    '',
    'TOKEN_INVALID',
    [],
    {},
    new Error('TOKEN_INVALID'),
    Symbol('x'),
    { details: 'x' },
  ])('case %#', (failure) => expect(read(failure)).toEqual(NOTHING));

  test('never make the functions throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.jsonValue(), (bytes, value) => {
        read(ofGrpcJs(bytes));
        read(value);
        read({ details: [{ type: 'google.rpc.ErrorInfo', value }] });
        const error = new ConnectError('x');
        for (const [desc] of DETAILS) error.details.push({ type: desc.typeName, value: bytes });
        read(error);
      }),
    );
  });
});
