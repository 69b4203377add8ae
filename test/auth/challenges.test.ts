// A challenge is of one purpose, user, session and network, works once, and for five minutes.
import type { DescMethodUnary } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { SERVICE_KEY, testApp } from '../support/app.ts';
import { account, auth, type Caller } from '../support/clients.ts';
import { newPerson } from '../support/people.ts';
import { addPasskey, challenged, nextCode, PAGE, withTotp } from '../support/second-factors.ts';

const app = await testApp({ LIMIT_STEP_UP_SESSION: '10000/60' });
const { call } = app;

/** A call of a back end that passes the address of its user. */
function from(address: string): Caller {
  const headers = { 'x-service-key': SERVICE_KEY, 'x-client-address': address };
  return (method, input, options) => call(method, input, { ...options, headers });
}

async function withBoth() {
  const person = await withTotp(app, call);
  return { ...person, ...(await addPasskey(call, person)), recoveryCodes: person.recoveryCodes };
}
type Both = Awaited<ReturnType<typeof withBoth>>;

/** An id, and a proof that the right call accepts. */
type Started = { id: string; proof: () => object };
type Purpose = { finish: DescMethodUnary; start: (person: Both, ask: Caller) => Promise<Started> };

const PURPOSES: Record<string, Purpose> = {
  'a sign-in': {
    finish: auth.finishSignIn,
    start: async (person, ask) => {
      const { id } = await challenged(ask, person);
      return { id, proof: () => ({ totpCode: nextCode(app, person.secret) }) };
    },
  },
  'a sign-in with a passkey alone': {
    finish: auth.finishSignIn,
    start: async ({ authenticator }, ask) => {
      const { id, passkeyRequestOptions } = (await ask(auth.startPasskeySignIn, {})).body.challenge;
      return { id, proof: () => ({ passkeyAssertion: authenticator.assert(passkeyRequestOptions, { origin: PAGE }) }) };
    },
  },
  'a step-up': {
    finish: account.finishStepUp,
    start: async ({ secret, accessToken: bearer }, ask) => {
      const { id } = (await ask(account.startStepUp, {}, { bearer })).body.challenge;
      return { id, proof: () => ({ totpCode: nextCode(app, secret) }) };
    },
  },
  'a new authenticator app': {
    finish: account.finishAddTotp,
    start: async ({ accessToken: bearer }, ask) => {
      const { challengeId: id, totp } = (await ask(account.startAddTotp, {}, { bearer })).body;
      return { id, proof: () => ({ totpCode: nextCode(app, totp.secret) }) };
    },
  },
  'a new passkey': {
    finish: account.finishAddPasskey,
    start: async (person, ask) => {
      const { body } = await ask(account.startAddPasskey, {}, { bearer: person.accessToken });
      const register = () => person.authenticator.register(withoutExcluded(body.creationOptions), { origin: PAGE });
      return { id: body.challengeId, proof: () => ({ passkeyRegistration: register() }) };
    },
  },
};

function withoutExcluded(creationOptions: string): string {
  return JSON.stringify({ ...JSON.parse(creationOptions), excludeCredentials: [] });
}

const NAMES = Object.keys(PURPOSES);
const purpose = (name: string) => PURPOSES[name] as Purpose;

const finishAs = (name: string, { accessToken: bearer }: Both, challengeId: string, proof: object, ask = call) =>
  ask(purpose(name).finish, { challengeId, ...proof }, { bearer });

describe.each(NAMES)('the challenge of %s', (name) => {
  test('works once', async () => {
    const person = await withBoth();
    const { id, proof } = await purpose(name).start(person, call);
    const given = proof();
    const first = await finishAs(name, person, id, given);
    expect(first.code).toBe('ok');
    const bearer = name.startsWith('a sign-in') ? person.accessToken : first.body.tokens.accessToken;
    for (const again of [given, proof()]) {
      expect((await finishAs(name, { ...person, accessToken: bearer }, id, again)).reason).toBe('CHALLENGE_INVALID');
    }
  });

  test('is invalid after five minutes', async () => {
    const person = await withBoth();
    const { id, proof } = await purpose(name).start(person, call);
    app.advance(300_000);
    expect((await finishAs(name, person, id, proof())).reason).toBe('CHALLENGE_INVALID');
  });

  test('is invalid on another network, and works afterwards on its own', async () => {
    const person = await withBoth();
    const own = from('203.0.113.7');
    const { id, proof } = await purpose(name).start(person, own);
    const given = proof();
    for (const ask of [from('203.0.113.8'), from('2001:db8::7'), call]) {
      expect((await finishAs(name, person, id, given, ask)).reason).toBe('CHALLENGE_INVALID');
    }
    expect((await finishAs(name, person, id, given, own)).code).toBe('ok');
  });

  test.each(NAMES.filter((other) => purpose(other).finish !== purpose(name).finish))(
    'is invalid for %s',
    async (other) => {
      const person = await withBoth();
      const { id, proof } = await purpose(name).start(person, call);
      const given = proof();
      const { proof: otherProof } = await purpose(other).start(person, call);
      expect((await finishAs(other, person, id, otherProof())).reason).toBe('CHALLENGE_INVALID');
      expect((await finishAs(name, person, id, given)).code).toBe('ok');
    },
  );

  test('is invalid when its id is forged, cut or of another kind', async () => {
    const person = await withBoth();
    const { id, proof } = await purpose(name).start(person, call);
    const given = proof();
    const other = await purpose(name).start(person, call);
    const forged = [
      '',
      'lkc_',
      id.slice(0, -1),
      `${id}A`,
      ` ${id}`,
      `${id}=`,
      id.replace('lkc_', 'lkr_'),
      id.replace('lkc_', 'LKC_'),
      id.slice(0, 20) + other.id.slice(20),
      `lkc_${Buffer.alloc(48, 1).toString('base64url')}`,
      person.refreshToken,
      person.userId,
      'lkc_%00',
      'x'.repeat(10_000),
    ];
    const outcomes = await Promise.all(forged.map((text) => finishAs(name, person, text, given)));
    expect(new Set(outcomes.map(({ reason }) => reason))).toEqual(new Set(['CHALLENGE_INVALID']));
    expect((await finishAs(name, person, id, given)).code).toBe('ok');
  });
});

describe.each(['a step-up', 'a new authenticator app', 'a new passkey'])('the challenge of %s', (name) => {
  test('is invalid for another user, and for another session of the user', async () => {
    const [person, stranger] = [await withBoth(), await withBoth()];
    const { id } = await challenged(call, person);
    const { body } = await call(auth.finishSignIn, { challengeId: id, totpCode: nextCode(app, person.secret) });
    const { id: ofSession, proof } = await purpose(name).start(person, call);
    const given = proof();
    for (const accessToken of [stranger.accessToken, body.tokens.accessToken]) {
      expect((await finishAs(name, { ...person, accessToken }, ofSession, given)).reason).toBe('CHALLENGE_INVALID');
    }
    expect((await finishAs(name, person, ofSession, given)).code).toBe('ok');
  });

  test('is void after a change of the password', async () => {
    const person = await withBoth();
    const { id, proof } = await purpose(name).start(person, call);
    const input = { currentPassword: person.password, newPassword: newPerson().password };
    const changed = await call(account.changePassword, input, { bearer: person.accessToken });
    const { accessToken } = changed.body.tokens;
    expect((await finishAs(name, { ...person, accessToken }, id, proof())).reason).toBe('CREDENTIALS_INVALID');
  });
});

test('the challenge of one account does not accept the code of another', async () => {
  const [person, stranger] = [await withBoth(), await withBoth()];
  const { id } = await challenged(call, person);
  const totpCode = nextCode(app, stranger.secret);
  expect((await call(auth.finishSignIn, { challengeId: id, totpCode })).reason).toBe('FACTOR_INVALID');
});

type Change = [name: string, reason: string, change: (person: Both) => Promise<unknown>];
const update = (columns: string) => (person: Both) =>
  app.owner.query(`UPDATE users SET ${columns} WHERE id = $1`, [person.userId]);

const strict = await testApp({ ...app.environment, REQUIRE_EMAIL_VERIFICATION: 'on' });

describe.each<Change>([
  ['the password is changed', 'CREDENTIALS_INVALID', changePassword],
  ['the account is disabled', 'CREDENTIALS_INVALID', update('disabled_at = now()')],
  ['an administrator requires a new password', 'CREDENTIALS_INVALID', update('password_epoch = password_epoch + 1')],
  ['the account is deleted', 'CHALLENGE_INVALID', deleteAccount],
])('after the first step, when %s', (_, reason, change) => {
  test(`the right code is ${reason}`, async () => {
    const person = await withBoth();
    const { id } = await challenged(call, person);
    await change(person);
    const totpCode = nextCode(app, person.secret);
    expect((await call(auth.finishSignIn, { challengeId: id, totpCode })).reason).toBe(reason);
  });
});

async function changePassword(person: Both): Promise<void> {
  const input = { currentPassword: person.password, newPassword: newPerson().password };
  expect((await call(account.changePassword, input, { bearer: person.accessToken })).code).toBe('ok');
}

async function deleteAccount({ accessToken: bearer }: Both): Promise<void> {
  expect((await call(account.deleteMe, {}, { bearer })).code).toBe('ok');
}

test('a passkey alone does not sign in to a disabled account', async () => {
  const person = await withBoth();
  const { id, proof } = await purpose('a sign-in with a passkey alone').start(person, call);
  await update('disabled_at = now()')(person);
  expect((await call(auth.finishSignIn, { challengeId: id, ...proof() })).reason).toBe('CREDENTIALS_INVALID');
});

describe('where addresses must be verified', () => {
  test.each(['a sign-in', 'a sign-in with a passkey alone'])('%s fails without the verification', async (name) => {
    const person = await withBoth();
    await update('email_verified_at = now()')(person);
    const { id, proof } = await purpose(name).start(person, strict.call);
    await update('email_verified_at = NULL')(person);
    const given = proof();
    const outcome = await strict.call(auth.finishSignIn, { challengeId: id, ...given });
    expect(outcome.reason).toBe('CREDENTIALS_INVALID');
  });
});
