import { setTimeout as sleep } from 'node:timers/promises';
import { create, toBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { VerifyRequestSchema } from '../../../gen/latchkey/auth/v1/auth_service_pb.ts';
import { Field } from '../../../src/http2/hpack/field.ts';
import { HeaderList } from '../../../src/http2/hpack/header-list.ts';
import { derivePurposeKeys } from '../../../src/keys/purpose-keys.ts';
import { remainingTimeout } from '../../../src/server/calls/deadlines.ts';
import { createFastPath } from '../../../src/server/fast-path/fast-path.ts';
import { createFastRpcs } from '../../../src/server/fast-path/fast-rpcs.ts';
import { issue, verifierWithCache } from '../../support/cached-tokens.ts';

const deps = {
  verifier: verifierWithCache(1024 * 1024).verifier,
  serviceKeys: { nameOf: () => null, use: () => null, uses: () => [] },
  apiKeys: { cached: () => null },
  denials: { isRecorded: () => false },
  tokenSettings: { audiences: [], issuer: '' },
  policy: null,
  recentlyServing: () => null,
  browserSessions: null,
  purposeKeys: derivePurposeKeys([Buffer.alloc(32)]),
  now: () => new Date(),
  callLog: { count: () => {}, write: () => {}, close: () => {} },
  clientAddress: (peer: string) => peer,
};
const fastPath = createFastPath([createFastRpcs(deps, () => true)]);
const body = Buffer.from(toBinary(VerifyRequestSchema, create(VerifyRequestSchema, { accessToken: issue().token })));

/** A call of Verify with this deadline, whose body has not arrived. */
function callWith(timeoutMs: string) {
  const fields = Object.entries({
    ':method': 'POST',
    ':scheme': 'http',
    ':authority': 'auth.example',
    ':path': '/latchkey.auth.v1.AuthService/Verify',
    'content-type': 'application/proto',
    'content-length': String(body.length),
    'connect-timeout-ms': timeoutMs,
  }).map(([name, value]) => new Field(name, value));
  const headers = new HeaderList(fields, 0, false);
  const peer = { address: '127.0.0.1', service: null };
  return fastPath({ headers, peer, isHttp2: true, isComplete: false, openedAt: performance.now() });
}

test('a call is answered before its deadline', () => {
  expect(callWith('60000')?.answer(body)).toMatchObject({ head: { status: 200 } });
});

test('a call whose deadline has passed when its body arrives is left to Connect', async () => {
  const call = callWith('10');
  await sleep(20);
  expect(call).not.toBeNull();
  expect(call?.answer(body)).toBeNull();
});

test.each([
  ['grpc-timeout', '20m', 7.1, '12m'],
  ['grpc-timeout', '1S', 1_001, '0m'],
  ['grpc-timeout', '28H', 0, '99999999m'],
  ['grpc-timeout', '99999999H', 0, null],
  ['grpc-timeout', 'soon', 7.1, 'soon'],
  ['connect-timeout-ms', '20', 7.1, '12'],
  ['connect-timeout-ms', '1', 1.5, '0'],
] as const)('%s %s after %d ms becomes %s', (name, before, elapsedMs, after) => {
  const headers = new Headers({ [name]: before });
  remainingTimeout(headers, elapsedMs);
  expect(headers.get(name)).toBe(after);
});
