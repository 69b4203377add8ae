// Requests of one HTTP/1.1 connection that arrive in random pieces, at random times: each is answered once, in order.
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { EchoClient, get, listenEcho, post } from './http1-listener.ts';

const RUNS = 60;
const listener = await listenEcho();
afterAll(() => listener.close(0));

const chunked = (path: string, body: string) =>
  post(path, '', 'transfer-encoding: chunked').replace('content-length: 0\r\n', '') +
  `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;

type Request = { text: string; answer: string };

const body = fc.constantFrom('a', 'hello', 'x'.repeat(3_000), get('/fast?smuggled'), '0\r\n\r\n');
const requests: fc.Arbitrary<Request> = fc.oneof(
  { weight: 8, arbitrary: fc.constant({ text: get('/fast'), answer: '/fast ' }) },
  { weight: 5, arbitrary: body.map((sent) => ({ text: post('/fast', sent), answer: `/fast ${sent}` })) },
  { weight: 3, arbitrary: body.map((sent) => ({ text: post('/slow', sent), answer: `/slow ${sent}` })) },
  { weight: 1, arbitrary: body.map((sent) => ({ text: chunked('/fast', sent), answer: `/fast ${sent}` })) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(10, 20_000, 400_000).map((n) => ({ text: get(`/size/${n}`), answer: 'x'.repeat(n) })),
  },
);
/** Whether the bytes are cut at the end of a request, at the end of its head, or at a random place. */
const cut = fc.record({
  kind: fc.constantFrom('request', 'request', 'head', 'random'),
  place: fc.nat(),
  pauseMs: fc.oneof({ weight: 5, arbitrary: fc.constantFrom(0, 1, 3) }, fc.constantFrom(20, 130)),
});
/** Fewer than the unanswered ones that a connection may have. */
const connection = fc.record({
  sent: fc.array(requests, { minLength: 1, maxLength: 14 }),
  cuts: fc.array(cut, { minLength: 3, maxLength: 12 }),
});

function piecesOf({ sent, cuts }: { sent: Request[]; cuts: { kind: string; place: number; pauseMs: number }[] }) {
  const all = sent.map(({ text }) => text).join('');
  let length = 0;
  const ends = sent.map(({ text }) => {
    length += text.length;
    return length;
  });
  const pauses = new Map<number, number>([[all.length, 0]]);
  for (const { kind, place, pauseMs } of cuts) {
    const n = place % sent.length;
    const start = ends[n - 1] ?? 0;
    if (kind === 'request') pauses.set(ends[n] ?? 0, pauseMs);
    else if (kind === 'head') pauses.set(all.indexOf('\r\n\r\n', start) + 4, pauseMs);
    else pauses.set(1 + (place % all.length), pauseMs);
  }
  let at = 0;
  return [...pauses]
    .toSorted(([a], [b]) => a - b)
    .map(([to, pauseMs]) => {
      const piece = all.slice(at, to);
      at = to;
      return { piece, pauseMs };
    });
}

test(`${RUNS} connections`, async () => {
  let answeredFromMemory = 0;
  const property = fc.asyncProperty(connection, async (session) => {
    const client = new EchoClient(listener.port);
    const before = { read: listener.readByNode(), fast: listener.fastAnswers.length };
    try {
      await client.ask(get('/fast'));
      for (const { piece, pauseMs } of piecesOf(session)) {
        client.write(piece);
        await sleep(pauseMs);
      }
      const answers = await client.answered(session.sent.length + 1);
      expect(answers.slice(1).map((answer) => answer.body)).toEqual(session.sent.map(({ answer }) => answer));
      const fast = session.sent.filter(({ answer }) => !answer.startsWith('/slow')).length + 1;
      // The handlers answer some of them, whose body is late or chunked.
      expect(listener.fastAnswers.length - before.fast).toBeLessThanOrEqual(fast);
      answeredFromMemory += session.sent.length + 1 - (listener.readByNode() - before.read);
    } finally {
      client.socket.destroy();
    }
  });
  await fc.assert(property, { numRuns: RUNS });
  // Otherwise node:http would have answered nearly everything.
  expect(answeredFromMemory).toBeGreaterThan(RUNS / 4);
}, 60_000);
