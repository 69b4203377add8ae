import { generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  AdminService,
  type ImportedFactorSchema,
  type ImportedUserSchema,
  type ImportUsersResponse,
} from '../../gen/latchkey/auth/v1/admin_service_pb.ts';
import { decryptSecret } from '../../src/domain/secret-encryption.ts';
import { uuidToBytes } from '../../src/domain/uuid.ts';
import { parseTotpUri, totpSecretText, totpUri } from '../../src/factors/totp.ts';
import { derivePurposeKeys } from '../../src/keys/purpose-keys.ts';
import { testApp } from '../support/app.ts';
import { coseKeyOf } from '../support/authenticator.ts';
import { account, auth } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { newPerson, registered, type SignedIn, signedInWith } from '../support/people.ts';
import { signInWithCode, stepUpWithCode, type WithTotp } from '../support/second-factors.ts';
import { WITH_PROVIDER } from '../support/sensitive-calls.ts';

const app = await testApp(WITH_PROVIDER);
const { call, owner } = app;
const masterKey = Buffer.from(app.environment.MASTER_KEY as string, 'base64');
const { totpSecrets } = derivePurposeKeys([masterKey]);
let boss: SignedIn;
beforeAll(async () => {
  boss = await signedInWith(app, call, ['admin']);
});

type Given = MessageInitShape<typeof ImportedFactorSchema>;
type Row = MessageInitShape<typeof ImportedUserSchema>;

async function importing(...rows: Row[]): Promise<ImportUsersResponse> {
  const client = createClient(AdminService, createGrpcTransport({ baseUrl: app.url }));
  async function* requests() {
    const users = rows.map((row, n) => ({ row: BigInt(n), email: newPerson().email, ...row }));
    yield { users: users as never, reason: 'we moved' };
  }
  const options = { headers: { authorization: `Bearer ${boss.accessToken}` } };
  for await (const answer of client.importUsers(requests(), options)) return answer;
  throw new Error('no answer');
}

const secretUri = (bytes = 20) => totpUri({ secret: randomBytes(bytes), issuer: 'Elsewhere', account: 'ada' });
const totp = (uri = secretUri(), name = ''): Given => ({ name, factor: { case: 'totpUri', value: uri } });
const publicKey = coseKeyOf(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey, 'ES256');
const passkey = (more: object = {}, name = ''): Given => ({
  name,
  factor: { case: 'passkey', value: { credentialId: randomBytes(16), publicKey, ...more } },
});
const rowsOf = async (userId: string) =>
  (await owner.query('SELECT * FROM factors WHERE user_id = $1 ORDER BY id', [userId])).rows;
const userIdOf = ({ imported }: ImportUsersResponse) => imported[0]?.userId ?? '';

describe('an account keeps its factors', () => {
  test('authenticator apps, with the secret encrypted', async () => {
    const uri = secretUri();
    const userId = userIdOf(await importing({ factors: [totp(uri, ' Ada’s phone ')] }));
    const [row] = await rowsOf(userId);
    expect(row).toMatchObject({ kind: 'totp', name: 'Ada’s phone', totp_step: '0', last_used_at: null });
    expect(row.totp_secret.includes(parseTotpUri(uri))).toBe(false);
    expect(decryptSecret(row.totp_secret, row.id, totpSecrets)?.bytes).toEqual(parseTotpUri(uri));
  });

  test('passkeys, with the user handle of their registration or that of the id', async () => {
    const [userId, userHandle] = [randomUUID(), randomBytes(64)];
    const [one, other] = [randomBytes(16), randomBytes(1_023)];
    const more = { counter: 4_294_967_295, userHandle, transports: ['internal', 'hybrid'], backedUp: true };
    await importing({ userId, factors: [passkey({ credentialId: one, ...more }), passkey({ credentialId: other })] });
    expect(await rowsOf(userId)).toMatchObject([
      {
        ...{ kind: 'passkey', name: 'Passkey', credential_id: one, public_key: publicKey, sign_count: '4294967295' },
        ...{ user_handle: userHandle, transports: ['internal', 'hybrid'], backed_up: true },
      },
      { credential_id: other, sign_count: '0', user_handle: uuidToBytes(userId), transports: [], backed_up: false },
    ]);
  });

  test('up to five apps and twenty passkeys', async () => {
    const many = (apps: number, keys: number) => [
      ...Array.from({ length: apps }, () => totp()),
      ...Array.from({ length: keys }, () => passkey()),
    ];
    expect(await rowsOf(userIdOf(await importing({ factors: many(5, 20) })))).toHaveLength(25);
    for (const factors of [many(6, 0), many(0, 21)]) {
      expect((await importing({ factors })).bad).toMatchObject([{ field: 'factors' }]);
    }
  });

  test('and the audit trail has their kinds', async () => {
    const userId = userIdOf(await importing({ factors: [totp(), passkey()] }));
    const { after } = await eventually(async () => {
      const { rows } = await owner.query(
        "SELECT after FROM audit_events WHERE user_id = $1 AND type = 'user_imported'",
        [userId],
      );
      return rows[0];
    });
    expect(after.factors).toEqual(['totp', 'passkey']);
  });
});

const sameUri = secretUri();
const sameId = randomBytes(16);
test.each<[string, Given[], RegExp]>([
  ['neither a secret nor a passkey', [{ name: 'x', factor: { case: undefined } }], /totp_uri or a passkey/],
  ['an empty secret', [totp('')], /totp_uri or a passkey/],
  ['a HOTP secret', [totp('otpauth://hotp/x?secret=ABCDEFGHIJKLMNOPQRSTUVWXYZ234567&counter=1')], /type totp/],
  ['eight digits', [totp(secretUri().replace('digits=6', 'digits=8'))], /digits must be 6/],
  ['a short secret', [totp('otpauth://totp/x?secret=GEZDGNBVGY')], /16 to 64 bytes/],
  ['a long name', [totp(secretUri(), 'x'.repeat(101))], /name: must have 1 to 100 characters/],
  ['a control character in the name', [passkey({}, 'a\u0000b')], /name: must have no control/],
  ['a short credential id', [passkey({ credentialId: randomBytes(15) })], /credential_id must have 16 to 1023/],
  ['a long credential id', [passkey({ credentialId: randomBytes(1_024) })], /credential_id must have 16 to 1023/],
  ['a long user handle', [passkey({ userHandle: randomBytes(65) })], /user_handle must have 1 to 64/],
  ['no COSE key', [passkey({ publicKey: randomBytes(77) })], /public_key: must be a COSE public key/],
  ['a COSE key with trailing bytes', [passkey({ publicKey: Buffer.concat([publicKey, Buffer.alloc(1)]) })], /COSE/],
  ['eleven transports', [passkey({ transports: Array.from({ length: 11 }, () => 'usb') })], /transports/],
  ['a transport of another form', [passkey({ transports: ['USB\n'] })], /transports/],
  ['one credential twice', [passkey({ credentialId: sameId }), passkey({ credentialId: sameId })], /differ/],
  ['one secret twice', [totp(sameUri), totp(sameUri)], /differ/],
])('%s is an invalid row, and the others are imported', async (_, factors, description) => {
  const { imported, bad } = await importing({ factors }, { factors: [totp()] });
  expect(imported).toMatchObject([{ row: 1n }]);
  expect(bad).toMatchObject([{ row: 0n, field: 'factors', description: expect.stringMatching(description) }]);
});

describe('a credential of another account', () => {
  test('is an invalid row, which changes nothing', async () => {
    const credentialId = randomBytes(16);
    const userId = userIdOf(await importing({ factors: [passkey({ credentialId })] }));
    const email = newPerson().email;
    const { imported, bad } = await importing({ email, factors: [passkey({ credentialId })] }, { factors: [] });
    expect(imported).toMatchObject([{ row: 1n }]);
    expect(bad).toMatchObject([{ row: 0n, field: 'factors', description: 'belongs to another account' }]);
    expect(await rowsOf(userId)).toHaveLength(1);
    expect((await owner.query('SELECT FROM users WHERE email = $1', [email])).rowCount).toBe(0);
  });

  test('in the same message is an invalid row', async () => {
    const factors = [passkey({ credentialId: randomBytes(16) })];
    const { imported, bad } = await importing({ factors }, { factors });
    expect(imported).toMatchObject([{ row: 0n }]);
    expect(bad).toMatchObject([{ row: 1n, field: 'factors', description: 'must differ from that of row 0' }]);
  });

  test('that two imports bring at the same moment goes to one of them', async () => {
    for (let n = 0; n < 5; n += 1) {
      const factors = [passkey({ credentialId: randomBytes(16) })];
      const answers = await Promise.all([importing({ factors }), importing({ factors })]);
      expect(answers.flatMap(({ imported }) => imported)).toHaveLength(1);
      expect(answers.flatMap(({ bad }) => bad)).toMatchObject([{ field: 'factors' }]);
    }
  });
});

test('a repeated import changes nothing and rejects nothing', async () => {
  const row = { email: newPerson().email, factors: [passkey(), totp()] };
  const userId = userIdOf(await importing(row));
  const before = await rowsOf(userId);
  expect(await importing(row)).toMatchObject({ imported: [], existing: [{ userId }], bad: [] });
  expect(await rowsOf(userId)).toEqual(before);
});

test.each([
  ['two years ago', new Date(Date.now() - 730 * 86_400_000)],
  ['at an unknown time', null],
])('UndoEmailChange keeps the imported factors and identities of an account created %s', async (_, createdAt) => {
  const { userId: model, password } = await registered(call);
  const { rows } = await owner.query('SELECT password_hash FROM users WHERE id = $1', [model]);
  const uri = secretUri();
  const email = newPerson().email;
  const identities = [{ provider: 'github', subject: String(Math.random()).slice(2) }];
  const row = { email, emailVerified: true, passwordHash: rows[0].password_hash, factors: [totp(uri)], identities };
  const userId = userIdOf(await importing({ ...row, ...(createdAt && { createdAt: timestampFromDate(createdAt) }) }));
  const person = { email, password, userId, secret: totpSecretText(parseTotpUri(uri)) } as WithTotp;
  const session = await stepUpWithCode(app, call, await signInWithCode(app, call, person));
  await call(account.changeEmail, { newEmail: newPerson().email }, { bearer: session.accessToken });
  const mail = await eventually(() => app.mailbox.mails.find(({ to, link }) => to === email && link?.includes('undo')));
  const undone = await call(auth.undoEmailChange, { undoToken: mail.link?.split('#token=')[1] ?? '' });
  expect(undone.code).toBe('ok');
  expect(await rowsOf(userId)).toHaveLength(1);
  expect((await owner.query('SELECT FROM identities WHERE user_id = $1', [userId])).rowCount).toBe(1);
});
