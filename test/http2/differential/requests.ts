// The header fields in the frames of a client.
import { HeaderDecoder } from '../../../src/http2/hpack/decoder.ts';
import * as f from '../../support/frames.ts';
import { PRIORITY_FLAG } from '../client-frames.ts';

const UNLIMITED = { maxHeaderListBytes: 2 ** 24, maxHeaderFields: 2 ** 16 };

/** @returns the fields of each header block of a stream. Empty after an invalid block. */
export function blocksOf(frames: readonly f.Frame[], streamId: number): f.Field[][] {
  const decoder = new HeaderDecoder(UNLIMITED);
  const found: f.Field[][] = [];
  let block: Buffer = Buffer.alloc(0);
  for (const { type, flags, streamId: id, payload } of frames) {
    if (type === f.HEADERS) block = fragmentOf(payload, flags);
    else if (type === f.CONTINUATION) block = Buffer.concat([block, payload]);
    else continue;
    if ((flags & f.END_HEADERS) === 0) continue;
    try {
      const { method, scheme, authority, path, fields } = decoder.decode(block, 0, block.length);
      if (id !== streamId) continue;
      const pseudo: f.Field[] = [
        [':method', method],
        [':scheme', scheme],
        [':authority', authority],
        [':path', path],
      ];
      found.push([...pseudo, ...fields.map(({ name, value }): f.Field => [name, value])]);
    } catch {
      return [];
    }
  }
  return found;
}

/** HEADERS without padding and priority. */
function fragmentOf(payload: Buffer, flags: number): Buffer {
  const isPadded = (flags & f.PADDED) !== 0;
  const start = (isPadded ? 1 : 0) + ((flags & PRIORITY_FLAG) === 0 ? 0 : 5);
  return Buffer.from(payload.subarray(start, payload.length - (isPadded ? (payload[0] ?? 0) : 0)));
}
