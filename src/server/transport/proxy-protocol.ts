// The PROXY protocol, versions 1 and 2 (HAProxy's proxy-protocol.txt): a proxy sends the client's address as the first
// bytes of a connection.
import { isIP, type Socket } from 'node:net';

type Header =
  | { kind: 'incomplete' }
  | { kind: 'malformed' }
  /**
   * The source is null for the proxy's own connection, such as a health check, and empty when the proxy does not have
   * it.
   */
  | { kind: 'complete'; source: string | null; length: number };

const V2_SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');
const V2_FIXED_BYTES = 16;
/** Includes room for extensions, which are ignored. */
const V2_MAX_BYTES = 2_048;
const V1_MAX_BYTES = 107;
const TCP_OVER_IPV4 = 0x11;
const TCP_OVER_IPV6 = 0x21;
const V2_ADDRESS_BYTES: Record<number, number> = { [TCP_OVER_IPV4]: 4, [TCP_OVER_IPV6]: 16 };
const INCOMPLETE = { kind: 'incomplete' } as const;
const MALFORMED = { kind: 'malformed' } as const;

/** Leaves the rest of the connection unread. Destroys a connection without a valid header in time. */
export function readProxyHeader(socket: Socket, timeoutMs: number, onSource: (source: string | null) => void): void {
  const destroy = () => socket.destroy();
  const timer = setTimeout(destroy, timeoutMs);
  const stopWaiting = () => clearTimeout(timer);
  let start: Buffer = Buffer.alloc(0);
  const onReadable = () => {
    for (let chunk = socket.read(); chunk !== null; chunk = socket.read()) start = Buffer.concat([start, chunk]);
    const header = parseProxyHeader(start);
    if (header.kind === 'incomplete') return;
    stopWaiting();
    socket.off('close', stopWaiting);
    socket.off('end', destroy);
    socket.off('readable', onReadable);
    if (header.kind === 'malformed') return destroy();
    socket.unshift(start.subarray(header.length));
    onSource(header.source);
  };
  socket.once('close', stopWaiting);
  socket.once('end', destroy);
  socket.on('readable', onReadable);
}

export function parseProxyHeader(start: Buffer): Header {
  const signature = start.subarray(0, V2_SIGNATURE.length);
  if (signature.equals(V2_SIGNATURE)) return parseV2(start);
  const mayBeV2 = signature.equals(V2_SIGNATURE.subarray(0, signature.length));
  return mayBeV2 ? INCOMPLETE : parseV1(start);
}

function parseV1(start: Buffer): Header {
  const end = start.subarray(0, V1_MAX_BYTES).indexOf('\r\n');
  const mayBe = 'PROXY '.startsWith(start.subarray(0, 6).toString('latin1'));
  if (end === -1) return mayBe && start.length < V1_MAX_BYTES ? INCOMPLETE : MALFORMED;
  const line = start.subarray(0, end).toString('latin1');
  const length = end + 2;
  if (/^PROXY UNKNOWN( |$)/.test(line)) return { kind: 'complete', source: '', length };
  const [, version, source = '', target = ''] = /^PROXY TCP([46]) (\S+) (\S+) \d{1,5} \d{1,5}$/.exec(line) ?? [];
  const isValid = isIP(source) === Number(version) && isIP(target) === Number(version);
  return isValid ? { kind: 'complete', source, length } : MALFORMED;
}

function parseV2(start: Buffer): Header {
  if (start.length < V2_FIXED_BYTES) return INCOMPLETE;
  const [command, family] = [start[12] as number, start[13] as number];
  const length = V2_FIXED_BYTES + start.readUInt16BE(14);
  if (length > V2_MAX_BYTES || (command !== 0x20 && command !== 0x21)) return MALFORMED;
  if (start.length < length) return INCOMPLETE;
  if (command === 0x20) return { kind: 'complete', source: null, length };
  const size = V2_ADDRESS_BYTES[family];
  if (size === undefined) return { kind: 'complete', source: '', length };
  if (length < V2_FIXED_BYTES + 2 * size + 4) return MALFORMED;
  return { kind: 'complete', source: addressOf(start.subarray(V2_FIXED_BYTES, V2_FIXED_BYTES + size)), length };
}

function addressOf(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.');
  const groups = Array.from({ length: 8 }, (_, n) => bytes.readUInt16BE(2 * n).toString(16));
  return groups.join(':');
}
