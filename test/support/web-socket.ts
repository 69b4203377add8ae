// A WebSocket client (RFC 6455) that can send headers which browsers do not send.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';

export type TestWebSocket = {
  /** 101 when it is open. */
  status: number;
  send(text: string): void;
  /** The next message. */
  next(): Promise<string>;
  close(): void;
};

export async function webSocket(port: number, path: string, lines: string[]): Promise<TestWebSocket> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  let received = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
  });
  const until = async (isThere: () => boolean) => {
    while (!isThere() && !socket.closed) await Promise.race([once(socket, 'data'), once(socket, 'close')]);
  };
  const head = [
    ...[`GET ${path} HTTP/1.1`, 'host: shop.example', 'upgrade: websocket', 'connection: Upgrade'],
    ...[`sec-websocket-key: ${randomBytes(16).toString('base64')}`, 'sec-websocket-version: 13', ...lines, '', ''],
  ];
  socket.write(head.join('\r\n'));
  await until(() => received.includes('\r\n\r\n'));
  const status = Number(received.toString('latin1').split(' ')[1]);
  received = received.subarray(received.indexOf('\r\n\r\n') + 4);
  if (status !== 101) socket.destroy();
  return {
    status,
    send: (text) => socket.write(maskedFrame(text)),
    next: async () => {
      await until(() => frameOf(received) !== null);
      const { text, length } = frameOf(received) ?? { text: '', length: 0 };
      received = received.subarray(length);
      return text;
    },
    close: () => socket.destroy(),
  };
}

/** A text frame of a server. */
export function textFrame(text: string): Buffer {
  const payload = Buffer.from(text);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(payload.length);
  const head = payload.length < 126 ? Buffer.from([0x81, payload.length]) : Buffer.from([0x81, 126, ...length]);
  return Buffer.concat([head, payload]);
}

/** RFC 6455 section 5.3: a client masks what it sends. A mask of zeros changes nothing. */
function maskedFrame(text: string): Buffer {
  const payload = Buffer.from(text);
  return Buffer.concat([Buffer.from([0x81, 0x80 | payload.length, 0, 0, 0, 0]), payload]);
}

/** Null while it is incomplete. */
export function frameOf(bytes: Buffer): { text: string; length: number } | null {
  if (bytes.length < 2) return null;
  const second = bytes.readUInt8(1);
  const short = second & 0x7f;
  const extended = short === 126 ? 2 : 0;
  if (bytes.length < 2 + extended) return null;
  const start = 2 + extended + (second & 0x80 ? 4 : 0);
  const size = extended ? bytes.readUInt16BE(2) : short;
  if (bytes.length < start + size) return null;
  return { text: bytes.subarray(start, start + size).toString(), length: start + size };
}
