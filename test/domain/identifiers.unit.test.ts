// The forms of names and identifiers: roles, services, API keys, UUIDs, bearer tokens, hosts, audiences.
import { createHash, randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { accountHash, accountHashes, mailboxHash } from '../../src/domain/account-hash.ts';
import { actorName, requireReauthentication } from '../../src/domain/actor.ts';
import { apiKeyHash, isApiKey, newApiKey } from '../../src/domain/api-key.ts';
import { chosenAudiences, OWN_AUDIENCE, parseAudiences } from '../../src/domain/audience.ts';
import { bearerToken, soleBearerToken, tokenToVerify } from '../../src/domain/bearer-token.ts';
import { parseEmail } from '../../src/domain/email.ts';
import { isLoopback } from '../../src/domain/loopback.ts';
import { InvalidValue } from '../../src/domain/parse-fields.ts';
import { isRegistrationBinding, registrationBinding } from '../../src/domain/registration-binding.ts';
import { BUILT_IN_ROLES, isRole, parseRole } from '../../src/domain/role.ts';
import { isServiceName, parseServiceName } from '../../src/domain/service-name.ts';
import { isUuid, parseUuid, uuidFromBytes, uuidToBytes } from '../../src/domain/uuid.ts';

const UUID = '01a207a7-2607-72a4-9011-046a9b015fc0';

describe('a role name', () => {
  test.each(['a', 'admin', 'latchkey.roles.read', 'a_b:c-d.9', `a${'b'.repeat(63)}`])('%j is valid', (text) => {
    expect(parseRole(text)).toBe(text);
  });
  test.each(['', 'A', '9a', '.a', 'a b', 'aB', 'a\n', 'é', ' a', `a${'b'.repeat(64)}`])('%j is invalid', (text) => {
    expect(isRole(text)).toBe(false);
    expect(() => parseRole(text)).toThrow(InvalidValue);
  });
  test('is built in for users, administrators and two kinds of services', () => {
    expect(BUILT_IN_ROLES).toEqual(['user', 'admin', 'latchkey.roles.read', 'latchkey.on-behalf-of']);
  });
  test('is required', () => expect(() => parseRole('')).toThrow('is required'));
});

describe('the name of a service', () => {
  test.each(['a', 'billing', 'billing-2', `a${'b'.repeat(62)}`, 'latchkey2'])('%j is valid', (text) => {
    expect(parseServiceName(text)).toBe(text);
  });
  test.each(['', 'latchkey', 'A', '9a', '-a', 'a_b', 'a\n', ' a', `a${'b'.repeat(63)}`])('%j is invalid', (text) => {
    expect(isServiceName(text)).toBe(false);
    expect(() => parseServiceName(text)).toThrow(InvalidValue);
  });
});

describe('an API key', () => {
  test('has a prefix and 256 random bits', () => {
    const [one, other] = [newApiKey(), newApiKey()];
    expect(one).toMatch(/^lka_[A-Za-z0-9_-]{43}$/);
    expect(isApiKey(one)).toBe(true);
    expect(other).not.toBe(one);
  });
  test.each([
    ['another prefix', (key: string) => key.replace('lka_', 'lkb_')],
    ['a character less', (key: string) => key.slice(0, -1)],
    ['a character more', (key: string) => `${key}a`],
    ['a character before', (key: string) => ` ${key}`],
    ['a newline', (key: string) => `${key}\n`],
  ])('with %s is invalid', (_, change) => {
    expect(isApiKey(change(newApiKey()))).toBe(false);
  });
  test('is stored as its SHA-256', () => {
    expect(apiKeyHash('lka_x')).toEqual(createHash('sha256').update('lka_x').digest());
  });
});

describe('a UUID', () => {
  test('is valid in its canonical form', () => {
    expect(parseUuid(UUID)).toBe(UUID);
    expect(uuidFromBytes(uuidToBytes(UUID))).toBe(UUID);
    expect(uuidToBytes(UUID)).toHaveLength(16);
  });
  test.each([
    '',
    UUID.toUpperCase(),
    `${UUID}0`,
    `0${UUID}`,
    UUID.replaceAll('-', ''),
    `${UUID.slice(0, -1)}g`,
    `${UUID}\n`,
  ])('%j is invalid', (text) => {
    expect(isUuid(text)).toBe(false);
    expect(() => parseUuid(text)).toThrow(InvalidValue);
  });
});

describe('a bearer token', () => {
  test.each([
    ['Bearer abc', 'abc'],
    ['bearer abc', 'abc'],
    ['Bearer   abc', 'abc'],
    ['Bearer a.b-c_d', 'a.b-c_d'],
    ['', ''],
    [null, ''],
    [undefined, ''],
    ['Bearer', ''],
    ['Bearer ', ''],
    ['Bearerabc', ''],
    ['Basic abc', ''],
    ['x Bearer abc', ''],
    ['Bearer abc def', ''],
    ['Bearer abc,def', ''],
    ['Bearer abc ', ''],
    ...[...'\t\n\v\f\r\u00a0'].map((space): [string, string] => [`Bearer abc${space}def`, '']),
  ])('is read from %j as %j', (authorization, token) => {
    expect(bearerToken(authorization)).toBe(token);
  });

  test('is invalid when a request has more than one', () => {
    expect(soleBearerToken([])).toBe('');
    expect(soleBearerToken([''])).toBe('');
    expect(soleBearerToken(['Bearer abc'])).toBe('abc');
    expect(soleBearerToken(['Basic abc'])).toBe('-');
    expect(soleBearerToken(['Bearer abc', 'Bearer abc'])).toBe('-');
    expect(soleBearerToken(['', ''])).toBe('-');
    expect(soleBearerToken(['', 'Bearer abc'])).toBe('-');
  });

  test('for Verify is the one in the request, before the credential of the call', () => {
    expect(tokenToVerify('request', 'call')).toBe('request');
    expect(tokenToVerify('', 'call')).toBe('call');
    expect(tokenToVerify('', '')).toBe('');
  });
});

test.each([
  ['localhost', true],
  ['LocalHost', true],
  ['127.0.0.1', true],
  ['127.255.0.9', true],
  ['::1', true],
  ['[::1]', true],
  ['128.0.0.1', false],
  ['::2', false],
  ['[::2]', false],
  ['localhost.example', false],
  ['my-localhost', false],
  ['::1]x', false],
  ['x[::1', false],
  ['127.0.0.1]x', false],
  ['127.[0.0.1', false],
  ['127.]0.0.1', false],
  ['', false],
])('the host %j is on this machine: %s', (host, expected) => {
  expect(isLoopback(host)).toBe(expected);
});

describe('audiences', () => {
  test('have one for Latchkey itself', () => expect(OWN_AUDIENCE).toBe('latchkey'));
  const all = ['shop', 'warehouse', 'office'];
  test('are all of the deployment by default', () => {
    expect(parseAudiences([], all)).toBeNull();
    expect(chosenAudiences(null, all)).toEqual(all);
  });
  test('keep the order of the deployment', () => {
    expect(parseAudiences(['office', 'shop'], all)).toEqual(['shop', 'office']);
    expect(chosenAudiences(['office', 'closed'], all)).toEqual(['office']);
  });
  test('are invalid for another deployment', () => {
    expect(() => parseAudiences(['shop', 'bank'], all)).toThrow(InvalidValue);
  });
});

describe('an actor', () => {
  const user = { kind: 'user', userId: UUID, sessionId: UUID, refreshCounter: 3 } as const;
  const service = { kind: 'service', name: 'billing', serviceAccountId: null, keyId: null } as const;
  test('is named by its kind and its id or name', () => {
    expect(actorName(user)).toBe(`user:${UUID}`);
    expect(actorName(service)).toBe('service:billing');
    expect(actorName({ kind: 'operator', name: 'root' })).toBe('operator:root');
  });
  test('that is a user must have re-authenticated', () => {
    expect(requireReauthentication(user, 600)).toEqual({ ...user, reauthenticatedWithin: 600 });
    expect(requireReauthentication(service, 600)).toEqual(service);
  });
});

describe('the hash of an account', () => {
  const [key, former] = [randomBytes(32), randomBytes(32)];
  const email = parseEmail('ada+1@example.com');
  test('has 128 bits, by the current key', () => {
    expect(Buffer.from(accountHash(email, [key, former]), 'base64url')).toHaveLength(16);
    expect(accountHash(email, [key, former])).toBe(accountHash(email, [key]));
    expect(accountHash(email, [key])).not.toBe(accountHash(email, [former]));
    expect(accountHash(email, [key])).not.toBe(accountHash(parseEmail('ada@example.com'), [key]));
  });
  test('exists for each key', () => {
    expect(accountHashes(email, [key, former])).toEqual([accountHash(email, [key]), accountHash(email, [former])]);
  });
  test('is the same for all tags of a mailbox', () => {
    expect(mailboxHash(email, [key])).toBe(mailboxHash(parseEmail('ada+2@example.com'), [key]));
    expect(mailboxHash(email, [key])).not.toBe(mailboxHash(parseEmail('ada@example.com'), [key]));
  });
});

test('a registration binding is valid for its account, with any accepted key', () => {
  const [key, former] = [randomBytes(32), randomBytes(32)];
  const binding = registrationBinding(UUID, [key]);
  expect(binding).toMatch(/^lkg_[A-Za-z0-9_-]{43}$/);
  expect(isRegistrationBinding(binding, UUID, [key])).toBe(true);
  expect(isRegistrationBinding(registrationBinding(UUID, [former]), UUID, [key, former])).toBe(true);
  expect(isRegistrationBinding(registrationBinding(UUID, [former]), UUID, [key])).toBe(false);
  expect(isRegistrationBinding(binding, UUID.replace('0', '1'), [key])).toBe(false);
  expect(isRegistrationBinding(binding.slice(0, -1), UUID, [key])).toBe(false);
  expect(isRegistrationBinding('', UUID, [key])).toBe(false);
});
