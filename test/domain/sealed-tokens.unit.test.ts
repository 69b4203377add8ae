import { createHmac, randomBytes, randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { KeyRing } from '../../src/domain/key-ring.ts';
import {
  formatMailedToken,
  NETWORK_TOKEN,
  parseMailedToken,
  RESET_TOKEN,
  VERIFICATION_TOKEN,
} from '../../src/domain/mailed-token.ts';
import { flowSecrets, parseFlow } from '../../src/domain/oauth-flow.ts';
import { formatRefreshToken, parseRefreshToken } from '../../src/domain/refresh-token.ts';
import { derivePurposeKeys } from '../../src/keys/purpose-keys.ts';

const keys = derivePurposeKeys([randomBytes(32)]);
const otherKeys = derivePurposeKeys([randomBytes(32)]);

test('parsing returns the values that a token was made of', () => {
  fc.assert(
    fc.property(fc.uuid(), fc.integer({ min: 0, max: 0xffff_ffff }), (sessionId, counter) => {
      const token = formatRefreshToken({ sessionId, counter }, keys.refreshTokens);
      expect(parseRefreshToken(token, keys.refreshTokens)).toEqual({ sessionId, counter });
    }),
  );
});

test('only the exact text of a token is accepted', () => {
  const token = formatRefreshToken({ sessionId: randomUUID(), counter: 7 }, keys.refreshTokens);
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=. \n';
  for (let at = 0; at < token.length; at += 1) {
    for (const character of alphabet) {
      if (character === token[at]) continue;
      const changed = token.slice(0, at) + character + token.slice(at + 1);
      expect(parseRefreshToken(changed, keys.refreshTokens), changed).toBeNull();
    }
  }
  for (const changed of [`${token}\n`, ` ${token}`, `${token}=`, token.slice(0, -1), `${token}A`, '', 'lkr_']) {
    expect(parseRefreshToken(changed, keys.refreshTokens), JSON.stringify(changed)).toBeNull();
  }
});

test('a token of one kind, purpose or deployment is invalid for every other', () => {
  const id = randomUUID();
  const refresh = formatRefreshToken({ sessionId: id, counter: 1 }, keys.refreshTokens);
  const reset = formatMailedToken(RESET_TOKEN, id, keys.resetTokens);
  const verification = formatMailedToken(VERIFICATION_TOKEN, id, keys.verificationTokens);
  expect(parseMailedToken(RESET_TOKEN, reset, keys.resetTokens)).toBe(id);
  expect(parseMailedToken(VERIFICATION_TOKEN, verification, keys.verificationTokens)).toBe(id);
  expect(parseMailedToken(RESET_TOKEN, verification, keys.verificationTokens)).toBeNull();
  expect(parseMailedToken(VERIFICATION_TOKEN, reset, keys.resetTokens)).toBeNull();
  const network = formatMailedToken(NETWORK_TOKEN, id, keys.networkTokens);
  expect(parseMailedToken(NETWORK_TOKEN, network, keys.networkTokens)).toBe(id);
  expect(parseMailedToken(NETWORK_TOKEN, reset, keys.networkTokens)).toBeNull();
  expect(parseMailedToken(NETWORK_TOKEN, network.replace('lkn_', 'lkp_'), keys.resetTokens)).toBeNull();
  expect(parseMailedToken(RESET_TOKEN, network.replace('lkn_', 'lkp_'), keys.resetTokens)).toBeNull();
  expect(parseMailedToken(RESET_TOKEN, refresh, keys.resetTokens)).toBeNull();
  expect(parseRefreshToken(reset, keys.refreshTokens)).toBeNull();
  expect(parseRefreshToken(refresh, keys.resetTokens)).toBeNull();
  expect(parseRefreshToken(refresh, otherKeys.refreshTokens)).toBeNull();
  expect(parseMailedToken(RESET_TOKEN, reset, otherKeys.resetTokens)).toBeNull();
  expect(new Set(Object.values(keys).map(([key]) => key.toString('hex'))).size).toBe(Object.keys(keys).length);
});

test('tokens of every key of the ring are accepted, and only the first key makes new ones', () => {
  const [old, both, next] = [
    derivePurposeKeys([randomBytes(32)]),
    derivePurposeKeys([randomBytes(32)]),
    derivePurposeKeys([randomBytes(32)]),
  ].map((each) => each.refreshTokens) as [KeyRing, KeyRing, KeyRing];
  const ring: KeyRing = [...both, ...old];
  const token = { sessionId: randomUUID(), counter: 3 };
  expect(parseRefreshToken(formatRefreshToken(token, old), ring)).toEqual(token);
  expect(parseRefreshToken(formatRefreshToken(token, ring), both)).toEqual(token);
  expect(parseRefreshToken(formatRefreshToken(token, ring), old)).toBeNull();
  expect(parseRefreshToken(formatRefreshToken(token, next), ring)).toBeNull();
  const flow = flowSecrets(token.sessionId, old);
  expect(parseFlow(flow.state, flow.binding, ring)).toEqual({ ...flow, id: token.sessionId });
  // A state and a binding of different keys belong to different flows.
  expect(parseFlow(flow.state, flowSecrets(token.sessionId, both).binding, ring)).toBeNull();
});

test('the secrets of a sign-in at a provider are derived from its id, each with its own label', () => {
  const [key, id] = [randomBytes(32), randomUUID()];
  const derived = (label: string) => createHmac('sha256', key).update(`${label} ${id}`).digest('base64url');
  expect(flowSecrets(id, [key])).toMatchObject({
    binding: `lkb_${derived('binding')}`,
    nonce: derived('nonce'),
    codeVerifier: derived('code verifier'),
  });
});

test('a binding of another length does not belong to a flow', () => {
  const key = randomBytes(32);
  const { state, binding } = flowSecrets(randomUUID(), [key]);
  expect(parseFlow(state, binding, [key])).not.toBeNull();
  expect(parseFlow(state, `${binding}x`, [key])).toBeNull();
  expect(parseFlow(state, '', [key])).toBeNull();
});
