import { scryptSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import bcrypt from 'bcrypt';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { AdminService, type ImportUsersResponse } from '../../gen/latchkey/auth/v1/admin_service_pb.ts';
import { testApp } from '../support/app.ts';
import { auth } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { newPerson, registered, type SignedIn, signedIn, signedInWith } from '../support/people.ts';
import { runMain } from '../support/processes.ts';

const app = await testApp();
const { call } = app;
let boss: SignedIn;
beforeAll(async () => {
  boss = await signedInWith(app, call, ['admin']);
});

type Row = { row: number; email: string; fullName: string; emailVerified?: boolean; passwordHash?: string };

async function importAll(messages: Row[][], bearer = boss.accessToken): Promise<ImportUsersResponse[]> {
  const client = createClient(AdminService, createGrpcTransport({ baseUrl: app.url }));
  async function* requests() {
    for (const users of messages) yield { users: users.map(({ row, ...rest }) => ({ row: BigInt(row), ...rest })) };
  }
  const answers: ImportUsersResponse[] = [];
  const options = { headers: { authorization: `Bearer ${bearer}` } };
  for await (const answer of client.importUsers(requests(), options)) answers.push(answer);
  return answers;
}

const password = 'a pass phrase of before';
const scryptHash = () => {
  const salt = Buffer.from('sixteen bytes ..');
  const digest = scryptSync(password, salt, 32, { cost: 1024, blockSize: 8, parallelization: 1 });
  const text = (bytes: Buffer) => bytes.toString('base64').replace(/=+$/, '');
  return `$scrypt$ln=10,r=8,p=1$${text(salt)}$${text(digest)}`;
};
const person = (row: number, more: Partial<Row> = {}): Row => ({
  row,
  email: newPerson().email,
  fullName: 'Grace',
  ...more,
});

test('accounts keep their hashes, which are replaced at the first sign-in', async () => {
  const hashes = [scryptHash(), await bcrypt.hash(password, 4)];
  const people = hashes.map((passwordHash, n) => person(n, { passwordHash, emailVerified: n === 0 }));
  const [answer] = await importAll([people]);
  expect(answer).toMatchObject({ imported: [0n, 1n], existing: [], bad: [] });
  for (const [n, { email }] of people.entries()) {
    expect((await call(auth.login, { email, password: 'another' })).reason).toBe('CREDENTIALS_INVALID');
    const { body } = await call(auth.login, { email, password });
    expect(body.user).toMatchObject({ emailVerified: n === 0, roles: ['user'] });
    const { rows } = await app.owner.query('SELECT password_hash FROM users WHERE email = $1', [email]);
    expect(rows[0].password_hash).toMatch(/^\$argon2id\$/);
    expect((await call(auth.login, { email, password })).code).toBe('ok');
  }
  const events = await eventually(async () => {
    const { rows } = await app.owner.query("SELECT actor FROM audit_events WHERE type = 'user_imported'");
    return rows.length === 2 ? rows : null;
  });
  expect(events[0].actor).toBe(`user:${boss.userId}`);
});

test('each invalid field of each row is reported, and the other rows are imported; a second import changes nothing', async () => {
  const taken = await registered(call);
  const good = person(1);
  const rows = [
    good,
    person(2, { email: 'x' }),
    person(3, { email: '', fullName: '\u0000', passwordHash: 'hunter2' }),
    person(4, { email: taken.email }),
    person(5, { email: good.email.toUpperCase() }),
    person(6, { passwordHash: `$2b$31$${'a'.repeat(53)}` }),
  ];
  const [answer] = await importAll([rows]);
  expect([answer?.imported, answer?.existing]).toEqual([[1n], [4n, 5n]]);
  expect(answer?.bad.map(({ row, field }) => `${row} ${field}`)).toEqual([
    ...['2 email', '3 email', '3 full_name', '3 password_hash', '6 password_hash'],
  ]);
  expect(JSON.stringify(answer?.bad.map(({ description }) => description))).not.toContain('hunter2');
  const [again] = await importAll([rows]);
  expect([again?.imported, again?.existing]).toEqual([[], [1n, 4n, 5n]]);
  expect((await call(auth.login, taken)).code).toBe('ok');
});

test('imports thousands of users in one stream, with a response to each message', async () => {
  const messages = Array.from({ length: 30 }, (_, m) => Array.from({ length: 100 }, (_, n) => person(m * 100 + n)));
  const answers = await importAll(messages);
  expect(answers).toHaveLength(30);
  expect(answers.flatMap(({ imported }) => imported)).toEqual(Array.from({ length: 3_000 }, (_, n) => BigInt(n)));
});

test('requires an administrator, and at most a hundred users in a message', async () => {
  const { accessToken } = await signedIn(call);
  await expect(importAll([[person(1)]], accessToken)).rejects.toThrow('permission_denied');
  await expect(importAll([Array.from({ length: 101 }, (_, n) => person(n))])).rejects.toThrow('invalid_argument');
});

test('reads a file at the command line, which can be corrected and imported again', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-import-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'users.jsonl');
  const { email } = newPerson();
  const good = { email, full_name: 'Grace', email_verified: true, password_hash: scryptHash() };
  const lines = [
    JSON.stringify(good),
    '',
    '{',
    JSON.stringify({ ...good, email: 'x' }),
    JSON.stringify({ ...good, admin: true }),
  ];
  writeFileSync(file, `${lines.join('\n')}\n`);
  const latchkey = async () => {
    const running = runMain(['users', 'import', file], { DATABASE_URL: app.environment.DATABASE_URL });
    return { exit: await running.ended, output: running.output() };
  };
  const first = await latchkey();
  expect(first.exit).toBe(1);
  expect(first.output).toMatch(/^3 +- +must be a JSON object/m);
  expect(first.output).toMatch(/^4 +email +/m);
  expect(first.output).toMatch(/^5 +- +must be a JSON object/m);
  expect(first.output).toContain('1 imported, 0 had an account already, 3 problems');
  writeFileSync(file, lines[0] ?? '');
  expect(await latchkey()).toEqual({ exit: 0, output: '0 imported, 1 had an account already, 0 problems\n' });
  expect((await call(auth.login, { email, password })).body.user.emailVerified).toBe(true);
});
