import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { testApp } from '../support/app.ts';
import { account, auth } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { scrape, sumOf } from '../support/metrics.ts';
import { newPerson, registered, signedIn } from '../support/people.ts';

const folder = mkdtempSync(join(tmpdir(), 'latchkey-ranges-'));
const app = await testApp({ PASSWORD_BREACH_RANGES: folder, METRICS_PORT: '0' });
const { call } = app;

afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
});

const digestOf = (password: string) => createHash('sha1').update(password).digest('hex').toUpperCase();
const OTHERS = ['0018A45C4D1DEF81644B54AB7F969B88D65:10', 'FFF983A91443AE72BD98E59ADAB93B31974:3'];

function publish(
  password: string,
  line = (suffix: string) => `${suffix}:42`,
  name = (prefix: string) => `${prefix}.txt`,
) {
  const digest = digestOf(password);
  const lines = [OTHERS[0], line(digest.slice(5)), OTHERS[1]];
  writeFileSync(join(folder, name(digest.slice(0, 5))), lines.join('\r\n'));
}

const register = (password: string) => call(auth.register, { ...newPerson(), password });

test.each([
  ['as breach corpora are distributed', undefined, undefined],
  ['without .txt', undefined, (prefix: string) => prefix],
  ['with a lower-case digest', (suffix: string) => `${suffix.toLowerCase()}:1`, undefined],
])('a breached password is rejected, in a range file %s', async (title, line, name) => {
  const password = `an otherwise good one, ${title}`;
  publish(password, line, name);
  const rejected = await register(password);
  expect(rejected).toMatchObject({ reason: 'INVALID_ARGUMENT', fields: ['password'] });
  expect(JSON.stringify(rejected)).not.toContain(password);
  expect((await register(`${password}!`)).code).toBe('ok');
});

test('padding, and the same digits in another range, are no breach', async () => {
  publish('only padded with zero', (suffix) => `${suffix}:0`);
  expect((await register('only padded with zero')).code).toBe('ok');
  const digest = digestOf('in another range');
  writeFileSync(join(folder, 'ABCDE.txt'), `${digest.slice(5)}:7`);
  expect((await register('in another range')).code).toBe('ok');
});

test('ChangePassword and ConfirmReset reject it too, and it does not use a reset token up', async () => {
  const breached = 'known from elsewhere';
  publish(breached);
  const person = await signedIn(call);
  const change = { currentPassword: person.password, newPassword: breached };
  expect((await call(account.changePassword, change, { bearer: person.accessToken })).fields).toEqual(['new_password']);
  await call(auth.requestReset, { email: person.email });
  const mail = await eventually(() => app.mailbox.mails.find(({ to }) => to === person.email));
  const resetToken = mail.link?.split('#token=')[1] ?? '';
  expect((await call(auth.confirmReset, { resetToken, newPassword: breached })).fields).toEqual(['new_password']);
  expect((await call(auth.confirmReset, { resetToken, newPassword: 'known to the owner alone' })).code).toBe('ok');
});

test('a sign-in with a password that was breached later succeeds', async () => {
  const person = await registered(call);
  publish(person.password);
  await signedIn(call, person);
});

test('an unreadable file lets the password pass, and is logged', async () => {
  const failures = async () => sumOf(await scrape(app.metricsPort), 'latchkey_breach_check_failures_total');
  const before = (await failures()) ?? Number.NaN;
  mkdirSync(join(folder, `${digestOf('a folder in place of a file').slice(0, 5)}.txt`));
  expect((await register('a folder in place of a file')).code).toBe('ok');
  const huge = join(folder, `${digestOf('a file beyond all bounds').slice(0, 5)}.txt`);
  writeFileSync(huge, 'A'.repeat(5_000_000));
  chmodSync(huge, 0o600);
  expect((await register('a file beyond all bounds')).code).toBe('ok');
  expect(await failures()).toBe(before + 2);
  const lines = app.logs.map((line) => JSON.parse(line)).filter(({ msg }) => msg.includes('range file'));
  expect(lines.map(({ level }) => level)).toEqual(['error', 'error']);
});
