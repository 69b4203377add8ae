// The age of connections, their silence, and the replacement of the process behind them.
import http from 'node:http';
import http2 from 'node:http2';
import { setTimeout as sleep } from 'node:timers/promises';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Code, ConnectError, createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { AuthService, VerifyRequestSchema, VerifyResponseSchema } from '../../gen/latchkey/auth/v1/auth_service_pb.ts';
import type { Environment } from '../../src/config/config.ts';
import { freePort } from '../../src/dev/free-port.ts';
import type { Mailbox } from '../../src/dev/mailbox.ts';
import { openTestMailbox, startTestApp, type TestApp, testEnvironment } from '../support/app.ts';
import { auth, type Outcome, viaFetch, viaGrpcJs } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { newPerson, signedIn } from '../support/people.ts';
import { runMain } from '../support/processes.ts';
import { envelope, rawConnection, rawStream } from '../support/raw.ts';

const PREFACE = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]),
]);
const ANY_STREAM = 2 ** 31 - 1;

describe('the age of a connection', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp(
      {
        MAX_CONNECTION_AGE_SECONDS: '1',
        MAX_CONNECTION_AGE_GRACE_SECONDS: '2',
        KEEPALIVE_SECONDS: '1',
        KEEPALIVE_TIMEOUT_SECONDS: '10',
      },
      { api: true, worker: false },
    );
  });
  afterAll(() => app.close());

  test('over HTTP/2 ends in two steps; a stream may continue during the grace', async () => {
    const session = http2.connect(app.url);
    onTestFinished(() => session.destroy());
    session.on('error', () => {});
    const startedAt = performance.now();
    const goaways: number[] = [];
    session.on('goaway', (_, lastStream) => goaways.push(lastStream));
    const { stream, closed } = rawStream(session, '/grpc.health.v1.Health/Watch');
    stream.end(envelope(new Uint8Array()));
    await eventually(() => goaways.length === 2);
    expect(performance.now() - startedAt).toBeGreaterThan(850);
    expect(goaways).toEqual([ANY_STREAM, 1]);
    expect(stream.destroyed).toBe(false);
    await closed;
    expect(performance.now() - startedAt).toBeGreaterThan(2_800);
  });

  test('over HTTP/1.1 ends with a response', async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    onTestFinished(() => agent.destroy());
    const ask = (path: string, body: string) =>
      new Promise<string>((resolve, reject) => {
        const headers = { 'content-type': 'application/json', 'content-length': body.length };
        const request = http.request(app.url + path, { agent, method: 'POST', headers }, (response) => {
          response.resume().once('end', () => resolve(String(response.headers.connection)));
        });
        request.once('error', reject).end(body);
      });
    for (const path of ['/latchkey.auth.v1.AuthService/Verify', '/latchkey.auth.v1.AuthService/Login']) {
      expect(await ask(path, '{"accessToken":"x"}')).toBe('keep-alive');
      await sleep(1_200);
      expect(await ask(path, '{"accessToken":"x"}')).toBe('close');
    }
  });

  test('costs a busy client no call: gRPC retries rejected streams by itself', async () => {
    const { accessToken } = await signedIn(viaFetch(app.url));
    const call = viaGrpcJs(app.url);
    const until = performance.now() + 4_000;
    let calls = 0;
    const caller = async () => {
      for (; performance.now() < until; calls += 1) {
        expect(await call(auth.verify, { accessToken })).toMatchObject({ code: 'ok' });
      }
    };
    await Promise.all(Array.from({ length: 8 }, caller));
    expect(calls).toBeGreaterThan(100);
  });
});

test('a client that does not answer pings is disconnected; one that does can stay silent', async () => {
  const app = await startTestApp(
    { KEEPALIVE_SECONDS: '1', KEEPALIVE_TIMEOUT_SECONDS: '1' },
    { api: true, worker: false },
  );
  onTestFinished(() => app.close());
  const gone = rawConnection(app.port, PREFACE);
  const session = http2.connect(app.url);
  onTestFinished(() => session.destroy());
  expect(await gone.closed).toBeGreaterThan(1_500);
  await sleep(1_500);
  expect(session.destroyed).toBe(false);
});

describe('a rolling replacement of two processes', () => {
  let mailbox: Mailbox;
  let environment: Environment;
  beforeAll(async () => {
    mailbox = await openTestMailbox();
    environment = await testEnvironment(mailbox, {});
  });
  afterAll(() => mailbox.close());

  /** Starts `serve` on a port and waits until it is ready. */
  async function start(port: number) {
    const server = runMain(['serve'], { ...environment, PORT: String(port) });
    onTestFinished(() => void server.child.kill('SIGKILL'));
    await eventually(async () => {
      if (server.child.exitCode !== null) throw new Error(server.output());
      return (await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => null))?.ok;
    }, 20_000);
    return server;
  }

  test('loses no call of clients that retry UNAVAILABLE, as gRPC’s retry policy does', async () => {
    const ports = [await freePort(), await freePort()] as const;
    const running = [await start(ports[0]), await start(ports[1])];
    const urls = ports.map((port) => `http://127.0.0.1:${port}`);
    const person = await signedIn(viaFetch(urls[0] as string));
    const clients = {
      'grpc-js': viaGrpcJsRoundRobin(ports),
      Connect: viaConnect(urls),
      'HTTP/1.1': viaHttp1(urls),
    };
    const failures: string[] = [];
    const calls: Record<string, number> = {};
    let isOver = false;
    const callers = Object.entries(clients).flatMap(([name, verify]) =>
      Array.from({ length: 4 }, async () => {
        while (!isOver) {
          await verify(person.accessToken).catch((error: Error) => failures.push(`${name}: ${error.message}`));
          calls[name] = (calls[name] ?? 0) + 1;
        }
      }),
    );
    // Sign-ups wait for hashing and Postgres, so some are always in flight.
    const signUps = Array.from({ length: 2 }, async () => {
      while (!isOver) {
        const signUp = retrying((n) => registerAt(urls[n % 2] as string));
        await signUp.catch((error: Error) => failures.push(`Register: ${error.message}`));
      }
    });
    for (const [n, port] of ports.entries()) {
      await sleep(500);
      const stoppedAt = performance.now();
      running[n]?.child.kill('SIGTERM');
      expect(await running[n]?.ended).toBe(0);
      expect(performance.now() - stoppedAt).toBeLessThan(15_000);
      running[n] = await start(port);
    }
    await sleep(500);
    isOver = true;
    await Promise.all([...callers, ...signUps]);
    expect(failures).toEqual([]);
    for (const name of Object.keys(clients)) expect(calls[name], name).toBeGreaterThan(50);
  }, 90_000);
});

const ATTEMPTS = 5;
let turn = 0;

/** A failure that a client may retry. */
class Again extends Error {}

/** Retries at the other process when the first is unreachable or unavailable. */
async function retrying<T>(attempt: (n: number) => Promise<T>): Promise<T> {
  turn += 1;
  const start = turn;
  const errors: string[] = [];
  for (let n = 0; n < ATTEMPTS; n += 1) {
    try {
      return await attempt(start + n);
    } catch (error) {
      if (!(error instanceof Again)) throw error;
      errors.push(error.message);
      await sleep(20 * 2 ** n);
    }
  }
  throw new Error(errors.join(', then '));
}

async function registerAt(url: string): Promise<void> {
  const person = newPerson();
  const { code } = await reached(viaFetch(url)(auth.register, person));
  if (code !== 'ok') throw new Error(code);
}

/** The outcome of a call over HTTP/1.1, where a connection may end before its process has seen the request. */
async function reached(asked: Promise<Outcome>): Promise<Outcome> {
  const outcome = await asked.catch((error: Error) => {
    throw new Again(String(error.cause));
  });
  if (outcome.code === 'unavailable') throw new Again(outcome.code);
  return outcome;
}

function viaConnect(urls: string[]) {
  const clients = urls.map((baseUrl) =>
    createClient(AuthService, createConnectTransport({ baseUrl, httpVersion: '1.1' })),
  );
  return (accessToken: string) =>
    retrying(async (n) => {
      await clients[n % 2]?.verify({ accessToken }).catch((error: unknown) => {
        const failure = ConnectError.from(error);
        if (failure.code !== Code.Unavailable && failure.code !== Code.Aborted) throw failure;
        throw new Again(failure.message);
      });
    });
}

function viaHttp1(urls: string[]) {
  return (accessToken: string) =>
    retrying(async (n) => {
      const { code } = await reached(viaFetch(urls[n % 2] as string)(auth.verify, { accessToken }));
      if (code !== 'ok') throw new Error(code);
    });
}

function viaGrpcJsRoundRobin(ports: readonly number[]) {
  const addresses = ports.map((port) => `127.0.0.1:${port}`).join(',');
  const retryPolicy = {
    maxAttempts: ATTEMPTS,
    initialBackoff: '0.05s',
    maxBackoff: '1s',
    backoffMultiplier: 2,
    retryableStatusCodes: ['UNAVAILABLE'],
  };
  const client = new grpc.Client(`ipv4:${addresses}`, grpc.credentials.createInsecure(), {
    'grpc.max_reconnect_backoff_ms': 200,
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.service_config': JSON.stringify({
      loadBalancingConfig: [{ round_robin: {} }],
      methodConfig: [{ name: [{}], retryPolicy }],
    }),
  });
  onTestFinished(() => client.close());
  return (accessToken: string) =>
    new Promise<void>((resolve, reject) => {
      client.makeUnaryRequest(
        '/latchkey.auth.v1.AuthService/Verify',
        (request: Uint8Array) => Buffer.from(request),
        (bytes) => fromBinary(VerifyResponseSchema, bytes),
        toBinary(VerifyRequestSchema, create(VerifyRequestSchema, { accessToken })),
        (error, answer) => (answer ? resolve() : reject(error)),
      );
    });
}
