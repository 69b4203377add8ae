import { beforeAll, describe, expect, test } from 'vitest';
import { testApp } from '../support/app.ts';
import { account, auth, type Caller, callers } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { newPerson } from '../support/people.ts';

const app = await testApp();

/** The names are available before the service runs, the callers are not. */
const NAMES = Object.keys(callers('http://localhost:1'));

describe.each(NAMES)('%s', (name) => {
  let call: Caller;
  beforeAll(() => {
    call = callers(app.url)[name] as Caller;
  });

  test('registers, signs in, refreshes, verifies, checks a role, resets the password and signs out', async () => {
    const person = newPerson();
    const registered = await call(auth.register, person);
    expect(registered.body.user).toMatchObject({
      email: person.email,
      fullName: person.fullName,
      emailVerified: false,
      roles: ['user'],
    });

    const login = await call(auth.login, { email: person.email, password: person.password });
    expect(login.body.tokens.tokenType).toBe('Bearer');
    const { accessToken, refreshToken } = login.body.tokens;

    const verified = await call(auth.verify, { accessToken });
    expect(verified.body.principal).toMatchObject({
      kind: 'PRINCIPAL_KIND_USER',
      userId: registered.body.user.id,
      email: person.email,
      roles: ['user'],
    });
    expect((await call(auth.verify, {}, { bearer: accessToken })).body.principal).toEqual(verified.body.principal);

    expect((await call(auth.checkRole, { accessToken, role: 'user' })).body.allowed).toBe(true);
    expect((await call(auth.checkRole, { accessToken, role: 'admin' })).body).toEqual({
      allowed: false,
      reason: 'REASON_ROLE_NOT_GRANTED',
    });

    const refreshed = await call(auth.refresh, { refreshToken });
    expect(refreshed.body.tokens.refreshToken).not.toBe(refreshToken);

    expect((await call(auth.requestReset, { email: person.email })).code).toBe('ok');
    const mail = await eventually(() => app.mailbox.mails.find(({ to }) => to === person.email));
    const resetToken = mail.link?.split('#token=')[1] ?? '';
    const newPassword = 'another pass phrase';
    expect((await call(auth.confirmReset, { resetToken, newPassword })).code).toBe('ok');
    expect(await call(auth.verify, { accessToken })).toMatchObject({
      code: 'unauthenticated',
      reason: 'TOKEN_REVOKED',
    });

    const again = await call(auth.login, { email: person.email, password: newPassword });
    expect((await call(account.getMe, {}, { bearer: again.body.tokens.accessToken })).body.user).toMatchObject({
      email: person.email,
      emailVerified: true,
    });
    expect((await call(auth.logout, { refreshToken: again.body.tokens.refreshToken })).code).toBe('ok');
    expect(await call(auth.refresh, { refreshToken: again.body.tokens.refreshToken })).toMatchObject({
      code: 'unauthenticated',
      reason: 'SESSION_ENDED',
    });
  });

  test('reports errors in the form of its protocol', async () => {
    expect(await call(auth.register, { email: 'no-address', password: 'short', fullName: '' })).toMatchObject({
      code: 'invalid_argument',
      reason: 'INVALID_ARGUMENT',
      fields: ['email', 'password', 'full_name'],
    });
    expect(await call(auth.login, { email: 'unknown@people.example', password: 'a wrong password' })).toMatchObject({
      code: 'unauthenticated',
      reason: 'CREDENTIALS_INVALID',
      message: 'email or password is wrong',
    });
    expect(await call(account.getMe, {})).toMatchObject({ code: 'unauthenticated', reason: 'CREDENTIALS_MISSING' });
  });
});
