import { ERROR, MAX_31_BITS, SETTING } from '../../../src/http2/protocol.ts';
import * as f from '../../support/frames.ts';
import { http2Frame } from '../../support/raw.ts';
import { end, open, ping, priority, reset, whole, windowUpdate } from '../client-frames.ts';
import { type AllowedDifference, has, onlyNode, onlyOn, onlyOurs, session, streamErrorOfOurs } from './difference.ts';

const PRIORITY_UPDATE = 16;
/** The answer cannot end, and its stream with it. */
const NO_WINDOW = f.settings([SETTING.INITIAL_WINDOW_SIZE, 0]);
const dependsOn = (streamId: number, on: number) =>
  http2Frame(f.PRIORITY, 0, streamId, Buffer.from([...f.uint32(on), 0]));

const incrementIs =
  (increment: number) =>
  ({ payload }: f.Frame) =>
    payload.length === 4 && (payload.readUInt32BE(0) & MAX_31_BITS) === increment;

/** Differences about frames and the states of streams. */
export const FRAME_DIFFERENCES: readonly AllowedDifference[] = [
  {
    name: 'HEADERS on a stream that has ended',
    section: '5.1',
    why: 'HEADERS there are an error of the connection. node:http2 ignores them.',
    example: session(whole(1), whole(1)),
    allows: onlyOurs('the stream has ended'),
  },
  {
    name: 'a stream with a lower id than the last one',
    section: '5.1.1',
    why: 'An unexpected id must end the connection. node:http2 ignores the stream.',
    example: session(whole(3), whole(1)),
    allows: onlyOurs('a new stream has a lower id than the last one'),
  },
  {
    name: 'DATA after the end of a request',
    section: '5.1',
    why: 'The section requires a stream error. node:http2 ends the connection, as section 5.4.1 allows.',
    example: session(NO_WINDOW, whole(1), end(1, 'late')),
    allows: streamErrorOfOurs('DATA: stream in half-closed(remote)', f.DATA),
  },
  {
    name: 'HEADERS after the end of a request',
    section: '5.1',
    why: 'The section requires a stream error. node:http2 ends the connection, as section 5.4.1 allows.',
    example: session(NO_WINDOW, whole(1), whole(1)),
    allows: streamErrorOfOurs('HEADERS: stream closed', f.HEADERS),
  },
  {
    name: 'DATA on a stream that has ended',
    section: '6.1',
    why: 'The section requires a stream error. node:http2 ignores the frame.',
    example: session(open(3), end(1, 'never opened')),
    allows: (difference) =>
      onlyOn('ours', difference) &&
      !difference.node.streams.has(difference.streamId ?? 0) &&
      has(difference.frames, f.DATA, ({ streamId }) => streamId === difference.streamId),
  },
  {
    name: 'padding of ignored DATA',
    section: '6.1',
    why: 'Padding of the length of its frame must end the connection. node:http2 ignores frames of ended streams whole.',
    example: session(open(1), reset(1), http2Frame(f.DATA, f.PADDED, 1, Buffer.from([3, 0]))),
    allows: (difference) =>
      ['the padding is longer than its frame', 'a padded frame is empty'].some((reason) =>
        onlyOurs(reason)(difference),
      ),
  },
  {
    name: 'PRIORITY on stream 0',
    section: '6.3',
    why: 'It must end the connection. node:http2 ignores PRIORITY.',
    example: session(priority(0)),
    allows: onlyOurs('a frame of a stream is on stream 0', (frames) =>
      has(frames, f.PRIORITY, ({ streamId }) => streamId === 0),
    ),
  },
  {
    name: 'an idle stream that depends on itself',
    section: '5.3.1 of RFC 7540',
    why: 'It is a stream error, which cannot be sent for an idle stream. node:http2 ignores PRIORITY.',
    example: session(dependsOn(1, 1)),
    allows: onlyOurs('a PRIORITY of an idle stream is invalid'),
  },
  {
    name: 'a stream that depends on itself',
    section: '5.3.1 of RFC 7540',
    why: 'It is a stream error. node:http2 ignores PRIORITY.',
    example: session(open(1), dependsOn(1, 1)),
    allows: (difference) =>
      onlyOn('ours', difference) &&
      has(
        difference.frames,
        f.PRIORITY,
        ({ streamId, payload }) =>
          streamId === difference.streamId && (payload.readUInt32BE(0) & MAX_31_BITS) === streamId,
      ),
  },
  {
    name: 'PRIORITY of a wrong length',
    section: '6.3',
    why: 'The section requires a stream error. node:http2 ends the connection, as section 5.4.1 allows.',
    example: session(open(1), http2Frame(f.PRIORITY, 0, 1, Buffer.alloc(4))),
    allows: (difference) =>
      streamErrorOfOurs('', f.PRIORITY, ({ payload }) => payload.length !== 5)(difference) &&
      difference.node.code === ERROR.FRAME_SIZE_ERROR,
  },
  {
    name: 'PRIORITY_UPDATE on a stream',
    section: '7.1 of RFC 9218',
    why: 'It must end the connection. node:http2 does not implement the extension.',
    example: session(http2Frame(PRIORITY_UPDATE, 0, 1, f.uint32(1))),
    allows: onlyOurs('a frame of the connection is on a stream', (frames) => has(frames, PRIORITY_UPDATE)),
  },
  {
    name: 'PRIORITY_UPDATE that is too short',
    section: '4.2',
    why: 'A frame that is too small for its data is a frame size error. node:http2 does not implement the extension.',
    example: session(http2Frame(PRIORITY_UPDATE, 0, 0, Buffer.alloc(3))),
    allows: onlyOurs('a PRIORITY_UPDATE is too short'),
  },
  {
    name: 'PRIORITY_UPDATE of stream 0',
    section: '7.1 of RFC 9218',
    why: 'It must end the connection. node:http2 does not implement the extension.',
    example: session(http2Frame(PRIORITY_UPDATE, 0, 0, f.uint32(0))),
    allows: onlyOurs('a PRIORITY_UPDATE names no stream'),
  },
  {
    name: 'an invalid setting that a later one replaces',
    section: '6.5.3',
    why: 'Settings take effect one after the other. node:http2 reads the last one of each kind.',
    example: session(f.settings([SETTING.MAX_FRAME_SIZE, 1], [SETTING.MAX_FRAME_SIZE, 16_384])),
    allows: (difference) =>
      ['the frame size is not allowed', 'a flag is neither 0 nor 1', 'the initial window is too large'].some((reason) =>
        onlyOurs(reason, (frames) => has(frames, f.SETTINGS, ({ payload }) => payload.length > 6))(difference),
      ),
  },
  {
    name: 'an invalid flag for extended CONNECT',
    section: '6.5.2',
    why: 'The engine does not implement the extension of RFC 8441, and unknown settings are ignored.',
    example: session(f.settings([8, 2])),
    allows: onlyNode('SETTINGS: invalid SETTINGS_ENABLE_CONNECT_PROTOCOL'),
  },
  {
    name: 'an acknowledgement of no SETTINGS',
    section: '6.5.3',
    why: 'No section makes it an error. node:http2 ends the connection, as section 5.4.1 allows.',
    example: session(http2Frame(f.SETTINGS, f.ACK, 0), http2Frame(f.SETTINGS, f.ACK, 0)),
    allows: onlyNode('SETTINGS: unexpected ACK'),
  },
  {
    name: 'an acknowledgement of no PING',
    section: '6.7',
    why: 'No section makes it an error. node:http2 ends the connection, as section 5.4.1 allows.',
    example: session(ping('12345678', f.ACK)),
    allows: (difference) =>
      onlyNode('', (frames) => has(frames, f.PING, ({ flags }) => (flags & f.ACK) !== 0))(difference) &&
      difference.node.code === ERROR.INTERNAL_ERROR,
  },
  {
    name: 'GOAWAY of a stream that the server has not opened',
    section: '6.8',
    why: 'No section makes it an error. node:http2 ends the connection, as section 5.4.1 allows.',
    example: session(http2Frame(f.GOAWAY, 0, 0, f.uint32(1, 0))),
    allows: onlyNode('GOAWAY: invalid last_stream_id'),
  },
  {
    name: 'GOAWAY of a client that reports an error',
    section: '6.8',
    why: 'Streams may be served to their end. node:http2 closes the connection.',
    example: session(open(1), http2Frame(f.GOAWAY, 0, 0, f.uint32(0, ERROR.PROTOCOL_ERROR))),
    allows: ({ frames, node, ours, streamId }) =>
      streamId === null &&
      node.connection === 'ended' &&
      ours.connection === 'open' &&
      has(frames, f.GOAWAY, ({ payload }) => payload.readUInt32BE(4) !== 0),
  },
  {
    name: 'WINDOW_UPDATE of a stream by 0',
    section: '6.9',
    why: 'The section requires a stream error. node:http2 ends the connection, as section 5.4.1 allows.',
    example: session(open(1), windowUpdate(1, 0)),
    allows: streamErrorOfOurs('WINDOW_UPDATE: window_size_increment == 0', f.WINDOW_UPDATE, incrementIs(0)),
  },
  {
    name: 'WINDOW_UPDATE that makes the window of a stream too large',
    section: '6.9.1',
    why: 'The section requires a stream error. node:http2 ends the connection, as section 5.4.1 allows.',
    example: session(open(1), windowUpdate(1, MAX_31_BITS)),
    allows: streamErrorOfOurs('WINDOW_UPDATE: window size overflow', f.WINDOW_UPDATE),
  },
  {
    name: 'a change of SETTINGS_NO_RFC7540_PRIORITIES',
    section: '2.1 of RFC 9218',
    why: 'A server may report it as an error, and need not. The engine has no priorities.',
    example: session(f.settings([SETTING.NO_RFC7540_PRIORITIES, 1])),
    allows: onlyNode('SETTINGS: SETTINGS_NO_RFC7540_PRIORITIES cannot be changed'),
  },
];
