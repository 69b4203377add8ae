// Commands as operators type them, each in a process of its own, with the database URL as its only setting.
import { describe, expect, test } from 'vitest';
import { RELEASE } from '../../src/process/release.ts';
import { testApp } from '../support/app.ts';
import { admin, auth } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { newPerson, registered } from '../support/people.ts';
import { runMain } from '../support/processes.ts';

const VERSION = new RegExp(`^latchkey ${RELEASE.replaceAll('.', '\\.')} \\([0-9a-f]{12}\\), Node 24[.0-9]+\n$`);

const app = await testApp();
const { call } = app;

async function latchkey(...args: string[]) {
  const running = runMain(args, { DATABASE_URL: app.environment.DATABASE_URL });
  return { exit: await running.ended, output: running.output() };
}
const json = async (...args: string[]) => JSON.parse((await latchkey(...args, '--json')).output);

describe('the actor of a change', () => {
  const actorOf = async (environment: object, ...args: string[]) => {
    const { userId } = await registered(call);
    const command = ['users', 'disable', userId, '--reason', 'a test', ...args];
    const running = runMain(command, { DATABASE_URL: app.environment.DATABASE_URL, ...environment });
    const exit = await running.ended;
    const query = "SELECT actor FROM audit_events WHERE type = 'user_disabled' AND user_id = $1";
    const row = exit === 0 ? await eventually(async () => (await app.owner.query(query, [userId])).rows[0]) : null;
    return { actor: row?.actor, output: running.output() };
  };

  test('is named by --as, or else by OPERATOR', async () => {
    expect((await actorOf({ OPERATOR: 'Otto' }, '--as', 'Zoë Kay')).actor).toBe('operator:Zoë Kay');
    expect((await actorOf({ OPERATOR: ' Otto ' })).actor).toBe('operator:Otto');
  });

  test('must be printable', async () => {
    expect(await actorOf({}, '--as', 'eve\u001b[2J')).toMatchObject({
      actor: undefined,
      output: '--as must have no control or invisible characters\n',
    });
    expect((await actorOf({ OPERATOR: 'eve\nroot' })).output).toContain('OPERATOR must be a name of 1 to 64');
  });
});

describe('users', () => {
  test('create the first administrator in an empty database', async () => {
    const { email } = newPerson();
    const why = ['--reason', 'the first one'];
    const made = await latchkey('users', 'create', email, '--name', 'Grace Hopper', '--role', 'admin', ...why);
    expect(made).toMatchObject({ exit: 0, output: expect.stringContaining('an e-mail with the link') });
    const mail = await eventually(() => app.mailbox.mails.find(({ to }) => to === email));
    const resetToken = mail.link?.split('#token=')[1] ?? '';
    await call(auth.confirmReset, { resetToken, newPassword: 'a brand new pass phrase' });
    const { body } = await call(auth.login, { email, password: 'a brand new pass phrase' });
    expect(body.user).toMatchObject({ roles: ['admin', 'user'], emailVerified: true });
    expect((await call(admin.listRoles, {}, { bearer: body.tokens.accessToken })).code).toBe('ok');
    const { rows } = await app.owner.query("SELECT actor, detail FROM audit_events WHERE type = 'role_granted'");
    expect(rows).toEqual([{ actor: expect.stringMatching(/^operator:./), detail: 'the first one' }]);
    expect((await latchkey('users', 'create', email, '--name', 'x', ...why)).output).toContain('EMAIL_TAKEN');
  });

  test('are printed, for people and for programs', async () => {
    const { email, userId } = await registered(call);
    const { exit, output } = await latchkey('users', 'show', email);
    expect(exit).toBe(0);
    expect(output).toMatch(new RegExp(`^id +${userId}\nemail +${email}\n`));
    expect(output).toMatch(/^disabled_at +-$/m);
    expect(await json('users', 'show', userId)).toMatchObject({
      id: userId,
      email,
      disabled_at: null,
      roles: ['user'],
    });
  });

  test('are disabled, enabled, granted and revoked roles, signed out, and deleted', async () => {
    const person = await registered(call);
    const { email, userId } = person;
    const why = ['--reason', 'a test'];
    const { output } = await latchkey('users', 'disable', email, ...why);
    expect(output).toBe(`${email} is disabled\n`);
    expect((await call(auth.login, person)).reason).toBe('CREDENTIALS_INVALID');
    await latchkey('users', 'enable', userId, ...why);
    expect((await call(auth.login, person)).code).toBe('ok');
    expect((await latchkey('users', 'end-sessions', email, ...why)).output).toContain('had 1 sessions');
    const until = '2040-01-31T12:00:00Z';
    await latchkey('users', 'grant', email, 'admin', '--until', until, ...why);
    expect((await json('users', 'show', email)).granted[0]).toMatch(/^admin by operator:.* until 2040-01-31T12:00:00/);
    await latchkey('users', 'revoke', email, 'admin', ...why);
    expect((await json('users', 'show', email)).roles).toEqual(['user']);
    await latchkey('users', 'require-new-password', email, ...why);
    expect((await json('users', 'show', email)).has_password).toBe(false);
    expect((await latchkey('users', 'delete', email, ...why)).exit).toBe(0);
    expect(await latchkey('users', 'show', email)).toEqual({
      exit: 1,
      output: 'user not found (USER_NOT_FOUND)\n',
    });
  });
});

test('roles are defined, listed and deleted', async () => {
  expect((await latchkey('roles', 'define', 'reader', '--reason', 'a test')).exit).toBe(0);
  await latchkey(
    'roles',
    'define',
    'writer',
    '--description',
    'writes',
    '--implies',
    'reader,user',
    '--reason',
    'a test',
  );
  const { output } = await latchkey('roles', 'list');
  expect(output).toMatch(/^NAME +IMPLIES +GRANTER +REQUIRED_ACR +DESCRIPTION\n/);
  expect(output).toMatch(/^writer +reader, user +admin +pwd +writes$/m);
  expect((await latchkey('roles', 'define', 'reader', '--implies', 'writer', '--reason', 'a test')).output).toContain(
    'ROLE_CIRCLE',
  );
  expect((await latchkey('roles', 'delete', 'reader', '--reason', 'a test')).output).toContain('ROLE_IN_USE');
  await latchkey('roles', 'delete', 'writer', '--reason', 'a test');
  expect((await json('roles', 'list')).map(({ name }: { name: string }) => name)).toEqual([
    ...['admin', 'latchkey.on-behalf-of', 'latchkey.roles.read', 'reader', 'user'],
  ]);
  expect((await latchkey('roles', 'delete', 'latchkey.roles.read', '--reason', 'a test')).output).toContain(
    'ROLE_IN_USE',
  );
});

test('services are created, get roles and keys, and lose them', async () => {
  const why = ['--reason', 'a test'];
  const { id } = await json('services', 'create', 'billing', '--description', 'bills', '--role', 'user', ...why);
  expect((await latchkey('services', 'list')).output).toMatch(
    new RegExp(`^billing +active +user +- +- +\\d{4}-\\S+ +operator:.* bills +${id}$`, 'm'),
  );
  const made = await json('services', 'create-key', 'billing', '--name', 'first', ...why);
  const issue = () => call(auth.issueServiceToken, {}, { bearer: made.key });
  expect((await issue()).code).toBe('ok');
  await latchkey('services', 'grant', 'billing', 'admin', ...why);
  await eventually(async () => (await call(admin.listRoles, {}, { bearer: made.key })).code === 'ok', 1_000);
  await latchkey('services', 'revoke', 'billing', 'admin', ...why);
  const states = async () => (await json('services', 'keys', id)).map(({ state }: { state: string }) => state);
  const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT/);
  expect(await json('services', 'keys', id)).toEqual([
    {
      ...{
        id: made.id,
        name: 'first',
        state: 'active',
        created_at: time,
        created_by: expect.stringMatching(/^operator:/),
      },
      ...{ expires_at: time, revoked_at: null, last_used_at: time },
    },
  ]);
  await app.owner.query("UPDATE api_keys SET expires_at = now() - interval '1 second' WHERE id = $1", [made.id]);
  expect(await states()).toEqual(['expired']);
  await app.owner.query("UPDATE api_keys SET expires_at = now() + interval '1 day' WHERE id = $1", [made.id]);
  await latchkey('services', 'disable', 'billing', ...why);
  expect(await states()).toEqual(['disabled']);
  await latchkey('services', 'enable', 'billing', ...why);
  expect((await latchkey('services', 'revoke-key', made.id, ...why)).output).toBe(`${made.id} is revoked\n`);
  await eventually(async () => (await issue()).reason === 'TOKEN_INVALID', 1_000);
  expect(await states()).toEqual(['revoked']);
  expect((await latchkey('services', 'disable', 'billing', ...why)).output).toBe('billing is disabled\n');
  expect(await json('services', 'list')).toMatchObject([{ name: 'billing', state: 'disabled', created_at: time }]);
  expect((await latchkey('services', 'delete', 'billing', ...why)).exit).toBe(0);
  expect((await latchkey('services', 'keys', 'billing')).output).toBe('service account billing does not exist\n');
});

test('an account is created with a temporary role, or not at all', async () => {
  const [one, other] = [newPerson().email, newPerson().email];
  const why = ['--name', 'x', '--reason', 'a test'];
  await latchkey('users', 'create', one, '--role', 'admin', '--until', '2040-01-01', ...why);
  expect((await json('users', 'show', one)).granted[0]).toContain('until 2040-01-01');
  expect((await latchkey('users', 'create', other, '--role', 'pope', ...why)).output).toBe(
    'role pope does not exist\n',
  );
  expect((await latchkey('users', 'show', other)).output).toContain('USER_NOT_FOUND');
});

describe('a wrong command line', () => {
  test.each([
    [['users'], 2, 'users show <user>'],
    [['users', 'admire', 'x@y.example'], 2, 'unknown command: users admire'],
    [['users', 'grant', 'x@y.example'], 2, '<role> is missing'],
    [['users', 'show', 'x@y.example', '--reason', 'x'], 2, 'unknown option: --reason'],
    [['roles', 'list', 'x'], 2, 'unexpected argument: x'],
    [['outbox', 'retry'], 2, '<entry> is missing'],
    [['outbox', 'retry', 'x'], 1, 'x is not in the outbox'],
    [['outbox', 'list', '--limit', 'x'], 1, '--limit must be 1 to 10000'],
    [['users', 'show', 'x'], 1, 'user not found'],
    [['users', 'show', 'nobody@people.example'], 1, 'USER_NOT_FOUND'],
    [['roles', 'define', 'X'], 1, 'name must be'],
    [['users', 'show', 'x', '--dev'], 1, 'run "npm start"'],
  ])('%j ends with %s and names the problem', async (args, exit, problem) => {
    const outcome = await latchkey(...args);
    expect(outcome.exit).toBe(exit);
    expect(outcome.output).toContain(problem);
  });

  test('a change without a reason changes nothing', async () => {
    const { email } = await registered(call);
    const outcome = await latchkey('users', 'disable', email);
    expect(outcome).toEqual({ exit: 1, output: 'reason is required: the audit trail keeps it\n' });
  });

  test('--until with an invalid time is rejected', async () => {
    const { email } = await registered(call);
    const { output } = await latchkey('users', 'grant', email, 'admin', '--until', 'soon', '--reason', 'x');
    expect(output).toBe('--until must be a time such as 2030-01-31T12:00:00Z\n');
  });
});

test('--help and --version exit with 0', async () => {
  for (const args of [['--help'], ['users', '--help'], ['users', 'grant', '--help']]) {
    expect(await latchkey(...args)).toEqual({ exit: 0, output: expect.stringMatching(/^usage: latchkey /) });
  }
  expect(await latchkey('--version')).toEqual({ exit: 0, output: expect.stringMatching(VERSION) });
});

test('control characters in the text of users are not printed', async () => {
  const { email, userId } = await registered(call);
  await app.owner.query("UPDATE users SET full_name = E'x\\x1b[2Jy' WHERE id = $1", [userId]);
  expect((await latchkey('users', 'show', email)).output).toMatch(/^name +x\[2Jy$/m);
});
