// A change of the master key during a rolling deployment: two processes run side by side, and each accepts the tokens, keys and
// secrets of the other.
import { randomBytes, randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type App, startApp } from '../../src/app.ts';
import { type Environment, readConfig } from '../../src/config/config.ts';
import type { Mailbox } from '../../src/dev/mailbox.ts';
import { decryptSecret, encryptSecret } from '../../src/domain/secret-encryption.ts';
import { newSigningKey } from '../../src/keys/new-signing-key.ts';
import { derivePurposeKeys } from '../../src/keys/purpose-keys.ts';
import { createLogger } from '../../src/process/log.ts';
import { openTestMailbox, testEnvironment } from '../support/app.ts';
import { account, auth, type Caller, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { isAccepted, refreshed, registered, type SignedIn, signedIn } from '../support/people.ts';
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

/** The token in the last mail to this address. */
async function mailed(email: string, prefix: string): Promise<string> {
  const link = await eventually(() => mailbox.mails.findLast((mail) => mail.to === email && mail.link)?.link, 10_000);
  expect(link).toContain(`#token=${prefix}`);
  return link.split('#token=')[1] as string;
}

test('old key, both keys, new key: each step runs beside the step before, and every session continues', async () => {
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
      expect((await latchkey(both, 'doctor')).output).toContain('run "keys reencrypt"');
      expect((await latchkey(both, 'keys', 'reencrypt')).output).toMatch(/^reason /);
      const done = await latchkey(both, 'keys', 'reencrypt', '--reason', 'a new master key');
      expect(done.output.match(/^[\w-]{43}$/gm)).toHaveLength(2);
      expect((await latchkey(both, 'keys', 'reencrypt', '--reason', 'again')).output).toBe(
        'every signing key is encrypted under MASTER_KEY\n0 TOTP secrets were encrypted under MASTER_KEY\n',
      );
    }
    const after = await start(keys);
    // Each process accepts those of the other.
    for (const [from, to] of [
      [before.call, after.call],
      [after.call, before.call],
    ] as const) {
      const other = await signedIn(from);
      expect(await isAccepted(to, other.accessToken)).toBe(true);
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
  await expect(start({ MASTER_KEY: OLD })).rejects.toThrow(/cannot be decrypted with this MASTER_KEY/);
});

test('TOTP secrets are encrypted anew, so that the old key can be removed', async () => {
  const environmentOfOld = await testEnvironment(mailbox, { MASTER_KEY: OLD });
  const run = async (keys: Environment, ...args: string[]) => {
    const running = runMain(args, { ...environmentOfOld, ...keys });
    return { exit: await running.ended, output: running.output() };
  };
  const app = await startApp(readConfig(environmentOfOld), { api: true, worker: true }, createLogger('silent'));
  const person = await registered(viaFetch(`http://127.0.0.1:${app.port}`));
  const owner = new pg.Pool({ connectionString: environmentOfOld.MIGRATION_DATABASE_URL });
  const ringOf = (key: string) => derivePurposeKeys([Buffer.from(key, 'base64')]).totpSecrets;
  const secrets = new Map(Array.from({ length: 501 }, () => [randomUUID(), randomBytes(20)]));
  for (const [id, secret] of secrets) {
    await owner.query(
      "INSERT INTO factors (id, user_id, kind, name, created_at, totp_secret, totp_step) VALUES ($1, $2, 'totp', '', now(), $3, 0)",
      [id, person.userId, encryptSecret(secret, id, ringOf(OLD))],
    );
  }
  const both = { MASTER_KEY: NEW, MASTER_KEY_ACCEPTED: OLD };
  expect((await run(both, 'doctor')).output).toMatch(/^TOTP secrets +warning +501 of 501 are .*"keys reencrypt"/m);
  const why = ['--reason', 'a new master key'];
  expect((await run(both, 'keys', 'reencrypt', ...why)).output).toContain('501 TOTP secrets were encrypted');
  expect((await run(both, 'keys', 'reencrypt', ...why)).output).toContain('0 TOTP secrets were encrypted');
  const { rows } = await owner.query('SELECT id, totp_secret FROM factors');
  for (const { id, totp_secret } of rows) {
    expect(decryptSecret(totp_secret, id, ringOf(NEW))?.bytes).toEqual(secrets.get(id));
  }
  const events = await eventually(async () => {
    const found = await owner.query(
      "SELECT actor, after FROM audit_events WHERE type = 'totp_secrets_reencrypted' ORDER BY seq",
    );
    return found.rows.length === 2 ? found.rows : null;
  });
  expect(events.map(({ after }) => after.count)).toEqual([500, 1]);

  const [lost] = secrets.keys();
  await owner.query('UPDATE factors SET totp_secret = $2 WHERE id = $1', [lost, randomBytes(48)]);
  expect((await run({ MASTER_KEY: NEW }, 'doctor')).output).toMatch(
    new RegExp(
      `^TOTP secrets +failed +1 of 501 cannot be decrypted with this MASTER_KEY, the first of factor ${lost}`,
      'm',
    ),
  );
  expect(await run({ MASTER_KEY: NEW }, 'keys', 'reencrypt', ...why)).toMatchObject({
    ...{
      exit: 1,
      output: expect.stringContaining(`cannot be decrypted with MASTER_KEY and MASTER_KEY_ACCEPTED: ${lost}`),
    },
  });
  await app.close();
  await owner.end();
}, 60_000);

test('tokens of a removed master key are rejected', async () => {
  const { app, call } = await start({ MASTER_KEY: NEW, MASTER_KEY_ACCEPTED: OLD });
  const person = await signedIn(call);
  await app.close();
  const third = randomBytes(32).toString('base64');
  const swapped = { MASTER_KEY: third, MASTER_KEY_ACCEPTED: NEW };
  await latchkey(swapped, 'keys', 'reencrypt', '--reason', 'x');
  const alone = await start({ MASTER_KEY: third });
  expect((await alone.call(auth.refresh, { refreshToken: person.refreshToken })).reason).toBe('REFRESH_TOKEN_INVALID');
  // The signing key was encrypted anew, and stays in use.
  expect(await isAccepted(alone.call, person.accessToken)).toBe(true);
  await alone.app.close();
});

test('the command line rejects a master key of another service before it changes anything', async () => {
  const database = { DATABASE_URL: environment.DATABASE_URL };
  const keys = async () => JSON.parse((await latchkey({}, 'keys', 'list', '--json')).output);
  const before = await keys();
  const { kid } = before.find(({ state }: { state: string }) => state === 'active');
  const wrong = { ...database, MASTER_KEY: randomBytes(32).toString('base64') };
  for (const words of [['rotate'], ['retire', kid], ['reencrypt']]) {
    const { exit, output } = await latchkey(wrong, 'keys', ...words, '--reason', 'the wrong shell');
    expect(exit).toBe(1);
    expect(output).toMatch(
      /cannot be decrypted with this MASTER_KEY|no signing key can be decrypted with this MASTER_KEY/,
    );
  }
  expect(await keys()).toEqual(before);
});

test('a signing key of another master key has no effect until it signs, and then answers are unavailable, not wrong', async () => {
  const other = await testEnvironment(mailbox, { MASTER_KEY: OLD, REVOCATION_MAX_AGE_MS: '500' });
  const lines: string[] = [];
  const log = createLogger('info', { write: (line) => void lines.push(line) });
  const app = await startApp(readConfig(other), { api: true, worker: false }, log);
  const url = `http://127.0.0.1:${app.port}`;
  const call = viaFetch(url);
  const owner = new pg.Client({ connectionString: other.MIGRATION_DATABASE_URL });
  await owner.connect();
  const ring = derivePurposeKeys([Buffer.from(NEW, 'base64')]).signingKeyEncryption;
  const foreign = await newSigningKey({ algorithm: 'EdDSA', signsFrom: new Date(), state: 'published' }, ring);
  await owner.query(
    "UPDATE signing_keys SET state = 'retired', retired_at = now(), encrypted_private_key = NULL WHERE state = 'published'",
  );
  await owner.query("INSERT INTO signing_keys VALUES ($1, 'EdDSA', $2, 'published', now(), now())", [
    foreign.kid,
    foreign.encryptedPrivateKey,
  ]);
  await eventually(() => lines.some((line) => line.includes(foreign.kid)));
  const person = await signedIn(call);
  expect(await isAccepted(call, person.accessToken)).toBe(true);
  expect((await fetch(`${url}/readyz`)).status).toBe(200);

  await owner.query("UPDATE signing_keys SET state = 'retiring', retiring_at = now() WHERE state = 'active'");
  await owner.query("UPDATE signing_keys SET state = 'active', activated_at = now() WHERE kid = $1", [foreign.kid]);
  await eventually(async () => (await fetch(`${url}/readyz`)).status === 503, 5_000);
  const verified = await eventually(async () => {
    const outcome = await call(auth.verify, { accessToken: person.accessToken });
    return outcome.code === 'ok' ? null : outcome;
  }, 5_000);
  expect(verified).toMatchObject({ code: 'unavailable', reason: 'DEPENDENCY_UNAVAILABLE' });
  expect((await call(auth.refresh, { refreshToken: person.refreshToken })).reason).toBe('DEPENDENCY_UNAVAILABLE');

  // Once it is gone, all is as before.
  await owner.query(
    "UPDATE signing_keys SET state = 'retired', retired_at = now(), encrypted_private_key = NULL WHERE state = 'active'",
  );
  await eventually(async () => (await fetch(`${url}/readyz`)).status === 200, 5_000);
  expect(await isAccepted(call, person.accessToken)).toBe(true);
  await app.close();
  await owner.end();
});
