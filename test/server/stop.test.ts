import http2 from 'node:http2';
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { AuthService } from '../../gen/latchkey/auth/v1/auth_service_pb.ts';
import { VerifierService } from '../../gen/latchkey/auth/v1/verifier_service_pb.ts';
import type { Environment } from '../../src/config/config.ts';
import type { Mailbox } from '../../src/dev/mailbox.ts';
import { openTestMailbox, SERVICE_KEY, testEnvironment } from '../support/app.ts';
import { auth, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { newPerson, signedIn } from '../support/people.ts';
import { runMain, serve } from '../support/processes.ts';
import { envelope, rawConnection, rawStream, statusOf } from '../support/raw.ts';

vi.setConfig({ testTimeout: 90_000 });

let mailbox: Mailbox;
let environment: Environment;

beforeAll(async () => {
  mailbox = await openTestMailbox();
  environment = await testEnvironment(mailbox, { SHUTDOWN_GRACE_SECONDS: '10' });
});
afterAll(() => mailbox.close());

describe('a stop under load', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)('by %s lets calls in flight finish, and exits with 0', async (signal) => {
    const server = await serve({
      ...environment,
      ARGON2_MEMORY_KIB: '65536',
      HASH_CONCURRENCY: '2',
      HASH_QUEUE_WAIT_MS: '9000',
    });
    const person = await signedIn(viaFetch(server.url));
    const client = createClient(AuthService, createGrpcTransport({ baseUrl: server.url }));
    const idle = rawConnection(Number(new URL(server.url).port), 'GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n');
    await eventually(() => idle.received().includes('ok'));

    // Each waits for hashing, so all are in flight when the signal arrives.
    const slow = Array.from({ length: 4 }, () => viaFetch(server.url)(auth.register, newPerson()));
    const slowGrpc = Array.from({ length: 4 }, () => client.register(newPerson()));
    // The process does not finish connections that it has not accepted.
    await sleep(300);
    const stoppedAt = performance.now();
    server.child.kill(signal);
    const outcomes = await Promise.all(slow);
    await Promise.all(slowGrpc);
    expect(outcomes.every(({ code }) => code === 'ok')).toBe(true);
    expect(await server.ended).toBe(0);
    expect(performance.now() - stoppedAt).toBeLessThan(11_000);
    await idle.closed;
    await expect(fetch(`${server.url}/healthz`)).rejects.toThrow();
    expect(person.userId).toBeTruthy();
  });

  test('sends GOAWAY to HTTP/2 clients', async () => {
    const server = await serve(environment);
    const session = http2.connect(server.url);
    onTestFinished(() => session.destroy());
    const goaway = new Promise<number>((resolve) => session.once('goaway', resolve));
    await new Promise((resolve) => session.once('remoteSettings', resolve));
    server.child.kill('SIGTERM');
    expect(await goaway).toBe(http2.constants.NGHTTP2_NO_ERROR);
    expect(await server.ended).toBe(0);
  });

  test('does not wait for silent connections', async () => {
    const server = await serve(environment);
    const silent = rawConnection(Number(new URL(server.url).port));
    await sleep(200);
    const stoppedAt = performance.now();
    server.child.kill('SIGTERM');
    expect(await server.ended).toBe(0);
    await silent.closed;
    expect(performance.now() - stoppedAt).toBeLessThan(3_000);
  });

  test('does not wait for a client that has its response but does not end its request', async () => {
    const server = await serve(environment);
    const session = http2.connect(server.url);
    session.on('error', () => {});
    onTestFinished(() => session.destroy());
    const { stream } = rawStream(session, '/latchkey.auth.v1.AuthService/Verify');
    stream.write(envelope(Buffer.from([10, 1, 120])));
    await sleep(300);
    const stoppedAt = performance.now();
    server.child.kill('SIGTERM');
    expect(await server.ended).toBe(0);
    expect(performance.now() - stoppedAt).toBeLessThan(3_000);
  });

  test('disconnects remaining clients after the grace', async () => {
    const server = await serve({ ...environment, SHUTDOWN_GRACE_SECONDS: '1' });
    const head =
      'POST /latchkey.auth.v1.AuthService/Login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n';
    const holding = rawConnection(Number(new URL(server.url).port), head);
    await sleep(200);
    const stoppedAt = performance.now();
    server.child.kill('SIGTERM');
    expect(await server.ended).toBe(0);
    await holding.closed;
    expect(performance.now() - stoppedAt).toBeLessThan(4_000);
  });
});

describe('the delay of a stop', () => {
  const verify = (url: string) =>
    fetch(`${url}/latchkey.auth.v1.AuthService/Verify`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"accessToken":"x"}',
    });

  test('reports the stop at once, and continues to answer calls on old and new connections', async () => {
    const server = await serve({ ...environment, SHUTDOWN_DELAY_SECONDS: '8' });
    const session = http2.connect(server.url);
    session.on('error', () => {});
    onTestFinished(() => session.destroy());
    let goneAway = false;
    session.once('goaway', () => {
      goneAway = true;
    });
    const client = createClient(VerifierService, createGrpcTransport({ baseUrl: server.url }));
    let streamEndedAt = 0;
    const headers = { authorization: `Bearer ${SERVICE_KEY}` };
    const following = (async () => {
      for await (const _ of client.watch({ version: 1 }, { headers }));
    })()
      .catch(() => {})
      .finally(() => {
        streamEndedAt = performance.now();
      });
    await eventually(async () => (await verify(server.url)).status === 401);
    await sleep(300);

    const stoppedAt = performance.now();
    server.child.kill('SIGTERM');
    await eventually(async () => (await fetch(`${server.url}/readyz`)).status === 503);
    let answered = 0;
    while (performance.now() - stoppedAt < 2_500) {
      expect((await verify(server.url)).status).toBe(401);
      const { stream, closed } = rawStream(session, '/latchkey.auth.v1.AuthService/Verify');
      stream.end(envelope(Buffer.from([10, 1, 120])));
      expect(statusOf(await closed)).toBe('16');
      answered += 1;
      await sleep(50);
    }
    expect({ answered: answered > 1, goneAway, streamEndedAt }).toEqual({
      answered: true,
      goneAway: false,
      streamEndedAt: 0,
    });
    expect(await server.ended).toBe(0);
    await following;
    expect(streamEndedAt - stoppedAt).toBeGreaterThan(2_500);
  });

  test('ends at a second signal, and the process ends in order', async () => {
    const server = await serve({ ...environment, SHUTDOWN_DELAY_SECONDS: '300' });
    server.child.kill('SIGTERM');
    await eventually(() => server.output().includes('"msg":"stopping"'));
    // The same Ctrl-C can arrive several times.
    server.child.kill('SIGTERM');
    await sleep(1_500);
    expect(server.child.exitCode).toBe(null);
    server.child.kill('SIGTERM');
    expect(await server.ended).toBe(0);
    expect(server.output()).toContain('"msg":"stopped"');
  });

  test('precedes the grace, which another signal ends with exit code 1', async () => {
    const server = await serve({ ...environment, SHUTDOWN_DELAY_SECONDS: '1', SHUTDOWN_GRACE_SECONDS: '300' });
    const head =
      'POST /latchkey.auth.v1.AuthService/Login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n';
    rawConnection(Number(new URL(server.url).port), head);
    await sleep(200);
    server.child.kill('SIGTERM');
    await eventually(() =>
      fetch(`${server.url}/healthz`).then(
        () => false,
        () => true,
      ),
    );
    await sleep(1_000);
    server.child.kill('SIGTERM');
    expect(await server.ended).toBe(1);
  });

  test('does not apply to the worker', async () => {
    const worker = runMain(['worker'], { ...environment, SHUTDOWN_DELAY_SECONDS: '300' });
    await eventually(() => worker.output().includes('"msg":"started"'), 30_000);
    worker.child.kill('SIGTERM');
    expect(await worker.ended).toBe(0);
  });
});

test.each(['serve', 'worker'])('%s stops while Redis is unavailable', async (command) => {
  const running = runMain([command], { ...environment, REDIS_URL: 'redis://127.0.0.1:1', SHUTDOWN_GRACE_SECONDS: '1' });
  await eventually(() => running.output().includes('"msg":"started"'), 60_000);
  await sleep(500);
  running.child.kill('SIGTERM');
  const ended = await Promise.race([running.ended, sleep(20_000, 'still running')]);
  expect(ended).toBe(0);
});
