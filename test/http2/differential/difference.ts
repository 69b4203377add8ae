// A class of outcome that differs between the two servers, and the form of a reason for it.
import * as f from '../../support/frames.ts';
import { MAGIC } from '../engine.ts';
import type { Outcome } from './outcome.ts';
import { Session } from './session.ts';

export type Difference = {
  frames: readonly f.Frame[];
  node: Outcome;
  ours: Outcome;
  /** Null for the class of the connection, which decides about its streams. */
  streamId: number | null;
};

export type AllowedDifference = {
  name: string;
  /** A section of RFC 9113, or of another RFC that it names. */
  section: string;
  /** The reason why the engine is right, or both are. */
  why: string;
  /** A short session that shows it. */
  example: Session;
  allows(difference: Difference): boolean;
};

/** A write for each frame, after the preface. */
export const session = (...frames: Buffer[]) => new Session([MAGIC, f.settings(), ...frames]);

export function has(frames: readonly f.Frame[], type: number, test: (frame: f.Frame) => boolean = () => true): boolean {
  return frames.some((frame) => frame.type === type && test(frame));
}

/** Only the engine ends the connection with an error, which has this text. */
export const onlyOurs =
  (reason: string, test: (frames: readonly f.Frame[]) => boolean = () => true) =>
  ({ frames, node, ours, streamId }: Difference): boolean =>
    streamId === null && node.connection !== 'error' && ours.reason === reason && test(frames);

/** Only node:http2 ends the connection with an error, which has this text. */
export const onlyNode =
  (reason: string, test: (frames: readonly f.Frame[]) => boolean = () => true) =>
  ({ frames, node, ours, streamId }: Difference): boolean => {
    const isNode = node.connection === 'error' && ours.connection !== 'error';
    return streamId === null && isNode && node.reason === reason && test(frames);
  };

/** node:http2 ends the connection with this text for a frame of this type, and the engine resets the stream of the frame. */
export const streamErrorOfOurs =
  (reason: string, type: number, test: (frame: f.Frame) => boolean = () => true) =>
  (difference: Difference): boolean =>
    onlyNode(reason, (frames) =>
      has(frames, type, (frame) => difference.ours.resets.has(frame.streamId) && test(frame)),
    )(difference);

/** Only this server ends the stream with an error. */
export function onlyOn(server: 'node' | 'ours', { node, ours, streamId }: Difference): boolean {
  const [failing, other] = server === 'node' ? [node, ours] : [ours, node];
  return streamId !== null && failing.streams.get(streamId) === 'error' && other.streams.get(streamId) !== 'error';
}
