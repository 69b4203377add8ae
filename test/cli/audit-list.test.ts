// `audit list` finds events by email, network, target and type, each by an index.
import { beforeAll, expect, test } from 'vitest';
import { testApp } from '../support/app.ts';
import { account, auth } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { type SignedIn, signedIn } from '../support/people.ts';
import { runMain } from '../support/processes.ts';

const app = await testApp();
const { call } = app;
let person: SignedIn;
beforeAll(async () => {
  person = await signedIn(call);
  await call(auth.login, { email: person.email, password: 'wrong one' }, { headers: { 'user-agent': 'phone' } });
  await call(account.updateMe, { fullName: 'New Name' }, { bearer: person.accessToken });
  await eventually(async () => {
    const { rows } = await app.owner.query(
      "SELECT 1 FROM audit_events WHERE type IN ('profile_changed', 'login_failed')",
    );
    return rows.length === 2;
  });
});

type Listed = Record<string, unknown>;
async function latchkey(...args: string[]) {
  const running = runMain(args, app.environment);
  return { exit: await running.ended, output: running.output() };
}
async function list(...options: string[]): Promise<Listed[]> {
  const { exit, output } = await latchkey('audit', 'list', '--json', ...options);
  expect(exit, output).toBe(0);
  return JSON.parse(output.split('\n').find((line) => line.startsWith('[')) ?? '');
}
const types = (events: Listed[]) => new Set(events.map(({ type }) => type));

test('an email finds its events, also those of an account that has another email now or was deleted', async () => {
  const found = await list('--email', person.email.toUpperCase());
  expect(types(found)).toEqual(new Set(['registered', 'login_succeeded', 'login_failed', 'profile_changed']));
  await app.owner.query("UPDATE users SET email = 'other@x.example' WHERE id = $1", [person.userId]);
  expect(await list('--email', person.email)).toEqual(found);
  await app.owner.query('DELETE FROM users WHERE id = $1', [person.userId]);
  expect(types(await list('--email', person.email))).toContain('profile_changed');
  expect(await list('--email', 'another@x.example')).toEqual([]);
});

test('JSON has every field of an event', async () => {
  const [event] = await list('--type', 'login_failed');
  expect(event).toMatchObject({
    ...{ type: 'login_failed', user: person.userId, detail: 'wrong password', before: null, after: null },
    ...{ address: '127.0.0.1', account: expect.any(String), hash: expect.stringMatching(/^[0-9a-f]{64}$/) },
    ...{ request: expect.any(String), user_agent: expect.any(String), id: expect.any(String) },
  });
  const [succeeded] = await list('--type', 'login_succeeded');
  expect(succeeded?.session).toMatch(/^[0-9a-f-]{36}$/);
});

test('a network and a target select', async () => {
  expect((await list('--network', '127.0.0.0/8')).length).toBeGreaterThan(2);
  expect((await list('--network', '127.0.0.1')).length).toBeGreaterThan(2);
  expect(await list('--network', '10.0.0.0/8')).toEqual([]);
  expect(types(await list('--target', String((await list('--type', 'signing_key_activated'))[0]?.target)))).toContain(
    'signing_key_activated',
  );
});

test.each([
  [['--type', 'login_faild'], 'did you mean login_failed?'],
  [['--type', 'nonsense'], '"audit types" lists them'],
  [['--network', '10.0.0.0/33'], '--network must be an address or a network'],
  [['--network', "1.1.1.1'; DROP TABLE users"], '--network must be an address or a network'],
  [['--email', 'x'], 'email must have the form'],
])('%j is an error with a reason', async (options, message) => {
  const { exit, output } = await latchkey('audit', 'list', ...options);
  expect(exit).toBe(1);
  expect(output).toContain(message);
});

test('a list that was cut short says so, also beside JSON', async () => {
  const { output } = await latchkey('audit', 'list', '--json', '--limit', '1');
  expect(output).toContain('These are the newest 1; --limit shows more.');
  expect((await latchkey('audit', 'types')).output).toMatch(/^TYPE +MEANING\n/);
});

test('each filter is served by an index, and an address that is none is no obstacle', async () => {
  const planOf = async (condition: string) => {
    const client = await app.owner.connect();
    await client.query('BEGIN; SET LOCAL enable_seqscan = off');
    const { rows } = await client.query(
      `EXPLAIN SELECT 1 FROM audit_events WHERE ${condition} ORDER BY seq DESC LIMIT 9`,
    );
    await client.query('ROLLBACK');
    client.release();
    return JSON.stringify(rows);
  };
  expect(await planOf("account = 'x'")).toMatch(/account/);
  expect(await planOf("target = 'x'")).toMatch(/target_seq_idx/);
  expect(await planOf("address <> '' AND audit_address(address) <<= '10.0.0.0/8'::inet")).toMatch(
    /audit_address_seq_idx/,
  );
  const { rows } = await app.owner.query("SELECT audit_address('fe80::1%eth0') AS zone, audit_address('') AS none");
  expect(rows).toEqual([{ zone: null, none: null }]);
});
