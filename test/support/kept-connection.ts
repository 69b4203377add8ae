// HTTP/1.1 and HTTP/2 clients that send bytes which no library would send, over connections that stay open.

import { execFile } from 'node:child_process';
import http2 from 'node:http2';
import { connect, type Socket } from 'node:net';
import { promisify } from 'node:util';
import { findProgram } from './program.ts';

const run = promisify(execFile);

export type Answer = { status: number; body: string };

export type HostileClient = {
  /** @param lines of headers, such as `x-auth-roles: admin` @returns status 0 when the server closes the connection or stream */
  send(method: string, path: string, lines: string[], payload?: string): Promise<Answer>;
  close(): void;
};

const ANSWER_TIMEOUT_MS = 10_000;
const NO_ANSWER = 599;

/** Sends one request at a time. @param payload the bytes after the head */
export function http1Client(port: number): HostileClient {
  let socket: Socket | null = null;
  const send: HostileClient['send'] = (method, path, lines, payload = '') => {
    const used = socket && !socket.destroyed && socket.writable ? socket : connect(port, '127.0.0.1');
    socket = used;
    const head = [`${method} ${path} HTTP/1.1`, ...lines, '', ''].join('\r\n');
    used.write(Buffer.from(head + payload, 'latin1'));
    return answerOf(used);
  };
  return { send, close: () => socket?.destroy() };
}

function answerOf(socket: Socket): Promise<Answer> {
  return new Promise((resolve) => {
    let received = Buffer.alloc(0);
    const finish = (answer: Answer, isReusable: boolean) => {
      clearTimeout(timer);
      socket.removeAllListeners();
      socket.on('error', () => {});
      if (!isReusable) socket.destroy();
      resolve(answer);
    };
    const timer = setTimeout(() => finish({ status: NO_ANSWER, body: '' }, false), ANSWER_TIMEOUT_MS);
    const onEnd = () => finish(parseAnswer(received, true)?.answer ?? { status: 0, body: '' }, false);
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      const parsed = parseAnswer(received, false);
      if (parsed) finish(parsed.answer, parsed.isReusable);
    });
    socket.on('error', onEnd);
    socket.on('close', onEnd);
  });
}

/** Null while the answer is incomplete. */
function parseAnswer(received: Buffer, hasEnded: boolean): { answer: Answer; isReusable: boolean } | null {
  const text = received.toString('latin1');
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return null;
  const head = text.slice(0, end).toLowerCase();
  const status = Number(head.split(' ')[1]);
  const rest = text.slice(end + 4);
  if (status === 100) return parseAnswer(received.subarray(end + 4), hasEnded);
  if (status === 101) return { answer: { status, body: '' }, isReusable: false };
  const isReusable = !/\nconnection: *close/.test(head);
  const length = /\ncontent-length: *(\d+)/.exec(head)?.[1];
  if (/\ntransfer-encoding: *chunked/.test(head)) {
    if (!/(^|\r\n)0\r\n\r\n$/.test(rest)) return null;
    return { answer: { status, body: unchunked(rest) }, isReusable };
  }
  if (length === undefined) return hasEnded ? { answer: { status, body: rest }, isReusable: false } : null;
  if (rest.length < Number(length)) return null;
  return { answer: { status, body: rest.slice(0, Number(length)) }, isReusable };
}

function unchunked(text: string): string {
  const [size = '0'] = text.split('\r\n', 1);
  const length = Number.parseInt(size, 16);
  if (!length) return '';
  const start = size.length + 2;
  return text.slice(start, start + length) + unchunked(text.slice(start + length + 2));
}

/** Over cleartext HTTP/2. A `host` line becomes `:authority`. */
export function http2Client(url: string): HostileClient {
  let session: http2.ClientHttp2Session | null = null;
  const send: HostileClient['send'] = (method, path, lines, payload) => {
    if (!session || session.closed || session.destroyed) {
      session = http2.connect(url);
      session.on('error', () => {});
    }
    return answerOfStream(session, { ':method': method, ':path': path, ...headersOf(lines) }, payload);
  };
  return { send, close: () => session?.destroy() };
}

function headersOf(lines: string[]): http2.OutgoingHttpHeaders {
  const headers: Record<string, string[]> = {};
  for (const line of lines) {
    const [, name = '', value = ''] = /^([^:]*): ?(.*)$/s.exec(line) ?? [];
    const key = name.toLowerCase() === 'host' ? ':authority' : name.toLowerCase();
    headers[key] = [...(headers[key] ?? []), value];
  }
  return Object.fromEntries(
    Object.entries(headers).map(([name, values]) => [name, values.length > 1 ? values : values[0]]),
  );
}

function answerOfStream(
  session: http2.ClientHttp2Session,
  headers: http2.OutgoingHttpHeaders,
  payload = '',
): Promise<Answer> {
  return new Promise((resolve) => {
    const answer: Answer = { status: 0, body: '' };
    const stream = session.request(headers, { endStream: payload === '' });
    stream.setTimeout(ANSWER_TIMEOUT_MS, () => {
      answer.status = NO_ANSWER;
      stream.close();
    });
    stream.on('response', (received) => {
      answer.status = Number(received[':status']);
    });
    stream.on('data', (chunk: Buffer) => {
      answer.body += chunk.toString('latin1');
    });
    stream.on('error', () => {});
    stream.on('close', () => resolve(answer));
    if (payload !== '') stream.end(payload);
  });
}

/** Over cleartext HTTP/2 with several values of one header, which Node's client refuses to send. */
export function nghttpClient(url: string): HostileClient {
  const send: HostileClient['send'] = async (method, path, lines) => {
    const { path: program, libraryPath } = await findProgram('nghttp2-client', 'usr/bin/nghttp');
    const args = [
      '-v',
      '-H',
      `:method: ${method}`,
      ...lines.flatMap((line) => ['-H', line.replace(/^host:/, ':authority:')]),
    ];
    const env = { LD_LIBRARY_PATH: libraryPath };
    const { stdout } = await run(program, [...args, '-t', '10', url + path], { env });
    return { status: Number(/:status: (\d+)/.exec(stdout)?.[1] ?? 0), body: /^\{.*\}/m.exec(stdout)?.[0] ?? '' };
  };
  return { send, close: () => {} };
}
