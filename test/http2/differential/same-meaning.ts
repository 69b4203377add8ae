// Sessions that mean the same in other writes. node:http2 reacts to a part of a frame before the rest has come, and
// answers a turn of the event loop later, so that the frames of one write meet other states.
import * as f from '../../support/frames.ts';
import { http2Frame } from '../../support/raw.ts';
import { end, goAway, open, reset, whole } from '../client-frames.ts';
import { MAGIC } from '../engine.ts';
import { session } from './difference.ts';
import { Session } from './session.ts';

type Rewriting = {
  name: string;
  /** The section of RFC 9113 that leaves the time to the server. */
  section: string;
  /** A short session that shows it. */
  example: Session;
  /** @returns null when the session stays as it is */
  rewrite(sent: Session): Session | null;
};

const HEAD_BYTES = 9;
const MAX_FRAME_BYTES = 16_384;

export const SAME_MEANING: readonly Rewriting[] = [
  {
    name: 'answers leave at different times',
    section: '5.1',
    example: session(Buffer.concat([whole(1), reset(1)])),
    rewrite: aWriteForEachFrame,
  },
  {
    name: 'a frame is not complete',
    section: '4.1',
    example: session(f.frameHead(8, f.DATA, 0)),
    rewrite: completeFrame,
  },
  {
    name: 'a header block is not complete',
    section: '4.3',
    example: session(f.headers(2, f.request('/x'), 0)),
    rewrite: completeBlock,
  },
  {
    name: 'frames after GOAWAY of the client',
    section: '6.8',
    example: session(open(1), goAway(), whole(3), end(1)),
    rewrite: endAtGoAway,
  },
];

function aWriteForEachFrame(sent: Session): Session | null {
  const writes = writesOf(sent.bytes);
  const isSame = writes.every(({ length }, n) => length === sent.writes[n]?.length);
  return isSame ? null : new Session(writes);
}

/** Fills the last frame with zeros. */
function completeFrame(sent: Session): Session | null {
  const writes = writesOf(sent.bytes);
  const last = writes.at(-1);
  if (!last || last.length < HEAD_BYTES || writes.length === 1) return null;
  const missing = HEAD_BYTES + last.readUIntBE(0, 3) - last.length;
  if (missing <= 0 || missing > MAX_FRAME_BYTES) return null;
  return new Session([...writes.slice(0, -1), Buffer.concat([last, Buffer.alloc(missing)])]);
}

function completeBlock(sent: Session): Session | null {
  const { frames } = sent;
  const last = frames.findLast(({ type }) => type === f.HEADERS || type === f.CONTINUATION);
  if (!last || last !== frames.at(-1) || (last.flags & f.END_HEADERS) !== 0) return null;
  return new Session([...sent.writes, http2Frame(f.CONTINUATION, f.END_HEADERS, last.streamId)]);
}

/** The end of a connection may come before frames that the client sends after its GOAWAY. */
function endAtGoAway(sent: Session): Session | null {
  const writes = writesOf(sent.bytes);
  const at = sent.frames.findIndex(
    ({ type, streamId, payload }) => type === f.GOAWAY && streamId === 0 && payload.length >= 8,
  );
  if (at < 0 || at + 2 >= writes.length) return null;
  return new Session(writes.slice(0, at + 2));
}

function writesOf(bytes: Buffer): Buffer[] {
  let at = MAGIC.length;
  const writes = [bytes.subarray(0, at)];
  for (const { payload } of f.parseFrames(bytes.subarray(at))) {
    writes.push(bytes.subarray(at, at + HEAD_BYTES + payload.length));
    at += HEAD_BYTES + payload.length;
  }
  if (at < bytes.length) writes.push(bytes.subarray(at));
  return writes;
}
