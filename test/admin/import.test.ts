import { randomUUID, scryptSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import argon2 from 'argon2';
import bcrypt from 'bcrypt';
import { beforeAll, expect, test } from 'vitest';
import {
  AdminService,
  type ImportedUserSchema,
  type ImportUsersResponse,
} from '../../gen/latchkey/auth/v1/admin_service_pb.ts';
import { testApp } from '../support/app.ts';
import { admin, auth, type Outcome } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { newPerson, registered, type SignedIn, signedIn, signedInWith } from '../support/people.ts';

const app = await testApp({
  OAUTH_PROVIDERS: 'google',
  OAUTH_GOOGLE_CLIENT_ID: 'a client',
  OAUTH_GOOGLE_CLIENT_SECRET: 'a secret of the client',
  OAUTH_GOOGLE_REDIRECT_URIS: 'https://app.example/callback',
});
const { call } = app;
let boss: SignedIn;
beforeAll(async () => {
  boss = await signedInWith(app, call, ['admin']);
});

type Message = Omit<MessageInitShape<typeof ImportedUserSchema>, '$typeName' | '$unknown' | 'row' | 'email'>;
type Row = Message & { row: number; email: string };
type Options = { bearer?: string; reason?: string; dryRun?: boolean };

async function importAll(
  messages: Row[][],
  { bearer = boss.accessToken, reason = 'we moved', dryRun = false }: Options = {},
): Promise<ImportUsersResponse[]> {
  const client = createClient(AdminService, createGrpcTransport({ baseUrl: app.url }));
  async function* requests() {
    for (const users of messages) {
      yield { users: users.map(({ row, ...rest }) => ({ ...rest, row: BigInt(row) })) as never, reason, dryRun };
    }
  }
  const answers: ImportUsersResponse[] = [];
  const options = { headers: { authorization: `Bearer ${bearer}` } };
  for await (const answer of client.importUsers(requests(), options)) answers.push(answer);
  return answers;
}

async function importOne(row: Partial<Row>, options: Options = {}): Promise<ImportUsersResponse> {
  const [answer] = await importAll([[person(1, row)]], options);
  return answer ?? expect.fail('no response');
}

/** Again when the machine was too busy for the hash. */
async function signIn(email: string, typed: string): Promise<Outcome> {
  const outcome = await call(auth.login, { email, password: typed });
  return outcome.reason === 'DEADLINE_EXCEEDED' ? signIn(email, typed) : outcome;
}

const rowsOf = (rows: { row: bigint }[] = []) => rows.map(({ row }) => row);

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
  expect(answer).toMatchObject({ imported: [{ row: 0n }, { row: 1n }], existing: [], bad: [] });
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
  expect([rowsOf(answer?.imported), rowsOf(answer?.existing)]).toEqual([[1n], [4n]]);
  expect(answer?.bad.map(({ row, field }) => `${row} ${field}`)).toEqual([
    ...['2 email', '3 email', '3 full_name', '3 password_hash', '6 password_hash', '5 email'],
  ]);
  expect(JSON.stringify(answer?.bad.map(({ description }) => description))).not.toContain('hunter2');
  const [again] = await importAll([rows]);
  expect(again?.imported).toEqual([]);
  expect(again?.existing).toMatchObject([
    { row: 1n, userId: answer?.imported[0]?.userId },
    { row: 4n, userId: taken.userId },
  ]);
  expect((await call(auth.login, taken)).code).toBe('ok');
});

test('imports thousands of users in one stream, with a response to each message', async () => {
  const messages = Array.from({ length: 30 }, (_, m) => Array.from({ length: 100 }, (_, n) => person(m * 100 + n)));
  const answers = await importAll(messages);
  expect(answers).toHaveLength(30);
  expect(answers.flatMap(({ imported }) => rowsOf(imported))).toEqual(
    Array.from({ length: 3_000 }, (_, n) => BigInt(n)),
  );
});

test('requires an administrator, a reason, and at most a hundred users in a message', async () => {
  const { accessToken } = await signedIn(call);
  await expect(importAll([[person(1)]], { bearer: accessToken })).rejects.toThrow('permission_denied');
  await expect(importAll([Array.from({ length: 101 }, (_, n) => person(n))])).rejects.toThrow('invalid_argument');
  await expect(importAll([[person(1)]], { reason: '' })).rejects.toThrow('invalid_argument');
});

test('an account keeps its id, its time, its roles, its identities and that it is disabled', async () => {
  await call(admin.defineRole, { role: { name: 'editor' }, reason: 'a test' }, { bearer: boss.accessToken });
  const userId = randomUUID();
  const createdAt = new Date('2019-01-07T15:30:38.123Z');
  const externalId = `auth0|${randomUUID()}`;
  const given = person(1, {
    ...{ fullName: '', passwordHash: scryptHash(), userId, externalId, createdAt: timestampFromDate(createdAt) },
    ...{ roles: ['editor', 'user'], identities: [{ provider: 'google', subject: randomUUID() }] },
  });
  const [answer] = await importAll([[given]]);
  expect(answer?.imported).toMatchObject([{ row: 1n, userId }]);
  const { body } = await call(auth.login, { email: given.email, password });
  expect(body.user).toMatchObject({ id: userId, fullName: '', roles: ['editor', 'user'] });
  const found = await call(admin.getUser, { externalId }, { bearer: boss.accessToken });
  expect(found.body.user).toMatchObject({ externalId, providers: ['google'] });
  expect(found.body.user.grants).toContainEqual(expect.objectContaining({ role: 'editor', reason: 'we moved' }));
  expect(new Date(found.body.user.user.createdAt)).toEqual(createdAt);
  const audited = await eventually(async () => {
    const { rows } = await app.owner.query(
      'SELECT type, detail, after FROM audit_events WHERE user_id = $1 AND actor IS NOT NULL ORDER BY seq',
      [userId],
    );
    return rows.length === 2 ? rows : null;
  });
  expect(audited).toMatchObject([
    { type: 'user_imported', detail: 'we moved', after: { hasPassword: true, providers: ['google'] } },
    { type: 'role_granted', detail: 'we moved', after: { role: 'editor' } },
  ]);

  const disabled = person(2, { passwordHash: scryptHash(), disabled: true });
  await importAll([[disabled]]);
  expect((await call(auth.login, { email: disabled.email, password })).reason).toBe('CREDENTIALS_INVALID');
});

test('an id or identity of another account is rejected with its field', async () => {
  const identities = [{ provider: 'google', subject: randomUUID() }];
  const [userId, externalId] = [randomUUID(), randomUUID()];
  expect((await importOne({ userId, externalId, identities })).bad).toEqual([]);
  const service = await call(
    admin.createServiceAccount,
    { name: `robot-${randomUUID().slice(0, 8)}`, reason: 'a test' },
    { bearer: boss.accessToken },
  );
  const wrong: [Partial<Row>, string][] = [
    [{ userId }, 'user_id'],
    [{ userId: service.body.serviceAccountId }, 'user_id'],
    [{ externalId }, 'external_id'],
    [{ identities }, 'identities'],
    [{ identities: [...identities, ...identities] }, 'identities'],
    [{ identities: [{ provider: 'unknown', subject: '1' }] }, 'identities'],
    [{ identities: [{ provider: 'google', subject: 'ä' }] }, 'identities'],
    [{ userId: userId.toUpperCase() }, 'user_id'],
    [{ externalId: 'x'.repeat(256) }, 'external_id'],
    [{ externalId: 'line\nbreak' }, 'external_id'],
    [{ roles: ['no-such-role'] }, 'roles'],
    [{ roles: ['Not A Role'] }, 'roles'],
    [{ createdAt: timestampFromDate(new Date(Date.now() + 60_000)) }, 'created_at'],
    [{ createdAt: { seconds: 10n ** 18n, nanos: 0 } }, 'created_at'],
    [{ fullName: 'Andr\ufffd' }, 'full_name'],
  ];
  for (const [more, field] of wrong) {
    const { imported, bad } = await importOne(more);
    expect(
      [imported, bad.map((one) => one.field)],
      JSON.stringify(more, (_, v) => String(v)),
    ).toEqual([[], [field]]);
  }
});

test('the rows of a message differ, and a repetition names the row before it', async () => {
  const shared = { externalId: randomUUID() };
  const [answer] = await importAll([[person(7, shared), person(9, shared)]]);
  expect(rowsOf(answer?.imported)).toEqual([7n]);
  expect(answer?.bad).toMatchObject([{ row: 9n, field: 'external_id', description: 'must differ from that of row 7' }]);
});

test('a role that the caller may not grant is rejected, and the other rows are imported', async () => {
  const name = `payer-${randomUUID().slice(0, 8)}`;
  const granter = { name: `${name}-granter` };
  await call(admin.defineRole, { role: granter, reason: 'a test' }, { bearer: boss.accessToken });
  await app.owner.query('INSERT INTO roles (name, description, granter) VALUES ($1, $2, $3)', [name, '', granter.name]);
  const [answer] = await importAll([[person(1, { roles: [name] }), person(2)]]);
  expect([rowsOf(answer?.imported), answer?.bad.map(({ field }) => field)]).toEqual([[2n], ['roles']]);
});

test('a dry run returns the results and writes nothing', async () => {
  const userId = randomUUID();
  const rows = [person(1, { userId }), person(2), person(3, { email: 'x' }), person(4, { email: boss.email })];
  const [answer] = await importAll([rows], { dryRun: true });
  expect(answer?.imported).toMatchObject([
    { row: 1n, userId },
    { row: 2n, userId: '' },
  ]);
  expect([rowsOf(answer?.existing), rowsOf(answer?.bad)]).toEqual([[4n], [3n]]);
  const { rows: found } = await app.owner.query('SELECT FROM users WHERE email = ANY ($1)', [
    rows.slice(0, 2).map(({ email }) => email),
  ]);
  expect(found).toEqual([]);
  expect(rowsOf((await importAll([rows]))[0]?.imported)).toEqual([1n, 2n]);
});

test('two imports of the same accounts at the same time import each account once', async () => {
  const rows = Array.from({ length: 50 }, (_, n) =>
    person(n, { externalId: randomUUID(), identities: [{ provider: 'google', subject: randomUUID() }] }),
  );
  const answers = (await Promise.all([importAll([rows]), importAll([rows]), importAll([rows])])).flat();
  expect(answers.flatMap(({ bad }) => bad)).toEqual([]);
  expect(answers.flatMap(({ imported }) => imported)).toHaveLength(50);
  expect(answers.flatMap(({ existing }) => existing)).toHaveLength(100);
});

test('a decomposed password and one of more than 72 bytes sign in, and are replaced by the whole NFC', async () => {
  const long = 'съешь же ещё этих мягких французских булок, да';
  const decomposed = 'cre\u0300me bru\u0302le\u0301e a\u0300 la carte';
  const argon2id = await argon2.hash(decomposed, { memoryCost: 256, timeCost: 1, parallelism: 1 });
  const cases: [hash: string, password: string][] = [
    [await bcrypt.hash(long, 4), long],
    [await bcrypt.hash(decomposed, 4), decomposed],
    // Its parameters are the configured ones, so that only the form shows that it must be replaced.
    [argon2id, decomposed],
  ];
  for (const [passwordHash, typed] of cases) {
    const one = person(1, { passwordHash });
    await importAll([[one]]);
    const { email } = one;
    expect((await signIn(email, typed)).code).toBe('ok');
    expect((await signIn(email, typed.normalize('NFC'))).code).toBe('ok');
    expect((await signIn(email, typed.slice(0, -1))).reason).toBe('CREDENTIALS_INVALID');
  }
}, 60_000);

// The last test: from here on, each failed sign-in computes all kinds.
test('every form of a password hash signs in once imported, and is replaced', async () => {
  const { password: right, hashes } = JSON.parse(
    readFileSync(join(import.meta.dirname, '../passwords/vectors/hashes.json'), 'utf8'),
  ) as { password: string; hashes: { name: string; hash: string }[] };
  const people = hashes.map(({ hash }, n) => person(n, { passwordHash: hash }));
  const [answer] = await importAll([people]);
  expect(answer?.bad).toEqual([]);
  for (const [n, { email }] of people.entries()) {
    expect((await signIn(email, right)).code, hashes[n]?.name).toBe('ok');
  }
  const { rows } = await app.owner.query(
    "SELECT email FROM users WHERE email = ANY ($1) AND password_hash NOT LIKE '$argon2id$v=19$m=%'",
    [people.map(({ email }) => email)],
  );
  expect(rows).toEqual([]);
}, 120_000);
