import { expect, test } from 'vitest';
import { testApp } from '../support/app.ts';
import { account, auth } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { isAccepted, registered, signedIn } from '../support/people.ts';

const app = await testApp({ LIMIT_CHANGE_PASSWORD_USER: '5/900' });
const { call } = app;
const NEW = 'a changed pass phrase';

test('sets the password, ends the other sessions, keeps this one, and informs the owner', async () => {
  const person = await registered(call);
  const [here, there] = [await signedIn(call, person), await signedIn(call, person)];
  const change = { currentPassword: person.password, newPassword: NEW };
  const { body } = await call(account.changePassword, change, { bearer: here.accessToken });
  // A copy of the previous token is invalid.
  expect(await isAccepted(call, here.accessToken)).toBe(false);
  expect(await isAccepted(call, body.tokens.accessToken)).toBe(true);
  expect((await call(auth.refresh, { refreshToken: body.tokens.refreshToken })).code).toBe('ok');
  expect(await isAccepted(call, there.accessToken)).toBe(false);
  expect((await call(auth.login, { email: person.email, password: person.password })).reason).toBe(
    'CREDENTIALS_INVALID',
  );
  await signedIn(call, { ...person, password: NEW });
  await eventually(() =>
    app.mailbox.mails.find((mail) => mail.to === person.email && /was changed/.test(mail.subject)),
  );
});

test('requires the current password, and limits the attempts', async () => {
  const person = await signedIn(call);
  const options = { bearer: person.accessToken };
  const attempts = Array.from({ length: 30 }, () =>
    call(account.changePassword, { currentPassword: 'wrong one', newPassword: NEW }, options),
  );
  const outcomes = await Promise.all(attempts);
  expect(outcomes.filter(({ reason }) => reason === 'PASSWORD_WRONG')).toHaveLength(5);
  expect(outcomes.filter(({ reason }) => reason === 'RATE_LIMITED')).toHaveLength(25);
  expect(outcomes.find(({ reason }) => reason === 'PASSWORD_WRONG')?.code).toBe('permission_denied');
  await signedIn(call, person);
});

test('names every invalid field', async () => {
  const { accessToken } = await signedIn(call);
  const outcome = await call(
    account.changePassword,
    { currentPassword: '', newPassword: 'short' },
    { bearer: accessToken },
  );
  expect(outcome.fields).toEqual(['current_password', 'new_password']);
});

test('rejects the current password as the new one, and sends e-mails up to the limit', async () => {
  const person = await signedIn(call);
  let options = { bearer: person.accessToken };
  const same = { currentPassword: person.password, newPassword: person.password };
  expect((await call(account.changePassword, same, options)).fields).toEqual(['new_password']);
  let currentPassword = person.password;
  const outcomes = [];
  for (let n = 0; n < 7; n += 1) {
    const newPassword = `${NEW} ${n}`;
    const outcome = await call(account.changePassword, { currentPassword, newPassword }, options);
    if (outcome.code === 'ok') {
      currentPassword = newPassword;
      options = { bearer: outcome.body.tokens.accessToken };
    }
    outcomes.push(outcome.code);
  }
  expect(outcomes).toEqual(['ok', 'ok', 'ok', 'ok', 'ok', 'resource_exhausted', 'resource_exhausted']);
});

test('lets one of twenty parallel changes succeed', async () => {
  const person = await signedIn(call);
  const outcomes = await Promise.all(
    Array.from({ length: 20 }, (_, n) =>
      call(
        account.changePassword,
        { currentPassword: person.password, newPassword: `${NEW} ${n}` },
        { bearer: person.accessToken },
      ),
    ),
  );
  expect(outcomes.filter(({ code }) => code === 'ok')).toHaveLength(1);
});

test('GetMe shows the current account', async () => {
  const person = await signedIn(call);
  await app.owner.query("UPDATE users SET full_name = 'New Name' WHERE id = $1", [person.userId]);
  const { body } = await call(account.getMe, {}, { bearer: person.accessToken });
  expect(body.user).toMatchObject({
    id: person.userId,
    fullName: 'New Name',
    email: person.email,
    emailVerified: false,
  });
});
