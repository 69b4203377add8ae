import { describe, expect, test } from 'vitest';
import { AccountService } from '../../gen/latchkey/auth/v1/account_service_pb.ts';
import { AdminService } from '../../gen/latchkey/auth/v1/admin_service_pb.ts';
import { AuthService } from '../../gen/latchkey/auth/v1/auth_service_pb.ts';
import { Access } from '../../gen/latchkey/auth/v1/options_pb.ts';
import { VerifierService } from '../../gen/latchkey/auth/v1/verifier_service_pb.ts';
import { bearerToken } from '../../src/domain/bearer-token.ts';
import { accessOf, authorize } from '../../src/server/rpc/access.ts';

const methods = [
  ...AuthService.methods,
  ...AccountService.methods,
  ...VerifierService.methods,
  ...AdminService.methods,
];

test.each(methods.map((method) => [`${method.parent.name}.${method.name}`, method] as const))(
  '%s declares its access',
  (_, method) => {
    expect(accessOf({ hasPublicReflection: true }, method)).not.toBe(Access.UNSPECIFIED);
    if (method.parent === AccountService) expect(accessOf({ hasPublicReflection: true }, method)).toBe(Access.USER);
    if (method.parent === VerifierService) expect(accessOf({ hasPublicReflection: true }, method)).toBe(Access.SERVICE);
    if (method.parent === AdminService) expect(accessOf({ hasPublicReflection: true }, method)).toBe(Access.ADMIN);
  },
);

/** The credentials of a call, by token or by certificate. */
function credentials({ bearer = '', isCertified = false }) {
  const service = isCertified ? { name: 'gateway', until: new Date(Date.now() + 60_000) } : null;
  const origin = { address: '', userAgent: '', requestId: '' };
  return {
    ...origin,
    bearer,
    peer: { address: '', service },
    serviceKey: '',
    isForwarded: false,
    identified: null,
    service: null,
  };
}
const { signal } = new AbortController();

test('a method without an access cannot be called', async () => {
  const deps = {} as Parameters<typeof authorize>[0];
  const caller = credentials({ bearer: 'a token', isCertified: true });
  await expect(authorize(deps, caller, { access: Access.UNSPECIFIED, target: 'X', signal })).rejects.toMatchObject({
    reason: 'PERMISSION_DENIED',
  });
});

describe('access by kind of caller and role', () => {
  const person = (roles: string[]) => ({
    kind: 'user' as const,
    userId: '',
    sessionId: '',
    email: '',
    roles,
    issuedAt: new Date(),
    expiresAt: new Date(),
  });
  const deps = {
    serviceKeys: { use: (key: string) => (key === 'service' ? { name: 'gateway', fingerprint: '1a2b3c4d' } : null) },
    apiKeys: {
      lookUp: async (key: string) => (key.startsWith('lka') ? { name: 'robot', roles: key.split(' ').slice(1) } : null),
    },
    verifier: {
      verify: async (token: string) => ({
        principal: person(token.split(' ')),
        revalidateAt: new Date(),
        token: { refreshCounter: 1, sessionId: '' },
      }),
    },
    limiter: { take: async () => ({ allowed: true }) },
    store: { outbox: { write: async () => {} }, roles: { acrFor: async () => null } },
    now: () => new Date(),
  } as unknown as Parameters<typeof authorize>[0];

  test.each([
    [Access.USER, 'user', true],
    [Access.USER, 'user admin', true],
    [Access.USER, 'service', false],
    [Access.SERVICE, 'service', true],
    [Access.SERVICE, 'user', false],
    [Access.SERVICE, 'user admin', true],
    [Access.SERVICE, 'certificate', true],
    [Access.USER, 'lka admin', false],
    [Access.SERVICE, 'lka', true],
    [Access.ADMIN, 'lka', false],
    [Access.ADMIN, 'lka admin', true],
    [Access.ADMIN, 'user', false],
    [Access.ADMIN, 'service', false],
    [Access.ADMIN, 'user admin', true],
    [Access.ROLES_READER, 'service', true],
    [Access.ROLES_READER, 'certificate', true],
    [Access.ROLES_READER, 'lka', false],
    [Access.ROLES_READER, 'lka latchkey.roles.read', true],
    [Access.ROLES_READER, 'lka admin', true],
    [Access.ROLES_READER, 'user latchkey.roles.read', false],
    [Access.ROLES_READER, 'user admin', true],
  ])('access %i for %s: %s', async (access, who, allowed) => {
    const isCertified = who === 'certificate';
    const caller = credentials({ bearer: isCertified ? '' : who, isCertified });
    const outcome = await authorize(deps, caller, { access, target: 'X', signal }).then(
      () => null,
      (error) => error.reason ?? error,
    );
    expect(outcome).toBe(allowed ? null : 'PERMISSION_DENIED');
  });
});

test.each([
  ['Bearer abc', 'abc'],
  ['bearer  abc', 'abc'],
  ['Basic abc', ''],
  ['Bearer', ''],
  ['Bearer a b', ''],
  ['Bearer a, Bearer b', ''],
  ['', ''],
])('authorization: %s carries %j', (value, token) => {
  expect(bearerToken(value)).toBe(token);
});

test('no request has a field that its caller must not set', () => {
  const forbidden = ['roles', 'id', 'email_verified', 'created_at', 'disabled', 'session_id'];
  for (const method of methods) {
    // Administrators may.
    if (method.parent === AdminService) continue;
    // It names a session of the caller.
    if (method.name === 'RevokeSession') continue;
    for (const field of method.input.fields) expect(forbidden, method.name).not.toContain(field.name);
  }
});
