import http2 from 'node:http2';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HeaderDecoder } from '../../src/http2/hpack/decoder.ts';
import { encodeHeaders } from '../../src/http2/hpack/encoder.ts';
import { HeaderBlock } from '../../src/http2/hpack/header-block.ts';
import type { HeaderList } from '../../src/http2/hpack/header-list.ts';
import { STATIC_TABLE } from '../../src/http2/hpack/static-table.ts';
import { LIMITS } from '../../src/http2/limits.ts';
import { ConnectionError, ERROR } from '../../src/http2/protocol.ts';
import { type Field, fields, integer, remembered } from '../support/frames.ts';
import { encodeHuffman } from './huffman-code.ts';
import { NodeCodec, type RawHeaders } from './node-codec.ts';
import { runsOr } from './runs.ts';

const UNLIMITED = { maxHeaderListBytes: 2 ** 24, maxHeaderFields: 2 ** 16 };
const hex = (text: string) => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');
const bytes = (...values: number[]) => Buffer.from(values);
/** Names and values in turn. The lists of a decoder have requests in view, so `:status` is in none. */
const rawOf = ({ method, scheme, authority, path, fields: rest }: HeaderList): string[] => {
  const pseudo = { ':method': method, ':scheme': scheme, ':authority': authority, ':path': path };
  return [
    ...Object.entries(pseudo).filter(([, value]) => value !== ''),
    ...rest.map(({ name, value }) => [name, value]),
  ].flat();
};
const decoderOf = (limits = UNLIMITED) => {
  const decoder = new HeaderDecoder(limits);
  return (block: Buffer) => decoder.decode(block, 0, block.length);
};
const sizeOf = (raw: RawHeaders) => raw.reduce((size, text) => size + text.length, 0) + 16 * raw.length;

/** The request or the response of each block, in the order of the RFC. */
type Vector = [section: string, tableBytes: number, steps: [block: string, raw: string[]][]];
const [date21, date22] = ['Mon, 21 Oct 2013 20:13:21 GMT', 'Mon, 21 Oct 2013 20:13:22 GMT'];
const GET = [':method', 'GET', ':scheme', 'http', ':authority', 'www.example.com', ':path', '/'];
const REQUESTS = [
  GET,
  [...GET, 'cache-control', 'no-cache'],
  [...GET.with(3, 'https').with(7, '/index.html'), 'custom-key', 'custom-value'],
];
const MOVED = ['cache-control', 'private', 'date', date21, 'location', 'https://www.example.com'];
const RESPONSES = [
  [':status', '302', ...MOVED],
  [':status', '307', ...MOVED],
  [
    ...[':status', '200', 'cache-control', 'private', 'date', date22, 'location', 'https://www.example.com'],
    ...['content-encoding', 'gzip', 'set-cookie', 'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1'],
  ],
];
const steps = (blocks: string[], lists: string[][]): Vector[2] =>
  blocks.map((block, n) => [block, lists[n] as string[]]);
const VECTORS: Vector[] = [
  [
    'C.2.1',
    4_096,
    [['400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572', ['custom-key', 'custom-header']]],
  ],
  ['C.2.2', 4_096, [['040c 2f73 616d 706c 652f 7061 7468', [':path', '/sample/path']]]],
  ['C.2.3', 4_096, [['1008 7061 7373 776f 7264 0673 6563 7265 74', ['password', 'secret']]]],
  ['C.2.4', 4_096, [['82', [':method', 'GET']]]],
  [
    'C.3, requests without Huffman',
    4_096,
    steps(
      [
        '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
        '8286 84be 5808 6e6f 2d63 6163 6865',
        '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
      ],
      REQUESTS,
    ),
  ],
  [
    'C.4, requests with Huffman',
    4_096,
    steps(
      [
        '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
        '8286 84be 5886 a8eb 1064 9cbf',
        '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf',
      ],
      REQUESTS,
    ),
  ],
  [
    'C.5, responses with eviction',
    256,
    steps(
      [
        `4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d
         546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d`,
        '4803 3330 37c1 c0bf',
        `88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f
         6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b
         2076 6572 7369 6f6e 3d31`,
      ],
      RESPONSES,
    ),
  ],
  [
    'C.6, responses with eviction and Huffman',
    256,
    steps(
      [
        `4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7
         8f0b 97c8 e9ae 82ae 43d3`,
        '4883 640e ffc1 c0bf',
        `88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335
         dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07`,
      ],
      RESPONSES,
    ),
  ],
];

describe('the decoder on the vectors of RFC 7541 Appendix C', () => {
  test.each(VECTORS)('%s', (_, tableBytes, each) => {
    const decode = decoderOf();
    const resize = tableBytes === 4_096 ? Buffer.alloc(0) : integer(tableBytes, 5, 0x20);
    for (const [n, [block, raw]] of each.entries()) {
      const list = decode(Buffer.concat([n === 0 ? resize : Buffer.alloc(0), hex(block)]));
      const status = raw[0] === ':status' ? 2 : 0;
      expect(rawOf(list)).toEqual(raw.slice(status));
      expect(list.size).toBe(sizeOf(raw));
    }
  });
});

describe('the decoder', () => {
  const rejects = (block: Buffer, decode = decoderOf()) => {
    let error: unknown;
    try {
      decode(block);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(ConnectionError);
    expect((error as ConnectionError).code).toBe(ERROR.COMPRESSION_ERROR);
  };

  test('an integer of each length, with and without needless zeros (RFC 7541 section 5.1)', () => {
    for (const length of [0, 1, 126, 127, 128, 129, 254, 255, 16_383, 16_384, 70_000]) {
      const [name, value] = ['n'.repeat(Math.max(length, 1)), 'v'.repeat(length)];
      expect(rawOf(decoderOf()(fields([name, value])))).toEqual([name, value]);
    }
    const padded = bytes(0, 1, 0x6e, 0x7f, 0x81, 0x80, 0x80, 0x00);
    expect(rawOf(decoderOf()(Buffer.concat([padded, Buffer.alloc(128, 0x76)])))).toEqual(['n', 'v'.repeat(128)]);
  });

  test('an integer that is incomplete or too large is an error (RFC 7541 section 5.1)', () => {
    rejects(bytes(0xff));
    rejects(bytes(0xff, 0x80));
    rejects(bytes(0x7f));
    rejects(bytes(0x0f));
    rejects(bytes(0x3f));
    rejects(bytes(0, 0x7f));
    rejects(bytes(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01));
    rejects(Buffer.concat([bytes(0xff), Buffer.alloc(100, 0x80), bytes(0)]));
    rejects(bytes(0, 1, 0x6e, 0x7f, 0xff, 0xff, 0xff, 0xff, 0x0f));
  });

  test('index 0 and an index beyond the tables are errors (RFC 7541 sections 2.3.3 and 6.1)', () => {
    rejects(bytes(0x80));
    for (const [prefix, flags] of [
      [7, 0x80],
      [6, 0x40],
      [4, 0],
      [4, 0x10],
    ] as const) {
      const decode = decoderOf();
      const rest = prefix === 7 ? bytes() : bytes(1, 0x76);
      decode(Buffer.concat([integer(61, prefix, flags), rest]));
      rejects(Buffer.concat([integer(prefix === 6 ? 63 : 62, prefix, flags), rest]), decode);
    }
  });

  test('each static index has the field that node:http2 has (RFC 7541 Appendix A)', async () => {
    expect(STATIC_TABLE).toHaveLength(61);
    const codec = new NodeCodec();
    // A client rejects the pseudo-headers of requests, which node's encoder names by index below.
    const indexes = STATIC_TABLE.map((_, n) => n + 1).filter((index) => index > 14);
    // Clients reject these two in a response.
    const usable = indexes.filter((index) => !['content-length', 'transfer-encoding'].includes(nameAt(index)));
    const sent = await codec.encode(usable.map(() => GET));
    const blocks = sent.map(({ streamId }, n) => ({
      streamId,
      bytes: bytes(0x88, 0x80 | (usable[n] as number)),
    }));
    const decoded = await codec.decode(blocks);
    for (const [n, index] of usable.entries()) {
      const { name, value } = STATIC_TABLE[index - 1] as (typeof STATIC_TABLE)[number];
      expect(decoded[n]).toEqual([':status', '200', name, value]);
      expect(rawOf(decoderOf()(bytes(0x80 | index)))).toEqual([name, value]);
    }
    codec.close();
    expect(STATIC_TABLE.slice(0, 14).map(({ name, value }) => [name, value])).toEqual([
      ...[
        [':authority', ''],
        [':method', 'GET'],
        [':method', 'POST'],
        [':path', '/'],
        [':path', '/index.html'],
      ],
      ...[
        [':scheme', 'http'],
        [':scheme', 'https'],
      ],
      ...['200', '204', '206', '304', '400', '404', '500'].map((status) => [':status', status]),
    ]);
    expect([nameAt(28), nameAt(57)]).toEqual(['content-length', 'transfer-encoding']);
  });

  test('a text beyond the block is an error (RFC 7541 section 5.2)', () => {
    rejects(bytes(0));
    rejects(bytes(0, 5, 0x6e));
    rejects(bytes(0, 1, 0x6e));
    rejects(bytes(0, 1, 0x6e, 2, 0x76));
    rejects(bytes(0, 1, 0x6e, 0x82, 0xff));
    rejects(bytes(0, 1, 0x6e, 0x84, 0xff, 0xff, 0xff, 0xff));
  });

  test('the table changes its size at the start of a block, and at most twice (RFC 7541 section 4.2)', () => {
    const decode = decoderOf();
    decode(bytes(0x20));
    decode(Buffer.concat([bytes(0x20), integer(4_096, 5, 0x20), fields(['a', 'b'])]));
    rejects(integer(4_097, 5, 0x20));
    rejects(Buffer.concat([fields(['a', 'b']), bytes(0x20)]));
    rejects(bytes(0x20, 0x20, 0x20));
  });

  test('a change of the size evicts the oldest fields (RFC 7541 section 4.3)', () => {
    const decode = decoderOf();
    // 34 bytes each.
    decode(Buffer.concat([remembered(['a', '1']), remembered(['b', '2']), remembered(['c', '3'])]));
    expect(rawOf(decode(bytes(0xbe, 0xbf, 0xc0)))).toEqual(['c', '3', 'b', '2', 'a', '1']);
    expect(rawOf(decode(Buffer.concat([integer(68, 5, 0x20), bytes(0xbe, 0xbf)])))).toEqual(['c', '3', 'b', '2']);
    rejects(bytes(0xc0), decode);
    const smaller = decoderOf();
    smaller(Buffer.concat([remembered(['a', '1']), remembered(['b', '2'])]));
    rejects(Buffer.concat([integer(67, 5, 0x20), bytes(0xbf)]), smaller);
  });

  test('a field larger than the table empties it, and is no error (RFC 7541 section 4.4)', () => {
    const decode = decoderOf();
    decode(remembered(['a', '1']));
    const large = 'v'.repeat(4_096 - 32);
    expect(rawOf(decode(remembered(['n', large])))).toEqual(['n', large]);
    rejects(bytes(0xbe), decode);
    // One byte less fits exactly.
    const exact = decoderOf();
    exact(remembered(['a', '1']));
    exact(remembered(['n', large.slice(1)]));
    expect(rawOf(exact(bytes(0xbe)))).toEqual(['n', large.slice(1)]);
    rejects(bytes(0xbf), exact);
  });

  test('a new field can take its name from the field that it evicts (RFC 7541 section 4.4)', () => {
    const decode = decoderOf();
    const name = 'n'.repeat(100);
    decode(Buffer.concat([integer(200, 5, 0x20), remembered([name, 'first'])]));
    // Name by index 62, value of 60 bytes: both together do not fit.
    const value = 'v'.repeat(60);
    const block = Buffer.concat([integer(62, 6, 0x40), integer(60, 7), Buffer.from(value)]);
    expect(rawOf(decode(block))).toEqual([name, value]);
    expect(rawOf(decode(bytes(0xbe)))).toEqual([name, value]);
    rejects(bytes(0xbf), decode);
  });

  test('equal blocks mean different fields after a change of the table', () => {
    const decode = decoderOf();
    for (let n = 0; n < 300; n += 1) {
      decode(remembered(['x', String(n)]));
      for (let again = 0; again < 3; again += 1) expect(rawOf(decode(bytes(0xbe)))).toEqual(['x', String(n)]);
    }
    decode(integer(0, 5, 0x20));
    rejects(bytes(0xbe), decode);
  });

  test('a repeated block gives the same list, with what was computed from it', () => {
    const decode = decoderOf();
    const block = fields([':path', '/x'], ['a', 'b']);
    const list = decode(block);
    list.memo = 'computed';
    expect(decode(Buffer.from(block))).toBe(list);
    for (let n = 0; n < 4; n += 1) decode(fields(['other', String(n)]));
    const later = decode(block);
    expect(rawOf(later)).toEqual(rawOf(list));
    expect(later.memo).toBeNull();
  });

  test('a list beyond the limits is read to its end, and its first fields remain', () => {
    const decode = decoderOf({ maxHeaderListBytes: 100, maxHeaderFields: 2 });
    const three = decode(fields(['a', '1'], ['b', '2'], ['c', '3']));
    expect(three.isTooLarge).toBe(true);
    expect(three.size).toBe(102);
    expect(rawOf(three)).toEqual(['a', '1', 'b', '2']);
    // The table has changed nevertheless.
    decode(Buffer.concat([fields(['x', 'y'.repeat(200)]), remembered(['kept', 'field'])]));
    expect(rawOf(decode(bytes(0xbe)))).toEqual(['kept', 'field']);
    expect(decode(fields(['a', 'b'.repeat(67)])).isTooLarge).toBe(false);
    expect(decode(fields(['a', 'b'.repeat(68)])).isTooLarge).toBe(true);
  });

  test('Huffman in names and in values, and a name that Huffman makes longer', () => {
    const text = (value: string) => {
      const code = encodeHuffman([...Buffer.from(value, 'latin1')]);
      return Buffer.concat([integer(code.length, 7, 0x80), code]);
    };
    const value = Buffer.from(Array.from({ length: 224 }, (_, n) => n + 32)).toString('latin1');
    const block = Buffer.concat([bytes(0x40), text('name~'), text(value)]);
    const decode = decoderOf();
    expect(rawOf(decode(block))).toEqual(['name~', value]);
    expect(rawOf(decode(bytes(0xbe)))).toEqual(['name~', value]);
  });
});

const nameAt = (index: number) => STATIC_TABLE[index - 1]?.name ?? '';

describe('the decoder and the encoder against those of node:http2', () => {
  /** node:http2 rejects a second one of these. */
  const SINGLE = ['authorization', 'content-type', 'user-agent', 'host', 'etag', 'date'];
  const REPEATED = ['accept', 'cookie', 'set-cookie', 'via', 'x-request-id', 'grpc-timeout', 'cache-control', 'x'];
  const TOKEN = [..."!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"];
  const TEXT = [...'\t', ...Array.from({ length: 224 }, (_, n) => String.fromCharCode(n + 32))].filter(
    (each) => each !== '\x7f',
  );
  const joined = (from: string[], maxLength: number) =>
    fc.array(fc.constantFrom(...from), { maxLength }).map((all) => all.join(''));
  const name = fc.oneof(
    { arbitrary: fc.constantFrom(...REPEATED, ...SINGLE), weight: 4 },
    { arbitrary: joined(TOKEN, 30).map((rest) => `x${rest}`), weight: 2 },
  );
  const value = fc.oneof(
    {
      arbitrary: fc.constantFrom('', '1', 'gzip, deflate', 'application/grpc', 'a=b; c=d', 'x'.repeat(100)),
      weight: 4,
    },
    { arbitrary: joined(TEXT, 40), weight: 3 },
    { arbitrary: fc.integer({ min: 0, max: 6_000 }).map((length) => 'long '.repeat(length / 5)), weight: 1 },
    { arbitrary: fc.integer({ min: 100, max: 2_000 }).map((length) => '\xff'.repeat(length)), weight: 1 },
  );
  const fieldList = fc.array(fc.tuple(name, value), { maxLength: 12 }).map((all) => {
    const seen = new Set<string>();
    return all.filter(([key]) => !SINGLE.includes(key) || (!seen.has(key) && seen.add(key)));
  });
  const request = fc
    .record({
      method: fc.constantFrom('GET', 'POST', 'OPTIONS', 'PATCH'),
      scheme: fc.constantFrom('http', 'https'),
      path: fc.oneof(
        fc.constantFrom('/', '/index.html', '/a.Service/Method'),
        joined(TOKEN, 60).map((rest) => `/${rest}`),
      ),
      authority: fc.constantFrom('localhost', 'www.example.com:8080'),
      rest: fieldList,
    })
    .map(({ method, scheme, path, authority, rest }) => {
      // Neither space nor tab may begin or end a value (RFC 9113 section 8.2.1).
      const trimmed = rest.flatMap(([key, text]) => [key, text.replace(/^[ \t]+|[ \t]+$/g, '')]);
      return [':method', method, ':scheme', scheme, ':authority', authority, ':path', path, ...trimmed];
    });
  const LISTS = 25;
  const step = fc.record({
    list: fc.nat(LISTS),
    status: fc.integer({ min: 200, max: 599 }),
    tableBytes: fc.option(fc.constantFrom(0, 33, 64, 200, 1_000, 4_096), { freq: 4 }),
  });
  const session = fc.record({
    // Few lists, so that blocks repeat.
    lists: fc.array(request, { minLength: 1, maxLength: 5 }),
    steps: fc.array(step, { minLength: LISTS, maxLength: LISTS }),
  });
  const restOf = (raw: string[]) => raw.slice(8);
  const runs = Math.ceil(runsOr(2_000) / LISTS);

  test(
    `${runs * LISTS} header lists in each direction`,
    async () => {
      const property = fc.asyncProperty(session, async ({ lists, steps: all }) => {
        const codec = new NodeCodec();
        const decode = decoderOf();
        try {
          for (const batch of batches(all)) {
            const size = batch[0]?.tableBytes ?? null;
            if (size !== null) await codec.resizeTable(size);
            const raws = batch.map(({ list }) => lists[list % lists.length] as string[]);
            const sent = await codec.encode(raws);
            const responses = batch.map(({ status }, n) => encodeHeaders(status, restOf(raws[n] as string[])));
            for (const [n, { bytes: block }] of sent.entries()) {
              const list = decode(block);
              expect(rawOf(list)).toEqual(raws[n]);
              expect(list.size).toBe(sizeOf(raws[n] as string[]));
              expect(list.isRequest).toBe(true);
            }
            const received = await codec.decode(
              sent.map(({ streamId }, n) => ({ streamId, bytes: responses[n] as Buffer })),
            );
            for (const [n, raw] of received.entries())
              expect(raw).toEqual([':status', String(batch[n]?.status), ...restOf(raws[n] as string[])]);
          }
        } finally {
          codec.close();
        }
      });
      await fc.assert(property, { numRuns: runs, timeout: 20_000 });
    },
    60_000 + runs * 100,
  );

  /** A new one begins with each change of the size. */
  function batches<T extends { tableBytes: number | null }>(all: T[]): T[][] {
    const found: T[][] = [[]];
    for (const each of all) {
      if (each.tableBytes !== null) found.push([]);
      found.at(-1)?.push(each);
    }
    return found.filter((batch) => batch.length > 0);
  }

  test('secrets are never indexed, in either direction (RFC 7541 section 7.1.3)', async () => {
    const codec = new NodeCodec();
    const raw = [...GET, 'authorization', 'Bearer x', 'set-cookie', 'a=b'];
    const list = Object.assign([...raw], { [http2.sensitiveHeaders]: ['authorization'] });
    const [first, second] = await codec.encode([list, list]);
    const decode = decoderOf();
    for (const each of [first, second]) expect(rawOf(decode(each?.bytes ?? Buffer.alloc(0)))).toEqual(raw);
    codec.close();
    // 0001 and the index of the name in four bits: 23 and 55 are 15 and the rest.
    const block = encodeHeaders(200, ['authorization', 'x', 'set-cookie', 'y', 'cookie', 'z', 'via', 'w']);
    expect(block.toString('hex')).toBe('88' + '1f080178' + '1f280179' + '1f11017a' + '0f2d0177');
  });
});

describe('the encoder', () => {
  const anyName = fc.array(fc.constantFrom(...'abcdefghijklmnopqrstuvwxyz-0123456789'), {
    minLength: 1,
    maxLength: 200,
  });
  const anyValue = fc.array(fc.integer({ min: 0x20, max: 0xff }), { maxLength: 300 });

  test('any list decodes to itself, on a table of any content', () => {
    const decode = decoderOf();
    fc.assert(
      fc.property(fc.array(fc.tuple(anyName, anyValue), { maxLength: 20 }), (pairs) => {
        const raw = pairs.flatMap(([letters, codes]) => [
          letters.join(''),
          Buffer.from(codes.filter((code) => code !== 0x7f)).toString('latin1'),
        ]);
        expect(rawOf(decode(encodeHeaders(null, raw)))).toEqual(raw);
        decode(remembered(['x', String(pairs.length)]));
      }),
      { numRuns: 1_000 },
    );
  });

  test('lengths around each step of an integer', () => {
    for (const length of [0, 1, 126, 127, 128, 254, 255, 256, 16_510, 16_511, 16_512, 2_100_000]) {
      const raw = ['n'.repeat(Math.max(1, length)), 'v'.repeat(length)];
      expect(rawOf(decoderOf()(encodeHeaders(null, raw)))).toEqual(raw);
    }
  });

  test.each<[string, Field]>([
    ['upper case', ['Name', '']],
    ['an empty name', ['', '']],
    ['a pseudo-header', [':status', '200']],
    ['a space in a name', ['a b', '']],
    ['a colon in a name', ['a:', '']],
    ['a name beyond ASCII', ['\xe9', '']],
    ['a line feed', ['a', 'b\nc']],
    ['a carriage return', ['a', 'b\r']],
    ['NUL', ['a', '\0']],
    ['DEL', ['a', '\x7f']],
    ['a character of more than a byte', ['a', '\u0100']],
    ['half an emoji', ['a', '\ud83d']],
  ])('%s is a TypeError', (_, field) => {
    expect(() => encodeHeaders(200, field)).toThrow(TypeError);
  });

  test('the limits of the engine are those that the decoder enforces', () => {
    const decode = decoderOf(LIMITS);
    expect(decode(fields(['x', 'y'.repeat(LIMITS.maxHeaderListBytes - 33)])).isTooLarge).toBe(false);
    expect(decode(fields(['x', 'y'.repeat(LIMITS.maxHeaderListBytes - 32)])).isTooLarge).toBe(true);
    const many = Array.from({ length: LIMITS.maxHeaderFields + 1 }, (): Field => ['x', '']);
    expect(decode(fields(...many.slice(1))).isTooLarge).toBe(false);
    expect(decode(fields(...many)).isTooLarge).toBe(true);
  });
});

describe('a block with one more field', () => {
  const known = new HeaderBlock(200, ['content-type', 'application/grpc+proto']);

  test.each([
    ['x-request-id', 'b3f8d5c2'],
    ['cookie', 'a=b'],
    ['x-long', 'y'.repeat(20_000)],
    ['x-empty', ''],
  ])('has the bytes of all its fields: %s', (name, value) => {
    const block = known.with(name, value);
    expect(block.fields).toEqual([...known.fields, name, value]);
    expect(block.bytes).toEqual(encodeHeaders(200, block.fields));
    expect(known.bytes).toEqual(encodeHeaders(200, known.fields));
  });

  test.each([
    ['X-Upper', 'a'],
    ['', 'a'],
    ['x', 'a\r\nb: c'],
  ])('throws for the invalid field %j: %j', (name, value) => {
    expect(() => known.with(name, value)).toThrow(TypeError);
  });
});
