// The audiences of tokens: Latchkey's own APIs, the deployment's services, or those that a caller has requested.
import { randomUUID } from 'node:crypto';
import { decodeJwt } from 'jose';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type App, startApp } from '../../src/app.ts';
import { type Environment, readConfig } from '../../src/config/config.ts';
import { createLogger } from '../../src/process/log.ts';
import { SERVICE_KEY, startTestApp, type TestApp } from '../support/app.ts';
import { account, admin, auth, type Caller, verifierService, viaFetch, viaGrpcJs } from '../support/clients.ts';
import { browse, CLIENT, type OpenIdServer, startOpenIdServer } from '../support/openid-provider.ts';
import { newPerson, registered, type SignedIn, signedIn, signedInWith } from '../support/people.ts';

const REDIRECT = 'https://product.example/callback';

let provider: OpenIdServer;
let app: TestApp;
let call: Caller;
let boss: SignedIn;
beforeAll(async () => {
  provider = await startOpenIdServer([REDIRECT]);
  app = await startTestApp({
    AUDIENCE: 'shop,warehouse',
    OAUTH_PROVIDERS: 'acme',
    OAUTH_ACME_ISSUER: provider.issuer,
    OAUTH_ACME_CLIENT_ID: CLIENT.id,
    OAUTH_ACME_CLIENT_SECRET: CLIENT.secret,
    OAUTH_ACME_REDIRECT_URIS: REDIRECT,
  });
  call = viaFetch(app.url);
  boss = await signedInWith(app, call, ['admin']);
});
afterAll(async () => {
  await app.close();
  provider.close();
});

type Tokens = { accessToken: string; refreshToken: string };

const ALL = ['shop', 'warehouse', 'latchkey'];
const audOf = ({ accessToken }: Tokens) => decodeJwt(accessToken).aud;
const refresh = (refreshToken: string, audiences: string[] = [], requestId = '', by = call) =>
  by(auth.refresh, { refreshToken, audiences, requestId });
const refreshed = async (refreshToken: string, audiences: string[] = []): Promise<Tokens> =>
  (await refresh(refreshToken, audiences)).body.tokens;

async function signInFor(audiences: string[], by = call): Promise<Tokens & { userId: string }> {
  const person = await registered(by);
  const { body } = await by(auth.login, { email: person.email, password: person.password, audiences });
  return { ...body.tokens, userId: person.userId };
}

/** Another process on the same databases, with another configuration. */
async function alsoWith(overrides: Environment): Promise<Caller> {
  const config = readConfig({ ...app.environment, ...overrides });
  const other: App = await startApp(config, { api: true, worker: false }, createLogger('silent'));
  onTestFinished(() => other.close());
  return viaFetch(`http://127.0.0.1:${other.port}`);
}

describe('the audiences of a session', () => {
  test('are those of the deployment and Latchkey’s own', async () => {
    const tokens = await signInFor([]);
    expect(audOf(tokens)).toEqual(ALL);
    expect(audOf(await refreshed(tokens.refreshToken))).toEqual(ALL);
  });

  test('are fewer when the sign-in requests fewer, and every Refresh keeps them', async () => {
    const tokens = await signInFor(['warehouse', 'shop', 'warehouse']);
    expect(audOf(tokens)).toEqual(['shop', 'warehouse']);
    const next = await refreshed(tokens.refreshToken);
    expect(audOf(next)).toEqual(['shop', 'warehouse']);
    expect(audOf(await refreshed(next.refreshToken))).toEqual(['shop', 'warehouse']);
  });

  test('become fewer by a Refresh that requests fewer, and stay so', async () => {
    const tokens = await signInFor([]);
    const narrow = await refreshed(tokens.refreshToken, ['shop', 'latchkey']);
    expect(audOf(narrow)).toEqual(['shop', 'latchkey']);
    const narrower = await refreshed(narrow.refreshToken, ['shop']);
    expect(audOf(await refreshed(narrower.refreshToken))).toEqual(['shop']);
  });

  test('never become more: a Refresh that requests more is rejected and changes nothing', async () => {
    const tokens = await signInFor(['shop']);
    for (const audiences of [ALL, ['shop', 'latchkey'], ['latchkey'], ['warehouse']]) {
      expect(await refresh(tokens.refreshToken, audiences)).toMatchObject({
        code: 'invalid_argument',
        fields: ['audiences'],
      });
    }
    expect(audOf(await refreshed(tokens.refreshToken, ['shop']))).toEqual(['shop']);
  });

  test.each([['office'], ['Shop'], ['shop,warehouse'], ['shop '], ['*'], ['']])(
    'cannot be one that there is not: "%s"',
    async (unknown) => {
      const person = await signedIn(call);
      const { email, password, refreshToken } = person;
      for (const audiences of [[unknown], ['shop', unknown]]) {
        expect((await call(auth.login, { email, password, audiences })).fields).toEqual(['audiences']);
        expect((await refresh(refreshToken, audiences)).fields).toEqual(['audiences']);
      }
      expect((await refresh(refreshToken)).code).toBe('ok');
    },
  );

  test('are chosen at a sign-in with a provider as well, and an invalid choice does not use the state up', async () => {
    provider.account = { sub: randomUUID(), email: newPerson().email, email_verified: true };
    const started = (await call(auth.startOAuth, { provider: 'acme', redirectUri: REDIRECT })).body;
    const query = await browse(started.authorizationUrl, REDIRECT);
    const response = {
      ...{ state: started.state, binding: started.binding, redirectUri: REDIRECT },
      ...{ code: query.get('code') ?? '', issuer: query.get('iss') ?? '' },
    };
    expect((await call(auth.finishOAuth, { ...response, audiences: ['office'] })).fields).toEqual(['audiences']);
    const { body } = await call(auth.finishOAuth, { ...response, audiences: ['shop'] });
    expect(audOf(body.tokens)).toEqual(['shop']);
    expect(audOf(await refreshed(body.tokens.refreshToken))).toEqual(['shop']);
  });
});

describe('a Refresh whose response was lost', () => {
  test('returns the same successor again, for the current audiences of the session', async () => {
    const tokens = await signInFor([]);
    const first = await refreshed(tokens.refreshToken, ['shop', 'warehouse']);
    for (const audiences of [[], ['shop', 'warehouse']]) {
      const again = await refreshed(tokens.refreshToken, audiences);
      expect(again.refreshToken).toBe(first.refreshToken);
      expect(audOf(again)).toEqual(['shop', 'warehouse']);
    }
  });

  test('never returns more than the current audiences of the session', async () => {
    const tokens = await signInFor([]);
    const first = await refreshed(tokens.refreshToken, ['shop']);
    expect((await refresh(tokens.refreshToken, ['shop', 'latchkey'])).fields).toEqual(['audiences']);
    expect(audOf(await refreshed(first.refreshToken))).toEqual(['shop']);
  });

  test('narrows the session when it requests fewer the second time', async () => {
    const tokens = await signInFor([]);
    const first = await refreshed(tokens.refreshToken);
    const again = await refreshed(tokens.refreshToken, ['shop']);
    expect([again.refreshToken, audOf(again)]).toEqual([first.refreshToken, ['shop']]);
    expect(audOf(await refreshed(first.refreshToken))).toEqual(['shop']);
  });

  test('among many parallel ones for different audiences returns no audience that another one has removed', async () => {
    const tokens = await signInFor([]);
    const choices = [['shop', 'warehouse'], ['shop'], ['shop', 'latchkey'], []];
    const outcomes = await Promise.all(
      Array.from({ length: 40 }, (_, n) => refresh(tokens.refreshToken, choices[n % choices.length])),
    );
    const successors = outcomes.flatMap(({ body }) => (body ? [body.tokens as Tokens] : []));
    expect(new Set(successors.map(({ refreshToken }) => refreshToken)).size).toBe(1);
    for (const { code } of outcomes.filter(({ body }) => !body)) {
      // The second one when the session was narrowed between two statements of the call.
      expect(['invalid_argument', 'unavailable']).toContain(code);
    }
    const last = await refreshed(successors[0]?.refreshToken ?? '');
    const narrowest = successors.map((one) => audOf(one) as string[]).sort((a, b) => a.length - b.length)[0];
    expect(audOf(last)).toEqual(narrowest);
  });

  test('with a stolen token ends the session, for any requested audiences', async () => {
    const tokens = await signInFor(['shop']);
    const next = await refreshed(tokens.refreshToken);
    const current = await refreshed(next.refreshToken);
    expect((await refresh(tokens.refreshToken, ['latchkey'])).reason).toBe('REFRESH_TOKEN_REUSED');
    expect((await refresh(current.refreshToken)).reason).toBe('SESSION_ENDED');
  });
});

describe('when the configuration changes', () => {
  test('a session without a choice has all configured audiences', async () => {
    const tokens = await signInFor([]);
    const { body } = await refresh(tokens.refreshToken, [], '', await alsoWith({ AUDIENCE: 'office' }));
    expect(audOf(body.tokens)).toEqual(['office', 'latchkey']);
  });

  test('a session keeps the chosen audiences that are still configured, and regains the others when they return', async () => {
    const tokens = await signInFor(['shop', 'warehouse']);
    const { body } = await refresh(tokens.refreshToken, [], '', await alsoWith({ AUDIENCE: 'shop' }));
    expect(audOf(body.tokens)).toEqual(['shop']);
    expect(audOf(await refreshed(body.tokens.refreshToken))).toEqual(['shop', 'warehouse']);
  });

  test('a session without a configured audience cannot refresh, and the attempt does not use up its refresh token', async () => {
    const tokens = await signInFor(['warehouse']);
    const without = await alsoWith({ AUDIENCE: 'shop' });
    for (let n = 0; n < 2; n += 1) {
      expect(await refresh(tokens.refreshToken, [], '', without)).toMatchObject({
        code: 'unauthenticated',
        reason: 'AUDIENCES_REMOVED',
      });
    }
    const next = await refreshed(tokens.refreshToken);
    expect(audOf(next)).toEqual(['warehouse']);
    // A lost response is rejected in the same way.
    expect((await refresh(tokens.refreshToken, [], '', without)).reason).toBe('AUDIENCES_REMOVED');
  });
});

describe('Latchkey’s own APIs', () => {
  test.each([
    ['HTTP', () => call],
    ['gRPC', () => viaGrpcJs(app.url)],
  ])('reject a token that is only for other audiences, over %s', async (_, caller) => {
    const by = caller();
    await app.owner.query("INSERT INTO user_roles VALUES ($1, 'admin', now()) ON CONFLICT DO NOTHING", [boss.userId]);
    const { email, password, userId } = boss;
    const { body } = await call(auth.login, { email, password, audiences: ['shop', 'warehouse'] });
    const narrow = { bearer: body.tokens.accessToken };
    const full = { bearer: (await signedIn(call, boss)).accessToken };
    const reason = 'a test';
    const calls: [Parameters<Caller>[0], Parameters<Caller>[1]][] = [
      [account.getMe, {}],
      [account.listSessions, {}],
      [account.updateMe, { fullName: 'Grace Hopper' }],
      [account.revokeOtherSessions, {}],
      [account.changePassword, { currentPassword: password, newPassword: `pass phrase ${randomUUID()}` }],
      [account.deleteMe, { currentPassword: password }],
      [admin.getUser, { userId }],
      [admin.grantRole, { userId, role: 'admin', reason }],
      [admin.rotateSigningKeys, { reason }],
      [verifierService.batchVerify, { accessTokens: ['x'] }],
      [verifierService.batchCheckRole, { checks: [{ userId, role: 'user' }] }],
      [auth.checkRole, { userId, role: 'user' }],
      [auth.issueServiceToken, {}],
    ];
    for (const [method, input] of calls) {
      const outcome = await by(method, input, narrow);
      expect([method.name, outcome.code, outcome.reason]).toEqual([
        method.name,
        'unauthenticated',
        'AUDIENCE_MISMATCH',
      ]);
    }
    expect((await by(account.getMe, {}, full)).code).toBe('ok');
    expect((await by(auth.checkRole, { userId, role: 'admin' }, full)).body.allowed).toBe(true);
    expect((await by(verifierService.batchVerify, { accessTokens: ['x'] }, full)).code).toBe('ok');
  });

  test('verify tokens for any audience: only the caller’s own token must be for Latchkey', async () => {
    const { accessToken, userId } = await signInFor(['shop']);
    expect((await call(auth.verify, { accessToken })).body.principal.userId).toBe(userId);
    expect((await call(auth.verify, {}, { bearer: accessToken })).body.principal.userId).toBe(userId);
    expect((await call(auth.verify, { accessToken, audience: 'shop' })).code).toBe('ok');
    expect((await call(auth.verify, { accessToken, audience: 'latchkey' })).reason).toBe('AUDIENCE_MISMATCH');
    expect((await call(auth.checkRole, { accessToken, role: 'user' })).body.allowed).toBe(true);
    const batch = { accessTokens: [accessToken] };
    const verdicts = (await call(verifierService.batchVerify, batch, { bearer: SERVICE_KEY })).body.verdicts;
    expect(verdicts[0].principal.userId).toBe(userId);
    const headers = { authorization: `Bearer ${accessToken}` };
    expect((await fetch(`${app.url}/forward-auth`, { headers })).status).toBe(200);
    expect((await fetch(`${app.url}/forward-auth?audience=latchkey`, { headers })).status).toBe(401);
  });

  test('reject a token of another deployment’s audience whose name differs from theirs only in case', async () => {
    const by = await alsoWith({ AUDIENCE: 'Latchkey,latchkey2' });
    const person = await registered(by);
    const { email, password } = person;
    const { body } = await by(auth.login, { email, password, audiences: ['Latchkey', 'latchkey2'] });
    expect((await by(account.getMe, {}, { bearer: body.tokens.accessToken })).reason).toBe('AUDIENCE_MISMATCH');
  });
});
