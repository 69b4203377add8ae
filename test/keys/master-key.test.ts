// Another master key while the service runs: two processes at a time, as a rolling deployment has them, and nothing that one
// has made is refused by the other.
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type App, startApp } from '../../src/app.ts';
import { type Environment, readConfig } from '../../src/config.ts';
import type { Mailbox } from '../../src/dev/mailbox.ts';
import { createLogger } from '../../src/log.ts';
import { openTestMailbox, testEnvironment } from '../support/app.ts';
import { account, auth, type Caller, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { isGood, refreshed, registered, type SignedIn, signedIn } from '../support/people.ts';
import { runMain } from '../support/processes.ts';

const [OLD, NEW] = [randomBytes(32).toString('base64'), randomBytes(32).toString('base64')];

let mailbox: Mailbox;
let environment: Environment;
beforeAll(async () => {
  mailbox = await openTestMailbox();
  environment = await testEnvironment(mailbox);
});
afterAll(() => mailbox.close());

async function start(keys: Environment): Promise<{ app: App; call: Caller }> {
  const config = readConfig({ ...environment, ...keys });
  const app = await startApp(config, { api: true, worker: true }, createLogger('silent'));
  return { app, call: viaFetch(`http://127.0.0.1:${app.port}`) };
}

async function latchkey(keys: Environment, ...args: string[]) {
  const running = runMain(args, { ...environment, ...keys });
  return { exit: await running.ended, output: running.output() };
}

/** The token in the last mail to somebody. */
async function mailed(email: string, prefix: string): Promise<string> {
  const link = await eventually(() => mailbox.mails.findLast((mail) => mail.to === email && mail.link)?.link, 10_000);
  expect(link).toContain(`#token=${prefix}`);
  return link.split('#token=')[1] as string;
}

test('old, both, new: each step beside the one before, and nobody is signed out', async () => {
  const steps = [
    { MASTER_KEY: OLD },
    { MASTER_KEY: OLD, MASTER_KEY_ACCEPTED: NEW },
    { MASTER_KEY: NEW, MASTER_KEY_ACCEPTED: OLD },
    { MASTER_KEY: NEW },
  ];
  let before = await start(steps[0] as Environment);
  let person: SignedIn = await signedIn(before.call);
  for (const keys of steps.slice(1)) {
    if (!('MASTER_KEY_ACCEPTED' in keys)) {
      const both = steps[2] as Environment;
      expect((await latchkey(both, 'doctor')).output).toContain('run keys reencrypt');
      expect((await latchkey(both, 'keys', 'reencrypt')).output).toMatch(/^reason /);
      const done = await latchkey(both, 'keys', 'reencrypt', '--reason', 'a new master key');
      expect(done.output.match(/^[\w-]{43}$/gm)).toHaveLength(2);
      expect((await latchkey(both, 'keys', 'reencrypt', '--reason', 'again')).output).toBe(
        'every key is encrypted under MASTER_KEY\n',
      );
    }
    const after = await start(keys);
    // Those of one process at the other, both ways.
    for (const [from, to] of [
      [before.call, after.call],
      [after.call, before.call],
    ] as const) {
      const other = await signedIn(from);
      expect(await isGood(to, other.accessToken)).toBe(true);
      const later = await refreshed(to, other);
      expect((await to(account.getMe, {}, { bearer: later.accessToken })).code).toBe('ok');
      const forgetful = await registered(from);
      await from(auth.requestReset, { email: forgetful.email });
      const resetToken = await mailed(forgetful.email, 'lkp_');
      expect((await to(auth.confirmReset, { resetToken, newPassword: 'a brand new pass phrase' })).code).toBe('ok');
    }
    person = await refreshed(after.call, person);
    await before.app.close();
    before = after;
  }
  await before.app.close();
  await expect(start({ MASTER_KEY: OLD })).rejects.toThrow(/does not open with this MASTER_KEY/);
});

test('what a key has made that is accepted no more is refused', async () => {
  const { app, call } = await start({ MASTER_KEY: NEW, MASTER_KEY_ACCEPTED: OLD });
  const person = await signedIn(call);
  await app.close();
  const third = randomBytes(32).toString('base64');
  const swapped = { MASTER_KEY: third, MASTER_KEY_ACCEPTED: NEW };
  await latchkey(swapped, 'keys', 'reencrypt', '--reason', 'x');
  const alone = await start({ MASTER_KEY: third });
  expect((await alone.call(auth.refresh, { refreshToken: person.refreshToken })).reason).toBe('REFRESH_TOKEN_INVALID');
  // Its key was encrypted anew, and lives.
  expect(await isGood(alone.call, person.accessToken)).toBe(true);
  await alone.app.close();
});
