import { describe, expect, test } from 'vitest';
import { testApp } from '../support/app.ts';
import { auth } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { isAccepted, newPerson, type Person, registered, signedIn } from '../support/people.ts';

const app = await testApp();
const { call } = app;

const NEW = 'a brand new pass phrase';

async function mailsTo(person: Person, subject: string, count = 1) {
  return eventually(() => {
    const mails = app.mailbox.mails.filter((mail) => mail.to === person.email && mail.subject === subject);
    return mails.length >= count ? mails : null;
  });
}

async function resetTokenFor(person: Person, count = 1): Promise<string> {
  expect((await call(auth.requestReset, { email: person.email })).code).toBe('ok');
  const mails = await mailsTo(person, 'Set a new password', count);
  return mails.at(-1)?.link?.split('#token=')[1] ?? '';
}

const confirm = (resetToken: string, newPassword = NEW) => call(auth.confirmReset, { resetToken, newPassword });

describe('the mail', () => {
  test('has a link that is made of PUBLIC_URL alone, with the token in its fragment, as text and as HTML', async () => {
    const person = await registered(call);
    await call(
      auth.requestReset,
      { email: person.email },
      { headers: { 'x-forwarded-host': 'evil.example', origin: 'https://evil.example' } },
    );
    const [mail] = await mailsTo(person, 'Set a new password');
    expect(mail?.link).toMatch(/^https:\/\/product\.example\/reset-password#token=lkp_[A-Za-z0-9_-]{64}$/);
    expect(mail?.html).toContain(mail?.link);
    expect(mail?.messageId).toMatch(/^<[0-9a-f-]{36}@product\.example>$/);
    expect(mail?.text).not.toContain('evil');
  });

  test('is not sent to an invalid address', async () => {
    for (const email of ['', 'name-only', 'a@b.example\r\nbcc: c@d.example', 'a@b.example, c@d.example']) {
      expect((await call(auth.requestReset, { email })).fields).toEqual(['email']);
    }
  });

  test('contains no text of the caller', async () => {
    const person = await registered(call, { ...newPerson(), fullName: 'Visit https://evil.example now <b>x</b>' });
    await call(auth.requestReset, { email: person.email });
    const [mail] = await mailsTo(person, 'Set a new password');
    expect(`${mail?.text}${mail?.html}`).not.toContain('evil');
  });

  test('is not sent for an unknown or disabled account, and the response is the same', async () => {
    const [unknown, disabled] = [newPerson(), await registered(call)];
    await app.owner.query('UPDATE users SET disabled_at = now() WHERE id = $1', [disabled.userId]);
    const answers = [];
    for (const { email } of [unknown, disabled, await registered(call)])
      answers.push(await call(auth.requestReset, { email }));
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
    await eventually(async () => (await app.owner.query('SELECT FROM outbox')).rowCount === 0);
    expect(app.mailbox.mails.filter(({ to }) => to === unknown.email || to === disabled.email)).toEqual([]);
  });
});

describe('the token', () => {
  test('sets the password once, ends every session, informs the owner, and creates no session', async () => {
    const person = await registered(call);
    const [one, two] = [await signedIn(call, person), await signedIn(call, person)];
    const token = await resetTokenFor(person);
    expect(await confirm(token)).toEqual({ code: 'ok', body: {} });
    for (const session of [one, two]) {
      expect(await isAccepted(call, session.accessToken)).toBe(false);
      expect((await call(auth.refresh, { refreshToken: session.refreshToken })).reason).toBe('SESSION_ENDED');
    }
    expect((await call(auth.login, { email: person.email, password: person.password })).reason).toBe(
      'CREDENTIALS_INVALID',
    );
    await signedIn(call, { ...person, password: NEW });
    await mailsTo(person, 'Your password was reset');
    expect(await confirm(token)).toMatchObject({ code: 'failed_precondition', reason: 'RESET_TOKEN_INVALID' });
  });

  test('works once in fifty parallel calls', async () => {
    const token = await resetTokenFor(await registered(call));
    const outcomes = await Promise.all(Array.from({ length: 50 }, (_, n) => confirm(token, `${NEW} ${n}`)));
    expect(outcomes.filter(({ code }) => code === 'ok')).toHaveLength(1);
    expect(outcomes.filter(({ reason }) => reason === 'RESET_TOKEN_INVALID')).toHaveLength(49);
  });

  test('is not used up by a rejected password', async () => {
    const person = await registered(call);
    const token = await resetTokenFor(person);
    expect((await confirm(token, 'short')).fields).toEqual(['new_password']);
    expect((await confirm(token, person.email)).fields).toEqual(['new_password']);
    expect((await confirm(token)).code).toBe('ok');
  });

  test('expires after an hour', async () => {
    const token = await resetTokenFor(await registered(call));
    app.advance(3_601_000);
    expect((await confirm(token)).reason).toBe('RESET_TOKEN_INVALID');
  });

  test('becomes invalid when the password changes', async () => {
    const person = await registered(call);
    const older = await resetTokenFor(person);
    const newer = await resetTokenFor(person, 2);
    expect(newer).not.toBe(older);
    expect((await confirm(newer)).code).toBe('ok');
    expect((await confirm(older)).reason).toBe('RESET_TOKEN_INVALID');
  });

  test('is rejected for an account that was disabled since', async () => {
    const person = await registered(call);
    const token = await resetTokenFor(person);
    await app.owner.query('UPDATE users SET disabled_at = now() WHERE id = $1', [person.userId]);
    expect((await confirm(token)).reason).toBe('RESET_TOKEN_INVALID');
  });

  test('cannot be guessed, modified, or be one of another kind', async () => {
    const person = await signedIn(call);
    const token = await resetTokenFor(person);
    for (const other of ['', 'x', token.slice(0, -1), `${token} `, person.refreshToken, person.accessToken]) {
      expect((await confirm(other)).reason).toBe('RESET_TOKEN_INVALID');
    }
    expect((await call(auth.refresh, { refreshToken: token })).reason).toBe('REFRESH_TOKEN_INVALID');
    expect((await call(auth.verify, { accessToken: token })).reason).toBe('TOKEN_INVALID');
    expect((await confirm(token)).code).toBe('ok');
  });
});

test('a sign-in with the old password that is under way when the password is reset leaves no session behind', async () => {
  for (let round = 0; round < 8; round += 1) {
    const person = await registered(call);
    const token = await resetTokenFor(person);
    const logins = Array.from({ length: 6 }, () =>
      call(auth.login, { email: person.email, password: person.password }),
    );
    const reset = confirm(token);
    const outcomes = await Promise.all(logins);
    expect((await reset).code).toBe('ok');
    for (const { body } of outcomes) if (body) expect(await isAccepted(call, body.tokens.accessToken)).toBe(false);
  }
});
