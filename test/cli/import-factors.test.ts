// Second factors in the files of other systems, and a move from one deployment to another that loses nothing.
import { generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import { decryptSecret } from '../../src/domain/secret-encryption.ts';
import { parseTotpUri, totpSecretText, totpUri } from '../../src/factors/totp.ts';
import { derivePurposeKeys } from '../../src/keys/purpose-keys.ts';
import { startTestApp, type TestApp, testApp } from '../support/app.ts';
import { coseKeyOf } from '../support/authenticator.ts';
import { admin, auth } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { newPerson, registered, signedInWith } from '../support/people.ts';
import { runMain } from '../support/processes.ts';

const GOOGLE = {
  OAUTH_PROVIDERS: 'google',
  OAUTH_GOOGLE_CLIENT_ID: 'a client',
  OAUTH_GOOGLE_CLIENT_SECRET: 'a secret of the client',
  OAUTH_GOOGLE_REDIRECT_URIS: 'https://app.example/callback',
};
const app = await testApp(GOOGLE);
const folder = mkdtempSync(join(tmpdir(), 'latchkey-factors-'));
afterAll(() => rmSync(folder, { recursive: true }));

function written(content: string): string {
  const path = join(folder, randomUUID());
  writeFileSync(path, content);
  return path;
}

async function latchkey(of: TestApp, args: string[], without: string[] = []) {
  const { DATABASE_URL, MASTER_KEY } = of.environment;
  const environment = Object.fromEntries(
    Object.entries({ DATABASE_URL, MASTER_KEY, ...GOOGLE }).filter(([name]) => !without.includes(name)),
  );
  const running = runMain([...args, '--reason', 'we moved'], environment);
  return { exit: await running.ended, output: running.output() };
}
const importing = (content: string, format: string, of = app) =>
  latchkey(of, ['users', 'import', written(content), '--format', format]);

/** The factors of an account, with the secrets of its apps as texts. */
async function factorsOf(email: string, { owner, environment }: TestApp = app) {
  const { totpSecrets } = derivePurposeKeys([Buffer.from(environment.MASTER_KEY as string, 'base64')]);
  const { rows } = await owner.query(
    'SELECT factors.* FROM factors JOIN users ON user_id = users.id WHERE email = $1 ORDER BY factors.id',
    [email],
  );
  return rows.map(({ id, user_id: _, created_at: __, totp_secret: secret, ...row }) => ({
    ...row,
    totp_secret: secret && totpSecretText(decryptSecret(secret, id, totpSecrets)?.bytes ?? Buffer.alloc(0)),
  }));
}

const publicKey = coseKeyOf(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey, 'ES256');

describe('users import takes the factors of', () => {
  test('Keycloak: one-time codes in both encodings, security keys and passkeys', async () => {
    const [email, id] = [newPerson().email, randomUUID()];
    const [characters, base32] = ['Hsn3cGv8qk1TzPw0aXyB', totpSecretText(randomBytes(20))];
    const otp = (value: string, more: object = {}) => ({
      ...{ type: 'otp', userLabel: 'phone', secretData: JSON.stringify({ value }) },
      credentialData: JSON.stringify({
        ...{ subType: 'totp', digits: 6, counter: 0, period: 30, algorithm: 'HmacSHA1' },
        ...more,
      }),
    });
    const credentialId = randomBytes(32);
    const webauthn = {
      ...{ type: 'webauthn-passwordless', userLabel: 'laptop', secretData: '{}' },
      credentialData: JSON.stringify({
        ...{ aaguid: '00000000-0000-0000-0000-000000000000', credentialId: credentialId.toString('base64') },
        ...{ counter: 7, attestationStatement: null, credentialPublicKey: publicKey.toString('base64url') },
        ...{ attestationStatementFormat: 'none', transports: ['internal', 'hybrid'] },
      }),
    };
    const credentials = [
      ...[otp(characters), otp(base32, { secretEncoding: 'BASE32' }), webauthn],
      ...[
        otp('x'.repeat(20), { digits: 8 }),
        otp('x'.repeat(20), { subType: 'hotp' }),
        { type: 'recovery-authn-codes' },
      ],
    ];
    const realm = { realm: 'shop', users: [{ id, email, enabled: true, credentials }] };
    const { exit, output } = await importing(JSON.stringify(realm), 'keycloak');
    expect({ exit, output }).toMatchObject({ exit: 0, output: expect.stringContaining('1 imported') });
    expect(output).toContain('left out: credentials of type otp (2)');
    expect(output).toContain('left out: credentials of type recovery-authn-codes (1)');
    expect(await factorsOf(email)).toMatchObject([
      { kind: 'totp', name: 'phone', totp_secret: totpSecretText(Buffer.from(characters)) },
      { kind: 'totp', totp_secret: base32 },
      {
        ...{ kind: 'passkey', name: 'laptop', credential_id: credentialId, public_key: publicKey, sign_count: '7' },
        ...{ user_handle: Buffer.from(id), transports: ['internal', 'hybrid'] },
      },
    ]);
  });

  test('Supabase: a column with the verified factors', async () => {
    const email = newPerson().email;
    const secret = totpSecretText(randomBytes(20));
    const factors = JSON.stringify([{ name: null, totp_uri: `otpauth://totp/x?secret=${secret}` }]);
    const csv = `instance_id,id,email,encrypted_password,factors\n0,${randomUUID()},${email},,"${factors.replaceAll('"', '""')}"\n`;
    expect((await importing(csv, 'supabase')).exit).toBe(0);
    expect(await factorsOf(email)).toMatchObject([{ name: 'Authenticator app', totp_secret: secret }]);
  });

  test('CSV: one otpauth URI, or JSON', async () => {
    const [one, two] = [newPerson().email, newPerson().email];
    const uri = totpUri({ secret: randomBytes(20), issuer: 'Shop', account: 'ada' });
    const json = JSON.stringify([{ name: 'phone', totp_uri: uri }]).replaceAll('"', '""');
    expect((await importing(`email,factors\n${one},${uri}\n${two},"${json}"\n`, 'csv')).exit).toBe(0);
    const totp_secret = totpSecretText(parseTotpUri(uri));
    expect(await factorsOf(one)).toMatchObject([{ name: 'Authenticator app', totp_secret }]);
    expect(await factorsOf(two)).toMatchObject([{ name: 'phone', totp_secret }]);
  });
});

test.each<[string, unknown, RegExp]>([
  ['a text', 'JBSWY3DP', /must be a list of objects with name, and totp_uri or passkey/],
  ['an unknown member', [{ secret: 'x' }], /must be a list of objects/],
  [
    'a passkey without a key',
    [{ passkey: { credential_id: 'AAAA' } }],
    /passkey must have credential_id and public_key/,
  ],
  ['bytes of another encoding', [{ passkey: { credential_id: '0x12', public_key: '§' } }], /in base64url/],
])('%s in place of factors is rejected', async (_, factors, problem) => {
  const email = newPerson().email;
  const { exit, output } = await importing(`${JSON.stringify({ email, factors })}\n`, 'latchkey');
  expect(exit).toBe(1);
  expect(output).toMatch(problem);
});

test('an import of TOTP secrets requires the MASTER_KEY of the service', async () => {
  const uri = totpUri({ secret: randomBytes(20), issuer: 'Shop', account: 'ada' });
  const email = newPerson().email;
  const file = written(`${JSON.stringify({ email, factors: [{ totp_uri: uri }] })}\n`);
  const without = await latchkey(app, ['users', 'import', file], ['MASTER_KEY']);
  expect(without.output).toContain('MASTER_KEY');
  const other = { ...app, environment: { ...app.environment, MASTER_KEY: randomBytes(32).toString('base64') } };
  expect((await latchkey(other, ['users', 'import', file])).output).toContain('the service uses another one');
  expect(await factorsOf(email)).toEqual([]);
});

describe('users export', () => {
  test('prints what users import reads: in an empty database the accounts sign in as before', async () => {
    const old = await startTestApp(GOOGLE);
    const next = await startTestApp(GOOGLE);
    onTestFinished(async () => {
      await Promise.all([old.close(), next.close()]);
    });
    for (const { owner } of [old, next])
      await owner.query("INSERT INTO roles (name, description) VALUES ('editor', '')");
    const person = await registered(old.call);
    const boss = await signedInWith(old, old.call, ['admin', 'editor']);
    await old.owner.query(
      "UPDATE user_roles SET expires_at = now() + interval '1 day' WHERE role = 'editor' AND user_id = $1",
      [boss.userId],
    );
    await old.owner.query('UPDATE users SET disabled_at = now(), external_id = $2, full_name = $3 WHERE id = $1', [
      ...[person.userId, 'crm|17', 'Zoë "Q" \\ O’Neil'],
    ]);
    const uri = totpUri({ secret: randomBytes(20), issuer: 'Shop', account: 'ada' });
    const imported = {
      ...{ email: newPerson().email, email_verified: true, created_at: '2019-01-07T15:30:38.123Z' },
      ...{ roles: ['editor'], identities: [{ provider: 'google', subject: '17' }] },
      factors: [
        { name: 'phone', totp_uri: uri },
        {
          name: 'laptop',
          passkey: {
            ...{ credential_id: randomBytes(20).toString('base64url'), public_key: publicKey.toString('base64url') },
            ...{ counter: 3, user_handle: 'AQID', transports: ['usb'], backed_up: true },
          },
        },
      ],
    };
    expect((await importing(`${JSON.stringify(imported)}\n`, 'latchkey', old)).exit).toBe(0);

    const { exit, output } = await latchkey(old, ['users', 'export']);
    expect(exit).toBe(0);
    const lines = output.split('\n').filter((line) => line.startsWith('{'));
    expect(lines).toHaveLength(3);
    expect(output).toContain('left out: grants of roles that expire (1)');
    expect(output).toContain('3 accounts exported');
    expect((await importing(lines.join('\n'), 'latchkey', next)).output).toContain('3 imported');

    const again = await latchkey(next, ['users', 'export']);
    const withoutUris = (line: string) => line.replace(/otpauth:[^"]*/, (text) => totpSecretText(parseTotpUri(text)));
    expect(
      again.output
        .split('\n')
        .filter((line) => line.startsWith('{'))
        .map(withoutUris),
    ).toEqual(lines.map(withoutUris));
    expect(await factorsOf(imported.email, next)).toEqual(await factorsOf(imported.email, old));
    const { body } = await next.call(auth.login, { email: boss.email, password: boss.password });
    expect(body.user).toMatchObject({ id: boss.userId, roles: ['admin', 'user'] });
    const found = await next.call(admin.getUser, { externalId: 'crm|17' }, { bearer: body.tokens.accessToken });
    expect(found.body.user).toMatchObject({ user: { id: person.userId, fullName: 'Zoë "Q" \\ O’Neil' } });
    expect(found.body.user.disabledAt).toBeDefined();
    const events = await eventually(async () => {
      const { rows } = await old.owner.query("SELECT actor, detail FROM audit_events WHERE type = 'users_exported'");
      return rows.length > 0 ? rows : null;
    });
    expect(events).toMatchObject([{ actor: expect.stringMatching(/^operator:/), detail: 'we moved' }]);
  });

  test('requires a reason and the MASTER_KEY of the service, and stops at a secret of another one', async () => {
    const { email } = await registered(app.call);
    expect((await latchkey(app, ['users', 'export'], ['MASTER_KEY'])).output).toContain('MASTER_KEY');
    await app.owner.query(
      `INSERT INTO factors (id, user_id, kind, name, created_at, totp_secret, totp_step)
        SELECT $2, id, 'totp', '', now(), '\\x00', 0 FROM users WHERE email = $1`,
      [email, randomUUID()],
    );
    const { exit, output } = await latchkey(app, ['users', 'export']);
    expect(exit).toBe(1);
    expect(output).toMatch(/factor [0-9a-f-]{36} cannot be decrypted with this MASTER_KEY/);
  });
});
