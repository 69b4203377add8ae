// Frames in words, so that a test shows what an endpoint sends.
import { decodeHuffman } from '../../src/http2/hpack/huffman.ts';
import { STATIC_TABLE } from '../../src/http2/hpack/static-table.ts';
import { ERROR } from '../../src/http2/protocol.ts';
import * as f from '../support/frames.ts';

/** Longer bodies are shown by their length. */
const SHOWN_BYTES = 40;

/** The name of an error code of RFC 9113 section 7. */
function errorName(code: number): string {
  return Object.entries(ERROR).find(([, value]) => value === code)?.[0] ?? `error ${code}`;
}

export function wordsOf(frames: readonly f.Frame[]): string[] {
  return frames.map(({ type, flags, streamId, payload }) => {
    const end = flags & f.END_STREAM ? ' END' : '';
    const ack = flags & f.ACK ? ' ACK' : '';
    if (type === f.DATA) return `DATA ${streamId} ${textOf(payload)}${end}`;
    if (type === f.HEADERS) return `HEADERS ${streamId}${statusOf(payload)}${end}`;
    if (type === f.CONTINUATION) return `CONTINUATION ${streamId}`;
    if (type === f.RESET) return `RST_STREAM ${streamId} ${errorName(payload.readUInt32BE(0))}`;
    if (type === f.GOAWAY) return `GOAWAY ${payload.readUInt32BE(0)} ${errorName(payload.readUInt32BE(4))}`;
    if (type === f.WINDOW_UPDATE) return `WINDOW_UPDATE ${streamId} +${payload.readUInt32BE(0)}`;
    if (type === f.SETTINGS) return `SETTINGS${ack}`;
    if (type === f.PING) return `PING${ack} ${textOf(payload)}`;
    return `type ${type} on ${streamId}`;
  });
}

function textOf(bytes: Buffer): string {
  return bytes.length <= SHOWN_BYTES ? JSON.stringify(bytes.toString('latin1')) : `${bytes.length} bytes`;
}

/** With a space in front. Empty for a block without a status, such as trailers. */
function statusOf(block: Buffer): string {
  let at = 0;
  // Changes of the table's size come first (RFC 7541 section 6.3).
  while (at < block.length && ((block[at] as number) & 0xe0) === 0x20)
    at += block[at] === 0x3f ? lengthOfInteger(block, at) : 1;
  const first = block[at] ?? 0;
  const index = first & (first >= 0x80 ? 0x7f : first >= 0x40 ? 0x3f : 0x0f);
  if (STATIC_TABLE[index - 1]?.name !== ':status') return '';
  if (first >= 0x80) return ` ${STATIC_TABLE[index - 1]?.value}`;
  const length = (block[at + 1] as number) & 0x7f;
  const [start, end] = [at + 2, at + 2 + length];
  const isHuffman = (block[at + 1] as number) >= 0x80;
  return ` ${isHuffman ? decodeHuffman(block, start, end) : block.toString('latin1', start, end)}`;
}

function lengthOfInteger(block: Buffer, at: number): number {
  let length = 2;
  while ((block[at + length - 1] as number) >= 0x80) length += 1;
  return length;
}
