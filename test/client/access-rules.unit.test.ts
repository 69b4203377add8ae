// Which rule a method or a route has. A misspelt rule is an error, because it would open what it was meant to protect.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AccountService } from '../../gen/latchkey/auth/v1/account_service_pb.ts';
import { type AccessRules, checkCall } from '../../src/client/access-rule.ts';
import { connectInterceptor, type Latchkey, requireRole, type TokenPrincipal } from '../../src/client/client.ts';
import { parseMethodRules } from '../../src/client/method-rules.ts';
import { parseRouteRules } from '../../src/client/route-rules.ts';

const METHODS = ['shop.v1.Orders/List', 'shop.v1.Orders/Create', 'shop.v1.Catalog/Search'];
const NEVER: Pick<Latchkey, 'verify'> = { verify: () => Promise.reject(new Error('not reached')) };

function principal(kind: 'user' | 'service', roles: string[]): TokenPrincipal {
  const times = { issuedAt: new Date(0), expiresAt: new Date(1) };
  if (kind === 'service') return { kind, serviceAccountId: 'x', name: 'shop', roles, ...times };
  const strength = { acr: 'pwd' as const, amr: ['pwd'], authTime: new Date(0) };
  return { kind, userId: 'x', sessionId: 'x', email: 'x@x.example', emailVerified: true, roles, ...strength, ...times };
}

describe('the rule of a method', () => {
  const ruleOf = parseMethodRules(
    {
      'shop.v1.Orders': { role: 'clerk' },
      'shop.v1.Orders/List': 'optional',
      'grpc.reflection.v1.ServerReflection': 'public',
    },
    METHODS,
  );

  test.each([
    ['shop.v1.Orders/List', { access: 'optional' }],
    ['shop.v1.Orders/Create', { role: 'clerk' }],
    ['shop.v1.Catalog/Search', { access: 'required' }],
    ['grpc.health.v1.Health/Check', { access: 'public' }],
    ['grpc.health.v1.Health/Watch', { access: 'public' }],
    ['grpc.reflection.v1.ServerReflection/ServerReflectionInfo', { access: 'public' }],
    ['grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo', { access: 'required' }],
    ['grpc.health.v1.HealthX/Check', { access: 'required' }],
    ['', { access: 'required' }],
    ['constructor', { access: 'required' }],
  ])('%s', (method, rule) => expect(ruleOf(method)).toEqual(rule));

  test('can be made stricter for the health service', () => {
    expect(parseMethodRules({ 'grpc.health.v1.Health': 'required' }, [])('grpc.health.v1.Health/Check').access).toBe(
      'required',
    );
  });
});

describe('an invalid table of methods', () => {
  test.each<[string, unknown, RegExp]>([
    ['a misspelt method', { 'shop.v1.Orders/Creat': 'public' }, /it has shop.v1.Orders\/List, shop.v1.Orders\/Create/],
    ['a misspelt service', { 'shop.v1.Order': 'public' }, /it has shop.v1.Orders, shop.v1.Catalog/],
    ['a leading slash', { '/shop.v1.Orders/List': 'public' }, /is no service or method/],
    [
      'a misspelt member',
      { 'shop.v1.Orders': { rol: 'clerk' } },
      /rol is not one of access, role, acr, maxAgeSeconds, kind, audience, acceptApiKeys/,
    ],
    ['a name of Object', { 'shop.v1.Orders': { constructor: 'clerk' } }, /constructor is not one of/],
    ['an unset role', { 'shop.v1.Orders': { role: undefined } }, /role is invalid/],
    ['an empty role', { 'shop.v1.Orders': { role: '' } }, /role is invalid/],
    ['an empty audience', { 'shop.v1.Orders': { audience: '' } }, /audience is invalid/],
    ['an unknown access', { 'shop.v1.Orders': 'none' }, /access is invalid/],
    ['an unknown kind', { 'shop.v1.Orders': { kind: 'robot' } }, /kind is invalid/],
    ['a misspelt strength', { 'shop.v1.Orders': { acr: 'MFA' } }, /acr is invalid/],
    ['an unset strength', { 'shop.v1.Orders': { acr: undefined } }, /acr is invalid/],
    ['no age', { 'shop.v1.Orders': { maxAgeSeconds: 0 } }, /maxAgeSeconds is invalid/],
    ['an age of more than a year', { 'shop.v1.Orders': { maxAgeSeconds: 31_536_001 } }, /maxAgeSeconds is invalid/],
    ['an age with a unit', { 'shop.v1.Orders': { maxAgeSeconds: '10m' } }, /maxAgeSeconds is invalid/],
    [
      'a strength of anonymous callers',
      { 'shop.v1.Orders': { access: 'optional', acr: 'mfa' } },
      /acr and maxAgeSeconds require the access required/,
    ],
    [
      'a strength of a service',
      { 'shop.v1.Orders': { kind: 'service', maxAgeSeconds: 600 } },
      /a service has neither acr nor maxAgeSeconds/,
    ],
    ['no rule', { 'shop.v1.Orders': null }, /is no rule/],
    [
      'a role for anonymous callers',
      { 'shop.v1.Orders': { access: 'optional', role: 'x' } },
      /requires the access required/,
    ],
    [
      'an audience of a public method',
      { 'shop.v1.Orders': { access: 'public', audience: 'x' } },
      /public allows no other/,
    ],
  ])('%s', (_, rules, message) => {
    expect(() => parseMethodRules(rules as AccessRules, METHODS)).toThrow(message);
    expect(() => parseMethodRules(rules as AccessRules, METHODS)).toThrow(TypeError);
  });

  test('services that were not given', () => {
    expect(() => connectInterceptor(NEVER, { rules: { 'shop.v1.Orders': 'public' } })).toThrow(
      /`services`, which is empty/,
    );
    const rules = { 'latchkey.auth.v1.AccountService/GetMe': 'public' } as const;
    expect(() => connectInterceptor(NEVER, { services: [AccountService], rules })).not.toThrow();
  });
});

describe('the rule of a route', () => {
  const ruleOf = parseRouteRules({
    '/public': 'public',
    '/public/internal': { role: 'clerk' },
    'POST /orders': { role: 'clerk' },
    'GET /orders': 'optional',
    '/admin/': { role: 'admin' },
  });
  const accessOf = (method: string, url: string) => {
    try {
      const { role, access = 'required' } = ruleOf(method, url);
      return role ?? access;
    } catch (error) {
      return (error as Error).message;
    }
  };

  test.each([
    ['GET', '/', 'required'],
    ['GET', '/public', 'public'],
    ['GET', '/public/', 'public'],
    ['GET', '/public/a/b?x=/admin', 'public'],
    ['GET', '/publicity', 'required'],
    ['GET', '/public/internal/x', 'clerk'],
    ['GET', '/PUBLIC/Internal', 'clerk'],
    ['GET', '/admin', 'admin'],
    ['GET', '/Admin/users', 'admin'],
    ['GET', '/%61dmin', 'INVALID_ARGUMENT'],
    ['GET', '/orders/7', 'optional'],
    ['HEAD', '/orders/7', 'optional'],
    ['POST', '/orders', 'clerk'],
    ['DELETE', '/orders', 'required'],
    ['GET', 'http://evil.example/admin', 'admin'],
    ['GET', 'http://evil.example', 'required'],
    ['GET', '/orders/a%2Fb', 'optional'],
    ['OPTIONS', '*', 'INVALID_ARGUMENT'],
    ['GET', '', 'required'],
  ])('%s %s', (method, url, expected) => expect(accessOf(method, url)).toBe(expected));

  test.each([
    '/public/../admin',
    '/public/..;/admin',
    '/public/..%2fadmin',
    '/public/..%5cadmin',
    '/public/..\\admin',
    '/public/%2e%2e/admin',
    '/public/%252e%252e/admin',
    '/public/.%2e/admin',
    '/public//../admin',
    '/public/./../admin',
    '/public/x/../../admin',
    '/public/internal/../../admin',
    '//admin/../public',
    '/public#/../admin',
    '/public/\u0000/../admin',
    '/public/%00',
    '/public/%ff/../admin',
    '/public/%c0%ae%c0%ae/admin',
    'admin',
    'javascript:/public',
  ])('%j is never public', (url) => expect(accessOf('GET', url)).not.toBe('public'));

  test('is the one of some reading of the path, for any bytes', () => {
    const part = fc.constantFrom(
      '/',
      '.',
      '..',
      ';',
      '%2f',
      '%2e',
      '\\',
      'public',
      'admin',
      'internal',
      '%',
      '?',
      '#',
      '//',
      'x',
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
        const url = `/${parts.join('')}`;
        if (accessOf('GET', url) !== 'public') return;
        const { pathname } = new URL(url.replace(/^\/+/, '/'), 'http://x');
        expect(pathname.toLowerCase()).toMatch(/^\/public/);
      }),
    );
  });

  test('without a table is required', () => {
    expect(parseRouteRules({})('GET', '/public/..;/admin')).toEqual({ access: 'required' });
  });
});

test.each([
  ['public', /plain path/],
  ['/public/../admin', /plain path/],
  ['/a?b', /plain path/],
  ['get /a', /plain path/],
  ['/a b', /plain path/],
])('%s is an invalid key of a table of routes', (key, message) => {
  expect(() => parseRouteRules({ [key]: 'public' })).toThrow(message);
});

test('two rules for one route are rejected', () => {
  expect(() => parseRouteRules({ '/a': 'public', '/A/': 'required' })).toThrow('occurs twice');
});

describe('a call', () => {
  const holder = (...roles: string[]): Pick<Latchkey, 'verify'> => ({ verify: async () => principal('user', roles) });
  const outcome = (latchkey: Pick<Latchkey, 'verify'>, rule: Parameters<typeof checkCall>[1], ...values: string[]) =>
    checkCall(latchkey, rule, values).then(
      (found) => found?.kind ?? 'anonymous',
      (error) => error.reason as string,
    );

  test.each<[Parameters<typeof checkCall>[1], string[], string]>([
    [{}, ['Bearer x'], 'user'],
    [{ access: 'public' }, ['Bearer x', 'Bearer y'], 'anonymous'],
    [{ access: 'optional' }, [''], 'anonymous'],
    [{ access: 'optional' }, ['Bearer x'], 'user'],
    [{ access: 'optional' }, ['Basic x'], 'TOKEN_INVALID'],
    [{ role: 'clerk' }, ['Bearer x'], 'user'],
    [{ role: 'admin' }, ['Bearer x'], 'ROLE_NOT_GRANTED'],
    [{ kind: 'user', role: 'clerk' }, ['Bearer x'], 'user'],
    [{ kind: 'service' }, ['Bearer x'], 'PERMISSION_DENIED'],
  ])('%j with %j: %s', async (rule, values, expected) => {
    expect(await outcome(holder('clerk'), rule, ...values)).toBe(expected);
  });

  test('passes the audience of its rule on', async () => {
    const asked: unknown[] = [];
    const latchkey: Pick<Latchkey, 'verify'> = {
      async verify(...given) {
        asked.push(given);
        return principal('user', []);
      },
    };
    await checkCall(latchkey, { audience: 'orders' }, ['Bearer x']);
    await checkCall(latchkey, {}, ['Bearer x']);
    expect(asked).toEqual([
      ['x', { audience: 'orders' }],
      ['x', {}],
    ]);
  });
});

test('requireRole rejects anonymous callers, and names that are no role', () => {
  expect(() => requireRole(principal('service', ['clerk']), 'clerk')).not.toThrow();
  expect(() => requireRole(principal('user', ['clerk']), 'admin')).toThrow('ROLE_NOT_GRANTED');
  expect(() => requireRole(null, 'clerk')).toThrow('CREDENTIALS_MISSING');
  expect(() => requireRole(principal('user', []), '')).toThrow(TypeError);
  expect(() => requireRole(principal('user', []), undefined as unknown as string)).toThrow(TypeError);
});
