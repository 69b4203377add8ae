import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readingsOf } from '../../src/domain/request-target.ts';
import { InvalidPolicy, parsePolicy } from '../../src/policy/policy-file.ts';
import { combineRequirements } from '../../src/policy/route-requirement.ts';

const POLICY = parsePolicy(`
routes:
  - { path: /, access: optional }
  - { path: /public, access: public }
  - { path: /admin, role: admin }
  - { path: /keys, api_keys: accept }
  - { path: /pages, access: public, preflight: pass }
  - { grpc: shop.v1.Orders, audience: shop }
  - { grpc: shop.v1.Orders/Cancel, role: support, audience: shop }
  - { host: admin.example, path: /, role: operator }
  - { host: "*.shop.example", path: /, role: customer }
  - { host: open.shop.example, path: /, access: public }
`);

function summary(path: string, host = 'any.example'): string {
  const { access, roles, audiences } = combineRequirements([POLICY.requirementFor(host, path)]);
  return [access, ...roles, ...audiences].join(' ');
}

function problemsOf(text: string): string[] {
  try {
    parsePolicy(text);
    return [];
  } catch (error) {
    return (error as InvalidPolicy).problems;
  }
}

describe('a request', () => {
  test.each([
    ['/', 'optional'],
    ['/x?path=/admin', 'optional'],
    ['/public', 'public'],
    ['/public/', 'public'],
    ['/public/a/b', 'public'],
    ['/publicity', 'optional'],
    ['/admin', 'required admin'],
    ['/admin/users?x=/public', 'required admin'],
    ['/shop.v1.Orders/List', 'required shop'],
    ['/shop.v1.Orders/Cancel', 'required support shop'],
    ['/shop.v1.OrdersAdmin/List', 'optional'],
    ['/public/%C3%A9t%C3%A9', 'public'],
    ['/public/a%2Fb', 'public'],
    ['/public/a;v=1/b', 'public'],
    ['/public//a', 'public'],
  ])('with the path %s meets the rule with the longest path: %s', (path, expected) => {
    expect(summary(path)).toBe(expected);
  });

  test.each([
    ['admin.example', 'required operator'],
    ['ADMIN.example:8443', 'required operator'],
    ['admin.example.', 'required operator'],
    ['a.shop.example', 'required customer'],
    ['a.b.shop.example', 'required customer'],
    ['open.shop.example', 'public'],
    ['shop.example', 'optional'],
    ['xadmin.example', 'optional'],
  ])('with the host %s meets the rule with the most specific host: %s', (host, expected) => {
    expect(summary('/', host)).toBe(expected);
  });

  test('without a known host meets the rules of every host', () => {
    expect(summary('/', '')).toBe('required operator customer');
    expect(summary('/', 'admin.example, x')).toBe('required operator customer');
  });

  test('without a rule states nothing', () => {
    expect(parsePolicy('routes: [{ path: /a, access: public }]').requirementFor('x', '/b')).toEqual({});
  });
});

describe('a path with several readings', () => {
  const HOSTILE = [
    ...['/public/../admin', '/public/..;/admin', '/public/..;x=1/admin', '/public/%2e%2e/admin', '/public/.%2e/admin'],
    ...['/public/..%2fadmin', '/public/..%5cadmin', '/public/..\\admin', '/public\\..\\admin', '//admin', '///admin/x'],
    ...['/./admin', '/public/%252e%252e/admin', '/public/%252e%252e%252fadmin', '/%61dmin', '/%2561dmin', '/ADMIN'],
    ...['/Admin/users', '/admin;jsessionid=1', '/admin;/x', '/;/admin', '/x/..;a/;b/../admin', '/public/..//admin'],
    ...[
      '/public/%2E%2E%3B/admin',
      '/admin%2f',
      '/admin%3fx',
      '/admin%23',
      '/admin#',
      '/\uff41dmin',
      '/public/\uff0e\uff0e/admin',
    ],
    ...[
      '/public/%c0%ae%c0%ae/admin',
      '/public%00/../admin',
      '/public\u0000',
      '/public/%0a',
      'admin',
      '',
      '*',
      '\\admin',
    ],
    ...['http://x/admin', '/public/..%c1%9cadmin', '/public/%E0%80%AE./admin'],
    // Windows: its codes of UTF-16 units, and the dots and spaces that it removes from the end of a name.
    ...[
      '/%u0061dmin',
      '/public/%u002e%u002e/admin',
      '/admin.',
      '/admin%20/users',
      '/admin%20../x',
      '/public/.. /admin',
    ],
    `/public/%${'25'.repeat(100)}2e%2e/admin`,
    `/public${'/;a/..//'.repeat(2_000)}`,
  ];

  test.each(HOSTILE)('never opens the strictest of them: %s', (path) => {
    expect(summary(path)).toContain('required admin');
  });

  test('has the strictest requirement of each kind', () => {
    const keys = combineRequirements([POLICY.requirementFor('x', '/keys/..;/unknown')]);
    expect([keys.access, keys.apiKeys]).toEqual(['required', 'reject']);
    expect(combineRequirements([POLICY.requirementFor('x', '/pages/..;/unknown')]).preflight).toBe('check');
  });

  /** The time of the fastest of five calls, because the machine can hold up any. */
  function msOf(path: string): number {
    const times = Array.from({ length: 5 }, () => {
      const startedAt = performance.now();
      POLICY.requirementFor('x', path);
      return performance.now() - startedAt;
    });
    return Math.min(...times);
  }

  test('is read in less than 10 ms', () => {
    for (const piece of ['/..;', '%25', '\\', ';a', '//', '%2e', '/.', '%5c..', '?', '#', '%ef%bc%8e']) {
      expect(msOf(`/${piece.repeat(Math.ceil(60_000 / piece.length))}`), piece).toBeLessThan(10);
    }
  });

  test('is read in less than 5 ms when it is not too long', () => {
    // A path of combining marks in an unusual order takes the square of its length to normalize.
    for (const piece of ['\u0301\u0316', '%cc%81%cc%96', '\ufdfa', '. ', '.', '%20', '/..;', '%u002e', '%2525']) {
      for (const end of ['', 'x']) {
        const path = `/${piece.repeat(Math.floor(8_000 / piece.length))}${end}`;
        expect(msOf(path), `${piece} ${end}`).toBeLessThan(5);
      }
    }
  });

  test('includes the path that a server finds by any order of decoding and resolving', () => {
    const piece = fc.constantFrom('/', '..', '.', ';', '%2f', '%2e', '%25', '\\', 'a', 'admin', '%5c', '//');
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 10 }), (pieces) => {
        const path = `/${pieces.join('')}`;
        const readings = readingsOf(path);
        if (!readings) return;
        const decoded = decodeURIComponent(path.replace(/%(?![0-9a-f]{2})/gi, '%25'));
        expect(readings).toContain(decoded);
        const { pathname } = new URL(`http://x${decoded.split(/[?#]/)[0]}`);
        if (!pathname.includes('%') && !pathname.includes('//')) expect(readings).toContain(pathname);
      }),
    );
  });
});

test.each(['600', '"600"'])('the age %s may be a number or a text', (age) => {
  const policy = parsePolicy(`routes: [{ path: /a, acr: mfa, max_age: ${age} }]`);
  expect(policy.requirementFor('x', '/a')).toMatchObject({ acr: 'mfa', maxAgeSeconds: 600, access: 'required' });
});

describe('an invalid file', () => {
  test.each([
    ['', 'the file must be one YAML document'],
    ['routes: []', 'line 1: routes must have 1 to 10000 entries'],
    ['routes: [{}]\nroute: []', 'the file must have one member, routes, with a list'],
    ['- path: /', 'the file must have one member, routes, with a list'],
    ['routes: [{}]\n---\nroutes: [{}]', 'the file must be one YAML document'],
    ['routes:\n- path: /a\n  rol: admin', 'line 3: rol is not one of access, role, audience'],
    ['routes:\n- path: /a\n  access: open', 'line 3: access must be one of required, optional, public'],
    ['routes:\n- role: 5', 'line 2: role must be a text'],
    ['routes:\n- acr: MFA', 'line 2: acr must be one of pwd, mfa, phr'],
    ['routes:\n- acr: 2', 'line 2: acr must be a text'],
    ['routes:\n- max_age: 10m', 'line 2: max_age must be seconds from 1 to 31536000, without a unit'],
    ['routes:\n- max_age: 1.5', 'line 2: max_age must be seconds from 1 to 31536000, without a unit'],
    ['routes:\n- max_age: true', 'line 2: max_age must be a text'],
    ['routes:\n- access: public\n  acr: mfa', 'line 2: access must be required for a route with acr or max_age'],
    ['routes:\n- access: optional\n  role: admin', 'line 2: access must be required for a route with a role'],
    ['routes:\n- host: Shop.example', 'line 2: host must be'],
    ['routes:\n- host: shop.example:80', 'line 2: host must be'],
    ['routes:\n- host: "*"', 'line 2: host must be'],
    ['routes:\n- path: admin', 'line 2: path must begin with /'],
    ['routes:\n- path: /a/../b', 'line 2: path must begin with /'],
    ['routes:\n- path: /a%2fb', 'line 2: path must begin with /'],
    ['routes:\n- path: /a//b', 'line 2: path must begin with /'],
    ['routes:\n- path: /a*', 'line 2: path must begin with /'],
    ['routes:\n- grpc: /shop.v1.Orders', 'line 2: grpc must be a service'],
    ['routes:\n- path: /\n  grpc: a.B', 'line 2: a route must have path or grpc, and not both'],
    ['routes:\n- path: /a\n  path: /b', 'line 3: Map keys must be unique'],
    ['routes:\n- path: /a\n- path: /A/', 'line 3: another route has the host (any) and the path /A'],
    ['routes:\n- path: "/a', 'line 2: Missing closing'],
    ['routes:\n- !!js/function x', 'line 2:'],
    [`routes:\n${'# filler\n'.repeat(130_000)}`, 'the file must be at most'],
  ])('is rejected: %s', (text, problem) => {
    expect(problemsOf(text)).toEqual(expect.arrayContaining([expect.stringContaining(problem)]));
  });

  test('is reported with every problem', () => {
    const text = 'routes:\n- path: a\n  rol: x\n- access: open\n- host: X\n- role: 5\n';
    expect(problemsOf(text)).toHaveLength(5);
  });

  test('any text is a policy or has problems', () => {
    const part = fc.constantFrom(
      'routes',
      ':',
      ' ',
      '\n',
      '- ',
      'path',
      '/a',
      '{',
      '}',
      '[',
      ']',
      '&a',
      '*a',
      '!!x',
      '"',
      "'",
      '|',
      '<<',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.array(part).map((parts) => parts.join('')),
          fc.string(),
        ),
        (text) => {
          try {
            parsePolicy(text);
          } catch (error) {
            expect(error).toBeInstanceOf(InvalidPolicy);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});

test('a JSON file is a policy', () => {
  const policy = parsePolicy(JSON.stringify({ routes: [{ path: '/', access: 'public' }] }));
  expect(policy.requirementFor('x', '/')).toMatchObject({ access: 'public' });
});
