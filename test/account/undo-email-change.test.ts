// The owner of the previous address of an account can take the account back, also from a thief who has its password.
import { randomUUID } from 'node:crypto';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { describe, expect, onTestFinished, test } from 'vitest';
import { AdminService } from '../../gen/latchkey/auth/v1/admin_service_pb.ts';
import { accountHash } from '../../src/domain/account-hash.ts';
import type { Email } from '../../src/domain/email.ts';
import { formatMailedToken, VERIFICATION_TOKEN } from '../../src/domain/mailed-token.ts';
import { derivePurposeKeys } from '../../src/keys/purpose-keys.ts';
import { connectRedis } from '../../src/redis/connect-redis.ts';
import { startTestApp, testApp } from '../support/app.ts';
import { account, admin, auth, type Caller, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import {
  isAccepted,
  newPerson,
  refreshed,
  registered,
  type SignedIn,
  signedIn,
  signedInWith,
} from '../support/people.ts';
import { stepUpWithPasskey, withPasskey } from '../support/second-factors.ts';

const DAY_MS = 86_400_000;
const REQUESTED = 'Your email address is about to change';
const CHANGED = 'Your email address was changed';
const UNDONE = 'The change of your email address was undone';

const app = await testApp();
const { call } = app;

const as = ({ accessToken }: Pick<SignedIn, 'accessToken'>) => ({ bearer: accessToken });
const undo = (undoToken: string, of: Caller = call) => of(auth.undoEmailChange, { undoToken });
const login = (email: string, password: string) => call(auth.login, { email, password });

async function tokenTo(email: string, subject: string, count = 1, of = app): Promise<string> {
  const mails = await eventually(() => {
    const found = of.mailbox.mails.filter((mail) => mail.to === email && mail.subject === subject);
    return found.length >= count ? found : null;
  });
  return mails.at(-1)?.link?.split('#token=')[1] ?? '';
}

/** Requests the change, and returns the token that stops it. */
async function asked(person: SignedIn, newEmail: string, count = 1): Promise<string> {
  const input = { newEmail, currentPassword: person.password };
  const { code, reason } = await call(account.changeEmail, input, as(person));
  expect([code, reason]).toEqual(['ok', undefined]);
  return tokenTo(person.email, REQUESTED, count);
}

/** Makes the change. It makes earlier tokens stale, so the person signs in again. */
async function changed(person: SignedIn, newEmail = newPerson().email, count = 1) {
  const token = await asked(person, newEmail, count);
  const verificationToken = await tokenTo(newEmail, 'Confirm your new email address');
  expect((await call(auth.verifyEmail, { verificationToken }, as(person))).code).toBe('ok');
  return { token, person: await signedIn(call, { ...person, email: newEmail }) };
}

const rowOf = async (userId: string) => (await app.owner.query('SELECT * FROM users WHERE id = $1', [userId])).rows[0];

describe('a pending change', () => {
  test('is stopped by the link that the old address gets at once', async () => {
    const person = await signedIn(call);
    const next = newPerson().email;
    const token = await asked(person, next);
    expect(token).toMatch(/^lku_[A-Za-z0-9_-]{64}$/);
    const mail = app.mailbox.mails.find(({ to, subject }) => to === person.email && subject === REQUESTED);
    expect(mail?.link).toMatch(/^https:\/\/product\.example\/undo-email-change#token=/);
    expect(mail?.text).not.toContain(next);
    const verificationToken = await tokenTo(next, 'Confirm your new email address');
    expect(await undo(token)).toEqual({ code: 'ok', body: {} });
    expect((await call(auth.verifyEmail, { verificationToken, password: person.password })).reason).toBe(
      'VERIFICATION_TOKEN_INVALID',
    );
    expect(await rowOf(person.userId)).toMatchObject({ email: person.email, password_hash: null });
    expect(await isAccepted(call, person.accessToken)).toBe(false);
    // The account never had this address.
    await tokenTo(person.email, 'Set a new password');
    expect(app.mailbox.mails.filter(({ to, subject }) => to === next && subject === UNDONE)).toEqual([]);
  });

  test('has no effect when it is stopped before its mail was written', async () => {
    const person = await signedIn(call);
    const next = newPerson().email;
    const token = await asked(person, next);
    await tokenTo(next, 'Confirm your new email address');
    await undo(token);
    const { rows } = await app.owner.query('SELECT id FROM email_changes WHERE user_id = $1', [person.userId]);
    await app.owner.query(
      `INSERT INTO outbox (id, topic, payload, created_at) VALUES (gen_random_uuid(), 'mail', $1, now())`,
      [
        JSON.stringify({
          ...{ template: 'confirm-email-change', userId: person.userId, email: next, changeId: rows[0].id },
          ...{ accountEmail: person.email, passwordEpoch: 1 },
        }),
      ],
    );
    await eventually(async () => (await app.owner.query('SELECT FROM outbox')).rowCount === 0);
    expect(app.mailbox.mails.filter(({ to, subject }) => to === next && /Confirm/.test(subject))).toHaveLength(1);
  });
});

describe('a completed change', () => {
  test('is undone: the address is restored, sessions and password are removed, and both addresses are informed', async () => {
    const unverified = await signedIn(call);
    await app.owner.query('UPDATE users SET email_verified_at = now() WHERE id = $1', [unverified.userId]);
    const before = await refreshed(call, unverified);
    const { token, person } = await changed(before);
    expect(await tokenTo(before.email, CHANGED)).toBe(token);
    expect(await undo(token)).toEqual({ code: 'ok', body: {} });
    for (const { accessToken, refreshToken } of [before, person]) {
      expect(await isAccepted(call, accessToken)).toBe(false);
      expect((await call(auth.refresh, { refreshToken })).reason).toBe('SESSION_ENDED');
    }
    for (const email of [before.email, person.email]) {
      expect((await login(email, before.password)).reason).toBe('CREDENTIALS_INVALID');
    }
    await tokenTo(person.email, UNDONE);
    const resetToken = await tokenTo(before.email, 'Set a new password');
    expect((await call(auth.confirmReset, { resetToken, newPassword: 'a brand new pass phrase' })).code).toBe('ok');
    expect((await login(before.email, 'a brand new pass phrase')).body.user).toMatchObject({
      id: before.userId,
      emailVerified: true,
    });
    const { rows } = await eventually(async () => {
      const found = await app.owner.query(
        "SELECT FROM audit_events WHERE type = 'email_change_undone' AND user_id = $1",
        [before.userId],
      );
      return found.rowCount ? found : null;
    });
    expect(rows).toHaveLength(1);
  });

  test('leaves an unverified address unverified when it is undone', async () => {
    const before = await signedIn(call);
    const { token } = await changed(before);
    expect((await rowOf(before.userId)).email_verified_at).not.toBeNull();
    await undo(token);
    expect((await rowOf(before.userId)).email_verified_at).toBeNull();
  });

  test('is undone once in twenty parallel calls', async () => {
    const { token } = await changed(await signedIn(call));
    const outcomes = await Promise.all(Array.from({ length: 10 }, () => undo(token)));
    expect(outcomes.filter(({ code }) => code === 'ok')).toHaveLength(1);
    expect(outcomes.filter(({ reason }) => reason === 'UNDO_TOKEN_INVALID')).toHaveLength(9);
    expect(await undo(token)).toMatchObject({ code: 'resource_exhausted' });
  });

  test('can be undone for seven days, to the second', async () => {
    const [early, late] = [await signedIn(call), await signedIn(call)];
    const tokens = [(await changed(early)).token, (await changed(late)).token];
    const age = (ms: number, userId: string) =>
      app.owner.query('UPDATE email_changes SET changed_at = changed_at - $1::interval WHERE user_id = $2', [
        `${ms} milliseconds`,
        userId,
      ]);
    await age(7 * DAY_MS - 60_000, early.userId);
    await age(7 * DAY_MS, late.userId);
    expect((await undo(tokens[0] as string)).code).toBe('ok');
    expect((await undo(tokens[1] as string)).reason).toBe('UNDO_TOKEN_INVALID');
  });

  test('is undone for a disabled account, which stays disabled', async () => {
    const before = await signedIn(call);
    const { token } = await changed(before);
    await app.owner.query('UPDATE users SET disabled_at = now() WHERE id = $1', [before.userId]);
    expect((await undo(token)).code).toBe('ok');
    expect(await rowOf(before.userId)).toMatchObject({ email: before.email, disabled_at: expect.any(Date) });
  });

  test('cannot be undone once an administrator has deleted the account, and the address is free; its user cannot delete it yet', async () => {
    const before = await signedIn(call);
    const { token, person } = await changed(before);
    const { code, reason } = await call(account.deleteMe, { currentPassword: person.password }, as(person));
    expect([code, reason]).toEqual(['failed_precondition', 'EMAIL_CHANGED_RECENTLY']);
    await app.owner.query('SELECT delete_user($1)', [before.userId]);
    expect((await undo(token)).reason).toBe('UNDO_TOKEN_INVALID');
    expect((await call(auth.register, { ...newPerson(), email: before.email })).code).toBe('ok');
  });
});

describe('after several changes', () => {
  test('the link to the first address undoes all of them, and those to later addresses become invalid', async () => {
    const a = await signedIn(call);
    const toB = await changed(a);
    const toC = await changed(toB.person);
    expect((await undo(toB.token)).code).toBe('ok');
    expect((await rowOf(a.userId)).email).toBe(a.email);
    expect((await undo(toC.token)).reason).toBe('UNDO_TOKEN_INVALID');
    expect((await rowOf(a.userId)).email).toBe(a.email);
  });

  test('the link to the second address works first, and the link to the first address still works after it', async () => {
    const a = await signedIn(call);
    const toB = await changed(a);
    const toC = await changed(toB.person);
    expect((await undo(toC.token)).code).toBe('ok');
    expect((await rowOf(a.userId)).email).toBe(toB.person.email);
    expect((await undo(toB.token)).code).toBe('ok');
    expect((await rowOf(a.userId)).email).toBe(a.email);
  });

  test('an undo to an earlier address invalidates the undo links of later changes', async () => {
    const a = await signedIn(call);
    const toThief = await changed(a);
    const back = await changed(toThief.person, a.email);
    expect((await undo(back.token)).reason).toBe('UNDO_TOKEN_INVALID');
    expect((await rowOf(a.userId)).email).toBe(a.email);
    expect((await undo(toThief.token)).code).toBe('ok');
  });

  test('either link stops two changes that are pending at once', async () => {
    const a = await signedIn(call);
    const [one, two] = [await asked(a, newPerson().email), await asked(a, newPerson().email, 2)];
    expect(one).not.toBe(two);
    expect((await undo(two)).code).toBe('ok');
    expect((await undo(one)).reason).toBe('UNDO_TOKEN_INVALID');
  });
});

describe('changes that a thief may have made since', () => {
  const linked = (userId: string, ago: string) =>
    app.owner.query(
      `INSERT INTO identities VALUES (gen_random_uuid(), $1, 'acme', 'https://x', gen_random_uuid(),
        now() - $2::interval, now()) RETURNING id`,
      [userId, ago],
    );

  test('identities that the thief linked are unlinked, also those from shortly before; older ones stay', async () => {
    const before = await signedIn(call);
    await app.owner.query("UPDATE users SET created_at = created_at - interval '1 year' WHERE id = $1", [
      before.userId,
    ]);
    const old = (await linked(before.userId, '30 days')).rows[0].id;
    await linked(before.userId, '1 day');
    const { token } = await changed(before);
    await linked(before.userId, '0 days');
    await undo(token);
    const { rows } = await app.owner.query('SELECT id FROM identities WHERE user_id = $1', [before.userId]);
    expect(rows).toEqual([{ id: old }]);
  });

  test('factors that the thief added are removed; older ones stay', async () => {
    const passkeys = async (addedAgo: string) => {
      const person = await withPasskey(call);
      await app.owner.query("UPDATE users SET created_at = created_at - interval '1 year' WHERE id = $1", [
        person.userId,
      ]);
      await app.owner.query('UPDATE factors SET created_at = now() - $2::interval WHERE user_id = $1', [
        person.userId,
        addedAgo,
      ]);
      const token = await asked(await stepUpWithPasskey(call, person), newPerson().email);
      expect((await undo(token)).code).toBe('ok');
      return app.owner.query('SELECT id FROM factors WHERE user_id = $1', [person.userId]);
    };
    expect((await passkeys('30 days')).rows).toHaveLength(1);
    expect((await passkeys('1 day')).rows).toEqual([]);
  });

  test('recovery codes that the thief created do not work beside an older factor', async () => {
    const person = await withPasskey(call);
    await app.owner.query("UPDATE users SET created_at = now() - interval '1 year' WHERE id = $1", [person.userId]);
    await app.owner.query("UPDATE factors SET created_at = now() - interval '30 days' WHERE user_id = $1", [
      person.userId,
    ]);
    const thief = await stepUpWithPasskey(call, person);
    const { body } = await call(account.regenerateRecoveryCodes, {}, as(thief));
    expect((await undo(await asked(thief, newPerson().email))).code).toBe('ok');
    const newPassword = newPerson().password;
    const resetToken = await tokenTo(person.email, 'Set a new password');
    expect((await call(auth.confirmReset, { resetToken, newPassword })).code).toBe('ok');
    const { challenge } = (await login(person.email, newPassword)).body;
    expect(challenge.kinds).toEqual(['FACTOR_KIND_PASSKEY']);
    const proof = { challengeId: challenge.id, recoveryCode: body.recoveryCodes[0] };
    expect((await call(auth.finishSignIn, proof)).reason).toBe('FACTOR_INVALID');
  });

  test('links that were mailed to the thief are invalid', async () => {
    const before = await signedIn(call);
    const { token, person } = await changed(before);
    await call(auth.requestReset, { email: person.email });
    const resetToken = await tokenTo(person.email, 'Set a new password');
    const next = newPerson().email;
    await asked(person, next);
    const verificationToken = await tokenTo(next, 'Confirm your new email address');
    await undo(token);
    expect((await call(auth.confirmReset, { resetToken, newPassword: 'of a thief, now' })).reason).toBe(
      'RESET_TOKEN_INVALID',
    );
    expect((await call(auth.verifyEmail, { verificationToken, password: before.password })).reason).toBe(
      'VERIFICATION_TOKEN_INVALID',
    );
  });

  test('known networks are forgotten, except the one of the owner who undoes the change', async () => {
    const before = await signedIn(call);
    const { token, person } = await changed(before);
    const redis = connectRedis(app.environment.REDIS_URL ?? '', {}, () => {});
    onTestFinished(() => redis.disconnect());
    const { accountHash: keys } = derivePurposeKeys([Buffer.from(app.environment.MASTER_KEY ?? '', 'base64')]);
    const places = [before.email, person.email].map((email) => `latchkey:place:${accountHash(email as Email, keys)}`);
    expect(await redis.exists(...places)).toBe(2);
    for (const place of places) await redis.zadd(place, String(Math.floor(Date.now() / 1000)), '203.0.113.9');
    await undo(token);
    for (const place of places) expect(await redis.zrange(place, '0', '-1')).toEqual(['127.0.0.1']);
  });

  test('a sign-in that is under way leaves no session behind', async () => {
    for (let round = 0; round < 6; round += 1) {
      const before = await signedIn(call);
      const { token, person } = await changed(before);
      const logins = Array.from({ length: 4 }, () => login(person.email, person.password));
      const undoing = undo(token);
      await Promise.all(logins);
      expect((await undoing).code).toBe('ok');
      const live = 'SELECT FROM sessions WHERE user_id = $1 AND ended_at IS NULL';
      expect((await app.owner.query(live, [before.userId])).rowCount).toBe(0);
    }
  });
});

describe('the former address is reserved for seven days', () => {
  test('no account can be registered, created, imported or changed to it until it is free', async () => {
    const before = await signedIn(call);
    const { person } = await changed(before);
    const boss = await signedInWith(app, call, ['admin']);
    const other = await signedIn(call);
    const { email } = before;
    expect((await call(auth.register, { ...newPerson(), email })).reason).toBe('EMAIL_TAKEN');
    const opened = await call(admin.createUser, { email, fullName: 'Lou', reason: 'a test' }, as(boss));
    expect(opened.reason).toBe('EMAIL_TAKEN');

    const client = createClient(AdminService, createGrpcTransport({ baseUrl: app.url }));
    const row = { row: 1n, email, fullName: 'Lou', emailVerified: true, passwordHash: '' };
    async function* requests() {
      yield { users: [row] as never, reason: 'a test' };
    }
    const headers = { authorization: `Bearer ${boss.accessToken}` };
    for await (const { imported, existing } of client.importUsers(requests(), { headers })) {
      // The row belongs to the account that can return to its former address.
      expect([imported, existing]).toMatchObject([[], [{ row: 1n, userId: before.userId }]]);
    }

    const input = { newEmail: email, currentPassword: other.password };
    expect((await call(account.changeEmail, input, as(other))).code).toBe('ok');
    await tokenTo(email, 'You already have an account');
    expect(app.mailbox.mails.some(({ to, subject }) => to === email && /Confirm your new/.test(subject))).toBe(false);
    expect((await app.owner.query('SELECT FROM users WHERE email = $1', [email])).rowCount).toBe(0);

    await app.owner.query("UPDATE email_changes SET changed_at = changed_at - interval '7 days' WHERE user_id = $1", [
      person.userId,
    ]);
    expect((await call(auth.register, { ...newPerson(), email })).code).toBe('ok');
  });

  test('an earlier request for a change to it has no effect', async () => {
    const before = await signedIn(call);
    const other = await signedIn(call);
    const { token } = await changed(before);
    const verificationId = randomUUID();
    const { rows } = await app.owner.query(
      `INSERT INTO email_changes VALUES (gen_random_uuid(), $1, $2, NULL, now(), NULL, NULL) RETURNING id`,
      [other.userId, other.email],
    );
    await app.owner.query(
      `INSERT INTO email_verifications (id, user_id, email, account_email, email_change_id, password_epoch, created_at, expires_at)
        VALUES ($1, $2, $3, $4, $5, 1, now(), now() + interval '1 hour')`,
      [verificationId, other.userId, before.email, other.email, rows[0].id],
    );
    const { verificationTokens } = derivePurposeKeys([Buffer.from(app.environment.MASTER_KEY ?? '', 'base64')]);
    const verificationToken = formatMailedToken(VERIFICATION_TOKEN, verificationId, verificationTokens);
    expect((await call(auth.verifyEmail, { verificationToken }, as(other))).reason).toBe('VERIFICATION_TOKEN_INVALID');
    expect((await undo(token)).code).toBe('ok');
    expect((await rowOf(before.userId)).email).toBe(before.email);
  });

  test('its own account can return to it', async () => {
    const a = await signedIn(call);
    const { person } = await changed(a);
    await changed(person, a.email);
    expect((await rowOf(a.userId)).email).toBe(a.email);
  });

  test('Register does not reveal it where addresses must be verified', async () => {
    const strict = await startTestApp({ REQUIRE_EMAIL_VERIFICATION: 'on' });
    onTestFinished(() => strict.close());
    const ask = viaFetch(strict.url);
    const person = newPerson();
    const id = randomUUID();
    await strict.owner.query(
      "INSERT INTO users (id, email, full_name, created_at) VALUES ($1, 'new@x.example', 'x', now())",
      [id],
    );
    await strict.owner.query('INSERT INTO email_changes VALUES (gen_random_uuid(), $1, $2, NULL, now(), now(), NULL)', [
      id,
      person.email,
    ]);
    expect((await ask(auth.register, person)).code).toBe('ok');
    await eventually(() =>
      strict.mailbox.mails.find(({ to, subject }) => to === person.email && /already/.test(subject)),
    );
    expect((await strict.owner.query('SELECT FROM users WHERE email = $1', [person.email])).rowCount).toBe(0);
  });
});

test('an undo token works as no other kind, and no other kind works as an undo token', async () => {
  const person = await registered(call);
  await call(auth.requestReset, { email: person.email });
  const resetToken = await tokenTo(person.email, 'Set a new password');
  const { token } = await changed(await signedIn(call));
  for (const other of ['', 'x', resetToken, resetToken.replace('lkp_', 'lku_'), `${token}x`, token.slice(0, -1)]) {
    expect((await undo(other)).reason).toBe('UNDO_TOKEN_INVALID');
  }
  const newPassword = 'a brand new pass phrase';
  for (const prefix of ['lku_', 'lkp_']) {
    expect((await call(auth.confirmReset, { resetToken: token.replace('lku_', prefix), newPassword })).reason).toBe(
      'RESET_TOKEN_INVALID',
    );
  }
  expect((await undo(token)).code).toBe('ok');
});
