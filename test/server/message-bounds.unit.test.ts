import { create, type DescMessage, toBinary, toJsonString } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CheckRequestSchema } from '../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import { ImportUsersRequestSchema } from '../../gen/latchkey/auth/v1/admin_service_pb.ts';
import { LoginRequestSchema } from '../../gen/latchkey/auth/v1/auth_service_pb.ts';
import {
  BatchCheckRoleRequestSchema,
  BatchVerifyRequestSchema,
} from '../../gen/latchkey/auth/v1/verifier_service_pb.ts';
import { checkMessage } from '../../src/server/calls/message-bounds.ts';

const check = (desc: DescMessage, bytes: Uint8Array, maxFields = 1_000) => reasonOf(desc, bytes, maxFields, false);
const checkJson = (text: string, maxFields = 1_000) => reasonOf(LoginRequestSchema, Buffer.from(text), maxFields, true);

function reasonOf(desc: DescMessage, bytes: Uint8Array, maxFields: number, isJson: boolean): string {
  try {
    checkMessage(desc, bytes, maxFields, isJson);
    return 'ok';
  } catch (error) {
    return (error as { reason?: string }).reason ?? String(error);
  }
}

const repeat = (bytes: number[], times: number) => Buffer.concat(Array(times).fill(Buffer.from(bytes)));
const field = (number: number, content: Uint8Array): Buffer => {
  const length: number[] = [];
  for (let rest = content.length; ; rest >>>= 7) {
    length.push(rest >= 0x80 ? (rest & 0x7f) | 0x80 : rest);
    if (rest < 0x80) break;
  }
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...length]), content]);
};

describe('protobuf', () => {
  test.each([
    ['half a million empty checks', BatchCheckRoleRequestSchema, repeat([0x0a, 0], 524_256)],
    ['empty texts', LoginRequestSchema, repeat([0x0a, 0], 1_001)],
    ['unknown fields', LoginRequestSchema, repeat([0xf8, 1, 0], 1_001)],
    ['unknown fields of eight bytes', LoginRequestSchema, repeat([0xf9, 1, 0, 0, 0, 0, 0, 0, 0, 0], 1_001)],
    [
      'empty map entries, three levels down',
      CheckRequestSchema,
      field(1, field(4, field(2, repeat([0x1a, 0], 1_000)))),
    ],
    ['fields of a map entry', CheckRequestSchema, field(1, field(4, field(2, field(3, repeat([0x0a, 0], 1_000)))))],
    ['fields of an element', ImportUsersRequestSchema, field(1, repeat([0x12, 0], 1_001))],
  ])('%s are too many', (_, desc, bytes) => {
    expect(check(desc, bytes)).toBe('MESSAGE_TOO_LARGE');
  });

  test('a message nested in itself is too deep', () => {
    // Attributes, metadata_context, an entry of filter_metadata, and then Struct, entry, Value, Struct ...
    let inner: Buffer = Buffer.alloc(0);
    for (let n = 0; n < 40; n += 1) inner = field(1, field(2, field(5, inner)));
    const message = field(1, field(11, field(1, field(2, inner))));
    expect(check(CheckRequestSchema, message)).toBe('MESSAGE_TOO_LARGE');
  });

  test.each([
    ['a text as a number', [0x08, 1]],
    ['field 0', [0x02, 0]],
    ['a group', [0x0b, 0x0c]],
    ['a length past the end', [0x0a, 5, 1]],
    ['a length of 4 GiB', [0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]],
    ['a length of more', [0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f]],
    ['a number that does not end', [0x78, 0xff]],
    ['a number of eleven bytes', [0x78, ...Array(10).fill(0xff), 1]],
    ['half of a number of eight bytes', [0x79, 0, 0]],
    ['a tag that does not end', [0x80]],
    ['wire type 7', [0x7f, 0]],
  ])('%s is malformed', (_, bytes) => {
    expect(check(LoginRequestSchema, Buffer.from(bytes))).toBe('REQUEST_MALFORMED');
  });

  test('every message of the library passes while it is within the bounds', () => {
    const texts = fc.array(fc.string({ unit: 'grapheme' }), { maxLength: 20 });
    const headers = fc.dictionary(fc.string({ minLength: 1 }), fc.string(), { maxKeys: 20 });
    fc.assert(
      fc.property(texts, headers, fc.jsonValue({ maxDepth: 3 }), (accessTokens, headersOf, value) => {
        const batch = create(BatchVerifyRequestSchema, { accessTokens });
        expect(check(BatchVerifyRequestSchema, toBinary(BatchVerifyRequestSchema, batch))).toBe('ok');
        const typed = anyPack(BatchVerifyRequestSchema, batch);
        const fields = { value } as never;
        const request = create(CheckRequestSchema, {
          attributes: {
            request: { http: { headers: headersOf, size: -1n, path: '/x' }, time: { seconds: 1n, nanos: 2 } },
            contextExtensions: headersOf,
            source: {
              address: {
                address: {
                  case: 'socketAddress',
                  value: { address: '::1', portSpecifier: { case: 'portValue', value: 1 } },
                },
              },
            },
            metadataContext: { filterMetadata: { a: fields }, typedFilterMetadata: { b: typed } },
          },
        });
        expect(check(CheckRequestSchema, toBinary(CheckRequestSchema, request))).toBe('ok');
        const json = toJsonString(LoginRequestSchema, create(LoginRequestSchema, { email: accessTokens.join('') }));
        expect(checkJson(json)).toBe('ok');
      }),
      { numRuns: 200 },
    );
  });

  test('no bytes cause another error or take long', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 4_096 }), (bytes) => {
        expect(['ok', 'MESSAGE_TOO_LARGE', 'REQUEST_MALFORMED']).toContain(check(CheckRequestSchema, bytes));
        expect(['ok', 'MESSAGE_TOO_LARGE', 'REQUEST_MALFORMED']).toContain(checkJson(Buffer.from(bytes).toString()));
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('JSON', () => {
  test.each([
    ['members', `{${Array.from({ length: 1_001 }, (_, n) => `"a${n}":1`).join(',')}}`],
    ['elements', `[${'0,'.repeat(1_001)}0]`],
    ['levels', '['.repeat(33)],
    ['levels of objects', '{"a":'.repeat(33)],
  ])('%s are too many', (_, text) => {
    expect(checkJson(text)).toBe('MESSAGE_TOO_LARGE');
  });

  test('a number of more than a thousand digits is malformed, in a text as well', () => {
    expect(checkJson(`{"size":${'9'.repeat(1_025)}}`)).toBe('REQUEST_MALFORMED');
    expect(checkJson(`{"size":"${'9'.repeat(1_025)}"}`)).toBe('REQUEST_MALFORMED');
  });

  test.each(['{"a":"[[[[[,,,,,{{{{{"}', '{"a":"\\"[[[["}', `{"a":"${'\\\\'.repeat(100)}"}`, '{}', '', ' '])(
    'what stands in a text does not count: %s',
    (text) => {
      expect(checkJson(text, 3)).toBe('ok');
    },
  );
});
