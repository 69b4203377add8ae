// Requests of one HTTP/1.1 connection, of which memory answers some before node:http reads them.
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import { openCertificates } from '../support/certificates.ts';
import { eventually } from '../support/eventually.ts';
import { EchoClient, type EchoListener, get, listenEcho, post } from './http1-listener.ts';

const certificates = await openCertificates();
const { certFile, keyFile } = certificates.make('server', 'DNS:localhost');
const cleartext = await listenEcho();
const secure = await listenEcho({ tls: { certFile, keyFile, clients: null } });
afterAll(async () => {
  await Promise.all([cleartext.close(0), secure.close(0)]);
  certificates.remove();
});

function open(listener: EchoListener = cleartext): EchoClient {
  const client = new EchoClient(listener.port, listener === secure);
  onTestFinished(() => void client.socket.destroy());
  return client;
}

/** A client whose next request memory can answer. */
async function opened(listener: EchoListener = cleartext): Promise<EchoClient> {
  const client = open(listener);
  await client.ask(get('/fast'));
  return client;
}

/** How many requests node:http reads while the function runs. */
async function readByNode(run: () => Promise<unknown>, listener: EchoListener = cleartext): Promise<number> {
  const before = listener.readByNode();
  await run();
  return listener.readByNode() - before;
}

const bodies = (answers: { body: string }[]) => answers.map(({ body }) => body.trim());

describe('the second request of a connection', () => {
  test.each([
    ['without a body', get('/fast')],
    ['with a body', post('/fast', 'hello')],
    ['with status 204', get('/status/204')],
    ['with status 302', get('/status/302')],
    ['with status 304', get('/status/304')],
    ['with status 401', get('/status/401')],
    ['with a status without a name', get('/status/599')],
    ['with an answer that is larger than its head', get('/size/15000')],
  ])('%s is answered before node:http reads it, as the first', async (_, request) => {
    const client = open();
    expect(await readByNode(() => client.ask(request))).toBe(1);
    expect(await readByNode(() => client.ask(request))).toBe(0);
    const [first, second] = client.answers;
    expect(first?.head).toContain('x-name: caf\xe9\r\n');
    expect(second).toEqual(first);
  });

  test('is answered once when its answer is large', async () => {
    const client = await opened();
    const before = cleartext.fastAnswers.length;
    expect(await readByNode(() => client.ask(get('/size/300000')))).toBe(0);
    expect(client.answers[1]?.body).toBe('x'.repeat(300_000));
    expect(cleartext.fastAnswers.length).toBe(before + 1);
    expect((await client.ask(get('/fast?after'))).body).toBe('/fast?after ');
  });

  test.each([
    ['a body that the fast path leaves to the handlers', post('/slow', 'hello')],
    ['connection: close', get('/fast', 'connection: close')],
    ['proxy-connection: close', get('/fast', 'proxy-connection: close')],
    ['an unknown method', get('/fast').replace('GET', 'FOO')],
    [
      'a chunked body',
      `${post('/fast', '').replace('content-length: 0', 'transfer-encoding: chunked')}1\r\na\r\n0\r\n\r\n`,
    ],
    ['a head that is not plain', get('/fast', 'expect: 100-continue')],
    ['a large head', get('/fast', `x-a: ${'x'.repeat(20_000)}`)],
  ])('with %s is answered as it would be on a new connection', async (_, request) => {
    const [first, client] = [open(), await opened()];
    const usual = await first.ask(request);
    expect(await client.ask(request)).toEqual(usual);
  });
});

test('the answer to HEAD has no body', async () => {
  const client = await opened();
  const before = client.received.length;
  client.write(get('/fast').replace('GET', 'HEAD'));
  await eventually(() => client.received.length > before);
  await sleep(50);
  const answer = client.received.slice(before);
  expect(answer).toMatch(/^HTTP\/1.1 200 OK\r\n/);
  expect(answer.indexOf('\r\n\r\n')).toBe(answer.length - 4);
});

test('each request of a connection through a proxy has the address that the proxy has named', async () => {
  const own = await listenEcho({ isProxy: () => true });
  onTestFinished(() => own.close(0));
  const client = open(own);
  client.write('PROXY TCP4 192.0.2.7 192.0.2.1 1000 80\r\n');
  for (let n = 0; n < 3; n += 1) await client.ask(get('/fast'));
  expect(own.readByNode()).toBe(1);
  expect(own.addresses).toEqual(Array(3).fill('192.0.2.7'));
});

describe.each([
  ['without TLS', cleartext],
  ['with TLS', secure],
])('order %s', (_, listener) => {
  test('pipelined requests in one write are answered in their order', async () => {
    const client = await opened(listener);
    const paths = ['/fast?1', '/slow?2', '/fast?3', '/fast?4', '/slow?5'];
    client.write(paths.map((path) => get(path)).join(''));
    expect(bodies(await client.answered(6)).slice(1)).toEqual(paths);
  });

  test('a fast request that arrives while a slow one is in flight is answered after it', async () => {
    const own = await listenEcho();
    onTestFinished(() => own.close(0));
    const client = await opened(own);
    client.write(get('/held'));
    await sleep(50);
    client.write(get('/fast?late'));
    await sleep(50);
    expect(client.answers.length).toBe(1);
    own.release();
    expect(bodies(await client.answered(3)).slice(1)).toEqual(['/held', '/fast?late']);
    expect(await readByNode(() => client.ask(get('/fast?again')), own)).toBe(0);
  });

  test('twenty thousand requests on one connection', async () => {
    const client = await opened(listener);
    let count = 0;
    client.socket.removeAllListeners('data');
    const answered = new Promise<void>((resolve) => {
      client.socket.on('data', (chunk: Buffer) => {
        expect(chunk.toString('latin1')).toMatch(new RegExp(`\r\n\r\n/fast\\?${count} $`));
        count += 1;
        if (count === 20_000) resolve();
        else client.write(get(`/fast?${count}`));
      });
    });
    const read = await readByNode(async () => {
      client.write(get('/fast?0'));
      await answered;
    }, listener);
    expect(read).toBe(0);
  });
});

describe('a request in pieces', () => {
  test.each([
    [20, 0],
    [300, 1],
  ])('is answered when its body follows its head after %i ms', async (milliseconds, readsOfNode) => {
    const client = await opened();
    const [head = '', body = ''] = post('/fast', 'hello').split(/(?<=\r\n\r\n)/);
    const read = await readByNode(async () => {
      client.write(head);
      await sleep(milliseconds);
      expect(client.answers.length).toBe(1);
      await client.ask(body);
    });
    expect(bodies(client.answers)[1]).toBe('/fast hello');
    expect(read).toBe(readsOfNode);
    expect(await readByNode(() => client.ask(get('/fast')))).toBe(0);
  });

  test('split at each of its bytes is answered, and the next one before node:http reads it', async () => {
    const client = await opened();
    const request = post('/fast', 'hello');
    for (let at = 1; at < request.length; at += 1) {
      client.write(request.slice(0, at));
      await sleep(2);
      expect((await client.ask(request.slice(at))).body, `split at ${at}`).toBe('/fast hello');
      expect(await readByNode(() => client.ask(get('/fast')))).toBe(0);
    }
  });

  test('byte by byte is answered once', async () => {
    const client = await opened();
    for (const byte of post('/fast', 'hello')) {
      client.write(byte);
      await sleep(2);
    }
    expect(bodies(await client.answered(2))).toEqual(['/fast', '/fast hello']);
  });
});

describe('hostile requests', () => {
  test('a request in the body of another is not answered', async () => {
    const client = await opened();
    const before = cleartext.fastAnswers.length;
    for (const path of ['/slow', '/fast']) client.write(post(path, get('/fast?smuggled')));
    expect(bodies(await client.answered(3)).map((body) => body.split(' ')[0])).toEqual(['/fast', '/slow', '/fast']);
    expect((await client.ask(get('/fast?own'))).body).toBe('/fast?own ');
    expect(cleartext.fastAnswers.slice(before)).toEqual(['/fast', '/fast?own']);
  });

  test.each([
    [
      'an empty length before it',
      post('/slow', get('/fast?smuggled')).replace(/content-length: \d+/, 'content-length:'),
    ],
    ['two lengths before it', post('/slow', get('/fast?smuggled'), 'content-length: 0')],
    ['a length and a coding before it', post('/slow', get('/fast?smuggled'), 'transfer-encoding: chunked')],
    ['garbage before it', `${get('/slow')}\0\xff garbage\r\n\r\n${get('/fast?smuggled')}`],
    ['CONNECT before it', `CONNECT /fast HTTP/1.1\r\nhost: x\r\n\r\n${get('/fast?smuggled')}`],
  ])('a second request with %s is not answered, and the connection ends', async (_, request) => {
    const client = await opened();
    const before = cleartext.fastAnswers.length;
    client.write(request);
    await client.closed;
    expect(cleartext.fastAnswers.slice(before)).toEqual([]);
  });

  test.each([
    ['the rest of a head', ['GET /slow HTTP/1.1\r\nx-a: ', get('/fast?smuggled')], '/slow'],
    ['the body of a request with an early answer', post('/early', get('/fast?smuggled')).split(/(?=GET)/), '/early'],
  ])('a request that arrives alone, but is %s, is not answered', async (_, pieces, path) => {
    const client = await opened();
    const before = cleartext.fastAnswers.length;
    for (const piece of pieces) {
      client.write(piece);
      await sleep(50);
    }
    await client.ask(get('/fast?own'));
    expect(bodies(client.answers)).toEqual(['/fast', path, '/fast?own']);
    expect(cleartext.fastAnswers.slice(before)).toEqual(['/fast?own']);
  });

  test.each([
    ['cleartext', cleartext],
    ['TLS', secure],
  ])(
    'a body that arrives while the process is busy, after the early answer, does not end the connection: %s',
    async (_, listener) => {
      const client = await opened(listener);
      const [head = '', body = ''] = post('/early', 'its body').split(/(?<=\r\n\r\n)/);
      await client.ask(head);
      // Then the loop runs its timers before it reads.
      await setImmediate();
      client.write(`${body}${get('/slow')}`);
      const until = performance.now() + 700;
      while (performance.now() < until);
      expect(bodies(await client.answered(3))).toEqual(['/fast', '/early', '/slow']);
    },
  );

  test('garbage after a request that was answered ends the connection', async () => {
    const client = await opened();
    client.write(`${get('/fast?2')}garbage\r\n\r\n`);
    expect(await client.closed).toBeLessThan(5_000);
    expect(bodies(client.answers).filter((body) => body.startsWith('/fast'))).toEqual(['/fast', '/fast?2']);
  });

  test('more than sixteen unanswered requests end the connection', async () => {
    const client = await opened();
    client.write(get('/held'));
    await sleep(20);
    for (let n = 0; n < 16; n += 1) {
      client.write(get('/fast'));
      await sleep(2);
    }
    expect(await client.closed).toBeLessThan(5_000);
    expect(client.answers.length).toBe(1);
  });
});

describe('the end of a connection', () => {
  test.each(['/fast', '/slow'])('a client that ends its side after a request to %s gets its answer', async (path) => {
    for (const client of [open(), await opened()]) {
      const before = client.answers.length;
      client.socket.end(get(path));
      expect(bodies(await client.answered(before + 1))[before]).toBe(path);
      expect(await client.closed).toBeLessThan(5_000);
    }
  });

  test('a client that ends its side within a body gets no answer', async () => {
    const client = await opened();
    client.socket.end(post('/fast', 'hello').slice(0, -1));
    await client.closed;
    expect(client.answers.slice(1).every(({ status }) => status === 400)).toBe(true);
  });

  test('a connection at its greatest age takes one more request', async () => {
    const own = await listenEcho({
      lifetime: { maxAgeMs: 300, graceMs: 5_000, pingEveryMs: 60_000, pingTimeoutMs: 10_000 },
    });
    onTestFinished(() => own.close(0));
    const client = await opened(own);
    expect((await client.ask(get('/fast'))).head).toContain('Connection: keep-alive');
    await sleep(350);
    expect((await client.ask(get('/fast'))).head).toContain('Connection: close');
    expect(await client.closed).toBeLessThan(3_000);
  });

  test('a listener that stops answers one more request of each connection, and closes idle ones', async () => {
    const own = await listenEcho();
    const [busy, idle] = [await opened(own), await opened(own)];
    for (const client of [busy, idle]) await client.ask(get('/fast'));
    const closed = own.close(10_000);
    expect((await busy.ask(get('/fast'))).head).toContain('Connection: close');
    await Promise.all([closed, busy.closed]);
    expect(await idle.closed).toBeLessThan(5_000);
  });
});

test.each([
  ['the first request', []],
  ['a later request', [get('/fast')]],
])('an answer to %s with an invalid header ends its connection, and nothing else', async (_, earlier) => {
  const defects: unknown[] = [];
  const listener = await listenEcho({ onDefect: (error) => defects.push(error) });
  onTestFinished(() => listener.close(0));
  const client = open(listener);
  for (const request of earlier) await client.ask(request);
  client.socket.write(get('/defect'));
  await client.closed;
  expect(defects).toEqual([expect.any(TypeError)]);
  expect((await open(listener).ask(get('/fast'))).status).toBe(200);
});
