import { expect, test } from 'vitest';
import { SERVICE_KEY, testApp } from '../support/app.ts';
import { auth, type Caller, callers, verifierService } from '../support/clients.ts';
import { signedIn } from '../support/people.ts';

const app = await testApp();
const { call } = app;
const { batchVerify } = verifierService;
const asService = { bearer: SERVICE_KEY };

test.each(Object.keys(callers('http://localhost:1')))(
  'returns a verdict for each token, in order, over %s',
  async (name) => {
    const [one, other, ended] = [await signedIn(call), await signedIn(call), await signedIn(call)];
    await call(auth.logout, { refreshToken: ended.refreshToken });
    const accessTokens = [other.accessToken, 'nothing', one.accessToken, ended.accessToken, other.accessToken];
    const { body } = await (callers(app.url)[name] as Caller)(batchVerify, { accessTokens }, asService);
    expect(
      body.verdicts.map(
        (verdict: { principal?: { userId: string }; reason: string }) => verdict.principal?.userId ?? verdict.reason,
      ),
    ).toEqual([other.userId, 'REASON_TOKEN_INVALID', one.userId, 'REASON_TOKEN_REVOKED', other.userId]);
    expect(new Date(body.verdicts[0].revalidateAt).getTime()).toBeGreaterThan(Date.now() - 1_000);
  },
);

test('accepts services and administrators only', async () => {
  const person = await signedIn(call);
  const input = { accessTokens: [person.accessToken] };
  expect((await call(batchVerify, input)).reason).toBe('CREDENTIALS_MISSING');
  expect((await call(batchVerify, input, { bearer: person.accessToken })).reason).toBe('PERMISSION_DENIED');
  expect((await call(batchVerify, input, { bearer: `${SERVICE_KEY}x` })).reason).toBe('TOKEN_INVALID');
  await app.owner.query("INSERT INTO user_roles VALUES ($1, 'admin', now())", [person.userId]);
  const { tokens } = (await call(auth.refresh, { refreshToken: person.refreshToken })).body;
  expect((await call(batchVerify, input, { bearer: tokens.accessToken })).code).toBe('ok');
});

test.each([
  ['an empty list', []],
  ['a list of 1,001 tokens', Array.from({ length: 1_001 }, () => 'x')],
])('%s is an invalid request', async (_, accessTokens) => {
  expect(await call(batchVerify, { accessTokens }, asService)).toMatchObject({
    code: 'invalid_argument',
    reason: 'INVALID_ARGUMENT',
    fields: ['access_tokens'],
  });
});

test('accepts 1,000 real tokens', async () => {
  const { accessToken } = await signedIn(call);
  const accessTokens = Array.from({ length: 1_000 }, () => accessToken);
  const { body } = await call(batchVerify, { accessTokens }, asService);
  expect(body.verdicts).toHaveLength(1_000);
});
