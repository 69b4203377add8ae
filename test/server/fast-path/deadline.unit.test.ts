import { setTimeout as sleep } from 'node:timers/promises';
import { create, toBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { VerifyRequestSchema } from '../../../gen/latchkey/auth/v1/auth_service_pb.ts';
import { derivePurposeKeys } from '../../../src/keys/purpose-keys.ts';
import { formatTimeout } from '../../../src/server/calls/deadlines.ts';
import { createFastPath } from '../../../src/server/fast-path/fast-path.ts';
import { issue, verifierWithCache } from '../../support/cached-tokens.ts';

const fastPath = createFastPath({
  verifier: verifierWithCache(1024 * 1024).verifier,
  serviceKeys: { nameOf: () => null, use: () => null, uses: () => [] },
  apiKeys: { cached: () => null },
  denials: { isRecorded: () => false },
  tokenSettings: { audiences: [], issuer: '' },
  policy: null,
  browserSessions: null,
  purposeKeys: derivePurposeKeys([Buffer.alloc(32)]),
  now: () => new Date(),
  serves: () => true,
  callLog: { count: () => {}, write: () => {}, close: () => {} },
  clientAddress: (peer) => peer,
});
const body = Buffer.from(toBinary(VerifyRequestSchema, create(VerifyRequestSchema, { accessToken: issue().token })));

/** A call of Verify with this deadline, whose body has not arrived. */
function callWith(timeoutMs: string) {
  const headers: Record<string, string> = {
    'content-type': 'application/proto',
    'content-length': String(body.length),
    'connect-timeout-ms': timeoutMs,
  };
  return fastPath({
    isHttp2: true,
    method: 'POST',
    path: '/latchkey.auth.v1.AuthService/Verify',
    host: 'auth.example',
    header: (name) => headers[name] ?? '',
    headersWith: () => [],
    hasHeader: (name) => name in headers,
    authorization: () => '',
    address: () => '127.0.0.1',
  });
}

test('a call is answered before its deadline', () => {
  expect(callWith('60000')?.answer(body)).toMatchObject({ status: 200 });
});

test('a call whose deadline has passed when its body arrives is left to Connect', async () => {
  const call = callWith('10');
  await sleep(20);
  expect(call).not.toBeNull();
  expect(call?.answer(body)).toBeNull();
  expect(call?.remainingTimeout()).toEqual({ name: 'connect-timeout-ms', value: '0' });
});

test.each([
  ['grpc-timeout', 12.9, '12m'],
  ['grpc-timeout', -1, '0m'],
  ['grpc-timeout', 3.6e11, '99999999m'],
  ['connect-timeout-ms', 12.9, '12'],
  ['connect-timeout-ms', -0.5, '0'],
] as const)('%s of %d ms is written as %s', (name, milliseconds, text) => {
  expect(formatTimeout(name, milliseconds)).toBe(text);
});
