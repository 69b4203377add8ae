// The second step of a sign-in with cookies, and the step-up of such a session: /session/second-step, /session/passkey
// and /session/step-up. The pages are used here as a browser without scripts uses them.
import { decodeJwt } from 'jose';
import { describe, expect, test } from 'vitest';
import { testApp } from '../support/app.ts';
import { auth } from '../support/clients.ts';
import { type Person, registered, signedInWith } from '../support/people.ts';
import { nextCode, PAGE, type WithTotp, withPasskey, withTotp } from '../support/second-factors.ts';
import { sendRequest } from '../support/send-request.ts';

const app = await testApp({ SESSION_COOKIE_ORIGINS: PAGE });
const { call } = app;

type Fields = Record<string, string>;

function post(path: string, fields: Fields, headers: Fields = {}): Promise<Response> {
  return sendRequest(`${app.url}/session/${path}`, {
    method: 'POST',
    headers: { origin: PAGE, 'content-type': 'application/json', ...headers },
    body: JSON.stringify(fields),
  });
}

function submit(path: string, fields: Fields, cookie = ''): Promise<Response> {
  const type = { 'content-type': 'application/x-www-form-urlencoded' };
  return sendRequest(`${app.url}/session/${path}`, {
    method: 'POST',
    headers: { origin: PAGE, 'sec-fetch-mode': 'navigate', cookie, ...type },
    body: new URLSearchParams(fields).toString(),
  });
}

const credentialsOf = ({ email, password }: Person) => ({ email, password });
const get = (path: string, cookie = '') => sendRequest(`${app.url}/session/${path}`, { headers: { cookie } });

// biome-ignore lint/suspicious/noExplicitAny: JSON of the service
const jsonOf = async (response: Response) => (await response.json()) as any;
const reasonOf = async (response: Response) => [response.status, (await jsonOf(response)).reason];
const target = (response: Response) => [response.status, response.headers.get('location')];
const cookiesOf = (response: Response) =>
  response.headers
    .getSetCookie()
    .map((text) => text.split(';', 1)[0])
    .join('; ');

async function claimsOf(cookie: string) {
  const [, refreshToken = ''] = /refresh=(lkr_[\w-]+)/.exec(cookie) ?? [];
  return decodeJwt((await call(auth.refresh, { refreshToken })).body.tokens.accessToken);
}

/** The fields that the first form of the page would send, without those that a user fills in. */
function hiddenFields(html: string): Fields {
  const [form = ''] = /<form method="post".*?<\/form>/s.exec(html) ?? [];
  const inputs = form.matchAll(/<input type="hidden" name="(\w+)" value="([^"]*)">/g);
  return Object.fromEntries([...inputs].map(([, name = '', value = '']) => [name, value.replaceAll('&#38;', '&')]));
}

async function challenge({ email, password }: { email: string; password: string }) {
  const response = await post('sign-in', { email, password });
  expect(response.headers.getSetCookie()).toEqual([]);
  return (await jsonOf(response)).challenge;
}

async function session(person: WithTotp): Promise<string> {
  const { id } = await challenge(person);
  const totpCode = nextCode(app, person.secret);
  return cookiesOf(await post('second-step', { challengeId: id, totpCode }));
}

describe('a sign-in with a second step', () => {
  test('gives a script the challenge, and the cookies for the code', async () => {
    const person = await withTotp(app, call);
    const offered = await challenge(person);
    expect(offered).toEqual({
      id: expect.stringMatching(/^lkc_/),
      kinds: ['FACTOR_KIND_TOTP', 'FACTOR_KIND_RECOVERY_CODE'],
      expiresAt: expect.any(String),
    });
    const wrong = await post('second-step', { challengeId: offered.id, totpCode: '000000' });
    expect(await reasonOf(wrong)).toEqual([401, 'FACTOR_INVALID']);
    const totpCode = nextCode(app, person.secret);
    const finished = await post('second-step', { challengeId: offered.id, totpCode });
    expect(await jsonOf(finished)).toEqual({ userId: person.userId, expiresAt: expect.any(String), return: '/' });
    expect(await claimsOf(cookiesOf(finished))).toMatchObject({ acr: 'mfa', amr: ['mfa', 'otp', 'pwd'] });
    const again = await post('second-step', { challengeId: offered.id, totpCode: nextCode(app, person.secret) });
    expect(await reasonOf(again)).toEqual([401, 'CHALLENGE_INVALID']);
  });

  test('shows a person the forms until the code is right', async () => {
    const person = await withTotp(app, call);
    const { email, password } = person;
    const page = await submit('sign-in', { email, password, return: '/orders?a=1&b=2' });
    expect([page.status, page.headers.getSetCookie()]).toEqual([200, []]);
    const html = await page.text();
    expect(html).toMatch(/name="totpCode" inputmode="numeric" autocomplete="one-time-code"/);
    expect(html).toContain('name="recoveryCode"');
    expect(html).not.toContain('<script');
    const hidden = hiddenFields(html);
    expect(hidden).toMatchObject({ return: '/orders?a=1&b=2', challengeId: expect.stringMatching(/^lkc_/) });
    const wrong = await submit('second-step', { ...hidden, totpCode: '000000' });
    const shown = await wrong.text();
    expect(wrong.status).toBe(401);
    expect(shown).toContain('<p role="alert">The code or the passkey is wrong, used or too old.</p>');
    expect(hiddenFields(shown)).toEqual(hidden);
    const code = nextCode(app, person.secret);
    const finished = await submit('second-step', { ...hidden, totpCode: `${code.slice(0, 3)} ${code.slice(3)} ` });
    expect(target(finished)).toEqual([303, '/orders?a=1&b=2']);
    expect(cookiesOf(finished)).toMatch(/session=lks_.*refresh=lkr_/);
  });

  test('accepts a recovery code', async () => {
    const person = await withTotp(app, call);
    const hidden = hiddenFields(await (await submit('sign-in', credentialsOf(person))).text());
    const recoveryCode = person.recoveryCodes[0] as string;
    expect(target(await submit('second-step', { ...hidden, recoveryCode }))).toEqual([303, '/']);
  });

  test('leads back to the first step when the challenge has expired or the password has changed', async () => {
    const person = await withTotp(app, call);
    const hidden = {
      ...hiddenFields(await (await submit('sign-in', credentialsOf(person))).text()),
      return: '/orders',
    };
    app.advance(301_000);
    const late = await submit('second-step', { ...hidden, totpCode: nextCode(app, person.secret) });
    expect(target(late)).toEqual([303, '/session/sign-in?return=%2Forders']);
    const next = hiddenFields(await (await submit('sign-in', credentialsOf(person))).text());
    await app.owner.query('UPDATE users SET password_epoch = password_epoch + 1 WHERE id = $1', [person.userId]);
    const changed = await submit('second-step', { ...next, totpCode: nextCode(app, person.secret) });
    expect(target(changed)).toEqual([303, '/session/sign-in?return=%2F']);
  });

  test.each([
    ['no proof', {}],
    ['two proofs', { totpCode: '000000', recoveryCode: 'x' }],
    ['a passkey that is no JSON', { passkeyAssertion: '{' }],
  ])('rejects %s', async (_, proof) => {
    const { id } = await challenge(await withTotp(app, call));
    expect(await reasonOf(await post('second-step', { challengeId: id, ...proof }))).toEqual([400, 'INVALID_ARGUMENT']);
  });

  test('rejects the challenge of a step-up, and shows no form of it', async () => {
    const person = await withTotp(app, call);
    const started = await jsonOf(await post('step-up', {}, { cookie: await session(person) }));
    const proof = { challengeId: started.challenge.id, totpCode: nextCode(app, person.secret) };
    expect(await reasonOf(await post('second-step', proof))).toEqual([401, 'CHALLENGE_INVALID']);
    expect(target(await submit('second-step', proof))).toEqual([303, '/session/sign-in?return=%2F']);
  });
});

describe('a passkey', () => {
  test('is the second step of a script', async () => {
    const person = await withPasskey(call);
    const { id, passkeyRequestOptions } = await challenge(person);
    const passkeyAssertion = person.authenticator.assert(passkeyRequestOptions, { origin: PAGE });
    const finished = await post('second-step', { challengeId: id, passkeyAssertion });
    expect(await claimsOf(cookiesOf(finished))).toMatchObject({ acr: 'phr' });
  });

  test('signs a script in alone', async () => {
    const person = await withPasskey(call);
    const { challenge: offered } = await jsonOf(await post('passkey', {}));
    expect(offered.kinds).toEqual(['FACTOR_KIND_PASSKEY']);
    const passkeyAssertion = person.authenticator.assert(offered.passkeyRequestOptions, { origin: PAGE });
    const finished = await post('second-step', { challengeId: offered.id, passkeyAssertion });
    expect((await jsonOf(finished)).userId).toBe(person.userId);
  });

  test('is rejected when it signs for another origin, and the page offers another attempt', async () => {
    const person = await withPasskey(call);
    const html = await (await submit('passkey', { return: '/orders' })).text();
    const [, options = ''] = /data-request="([^"]*)"/.exec(html) ?? [];
    const json = options.replaceAll('&#34;', '"');
    const [, challengeId = ''] = /name="challengeId" value="([^"]*)"/.exec(html) ?? [];
    expect(html).toContain('data-starts');
    const passkeyAssertion = person.authenticator.assert(json, { origin: 'https://evil.example' });
    const again = await submit('second-step', { challengeId, passkeyAssertion, return: '/orders' });
    const shown = await again.text();
    expect(again.status).toBe(401);
    expect(shown).toContain(`data-request="${options}"`);
    expect(shown).not.toContain('data-starts');
  });
});

test('an account that must have a factor adds it, and sees the recovery codes once', async () => {
  const person = await signedInWith(app, call, ['admin']);
  await app.owner.query("UPDATE factor_policy SET scope = 'roles', roles = '{admin}', changed_at = now()");
  try {
    const page = await (await submit('sign-in', { ...credentialsOf(person), return: '/orders' })).text();
    const [, secret = ''] = /<code>([A-Z2-7]{32})<\/code>/.exec(page) ?? [];
    const hidden = hiddenFields(page);
    const wrong = await (await submit('second-step', { ...hidden, totpCode: '000000' })).text();
    for (const part of [/<svg .*<\/svg>/, /data-creation="[^"]*"/]) {
      expect(page).toMatch(part);
      expect(part.exec(wrong)?.[0]).toBe(part.exec(page)?.[0]);
    }
    const finished = await submit('second-step', { ...hidden, totpCode: nextCode(app, secret) });
    const codes = await finished.text();
    expect([finished.status, codes.match(/<li><code>/g)]).toEqual([200, Array(10).fill('<li><code>')]);
    expect(codes).toContain('<a href="/orders">');
    expect(await claimsOf(cookiesOf(finished))).toMatchObject({ acr: 'mfa' });
    const other = await signedInWith(app, call, []);
    expect((await jsonOf(await post('sign-in', credentialsOf(other)))).userId).toBe(other.userId);
  } finally {
    await app.owner.query('UPDATE factor_policy SET scope = DEFAULT, roles = DEFAULT');
  }
});

describe('a step-up', () => {
  test('renews the strength of the session and replaces its cookies', async () => {
    const person = await withTotp(app, call);
    const cookie = await session(person);
    app.advance(120_000);
    const page = await get('step-up?return=/orders&acr=mfa', cookie);
    const hidden = hiddenFields(await page.text());
    expect(hidden).toMatchObject({ return: '/orders', acr: 'mfa' });
    const wrong = await submit('step-up', { ...hidden, totpCode: '000000' }, cookie);
    expect([wrong.status, hiddenFields(await wrong.text())]).toEqual([401, hidden]);
    const finished = await submit('step-up', { ...hidden, totpCode: nextCode(app, person.secret) }, cookie);
    expect(target(finished)).toEqual([303, '/orders']);
    const claims = await claimsOf(cookiesOf(finished));
    expect(claims).toMatchObject({ sub: person.userId, acr: 'mfa' });
    expect(Number(claims.auth_time) * 1000).toBeGreaterThan(app.time() - 60_000);
  });

  test('with JSON', async () => {
    const person = await withTotp(app, call);
    const cookie = await session(person);
    const { challenge: offered } = await jsonOf(await post('step-up', { acr: 'mfa' }, { cookie }));
    const proof = { challengeId: offered.id, totpCode: nextCode(app, person.secret) };
    const finished = await post('step-up', proof, { cookie });
    expect(await jsonOf(finished)).toEqual({ expiresAt: expect.any(String), return: '/' });
    expect(cookiesOf(finished)).toMatch(/session=lks_.*refresh=lkr_/);
  });

  test('without a valid session is rejected, and a page gets one first', async () => {
    expect(target(await get('step-up?return=/orders'))).toEqual([303, '/session/renew?return=%2Forders']);
    expect(await reasonOf(await post('step-up', {}))).toEqual([401, 'CREDENTIALS_MISSING']);
    const cookie = await session(await withTotp(app, call));
    const forged = cookie.replace(/lks_./, 'lks_x');
    expect(await reasonOf(await post('step-up', {}, { cookie: forged }))).toEqual([401, 'TOKEN_INVALID']);
    app.advance(901_000);
    expect(target(await get('step-up?return=/a', cookie))).toEqual([303, '/session/renew?return=%2Fa']);
    expect(await reasonOf(await post('step-up', {}, { cookie }))).toEqual([401, 'TOKEN_EXPIRED']);
  });

  test('rejects the challenge of another session, and of a sign-in', async () => {
    const person = await withTotp(app, call);
    const victim = await session(person);
    const { challenge: offered } = await jsonOf(await post('step-up', {}, { cookie: victim }));
    const thief = await session(await withTotp(app, call));
    const ownOther = await session(person);
    const proof = { challengeId: offered.id, totpCode: nextCode(app, person.secret) };
    for (const cookie of [thief, ownOther]) {
      expect(await reasonOf(await post('step-up', proof, { cookie }))).toEqual([401, 'CHALLENGE_INVALID']);
      expect(target(await submit('step-up', { ...proof, acr: 'mfa', return: '/orders' }, cookie))).toEqual([
        303,
        '/session/step-up?return=%2Forders&acr=mfa',
      ]);
    }
    const ofSignIn = { ...proof, challengeId: (await challenge(person)).id };
    expect(await reasonOf(await post('step-up', ofSignIn, { cookie: victim }))).toEqual([401, 'CHALLENGE_INVALID']);
    expect((await post('step-up', proof, { cookie: victim })).status).toBe(200);
  });

  test('asks for a proof as strong as the session, whose time a weaker one would not renew', async () => {
    const person = await withPasskey(call);
    const { id, passkeyRequestOptions } = await challenge(person);
    const passkeyAssertion = person.authenticator.assert(passkeyRequestOptions, { origin: PAGE });
    const cookie = cookiesOf(await post('second-step', { challengeId: id, passkeyAssertion }));
    for (const acr of ['', 'pwd', 'mfa']) {
      const { challenge: offered } = await jsonOf(await post('step-up', { acr }, { cookie }));
      expect(offered.kinds).toEqual(['FACTOR_KIND_PASSKEY']);
    }
  });

  test('adds no passkey', async () => {
    const cookie = await session(await withTotp(app, call));
    const { challenge: offered } = await jsonOf(await post('step-up', {}, { cookie }));
    const proof = { challengeId: offered.id, passkeyRegistration: '{}' };
    expect(await reasonOf(await post('step-up', proof, { cookie }))).toEqual([400, 'INVALID_ARGUMENT']);
  });

  test('leads to the sign-in where that suffices, for an account without the factor', async () => {
    const cookie = cookiesOf(await post('sign-in', credentialsOf(await registered(call))));
    expect(target(await get('step-up?return=/orders', cookie))).toEqual([303, '/session/sign-in?return=%2Forders']);
    for (const acr of ['mfa', 'phr']) {
      const page = await get(`step-up?return=/orders&acr=${acr}`, cookie);
      const text = await page.text();
      expect([page.status, text]).toEqual([400, expect.stringContaining('requires a second factor')]);
      expect(text).toContain('<h1>This did not work</h1>');
    }
    expect(await reasonOf(await post('step-up', { acr: 'pwd' }, { cookie }))).toEqual([400, 'FACTOR_MISSING']);
    expect((await get('step-up?acr=strong', cookie)).status).toBe(400);
  });
});
