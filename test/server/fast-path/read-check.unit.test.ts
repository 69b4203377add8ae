// The fast path reads CheckRequest by hand. Where it reads a message at all, it finds what the library finds.
import { create, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type CheckRequest, CheckRequestSchema } from '../../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import { readCheckFacts } from '../../../src/server/fast-path/read-check.ts';
import { type CheckFacts, factsOf } from '../../../src/server/gateway/check-facts.ts';

const READ = [
  'authorization',
  'Authorization',
  ':authority',
  'cookie',
  'x-forwarded-for',
  'X-Request-Id',
  'user-agent',
];
const name = fc.oneof(fc.constantFrom(...READ), fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 20 }));
const text = fc.string({ unit: 'grapheme-ascii', maxLength: 200 });
const anyText = fc.oneof(text, fc.string({ maxLength: 20 }));
const request = fc.record({
  attributes: fc.record(
    {
      source: fc.record({
        address: fc.record({
          address: fc.record({
            case: fc.constant('socketAddress' as const),
            value: fc.record({ address: text, portSpecifier: fc.constant({ case: 'portValue' as const, value: 443 }) }),
          }),
        }),
        principal: text,
      }),
      request: fc.record({
        time: fc.constant({ seconds: 1_790_000_000n, nanos: 5 }),
        http: fc.record({
          id: text,
          method: fc.constantFrom('GET', 'POST', 'OPTIONS', ''),
          path: anyText,
          host: anyText,
          headers: fc.dictionary(name, anyText, { maxKeys: 15 }),
          size: fc.constantFrom(-1n, 0n, 5n, 1_000_000n),
          protocol: fc.constant('HTTP/1.1'),
          body: anyText,
        }),
      }),
      contextExtensions: fc.dictionary(fc.constantFrom('role', 'access', 'audience', 'x'), anyText),
      metadataContext: fc.constant({ filterMetadata: { 'envoy.filters.http.jwt_authn': { sub: 'someone' } } }),
    },
    { requiredKeys: [] },
  ),
});

/** All that `CheckFacts` can be asked. */
function shownBy(facts: CheckFacts) {
  const headers = Object.fromEntries(READ.map((one) => [one, facts.headers.all(one.toLowerCase())]));
  const { method, path, host, streamId, peer, contextExtensions } = facts;
  return { method, path, host, streamId, peer, contextExtensions: { ...contextExtensions }, headers };
}

function compare(bytes: Uint8Array, message: CheckRequest): 'read' | 'left' {
  const facts = readCheckFacts(Buffer.from(bytes), 0);
  if (!facts) return 'left';
  expect(shownBy(facts)).toEqual(shownBy(factsOf(message)));
  return 'read';
}

test('it finds in random messages the same as the library', () => {
  const counts = { read: 0, left: 0 };
  fc.assert(
    fc.property(request, (init) => {
      const message = create(CheckRequestSchema, init as Parameters<typeof create<typeof CheckRequestSchema>>[1]);
      counts[compare(toBinary(CheckRequestSchema, message), message)] += 1;
    }),
    { numRuns: 2_000 },
  );
  expect(counts.read).toBeGreaterThan(200);
  expect(counts.left).toBeGreaterThan(100);
});

test('a message as Envoy sends it is read, also when the length of its body is unknown', () => {
  const message = create(CheckRequestSchema, {
    attributes: {
      source: { address: { address: { case: 'socketAddress', value: { address: '203.0.113.9' } } } },
      request: {
        http: {
          id: '7',
          method: 'GET',
          path: '/orders?page=2',
          host: 'shop.example',
          scheme: 'https',
          size: -1n,
          protocol: 'HTTP/2',
          headers: { ':authority': 'shop.example', Authorization: 'Bearer x', accept: '*/*', 'x-other': 'é' },
        },
      },
      contextExtensions: { role: 'admin' },
    },
  });
  expect(compare(toBinary(CheckRequestSchema, message), message)).toBe('read');
});

test.each([
  ['the same field twice', Buffer.from('0a04220212000a0422021200', 'hex')],
  ['an unknown field', Buffer.from('12024142', 'hex')],
  ['a field that is cut off', Buffer.from('0a0a2204', 'hex')],
  ['another wire type', Buffer.from('0801', 'hex')],
  ['a header twice', Buffer.from('0a1e221c121a1a0b0a06636f6f6b696512016112' + '0b1a0b0a06636f6f6b6965120162', 'hex')],
])('a message with %s is left to the library', (_, bytes) => {
  expect(readCheckFacts(bytes, 0)).toBeNull();
});
