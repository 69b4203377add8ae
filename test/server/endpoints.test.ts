// Every endpoint that answers for an access token returns the same result: one table of token states and requirements, through real
// clients. A new endpoint gets a row in ENDPOINTS.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createLatchkey, type Latchkey, type LatchkeyOptions } from '../../src/client/client.ts';
import { createCheck, envoyRequest, headersOf, httpStatusOf } from '../gateways/envoy-check.ts';
import { SERVICE_KEY, testApp } from '../support/app.ts';
import { account, admin, auth, type Caller, callers, type Outcome, verifierService } from '../support/clients.ts';
import { eventually } from '../support/eventually.ts';
import { bearer, serviceAccount, serviceToken, signedIn, signedInWith } from '../support/people.ts';
import { createBothWays, WAYS } from './fast-path/both-ways.ts';

const REQUIREMENTS = {
  none: {},
  'role held by all': { role: 'user' },
  'role of administrators': { role: 'admin' },
  'unknown role': { role: 'no-such-role' },
  audience: { audience: 'shop' },
  'other audience': { audience: 'office' },
  'role and audience': { role: 'user', audience: 'shop' },
} satisfies Record<string, { role?: string; audience?: string }>;
type Requirement = keyof typeof REQUIREMENTS;

const INVALID = Array(7).fill('TOKEN_INVALID');
const NOT_ACCEPTED = Array(7).fill('API_KEY_NOT_ACCEPTED');
const DENIED = 'ROLE_NOT_GRANTED';
const MISMATCH = 'AUDIENCE_MISMATCH';
const REVOKED = 'TOKEN_REVOKED';
const STALE = 'TOKEN_STALE';

/** In the order of REQUIREMENTS. An expired token is reported before its audience, and its audience before a revocation. */
const EXPECTED = {
  user: ['ok', 'ok', DENIED, DENIED, 'ok', MISMATCH, 'ok'],
  administrator: ['ok', 'ok', 'ok', DENIED, 'ok', MISMATCH, 'ok'],
  'service token': ['ok', 'ok', DENIED, DENIED, 'ok', MISMATCH, 'ok'],
  'token for another audience': ['ok', 'ok', DENIED, DENIED, MISMATCH, MISMATCH, MISMATCH],
  expired: Array(7).fill('TOKEN_EXPIRED'),
  'wrong signature': INVALID,
  'unknown key': INVALID,
  malformed: INVALID,
  missing: Array(7).fill('CREDENTIALS_MISSING'),
  'revoked session': [REVOKED, REVOKED, REVOKED, REVOKED, REVOKED, MISMATCH, REVOKED],
  'stale roles': [STALE, STALE, STALE, STALE, STALE, MISMATCH, STALE],
  'API key': NOT_ACCEPTED,
  'service key': NOT_ACCEPTED,
};
type State = keyof typeof EXPECTED;

/** Methods of each access: USER, SERVICE, ADMIN. Here an API key and a service key are credentials too. */
const EXPECTED_ACCESS: Record<State, string[]> = {
  user: ['ok', 'PERMISSION_DENIED', 'PERMISSION_DENIED'],
  administrator: ['ok', 'ok', 'ok'],
  'service token': ['PERMISSION_DENIED', 'ok', 'PERMISSION_DENIED'],
  'token for another audience': [MISMATCH, MISMATCH, MISMATCH],
  expired: Array(3).fill('TOKEN_EXPIRED'),
  'wrong signature': Array(3).fill('TOKEN_INVALID'),
  'unknown key': Array(3).fill('TOKEN_INVALID'),
  malformed: Array(3).fill('TOKEN_INVALID'),
  missing: Array(3).fill('CREDENTIALS_MISSING'),
  'revoked session': Array(3).fill(REVOKED),
  'stale roles': Array(3).fill(STALE),
  'API key': ['PERMISSION_DENIED', 'ok', 'PERMISSION_DENIED'],
  'service key': ['PERMISSION_DENIED', 'ok', 'PERMISSION_DENIED'],
};

const STATES = Object.keys(EXPECTED) as State[];
const tokens: Record<State, string> = Object.create(null);
/** The principal of each valid token. */
const subjects: Partial<Record<State, string>> = {};

const app = await testApp({ AUDIENCE: 'shop,warehouse' });
const { call } = app;
let clients: Record<string, Caller>;
const libraries: Record<string, Latchkey> = {};
let envoy: ReturnType<typeof createCheck>;

beforeAll(async () => {
  clients = callers(app.url);
  envoy = createCheck(app.url);
  tokens.expired = (await signedIn(call)).accessToken;
  app.advance(901_000);
  const [user, revoked, stale] = [await signedIn(call), await signedIn(call), await signedIn(call)];
  const administrator = await signedInWith(app, call, ['admin']);
  const apiKey = await serviceAccount(app, 'billing', ['user']);
  await call(auth.logout, { refreshToken: revoked.refreshToken });
  await app.owner.query("INSERT INTO user_roles VALUES ($1, 'admin', now())", [stale.userId]);
  const [head, payload, signature = ''] = user.accessToken.split('.');
  const otherHead = { ...JSON.parse(Buffer.from(head ?? '', 'base64url').toString()), kid: 'unknown' };
  const swapped = (signature[20] === 'A' ? 'B' : 'A') + signature.slice(21);
  Object.assign(tokens, {
    user: user.accessToken,
    administrator: administrator.accessToken,
    'service token': await serviceToken(call, apiKey),
    'token for another audience': await serviceToken(call, apiKey, ['warehouse']),
    'wrong signature': `${head}.${payload}.${signature.slice(0, 20)}${swapped}`,
    'unknown key': [Buffer.from(JSON.stringify(otherHead)).toString('base64url'), payload, signature].join('.'),
    malformed: 'x.y.z',
    missing: '',
    'revoked session': revoked.accessToken,
    'stale roles': stale.accessToken,
    'API key': apiKey,
    'service key': SERVICE_KEY,
  });
  Object.assign(subjects, {
    user: user.userId,
    administrator: administrator.userId,
    'service token': 'billing',
    'token for another audience': 'billing',
  });
  const reasonOf = async (state: State) => (await call(auth.verify, { accessToken: tokens[state] })).reason;
  await eventually(
    async () => (await reasonOf('stale roles')) === STALE && (await reasonOf('revoked session')) === REVOKED,
  );
  for (const audience of ['', 'shop', 'office']) {
    libraries[`local ${audience}`] = openLibrary({ serviceKey: SERVICE_KEY, whenStale: 'reject', audience });
    await libraries[`local ${audience}`]?.ready();
    libraries[`asking ${audience}`] = openLibrary({ serviceKey: 'invalid', audience });
  }
});
afterAll(async () => {
  for (const library of Object.values(libraries)) library.close();
  envoy.close();
});

function openLibrary(options: Partial<LatchkeyOptions>): Latchkey {
  return createLatchkey({ url: app.url, ...options });
}

type Endpoint = {
  /** Null for a requirement that the endpoint does not have. */
  ask: (state: State, requirement: { role?: string; audience?: string }) => Promise<string> | null;
  /** Other reasons of this endpoint. */
  exceptions?: Partial<Record<State, string>>;
  /** States that a request of this endpoint cannot express. */
  without?: State[];
};

/** `ok`, or `ok` with the principal when it is not that of the token. */
const okFor = (state: State, subject: string) => (subject === subjects[state] ? 'ok' : `ok as ${subject}`);
const verdictOf = (
  state: State,
  { principal, reason }: { principal?: { userId: string; service: string }; reason: string },
) => (principal ? okFor(state, principal.userId || principal.service) : reason.replace('REASON_', ''));
const failure = ({ code, reason }: Outcome) => reason ?? code;

const verify = (client: Caller, isInHeader = false): Endpoint => ({
  ask: (state, { role, audience = '' }) => {
    if (role !== undefined) return null;
    const token = tokens[state];
    const asked = isInHeader
      ? client(auth.verify, { audience }, token === '' ? {} : { bearer: token })
      : client(auth.verify, { accessToken: token, audience });
    return asked.then((outcome) =>
      outcome.code === 'ok' ? verdictOf(state, { ...outcome.body, reason: '' }) : failure(outcome),
    );
  },
});

const checkRole = (client: Caller, isInHeader = false): Endpoint => ({
  ask: (state, { role, audience }) => {
    if (role === undefined || audience !== undefined) return null;
    const token = tokens[state];
    const asked = isInHeader
      ? client(auth.checkRole, { role }, token === '' ? {} : { bearer: token })
      : client(auth.checkRole, { accessToken: token, role });
    return asked.then((outcome) => {
      if (outcome.code !== 'ok') return failure(outcome);
      return outcome.body.allowed ? 'ok' : outcome.body.reason.replace('REASON_', '');
    });
  },
});

const batchVerify = (client: Caller): Endpoint => ({
  without: ['missing'],
  ask: (state, { role, audience = '' }) => {
    if (role !== undefined) return null;
    const asked = client(
      verifierService.batchVerify,
      { accessTokens: [tokens[state]], audience },
      { bearer: SERVICE_KEY },
    );
    return asked.then(({ body }) => verdictOf(state, body.verdicts[0]));
  },
});

const batchCheckRole = (client: Caller): Endpoint => ({
  without: ['missing'],
  ask: (state, { role, audience }) => {
    if (role === undefined || audience !== undefined) return null;
    const checks = [{ accessToken: tokens[state], role }];
    return client(verifierService.batchCheckRole, { checks }, { bearer: SERVICE_KEY }).then(({ body }) => {
      const [{ allowed, reason }] = body.answers;
      return allowed ? 'ok' : reason.replace('REASON_', '');
    });
  },
});

/** The status and the challenge that belong to a reason (RFC 6750 section 3). */
const rejectedBy = (reason: string) => {
  if (reason === 'CREDENTIALS_MISSING') return [401, 'Bearer realm="latchkey"'];
  if (reason === DENIED) return [403, 'Bearer realm="latchkey", error="insufficient_scope"'];
  return [401, 'Bearer realm="latchkey", error="invalid_token"'];
};

const extAuthz = (query: string): Endpoint => ({
  ask: async (state, requirement) => {
    const headers: Record<string, string> = tokens[state] === '' ? {} : bearer(tokens[state]);
    const answer = await envoy.check(envoyRequest(headers, requirement), query);
    const named = headersOf(answer);
    if (answer.httpResponse.case !== 'deniedResponse') {
      return okFor(state, (named['x-auth-user-id'] || named['x-auth-service']) ?? '');
    }
    const { reason } = JSON.parse(answer.httpResponse.value.body);
    expect([httpStatusOf(answer), named['www-authenticate']]).toEqual(rejectedBy(reason));
    expect(answer.status?.code).toBe(reason === DENIED ? 7 : 16);
    return reason;
  },
});

const forwardAuth = (): Endpoint => ({
  ask: async (state, requirement) => {
    const headers: Record<string, string> = tokens[state] === '' ? {} : bearer(tokens[state]);
    const response = await fetch(`${app.url}/forward-auth?${new URLSearchParams(requirement)}`, { headers });
    const { headers: named } = response;
    if (response.status === 200)
      return okFor(state, named.get('x-auth-user-id') || (named.get('x-auth-service') ?? ''));
    const { reason } = (await response.json()) as { reason: string };
    expect([response.status, named.get('www-authenticate')]).toEqual(rejectedBy(reason));
    expect(named.has('x-auth-user-id')).toBe(false);
    return reason;
  },
});

const library = (kind: 'local' | 'asking'): Endpoint => ({
  // A service key has no form of its own, and a local verifier has no list of them.
  exceptions: kind === 'local' ? { 'service key': 'TOKEN_INVALID' } : {},
  ask: (state, { role, audience = '' }) => {
    const latchkey = libraries[`${kind} ${audience}`];
    if (role !== undefined || !latchkey) return null;
    return latchkey.verify(tokens[state]).then(
      (principal) => okFor(state, principal.kind === 'user' ? principal.userId : principal.name),
      (error) => error.reason,
    );
  },
});

const PROTOCOLS = [
  'grpc-js',
  'gRPC of Connect, HTTP/2',
  'plain JSON by fetch',
  'Connect, JSON, HTTP/1.1',
  'Connect, binary, HTTP/1.1',
  'Connect, JSON, HTTP/2',
  'Connect, binary, HTTP/2',
  'gRPC-Web, HTTP/1.1',
  'gRPC-Web, HTTP/2',
];
const client = (name: string): Caller => clients[name] as Caller;

const ENDPOINTS: [string, () => Endpoint][] = [
  ...PROTOCOLS.flatMap((name): [string, () => Endpoint][] => [
    [`Verify, ${name}`, () => verify(client(name))],
    [`CheckRole, ${name}`, () => checkRole(client(name))],
    [`BatchVerify, ${name}`, () => batchVerify(client(name))],
    [`BatchCheckRole, ${name}`, () => batchCheckRole(client(name))],
  ]),
  ['Verify, token in the header, grpc-js', () => verify(client('grpc-js'), true)],
  ['Verify, token in the header, JSON', () => verify(call, true)],
  ['CheckRole, token in the header, grpc-js', () => checkRole(client('grpc-js'), true)],
  ['CheckRole, token in the header, JSON', () => checkRole(call, true)],
  ['ext_authz, fast path', () => extAuthz('')],
  ['ext_authz, Connect', () => extAuthz('?')],
  ['forward auth', forwardAuth],
  ['client library, local', () => library('local')],
  ['client library, asking a server', () => library('asking')],
];

test.each(ENDPOINTS)('%s', async (_, endpoint) => {
  const { ask, without = [], exceptions = {} } = endpoint();
  const names = Object.keys(REQUIREMENTS) as Requirement[];
  const [expected, found]: Record<string, string>[] = [{}, {}];
  for (const state of STATES.filter((one) => !without.includes(one))) {
    for (const [n, name] of names.entries()) {
      const asked = ask(state, REQUIREMENTS[name]);
      if (asked === null) continue;
      Object.assign(expected as object, { [`${state}: ${name}`]: exceptions[state] ?? EXPECTED[state][n] });
      Object.assign(found as object, { [`${state}: ${name}`]: await asked });
    }
  }
  expect(Object.keys(found ?? {}).length).toBeGreaterThanOrEqual(2 * (STATES.length - without.length));
  expect(found).toEqual(expected);
});

test.each(['grpc-js', 'plain JSON by fetch', 'gRPC-Web, HTTP/2'])('access of methods, %s', async (name) => {
  const found: Record<string, string[]> = {};
  for (const state of STATES) {
    const options = tokens[state] === '' ? {} : { bearer: tokens[state] };
    const outcomes = [
      await client(name)(account.getMe, {}, options),
      await client(name)(verifierService.batchVerify, { accessTokens: ['x'] }, options),
      await client(name)(admin.listRoles, {}, options),
    ];
    found[state] = outcomes.map((outcome) => (outcome.code === 'ok' ? 'ok' : failure(outcome)));
  }
  expect(found).toEqual(EXPECTED_ACCESS);
});

test('the client library returns the same principal from memory and from a server', async () => {
  const local = await libraries['local ']?.verify(tokens.user);
  expect(local).toMatchObject({ kind: 'user', emailVerified: false, roles: ['user'], userId: subjects.user });
  expect(local?.expiresAt).toBeInstanceOf(Date);
  expect(await libraries['asking ']?.verify(tokens.user)).toEqual(local);
});

describe('the fast path and Connect return the same bytes', () => {
  let ways: ReturnType<typeof createBothWays>;
  beforeAll(() => {
    app.freeze();
    ways = createBothWays(app.url);
  });
  afterAll(() => ways.close());

  test.each(WAYS)('%s', async (_, way) => {
    for (const state of STATES) {
      const accessToken = tokens[state];
      const requests = [
        ...['', 'shop', 'office'].map((audience) => ({ method: auth.verify, input: { accessToken, audience } })),
        ...['user', 'admin', 'no-such-role'].map((role) => ({ method: auth.checkRole, input: { accessToken, role } })),
        ...['', 'office'].map((audience) => ({
          method: verifierService.batchVerify,
          input: { accessTokens: [accessToken], audience },
        })),
      ];
      for (const { method, input } of requests) {
        const headers: Record<string, string> = method === verifierService.batchVerify ? bearer(SERVICE_KEY) : {};
        const { fast, connect } = await ways.send(way, method, way.encode(method, input), headers);
        const name = `${state}: ${method.name} ${JSON.stringify(input).replace(accessToken, '')}`;
        expect({ ...fast, isFast: null }, name).toEqual({ ...connect, isFast: null });
        expect(connect.isFast, name).toBe(false);
        // Connect answers a call without a token.
        const isFast = state !== 'missing' || method === verifierService.batchVerify;
        if (way.isHttp2) expect(fast.isFast, name).toBe(isFast);
      }
    }
  });
});
