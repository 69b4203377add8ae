// Each limit of the table is enforced with exactly its number of attempts.
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LIMITS, REJECTING_NO_CALL } from '../../src/limits/limits.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { account, auth, type Caller, type Outcome, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { newPerson, registered, signedIn } from '../support/people.ts';
import { challenged, withTotp } from '../support/second-factors.ts';

const POINTS = 4;
const REDIRECT = 'https://product.example/callback';
const GITHUB = {
  OAUTH_PROVIDERS: 'github',
  OAUTH_GITHUB_REDIRECT_URIS: REDIRECT,
  OAUTH_GITHUB_CLIENT_ID: 'x',
  OAUTH_GITHUB_CLIENT_SECRET: 'x',
};

const wrongCodes = async (call: Caller, app: TestApp) => {
  const person = await withTotp(app, call);
  return async () => {
    const { id: challengeId } = await challenged(call, person);
    return call(auth.finishSignIn, { challengeId, recoveryCode: 'a wrong one' });
  };
};

/** Starts a service with this one limit, creates the data that the attempts need, and returns a function for one attempt. */
const CASES: Record<string, (call: Caller, app: TestApp) => Promise<(n: number) => Promise<Outcome>>> = {
  LOGIN_NETWORK: async (call) => () => call(auth.login, { email: newPerson().email, password: 'wrong one' }),
  LOGIN_PAIR: async (call) => {
    const { email } = newPerson();
    return () => call(auth.login, { email, password: 'wrong one' });
  },
  LOGIN_ACCOUNT: async (call) => {
    const { email } = await registered(call);
    return () => call(auth.login, { email, password: 'wrong one' });
  },
  REGISTER_NETWORK: async (call) => () => call(auth.register, newPerson()),
  REGISTER_ACCOUNT: async (call) => {
    const person = newPerson();
    return () => call(auth.register, person);
  },
  REFRESH_NETWORK: async (call) => (n) => call(auth.refresh, { refreshToken: `lkr_${n}` }),
  REFRESH_SESSION: async (call) => {
    const { refreshToken } = await signedIn(call);
    return () => call(auth.refresh, { refreshToken });
  },
  REFRESH_USER: async (call) => {
    const person = await registered(call);
    const sessions = [await signedIn(call, person), await signedIn(call, person)];
    return (n) => call(auth.refresh, { refreshToken: sessions[n % 2]?.refreshToken ?? '' });
  },
  REQUEST_RESET_ACCOUNT: async (call) => {
    const { email } = newPerson();
    return () => call(auth.requestReset, { email });
  },
  REQUEST_RESET_NETWORK: async (call) => () => call(auth.requestReset, { email: newPerson().email }),
  CONFIRM_RESET_NETWORK: async (call) => (n) => call(auth.confirmReset, { resetToken: `lkp_${n}`, newPassword: 'x' }),
  CONFIRM_RESET_TOKEN: async (call, app) => {
    const { email } = await registered(call);
    await call(auth.requestReset, { email });
    const mail = await eventually(() => app.mailbox.mails.find(({ to }) => to === email));
    return () => call(auth.confirmReset, { resetToken: mail.link?.split('#token=')[1] ?? '', newPassword: 'short' });
  },
  REQUEST_VERIFICATION_ACCOUNT: async (call) => {
    const { email } = newPerson();
    return () => call(auth.requestEmailVerification, { email });
  },
  REQUEST_VERIFICATION_NETWORK: async (call) => () => call(auth.requestEmailVerification, { email: newPerson().email }),
  VERIFY_EMAIL_NETWORK: async (call) => (n) => call(auth.verifyEmail, { verificationToken: `lkv_${n}` }),
  VERIFY_EMAIL_TOKEN: async (call, app) => {
    const { email } = await registered(call);
    await call(auth.requestEmailVerification, { email });
    const mail = await eventually(() => app.mailbox.mails.find(({ to }) => to === email));
    return () => call(auth.verifyEmail, { verificationToken: mail.link?.split('#token=')[1] ?? '' });
  },
  MAIL_DOMAIN: async (call) => () => call(auth.requestReset, { email: newPerson().email }),
  NOTICE_ACCOUNT: async (call) => {
    const { accessToken } = await signedIn(call);
    const change = { currentPassword: 'wrong one', newPassword: 'a new pass phrase' };
    return () => call(account.changePassword, change, { bearer: accessToken });
  },
  CONFIRM_NETWORK_NETWORK: async (call) => (n) => call(auth.confirmNetwork, { networkToken: `lkn_${n}` }),
  CONFIRM_NETWORK_TOKEN: async (call, app) => {
    const { email } = await registered(call);
    await app.owner.query(
      "INSERT INTO outbox (id, topic, payload, created_at) VALUES (gen_random_uuid(), 'mail', $1, now())",
      [JSON.stringify({ template: 'confirm-network', email })],
    );
    const mail = await eventually(() => app.mailbox.mails.find(({ to }) => to === email));
    return () => call(auth.confirmNetwork, { networkToken: mail.link?.split('#token=')[1] ?? '' });
  },
  START_OAUTH_NETWORK: async (call) => () => call(auth.startOAuth, { provider: 'github', redirectUri: REDIRECT }),
  FINISH_OAUTH_NETWORK: async (call) => (n) =>
    call(auth.finishOAuth, { state: `lks_${n}`, code: 'x', binding: 'x', redirectUri: REDIRECT }),
  PASSKEY_SIGN_IN_NETWORK: async (call) => () => call(auth.startPasskeySignIn, {}),
  FACTOR_CODE_NETWORK: async (call) => (n) => call(auth.finishSignIn, { challengeId: `lkc_${n}`, totpCode: '000000' }),
  PASSKEY_NETWORK: async (call) => (n) => call(auth.finishSignIn, { challengeId: `lkc_${n}`, passkeyAssertion: '{}' }),
  FACTOR_CODE_USER: wrongCodes,
  FACTOR_CODE_USER_DAY: wrongCodes,
  FACTOR_CODE_USER_WEEK: wrongCodes,
  STEP_UP_SESSION: async (call) => {
    const { accessToken } = await signedIn(call);
    return () => call(account.startStepUp, {}, { bearer: accessToken });
  },
  CHANGE_EMAIL_USER: async (call) => {
    const { accessToken, password: currentPassword } = await signedIn(call);
    return () => call(account.changeEmail, { newEmail: newPerson().email, currentPassword }, { bearer: accessToken });
  },
  UNDO_EMAIL_CHANGE_NETWORK: async (call) => (n) => call(auth.undoEmailChange, { undoToken: `lku_${n}` }),
  UNDO_EMAIL_CHANGE_TOKEN: async (call, app) => {
    const { email, accessToken, password: currentPassword } = await signedIn(call);
    await call(account.changeEmail, { newEmail: newPerson().email, currentPassword }, { bearer: accessToken });
    const mail = await eventually(() => app.mailbox.mails.find(({ to }) => to === email));
    return () => call(auth.undoEmailChange, { undoToken: mail.link?.split('#token=')[1] ?? '' });
  },
  CHANGE_PASSWORD_USER: async (call) => {
    const { accessToken } = await signedIn(call);
    const change = { currentPassword: 'wrong one', newPassword: 'a new pass phrase' };
    return () => call(account.changePassword, change, { bearer: accessToken });
  },
  ACCOUNT_CHANGE_USER: async (call) => {
    const { accessToken } = await signedIn(call);
    return (n) => call(account.updateMe, { fullName: `Grace ${n}` }, { bearer: accessToken });
  },
  REVOCATION_SESSION: async (call) => {
    const { accessToken } = await signedIn(call);
    return () => call(account.revokeSession, { sessionId: randomUUID() }, { bearer: accessToken });
  },
};

test('every limit of the table has a case', () => {
  const budgets = Object.keys(LIMITS).filter((name) => name.startsWith('GLOBAL_')); // they reject no call; see budgets.test.ts
  // These reject no call: test/auth/check-role.test.ts, test/auth/known-networks.test.ts, test/auth/wrong-codes.test.ts.
  expect([...Object.keys(CASES), ...budgets, ...REJECTING_NO_CALL].toSorted()).toEqual(Object.keys(LIMITS).toSorted());
});

describe.each(Object.keys(CASES))('%s', (name) => {
  let app: TestApp;
  beforeAll(async () => {
    const verification = name === 'REGISTER_ACCOUNT' ? { REQUIRE_EMAIL_VERIFICATION: 'on' } : {};
    app = await startTestApp({ ...GITHUB, ...verification, [`LIMIT_${name}`]: `${POINTS}/900` });
  });
  afterAll(() => app.close());

  test('allows its number of attempts, and the rejection states when to retry', async () => {
    const attempt = await (CASES[name] as (typeof CASES)[string])(viaFetch(app.url), app);
    const outcomes = [];
    for (let n = 0; n < POINTS + 2; n += 1) outcomes.push(await attempt(n));
    expect(outcomes.slice(0, POINTS).map(({ reason }) => reason)).not.toContain('RATE_LIMITED');
    for (const outcome of outcomes.slice(POINTS)) {
      expect(outcome).toMatchObject({ code: 'resource_exhausted', reason: 'RATE_LIMITED' });
      expect(outcome.retryAfterSeconds).toBeGreaterThan(880);
      expect(outcome.retryAfterHeader).toBe(outcome.retryAfterSeconds);
    }
    const { rows } = await eventually(async () => {
      const found = await app.owner.query("SELECT detail FROM audit_events WHERE type = 'throttled'");
      return found.rows.length > 0 ? found : null;
    });
    expect(rows).toEqual([{ detail: name }]);
  });
});
