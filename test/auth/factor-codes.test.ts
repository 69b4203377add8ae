// Codes that must not sign in: each has the same answer, and its cause is in the audit trail alone.
import { expect, test } from 'vitest';
import { AuthService } from '../../gen/latchkey/auth/v1/auth_service_pb.ts';
import { type TestApp, testApp } from '../support/app.ts';
import { account, auth, untilAvailable } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { addPasskey, challenged, codeAt, nextCode, PAGE, type WithTotp, withTotp } from '../support/second-factors.ts';

const HIGH = {
  LIMIT_FACTOR_CODE_USER: '1000/60',
  LIMIT_FACTOR_CODE_USER_DAY: '1000/60',
  LIMIT_FACTOR_CODE_USER_WEEK: '1000/60',
  LIMIT_FACTOR_CODE_NETWORK: '10000/60',
};
const STEP_MS = 30_000;

const app = await testApp(HIGH);
const { call } = app;
// A code belongs to a step, which must not end in the middle of a test.
app.freeze();

type Proof = { totpCode: string } | { recoveryCode: string };

/** The bytes of the response, for one and the same request id. */
async function answerTo(challengeId: string, proof: object): Promise<string> {
  const response = await fetch(`${app.url}/${AuthService.typeName}/FinishSignIn`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-request-id': 'the-same' },
    body: JSON.stringify({ challengeId, ...proof }),
  });
  return `${response.status} ${await response.text()}`;
}

async function causesOf({ userId }: { userId: string }, count: number): Promise<string[]> {
  return eventually(async () => {
    const { rows } = await app.owner.query<{ detail: string }>(
      "SELECT detail FROM audit_events WHERE user_id = $1 AND type = 'factor_failed' ORDER BY seq",
      [userId],
    );
    return rows.length >= count && rows.map(({ detail }) => detail);
  });
}

const arabic = (code: string) => code.replace(/\d/g, (digit) => String.fromCharCode(0x660 + Number(digit)));
const fullWidth = (code: string) => code.replace(/\d/g, (digit) => String.fromCharCode(0xff10 + Number(digit)));

const stranger = await withTotp(app, call);

type BadCode = [name: string, cause: string, proof: (person: WithTotp, right: string) => Proof];
const BAD: BadCode[] = [
  ['a wrong one', 'totp: wrong', (_, right) => ({ totpCode: right === '000000' ? '000001' : '000000' })],
  ['the one of two steps before', 'totp: wrong', ({ secret }) => ({ totpCode: earlier(secret, 2) })],
  ['the one of an hour before', 'totp: wrong', ({ secret }) => ({ totpCode: earlier(secret, 120) })],
  ['the one of the next step', 'totp: wrong', ({ secret }) => ({ totpCode: earlier(secret, -1) })],
  ['the one of another account', 'totp: wrong', () => ({ totpCode: codeAt(stranger.secret, app.time()) })],
  ['five digits', 'totp: wrong', (_, right) => ({ totpCode: right.slice(1) })],
  ['seven digits', 'totp: wrong', (_, right) => ({ totpCode: `0${right}` })],
  ['a sign', 'totp: wrong', (_, right) => ({ totpCode: `+${right}` })],
  ['spaces around it', 'totp: wrong', (_, right) => ({ totpCode: ` ${right} ` })],
  ['a space in the middle', 'totp: wrong', (_, right) => ({ totpCode: `${right.slice(0, 3)} ${right.slice(3)}` })],
  ['Arabic digits', 'totp: wrong', (_, right) => ({ totpCode: arabic(right) })],
  ['digits of full width', 'totp: wrong', (_, right) => ({ totpCode: fullWidth(right) })],
  ['a NUL at the end', 'totp: wrong', (_, right) => ({ totpCode: `${right}\0` })],
  ['an empty one', 'totp: wrong', () => ({ totpCode: '' })],
  ['a long text', 'totp: wrong', () => ({ totpCode: '1'.repeat(1_000) })],
  ['a TOTP code as a recovery code', 'recovery_code: wrong or used', (_, right) => ({ recoveryCode: right })],
  ['an empty recovery code', 'recovery_code: wrong or used', () => ({ recoveryCode: '' })],
  [
    'the recovery code of another account',
    'recovery_code: wrong or used',
    () => ({ recoveryCode: stranger.recoveryCodes[0] as string }),
  ],
  ['a recovery code as a TOTP code', 'totp: wrong', ({ recoveryCodes }) => ({ totpCode: recoveryCodes[0] as string })],
];

function earlier(secret: string, steps: number): string {
  return codeAt(secret, app.time() - steps * STEP_MS);
}

test('every bad code has the same answer, and the right one works afterwards', async () => {
  const answers = new Map<string, string>();
  for (const [name, cause, proof] of BAD) {
    const person = await withTotp(app, call);
    app.advance(10 * STEP_MS);
    const { id } = await challenged(call, person);
    const right = codeAt(person.secret, app.time());
    answers.set(name, await answerTo(id, proof(person, right)));
    expect(answers.get(name), name).toMatch(/^401 .*FACTOR_INVALID/);
    expect(await causesOf(person, 1), name).toEqual([cause]);
    const { code } = await call(auth.finishSignIn, { challengeId: id, totpCode: nextCode(app, person.secret) });
    expect(code, name).toBe('ok');
  }
  const person = await withTotp(app, call);
  const used = nextCode(app, person.secret);
  await call(auth.finishSignIn, { challengeId: (await challenged(call, person)).id, totpCode: used });
  answers.set('a used one', await answerTo((await challenged(call, person)).id, { totpCode: used }));
  answers.set('a kind that the account lacks', await answerTo((await challenged(call, person)).id, assertion()));
  expect(await causesOf(person, 2)).toEqual(['totp: used', 'passkey: unknown credential']);
  expect(new Set(answers.values()).size, JSON.stringify([...answers], null, 1)).toBe(1);
  expect(answers.get('a used one')).toMatch(/^401 /);
}, 60_000);

/** In the right form, of no account. */
function assertion() {
  const id = Buffer.alloc(16, 7).toString('base64url');
  const response = { clientDataJSON: 'AAAA', authenticatorData: 'AAAA', signature: 'AAAA' };
  return { passkeyAssertion: JSON.stringify({ id, rawId: id, type: 'public-key', response }) };
}

test('the code of the step before is accepted once, and then no code before it', async () => {
  const person = await withTotp(app, call);
  app.advance(10 * STEP_MS);
  const finish = async (totpCode: string) =>
    (await call(auth.finishSignIn, { challengeId: (await challenged(call, person)).id, totpCode })).reason ?? 'ok';
  const [before, now] = [earlier(person.secret, 1), earlier(person.secret, 0)];
  expect(await finish(now)).toBe('ok');
  expect(await finish(before)).toBe('FACTOR_INVALID');
  app.advance(2 * STEP_MS);
  const late = earlier(person.secret, 1);
  expect([await finish(late), await finish(late)]).toEqual(['ok', 'FACTOR_INVALID']);
});

test('a code that a step-up has used does not sign in, and the other way round', async () => {
  const person = await withTotp(app, call);
  const bearer = person.accessToken;
  const stepUp = async (totpCode: string) => {
    const { body } = await call(account.startStepUp, {}, { bearer });
    return call(account.finishStepUp, { challengeId: body.challenge.id, totpCode }, { bearer });
  };
  const totpCode = nextCode(app, person.secret);
  expect((await stepUp(totpCode)).code).toBe('ok');
  const { id } = await challenged(call, person);
  expect((await call(auth.finishSignIn, { challengeId: id, totpCode })).reason).toBe('FACTOR_INVALID');
  const next = nextCode(app, person.secret);
  expect((await call(auth.finishSignIn, { challengeId: id, totpCode: next })).code).toBe('ok');
  expect((await stepUp(next)).reason).toBe('FACTOR_INVALID');
});

test('the first code of a new authenticator app does not sign in', async () => {
  const person = await withTotp(app, call);
  const { id } = await challenged(call, person);
  const totpCode = codeAt(person.secret, app.time());
  expect((await call(auth.finishSignIn, { challengeId: id, totpCode })).reason).toBe('FACTOR_INVALID');
});

test('100 parallel uses of a recovery code sign in once', async () => {
  const person = await withTotp(app, call);
  const ids = await Promise.all(Array.from({ length: 25 }, async () => (await challenged(call, person)).id));
  const [recoveryCode = ''] = person.recoveryCodes;
  const outcomes = await Promise.all(
    Array.from({ length: 100 }, (_, n) =>
      untilAvailable(() => call(auth.finishSignIn, { challengeId: ids[n % 25], recoveryCode })),
    ),
  );
  const reasons = new Set(outcomes.map(({ reason = 'ok' }) => reason));
  expect(outcomes.filter(({ code }) => code === 'ok')).toHaveLength(1);
  expect([...reasons].filter((reason) => !['ok', 'FACTOR_INVALID', 'CHALLENGE_INVALID'].includes(reason))).toEqual([]);
  const { rows } = await app.owner.query('SELECT FROM recovery_codes WHERE user_id = $1 AND used_at IS NULL', [
    person.userId,
  ]);
  expect(rows).toHaveLength(9);
});

test('a step-up by a recovery code re-authenticates, and the code is used', async () => {
  const person = await withTotp(app, call);
  app.advance(86_401_000);
  const { id } = await challenged(call, person);
  const signedIn = await call(auth.finishSignIn, { challengeId: id, totpCode: nextCode(app, person.secret) });
  const bearer = signedIn.body.tokens.accessToken;
  const { body } = await call(account.startStepUp, {}, { bearer });
  expect(body.challenge.kinds).toEqual(['FACTOR_KIND_TOTP', 'FACTOR_KIND_RECOVERY_CODE']);
  const [recoveryCode = ''] = person.recoveryCodes;
  const input = { challengeId: body.challenge.id, recoveryCode };
  const stepped = await call(account.finishStepUp, input, { bearer });
  const { body: other } = await call(account.startStepUp, {}, { bearer });
  const again = { challengeId: other.challenge.id, recoveryCode };
  expect((await call(account.finishStepUp, again, { bearer })).reason).toBe('FACTOR_INVALID');
  const changed = await call(account.regenerateRecoveryCodes, {}, { bearer: stepped.body.tokens.accessToken });
  expect(changed.body.recoveryCodes).toHaveLength(10);
});

/** An account with both, on a service with the limits of a deployment. */
async function withBoth(strict: TestApp) {
  const person = await withTotp(strict, strict.call);
  return { ...person, authenticator: (await addPasskey(strict.call, person)).authenticator };
}

const strict = await testApp();
strict.freeze();

test('five wrong codes block all codes of the challenge, but not a passkey', async () => {
  const person = await withBoth(strict);
  const { id, passkeyRequestOptions } = await challenged(strict.call, person);
  const finish = (proof: object) => strict.call(auth.finishSignIn, { challengeId: id, ...proof });
  for (let n = 0; n < 5; n += 1) expect((await finish({ totpCode: '12345' })).reason).toBe('FACTOR_INVALID');
  expect((await finish({ totpCode: nextCode(strict, person.secret) })).reason).toBe('FACTOR_INVALID');
  expect((await finish({ recoveryCode: person.recoveryCodes[0] as string })).reason).toBe('FACTOR_INVALID');
  const passkeyAssertion = person.authenticator.assert(passkeyRequestOptions, { origin: PAGE });
  expect((await finish({ passkeyAssertion })).code).toBe('ok');
});

test('parallel wrong codes are at most five comparisons of a challenge', async () => {
  const person = await withTotp(app, call);
  const { id } = await challenged(call, person);
  await Promise.all(Array.from({ length: 40 }, () => call(auth.finishSignIn, { challengeId: id, totpCode: '12345' })));
  const causes = await causesOf(person, 40);
  expect(causes.filter((cause) => cause === 'totp: wrong')).toHaveLength(5);
  expect(causes.filter((cause) => cause === 'totp: too many codes')).toHaveLength(35);
});

test('ten wrong codes of an account stop its codes, but not its passkeys nor another account', async () => {
  const [person, other] = [await withBoth(strict), await withTotp(strict, strict.call)];
  for (let n = 0; n < 10; n += 1) {
    const { id } = await challenged(strict.call, person);
    expect((await strict.call(auth.finishSignIn, { challengeId: id, totpCode: '12345' })).reason).toBe(
      'FACTOR_INVALID',
    );
  }
  const { id, passkeyRequestOptions } = await challenged(strict.call, person);
  const totpCode = nextCode(strict, person.secret);
  const limited = await strict.call(auth.finishSignIn, { challengeId: id, totpCode });
  expect(limited).toMatchObject({ reason: 'RATE_LIMITED', retryAfterSeconds: expect.any(Number) });
  const passkeyAssertion = person.authenticator.assert(passkeyRequestOptions, { origin: PAGE });
  expect((await strict.call(auth.finishSignIn, { challengeId: id, passkeyAssertion })).code).toBe('ok');
  const others = { challengeId: (await challenged(strict.call, other)).id, totpCode: nextCode(strict, other.secret) };
  expect((await strict.call(auth.finishSignIn, others)).code).toBe('ok');
});
