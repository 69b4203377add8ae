// Watch for its clients: a snapshot, then every event in order, from any server and from any cursor.
import http2 from 'node:http2';
import { setTimeout as sleep } from 'node:timers/promises';
import { create, toBinary } from '@bufbuild/protobuf';
import { timestampDate } from '@bufbuild/protobuf/wkt';
import { Code, type ConnectError, createClient, type Transport } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import {
  VerifierService,
  WatchRequestSchema,
  type WatchResponse,
} from '../../gen/latchkey/auth/v1/verifier_service_pb.ts';
import { startApp } from '../../src/app.ts';
import { reasonOf } from '../../src/client/reason-of.ts';
import { readConfig } from '../../src/config/config.ts';
import { createLogger } from '../../src/process/log.ts';
import { formatCursor, parseCursor } from '../../src/revocation-feed/cursor.ts';
import type { FeedStep } from '../../src/revocation-feed/revocation-feed.ts';
import { createWatchers } from '../../src/revocation-feed/watchers.ts';
import { openDatabase } from '../../src/store/postgres/database.ts';
import { createRevocationEvents, isSnapshot } from '../../src/store/revocation-events.ts';
import { SERVICE_KEY, startTestApp, testApp } from '../support/app.ts';
import { auth } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { signedIn } from '../support/people.ts';
import { envelope } from '../support/raw.ts';

const app = await testApp();
const { call } = app;
/** Watches from the first test to the last. */
let early: Watching & { since: number };
beforeAll(async () => {
  early = { ...follow(app.url), since: performance.now() };
});
afterAll(async () => {
  early.stop();
});

type Watching = {
  /** `ended <session>`, `changed <user>` or `keys <kids>`, in the order of arrival. */
  received: string[];
  messages: WatchResponse[];
  cursor(): string;
  isComplete(): boolean;
  /** `done`, or the code of the error that ended it. */
  ended: Promise<string>;
  stop(): void;
};

/** Watches until the end of the test. */
function watch(url: string, cursor = '', bearer = SERVICE_KEY, transport?: Transport, version = 1): Watching {
  const watching = follow(url, cursor, bearer, transport, version);
  onTestFinished(() => watching.stop());
  return watching;
}

function follow(url: string, cursor = '', bearer = SERVICE_KEY, transport?: Transport, version = 1): Watching {
  const client = createClient(VerifierService, transport ?? createGrpcTransport({ baseUrl: url }));
  const abort = new AbortController();
  const messages: WatchResponse[] = [];
  const received: string[] = [];
  const ended = (async () => {
    try {
      const headers = { authorization: `Bearer ${bearer}` };
      for await (const message of client.watch({ cursor, version }, { signal: abort.signal, headers })) {
        messages.push(message);
        for (const { change } of message.changes) {
          if (change.case === 'sessionEnded') received.push(`ended ${change.value.sessionId}`);
          if (change.case === 'userChanged') received.push(`changed ${change.value.userId}`);
          if (change.case === undefined) received.push('unknown');
          if (change.case === 'keysChanged') received.push(`keys ${change.value.keys.map(({ kid }) => kid)}`);
        }
      }
      return 'done';
    } catch (error) {
      return endOf(error as ConnectError);
    }
  })();
  const last = () => messages.findLast((message) => message.cursor !== '');
  return {
    received,
    messages,
    cursor: () => last()?.cursor ?? '',
    isComplete: () => last() !== undefined,
    ended,
    stop: () => abort.abort(),
  };
}

/** A reason says more than a code, where two reasons share one. */
function endOf(error: ConnectError): string {
  return error.code === Code.FailedPrecondition ? (reasonOf(error) ?? '') : (Code[error.code] as string);
}

async function signedOut(): Promise<{ sessionId: string; userId: string; accessToken: string }> {
  const person = await signedIn(call);
  const { principal } = (await call(auth.verify, { accessToken: person.accessToken })).body;
  await call(auth.logout, { refreshToken: person.refreshToken });
  return { ...person, sessionId: principal.sessionId };
}

const transports: [string, () => Transport][] = [
  ['gRPC', () => createGrpcTransport({ baseUrl: app.url })],
  ['gRPC-Web, HTTP/1.1', () => createGrpcWebTransport({ baseUrl: app.url, httpVersion: '1.1' })],
  ['Connect, HTTP/2', () => createConnectTransport({ baseUrl: app.url, httpVersion: '2' })],
  [
    'Connect, JSON, HTTP/1.1',
    () => createConnectTransport({ baseUrl: app.url, httpVersion: '1.1', useBinaryFormat: false }),
  ],
];

test.each(transports)('sends the keys, past events and new events, over %s', async (_, transport) => {
  const before = await signedOut();
  const watching = watch(app.url, '', SERVICE_KEY, transport());
  await eventually(watching.isComplete);
  expect(watching.received[0]).toMatch(/^keys \S+/);
  expect(watching.received).toContain(`ended ${before.sessionId}`);
  const [first, second] = [await signedOut(), await signedOut()];
  await app.owner.query('UPDATE users SET disabled_at = now() WHERE id = $1', [first.userId]);
  await eventually(() => watching.received.includes(`changed ${first.userId}`));
  expect(watching.received.slice(-3)).toEqual([
    `ended ${first.sessionId}`,
    `ended ${second.sessionId}`,
    `changed ${first.userId}`,
  ]);
});

test('grpc-js can read it', async () => {
  const client = new grpc.Client(new URL(app.url).host, grpc.credentials.createInsecure());
  const metadata = new grpc.Metadata();
  metadata.set('authorization', `Bearer ${SERVICE_KEY}`);
  const stream = client.makeServerStreamRequest(
    '/latchkey.auth.v1.VerifierService/Watch',
    (request: object) => Buffer.from(toBinary(WatchRequestSchema, create(WatchRequestSchema, request))),
    (bytes) => bytes,
    { version: 1 },
    metadata,
  );
  let messages = 0;
  stream.on('data', () => {
    messages += 1;
  });
  stream.on('error', () => {});
  await eventually(() => messages >= 3);
  stream.cancel();
  client.close();
});

test('sends its position at least once a second', async () => {
  const watching = watch(app.url);
  await eventually(watching.isComplete);
  const seen = watching.messages.length;
  await sleep(3_300);
  const beats = watching.messages.slice(seen);
  expect(beats.length).toBeGreaterThanOrEqual(3);
  const times = beats.map(({ asOf }) => (asOf ? timestampDate(asOf).getTime() : 0));
  expect(times).toEqual(times.toSorted((a, b) => a - b));
  expect(Date.now() - (times.at(-1) ?? 0)).toBeLessThan(2_500);
});

describe('a cursor', () => {
  test('resumes at another server, and misses no event of the time between', async () => {
    const other = await startApp(readConfig(app.environment), { api: true, worker: false }, createLogger('silent'));
    onTestFinished(() => other.close());
    const watching = watch(app.url);
    await eventually(watching.isComplete);
    const seen = await signedOut();
    await eventually(() => watching.received.includes(`ended ${seen.sessionId}`));
    const at = watching.messages.length;
    await eventually(() => watching.messages.slice(at).some(({ cursor }) => cursor !== ''));
    watching.stop();
    const cursor = watching.cursor();
    const missed = await signedOut();
    const resumed = watch(`http://127.0.0.1:${other.port}`, cursor);
    await eventually(resumed.isComplete);
    // An event may arrive twice: when the watcher catches up, and from the feed.
    expect([...new Set(resumed.received)]).toEqual([`ended ${missed.sessionId}`]);
    const later = await signedOut();
    await eventually(() => resumed.received.includes(`ended ${later.sessionId}`));
  });

  test.each([
    ['of no deployment', 'x'],
    ['that is long', 'x'.repeat(60_000)],
    ['of many bytes a character', 'ü'.repeat(30)],
  ])('%s is rejected', async (_, cursor) => {
    expect(await watch(app.url, cursor).ended).toBe('InvalidArgument');
  });

  test('with a snapshot that Postgres would reject is rejected', async () => {
    const text = (snapshot: string) => Buffer.from(`1700000000000 ${snapshot}`).toString('base64url');
    const bad = [
      '',
      'x',
      'x 1:1',
      'x 0:1:',
      'x 5:4:',
      'x 5:9:4',
      'x 5:9:9',
      'x 5:9:7,6',
      'x 5:9:6,',
      "x 5:9:6'",
      'x 5:9: y',
      ' 5:9:',
    ];
    for (const snapshot of bad) expect(await watch(app.url, text(snapshot)).ended, snapshot).toBe('InvalidArgument');
  });

  test('can contain any snapshot that Postgres accepts', async () => {
    const { rows } = await app.owner.query('SELECT pg_current_snapshot()::text AS seen');
    for (const seen of ['1:1:', '5:9:', '5:9:5,6,6,8', rows[0].seen]) {
      expect(isSnapshot(`x ${seen}`), seen).toBe(true);
      await app.owner.query('SELECT $1::pg_snapshot', [seen]);
    }
  });
});

test('a cursor of another history of the server is out of range', async () => {
  const watching = watch(app.url);
  await eventually(watching.isComplete);
  const { snapshot, asOf } = parseCursor(watching.cursor());
  const [history = '', seen = ''] = snapshot.split(' ');
  const [system, timeline, ...rest] = history.split('/');
  expect(timeline).toMatch(/^[0-9A-F]{8}$/);
  const promoted = [system, '000000FF', ...rest].join('/');
  expect(await watch(app.url, formatCursor({ snapshot: `${promoted} ${seen}`, asOf })).ended).toBe('OutOfRange');
});

test('a cursor that is too old is out of range', async () => {
  const old = await startTestApp();
  onTestFinished(() => old.close());
  const watching = watch(old.url);
  await eventually(watching.isComplete);
  watching.stop();
  old.advance(3601_000);
  expect(await watch(old.url, watching.cursor()).ended).toBe('OutOfRange');
});

test('a client that states no version is too old, with and without a cursor', async () => {
  const watching = watch(app.url);
  await eventually(watching.isComplete);
  for (const cursor of ['', watching.cursor()]) {
    expect(await watch(app.url, cursor, SERVICE_KEY, undefined, 0).ended).toBe('CLIENT_TOO_OLD');
  }
});

test('a client of a later version receives the events that exist', async () => {
  const watching = watch(app.url, '', SERVICE_KEY, undefined, 2 ** 32 - 1);
  await eventually(watching.isComplete);
  expect(watching.received[0]).toMatch(/^keys \S+/);
});

test('an event of a kind that only a newer release has reaches watchers, and the server checks tokens in Postgres', async () => {
  const mixed = await startTestApp();
  onTestFinished(() => mixed.close());
  const [early, person] = [watch(mixed.url), await signedIn(mixed.call)];
  await eventually(early.isComplete);
  const seen = early.messages.length;
  await mixed.owner.query('ALTER TABLE changes DROP CONSTRAINT changes_kind');
  await mixed.owner.query("INSERT INTO changes (kind) VALUES ('tenant_suspended')");
  await eventually(() => early.received.includes('unknown'));
  expect(early.messages.slice(seen).filter(({ changes }) => changes.length > 0)).toMatchObject([{ changes: [{}] }]);
  const late = watch(mixed.url);
  await eventually(() => late.isComplete() && late.received.includes('unknown'));
  expect(mixed.logs.some((line) => line.includes('a newer release'))).toBe(true);
  // Memory alone cannot decide: the answer of Verify comes from Postgres, and follows a change of which there is no event.
  expect((await mixed.call(auth.verify, { accessToken: person.accessToken })).code).toBe('ok');
  await mixed.owner.query('DELETE FROM sessions WHERE user_id = $1', [person.userId]);
  await mixed.owner.query("DELETE FROM changes WHERE kind = 'session_ended'");
  expect((await mixed.call(auth.verify, { accessToken: person.accessToken })).reason).toBe('TOKEN_REVOKED');
});

test('only services and administrators can watch', async () => {
  const person = await signedIn(call);
  expect(await watch(app.url, '', person.accessToken).ended).toBe('PermissionDenied');
  expect(await watch(app.url, '', 'x').ended).toBe('Unauthenticated');
});

test('the stream of an administrator ends with the session', async () => {
  const person = await signedIn(call);
  await app.owner.query("INSERT INTO user_roles VALUES ($1, 'admin', now())", [person.userId]);
  const { tokens } = (await call(auth.refresh, { refreshToken: person.refreshToken })).body;
  const watching = watch(app.url, '', tokens.accessToken);
  await eventually(watching.isComplete);
  await call(auth.logout, { refreshToken: tokens.refreshToken });
  expect(await watching.ended).toBe('Unauthenticated');
});

test('a server that stops ends it without an error, at once', async () => {
  const other = await startTestApp();
  const watching = watch(other.url);
  await eventually(watching.isComplete);
  const stoppedAt = performance.now();
  await Promise.all([other.close(), watching.ended]);
  expect(await watching.ended).toBe('done');
  expect(performance.now() - stoppedAt).toBeLessThan(3_000);
});

test('a watcher that does not read is disconnected, and others receive everything', async () => {
  const session = http2.connect(app.url, { settings: { initialWindowSize: 0 } });
  session.on('error', () => {});
  onTestFinished(() => session.destroy());
  const stream = session.request({
    ':method': 'POST',
    ':path': '/latchkey.auth.v1.VerifierService/Watch',
    'content-type': 'application/grpc',
    authorization: `Bearer ${SERVICE_KEY}`,
  });
  stream.on('error', () => {});
  stream.end(envelope(toBinary(WatchRequestSchema, create(WatchRequestSchema, { version: 1 }))));
  const reader = watch(app.url);
  await eventually(reader.isComplete);
  await new Promise((resolve) => stream.once('close', resolve));
  const person = await signedOut();
  await eventually(() => reader.received.includes(`ended ${person.sessionId}`));
}, 40_000);

test('the buffer of a slow watcher is bounded', async () => {
  const listeners = new Set<(step: FeedStep) => void>();
  const position: FeedStep = { events: [], isComplete: false, snapshot: '1:1:', asOf: new Date() };
  const watchers = createWatchers({
    revocationEvents: { page: async () => ({ events: [], next: null }) },
    feed: {
      position: () => position,
      subscribe(onStep) {
        listeners.add(onStep);
        return () => listeners.delete(onStep);
      },
    },
    now: () => new Date(),
  });
  const iterator = watchers.watch(null, new AbortController().signal)[Symbol.asyncIterator]();
  await iterator.next();
  for (let n = 0; n < 10_002; n += 1) {
    for (const tell of listeners) tell({ ...position, events: [{ kind: 'session_ended', sessionId: String(n) }] });
  }
  await iterator.next();
  await expect(iterator.next()).rejects.toMatchObject({ reason: 'WATCHER_TOO_SLOW' });
  expect(listeners.size).toBe(0);
});

test('a large step does not make a watcher too slow', async () => {
  const all = Array.from({ length: 10_001 }, (_, n) => ({ kind: 'session_ended' as const, sessionId: String(n) }));
  const position: FeedStep = { events: [], isComplete: false, snapshot: 'x 1:1:', asOf: new Date() };
  let tell: (step: FeedStep) => void = () => {};
  const watchers = createWatchers({
    revocationEvents: { page: async () => ({ events: [], next: null }) },
    feed: {
      position: () => position,
      subscribe(onStep) {
        tell = onStep;
        return () => {};
      },
    },
    now: () => new Date(),
  });
  const abort = new AbortController();
  let count = 0;
  const reading = (async () => {
    for await (const { events } of watchers.watch(null, abort.signal)) {
      count += events.length;
      if (count > all.length) abort.abort();
    }
  })();
  await sleep(50);
  tell({ ...position, events: all });
  await reading;
  expect(count).toBe(1 + all.length);
});

test('a stalled watcher holds at most one page', async () => {
  const busy = await startTestApp();
  onTestFinished(() => busy.close());
  await busy.owner.query(
    "INSERT INTO changes (kind, session_id) SELECT 'session_ended', gen_random_uuid() FROM generate_series(1, 5000)",
  );
  const pages: number[] = [];
  const position: FeedStep = { events: [], isComplete: false, snapshot: 'x 1:1:', asOf: new Date() };
  const db = openDatabase(
    { url: busy.environment.DATABASE_URL as string, poolSize: 1, statementTimeoutMs: 5_000 },
    () => {},
  );
  onTestFinished(() => db.destroy());
  const revocationEvents = createRevocationEvents(db);
  const watchers = createWatchers({
    revocationEvents: {
      async page(...where) {
        const page = await revocationEvents.page(...where);
        pages.push(page?.events.length ?? 0);
        return page;
      },
    },
    feed: { position: () => position, subscribe: () => () => {} },
    now: () => new Date(),
  });
  const received = new Set<string>();
  for await (const { events: some, position: complete } of watchers.watch(null, new AbortController().signal)) {
    for (const event of some) if ('sessionId' in event) received.add(event.sessionId);
    // Nothing more is read than is taken.
    expect(pages.reduce((sum, count) => sum + count, 0) - received.size).toBeLessThanOrEqual(2_000);
    if (complete) break;
  }
  expect(received.size).toBe(5_000);
  expect(pages.length).toBeGreaterThan(1);
});

test('outlives the time limit of calls', async () => {
  await sleep(Math.max(0, 22_000 - (performance.now() - early.since)));
  const person = await signedOut();
  await eventually(() => early.received.includes(`ended ${person.sessionId}`));
}, 40_000);
