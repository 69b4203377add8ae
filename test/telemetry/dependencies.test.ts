import { expect, onTestFinished, test } from 'vitest';
import { createMailer } from '../../src/jobs/mailer.ts';
import { measureMailer } from '../../src/jobs/measure-mailer.ts';
import { openPrimaryPool } from '../../src/store/postgres/primary-pool.ts';
import { databaseErrorType } from '../../src/telemetry/database-error-type.ts';
import { openTestMailbox } from '../support/app.ts';

test('a pool is down after a failed connection, and reports the failure', async () => {
  const failures: unknown[] = [];
  const pool = openPrimaryPool(
    {
      url: 'postgres://latchkey@127.0.0.1:1/latchkey',
      poolSize: 1,
      statementTimeoutMs: 1_000,
      onConnectFailure: (error) => failures.push(error),
    },
    () => {},
  );
  onTestFinished(() => pool.end());
  expect(pool.isUp()).toBe(null);
  await expect(pool.connect()).rejects.toThrow();
  expect(pool.isUp()).toBe(false);
  expect(failures.map(databaseErrorType)).toEqual(['ECONNREFUSED']);
});

test.each([
  [null, ''],
  [Object.assign(new Error('x'), { name: 'NotPrimaryError' }), 'not_primary'],
  [new Error('Query read timeout'), 'timeout'],
  [new Error('Command timed out'), 'timeout'],
  [new AggregateError([Object.assign(new Error(''), { code: 'ECONNREFUSED' })]), 'ECONNREFUSED'],
  [Object.assign(new Error('x'), { code: 'E_OF_A_STRANGER' }), '_OTHER'],
  ['text', '_OTHER'],
])('%s has a type from a closed list', (error, expected) => {
  expect(databaseErrorType(error)).toBe(expected);
});

test('the SMTP server is up when it answers, and down when it does not', async () => {
  const mailbox = await openTestMailbox();
  const attempts: string[] = [];
  const uses: (() => boolean | null)[] = [];
  const metrics = {
    mailAttempted: (outcome: string) => attempts.push(outcome),
    watchDependency: (_: string, isUp: () => boolean | null) => uses.push(isUp),
  };
  const settings = {
    url: mailbox.smtpUrl,
    from: { name: 'Latchkey', address: 'auth@latchkey.example' },
    security: 'opportunistic',
    heloName: 'latchkey.example',
  } as const;
  const mailer = measureMailer(createMailer(settings), metrics);
  const mail = { id: '1', to: 'a@people.example', subject: 's', text: 't', html: 'h' };
  const never = new AbortController().signal;
  expect(uses[0]?.()).toBe(null);
  await mailer.send(mail, never);
  expect(uses[0]?.()).toBe(true);
  mailer.close();
  await mailbox.close();
  const late = measureMailer(createMailer(settings), metrics);
  onTestFinished(() => late.close());
  await expect(late.send(mail, never)).rejects.toThrow();
  expect(uses[1]?.()).toBe(false);
  expect(attempts).toEqual(['sent', 'failed']);
});
