// Files of other systems, in the layout of their exports, imported as `latchkey users import` does.
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import bcrypt from 'bcrypt';
import { afterAll, describe, expect, test } from 'vitest';
import { type ImportOptions, importFile } from '../../src/cli/import/import-file.ts';
import { asOperator } from '../../src/cli/operator.ts';
import { createOutput } from '../../src/cli/output.ts';
import { OperatorError } from '../../src/process/operator-error.ts';
import { testApp } from '../support/app.ts';
import { auth } from '../support/clients.ts';
import { newPerson } from '../support/people.ts';
import { runMain } from '../support/processes.ts';

const app = await testApp();
const folder = mkdtempSync(join(tmpdir(), 'latchkey-import-'));
afterAll(() => rmSync(folder, { recursive: true }));
const vectors = JSON.parse(readFileSync(join(import.meta.dirname, '../passwords/vectors/hashes.json'), 'utf8')) as {
  password: string;
  hashes: { name: string; hash: string }[];
};
const hashOf = (name: string) => vectors.hashes.find((one) => one.name === name)?.hash ?? expect.fail(name);
const { password } = vectors;
const bcrypted = await bcrypt.hash(password, 4);
const address = () => newPerson().email;

type Given = Partial<ImportOptions> & { providers?: string };
type Result = { output: string; error: string | null };

function written(content: string | Buffer): string {
  const path = join(folder, randomUUID());
  writeFileSync(path, content);
  return path;
}

async function importing(content: string | Buffer, { providers = '', ...given }: Given = {}): Promise<Result> {
  const environment = { ...app.environment, OAUTH_PROVIDERS: providers };
  const options: ImportOptions = {
    ...{ format: '', encoding: '', map: '', 'firebase-parameters': '', report: '' },
    ...{ reason: 'we moved', 'dry-run': false, ...given },
  };
  let output = '';
  const out = createOutput(false, (text) => {
    output += text;
  });
  const file = written(content);
  try {
    const url = app.environment.DATABASE_URL as string;
    const actor = () => ({ kind: 'operator', name: 'tester' }) as const;
    await asOperator({ url, environment, actor }, (operator) =>
      importFile(operator, { file, options, environment }, out),
    );
    return { output, error: null };
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    return { output, error: error.message };
  }
}

const userOf = async (email: string) => {
  const { rows } = await app.owner.query(
    `SELECT id, external_id, full_name, email_verified_at IS NOT NULL AS verified, disabled_at IS NOT NULL AS disabled,
       created_at, password_hash IS NOT NULL AS has_password,
       (SELECT array_agg(role ORDER BY role) FROM user_roles WHERE user_id = users.id) AS roles,
       (SELECT json_agg(json_build_array(provider, issuer, subject)) FROM identities WHERE user_id = users.id) AS identities
     FROM users WHERE email = $1`,
    [email],
  );
  return rows[0] ?? null;
};
const expectSignIn = async (email: string) =>
  expect((await app.call(auth.login, { email, password })).code, email).toBe('ok');
const lines = (...rows: object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');

describe('a file of another system', () => {
  test('Keycloak: users of a realm export keep their ids, names, credentials, roles and identities', async () => {
    await app.owner.query("INSERT INTO roles (name, description) VALUES ('editor', ''), ('buyer', '')");
    const [one, two] = [address(), address()];
    const [id, subject] = [randomUUID(), randomUUID()];
    const realm = {
      realm: 'shop',
      users: [
        {
          ...{ id, username: 'ada', email: one, emailVerified: true, enabled: true, createdTimestamp: 1546875038123 },
          ...{ firstName: 'Ada', lastName: 'Lovelace', attributes: { employee: ['e-17'] } },
          credentials: [{ type: 'otp', secretData: '{}' }, JSON.parse(hashOf('Keycloak argon2'))],
          ...{ realmRoles: ['editors', 'offline_access'], clientRoles: { shop: ['buyer'] } },
          federatedIdentities: [
            { identityProvider: 'google', userId: subject, userName: 'ada' },
            { identityProvider: 'facebook', userId: '1', userName: 'ada' },
          ],
        },
        { id: randomUUID(), username: 'service-account-x', serviceAccountClientId: 'x', enabled: true },
        {
          id: randomUUID(),
          username: 'b',
          email: two,
          enabled: false,
          credentials: [JSON.parse(hashOf('Keycloak pbkdf2-sha512'))],
        },
      ],
      roles: { realm: [{ name: 'editors' }] },
      clients: [{ clientId: 'shop', users: [{ email: 'no@user.example' }] }],
    };
    const map = written(
      JSON.stringify({
        fields: { external_id: 'attributes.employee' },
        roles: { editors: 'editor', 'shop/buyer': 'buyer' },
      }),
    );
    const { output, error } = await importing(JSON.stringify(realm, null, 2), { map, providers: 'google' });
    expect(error).toBeNull();
    expect(output).toContain('2 imported, 0 had an account already, 0 rejected');
    for (const left of [
      'service accounts of clients',
      'credentials of type otp',
      'role offline_access',
      'identities of facebook',
    ]) {
      expect(output).toContain(`left out: ${left} (1)`);
    }
    expect(await userOf(one)).toMatchObject({
      ...{ id, external_id: 'e-17', full_name: 'Ada Lovelace', verified: true, disabled: false },
      ...{ created_at: new Date(1546875038123), roles: ['buyer', 'editor', 'user'] },
      identities: [['google', 'https://accounts.google.com', subject]],
    });
    expect(await userOf(two)).toMatchObject({ disabled: true, verified: false, full_name: '' });
    await expectSignIn(one);
  });

  test('Auth0: the export of password hashes, and the export of users', async () => {
    const [one, two] = [address(), address()];
    const hashes = lines({
      ...{ _id: { $oid: '60425dc43519d90068f82970' }, email_verified: true, email: one, passwordHash: bcrypted },
      ...{
        password_set_date: { $date: '2021-03-05T16:35:16.775Z' },
        tenant: 'acme',
        connection: 'Users',
        _tmp_is_unique: true,
      },
    });
    expect((await importing(hashes)).error).toBeNull();
    expect(await userOf(one)).toMatchObject({ external_id: 'auth0|60425dc43519d90068f82970', verified: true });
    await expectSignIn(one);
    const users = lines({
      ...{
        user_id: 'auth0|2',
        email: two,
        email_verified: false,
        name: two,
        given_name: 'Grace',
        family_name: 'Hopper',
      },
      ...{ created_at: '2019-01-07T15:30:38.123Z', blocked: true },
      identities: [
        { provider: 'auth0', user_id: '2', connection: 'Users', isSocial: false },
        { provider: 'google-oauth2', user_id: '1077', connection: 'google-oauth2', isSocial: true },
      ],
    });
    expect((await importing(users, { providers: 'google' })).error).toBeNull();
    expect(await userOf(two)).toMatchObject({
      ...{ full_name: 'Grace Hopper', disabled: true, created_at: new Date('2019-01-07T15:30:38.123Z') },
      identities: [['google', 'https://accounts.google.com', '1077']],
    });
  });

  test('Firebase: auth:export with the parameters of the project', async () => {
    const [one, two] = [address(), address()];
    const [, , parameters = '', salt = '', hash = ''] = hashOf('Firebase, as Supabase writes it').split('$');
    const signerKey = /sk=(.+)$/.exec(parameters)?.[1];
    const config = `hash_config {\n  algorithm: SCRYPT,\n  base64_signer_key: ${signerKey},\n  base64_salt_separator: Bw==,\n  rounds: 8,\n  mem_cost: 10,\n}\n`;
    const user = {
      localId: 'Xk3nT0uYb5',
      email: one,
      emailVerified: true,
      passwordHash: hash,
      salt,
      displayName: 'Ada',
    };
    const google = { providerId: 'google.com', rawId: '88', email: two };
    const file = JSON.stringify({
      users: [
        { ...user, createdAt: '1546875038123', providerUserInfo: [], disabled: false },
        { localId: 'second', email: two, providerUserInfo: [google, { providerId: 'phone', rawId: '+1' }] },
      ],
    });
    const without = await importing(file, { 'dry-run': true });
    expect(without.output).toMatch(
      /^1 +1 +passwordHash +must be computed with the parameters of the Firebase project/m,
    );
    const { output, error } = await importing(file, { 'firebase-parameters': written(config), providers: 'google' });
    expect([error, output]).toEqual([null, expect.stringContaining('left out: sign-ins by telephone (1)')]);
    expect(await userOf(one)).toMatchObject({
      external_id: 'Xk3nT0uYb5',
      full_name: 'Ada',
      created_at: new Date(1546875038123),
    });
    expect(await userOf(two)).toMatchObject({
      has_password: false,
      identities: [['google', 'https://accounts.google.com', '88']],
    });
    await expectSignIn(one);
    expect((await importing(file, { 'firebase-parameters': written('{}') })).error).toMatch(
      /must have base64_signer_key/,
    );
  });

  test('Supabase: CSV of auth.users', async () => {
    const [one, two] = [address(), address()];
    const id = randomUUID();
    const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`;
    const file = [
      'instance_id,id,aud,role,email,encrypted_password,email_confirmed_at,banned_until,raw_user_meta_data,created_at,deleted_at,identities',
      `,${id},authenticated,authenticated,${one},${bcrypted},2024-01-02 03:04:05.678+00,,${quoted('{"full_name": "Ada, Countess\\nof Lovelace"}').replace('\\n', ' ')},2024-01-02 03:04:05.678901+00,,${quoted('[{"provider":"google","subject":"99"}]')}`,
      `,${randomUUID()},authenticated,authenticated,${two},,,infinity,{},2024-01-02 03:04:05+01,,`,
      `,${randomUUID()},authenticated,authenticated,${address()},,,,{},2024-01-02 03:04:05+00,2024-02-02 03:04:05+00,`,
    ].join('\r\n');
    const { output, error } = await importing(file, { providers: 'google' });
    expect([error, output]).toEqual([null, expect.stringContaining('left out: deleted accounts (1)')]);
    expect(await userOf(one)).toMatchObject({
      ...{ id, full_name: 'Ada, Countess of Lovelace', verified: true, disabled: false },
      ...{
        created_at: new Date('2024-01-02T03:04:05.678Z'),
        identities: [['google', 'https://accounts.google.com', '99']],
      },
    });
    expect(await userOf(two)).toMatchObject({ disabled: true, created_at: new Date('2024-01-02T02:04:05Z') });
    await expectSignIn(one);
  });

  test('Cognito: CSV, and the JSON of list-users', async () => {
    const [one, two] = [address(), address()];
    const [sub, other] = [randomUUID(), randomUUID()];
    const csv = `name,given_name,family_name,email,email_verified,sub,cognito:username,cognito:mfa_enabled\n,Ada,Lovelace,${one},TRUE,${sub},ada,FALSE\n`;
    expect((await importing(csv)).error).toBeNull();
    expect(await userOf(one)).toMatchObject({ id: sub, external_id: 'ada', full_name: 'Ada Lovelace', verified: true });
    const attributes = {
      sub: other,
      email: two,
      email_verified: 'true',
      identities: '[{"userId":"7","providerName":"Google"}]',
    };
    const list = {
      Users: [
        {
          ...{
            Username: other,
            Enabled: false,
            UserStatus: 'CONFIRMED',
            UserCreateDate: '2024-01-02T03:04:05.678000+00:00',
          },
          Attributes: Object.entries(attributes).map(([Name, Value]) => ({ Name, Value })),
        },
      ],
    };
    expect((await importing(JSON.stringify(list), { providers: 'google' })).error).toBeNull();
    expect(await userOf(two)).toMatchObject({
      ...{ id: other, external_id: null, disabled: true, created_at: new Date('2024-01-02T03:04:05.678Z') },
      identities: [['google', 'https://accounts.google.com', '7']],
    });
  });

  test('any CSV or JSON, whose members --map names', async () => {
    const [one, two] = [address(), address()];
    const map = written(
      JSON.stringify({
        fields: {
          email: 'mail',
          full_name: ['first', 'last'],
          password_hash: 'login.hash',
          email_verified: 'confirmed',
        },
      }),
    );
    const json = JSON.stringify(
      [{ mail: one, first: 'Ada', last: 'Lovelace', login: { hash: bcrypted }, confirmed: 1 }],
      null,
      1,
    );
    expect((await importing(json, { map })).error).toBeNull();
    expect(await userOf(one)).toMatchObject({ full_name: 'Ada Lovelace', verified: true });
    await expectSignIn(one);
    const csv = `mail,first,last,confirmed\n${two},Grace,Hopper,no\n`;
    expect((await importing(csv, { map, format: 'csv' })).error).toBeNull();
    expect(await userOf(two)).toMatchObject({ full_name: 'Grace Hopper', verified: false, has_password: false });
    const wrong = written(JSON.stringify({ fields: { mail: 'email' } }));
    expect((await importing(json, { map: wrong })).error).toMatch(
      /--map must be JSON with fields, roles and providers/,
    );
  });
});

describe('the encoding', () => {
  const name = 'André Müller';
  const row = (email: string) => lines({ email, full_name: name });

  test.each([
    ['UTF-8 with its mark', (text: string) => Buffer.from(`\ufeff${text}`)],
    ['UTF-16, little endian, with its mark', (text: string) => Buffer.from(`\ufeff${text}`, 'utf16le')],
    ['UTF-16, big endian, with its mark', (text: string) => Buffer.from(`\ufeff${text}`, 'utf16le').swap16()],
    ['UTF-16 without a mark', (text: string) => Buffer.from(text, 'utf16le')],
    ['lines that end in CR LF', (text: string) => Buffer.from(text.replaceAll('\n', '\r\n'))],
  ])('%s is read', async (_, encode) => {
    const email = address();
    expect((await importing(encode(row(email)))).error).toBeNull();
    expect((await userOf(email)).full_name).toBe(name);
  });

  test('Latin-1 is rejected with the line before anything is written, and read when it is named', async () => {
    const [one, two] = [address(), address()];
    const file = Buffer.concat([Buffer.from(lines({ email: one })), Buffer.from(row(two), 'latin1')]);
    const { error } = await importing(file);
    expect(error).toMatch(/^line 2 is not valid UTF-8: .*--encoding latin1/);
    expect(await userOf(one)).toBeNull();
    expect((await importing(file, { encoding: 'latin1' })).error).toBeNull();
    expect((await userOf(two)).full_name).toBe(name);
    expect((await importing(file, { encoding: 'klingon' })).error).toMatch(/--encoding must name an encoding/);
  });

  test('a character across two pieces of the file is read, and an error there has its line', async () => {
    const filler = `${' '.repeat(65_535)}`;
    const email = address();
    const file = Buffer.from(
      `${filler.slice(lines({ email, full_name: 'x' }).length)}${lines({ email, full_name: 'é'.repeat(100) })}`,
    );
    expect((await importing(file, { format: 'latchkey' })).error).toBeNull();
    const spoiled = Buffer.concat([Buffer.from('\n'.repeat(65_535)), Buffer.from([0xc3]), Buffer.from('\n\n')]);
    expect((await importing(spoiled)).error).toMatch(/^line 65536 is not valid UTF-8/);
  });
});

describe('an entry', () => {
  test('is rejected with its line and member, and the others are imported', async () => {
    const [one, two] = [address(), address()];
    const file = [
      { email: one, full_name: null, email_verified: null, password_hash: null },
      { email: one.toUpperCase() },
      { email: 'x' },
      { email: address(), email_verified: 'perhaps' },
      { email: address(), password_hash: '5f4dcc3b5aa765d61d8327deb882cf99' },
      { email: address(), admin: true },
      { email: address(), id: '17' },
      { email: address(), created_at: 'yesterday' },
      { email: address(), roles: 'no-such-role' },
      { email: address(), identities: [{ provider: 'google' }] },
      ['not', 'an', 'object'],
      { email: two },
    ];
    const report = join(folder, randomUUID());
    const { output, error } = await importing(lines(...file), { report });
    const problems = output.split('\n').flatMap((line) => /^(\d+) +\d+ +(\S+)/.exec(line)?.slice(1, 3).join(' ') ?? []);
    expect(problems).toEqual(
      [
        ...['2 email', '3 email', '4 email_verified', '5 password_hash', '6 admin', '7 id', '8 created_at', '9 roles'],
        ...['10 identities', '11 -'],
      ].sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10)),
    );
    expect(output).toContain('is the same as in line 1');
    expect(output).toMatch(/MD5 or NTLM digest.*the user sets a password/);
    expect(output).toContain('2 imported, 0 had an account already, 10 rejected');
    expect(error).toMatch(/correct these entries and import the file again/);
    const results = readFileSync(report, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(results).toHaveLength(12);
    expect(results[0]).toEqual({ line: 1, entry: 1, result: 'imported', user_id: (await userOf(one)).id });
    expect(results[2]).toMatchObject({ line: 3, result: 'rejected', field: 'email' });
  });

  test('is checked and not written in a dry run', async () => {
    const email = address();
    const { output } = await importing(lines({ email }, { email: 'x' }), { 'dry-run': true });
    expect(output).toContain('1 would be imported, 0 had an account already, 1 rejected');
    expect(await userOf(email)).toBeNull();
  });

  test('repeated far away names both lines', async () => {
    const email = address();
    const many = Array.from({ length: 2_000 }, (_, n) => ({ email: n === 1_500 ? email : address() }));
    const { output } = await importing(lines(...many, { email }), { 'dry-run': true });
    expect(output).toMatch(/^2001 +2001 +email +is the same as in line 1501/m);
    expect(output).toContain('2000 would be imported');
  });
});

describe('a hostile file', () => {
  const good = () => lines({ email: address() });

  test.each<[string, () => string, RegExp]>([
    [
      'a line of many megabytes',
      () => `{"email":"${'x'.repeat(5_000_000)}"}\n${good()}`,
      /^1 +1 +- +must be at most 1 MiB/m,
    ],
    ['deep JSON on a line', () => `{"a":${'['.repeat(100_000)}\n${good()}`, /^1 +1 +- +must be one JSON object/m],
    ['a NUL', () => `{"email":"a\\u0000@b.example"}\n${good()}`, /^1 +1 +email/m],
    ['half a surrogate', () => `{"email":"${address()}","full_name":"\\ud800"}\n${good()}`, /^1 +1 +full_name/m],
    ['a prototype', () => `{"email":"x","__proto__":{"email_verified":true}}\n${good()}`, /^1 +1 +__proto__/m],
    ['a line that is no JSON', () => `{\n${good()}`, /^1 +1 +- +must be one JSON object/m],
  ])('%s costs its entry only', async (_, content, problem) => {
    const { output } = await importing(content(), { format: 'latchkey' });
    expect(output).toMatch(problem);
    expect(output).toContain('1 imported');
  });

  test.each<[string, string, Given, RegExp]>([
    [
      'deep JSON',
      `{"realm":"x","users":[${'['.repeat(1_000)}`,
      { format: 'keycloak' },
      /^line 1: the JSON is too deep/,
    ],
    [
      'JSON that ends early',
      '{"realm":"x","users":[\n{"email":"a"}',
      { format: 'keycloak' },
      /^line 2: the JSON of the file is incomplete/,
    ],
    ['no JSON', '{"realm":"x",\n\n"users":[nope]}', { format: 'keycloak' }, /^line 3: the file is not JSON/],
    [
      'a quotation mark without its end',
      `email,full_name\na@b.example,"${'x'.repeat(3_000_000)}`,
      { format: 'csv' },
      /^line 2: must be at most 1 MiB/,
    ],
    ['two columns of one name', 'email,email\na,b\n', { format: 'csv' }, /two columns of the file have the same name/],
    ['an unknown form', 'hello\n', {}, /the format of the file is unclear: name it by --format/],
    ['a format without a table', '{}\n', { format: 'toString' }, /--format must be one of latchkey/],
    ['nothing', '', {}, /the format of the file is unclear/],
  ])('%s stops the import with a reason', async (_, content, given, problem) => {
    const { error } = await importing(content, given);
    expect(error).toMatch(problem);
  });

  test('a JSON element of many megabytes costs that element only', async () => {
    const email = address();
    const users = [{ email: address(), attributes: { x: 'y'.repeat(3_000_000) } }, { email }];
    const { output } = await importing(JSON.stringify({ realm: 'x', users }, null, 1));
    expect(output).toMatch(/^4 +1 +- +must be at most 1 MiB/m);
    expect(await userOf(email)).not.toBeNull();
  });
});

test.each<[string, Given, RegExp]>([
  ['a mapping that does not exist', { map: '/no/such/file' }, /no.such.file does not exist: correct the path/],
  ['a mapping that is a folder', { map: folder }, /is a folder: name a file/],
  ['a report that exists', { report: written('') }, /exists: name a new file for the report/],
  ['no reason', { reason: ' ' }, /INVALID_ARGUMENT|reason/],
])('%s stops the import with a sentence', async (_, given, message) => {
  const email = address();
  const { error } = await importing(lines({ email }), given).catch((error: Error) => ({ error: error.message }));
  expect(error).toMatch(message);
  expect(await userOf(email)).toBeNull();
});

test('an import that was interrupted is repeated with the whole file', async () => {
  const rows = Array.from({ length: 250 }, () => ({ email: address() }));
  await importing(`${lines(...rows.slice(0, 150))}{`);
  const { output, error } = await importing(lines(...rows));
  expect([error, output]).toEqual([null, '100 imported, 150 had an account already, 0 rejected\n']);
});

test('the command line imports a file that can be corrected and imported again', async () => {
  const file = join(folder, 'users.jsonl');
  const email = address();
  const row = lines({ email, full_name: 'Grace', email_verified: true, password_hash: bcrypted });
  const latchkey = async () => {
    const words = ['users', 'import', file, '--reason', 'we moved'];
    const running = runMain(words, { DATABASE_URL: app.environment.DATABASE_URL });
    return { exit: await running.ended, output: running.output() };
  };
  writeFileSync(file, `${row}\n{\n`);
  const first = await latchkey();
  expect(first.exit).toBe(1);
  expect(first.output).toMatch(/^3 +2 +- +must be one JSON object/m);
  expect(first.output).toContain('1 imported, 0 had an account already, 1 rejected');
  writeFileSync(file, row);
  expect(await latchkey()).toEqual({ exit: 0, output: '0 imported, 1 had an account already, 0 rejected\n' });
  await expectSignIn(email);
});
