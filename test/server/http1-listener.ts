// A listener whose fast path and handlers only echo, and raw HTTP/1.1 clients of it.
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { vi } from 'vitest';
import { HeaderBlock } from '../../src/http2/hpack/header-block.ts';
import type { FastHandler } from '../../src/server/transport/fast-handler.ts';
import type { Handler } from '../../src/server/transport/handler.ts';
import { Http1Connection } from '../../src/server/transport/http1-connection.ts';
import { type Listener, type ListenerOptions, listen } from '../../src/server/transport/listener.ts';
import { eventually } from '../support/eventually.ts';

export type EchoListener = Listener & {
  /** Requests that the fast path has answered. */
  fastAnswers: string[];
  /** The address of the client of each of them. */
  addresses: string[];
  /** How many requests node:http has read. */
  readByNode(): number;
  /** Lets the handlers answer. */
  release(): void;
};

/** Paths: `/fast` with its body, `/size/N`, `/status/N`; the handlers answer all others, `/held` after `release`, `/early` before its body. */
export async function listenEcho(options: Partial<ListenerOptions> = {}): Promise<EchoListener> {
  const fastAnswers: string[] = [];
  const addresses: string[] = [];
  const admit = vi.spyOn(Http1Connection.prototype, 'admit');
  let release = () => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });

  const fastPath: FastHandler = ({ headers, isComplete, peer }) => {
    const { path, contentLength } = headers;
    const [, kind = '', number = ''] = /^\/(fast|size|status|defect)(?:\/(\d+))?(?:\?.*)?$/.exec(path) ?? [];
    if (kind === '') return null;
    const answer = (body: Buffer) => {
      fastAnswers.push(path);
      addresses.push(peer.address);
      const echo = kind === 'size' ? Buffer.alloc(Number(number), 'x') : Buffer.from(`${path} ${body}`);
      const hasBody = !['204', '304'].includes(number);
      const fields = [
        'x-name',
        kind === 'defect' ? 'a\nb' : 'caf\xe9',
        'content-length',
        String(hasBody ? echo.length : 0),
      ];
      const head = new HeaderBlock(kind === 'status' ? Number(number) : 200, fields);
      return { head, body: hasBody ? echo : null, trailers: null };
    };
    return { bodyLength: () => (isComplete ? -1 : contentLength), answer, rejectTruncated: () => null };
  };

  const handler: Handler = (request, response) => {
    const isEarly = request.path === '/early';
    if (isEarly) response.end('/early');
    const serve = async () => {
      const pieces: Buffer[] = [];
      for await (const piece of request.pieces()) pieces.push(piece);
      if (request.path === '/held') await released;
      response.end(`${request.url} ${Buffer.concat(pieces)}`);
    };
    if (!isEarly) serve().catch(() => {});
    return true;
  };

  const listener = await listen(
    {
      address: { host: '127.0.0.1', port: 0 },
      tls: null,
      onTlsProblem() {},
      onDefect() {},
      maxConnectionsPerPeer: 1_000,
      lifetime: { maxAgeMs: 0, graceMs: 1_000, pingEveryMs: 60_000, pingTimeoutMs: 10_000 },
      isProxy: () => false,
      ...options,
    },
    fastPath,
    [handler],
  );
  const before = admit.mock.calls.length;
  return {
    ...listener,
    ...{ fastAnswers, addresses, release },
    readByNode: () => admit.mock.calls.length - before,
  };
}

export type EchoAnswer = { status: number; head: string; body: string };

export class EchoClient {
  readonly socket: Socket;
  /** Milliseconds until the server has closed the connection. */
  readonly closed: Promise<number>;
  received = '';

  constructor(port: number, isTls = false) {
    const startedAt = performance.now();
    const options = { port, host: '127.0.0.1', allowHalfOpen: true };
    this.socket = isTls ? connectTls({ ...options, rejectUnauthorized: false }) : connect(options);
    this.socket.setNoDelay(true);
    this.socket.on('data', (chunk: Buffer) => {
      this.received += chunk.toString('latin1');
    });
    this.socket.on('error', () => {});
    this.socket.on('end', () => this.socket.end());
    this.closed = new Promise((resolve) =>
      this.socket.once('close', () => resolve(Math.round(performance.now() - startedAt))),
    );
  }

  write(text: string): void {
    this.socket.write(text, 'latin1');
  }

  /** All answers so far, without an unfinished one. */
  get answers(): EchoAnswer[] {
    const answers: EchoAnswer[] = [];
    for (let at = 0; ; ) {
      const end = this.received.indexOf('\r\n\r\n', at);
      if (end < 0) return answers;
      const head = this.received.slice(at, end);
      const length = Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0);
      const body = this.received.slice(end + 4, end + 4 + length);
      if (body.length < length) return answers;
      answers.push({ status: Number(head.split(' ')[1]), head: head.replace(/\r\nDate: [^\r]*/, ''), body });
      at = end + 4 + length;
    }
  }

  /** Waits for this many answers in all. */
  async answered(count: number): Promise<EchoAnswer[]> {
    return eventually(() => (this.answers.length >= count ? this.answers : null));
  }

  /** @returns the next answer */
  async ask(text: string): Promise<EchoAnswer> {
    const before = this.answers.length;
    this.write(text);
    return (await this.answered(before + 1))[before] as EchoAnswer;
  }
}

export const get = (path: string, ...lines: string[]) =>
  [`GET ${path} HTTP/1.1`, 'host: x', ...lines, '', ''].join('\r\n');

export const post = (path: string, body: string, ...lines: string[]) =>
  [`POST ${path} HTTP/1.1`, 'host: x', `content-length: ${body.length}`, ...lines, '', body].join('\r\n');
