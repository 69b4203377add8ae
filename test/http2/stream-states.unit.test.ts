import { describe, expect, test } from 'vitest';
import { ERROR } from '../../src/http2/protocol.ts';
import * as f from '../support/frames.ts';
import { http2Frame } from '../support/raw.ts';
import { data, end, open, PONG, ping, priority, reset, WHOLE, whole, windowUpdate } from './client-frames.ts';
import { type Client, Engine, hold } from './engine.ts';

const FRAMES = {
  DATA: (id: number) => data(id, 'abc'),
  'DATA END': (id: number) => end(id, 'abc'),
  HEADERS: (id: number) => open(id),
  'HEADERS END': (id: number) => whole(id),
  trailers: (id: number) => f.headers(id, [['a', 'b']], WHOLE),
  PRIORITY: priority,
  RST_STREAM: reset,
  WINDOW_UPDATE: (id: number) => windowUpdate(id, 1),
  CONTINUATION: (id: number) => http2Frame(f.CONTINUATION, f.END_HEADERS, id, f.fields(['a', 'b'])),
  PUSH_PROMISE: (id: number) => http2Frame(f.PUSH_PROMISE, f.END_HEADERS, id, f.uint32(2)),
  'a frame of an unknown type': (id: number) => http2Frame(0x42, 0xff, id, Buffer.from('abc')),
};
type FrameName = keyof typeof FRAMES;

type State = {
  section: string;
  /** Brings a stream into the state. @returns its id */
  enter(client: Client, engine: Engine): Promise<number>;
  /** The answer to each frame: frames of the stream, an error of the connection, or events of the request. */
  answers: Record<FrameName, string>;
};
const PROTOCOL = 'GOAWAY PROTOCOL_ERROR';
/** They are errors in every state. */
const ALWAYS = { CONTINUATION: PROTOCOL, PUSH_PROMISE: PROTOCOL, 'a frame of an unknown type': '', PRIORITY: '' };
const IGNORED = {
  DATA: '',
  'DATA END': '',
  HEADERS: '',
  'HEADERS END': '',
  trailers: '',
  RST_STREAM: '',
  WINDOW_UPDATE: '',
};

const STATES: Record<string, State> = {
  idle: {
    section: '5.1',
    enter: async () => 5,
    answers: {
      ...ALWAYS,
      DATA: PROTOCOL,
      'DATA END': PROTOCOL,
      HEADERS: 'new request',
      'HEADERS END': 'new request, end',
      trailers: 'RST_STREAM PROTOCOL_ERROR',
      RST_STREAM: PROTOCOL,
      WINDOW_UPDATE: PROTOCOL,
    },
  },
  'idle, with an even id that only the server can open': {
    section: '5.1.1',
    enter: async (client) => {
      await client.send(open(1), open(3));
      return 2;
    },
    answers: {
      ...ALWAYS,
      DATA: PROTOCOL,
      'DATA END': PROTOCOL,
      HEADERS: PROTOCOL,
      'HEADERS END': PROTOCOL,
      trailers: PROTOCOL,
      RST_STREAM: PROTOCOL,
      WINDOW_UPDATE: PROTOCOL,
    },
  },
  open: {
    section: '5.1',
    enter: async (client) => {
      await client.send(open(5));
      return 5;
    },
    answers: {
      ...ALWAYS,
      DATA: 'data 3',
      'DATA END': 'data 3, end',
      // Trailers end a request, and have no pseudo-headers (section 8.1).
      HEADERS: 'RST_STREAM PROTOCOL_ERROR, close',
      'HEADERS END': 'RST_STREAM PROTOCOL_ERROR, close',
      trailers: 'end',
      RST_STREAM: 'close',
      WINDOW_UPDATE: '',
    },
  },
  'half-closed (remote)': {
    section: '5.1',
    enter: async (client) => {
      await client.send(whole(5));
      return 5;
    },
    answers: {
      ...ALWAYS,
      DATA: 'RST_STREAM STREAM_CLOSED, close',
      'DATA END': 'RST_STREAM STREAM_CLOSED, close',
      HEADERS: 'RST_STREAM STREAM_CLOSED, close',
      'HEADERS END': 'RST_STREAM STREAM_CLOSED, close',
      trailers: 'RST_STREAM STREAM_CLOSED, close',
      RST_STREAM: 'close',
      WINDOW_UPDATE: '',
    },
  },
  'half-closed (local)': {
    section: '5.1',
    enter: async (client, engine) => {
      await client.send(open(5));
      engine.last.answer();
      await client.settle();
      return 5;
    },
    answers: {
      ...ALWAYS,
      DATA: '',
      'DATA END': 'close',
      HEADERS: 'RST_STREAM PROTOCOL_ERROR, close',
      'HEADERS END': 'RST_STREAM PROTOCOL_ERROR, close',
      trailers: 'close',
      RST_STREAM: 'close',
      WINDOW_UPDATE: '',
    },
  },
  'closed by the end of both sides': {
    section: '5.1',
    enter: async (client, engine) => {
      await client.send(whole(5));
      engine.last.answer();
      await client.settle();
      return 5;
    },
    answers: {
      ...ALWAYS,
      DATA: 'RST_STREAM STREAM_CLOSED',
      'DATA END': 'RST_STREAM STREAM_CLOSED',
      HEADERS: 'GOAWAY STREAM_CLOSED',
      'HEADERS END': 'GOAWAY STREAM_CLOSED',
      trailers: 'GOAWAY STREAM_CLOSED',
      RST_STREAM: '',
      WINDOW_UPDATE: '',
    },
  },
  'closed by a reset of the client': {
    section: '5.1',
    enter: async (client) => {
      await client.send(open(5), reset(5));
      return 5;
    },
    answers: {
      ...ALWAYS,
      DATA: 'RST_STREAM STREAM_CLOSED',
      'DATA END': 'RST_STREAM STREAM_CLOSED',
      HEADERS: 'GOAWAY STREAM_CLOSED',
      'HEADERS END': 'GOAWAY STREAM_CLOSED',
      trailers: 'GOAWAY STREAM_CLOSED',
      RST_STREAM: '',
      WINDOW_UPDATE: '',
    },
  },
  'closed by a reset of the server, which the client may not have received': {
    section: '5.1',
    enter: async (client, engine) => {
      await client.send(open(5));
      engine.last.stream.reset(ERROR.CANCEL);
      await client.settle();
      return 5;
    },
    answers: { ...ALWAYS, ...IGNORED },
  },
  'closed because the client has skipped its id': {
    section: '5.1.1',
    enter: async (client) => {
      await client.send(open(5));
      return 3;
    },
    answers: {
      ...ALWAYS,
      DATA: 'RST_STREAM STREAM_CLOSED',
      'DATA END': 'RST_STREAM STREAM_CLOSED',
      HEADERS: PROTOCOL,
      'HEADERS END': PROTOCOL,
      trailers: PROTOCOL,
      RST_STREAM: '',
      WINDOW_UPDATE: '',
    },
  },
  'opened after the last GOAWAY': {
    section: '6.8',
    enter: async (client, engine) => {
      await client.send(open(5));
      engine.server.drain();
      await client.send(ping('draining', f.ACK));
      return 9;
    },
    answers: { ...ALWAYS, ...IGNORED },
  },
};

describe('each frame in each state of a stream (RFC 9113 section 5.1)', () => {
  const cases = Object.entries(STATES).flatMap(([state, { section, enter, answers }]) =>
    Object.entries(answers).map(
      ([name, answer]) => [section, state, name as FrameName, answer === '' ? 'ignored' : answer, enter] as const,
    ),
  );
  test.each(cases)('section %s, %s: %s is %s', async (_, __, name, answer, enter) => {
    const engine = new Engine({ onRequest: hold });
    const client = await engine.connect();
    const id = await enter(client, engine);
    client.words();
    const { exchanges } = engine;
    const [before, events] = [exchanges.length, exchanges.flatMap((each) => each.events).length];
    const words = await client.exchange(FRAMES[name](id), ping());
    const isEnded = words.at(-1)?.startsWith('GOAWAY') ?? false;
    const happened = [
      ...words.filter((word) => word !== PONG).map((word) => word.replace(/ \d+/, '')),
      ...(exchanges.length > before ? ['new request'] : []),
      ...exchanges.flatMap((each) => each.events).slice(isEnded ? Number.POSITIVE_INFINITY : events),
    ];
    expect(happened.join(', ') || 'ignored').toBe(answer);
    // After any other answer, the connection serves further frames.
    if (!isEnded) expect(words.at(-1)).toBe(PONG);
    expect(engine.defects).toEqual([]);
    client.socket.destroy();
  });
});
