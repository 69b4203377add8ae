// Second factors on the command line: shown, removed, required by the policy, and checked by doctor.
import { randomUUID } from 'node:crypto';
import { describe, expect, onTestFinished, test } from 'vitest';
import { examine } from '../../src/cli/doctor/examine.ts';
import { createOutput } from '../../src/cli/output.ts';
import { testApp } from '../support/app.ts';
import { eventually } from '../support/eventually.ts';
import { registered, signedInWith } from '../support/people.ts';
import { runMain } from '../support/processes.ts';
import { storedPasskey, storedRecoveryCodes, storedTotp } from '../support/stored-factors.ts';

const app = await testApp();
const { call, owner } = app;
const WHY = ['--reason', 'lost the phone'];

async function latchkey(...args: string[]) {
  const running = runMain(args, { DATABASE_URL: app.environment.DATABASE_URL });
  return { exit: await running.ended, output: running.output() };
}
const json = async (...args: string[]) => JSON.parse((await latchkey(...args, '--json')).output);

describe('users', () => {
  test('show lists the factors and the number of recovery codes, and remove-factor removes one', async () => {
    const { email, userId } = await registered(call);
    const [totp, passkey] = [await storedTotp(owner, userId), await storedPasskey(owner, userId)];
    await storedRecoveryCodes(owner, userId, 10);
    expect(await json('users', 'show', email)).toMatchObject({
      recovery_codes_left: 10,
      factors: [
        { id: totp, kind: 'totp', name: 'an app', last_used_at: null, backed_up: false },
        { id: passkey, kind: 'passkey', name: 'a key', backed_up: true },
      ],
    });
    expect(await latchkey('users', 'remove-factor', email, totp, ...WHY)).toEqual({
      exit: 0,
      output: `${email} no longer has the factor; sessions that ended: 0\n`,
    });
    expect((await json('users', 'show', email)).factors).toMatchObject([{ id: passkey }]);
    const event = await eventually(async () => {
      const { rows } = await owner.query("SELECT actor, detail FROM audit_events WHERE type = 'factor_removed'");
      return rows[0];
    });
    expect(event).toEqual({ actor: expect.stringMatching(/^operator:/), detail: 'totp: lost the phone' });
  });

  test('remove-factor rejects an unknown factor', async () => {
    const { email } = await registered(call);
    const { exit, output } = await latchkey('users', 'remove-factor', email, randomUUID(), ...WHY);
    expect({ exit, output }).toEqual({ exit: 1, output: expect.stringContaining('FACTOR_NOT_FOUND') });
    expect((await latchkey('users', 'remove-factor', email, 'x', ...WHY)).output).toMatch(/^factor_id must be a UUID/);
  });
});

describe('factor-policy', () => {
  test('set and show', async () => {
    const set = (...args: string[]) => latchkey('factor-policy', 'set', ...args, '--reason', 'a new rule');
    expect(await set('roles', '--roles', 'user,admin', '--grace-seconds', '604800')).toEqual({
      exit: 0,
      output: 'the policy is set\n',
    });
    expect(await json('factor-policy', 'show')).toEqual({
      ...{ scope: 'roles', roles: ['admin', 'user'], grace_seconds: 604_800 },
      changed_at: expect.stringMatching(/Z$/),
    });
    expect((await set('some')).output).toMatch(/^scope must be one of 'none', 'roles', 'all'/);
    expect((await set('roles')).output).toMatch(/^roles must have 1 to 32 names for the scope roles/);
    expect((await set('all', '--grace-seconds', 'soon')).output).toMatch(/^--grace-seconds must be 0 to/);
    expect((await set('all', '--grace-seconds', '31536001')).output).toMatch(/^grace_seconds must be 0 to/);
    expect((await set('none')).exit).toBe(0);
  });
});

describe('roles', () => {
  test('define and list have the strength that a role requires', async () => {
    const define = (...args: string[]) => latchkey('roles', 'define', 'payroll', ...args, '--reason', 'money');
    const acrOf = async () =>
      (await json('roles', 'list')).find(({ name }: { name: string }) => name === 'payroll').required_acr;
    await define();
    expect(await acrOf()).toBe('pwd');
    await define('--required-acr', 'phr');
    await define('--description', 'pays');
    expect(await acrOf()).toBe('phr');
    expect((await define('--required-acr', 'strong')).output).toMatch(/^required_acr must be pwd, mfa, phr or empty/);
  });
});

describe('doctor', () => {
  const findings = async (): Promise<string[]> => {
    let text = '';
    const output = createOutput(true, (more) => {
      text += more;
    });
    await examine(app.environment, output);
    const all: { check: string; state: string; result: string }[] = JSON.parse(text);
    return all
      .filter(({ check }) => check === 'factors of administrators')
      .map(({ state, result }) => `${state}: ${result}`);
  };
  const OK = ['ok: every administrator has the factor that is required'];

  test('warns of administrators without the factor that the role or the policy requires', async () => {
    const [one, two, three] = [
      await signedInWith(app, call, ['admin']),
      await signedInWith(app, call, ['admin']),
      await registered(call),
    ];
    onTestFinished(async () => {
      await owner.query("UPDATE roles SET required_acr = 'pwd'");
      await owner.query("UPDATE factor_policy SET scope = 'none'");
    });
    expect(await findings()).toEqual(OK);
    await owner.query("UPDATE roles SET required_acr = 'mfa' WHERE name = 'admin'");
    const [first] = [one.email, two.email].toSorted();
    const missing = (count: number, email = first) => [
      `warning: without the factor that the policy or the role admin requires: ${count}, the first is ${email}`,
    ];
    expect(await findings()).toEqual(missing(2));
    await storedTotp(owner, one.userId);
    expect(await findings()).toEqual(missing(1, two.email));
    await storedPasskey(owner, two.userId);
    await storedPasskey(owner, three.userId);
    expect(await findings()).toEqual(OK);
    await owner.query("UPDATE roles SET required_acr = 'phr' WHERE name = 'admin'");
    expect(await findings()).toEqual(missing(1, one.email));
    await owner.query("UPDATE roles SET required_acr = 'pwd' WHERE name = 'admin'");
    await owner.query('DELETE FROM factors');
    await owner.query("UPDATE factor_policy SET scope = 'all', changed_at = now(), grace_seconds = 60");
    expect(await findings()).toEqual(missing(2));
    await owner.query('UPDATE users SET disabled_at = now() WHERE id = ANY($1)', [[one.userId, two.userId]]);
    expect(await findings()).toEqual(OK);
  });
});
