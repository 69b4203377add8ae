// Sign-in at other providers: a real OpenID provider, from StartOAuth to tokens with a browser's cookies; and a
// stand-in for GitHub with its documented responses and malformed ones.
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeJwt, generateKeyPair, SignJWT } from 'jose';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { connectRedis } from '../../src/redis/connect-redis.ts';
import { startTestApp, type TestApp } from '../support/app.ts';
import { account, auth, type Caller, viaFetch } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { type GitHub, json, startGitHub } from '../support/github.ts';
import { browse, CLIENT, KEY_ID, type OpenIdServer, startOpenIdServer } from '../support/openid-provider.ts';
import { isAccepted, newPerson, refreshed, registered, type SignedIn, signedIn } from '../support/people.ts';

const REDIRECTS: Record<string, string> = {
  acme: 'https://product.example/callback/acme',
  other: 'https://product.example/callback/other',
  github: 'https://product.example/callback/github',
};
const REDIRECT = REDIRECTS.acme as string;

let acme: OpenIdServer;
let other: OpenIdServer;
let github: GitHub;
let app: TestApp;
let call: Caller;

beforeAll(async () => {
  [acme, other, github] = await Promise.all([
    // A mix-up attack registers the redirect URI that the attack needs.
    startOpenIdServer(Object.values(REDIRECTS)),
    startOpenIdServer(Object.values(REDIRECTS)),
    startGitHub(),
  ]);
  app = await startTestApp({
    OAUTH_PROVIDERS: 'acme,other,github',
    ...Object.fromEntries(
      Object.entries(REDIRECTS).flatMap(([name, uri]) => [
        [`OAUTH_${name.toUpperCase()}_CLIENT_ID`, CLIENT.id],
        [`OAUTH_${name.toUpperCase()}_CLIENT_SECRET`, CLIENT.secret],
        [`OAUTH_${name.toUpperCase()}_REDIRECT_URIS`, `${uri},${uri}/too`],
      ]),
    ),
    OAUTH_ACME_ISSUER: acme.issuer,
    OAUTH_OTHER_ISSUER: other.issuer,
    OAUTH_GITHUB_URL: github.url,
    OAUTH_GITHUB_API_URL: github.url,
    LIMIT_START_OAUTH_NETWORK: '10000/60',
    LIMIT_FINISH_OAUTH_NETWORK: '10000/60',
  });
  call = viaFetch(app.url);
});
afterAll(async () => {
  await app.close();
  for (const one of [acme, other, github]) one.close();
});

beforeEach(() => {
  acme.account = { sub: randomUUID(), email: newPerson().email, email_verified: true, name: 'Grace Hopper' };
});
afterEach(() => {
  acme.intercept = null;
  github.answers.clear();
});

type Started = { authorizationUrl: string; state: string; binding: string };

async function start(provider = 'acme', reauthenticate = false): Promise<Started> {
  const redirectUri = REDIRECTS[provider] as string;
  const { code, body } = await call(auth.startOAuth, { provider, redirectUri, reauthenticate });
  expect(code).toBe('ok');
  return body;
}

/** Follows the redirects to the provider and back. */
async function granted(provider = 'acme', reauthenticate = false) {
  const started = await start(provider, reauthenticate);
  const redirectUri = REDIRECTS[provider] as string;
  const query = await browse(started.authorizationUrl, redirectUri);
  expect(query.get('state')).toBe(started.state);
  return {
    redirectUri,
    binding: started.binding,
    state: started.state,
    code: query.get('code') ?? '',
    issuer: query.get('iss') ?? '',
  };
}

const finish = (input: object) => call(auth.finishOAuth, input as never);
const signIn = async (provider = 'acme', reauthenticate = false) => finish(await granted(provider, reauthenticate));

/** Answers the token endpoint with an id_token of these claims and this signature. */
async function answerWith(
  claims: object,
  how: 'own key' | 'client secret' | 'foreign key' | 'none',
  reauthenticate = false,
) {
  const { privateKey } = how === 'foreign key' ? await generateKeyPair('RS256') : acme;
  const started = await start('acme', reauthenticate);
  const nonce = new URL(started.authorizationUrl).searchParams.get('nonce');
  const now = Math.floor(Date.now() / 1000);
  const good = {
    iss: acme.issuer,
    aud: CLIENT.id,
    sub: 'x',
    nonce,
    iat: now,
    exp: now + 60,
    email: newPerson().email,
    email_verified: true,
  };
  const token = new SignJWT(JSON.parse(JSON.stringify({ ...good, ...claims })));
  const secret = new TextEncoder().encode(CLIENT.secret);
  const idToken =
    how === 'client secret'
      ? await token.setProtectedHeader({ alg: 'HS256' }).sign(secret)
      : how === 'none'
        ? `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from(JSON.stringify({ ...good, ...claims })).toString('base64url')}.`
        : await token.setProtectedHeader({ alg: 'RS256', kid: KEY_ID }).sign(privateKey);
  acme.intercept = (request, response) => {
    const path = request.url ?? '';
    if (path.startsWith('/token')) {
      request.resume();
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ access_token: 'x', token_type: 'Bearer', id_token: idToken }));
      return true;
    }
    return false;
  };
  const { state, binding } = started;
  return finish({ state, binding, code: 'x', issuer: acme.issuer, redirectUri: REDIRECT });
}

describe('StartOAuth', () => {
  test('redirects to the provider with PKCE, state and nonce', async () => {
    const { authorizationUrl, state, binding } = await start();
    const query = new URL(authorizationUrl).searchParams;
    expect(Object.fromEntries(query)).toMatchObject({
      client_id: CLIENT.id,
      redirect_uri: REDIRECT,
      response_type: 'code',
      code_challenge_method: 'S256',
      state,
    });
    expect(query.get('nonce')).toMatch(/^[\w-]{43}$/);
    expect(query.get('code_challenge')).toMatch(/^[\w-]{43}$/);
    expect(authorizationUrl).not.toContain(binding);
    const again = await start();
    expect(again.state).not.toBe(state);
  });

  test.each([
    ['a provider that is not configured', 'google', REDIRECT, 'provider'],
    ['a name of every object', 'constructor', REDIRECT, 'provider'],
    ['another path', 'acme', `${REDIRECT}/x`, 'redirect_uri'],
    ['a query', 'acme', `${REDIRECT}?x=1`, 'redirect_uri'],
    ['another case', 'acme', REDIRECT.toUpperCase(), 'redirect_uri'],
    ['another host', 'acme', 'https://evil.example/callback', 'redirect_uri'],
    ['nothing', 'acme', '', 'redirect_uri'],
  ])('rejects %s', async (_, provider, redirectUri, field) => {
    expect((await call(auth.startOAuth, { provider, redirectUri })).fields).toEqual([field]);
  });
});

describe('a first sign-in', () => {
  test('creates no account with an address that another account may get back', async () => {
    const person = await registered(call);
    await app.owner.query('INSERT INTO email_changes VALUES (gen_random_uuid(), $1, $2, NULL, now(), now(), NULL)', [
      person.userId,
      acme.account.email,
    ]);
    expect((await signIn()).reason).toBe('ACCOUNT_NOT_LINKED');
  });

  test('creates an account with a verified address and no password, and later sign-ins find it under any address', async () => {
    const first = await signIn();
    expect(first.body).toMatchObject({
      newUser: true,
      user: { email: acme.account.email, emailVerified: true, fullName: 'Grace Hopper', roles: ['user'] },
    });
    expect(await isAccepted(call, first.body.tokens.accessToken)).toBe(true);
    const email = acme.account.email as string;
    expect((await call(auth.login, { email, password: 'a wrong pass phrase' })).reason).toBe('CREDENTIALS_INVALID');
    acme.account = { ...acme.account, email: newPerson().email };
    const second = await signIn();
    expect(second.body).toMatchObject({ newUser: false, user: { id: first.body.user.id, email } });
  });

  test('uses up the sign-up limit once, and each sign-in uses up the sign-in limit', async () => {
    const redis = connectRedis(app.environment.REDIS_URL ?? '', {}, () => {});
    onTestFinished(() => redis.disconnect());
    const budgets = ['GLOBAL_SIGN_INS', 'GLOBAL_SIGN_UPS'].map((name) => `latchkey:limit:${name}:all`);
    await redis.del(...budgets);
    expect((await signIn()).body.newUser).toBe(true);
    expect((await signIn()).body.newUser).toBe(false);
    expect(await redis.mget(...budgets)).toEqual(['2', '1']);
  });

  test('requires an address that the provider has verified', async () => {
    for (const change of [{ email_verified: false }, { email: undefined }, { email: 'not an address' }]) {
      acme.account = {
        sub: randomUUID(),
        email: newPerson().email,
        email_verified: true,
        ...change,
      } as OpenIdServer['account'];
      expect(await signIn()).toMatchObject({ code: 'failed_precondition', reason: 'PROVIDER_EMAIL_UNVERIFIED' });
    }
  });

  test('with an invalid name takes the name from the address', async () => {
    acme.account = { ...acme.account, name: '\u202e' };
    expect((await signIn()).body.user.fullName).toBe(acme.account.email?.split('@')[0]);
  });

  test('with the address of an account is linked when both sides have verified it and it has no password', async () => {
    const person = await registered(call);
    acme.account = { ...acme.account, email: person.email.toUpperCase() };
    expect(await signIn()).toMatchObject({ code: 'failed_precondition', reason: 'ACCOUNT_NOT_LINKED' });
    await app.owner.query('UPDATE users SET email_verified_at = now() WHERE id = $1', [person.userId]);
    expect((await signIn()).reason).toBe('ACCOUNT_NOT_LINKED');

    other.account = { sub: randomUUID(), email: newPerson().email, email_verified: true };
    const opened = await signIn('other');
    acme.account = { ...acme.account, email: other.account.email as string };
    const responses = await Promise.all(Array.from({ length: 5 }, () => granted()));
    const outcomes = await Promise.all(responses.map(finish));
    for (const { body } of outcomes) expect(body).toMatchObject({ newUser: false, user: { id: opened.body.user.id } });
    await eventually(() =>
      app.mailbox.mails.some(({ to, subject }) => to === other.account.email && /new way/.test(subject)),
    );
  });

  test('with an address that has a new owner at the provider does not reach the account of the old owner', async () => {
    const first = await signIn();
    expect(first.body.newUser).toBe(true);
    acme.account = { ...acme.account, sub: randomUUID() };
    expect((await signIn()).reason).toBe('ACCOUNT_NOT_LINKED');
  });

  test('at a second provider adds a second identity, and the same subject at another provider is another user', async () => {
    const first = await signIn();
    other.account = { ...acme.account, email: newPerson().email };
    const second = await signIn('other');
    expect(second.body.newUser).toBe(true);
    expect(second.body.user.id).not.toBe(first.body.user.id);
  });

  test('at two providers at once creates one account when both have verified the same address', async () => {
    for (let round = 0; round < 4; round += 1) {
      acme.account = { sub: randomUUID(), email: newPerson().email, email_verified: true };
      other.account = { ...acme.account, sub: randomUUID() };
      const responses = await Promise.all([granted('acme'), granted('other')]);
      const [one, two] = await Promise.all(responses.map(finish));
      expect(two?.body.user.id).toBe(one?.body.user.id);
    }
  });

  test('to a disabled account is rejected as disabled', async () => {
    const { body } = await signIn();
    await app.owner.query('UPDATE users SET disabled_at = now() WHERE id = $1', [body.user.id]);
    other.account = { ...acme.account, sub: randomUUID() };
    expect((await signIn('other')).reason).toBe('USER_DISABLED');
  });

  test('with an invalid name and an invalid address still creates an account with a name', async () => {
    acme.account = { ...acme.account, email: `!${randomUUID().replaceAll('-', '!')}@people.example`, name: '!' };
    expect((await signIn()).code).toBe('ok');
    acme.account = { sub: randomUUID(), email: '!!!@people.example', email_verified: true, name: '!' };
    expect((await signIn()).body.user.fullName).toBe('!!!@people.example');
  });

  test('creates one account when ten run at once', async () => {
    const responses = await Promise.all(Array.from({ length: 10 }, () => granted()));
    const outcomes = await Promise.all(responses.map(finish));
    expect(new Set(outcomes.map(({ code }) => code))).toEqual(new Set(['ok']));
    expect(new Set(outcomes.map(({ body }) => body.user.id)).size).toBe(1);
    expect(outcomes.filter(({ body }) => body.newUser)).toHaveLength(1);
  });
});

test('a disabled user cannot sign in with a provider', async () => {
  const { body } = await signIn();
  await app.owner.query('UPDATE users SET disabled_at = now() WHERE id = $1', [body.user.id]);
  expect((await signIn()).reason).toBe('USER_DISABLED');
});

test('a sign-in is audited with the provider', async () => {
  const { body } = await signIn();
  const query = "SELECT detail FROM audit_events WHERE type = 'login_succeeded' AND user_id = $1";
  const { detail } = await eventually(async () => (await app.owner.query(query, [body.user.id])).rows[0]);
  expect(detail).toBe('acme');
});

test('failed sign-ins are audited with the provider and the reason', async () => {
  const { body } = await signIn();
  const userId = body.user.id;
  await app.owner.query('UPDATE users SET disabled_at = now() WHERE id = $1', [userId]);
  await signIn();
  const person = await registered(call);
  acme.account = { sub: randomUUID(), email: person.email, email_verified: true };
  await signIn();
  await finish({ ...(await granted('other')), code: 'x' });
  const details = [
    { detail: 'acme: USER_DISABLED', user_id: userId },
    { detail: 'acme: ACCOUNT_NOT_LINKED', user_id: person.userId },
    { detail: 'other: OAUTH_RESPONSE_INVALID', user_id: null },
  ];
  for (const expected of details) {
    await eventually(async () => {
      const { rows } = await app.owner.query("SELECT detail, user_id FROM audit_events WHERE type = 'login_failed'");
      return rows.some(({ detail, user_id }) => detail === expected.detail && user_id === expected.user_id);
    });
  }
});

describe('the state', () => {
  test('works once, also under concurrency', async () => {
    const response = await granted();
    const outcomes = await Promise.all(Array.from({ length: 8 }, () => finish(response)));
    expect(outcomes.filter(({ code }) => code === 'ok')).toHaveLength(1);
    expect(new Set(outcomes.map(({ reason }) => reason))).toEqual(new Set([undefined, 'OAUTH_STATE_INVALID']));
  });

  test('belongs to one browser: a call with the binding of another browser, or with none, fails and does not use it up', async () => {
    const [response, attacker] = [await granted(), await start()];
    for (const binding of [attacker.binding, '', 'lkb_x', `${response.binding} `]) {
      expect((await finish({ ...response, binding })).reason).toBe('OAUTH_STATE_INVALID');
    }
    expect((await finish(response)).code).toBe('ok');
  });

  test('expires after ten minutes', async () => {
    const response = await granted();
    await app.owner.query(
      "UPDATE oauth_flows SET expires_at = expires_at - interval '601 seconds' WHERE used_at IS NULL",
    );
    expect((await finish(response)).reason).toBe('OAUTH_STATE_INVALID');
  });

  test('belongs to one provider: a code of another provider is rejected', async () => {
    const [mine, theirs] = [await granted('acme'), await granted('other')];
    expect((await finish({ ...mine, code: theirs.code })).reason).toBe('OAUTH_RESPONSE_INVALID');
    const mixedUp = await granted('acme');
    expect((await finish({ ...mixedUp, issuer: other.issuer })).reason).toBe('OAUTH_RESPONSE_INVALID');
  });

  test('is bound to one redirect URI, so that a response to the URI of another provider is rejected', async () => {
    const mixedUp = { ...(await granted('acme')), issuer: '' };
    expect((await finish({ ...mixedUp, redirectUri: '' })).fields).toEqual(['redirect_uri']);
    const outcome = await finish({ ...mixedUp, redirectUri: REDIRECTS.other });
    expect(outcome).toMatchObject({ code: 'unauthenticated', reason: 'OAUTH_RESPONSE_INVALID' });
    expect((await finish(mixedUp)).reason).toBe('OAUTH_STATE_INVALID');
    expect((await call(auth.startOAuth, { provider: 'acme', redirectUri: REDIRECTS.other as string })).fields).toEqual([
      'redirect_uri',
    ]);
  });

  test('is used up when the provider returns an error', async () => {
    const started = await start();
    const { state, binding } = started;
    const denied = { state, binding, error: 'access_denied', redirectUri: REDIRECT };
    expect(await finish(denied)).toMatchObject({ code: 'permission_denied', reason: 'OAUTH_DENIED' });
    expect((await finish(denied)).reason).toBe('OAUTH_STATE_INVALID');
  });
});

describe('a malicious or faulty provider', () => {
  test('a second use of a code is rejected', async () => {
    const [first, second] = [await granted(), await granted()];
    expect((await finish(first)).code).toBe('ok');
    expect((await finish({ ...second, code: first.code })).reason).toBe('OAUTH_RESPONSE_INVALID');
  });

  test('the forged responses of this test are valid apart from the field that each one changes', async () => {
    expect((await answerWith({}, 'own key')).code).toBe('ok');
    expect((await answerWith({ azp: CLIENT.id }, 'own key')).code).toBe('ok');
  });

  test.each<[string, object, Parameters<typeof answerWith>[1]]>([
    ['another issuer', { iss: 'https://evil.example' }, 'own key'],
    ['another audience', { aud: 'another client' }, 'own key'],
    ['several audiences and no azp', { aud: [CLIENT.id, 'another'] }, 'own key'],
    ['several audiences and the azp of another client', { aud: [CLIENT.id, 'another'], azp: 'another' }, 'own key'],
    ['the azp of another client', { azp: 'another' }, 'own key'],
    ['the azp of another client, and a list of one audience', { aud: [CLIENT.id], azp: 'another' }, 'own key'],
    ['the azp of another client in other letters', { azp: CLIENT.id.toUpperCase() }, 'own key'],
    ['an empty azp', { azp: '' }, 'own key'],
    ['a null azp', { azp: null }, 'own key'],
    ['a list as azp', { azp: [CLIENT.id] }, 'own key'],
    ['no nonce', { nonce: undefined }, 'own key'],
    ['another nonce', { nonce: 'x' }, 'own key'],
    ['no expiry', { exp: undefined }, 'own key'],
    ['an expired token', { exp: 1 }, 'own key'],
    ['no subject', { sub: undefined }, 'own key'],
    ['an empty subject', { sub: '' }, 'own key'],
    ['a null subject', { sub: null }, 'own key'],
    ['a number for a subject', { sub: 1 }, 'own key'],
    ['a subject with a NUL', { sub: 'a\u0000' }, 'own key'],
    ['a subject of half a character', { sub: '\ud800' }, 'own key'],
    ['a subject of 256 characters', { sub: 'x'.repeat(256) }, 'own key'],
    ['HS256 with the client’s secret', {}, 'client secret'],
    ['no signature', {}, 'none'],
    ['a key that is not the provider’s', {}, 'foreign key'],
  ])('a response with %s is rejected', async (_, claims, how) => {
    const outcome = await answerWith(claims, how);
    expect(outcome).toMatchObject({ code: 'unauthenticated', reason: 'OAUTH_RESPONSE_INVALID' });
    expect(outcome.message).not.toMatch(/nonce|issuer|evil/);
  });

  test.each([
    ['answers 500', 500, {}, '{}'],
    ['sends elsewhere', 302, { location: 'http://169.254.169.254/latest/meta-data' }, ''],
    ['answers with 5 MB', 200, {}, 'x'.repeat(5_000_000)],
  ])('is unavailable when it %s', async (_, status, headers, body) => {
    const response = await granted();
    acme.intercept = (request, answer) => {
      if (!request.url?.startsWith('/token')) return false;
      request.resume();
      answer.writeHead(status, { 'content-type': 'application/json', ...headers });
      answer.end(body);
      return true;
    };
    expect(await finish(response)).toMatchObject({ code: 'aborted', reason: 'PROVIDER_UNAVAILABLE' });
  });

  test.each<[string, object]>([
    ['no endpoints', { authorization_endpoint: undefined }],
    ['an endpoint that is a number', { authorization_endpoint: 1 }],
    ['an endpoint that is a script', { authorization_endpoint: 'javascript:alert(1)' }],
    ['no token endpoint', { token_endpoint: undefined }],
  ])('is unavailable while its discovery has %s', async (_, change) => {
    const fresh = await startOpenIdServer(Object.values(REDIRECTS));
    const bad = await startTestApp({
      OAUTH_PROVIDERS: 'acme',
      OAUTH_ACME_ISSUER: fresh.issuer,
      OAUTH_ACME_CLIENT_ID: CLIENT.id,
      OAUTH_ACME_CLIENT_SECRET: CLIENT.secret,
      OAUTH_ACME_REDIRECT_URIS: REDIRECT,
    });
    onTestFinished(async () => {
      await bad.close();
      fresh.close();
    });
    const endpoints = { authorization_endpoint: `${fresh.issuer}/auth`, token_endpoint: `${fresh.issuer}/token` };
    fresh.intercept = (_request, response) => {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ issuer: fresh.issuer, ...endpoints, jwks_uri: `${fresh.issuer}/jwks`, ...change }));
      return true;
    };
    const begin = () => viaFetch(bad.url)(auth.startOAuth, { provider: 'acme', redirectUri: REDIRECT });
    expect((await begin()).reason).toBe('PROVIDER_UNAVAILABLE');
    fresh.intercept = null;
    expect((await begin()).code).toBe('ok');
  });

  test('counts as unavailable when it rejects this service, and its error is logged', async () => {
    const response = await granted();
    acme.intercept = (request, answer) => {
      if (!request.url?.startsWith('/token')) return false;
      request.resume();
      answer.writeHead(401, { 'content-type': 'application/json' }).end('{"error":"invalid_client"}');
      return true;
    };
    expect((await finish(response)).reason).toBe('PROVIDER_UNAVAILABLE');
    await eventually(() => app.logs.some((line) => line.includes('invalid_client')));
  });

  test('times out after five seconds', async () => {
    const response = await granted();
    acme.intercept = (request) => request.url?.startsWith('/token') ?? false;
    const startedAt = performance.now();
    expect(await finish(response)).toMatchObject({ code: 'aborted', reason: 'PROVIDER_UNAVAILABLE' });
    expect(performance.now() - startedAt).toBeLessThan(9_000);
  });
});

describe('GitHub', () => {
  async function viaGitHub() {
    const { authorizationUrl, state, binding } = await start('github');
    const query = new URL(authorizationUrl).searchParams;
    expect(query.get('code_challenge_method')).toBe('S256');
    return finish({ state, binding, code: 'abc', redirectUri: REDIRECTS.github });
  }

  test('receives requests for the token, the user and the addresses', async () => {
    const id = Math.floor(Math.random() * 1e9);
    github.answers.set('/user', json({ id, login: 'octocat', name: null }));
    github.answers.set('/user/emails', json([{ email: `o${id}@github.example`, primary: true, verified: true }]));
    const first = await viaGitHub();
    expect(first.body).toMatchObject({ newUser: true, user: { email: `o${id}@github.example`, fullName: 'octocat' } });
    expect(Object.fromEntries(github.redeemed.at(-1) ?? [])).toMatchObject({
      client_id: CLIENT.id,
      client_secret: CLIENT.secret,
      code: 'abc',
      redirect_uri: REDIRECTS.github,
      code_verifier: expect.stringMatching(/^[\w-]{43}$/),
    });
    expect((await viaGitHub()).body).toMatchObject({ newUser: false, user: { id: first.body.user.id } });
  });

  test.each([
    [
      'a code that is not good',
      '/login/oauth/access_token',
      json({ error: 'bad_verification_code' }),
      'OAUTH_RESPONSE_INVALID',
    ],
    [
      'a token of another type',
      '/login/oauth/access_token',
      json({ access_token: 'x', token_type: 'mac' }),
      'OAUTH_RESPONSE_INVALID',
    ],
    ['HTML', '/login/oauth/access_token', { type: 'text/html', body: '<html>' }, 'PROVIDER_UNAVAILABLE'],
    ['no id', '/user', json({ login: 'x' }), 'OAUTH_RESPONSE_INVALID'],
    ['a null id', '/user', json({ id: null }), 'OAUTH_RESPONSE_INVALID'],
    ['an id that is a text', '/user', json({ id: '583231' }), 'OAUTH_RESPONSE_INVALID'],
    ['the id 0', '/user', json({ id: 0 }), 'OAUTH_RESPONSE_INVALID'],
    ['a user that is HTML', '/user', { type: 'text/html', body: '<html>' }, 'PROVIDER_UNAVAILABLE'],
    ['a token that has been revoked', '/user', json({ message: 'Bad credentials' }, 401), 'OAUTH_RESPONSE_INVALID'],
    ['a rate limit', '/user', json({ message: 'slow down' }, 429), 'PROVIDER_UNAVAILABLE'],
    [
      'a rate limit of the other kind',
      '/user',
      { ...json({ message: 'slow down' }, 403), headers: { 'x-ratelimit-remaining': '0' } },
      'PROVIDER_UNAVAILABLE',
    ],
    ['an error that is none', '/login/oauth/access_token', json({ error: { toString: 1 } }), 'OAUTH_RESPONSE_INVALID'],
    ['an outage', '/user/emails', json({}, 503), 'PROVIDER_UNAVAILABLE'],
    ['5 MB', '/user/emails', { body: ' '.repeat(5_000_000) }, 'PROVIDER_UNAVAILABLE'],
    [
      'a redirect inwards',
      '/user',
      { status: 302, headers: { location: 'http://169.254.169.254/' }, body: '' },
      'PROVIDER_UNAVAILABLE',
    ],
    ['no addresses', '/user/emails', json([]), 'PROVIDER_EMAIL_UNVERIFIED'],
    [
      'an unverified address',
      '/user/emails',
      json([{ email: 'a@b.example', primary: true, verified: false }]),
      'PROVIDER_EMAIL_UNVERIFIED',
    ],
    [
      'a verified address that is not the primary one',
      '/user/emails',
      json([{ email: 'a@b.example', primary: false, verified: true }]),
      'PROVIDER_EMAIL_UNVERIFIED',
    ],
    ['addresses of another form', '/user/emails', json({ message: 'no' }), 'OAUTH_RESPONSE_INVALID'],
  ])('%s', async (_, path, answer, reason) => {
    if (path === '/user/emails') github.answers.set('/user', json({ id: Math.floor(Math.random() * 1e9) }));
    github.answers.set(path, answer);
    expect((await viaGitHub()).reason).toBe(reason);
  });

  test('creates no session when it responds after the call has ended', async () => {
    const id = Math.floor(Math.random() * 1e9);
    github.answers.set('/user', { ...json({ id }), delayMs: 1_000 });
    const email = newPerson().email;
    github.answers.set('/user/emails', json([{ email, primary: true, verified: true }]));
    const { state, binding } = await start('github');
    const response = { state, binding, code: 'abc', redirectUri: REDIRECTS.github as string };
    const before = github.asked.length;
    const outcome = await call(auth.finishOAuth, response, { headers: { 'connect-timeout-ms': '300' } });
    expect(outcome.reason).toBe('DEADLINE_EXCEEDED');
    await eventually(() => github.asked.length === before + 3);
    await sleep(200);
    expect((await app.owner.query('SELECT FROM users WHERE email = $1', [email])).rowCount).toBe(0);
  });

  test('times out after five seconds when it takes thirty', async () => {
    github.answers.set('/user', { ...json({ id: 1 }), delayMs: 30_000 });
    expect((await viaGitHub()).reason).toBe('PROVIDER_UNAVAILABLE');
  });
});

describe('re-authentication by a sign-in at the provider', () => {
  const sensitive = ({ accessToken }: { accessToken: string }) =>
    call(account.revokeOtherSessions, {}, { bearer: accessToken });
  const seconds = (ahead: number) => Math.floor(Date.now() / 1000) + ahead;

  test('makes the provider authenticate the user anew, also to link an identity', async () => {
    const { authorizationUrl } = await start('acme', true);
    expect(new URL(authorizationUrl).searchParams.get('max_age')).toBe('0');
    expect(new URL((await start()).authorizationUrl).searchParams.has('max_age')).toBe(false);
    const person = await signedIn(call);
    await app.owner.query('UPDATE users SET email_verified_at = now() WHERE id = $1', [person.userId]);
    const linking = { provider: 'acme', redirectUri: REDIRECT, currentPassword: person.password, reauthenticate: true };
    const { accessToken: bearer } = await refreshed(call, person);
    const { body } = await call(account.startLinkIdentity, linking, { bearer });
    expect(new URL(body.authorizationUrl).searchParams.get('max_age')).toBe('0');
  });

  test('is accepted for an account without a password while the authentication time of the provider is recent', async () => {
    const { tokens } = (await signIn('acme', true)).body;
    expect((await sensitive(tokens)).code).toBe('ok');
    await app.owner.query(
      "UPDATE sessions SET provider_authenticated_at = provider_authenticated_at - interval '2 days' WHERE id = $1",
      [(await call(auth.verify, { accessToken: tokens.accessToken })).body.principal.sessionId],
    );
    expect((await sensitive(tokens)).reason).toBe('REAUTHENTICATION_REQUIRED');
  });

  test('is missing when the provider does not state a time, so that a password is required first', async () => {
    const { body } = await answerWith({ sub: randomUUID() }, 'own key');
    const outcome = await sensitive(body.tokens);
    expect(outcome.reason).toBe('REAUTHENTICATION_REQUIRED');
    expect(outcome.message).toContain('RequestReset');
  });

  test('counts from the time of the authentication and not from that of the sign-in', async () => {
    const authTime = seconds(-100_000);
    const old = await answerWith({ sub: randomUUID(), auth_time: authTime }, 'own key');
    expect(decodeJwt(old.body.tokens.accessToken).auth_time).toBe(authTime);
    expect((await sensitive(old.body.tokens)).reason).toBe('REAUTHENTICATION_REQUIRED');
    const recent = await answerWith({ sub: randomUUID(), auth_time: seconds(-10) }, 'own key');
    expect((await sensitive(recent.body.tokens)).code).toBe('ok');
  });

  test.each([
    ['no time', undefined],
    ['a time before the flow began', -120],
    ['a time that has not come yet', 3_600],
  ])('that was requested is rejected with %s', async (_, ahead) => {
    const claims = { sub: randomUUID(), ...(ahead !== undefined && { auth_time: seconds(ahead) }) };
    expect((await answerWith(claims, 'own key', true)).reason).toBe('OAUTH_RESPONSE_INVALID');
  });

  test.each([['text'], [-1], [1e300], [null]])('reads %s as a missing time', async (authTime) => {
    const outcome = await answerWith({ sub: randomUUID(), auth_time: authTime }, 'own key');
    if (outcome.code === 'ok') {
      expect((await sensitive(outcome.body.tokens)).reason).toBe('REAUTHENTICATION_REQUIRED');
    } else expect(outcome.reason).toBe('OAUTH_RESPONSE_INVALID');
  });

  test('is not accepted for an account with a password', async () => {
    const { user, tokens } = (await signIn('acme', true)).body;
    await app.owner.query("UPDATE users SET password_hash = 'x' WHERE id = $1", [user.id]);
    expect((await sensitive(tokens)).reason).toBe('REAUTHENTICATION_REQUIRED');
  });

  test('is rejected at once for GitHub', async () => {
    const redirectUri = REDIRECTS.github as string;
    const outcome = await call(auth.startOAuth, { provider: 'github', redirectUri, reauthenticate: true });
    expect(outcome.fields).toEqual(['reauthenticate']);
  });
});

describe('linking', () => {
  /** The address is verified. */
  async function verified(): Promise<SignedIn> {
    const person = await registered(call);
    await app.owner.query('UPDATE users SET email_verified_at = now() WHERE id = $1', [person.userId]);
    return signedIn(call, person);
  }

  test('requires a verified address, so that an attacker cannot add a sign-in method to the address of a stranger', async () => {
    const person = await signedIn(call);
    const begun = await call(
      account.startLinkIdentity,
      { provider: 'acme', redirectUri: REDIRECT, currentPassword: person.password },
      as(person),
    );
    expect(begun.reason).toBe('ACCOUNT_NOT_LINKED');
  });

  test('fails when the session ends or the password changes before it is finished', async () => {
    const person = await verified();
    const response = await link(person);
    await call(auth.logout, { refreshToken: person.refreshToken });
    expect((await call(account.finishLinkIdentity, response, as(person))).code).toBe('unauthenticated');
    expect((await app.owner.query('SELECT FROM identities WHERE user_id = $1', [person.userId])).rowCount).toBe(0);
  });

  const as = ({ accessToken }: Pick<SignedIn, 'accessToken'>) => ({ bearer: accessToken });
  const identities = async (person: SignedIn) => (await call(account.listIdentities, {}, as(person))).body.identities;

  async function link(person: SignedIn) {
    const begun = await call(
      account.startLinkIdentity,
      { provider: 'acme', redirectUri: REDIRECT, currentPassword: person.password },
      as(person),
    );
    const query = await browse(begun.body.authorizationUrl, REDIRECT);
    const { state, binding } = begun.body;
    const [code, issuer] = [query.get('code') ?? '', query.get('iss') ?? ''];
    return { state, binding, code, issuer, redirectUri: REDIRECT };
  }

  test('adds a sign-in method for the user who started it only', async () => {
    const [person, stranger] = [await verified(), await verified()];
    const response = await link(person);
    expect((await call(account.finishLinkIdentity, response, as(stranger))).reason).toBe('OAUTH_STATE_INVALID');
    const again = await link(person);
    expect((await finish(again)).reason).toBe('OAUTH_STATE_INVALID');
    expect(await call(account.finishLinkIdentity, await link(person), as(person))).toEqual({ code: 'ok', body: {} });
    expect(await identities(person)).toMatchObject([{ provider: 'acme', issuer: acme.issuer }]);
    expect((await signIn()).body).toMatchObject({ newUser: false, user: { id: person.userId } });
    expect((await call(account.finishLinkIdentity, await link(stranger), as(stranger))).reason).toBe('IDENTITY_TAKEN');
  });

  test('a sign-in cannot be finished as a link', async () => {
    const person = await signedIn(call);
    expect((await call(account.finishLinkIdentity, await granted(), as(person))).reason).toBe('OAUTH_STATE_INVALID');
  });

  test('keeps the last sign-in method that works: a disabled provider does not count', async () => {
    const { body } = await signIn('acme', true);
    const person = { ...newPerson(), userId: body.user.id, ...body.tokens } as SignedIn;
    await app.owner.query(
      "INSERT INTO identities VALUES (gen_random_uuid(), $1, 'former', 'https://former.example', 'x', now(), now())",
      [person.userId],
    );
    const all: { id: string; provider: string }[] = await identities(person);
    const idOf = (provider: string) => all.find((one) => one.provider === provider)?.id ?? '';
    const unlink = (identityId: string) => call(account.unlinkIdentity, { identityId }, as(person));
    expect((await unlink(idOf('acme'))).reason).toBe('LAST_SIGN_IN_METHOD');
    expect((await unlink(idOf('former'))).code).toBe('ok');
  });

  test('is possible up to the maximum number of identities', async () => {
    const person = await verified();
    await app.owner.query(
      `INSERT INTO identities SELECT gen_random_uuid(), $1::uuid, 'acme', 'https://' || repeat('x', 200), n, now(), now()
        FROM generate_series(1, 100) AS n`,
      [person.userId],
    );
    expect(await identities(person)).toHaveLength(100);
    acme.account = { sub: randomUUID() };
    const outcome = await call(account.finishLinkIdentity, await link(person), as(person));
    expect(outcome).toMatchObject({ code: 'failed_precondition', reason: 'TOO_MANY_IDENTITIES' });
  });

  test('does not fail with an internal error when the account is deleted meanwhile', async () => {
    for (let round = 0; round < 5; round += 1) {
      const person = await verified();
      const start = { provider: 'acme', redirectUri: REDIRECT, currentPassword: person.password };
      const begun = Array.from({ length: 8 }, () => call(account.startLinkIdentity, start, as(person)));
      const gone = call(account.deleteMe, { currentPassword: person.password }, as(person));
      for (const { reason } of await Promise.all(begun)) expect([undefined, 'TOKEN_REVOKED']).toContain(reason);
      expect((await gone).code).toBe('ok');
    }
  });

  test('keeps the last sign-in method, and removes it once the account has a password', async () => {
    const { body } = await signIn('acme', true);
    const person = { ...newPerson(), userId: body.user.id, ...body.tokens } as SignedIn;
    const [only] = await identities(person);
    const unlink = (identityId: string) => call(account.unlinkIdentity, { identityId }, as(person));
    expect(await unlink(only.id)).toMatchObject({ code: 'failed_precondition', reason: 'LAST_SIGN_IN_METHOD' });
    await app.owner.query("UPDATE users SET password_hash = 'x' WHERE id = $1", [person.userId]);
    expect((await unlink(only.id)).reason).toBe('REAUTHENTICATION_REQUIRED');
    await app.owner.query('UPDATE sessions SET reauthenticated_at = now() WHERE user_id = $1', [person.userId]);
    expect((await unlink(only.id)).code).toBe('ok');
    expect((await unlink(only.id)).reason).toBe('IDENTITY_NOT_FOUND');
    expect(await identities(person)).toEqual([]);
  });

  test('unlinking ends the other sessions that were started with it, and the owner is informed of both changes', async () => {
    const person = await verified();
    await call(account.finishLinkIdentity, await link(person), as(person));
    const theirs = await Promise.all([signIn(), signIn()]);
    const byPassword = await signedIn(call, person);
    const [asking, other] = theirs.map(({ body }) => body.tokens);
    const [identity] = await identities(person);
    const unlinking = { identityId: identity.id, currentPassword: person.password };
    expect((await call(account.unlinkIdentity, unlinking, as(asking))).code).toBe('ok');
    const tokens = [person, byPassword, asking, other].map(({ accessToken }) => accessToken);
    expect(await Promise.all(tokens.map((token) => isAccepted(call, token)))).toEqual([true, true, true, false]);
    expect((await call(auth.refresh, { refreshToken: other.refreshToken })).reason).toBe('SESSION_ENDED');
    const subjects = ['A new way to sign in to your account', 'A way to sign in to your account was removed'];
    for (const subject of subjects) {
      const mail = await eventually(() =>
        app.mailbox.mails.find((one) => one.to === person.email && one.subject === subject),
      );
      expect(mail.text).toContain('acme');
    }
  });

  test('the e-mail after a reset names the linked providers, because a thief may have linked an account', async () => {
    const person = await verified();
    await call(account.finishLinkIdentity, await link(person), as(person));
    await call(auth.requestReset, { email: person.email });
    const mailTo = (subject: string) =>
      eventually(() => app.mailbox.mails.find((one) => one.to === person.email && one.subject === subject));
    const resetToken = (await mailTo('Set a new password')).link?.split('#token=')[1] ?? '';
    await call(auth.confirmReset, { resetToken, newPassword: 'a brand new pass phrase' });
    expect((await mailTo('Your password was reset')).text).toContain('accounts at: acme');
  });

  test('a sign-in that is under way when its identity is unlinked leaves no session behind', async () => {
    for (let round = 0; round < 12; round += 1) {
      acme.account = { sub: randomUUID(), email: newPerson().email, email_verified: true };
      const person = await verified();
      await call(account.finishLinkIdentity, await link(person), as(person));
      const [identity] = await identities(person);
      const responses = await Promise.all(Array.from({ length: 4 }, () => granted()));
      const ways = responses.map((response) => finish(response));
      await call(account.unlinkIdentity, { identityId: identity.id, currentPassword: person.password }, as(person));
      await Promise.all(ways);
      const live = 'SELECT FROM sessions WHERE identity_id = $1 AND ended_at IS NULL';
      expect((await app.owner.query(live, [identity.id])).rowCount).toBe(0);
    }
  });

  test('an identity of another user cannot be unlinked', async () => {
    const { body } = await signIn();
    const [theirs] = await identities({ accessToken: body.tokens.accessToken } as SignedIn);
    const person = await signedIn(call);
    expect(
      (await call(account.unlinkIdentity, { identityId: theirs.id, currentPassword: person.password }, as(person)))
        .reason,
    ).toBe('IDENTITY_NOT_FOUND');
  });
});

test('stores no secret that could finish a flow', async () => {
  const { state, binding, authorizationUrl } = await start();
  const { rows } = await app.owner.query('SELECT f::text AS row FROM oauth_flows AS f');
  const query = new URL(authorizationUrl).searchParams;
  for (const secret of [state, binding, query.get('nonce') as string]) {
    expect(rows.some(({ row }) => row.includes(secret))).toBe(false);
    expect(app.logs.some((line) => line.includes(secret))).toBe(false);
  }
});
