import { randomUUID } from 'node:crypto';
import { decodeJwt } from 'jose';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { startApp } from '../../src/app.ts';
import { readConfig } from '../../src/config/config.ts';
import { createLogger } from '../../src/process/log.ts';
import { testApp } from '../support/app.ts';
import { admin, auth, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { registered, type SignedIn, signedIn, signedInWith, tokenOfService } from '../support/people.ts';
import { storedPasskey, storedRecoveryCodes, storedTotp } from '../support/stored-factors.ts';

const app = await testApp();
const { call, owner } = app;
let boss: SignedIn;
beforeAll(async () => {
  boss = await signedInWith(app, call, ['admin']);
});

const reason = 'lost the phone';
const factorsOf = (userId: string) => call(admin.listUserFactors, { userId }, { bearer: boss.accessToken });
const remove = (userId: string, factorId: string, bearer = boss.accessToken) =>
  call(admin.removeUserFactor, { userId, factorId, reason }, { bearer });
const userRow = async (userId: string) => (await owner.query('SELECT * FROM users WHERE id = $1', [userId])).rows[0];
const useIn = ({ accessToken }: SignedIn, factorId: string) =>
  owner.query("UPDATE sessions SET acr = 'phr', factor_ids = array_append(factor_ids, $2) WHERE id = $1", [
    decodeJwt(accessToken).sid,
    factorId,
  ]);

describe('ListUserFactors', () => {
  test('returns the factors of the user, the oldest first, and the number of unused recovery codes', async () => {
    const [person, other] = [await registered(call), await registered(call)];
    const totp = await storedTotp(owner, person.userId);
    const passkey = await storedPasskey(owner, person.userId);
    await storedPasskey(owner, other.userId);
    await storedRecoveryCodes(owner, person.userId, 10);
    await owner.query(
      'UPDATE recovery_codes SET used_at = now() WHERE mac = (SELECT min(mac) FROM recovery_codes WHERE user_id = $1)',
      [person.userId],
    );
    await owner.query('UPDATE factors SET last_used_at = now() WHERE id = $1', [passkey]);
    const time = expect.stringMatching(/^\d{4}-.*Z$/);
    expect((await factorsOf(person.userId)).body).toEqual({
      factors: [
        { id: totp, kind: 'FACTOR_KIND_TOTP', name: 'an app', createdAt: time, backedUp: false },
        { id: passkey, kind: 'FACTOR_KIND_PASSKEY', name: 'a key', createdAt: time, lastUsedAt: time, backedUp: true },
      ],
      recoveryCodesLeft: 9,
    });
  });

  test('rejects an unknown user', async () => {
    expect((await factorsOf(randomUUID())).reason).toBe('USER_NOT_FOUND');
    expect((await factorsOf('x')).fields).toEqual(['user_id']);
  });
});

describe('RemoveUserFactor', () => {
  test('ends the sessions that used the factor within a second on every server, and no others', async () => {
    const other = await startApp(readConfig(app.environment), { api: true, worker: false }, createLogger('silent'));
    onTestFinished(() => other.close());
    const callOther = viaFetch(`http://127.0.0.1:${other.port}`);
    const person = await signedIn(call);
    const byPassword = await signedIn(call, person);
    const [lost, kept] = [await storedPasskey(owner, person.userId), await storedPasskey(owner, person.userId)];
    await useIn(person, kept);
    await useIn(person, lost);
    const reasonAt = async ({ accessToken }: SignedIn) => (await callOther(auth.verify, { accessToken })).reason;
    expect(await reasonAt(person)).toBeUndefined();
    expect((await remove(person.userId, lost)).body).toEqual({ sessionsEnded: 1 });
    await eventually(async () => (await reasonAt(person)) === 'TOKEN_REVOKED', 1_000);
    expect((await call(auth.refresh, { refreshToken: person.refreshToken })).code).toBe('unauthenticated');
    expect(await reasonAt(byPassword)).toBeUndefined();
    const { body } = await call(admin.listUserSessions, { userId: person.userId }, { bearer: boss.accessToken });
    expect(body.sessions).toMatchObject([
      {},
      { endReason: 'END_REASON_FACTOR_REMOVED', endedBy: `user:${boss.userId}` },
    ]);
  });

  test('removes the recovery codes with the last factor, and ends the grace period', async () => {
    const person = await registered(call);
    const [totp, passkey] = [await storedTotp(owner, person.userId), await storedPasskey(owner, person.userId)];
    await storedRecoveryCodes(owner, person.userId, 10);
    await remove(person.userId, totp);
    expect((await factorsOf(person.userId)).body.recoveryCodesLeft).toBe(10);
    await remove(person.userId, passkey);
    expect((await factorsOf(person.userId)).body).toEqual({ factors: [], recoveryCodesLeft: 0 });
    expect((await userRow(person.userId)).factor_removed_at).toBeInstanceOf(Date);
  });

  test('is audited and mailed to the user', async () => {
    const person = await registered(call);
    const factorId = await storedTotp(owner, person.userId);
    await remove(person.userId, factorId);
    const [event] = await eventually(async () => {
      const { rows } = await owner.query("SELECT * FROM audit_events WHERE user_id = $1 AND type = 'factor_removed'", [
        person.userId,
      ]);
      return rows.length === 1 ? rows : null;
    });
    expect(event).toMatchObject({
      ...{ actor: `user:${boss.userId}`, target: `factor:${factorId}`, detail: 'totp: lost the phone' },
      ...{ before: { kind: 'totp', lastUsedAt: null }, after: null },
    });
    const mail = await eventually(async () => app.mailbox.mails.find(({ to }) => to === person.email));
    expect(mail.subject).toBe('A second factor of your account was removed');
  });

  test('is rejected for a factor of another user, and for an unknown user', async () => {
    const [person, other] = [await registered(call), await registered(call)];
    const factorId = await storedPasskey(owner, other.userId);
    expect(await remove(person.userId, factorId)).toMatchObject({ code: 'not_found', reason: 'FACTOR_NOT_FOUND' });
    expect((await remove(randomUUID(), factorId)).reason).toBe('USER_NOT_FOUND');
    expect((await factorsOf(other.userId)).body.factors).toHaveLength(1);
    expect((await userRow(person.userId)).factor_removed_at).toBeNull();
    const { fields } = await call(admin.removeUserFactor, { userId: 'x', factorId: 'y' }, { bearer: boss.accessToken });
    expect(fields).toEqual(['user_id', 'factor_id', 'reason']);
  });

  test('requires the granter of every role of the user', async () => {
    const role = `root-${randomUUID().slice(0, 8)}`;
    await owner.query("INSERT INTO roles (name, description, granter) VALUES ($1, '', 'admin')", [role]);
    await owner.query('UPDATE roles SET granter = name WHERE name = $1', [role]);
    const mighty = await signedInWith(app, call, [role]);
    const factorId = await storedPasskey(owner, mighty.userId);
    expect((await remove(mighty.userId, factorId)).reason).toBe('GRANT_NOT_ALLOWED');
  });

  test('twice at the same moment succeeds once', async () => {
    const person = await registered(call);
    const factorId = await storedPasskey(owner, person.userId);
    const bearer = await tokenOfService(app, call, `robot-${factorId}`, ['admin']);
    const outcomes = await Promise.all([remove(person.userId, factorId), remove(person.userId, factorId, bearer)]);
    expect(outcomes.map(({ reason: why }) => why).toSorted()).toEqual(['FACTOR_NOT_FOUND', undefined]);
  });
});
