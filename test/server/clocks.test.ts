// The clock of a machine is wrong or jumps. Postgres's clock decides, so nothing changes for users.
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeJwt } from 'jose';
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { type App, startApp } from '../../src/app.ts';
import { type Environment, readConfig } from '../../src/config/config.ts';
import type { Mailbox } from '../../src/dev/mailbox.ts';
import type { ReceivedMail } from '../../src/dev/received-mail.ts';
import { createLogger } from '../../src/process/log.ts';
import { openTestMailbox, testEnvironment } from '../support/app.ts';
import { auth, type Caller, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { isAccepted, refreshed, signedIn } from '../support/people.ts';

const FIVE_MINUTES = 300_000;

let mailbox: Mailbox;
let environment: Environment;
beforeAll(async () => {
  mailbox = await openTestMailbox();
  environment = await testEnvironment(mailbox);
});
afterEach(() => void vi.useRealTimers());
afterAll(() => mailbox.close());

/** Changes the clock of this machine, but no other measure of time. */
function setClock(milliseconds: number): void {
  const now = performance.timeOrigin + performance.now() + milliseconds;
  vi.useFakeTimers({ toFake: ['Date'], now, shouldAdvanceTime: true });
}

async function start(): Promise<{ app: App; call: Caller; url: string; logs: string[] }> {
  const logs: string[] = [];
  const log = createLogger('info', { write: (line) => void logs.push(line) });
  const app = await startApp(readConfig(environment), { api: true, worker: true }, log);
  onTestFinished(() => app.close());
  const url = `http://127.0.0.1:${app.port}`;
  return { app, call: viaFetch(url), url, logs };
}

test.each([FIVE_MINUTES, -FIVE_MINUTES, 31 * 86_400_000])(
  'a process whose clock is off by %d ms issues tokens of the right time, and keeps the grace of a refresh',
  async (difference) => {
    const right = await start();
    const before = await signedIn(right.call);
    const first = await refreshed(right.call, before);
    setClock(difference);
    const wrong = await start();
    // The response was lost: both processes return the same successor again.
    expect((await refreshed(wrong.call, before)).refreshToken).toBe(first.refreshToken);
    const second = await refreshed(wrong.call, first);
    vi.useRealTimers();
    expect((await refreshed(right.call, first)).refreshToken).toBe(second.refreshToken);
    const issuedAt = Number(decodeJwt(second.accessToken).iat) * 1000;
    expect(Math.abs(issuedAt - Date.now())).toBeLessThan(5_000);
    expect([
      await isAccepted(right.call, second.accessToken),
      await isAccepted(wrong.call, second.accessToken),
    ]).toEqual([true, true]);
  },
  60_000,
);

test('a clock that jumps while the process runs ends no session and stops no mail', async () => {
  const { call } = await start();
  let person = await signedIn(call);
  for (const difference of [FIVE_MINUTES, -FIVE_MINUTES, 400 * 86_400_000]) {
    setClock(difference);
    person = await refreshed(call, person);
    expect(await isAccepted(call, person.accessToken)).toBe(true);
    await call(auth.requestReset, { email: person.email });
    const isReset = ({ to, subject }: ReceivedMail) => to === person.email && subject === 'Set a new password';
    const link = await eventually(() => mailbox.mails.findLast(isReset)?.link);
    const resetToken = link.split('#token=')[1] ?? '';
    const reset = await call(auth.confirmReset, { resetToken, newPassword: person.password });
    expect(reset).toEqual({ code: 'ok', body: {} });
    person = await signedIn(call, person);
    mailbox.mails.length = 0;
  }
}, 60_000);

test('a difference is a warning past 5 seconds, and not ready past a minute', async () => {
  setClock(20_000);
  const { url, logs } = await start();
  await eventually(() => logs.some((line) => /"clock_ahead_ms":(19|20)\d{3}/.test(line)));
  expect((await fetch(`${url}/readyz`)).status).toBe(200);
  setClock(-100_000);
  await sleep(1_100);
  const response = await fetch(`${url}/readyz`);
  expect([response.status, await response.json()]).toEqual([
    503,
    expect.objectContaining({ problems: ["the clock of this machine is 100 s behind Postgres's"] }),
  ]);
});
