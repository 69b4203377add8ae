// A client library with the URLs of two `serve` processes, while the one that it follows fails: a token revoked at the other is
// rejected within about a second, and valid tokens are never unavailable. Prints how long each revoked token was accepted.
import { type AddressInfo, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createConnectTransport } from '@connectrpc/connect-node';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { createLatchkey, type Latchkey } from '../../src/client/client.ts';
import type { Environment } from '../../src/config/config.ts';
import type { Mailbox } from '../../src/dev/mailbox.ts';
import { openTestMailbox, SERVICE_KEY, testEnvironment } from '../support/app.ts';
import { layCable, through } from '../support/cable.ts';
import { auth, type Caller, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { signedIn } from '../support/people.ts';
import { type RunningProcess, serve } from '../support/processes.ts';

type Serving = RunningProcess & { url: string };

let mailbox: Mailbox;
let environment: Environment;
let survivor: Serving;
let call: Caller;
beforeAll(async () => {
  mailbox = await openTestMailbox();
  environment = await testEnvironment(mailbox, { SHUTDOWN_GRACE_SECONDS: '5' });
  survivor = await serve(environment);
  call = viaFetch(survivor.url);
});
afterAll(async () => {
  survivor.child.kill('SIGKILL');
  await mailbox.close();
});

async function servedByAnother(): Promise<Serving> {
  const server = await serve(environment);
  onTestFinished(() => void server.child.kill('SIGKILL'));
  return server;
}

async function follow(url: string[], onError?: (error: unknown) => void): Promise<Latchkey> {
  const latchkey = createLatchkey({ url, serviceKey: SERVICE_KEY, ...(onError && { onError }) });
  onTestFinished(() => latchkey.close());
  await latchkey.ready();
  return latchkey;
}

const verdict = (latchkey: Latchkey, token: string) =>
  latchkey.verify(token).then(
    () => 'valid',
    (error) => error.reason as string,
  );

/** Revokes a token at the surviving server at once. Returns for how long it was accepted, and each verdict on a valid token meanwhile. */
async function revokedDuring(latchkey: Latchkey, fault: () => void, watchMs = 4_000) {
  const [leaving, staying] = [await signedIn(call), await signedIn(call)];
  for (const { accessToken } of [leaving, staying]) expect(await verdict(latchkey, accessToken)).toBe('valid');
  await sleep(1_000 * Math.random());
  fault();
  expect((await call(auth.logout, { refreshToken: leaving.refreshToken })).code).toBe('ok');
  const revokedAt = performance.now();
  let acceptedMs = 0;
  const meanwhile = new Set<string>();
  while (performance.now() - revokedAt < watchMs) {
    const askedAt = performance.now();
    if ((await verdict(latchkey, leaving.accessToken)) === 'valid') acceptedMs = askedAt - revokedAt;
    meanwhile.add(await verdict(latchkey, staying.accessToken));
    await sleep(5);
  }
  return { acceptedMs, meanwhile: [...meanwhile] };
}

function report(fault: string, acceptedMs: number): void {
  console.log(`${fault}: a revoked token was accepted for ${acceptedMs.toFixed(0)} ms`);
}

describe('a token that is revoked while the followed server fails', () => {
  test.each(['SIGKILL', 'SIGTERM', 'SIGSTOP'] as const)('is rejected soon after %s', async (signal) => {
    const first = await servedByAnother();
    const latchkey = await follow([first.url, survivor.url]);
    const { acceptedMs, meanwhile } = await revokedDuring(latchkey, () => first.child.kill(signal));
    report(signal, acceptedMs);
    expect(acceptedMs).toBeLessThan(3_500);
    expect(meanwhile).toEqual(['valid']);
    // It follows the other server, as before.
    await eventually(() => latchkey.stalenessMs() < 2_000);
  });

  test('is rejected soon after its connection carries nothing', async () => {
    const first = await servedByAnother();
    const cable = await layCable(Number(new URL(first.url).port));
    onTestFinished(() => cable.close());
    const latchkey = await follow([through(first.url, cable.port), survivor.url]);
    const { acceptedMs, meanwhile } = await revokedDuring(latchkey, () => cable.swallowAll());
    report('a swallowed connection', acceptedMs);
    expect(acceptedMs).toBeLessThan(3_500);
    expect(meanwhile).toEqual(['valid']);
  });

  test('is rejected soon, and calls are unavailable, when the client has no other server', async () => {
    const first = await servedByAnother();
    const latchkey = await follow([first.url]);
    const { acceptedMs, meanwhile } = await revokedDuring(latchkey, () => first.child.kill('SIGKILL'));
    report('SIGKILL of the only known server', acceptedMs);
    expect(acceptedMs).toBeLessThan(3_500);
    expect(meanwhile.at(-1)).toBe('DEPENDENCY_UNAVAILABLE');
  });
});

test('a swallowed connection to the only server is replaced within ten seconds, for the stream and for calls', async () => {
  const cable = await layCable(Number(new URL(survivor.url).port));
  onTestFinished(() => cable.close());
  const errors: unknown[] = [];
  const latchkey = await follow([through(survivor.url, cable.port)], (error) => errors.push(error));
  const { accessToken } = await signedIn(call);
  expect(await verdict(latchkey, accessToken)).toBe('valid');
  cable.swallowAll();
  const since = performance.now();
  await eventually(() => latchkey.stalenessMs() > 1_500);
  await eventually(() => latchkey.stalenessMs() < 1_000, 10_000);
  console.log(`a swallowed connection was replaced within ${(performance.now() - since).toFixed(0)} ms`);
  expect(await verdict(latchkey, accessToken)).toBe('valid');
  expect(String(errors[0])).toContain('silent for too long');
});

test('a server that is unavailable at the start of the client does not prevent it from following another', async () => {
  const latchkey = await follow(['http://127.0.0.1:1', survivor.url]);
  const { accessToken } = await signedIn(call);
  expect(await verdict(latchkey, accessToken)).toBe('valid');
  expect(latchkey.stalenessMs()).toBeLessThan(5_000);
});

test('a server that accepts connections and never responds does not prevent it either', async () => {
  const silent = createServer(() => {});
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void silent.close());
  const latchkey = await follow([`https://127.0.0.1:${(silent.address() as AddressInfo).port}`, survivor.url]);
  const { accessToken } = await signedIn(call);
  expect(await verdict(latchkey, accessToken)).toBe('valid');
});

test('a transport of the caller is used for each server', async () => {
  const urls: string[] = [];
  const latchkey = createLatchkey({
    url: ['http://127.0.0.1:1', survivor.url],
    serviceKey: SERVICE_KEY,
    transport(baseUrl) {
      urls.push(baseUrl);
      return createConnectTransport({ baseUrl, httpVersion: '1.1' });
    },
  });
  onTestFinished(() => latchkey.close());
  await latchkey.ready();
  expect(urls).toEqual(['http://127.0.0.1:1', survivor.url]);
});

test('a client without the URL of a server is rejected', () => {
  expect(() => createLatchkey({ url: [] })).toThrow('at least one server');
});
