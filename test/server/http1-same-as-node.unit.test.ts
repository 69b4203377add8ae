// Requests, many of them damaged, given to the parser of node:http and to ours: where ours sees whole requests, node:http
// sees the same ones, and both expect the next request at the same byte. Otherwise a client could smuggle a request.
import http from 'node:http';
import { Duplex } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { endOfHead, readPlainHead } from '../../src/server/transport/http1-plain-head.ts';
import { Http1Requests } from '../../src/server/transport/http1-requests.ts';

const RUNS = 10_000;
const PROBE = 'GET /probe HTTP/1.1\r\nhost: probe\r\n\r\n';

type Seen = { method: string; url: string; headers: string[]; body: string };

let seen: { request: http.IncomingMessage; isWhole: boolean; body: string }[] = [];
const server = http.createServer({ maxHeaderSize: 48 * 1024 }, (request, response) => {
  const entry = { request, isWhole: false, body: '' };
  seen.push(entry);
  request.on('data', (piece: Buffer) => (entry.body += piece.toString('latin1')));
  request.on('end', () => {
    entry.isWhole = true;
  });
  response.end();
});
server.on('clientError', (_, socket) => socket.destroy());
afterAll(() => void server.close());

/** Null when node:http rejects the bytes, waits for more of a request, or ends the connection. */
async function seenByNode(chunks: Buffer[]): Promise<Seen[] | null> {
  seen = [];
  const socket = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
  socket.on('error', () => {});
  server.emit('connection', socket);
  for (const chunk of chunks) {
    if (socket.destroyed) return null;
    socket.emit('data', chunk);
    await turn();
  }
  await turn();
  const requests = seen;
  socket.destroy();
  await turn();
  if (!requests.every(({ isWhole }) => isWhole)) return null;
  return requests.map(({ request, body }) => ({
    method: request.method ?? '',
    url: request.url ?? '',
    headers: request.rawHeaders.map((text, at) => (at % 2 === 0 ? text.toLowerCase() : text)),
    body,
  }));
}

/** @param bytes whole plain requests */
function seenByOurs(bytes: Buffer): Seen[] {
  const requests: Seen[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = endOfHead(bytes, at);
    const plain = readPlainHead(bytes, at, end);
    if (!plain) throw new Error('not plain');
    const { head, bodyLength } = plain;
    const headers = head.fields.flatMap(({ name, value }) => [name, value]);
    at = end + bodyLength;
    requests.push({ method: head.method, url: head.path, headers, body: bytes.toString('latin1', end, at) });
  }
  return requests;
}

/** Each place among the chunks at which ours expects the next request. */
function placesAtEnd(chunks: Buffer[]): number[] {
  const requests = new Http1Requests();
  return chunks.flatMap((chunk, n) => {
    requests.add(chunk);
    return requests.isAtEnd ? [n + 1] : [];
  });
}

const usually = <T>(value: T, ...others: T[]): fc.Arbitrary<T> =>
  fc.oneof({ weight: 20, arbitrary: fc.constant(value) }, { weight: 1, arbitrary: fc.constantFrom(...others) });

const method = fc.oneof(
  fc.constantFrom('GET', 'POST', 'HEAD', 'PUT', 'OPTIONS', 'DELETE', 'PATCH'),
  usually('POST', 'CONNECT', 'SOURCE', 'PRI', 'FOO', 'get', 'SETUP', 'M-SEARCH', 'QUERY', 'LINK', 'TRACE', 'PROPFIND'),
);
const target = fc.oneof(
  fc.constantFrom('/', '/a?b=c&d', '/a//b/../c', '/%00%zz'),
  usually(
    '/a',
    '*',
    'http://x/a',
    'x:443',
    '//x/a',
    '/a#b',
    '/a#b#c?d',
    '/?#',
    '/"<>\\^`{|}',
    '/\xe9',
    '/a?b\x7f',
    '/@:[]',
  ),
);
const version = usually('HTTP/1.1', 'HTTP/1.0', 'HTTP/1.2', 'HTTP/2.0', 'http/1.1', 'HTTP/01.1', 'ICE/1.0', '');
const end = usually('\r\n', '\n', '\r', '\r\r\n', '\n\r\n', '\r\n ');
const colon = usually(': ', ':', ':\t', ' :', ' : ', ': \t ', ';', ':\x0b', ':\xa0', ':\r\n ');
const lengthValue = fc.oneof(
  fc.nat(12).map(String),
  fc.constantFrom(
    '',
    ' ',
    '007',
    '+3',
    '-1',
    '0x3',
    '1 2',
    '3,3',
    '3, 3',
    '3.0',
    '1e1',
    '3 ',
    '99999999999999999999',
    '\xb2',
  ),
);
const header = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.tuple(fc.constantFrom('x-a', 'X-B', "!#$%&'*+-.^_`|~"), fc.constantFrom('', '1', 'a\tb \xe9', ' a ')),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(fc.constantFrom('content-length', 'Content-Length', 'content_length'), lengthValue),
  },
  fc.tuple(
    fc.constantFrom('connection', 'Connection', 'proxy-connection', 'keep-alive'),
    fc.constantFrom('keep-alive', 'Keep-Alive', 'close', 'upgrade', 'keep-alive, close', '', 'x', ' keep-alive '),
  ),
  fc.tuple(
    fc.constantFrom('transfer-encoding', 'Transfer-Encoding', 'te', 'transfer_encoding', 'content-encoding'),
    fc.constantFrom('chunked', 'gzip, chunked', 'identity', '', 'xchunked', 'chunked, identity'),
  ),
  fc.tuple(
    fc.constantFrom('upgrade', 'expect', 'trailer', 'host', 'http2-settings', 'x\xe9', '', 'x y', 'x\0'),
    fc.constantFrom('websocket', 'h2c', '100-continue', 'x', '', 'a\rb', 'a\nb', 'a\0b', 'a\x7fb', 'a\x0bb'),
  ),
);
const line = fc.tuple(header, colon, end).map(([[name, value], separator, ends]) => name + separator + value + ends);
const body = fc.constantFrom(
  '',
  '0123',
  '0\r\n\r\n',
  '4\r\nabcd\r\n0\r\n\r\n',
  'GET /b HTTP/1.1\r\nhost: x\r\n\r\n',
  '\r\n',
  '\0\xff',
);

const oddRequest = fc
  .tuple(
    method,
    target,
    version,
    end,
    usually('host: x\r\n', '', 'host:\r\n'),
    fc.array(line, { maxLength: 4 }),
    end,
    body,
  )
  .map(
    ([verb, path, http, ends, host, lines, last, rest]) =>
      `${verb} ${path} ${http}${ends}${host}${lines.join('')}${last}${rest}`,
  );
/** Its length is that of its body. */
const exactRequest = fc
  .tuple(method, target, fc.array(fc.constantFrom('x-a: 1\r\n', 'X-B:\t\xe9 \r\n')), body)
  .map(
    ([verb, path, lines, rest]) =>
      `${verb} ${path} HTTP/1.1\r\nHost: x\r\n${lines.join('')}content-length: ${rest.length}\r\n\r\n${rest}`,
  );
const request = fc.oneof({ weight: 2, arbitrary: exactRequest }, oddRequest);

const byte = fc.oneof(
  fc.constantFrom(...'\r\n\0 \t:,/0159aZ\x0b\x0c\x7f\x80\xa0\xff'),
  fc.nat(255).map((code) => String.fromCharCode(code)),
);
const damage = fc.tuple(fc.nat(), fc.constantFrom('replace', 'insert', 'drop'), byte);
const sent = fc
  .tuple(
    fc.array(request, { minLength: 1, maxLength: 3 }),
    fc.oneof(fc.constant([]), fc.array(damage, { minLength: 1, maxLength: 2 })),
  )
  .map(([requests, changes]) => {
    let text = requests.join('');
    for (const [place, change, character] of changes) {
      const at = place % (text.length + 1);
      text = text.slice(0, at) + (change === 'drop' ? '' : character) + text.slice(change === 'insert' ? at : at + 1);
    }
    return text;
  });
/** The bytes in some pieces, cut at the end of each head in half of the cases. */
const chunks = fc.tuple(sent, fc.array(fc.nat(), { maxLength: 4 }), fc.boolean()).map(([all, cuts, isCutAtHeads]) => {
  const places = cuts.map((cut) => cut % (all.length + 1));
  if (isCutAtHeads) places.push(...[...all.matchAll(/\r\n\r\n/g)].map(({ index }) => index + 4));
  const sorted = [...new Set([0, ...places, all.length])].toSorted((a, b) => a - b);
  return sorted.slice(1).map((to, n) => all.slice(sorted[n], to));
});

test(`${RUNS} connections: where ours expects the next request, node:http has seen the same requests and expects it too`, async () => {
  let requests = 0;
  const property = fc.asyncProperty(chunks, async (texts) => {
    const all = texts.map((text) => Buffer.from(text, 'latin1'));
    for (const place of placesAtEnd(all)) {
      const followed = [...all.slice(0, place), Buffer.from(PROBE)];
      const ours = seenByOurs(Buffer.concat(followed));
      expect(await seenByNode(followed)).toEqual(ours);
      requests += ours.length - 1;
    }
  });
  await fc.assert(property, { numRuns: RUNS });
  // Otherwise the random requests were hardly ever plain.
  expect(requests).toBeGreaterThan(RUNS / 4);
}, 120_000);
