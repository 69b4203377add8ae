// The bytes that a client sends on a connection, in writes.
import fc from 'fast-check';
import { MAX_31_BITS } from '../../../src/http2/protocol.ts';
import { type Frame, parseFrames } from '../../support/frames.ts';
import { MAGIC } from '../engine.ts';
import { wordsOf } from '../frame-words.ts';

export class Session {
  readonly writes: readonly Buffer[];

  constructor(writes: readonly Buffer[]) {
    this.writes = writes;
  }

  get bytes(): Buffer {
    return Buffer.concat(this.writes);
  }

  /** The whole frames, as they are found by their lengths. Empty without the preface. */
  get frames(): Frame[] {
    const { bytes } = this;
    if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) return [];
    const frames = parseFrames(bytes.subarray(MAGIC.length));
    // The first bit is reserved (RFC 9113 section 4.1).
    return frames.map((frame) => ({ ...frame, streamId: frame.streamId & MAX_31_BITS }));
  }

  /** For the report of a failure. */
  toString(): string {
    const lines = this.frames.map((frame) => `  ${wordOf(frame)}`);
    const writes = this.writes.map((write) => write.toString('hex')).join(' ');
    return ['a session', ...lines, `in writes: ${writes}`].join('\n');
  }

  [fc.toStringMethod](): string {
    return this.toString();
  }
}

function wordOf(frame: Frame): string {
  const { type, flags, streamId, payload } = frame;
  const numbers = `(type ${type}, flags 0x${flags.toString(16)}, stream ${streamId}, ${payload.length} bytes)`;
  try {
    return `${wordsOf([frame])[0]} ${numbers}`;
  } catch {
    // A damaged payload can be too short for its type.
    return numbers;
  }
}
