// The strength of an authentication at every endpoint of the server that can require it.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeJwt } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CheckResponse } from '../../gen/envoy/service/auth/v3/external_auth_pb.ts';
import { type Check, createCheck, envoyRequest, headersOf, httpStatusOf } from '../gateways/envoy-check.ts';
import { SERVICE_KEY, startTestApp, type TestApp } from '../support/app.ts';
import { auth, type Caller, callers, type Outcome, verifierService } from '../support/clients.ts';
import { bearer, refreshed, signedIn } from '../support/people.ts';
import { sendRequest } from '../support/send-request.ts';
import {
  type CallerName,
  createCallers,
  expectTable,
  REQUIREMENTS,
  type Requirement,
  type StrengthCallers,
  USERS,
} from '../support/strength-table.ts';

const HOST = 'app.example';
const YOUNG: CallerName = 'a password, 10 s ago';
const folder = mkdtempSync(join(tmpdir(), 'latchkey-strength-'));
const policyFile = join(folder, 'policy.yaml');
const closers: (() => unknown)[] = [() => rmSync(folder, { recursive: true })];
let app: TestApp;
let call: Caller;
let check: Check;
let tokens: StrengthCallers['tokens'];
let cookies: StrengthCallers['cookies'];

const textsOf = ({ acr, maxAge, role }: Requirement): Record<string, string> => ({
  ...(acr && { acr }),
  ...(maxAge && { max_age: String(maxAge) }),
  ...(role && { role }),
});

beforeAll(async () => {
  const routes = REQUIREMENTS.map((requirement, n) => ({
    ...{ path: `/route-${n}`, access: 'required', api_keys: 'accept' },
    ...textsOf(requirement),
  }));
  writeFileSync(policyFile, JSON.stringify({ routes }));
  app = await startTestApp({ POLICY_FILE: policyFile, SESSION_COOKIE_ORIGINS: `https://${HOST}` });
  closers.push(() => app.close());
  ({ call } = app);
  const client = createCheck(app.url);
  check = client.check;
  closers.push(client.close);
  ({ tokens, cookies } = await createCallers(app));
});
afterAll(async () => {
  for (const close of closers.reverse()) await close();
});

const wordOf = ({ code, reason = '' }: Outcome) => (code === 'ok' ? 'ok' : reason);
const reasonIn = ({ reason }: { reason: string }) => reason.replace('REASON_', '').replace('UNSPECIFIED', 'ok');
const isWithoutRole = ({ role }: Requirement) => role === undefined;

// The first two are answered by the fast path, the last by Connect.
describe.each(['plain JSON by fetch', 'grpc-js', 'gRPC-Web, HTTP/1.1'])('over %s', (protocol) => {
  let ask: Caller;
  beforeAll(() => {
    ask = callers(app.url)[protocol] as Caller;
  });
  const strengthOf = ({ acr, maxAge }: Requirement) => ({ ...(acr && { acr }), ...(maxAge && { maxAge }) });
  const accepted = { acceptApiKeys: true };

  test('Verify', async () => {
    await expectTable(
      async (name, requirement) =>
        wordOf(await ask(auth.verify, { accessToken: tokens[name], ...accepted, ...strengthOf(requirement) })),
      { of: isWithoutRole },
    );
  });

  test('BatchVerify', async () => {
    await expectTable(
      async (name, requirement) => {
        const input = { accessTokens: [tokens[name], 'x'], ...accepted, ...strengthOf(requirement) };
        const { body } = await ask(verifierService.batchVerify, input, { bearer: SERVICE_KEY });
        expect(reasonIn(body.verdicts[1])).toBe('TOKEN_INVALID');
        return reasonIn(body.verdicts[0]);
      },
      { of: isWithoutRole },
    );
  });

  test('CheckRole', async () => {
    await expectTable(async (name, requirement) => {
      const { role = 'user' } = requirement;
      const input = { accessToken: tokens[name], role, ...accepted, ...strengthOf(requirement) };
      const outcome = await ask(auth.checkRole, input);
      return outcome.code === 'ok' ? reasonIn(outcome.body) : wordOf(outcome);
    });
  });

  test('BatchCheckRole', async () => {
    await expectTable(async (name, requirement) => {
      const { role = 'user' } = requirement;
      const input = { checks: [{ accessToken: tokens[name], role }], ...accepted, ...strengthOf(requirement) };
      const { body } = await ask(verifierService.batchCheckRole, input, { bearer: SERVICE_KEY });
      return reasonIn(body.answers[0]);
    });
  });

  test.each([
    [{ acr: 'MFA' }, ['acr']],
    [{ acr: 'mfa ' }, ['acr']],
    [{ maxAge: 31_536_001 }, ['max_age']],
    [{ maxAge: 4_294_967_295 }, ['max_age']],
    [{ acr: '2', maxAge: 31_536_001 }, ['acr', 'max_age']],
  ])('the requirement %j is invalid at each of them', async (requirement, fields) => {
    const accessToken = tokens[YOUNG];
    const options = { bearer: SERVICE_KEY };
    for (const outcome of [
      await ask(auth.verify, { accessToken, ...requirement }),
      await ask(verifierService.batchVerify, { accessTokens: [accessToken], ...requirement }, options),
      await ask(auth.checkRole, { accessToken, role: 'user', ...requirement }),
      await ask(verifierService.batchCheckRole, { checks: [{ accessToken, role: 'user' }], ...requirement }, options),
    ])
      expect(outcome).toMatchObject({ reason: 'INVALID_ARGUMENT', fields });
  });

  test.each([
    [{ acr: 'pwd' }, ['acr']],
    [{ maxAge: 600 }, ['max_age']],
  ])('a check by user id has no session, so %j is invalid', async (requirement, fields) => {
    const options = { bearer: SERVICE_KEY };
    const subject = { userId: '01a207a7-2607-72a4-9011-046a9b015fc0', role: 'user' };
    const checks = [{ accessToken: tokens[YOUNG], role: 'user' }, subject];
    for (const outcome of [
      await ask(auth.checkRole, { ...subject, ...requirement }, options),
      await ask(verifierService.batchCheckRole, { checks, ...requirement }, options),
    ])
      expect(outcome).toMatchObject({ reason: 'INVALID_ARGUMENT', fields });
  });

  test('an answer may be used until the authentication is too old, and no longer', async () => {
    const { auth_time: authTime = 0, iat } = decodeJwt<{ auth_time: number }>(tokens[YOUNG]);
    const maxAge = Math.ceil(Date.now() / 1000) - authTime + 1;
    const { body } = await ask(auth.verify, { accessToken: tokens[YOUNG], maxAge });
    expect(Date.parse(body.revalidateAt)).toBeLessThanOrEqual((authTime + maxAge) * 1000);
    const free = await ask(auth.verify, { accessToken: tokens[YOUNG], maxAge: 31_536_000 });
    expect(Date.parse(free.body.revalidateAt)).toBeGreaterThan((iat ?? 0) * 1000);
  });
});

test('the error names what is required', async () => {
  const post = async (input: object, query: string) => {
    const response = await fetch(`${app.url}/latchkey.auth.v1.AuthService/Verify${query}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ accessToken: tokens[YOUNG], ...input }),
    });
    const { code, details } = (await response.json()) as { code: string; details: { debug: object }[] };
    return { status: response.status, code, ...details[0]?.debug };
  };
  for (const query of ['', '?']) {
    const answer = { status: 401, code: 'unauthenticated', reason: 'STEP_UP_REQUIRED', domain: 'latchkey.dev' };
    expect(await post({ acr: 'mfa', maxAge: 600 }, query)).toMatchObject({
      ...answer,
      metadata: { request_id: expect.any(String), acr_values: 'mfa', max_age: '600' },
    });
    const { metadata } = (await post({ acr: 'phr' }, query)) as unknown as { metadata: object };
    expect(Object.keys(metadata).toSorted()).toEqual(['acr_values', 'request_id']);
  }
});

const CHALLENGE =
  /^Bearer realm="latchkey", error="insufficient_user_authentication", error_description="[^"\\]+", acr_values="mfa", max_age="600"$/;
const STRICT = { acr: 'mfa', max_age: '600' };

describe.each([
  ['the fast path', ''],
  ['Connect', '?'],
])('ext_authz over %s', (_, query) => {
  const wordOf = ({ status }: CheckResponse) => (status?.code ? status.message : 'ok');
  const onRoute = (headers: Record<string, string>, n: number) => {
    const request = envoyRequest(headers);
    Object.assign(request.attributes?.request?.http ?? {}, { path: `/route-${n}` });
    return request;
  };

  test('by context extensions, by metadata and by the policy file', async () => {
    await expectTable(async (name, requirement, n) => {
      const texts = { api_keys: 'accept', ...textsOf(requirement) };
      const metadata = Object.entries(texts).map(([key, value]) => [`x-latchkey-${key.replace('_', '-')}`, value]);
      const words = [
        wordOf(await check(envoyRequest(bearer(tokens[name]), texts), query)),
        wordOf(await check(envoyRequest(bearer(tokens[name])), query, Object.fromEntries(metadata))),
        wordOf(await check(onRoute(bearer(tokens[name]), n), query)),
      ];
      return [...new Set(words)].join(' ');
    });
  });

  test('the answer to a client has the challenge of RFC 9470', async () => {
    const answer = await check(envoyRequest(bearer(tokens[YOUNG]), STRICT), query);
    expect([httpStatusOf(answer), headersOf(answer)['www-authenticate']]).toEqual([
      401,
      expect.stringMatching(CHALLENGE),
    ]);
    const denied = await check(envoyRequest(bearer(tokens['a token of a service']), STRICT), query);
    expect([httpStatusOf(denied), headersOf(denied)['www-authenticate']]).toEqual([
      403,
      'Bearer realm="latchkey", error="insufficient_scope"',
    ]);
  });

  test.each([{ acr: 'MFA' }, { arc: 'mfa' }, { max_age: '10m' }, { acr: '' }])(
    'rejects every request with %j',
    async (texts) => {
      const answer = await check(envoyRequest(bearer(tokens['a passkey, 10 s ago']), texts as never), query);
      expect([httpStatusOf(answer), answer.status?.message]).toEqual([400, 'INVALID_ARGUMENT']);
    },
  );
});

describe('forward auth', () => {
  const ORDERS = { 'x-forwarded-host': HOST, 'x-forwarded-method': 'GET', 'x-forwarded-uri': '/orders' };
  const ask = (path: string, headers: Record<string, string>) =>
    sendRequest(`${app.url}/forward-auth${path}`, { headers: { ...ORDERS, ...headers } });
  const wordOf = async (response: Response) =>
    response.ok ? 'ok' : ((await response.json()) as { reason: string }).reason;
  const queryOf = (texts: Record<string, string>) => `?${new URLSearchParams(texts)}`;

  // A request with `origin` is left to the handler.
  test.each([{}, { origin: 'https://shop.example' }])('by its query and by the policy file, %j', async (more) => {
    await expectTable(async (name, requirement, n) => {
      const headers = { ...bearer(tokens[name]), ...more };
      const words = [
        await wordOf(await ask(queryOf({ api_keys: 'accept', ...textsOf(requirement) }), headers)),
        await wordOf(await ask(`/route-${n}`, headers)),
      ];
      return [...new Set(words)].join(' ');
    });
  });

  test('the session cookie of a browser has the same strength', async () => {
    await expectTable(
      async (name, requirement) => {
        const cookie = `__Host-latchkey-session=${cookies[name]}`;
        return wordOf(await ask(queryOf({ session: 'cookie', ...textsOf(requirement) }), { cookie }));
      },
      { names: USERS },
    );
  });

  test('the answer has the challenge of RFC 9470, and leads a page to the step-up instead', async () => {
    const query = queryOf({ session: 'cookie', ...STRICT });
    const answer = await ask(query, bearer(tokens[YOUNG]));
    expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([401, expect.stringMatching(CHALLENGE)]);
    const page = {
      'sec-fetch-mode': 'navigate',
      accept: 'text/html',
      cookie: `__Host-latchkey-session=${cookies[YOUNG]}`,
    };
    const redirect = await ask(query, page);
    expect([redirect.status, redirect.headers.get('location')]).toEqual([
      302,
      expect.stringMatching(/\/session\/step-up\?return=.*&acr=mfa$/),
    ]);
  });
});

// The first path is answered by the fast path.
describe.each(['/oauth/introspect', '/oauth/introspect?'])('introspection at %s', (path) => {
  async function introspect(form: Record<string, string> | [string, string][]) {
    const response = await fetch(`${app.url}${path}`, {
      method: 'POST',
      headers: { ...bearer(SERVICE_KEY), 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams(form),
    });
    return { status: response.status, text: await response.text() };
  }
  const answerTo = async (form: Record<string, string>) => JSON.parse((await introspect(form)).text);

  test('returns the strength, with which the resource server can decide', async () => {
    for (const name of USERS) {
      const { acr = 'pwd', amr = [], auth_time } = decodeJwt(tokens[name]);
      const answer = await answerTo({ token: tokens[name] });
      expect([answer.active, answer.acr, answer.amr, answer.auth_time]).toEqual([true, acr, amr, auth_time]);
    }
    for (const name of ['a token of a service', 'an API key'] as const) {
      const answer = await answerTo({ token: tokens[name] });
      expect(answer.active).toBe(true);
      expect(Object.keys(answer)).not.toEqual(expect.arrayContaining(['acr']));
    }
  });

  test('decides about a required strength', async () => {
    const words: Record<string, string> = {
      insufficient_user_authentication: 'STEP_UP_REQUIRED',
      insufficient_scope: 'PERMISSION_DENIED',
    };
    await expectTable(
      async (name, requirement) => {
        const { active, error } = await answerTo({ token: tokens[name], ...textsOf(requirement) });
        return active ? 'ok' : (words[error] ?? 'inactive');
      },
      { of: isWithoutRole },
    );
  });

  test('returns the same claims when the strength is enough', async () => {
    const token = tokens['a passkey, 10 s ago'];
    expect(await introspect({ token, acr: 'mfa', max_age: '600' })).toEqual(await introspect({ token }));
  });

  test('returns the challenge of RFC 9470 for a valid token, and nothing about an invalid one', async () => {
    const weak = '{"active":false,"error":"insufficient_user_authentication","error_description":"[^"]+"';
    const answers: [CallerName | 'invalid', Record<string, string>, string][] = [
      [YOUNG, STRICT, `${weak},"acr_values":"mfa","max_age":600}`],
      [YOUNG, { acr: 'phr' }, `${weak},"acr_values":"phr"}`],
      ['a passkey, 700 s ago', { max_age: '600' }, `${weak},"max_age":600}`],
      ['an API key', STRICT, '{"active":false,"error":"insufficient_scope","error_description":"[^"]+"}'],
      ['invalid', STRICT, '{"active":false}'],
    ];
    for (const [name, form, expected] of answers) {
      const token = name === 'invalid' ? `${tokens[YOUNG]}x` : tokens[name];
      const { status, text } = await introspect({ token, ...form });
      expect([status, text]).toEqual([200, expect.stringMatching(new RegExp(`^${expected}$`))]);
    }
  });

  test.each<[string, [string, string][]]>([
    ['acr must be one of pwd, mfa, phr', [['acr', 'MFA']]],
    ['acr must be one of pwd, mfa, phr', [['acr', '']]],
    ['acr must be one of pwd, mfa, phr', [['acr', 'pwd mfa']]],
    [
      'acr is repeated',
      [
        ['acr', 'pwd'],
        ['acr', 'mfa'],
      ],
    ],
    ['max_age must be seconds from 1 to 31536000, without a unit', [['max_age', '']]],
    ['max_age must be seconds from 1 to 31536000, without a unit', [['max_age', '0']]],
    ['max_age must be seconds from 1 to 31536000, without a unit', [['max_age', '10m']]],
    ['max_age must be seconds from 1 to 31536000, without a unit', [['max_age', '31536001']]],
  ])('rejects with "%s" the parameters %j', async (description, parameters) => {
    const { status, text } = await introspect([['token', tokens['a passkey, 10 s ago']], ...parameters]);
    expect([status, JSON.parse(text)]).toEqual([400, { error: 'invalid_request', error_description: description }]);
  });
});

test('the metadata of the issuer lists the strengths', async () => {
  for (const path of ['openid-configuration', 'oauth-authorization-server']) {
    const metadata = await (await fetch(`${app.url}/.well-known/${path}`)).json();
    expect(metadata).toMatchObject({ acr_values_supported: ['pwd', 'mfa', 'phr'] });
  }
});

test('Refresh keeps the strength of the session', async () => {
  const person = await signedIn(call);
  const { sid } = decodeJwt<{ sid: string }>(person.accessToken);
  const change = "UPDATE sessions SET acr = 'phr', amr = '{mfa,pop,user}', authenticated_at = $1 WHERE id = $2";
  const authTime = Math.floor(Date.now() / 1000) - 60;
  await app.owner.query(change, [new Date(authTime * 1000), sid]);
  const { accessToken } = await refreshed(call, person);
  const { body } = await call(auth.verify, { accessToken, acr: 'phr', maxAge: 120 });
  expect(body.principal).toMatchObject({ acr: 'phr', amr: ['mfa', 'pop', 'user'] });
  expect(Date.parse(body.principal.authTime)).toBe(authTime * 1000);
  expect((await call(auth.verify, { accessToken, maxAge: 59 })).reason).toBe('STEP_UP_REQUIRED');
});
